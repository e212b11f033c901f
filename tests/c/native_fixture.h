/* Native workers of one process, each behind a door of its own, on one event loop. */
#ifndef TT_TESTS_NATIVE_FIXTURE_H
#define TT_TESTS_NATIVE_FIXTURE_H

#include <stdio.h>

#include "base/clock.h"
#include "net/loop.h"
#include "transport/native_door.h"
#include "worker_fixture.h"

enum { DEADLINE_MS = 60000 };

/* One worker with its door. */
typedef struct native {
  tt_worker *worker;
  tt_native_door *door;
  event_log log;
  int n_ended;
  char why[256]; /* what `ended` said last */
} native;

static tt_loop *loop;

static inline native *new_native_with(const char *id, const tt_native_door_options *options) {
  native *made = tt_alloc(1, sizeof *made);
  assert_non_null(made);
  made->worker = new_worker_with((tt_worker_options){.id = id, .kind = "native"}, &made->log);
  made->door = tt_native_door_new(loop, made->worker, options, NULL);
  assert_non_null(made->door);
  return made;
}

static inline native *new_native(const char *id) { return new_native_with(id, NULL); }

static inline void take_end(void *context, const char *reason) {
  native *ended = context;
  ended->n_ended++;
  snprintf(ended->why, sizeof ended->why, "%s", reason);
}

/* Takes turns until `is_so` says yes. */
#define UNTIL(is_so)                                                        \
  do {                                                                      \
    int64_t deadline_ms = tt_clock_ms() + DEADLINE_MS;                      \
    while (!(is_so)) {                                                      \
      if (tt_clock_ms() > deadline_ms) fail_msg("not in time: %s", #is_so); \
      tt_loop_pass(loop, 20);                                               \
    }                                                                       \
  } while (false)

static inline bool knows(native *who, const char *id) { return tt_worker_get_worker(who->worker, id, NULL) != NULL; }

static inline void end(native *what) {
  tt_native_door_stop(what->door);
  tt_worker_free(what->worker);
  UNTIL(tt_native_door_n_connections(what->door) == 0);
  tt_native_door_free(what->door);
  tt_free(what);
}

static inline int set_up(void **state) {
  (void)state;
  return tt_loop_new(&loop, NULL) == TT_OK ? 0 : -1;
}

static inline int tear_down(void **state) {
  (void)state;
  tt_loop_free(loop);
  return 0;
}

/* The seed's example: `from` commands `to`. */
static inline void seed_example(native *from, native *to) {
  const char *id = tt_worker_id(to->worker);
  tt_node *x = floats((float[]){1, 2, 3, 4, 5}, 5), *x2 = floats((float[]){1, 2, 3, 4, 4}, 5);
  send_to(from->worker, x, id);
  send_to(from->worker, x2, id);
  tt_node *sum = add(from->worker, x, x2);
  tt_node *y = add(from->worker, sum, x);
  tt_buffer text;
  tt_buffer_init(&text);
  tt_chain_print(y, &text);
  char expected[128];
  snprintf(expected, sizeof expected, "FloatTensor > _PointerTensor(%s, ", id);
  assert_says(tt_buffer_string(&text), expected);
  tt_buffer_release(&text);

  reply got = {0};
  assert_int_equal(tt_worker_get(from->worker, y, take_reply, &got, NULL, NULL), TT_OK);
  UNTIL(got.n_calls > 0);
  if (got.status != TT_OK) fail_msg("%s", got.error.error.message);
  tt_tensor_unref(got.tensor);
  assert_printed(y, "tensor([ 3.,  6.,  9., 12., 14.])");
  UNTIL(tt_worker_n_objects(to->worker) == 3); /* the result has gone from there */
  tt_node_unref(x);
  tt_node_unref(x2);
  tt_node_unref(sum);
  tt_node_unref(y);
  UNTIL(tt_worker_n_objects(to->worker) == 0);
}

static inline tt_node *numbers(int64_t n) {
  tt_shape shape = {.n_dims = 1, .dims = {n}};
  tt_tensor *tensor = tt_tensor_new(TT_DTYPE_I32, &shape, NULL);
  assert_non_null(tensor);
  int32_t *elements = tt_tensor_data(tensor);
  for (int64_t i = 0; i < n; i++) elements[i] = (int32_t)(i * 2654435761);
  return tt_head_new(tt_local_new(tensor, NULL), NULL);
}

static inline void assert_numbers(const tt_node *head, int64_t n) {
  tt_tensor *tensor = tt_local_tensor(head->child);
  assert_non_null(tensor);
  assert_int_equal(tt_tensor_n_elements(tensor), n);
  const int32_t *elements = tt_tensor_data(tensor);
  for (int64_t i = 0; i < n; i++) {
    if (elements[i] != (int32_t)(i * 2654435761)) fail_msg("element %lld is wrong", (long long)i);
  }
}

/* n elements each way at the same time, and each back where it came from. */
static inline void large_tensors_there_and_back(native *client, native *server, int64_t n) {
  tt_node *there = numbers(n), *here = numbers(n);
  reply sent = {0}, sent_back = {0}, got = {0}, got_back = {0};
  assert_int_equal(tt_worker_send(client->worker, there, known(client->worker, tt_worker_id(server->worker)), 0, NULL,
                                  take_reply, &sent, NULL, NULL),
                   TT_OK);
  assert_int_equal(tt_worker_send(server->worker, here, known(server->worker, tt_worker_id(client->worker)), 0, NULL,
                                  take_reply, &sent_back, NULL, NULL),
                   TT_OK);
  UNTIL(sent.n_calls > 0 && sent_back.n_calls > 0);
  assert_int_equal(sent.status, TT_OK);
  assert_int_equal(sent_back.status, TT_OK);
  assert_int_equal(tt_worker_n_bytes(server->worker), (uint64_t)n * sizeof(int32_t));
  assert_int_equal(tt_worker_n_bytes(client->worker), (uint64_t)n * sizeof(int32_t));
  assert_int_equal(tt_worker_get(client->worker, there, take_reply, &got, NULL, NULL), TT_OK);
  assert_int_equal(tt_worker_get(server->worker, here, take_reply, &got_back, NULL, NULL), TT_OK);
  UNTIL(got.n_calls > 0 && got_back.n_calls > 0);
  tt_tensor_unref(got.tensor);
  tt_tensor_unref(got_back.tensor);
  assert_numbers(there, n);
  assert_numbers(here, n);
  UNTIL(tt_worker_n_objects(server->worker) == 0 && tt_worker_n_objects(client->worker) == 0);
  tt_node_unref(there);
  tt_node_unref(here);
}

#endif
