#include "kernels/scan.h"

#include <math.h>

#include "base/loop.h"
#include "kernels/math_f32.h"
#include "kernels/row_f32.h"

enum { TILE = 128 /* neighbouring lines handled together */ };

/* Calls `line` for every tile of lines: x and y at the first element of the tile's first line, `step` elements between
 * successive elements of a line. */
typedef void line_fn(const void *input, void *output, int64_t n, int64_t step, int64_t n_lines);

static void each_tile(const tt_scan *scan, line_fn *line) {
  size_t element_bytes = tt_dtype_bytes(scan->dtype);
  if (scan->n == 0) return;
  for (int64_t o = 0; o < scan->outer; o++) {
    for (int64_t i = 0; i < scan->inner; i += TILE) {
      size_t at = (size_t)(o * scan->n * scan->inner + i) * element_bytes;
      line((const uint8_t *)scan->input + at, (uint8_t *)scan->output + at, scan->n, scan->inner,
           scan->inner - i < TILE ? scan->inner - i : TILE);
    }
  }
}

#define DEFINE_RUNNING(name, suffix, type, wide, initial, operator)                                                 \
  static TT_SHORT void name##_##suffix(const void *input, void *output, int64_t n, int64_t step, int64_t n_lines) { \
    const type *x = input;                                                                                          \
    type *y = output;                                                                                               \
    wide totals[TILE];                                                                                              \
    for (int64_t l = 0; l < n_lines; l++) totals[l] = initial;                                                      \
    for (int64_t i = 0; i < n; i++, x += step, y += step) {                                                         \
      for (int64_t l = 0; l < n_lines; l++) {                                                                       \
        totals[l] = totals[l] operator(wide) x[l];                                                                  \
        y[l] = (type)totals[l];                                                                                     \
      }                                                                                                             \
    }                                                                                                               \
  }

#define DEFINE_RUNNING_BOTH(suffix, type, wide)         \
  DEFINE_RUNNING(running_sum, suffix, type, wide, 0, +) \
  DEFINE_RUNNING(running_prod, suffix, type, wide, 1, *)

DEFINE_RUNNING_BOTH(u8, uint8_t, uint64_t)
DEFINE_RUNNING_BOTH(i32, int32_t, uint64_t)
DEFINE_RUNNING_BOTH(i64, int64_t, uint64_t)
DEFINE_RUNNING_BOTH(f32, float, double)
DEFINE_RUNNING_BOTH(f64, double, double)

void tt_scan_sum(const tt_scan *scan) {
  static line_fn *const rows[TT_N_DTYPES] = {
      [TT_DTYPE_U8] = running_sum_u8,   [TT_DTYPE_I32] = running_sum_i32, [TT_DTYPE_I64] = running_sum_i64,
      [TT_DTYPE_F32] = running_sum_f32, [TT_DTYPE_F64] = running_sum_f64,
  };
  each_tile(scan, rows[scan->dtype]);
}

void tt_scan_prod(const tt_scan *scan) {
  static line_fn *const rows[TT_N_DTYPES] = {
      [TT_DTYPE_U8] = running_prod_u8,   [TT_DTYPE_I32] = running_prod_i32, [TT_DTYPE_I64] = running_prod_i64,
      [TT_DTYPE_F32] = running_prod_f32, [TT_DTYPE_F64] = running_prod_f64,
  };
  each_tile(scan, rows[scan->dtype]);
}

#define SPEED_f32
#define SPEED_f64 TT_SHORT

/* Three passes over a tile: the largest of each line, the sum of exponentials relative to it, the quotient. A line of
 * nothing but -infinity gives NaN, as PyTorch's does. */
#define DEFINE_SOFTMAX(suffix, type, exp_function)                                                                             \
  static SPEED_##suffix void largest_##suffix(const type *x, int64_t n, int64_t step, int64_t n_lines, type *largest) {        \
    for (int64_t l = 0; l < n_lines; l++) largest[l] = x[l];                                                                   \
    for (int64_t i = 1; i < n; i++) {                                                                                          \
      x += step;                                                                                                               \
      for (int64_t l = 0; l < n_lines; l++) largest[l] = x[l] > largest[l] || x[l] != x[l] ? x[l] : largest[l];                \
    }                                                                                                                          \
  }                                                                                                                            \
  static SPEED_##suffix void softmax_##suffix(const void *input, void *output, int64_t n, int64_t step, int64_t n_lines) {     \
    const type *x = input;                                                                                                     \
    type *y = output;                                                                                                          \
    type largest[TILE];                                                                                                        \
    double sums[TILE] = {0};                                                                                                   \
    largest_##suffix(x, n, step, n_lines, largest);                                                                            \
    for (int64_t i = 0; i < n; i++) {                                                                                          \
      for (int64_t l = 0; l < n_lines; l++) {                                                                                  \
        type e = exp_function(x[i * step + l] - largest[l]);                                                                   \
        y[i * step + l] = e;                                                                                                   \
        sums[l] += (double)e;                                                                                                  \
      }                                                                                                                        \
    }                                                                                                                          \
    for (int64_t i = 0; i < n; i++) {                                                                                          \
      for (int64_t l = 0; l < n_lines; l++) y[i * step + l] = (type)((double)y[i * step + l] / sums[l]);                       \
    }                                                                                                                          \
  }                                                                                                                            \
  static SPEED_##suffix void log_softmax_##suffix(const void *input, void *output, int64_t n, int64_t step, int64_t n_lines) { \
    const type *x = input;                                                                                                     \
    type *y = output;                                                                                                          \
    type largest[TILE];                                                                                                        \
    double sums[TILE] = {0};                                                                                                   \
    largest_##suffix(x, n, step, n_lines, largest);                                                                            \
    for (int64_t i = 0; i < n; i++) {                                                                                          \
      for (int64_t l = 0; l < n_lines; l++) sums[l] += (double)exp_function(x[i * step + l] - largest[l]);                     \
    }                                                                                                                          \
    for (int64_t l = 0; l < n_lines; l++) sums[l] = log(sums[l]);                                                              \
    for (int64_t i = 0; i < n; i++) {                                                                                          \
      for (int64_t l = 0; l < n_lines; l++) {                                                                                  \
        y[i * step + l] = (type)((double)(x[i * step + l] - largest[l]) - sums[l]);                                            \
      }                                                                                                                        \
    }                                                                                                                          \
  }
DEFINE_SOFTMAX(f32, float, tt_exp_f32)
DEFINE_SOFTMAX(f64, double, exp)

/* A line that lies dense, alone. */
static void softmax_row(const float *x, float *y, int64_t n) {
  const float share = (float)(1 / tt_row_exp_f32(x, y, n, tt_row_largest_f32(x, n)));
  TT_IN_STEP for (int64_t i = 0; i < n; i++) y[i] *= share;
}

static void log_softmax_row(const float *x, float *y, int64_t n) {
  const float largest = tt_row_largest_f32(x, n), log_sum = (float)log(tt_row_exp_f32(x, y, n, largest));
  TT_IN_STEP for (int64_t i = 0; i < n; i++) y[i] = x[i] - largest - log_sum;
}

void tt_scan_softmax(const tt_scan *scan, bool is_log) {
  static line_fn *const rows[2][2] = {{softmax_f32, softmax_f64}, {log_softmax_f32, log_softmax_f64}};
  if (scan->dtype != TT_DTYPE_F32 || scan->inner != 1) {
    each_tile(scan, rows[is_log][scan->dtype == TT_DTYPE_F64]);
    return;
  }
  const float *x = scan->input;
  float *y = scan->output;
  for (int64_t o = 0; o < scan->outer && scan->n > 0; o++, x += scan->n, y += scan->n) {
    (is_log ? log_softmax_row : softmax_row)(x, y, scan->n);
  }
}
