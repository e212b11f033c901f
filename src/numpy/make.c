/* make: arrays from numbers. */
#include <math.h>

#include "numpy/call.h"
#include "numpy/rules.h"

/* (shape, dtype=float64): zeros, ones, empty. */
tt_node *np_rule_filled(tt_np *call) { return np_op(call, call->function->op, (tt_value[]){call->args[0], call->args[1]}, 2); }

static tt_dtype dtype_of_number(const tt_value *number) { return tt_numpy_result_type(number, 1); }

/* (shape, fill_value, dtype=None) */
tt_node *np_rule_full(tt_np *call) {
  const tt_dtype dtype = np_dtype_or(call, 2, dtype_of_number(&call->args[1]));
  return OP(call, full, call->args[0], np_cast_value(call, call->args[1], dtype), tt_dtype_value(dtype));
}

/* (a, dtype=None): zeros_like, ones_like, empty_like. */
tt_node *np_rule_filled_like(tt_np *call) {
  return np_op(call, call->function->op, (tt_value[]){call->args[0], call->args[1]}, 2);
}

/* (a, fill_value, dtype=None) */
tt_node *np_rule_full_like(tt_np *call) {
  const tt_dtype dtype = np_dtype_or(call, 2, np_dtype(np_array(call, 0)));
  return OP(call, full_like, call->args[0], np_cast_value(call, call->args[1], dtype), tt_dtype_value(dtype));
}

static double number_of(const tt_value *scalar) {
  if (scalar->type == TT_VALUE_BOOL) return scalar->as.boolean ? 1 : 0;
  return scalar->type == TT_VALUE_INT ? (double)scalar->as.integer : scalar->as.real;
}

/* (start, stop=None, step=1, dtype=None): one number is where it stops. */
tt_node *np_rule_arange(tt_np *call) {
  const tt_value start = np_has(call, 1) ? call->args[0] : tt_int(0), stop = np_has(call, 1) ? call->args[1] : call->args[0];
  const tt_value numbers[] = {start, stop, call->args[2]};
  tt_dtype dtype = tt_numpy_result_type(numbers, 3);
  if (dtype == TT_DTYPE_BOOL) dtype = TT_DTYPE_I64;
  dtype = np_dtype_or(call, 3, dtype);
  if (number_of(&call->args[2]) == 0) np_fail(call, TT_ERR_ARGUMENT, "the step must not be zero");
  if (call->status != TT_OK) return NULL;
  /* NumPy answers nothing where PyTorch refuses bounds on the wrong side. */
  const bool is_empty = (number_of(&stop) - number_of(&start)) / number_of(&call->args[2]) <= 0;
  if (is_empty) return OP(call, zeros, np_ints(call, (int64_t[]){0}, 1), tt_dtype_value(dtype));
  const bool is_whole = tt_numpy_result_type(numbers, 3) != TT_DTYPE_F64;
  if (is_whole || tt_dtype_is_floating(dtype)) return OP(call, arange, start, stop, call->args[2], tt_dtype_value(dtype));
  /* As many as there would be floats; the first two, cut to integers, say how they go on. */
  const double from = number_of(&start), step = number_of(&call->args[2]);
  const int64_t n = (int64_t)ceil((number_of(&stop) - from) / step), first = (int64_t)from, second = (int64_t)(from + step);
  tt_node *places = OP(call, arange, tt_int(n), tt_none(), tt_int(1), tt_dtype_value(TT_DTYPE_I64));
  return np_cast(call, OP(call, add, V(OP(call, mul, V(places), tt_int(second - first))), tt_int(first)), dtype);
}

/* As NumPy: steps from the start on, and the end exactly. */
static tt_node *evenly(tt_np *call, double start, double stop, int64_t n, bool has_end) {
  if (n < 0) np_fail(call, TT_ERR_ARGUMENT, "number of samples, %lld, must be non-negative", (long long)n);
  const int64_t n_steps = has_end ? n - 1 : n, n_stepped = has_end && n > 1 ? n - 1 : n;
  const double step = n_steps > 0 ? (stop - start) / (double)n_steps : 0;
  tt_node *places = OP(call, arange, tt_int(0), tt_int(n_stepped), tt_int(1), tt_dtype_value(TT_DTYPE_F64));
  tt_node *numbers = OP(call, add, V(OP(call, mul, V(places), tt_float(step))), tt_float(start));
  if (n_stepped == n) return numbers;
  tt_node *end = OP(call, full, np_ints(call, (int64_t[]){1}, 1), tt_float(stop), tt_dtype_value(TT_DTYPE_F64));
  tt_operand *both[] = {(tt_operand *)(void *)numbers, (tt_operand *)(void *)end};
  return OP(call, cat, tt_operands_value(both, 2), tt_int(0));
}

/* As NumPy casts to integers: down. */
static tt_node *in_dtype(tt_np *call, tt_node *numbers, int i) {
  if (!np_has(call, i)) return numbers;
  const tt_dtype dtype = call->args[i].as.dtype;
  return np_cast(call, tt_dtype_is_floating(dtype) ? numbers : OP(call, floor, V(numbers)), dtype);
}

/* (start, stop, num=50, endpoint=True, dtype=None) */
tt_node *np_rule_linspace(tt_np *call) {
  return in_dtype(call, evenly(call, number_of(&call->args[0]), number_of(&call->args[1]), np_int(call, 2), np_bool(call, 3)),
                  4);
}

/* (start, stop, num=50, endpoint=True, base=10.0) */
tt_node *np_rule_logspace(tt_np *call) {
  tt_node *exponents = evenly(call, number_of(&call->args[0]), number_of(&call->args[1]), np_int(call, 2), np_bool(call, 3));
  if (call->status != TT_OK) return NULL;
  return np_binary(call, TT_OP_pow, tt_float(call->args[4].as.real), V(exponents), TT_DTYPE_F64);
}

/* (N, M=None, k=0, dtype=float64) */
tt_node *np_rule_eye(tt_np *call) {
  const int64_t n = np_int(call, 0), m = np_has(call, 1) ? np_int(call, 1) : n, k = np_int(call, 2);
  if (k == 0) return OP(call, eye, tt_int(n), tt_int(m), call->args[3]);
  tt_node *ones = OP(call, ones, np_ints(call, (int64_t[]){n, m}, 2), call->args[3]);
  return OP(call, tril, V(OP(call, triu, V(ones), tt_int(k))), tt_int(k));
}

/* (n, dtype=float64) */
tt_node *np_rule_identity(tt_np *call) { return OP(call, eye, call->args[0], tt_none(), call->args[1]); }

/* (N, M=None, k=0, dtype=float64) */
tt_node *np_rule_tri(tt_np *call) {
  const int64_t n = np_int(call, 0), m = np_has(call, 1) ? np_int(call, 1) : n;
  return OP(call, tril, V(OP(call, ones, np_ints(call, (int64_t[]){n, m}, 2), call->args[3])), call->args[2]);
}

/* ---- random: the generator of the worker, or one that begins with `seed`; not NumPy's streams of numbers ---- */

/* (size=None, *, seed=None): rand and its other names, randn and its own. */
tt_node *np_rule_random(tt_np *call) {
  const tt_value size = np_has(call, 0) ? call->args[0] : np_ints(call, NULL, 0);
  return np_op(call, call->function->op, (tt_value[]){size, call->args[1], tt_dtype_value(TT_DTYPE_F64)}, 3);
}

/* (low=0.0, high=1.0, size=None, *, seed=None) */
tt_node *np_rule_uniform(tt_np *call) {
  const tt_value size = np_has(call, 2) ? call->args[2] : np_ints(call, NULL, 0);
  tt_node *unit = OP(call, rand, size, call->args[3], tt_dtype_value(TT_DTYPE_F64));
  const double low = call->args[0].as.real, high = call->args[1].as.real;
  return OP(call, add, V(OP(call, mul, V(unit), tt_float(high - low))), tt_float(low));
}

/* (loc=0.0, scale=1.0, size=None, *, seed=None) */
tt_node *np_rule_normal(tt_np *call) {
  const tt_value size = np_has(call, 2) ? call->args[2] : np_ints(call, NULL, 0);
  if (call->args[1].as.real < 0) np_fail(call, TT_ERR_ARGUMENT, "scale < 0");
  tt_node *normal = OP(call, randn, size, call->args[3], tt_dtype_value(TT_DTYPE_F64));
  return OP(call, add, V(OP(call, mul, V(normal), tt_float(call->args[1].as.real))), tt_float(call->args[0].as.real));
}

/* (low, high=None, size=None, dtype=int64, *, seed=None): one number is where it stops. */
tt_node *np_rule_randint(tt_np *call) {
  const tt_value size = np_has(call, 2) ? call->args[2] : np_ints(call, NULL, 0);
  const int64_t low = np_has(call, 1) ? np_int(call, 0) : 0, high = np_has(call, 1) ? np_int(call, 1) : np_int(call, 0);
  if (low >= high) np_fail(call, TT_ERR_ARGUMENT, "low >= high");
  return OP(call, randint, tt_int(low), tt_int(high), size, call->args[4], call->args[3]);
}

/* (n, *, seed=None) */
tt_node *np_rule_permutation(tt_np *call) { return OP(call, randperm, call->args[0], call->args[1]); }

/* (scale=1.0, size=None, *, seed=None) */
tt_node *np_rule_exponential(tt_np *call) {
  const tt_value size = np_has(call, 1) ? call->args[1] : np_ints(call, NULL, 0);
  if (call->args[0].as.real < 0) np_fail(call, TT_ERR_ARGUMENT, "scale < 0");
  tt_node *unit = OP(call, rand, size, call->args[2], tt_dtype_value(TT_DTYPE_F64));
  return OP(call, mul, V(OP(call, log1p, V(OP(call, neg, V(unit))))), tt_float(-call->args[0].as.real));
}
