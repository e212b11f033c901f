/* Rows that take a part: narrow, slice, select, flip, triangles, diagonals. */
#include <inttypes.h>
#include <string.h>

#include "kernels/gather.h"
#include "ops/grad_common.h"
#include "ops/infer_common.h"
#include "ops/rows.h"
#include "ops/rule.h"
#include "ops/view_common.h"

/* ---- narrow, select, slice ---- */

/* Which elements of one dimension are taken. */
typedef struct range {
  int dim;
  int64_t start, n, step;
} range;

static tt_status narrow_range(const tt_op *op, const tt_value *args, range *out, tt_error *error) {
  const tt_shape *shape = &tt_arg_meta(&args[0])->shape;
  TT_TRY(tt_need_any_dim(op, shape, error));
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
  TT_TRY(tt_need_any_dim(op, shape, error));
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
  return tt_answer_tensor(tt_slice_view(tt_arg_tensor(&args[0]), taken.dim, taken.start, taken.n, taken.step, error), results,
                          n_results);
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
  TT_TRY(tt_need_any_dim(op, shape, error));
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
    meta.shape = tt_shape_without_dims(&meta.shape, flags);
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_select(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  int dim;
  int64_t index = 0;
  TT_TRY(select_index(op, args, &dim, &index, error));
  return tt_answer_tensor(tt_selected_view(tt_arg_tensor(&args[0]), dim, index, error), results, n_results);
}

/* grad put at those places of zeros in the shape of self. */
static tt_operand *put_range(tt_rule *rule, const tt_grad_call *call, tt_operand *grad, const range *taken) {
  const tt_shape *shape = &call->args[0].as.operand->meta.shape;
  int64_t end = taken->n == 0 ? taken->start : taken->start + (taken->n - 1) * taken->step + 1;
  return TT_RULE(rule, slice_backward, tt_operand_value(grad), tt_ints(shape->dims, (uint32_t)shape->n_dims),
                 tt_int(taken->dim), tt_int(taken->start), tt_int(end), tt_int(taken->step));
}

static tt_status grad_range(range_fn *range_of, tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads,
                            tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  if (!tt_rule_need_shape(&rule, call->op, call->args[0].as.operand)) return rule.status;
  range taken;
  TT_TRY(range_of(call->op, call->args, &taken, error));
  operand_grads[0] = put_range(&rule, call, call->grads[0], &taken);
  return rule.status;
}

tt_status tt_grad_narrow(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  return grad_range(narrow_range, context, call, operand_grads, error);
}

tt_status tt_grad_slice(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  return grad_range(slice_range, context, call, operand_grads, error);
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
    TT_TRY(tt_expanded_shape(op, &grad->shape, place.dims, place.n_dims, &filled, error));
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
  tt_tensor *place = tt_slice_view(out, taken.dim, taken.start, taken.n, taken.step, error);
  tt_status status = place ? tt_tensor_copy(place, tt_arg_tensor(&args[0]), error) : TT_ERR_MEMORY;
  tt_tensor_unref(place);
  if (status != TT_OK) {
    tt_tensor_unref(out);
    return status;
  }
  return tt_answer_tensor(out, results, n_results);
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
  tt_tensor *out = tt_copied(self, tt_tensor_dtype(self), error);
  for (int d = 0; out && d < tt_tensor_n_dims(self); d++) {
    if (!flags[d]) continue;
    tt_tensor *next = flipped(op, out, d, error);
    tt_tensor_unref(out);
    out = next;
  }
  return tt_answer_tensor(out, results, n_results);
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
  tt_tensor *out = tt_copied(self, tt_tensor_dtype(self), error);
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
  return tt_answer_tensor(triangle(tt_arg_tensor(&args[0]), args[1].as.integer, true, error), results, n_results);
}

tt_status tt_kernel_triu(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)context, (void)metas;
  return tt_answer_tensor(triangle(tt_arg_tensor(&args[0]), args[1].as.integer, false, error), results, n_results);
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
  TT_TRY(tt_need_any_dim(op, shape, error));
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
  tt_shape out = tt_shape_without_dims(shape, flags);
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
  return tt_answer_tensor(diagonal_view(self, &line, error), results, n_results);
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
    TT_TRY(tt_expanded_shape(op, &grad->shape, place.dims, place.n_dims, &filled, error));
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
  return tt_answer_tensor(out, results, n_results);
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
  return tt_answer_tensor(out, results, n_results);
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
