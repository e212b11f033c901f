#include "kernels/pooling.h"

#include <math.h>
#include <string.h>

static int64_t divisor_at(const tt_pooling *p, int64_t y, int64_t x) {
  return p->divisor != 0 ? p->divisor : p->size[0][y] * p->size[1][x];
}

#define DEFINE_POOLING(suffix, type)                                                                                        \
  static void max_##suffix(const tt_pooling *p, const type *plane, type *values, int64_t *indices) {                        \
    for (int64_t y = 0; y < p->out[0]; y++) {                                                                               \
      for (int64_t x = 0; x < p->out[1]; x++) {                                                                             \
        int64_t best_at = p->first[0][y] * p->in[1] + p->first[1][x];                                                       \
        type best = -(type)INFINITY;                                                                                        \
        for (int64_t i = p->first[0][y]; i < p->end[0][y]; i += p->step[0]) {                                               \
          for (int64_t j = p->first[1][x]; j < p->end[1][x]; j += p->step[1]) {                                             \
            type value = plane[i * p->in[1] + j];                                                                           \
            if (value > best || value != value) {                                                                           \
              best = value;                                                                                                 \
              best_at = i * p->in[1] + j;                                                                                   \
            }                                                                                                               \
          }                                                                                                                 \
        }                                                                                                                   \
        *values++ = best;                                                                                                   \
        *indices++ = best_at;                                                                                               \
      }                                                                                                                     \
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
    for (int64_t i = 0; i < p->n_planes; i++) {                                                                             \
      max_##suffix(p, (const type *)input + i * n_in, (type *)values + i * n_out, indices + i * n_out);                     \
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
