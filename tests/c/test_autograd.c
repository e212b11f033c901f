/* Variables and gradients: parity S17's local half. The rules themselves are test_gradients.c's and the oracle's. */
#include <math.h>

#include "base/alloc.h"
#include "chain/hook.h"
#include "chain/variable.h"
#include "worker_fixture.h"

static tt_hook the_hook;
static tt_error trouble;

static tt_status try_run(const char *op, const tt_value *args, size_t n_args, tt_node **results, size_t *n_results) {
  return tt_hook_call(&the_hook, op_number(op), args, n_args, NULL, 0, results, n_results, &trouble);
}

/* One op with one result; for one in place the reference is given back. */
static tt_node *run(const char *op, const tt_value *args, size_t n_args) {
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results;
  if (try_run(op, args, n_args, results, &n_results) != TT_OK) fail_msg("%s: %s", op, trouble.message);
  assert_int_equal(n_results, 1);
  if (op[strlen(op) - 1] == '_') tt_node_unref(results[0]);
  return results[0];
}
#define RUN(op, ...) run(op, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value))

static void refuse(tt_status status, const char *says, const char *op, const tt_value *args, size_t n_args) {
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results;
  assert_int_equal(try_run(op, args, n_args, results, &n_results), status);
  assert_says(trouble.message, says);
}
#define REFUSE(status, says, op, ...) \
  refuse(status, says, op, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value))

static tt_node *leaf(const float *values, int64_t n) {
  tt_node *x = floats(values, n);
  RUN("requires_grad_", of(x));
  return x;
}

static tt_node *grad_of(tt_node *x) { return tt_node_gradient(x).grad; }

static void assert_grad(tt_node *x, const char *expected) {
  tt_node *grad = grad_of(x);
  if (grad == NULL) fail_msg("there is no gradient");
  assert_printed(grad, expected);
}

static void drop(tt_node *const *nodes, size_t n) {
  for (size_t i = 0; i < n; i++) tt_node_unref(nodes[i]);
}
#define DROP(...) drop((tt_node *[]){__VA_ARGS__}, sizeof((tt_node *[]){__VA_ARGS__}) / sizeof(tt_node *))

static const float ONE_TO_FOUR[] = {1, 2, 3, 4};

static int begin(void **state) {
  (void)state;
  tt_hook_init(&the_hook, "me");
  return 0;
}

static void s17_backward_gives_leaves_their_gradients(void **state) {
  (void)state;
  tt_node *x = leaf((const float[]){1, 1, 1, 1}, 4), *x2 = leaf((const float[]){2, 2, 2, 2}, 4);
  tt_node *y = RUN("mul", of(x), of(x2)), *sum = RUN("sum", of(y));
  tt_gradient_view view = tt_node_gradient(sum);
  assert_true(view.requires_grad);
  assert_false(view.is_leaf);
  assert_string_equal(view.grad_fn, "SumBackward0");
  assert_string_equal(tt_node_gradient(y).grad_fn, "MulBackward0");
  assert_true(tt_node_gradient(x).is_leaf);
  assert_null(grad_of(x));
  RUN("backward_", of(sum));
  assert_grad(x, "tensor([2., 2., 2., 2.])");
  assert_grad(x2, "tensor([1., 1., 1., 1.])");
  assert_null(grad_of(y)); /* no leaf */
  DROP(x, x2, y, sum);
}

static void s17_the_chain_shows_the_variable(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4);
  tt_buffer text;
  tt_buffer_init(&text);
  tt_chain_print(x, &text);
  assert_string_equal(tt_buffer_string(&text), "FloatTensor > Variable > _LocalTensor");
  tt_buffer_release(&text);
  DROP(x);
}

static void gradients_accumulate_and_who_holds_one_sees_it(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4);
  tt_node *held = NULL;
  for (int i = 1; i <= 3; i++) {
    tt_node *y = RUN("sum", of(x));
    RUN("backward_", of(y));
    DROP(y);
    if (held == NULL) held = RUN("grad", of(x));
  }
  assert_grad(x, "tensor([3., 3., 3., 3.])");
  assert_printed(held, "tensor([3., 3., 3., 3.])");
  RUN("zero_", of(held));
  assert_grad(x, "tensor([0., 0., 0., 0.])");
  RUN("set_grad_", of(x));
  assert_null(grad_of(x));
  DROP(x, held);
}

static void one_operand_twice_and_two_paths_add_up(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4);
  tt_node *square = RUN("mul", of(x), of(x)), *both = RUN("add", of(square), of(x)), *y = RUN("sum", of(both));
  RUN("backward_", of(y));
  assert_grad(x, "tensor([3., 5., 7., 9.])");
  DROP(x, square, both, y);
}

static void a_graph_is_gone_after_backward_unless_it_is_retained(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4);
  tt_node *y = RUN("mul", of(x), of(x)), *z = RUN("sum", of(y));
  RUN("backward_", of(z), tt_none(), tt_bool(true));
  RUN("backward_", of(z));
  assert_grad(x, "tensor([ 4.,  8., 12., 16.])");
  REFUSE(TT_ERR_STATE, "Trying to backward through the graph a second time", "backward_", of(z));
  assert_grad(x, "tensor([ 4.,  8., 12., 16.])");
  /* A sum saves no data, so that it may be gone through again, as in PyTorch. */
  tt_node *sum = RUN("sum", of(x));
  RUN("backward_", of(sum));
  RUN("backward_", of(sum));
  assert_grad(x, "tensor([ 6., 10., 14., 18.])");
  DROP(x, y, z, sum);
}

static void what_pytorch_refuses_is_refused(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4), *plain = floats(ONE_TO_FOUR, 4), *y = RUN("mul", of(x), tt_float(2.5));
  tt_node *part = RUN("narrow", of(x), tt_int(0), tt_int(0), tt_int(2)), *whole = RUN("long", of(plain));
  tt_node *three = floats(ONE_TO_FOUR, 3);
  REFUSE(TT_ERR_STATE, "a leaf Variable that requires grad is being used in an in-place operation", "add_", of(x), tt_int(1));
  REFUSE(TT_ERR_STATE, "a view of a leaf Variable that requires grad is being used in an in-place", "add_", of(part),
         tt_int(1));
  REFUSE(TT_ERR_STATE, "does not require grad and does not have a grad_fn", "backward_", of(plain), of(plain));
  REFUSE(TT_ERR_SHAPE, "grad can be implicitly created only for scalar outputs", "backward_", of(y));
  REFUSE(TT_ERR_SHAPE, "a gradient of shape [3] was given for a tensor of shape [4]", "backward_", of(y), of(three));
  REFUSE(TT_ERR_DTYPE, "only Tensors of floating point dtype can require gradients", "requires_grad_", of(whole));
  REFUSE(TT_ERR_STATE, "you can only change requires_grad flags of leaf variables", "requires_grad_", of(y), tt_bool(false));
  REFUSE(TT_ERR_STATE, "its gradient is not kept", "grad", of(y));
  REFUSE(TT_ERR_STATE, "no gradient has arrived yet", "grad", of(x));
  assert_printed(x, "tensor([1., 2., 3., 4.])");
  DROP(x, plain, y, part, whole, three);
}

static void saved_data_that_changed_is_noticed(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4), *w = floats(ONE_TO_FOUR, 4);
  tt_node *y = RUN("mul", of(x), of(w)), *z = RUN("sum", of(y));
  RUN("add_", of(w), tt_int(1));
  REFUSE(TT_ERR_STATE, "modified by an inplace operation", "backward_", of(z));
  assert_null(grad_of(x));
  /* What no rule reads may change. */
  tt_node *a = RUN("add", of(x), of(w)), *b = RUN("sum", of(a));
  RUN("add_", of(w), tt_int(1));
  RUN("backward_", of(b));
  assert_grad(x, "tensor([1., 1., 1., 1.])");
  DROP(x, w, y, z, a, b);
}

static void changes_in_place_are_recorded(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4);
  tt_node *y = RUN("mul", of(x), tt_int(3));
  RUN("mul_", of(y), of(x)); /* 3 x^2: the rule reads y as it was */
  RUN("add_", of(y), tt_int(1));
  assert_string_equal(tt_node_gradient(y).grad_fn, "AddBackward0");
  tt_node *z = RUN("sum", of(y));
  RUN("backward_", of(z));
  assert_grad(x, "tensor([ 6., 12., 18., 24.])");
  /* Plain data becomes part of the graph when what needs a gradient is written to it. */
  tt_node *plain = floats((const float[]){1, 1, 1, 1}, 4);
  RUN("mul_", of(plain), of(x));
  RUN("mul_", of(plain), of(x));
  assert_true(tt_node_gradient(plain).requires_grad);
  tt_node *sum = RUN("sum", of(plain));
  RUN("set_grad_", of(x));
  RUN("backward_", of(sum));
  assert_grad(x, "tensor([2., 4., 6., 8.])");
  DROP(x, y, z, plain, sum);
}

static void changes_through_views_reach_the_root(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4);
  /* out = zeros(4); out[1:3] = x[1:3]^2; out.sum() */
  tt_node *out = floats((const float[]){0, 0, 0, 0}, 4);
  tt_node *before = RUN("narrow", of(out), tt_int(0), tt_int(0), tt_int(2));
  tt_node *part = RUN("narrow", of(out), tt_int(0), tt_int(1), tt_int(2));
  tt_node *source = RUN("narrow", of(x), tt_int(0), tt_int(1), tt_int(2)), *square = RUN("mul", of(source), of(source));
  RUN("copy_", of(part), of(square));
  assert_printed(out, "tensor([0., 4., 9., 0.])");
  tt_node *sum = RUN("sum", of(out));
  assert_true(tt_node_gradient(sum).requires_grad);
  RUN("backward_", of(sum), tt_none(), tt_bool(true));
  assert_grad(x, "tensor([0., 4., 6., 0.])");
  /* A view from before sees the change too, and so does one through the changed view. */
  RUN("set_grad_", of(x));
  tt_node *sum_before = RUN("sum", of(before));
  RUN("backward_", of(sum_before), tt_none(), tt_bool(true));
  assert_grad(x, "tensor([0., 4., 0., 0.])");
  RUN("set_grad_", of(x));
  tt_node *tail = RUN("select", of(part), tt_int(0), tt_int(1));
  RUN("backward_", of(tail));
  assert_grad(x, "tensor([0., 0., 6., 0.])");
  DROP(x, out, before, part, source, square, sum, sum_before, tail);
}

static void a_change_of_a_part_lets_the_rest_pass(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4), *w = leaf((const float[]){10, 20}, 2);
  tt_node *y = RUN("mul", of(x), tt_int(2)), *grid = RUN("view", of(y), tt_ints((int64_t[]){2, 2}, 2));
  tt_node *column = RUN("select", of(grid), tt_int(1), tt_int(0));
  RUN("mul_", of(column), of(w)); /* y = [2 x0 w0, 2 x1, 2 x2 w1, 2 x3] */
  assert_printed(y, "tensor([ 20.,   4., 120.,   8.])");
  tt_node *repeated = RUN("expand", of(column), tt_ints((int64_t[]){3, 2}, 2));
  tt_node *a = RUN("sum", of(y)), *b = RUN("sum", of(repeated)), *all = RUN("add", of(a), of(b));
  RUN("backward_", of(all)); /* the column counts 4 times */
  assert_grad(x, "tensor([ 80.,   2., 160.,   2.])");
  assert_grad(w, "tensor([ 8., 24.])");
  DROP(x, w, y, grid, column, repeated, a, b, all);
}

static void nothing_is_recorded_under_no_grad(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4);
  the_hook.is_recording = false;
  tt_node *y = RUN("mul", of(x), tt_int(2));
  RUN("sub_", of(x), tt_int(1)); /* a leaf may be changed then, and stays one */
  the_hook.is_recording = true;
  assert_false(tt_node_gradient(y).requires_grad);
  assert_true(tt_node_gradient(x).requires_grad && tt_node_gradient(x).is_leaf);
  assert_printed(x, "tensor([0., 1., 2., 3.])");
  DROP(x, y);
}

static void detached_data_is_shared_and_has_no_graph(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4), *y = RUN("mul", of(x), tt_int(2)), *apart = RUN("detach", of(y));
  assert_false(tt_node_gradient(apart).requires_grad);
  tt_node *z = RUN("mul", of(y), of(apart)), *sum = RUN("sum", of(z));
  RUN("backward_", of(sum), tt_none(), tt_bool(true));
  assert_grad(x, "tensor([ 4.,  8., 12., 16.])");
  RUN("zero_", of(apart));
  assert_printed(y, "tensor([0., 0., 0., 0.])");
  REFUSE(TT_ERR_STATE, "modified by an inplace operation", "backward_", of(sum));
  RUN("detach_", of(y));
  assert_false(tt_node_gradient(y).requires_grad);
  DROP(x, y, apart, z, sum);
}

static void gradients_of_no_leaf_are_kept_on_request(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4), *y = RUN("mul", of(x), tt_int(2)), *z = RUN("mul", of(y), of(y)), *sum = RUN("sum", of(z));
  RUN("retain_grad_", of(y));
  RUN("backward_", of(sum));
  assert_grad(y, "tensor([ 4.,  8., 12., 16.])");
  assert_grad(x, "tensor([ 8., 16., 24., 32.])");
  tt_node *plain = floats(ONE_TO_FOUR, 4);
  REFUSE(TT_ERR_STATE, "can't retain_grad on Tensor that has requires_grad=False", "retain_grad_", of(plain));
  DROP(x, y, z, sum, plain);
}

static void only_float_results_have_gradients(void **state) {
  (void)state;
  tt_node *x = leaf((const float[]){3, 9, 1, 7}, 4), *results[TT_MAX_RESULTS];
  size_t n_results;
  assert_int_equal(try_run("max", (tt_value[]){of(x), tt_int(0)}, 2, results, &n_results), TT_OK);
  assert_int_equal(n_results, 2);
  assert_true(tt_node_gradient(results[0]).requires_grad);
  assert_false(tt_node_gradient(results[1]).requires_grad);
  RUN("backward_", of(results[0]));
  assert_grad(x, "tensor([0., 1., 0., 0.])");
  DROP(x, results[0], results[1]);
}

/* ---- hooks ---- */

static int n_heard, n_released;

static tt_status double_it(void *context, tt_node *gradient, tt_node **replacement, tt_error *error) {
  n_heard++;
  if (context != NULL) return tt_fail(error, TT_ERR_STATE, "the hook says no");
  *replacement = RUN("mul", of(gradient), tt_int(2));
  return TT_OK;
}

static void count_release(void *context) {
  (void)context;
  n_released++;
}

static void hooks_see_and_replace_gradients(void **state) {
  (void)state;
  n_heard = n_released = 0;
  tt_node *x = leaf(ONE_TO_FOUR, 4), *y = RUN("mul", of(x), tt_int(3)), *z = RUN("sum", of(y));
  uint64_t on_x = tt_variable_register_hook(x, double_it, count_release, NULL, &trouble);
  assert_int_not_equal(on_x, 0);
  assert_int_not_equal(tt_variable_register_hook(y, double_it, count_release, NULL, &trouble), 0);
  RUN("backward_", of(z), tt_none(), tt_bool(true));
  assert_grad(x, "tensor([12., 12., 12., 12.])");
  assert_int_equal(n_heard, 2);
  tt_variable_remove_hook(x, on_x);
  assert_int_equal(n_released, 1);
  RUN("backward_", of(z), tt_none(), tt_bool(true));
  assert_grad(x, "tensor([18., 18., 18., 18.])");
  /* One that fails ends the backward, and no leaf has changed. */
  assert_int_not_equal(tt_variable_register_hook(y, double_it, NULL, &n_heard, &trouble), 0);
  REFUSE(TT_ERR_STATE, "the hook says no", "backward_", of(z));
  assert_grad(x, "tensor([18., 18., 18., 18.])");
  tt_node *plain = floats(ONE_TO_FOUR, 4);
  assert_int_equal(tt_variable_register_hook(plain, double_it, count_release, NULL, &trouble), 0);
  assert_says(trouble.message, "doesn't require gradient");
  DROP(x, y, z, plain);
  assert_int_equal(n_released, 3);
}

typedef struct clearer {
  tt_node *x;
  uint64_t ids[3];
  int n_called;
} clearer;

/* Takes away every hook, and adds one. */
static tt_status clear_hooks(void *context, tt_node *gradient, tt_node **replacement, tt_error *error) {
  clearer *all = context;
  (void)gradient, (void)replacement;
  all->n_called++;
  for (int i = 0; i < 3; i++) tt_variable_remove_hook(all->x, all->ids[i]);
  all->ids[0] = tt_variable_register_hook(all->x, clear_hooks, NULL, all, error);
  return TT_OK;
}

static void a_hook_may_remove_and_add_hooks(void **state) {
  (void)state;
  clearer all = {.x = leaf(ONE_TO_FOUR, 4)};
  for (int i = 0; i < 3; i++) all.ids[i] = tt_variable_register_hook(all.x, clear_hooks, NULL, &all, &trouble);
  tt_node *z = RUN("sum", of(all.x));
  RUN("backward_", of(z));
  assert_int_equal(all.n_called, 1);
  DROP(all.x, z);
}

/* The leak sanitizer looks. */
static void gradients_that_lead_back_are_freed(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4), *y = RUN("mul", of(x), of(x)), *z = RUN("sum", of(y));
  RUN("backward_", of(z), tt_none(), tt_bool(true), tt_bool(true));
  assert_true(tt_node_gradient(tt_node_gradient(x).grad).requires_grad);
  DROP(x, y, z);
  tt_node *a = leaf(ONE_TO_FOUR, 4), *b = leaf(ONE_TO_FOUR, 4), *of_a = RUN("mul", of(a), tt_int(2));
  RUN("set_grad_", of(a), of(a));
  RUN("set_grad_", of(a), of(of_a));
  RUN("set_grad_", of(b), of(a));
  RUN("set_grad_", of(a), of(b));
  assert_grad(a, "tensor([1., 2., 3., 4.])");
  DROP(a, b, of_a);
}

/* ---- gradients as results ---- */

static void gradients_are_answered_and_have_gradients(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4), *cube = RUN("pow", of(x), tt_int(3)), *y = RUN("sum", of(cube));
  tt_operand *outputs[] = {&y->operand}, *inputs[] = {&x->operand};
  tt_node *first =
      RUN("autograd_grad", tt_operands_value(outputs, 1), tt_operands_value(inputs, 1), tt_none(), tt_none(), tt_bool(true));
  assert_printed(first, "tensor([ 3., 12., 27., 48.])");
  assert_null(grad_of(x));
  tt_node *sum = RUN("sum", of(first));
  tt_operand *again[] = {&sum->operand};
  tt_node *second = RUN("autograd_grad", tt_operands_value(again, 1), tt_operands_value(inputs, 1));
  assert_printed(second, "tensor([ 6., 12., 18., 24.])");
  tt_node *other = leaf(ONE_TO_FOUR, 4);
  tt_operand *unused[] = {&other->operand};
  REFUSE(TT_ERR_STATE, "input 0 appears to not have been used", "autograd_grad", tt_operands_value(outputs, 1),
         tt_operands_value(unused, 1));
  DROP(x, cube, y, first, sum, second, other);
}

/* ---- the ends of the scale ---- */

static void long_graphs_need_no_deep_stack(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4), *y = RUN("mul", of(x), tt_int(1));
  for (int i = 0; i < 200000; i++) {
    tt_node *next = RUN("add", of(y), tt_int(1));
    DROP(y);
    y = next;
  }
  tt_node *z = RUN("sum", of(y));
  RUN("backward_", of(z));
  assert_grad(x, "tensor([1., 1., 1., 1.])");
  DROP(x, y, z);
}

/* Everything that allocates, once; false when something failed. */
static bool scenario(tt_node *x, long n_successes) {
  tt_node *results[TT_MAX_RESULTS], *made[8] = {NULL};
  size_t n_results, n_made = 0;
  tt_status status;
#define STEP(op, ...)                                                                                                      \
  do {                                                                                                                     \
    status =                                                                                                               \
        try_run(op, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value), results, &n_results); \
    if (status != TT_OK) goto end;                                                                                         \
    made[n_made++] = results[0];                                                                                           \
  } while (0)
  tt_alloc_fail_after(n_successes);
  STEP("mul", of(x), of(x));
  STEP("narrow", of(made[0]), tt_int(0), tt_int(1), tt_int(2));
  STEP("narrow", of(x), tt_int(0), tt_int(1), tt_int(2));
  STEP("mul_", of(made[1]), of(made[2]));
  STEP("add_", of(made[0]), of(x));
  STEP("retain_grad_", of(made[0]));
  STEP("sum", of(made[0]));
  STEP("backward_", of(made[6]));
#undef STEP
end:
  tt_alloc_fail_after(-1);
  drop(made, n_made);
  if (status != TT_OK && status != TT_ERR_MEMORY) fail_msg("%s", trouble.message);
  return status == TT_OK;
}

static void without_memory_no_leaf_changes(void **state) {
  (void)state;
  tt_node *x = leaf(ONE_TO_FOUR, 4);
  long n = 0;
  for (; !scenario(x, n); n++) {
    assert_null(grad_of(x));
    assert_printed(x, "tensor([1., 2., 3., 4.])");
  }
  assert_true(n > 40);
  assert_grad(x, "tensor([ 3., 13., 28.,  9.])");
  DROP(x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(s17_backward_gives_leaves_their_gradients),
      cmocka_unit_test(s17_the_chain_shows_the_variable),
      cmocka_unit_test(gradients_accumulate_and_who_holds_one_sees_it),
      cmocka_unit_test(one_operand_twice_and_two_paths_add_up),
      cmocka_unit_test(a_graph_is_gone_after_backward_unless_it_is_retained),
      cmocka_unit_test(what_pytorch_refuses_is_refused),
      cmocka_unit_test(saved_data_that_changed_is_noticed),
      cmocka_unit_test(changes_in_place_are_recorded),
      cmocka_unit_test(changes_through_views_reach_the_root),
      cmocka_unit_test(a_change_of_a_part_lets_the_rest_pass),
      cmocka_unit_test(nothing_is_recorded_under_no_grad),
      cmocka_unit_test(detached_data_is_shared_and_has_no_graph),
      cmocka_unit_test(gradients_of_no_leaf_are_kept_on_request),
      cmocka_unit_test(only_float_results_have_gradients),
      cmocka_unit_test(hooks_see_and_replace_gradients),
      cmocka_unit_test(a_hook_may_remove_and_add_hooks),
      cmocka_unit_test(gradients_that_lead_back_are_freed),
      cmocka_unit_test(gradients_are_answered_and_have_gradients),
      cmocka_unit_test(long_graphs_need_no_deep_stack),
      cmocka_unit_test(without_memory_no_leaf_changes),
  };
  return cmocka_run_group_tests(tests, begin, NULL);
}
