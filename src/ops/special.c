/* Rows of special functions: the complement and the inverse of the error function, the logarithm of gamma and its derivatives. */
#include "kernels/special.h"

#include <inttypes.h>
#include <math.h>

#include "ops/define.h"
#include "ops/grad_common.h"
#include "ops/infer_common.h"
#include "ops/rows.h"
#include "ops/terms.h"

static tt_status run(const tt_loops *loops, const tt_tensor *x, const void *constants, tt_kernel_context *context,
                     const tt_meta *meta, tt_tensor **results, size_t *n_results, tt_error *error) {
  tt_tensor *out = context->out != NULL ? tt_tensor_ref(context->out) : tt_tensor_new(meta->dtype, &meta->shape, error);
  if (out == NULL) return TT_ERR_MEMORY;
  tt_elementwise what = {.loop = loops->by_dtype[meta->dtype],
                         .out_dtype = meta->dtype,
                         .in_dtypes = {meta->dtype},
                         .n_inputs = 1,
                         .constants = constants};
  tt_elementwise_run(&what, out, &x);
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}

#define KERNEL_SPECIAL(name)                                                                                    \
  KERNEL(name) {                                                                                                \
    (void)op;                                                                                                   \
    return run(&tt_loops_##name, tt_arg_tensor(&args[0]), NULL, context, &metas[0], results, n_results, error); \
  }
KERNEL_SPECIAL(erfc)
KERNEL_SPECIAL(erfinv)
KERNEL_SPECIAL(lgamma)
KERNEL_SPECIAL(digamma)

static tt_status give(tt_rule *rule, const tt_grad_call *call, tt_operand *slope, tt_operand **operand_grads) {
  tt_grad_give(rule, call, 0, tt_term_mul(rule, call->grads[0], slope), operand_grads);
  return rule->status;
}

/* scale * exp(sign * y * y) */
static tt_operand *bell(tt_rule *rule, tt_operand *y, double sign, double scale) {
  return tt_term_scale(rule, tt_rule_unary(rule, TT_OP_exp, tt_term_scale(rule, tt_term_square(rule, y), sign)), scale);
}

GRAD(erfc) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *x = tt_rule_cast(&rule, call->args[0].as.operand, call->results[0]->meta.dtype);
  return give(&rule, call, bell(&rule, x, -1, -2 / sqrt(3.14159265358979323846)), operand_grads);
}

GRAD(erfinv) {
  tt_rule rule = tt_rule_begin(context, error);
  return give(&rule, call, bell(&rule, call->results[0], 1, 0.5 * sqrt(3.14159265358979323846)), operand_grads);
}

GRAD(lgamma) {
  tt_rule rule = tt_rule_begin(context, error);
  return give(&rule, call, tt_rule_unary(&rule, TT_OP_digamma, call->args[0].as.operand), operand_grads);
}

static tt_operand *derivative(tt_rule *rule, int64_t n, tt_operand *x) {
  return TT_RULE(rule, polygamma, tt_int(n), tt_operand_value(x));
}

GRAD(digamma) {
  tt_rule rule = tt_rule_begin(context, error);
  return give(&rule, call, derivative(&rule, 1, call->args[0].as.operand), operand_grads);
}

/* ---- polygamma(n, self) ---- */

tt_status tt_infer_polygamma(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  if (args[0].as.integer < 0 || args[0].as.integer > INT32_MAX) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: n must be from 0 to %d, and is %" PRId64, op->name, INT32_MAX,
                   args[0].as.integer);
  }
  tt_meta meta = *tt_arg_meta(&args[1]);
  if (!tt_dtype_is_floating(meta.dtype)) meta.dtype = TT_DTYPE_F32;
  return tt_infer_one(meta, results, n_results);
}

KERNEL(polygamma) {
  (void)op;
  double n = (double)args[0].as.integer;
  const tt_loops *loops = n == 0 ? &tt_loops_digamma : &tt_loops_polygamma;
  return run(loops, tt_arg_tensor(&args[1]), &n, context, &metas[0], results, n_results, error);
}

GRAD(polygamma) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *slope = derivative(&rule, call->args[0].as.integer + 1, call->args[1].as.operand);
  tt_grad_give(&rule, call, 1, tt_term_mul(&rule, call->grads[0], slope), operand_grads);
  return rule.status;
}
