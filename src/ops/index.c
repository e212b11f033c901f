/* Rows of the index section: picking, putting and adding by position or mask, and sorting. */
#include <inttypes.h>
#include <string.h>

#include "kernels/gather.h"
#include "kernels/sort.h"
#include "ops/grad_common.h"
#include "ops/infer_common.h"
#include "ops/promote.h"
#include "ops/rows.h"
#include "ops/rule.h"

/* ---- common ---- */

static tt_status one(tt_tensor *tensor, tt_tensor **results, size_t *n_results) {
  if (!tensor) return TT_ERR_MEMORY;
  results[0] = tensor;
  *n_results = 1;
  return TT_OK;
}

/* What an in-place row writes into is self; others write into a dense copy of it. One reference, the caller's. */
static tt_tensor *target_of(const tt_kernel_context *context, const tt_tensor *self, tt_error *error) {
  if (context->out) return tt_tensor_ref(context->out);
  tt_tensor *out = tt_tensor_new(tt_tensor_dtype(self), tt_tensor_shape(self), error);
  if (out && tt_tensor_copy(out, self, error) != TT_OK) {
    tt_tensor_unref(out);
    return NULL;
  }
  return out;
}

/* What is written in place may not be read as well: which comes first would show. (A view that overlaps it in part has been
 * copied by then, ops/inplace.h.) */
static tt_status refuse_self(const tt_op *op, const tt_kernel_context *context, const tt_value *args, int i_param,
                             tt_error *error) {
  if (!context->out || args[i_param].type != TT_VALUE_OPERAND) return TT_OK;
  if (tt_arg_tensor(&args[i_param])->storage != context->out->storage) return TT_OK;
  return tt_fail(error, TT_ERR_ARGUMENT, "%s: '%s' lies in the memory of self, which is written; clone it first", op->name,
                 op->params[i_param].name);
}

/* Answers `tensor` when the work on it went well, else lets it go. Takes the reference. */
static tt_status one_if(tt_status status, tt_tensor *tensor, tt_tensor **results, size_t *n_results) {
  if (status == TT_OK) return one(tensor, results, n_results);
  tt_tensor_unref(tensor);
  return status;
}

static tt_tensor *broadcast_view(const tt_tensor *self, const tt_shape *shape, tt_error *error) {
  int64_t strides[TT_MAX_DIMS] = {0};
  const tt_shape *own = tt_tensor_shape(self);
  int n_new = shape->n_dims - own->n_dims;
  for (int d = n_new; d < shape->n_dims; d++) strides[d] = own->dims[d - n_new] == 1 ? 0 : self->strides[d - n_new];
  return tt_tensor_view(self, shape, strides, self->offset, error);
}

/* A dense tensor of self broadcast to shape. */
static tt_tensor *broadcast_dense(const tt_tensor *self, const tt_shape *shape, tt_error *error) {
  tt_tensor *view = broadcast_view(self, shape, error);
  tt_tensor *dense = view ? tt_tensor_contiguous(view, error) : NULL;
  tt_tensor_unref(view);
  return dense;
}

static tt_status need_index_dtype(const tt_op *op, const tt_meta *index, bool takes_i32, tt_error *error) {
  if (index->dtype == TT_DTYPE_I64 || (takes_i32 && index->dtype == TT_DTYPE_I32)) return TT_OK;
  return tt_fail(error, TT_ERR_DTYPE, "%s: the index must be int64, not %s", op->name, tt_dtype_name(index->dtype));
}

static int64_t size_at(const tt_shape *shape, int d) { return shape->n_dims == 0 ? 1 : shape->dims[d]; }

/* index may be no larger than `other` in any dimension but `except` (-1: none); both have as many dimensions. */
static tt_status need_index_fits(const tt_op *op, const tt_shape *index, const char *what, const tt_shape *other, int except,
                                 tt_error *error) {
  int index_dims = index->n_dims == 0 ? 1 : index->n_dims, other_dims = other->n_dims == 0 ? 1 : other->n_dims;
  bool fits = index_dims == other_dims;
  for (int d = 0; fits && d < index_dims; d++) fits = d == except || size_at(index, d) <= size_at(other, d);
  if (fits) return TT_OK;
  char a[TT_SHAPE_TEXT_BYTES], b[TT_SHAPE_TEXT_BYTES];
  if (except < 0) {
    return tt_fail(error, TT_ERR_SHAPE, "%s: the index of shape %s must not be larger than %s of shape %s in any dimension",
                   op->name, tt_shape_text(index, a), what, tt_shape_text(other, b));
  }
  return tt_fail(error, TT_ERR_SHAPE,
                 "%s: the index of shape %s must have as many dimensions as %s of shape %s, and must not be larger in any but "
                 "dimension %d",
                 op->name, tt_shape_text(index, a), what, tt_shape_text(other, b), except);
}

/* ---- gather ---- */

enum { GATHER_DIM = 1, GATHER_INDEX, GATHER_SOURCE };

tt_status tt_infer_gather(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]), *index = tt_arg_meta(&args[GATHER_INDEX]);
  TT_TRY(need_index_dtype(op, index, false, error));
  if (tt_shape_is_known(&self->shape)) {
    int dim;
    TT_TRY(tt_shape_wrap_dim(op->name, args[GATHER_DIM].as.integer, self->shape.n_dims, &dim, error));
    if (tt_shape_is_known(&index->shape) && tt_shape_n_elements(&index->shape) > 0) {
      TT_TRY(need_index_fits(op, &index->shape, "the tensor", &self->shape, dim, error));
    }
  }
  return tt_infer_one((tt_meta){.dtype = self->dtype, .shape = index->shape}, results, n_results);
}

tt_status tt_kernel_gather(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[GATHER_DIM].as.integer, tt_tensor_n_dims(self), &dim, error));
  tt_tensor *out = tt_tensor_new(metas[0].dtype, &metas[0].shape, error);
  if (!out) return TT_ERR_MEMORY;
  tt_status status = tt_gather_run(op->name, TT_GATHER_READ, self, dim, tt_arg_tensor(&args[GATHER_INDEX]), out, error);
  return one_if(status, out, results, n_results);
}

tt_status tt_grad_gather(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *zeros = tt_rule_unary(&rule, TT_OP_zeros_like, call->args[0].as.operand);
  operand_grads[0] = TT_RULE(&rule, scatter_add, tt_operand_value(zeros), call->args[GATHER_DIM], call->args[GATHER_INDEX],
                             tt_operand_value(call->grads[0]));
  return rule.status;
}

/* ---- scatter, scatter_add ---- */

tt_status tt_infer_scatter(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]), *index = tt_arg_meta(&args[GATHER_INDEX]);
  TT_TRY(need_index_dtype(op, index, false, error));
  const tt_meta *source = args[GATHER_SOURCE].type == TT_VALUE_OPERAND ? tt_arg_meta(&args[GATHER_SOURCE]) : NULL;
  if (source) TT_TRY(tt_infer_need_same_dtype(op, self->dtype, source->dtype, error));
  if (tt_shape_is_known(&self->shape)) {
    int dim;
    TT_TRY(tt_shape_wrap_dim(op->name, args[GATHER_DIM].as.integer, self->shape.n_dims, &dim, error));
    if (tt_shape_is_known(&index->shape) && tt_shape_n_elements(&index->shape) > 0) {
      TT_TRY(need_index_fits(op, &index->shape, "self", &self->shape, dim, error));
      if (source && tt_shape_is_known(&source->shape)) {
        TT_TRY(need_index_fits(op, &index->shape, "src", &source->shape, -1, error));
      }
    }
  }
  return tt_infer_one(*self, results, n_results);
}

/* A number as a tensor of `shape` that holds it once. Answers *view, one reference. */
static tt_status number_view(const tt_op *op, const tt_value *number, tt_dtype dtype, const tt_shape *shape, tt_tensor **view,
                             tt_error *error) {
  tt_shape scalar = {.n_dims = 0};
  tt_tensor *element = tt_tensor_new(dtype, &scalar, error);
  if (!element) return TT_ERR_MEMORY;
  tt_status status = tt_scalar_store_checked(op, number, dtype, tt_tensor_data(element), error);
  tt_tensor *made = status == TT_OK ? broadcast_view(element, shape, error) : NULL;
  tt_tensor_unref(element);
  if (made) *view = made;
  return status == TT_OK && !made ? TT_ERR_MEMORY : status;
}

static tt_status run_scatter(const tt_op *op, const tt_kernel_context *context, const tt_value *args, tt_gather_kind kind,
                             tt_tensor **results, size_t *n_results, tt_error *error) {
  const tt_tensor *self = tt_arg_tensor(&args[0]), *index = tt_arg_tensor(&args[GATHER_INDEX]);
  const tt_value *given = &args[GATHER_SOURCE];
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[GATHER_DIM].as.integer, tt_tensor_n_dims(self), &dim, error));
  TT_TRY(refuse_self(op, context, args, GATHER_INDEX, error));
  TT_TRY(refuse_self(op, context, args, GATHER_SOURCE, error));
  if (tt_tensor_n_elements(index) == 0) return one(target_of(context, self, error), results, n_results);
  tt_tensor *source;
  if (given->type == TT_VALUE_OPERAND) {
    source = tt_tensor_ref(tt_arg_tensor(given));
  } else {
    TT_TRY(number_view(op, given, tt_tensor_dtype(self), tt_tensor_shape(index), &source, error));
  }
  tt_tensor *out = target_of(context, self, error);
  tt_status status = out ? tt_gather_run(op->name, kind, out, dim, index, source, error) : TT_ERR_MEMORY;
  tt_tensor_unref(source);
  return one_if(status, out, results, n_results);
}

tt_status tt_kernel_scatter(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                            tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)metas;
  return run_scatter(op, context, args, TT_GATHER_PUT, results, n_results, error);
}

tt_status tt_kernel_scatter_add(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                                tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)metas;
  return run_scatter(op, context, args, TT_GATHER_ADD, results, n_results, error);
}

/* The gradient of src: what was read of it, and zeros where it is larger than the index. */
static tt_operand *source_gradient(tt_rule *rule, const tt_grad_call *call) {
  const tt_operand *index = call->args[GATHER_INDEX].as.operand, *source = call->args[GATHER_SOURCE].as.operand;
  if (!tt_rule_need_shape(rule, call->op, index) || !tt_rule_need_shape(rule, call->op, source)) return NULL;
  tt_shape shape = index->meta.shape;
  /* An index of nothing may be larger than the source along other dimensions. */
  if (tt_shape_n_elements(&shape) == 0) return NULL;
  tt_operand *grad = TT_RULE(rule, gather, tt_operand_value(call->grads[0]), call->args[GATHER_DIM], call->args[GATHER_INDEX]);
  if (shape.n_dims != source->meta.shape.n_dims) {
    return tt_rule_binary(rule, TT_OP_reshape_as, grad, call->args[GATHER_SOURCE].as.operand);
  }
  for (int d = 0; d < shape.n_dims; d++) {
    int64_t n = shape.dims[d];
    if (n == source->meta.shape.dims[d]) continue;
    shape.dims[d] = source->meta.shape.dims[d];
    grad = TT_RULE(rule, slice_backward, tt_operand_value(grad), tt_ints(shape.dims, (uint32_t)shape.n_dims), tt_int(d),
                   tt_int(0), tt_int(n), tt_int(1));
  }
  return grad;
}

tt_status tt_grad_scatter(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  if (call->is_needed[0]) {
    operand_grads[0] =
        TT_RULE(&rule, scatter, tt_operand_value(call->grads[0]), call->args[GATHER_DIM], call->args[GATHER_INDEX], tt_int(0));
  }
  if (call->args[GATHER_SOURCE].type == TT_VALUE_OPERAND && call->is_needed[2]) {
    operand_grads[2] = source_gradient(&rule, call);
  }
  return rule.status;
}

tt_status tt_grad_scatter_add(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  if (call->is_needed[0]) operand_grads[0] = call->grads[0];
  if (call->is_needed[2]) operand_grads[2] = source_gradient(&rule, call);
  return rule.status;
}

/* ---- index_select, index_add ---- */

/* A vector index (or a scalar one) seen in the shape of a tensor: it varies along dim alone. */
static tt_tensor *index_along(const tt_tensor *index, int dim, const tt_shape *shape, tt_error *error) {
  int64_t strides[TT_MAX_DIMS] = {0};
  if (shape->n_dims > 0) strides[dim] = tt_tensor_n_dims(index) == 0 ? 0 : index->strides[0];
  return tt_tensor_view(index, shape, strides, index->offset, error);
}

static tt_tensor *as_i64(tt_tensor *index, tt_error *error) {
  return tt_tensor_dtype(index) == TT_DTYPE_I64 ? tt_tensor_ref(index) : tt_tensor_cast(index, TT_DTYPE_I64, error);
}

static tt_status need_vector_index(const tt_op *op, const tt_meta *index, tt_error *error) {
  TT_TRY(need_index_dtype(op, index, true, error));
  if (index->shape.n_dims <= 1) return TT_OK;
  char text[TT_SHAPE_TEXT_BYTES];
  return tt_fail(error, TT_ERR_SHAPE, "%s: the index must be a vector, but has the shape %s", op->name,
                 tt_shape_text(&index->shape, text));
}

static int64_t index_length(const tt_shape *index) { return index->n_dims == 0 ? 1 : index->dims[0]; }

tt_status tt_infer_index_select(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]), *index = tt_arg_meta(&args[GATHER_INDEX]);
  TT_TRY(need_vector_index(op, index, error));
  tt_meta meta = *self;
  if (tt_shape_is_known(&self->shape)) {
    int dim;
    TT_TRY(tt_shape_wrap_dim(op->name, args[GATHER_DIM].as.integer, self->shape.n_dims, &dim, error));
    if (!tt_shape_is_known(&index->shape)) {
      meta = self->shape.n_dims == 0 ? meta : tt_meta_unknown(self->dtype);
    } else if (self->shape.n_dims > 0) {
      meta.shape.dims[dim] = index_length(&index->shape);
      TT_TRY(tt_shape_make(meta.shape.dims, (size_t)meta.shape.n_dims, &meta.shape, error));
    } else if (index_length(&index->shape) != 1) {
      return tt_fail(error, TT_ERR_SHAPE, "index_select: from a scalar one element can be selected, not %" PRId64,
                     index_length(&index->shape));
    }
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_index_select(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                                 tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[GATHER_DIM].as.integer, tt_tensor_n_dims(self), &dim, error));
  tt_tensor *line = as_i64(tt_arg_tensor(&args[GATHER_INDEX]), error);
  tt_tensor *index = line ? index_along(line, dim, &metas[0].shape, error) : NULL;
  tt_tensor *out = index ? tt_tensor_new(metas[0].dtype, &metas[0].shape, error) : NULL;
  tt_status status = out ? tt_gather_run(op->name, TT_GATHER_READ, self, dim, index, out, error) : TT_ERR_MEMORY;
  tt_tensor_unref(line);
  tt_tensor_unref(index);
  return one_if(status, out, results, n_results);
}

tt_status tt_grad_index_select(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads,
                               tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *zeros = tt_rule_unary(&rule, TT_OP_zeros_like, call->args[0].as.operand);
  operand_grads[0] = TT_RULE(&rule, index_add, tt_operand_value(zeros), call->args[GATHER_DIM], call->args[GATHER_INDEX],
                             tt_operand_value(call->grads[0]));
  return rule.status;
}

enum { INDEX_ADD_ALPHA = 4 };

tt_status tt_infer_index_add(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]), *index = tt_arg_meta(&args[GATHER_INDEX]),
                *source = tt_arg_meta(&args[GATHER_SOURCE]);
  TT_TRY(need_vector_index(op, index, error));
  TT_TRY(tt_infer_need_same_dtype(op, self->dtype, source->dtype, error));
  if (tt_shape_is_known(&self->shape) && tt_shape_is_known(&index->shape) && tt_shape_is_known(&source->shape)) {
    int dim;
    TT_TRY(tt_shape_wrap_dim(op->name, args[GATHER_DIM].as.integer, self->shape.n_dims, &dim, error));
    tt_shape expected = self->shape, given = source->shape;
    if (expected.n_dims == 0) expected = (tt_shape){.n_dims = 1};
    if (given.n_dims == 0) given = (tt_shape){.n_dims = 1, .dims = {1}};
    expected.dims[dim] = index_length(&index->shape);
    if (!tt_shape_equal(&expected, &given)) {
      char a[TT_SHAPE_TEXT_BYTES], b[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE,
                     "index_add: the source must have the shape %s (self's, as long as the index along %d), not %s",
                     tt_shape_text(&expected, a), dim, tt_shape_text(&source->shape, b));
    }
  }
  return tt_infer_one(*self, results, n_results);
}

/* source times alpha, in source's dtype. Answers *product, one reference. */
static tt_status scaled(const tt_op *op, tt_tensor *source, const tt_value *alpha, tt_generator *generator, tt_tensor **product,
                        tt_error *error) {
  tt_scalar_room room;
  double value;
  const tt_tensor *factor = tt_scalar_room_init(&room, tt_tensor_dtype(source));
  TT_TRY(tt_scalar_store_checked(op, alpha, tt_tensor_dtype(source), room.bytes, error));
  TT_TRY(tt_tensor_item_f64(factor, &value, error));
  if (value == 1) {
    *product = tt_tensor_ref(source);
    return TT_OK;
  }
  tt_value factors[2] = {tt_operand_value(&source->operand), tt_operand_value(&room.tensor.operand)};
  size_t n;
  tt_tensor *made[TT_MAX_RESULTS];
  TT_TRY(tt_op_eval(TT_OP_mul, generator, factors, 2, made, &n, error));
  *product = made[0];
  return TT_OK;
}

tt_status tt_kernel_index_add(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                              tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)metas;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[GATHER_DIM].as.integer, tt_tensor_n_dims(self), &dim, error));
  TT_TRY(refuse_self(op, context, args, GATHER_INDEX, error));
  TT_TRY(refuse_self(op, context, args, GATHER_SOURCE, error));
  tt_tensor *line = as_i64(tt_arg_tensor(&args[GATHER_INDEX]), error);
  if (!line) return TT_ERR_MEMORY;
  tt_tensor *source = NULL, *index = NULL, *out = NULL;
  tt_status status = tt_gather_check(op->name, self, dim, line, error);
  if (status == TT_OK) {
    status = scaled(op, tt_arg_tensor(&args[GATHER_SOURCE]), &args[INDEX_ADD_ALPHA], context->generator, &source, error);
  }
  if (status == TT_OK) {
    index = index_along(line, dim, tt_tensor_shape(source), error);
    out = index ? target_of(context, self, error) : NULL;
    status = out ? tt_gather_run(op->name, TT_GATHER_ADD, out, dim, index, source, error) : TT_ERR_MEMORY;
  }
  tt_tensor_unref(line);
  tt_tensor_unref(source);
  tt_tensor_unref(index);
  return one_if(status, out, results, n_results);
}

tt_status tt_grad_index_add(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  if (call->is_needed[0]) operand_grads[0] = call->grads[0];
  if (call->is_needed[2]) {
    tt_operand *taken =
        TT_RULE(&rule, index_select, tt_operand_value(call->grads[0]), call->args[GATHER_DIM], call->args[GATHER_INDEX]);
    taken = tt_rule_binary(&rule, TT_OP_reshape_as, taken, call->args[GATHER_SOURCE].as.operand);
    operand_grads[2] = TT_RULE(&rule, mul, tt_operand_value(taken), call->args[INDEX_ADD_ALPHA]);
  }
  return rule.status;
}

/* ---- masked_select, masked_scatter, nonzero ---- */

static tt_status need_mask(const tt_op *op, const tt_meta *mask, tt_error *error) {
  if (mask->dtype == TT_DTYPE_BOOL) return TT_OK;
  return tt_fail(error, TT_ERR_DTYPE, "%s: the mask must be bool, not %s", op->name, tt_dtype_name(mask->dtype));
}

tt_status tt_infer_masked_select(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]), *mask = tt_arg_meta(&args[1]);
  TT_TRY(need_mask(op, mask, error));
  if (tt_shape_is_known(&self->shape) && tt_shape_is_known(&mask->shape)) {
    tt_shape both;
    TT_TRY(tt_shape_broadcast(op->name, &self->shape, &mask->shape, &both, error));
  }
  return tt_infer_one(tt_meta_unknown(self->dtype), results, n_results);
}

tt_status tt_kernel_masked_select(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                                  tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  const tt_tensor *self = tt_arg_tensor(&args[0]), *mask = tt_arg_tensor(&args[1]);
  tt_shape both;
  TT_TRY(tt_shape_broadcast(op->name, tt_tensor_shape(self), tt_tensor_shape(mask), &both, error));
  tt_tensor *dense_mask = broadcast_dense(mask, &both, error);
  tt_tensor *dense = dense_mask ? broadcast_dense(self, &both, error) : NULL;
  tt_tensor *out = NULL;
  if (dense) {
    int64_t n = tt_shape_n_elements(&both);
    tt_shape shape = {.n_dims = 1, .dims = {tt_mask_count(tt_tensor_data(dense_mask), n)}};
    out = tt_tensor_new(tt_tensor_dtype(self), &shape, error);
    if (out) {
      tt_mask_take(tt_tensor_data(dense_mask), n, tt_dtype_bytes(tt_tensor_dtype(self)), tt_tensor_data(dense),
                   tt_tensor_data(out));
    }
  }
  tt_tensor_unref(dense_mask);
  tt_tensor_unref(dense);
  return one(out, results, n_results);
}

tt_status tt_grad_masked_select(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads,
                                tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *self = call->args[0].as.operand, *mask = call->args[1].as.operand;
  tt_operand *zeros = tt_rule_unary(&rule, TT_OP_zeros_like, self);
  tt_operand *spread =
      TT_RULE(&rule, masked_scatter, tt_operand_value(zeros), tt_operand_value(mask), tt_operand_value(call->grads[0]));
  operand_grads[0] = tt_grad_sum_to(&rule, call->op, spread, self);
  return rule.status;
}

tt_status tt_infer_masked_scatter(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]), *mask = tt_arg_meta(&args[1]), *source = tt_arg_meta(&args[2]);
  TT_TRY(need_mask(op, mask, error));
  TT_TRY(tt_infer_need_same_dtype(op, self->dtype, source->dtype, error));
  tt_meta meta = tt_meta_unknown(self->dtype);
  if (tt_shape_is_known(&self->shape) && tt_shape_is_known(&mask->shape)) {
    TT_TRY(tt_shape_broadcast(op->name, &self->shape, &mask->shape, &meta.shape, error));
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_masked_scatter(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                                   tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)context;
  const tt_shape *shape = &metas[0].shape;
  tt_tensor *dense_mask = broadcast_dense(tt_arg_tensor(&args[1]), shape, error);
  tt_tensor *source = dense_mask ? tt_tensor_contiguous(tt_arg_tensor(&args[2]), error) : NULL;
  tt_tensor *self = source ? broadcast_view(tt_arg_tensor(&args[0]), shape, error) : NULL;
  tt_tensor *out = self ? tt_tensor_new(metas[0].dtype, shape, error) : NULL;
  tt_status status = out ? tt_tensor_copy(out, self, error) : TT_ERR_MEMORY;
  if (status == TT_OK) {
    int64_t n = tt_shape_n_elements(shape);
    int64_t n_true = tt_mask_count(tt_tensor_data(dense_mask), n);
    if (n_true > tt_tensor_n_elements(source)) {
      status = tt_fail(error, TT_ERR_SHAPE,
                       "masked_scatter: the mask is true at %" PRId64 " places, but the source has only %" PRId64 " elements",
                       n_true, tt_tensor_n_elements(source));
    } else {
      tt_mask_put(tt_tensor_data(dense_mask), n, tt_dtype_bytes(metas[0].dtype), tt_tensor_data(source), tt_tensor_data(out));
    }
  }
  tt_tensor_unref(dense_mask);
  tt_tensor_unref(source);
  tt_tensor_unref(self);
  return one_if(status, out, results, n_results);
}

/* The n-th true place took the n-th element of source, so that element's gradient is the one found there. */
tt_status tt_grad_masked_scatter(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads,
                                 tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *self = call->args[0].as.operand, *mask = call->args[1].as.operand, *source = call->args[2].as.operand;
  tt_operand *grad = call->grads[0];
  if (call->is_needed[0]) {
    tt_operand *kept = TT_RULE(&rule, masked_fill, tt_operand_value(grad), tt_operand_value(mask), tt_int(0));
    operand_grads[0] = tt_grad_sum_to(&rule, call->op, kept, self);
  }
  if (call->is_needed[2] && tt_rule_need_shape(&rule, call->op, source)) {
    int64_t flat = -1;
    tt_operand *zeros = tt_rule_unary(&rule, TT_OP_zeros_like, source);
    if (tt_shape_n_elements(&source->meta.shape) == 0) {
      operand_grads[2] = zeros;
      return rule.status;
    }
    tt_operand *line = TT_RULE(&rule, reshape, tt_operand_value(zeros), tt_ints(&flat, 1));
    tt_operand *places = tt_rule_binary(&rule, TT_OP_expand_as, mask, grad);
    places = TT_RULE(&rule, reshape, tt_operand_value(places), tt_ints(&flat, 1));
    tt_operand *values = TT_RULE(&rule, reshape, tt_operand_value(grad), tt_ints(&flat, 1));
    values = TT_RULE(&rule, masked_fill, tt_operand_value(values),
                     tt_operand_value(tt_rule_unary(&rule, TT_OP_logical_not, places)), tt_int(0));
    tt_operand *order = TT_RULE(&rule, cumsum, tt_operand_value(places), tt_int(0));
    order = TT_RULE(&rule, sub, tt_operand_value(order), tt_int(1));
    order = TT_RULE(&rule, clamp, tt_operand_value(order), tt_int(0));
    tt_operand *gathered =
        TT_RULE(&rule, index_add, tt_operand_value(line), tt_int(0), tt_operand_value(order), tt_operand_value(values));
    operand_grads[2] = tt_rule_binary(&rule, TT_OP_reshape_as, gathered, source);
  }
  return rule.status;
}

tt_status tt_infer_nonzero(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  (void)op, (void)args, (void)error;
  return tt_infer_one(tt_meta_unknown(TT_DTYPE_I64), results, n_results);
}

tt_status tt_kernel_nonzero(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                            tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)context, (void)metas;
  tt_tensor *cast = tt_tensor_cast(tt_arg_tensor(&args[0]), TT_DTYPE_BOOL, error);
  tt_tensor *mask = cast ? tt_tensor_contiguous(cast, error) : NULL;
  tt_tensor_unref(cast);
  if (!mask) return TT_ERR_MEMORY;
  tt_shape shape = {.n_dims = 2,
                    .dims = {tt_mask_count(tt_tensor_data(mask), tt_tensor_n_elements(mask)), tt_tensor_n_dims(mask)}};
  tt_tensor *out = tt_tensor_new(TT_DTYPE_I64, &shape, error);
  if (out && shape.dims[1] > 0) tt_mask_places(tt_tensor_data(mask), tt_tensor_shape(mask), tt_tensor_data(out));
  tt_tensor_unref(mask);
  return one(out, results, n_results);
}

/* ---- sort, argsort, topk ---- */

enum { SORT_DIM = 1, SORT_DESCENDING, TOPK_K = 1, TOPK_DIM, TOPK_LARGEST };

tt_status tt_infer_sort(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  if (tt_shape_is_known(&self->shape)) {
    int dim;
    TT_TRY(tt_shape_wrap_dim(op->name, args[SORT_DIM].as.integer, self->shape.n_dims, &dim, error));
  }
  results[0] = results[1] = *self;
  results[1].dtype = TT_DTYPE_I64;
  *n_results = 2;
  return TT_OK;
}

tt_status tt_infer_argsort(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta both[2];
  size_t n;
  TT_TRY(tt_infer_sort(op, args, both, &n, error));
  return tt_infer_one(both[1], results, n_results);
}

static tt_status run_sort(const tt_op *op, const tt_value *args, int64_t given_dim, bool descending, const tt_meta *values_meta,
                          const tt_meta *indices_meta, tt_tensor **results, size_t *n_results, tt_error *error) {
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, given_dim, tt_tensor_n_dims(self), &dim, error));
  tt_tensor *values = values_meta ? tt_tensor_new(values_meta->dtype, &values_meta->shape, error) : NULL;
  tt_tensor *indices = tt_tensor_new(TT_DTYPE_I64, &indices_meta->shape, error);
  tt_status status = TT_ERR_MEMORY;
  if (indices && (values || !values_meta)) {
    int64_t n_kept = tt_tensor_n_dims(self) == 0 && indices_meta->shape.n_dims == 0 ? 1 : indices_meta->shape.dims[dim];
    status = tt_sort(self, dim, descending, n_kept, values, indices, error);
  }
  if (status != TT_OK) {
    tt_tensor_unref(values);
    tt_tensor_unref(indices);
    return status;
  }
  *n_results = 0;
  if (values) results[(*n_results)++] = values;
  results[(*n_results)++] = indices;
  return TT_OK;
}

tt_status tt_kernel_sort(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_sort(op, args, args[SORT_DIM].as.integer, args[SORT_DESCENDING].as.boolean, &metas[0], &metas[1], results,
                  n_results, error);
}

tt_status tt_kernel_argsort(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                            tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_sort(op, args, args[SORT_DIM].as.integer, args[SORT_DESCENDING].as.boolean, NULL, &metas[0], results, n_results,
                  error);
}

tt_status tt_infer_topk(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  int64_t k = args[TOPK_K].as.integer;
  tt_meta meta = *self;
  if (self->dtype == TT_DTYPE_BOOL) {
    return tt_fail(error, TT_ERR_DTYPE, "topk does not take bool; convert the tensor first");
  }
  if (tt_shape_is_known(&self->shape)) {
    int dim;
    TT_TRY(tt_shape_wrap_dim(op->name, args[TOPK_DIM].as.integer, self->shape.n_dims, &dim, error));
    if (k < 0 || k > size_at(&self->shape, dim)) {
      return tt_fail(error, TT_ERR_INDEX, "topk: k is %" PRId64 ", which is out of range for dimension %d of size %" PRId64, k,
                     dim, size_at(&self->shape, dim));
    }
    if (meta.shape.n_dims > 0) meta.shape.dims[dim] = k;
  }
  results[0] = results[1] = meta;
  results[1].dtype = TT_DTYPE_I64;
  *n_results = 2;
  return TT_OK;
}

tt_status tt_kernel_topk(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_sort(op, args, args[TOPK_DIM].as.integer, args[TOPK_LARGEST].as.boolean, &metas[0], &metas[1], results, n_results,
                  error);
}

static tt_status put_back(tt_call_context *context, const tt_grad_call *call, const tt_value *dim, tt_operand **operand_grads,
                          tt_error *error) {
  if (!call->grads[0]) return TT_OK;
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *zeros = tt_rule_unary(&rule, TT_OP_zeros_like, call->args[0].as.operand);
  operand_grads[0] = TT_RULE(&rule, scatter, tt_operand_value(zeros), *dim, tt_operand_value(call->results[1]),
                             tt_operand_value(call->grads[0]));
  return rule.status;
}

tt_status tt_grad_sort(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  return put_back(context, call, &call->args[SORT_DIM], operand_grads, error);
}

tt_status tt_grad_topk(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  return put_back(context, call, &call->args[TOPK_DIM], operand_grads, error);
}
