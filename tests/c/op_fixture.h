/*
 * op_fixture: calling ops in a test and looking at what they answer. Every tensor made here lives until the test ends.
 */
#ifndef TT_TESTS_OP_FIXTURE_H
#define TT_TESTS_OP_FIXTURE_H

#include <math.h>
#include <string.h>

#include "cmocka_all.h"
#include "ops/op.h"
#include "plain_context.h"

static plain_context pool;

static inline int begin_ops(void **state) {
  (void)state;
  plain_context_begin(&pool);
  return tt_ops_init(NULL) == TT_OK ? 0 : -1;
}

static inline int end_ops(void **state) {
  (void)state;
  plain_context_end(&pool);
  return 0;
}

#define OP_TEST(function) cmocka_unit_test_setup_teardown(function, begin_ops, end_ops)

/* A shape from its sizes; SCALAR has none. */
#define SHAPE(...) (&(tt_shape){.n_dims = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dims = {__VA_ARGS__}})
#define SCALAR (&(tt_shape){.n_dims = 0})

static inline tt_tensor *kept(tt_tensor *tensor) {
  assert_non_null(tensor);
  plain_context_keep(&pool, tensor);
  return tensor;
}

/* A tensor of any dtype from numbers. */
static inline tt_tensor *make_tensor(tt_dtype dtype, const tt_shape *shape, const double *values, size_t n) {
  assert_int_equal(tt_shape_n_elements(shape), n);
  tt_tensor *wide = tt_tensor_from_bytes(TT_DTYPE_F64, shape, values, NULL);
  assert_non_null(wide);
  tt_tensor *tensor = kept(tt_tensor_cast(wide, dtype, NULL));
  tt_tensor_unref(wide);
  return tensor;
}
#define TENSOR(dtype, shape, ...) \
  make_tensor(TT_DTYPE_##dtype, shape, (double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double))
#define EMPTY(dtype, shape) make_tensor(TT_DTYPE_##dtype, shape, NULL, 0)

static inline tt_value arg(tt_tensor *tensor) { return tt_operand_value(&tensor->operand); }

/* ints as an argument: INTS(1, 2). */
#define INTS(...) tt_ints((int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static inline size_t call_op(tt_op_number number, tt_tensor **results, const tt_value *args, size_t n_args) {
  tt_error error = {0};
  size_t n_results = 0;
  if (tt_op_eval(number, &pool.generator, args, n_args, results, &n_results, &error) != TT_OK) fail_msg("%s", error.message);
  for (size_t i = 0; i < n_results; i++) kept(results[i]);
  return n_results;
}
#define CALL_INTO(results, name, ...) \
  call_op(TT_OP_##name, results, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value))

static inline tt_tensor *call_one(tt_op_number number, const tt_value *args, size_t n_args) {
  tt_tensor *results[TT_MAX_RESULTS];
  assert_int_equal(call_op(number, results, args, n_args), 1);
  return results[0];
}
#define CALL(name, ...) call_one(TT_OP_##name, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value))

static inline double value_at(const tt_tensor *tensor, int64_t i) {
  tt_shape shape = *tt_tensor_shape(tensor), scalar = {.n_dims = 0};
  int64_t offset = tensor->offset;
  for (int d = shape.n_dims - 1; d >= 0; d--) {
    offset += i % shape.dims[d] * tensor->strides[d];
    i /= shape.dims[d];
  }
  tt_tensor *element = tt_tensor_view(tensor, &scalar, tensor->strides, offset, NULL);
  assert_non_null(element);
  double value = 0;
  assert_int_equal(tt_tensor_item_f64(element, &value, NULL), TT_OK);
  tt_tensor_unref(element);
  return value;
}

static inline void expect_values(const tt_tensor *got, tt_dtype dtype, const tt_shape *shape, const double *values, size_t n) {
  char a[TT_SHAPE_TEXT_BYTES], b[TT_SHAPE_TEXT_BYTES];
  assert_string_equal(tt_dtype_name(tt_tensor_dtype(got)), tt_dtype_name(dtype));
  assert_string_equal(tt_shape_text(tt_tensor_shape(got), a), tt_shape_text(shape, b));
  assert_int_equal(tt_shape_n_elements(shape), n);
  double tolerance = dtype == TT_DTYPE_F32 ? 1e-6 : dtype == TT_DTYPE_F64 ? 1e-12 : 0;
  for (size_t i = 0; i < n; i++) {
    double value = value_at(got, (int64_t)i);
    if (value == values[i] || (isnan(value) && isnan(values[i]))) continue;
    if (fabs(value - values[i]) <= tolerance * (1 + fabs(values[i]))) continue;
    fail_msg("element %zu is %.17g, not %.17g", i, value, values[i]);
  }
}
#define EXPECT(got, dtype, shape, ...) \
  expect_values(got, TT_DTYPE_##dtype, shape, (double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double))
#define EXPECT_EMPTY(got, dtype, shape) expect_values(got, TT_DTYPE_##dtype, shape, NULL, 0)

/* The call fails with that status and a sentence that holds `words`; outputs are untouched. */
static inline void expect_failure(tt_status status, const char *words, tt_op_number number, const tt_value *args,
                                  size_t n_args) {
  tt_error error = {0};
  tt_tensor *results[TT_MAX_RESULTS] = {NULL};
  size_t n_results = 77;
  assert_string_equal(tt_status_name(tt_op_eval(number, &pool.generator, args, n_args, results, &n_results, &error)),
                      tt_status_name(status));
  if (!strstr(error.message, words)) fail_msg("the error \"%s\" does not say \"%s\"", error.message, words);
  assert_null(results[0]);
  assert_int_equal(n_results, 77);
}
#define EXPECT_FAILURE(status, words, name, ...) \
  expect_failure(status, words, TT_OP_##name, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value))

/* The gradients of the operands of a call whose only, or first, result has the gradient `grad`; args fully given. */
static inline void gradients_of(tt_op_number number, const tt_value *args, size_t n_args, tt_tensor *grad, tt_operand **grads) {
  const tt_op *op = tt_op_get(number);
  tt_value bound[TT_MAX_PARAMS];
  int64_t scratch[TT_MAX_PARAMS];
  tt_error error = {0};
  assert_int_equal(tt_op_bind(op, args, n_args, bound, scratch, &error), TT_OK);
  tt_tensor *tensors[TT_MAX_RESULTS];
  tt_operand *results[TT_MAX_RESULTS], *result_grads[TT_MAX_RESULTS] = {&grad->operand};
  bool is_needed[8] = {true, true, true, true, true, true, true, true};
  size_t n_results = call_op(number, tensors, args, n_args);
  for (size_t i = 0; i < n_results; i++) results[i] = &tensors[i]->operand;
  tt_grad_call call = {
      .op = op, .args = bound, .results = results, .n_results = n_results, .grads = result_grads, .is_needed = is_needed};
  if (op->grad(&pool.base, &call, grads, &error) != TT_OK) fail_msg("%s", error.message);
}
#define GRADIENTS(grads, grad, name, ...) \
  gradients_of(TT_OP_##name, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value), grad, grads)

static inline tt_tensor *tensor_of(tt_operand *operand) {
  assert_non_null(operand);
  return (tt_tensor *)(void *)operand;
}

#endif
