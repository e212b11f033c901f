/*
 * infer_common: what shape rules share. Rules read metas only, and a meta's shape may be unknown (tensor/shape.h).
 */
#ifndef TT_OPS_INFER_COMMON_H
#define TT_OPS_INFER_COMMON_H

#include <stdbool.h>

#include "base/status.h"
#include "ops/op.h"

/* The meta of an argument that the schema says is a Tensor. */
static inline const tt_meta *tt_arg_meta(const tt_value *arg) { return &arg->as.operand->meta; }

/* The same argument at a kernel, where operands are tensors. */
static inline tt_tensor *tt_arg_tensor(const tt_value *arg) { return (tt_tensor *)(void *)arg->as.operand; }

static inline bool tt_arg_is_none(const tt_value *arg) { return arg->type == TT_VALUE_NONE; }

static inline tt_meta tt_meta_unknown(tt_dtype dtype) {
  return (tt_meta){.dtype = dtype, .shape = {.n_dims = TT_DIMS_UNKNOWN}};
}

/* Answers one result. Returns TT_OK, so that rules end with `return tt_infer_one(...)`. */
tt_status tt_infer_one(tt_meta meta, tt_meta *results, size_t *n_results);

/* TT_ERR_SHAPE when the shape is not known yet: for rules whose number of results, or whose kernel's arguments, depend on
 * it. */
tt_status tt_infer_need_shape(const tt_op *op, const char *param, const tt_meta *meta, tt_error *error);

/* TT_ERR_DTYPE unless the dtype is float32 or float64. */
tt_status tt_infer_need_floating(const tt_op *op, tt_dtype dtype, tt_error *error);

/* TT_ERR_DTYPE unless both dtypes are the same. */
tt_status tt_infer_need_same_dtype(const tt_op *op, tt_dtype a, tt_dtype b, tt_error *error);

/*
 * The dimensions that a `dim` argument of type int?, int[]? names, as one flag a dimension: none and the empty list mean all.
 * Errors: TT_ERR_INDEX for one out of range, TT_ERR_ARGUMENT for one named twice.
 */
tt_status tt_infer_dim_flags(const tt_op *op, const tt_value *dim, int n_dims, bool flags[TT_MAX_DIMS], tt_error *error);

#endif
