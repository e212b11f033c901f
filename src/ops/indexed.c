/*
 * index and index_put: elements named by a list of index tensors, one for each of the first dimensions.
 *
 * The indices broadcast together; the result has their shape, then the dimensions that no index names. Indices are int64 and may count from the end.
 */
#include <inttypes.h>

#include "kernels/gather.h"
#include "ops/grad_common.h"
#include "ops/infer_common.h"
#include "ops/rows.h"
#include "ops/terms.h"
#include "ops/view_common.h"

enum { INDICES = 1, PUT_VALUES, PUT_ACCUMULATE };

/* The shape that the indices broadcast to; unknown when one of theirs is. */
static tt_status index_shape(const tt_op *op, const tt_value *args, tt_shape *shape, tt_error *error) {
  const tt_shape *self = &tt_arg_meta(&args[0])->shape;
  const tt_value *list = &args[INDICES];
  if (list->n == 0 || (tt_shape_is_known(self) && (int)list->n > self->n_dims)) {
    return tt_fail(error, TT_ERR_INDEX, "%s: %" PRIu32 " indices do not fit a tensor of %d dimensions", op->name, list->n,
                   self->n_dims);
  }
  *shape = (tt_shape){.n_dims = 0};
  for (uint32_t i = 0; i < list->n; i++) {
    const tt_meta *index = &list->as.operands[i]->meta;
    if (index->dtype != TT_DTYPE_I64) {
      return tt_fail(error, TT_ERR_DTYPE, "%s: indices are int64, not %s; nonzero makes such of a mask", op->name,
                     tt_dtype_name(index->dtype));
    }
    if (!tt_shape_is_known(&index->shape) || !tt_shape_is_known(shape)) {
      shape->n_dims = TT_DIMS_UNKNOWN;
    } else {
      TT_TRY(tt_shape_broadcast(op->name, shape, &index->shape, shape, error));
    }
  }
  return TT_OK;
}

/* What the indices name: their shape, then self's other dimensions. */
static tt_status named_shape(const tt_op *op, const tt_value *args, tt_shape *shape, tt_error *error) {
  const tt_shape *self = &tt_arg_meta(&args[0])->shape;
  TT_TRY(index_shape(op, args, shape, error));
  if (!tt_shape_is_known(shape) || !tt_shape_is_known(self)) {
    shape->n_dims = TT_DIMS_UNKNOWN;
    return TT_OK;
  }
  TT_TRY(tt_need_dim_room(op, shape->n_dims + self->n_dims - (int)args[INDICES].n, error));
  for (int d = (int)args[INDICES].n; d < self->n_dims; d++) shape->dims[shape->n_dims++] = self->dims[d];
  return tt_shape_make(shape->dims, (size_t)shape->n_dims, shape, error);
}

tt_status tt_infer_index(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta = {.dtype = tt_arg_meta(&args[0])->dtype};
  TT_TRY(named_shape(op, args, &meta.shape, error));
  return tt_infer_one(meta, results, n_results);
}

/* A tensor seen in another shape that it broadcasts to. */
static tt_tensor *spread(const tt_tensor *tensor, const tt_shape *shape, tt_error *error) {
  int64_t strides[TT_MAX_DIMS] = {0};
  const tt_shape *own = tt_tensor_shape(tensor);
  int lead = shape->n_dims - own->n_dims;
  for (int d = lead; d < shape->n_dims; d++) strides[d] = own->dims[d - lead] == 1 ? 0 : tensor->strides[d - lead];
  return tt_tensor_view(tensor, shape, strides, tensor->offset, error);
}

/* Adds one index's share of the places: index * stride, checked against the size. */
static tt_status add_places(const tt_op *op, const tt_tensor *index, uint32_t d, int64_t size, int64_t stride, int64_t *places,
                            int64_t n, tt_error *error) {
  const int64_t *at = tt_tensor_data(index);
  for (int64_t i = 0; i < n; i++) {
    if (at[i] < -size || at[i] >= size) {
      return tt_fail(error, TT_ERR_INDEX, "%s: index %" PRId64 " is out of bounds for dimension %" PRIu32 " with size %" PRId64,
                     op->name, at[i], d, size);
    }
    places[i] += (at[i] < 0 ? at[i] + size : at[i]) * stride;
  }
  return TT_OK;
}

/* The places in self's first dimensions seen as one: int64, dense, in the indices' shape. One reference; NULL with the status. */
static tt_status places_of(const tt_op *op, const tt_value *args, const tt_shape *shape, tt_tensor **places, tt_error *error) {
  const tt_shape *self = tt_tensor_shape(tt_arg_tensor(&args[0]));
  const tt_value *list = &args[INDICES];
  tt_tensor *sum = tt_tensor_zeros(TT_DTYPE_I64, shape, error);
  tt_status status = sum ? TT_OK : TT_ERR_MEMORY;
  int64_t stride = 1;
  for (uint32_t i = list->n; i-- > 0 && status == TT_OK;) {
    tt_tensor *view = spread((const tt_tensor *)(const void *)list->as.operands[i], shape, error);
    tt_tensor *dense = view ? tt_tensor_contiguous(view, error) : NULL;
    status = dense ? add_places(op, dense, i, self->dims[i], stride, tt_tensor_data(sum), tt_shape_n_elements(shape), error)
                   : TT_ERR_MEMORY;
    stride *= self->dims[i];
    tt_tensor_unref(view);
    tt_tensor_unref(dense);
  }
  if (status != TT_OK) {
    tt_tensor_unref(sum);
    return status;
  }
  *places = sum;
  return TT_OK;
}

/* The walk of tt_gather_run over (places, elements of a row): dense data seen as a matrix of rows. */
static tt_status run_rows(const tt_op *op, tt_gather_kind kind, const tt_tensor *dense, const tt_tensor *places,
                          const tt_tensor *values, int64_t n_rows, int64_t row, tt_error *error) {
  int64_t n = tt_tensor_n_elements(places), matrix_strides[] = {row, 1}, place_strides[] = {1, 0};
  tt_shape all = {.n_dims = 2, .dims = {n_rows, row}}, named = {.n_dims = 2, .dims = {n, row}};
  if (n == 0 || row == 0) return TT_OK;
  tt_tensor *target = tt_tensor_view(dense, &all, matrix_strides, dense->offset, error);
  tt_tensor *index = target ? tt_tensor_view(places, &named, place_strides, places->offset, error) : NULL;
  tt_tensor *other = index ? tt_tensor_view(values, &named, matrix_strides, values->offset, error) : NULL;
  tt_status status = other ? tt_gather_run(op->name, kind, target, 0, index, other, error) : TT_ERR_MEMORY;
  tt_tensor_unref(target);
  tt_tensor_unref(index);
  tt_tensor_unref(other);
  return status;
}

static void rows_of(const tt_shape *self, uint32_t n_indices, int64_t *n_rows, int64_t *row) {
  *n_rows = *row = 1;
  for (int d = 0; d < self->n_dims; d++) *(d < (int)n_indices ? n_rows : row) *= self->dims[d];
}

tt_status tt_kernel_index(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                          tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  tt_shape shape;
  int64_t n_rows, row;
  tt_tensor *places = NULL;
  TT_TRY(index_shape(op, args, &shape, error));
  TT_TRY(places_of(op, args, &shape, &places, error));
  rows_of(tt_tensor_shape(tt_arg_tensor(&args[0])), args[INDICES].n, &n_rows, &row);
  tt_tensor *dense = tt_tensor_contiguous(tt_arg_tensor(&args[0]), error);
  tt_tensor *out = dense ? tt_tensor_new(metas[0].dtype, &metas[0].shape, error) : NULL;
  tt_status status = out ? run_rows(op, TT_GATHER_READ, dense, places, out, n_rows, row, error) : TT_ERR_MEMORY;
  tt_tensor_unref(places);
  tt_tensor_unref(dense);
  if (status == TT_OK) return tt_answer_tensor(out, results, n_results);
  tt_tensor_unref(out);
  return status;
}

tt_status tt_grad_index(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  if (!call->is_needed[0]) return TT_OK;
  tt_operand *zeros = tt_rule_unary(&rule, TT_OP_zeros_like, call->args[0].as.operand);
  operand_grads[0] =
      TT_RULE(&rule, index_put, tt_operand_value(zeros), call->args[INDICES], tt_operand_value(call->grads[0]), tt_bool(true));
  return rule.status;
}

/* ---- index_put ---- */

tt_status tt_infer_index_put(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]), *values = tt_arg_meta(&args[PUT_VALUES]);
  tt_shape named, both;
  TT_TRY(tt_infer_need_same_dtype(op, self->dtype, values->dtype, error));
  TT_TRY(named_shape(op, args, &named, error));
  if (tt_shape_is_known(&named) && tt_shape_is_known(&values->shape)) {
    TT_TRY(tt_shape_broadcast(op->name, &named, &values->shape, &both, error));
    if (!tt_shape_equal(&named, &both)) {
      char text[TT_SHAPE_TEXT_BYTES], given[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE, "%s: values of shape %s do not broadcast to what is named, of shape %s", op->name,
                     tt_shape_text(&values->shape, given), tt_shape_text(&named, text));
    }
  }
  return tt_infer_one(*self, results, n_results);
}

tt_status tt_kernel_index_put(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                              tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  tt_shape shape, named;
  int64_t n_rows, row;
  tt_tensor *places = NULL;
  TT_TRY(index_shape(op, args, &shape, error));
  TT_TRY(named_shape(op, args, &named, error));
  TT_TRY(places_of(op, args, &shape, &places, error));
  rows_of(tt_tensor_shape(self), args[INDICES].n, &n_rows, &row);
  tt_tensor *view = spread(tt_arg_tensor(&args[PUT_VALUES]), &named, error);
  tt_tensor *values = view ? tt_tensor_contiguous(view, error) : NULL;
  tt_tensor *out = values ? tt_copied(self, tt_tensor_dtype(self), error) : NULL;
  tt_gather_kind kind = args[PUT_ACCUMULATE].as.boolean ? TT_GATHER_ADD : TT_GATHER_PUT;
  tt_status status = out ? run_rows(op, kind, out, places, values, n_rows, row, error) : TT_ERR_MEMORY;
  tt_tensor_unref(places);
  tt_tensor_unref(view);
  tt_tensor_unref(values);
  if (status == TT_OK) return tt_answer_tensor(out, results, n_results);
  tt_tensor_unref(out);
  return status;
}

tt_status tt_grad_index_put(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *grad = call->grads[0], *values = call->args[PUT_VALUES].as.operand;
  size_t values_at = 1 + call->args[INDICES].n;
  if (call->is_needed[0]) {
    operand_grads[0] = grad;
    if (!call->args[PUT_ACCUMULATE].as.boolean) {
      tt_operand *zeros = tt_rule_unary(&rule, TT_OP_zeros_like, values);
      operand_grads[0] = TT_RULE(&rule, index_put, tt_operand_value(grad), call->args[INDICES], tt_operand_value(zeros));
    }
  }
  if (call->is_needed[values_at]) {
    tt_operand *taken = TT_RULE(&rule, index, tt_operand_value(grad), call->args[INDICES]);
    operand_grads[values_at] = tt_grad_sum_to(&rule, call->op, taken, values);
  }
  return rule.status;
}
