#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "worker/internal.h"

/* ---- the table of open requests ---- */

static tt_request *open_request(tt_worker *worker, tt_peer *peer, tt_request_kind kind, tt_answer_fn *done, void *context,
                                tt_error *error) {
  tt_request *request = tt_alloc(1, sizeof *request);
  /* Random, not counted: the peer's own requests have numbers too, and a DONE does not say whose it means. */
  uint64_t id = tt_random_id();
  while (tt_id_map_get(&worker->requests, id) != NULL) id = tt_random_id();
  if (request == NULL || !tt_id_map_put(&worker->requests, id, request)) {
    tt_free(request);
    tt_fail(error, TT_ERR_MEMORY, "%s has no memory for one more request", worker->id);
    return NULL;
  }
  *request = (tt_request){.id = id, .kind = kind, .peer = peer, .done = done, .context = context, .next = peer->requests};
  if (peer->requests != NULL) peer->requests->previous = request;
  peer->requests = request;
  return request;
}

static void detach_request(tt_worker *worker, tt_request *request) {
  tt_id_map_remove(&worker->requests, request->id);
  if (request->next != NULL) request->next->previous = request->previous;
  if (request->previous != NULL)
    request->previous->next = request->next;
  else
    request->peer->requests = request->next;
}

static void free_request(tt_request *request) {
  tt_node_unref(request->head);
  tt_node_unref(request->pointer);
  tt_node_unref(request->before);
  if (request->parts != NULL) tt_control_release(request->parts);
  tt_free(request->parts);
  tt_free(request);
}

/* One that has asked nothing yet. */
static void close_request(tt_worker *worker, tt_request *request) {
  detach_request(worker, request);
  free_request(request);
}

tt_request *tt_request_find(tt_worker *worker, tt_peer *peer, uint64_t id) {
  tt_request *request = tt_id_map_get(&worker->requests, id);
  return request != NULL && request->peer == peer ? request : NULL;
}

/* Counts anew what the worker's own registered head holds, if it is one. */
static void recount(tt_worker *worker, const tt_node *head) {
  tt_object *object = tt_id_map_get(&worker->store.by_head, (uint64_t)(uintptr_t)head);
  if (object != NULL) tt_store_recount(&worker->store, object);
}

/* ---- how each kind ends ---- */

/* Whether the head still is what it was when it was asked: another request's answer may have changed it meanwhile. */
static bool is_as_asked(const tt_request *request) { return request->head->child == request->pointer; }

static void end_send(tt_worker *worker, tt_request *request, bool succeeded) {
  if (succeeded) {
    /* What was before was a page's pointer to its own worker, which now holds a pointer under the same id: that one goes with the new pointer. */
    if (tt_node_is_pointer(request->before)) tt_pointer_disown(request->before);
  } else if (is_as_asked(request)) {
    tt_pointer_disown(request->pointer);
    tt_head_set_child(request->head, request->before);
    request->before = NULL;
  }
  recount(worker, request->head);
}

static tt_status end_get(tt_worker *worker, tt_request *request, tt_tensor *tensor, tt_error *error) {
  tt_node *pointer = request->pointer;
  tt_node *arrived;
  if (!is_as_asked(request)) {
    return tt_fail(error, TT_ERR_STATE, "get: the tensor has come back from %s already, since it could not be sent there",
                   request->peer->id);
  }
  if (request->is_remote_control) {
    arrived = tt_pointer_new(&request->peer->location, tt_pointer_id(pointer), tt_node_meta(pointer), tt_pointer_owns(pointer),
                             error);
  } else {
    arrived = tt_local_new(tt_tensor_ref(tensor), error);
  }
  if (arrived == NULL) return TT_ERR_MEMORY;
  if (request->takes || request->is_remote_control) tt_pointer_disown(pointer);
  tt_head_set_child(request->head, arrived);
  recount(worker, request->head);
  if (!request->takes) return TT_OK;
  /* It is here: the giver may let go. If this cannot be said the giver is gone anyway. */
  tt_reply_done(request->peer, request->id);
  return TT_OK;
}

bool tt_request_wants_tensor(const tt_request *request) {
  return request->kind == TT_REQUEST_FETCH || (request->kind == TT_REQUEST_GET && !request->is_remote_control);
}

/* Whether a success has what was asked for: the peer chooses how it answers. */
static bool is_fitting(const tt_request *request, const tt_answer *answer) {
  bool wants_tensor = tt_request_wants_tensor(request);
  bool wants_control = request->kind == TT_REQUEST_QUERY;
  const tt_control *control = answer->control;
  if ((answer->tensor != NULL) != wants_tensor || (control != NULL) != wants_control) return false;
  if (!wants_control) return true;
  switch (request->query) {
  case TT_QUERY_WHOAMI:
    return control->has_whoami;
  case TT_QUERY_LIST:
  case TT_QUERY_SEARCH:
    return control->has_objects;
  case TT_QUERY_SHAPE:
    return control->has_meta;
  case TT_QUERY_PRINT:
    return control->text != NULL;
  case TT_QUERY_CONFIGURE:
    break;
  }
  return true;
}

void tt_request_finish(tt_worker *worker, tt_request *request, const tt_answer *answer) {
  tt_wire_error trouble;
  tt_error error;
  tt_answer told = *answer;
  tt_status status = TT_OK;
  if (answer->error == NULL && !is_fitting(request, answer))
    status = tt_fail(&error, TT_ERR_PROTOCOL, "%s answers something else than it was asked", request->peer->id);
  tt_answer_fn *done = request->done;
  void *context = request->context;
  detach_request(worker, request); /* first: what follows may lose the peer, which fails all requests that are open */
  if (request->head != NULL) tt_head_set_busy(request->head, NULL);
  if (request->kind == TT_REQUEST_SEND) end_send(worker, request, answer->error == NULL && status == TT_OK);
  if (request->kind == TT_REQUEST_GET && answer->error == NULL && status == TT_OK)
    status = end_get(worker, request, answer->tensor, &error);
  if (status != TT_OK) {
    tt_wire_error_fill(worker, &trouble, &error);
    told = (tt_answer){.error = &trouble};
  }
  if (done != NULL) done(context, &told);
  free_request(request); /* last: the answer may lie in it */
}

void tt_request_fail_all(tt_peer *peer, const tt_wire_error *error) {
  while (peer->requests != NULL) tt_request_finish(peer->worker, peer->requests, &(tt_answer){.error = error});
}

void tt_request_tensor(tt_peer *peer, uint64_t id, tt_tensor *tensor, const tt_wire_error *error) {
  tt_request *request = tt_request_find(peer->worker, peer, id);
  if (request == NULL) return; /* given up: without a DONE what was taken stays there */
  tt_request_finish(peer->worker, request, &(tt_answer){.tensor = tensor, .error = error});
}

tt_status tt_request_answered(tt_peer *peer, tt_control *control, size_t n_bytes, tt_error *error) {
  tt_worker *worker = peer->worker;
  if (control->form == TT_CONTROL_FAILURE) {
    tt_worker_tell(worker, &(tt_event){.type = TT_EVENT_FAILURE,
                                       .peer = peer->id,
                                       .text = control->error.op,
                                       .error = &control->error,
                                       .ids = control->results,
                                       .n_results = control->n_results,
                                       .is_ours = true});
    return TT_OK;
  }
  tt_request *request = tt_request_find(worker, peer, control->request);
  if (request == NULL) return TT_OK;
  if (control->form == TT_CONTROL_ERROR) {
    tt_request_finish(worker, request, &(tt_answer){.error = &control->error});
    return TT_OK;
  }
  request->n_part_bytes += n_bytes;
  if (request->n_part_bytes > TT_MAX_ANSWER_BYTES)
    return tt_fail(error, TT_ERR_PROTOCOL, "an answer of %s that does not end", peer->id);
  if (request->parts == NULL && !control->has_more) {
    tt_request_finish(worker, request, &(tt_answer){.control = control});
    return TT_OK;
  }
  if (request->parts == NULL) {
    request->parts = tt_alloc(1, sizeof *request->parts);
    if (request->parts == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for the answer of %s", peer->id);
    *request->parts = *control;
    *control = (tt_control){.form = TT_CONTROL_ANSWER};
    return TT_OK;
  }
  TT_TRY(tt_control_join(request->parts, control, error));
  if (!request->parts->has_more) tt_request_finish(worker, request, &(tt_answer){.control = request->parts});
  return TT_OK;
}

void tt_worker_cancel(tt_worker *worker, uint64_t id) {
  tt_request *request = tt_id_map_get(&worker->requests, id);
  if (request == NULL) return;
  /* A send is not undone by giving up: the tensor is on its way. Only the waiting ends. */
  tt_error told;
  tt_fail(&told, TT_ERR_ABORTED, "gave up waiting for %s", request->peer->id);
  tt_wire_error error;
  tt_wire_error_fill(worker, &error, &told);
  if (request->kind == TT_REQUEST_SEND) {
    tt_answer_fn *done = request->done;
    void *context = request->context;
    request->done = NULL;
    if (done != NULL) done(context, &(tt_answer){.error = &error});
    return;
  }
  tt_request_finish(worker, request, &(tt_answer){.error = &error});
}

/* ---- asking ---- */

static tt_status check_head(const tt_node *head, const char *verb, tt_error *error) {
  if (head->kind != &tt_kind_head)
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: only the head of a chain can be sent or got", verb);
  const char *busy = tt_head_busy(head);
  return busy == NULL ? TT_OK : tt_fail(error, TT_ERR_STATE, "%s: the tensor %s; await that first", verb, busy);
}

/* The question is queued, or could not be: then there is no request. */
static tt_status asked(tt_worker *worker, tt_request *request, tt_status status, uint64_t *request_out) {
  if (status != TT_OK)
    close_request(worker, request);
  else if (request_out != NULL)
    *request_out = request->id;
  return status;
}

tt_status tt_worker_send(tt_worker *worker, tt_node *head, tt_peer *peer, uint64_t id, const tt_metadata *metadata,
                         tt_answer_fn *done, void *context, uint64_t *request_out, tt_error *error) {
  TT_TRY(check_head(head, "send", error));
  tt_node *before = head->child;
  tt_tensor *tensor = tt_local_tensor(before);
  bool is_remote_control =
      tensor == NULL && peer->via != NULL && tt_node_is_pointer(before) && tt_pointer_location(before) == &peer->via->location;
  if (tensor == NULL && !is_remote_control) {
    const char *where = tt_node_is_pointer(before) ? tt_pointer_location(before)->id : "elsewhere";
    return tt_fail(error, TT_ERR_STATE,
                   strcmp(where, peer->id) == 0 ? "send: the tensor is at %s already"
                                                : "send: the tensor is at %s; get it before sending it on",
                   where);
  }
  if (tensor != NULL && peer->via != NULL) {
    return tt_fail(error, TT_ERR_STATE, "send: %s is reached through %s; send the tensor there first", peer->id, peer->via->id);
  }
  if (peer->via != NULL && !peer->is_present) return tt_fail(error, TT_ERR_CONNECTION, "%s is not connected", peer->id);
  /* A page's object keeps its id on the way, so that one id names it at the page, at its worker and at the other end. */
  if (is_remote_control)
    id = tt_pointer_id(before);
  else if (id == 0)
    id = tt_random_id();

  tt_peer *through = is_remote_control ? peer->via : peer;
  tt_node *pointer = tt_pointer_new(&peer->location, id, tt_node_meta(before), false, error);
  if (pointer == NULL) return TT_ERR_MEMORY;
  tt_request *request = open_request(worker, through, TT_REQUEST_SEND, done, context, error);
  tt_status status = request == NULL ? TT_ERR_MEMORY : TT_OK;
  if (status == TT_OK && is_remote_control) {
    tt_buffer *run;
    size_t start;
    status = tt_stream_begin_record(through, &run, &start, error);
    if (status == TT_OK) {
      tt_run_write_send(run, request->id, id, id, tt_name_of(peer->id));
      status = tt_stream_end_record(through, start, error);
    }
  } else if (status == TT_OK) {
    const tt_data_header header = {.transfer = request->id,
                                   .object = id,
                                   .form = TT_DATA_TENSOR,
                                   .meta = tensor->operand.meta,
                                   .total_bytes =
                                       (uint64_t)tt_tensor_n_elements(tensor) * tt_dtype_bytes(tt_tensor_dtype(tensor))};
    status = tt_stream_send_tensor(peer, tensor, &header, metadata, error);
  }
  if (status != TT_OK) {
    if (request != NULL) close_request(worker, request);
    tt_node_unref(pointer);
    return status;
  }
  request->head = tt_node_ref(head);
  request->pointer = tt_node_ref(pointer);
  request->before = tt_node_ref(before);
  request->is_remote_control = is_remote_control;
  tt_pointer_own(pointer);
  tt_head_set_child(head, pointer);
  if (request_out != NULL) *request_out = request->id;
  return TT_OK;
}

tt_status tt_worker_get(tt_worker *worker, tt_node *head, tt_answer_fn *done, void *context, uint64_t *request_out,
                        tt_error *error) {
  TT_TRY(check_head(head, "get", error));
  tt_node *pointer = head->child;
  if (!tt_node_is_pointer(pointer)) return tt_fail(error, TT_ERR_STATE, "get: the tensor is here already");
  tt_peer *peer = tt_peer_of_location(tt_pointer_location(pointer));
  tt_peer *through = peer->via != NULL ? peer->via : peer;
  tt_buffer *run;
  size_t start;
  TT_TRY(tt_stream_begin_record(through, &run, &start, error));
  tt_request *request = open_request(worker, through, TT_REQUEST_GET, done, context, error);
  if (request == NULL) return TT_ERR_MEMORY;
  request->is_remote_control = peer->via != NULL;
  request->takes = !request->is_remote_control && tt_pointer_owns(pointer);
  if (request->is_remote_control)
    tt_run_write_pull(run, request->id, tt_pointer_id(pointer));
  else
    tt_run_write_fetch(run, request->takes ? TT_FETCH_TAKE : 0, request->id, tt_pointer_id(pointer));
  TT_TRY(asked(worker, request, tt_stream_end_record(through, start, error), request_out));
  request->head = tt_node_ref(head);
  request->pointer = tt_node_ref(pointer);
  snprintf(request->busy, sizeof request->busy, "is on its way here from %s", peer->id);
  tt_head_set_busy(head, request->busy);
  return TT_OK;
}

tt_status tt_worker_fetch(tt_worker *worker, tt_node *head, tt_answer_fn *done, void *context, uint64_t *request_out,
                          tt_error *error) {
  TT_TRY(check_head(head, "fetch", error));
  tt_node *pointer = tt_node_tail(head);
  if (!tt_node_is_pointer(pointer)) return tt_fail(error, TT_ERR_STATE, "fetch: the tensor is here already");
  tt_peer *peer = tt_peer_of_location(tt_pointer_location(pointer));
  if (peer->via != NULL) return tt_fail(error, TT_ERR_STATE, "fetch: the tensor is at %s; get it first", peer->id);
  tt_buffer *run;
  size_t start;
  TT_TRY(tt_stream_begin_record(peer, &run, &start, error));
  tt_request *request = open_request(worker, peer, TT_REQUEST_FETCH, done, context, error);
  if (request == NULL) return TT_ERR_MEMORY;
  tt_run_write_fetch(run, 0, request->id, tt_pointer_id(pointer));
  return asked(worker, request, tt_stream_end_record(peer, start, error), request_out);
}

tt_status tt_worker_query(tt_worker *worker, tt_peer *peer, tt_control *query, tt_answer_fn *done, void *context,
                          uint64_t *request_out, tt_error *error) {
  tt_request *request = open_request(worker, peer, TT_REQUEST_QUERY, done, context, error);
  if (request == NULL) return TT_ERR_MEMORY;
  query->form = TT_CONTROL_QUERY;
  query->request = request->id;
  request->query = query->query;
  return asked(worker, request, tt_stream_send_control(peer, query, error), request_out);
}

tt_status tt_worker_sync(tt_worker *worker, tt_peer *peer, tt_answer_fn *done, void *context, uint64_t *request_out,
                         tt_error *error) {
  tt_buffer *run;
  size_t start;
  TT_TRY(tt_stream_begin_record(peer, &run, &start, error));
  tt_request *request = open_request(worker, peer, TT_REQUEST_SYNC, done, context, error);
  if (request == NULL) return TT_ERR_MEMORY;
  tt_run_write_sync(run, request->id);
  return asked(worker, request, tt_stream_end_record(peer, start, error), request_out);
}
