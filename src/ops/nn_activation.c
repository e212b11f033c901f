/*
 * nn_activation: rows of torch.nn.functional's activation functions.
 *
 * A row names its loops and the numbers that they take; an in-place row has its base row's functions. Where a slope jumps the
 * gradient is PyTorch's.
 */
#include <math.h>

#include "kernels/activation.h"
#include "ops/compose.h"
#include "ops/define.h"
#include "ops/grad_common.h"
#include "ops/promote.h"
#include "ops/rows.h"
#include "ops/terms.h"

#define SELU_ALPHA 1.6732632423543772848170429916717
#define SELU_SCALE 1.0507009873554804934193349852946
#define ROOT_HALF 0.70710678118654752440
#define ROOT_TWO_OVER_PI 0.79788456080286535588
#define ONE_OVER_ROOT_TWO_PI 0.39894228040143267794
#define GELU_CUBIC 0.044715

tt_status tt_infer_activation(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  TT_TRY(tt_infer_need_floating(op, tt_arg_meta(&args[0])->dtype, error));
  return tt_infer_one(*tt_arg_meta(&args[0]), results, n_results);
}

/* constants: TT_MAX_ACTIVATION_CONSTANTS of them, or NULL. */
static tt_status run_on(const tt_loops *loops, const double *constants, int n_inputs, tt_kernel_context *context,
                        const tt_value *args, const tt_meta *metas, tt_tensor **results, size_t *n_results, tt_error *error) {
  tt_tensor *out = context->out ? tt_tensor_ref(context->out) : tt_tensor_new(metas[0].dtype, &metas[0].shape, error);
  if (out == NULL) return TT_ERR_MEMORY;
  const tt_tensor *inputs[TT_MAX_INPUTS];
  tt_dtype dtype = metas[0].dtype;
  tt_elementwise what = {.loop = loops->by_dtype[dtype], .out_dtype = dtype, .n_inputs = n_inputs, .constants = constants};
  for (int k = 0; k < n_inputs; k++) {
    inputs[k] = tt_arg_tensor(&args[k]);
    what.in_dtypes[k] = dtype;
  }
  tt_elementwise_run(&what, out, inputs);
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}

static tt_status run(const tt_loops *loops, const double *constants, tt_kernel_context *context, const tt_value *args,
                     const tt_meta *metas, tt_tensor **results, size_t *n_results, tt_error *error) {
  return run_on(loops, constants, 1, context, args, metas, results, n_results, error);
}

#define KERNEL_WITH(name, loops, ...)                                                          \
  KERNEL(name) {                                                                               \
    (void)op;                                                                                  \
    const double constants[TT_MAX_ACTIVATION_CONSTANTS] = {__VA_ARGS__};                       \
    return run(&tt_loops_##loops, constants, context, args, metas, results, n_results, error); \
  }
#define KERNEL_PLAIN(name)                                                               \
  KERNEL(name) {                                                                         \
    (void)op;                                                                            \
    return run(&tt_loops_##name, NULL, context, args, metas, results, n_results, error); \
  }

KERNEL_WITH(leaky_relu, leaky_relu, args[1].as.real)
KERNEL_WITH(elu, elu, 1, args[1].as.real, 1)
KERNEL_WITH(selu, elu, SELU_SCALE, SELU_ALPHA *SELU_SCALE, 1)
KERNEL_WITH(celu, elu, 1, args[1].as.real, 1 / args[1].as.real)
KERNEL_WITH(relu6, hardtanh, 0, 6)
KERNEL_WITH(hardtanh, hardtanh, args[1].as.real, args[2].as.real)
KERNEL_PLAIN(hardsigmoid)
KERNEL_PLAIN(hardswish)
KERNEL_PLAIN(silu)
KERNEL_PLAIN(mish)
KERNEL_WITH(softplus, softplus, args[1].as.real, args[2].as.real)
KERNEL_PLAIN(softsign)
KERNEL_PLAIN(logsigmoid)
KERNEL_WITH(threshold, threshold, args[1].as.real, args[2].as.real)
KERNEL_WITH(hardshrink, hardshrink, args[1].as.real)
KERNEL_WITH(softshrink, softshrink, args[1].as.real)
KERNEL_PLAIN(tanhshrink)

/* Of a relu, and of whatever else is flat up to a threshold: the gradient where self is above it. */
INFER(threshold_backward) {
  tt_meta meta = {.dtype = tt_arg_meta(&args[1])->dtype};
  TT_TRY(tt_infer_need_floating(op, meta.dtype, error));
  TT_TRY(tt_infer_need_same_dtype(op, tt_arg_meta(&args[0])->dtype, meta.dtype, error));
  TT_TRY(tt_broadcast_args(op, args, 2, &meta.shape, error));
  return tt_infer_one(meta, results, n_results);
}

KERNEL(threshold_backward) {
  (void)op;
  const double threshold[TT_MAX_ACTIVATION_CONSTANTS] = {args[2].as.real};
  return run_on(&tt_loops_threshold_backward, threshold, 2, context, args, metas, results, n_results, error);
}

GRAD(threshold_backward) {
  tt_rule rule = tt_rule_begin(context, error);
  if (!call->is_needed[0]) return TT_OK;
  tt_operand *passed = TT_RULE(&rule, threshold_backward, tt_operand_value(call->grads[0]), call->args[1], call->args[2]);
  tt_grad_give(&rule, call, 0, passed, operand_grads);
  return rule.status;
}

tt_status tt_infer_celu(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  if (args[1].as.real == 0) return tt_fail(error, TT_ERR_NUMERIC, "%s: alpha must not be 0, which it divides by", op->name);
  return tt_infer_activation(op, args, results, n_results, error);
}

tt_status tt_infer_hardtanh(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  if (!(args[1].as.real <= args[2].as.real)) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: min_val %g is above max_val %g", op->name, args[1].as.real, args[2].as.real);
  }
  return tt_infer_activation(op, args, results, n_results, error);
}

tt_status tt_infer_softshrink(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  if (!(args[1].as.real >= 0)) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: lambd should be 0 or more, but is %g", op->name, args[1].as.real);
  }
  return tt_infer_activation(op, args, results, n_results, error);
}

tt_status tt_infer_gelu(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  if (!tt_arg_is_word(&args[1], "none") && !tt_arg_is_word(&args[1], "tanh")) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: approximate must be 'none' or 'tanh', not '%.*s'", op->name, (int)args[1].n,
                   args[1].as.string);
  }
  return tt_infer_activation(op, args, results, n_results, error);
}

KERNEL(gelu) {
  (void)op;
  const tt_loops *loops = tt_arg_is_word(&args[1], "tanh") ? &tt_loops_gelu_tanh : &tt_loops_gelu;
  return run(loops, NULL, context, args, metas, results, n_results, error);
}

/* ---- gradients: written with g, the operand x and the result y ---- */

#define GRAD_OF(name, gradient)                                                           \
  GRAD(name) {                                                                            \
    tt_rule made = tt_rule_begin(context, error), *rule = &made;                          \
    tt_operand *g = call->grads[0], *x = call->args[0].as.operand, *y = call->results[0]; \
    const tt_value *args = call->args;                                                    \
    (void)y, (void)args;                                                                  \
    if (tt_grad_is_needed(call, 0)) tt_grad_give(rule, call, 0, gradient, operand_grads); \
    return rule->status;                                                                  \
  }
#define IS(comparison, a, number) tt_rule_scalar(rule, TT_OP_##comparison, a, number)
#define UNARY(name, a) tt_rule_unary(rule, TT_OP_##name, a)
#define MUL(a, b) tt_term_mul(rule, a, b)
#define SCALE(a, by) tt_term_scale(rule, a, by)
#define PLUS(a, term) tt_term_plus(rule, a, term)
#define CHOOSE(mask, a, b) tt_term_choose(rule, mask, a, b)
#define KEEP(mask, a) tt_term_keep(rule, mask, a)

/* g times the slope of x > 0 ? x * above : (exp(x * rate) - 1) * below. */
static tt_operand *elu_slope(tt_rule *rule, tt_operand *g, tt_operand *x, double above, double below, double rate) {
  /* Only the negative side's exponent is taken: the other's could overflow, and 0 times infinity is no zero. */
  tt_operand *side = tt_rule_scalar(rule, TT_OP_clamp_max, x, 0.0);
  tt_operand *falling = SCALE(UNARY(exp, SCALE(side, rate)), below * rate);
  return CHOOSE(IS(gt, x, 0.0), SCALE(g, above), MUL(g, falling));
}

/* 1 where low < x < high. */
static tt_operand *is_between(tt_rule *rule, tt_operand *x, double low, double high) {
  return tt_rule_binary(rule, TT_OP_logical_and, IS(gt, x, low), IS(lt, x, high));
}

static tt_operand *silu_slope(tt_rule *rule, tt_operand *x) {
  tt_operand *s = UNARY(sigmoid, x);
  return MUL(s, PLUS(MUL(x, tt_term_minus(rule, 1.0, s)), 1.0));
}

static tt_operand *hardswish_slope(tt_rule *rule, tt_operand *g, tt_operand *x) {
  tt_operand *middle = MUL(g, PLUS(SCALE(x, 1.0 / 3), 0.5));
  return KEEP(IS(ge, x, -3.0), CHOOSE(IS(le, x, 3.0), middle, g));
}

static tt_operand *mish_slope(tt_rule *rule, tt_operand *x) {
  tt_operand *t = UNARY(tanh, UNARY(softplus, x));
  tt_operand *rise = MUL(MUL(x, UNARY(sigmoid, x)), tt_term_minus(rule, 1.0, tt_term_square(rule, t)));
  return tt_term_add(rule, t, rise);
}

static tt_operand *gelu_slope(tt_rule *rule, tt_operand *x, bool is_tanh) {
  if (!is_tanh) {
    tt_operand *cdf = SCALE(PLUS(UNARY(erf, SCALE(x, ROOT_HALF)), 1.0), 0.5);
    tt_operand *density = SCALE(UNARY(exp, SCALE(tt_term_square(rule, x), -0.5)), ONE_OVER_ROOT_TWO_PI);
    return tt_term_add(rule, cdf, MUL(x, density));
  }
  tt_operand *square = tt_term_square(rule, x);
  tt_operand *inner = SCALE(MUL(x, PLUS(SCALE(square, GELU_CUBIC), 1.0)), ROOT_TWO_OVER_PI);
  tt_operand *t = UNARY(tanh, inner);
  tt_operand *inner_slope = SCALE(PLUS(SCALE(square, 3 * GELU_CUBIC), 1.0), ROOT_TWO_OVER_PI);
  tt_operand *rise = MUL(MUL(x, tt_term_minus(rule, 1.0, tt_term_square(rule, t))), inner_slope);
  return SCALE(tt_term_add(rule, PLUS(t, 1.0), rise), 0.5);
}

static tt_operand *softplus_slope(tt_rule *rule, tt_operand *g, tt_operand *x, double beta, double threshold) {
  tt_operand *scaled = SCALE(x, beta);
  return CHOOSE(IS(gt, scaled, threshold), g, MUL(g, UNARY(sigmoid, scaled)));
}

static tt_operand *is_outside(tt_rule *rule, tt_operand *x, double lambd) {
  return tt_rule_binary(rule, TT_OP_logical_or, IS(gt, x, lambd), IS(lt, x, -lambd));
}

GRAD_OF(leaky_relu, CHOOSE(IS(gt, x, 0.0), g, SCALE(g, args[1].as.real)))
GRAD_OF(elu, elu_slope(rule, g, x, 1, args[1].as.real, 1))
GRAD_OF(selu, elu_slope(rule, g, x, SELU_SCALE, SELU_ALPHA *SELU_SCALE, 1))
GRAD_OF(celu, elu_slope(rule, g, x, 1, args[1].as.real, 1 / args[1].as.real))
GRAD_OF(relu6, KEEP(is_between(rule, x, 0, 6), g))
GRAD_OF(hardtanh, KEEP(is_between(rule, x, args[1].as.real, args[2].as.real), g))
GRAD_OF(hardsigmoid, KEEP(is_between(rule, x, -3, 3), SCALE(g, 1.0 / 6)))
GRAD_OF(hardswish, hardswish_slope(rule, g, x))
GRAD_OF(silu, MUL(g, silu_slope(rule, x)))
GRAD_OF(mish, MUL(g, mish_slope(rule, x)))
GRAD_OF(softplus, softplus_slope(rule, g, x, args[1].as.real, args[2].as.real))
GRAD_OF(softsign, tt_term_div(rule, g, tt_term_square(rule, PLUS(UNARY(abs, x), 1.0))))
GRAD_OF(logsigmoid, MUL(g, UNARY(sigmoid, tt_term_neg(rule, x))))
GRAD_OF(threshold, KEEP(IS(gt, x, args[1].as.real), g))
GRAD_OF(gelu, MUL(g, gelu_slope(rule, x, tt_arg_is_word(&args[1], "tanh"))))
GRAD_OF(hardshrink, KEEP(is_outside(rule, x, args[1].as.real), g))
GRAD_OF(softshrink, KEEP(is_outside(rule, x, args[1].as.real), g))
GRAD_OF(tanhshrink, MUL(g, tt_term_square(rule, UNARY(tanh, x))))

/* ---- composed ---- */

/* One slope for all elements, or one for each place of dimension 1. */
TT_BODY(prelu) {
  tt_operand *x = args[0].as.operand, *weight = args[1].as.operand;
  if (!tt_rule_need_shape(rule, op, x) || !tt_rule_need_shape(rule, op, weight)) return NULL;
  const tt_shape *shape = &x->meta.shape, *slopes = &weight->meta.shape;
  int64_t sizes[TT_MAX_DIMS] = {1}, n_slopes = tt_shape_n_elements(slopes);
  int64_t n_channels = shape->n_dims > 1 ? shape->dims[1] : 1;
  if (slopes->n_dims > 1 || (n_slopes != 1 && n_slopes != n_channels) || shape->n_dims == 0) {
    char text[TT_SHAPE_TEXT_BYTES], weight_text[TT_SHAPE_TEXT_BYTES];
    tt_rule_fail(rule, TT_ERR_SHAPE,
                 "%s takes one weight, or one for each of the %lld channels, not weights of shape %s for %s", op->name,
                 (long long)n_channels, tt_shape_text(slopes, weight_text), tt_shape_text(shape, text));
    return NULL;
  }
  if (tt_rule_need_same_floats(rule, op, x, weight) != TT_OK) return NULL;
  for (int d = 0; d < shape->n_dims; d++) sizes[d] = d == 1 ? n_slopes : 1;
  tt_operand *slope = tt_term_reshape(rule, weight, sizes, n_slopes == 1 ? 1 : shape->n_dims);
  return CHOOSE(IS(gt, x, 0.0), x, MUL(x, slope));
}
TT_COMPOSE(prelu)

/* The first half gated by the second. */
TT_BODY(glu) {
  tt_operand *x = args[0].as.operand;
  if (!tt_rule_need_shape(rule, op, x)) return NULL;
  int dim = 0;
  rule->status = tt_shape_wrap_dim(op->name, args[1].as.integer, x->meta.shape.n_dims, &dim, rule->error);
  if (rule->status != TT_OK) return NULL;
  int64_t size = x->meta.shape.n_dims > 0 ? x->meta.shape.dims[dim] : 1;
  if (size % 2 != 0) {
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s: halving dimension must be even, but dimension %d is size %lld", op->name, dim,
                 (long long)size);
  }
  if (rule->status == TT_OK) rule->status = tt_infer_need_floating(op, x->meta.dtype, rule->error);
  tt_operand *value = TT_RULE(rule, narrow, tt_operand_value(x), tt_int(dim), tt_int(0), tt_int(size / 2));
  tt_operand *gate = TT_RULE(rule, narrow, tt_operand_value(x), tt_int(dim), tt_int(size / 2), tt_int(size / 2));
  return MUL(value, UNARY(sigmoid, gate));
}
TT_COMPOSE(glu)

TT_BODY(softmin) {
  (void)op;
  tt_operand *flipped = tt_term_neg(rule, args[0].as.operand);
  return TT_RULE(rule, softmax, tt_operand_value(flipped), args[1], args[2]);
}
TT_COMPOSE(softmin)
