/* ufunc: functions of each element. */
#include <math.h>

#include "numpy/call.h"
#include "numpy/rules.h"

/* numpy.can_cast by the rule 'same_kind': no float to an int, no signed int to an unsigned one. */
static void check_cast(tt_np *call, tt_dtype from, tt_dtype to) {
  const bool loses_sign = to == TT_DTYPE_U8 && (from == TT_DTYPE_I32 || from == TT_DTYPE_I64);
  if (tt_dtype_category_of(from) <= tt_dtype_category_of(to) && !loses_sign) return;
  np_fail(call, TT_ERR_DTYPE, "%s cannot be cast to dtype %s by the rule 'same_kind'", tt_dtype_name(from), tt_dtype_name(to));
}

/* The dtype in which a ufunc of one array runs: what `dtype` names, when the array may be cast to it, else `otherwise`. */
static tt_dtype running_dtype(tt_np *call, int dtype_at, tt_dtype otherwise) {
  const tt_dtype dtype = np_dtype_or(call, dtype_at, otherwise);
  check_cast(call, otherwise, dtype);
  return dtype;
}

/* The same of two, where a number goes into every dtype of its kind. */
static tt_dtype running_dtype_of_two(tt_np *call, tt_dtype otherwise) {
  const tt_dtype dtype = np_dtype_or(call, 2, otherwise);
  if (!np_has(call, 2)) return dtype;
  if (tt_dtype_category_of(otherwise) > tt_dtype_category_of(dtype)) check_cast(call, otherwise, dtype);
  for (int i = 0; i < 2; i++) {
    if (call->args[i].type == TT_VALUE_OPERAND && np_array(call, i)->operand.meta.shape.n_dims != 0)
      check_cast(call, np_dtype(np_array(call, i)), dtype);
  }
  return dtype;
}

static void refuse_bool(tt_np *call, tt_dtype dtype) {
  if (dtype != TT_DTYPE_BOOL) return;
  np_fail(call, TT_ERR_DTYPE, "it is not defined for bool; use logical_not, logical_xor or astype");
}

/* ---- one argument: (x, *, dtype) ---- */

/* (x): the op itself. */
tt_node *np_rule_same_plain(tt_np *call) { return np_op(call, call->function->op, call->args, 1); }

/* Of bool, itself. */
tt_node *np_rule_absolute(tt_np *call) {
  tt_node *x = np_array(call, 0);
  const tt_dtype dtype = running_dtype(call, 1, np_dtype(x));
  if (dtype == TT_DTYPE_BOOL) return OP(call, clone, V(x));
  return OP(call, abs, V(np_cast(call, x, dtype)));
}

/* Not for bool. */
tt_node *np_rule_number(tt_np *call) {
  tt_node *x = np_array(call, 0);
  const tt_dtype dtype = running_dtype(call, 1, np_dtype(x));
  refuse_bool(call, dtype);
  return np_op(call, call->function->op, (tt_value[]){V(np_cast(call, x, dtype))}, 1);
}

tt_node *np_rule_float(tt_np *call) {
  tt_node *x = np_array(call, 0);
  const tt_dtype dtype = running_dtype(call, 1, np_float_dtype(np_dtype(x)));
  return np_op(call, call->function->op, (tt_value[]){V(np_cast(call, x, np_float_dtype(dtype)))}, 1);
}

/* bool has an answer of NumPy's int8. */
tt_node *np_rule_square(tt_np *call) {
  tt_node *x = np_array(call, 0);
  if (np_dtype(x) == TT_DTYPE_BOOL) x = np_cast(call, x, TT_DTYPE_I32);
  return OP(call, square, V(np_cast(call, x, running_dtype(call, 1, np_dtype(x)))));
}

/* NaN has no sign. */
tt_node *np_rule_sign(tt_np *call) {
  tt_node *x = np_array(call, 0);
  refuse_bool(call, np_dtype(x));
  tt_node *sign = OP(call, sign, V(x));
  if (!np_is_floating(x)) return sign;
  return OP(call, where, V(OP(call, isnan, V(x))), V(x), V(sign));
}

tt_node *np_rule_positive(tt_np *call) {
  refuse_bool(call, np_dtype(np_array(call, 0)));
  return OP(call, clone, V(np_array(call, 0)));
}

tt_node *np_rule_reciprocal(tt_np *call) {
  tt_node *x = np_array(call, 0);
  if (np_is_floating(x)) return OP(call, reciprocal, V(x));
  refuse_bool(call, np_dtype(x));
  tt_node *one = np_lift(call, tt_int(1), x, np_dtype(x));
  return OP(call, div, V(one), V(x), tt_string("trunc", 5));
}

static tt_node *scaled(tt_np *call, double factor) {
  tt_node *x = np_array(call, 0);
  return OP(call, mul, V(np_cast(call, x, np_float_dtype(np_dtype(x)))), tt_float(factor));
}

static const double pi = 3.14159265358979323846;

tt_node *np_rule_degrees(tt_np *call) { return scaled(call, 180 / pi); }
tt_node *np_rule_radians(tt_np *call) { return scaled(call, pi / 180); }

tt_node *np_rule_exp2(tt_np *call) {
  tt_node *x = np_array(call, 0);
  const tt_dtype dtype = np_float_dtype(np_dtype(x));
  return OP(call, pow, V(np_lift(call, tt_float(2), x, dtype)), V(np_cast(call, x, dtype)));
}

tt_node *np_rule_logical_not(tt_np *call) { return OP(call, logical_not, V(np_array(call, 0))); }

/* To decimals digits: as NumPy, by multiplying, rounding to even and dividing. */
tt_node *np_rule_round(tt_np *call) {
  tt_node *a = np_array(call, 0);
  const int64_t decimals = np_int(call, 1);
  if (decimals != 0) refuse_bool(call, np_dtype(a));
  if (np_dtype(a) == TT_DTYPE_BOOL) a = np_cast(call, a, TT_DTYPE_F32);
  if (!np_is_floating(a) && decimals >= 0) return OP(call, clone, V(a));
  if (decimals == 0) return OP(call, round, V(a));
  const double power = pow(10, (double)(decimals < 0 ? -decimals : decimals));
  const tt_dtype dtype = np_dtype(a);
  tt_node *x = np_as_float(call, a);
  tt_node *moved = decimals > 0 ? OP(call, mul, V(x), tt_float(power)) : OP(call, div, V(x), tt_float(power));
  tt_node *rounded = OP(call, round, V(moved));
  return np_cast(call, decimals > 0 ? OP(call, div, V(rounded), tt_float(power)) : OP(call, mul, V(rounded), tt_float(power)),
                 dtype);
}

/* (x, nan=0.0, posinf=None, neginf=None) */
tt_node *np_rule_nan_to_num(tt_np *call) {
  tt_node *x = np_array(call, 0);
  if (!np_is_floating(x)) return OP(call, clone, V(x));
  const double most = np_dtype(x) == TT_DTYPE_F32 ? 3.4028234663852886e38 : 1.7976931348623157e308;
  const tt_value above = np_has(call, 2) ? call->args[2] : tt_float(most),
                 below = np_has(call, 3) ? call->args[3] : tt_float(-most);
  const tt_dtype dtype = np_dtype(x);
  tt_node *whole = OP(call, masked_fill, V(x), V(OP(call, isnan, V(x))), np_cast_value(call, call->args[1], dtype));
  tt_node *less = OP(call, masked_fill, V(whole), V(OP(call, eq, V(x), tt_float(INFINITY))), np_cast_value(call, above, dtype));
  return OP(call, masked_fill, V(less), V(OP(call, eq, V(x), tt_float(-INFINITY))), np_cast_value(call, below, dtype));
}

/* ---- two arguments: (x1, x2, *, dtype) ---- */

static tt_node *binary(tt_np *call, tt_op_number op, tt_dtype otherwise) {
  return np_binary(call, op, call->args[0], call->args[1], running_dtype_of_two(call, otherwise));
}

static tt_dtype both_dtype(tt_np *call) {
  np_first_array(call, call->args, 2);
  return call->status == TT_OK ? tt_numpy_result_type(call->args, 2) : TT_DTYPE_F64;
}

tt_node *np_rule_binary(tt_np *call) { return binary(call, call->function->op, both_dtype(call)); }

tt_node *np_rule_subtract(tt_np *call) {
  refuse_bool(call, np_dtype_or(call, 2, both_dtype(call)));
  return np_rule_binary(call);
}

/* bool counts as NumPy's int8. */
static tt_dtype number_dtype(tt_np *call) {
  const tt_dtype dtype = both_dtype(call);
  return dtype == TT_DTYPE_BOOL ? TT_DTYPE_I32 : dtype;
}

tt_node *np_rule_binary_number(tt_np *call) { return binary(call, call->function->op, number_dtype(call)); }

/* ints and bools as float64, whatever their width. */
static tt_dtype quotient_dtype(tt_np *call) {
  const tt_dtype dtype = both_dtype(call);
  return tt_dtype_is_floating(dtype) ? dtype : TT_DTYPE_F64;
}

tt_node *np_rule_divide(tt_np *call) { return binary(call, TT_OP_div, quotient_dtype(call)); }

tt_node *np_rule_float_power(tt_np *call) {
  np_first_array(call, call->args, 2);
  return np_binary(call, TT_OP_pow, call->args[0], call->args[1], TT_DTYPE_F64);
}

tt_node *np_rule_power(tt_np *call) {
  const tt_dtype dtype = running_dtype_of_two(call, number_dtype(call));
  if (!tt_dtype_is_floating(dtype) && call->args[1].type == TT_VALUE_INT && call->args[1].as.integer < 0) {
    np_fail(call, TT_ERR_ARGUMENT, "integers to negative integer powers are not allowed; make the array floating first");
  }
  return np_binary(call, TT_OP_pow, call->args[0], call->args[1], dtype);
}

/* int32 that only a number beside uint8 asks for is NumPy's int16, whose floats are float32. */
static tt_dtype both_float_dtype(tt_np *call) {
  const tt_dtype dtype = both_dtype(call);
  bool has_u8 = false, has_i32 = false;
  for (int i = 0; i < 2 && call->status == TT_OK; i++) {
    if (call->args[i].type != TT_VALUE_OPERAND || np_array(call, i)->operand.meta.shape.n_dims == 0) continue;
    has_u8 |= np_dtype(np_array(call, i)) == TT_DTYPE_U8;
    has_i32 |= np_dtype(np_array(call, i)) == TT_DTYPE_I32;
  }
  return dtype == TT_DTYPE_I32 && has_u8 && !has_i32 ? TT_DTYPE_F32 : np_float_dtype(dtype);
}

tt_node *np_rule_binary_float(tt_np *call) { return binary(call, call->function->op, both_float_dtype(call)); }

tt_node *np_rule_divmod(tt_np *call) {
  const tt_dtype dtype = number_dtype(call);
  np_give(call, np_binary(call, TT_OP_floor_divide, call->args[0], call->args[1], dtype));
  np_give(call, np_binary(call, TT_OP_remainder, call->args[0], call->args[1], dtype));
  return NULL;
}

tt_node *np_rule_compare(tt_np *call) {
  return np_binary(call, call->function->op, call->args[0], call->args[1], both_dtype(call));
}

tt_node *np_rule_logical(tt_np *call) {
  return np_binary(call, call->function->op, call->args[0], call->args[1], TT_DTYPE_BOOL);
}

tt_node *np_rule_bitwise(tt_np *call) {
  const tt_dtype dtype = both_dtype(call);
  if (tt_dtype_is_floating(dtype)) np_fail(call, TT_ERR_DTYPE, "it is not defined for %s", tt_dtype_name(dtype));
  return np_binary(call, call->function->op, call->args[0], call->args[1], dtype);
}

/* maximum and minimum where the other one is NaN. */
tt_node *np_rule_without_nan(tt_np *call) {
  const tt_dtype dtype = both_dtype(call);
  tt_node *like = np_first_array(call, call->args, 2);
  if (call->status != TT_OK) return NULL;
  tt_node *x1 = np_lift(call, call->args[0], like, dtype), *x2 = np_lift(call, call->args[1], like, dtype);
  tt_node *chosen = np_op(call, call->function->op, (tt_value[]){V(x1), V(x2)}, 2);
  if (!tt_dtype_is_floating(dtype)) return chosen;
  tt_node *without_second = OP(call, where, V(OP(call, isnan, V(x2))), V(x1), V(chosen));
  return OP(call, where, V(OP(call, isnan, V(x1))), V(x2), V(without_second));
}

/* (a, a_min, a_max) */
tt_node *np_rule_clip(tt_np *call) {
  if (!np_has(call, 1) && !np_has(call, 2)) np_fail(call, TT_ERR_ARGUMENT, "one of a_min and a_max must be given");
  if (call->status != TT_OK) return NULL;
  tt_dtype dtype = tt_numpy_result_type(call->args, 3);
  tt_node *a = np_cast(call, np_array(call, 0), dtype);
  /* NumPy has no clip for bool; its answer is that of minimum and maximum. */
  if (np_has(call, 1)) a = np_binary(call, TT_OP_maximum, V(a), call->args[1], dtype);
  if (np_has(call, 2) && call->status == TT_OK) a = np_binary(call, TT_OP_minimum, V(a), call->args[2], dtype);
  return a;
}

/* (condition, x, y) */
tt_node *np_rule_where(tt_np *call) {
  tt_node *condition = np_array(call, 0);
  const tt_dtype dtype = tt_numpy_result_type(call->args + 1, 2);
  tt_node *x = np_lift(call, call->args[1], condition, dtype), *y = np_lift(call, call->args[2], condition, dtype);
  return OP(call, where, V(np_truth(call, condition)), V(x), V(y));
}

/* ---- whether arrays agree ---- */

/* (a, b, rtol=1e-05, atol=1e-08, equal_nan=False) */
static tt_node *close(tt_np *call) {
  np_first_array(call, call->args, 2);
  if (call->status != TT_OK) return NULL;
  tt_node *like = np_first_array(call, call->args, 2);
  tt_node *a = np_lift(call, call->args[0], like, quotient_dtype(call)),
          *b = np_lift(call, call->args[1], like, quotient_dtype(call));
  const double rtol = call->args[2].as.real, atol = call->args[3].as.real;
  tt_node *allowed = OP(call, add, V(OP(call, mul, V(OP(call, abs, V(b))), tt_float(rtol))), tt_float(atol));
  tt_node *is_near = OP(call, le, V(OP(call, abs, V(OP(call, sub, V(a), V(b))))), V(allowed));
  tt_node *are_finite = OP(call, logical_and, V(OP(call, isfinite, V(a))), V(OP(call, isfinite, V(b))));
  tt_node *is_close = OP(call, where, V(are_finite), V(is_near), V(OP(call, eq, V(a), V(b))));
  if (!np_bool(call, 4)) return is_close;
  tt_node *are_nan = OP(call, logical_and, V(OP(call, isnan, V(a))), V(OP(call, isnan, V(b))));
  return OP(call, logical_or, V(is_close), V(are_nan));
}

tt_node *np_rule_isclose(tt_np *call) { return close(call); }
tt_node *np_rule_allclose(tt_np *call) { return OP(call, all, V(close(call))); }

/* (a1, a2) */
tt_node *np_rule_array_equal(tt_np *call) {
  tt_node *a1 = np_array(call, 0), *a2 = np_array(call, 1);
  const tt_shape *first = np_shape(call, a1), *second = np_shape(call, a2);
  if (call->status != TT_OK) return NULL;
  if (!tt_shape_equal(first, second)) return np_lift(call, tt_bool(false), a1, TT_DTYPE_BOOL);
  return OP(call, all, V(np_binary(call, TT_OP_eq, V(a1), V(a2), tt_numpy_result_type(call->args, 2))));
}

/* ---- made of others ---- */

/* (x1, x2): by the larger of both, so that no square overflows. */
tt_node *np_rule_hypot(tt_np *call) {
  const tt_dtype dtype = both_float_dtype(call);
  tt_node *like = np_first_array(call, call->args, 2);
  if (call->status != TT_OK) return NULL;
  tt_node *x1 = OP(call, abs, V(np_lift(call, call->args[0], like, dtype))),
          *x2 = OP(call, abs, V(np_lift(call, call->args[1], like, dtype)));
  tt_node *large = OP(call, maximum, V(x1), V(x2)), *small = OP(call, minimum, V(x1), V(x2));
  /* Where the larger is 0 or infinite it is the answer, even beside NaN when it is infinite. */
  tt_node *ratio = OP(call, div, V(small), V(large));
  tt_node *length = OP(call, mul, V(large), V(OP(call, sqrt, V(OP(call, add, V(OP(call, square, V(ratio))), tt_int(1))))));
  length = OP(call, where, V(OP(call, eq, V(large), tt_int(0))), V(large), V(length));
  tt_node *is_infinite = OP(call, logical_or, V(OP(call, isinf, V(x1))), V(OP(call, isinf, V(x2))));
  return OP(call, masked_fill, V(length), V(is_infinite), tt_float(INFINITY));
}

/* log(exp(x1) + exp(x2)) in steps that do not overflow, of bases e and 2. */
static tt_node *logaddexp(tt_np *call, double base_log) {
  const tt_dtype dtype = both_float_dtype(call);
  tt_node *like = np_first_array(call, call->args, 2);
  if (call->status != TT_OK) return NULL;
  tt_node *x1 = np_lift(call, call->args[0], like, dtype), *x2 = np_lift(call, call->args[1], like, dtype);
  tt_node *apart = OP(call, abs, V(OP(call, sub, V(x1), V(x2))));
  tt_node *tail = OP(call, log1p, V(OP(call, exp, V(OP(call, mul, V(apart), tt_float(-base_log))))));
  tt_node *sum = OP(call, add, V(OP(call, maximum, V(x1), V(x2))), V(OP(call, div, V(tail), tt_float(base_log))));
  /* Two infinities of one sign have no difference. */
  return OP(call, where, V(OP(call, eq, V(x1), V(x2))), V(OP(call, add, V(x1), tt_float(log(2) / base_log))), V(sum));
}

tt_node *np_rule_logaddexp(tt_np *call) { return logaddexp(call, 1); }
tt_node *np_rule_logaddexp2(tt_np *call) { return logaddexp(call, log(2)); }

/* (x1, x2): 0 below zero, 1 above it, x2 at it. */
tt_node *np_rule_heaviside(tt_np *call) {
  const tt_dtype dtype = both_float_dtype(call);
  tt_node *like = np_first_array(call, call->args, 2);
  if (call->status != TT_OK) return NULL;
  tt_node *x1 = np_lift(call, call->args[0], like, dtype), *x2 = np_lift(call, call->args[1], like, dtype);
  tt_node *step = OP(call, to, V(OP(call, gt, V(x1), tt_int(0))), tt_dtype_value(dtype));
  step = OP(call, where, V(OP(call, isnan, V(x1))), V(x1), V(step));
  return OP(call, where, V(OP(call, eq, V(x1), tt_int(0))), V(x2), V(step));
}

/* (x): sin(pi x) / (pi x). */
tt_node *np_rule_sinc(tt_np *call) {
  /* Without dimensions NumPy counts in Python's floats. */
  tt_node *given = np_array(call, 0);
  tt_node *x = np_ndim(call, given) == 0 ? np_cast(call, given, TT_DTYPE_F64) : np_as_float(call, given);
  tt_node *y = OP(call, mul, V(x), tt_float(pi));
  tt_node *one = np_lift(call, tt_float(1), x, np_dtype(x));
  return OP(call, where, V(OP(call, eq, V(x), tt_int(0))), V(one), V(OP(call, div, V(OP(call, sin, V(y))), V(y))));
}

/* (x): towards zero. */
tt_node *np_rule_fix(tt_np *call) {
  tt_node *x = np_array(call, 0);
  return OP(call, trunc, V(np_cast(call, x, np_float_dtype(np_dtype(x)))));
}

tt_node *np_rule_isposinf(tt_np *call) { return OP(call, eq, V(np_array(call, 0)), tt_float(INFINITY)); }
tt_node *np_rule_isneginf(tt_np *call) { return OP(call, eq, V(np_array(call, 0)), tt_float(-INFINITY)); }
