/* Rows that work element by element and are put together from others, and comparisons of whole tensors. */
#include "ops/compose.h"
#include "ops/promote.h"
#include "ops/rows.h"
#include "ops/terms.h"
#include "tensor/convert.h"

/* The first factor in the dtype that all three come to. */
static tt_operand *first_factor(tt_rule *rule, const tt_value *args) {
  return tt_rule_cast(rule, args[1].as.operand, tt_promote_args(args, 3));
}

TT_BODY(addcmul) {
  (void)op;
  return TT_RULE(rule, add, args[0], tt_operand_value(tt_term_mul(rule, first_factor(rule, args), args[2].as.operand)),
                 args[3]);
}
TT_COMPOSE(addcmul)

TT_BODY(addcdiv) {
  tt_operand *quotient = tt_term_div(rule, args[1].as.operand, args[2].as.operand);
  if (rule->status == TT_OK &&
      !(tt_dtype_is_floating(args[1].as.operand->meta.dtype) || tt_dtype_is_floating(args[2].as.operand->meta.dtype))) {
    tt_rule_fail(rule, TT_ERR_DTYPE, "%s does not divide integers by integers; convert one of them to a float first", op->name);
  }
  return TT_RULE(rule, add, args[0], tt_operand_value(quotient), args[3]);
}
TT_COMPOSE(addcdiv)

/* From the nearer end, so that a weight of 1 is the end itself. */
TT_BODY(lerp) {
  tt_operand *from = args[0].as.operand, *to = args[1].as.operand;
  if (tt_rule_need_same_floats(rule, op, from, to) != TT_OK) return NULL;
  tt_operand *span = tt_term_sub(rule, to, from);
  if (args[2].type == TT_VALUE_OPERAND) {
    tt_operand *weight = args[2].as.operand;
    if (tt_rule_need_same_floats(rule, op, from, weight) != TT_OK) return NULL;
    tt_operand *near_from = tt_term_add(rule, from, tt_term_mul(rule, weight, span));
    tt_operand *near_to = tt_term_sub(rule, to, tt_term_mul(rule, span, tt_term_minus(rule, 1, weight)));
    return tt_term_choose(rule, tt_rule_scalar(rule, TT_OP_lt, weight, 0.5), near_from, near_to);
  }
  double weight;
  tt_scalar_store(&args[2], TT_DTYPE_F64, &weight);
  if (weight < 0.5) return TT_RULE(rule, add, args[0], tt_operand_value(span), tt_float(weight));
  return TT_RULE(rule, sub, args[1], tt_operand_value(span), tt_float(1 - weight));
}
TT_COMPOSE(lerp)

TT_BODY(frac) {
  if (tt_rule_need_same_floats(rule, op, args[0].as.operand, NULL) != TT_OK) return NULL;
  return tt_term_sub(rule, args[0].as.operand, tt_rule_unary(rule, TT_OP_trunc, args[0].as.operand));
}
TT_COMPOSE(frac)

/* ---- comparisons ---- */

static tt_operand *both(tt_rule *rule, tt_operand *a, tt_operand *b) { return tt_rule_binary(rule, TT_OP_logical_and, a, b); }
static tt_operand *either(tt_rule *rule, tt_operand *a, tt_operand *b) { return tt_rule_binary(rule, TT_OP_logical_or, a, b); }

/* |a - b| <= atol + |rtol * b|, or the same element; args: a, b, rtol, atol, equal_nan. */
static tt_operand *closeness(tt_rule *rule, const tt_op *op, const tt_value *args) {
  tt_operand *a = args[0].as.operand, *b = args[1].as.operand;
  rule->status = tt_infer_need_same_dtype(op, a->meta.dtype, b->meta.dtype, rule->error);
  if (args[2].as.real < 0 || args[3].as.real < 0) {
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: rtol and atol must not be below 0, and are %g and %g", op->name, args[2].as.real,
                 args[3].as.real);
  }
  if (rule->status != TT_OK) return NULL;
  bool is_floating = tt_dtype_is_floating(a->meta.dtype);
  tt_operand *close = tt_rule_binary(rule, TT_OP_eq, a, b);
  if (args[4].as.boolean && is_floating) {
    close = either(rule, close, both(rule, tt_rule_unary(rule, TT_OP_isnan, a), tt_rule_unary(rule, TT_OP_isnan, b)));
  }
  if (args[2].as.real == 0 && args[3].as.real == 0) return close;
  b = is_floating ? b : tt_rule_cast(rule, b, TT_DTYPE_F32);
  tt_operand *allowed =
      tt_term_plus(rule, tt_rule_unary(rule, TT_OP_abs, tt_term_scale(rule, b, args[2].as.real)), args[3].as.real);
  tt_operand *apart = tt_rule_unary(rule, TT_OP_abs, tt_term_sub(rule, a, b));
  tt_operand *is_near = tt_rule_binary(rule, TT_OP_le, apart, allowed);
  return either(rule, close, both(rule, tt_rule_unary(rule, TT_OP_isfinite, apart), is_near));
}

TT_BODY(isclose) { return closeness(rule, op, args); }
TT_COMPOSE_INFER(isclose)
TT_COMPOSE_KERNEL(isclose)

TT_BODY(allclose) { return tt_rule_unary(rule, TT_OP_all, closeness(rule, op, args)); }
TT_COMPOSE_INFER(allclose)
TT_COMPOSE_KERNEL(allclose)

tt_status tt_infer_equal(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  (void)op, (void)args, (void)error;
  return tt_infer_one((tt_meta){.dtype = TT_DTYPE_BOOL}, results, n_results);
}

TT_BODY(equal_elements) {
  (void)op;
  return tt_rule_unary(rule, TT_OP_all, tt_rule_binary(rule, TT_OP_eq, args[0].as.operand, args[1].as.operand));
}

tt_status tt_kernel_equal(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                          tt_tensor **results, size_t *n_results, tt_error *error) {
  if (tt_shape_equal(&tt_arg_meta(&args[0])->shape, &tt_arg_meta(&args[1])->shape)) {
    return tt_compose_kernel(body_equal_elements, op, context, args, results, n_results, error);
  }
  tt_tensor *no = tt_tensor_zeros(TT_DTYPE_BOOL, &metas[0].shape, error);
  if (no == NULL) return TT_ERR_MEMORY;
  results[0] = no;
  *n_results = 1;
  return TT_OK;
}

/* ---- two statistics in one call ---- */

static size_t with_mean(tt_rule *rule, const tt_value *args, tt_op_number spread, tt_operand **results) {
  results[0] = tt_rule_call(rule, spread, args, 4);
  results[1] = TT_RULE(rule, mean, args[0], args[1], args[3]);
  return 2;
}

TT_PARTS(var_mean) {
  (void)op;
  return with_mean(rule, args, TT_OP_var, results);
}
TT_COMPOSE(var_mean)

TT_PARTS(std_mean) {
  (void)op;
  return with_mean(rule, args, TT_OP_std, results);
}
TT_COMPOSE(std_mean)

/* ---- in place what has a row of its own ---- */

TT_BODY(cumsum_into) {
  (void)op;
  return TT_RULE(rule, cumsum, args[0], args[1], args[2]);
}
TT_COMPOSE_INFER(cumsum_into)
TT_COMPOSE_KERNEL(cumsum_into)

TT_BODY(cumprod_into) {
  (void)op;
  return TT_RULE(rule, cumprod, args[0], args[1], args[2]);
}
TT_COMPOSE(cumprod_into)

TT_BODY(tril_into) {
  (void)op;
  return TT_RULE(rule, tril, args[0], args[1]);
}
TT_COMPOSE(tril_into)

TT_BODY(triu_into) {
  (void)op;
  return TT_RULE(rule, triu, args[0], args[1]);
}
TT_COMPOSE(triu_into)

TT_BODY(masked_scatter_into) {
  (void)op;
  return TT_RULE(rule, masked_scatter, args[0], args[1], args[2]);
}
TT_COMPOSE_INFER(masked_scatter_into)
TT_COMPOSE_KERNEL(masked_scatter_into)
