#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "chain/variable.h"
#include "worker/internal.h"

/* A request of a peer's that waits for the answer of somebody else. */
typedef struct tt_errand {
  tt_peer *peer; /* who asked; one reference to its location */
  uint64_t request;
  uint64_t object;
  uint64_t object_there; /* of a gift */
  tt_peer *to;           /* of a gift; one reference to its location, NULL else */
  tt_node *head;         /* the object's; one reference, NULL when it does not matter */
  bool is_move;          /* of a gift */
  tt_busy_text busy;     /* what the head says while it waits */
} tt_errand;

static tt_errand *begin_errand(tt_peer *peer, uint64_t request, const tt_object *object, tt_error *error) {
  if (peer->n_errands >= TT_MAX_OPEN_REQUESTS) {
    tt_fail(error, TT_ERR_FULL, "%zu requests of %s wait for answers of others already", peer->n_errands, peer->id);
    return NULL;
  }
  tt_errand *errand = tt_alloc_object(sizeof *errand);
  if (errand == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "%s has no memory for one more request", peer->worker->id);
    return NULL;
  }
  *errand = (tt_errand){.peer = peer, .request = request, .object = object->id, .head = tt_node_ref(object->head)};
  tt_location_ref(&peer->location);
  peer->n_errands++;
  return errand;
}

static void end_errand(tt_errand *errand) {
  errand->peer->n_errands--;
  tt_node_unref(errand->head);
  if (errand->to != NULL) tt_location_unref(&errand->to->location);
  tt_location_unref(&errand->peer->location);
  tt_free_object(errand, sizeof *errand);
}

/* The object that it is about; NULL when it has gone meanwhile. */
static tt_object *object_of(const tt_errand *errand) {
  tt_object *object = tt_store_find(&errand->peer->worker->store, errand->object);
  return object != NULL && object->head == errand->head ? object : NULL;
}

static void answer_errand(const tt_errand *errand, const tt_answer *answer) {
  if (answer->error != NULL)
    tt_reply_error(errand->peer, errand->request, answer->error);
  else
    tt_reply_done(errand->peer, errand->request);
}

/* ---- what a page asks its own worker to do ---- */

static void sent_for_page(void *context, const tt_answer *answer) {
  tt_errand *errand = context;
  if (errand->peer->worker != NULL) {
    tt_object *object = object_of(errand);
    if (object != NULL) tt_store_recount(&errand->peer->worker->store, object);
    answer_errand(errand, answer);
  }
  end_errand(errand);
}

static void brought_home(void *context, const tt_answer *answer) {
  tt_errand *errand = context;
  if (errand->peer->worker != NULL) {
    tt_object *object = object_of(errand);
    if (object != NULL) tt_store_recount(&errand->peer->worker->store, object);
    tt_error trouble;
    if (answer->error != NULL || !tt_node_is_pointer(tt_node_tail(errand->head)))
      answer_errand(errand, answer);
    else if (tt_show_pointer(errand->peer, errand->request, errand->head, &trouble) != TT_OK)
      tt_reply_plain_error(errand->peer, errand->request, &trouble);
  }
  end_errand(errand);
}

static tt_status check_page(const tt_peer *peer, tt_error *error) {
  if (tt_asker_of(peer) == NULL) return TT_OK;
  return tt_fail(error, TT_ERR_POLICY, "only %s's own page may have it send or get for it", peer->worker->id);
}

static tt_status send_for_page(tt_peer *peer, const tt_record *record, tt_object *object, tt_peer *to, tt_error *error) {
  tt_worker *worker = peer->worker;
  tt_errand *errand = begin_errand(peer, record->request, object, error);
  if (errand == NULL) return error->status;
  tt_status status = record->flags & TT_SEND_MOVE
                         ? tt_worker_move(worker, object->head, to, record->object_there, sent_for_page, errand, NULL, error)
                         : tt_worker_send(worker, object->head, to, record->object_there, &object->metadata, sent_for_page,
                                          errand, NULL, error);
  if (status != TT_OK) end_errand(errand);
  return status;
}

tt_status tt_bring_home(tt_peer *peer, const tt_record *record, tt_object *object, tt_error *error) {
  TT_TRY(check_page(peer, error));
  tt_errand *errand = begin_errand(peer, record->request, object, error);
  if (errand == NULL) return error->status;
  tt_status status = tt_worker_get(peer->worker, object->head, brought_home, errand, NULL, error);
  if (status != TT_OK) end_errand(errand);
  return status;
}

/* ---- giving to another worker on the owner's word ---- */

void tt_object_set_owner(tt_object *object, tt_peer *owner) {
  object->owner->n_objects--;
  owner->n_objects++;
  object->owner = owner;
}

static void given(void *context, const tt_answer *answer) {
  tt_errand *errand = context;
  tt_worker *worker = errand->peer->worker;
  if (worker != NULL) {
    tt_object *object = object_of(errand);
    if (errand->is_move && object != NULL) {
      tt_head_set_busy(object->head, NULL);
      if (answer->error == NULL) tt_worker_forget_object(worker, object, "moved");
    } else if (object != NULL && answer->error != NULL && object->owner == errand->to) {
      tt_object_set_owner(object, errand->peer);
    }
    answer_errand(errand, answer);
  }
  end_errand(errand);
}

void tt_give_up(tt_peer *peer, const tt_record *record, const tt_error *error) {
  tt_worker *worker = peer->worker;
  tt_peer *to = worker == NULL ? NULL : tt_worker_find_peer(worker, record->worker);
  if (to == NULL || !to->is_present || record->flags == 0 || tt_asker_of(peer) == NULL) return;
  tt_control control = {.form = TT_CONTROL_BROKEN, .object = record->object_there, .metadata = {.promised_by = peer->id}};
  tt_wire_error_fill(worker, &control.error, error);
  (void)tt_stream_send_control(to, &control, NULL); /* else it gives up by itself in a while */
}

/* DATA to the new holder: the tensor, or a pointer to the object here. */
static tt_status deliver(tt_peer *peer, tt_errand *errand, tt_object *object, uint64_t transfer, tt_error *error) {
  tt_worker *worker = peer->worker;
  tt_data_header header = {.transfer = transfer,
                           .object = errand->object_there,
                           .form = TT_DATA_POINTER,
                           .fulfils = true,
                           .meta = *tt_node_meta(object->head),
                           .requires_grad = tt_node_gradient(object->head).requires_grad};
  if (!errand->is_move) {
    const tt_metadata metadata = {.location = worker->id, .location_id = object->id, .promised_by = peer->id};
    return tt_stream_send_pointer(errand->to, NULL, &header, &metadata, error);
  }
  tt_metadata metadata = object->metadata; /* borrowed */
  metadata.promised_by = peer->id;
  const tt_parcel parcel = tt_parcel_of(object->head, true);
  return tt_stream_send_tensor(errand->to, &parcel, &header, &metadata, error);
}

static tt_status give_away(tt_peer *peer, const tt_record *record, tt_object *object, tt_peer *to, tt_error *error) {
  tt_worker *worker = peer->worker;
  bool is_move = (record->flags & TT_SEND_MOVE) != 0;
  const char *busy = tt_head_busy(object->head);
  if (busy != NULL) return tt_fail(error, TT_ERR_STATE, "object %" PRIu64 " %s", object->id, busy);
  if (object->owner != peer) {
    return tt_fail(error, TT_ERR_POLICY, "object %" PRIu64 " at %s is not %s's to give away", object->id, worker->id, peer->id);
  }
  if (is_move) {
    TT_TRY(tt_store_read(&worker->store, object->id, peer, TT_ACCESS_FETCH, &object, error));
    const tt_node *tail = tt_node_tail(object->head);
    if (tt_local_tensor(tail) == NULL && !tt_node_is_pointer(tail)) {
      return tt_fail(error, TT_ERR_STATE, "object %" PRIu64 " at %s is a %s, which does not move", object->id, worker->id,
                     tail->kind->name);
    }
    if (tt_node_is_pointer(tail)) {
      return tt_fail(error, TT_ERR_STATE, "object %" PRIu64 " at %s is a pointer to %s; get it from there, or send it on",
                     object->id, worker->id, tt_pointer_location(tail)->id);
    }
    TT_TRY(tt_parcel_check(object->head, "move", error));
    TT_TRY(tt_parcel_check_policy(object->head, tt_asker_of(peer), error));
  }
  tt_errand *errand = begin_errand(peer, record->request, object, error);
  if (errand == NULL) return error->status;
  errand->to = to;
  tt_location_ref(&to->location);
  errand->object_there = record->object_there;
  errand->is_move = is_move;
  tt_request *request = tt_request_open(worker, to, TT_REQUEST_GIVE, given, errand, error);
  if (request == NULL) {
    end_errand(errand);
    return TT_ERR_MEMORY;
  }
  tt_status status = deliver(peer, errand, object, request->id, error);
  if (status != TT_OK) {
    tt_request_close(worker, request);
    end_errand(errand);
    return status;
  }
  if (is_move) {
    tt_say_busy(errand->busy, "is on its way to ", to->id);
    tt_head_set_busy(object->head, errand->busy);
  } else {
    tt_object_set_owner(object, to); /* before anything leaves: its commands will find it so */
  }
  return TT_OK;
}

static tt_status find_receiver(const tt_peer *peer, const tt_record *record, tt_peer **to, tt_error *error) {
  if (tt_name_equal(record->worker, tt_name_of(peer->worker->id)))
    return tt_fail(error, TT_ERR_ARGUMENT, "object %" PRIu64 " is at %s already", record->object, peer->worker->id);
  *to = tt_worker_find_present(peer->worker, record->worker, error);
  return *to == NULL ? TT_ERR_UNKNOWN_WORKER : TT_OK;
}

tt_status tt_give(tt_peer *peer, const tt_record *record, tt_object *object, tt_error *error) {
  tt_peer *to;
  bool is_for_page = record->flags == 0 || (record->flags == TT_SEND_MOVE && tt_asker_of(peer) == NULL);
  if (is_for_page) TT_TRY(check_page(peer, error));
  TT_TRY(find_receiver(peer, record, &to, error));
  if (is_for_page) return send_for_page(peer, record, object, to, error);
  return give_away(peer, record, object, to, error);
}

tt_status tt_assign(tt_peer *peer, const tt_record *record, tt_object *object, tt_error *error) {
  tt_peer *to;
  TT_TRY(find_receiver(peer, record, &to, error));
  if (object->owner != peer) {
    return tt_fail(error, TT_ERR_POLICY, "object %" PRIu64 " at %s is not %s's to give away", object->id, peer->worker->id,
                   peer->id);
  }
  tt_object_set_owner(object, to);
  tt_reply_done(peer, record->request);
  return TT_OK;
}

/* ---- what is asked of an object that is a pointer ---- */

tt_status tt_show_pointer(tt_peer *peer, uint64_t request, const tt_node *head, tt_error *error) {
  const tt_node *tail = tt_node_tail((tt_node *)(uintptr_t)head);
  const tt_data_header header = {.transfer = request,
                                 .form = TT_DATA_POINTER,
                                 .meta = *tt_node_meta(tail),
                                 .requires_grad = tt_pointer_requires_grad(tail)};
  const tt_metadata metadata = {.location = (char *)(uintptr_t)tt_pointer_location(tail)->id,
                                .location_id = tt_pointer_id(tail)};
  return tt_stream_send_pointer(peer, head->child, &header, &metadata, error);
}

static void handed_over(void *context, const tt_answer *answer) {
  tt_errand *errand = context;
  tt_worker *worker = errand->peer->worker;
  if (worker != NULL) {
    tt_object *object = object_of(errand);
    tt_head_set_busy(errand->head, NULL);
    if (answer->error == NULL) {
      tt_pointer_disown(tt_node_tail(errand->head));
      if (object != NULL) tt_worker_forget_object(worker, object, "taken");
    }
    answer_errand(errand, answer);
  }
  end_errand(errand);
}

void tt_hand_over(tt_peer *peer, uint64_t request_id, tt_object *object) {
  tt_worker *worker = peer->worker;
  tt_error trouble;
  tt_node *tail = tt_node_tail(object->head);
  tt_peer *holder = tt_peer_of_location(tt_pointer_location(tail));
  tt_errand *errand = begin_errand(peer, request_id, object, &trouble);
  tt_request *request =
      errand == NULL ? NULL : tt_request_open(worker, holder, TT_REQUEST_ASSIGN, handed_over, errand, &trouble);
  tt_status status = request == NULL ? trouble.status : TT_OK;
  if (status == TT_OK) {
    tt_buffer *run;
    size_t start;
    status = tt_stream_begin_record(holder, &run, &start, &trouble);
    if (status == TT_OK) {
      tt_run_write_assign(run, request->id, tt_pointer_id(tail), tt_name_of(peer->id));
      status = tt_stream_end_record(holder, start, &trouble);
    }
  }
  if (status == TT_OK) {
    tt_say_busy(errand->busy, "is on its way to ", peer->id);
    tt_head_set_busy(object->head, errand->busy);
    return;
  }
  if (request != NULL) tt_request_close(worker, request);
  if (errand != NULL) end_errand(errand);
  tt_reply_plain_error(peer, request_id, &trouble);
}

static void fetched_on(void *context, const tt_answer *answer) {
  tt_errand *errand = context;
  tt_peer *peer = errand->peer;
  if (peer->worker != NULL && answer->error != NULL) {
    tt_reply_error(peer, errand->request, answer->error);
  } else if (peer->worker != NULL) {
    const tt_parcel parcel = {.tensor = answer->tensor};
    const tt_data_header header = {.transfer = errand->request};
    tt_error trouble;
    if (tt_stream_send_tensor(peer, &parcel, &header, NULL, &trouble) != TT_OK)
      tt_reply_plain_error(peer, errand->request, &trouble);
  }
  end_errand(errand);
}

tt_status tt_fetch_on(tt_peer *peer, uint64_t request, tt_object *object, tt_error *error) {
  tt_errand *errand = begin_errand(peer, request, object, error);
  if (errand == NULL) return error->status;
  tt_status status = tt_worker_fetch(peer->worker, object->head, fetched_on, errand, NULL, error);
  if (status != TT_OK) end_errand(errand);
  return status;
}

static void asked_on(void *context, const tt_answer *answer) {
  tt_errand *errand = context;
  tt_peer *peer = errand->peer;
  if (peer->worker != NULL && answer->error != NULL) {
    tt_reply_error(peer, errand->request, answer->error);
  } else if (peer->worker != NULL) {
    tt_control told = *answer->control; /* borrowed, with another number */
    told.request = errand->request;
    tt_error trouble;
    if (tt_stream_send_control(peer, &told, &trouble) != TT_OK) tt_reply_plain_error(peer, errand->request, &trouble);
  }
  end_errand(errand);
}

tt_status tt_query_on(tt_peer *peer, const tt_control *query, tt_object *object, tt_error *error) {
  const tt_node *tail = tt_node_tail(object->head);
  tt_errand *errand = begin_errand(peer, query->request, object, error);
  if (errand == NULL) return error->status;
  tt_control asked = {.query = query->query, .object = tt_pointer_id(tail), .metadata = query->metadata}; /* borrowed */
  tt_status status =
      tt_worker_query(peer->worker, tt_peer_of_location(tt_pointer_location(tail)), &asked, asked_on, errand, NULL, error);
  if (status != TT_OK) end_errand(errand);
  return status;
}

/* ---- failures of what was passed on ---- */

static bool is_among(uint64_t id, const uint64_t *ids, size_t n_ids) {
  for (size_t i = 0; i < n_ids; i++) {
    if (ids[i] == id) return true;
  }
  return false;
}

static void tell_owner(tt_object *object, const tt_wire_error *error) {
  tt_control control = {.form = TT_CONTROL_FAILURE, .error = *error, .results = &object->id, .n_results = 1};
  if (object->owner->is_present) (void)tt_stream_send_control(object->owner, &control, NULL); /* else it learns it by asking */
}

bool tt_pass_failure(tt_peer *from, const tt_control *control) {
  tt_worker *worker = from->worker;
  tt_failure *failure = NULL;
  bool was_theirs = false;
  size_t cursor = 0;
  for (tt_object *object; (object = tt_store_next(&worker->store, &cursor)) != NULL;) {
    if (object->owner == NULL || object->head == NULL || object->failure != NULL) continue;
    const tt_node *tail = tt_node_tail(object->head);
    if (!tt_node_is_pointer(tail) || tt_pointer_location(tail) != &from->location ||
        !is_among(tt_pointer_id(tail), control->results, control->n_results))
      continue;
    was_theirs = true;
    if (failure == NULL) failure = tt_failure_new(&control->error);
    if (failure != NULL) (void)tt_store_poison(&worker->store, object->id, failure, object->owner, NULL);
    tell_owner(object, &control->error);
    tt_worker_tell(worker, &(tt_event){.type = TT_EVENT_FAILURE,
                                       .peer = object->owner->id,
                                       .text = control->error.op,
                                       .error = &control->error,
                                       .ids = &object->id,
                                       .n_results = 1});
  }
  tt_failure_unref(failure);
  return was_theirs;
}
