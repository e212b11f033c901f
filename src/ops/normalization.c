/*
 * normalization: rows of batch, instance, layer and group normalisation.
 *
 * The kernels are fused; the bodies say the same with other ops, for the shape rules and the gradients.
 */
#include "kernels/normalization.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/compose.h"
#include "ops/define.h"
#include "ops/inplace.h"
#include "ops/rows.h"
#include "ops/terms.h"
#include "tensor/convert.h"

/* x brought to mean 0 and variance 1 over these dimensions. */
static tt_operand *standardise(tt_rule *rule, tt_operand *x, const int64_t *dims, int n_dims, double eps) {
  const tt_value over = tt_ints(dims, (uint32_t)n_dims);
  tt_operand *centred = tt_term_sub(rule, x, TT_RULE(rule, mean, tt_operand_value(x), over, tt_bool(true)));
  tt_operand *variance = TT_RULE(rule, mean, tt_operand_value(tt_term_square(rule, centred)), over, tt_bool(true));
  return tt_term_mul(rule, centred, tt_rule_unary(rule, TT_OP_rsqrt, tt_term_plus(rule, variance, eps)));
}

static tt_operand *scale_and_shift(tt_rule *rule, tt_operand *x, tt_operand *weight, tt_operand *bias) {
  if (weight != NULL) x = tt_term_mul(rule, x, weight);
  return bias != NULL ? tt_term_add(rule, x, bias) : x;
}

/* Fails the rule unless `x` is NULL or one element for each of n channels, in the dtype of `like`. */
static void need_channels(tt_rule *rule, const tt_op *op, const char *param, const tt_operand *x, int64_t n,
                          const tt_operand *like) {
  if (x == NULL || rule->status != TT_OK) return;
  if (tt_rule_need_same_floats(rule, op, like, x) != TT_OK || !tt_rule_need_shape(rule, op, x)) return;
  if (x->meta.shape.n_dims == 1 && x->meta.shape.dims[0] == n) return;
  char text[TT_SHAPE_TEXT_BYTES];
  tt_rule_fail(rule, TT_ERR_SHAPE, "%s: %s should contain %" PRId64 " elements, one for each channel, but has the shape %s",
               op->name, param, n, tt_shape_text(&x->meta.shape, text));
}

/* A vector by channel beside (N, C, ...); NULL stays NULL. */
static tt_operand *beside_channels(tt_rule *rule, tt_operand *vector, int n_dims) {
  int64_t sizes[TT_MAX_DIMS];
  for (int d = 0; d < n_dims; d++) sizes[d] = d == 1 ? -1 : 1;
  return vector != NULL ? tt_term_reshape(rule, vector, sizes, n_dims) : NULL;
}

static const void *data_or_null(const tt_tensor *tensor) { return tensor ? tt_tensor_data(tensor) : NULL; }

/* Dense forms of a call's operands, for as long as the kernel runs. */
enum { MAX_DENSE = 3 };
typedef struct dense_args {
  tt_tensor *tensors[MAX_DENSE];
} dense_args;

static void release(dense_args *dense) {
  for (size_t i = 0; i < MAX_DENSE; i++) tt_tensor_unref(dense->tensors[i]);
}

static tt_status densify(const tt_value *self, const tt_value *weight, const tt_value *bias, dense_args *dense,
                         tt_error *error) {
  const tt_value *args[MAX_DENSE] = {self, weight, bias};
  *dense = (dense_args){{NULL}};
  for (size_t i = 0; i < MAX_DENSE; i++) {
    if (tt_arg_is_none(args[i])) continue;
    dense->tensors[i] = tt_tensor_contiguous(tt_arg_tensor(args[i]), error);
    if (dense->tensors[i] != NULL) continue;
    release(dense);
    return TT_ERR_MEMORY;
  }
  return TT_OK;
}

static tt_normalization normalization_of(const dense_args *dense, tt_tensor *out, double eps) {
  return (tt_normalization){.dtype = tt_tensor_dtype(out),
                            .eps = eps,
                            .input = tt_tensor_data(dense->tensors[0]),
                            .output = tt_tensor_data(out),
                            .weight = data_or_null(dense->tensors[1]),
                            .bias = data_or_null(dense->tensors[2])};
}

/* ---- batch_norm, instance_norm ---- */

enum { BN_SELF, BN_MEAN, BN_VAR, BN_WEIGHT, BN_BIAS, BN_TRAINING, BN_MOMENTUM, BN_EPS };

/* Over all samples, or (instance_norm) over each one alone. */
static tt_operand *normalise_channels(tt_rule *rule, const tt_op *op, const tt_value *args, bool is_instance) {
  tt_operand *x = args[BN_SELF].as.operand, *mean = tt_arg_operand(&args[BN_MEAN]), *var = tt_arg_operand(&args[BN_VAR]),
             *weight = tt_arg_operand(&args[BN_WEIGHT]), *bias = tt_arg_operand(&args[BN_BIAS]);
  bool is_training = args[BN_TRAINING].as.boolean;
  if (tt_rule_need_same_floats(rule, op, x, NULL) != TT_OK || !tt_rule_need_shape(rule, op, x)) return NULL;
  const tt_shape *shape = &x->meta.shape;
  int n_dims = shape->n_dims;
  char text[TT_SHAPE_TEXT_BYTES];
  if (n_dims < 2) {
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s takes an input of shape (N, C, ...), not %s", op->name, tt_shape_text(shape, text));
    return NULL;
  }
  int64_t n_channels = shape->dims[1], n_elements = tt_shape_n_elements(shape);
  need_channels(rule, op, "running_mean", mean, n_channels, x);
  need_channels(rule, op, "running_var", var, n_channels, x);
  need_channels(rule, op, "weight", weight, n_channels, x);
  need_channels(rule, op, "bias", bias, n_channels, x);
  if (!is_training && n_elements > 0 && (mean == NULL || var == NULL)) {
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: running_mean and running_var must be given when the batch's own are not used",
                 op->name);
  }
  if (is_training && n_elements > 0 && n_elements == n_channels * (is_instance ? shape->dims[0] : 1)) {
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s: expected more than 1 value per channel when training, got input size %s", op->name,
                 tt_shape_text(shape, text));
  }
  tt_operand *normal;
  if (n_elements == 0) {
    normal = x;
  } else if (is_training) {
    int64_t dims[TT_MAX_DIMS];
    int n = 0;
    for (int d = is_instance ? 2 : 0; d < n_dims; d++) {
      if (d != 1) dims[n++] = d;
    }
    normal = standardise(rule, x, dims, n, args[BN_EPS].as.real);
  } else {
    tt_operand *rate = tt_rule_unary(rule, TT_OP_rsqrt, tt_term_plus(rule, var, args[BN_EPS].as.real));
    tt_operand *centred = tt_term_sub(rule, x, beside_channels(rule, mean, n_dims));
    normal = tt_term_mul(rule, centred, beside_channels(rule, rate, n_dims));
  }
  return scale_and_shift(rule, normal, beside_channels(rule, weight, n_dims), beside_channels(rule, bias, n_dims));
}

TT_BODY(batch_norm) { return normalise_channels(rule, op, args, false); }
TT_COMPOSE_INFER(batch_norm)
TT_COMPOSE_GRAD(batch_norm)

TT_BODY(instance_norm) { return normalise_channels(rule, op, args, true); }
TT_COMPOSE_INFER(instance_norm)
TT_COMPOSE_GRAD(instance_norm)

/* The statistics of a call, in double, and what the running ones become. */
typedef struct statistics {
  double *means, *variances; /* used by this call: a set for all samples, or one for each */
  double *moved;             /* room for one by channel */
  double *block;
  tt_tensor *running[2]; /* the new running mean and variance; NULL where there is none to write */
} statistics;

static void release_statistics(statistics *s) {
  tt_free(s->block);
  tt_tensor_unref(s->running[0]);
  tt_tensor_unref(s->running[1]);
}

static void read_doubles(const tt_tensor *vector, double *values) {
  int64_t item_bytes = (int64_t)tt_dtype_bytes(tt_tensor_dtype(vector));
  tt_convert(TT_DTYPE_F64, tt_tensor_dtype(vector))(values, 8, tt_tensor_data(vector), vector->strides[0] * item_bytes,
                                                    tt_tensor_shape(vector)->dims[0]);
}

static tt_status begin_statistics(statistics *s, const tt_op *op, const tt_value *args, int64_t n_channels, int64_t n_sets,
                                  tt_error *error) {
  *s = (statistics){.block = tt_alloc((size_t)(2 * n_sets * n_channels + n_channels) + 1, sizeof(double))};
  if (s->block == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for a batch's statistics");
  s->means = s->block;
  s->variances = s->block + n_sets * n_channels;
  s->moved = s->variances + n_sets * n_channels;
  for (int i = 0; i < 2 && args[BN_TRAINING].as.boolean; i++) {
    if (tt_arg_is_none(&args[BN_MEAN + i])) continue;
    const tt_tensor *running = tt_arg_tensor(&args[BN_MEAN + i]);
    tt_status status = tt_inplace_check_apart(op, op->params[BN_MEAN + i].name, running, error);
    if (status == TT_OK) {
      s->running[i] = tt_tensor_new(tt_tensor_dtype(running), tt_tensor_shape(running), error);
      if (s->running[i] == NULL) status = TT_ERR_MEMORY;
    }
    if (status == TT_OK) continue;
    release_statistics(s);
    return status;
  }
  return TT_OK;
}

/* Moves the running statistics by `momentum` towards the batch's; the variance there is the unbiased one. */
static tt_status move_running(statistics *s, const tt_value *args, int64_t n_channels, int64_t n_values, tt_error *error) {
  double momentum = args[BN_MOMENTUM].as.real, *moved = s->moved;
  for (int i = 0; i < 2; i++) {
    if (s->running[i] == NULL) continue;
    const double *batch = i == 0 ? s->means : s->variances;
    double unbiased = i == 0 ? 1 : (double)n_values / (double)(n_values - 1);
    read_doubles(tt_arg_tensor(&args[BN_MEAN + i]), moved);
    for (int64_t c = 0; c < n_channels; c++) moved[c] = momentum * batch[c] * unbiased + (1 - momentum) * moved[c];
    tt_dtype dtype = tt_tensor_dtype(s->running[i]);
    tt_convert(dtype, TT_DTYPE_F64)(tt_tensor_data(s->running[i]), (int64_t)tt_dtype_bytes(dtype), moved, 8, n_channels);
  }
  for (int i = 0; i < 2; i++) {
    if (s->running[i] != NULL) TT_TRY(tt_tensor_copy(tt_arg_tensor(&args[BN_MEAN + i]), s->running[i], error));
  }
  return TT_OK;
}

/* The mean of the sets, in the place of the first. */
static void merge_sets(double *values, int64_t n_channels, int64_t n_sets) {
  for (int64_t c = 0; c < n_channels; c++) {
    for (int64_t k = 1; k < n_sets; k++) values[c] += values[k * n_channels + c];
    values[c] /= (double)n_sets;
  }
}

static tt_status run_channels(const tt_op *op, const tt_value *args, bool is_instance, const tt_meta *metas,
                              tt_tensor **results, size_t *n_results, tt_error *error) {
  const tt_shape *shape = &metas[0].shape;
  bool is_training = args[BN_TRAINING].as.boolean;
  int64_t n_channels = shape->dims[1], inner = 1, n_sets = is_instance && is_training ? shape->dims[0] : 1;
  for (int d = 2; d < shape->n_dims; d++) inner *= shape->dims[d];
  dense_args dense;
  statistics s;
  TT_TRY(densify(&args[BN_SELF], &args[BN_WEIGHT], &args[BN_BIAS], &dense, error));
  tt_status status = begin_statistics(&s, op, args, n_channels, n_sets, error);
  if (status != TT_OK) {
    release(&dense);
    return status;
  }
  tt_tensor *out = tt_tensor_new(metas[0].dtype, shape, error);
  if (out == NULL) {
    status = TT_ERR_MEMORY;
  } else if (tt_tensor_n_elements(out) > 0) {
    tt_normalization what = normalization_of(&dense, out, args[BN_EPS].as.real);
    int64_t n = shape->dims[0] / n_sets, n_all = n_channels * n_sets;
    if (is_training) {
      tt_channel_moments(what.dtype, what.input, n, n_all, inner, s.means, s.variances);
    } else {
      read_doubles(tt_arg_tensor(&args[BN_MEAN]), s.means);
      read_doubles(tt_arg_tensor(&args[BN_VAR]), s.variances);
    }
    tt_normalize_channels(&what, n, n_all, inner, n_channels, s.means, s.variances);
    merge_sets(s.means, n_channels, n_sets);
    merge_sets(s.variances, n_channels, n_sets);
    status = move_running(&s, args, n_channels, n * inner, error);
  }
  release_statistics(&s);
  release(&dense);
  if (status != TT_OK) {
    tt_tensor_unref(out);
    return status;
  }
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}

KERNEL(batch_norm) {
  (void)context;
  return run_channels(op, args, false, metas, results, n_results, error);
}

KERNEL(instance_norm) {
  (void)context;
  return run_channels(op, args, true, metas, results, n_results, error);
}

/* ---- layer_norm ---- */

enum { LN_SELF, LN_SHAPE, LN_WEIGHT, LN_BIAS, LN_EPS };

static void need_normalized_shape(tt_rule *rule, const tt_op *op, const char *param, const tt_operand *x,
                                  const tt_value *normalized, bool is_whole) {
  if (x == NULL || rule->status != TT_OK || !tt_rule_need_shape(rule, op, x)) return;
  int lead = x->meta.shape.n_dims - (int)normalized->n;
  bool fits = normalized->n > 0 && (is_whole ? lead == 0 : lead >= 0);
  for (uint32_t d = 0; fits && d < normalized->n; d++) fits = x->meta.shape.dims[lead + (int)d] == normalized->as.ints[d];
  if (fits) return;
  char text[TT_SHAPE_TEXT_BYTES];
  tt_rule_fail(rule, TT_ERR_SHAPE, "%s: %s of shape %s does not %s the %u sizes of normalized_shape", op->name, param,
               tt_shape_text(&x->meta.shape, text), is_whole ? "have" : "end with", (unsigned)normalized->n);
}

TT_BODY(layer_norm) {
  tt_operand *x = args[LN_SELF].as.operand, *weight = tt_arg_operand(&args[LN_WEIGHT]), *bias = tt_arg_operand(&args[LN_BIAS]);
  need_normalized_shape(rule, op, "an input", x, &args[LN_SHAPE], false);
  need_normalized_shape(rule, op, "weight", weight, &args[LN_SHAPE], true);
  need_normalized_shape(rule, op, "bias", bias, &args[LN_SHAPE], true);
  if (rule->status == TT_OK) tt_rule_need_same_floats(rule, op, x, weight);
  if (rule->status == TT_OK) tt_rule_need_same_floats(rule, op, x, bias);
  if (rule->status != TT_OK) return NULL;
  int64_t dims[TT_MAX_DIMS];
  for (uint32_t d = 0; d < args[LN_SHAPE].n; d++) dims[d] = (int64_t)d - (int64_t)args[LN_SHAPE].n;
  return scale_and_shift(rule, standardise(rule, x, dims, (int)args[LN_SHAPE].n, args[LN_EPS].as.real), weight, bias);
}
TT_COMPOSE_INFER(layer_norm)
TT_COMPOSE_GRAD(layer_norm)

static tt_status run_rows(const tt_value *self, const tt_value *weight, const tt_value *bias, double eps, int64_t n,
                          int64_t n_alike, int64_t n_cycle, const tt_meta *meta, tt_tensor **results, size_t *n_results,
                          tt_error *error) {
  dense_args dense;
  TT_TRY(densify(self, weight, bias, &dense, error));
  tt_tensor *out = tt_tensor_new(meta->dtype, &meta->shape, error);
  if (out != NULL && n > 0) {
    tt_normalization what = normalization_of(&dense, out, eps);
    tt_normalize_rows(&what, tt_tensor_n_elements(out) / n, n, n_alike, n_cycle);
  }
  release(&dense);
  if (out == NULL) return TT_ERR_MEMORY;
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}

KERNEL(layer_norm) {
  (void)op, (void)context;
  int64_t n = 1;
  for (uint32_t d = 0; d < args[LN_SHAPE].n; d++) n *= args[LN_SHAPE].as.ints[d];
  return run_rows(&args[LN_SELF], &args[LN_WEIGHT], &args[LN_BIAS], args[LN_EPS].as.real, n, 1, 1, &metas[0], results,
                  n_results, error);
}

/* ---- group_norm ---- */

enum { GN_SELF, GN_GROUPS, GN_WEIGHT, GN_BIAS, GN_EPS };

TT_BODY(group_norm) {
  tt_operand *x = args[GN_SELF].as.operand, *weight = tt_arg_operand(&args[GN_WEIGHT]), *bias = tt_arg_operand(&args[GN_BIAS]);
  int64_t n_groups = args[GN_GROUPS].as.integer;
  if (tt_rule_need_same_floats(rule, op, x, NULL) != TT_OK || !tt_rule_need_shape(rule, op, x)) return NULL;
  const tt_shape *shape = &x->meta.shape;
  if (shape->n_dims < 2 || n_groups < 1 || shape->dims[1] % n_groups != 0) {
    char text[TT_SHAPE_TEXT_BYTES];
    tt_rule_fail(rule, TT_ERR_SHAPE,
                 "%s takes an input of shape (N, C, ...) and a number of groups that divides its channels, not %s and %" PRId64,
                 op->name, tt_shape_text(shape, text), n_groups);
    return NULL;
  }
  need_channels(rule, op, "weight", weight, shape->dims[1], x);
  need_channels(rule, op, "bias", bias, shape->dims[1], x);
  if (rule->status != TT_OK) return NULL;
  int64_t n_rows = shape->dims[0] * n_groups, n_elements = tt_shape_n_elements(shape), last = -1;
  if (n_elements == n_groups) {
    char text[TT_SHAPE_TEXT_BYTES];
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s: expected more than 1 value per group, got input size %s", op->name,
                 tt_shape_text(shape, text));
  }
  int64_t rows[2] = {n_rows, n_rows > 0 ? n_elements / n_rows : 0};
  tt_operand *normal = standardise(rule, tt_term_reshape(rule, x, rows, 2), &last, 1, args[GN_EPS].as.real);
  normal = tt_term_reshape(rule, normal, shape->dims, shape->n_dims);
  return scale_and_shift(rule, normal, beside_channels(rule, weight, shape->n_dims),
                         beside_channels(rule, bias, shape->n_dims));
}
TT_COMPOSE_INFER(group_norm)
TT_COMPOSE_GRAD(group_norm)

KERNEL(group_norm) {
  (void)op, (void)context;
  const tt_shape *shape = &metas[0].shape;
  int64_t n_groups = args[GN_GROUPS].as.integer, inner = 1;
  for (int d = 2; d < shape->n_dims; d++) inner *= shape->dims[d];
  return run_rows(&args[GN_SELF], &args[GN_WEIGHT], &args[GN_BIAS], args[GN_EPS].as.real, shape->dims[1] / n_groups * inner,
                  inner, n_groups, &metas[0], results, n_results, error);
}
