/* numpy: the table, and what a call promises. Values are compared with NumPy itself by tests/oracle/compare_numpy.py. */
#include <string.h>

#include "cmocka_all.h"

#include "numpy/numpy.h"

static tt_hook hook;
static const tt_numpy_target target = {.hook = &hook};

static int begin(void **state) {
  (void)state;
  tt_hook_init(&hook, "here");
  return tt_numpy_init(NULL) == TT_OK ? 0 : -1;
}

static tt_node *ints_0_to_5(void) {
  const int32_t numbers[] = {0, 1, 2, 3, 4, 5};
  tt_tensor *tensor = tt_tensor_from_bytes(TT_DTYPE_I32, &(tt_shape){.n_dims = 2, .dims = {2, 3}}, numbers, NULL);
  return tt_head_new(tt_local_new(tensor, NULL), NULL);
}

static tt_node *call_one(const char *name, const tt_value *args, size_t n_args) {
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results = 0;
  tt_error error = {0};
  if (tt_numpy_call(&target, tt_numpy_find(name), args, n_args, results, &n_results, &error) != TT_OK)
    fail_msg("%s", error.message);
  assert_int_equal(n_results, 1);
  return results[0];
}

static void every_row_is_found_and_told(void **state) {
  (void)state;
  tt_buffer text;
  tt_buffer_init(&text);
  tt_numpy_json(&text);
  const char *json = tt_buffer_string(&text);
  assert_true(tt_numpy_n_functions() > 150);
  size_t n_named = 0;
  for (const char *at = json; (at = strstr(at, "\"schema\":")) != NULL; at++) n_named++;
  assert_int_equal(n_named, tt_numpy_n_functions());
  assert_ptr_equal(tt_numpy_find("linalg.solve"), tt_numpy_find("linalg.solve"));
  assert_non_null(tt_numpy_find("sum"));
  assert_null(tt_numpy_find("summ"));
  assert_null(tt_numpy_get(tt_numpy_n_functions()));
  tt_buffer_release(&text);
}

static void dtypes_are_numpys(void **state) {
  (void)state;
  assert_int_equal(tt_numpy_promote(TT_DTYPE_I32, TT_DTYPE_F32), TT_DTYPE_F64);
  assert_int_equal(tt_numpy_promote(TT_DTYPE_U8, TT_DTYPE_F32), TT_DTYPE_F32);
  tt_node *a = ints_0_to_5();
  const tt_value with_float[] = {tt_operand_value(&a->operand), tt_float(1.5)};
  const tt_value with_int[] = {tt_operand_value(&a->operand), tt_int(7)};
  assert_int_equal(tt_numpy_result_type(with_float, 2), TT_DTYPE_F64);
  assert_int_equal(tt_numpy_result_type(with_int, 2), TT_DTYPE_I32);
  tt_node *mean = call_one("mean", with_int, 1);
  assert_int_equal(tt_node_meta(mean)->dtype, TT_DTYPE_F64);
  double value = 0;
  assert_int_equal(tt_tensor_item_f64(tt_local_tensor(tt_node_tail(mean)), &value, NULL), TT_OK);
  assert_true(value == 2.5);
  tt_node_unref(mean);
  tt_node_unref(a);
}

static void a_failure_names_the_function_and_touches_nothing(void **state) {
  (void)state;
  tt_node *a = ints_0_to_5();
  const int64_t axes[] = {2};
  const tt_value args[] = {tt_operand_value(&a->operand), tt_ints(axes, 1)};
  tt_node *results[TT_MAX_RESULTS] = {NULL};
  size_t n_results = 77;
  tt_error error = {0};
  assert_int_equal(tt_numpy_call(&target, tt_numpy_find("sum"), args, 2, results, &n_results, &error), TT_ERR_INDEX);
  assert_string_equal(error.message, "np.sum: axis 2 is out of bounds for array of dimension 2");
  assert_null(results[0]);
  assert_int_equal(n_results, 77);
  assert_int_equal(tt_numpy_call(&target, tt_numpy_find("sum"), NULL, 0, results, &n_results, &error), TT_ERR_ARGUMENT);
  assert_non_null(strstr(error.message, "'a' (position 0) is missing"));
  assert_int_equal(tt_numpy_call(&target, tt_numpy_find("sum"), NULL, 0, results, &n_results, NULL), TT_ERR_ARGUMENT);
  tt_node_unref(a);
}

/* Else whoever sends the result away would send the argument away as well. */
static void a_result_is_never_an_argument(void **state) {
  (void)state;
  tt_node *a = ints_0_to_5();
  const tt_value args[] = {tt_operand_value(&a->operand)};
  tt_node *same = call_one("atleast_2d", args, 1);
  assert_ptr_not_equal(same, a);
  assert_ptr_equal(tt_local_tensor(tt_node_tail(same))->storage, tt_local_tensor(tt_node_tail(a))->storage);
  tt_node_unref(same);
  tt_node_unref(a);
}

/* What a worker of somebody else's would say of an array whose shape depends on data. */
static void a_shape_that_is_not_known_is_said(void **state) {
  (void)state;
  tt_node *a = ints_0_to_5();
  a->operand.meta.shape.n_dims = TT_DIMS_UNKNOWN;
  const int64_t axes[] = {0};
  const tt_value args[] = {tt_operand_value(&a->operand), tt_ints(axes, 1)};
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results = 0;
  tt_error error = {0};
  assert_int_equal(tt_numpy_call(&target, tt_numpy_find("sum"), args, 2, results, &n_results, &error), TT_ERR_STATE);
  assert_non_null(strstr(error.message, "not known here yet"));
  tt_node_unref(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_row_is_found_and_told),
      cmocka_unit_test(dtypes_are_numpys),
      cmocka_unit_test(a_failure_names_the_function_and_touches_nothing),
      cmocka_unit_test(a_result_is_never_an_argument),
      cmocka_unit_test(a_shape_that_is_not_known_is_said),
  };
  return cmocka_run_group_tests(tests, begin, NULL);
}
