#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "chain/kind.h"
#include "chain/variable.h"
#include "worker/internal.h"

const tt_peer *tt_asker_of(const tt_peer *peer) {
  return peer->link != NULL && (peer->link->flags & TT_LINK_CONTROLLER) ? NULL : peer;
}

/* ---- answers ---- */

/* An answer that cannot be queued (no memory, or someone who asks and asks and reads no answers) would be waited for in vain. */
static void give_up_on(tt_peer *peer, tt_status status, const tt_error *error) {
  if (status != TT_OK && peer->link != NULL) tt_peer_break(peer, error);
}

void tt_reply_done(tt_peer *peer, uint64_t request) {
  tt_buffer *run;
  size_t start;
  tt_error trouble;
  tt_status status = tt_stream_begin_record(peer, &run, &start, &trouble);
  if (status == TT_OK) {
    tt_run_write_done(run, request);
    status = tt_stream_end_record(peer, start, &trouble);
  }
  give_up_on(peer, status, &trouble);
}

void tt_reply_error(tt_peer *peer, uint64_t request, const tt_wire_error *error) {
  const tt_control control = {.form = TT_CONTROL_ERROR, .request = request, .error = *error};
  tt_error trouble;
  give_up_on(peer, tt_stream_send_control(peer, &control, &trouble), &trouble);
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

/* ---- failures of one run ---- */

/* What went wrong in a run, told to its sender at the end unless an answer has told it before. */
typedef struct tt_run_failure {
  struct tt_run_failure *next;
  tt_failure *failure; /* one reference */
  size_t n_results;
  uint64_t results[TT_MAX_RESULTS];
} tt_run_failure;

typedef struct tt_run {
  tt_peer *peer;
  tt_worker *worker;
  tt_run_failure *first, **last;
} tt_run;

static void append_shape(tt_wire_error *wire, const tt_meta *meta) {
  char text[TT_SHAPE_TEXT_BYTES];
  size_t used = strlen(wire->shapes);
  size_t n_bytes = strlen(tt_shape_text(&meta->shape, text));
  if (used + n_bytes + 2 > sizeof wire->shapes) return;
  snprintf(wire->shapes + used, sizeof wire->shapes - used, "%s%s", used > 0 ? " " : "", text);
}

static void describe_operands(tt_wire_error *wire, const tt_value *args, size_t n_args) {
  for (size_t i = 0; i < n_args; i++) {
    if (args[i].type == TT_VALUE_OPERAND && args[i].as.operand != NULL) append_shape(wire, &args[i].as.operand->meta);
    if (args[i].type != TT_VALUE_OPERANDS) continue;
    for (uint32_t item = 0; item < args[i].n && args[i].as.operands[item] != NULL; item++) {
      append_shape(wire, &args[i].as.operands[item]->meta);
    }
  }
}

/* What a command would have made or changed. */
static const uint64_t *products_of(const tt_record *record, const tt_op *op, size_t *n_ids) {
  bool is_inplace =
      op != NULL && (op->flags & TT_OP_INPLACE) && record->n_args > 0 && record->args[0].value.type == TT_VALUE_OPERAND;
  *n_ids = is_inplace ? 1 : record->n_results;
  return is_inplace ? record->args[0].ids : record->results;
}

/* Marks what a failed command would have made or changed, so that whatever uses it fails with the first cause. */
static void poison_products(tt_run *run, const tt_record *record, const tt_op *op, tt_failure *failure) {
  size_t n_ids;
  const uint64_t *ids = products_of(record, op, &n_ids);
  for (size_t i = 0; i < n_ids; i++) {
    bool is_new = tt_store_find(&run->worker->store, ids[i]) == NULL;
    /* A result's id was taken: what stands there is not the command's, and stays as it is. */
    if (!is_new && ids == record->results) continue;
    /* Somebody else's object, or a full store: then using the id fails for that reason. */
    if (tt_store_poison(&run->worker->store, ids[i], failure, run->peer, NULL) == TT_OK && is_new) run->peer->n_objects++;
  }
}

static void tell_failure(tt_worker *worker, const tt_peer *peer, const tt_wire_error *error, const uint64_t *ids, size_t n_ids,
                         bool is_ours) {
  tt_worker_tell(worker, &(tt_event){.type = TT_EVENT_FAILURE,
                                     .peer = peer->id,
                                     .text = error->op,
                                     .error = error,
                                     .ids = ids,
                                     .n_results = n_ids,
                                     .is_ours = is_ours});
}

static void fail_command(tt_run *run, const tt_record *record, const tt_op *op, size_t position, const tt_error *error,
                         const tt_value *args, size_t n_args) {
  tt_wire_error wire;
  tt_wire_error_fill(run->worker, &wire, error);
  wire.command = (int64_t)position;
  wire.failure = tt_random_id();
  if (op != NULL) snprintf(wire.op, sizeof wire.op, "%s", op->name);
  describe_operands(&wire, args, n_args);

  size_t n_ids;
  const uint64_t *ids = products_of(record, op, &n_ids);
  tell_failure(run->worker, run->peer, &wire, ids, n_ids, false);
  tt_failure *failure = tt_failure_new(&wire);
  tt_run_failure *entry = tt_alloc(1, sizeof *entry);
  if (failure != NULL) poison_products(run, record, op, failure);
  if (failure == NULL || entry == NULL) {
    tt_failure_unref(failure);
    tt_free(entry);
    return;
  }
  entry->failure = failure;
  entry->n_results = n_ids;
  memcpy(entry->results, ids, n_ids * sizeof *ids);
  *run->last = entry;
  run->last = &entry->next;
}

static void report_failures(tt_run *run) {
  for (tt_run_failure *entry = run->first, *next; entry != NULL; entry = next) {
    next = entry->next;
    if (!entry->failure->is_reported && run->peer->link != NULL) {
      entry->failure->is_reported = true;
      const tt_control control = {
          .form = TT_CONTROL_FAILURE, .error = entry->failure->error, .results = entry->results, .n_results = entry->n_results};
      tt_error trouble;
      give_up_on(run->peer, tt_stream_send_control(run->peer, &control, &trouble), &trouble);
    }
    tt_failure_unref(entry->failure);
    tt_free(entry);
  }
}

/* ---- CALL ---- */

/* The operands of one command: their objects, and heads in the form that values want. */
typedef struct tt_operand_set {
  tt_operand *few[2 * TT_MAX_PARAMS]; /* most commands */
  tt_operand **many;                  /* owned; used when `few` is too small */
  size_t n;
  tt_node *few_lent[2 * TT_MAX_PARAMS]; /* references: what is others' goes into a call as links of its own */
  tt_node **many_lent;                  /* owned */
  size_t n_lent;
  bool is_withheld;    /* one of them must not leave */
  bool stays;          /* nor what is made of them: the op does not combine it */
  tt_failure *failure; /* of the first that is poisoned; borrowed */
} tt_operand_set;

static tt_status translate_op(tt_peer *peer, uint16_t number, const tt_op **op, tt_error *error) {
  unsigned ours = number;
  if (peer->op_map != NULL) ours = number < peer->n_op_map ? peer->op_map[number] : 0;
  *op = tt_op_get(ours);
  if (*op == NULL) {
    const char *name =
        peer->op_names != NULL && number < peer->n_op_map && peer->op_names[number] != NULL ? peer->op_names[number] : NULL;
    return name != NULL ? tt_fail(error, TT_ERR_UNKNOWN_OP, "%s (%s) has no op %s; the two versions differ", peer->worker->id,
                                  tt_software(), name)
                        : tt_fail(error, TT_ERR_UNKNOWN_OP, "%s (%s) has no op number %u", peer->worker->id, tt_software(),
                                  (unsigned)number);
  }
  if (!((*op)->flags & TT_OP_REMOTE)) return tt_fail(error, TT_ERR_POLICY, "%s may not be called from elsewhere", (*op)->name);
  return TT_OK;
}

/*
 * What is somebody else's takes part as a constant: gradients flow into what the commander owns and nothing else. And what comes of it knows
 * whether it may leave.
 */
static tt_status lend(tt_node *head, bool is_withheld, tt_operand_set *set, tt_operand **operand, tt_error *error) {
  tt_node *local = tt_local_new(tt_tensor_ref(tt_local_tensor(tt_node_tail(head))), error);
  if (local != NULL && is_withheld) tt_local_withhold(local);
  tt_node *lent = local == NULL ? NULL : tt_kind_over(head->child, local, error);
  if (lent == NULL) return TT_ERR_MEMORY;
  tt_node **list = set->many_lent != NULL ? set->many_lent : set->few_lent;
  list[set->n_lent++] = lent;
  *operand = &lent->operand;
  return TT_OK;
}

static void end_loans(tt_operand_set *set) {
  tt_node **list = set->many_lent != NULL ? set->many_lent : set->few_lent;
  for (size_t i = 0; i < set->n_lent; i++) tt_node_unref(list[i]);
  tt_free(set->many_lent);
}

static tt_status look_up(tt_run *run, uint64_t id, tt_access access, bool is_combined, tt_operand_set *set,
                         tt_operand **operand, tt_error *error) {
  tt_object *object;
  const tt_peer *asker = tt_asker_of(run->peer);
  TT_TRY(tt_store_read(&run->worker->store, id, asker, access, &object, error));
  if (object->failure != NULL) {
    set->failure = object->failure;
    *error = object->failure->error.error;
    return object->failure->error.error.status;
  }
  bool is_others = asker != NULL && object->owner != asker;
  bool is_withheld = asker != NULL && (object->is_withheld || (object->policy == TT_POLICY_COMPUTE && is_others));
  set->is_withheld |= is_withheld;
  set->stays |= is_withheld && !is_combined;
  if (is_others && tt_local_tensor(tt_node_tail(object->head)) != NULL)
    return lend(object->head, is_withheld, set, operand, error);
  *operand = (tt_operand *)(void *)object->head;
  return TT_OK;
}

static tt_status look_up_args(tt_run *run, const tt_record *record, const tt_op *op, tt_value *values, tt_operand_set *set,
                              tt_error *error) {
  size_t n_operands = 0;
  for (size_t i = 0; i < record->n_args; i++) {
    values[i] = record->args[i].value;
    if (values[i].type == TT_VALUE_OPERAND) n_operands += 1;
    if (values[i].type == TT_VALUE_OPERANDS) n_operands += values[i].n;
  }
  tt_operand **operands = set->few;
  if (n_operands > sizeof set->few / sizeof *set->few) {
    operands = set->many = tt_alloc(n_operands, sizeof *operands);
    set->many_lent = tt_alloc(n_operands, sizeof *set->many_lent);
    if (operands == NULL || set->many_lent == NULL)
      return tt_fail(error, TT_ERR_MEMORY, "no memory for %zu operands", n_operands);
  }
  for (size_t i = 0; i < record->n_args; i++) {
    tt_value *value = &values[i];
    if (value->type != TT_VALUE_OPERAND && value->type != TT_VALUE_OPERANDS) continue;
    size_t n = value->type == TT_VALUE_OPERAND ? 1 : value->n;
    tt_access access = i < op->n_params && op->params[i].is_written ? TT_ACCESS_OWN : TT_ACCESS_OPERATE;
    tt_operand **first = operands + set->n;
    if (value->type == TT_VALUE_OPERANDS) value->as.operands = first;
    for (size_t item = 0; item < n; item++) {
      TT_TRY(look_up(run, record->args[i].ids[item], access, tt_op_combines(op, i), set, &operands[set->n], error));
      set->n++;
    }
    if (value->type == TT_VALUE_OPERAND) value->as.operand = first[0];
  }
  return TT_OK;
}

/*
 * A result that shares memory with an object of somebody else would let the commander change what is not its own: it gets a copy. Views of one's
 * own objects stay views.
 */
static tt_status separate(tt_run *run, const tt_record *record, tt_node *result, tt_error *error) {
  tt_tensor *made = tt_local_tensor(tt_node_tail(result));
  if (made == NULL) return TT_OK;
  for (size_t i = 0; i < record->n_args; i++) {
    size_t n = record->args[i].value.type == TT_VALUE_OPERAND    ? 1
               : record->args[i].value.type == TT_VALUE_OPERANDS ? record->args[i].value.n
                                                                 : 0;
    for (size_t item = 0; item < n; item++) {
      const tt_object *object = tt_store_find(&run->worker->store, record->args[i].ids[item]);
      if (object == NULL || object->owner == run->peer) continue;
      const tt_tensor *source = tt_local_tensor(tt_node_tail(object->head));
      if (source == NULL || source->storage != made->storage) continue;
      uint64_t n_bytes = (uint64_t)tt_tensor_n_elements(made) * tt_dtype_bytes(tt_tensor_dtype(made));
      TT_TRY(tt_store_check_room(&run->worker->store, n_bytes, error));
      tt_tensor *copy = tt_tensor_cast(made, tt_tensor_dtype(made), error);
      if (copy == NULL) return TT_ERR_MEMORY;
      /* Its kinds stay, as links of its own: those it has may be the other object's as well. */
      tt_node *local = tt_local_new(copy, error);
      tt_node *child = local == NULL ? NULL : tt_kind_over(result->child, local, error);
      if (child == NULL) return TT_ERR_MEMORY;
      tt_head_set_child(result, child);
      return TT_OK;
    }
  }
  return TT_OK;
}

/* Whether an object's data must not leave is known to the object and to its data, so that what is made of it in any way knows it too. */
static void note_withheld(tt_worker *worker, tt_object *object) {
  tt_node *tail = object->head == NULL ? NULL : tt_node_tail(object->head);
  if (tail == NULL || tt_local_tensor(tail) == NULL) return;
  if (object->is_withheld) tt_local_withhold(tail);
  if (tt_local_is_withheld(tail)) tt_store_withhold(&worker->store, object);
}

/* What a command wrote to may now have been made from what must not leave: an optimiser's step reads a gradient. */
static void note_written(tt_run *run, const tt_record *record, const tt_op *op) {
  for (size_t i = 0; i < record->n_args && i < op->n_params; i++) {
    if (!op->params[i].is_written || record->args[i].value.type != TT_VALUE_OPERAND) continue;
    tt_object *object = tt_store_find(&run->worker->store, record->args[i].ids[0]);
    if (object != NULL) note_withheld(run->worker, object);
  }
}

static tt_status keep_results(tt_run *run, const tt_record *record, const tt_op *op, bool stays, tt_node **results,
                              size_t n_results, tt_error *error) {
  if (op->flags & TT_OP_INPLACE) return TT_OK;
  if (n_results != record->n_results) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s has %zu results here, but %zu ids were given for them", op->name, n_results,
                   record->n_results);
  }
  for (size_t i = 0; i < n_results; i++) {
    tt_object *object;
    TT_TRY(separate(run, record, results[i], error));
    TT_TRY(tt_worker_keep_object(run->worker, record->results[i], results[i], run->peer, &object, error));
    object->is_withheld = stays;
    note_withheld(run->worker, object);
  }
  return TT_OK;
}

static tt_status check_result_ids(const tt_run *run, const tt_record *record, tt_error *error) {
  for (size_t i = 0; i < record->n_results; i++) {
    uint64_t id = record->results[i];
    if (id == 0) return tt_fail(error, TT_ERR_ARGUMENT, "0 is no id of an object");
    if (tt_store_find(&run->worker->store, id) != NULL) {
      return tt_fail(error, TT_ERR_DUPLICATE, "%s has an object %" PRIu64 " already; nothing was overwritten", run->worker->id,
                     id);
    }
  }
  return TT_OK;
}

static void tell_command(tt_run *run, const tt_record *record, const tt_op *op) {
  uint64_t ids[2 * TT_MAX_PARAMS + TT_MAX_RESULTS];
  size_t n_ids = 0;
  for (size_t i = 0; i < record->n_args; i++) {
    size_t n = record->args[i].value.type == TT_VALUE_OPERAND    ? 1
               : record->args[i].value.type == TT_VALUE_OPERANDS ? record->args[i].value.n
                                                                 : 0;
    for (size_t item = 0; item < n && n_ids < 2 * TT_MAX_PARAMS; item++) ids[n_ids++] = record->args[i].ids[item];
  }
  size_t n_operands = n_ids;
  for (size_t i = 0; i < record->n_results; i++) ids[n_ids++] = record->results[i];
  tt_worker_tell(run->worker, &(tt_event){.type = TT_EVENT_COMMAND,
                                          .peer = run->peer->id,
                                          .text = op->name,
                                          .ids = ids,
                                          .n_operands = n_operands,
                                          .n_results = record->n_results});
}

static void withhold_target(tt_run *run, const tt_record *record, const tt_op *op) {
  size_t n_ids;
  const uint64_t *ids = products_of(record, op, &n_ids);
  tt_object *target = n_ids == 1 ? tt_store_find(&run->worker->store, ids[0]) : NULL;
  if (target != NULL) tt_store_withhold(&run->worker->store, target);
}

/* 0 would be no limit. */
static int64_t limit_of(uint64_t n_bytes) { return n_bytes == 0 ? 1 : n_bytes < INT64_MAX ? (int64_t)n_bytes : INT64_MAX; }

static void execute_call(tt_run *run, const tt_record *record, size_t position) {
  tt_worker *worker = run->worker;
  worker->counters.commands_in++;
  tt_error error;
  const tt_op *op = NULL;
  tt_value values[TT_MAX_PARAMS];
  tt_operand_set operands;
  operands.n = 0;
  operands.many = NULL;
  operands.many_lent = NULL;
  operands.n_lent = 0;
  operands.failure = NULL;
  operands.is_withheld = operands.stays = false;
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results = 0, n_described = 0;
  tt_status status = translate_op(run->peer, record->op, &op, &error);
  if (status == TT_OK) status = check_result_ids(run, record, &error);
  if (status == TT_OK) status = look_up_args(run, record, op, values, &operands, &error);
  /* Before it is written: an op that fails halfway has written too. */
  if (status == TT_OK && operands.is_withheld && (op->flags & TT_OP_INPLACE)) withhold_target(run, record, op);
  if (status == TT_OK) {
    n_described = record->n_args;
    worker->hook.max_result_bytes = limit_of(tt_store_room(&worker->store));
    worker->hook.max_view_bytes = limit_of(worker->store.max_bytes);
    worker->hook.max_steps = worker->store.max_objects;
    bool was_recording = worker->hook.is_recording;
    worker->hook.is_recording = (record->flags & TT_CALL_NO_GRAD) == 0;
    /* What is passed on for a page keeps its ids, so that one names it here and there. Others would meet themselves in a circle of pointers. */
    const uint64_t *ids = tt_asker_of(run->peer) == NULL && record->n_results > 0 ? record->results : NULL;
    status = tt_hook_call(&worker->hook, op->number, values, record->n_args, ids, ids == NULL ? 0 : record->n_results, results,
                          &n_results, &error);
    worker->hook.is_recording = was_recording;
    note_written(run, record, op);
    worker->hook.max_result_bytes = worker->hook.max_view_bytes = 0;
    worker->hook.max_steps = 0;
  }
  if (status == TT_OK) {
    status = keep_results(run, record, op, operands.stays, results, n_results, &error);
    /* All or nothing: what was kept before the failing one goes again. */
    for (size_t i = 0; status != TT_OK && i < record->n_results; i++) {
      tt_object *object = tt_store_find(&worker->store, record->results[i]);
      if (object != NULL && object->owner == run->peer) tt_worker_forget_object(worker, object, "its command failed");
    }
    for (size_t i = 0; i < n_results; i++) tt_node_unref(results[i]);
  }
  if (status == TT_OK) {
    if (tt_worker_hears(worker, TT_EVENT_COMMAND)) tell_command(run, record, op);
  } else if (operands.failure != NULL) {
    poison_products(run, record, op, operands.failure);
  } else {
    fail_command(run, record, op, position, &error, values, n_described);
  }
  tt_free(operands.many);
  end_loans(&operands);
}

/* ---- FREE, FETCH, DONE ---- */

void tt_tell_refused(tt_peer *peer, const tt_error *error) {
  tt_wire_error wire;
  tt_wire_error_fill(peer->worker, &wire, error);
  tt_worker_tell(peer->worker, &(tt_event){.type = TT_EVENT_REFUSED, .peer = peer->id, .error = &wire});
}

static void execute_free(tt_run *run, const tt_record *record) {
  for (size_t i = 0; i < record->n_ids; i++) {
    tt_object *object;
    tt_error error;
    /* Who made it frees it; to free what is not there is no fault (it may have been taken, or its command failed). */
    object = tt_store_find(&run->worker->store, record->ids[i]);
    if (object == NULL || object->is_hidden) continue;
    if (tt_store_read(&run->worker->store, record->ids[i], run->peer, TT_ACCESS_OWN, &object, &error) != TT_OK)
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
    execute_call(run, record, position);
    break;
  case TT_RECORD_FREE:
    execute_free(run, record);
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
    tt_status refused = execute_record(&run, &record, reader.position, &trouble);
    if (refused != TT_OK) tt_reply_plain_error(peer, record.request, &trouble);
  }
  tt_run_reader_release(&reader);
  report_failures(&run);
  return status;
}

static const char *const *chain_of(const tt_metadata *metadata) { return (const char *const *)(const void *)metadata->chain; }

static tt_node *incoming_head(tt_peer *peer, tt_tensor *take_tensor, tt_tensor *take_gradient, tt_error *error) {
  const tt_data_header *header = &peer->incoming_header;
  tt_metadata *metadata = &peer->incoming_metadata;
  tt_node *below = take_tensor != NULL ? tt_parcel_open(peer->worker, take_tensor, take_gradient, header->requires_grad, error)
                                       : tt_pointer_new(&peer->location, metadata->location_id, &header->meta, false, error);
  if (below != NULL && take_tensor == NULL) tt_pointer_set_requires_grad(below, header->requires_grad);
  tt_node *child = below == NULL ? NULL : tt_kind_build(chain_of(metadata), metadata->n_chain, below, error);
  tt_metadata_release_chain(metadata); /* from now on the head says it */
  return child == NULL ? NULL : tt_head_new(child, error);
}

/* What a peer has sent becomes an object here: its own, or that of whoever has promised it. *is_answered is false while nobody has. */
static tt_status keep_incoming(tt_peer *peer, tt_tensor *take_tensor, tt_tensor *take_gradient, bool *is_answered,
                               tt_error *error) {
  const tt_data_header *header = &peer->incoming_header;
  tt_node *head = incoming_head(peer, take_tensor, take_gradient, error);
  if (head == NULL) return error->status;
  tt_object *object;
  bool is_early = false;
  tt_status status = header->fulfils ? tt_promise_fulfil(peer, header, &peer->incoming_metadata, head, &is_early, error)
                                     : tt_worker_keep_object(peer->worker, header->object, head, peer, &object, error);
  tt_node *tail = tt_node_tail(head);
  if (status == TT_OK && tt_node_is_pointer(tail)) tt_pointer_own(tail);
  tt_node_unref(head);
  if (status != TT_OK) return status;
  *is_answered = !is_early;
  if (header->fulfils) return TT_OK;
  object->metadata = peer->incoming_metadata;
  peer->incoming_metadata = (tt_metadata){0};
  if (object->metadata.has_policy) object->policy = object->metadata.policy;
  return TT_OK;
}

static tt_status check_incoming(tt_peer *peer, const tt_data_header *header, tt_error *error) {
  const tt_worker *worker = peer->worker;
  const tt_metadata *metadata = &peer->incoming_metadata;
  if (header->object != 0) TT_TRY(tt_kind_check_names(chain_of(metadata), metadata->n_chain, error));
  if (header->object != 0 && header->fulfils) return tt_promise_check(peer, header, &peer->incoming_metadata, error);
  if (header->object != 0 && header->form != TT_DATA_TENSOR)
    return tt_fail(error, TT_ERR_ARGUMENT, "%s does not take pointers that nobody has promised", worker->id);
  if (header->object == 0) {
    tt_request *request = tt_request_find(peer->worker, peer, header->transfer);
    if (request == NULL || !tt_request_wants(request, header->form)) /* given up, or never asked */
      return tt_fail(error, TT_ERR_PROTOCOL, "%s answers something else than it was asked", peer->id);
    if (header->total_bytes <= worker->store.max_bytes) return TT_OK;
    return tt_fail(error, TT_ERR_FULL,
                   "a tensor of %" PRIu64 " bytes from %s is more than the %" PRIu64 " that %s may ever hold",
                   header->total_bytes, peer->id, worker->store.max_bytes, worker->id);
  }
  if (worker->is_storeless) {
    return tt_fail(error, TT_ERR_POLICY, "%s keeps no objects of others: it is the page of a worker; send to that worker",
                   worker->id);
  }
  if (tt_store_find(&worker->store, header->object) != NULL) {
    return tt_fail(error, TT_ERR_DUPLICATE, "%s has an object %" PRIu64 " already; nothing was overwritten", worker->id,
                   header->object);
  }
  return tt_store_check_room(&worker->store, header->total_bytes, error);
}

void tt_incoming_release(tt_peer *peer) {
  peer->worker->store.n_reserved_bytes -= peer->n_reserved_bytes;
  peer->n_reserved_bytes = 0;
  tt_data_reader_release(&peer->incoming);
}

/* An object cannot be kept: who sent it hears of it, and who waits for it. */
static void refuse_object(tt_peer *peer, const tt_error *error) {
  const tt_data_header *header = &peer->incoming_header;
  tt_wire_error wire;
  tt_wire_error_fill(peer->worker, &wire, error);
  wire.failure = header->fulfils ? tt_random_id() : 0;
  if (header->fulfils) tt_promise_broken(peer, header->object, &peer->incoming_metadata, &wire);
  tt_reply_error(peer, header->transfer, &wire);
}

static void finish_incoming(tt_peer *peer) {
  const tt_data_header *header = &peer->incoming_header;
  bool is_refused = peer->is_incoming_refused;
  tt_tensor *gradient = tt_data_reader_take_gradient(&peer->incoming);
  tt_tensor *tensor = tt_data_reader_take(&peer->incoming);
  tt_incoming_release(peer);
  if (!is_refused && header->object == 0 && header->form == TT_DATA_POINTER) {
    tt_metadata metadata = peer->incoming_metadata; /* the request's end may end the peer's stream */
    peer->incoming_metadata = (tt_metadata){0};
    tt_request_pointer(peer, header, &metadata);
    tt_metadata_release(&metadata);
  } else if (!is_refused && header->object == 0) {
    tt_metadata metadata = peer->incoming_metadata;
    peer->incoming_metadata = (tt_metadata){0};
    const tt_answer answer = {.tensor = tensor, .gradient = gradient, .requires_grad = tensor != NULL && header->requires_grad};
    tt_request_tensor(peer, header->transfer, &metadata, &answer);
    tt_metadata_release(&metadata);
    tt_tensor_unref(tensor);
    tt_tensor_unref(gradient);
  } else if (!is_refused) {
    tt_error error;
    bool is_answered = true;
    if (keep_incoming(peer, tensor, gradient, &is_answered, &error) != TT_OK)
      refuse_object(peer, &error);
    else if (is_answered)
      tt_reply_done(peer, header->transfer);
  }
  tt_metadata_release(&peer->incoming_metadata);
}

/* A tensor that cannot be taken is answered at once; the rest of it is skipped. */
static void refuse_incoming(tt_peer *peer, const tt_error *error) {
  const tt_data_header *header = &peer->incoming_header;
  peer->is_incoming_refused = true;
  if (header->object != 0) {
    refuse_object(peer, error);
    return;
  }
  tt_wire_error wire;
  tt_wire_error_fill(peer->worker, &wire, error);
  tt_request_tensor(peer, header->transfer, NULL, &(tt_answer){.error = &wire});
}

static tt_status begin_incoming(tt_peer *peer, bool fulfils, const uint8_t *payload, size_t n_bytes, tt_error *error) {
  if (peer->incoming.is_active)
    return tt_fail(error, TT_ERR_PROTOCOL, "a second tensor from %s before the first was whole", peer->id);
  tt_data_header *header = &peer->incoming_header;
  const uint8_t *elements;
  size_t n_element_bytes;
  tt_error trouble;
  tt_status refused = tt_data_header_read(payload, n_bytes, header, &elements, &n_element_bytes, &trouble);
  if (refused != TT_OK && refused != TT_ERR_SHAPE) {
    if (error != NULL) *error = trouble;
    return refused;
  }
  header->fulfils = fulfils;
  peer->is_incoming_refused = false;
  if (header->object == 0 && fulfils)
    return tt_fail(error, TT_ERR_PROTOCOL, "a tensor of %s fulfils a promise and has no id", peer->id);
  tt_metadata_release(&peer->incoming_metadata);
  if (header->metadata_bytes > 0)
    TT_TRY(tt_metadata_read(header->metadata, header->metadata_bytes, &peer->incoming_metadata, error));
  header->metadata = NULL; /* it points into this frame */
  if (header->form == TT_DATA_POINTER && peer->incoming_metadata.location == NULL)
    return tt_fail(error, TT_ERR_PROTOCOL, "a pointer of %s does not say where it points to", peer->id);
  if (refused == TT_OK) refused = check_incoming(peer, header, &trouble);
  if (refused == TT_OK) {
    refused = tt_data_reader_begin(&peer->incoming, header, true, elements, n_element_bytes, &trouble);
    if (refused == TT_OK && header->object != 0) {
      peer->n_reserved_bytes = header->total_bytes;
      peer->worker->store.n_reserved_bytes += header->total_bytes;
    }
    if (refused != TT_OK && refused != TT_ERR_MEMORY) {
      if (error != NULL) *error = trouble;
      return refused;
    }
  }
  if (refused != TT_OK) {
    TT_TRY(tt_data_reader_begin(&peer->incoming, header, false, elements, n_element_bytes, error));
    refuse_incoming(peer, &trouble);
  }
  peer->worker->counters.tensor_bytes_in += n_element_bytes;
  return TT_OK;
}

static tt_status execute_data(tt_peer *peer, const tt_arrival *arrival, tt_error *error) {
  bool continues = (arrival->flags & TT_FLAG_CONTINUES) != 0, fulfils = (arrival->flags & TT_FLAG_FULFILS) != 0;
  if (continues && fulfils)
    return tt_fail(error, TT_ERR_PROTOCOL, "a DATA frame of %s continues a transfer and fulfils a promise", peer->id);
  if (continues) {
    uint64_t before = peer->incoming.n_bytes;
    TT_TRY(tt_data_reader_continue(&peer->incoming, arrival->payload, arrival->n_bytes, error));
    peer->worker->counters.tensor_bytes_in += peer->incoming.n_bytes - before;
  } else {
    TT_TRY(begin_incoming(peer, fulfils, arrival->payload, arrival->n_bytes, error));
  }
  if (tt_data_reader_is_complete(&peer->incoming)) finish_incoming(peer);
  return TT_OK;
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
  if (arrival->type == TT_FRAME_DATA) return execute_data(peer, arrival, error);
  return execute_control(peer, arrival, error);
}
