/* Rows of the reductions section: sum to median. */
#include <math.h>

#include "kernels/reduce.h"
#include "kernels/scan.h"
#include "kernels/sort.h"
#include "ops/infer_common.h"
#include "ops/rows.h"
#include "ops/rule.h"

/* ---- shapes ---- */

static tt_shape reduced_shape(const tt_shape *shape, const bool *flags, bool keepdim) {
  tt_shape out = {.n_dims = 0};
  for (int d = 0; d < shape->n_dims; d++) {
    if (!flags[d]) {
      out.dims[out.n_dims++] = shape->dims[d];
    } else if (keepdim) {
      out.dims[out.n_dims++] = 1;
    }
  }
  return out;
}

/* Whether a `dim` argument names no dimension, which means all of them. */
static bool is_full_reduction(const tt_value *dim) {
  return tt_arg_is_none(dim) || (dim->type == TT_VALUE_INTS && dim->n == 0);
}

/* The meta of a reduction of args[0] over the dimensions of args[i_dim]. */
static tt_status infer_reduced(const tt_op *op, const tt_value *args, int i_dim, bool keepdim, tt_dtype dtype, tt_meta *meta,
                               tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  const tt_value *dim = &args[i_dim];
  if (!tt_shape_is_known(&self->shape)) {
    *meta = is_full_reduction(dim) && !keepdim ? (tt_meta){.dtype = dtype} : tt_meta_unknown(dtype);
    return TT_OK;
  }
  bool flags[TT_MAX_DIMS];
  TT_TRY(tt_infer_dim_flags(op, dim, self->shape.n_dims, flags, error));
  *meta = (tt_meta){.dtype = dtype, .shape = reduced_shape(&self->shape, flags, keepdim)};
  return TT_OK;
}

/* Where `dim` is one dimension or none, PyTorch has no form that keeps the dimensions of a full reduction. */
static tt_status refuse_keepdim_alone(const tt_op *op, const tt_value *dim, const tt_value *keepdim, tt_error *error) {
  if (!tt_arg_is_none(dim) || !keepdim->as.boolean) return TT_OK;
  return tt_fail(error, TT_ERR_ARGUMENT, "%s: keepdim=True goes with 'dim'; without it the result is a scalar", op->name);
}

/* Reductions without a neutral element refuse to reduce nothing; what they keep may be empty. */
static tt_status need_elements(const tt_op *op, const tt_value *args, int i_dim, tt_error *error) {
  const tt_shape *shape = &tt_arg_meta(&args[0])->shape;
  const tt_value *dim = &args[i_dim];
  if (!tt_shape_is_known(shape) || tt_shape_n_elements(shape) > 0) return TT_OK;
  if (is_full_reduction(dim)) {
    return tt_fail(error, TT_ERR_SHAPE,
                   "%s: expected the dimension to reduce to be given for a tensor without elements; pass 'dim'", op->name);
  }
  bool flags[TT_MAX_DIMS];
  TT_TRY(tt_infer_dim_flags(op, dim, shape->n_dims, flags, error));
  for (int d = 0; d < shape->n_dims; d++) {
    if (flags[d] && shape->dims[d] == 0) {
      return tt_fail(error, TT_ERR_INDEX, "%s: expected dimension %d, which is reduced, to have non-zero size", op->name, d);
    }
  }
  return TT_OK;
}

/* ---- kernels' common part ---- */

typedef struct reduce_call {
  tt_tensor *input; /* owned */
  tt_tensor *out;   /* owned */
  tt_reduction reduction;
} reduce_call;

/* Plans the reduction of args[0], converted to *cast_to when given, and makes the output. */
static tt_status reduce_begin(const tt_op *op, const tt_value *args, int i_dim, const tt_dtype *cast_to, bool keep_order,
                              const tt_meta *meta, reduce_call *call, tt_error *error) {
  tt_tensor *self = tt_arg_tensor(&args[0]);
  bool flags[TT_MAX_DIMS];
  TT_TRY(tt_infer_dim_flags(op, &args[i_dim], tt_tensor_n_dims(self), flags, error));
  bool needs_cast = cast_to && *cast_to != tt_tensor_dtype(self);
  tt_tensor *input = needs_cast ? tt_tensor_cast(self, *cast_to, error) : tt_tensor_ref(self);
  if (!input) return TT_ERR_MEMORY;
  tt_tensor *out = tt_tensor_new(meta->dtype, &meta->shape, error);
  if (!out) {
    tt_tensor_unref(input);
    return TT_ERR_MEMORY;
  }
  *call = (reduce_call){.input = input, .out = out, .reduction = tt_reduction_of(input, flags, keep_order)};
  return TT_OK;
}

static tt_status reduce_end(reduce_call *call, tt_tensor **results, size_t *n_results) {
  tt_tensor_unref(call->input);
  results[0] = call->out;
  *n_results = 1;
  return TT_OK;
}

/* ---- gradients' common part ---- */

/* A reduced operand (result or its gradient) with its reduced dimensions back as ones, so that it broadcasts against self. */
static tt_operand *restore_dims(tt_rule *rule, const tt_grad_call *call, tt_operand *reduced, int i_dim, bool keepdim) {
  const tt_value *dim = &call->args[i_dim];
  const tt_operand *self = call->args[0].as.operand;
  if (keepdim || is_full_reduction(dim)) return reduced;
  if (!tt_rule_need_shape(rule, call->op, self)) return NULL;
  bool flags[TT_MAX_DIMS];
  rule->status = tt_infer_dim_flags(call->op, dim, self->meta.shape.n_dims, flags, rule->error);
  if (rule->status != TT_OK) return NULL;
  for (int d = 0; d < self->meta.shape.n_dims; d++) {
    if (flags[d]) reduced = TT_RULE(rule, unsqueeze, tt_operand_value(reduced), tt_int(d));
  }
  return reduced;
}

static tt_operand *expand_to_self(tt_rule *rule, const tt_grad_call *call, tt_operand *restored) {
  return tt_rule_binary(rule, TT_OP_expand_as, restored, call->args[0].as.operand);
}

/* The flags again, now that restored elements stand for several: how many elements of self make one of the result. */
static double n_per_result(tt_rule *rule, const tt_grad_call *call) {
  const tt_operand *self = call->args[0].as.operand, *result = call->results[0];
  if (!tt_rule_need_shape(rule, call->op, self) || !tt_rule_need_shape(rule, call->op, result)) return 1;
  int64_t n_results = tt_shape_n_elements(&result->meta.shape);
  return n_results == 0 ? 1 : (double)tt_shape_n_elements(&self->meta.shape) / (double)n_results;
}

static tt_operand *zero_where(tt_rule *rule, tt_operand *x, tt_operand *condition) {
  return TT_RULE(rule, masked_fill, tt_operand_value(x), tt_operand_value(condition), tt_float(0));
}

/* zeros like self with `grad` put where `indices` say, along args[i_dim]: the gradient of what selects one element a line. */
static tt_operand *put_back(tt_rule *rule, const tt_grad_call *call, int i_dim, bool keepdim, tt_operand *grad,
                            tt_operand *indices) {
  tt_operand *zeros = tt_rule_unary(rule, TT_OP_zeros_like, call->args[0].as.operand);
  tt_operand *at = restore_dims(rule, call, indices, i_dim, keepdim);
  tt_operand *values = restore_dims(rule, call, grad, i_dim, keepdim);
  return TT_RULE(rule, scatter, tt_operand_value(zeros), call->args[i_dim], tt_operand_value(at), tt_operand_value(values));
}

/* The gradient of an extreme value is shared evenly by all elements that reach it. */
static tt_operand *share_evenly(tt_rule *rule, const tt_grad_call *call, int i_dim, bool keepdim) {
  tt_operand *self = call->args[0].as.operand;
  tt_operand *grad = restore_dims(rule, call, call->grads[0], i_dim, keepdim);
  tt_operand *value = restore_dims(rule, call, call->results[0], i_dim, keepdim);
  tt_operand *both_nan =
      tt_rule_binary(rule, TT_OP_logical_and, tt_rule_unary(rule, TT_OP_isnan, self), tt_rule_unary(rule, TT_OP_isnan, value));
  tt_operand *is_equal = tt_rule_binary(rule, TT_OP_logical_or, tt_rule_binary(rule, TT_OP_eq, self, value), both_nan);
  tt_operand *mask = tt_rule_cast(rule, is_equal, self->meta.dtype);
  tt_operand *count = TT_RULE(rule, sum, tt_operand_value(mask), call->args[i_dim], tt_bool(true));
  if (is_full_reduction(&call->args[i_dim])) count = tt_rule_unary(rule, TT_OP_sum, mask);
  return tt_rule_binary(rule, TT_OP_mul, mask, tt_rule_binary(rule, TT_OP_div, grad, count));
}

/* ---- sum, mean ---- */

enum { SUM_DIM = 1, SUM_KEEPDIM, SUM_DTYPE };

/* What sums and products of integers are by default. */
static tt_dtype accumulated_dtype(const tt_meta *self, const tt_value *dtype) {
  if (!tt_arg_is_none(dtype)) return dtype->as.dtype;
  return tt_dtype_is_floating(self->dtype) ? self->dtype : TT_DTYPE_I64;
}

tt_status tt_infer_sum(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta;
  tt_dtype dtype = accumulated_dtype(tt_arg_meta(&args[0]), &args[SUM_DTYPE]);
  TT_TRY(infer_reduced(op, args, SUM_DIM, args[SUM_KEEPDIM].as.boolean, dtype, &meta, error));
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_sum(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                        tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  const tt_dtype *cast_to = tt_arg_is_none(&args[SUM_DTYPE]) ? NULL : &args[SUM_DTYPE].as.dtype;
  reduce_call call;
  TT_TRY(reduce_begin(op, args, SUM_DIM, cast_to, false, &metas[0], &call, error));
  tt_reduce_sum(&call.reduction, 1, metas[0].dtype, tt_tensor_data(call.out));
  return reduce_end(&call, results, n_results);
}

tt_status tt_grad_sum(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *grad = restore_dims(&rule, call, call->grads[0], SUM_DIM, call->args[SUM_KEEPDIM].as.boolean);
  grad = tt_rule_cast(&rule, grad, call->args[0].as.operand->meta.dtype);
  operand_grads[0] = expand_to_self(&rule, call, grad);
  return rule.status;
}

tt_status tt_infer_mean(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  bool is_asked = !tt_arg_is_none(&args[SUM_DTYPE]);
  tt_dtype dtype = is_asked ? args[SUM_DTYPE].as.dtype : self->dtype;
  if (!tt_dtype_is_floating(dtype)) {
    return tt_fail(error, TT_ERR_DTYPE,
                   "mean: could not infer the output dtype; %s must be float32 or float64, not %s; convert the tensor, or pass "
                   "dtype",
                   is_asked ? "the dtype asked for" : "the tensor's dtype", tt_dtype_name(dtype));
  }
  tt_meta meta;
  TT_TRY(infer_reduced(op, args, SUM_DIM, args[SUM_KEEPDIM].as.boolean, dtype, &meta, error));
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_mean(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  reduce_call call;
  TT_TRY(reduce_begin(op, args, SUM_DIM, &metas[0].dtype, false, &metas[0], &call, error));
  tt_reduce_sum(&call.reduction, (double)call.reduction.n_reduced, metas[0].dtype, tt_tensor_data(call.out));
  return reduce_end(&call, results, n_results);
}

tt_status tt_grad_mean(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *grad = restore_dims(&rule, call, call->grads[0], SUM_DIM, call->args[SUM_KEEPDIM].as.boolean);
  grad = tt_rule_scalar(&rule, TT_OP_div, grad, n_per_result(&rule, call));
  grad = tt_rule_cast(&rule, grad, call->args[0].as.operand->meta.dtype);
  operand_grads[0] = expand_to_self(&rule, call, grad);
  return rule.status;
}

/* ---- var, std ---- */

enum { VAR_DIM = 1, VAR_UNBIASED, VAR_KEEPDIM, VAR_CORRECTION };

static double var_correction(const tt_value *args) {
  if (!tt_arg_is_none(&args[VAR_CORRECTION])) return (double)args[VAR_CORRECTION].as.integer;
  return args[VAR_UNBIASED].as.boolean ? 1 : 0;
}

tt_status tt_infer_var(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta;
  TT_TRY(tt_infer_need_floating(op, tt_arg_meta(&args[0])->dtype, error));
  TT_TRY(infer_reduced(op, args, VAR_DIM, args[VAR_KEEPDIM].as.boolean, tt_arg_meta(&args[0])->dtype, &meta, error));
  return tt_infer_one(meta, results, n_results);
}

static tt_status run_var(const tt_op *op, const tt_value *args, const tt_meta *metas, bool take_sqrt, tt_tensor **results,
                         size_t *n_results, tt_error *error) {
  reduce_call call;
  TT_TRY(reduce_begin(op, args, VAR_DIM, NULL, false, &metas[0], &call, error));
  tt_reduce_var(&call.reduction, var_correction(args), take_sqrt, tt_tensor_data(call.out));
  return reduce_end(&call, results, n_results);
}

tt_status tt_kernel_var(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                        tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_var(op, args, metas, false, results, n_results, error);
}

tt_status tt_kernel_std(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                        tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_var(op, args, metas, true, results, n_results, error);
}

/* grad * 2 (x - mean) / (n - correction); `grad` is that of the variance. */
static tt_operand *var_gradient(tt_rule *rule, const tt_grad_call *call, tt_operand *grad) {
  tt_operand *self = call->args[0].as.operand;
  bool keepdim = call->args[VAR_KEEPDIM].as.boolean;
  double divisor = n_per_result(rule, call) - var_correction(call->args);
  tt_operand *scaled = tt_rule_scalar(rule, TT_OP_mul, restore_dims(rule, call, grad, VAR_DIM, keepdim), 2 / divisor);
  tt_operand *mean = is_full_reduction(&call->args[VAR_DIM])
                         ? tt_rule_unary(rule, TT_OP_mean, self)
                         : TT_RULE(rule, mean, tt_operand_value(self), call->args[VAR_DIM], tt_bool(true));
  return tt_rule_binary(rule, TT_OP_mul, tt_rule_binary(rule, TT_OP_sub, self, mean), scaled);
}

tt_status tt_grad_var(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  operand_grads[0] = var_gradient(&rule, call, call->grads[0]);
  return rule.status;
}

/* Where the deviation is 0 there is no slope; 0 is PyTorch's choice. */
tt_status tt_grad_std(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *result = call->results[0];
  tt_operand *of_variance = tt_rule_binary(&rule, TT_OP_div, call->grads[0], tt_rule_scalar(&rule, TT_OP_mul, result, 2));
  of_variance = zero_where(&rule, of_variance, tt_rule_scalar(&rule, TT_OP_eq, result, 0));
  operand_grads[0] = var_gradient(&rule, call, of_variance);
  return rule.status;
}

/* ---- prod ---- */

enum { PROD_DIM = 1, PROD_KEEPDIM, PROD_DTYPE };

tt_status tt_infer_prod(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta;
  TT_TRY(refuse_keepdim_alone(op, &args[PROD_DIM], &args[PROD_KEEPDIM], error));
  tt_dtype dtype = accumulated_dtype(tt_arg_meta(&args[0]), &args[PROD_DTYPE]);
  TT_TRY(infer_reduced(op, args, PROD_DIM, args[PROD_KEEPDIM].as.boolean, dtype, &meta, error));
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_prod(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  const tt_dtype *cast_to = tt_arg_is_none(&args[PROD_DTYPE]) ? NULL : &args[PROD_DTYPE].as.dtype;
  reduce_call call;
  TT_TRY(reduce_begin(op, args, PROD_DIM, cast_to, false, &metas[0], &call, error));
  tt_reduce_prod(&call.reduction, metas[0].dtype, tt_tensor_data(call.out));
  return reduce_end(&call, results, n_results);
}

/* At every element the product of those before it along `dim`. */
static tt_operand *product_before(tt_rule *rule, tt_operand *x, int64_t dim, int64_t n) {
  tt_operand *first = TT_RULE(rule, narrow, tt_operand_value(x), tt_int(dim), tt_int(0), tt_int(1));
  tt_operand *others = TT_RULE(rule, narrow, tt_operand_value(x), tt_int(dim), tt_int(0), tt_int(n - 1));
  tt_operand *parts[2] = {tt_rule_unary(rule, TT_OP_ones_like, first),
                          TT_RULE(rule, cumprod, tt_operand_value(others), tt_int(dim))};
  return TT_RULE(rule, cat, tt_operands_value(parts, 2), tt_int(dim));
}

static tt_operand *flip_along(tt_rule *rule, tt_operand *x, int64_t dim) {
  return TT_RULE(rule, flip, tt_operand_value(x), tt_ints(&dim, 1));
}

/* The product of all others is that of those before times that of those behind: no division, so zeros are no special case. */
tt_status tt_grad_prod(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *self = call->args[0].as.operand;
  if (!tt_rule_need_shape(&rule, call->op, self)) return rule.status;
  const tt_shape *shape = &self->meta.shape;
  tt_operand *grad = tt_rule_cast(&rule, call->grads[0], self->meta.dtype);
  if (tt_shape_n_elements(shape) == 0 || shape->n_dims == 0) {
    operand_grads[0] =
        expand_to_self(&rule, call, restore_dims(&rule, call, grad, PROD_DIM, call->args[PROD_KEEPDIM].as.boolean));
    return rule.status;
  }
  int dim = 0;
  tt_operand *x = self;
  if (tt_arg_is_none(&call->args[PROD_DIM])) {
    int64_t flat = -1;
    x = TT_RULE(&rule, reshape, tt_operand_value(self), tt_ints(&flat, 1));
    grad = TT_RULE(&rule, reshape, tt_operand_value(grad), tt_ints(&flat, 1));
  } else {
    TT_TRY(tt_shape_wrap_dim(call->op->name, call->args[PROD_DIM].as.integer, shape->n_dims, &dim, error));
    grad = restore_dims(&rule, call, grad, PROD_DIM, call->args[PROD_KEEPDIM].as.boolean);
  }
  if (rule.status != TT_OK) return rule.status;
  int64_t n = x->meta.shape.dims[dim];
  tt_operand *before = product_before(&rule, x, dim, n);
  tt_operand *behind = flip_along(&rule, product_before(&rule, flip_along(&rule, x, dim), dim, n), dim);
  tt_operand *others = tt_rule_binary(&rule, TT_OP_mul, before, behind);
  tt_operand *of_x = tt_rule_binary(&rule, TT_OP_mul, others, grad);
  operand_grads[0] = TT_RULE(&rule, reshape, tt_operand_value(of_x), tt_ints(shape->dims, (uint32_t)shape->n_dims));
  return rule.status;
}

/* ---- extremes ---- */

enum { EXTREME_DIM = 1, EXTREME_KEEPDIM };

/* One result over all elements; values and indices over one dimension. */
tt_status tt_infer_extreme(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  TT_TRY(refuse_keepdim_alone(op, &args[EXTREME_DIM], &args[EXTREME_KEEPDIM], error));
  TT_TRY(need_elements(op, args, EXTREME_DIM, error));
  tt_meta meta;
  bool is_full = tt_arg_is_none(&args[EXTREME_DIM]);
  TT_TRY(infer_reduced(op, args, EXTREME_DIM, args[EXTREME_KEEPDIM].as.boolean, tt_arg_meta(&args[0])->dtype, &meta, error));
  results[0] = results[1] = meta;
  results[1].dtype = TT_DTYPE_I64;
  *n_results = is_full ? 1 : 2;
  return TT_OK;
}

static tt_status run_extreme(const tt_op *op, const tt_value *args, const tt_meta *metas, bool largest, tt_tensor **results,
                             size_t *n_results, tt_error *error) {
  bool is_full = tt_arg_is_none(&args[EXTREME_DIM]);
  tt_tensor *indices = NULL;
  if (!is_full) {
    indices = tt_tensor_new(TT_DTYPE_I64, &metas[1].shape, error);
    if (!indices) return TT_ERR_MEMORY;
  }
  reduce_call call;
  tt_status status = reduce_begin(op, args, EXTREME_DIM, NULL, !is_full, &metas[0], &call, error);
  if (status != TT_OK) {
    tt_tensor_unref(indices);
    return status;
  }
  tt_reduce_extreme(&call.reduction, largest, tt_tensor_data(call.out), indices ? tt_tensor_data(indices) : NULL);
  reduce_end(&call, results, n_results);
  if (indices) results[(*n_results)++] = indices;
  return TT_OK;
}

tt_status tt_kernel_max(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                        tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_extreme(op, args, metas, true, results, n_results, error);
}

tt_status tt_kernel_min(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                        tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_extreme(op, args, metas, false, results, n_results, error);
}

tt_status tt_grad_extreme(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  if (!call->grads[0]) return TT_OK;
  tt_rule rule = tt_rule_begin(context, error);
  if (tt_arg_is_none(&call->args[EXTREME_DIM])) {
    operand_grads[0] = share_evenly(&rule, call, EXTREME_DIM, false);
  } else {
    operand_grads[0] =
        put_back(&rule, call, EXTREME_DIM, call->args[EXTREME_KEEPDIM].as.boolean, call->grads[0], call->results[1]);
  }
  return rule.status;
}

/* amax, amin: over several dimensions, values alone. */
tt_status tt_infer_amax(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  TT_TRY(need_elements(op, args, EXTREME_DIM, error));
  tt_meta meta;
  TT_TRY(infer_reduced(op, args, EXTREME_DIM, args[EXTREME_KEEPDIM].as.boolean, tt_arg_meta(&args[0])->dtype, &meta, error));
  return tt_infer_one(meta, results, n_results);
}

static tt_status run_amax(const tt_op *op, const tt_value *args, const tt_meta *metas, bool largest, tt_tensor **results,
                          size_t *n_results, tt_error *error) {
  reduce_call call;
  TT_TRY(reduce_begin(op, args, EXTREME_DIM, NULL, false, &metas[0], &call, error));
  tt_reduce_extreme(&call.reduction, largest, tt_tensor_data(call.out), NULL);
  return reduce_end(&call, results, n_results);
}

tt_status tt_kernel_amax(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_amax(op, args, metas, true, results, n_results, error);
}

tt_status tt_kernel_amin(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_amax(op, args, metas, false, results, n_results, error);
}

tt_status tt_grad_amax(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  operand_grads[0] = share_evenly(&rule, call, EXTREME_DIM, call->args[EXTREME_KEEPDIM].as.boolean);
  return rule.status;
}

tt_status tt_infer_argmax(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  if (tt_arg_meta(&args[0])->dtype == TT_DTYPE_BOOL) {
    return tt_fail(error, TT_ERR_DTYPE, "%s does not take bool; convert the tensor first", op->name);
  }
  TT_TRY(need_elements(op, args, EXTREME_DIM, error));
  tt_meta meta;
  TT_TRY(infer_reduced(op, args, EXTREME_DIM, args[EXTREME_KEEPDIM].as.boolean, TT_DTYPE_I64, &meta, error));
  return tt_infer_one(meta, results, n_results);
}

static tt_status run_argmax(const tt_op *op, const tt_value *args, const tt_meta *metas, bool largest, tt_tensor **results,
                            size_t *n_results, tt_error *error) {
  reduce_call call;
  TT_TRY(reduce_begin(op, args, EXTREME_DIM, NULL, true, &metas[0], &call, error));
  tt_reduce_extreme(&call.reduction, largest, NULL, tt_tensor_data(call.out));
  return reduce_end(&call, results, n_results);
}

tt_status tt_kernel_argmax(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_argmax(op, args, metas, true, results, n_results, error);
}

tt_status tt_kernel_argmin(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_argmax(op, args, metas, false, results, n_results, error);
}

/* ---- median ---- */

tt_status tt_infer_median(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  if (self->dtype == TT_DTYPE_BOOL) {
    return tt_fail(error, TT_ERR_DTYPE, "median does not take bool; convert the tensor first");
  }
  TT_TRY(refuse_keepdim_alone(op, &args[EXTREME_DIM], &args[EXTREME_KEEPDIM], error));
  /* PyTorch's median of nothing at all is NaN, whatever that comes to in the dtype. */
  bool is_full = tt_arg_is_none(&args[EXTREME_DIM]);
  if (!is_full) TT_TRY(need_elements(op, args, EXTREME_DIM, error));
  tt_meta meta;
  TT_TRY(infer_reduced(op, args, EXTREME_DIM, args[EXTREME_KEEPDIM].as.boolean, self->dtype, &meta, error));
  results[0] = results[1] = meta;
  results[1].dtype = TT_DTYPE_I64;
  *n_results = is_full ? 1 : 2;
  return TT_OK;
}

static tt_tensor *flattened(tt_tensor *self, tt_error *error) {
  tt_tensor *dense = tt_tensor_contiguous(self, error);
  if (!dense) return NULL;
  tt_shape shape = {.n_dims = 1, .dims = {tt_tensor_n_elements(self)}};
  int64_t stride = 1;
  tt_tensor *flat = tt_tensor_view(dense, &shape, &stride, dense->offset, error);
  tt_tensor_unref(dense);
  return flat;
}

tt_status tt_kernel_median(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  tt_tensor *self = tt_arg_tensor(&args[0]);
  bool is_full = tt_arg_is_none(&args[EXTREME_DIM]);
  int dim = 0;
  if (!is_full) TT_TRY(tt_shape_wrap_dim(op->name, args[EXTREME_DIM].as.integer, tt_tensor_n_dims(self), &dim, error));
  tt_tensor *input = is_full ? flattened(self, error) : tt_tensor_ref(self);
  tt_tensor *values = tt_tensor_new(metas[0].dtype, &metas[0].shape, error);
  tt_tensor *indices = is_full ? NULL : tt_tensor_new(TT_DTYPE_I64, &metas[1].shape, error);
  tt_status status = TT_ERR_MEMORY;
  if (!input || !values || (!is_full && !indices)) goto failed;
  if (is_full && tt_tensor_n_elements(input) == 0) {
    tt_shape scalar = {.n_dims = 0};
    double nan = NAN;
    tt_tensor *answer = tt_tensor_from_bytes(TT_DTYPE_F64, &scalar, &nan, error);
    status = answer ? tt_tensor_copy(values, answer, error) : TT_ERR_MEMORY;
    tt_tensor_unref(answer);
  } else {
    status = tt_sort_median(input, dim, values, indices, error);
  }
  if (status != TT_OK) goto failed;
  tt_tensor_unref(input);
  results[0] = values;
  *n_results = 1;
  if (indices) results[(*n_results)++] = indices;
  return TT_OK;

failed:
  tt_tensor_unref(input);
  tt_tensor_unref(values);
  tt_tensor_unref(indices);
  return status;
}

/* ---- any, all, count_nonzero ---- */

tt_status tt_infer_any(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_dtype self = tt_arg_meta(&args[0])->dtype;
  TT_TRY(refuse_keepdim_alone(op, &args[EXTREME_DIM], &args[EXTREME_KEEPDIM], error));
  tt_meta meta;
  TT_TRY(infer_reduced(op, args, EXTREME_DIM, args[EXTREME_KEEPDIM].as.boolean,
                       self == TT_DTYPE_U8 ? TT_DTYPE_U8 : TT_DTYPE_BOOL, &meta, error));
  return tt_infer_one(meta, results, n_results);
}

/* Counts what is not zero of every output, then asks whether that is some, or all. */
static tt_status run_any(const tt_op *op, const tt_value *args, const tt_meta *metas, bool is_all, tt_tensor **results,
                         size_t *n_results, tt_error *error) {
  reduce_call call;
  tt_tensor *counts = tt_tensor_new(TT_DTYPE_I64, &metas[0].shape, error);
  if (!counts) return TT_ERR_MEMORY;
  tt_status status = reduce_begin(op, args, EXTREME_DIM, NULL, false, &metas[0], &call, error);
  if (status != TT_OK) {
    tt_tensor_unref(counts);
    return status;
  }
  tt_reduce_count_nonzero(&call.reduction, tt_tensor_data(counts));
  const int64_t *count = tt_tensor_data(counts);
  uint8_t *out = tt_tensor_data(call.out);
  for (int64_t i = 0; i < call.reduction.n_outputs; i++) out[i] = is_all ? count[i] == call.reduction.n_reduced : count[i] > 0;
  tt_tensor_unref(counts);
  return reduce_end(&call, results, n_results);
}

tt_status tt_kernel_any(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                        tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_any(op, args, metas, false, results, n_results, error);
}

tt_status tt_kernel_all(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                        tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_any(op, args, metas, true, results, n_results, error);
}

tt_status tt_infer_count_nonzero(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta;
  TT_TRY(infer_reduced(op, args, 1, false, TT_DTYPE_I64, &meta, error));
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_count_nonzero(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                                  tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  reduce_call call;
  TT_TRY(reduce_begin(op, args, 1, NULL, false, &metas[0], &call, error));
  tt_reduce_count_nonzero(&call.reduction, tt_tensor_data(call.out));
  return reduce_end(&call, results, n_results);
}

/* ---- norm ---- */

enum { NORM_P = 1, NORM_DIM, NORM_KEEPDIM, NORM_DTYPE };

static double norm_p(const tt_value *args) {
  const tt_value *p = &args[NORM_P];
  if (p->type == TT_VALUE_NONE) return 2;
  return p->type == TT_VALUE_INT ? (double)p->as.integer : p->type == TT_VALUE_BOOL ? p->as.boolean : p->as.real;
}

tt_status tt_infer_norm(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  bool is_asked = !tt_arg_is_none(&args[NORM_DTYPE]);
  tt_dtype dtype = is_asked ? args[NORM_DTYPE].as.dtype : tt_arg_meta(&args[0])->dtype;
  TT_TRY(tt_infer_need_floating(op, dtype, error));
  tt_meta meta;
  TT_TRY(infer_reduced(op, args, NORM_DIM, args[NORM_KEEPDIM].as.boolean, dtype, &meta, error));
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_norm(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  reduce_call call;
  TT_TRY(reduce_begin(op, args, NORM_DIM, &metas[0].dtype, false, &metas[0], &call, error));
  tt_reduce_norm(&call.reduction, norm_p(args), tt_tensor_data(call.out));
  return reduce_end(&call, results, n_results);
}

/* sgn(x) |x|^(p-1) norm^(1-p), and 0 where x or the norm is 0. */
tt_status tt_grad_norm(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  double p = norm_p(call->args);
  bool keepdim = call->args[NORM_KEEPDIM].as.boolean;
  if (p == 0) return TT_OK;
  tt_operand *self = call->args[0].as.operand;
  tt_dtype dtype = call->results[0]->meta.dtype;
  tt_operand *x = tt_rule_cast(&rule, self, dtype);
  tt_operand *grad = restore_dims(&rule, call, call->grads[0], NORM_DIM, keepdim);
  tt_operand *norm = restore_dims(&rule, call, call->results[0], NORM_DIM, keepdim);
  tt_operand *size = tt_rule_unary(&rule, TT_OP_abs, x);
  tt_operand *sign = tt_rule_unary(&rule, TT_OP_sign, x);
  tt_operand *slope;
  if (isinf(p)) {
    tt_operand *mask = tt_rule_cast(&rule, tt_rule_binary(&rule, TT_OP_eq, size, norm), dtype);
    tt_operand *count = is_full_reduction(&call->args[NORM_DIM])
                            ? tt_rule_unary(&rule, TT_OP_sum, mask)
                            : TT_RULE(&rule, sum, tt_operand_value(mask), call->args[NORM_DIM], tt_bool(true));
    slope = tt_rule_binary(&rule, TT_OP_div, tt_rule_binary(&rule, TT_OP_mul, sign, mask), count);
  } else if (p == 1) {
    slope = sign;
  } else {
    tt_operand *power = tt_rule_scalar(&rule, TT_OP_pow, size, p - 1);
    power = zero_where(&rule, power, tt_rule_scalar(&rule, TT_OP_eq, size, 0));
    tt_operand *scale = tt_rule_scalar(&rule, TT_OP_pow, norm, 1 - p);
    scale = zero_where(&rule, scale, tt_rule_scalar(&rule, TT_OP_eq, norm, 0));
    slope = tt_rule_binary(&rule, TT_OP_mul, tt_rule_binary(&rule, TT_OP_mul, sign, power), scale);
  }
  operand_grads[0] = tt_rule_cast(&rule, tt_rule_binary(&rule, TT_OP_mul, slope, grad), self->meta.dtype);
  return rule.status;
}

/* ---- logsumexp ---- */

tt_status tt_infer_logsumexp(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_dtype self = tt_arg_meta(&args[0])->dtype;
  tt_meta meta;
  TT_TRY(infer_reduced(op, args, 1, args[2].as.boolean, tt_dtype_is_floating(self) ? self : TT_DTYPE_F32, &meta, error));
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_logsumexp(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                              tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  reduce_call call;
  TT_TRY(reduce_begin(op, args, 1, &metas[0].dtype, false, &metas[0], &call, error));
  tt_reduce_logsumexp(&call.reduction, tt_tensor_data(call.out));
  return reduce_end(&call, results, n_results);
}

tt_status tt_grad_logsumexp(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *self = call->args[0].as.operand;
  tt_operand *grad = restore_dims(&rule, call, call->grads[0], 1, call->args[2].as.boolean);
  tt_operand *result = restore_dims(&rule, call, call->results[0], 1, call->args[2].as.boolean);
  tt_operand *share = tt_rule_unary(&rule, TT_OP_exp, tt_rule_binary(&rule, TT_OP_sub, self, result));
  operand_grads[0] = tt_rule_binary(&rule, TT_OP_mul, share, grad);
  return rule.status;
}

/* ---- cumsum, cumprod ---- */

tt_status tt_infer_cumsum(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta = *tt_arg_meta(&args[0]);
  if (tt_shape_is_known(&meta.shape)) {
    int dim;
    TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, meta.shape.n_dims, &dim, error));
  }
  meta.dtype = accumulated_dtype(&meta, &args[2]);
  return tt_infer_one(meta, results, n_results);
}

static tt_status run_cumsum(const tt_op *op, const tt_value *args, const tt_meta *metas, void (*scan)(const tt_scan *scan),
                            tt_tensor **results, size_t *n_results, tt_error *error) {
  const tt_shape *shape = &metas[0].shape;
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, shape->n_dims, &dim, error));
  /* PyTorch sums no bools into bools, but lets pass what needs no sum. */
  if (metas[0].dtype == TT_DTYPE_BOOL && shape->n_dims > 0 && tt_shape_n_elements(shape) > 0) {
    return tt_fail(error, TT_ERR_DTYPE, "%s does not answer bool; ask for another dtype", op->name);
  }
  tt_tensor *cast = tt_tensor_cast(tt_arg_tensor(&args[0]), metas[0].dtype, error);
  if (!cast) return TT_ERR_MEMORY;
  tt_tensor *input = tt_tensor_contiguous(cast, error);
  tt_tensor_unref(cast);
  if (!input) return TT_ERR_MEMORY;
  tt_tensor *out = tt_tensor_new(metas[0].dtype, shape, error);
  if (!out) {
    tt_tensor_unref(input);
    return TT_ERR_MEMORY;
  }
  tt_scan plan = {.dtype = metas[0].dtype,
                  .outer = 1,
                  .n = shape->n_dims == 0 ? 1 : shape->dims[dim],
                  .inner = 1,
                  .input = tt_tensor_data(input),
                  .output = tt_tensor_data(out)};
  for (int d = 0; d < shape->n_dims; d++) {
    if (d < dim) plan.outer *= shape->dims[d];
    if (d > dim) plan.inner *= shape->dims[d];
  }
  if (metas[0].dtype != TT_DTYPE_BOOL) {
    scan(&plan);
  } else if (tt_shape_n_elements(shape) > 0) {
    *(uint8_t *)plan.output = *(const uint8_t *)plan.input;
  }
  tt_tensor_unref(input);
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}

tt_status tt_kernel_cumsum(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_cumsum(op, args, metas, tt_scan_sum, results, n_results, error);
}

tt_status tt_kernel_cumprod(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                            tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_cumsum(op, args, metas, tt_scan_prod, results, n_results, error);
}

/* At every element the sum of itself and those behind it. */
static tt_operand *sum_behind(tt_rule *rule, tt_operand *x, int64_t dim) {
  tt_operand *summed = TT_RULE(rule, cumsum, tt_operand_value(flip_along(rule, x, dim)), tt_int(dim));
  return flip_along(rule, summed, dim);
}

tt_status tt_grad_cumsum(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *grad = tt_rule_cast(&rule, call->grads[0], call->args[0].as.operand->meta.dtype);
  operand_grads[0] = sum_behind(&rule, grad, call->args[1].as.integer);
  return rule.status;
}

/*
 * Away from zeros: the sum of grad * result behind, divided by x. At the first zero of a line: the same without the
 * division, the products taken as if that zero were a one. Behind it nothing has a slope.
 */
tt_status tt_grad_cumprod(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  int64_t dim = call->args[1].as.integer;
  tt_dtype dtype = call->args[0].as.operand->meta.dtype;
  tt_operand *x = call->args[0].as.operand;
  tt_operand *grad = tt_rule_cast(&rule, call->grads[0], dtype);
  tt_operand *is_zero = tt_rule_scalar(&rule, TT_OP_eq, x, 0);
  tt_operand *n_zeros = TT_RULE(&rule, cumsum, tt_operand_value(is_zero), tt_int(dim));
  tt_operand *is_first =
      tt_rule_binary(&rule, TT_OP_logical_and, is_zero, TT_RULE(&rule, eq, tt_operand_value(n_zeros), tt_int(1)));
  tt_operand *without_zeros = TT_RULE(&rule, masked_fill, tt_operand_value(x), tt_operand_value(is_zero), tt_float(1));
  tt_operand *without_first = TT_RULE(&rule, masked_fill, tt_operand_value(x), tt_operand_value(is_first), tt_float(1));
  tt_operand *product = TT_RULE(&rule, cumprod, tt_operand_value(x), tt_int(dim));
  tt_operand *product_without = TT_RULE(&rule, cumprod, tt_operand_value(without_first), tt_int(dim));
  tt_operand *plain =
      tt_rule_binary(&rule, TT_OP_div, sum_behind(&rule, tt_rule_binary(&rule, TT_OP_mul, grad, product), dim), without_zeros);
  tt_operand *at_first = sum_behind(&rule, tt_rule_binary(&rule, TT_OP_mul, grad, product_without), dim);
  operand_grads[0] = tt_rule_binary(&rule, TT_OP_add, zero_where(&rule, plain, is_zero),
                                    zero_where(&rule, at_first, tt_rule_unary(&rule, TT_OP_logical_not, is_first)));
  return rule.status;
}
