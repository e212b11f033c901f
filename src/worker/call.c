#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "chain/kind.h"
#include "worker/internal.h"

/* ---- failures of one run ---- */

struct tt_run_failure {
  struct tt_run_failure *next;
  tt_failure *failure; /* one reference */
  size_t n_results;
  uint64_t results[TT_MAX_RESULTS];
};

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

/* ---- names ---- */

/* What records call objects: ids, or slots of a plan. */
static uint64_t id_of(const tt_run *run, uint64_t name) { return run->slots == NULL ? name : run->slots[name].id; }

/* NULL: it is one of the store's. */
static tt_slot *passing(const tt_run *run, uint64_t name) {
  return run->slots != NULL && run->slots[name].is_passing ? &run->slots[name] : NULL;
}

static tt_object *find_object(const tt_run *run, uint64_t name) { return tt_store_find(&run->worker->store, id_of(run, name)); }

void tt_slot_release(tt_run *run, tt_slot *slot) {
  if (slot->held != NULL) tt_storage_unhold(slot->held, run->worker->store.ledger);
  tt_node_unref(slot->head);
  tt_failure_unref(slot->failure);
  slot->held = NULL;
  slot->head = NULL;
  slot->failure = NULL;
  slot->is_withheld = false;
}

static tt_tensor *data_of(const tt_node *head) {
  return head == NULL ? NULL : tt_local_tensor(tt_node_tail((tt_node *)(uintptr_t)head));
}

static void withhold_slot(tt_slot *slot) {
  slot->is_withheld = true;
  if (data_of(slot->head) != NULL) tt_local_withhold(tt_node_tail(slot->head));
}

/* Whatever shares memory with what must not leave must not leave. */
static void withhold_slots(tt_run *run, const tt_storage *held) {
  if (held == NULL || held->n_holds == 1) return;
  for (size_t i = 1; i <= run->n_slots; i++) {
    if (run->slots[i].held == held) withhold_slot(&run->slots[i]);
  }
}

static void withhold_passing(tt_run *run, tt_slot *slot) {
  if (slot->is_withheld) return;
  withhold_slot(slot);
  withhold_slots(run, slot->held);
  if (slot->held != NULL && slot->held->n_holds > 1) tt_store_withhold_storage(&run->worker->store, slot->held);
}

static void withhold_object(tt_run *run, tt_object *object) {
  if (object->is_withheld) return;
  tt_store_withhold(&run->worker->store, object);
  withhold_slots(run, object->held);
}

/* What a command would have made or changed: names. */
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
    tt_slot *slot = passing(run, ids[i]);
    if (slot != NULL) {
      if (slot->head != NULL && ids == record->results) continue; /* it was there before */
      tt_failure *before = slot->failure;
      slot->failure = tt_failure_ref(failure); /* it may be the one that is there */
      tt_failure_unref(before);
      continue;
    }
    uint64_t id = id_of(run, ids[i]);
    bool is_new = tt_store_find(&run->worker->store, id) == NULL;
    /* A result's id was taken: what stands there is not the command's, and stays as it is. */
    if (!is_new && ids == record->results) continue;
    /* Somebody else's object, or a full store: then using the id fails for that reason. */
    if (tt_store_poison(&run->worker->store, id, failure, run->peer, NULL) == TT_OK && is_new) run->peer->n_objects++;
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
  const uint64_t *names = products_of(record, op, &n_ids);
  uint64_t ids[TT_MAX_RESULTS];
  for (size_t i = 0; i < n_ids; i++) ids[i] = id_of(run, names[i]);
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

void tt_run_fail(tt_run *run, const tt_record *record, size_t position, const tt_error *error) {
  fail_command(run, record, NULL, position, error, NULL, 0);
}

void tt_run_report_failures(tt_run *run) {
  for (tt_run_failure *entry = run->first, *next; entry != NULL; entry = next) {
    next = entry->next;
    if (!entry->failure->is_reported && run->peer->link != NULL) {
      entry->failure->is_reported = true;
      const tt_control control = {
          .form = TT_CONTROL_FAILURE, .error = entry->failure->error, .results = entry->results, .n_results = entry->n_results};
      tt_error trouble;
      tt_give_up_on(run->peer, tt_stream_send_control(run->peer, &control, &trouble), &trouble);
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

static tt_status look_up_passing(const tt_run *run, const tt_slot *slot, bool is_combined, tt_operand_set *set,
                                 tt_operand **operand, tt_error *error) {
  if (slot->failure != NULL) {
    set->failure = slot->failure;
    *error = slot->failure->error.error;
    return slot->failure->error.error.status;
  }
  if (slot->head == NULL) {
    return tt_fail(error, TT_ERR_UNKNOWN_OBJECT, "a plan at %s uses what it has not made yet, or has freed (slot %zu)",
                   run->worker->id, (size_t)(slot - run->slots));
  }
  set->is_withheld |= slot->is_withheld;
  set->stays |= slot->is_withheld && !is_combined;
  *operand = (tt_operand *)(void *)slot->head;
  return TT_OK;
}

static tt_status look_up(tt_run *run, uint64_t name, tt_access access, bool is_combined, tt_operand_set *set,
                         tt_operand **operand, tt_error *error) {
  const tt_slot *slot = passing(run, name);
  if (slot != NULL) return look_up_passing(run, slot, is_combined, set, operand, error);
  tt_object *object;
  const tt_peer *asker = tt_asker_of(run->peer);
  TT_TRY(tt_store_read(&run->worker->store, id_of(run, name), asker, access, &object, error));
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
  if (made == NULL || (made->refs == 1 && made->storage->refs == 1)) return TT_OK; /* nobody else has it */
  for (size_t i = 0; i < record->n_args; i++) {
    size_t n = record->args[i].value.type == TT_VALUE_OPERAND    ? 1
               : record->args[i].value.type == TT_VALUE_OPERANDS ? record->args[i].value.n
                                                                 : 0;
    for (size_t item = 0; item < n; item++) {
      if (passing(run, record->args[i].ids[item]) != NULL) continue; /* its commander's own */
      const tt_object *object = find_object(run, record->args[i].ids[item]);
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
static void note_withheld(tt_run *run, tt_object *object) {
  if (data_of(object->head) == NULL) return;
  tt_node *tail = tt_node_tail(object->head);
  if (object->is_withheld) tt_local_withhold(tail);
  if (tt_local_is_withheld(tail)) withhold_object(run, object);
}

static void note_passing_withheld(tt_run *run, tt_slot *slot) {
  if (data_of(slot->head) == NULL) return;
  tt_node *tail = tt_node_tail(slot->head);
  if (slot->is_withheld) tt_local_withhold(tail);
  if (tt_local_is_withheld(tail)) withhold_passing(run, slot);
}

/* What a command wrote to may now have been made from what must not leave: an optimiser's step reads a gradient. */
static void note_written(tt_run *run, const tt_record *record, const tt_op *op) {
  if (!op->writes) return;
  for (size_t i = 0; i < record->n_args && i < op->n_params; i++) {
    if (!op->params[i].is_written || record->args[i].value.type != TT_VALUE_OPERAND) continue;
    tt_slot *slot = passing(run, record->args[i].ids[0]);
    tt_object *object = slot != NULL ? NULL : find_object(run, record->args[i].ids[0]);
    if (slot != NULL) note_passing_withheld(run, slot);
    if (object != NULL) note_withheld(run, object);
  }
}

/* In a slot, until the plan frees it or has been performed. */
static tt_status keep_passing(tt_run *run, tt_slot *slot, tt_node *head, bool stays, tt_error *error) {
  tt_object_store *store = &run->worker->store;
  if (slot->head != NULL)
    return tt_fail(error, TT_ERR_DUPLICATE, "a command of a plan at %s answers two things in one slot", run->worker->id);
  const tt_tensor *tensor = data_of(head);
  tt_storage *storage = tensor == NULL ? NULL : tensor->storage;
  TT_TRY(tt_store_check_room(store, storage != NULL && storage->n_holds == 0 ? storage->n_bytes : 0, error));
  slot->head = tt_node_ref(head);
  if (storage != NULL) {
    slot->held = storage;
    tt_storage_hold(storage, store->ledger);
  }
  slot->is_withheld = stays;
  note_passing_withheld(run, slot);
  return TT_OK;
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
    tt_slot *slot = passing(run, record->results[i]);
    if (slot != NULL) {
      TT_TRY(keep_passing(run, slot, results[i], stays, error));
      continue;
    }
    TT_TRY(tt_worker_keep_object(run->worker, id_of(run, record->results[i]), results[i], run->peer, &object, error));
    object->is_withheld = stays;
    note_withheld(run, object);
  }
  return TT_OK;
}

static tt_status check_result_ids(const tt_run *run, const tt_record *record, tt_error *error) {
  for (size_t i = 0; i < record->n_results; i++) {
    const tt_slot *slot = passing(run, record->results[i]);
    if (slot != NULL) {
      if (slot->head == NULL && slot->failure == NULL) continue;
      return tt_fail(error, TT_ERR_DUPLICATE, "a plan at %s makes one thing twice (slot %zu)", run->worker->id,
                     (size_t)(slot - run->slots));
    }
    uint64_t id = id_of(run, record->results[i]);
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
    for (size_t item = 0; item < n && n_ids < 2 * TT_MAX_PARAMS; item++) ids[n_ids++] = id_of(run, record->args[i].ids[item]);
  }
  size_t n_operands = n_ids;
  for (size_t i = 0; i < record->n_results; i++) ids[n_ids++] = id_of(run, record->results[i]);
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
  if (n_ids != 1) return;
  tt_slot *slot = passing(run, ids[0]);
  tt_object *target = slot != NULL ? NULL : find_object(run, ids[0]);
  if (slot != NULL) withhold_passing(run, slot);
  if (target != NULL) withhold_object(run, target);
}

/* 0 would be no limit. */
static int64_t limit_of(uint64_t n_bytes) { return n_bytes == 0 ? 1 : n_bytes < INT64_MAX ? (int64_t)n_bytes : INT64_MAX; }

void tt_execute_call(tt_run *run, const tt_record *record, size_t position) {
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
    uint64_t ids_there[TT_MAX_RESULTS];
    const uint64_t *ids = tt_asker_of(run->peer) == NULL && record->n_results > 0 ? ids_there : NULL;
    for (size_t i = 0; ids != NULL && i < record->n_results; i++) ids_there[i] = id_of(run, record->results[i]);
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
      tt_slot *slot = passing(run, record->results[i]);
      tt_object *object = slot != NULL ? NULL : find_object(run, record->results[i]);
      if (slot != NULL) tt_slot_release(run, slot);
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
