/* Rows of the linalg section: solve, Cholesky, triangular solves, inverse, determinant. Batched; computed in double. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/linalg.h"
#include "ops/grad_common.h"
#include "ops/infer_common.h"
#include "ops/rows.h"
#include "ops/rule.h"

/* ---- common ---- */

static tt_status need_matrices(const tt_op *op, const tt_op *named, int i_param, const tt_meta *meta, bool is_square,
                               tt_error *error) {
  TT_TRY(tt_infer_need_floating(op, meta->dtype, error));
  if (!tt_shape_is_known(&meta->shape)) return TT_OK;
  const tt_shape *shape = &meta->shape;
  char text[TT_SHAPE_TEXT_BYTES];
  if (shape->n_dims < 2) {
    return tt_fail(error, TT_ERR_SHAPE, "%s: '%s' must be a matrix or a batch of them, but has the shape %s", op->name,
                   named->params[i_param].name, tt_shape_text(shape, text));
  }
  if (is_square && shape->dims[shape->n_dims - 1] != shape->dims[shape->n_dims - 2]) {
    return tt_fail(error, TT_ERR_SHAPE, "%s: '%s' must be a square matrix or a batch of them, but has the shape %s", op->name,
                   named->params[i_param].name, tt_shape_text(shape, text));
  }
  return TT_OK;
}

static tt_shape batch_of(const tt_shape *shape) {
  tt_shape batch = *shape;
  batch.n_dims -= 2;
  return batch;
}

static tt_tensor *expanded(const tt_tensor *self, const tt_shape *shape, tt_error *error) {
  int64_t strides[TT_MAX_DIMS] = {0};
  const tt_shape *own = tt_tensor_shape(self);
  int n_new = shape->n_dims - own->n_dims;
  for (int d = n_new; d < shape->n_dims; d++) strides[d] = own->dims[d - n_new] == 1 ? 0 : self->strides[d - n_new];
  return tt_tensor_view(self, shape, strides, self->offset, error);
}

/* A dense float64 copy of self broadcast over `batch`, its matrices transposed when asked. */
static tt_tensor *matrices_in_double(const tt_tensor *self, const tt_shape *batch, bool is_transposed, tt_error *error) {
  tt_shape shape = *batch;
  int n_own = tt_tensor_n_dims(self);
  for (int i = 2; i >= 1; i--) shape.dims[shape.n_dims++] = tt_tensor_shape(self)->dims[n_own - i];
  tt_tensor *view = expanded(self, &shape, error);
  if (!view) return NULL;
  if (is_transposed) {
    int64_t strides[TT_MAX_DIMS];
    memcpy(strides, view->strides, sizeof strides);
    int last = shape.n_dims - 1;
    int64_t rows = shape.dims[last - 1], row_stride = strides[last - 1];
    shape.dims[last - 1] = shape.dims[last];
    strides[last - 1] = strides[last];
    shape.dims[last] = rows;
    strides[last] = row_stride;
    tt_tensor *turned = tt_tensor_view(view, &shape, strides, view->offset, error);
    tt_tensor_unref(view);
    if (!turned) return NULL;
    view = turned;
  }
  tt_tensor *out = tt_tensor_new(TT_DTYPE_F64, &shape, error);
  if (out && tt_tensor_copy(out, view, error) != TT_OK) {
    tt_tensor_unref(out);
    out = NULL;
  }
  tt_tensor_unref(view);
  return out;
}

/* The answer: `computed` (float64, dense), transposed back when asked, in the result's dtype and shape. */
static tt_status answer(const tt_tensor *computed, bool is_transposed, const tt_meta *meta, tt_tensor **results,
                        size_t *n_results, tt_error *error) {
  tt_shape batch = batch_of(tt_tensor_shape(computed));
  tt_tensor *turned = is_transposed ? matrices_in_double(computed, &batch, true, error) : NULL;
  if (is_transposed && !turned) return TT_ERR_MEMORY;
  const tt_tensor *source = turned ? turned : computed;
  tt_tensor *out = tt_tensor_new(meta->dtype, &meta->shape, error);
  tt_tensor *view = NULL;
  tt_status status = TT_ERR_MEMORY;
  if (out) { /* the result may lack the dimension of size 1 that a vector was lent; both are dense */
    int64_t n = tt_shape_n_elements(&meta->shape), stride = 1;
    tt_shape flat = {.n_dims = 1, .dims = {n}};
    tt_tensor *flat_out = tt_tensor_view(out, &flat, &stride, out->offset, error);
    view = flat_out ? tt_tensor_view(source, &flat, &stride, source->offset, error) : NULL;
    if (view) status = tt_tensor_copy(flat_out, view, error);
    tt_tensor_unref(flat_out);
  }
  tt_tensor_unref(view);
  tt_tensor_unref(turned);
  if (status != TT_OK) {
    tt_tensor_unref(out);
    return status;
  }
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}

static tt_status fail_singular(const tt_op *op, int64_t i_batch, bool is_batched, int64_t pivot, tt_error *error) {
  char where[48] = "";
  if (is_batched) snprintf(where, sizeof where, "(batch element %" PRId64 ") ", i_batch);
  return tt_fail(error, TT_ERR_NUMERIC, "%s: %sthe matrix is singular: pivot %" PRId64 " is zero", op->name, where, pivot);
}

/* Solves A X = B for every matrix of a batch; both are dense float64, a is spoilt, b becomes X. */
static tt_status solve_batch(const tt_op *op, tt_tensor *a, tt_tensor *b, bool is_batched, tt_error *error) {
  const tt_shape *a_shape = tt_tensor_shape(a), *b_shape = tt_tensor_shape(b);
  int64_t n = a_shape->dims[a_shape->n_dims - 1], n_columns = b_shape->dims[b_shape->n_dims - 1];
  tt_shape batch = batch_of(a_shape);
  int64_t n_matrices = tt_shape_n_elements(&batch);
  int64_t *pivots = tt_alloc((size_t)n + 1, sizeof *pivots);
  if (!pivots) return tt_fail(error, TT_ERR_MEMORY, "%s: no memory for %" PRId64 " pivots", op->name, n);
  double *matrix = tt_tensor_data(a), *columns = tt_tensor_data(b);
  tt_status status = TT_OK;
  for (int64_t i = 0; i < n_matrices && n > 0; i++, matrix += n * n, columns += n * n_columns) {
    int sign;
    int64_t zero = tt_lu_factor(matrix, n, pivots, &sign);
    if (zero > 0) {
      status = fail_singular(op, i, is_batched, zero, error);
      break;
    }
    tt_lu_solve(matrix, pivots, n, columns, n_columns);
  }
  tt_free(pivots);
  return status;
}

static tt_operand *swap_last(tt_rule *rule, tt_operand *x) {
  return TT_RULE(rule, transpose, tt_operand_value(x), tt_int(-2), tt_int(-1));
}

static tt_operand *minus_product(tt_rule *rule, tt_operand *a, tt_operand *b) {
  return tt_rule_unary(rule, TT_OP_neg, tt_rule_binary(rule, TT_OP_matmul, a, b));
}

/* ---- linalg_solve ---- */

/* PyTorch takes B as vectors when it is one, or when it has exactly A's batch and one dimension less. */
static bool is_vector_solve(const tt_shape *a, const tt_shape *b) {
  if (b->n_dims == 1) return true;
  if (b->n_dims != a->n_dims - 1) return false;
  for (int d = 0; d < b->n_dims; d++) {
    if (b->dims[d] != a->dims[d]) return false;
  }
  return true;
}

/* The batch, and B's shape with a column lent to vectors; what the result is. */
static tt_status solve_shapes(const tt_op *op, const tt_shape *a, const tt_shape *b, bool left, tt_shape *batch,
                              tt_shape *b_matrix, tt_shape *out, tt_error *error) {
  char a_text[TT_SHAPE_TEXT_BYTES], b_text[TT_SHAPE_TEXT_BYTES];
  bool is_vector = is_vector_solve(a, b);
  if (is_vector && !left) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: vectors are solved for with left=True only; give B as a matrix", op->name);
  }
  tt_shape matrix = *b;
  if (is_vector) matrix.dims[matrix.n_dims++] = 1;
  int64_t n = a->dims[a->n_dims - 1];
  if (matrix.n_dims < 2 || matrix.dims[matrix.n_dims - (left ? 2 : 1)] != n) {
    return tt_fail(error, TT_ERR_SHAPE, "%s: A of shape %s and B of shape %s do not fit together: B needs %" PRId64 " %s",
                   op->name, tt_shape_text(a, a_text), tt_shape_text(b, b_text), n, left ? "rows" : "columns");
  }
  tt_shape a_batch = batch_of(a), b_batch = batch_of(&matrix);
  TT_TRY(tt_shape_broadcast(op->name, &a_batch, &b_batch, batch, error));
  *out = *batch;
  out->dims[out->n_dims++] = matrix.dims[matrix.n_dims - 2];
  if (!is_vector) out->dims[out->n_dims++] = matrix.dims[matrix.n_dims - 1];
  *b_matrix = matrix;
  return TT_OK;
}

enum { SOLVE_LEFT = 2 };

tt_status tt_infer_linalg_solve(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *a = tt_arg_meta(&args[0]), *b = tt_arg_meta(&args[1]);
  TT_TRY(need_matrices(op, op, 0, a, true, error));
  TT_TRY(tt_infer_need_same_dtype(op, a->dtype, b->dtype, error));
  tt_meta meta = tt_meta_unknown(a->dtype);
  if (tt_shape_is_known(&a->shape) && tt_shape_is_known(&b->shape)) {
    tt_shape batch, b_matrix;
    if (b->shape.n_dims == 0) {
      return tt_fail(error, TT_ERR_SHAPE, "%s: B must have at least one dimension", op->name);
    }
    TT_TRY(solve_shapes(op, &a->shape, &b->shape, args[SOLVE_LEFT].as.boolean, &batch, &b_matrix, &meta.shape, error));
    TT_TRY(tt_shape_make(meta.shape.dims, (size_t)meta.shape.n_dims, &meta.shape, error));
  }
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_linalg_solve(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                                 tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  const tt_tensor *a = tt_arg_tensor(&args[0]), *b = tt_arg_tensor(&args[1]);
  bool left = args[SOLVE_LEFT].as.boolean;
  tt_shape batch, b_matrix, out;
  TT_TRY(solve_shapes(op, tt_tensor_shape(a), tt_tensor_shape(b), left, &batch, &b_matrix, &out, error));
  int64_t strides[TT_MAX_DIMS];
  memcpy(strides, b->strides, sizeof strides);
  if (b_matrix.n_dims > tt_tensor_n_dims(b)) strides[b_matrix.n_dims - 1] = 1;
  tt_tensor *b_view = tt_tensor_view(b, &b_matrix, strides, b->offset, error);
  /* X A = B is A' X' = B'. */
  tt_tensor *left_side = b_view ? matrices_in_double(a, &batch, !left, error) : NULL;
  tt_tensor *right_side = left_side ? matrices_in_double(b_view, &batch, !left, error) : NULL;
  tt_status status = TT_ERR_MEMORY;
  if (right_side) status = solve_batch(op, left_side, right_side, batch.n_dims > 0, error);
  if (status == TT_OK) status = answer(right_side, !left, &metas[0], results, n_results, error);
  tt_tensor_unref(b_view);
  tt_tensor_unref(left_side);
  tt_tensor_unref(right_side);
  return status;
}

tt_status tt_grad_linalg_solve(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads,
                               tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *a = call->args[0].as.operand, *b = call->args[1].as.operand;
  if (!tt_rule_need_shape(&rule, call->op, a) || !tt_rule_need_shape(&rule, call->op, b)) return rule.status;
  bool left = call->args[SOLVE_LEFT].as.boolean, is_vector = is_vector_solve(&a->meta.shape, &b->meta.shape);
  tt_operand *grad = call->grads[0], *x = call->results[0];
  if (is_vector) {
    grad = TT_RULE(&rule, unsqueeze, tt_operand_value(grad), tt_int(-1));
    x = TT_RULE(&rule, unsqueeze, tt_operand_value(x), tt_int(-1));
  }
  tt_operand *of_b = TT_RULE(&rule, linalg_solve, tt_operand_value(swap_last(&rule, a)), tt_operand_value(grad), tt_bool(left));
  if (call->is_needed[0]) {
    tt_operand *of_a = left ? minus_product(&rule, of_b, swap_last(&rule, x)) : minus_product(&rule, swap_last(&rule, x), of_b);
    operand_grads[0] = tt_grad_sum_to(&rule, call->op, of_a, a);
  }
  if (call->is_needed[1]) {
    tt_operand *plain = is_vector ? TT_RULE(&rule, squeeze, tt_operand_value(of_b), tt_int(-1)) : of_b;
    operand_grads[1] = tt_grad_sum_to(&rule, call->op, plain, b);
  }
  return rule.status;
}

/* ---- inverse ---- */

tt_status tt_infer_inverse(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  TT_TRY(need_matrices(op, op, 0, tt_arg_meta(&args[0]), true, error));
  return tt_infer_one(*tt_arg_meta(&args[0]), results, n_results);
}

tt_status tt_kernel_inverse(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                            tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  tt_shape batch = batch_of(tt_tensor_shape(self));
  tt_tensor *matrices = matrices_in_double(self, &batch, false, error);
  tt_tensor *identity = matrices ? tt_tensor_zeros(TT_DTYPE_F64, tt_tensor_shape(matrices), error) : NULL;
  tt_status status = TT_ERR_MEMORY;
  if (identity) {
    int64_t n = metas[0].shape.dims[metas[0].shape.n_dims - 1], n_rows = n == 0 ? 0 : tt_tensor_n_elements(identity) / n;
    double *row = tt_tensor_data(identity);
    for (int64_t i = 0; i < n_rows; i++) row[i * n + i % n] = 1;
    status = solve_batch(op, matrices, identity, batch.n_dims > 0, error);
  }
  if (status == TT_OK) status = answer(identity, false, &metas[0], results, n_results, error);
  tt_tensor_unref(matrices);
  tt_tensor_unref(identity);
  return status;
}

tt_status tt_grad_inverse(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *turned = swap_last(&rule, call->results[0]);
  operand_grads[0] = minus_product(&rule, tt_rule_binary(&rule, TT_OP_matmul, turned, call->grads[0]), turned);
  return rule.status;
}

/* ---- det ---- */

tt_status tt_infer_det(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  TT_TRY(need_matrices(op, op, 0, self, true, error));
  tt_meta meta = *self;
  if (tt_shape_is_known(&self->shape)) meta.shape = batch_of(&self->shape);
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_det(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                        tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  tt_shape batch = batch_of(tt_tensor_shape(self));
  int64_t n = tt_tensor_shape(self)->dims[tt_tensor_n_dims(self) - 1];
  tt_tensor *matrices = matrices_in_double(self, &batch, false, error);
  tt_tensor *values = matrices ? tt_tensor_new(TT_DTYPE_F64, &batch, error) : NULL;
  int64_t *pivots = values ? tt_alloc((size_t)n + 1, sizeof *pivots) : NULL;
  tt_tensor *out = NULL;
  if (pivots) {
    double *matrix = tt_tensor_data(matrices), *value = tt_tensor_data(values);
    int64_t n_matrices = tt_shape_n_elements(&batch);
    for (int64_t i = 0; i < n_matrices; i++, matrix += n * n) {
      int sign;
      tt_lu_factor(matrix, n, pivots, &sign);
      value[i] = sign;
      for (int64_t k = 0; k < n; k++) value[i] *= matrix[k * n + k];
    }
    out = tt_tensor_cast(values, metas[0].dtype, error);
  } else if (values) {
    tt_fail(error, TT_ERR_MEMORY, "%s: no memory for %" PRId64 " pivots", op->name, n);
  }
  tt_free(pivots);
  tt_tensor_unref(matrices);
  tt_tensor_unref(values);
  if (!out) return TT_ERR_MEMORY;
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}

/* grad * det * inverse transposed. A singular matrix has a slope too, but not by this rule: it is refused, by inverse. */
tt_status tt_grad_det(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *scale = tt_rule_binary(&rule, TT_OP_mul, call->grads[0], call->results[0]);
  for (int i = 0; i < 2; i++) scale = TT_RULE(&rule, unsqueeze, tt_operand_value(scale), tt_int(-1));
  tt_operand *inverse = tt_rule_unary(&rule, TT_OP_inverse, call->args[0].as.operand);
  operand_grads[0] = tt_rule_binary(&rule, TT_OP_mul, swap_last(&rule, inverse), scale);
  return rule.status;
}

/* ---- cholesky ---- */

tt_status tt_kernel_cholesky(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                             tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  bool is_upper = args[1].as.boolean;
  tt_shape batch = batch_of(tt_tensor_shape(self));
  int64_t n = tt_tensor_shape(self)->dims[tt_tensor_n_dims(self) - 1];
  /* The upper factor is the transpose of the lower one of the same matrix, taken from its upper triangle. */
  tt_tensor *matrices = matrices_in_double(self, &batch, is_upper, error);
  if (!matrices) return TT_ERR_MEMORY;
  tt_status status = TT_OK;
  int64_t n_matrices = tt_shape_n_elements(&batch);
  double *matrix = tt_tensor_data(matrices);
  for (int64_t i = 0; i < n_matrices && status == TT_OK; i++, matrix += n * n) {
    int64_t minor = tt_cholesky_factor(matrix, n);
    if (minor == 0) continue;
    char where[48] = "";
    if (batch.n_dims > 0) snprintf(where, sizeof where, "(batch element %" PRId64 ") ", i);
    status = tt_fail(error, TT_ERR_NUMERIC,
                     "%s: %sthe matrix is not positive definite: its leading minor of order %" PRId64 " is not", op->name,
                     where, minor);
  }
  if (status == TT_OK) status = answer(matrices, is_upper, &metas[0], results, n_results, error);
  tt_tensor_unref(matrices);
  return status;
}

/* With S = tril(L' G), its diagonal halved: L^-T S L^-1, made symmetric. */
tt_status tt_grad_cholesky(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  bool is_upper = call->args[1].as.boolean;
  tt_operand *factor = is_upper ? swap_last(&rule, call->results[0]) : call->results[0];
  tt_operand *grad = is_upper ? swap_last(&rule, call->grads[0]) : call->grads[0];
  tt_operand *turned = swap_last(&rule, factor);
  tt_operand *product = tt_rule_binary(&rule, TT_OP_matmul, turned, grad);
  tt_operand *lower = tt_rule_unary(&rule, TT_OP_tril, product);
  tt_operand *strictly_lower = TT_RULE(&rule, tril, tt_operand_value(product), tt_int(-1));
  tt_operand *halved = tt_rule_scalar(&rule, TT_OP_mul, tt_rule_binary(&rule, TT_OP_add, lower, strictly_lower), 0.5);
  tt_operand *right = TT_RULE(&rule, linalg_solve_triangular, tt_operand_value(factor), tt_operand_value(halved),
                              tt_bool(false), tt_bool(false));
  tt_operand *both = TT_RULE(&rule, linalg_solve_triangular, tt_operand_value(turned), tt_operand_value(right), tt_bool(true));
  operand_grads[0] = tt_rule_scalar(&rule, TT_OP_mul, tt_rule_binary(&rule, TT_OP_add, both, swap_last(&rule, both)), 0.5);
  return rule.status;
}

/* ---- solves with a triangle: linalg_solve_triangular, cholesky_solve ---- */

/* Shapes of op(A (.., n, n), B): B (.., n, k) when left, (.., k, n) else. i_a, i_b: which arguments they are. */
static tt_status infer_triangle_solve(const tt_op *op, const tt_value *args, int i_a, int i_b, bool left, tt_meta *results,
                                      size_t *n_results, tt_error *error) {
  const tt_meta *a = tt_arg_meta(&args[i_a]), *b = tt_arg_meta(&args[i_b]);
  TT_TRY(need_matrices(op, op, i_a, a, true, error));
  TT_TRY(need_matrices(op, op, i_b, b, false, error));
  TT_TRY(tt_infer_need_same_dtype(op, a->dtype, b->dtype, error));
  tt_meta meta = tt_meta_unknown(b->dtype);
  if (tt_shape_is_known(&a->shape) && tt_shape_is_known(&b->shape)) {
    int64_t n = a->shape.dims[a->shape.n_dims - 1];
    if (b->shape.dims[b->shape.n_dims - (left ? 2 : 1)] != n) {
      char a_text[TT_SHAPE_TEXT_BYTES], b_text[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE, "%s: '%s' of shape %s and '%s' of shape %s do not fit together", op->name,
                     op->params[i_a].name, tt_shape_text(&a->shape, a_text), op->params[i_b].name,
                     tt_shape_text(&b->shape, b_text));
    }
    tt_shape a_batch = batch_of(&a->shape), b_batch = batch_of(&b->shape);
    TT_TRY(tt_shape_broadcast(op->name, &a_batch, &b_batch, &meta.shape, error));
    for (int i = 2; i >= 1; i--) meta.shape.dims[meta.shape.n_dims++] = b->shape.dims[b->shape.n_dims - i];
    TT_TRY(tt_shape_make(meta.shape.dims, (size_t)meta.shape.n_dims, &meta.shape, error));
  }
  return tt_infer_one(meta, results, n_results);
}

/* Runs up to two triangular solves on every B of a batch. */
static tt_status run_triangle_solve(const tt_value *a_arg, const tt_value *b_arg, bool left, const tt_triangle *triangles,
                                    size_t n_triangles, const tt_meta *meta, tt_tensor **results, size_t *n_results,
                                    tt_error *error) {
  tt_shape batch = batch_of(&meta->shape);
  tt_tensor *a = matrices_in_double(tt_arg_tensor(a_arg), &batch, false, error);
  tt_tensor *b = a ? matrices_in_double(tt_arg_tensor(b_arg), &batch, !left, error) : NULL;
  tt_status status = TT_ERR_MEMORY;
  if (b) {
    const tt_shape *b_shape = tt_tensor_shape(b);
    int64_t n = b_shape->dims[b_shape->n_dims - 2], n_columns = b_shape->dims[b_shape->n_dims - 1];
    int64_t n_matrices = tt_shape_n_elements(&batch);
    const double *matrix = tt_tensor_data(a);
    double *columns = tt_tensor_data(b);
    for (int64_t i = 0; i < n_matrices; i++, matrix += n * n, columns += n * n_columns) {
      for (size_t t = 0; t < n_triangles; t++) tt_triangular_solve(matrix, n, triangles[t], columns, n_columns);
    }
    status = answer(b, !left, meta, results, n_results, error);
  }
  tt_tensor_unref(a);
  tt_tensor_unref(b);
  return status;
}

enum { TRIANGULAR_UPPER = 2, TRIANGULAR_LEFT, TRIANGULAR_UNIT };

tt_status tt_infer_linalg_solve_triangular(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results,
                                           tt_error *error) {
  return infer_triangle_solve(op, args, 0, 1, args[TRIANGULAR_LEFT].as.boolean, results, n_results, error);
}

tt_status tt_kernel_linalg_solve_triangular(const tt_op *op, tt_kernel_context *context, const tt_value *args,
                                            const tt_meta *metas, tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)context;
  bool left = args[TRIANGULAR_LEFT].as.boolean;
  tt_triangle triangle = {
      .is_upper = args[TRIANGULAR_UPPER].as.boolean, .is_transposed = !left, .is_unit = args[TRIANGULAR_UNIT].as.boolean};
  return run_triangle_solve(&args[0], &args[1], left, &triangle, 1, &metas[0], results, n_results, error);
}

tt_status tt_grad_linalg_solve_triangular(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads,
                                          tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *a = call->args[0].as.operand, *b = call->args[1].as.operand, *x = call->results[0];
  bool is_upper = call->args[TRIANGULAR_UPPER].as.boolean, left = call->args[TRIANGULAR_LEFT].as.boolean,
       is_unit = call->args[TRIANGULAR_UNIT].as.boolean;
  tt_operand *of_b = TT_RULE(&rule, linalg_solve_triangular, tt_operand_value(swap_last(&rule, a)),
                             tt_operand_value(call->grads[0]), tt_bool(!is_upper), tt_bool(left), tt_bool(is_unit));
  if (call->is_needed[0]) {
    tt_operand *of_a = left ? minus_product(&rule, of_b, swap_last(&rule, x)) : minus_product(&rule, swap_last(&rule, x), of_b);
    of_a = is_upper ? TT_RULE(&rule, triu, tt_operand_value(of_a), tt_int(is_unit ? 1 : 0))
                    : TT_RULE(&rule, tril, tt_operand_value(of_a), tt_int(is_unit ? -1 : 0));
    operand_grads[0] = tt_grad_sum_to(&rule, call->op, of_a, a);
  }
  if (call->is_needed[1]) operand_grads[1] = tt_grad_sum_to(&rule, call->op, of_b, b);
  return rule.status;
}

tt_status tt_infer_cholesky_solve(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  return infer_triangle_solve(op, args, 1, 0, true, results, n_results, error);
}

tt_status tt_kernel_cholesky_solve(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                                   tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op, (void)context;
  bool is_upper = args[2].as.boolean;
  /* A = L L' = U' U: the lower one of the two first. */
  tt_triangle triangles[2] = {{.is_upper = is_upper, .is_transposed = is_upper},
                              {.is_upper = is_upper, .is_transposed = !is_upper}};
  return run_triangle_solve(&args[1], &args[0], true, triangles, 2, &metas[0], results, n_results, error);
}

/* With A = L L' and Y = A^-1 G: of B it is Y; of L it is -(Y X' + X Y') L, of which the triangle that was read counts. */
tt_status tt_grad_cholesky_solve(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads,
                                 tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *b = call->args[0].as.operand, *factor = call->args[1].as.operand, *x = call->results[0];
  bool is_upper = call->args[2].as.boolean;
  tt_operand *of_b = TT_RULE(&rule, cholesky_solve, tt_operand_value(call->grads[0]), tt_operand_value(factor), call->args[2]);
  if (call->is_needed[0]) operand_grads[0] = tt_grad_sum_to(&rule, call->op, of_b, b);
  if (call->is_needed[1]) {
    tt_operand *half = tt_rule_binary(&rule, TT_OP_matmul, of_b, swap_last(&rule, x));
    tt_operand *both = tt_rule_binary(&rule, TT_OP_add, half, swap_last(&rule, half));
    tt_operand *of_factor =
        is_upper ? tt_rule_unary(&rule, TT_OP_triu, minus_product(&rule, tt_rule_unary(&rule, TT_OP_triu, factor), both))
                 : tt_rule_unary(&rule, TT_OP_tril, minus_product(&rule, both, tt_rule_unary(&rule, TT_OP_tril, factor)));
    operand_grads[1] = tt_grad_sum_to(&rule, call->op, of_factor, factor);
  }
  return rule.status;
}
