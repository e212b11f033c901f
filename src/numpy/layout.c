/* layout: the same elements in other shapes and orders, joined and split. */
#include <inttypes.h>

#include "numpy/call.h"
#include "numpy/rules.h"

/* (a, newshape) */
tt_node *np_rule_reshape(tt_np *call) { return OP(call, reshape, V(np_array(call, 0)), call->args[1]); }

tt_node *np_rule_ravel(tt_np *call) { return np_flat(call, np_array(call, 0)); }

/* (a, axes=None) */
tt_node *np_rule_transpose(tt_np *call) {
  tt_node *a = np_array(call, 0);
  const int n_dims = np_ndim(call, a);
  int64_t axes[TT_MAX_DIMS];
  for (int i = 0; i < n_dims; i++) axes[i] = n_dims - 1 - i;
  if (!np_has(call, 1)) return OP(call, permute, V(a), np_ints(call, axes, (size_t)n_dims));
  if (call->args[1].n != (uint32_t)n_dims)
    np_fail(call, TT_ERR_ARGUMENT, "axes don't match array: %u for %d dimensions", (unsigned)call->args[1].n, n_dims);
  return OP(call, permute, V(a), np_axes(call, 1, a, true));
}

/* (a, axis1, axis2) */
tt_node *np_rule_swapaxes(tt_np *call) {
  tt_node *a = np_array(call, 0);
  const int n_dims = np_ndim(call, a);
  return OP(call, transpose, V(a), tt_int(np_axis_of(call, np_int(call, 1), n_dims)),
            tt_int(np_axis_of(call, np_int(call, 2), n_dims)));
}

/* (a, source, destination) */
tt_node *np_rule_moveaxis(tt_np *call) {
  tt_node *a = np_array(call, 0);
  if (call->args[1].n != call->args[2].n)
    np_fail(call, TT_ERR_ARGUMENT, "source and destination must have the same number of elements");
  return OP(call, movedim, V(a), np_axes(call, 1, a, true), np_axes(call, 2, a, true));
}

/* (a, axis): places in the result. */
tt_node *np_rule_expand_dims(tt_np *call) {
  tt_node *a = np_array(call, 0);
  const int n_dims = np_ndim(call, a) + (int)call->args[1].n;
  bool is_new[TT_MAX_DIMS] = {false};
  if (n_dims > TT_MAX_DIMS) np_fail(call, TT_ERR_SHAPE, "an array has at most %d dimensions", TT_MAX_DIMS);
  for (uint32_t i = 0; i < call->args[1].n && call->status == TT_OK; i++) {
    const int64_t axis = np_axis_of(call, call->args[1].as.ints[i], n_dims);
    if (is_new[axis]) np_fail(call, TT_ERR_ARGUMENT, "repeated axis %" PRId64, axis);
    is_new[axis] = true;
  }
  for (int d = 0; d < n_dims && call->status == TT_OK; d++) {
    if (is_new[d]) a = OP(call, unsqueeze, V(a), tt_int(d));
  }
  return a;
}

/* (a, axis=None) */
tt_node *np_rule_squeeze(tt_np *call) {
  tt_node *a = np_array(call, 0);
  if (!np_has(call, 1)) return OP(call, squeeze, V(a));
  const tt_shape shape = *np_shape(call, a);
  const tt_value axes = np_axes(call, 1, a, true);
  bool is_gone[TT_MAX_DIMS] = {false};
  for (uint32_t i = 0; i < axes.n && call->status == TT_OK; i++) {
    is_gone[axes.as.ints[i]] = true;
    if (shape.dims[axes.as.ints[i]] == 1) continue;
    np_fail(call, TT_ERR_SHAPE,
            "cannot select an axis to squeeze out which has size not equal to one: axis %" PRId64 " has %" PRId64,
            axes.as.ints[i], shape.dims[axes.as.ints[i]]);
  }
  for (int d = shape.n_dims - 1; d >= 0; d--) {
    if (is_gone[d]) a = OP(call, squeeze, V(a), tt_int(d));
  }
  return a;
}

/* With ones in front until there are n dimensions. */
static tt_node *at_least(tt_np *call, tt_node *a, int n) {
  for (int i = np_ndim(call, a); i < n && call->status == TT_OK; i++) a = OP(call, unsqueeze, V(a), tt_int(0));
  return a;
}

tt_node *np_rule_atleast_1d(tt_np *call) { return at_least(call, np_array(call, 0), 1); }
tt_node *np_rule_atleast_2d(tt_np *call) { return at_least(call, np_array(call, 0), 2); }

/* (array, shape) */
tt_node *np_rule_broadcast_to(tt_np *call) { return OP(call, expand, V(np_array(call, 0)), call->args[1]); }

tt_node *np_rule_copy(tt_np *call) { return OP(call, clone, V(np_array(call, 0))); }

/* (a, dtype) */
tt_node *np_rule_astype(tt_np *call) { return OP(call, to, V(np_array(call, 0)), call->args[1]); }

/* (m, axis=None) */
tt_node *np_rule_flip(tt_np *call) { return OP(call, flip, V(np_array(call, 0)), np_axes(call, 1, np_array(call, 0), true)); }

static tt_node *flipped(tt_np *call, int axis, int least) {
  tt_node *m = np_array(call, 0);
  if (np_ndim(call, m) < least) np_fail(call, TT_ERR_SHAPE, "input must be >= %d-d", least);
  return OP(call, flip, V(m), np_ints(call, (int64_t[]){axis}, 1));
}
tt_node *np_rule_flipud(tt_np *call) { return flipped(call, 0, 1); }
tt_node *np_rule_fliplr(tt_np *call) { return flipped(call, 1, 2); }

static tt_node *joined(tt_np *call, tt_node *first, tt_node *second, int64_t axis) {
  tt_operand *both[] = {(tt_operand *)(void *)first, (tt_operand *)(void *)second};
  return OP(call, cat, tt_operands_value(both, 2), tt_int(axis));
}

static tt_node *rolled(tt_np *call, tt_node *a, int64_t shift, int64_t axis) {
  const int64_t size = np_shape(call, a)->dims[axis];
  if (call->status != TT_OK || size == 0) return a;
  const int64_t by = ((shift % size) + size) % size;
  if (by == 0) return a;
  tt_node *tail = OP(call, narrow, V(a), tt_int(axis), tt_int(size - by), tt_int(by));
  return joined(call, tail, OP(call, narrow, V(a), tt_int(axis), tt_int(0), tt_int(size - by)), axis);
}

/* (a, shift, axis=None): one shift for every axis, or one each. */
tt_node *np_rule_roll(tt_np *call) {
  tt_node *a = np_array(call, 0);
  const tt_value shifts = call->args[1];
  if (!np_has(call, 2)) {
    int64_t total = 0;
    for (uint32_t i = 0; i < shifts.n; i++) total += shifts.as.ints[i];
    const tt_shape shape = *np_shape(call, a);
    tt_node *flat = np_flat(call, a);
    tt_node *moved = call->status == TT_OK ? rolled(call, flat, total, 0) : NULL;
    return OP(call, reshape, V(moved), np_ints(call, shape.dims, (size_t)shape.n_dims));
  }
  const int n_dims = np_ndim(call, a);
  const uint32_t n_axes = call->args[2].n;
  if (shifts.n != 1 && n_axes != 1 && shifts.n != n_axes)
    np_fail(call, TT_ERR_ARGUMENT, "%u shifts do not go with %u axes", (unsigned)shifts.n, (unsigned)n_axes);
  const uint32_t n = shifts.n > n_axes ? shifts.n : n_axes;
  for (uint32_t i = 0; i < n && call->status == TT_OK; i++) {
    const int64_t axis = np_axis_of(call, call->args[2].as.ints[n_axes == 1 ? 0 : i], n_dims);
    if (call->status == TT_OK) a = rolled(call, a, shifts.as.ints[shifts.n == 1 ? 0 : i], axis);
  }
  return a;
}

/* (A, reps) */
tt_node *np_rule_tile(tt_np *call) {
  tt_node *a = np_array(call, 0);
  const int n_dims = np_ndim(call, a), n_reps = (int)call->args[1].n;
  int64_t reps[TT_MAX_DIMS];
  const int n = n_dims > n_reps ? n_dims : n_reps;
  if (n > TT_MAX_DIMS) np_fail(call, TT_ERR_SHAPE, "an array has at most %d dimensions", TT_MAX_DIMS);
  if (call->status != TT_OK) return NULL;
  for (int i = 0; i < n; i++) reps[i] = i < n - n_reps ? 1 : call->args[1].as.ints[i - (n - n_reps)];
  return OP(call, repeat, V(a), np_ints(call, reps, (size_t)n));
}

/* (a, repeats, axis=None) */
tt_node *np_rule_repeat(tt_np *call) {
  tt_node *a = np_has(call, 2) ? np_array(call, 0) : np_flat(call, np_array(call, 0));
  const tt_shape shape = *np_shape(call, a);
  const int64_t axis = np_has(call, 2) ? np_axis_of(call, np_int(call, 2), shape.n_dims) : 0, times = np_int(call, 1);
  if (times < 0) np_fail(call, TT_ERR_ARGUMENT, "repeats may not contain negative values");
  if (shape.n_dims == TT_MAX_DIMS) np_fail(call, TT_ERR_SHAPE, "it takes arrays of at most %d dimensions", TT_MAX_DIMS - 1);
  if (call->status != TT_OK) return NULL;
  int64_t wide[TT_MAX_DIMS], sizes[TT_MAX_DIMS];
  for (int d = 0; d < shape.n_dims; d++) {
    sizes[d] = shape.dims[d] * (d == axis ? times : 1);
    wide[d + (d > axis)] = shape.dims[d];
  }
  wide[axis + 1] = times;
  tt_node *spread =
      OP(call, expand, V(OP(call, unsqueeze, V(a), tt_int(axis + 1))), np_ints(call, wide, (size_t)shape.n_dims + 1));
  return OP(call, reshape, V(spread), np_ints(call, sizes, (size_t)shape.n_dims));
}

/* ---- joining ---- */

/* The arrays of argument 0 in their common dtype; room for TT_MAX_LIST_ITEMS is the caller's. */
enum { MAX_JOINED = 256 };

typedef struct array_list {
  tt_node *items[MAX_JOINED];
  uint32_t n;
} array_list;

/* `least`: the dimensions that each has at least; flat: all elements of each in a row. */
static void common_arrays(tt_np *call, array_list *list, int least, bool is_flat) {
  const tt_value given = call->args[0];
  tt_value values[MAX_JOINED];
  list->n = 0;
  if (given.n == 0) np_fail(call, TT_ERR_ARGUMENT, "need at least one array");
  if (given.n > MAX_JOINED) np_fail(call, TT_ERR_FULL, "it joins at most %d arrays", MAX_JOINED);
  for (uint32_t i = 0; i < given.n && call->status == TT_OK; i++) {
    tt_node *array = (tt_node *)(void *)given.as.operands[i];
    list->items[i] = is_flat ? np_flat(call, array) : at_least(call, array, least);
    values[i] = V(list->items[i]);
  }
  if (call->status != TT_OK) return;
  const tt_dtype dtype = tt_numpy_result_type(values, given.n);
  for (uint32_t i = 0; i < given.n; i++) list->items[i] = np_cast(call, list->items[i], dtype);
  list->n = given.n;
}

/* NumPy joins arrays of one number of dimensions, and not those without any. */
static tt_node *concatenated(tt_np *call, array_list *list, int64_t axis) {
  const int n_dims = call->status == TT_OK ? np_ndim(call, list->items[0]) : 0;
  if (n_dims == 0) np_fail(call, TT_ERR_SHAPE, "zero-dimensional arrays cannot be concatenated");
  for (uint32_t i = 1; i < list->n && call->status == TT_OK; i++) {
    if (np_ndim(call, list->items[i]) == n_dims) continue;
    np_fail(call, TT_ERR_SHAPE,
            "all the input arrays must have the same number of dimensions, but array 0 has %d and array %u has %d", n_dims,
            (unsigned)i, np_ndim(call, list->items[i]));
  }
  const int64_t along = np_axis_of(call, axis, n_dims);
  for (uint32_t i = 1; i < list->n && call->status == TT_OK; i++) {
    for (int d = 0; d < n_dims; d++) {
      const int64_t here = np_shape(call, list->items[i])->dims[d], first = np_shape(call, list->items[0])->dims[d];
      if (d == along || here == first) continue;
      np_fail(call, TT_ERR_SHAPE,
              "all the input array dimensions except for the concatenation axis must match exactly, but along dimension %d "
              "array 0 has %" PRId64 " and array %u has %" PRId64,
              d, first, (unsigned)i, here);
    }
  }
  return OP(call, cat, tt_operands_value((tt_operand *const *)(void *)list->items, list->n), tt_int(along));
}

/* (arrays, axis=0) */
tt_node *np_rule_concatenate(tt_np *call) {
  array_list list;
  common_arrays(call, &list, 0, !np_has(call, 1));
  return concatenated(call, &list, np_has(call, 1) ? np_int(call, 1) : 0);
}

/* (arrays, axis=0) */
tt_node *np_rule_stack(tt_np *call) {
  array_list list;
  common_arrays(call, &list, 0, false);
  if (call->status != TT_OK) return NULL;
  for (uint32_t i = 1; i < list.n && call->status == TT_OK; i++) {
    if (!tt_shape_equal(np_shape(call, list.items[0]), np_shape(call, list.items[i])))
      np_fail(call, TT_ERR_SHAPE, "all input arrays must have the same shape");
  }
  const int64_t axis = np_axis_of(call, np_int(call, 1), np_ndim(call, list.items[0]) + 1);
  return OP(call, stack, tt_operands_value((tt_operand *const *)(void *)list.items, list.n), tt_int(axis));
}

/* (tup) */
tt_node *np_rule_vstack(tt_np *call) {
  array_list list;
  common_arrays(call, &list, 2, false);
  return concatenated(call, &list, 0);
}

tt_node *np_rule_hstack(tt_np *call) {
  array_list list;
  common_arrays(call, &list, 1, false);
  return concatenated(call, &list, call->status == TT_OK && np_ndim(call, list.items[0]) == 1 ? 0 : 1);
}

tt_node *np_rule_column_stack(tt_np *call) {
  array_list list;
  common_arrays(call, &list, 1, false);
  for (uint32_t i = 0; i < list.n && call->status == TT_OK; i++) {
    if (np_ndim(call, list.items[i]) < 2)
      list.items[i] = OP(call, reshape, V(list.items[i]), np_ints(call, (int64_t[]){-1, 1}, 2));
  }
  return concatenated(call, &list, 1);
}

/* (arr, values, axis=None) */
tt_node *np_rule_append(tt_np *call) {
  tt_node *both[] = {np_array(call, 0), np_array(call, 1)};
  for (int i = 0; i < 2 && !np_has(call, 2); i++) both[i] = np_flat(call, both[i]);
  const tt_value values[] = {V(both[0]), V(both[1])};
  if (call->status != TT_OK) return NULL;
  const tt_dtype dtype = tt_numpy_result_type(values, 2);
  array_list list = {.items = {np_cast(call, both[0], dtype), np_cast(call, both[1], dtype)}, .n = 2};
  return concatenated(call, &list, np_has(call, 2) ? np_int(call, 2) : 0);
}

/* ---- splitting ---- */

/* (ary, indices_or_sections, axis=0): an int is a number of parts, a list is where they begin. */
static void split(tt_np *call, bool is_strict) {
  tt_node *a = np_array(call, 0);
  const tt_shape shape = *np_shape(call, a);
  const int64_t axis = np_axis_of(call, np_int(call, 2), shape.n_dims), size = call->status == TT_OK ? shape.dims[axis] : 0;
  const bool is_number = call->n_given > 1 && call->given[1].type == TT_VALUE_INT;
  const tt_value at = call->args[1];
  const int64_t n = is_number ? at.as.ints[0] : (int64_t)at.n + 1;
  if (is_number && n <= 0) np_fail(call, TT_ERR_ARGUMENT, "number sections must be larger than 0");
  if (is_number && n > 0 && is_strict && size % n != 0)
    np_fail(call, TT_ERR_SHAPE, "array split does not result in an equal division: %" PRId64 " by %" PRId64, size, n);
  int64_t begin = 0;
  for (int64_t i = 0; i < n && call->status == TT_OK; i++) {
    int64_t end = size;
    if (is_number) {
      end = begin + size / n + (i < size % n);
    } else if (i < (int64_t)at.n) {
      end = at.as.ints[i];
    }
    if (!is_number) {
      /* As slices: what is negative counts from the end, what is behind the end stops there. */
      begin = i == 0 ? 0 : at.as.ints[i - 1];
      if (begin < 0) begin = begin + size < 0 ? 0 : begin + size;
      if (end < 0) end = end + size < 0 ? 0 : end + size;
      if (begin > size) begin = size;
      if (end > size) end = size;
      if (end < begin) end = begin;
    }
    np_give(call, OP(call, narrow, V(a), tt_int(axis), tt_int(begin), tt_int(end - begin)));
    begin = end;
  }
}

tt_node *np_rule_split(tt_np *call) {
  split(call, true);
  return NULL;
}

tt_node *np_rule_array_split(tt_np *call) {
  split(call, false);
  return NULL;
}

/* (arrays, indexing='xy') */
tt_node *np_rule_meshgrid(tt_np *call) {
  const tt_value given = call->args[0];
  const tt_value how = call->args[1];
  const bool is_xy = how.n == 2 && how.as.string[0] == 'x' && how.as.string[1] == 'y';
  if (!is_xy && !(how.n == 2 && how.as.string[0] == 'i' && how.as.string[1] == 'j'))
    np_fail(call, TT_ERR_ARGUMENT, "valid values for `indexing` are 'xy' and 'ij'");
  if (given.n > TT_MAX_DIMS) np_fail(call, TT_ERR_SHAPE, "an array has at most %d dimensions", TT_MAX_DIMS);
  if (call->status != TT_OK) return NULL;
  int64_t sizes[TT_MAX_DIMS], places[TT_MAX_DIMS];
  for (uint32_t i = 0; i < given.n; i++) places[i] = is_xy && given.n > 1 && i < 2 ? 1 - i : i;
  for (uint32_t i = 0; i < given.n; i++)
    sizes[places[i]] = tt_shape_n_elements(np_shape(call, (tt_node *)(void *)given.as.operands[i]));
  for (uint32_t i = 0; i < given.n && call->status == TT_OK; i++) {
    int64_t column[TT_MAX_DIMS];
    for (uint32_t d = 0; d < given.n; d++) column[d] = d == places[i] ? -1 : 1;
    tt_node *line = OP(call, reshape, tt_operand_value(given.as.operands[i]), np_ints(call, column, given.n));
    tt_node *grid = OP(call, expand, V(line), np_ints(call, sizes, given.n));
    np_give(call, OP(call, clone, V(grid)));
  }
  return NULL;
}

/* ---- picking ---- */

/* Indices from the end count from there. */
static tt_node *wrapped(tt_np *call, tt_node *indices, int64_t size) {
  if (tt_dtype_is_floating(np_dtype(indices)) || np_dtype(indices) == TT_DTYPE_BOOL)
    np_fail(call, TT_ERR_INDEX, "indices are integers, not %s", tt_dtype_name(np_dtype(indices)));
  tt_node *wide = np_cast(call, indices, TT_DTYPE_I64);
  return OP(call, where, V(OP(call, lt, V(wide), tt_int(0))), V(OP(call, add, V(wide), tt_int(size))), V(wide));
}

/* (a, indices, axis=None) */
tt_node *np_rule_take(tt_np *call) {
  tt_node *a = np_has(call, 2) ? np_array(call, 0) : np_flat(call, np_array(call, 0));
  const tt_shape shape = *np_shape(call, a), picked = *np_shape(call, np_array(call, 1));
  const int64_t axis = np_has(call, 2) ? np_axis_of(call, np_int(call, 2), shape.n_dims) : 0;
  if (shape.n_dims + picked.n_dims - 1 > TT_MAX_DIMS)
    np_fail(call, TT_ERR_SHAPE, "an array has at most %d dimensions", TT_MAX_DIMS);
  if (call->status != TT_OK) return NULL;
  tt_node *indices = wrapped(call, np_array(call, 1), shape.dims[axis]);
  tt_node *taken = OP(call, index_select, V(a), tt_int(axis), V(np_flat(call, indices)));
  int64_t sizes[2 * TT_MAX_DIMS];
  size_t n = 0;
  for (int d = 0; d < axis; d++) sizes[n++] = shape.dims[d];
  for (int d = 0; d < picked.n_dims; d++) sizes[n++] = picked.dims[d];
  for (int d = (int)axis + 1; d < shape.n_dims; d++) sizes[n++] = shape.dims[d];
  return OP(call, reshape, V(taken), np_ints(call, sizes, n));
}

/* (a): a list of indices for each dimension. */
tt_node *np_rule_nonzero(tt_np *call) {
  tt_node *a = at_least(call, np_array(call, 0), 1);
  const int n_dims = np_ndim(call, a);
  tt_node *places = OP(call, nonzero, V(a));
  for (int d = 0; d < n_dims && call->status == TT_OK; d++) np_give(call, OP(call, select, V(places), tt_int(1), tt_int(d)));
  return NULL;
}

tt_node *np_rule_flatnonzero(tt_np *call) {
  tt_node *places = OP(call, nonzero, V(np_flat(call, np_array(call, 0))));
  return OP(call, select, V(places), tt_int(1), tt_int(0));
}

/* (condition, a) */
tt_node *np_rule_extract(tt_np *call) {
  return OP(call, masked_select, V(np_flat(call, np_array(call, 1))), V(np_flat(call, np_truth(call, np_array(call, 0)))));
}

/* (v, k=0) */
tt_node *np_rule_diag(tt_np *call) {
  tt_node *v = np_array(call, 0);
  const int n_dims = np_ndim(call, v);
  if (call->status == TT_OK && n_dims != 1 && n_dims != 2)
    np_fail(call, TT_ERR_SHAPE, "input must be 1- or 2-d, not %d-d", n_dims);
  return n_dims == 2 ? OP(call, diagonal, V(v), call->args[1]) : OP(call, diag, V(v), call->args[1]);
}

/* (a, offset=0, axis1=0, axis2=1) */
tt_node *np_rule_diagonal(tt_np *call) {
  tt_node *a = np_array(call, 0);
  const int n_dims = np_ndim(call, a);
  if (n_dims < 2) np_fail(call, TT_ERR_SHAPE, "diag requires an array of at least two dimensions");
  return OP(call, diagonal, V(a), call->args[1], tt_int(np_axis_of(call, np_int(call, 2), n_dims)),
            tt_int(np_axis_of(call, np_int(call, 3), n_dims)));
}

tt_node *np_rule_trace(tt_np *call) {
  tt_node *diagonal = np_rule_diagonal(call);
  return OP(call, sum, V(diagonal), np_ints(call, (int64_t[]){-1}, 1));
}

/* (m, k=0) */
tt_node *np_rule_triangle(tt_np *call) {
  tt_node *m = np_array(call, 0);
  const tt_shape shape = *np_shape(call, m);
  if (shape.n_dims == 0) np_fail(call, TT_ERR_SHAPE, "it needs an array with at least one dimension");
  if (shape.n_dims == 1) m = OP(call, expand, V(m), np_ints(call, (int64_t[]){shape.dims[0], shape.dims[0]}, 2));
  return np_op(call, call->function->op, (tt_value[]){V(m), call->args[1]}, 2);
}

/* (arr, indices, axis): of the same number of dimensions. */
tt_node *np_rule_take_along_axis(tt_np *call) {
  tt_node *arr = np_array(call, 0);
  const tt_shape shape = *np_shape(call, arr);
  const int64_t axis = np_axis_of(call, np_int(call, 2), shape.n_dims);
  if (np_ndim(call, np_array(call, 1)) != shape.n_dims)
    np_fail(call, TT_ERR_SHAPE, "`indices` and `arr` must have the same number of dimensions");
  if (call->status != TT_OK) return NULL;
  tt_node *indices = wrapped(call, np_array(call, 1), shape.dims[axis]);
  return OP(call, gather, V(arr), tt_int(axis), V(indices));
}

/* (m, k=1, axes=[0, 1]) */
tt_node *np_rule_rot90(tt_np *call) {
  tt_node *m = np_array(call, 0);
  if (call->args[2].n != 2) np_fail(call, TT_ERR_ARGUMENT, "axes are two");
  return OP(call, rot90, V(m), call->args[1], np_axes(call, 2, m, true));
}

/* (tup) */
tt_node *np_rule_dstack(tt_np *call) {
  array_list list;
  common_arrays(call, &list, 0, false);
  for (uint32_t i = 0; i < list.n && call->status == TT_OK; i++) {
    list.items[i] = at_least(call, list.items[i], 1);
    if (np_ndim(call, list.items[i]) == 1) list.items[i] = OP(call, unsqueeze, V(list.items[i]), tt_int(0));
    if (call->status == TT_OK && np_ndim(call, list.items[i]) == 2)
      list.items[i] = OP(call, unsqueeze, V(list.items[i]), tt_int(2));
  }
  return concatenated(call, &list, 2);
}

/* (array, pad_width, *, constant_values=0): one number for all sides, two for before and after, or two for each dimension. */
tt_node *np_rule_pad(tt_np *call) {
  tt_node *a = np_array(call, 0);
  const int n_dims = np_ndim(call, a);
  const tt_value width = call->args[1];
  if (width.n != 1 && width.n != 2 && width.n != 2 * (uint32_t)n_dims)
    np_fail(call, TT_ERR_SHAPE, "%u widths do not go with %d dimensions", (unsigned)width.n, n_dims);
  if (call->status != TT_OK) return NULL;
  int64_t sides[2 * TT_MAX_DIMS];
  for (int d = 0; d < n_dims; d++) {
    for (int side = 0; side < 2; side++) {
      const int64_t n = width.as.ints[width.n == 1 ? 0 : width.n == 2 ? side : 2 * d + side];
      if (n < 0) np_fail(call, TT_ERR_ARGUMENT, "index can't contain negative values");
      sides[2 * (n_dims - 1 - d) + side] = n; /* the op begins with the last dimension */
    }
  }
  return OP(call, constant_pad_nd, V(a), np_ints(call, sides, 2 * (size_t)n_dims),
            np_cast_value(call, call->args[2], np_dtype(a)));
}
