/* linalg: products of arrays, and numpy.linalg. */
#include "numpy/call.h"
#include "numpy/rules.h"

typedef struct pair {
  tt_node *a, *b;
  tt_dtype dtype;
  bool is_bool; /* counted as int64 and turned back: sums of bools are "or" */
} pair;

static pair common(tt_np *call) {
  pair both = {.dtype = tt_numpy_promote(np_dtype(np_array(call, 0)), np_dtype(np_array(call, 1)))};
  both.is_bool = both.dtype == TT_DTYPE_BOOL;
  const tt_dtype dtype = both.is_bool ? TT_DTYPE_I64 : both.dtype;
  both.a = np_cast(call, np_array(call, 0), dtype);
  both.b = np_cast(call, np_array(call, 1), dtype);
  return both;
}

static tt_node *settled(tt_np *call, const pair *both, tt_node *product) {
  return both->is_bool ? np_truth(call, product) : product;
}

tt_node *np_rule_matmul(tt_np *call) {
  const pair both = common(call);
  if (np_ndim(call, np_array(call, 0)) == 0 || np_ndim(call, np_array(call, 1)) == 0)
    np_fail(call, TT_ERR_SHAPE, "it does not take arrays without dimensions; use multiply");
  return settled(call, &both, OP(call, matmul, V(both.a), V(both.b)));
}

/* Sums of products over the last axis of a and axis `along` of b; the other axes of a, then those of b. */
static tt_node *contracted(tt_np *call, tt_node *a, tt_node *b, int along) {
  const tt_shape of_a = *np_shape(call, a), of_b = *np_shape(call, b);
  if (call->status != TT_OK) return NULL;
  const int64_t n = of_a.dims[of_a.n_dims - 1];
  if (n != of_b.dims[along]) {
    np_fail(call, TT_ERR_SHAPE, "shapes not aligned: %lld (dim %d) != %lld (dim %d)", (long long)n, of_a.n_dims - 1,
            (long long)of_b.dims[along], along);
    return NULL;
  }
  if (of_a.n_dims + of_b.n_dims - 2 > TT_MAX_DIMS)
    np_fail(call, TT_ERR_SHAPE, "an array has at most %d dimensions", TT_MAX_DIMS);
  if (call->status != TT_OK) return NULL;
  int64_t sizes[2 * TT_MAX_DIMS], order[TT_MAX_DIMS], n_rows = 1, n_columns = 1;
  size_t n_sizes = 0, n_order = 0;
  for (int d = 0; d < of_a.n_dims - 1; d++) n_rows *= sizes[n_sizes++] = of_a.dims[d];
  order[n_order++] = along;
  for (int d = 0; d < of_b.n_dims; d++) {
    if (d == along) continue;
    order[n_order++] = d;
    n_columns *= sizes[n_sizes++] = of_b.dims[d];
  }
  tt_node *rows = OP(call, reshape, V(a), np_ints(call, (int64_t[]){n_rows, n}, 2));
  tt_node *columns =
      OP(call, reshape, V(OP(call, permute, V(b), np_ints(call, order, n_order))), np_ints(call, (int64_t[]){n, n_columns}, 2));
  return OP(call, reshape, V(OP(call, matmul, V(rows), V(columns))), np_ints(call, sizes, n_sizes));
}

tt_node *np_rule_dot(tt_np *call) {
  const pair both = common(call);
  const int n_a = np_ndim(call, np_array(call, 0)), n_b = np_ndim(call, np_array(call, 1));
  if (call->status != TT_OK) return NULL;
  if (n_a == 0 || n_b == 0) return settled(call, &both, OP(call, mul, V(both.a), V(both.b)));
  if (n_a <= 2 && n_b <= 2) return settled(call, &both, OP(call, matmul, V(both.a), V(both.b)));
  return settled(call, &both, contracted(call, both.a, both.b, n_b == 1 ? 0 : n_b - 2));
}

tt_node *np_rule_inner(tt_np *call) {
  const pair both = common(call);
  const int n_a = np_ndim(call, np_array(call, 0)), n_b = np_ndim(call, np_array(call, 1));
  if (call->status != TT_OK) return NULL;
  if (n_a == 0 || n_b == 0) return settled(call, &both, OP(call, mul, V(both.a), V(both.b)));
  return settled(call, &both, contracted(call, both.a, both.b, n_b - 1));
}

tt_node *np_rule_vdot(tt_np *call) {
  const pair both = common(call);
  return settled(call, &both, OP(call, matmul, V(np_flat(call, both.a)), V(np_flat(call, both.b))));
}

tt_node *np_rule_outer(tt_np *call) {
  const pair both = common(call);
  tt_node *column = OP(call, reshape, V(both.a), np_ints(call, (int64_t[]){-1, 1}, 2));
  return settled(call, &both, OP(call, mul, V(column), V(np_flat(call, both.b))));
}

/* (a, b, axes=2): the last axes of a with the first of b. */
tt_node *np_rule_tensordot(tt_np *call) {
  const pair both = common(call);
  const tt_shape of_a = *np_shape(call, np_array(call, 0)), of_b = *np_shape(call, np_array(call, 1));
  const int64_t axes = np_int(call, 2);
  if (axes < 0 || axes > of_a.n_dims || axes > of_b.n_dims)
    np_fail(call, TT_ERR_SHAPE, "there are no %lld axes to go over in both arrays", (long long)axes);
  if (call->status != TT_OK) return NULL;
  int64_t sizes[2 * TT_MAX_DIMS], n_inner = 1, n_rows = 1, n_columns = 1;
  size_t n_sizes = 0;
  for (int d = 0; d < axes; d++) {
    if (of_a.dims[of_a.n_dims - axes + d] != of_b.dims[d]) np_fail(call, TT_ERR_SHAPE, "shape-mismatch for sum");
    n_inner *= of_b.dims[d];
  }
  for (int d = 0; d < of_a.n_dims - axes; d++) n_rows *= sizes[n_sizes++] = of_a.dims[d];
  for (int d = (int)axes; d < of_b.n_dims; d++) n_columns *= sizes[n_sizes++] = of_b.dims[d];
  if (n_sizes > TT_MAX_DIMS) np_fail(call, TT_ERR_SHAPE, "an array has at most %d dimensions", TT_MAX_DIMS);
  if (call->status != TT_OK) return NULL;
  tt_node *rows = OP(call, reshape, V(both.a), np_ints(call, (int64_t[]){n_rows, n_inner}, 2));
  tt_node *columns = OP(call, reshape, V(both.b), np_ints(call, (int64_t[]){n_inner, n_columns}, 2));
  tt_node *product = OP(call, reshape, V(OP(call, matmul, V(rows), V(columns))), np_ints(call, sizes, n_sizes));
  return settled(call, &both, product);
}

/* (subscripts, operands) */
tt_node *np_rule_einsum(tt_np *call) {
  const tt_value given = call->args[1];
  enum { MAX_OPERANDS = 32 };
  tt_node *items[MAX_OPERANDS];
  if (given.n == 0) np_fail(call, TT_ERR_ARGUMENT, "must provide at least an operand");
  if (given.n > MAX_OPERANDS) np_fail(call, TT_ERR_FULL, "it takes at most %d arrays", MAX_OPERANDS);
  if (call->status != TT_OK) return NULL;
  tt_dtype dtype = given.as.operands[0]->meta.dtype;
  for (uint32_t i = 1; i < given.n; i++) dtype = tt_numpy_promote(dtype, given.as.operands[i]->meta.dtype);
  const bool is_bool = dtype == TT_DTYPE_BOOL;
  for (uint32_t i = 0; i < given.n; i++)
    items[i] = np_cast(call, (tt_node *)(void *)given.as.operands[i], is_bool ? TT_DTYPE_I64 : dtype);
  tt_node *product = OP(call, einsum, call->args[0], tt_operands_value((tt_operand *const *)(void *)items, given.n));
  return is_bool ? np_truth(call, product) : np_cast(call, product, dtype);
}

/* (a, b) */
tt_node *np_rule_kron(tt_np *call) {
  /* NumPy gives the first one as many dimensions as the second has, which takes it out of the weak ones. */
  const bool is_full = np_ndim(call, np_array(call, 0)) == 0 && np_ndim(call, np_array(call, 1)) > 0;
  pair both = {.dtype = is_full ? tt_numpy_promote(np_dtype(np_array(call, 0)), np_dtype(np_array(call, 1)))
                                : tt_numpy_result_type(call->args, 2)};
  both.is_bool = both.dtype == TT_DTYPE_BOOL;
  both.a = np_cast(call, np_array(call, 0), both.is_bool ? TT_DTYPE_I64 : both.dtype);
  both.b = np_cast(call, np_array(call, 1), both.is_bool ? TT_DTYPE_I64 : both.dtype);
  return settled(call, &both, OP(call, kron, V(both.a), V(both.b)));
}

/* (a, b, axis=-1): of vectors with three elements. */
tt_node *np_rule_cross(tt_np *call) {
  const pair both = common(call);
  if (both.is_bool) np_fail(call, TT_ERR_DTYPE, "it is not defined for bool");
  const tt_shape of_a = *np_shape(call, np_array(call, 0)), of_b = *np_shape(call, np_array(call, 1));
  const int64_t axis = np_axis_of(call, np_int(call, 2), of_a.n_dims);
  np_axis_of(call, np_int(call, 2), of_b.n_dims);
  if (call->status == TT_OK && (of_a.dims[axis] != 3 || of_a.n_dims != of_b.n_dims || of_b.dims[axis] != 3))
    np_fail(call, TT_ERR_SHAPE, "it takes vectors of three elements, in arrays of as many dimensions");
  return OP(call, cross, V(both.a), V(both.b), tt_int(axis));
}

/* (arrays) */
tt_node *np_rule_multi_dot(tt_np *call) {
  const tt_value given = call->args[0];
  if (given.n < 2) np_fail(call, TT_ERR_ARGUMENT, "expecting at least two arrays");
  if (call->status != TT_OK) return NULL;
  tt_dtype dtype = given.as.operands[0]->meta.dtype;
  for (uint32_t i = 1; i < given.n; i++) dtype = tt_numpy_promote(dtype, given.as.operands[i]->meta.dtype);
  if (dtype == TT_DTYPE_BOOL) np_fail(call, TT_ERR_DTYPE, "it is not defined for bool");
  tt_node *product = np_cast(call, (tt_node *)(void *)given.as.operands[0], dtype);
  for (uint32_t i = 1; i < given.n; i++)
    product = OP(call, matmul, V(product), V(np_cast(call, (tt_node *)(void *)given.as.operands[i], dtype)));
  return product;
}

/* ---- numpy.linalg ---- */

static void need_square(tt_np *call, tt_node *a) {
  const tt_shape *shape = np_shape(call, a);
  if (call->status != TT_OK) return;
  if (shape->n_dims < 2)
    np_fail(call, TT_ERR_SHAPE, "%d-dimensional array given; it must be at least two-dimensional", shape->n_dims);
  if (shape->n_dims >= 2 && shape->dims[shape->n_dims - 1] != shape->dims[shape->n_dims - 2])
    np_fail(call, TT_ERR_SHAPE, "last 2 dimensions of the array must be square");
}

/* (a): inv, det, cholesky. */
tt_node *np_rule_of_square(tt_np *call) {
  tt_node *a = np_array(call, 0);
  need_square(call, a);
  return np_op(call, call->function->op, (tt_value[]){V(np_as_float(call, a))}, 1);
}

/* (a, b) */
tt_node *np_rule_solve(tt_np *call) {
  need_square(call, np_array(call, 0));
  tt_dtype dtype = tt_numpy_promote(np_dtype(np_array(call, 0)), np_dtype(np_array(call, 1)));
  if (!tt_dtype_is_floating(dtype)) dtype = TT_DTYPE_F64;
  return OP(call, linalg_solve, V(np_cast(call, np_array(call, 0), dtype)), V(np_cast(call, np_array(call, 1), dtype)));
}

/* (a, n) */
tt_node *np_rule_matrix_power(tt_np *call) {
  tt_node *a = np_array(call, 0);
  need_square(call, a);
  int64_t n = np_int(call, 1);
  if (np_dtype(a) == TT_DTYPE_BOOL) a = np_cast(call, a, TT_DTYPE_I64);
  if (n < 0) a = OP(call, inverse, V(np_as_float(call, a)));
  const bool is_inverse = n < 0;
  if (is_inverse) n = -n;
  if (call->status != TT_OK) return NULL;
  if (n == 0) {
    tt_node *ones = OP(call, ones_like, V(a));
    return OP(call, tril, V(OP(call, triu, V(ones))));
  }
  /* By squaring, the binary digits of n from the lowest. */
  tt_node *result = NULL;
  for (tt_node *power = a; call->status == TT_OK; power = OP(call, matmul, V(power), V(power))) {
    if (n % 2 == 1) result = result == NULL ? power : OP(call, matmul, V(result), V(power));
    n /= 2;
    if (n == 0) break;
  }
  return np_dtype(np_array(call, 0)) == TT_DTYPE_BOOL && !is_inverse ? np_truth(call, result) : result;
}

/* (x, ord=None, axis=None, keepdims=False): of vectors, any order; of matrices, Frobenius' alone. */
tt_node *np_rule_norm(tt_np *call) {
  tt_node *x = np_as_float(call, np_array(call, 0));
  const tt_value axes = np_axes(call, 2, np_array(call, 0), true);
  if (np_has(call, 1) && axes.n == 2)
    np_fail(call, TT_ERR_ARGUMENT, "of matrices only the Frobenius norm is here, which is the default");
  if (np_has(call, 1) && axes.n > 2) np_fail(call, TT_ERR_SHAPE, "improper number of dimensions to norm");
  return OP(call, norm, V(x), np_has(call, 1) ? call->args[1] : tt_int(2), axes, tt_bool(np_bool(call, 3)));
}
