#include <inttypes.h>

#include "base/alloc.h"
#include "chain/variable.h"
#include "worker/internal.h"

const tt_peer *tt_asker_of(const tt_peer *peer) {
  return peer->link != NULL && (peer->link->flags & TT_LINK_CONTROLLER) ? NULL : peer;
}

/* ---- answers ---- */

void tt_give_up_on(tt_peer *peer, tt_status status, const tt_error *error) {
  if (status != TT_OK && peer->link != NULL) tt_peer_break(peer, error);
}

typedef tt_status tt_end_record_fn(tt_peer *peer, size_t start, tt_error *error);

static void reply_done(tt_peer *peer, uint64_t request, tt_end_record_fn *end_record) {
  tt_buffer *run;
  size_t start;
  tt_error trouble;
  tt_status status = tt_stream_begin_record(peer, &run, &start, &trouble);
  if (status == TT_OK) {
    tt_run_write_done(run, request);
    status = end_record(peer, start, &trouble);
  }
  tt_give_up_on(peer, status, &trouble);
}

void tt_reply_done(tt_peer *peer, uint64_t request) { reply_done(peer, request, tt_stream_end_record); }
void tt_reply_done_later(tt_peer *peer, uint64_t request) { reply_done(peer, request, tt_stream_end_record_later); }

void tt_reply_error(tt_peer *peer, uint64_t request, const tt_wire_error *error) {
  const tt_control control = {.form = TT_CONTROL_ERROR, .request = request, .error = *error};
  tt_error trouble;
  tt_give_up_on(peer, tt_stream_send_control(peer, &control, &trouble), &trouble);
}

void tt_reply_plain_error(tt_peer *peer, uint64_t request, const tt_error *error) {
  tt_wire_error wire;
  tt_wire_error_fill(peer->worker, &wire, error);
  tt_reply_error(peer, request, &wire);
}

static void reply_failure(tt_peer *peer, uint64_t request, tt_failure *failure) {
  failure->is_reported = true;
  tt_reply_error(peer, request, &failure->error);
}

/* ---- FREE, FETCH, DONE ---- */

void tt_tell_refused(tt_peer *peer, const tt_error *error) {
  tt_wire_error wire;
  tt_wire_error_fill(peer->worker, &wire, error);
  tt_worker_tell(peer->worker, &(tt_event){.type = TT_EVENT_REFUSED, .peer = peer->id, .error = &wire});
}

void tt_execute_free(tt_run *run, const tt_record *record) {
  for (size_t i = 0; i < record->n_ids; i++) {
    tt_object *object;
    tt_error error;
    /* Who made it frees it; to free what is not there is no fault (it may have been taken, or its command failed). */
    object = tt_store_find(&run->worker->store, record->ids[i]);
    if (object == NULL || object->is_hidden) continue;
    if (object->owner != run->peer &&
        tt_store_read(&run->worker->store, record->ids[i], run->peer, TT_ACCESS_OWN, &object, &error) != TT_OK)
      tt_tell_refused(run->peer, &error);
    else if (object->promise != NULL)
      object->is_hidden = true; /* it goes when it comes */
    else
      tt_worker_forget_object(run->worker, object, "freed");
  }
}

static tt_status read_for_request(tt_run *run, const tt_record *record, tt_access access, tt_object **object, tt_error *error) {
  TT_TRY(tt_store_read(&run->worker->store, record->object, tt_asker_of(run->peer), access, object, error));
  if ((*object)->failure != NULL) {
    reply_failure(run->peer, record->request, (*object)->failure);
    *object = NULL;
  }
  return TT_OK;
}

static tt_status answer_fetch(tt_run *run, const tt_record *record, tt_error *error) {
  bool takes = (record->flags & TT_FETCH_TAKE) != 0;
  tt_object *object;
  TT_TRY(read_for_request(run, record, TT_ACCESS_FETCH, &object, error));
  if (object == NULL) return TT_OK;
  if (takes) TT_TRY(tt_store_read(&run->worker->store, record->object, tt_asker_of(run->peer), TT_ACCESS_OWN, &object, error));
  const char *busy = tt_head_busy(object->head);
  if (busy != NULL) return tt_fail(error, TT_ERR_STATE, "object %" PRIu64 " %s", object->id, busy);
  const tt_node *tail = tt_node_tail(object->head);
  tt_tensor *tensor = tt_local_tensor(tail);
  if (tensor == NULL && !tt_node_is_pointer(tail)) {
    return tt_fail(error, TT_ERR_STATE, "object %" PRIu64 " at %s is a %s, which does not leave as one", object->id,
                   run->worker->id, tail->kind->name);
  }
  if (record->flags & TT_FETCH_GRADIENTS) TT_TRY(tt_parcel_check_policy(object->head, tt_asker_of(run->peer), error));
  if (tensor == NULL && !takes) return tt_fetch_on(run->peer, record->request, object, error);
  if (tensor == NULL && !tt_pointer_owns(tail)) {
    return tt_fail(error, TT_ERR_STATE,
                   "object %" PRIu64 " at %s is a pointer that only borrows what is at %s; copy it instead", object->id,
                   run->worker->id, tt_pointer_location(tail)->id);
  }
  uint64_t *taken = NULL;
  if (takes) {
    if (tt_id_map_get(&run->peer->takings, record->request) != NULL) {
      return tt_fail(error, TT_ERR_DUPLICATE, "%s has a request %" PRIu64 " of %s already", run->worker->id, record->request,
                     run->peer->id);
    }
    if (run->peer->takings.n_entries >= TT_MAX_OPEN_REQUESTS) {
      return tt_fail(error, TT_ERR_FULL, "%zu objects that %s takes wait for its DONE already", run->peer->takings.n_entries,
                     run->peer->id);
    }
    taken = tt_alloc(1, sizeof *taken);
    if (taken == NULL || !tt_id_map_put(&run->peer->takings, record->request, taken)) {
      tt_free(taken);
      return tt_fail(error, TT_ERR_MEMORY, "%s has no memory to answer", run->worker->id);
    }
    *taken = object->id;
  }
  tt_status status;
  if (tensor == NULL) {
    status = tt_show_pointer(run->peer, record->request, object->head, error);
  } else {
    const tt_parcel parcel = tt_parcel_of(object->head, (record->flags & TT_FETCH_GRADIENTS) != 0);
    const tt_data_header header = {.transfer = record->request};
    status = tt_stream_send_tensor(run->peer, &parcel, &header, &object->metadata, error);
  }
  if (status != TT_OK && takes) {
    tt_id_map_remove(&run->peer->takings, record->request);
    tt_free(taken);
  }
  return status;
}

/* The peer has what it took, or what we sent it. */
static void execute_done(tt_run *run, const tt_record *record) {
  uint64_t *taken = tt_id_map_remove(&run->peer->takings, record->request);
  if (taken == NULL) {
    tt_request *request = tt_request_find(run->worker, run->peer, record->request);
    if (request != NULL) tt_request_finish(run->worker, request, &(tt_answer){0});
    return;
  }
  tt_object *object;
  /* Asked anew: the object may have been freed meanwhile, and its id be somebody else's. */
  tt_error trouble;
  tt_status status = tt_store_read(&run->worker->store, *taken, tt_asker_of(run->peer), TT_ACCESS_OWN, &object, &trouble);
  tt_free(taken);
  bool is_pointer = status == TT_OK && object->head != NULL && tt_node_is_pointer(tt_node_tail(object->head));
  if (is_pointer)
    tt_hand_over(run->peer, record->request, object);
  else if (status == TT_OK)
    tt_worker_forget_object(run->worker, object, "taken");
}

typedef tt_status tt_move_fn(tt_peer *peer, const tt_record *record, tt_object *object, tt_error *error);

/* SEND, PULL, ASSIGN: see give.c. */
static tt_status execute_move(tt_run *run, const tt_record *record, tt_move_fn *move, tt_error *error) {
  tt_object *object;
  tt_status status = tt_store_read(&run->worker->store, record->object, tt_asker_of(run->peer), TT_ACCESS_OWN, &object, error);
  bool is_poisoned = status == TT_OK && object->failure != NULL;
  if (is_poisoned) {
    *error = object->failure->error.error;
    reply_failure(run->peer, record->request, object->failure);
  } else if (status == TT_OK) {
    status = move(run->peer, record, object, error);
  }
  if (record->kind == TT_RECORD_SEND && (is_poisoned || status != TT_OK)) tt_give_up(run->peer, record, error);
  return status;
}

/* ---- the three payloads ---- */

/* The promised object that a record has to wait for; 0 when it need not. */
static uint64_t awaited_by(const tt_run *run, const tt_record *record) {
  if (run->worker->promises == NULL) return 0;
  if (record->kind == TT_RECORD_FETCH || record->kind == TT_RECORD_SEND || record->kind == TT_RECORD_PULL ||
      record->kind == TT_RECORD_ASSIGN)
    return tt_promise_blocks(run->peer, record->object) ? record->object : 0;
  for (size_t i = 0; record->kind == TT_RECORD_PERFORM && i < record->n_ids; i++) {
    if (tt_promise_blocks(run->peer, record->ids[i])) return record->ids[i];
  }
  for (size_t i = 0; record->kind == TT_RECORD_CALL && i < record->n_args; i++) {
    const tt_wire_value *arg = &record->args[i];
    size_t n = arg->value.type == TT_VALUE_OPERAND ? 1 : arg->value.type == TT_VALUE_OPERANDS ? arg->value.n : 0;
    for (size_t item = 0; item < n; item++) {
      if (tt_promise_blocks(run->peer, arg->ids[item])) return arg->ids[item];
    }
  }
  return 0;
}

static tt_status execute_record(tt_run *run, const tt_record *record, size_t position, tt_error *error) {
  switch (record->kind) {
  case TT_RECORD_CALL:
    tt_execute_call(run, record, position);
    break;
  case TT_RECORD_FREE:
    tt_execute_free(run, record);
    break;
  case TT_RECORD_FETCH:
    return answer_fetch(run, record, error);
  case TT_RECORD_SEND:
    return execute_move(run, record, tt_give, error);
  case TT_RECORD_PULL:
    return execute_move(run, record, tt_bring_home, error);
  case TT_RECORD_ASSIGN:
    return execute_move(run, record, tt_assign, error);
  case TT_RECORD_SYNC:
    tt_reply_done(run->peer, record->request);
    break;
  case TT_RECORD_DONE:
    execute_done(run, record);
    break;
  case TT_RECORD_PROMISE:
    tt_promise_make(run->peer, record);
    break;
  case TT_RECORD_PERFORM:
    tt_plan_execute(run, record, position);
    break;
  case TT_RECORD_TENSOR: /* are not refused: an error in them is a breach of the protocol */
  case TT_RECORD_PLAN:
    break;
  }
  return TT_OK;
}

static tt_status execute_run(tt_peer *peer, const tt_arrival *arrival, tt_error *error) {
  tt_run run = {.peer = peer, .worker = peer->worker};
  run.last = &run.first;
  tt_run_reader reader;
  tt_run_reader_init(&reader, arrival->payload, arrival->n_bytes);
  reader.n_read = arrival->first_record;
  tt_record record;
  tt_status status = TT_OK;
  for (bool at_end = false; status == TT_OK && !at_end && peer->in_stream != 0;) { /* an answer may have ended the stream */
    tt_error trouble;
    size_t begins = reader.reader.position;
    status = tt_run_read(&reader, &record, &at_end, error);
    if (status != TT_OK || at_end) break;
    uint64_t awaits = awaited_by(&run, &record);
    if (awaits != 0) {
      tt_arrival rest = *arrival;
      rest.first_record = reader.position;
      rest.awaits = awaits;
      rest.payload += begins;
      rest.n_bytes -= begins;
      status = tt_park(peer, &rest, true, error);
      break;
    }
    if (record.kind == TT_RECORD_TENSOR) {
      status = tt_execute_tensor(peer, &record, error);
      continue;
    }
    if (record.kind == TT_RECORD_PLAN) {
      status = tt_plan_keep(peer, &record, error);
      continue;
    }
    tt_status refused = execute_record(&run, &record, reader.position, &trouble);
    if (refused != TT_OK) tt_reply_plain_error(peer, record.request, &trouble);
  }
  tt_run_reader_release(&reader);
  tt_run_report_failures(&run);
  return status;
}

/* ---- queries ---- */

static tt_status print_object(const tt_object *object, tt_control *answer, tt_error *error) {
  tt_buffer text;
  tt_buffer_init(&text);
  tt_node_print(object->head, &text);
  answer->text = text.failed ? NULL : tt_strdup(tt_buffer_string(&text));
  tt_buffer_release(&text);
  return answer->text != NULL ? TT_OK : tt_fail(error, TT_ERR_MEMORY, "no memory to print object %" PRIu64, object->id);
}

static tt_status configure_object(tt_object *object, tt_metadata *metadata, tt_error *error) {
  if (object->is_withheld && metadata->has_policy) {
    return tt_fail(error, TT_ERR_POLICY, "object %" PRIu64 " is made from data that must not leave: its policy stays",
                   object->id);
  }
  tt_metadata *kept = &object->metadata;
  if (metadata->has_policy) object->policy = kept->policy = metadata->policy;
  kept->has_policy |= metadata->has_policy;
  if (metadata->n_tags > 0) {
    for (size_t i = 0; i < kept->n_tags; i++) tt_free(kept->tags[i]);
    tt_free(kept->tags);
    kept->tags = metadata->tags;
    kept->n_tags = metadata->n_tags;
    metadata->tags = NULL;
    metadata->n_tags = 0;
  }
  if (metadata->description != NULL) {
    tt_free(kept->description);
    kept->description = metadata->description;
    metadata->description = NULL;
  }
  return TT_OK;
}

/* *is_passed_on: somebody else is asked, whose answer will be passed on. */
static tt_status answer_query(tt_peer *peer, tt_control *query, tt_control *answer, tt_failure **failure, bool *is_passed_on,
                              tt_error *error) {
  tt_worker *worker = peer->worker;
  const tt_peer *asker = tt_asker_of(peer);
  tt_object *object = NULL;
  bool names_object = query->query == TT_QUERY_SHAPE || query->query == TT_QUERY_PRINT || query->query == TT_QUERY_CONFIGURE;
  if (names_object) {
    tt_access access = query->query == TT_QUERY_SHAPE   ? TT_ACCESS_SEE
                       : query->query == TT_QUERY_PRINT ? TT_ACCESS_FETCH
                                                        : TT_ACCESS_OWN;
    TT_TRY(tt_store_read(&worker->store, query->object, asker, access, &object, error));
    *failure = object->failure;
    if (object->failure != NULL) return object->failure->error.error.status;
    /* What a page says of what its worker points to is meant for the object, which others see. */
    bool is_about_pointer = query->query == TT_QUERY_CONFIGURE && asker != NULL;
    *is_passed_on = !is_about_pointer && tt_node_is_pointer(tt_node_tail(object->head));
    if (*is_passed_on) return tt_query_on(peer, query, object, error);
  }
  switch (query->query) {
  case TT_QUERY_WHOAMI:
    return tt_worker_whoami(worker, answer, error);
  case TT_QUERY_LIST:
  case TT_QUERY_SEARCH:
    return tt_worker_search_for(worker, asker, (const char *const *)query->terms, query->n_terms, answer, error);
  case TT_QUERY_SHAPE:
    answer->has_meta = true;
    answer->meta = *tt_node_meta(object->head);
    return TT_OK;
  case TT_QUERY_PRINT:
    return print_object(object, answer, error);
  case TT_QUERY_CONFIGURE:
    return configure_object(object, &query->metadata, error);
  }
  return tt_fail(error, TT_ERR_ARGUMENT, "%s knows no such query", worker->id);
}

static void execute_query(tt_peer *peer, tt_control *query) {
  tt_control answer = {.form = TT_CONTROL_ANSWER};
  tt_failure *failure = NULL;
  bool is_passed_on = false;
  tt_error trouble;
  tt_status status = answer_query(peer, query, &answer, &failure, &is_passed_on, &trouble);
  if (status == TT_OK && !is_passed_on) {
    answer.request = query->request;
    status = tt_stream_send_control(peer, &answer, &trouble);
  }
  tt_control_release(&answer);
  if (status != TT_OK && failure != NULL)
    reply_failure(peer, query->request, failure);
  else if (status != TT_OK)
    tt_reply_plain_error(peer, query->request, &trouble);
}

static tt_status execute_control(tt_peer *peer, const tt_arrival *arrival, tt_error *error) {
  tt_control control;
  TT_TRY(tt_control_read(arrival->payload, arrival->n_bytes, &control, error));
  tt_status status = TT_OK;
  if (control.form == TT_CONTROL_BROKEN) {
    tt_promise_broken(peer, control.object, &control.metadata, &control.error);
  } else if (control.form != TT_CONTROL_QUERY) {
    status = tt_request_answered(peer, &control, arrival->n_bytes, error);
  } else if (control.object != 0 && tt_promise_blocks(peer, control.object)) {
    tt_arrival waiting = *arrival;
    waiting.awaits = control.object;
    status = tt_park(peer, &waiting, true, error);
  } else {
    execute_query(peer, &control);
  }
  tt_control_release(&control);
  return status;
}

tt_status tt_execute_arrival(tt_peer *peer, const tt_arrival *arrival, tt_error *error) {
  if (arrival->type == TT_FRAME_RUN) return execute_run(peer, arrival, error);
  if (arrival->type == TT_FRAME_DATA) return tt_execute_data(peer, arrival, error);
  return execute_control(peer, arrival, error);
}
