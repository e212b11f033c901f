#include "numpy/call.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "chain/node.h"
#include "ops/promote.h"

void np_fail(tt_np *call, tt_status status, const char *format, ...) {
  if (call->status != TT_OK) return;
  char message[TT_ERROR_MESSAGE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  call->status = tt_fail(call->error, status, "np.%s: %s", call->function->signature.name, message);
}

static void hold(tt_np *call, tt_node **results, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (call->n_held < TT_NUMPY_MAX_HELD) {
      call->held[call->n_held++] = results[i];
    } else {
      tt_node_unref(results[i]);
      results[i] = NULL;
      np_fail(call, TT_ERR_FULL, "it takes more than %d steps", TT_NUMPY_MAX_HELD);
    }
  }
}

void np_op_all(tt_np *call, tt_op_number number, const tt_value *args, size_t n_args, tt_node *results[TT_MAX_RESULTS],
               size_t *n) {
  *n = 0;
  if (call->status != TT_OK) return;
  const tt_op *op = tt_op_get(number);
  const tt_numpy_target *target = call->target;
  size_t n_results = 0;
  tt_status status;
  if ((op->flags & TT_OP_FACTORY) != 0 && target->make != NULL) {
    status = target->make(target->host, op, args, n_args, results, &n_results, call->error);
  } else {
    status = tt_hook_call(target->hook, number, args, n_args, NULL, 0, results, &n_results, call->error);
  }
  if (status != TT_OK) {
    call->status = status;
    tt_error_prefix(call->error, "np.%s", call->function->signature.name);
    return;
  }
  hold(call, results, n_results);
  if (call->status == TT_OK) *n = n_results;
}

tt_node *np_op(tt_np *call, tt_op_number op, const tt_value *args, size_t n_args) {
  tt_node *results[TT_MAX_RESULTS];
  size_t n;
  np_op_all(call, op, args, n_args, results, &n);
  return n == 0 ? NULL : results[0];
}

void np_give(tt_np *call, tt_node *node) {
  if (call->status != TT_OK) return;
  if (call->n_answers == TT_MAX_RESULTS) {
    np_fail(call, TT_ERR_FULL, "it has more than %d results", TT_MAX_RESULTS);
    return;
  }
  call->answers[call->n_answers++] = node;
}

/* ---- arguments ---- */

bool np_has(const tt_np *call, int i) { return call->args[i].type != TT_VALUE_NONE; }

tt_node *np_array(const tt_np *call, int i) { return (tt_node *)(void *)call->args[i].as.operand; }

/* ---- what is known of an array ---- */

const tt_shape *np_shape(tt_np *call, const tt_node *node) {
  static const tt_shape none = {.n_dims = 0};
  if (call->status != TT_OK) return &none;
  const tt_shape *shape = &tt_node_meta(node)->shape;
  if (tt_shape_is_known(shape)) return shape;
  np_fail(call, TT_ERR_STATE,
          "the shape of an array depends on data elsewhere and is not known here yet; await ready() finds out");
  return &none;
}

int np_ndim(tt_np *call, const tt_node *node) { return np_shape(call, node)->n_dims; }

/* ---- lists of ints ---- */

tt_value np_ints(tt_np *call, const int64_t *ints, size_t n) {
  if (n > TT_NUMPY_MAX_INTS - call->n_ints) {
    np_fail(call, TT_ERR_FULL, "its lists have more than %d numbers", TT_NUMPY_MAX_INTS);
    return tt_ints(call->ints, 0);
  }
  int64_t *at = call->ints + call->n_ints;
  for (size_t i = 0; i < n; i++) at[i] = ints[i];
  call->n_ints += n;
  return tt_ints(at, (uint32_t)n);
}

int64_t np_axis_of(tt_np *call, int64_t axis, int n_dims) {
  if (axis >= -n_dims && axis < n_dims) return axis < 0 ? axis + n_dims : axis;
  np_fail(call, TT_ERR_INDEX, "axis %" PRId64 " is out of bounds for array of dimension %d", axis, n_dims);
  return 0;
}

static tt_value axes_of(tt_np *call, int i, tt_node *array, bool all, bool is_reduced) {
  const tt_value *given = &call->args[i];
  if (given->type == TT_VALUE_NONE && !all) return tt_none();
  const int n_dims = np_ndim(call, array);
  int64_t axes[TT_MAX_DIMS];
  size_t n = 0;
  if (given->type == TT_VALUE_NONE) {
    for (; n < (size_t)n_dims; n++) axes[n] = (int64_t)n;
    return np_ints(call, axes, n);
  }
  const uint32_t n_given = given->type == TT_VALUE_INT ? 1 : given->n;
  const int64_t *listed = given->type == TT_VALUE_INT ? &given->as.integer : given->as.ints;
  for (uint32_t k = 0; k < n_given && call->status == TT_OK; k++) {
    if (is_reduced && n_dims == 0 && (listed[k] == 0 || listed[k] == -1)) continue;
    const int64_t axis = np_axis_of(call, listed[k], n_dims);
    for (size_t j = 0; j < n; j++) {
      if (axes[j] == axis) np_fail(call, TT_ERR_ARGUMENT, "duplicate value in 'axis': %" PRId64, listed[k]);
    }
    if (n < TT_MAX_DIMS) axes[n++] = axis;
  }
  return np_ints(call, axes, n);
}

tt_value np_axes(tt_np *call, int i, tt_node *array, bool all) { return axes_of(call, i, array, all, false); }

tt_value np_axes_reduced(tt_np *call, int i, tt_node *array, bool all) { return axes_of(call, i, array, all, true); }

/* ---- dtypes ---- */

tt_node *np_cast(tt_np *call, tt_node *array, tt_dtype dtype) {
  if (call->status != TT_OK || np_dtype(array) == dtype) return array;
  return OP(call, to, V(array), tt_dtype_value(dtype));
}

static double number_of(const tt_value *scalar) {
  if (scalar->type == TT_VALUE_BOOL) return scalar->as.boolean ? 1 : 0;
  return scalar->type == TT_VALUE_INT ? (double)scalar->as.integer : scalar->as.real;
}

tt_value np_cast_value(tt_np *call, tt_value value, tt_dtype dtype) {
  if (value.type == TT_VALUE_OPERAND) {
    if (call->status != TT_OK) return value;
    return V(np_cast(call, (tt_node *)(void *)value.as.operand, dtype));
  }
  if (tt_dtype_is_floating(dtype)) return tt_float(number_of(&value));
  if (dtype == TT_DTYPE_BOOL) return tt_bool(number_of(&value) != 0);
  return value.type == TT_VALUE_BOOL ? tt_int(value.as.boolean) : value;
}

tt_node *np_lift(tt_np *call, tt_value value, tt_node *like, tt_dtype dtype) {
  if (call->status != TT_OK) return NULL;
  if (value.type == TT_VALUE_OPERAND) return np_cast(call, (tt_node *)(void *)value.as.operand, dtype);
  const tt_value scalar = np_cast_value(call, value, dtype);
  if (tt_local_tensor(tt_node_tail(like)) != NULL) {
    tt_node *results[TT_MAX_RESULTS];
    size_t n = 0;
    const tt_value args[] = {tt_ints(call->ints, 0), scalar, tt_dtype_value(dtype)};
    call->status = tt_hook_call(call->target->hook, TT_OP_full, args, 3, NULL, 0, results, &n, call->error);
    if (call->status != TT_OK) return NULL;
    hold(call, results, n);
    return results[0];
  }
  /* Elsewhere a number becomes an array by way of one that is there: the sum of none of its elements has no dimensions. */
  tt_node *none = OP(call, slice, V(np_flat(call, like)), tt_int(0), tt_int(0), tt_int(0));
  return OP(call, full_like, V(OP(call, sum, V(none))), scalar, tt_dtype_value(dtype));
}

tt_dtype np_float_dtype(tt_dtype dtype) {
  if (tt_dtype_is_floating(dtype)) return dtype;
  return dtype == TT_DTYPE_I32 || dtype == TT_DTYPE_I64 ? TT_DTYPE_F64 : TT_DTYPE_F32;
}

tt_node *np_as_float(tt_np *call, tt_node *array) {
  if (call->status != TT_OK || np_is_floating(array)) return array;
  return np_cast(call, array, TT_DTYPE_F64);
}

tt_dtype np_dtype_or(const tt_np *call, int i, tt_dtype otherwise) {
  return np_has(call, i) ? call->args[i].as.dtype : otherwise;
}

tt_node *np_first_array(tt_np *call, const tt_value *values, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (values[i].type == TT_VALUE_OPERAND) return (tt_node *)(void *)values[i].as.operand;
  }
  np_fail(call, TT_ERR_ARGUMENT, "one of its arguments must be an array");
  return NULL;
}

/* ---- small steps ---- */

tt_node *np_flat(tt_np *call, tt_node *array) { return OP(call, reshape, V(array), np_ints(call, (int64_t[]){-1}, 1)); }

tt_node *np_truth(tt_np *call, tt_node *array) { return np_cast(call, array, TT_DTYPE_BOOL); }

tt_node *np_over_axes(tt_np *call, tt_op_number op, tt_node *array, tt_value axes, bool keepdims) {
  bool is_over[TT_MAX_DIMS] = {false};
  for (uint32_t i = 0; i < axes.n; i++) is_over[axes.as.ints[i]] = true;
  for (int d = TT_MAX_DIMS - 1; d >= 0; d--) {
    if (!is_over[d]) continue;
    array = np_op(call, op, (tt_value[]){V(array), tt_int(d), tt_bool(keepdims)}, 3);
  }
  return array;
}

tt_node *np_binary(tt_np *call, tt_op_number op, tt_value x1, tt_value x2, tt_dtype dtype) {
  const tt_value both[] = {x1, x2};
  tt_node *like = np_first_array(call, both, 2);
  if (call->status != TT_OK) return NULL;
  tt_node *first = np_lift(call, x1, like, dtype);
  if (tt_op_get(op)->params[1].type == TT_PARAM_TENSOR)
    return np_op(call, op, (tt_value[]){V(first), V(np_lift(call, x2, like, dtype))}, 2);
  return np_op(call, op, (tt_value[]){V(first), np_cast_value(call, x2, dtype)}, 2);
}

/* ---- the call ---- */

static bool is_argument(const tt_np *call, const tt_node *node) {
  for (size_t i = 0; i < call->n_held; i++) {
    if (call->held[i] == node) return false;
  }
  return true;
}

/* A result never is an argument itself, which its owner may send away or free: at least a view of it. */
static void settle_answers(tt_np *call) {
  for (size_t i = 0; i < call->n_answers && call->status == TT_OK; i++) {
    if (!is_argument(call, call->answers[i])) continue;
    call->answers[i] = OP(call, expand_as, V(call->answers[i]), V(call->answers[i]));
  }
}

tt_status tt_numpy_call(const tt_numpy_target *target, const tt_numpy_function *function, const tt_value *args, size_t n_args,
                        tt_node **results, size_t *n_results, tt_error *error) {
  tt_error unread = {.status = TT_OK};
  tt_np call = {
      .target = target, .function = function, .given = args, .n_given = n_args, .error = error != NULL ? error : &unread};
  int64_t scratch[TT_MAX_PARAMS];
  call.status = tt_op_bind(&function->signature, args, n_args, call.args, scratch, call.error);
  if (call.status != TT_OK) {
    tt_error_prefix(call.error, "np");
    return call.status;
  }
  tt_node *answer = function->rule(&call);
  if (call.status == TT_OK && answer != NULL) np_give(&call, answer);
  settle_answers(&call);
  if (call.status == TT_OK) {
    for (size_t i = 0; i < call.n_answers; i++) results[i] = tt_node_ref(call.answers[i]);
    *n_results = call.n_answers;
  }
  for (size_t i = 0; i < call.n_held; i++) tt_node_unref(call.held[i]);
  return call.status;
}
