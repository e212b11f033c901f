/* Rows of the shape section: views where PyTorch answers views, copies where it copies. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/gather.h"
#include "ops/grad_common.h"
#include "ops/infer_common.h"
#include "ops/rows.h"
#include "ops/rule.h"

/* ---- common ---- */

static tt_status one(tt_tensor *tensor, tt_tensor **results, size_t *n_results) {
  if (!tensor) return TT_ERR_MEMORY;
  results[0] = tensor;
  *n_results = 1;
  return TT_OK;
}

static tt_status one_view(const tt_tensor *base, const tt_shape *shape, const int64_t *strides, int64_t offset,
                          tt_tensor **results, size_t *n_results, tt_error *error) {
  return one(tt_tensor_view(base, shape, strides, offset, error), results, n_results);
}

/* A new tensor of another dtype at most: dense, with a copy of `source`. */
static tt_tensor *copied(const tt_tensor *source, tt_dtype dtype, tt_error *error) {
  tt_tensor *out = tt_tensor_new(dtype, tt_tensor_shape(source), error);
  if (out && tt_tensor_copy(out, source, error) != TT_OK) {
    tt_tensor_unref(out);
    return NULL;
  }
  return out;
}

/* self with dimension d running over n elements from `start`, `step` apart. */
static tt_tensor *slice_view(const tt_tensor *self, int d, int64_t start, int64_t n, int64_t step, tt_error *error) {
  tt_shape shape = *tt_tensor_shape(self);
  int64_t strides[TT_MAX_DIMS];
  memcpy(strides, self->strides, sizeof strides);
  int64_t offset = n > 0 ? self->offset + start * strides[d] : self->offset;
  shape.dims[d] = n;
  strides[d] *= step;
  return tt_tensor_view(self, &shape, strides, offset, error);
}

static tt_status need_dim_room(const tt_op *op, int n_dims, tt_error *error) {
  if (n_dims <= TT_MAX_DIMS) return TT_OK;
  return tt_fail(error, TT_ERR_SHAPE, "%s: the result would have %d dimensions, and at most %d are supported", op->name, n_dims,
                 (int)TT_MAX_DIMS);
}

static tt_status need_any_dim(const tt_op *op, const tt_shape *shape, tt_error *error) {
  if (shape->n_dims > 0) return TT_OK;
  return tt_fail(error, TT_ERR_INDEX, "%s cannot be applied to a 0-dimensional tensor", op->name);
}

static tt_operand *reshaped_like(tt_rule *rule, tt_operand *x, tt_operand *like) {
  return tt_rule_binary(rule, TT_OP_reshape_as, x, like);
}

/* Of all rows that only rearrange what they are given into another shape. */
tt_status tt_grad_reshape(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  operand_grads[0] = reshaped_like(&rule, call->grads[0], call->args[0].as.operand);
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
  return one_view(self, &shape, strides, self->offset, results, n_results, error);
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
  TT_TRY(need_dim_room(op, (int)sizes->n, error));
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
  return one_view(self, &metas[0].shape, strides, self->offset, results, n_results, error);
}

/* A view where there is one, else a copy. */
tt_status tt_kernel_reshape(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                            tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)context;
  tt_tensor *self = tt_arg_tensor(&args[0]);
  int64_t strides[TT_MAX_DIMS];
  if (view_strides(self, &metas[0].shape, strides)) {
    return one_view(self, &metas[0].shape, strides, self->offset, results, n_results, error);
  }
  tt_tensor *dense = tt_tensor_contiguous(self, error);
  if (!dense) return TT_ERR_MEMORY;
  view_strides(dense, &metas[0].shape, strides);
  tt_status status = one_view(dense, &metas[0].shape, strides, dense->offset, results, n_results, error);
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

static tt_shape without_dims(const tt_shape *shape, const bool *flags) {
  tt_shape out = {.n_dims = 0};
  for (int d = 0; d < shape->n_dims; d++) {
    if (!flags[d]) out.dims[out.n_dims++] = shape->dims[d];
  }
  return out;
}

tt_status tt_infer_squeeze(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta = *tt_arg_meta(&args[0]);
  if (tt_shape_is_known(&meta.shape)) {
    bool flags[TT_MAX_DIMS];
    TT_TRY(squeezed_dims(op, &args[1], &meta.shape, flags, error));
    meta.shape = without_dims(&meta.shape, flags);
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
  return one_view(self, &metas[0].shape, strides, self->offset, results, n_results, error);
}

tt_status tt_infer_unsqueeze(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta = *tt_arg_meta(&args[0]);
  if (!tt_shape_is_known(&meta.shape)) return tt_infer_one(meta, results, n_results);
  int dim;
  TT_TRY(need_dim_room(op, meta.shape.n_dims + 1, error));
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
  return one(unsqueezed(self, dim, error), results, n_results);
}

/* ---- expand ---- */

/* The shape that self takes when expanded to sizes, -1 keeping a size. */
static tt_status expanded_shape(const tt_op *op, const tt_shape *self, const int64_t *sizes, int n_sizes, tt_shape *out,
                                tt_error *error) {
  TT_TRY(need_dim_room(op, n_sizes, error));
  int n_new = n_sizes - self->n_dims;
  char text[TT_SHAPE_TEXT_BYTES];
  if (n_new < 0) {
    return tt_fail(error, TT_ERR_SHAPE, "%s: %d sizes are fewer than the dimensions of a tensor of shape %s", op->name, n_sizes,
                   tt_shape_text(self, text));
  }
  tt_shape shape = {.n_dims = n_sizes};
  for (int d = 0; d < n_sizes; d++) {
    int64_t size = sizes[d];
    if (d < n_new && size < 0) {
      return tt_fail(error, TT_ERR_SHAPE, "%s: the size %" PRId64 " is not allowed for the new dimension %d", op->name, size,
                     d);
    }
    if (d >= n_new && size == -1) size = self->dims[d - n_new];
    if (d >= n_new && self->dims[d - n_new] != 1 && self->dims[d - n_new] != size) {
      return tt_fail(error, TT_ERR_SHAPE,
                     "%s: the size %" PRId64 " at dimension %d does not fit the tensor of shape %s, whose size there is not 1",
                     op->name, size, d, tt_shape_text(self, text));
    }
    shape.dims[d] = size;
  }
  return tt_shape_make(shape.dims, (size_t)n_sizes, out, error);
}

tt_status tt_infer_expand(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  const tt_value *sizes = &args[1];
  tt_meta meta = tt_meta_unknown(self->dtype);
  if (tt_shape_is_known(&self->shape)) {
    TT_TRY(expanded_shape(op, &self->shape, sizes->as.ints, (int)sizes->n, &meta.shape, error));
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
    TT_TRY(expanded_shape(op, &self->shape, other->shape.dims, other->shape.n_dims, &meta.shape, error));
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
  return one_view(self, to, strides, self->offset, results, n_results, error);
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
  TT_TRY(need_dim_room(op, (int)repeats->n, error));
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
    tt_tensor *from = slice_view(filled, dim, 0, n_copy, 1, error);
    tt_tensor *to = from ? slice_view(filled, dim, n, n_copy, 1, error) : NULL;
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
  return one(out, results, n_results);
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
  operand_grads[0] = reshaped_like(&rule, grad, self);
  return rule.status;
}

/* ---- cat, stack ---- */

/* PyTorch lets 1-d tensors without elements pass through cat, whatever the others' shape. */
static bool is_skipped(const tt_shape *shape) { return shape->n_dims == 1 && shape->dims[0] == 0; }

tt_status tt_infer_cat(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_value *list = &args[0];
  if (list->n == 0) return tt_fail(error, TT_ERR_ARGUMENT, "cat needs at least one tensor");
  tt_dtype dtype = list->as.operands[0]->meta.dtype;
  bool is_known = true;
  for (uint32_t i = 0; i < list->n; i++) {
    const tt_meta *meta = &list->as.operands[i]->meta;
    dtype = tt_dtype_promote(dtype, meta->dtype);
    is_known = is_known && tt_shape_is_known(&meta->shape);
    if (meta->shape.n_dims == 0) {
      return tt_fail(error, TT_ERR_SHAPE, "cat: tensor %u has no dimension to be concatenated along; stack takes it",
                     (unsigned)i);
    }
  }
  if (!is_known) return tt_infer_one(tt_meta_unknown(dtype), results, n_results);

  const tt_shape *first = NULL;
  tt_meta meta = {.dtype = dtype, .shape = list->as.operands[0]->meta.shape};
  int dim = 0;
  for (uint32_t i = 0; i < list->n; i++) {
    const tt_shape *shape = &list->as.operands[i]->meta.shape;
    if (is_skipped(shape)) continue;
    if (!first) {
      first = shape;
      meta.shape = *shape;
      TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, shape->n_dims, &dim, error));
      continue;
    }
    bool fits = shape->n_dims == first->n_dims;
    for (int d = 0; fits && d < first->n_dims; d++) fits = d == dim || shape->dims[d] == first->dims[d];
    if (!fits) {
      char a[TT_SHAPE_TEXT_BYTES], b[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE,
                     "cat: shapes must be equal except in dimension %d, but tensor %u has %s where %s came before", dim,
                     (unsigned)i, tt_shape_text(shape, a), tt_shape_text(first, b));
    }
    meta.shape.dims[dim] += shape->dims[dim];
  }
  if (!first) TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, 1, &dim, error));
  TT_TRY(tt_shape_make(meta.shape.dims, (size_t)meta.shape.n_dims, &meta.shape, error));
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_cat(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                        tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, metas[0].shape.n_dims, &dim, error));
  tt_tensor *out = tt_tensor_new(metas[0].dtype, &metas[0].shape, error);
  if (!out) return TT_ERR_MEMORY;
  tt_status status = TT_OK;
  int64_t at = 0;
  for (uint32_t i = 0; i < args[0].n && status == TT_OK; i++) {
    const tt_tensor *part = (const tt_tensor *)(const void *)args[0].as.operands[i];
    if (is_skipped(tt_tensor_shape(part))) continue;
    int64_t n = tt_tensor_shape(part)->dims[dim];
    tt_tensor *place = slice_view(out, dim, at, n, 1, error);
    status = place ? tt_tensor_copy(place, part, error) : TT_ERR_MEMORY;
    tt_tensor_unref(place);
    at += n;
  }
  if (status != TT_OK) {
    tt_tensor_unref(out);
    return status;
  }
  return one(out, results, n_results);
}

tt_status tt_grad_cat(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  const tt_value *list = &call->args[0];
  int64_t at = 0;
  for (uint32_t i = 0; i < list->n; i++) {
    tt_operand *part = list->as.operands[i];
    if (!tt_rule_need_shape(&rule, call->op, part) || !tt_rule_need_shape(&rule, call->op, call->results[0])) break;
    if (is_skipped(&part->meta.shape)) {
      if (call->is_needed[i]) operand_grads[i] = tt_rule_unary(&rule, TT_OP_zeros_like, part);
      continue;
    }
    int dim;
    TT_TRY(tt_shape_wrap_dim(call->op->name, call->args[1].as.integer, part->meta.shape.n_dims, &dim, error));
    int64_t n = part->meta.shape.dims[dim];
    if (call->is_needed[i]) {
      tt_operand *slice = TT_RULE(&rule, narrow, tt_operand_value(call->grads[0]), tt_int(dim), tt_int(at), tt_int(n));
      operand_grads[i] = tt_rule_cast(&rule, slice, part->meta.dtype);
    }
    at += n;
  }
  return rule.status;
}

tt_status tt_infer_stack(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_value *list = &args[0];
  if (list->n == 0) return tt_fail(error, TT_ERR_ARGUMENT, "stack needs at least one tensor");
  tt_dtype dtype = list->as.operands[0]->meta.dtype;
  const tt_shape *first = NULL;
  for (uint32_t i = 0; i < list->n; i++) {
    const tt_meta *meta = &list->as.operands[i]->meta;
    dtype = tt_dtype_promote(dtype, meta->dtype);
    if (!tt_shape_is_known(&meta->shape)) continue;
    if (!first) first = &meta->shape;
    if (!tt_shape_equal(first, &meta->shape)) {
      char a[TT_SHAPE_TEXT_BYTES], b[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE, "stack: all shapes must be equal, but tensor %u has %s where %s came before",
                     (unsigned)i, tt_shape_text(&meta->shape, a), tt_shape_text(first, b));
    }
  }
  if (!first) return tt_infer_one(tt_meta_unknown(dtype), results, n_results);
  tt_meta meta = {.dtype = dtype, .shape = *first};
  TT_TRY(need_dim_room(op, first->n_dims + 1, error));
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, first->n_dims + 1, &dim, error));
  for (int d = first->n_dims; d > dim; d--) meta.shape.dims[d] = meta.shape.dims[d - 1];
  meta.shape.dims[dim] = list->n;
  meta.shape.n_dims++;
  TT_TRY(tt_shape_make(meta.shape.dims, (size_t)meta.shape.n_dims, &meta.shape, error));
  return tt_infer_one(meta, results, n_results);
}

/* self with dimension dim taken at one index. */
static tt_tensor *selected(const tt_tensor *self, int dim, int64_t index, tt_error *error) {
  tt_shape shape = *tt_tensor_shape(self);
  int64_t strides[TT_MAX_DIMS];
  memcpy(strides, self->strides, sizeof strides);
  int64_t offset = self->offset + index * strides[dim];
  for (int d = dim; d + 1 < shape.n_dims; d++) {
    shape.dims[d] = shape.dims[d + 1];
    strides[d] = strides[d + 1];
  }
  shape.n_dims--;
  return tt_tensor_view(self, &shape, strides, offset, error);
}

tt_status tt_kernel_stack(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                          tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, metas[0].shape.n_dims, &dim, error));
  tt_tensor *out = tt_tensor_new(metas[0].dtype, &metas[0].shape, error);
  if (!out) return TT_ERR_MEMORY;
  tt_status status = TT_OK;
  for (uint32_t i = 0; i < args[0].n && status == TT_OK; i++) {
    tt_tensor *place = selected(out, dim, i, error);
    status = place ? tt_tensor_copy(place, (const tt_tensor *)(const void *)args[0].as.operands[i], error) : TT_ERR_MEMORY;
    tt_tensor_unref(place);
  }
  if (status != TT_OK) {
    tt_tensor_unref(out);
    return status;
  }
  return one(out, results, n_results);
}

tt_status tt_grad_stack(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  const tt_value *list = &call->args[0];
  for (uint32_t i = 0; i < list->n; i++) {
    if (!call->is_needed[i]) continue;
    tt_operand *slice = TT_RULE(&rule, select, tt_operand_value(call->grads[0]), call->args[1], tt_int(i));
    operand_grads[i] = tt_rule_cast(&rule, slice, list->as.operands[i]->meta.dtype);
  }
  return rule.status;
}

/* ---- split, chunk, unbind ---- */

typedef struct piece_list {
  int dim;
  size_t n;
  int64_t sizes[TT_MAX_RESULTS];
} piece_list;

static tt_status too_many_pieces(const tt_op *op, int64_t n, tt_error *error) {
  return tt_fail(error, TT_ERR_ARGUMENT, "%s: %" PRId64 " pieces are more than the %d that one call may answer", op->name, n,
                 (int)TT_MAX_RESULTS);
}

/* Pieces of `size` each, the last one shorter. A dimension of 0 is one empty piece. */
static tt_status even_pieces(const tt_op *op, int64_t total, int64_t size, piece_list *out, tt_error *error) {
  int64_t n = total == 0 ? 1 : size == 0 ? 0 : (total - 1) / size + 1;
  if (n > TT_MAX_RESULTS) return too_many_pieces(op, n, error);
  out->n = (size_t)n;
  for (size_t i = 0; i < out->n; i++) {
    int64_t left = total - (int64_t)i * size;
    out->sizes[i] = left < size ? left : size;
  }
  return TT_OK;
}

/* A list of one is the size of every piece; a longer one names them all. */
static tt_status split_pieces(const tt_op *op, const tt_value *args, piece_list *out, tt_error *error) {
  const tt_shape *shape = &tt_arg_meta(&args[0])->shape;
  const tt_value *sizes = &args[1];
  TT_TRY(tt_infer_need_shape(op, "self", tt_arg_meta(&args[0]), error));
  TT_TRY(need_any_dim(op, shape, error));
  TT_TRY(tt_shape_wrap_dim(op->name, args[2].as.integer, shape->n_dims, &out->dim, error));
  int64_t total = shape->dims[out->dim], sum = 0;
  if (sizes->n > TT_MAX_RESULTS) return too_many_pieces(op, sizes->n, error);
  for (uint32_t i = 0; i < sizes->n; i++) {
    int64_t size = sizes->as.ints[i];
    if (size < 0) return tt_fail(error, TT_ERR_ARGUMENT, "split: %" PRId64 " is no size of a piece", size);
    if (size > total - sum && sizes->n > 1) {
      sum = -1;
      break;
    }
    sum += size;
    out->sizes[i] = size;
  }
  if (sizes->n == 1) {
    int64_t size = sizes->as.ints[0];
    if (size == 0 && total != 0) {
      return tt_fail(error, TT_ERR_ARGUMENT, "split: pieces of size 0 never make up dimension %d of size %" PRId64, out->dim,
                     total);
    }
    return even_pieces(op, total, size, out, error);
  }
  if (sum != total) {
    return tt_fail(error, TT_ERR_SHAPE, "split: the sizes must add up to exactly %" PRId64 ", the size of dimension %d", total,
                   out->dim);
  }
  out->n = sizes->n;
  return TT_OK;
}

static tt_status chunk_pieces(const tt_op *op, const tt_value *args, piece_list *out, tt_error *error) {
  const tt_shape *shape = &tt_arg_meta(&args[0])->shape;
  int64_t n_chunks = args[1].as.integer;
  TT_TRY(tt_infer_need_shape(op, "self", tt_arg_meta(&args[0]), error));
  TT_TRY(need_any_dim(op, shape, error));
  if (n_chunks <= 0)
    return tt_fail(error, TT_ERR_ARGUMENT, "chunk: the number of chunks must be above 0, not %" PRId64, n_chunks);
  TT_TRY(tt_shape_wrap_dim(op->name, args[2].as.integer, shape->n_dims, &out->dim, error));
  int64_t total = shape->dims[out->dim];
  if (total == 0) { /* as many empty pieces as were asked for */
    if (n_chunks > TT_MAX_RESULTS) return too_many_pieces(op, n_chunks, error);
    out->n = (size_t)n_chunks;
    memset(out->sizes, 0, sizeof out->sizes);
    return TT_OK;
  }
  return even_pieces(op, total, (total - 1) / n_chunks + 1, out, error);
}

static tt_status infer_pieces(const tt_value *args, const piece_list *pieces, tt_meta *results, size_t *n_results) {
  for (size_t i = 0; i < pieces->n; i++) {
    results[i] = *tt_arg_meta(&args[0]);
    results[i].shape.dims[pieces->dim] = pieces->sizes[i];
  }
  *n_results = pieces->n;
  return TT_OK;
}

static tt_status view_pieces(const tt_value *args, const piece_list *pieces, tt_tensor **results, size_t *n_results,
                             tt_error *error) {
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  tt_tensor *views[TT_MAX_RESULTS];
  int64_t at = 0;
  for (size_t i = 0; i < pieces->n; i++) {
    views[i] = slice_view(self, pieces->dim, at, pieces->sizes[i], 1, error);
    if (!views[i]) {
      while (i > 0) tt_tensor_unref(views[--i]);
      return TT_ERR_MEMORY;
    }
    at += pieces->sizes[i];
  }
  memcpy(results, views, pieces->n * sizeof views[0]);
  *n_results = pieces->n;
  return TT_OK;
}

tt_status tt_infer_split(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  piece_list split;
  TT_TRY(split_pieces(op, args, &split, error));
  return infer_pieces(args, &split, results, n_results);
}

tt_status tt_kernel_split(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                          tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  piece_list split;
  TT_TRY(split_pieces(op, args, &split, error));
  return view_pieces(args, &split, results, n_results, error);
}

tt_status tt_infer_chunk(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  piece_list split;
  TT_TRY(chunk_pieces(op, args, &split, error));
  return infer_pieces(args, &split, results, n_results);
}

tt_status tt_kernel_chunk(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                          tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  piece_list split;
  TT_TRY(chunk_pieces(op, args, &split, error));
  return view_pieces(args, &split, results, n_results, error);
}

/* The gradients of the pieces, zeros for those that nothing depends on. */
static void gradients_or_zeros(tt_rule *rule, const tt_grad_call *call, tt_operand **parts) {
  for (size_t i = 0; i < call->n_results; i++) {
    parts[i] = call->grads[i] ? call->grads[i] : tt_rule_unary(rule, TT_OP_zeros_like, call->results[i]);
  }
}

/* Of split and chunk. */
tt_status tt_grad_split(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *parts[TT_MAX_RESULTS];
  gradients_or_zeros(&rule, call, parts);
  operand_grads[0] = TT_RULE(&rule, cat, tt_operands_value(parts, (uint32_t)call->n_results), call->args[2]);
  return rule.status;
}

tt_status tt_infer_unbind(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  int dim;
  TT_TRY(tt_infer_need_shape(op, "self", self, error));
  TT_TRY(need_any_dim(op, &self->shape, error));
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, self->shape.n_dims, &dim, error));
  if (self->shape.dims[dim] > TT_MAX_RESULTS) return too_many_pieces(op, self->shape.dims[dim], error);
  bool flags[TT_MAX_DIMS] = {false};
  flags[dim] = true;
  *n_results = (size_t)self->shape.dims[dim];
  for (size_t i = 0; i < *n_results; i++) {
    results[i] = (tt_meta){.dtype = self->dtype, .shape = without_dims(&self->shape, flags)};
  }
  return TT_OK;
}

tt_status tt_kernel_unbind(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, tt_tensor_n_dims(self), &dim, error));
  tt_tensor *views[TT_MAX_RESULTS];
  size_t n = (size_t)tt_tensor_shape(self)->dims[dim];
  for (size_t i = 0; i < n; i++) {
    views[i] = selected(self, dim, (int64_t)i, error);
    if (!views[i]) {
      while (i > 0) tt_tensor_unref(views[--i]);
      return TT_ERR_MEMORY;
    }
  }
  memcpy(results, views, n * sizeof views[0]);
  *n_results = n;
  return TT_OK;
}

tt_status tt_grad_unbind(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  if (call->n_results == 0) {
    operand_grads[0] = tt_rule_unary(&rule, TT_OP_zeros_like, call->args[0].as.operand);
    return rule.status;
  }
  tt_operand *parts[TT_MAX_RESULTS];
  gradients_or_zeros(&rule, call, parts);
  operand_grads[0] = TT_RULE(&rule, stack, tt_operands_value(parts, (uint32_t)call->n_results), call->args[1]);
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
  if (!tt_tensor_is_contiguous(self)) return one(tt_tensor_contiguous(self, error), results, n_results);
  return one_view(self, tt_tensor_shape(self), self->strides, self->offset, results, n_results, error);
}

tt_status tt_grad_contiguous(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  (void)context, (void)error;
  operand_grads[0] = call->grads[0];
  return TT_OK;
}

/* ---- narrow, select, slice ---- */

/* Which elements of one dimension are taken. */
typedef struct range {
  int dim;
  int64_t start, n, step;
} range;

static tt_status narrow_range(const tt_op *op, const tt_value *args, range *out, tt_error *error) {
  const tt_shape *shape = &tt_arg_meta(&args[0])->shape;
  TT_TRY(need_any_dim(op, shape, error));
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, shape->n_dims, &out->dim, error));
  int64_t size = shape->dims[out->dim], start = args[2].as.integer, length = args[3].as.integer;
  if (length < 0) return tt_fail(error, TT_ERR_ARGUMENT, "narrow: the length must not be negative, and is %" PRId64, length);
  if (start < -size || start > size) {
    return tt_fail(error, TT_ERR_INDEX, "narrow: start %" PRId64 " is out of range for dimension %d of size %" PRId64, start,
                   out->dim, size);
  }
  if (start < 0) start += size;
  if (length > size - start) {
    return tt_fail(error, TT_ERR_INDEX,
                   "narrow: start %" PRId64 " and length %" PRId64 " reach beyond dimension %d of size %" PRId64, start, length,
                   out->dim, size);
  }
  out->start = start;
  out->n = length;
  out->step = 1;
  return TT_OK;
}

static int64_t clamped(int64_t index, int64_t size) {
  if (index < 0) index = index < -size ? 0 : index + size;
  return index > size ? size : index;
}

static tt_status slice_range(const tt_op *op, const tt_value *args, range *out, tt_error *error) {
  const tt_shape *shape = &tt_arg_meta(&args[0])->shape;
  TT_TRY(need_any_dim(op, shape, error));
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, shape->n_dims, &out->dim, error));
  int64_t size = shape->dims[out->dim];
  int64_t start = tt_arg_is_none(&args[2]) ? 0 : clamped(args[2].as.integer, size);
  int64_t end = tt_arg_is_none(&args[3]) ? size : clamped(args[3].as.integer, size);
  int64_t step = args[4].as.integer;
  if (step <= 0) return tt_fail(error, TT_ERR_ARGUMENT, "%s: the step must be above 0, and is %" PRId64, op->name, step);
  out->start = start;
  out->n = end > start ? (end - start - 1) / step + 1 : 0;
  out->step = out->n > 1 ? step : 1; /* so that no stride can overflow */
  return TT_OK;
}

typedef tt_status range_fn(const tt_op *op, const tt_value *args, range *out, tt_error *error);

static tt_status infer_range(const tt_op *op, const tt_value *args, range_fn *read, tt_meta *results, size_t *n_results,
                             tt_error *error) {
  tt_meta meta = *tt_arg_meta(&args[0]);
  if (tt_shape_is_known(&meta.shape)) {
    range taken;
    TT_TRY(read(op, args, &taken, error));
    meta.shape.dims[taken.dim] = taken.n;
  }
  return tt_infer_one(meta, results, n_results);
}

static tt_status view_range(const tt_op *op, const tt_value *args, range_fn *read, tt_tensor **results, size_t *n_results,
                            tt_error *error) {
  range taken;
  TT_TRY(read(op, args, &taken, error));
  return one(slice_view(tt_arg_tensor(&args[0]), taken.dim, taken.start, taken.n, taken.step, error), results, n_results);
}

tt_status tt_infer_narrow(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  return infer_range(op, args, narrow_range, results, n_results, error);
}

tt_status tt_kernel_narrow(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  return view_range(op, args, narrow_range, results, n_results, error);
}

tt_status tt_infer_slice(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  return infer_range(op, args, slice_range, results, n_results, error);
}

tt_status tt_kernel_slice(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                          tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  return view_range(op, args, slice_range, results, n_results, error);
}

static tt_status select_index(const tt_op *op, const tt_value *args, int *dim, int64_t *index, tt_error *error) {
  const tt_shape *shape = &tt_arg_meta(&args[0])->shape;
  TT_TRY(need_any_dim(op, shape, error));
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, shape->n_dims, dim, error));
  int64_t size = shape->dims[*dim], given = args[2].as.integer;
  if (given < -size || given >= size) {
    return tt_fail(error, TT_ERR_INDEX, "select: index %" PRId64 " is out of range for dimension %d of size %" PRId64, given,
                   *dim, size);
  }
  *index = given < 0 ? given + size : given;
  return TT_OK;
}

tt_status tt_infer_select(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta = *tt_arg_meta(&args[0]);
  if (tt_shape_is_known(&meta.shape)) {
    bool flags[TT_MAX_DIMS] = {false};
    int dim;
    int64_t index = 0;
    TT_TRY(select_index(op, args, &dim, &index, error));
    flags[dim] = true;
    meta.shape = without_dims(&meta.shape, flags);
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_select(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  int dim;
  int64_t index = 0;
  TT_TRY(select_index(op, args, &dim, &index, error));
  return one(selected(tt_arg_tensor(&args[0]), dim, index, error), results, n_results);
}

/* grad put at those places of zeros in the shape of self. */
static tt_operand *put_range(tt_rule *rule, const tt_grad_call *call, tt_operand *grad, const range *taken) {
  const tt_shape *shape = &call->args[0].as.operand->meta.shape;
  int64_t end = taken->n == 0 ? taken->start : taken->start + (taken->n - 1) * taken->step + 1;
  return TT_RULE(rule, slice_backward, tt_operand_value(grad), tt_ints(shape->dims, (uint32_t)shape->n_dims),
                 tt_int(taken->dim), tt_int(taken->start), tt_int(end), tt_int(taken->step));
}

tt_status tt_grad_narrow(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  if (!tt_rule_need_shape(&rule, call->op, call->args[0].as.operand)) return rule.status;
  range taken;
  TT_TRY(narrow_range(call->op, call->args, &taken, error));
  operand_grads[0] = put_range(&rule, call, call->grads[0], &taken);
  return rule.status;
}

tt_status tt_grad_slice(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  if (!tt_rule_need_shape(&rule, call->op, call->args[0].as.operand)) return rule.status;
  range taken;
  TT_TRY(slice_range(call->op, call->args, &taken, error));
  operand_grads[0] = put_range(&rule, call, call->grads[0], &taken);
  return rule.status;
}

tt_status tt_grad_select(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  if (!tt_rule_need_shape(&rule, call->op, call->args[0].as.operand)) return rule.status;
  range taken = {.n = 1, .step = 1};
  TT_TRY(select_index(call->op, call->args, &taken.dim, &taken.start, error));
  tt_operand *grad = TT_RULE(&rule, unsqueeze, tt_operand_value(call->grads[0]), tt_int(taken.dim));
  operand_grads[0] = put_range(&rule, call, grad, &taken);
  return rule.status;
}

/* slice_backward(grad_output, input_sizes, dim, start, end, step): zeros of input_sizes with grad_output put where slice
 * takes. */
static tt_status slice_backward_range(const tt_op *op, const tt_value *args, tt_shape *shape, range *out, tt_error *error) {
  tt_meta input = {.dtype = tt_arg_meta(&args[0])->dtype};
  TT_TRY(tt_shape_make(args[1].as.ints, args[1].n, &input.shape, error));
  tt_operand operand = {.meta = input};
  tt_value slice_args[5] = {tt_operand_value(&operand), args[2], args[3], args[4], args[5]};
  TT_TRY(slice_range(op, slice_args, out, error));
  *shape = input.shape;
  return TT_OK;
}

tt_status tt_infer_slice_backward(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *grad = tt_arg_meta(&args[0]);
  tt_meta meta = {.dtype = grad->dtype};
  range taken;
  TT_TRY(slice_backward_range(op, args, &meta.shape, &taken, error));
  if (tt_shape_is_known(&grad->shape)) {
    tt_shape place = meta.shape, filled;
    place.dims[taken.dim] = taken.n;
    TT_TRY(expanded_shape(op, &grad->shape, place.dims, place.n_dims, &filled, error));
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_slice_backward(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                                   tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  tt_shape shape;
  range taken;
  TT_TRY(slice_backward_range(op, args, &shape, &taken, error));
  tt_tensor *out = tt_tensor_zeros(metas[0].dtype, &shape, error);
  if (!out) return TT_ERR_MEMORY;
  tt_tensor *place = slice_view(out, taken.dim, taken.start, taken.n, taken.step, error);
  tt_status status = place ? tt_tensor_copy(place, tt_arg_tensor(&args[0]), error) : TT_ERR_MEMORY;
  tt_tensor_unref(place);
  if (status != TT_OK) {
    tt_tensor_unref(out);
    return status;
  }
  return one(out, results, n_results);
}

tt_status tt_grad_slice_backward(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads,
                                 tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  const tt_value *args = call->args;
  tt_operand *taken = TT_RULE(&rule, slice, tt_operand_value(call->grads[0]), args[2], args[3], args[4], args[5]);
  operand_grads[0] = tt_grad_sum_to(&rule, call->op, taken, args[0].as.operand);
  return rule.status;
}

/* ---- flip ---- */

tt_status tt_infer_flip(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  if (tt_shape_is_known(&self->shape)) {
    bool flags[TT_MAX_DIMS];
    TT_TRY(tt_infer_dim_flags(op, &args[1], self->shape.n_dims, flags, error));
  }
  return tt_infer_one(*self, results, n_results);
}

/* A dense copy of self with one dimension in reverse: gathered with the reversed index. */
static tt_tensor *flipped(const tt_op *op, const tt_tensor *self, int dim, tt_error *error) {
  const tt_shape *shape = tt_tensor_shape(self);
  tt_shape line = {.n_dims = 1, .dims = {shape->dims[dim]}};
  int64_t strides[TT_MAX_DIMS] = {0};
  strides[dim] = 1;
  tt_tensor *reversed = tt_tensor_new(TT_DTYPE_I64, &line, error);
  tt_tensor *index = NULL, *out = NULL;
  if (!reversed) return NULL;
  int64_t *places = tt_tensor_data(reversed);
  for (int64_t i = 0; i < line.dims[0]; i++) places[i] = line.dims[0] - 1 - i;
  index = tt_tensor_view(reversed, shape, strides, 0, error);
  if (index) out = tt_tensor_new(tt_tensor_dtype(self), shape, error);
  if (out && tt_gather_run(op->name, TT_GATHER_READ, self, dim, index, out, error) != TT_OK) {
    tt_tensor_unref(out);
    out = NULL;
  }
  tt_tensor_unref(index);
  tt_tensor_unref(reversed);
  return out;
}

tt_status tt_kernel_flip(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  tt_tensor *self = tt_arg_tensor(&args[0]);
  bool flags[TT_MAX_DIMS];
  TT_TRY(tt_infer_dim_flags(op, &args[1], tt_tensor_n_dims(self), flags, error));
  if (args[1].n == 0) memset(flags, 0, sizeof flags); /* no dimension named is none flipped */
  tt_tensor *out = copied(self, tt_tensor_dtype(self), error);
  for (int d = 0; out && d < tt_tensor_n_dims(self); d++) {
    if (!flags[d]) continue;
    tt_tensor *next = flipped(op, out, d, error);
    tt_tensor_unref(out);
    out = next;
  }
  return one(out, results, n_results);
}

tt_status tt_grad_flip(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  operand_grads[0] = TT_RULE(&rule, flip, tt_operand_value(call->grads[0]), call->args[1]);
  return rule.status;
}

/* ---- tril, triu ---- */

tt_status tt_infer_tril(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  if (tt_shape_is_known(&self->shape) && self->shape.n_dims < 2) {
    return tt_fail(error, TT_ERR_SHAPE, "%s takes matrices or batches of them, but the tensor has %d dimensions", op->name,
                   self->shape.n_dims);
  }
  return tt_infer_one(*self, results, n_results);
}

/* A dense copy whose elements (i, j) with j - i above the diagonal (keep_lower), or below it, are zero. */
static tt_tensor *triangle(const tt_tensor *self, int64_t diagonal, bool keep_lower, tt_error *error) {
  tt_tensor *out = copied(self, tt_tensor_dtype(self), error);
  if (!out) return NULL;
  const tt_shape *shape = tt_tensor_shape(out);
  int64_t rows = shape->dims[shape->n_dims - 2], columns = shape->dims[shape->n_dims - 1];
  size_t element_bytes = tt_dtype_bytes(tt_tensor_dtype(out));
  int64_t n_rows = columns == 0 ? 0 : tt_tensor_n_elements(out) / columns;
  if (diagonal < -rows - columns) diagonal = -rows - columns;
  if (diagonal > rows + columns) diagonal = rows + columns;
  uint8_t *row = tt_tensor_data(out);
  for (int64_t i = 0; i < n_rows; i++, row += (size_t)columns * element_bytes) {
    int64_t edge = i % rows + diagonal + (keep_lower ? 1 : 0); /* the first column beyond what is kept (or the first kept) */
    edge = edge < 0 ? 0 : edge > columns ? columns : edge;
    if (keep_lower) {
      memset(row + (size_t)edge * element_bytes, 0, (size_t)(columns - edge) * element_bytes);
    } else {
      memset(row, 0, (size_t)edge * element_bytes);
    }
  }
  return out;
}

tt_status tt_kernel_tril(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)context, (void)metas;
  return one(triangle(tt_arg_tensor(&args[0]), args[1].as.integer, true, error), results, n_results);
}

tt_status tt_kernel_triu(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)context, (void)metas;
  return one(triangle(tt_arg_tensor(&args[0]), args[1].as.integer, false, error), results, n_results);
}

/* Of tril and triu: the same triangle of the gradient. */
tt_status tt_grad_tril(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_value args[2] = {tt_operand_value(call->grads[0]), call->args[1]};
  operand_grads[0] = tt_rule_call(&rule, call->op->number, args, 2);
  return rule.status;
}

/* ---- diagonal, diag ---- */

/* The diagonal of dimensions dim0 and dim1 of a shape, `offset` to the right of the main one. */
typedef struct diagonal_line {
  int dim0, dim1;
  int64_t n, first_row, first_column;
} diagonal_line;

static tt_status diagonal_of(const tt_op *op, const tt_shape *shape, int64_t offset, int64_t dim0, int64_t dim1,
                             diagonal_line *out, tt_error *error) {
  TT_TRY(need_any_dim(op, shape, error));
  TT_TRY(tt_shape_wrap_dim(op->name, dim0, shape->n_dims, &out->dim0, error));
  TT_TRY(tt_shape_wrap_dim(op->name, dim1, shape->n_dims, &out->dim1, error));
  if (out->dim0 == out->dim1) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: the two dimensions must differ, but both are %d", op->name, out->dim0);
  }
  int64_t rows = shape->dims[out->dim0], columns = shape->dims[out->dim1];
  if (offset > columns) offset = columns;
  if (offset < -rows) offset = -rows;
  out->first_row = offset < 0 ? -offset : 0;
  out->first_column = offset > 0 ? offset : 0;
  int64_t n_rows = rows - out->first_row, n_columns = columns - out->first_column;
  out->n = n_rows < n_columns ? n_rows : n_columns;
  return TT_OK;
}

static tt_shape diagonal_shape(const tt_shape *shape, const diagonal_line *line) {
  bool flags[TT_MAX_DIMS] = {false};
  flags[line->dim0] = flags[line->dim1] = true;
  tt_shape out = without_dims(shape, flags);
  out.dims[out.n_dims++] = line->n;
  return out;
}

static tt_tensor *diagonal_view(const tt_tensor *self, const diagonal_line *line, tt_error *error) {
  tt_shape shape = diagonal_shape(tt_tensor_shape(self), line);
  int64_t strides[TT_MAX_DIMS];
  int n = 0;
  for (int d = 0; d < tt_tensor_n_dims(self); d++) {
    if (d != line->dim0 && d != line->dim1) strides[n++] = self->strides[d];
  }
  strides[n] = self->strides[line->dim0] + self->strides[line->dim1];
  int64_t offset = self->offset;
  if (line->n > 0) offset += line->first_row * self->strides[line->dim0] + line->first_column * self->strides[line->dim1];
  return tt_tensor_view(self, &shape, strides, offset, error);
}

tt_status tt_infer_diagonal(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta = *tt_arg_meta(&args[0]);
  if (tt_shape_is_known(&meta.shape)) {
    diagonal_line line;
    TT_TRY(diagonal_of(op, &meta.shape, args[1].as.integer, args[2].as.integer, args[3].as.integer, &line, error));
    meta.shape = diagonal_shape(&meta.shape, &line);
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_diagonal(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                             tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  diagonal_line line;
  TT_TRY(diagonal_of(op, tt_tensor_shape(self), args[1].as.integer, args[2].as.integer, args[3].as.integer, &line, error));
  return one(diagonal_view(self, &line, error), results, n_results);
}

tt_status tt_grad_diagonal(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  if (!tt_rule_need_shape(&rule, call->op, call->args[0].as.operand)) return rule.status;
  const tt_shape *shape = &call->args[0].as.operand->meta.shape;
  operand_grads[0] = TT_RULE(&rule, diagonal_backward, tt_operand_value(call->grads[0]),
                             tt_ints(shape->dims, (uint32_t)shape->n_dims), call->args[1], call->args[2], call->args[3]);
  return rule.status;
}

/* diagonal_backward(grad_output, input_sizes, offset, dim1, dim2): zeros of input_sizes with grad_output on that diagonal. */
tt_status tt_infer_diagonal_backward(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results,
                                     tt_error *error) {
  const tt_meta *grad = tt_arg_meta(&args[0]);
  tt_meta meta = {.dtype = grad->dtype};
  diagonal_line line;
  TT_TRY(tt_shape_make(args[1].as.ints, args[1].n, &meta.shape, error));
  TT_TRY(diagonal_of(op, &meta.shape, args[2].as.integer, args[3].as.integer, args[4].as.integer, &line, error));
  if (tt_shape_is_known(&grad->shape)) {
    tt_shape place = diagonal_shape(&meta.shape, &line), filled;
    TT_TRY(expanded_shape(op, &grad->shape, place.dims, place.n_dims, &filled, error));
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_diagonal_backward(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                                      tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  diagonal_line line;
  TT_TRY(diagonal_of(op, &metas[0].shape, args[2].as.integer, args[3].as.integer, args[4].as.integer, &line, error));
  tt_tensor *out = tt_tensor_zeros(metas[0].dtype, &metas[0].shape, error);
  if (!out) return TT_ERR_MEMORY;
  tt_tensor *place = diagonal_view(out, &line, error);
  tt_status status = place ? tt_tensor_copy(place, tt_arg_tensor(&args[0]), error) : TT_ERR_MEMORY;
  tt_tensor_unref(place);
  if (status != TT_OK) {
    tt_tensor_unref(out);
    return status;
  }
  return one(out, results, n_results);
}

tt_status tt_grad_diagonal_backward(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads,
                                    tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *taken = TT_RULE(&rule, diagonal, tt_operand_value(call->grads[0]), call->args[2], call->args[3], call->args[4]);
  operand_grads[0] = tt_grad_sum_to(&rule, call->op, taken, call->args[0].as.operand);
  return rule.status;
}

/* diag: a vector onto a diagonal of zeros, or a copy of a matrix's diagonal. */
tt_status tt_infer_diag(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  int64_t offset = args[1].as.integer;
  tt_meta meta = tt_meta_unknown(self->dtype);
  if (!tt_shape_is_known(&self->shape)) return tt_infer_one(meta, results, n_results);
  if (self->shape.n_dims == 1) {
    int64_t distance = offset < 0 ? -(offset + 1) : offset;
    if (distance >= TT_MAX_ELEMENTS)
      return tt_fail(error, TT_ERR_SHAPE, "diag: the diagonal %" PRId64 " is too far out", offset);
    int64_t size = self->shape.dims[0] + distance + (offset < 0);
    int64_t sizes[2] = {size, size};
    TT_TRY(tt_shape_make(sizes, 2, &meta.shape, error));
  } else if (self->shape.n_dims == 2) {
    diagonal_line line;
    if (offset > self->shape.dims[1] || offset < -self->shape.dims[0]) {
      char text[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_INDEX, "diag: the diagonal %" PRId64 " lies outside a matrix of shape %s", offset,
                     tt_shape_text(&self->shape, text));
    }
    TT_TRY(diagonal_of(op, &self->shape, offset, 0, 1, &line, error));
    meta.shape = diagonal_shape(&self->shape, &line);
  } else {
    return tt_fail(error, TT_ERR_SHAPE, "diag takes a vector or a matrix, but the tensor has %d dimensions",
                   self->shape.n_dims);
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_diag(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  bool makes_matrix = tt_tensor_n_dims(self) == 1;
  diagonal_line line;
  TT_TRY(diagonal_of(op, makes_matrix ? &metas[0].shape : tt_tensor_shape(self), args[1].as.integer, 0, 1, &line, error));
  tt_tensor *out = tt_tensor_zeros(metas[0].dtype, &metas[0].shape, error);
  if (!out) return TT_ERR_MEMORY;
  tt_tensor *diagonal = diagonal_view(makes_matrix ? out : self, &line, error);
  tt_status status = !diagonal      ? TT_ERR_MEMORY
                     : makes_matrix ? tt_tensor_copy(diagonal, self, error)
                                    : tt_tensor_copy(out, diagonal, error);
  tt_tensor_unref(diagonal);
  if (status != TT_OK) {
    tt_tensor_unref(out);
    return status;
  }
  return one(out, results, n_results);
}

tt_status tt_grad_diag(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  if (!tt_rule_need_shape(&rule, call->op, call->args[0].as.operand)) return rule.status;
  const tt_shape *shape = &call->args[0].as.operand->meta.shape;
  operand_grads[0] = shape->n_dims == 1 ? TT_RULE(&rule, diagonal, tt_operand_value(call->grads[0]), call->args[1])
                                        : TT_RULE(&rule, diagonal_backward, tt_operand_value(call->grads[0]),
                                                  tt_ints(shape->dims, 2), call->args[1], tt_int(0), tt_int(1));
  return rule.status;
}
