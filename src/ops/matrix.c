/* Rows of the matrix section: matmul and its strict forms, outer, addmm; and linear, which is a product and a sum like addmm. */
#include <inttypes.h>

#include "kernels/elementwise.h"
#include "kernels/matmul.h"
#include "ops/define.h"
#include "ops/grad_common.h"
#include "ops/infer_common.h"
#include "ops/promote.h"
#include "ops/rows.h"
#include "ops/rule.h"

/* ---- shapes ---- */

static tt_status need_matmul_dtypes(const tt_op *op, const tt_meta *a, const tt_meta *b, tt_error *error) {
  TT_TRY(tt_infer_need_same_dtype(op, a->dtype, b->dtype, error));
  if (a->dtype == TT_DTYPE_BOOL)
    return tt_fail(error, TT_ERR_DTYPE, "%s does not take bool; convert the tensors first", op->name);
  return TT_OK;
}

static tt_status fail_to_multiply(const tt_op *op, const tt_shape *a, const tt_shape *b, tt_error *error) {
  char a_text[TT_SHAPE_TEXT_BYTES], b_text[TT_SHAPE_TEXT_BYTES];
  return tt_fail(
      error, TT_ERR_SHAPE,
      "%s: shapes %s and %s cannot be multiplied: the last dimension of the first must be as long as the first matrix "
      "dimension of the second",
      op->name, tt_shape_text(a, a_text), tt_shape_text(b, b_text));
}

/* A shape seen as a batch of matrices: a vector is one row on the left, one column on the right. */
typedef struct matrix_shape {
  tt_shape batch;
  int64_t rows, columns;
} matrix_shape;

static matrix_shape matrix_shape_of(const tt_shape *shape, bool is_left) {
  if (shape->n_dims == 1) {
    return (matrix_shape){.rows = is_left ? 1 : shape->dims[0], .columns = is_left ? shape->dims[0] : 1};
  }
  matrix_shape matrix = {.batch = *shape, .rows = shape->dims[shape->n_dims - 2], .columns = shape->dims[shape->n_dims - 1]};
  matrix.batch.n_dims -= 2;
  return matrix;
}

static tt_status matmul_shape(const tt_op *op, const tt_shape *a, const tt_shape *b, tt_shape *out, tt_error *error) {
  if (a->n_dims == 0 || b->n_dims == 0) {
    return tt_fail(error, TT_ERR_SHAPE, "%s: both tensors need at least one dimension, but they have %d and %d", op->name,
                   a->n_dims, b->n_dims);
  }
  if (a->n_dims == 2 && b->n_dims == 2) {
    if (a->dims[1] != b->dims[0]) return fail_to_multiply(op, a, b, error);
    return tt_shape_make((int64_t[]){a->dims[0], b->dims[1]}, 2, out, error);
  }
  matrix_shape left = matrix_shape_of(a, true), right = matrix_shape_of(b, false);
  if (left.columns != right.rows) return fail_to_multiply(op, a, b, error);
  tt_shape shape;
  TT_TRY(tt_shape_broadcast(op->name, &left.batch, &right.batch, &shape, error));
  if (a->n_dims > 1) shape.dims[shape.n_dims++] = left.rows;
  if (b->n_dims > 1) shape.dims[shape.n_dims++] = right.columns;
  return tt_shape_make(shape.dims, (size_t)shape.n_dims, out, error);
}

tt_status tt_infer_matmul(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *a = tt_arg_meta(&args[0]), *b = tt_arg_meta(&args[1]);
  TT_TRY(need_matmul_dtypes(op, a, b, error));
  tt_meta meta = tt_meta_unknown(a->dtype);
  if (tt_shape_is_known(&a->shape) && tt_shape_is_known(&b->shape)) {
    TT_TRY(matmul_shape(op, &a->shape, &b->shape, &meta.shape, error));
  }
  return tt_infer_one(meta, results, n_results);
}

/* The strict forms: matmul for operands of exactly these numbers of dimensions. */
static tt_status infer_strict(const tt_op *op, const tt_value *args, int a_dims, int b_dims, tt_meta *results,
                              size_t *n_results, tt_error *error) {
  const tt_shape *a = &tt_arg_meta(&args[0])->shape, *b = &tt_arg_meta(&args[1])->shape;
  if ((tt_shape_is_known(a) && a->n_dims != a_dims) || (tt_shape_is_known(b) && b->n_dims != b_dims)) {
    char a_text[TT_SHAPE_TEXT_BYTES], b_text[TT_SHAPE_TEXT_BYTES];
    return tt_fail(error, TT_ERR_SHAPE, "%s takes tensors of %d and %d dimensions, not of shapes %s and %s; matmul takes any",
                   op->name, a_dims, b_dims, tt_shape_text(a, a_text), tt_shape_text(b, b_text));
  }
  return tt_infer_matmul(op, args, results, n_results, error);
}

tt_status tt_infer_mm(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  return infer_strict(op, args, 2, 2, results, n_results, error);
}

tt_status tt_infer_mv(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  return infer_strict(op, args, 2, 1, results, n_results, error);
}

tt_status tt_infer_dot(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  return infer_strict(op, args, 1, 1, results, n_results, error);
}

tt_status tt_infer_bmm(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_shape *a = &tt_arg_meta(&args[0])->shape, *b = &tt_arg_meta(&args[1])->shape;
  TT_TRY(infer_strict(op, args, 3, 3, results, n_results, error));
  if (tt_shape_is_known(a) && tt_shape_is_known(b) && a->dims[0] != b->dims[0]) {
    char a_text[TT_SHAPE_TEXT_BYTES], b_text[TT_SHAPE_TEXT_BYTES];
    return tt_fail(error, TT_ERR_SHAPE, "bmm takes batches of one size, not of shapes %s and %s; matmul broadcasts",
                   tt_shape_text(a, a_text), tt_shape_text(b, b_text));
  }
  return TT_OK;
}

/* ---- kernel ---- */

/* Sizes and strides of the matrix in a tensor, a vector being one row on the left, one column on the right. */
typedef struct matrix_view {
  int64_t rows, columns, row, column;
} matrix_view;

static matrix_view matrix_of(const tt_tensor *tensor, bool is_left) {
  const tt_shape *shape = tt_tensor_shape(tensor);
  const int64_t *dims = shape->dims + shape->n_dims, *strides = tensor->strides + shape->n_dims;
  if (shape->n_dims > 1) return (matrix_view){.rows = dims[-2], .columns = dims[-1], .row = strides[-2], .column = strides[-1]};
  return is_left ? (matrix_view){.rows = 1, .columns = dims[-1], .column = strides[-1]}
                 : (matrix_view){.rows = dims[-1], .columns = 1, .row = strides[-1]};
}

/* Strides of a tensor's batch dimensions, aligned with the n_dims of the result and 0 where it is broadcast. */
static void batch_strides(const tt_tensor *tensor, int n_dims, int64_t *strides) {
  const tt_shape *shape = tt_tensor_shape(tensor);
  int n_own = shape->n_dims > 2 ? shape->n_dims - 2 : 0;
  for (int d = 0; d < n_dims; d++) {
    int own = d - (n_dims - n_own);
    strides[d] = own < 0 || shape->dims[own] == 1 ? 0 : tensor->strides[own];
  }
}

/* A batch times one matrix is one tall matrix times it, where the batch lies evenly in memory. */
static void fold_batch(tt_matmul *product) {
  int64_t rows = product->m;
  for (int d = product->n_batch_dims - 1; d >= 0; d--) {
    if (product->b_batch[d] != 0) return;
    if (product->batch_sizes[d] != 1 && product->a_batch[d] != rows * product->a_row) return;
    rows *= product->batch_sizes[d];
  }
  product->m = rows;
  product->c_block = rows * product->n;
  product->n_batch_dims = 0;
}

/* The product, whose shape has been inferred. */
static tt_tensor *multiply(const tt_tensor *a, const tt_tensor *b, const tt_shape *shape, tt_error *error) {
  tt_tensor *out = tt_tensor_new(tt_tensor_dtype(a), shape, error);
  if (!out) return NULL;
  matrix_view left = matrix_of(a, true), right = matrix_of(b, false);
  tt_matmul product; /* field by field: most of it is for batches, and clearing that takes as long as a small product */
  product.dtype = tt_tensor_dtype(a);
  product.m = left.rows, product.n = right.columns, product.k = left.columns;
  product.a = tt_tensor_data(a), product.b = tt_tensor_data(b), product.c = tt_tensor_data(out);
  product.a_row = left.row, product.a_column = left.column, product.b_row = right.row, product.b_column = right.column;
  product.c_row = right.columns, product.c_block = left.rows * right.columns;
  product.n_batch_dims = shape->n_dims - (tt_tensor_n_dims(a) > 1) - (tt_tensor_n_dims(b) > 1);
  if (product.n_batch_dims > 0) {
    for (int d = 0; d < product.n_batch_dims; d++) product.batch_sizes[d] = shape->dims[d];
    batch_strides(a, product.n_batch_dims, product.a_batch);
    batch_strides(b, product.n_batch_dims, product.b_batch);
    fold_batch(&product);
  }
  if (tt_matmul_run(&product, error) != TT_OK) {
    tt_tensor_unref(out);
    return NULL;
  }
  return out;
}

tt_status tt_kernel_matmul(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)context;
  tt_tensor *out = multiply(tt_arg_tensor(&args[0]), tt_arg_tensor(&args[1]), &metas[0].shape, error);
  if (!out) return TT_ERR_MEMORY;
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}

/* ---- gradient ---- */

static tt_operand *swap_last(tt_rule *rule, tt_operand *x) {
  return TT_RULE(rule, transpose, tt_operand_value(x), tt_int(-2), tt_int(-1));
}

static tt_operand *with_dim(tt_rule *rule, tt_operand *x, int64_t dim) {
  return TT_RULE(rule, unsqueeze, tt_operand_value(x), tt_int(dim));
}

static tt_operand *reshaped_like(tt_rule *rule, tt_operand *x, tt_operand *like) {
  return tt_rule_binary(rule, TT_OP_reshape_as, x, like);
}

/* Sums what broadcasting had expanded, then takes off the dimension that a vector had been lent. */
static tt_operand *back_to(tt_rule *rule, const tt_op *op, tt_operand *grad, const tt_operand *matrix, tt_operand *operand) {
  tt_operand *summed = tt_grad_sum_to(rule, op, grad, matrix);
  return operand->meta.shape.n_dims == 1 ? reshaped_like(rule, summed, operand) : summed;
}

tt_status tt_grad_matmul(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *a = call->args[0].as.operand, *b = call->args[1].as.operand, *grad = call->grads[0];
  if (!tt_rule_need_shape(&rule, call->op, a) || !tt_rule_need_shape(&rule, call->op, b)) return rule.status;
  int a_dims = a->meta.shape.n_dims, b_dims = b->meta.shape.n_dims;
  tt_operand *left = a_dims == 1 ? with_dim(&rule, a, 0) : a;
  tt_operand *right = b_dims == 1 ? with_dim(&rule, b, 1) : b;
  if (b_dims == 1) grad = with_dim(&rule, grad, -1);
  if (a_dims == 1) grad = with_dim(&rule, grad, -2);
  if (call->is_needed[0]) {
    tt_operand *of_left = tt_rule_binary(&rule, TT_OP_matmul, grad, swap_last(&rule, right));
    operand_grads[0] = back_to(&rule, call->op, of_left, left, a);
  }
  if (call->is_needed[1]) {
    tt_operand *of_right;
    if (a_dims > 2 && b_dims <= 2 && rule.status == TT_OK) {
      /* The sum over the batch is part of one product of tall matrices. */
      int64_t left_shape[2] = {-1, left->meta.shape.dims[a_dims - 1]};
      int64_t grad_shape[2] = {-1, right->meta.shape.dims[1]};
      int64_t n_rows = tt_shape_n_elements(&left->meta.shape);
      left_shape[0] = left_shape[1] == 0 ? 0 : n_rows / left_shape[1];
      grad_shape[0] = left_shape[0];
      tt_operand *tall_left = TT_RULE(&rule, reshape, tt_operand_value(left), tt_ints(left_shape, 2));
      tt_operand *tall_grad = TT_RULE(&rule, reshape, tt_operand_value(grad), tt_ints(grad_shape, 2));
      of_right = tt_rule_binary(&rule, TT_OP_matmul, swap_last(&rule, tall_left), tall_grad);
    } else {
      of_right = tt_rule_binary(&rule, TT_OP_matmul, swap_last(&rule, left), grad);
    }
    operand_grads[1] = back_to(&rule, call->op, of_right, right, b);
  }
  return rule.status;
}

/* ---- outer ---- */

tt_status tt_infer_outer(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *a = tt_arg_meta(&args[0]), *b = tt_arg_meta(&args[1]);
  const tt_meta *vectors[2] = {a, b};
  tt_meta meta = {.dtype = tt_dtype_promote(a->dtype, b->dtype), .shape = {.n_dims = 2}};
  for (int i = 0; i < 2; i++) {
    if (!tt_shape_is_known(&vectors[i]->shape)) return tt_infer_one(tt_meta_unknown(meta.dtype), results, n_results);
    if (vectors[i]->shape.n_dims != 1) {
      char text[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE, "%s takes two vectors, but '%s' has the shape %s", op->name, op->params[i].name,
                     tt_shape_text(&vectors[i]->shape, text));
    }
    meta.shape.dims[i] = vectors[i]->shape.dims[0];
  }
  TT_TRY(tt_shape_make(meta.shape.dims, 2, &meta.shape, error));
  return tt_infer_one(meta, results, n_results);
}

/* A column times a row, by broadcasting. */
tt_status tt_kernel_outer(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                          tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)metas;
  tt_tensor *vector = tt_arg_tensor(&args[0]);
  tt_shape shape = {.n_dims = 2, .dims = {tt_tensor_shape(vector)->dims[0], 1}};
  int64_t strides[2] = {vector->strides[0], 1};
  tt_tensor *column = tt_tensor_view(vector, &shape, strides, vector->offset, error);
  if (!column) return TT_ERR_MEMORY;
  tt_value factors[2] = {tt_operand_value(&column->operand), args[1]};
  tt_status status = tt_op_eval(TT_OP_mul, context->generator, factors, 2, results, n_results, error);
  tt_tensor_unref(column);
  return status;
}

tt_status tt_grad_outer(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *a = call->args[0].as.operand, *b = call->args[1].as.operand, *grad = call->grads[0];
  tt_dtype dtype = call->results[0]->meta.dtype;
  if (call->is_needed[0]) {
    tt_operand *of_a = tt_rule_binary(&rule, TT_OP_mv, grad, tt_rule_cast(&rule, b, dtype));
    operand_grads[0] = tt_rule_cast(&rule, of_a, a->meta.dtype);
  }
  if (call->is_needed[1]) {
    tt_operand *of_b = tt_rule_binary(&rule, TT_OP_mv, swap_last(&rule, grad), tt_rule_cast(&rule, a, dtype));
    operand_grads[1] = tt_rule_cast(&rule, of_b, b->meta.dtype);
  }
  return rule.status;
}

/* ---- addmm: beta * self + alpha * (mat1 @ mat2) ---- */

enum { ADDMM_MAT1 = 1, ADDMM_MAT2, ADDMM_BETA, ADDMM_ALPHA };

tt_status tt_infer_addmm(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  tt_meta product;
  size_t n_products;
  TT_TRY(tt_infer_mm(op, args + 1, &product, &n_products, error));
  TT_TRY(tt_infer_need_same_dtype(op, self->dtype, product.dtype, error));
  if (tt_shape_is_known(&self->shape) && tt_shape_is_known(&product.shape)) {
    tt_shape both;
    TT_TRY(tt_shape_broadcast(op->name, &self->shape, &product.shape, &both, error));
    if (!tt_shape_equal(&both, &product.shape)) {
      char self_text[TT_SHAPE_TEXT_BYTES], product_text[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE, "addmm: self of shape %s does not expand to the product's shape %s",
                     tt_shape_text(&self->shape, self_text), tt_shape_text(&product.shape, product_text));
    }
  }
  return tt_infer_one(product, results, n_results);
}

/* A number in the dtype of the tensors it scales, as a tensor in `room`; *value is what it came to. */
static tt_status scale_factor(const tt_op *op, const tt_value *number, tt_dtype dtype, tt_scalar_room *room, double *value,
                              tt_error *error) {
  const tt_tensor *factor = tt_scalar_room_init(room, dtype);
  TT_TRY(tt_scalar_store_checked(op, number, dtype, room->bytes, error));
  return tt_tensor_item_f64(factor, value, error);
}

/* *tensor becomes factor * *tensor; 1 changes nothing. On failure it is as it was. */
static tt_status scale(tt_tensor **tensor, tt_scalar_room *factor, double value, tt_kernel_context *context, tt_error *error) {
  if (value == 1) return TT_OK;
  tt_value factors[2] = {tt_operand_value(&(*tensor)->operand), tt_operand_value(&factor->tensor.operand)};
  tt_tensor *scaled[TT_MAX_RESULTS];
  size_t n_scaled;
  TT_TRY(tt_op_eval(TT_OP_mul, context->generator, factors, 2, scaled, &n_scaled, error));
  tt_tensor_unref(*tensor);
  *tensor = scaled[0];
  return TT_OK;
}

/* beta 0 leaves self out, NaN and all. */
tt_status tt_kernel_addmm(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                          tt_tensor **results, size_t *n_results, tt_error *error) {
  tt_scalar_room alpha_room, beta_room;
  double alpha, beta;
  TT_TRY(scale_factor(op, &args[ADDMM_ALPHA], metas[0].dtype, &alpha_room, &alpha, error));
  TT_TRY(scale_factor(op, &args[ADDMM_BETA], metas[0].dtype, &beta_room, &beta, error));
  tt_tensor *product = multiply(tt_arg_tensor(&args[ADDMM_MAT1]), tt_arg_tensor(&args[ADDMM_MAT2]), &metas[0].shape, error);
  if (!product) return TT_ERR_MEMORY;
  tt_tensor *self = tt_tensor_ref(tt_arg_tensor(&args[0]));
  tt_status status = scale(&product, &alpha_room, alpha, context, error);
  if (status == TT_OK && beta == 0) {
    results[0] = tt_tensor_ref(product);
    *n_results = 1;
  } else if (status == TT_OK) {
    status = scale(&self, &beta_room, beta, context, error);
    tt_value terms[2] = {tt_operand_value(&self->operand), tt_operand_value(&product->operand)};
    if (status == TT_OK) status = tt_op_eval(TT_OP_add, context->generator, terms, 2, results, n_results, error);
  }
  tt_tensor_unref(self);
  tt_tensor_unref(product);
  return status;
}

tt_status tt_grad_addmm(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *self = call->args[0].as.operand, *mat1 = call->args[ADDMM_MAT1].as.operand,
             *mat2 = call->args[ADDMM_MAT2].as.operand, *grad = call->grads[0];
  tt_operand *scaled = TT_RULE(&rule, mul, tt_operand_value(grad), call->args[ADDMM_ALPHA]);
  if (call->is_needed[1]) operand_grads[1] = tt_rule_binary(&rule, TT_OP_mm, scaled, swap_last(&rule, mat2));
  if (call->is_needed[2]) operand_grads[2] = tt_rule_binary(&rule, TT_OP_mm, swap_last(&rule, mat1), scaled);
  if (call->is_needed[0] && rule.status == TT_OK) {
    tt_operand *of_self = TT_RULE(&rule, mul, tt_operand_value(grad), call->args[ADDMM_BETA]);
    operand_grads[0] = tt_grad_sum_to(&rule, call->op, of_self, self);
  }
  return rule.status;
}

/* ---- linear: self @ weight.T + bias ---- */

enum { LINEAR_WEIGHT = 1, LINEAR_BIAS };

static void turn_last(tt_shape *shape) {
  int last = shape->n_dims - 1;
  if (last < 1) return;
  int64_t n = shape->dims[last];
  shape->dims[last] = shape->dims[last - 1];
  shape->dims[last - 1] = n;
}

/* A weight of shape (out, in) and a bias of shape (out), or (in) and a number. */
static tt_status check_linear(const tt_op *op, const tt_meta *weight, const tt_meta *bias, tt_error *error) {
  TT_TRY(tt_infer_need_shape(op, "an operand", weight, error));
  const tt_shape *shape = &weight->shape;
  bool takes_bias = bias == NULL;
  if (bias != NULL) {
    TT_TRY(tt_infer_need_shape(op, "an operand", bias, error));
    int64_t n = bias->shape.n_dims == 1 ? bias->shape.dims[0] : -1;
    takes_bias = shape->n_dims == 2 ? n == shape->dims[0] : bias->shape.n_dims == 0;
  }
  if ((shape->n_dims == 1 || shape->n_dims == 2) && takes_bias) return TT_OK;
  char text[TT_SHAPE_TEXT_BYTES], bias_text[TT_SHAPE_TEXT_BYTES];
  return tt_fail(error, TT_ERR_SHAPE, "%s takes a weight of shape (out, in) and a bias of shape (out), not %s and %s", op->name,
                 tt_shape_text(shape, text), bias != NULL ? tt_shape_text(&bias->shape, bias_text) : "none");
}

INFER(linear) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  tt_operand across = {.meta = *tt_arg_meta(&args[LINEAR_WEIGHT])};
  const tt_meta *bias = tt_arg_is_none(&args[LINEAR_BIAS]) ? NULL : tt_arg_meta(&args[LINEAR_BIAS]);
  TT_TRY(check_linear(op, &across.meta, bias, error));
  if (bias != NULL) {
    TT_TRY(tt_infer_need_floating(op, self->dtype, error));
    TT_TRY(tt_infer_need_same_dtype(op, self->dtype, bias->dtype, error));
  }
  turn_last(&across.meta.shape);
  return tt_infer_matmul(op, (tt_value[]){args[0], tt_operand_value(&across)}, results, n_results, error);
}

/* Adds the bias to each row of a product that is nobody's yet. */
static void add_bias(tt_tensor *product, const tt_tensor *bias) {
  tt_dtype dtype = tt_tensor_dtype(product);
  tt_elementwise sum = {.loop = tt_loops_add.by_dtype[dtype], .out_dtype = dtype, .in_dtypes = {dtype, dtype}, .n_inputs = 2};
  tt_elementwise_run(&sum, product, (const tt_tensor *const[]){product, bias});
}

KERNEL(linear) {
  (void)op, (void)context;
  tt_tensor across = *tt_arg_tensor(&args[LINEAR_WEIGHT]); /* another look at the same memory, for as long as this call */
  if (tt_tensor_n_dims(&across) == 2) {
    turn_last(&across.operand.meta.shape);
    int64_t row = across.strides[0];
    across.strides[0] = across.strides[1];
    across.strides[1] = row;
  }
  tt_tensor *out = multiply(tt_arg_tensor(&args[0]), &across, &metas[0].shape, error);
  if (out == NULL) return TT_ERR_MEMORY;
  if (!tt_arg_is_none(&args[LINEAR_BIAS])) add_bias(out, tt_arg_tensor(&args[LINEAR_BIAS]));
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}

/* x with its leading dimensions as one. */
static tt_operand *as_rows(tt_rule *rule, tt_operand *x) {
  const tt_shape *shape = &x->meta.shape;
  if (rule->status != TT_OK || shape->n_dims == 2) return x;
  int64_t n_columns = shape->dims[shape->n_dims - 1], n_rows = 1;
  for (int d = 0; d < shape->n_dims - 1; d++) n_rows *= shape->dims[d];
  return TT_RULE(rule, reshape, tt_operand_value(x), tt_ints((int64_t[]){n_rows, n_columns}, 2));
}

GRAD(linear) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *self = call->args[0].as.operand, *weight = call->args[LINEAR_WEIGHT].as.operand, *grad = call->grads[0];
  if (!tt_rule_need_shape(&rule, call->op, self) || !tt_rule_need_shape(&rule, call->op, weight)) return rule.status;
  bool is_vector = weight->meta.shape.n_dims == 1; /* one output, without a dimension for it */
  tt_operand *sums = is_vector ? with_dim(&rule, grad, -1) : grad;
  if (call->is_needed[0]) {
    operand_grads[0] = tt_rule_binary(&rule, TT_OP_matmul, sums, is_vector ? with_dim(&rule, weight, 0) : weight);
  }
  if (call->is_needed[1]) {
    tt_operand *across = swap_last(&rule, as_rows(&rule, sums));
    tt_operand *of_weight = tt_rule_binary(&rule, TT_OP_mm, across, as_rows(&rule, self));
    operand_grads[1] = is_vector ? reshaped_like(&rule, of_weight, weight) : of_weight;
  }
  if (tt_grad_is_needed(call, LINEAR_BIAS))
    operand_grads[2] = tt_grad_sum_to(&rule, call->op, grad, call->args[LINEAR_BIAS].as.operand);
  return rule.status;
}
