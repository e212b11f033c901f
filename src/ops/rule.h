/*
 * rule: how gradient rules are written down: straight, without a check behind every call.
 *
 * The first call that fails is remembered; every later one does nothing and answers NULL, which is also accepted as an
 * operand then. A rule ends with `return rule.status`. Operands belong to the call context (ops/op.h): a rule frees nothing.
 * What a rule reads of an operand's meta it must read from its own arguments, or behind a look at rule.status.
 */
#ifndef TT_OPS_RULE_H
#define TT_OPS_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "ops/op.h"

typedef struct tt_rule {
  tt_call_context *context;
  tt_error *error;
  tt_status status;
} tt_rule;

static inline tt_rule tt_rule_begin(tt_call_context *context, tt_error *error) {
  return (tt_rule){.context = context, .error = error, .status = TT_OK};
}

/* The first result of an op. Trailing arguments that have defaults may be left out. */
tt_operand *tt_rule_call(tt_rule *rule, tt_op_number number, const tt_value *args, size_t n_args);

/* All results of an op, in results[TT_MAX_RESULTS]; how many there are. */
size_t tt_rule_call_all(tt_rule *rule, tt_op_number number, const tt_value *args, size_t n_args, tt_operand **results);

/* TT_RULE(&rule, narrow, tt_operand_value(x), tt_int(0), ...) */
#define TT_RULE(rule, name, ...) \
  tt_rule_call(rule, TT_OP_##name, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value))

/* op(x), op(x, y), op(x, number) */
tt_operand *tt_rule_unary(tt_rule *rule, tt_op_number number, tt_operand *x);
tt_operand *tt_rule_binary(tt_rule *rule, tt_op_number number, tt_operand *x, tt_operand *y);
tt_operand *tt_rule_scalar(tt_rule *rule, tt_op_number number, tt_operand *x, double scalar);

/* x in the dtype asked for: itself when it has it. */
tt_operand *tt_rule_cast(tt_rule *rule, tt_operand *x, tt_dtype dtype);

/* Remembers TT_ERR_SHAPE and answers false when x's shape is unknown: for rules that must read it. */
bool tt_rule_need_shape(tt_rule *rule, const tt_op *op, const tt_operand *x);

#endif
