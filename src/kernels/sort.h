/*
 * sort: the lines of a tensor along one dimension, put in order with the places they came from.
 *
 * Stable. NaN counts as greater than every number: last in ascending order, first in descending.
 */
#ifndef TT_KERNELS_SORT_H
#define TT_KERNELS_SORT_H

#include <stdbool.h>

#include "base/status.h"
#include "tensor/tensor.h"

/*
 * Writes the first n_kept of every sorted line along `dim`. values and indices (int64) are dense and have input's shape but for
 * n_kept at `dim`; either may be NULL. A scalar is a line of one. Errors: TT_ERR_MEMORY.
 */
tt_status tt_sort(const tt_tensor *input, int dim, bool descending, int64_t n_kept, tt_tensor *values, tt_tensor *indices,
                  tt_error *error);

/*
 * The lower median of every line along `dim` and its place; a line with NaN answers the first of them. values and indices are
 * dense, one element a line. Lines are not empty. Errors: TT_ERR_MEMORY.
 */
tt_status tt_sort_median(const tt_tensor *input, int dim, tt_tensor *values, tt_tensor *indices, tt_error *error);

#endif
