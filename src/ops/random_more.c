/*
 * random_more: draws from further distributions, in place of self's elements or by chances that a tensor names.
 *
 * As in random.c a `seed` fixes the numbers on every build, and elements are drawn in row-major order.
 */
#include <inttypes.h>
#include <math.h>

#include "base/random.h"
#include "ops/define.h"
#include "ops/infer_common.h"
#include "ops/rows.h"
#include "ops/view_common.h"
#include "tensor/convert.h"

static tt_generator *source(const tt_value *seed, tt_kernel_context *context, tt_generator *own) {
  if (tt_arg_is_none(seed)) return context->generator;
  tt_generator_init(own, (uint64_t)seed->as.integer);
  return own;
}

/* In (0, 1]: its logarithm is finite. */
static double draw_open(tt_generator *generator) { return 1 - tt_generator_uniform_f64(generator); }

/* Fills a tensor of the meta, then self when the call is in place. */
typedef double draw_fn(tt_generator *generator, const double *numbers);

static tt_status fill(draw_fn *fn, const double *numbers, const tt_value *seed, tt_kernel_context *context, const tt_meta *meta,
                      tt_tensor **results, size_t *n_results, tt_error *error) {
  tt_tensor *drawn = tt_tensor_new(TT_DTYPE_F64, &meta->shape, error);
  if (drawn == NULL) return TT_ERR_MEMORY;
  tt_generator own;
  tt_generator *generator = source(seed, context, &own);
  double *at = tt_tensor_data(drawn);
  for (int64_t i = 0; i < tt_tensor_n_elements(drawn); i++) at[i] = fn(generator, numbers);
  tt_status status = tt_tensor_copy(context->out, drawn, error);
  tt_tensor_unref(drawn);
  if (status != TT_OK) return status;
  return tt_answer_tensor(tt_tensor_ref(context->out), results, n_results);
}

static tt_status floating_self(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  TT_TRY(tt_infer_need_floating(op, tt_arg_meta(&args[0])->dtype, error));
  return tt_infer_one(*tt_arg_meta(&args[0]), results, n_results);
}

static tt_status need(const tt_op *op, bool is_right, const char *what, double number, tt_error *error) {
  if (is_right) return TT_OK;
  return tt_fail(error, TT_ERR_ARGUMENT, "%s: %s, and it is %g", op->name, what, number);
}

/* bernoulli_(self, p): 1 with the chance p. */
INFER(bernoulli_into) {
  double p = args[1].as.real;
  TT_TRY(need(op, p >= 0 && p <= 1, "p must be from 0 to 1", p, error));
  return tt_infer_one(*tt_arg_meta(&args[0]), results, n_results);
}

static double draw_bernoulli(tt_generator *generator, const double *numbers) {
  return tt_generator_uniform_f64(generator) < numbers[0];
}

KERNEL(bernoulli_into) {
  (void)op;
  return fill(draw_bernoulli, &args[1].as.real, &args[2], context, &metas[0], results, n_results, error);
}

/* exponential_(self, lambd) */
INFER(exponential) {
  TT_TRY(need(op, args[1].as.real > 0, "lambd must be above 0", args[1].as.real, error));
  return floating_self(op, args, results, n_results, error);
}

static double draw_exponential(tt_generator *generator, const double *numbers) {
  return -log(draw_open(generator)) / numbers[0];
}

KERNEL(exponential) {
  (void)op;
  return fill(draw_exponential, &args[1].as.real, &args[2], context, &metas[0], results, n_results, error);
}

/* geometric_(self, p): the number of trials up to the first that succeeds. */
INFER(geometric) {
  double p = args[1].as.real;
  TT_TRY(need(op, p > 0 && p < 1, "p must be between 0 and 1", p, error));
  return tt_infer_one(*tt_arg_meta(&args[0]), results, n_results);
}

static double draw_geometric(tt_generator *generator, const double *numbers) {
  double trials = ceil(log(draw_open(generator)) / log1p(-numbers[0]));
  return trials < 1 ? 1 : trials;
}

KERNEL(geometric) {
  (void)op;
  return fill(draw_geometric, &args[1].as.real, &args[2], context, &metas[0], results, n_results, error);
}

/* cauchy_(self, median, sigma) */
INFER(cauchy) {
  TT_TRY(need(op, args[2].as.real > 0, "sigma must be above 0", args[2].as.real, error));
  return floating_self(op, args, results, n_results, error);
}

static double draw_cauchy(tt_generator *generator, const double *numbers) {
  return numbers[0] + numbers[1] * tan(3.14159265358979323846 * (tt_generator_uniform_f64(generator) - 0.5));
}

KERNEL(cauchy) {
  (void)op;
  double numbers[] = {args[1].as.real, args[2].as.real};
  return fill(draw_cauchy, numbers, &args[3], context, &metas[0], results, n_results, error);
}

/* log_normal_(self, mean, std): of the normal distribution that its logarithm has. */
INFER(log_normal) {
  TT_TRY(need(op, args[2].as.real > 0, "std must be above 0", args[2].as.real, error));
  return floating_self(op, args, results, n_results, error);
}

static double draw_log_normal(tt_generator *generator, const double *numbers) {
  return exp(numbers[0] + numbers[1] * tt_generator_normal(generator));
}

KERNEL(log_normal) {
  (void)op;
  double numbers[] = {args[1].as.real, args[2].as.real};
  return fill(draw_log_normal, numbers, &args[3], context, &metas[0], results, n_results, error);
}

/* random_(self, from, to): integers from `from` to `to` - 1. */
INFER(random) {
  if (args[1].as.integer >= args[2].as.integer) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: 'from' must be below 'to', but they are %" PRId64 " and %" PRId64, op->name,
                   args[1].as.integer, args[2].as.integer);
  }
  return tt_infer_one(*tt_arg_meta(&args[0]), results, n_results);
}

KERNEL(random) {
  (void)op;
  tt_tensor *drawn = tt_tensor_new(TT_DTYPE_I64, &metas[0].shape, error);
  if (drawn == NULL) return TT_ERR_MEMORY;
  tt_generator own;
  tt_generator *generator = source(&args[3], context, &own);
  uint64_t from = (uint64_t)args[1].as.integer, n_values = (uint64_t)args[2].as.integer - from;
  int64_t *at = tt_tensor_data(drawn);
  for (int64_t i = 0; i < tt_tensor_n_elements(drawn); i++)
    at[i] = (int64_t)(from + (uint64_t)tt_generator_below(generator, n_values));
  tt_status status = tt_tensor_copy(context->out, drawn, error);
  tt_tensor_unref(drawn);
  if (status != TT_OK) return status;
  return tt_answer_tensor(tt_tensor_ref(context->out), results, n_results);
}

/* ---- multinomial: places of a vector (or of each row of a matrix) by chances in proportion to its elements ---- */

INFER(multinomial) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  int64_t n = args[1].as.integer;
  TT_TRY(tt_infer_need_floating(op, self->dtype, error));
  if (n < 1) return tt_fail(error, TT_ERR_ARGUMENT, "%s: num_samples must be above 0, and is %" PRId64, op->name, n);
  tt_meta meta = {.dtype = TT_DTYPE_I64, .shape = self->shape};
  if (tt_shape_is_known(&self->shape)) {
    if (self->shape.n_dims < 1 || self->shape.n_dims > 2) {
      return tt_fail(error, TT_ERR_SHAPE, "%s takes a vector or a matrix, not a tensor of %d dimensions", op->name,
                     self->shape.n_dims);
    }
    int64_t n_places = self->shape.dims[self->shape.n_dims - 1];
    if (n_places == 0 || (!args[2].as.boolean && n > n_places)) {
      return tt_fail(error, TT_ERR_ARGUMENT, "%s: %" PRId64 " samples cannot be drawn from %" PRId64 " places%s", op->name, n,
                     n_places, args[2].as.boolean ? "" : " without replacement");
    }
    meta.shape.dims[self->shape.n_dims - 1] = n;
    TT_TRY(tt_shape_make(meta.shape.dims, (size_t)meta.shape.n_dims, &meta.shape, error));
  }
  return tt_infer_one(meta, results, n_results);
}

/* Draws n places; a place that may not come again loses its weight. False when the weights are none, or too few are above 0. */
static bool draw_places(tt_generator *generator, double *weights, int64_t n_places, int64_t n, bool may_repeat,
                        int64_t *places) {
  for (int64_t i = 0; i < n; i++) {
    double sum = 0;
    for (int64_t k = 0; k < n_places; k++) {
      if (!(weights[k] >= 0 && isfinite(weights[k]))) return false;
      sum += weights[k];
    }
    if (!(sum > 0)) return false;
    double left = tt_generator_uniform_f64(generator) * sum;
    int64_t at = 0, last = 0;
    for (at = 0; at < n_places; at++) {
      if (weights[at] == 0) continue;
      last = at;
      left -= weights[at];
      if (left < 0) break;
    }
    places[i] = at < n_places ? at : last; /* rounding may leave a rest behind the last */
    if (!may_repeat) weights[places[i]] = 0;
  }
  return true;
}

KERNEL(multinomial) {
  tt_tensor *weights = tt_tensor_cast(tt_arg_tensor(&args[0]), TT_DTYPE_F64, error);
  tt_tensor *out = weights ? tt_tensor_new(TT_DTYPE_I64, &metas[0].shape, error) : NULL;
  tt_status status = out ? TT_OK : TT_ERR_MEMORY;
  if (status == TT_OK) {
    tt_generator own;
    tt_generator *generator = source(&args[3], context, &own);
    const tt_shape *shape = tt_tensor_shape(weights);
    int64_t n_places = shape->dims[shape->n_dims - 1], n = args[1].as.integer,
            n_lines = shape->n_dims == 2 ? shape->dims[0] : 1;
    for (int64_t line = 0; line < n_lines && status == TT_OK; line++) {
      double *weight = (double *)tt_tensor_data(weights) + line * n_places;
      if (draw_places(generator, weight, n_places, n, args[2].as.boolean, (int64_t *)tt_tensor_data(out) + line * n)) continue;
      status = tt_fail(error, TT_ERR_ARGUMENT,
                       "%s: the chances of row %" PRId64 " must be finite, none below 0 and enough above it", op->name, line);
    }
  }
  tt_tensor_unref(weights);
  if (status == TT_OK) return tt_answer_tensor(out, results, n_results);
  tt_tensor_unref(out);
  return status;
}
