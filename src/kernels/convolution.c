#include "kernels/convolution.h"

#include <string.h>

#include "base/alloc.h"
#include "kernels/depthwise.h"
#include "kernels/matmul.h"

enum {
  WINDOWS_BYTES = 512 * 1024, /* of the matrix of windows: what stays in the second cache beside matmul's panels */
  LEAST_POSITIONS = 64,       /* fewer columns would starve matmul's tiles */
};

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/*
 * windows_SUFFIX fills the matrix of windows of n positions from `start` on of one sample and group, `planes` being its first
 * channel; scatter_SUFFIX adds such a matrix back to the planes.
 */
#define DEFINE_WINDOWS(suffix, type)                                                                                      \
  static void windows_##suffix(const tt_convolution *c, const void *planes, int64_t start, int64_t n, void *windows) {    \
    type *row = windows;                                                                                                  \
    int64_t plane = c->in[0] * c->in[1];                                                                                  \
    for (int64_t channel = 0; channel < c->in_channels / c->groups; channel++) {                                          \
      const type *source = (const type *)planes + channel * plane;                                                        \
      for (int64_t k = 0; k < c->kernel[0] * c->kernel[1]; k++, row += n) {                                               \
        int64_t down = k / c->kernel[1] * c->dilation[0] - c->padding[0], across = k % c->kernel[1];                      \
        int64_t y = start / c->out[1], x = start % c->out[1];                                                             \
        for (int64_t p = 0; p < n; y++, x = 0) {                                                                          \
          int64_t n_run = smaller(c->out[1] - x, n - p), line = y * c->stride[0] + down;                                  \
          type *to = row + p;                                                                                             \
          p += n_run;                                                                                                     \
          if (line < 0 || line >= c->in[0]) {                                                                             \
            memset(to, 0, (size_t)n_run * sizeof(type));                                                                  \
            continue;                                                                                                     \
          }                                                                                                               \
          tt_overlap o = tt_overlap_of(c, x, n_run, across);                                                              \
          const type *from = source + line * c->in[1];                                                                    \
          memset(to, 0, (size_t)o.first * sizeof(type));                                                                  \
          if (c->stride[1] == 1) {                                                                                        \
            if (o.end > o.first) memcpy(to + o.first, from + o.from + o.first, (size_t)(o.end - o.first) * sizeof(type)); \
          } else {                                                                                                        \
            for (int64_t i = o.first; i < o.end; i++) to[i] = from[o.from + i * c->stride[1]];                            \
          }                                                                                                               \
          memset(to + o.end, 0, (size_t)(n_run - o.end) * sizeof(type));                                                  \
        }                                                                                                                 \
      }                                                                                                                   \
    }                                                                                                                     \
  }                                                                                                                       \
  static void scatter_##suffix(const tt_convolution *c, void *planes, int64_t start, int64_t n, const void *windows) {    \
    const type *row = windows;                                                                                            \
    int64_t plane = c->in[0] * c->in[1];                                                                                  \
    for (int64_t channel = 0; channel < c->in_channels / c->groups; channel++) {                                          \
      type *target = (type *)planes + channel * plane;                                                                    \
      for (int64_t k = 0; k < c->kernel[0] * c->kernel[1]; k++, row += n) {                                               \
        int64_t down = k / c->kernel[1] * c->dilation[0] - c->padding[0], across = k % c->kernel[1];                      \
        int64_t y = start / c->out[1], x = start % c->out[1];                                                             \
        for (int64_t p = 0; p < n; y++, x = 0) {                                                                          \
          int64_t n_run = smaller(c->out[1] - x, n - p), line = y * c->stride[0] + down;                                  \
          const type *from = row + p;                                                                                     \
          p += n_run;                                                                                                     \
          if (line < 0 || line >= c->in[0]) continue;                                                                     \
          tt_overlap o = tt_overlap_of(c, x, n_run, across);                                                              \
          type *to = target + line * c->in[1];                                                                            \
          for (int64_t i = o.first; i < o.end; i++) to[o.from + i * c->stride[1]] += from[i];                             \
        }                                                                                                                 \
      }                                                                                                                   \
    }                                                                                                                     \
  }                                                                                                                       \
  static void add_##suffix(void *to, const void *terms, int64_t n) {                                                      \
    type *sums = to;                                                                                                      \
    for (int64_t i = 0; i < n; i++) sums[i] += ((const type *)terms)[i];                                                  \
  }                                                                                                                       \
  /* Rows of n_positions from the matrix (rows, n) to rows that are n_all apart, each with its bias. */                   \
  static void place_##suffix(const void *matrix, int64_t n_rows, int64_t n, const void *bias, void *to, int64_t n_all) {  \
    for (int64_t r = 0; r < n_rows; r++) {                                                                                \
      const type *from = (const type *)matrix + r * n, term = bias ? ((const type *)bias)[r] : 0;                         \
      type *line = (type *)to + r * n_all;                                                                                \
      for (int64_t i = 0; i < n; i++) line[i] = from[i] + term;                                                           \
    }                                                                                                                     \
  }
DEFINE_WINDOWS(f32, float)
DEFINE_WINDOWS(f64, double)

typedef struct convolution_row {
  void (*windows)(const tt_convolution *c, const void *planes, int64_t start, int64_t n, void *windows);
  void (*scatter)(const tt_convolution *c, void *planes, int64_t start, int64_t n, const void *windows);
  void (*add)(void *to, const void *terms, int64_t n);
  void (*place)(const void *matrix, int64_t n_rows, int64_t n, const void *bias, void *to, int64_t n_all);
} convolution_row;

static const convolution_row rows[TT_N_DTYPES] = {
    [TT_DTYPE_F32] = {windows_f32, scatter_f32, add_f32, place_f32},
    [TT_DTYPE_F64] = {windows_f64, scatter_f64, add_f64, place_f64},
};

/* What one call works with: sizes of a group, and its memory in one block. */
typedef struct work {
  const tt_convolution *c;
  const convolution_row *row;
  int64_t item_bytes;
  int64_t n_positions, n_together;           /* of the output; in one matrix of windows */
  int64_t window, in_channels, out_channels; /* of a group */
  bool is_plain;                             /* the input itself is the matrix of windows */
  uint8_t *windows, *product, *scratch;
  void *block;
} work;

static size_t aligned(int64_t n_bytes) { return ((size_t)n_bytes + 63) / 64 * 64; }

/* `shape` is the largest product that the call makes; `n_product` elements of it are kept apart from the result. */
static tt_status begin(work *w, const tt_convolution *c, tt_matmul *shape, bool is_weight, tt_error *error) {
  *w = (work){.c = c,
              .row = &rows[c->dtype],
              .item_bytes = (int64_t)tt_dtype_bytes(c->dtype),
              .n_positions = c->out[0] * c->out[1],
              .in_channels = c->in_channels / c->groups,
              .out_channels = c->out_channels / c->groups};
  w->window = w->in_channels * c->kernel[0] * c->kernel[1];
  w->is_plain = c->kernel[0] == 1 && c->kernel[1] == 1 && c->stride[0] == 1 && c->stride[1] == 1 && c->padding[0] == 0 &&
                c->padding[1] == 0;
  int64_t most = larger(LEAST_POSITIONS, WINDOWS_BYTES / w->item_bytes / larger(w->window, 1));
  w->n_together = w->is_plain ? w->n_positions : smaller(w->n_positions, most);
  shape->dtype = c->dtype;
  shape->m = is_weight ? w->out_channels : larger(w->out_channels, w->window);
  shape->n = is_weight ? w->window : w->n_together;
  shape->k = is_weight ? w->n_together : larger(w->out_channels, w->window);
  size_t windows_bytes = w->is_plain ? 0 : aligned(w->window * w->n_together * w->item_bytes);
  size_t product_bytes = aligned(w->out_channels * (is_weight ? w->window : w->n_together) * w->item_bytes);
  /* A product of one row or column packs a vector; any other packs panels. */
  tt_matmul vector = *shape;
  vector.m = 1;
  size_t scratch_bytes = tt_matmul_scratch_bytes(shape), vector_bytes = tt_matmul_scratch_bytes(&vector);
  if (vector_bytes > scratch_bytes) scratch_bytes = vector_bytes;
  w->block = tt_alloc_aligned(windows_bytes + product_bytes + scratch_bytes);
  if (!w->block) return tt_fail(error, TT_ERR_MEMORY, "no memory for the windows of a convolution");
  w->windows = w->block;
  w->product = w->windows + windows_bytes;
  w->scratch = w->product + product_bytes;
  return TT_OK;
}

static void end(work *w) { tt_free_aligned(w->block); }

/* The first channel of a sample's group among planes of `plane` elements. */
static int64_t planes_at(const work *w, int64_t sample, int64_t group, int64_t n_channels, int64_t plane) {
  return (sample * w->c->groups + group) * n_channels * plane * w->item_bytes;
}

static int64_t weights_at(const work *w, int64_t group) { return group * w->out_channels * w->window * w->item_bytes; }

tt_status tt_convolution_run(const tt_convolution *c, const void *input, const void *weight, const void *bias, void *output,
                             tt_error *error) {
  if (tt_is_depthwise(c)) {
    tt_depthwise_run(c, input, weight, bias, output);
    return TT_OK;
  }
  work w;
  tt_matmul product = {0};
  TT_TRY(begin(&w, c, &product, false, error));
  int64_t plane = c->in[0] * c->in[1];
  for (int64_t i = 0; i < c->n * c->groups; i++) {
    int64_t sample = i / c->groups, group = i % c->groups;
    const uint8_t *planes = (const uint8_t *)input + planes_at(&w, sample, group, w.in_channels, plane);
    const uint8_t *terms = bias ? (const uint8_t *)bias + group * w.out_channels * w.item_bytes : NULL;
    uint8_t *to = (uint8_t *)output + planes_at(&w, sample, group, w.out_channels, w.n_positions);
    for (int64_t start = 0; start < w.n_positions; start += w.n_together) {
      int64_t n = smaller(w.n_together, w.n_positions - start);
      bool is_whole = n == w.n_positions;
      if (!w.is_plain) w.row->windows(c, planes, start, n, w.windows);
      /* (O, window)x(window, n) */
      product.m = w.out_channels, product.n = product.c_row = n, product.k = w.window;
      product.a = (const uint8_t *)weight + weights_at(&w, group), product.a_row = w.window, product.a_column = 1;
      product.b = w.is_plain ? planes : w.windows, product.b_row = n, product.b_column = 1;
      product.c = is_whole ? to : w.product;
      tt_matmul_run_in(&product, w.scratch);
      if (is_whole && !bias) continue;
      w.row->place(product.c, w.out_channels, n, terms, to + start * w.item_bytes, w.n_positions);
    }
  }
  end(&w);
  return TT_OK;
}

tt_status tt_convolution_run_input(const tt_convolution *c, const void *weight, const void *grad, void *input,
                                   tt_error *error) {
  if (tt_is_depthwise(c)) {
    tt_depthwise_run_input(c, weight, grad, input);
    return TT_OK;
  }
  work w;
  tt_matmul product = {0};
  TT_TRY(begin(&w, c, &product, false, error));
  int64_t plane = c->in[0] * c->in[1];
  if (!w.is_plain) memset(input, 0, (size_t)(c->n * c->in_channels * plane * w.item_bytes));
  for (int64_t i = 0; i < c->n * c->groups; i++) {
    int64_t sample = i / c->groups, group = i % c->groups;
    const uint8_t *from = (const uint8_t *)grad + planes_at(&w, sample, group, w.out_channels, w.n_positions);
    uint8_t *planes = (uint8_t *)input + planes_at(&w, sample, group, w.in_channels, plane);
    for (int64_t start = 0; start < w.n_positions; start += w.n_together) {
      int64_t n = smaller(w.n_together, w.n_positions - start);
      /* (window, O)x(O, n) */
      product.m = w.window, product.n = product.c_row = n, product.k = w.out_channels;
      product.a = (const uint8_t *)weight + weights_at(&w, group), product.a_row = 1, product.a_column = w.window;
      product.b = from + start * w.item_bytes, product.b_row = w.n_positions, product.b_column = 1;
      product.c = w.is_plain ? planes : w.windows;
      tt_matmul_run_in(&product, w.scratch);
      if (!w.is_plain) w.row->scatter(c, planes, start, n, w.windows);
    }
  }
  end(&w);
  return TT_OK;
}

tt_status tt_convolution_run_weight(const tt_convolution *c, const void *input, const void *grad, void *weight,
                                    tt_error *error) {
  if (tt_is_depthwise(c)) {
    tt_depthwise_run_weight(c, input, grad, weight);
    return TT_OK;
  }
  work w;
  tt_matmul product = {0};
  TT_TRY(begin(&w, c, &product, true, error));
  int64_t plane = c->in[0] * c->in[1], n_weights = w.out_channels * w.window;
  memset(weight, 0, (size_t)(c->groups * n_weights * w.item_bytes));
  for (int64_t i = 0; i < c->n * c->groups; i++) {
    int64_t sample = i / c->groups, group = i % c->groups;
    const uint8_t *planes = (const uint8_t *)input + planes_at(&w, sample, group, w.in_channels, plane);
    const uint8_t *from = (const uint8_t *)grad + planes_at(&w, sample, group, w.out_channels, w.n_positions);
    for (int64_t start = 0; start < w.n_positions; start += w.n_together) {
      int64_t n = smaller(w.n_together, w.n_positions - start);
      if (!w.is_plain) w.row->windows(c, planes, start, n, w.windows);
      /* (O, n)x(n, window) */
      product.m = w.out_channels, product.n = product.c_row = w.window, product.k = n;
      product.a = from + start * w.item_bytes, product.a_row = w.n_positions, product.a_column = 1;
      product.b = w.is_plain ? planes : w.windows, product.b_row = 1, product.b_column = n;
      product.c = w.product;
      tt_matmul_run_in(&product, w.scratch);
      w.row->add((uint8_t *)weight + weights_at(&w, group), w.product, n_weights);
    }
  }
  end(&w);
  return TT_OK;
}
