/*
 * elementwise: shape rules and kernels of the arithmetic, comparison, logical and unary rows.
 *
 * Several rows share a shape rule; a row's kernel names its loops (kernels/elementwise.h). An in-place row has its base row's
 * functions: metas[0] says what to compute, context->out where it goes.
 */
#include "kernels/elementwise.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "ops/define.h"
#include "ops/infer_common.h"
#include "ops/promote.h"
#include "ops/rows.h"
#include "tensor/convert.h"

/* shape rules */

static tt_status refuse_dtype(const tt_op *op, tt_dtype dtype, tt_error *error) {
  return tt_fail(error, TT_ERR_DTYPE, "%s is not implemented for %s; convert the tensor first", op->name, tt_dtype_name(dtype));
}

static tt_status broadcast_to(const tt_op *op, const tt_value *args, size_t n, tt_dtype dtype, tt_meta *results,
                              size_t *n_results, tt_error *error) {
  TT_TRY(tt_broadcast_args(op, args, n, &results[0].shape, error));
  results[0].dtype = dtype;
  *n_results = 1;
  return TT_OK;
}

static tt_dtype arg_dtype(const tt_value *arg) {
  return arg->type == TT_VALUE_OPERAND ? tt_arg_meta(arg)->dtype : tt_scalar_dtype(arg);
}

INFER(arithmetic) { return broadcast_to(op, args, 2, tt_promote_args(args, 2), results, n_results, error); }

INFER(binary_number) {
  tt_dtype dtype = tt_promote_args(args, 2);
  if (dtype == TT_DTYPE_BOOL) return refuse_dtype(op, dtype, error);
  return broadcast_to(op, args, 2, dtype, results, n_results, error);
}

INFER(binary_float) { return broadcast_to(op, args, 2, tt_promote_args_to_float(args, 2), results, n_results, error); }

INFER(add) {
  tt_dtype dtype = tt_promote_args(args, 2);
  const tt_value *alpha = &args[2];
  if (alpha->type == TT_VALUE_BOOL && dtype != TT_DTYPE_BOOL) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: Boolean alpha only supported for Boolean results", op->name);
  }
  if (alpha->type == TT_VALUE_FLOAT && !tt_dtype_is_floating(dtype)) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: for integral input tensors, argument alpha must not be a floating point number",
                   op->name);
  }
  return broadcast_to(op, args, 2, dtype, results, n_results, error);
}

INFER(sub) {
  if (arg_dtype(&args[0]) == TT_DTYPE_BOOL || arg_dtype(&args[1]) == TT_DTYPE_BOOL) {
    return tt_fail(error, TT_ERR_DTYPE,
                   "%s: subtraction with a bool tensor is not supported; to invert a mask, use logical_not() instead",
                   op->name);
  }
  return tt_infer_add(op, args, results, n_results, error);
}

static const struct {
  const char *name; /* NULL: the argument is None */
  const tt_loops *loops;
} rounding_modes[] = {{NULL, &tt_loops_div}, {"floor", &tt_loops_floor_divide}, {"trunc", &tt_loops_trunc_divide}};

/* The loops of a rounding_mode argument; NULL for one that is not known. */
static const tt_loops *find_rounding(const tt_value *mode) {
  if (mode->type == TT_VALUE_NONE) return rounding_modes[0].loops;
  for (size_t i = 1; i < sizeof rounding_modes / sizeof rounding_modes[0]; i++) {
    size_t n = strlen(rounding_modes[i].name);
    if (mode->n == n && memcmp(mode->as.string, rounding_modes[i].name, n) == 0) return rounding_modes[i].loops;
  }
  return NULL;
}

INFER(div) {
  const tt_loops *loops = find_rounding(&args[2]);
  if (loops == NULL) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s expected rounding_mode to be one of None, 'trunc', or 'floor' but found '%.*s'",
                   op->name, (int)args[2].n, args[2].as.string);
  }
  return (loops == &tt_loops_div ? tt_infer_binary_float : tt_infer_binary_number)(op, args, results, n_results, error);
}

INFER(pow) {
  if (args[1].type == TT_VALUE_INT && args[1].as.integer < 0 && !tt_dtype_is_floating(tt_arg_meta(&args[0])->dtype)) {
    return tt_fail(error, TT_ERR_ARGUMENT,
                   "%s: Integers to negative integer powers are not allowed; convert the tensor to a float", op->name);
  }
  return tt_infer_binary_number(op, args, results, n_results, error);
}

INFER(compare) { return broadcast_to(op, args, 2, TT_DTYPE_BOOL, results, n_results, error); }

INFER(bitwise) {
  tt_dtype dtype = tt_promote_args(args, 2);
  if (tt_dtype_is_floating(dtype)) return refuse_dtype(op, dtype, error);
  return broadcast_to(op, args, 2, dtype, results, n_results, error);
}

static tt_status unary_meta(const tt_value *self, tt_dtype dtype, tt_meta *results, size_t *n_results) {
  tt_shape_copy(&results[0].shape, &tt_arg_meta(self)->shape);
  results[0].dtype = dtype;
  *n_results = 1;
  return TT_OK;
}

INFER(unary_same) {
  (void)op;
  (void)error;
  return unary_meta(&args[0], tt_arg_meta(&args[0])->dtype, results, n_results);
}

INFER(unary_number) {
  tt_dtype dtype = tt_arg_meta(&args[0])->dtype;
  if (dtype == TT_DTYPE_BOOL) return refuse_dtype(op, dtype, error);
  return unary_meta(&args[0], dtype, results, n_results);
}

INFER(unary_float) {
  (void)op;
  (void)error;
  return unary_meta(&args[0], tt_promote_args_to_float(args, 1), results, n_results);
}

INFER(unary_bool) {
  (void)op;
  (void)error;
  return unary_meta(&args[0], TT_DTYPE_BOOL, results, n_results);
}

/* square is pow(self, 2), and the int makes an int64 of a bool. */
INFER(square) {
  (void)op;
  (void)error;
  tt_dtype dtype = tt_arg_meta(&args[0])->dtype;
  return unary_meta(&args[0], dtype == TT_DTYPE_BOOL ? TT_DTYPE_I64 : dtype, results, n_results);
}

INFER(bitwise_not) {
  tt_dtype dtype = tt_arg_meta(&args[0])->dtype;
  if (tt_dtype_is_floating(dtype)) return refuse_dtype(op, dtype, error);
  return unary_meta(&args[0], dtype, results, n_results);
}

/* The bounds of clamp stand in args[1] and args[2]; clamp_min and clamp_max have args[1] alone. */
static tt_status clamp_meta(const tt_op *op, const tt_value *args, size_t n, tt_meta *results, size_t *n_results,
                            tt_error *error) {
  size_t n_bounds = 0, n_scalars = 0;
  for (size_t i = 1; i < n; i++) {
    n_bounds += !tt_arg_is_none(&args[i]);
    n_scalars += args[i].type != TT_VALUE_OPERAND && !tt_arg_is_none(&args[i]);
  }
  if (n_bounds == 0) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: at least one of 'min' or 'max' must not be None", op->name);
  }
  tt_dtype dtype = tt_promote_args(args, n);
  /* One tensor bound is maximum or minimum, which bool has. */
  if (dtype == TT_DTYPE_BOOL && (n_bounds > 1 || n_scalars > 0)) return refuse_dtype(op, dtype, error);
  return broadcast_to(op, args, n, dtype, results, n_results, error);
}

INFER(clamp) { return clamp_meta(op, args, 3, results, n_results, error); }
INFER(clamp_one) { return clamp_meta(op, args, 2, results, n_results, error); }

static tt_status check_mask(const tt_op *op, const tt_value *mask, tt_error *error) {
  tt_dtype dtype = tt_arg_meta(mask)->dtype;
  if (dtype == TT_DTYPE_BOOL || dtype == TT_DTYPE_U8) return TT_OK;
  return tt_fail(error, TT_ERR_DTYPE, "%s expected the mask to be a bool tensor, but got one of dtype %s", op->name,
                 tt_dtype_name(dtype));
}

INFER(where) {
  TT_TRY(check_mask(op, &args[0], error));
  return broadcast_to(op, args, 3, tt_promote_args(args + 1, 2), results, n_results, error);
}

/* fill_ and masked_fill take a number or a 0-d tensor. */
static tt_status check_fill(const tt_op *op, const tt_value *value, tt_error *error) {
  if (value->type != TT_VALUE_OPERAND || tt_arg_meta(value)->shape.n_dims == 0) return TT_OK;
  char text[TT_SHAPE_TEXT_BYTES];
  return tt_fail(error, TT_ERR_SHAPE, "%s only supports a 0-dimensional value tensor, but got one of shape %s", op->name,
                 tt_shape_text(&tt_arg_meta(value)->shape, text));
}

INFER(masked_fill) {
  TT_TRY(check_mask(op, &args[1], error));
  TT_TRY(check_fill(op, &args[2], error));
  return broadcast_to(op, args, 2, tt_arg_meta(&args[0])->dtype, results, n_results, error);
}

INFER(fill) {
  TT_TRY(check_fill(op, &args[1], error));
  return tt_infer_unary_same(op, args, results, n_results, error);
}

INFER(copy) { return broadcast_to(op, args, 2, tt_arg_meta(&args[0])->dtype, results, n_results, error); }

INFER(to) {
  (void)op;
  (void)error;
  return unary_meta(&args[0], args[1].as.dtype, results, n_results);
}

INFER(type_as) {
  (void)op;
  (void)error;
  return unary_meta(&args[0], tt_arg_meta(&args[1])->dtype, results, n_results);
}

#define INFER_CONVERSION(name, dtype)                       \
  INFER(name) {                                             \
    (void)op;                                               \
    (void)error;                                            \
    return unary_meta(&args[0], dtype, results, n_results); \
  }
INFER_CONVERSION(to_bool, TT_DTYPE_BOOL)
INFER_CONVERSION(to_byte, TT_DTYPE_U8)
INFER_CONVERSION(to_int, TT_DTYPE_I32)
INFER_CONVERSION(to_long, TT_DTYPE_I64)
INFER_CONVERSION(to_float, TT_DTYPE_F32)
INFER_CONVERSION(to_double, TT_DTYPE_F64)

/* kernels */

/* Where the result goes: the in-place call's tensor or a fresh one; a reference that is the caller's. */
static tt_tensor *take_out(tt_kernel_context *context, const tt_meta *meta, tt_error *error) {
  if (context->out != NULL) return tt_tensor_ref(context->out);
  return tt_tensor_new(meta->dtype, &meta->shape, error);
}

static tt_status answer(tt_tensor *out, tt_tensor **results, size_t *n_results) {
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}

static tt_status run(const tt_elementwise *what, const tt_tensor *const *inputs, tt_kernel_context *context,
                     const tt_meta *meta, tt_tensor **results, size_t *n_results, tt_error *error) {
  tt_tensor *out = take_out(context, meta, error);
  if (out == NULL) return TT_ERR_MEMORY;
  tt_elementwise_run(what, out, inputs);
  return answer(out, results, n_results);
}

typedef struct binary_call {
  const tt_loops *loops;
  tt_dtype dtype;     /* computed in */
  tt_dtype out_dtype; /* what the loops write */
  const void *constants;
  const tt_value *a, *b;
} binary_call;

static tt_status run_binary(const binary_call *call, tt_kernel_context *context, const tt_meta *meta, tt_tensor **results,
                            size_t *n_results, tt_error *error) {
  tt_scalar_room rooms[2];
  const tt_tensor *inputs[] = {tt_arg_as_tensor(call->a, call->dtype, &rooms[0]),
                               tt_arg_as_tensor(call->b, call->dtype, &rooms[1])};
  tt_elementwise what = {.loop = call->loops->by_dtype[call->dtype],
                         .out_dtype = call->out_dtype,
                         .in_dtypes = {call->dtype, call->dtype},
                         .n_inputs = 2,
                         .constants = call->constants};
  return run(&what, inputs, context, meta, results, n_results, error);
}

static tt_status run_arithmetic(const tt_loops *loops, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                                tt_tensor **results, size_t *n_results, tt_error *error) {
  binary_call call = {.loops = loops, .dtype = metas[0].dtype, .out_dtype = metas[0].dtype, .a = &args[0], .b = &args[1]};
  return run_binary(&call, context, &metas[0], results, n_results, error);
}

#define KERNEL_ARITHMETIC(name)                                                               \
  KERNEL(name) {                                                                              \
    (void)op;                                                                                 \
    return run_arithmetic(&tt_loops_##name, context, args, metas, results, n_results, error); \
  }
KERNEL_ARITHMETIC(mul)
KERNEL_ARITHMETIC(maximum)
KERNEL_ARITHMETIC(minimum)
KERNEL_ARITHMETIC(atan2)
KERNEL_ARITHMETIC(bitwise_and)
KERNEL_ARITHMETIC(bitwise_or)
KERNEL_ARITHMETIC(bitwise_xor)

/* a + alpha * b by the plain loops where alpha is one. */
static tt_status run_scaled(const tt_op *op, const tt_loops *plain, bool is_negated, const tt_value *a, const tt_value *b,
                            const tt_value *alpha, tt_kernel_context *context, const tt_meta *meta, tt_tensor **results,
                            size_t *n_results, tt_error *error) {
  binary_call call = {.loops = plain, .dtype = meta->dtype, .out_dtype = meta->dtype, .a = a, .b = b};
  tt_value scale = *alpha;
  _Alignas(8) uint8_t constant[8];
  bool is_one = (scale.type == TT_VALUE_INT && scale.as.integer == 1) ||
                (scale.type == TT_VALUE_FLOAT && scale.as.real == 1.0) || (scale.type == TT_VALUE_BOOL && scale.as.boolean);
  if (!is_one) {
    if (is_negated && scale.type == TT_VALUE_FLOAT) scale.as.real = -scale.as.real;
    if (is_negated && scale.type == TT_VALUE_INT) scale.as.integer = (int64_t)(0 - (uint64_t)scale.as.integer);
    TT_TRY(tt_scalar_store_checked(op, &scale, meta->dtype, constant, error));
    call.loops = &tt_loops_add_scaled;
    call.constants = constant;
  }
  return run_binary(&call, context, meta, results, n_results, error);
}

KERNEL(add) {
  return run_scaled(op, &tt_loops_add, false, &args[0], &args[1], &args[2], context, metas, results, n_results, error);
}

KERNEL(sub) {
  return run_scaled(op, &tt_loops_sub, true, &args[0], &args[1], &args[2], context, metas, results, n_results, error);
}

KERNEL(rsub) {
  return run_scaled(op, &tt_loops_sub, true, &args[1], &args[0], &args[2], context, metas, results, n_results, error);
}

/* Integers cannot be divided by zero; an empty result divides nothing. */
static tt_status check_divisor(const tt_op *op, const tt_value *divisor, const tt_meta *meta, tt_error *error) {
  if (tt_dtype_is_floating(meta->dtype) || tt_shape_n_elements(&meta->shape) == 0) return TT_OK;
  tt_scalar_room room;
  if (!tt_elementwise_any_zero(tt_arg_as_tensor(divisor, meta->dtype, &room), meta->dtype)) return TT_OK;
  return tt_fail(error, TT_ERR_NUMERIC, "%s: ZeroDivisionError: an integer is divided by zero; floats may be", op->name);
}

static tt_status run_division(const tt_op *op, const tt_loops *loops, tt_kernel_context *context, const tt_value *args,
                              const tt_meta *metas, tt_tensor **results, size_t *n_results, tt_error *error) {
  TT_TRY(check_divisor(op, &args[1], &metas[0], error));
  return run_arithmetic(loops, context, args, metas, results, n_results, error);
}

#define KERNEL_DIVISION(name, loops) \
  KERNEL(name) { return run_division(op, loops, context, args, metas, results, n_results, error); }
KERNEL_DIVISION(div, find_rounding(&args[2]))
KERNEL_DIVISION(floor_divide, &tt_loops_floor_divide)
KERNEL_DIVISION(remainder, &tt_loops_remainder)
KERNEL_DIVISION(fmod, &tt_loops_fmod)

static tt_status run_unary(const tt_loops *loops, tt_dtype dtype, tt_dtype out_dtype, const void *constants,
                           tt_kernel_context *context, const tt_value *args, const tt_meta *metas, tt_tensor **results,
                           size_t *n_results, tt_error *error) {
  const tt_tensor *inputs[] = {tt_arg_tensor(&args[0])};
  tt_elementwise what = {
      .loop = loops->by_dtype[dtype], .out_dtype = out_dtype, .in_dtypes = {dtype}, .n_inputs = 1, .constants = constants};
  return run(&what, inputs, context, &metas[0], results, n_results, error);
}

static tt_status fill_with(const tt_value *value, tt_kernel_context *context, const tt_meta *metas, tt_tensor **results,
                           size_t *n_results, tt_error *error) {
  tt_tensor *out = take_out(context, &metas[0], error);
  if (out == NULL) return TT_ERR_MEMORY;
  tt_scalar_room room;
  tt_status status = tt_tensor_copy(out, tt_arg_as_tensor(value, tt_tensor_dtype(out), &room), error);
  if (status != TT_OK) {
    tt_tensor_unref(out);
    return status;
  }
  return answer(out, results, n_results);
}

static tt_status copy_from(const tt_tensor *source, tt_kernel_context *context, const tt_meta *metas, tt_tensor **results,
                           size_t *n_results, tt_error *error) {
  tt_tensor *out = take_out(context, &metas[0], error);
  if (out == NULL) return TT_ERR_MEMORY;
  tt_status status = tt_tensor_copy(out, source, error);
  if (status != TT_OK) {
    tt_tensor_unref(out);
    return status;
  }
  return answer(out, results, n_results);
}

/* Powers that PyTorch computes without pow when the exponent is a number. */
static const struct {
  double exponent;
  const tt_loops *loops;
} plain_powers[] = {{0.5, &tt_loops_sqrt},   {2.0, &tt_loops_square},      {3.0, &tt_loops_cube},
                    {-0.5, &tt_loops_rsqrt}, {-1.0, &tt_loops_reciprocal}, {-2.0, &tt_loops_inverse_square}};

KERNEL(pow) {
  const tt_value *exponent = &args[1];
  tt_dtype dtype = metas[0].dtype;
  if (exponent->type == TT_VALUE_OPERAND) return run_arithmetic(&tt_loops_pow, context, args, metas, results, n_results, error);
  double number = exponent->type == TT_VALUE_FLOAT ? exponent->as.real
                  : exponent->type == TT_VALUE_INT ? (double)exponent->as.integer
                                                   : (double)exponent->as.boolean;
  if (number == 0.0)
    return fill_with(&(tt_value){.type = TT_VALUE_INT, .as.integer = 1}, context, metas, results, n_results, error);
  if (number == 1.0) return copy_from(tt_arg_tensor(&args[0]), context, metas, results, n_results, error);
  for (size_t i = 0; i < sizeof plain_powers / sizeof plain_powers[0]; i++) {
    if (plain_powers[i].exponent != number || plain_powers[i].loops->by_dtype[dtype] == NULL) continue;
    return run_unary(plain_powers[i].loops, dtype, dtype, NULL, context, args, metas, results, n_results, error);
  }
  _Alignas(8) uint8_t checked[8];
  TT_TRY(tt_scalar_store_checked(op, exponent, dtype, checked, error));
  return run_arithmetic(&tt_loops_pow, context, args, metas, results, n_results, error);
}

/* Operands meet in their common dtype first, as in PyTorch: an int64 that uint8 wraps to 0 is false beside a uint8. */
#define KERNEL_COMPARISON(name)                                              \
  KERNEL(name) {                                                             \
    (void)op;                                                                \
    binary_call call = {.loops = &tt_loops_##name,                           \
                        .dtype = tt_promote_args(args, 2),                   \
                        .out_dtype = TT_DTYPE_BOOL,                          \
                        .a = &args[0],                                       \
                        .b = &args[1]};                                      \
    return run_binary(&call, context, &metas[0], results, n_results, error); \
  }
KERNEL_COMPARISON(eq)
KERNEL_COMPARISON(ne)
KERNEL_COMPARISON(lt)
KERNEL_COMPARISON(le)
KERNEL_COMPARISON(gt)
KERNEL_COMPARISON(ge)

KERNEL_COMPARISON(logical_and)
KERNEL_COMPARISON(logical_or)
KERNEL_COMPARISON(logical_xor)

#define KERNEL_UNARY(name)                                                                                                     \
  KERNEL(name) {                                                                                                               \
    (void)op;                                                                                                                  \
    return run_unary(&tt_loops_##name, metas[0].dtype, metas[0].dtype, NULL, context, args, metas, results, n_results, error); \
  }
KERNEL_UNARY(neg)
KERNEL_UNARY(abs)
KERNEL_UNARY(sign)
KERNEL_UNARY(square)
KERNEL_UNARY(relu)
KERNEL_UNARY(floor)
KERNEL_UNARY(ceil)
KERNEL_UNARY(round)
KERNEL_UNARY(trunc)
KERNEL_UNARY(bitwise_not)
KERNEL_UNARY(exp)
KERNEL_UNARY(expm1)
KERNEL_UNARY(log)
KERNEL_UNARY(log2)
KERNEL_UNARY(log10)
KERNEL_UNARY(log1p)
KERNEL_UNARY(sqrt)
KERNEL_UNARY(rsqrt)
KERNEL_UNARY(reciprocal)
KERNEL_UNARY(sin)
KERNEL_UNARY(cos)
KERNEL_UNARY(tan)
KERNEL_UNARY(asin)
KERNEL_UNARY(acos)
KERNEL_UNARY(atan)
KERNEL_UNARY(sinh)
KERNEL_UNARY(cosh)
KERNEL_UNARY(tanh)
KERNEL_UNARY(sigmoid)
KERNEL_UNARY(erf)

#define KERNEL_PREDICATE(name, dtype)                                                                                \
  KERNEL(name) {                                                                                                     \
    (void)op;                                                                                                        \
    return run_unary(&tt_loops_##name, dtype, TT_DTYPE_BOOL, NULL, context, args, metas, results, n_results, error); \
  }
KERNEL_PREDICATE(isnan, arg_dtype(&args[0]))
KERNEL_PREDICATE(isinf, arg_dtype(&args[0]))
KERNEL_PREDICATE(isfinite, arg_dtype(&args[0]))
KERNEL_PREDICATE(logical_not, TT_DTYPE_BOOL)

static bool is_nan(const tt_value *bound) { return bound->type == TT_VALUE_FLOAT && isnan(bound->as.real); }

/*
 * Bounds that are numbers become constants of one pass. A NaN bound makes every element NaN, but for one that clamp has alone,
 * which is none: PyTorch's three ways, kept apart by `is_nan_lost`.
 */
static tt_status clamp_by_numbers(const tt_op *op, const tt_value *low, const tt_value *high, bool is_nan_lost,
                                  tt_kernel_context *context, const tt_value *args, const tt_meta *metas, tt_tensor **results,
                                  size_t *n_results, tt_error *error) {
  tt_dtype dtype = metas[0].dtype;
  size_t item_bytes = tt_dtype_bytes(dtype);
  _Alignas(8) uint8_t constants[16];
  bool has_low = !tt_arg_is_none(low), has_high = !tt_arg_is_none(high);
  if (!is_nan_lost && (is_nan(low) || is_nan(high))) {
    return fill_with(&(tt_value){.type = TT_VALUE_FLOAT, .as.real = NAN}, context, metas, results, n_results, error);
  }
  if (has_low) TT_TRY(tt_scalar_store_checked(op, low, dtype, constants, error));
  if (has_high) TT_TRY(tt_scalar_store_checked(op, high, dtype, constants + (has_low ? item_bytes : 0), error));
  const tt_loops *loops = !has_high ? &tt_loops_clamp_min_to : has_low ? &tt_loops_clamp_to : &tt_loops_clamp_max_to;
  return run_unary(loops, dtype, dtype, constants, context, args, metas, results, n_results, error);
}

static tt_status clamp(const tt_op *op, const tt_value *low, const tt_value *high, bool is_nan_lost, tt_kernel_context *context,
                       const tt_value *args, const tt_meta *metas, tt_tensor **results, size_t *n_results, tt_error *error) {
  tt_dtype dtype = metas[0].dtype;
  if (low->type != TT_VALUE_OPERAND && high->type != TT_VALUE_OPERAND) {
    return clamp_by_numbers(op, low, high, is_nan_lost, context, args, metas, results, n_results, error);
  }
  if (tt_arg_is_none(low) || tt_arg_is_none(high)) {
    binary_call call = {.loops = tt_arg_is_none(high) ? &tt_loops_maximum : &tt_loops_minimum,
                        .dtype = dtype,
                        .out_dtype = dtype,
                        .a = &args[0],
                        .b = tt_arg_is_none(high) ? low : high};
    return run_binary(&call, context, &metas[0], results, n_results, error);
  }
  tt_scalar_room rooms[2];
  const tt_tensor *inputs[] = {tt_arg_tensor(&args[0]), tt_arg_as_tensor(low, dtype, &rooms[0]),
                               tt_arg_as_tensor(high, dtype, &rooms[1])};
  tt_elementwise what = {
      .loop = tt_loops_clamp.by_dtype[dtype], .out_dtype = dtype, .in_dtypes = {dtype, dtype, dtype}, .n_inputs = 3};
  return run(&what, inputs, context, &metas[0], results, n_results, error);
}

static const tt_value no_bound = {.type = TT_VALUE_NONE};

KERNEL(clamp) {
  bool is_alone = tt_arg_is_none(&args[1]) || tt_arg_is_none(&args[2]);
  return clamp(op, &args[1], &args[2], is_alone, context, args, metas, results, n_results, error);
}

KERNEL(clamp_min) { return clamp(op, &args[1], &no_bound, false, context, args, metas, results, n_results, error); }
KERNEL(clamp_max) { return clamp(op, &no_bound, &args[1], false, context, args, metas, results, n_results, error); }

static tt_status choose(const tt_tensor *condition, const tt_tensor *a, const tt_tensor *b, tt_kernel_context *context,
                        const tt_meta *metas, tt_tensor **results, size_t *n_results, tt_error *error) {
  tt_dtype dtype = metas[0].dtype;
  const tt_tensor *inputs[] = {condition, a, b};
  tt_elementwise what = {
      .loop = tt_loops_where.by_dtype[dtype], .out_dtype = dtype, .in_dtypes = {TT_DTYPE_BOOL, dtype, dtype}, .n_inputs = 3};
  return run(&what, inputs, context, &metas[0], results, n_results, error);
}

KERNEL(where) {
  tt_scalar_room rooms[2];
  const tt_tensor *choices[2];
  for (size_t i = 0; i < 2; i++) {
    choices[i] = tt_arg_as_tensor(&args[i + 1], metas[0].dtype, &rooms[i]);
    if (args[i + 1].type == TT_VALUE_OPERAND) continue;
    TT_TRY(tt_scalar_store_checked(op, &args[i + 1], metas[0].dtype, rooms[i].bytes, error));
  }
  return choose(tt_arg_tensor(&args[0]), choices[0], choices[1], context, metas, results, n_results, error);
}

/* The number that a fill's value is: a 0-d tensor is read, so that it is checked as a number is. */
static tt_value fill_number(const tt_value *value) {
  if (value->type != TT_VALUE_OPERAND) return *value;
  const tt_tensor *tensor = tt_arg_tensor(value);
  tt_value number = {.type = tt_dtype_is_floating(tt_tensor_dtype(tensor)) ? TT_VALUE_FLOAT : TT_VALUE_INT};
  tt_dtype dtype = number.type == TT_VALUE_FLOAT ? TT_DTYPE_F64 : TT_DTYPE_I64;
  tt_convert(dtype, tt_tensor_dtype(tensor))(&number.as, 0, tt_tensor_data(tensor), 0, 1);
  return number;
}

KERNEL(masked_fill) {
  tt_value number = fill_number(&args[2]);
  tt_scalar_room room;
  TT_TRY(tt_scalar_store_checked(op, &number, metas[0].dtype, room.bytes, error));
  const tt_tensor *value = tt_scalar_room_init(&room, metas[0].dtype);
  return choose(tt_arg_tensor(&args[1]), value, tt_arg_tensor(&args[0]), context, metas, results, n_results, error);
}

KERNEL(fill) {
  tt_value number = fill_number(&args[1]);
  _Alignas(8) uint8_t checked[8];
  TT_TRY(tt_scalar_store_checked(op, &number, metas[0].dtype, checked, error));
  return fill_with(&number, context, metas, results, n_results, error);
}

KERNEL(zero) {
  (void)op;
  (void)args;
  return fill_with(&(tt_value){.type = TT_VALUE_INT, .as.integer = 0}, context, metas, results, n_results, error);
}

KERNEL(copy) {
  (void)op;
  return copy_from(tt_arg_tensor(&args[1]), context, metas, results, n_results, error);
}

KERNEL(convert) {
  (void)op;
  return copy_from(tt_arg_tensor(&args[0]), context, metas, results, n_results, error);
}
