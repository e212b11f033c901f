/*
 * spatial: what rows over images share: operands of shape (N, C, H, W) or (C, H, W), and parameters that are a number for both
 * sides or a pair.
 */
#ifndef TT_OPS_SPATIAL_H
#define TT_OPS_SPATIAL_H

#include "ops/op.h"

/* The two numbers of an int[] argument, each from `least` to INT32_MAX. Errors: TT_ERR_ARGUMENT. */
tt_status tt_spatial_pair(const tt_op *op, const char *param, const tt_value *arg, int64_t least, int64_t pair[2],
                          tt_error *error);

/* TT_ERR_SHAPE unless the known shape has three or four dimensions, none but the batch empty and none beyond INT32_MAX. */
tt_status tt_spatial_need_image(const tt_op *op, const char *param, const tt_shape *shape, tt_error *error);

/* (-1, C, 1, W) from (-1, C, W): one-dimensional rows are two-dimensional ones of height 1. */
void tt_spatial_pair_of_one(const tt_value *arg, int64_t for_height, int64_t pair[2]);

#endif
