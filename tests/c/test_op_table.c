/* The table: every row parses and keeps what its flags promise; signatures that are wrong are refused; binding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "ops/op.h"
#include "ops/oracle.h"
#include "ops/schema.h"

static int init_table(void **state) {
  (void)state;
  tt_error error = {0};
  if (tt_ops_init(&error) == TT_OK) return 0;
  print_error("%s\n", error.message);
  return -1;
}

static void every_row_is_whole(void **state) {
  (void)state;
  assert_true(TT_N_OPS > 0);
  for (unsigned number = 1; number <= TT_N_OPS; number++) {
    const tt_op *op = tt_op_get(number);
    assert_non_null(op);
    assert_int_equal(op->number, number);
    assert_ptr_equal(tt_op_find(op->name, strlen(op->name)), op);
    assert_non_null(op->infer);
    assert_non_null(op->kernel);
    assert_true(strncmp(tt_oracle_row_of(op)->torch_name, "torch.", 6) == 0);
    size_t length = strlen(op->name);
    assert_int_equal(op->name[length - 1] == '_', (op->flags & TT_OP_INPLACE) != 0);
    assert_int_equal(strstr(op->schema, "-> Tensor(a!)") != NULL, (op->flags & TT_OP_INPLACE) != 0);
    assert_int_equal(strstr(op->schema, "-> Tensor(a)") != NULL, (op->flags & TT_OP_VIEW) != 0);
    if ((op->flags & TT_OP_RANDOM) != 0) assert_int_equal(tt_oracle_row_of(op)->tolerance, TT_TOL_STATISTIC);
    if ((op->flags & TT_OP_FACTORY) != 0) {
      for (size_t i = 0; i < op->n_params; i++) assert_int_not_equal(op->params[i].type, TT_PARAM_TENSOR);
      assert_null(op->grad);
    }
  }
}

static void parameters_stand_in_order(void **state) {
  (void)state;
  for (unsigned number = 1; number <= TT_N_OPS; number++) {
    const tt_op *op = tt_op_get(number);
    bool seen_default = false, seen_keyword = false;
    for (size_t i = 0; i < op->n_params; i++) {
      const tt_param *param = &op->params[i];
      assert_true(param->name[0] != 0);
      assert_false(seen_default && !param->has_default && !param->is_keyword_only);
      assert_false(seen_keyword && !param->is_keyword_only);
      seen_default |= param->has_default;
      seen_keyword |= param->is_keyword_only;
      for (size_t k = 0; k < i; k++) assert_string_not_equal(op->params[k].name, param->name);
    }
  }
}

static void unknown_rows_are_not_found(void **state) {
  (void)state;
  assert_null(tt_op_get(0));
  assert_null(tt_op_get(TT_N_OPS + 1));
  assert_null(tt_op_find("no_such_op", 10));
  assert_null(tt_op_find("", 0));
  assert_null(tt_op_find("adder", 5));
  assert_non_null(tt_op_find("adder", 3));
}

static void json_lists_every_row(void **state) {
  (void)state;
  tt_buffer text;
  tt_buffer_init(&text);
  tt_oracle_json(&text);
  assert_false(text.failed);
  const char *at = tt_buffer_string(&text);
  unsigned n = 0;
  while ((at = strstr(at, "{\"number\":")) != NULL) {
    n++;
    at++;
  }
  assert_int_equal(n, TT_N_OPS);
  assert_non_null(strstr(
      tt_buffer_string(&text),
      "\"params\":[{\"name\":\"self\",\"type\":\"Tensor\",\"optional\":false,\"keyword_only\":false,\"has_default\":false}"));
  tt_buffer_release(&text);
}

static void schema_forms_are_read(void **state) {
  (void)state;
  tt_op op = {
      .name = "f",
      .schema = "f(Tensor(a) self, Tensor[] list, Tensor|Scalar other, int[]? dim=None, *, int[] size=[2, -3], float p=1, "
                "str how='floor', ScalarType dtype=float32, Scalar alpha=2.5, bool keep=True, int? seed=7) -> (Tensor values, "
                "Tensor indices)"};
  assert_int_equal(tt_schema_parse(&op, NULL), TT_OK);
  assert_int_equal(op.n_params, 11);
  assert_int_equal(op.params[0].type, TT_PARAM_TENSOR);
  assert_int_equal(op.params[1].type, TT_PARAM_TENSORS);
  assert_int_equal(op.params[2].type, TT_PARAM_TENSOR_OR_SCALAR);
  assert_true(op.params[3].is_optional && op.params[3].default_value.type == TT_VALUE_NONE && !op.params[3].is_keyword_only);
  assert_true(op.params[4].is_keyword_only && op.params[4].default_value.n == 2 && op.params[4].default_value.as.ints[1] == -3);
  assert_true(op.params[5].default_value.type == TT_VALUE_FLOAT && op.params[5].default_value.as.real == 1.0);
  assert_memory_equal(op.params[6].default_value.as.string, "floor", 5);
  assert_int_equal(op.params[6].default_value.n, 5);
  assert_int_equal(op.params[7].default_value.as.dtype, TT_DTYPE_F32);
  assert_true(op.params[8].default_value.as.real == 2.5);
  assert_true(op.params[9].default_value.as.boolean);
  assert_true(op.params[10].is_optional && op.params[10].default_value.as.integer == 7);
  assert_int_equal(op.result_form, TT_RESULT_TUPLE);
  assert_int_equal(op.n_result_names, 2);
  assert_string_equal(op.result_names[1], "indices");
}

static void written_parameters_are_marked(void **state) {
  (void)state;
  tt_op op = {.name = "f", .schema = "f(Tensor(a!) self, Tensor(b!)? state, Tensor(c) view, Tensor other) -> Tensor(a!)"};
  tt_error error = {0};
  assert_int_equal(tt_schema_parse(&op, &error), TT_OK);
  const bool is_written[] = {true, true, false, false};
  for (size_t i = 0; i < 4; i++) assert_int_equal(op.params[i].is_written, is_written[i]);
  assert_true(op.params[1].is_optional);
}

static void wrong_schemas_are_refused(void **state) {
  (void)state;
  static const char *const wrong[] = {
      "g(Tensor self) -> Tensor",
      "f(Tensor self)",
      "f(Tensor self) -> Tensor extra",
      "f(Tensr self) -> Tensor",
      "f(Tensor) -> Tensor",
      "f(Tensor self, ) -> Tensor",
      "f(Tensor self,int n) -> Tensor",
      "f(int n=) -> Tensor",
      "f(int n=None) -> Tensor",
      "f(int[] n=[1, x]) -> Tensor",
      "f(str s='open) -> Tensor",
      "f(ScalarType t=float) -> Tensor",
      "f(int a_name_that_is_longer_than_any_of_pytorch) -> Tensor",
      "f(int[] n=[1, 2, 3, 4, 5, 6, 7, 8, 9]) -> Tensor",
      "f(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j, int k, int l, int m, int n, int o, int p, int "
      "q) "
      "-> Tensor",
      "f(Tensor(1!) self) -> Tensor",
      "f(Tensor(a self) -> Tensor",
      "f(int n) -> (Tensor a, Tensor b",
      "f(int n) -> int",
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    tt_op op = {.name = "f", .schema = wrong[i]};
    tt_error error = {0};
    assert_int_equal(tt_schema_parse(&op, &error), TT_ERR_STATE);
    assert_non_null(strstr(error.message, "row f"));
  }
}

static void binding_checks_and_fills(void **state) {
  (void)state;
  tt_op op = {.name = "f", .schema = "f(Tensor self, float p, int[] size, *, bool keep=False, int? seed=None) -> Tensor"};
  assert_int_equal(tt_schema_parse(&op, NULL), TT_OK);
  tt_operand operand = {.meta = {.dtype = TT_DTYPE_F32}};
  tt_value bound[TT_MAX_PARAMS];
  int64_t scratch[TT_MAX_PARAMS];
  tt_value args[] = {tt_operand_value(&operand), tt_int(3), tt_int(5), tt_none(), tt_int(9)};
  assert_int_equal(tt_op_bind(&op, args, 5, bound, scratch, NULL), TT_OK);
  assert_true(bound[1].type == TT_VALUE_FLOAT && bound[1].as.real == 3.0);
  assert_true(bound[2].type == TT_VALUE_INTS && bound[2].n == 1 && bound[2].as.ints[0] == 5);
  assert_true(bound[3].type == TT_VALUE_BOOL && !bound[3].as.boolean);
  assert_true(bound[4].as.integer == 9);
  assert_int_equal(tt_op_bind(&op, args, 3, bound, scratch, NULL), TT_OK);
  assert_int_equal(bound[4].type, TT_VALUE_NONE);
  tt_error error = {0};
  assert_int_equal(tt_op_bind(&op, args, 2, bound, scratch, &error), TT_ERR_ARGUMENT);
  assert_non_null(strstr(error.message, "'size'"));
  assert_non_null(strstr(error.message, op.schema));
  tt_value wrong[] = {tt_operand_value(&operand), tt_bool(true), tt_int(5)};
  assert_int_equal(tt_op_bind(&op, wrong, 3, bound, scratch, &error), TT_ERR_ARGUMENT);
  assert_non_null(strstr(error.message, "a bool"));
  tt_value many[6] = {args[0], args[1], args[2], args[3], args[4], args[4]};
  assert_int_equal(tt_op_bind(&op, many, 6, bound, scratch, &error), TT_ERR_ARGUMENT);
  tt_value alien[] = {args[0], {.type = (tt_value_type)77}, args[2]};
  assert_int_equal(tt_op_bind(&op, alien, 3, bound, scratch, &error), TT_ERR_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_row_is_whole),         cmocka_unit_test(parameters_stand_in_order),
      cmocka_unit_test(unknown_rows_are_not_found), cmocka_unit_test(json_lists_every_row),
      cmocka_unit_test(schema_forms_are_read),      cmocka_unit_test(written_parameters_are_marked),
      cmocka_unit_test(wrong_schemas_are_refused),  cmocka_unit_test(binding_checks_and_fills),
  };
  return cmocka_run_group_tests(tests, init_table, NULL);
}
