/*
 * terms: the short words that bodies (ops/compose.h) and gradient rules are written with.
 */
#ifndef TT_OPS_TERMS_H
#define TT_OPS_TERMS_H

#include "ops/infer_common.h"
#include "ops/rule.h"

static inline tt_operand *tt_term_add(tt_rule *rule, tt_operand *a, tt_operand *b) {
  return tt_rule_binary(rule, TT_OP_add, a, b);
}
static inline tt_operand *tt_term_sub(tt_rule *rule, tt_operand *a, tt_operand *b) {
  return tt_rule_binary(rule, TT_OP_sub, a, b);
}
static inline tt_operand *tt_term_mul(tt_rule *rule, tt_operand *a, tt_operand *b) {
  return tt_rule_binary(rule, TT_OP_mul, a, b);
}
static inline tt_operand *tt_term_div(tt_rule *rule, tt_operand *a, tt_operand *b) {
  return tt_rule_binary(rule, TT_OP_div, a, b);
}
static inline tt_operand *tt_term_scale(tt_rule *rule, tt_operand *x, double by) {
  return tt_rule_scalar(rule, TT_OP_mul, x, by);
}
static inline tt_operand *tt_term_plus(tt_rule *rule, tt_operand *x, double term) {
  return tt_rule_scalar(rule, TT_OP_add, x, term);
}
static inline tt_operand *tt_term_neg(tt_rule *rule, tt_operand *x) { return tt_rule_unary(rule, TT_OP_neg, x); }
static inline tt_operand *tt_term_square(tt_rule *rule, tt_operand *x) { return tt_rule_unary(rule, TT_OP_square, x); }

/* number - x */
static inline tt_operand *tt_term_minus(tt_rule *rule, double number, tt_operand *x) {
  return tt_rule_scalar(rule, TT_OP_rsub, x, number);
}

/* Where the mask is set `a`, else `b`. */
static inline tt_operand *tt_term_choose(tt_rule *rule, tt_operand *mask, tt_operand *a, tt_operand *b) {
  return TT_RULE(rule, where, tt_operand_value(mask), tt_operand_value(a), tt_operand_value(b));
}

/* x where the mask is set, else 0. */
static inline tt_operand *tt_term_keep(tt_rule *rule, tt_operand *mask, tt_operand *x) {
  return TT_RULE(rule, where, tt_operand_value(mask), tt_operand_value(x), tt_int(0));
}

static inline tt_operand *tt_term_reshape(tt_rule *rule, tt_operand *x, const int64_t *sizes, int n) {
  return TT_RULE(rule, reshape, tt_operand_value(x), tt_ints(sizes, (uint32_t)n));
}

static inline tt_operand *tt_term_unsqueeze(tt_rule *rule, tt_operand *x, int64_t dim) {
  return TT_RULE(rule, unsqueeze, tt_operand_value(x), tt_int(dim));
}

static inline tt_operand *tt_term_squeeze(tt_rule *rule, tt_operand *x, int64_t dim) {
  return TT_RULE(rule, squeeze, tt_operand_value(x), tt_int(dim));
}

/* The operand of an argument; NULL for None. */
static inline tt_operand *tt_arg_operand(const tt_value *arg) { return tt_arg_is_none(arg) ? NULL : arg->as.operand; }

/* Whether a string argument is this word. */
bool tt_arg_is_word(const tt_value *arg, const char *word);

/* Remembers a failure of the rule's own, said in the op's name. */
void tt_rule_fail(tt_rule *rule, tt_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* Remembers TT_ERR_DTYPE unless a is floating and b, when there is one, has its dtype. */
tt_status tt_rule_need_same_floats(tt_rule *rule, const tt_op *op, const tt_operand *a, const tt_operand *b);

#endif
