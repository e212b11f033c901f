/* Gradients at a worker that others command: parity S17's remote half. Whose gradients, what must not leave, and what they weigh. */
#include "chain/variable.h"
#include "worker/internal.h"
#include "worker_fixture.h"

static const float ONE_TO_FOUR[] = {1, 2, 3, 4};

/* alice commands bob, who has data of his own; carol commands him too. */
typedef struct three {
  tt_worker *alice, *bob, *carol;
} three;

static three begin_with(uint64_t max_store_bytes) {
  three all = {.alice = new_worker("alice", NULL),
               .bob = new_worker_with((tt_worker_options){.id = "bob", .max_store_bytes = max_store_bytes}, NULL),
               .carol = new_worker("carol", NULL)};
  connect_workers(all.alice, all.bob);
  connect_workers(all.carol, all.bob);
  return all;
}

static three begin(void) { return begin_with(0); }

static void end(three *all) {
  tt_virtual_poll();
  tt_worker_free(all->alice);
  tt_worker_free(all->carol);
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_bytes(all->bob) != 0 && tt_worker_n_objects(all->bob) == 0, 0);
  tt_worker_free(all->bob);
}

static tt_node *run(tt_worker *worker, const char *op, const tt_value *args, size_t n_args) {
  tt_node *result = call(worker, op, args, n_args);
  if (op[strlen(op) - 1] == '_') tt_node_unref(result);
  return result;
}
#define RUN(worker, op, ...) run(worker, op, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value))

static tt_node *leaf_at_bob(tt_worker *worker, const float *values, int64_t n) {
  tt_node *x = floats(values, n);
  RUN(worker, "requires_grad_", of(x));
  send_to(worker, x, "bob");
  return x;
}

static void drop(tt_node *const *nodes, size_t n) {
  for (size_t i = 0; i < n; i++) tt_node_unref(nodes[i]);
}
#define DROP(...) drop((tt_node *[]){__VA_ARGS__}, sizeof((tt_node *[]){__VA_ARGS__}) / sizeof(tt_node *))

/* Registers data at bob for others. */
static uint64_t register_at(tt_worker *worker, tt_node *take_head, tt_policy policy) {
  uint64_t id;
  assert_int_equal(tt_worker_set_object(worker, take_head, 0, policy, NULL, &id, NULL), TT_OK);
  tt_node_unref(take_head);
  return id;
}

static tt_node *pointer_to(tt_worker *worker, uint64_t id, int64_t n) {
  const tt_meta meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = 1, .dims = {n}}};
  tt_node *pointer = tt_worker_create_pointer(worker, known(worker, "bob"), id, &meta, NULL);
  assert_non_null(pointer);
  return pointer;
}

static void s17_backward_runs_where_the_data_is(void **state) {
  (void)state;
  three all = begin();
  tt_node *x = leaf_at_bob(all.alice, ONE_TO_FOUR, 4);
  tt_gradient_view view = tt_node_gradient(x);
  assert_true(view.requires_grad && view.is_leaf);
  tt_node *y = RUN(all.alice, "mul", of(x), of(x)), *sum = RUN(all.alice, "sum", of(y));
  assert_string_equal(tt_node_gradient(y).grad_fn, "MulBackward0");
  RUN(all.alice, "backward_", of(sum));
  tt_node *grad = RUN(all.alice, "grad", of(x));
  assert_int_equal(get(all.alice, x).status, TT_OK);
  assert_true(tt_node_gradient(x).requires_grad);
  assert_printed(tt_node_gradient(x).grad, "tensor([2., 4., 6., 8.])");
  assert_int_equal(get(all.alice, grad).status, TT_OK);
  assert_printed(grad, "tensor([2., 4., 6., 8.])");
  DROP(x, y, sum, grad);
  tt_worker_flush(all.alice);
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_objects(all.bob), 0);
  assert_int_equal(tt_worker_n_bytes(all.bob), 0);
  end(&all);
}

static void commands_without_gradients_are_not_recorded(void **state) {
  (void)state;
  three all = begin();
  tt_node *x = leaf_at_bob(all.alice, ONE_TO_FOUR, 4);
  tt_worker_hook(all.alice)->is_recording = false;
  tt_node *y = RUN(all.alice, "mul", of(x), of(x));
  tt_worker_hook(all.alice)->is_recording = true;
  assert_false(tt_node_gradient(y).requires_grad);
  tt_worker_flush(all.alice);
  tt_virtual_poll();
  tt_node *there = tt_worker_get_object(all.bob, tt_pointer_id(y->child), NULL);
  assert_non_null(there);
  assert_false(tt_node_gradient(there).requires_grad);
  DROP(x, y);
  end(&all);
}

/* What others own is a constant: a commander's backward reaches its own leaves alone. */
static void gradients_flow_into_ones_own_objects_alone(void **state) {
  (void)state;
  three all = begin();
  tt_node *own = floats(ONE_TO_FOUR, 4);
  RUN(all.bob, "requires_grad_", of(own));
  tt_node_ref(own);
  uint64_t id = register_at(all.bob, own, TT_POLICY_OPEN);
  tt_node *x = leaf_at_bob(all.alice, ONE_TO_FOUR, 4), *theirs = pointer_to(all.alice, id, 4);
  tt_node *y = RUN(all.alice, "mul", of(x), of(theirs)), *sum = RUN(all.alice, "sum", of(y));
  RUN(all.alice, "backward_", of(sum));
  assert_int_equal(get(all.alice, x).status, TT_OK);
  assert_printed(tt_node_gradient(x).grad, "tensor([1., 2., 3., 4.])");
  assert_null(tt_node_gradient(own).grad);
  assert_true(tt_node_gradient(own).requires_grad);
  /* And nobody runs backward on what is not his. */
  tt_node *loss = RUN(all.bob, "sum", of(own));
  uint64_t loss_id = register_at(all.bob, loss, TT_POLICY_OPEN);
  tt_node *their_loss = pointer_to(all.alice, loss_id, 1);
  RUN(all.alice, "backward_", of(their_loss));
  tt_worker_flush(all.alice);
  tt_virtual_poll();
  assert_null(tt_node_gradient(own).grad);
  DROP(own, x, theirs, y, sum, their_loss);
  end(&all);
}

static void what_must_not_leave_does_not_leave_as_a_gradient(void **state) {
  (void)state;
  three all = begin();
  uint64_t id = register_at(all.bob, floats(ONE_TO_FOUR, 4), TT_POLICY_COMPUTE);
  tt_node *w = leaf_at_bob(all.alice, (const float[]){1, 1, 1, 1}, 4), *rows = pointer_to(all.alice, id, 4);
  tt_node *y = RUN(all.alice, "mul", of(w), of(rows)), *sum = RUN(all.alice, "sum", of(y));
  RUN(all.alice, "backward_", of(sum)); /* its gradient is the rows */
  tt_node *grad = RUN(all.alice, "grad", of(w)), *twice = RUN(all.alice, "mul", of(grad), tt_int(2));
  reply got = get(all.alice, grad);
  assert_int_equal(got.status, TT_ERR_POLICY);
  assert_int_equal(get(all.alice, twice).status, TT_ERR_POLICY);
  got = get(all.alice, w);
  assert_int_equal(got.status, TT_ERR_POLICY);
  assert_says(got.error.error.message, "its gradient is made from data that must not leave");
  /* A step with it makes the weights such data too. */
  tt_worker_hook(all.alice)->is_recording = false;
  RUN(all.alice, "sub_", of(w), of(grad));
  tt_worker_hook(all.alice)->is_recording = true;
  RUN(all.alice, "set_grad_", of(w));
  assert_int_equal(get(all.alice, w).status, TT_ERR_POLICY);
  /* The loss is a sum, and may be got. */
  assert_int_equal(get(all.alice, sum).status, TT_OK);
  assert_printed(sum, "tensor(10.)");
  DROP(w, rows, y, sum, grad, twice);
  end(&all);
}

static void aggregated_gradients_may_leave(void **state) {
  (void)state;
  three all = begin();
  tt_node *data = matrix(3, 2);
  uint64_t id = register_at(all.bob, data, TT_POLICY_COMPUTE);
  const tt_meta meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = 2, .dims = {3, 2}}};
  tt_node *rows = tt_worker_create_pointer(all.alice, known(all.alice, "bob"), id, &meta, NULL);
  tt_node *w = matrix(2, 1), *b = floats((const float[]){1}, 1);
  RUN(all.alice, "requires_grad_", of(w));
  RUN(all.alice, "requires_grad_", of(b));
  send_to(all.alice, w, "bob");
  send_to(all.alice, b, "bob");
  /* A linear layer's: sums over the rows. */
  tt_node *product = RUN(all.alice, "mm", of(rows), of(w)), *out = RUN(all.alice, "add", of(product), of(b));
  tt_node *square = RUN(all.alice, "mul", of(out), of(out)), *loss = RUN(all.alice, "mean", of(square));
  RUN(all.alice, "backward_", of(loss));
  assert_int_equal(get(all.alice, w).status, TT_OK);
  assert_int_equal(get(all.alice, b).status, TT_OK);
  assert_printed(tt_node_gradient(b).grad, "tensor([2.])");
  DROP(rows, w, b, product, out, square, loss);
  end(&all);
}

/* Who commands cannot make a worker hold more than its store by way of graphs. */
static void what_is_saved_for_gradients_counts(void **state) {
  (void)state;
  three all = begin_with(1 << 20);
  tt_node *x = matrix(100, 100);
  RUN(all.alice, "requires_grad_", of(x));
  send_to(all.alice, x, "bob");
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_bytes(all.bob), 40000);
  tt_node *y = RUN(all.alice, "exp", of(x));
  for (int i = 0; i < 100; i++) {
    tt_node *next = RUN(all.alice, "exp", of(y)); /* what is saved stays, though its object is freed */
    tt_node_unref(y);
    y = next;
    tt_worker_flush(all.alice);
    tt_virtual_poll();
    assert_true(tt_worker_n_bytes(all.bob) <= 1 << 20);
  }
  reply got = get(all.alice, y);
  assert_int_equal(got.status, TT_ERR_FULL);
  tt_node_unref(y);
  tt_worker_flush(all.alice);
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_bytes(all.bob), 40000);
  DROP(x);
  end(&all);
}

static void changes_in_place_that_are_recorded_count(void **state) {
  (void)state;
  three all = begin_with(1 << 20);
  tt_node *x = matrix(100, 100);
  RUN(all.alice, "requires_grad_", of(x));
  send_to(all.alice, x, "bob");
  tt_node *y = RUN(all.alice, "mul", of(x), tt_int(2));
  for (int i = 0; i < 40; i++) {
    RUN(all.alice, "mul_", of(y), tt_int(2));
    tt_worker_flush(all.alice);
    tt_virtual_poll();
    assert_true(tt_worker_n_bytes(all.bob) <= 1 << 20);
  }
  assert_int_equal(get(all.alice, y).status, TT_ERR_FULL);
  DROP(x, y);
  end(&all);
}

/* A leaf that is a view of one element over and over has a gradient that is none. */
static void gradients_of_leaves_count(void **state) {
  (void)state;
  three all = begin_with(1 << 20);
  tt_node *one = floats(ONE_TO_FOUR, 1), *leaves[4];
  send_to(all.alice, one, "bob");
  int64_t size[] = {200000};
  for (int i = 0; i < 4; i++) {
    leaves[i] = RUN(all.alice, "expand", of(one), tt_ints(size, 1));
    RUN(all.alice, "requires_grad_", of(leaves[i]));
    tt_node *sum = RUN(all.alice, "sum", of(leaves[i]));
    RUN(all.alice, "backward_", of(sum));
    DROP(sum);
    tt_worker_flush(all.alice);
    tt_virtual_poll();
    assert_true(tt_worker_n_bytes(all.bob) <= 1 << 20);
  }
  drop(leaves, 4);
  DROP(one);
  end(&all);
}

/* Results that are freed at once are no objects, but what is recorded of them takes memory all the same. */
static void recorded_calls_have_a_ceiling(void **state) {
  (void)state;
  three all = {.alice = new_worker("alice", NULL),
               .bob = new_worker_with((tt_worker_options){.id = "bob", .max_objects = 50}, NULL),
               .carol = new_worker("carol", NULL)};
  connect_workers(all.alice, all.bob);
  tt_node *x = leaf_at_bob(all.alice, ONE_TO_FOUR, 4), *y = RUN(all.alice, "mul", of(x), tt_int(2));
  for (int i = 0; i < 60; i++) {
    tt_node *next = RUN(all.alice, "neg", of(y));
    DROP(y);
    y = next;
    tt_worker_flush(all.alice);
    tt_virtual_poll();
  }
  reply got = get(all.alice, y);
  assert_int_equal(got.status, TT_ERR_FULL);
  assert_says(got.error.error.message, "keeps 50 calls for gradients");
  DROP(y);
  /* What is let go of makes room. */
  y = RUN(all.alice, "neg", of(x));
  assert_int_equal(get(all.alice, y).status, TT_OK);
  DROP(x, y);
  end(&all);
}

/* An unfolded gradient goes back in one piece, however many windows there are. */
static void the_gradient_of_unfold_takes_no_more_than_its_windows(void **state) {
  (void)state;
  three all = begin_with(64 << 20);
  tt_node *x = floats((const float[4096]){0}, 4096);
  RUN(all.alice, "requires_grad_", of(x));
  send_to(all.alice, x, "bob");
  tt_node *windows = RUN(all.alice, "unfold", of(x), tt_int(0), tt_int(1024), tt_int(2)),
          *sum = RUN(all.alice, "sum", of(windows));
  RUN(all.alice, "backward_", of(sum));
  tt_node *grad = RUN(all.alice, "grad", of(x)), *total = RUN(all.alice, "sum", of(grad));
  assert_int_equal(get(all.alice, total).status, TT_OK);
  assert_printed(total, "tensor(1573888.)"); /* 1537 windows of 1024 */
  DROP(x, windows, sum, grad, total);
  end(&all);
}

/* What an op adds or places element by element it does not combine, whatever else it sums. */
static void single_elements_do_not_leave_through_sums(void **state) {
  (void)state;
  three all = begin();
  tt_node *square = matrix(2, 2);
  uint64_t rows_id = register_at(all.bob, floats(ONE_TO_FOUR, 4), TT_POLICY_COMPUTE);
  uint64_t square_id = register_at(all.bob, square, TT_POLICY_COMPUTE);
  const tt_meta meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = 2, .dims = {2, 2}}};
  tt_node *rows = pointer_to(all.alice, rows_id, 4);
  tt_node *theirs = tt_worker_create_pointer(all.alice, known(all.alice, "bob"), square_id, &meta, NULL);
  tt_node *mine = matrix(2, 2), *one = floats(ONE_TO_FOUR, 1), *places = floats((const float[]){0, 1, 2, 3}, 4);
  send_to(all.alice, mine, "bob");
  send_to(all.alice, one, "bob");
  send_to(all.alice, places, "bob");
  tt_node *at = RUN(all.alice, "to", of(places), tt_dtype_value(TT_DTYPE_I64));
  tt_operand *list[] = {&rows->operand};
  tt_node *leaks[] = {
      RUN(all.alice, "addmm", of(theirs), of(mine), of(mine)),
      RUN(all.alice, "einsum", tt_string("i->i", 4), tt_operands_value(list, 1)),
      RUN(all.alice, "tensordot", of(rows), of(one), tt_ints(NULL, 0), tt_ints(NULL, 0)),
      RUN(all.alice, "bincount", of(at), of(rows)),
  };
  for (size_t i = 0; i < sizeof leaks / sizeof *leaks; i++) {
    assert_int_equal(get(all.alice, leaks[i]).status, TT_ERR_POLICY);
    DROP(leaks[i]);
  }
  tt_node *product = RUN(all.alice, "addmm", of(mine), of(theirs), of(mine));
  assert_int_equal(get(all.alice, product).status, TT_OK);
  DROP(rows, theirs, mine, one, places, at, product);
  end(&all);
}

/* A sentence that quotes an element would tell it. */
static void errors_do_not_quote_what_must_not_leave(void **state) {
  (void)state;
  three all = begin();
  tt_tensor *secret = tt_tensor_from_bytes(TT_DTYPE_I64, &(tt_shape){.n_dims = 1, .dims = {1}}, &(int64_t){-4242}, NULL);
  uint64_t id = register_at(all.bob, tt_head_new(tt_local_new(secret, NULL), NULL), TT_POLICY_COMPUTE);
  const tt_meta meta = {.dtype = TT_DTYPE_I64, .shape = {.n_dims = 1, .dims = {1}}};
  tt_node *theirs = tt_worker_create_pointer(all.alice, known(all.alice, "bob"), id, &meta, NULL);
  tt_node *count = RUN(all.alice, "bincount", of(theirs));
  reply got = get(all.alice, count);
  assert_int_equal(got.status, TT_ERR_ARGUMENT);
  assert_null(strstr(got.error.error.message, "4242"));
  assert_says(got.error.error.message, "elements that must not leave bob");
  DROP(theirs, count);
  end(&all);
}

static void a_send_without_memory_changes_nothing(void **state) {
  (void)state;
  long n = 0;
  for (bool done = false; !done; n++) {
    three all = begin();
    tt_node *x = floats(ONE_TO_FOUR, 4);
    RUN(all.alice, "requires_grad_", of(x));
    tt_node *sum = RUN(all.alice, "sum", of(x));
    RUN(all.alice, "backward_", of(sum));
    reply got = {0};
    tt_error error;
    tt_alloc_fail_after(n);
    tt_status status = tt_worker_send(all.alice, x, known(all.alice, "bob"), 0, NULL, take_reply, &got, NULL, &error);
    tt_worker_flush(all.alice);
    tt_virtual_poll();
    tt_alloc_fail_after(-1);
    tt_worker_flush(all.alice);
    tt_worker_flush(all.bob);
    tt_virtual_poll();
    done = status == TT_OK && got.n_calls == 1 && got.status == TT_OK;
    if (done) assert_int_equal(get(all.alice, x).status, TT_OK);
    if (tt_node_is_pointer(x->child)) (void)get(all.alice, x);
    if (!tt_node_is_pointer(x->child)) {
      assert_true(tt_node_gradient(x).requires_grad);
      assert_printed(x, "tensor([1., 2., 3., 4.])");
      assert_printed(tt_node_gradient(x).grad, "tensor([1., 1., 1., 1.])");
    }
    DROP(x, sum);
    end(&all);
    assert_true(n < 1000);
  }
  assert_true(n > 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(s17_backward_runs_where_the_data_is),
      cmocka_unit_test(commands_without_gradients_are_not_recorded),
      cmocka_unit_test(gradients_flow_into_ones_own_objects_alone),
      cmocka_unit_test(what_must_not_leave_does_not_leave_as_a_gradient),
      cmocka_unit_test(aggregated_gradients_may_leave),
      cmocka_unit_test(what_is_saved_for_gradients_counts),
      cmocka_unit_test(changes_in_place_that_are_recorded_count),
      cmocka_unit_test(gradients_of_leaves_count),
      cmocka_unit_test(recorded_calls_have_a_ceiling),
      cmocka_unit_test(the_gradient_of_unfold_takes_no_more_than_its_windows),
      cmocka_unit_test(single_elements_do_not_leave_through_sums),
      cmocka_unit_test(errors_do_not_quote_what_must_not_leave),
      cmocka_unit_test(a_send_without_memory_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
