/*
 * view_common: what the rows of layout.c, joining.c and slicing.c share. Views share their base's storage; each function that makes a tensor answers
 * one reference, the caller's, and NULL with TT_ERR_MEMORY.
 */
#ifndef TT_OPS_VIEW_COMMON_H
#define TT_OPS_VIEW_COMMON_H

#include "ops/op.h"
#include "ops/rule.h"

/* A kernel's one result; takes over the reference. NULL stands for memory that could not be had. */
tt_status tt_answer_tensor(tt_tensor *tensor, tt_tensor **results, size_t *n_results);
/* The same with a new view of `base`. */
tt_status tt_answer_view(const tt_tensor *base, const tt_shape *shape, const int64_t *strides, int64_t offset,
                         tt_tensor **results, size_t *n_results, tt_error *error);

/* A dense copy, in another dtype if that is asked for. */
tt_tensor *tt_copied(const tt_tensor *source, tt_dtype dtype, tt_error *error);
/* self with dimension d running over n elements from `start`, `step` apart. */
tt_tensor *tt_slice_view(const tt_tensor *self, int d, int64_t start, int64_t n, int64_t step, tt_error *error);
/* self with dimension dim taken at one index. */
tt_tensor *tt_selected_view(const tt_tensor *self, int dim, int64_t index, tt_error *error);

/* The shape without the dimensions that are flagged. */
tt_shape tt_shape_without_dims(const tt_shape *shape, const bool *flags);
/* The shape that self takes when expanded to sizes, -1 keeping a size. Errors: TT_ERR_SHAPE. */
tt_status tt_expanded_shape(const tt_op *op, const tt_shape *self, const int64_t *sizes, int n_sizes, tt_shape *out,
                            tt_error *error);
/* TT_ERR_SHAPE for more dimensions than there may be. */
tt_status tt_need_dim_room(const tt_op *op, int n_dims, tt_error *error);
/* TT_ERR_INDEX for a scalar. */
tt_status tt_need_any_dim(const tt_op *op, const tt_shape *shape, tt_error *error);

/* In a gradient rule: x in the shape of `like`. */
tt_operand *tt_reshaped_like(tt_rule *rule, tt_operand *x, tt_operand *like);

#endif
