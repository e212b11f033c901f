/*
 * plan: a function's commands, noted once and then performed at a worker by name, each time with other objects (PySyft's Plan).
 *
 * While it is made its inputs are placeholders: pointers to a peer that is no worker, whose ids are slots. What is called on them is noted as records,
 * whose ids are slots as well. A worker that has the records performs them as if they had come, with ids in place of slots.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "worker/internal.h"

/* ---- making one ---- */

/* A head that had its pointer exchanged for a placeholder. */
typedef struct lent_head {
  tt_node *head;   /* one reference */
  tt_node *before; /* one reference */
} lent_head;

/* What it takes. */
typedef struct plan_input {
  tt_meta meta;
  tt_node *placeholder; /* one reference; in the end it knows what of gradients is known of the tensor afterwards */
  bool requires_grad;   /* when it was noted */
} plan_input;

/* Who has it: on that stream. */
typedef struct holder {
  tt_location *location; /* one reference */
  uint32_t stream;
} holder;

struct tt_plan {
  tt_peer *place; /* where placeholders are; one reference to its location */
  uint64_t id;
  uint32_t n_slots;
  plan_input *inputs; /* owned */
  size_t n_inputs;
  lent_head *lent; /* owned */
  size_t n_lent;
  tt_node *outputs[TT_MAX_RESULTS]; /* the placeholders that it answers; one reference each */
  size_t n_outputs;
  tt_buffer body;
  size_t last_free; /* where in it the last FREE begins */
  bool has_free;
  holder *holders; /* owned */
  size_t n_holders;
};

tt_plan *tt_plan_begin(tt_worker *worker, tt_error *error) {
  tt_plan *plan = tt_alloc(1, sizeof *plan);
  if (plan == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "no memory for a plan");
    return NULL;
  }
  plan->id = tt_random_id();
  tt_buffer_init(&plan->body);
  plan->place = tt_peer_new(worker, tt_name_of("the plan that is being made"), error);
  if (plan->place == NULL) {
    tt_free(plan);
    return NULL;
  }
  plan->place->plan = plan;
  return plan;
}

uint64_t tt_plan_new_slot(tt_plan *plan) { return ++plan->n_slots; }

tt_status tt_plan_note_call(tt_plan *plan, bool records, const tt_op *op, const tt_value *args, const uint64_t *results,
                            size_t n_results, tt_error *error) {
  plan->has_free = false;
  tt_run_write_call(&plan->body, records ? 0 : TT_CALL_NO_GRAD, (uint16_t)op->number, args, tt_op_n_told(op, args),
                    tt_pointer_operand_id, results, n_results);
  return plan->body.failed ? tt_fail(error, TT_ERR_MEMORY, "no memory for a plan of %zu bytes", plan->body.n_bytes) : TT_OK;
}

void tt_plan_note_free(tt_plan *plan, uint64_t slot) {
  size_t start = plan->body.n_bytes;
  if (plan->has_free && tt_run_add_free(&plan->body, plan->last_free, slot)) return;
  tt_run_write_free(&plan->body, &slot, 1);
  plan->last_free = start;
  plan->has_free = true;
}

/* The pointer that a head is, as far as plans take it. */
static tt_node *pointer_of(tt_node *head, size_t position, tt_error *error) {
  const char *busy = tt_head_busy(head);
  if (busy != NULL) {
    tt_fail(error, TT_ERR_STATE, "plan: input %zu %s; await that first", position, busy);
    return NULL;
  }
  if (tt_node_is_pointer(head->child)) return head->child;
  tt_fail(error, TT_ERR_LOCATION,
          "plan: input %zu is here, at several workers or has kinds of its own: a plan takes what is at a worker, as it is",
          position);
  return NULL;
}

static tt_node *new_placeholder(tt_plan *plan, const tt_node *pointer, tt_error *error) {
  if (!tt_shape_is_known(&tt_node_meta(pointer)->shape)) {
    tt_fail(error, TT_ERR_SHAPE, "plan: the shape of input %zu is not known here yet; await its getShape() first",
            plan->n_inputs);
    return NULL;
  }
  plan_input *inputs = plan->n_inputs == UINT16_MAX ? NULL : tt_realloc(plan->inputs, (plan->n_inputs + 1) * sizeof *inputs);
  if (inputs == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "no memory for a plan with %zu inputs", plan->n_inputs + 1);
    return NULL;
  }
  plan->inputs = inputs;
  tt_node *placeholder = tt_pointer_new(&plan->place->location, tt_plan_new_slot(plan), tt_node_meta(pointer), false, error);
  if (placeholder == NULL) return NULL;
  tt_pointer_copy_gradient(placeholder, pointer);
  plan->inputs[plan->n_inputs++] = (plan_input){.meta = *tt_node_meta(pointer),
                                                .placeholder = tt_node_ref(placeholder),
                                                .requires_grad = tt_pointer_requires_grad(pointer)};
  return placeholder;
}

tt_node *tt_plan_add_input(tt_plan *plan, tt_node *head, tt_error *error) {
  tt_node *pointer = pointer_of(head, plan->n_inputs, error);
  tt_node *placeholder = pointer == NULL ? NULL : new_placeholder(plan, pointer, error);
  return placeholder == NULL ? NULL : tt_head_new(placeholder, error);
}

tt_status tt_plan_lend(tt_plan *plan, tt_node *head, tt_error *error) {
  tt_node *pointer = pointer_of(head, plan->n_inputs, error);
  if (pointer == NULL) return error->status;
  lent_head *lent = tt_realloc(plan->lent, (plan->n_lent + 1) * sizeof *lent);
  if (lent == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for a plan with %zu inputs", plan->n_inputs + 1);
  plan->lent = lent;
  tt_node *placeholder = new_placeholder(plan, pointer, error);
  if (placeholder == NULL) return error->status;
  lent[plan->n_lent++] = (lent_head){.head = tt_node_ref(head), .before = tt_node_ref(pointer)};
  tt_head_set_child(head, placeholder);
  return TT_OK;
}

static void give_back(tt_plan *plan) {
  while (plan->n_lent > 0) {
    lent_head lent = plan->lent[--plan->n_lent];
    tt_head_set_child(lent.head, lent.before);
    tt_node_unref(lent.head);
  }
  tt_free(plan->lent);
  plan->lent = NULL;
}

static tt_status take_outputs(tt_plan *plan, tt_node *const *heads, size_t n_heads, tt_error *error) {
  if (n_heads > TT_MAX_RESULTS)
    return tt_fail(error, TT_ERR_ARGUMENT, "plan: its function answers %zu tensors; at most %d are possible", n_heads,
                   TT_MAX_RESULTS);
  for (size_t i = 0; i < n_heads; i++) {
    tt_node *pointer = heads[i]->child;
    if (!tt_node_is_pointer(pointer) || tt_pointer_location(pointer) != &plan->place->location)
      return tt_fail(error, TT_ERR_ARGUMENT, "plan: its function answers a tensor that it did not make (answer %zu)", i);
    if (tt_pointer_id(pointer) <= plan->n_inputs)
      return tt_fail(error, TT_ERR_ARGUMENT, "plan: its function answers one of its inputs (answer %zu), which its caller has",
                     i);
    for (size_t k = 0; k < i; k++) {
      if (plan->outputs[k] == pointer)
        return tt_fail(error, TT_ERR_ARGUMENT, "plan: its function answers the same tensor twice (answers %zu and %zu)", k, i);
    }
    plan->outputs[i] = tt_node_ref(pointer);
    plan->n_outputs++;
  }
  return TT_OK;
}

tt_status tt_plan_end(tt_plan *plan, tt_node *const *outputs, size_t n_outputs, tt_error *error) {
  /* How many know the place when nothing is left over: this plan, the inputs (lent or held by the caller) and the outputs. */
  size_t n_known = 1 + plan->n_inputs + n_outputs;
  size_t n_left = (size_t)plan->place->location.refs > n_known ? (size_t)plan->place->location.refs - n_known : 0;
  tt_status status = take_outputs(plan, outputs, n_outputs, error);
  give_back(plan);
  plan->place->plan = NULL;
  plan->place->worker = NULL;
  if (status != TT_OK) return status;
  if (n_left > 0) {
    return tt_fail(
        error, TT_ERR_STATE,
        "plan: its function has kept %zu tensors that it made; they would be there only while the plan is made. Answer "
        "them, or make them before",
        n_left);
  }
  if (plan->body.failed) return tt_fail(error, TT_ERR_MEMORY, "no memory for a plan of %zu bytes", plan->body.n_bytes);
  if (plan->n_inputs == 0)
    return tt_fail(error, TT_ERR_ARGUMENT, "plan: it takes no tensor, so that there is no telling where it is performed");
  if (plan->body.n_bytes > TT_MAX_PLAN_BYTES) {
    return tt_fail(error, TT_ERR_ARGUMENT, "plan: its commands take %zu bytes, and at most %d are possible; make several of it",
                   plan->body.n_bytes, TT_MAX_PLAN_BYTES);
  }
  return TT_OK;
}

static bool has_plan(const holder *one) {
  const tt_peer *peer = tt_peer_of_location(one->location);
  return peer->worker != NULL && peer->link != NULL && peer->out_stream == one->stream && one->stream != 0;
}

void tt_plan_free(tt_plan *plan) {
  if (plan == NULL) return;
  give_back(plan);
  plan->place->plan = NULL;
  plan->place->worker = NULL;
  for (size_t i = 0; i < plan->n_outputs; i++) tt_node_unref(plan->outputs[i]);
  for (size_t i = 0; i < plan->n_inputs; i++) tt_node_unref(plan->inputs[i].placeholder);
  for (size_t i = 0; i < plan->n_holders; i++) {
    tt_peer *peer = tt_peer_of_location(plan->holders[i].location);
    tt_buffer *run;
    size_t start;
    if (has_plan(&plan->holders[i]) && tt_stream_begin_record(peer, &run, &start, NULL) == TT_OK) {
      tt_run_write_forget(run, plan->id);
      (void)tt_stream_end_record_later(peer, start, NULL);
    }
    tt_location_unref(plan->holders[i].location);
  }
  tt_location_unref(&plan->place->location);
  tt_buffer_release(&plan->body);
  tt_free(plan->inputs);
  tt_free(plan->holders);
  tt_free(plan);
}

/* ---- having it performed ---- */

/* Sends it to who has not got it. */
static tt_status bring_to(tt_plan *plan, tt_peer *peer, tt_error *error) {
  tt_buffer *run;
  size_t start, i = 0;
  TT_TRY(tt_stream_begin_record(peer, &run, &start, error)); /* and the stream has a number */
  while (i < plan->n_holders && plan->holders[i].location != &peer->location) i++;
  if (i < plan->n_holders && plan->holders[i].stream == peer->out_stream) return TT_OK;
  if (i == plan->n_holders) {
    holder *holders = tt_realloc(plan->holders, (i + 1) * sizeof *holders);
    if (holders == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory to send a plan");
    plan->holders = holders;
    holders[plan->n_holders++] = (holder){.location = tt_location_ref(&peer->location)};
  }
  uint64_t slots[TT_MAX_RESULTS];
  for (size_t k = 0; k < plan->n_outputs; k++) slots[k] = tt_pointer_id(plan->outputs[k]);
  tt_run_write_plan(run, plan->id, plan->n_slots, plan->n_inputs, slots, plan->n_outputs, &plan->body);
  TT_TRY(tt_stream_end_record(peer, start, error));
  plan->holders[i].stream = peer->out_stream;
  return TT_OK;
}

static tt_status check_inputs(const tt_plan *plan, tt_node *const *heads, size_t n_heads, uint64_t *ids, tt_error *error) {
  if (n_heads != plan->n_inputs)
    return tt_fail(error, TT_ERR_ARGUMENT, "plan: it takes %zu tensors, and %zu were given", plan->n_inputs, n_heads);
  for (size_t i = 0; i < n_heads; i++) {
    const tt_node *pointer = pointer_of(heads[i], i, error);
    if (pointer == NULL) return error->status;
    const tt_location *first = tt_pointer_location(heads[0]->child), *location = tt_pointer_location(pointer);
    if (location != first) {
      return tt_fail(error, TT_ERR_LOCATION, "plan: input 0 is at %s and input %zu at %s; send them to the same worker",
                     first->id, i, location->id);
    }
    const tt_meta *meta = tt_node_meta(pointer), *wanted = &plan->inputs[i].meta;
    if (tt_pointer_requires_grad(pointer) != plan->inputs[i].requires_grad)
      return tt_fail(error, TT_ERR_ABORTED, "plan: input %zu %s grad now; note it anew", i,
                     plan->inputs[i].requires_grad ? "requires no" : "requires");
    if (meta->dtype != wanted->dtype || !tt_shape_equal(&meta->shape, &wanted->shape)) {
      char is[TT_SHAPE_TEXT_BYTES], was[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE, "plan: input %zu is %s %s, and it was made for %s %s", i, tt_dtype_name(meta->dtype),
                     tt_shape_text(&meta->shape, is), tt_dtype_name(wanted->dtype), tt_shape_text(&wanted->shape, was));
    }
    ids[i] = tt_pointer_id(pointer);
  }
  return TT_OK;
}

static tt_status perform(tt_plan *plan, tt_peer *peer, const uint64_t *inputs, const uint64_t *outputs, tt_error *error) {
  tt_peer *through = peer->via != NULL ? peer->via : peer;
  if (peer->via != NULL && !peer->is_present) return tt_fail(error, TT_ERR_CONNECTION, "%s is not connected", peer->id);
  TT_TRY(bring_to(plan, through, error));
  tt_buffer *run;
  size_t start;
  TT_TRY(tt_stream_begin_record(through, &run, &start, error));
  tt_run_write_perform(run, plan->id, inputs, plan->n_inputs, outputs, plan->n_outputs);
  TT_TRY(tt_stream_end_record(through, start, error));
  through->worker->counters.commands_out++;
  return TT_OK;
}

tt_status tt_plan_perform(tt_plan *plan, tt_node *const *heads, size_t n_heads, tt_node **results, size_t *n_results,
                          tt_error *error) {
  uint64_t *inputs = tt_alloc(n_heads, sizeof *inputs), outputs[TT_MAX_RESULTS];
  if (inputs == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory to perform a plan");
  size_t n_made = 0;
  tt_status status = check_inputs(plan, heads, n_heads, inputs, error);
  for (; status == TT_OK && n_made < plan->n_outputs; n_made++) {
    const tt_node *output = plan->outputs[n_made];
    outputs[n_made] = tt_random_id();
    /* Owned only once it is queued, as a command's results are. */
    tt_node *pointer =
        tt_pointer_new(tt_pointer_location(heads[0]->child), outputs[n_made], tt_node_meta(output), false, error);
    if (pointer != NULL) tt_pointer_copy_gradient(pointer, output);
    results[n_made] = pointer == NULL ? NULL : tt_head_new(pointer, error);
    if (results[n_made] == NULL) {
      status = TT_ERR_MEMORY;
      break;
    }
  }
  if (status == TT_OK)
    status = perform(plan, tt_peer_of_location(tt_pointer_location(heads[0]->child)), inputs, outputs, error);
  tt_free(inputs);
  for (size_t i = 0; i < n_made; i++) {
    if (status != TT_OK)
      tt_node_unref(results[i]);
    else
      tt_pointer_own(results[i]->child);
  }
  for (size_t i = 0; status == TT_OK && i < plan->n_inputs; i++) {
    const tt_node *placeholder = plan->inputs[i].placeholder;
    if (tt_pointer_requires_grad(placeholder) != plan->inputs[i].requires_grad)
      tt_pointer_copy_gradient(heads[i]->child, placeholder);
  }
  *n_results = n_made;
  return status;
}

/* ---- performing one ---- */

struct tt_kept_plan {
  int refs;
  uint32_t n_slots;
  size_t n_inputs, n_outputs;
  uint64_t outputs[TT_MAX_RESULTS];
  tt_slot *slots; /* owned; from 1 on */
  uint8_t *body;  /* owned */
  size_t n_body_bytes;
  size_t n_bytes; /* that it takes, all in all */
};

static void unref_kept(tt_kept_plan *kept) {
  if (kept == NULL || --kept->refs > 0) return;
  tt_free(kept->slots);
  tt_free(kept->body);
  tt_free(kept);
}

static void forget(tt_peer *peer, uint64_t id) {
  tt_kept_plan *kept = tt_id_map_remove(&peer->plans, id);
  if (kept == NULL) return;
  peer->n_plan_bytes -= kept->n_bytes;
  unref_kept(kept);
}

void tt_plans_forget(tt_peer *peer) {
  size_t cursor = 0;
  for (tt_kept_plan *kept; (kept = tt_id_map_next(&peer->plans, &cursor, NULL)) != NULL;) unref_kept(kept);
  tt_id_map_release(&peer->plans);
  peer->n_plan_bytes = 0;
}

static tt_status check_slots(const uint64_t *slots, size_t n, uint32_t n_slots, tt_error *error) {
  for (size_t i = 0; i < n; i++) {
    if (slots[i] == 0 || slots[i] > n_slots)
      return tt_fail(error, TT_ERR_PROTOCOL, "%" PRIu64 " is no slot of a plan that has %" PRIu32, slots[i], n_slots);
  }
  return TT_OK;
}

/* Reads all of its records once. */
static tt_status check_body(const tt_record *plan, tt_error *error) {
  tt_run_reader reader;
  tt_run_reader_init(&reader, plan->data, plan->n_data_bytes);
  tt_record record;
  tt_status status = TT_OK;
  for (bool at_end = false; status == TT_OK;) {
    status = tt_run_read(&reader, &record, &at_end, error);
    if (status != TT_OK || at_end) break;
    if (record.kind == TT_RECORD_FREE) {
      status = check_slots(record.ids, record.n_ids, plan->n_slots, error);
      continue;
    }
    if (record.kind != TT_RECORD_CALL) {
      status =
          tt_fail(error, TT_ERR_PROTOCOL, "a plan has a record of kind %d; only CALL and FREE stand in one", (int)record.kind);
      break;
    }
    status = check_slots(record.results, record.n_results, plan->n_slots, error);
    for (size_t i = 0; status == TT_OK && i < record.n_args; i++) {
      const tt_value *value = &record.args[i].value;
      if (value->type != TT_VALUE_OPERAND && value->type != TT_VALUE_OPERANDS) continue;
      size_t n = value->type == TT_VALUE_OPERAND ? 1 : value->n;
      status = check_slots(record.args[i].ids, n, plan->n_slots, error);
    }
  }
  tt_run_reader_release(&reader);
  if (status != TT_OK) tt_error_prefix(error, "a plan");
  return status;
}

static size_t bytes_of(const tt_record *record) {
  return sizeof(tt_kept_plan) + record->n_data_bytes + sizeof(tt_slot) * (record->n_slots + 1);
}

static tt_kept_plan *new_kept(const tt_record *record) {
  tt_kept_plan *kept = tt_alloc(1, sizeof *kept);
  if (kept == NULL) return NULL;
  *kept = (tt_kept_plan){.refs = 1,
                         .n_slots = record->n_slots,
                         .n_inputs = record->n_ids,
                         .n_outputs = record->n_results,
                         .slots = tt_alloc(record->n_slots + 1u, sizeof *kept->slots),
                         .body = tt_alloc(record->n_data_bytes, 1),
                         .n_body_bytes = record->n_data_bytes,
                         .n_bytes = bytes_of(record)};
  if (kept->slots == NULL || kept->body == NULL) {
    unref_kept(kept);
    return NULL;
  }
  memcpy(kept->outputs, record->results, record->n_results * sizeof *kept->outputs);
  if (record->n_data_bytes > 0) memcpy(kept->body, record->data, record->n_data_bytes);
  return kept;
}

tt_status tt_plan_keep(tt_peer *peer, const tt_record *record, tt_error *error) {
  if (record->flags & TT_PLAN_FORGET) {
    forget(peer, record->object);
    return TT_OK;
  }
  /* Every slot but an input's is some command's result, which takes eight bytes. */
  if (record->n_slots > record->n_ids + record->n_data_bytes / 8 || record->n_slots < record->n_ids)
    return tt_fail(error, TT_ERR_PROTOCOL, "a plan of %zu bytes cannot have %" PRIu32 " slots", record->n_data_bytes,
                   record->n_slots);
  TT_TRY(check_slots(record->results, record->n_results, record->n_slots, error));
  TT_TRY(check_body(record, error));
  forget(peer, record->object);
  tt_error refusal;
  tt_status status = TT_OK;
  if (peer->plans.n_entries >= TT_MAX_PLANS || peer->n_plan_bytes + bytes_of(record) > TT_MAX_PLANS_BYTES) {
    status = tt_fail(&refusal, TT_ERR_FULL, "%s keeps %zu plans of %s (%zu bytes) already; dispose of some", peer->worker->id,
                     peer->plans.n_entries, peer->id, peer->n_plan_bytes);
  }
  tt_kept_plan *kept = status == TT_OK ? new_kept(record) : NULL;
  if (status == TT_OK && (kept == NULL || !tt_id_map_put(&peer->plans, record->object, kept)))
    status = tt_fail(&refusal, TT_ERR_MEMORY, "%s has no memory for a plan of %s", peer->worker->id, peer->id);
  if (status != TT_OK) { /* whoever has it performed hears of it */
    unref_kept(kept);
    tt_tell_refused(peer, &refusal);
    return TT_OK;
  }
  peer->n_plan_bytes += kept->n_bytes;
  return TT_OK;
}

/* What the slots stand for this time. */
static void fill_slots(tt_kept_plan *kept, const tt_record *record) {
  /* Ids of what is passing appear in what is told alone. */
  uint64_t first_id = tt_random_id();
  for (size_t i = 1; i <= kept->n_slots; i++) {
    kept->slots[i].is_passing = i > kept->n_inputs;
    kept->slots[i].id = i > kept->n_inputs ? first_id + i : record->ids[i - 1];
  }
  for (size_t i = 0; i < kept->n_outputs; i++) {
    kept->slots[kept->outputs[i]].is_passing = false;
    kept->slots[kept->outputs[i]].id = record->results[i];
  }
}

static void free_slots(tt_run *run, const tt_record *record) {
  for (size_t i = 0; i < record->n_ids; i++) {
    tt_slot *slot = &run->slots[record->ids[i]];
    if (slot->is_passing)
      tt_slot_release(run, slot);
    else
      tt_execute_free(run, &(tt_record){.kind = TT_RECORD_FREE, .n_ids = 1, .ids = &slot->id});
  }
}

static tt_status find_plan(const tt_run *run, const tt_record *record, tt_kept_plan **found, tt_error *error) {
  tt_kept_plan *kept = tt_id_map_get(&run->peer->plans, record->object);
  if (kept == NULL) {
    return tt_fail(error, TT_ERR_UNKNOWN_OBJECT, "%s has no plan %" PRIu64 " of %s (refused, or disposed of)", run->worker->id,
                   record->object, run->peer->id);
  }
  if (record->n_ids != kept->n_inputs || record->n_results != kept->n_outputs) {
    return tt_fail(error, TT_ERR_ARGUMENT, "a plan takes %zu objects and answers %zu, and was given %zu and %zu",
                   kept->n_inputs, kept->n_outputs, record->n_ids, record->n_results);
  }
  *found = kept;
  return TT_OK;
}

void tt_plan_execute(tt_run *run, const tt_record *record, size_t position) {
  tt_kept_plan *kept;
  tt_error error;
  if (find_plan(run, record, &kept, &error) != TT_OK) {
    tt_run_fail(run, record, position, &error);
    return;
  }
  kept->refs++; /* a command may end the stream, and all plans with it */
  fill_slots(kept, record);
  run->slots = kept->slots;
  run->n_slots = kept->n_slots;
  tt_run_reader reader;
  tt_run_reader_init(&reader, kept->body, kept->n_body_bytes);
  tt_record inner;
  bool at_end = false;
  while (run->peer->in_stream != 0 && tt_run_read(&reader, &inner, &at_end, &error) == TT_OK && !at_end) {
    if (inner.kind == TT_RECORD_FREE)
      free_slots(run, &inner);
    else
      tt_execute_call(run, &inner, position);
  }
  tt_run_reader_release(&reader);
  for (size_t i = 1; i <= kept->n_slots; i++) {
    if (kept->slots[i].is_passing) tt_slot_release(run, &kept->slots[i]);
  }
  run->slots = NULL;
  run->n_slots = 0;
  unref_kept(kept);
}
