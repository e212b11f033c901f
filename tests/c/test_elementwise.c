/*
 * Elementwise rows: what PyTorch's oracle cannot see (overlap, kept outputs, lost memory, fixed seeds) and a sample of what it
 * can, so that a machine without PyTorch tests the rules too.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "cmocka_all.h"
#include "ops/op.h"

static int init_table(void **state) {
  (void)state;
  return tt_ops_init(NULL) == TT_OK ? 0 : -1;
}

#define DIMS(...)                                                                                \
  &(tt_shape) {                                                                                  \
    .n_dims = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dims = { __VA_ARGS__ } \
  }
static const tt_shape no_dims = {.n_dims = 0};

static tt_tensor *tensor_of(tt_dtype dtype, const tt_shape *shape, const void *elements) {
  tt_tensor *tensor = tt_tensor_from_bytes(dtype, shape, elements, NULL);
  assert_non_null(tensor);
  return tensor;
}

static tt_value value_of(tt_tensor *tensor) { return tt_operand_value(&tensor->operand); }

static tt_tensor *eval(tt_op_number number, const tt_value *args, size_t n_args) {
  tt_tensor *results[TT_MAX_RESULTS];
  size_t n_results = 0;
  tt_generator generator;
  tt_generator_init(&generator, 1);
  tt_error error = {0};
  if (tt_op_eval(number, &generator, args, n_args, results, &n_results, &error) != TT_OK) fail_msg("%s", error.message);
  assert_int_equal(n_results, 1);
  return results[0];
}
#define EVAL(name, ...) eval(TT_OP_##name, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value))

static tt_status try_eval(tt_op_number number, const tt_value *args, size_t n_args, tt_error *error) {
  tt_tensor *results[TT_MAX_RESULTS] = {NULL};
  size_t n_results = 77;
  tt_status status = tt_op_eval(number, NULL, args, n_args, results, &n_results, error);
  if (status == TT_OK) {
    tt_tensor_unref(results[0]);
  } else {
    assert_null(results[0]);
    assert_int_equal(n_results, 77);
  }
  return status;
}
#define TRY(error, name, ...) \
  try_eval(TT_OP_##name, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value), error)

/* Checks and gives up a result. */
static void expect(tt_tensor *got, tt_dtype dtype, const tt_shape *shape, const void *elements) {
  assert_int_equal(tt_tensor_dtype(got), dtype);
  assert_true(tt_shape_equal(tt_tensor_shape(got), shape));
  tt_tensor *dense = tt_tensor_contiguous(got, NULL);
  assert_memory_equal(tt_tensor_data(dense), elements, (size_t)tt_tensor_n_elements(got) * tt_dtype_bytes(dtype));
  tt_tensor_unref(dense);
  tt_tensor_unref(got);
}

static void results_broadcast_and_promote(void **state) {
  (void)state;
  tt_tensor *i32 = tensor_of(TT_DTYPE_I32, DIMS(2, 1), (int32_t[]){1, -2});
  tt_tensor *f64 = tensor_of(TT_DTYPE_F64, &no_dims, (double[]){0.5});
  tt_tensor *u8 = tensor_of(TT_DTYPE_U8, DIMS(3), "\1\2\377");
  expect(EVAL(add, value_of(i32), value_of(u8)), TT_DTYPE_I32, DIMS(2, 3), (int32_t[]){2, 3, 256, -1, 0, 253});
  expect(EVAL(mul, value_of(i32), value_of(f64)), TT_DTYPE_F64, DIMS(2, 1), (double[]){0.5, -1});
  expect(EVAL(mul, value_of(i32), tt_float(0.5)), TT_DTYPE_F32, DIMS(2, 1), (float[]){0.5f, -1});
  expect(EVAL(add, value_of(u8), tt_int(300)), TT_DTYPE_U8, DIMS(3), "\55\56\53");
  expect(EVAL(add, value_of(u8), tt_bool(true)), TT_DTYPE_U8, DIMS(3), "\2\3\0");
  expect(EVAL(div, value_of(i32), tt_int(4)), TT_DTYPE_F32, DIMS(2, 1), (float[]){0.25f, -0.5f});
  expect(EVAL(lt, value_of(u8), value_of(f64)), TT_DTYPE_BOOL, DIMS(3), "\0\0\0");
  expect(EVAL(add, value_of(f64), value_of(f64)), TT_DTYPE_F64, &no_dims, (double[]){1});
  tt_tensor *empty = tensor_of(TT_DTYPE_F32, DIMS(0, 3), NULL);
  expect(EVAL(add, value_of(empty), value_of(u8)), TT_DTYPE_F32, DIMS(0, 3), NULL);
  tt_error error = {0};
  assert_int_equal(TRY(&error, add, value_of(empty), value_of(i32)), TT_ERR_SHAPE);
  assert_non_null(strstr(error.message, "[0, 3] and [2, 1]"));
  tt_tensor_unref(empty);
  tt_tensor_unref(u8);
  tt_tensor_unref(f64);
  tt_tensor_unref(i32);
}

static void integers_wrap_and_divide_as_in_python(void **state) {
  (void)state;
  tt_tensor *a = tensor_of(TT_DTYPE_I32, DIMS(4), (int32_t[]){INT32_MIN, INT32_MAX, -7, 7});
  tt_tensor *minus_one = tensor_of(TT_DTYPE_I32, &no_dims, (int32_t[]){-1});
  expect(EVAL(add, value_of(a), value_of(a)), TT_DTYPE_I32, DIMS(4), (int32_t[]){0, -2, -14, 14});
  expect(EVAL(neg, value_of(a)), TT_DTYPE_I32, DIMS(4), (int32_t[]){INT32_MIN, -INT32_MAX, 7, -7});
  expect(EVAL(abs, value_of(a)), TT_DTYPE_I32, DIMS(4), (int32_t[]){INT32_MIN, INT32_MAX, 7, 7});
  expect(EVAL(floor_divide, value_of(a), value_of(minus_one)), TT_DTYPE_I32, DIMS(4),
         (int32_t[]){INT32_MIN, -INT32_MAX, 7, -7});
  expect(EVAL(remainder, value_of(a), value_of(minus_one)), TT_DTYPE_I32, DIMS(4), (int32_t[]){0, 0, 0, 0});
  expect(EVAL(floor_divide, value_of(a), tt_int(4)), TT_DTYPE_I32, DIMS(4), (int32_t[]){INT32_MIN / 4, INT32_MAX / 4, -2, 1});
  expect(EVAL(remainder, value_of(a), tt_int(-4)), TT_DTYPE_I32, DIMS(4), (int32_t[]){0, -1, -3, -1});
  expect(EVAL(fmod, value_of(a), tt_int(-4)), TT_DTYPE_I32, DIMS(4), (int32_t[]){0, 3, -3, 3});
  expect(EVAL(div, value_of(a), tt_int(2), tt_string("trunc", 5)), TT_DTYPE_I32, DIMS(4),
         (int32_t[]){INT32_MIN / 2, INT32_MAX / 2, -3, 3});
  expect(EVAL(pow, value_of(a), tt_int(3)), TT_DTYPE_I32, DIMS(4), (int32_t[]){0, INT32_MAX, -343, 343});
  expect(EVAL(pow, value_of(minus_one), value_of(a)), TT_DTYPE_I32, DIMS(4), (int32_t[]){1, -1, -1, -1});
  tt_error error = {0};
  assert_int_equal(TRY(&error, floor_divide, value_of(a), tt_int(0)), TT_ERR_NUMERIC);
  assert_non_null(strstr(error.message, "ZeroDivisionError"));
  assert_int_equal(TRY(&error, pow, value_of(a), tt_int(-1)), TT_ERR_ARGUMENT);
  tt_tensor *empty = tensor_of(TT_DTYPE_I32, DIMS(0), NULL);
  expect(EVAL(remainder, value_of(empty), tt_int(0)), TT_DTYPE_I32, DIMS(0), NULL);
  tt_tensor_unref(empty);
  tt_tensor_unref(minus_one);
  tt_tensor_unref(a);
}

static void floats_keep_their_oddities(void **state) {
  (void)state;
  float odd[] = {NAN, INFINITY, -INFINITY, -0.0f, 2.5f, -1.5f};
  tt_tensor *a = tensor_of(TT_DTYPE_F32, DIMS(6), odd);
  expect(EVAL(isnan, value_of(a)), TT_DTYPE_BOOL, DIMS(6), "\1\0\0\0\0\0");
  expect(EVAL(isinf, value_of(a)), TT_DTYPE_BOOL, DIMS(6), "\0\1\1\0\0\0");
  expect(EVAL(isfinite, value_of(a)), TT_DTYPE_BOOL, DIMS(6), "\0\0\0\1\1\1");
  expect(EVAL(sign, value_of(a)), TT_DTYPE_F32, DIMS(6), (float[]){0, 1, -1, 0, 1, -1});
  expect(EVAL(relu, value_of(a)), TT_DTYPE_F32, DIMS(6), (float[]){NAN, INFINITY, 0, -0.0f, 2.5f, 0});
  expect(EVAL(round, value_of(a)), TT_DTYPE_F32, DIMS(6), (float[]){NAN, INFINITY, -INFINITY, -0.0f, 2, -2});
  expect(EVAL(clamp, value_of(a), tt_int(-1), tt_int(1)), TT_DTYPE_F32, DIMS(6), (float[]){NAN, 1, -1, -0.0f, 1, -1});
  expect(EVAL(clamp, value_of(a), tt_int(3), tt_int(1)), TT_DTYPE_F32, DIMS(6), (float[]){NAN, 1, 1, 1, 1, 1});
  expect(EVAL(maximum, value_of(a), value_of(a)), TT_DTYPE_F32, DIMS(6), odd);
  expect(EVAL(eq, value_of(a), value_of(a)), TT_DTYPE_BOOL, DIMS(6), "\0\1\1\1\1\1");
  expect(EVAL(ne, value_of(a), value_of(a)), TT_DTYPE_BOOL, DIMS(6), "\1\0\0\0\0\0");
  expect(EVAL(logical_not, value_of(a)), TT_DTYPE_BOOL, DIMS(6), "\0\0\0\1\0\0");
  expect(EVAL(pow, value_of(a), tt_int(0)), TT_DTYPE_F32, DIMS(6), (float[]){1, 1, 1, 1, 1, 1});
  tt_tensor_unref(a);
}

static void dtypes_that_have_no_meaning_are_refused(void **state) {
  (void)state;
  tt_tensor *flags = tensor_of(TT_DTYPE_BOOL, DIMS(2), "\1\0");
  tt_tensor *reals = tensor_of(TT_DTYPE_F32, DIMS(2), (float[]){1, 2});
  tt_error error = {0};
  assert_int_equal(TRY(&error, sub, value_of(flags), value_of(reals)), TT_ERR_DTYPE);
  assert_non_null(strstr(error.message, "logical_not"));
  assert_int_equal(TRY(&error, neg, value_of(flags)), TT_ERR_DTYPE);
  assert_int_equal(TRY(&error, pow, value_of(flags), value_of(flags)), TT_ERR_DTYPE);
  assert_int_equal(TRY(&error, bitwise_and, value_of(flags), value_of(reals)), TT_ERR_DTYPE);
  assert_int_equal(TRY(&error, clamp, value_of(reals)), TT_ERR_ARGUMENT);
  assert_int_equal(TRY(&error, where, value_of(reals), value_of(reals), value_of(reals)), TT_ERR_DTYPE);
  assert_int_equal(TRY(&error, masked_fill, value_of(reals), value_of(flags), value_of(reals)), TT_ERR_SHAPE);
  assert_int_equal(TRY(&error, add, value_of(flags), tt_int(1), tt_float(2)), TT_ERR_ARGUMENT);
  assert_int_equal(TRY(&error, div, value_of(reals), tt_int(1), tt_string("up", 2)), TT_ERR_ARGUMENT);
  assert_non_null(strstr(error.message, "'up'"));
  assert_int_equal(TRY(&error, full, tt_int(2), tt_int(300), tt_dtype_value(TT_DTYPE_U8)), TT_ERR_ARGUMENT);
  assert_int_equal(TRY(&error, zeros, tt_int(-1)), TT_ERR_SHAPE);
  tt_tensor_unref(reals);
  tt_tensor_unref(flags);
}

static void in_place_changes_self_and_answers_it(void **state) {
  (void)state;
  tt_tensor *a = tensor_of(TT_DTYPE_F32, DIMS(2, 2), (float[]){1, 2, 3, 4});
  tt_tensor *turned = tt_tensor_view(a, DIMS(2, 2), (int64_t[]){1, 2}, 0, NULL);
  tt_tensor *doubles = tensor_of(TT_DTYPE_F64, DIMS(2), (double[]){10, 20});
  tt_tensor *same = EVAL(add_, value_of(turned), value_of(doubles));
  assert_ptr_equal(same, turned);
  tt_tensor_unref(same);
  assert_memory_equal(tt_tensor_data(a), ((float[]){11, 12, 23, 24}), 16);
  tt_tensor_unref(EVAL(lt_, value_of(a), tt_int(20)));
  assert_memory_equal(tt_tensor_data(a), ((float[]){1, 1, 0, 0}), 16);
  tt_tensor_unref(turned);
  tt_tensor_unref(doubles);
  tt_tensor_unref(a);
}

/* y = x[:-1] written to x[1:] must read what x was. */
static void in_place_reads_overlapping_operands_first(void **state) {
  (void)state;
  tt_tensor *a = tensor_of(TT_DTYPE_I64, DIMS(6), (int64_t[]){1, 2, 3, 4, 5, 6});
  tt_tensor *head = tt_tensor_view(a, DIMS(5), (int64_t[]){1}, 0, NULL);
  tt_tensor *tail = tt_tensor_view(a, DIMS(5), (int64_t[]){1}, 1, NULL);
  tt_tensor *first = tt_tensor_view(a, DIMS(1), (int64_t[]){1}, 0, NULL);
  tt_tensor_unref(EVAL(add_, value_of(tail), value_of(head)));
  assert_memory_equal(tt_tensor_data(a), ((int64_t[]){1, 3, 5, 7, 9, 11}), 48);
  tt_tensor_unref(EVAL(copy_, value_of(tail), value_of(head)));
  assert_memory_equal(tt_tensor_data(a), ((int64_t[]){1, 1, 3, 5, 7, 9}), 48);
  tt_tensor_unref(EVAL(fill_, value_of(a), tt_int(3)));
  tt_tensor_unref(EVAL(mul_, value_of(a), value_of(first)));
  assert_memory_equal(tt_tensor_data(a), ((int64_t[]){9, 9, 9, 9, 9, 9}), 48);
  tt_tensor_unref(EVAL(add_, value_of(a), value_of(a)));
  assert_memory_equal(tt_tensor_data(a), ((int64_t[]){18, 18, 18, 18, 18, 18}), 48);
  tt_tensor_unref(first);
  tt_tensor_unref(tail);
  tt_tensor_unref(head);
  tt_tensor_unref(a);
}

static void in_place_refuses_what_does_not_fit(void **state) {
  (void)state;
  tt_tensor *a = tensor_of(TT_DTYPE_I64, DIMS(2), (int64_t[]){6, 7});
  tt_tensor *wide = tensor_of(TT_DTYPE_I64, DIMS(2, 2), (int64_t[]){1, 0, 3, 4});
  tt_tensor *expanded = tt_tensor_view(a, DIMS(3, 2), (int64_t[]){0, 1}, 0, NULL);
  tt_error error = {0};
  assert_int_equal(TRY(&error, add_, value_of(a), tt_float(0.5)), TT_ERR_DTYPE);
  assert_string_equal(error.message, "add_: result type float32 can't be cast to the desired output type int64");
  assert_int_equal(TRY(&error, add_, value_of(a), value_of(wide)), TT_ERR_SHAPE);
  assert_string_equal(error.message, "add_: output with shape [2] doesn't match the broadcast shape [2, 2]");
  assert_int_equal(TRY(&error, add_, value_of(expanded), tt_int(1)), TT_ERR_ARGUMENT);
  assert_non_null(strstr(error.message, "single memory location"));
  assert_int_equal(TRY(&error, floor_divide_, value_of(a), tt_int(0)), TT_ERR_NUMERIC);
  assert_int_equal(TRY(&error, floor_divide_, value_of(wide), value_of(wide)), TT_ERR_NUMERIC);
  assert_memory_equal(tt_tensor_data(a), ((int64_t[]){6, 7}), 16);
  assert_memory_equal(tt_tensor_data(wide), ((int64_t[]){1, 0, 3, 4}), 32);
  tt_meta meta;
  size_t n = 0;
  tt_value args[] = {value_of(a), tt_int(2), tt_int(1)};
  assert_int_equal(tt_op_infer(tt_op_get(TT_OP_add_), args, &meta, &n, NULL), TT_OK);
  assert_int_equal(meta.dtype, TT_DTYPE_I64);
  tt_tensor_unref(expanded);
  tt_tensor_unref(wide);
  tt_tensor_unref(a);
}

/* Rows longer than a block, of every dtype and step, agree with what single elements give. */
static void long_mixed_rows_agree_with_single_elements(void **state) {
  (void)state;
  enum { N = 1300 };
  double numbers[2 * N];
  for (int i = 0; i < 2 * N; i++) numbers[i] = i * 37 % 101;
  tt_tensor *doubles = tensor_of(TT_DTYPE_F64, DIMS(2 * N), numbers);
  for (int from = TT_DTYPE_U8; from < TT_N_DTYPES; from++) {
    tt_tensor *all = tt_tensor_cast(doubles, (tt_dtype)from, NULL);
    for (int64_t step = 0; step <= 2; step++) {
      tt_tensor *a = tt_tensor_view(all, DIMS(N), &step, 0, NULL);
      tt_tensor *b = tt_tensor_view(doubles, DIMS(N), (int64_t[]){1}, 3, NULL);
      tt_tensor *sum = EVAL(sub, value_of(a), value_of(b));
      tt_tensor *is_less = EVAL(lt, value_of(b), value_of(a));
      const double *sums = tt_tensor_data(sum);
      const uint8_t *flags = tt_tensor_data(is_less);
      for (int64_t i = 0; i < N; i++) {
        assert_true(sums[i] == numbers[i * step] - numbers[i + 3]);
        assert_int_equal(flags[i], numbers[i + 3] < numbers[i * step]);
      }
      tt_tensor_unref(is_less);
      tt_tensor_unref(sum);
      tt_tensor_unref(b);
      tt_tensor_unref(a);
    }
    tt_tensor_unref(all);
  }
  tt_tensor_unref(doubles);
}

static void seeds_fix_what_is_drawn(void **state) {
  (void)state;
  tt_tensor *a = EVAL(randint, tt_int(0), tt_int(1000), tt_int(4), tt_int(7));
  expect(a, TT_DTYPE_I64, DIMS(4), (int64_t[]){397, 114, 203, 587});
  tt_tensor *normals = EVAL(randn, tt_int(3), tt_int(7), tt_dtype_value(TT_DTYPE_F64));
  expect(normals, TT_DTYPE_F64, DIMS(3), (double[]){0x1.6e164bc12be7ep+0, 0x1.b8106872835d1p+0, 0x1.361da195afa31p-4});
  tt_tensor *left = EVAL(rand, tt_int(5), tt_int(3)), *right = EVAL(rand, tt_int(5), tt_int(4));
  assert_memory_not_equal(tt_tensor_data(left), tt_tensor_data(right), 20);
  tt_tensor_unref(left);
  tt_tensor_unref(right);
  tt_tensor *order = EVAL(randperm, tt_int(50), tt_int(9));
  bool is_seen[50] = {false};
  for (int i = 0; i < 50; i++) {
    int64_t at = ((const int64_t *)tt_tensor_data(order))[i];
    assert_true(at >= 0 && at < 50 && !is_seen[at]);
    is_seen[at] = true;
  }
  tt_tensor_unref(order);
  tt_error error = {0};
  assert_int_equal(TRY(&error, rand, tt_int(2)), TT_ERR_STATE);
  tt_tensor *twos = EVAL(full, tt_int(2), tt_float(2));
  tt_tensor *results[TT_MAX_RESULTS];
  size_t n_results;
  tt_generator generator;
  tt_generator_init(&generator, 1);
  tt_value args[] = {value_of(twos)};
  assert_int_equal(tt_op_eval(TT_OP_bernoulli, &generator, args, 1, results, &n_results, &error), TT_ERR_ARGUMENT);
  tt_tensor_unref(twos);
}

static void factories_fill(void **state) {
  (void)state;
  expect(EVAL(arange, tt_int(3)), TT_DTYPE_I64, DIMS(3), (int64_t[]){0, 1, 2});
  expect(EVAL(arange, tt_int(5), tt_int(0), tt_int(-2)), TT_DTYPE_I64, DIMS(3), (int64_t[]){5, 3, 1});
  expect(EVAL(arange, tt_int(0), tt_float(1), tt_float(0.25)), TT_DTYPE_F32, DIMS(4), (float[]){0, 0.25f, 0.5f, 0.75f});
  expect(EVAL(linspace, tt_int(0), tt_int(1), tt_int(3)), TT_DTYPE_F32, DIMS(3), (float[]){0, 0.5f, 1});
  expect(EVAL(eye, tt_int(2), tt_int(3)), TT_DTYPE_F32, DIMS(2, 3), (float[]){1, 0, 0, 0, 1, 0});
  expect(EVAL(full, tt_ints((int64_t[]){2}, 1), tt_bool(true)), TT_DTYPE_BOOL, DIMS(2), "\1\1");
  tt_error error = {0};
  assert_int_equal(TRY(&error, arange, tt_int(0), tt_int(5), tt_int(0)), TT_ERR_ARGUMENT);
  assert_int_equal(TRY(&error, arange, tt_int(5), tt_int(0)), TT_ERR_ARGUMENT);
  assert_int_equal(TRY(&error, arange, tt_float(NAN)), TT_ERR_ARGUMENT);
  assert_int_equal(TRY(&error, arange, tt_float(1e30)), TT_ERR_SHAPE);
  assert_int_equal(TRY(&error, linspace, tt_int(0), tt_int(1), tt_int(-1)), TT_ERR_ARGUMENT);
}

/* Whichever allocation fails, the call says so, keeps its outputs and leaks nothing (the sanitizer sees that). */
static void lost_memory_is_an_error(void **state) {
  (void)state;
  tt_tensor *a = tensor_of(TT_DTYPE_F64, DIMS(3), (double[]){0.1, 0.2, 0.3});
  tt_tensor *tail = tt_tensor_view(a, DIMS(2), (int64_t[]){1}, 1, NULL);
  tt_tensor *head = tt_tensor_view(a, DIMS(2), (int64_t[]){1}, 0, NULL);
  const struct {
    tt_op_number number;
    size_t n_args;
    tt_value args[3];
  } calls[] = {
      {TT_OP_add, 2, {value_of(a), tt_int(1)}},
      {TT_OP_add_, 2, {value_of(tail), value_of(head)}},
      {TT_OP_copy_, 2, {value_of(tail), value_of(head)}},
      {TT_OP_clamp, 3, {value_of(a), value_of(a), tt_int(1)}},
      {TT_OP_bernoulli, 1, {value_of(a)}},
      {TT_OP_randperm, 3, {tt_int(3), tt_int(1), tt_dtype_value(TT_DTYPE_F32)}},
      {TT_OP_uniform_, 1, {value_of(a)}},
      {TT_OP_linspace, 3, {tt_int(0), tt_int(1), tt_int(4)}},
  };
  tt_generator generator;
  tt_generator_init(&generator, 1);
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
    bool is_done = false;
    for (long n = 0; !is_done; n++) {
      tt_tensor *results[TT_MAX_RESULTS] = {NULL};
      size_t n_results = 0;
      tt_error error = {0};
      tt_alloc_fail_after(n);
      tt_status status = tt_op_eval(calls[i].number, &generator, calls[i].args, calls[i].n_args, results, &n_results, &error);
      tt_alloc_fail_after(-1);
      is_done = status != TT_ERR_MEMORY;
      assert_int_equal(error.status, status);
      if (status == TT_OK) {
        tt_tensor_unref(results[0]);
      } else {
        assert_null(results[0]);
      }
      assert_true(n < 20);
    }
  }
  tt_tensor_unref(head);
  tt_tensor_unref(tail);
  tt_tensor_unref(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(results_broadcast_and_promote),
      cmocka_unit_test(integers_wrap_and_divide_as_in_python),
      cmocka_unit_test(floats_keep_their_oddities),
      cmocka_unit_test(dtypes_that_have_no_meaning_are_refused),
      cmocka_unit_test(in_place_changes_self_and_answers_it),
      cmocka_unit_test(in_place_reads_overlapping_operands_first),
      cmocka_unit_test(in_place_refuses_what_does_not_fit),
      cmocka_unit_test(long_mixed_rows_agree_with_single_elements),
      cmocka_unit_test(seeds_fix_what_is_drawn),
      cmocka_unit_test(factories_fill),
      cmocka_unit_test(lost_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, init_table, NULL);
}
