/* hostile peers: bytes that an honest worker would not send. What a peer may do to itself is its own affair; nothing here may harm the worker or anybody else. */
#include "villain_fixture.h"

/* ---- requests and their answers ---- */

static void a_send_that_fails_under_a_get(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  tt_node *x = floats(SOME, 4);
  uint64_t sending, getting;
  reply sent = {0}, got = {0};
  assert_int_equal(tt_worker_send(worker, x, known(worker, "mallory"), 0, NULL, take_reply, &sent, &sending, NULL), TT_OK);
  assert_int_equal(tt_worker_get(worker, x, take_reply, &got, &getting, NULL), TT_OK);
  tt_worker_flush(worker);
  char json[128];
  snprintf(json, sizeof json, "{\"reply\":\"%" PRIu64 "\",\"error\":{\"code\":\"full\",\"message\":\"no\"}}", sending);
  put_text(&mallory, json);
  assert_int_equal(sent.status, TT_ERR_FULL);
  assert_printed(x, "tensor([1., 2., 3., 4.])"); /* it has not gone */
  put_tensor(&mallory, getting, 0, 2, SOME + 2, 2);
  assert_int_equal(got.n_calls, 1);
  assert_int_equal(got.status, TT_ERR_STATE);
  assert_printed(x, "tensor([1., 2., 3., 4.])");
  if (got.tensor != NULL) tt_tensor_unref(got.tensor);
  tt_node_unref(x);
  free_wire(at);
  tt_worker_free(worker);
}

static void a_send_that_fails_when_the_tensor_is_elsewhere(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0), *there = open_wire(worker, 0);
  villain mallory = meet(at, "mallory"), bob = meet(there, "bob");
  tt_node *x = floats(SOME, 4);
  uint64_t sending, getting, sending_on;
  reply got = {0};
  assert_int_equal(tt_worker_send(worker, x, known(worker, "mallory"), 0, NULL, NULL, NULL, &sending, NULL), TT_OK);
  assert_int_equal(tt_worker_get(worker, x, take_reply, &got, &getting, NULL), TT_OK);
  tt_worker_flush(worker);
  put_tensor(&mallory, getting, 0, 4, SOME, 4);
  assert_int_equal(got.status, TT_OK);
  tt_tensor_unref(got.tensor);
  assert_int_equal(tt_worker_send(worker, x, known(worker, "bob"), 0, NULL, NULL, NULL, &sending_on, NULL), TT_OK);
  tt_worker_flush(worker);
  put_done(&bob, sending_on);
  char json[128];
  snprintf(json, sizeof json, "{\"reply\":\"%" PRIu64 "\",\"error\":{\"code\":\"full\",\"message\":\"no\"}}", sending);
  put_text(&mallory, json); /* about a send of long ago */
  assert_true(tt_node_is_pointer(x->child));
  assert_string_equal(tt_pointer_location(x->child)->id, "bob");
  assert_true(tt_pointer_owns(x->child));
  tt_node_unref(x);
  free_wire(at);
  free_wire(there);
  tt_worker_free(worker);
}

static void answers_of_another_kind(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  tt_peer *peer = known(worker, "mallory");
  const tt_meta meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = 1, .dims = {4}}};
  tt_node *x = tt_worker_create_pointer(worker, peer, 5, &meta, NULL);
  for (int i = 0; i < 7; i++) {
    uint64_t request;
    reply got = {0};
    tt_control query = {.query = TT_QUERY_WHOAMI};
    if (i < 2)
      assert_int_equal(tt_worker_query(worker, peer, &query, take_reply, &got, &request, NULL), TT_OK);
    else if (i < 4)
      assert_int_equal(tt_worker_fetch(worker, x, take_reply, &got, &request, NULL), TT_OK);
    else if (i < 6)
      assert_int_equal(tt_worker_sync(worker, peer, take_reply, &got, &request, NULL), TT_OK);
    else
      assert_int_equal(tt_worker_get(worker, x, take_reply, &got, &request, NULL), TT_OK);
    tt_worker_flush(worker);
    char json[96];
    snprintf(json, sizeof json, "{\"reply\":\"%" PRIu64 "\",\"text\":\"no\"}", request);
    if (i == 0 || i == 4)
      put_tensor(&mallory, request, 0, 4, SOME, 4);
    else if (i == 1 || i == 2)
      put_done(&mallory, request);
    else
      put_text(&mallory, json);
    assert_int_equal(got.n_calls, 1);
    assert_null(got.tensor);
    assert_int_equal(got.status, TT_ERR_PROTOCOL);
  }
  tt_node_unref(x);
  free_wire(at);
  tt_worker_free(worker);
}

static void an_answer_without_end(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  uint64_t request;
  reply got = {0};
  tt_control query = {.query = TT_QUERY_LIST};
  assert_int_equal(tt_worker_query(worker, known(worker, "mallory"), &query, take_reply, &got, &request, NULL), TT_OK);
  tt_worker_flush(worker);
  enum { PART_BYTES = 250000 };
  char *json = test_malloc(PART_BYTES);
  int n_bytes = snprintf(json, PART_BYTES, "{\"reply\":\"%" PRIu64 "\",\"more\":true,\"text\":\"", request);
  memset(json + n_bytes, 'x', PART_BYTES - (size_t)n_bytes);
  memcpy(json + PART_BYTES - 3, "\"}", 3);
  for (size_t sent = 0; sent < (size_t)2 * TT_MAX_ANSWER_BYTES && at->link != NULL; sent += PART_BYTES)
    put_text(&mallory, json);
  test_free(json);
  assert_null(at->link);
  assert_int_equal(got.status, TT_ERR_CONNECTION);
  free_wire(at);
  tt_worker_free(worker);
}

static void requests_of_two_workers_have_different_numbers(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL), *other = new_worker("other", NULL);
  connect_workers(worker, other);
  uint64_t a, b;
  assert_int_equal(tt_worker_sync(worker, known(worker, "other"), NULL, NULL, &a, NULL), TT_OK);
  assert_int_equal(tt_worker_sync(other, known(other, "worker"), NULL, NULL, &b, NULL), TT_OK);
  assert_true(a != b); /* a DONE says a number, not whose request it was */
  tt_virtual_poll();
  tt_worker_free(worker);
  tt_worker_free(other);
  tt_virtual_poll();
}

/* ---- taking ---- */

static void taking_under_one_number_twice(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  put_tensor(&mallory, 1, 11, 4, SOME, 4);
  put_tensor(&mallory, 2, 12, 4, SOME, 4);
  put_fetch(&mallory, TT_FETCH_TAKE, 3, 11);
  put_fetch(&mallory, TT_FETCH_TAKE, 3, 12);
  assert_true(has_said(at, "\"duplicate\""));
  put_done(&mallory, 3);
  assert_int_equal(tt_worker_n_objects(worker), 1); /* the first is taken */
  free_wire(at);
  tt_worker_free(worker);
}

static void taking_without_end(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  put_tensor(&mallory, 1, 11, 1, SOME, 1);
  for (uint64_t request = 2; !has_said(at, "\"full\"");) {
    forget_said(at);
    tt_buffer run;
    tt_buffer_init(&run);
    for (int i = 0; i < 4096; i++) tt_run_write_fetch(&run, TT_FETCH_TAKE, request++, 11);
    put_run(&mallory, &run);
    assert_true(request < 4 * TT_MAX_OPEN_REQUESTS);
  }
  free_wire(at);
  tt_worker_free(worker);
}

static void a_done_that_comes_when_the_id_is_somebody_elses(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0), *there = open_wire(worker, 0);
  villain mallory = meet(at, "mallory"), alice = meet(there, "alice");
  put_tensor(&mallory, 1, 42, 4, SOME, 4);
  put_fetch(&mallory, TT_FETCH_TAKE, 2, 42);
  put_free(&mallory, 42);
  put_tensor(&alice, 1, 42, 4, SOME, 4);
  put_done(&mallory, 2);
  assert_int_equal(tt_worker_n_objects(worker), 1);
  free_wire(at);
  free_wire(there);
  tt_worker_free(worker);
}

/* ---- memory ---- */

static void a_tensor_that_nobody_asked_for(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  put_tensor(&mallory, 99, 0, (int64_t)1 << 46, SOME, 4);
  assert_non_null(at->link); /* skipped: it may answer a request that was given up */
  free_wire(at);
  tt_worker_free(worker);
}

static void an_answer_that_is_larger_than_the_store(void **state) {
  (void)state;
  tt_worker *worker = new_worker_with((tt_worker_options){.id = "worker", .max_store_bytes = 1024}, NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  const tt_meta meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = 1, .dims = {4}}};
  tt_node *x = tt_worker_create_pointer(worker, known(worker, "mallory"), 5, &meta, NULL);
  uint64_t request;
  reply got = {0};
  assert_int_equal(tt_worker_fetch(worker, x, take_reply, &got, &request, NULL), TT_OK);
  tt_worker_flush(worker);
  put_tensor(&mallory, request, 0, (int64_t)1 << 46, SOME, 4);
  assert_int_equal(got.n_calls, 1);
  assert_int_equal(got.status, TT_ERR_FULL);
  tt_node_unref(x);
  free_wire(at);
  tt_worker_free(worker);
}

/* What came home to registered heads may be more than the store's ceiling together; then nothing more fits. */
static void a_store_above_its_ceiling(void **state) {
  (void)state;
  tt_worker *worker = new_worker_with((tt_worker_options){.id = "worker", .max_store_bytes = 64}, NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  const tt_meta meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = 1, .dims = {4}}};
  for (uint64_t i = 1; i <= 5; i++) {
    tt_node *x = tt_worker_create_pointer(worker, known(worker, "mallory"), i, &meta, NULL);
    assert_int_equal(tt_worker_set_object(worker, x, 0, TT_POLICY_OPEN, NULL, NULL, NULL), TT_OK);
    uint64_t request;
    assert_int_equal(tt_worker_get(worker, x, NULL, NULL, &request, NULL), TT_OK);
    tt_worker_flush(worker);
    put_tensor(&mallory, request, 0, 4, SOME, 4);
    tt_node_unref(x);
  }
  assert_int_equal(tt_worker_n_bytes(worker), 80);
  forget_said(at);
  put_tensor(&mallory, 1, 11, (int64_t)1 << 46, SOME, 4);
  assert_true(has_said(at, "\"full\""));
  forget_said(at);
  int64_t size[] = {(int64_t)1 << 46};
  const uint64_t result = 12;
  put_call(&mallory, "zeros", (tt_value[]){tt_ints(size, 1)}, 1, &result, 1);
  assert_true(has_said(at, "\"full\""));
  free_wire(at);
  tt_worker_free(worker);
}

/* A view takes no memory, but whoever copies it, sums it or sends it pays for every element. */
static void views_larger_than_the_store(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  tt_node *x = floats(SOME, 1);
  uint64_t open_id;
  assert_int_equal(tt_worker_set_object(worker, x, 0, TT_POLICY_OPEN, NULL, &open_id, NULL), TT_OK);
  tt_node_unref(x);
  put_tensor(&mallory, 1, 11, 1, SOME, 1);
  int64_t size[] = {(int64_t)1 << 46};
  const uint64_t result = 12;
  const uint64_t sources[] = {open_id, 11};
  for (size_t i = 0; i < 2; i++) {
    forget_said(at);
    tt_operand source = named(sources[i]);
    put_call(&mallory, "expand", (tt_value[]){tt_operand_value(&source), tt_ints(size, 1)}, 2, &result, 1);
    assert_true(has_said(at, "\"full\""));
    put_free(&mallory, 12);
  }
  free_wire(at);
  tt_worker_free(worker);
}

/* A view of somebody else's object becomes a copy, which has to fit. */
static void copies_of_views_that_do_not_fit(void **state) {
  (void)state;
  tt_worker *worker = new_worker_with((tt_worker_options){.id = "worker", .max_store_bytes = 1000}, NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  tt_node *x = floats(SOME, 1), *filler = matrix(10, 20);
  uint64_t open_id;
  assert_int_equal(tt_worker_set_object(worker, x, 0, TT_POLICY_OPEN, NULL, &open_id, NULL), TT_OK);
  assert_int_equal(tt_worker_set_object(worker, filler, 0, TT_POLICY_OPEN, NULL, NULL, NULL), TT_OK);
  tt_node_unref(x);
  tt_node_unref(filler);
  int64_t size[] = {100};
  const uint64_t result = 12;
  tt_operand source = named(open_id);
  put_call(&mallory, "expand", (tt_value[]){tt_operand_value(&source), tt_ints(size, 1)}, 2, &result, 1);
  assert_true(has_said(at, "\"full\""));
  assert_int_equal(tt_worker_n_bytes(worker), 804);
  free_wire(at);
  tt_worker_free(worker);
}

/* What waits for credit is not copied for each who asks and does not read. */
static void fetches_of_a_strided_view_that_nobody_reads(void **state) {
  (void)state;
  tt_worker *worker = new_worker_with((tt_worker_options){.id = "worker", .max_store_bytes = 32 << 20}, NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  at->room = 0;
  int64_t size[] = {2048, 1024};
  const uint64_t plain = 11, turned = 12;
  put_call(&mallory, "ones", (tt_value[]){tt_ints(size, 2)}, 1, &plain, 1);
  tt_operand source = named(plain);
  put_call(&mallory, "t", (tt_value[]){tt_operand_value(&source)}, 1, &turned, 1);
  for (uint64_t request = 100; request < 120; request++) put_fetch(&mallory, 0, request, turned);
  size_t waiting_bytes = 0;
  for (const tt_outgoing *each = known(worker, "mallory")->first; each != NULL; each = each->next) {
    const tt_tensor *tensor = each->tensor.tensor;
    if (tensor != NULL && tensor->storage->n_holds == 0) waiting_bytes += tensor->storage->n_bytes;
  }
  assert_true(waiting_bytes <= 32 << 20);
  at->room = SIZE_MAX;
  tt_link_ready(at->link);
  tt_worker_flush(worker);
  assert_true(n_said(at, TT_FRAME_DATA) > 0);
  free_wire(at);
  tt_worker_free(worker);
}

static void metadata_that_waits_is_counted(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  put_tensor(&mallory, 1, 11, 1, SOME, 1);
  char json[TT_MAX_DESCRIPTION_BYTES + 200];
  int n_bytes = snprintf(json, sizeof json, "{\"request\":\"2\",\"query\":\"configure\",\"id\":\"11\",\"description\":\"");
  memset(json + n_bytes, 'x', TT_MAX_DESCRIPTION_BYTES);
  memcpy(json + n_bytes + TT_MAX_DESCRIPTION_BYTES, "\"}", 3);
  put_text(&mallory, json);
  at->room = 0;
  const tt_peer *peer = known(worker, "mallory");
  for (uint64_t request = 3; at->link != NULL && request < TT_MAX_OPEN_REQUESTS;) {
    tt_buffer run;
    tt_buffer_init(&run);
    for (int i = 0; i < 4096; i++) tt_run_write_fetch(&run, 0, request++, 11);
    put_run(&mallory, &run);
    size_t waiting_bytes = 0;
    for (const tt_outgoing *each = peer->first; each != NULL; each = each->next) waiting_bytes += each->metadata.n_bytes;
    assert_true(waiting_bytes < TT_MAX_QUEUED_BYTES + TT_MAX_FRAME_BYTES);
  }
  assert_null(at->link); /* who asks so much and reads nothing is refused */
  free_wire(at);
  tt_worker_free(worker);
}

/* ---- objects ---- */

static void a_taken_result_id_leaves_ones_own_object_sound(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  put_tensor(&mallory, 1, 11, 4, SOME, 4);
  tt_operand x = named(11);
  const uint64_t taken = 11;
  put_call(&mallory, "neg", (tt_value[]){tt_operand_value(&x)}, 1, &taken, 1);
  assert_true(has_said(at, "\"duplicate\""));
  forget_said(at);
  put_fetch(&mallory, 0, 5, 11);
  assert_int_equal(n_said(at, TT_FRAME_DATA), 1);
  free_wire(at);
  tt_worker_free(worker);
}

/* What is written into one view can be read through another. */
static void rows_that_may_not_leave_and_a_view_of_ones_own(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  tt_node *rows = floats(SOME, 4);
  uint64_t rows_id;
  assert_int_equal(tt_worker_set_object(worker, rows, 0, TT_POLICY_COMPUTE, NULL, &rows_id, NULL), TT_OK);
  tt_node_unref(rows);
  static const float ZEROS[4] = {0};
  put_tensor(&mallory, 1, 11, 4, ZEROS, 4);
  int64_t size[] = {2, 2};
  const uint64_t view = 12, copy = 13;
  tt_operand mine = named(11), theirs = named(rows_id), seen = named(12);
  put_call(&mallory, "view", (tt_value[]){tt_operand_value(&mine), tt_ints(size, 2)}, 2, &view, 1);
  put_call(&mallory, "copy_", (tt_value[]){tt_operand_value(&mine), tt_operand_value(&theirs)}, 2, NULL, 0);
  put_call(&mallory, "clone", (tt_value[]){tt_operand_value(&seen)}, 1, &copy, 1);
  assert_int_equal(tt_worker_n_objects(worker), 4);
  for (uint64_t id = 11; id <= 13; id++) {
    forget_said(at);
    put_fetch(&mallory, 0, 5, id);
    assert_int_equal(n_said(at, TT_FRAME_DATA), 0);
    assert_true(has_said(at, "\"policy\""));
  }
  free_wire(at);
  tt_worker_free(worker);
}

/* ---- who is there ---- */

static void a_client_is_no_relay(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0);
  tt_buffer payload;
  tt_buffer_init(&payload);
  tt_name_write(&payload, tt_name_of("alice"));
  put_frame(at, (tt_prelude){.type = TT_FRAME_WELCOME}, &payload);
  tt_buffer_release(&payload);
  assert_null(at->link);
  assert_null(tt_worker_get_worker(worker, "alice", NULL));
  free_wire(at);
  tt_worker_free(worker);
}

static void a_refusal_in_somebody_elses_name(void **state) {
  (void)state;
  event_log log = {0};
  tt_worker *worker = new_worker("worker", &log);
  wire *at = open_wire(worker, 0), *there = open_wire(worker, 0);
  meet(there, "alice");
  tt_buffer payload;
  tt_buffer_init(&payload);
  tt_refusal_write(&payload, TT_ERR_POLICY, 0, tt_name_of("alice"), "go away");
  put_frame(at, (tt_prelude){.type = TT_FRAME_REFUSED, .source = tt_name_of("alice")}, &payload);
  tt_buffer_release(&payload);
  for (size_t i = 0; i < log.n; i++) {
    if (log.events[i].type == TT_EVENT_REFUSED) assert_string_equal(log.events[i].peer, "");
  }
  assert_true(tt_peer_is_present(known(worker, "alice")));
  free_wire(at);
  free_wire(there);
  tt_worker_free(worker);
}

/* What no credit holds back does not pile up in front of a connection that takes nothing. */
static void answers_to_a_flood_of_greetings(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_relay(worker);
  villain mallory = meet(at, "mallory");
  at->room = 0;
  size_t before = at->said.n_bytes;
  for (int i = 0; i < 1000; i++) {
    say_hello(&mallory, 100 + (uint32_t)i);
    put_frame(at, (tt_prelude){.type = TT_FRAME_RUN, .stream = 5, .sequence = 1, .source = tt_name_of("nobody")}, NULL);
  }
  assert_true(at->said.n_bytes - before < 4 * TT_MAX_FRAME_BYTES);
  at->room = SIZE_MAX;
  tt_link_ready(at->link);
  tt_worker_flush(worker);
  forget_said(at);
  put_text(&mallory, "{\"request\":\"1\",\"query\":\"whoami\"}");
  assert_true(n_said(at, TT_FRAME_CONTROL) == 1);
  free_wire(at);
  tt_worker_free(worker);
}

/* The answers to tensors in a run are too many for the stream, which ends: once, and what of it is still under way is dropped without a word. */
static void tensors_whose_refusals_end_the_stream(void **state) {
  (void)state;
  event_log log = {0};
  tt_worker *worker = new_worker("worker", &log);
  wire *at = open_relay(worker);
  villain mallory = meet(at, "mallory");
  at->room = 0; /* nothing leaves */
  put_tensor(&mallory, 1, 11, 4, SOME, 4);
  const tt_data_header header = {.transfer = 2,
                                 .object = 11, /* taken */
                                 .meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = 1, .dims = {1}}},
                                 .total_bytes = sizeof *SOME};
  while (known(worker, "mallory")->in_stream != 0) {
    tt_buffer run;
    tt_buffer_init(&run);
    for (int i = 0; i < 1000; i++) {
      tt_run_write_tensor(&run, tt_name_of(""), tt_data_header_bytes(&header) + sizeof *SOME);
      tt_data_header_write(&run, &header);
      tt_buffer_append(&run, SOME, sizeof *SOME);
    }
    at->room = known(worker, "mallory")->n_queued + 1000 > TT_MAX_OPEN_REQUESTS ? SIZE_MAX : 0;
    put_run(&mallory, &run);
  }
  forget_said(at);
  log.n = 0;
  put_fetch(&mallory, 0, 3, 11);
  assert_int_equal(n_said(at, TT_FRAME_REFUSED), 0);
  assert_int_equal(log.n, 0);
  free_wire(at);
  tt_worker_free(worker);
}

/* ---- plans ---- */

/* Slot 1, negated, is slot 2, which it answers. */
static void put_negation(villain *who, uint64_t plan) {
  tt_operand one = named(1);
  put_plan(who, plan, 2, 1, 2, "neg", (tt_value[]){tt_operand_value(&one)}, 1, 2);
}

static void plans_that_are_none(void **state) {
  (void)state;
  tt_operand one = named(1), three = named(3);
  const struct {
    uint32_t n_slots;
    size_t n_inputs;
    uint64_t output;
    tt_operand *operand;
    uint64_t result;
  } wrong[] = {
      {2, 1, 3, &one, 2},          /* answers a slot that is none */
      {2, 1, 2, &three, 2},        /* takes one */
      {2, 1, 2, &one, 3},          /* makes one */
      {UINT32_MAX, 1, 2, &one, 2}, /* more slots than it can have */
      {1, 2, 1, &one, 1},          /* fewer than inputs */
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    tt_worker *worker = new_worker("worker", NULL);
    wire *at = open_wire(worker, 0);
    villain mallory = meet(at, "mallory");
    put_plan(&mallory, 5, wrong[i].n_slots, wrong[i].n_inputs, wrong[i].output, "neg",
             (tt_value[]){tt_operand_value(wrong[i].operand)}, 1, wrong[i].result);
    assert_null(at->link);
    free_wire(at);
    tt_worker_free(worker);
  }
  /* A plan in a plan. */
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  tt_buffer run, body;
  tt_buffer_init(&run);
  tt_buffer_init(&body);
  tt_run_write_perform(&body, 5, (uint64_t[]){1}, 1, (uint64_t[]){2}, 1);
  tt_run_write_plan(&run, 5, 2, 1, (uint64_t[]){2}, 1, &body);
  tt_buffer_release(&body);
  put_run(&mallory, &run);
  assert_null(at->link);
  free_wire(at);
  tt_worker_free(worker);
}

static void a_plan_that_is_not_there_and_one_of_other_numbers(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  put_tensor(&mallory, 1, 11, 4, SOME, 4);
  put_perform(&mallory, 5, (uint64_t[]){11}, 1, (uint64_t[]){12}, 1);
  put_negation(&mallory, 5);
  put_perform(&mallory, 5, (uint64_t[]){11, 11}, 2, (uint64_t[]){13}, 1);
  put_perform(&mallory, 5, (uint64_t[]){11}, 1, NULL, 0);
  put_perform(&mallory, 5, (uint64_t[]){11}, 1, (uint64_t[]){14}, 1);
  assert_non_null(at->link);
  tt_error error;
  assert_null(tt_worker_get_object(worker, 12, &error)); /* poisoned */
  assert_says(error.message, "no plan 5");
  assert_null(tt_worker_get_object(worker, 13, &error));
  assert_says(error.message, "takes 1 objects and answers 1");
  tt_node *sound = tt_worker_get_object(worker, 14, &error);
  assert_non_null(sound);
  assert_printed(sound, "tensor([-1., -2., -3., -4.])");
  assert_int_equal(tt_worker_n_objects(worker), 4);
  free_wire(at);
  tt_worker_free(worker);
}

/* What a command may not do, a plan may not. */
static void a_plan_with_the_objects_of_others(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_relay(worker);
  villain alice = meet(at, "alice"), mallory = meet(at, "mallory");
  tt_node *rows = floats(SOME, 4);
  uint64_t rows_id;
  tt_error error;
  assert_int_equal(tt_worker_set_object(worker, rows, 0, TT_POLICY_COMPUTE, NULL, &rows_id, NULL), TT_OK);
  put_tensor(&alice, 1, 11, 4, SOME, 4);
  tt_operand one = named(1);
  put_negation(&mallory, 5);
  put_plan(&mallory, 6, 1, 1, 1, "zero_", (tt_value[]){tt_operand_value(&one)}, 1, 1);
  put_perform(&mallory, 5, (uint64_t[]){11}, 1, (uint64_t[]){12}, 1); /* alice's are hers alone */
  assert_null(tt_worker_get_object(worker, 12, &error));
  assert_int_equal(error.status, TT_ERR_UNKNOWN_OBJECT);
  put_perform(&mallory, 5, &rows_id, 1, (uint64_t[]){13}, 1); /* may be computed with, and does not leave by that */
  forget_said(at);
  put_fetch(&mallory, 0, 9, 13);
  assert_int_equal(n_said(at, TT_FRAME_DATA), 0);
  put_perform(&mallory, 6, &rows_id, 1, &rows_id, 1); /* nor is it changed, nor its id taken */
  assert_printed(rows, "tensor([1., 2., 3., 4.])");
  put_perform(&mallory, 5, (uint64_t[]){13}, 1, (uint64_t[]){11}, 1);
  assert_printed(tt_worker_get_object(worker, 11, &error), "tensor([1., 2., 3., 4.])");
  tt_node_unref(rows);
  free_wire(at);
  tt_worker_free(worker);
}

/* Rows that must not leave are written into what passes, and into what shares its memory: all of it stays. */
static void a_plan_that_passes_rows_on(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  tt_node *rows = floats(SOME, 4);
  uint64_t rows_id;
  assert_int_equal(tt_worker_set_object(worker, rows, 0, TT_POLICY_COMPUTE, NULL, &rows_id, NULL), TT_OK);
  put_tensor(&mallory, 1, 11, 4, SOME, 4);
  tt_operand slot[7];
  for (uint64_t i = 1; i <= 6; i++) slot[i] = named(i);
  tt_buffer run, body;
  tt_buffer_init(&run);
  tt_buffer_init(&body);
  uint16_t neg = (uint16_t)op_number("neg"), add = (uint16_t)op_number("add_"), view = (uint16_t)op_number("view");
  tt_run_write_call(&body, 0, view, (tt_value[]){tt_operand_value(&slot[2]), tt_ints((int64_t[]){2, 2}, 2)}, 2, id_of,
                    (uint64_t[]){3}, 1);
  tt_run_write_call(&body, 0, neg, (tt_value[]){tt_operand_value(&slot[1])}, 1, id_of, (uint64_t[]){4}, 1);
  tt_run_write_call(&body, 0, add, (tt_value[]){tt_operand_value(&slot[2]), tt_operand_value(&slot[4])}, 2, id_of, NULL, 0);
  tt_run_write_call(&body, 0, neg, (tt_value[]){tt_operand_value(&slot[3])}, 1, id_of, (uint64_t[]){5}, 1);
  tt_run_write_call(&body, 0, neg, (tt_value[]){tt_operand_value(&slot[4])}, 1, id_of, (uint64_t[]){6}, 1);
  tt_run_write_plan(&run, 5, 6, 2, (uint64_t[]){5, 6}, 2, &body);
  tt_buffer_release(&body);
  put_run(&mallory, &run);
  put_perform(&mallory, 5, (uint64_t[]){rows_id, 11}, 2, (uint64_t[]){12, 13}, 2);
  tt_error error;
  assert_printed(tt_worker_get_object(worker, 12, &error), "tensor([[-0., -0.],\n        [-0., -0.]])");
  assert_int_equal(tt_worker_n_objects(worker), 4);
  for (uint64_t id = 11; id <= 13; id++) {
    forget_said(at);
    put_fetch(&mallory, 0, 100 + id, id);
    assert_int_equal(n_said(at, TT_FRAME_DATA), 0);
  }
  tt_node_unref(rows);
  free_wire(at);
  tt_worker_free(worker);
}

/* What passes counts, and goes whatever the plan says of it. */
static void a_plan_that_makes_more_than_the_store_holds(void **state) {
  (void)state;
  event_log log = {0};
  tt_worker *worker = new_worker_with((tt_worker_options){.id = "worker", .max_store_bytes = 4096}, &log);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  float many[256] = {0};
  put_tensor(&mallory, 1, 11, 256, many, 256);
  tt_operand slot[12];
  for (uint64_t i = 1; i < 12; i++) slot[i] = named(i);
  tt_buffer run, body;
  tt_buffer_init(&run);
  tt_buffer_init(&body);
  uint16_t neg = (uint16_t)op_number("neg");
  for (uint64_t i = 2; i < 12; i++)
    tt_run_write_call(&body, 0, neg, (tt_value[]){tt_operand_value(&slot[i - 1])}, 1, id_of, &i, 1);
  tt_run_write_call(&body, 0, neg, (tt_value[]){tt_operand_value(&slot[1])}, 1, id_of, (uint64_t[]){2}, 1); /* made already */
  tt_run_write_plan(&run, 5, 11, 1, (uint64_t[]){11}, 1, &body);
  tt_buffer_release(&body);
  put_run(&mallory, &run);
  for (uint64_t n = 0; n < 3; n++) put_perform(&mallory, 5, (uint64_t[]){11}, 1, (uint64_t[]){20 + n}, 1);
  tt_error error;
  assert_null(tt_worker_get_object(worker, 20, &error));
  assert_int_equal(error.status, TT_ERR_FULL);
  assert_int_equal(tt_worker_n_bytes(worker), 1024);
  put_call(&mallory, "neg", (tt_value[]){tt_operand_value(&(tt_operand){.meta = {.shape = {.n_dims = 1, .dims = {11}}}})}, 1,
           (uint64_t[]){30}, 1);
  assert_non_null(tt_worker_get_object(worker, 30, &error)); /* there is room again */
  free_wire(at);
  tt_worker_free(worker);
}

static void plans_without_end(void **state) {
  (void)state;
  event_log log = {0};
  tt_worker *worker = new_worker("worker", &log);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  tt_operand one = named(1);
  for (uint64_t plan = 1; plan <= TT_MAX_PLANS + 5; plan++) put_negation(&mallory, plan);
  assert_int_equal(n_logged(&log, TT_EVENT_REFUSED), 5);
  tt_peer *peer = known(worker, "mallory");
  assert_int_equal(peer->plans.n_entries, TT_MAX_PLANS);
  put_plan(&mallory, 7, 2, 1, 2, "abs", (tt_value[]){tt_operand_value(&one)}, 1, 2); /* in the place of another */
  assert_int_equal(peer->plans.n_entries, TT_MAX_PLANS);
  tt_buffer run;
  tt_buffer_init(&run);
  for (uint64_t plan = 1; plan <= TT_MAX_PLANS + 5; plan++) tt_run_write_forget(&run, plan);
  put_run(&mallory, &run);
  assert_int_equal(peer->plans.n_entries, 0);
  assert_int_equal(peer->n_plan_bytes, 0);
  for (uint64_t plan = 1; plan <= 64; plan++) /* few commands, and half a megabyte for what it takes */
    put_plan(&mallory, plan, UINT16_MAX, UINT16_MAX, 2, "neg", (tt_value[]){tt_operand_value(&one)}, 1, 2);
  assert_true(peer->n_plan_bytes <= TT_MAX_PLANS_BYTES && peer->plans.n_entries < 64);
  put_plan(&mallory, 7, 2, 1, 2, "abs", (tt_value[]){tt_operand_value(&one)}, 1, 2);
  say_hello(&mallory, 8); /* begins anew: nothing of it is left */
  assert_int_equal(peer->plans.n_entries, 0);
  free_wire(at);
  tt_worker_free(worker);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_send_that_fails_under_a_get),
      cmocka_unit_test(a_send_that_fails_when_the_tensor_is_elsewhere),
      cmocka_unit_test(answers_of_another_kind),
      cmocka_unit_test(an_answer_without_end),
      cmocka_unit_test(requests_of_two_workers_have_different_numbers),
      cmocka_unit_test(taking_under_one_number_twice),
      cmocka_unit_test(taking_without_end),
      cmocka_unit_test(a_done_that_comes_when_the_id_is_somebody_elses),
      cmocka_unit_test(a_tensor_that_nobody_asked_for),
      cmocka_unit_test(an_answer_that_is_larger_than_the_store),
      cmocka_unit_test(a_store_above_its_ceiling),
      cmocka_unit_test(views_larger_than_the_store),
      cmocka_unit_test(copies_of_views_that_do_not_fit),
      cmocka_unit_test(fetches_of_a_strided_view_that_nobody_reads),
      cmocka_unit_test(metadata_that_waits_is_counted),
      cmocka_unit_test(a_taken_result_id_leaves_ones_own_object_sound),
      cmocka_unit_test(rows_that_may_not_leave_and_a_view_of_ones_own),
      cmocka_unit_test(a_client_is_no_relay),
      cmocka_unit_test(a_refusal_in_somebody_elses_name),
      cmocka_unit_test(answers_to_a_flood_of_greetings),
      cmocka_unit_test(tensors_whose_refusals_end_the_stream),
      cmocka_unit_test(plans_that_are_none),
      cmocka_unit_test(a_plan_that_is_not_there_and_one_of_other_numbers),
      cmocka_unit_test(a_plan_with_the_objects_of_others),
      cmocka_unit_test(a_plan_that_passes_rows_on),
      cmocka_unit_test(a_plan_that_makes_more_than_the_store_holds),
      cmocka_unit_test(plans_without_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
