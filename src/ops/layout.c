/* Rows that lay the same elements out anew: permuted, reshaped, expanded, repeated. Views where PyTorch answers views. */
#include <inttypes.h>
#include <string.h>

#include "ops/grad_common.h"
#include "ops/infer_common.h"
#include "ops/rows.h"
#include "ops/rule.h"
#include "ops/view_common.h"

/* Of all rows that only rearrange what they are given into another shape. */
tt_status tt_grad_reshape(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  operand_grads[0] = tt_reshaped_like(&rule, call->grads[0], call->args[0].as.operand);
  return rule.status;
}

/* ---- permute, transpose, t, movedim ---- */

/* Permutes dimension order[d] to d; order is checked. */
static void permute_shape(const tt_shape *shape, const int *order, tt_shape *out) {
  out->n_dims = shape->n_dims;
  for (int d = 0; d < shape->n_dims; d++) out->dims[d] = shape->dims[order[d]];
}

static tt_status permuted_view(const tt_tensor *self, const int *order, tt_tensor **results, size_t *n_results,
                               tt_error *error) {
  tt_shape shape;
  int64_t strides[TT_MAX_DIMS];
  permute_shape(tt_tensor_shape(self), order, &shape);
  for (int d = 0; d < shape.n_dims; d++) strides[d] = self->strides[order[d]];
  return tt_answer_view(self, &shape, strides, self->offset, results, n_results, error);
}

static tt_status permute_order(const tt_op *op, const tt_value *dims, int n_dims, int *order, tt_error *error) {
  if (dims->n != (uint32_t)n_dims) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: %u dimensions were given for a tensor that has %d; name each one once",
                   op->name, (unsigned)dims->n, n_dims);
  }
  bool is_named[TT_MAX_DIMS] = {false};
  for (int d = 0; d < n_dims; d++) {
    TT_TRY(tt_shape_wrap_dim(op->name, dims->as.ints[d], n_dims, &order[d], error));
    if (is_named[order[d]]) return tt_fail(error, TT_ERR_ARGUMENT, "%s: dimension %d is named twice", op->name, order[d]);
    is_named[order[d]] = true;
  }
  return TT_OK;
}

tt_status tt_infer_permute(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  tt_meta meta = *self;
  if (tt_shape_is_known(&self->shape)) {
    int order[TT_MAX_DIMS];
    TT_TRY(permute_order(op, &args[1], self->shape.n_dims, order, error));
    permute_shape(&self->shape, order, &meta.shape);
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_permute(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                            tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  int order[TT_MAX_DIMS];
  TT_TRY(permute_order(op, &args[1], tt_tensor_n_dims(self), order, error));
  return permuted_view(self, order, results, n_results, error);
}

tt_status tt_grad_permute(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  uint32_t n_dims = call->args[1].n;
  int order[TT_MAX_DIMS];
  int64_t inverse[TT_MAX_DIMS];
  TT_TRY(permute_order(call->op, &call->args[1], (int)n_dims, order, error));
  for (uint32_t d = 0; d < n_dims; d++) inverse[order[d]] = d;
  operand_grads[0] = TT_RULE(&rule, permute, tt_operand_value(call->grads[0]), tt_ints(inverse, n_dims));
  return rule.status;
}

static tt_status swap_order(const tt_op *op, int64_t dim0, int64_t dim1, int n_dims, int *order, tt_error *error) {
  int first, second;
  TT_TRY(tt_shape_wrap_dim(op->name, dim0, n_dims, &first, error));
  TT_TRY(tt_shape_wrap_dim(op->name, dim1, n_dims, &second, error));
  for (int d = 0; d < n_dims; d++) order[d] = d == first ? second : d == second ? first : d;
  return TT_OK;
}

tt_status tt_infer_transpose(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  tt_meta meta = *self;
  if (tt_shape_is_known(&self->shape)) {
    int order[TT_MAX_DIMS];
    TT_TRY(swap_order(op, args[1].as.integer, args[2].as.integer, self->shape.n_dims, order, error));
    permute_shape(&self->shape, order, &meta.shape);
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_transpose(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                              tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  int order[TT_MAX_DIMS];
  TT_TRY(swap_order(op, args[1].as.integer, args[2].as.integer, tt_tensor_n_dims(self), order, error));
  return permuted_view(self, order, results, n_results, error);
}

tt_status tt_grad_transpose(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  operand_grads[0] = TT_RULE(&rule, transpose, tt_operand_value(call->grads[0]), call->args[1], call->args[2]);
  return rule.status;
}

tt_status tt_infer_t(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  (void)op;
  tt_meta meta = *tt_arg_meta(&args[0]);
  if (meta.shape.n_dims > 2) {
    return tt_fail(error, TT_ERR_SHAPE, "t takes at most 2 dimensions, but the tensor has %d; transpose takes any",
                   meta.shape.n_dims);
  }
  if (meta.shape.n_dims == 2) {
    int64_t rows = meta.shape.dims[0];
    meta.shape.dims[0] = meta.shape.dims[1];
    meta.shape.dims[1] = rows;
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_t(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                      tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)context, (void)metas;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  static const int keep[2] = {0, 1}, swap[2] = {1, 0};
  return permuted_view(self, tt_tensor_n_dims(self) == 2 ? swap : keep, results, n_results, error);
}

tt_status tt_grad_t(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  operand_grads[0] = tt_rule_unary(&rule, TT_OP_t, call->grads[0]);
  return rule.status;
}

/* The dimensions of `source` go to the places of `destination`; the others keep their order. */
static tt_status move_order(const tt_op *op, const tt_value *source, const tt_value *destination, int n_dims, int *order,
                            tt_error *error) {
  if (source->n != destination->n) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: %u dimensions to move but %u places to move them to", op->name,
                   (unsigned)source->n, (unsigned)destination->n);
  }
  bool is_moved[TT_MAX_DIMS] = {false}, is_taken[TT_MAX_DIMS] = {false};
  for (uint32_t i = 0; i < source->n; i++) {
    int from, to;
    TT_TRY(tt_shape_wrap_dim(op->name, source->as.ints[i], n_dims, &from, error));
    TT_TRY(tt_shape_wrap_dim(op->name, destination->as.ints[i], n_dims, &to, error));
    if (is_moved[from] || is_taken[to]) {
      return tt_fail(error, TT_ERR_ARGUMENT, "%s: dimension %d is named twice", op->name, is_moved[from] ? from : to);
    }
    is_moved[from] = is_taken[to] = true;
    order[to] = from;
  }
  int next = 0;
  for (int d = 0; d < n_dims; d++) {
    if (is_taken[d]) continue;
    while (is_moved[next]) next++;
    order[d] = next++;
  }
  return TT_OK;
}

tt_status tt_infer_movedim(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  tt_meta meta = *self;
  if (tt_shape_is_known(&self->shape)) {
    int order[TT_MAX_DIMS];
    TT_TRY(move_order(op, &args[1], &args[2], self->shape.n_dims, order, error));
    permute_shape(&self->shape, order, &meta.shape);
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_movedim(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                            tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  int order[TT_MAX_DIMS];
  TT_TRY(move_order(op, &args[1], &args[2], tt_tensor_n_dims(self), order, error));
  return permuted_view(self, order, results, n_results, error);
}

tt_status tt_grad_movedim(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  operand_grads[0] = TT_RULE(&rule, movedim, tt_operand_value(call->grads[0]), call->args[2], call->args[1]);
  return rule.status;
}

/* ---- reshape, view, flatten ---- */

/* Fills in the one size that may be -1. */
static tt_status resolve_sizes(const tt_op *op, const tt_value *sizes, int64_t n_elements, tt_shape *out, tt_error *error) {
  TT_TRY(tt_need_dim_room(op, (int)sizes->n, error));
  tt_shape shape = {.n_dims = (int)sizes->n};
  int64_t known = 1;
  int open = -1;
  for (int d = 0; d < shape.n_dims; d++) {
    int64_t size = sizes->as.ints[d];
    shape.dims[d] = size;
    if (size == -1) {
      if (open >= 0) return tt_fail(error, TT_ERR_SHAPE, "%s: only one size can be -1 (to be inferred)", op->name);
      open = d;
    } else if (size < 0) {
      return tt_fail(error, TT_ERR_SHAPE, "%s: %" PRId64 " is no size of a dimension", op->name, size);
    } else if (size > 0 && known > TT_MAX_ELEMENTS / size) {
      known = TT_MAX_ELEMENTS;
    } else {
      known *= size;
    }
  }
  if (open >= 0 && known == 0) {
    return tt_fail(error, TT_ERR_SHAPE, "%s: the size -1 could be anything, since another size is 0; name it", op->name);
  }
  if (open >= 0 && n_elements % known == 0) {
    shape.dims[open] = n_elements / known;
    known = n_elements;
  }
  if (known != n_elements || (open >= 0 && shape.dims[open] < 0)) {
    char text[TT_SHAPE_TEXT_BYTES];
    return tt_fail(error, TT_ERR_SHAPE, "%s: shape %s is invalid for a tensor of %" PRId64 " elements", op->name,
                   tt_shape_text(&shape, text), n_elements);
  }
  return tt_shape_make(shape.dims, (size_t)shape.n_dims, out, error);
}

tt_status tt_infer_reshape(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  const tt_value *sizes = &args[1];
  tt_meta meta = tt_meta_unknown(self->dtype);
  if (tt_shape_is_known(&self->shape)) {
    TT_TRY(resolve_sizes(op, sizes, tt_shape_n_elements(&self->shape), &meta.shape, error));
  } else {
    bool is_open = false;
    for (uint32_t i = 0; i < sizes->n; i++) is_open = is_open || sizes->as.ints[i] == -1;
    if (!is_open) TT_TRY(tt_shape_make(sizes->as.ints, sizes->n, &meta.shape, error));
  }
  return tt_infer_one(meta, results, n_results);
}

/*
 * The strides with which `shape`, of as many elements, is a view of self; false when there are none. Works through runs of
 * self's dimensions that lie evenly in memory: the new dimensions must divide each run without a rest.
 */
static bool view_strides(const tt_tensor *self, const tt_shape *shape, int64_t *strides) {
  const tt_shape *old = tt_tensor_shape(self);
  int64_t n_elements = tt_shape_n_elements(shape);
  if (n_elements == 0) {
    int64_t stride = 1;
    for (int d = shape->n_dims - 1; d >= 0; d--) {
      strides[d] = stride;
      stride *= shape->dims[d] > 1 ? shape->dims[d] : 1;
    }
    return true;
  }
  if (old->n_dims == 0) {
    for (int d = 0; d < shape->n_dims; d++) strides[d] = 1;
    return true;
  }
  int d = shape->n_dims - 1;
  int64_t run_stride = self->strides[old->n_dims - 1], n_run = 1, n_placed = 1;
  for (int o = old->n_dims - 1; o >= 0; o--) {
    n_run *= old->dims[o];
    bool ends_run = o == 0 || (old->dims[o - 1] != 1 && self->strides[o - 1] != n_run * run_stride);
    if (!ends_run) continue;
    while (d >= 0 && (n_placed < n_run || shape->dims[d] == 1)) {
      strides[d] = n_placed * run_stride;
      n_placed *= shape->dims[d];
      d--;
    }
    if (n_placed != n_run) return false;
    if (o > 0) {
      run_stride = self->strides[o - 1];
      n_run = n_placed = 1;
    }
  }
  return d == -1;
}

tt_status tt_kernel_view(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  int64_t strides[TT_MAX_DIMS];
  if (!view_strides(self, &metas[0].shape, strides)) {
    char from[TT_SHAPE_TEXT_BYTES], to[TT_SHAPE_TEXT_BYTES];
    return tt_fail(error, TT_ERR_SHAPE,
                   "%s: the tensor of shape %s does not lie in memory so that %s is a view of it (a dimension spans across two "
                   "separate pieces); use reshape, which copies",
                   op->name, tt_shape_text(tt_tensor_shape(self), from), tt_shape_text(&metas[0].shape, to));
  }
  return tt_answer_view(self, &metas[0].shape, strides, self->offset, results, n_results, error);
}

/* A view where there is one, else a copy. */
tt_status tt_kernel_reshape(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                            tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)context;
  tt_tensor *self = tt_arg_tensor(&args[0]);
  int64_t strides[TT_MAX_DIMS];
  if (view_strides(self, &metas[0].shape, strides)) {
    return tt_answer_view(self, &metas[0].shape, strides, self->offset, results, n_results, error);
  }
  tt_tensor *dense = tt_tensor_contiguous(self, error);
  if (!dense) return TT_ERR_MEMORY;
  view_strides(dense, &metas[0].shape, strides);
  tt_status status = tt_answer_view(dense, &metas[0].shape, strides, dense->offset, results, n_results, error);
  tt_tensor_unref(dense);
  return status;
}

tt_status tt_infer_reshape_as(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]), *other = tt_arg_meta(&args[1]);
  tt_meta meta = {.dtype = self->dtype, .shape = other->shape};
  if (tt_shape_is_known(&self->shape) && tt_shape_is_known(&other->shape)) {
    tt_value sizes = tt_ints(other->shape.dims, (uint32_t)other->shape.n_dims);
    TT_TRY(resolve_sizes(op, &sizes, tt_shape_n_elements(&self->shape), &meta.shape, error));
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_infer_flatten(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  if (!tt_shape_is_known(&self->shape)) return tt_infer_one(*self, results, n_results);
  int start, end;
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, self->shape.n_dims, &start, error));
  TT_TRY(tt_shape_wrap_dim(op->name, args[2].as.integer, self->shape.n_dims, &end, error));
  if (start > end) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: start_dim %d comes after end_dim %d", op->name, start, end);
  }
  tt_meta meta = {.dtype = self->dtype};
  int64_t n = 1;
  for (int d = 0; d < self->shape.n_dims; d++) {
    if (d >= start && d <= end) {
      n *= self->shape.dims[d];
      if (d == end) meta.shape.dims[meta.shape.n_dims++] = n;
    } else {
      meta.shape.dims[meta.shape.n_dims++] = self->shape.dims[d];
    }
  }
  if (self->shape.n_dims == 0) meta.shape = (tt_shape){.n_dims = 1, .dims = {1}};
  return tt_infer_one(meta, results, n_results);
}

/* ---- squeeze, unsqueeze ---- */

/* Which dimensions squeeze takes away. */
static tt_status squeezed_dims(const tt_op *op, const tt_value *dim, const tt_shape *shape, bool *flags, tt_error *error) {
  TT_TRY(tt_infer_dim_flags(op, dim, shape->n_dims, flags, error));
  for (int d = 0; d < shape->n_dims; d++) flags[d] = flags[d] && shape->dims[d] == 1;
  return TT_OK;
}

tt_status tt_infer_squeeze(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta = *tt_arg_meta(&args[0]);
  if (tt_shape_is_known(&meta.shape)) {
    bool flags[TT_MAX_DIMS];
    TT_TRY(squeezed_dims(op, &args[1], &meta.shape, flags, error));
    meta.shape = tt_shape_without_dims(&meta.shape, flags);
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_squeeze(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                            tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  bool flags[TT_MAX_DIMS];
  TT_TRY(squeezed_dims(op, &args[1], tt_tensor_shape(self), flags, error));
  int64_t strides[TT_MAX_DIMS];
  int n = 0;
  for (int d = 0; d < tt_tensor_n_dims(self); d++) {
    if (!flags[d]) strides[n++] = self->strides[d];
  }
  return tt_answer_view(self, &metas[0].shape, strides, self->offset, results, n_results, error);
}

tt_status tt_infer_unsqueeze(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta = *tt_arg_meta(&args[0]);
  if (!tt_shape_is_known(&meta.shape)) return tt_infer_one(meta, results, n_results);
  int dim;
  TT_TRY(tt_need_dim_room(op, meta.shape.n_dims + 1, error));
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, meta.shape.n_dims + 1, &dim, error));
  for (int d = meta.shape.n_dims; d > dim; d--) meta.shape.dims[d] = meta.shape.dims[d - 1];
  meta.shape.dims[dim] = 1;
  meta.shape.n_dims++;
  return tt_infer_one(meta, results, n_results);
}

static tt_tensor *unsqueezed(const tt_tensor *self, int dim, tt_error *error) {
  tt_shape shape = *tt_tensor_shape(self);
  int64_t strides[TT_MAX_DIMS];
  memcpy(strides, self->strides, sizeof strides);
  int64_t stride = dim < shape.n_dims ? shape.dims[dim] * strides[dim] : 1;
  for (int d = shape.n_dims; d > dim; d--) {
    shape.dims[d] = shape.dims[d - 1];
    strides[d] = strides[d - 1];
  }
  shape.dims[dim] = 1;
  strides[dim] = stride;
  shape.n_dims++;
  return tt_tensor_view(self, &shape, strides, self->offset, error);
}

tt_status tt_kernel_unsqueeze(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                              tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, tt_tensor_n_dims(self) + 1, &dim, error));
  return tt_answer_tensor(unsqueezed(self, dim, error), results, n_results);
}

/* ---- expand ---- */

tt_status tt_infer_expand(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  const tt_value *sizes = &args[1];
  tt_meta meta = tt_meta_unknown(self->dtype);
  if (tt_shape_is_known(&self->shape)) {
    TT_TRY(tt_expanded_shape(op, &self->shape, sizes->as.ints, (int)sizes->n, &meta.shape, error));
  } else {
    bool keeps = false;
    for (uint32_t i = 0; i < sizes->n; i++) keeps = keeps || sizes->as.ints[i] == -1;
    if (!keeps) TT_TRY(tt_shape_make(sizes->as.ints, sizes->n, &meta.shape, error));
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_infer_expand_as(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]), *other = tt_arg_meta(&args[1]);
  tt_meta meta = {.dtype = self->dtype, .shape = other->shape};
  if (tt_shape_is_known(&self->shape) && tt_shape_is_known(&other->shape)) {
    TT_TRY(tt_expanded_shape(op, &self->shape, other->shape.dims, other->shape.n_dims, &meta.shape, error));
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_expand(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)context;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  const tt_shape *from = tt_tensor_shape(self), *to = &metas[0].shape;
  int64_t strides[TT_MAX_DIMS] = {0};
  int n_new = to->n_dims - from->n_dims;
  for (int d = n_new; d < to->n_dims; d++) {
    strides[d] = from->dims[d - n_new] == 1 && to->dims[d] != 1 ? 0 : self->strides[d - n_new];
  }
  return tt_answer_view(self, to, strides, self->offset, results, n_results, error);
}

tt_status tt_grad_expand(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  operand_grads[0] = tt_grad_sum_to(&rule, call->op, call->grads[0], call->args[0].as.operand);
  return rule.status;
}

/* ---- repeat ---- */

tt_status tt_infer_repeat(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  const tt_value *repeats = &args[1];
  if (!tt_shape_is_known(&self->shape)) return tt_infer_one(*self, results, n_results);
  TT_TRY(tt_need_dim_room(op, (int)repeats->n, error));
  int n_new = (int)repeats->n - self->shape.n_dims;
  if (n_new < 0) {
    return tt_fail(error, TT_ERR_SHAPE, "repeat: %u repeats are fewer than the tensor's %d dimensions", (unsigned)repeats->n,
                   self->shape.n_dims);
  }
  tt_shape shape = {.n_dims = (int)repeats->n};
  for (int d = 0; d < shape.n_dims; d++) {
    int64_t count = repeats->as.ints[d], size = d < n_new ? 1 : self->shape.dims[d - n_new];
    if (count < 0) return tt_fail(error, TT_ERR_SHAPE, "repeat: %" PRId64 " is no number of repeats", count);
    shape.dims[d] = size > 0 && count > TT_MAX_ELEMENTS / size ? TT_MAX_ELEMENTS : count * size;
  }
  tt_meta meta = {.dtype = self->dtype};
  TT_TRY(tt_shape_make(shape.dims, (size_t)shape.n_dims, &meta.shape, error));
  return tt_infer_one(meta, results, n_results);
}

/* Doubles what is there along `dim`, from n elements until the dimension is full; the other dimensions are as `filled` has
 * them. */
static tt_status fill_along(const tt_tensor *filled, int dim, int64_t n, int64_t n_total, tt_error *error) {
  while (n < n_total) {
    int64_t n_copy = n < n_total - n ? n : n_total - n;
    tt_tensor *from = tt_slice_view(filled, dim, 0, n_copy, 1, error);
    tt_tensor *to = from ? tt_slice_view(filled, dim, n, n_copy, 1, error) : NULL;
    tt_status status = to ? tt_tensor_copy(to, from, error) : TT_ERR_MEMORY;
    tt_tensor_unref(from);
    tt_tensor_unref(to);
    if (status != TT_OK) return status;
    n += n_copy;
  }
  return TT_OK;
}

tt_status tt_kernel_repeat(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)context;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  const tt_shape *shape = &metas[0].shape;
  tt_tensor *out = tt_tensor_new(metas[0].dtype, shape, error);
  if (!out) return TT_ERR_MEMORY;
  tt_status status = TT_OK;
  if (tt_shape_n_elements(shape) > 0) {
    /* The corner that is filled so far: first self itself, then one dimension after the other, the innermost first. */
    int n_new = shape->n_dims - tt_tensor_n_dims(self);
    tt_shape corner_shape = *shape;
    for (int d = 0; d < shape->n_dims; d++) corner_shape.dims[d] = d < n_new ? 1 : tt_tensor_shape(self)->dims[d - n_new];
    tt_tensor *corner = tt_tensor_view(out, &corner_shape, out->strides, out->offset, error);
    status = corner ? tt_tensor_copy(corner, self, error) : TT_ERR_MEMORY;
    tt_tensor_unref(corner);
    for (int d = shape->n_dims - 1; d >= 0 && status == TT_OK; d--) {
      int64_t n = corner_shape.dims[d];
      corner_shape.dims[d] = shape->dims[d];
      corner = tt_tensor_view(out, &corner_shape, out->strides, out->offset, error);
      status = corner ? fill_along(corner, d, n, shape->dims[d], error) : TT_ERR_MEMORY;
      tt_tensor_unref(corner);
    }
  }
  if (status != TT_OK) {
    tt_tensor_unref(out);
    return status;
  }
  return tt_answer_tensor(out, results, n_results);
}

/* Sums the copies one dimension at a time: (outer, repeats, what one copy holds). */
tt_status tt_grad_repeat(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *self = call->args[0].as.operand, *grad = call->grads[0];
  if (!tt_rule_need_shape(&rule, call->op, self)) return rule.status;
  const tt_shape *shape = &self->meta.shape;
  int n_dims = (int)call->args[1].n, n_new = n_dims - shape->n_dims;
  if (tt_shape_n_elements(&call->results[0]->meta.shape) == 0) {
    operand_grads[0] = tt_rule_unary(&rule, TT_OP_zeros_like, self);
    return rule.status;
  }
  int64_t outer = 1;
  for (int d = 0; d < n_dims; d++) {
    int64_t size = d < n_new ? 1 : shape->dims[d - n_new];
    int64_t split[3] = {outer, call->args[1].as.ints[d], -1}, dim = 1;
    grad = TT_RULE(&rule, reshape, tt_operand_value(grad), tt_ints(split, 3));
    grad = TT_RULE(&rule, sum, tt_operand_value(grad), tt_ints(&dim, 1));
    outer *= size;
  }
  operand_grads[0] = tt_reshaped_like(&rule, grad, self);
  return rule.status;
}

/* ---- contiguous ---- */

tt_status tt_infer_contiguous(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  (void)op, (void)error;
  return tt_infer_one(*tt_arg_meta(&args[0]), results, n_results);
}

tt_status tt_kernel_contiguous(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                               tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)context, (void)metas;
  tt_tensor *self = tt_arg_tensor(&args[0]);
  if (!tt_tensor_is_contiguous(self)) return tt_answer_tensor(tt_tensor_contiguous(self, error), results, n_results);
  return tt_answer_view(self, tt_tensor_shape(self), self->strides, self->offset, results, n_results, error);
}

tt_status tt_grad_contiguous(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  (void)context, (void)error;
  operand_grads[0] = call->grads[0];
  return TT_OK;
}
