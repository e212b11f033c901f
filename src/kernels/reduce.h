/*
 * reduce: many elements to one, over any set of dimensions of a strided tensor.
 *
 * A tt_reduction splits the dimensions into kept (outer) and reduced (inner) ones and merges neighbours that lie evenly in
 * memory. The loops then run along the reduced dimension where that is the dense one, and across a tile of outputs where a
 * kept one is. Floating sums are taken in short blocks of the element type and gathered in double, so that their error does
 * not grow with the length; integers wrap as PyTorch's do. NaN wins every comparison and the first of equals gives the index.
 *
 * Outputs are contiguous, one element per combination of kept dimensions in row-major order. Nothing here allocates or fails.
 */
#ifndef TT_KERNELS_REDUCE_H
#define TT_KERNELS_REDUCE_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor/tensor.h"

typedef struct tt_reduction {
  const void *data; /* of the first element */
  tt_dtype dtype;
  int64_t n_outputs;
  int64_t n_reduced; /* elements per output; 0 is allowed for all but extremes */
  int n_outer, n_inner;
  int64_t outer_sizes[TT_MAX_DIMS], outer_strides[TT_MAX_DIMS];
  int64_t inner_sizes[TT_MAX_DIMS], inner_strides[TT_MAX_DIMS];
} tt_reduction;

/* is_reduced: one flag a dimension. keep_order: the reduced elements are met in row-major order, as an index into them
 * needs. */
tt_reduction tt_reduction_of(const tt_tensor *input, const bool *is_reduced, bool keep_order);

/* Sum divided by `divisor`. out_dtype is the input's for floating inputs (divisor 1 else), any integral or bool for others. */
void tt_reduce_sum(const tt_reduction *reduction, double divisor, tt_dtype out_dtype, void *out);
void tt_reduce_prod(const tt_reduction *reduction, tt_dtype out_dtype, void *out);

/* Floating inputs; out has their dtype. Divides by n_reduced - correction (0 or less: NaN or infinity, as the division
 * gives). */
void tt_reduce_var(const tt_reduction *reduction, double correction, bool take_sqrt, void *out);

/* Floating inputs. (sum |x|^p)^(1/p); p 0 counts what is not zero, p infinity and -infinity are the extremes of |x|. */
void tt_reduce_norm(const tt_reduction *reduction, double p, void *out);

/* Floating inputs. log(sum(exp(x))) without overflow. */
void tt_reduce_logsumexp(const tt_reduction *reduction, void *out);

/* Elements that are not zero (NaN is not). */
void tt_reduce_count_nonzero(const tt_reduction *reduction, int64_t *out);

/* Largest (or smallest) values in the input's dtype, and where they stand among the reduced elements; either may be NULL.
 * indices need a reduction that keeps order. */
void tt_reduce_extreme(const tt_reduction *reduction, bool largest, void *values, int64_t *indices);

#endif
