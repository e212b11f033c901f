/* worker: parity S3, S4, S7 to S11, S13 to S16, S18 with virtual workers; errors, policies, ownership, order, credit. */
#include <inttypes.h>

#include "worker/object_store.h"
#include "worker_fixture.h"

static char boston[] = "#boston", data[] = "#data", target[] = "#target";
static const float X[] = {1, 2, 3, 4, 5}, X2[] = {1, 2, 3, 4, 4};

static void the_seed_example(tt_worker *me, tt_worker *bob) {
  tt_node *x = floats(X, 5), *x2 = floats(X2, 5);
  send_to(me, x, tt_worker_id(bob));
  send_to(me, x2, tt_worker_id(bob));
  tt_node *sum = add(me, x, x2);
  tt_node *y = add(me, sum, x);

  tt_buffer text;
  tt_buffer_init(&text);
  tt_chain_print(y, &text);
  char expected[128];
  snprintf(expected, sizeof expected, "FloatTensor > _PointerTensor(%s, %" PRIu64 ")", tt_worker_id(bob),
           tt_pointer_id(y->child));
  assert_string_equal(tt_buffer_string(&text), expected);
  tt_buffer_release(&text);
  assert_true(tt_shape_equal(&tt_node_meta(y)->shape, &(tt_shape){.n_dims = 1, .dims = {5}}));

  reply got = get(me, y);
  assert_int_equal(got.status, TT_OK);
  assert_printed(y, "tensor([ 3.,  6.,  9., 12., 14.])");

  assert_int_equal(tt_worker_n_objects(bob), 3); /* y was taken; x, x2 and the sum are still there */
  tt_node_unref(x);
  tt_node_unref(x2);
  tt_node_unref(sum);
  tt_node_unref(y);
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_objects(bob), 0);
  assert_int_equal(tt_worker_n_bytes(bob), 0);
}

static void s18_the_seed_example_between_virtual_workers(void **state) {
  (void)state;
  tt_worker *me = new_worker("0", NULL), *bob = new_worker("2", NULL);
  connect_workers(me, bob);
  the_seed_example(me, bob);
  the_seed_example(bob, me); /* connections go both ways */
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

static void s10_known_workers(void **state) {
  (void)state;
  event_log log = {0};
  tt_worker *me = new_worker("me", &log), *bob = new_worker("bob", NULL), *other = new_worker("bob", NULL);
  connect_workers(me, bob);
  assert_string_equal(tt_peer_id(known(me, "bob")), "bob");
  assert_int_equal(n_logged(&log, TT_EVENT_PEER_JOINED), 1);
  tt_error error;
  assert_null(tt_worker_get_worker(me, "alice", &error));
  assert_int_equal(error.status, TT_ERR_UNKNOWN_WORKER);
  assert_says(error.message, "alice");
  assert_says(error.message, "here now: bob");
  assert_int_equal(tt_virtual_connect(me, other, &error), TT_ERR_DUPLICATE);
  assert_int_equal(tt_virtual_connect(bob, other, &error), TT_ERR_DUPLICATE);
  tt_worker_free(bob);
  tt_virtual_poll();
  assert_int_equal(n_logged(&log, TT_EVENT_PEER_LEFT), 1);
  assert_null(tt_worker_get_worker(me, "bob", &error));
  assert_says(error.message, "it has left");
  connect_workers(me, other); /* the id is free again */
  known(me, "bob");
  tt_worker_free(other);
  tt_worker_free(me);
  tt_virtual_poll();
  assert_null(tt_worker_new(&(tt_worker_options){.id = "", .kind = "virtual"}, &error));
  assert_null(tt_worker_new(&(tt_worker_options){.id = "a\nb", .kind = "virtual"}, &error));
  assert_int_equal(error.status, TT_ERR_ARGUMENT);
}

static void s9_the_object_store(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL);
  tt_node *x = floats(X, 5);
  tt_error error;
  uint64_t id;
  assert_int_equal(tt_worker_set_object(me, x, 17, TT_POLICY_OPEN, NULL, &id, &error), TT_OK);
  assert_int_equal(id, 17);
  assert_ptr_equal(tt_worker_get_object(me, 17, &error), x);
  assert_int_equal(tt_worker_n_bytes(me), 20);
  assert_int_equal(tt_worker_set_object(me, x, 17, TT_POLICY_OPEN, NULL, NULL, &error), TT_ERR_DUPLICATE);
  /* A view shares its storage: it is counted once. */
  tt_node *view = call(me, "view", (tt_value[]){of(x), tt_ints((int64_t[]){5, 1}, 2)}, 2);
  assert_int_equal(tt_worker_set_object(me, view, 0, TT_POLICY_OPEN, NULL, &id, &error), TT_OK);
  assert_int_not_equal(id, 0);
  assert_int_equal(tt_worker_n_bytes(me), 20);
  assert_int_equal(tt_worker_remove_object(me, 17, &error), TT_OK);
  assert_int_equal(tt_worker_n_bytes(me), 20);
  assert_null(tt_worker_get_object(me, 17, &error));
  assert_int_equal(error.status, TT_ERR_UNKNOWN_OBJECT);
  assert_says(error.message, "17");
  assert_says(error.message, "me");
  assert_int_equal(tt_worker_remove_object(me, id, &error), TT_OK);
  assert_int_equal(tt_worker_n_bytes(me), 0);
  tt_node_unref(view);
  tt_node_unref(x);
  tt_worker_free(me);
}

static void s7_whoami_and_queries(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = floats(X, 5);
  tt_metadata metadata = {.tags = (char *[]){boston, data}, .n_tags = 2};
  tt_error error;
  reply got = {0};
  assert_int_equal(tt_worker_send(me, x, known(me, "bob"), 4711, &metadata, take_reply, &got, NULL, &error), TT_OK);
  tt_virtual_poll();
  assert_int_equal(got.n_calls, 1);
  assert_int_equal(got.status, TT_OK);

  reply whoami = {0};
  tt_control query = {.query = TT_QUERY_WHOAMI};
  assert_int_equal(tt_worker_query(me, known(me, "bob"), &query, take_reply, &whoami, NULL, &error), TT_OK);
  reply search = {0};
  query = (tt_control){.query = TT_QUERY_SEARCH, .terms = (char *[]){boston, data}, .n_terms = 2};
  assert_int_equal(tt_worker_query(me, known(me, "bob"), &query, take_reply, &search, NULL, &error), TT_OK);
  reply nothing = {0};
  query = (tt_control){.query = TT_QUERY_SEARCH, .terms = (char *[]){boston, target}, .n_terms = 2};
  assert_int_equal(tt_worker_query(me, known(me, "bob"), &query, take_reply, &nothing, NULL, &error), TT_OK);
  reply shape = {0}, print = {0}, missing = {0};
  query = (tt_control){.query = TT_QUERY_SHAPE, .object = 4711};
  assert_int_equal(tt_worker_query(me, known(me, "bob"), &query, take_reply, &shape, NULL, &error), TT_OK);
  query = (tt_control){.query = TT_QUERY_PRINT, .object = 4711};
  assert_int_equal(tt_worker_query(me, known(me, "bob"), &query, take_reply, &print, NULL, &error), TT_OK);
  query = (tt_control){.query = TT_QUERY_PRINT, .object = 12};
  assert_int_equal(tt_worker_query(me, known(me, "bob"), &query, take_reply, &missing, NULL, &error), TT_OK);
  tt_virtual_poll();
  assert_string_equal(whoami.id, "bob");
  assert_int_equal(search.n_listed, 1);
  assert_int_equal(search.first_id, 4711);
  assert_int_equal(nothing.n_listed, 0);
  assert_int_equal(shape.meta.shape.dims[0], 5);
  assert_string_equal(print.text, "tensor([1., 2., 3., 4., 5.])");
  assert_int_equal(missing.status, TT_ERR_UNKNOWN_OBJECT);
  assert_says(missing.error.error.message, "12");
  tt_node_unref(x);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

static void a_wrong_shape_is_an_error_on_the_callers_own_line(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = floats(X, 5), *y = floats(X, 4), *z = NULL;
  send_to(me, x, "bob");
  send_to(me, y, "bob");
  tt_virtual_poll();
  uint64_t sent = tt_worker_counters(me).commands_out;
  tt_error error;
  assert_int_equal(try_call(me, "add", (tt_value[]){of(x), of(y)}, 2, &z, &error), TT_ERR_SHAPE);
  assert_says(error.message, "add");
  assert_says(error.message, "[5]");
  assert_says(error.message, "[4]");
  assert_int_equal(tt_worker_counters(me).commands_out, sent);
  tt_node_unref(x);
  tt_node_unref(y);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

static void operands_on_two_workers_are_refused_at_the_caller(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL), *alice = new_worker("alice", NULL);
  connect_workers(me, bob);
  connect_workers(me, alice);
  tt_node *x = floats(X, 5), *y = floats(X, 5), *here = floats(X, 5), *z = NULL;
  send_to(me, x, "bob");
  send_to(me, y, "alice");
  tt_error error;
  assert_int_equal(try_call(me, "add", (tt_value[]){of(x), of(y)}, 2, &z, &error), TT_ERR_LOCATION);
  assert_says(error.message, "bob");
  assert_says(error.message, "alice");
  assert_int_equal(try_call(me, "add", (tt_value[]){of(here), of(x)}, 2, &z, &error), TT_ERR_LOCATION);
  assert_says(error.message, "(me)");
  assert_says(error.message, "same worker");
  tt_node_unref(x);
  tt_node_unref(y);
  tt_node_unref(here);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_worker_free(alice);
  tt_virtual_poll();
}

/* A pointer whose meta is wrong, so that only the worker sees the fault. */
static tt_node *lying_pointer(tt_worker *me, const char *at, uint64_t id, int64_t n) {
  tt_meta meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = 1, .dims = {n}}};
  return tt_worker_create_pointer(me, known(me, at), id, &meta, NULL);
}

static void s11_a_failure_poisons_what_depends_on_it_and_names_the_first_cause(void **state) {
  (void)state;
  event_log log = {0}, log_bob = {0};
  tt_worker *me = new_worker("me", &log), *bob = new_worker("bob", &log_bob);
  connect_workers(me, bob);
  tt_node *x = floats(X, 5), *y = floats(X, 4);
  send_to(me, x, "bob");
  send_to(me, y, "bob");
  tt_virtual_poll();
  tt_node *lie = lying_pointer(me, "bob", tt_pointer_id(y->child), 5);
  tt_node *sum = add(me, x, lie); /* fails at bob */
  tt_node *more = add(me, sum, x);
  tt_node *most = add(me, more, more);
  reply got = get(me, most);
  assert_int_equal(got.status, TT_ERR_SHAPE);
  assert_string_equal(got.error.worker, "bob");
  assert_string_equal(got.error.op, "add");
  assert_string_equal(got.error.shapes, "[5] [4]");
  assert_int_equal(got.error.command, 0);
  assert_true(tt_node_is_pointer(most->child)); /* it is still a pointer, and nothing else has happened to it */
  assert_int_equal(n_logged(&log_bob, TT_EVENT_FAILURE), 1);
  assert_int_equal(n_logged(&log, TT_EVENT_FAILURE), 0); /* it was awaited */

  /* The same, and nobody asks: the caller is told. */
  tt_node *unasked = add(me, lie, x);
  tt_worker_flush(me);
  tt_virtual_poll();
  assert_int_equal(n_logged(&log, TT_EVENT_FAILURE), 1);
  for (size_t i = 0; i < log.n; i++) {
    if (log.events[i].type != TT_EVENT_FAILURE) continue;
    assert_true(log.events[i].is_ours);
    assert_string_equal(log.events[i].peer, "bob");
  }
  tt_node *nodes[] = {x, y, lie, sum, more, most, unasked};
  for (size_t i = 0; i < 7; i++) tt_node_unref(nodes[i]);
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_objects(bob), 0);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

static void an_unknown_id_is_named(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *ghost = lying_pointer(me, "bob", 99, 5);
  reply got = get(me, ghost);
  assert_int_equal(got.status, TT_ERR_UNKNOWN_OBJECT);
  assert_says(got.error.error.message, "bob has no object 99");
  tt_node *sum = add(me, ghost, ghost);
  got = get(me, sum);
  assert_int_equal(got.status, TT_ERR_UNKNOWN_OBJECT);
  tt_node_unref(ghost);
  tt_node_unref(sum);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

static void a_send_to_a_taken_id_gives_the_tensor_back(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = floats(X, 5), *y = floats(X2, 5);
  reply first = {0}, second = {0};
  tt_error error;
  assert_int_equal(tt_worker_send(me, x, known(me, "bob"), 7, NULL, take_reply, &first, NULL, &error), TT_OK);
  assert_int_equal(tt_worker_send(me, y, known(me, "bob"), 7, NULL, take_reply, &second, NULL, &error), TT_OK);
  tt_virtual_poll();
  assert_int_equal(first.status, TT_OK);
  assert_int_equal(second.status, TT_ERR_DUPLICATE);
  assert_printed(y, "tensor([1., 2., 3., 4., 4.])"); /* local again */
  assert_int_equal(tt_worker_send(me, x, known(me, "bob"), 0, NULL, NULL, NULL, NULL, &error), TT_ERR_STATE);
  assert_says(error.message, "at bob already");
  assert_int_equal(get(me, x).status, TT_OK);
  assert_printed(x, "tensor([1., 2., 3., 4., 5.])"); /* was not overwritten */
  tt_node_unref(x);
  tt_node_unref(y);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

static void a_peer_that_vanishes_fails_what_is_open_and_loses_nothing(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = floats(X, 5), *z = NULL;
  reply sent = {0}, got = {0}, synced = {0};
  tt_error error;
  assert_int_equal(tt_worker_send(me, x, known(me, "bob"), 0, NULL, take_reply, &sent, NULL, &error), TT_OK);
  tt_node *sum = add(me, x, x);
  assert_int_equal(tt_worker_get(me, sum, take_reply, &got, NULL, &error), TT_OK);
  assert_int_equal(tt_worker_sync(me, known(me, "bob"), take_reply, &synced, NULL, &error), TT_OK);
  assert_int_equal(try_call(me, "add", (tt_value[]){of(sum), of(sum)}, 2, &z, &error), TT_ERR_STATE);
  assert_says(error.message, "on its way here from bob");
  tt_worker_free(bob); /* before anything has left */
  tt_virtual_poll();
  assert_int_equal(sent.n_calls, 1);
  assert_int_equal(got.n_calls, 1);
  assert_int_equal(synced.n_calls, 1);
  assert_int_equal(sent.status, TT_ERR_CONNECTION);
  assert_int_equal(got.status, TT_ERR_CONNECTION);
  assert_says(got.error.error.message, "bob");
  assert_printed(x, "tensor([1., 2., 3., 4., 5.])"); /* what was not acknowledged is local again */
  assert_int_equal(try_call(me, "add", (tt_value[]){of(sum), of(sum)}, 2, &z, &error), TT_ERR_CONNECTION);
  tt_node_unref(x);
  tt_node_unref(sum);
  tt_worker_free(me);
  tt_virtual_poll();
}

static void giving_up_a_get_leaves_the_object_where_it_is(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = floats(X, 5);
  send_to(me, x, "bob");
  reply got = {0};
  uint64_t request;
  tt_error error;
  assert_int_equal(tt_worker_get(me, x, take_reply, &got, &request, &error), TT_OK);
  tt_worker_cancel(me, request);
  assert_int_equal(got.status, TT_ERR_ABORTED);
  tt_virtual_poll();
  assert_int_equal(got.n_calls, 1);
  assert_int_equal(tt_worker_n_objects(bob), 1);
  assert_int_equal(get(me, x).status, TT_OK);
  assert_printed(x, "tensor([1., 2., 3., 4., 5.])");
  assert_int_equal(tt_worker_n_objects(bob), 0);
  tt_node_unref(x);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

/* A transport that is no more than raw send: what it carries, the base class has encoded and queued. */
typedef struct raw_line {
  tt_link *to;
  tt_buffer frames; /* u32 length, frame */
} raw_line;

static void send_raw(void *transport, const uint8_t *frame, size_t n_bytes) {
  raw_line *line = transport;
  tt_buffer_u32(&line->frames, (uint32_t)n_bytes);
  tt_buffer_append(&line->frames, frame, n_bytes);
}

static void close_raw(void *transport, const char *reason) {
  (void)reason;
  ((raw_line *)transport)->to = NULL;
}

/* Delivers what lies on a line; answers whether there was anything. */
static bool deliver(raw_line *line) {
  tt_buffer frames = line->frames;
  tt_buffer_init(&line->frames);
  for (size_t at = 0; at < frames.n_bytes && line->to != NULL; at += 4 + tt_load_u32(frames.bytes + at))
    tt_link_receive(line->to, frames.bytes + at + 4, tt_load_u32(frames.bytes + at));
  bool any = frames.n_bytes > 0;
  tt_buffer_release(&frames);
  return any;
}

static void s8_a_transport_is_raw_send_and_no_more(void **state) {
  (void)state;
  static const tt_link_ops raw_ops = {.name = "raw", .send = send_raw, .close = close_raw};
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  raw_line to_bob = {.to = NULL}, to_me = {.to = NULL};
  tt_link *from_me = tt_worker_attach(me, &raw_ops, &to_bob, TT_LINK_INITIATES, NULL);
  tt_link *from_bob = tt_worker_attach(bob, &raw_ops, &to_me, 0, NULL);
  to_bob.to = from_bob;
  to_me.to = from_me;
  while (deliver(&to_bob) || deliver(&to_me)) continue;
  tt_node *x = floats(X, 5);
  send_to(me, x, "bob");
  tt_node *y = add(me, x, x);
  assert_int_equal(to_bob.frames.n_bytes, 0); /* queued: nothing leaves before the turn ends */
  reply got = {0};
  assert_int_equal(tt_worker_get(me, y, take_reply, &got, NULL, NULL), TT_OK);
  tt_worker_flush(me);
  assert_true(to_bob.frames.n_bytes > 0);
  while (deliver(&to_bob) || deliver(&to_me)) continue;
  assert_int_equal(got.n_calls, 1);
  assert_printed(y, "tensor([ 2.,  4.,  6.,  8., 10.])");
  if (got.tensor != NULL) tt_tensor_unref(got.tensor);
  tt_node_unref(x);
  tt_node_unref(y);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_buffer_release(&to_bob.frames);
  tt_buffer_release(&to_me.frames);
}

/* Nothing outside the op table can be named, and of what is in it only what its row allows. */
static void s11_what_may_be_called_is_in_the_table(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = floats(X, 5), *result = NULL;
  tt_error error;
  send_to(me, x, "bob");
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results;
  assert_int_equal(tt_hook_call(tt_worker_hook(me), (tt_op_number)(TT_N_OPS + 1), (tt_value[]){of(x)}, 1, NULL, 0, results,
                                &n_results, &error),
                   TT_ERR_UNKNOWN_OP);
  for (unsigned number = 1; number <= TT_N_OPS; number++) {
    const tt_op *op = tt_op_get(number);
    if ((op->flags & TT_OP_REMOTE) != 0 || op->n_params == 0 || op->params[0].type != TT_PARAM_TENSOR) continue;
    assert_int_equal(try_call(me, op->name, (tt_value[]){of(x)}, 1, &result, &error), TT_ERR_UNKNOWN_OP);
    assert_says(error.message, "not on the list of remote ops");
  }
  tt_node_unref(x);
  tt_worker_free(me);
  tt_worker_free(bob);
}

static void in_place_ops_return_the_same_pointer(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = floats(X, 5);
  send_to(me, x, "bob");
  uint64_t id = tt_pointer_id(x->child);
  tt_node *same = call(me, "add_", (tt_value[]){of(x), tt_int(10)}, 2);
  assert_ptr_equal(same, x);
  assert_int_equal(tt_pointer_id(x->child), id);
  assert_int_equal(get(me, x).status, TT_OK);
  assert_printed(x, "tensor([11., 12., 13., 14., 15.])");
  tt_node_unref(same);
  tt_node_unref(x);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

static void what_others_may_do_is_what_the_owner_allows(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL), *eve = new_worker("eve", NULL);
  connect_workers(me, bob);
  connect_workers(eve, bob);
  tt_error error;
  tt_node *rows = floats(X, 5), *open = floats(X2, 5), *closed = floats(X, 5);
  assert_int_equal(tt_worker_set_object(bob, rows, 1, TT_POLICY_COMPUTE, NULL, NULL, &error), TT_OK);
  assert_int_equal(tt_worker_set_object(bob, open, 2, TT_POLICY_OPEN, NULL, NULL, &error), TT_OK);
  assert_int_equal(tt_worker_set_object(bob, closed, 3, TT_POLICY_CLOSED, NULL, NULL, &error), TT_OK);

  tt_node *pointer = lying_pointer(me, "bob", 1, 5);
  assert_int_equal(get(me, pointer).status, TT_ERR_POLICY);
  tt_node *scaled = call(me, "mul", (tt_value[]){of(pointer), tt_int(2)}, 2);
  reply refused = get(me, scaled);
  assert_int_equal(refused.status, TT_ERR_POLICY);
  assert_says(refused.error.error.message, "made from data that stays there");
  tt_node *sum = call(me, "sum", (tt_value[]){of(scaled)}, 1);
  assert_int_equal(get(me, sum).status, TT_OK);
  assert_printed(sum, "tensor(30.)");

  /* A copy of what is open; it stays there, and a change through a view of it changes nothing. */
  tt_node *shared = lying_pointer(me, "bob", 2, 5);
  tt_node *view = call(me, "view", (tt_value[]){of(shared), tt_ints((int64_t[]){5}, 1)}, 2);
  tt_node *changed = call(me, "add_", (tt_value[]){of(view), tt_int(100)}, 2);
  assert_int_equal(get(me, changed).status, TT_OK);
  assert_printed(open, "tensor([1., 2., 3., 4., 4.])");
  tt_node *direct = call(me, "add_", (tt_value[]){of(shared), tt_int(100)}, 2);
  assert_int_equal(get(me, shared).status, TT_OK);
  assert_printed(shared, "tensor([1., 2., 3., 4., 4.])");
  assert_int_equal(tt_worker_n_objects(bob), 4); /* the three, and scaled */

  tt_node *hidden = lying_pointer(me, "bob", 3, 5);
  assert_int_equal(get(me, hidden).status, TT_ERR_UNKNOWN_OBJECT);
  /* What me has made there is nothing to eve. */
  tt_node *stolen = lying_pointer(eve, "bob", tt_pointer_id(scaled->child), 5);
  assert_int_equal(get(eve, stolen).status, TT_ERR_UNKNOWN_OBJECT);

  tt_node *nodes[] = {rows, open, closed, pointer, scaled, sum, shared, view, changed, direct, hidden, stolen};
  for (size_t i = 0; i < 12; i++) tt_node_unref(nodes[i]);
  tt_worker_free(me);
  tt_worker_free(eve);
  tt_worker_free(bob);
  tt_virtual_poll();
}

static void a_full_store_refuses_and_goes_on(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL),
            *bob = new_worker_with((tt_worker_options){.id = "bob", .max_store_bytes = 100}, NULL);
  connect_workers(me, bob);
  tt_node *big = matrix(10, 10), *x = floats(X, 5);
  reply sent = {0};
  tt_error error;
  assert_int_equal(tt_worker_send(me, big, known(me, "bob"), 0, NULL, take_reply, &sent, NULL, &error), TT_OK);
  tt_virtual_poll();
  assert_int_equal(sent.status, TT_ERR_FULL);
  assert_says(sent.error.error.message, "400 more bytes");
  assert_int_equal(tt_node_meta(big)->shape.n_dims, 2);
  assert_non_null(tt_local_tensor(big->child));
  send_to(me, x, "bob");
  tt_node *huge = call(me, "expand", (tt_value[]){of(x), tt_ints((int64_t[]){1000, 5}, 2)}, 2);
  tt_node *copied = call(me, "add", (tt_value[]){of(huge), tt_int(1)}, 2);
  reply got = get(me, copied);
  assert_int_equal(got.status, TT_ERR_FULL);
  assert_says(got.error.error.message, "20000 bytes");
  assert_int_equal(get(me, x).status, TT_OK);
  tt_node *nodes[] = {big, x, huge, copied};
  for (size_t i = 0; i < 4; i++) tt_node_unref(nodes[i]);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

static void a_tensor_larger_than_all_credit_goes_and_comes_back(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = matrix(1500, 1501); /* 9 MB: more than the window */
  tt_tensor *tensor = tt_local_tensor(x->child);
  float *elements = tt_tensor_data(tensor);
  for (int i = 0; i < 1500 * 1501; i++) elements[i] = (float)i;
  send_to(me, x, "bob");
  tt_node *twice = add(me, x, x);
  assert_int_equal(get(me, twice).status, TT_OK);
  const float *back = tt_tensor_data(tt_local_tensor(twice->child));
  for (int i = 0; i < 1500 * 1501; i++) {
    if (back[i] != 2 * (float)i) fail_msg("element %d is %g", i, (double)back[i]);
  }
  tt_node_unref(x);
  tt_node_unref(twice);
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_objects(bob), 0);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

static size_t n_later;
static void count_later(void *host, tt_worker *worker) {
  (void)host, (void)worker;
  n_later++;
}

static void small_tensors_share_frames_and_what_nobody_awaits_waits(void **state) {
  (void)state;
  tt_worker *me = new_worker_with((tt_worker_options){.id = "me", .want_flush_later = count_later}, NULL);
  tt_worker *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  enum { N = 5 };
  tt_node *nodes[N];
  tt_counters before = tt_worker_counters(me), bobs = tt_worker_counters(bob);
  for (size_t i = 0; i < N; i++) {
    nodes[i] = floats(X, 5);
    assert_int_equal(tt_worker_send(me, nodes[i], known(me, "bob"), 0, NULL, NULL, NULL, NULL, NULL), TT_OK);
  }
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_objects(bob), N);
  assert_int_equal(tt_worker_counters(me).frames_out - before.frames_out, 1);
  assert_int_equal(tt_worker_counters(bob).frames_out - bobs.frames_out, 1);
  assert_int_equal(tt_worker_counters(me).tensor_bytes_out - before.tensor_bytes_out, N * 5 * sizeof *X);
  assert_int_equal(tt_worker_counters(bob).tensor_bytes_in - bobs.tensor_bytes_in, N * 5 * sizeof *X);

  before = tt_worker_counters(me), bobs = tt_worker_counters(bob);
  n_later = 0;
  for (size_t i = 0; i < N; i++) assert_int_equal(tt_worker_get(me, nodes[i], NULL, NULL, NULL, NULL), TT_OK);
  tt_virtual_poll();
  assert_int_equal(n_later, 1);                  /* nobody waits for what lets bob go of them */
  assert_int_equal(tt_worker_n_objects(bob), 0); /* it leaves with the next flush all the same */
  assert_int_equal(tt_worker_counters(me).frames_out - before.frames_out, 2);
  assert_int_equal(tt_worker_counters(bob).frames_out - bobs.frames_out, 1);
  for (size_t i = 0; i < N; i++) {
    assert_printed(nodes[i], "tensor([1., 2., 3., 4., 5.])");
    send_to(me, nodes[i], "bob");
  }
  tt_virtual_poll();

  before = tt_worker_counters(me);
  n_later = 0;
  for (size_t i = 0; i < N; i++) tt_node_unref(nodes[i]);
  assert_int_equal(n_later, 1); /* nor for what frees them */
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_objects(bob), 0);
  assert_int_equal(tt_worker_counters(me).frames_out - before.frames_out, 1);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

static void a_long_chain_leaves_in_few_frames(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = floats(X, 5);
  send_to(me, x, "bob");
  tt_virtual_poll();
  uint64_t before = tt_worker_counters(me).frames_out;
  tt_node *y = tt_node_ref(x);
  for (int i = 0; i < 1000; i++) {
    tt_node *next = call(me, "add", (tt_value[]){of(y), tt_int(1)}, 2);
    tt_node_unref(y);
    y = next;
  }
  assert_int_equal(get(me, y).status, TT_OK);
  assert_printed(y, "tensor([1001., 1002., 1003., 1004., 1005.])");
  assert_true(tt_worker_counters(me).frames_out - before <= 3); /* the run, the DONE, at most one credit */
  tt_node_unref(x);
  tt_node_unref(y);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

static void a_page_commands_through_its_own_worker(void **state) {
  (void)state;
  event_log log_bob = {0};
  tt_worker *page = new_worker_with((tt_worker_options){.id = "me.page", .kind = "page", .is_storeless = true}, NULL);
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", &log_bob);
  assert_int_equal(tt_virtual_connect_page(page, me, NULL), TT_OK);
  connect_workers(me, bob);
  tt_error error;
  assert_non_null(tt_worker_add_via(page, "bob", known(page, "me"), &error));
  assert_null(tt_worker_add_via(page, "bob", known(page, "me"), &error));
  assert_int_equal(error.status, TT_ERR_DUPLICATE);

  tt_node *x = floats(X, 5), *x2 = floats(X2, 5);
  send_to(page, x, "me");
  send_to(page, x2, "me");
  uint64_t id = tt_pointer_id(x->child);
  send_to(page, x, "bob");
  send_to(page, x2, "bob");
  assert_int_equal(tt_pointer_id(x->child), id);
  tt_node *sum = add(page, x, x2), *y = add(page, sum, x);
  assert_string_equal(tt_pointer_location(y->child)->id, "bob");
  reply got = get(page, y); /* bob -> me */
  assert_int_equal(got.status, TT_OK);
  assert_string_equal(tt_pointer_location(y->child)->id, "me");
  for (size_t i = 0; i < log_bob.n; i++) assert_string_equal(log_bob.events[i].peer, "me");
  reply fetched = {0};
  assert_int_equal(tt_worker_fetch(page, y, take_reply, &fetched, NULL, &error), TT_OK);
  tt_virtual_poll();
  assert_non_null(fetched.tensor);
  assert_true(((float *)tt_tensor_data(fetched.tensor))[4] == 14);
  tt_tensor_unref(fetched.tensor);

  /* A failure at bob comes back with its first cause. */
  tt_node *lie = lying_pointer(page, "bob", 99, 5);
  tt_node *bad = add(page, lie, x);
  got = get(page, bad);
  assert_int_equal(got.status, TT_ERR_UNKNOWN_OBJECT);

  /* A worker nobody knows: the tensor stays at me. */
  tt_node *z = floats(X, 5);
  send_to(page, z, "me");
  tt_worker_free(bob);
  tt_peer *gone = known(page, "bob");
  reply sent = {0};
  assert_int_equal(tt_worker_send(page, z, gone, 0, NULL, take_reply, &sent, NULL, &error), TT_OK);
  tt_virtual_poll();
  assert_int_equal(sent.status, TT_ERR_UNKNOWN_WORKER);
  assert_string_equal(tt_pointer_location(z->child)->id, "me");
  tt_worker_remove_via(page, gone);
  assert_int_equal(tt_worker_send(page, z, gone, 0, NULL, NULL, NULL, NULL, &error), TT_ERR_CONNECTION);

  tt_node *nodes[] = {x, x2, sum, y, lie, bad, z};
  for (size_t i = 0; i < 7; i++) tt_node_unref(nodes[i]);
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_objects(me), 0);
  tt_worker_free(page);
  tt_worker_free(me);
  tt_virtual_poll();
}

static void only_its_own_page_may_have_a_worker_send(void **state) {
  (void)state;
  tt_worker *page = new_worker("eve", NULL), *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(page, me);
  connect_workers(me, bob);
  assert_non_null(tt_worker_add_via(page, "bob", known(page, "me"), NULL));
  tt_node *x = floats(X, 5);
  send_to(page, x, "me");
  reply sent = {0};
  tt_error error;
  assert_int_equal(tt_worker_send(page, x, known(page, "bob"), 0, NULL, take_reply, &sent, NULL, &error), TT_OK);
  tt_virtual_poll();
  assert_int_equal(sent.status, TT_ERR_POLICY);
  assert_int_equal(tt_worker_n_objects(bob), 0);
  tt_node_unref(x);
  tt_worker_free(page);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

static void objects_outlive_their_owner_by_the_grace(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL);
  tt_worker *patient = new_worker_with((tt_worker_options){.id = "patient", .grace_ms = 3600000}, NULL);
  tt_worker *hasty = new_worker_with((tt_worker_options){.id = "hasty", .grace_ms = -1}, NULL); /* over as soon as it begins */
  connect_workers(me, patient);
  connect_workers(me, hasty);
  tt_node *x = floats(X, 5), *y = floats(X, 5);
  send_to(me, x, "patient");
  send_to(me, y, "hasty");
  tt_virtual_poll();
  tt_worker_tick(patient);
  tt_worker_tick(hasty);
  assert_int_equal(tt_worker_n_objects(hasty), 1); /* its owner is here */
  tt_worker_free(me);
  tt_virtual_poll();
  tt_worker_tick(patient);
  tt_worker_tick(hasty);
  assert_int_equal(tt_worker_n_objects(patient), 1);
  assert_int_equal(tt_worker_n_objects(hasty), 0);
  tt_error error;
  tt_node *z = NULL;
  assert_int_equal(try_call(patient, "add", (tt_value[]){of(x), of(x)}, 2, &z, &error),
                   TT_ERR_STATE); /* a pointer of a worker that is closed */
  tt_node_unref(x);
  tt_node_unref(y);
  tt_worker_free(patient);
  tt_worker_free(hasty);
  tt_virtual_poll();
}

/* Frames that a peer should not have sent, straight into the link. */
static void send_nothing(void *transport, const uint8_t *frame, size_t n_bytes) {
  (void)frame;
  *(size_t *)transport += n_bytes;
}

static void close_counted(void *transport, const char *reason) {
  (void)reason;
  *(size_t *)transport += 1000000;
}

static void bad_frames_end_that_connection_at_most(void **state) {
  (void)state;
  static const tt_link_ops ops = {.name = "test", .send = send_nothing, .close = close_counted};
  event_log log = {0};
  tt_worker *me = new_worker("me", &log), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  uint8_t garbage[64];
  memset(garbage, 0xa5, sizeof garbage);
  size_t sizes[] = {0, 1, 11, 40, 64};
  for (size_t i = 0; i < 5; i++) {
    size_t transport = 0;
    tt_link *link = tt_worker_attach(me, &ops, &transport, 0, NULL);
    tt_link_receive(link, garbage, sizes[i]);
    assert_true(transport > 1000000); /* REFUSED was sent, then it was closed */
  }
  assert_int_equal(n_logged(&log, TT_EVENT_REFUSED), 5);
  the_seed_example(me, bob);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

/* Every allocation in turn fails once: an error each time, no crash, no leak (LeakSanitizer), and afterwards all works. */
static void lost_memory_is_an_error_and_no_more(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  for (long n = 0; n < 60; n++) {
    tt_node *x = floats(X, 5), *z = NULL;
    reply got = {0};
    tt_error error;
    tt_alloc_fail_after(n);
    tt_status status = tt_worker_send(me, x, known(me, "bob"), 0, NULL, NULL, NULL, NULL, &error);
    if (status == TT_OK) status = try_call(me, "add", (tt_value[]){of(x), of(x)}, 2, &z, &error);
    if (status == TT_OK) status = tt_worker_get(me, z, take_reply, &got, NULL, &error);
    tt_virtual_poll();
    tt_alloc_fail_after(-1);
    if (status != TT_OK) assert_int_equal(status, TT_ERR_MEMORY);
    tt_virtual_poll();
    assert_int_equal(got.n_calls, status == TT_OK ? 1 : 0);
    tt_tensor_unref(got.tensor);
    tt_node_unref(x);
    tt_node_unref(z);
    tt_virtual_poll();
    if (tt_worker_get_worker(me, "bob", NULL) == NULL) { /* a handshake or a frame fell to it: the connection ended */
      tt_worker_free(bob);
      tt_virtual_poll();
      bob = new_worker("bob", NULL);
      connect_workers(me, bob);
    }
    the_seed_example(me, bob);
  }
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

/* x + y + y, noted and performed; *got counts the answer. */
static tt_status through_a_plan(tt_worker *me, tt_node *x, tt_node *y, reply *got, tt_error *error) {
  tt_node *z = NULL, *sum = NULL, *input = NULL, *results[TT_MAX_RESULTS];
  size_t n_results = 0;
  tt_plan *plan = tt_plan_begin(me, error);
  tt_status status = plan == NULL ? TT_ERR_MEMORY : TT_OK;
  if (status == TT_OK && (input = tt_plan_add_input(plan, x, error)) == NULL) status = error->status;
  if (status == TT_OK) status = tt_plan_lend(plan, y, error);
  if (status == TT_OK) status = try_call(me, "add", (tt_value[]){of(input), of(y)}, 2, &sum, error);
  if (status == TT_OK) status = try_call(me, "add", (tt_value[]){of(sum), of(y)}, 2, &z, error);
  tt_node_unref(sum);
  if (status == TT_OK) status = tt_plan_end(plan, &z, 1, error);
  tt_node_unref(z);
  tt_node_unref(input);
  if (status == TT_OK) status = tt_plan_perform(plan, (tt_node *[]){x, y}, 2, results, &n_results, error);
  if (status == TT_OK) {
    assert_int_equal(n_results, 1);
    status = tt_worker_get(me, results[0], take_reply, got, NULL, error);
    tt_node_unref(results[0]);
  }
  tt_virtual_poll();
  tt_plan_free(plan);
  return status;
}

static void a_plan_is_performed_by_name(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  for (long n = -1; n < 60; n++) {
    tt_node *x = floats(X, 5), *y = floats(X2, 5);
    send_to(me, x, "bob");
    send_to(me, y, "bob");
    reply got = {0};
    tt_error error;
    tt_alloc_fail_after(n); /* -1: none fails */
    tt_status status = through_a_plan(me, x, y, &got, &error);
    tt_alloc_fail_after(-1);
    tt_virtual_poll();
    assert_true(status == TT_OK || status == TT_ERR_MEMORY);
    assert_int_equal(got.n_calls, status == TT_OK ? 1 : 0);
    if (n < 0) {
      assert_int_equal(got.status, TT_OK);
      const float *sums = tt_tensor_data(got.tensor);
      for (int i = 0; i < 5; i++) assert_true(sums[i] == X[i] + X2[i] + X2[i]);
      assert_int_equal(tt_worker_n_objects(bob), 2); /* nothing of it is left */
    }
    /* What was lent is itself again. */
    if (tt_node_is_pointer(y->child)) assert_string_equal(tt_pointer_location(y->child)->id, "bob");
    tt_tensor_unref(got.tensor);
    tt_node_unref(x);
    tt_node_unref(y);
    tt_virtual_poll();
    if (tt_worker_get_worker(me, "bob", NULL) != NULL) continue;
    tt_worker_free(bob); /* a frame fell to it */
    tt_virtual_poll();
    bob = new_worker("bob", NULL);
    connect_workers(me, bob);
  }
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_virtual_poll();
}

/* Their workers may go before they do. */
static void a_plan_outlives_its_workers(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = floats(X, 5), *results[TT_MAX_RESULTS];
  send_to(me, x, "bob");
  tt_error error;
  size_t n_results;
  tt_plan *plan = tt_plan_begin(me, &error);
  tt_node *input = tt_plan_add_input(plan, x, &error);
  tt_node *z = call(me, "add", (tt_value[]){of(input), of(input)}, 2);
  assert_int_equal(tt_plan_end(plan, &z, 1, &error), TT_OK);
  assert_int_equal(tt_plan_perform(plan, &x, 1, results, &n_results, &error), TT_OK);
  tt_virtual_poll();
  tt_worker_free(bob);
  tt_virtual_poll();
  assert_int_equal(tt_plan_perform(plan, &x, 1, &results[1], &n_results, &error), TT_ERR_CONNECTION);
  tt_worker_free(me);
  tt_virtual_poll();
  assert_int_equal(tt_plan_perform(plan, &x, 1, &results[1], &n_results, &error), TT_ERR_STATE);
  tt_plan_free(plan);
  for (size_t i = 0; i < 4; i++) tt_node_unref((tt_node *[]){x, input, z, results[0]}[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_plan_is_performed_by_name),
      cmocka_unit_test(a_plan_outlives_its_workers),
      cmocka_unit_test(s18_the_seed_example_between_virtual_workers),
      cmocka_unit_test(s10_known_workers),
      cmocka_unit_test(s9_the_object_store),
      cmocka_unit_test(s7_whoami_and_queries),
      cmocka_unit_test(s8_a_transport_is_raw_send_and_no_more),
      cmocka_unit_test(s11_what_may_be_called_is_in_the_table),
      cmocka_unit_test(a_wrong_shape_is_an_error_on_the_callers_own_line),
      cmocka_unit_test(operands_on_two_workers_are_refused_at_the_caller),
      cmocka_unit_test(s11_a_failure_poisons_what_depends_on_it_and_names_the_first_cause),
      cmocka_unit_test(an_unknown_id_is_named),
      cmocka_unit_test(a_send_to_a_taken_id_gives_the_tensor_back),
      cmocka_unit_test(a_peer_that_vanishes_fails_what_is_open_and_loses_nothing),
      cmocka_unit_test(giving_up_a_get_leaves_the_object_where_it_is),
      cmocka_unit_test(in_place_ops_return_the_same_pointer),
      cmocka_unit_test(what_others_may_do_is_what_the_owner_allows),
      cmocka_unit_test(a_full_store_refuses_and_goes_on),
      cmocka_unit_test(a_tensor_larger_than_all_credit_goes_and_comes_back),
      cmocka_unit_test(small_tensors_share_frames_and_what_nobody_awaits_waits),
      cmocka_unit_test(a_long_chain_leaves_in_few_frames),
      cmocka_unit_test(a_page_commands_through_its_own_worker),
      cmocka_unit_test(only_its_own_page_may_have_a_worker_send),
      cmocka_unit_test(objects_outlive_their_owner_by_the_grace),
      cmocka_unit_test(bad_frames_end_that_connection_at_most),
      cmocka_unit_test(lost_memory_is_an_error_and_no_more),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
