/*
 * random: seeded draws. With a `seed` the numbers are fixed, on every build; without one they come from the call's generator.
 *
 * Elements are drawn in row-major order whatever the strides of the tensor they are written to.
 */
#include "base/random.h"

#include <inttypes.h>
#include <math.h>

#include "ops/define.h"
#include "ops/infer_common.h"
#include "ops/promote.h"
#include "ops/rows.h"
#include "tensor/convert.h"

enum { BLOCK = 256 };

static tt_status sized(const tt_op *op, const int64_t *dims, size_t n_dims, const tt_value *dtype, tt_dtype otherwise,
                       tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta = {.dtype = tt_arg_is_none(dtype) ? otherwise : dtype->as.dtype};
  tt_status status = tt_shape_make(dims, n_dims, &meta.shape, error);
  if (status == TT_OK) return tt_infer_one(meta, results, n_results);
  tt_error_prefix(error, "%s", op->name);
  return status;
}

/* rand, randn */
INFER(rand) {
  TT_TRY(sized(op, args[0].as.ints, args[0].n, &args[2], TT_DTYPE_F32, results, n_results, error));
  return tt_infer_need_floating(op, results[0].dtype, error);
}

INFER(rand_like) {
  tt_meta meta = *tt_arg_meta(&args[0]);
  if (!tt_arg_is_none(&args[2])) meta.dtype = args[2].as.dtype;
  TT_TRY(tt_infer_need_floating(op, meta.dtype, error));
  return tt_infer_one(meta, results, n_results);
}

/* The largest whole number n such that all below it are elements of the dtype. */
static double whole_limit(tt_dtype dtype) {
  static const double limits[TT_N_DTYPES] = {
      [TT_DTYPE_BOOL] = 1,     [TT_DTYPE_U8] = UINT8_MAX, [TT_DTYPE_I32] = INT32_MAX,
      [TT_DTYPE_I64] = 0x1p63, [TT_DTYPE_F32] = 0x1p24,   [TT_DTYPE_F64] = 0x1p53,
  };
  return limits[dtype];
}

INFER(randint) {
  int64_t low = args[0].as.integer, high = args[1].as.integer;
  TT_TRY(sized(op, args[2].as.ints, args[2].n, &args[4], TT_DTYPE_I64, results, n_results, error));
  if (low >= high) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s expects low to be less than high, but got low %" PRId64 " and high %" PRId64,
                   op->name, low, high);
  }
  double limit = whole_limit(results[0].dtype);
  bool is_signed = results[0].dtype != TT_DTYPE_BOOL && results[0].dtype != TT_DTYPE_U8;
  if ((double)low < (is_signed ? -limit : 0.0) || (double)(high - 1) > limit) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: numbers from %" PRId64 " to %" PRId64 " are out of bounds for %s", op->name,
                   low, high - 1, tt_dtype_name(results[0].dtype));
  }
  return TT_OK;
}

INFER(randperm) { return sized(op, &args[0].as.integer, 1, &args[2], TT_DTYPE_I64, results, n_results, error); }

INFER(bernoulli) {
  TT_TRY(tt_infer_need_floating(op, tt_arg_meta(&args[0])->dtype, error));
  return tt_infer_one(*tt_arg_meta(&args[0]), results, n_results);
}

INFER(uniform) {
  TT_TRY(tt_infer_need_floating(op, tt_arg_meta(&args[0])->dtype, error));
  if (!(args[1].as.real <= args[2].as.real)) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s expects to return a [from, to) range, but found from=%g > to=%g", op->name,
                   args[1].as.real, args[2].as.real);
  }
  return tt_infer_one(*tt_arg_meta(&args[0]), results, n_results);
}

INFER(normal) {
  TT_TRY(tt_infer_need_floating(op, tt_arg_meta(&args[0])->dtype, error));
  if (!(args[2].as.real >= 0.0)) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s expects std >= 0.0, but found std %g", op->name, args[2].as.real);
  }
  return tt_infer_one(*tt_arg_meta(&args[0]), results, n_results);
}

/* The generator a call draws from: `own`, seeded, when the call has a seed. */
static tt_generator *source(const tt_value *seed, tt_kernel_context *context, tt_generator *own) {
  if (tt_arg_is_none(seed)) return context->generator;
  tt_generator_init(own, (uint64_t)seed->as.integer);
  return own;
}

static tt_status answer(tt_tensor *drawn, tt_kernel_context *context, tt_tensor **results, size_t *n_results, tt_error *error) {
  if (context->out != NULL) {
    tt_status status = tt_tensor_copy(context->out, drawn, error);
    tt_tensor_unref(drawn);
    if (status != TT_OK) return status;
    drawn = tt_tensor_ref(context->out);
  }
  results[0] = drawn;
  *n_results = 1;
  return TT_OK;
}

/* One number of a distribution over doubles; what it is scaled by. */
typedef double draw_fn(tt_generator *generator, double a, double b);

static double draw_uniform(tt_generator *generator, double from, double to) {
  return from + (to - from) * tt_generator_uniform_f64(generator);
}

/* With the 24 bits a float32 has, so that rounding never gives `to` itself where the range is [0, 1). */
static double draw_uniform_single(tt_generator *generator, double from, double to) {
  return from + (to - from) * (double)tt_generator_uniform_f32(generator);
}

static double draw_normal(tt_generator *generator, double mean, double deviation) {
  return mean + deviation * tt_generator_normal(generator);
}

static tt_status draw(draw_fn *fn, double a, double b, const tt_value *seed, tt_kernel_context *context, const tt_meta *meta,
                      tt_tensor **results, size_t *n_results, tt_error *error) {
  tt_tensor *tensor = tt_tensor_new(meta->dtype, &meta->shape, error);
  if (tensor == NULL) return TT_ERR_MEMORY;
  tt_generator own;
  tt_generator *generator = source(seed, context, &own);
  int64_t n_elements = tt_tensor_n_elements(tensor), item_bytes = (int64_t)tt_dtype_bytes(meta->dtype);
  uint8_t *to = tt_tensor_data(tensor);
  for (int64_t first = 0; first < n_elements; first += BLOCK) {
    int64_t n = n_elements - first < BLOCK ? n_elements - first : BLOCK;
    double drawn[BLOCK];
    for (int64_t i = 0; i < n; i++) drawn[i] = fn(generator, a, b);
    tt_convert(meta->dtype, TT_DTYPE_F64)(to + first * item_bytes, item_bytes, drawn, 8, n);
  }
  return answer(tensor, context, results, n_results, error);
}

static draw_fn *uniform_for(tt_dtype dtype) { return dtype == TT_DTYPE_F32 ? draw_uniform_single : draw_uniform; }

KERNEL(rand) {
  (void)op;
  return draw(uniform_for(metas[0].dtype), 0.0, 1.0, &args[1], context, &metas[0], results, n_results, error);
}

KERNEL(randn) {
  (void)op;
  return draw(draw_normal, 0.0, 1.0, &args[1], context, &metas[0], results, n_results, error);
}

KERNEL(uniform) {
  (void)op;
  return draw(uniform_for(metas[0].dtype), args[1].as.real, args[2].as.real, &args[3], context, &metas[0], results, n_results,
              error);
}

KERNEL(normal) {
  (void)op;
  return draw(draw_normal, args[1].as.real, args[2].as.real, &args[3], context, &metas[0], results, n_results, error);
}

KERNEL(randint) {
  (void)op;
  tt_tensor *tensor = tt_tensor_new(metas[0].dtype, &metas[0].shape, error);
  if (tensor == NULL) return TT_ERR_MEMORY;
  tt_generator own;
  tt_generator *generator = source(&args[3], context, &own);
  uint64_t low = (uint64_t)args[0].as.integer, n_values = (uint64_t)args[1].as.integer - low;
  int64_t n_elements = tt_tensor_n_elements(tensor), item_bytes = (int64_t)tt_dtype_bytes(metas[0].dtype);
  uint8_t *to = tt_tensor_data(tensor);
  for (int64_t i = 0; i < n_elements; i++) {
    tt_convert_i64(to + i * item_bytes, metas[0].dtype, (int64_t)(low + (uint64_t)tt_generator_below(generator, n_values)));
  }
  return answer(tensor, context, results, n_results, error);
}

/* Fisher and Yates: each element changes places with one at or behind it. */
KERNEL(randperm) {
  (void)op;
  tt_tensor *integers = tt_tensor_new(TT_DTYPE_I64, &metas[0].shape, error);
  if (integers == NULL) return TT_ERR_MEMORY;
  tt_generator own;
  tt_generator *generator = source(&args[1], context, &own);
  int64_t n = tt_tensor_n_elements(integers);
  int64_t *at = tt_tensor_data(integers);
  for (int64_t i = 0; i < n; i++) at[i] = i;
  for (int64_t i = 0; i + 1 < n; i++) {
    int64_t other = i + tt_generator_below(generator, (uint64_t)(n - i));
    int64_t moved = at[i];
    at[i] = at[other];
    at[other] = moved;
  }
  if (metas[0].dtype == TT_DTYPE_I64) return answer(integers, context, results, n_results, error);
  tt_tensor *cast = tt_tensor_cast(integers, metas[0].dtype, error);
  tt_tensor_unref(integers);
  if (cast == NULL) return TT_ERR_MEMORY;
  return answer(cast, context, results, n_results, error);
}

KERNEL(bernoulli) {
  tt_tensor *chances = tt_tensor_cast(tt_arg_tensor(&args[0]), TT_DTYPE_F64, error);
  if (chances == NULL) return TT_ERR_MEMORY;
  double *at = tt_tensor_data(chances);
  int64_t n = tt_tensor_n_elements(chances);
  for (int64_t i = 0; i < n; i++) {
    if (at[i] >= 0.0 && at[i] <= 1.0) continue;
    double wrong = at[i];
    tt_tensor_unref(chances);
    return tt_fail(error, TT_ERR_ARGUMENT, "%s takes probabilities from 0 to 1, but element %" PRId64 " is %g", op->name, i,
                   wrong);
  }
  tt_generator own;
  tt_generator *generator = source(&args[1], context, &own);
  for (int64_t i = 0; i < n; i++) at[i] = tt_generator_uniform_f64(generator) < at[i];
  tt_tensor *drawn = tt_tensor_cast(chances, metas[0].dtype, error);
  tt_tensor_unref(chances);
  if (drawn == NULL) return TT_ERR_MEMORY;
  return answer(drawn, context, results, n_results, error);
}
