#include "ops/grad_common.h"

#include "ops/infer_common.h"

tt_operand *tt_grad_sum_to(tt_rule *rule, const tt_op *op, tt_operand *x, const tt_operand *like) {
  if (rule->status != TT_OK) return NULL;
  const tt_shape *from = &x->meta.shape, *to = &like->meta.shape;
  if (!tt_rule_need_shape(rule, op, like) || !tt_rule_need_shape(rule, op, x)) return NULL;
  if (!tt_shape_equal(from, to)) {
    int64_t dims[TT_MAX_DIMS];
    uint32_t n = 0;
    int lead = from->n_dims - to->n_dims;
    for (int d = 0; d < from->n_dims; d++) {
      if (d < lead || to->dims[d - lead] != from->dims[d]) dims[n++] = d;
    }
    /* An empty list would sum everything. */
    bool is_lead_only = n == (uint32_t)lead;
    if (n > 0) x = TT_RULE(rule, sum, tt_operand_value(x), tt_ints(dims, n), tt_bool(!is_lead_only));
    if (lead > 0 && !is_lead_only) x = TT_RULE(rule, reshape, tt_operand_value(x), tt_ints(to->dims, (uint32_t)to->n_dims));
  }
  return tt_rule_cast(rule, x, like->meta.dtype);
}

/* The place of argument i among the operands; none of our callers has lists of operands before it. */
static size_t operand_index(const tt_grad_call *call, size_t i) {
  size_t index = 0;
  for (size_t k = 0; k < i; k++) index += call->args[k].type == TT_VALUE_OPERAND;
  return index;
}

bool tt_grad_is_needed(const tt_grad_call *call, size_t i) {
  return call->args[i].type == TT_VALUE_OPERAND && call->is_needed[operand_index(call, i)];
}

void tt_grad_give(tt_rule *rule, const tt_grad_call *call, size_t i, tt_operand *x, tt_operand **operand_grads) {
  const tt_operand *like = call->args[i].as.operand;
  size_t n_operands = operand_index(call, call->op->n_params);
  tt_operand *fitted = n_operands == 1 ? tt_rule_cast(rule, x, like->meta.dtype) : tt_grad_sum_to(rule, call->op, x, like);
  if (rule->status == TT_OK) operand_grads[operand_index(call, i)] = fitted;
}
