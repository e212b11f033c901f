/*
 * normalization: float32 and float64 data brought to mean 0 and variance 1, dense in and dense out.
 *
 * Two ways to see the data: rows of n elements, each with a mean of its own (layer and group normalisation), and (N, C, inner),
 * each channel with one over all samples (batch normalisation). Means and variances are taken in double.
 */
#ifndef TT_KERNELS_NORMALIZATION_H
#define TT_KERNELS_NORMALIZATION_H

#include "tensor/tensor.h"

typedef struct tt_normalization {
  tt_dtype dtype;
  double eps;
  const void *input;
  void *output;
  const void *weight, *bias; /* NULL: 1, 0 */
} tt_normalization;

/*
 * Rows of n elements. Weight and bias hold one element for `n_alike` neighbours, n_cycle rows of them, and begin again then.
 */
void tt_normalize_rows(const tt_normalization *what, int64_t n_rows, int64_t n, int64_t n_alike, int64_t n_cycle);

/* Mean and variance (divided by their number) of each channel. */
void tt_channel_moments(tt_dtype dtype, const void *input, int64_t n, int64_t n_channels, int64_t inner, double *means,
                        double *variances);

/* (x - mean) / sqrt(variance + eps) * weight + bias, by channel; weight and bias begin again after n_weights channels. */
void tt_normalize_channels(const tt_normalization *what, int64_t n, int64_t n_channels, int64_t inner, int64_t n_weights,
                           const double *means, const double *variances);

#endif
