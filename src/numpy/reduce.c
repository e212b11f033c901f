/* reduce: functions over axes. */
#include <math.h>

#include "numpy/call.h"
#include "numpy/rules.h"

/* Axes as an op takes them; strict: an array without dimensions has no axis 0 either. NumPy reduces over no axis when the list is empty, where PyTorch reduces over all: one axis of size 1 more serves. */
static tt_value axes_for(tt_np *call, int i, tt_node **array, bool keepdims, bool *is_kept, bool is_strict) {
  *is_kept = keepdims;
  const tt_value axes = is_strict ? np_axes(call, i, *array, keepdims) : np_axes_reduced(call, i, *array, keepdims);
  if (call->status != TT_OK || axes.type == TT_VALUE_NONE || axes.n > 0) return axes;
  *array = OP(call, unsqueeze, V(*array), tt_int(-1));
  *is_kept = false;
  return np_ints(call, (int64_t[]){-1}, 1);
}

/* (a, axis=None, dtype=None, keepdims=False) */
tt_node *np_rule_sum(tt_np *call) {
  tt_node *a = np_array(call, 0);
  bool is_kept;
  const tt_value axes = axes_for(call, 1, &a, np_bool(call, 3), &is_kept, false);
  return OP(call, sum, V(a), axes, tt_bool(is_kept), call->args[2]);
}

tt_node *np_rule_mean(tt_np *call) {
  tt_node *a = np_array(call, 0);
  bool is_kept;
  const tt_value axes = axes_for(call, 1, &a, np_bool(call, 3), &is_kept, true);
  const tt_dtype dtype = np_dtype_or(call, 2, np_is_floating(np_array(call, 0)) ? np_dtype(np_array(call, 0)) : TT_DTYPE_F64);
  return OP(call, mean, V(np_cast(call, a, dtype)), axes, tt_bool(is_kept));
}

tt_node *np_rule_prod(tt_np *call) {
  tt_node *a = np_array(call, 0);
  const tt_value axes = np_axes_reduced(call, 1, a, true);
  const tt_dtype dtype = np_dtype_or(call, 2, np_is_floating(a) ? np_dtype(a) : TT_DTYPE_I64);
  return np_cast(call, np_over_axes(call, TT_OP_prod, np_cast(call, a, dtype), axes, np_bool(call, 3)), dtype);
}

/* (a, axis=None, dtype=None, ddof=0, keepdims=False) */
tt_node *np_rule_variance(tt_np *call) {
  tt_node *a = np_array(call, 0);
  bool is_kept;
  const tt_value axes = axes_for(call, 1, &a, np_bool(call, 4), &is_kept, true);
  const tt_dtype dtype = np_dtype_or(call, 2, np_is_floating(np_array(call, 0)) ? np_dtype(np_array(call, 0)) : TT_DTYPE_F64);
  const tt_value args[] = {V(np_cast(call, a, dtype)), axes, tt_bool(true), tt_bool(is_kept), call->args[3]};
  return np_op(call, call->function->op, args, 5);
}

/* (a, axis=None, keepdims=False) */
tt_node *np_rule_extreme(tt_np *call) {
  tt_node *a = np_array(call, 0);
  bool is_kept;
  const tt_value axes = axes_for(call, 1, &a, np_bool(call, 2), &is_kept, false);
  return np_op(call, call->function->op,
               (tt_value[]){V(a), axes.type == TT_VALUE_NONE ? np_ints(call, NULL, 0) : axes, tt_bool(is_kept)}, 3);
}

tt_node *np_rule_ptp(tt_np *call) {
  if (np_dtype(np_array(call, 0)) == TT_DTYPE_BOOL) np_fail(call, TT_ERR_DTYPE, "it is not defined for bool");
  tt_node *a = np_array(call, 0);
  bool is_kept;
  tt_value axes = axes_for(call, 1, &a, np_bool(call, 2), &is_kept, false);
  if (axes.type == TT_VALUE_NONE) axes = np_ints(call, NULL, 0);
  return OP(call, sub, V(OP(call, amax, V(a), axes, tt_bool(is_kept))), V(OP(call, amin, V(a), axes, tt_bool(is_kept))));
}

/* (a, axis=None, keepdims=False): one axis, or the place among all elements. */
tt_node *np_rule_arg_extreme(tt_np *call) {
  tt_node *a = np_array(call, 0);
  if (np_dtype(a) == TT_DTYPE_BOOL) a = np_cast(call, a, TT_DTYPE_U8);
  if (np_has(call, 1)) {
    const tt_value axes = np_axes_reduced(call, 1, a, true);
    if (axes.n == 0) return np_op(call, call->function->op, (tt_value[]){V(a)}, 1);
    return np_op(call, call->function->op, (tt_value[]){V(a), tt_int(axes.as.ints[0]), tt_bool(np_bool(call, 2))}, 3);
  }
  tt_node *place = np_op(call, call->function->op, (tt_value[]){V(a)}, 1);
  if (!np_bool(call, 2)) return place;
  int64_t ones[TT_MAX_DIMS];
  const int n_dims = np_ndim(call, a);
  for (int i = 0; i < n_dims; i++) ones[i] = 1;
  return OP(call, reshape, V(place), np_ints(call, ones, (size_t)n_dims));
}

/* (a, axis=None, keepdims=False): any and all. */
tt_node *np_rule_truth_over(tt_np *call) {
  tt_node *a = np_truth(call, np_array(call, 0));
  if (!np_has(call, 1) && !np_bool(call, 2)) return np_op(call, call->function->op, (tt_value[]){V(a)}, 1);
  return np_over_axes(call, call->function->op, a, np_axes_reduced(call, 1, a, true), np_bool(call, 2));
}

tt_node *np_rule_count_nonzero(tt_np *call) {
  tt_node *a = np_truth(call, np_array(call, 0));
  bool is_kept;
  const tt_value axes = axes_for(call, 1, &a, np_bool(call, 2), &is_kept, false);
  return OP(call, sum, V(a), axes, tt_bool(is_kept));
}

/* Without the elements that are NaN. */

static tt_node *without_nan(tt_np *call, double instead) {
  tt_node *a = np_array(call, 0);
  if (!np_is_floating(a)) return a;
  return OP(call, masked_fill, V(a), V(OP(call, isnan, V(a))), tt_float(instead));
}

/* (a, axis=None, dtype=None, keepdims=False) */
tt_node *np_rule_nansum(tt_np *call) {
  tt_node *a = without_nan(call, 0);
  bool is_kept;
  const tt_value axes = axes_for(call, 1, &a, np_bool(call, 3), &is_kept, false);
  return OP(call, sum, V(a), axes, tt_bool(is_kept), call->args[2]);
}

tt_node *np_rule_nanmean(tt_np *call) {
  tt_node *a = np_array(call, 0);
  if (!np_is_floating(a)) return np_rule_mean(call);
  tt_node *sum = np_rule_nansum(call);
  tt_node *counted = OP(call, logical_not, V(OP(call, isnan, V(a))));
  bool is_kept;
  const tt_value axes = axes_for(call, 1, &counted, np_bool(call, 3), &is_kept, false);
  if (call->status != TT_OK) return NULL;
  tt_node *n = OP(call, sum, V(counted), axes, tt_bool(is_kept), tt_dtype_value(np_dtype(sum)));
  return OP(call, div, V(sum), V(n));
}

/* (a, axis=None, keepdims=False): nanmax and nanmin. NaN where there is nothing else. */
static tt_node *nan_extreme(tt_np *call, double instead) {
  tt_node *a = np_array(call, 0), *filled = without_nan(call, instead);
  bool is_kept;
  tt_value axes = axes_for(call, 1, &filled, np_bool(call, 2), &is_kept, false);
  if (axes.type == TT_VALUE_NONE) axes = np_ints(call, NULL, 0);
  tt_node *extreme = np_op(call, call->function->op, (tt_value[]){V(filled), axes, tt_bool(is_kept)}, 3);
  if (!np_is_floating(a)) return extreme;
  tt_node *are_nan = OP(call, isnan, V(a));
  axes = axes_for(call, 1, &are_nan, np_bool(call, 2), &is_kept, false);
  if (axes.type == TT_VALUE_NONE) axes = np_ints(call, NULL, 0);
  tt_node *are_all = OP(call, amin, V(are_nan), axes, tt_bool(is_kept));
  return OP(call, masked_fill, V(extreme), V(are_all), tt_float(NAN));
}

tt_node *np_rule_nanmax(tt_np *call) { return nan_extreme(call, -INFINITY); }
tt_node *np_rule_nanmin(tt_np *call) { return nan_extreme(call, INFINITY); }

/* (a, axis=None, dtype=None, keepdims=False) */
tt_node *np_rule_nanprod(tt_np *call) {
  tt_node *a = without_nan(call, 1);
  const tt_dtype dtype = np_dtype_or(call, 2, np_is_floating(a) ? np_dtype(a) : TT_DTYPE_I64);
  const tt_value axes = np_axes_reduced(call, 1, a, true);
  return np_cast(call, np_over_axes(call, TT_OP_prod, np_cast(call, a, dtype), axes, np_bool(call, 3)), dtype);
}

/* ---- order ---- */

static tt_node *sorted_along(tt_np *call, tt_node *a, int64_t axis) {
  const bool is_bool = np_dtype(a) == TT_DTYPE_BOOL;
  tt_node *sorted = OP(call, sort, V(is_bool ? np_cast(call, a, TT_DTYPE_U8) : a), tt_int(axis));
  return is_bool ? np_cast(call, sorted, TT_DTYPE_BOOL) : sorted;
}

/* (a, axis=-1): None is over all elements. */
tt_node *np_rule_sort(tt_np *call) {
  tt_node *a = np_has(call, 1) ? np_array(call, 0) : np_flat(call, np_array(call, 0));
  const int64_t axis = np_has(call, 1) ? np_axis_of(call, np_int(call, 1), np_ndim(call, a)) : 0;
  return call->status == TT_OK ? sorted_along(call, a, axis) : NULL;
}

/* An array without dimensions counts as one of a single element where NumPy says so; without an axis all elements are in a row. */
static tt_node *in_row(tt_np *call, int axis_at) {
  tt_node *a = np_array(call, 0);
  return np_has(call, axis_at) && np_ndim(call, a) > 0 ? a : np_flat(call, a);
}

tt_node *np_rule_argsort(tt_np *call) {
  tt_node *a = in_row(call, 1);
  const int64_t axis = np_has(call, 1) ? np_axis_of(call, np_int(call, 1), np_ndim(call, a)) : 0;
  if (call->status != TT_OK) return NULL;
  return OP(call, argsort, V(np_dtype(a) == TT_DTYPE_BOOL ? np_cast(call, a, TT_DTYPE_U8) : a), tt_int(axis));
}

/* The axes of argument 1 as the last one, and how its places look with keepdims. */
static tt_node *axes_as_last(tt_np *call, tt_node *a, tt_value axes, tt_value *kept) {
  const tt_shape shape = *np_shape(call, a);
  int64_t order[TT_MAX_DIMS], sizes[TT_MAX_DIMS], kept_sizes[TT_MAX_DIMS];
  bool is_over[TT_MAX_DIMS] = {false};
  size_t n = 0, n_order = 0;
  for (uint32_t i = 0; i < axes.n; i++) is_over[axes.as.ints[i]] = true;
  int64_t n_over = 1;
  for (int d = 0; d < shape.n_dims; d++) {
    kept_sizes[d] = is_over[d] ? 1 : shape.dims[d];
    if (is_over[d]) {
      n_over *= shape.dims[d];
      continue;
    }
    order[n_order++] = d;
    sizes[n++] = shape.dims[d];
  }
  for (int d = 0; d < shape.n_dims; d++) {
    if (is_over[d]) order[n_order++] = d;
  }
  if (n == TT_MAX_DIMS) np_fail(call, TT_ERR_SHAPE, "an array of %d dimensions needs an axis to go over", TT_MAX_DIMS);
  if (call->status != TT_OK) return NULL;
  sizes[n++] = n_over;
  *kept = np_ints(call, kept_sizes, (size_t)shape.n_dims);
  return OP(call, reshape, V(OP(call, permute, V(a), np_ints(call, order, n_order))), np_ints(call, sizes, n));
}

/* (a, axis=None, keepdims=False): the middle, or the mean of the two middles. NaN when there is one. */
tt_node *np_rule_median(tt_np *call) {
  tt_node *a = np_as_float(call, np_array(call, 0));
  tt_value kept;
  tt_node *rows = axes_as_last(call, a, np_axes(call, 1, a, true), &kept);
  if (call->status != TT_OK) return NULL;
  const tt_shape *shape = np_shape(call, rows);
  const int64_t n = shape->dims[shape->n_dims - 1];
  if (n == 0) np_fail(call, TT_ERR_SHAPE, "there is no middle among no elements");
  tt_node *sorted = OP(call, sort, V(rows), tt_int(-1));
  tt_node *middle = OP(call, narrow, V(sorted), tt_int(-1), tt_int((n - 1) / 2), tt_int(n % 2 == 0 ? 2 : 1));
  tt_node *median = OP(call, mean, V(middle), np_ints(call, (int64_t[]){-1}, 1));
  tt_node *last = OP(call, select, V(sorted), tt_int(-1), tt_int(n - 1)); /* NaN goes last */
  median = OP(call, where, V(OP(call, isnan, V(last))), V(last), V(median));
  return np_bool(call, 2) ? OP(call, reshape, V(median), kept) : median;
}

/* (a, q, axis=None, keepdims=False): between the two nearest elements, in a straight line. */
static tt_node *quantile(tt_np *call, double q) {
  if (!(q >= 0 && q <= 1)) np_fail(call, TT_ERR_ARGUMENT, "quantiles lie between 0 and 1, percentiles between 0 and 100");
  if (np_dtype(np_array(call, 0)) == TT_DTYPE_BOOL) np_fail(call, TT_ERR_DTYPE, "it is not defined for bool; use astype");
  tt_node *a = np_cast(call, np_array(call, 0), TT_DTYPE_F64);
  tt_value kept;
  tt_node *rows = axes_as_last(call, a, np_axes(call, 2, a, true), &kept);
  if (call->status != TT_OK) return NULL;
  const tt_shape *shape = np_shape(call, rows);
  const int64_t n = shape->dims[shape->n_dims - 1];
  if (n == 0) np_fail(call, TT_ERR_SHAPE, "there is no quantile of no elements");
  const double place = q * (double)(n - 1);
  const int64_t below = (int64_t)place, above = below + 1 < n ? below + 1 : below;
  const double part = place - (double)below;
  tt_node *sorted = OP(call, sort, V(rows), tt_int(-1));
  tt_node *low = OP(call, select, V(sorted), tt_int(-1), tt_int(below)),
          *high = OP(call, select, V(sorted), tt_int(-1), tt_int(above));
  tt_node *step = OP(call, sub, V(high), V(low));
  /* From the nearer end, as NumPy does. */
  tt_node *between = part < 0.5 ? OP(call, add, V(low), V(OP(call, mul, V(step), tt_float(part))))
                                : OP(call, sub, V(high), V(OP(call, mul, V(step), tt_float(1 - part))));
  tt_node *last = OP(call, select, V(sorted), tt_int(-1), tt_int(n - 1));
  between = OP(call, where, V(OP(call, isnan, V(last))), V(last), V(between));
  return np_bool(call, 3) ? OP(call, reshape, V(between), kept) : between;
}

tt_node *np_rule_quantile(tt_np *call) { return quantile(call, call->args[1].as.real); }
tt_node *np_rule_percentile(tt_np *call) { return quantile(call, call->args[1].as.real / 100); }

/* (a, axis=None, weights=None) */
tt_node *np_rule_average(tt_np *call) {
  tt_node *a = np_as_float(call, np_array(call, 0));
  if (!np_has(call, 2)) {
    const tt_value axes = np_axes(call, 1, a, true);
    return OP(call, mean, V(a), axes);
  }
  const tt_dtype dtype = tt_numpy_promote(np_dtype(a), np_dtype(np_array(call, 2)));
  tt_node *weights = np_cast(call, np_array(call, 2), dtype);
  const int n_dims = np_ndim(call, a);
  const bool is_along = call->status == TT_OK && !tt_shape_equal(np_shape(call, a), np_shape(call, weights));
  tt_value axes = np_axes(call, 1, a, true);
  if (is_along) {
    /* One weight a place along the one axis. */
    if (!np_has(call, 1) || axes.n != 1 || np_ndim(call, weights) != 1)
      np_fail(call, TT_ERR_SHAPE, "weights that do not have the shape of a are a vector along one axis");
    if (call->status != TT_OK) return NULL;
    int64_t sizes[TT_MAX_DIMS];
    for (int d = 0; d < n_dims; d++) sizes[d] = d == axes.as.ints[0] ? -1 : 1;
    weights = OP(call, reshape, V(weights), np_ints(call, sizes, (size_t)n_dims));
  }
  tt_node *weighted = OP(call, mul, V(np_cast(call, a, dtype)), V(weights));
  return OP(call, div, V(OP(call, sum, V(weighted), axes)), V(OP(call, sum, V(weights), axes)));
}

/* ---- running ---- */

/* (a, axis=None, dtype=None): cumsum and cumprod. */
tt_node *np_rule_running(tt_np *call) {
  tt_node *a = in_row(call, 1);
  const int64_t axis = np_has(call, 1) ? np_axis_of(call, np_int(call, 1), np_ndim(call, a)) : 0;
  return np_op(call, call->function->op, (tt_value[]){V(a), tt_int(axis), call->args[2]}, 3);
}

/* (a, n=1, axis=-1) */
tt_node *np_rule_diff(tt_np *call) {
  tt_node *a = np_array(call, 0);
  const int64_t times = np_int(call, 1);
  const int n_dims = np_ndim(call, a);
  if (times == 0) return a;
  if (n_dims == 0) np_fail(call, TT_ERR_SHAPE, "it needs an array with at least one dimension");
  if (times < 0) np_fail(call, TT_ERR_ARGUMENT, "order must be non-negative, not %lld", (long long)times);
  const int64_t axis = np_axis_of(call, np_int(call, 2), n_dims);
  for (int64_t i = 0; i < times && call->status == TT_OK; i++) {
    const int64_t size = np_shape(call, a)->dims[axis];
    if (size == 0) break;
    tt_node *later = OP(call, narrow, V(a), tt_int(axis), tt_int(1), tt_int(size - 1));
    tt_node *earlier = OP(call, narrow, V(a), tt_int(axis), tt_int(0), tt_int(size - 1));
    if (call->status != TT_OK) return NULL;
    a = np_dtype(a) == TT_DTYPE_BOOL ? OP(call, ne, V(later), V(earlier)) : OP(call, sub, V(later), V(earlier));
  }
  return a;
}
