/*
 * losses: rows of torch.nn.functional's losses, composed of other ops (ops/compose.h), and how they are reduced. Of classes, which are what is
 * trained with most, the loss has a kernel, and the usual form of cross_entropy a gradient rule of its own.
 */
#include <inttypes.h>
#include <math.h>

#include "kernels/nll.h"
#include "ops/compose.h"
#include "ops/define.h"
#include "ops/grad_common.h"
#include "ops/rows.h"
#include "ops/terms.h"
#include "tensor/convert.h"

#define UNARY(name, a) tt_rule_unary(rule, TT_OP_##name, a)
#define IS(comparison, a, number) tt_rule_scalar(rule, TT_OP_##comparison, a, number)
#define MUL(a, b) tt_term_mul(rule, a, b)
#define ADD(a, b) tt_term_add(rule, a, b)
#define SUB(a, b) tt_term_sub(rule, a, b)
#define SCALE(a, by) tt_term_scale(rule, a, by)
#define PLUS(a, term) tt_term_plus(rule, a, term)

typedef enum reduction { REDUCE_NONE, REDUCE_MEAN, REDUCE_SUM, REDUCE_BATCH_MEAN } reduction;

/* REDUCE_NONE, and a failed rule, for a word that is none. */
static reduction reduction_of(tt_rule *rule, const tt_op *op, const tt_value *word, bool takes_batch_mean) {
  static const struct {
    const char *word;
    reduction reduction;
  } words[] = {{"none", REDUCE_NONE}, {"mean", REDUCE_MEAN}, {"sum", REDUCE_SUM}, {"batchmean", REDUCE_BATCH_MEAN}};
  size_t n = sizeof words / sizeof words[0] - !takes_batch_mean;
  for (size_t i = 0; i < n; i++) {
    if (tt_arg_is_word(word, words[i].word)) return words[i].reduction;
  }
  tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: '%.*s' is not a valid value for reduction; it is one of 'none', 'mean'%s and 'sum'",
               op->name, (int)word->n, word->as.string, takes_batch_mean ? ", 'batchmean'" : "");
  return REDUCE_NONE;
}

static tt_operand *reduce_by(tt_rule *rule, tt_operand *losses, reduction how) {
  if (how == REDUCE_MEAN) return UNARY(mean, losses);
  return how == REDUCE_NONE ? losses : UNARY(sum, losses);
}

static tt_operand *reduce(tt_rule *rule, const tt_op *op, tt_operand *losses, const tt_value *word) {
  return reduce_by(rule, losses, reduction_of(rule, op, word, false));
}

static tt_operand *sum_along(tt_rule *rule, tt_operand *x, int64_t dim) {
  return TT_RULE(rule, sum, tt_operand_value(x), tt_ints(&dim, 1));
}

/* ---- of two tensors, element by element ---- */

static tt_operand *distance_of(tt_rule *rule, const tt_value *args) {
  return UNARY(abs, SUB(args[0].as.operand, args[1].as.operand));
}

TT_BODY(mse_loss) { return reduce(rule, op, tt_term_square(rule, SUB(args[0].as.operand, args[1].as.operand)), &args[2]); }
TT_COMPOSE(mse_loss)

TT_BODY(l1_loss) { return reduce(rule, op, distance_of(rule, args), &args[2]); }
TT_COMPOSE(l1_loss)

TT_BODY(smooth_l1_loss) {
  double beta = args[3].as.real;
  if (beta < 0) tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s does not support negative values for beta, such as %g", op->name, beta);
  tt_operand *distance = distance_of(rule, args);
  if (beta == 0) return reduce(rule, op, distance, &args[2]);
  tt_operand *near_zero = SCALE(tt_term_square(rule, distance), 0.5 / beta);
  tt_operand *losses = tt_term_choose(rule, IS(lt, distance, beta), near_zero, PLUS(distance, -0.5 * beta));
  return reduce(rule, op, losses, &args[2]);
}
TT_COMPOSE(smooth_l1_loss)

TT_BODY(huber_loss) {
  double delta = args[3].as.real;
  if (!(delta > 0))
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s does not support non-positive values for delta, such as %g", op->name, delta);
  tt_operand *distance = distance_of(rule, args);
  tt_operand *near_zero = SCALE(tt_term_square(rule, distance), 0.5);
  tt_operand *losses = tt_term_choose(rule, IS(le, distance, delta), near_zero, SCALE(PLUS(distance, -0.5 * delta), delta));
  return reduce(rule, op, losses, &args[2]);
}
TT_COMPOSE(huber_loss)

static void need_same_shape(tt_rule *rule, const tt_op *op, const tt_operand *x, const tt_operand *target) {
  if (rule->status != TT_OK || !tt_shape_is_known(&x->meta.shape) || !tt_shape_is_known(&target->meta.shape)) return;
  if (tt_shape_equal(&x->meta.shape, &target->meta.shape)) return;
  char x_text[TT_SHAPE_TEXT_BYTES], target_text[TT_SHAPE_TEXT_BYTES];
  tt_rule_fail(rule, TT_ERR_SHAPE, "%s: the target's size %s must be the same as the input's %s", op->name,
               tt_shape_text(&target->meta.shape, target_text), tt_shape_text(&x->meta.shape, x_text));
}

/* Fails the rule unless the target broadcasts to x's shape without changing it. */
static void need_expandable(tt_rule *rule, const tt_op *op, const tt_operand *x, const tt_operand *target) {
  if (rule->status != TT_OK || !tt_shape_is_known(&x->meta.shape) || !tt_shape_is_known(&target->meta.shape)) return;
  tt_shape both;
  rule->status = tt_shape_broadcast(op->name, &x->meta.shape, &target->meta.shape, &both, rule->error);
  if (rule->status == TT_OK && !tt_shape_equal(&both, &x->meta.shape)) need_same_shape(rule, op, x, target);
}

/* Logarithms no lower than -100, as in PyTorch: a certain and wrong answer costs much, but not infinity. */
static tt_operand *cut_log(tt_rule *rule, tt_operand *log) { return tt_rule_scalar(rule, TT_OP_clamp_min, log, -100.0); }

TT_BODY(binary_cross_entropy) {
  tt_operand *x = args[0].as.operand, *target = args[1].as.operand, *weight = tt_arg_operand(&args[2]);
  need_same_shape(rule, op, x, target);
  tt_rule_need_same_floats(rule, op, x, target);
  tt_operand *of_no = MUL(PLUS(target, -1.0), cut_log(rule, UNARY(log1p, tt_term_neg(rule, x))));
  tt_operand *losses = SUB(of_no, MUL(target, cut_log(rule, UNARY(log, x))));
  if (weight != NULL) losses = MUL(losses, weight);
  return reduce(rule, op, losses, &args[3]);
}
TT_COMPOSE_INFER(binary_cross_entropy)

/* Inputs are probabilities, which data alone tells. */
tt_status tt_kernel_binary_cross_entropy(const tt_op *op, tt_kernel_context *context, const tt_value *args,
                                         const tt_meta *metas, tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)metas;
  const tt_op_number extremes[2] = {TT_OP_amin, TT_OP_amax};
  for (int i = 0; i < 2 && tt_tensor_n_elements(tt_arg_tensor(&args[0])) > 0; i++) {
    tt_tensor *extreme[TT_MAX_RESULTS];
    size_t n;
    double value;
    TT_TRY(tt_op_eval(extremes[i], context->generator, args, 1, extreme, &n, error));
    tt_status status = tt_tensor_item_f64(extreme[0], &value, error);
    tt_tensor_unref(extreme[0]);
    TT_TRY(status);
    if (i == 0 ? value < 0 : value > 1) {
      return tt_fail(error, TT_ERR_ARGUMENT, "%s: all elements of the input should be between 0 and 1, but one is %g", op->name,
                     value);
    }
  }
  return tt_compose_kernel(body_binary_cross_entropy, op, context, args, results, n_results, error);
}

/* The input's is PyTorch's formula, which stays finite at 0 and 1; the others' are the body's. */
tt_status tt_grad_binary_cross_entropy(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads,
                                       tt_error *error) {
  bool others[3] = {false, call->is_needed[1], !tt_arg_is_none(&call->args[2]) && call->is_needed[2]};
  tt_grad_call rest = *call;
  rest.is_needed = others;
  if (others[1] || others[2]) TT_TRY(tt_compose_grad(body_binary_cross_entropy, context, &rest, operand_grads, error));
  if (!call->is_needed[0]) return TT_OK;
  tt_rule made = tt_rule_begin(context, error), *rule = &made;
  tt_operand *x = call->args[0].as.operand, *target = call->args[1].as.operand, *weight = tt_arg_operand(&call->args[2]);
  tt_operand *spread = tt_rule_scalar(rule, TT_OP_clamp_min, MUL(tt_term_minus(rule, 1.0, x), x), 1e-12);
  tt_operand *slope = tt_term_div(rule, SUB(x, target), spread);
  if (weight != NULL) slope = MUL(slope, weight);
  if (tt_arg_is_word(&call->args[3], "mean")) {
    if (!tt_rule_need_shape(rule, call->op, x)) return rule->status;
    slope = SCALE(slope, 1.0 / (double)tt_shape_n_elements(&x->meta.shape));
  }
  operand_grads[0] = tt_grad_sum_to(rule, call->op, MUL(slope, call->grads[0]), x);
  return rule->status;
}

TT_BODY(bce_with_logits) {
  tt_operand *x = args[0].as.operand, *target = args[1].as.operand, *weight = tt_arg_operand(&args[2]),
             *pos_weight = tt_arg_operand(&args[4]);
  need_same_shape(rule, op, x, target);
  tt_operand *log_yes = UNARY(logsigmoid, x);
  if (pos_weight != NULL) log_yes = MUL(log_yes, PLUS(MUL(PLUS(pos_weight, -1.0), target), 1.0));
  tt_operand *losses = SUB(MUL(tt_term_minus(rule, 1.0, target), x), log_yes);
  if (weight != NULL) losses = MUL(losses, weight);
  return reduce(rule, op, losses, &args[3]);
}
TT_COMPOSE(bce_with_logits)

/* x log x, 0 at 0. */
static tt_operand *self_entropy(tt_rule *rule, tt_operand *x) {
  tt_operand *safe = TT_RULE(rule, masked_fill, tt_operand_value(x), tt_operand_value(IS(eq, x, 0.0)), tt_int(1));
  return MUL(x, UNARY(log, safe));
}

TT_BODY(kl_div) {
  tt_operand *x = args[0].as.operand, *target = args[1].as.operand;
  reduction how = reduction_of(rule, op, &args[2], true);
  tt_operand *losses;
  if (args[3].as.boolean) {
    losses = MUL(UNARY(exp, target), SUB(target, x));
  } else {
    losses = SUB(self_entropy(rule, target), MUL(target, x));
  }
  if (how == REDUCE_BATCH_MEAN) {
    if (!tt_rule_need_shape(rule, op, x)) return NULL;
    if (x->meta.shape.n_dims == 0) return UNARY(sum, losses);
    return tt_rule_scalar(rule, TT_OP_div, UNARY(sum, losses), (double)x->meta.shape.dims[0]);
  }
  return reduce_by(rule, losses, how);
}
TT_COMPOSE(kl_div)

TT_BODY(hinge_embedding_loss) {
  tt_operand *x = args[0].as.operand, *target = args[1].as.operand;
  tt_operand *of_other = tt_rule_scalar(rule, TT_OP_clamp_min, tt_term_minus(rule, args[2].as.real, x), 0.0);
  tt_operand *other = tt_term_keep(rule, IS(ne, target, 1.0), of_other);
  tt_operand *same = tt_term_keep(rule, IS(ne, target, -1.0), x);
  return reduce(rule, op, ADD(other, same), &args[3]);
}
TT_COMPOSE(hinge_embedding_loss)

TT_BODY(soft_margin_loss) {
  /* log(1 + exp(-target x)) */
  need_expandable(rule, op, args[0].as.operand, args[1].as.operand);
  tt_operand *margin = MUL(args[0].as.operand, args[1].as.operand);
  return reduce(rule, op, tt_term_neg(rule, UNARY(logsigmoid, margin)), &args[2]);
}
TT_COMPOSE(soft_margin_loss)

TT_BODY(margin_ranking_loss) {
  for (int i = 1; i < 3; i++) {
    const tt_shape *shape = &tt_arg_meta(&args[0])->shape, *other = &tt_arg_meta(&args[i])->shape;
    if (!tt_shape_is_known(shape) || !tt_shape_is_known(other) || shape->n_dims == other->n_dims) continue;
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s: all tensors should have the same number of dimensions", op->name);
  }
  tt_operand *lead = SUB(args[0].as.operand, args[1].as.operand);
  tt_operand *lack = PLUS(tt_term_neg(rule, MUL(args[2].as.operand, lead)), args[3].as.real);
  return reduce(rule, op, tt_rule_scalar(rule, TT_OP_clamp_min, lack, 0.0), &args[4]);
}
TT_COMPOSE(margin_ranking_loss)

#define TWO_PI 6.28318530717958647693

TT_BODY(poisson_nll_loss) {
  tt_operand *x = args[0].as.operand, *target = args[1].as.operand;
  tt_operand *losses;
  if (args[2].as.boolean) {
    losses = SUB(UNARY(exp, x), MUL(target, x));
  } else {
    losses = SUB(x, MUL(target, UNARY(log, PLUS(x, args[4].as.real))));
  }
  if (args[3].as.boolean) {
    /* Stirling's approximation of log(target!), for targets above 1. */
    tt_operand *is_counted = IS(gt, target, 1.0);
    tt_operand *safe = tt_rule_scalar(rule, TT_OP_clamp_min, target, 1.0);
    tt_operand *logs = UNARY(log, safe);
    tt_operand *stirling = ADD(SUB(MUL(safe, logs), safe), SCALE(PLUS(logs, log(TWO_PI)), 0.5));
    losses = ADD(losses, tt_term_keep(rule, is_counted, stirling));
  }
  return reduce(rule, op, losses, &args[5]);
}
TT_COMPOSE(poisson_nll_loss)

/* ---- of classes: (N, C, ...) and (N, ...), or (C) and a scalar ---- */

/* The dimension of the classes; -1 and a failed rule where the shapes are not those of a classification. */
static int64_t class_dim(tt_rule *rule, const tt_op *op, const tt_operand *x, const tt_operand *target) {
  if (!tt_rule_need_shape(rule, op, x) || !tt_rule_need_shape(rule, op, target)) return -1;
  const tt_shape *input = &x->meta.shape, *classes = &target->meta.shape;
  int64_t dim = input->n_dims > 1 ? 1 : 0;
  bool fits = input->n_dims > 0 && classes->n_dims == input->n_dims - 1;
  for (int d = 0; fits && d < classes->n_dims; d++) fits = classes->dims[d] == input->dims[d < dim ? d : d + 1];
  if (fits) return dim;
  char text[TT_SHAPE_TEXT_BYTES], target_text[TT_SHAPE_TEXT_BYTES];
  tt_rule_fail(rule, TT_ERR_SHAPE,
               "%s takes an input of shape (N, C, ...) and a target of shape (N, ...), not of shapes %s and %s", op->name,
               tt_shape_text(input, text), tt_shape_text(classes, target_text));
  return -1;
}

static void need_class_weights(tt_rule *rule, const tt_op *op, const tt_operand *x, int64_t dim, const tt_operand *weight) {
  if (rule->status != TT_OK || weight == NULL) return;
  tt_rule_need_same_floats(rule, op, x, weight);
  if (!tt_rule_need_shape(rule, op, weight)) return;
  const tt_shape *shape = &weight->meta.shape;
  if (shape->n_dims == 1 && shape->dims[0] == x->meta.shape.dims[dim]) return;
  char text[TT_SHAPE_TEXT_BYTES];
  tt_rule_fail(rule, TT_ERR_SHAPE, "%s: weight should be defined for all %lld classes, but has shape %s", op->name,
               (long long)x->meta.shape.dims[dim], tt_shape_text(shape, text));
}

typedef struct class_terms {
  tt_operand *x; /* log-probabilities */
  tt_operand *is_counted;
  tt_operand *target; /* 0 where it is ignored */
  int64_t dim;
  tt_operand *weights; /* of each target; NULL when every class counts alike */
} class_terms;

/* The dimension of the classes of what the loss of classes takes; -1 and a failed rule otherwise. */
static int64_t check_classes(tt_rule *rule, const tt_op *op, const tt_operand *x, const tt_operand *target,
                             const tt_operand *weight) {
  int64_t dim = class_dim(rule, op, x, target);
  need_class_weights(rule, op, x, dim, weight);
  if (rule->status == TT_OK) tt_rule_need_same_floats(rule, op, x, NULL);
  if (rule->status == TT_OK && target->meta.dtype != TT_DTYPE_I64 && target->meta.dtype != TT_DTYPE_U8) {
    tt_rule_fail(rule, TT_ERR_DTYPE, "%s takes classes of dtype int64 or uint8, not %s", op->name,
                 tt_dtype_name(target->meta.dtype));
  }
  return rule->status == TT_OK ? dim : -1;
}

static class_terms class_terms_of(tt_rule *rule, const tt_op *op, tt_operand *x, tt_operand *target, tt_operand *weight,
                                  int64_t ignore_index) {
  class_terms terms = {.x = x, .dim = check_classes(rule, op, x, target, weight)};
  if (rule->status != TT_OK) return terms;
  target = tt_rule_cast(rule, target, TT_DTYPE_I64);
  terms.is_counted = TT_RULE(rule, ne, tt_operand_value(target), tt_int(ignore_index));
  terms.target = tt_term_keep(rule, terms.is_counted, target);
  if (weight != NULL && rule->status == TT_OK) {
    const tt_shape *shape = &target->meta.shape;
    int64_t flat = -1;
    tt_operand *list = TT_RULE(rule, index_select, tt_operand_value(weight), tt_int(0),
                               tt_operand_value(tt_term_reshape(rule, terms.target, &flat, 1)));
    terms.weights = tt_term_keep(rule, terms.is_counted, tt_term_reshape(rule, list, shape->dims, shape->n_dims));
  }
  return terms;
}

/* A mean divides by the weights that were counted. */
static tt_operand *reduce_classes(tt_rule *rule, const class_terms *terms, tt_operand *losses, reduction how) {
  if (how == REDUCE_NONE) return losses;
  tt_operand *total = UNARY(sum, losses);
  if (how == REDUCE_SUM) return total;
  tt_operand *count = UNARY(sum, terms->weights != NULL ? terms->weights : terms->is_counted);
  return tt_term_div(rule, total, count);
}

static tt_operand *nll_terms(tt_rule *rule, const class_terms *terms) {
  tt_operand *index = tt_term_unsqueeze(rule, terms->target, terms->dim);
  tt_operand *picked = TT_RULE(rule, gather, tt_operand_value(terms->x), tt_int(terms->dim), tt_operand_value(index));
  tt_operand *losses = tt_term_neg(rule, tt_term_squeeze(rule, picked, terms->dim));
  if (terms->weights != NULL) losses = MUL(losses, terms->weights);
  return tt_term_keep(rule, terms->is_counted, losses);
}

TT_BODY(nll_loss) {
  reduction how = reduction_of(rule, op, &args[4], false);
  class_terms terms =
      class_terms_of(rule, op, args[0].as.operand, args[1].as.operand, tt_arg_operand(&args[2]), args[3].as.integer);
  return reduce_classes(rule, &terms, nll_terms(rule, &terms), how);
}
TT_COMPOSE_GRAD(nll_loss)

/* Of both losses of classes; cross_entropy has one more. */
enum { CE_WEIGHT = 2, CE_IGNORE_INDEX, CE_REDUCTION, CE_LABEL_SMOOTHING };

/* What both answer. */
static tt_status infer_classes(tt_rule *rule, const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results) {
  const tt_operand *x = args[0].as.operand, *target = args[1].as.operand;
  reduction how = reduction_of(rule, op, &args[CE_REDUCTION], false);
  check_classes(rule, op, x, target, tt_arg_operand(&args[CE_WEIGHT]));
  if (rule->status != TT_OK) return rule->status;
  tt_meta meta = {.dtype = x->meta.dtype};
  if (how == REDUCE_NONE) meta.shape = target->meta.shape;
  return tt_infer_one(meta, results, n_results);
}

INFER(nll_loss) {
  tt_rule rule = tt_rule_begin(NULL, error); /* which calls nothing */
  return infer_classes(&rule, op, args, results, n_results);
}

/* The losses of log-probabilities, reduced as metas[0] and the row's argument say. */
static tt_status run_nll(const tt_op *op, const tt_value *args, const tt_tensor *logs, const tt_meta *metas,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  const tt_tensor *given[] = {logs, tt_arg_tensor(&args[1]),
                              tt_arg_is_none(&args[CE_WEIGHT]) ? NULL : tt_arg_tensor(&args[CE_WEIGHT])};
  const tt_dtype dtypes[] = {metas[0].dtype, TT_DTYPE_I64, metas[0].dtype};
  tt_tensor *dense[3] = {NULL}, *out = tt_tensor_new(metas[0].dtype, &metas[0].shape, error);
  tt_status status = out == NULL ? TT_ERR_MEMORY : TT_OK;
  for (int i = 0; i < 3 && status == TT_OK; i++) {
    if (given[i] == NULL) continue;
    bool fits = tt_tensor_dtype(given[i]) == dtypes[i] && tt_tensor_is_contiguous(given[i]);
    dense[i] = fits ? tt_tensor_ref((tt_tensor *)(uintptr_t)given[i]) : tt_tensor_cast(given[i], dtypes[i], error);
    if (dense[i] == NULL) status = TT_ERR_MEMORY;
  }
  if (status == TT_OK) {
    const tt_shape *shape = tt_tensor_shape(logs);
    int dim = shape->n_dims > 1 ? 1 : 0;
    tt_nll what = {.dtype = metas[0].dtype,
                   .n_outer = dim == 1 ? shape->dims[0] : 1,
                   .n_classes = shape->dims[dim],
                   .n_inner = 1,
                   .logs = tt_tensor_data(dense[0]),
                   .target = tt_tensor_data(dense[1]),
                   .weight = dense[2] == NULL ? NULL : tt_tensor_data(dense[2]),
                   .ignore_index = args[CE_IGNORE_INDEX].as.integer};
    for (int d = dim + 1; d < shape->n_dims; d++) what.n_inner *= shape->dims[d];
    bool is_mean = tt_arg_is_word(&args[CE_REDUCTION], "mean"), is_none = tt_arg_is_word(&args[CE_REDUCTION], "none");
    if (is_none) what.losses = tt_tensor_data(out);
    tt_nll_sums sums;
    if (!tt_nll_run(&what, &sums)) {
      status = tt_fail(error, TT_ERR_INDEX, "%s: target %" PRId64 " is out of bounds for %" PRId64 " classes", op->name,
                       sums.wrong, what.n_classes);
    } else if (!is_none) {
      tt_convert_f64(tt_tensor_data(out), what.dtype, is_mean ? sums.losses / sums.weights : sums.losses);
    }
  }
  for (int i = 0; i < 3; i++) tt_tensor_unref(dense[i]);
  if (status != TT_OK) {
    tt_tensor_unref(out);
    return status;
  }
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}

KERNEL(nll_loss) {
  (void)context;
  return run_nll(op, args, tt_arg_tensor(&args[0]), metas, results, n_results, error);
}

/* Weights of shape (C) beside (N, C, ...). */
static tt_operand *weights_beside(tt_rule *rule, const tt_operand *x, int64_t dim, tt_operand *weight) {
  int64_t sizes[TT_MAX_DIMS];
  for (int d = 0; d < x->meta.shape.n_dims; d++) sizes[d] = d == dim ? x->meta.shape.dims[d] : 1;
  return tt_term_reshape(rule, weight, sizes, x->meta.shape.n_dims);
}

/* Targets that are probabilities of the classes. */
static tt_operand *cross_entropy_of_probabilities(tt_rule *rule, const tt_op *op, const tt_value *args, reduction how,
                                                  double smoothing) {
  tt_operand *x = args[0].as.operand, *target = args[1].as.operand, *weight = tt_arg_operand(&args[CE_WEIGHT]);
  if (!tt_rule_need_shape(rule, op, x)) return NULL;
  need_same_shape(rule, op, x, target);
  int64_t dim = x->meta.shape.n_dims > 1 ? 1 : 0;
  if (x->meta.shape.n_dims == 0) tt_rule_fail(rule, TT_ERR_SHAPE, "%s: a scalar has no classes", op->name);
  need_class_weights(rule, op, x, dim, weight);
  if (rule->status != TT_OK) return NULL;
  int64_t n_classes = x->meta.shape.dims[dim], n_elements = tt_shape_n_elements(&x->meta.shape);
  if (!tt_dtype_is_floating(target->meta.dtype)) {
    tt_rule_fail(rule, TT_ERR_DTYPE, "%s expected floating point type for a target with class probabilities, got %s", op->name,
                 tt_dtype_name(target->meta.dtype));
  }
  if (smoothing > 0) target = PLUS(SCALE(target, 1 - smoothing), smoothing / (double)n_classes);
  tt_operand *logs = TT_RULE(rule, log_softmax, tt_operand_value(x), tt_int(dim));
  tt_operand *terms = MUL(logs, target);
  if (weight != NULL) terms = MUL(terms, weights_beside(rule, x, dim, weight));
  if (how == REDUCE_NONE) return tt_term_neg(rule, sum_along(rule, terms, dim));
  tt_operand *total = tt_term_neg(rule, UNARY(sum, terms));
  if (how == REDUCE_SUM) return total;
  return tt_rule_scalar(rule, TT_OP_div, total, (double)n_elements / (double)n_classes);
}

TT_BODY(cross_entropy) {
  tt_operand *x = args[0].as.operand, *target = args[1].as.operand, *weight = tt_arg_operand(&args[CE_WEIGHT]);
  reduction how = reduction_of(rule, op, &args[CE_REDUCTION], false);
  double smoothing = args[CE_LABEL_SMOOTHING].as.real;
  if (!(smoothing >= 0 && smoothing <= 1)) {
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: label_smoothing must be between 0.0 and 1.0, got %g", op->name, smoothing);
  }
  if (!tt_rule_need_shape(rule, op, x) || !tt_rule_need_shape(rule, op, target)) return NULL;
  if (tt_shape_equal(&x->meta.shape, &target->meta.shape)) {
    return cross_entropy_of_probabilities(rule, op, args, how, smoothing);
  }
  int64_t dim = class_dim(rule, op, x, target);
  tt_operand *logs = TT_RULE(rule, log_softmax, tt_operand_value(x), tt_int(dim));
  if (rule->status != TT_OK) return NULL;
  class_terms terms = class_terms_of(rule, op, logs, target, weight, args[CE_IGNORE_INDEX].as.integer);
  tt_operand *of_target = reduce_classes(rule, &terms, nll_terms(rule, &terms), how);
  if (smoothing == 0) return of_target;
  tt_operand *weighted = weight != NULL ? MUL(logs, weights_beside(rule, x, dim, weight)) : logs;
  tt_operand *of_all = tt_term_neg(rule, sum_along(rule, weighted, dim));
  of_all = reduce_classes(rule, &terms, tt_term_keep(rule, terms.is_counted, of_all), how);
  if (rule->status != TT_OK) return NULL;
  double share = smoothing / (double)x->meta.shape.dims[dim];
  return ADD(SCALE(of_target, 1 - smoothing), SCALE(of_all, share));
}

/* Whether it is what is used most: floats, targets that are classes, and all of the loss at them. */
static bool is_plain_cross_entropy(const tt_value *args) {
  const tt_meta *x = tt_arg_meta(&args[0]), *target = tt_arg_meta(&args[1]);
  return tt_dtype_is_floating(x->dtype) && tt_shape_is_known(&x->shape) && tt_shape_is_known(&target->shape) &&
         !tt_shape_equal(&x->shape, &target->shape) && args[CE_LABEL_SMOOTHING].as.real == 0;
}

INFER(cross_entropy) {
  if (!is_plain_cross_entropy(args)) return tt_compose_infer(body_cross_entropy, op, args, results, n_results, error);
  tt_rule rule = tt_rule_begin(NULL, error); /* which calls nothing */
  return infer_classes(&rule, op, args, results, n_results);
}

static tt_value class_dim_of(const tt_value *args) { return tt_int(tt_arg_meta(&args[0])->shape.n_dims > 1 ? 1 : 0); }

KERNEL(cross_entropy) {
  if (!is_plain_cross_entropy(args)) return tt_compose_kernel(body_cross_entropy, op, context, args, results, n_results, error);
  tt_tensor *logs[TT_MAX_RESULTS];
  size_t n_logs = 0;
  TT_TRY(tt_op_eval(TT_OP_log_softmax, context->generator, (tt_value[]){args[0], class_dim_of(args)}, 2, logs, &n_logs, error));
  tt_status status = run_nll(op, args, logs[0], metas, results, n_results, error);
  tt_tensor_unref(logs[0]);
  return status;
}

/* The probabilities, less 1 at the target; as much of that as the target weighs. */
GRAD(cross_entropy) {
  if (!is_plain_cross_entropy(call->args) || tt_grad_is_needed(call, CE_WEIGHT))
    return tt_compose_grad(body_cross_entropy, context, call, operand_grads, error);
  if (!call->is_needed[0]) return TT_OK;
  tt_rule made = tt_rule_begin(context, error), *rule = &made;
  tt_operand *x = call->args[0].as.operand, *share = call->grads[0];
  class_terms terms = class_terms_of(rule, call->op, x, call->args[1].as.operand, tt_arg_operand(&call->args[CE_WEIGHT]),
                                     call->args[CE_IGNORE_INDEX].as.integer);
  tt_operand *weights = terms.weights != NULL ? terms.weights : terms.is_counted;
  if (tt_arg_is_word(&call->args[CE_REDUCTION], "mean")) share = tt_term_div(rule, share, UNARY(sum, weights));
  share = tt_term_unsqueeze(rule, MUL(share, weights), terms.dim);
  tt_operand *index = tt_term_unsqueeze(rule, terms.target, terms.dim);
  tt_operand *probabilities = TT_RULE(rule, softmax, tt_operand_value(x), class_dim_of(call->args));
  tt_operand *at_target = TT_RULE(rule, full_like, tt_operand_value(share), tt_float(-1));
  tt_operand *slope = TT_RULE(rule, scatter_add, tt_operand_value(probabilities), tt_int(terms.dim), tt_operand_value(index),
                              tt_operand_value(at_target));
  operand_grads[0] = MUL(slope, share);
  return rule->status;
}

/* ---- distances ---- */

TT_BODY(normalize) {
  (void)op;
  tt_operand *x = args[0].as.operand;
  tt_operand *length = TT_RULE(rule, norm, tt_operand_value(x), args[1], tt_ints(&args[2].as.integer, 1), tt_bool(true));
  return tt_term_div(rule, x, tt_rule_scalar(rule, TT_OP_clamp_min, length, args[3].as.real));
}
TT_COMPOSE(normalize)

/* Or shorter, where the length is below eps. */
static tt_operand *of_length_one(tt_rule *rule, tt_operand *x, const tt_value *dim, double eps) {
  tt_operand *length = TT_RULE(rule, norm, tt_operand_value(x), tt_int(2), tt_ints(&dim->as.integer, 1), tt_bool(true));
  return tt_term_div(rule, x, tt_rule_scalar(rule, TT_OP_clamp_min, length, eps));
}

TT_BODY(cosine_similarity) {
  tt_operand *a = args[0].as.operand, *b = args[1].as.operand;
  tt_dtype dtype = tt_dtype_promote(a->meta.dtype, b->meta.dtype);
  if (rule->status == TT_OK) rule->status = tt_infer_need_floating(op, dtype, rule->error);
  a = tt_rule_cast(rule, a, dtype);
  b = tt_rule_cast(rule, b, dtype);
  tt_operand *products = MUL(a, b);
  a = of_length_one(rule, tt_rule_binary(rule, TT_OP_expand_as, a, products), &args[2], args[3].as.real);
  b = of_length_one(rule, tt_rule_binary(rule, TT_OP_expand_as, b, products), &args[2], args[3].as.real);
  return TT_RULE(rule, sum, tt_operand_value(MUL(a, b)), tt_ints(&args[2].as.integer, 1));
}
TT_COMPOSE(cosine_similarity)

TT_BODY(pairwise_distance) {
  (void)op;
  tt_operand *apart = PLUS(SUB(args[0].as.operand, args[1].as.operand), args[3].as.real);
  const int64_t last = -1;
  return TT_RULE(rule, norm, tt_operand_value(apart), args[2], tt_ints(&last, 1), args[4]);
}
TT_COMPOSE(pairwise_distance)

/* ---- losses of distances ---- */

enum { COSINE_TARGET = 2, COSINE_MARGIN, COSINE_REDUCTION };

TT_BODY(cosine_embedding_loss) {
  tt_operand *a = args[0].as.operand, *b = args[1].as.operand, *target = args[COSINE_TARGET].as.operand;
  const double tiny = 1e-12; /* PyTorch's */
  if (!tt_rule_need_shape(rule, op, a) || !tt_rule_need_shape(rule, op, b) || !tt_rule_need_shape(rule, op, target))
    return NULL;
  tt_rule_need_same_floats(rule, op, a, b);
  int n_dims = a->meta.shape.n_dims;
  bool fits = (n_dims == 1 || n_dims == 2) && b->meta.shape.n_dims == n_dims && target->meta.shape.n_dims == n_dims - 1;
  if (!fits) {
    char text[TT_SHAPE_TEXT_BYTES], target_text[TT_SHAPE_TEXT_BYTES];
    tt_rule_fail(rule, TT_ERR_SHAPE,
                 "%s takes inputs of shape (N, D) and a target of shape (N), or (D) and a scalar, not %s and %s", op->name,
                 tt_shape_text(&a->meta.shape, text), tt_shape_text(&target->meta.shape, target_text));
  }
  tt_operand *squares =
      MUL(PLUS(sum_along(rule, tt_term_square(rule, a), -1), tiny), PLUS(sum_along(rule, tt_term_square(rule, b), -1), tiny));
  tt_operand *cosine = tt_term_div(rule, sum_along(rule, MUL(a, b), -1), UNARY(sqrt, squares));
  tt_operand *apart = tt_rule_scalar(rule, TT_OP_clamp_min, PLUS(cosine, -args[COSINE_MARGIN].as.real), 0.0);
  tt_operand *same = tt_term_keep(rule, IS(eq, target, 1.0), tt_term_minus(rule, 1.0, cosine));
  return reduce(rule, op, ADD(same, tt_term_keep(rule, IS(eq, target, -1.0), apart)), &args[COSINE_REDUCTION]);
}
TT_COMPOSE(cosine_embedding_loss)

enum { TRIPLET_MARGIN = 3, TRIPLET_P, TRIPLET_EPS, TRIPLET_SWAP, TRIPLET_REDUCTION };

static tt_operand *apart_by(tt_rule *rule, const tt_value *a, const tt_value *b, const tt_value *args) {
  return TT_RULE(rule, pairwise_distance, *a, *b, args[TRIPLET_P], args[TRIPLET_EPS]);
}

TT_BODY(triplet_margin_loss) {
  const tt_value *anchor = &args[0], *positive = &args[1], *negative = &args[2];
  for (int i = 1; i < 3; i++) {
    const tt_shape *shape = &tt_arg_meta(anchor)->shape, *other = &tt_arg_meta(&args[i])->shape;
    if (!tt_shape_is_known(shape) || !tt_shape_is_known(other) || shape->n_dims == other->n_dims) continue;
    tt_rule_fail(rule, TT_ERR_SHAPE,
                 "%s: the anchor, positive, and negative tensors are expected to have the same number of dimensions", op->name);
  }
  tt_operand *near_to = apart_by(rule, anchor, positive, args), *far_from = apart_by(rule, anchor, negative, args);
  if (args[TRIPLET_SWAP].as.boolean) {
    far_from = tt_rule_binary(rule, TT_OP_minimum, far_from, apart_by(rule, positive, negative, args));
  }
  tt_operand *lack = PLUS(SUB(near_to, far_from), args[TRIPLET_MARGIN].as.real);
  return reduce(rule, op, tt_rule_scalar(rule, TT_OP_clamp_min, lack, 0.0), &args[TRIPLET_REDUCTION]);
}
TT_COMPOSE(triplet_margin_loss)
