/*
 * grad_check: a gradient rule against finite differences.
 *
 * The op is run on float64 operands and its floating results are weighted with fixed numbers into one number; the rule must
 * give that number's slope along every element of every floating operand. Rules call other ops through a context that runs them
 * on tensors.
 */
#ifndef TT_TESTS_GRAD_CHECK_H
#define TT_TESTS_GRAD_CHECK_H

#include <math.h>
#include <string.h>

#include "cmocka_all.h"
#include "ops/op.h"

enum { GRAD_CHECK_OWNED = 512, GRAD_CHECK_OPERANDS = 16, GRAD_CHECK_SEED = 5 };

typedef struct grad_check_context {
  tt_call_context base; /* first */
  tt_tensor *owned[GRAD_CHECK_OWNED];
  size_t n_owned;
} grad_check_context;

static inline tt_status grad_check_call(tt_call_context *context, tt_op_number number, const tt_value *args, size_t n_args,
                                        tt_operand **results, size_t *n_results, tt_error *error) {
  grad_check_context *check = (grad_check_context *)(void *)context;
  tt_tensor *tensors[TT_MAX_RESULTS];
  TT_TRY(tt_op_eval(number, NULL, args, n_args, tensors, n_results, error));
  for (size_t i = 0; i < *n_results; i++) {
    assert_true(check->n_owned < GRAD_CHECK_OWNED);
    check->owned[check->n_owned++] = tensors[i];
    results[i] = &tensors[i]->operand;
  }
  return TT_OK;
}

/* The weight of element i of result k: nothing special, but never the same twice in a row. */
static inline double grad_check_weight(size_t k, int64_t i) {
  return 0.5 + fmod(0.618 * (double)(i + 3 * (int64_t)k + 1), 1.0);
}

static inline double grad_check_element(const tt_tensor *tensor, int64_t index) {
  tt_tensor *dense = tt_tensor_cast(tensor, TT_DTYPE_F64, NULL);
  assert_non_null(dense);
  double value = ((const double *)tt_tensor_data(dense))[index];
  tt_tensor_unref(dense);
  return value;
}

/* The op's weighted sum. In-place ops run on a copy of their first operand. */
static inline double grad_check_value(const tt_op *op, const tt_value *args, size_t n_args) {
  tt_value used[TT_MAX_PARAMS];
  memcpy(used, args, n_args * sizeof used[0]);
  tt_tensor *copy = NULL;
  if ((op->flags & TT_OP_INPLACE) != 0) {
    const tt_tensor *self = (const tt_tensor *)(const void *)args[0].as.operand;
    copy = tt_tensor_cast(self, tt_tensor_dtype(self), NULL);
    used[0] = tt_operand_value(&copy->operand);
  }
  tt_generator generator;
  tt_generator_init(&generator, GRAD_CHECK_SEED);
  tt_tensor *results[TT_MAX_RESULTS];
  size_t n_results = 0;
  tt_error error = {0};
  if (tt_op_eval(op->number, &generator, used, n_args, results, &n_results, &error) != TT_OK) fail_msg("%s", error.message);
  double sum = 0;
  for (size_t k = 0; k < n_results; k++) {
    if (tt_dtype_is_floating(tt_tensor_dtype(results[k]))) {
      int64_t n = tt_tensor_n_elements(results[k]);
      for (int64_t i = 0; i < n; i++) sum += grad_check_weight(k, i) * grad_check_element(results[k], i);
    }
    tt_tensor_unref(results[k]);
  }
  tt_tensor_unref(copy);
  return sum;
}

static inline size_t grad_check_operands(const tt_value *bound, size_t n_params, tt_tensor **operands) {
  size_t n = 0;
  for (size_t i = 0; i < n_params; i++) {
    if (bound[i].type == TT_VALUE_OPERAND) operands[n++] = (tt_tensor *)(void *)bound[i].as.operand;
    for (uint32_t k = 0; bound[i].type == TT_VALUE_OPERANDS && k < bound[i].n; k++) {
      operands[n++] = (tt_tensor *)(void *)bound[i].as.operands[k];
    }
    assert_true(n <= GRAD_CHECK_OPERANDS);
  }
  return n;
}

/* The slope along one element of a float64 operand, which may be any strided view. */
static inline double grad_check_slope(const tt_op *op, const tt_value *args, size_t n_args, tt_tensor *operand, int64_t index) {
  const tt_shape *shape = tt_tensor_shape(operand);
  int64_t offset = 0;
  for (int d = shape->n_dims - 1; d >= 0; d--) {
    offset += index % shape->dims[d] * operand->strides[d];
    index /= shape->dims[d];
  }
  double *at = (double *)tt_tensor_data(operand) + offset;
  double before = *at, step = 1e-6 * fmax(1.0, fabs(before));
  *at = before + step;
  double above = grad_check_value(op, args, n_args);
  *at = before - step;
  double below = grad_check_value(op, args, n_args);
  *at = before;
  return (above - below) / (2 * step);
}

/* Checks the rule of a row at these arguments: floating operands are float64. `label` names the case in a failure. */
static inline void grad_check(const char *label, tt_op_number number, const tt_value *args, size_t n_args) {
  const tt_op *op = tt_op_get(number);
  assert_non_null(op->grad);
  tt_error error = {0};
  tt_value bound[TT_MAX_PARAMS];
  int64_t scratch[TT_MAX_PARAMS];
  if (tt_op_bind(op, args, n_args, bound, scratch, &error) != TT_OK) fail_msg("%s: %s", label, error.message);
  tt_tensor *operands[GRAD_CHECK_OPERANDS];
  size_t n_operands = grad_check_operands(bound, op->n_params, operands);
  bool is_needed[GRAD_CHECK_OPERANDS];
  for (size_t i = 0; i < n_operands; i++) is_needed[i] = tt_tensor_dtype(operands[i]) == TT_DTYPE_F64;

  grad_check_context context = {.base.call = grad_check_call};
  tt_value used[TT_MAX_PARAMS];
  memcpy(used, bound, sizeof used);
  if ((op->flags & TT_OP_INPLACE) != 0) {
    tt_tensor *copy = tt_tensor_cast(operands[0], tt_tensor_dtype(operands[0]), NULL);
    context.owned[context.n_owned++] = copy;
    used[0] = tt_operand_value(&copy->operand);
  }
  tt_generator generator;
  tt_generator_init(&generator, GRAD_CHECK_SEED);
  tt_tensor *results[TT_MAX_RESULTS];
  tt_operand *result_operands[TT_MAX_RESULTS], *grads[TT_MAX_RESULTS];
  size_t n_results = 0;
  if (tt_op_eval_bound(op, &generator, used, results, &n_results, &error) != TT_OK) fail_msg("%s: %s", label, error.message);
  for (size_t k = 0; k < n_results; k++) {
    context.owned[context.n_owned++] = results[k];
    result_operands[k] = &results[k]->operand;
    grads[k] = NULL;
    if (!tt_dtype_is_floating(tt_tensor_dtype(results[k]))) continue;
    tt_tensor *weights = tt_tensor_new(tt_tensor_dtype(results[k]), tt_tensor_shape(results[k]), NULL);
    tt_tensor *doubles = tt_tensor_new(TT_DTYPE_F64, tt_tensor_shape(results[k]), NULL);
    double *at = tt_tensor_data(doubles);
    for (int64_t i = 0; i < tt_tensor_n_elements(doubles); i++) at[i] = grad_check_weight(k, i);
    assert_int_equal(tt_tensor_copy(weights, doubles, NULL), TT_OK);
    tt_tensor_unref(doubles);
    context.owned[context.n_owned++] = weights;
    grads[k] = &weights->operand;
  }
  tt_operand *operand_grads[GRAD_CHECK_OPERANDS] = {NULL};
  tt_grad_call call = {
      .op = op, .args = bound, .results = result_operands, .n_results = n_results, .grads = grads, .is_needed = is_needed};
  if (op->grad(&context.base, &call, operand_grads, &error) != TT_OK) fail_msg("%s: %s", label, error.message);
  for (size_t i = 0; i < n_operands; i++) {
    if (!is_needed[i]) continue;
    tt_tensor *grad = (tt_tensor *)(void *)operand_grads[i];
    if (grad != NULL) {
      assert_int_equal(tt_tensor_dtype(grad), TT_DTYPE_F64);
      if (!tt_shape_equal(tt_tensor_shape(grad), tt_tensor_shape(operands[i]))) {
        char a[TT_SHAPE_TEXT_BYTES], b[TT_SHAPE_TEXT_BYTES];
        fail_msg("%s: %s: operand %zu has shape %s but its gradient %s", label, op->name, i,
                 tt_shape_text(tt_tensor_shape(operands[i]), a), tt_shape_text(tt_tensor_shape(grad), b));
      }
    }
    for (int64_t e = 0; e < tt_tensor_n_elements(operands[i]); e++) {
      double expected = grad_check_slope(op, args, n_args, operands[i], e);
      double given = grad == NULL ? 0.0 : grad_check_element(grad, e);
      if (!(fabs(given - expected) <= 1e-6 + 1e-5 * fabs(expected))) {
        fail_msg("%s: %s: operand %zu, element %d: the rule gives %g, finite differences %g", label, op->name, i, (int)e, given,
                 expected);
      }
    }
  }
  for (size_t i = 0; i < context.n_owned; i++) tt_tensor_unref(context.owned[i]);
}

#endif
