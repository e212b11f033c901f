#include "chain/hook.h"

#include <string.h>

#include "base/alloc.h"
#include "chain/variable.h"

void tt_hook_init(tt_hook *hook, const char *here) {
  hook->here = here;
  hook->max_result_bytes = 0;
  hook->before_write = NULL;
  hook->host = NULL;
  hook->max_view_bytes = 0;
  hook->is_recording = true;
  hook->is_in_backward = false;
  hook->ledger = NULL;
  tt_generator_init(&hook->generator, tt_random_id());
}

void tt_hook_seed(tt_hook *hook, uint64_t seed) { tt_generator_init(&hook->generator, seed); }

tt_status tt_call_visit(const tt_call *call, tt_visit_fn *visit, void *context, tt_error *error) {
  for (size_t i = 0; i < call->op->n_operand_params; i++) {
    const tt_value *arg = &call->args[call->op->operand_params[i]];
    uint32_t n = arg->type == TT_VALUE_OPERAND ? 1 : arg->type == TT_VALUE_OPERANDS ? arg->n : 0;
    tt_operand *const *operands = arg->type == TT_VALUE_OPERAND ? &arg->as.operand : arg->as.operands;
    for (uint32_t item = 0; item < n; item++) TT_TRY(visit(context, (tt_node *)(void *)operands[item], error));
  }
  return TT_OK;
}

tt_status tt_call_exchange(tt_call *call, tt_call_lists *lists, tt_exchange_fn *exchange, void *context, tt_error *error) {
  lists->n = 0;
  for (size_t i = 0; i < call->op->n_operand_params; i++) {
    tt_value *arg = &call->args[call->op->operand_params[i]];
    if (arg->type == TT_VALUE_OPERAND) {
      tt_node *node = (tt_node *)(void *)arg->as.operand;
      TT_TRY(exchange(context, call->op, &node, error));
      arg->as.operand = (tt_operand *)(void *)node;
    } else if (arg->type == TT_VALUE_OPERANDS && arg->n > 0) {
      tt_operand **items = tt_alloc(arg->n, sizeof *items);
      if (items == NULL) return tt_fail(error, TT_ERR_MEMORY, "%s: no memory for a list of %u tensors", call->op->name, arg->n);
      lists->lists[lists->n++] = items;
      for (uint32_t item = 0; item < arg->n; item++) {
        tt_node *node = (tt_node *)(void *)arg->as.operands[item];
        TT_TRY(exchange(context, call->op, &node, error));
        items[item] = (tt_operand *)(void *)node;
      }
      arg->as.operands = items;
    }
  }
  return TT_OK;
}

void tt_call_release_lists(tt_call_lists *lists) {
  for (size_t i = 0; i < lists->n; i++) tt_free(lists->lists[i]);
}

static tt_status find_highest(void *context, tt_node *node, tt_error *error) {
  (void)error;
  const tt_kind **highest = context;
  const tt_kind *kind = node->kind;
  /* Plain data whose memory was changed by what has a gradient. */
  if (kind == &tt_kind_local && tt_local_history(node) != NULL) kind = &tt_kind_variable;
  if (kind->rank > (*highest)->rank) *highest = kind;
  return TT_OK;
}

tt_status tt_hook_pass_down(tt_hook *hook, tt_call *call, tt_error *error) {
  const tt_kind *highest = call->op->flags & TT_OP_GRAPH ? &tt_kind_variable : &tt_kind_local;
  TT_TRY(tt_call_visit(call, find_highest, &highest, error));
  return highest->handle_call(hook, highest, call, error);
}

tt_status tt_hook_call(tt_hook *hook, tt_op_number number, const tt_value *args, size_t n_args, const uint64_t *result_ids,
                       size_t n_result_ids, tt_node **results, size_t *n_results, tt_error *error) {
  const tt_op *op = tt_op_get(number);
  if (op == NULL) return tt_fail(error, TT_ERR_UNKNOWN_OP, "there is no op number %u", (unsigned)number);
  tt_call call;
  call.op = op;
  call.result_ids = result_ids;
  call.n_result_ids = n_result_ids;
  call.n_results = 0;
  int64_t scratch[TT_MAX_PARAMS];
  TT_TRY(tt_op_bind(op, args, n_args, call.args, scratch, error));
  TT_TRY(tt_kind_head.handle_call(hook, &tt_kind_head, &call, error));
  memcpy(results, call.results, call.n_results * sizeof *results);
  *n_results = call.n_results;
  return TT_OK;
}
