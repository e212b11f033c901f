#include "kernels/pooling.h"

#include <math.h>
#include <string.h>

static int64_t divisor_at(const tt_pooling *p, int64_t y, int64_t x) {
  return p->divisor != 0 ? p->divisor : p->size[0][y] * p->size[1][x];
}

enum { STRIP = 64 }; /* windows whose maxima are sought at once */

/* How many windows of a row from the x-th on have its width and stand evenly, at most STRIP. */
static int64_t count_alike(const tt_pooling *p, int64_t x, int64_t *stride) {
  const int64_t *first = p->first[1] + x, *end = p->end[1] + x;
  int64_t n = 1, most = p->out[1] - x < STRIP ? p->out[1] - x : STRIP;
  *stride = most > 1 ? first[1] - first[0] : 0;
  while (n < most && end[n] - first[n] == end[0] - first[0] && first[n] - first[n - 1] == *stride) n++;
  return n;
}

#define DEFINE_POOLING(suffix, type)                                                                                        \
  /* n windows of one row from the x-th on, all alike and stride apart: the same tap of all of them at once. */             \
  static void max_strip_##suffix(const tt_pooling *p, const type *plane, int64_t y, int64_t x, int64_t n, int64_t stride,   \
                                 type *values, int64_t *indices) {                                                          \
    type best[STRIP];                                                                                                       \
    uint32_t at[STRIP];                                                                                                     \
    int64_t origin = p->first[0][y] * p->in[1] + p->first[1][x];                                                            \
    for (int64_t k = 0; k < n; k++) {                                                                                       \
      best[k] = -(type)INFINITY;                                                                                            \
      at[k] = 0;                                                                                                            \
    }                                                                                                                       \
    for (int64_t i = p->first[0][y]; i < p->end[0][y]; i += p->step[0]) {                                                   \
      for (int64_t j = p->first[1][x]; j < p->end[1][x]; j += p->step[1]) {                                                 \
        const type *from = plane + i * p->in[1] + j;                                                                        \
        uint32_t offset = (uint32_t)(i * p->in[1] + j - origin);                                                            \
        for (int64_t k = 0; k < n; k++) {                                                                                   \
          type value = from[k * stride];                                                                                    \
          bool takes = (value > best[k]) | (value != value);                                                                \
          best[k] = takes ? value : best[k];                                                                                \
          at[k] = takes ? offset : at[k];                                                                                   \
        }                                                                                                                   \
      }                                                                                                                     \
    }                                                                                                                       \
    for (int64_t k = 0; k < n; k++) {                                                                                       \
      values[k] = best[k];                                                                                                  \
      indices[k] = origin + k * stride + at[k];                                                                             \
    }                                                                                                                       \
  }                                                                                                                         \
  static void mean_##suffix(const tt_pooling *p, const type *plane, type *output) {                                         \
    for (int64_t y = 0; y < p->out[0]; y++) {                                                                               \
      for (int64_t x = 0; x < p->out[1]; x++) {                                                                             \
        type sum = 0;                                                                                                       \
        for (int64_t i = p->first[0][y]; i < p->end[0][y]; i++) {                                                           \
          for (int64_t j = p->first[1][x]; j < p->end[1][x]; j++) sum += plane[i * p->in[1] + j];                           \
        }                                                                                                                   \
        bool is_empty = p->first[0][y] >= p->end[0][y] || p->first[1][x] >= p->end[1][x];                                   \
        *output++ = is_empty ? 0 : sum / (type)divisor_at(p, y, x);                                                         \
      }                                                                                                                     \
    }                                                                                                                       \
  }                                                                                                                         \
  static void spread_##suffix(const tt_pooling *p, const type *grad, type *plane) {                                         \
    for (int64_t y = 0; y < p->out[0]; y++) {                                                                               \
      for (int64_t x = 0; x < p->out[1]; x++) {                                                                             \
        bool is_empty = p->first[0][y] >= p->end[0][y] || p->first[1][x] >= p->end[1][x];                                   \
        type share = is_empty ? 0 : *grad / (type)divisor_at(p, y, x);                                                      \
        grad++;                                                                                                             \
        for (int64_t i = p->first[0][y]; i < p->end[0][y]; i++) {                                                           \
          for (int64_t j = p->first[1][x]; j < p->end[1][x]; j++) plane[i * p->in[1] + j] += share;                         \
        }                                                                                                                   \
      }                                                                                                                     \
    }                                                                                                                       \
  }                                                                                                                         \
  static void max_planes_##suffix(const tt_pooling *p, const void *input, void *values, int64_t *indices) {                 \
    int64_t n_in = p->in[0] * p->in[1], n_out = p->out[0] * p->out[1];                                                      \
    for (int64_t x = 0, n, stride; x < p->out[1]; x += n) {                                                                 \
      n = count_alike(p, x, &stride);                                                                                       \
      for (int64_t i = 0; i < p->n_planes; i++) {                                                                           \
        for (int64_t y = 0; y < p->out[0]; y++) {                                                                           \
          int64_t to = i * n_out + y * p->out[1] + x;                                                                       \
          max_strip_##suffix(p, (const type *)input + i * n_in, y, x, n, stride, (type *)values + to, indices + to);        \
        }                                                                                                                   \
      }                                                                                                                     \
    }                                                                                                                       \
  }                                                                                                                         \
  static void mean_planes_##suffix(const tt_pooling *p, const void *input, void *output) {                                  \
    int64_t n_in = p->in[0] * p->in[1], n_out = p->out[0] * p->out[1];                                                      \
    for (int64_t i = 0; i < p->n_planes; i++) mean_##suffix(p, (const type *)input + i * n_in, (type *)output + i * n_out); \
  }                                                                                                                         \
  static void spread_planes_##suffix(const tt_pooling *p, const void *grad, void *input) {                                  \
    int64_t n_in = p->in[0] * p->in[1], n_out = p->out[0] * p->out[1];                                                      \
    if (p->n_planes * n_in > 0) memset(input, 0, (size_t)(p->n_planes * n_in) * sizeof(type));                              \
    for (int64_t i = 0; i < p->n_planes; i++) spread_##suffix(p, (const type *)grad + i * n_out, (type *)input + i * n_in); \
  }
DEFINE_POOLING(f32, float)
DEFINE_POOLING(f64, double)

typedef struct pooling_row {
  void (*max)(const tt_pooling *p, const void *input, void *values, int64_t *indices);
  void (*mean)(const tt_pooling *p, const void *input, void *output);
  void (*spread)(const tt_pooling *p, const void *grad, void *input);
} pooling_row;

static const pooling_row rows[TT_N_DTYPES] = {
    [TT_DTYPE_F32] = {max_planes_f32, mean_planes_f32, spread_planes_f32},
    [TT_DTYPE_F64] = {max_planes_f64, mean_planes_f64, spread_planes_f64},
};

void tt_pooling_max(const tt_pooling *pooling, const void *input, void *values, int64_t *indices) {
  rows[pooling->dtype].max(pooling, input, values, indices);
}

void tt_pooling_mean(const tt_pooling *pooling, const void *input, void *output) {
  rows[pooling->dtype].mean(pooling, input, output);
}

void tt_pooling_spread(const tt_pooling *pooling, const void *grad, void *input) {
  rows[pooling->dtype].spread(pooling, grad, input);
}
