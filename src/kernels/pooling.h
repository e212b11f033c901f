/*
 * pooling: the largest or the mean of each window of dense planes (planes, H, W) -> (planes, OH, OW).
 *
 * Windows are told row by row and column by column, so that strided, padded, dilated and adaptive ones are one thing: output
 * place (y, x) reads rows first[0][y] to end[0][y] and columns first[1][x] to end[1][x], which lie inside, in steps of `step`.
 */
#ifndef TT_KERNELS_POOLING_H
#define TT_KERNELS_POOLING_H

#include "tensor/tensor.h"

typedef struct tt_pooling {
  tt_dtype dtype; /* float32 or float64 */
  int64_t n_planes;
  int64_t in[2], out[2];
  int64_t step[2];
  const int64_t *first[2], *end[2];
  const int64_t *size[2]; /* of a mean: by the product of both it divides; NULL for maxima */
  int64_t divisor;        /* instead of it, unless 0 */
} tt_pooling;

/* The largest, and where it stands in its plane, of at most 2^32 elements; NaN is larger than all, the first of equals counts. */
void tt_pooling_max(const tt_pooling *pooling, const void *input, void *values, int64_t *indices);

void tt_pooling_mean(const tt_pooling *pooling, const void *input, void *output);

/* The gradient of the means: each place of `grad` spread over its window. `input` is filled. */
void tt_pooling_spread(const tt_pooling *pooling, const void *grad, void *input);

#endif
