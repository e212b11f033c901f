#include "kernels/normalization.h"

#include <math.h>

#include "base/loop.h"
#include "kernels/row_f32.h"

/* float32: in its own type, where vectors are. What the mean lacks as a float is taken off apart, so that a mean far from 0 costs nothing. */
static double sum_f32(const float *x, int64_t n) { return n > 0 ? tt_row_sum_f32(x, n) : 0; }

static double squares_f32(const float *x, int64_t n, double mean) { return n > 0 ? tt_row_squares_f32(x, n, mean) : 0; }

static void scale_f32(const float *x, float *y, int64_t n, double mean, double factor, double term) {
  const float middle = (float)mean, lacking = (float)(mean - (double)middle), by = (float)factor, plus = (float)term;
  TT_IN_STEP for (int64_t i = 0; i < n; i++) y[i] = (x[i] - middle - lacking) * by + plus;
}

static void scale_each_f32(const float *x, float *y, int64_t n, double mean, double factor, const float *weight,
                           const float *bias) {
  const float middle = (float)mean, lacking = (float)(mean - (double)middle), by = (float)factor;
  TT_IN_STEP for (int64_t i = 0; i < n; i++) y[i] = (x[i] - middle - lacking) * by * weight[i] + bias[i];
}

static TT_SHORT double sum_f64(const double *x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i];
  return sum;
}

static TT_SHORT double squares_f64(const double *x, int64_t n, double mean) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
  return sum;
}

static TT_SHORT void scale_f64(const double *x, double *y, int64_t n, double mean, double factor, double term) {
  for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * factor + term;
}

static TT_SHORT void scale_each_f64(const double *x, double *y, int64_t n, double mean, double factor, const double *weight,
                                    const double *bias) {
  for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * factor * weight[i] + bias[i];
}

#define DEFINE_NORMALIZATION(suffix, type)                                                                                  \
  static double at_##suffix(const void *values, int64_t i, double otherwise) {                                              \
    return values ? (double)((const type *)values)[i] : otherwise;                                                          \
  }                                                                                                                         \
  static void rows_##suffix(const tt_normalization *w, int64_t n_rows, int64_t n, int64_t n_alike, int64_t n_cycle) {       \
    int64_t n_weights = n / n_alike;                                                                                        \
    for (int64_t r = 0; r < n_rows; r++) {                                                                                  \
      const type *x = (const type *)w->input + r * n;                                                                       \
      type *y = (type *)w->output + r * n;                                                                                  \
      double mean = sum_##suffix(x, n) / (double)n;                                                                         \
      double rate = 1 / sqrt(squares_##suffix(x, n, mean) / (double)n + w->eps);                                            \
      int64_t first = r % n_cycle * n_weights;                                                                              \
      if (n_alike == 1 && w->weight && w->bias) {                                                                           \
        const type *weight = (const type *)w->weight + first, *bias = (const type *)w->bias + first;                        \
        scale_each_##suffix(x, y, n, mean, rate, weight, bias);                                                             \
        continue;                                                                                                           \
      }                                                                                                                     \
      for (int64_t k = 0; k < n_weights; k++) {                                                                             \
        double factor = rate * at_##suffix(w->weight, first + k, 1);                                                        \
        scale_##suffix(x + k * n_alike, y + k * n_alike, n_alike, mean, factor, at_##suffix(w->bias, first + k, 0));        \
      }                                                                                                                     \
    }                                                                                                                       \
  }                                                                                                                         \
  static void moments_##suffix(const void *input, int64_t n, int64_t n_channels, int64_t inner, double *means,              \
                               double *variances) {                                                                         \
    double count = (double)(n * inner);                                                                                     \
    for (int64_t c = 0; c < n_channels; c++) {                                                                              \
      double total = 0, squares = 0;                                                                                        \
      for (int64_t i = 0; i < n; i++) total += sum_##suffix((const type *)input + (i * n_channels + c) * inner, inner);     \
      means[c] = total / count;                                                                                             \
      for (int64_t i = 0; i < n; i++) {                                                                                     \
        squares += squares_##suffix((const type *)input + (i * n_channels + c) * inner, inner, means[c]);                   \
      }                                                                                                                     \
      variances[c] = squares / count;                                                                                       \
    }                                                                                                                       \
  }                                                                                                                         \
  static void channels_##suffix(const tt_normalization *w, int64_t n, int64_t n_channels, int64_t inner, int64_t n_weights, \
                                const double *means, const double *variances) {                                             \
    for (int64_t c = 0; c < n_channels; c++) {                                                                              \
      double factor = at_##suffix(w->weight, c % n_weights, 1) / sqrt(variances[c] + w->eps);                               \
      double term = at_##suffix(w->bias, c % n_weights, 0);                                                                 \
      for (int64_t i = 0; i < n; i++) {                                                                                     \
        int64_t first = (i * n_channels + c) * inner;                                                                       \
        scale_##suffix((const type *)w->input + first, (type *)w->output + first, inner, means[c], factor, term);           \
      }                                                                                                                     \
    }                                                                                                                       \
  }
DEFINE_NORMALIZATION(f32, float)
DEFINE_NORMALIZATION(f64, double)

void tt_normalize_rows(const tt_normalization *what, int64_t n_rows, int64_t n, int64_t n_alike, int64_t n_cycle) {
  (what->dtype == TT_DTYPE_F32 ? rows_f32 : rows_f64)(what, n_rows, n, n_alike, n_cycle);
}

void tt_channel_moments(tt_dtype dtype, const void *input, int64_t n, int64_t n_channels, int64_t inner, double *means,
                        double *variances) {
  (dtype == TT_DTYPE_F32 ? moments_f32 : moments_f64)(input, n, n_channels, inner, means, variances);
}

void tt_normalize_channels(const tt_normalization *what, int64_t n, int64_t n_channels, int64_t inner, int64_t n_weights,
                           const double *means, const double *variances) {
  (what->dtype == TT_DTYPE_F32 ? channels_f32 : channels_f64)(what, n, n_channels, inner, n_weights, means, variances);
}
