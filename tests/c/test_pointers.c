/* pointers in full: parity S13, S15, S16: pointers to pointers, moving, from worker to worker; promises and those who do not keep them. */
#include "chain/multi_pointer.h"
#include "chain/variable.h"
#include "villain_fixture.h"

static const float X[] = {1, 2, 3, 4, 5};
enum { X_BYTES = 20 };

/* me commands; everybody knows everybody. */
typedef struct company {
  event_log log;
  tt_worker *me, *bob, *alice, *james;
} company;

static company *gather(void) {
  company *all = test_calloc(1, sizeof *all);
  /* Deadlines are over as soon as they begin, but nobody looks at them without a tick. */
  all->me = new_worker("me", &all->log);
  all->bob = new_worker_with((tt_worker_options){.id = "bob", .promise_ms = -1}, NULL);
  all->alice = new_worker_with((tt_worker_options){.id = "alice", .promise_ms = -1}, NULL);
  all->james = new_worker_with((tt_worker_options){.id = "james", .promise_ms = -1}, NULL);
  tt_worker *workers[] = {all->me, all->bob, all->alice, all->james};
  for (size_t i = 0; i < 4; i++) {
    for (size_t k = i + 1; k < 4; k++) connect_workers(workers[i], workers[k]);
  }
  return all;
}

static void assert_all_empty(const company *all) {
  tt_virtual_poll();
  const tt_worker *workers[] = {all->me, all->bob, all->alice, all->james};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(tt_worker_n_objects(workers[i]), 0);
    assert_int_equal(tt_worker_n_bytes(workers[i]), 0);
    assert_null(workers[i]->promises);
    assert_int_equal(workers[i]->requests.n_entries, 0);
  }
}

static void part(company *all) {
  tt_worker_free(all->me);
  tt_worker_free(all->bob);
  tt_worker_free(all->alice);
  tt_worker_free(all->james);
  tt_virtual_poll();
  test_free(all);
}

static void assert_chain(const tt_node *head, const char *location) {
  tt_buffer text;
  tt_buffer_init(&text);
  tt_chain_print(head, &text);
  char expected[128];
  snprintf(expected, sizeof expected, "FloatTensor > _PointerTensor(%s, %" PRIu64 ")", location, tt_pointer_id(head->child));
  assert_string_equal(tt_buffer_string(&text), expected);
  tt_buffer_release(&text);
}

static reply fetch(tt_worker *worker, tt_node *head) {
  reply got = {0};
  tt_error error;
  if (tt_worker_fetch(worker, head, take_reply, &got, NULL, &error) != TT_OK) fail_msg("%s", error.message);
  tt_virtual_poll();
  assert_int_equal(got.n_calls, 1);
  return got;
}

static void assert_fetched(tt_worker *worker, tt_node *head, const char *expected) {
  reply got = fetch(worker, head);
  if (got.status != TT_OK) fail_msg("%s", got.error.error.message);
  tt_node *copy = tt_head_new(tt_local_new(got.tensor, NULL), NULL);
  assert_printed(copy, expected);
  tt_node_unref(copy);
}

static reply ask(tt_worker *worker, tt_query what, const tt_node *head) {
  reply got = {0};
  tt_error error;
  tt_control query = {.query = what, .object = tt_pointer_id(head->child)};
  tt_peer *peer = tt_peer_of_location(tt_pointer_location(head->child));
  if (tt_worker_query(worker, peer, &query, take_reply, &got, NULL, &error) != TT_OK) fail_msg("%s", error.message);
  tt_virtual_poll();
  assert_int_equal(got.n_calls, 1);
  return got;
}

static void s16_pointer_to_pointer_bob_alice_james_and_three_gets(void **state) {
  (void)state;
  company *all = gather();
  tt_node *x = floats(X, 5);
  send_to(all->me, x, "bob");
  send_to(all->me, x, "alice");
  send_to(all->me, x, "james"); /* nothing was awaited */
  tt_virtual_poll();
  assert_chain(x, "james");
  assert_int_equal(tt_worker_n_bytes(all->bob), X_BYTES); /* the data has not moved */
  assert_int_equal(tt_worker_n_bytes(all->alice) + tt_worker_n_bytes(all->james), 0);
  assert_int_equal(tt_worker_n_objects(all->alice), 1);
  assert_int_equal(tt_worker_n_objects(all->james), 1);

  assert_int_equal(get(all->me, x).status, TT_OK);
  assert_chain(x, "alice");
  assert_int_equal(tt_worker_n_objects(all->james), 0);
  assert_int_equal(get(all->me, x).status, TT_OK);
  assert_chain(x, "bob");
  assert_int_equal(get(all->me, x).status, TT_OK);
  assert_printed(x, "tensor([1., 2., 3., 4., 5.])");
  assert_all_empty(all);
  tt_node_unref(x);
  part(all);
}

static void s16_ops_on_a_pointer_to_a_pointer_run_where_the_data_is(void **state) {
  (void)state;
  company *all = gather();
  tt_node *x = floats(X, 5), *y = floats(X, 5);
  tt_node *both[] = {x, y};
  for (size_t i = 0; i < 2; i++) {
    send_to(all->me, both[i], "bob");
    send_to(all->me, both[i], "alice");
    send_to(all->me, both[i], "james");
  }
  tt_node *sum = add(all->me, x, y), *more = call(all->me, "mul", (tt_value[]){of(sum), tt_int(2)}, 2);
  assert_chain(sum, "james");
  tt_node *same = call(all->me, "add_", (tt_value[]){of(x), tt_int(10)}, 2);
  assert_ptr_equal(same, x); /* in place through all of it */
  assert_fetched(all->me, more, "tensor([ 4.,  8., 12., 16., 20.])");
  assert_fetched(all->me, x, "tensor([11., 12., 13., 14., 15.])");
  assert_string_equal(ask(all->me, TT_QUERY_PRINT, x).text, "tensor([11., 12., 13., 14., 15.])");
  assert_int_equal(ask(all->me, TT_QUERY_SHAPE, more).meta.shape.dims[0], 5);
  assert_int_equal(tt_worker_n_bytes(all->bob), 4 * X_BYTES);
  assert_int_equal(tt_worker_n_bytes(all->alice) + tt_worker_n_bytes(all->james), 0);

  /* A result that is asked for once is a pointer one step nearer, and is whole in the end. */
  for (int i = 0; i < 3; i++) assert_int_equal(get(all->me, more).status, TT_OK);
  assert_printed(more, "tensor([ 4.,  8., 12., 16., 20.])");
  assert_int_equal(n_logged(&all->log, TT_EVENT_FAILURE), 0);

  tt_node *nodes[] = {x, y, sum, more, same};
  for (size_t i = 0; i < 5; i++) tt_node_unref(nodes[i]); /* freeing goes all the way as well */
  assert_all_empty(all);
  part(all);
}

static void s16_a_pointer_may_go_in_a_circle(void **state) {
  (void)state;
  company *all = gather();
  tt_node *x = floats(X, 5);
  send_to(all->me, x, "bob");
  send_to(all->me, x, "alice");
  send_to(all->me, x, "bob");
  tt_node *sum = add(all->me, x, x);
  assert_fetched(all->me, sum, "tensor([ 2.,  4.,  6.,  8., 10.])");
  for (int i = 0; i < 3; i++) assert_int_equal(get(all->me, x).status, TT_OK);
  assert_printed(x, "tensor([1., 2., 3., 4., 5.])");
  tt_node_unref(sum);
  assert_all_empty(all);
  tt_node_unref(x);
  part(all);
}

static void s13_bob_gives_to_alice_and_the_data_does_not_pass_through_me(void **state) {
  (void)state;
  company *all = gather();
  enum { N = 500000 };
  float *many = test_malloc(N * sizeof *many);
  for (int i = 0; i < N; i++) many[i] = (float)(i % 7);
  tt_node *x = floats(many, N);
  tt_error error;
  reply moved = {0};
  send_to(all->me, x, "bob");
  tt_virtual_poll();
  tt_counters before = tt_worker_counters(all->me), of_bob = tt_worker_counters(all->bob);
  assert_int_equal(tt_worker_move(all->me, x, known(all->me, "alice"), 4711, take_reply, &moved, NULL, &error), TT_OK);
  assert_chain(x, "alice");
  tt_node *sum = call(all->me, "sum", (tt_value[]){of(x)}, 1); /* at once: it waits at alice until the data is there */
  assert_int_equal(get(all->me, sum).status, TT_OK);
  tt_counters after = tt_worker_counters(all->me);
  assert_int_equal(moved.n_calls, 1);
  assert_int_equal(moved.status, TT_OK);
  assert_int_equal(after.tensor_bytes_in - before.tensor_bytes_in, sizeof(float)); /* the sum */
  assert_true(after.bytes_in - before.bytes_in < 2000 && after.bytes_out - before.bytes_out < 2000);
  assert_int_equal(tt_worker_counters(all->bob).tensor_bytes_out - of_bob.tensor_bytes_out, N * sizeof *many);
  assert_int_equal(tt_worker_n_objects(all->bob), 0);
  assert_int_equal(tt_worker_n_bytes(all->alice), N * sizeof *many);
  assert_int_equal(tt_pointer_id(x->child), 4711);
  assert_int_equal(get(all->me, x).status, TT_OK);
  float total = 0;
  for (int i = 0; i < N; i++) total += many[i];
  assert_true(*(float *)tt_tensor_data(tt_local_tensor(sum->child)) == total);
  tt_node_unref(sum);
  assert_all_empty(all);
  tt_node_unref(x);
  test_free(many);
  part(all);
}

static void s13_a_move_to_a_taken_id_overwrites_nothing(void **state) {
  (void)state;
  company *all = gather();
  tt_node *x = floats(X, 5), *there = floats(X, 3);
  tt_error error;
  assert_int_equal(tt_worker_set_object(all->alice, there, 7, TT_POLICY_OPEN, NULL, NULL, &error), TT_OK);
  reply moved = {0}, sent = {0};
  send_to(all->me, x, "bob");
  assert_int_equal(tt_worker_move(all->me, x, known(all->me, "alice"), 7, take_reply, &moved, NULL, &error), TT_OK);
  tt_virtual_poll();
  assert_int_equal(moved.status, TT_ERR_DUPLICATE);
  assert_says(moved.error.error.message, "7 already; nothing was overwritten");
  assert_chain(x, "bob"); /* it has stayed */
  assert_int_equal(tt_worker_send(all->me, x, known(all->me, "alice"), 7, NULL, take_reply, &sent, NULL, &error), TT_OK);
  tt_virtual_poll();
  assert_int_equal(sent.status, TT_ERR_DUPLICATE);
  assert_chain(x, "bob");
  assert_int_equal(tt_worker_send(all->me, x, known(all->me, "bob"), 0, NULL, NULL, NULL, NULL, &error), TT_ERR_STATE);
  assert_says(error.message, "at bob already");
  assert_int_equal(get(all->me, x).status, TT_OK); /* and is mine again there */
  assert_printed(x, "tensor([1., 2., 3., 4., 5.])");
  assert_printed(there, "tensor([1., 2., 3.])");
  tt_node_unref(x);
  tt_node_unref(there);
  part(all);
}

static void s16_what_fails_on_the_way_comes_back(void **state) {
  (void)state;
  company *all = gather();
  tt_node *x = floats(X, 5), *taken = floats(X, 3);
  tt_error error;
  reply first = {0}, second = {0}, third = {0};
  assert_int_equal(tt_worker_set_object(all->bob, taken, 7, TT_POLICY_OPEN, NULL, NULL, &error), TT_OK);
  assert_int_equal(tt_worker_send(all->me, x, known(all->me, "bob"), 7, NULL, take_reply, &first, NULL, &error), TT_OK);
  assert_int_equal(tt_worker_send(all->me, x, known(all->me, "alice"), 0, NULL, take_reply, &second, NULL, &error), TT_OK);
  assert_int_equal(tt_worker_send(all->me, x, known(all->me, "james"), 0, NULL, take_reply, &third, NULL, &error), TT_OK);
  tt_node *sum = add(all->me, x, x);
  reply got = get(all->me, sum);
  assert_int_equal(first.status, TT_ERR_DUPLICATE);
  assert_int_not_equal(second.status, TT_OK);
  assert_int_not_equal(third.status, TT_OK);
  assert_int_not_equal(got.status, TT_OK);
  assert_printed(x, "tensor([1., 2., 3., 4., 5.])"); /* all the way */
  tt_node_unref(sum);
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_objects(all->alice) + tt_worker_n_objects(all->james), 0);
  assert_int_equal(tt_worker_n_objects(all->bob), 1);
  tt_node_unref(x);
  tt_node_unref(taken);
  part(all);
}

static void s16_operands_in_two_chains_are_refused(void **state) {
  (void)state;
  company *all = gather();
  tt_node *x = floats(X, 5), *y = floats(X, 5), *z = NULL;
  send_to(all->me, x, "bob");
  send_to(all->me, x, "alice");
  send_to(all->me, y, "bob");
  tt_error error;
  assert_int_equal(try_call(all->me, "add", (tt_value[]){of(x), of(y)}, 2, &z, &error), TT_ERR_LOCATION);
  assert_says(error.message, "one is at alice and one at bob");
  /* At the same worker, but its pointers point to different ones: it says so, and where. */
  send_to(all->me, y, "james");
  send_to(all->me, y, "alice");
  z = add(all->me, x, y);
  reply got = get(all->me, z);
  assert_int_equal(got.status, TT_ERR_LOCATION);
  assert_string_equal(got.error.worker, "alice");
  assert_says(got.error.error.message, "one is at bob and one at james");
  tt_node *nodes[] = {x, y, z};
  for (size_t i = 0; i < 3; i++) tt_node_unref(nodes[i]);
  assert_all_empty(all);
  part(all);
}

static tt_node *lying_pointer(tt_worker *me, const char *at, uint64_t id, int64_t n) {
  tt_meta meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = 1, .dims = {n}}};
  return tt_worker_create_pointer(me, known(me, at), id, &meta, NULL);
}

static void s16_a_failure_at_the_end_of_a_chain_names_its_first_cause(void **state) {
  (void)state;
  company *all = gather();
  tt_node *x = floats(X, 5), *y = floats(X, 4);
  tt_node *both[] = {x, y};
  for (size_t i = 0; i < 2; i++) {
    send_to(all->me, both[i], "bob");
    send_to(all->me, both[i], "alice");
    send_to(all->me, both[i], "james");
  }
  tt_virtual_poll();
  /* Only bob will see that the shapes do not fit: alice and james believe what they were told. */
  tt_object *at_james = tt_store_find(&all->james->store, tt_pointer_id(y->child));
  uint64_t id_at_alice = tt_pointer_id(at_james->head->child);
  tt_object *at_alice = tt_store_find(&all->alice->store, id_at_alice);
  at_james->head->operand.meta.shape.dims[0] = at_james->head->child->operand.meta.shape.dims[0] = 5;
  at_alice->head->operand.meta.shape.dims[0] = at_alice->head->child->operand.meta.shape.dims[0] = 5;
  tt_node *lie = lying_pointer(all->me, "james", tt_pointer_id(y->child), 5);
  tt_node *sum = add(all->me, x, lie), *unasked = add(all->me, lie, x);
  tt_virtual_poll();
  assert_int_equal(n_logged(&all->log, TT_EVENT_FAILURE), 2); /* nobody has awaited them: both are told */
  for (size_t i = 0; i < all->log.n; i++) {
    if (all->log.events[i].type != TT_EVENT_FAILURE) continue;
    assert_true(all->log.events[i].is_ours);
    assert_string_equal(all->log.events[i].peer, "james");
  }
  tt_node *more = add(all->me, sum, x);
  reply got = get(all->me, more);
  assert_int_equal(got.status, TT_ERR_SHAPE);
  assert_string_equal(got.error.worker, "bob");
  assert_string_equal(got.error.op, "add");
  assert_string_equal(got.error.shapes, "[5] [4]");
  tt_node *nodes[] = {x, y, lie, sum, unasked, more};
  for (size_t i = 0; i < 6; i++) tt_node_unref(nodes[i]);
  assert_all_empty(all);
  part(all);
}

static void s15_a_get_of_what_is_at_a_worker_that_one_does_not_know_changes_nothing(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL), *alice = new_worker("alice", NULL);
  connect_workers(me, bob);
  connect_workers(bob, alice);
  /* bob's own pointer to alice; he makes a result of it for me. */
  tt_node *x = floats(X, 5);
  send_to(bob, x, "alice");
  tt_error error;
  uint64_t id;
  assert_int_equal(tt_worker_set_object(bob, x, 0, TT_POLICY_OPEN, NULL, &id, &error), TT_OK);
  tt_node *shared = lying_pointer(me, "bob", id, 5);
  tt_node *sum = add(me, shared, shared);
  reply got = get(me, sum);
  assert_int_equal(got.status, TT_ERR_UNKNOWN_WORKER);
  assert_says(got.error.error.message, "alice, which me does not know");
  assert_chain(sum, "bob");
  assert_fetched(me, sum, "tensor([ 2.,  4.,  6.,  8., 10.])"); /* a copy comes through bob */
  assert_int_equal(get(me, shared).status, TT_OK);              /* what is borrowed is copied */
  assert_printed(shared, "tensor([1., 2., 3., 4., 5.])");
  assert_int_equal(tt_worker_send(me, shared, known(me, "bob"), 0, NULL, NULL, NULL, NULL, &error), TT_OK);
  connect_workers(me, alice);
  assert_int_equal(get(me, sum).status, TT_OK);
  assert_chain(sum, "alice");
  assert_int_equal(get(me, sum).status, TT_OK);
  assert_printed(sum, "tensor([ 2.,  4.,  6.,  8., 10.])");
  tt_node *borrowed = lying_pointer(me, "bob", id, 5);
  assert_int_equal(tt_worker_send(me, borrowed, known(me, "alice"), 0, NULL, NULL, NULL, NULL, &error), TT_ERR_POLICY);
  assert_says(error.message, "only borrows");
  tt_node *nodes[] = {x, shared, sum, borrowed};
  for (size_t i = 0; i < 4; i++) tt_node_unref(nodes[i]);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_worker_free(alice);
  tt_virtual_poll();
}

static void s16_workers_that_do_not_know_each_other_say_so(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL), *alice = new_worker("alice", NULL);
  connect_workers(me, bob);
  connect_workers(me, alice);
  tt_node *x = floats(X, 5);
  send_to(me, x, "bob");
  reply sent = {0};
  tt_error error;
  assert_int_equal(tt_worker_send(me, x, known(me, "alice"), 0, NULL, take_reply, &sent, NULL, &error), TT_OK);
  tt_node *sum = add(me, x, x);
  reply got = get(me, sum);
  assert_int_equal(sent.status, TT_ERR_UNKNOWN_WORKER);
  assert_says(sent.error.error.message, "bob knows no worker alice");
  assert_int_equal(got.status, TT_ERR_UNKNOWN_WORKER);
  assert_says(got.error.error.message, "alice knows no worker bob");
  assert_chain(x, "bob");
  tt_node_unref(x);
  tt_node_unref(sum);
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_objects(bob) + tt_worker_n_objects(alice), 0);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_worker_free(alice);
  tt_virtual_poll();
}

static void s16_from_a_page_through_its_own_worker(void **state) {
  (void)state;
  company *all = gather();
  tt_worker *page = new_worker_with((tt_worker_options){.id = "page.1", .kind = "page", .is_storeless = true}, NULL);
  assert_int_equal(tt_virtual_connect_page(page, all->me, NULL), TT_OK);
  tt_virtual_poll();
  const char *others[] = {"bob", "alice", "james"};
  tt_error error;
  for (size_t i = 0; i < 3; i++) assert_non_null(tt_worker_add_via(page, others[i], known(page, "me"), &error));
  tt_node *x = floats(X, 5);
  send_to(page, x, "me");
  uint64_t id = tt_pointer_id(x->child);
  for (size_t i = 0; i < 3; i++) send_to(page, x, others[i]);
  tt_node *sum = add(page, x, x);
  assert_fetched(page, sum, "tensor([ 2.,  4.,  6.,  8., 10.])");
  assert_int_equal(tt_pointer_id(x->child), id); /* that of its own worker's object */
  assert_non_null(tt_store_find(&all->james->store, tt_pointer_id_there(x->child)));
  /* What the page has not heard of yet, or not any more, it points to all the same: its own worker knows it. */
  tt_worker_remove_via(page, known(page, "alice"));
  const char *back[] = {"alice", "bob", "me"};
  for (size_t i = 0; i < 3; i++) {
    tt_node *z = NULL;
    if (i == 1) {
      assert_int_equal(try_call(page, "add", (tt_value[]){of(x), of(x)}, 2, &z, &error), TT_ERR_CONNECTION);
      assert_non_null(tt_worker_add_via(page, "alice", known(page, "me"), &error));
      z = add(page, x, x);
      assert_fetched(page, z, "tensor([ 2.,  4.,  6.,  8., 10.])");
      tt_node_unref(z);
    }
    assert_int_equal(get(page, x).status, TT_OK);
    assert_string_equal(tt_pointer_location(x->child)->id, back[i]);
  }
  assert_fetched(page, x, "tensor([1., 2., 3., 4., 5.])");

  /* And moved, not passing through the page's worker either. */
  send_to(page, x, "bob");
  tt_virtual_poll();
  uint64_t before = tt_worker_counters(all->me).tensor_bytes_in;
  reply moved = {0};
  assert_int_equal(tt_worker_move(page, x, known(page, "alice"), 0, take_reply, &moved, NULL, &error), TT_OK);
  tt_virtual_poll();
  assert_int_equal(moved.status, TT_OK);
  assert_int_equal(tt_worker_counters(all->me).tensor_bytes_in, before);
  assert_int_equal(tt_worker_n_bytes(all->alice), X_BYTES);
  assert_fetched(page, x, "tensor([1., 2., 3., 4., 5.])");
  tt_node_unref(x);
  tt_node_unref(sum);
  assert_all_empty(all);
  tt_worker_free(page);
  part(all);
}

/* ---- multi-pointers ---- */

static void send_copies(company *all, tt_node *head) {
  tt_error error;
  tt_peer *peers[] = {known(all->me, "bob"), known(all->me, "alice")};
  if (tt_worker_send_copies(all->me, head, peers, 2, NULL, NULL, NULL, &error) != TT_OK) fail_msg("%s", error.message);
}

static tt_node *copy_of(const tt_node *head, size_t i) { return tt_multi_pointer_copy(head->child, i); }

static void s16_a_multi_pointer_runs_every_op_on_each_copy(void **state) {
  (void)state;
  company *all = gather();
  tt_node *x = floats(X, 5), *y = floats(X, 5);
  send_copies(all, x);
  send_copies(all, y);
  tt_buffer text;
  tt_buffer_init(&text);
  tt_chain_print(x, &text);
  assert_string_equal(tt_buffer_string(&text), "FloatTensor > _MultiPointerTensor(bob, alice)");
  tt_buffer_release(&text);
  tt_node *sum = add(all->me, x, y), *twice = call(all->me, "mul", (tt_value[]){of(sum), tt_int(2)}, 2);
  tt_node *same = call(all->me, "add_", (tt_value[]){of(x), tt_int(10)}, 2);
  assert_ptr_equal(same, x);
  const tt_operand *list[] = {&x->operand, &y->operand};
  tt_node *joined =
      call(all->me, "cat",
           (tt_value[]){{.type = TT_VALUE_OPERANDS, .n = 2, .as.operands = (tt_operand *const *)(const void *)list}}, 1);
  assert_int_equal(tt_node_meta(joined)->shape.dims[0], 10);
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results;
  tt_error error;
  assert_int_equal(tt_hook_call(tt_worker_hook(all->me), op_number("split"), (tt_value[]){of(y), tt_int(3)}, 2, NULL, 0,
                                results, &n_results, &error),
                   TT_OK);
  assert_int_equal(n_results, 2);
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_bytes(all->bob), tt_worker_n_bytes(all->alice));
  for (size_t i = 0; i < 2; i++) {
    assert_string_equal(tt_pointer_location(copy_of(twice, i)->child)->id, i == 0 ? "bob" : "alice");
    assert_int_equal(get(all->me, copy_of(twice, i)).status, TT_OK);
    assert_printed(copy_of(twice, i), "tensor([ 4.,  8., 12., 16., 20.])");
    assert_fetched(all->me, copy_of(x, i), "tensor([11., 12., 13., 14., 15.])");
    assert_fetched(all->me, copy_of(results[1], i), "tensor([4., 5.])");
  }
  tt_node *nodes[] = {x, y, sum, twice, same, joined, results[0], results[1]};
  for (size_t i = 0; i < 8; i++) tt_node_unref(nodes[i]); /* frees all copies */
  assert_all_empty(all);
  part(all);
}

static void s16_a_multi_pointer_takes_no_operands_from_elsewhere(void **state) {
  (void)state;
  company *all = gather();
  tt_node *x = floats(X, 5), *here = floats(X, 5), *at_bob = floats(X, 5), *other = floats(X, 5), *z = NULL;
  tt_error error;
  send_copies(all, x);
  send_to(all->me, at_bob, "bob");
  tt_peer *peers[] = {known(all->me, "alice"), known(all->me, "bob"), known(all->me, "james")};
  assert_int_equal(tt_worker_send_copies(all->me, other, peers, 2, NULL, NULL, NULL, &error), TT_OK);
  assert_int_equal(try_call(all->me, "add", (tt_value[]){of(x), of(here)}, 2, &z, &error), TT_ERR_LOCATION);
  assert_says(error.message, "a multi-pointer and another a _LocalTensor");
  assert_int_equal(try_call(all->me, "add", (tt_value[]){of(at_bob), of(x)}, 2, &z, &error), TT_ERR_LOCATION);
  assert_int_equal(try_call(all->me, "add", (tt_value[]){of(x), of(other)}, 2, &z, &error), TT_ERR_LOCATION);
  assert_says(error.message, "copy 0 of one is at bob and of another at alice");
  assert_int_equal(tt_worker_send_copies(all->me, here, peers, 3, NULL, NULL, NULL, &error), TT_OK);
  assert_int_equal(try_call(all->me, "add", (tt_value[]){of(x), of(here)}, 2, &z, &error), TT_ERR_LOCATION);
  assert_says(error.message, "at 2 workers and another at 3");
  assert_int_equal(get(all->me, copy_of(x, 1)).status, TT_OK);
  assert_int_equal(try_call(all->me, "add", (tt_value[]){of(x), tt_int(1)}, 2, &z, &error), TT_ERR_LOCATION);
  assert_says(error.message, "copy 1 of a multi-pointer is not at its worker");
  peers[1] = peers[0];
  assert_int_equal(tt_worker_send_copies(all->me, at_bob, peers, 2, NULL, NULL, NULL, &error), TT_ERR_ARGUMENT);
  assert_says(error.message, "alice is named twice");
  assert_int_equal(tt_worker_send_copies(all->me, at_bob, peers, 0, NULL, NULL, NULL, &error), TT_ERR_ARGUMENT);
  assert_int_equal(tt_worker_send_copies(all->me, at_bob, peers, 1, NULL, NULL, NULL, &error), TT_ERR_STATE);
  assert_int_equal(tt_worker_send(all->me, x, peers[0], 0, NULL, NULL, NULL, NULL, &error), TT_ERR_STATE);
  assert_int_equal(tt_worker_get(all->me, x, NULL, NULL, NULL, &error), TT_ERR_STATE);
  tt_node *nodes[] = {x, here, at_bob, other};
  for (size_t i = 0; i < 4; i++) tt_node_unref(nodes[i]);
  assert_all_empty(all);
  part(all);
}

static void s16_a_copy_that_cannot_arrive_is_an_error_and_the_others_are_there(void **state) {
  (void)state;
  event_log log = {0};
  tt_worker *me = new_worker("me", &log), *bob = new_worker("bob", NULL);
  tt_worker *small = new_worker_with((tt_worker_options){.id = "small", .max_store_bytes = 8}, NULL);
  connect_workers(me, bob);
  connect_workers(me, small);
  tt_node *x = floats(X, 5);
  reply sent = {0};
  tt_error error;
  tt_peer *peers[] = {known(me, "bob"), known(me, "small")};
  assert_int_equal(tt_worker_send_copies(me, x, peers, 2, NULL, take_reply, &sent, &error), TT_OK);
  tt_virtual_poll();
  assert_int_equal(sent.n_calls, 1);
  assert_int_equal(sent.status, TT_ERR_FULL);
  assert_printed(copy_of(x, 1), "tensor([1., 2., 3., 4., 5.])"); /* it has stayed */
  assert_fetched(me, copy_of(x, 0), "tensor([1., 2., 3., 4., 5.])");
  tt_node_unref(x);
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_objects(bob) + tt_worker_n_objects(small), 0);
  for (long n = 0; n < 40; n++) {
    tt_node *y = floats(X, 5), *z = NULL;
    tt_peer *to_bob = known(me, "bob");
    sent = (reply){0};
    tt_alloc_fail_after(n);
    tt_status status = tt_worker_send_copies(me, y, &to_bob, 1, NULL, take_reply, &sent, &error);
    if (status == TT_OK) status = try_call(me, "add", (tt_value[]){of(y), tt_int(1)}, 2, &z, &error);
    tt_alloc_fail_after(-1);
    if (status != TT_OK) assert_int_equal(status, TT_ERR_MEMORY);
    tt_node_unref(y);
    tt_node_unref(z);
    tt_virtual_poll();
    assert_int_equal(tt_worker_n_objects(bob), 0);
  }
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_worker_free(small);
  tt_virtual_poll();
}

static void s16_copies_of_a_leaf_are_leaves_with_gradients_of_their_own(void **state) {
  (void)state;
  company *all = gather();
  tt_node *x = floats(X, 5);
  tt_node *leaf = call(all->me, "requires_grad_", (tt_value[]){of(x)}, 1);
  tt_node *computed = call(all->me, "mul", (tt_value[]){of(x), tt_int(2)}, 2);
  tt_peer *bob = known(all->me, "bob");
  tt_error error;
  assert_int_equal(tt_worker_send_copies(all->me, computed, &bob, 1, NULL, NULL, NULL, &error), TT_ERR_STATE);
  assert_says(error.message, "its history would be lost");
  send_copies(all, x);
  tt_virtual_poll();
  for (size_t i = 0; i < 2; i++) {
    tt_worker *holder = i == 0 ? all->bob : all->alice;
    const tt_object *object = tt_store_find(&holder->store, tt_pointer_id(copy_of(x, i)->child));
    tt_gradient_view gradient = tt_node_gradient(object->head);
    assert_true(gradient.requires_grad && gradient.is_leaf);
  }
  tt_node *nodes[] = {x, leaf, computed};
  for (size_t i = 0; i < 3; i++) tt_node_unref(nodes[i]);
  assert_all_empty(all);
  part(all);
}

/* ---- those who do not keep it ---- */

static void put_promise(villain *who, uint64_t id, const char *from) {
  tt_buffer run;
  tt_buffer_init(&run);
  tt_run_write_promise(&run, id, tt_name_of(from));
  put_run(who, &run);
}

static void put_promised(villain *who, uint64_t transfer, uint64_t object, const char *owner, int64_t n, const float *elements,
                         size_t n_here) {
  tt_buffer payload, json;
  tt_buffer_init(&payload);
  tt_buffer_init(&json);
  const tt_metadata metadata = {.promised_by = (char *)(uintptr_t)owner};
  assert_int_equal(tt_metadata_write(&json, &metadata, NULL), TT_OK);
  const tt_data_header header = {.transfer = transfer,
                                 .object = object,
                                 .meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = 1, .dims = {n}}},
                                 .total_bytes = (uint64_t)n * sizeof(float),
                                 .metadata = json.bytes,
                                 .metadata_bytes = json.n_bytes};
  tt_data_header_write(&payload, &header);
  tt_buffer_append(&payload, elements, n_here * sizeof(float));
  put_sequenced(who, TT_FRAME_DATA, TT_FLAG_FULFILS, &payload);
  tt_buffer_release(&json);
}

static void put_pointer(villain *who, uint64_t transfer, uint64_t object, const char *owner, const char *location,
                        uint64_t location_id) {
  tt_buffer payload, json;
  tt_buffer_init(&payload);
  tt_buffer_init(&json);
  const tt_metadata metadata = {
      .promised_by = (char *)(uintptr_t)owner, .location = (char *)(uintptr_t)location, .location_id = location_id};
  assert_int_equal(tt_metadata_write(&json, &metadata, NULL), TT_OK);
  const tt_data_header header = {.transfer = transfer,
                                 .object = object,
                                 .form = TT_DATA_POINTER,
                                 .meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = 1, .dims = {4}}},
                                 .metadata = json.bytes,
                                 .metadata_bytes = json.n_bytes};
  tt_data_header_write(&payload, &header);
  put_sequenced(who, TT_FRAME_DATA, object == 0 ? 0 : TT_FLAG_FULFILS, &payload);
  tt_buffer_release(&json);
}

static const float FOUR[] = {1, 2, 3, 4};

/* A worker (alice), one who promises (eve) and two who may deliver, each over a connection of its own. */
typedef struct bench {
  tt_worker *alice;
  wire *at[3];
  villain eve, bob, mallory;
} bench;

static bench *new_bench(tt_worker_options options) {
  bench *made = test_calloc(1, sizeof *made);
  options.id = "alice";
  made->alice = new_worker_with(options, NULL);
  for (size_t i = 0; i < 3; i++) made->at[i] = open_wire(made->alice, 0);
  made->eve = meet(made->at[0], "eve");
  made->bob = meet(made->at[1], "bob");
  made->mallory = meet(made->at[2], "mallory");
  return made;
}

static void free_bench(bench *used) {
  for (size_t i = 0; i < 3; i++) free_wire(used->at[i]);
  tt_worker_free(used->alice);
  test_free(used);
}

static void put_add(villain *who, uint64_t a, uint64_t b, uint64_t result) {
  tt_operand x = named(a), y = named(b);
  put_call(who, "add", (tt_value[]){tt_operand_value(&x), tt_operand_value(&y)}, 2, &result, 1);
}

static void a_promise_is_kept_by_the_worker_it_names_only(void **state) {
  (void)state;
  bench *at = new_bench((tt_worker_options){0});
  put_promise(&at->eve, 5, "bob");
  put_add(&at->eve, 5, 5, 6);
  put_fetch(&at->eve, 0, 77, 6);
  assert_int_equal(n_said(at->at[0], TT_FRAME_DATA), 0); /* it waits */
  put_promised(&at->mallory, 1, 5, "eve", 4, FOUR, 4);
  assert_true(has_said(at->at[2], "\"duplicate\""));
  put_tensor(&at->mallory, 2, 5, 4, FOUR, 4); /* not even as its own */
  put_promised(&at->bob, 3, 5, "mallory", 4, FOUR, 4);
  assert_true(has_said(at->at[1], "\"duplicate\""));
  put_text(&at->mallory, "{\"broken\":\"5\",\"promised_by\":\"eve\",\"error\":{\"code\":\"state\",\"message\":\"no\"}}");
  assert_int_equal(n_said(at->at[0], TT_FRAME_DATA) + n_said(at->at[0], TT_FRAME_CONTROL), 0);
  put_promised(&at->bob, 4, 5, "eve", 4, FOUR, 4);
  tt_worker_flush(at->alice);
  assert_int_equal(n_said(at->at[0], TT_FRAME_DATA), 1);
  const tt_object *object = tt_store_find(&at->alice->store, 5);
  assert_string_equal(object->owner->id, "eve");
  assert_int_equal(at->alice->n_receiving, 0);
  assert_null(at->alice->promises);
  free_bench(at);
}

static void what_waits_keeps_its_order_and_its_credit_and_others_go_on(void **state) {
  (void)state;
  bench *at = new_bench((tt_worker_options){0});
  put_tensor(&at->eve, 1, 11, 4, FOUR, 4);
  put_promise(&at->eve, 5, "bob");
  put_add(&at->eve, 5, 11, 6);
  put_free(&at->eve, 11); /* behind it: 11 must live until then */
  put_fetch(&at->eve, TT_FETCH_TAKE, 77, 6);
  put_text(&at->eve, "{\"request\":\"78\",\"query\":\"print\",\"id\":\"5\"}");
  const tt_peer *eve = known(at->alice, "eve");
  assert_int_equal(eve->n_parked, 4);
  assert_true(eve->in_limit <= eve->in_bytes - eve->n_parked_bytes + TT_WINDOW_BYTES);
  put_tensor(&at->mallory, 2, 12, 4, FOUR, 4);
  put_add(&at->mallory, 12, 12, 13);
  assert_non_null(tt_store_find(&at->alice->store, 13));
  put_promised(&at->bob, 4, 5, "eve", 4, FOUR, 1); /* a part of it */
  assert_int_equal(eve->n_parked, 4);
  tt_buffer more;
  tt_buffer_init(&more);
  tt_buffer_u64(&more, 4);
  tt_buffer_append(&more, FOUR + 1, 3 * sizeof(float));
  put_sequenced(&at->bob, TT_FRAME_DATA, TT_FLAG_CONTINUES, &more);
  tt_worker_flush(at->alice);
  assert_int_equal(eve->n_parked, 0);
  assert_int_equal(eve->n_parked_bytes, 0);
  assert_null(tt_store_find(&at->alice->store, 11));
  assert_int_equal(n_said(at->at[0], TT_FRAME_DATA), 1);
  assert_true(has_said(at->at[0], "tensor([1., 2., 3., 4.])"));
  free_bench(at);
}

static void a_sender_that_ignores_credit_while_it_waits_is_cut_off(void **state) {
  (void)state;
  bench *at = new_bench((tt_worker_options){0});
  put_promise(&at->eve, 5, "bob");
  put_add(&at->eve, 5, 5, 6);
  enum { MANY_BYTES = 200000 };
  size_t n_frames = 0;
  for (; at->at[0]->link != NULL && n_frames < 100; n_frames++) {
    tt_buffer run;
    tt_buffer_init(&run);
    for (size_t n = 0; n < MANY_BYTES / 10; n++) tt_run_write_sync(&run, 9);
    put_run(&at->eve, &run);
  }
  assert_true(n_frames >= 20 && n_frames < 25); /* 4 MiB */
  assert_int_equal(tt_worker_find_peer(at->alice, tt_name_of("eve"))->n_parked, 0);
  free_bench(at);
}

static void a_broken_promise_poisons_with_its_cause(void **state) {
  (void)state;
  bench *at = new_bench((tt_worker_options){0});
  put_promise(&at->eve, 5, "bob");
  put_add(&at->eve, 5, 5, 6);
  put_fetch(&at->eve, 0, 77, 6);
  put_text(&at->bob, "{\"broken\":\"5\",\"promised_by\":\"eve\",\"error\":{\"code\":\"full\",\"message\":\"bob has no "
                     "room\",\"worker\":\"bob\"}}");
  tt_worker_flush(at->alice);
  assert_true(has_said(at->at[0], "bob has no room"));
  put_promised(&at->bob, 4, 5, "eve", 4, FOUR, 4); /* too late: he hears why */
  tt_worker_flush(at->alice);
  assert_true(has_said(at->at[1], "bob has no room"));
  /* One who leaves. */
  put_promise(&at->eve, 15, "bob");
  put_fetch(&at->eve, 0, 78, 15);
  forget_said(at->at[0]);
  tt_link_closed(at->at[1]->link, "the cable");
  at->at[1]->link = NULL;
  tt_worker_tick(at->alice); /* nothing was received: it is looked at once a second */
  assert_true(has_said(at->at[0], "the cable"));
  /* And one who is not there. */
  put_promise(&at->eve, 16, "carol");
  put_fetch(&at->eve, 0, 79, 16);
  tt_worker_flush(at->alice);
  assert_true(has_said(at->at[0], "knows no worker carol"));
  free_bench(at);
}

static void a_promise_has_a_deadline(void **state) {
  (void)state;
  bench *at = new_bench((tt_worker_options){.promise_ms = -1}); /* over as soon as it begins */
  put_promise(&at->eve, 5, "bob");
  put_promise(&at->eve, 7, "bob");
  put_add(&at->eve, 5, 5, 6);
  put_fetch(&at->eve, 0, 77, 6);
  put_promised(&at->bob, 4, 7, "eve", 4, FOUR, 1); /* what is arriving is waited for */
  tt_worker_tick(at->alice);
  assert_true(has_said(at->at[0], "bob has not given the promised object 5 to alice"));
  assert_true(has_said(at->at[0], "\"aborted\""));
  assert_non_null(at->alice->promises);
  assert_int_equal(at->alice->promises->object, 7);
  put_promised(&at->mallory, 9, 8, "eve", 4, FOUR, 4); /* early, and nobody promises it */
  assert_int_equal(tt_worker_n_objects(at->alice), 4);
  tt_worker_tick(at->alice);
  assert_true(has_said(at->at[2], "eve has not promised it"));
  assert_null(tt_store_find(&at->alice->store, 8));
  assert_int_equal(known(at->alice, "mallory")->n_early, 0);
  free_bench(at);
}

static void what_overtakes_its_promise_waits_for_it_unseen(void **state) {
  (void)state;
  bench *at = new_bench((tt_worker_options){0});
  put_promised(&at->bob, 4, 5, "eve", 4, FOUR, 4);
  put_pointer(&at->bob, 6, 8, "eve", "bob", 99);
  tt_worker_flush(at->alice);
  assert_int_equal(n_said(at->at[1], TT_FRAME_RUN), 0); /* no DONE yet */
  put_fetch(&at->mallory, 0, 70, 5);
  put_promise(&at->mallory, 5, "bob"); /* was not given on mallory's word */
  put_fetch(&at->mallory, 0, 71, 5);
  tt_worker_flush(at->alice);
  assert_true(has_said(at->at[2], "has no object 5"));
  assert_int_equal(n_said(at->at[2], TT_FRAME_DATA), 0);
  put_promise(&at->eve, 5, "bob");
  put_promise(&at->eve, 8, "bob");
  tt_worker_flush(at->alice);
  assert_true(n_said(at->at[1], TT_FRAME_RUN) > 0);
  put_fetch(&at->eve, 0, 77, 5);
  tt_worker_flush(at->alice);
  assert_int_equal(n_said(at->at[0], TT_FRAME_DATA), 1);
  assert_int_equal(tt_worker_n_objects(at->alice), 2);
  assert_int_equal(known(at->alice, "bob")->n_early, 0);
  free_bench(at);
}

static void what_is_freed_before_it_comes_goes_when_it_comes(void **state) {
  (void)state;
  bench *at = new_bench((tt_worker_options){0});
  put_promise(&at->eve, 5, "bob");
  put_free(&at->eve, 5);
  put_fetch(&at->eve, 0, 77, 5);
  tt_worker_flush(at->alice);
  assert_true(has_said(at->at[0], "has no object 5"));
  put_promised(&at->bob, 4, 5, "eve", 4, FOUR, 4);
  assert_int_equal(tt_worker_n_objects(at->alice), 0);
  assert_int_equal(tt_worker_n_bytes(at->alice), 0);
  assert_null(at->alice->promises);
  free_bench(at);
}

static void floods_of_promises_have_a_ceiling(void **state) {
  (void)state;
  bench *at = new_bench((tt_worker_options){.max_objects = 6000});
  for (uint64_t id = 1; id <= 5000; id++) put_promise(&at->eve, id, "bob");
  const tt_peer *eve = known(at->alice, "eve");
  assert_int_equal(eve->n_promises, TT_MAX_PROMISES);
  put_fetch(&at->eve, 0, 77, 5000);
  tt_worker_flush(at->alice);
  assert_true(has_said(at->at[0], "\"full\""));
  for (uint64_t id = 6000; id <= 9000; id++) put_promise(&at->eve, id, "bob"); /* and the store has its own */
  assert_int_equal(tt_worker_n_objects(at->alice), 6000);
  put_tensor(&at->bob, 1, 99999, 4, FOUR, 4);
  assert_true(has_said(at->at[1], "\"full\""));
  /* Early deliveries: as many. */
  bench *other = new_bench((tt_worker_options){0});
  for (uint64_t id = 1; id <= TT_MAX_PROMISES + 10; id++) put_promised(&other->bob, id, id, "eve", 1, FOUR, 1);
  assert_int_equal(known(other->alice, "bob")->n_early, TT_MAX_PROMISES);
  assert_int_equal(tt_worker_n_objects(other->alice), TT_MAX_PROMISES);
  tt_link_closed(other->at[1]->link, "bob is gone");
  other->at[1]->link = NULL;
  assert_int_equal(tt_worker_n_objects(other->alice), 0);
  assert_null(other->alice->promises);
  free_bench(other);
  free_bench(at);
}

static void pointers_that_nobody_asked_for(void **state) {
  (void)state;
  bench *at = new_bench((tt_worker_options){0});
  put_promise(&at->eve, 5, "bob");
  put_pointer(&at->bob, 6, 5, "eve", "mallory", 99); /* bob's word about mallory's objects is none */
  tt_worker_flush(at->alice);
  assert_true(has_said(at->at[1], "\"policy\""));
  put_fetch(&at->eve, 0, 77, 5);
  tt_worker_flush(at->alice);
  assert_true(has_said(at->at[0], "\"policy\""));
  assert_non_null(at->at[1]->link);
  put_pointer(&at->mallory, 6, 0, NULL, "bob", 99); /* answers nothing */
  assert_null(at->at[2]->link == NULL ? NULL : tt_store_find(&at->alice->store, 99));
  /* Where a copy was asked for, or a pointer agreed to twice. */
  villain bob = at->bob;
  tt_node *x = lying_pointer(at->alice, "bob", 99, 4);
  reply got = {0};
  uint64_t request;
  assert_int_equal(tt_worker_get(at->alice, x, take_reply, &got, &request, NULL), TT_OK);
  put_pointer(&bob, request, 0, NULL, "eve", 7);
  assert_int_equal(got.n_calls, 1);
  assert_int_equal(got.status, TT_ERR_PROTOCOL);
  assert_chain(x, "bob");
  tt_pointer_own(x->child);
  got = (reply){0};
  assert_int_equal(tt_worker_get(at->alice, x, take_reply, &got, &request, NULL), TT_OK);
  put_pointer(&bob, request, 0, NULL, "alice", 5); /* to oneself */
  assert_int_equal(got.status, TT_ERR_UNKNOWN_WORKER);
  got = (reply){0};
  assert_int_equal(tt_worker_get(at->alice, x, take_reply, &got, &request, NULL), TT_OK);
  put_pointer(&bob, request, 0, NULL, "eve", 7);
  assert_int_equal(got.n_calls, 0);
  assert_non_null(tt_head_busy(x));
  put_pointer(&bob, request, 0, NULL, "mallory", 7);
  assert_int_equal(got.n_calls, 1);
  assert_int_equal(got.status, TT_ERR_PROTOCOL);
  assert_chain(x, "bob");
  tt_pointer_disown(x->child);
  tt_node_unref(x);
  free_bench(at);
}

static void only_its_owner_gives_an_object_away(void **state) {
  (void)state;
  bench *at = new_bench((tt_worker_options){0});
  put_tensor(&at->eve, 1, 11, 4, FOUR, 4);
  tt_buffer run;
  tt_buffer_init(&run);
  tt_run_write_send(&run, TT_SEND_MOVE, 21, 11, 12, tt_name_of("bob"));
  tt_run_write_send(&run, TT_SEND_POINTER, 22, 11, 12, tt_name_of("bob"));
  tt_run_write_assign(&run, 23, 11, tt_name_of("mallory"));
  put_run(&at->mallory, &run);
  tt_worker_flush(at->alice);
  assert_int_equal(n_said(at->at[1], TT_FRAME_DATA), 0);
  assert_string_equal(tt_store_find(&at->alice->store, 11)->owner->id, "eve");
  /* To nobody, to itself, twice. */
  tt_buffer_init(&run);
  tt_run_write_send(&run, TT_SEND_MOVE, 31, 11, 12, tt_name_of("carol"));
  tt_run_write_send(&run, TT_SEND_MOVE, 32, 11, 12, tt_name_of("alice"));
  tt_run_write_send(&run, TT_SEND_MOVE, 33, 11, 12, tt_name_of("bob"));
  tt_run_write_send(&run, TT_SEND_MOVE, 34, 11, 12, tt_name_of("mallory"));
  put_run(&at->eve, &run);
  tt_worker_flush(at->alice);
  assert_true(has_said(at->at[0], "knows no worker carol"));
  assert_true(has_said(at->at[0], "is at alice already"));
  assert_true(has_said(at->at[0], "is on its way to bob"));
  assert_int_equal(n_said(at->at[1], TT_FRAME_DATA), 1);
  assert_int_equal(n_said(at->at[2], TT_FRAME_DATA), 0);
  assert_true(has_said(at->at[2], "\"broken\":\"12\"")); /* mallory waits for nothing now */
  free_bench(at);
}

static bool is_all_connected(const company *all) {
  tt_worker *workers[] = {all->me, all->bob, all->alice, all->james};
  for (size_t i = 0; i < 4; i++) {
    for (size_t k = 0; k < 4; k++) {
      if (i != k && tt_worker_get_worker(workers[i], tt_worker_id(workers[k]), NULL) == NULL) return false;
    }
  }
  return true;
}

static void what_is_passed_on_has_a_ceiling(void **state) {
  (void)state;
  bench *at = new_bench((tt_worker_options){0});
  put_promise(&at->eve, 5, "bob");
  put_pointer(&at->bob, 6, 5, "eve", "bob", 99);
  tt_peer *eve = known(at->alice, "eve");
  put_fetch(&at->eve, 0, 77, 5);
  assert_int_equal(eve->n_errands, 1);
  eve->n_errands += TT_MAX_OPEN_REQUESTS - 1; /* as if it had asked so often */
  put_fetch(&at->eve, 0, 78, 5);
  put_text(&at->eve, "{\"request\":\"79\",\"query\":\"shape\",\"id\":\"5\"}");
  tt_worker_flush(at->alice);
  assert_true(has_said(at->at[0], "requests of eve wait for answers of others already"));
  eve->n_errands -= TT_MAX_OPEN_REQUESTS - 1;
  tt_link_closed(at->at[1]->link, "bob is gone"); /* what waited for bob is answered */
  at->at[1]->link = NULL;
  assert_int_equal(eve->n_errands, 0);
  free_bench(at);
}

/* Every allocation in turn fails once: an error each time, no crash, no leak, and as long as nobody is lost nothing is left anywhere. */
static void s16_lost_memory_is_an_error_and_no_more(void **state) {
  (void)state;
  int n_survived = 0;
  for (long n = 0; n < 150; n++) {
    company *all = gather();
    tt_node *x = floats(X, 5), *y = floats(X, 5);
    tt_error error;
    reply first = {0}, second = {0}, moved = {0}, got = {0};
    send_to(all->me, x, "bob");
    send_to(all->me, y, "bob");
    tt_virtual_poll();
    tt_peer *alice = known(all->me, "alice"), *james = known(all->me, "james");
    tt_alloc_fail_after(n);
    tt_status status = tt_worker_send(all->me, x, alice, 0, NULL, take_reply, &first, NULL, &error);
    if (status == TT_OK) status = tt_worker_send(all->me, x, james, 0, NULL, take_reply, &second, NULL, &error);
    if (status == TT_OK) status = tt_worker_move(all->me, y, james, 0, take_reply, &moved, NULL, &error);
    tt_virtual_poll();
    if (status == TT_OK) status = tt_worker_get(all->me, x, take_reply, &got, NULL, &error);
    tt_virtual_poll();
    tt_alloc_fail_after(-1);
    if (status != TT_OK) assert_true(status == TT_ERR_MEMORY || status == TT_ERR_CONNECTION);
    tt_virtual_poll();
    tt_tensor_unref(got.tensor);
    tt_node_unref(x);
    tt_node_unref(y);
    tt_virtual_poll();
    if (is_all_connected(all)) {
      tt_worker_tick(all->alice); /* a promise that could not be asked for ends with its deadline */
      tt_worker_tick(all->james);
      assert_all_empty(all);
      n_survived++;
    }
    part(all);
  }
  assert_true(n_survived > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(s16_pointer_to_pointer_bob_alice_james_and_three_gets),
      cmocka_unit_test(s16_ops_on_a_pointer_to_a_pointer_run_where_the_data_is),
      cmocka_unit_test(s16_a_pointer_may_go_in_a_circle),
      cmocka_unit_test(s13_bob_gives_to_alice_and_the_data_does_not_pass_through_me),
      cmocka_unit_test(s13_a_move_to_a_taken_id_overwrites_nothing),
      cmocka_unit_test(s16_what_fails_on_the_way_comes_back),
      cmocka_unit_test(s16_operands_in_two_chains_are_refused),
      cmocka_unit_test(s16_a_failure_at_the_end_of_a_chain_names_its_first_cause),
      cmocka_unit_test(s15_a_get_of_what_is_at_a_worker_that_one_does_not_know_changes_nothing),
      cmocka_unit_test(s16_workers_that_do_not_know_each_other_say_so),
      cmocka_unit_test(s16_from_a_page_through_its_own_worker),
      cmocka_unit_test(s16_a_multi_pointer_runs_every_op_on_each_copy),
      cmocka_unit_test(s16_a_multi_pointer_takes_no_operands_from_elsewhere),
      cmocka_unit_test(s16_a_copy_that_cannot_arrive_is_an_error_and_the_others_are_there),
      cmocka_unit_test(s16_copies_of_a_leaf_are_leaves_with_gradients_of_their_own),
      cmocka_unit_test(a_promise_is_kept_by_the_worker_it_names_only),
      cmocka_unit_test(what_waits_keeps_its_order_and_its_credit_and_others_go_on),
      cmocka_unit_test(a_sender_that_ignores_credit_while_it_waits_is_cut_off),
      cmocka_unit_test(a_broken_promise_poisons_with_its_cause),
      cmocka_unit_test(a_promise_has_a_deadline),
      cmocka_unit_test(what_overtakes_its_promise_waits_for_it_unseen),
      cmocka_unit_test(what_is_freed_before_it_comes_goes_when_it_comes),
      cmocka_unit_test(floods_of_promises_have_a_ceiling),
      cmocka_unit_test(pointers_that_nobody_asked_for),
      cmocka_unit_test(only_its_owner_gives_an_object_away),
      cmocka_unit_test(what_is_passed_on_has_a_ceiling),
      cmocka_unit_test(s16_lost_memory_is_an_error_and_no_more),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
