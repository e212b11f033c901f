#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "chain/kind.h"
#include "chain/multi_pointer.h"
#include "chain/variable.h"
#include "worker/internal.h"

/* ---- the table of open requests ---- */

tt_request *tt_request_open(tt_worker *worker, tt_peer *peer, tt_request_kind kind, tt_answer_fn *done, void *context,
                            tt_error *error) {
  tt_request *request = tt_alloc_object(sizeof *request);
  /* Random, not counted: the peer's own requests have numbers too, and a DONE does not say whose it means. */
  uint64_t id = tt_random_id();
  void *there = NULL;
  while (request != NULL && (there = tt_id_map_add(&worker->requests, id, request)) != NULL && there != request)
    id = tt_random_id();
  if (there == NULL) {
    tt_free_object(request, sizeof *request);
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
  tt_node_unref(request->arrived);
  if (request->parts != NULL) tt_control_release(request->parts);
  tt_free(request->parts);
  tt_free_object(request, sizeof *request);
}

void tt_request_close(tt_worker *worker, tt_request *request) {
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
static bool is_as_asked(const tt_request *request) { return tt_kind_below(request->head->child) == request->pointer; }

/* What has arrived, with the kinds that it had there: they stand below those that the head has here. */
static tt_node *with_kinds(const tt_request *request, tt_node *take_arrived, const tt_metadata *metadata, tt_error *error) {
  const char *const *names = (const char *const *)(const void *)metadata->chain;
  tt_node *arrived = tt_kind_build(names, metadata->n_chain, take_arrived, error);
  if (arrived == NULL || metadata->n_chain == 0) return arrived;
  const tt_node *lowest = tt_kind_lowest(request->head);
  if (lowest == NULL || lowest->kind->rank > arrived->kind->rank) return arrived;
  tt_fail(error, TT_ERR_STATE,
          "get: the tensor at %s has a %s, which cannot stand below the %s that it has here: unwrap it first",
          request->peer->id, arrived->kind->name, lowest->kind->name);
  tt_node_unref(arrived);
  return NULL;
}

/* The head has been sent on meanwhile: should that fail too, what comes back is what comes back now. */
static void give_back_later(tt_worker *worker, tt_request *request) {
  size_t cursor = 0;
  for (tt_request *other; (other = tt_id_map_next(&worker->requests, &cursor, NULL)) != NULL;) {
    if (other->kind != TT_REQUEST_SEND || other->head != request->head || other->before != request->pointer) continue;
    if (!request->is_promised) tt_pointer_disown(request->pointer);
    tt_node_unref(other->before);
    other->before = request->before;
    request->before = NULL;
    return;
  }
}

static void end_send(tt_worker *worker, tt_request *request, bool succeeded) {
  if (succeeded) {
    /* What was before was a page's pointer to its own worker, which now holds a pointer under the same id: that one goes with the new pointer. */
    if (tt_node_is_pointer(request->before)) tt_pointer_disown(request->before);
  } else if (is_as_asked(request)) {
    /* There is nothing there; where something was promised, its failure is to be freed. */
    if (!request->is_promised) tt_pointer_disown(request->pointer);
    tt_kind_set_below(request->head, request->before);
    request->before = NULL;
  } else {
    give_back_later(worker, request);
  }
  recount(worker, request->head);
}

static tt_status end_get(tt_worker *worker, tt_request *request, const tt_answer *answer, tt_error *error) {
  tt_tensor *tensor = answer->tensor;
  tt_node *pointer = request->pointer;
  tt_node *arrived;
  if (!is_as_asked(request)) {
    return tt_fail(error, TT_ERR_STATE, "get: the tensor has come back from %s already, since it could not be sent there",
                   request->peer->id);
  }
  if (request->arrived != NULL) {
    arrived = request->arrived;
    request->arrived = NULL;
    if (!request->is_remote_control || tt_pointer_owns(pointer)) tt_pointer_own(tt_node_tail(arrived));
  } else if (request->is_remote_control) {
    arrived = tt_pointer_new(&request->peer->location, tt_pointer_id(pointer), tt_node_meta(pointer), tt_pointer_owns(pointer),
                             error);
    if (arrived != NULL) tt_pointer_copy_gradient(arrived, pointer);
  } else {
    tt_tensor *gradient = answer->gradient == NULL ? NULL : tt_tensor_ref(answer->gradient);
    arrived = tt_parcel_open(worker, tt_tensor_ref(tensor), gradient, answer->requires_grad, error);
    if (arrived != NULL) arrived = with_kinds(request, arrived, request->metadata, error);
  }
  if (arrived == NULL) return error->status;
  if (request->takes || request->is_remote_control) tt_pointer_disown(pointer);
  tt_kind_set_below(request->head, arrived);
  recount(worker, request->head);
  if (!request->takes || tensor == NULL) return TT_OK;
  /* It is here: the giver may let go, and nobody waits until he does. If this cannot be said the giver is gone anyway. */
  tt_reply_done_later(request->peer, request->id);
  return TT_OK;
}

/* A pointer that has arrived is the peer's until its DONE, which ends the request. */
static bool wants_tensor(const tt_request *request) {
  return request->kind == TT_REQUEST_FETCH ||
         (request->kind == TT_REQUEST_GET && !request->is_remote_control && request->arrived == NULL);
}

bool tt_request_wants(const tt_request *request, tt_data_form form) {
  if (form == TT_DATA_TENSOR) return wants_tensor(request);
  return request->kind == TT_REQUEST_GET && request->arrived == NULL && (request->takes || request->is_remote_control);
}

/* Whether a success has what was asked for: the peer chooses how it answers. */
static bool is_fitting(const tt_request *request, const tt_answer *answer) {
  bool wants_control = request->kind == TT_REQUEST_QUERY;
  const tt_control *control = answer->control;
  if ((answer->tensor != NULL) != wants_tensor(request) || (control != NULL) != wants_control) return false;
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
    status = end_get(worker, request, answer, &error);
  /* The peer is gone and has perhaps made it ours before. If not, it goes with the peer. */
  if (request->arrived != NULL && answer->error != NULL && answer->error->error.status == TT_ERR_CONNECTION &&
      is_as_asked(request))
    (void)end_get(worker, request, &(tt_answer){0}, NULL);
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

void tt_request_tensor(tt_peer *peer, uint64_t id, const tt_metadata *metadata, const tt_answer *answer) {
  tt_request *request = tt_request_find(peer->worker, peer, id);
  if (request == NULL) return; /* given up: without a DONE what was taken stays there */
  request->metadata = metadata;
  tt_request_finish(peer->worker, request, answer);
}

/* What the head is going to point to. */
static tt_node *point_to(tt_worker *worker, tt_request *request, const tt_meta *meta, const tt_metadata *metadata,
                         tt_error *error) {
  tt_peer *peer = tt_worker_find_peer(worker, tt_name_of(metadata->location));
  if (request->is_remote_control) {
    /* The page's own worker knows it, and will tell that it has joined, if it has not: then commands go there. */
    if (peer == NULL) peer = tt_worker_make_peer(worker, tt_name_of(metadata->location), error);
    if (peer != NULL && peer->via == NULL && peer != request->peer) {
      peer->via = request->peer;
      tt_location_ref(&peer->via->location);
    }
    tt_node *pointer =
        peer == NULL ? NULL : tt_pointer_new(&peer->location, tt_pointer_id(request->pointer), meta, false, error);
    if (pointer != NULL) tt_pointer_set_id_there(pointer, metadata->location_id);
    return pointer;
  }
  if (peer == NULL || !peer->is_present) {
    tt_fail(error, TT_ERR_UNKNOWN_WORKER,
            "get: what the tensor at %s points to is at %.64s, which %s does not know; it stays where it is", request->peer->id,
            metadata->location, worker->id);
    return NULL;
  }
  return tt_pointer_new(&peer->location, metadata->location_id, meta, false, error);
}

void tt_request_pointer(tt_peer *peer, const tt_data_header *header, const tt_metadata *metadata) {
  tt_worker *worker = peer->worker;
  uint64_t id = header->transfer;
  tt_request *request = tt_request_find(worker, peer, id);
  if (request == NULL) return;
  tt_error error;
  request->arrived = point_to(worker, request, &header->meta, metadata, &error);
  if (request->arrived != NULL) tt_pointer_set_requires_grad(request->arrived, header->requires_grad);
  if (request->arrived != NULL) request->arrived = with_kinds(request, request->arrived, metadata, &error);
  if (request->arrived == NULL) {
    tt_wire_error wire;
    tt_wire_error_fill(worker, &wire, &error);
    tt_request_finish(worker, request, &(tt_answer){.error = &wire});
  } else if (request->is_remote_control) {
    tt_request_finish(worker, request, &(tt_answer){0});
  } else {
    tt_reply_done(peer, id); /* and then it says that it has made us the owner */
  }
}

tt_status tt_request_answered(tt_peer *peer, tt_control *control, size_t n_bytes, tt_error *error) {
  tt_worker *worker = peer->worker;
  if (control->form == TT_CONTROL_FAILURE) {
    if (tt_pass_failure(peer, control)) return TT_OK;
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
  /* A send is not undone by giving up (the tensor is on its way), nor is a get that has been agreed to. Only the waiting ends. */
  tt_error told;
  tt_fail(&told, TT_ERR_ABORTED, "gave up waiting for %s", request->peer->id);
  tt_wire_error error;
  tt_wire_error_fill(worker, &error, &told);
  if (request->kind == TT_REQUEST_SEND || request->arrived != NULL) {
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
    tt_request_close(worker, request);
  else if (request_out != NULL)
    *request_out = request->id;
  return status;
}

/* How a head is to go where it is to go. */
typedef struct tt_passage {
  tt_peer *to;
  tt_peer *through;   /* who is asked */
  uint64_t id;        /* that commands call it by from then on */
  uint64_t id_there;  /* that it has there */
  uint8_t send_flags; /* of the SEND, where one is asked to give */
  tt_tensor *tensor;  /* here; NULL when it is at another worker */
  bool is_remote_control;
} tt_passage;

static tt_peer *holder_of(const tt_node *node) {
  return tt_node_is_pointer(node) ? tt_peer_of_location(tt_pointer_location(node)) : NULL;
}

/* A page has its own worker do it, which keeps an object of the same id. */
static tt_status plan_for_page(const tt_node *before, tt_peer *to, uint64_t id, tt_passage *passage, tt_error *error) {
  tt_peer *own = to->via;
  passage->is_remote_control = true;
  passage->through = own;
  if (!to->is_present) return tt_fail(error, TT_ERR_CONNECTION, "%s is not connected", to->id);
  if (!tt_node_is_pointer(before)) {
    return tt_fail(error, TT_ERR_STATE, "send: %s is reached through %s; send the tensor there first", to->id, own->id);
  }
  const tt_peer *holder = tt_peer_of_location(tt_pointer_location(before));
  if (holder != own && holder->via != own) {
    return tt_fail(error, TT_ERR_STATE, "send: the tensor is at %s, which is not reached through %s", holder->id, own->id);
  }
  passage->id = tt_pointer_id(before);
  /* One id names it at the page, at its worker and at the other end, unless it has been elsewhere before: there may be one of that id. */
  passage->id_there = id != 0 ? id : holder == own ? passage->id : tt_random_id();
  return TT_OK;
}

static tt_status plan(const tt_worker *worker, const tt_node *before, tt_peer *to, uint64_t id, bool is_move,
                      tt_passage *passage, tt_error *error) {
  const tt_node *data = before->kind == &tt_kind_variable ? before->child : before;
  *passage = (tt_passage){.to = to, .through = to, .tensor = tt_local_tensor(data)};
  const tt_peer *holder = holder_of(before);
  if (holder == to) return tt_fail(error, TT_ERR_STATE, "send: the tensor is at %s already", to->id);
  if (is_move) passage->send_flags = TT_SEND_MOVE;
  if (to->via != NULL) return plan_for_page(before, to, id, passage, error);
  passage->id = passage->id_there = id != 0 ? id : tt_random_id();
  if (passage->tensor != NULL) return TT_OK;
  if (holder == NULL) return tt_fail(error, TT_ERR_STATE, "send: a %s cannot be sent; get it first", before->kind->name);
  if (holder->via != NULL) {
    return tt_fail(error, TT_ERR_STATE, "send: the tensor is at %s; get() brings it to %s", holder->id, to->id);
  }
  if (!tt_pointer_owns(before)) {
    return tt_fail(error, TT_ERR_POLICY, "send: %s only borrows what is at %s: its owner sends it", worker->id, holder->id);
  }
  if (!is_move) passage->send_flags = TT_SEND_POINTER;
  passage->through = tt_peer_of_location(tt_pointer_location(before));
  return TT_OK;
}

/* PROMISE to the receiver and SEND to whoever has it: see PROTOCOL.md, "Promises". */
static tt_status ask_to_give(const tt_passage *passage, uint64_t request, uint64_t object, tt_error *error) {
  tt_buffer *run;
  size_t start;
  if (!passage->is_remote_control) {
    TT_TRY(tt_stream_begin_record(passage->through, &run, &start, error)); /* nobody is to wait for what cannot be asked for */
    TT_TRY(tt_stream_begin_record(passage->to, &run, &start, error));
    tt_run_write_promise(run, passage->id_there, tt_name_of(passage->through->id));
    TT_TRY(tt_stream_end_record(passage->to, start, error));
  }
  tt_status status = tt_stream_begin_record(passage->through, &run, &start, error);
  if (status == TT_OK) {
    tt_run_write_send(run, passage->send_flags, request, object, passage->id_there, tt_name_of(passage->to->id));
    status = tt_stream_end_record(passage->through, start, error);
  }
  if (status == TT_OK || passage->is_remote_control) return status;
  passage->to->location.ops->free_object(&passage->to->location, passage->id_there);
  return status;
}

static tt_status send_on(tt_worker *worker, tt_node *head, tt_peer *to, uint64_t id, const tt_metadata *metadata, bool is_move,
                         tt_answer_fn *done, void *context, uint64_t *request_out, tt_error *error) {
  TT_TRY(check_head(head, "send", error));
  tt_node *before = tt_kind_below(head->child);
  tt_passage passage;
  TT_TRY(plan(worker, before, to, id, is_move, &passage, error));
  /* A tensor goes with its kinds; over a pointer they stay, and what is below them goes on. */
  tt_node *chain = passage.tensor != NULL ? head->child : NULL;
  /* A pointer may go on alone; its data's history stays with the data. */
  bool data_leaves = is_move || passage.tensor != NULL || (passage.is_remote_control && passage.through == holder_of(before));
  if (data_leaves) TT_TRY(tt_parcel_check(head, is_move ? "move" : "send", error));
  tt_node *pointer = tt_pointer_new(&to->location, passage.id, tt_node_meta(before), false, error);
  if (pointer == NULL) return TT_ERR_MEMORY;
  tt_pointer_set_id_there(pointer, passage.id_there);
  if (tt_node_is_pointer(before))
    tt_pointer_copy_gradient(pointer, before);
  else
    tt_pointer_set_requires_grad(pointer, tt_node_gradient(head).requires_grad);
  tt_request *request = tt_request_open(worker, passage.through, TT_REQUEST_SEND, done, context, error);
  tt_status status = request == NULL ? TT_ERR_MEMORY : TT_OK;
  if (status == TT_OK && passage.tensor != NULL) {
    const tt_parcel parcel = tt_parcel_of(head, true);
    const tt_data_header header = {.transfer = request->id, .object = passage.id};
    status = tt_stream_send_tensor(to, &parcel, &header, metadata, error);
  } else if (status == TT_OK) {
    status = ask_to_give(&passage, request->id, tt_pointer_id(before), error);
  }
  if (status != TT_OK) {
    if (request != NULL) tt_request_close(worker, request);
    tt_node_unref(pointer);
    return status;
  }
  request->head = tt_node_ref(head);
  request->pointer = tt_node_ref(pointer);
  request->before = tt_node_ref(chain != NULL ? chain : before);
  request->is_remote_control = passage.is_remote_control;
  request->is_promised = passage.tensor == NULL && !passage.is_remote_control;
  tt_pointer_own(pointer);
  if (chain != NULL)
    tt_head_set_child(head, pointer);
  else
    tt_kind_set_below(head, pointer);
  if (request_out != NULL) *request_out = request->id;
  return TT_OK;
}

tt_status tt_worker_send(tt_worker *worker, tt_node *head, tt_peer *peer, uint64_t id, const tt_metadata *metadata,
                         tt_answer_fn *done, void *context, uint64_t *request, tt_error *error) {
  return send_on(worker, head, peer, id, metadata, false, done, context, request, error);
}

tt_status tt_worker_move(tt_worker *worker, tt_node *head, tt_peer *peer, uint64_t id, tt_answer_fn *done, void *context,
                         uint64_t *request, tt_error *error) {
  return send_on(worker, head, peer, id, NULL, true, done, context, request, error);
}

tt_status tt_worker_get(tt_worker *worker, tt_node *head, tt_answer_fn *done, void *context, uint64_t *request_out,
                        tt_error *error) {
  TT_TRY(check_head(head, "get", error));
  tt_node *pointer = tt_kind_below(head->child);
  if (tt_node_is_multi_pointer(pointer))
    return tt_fail(error, TT_ERR_STATE, "get: a multi-pointer stands for several copies; get each of them");
  if (!tt_node_is_pointer(pointer)) return tt_fail(error, TT_ERR_STATE, "get: the tensor is here already");
  tt_peer *peer = tt_peer_of_location(tt_pointer_location(pointer));
  tt_peer *through = peer->via != NULL ? peer->via : peer;
  tt_buffer *run;
  size_t start;
  TT_TRY(tt_stream_begin_record(through, &run, &start, error));
  tt_request *request = tt_request_open(worker, through, TT_REQUEST_GET, done, context, error);
  if (request == NULL) return TT_ERR_MEMORY;
  request->is_remote_control = peer->via != NULL;
  request->takes = !request->is_remote_control && tt_pointer_owns(pointer);
  if (request->is_remote_control)
    tt_run_write_pull(run, request->id, tt_pointer_id(pointer));
  else
    tt_run_write_fetch(run, TT_FETCH_GRADIENTS | (request->takes ? TT_FETCH_TAKE : 0), request->id, tt_pointer_id(pointer));
  TT_TRY(asked(worker, request, tt_stream_end_record(through, start, error), request_out));
  request->head = tt_node_ref(head);
  request->pointer = tt_node_ref(pointer);
  tt_say_busy(request->busy, "is on its way here from ", peer->id);
  tt_head_set_busy(head, request->busy);
  return TT_OK;
}

tt_status tt_worker_fetch(tt_worker *worker, tt_node *head, tt_answer_fn *done, void *context, uint64_t *request_out,
                          tt_error *error) {
  TT_TRY(check_head(head, "fetch", error));
  tt_node *pointer = tt_node_tail(head);
  if (!tt_node_is_pointer(pointer)) return tt_fail(error, TT_ERR_STATE, "fetch: the tensor is here already");
  tt_peer *peer = tt_peer_of_location(tt_pointer_location(pointer));
  if (peer->via != NULL) peer = peer->via; /* a page's own worker has the pointer, and passes on what it points to */
  tt_buffer *run;
  size_t start;
  TT_TRY(tt_stream_begin_record(peer, &run, &start, error));
  tt_request *request = tt_request_open(worker, peer, TT_REQUEST_FETCH, done, context, error);
  if (request == NULL) return TT_ERR_MEMORY;
  tt_run_write_fetch(run, 0, request->id, tt_pointer_id(pointer));
  return asked(worker, request, tt_stream_end_record(peer, start, error), request_out);
}

tt_status tt_worker_query(tt_worker *worker, tt_peer *peer, tt_control *query, tt_answer_fn *done, void *context,
                          uint64_t *request_out, tt_error *error) {
  tt_request *request = tt_request_open(worker, peer, TT_REQUEST_QUERY, done, context, error);
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
  tt_request *request = tt_request_open(worker, peer, TT_REQUEST_SYNC, done, context, error);
  if (request == NULL) return TT_ERR_MEMORY;
  tt_run_write_sync(run, request->id);
  return asked(worker, request, tt_stream_end_record(peer, start, error), request_out);
}
