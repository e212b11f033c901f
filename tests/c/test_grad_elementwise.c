/*
 * Gradient rules of the elementwise rows against finite differences: values, broadcasting, numbers for operands, mixed dtypes.
 */
#include "grad_check.h"

static int init_table(void **state) {
  (void)state;
  return tt_ops_init(NULL) == TT_OK ? 0 : -1;
}

static tt_tensor *tensor_of(int n_dims, const int64_t *dims, const double *values) {
  tt_shape shape = {.n_dims = n_dims};
  for (int d = 0; d < n_dims; d++) shape.dims[d] = dims[d];
  tt_tensor *tensor = tt_tensor_from_bytes(TT_DTYPE_F64, &shape, values, NULL);
  assert_non_null(tensor);
  return tensor;
}

static tt_value value_of(tt_tensor *tensor) { return tt_operand_value(&tensor->operand); }

/* Away from kinks and from the edges of domains. */
static void unary_rules(void **state) {
  (void)state;
  static const struct {
    tt_op_number number, inplace;
    double values[4];
  } cases[] = {
      {TT_OP_neg, TT_OP_neg_, {-2, -0.5, 0.25, 3}},
      {TT_OP_abs, TT_OP_abs_, {-2, -0.5, 0.25, 3}},
      {TT_OP_sign, TT_OP_sign_, {-2, -0.5, 0.25, 3}},
      {TT_OP_square, TT_OP_square_, {-2, 0, 0.25, 3}},
      {TT_OP_relu, TT_OP_relu_, {-2, -0.5, 0.25, 3}},
      {TT_OP_floor, TT_OP_floor_, {-2.5, -0.5, 0.25, 3.1}},
      {TT_OP_ceil, TT_OP_ceil_, {-2.5, -0.5, 0.25, 3.1}},
      {TT_OP_round, TT_OP_round_, {-2.4, -0.4, 0.25, 3.1}},
      {TT_OP_trunc, TT_OP_trunc_, {-2.5, -0.5, 0.25, 3.1}},
      {TT_OP_exp, TT_OP_exp_, {-2, -0.5, 0, 1.5}},
      {TT_OP_expm1, TT_OP_expm1_, {-2, -0.5, 0, 1.5}},
      {TT_OP_log, TT_OP_log_, {0.3, 0.8, 1, 5}},
      {TT_OP_log2, TT_OP_log2_, {0.3, 0.8, 1, 5}},
      {TT_OP_log10, TT_OP_log10_, {0.3, 0.8, 1, 5}},
      {TT_OP_log1p, TT_OP_log1p_, {-0.7, 0, 1, 5}},
      {TT_OP_sqrt, TT_OP_sqrt_, {0.3, 0.8, 1, 5}},
      {TT_OP_rsqrt, TT_OP_rsqrt_, {0.3, 0.8, 1, 5}},
      {TT_OP_reciprocal, TT_OP_reciprocal_, {-2, -0.5, 0.25, 3}},
      {TT_OP_sin, TT_OP_sin_, {-2, -0.5, 0, 3}},
      {TT_OP_cos, TT_OP_cos_, {-2, -0.5, 0, 3}},
      {TT_OP_tan, TT_OP_tan_, {-1, -0.5, 0, 1.2}},
      {TT_OP_asin, TT_OP_asin_, {-0.9, -0.5, 0, 0.7}},
      {TT_OP_acos, TT_OP_acos_, {-0.9, -0.5, 0, 0.7}},
      {TT_OP_atan, TT_OP_atan_, {-2, -0.5, 0, 3}},
      {TT_OP_sinh, TT_OP_sinh_, {-2, -0.5, 0, 1.5}},
      {TT_OP_cosh, TT_OP_cosh_, {-2, -0.5, 0, 1.5}},
      {TT_OP_tanh, TT_OP_tanh_, {-2, -0.5, 0, 1.5}},
      {TT_OP_sigmoid, TT_OP_sigmoid_, {-2, -0.5, 0, 1.5}},
      {TT_OP_erf, TT_OP_erf_, {-2, -0.5, 0, 1.5}},
      {TT_OP_clone, TT_OP_clone, {-2, -0.5, 0, 1.5}},
      {TT_OP_double, TT_OP_double, {-2, -0.5, 0, 1.5}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    tt_tensor *x = tensor_of(2, (int64_t[]){2, 2}, cases[i].values);
    grad_check("values", cases[i].number, (tt_value[]){value_of(x)}, 1);
    grad_check("in place", cases[i].inplace, (tt_value[]){value_of(x)}, 1);
    tt_tensor_unref(x);
  }
}

static const double left_values[6] = {0.7, 1.9, 2.6, 0.4, 3.3, 1.1};
static const double right_values[6] = {1.37, 0.61, 2.13, 1.71, 0.93, 2.47};

static void binary_rules_with_broadcasting(void **state) {
  (void)state;
  static const tt_op_number numbers[] = {TT_OP_add,       TT_OP_sub,       TT_OP_rsub,     TT_OP_mul,     TT_OP_div,
                                         TT_OP_remainder, TT_OP_fmod,      TT_OP_pow,      TT_OP_maximum, TT_OP_minimum,
                                         TT_OP_atan2,     TT_OP_clamp_min, TT_OP_clamp_max};
  static const struct {
    int n_left, n_right;
    int64_t left[3], right[3];
  } shapes[] = {{2, 2, {2, 3}, {2, 3}}, {2, 1, {2, 3}, {3}},       {2, 2, {2, 1}, {1, 3}},
                {1, 2, {3}, {2, 1}},    {0, 2, {0}, {2, 3}},       {2, 0, {2, 3}, {0}},
                {0, 0, {0}, {0}},       {3, 2, {1, 2, 3}, {1, 1}}, {2, 2, {2, 0}, {2, 1}}};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
      tt_tensor *a = tensor_of(shapes[s].n_left, shapes[s].left, left_values);
      tt_tensor *b = tensor_of(shapes[s].n_right, shapes[s].right, right_values);
      grad_check("broadcast", numbers[i], (tt_value[]){value_of(a), value_of(b)}, 2);
      tt_tensor_unref(a);
      tt_tensor_unref(b);
    }
  }
}

static void binary_rules_in_place(void **state) {
  (void)state;
  static const tt_op_number numbers[] = {TT_OP_add_,       TT_OP_sub_,       TT_OP_mul_, TT_OP_div_,
                                         TT_OP_remainder_, TT_OP_fmod_,      TT_OP_pow_, TT_OP_atan2_,
                                         TT_OP_clamp_min_, TT_OP_clamp_max_, TT_OP_copy_};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    tt_tensor *a = tensor_of(2, (int64_t[]){2, 3}, left_values);
    tt_tensor *b = tensor_of(1, (int64_t[]){3}, right_values);
    grad_check("in place", numbers[i], (tt_value[]){value_of(a), value_of(b)}, 2);
    tt_tensor_unref(a);
    tt_tensor_unref(b);
  }
}

static void rules_with_numbers(void **state) {
  (void)state;
  tt_tensor *a = tensor_of(2, (int64_t[]){2, 3}, left_values);
  tt_tensor *b = tensor_of(1, (int64_t[]){3}, right_values);
  grad_check("number", TT_OP_mul, (tt_value[]){value_of(a), tt_float(-1.5)}, 2);
  grad_check("number", TT_OP_div, (tt_value[]){value_of(a), tt_int(4)}, 2);
  grad_check("number", TT_OP_rsub, (tt_value[]){value_of(a), tt_int(1), tt_float(0.5)}, 3);
  grad_check("alpha", TT_OP_add, (tt_value[]){value_of(a), value_of(b), tt_float(2.5)}, 3);
  grad_check("alpha", TT_OP_sub, (tt_value[]){value_of(a), value_of(b), tt_int(-3)}, 3);
  grad_check("alpha", TT_OP_rsub, (tt_value[]){value_of(a), value_of(b), tt_float(0.25)}, 3);
  for (int exponent = -2; exponent <= 4; exponent++) {
    grad_check("int exponent", TT_OP_pow, (tt_value[]){value_of(a), tt_int(exponent)}, 2);
    grad_check("float exponent", TT_OP_pow, (tt_value[]){value_of(a), tt_float(exponent + 0.5)}, 2);
  }
  grad_check("bool exponent", TT_OP_pow, (tt_value[]){value_of(a), tt_bool(true)}, 2);
  tt_value floor = tt_string("floor", 5), trunc = tt_string("trunc", 5);
  grad_check("floor", TT_OP_div, (tt_value[]){value_of(a), value_of(b), floor}, 3);
  grad_check("trunc", TT_OP_div, (tt_value[]){value_of(a), value_of(b), trunc}, 3);
  tt_tensor_unref(a);
  tt_tensor_unref(b);
}

static void clamp_rules(void **state) {
  (void)state;
  double low_values[] = {1.0, 2.2, 0.5}, high_values[] = {2.0, 1.0, 3.0};
  tt_tensor *x = tensor_of(2, (int64_t[]){2, 3}, left_values);
  tt_tensor *low = tensor_of(1, (int64_t[]){3}, low_values), *high = tensor_of(1, (int64_t[]){3}, high_values);
  grad_check("numbers", TT_OP_clamp, (tt_value[]){value_of(x), tt_float(1.0), tt_float(2.5)}, 3);
  grad_check("low", TT_OP_clamp, (tt_value[]){value_of(x), tt_float(1.0)}, 2);
  grad_check("high", TT_OP_clamp, (tt_value[]){value_of(x), tt_none(), tt_float(1.0)}, 3);
  grad_check("crossed bounds too", TT_OP_clamp, (tt_value[]){value_of(x), value_of(low), value_of(high)}, 3);
  grad_check("tensor and number", TT_OP_clamp, (tt_value[]){value_of(x), value_of(low), tt_float(2.5)}, 3);
  grad_check("high tensor", TT_OP_clamp_, (tt_value[]){value_of(x), tt_none(), value_of(high)}, 3);
  tt_tensor_unref(x);
  tt_tensor_unref(low);
  tt_tensor_unref(high);
}

static void choice_rules(void **state) {
  (void)state;
  tt_tensor *a = tensor_of(2, (int64_t[]){2, 3}, left_values);
  tt_tensor *b = tensor_of(1, (int64_t[]){3}, right_values);
  tt_tensor *one = tensor_of(0, NULL, right_values);
  tt_tensor *mask = tt_tensor_from_bytes(TT_DTYPE_BOOL, &(tt_shape){.n_dims = 2, .dims = {2, 1}}, "\1\0", NULL);
  grad_check("where", TT_OP_where, (tt_value[]){value_of(mask), value_of(a), value_of(b)}, 3);
  grad_check("where", TT_OP_where, (tt_value[]){value_of(mask), tt_float(2), value_of(b)}, 3);
  grad_check("masked_fill", TT_OP_masked_fill, (tt_value[]){value_of(a), value_of(mask), tt_int(3)}, 3);
  grad_check("masked_fill", TT_OP_masked_fill, (tt_value[]){value_of(b), value_of(mask), value_of(one)}, 3);
  grad_check("masked_fill_", TT_OP_masked_fill_, (tt_value[]){value_of(a), value_of(mask), value_of(one)}, 3);
  grad_check("fill_", TT_OP_fill_, (tt_value[]){value_of(a), value_of(one)}, 2);
  grad_check("zero_", TT_OP_zero_, (tt_value[]){value_of(a)}, 1);
  grad_check("to", TT_OP_to, (tt_value[]){value_of(a), tt_dtype_value(TT_DTYPE_F64)}, 2);
  grad_check("uniform_", TT_OP_uniform_, (tt_value[]){value_of(a)}, 1);
  tt_tensor *chance = tensor_of(0, NULL, (double[]){0.3});
  grad_check("bernoulli", TT_OP_bernoulli, (tt_value[]){value_of(chance)}, 1);
  tt_tensor_unref(chance);
  tt_tensor_unref(mask);
  tt_tensor_unref(one);
  tt_tensor_unref(b);
  tt_tensor_unref(a);
}

/* A float32 operand beside a float64 one gets its gradient in float32; the float64 one's is checked by differences. */
static void rules_keep_each_operands_dtype(void **state) {
  (void)state;
  static const tt_op_number numbers[] = {TT_OP_add, TT_OP_sub, TT_OP_mul, TT_OP_div, TT_OP_maximum};
  tt_tensor *a = tensor_of(2, (int64_t[]){2, 3}, left_values);
  tt_tensor *b = tensor_of(1, (int64_t[]){3}, right_values);
  tt_tensor *single = tt_tensor_cast(b, TT_DTYPE_F32, NULL);
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    grad_check("mixed", numbers[i], (tt_value[]){value_of(a), value_of(single)}, 2);
    grad_check_context context = {.base.call = grad_check_call};
    tt_value args[TT_MAX_PARAMS];
    int64_t scratch[TT_MAX_PARAMS];
    const tt_op *op = tt_op_get(numbers[i]);
    assert_int_equal(tt_op_bind(op, (tt_value[]){value_of(a), value_of(single)}, 2, args, scratch, NULL), TT_OK);
    tt_tensor *results[TT_MAX_RESULTS];
    size_t n_results = 0;
    assert_int_equal(tt_op_eval_bound(op, NULL, args, results, &n_results, NULL), TT_OK);
    tt_operand *result = &results[0]->operand, *operand_grads[2] = {NULL};
    tt_grad_call call = {
        .op = op, .args = args, .results = &result, .n_results = 1, .grads = &result, .is_needed = (bool[]){false, true}};
    assert_int_equal(op->grad(&context.base, &call, operand_grads, NULL), TT_OK);
    assert_null(operand_grads[0]);
    assert_int_equal(operand_grads[1]->meta.dtype, TT_DTYPE_F32);
    assert_true(tt_shape_equal(&operand_grads[1]->meta.shape, tt_tensor_shape(single)));
    for (size_t k = 0; k < context.n_owned; k++) tt_tensor_unref(context.owned[k]);
    tt_tensor_unref(results[0]);
  }
  tt_tensor_unref(single);
  tt_tensor_unref(b);
  tt_tensor_unref(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unary_rules),
      cmocka_unit_test(binary_rules_with_broadcasting),
      cmocka_unit_test(binary_rules_in_place),
      cmocka_unit_test(rules_with_numbers),
      cmocka_unit_test(clamp_rules),
      cmocka_unit_test(choice_rules),
      cmocka_unit_test(rules_keep_each_operands_dtype),
  };
  return cmocka_run_group_tests(tests, init_table, NULL);
}
