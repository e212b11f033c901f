#include "kernels/normalization.h"

#include <math.h>

enum { LANES = 8 }; /* independent sums, so that the additions do not wait for each other */

#define DEFINE_NORMALIZATION(suffix, type)                                                                                  \
  static double sum_##suffix(const type *x, int64_t n) {                                                                    \
    double lanes[LANES] = {0};                                                                                              \
    int64_t i = 0;                                                                                                          \
    for (; i + LANES <= n; i += LANES) {                                                                                    \
      for (int l = 0; l < LANES; l++) lanes[l] += (double)x[i + l];                                                         \
    }                                                                                                                       \
    for (; i < n; i++) lanes[0] += (double)x[i];                                                                            \
    for (int l = 1; l < LANES; l++) lanes[0] += lanes[l];                                                                   \
    return lanes[0];                                                                                                        \
  }                                                                                                                         \
  static double squares_##suffix(const type *x, int64_t n, double mean) {                                                   \
    double lanes[LANES] = {0};                                                                                              \
    int64_t i = 0;                                                                                                          \
    for (; i + LANES <= n; i += LANES) {                                                                                    \
      for (int l = 0; l < LANES; l++) lanes[l] += ((double)x[i + l] - mean) * ((double)x[i + l] - mean);                    \
    }                                                                                                                       \
    for (; i < n; i++) lanes[0] += ((double)x[i] - mean) * ((double)x[i] - mean);                                           \
    for (int l = 1; l < LANES; l++) lanes[0] += lanes[l];                                                                   \
    return lanes[0];                                                                                                        \
  }                                                                                                                         \
  static void scale_##suffix(const type *x, type *y, int64_t n, double mean, double factor, double term) {                  \
    for (int64_t i = 0; i < n; i++) y[i] = (type)(((double)x[i] - mean) * factor + term);                                   \
  }                                                                                                                         \
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
        for (int64_t i = 0; i < n; i++) {                                                                                   \
          y[i] = (type)(((double)x[i] - mean) * rate * (double)weight[i] + (double)bias[i]);                                \
        }                                                                                                                   \
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
