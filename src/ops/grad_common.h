/*
 * grad_common: what gradient rules share, on top of ops/rule.h: which operand an argument is, and bringing a gradient back to
 * the shape and dtype of the operand it is for.
 */
#ifndef TT_OPS_GRAD_COMMON_H
#define TT_OPS_GRAD_COMMON_H

#include "ops/rule.h"

/*
 * The sum of `x` over the dimensions along which `like` was broadcast to it, in like's shape and dtype. Both shapes must be
 * known.
 */
tt_operand *tt_grad_sum_to(tt_rule *rule, const tt_op *op, tt_operand *x, const tt_operand *like);

/* Whether argument i of the call is an operand whose gradient is asked for. */
bool tt_grad_is_needed(const tt_grad_call *call, size_t i);

/*
 * Stores x, summed to argument i's shape and cast to its dtype, as the gradient of that operand. Where no other operand could
 * have broadcast it, its shape may be unknown. Nothing when the rule has failed.
 */
void tt_grad_give(tt_rule *rule, const tt_grad_call *call, size_t i, tt_operand *x, tt_operand **operand_grads);

#endif
