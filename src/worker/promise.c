#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "worker/internal.h"

/* ---- the list of them ---- */

static tt_promise *new_promise(tt_peer *owner, tt_peer *from, uint64_t object, tt_error *error) {
  tt_worker *worker = from->worker;
  tt_promise *promise = tt_alloc_object(sizeof *promise);
  if (promise == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "%s has no memory for one more promise", worker->id);
    return NULL;
  }
  *promise = (tt_promise){.next = worker->promises,
                          .object = object,
                          .from = from,
                          .owner = owner,
                          .deadline_ms = tt_clock_ms() + worker->promise_ms};
  tt_location_ref(&from->location);
  tt_location_ref(&owner->location);
  if (worker->promises != NULL) worker->promises->previous = promise;
  worker->promises = promise;
  return promise;
}

static void free_promise(tt_worker *worker, tt_promise *promise) {
  if (promise->next != NULL) promise->next->previous = promise->previous;
  if (promise->previous != NULL)
    promise->previous->next = promise->next;
  else
    worker->promises = promise->next;
  if (promise->is_early)
    promise->from->n_early--;
  else
    promise->owner->n_promises--;
  tt_location_unref(&promise->from->location);
  tt_location_unref(&promise->owner->location);
  tt_free_object(promise, sizeof *promise);
}

void tt_promise_end(tt_worker *worker, tt_object *object) {
  if (object->promise == NULL) return;
  free_promise(worker, object->promise);
  object->promise = NULL;
  worker->is_promise_ended = true;
}

/* ---- giving one's word ---- */

static tt_status check_promise(const tt_peer *peer, const tt_record *record, tt_peer **from, tt_error *error) {
  tt_worker *worker = peer->worker;
  *from = tt_worker_find_present(worker, record->worker, error);
  if (*from == NULL) return TT_ERR_UNKNOWN_WORKER;
  if (peer->n_promises < TT_MAX_PROMISES) return TT_OK;
  return tt_fail(error, TT_ERR_FULL, "%s waits for %zu objects that %s has promised already; await something first", worker->id,
                 peer->n_promises, peer->id);
}

static void poison(tt_worker *worker, tt_object *object, const tt_wire_error *error) {
  tt_wire_error wire = *error;
  tt_failure *failure = tt_failure_new(&wire);
  if (failure == NULL) {
    tt_worker_forget_object(worker, object, "no memory to say why it failed");
    return;
  }
  (void)tt_store_poison(&worker->store, object->id, failure, object->owner, NULL);
  tt_failure_unref(failure);
}

/* What came before it was promised becomes what was promised. */
static void meet(tt_worker *worker, tt_object *object) {
  tt_peer *from = object->promise->from;
  uint64_t transfer = object->promise->transfer;
  tt_location_ref(&from->location);
  tt_promise_end(worker, object);
  object->is_hidden = false;
  tt_reply_done(from, transfer);
  tt_location_unref(&from->location);
}

void tt_promise_make(tt_peer *peer, const tt_record *record) {
  tt_worker *worker = peer->worker;
  tt_peer *from = NULL;
  tt_error error;
  tt_object *object = tt_store_find(&worker->store, record->object);
  if (object != NULL && object->promise != NULL && object->promise->is_early && object->owner == peer &&
      tt_name_equal(record->worker, tt_name_of(object->promise->from->id))) {
    meet(worker, object);
    return;
  }
  tt_status status = TT_OK;
  if (worker->is_storeless)
    status = tt_fail(&error, TT_ERR_POLICY, "%s keeps no objects of others: it is the page of a worker", worker->id);
  if (status == TT_OK) status = tt_store_reserve(&worker->store, record->object, peer, &object, &error);
  if (status != TT_OK) { /* whoever delivers it hears of it, and tells */
    tt_tell_refused(peer, &error);
    return;
  }
  peer->n_objects++;
  status = check_promise(peer, record, &from, &error);
  if (status == TT_OK) object->promise = new_promise(peer, from, record->object, &error);
  if (object->promise != NULL) {
    peer->n_promises++;
    return;
  }
  tt_wire_error wire;
  tt_wire_error_fill(worker, &wire, &error);
  poison(worker, object, &wire);
}

bool tt_promise_blocks(tt_peer *peer, uint64_t id) {
  if (peer->worker->promises == NULL) return false;
  const tt_object *object = tt_store_find(&peer->worker->store, id);
  if (object == NULL || object->promise == NULL || object->is_hidden) return false;
  return tt_asker_of(peer) == NULL || object->owner == peer;
}

/* ---- keeping it ---- */

static bool is_word_of(const tt_peer *owner, const tt_metadata *metadata) {
  return owner != NULL && metadata->promised_by != NULL && strcmp(owner->id, metadata->promised_by) == 0;
}

tt_status tt_promise_check(tt_peer *from, const tt_data_header *header, const tt_metadata *metadata, tt_error *error) {
  tt_worker *worker = from->worker;
  tt_object *object = tt_store_find(&worker->store, header->object);
  if (metadata->promised_by == NULL)
    return tt_fail(error, TT_ERR_ARGUMENT, "a delivery of %s does not say on whose word it comes", from->id);
  if (header->form == TT_DATA_POINTER && (metadata->location == NULL || strcmp(metadata->location, from->id) != 0)) {
    return tt_fail(error, TT_ERR_POLICY, "%s takes from %s pointers to what is at %s, and no others", worker->id, from->id,
                   from->id);
  }
  if (worker->is_storeless)
    return tt_fail(error, TT_ERR_POLICY, "%s keeps no objects of others: it is the page of a worker", worker->id);
  if (object != NULL) {
    bool is_awaited = object->promise != NULL && !object->promise->is_early && object->promise->from == from;
    bool is_broken = object->promise == NULL && object->failure != NULL;
    if (is_word_of(object->owner, metadata) && is_broken) {
      if (error != NULL) *error = object->failure->error.error;
      return object->failure->error.error.status;
    }
    if (!is_word_of(object->owner, metadata) || !is_awaited) {
      return tt_fail(error, TT_ERR_DUPLICATE, "%s has an object %" PRIu64 " already; nothing was overwritten", worker->id,
                     header->object);
    }
    TT_TRY(tt_store_check_bytes(&worker->store, header->total_bytes, error));
    object->promise->is_arriving = true;
    return TT_OK;
  }
  const tt_peer *owner = tt_worker_find_peer(worker, tt_name_of(metadata->promised_by));
  if (owner == NULL || !owner->is_present) {
    return tt_fail(error, TT_ERR_UNKNOWN_WORKER, "%s takes nothing on the word of %.64s, which is not here", worker->id,
                   metadata->promised_by);
  }
  if (from->n_early >= TT_MAX_PROMISES) {
    return tt_fail(error, TT_ERR_FULL, "%s keeps %zu objects of %s that nobody has promised yet", worker->id, from->n_early,
                   from->id);
  }
  return tt_store_check_room(&worker->store, header->total_bytes, error);
}

/* It overtook the promise on its way here. */
static tt_status keep_early(tt_peer *from, tt_peer *owner, const tt_data_header *header, tt_node *head, tt_object **object_out,
                            tt_error *error) {
  tt_worker *worker = from->worker;
  tt_object *object;
  TT_TRY(tt_store_reserve(&worker->store, header->object, owner, &object, error));
  object->promise = new_promise(owner, from, header->object, error);
  if (object->promise == NULL) {
    tt_store_remove(&worker->store, object);
    return TT_ERR_MEMORY;
  }
  owner->n_objects++;
  from->n_early++;
  object->promise->is_early = object->is_hidden = true;
  object->promise->transfer = header->transfer;
  tt_store_fill(&worker->store, object, head);
  *object_out = object;
  return TT_OK;
}

tt_status tt_promise_fulfil(tt_peer *from, const tt_data_header *header, tt_metadata *metadata, tt_node *head, bool *is_early,
                            tt_error *error) {
  tt_worker *worker = from->worker;
  TT_TRY(tt_promise_check(from, header, metadata, error)); /* it may have been broken, or freed, meanwhile */
  tt_object *object = tt_store_find(&worker->store, header->object);
  *is_early = object == NULL;
  if (object == NULL) {
    tt_peer *owner = tt_worker_find_peer(worker, tt_name_of(metadata->promised_by));
    TT_TRY(keep_early(from, owner, header, head, &object, error));
  } else {
    tt_store_fill(&worker->store, object, head);
    tt_promise_end(worker, object);
  }
  tt_free(metadata->location);
  tt_free(metadata->promised_by);
  metadata->location = metadata->promised_by = NULL;
  metadata->location_id = 0;
  object->metadata = *metadata;
  *metadata = (tt_metadata){0};
  if (object->metadata.has_policy) object->policy = object->metadata.policy;
  if (*is_early) return TT_OK;
  tt_worker_tell(
      worker,
      &(tt_event){.type = TT_EVENT_OBJECT_ADDED, .peer = object->owner->id, .object = object->id, .meta = tt_node_meta(head)});
  if (object->is_hidden) tt_worker_forget_object(worker, object, "freed");
  return TT_OK;
}

/* ---- breaking it ---- */

/* What came early and nobody wants goes back to whoever brought it, who still has it. */
static void send_back(tt_worker *worker, tt_object *object, const tt_wire_error *error) {
  tt_peer *from = object->promise->from;
  uint64_t transfer = object->promise->transfer;
  tt_node *tail = tt_node_tail(object->head);
  if (tt_node_is_pointer(tail)) tt_pointer_disown(tail);
  tt_location_ref(&from->location);
  tt_worker_forget_object(worker, object, "nobody had promised it");
  if (error != NULL) tt_reply_error(from, transfer, error);
  tt_location_unref(&from->location);
}

static void break_promise(tt_worker *worker, tt_promise *promise, const tt_wire_error *error) {
  tt_object *object = tt_store_find(&worker->store, promise->object);
  if (promise->is_early) {
    send_back(worker, object, error);
  } else if (object->is_hidden) {
    tt_worker_forget_object(worker, object, "freed");
  } else {
    tt_promise_end(worker, object);
    poison(worker, object, error);
  }
}

void tt_promise_broken(tt_peer *from, uint64_t id, const tt_metadata *metadata, const tt_wire_error *error) {
  tt_object *object = tt_store_find(&from->worker->store, id);
  if (object == NULL || object->promise == NULL || object->promise->is_early || object->promise->from != from ||
      !is_word_of(object->owner, metadata))
    return;
  break_promise(from->worker, object->promise, error);
}

void tt_promises_lose(tt_peer *from, const tt_wire_error *error) {
  tt_worker *worker = from->worker;
  for (tt_promise *promise = worker->promises, *next; promise != NULL; promise = next) {
    next = promise->next;
    if (promise->from != from) continue;
    if (promise->is_early)
      send_back(worker, tt_store_find(&worker->store, promise->object), NULL); /* it knows */
    else
      break_promise(worker, promise, error);
  }
}

void tt_promises_tick(tt_worker *worker, int64_t now_ms) {
  /* From the start each time: to answer somebody may end the promises of others. */
  for (tt_promise *promise = worker->promises; promise != NULL;) {
    if (promise->is_arriving || now_ms < promise->deadline_ms) {
      promise = promise->next;
      continue;
    }
    tt_error told;
    if (promise->is_early)
      tt_fail(&told, TT_ERR_ABORTED, "%s gave object %" PRIu64 " to %s, but %s has not promised it within %" PRId64 " ms",
              promise->from->id, promise->object, worker->id, promise->owner->id, worker->promise_ms);
    else
      tt_fail(&told, TT_ERR_ABORTED, "%s has not given the promised object %" PRIu64 " to %s within %" PRId64 " ms",
              promise->from->id, promise->object, worker->id, worker->promise_ms);
    tt_wire_error error;
    tt_wire_error_fill(worker, &error, &told);
    error.failure = tt_random_id();
    break_promise(worker, promise, &error);
    promise = worker->promises;
  }
}

/* ---- what waits ---- */

tt_status tt_park(tt_peer *peer, const tt_arrival *arrival, bool in_front, tt_error *error) {
  tt_parked *parked = tt_alloc(1, sizeof *parked + arrival->n_bytes);
  if (parked == NULL) {
    return tt_fail(error, TT_ERR_MEMORY, "%s has no memory for %zu bytes of %s that wait for a promised object",
                   peer->worker->id, arrival->n_bytes, peer->id);
  }
  parked->arrival = *arrival;
  if (arrival->n_bytes > 0) memcpy(parked->bytes, arrival->payload, arrival->n_bytes);
  parked->arrival.payload = parked->bytes;
  if (in_front) {
    parked->next = peer->first_parked;
    peer->first_parked = parked;
    if (peer->last_parked == NULL) peer->last_parked = parked;
  } else {
    if (peer->last_parked != NULL)
      peer->last_parked->next = parked;
    else
      peer->first_parked = parked;
    peer->last_parked = parked;
  }
  peer->n_parked++;
  peer->n_parked_bytes += arrival->frame_bytes;
  return TT_OK;
}

static tt_parked *take_first(tt_peer *peer) {
  tt_parked *first = peer->first_parked;
  peer->first_parked = first->next;
  if (peer->first_parked == NULL) peer->last_parked = NULL;
  peer->n_parked--;
  peer->n_parked_bytes -= first->arrival.frame_bytes;
  return first;
}

void tt_parked_clear(tt_peer *peer) {
  while (peer->first_parked != NULL) tt_free(take_first(peer));
}

static void resume(tt_peer *peer) {
  while (peer->first_parked != NULL && peer->link != NULL) {
    uint64_t awaits = peer->first_parked->arrival.awaits;
    if (awaits != 0 && tt_promise_blocks(peer, awaits)) return;
    tt_parked *first = take_first(peer);
    const tt_parked *next = peer->first_parked;
    tt_error error;
    tt_status status = tt_execute_arrival(peer, &first->arrival, &error);
    tt_free(first);
    if (status != TT_OK) {
      tt_peer_break(peer, &error);
      return;
    }
    if (peer->first_parked != next) return; /* it waits again, or all of it is gone */
    tt_stream_return_credit(peer);
  }
}

void tt_parked_resume(tt_worker *worker) {
  while (worker->is_promise_ended) {
    worker->is_promise_ended = false;
    size_t cursor = 0;
    for (tt_peer *peer; (peer = tt_worker_next_peer(worker, &cursor)) != NULL;) resume(peer);
  }
}
