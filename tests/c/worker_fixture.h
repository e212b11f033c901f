/* Workers in one process, and short words for what tests do with them. */
#ifndef TT_TESTS_WORKER_FIXTURE_H
#define TT_TESTS_WORKER_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "cmocka_all.h"
#include "transport/virtual.h"
#include "worker/worker.h"

enum { TT_MAX_LOGGED = 256 };

/* What a worker's events said. */
typedef struct event_log {
  size_t n;
  struct {
    tt_event_type type;
    char peer[65];
    char text[128];
    char message[512];
    uint64_t object;
    bool is_ours;
  } events[TT_MAX_LOGGED];
} event_log;

static inline void log_event(void *host, tt_worker *worker, const tt_event *event) {
  (void)worker;
  event_log *log = host;
  if (log == NULL || log->n == TT_MAX_LOGGED) return;
  log->events[log->n].type = event->type;
  log->events[log->n].object = event->object;
  log->events[log->n].is_ours = event->is_ours;
  snprintf(log->events[log->n].peer, 65, "%s", event->peer);
  snprintf(log->events[log->n].text, 128, "%s", event->text);
  snprintf(log->events[log->n].message, 512, "%s", event->error == NULL ? "" : event->error->error.message);
  log->n++;
}

static inline size_t n_logged(const event_log *log, tt_event_type type) {
  size_t n = 0;
  for (size_t i = 0; i < log->n; i++) n += log->events[i].type == type;
  return n;
}

static inline tt_worker *new_worker_with(tt_worker_options options, event_log *log) {
  tt_error error;
  options.kind = options.kind != NULL ? options.kind : "virtual";
  options.host = log;
  options.on_event = log_event;
  tt_worker *worker = tt_worker_new(&options, &error);
  if (worker == NULL) fail_msg("%s", error.message);
  return worker;
}

static inline tt_worker *new_worker(const char *id, event_log *log) {
  return new_worker_with((tt_worker_options){.id = id}, log);
}

static inline void connect_workers(tt_worker *a, tt_worker *b) {
  assert_int_equal(tt_virtual_connect(a, b, NULL), TT_OK);
  tt_virtual_poll();
}

static inline tt_peer *known(tt_worker *worker, const char *id) {
  tt_error error;
  tt_peer *peer = tt_worker_get_worker(worker, id, &error);
  if (peer == NULL) fail_msg("%s", error.message);
  return peer;
}

static inline tt_node *floats(const float *values, int64_t n) {
  tt_shape shape = {.n_dims = 1, .dims = {n}};
  tt_tensor *tensor = tt_tensor_from_bytes(TT_DTYPE_F32, &shape, values, NULL);
  assert_non_null(tensor);
  return tt_head_new(tt_local_new(tensor, NULL), NULL);
}

static inline tt_node *matrix(int64_t rows, int64_t columns) {
  tt_shape shape = {.n_dims = 2, .dims = {rows, columns}};
  return tt_head_new(tt_local_new(tt_tensor_zeros(TT_DTYPE_F32, &shape, NULL), NULL), NULL);
}

static inline tt_value of(tt_node *node) { return tt_operand_value(&node->operand); }

static inline tt_op_number op_number(const char *name) {
  const tt_op *op = tt_op_find(name, strlen(name));
  if (op == NULL) fail_msg("no op %s", name);
  return op->number;
}

static inline tt_status try_call(tt_worker *worker, const char *op, const tt_value *args, size_t n_args, tt_node **result,
                                 tt_error *error) {
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results;
  tt_status status = tt_hook_call(tt_worker_hook(worker), op_number(op), args, n_args, NULL, 0, results, &n_results, error);
  if (status != TT_OK) return status;
  assert_int_equal(n_results, 1);
  *result = results[0];
  return TT_OK;
}

static inline tt_node *call(tt_worker *worker, const char *op, const tt_value *args, size_t n_args) {
  tt_error error;
  tt_node *result = NULL;
  if (try_call(worker, op, args, n_args, &result, &error) != TT_OK) fail_msg("%s", error.message);
  return result;
}

static inline tt_node *add(tt_worker *worker, tt_node *a, tt_node *b) {
  return call(worker, "add", (tt_value[]){of(a), of(b)}, 2);
}

/* The one answer of a request, copied. */
typedef struct reply {
  int n_calls;
  tt_status status;
  tt_wire_error error;
  tt_tensor *tensor;
  tt_meta meta;
  char text[512];
  size_t n_listed;
  uint64_t first_id;
  char id[65];
} reply;

static inline void take_reply(void *context, const tt_answer *answer) {
  reply *got = context;
  got->n_calls++;
  got->status = TT_OK;
  if (answer->error != NULL) {
    got->error = *answer->error;
    got->status = answer->error->error.status;
  }
  if (answer->tensor != NULL) got->tensor = tt_tensor_ref(answer->tensor);
  if (answer->control != NULL) {
    got->meta = answer->control->meta;
    snprintf(got->text, sizeof got->text, "%s", answer->control->text == NULL ? "" : answer->control->text);
    snprintf(got->id, sizeof got->id, "%s", answer->control->id == NULL ? "" : answer->control->id);
    got->n_listed = answer->control->n_listed;
    if (got->n_listed > 0) got->first_id = answer->control->objects[0].id;
  }
}

static inline void send_to(tt_worker *worker, tt_node *head, const char *id) {
  tt_error error;
  if (tt_worker_send(worker, head, known(worker, id), 0, NULL, NULL, NULL, NULL, &error) != TT_OK)
    fail_msg("%s", error.message);
}

/* get, waited for. */
static inline reply get(tt_worker *worker, tt_node *head) {
  reply got = {0};
  tt_error error;
  if (tt_worker_get(worker, head, take_reply, &got, NULL, &error) != TT_OK) fail_msg("%s", error.message);
  tt_virtual_poll();
  assert_int_equal(got.n_calls, 1);
  if (got.tensor != NULL) tt_tensor_unref(got.tensor);
  got.tensor = NULL;
  return got;
}

static inline void assert_printed(const tt_node *head, const char *expected) {
  tt_buffer text;
  tt_buffer_init(&text);
  tt_tensor *tensor = tt_local_tensor(tt_node_tail((tt_node *)(uintptr_t)head));
  assert_non_null(tensor);
  tt_tensor_print(tensor, &text);
  assert_string_equal(tt_buffer_string(&text), expected);
  tt_buffer_release(&text);
}

/* ASCII needle in a message. */
static inline void assert_says(const char *message, const char *needle) {
  if (strstr(message, needle) == NULL) fail_msg("\"%s\" does not say \"%s\"", message, needle);
}

#endif
