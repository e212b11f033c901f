/* Workers, their stores and what they ask of each other, for JavaScript: see wasm/exports.h. */
#include <string.h>

#include "base/alloc.h"
#include "chain/hook.h"
#include "chain/multi_pointer.h"
#include "chain/pointer.h"
#include "transport/message_port.h"
#include "transport/virtual.h"
#include "transport/websocket_browser.h"
#include "wasm/door.h"
#include "wasm/exports.h"
#include "wasm/host.h"

tt_door *tt_door_get(tt_handle worker, tt_error *error) {
  tt_door *door = tt_handle_get(worker, TT_HANDLE_WORKER);
  if (door == NULL) tt_fail(error, TT_ERR_STATE, "this worker is closed");
  return door;
}

tt_door *tt_door_of_hook(const tt_hook *hook) { return tt_worker_host_of_hook(hook); }

static void on_event(void *host, tt_worker *worker, const tt_event *event) {
  (void)worker;
  tt_door *door = host;
  bool is_batched =
      event->type == TT_EVENT_COMMAND || event->type == TT_EVENT_OBJECT_ADDED || event->type == TT_EVENT_OBJECT_REMOVED;
  bool is_first = tt_event_log_add(&door->log, event, (uint32_t)(uintptr_t)event->transport);
  if (is_first || !is_batched) tt_host_events(door->handle, !is_batched);
}

static void want_flush(void *host, tt_worker *worker) {
  (void)worker;
  tt_host_want_flush(((tt_door *)host)->handle);
}

static void want_flush_later(void *host, tt_worker *worker) {
  (void)worker;
  tt_host_want_flush_later(((tt_door *)host)->handle);
}

int tt_wasm_worker_new(uint32_t kind_offset, double max_store_bytes, uint32_t max_objects, int is_storeless) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_alloc(1, sizeof *door);
  if (door == NULL) {
    tt_fail(&error, TT_ERR_MEMORY, "no memory for a worker");
    return tt_scratch_fail(&error);
  }
  tt_event_log_init(&door->log);
  tt_buffer_init(&door->shown);
  door->handle = tt_handle_new(TT_HANDLE_WORKER, door);
  if (door->handle == 0) {
    tt_fail(&error, TT_ERR_FULL, "too many handles are held by JavaScript");
    goto handle;
  }
  tt_worker_options options = {.id = tt_scratch_input_string(0),
                               .kind = tt_scratch_input_string(kind_offset),
                               .max_store_bytes = (uint64_t)max_store_bytes,
                               .max_objects = max_objects,
                               .is_storeless = is_storeless != 0,
                               .host = door,
                               .on_event = on_event,
                               .want_flush = want_flush,
                               .want_flush_later = want_flush_later};
  door->worker = tt_worker_new(&options, &error);
  if (door->worker == NULL) goto worker;
  tt_wasm_area.results[0] = door->handle;
  return TT_OK;

worker:
  tt_handle_end(door->handle, TT_HANDLE_WORKER);
handle:
  tt_free(door);
  return tt_scratch_fail(&error);
}

void tt_wasm_worker_free(tt_handle worker) {
  tt_door *door = tt_door_get(worker, NULL);
  if (door == NULL) return;
  /* The handle stays good while the worker ends: what was open is answered from within. */
  tt_worker_free(door->worker);
  tt_handle_end(worker, TT_HANDLE_WORKER);
  tt_event_log_release(&door->log);
  tt_buffer_release(&door->shown);
  tt_free(door);
}

void tt_wasm_worker_flush(tt_handle worker) {
  tt_door *door = tt_door_get(worker, NULL);
  if (door != NULL) tt_worker_flush(door->worker);
}

void tt_wasm_worker_tick(tt_handle worker) {
  tt_door *door = tt_door_get(worker, NULL);
  if (door != NULL) tt_worker_tick(door->worker);
}

void tt_wasm_worker_listen(tt_handle worker, uint32_t event_mask) {
  tt_door *door = tt_door_get(worker, NULL);
  if (door != NULL) tt_worker_listen(door->worker, event_mask);
}

void tt_wasm_worker_seed(tt_handle worker) {
  tt_door *door = tt_door_get(worker, NULL);
  if (door != NULL) tt_hook_seed(tt_worker_hook(door->worker), tt_wasm_area.id);
}

int tt_wasm_worker_counters(tt_handle worker) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  if (door == NULL) return tt_scratch_fail(&error);
  tt_counters counters = tt_worker_counters(door->worker);
  const uint64_t numbers[] = {counters.frames_in,   counters.frames_out,   counters.bytes_in,        counters.bytes_out,
                              counters.commands_in, counters.commands_out, counters.tensor_bytes_in, counters.tensor_bytes_out};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) tt_wasm_area.numbers[i] = (double)numbers[i];
  return TT_OK;
}

int tt_wasm_worker_events(tt_handle worker) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  if (door == NULL) return tt_scratch_fail(&error);
  for (int type = 0; type < TT_LOG_N_TYPES; type++) tt_wasm_area.numbers[type] = (double)door->log.n_skipped[type];
  tt_buffer records = door->log.records;
  door->log.records = door->shown;
  door->shown = records;
  tt_event_log_clear(&door->log);
  tt_wasm_area.text = records.bytes;
  tt_wasm_area.text_bytes = (uint32_t)records.n_bytes;
  return TT_OK;
}

/* Leaves a control as JSON in the scratch's text, and releases it. */
static int show_control(tt_status status, tt_control *control, tt_error *error) {
  if (status != TT_OK) return tt_scratch_fail(error);
  control->request = 1; /* JavaScript knows what it asked for; the JSON has no form without a number */
  status = tt_control_write(tt_scratch_text(), control, error);
  tt_control_release(control);
  if (status == TT_OK && tt_scratch_show_text() == TT_OK) return TT_OK;
  if (status == TT_OK) tt_fail(error, TT_ERR_MEMORY, "no memory for the answer");
  return tt_scratch_fail(error);
}

int tt_wasm_worker_whoami(tt_handle worker) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  if (door == NULL) return tt_scratch_fail(&error);
  tt_control answer = {.form = TT_CONTROL_ANSWER};
  return show_control(tt_worker_whoami(door->worker, &answer, &error), &answer, &error);
}

int tt_wasm_worker_search(tt_handle worker) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  if (door == NULL) return tt_scratch_fail(&error);
  tt_control query = {.form = TT_CONTROL_QUERY};
  const char *json = tt_scratch_input_string(0);
  tt_status status = tt_control_read((const uint8_t *)json, strlen(json), &query, &error);
  if (status != TT_OK) return tt_scratch_fail(&error);
  tt_control answer = {.form = TT_CONTROL_ANSWER};
  status = tt_worker_search(door->worker, (const char *const *)(const void *)query.terms, query.n_terms, &answer, &error);
  tt_control_release(&query);
  return show_control(status, &answer, &error);
}

int tt_wasm_worker_peers(tt_handle worker) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  if (door == NULL) return tt_scratch_fail(&error);
  tt_buffer *text = tt_scratch_text();
  size_t cursor = 0;
  tt_peer *peer;
  while ((peer = tt_worker_next_peer(door->worker, &cursor)) != NULL) {
    tt_buffer_printf(text, "%d%s\n", tt_peer_is_present(peer) ? 1 : 0, tt_peer_id(peer));
  }
  return (int)tt_scratch_show_text();
}

int tt_wasm_virtual_connect(tt_handle a, tt_handle b) {
  tt_error error = {.status = TT_OK};
  tt_door *door_a = tt_door_get(a, &error);
  tt_door *door_b = tt_door_get(b, &error);
  if (door_a == NULL || door_b == NULL || tt_virtual_connect(door_a->worker, door_b->worker, &error) != TT_OK)
    return tt_scratch_fail(&error);
  tt_virtual_poll();
  return TT_OK;
}

void tt_wasm_virtual_poll(void) { (void)tt_virtual_poll(); }

int tt_wasm_add_via(tt_handle worker, uint32_t via_offset) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_peer *via = door == NULL ? NULL : tt_worker_get_worker(door->worker, tt_scratch_input_string(via_offset), &error);
  if (via == NULL || tt_worker_add_via(door->worker, tt_scratch_input_string(0), via, &error) == NULL)
    return tt_scratch_fail(&error);
  return TT_OK;
}

int tt_wasm_remove_via(tt_handle worker) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_peer *peer = door == NULL ? NULL : tt_worker_get_worker(door->worker, tt_scratch_input_string(0), &error);
  if (peer == NULL) return tt_scratch_fail(&error);
  tt_worker_remove_via(door->worker, peer);
  return TT_OK;
}

/* ---- the store ---- */

int tt_wasm_set_object(tt_handle worker, tt_handle tensor, uint32_t metadata_bytes) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_node *head = door == NULL ? NULL : tt_door_head(tensor, &error);
  if (head == NULL) return tt_scratch_fail(&error);
  tt_metadata metadata = {.tags = NULL};
  tt_status status = tt_metadata_read(tt_scratch_input(), metadata_bytes, &metadata, &error);
  if (status != TT_OK) return tt_scratch_fail(&error);
  tt_policy policy = metadata.has_policy ? metadata.policy : TT_POLICY_OPEN;
  status = tt_worker_set_object(door->worker, head, tt_wasm_area.id, policy, &metadata, &tt_wasm_area.id, &error);
  tt_metadata_release(&metadata);
  return status == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

int tt_wasm_get_object(tt_handle worker) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_node *head = door == NULL ? NULL : tt_worker_get_object(door->worker, tt_wasm_area.id, &error);
  if (head == NULL || tt_door_give(tt_node_ref(head), &tt_wasm_area.results[0], &error) != TT_OK)
    return tt_scratch_fail(&error);
  return TT_OK;
}

int tt_wasm_remove_object(tt_handle worker) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  if (door == NULL || tt_worker_remove_object(door->worker, tt_wasm_area.id, &error) != TT_OK) return tt_scratch_fail(&error);
  return TT_OK;
}

/* ---- what is answered later ---- */

static void answer_error(uint32_t token, const tt_wire_error *wire) {
  tt_buffer json;
  tt_buffer_init(&json);
  tt_control control = {.form = TT_CONTROL_ERROR, .request = 1, .error = *wire};
  (void)tt_control_write(&json, &control, NULL); /* no bytes at all mean that there was no memory to say more */
  tt_host_answer(token, TT_ANSWER_ERROR, 0, json.bytes, json.n_bytes);
  tt_buffer_release(&json);
}

static void answer_plain_error(uint32_t token, const tt_error *error) {
  const tt_wire_error wire = {.error = *error, .command = -1};
  answer_error(token, &wire);
}

static void on_answer(void *context, const tt_answer *answer) {
  uint32_t token = (uint32_t)(uintptr_t)context;
  tt_error failure;
  if (answer->error != NULL) {
    answer_error(token, answer->error);
  } else if (answer->tensor != NULL) {
    tt_node *local = tt_local_new(tt_tensor_ref(answer->tensor), &failure);
    tt_handle handle = 0;
    if (tt_door_give(local == NULL ? NULL : tt_head_new(local, &failure), &handle, &failure) != TT_OK) {
      answer_plain_error(token, &failure);
    } else {
      tt_host_answer(token, TT_ANSWER_TENSOR, handle, NULL, 0);
    }
  } else if (answer->control != NULL) {
    tt_buffer json;
    tt_buffer_init(&json);
    if (tt_control_write(&json, answer->control, &failure) != TT_OK) {
      answer_plain_error(token, &failure);
    } else {
      tt_host_answer(token, TT_ANSWER_CONTROL, 0, json.bytes, json.n_bytes);
    }
    tt_buffer_release(&json);
  } else {
    tt_host_answer(token, TT_ANSWER_DONE, 0, NULL, 0);
  }
}

static void *context_of(uint32_t token) { return (void *)(uintptr_t)token; }

/* The peer that the input names at 0. */
static tt_peer *input_peer(const tt_door *door, tt_error *error) {
  return tt_worker_get_worker(door->worker, tt_scratch_input_string(0), error);
}

/* A turn may ask for much, such as all steps of an epoch: what fills a frame leaves, as it does after calls. */
static int end_request(tt_door *door) {
  tt_worker_flush_full(door->worker);
  return TT_OK;
}

int tt_wasm_send(tt_handle worker, tt_handle tensor, uint32_t metadata_offset, uint32_t metadata_bytes, uint32_t token) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_node *head = door == NULL ? NULL : tt_door_head(tensor, &error);
  tt_peer *peer = head == NULL ? NULL : input_peer(door, &error);
  if (peer == NULL) return tt_scratch_fail(&error);
  tt_metadata metadata = {.tags = NULL};
  tt_status status = tt_metadata_read(tt_scratch_input() + metadata_offset, metadata_bytes, &metadata, &error);
  if (status != TT_OK) return tt_scratch_fail(&error);
  status = tt_worker_send(door->worker, head, peer, tt_wasm_area.id, &metadata, on_answer, context_of(token), &tt_wasm_area.id,
                          &error);
  tt_metadata_release(&metadata);
  return status == TT_OK ? end_request(door) : tt_scratch_fail(&error);
}

int tt_wasm_send_copies(tt_handle worker, tt_handle tensor, uint32_t n_peers, uint32_t metadata_offset, uint32_t metadata_bytes,
                        uint32_t token) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_node *head = door == NULL ? NULL : tt_door_head(tensor, &error);
  if (head == NULL) return tt_scratch_fail(&error);
  tt_peer *peers[TT_MAX_COPIES];
  const char *id = tt_scratch_input_string(0);
  if (n_peers > TT_MAX_COPIES) {
    tt_fail(&error, TT_ERR_ARGUMENT, "send: copies go to at most %d workers", (int)TT_MAX_COPIES);
    return tt_scratch_fail(&error);
  }
  for (uint32_t i = 0; i < n_peers; i++, id += strlen(id) + 1) {
    peers[i] = tt_worker_get_worker(door->worker, id, &error);
    if (peers[i] == NULL) return tt_scratch_fail(&error);
  }
  tt_metadata metadata = {.tags = NULL};
  tt_status status = tt_metadata_read(tt_scratch_input() + metadata_offset, metadata_bytes, &metadata, &error);
  if (status != TT_OK) return tt_scratch_fail(&error);
  status = tt_worker_send_copies(door->worker, head, peers, n_peers, &metadata, on_answer, context_of(token), &error);
  tt_metadata_release(&metadata);
  tt_wasm_area.id = 0; /* there is no one request to cancel */
  return status == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

int tt_wasm_move(tt_handle worker, tt_handle tensor, uint32_t token) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_node *head = door == NULL ? NULL : tt_door_head(tensor, &error);
  tt_peer *peer = head == NULL ? NULL : input_peer(door, &error);
  if (peer == NULL || tt_worker_move(door->worker, head, peer, tt_wasm_area.id, on_answer, context_of(token), &tt_wasm_area.id,
                                     &error) != TT_OK)
    return tt_scratch_fail(&error);
  return end_request(door);
}

typedef tt_status tt_head_request_fn(tt_worker *worker, tt_node *head, tt_answer_fn *done, void *context, uint64_t *request,
                                     tt_error *error);

static int request_of_head(tt_head_request_fn *ask, tt_handle worker, tt_handle tensor, uint32_t token) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_node *head = door == NULL ? NULL : tt_door_head(tensor, &error);
  if (head == NULL || ask(door->worker, head, on_answer, context_of(token), &tt_wasm_area.id, &error) != TT_OK) {
    return tt_scratch_fail(&error);
  }
  return end_request(door);
}

int tt_wasm_get(tt_handle worker, tt_handle tensor, uint32_t token) {
  return request_of_head(tt_worker_get, worker, tensor, token);
}

int tt_wasm_fetch(tt_handle worker, tt_handle tensor, uint32_t token) {
  return request_of_head(tt_worker_fetch, worker, tensor, token);
}

int tt_wasm_query(tt_handle worker, uint32_t query_offset, uint32_t query_bytes, uint32_t token) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_peer *peer = door == NULL ? NULL : input_peer(door, &error);
  if (peer == NULL) return tt_scratch_fail(&error);
  tt_control query = {.form = TT_CONTROL_QUERY};
  tt_status status = tt_control_read(tt_scratch_input() + query_offset, query_bytes, &query, &error);
  if (status != TT_OK) return tt_scratch_fail(&error);
  status = tt_worker_query(door->worker, peer, &query, on_answer, context_of(token), &tt_wasm_area.id, &error);
  tt_control_release(&query);
  return status == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

int tt_wasm_sync(tt_handle worker, uint32_t token) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_peer *peer = door == NULL ? NULL : input_peer(door, &error);
  if (peer == NULL || tt_worker_sync(door->worker, peer, on_answer, context_of(token), &tt_wasm_area.id, &error) != TT_OK) {
    return tt_scratch_fail(&error);
  }
  return TT_OK;
}

void tt_wasm_cancel(tt_handle worker) {
  tt_door *door = tt_door_get(worker, NULL);
  if (door != NULL) tt_worker_cancel(door->worker, tt_wasm_area.id);
}

int tt_wasm_create_pointer(tt_handle worker, int owns) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_peer *peer = door == NULL ? NULL : input_peer(door, &error);
  if (peer == NULL) return tt_scratch_fail(&error);
  tt_meta meta = {.dtype = (tt_dtype)tt_wasm_area.dtype, .shape = {.n_dims = tt_wasm_area.n_dims}};
  if (meta.shape.n_dims != TT_DIMS_UNKNOWN &&
      tt_shape_make(tt_wasm_area.dims, (size_t)meta.shape.n_dims, &meta.shape, &error) != TT_OK) {
    return tt_scratch_fail(&error);
  }
  /* A peer begins with its location (worker/worker.h). */
  tt_node *pointer = tt_pointer_new((tt_location *)(void *)peer, tt_wasm_area.id, &meta, owns != 0, &error);
  if (pointer != NULL && tt_wasm_area.id_there != 0) tt_pointer_set_id_there(pointer, tt_wasm_area.id_there);
  tt_node *head = pointer == NULL ? NULL : tt_head_new(pointer, &error);
  return tt_door_give(head, &tt_wasm_area.results[0], &error) == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

/* ---- connections ---- */

int tt_wasm_websocket_open(tt_handle worker, uint32_t expected_offset) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  if (door == NULL) return tt_scratch_fail(&error);
  const char *expected = expected_offset == 0 ? NULL : tt_scratch_input_string(expected_offset);
  tt_websocket_browser *socket = tt_websocket_browser_open(door->worker, tt_scratch_input_string(0), expected, &error);
  if (socket == NULL) return tt_scratch_fail(&error);
  tt_wasm_area.n_results = (uint32_t)(uintptr_t)socket;
  return TT_OK;
}

void tt_wasm_websocket_close(uint32_t socket) {
  tt_websocket_browser_close((tt_websocket_browser *)(uintptr_t)socket, tt_scratch_input_string(0));
}

static void port_post(void *context, const uint8_t *frame, size_t n_bytes) {
  tt_host_port_post((uint32_t)(uintptr_t)context, frame, n_bytes);
}

static void port_closed(void *context, const char *reason) {
  (void)reason; /* the event has it */
  tt_host_port_closed((uint32_t)(uintptr_t)context);
}

int tt_wasm_port_open(tt_handle worker, uint32_t port, uint32_t flags, int has_expected, int is_own) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  if (door == NULL) return tt_scratch_fail(&error);
  const char *expected = has_expected ? tt_scratch_input_string(0) : NULL;
  tt_message_port_host host = {.context = context_of(port), .post = port_post, .closed = port_closed};
  tt_message_port *opened = tt_message_port_open(door->worker, flags, expected, &host, &error);
  if (opened == NULL) return tt_scratch_fail(&error);
  if (is_own) door->own = tt_worker_get_worker(door->worker, expected, NULL);
  tt_wasm_area.n_results = (uint32_t)(uintptr_t)opened;
  return TT_OK;
}

void tt_wasm_port_receive(uint32_t number, uint32_t n_bytes) {
  tt_message_port_receive((tt_message_port *)(uintptr_t)number, tt_scratch_input(), n_bytes);
}

void tt_wasm_port_lost(uint32_t number) {
  tt_message_port_lost((tt_message_port *)(uintptr_t)number, tt_scratch_input_string(0));
}
