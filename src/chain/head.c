/* head: the top of every chain. It handles a call by taking its children's part and wrapping what comes back. */
#include "chain/hook.h"

typedef struct tt_head {
  tt_node node;
  const char *busy; /* borrowed; NULL when ops may run */
} tt_head;

tt_node *tt_head_new(tt_node *take_child, tt_error *error) {
  tt_meta meta = *tt_node_meta(take_child);
  return tt_node_new(&tt_kind_head, sizeof(tt_head), &meta, take_child, error);
}

void tt_head_set_child(tt_node *head, tt_node *take_child) {
  tt_node *old = head->child;
  head->operand.meta = *tt_node_meta(take_child);
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

static tt_status handle_call(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error) {
  (void)kind;
  tt_call inner = *call;
  inner.n_results = 0;
  tt_call_lists lists;
  /* A kind below may run code of others, who may let go of what is changed here. */
  tt_node *changed = NULL;
  if (call->op->flags & TT_OP_INPLACE) changed = tt_node_ref((tt_node *)(void *)call->args[0].as.operand);
  tt_status status = tt_call_exchange(&inner, &lists, take_child_part, NULL, error);
  if (status == TT_OK) status = tt_hook_pass_down(hook, &inner, error);
  tt_call_release_lists(&lists);
  if (status != TT_OK) {
    tt_node_unref(changed);
    return status;
  }

  if (changed != NULL) {
    tt_head_set_child(changed, inner.results[0]);
    call->results[0] = changed;
    call->n_results = 1;
    return TT_OK;
  }
  for (size_t i = 0; i < inner.n_results; i++) {
    call->results[i] = tt_head_new(inner.results[i], error);
    if (call->results[i] != NULL) continue;
    for (size_t made = 0; made < i; made++) tt_node_unref(call->results[made]);
    for (size_t left = i + 1; left < inner.n_results; left++) tt_node_unref(inner.results[left]);
    return TT_ERR_MEMORY;
  }
  call->n_results = inner.n_results;
  return TT_OK;
}

const tt_kind tt_kind_head = {.name = "Tensor", .rank = TT_RANK_HEAD, .handle_call = handle_call};
