#include "worker/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "worker/internal.h"

/* ---- life ---- */

static tt_status before_write(void *host, tt_storage *storage, tt_error *error) {
  return tt_streams_detach(host, storage, error);
}

tt_worker *tt_worker_new(const tt_worker_options *options, tt_error *error) {
  if (tt_worker_id_check(tt_name_of(options->id), error) != TT_OK) return NULL;
  tt_worker *worker = tt_alloc(1, sizeof *worker);
  if (worker == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "no memory for a worker");
    return NULL;
  }
  worker->id = tt_strdup(options->id);
  worker->kind = tt_strdup(options->kind);
  uint64_t max_bytes = options->max_store_bytes != 0 ? options->max_store_bytes : (uint64_t)1 << 30;
  tt_status has_store =
      tt_store_init(&worker->store, worker->id, max_bytes, options->max_objects != 0 ? options->max_objects : 1000000, error);
  tt_name_map_init(&worker->peers);
  tt_id_map_init(&worker->requests);
  tt_buffer_init(&worker->scratch);
  worker->grace_ms = options->grace_ms != 0 ? options->grace_ms : 60000;
  worker->promise_ms = options->promise_ms != 0 ? options->promise_ms : 30000;
  worker->is_storeless = options->is_storeless;
  worker->host = options->host;
  worker->on_event = options->on_event;
  worker->want_flush = options->want_flush;
  worker->want_flush_later = options->want_flush_later;
  worker->full_bytes = TT_FIRST_RUN_BYTES;
  worker->event_mask = UINT32_MAX;
  tt_status status = TT_OK;
  if (worker->id == NULL || worker->kind == NULL) status = tt_fail(error, TT_ERR_MEMORY, "no memory for a worker");
  tt_hook_init(&worker->hook, worker->id);
  if (has_store != TT_OK) status = has_store;
  worker->hook.ledger = worker->store.ledger;
  worker->hook.before_write = before_write;
  worker->hook.host = worker;
  if (status == TT_OK) return worker;
  tt_worker_free(worker);
  return NULL;
}

static void say_goodbye(tt_link *link) {
  tt_buffer frame;
  tt_buffer_init(&frame);
  const tt_prelude prelude = {.type = TT_FRAME_GOODBYE, .source = tt_name_of(link->worker->id), .destination = {.bytes = ""}};
  tt_prelude_write(&frame, &prelude, 0);
  if (!frame.failed) tt_link_write(link, frame.bytes, frame.n_bytes);
  tt_buffer_release(&frame);
}

/* The peer outlives the worker while pointers refer to it; it only says then that the worker is closed. */
static void destroy_peer(tt_location *location) {
  tt_peer *peer = (tt_peer *)(void *)location;
  if (peer->via != NULL) tt_location_unref(&peer->via->location);
  tt_free(peer);
}

void tt_worker_free(tt_worker *worker) {
  if (worker == NULL) return;
  worker->on_event = NULL;
  worker->want_flush = worker->want_flush_later = NULL;
  tt_worker_flush(worker);
  worker->n_receiving++; /* links are freed below, not from within */
  for (tt_link *link = worker->links; link != NULL; link = link->next) {
    const tt_link_ops *ops = link->ops;
    if (ops == NULL) continue;
    say_goodbye(link);
    void *transport = link->transport;
    tt_link_closed(link, "this worker has closed");
    ops->close(transport, "this worker has closed");
  }
  size_t cursor = 0;
  for (tt_object *object; (object = tt_store_next(&worker->store, &cursor)) != NULL;) tt_promise_end(worker, object);
  tt_store_release(&worker->store);
  cursor = 0;
  for (tt_peer *peer; (peer = tt_worker_next_peer(worker, &cursor)) != NULL;) {
    tt_peer_lost(peer, "this worker has closed");
    peer->worker = NULL;
    tt_location_unref(&peer->location);
  }
  while (worker->links != NULL) {
    tt_link *next = worker->links->next;
    tt_free(worker->links);
    worker->links = next;
  }
  tt_name_map_release(&worker->peers);
  tt_id_map_release(&worker->requests);
  tt_buffer_release(&worker->scratch);
  tt_free(worker->id);
  tt_free(worker->kind);
  tt_free(worker);
}

const char *tt_worker_id(const tt_worker *worker) { return worker->id; }
tt_hook *tt_worker_hook(tt_worker *worker) { return &worker->hook; }

void *tt_worker_host_of_hook(const tt_hook *hook) { return ((const tt_worker *)hook->host)->host; }
tt_counters tt_worker_counters(const tt_worker *worker) { return worker->counters; }

static void flush(tt_worker *worker) {
  worker->has_asked_flush = worker->has_asked_flush_later = worker->is_flush_due = worker->is_run_full = false;
  tt_peer *starved = NULL;
  while (worker->dirty != NULL) {
    tt_peer *peer = worker->dirty;
    worker->dirty = peer->next_dirty;
    peer->is_dirty = false;
    if (tt_stream_flush(peer) || peer->is_dirty) continue;
    peer->is_dirty = true;
    peer->next_dirty = starved;
    starved = peer;
  }
  worker->dirty = starved; /* the next flush or tick tries again */
}

void tt_worker_flush(tt_worker *worker) {
  worker->full_bytes = TT_FIRST_RUN_BYTES;
  flush(worker);
}

void tt_worker_flush_full(tt_worker *worker) {
  if (!worker->is_run_full) return;
  if (worker->full_bytes < TT_FULL_RUN_BYTES) worker->full_bytes *= 2;
  flush(worker);
}

void tt_worker_end_turn(tt_worker *worker) {
  if (worker->dirty == NULL || worker->is_flush_due || worker->want_flush_later == NULL)
    tt_worker_flush(worker);
  else
    worker->want_flush_later(worker->host, worker);
}

void tt_worker_tick(tt_worker *worker) {
  tt_worker_flush(worker); /* no peer that goes below is in the list of those to flush */
  int64_t now_ms = tt_clock_ms();
  worker->n_receiving++; /* answers leave with the flush at the end; links are freed there */
  tt_promises_tick(worker, now_ms);
  tt_parked_resume(worker);
  worker->n_receiving--;
  size_t cursor = 0;
  for (tt_object *object; (object = tt_store_next(&worker->store, &cursor)) != NULL;) {
    const tt_peer *owner = object->owner;
    if (owner == NULL || owner->is_present || now_ms - owner->left_at_ms < worker->grace_ms) continue;
    tt_worker_forget_object(worker, object, "its owner is gone");
  }
  cursor = 0;
  for (tt_peer *peer; (peer = tt_worker_next_peer(worker, &cursor)) != NULL;) {
    if (peer->is_present || peer->n_objects > 0 || peer->location.refs > 1 || now_ms - peer->left_at_ms < worker->grace_ms)
      continue;
    tt_name_map_remove(&worker->peers, peer->id, strlen(peer->id));
    tt_location_unref(&peer->location);
  }
  tt_worker_flush(worker);
}

/* ---- events ---- */

void tt_worker_listen(tt_worker *worker, uint32_t event_mask) { worker->event_mask = event_mask; }

bool tt_worker_hears(const tt_worker *worker, tt_event_type type) {
  return worker->on_event != NULL && (worker->event_mask & (1u << type)) != 0;
}

void tt_worker_tell(tt_worker *worker, const tt_event *event) {
  if (!tt_worker_hears(worker, event->type)) return;
  tt_event told = *event;
  if (told.peer == NULL) told.peer = "";
  if (told.text == NULL) told.text = "";
  worker->on_event(worker->host, worker, &told);
}

void tt_say_busy(tt_busy_text text, const char *what, const char *id) {
  size_t n = strlen(what);
  memcpy(text, what, n);
  memcpy(text + n, id, strlen(id) + 1);
}

void tt_wire_error_fill(tt_worker *worker, tt_wire_error *wire, const tt_error *error) {
  *wire = (tt_wire_error){.error = *error, .command = -1};
  snprintf(wire->worker, sizeof wire->worker, "%s", worker->id);
}

/* ---- known workers ---- */

tt_peer *tt_worker_find_peer(tt_worker *worker, tt_name id) { return tt_name_map_get(&worker->peers, id.bytes, id.n_bytes); }

static tt_status call_there(tt_location *location, bool records, const tt_op *op, const tt_value *args, const uint64_t *results,
                            size_t n_results, tt_error *error) {
  tt_peer *peer = (tt_peer *)(void *)location;
  tt_peer *through = peer->via != NULL ? peer->via : peer;
  if (peer->plan != NULL) return tt_plan_note_call(peer->plan, records, op, args, results, n_results, error);
  if (peer->via != NULL && !peer->is_present) return tt_fail(error, TT_ERR_CONNECTION, "%s is not connected", peer->id);
  tt_buffer *run;
  size_t start;
  TT_TRY(tt_stream_begin_record(through, &run, &start, error));
  tt_run_write_call(run, records ? 0 : TT_CALL_NO_GRAD, (uint16_t)op->number, args, tt_op_n_told(op, args),
                    tt_pointer_operand_id, results, n_results);
  TT_TRY(tt_stream_end_record(through, start, error));
  through->worker->counters.commands_out++;
  return TT_OK;
}

static uint64_t new_id(tt_location *location) {
  const tt_peer *peer = (const tt_peer *)(const void *)location;
  return peer->plan != NULL ? tt_plan_new_slot(peer->plan) : tt_random_id();
}

static void free_there(tt_location *location, uint64_t id) {
  tt_peer *peer = (tt_peer *)(void *)location;
  if (peer->plan != NULL) {
    tt_plan_note_free(peer->plan, id);
    return;
  }
  tt_peer *through = peer->via != NULL ? peer->via : peer;
  tt_buffer *run;
  size_t start;
  /* When this cannot be queued the peer is gone, and its grace frees what we owned there. */
  if (tt_stream_begin_record(through, &run, &start, NULL) != TT_OK) return;
  /* Many are let go of one after the other: they share a record. */
  if (through->last_free == 0 || !tt_run_add_free(run, through->last_free, id)) {
    tt_run_write_free(run, &id, 1);
    through->last_free = start;
  }
  size_t ends = run->n_bytes;
  if (tt_stream_end_record_later(through, start, NULL) != TT_OK || through->run.n_bytes != ends) through->last_free = 0;
}

static const tt_location_ops peer_location_ops = {
    .call = call_there, .new_id = new_id, .free_object = free_there, .destroy = destroy_peer};

tt_peer *tt_peer_new(tt_worker *worker, tt_name id, tt_error *error) {
  tt_peer *peer = tt_alloc(1, sizeof *peer);
  if (peer == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "no memory to know one more worker");
    return NULL;
  }
  memcpy(peer->id, id.bytes, id.n_bytes);
  peer->location = (tt_location){.ops = &peer_location_ops, .refs = 1, .id = peer->id};
  peer->worker = worker;
  peer->left_at_ms = tt_clock_ms();
  tt_buffer_init(&peer->run);
  tt_id_map_init(&peer->takings);
  tt_id_map_init(&peer->plans);
  return peer;
}

tt_peer *tt_worker_make_peer(tt_worker *worker, tt_name id, tt_error *error) {
  tt_peer *known = tt_worker_find_peer(worker, id);
  if (known != NULL) return known;
  tt_peer *peer = tt_peer_new(worker, id, error);
  if (peer == NULL || tt_name_map_put(&worker->peers, id.bytes, id.n_bytes, peer)) return peer;
  tt_location_unref(&peer->location);
  tt_fail(error, TT_ERR_MEMORY, "no memory to know one more worker");
  return NULL;
}

tt_peer *tt_worker_find_present(tt_worker *worker, tt_name id, tt_error *error) {
  tt_peer *peer = tt_worker_find_peer(worker, id);
  if (peer != NULL && peer->is_present) return peer;
  char known[160];
  size_t n_bytes = 0, cursor = 0;
  known[0] = '\0';
  for (tt_peer *other; (other = tt_worker_next_peer(worker, &cursor)) != NULL && n_bytes < sizeof known - 1;) {
    bool is_own_page = other->link != NULL && (other->link->flags & TT_LINK_CONTROLLER) != 0;
    if (!other->is_present || is_own_page) continue;
    n_bytes += (size_t)snprintf(known + n_bytes, sizeof known - n_bytes, "%s%s", n_bytes == 0 ? "" : ", ", other->id);
  }
  tt_fail(error, TT_ERR_UNKNOWN_WORKER, "%s knows no worker %.*s%s; here now: %s", worker->id,
          id.n_bytes < TT_MAX_WORKER_ID_BYTES ? id.n_bytes : TT_MAX_WORKER_ID_BYTES, id.bytes,
          peer != NULL ? " any more (it has left)" : "", known[0] == '\0' ? "nobody" : known);
  return NULL;
}

tt_peer *tt_worker_get_worker(tt_worker *worker, const char *id, tt_error *error) {
  return tt_worker_find_present(worker, tt_name_of(id), error);
}

tt_peer *tt_worker_add_via(tt_worker *worker, const char *id, tt_peer *via, tt_error *error) {
  tt_name name = tt_name_of(id);
  if (tt_worker_id_check(name, error) != TT_OK) return NULL;
  tt_peer *known = tt_worker_find_peer(worker, name);
  if ((known != NULL && known->is_present) || tt_name_equal(name, tt_name_of(worker->id))) {
    tt_fail(error, TT_ERR_DUPLICATE, "%s knows a worker %s already", worker->id, id);
    return NULL;
  }
  tt_peer *peer = tt_worker_make_peer(worker, name, error);
  if (peer == NULL) return NULL;
  if (peer->via != NULL) tt_location_unref(&peer->via->location);
  peer->via = via;
  tt_location_ref(&via->location);
  peer->is_present = true;
  return peer;
}

void tt_worker_remove_via(tt_worker *worker, tt_peer *peer) {
  (void)worker;
  peer->is_present = false;
  peer->left_at_ms = tt_clock_ms();
}

const char *tt_peer_id(const tt_peer *peer) { return peer->id; }
bool tt_peer_is_present(const tt_peer *peer) { return peer->is_present; }
tt_peer *tt_peer_of_location(tt_location *location) { return (tt_peer *)(void *)location; }
tt_peer *tt_worker_next_peer(tt_worker *worker, size_t *cursor) { return tt_name_map_next(&worker->peers, cursor, NULL); }

tt_node *tt_worker_create_pointer(tt_worker *worker, tt_peer *peer, uint64_t id, const tt_meta *meta, tt_error *error) {
  (void)worker;
  tt_node *pointer = tt_pointer_new(&peer->location, id, meta, false, error);
  return pointer == NULL ? NULL : tt_head_new(pointer, error);
}

/* ---- the store ---- */

tt_status tt_worker_keep_object(tt_worker *worker, uint64_t id, tt_node *head, tt_peer *owner, tt_object **object,
                                tt_error *error) {
  if (worker->is_storeless && owner != NULL) {
    return tt_fail(error, TT_ERR_POLICY, "%s keeps no objects of others: it is the page of a worker; send to that worker",
                   worker->id);
  }
  tt_object *made;
  TT_TRY(tt_store_add(&worker->store, id, head, owner, &made, error));
  if (owner != NULL) owner->n_objects++;
  if (object != NULL) *object = made;
  if (tt_worker_hears(worker, TT_EVENT_OBJECT_ADDED)) {
    tt_worker_tell(worker, &(tt_event){.type = TT_EVENT_OBJECT_ADDED,
                                       .peer = owner == NULL ? "" : owner->id,
                                       .object = id,
                                       .meta = tt_node_meta(head)});
  }
  return TT_OK;
}

void tt_worker_forget_object(tt_worker *worker, tt_object *object, const char *why) {
  tt_peer *owner = object->owner;
  uint64_t id = object->id;
  tt_promise_end(worker, object);
  tt_store_remove(&worker->store, object);
  if (owner != NULL) owner->n_objects--;
  if (!tt_worker_hears(worker, TT_EVENT_OBJECT_REMOVED)) return;
  tt_worker_tell(
      worker, &(tt_event){.type = TT_EVENT_OBJECT_REMOVED, .peer = owner == NULL ? "" : owner->id, .object = id, .text = why});
}

tt_status tt_worker_set_object(tt_worker *worker, tt_node *head, uint64_t id, tt_policy policy, const tt_metadata *metadata,
                               uint64_t *id_out, tt_error *error) {
  if (id == 0) id = tt_random_id();
  tt_metadata copy = {0};
  if (metadata != NULL) TT_TRY(tt_metadata_copy(&copy, metadata, error));
  tt_object *object;
  tt_status status = tt_worker_keep_object(worker, id, head, NULL, &object, error);
  if (status != TT_OK) {
    tt_metadata_release(&copy);
    return status;
  }
  object->policy = policy;
  object->metadata = copy;
  if (id_out != NULL) *id_out = id;
  return TT_OK;
}

tt_node *tt_worker_get_object(tt_worker *worker, uint64_t id, tt_error *error) {
  tt_object *object;
  if (tt_store_read(&worker->store, id, NULL, TT_ACCESS_OWN, &object, error) != TT_OK) return NULL;
  if (object->promise != NULL) {
    tt_fail(error, TT_ERR_STATE, "object %" PRIu64 " at %s has been promised by %s and has not come yet", id, worker->id,
            object->promise->owner->id);
    return NULL;
  }
  if (object->failure == NULL) return object->head;
  if (error != NULL) *error = object->failure->error.error;
  return NULL;
}

tt_status tt_worker_remove_object(tt_worker *worker, uint64_t id, tt_error *error) {
  tt_object *object;
  TT_TRY(tt_store_read(&worker->store, id, NULL, TT_ACCESS_OWN, &object, error));
  tt_worker_forget_object(worker, object, "removed here");
  return TT_OK;
}

size_t tt_worker_n_objects(const tt_worker *worker) { return worker->store.objects.n_entries; }
uint64_t tt_worker_n_bytes(const tt_worker *worker) { return worker->store.ledger->n_bytes; }
