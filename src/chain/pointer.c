#include "chain/pointer.h"

#include <inttypes.h>

#include "chain/hook.h"

typedef struct tt_pointer {
  tt_node node;
  tt_location *location; /* one reference */
  uint64_t id;
  uint64_t id_there;
  bool owns;
  bool requires_grad;
  const tt_op *grad_op; /* of one that requires grad and is no leaf */
} tt_pointer;

tt_location *tt_location_ref(tt_location *location) {
  location->refs++;
  return location;
}

void tt_location_unref(tt_location *location) {
  if (location != NULL && --location->refs == 0) location->ops->destroy(location);
}

tt_node *tt_pointer_new(tt_location *location, uint64_t id, const tt_meta *meta, bool owns, tt_error *error) {
  tt_pointer *pointer = (tt_pointer *)tt_node_new(&tt_kind_pointer, meta, NULL, error);
  if (pointer == NULL) return NULL;
  pointer->location = tt_location_ref(location);
  pointer->id = pointer->id_there = id;
  pointer->owns = owns;
  return &pointer->node;
}

bool tt_node_is_pointer(const tt_node *node) { return node->kind == &tt_kind_pointer; }
tt_location *tt_pointer_location(const tt_node *node) { return ((const tt_pointer *)node)->location; }
uint64_t tt_pointer_id(const tt_node *node) { return ((const tt_pointer *)node)->id; }
uint64_t tt_pointer_id_there(const tt_node *node) { return ((const tt_pointer *)node)->id_there; }
void tt_pointer_set_id_there(tt_node *node, uint64_t id) { ((tt_pointer *)node)->id_there = id; }
bool tt_pointer_owns(const tt_node *node) { return ((const tt_pointer *)node)->owns; }
void tt_pointer_disown(tt_node *node) { ((tt_pointer *)node)->owns = false; }
void tt_pointer_own(tt_node *node) { ((tt_pointer *)node)->owns = true; }
bool tt_pointer_requires_grad(const tt_node *node) { return ((const tt_pointer *)node)->requires_grad; }
const tt_op *tt_pointer_grad_op(const tt_node *node) { return ((const tt_pointer *)node)->grad_op; }

void tt_pointer_set_requires_grad(tt_node *node, bool requires_grad) {
  ((tt_pointer *)node)->requires_grad = requires_grad;
  ((tt_pointer *)node)->grad_op = NULL;
}

uint64_t tt_pointer_operand_id(const tt_operand *operand) { return tt_pointer_id((const tt_node *)(const void *)operand); }

static void release(tt_node *node) {
  tt_pointer *pointer = (tt_pointer *)node;
  if (pointer->owns) pointer->location->ops->free_object(pointer->location, pointer->id);
  tt_location_unref(pointer->location);
}

static void describe(const tt_node *node, tt_buffer *text) {
  tt_buffer_printf(text, "(%s, %" PRIu64 ")", tt_pointer_location(node)->id, tt_pointer_id_there(node));
}

/* What handle_call learns from its operands, and refuses. */
typedef struct tt_operands_place {
  const tt_hook *hook;
  const tt_op *op;
  tt_location *location;
} tt_operands_place;

static tt_status check_place(void *context, tt_node *node, tt_error *error) {
  tt_operands_place *place = context;
  if (!tt_node_is_pointer(node)) {
    return tt_fail(
        error, TT_ERR_LOCATION,
        "%s: its operands must be on the same worker, but one is here (%s) and one at %s; send the one or get the other",
        place->op->name, place->hook->here, place->location->id);
  }
  tt_location *location = tt_pointer_location(node);
  if (location != place->location) {
    return tt_fail(
        error, TT_ERR_LOCATION,
        "%s: its operands must be on the same worker, but one is at %s and one at %s; get one of them and send it to "
        "the other's worker",
        place->op->name, place->location->id, location->id);
  }
  return TT_OK;
}

static tt_status find_place(void *context, tt_node *node, tt_error *error) {
  (void)error;
  tt_operands_place *place = context;
  if (place->location == NULL && tt_node_is_pointer(node)) place->location = tt_pointer_location(node);
  return TT_OK;
}

void tt_pointer_copy_gradient(tt_node *node, const tt_node *from) {
  ((tt_pointer *)node)->requires_grad = ((const tt_pointer *)from)->requires_grad;
  ((tt_pointer *)node)->grad_op = ((const tt_pointer *)from)->grad_op;
}

/* ---- gradients, as far as they are known here ---- */

static bool any_requires_grad(const tt_op *op, const tt_value *args) {
  for (size_t i = 0; i < op->n_params; i++) {
    uint32_t n = args[i].type == TT_VALUE_OPERAND ? 1 : args[i].type == TT_VALUE_OPERANDS ? args[i].n : 0;
    for (uint32_t k = 0; k < n; k++) {
      const tt_operand *operand = args[i].type == TT_VALUE_OPERAND ? args[i].as.operand : args[i].as.operands[k];
      if (((const tt_pointer *)(const void *)operand)->requires_grad) return true;
    }
  }
  return false;
}

/* The mistakes that can be told on the caller's own line. */
static tt_status check_write(const tt_hook *hook, const tt_op *op, const tt_value *args, tt_error *error) {
  if (!hook->is_recording || (op->flags & TT_OP_GRAPH)) return TT_OK;
  for (size_t i = 0; i < op->n_params; i++) {
    if (!op->params[i].is_written || args[i].type != TT_VALUE_OPERAND) continue;
    const tt_pointer *target = (const tt_pointer *)(const void *)args[i].as.operand;
    if (!target->requires_grad || target->grad_op != NULL) continue;
    return tt_fail(error, TT_ERR_STATE,
                   "%s: a leaf Variable that requires grad is being used in an in-place operation; change it under no_grad, or "
                   "a clone of it",
                   op->name);
  }
  return TT_OK;
}

static tt_status check_graph(const tt_op *op, const tt_value *args, tt_error *error) {
  tt_dtype dtype = op->number == TT_OP_requires_grad_ ? args[0].as.operand->meta.dtype : TT_DTYPE_F32;
  if (dtype == TT_DTYPE_F32 || dtype == TT_DTYPE_F64 || !args[1].as.boolean) return TT_OK;
  return tt_fail(error, TT_ERR_DTYPE,
                 "requires_grad_: only Tensors of floating point dtype can require gradients; this one is %s",
                 tt_dtype_name(dtype));
}

static void note_gradient(const tt_hook *hook, const tt_op *op, const tt_value *args, tt_node *result) {
  tt_pointer *pointer = (tt_pointer *)result;
  tt_dtype dtype = tt_node_meta(result)->dtype;
  if (op->number == TT_OP_requires_grad_) {
    if (pointer->grad_op == NULL) pointer->requires_grad = args[1].as.boolean;
  } else if (op->number == TT_OP_detach_) {
    tt_pointer_set_requires_grad(result, false);
  } else if (!(op->flags & TT_OP_GRAPH) && hook->is_recording && op->grad != NULL &&
             (dtype == TT_DTYPE_F32 || dtype == TT_DTYPE_F64) && any_requires_grad(op, args)) {
    pointer->requires_grad = true;
    pointer->grad_op = op;
  }
}

tt_status tt_pointer_call(const tt_hook *hook, tt_location *location, const tt_op *op, const tt_value *args,
                          const uint64_t *result_ids, size_t n_result_ids, tt_node **results, size_t *n_results_out,
                          tt_error *error) {
  if (!(op->flags & TT_OP_REMOTE)) {
    return tt_fail(error, TT_ERR_UNKNOWN_OP, "%s cannot be called on a pointer: it is not on the list of remote ops", op->name);
  }
  tt_meta metas[TT_MAX_RESULTS];
  size_t n_results = 0;
  TT_TRY(tt_op_infer_rule(op, args, metas, &n_results, error));
  TT_TRY(check_write(hook, op, args, error));
  TT_TRY(check_graph(op, args, error));
  if (op->flags & TT_OP_INPLACE) {
    TT_TRY(tt_op_check_inplace(op, args, &metas[0], error));
    TT_TRY(location->ops->call(location, hook->is_recording, op, args, NULL, 0, error));
    results[0] = tt_node_ref((tt_node *)(void *)args[0].as.operand);
    note_gradient(hook, op, args, results[0]);
    *n_results_out = 1;
    return TT_OK;
  }
  if (result_ids != NULL && n_result_ids != n_results) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: %zu result ids were given, but it has %zu results", op->name, n_result_ids,
                   n_results);
  }
  uint64_t ids[TT_MAX_RESULTS];
  size_t n_made = 0;
  tt_status status = TT_OK;
  for (; n_made < n_results; n_made++) {
    ids[n_made] = result_ids != NULL ? result_ids[n_made] : location->ops->new_id(location);
    /* Owned only once the command is queued: until then there is nothing to free there. */
    results[n_made] = tt_pointer_new(location, ids[n_made], &metas[n_made], false, error);
    if (results[n_made] == NULL) {
      status = TT_ERR_MEMORY;
      break;
    }
  }
  if (status == TT_OK) status = location->ops->call(location, hook->is_recording, op, args, ids, n_results, error);
  if (status != TT_OK) {
    for (size_t i = 0; i < n_made; i++) tt_node_unref(results[i]);
    return status;
  }
  for (size_t i = 0; i < n_made; i++) {
    ((tt_pointer *)results[i])->owns = true;
    note_gradient(hook, op, args, results[i]);
  }
  *n_results_out = n_results;
  return TT_OK;
}

static tt_status handle_call(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error) {
  (void)kind;
  tt_operands_place place = {.hook = hook, .op = call->op};
  TT_TRY(tt_call_visit(call, find_place, &place, error));
  TT_TRY(tt_call_visit(call, check_place, &place, error));
  return tt_pointer_call(hook, place.location, call->op, call->args, call->result_ids, call->n_result_ids, call->results,
                         &call->n_results, error);
}

const tt_kind tt_kind_pointer = {.name = "_PointerTensor",
                                 .rank = TT_RANK_POINTER,
                                 .n_bytes = sizeof(tt_pointer),
                                 .handle_call = handle_call,
                                 .release = release,
                                 .describe = describe};
