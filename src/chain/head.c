/* head: the top of every chain. It handles a call by taking its children's part and wrapping what comes back. */
#include "chain/hook.h"

typedef struct tt_head {
  tt_node node;
  const char *busy; /* borrowed; NULL when ops may run */
} tt_head;

tt_node *tt_head_new(tt_node *take_child, tt_error *error) {
  return tt_node_new(&tt_kind_head, tt_node_meta(take_child), take_child, error);
}

void tt_head_set_child(tt_node *head, tt_node *take_child) {
  tt_node *old = head->child;
  tt_meta_copy(&head->operand.meta, tt_node_meta(take_child));
  head->child = take_child;
  tt_node_unref(old);
}

void tt_head_set_busy(tt_node *head, const char *busy) { ((tt_head *)head)->busy = busy; }

const char *tt_head_busy(const tt_node *head) { return ((const tt_head *)head)->busy; }

static tt_status take_child_part(void *context, const tt_op *op, tt_node **slot, tt_error *error) {
  (void)context;
  if ((*slot)->kind != &tt_kind_head) return TT_OK;
  const char *busy = tt_head_busy(*slot);
  if (busy != NULL) return tt_fail(error, TT_ERR_STATE, "%s: an operand %s; await that first", op->name, busy);
  *slot = (*slot)->child;
  return TT_OK;
}

/* Nobody reads the operands after the call: it goes down as it is, and what comes back is wrapped where it stands. */
static tt_status handle_call(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error) {
  (void)kind;
  tt_call_lists lists;
  /* A kind below may run code of others, who may let go of what is changed here. */
  tt_node *changed = NULL;
  if (call->op->flags & TT_OP_INPLACE) changed = tt_node_ref((tt_node *)(void *)call->args[0].as.operand);
  call->n_results = 0;
  tt_status status = tt_call_exchange(call, &lists, take_child_part, NULL, error);
  if (status == TT_OK) status = tt_hook_pass_down(hook, call, error);
  tt_call_release_lists(&lists);
  if (status != TT_OK) {
    tt_node_unref(changed);
    return status;
  }

  if (changed != NULL) {
    tt_head_set_child(changed, call->results[0]);
    call->results[0] = changed;
    return TT_OK;
  }
  for (size_t i = 0; i < call->n_results; i++) {
    tt_node *head = tt_head_new(call->results[i], error);
    if (head != NULL) {
      call->results[i] = head;
      continue;
    }
    for (size_t k = 0; k < call->n_results; k++) {
      if (k != i) tt_node_unref(call->results[k]);
    }
    return TT_ERR_MEMORY;
  }
  return TT_OK;
}

const tt_kind tt_kind_head = {.name = "Tensor", .rank = TT_RANK_HEAD, .n_bytes = sizeof(tt_head), .handle_call = handle_call};
