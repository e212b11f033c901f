/* chain: parity S1, S2, S14, S15: nodes and the one dispatch. Kinds that stand in between are in test_kinds.c. */
#include "base/alloc.h"
#include "chain/hook.h"
#include "chain/pointer.h"
#include "worker_fixture.h"

static tt_hook *new_hook(void) {
  static tt_hook hook;
  tt_hook_init(&hook, "me");
  return &hook;
}

static tt_node *run(tt_hook *hook, const char *op, const tt_value *args, size_t n_args) {
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results;
  tt_error error;
  if (tt_hook_call(hook, op_number(op), args, n_args, NULL, 0, results, &n_results, &error) != TT_OK)
    fail_msg("%s", error.message);
  assert_int_equal(n_results, 1);
  return results[0];
}

static void assert_chain(const tt_node *node, const char *expected) {
  tt_buffer text;
  tt_buffer_init(&text);
  tt_chain_print(node, &text);
  assert_string_equal(tt_buffer_string(&text), expected);
  tt_buffer_release(&text);
}

static const float X[] = {1, 2, 3, 4, 5};

static void s14_a_local_tensor_is_the_tail(void **state) {
  (void)state;
  tt_hook *hook = new_hook();
  tt_node *x = floats(X, 5), *y = run(hook, "add", (tt_value[]){of(x), of(x)}, 2);
  assert_chain(y, "FloatTensor > _LocalTensor");
  assert_printed(y, "tensor([ 2.,  4.,  6.,  8., 10.])");
  tt_node *flags = run(hook, "gt", (tt_value[]){of(y), tt_int(5)}, 2);
  assert_chain(flags, "BoolTensor > _LocalTensor");
  assert_printed(flags, "tensor([False, False,  True,  True,  True])");
  tt_node_unref(x);
  tt_node_unref(y);
  tt_node_unref(flags);
}

static void in_place_results_are_the_argument(void **state) {
  (void)state;
  tt_hook *hook = new_hook();
  tt_node *x = floats(X, 5), *same = run(hook, "add_", (tt_value[]){of(x), tt_int(1)}, 2);
  assert_ptr_equal(x, same);
  assert_int_equal(x->refs, 2);
  assert_printed(x, "tensor([2., 3., 4., 5., 6.])");
  tt_node_unref(same);
  tt_node_unref(x);
}

static void lists_of_operands_are_unwrapped(void **state) {
  (void)state;
  tt_hook *hook = new_hook();
  tt_node *x = floats(X, 2);
  tt_operand *list[] = {&x->operand, &x->operand, &x->operand};
  tt_node *y = run(hook, "cat", (tt_value[]){tt_operands_value(list, 3)}, 1);
  assert_printed(y, "tensor([1., 2., 1., 2., 1., 2.])");
  tt_node_unref(x);
  tt_node_unref(y);
}

static void a_factory_makes_a_head(void **state) {
  (void)state;
  tt_node *ones = run(new_hook(), "ones", (tt_value[]){tt_ints((int64_t[]){2, 2}, 2)}, 1);
  assert_chain(ones, "FloatTensor > _LocalTensor");
  assert_printed(ones, "tensor([[1., 1.],\n        [1., 1.]])");
  tt_node_unref(ones);
}

static void errors_name_what_is_wrong(void **state) {
  (void)state;
  tt_hook *hook = new_hook();
  tt_node *x = floats(X, 5), *results[TT_MAX_RESULTS];
  size_t n_results;
  tt_error error;
  assert_int_equal(tt_hook_call(hook, (tt_op_number)60000, NULL, 0, NULL, 0, results, &n_results, &error), TT_ERR_UNKNOWN_OP);
  assert_int_equal(tt_hook_call(hook, op_number("add"), (tt_value[]){of(x)}, 1, NULL, 0, results, &n_results, &error),
                   TT_ERR_ARGUMENT);
  assert_says(error.message, "add(Tensor self");
  tt_head_set_busy(x, "is on its way here from bob");
  assert_int_equal(tt_hook_call(hook, op_number("neg"), (tt_value[]){of(x)}, 1, NULL, 0, results, &n_results, &error),
                   TT_ERR_STATE);
  assert_says(error.message, "neg: an operand is on its way here from bob");
  tt_node_unref(x);
}

static void a_seeded_hook_draws_the_same_numbers(void **state) {
  (void)state;
  tt_hook *hook = new_hook();
  const tt_value shape = tt_ints((int64_t[]){4}, 1);
  tt_hook_seed(hook, 7);
  tt_node *a = run(hook, "rand", &shape, 1), *b = run(hook, "rand", &shape, 1);
  tt_hook_seed(hook, 7);
  tt_node *c = run(hook, "rand", &shape, 1);
  assert_memory_equal(tt_tensor_data(tt_local_tensor(a->child)), tt_tensor_data(tt_local_tensor(c->child)), 16);
  assert_memory_not_equal(tt_tensor_data(tt_local_tensor(a->child)), tt_tensor_data(tt_local_tensor(b->child)), 16);
  tt_node_unref(a);
  tt_node_unref(b);
  tt_node_unref(c);
}

static void lost_memory_leaves_nothing_behind(void **state) {
  (void)state;
  tt_hook *hook = new_hook();
  tt_node *x = floats(X, 4);
  for (long n = 0; n < 40; n++) {
    tt_node *results[TT_MAX_RESULTS];
    size_t n_results = 0;
    tt_error error;
    tt_alloc_fail_after(n);
    tt_status status =
        tt_hook_call(hook, op_number("split"), (tt_value[]){of(x), tt_int(1)}, 2, NULL, 0, results, &n_results, &error);
    tt_alloc_fail_after(-1);
    if (status != TT_OK)
      assert_int_equal(status, TT_ERR_MEMORY);
    else
      assert_int_equal(n_results, 4);
    for (size_t i = 0; status == TT_OK && i < n_results; i++) tt_node_unref(results[i]);
    if (n == 39) assert_int_equal(status, TT_OK);
  }
  tt_node_unref(x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(s14_a_local_tensor_is_the_tail),    cmocka_unit_test(in_place_results_are_the_argument),
      cmocka_unit_test(lists_of_operands_are_unwrapped),   cmocka_unit_test(a_factory_makes_a_head),
      cmocka_unit_test(errors_name_what_is_wrong),         cmocka_unit_test(a_seeded_hook_draws_the_same_numbers),
      cmocka_unit_test(lost_memory_leaves_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
