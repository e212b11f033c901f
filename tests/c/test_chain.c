/* chain: parity S1, S2, S14, S15: nodes, the one dispatch, and that a new kind overrides one op and inherits the rest. */
#include "base/alloc.h"
#include "chain/hook.h"
#include "chain/pointer.h"
#include "worker_fixture.h"

static tt_hook *new_hook(void) {
  static tt_hook hook;
  assert_int_equal(tt_hook_init(&hook, "me", NULL), TT_OK);
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

/* A kind in a few lines: add means subtract, and everything else is passed down. */
static tt_status minus_handle_call(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error);
static const tt_kind kind_plus_is_minus = {.name = "_PlusIsMinusTensor", .rank = 50, .handle_call = minus_handle_call};

static tt_status take_below(const tt_op *op, tt_node **slot, tt_error *error) {
  (void)op;
  (void)error;
  if ((*slot)->kind == &kind_plus_is_minus) *slot = (*slot)->child;
  return TT_OK;
}

static tt_status minus_handle_call(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error) {
  tt_call inner = *call;
  if (call->op->number == op_number("add")) inner.op = tt_op_get(op_number("sub"));
  tt_call_lists lists;
  tt_status status = tt_call_exchange(&inner, &lists, take_below, error);
  if (status == TT_OK) status = tt_hook_pass_down(hook, &inner, error);
  tt_call_release_lists(&lists);
  for (size_t i = 0; status == TT_OK && i < inner.n_results; i++) {
    call->results[i] = tt_node_new(kind, sizeof(tt_node), tt_node_meta(inner.results[i]), inner.results[i], error);
  }
  call->n_results = inner.n_results;
  return status;
}

static tt_node *wrap(tt_node *local_head) {
  tt_node *child = tt_node_ref(local_head->child);
  tt_node *kind = tt_node_new(&kind_plus_is_minus, sizeof(tt_node), tt_node_meta(child), child, NULL);
  tt_node_unref(local_head);
  return tt_head_new(kind, NULL);
}

static void the_highest_kind_handles_the_call_and_wraps_the_results(void **state) {
  (void)state;
  tt_hook *hook = new_hook();
  tt_node *x = wrap(floats(X, 5)), *y = floats(X, 5);
  tt_node *sum = run(hook, "add", (tt_value[]){of(x), of(y)}, 2);
  assert_chain(sum, "FloatTensor > _PlusIsMinusTensor > _LocalTensor");
  assert_printed(sum, "tensor([0., 0., 0., 0., 0.])");
  tt_node *product = run(hook, "mul", (tt_value[]){of(x), of(y)}, 2);
  assert_chain(product, "FloatTensor > _PlusIsMinusTensor > _LocalTensor");
  assert_printed(product, "tensor([ 1.,  4.,  9., 16., 25.])");
  tt_node_unref(x);
  tt_node_unref(y);
  tt_node_unref(sum);
  tt_node_unref(product);
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
      cmocka_unit_test(s14_a_local_tensor_is_the_tail),
      cmocka_unit_test(in_place_results_are_the_argument),
      cmocka_unit_test(lists_of_operands_are_unwrapped),
      cmocka_unit_test(a_factory_makes_a_head),
      cmocka_unit_test(errors_name_what_is_wrong),
      cmocka_unit_test(the_highest_kind_handles_the_call_and_wraps_the_results),
      cmocka_unit_test(a_seeded_hook_draws_the_same_numbers),
      cmocka_unit_test(lost_memory_leaves_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
