/*
 * elementwise_grad: gradient rules of the elementwise rows. In each, g is the gradient of the result, y the result, and the
 * arguments stand as the kernel had them; an in-place row has its base row's rule.
 *
 * PyTorch's choices at the points where there is no derivative: maximum shares equally between equal elements, clamp passes the
 * gradient at its bounds, relu and abs give 0 at 0.
 */
#include "ops/define.h"
#include "ops/grad_common.h"
#include "ops/infer_common.h"
#include "ops/rows.h"

/* op(x, y) where y may be an operand or a number. */
static tt_operand *apply(tt_rule *rule, tt_op_number number, tt_operand *x, tt_value y) {
  return tt_rule_call(rule, number, (tt_value[]){tt_operand_value(x), y}, 2);
}

static tt_operand *mul(tt_rule *rule, tt_operand *x, tt_operand *y) { return tt_rule_binary(rule, TT_OP_mul, x, y); }
static tt_operand *scale(tt_rule *rule, tt_operand *x, double by) { return tt_rule_scalar(rule, TT_OP_mul, x, by); }
static tt_operand *plus(tt_rule *rule, tt_operand *x, double term) { return tt_rule_scalar(rule, TT_OP_add, x, term); }
static tt_operand *one_minus(tt_rule *rule, tt_operand *x) { return tt_rule_scalar(rule, TT_OP_rsub, x, 1.0); }
static tt_operand *neg(tt_rule *rule, tt_operand *x) { return tt_rule_unary(rule, TT_OP_neg, x); }
static tt_operand *square(tt_rule *rule, tt_operand *x) { return tt_rule_unary(rule, TT_OP_square, x); }

/* x where the mask is set, else 0. */
static tt_operand *keep(tt_rule *rule, tt_operand *mask, tt_operand *x) {
  return TT_RULE(rule, where, tt_operand_value(mask), tt_operand_value(x), tt_int(0));
}

/* x with 0 where the mask is set. */
static tt_operand *drop(tt_rule *rule, tt_operand *mask, tt_operand *x) {
  return TT_RULE(rule, masked_fill, tt_operand_value(x), tt_operand_value(mask), tt_int(0));
}

/* arithmetic */

/* add and sub: a + alpha * b and a - alpha * b. */
static tt_status scaled_sum(tt_call_context *context, const tt_grad_call *call, size_t plain, size_t scaled, bool is_negated,
                            tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *g = call->grads[0];
  if (tt_grad_is_needed(call, plain)) tt_grad_give(&rule, call, plain, g, operand_grads);
  if (tt_grad_is_needed(call, scaled)) {
    tt_value alpha = call->args[2];
    bool is_one = alpha.type == TT_VALUE_INT && alpha.as.integer == 1;
    tt_operand *share = is_one ? g : apply(&rule, TT_OP_mul, g, alpha);
    tt_grad_give(&rule, call, scaled, is_negated ? neg(&rule, share) : share, operand_grads);
  }
  return rule.status;
}

GRAD(add) { return scaled_sum(context, call, 0, 1, false, operand_grads, error); }
GRAD(sub) { return scaled_sum(context, call, 0, 1, true, operand_grads, error); }
GRAD(rsub) { return scaled_sum(context, call, 1, 0, true, operand_grads, error); }

GRAD(mul) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *g = call->grads[0];
  for (size_t i = 0; i < 2; i++) {
    if (tt_grad_is_needed(call, i)) tt_grad_give(&rule, call, i, apply(&rule, TT_OP_mul, g, call->args[1 - i]), operand_grads);
  }
  return rule.status;
}

GRAD(div) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *g = call->grads[0], *a = call->args[0].as.operand;
  /* A rounded quotient is flat: no gradient. */
  if (!tt_arg_is_none(&call->args[2])) return TT_OK;
  if (tt_grad_is_needed(call, 0)) tt_grad_give(&rule, call, 0, apply(&rule, TT_OP_div, g, call->args[1]), operand_grads);
  if (tt_grad_is_needed(call, 1)) {
    tt_operand *b = call->args[1].as.operand;
    tt_operand *slope = tt_rule_binary(&rule, TT_OP_div, tt_rule_binary(&rule, TT_OP_div, a, b), b);
    tt_grad_give(&rule, call, 1, neg(&rule, mul(&rule, g, slope)), operand_grads);
  }
  return rule.status;
}

/* a - b * whole quotient, the quotient rounded as `mode` says. */
static tt_status rest_of_division(tt_call_context *context, const tt_grad_call *call, const char *mode,
                                  tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *g = call->grads[0], *a = call->args[0].as.operand;
  if (tt_grad_is_needed(call, 0)) tt_grad_give(&rule, call, 0, g, operand_grads);
  if (tt_grad_is_needed(call, 1)) {
    tt_operand *quotient = TT_RULE(&rule, div, tt_operand_value(a), call->args[1], tt_string(mode, 5));
    tt_grad_give(&rule, call, 1, neg(&rule, mul(&rule, g, quotient)), operand_grads);
  }
  return rule.status;
}

GRAD(remainder) { return rest_of_division(context, call, "floor", operand_grads, error); }
GRAD(fmod) { return rest_of_division(context, call, "trunc", operand_grads, error); }

static tt_status power_of_number(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads,
                                 tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_value exponent = call->args[1], less_one = exponent;
  if (exponent.type == TT_VALUE_BOOL) exponent = less_one = tt_int(exponent.as.boolean);
  bool is_integer = exponent.type == TT_VALUE_INT;
  if (is_integer ? exponent.as.integer == 0 : exponent.as.real == 0.0) return TT_OK;
  if (is_integer) {
    less_one = tt_float((double)exponent.as.integer - 1.0);
  } else {
    less_one.as.real -= 1.0;
  }
  tt_operand *power = apply(&rule, TT_OP_pow, call->args[0].as.operand, less_one);
  tt_operand *slope = apply(&rule, TT_OP_mul, power, exponent);
  if (tt_grad_is_needed(call, 0)) tt_grad_give(&rule, call, 0, mul(&rule, call->grads[0], slope), operand_grads);
  return rule.status;
}

GRAD(pow) {
  if (call->args[1].type != TT_VALUE_OPERAND) return power_of_number(context, call, operand_grads, error);
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *g = call->grads[0], *base = call->args[0].as.operand;
  /* In the result's dtype: an integer less 1.0 would be a float32. */
  tt_operand *exponent = tt_rule_cast(&rule, call->args[1].as.operand, call->results[0]->meta.dtype);
  if (tt_grad_is_needed(call, 0)) {
    tt_operand *power = tt_rule_binary(&rule, TT_OP_pow, base, plus(&rule, exponent, -1.0));
    tt_operand *slope = mul(&rule, g, mul(&rule, exponent, power));
    tt_grad_give(&rule, call, 0, drop(&rule, tt_rule_scalar(&rule, TT_OP_eq, exponent, 0.0), slope), operand_grads);
  }
  if (tt_grad_is_needed(call, 1)) {
    /* 0 to a positive power stays 0, though its logarithm is infinite. */
    tt_operand *is_flat = tt_rule_binary(&rule, TT_OP_logical_and, tt_rule_scalar(&rule, TT_OP_eq, base, 0.0),
                                         tt_rule_scalar(&rule, TT_OP_ge, exponent, 0.0));
    tt_operand *slope = mul(&rule, call->results[0], tt_rule_unary(&rule, TT_OP_log, base));
    tt_grad_give(&rule, call, 1, mul(&rule, g, drop(&rule, is_flat, slope)), operand_grads);
  }
  return rule.status;
}

/* `beaten` is the comparison under which an operand is not the result. */
static tt_status extreme(tt_call_context *context, const tt_grad_call *call, tt_op_number beaten, tt_operand **operand_grads,
                         tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *g = call->grads[0], *operands[] = {call->args[0].as.operand, call->args[1].as.operand};
  tt_operand *is_equal = tt_rule_binary(&rule, TT_OP_eq, operands[0], operands[1]);
  tt_operand *shared =
      TT_RULE(&rule, where, tt_operand_value(is_equal), tt_operand_value(scale(&rule, g, 0.5)), tt_operand_value(g));
  for (size_t i = 0; i < 2; i++) {
    if (!tt_grad_is_needed(call, i)) continue;
    tt_operand *is_beaten = tt_rule_binary(&rule, beaten, operands[i], operands[1 - i]);
    tt_grad_give(&rule, call, i, drop(&rule, is_beaten, shared), operand_grads);
  }
  return rule.status;
}

GRAD(maximum) { return extreme(context, call, TT_OP_lt, operand_grads, error); }
GRAD(minimum) { return extreme(context, call, TT_OP_gt, operand_grads, error); }

GRAD(atan2) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *g = call->grads[0], *a = call->args[0].as.operand, *b = call->args[1].as.operand;
  tt_operand *radius = tt_rule_binary(&rule, TT_OP_add, square(&rule, a), square(&rule, b));
  tt_operand *is_origin = tt_rule_scalar(&rule, TT_OP_eq, radius, 0.0);
  tt_operand *share = mul(&rule, g, drop(&rule, is_origin, tt_rule_unary(&rule, TT_OP_reciprocal, radius)));
  if (tt_grad_is_needed(call, 0)) tt_grad_give(&rule, call, 0, mul(&rule, share, b), operand_grads);
  if (tt_grad_is_needed(call, 1)) tt_grad_give(&rule, call, 1, neg(&rule, mul(&rule, share, a)), operand_grads);
  return rule.status;
}

/* clamp: low and high are arguments' places, or 0 for none. */
static tt_status clamped(tt_call_context *context, const tt_grad_call *call, size_t low, size_t high,
                         tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *g = call->grads[0], *x = call->args[0].as.operand;
  if (low != 0 && tt_arg_is_none(&call->args[low])) low = 0;
  if (high != 0 && tt_arg_is_none(&call->args[high])) high = 0;
  if (tt_grad_is_needed(call, 0)) {
    tt_operand *is_inside = NULL;
    if (low != 0) is_inside = apply(&rule, TT_OP_ge, x, call->args[low]);
    if (high != 0) {
      tt_operand *is_below = apply(&rule, TT_OP_le, x, call->args[high]);
      is_inside = low != 0 ? tt_rule_binary(&rule, TT_OP_logical_and, is_inside, is_below) : is_below;
    }
    tt_grad_give(&rule, call, 0, keep(&rule, is_inside, g), operand_grads);
  }
  if (low != 0 && tt_grad_is_needed(call, low)) {
    tt_operand *is_raised = apply(&rule, TT_OP_lt, x, call->args[low]);
    if (high != 0) {
      tt_operand *is_ordered = apply(&rule, TT_OP_lt, call->args[low].as.operand, call->args[high]);
      is_raised = tt_rule_binary(&rule, TT_OP_logical_and, is_raised, is_ordered);
    }
    tt_grad_give(&rule, call, low, keep(&rule, is_raised, g), operand_grads);
  }
  if (high != 0 && tt_grad_is_needed(call, high)) {
    tt_operand *is_lowered = apply(&rule, TT_OP_gt, x, call->args[high]);
    if (low != 0) {
      tt_operand *is_crossed = apply(&rule, TT_OP_lt, call->args[high].as.operand, call->args[low]);
      is_lowered = tt_rule_binary(&rule, TT_OP_logical_or, is_lowered, is_crossed);
    }
    tt_grad_give(&rule, call, high, keep(&rule, is_lowered, g), operand_grads);
  }
  return rule.status;
}

GRAD(clamp) { return clamped(context, call, 1, 2, operand_grads, error); }
GRAD(clamp_min) { return clamped(context, call, 1, 0, operand_grads, error); }
GRAD(clamp_max) { return clamped(context, call, 0, 1, operand_grads, error); }

/* choices and copies */

GRAD(where) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *g = call->grads[0], *condition = call->args[0].as.operand;
  if (tt_grad_is_needed(call, 1)) tt_grad_give(&rule, call, 1, keep(&rule, condition, g), operand_grads);
  if (tt_grad_is_needed(call, 2)) tt_grad_give(&rule, call, 2, drop(&rule, condition, g), operand_grads);
  return rule.status;
}

GRAD(masked_fill) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *g = call->grads[0], *mask = call->args[1].as.operand;
  if (tt_grad_is_needed(call, 0)) tt_grad_give(&rule, call, 0, drop(&rule, mask, g), operand_grads);
  if (tt_grad_is_needed(call, 2)) tt_grad_give(&rule, call, 2, keep(&rule, mask, g), operand_grads);
  return rule.status;
}

/* copy_ and fill_: self's old elements are gone, the gradient is the source's. */
GRAD(overwrite) {
  tt_rule rule = tt_rule_begin(context, error);
  if (tt_grad_is_needed(call, 1)) tt_grad_give(&rule, call, 1, call->grads[0], operand_grads);
  return rule.status;
}

/* clone and conversions */
GRAD(identity) {
  tt_rule rule = tt_rule_begin(context, error);
  if (tt_grad_is_needed(call, 0)) {
    operand_grads[0] = tt_rule_cast(&rule, call->grads[0], call->args[0].as.operand->meta.dtype);
  }
  return rule.status;
}

/* Flat everywhere, or overwritten: the gradient is zero, which NULL says. */
GRAD(zero) {
  (void)context;
  (void)call;
  (void)operand_grads;
  (void)error;
  return TT_OK;
}

/* unary: the gradient is written with g, x and y, and uses what it needs of them. */

#define GRAD_UNARY(name, gradient)                                                        \
  GRAD(name) {                                                                            \
    tt_rule made = tt_rule_begin(context, error), *rule = &made;                          \
    tt_operand *g = call->grads[0], *x = call->args[0].as.operand, *y = call->results[0]; \
    (void)x;                                                                              \
    (void)y;                                                                              \
    if (tt_grad_is_needed(call, 0)) tt_grad_give(rule, call, 0, gradient, operand_grads); \
    return rule->status;                                                                  \
  }
#define UNARY(op, operand) tt_rule_unary(rule, TT_OP_##op, operand)
#define DIV(a, b) tt_rule_binary(rule, TT_OP_div, a, b)

#define LN_2 0.69314718055994530942
#define LN_10 2.30258509299404568402
#define TWO_OVER_ROOT_PI 1.12837916709551257390

GRAD_UNARY(neg, neg(rule, g))
GRAD_UNARY(abs, mul(rule, g, UNARY(sign, x)))
GRAD_UNARY(square, mul(rule, g, scale(rule, x, 2.0)))
GRAD_UNARY(exp, mul(rule, g, y))
GRAD_UNARY(expm1, mul(rule, g, plus(rule, y, 1.0)))
GRAD_UNARY(log, DIV(g, x))
GRAD_UNARY(log2, DIV(g, scale(rule, x, LN_2)))
GRAD_UNARY(log10, DIV(g, scale(rule, x, LN_10)))
GRAD_UNARY(log1p, DIV(g, plus(rule, x, 1.0)))
GRAD_UNARY(sqrt, DIV(g, scale(rule, y, 2.0)))
GRAD_UNARY(rsqrt, mul(rule, g, scale(rule, mul(rule, square(rule, y), y), -0.5)))
GRAD_UNARY(reciprocal, neg(rule, mul(rule, g, square(rule, y))))
GRAD_UNARY(sin, mul(rule, g, UNARY(cos, x)))
GRAD_UNARY(cos, neg(rule, mul(rule, g, UNARY(sin, x))))
GRAD_UNARY(tan, mul(rule, g, plus(rule, square(rule, y), 1.0)))
GRAD_UNARY(asin, mul(rule, g, UNARY(rsqrt, one_minus(rule, square(rule, x)))))
GRAD_UNARY(acos, neg(rule, mul(rule, g, UNARY(rsqrt, one_minus(rule, square(rule, x))))))
GRAD_UNARY(atan, DIV(g, plus(rule, square(rule, x), 1.0)))
GRAD_UNARY(sinh, mul(rule, g, UNARY(cosh, x)))
GRAD_UNARY(cosh, mul(rule, g, UNARY(sinh, x)))
GRAD_UNARY(tanh, mul(rule, g, one_minus(rule, square(rule, y))))
GRAD_UNARY(sigmoid, mul(rule, g, mul(rule, y, one_minus(rule, y))))
GRAD_UNARY(relu,
           tt_rule_call(rule, TT_OP_threshold_backward, (tt_value[]){tt_operand_value(g), tt_operand_value(y), tt_float(0)}, 3))
GRAD_UNARY(erf, mul(rule, g, scale(rule, UNARY(exp, neg(rule, square(rule, x))), TWO_OVER_ROOT_PI)))
