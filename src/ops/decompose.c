/* Rows of factorisations: QR, eigenvalues of symmetric matrices, singular values, and determinants by their logarithm. Batched; computed in double. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/decompose.h"
#include "kernels/linalg.h"
#include "ops/compose.h"
#include "ops/define.h"
#include "ops/grad_common.h"
#include "ops/infer_common.h"
#include "ops/rows.h"
#include "ops/terms.h"

static tt_status need_matrices(const tt_op *op, const tt_meta *meta, bool is_square, tt_error *error) {
  TT_TRY(tt_infer_need_floating(op, meta->dtype, error));
  if (!tt_shape_is_known(&meta->shape)) return TT_OK;
  const tt_shape *shape = &meta->shape;
  int last = shape->n_dims - 1;
  if (last >= 1 && (!is_square || shape->dims[last] == shape->dims[last - 1])) return TT_OK;
  char text[TT_SHAPE_TEXT_BYTES];
  return tt_fail(error, TT_ERR_SHAPE, "%s takes %smatrices or batches of them, not a tensor of shape %s", op->name,
                 is_square ? "square " : "", tt_shape_text(shape, text));
}

/* The batch of a shape with other last dimensions; a size below 0 leaves a dimension out. */
static tt_meta with_last(const tt_meta *meta, int64_t rows, int64_t columns) {
  tt_meta out = *meta;
  if (!tt_shape_is_known(&out.shape)) return out;
  out.shape.n_dims -= 2;
  if (rows >= 0) out.shape.dims[out.shape.n_dims++] = rows;
  if (columns >= 0) out.shape.dims[out.shape.n_dims++] = columns;
  return out;
}

typedef struct sides {
  int64_t n_matrices, m, n, k; /* k is the smaller of m and n */
} sides;

static sides sides_of(const tt_shape *shape) {
  sides s = {.n_matrices = 1, .m = shape->dims[shape->n_dims - 2], .n = shape->dims[shape->n_dims - 1]};
  s.k = s.m < s.n ? s.m : s.n;
  for (int d = 0; d < shape->n_dims - 2; d++) s.n_matrices *= shape->dims[d];
  return s;
}

/* Results computed in double, in the dtypes that the metas say; takes the references over, NULL among them stands for no memory. */
static tt_status answer(tt_status status, tt_tensor **computed, const tt_meta *metas, size_t n, tt_tensor **results,
                        size_t *n_results, tt_error *error) {
  tt_tensor *made[TT_MAX_TUPLE] = {NULL};
  for (size_t i = 0; i < n; i++) {
    if (status == TT_OK && computed[i] == NULL) status = TT_ERR_MEMORY;
    if (status == TT_OK) {
      made[i] = tt_tensor_dtype(computed[i]) == metas[i].dtype ? tt_tensor_ref(computed[i])
                                                               : tt_tensor_cast(computed[i], metas[i].dtype, error);
      if (made[i] == NULL) status = TT_ERR_MEMORY;
    }
  }
  for (size_t i = 0; i < n; i++) {
    tt_tensor_unref(computed[i]);
    if (status != TT_OK) tt_tensor_unref(made[i]);
  }
  if (status != TT_OK) return status;
  memcpy(results, made, n * sizeof made[0]);
  *n_results = n;
  return TT_OK;
}

static tt_operand *turned(tt_rule *rule, tt_operand *x) {
  return TT_RULE(rule, transpose, tt_operand_value(x), tt_int(-2), tt_int(-1));
}
static tt_operand *times(tt_rule *rule, tt_operand *a, tt_operand *b) { return tt_rule_binary(rule, TT_OP_matmul, a, b); }
static tt_operand *plus(tt_rule *rule, tt_operand *a, tt_operand *b) {
  return a == NULL ? b : b == NULL ? a : tt_term_add(rule, a, b);
}

/* ---- linalg_qr ---- */

static bool is_complete(const tt_value *mode) { return tt_arg_is_word(mode, "complete"); }

INFER(linalg_qr) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  TT_TRY(need_matrices(op, self, false, error));
  if (!is_complete(&args[1]) && !tt_arg_is_word(&args[1], "reduced")) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: the mode is 'reduced' or 'complete', not '%.*s'", op->name, (int)args[1].n,
                   args[1].as.string);
  }
  results[0] = results[1] = *self;
  if (tt_shape_is_known(&self->shape)) {
    sides s = sides_of(&self->shape);
    int64_t inner = is_complete(&args[1]) ? s.m : s.k;
    results[0] = with_last(self, s.m, inner);
    results[1] = with_last(self, inner, s.n);
  }
  *n_results = 2;
  return TT_OK;
}

KERNEL(linalg_qr) {
  (void)op, (void)context;
  sides s = sides_of(tt_tensor_shape(tt_arg_tensor(&args[0])));
  int64_t inner = is_complete(&args[1]) ? s.m : s.k;
  tt_tensor *a = tt_tensor_cast(tt_arg_tensor(&args[0]), TT_DTYPE_F64, error);
  tt_tensor *made[] = {a ? tt_tensor_new(TT_DTYPE_F64, &metas[0].shape, error) : NULL,
                       a ? tt_tensor_zeros(TT_DTYPE_F64, &metas[1].shape, error) : NULL};
  double *scales = tt_alloc((size_t)s.k + 1, sizeof *scales);
  tt_status status = made[0] && made[1] && scales ? TT_OK : TT_ERR_MEMORY;
  if (status == TT_OK) {
    double *factors = tt_tensor_data(a), *q = tt_tensor_data(made[0]), *r = tt_tensor_data(made[1]);
    for (int64_t i = 0; i < s.n_matrices; i++, factors += s.m * s.n, q += s.m * inner, r += inner * s.n) {
      tt_qr_factor(factors, s.m, s.n, scales);
      tt_qr_form(factors, s.m, s.n, scales, inner, q);
      for (int64_t row = 0; row < s.k; row++)
        memcpy(r + row * s.n + row, factors + row * s.n + row, (size_t)(s.n - row) * sizeof *r);
    }
  } else if (!scales) {
    status = tt_fail(error, TT_ERR_MEMORY, "%s: no memory for %" PRId64 " scales", op->name, s.k);
  }
  tt_free(scales);
  tt_tensor_unref(a);
  return answer(status, made, metas, 2, results, n_results, error);
}

/* Of A (m, n), m >= n: (gQ + Q L) R^-T, L being the lower triangle of R gR^T - gQ^T Q, mirrored. */
static tt_operand *tall_gradient(tt_rule *rule, tt_operand *q, tt_operand *r, tt_operand *grad_q, tt_operand *grad_r) {
  tt_operand *inner = grad_r == NULL ? NULL : times(rule, r, turned(rule, grad_r));
  if (grad_q != NULL) inner = plus(rule, inner, tt_term_neg(rule, times(rule, turned(rule, grad_q), q)));
  tt_operand *below = TT_RULE(rule, tril, tt_operand_value(inner), tt_int(-1));
  tt_operand *mirrored = plus(rule, tt_rule_unary(rule, TT_OP_tril, inner), turned(rule, below));
  tt_operand *sum = plus(rule, grad_q, times(rule, q, mirrored));
  return turned(
      rule, TT_RULE(rule, linalg_solve_triangular, tt_operand_value(r), tt_operand_value(turned(rule, sum)), tt_bool(true)));
}

GRAD(linalg_qr) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *a = call->args[0].as.operand, *q = call->results[0], *r = call->results[1], *grad_q = call->grads[0],
             *grad_r = call->grads[1];
  if (grad_q == NULL && grad_r == NULL) return TT_OK;
  if (!tt_rule_need_shape(&rule, call->op, a)) return rule.status;
  sides s = sides_of(&a->meta.shape);
  if (is_complete(&call->args[1]) && s.m > s.n) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: in the mode 'complete' a matrix with more rows than columns has no gradient",
                   call->op->name);
  }
  if (s.m >= s.n) {
    operand_grads[0] = tall_gradient(&rule, q, r, grad_q, grad_r);
    return rule.status;
  }
  /* A wide A is (X Y), R is (U V): X is square, V is Q^T Y. */
  tt_value last = tt_int(-1), m = tt_int(s.m), rest = tt_int(s.n - s.m), zero = tt_int(0);
  tt_operand *u = TT_RULE(&rule, narrow, tt_operand_value(r), last, zero, m), *grad_u = NULL, *grad_y = NULL;
  tt_operand *y = TT_RULE(&rule, narrow, tt_operand_value(a), last, m, rest);
  if (grad_r != NULL) {
    tt_operand *grad_v = TT_RULE(&rule, narrow, tt_operand_value(grad_r), last, m, rest);
    grad_u = TT_RULE(&rule, narrow, tt_operand_value(grad_r), last, zero, m);
    grad_y = times(&rule, q, grad_v);
    grad_q = plus(&rule, grad_q, times(&rule, y, turned(&rule, grad_v)));
  } else {
    grad_y = tt_rule_unary(&rule, TT_OP_zeros_like, y);
  }
  tt_operand *parts[] = {tall_gradient(&rule, q, u, grad_q, grad_u), grad_y};
  operand_grads[0] = TT_RULE(&rule, cat, tt_operands_value(parts, 2), last);
  return rule.status;
}

/* ---- linalg_eigh: the lower triangle (or the upper, UPLO='U') says the matrix ---- */

INFER(linalg_eigh) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  TT_TRY(need_matrices(op, self, true, error));
  if (!tt_arg_is_word(&args[1], "L") && !tt_arg_is_word(&args[1], "U")) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: UPLO is 'L' or 'U', not '%.*s'", op->name, (int)args[1].n, args[1].as.string);
  }
  results[0] = results[1] = *self;
  if (tt_shape_is_known(&self->shape)) results[0] = with_last(self, self->shape.dims[self->shape.n_dims - 1], -1);
  *n_results = 2;
  return TT_OK;
}

static void mirror(double *a, int64_t n, bool is_upper) {
  for (int64_t i = 0; i < n; i++) {
    for (int64_t k = 0; k < i; k++) *(is_upper ? &a[i * n + k] : &a[k * n + i]) = is_upper ? a[k * n + i] : a[i * n + k];
  }
}

KERNEL(linalg_eigh) {
  (void)context;
  sides s = sides_of(tt_tensor_shape(tt_arg_tensor(&args[0])));
  tt_tensor *a = tt_tensor_cast(tt_arg_tensor(&args[0]), TT_DTYPE_F64, error);
  tt_tensor *made[] = {a ? tt_tensor_new(TT_DTYPE_F64, &metas[0].shape, error) : NULL,
                       a ? tt_tensor_new(TT_DTYPE_F64, &metas[1].shape, error) : NULL};
  tt_status status = made[0] && made[1] ? TT_OK : TT_ERR_MEMORY;
  double *at = a ? tt_tensor_data(a) : NULL;
  for (int64_t i = 0; i < s.n_matrices && status == TT_OK; i++) {
    mirror(at + i * s.n * s.n, s.n, tt_arg_is_word(&args[1], "U"));
    if (tt_eigen_symmetric(at + i * s.n * s.n, s.n, (double *)tt_tensor_data(made[0]) + i * s.n,
                           (double *)tt_tensor_data(made[1]) + i * s.n * s.n)) {
      continue;
    }
    status = tt_fail(error, TT_ERR_NUMERIC,
                     "%s: matrix %" PRId64 " holds what is not finite, or its eigenvalues did not settle", op->name, i);
  }
  tt_tensor_unref(a);
  return answer(status, made, metas, 2, results, n_results, error);
}

/* V (diag(gw) + (V^T gV) / (w_j - w_i)) V^T, the diagonal of the second part being 0. */
GRAD(linalg_eigh) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *w = call->results[0], *v = call->results[1], *inner = NULL;
  if (call->grads[0] == NULL && call->grads[1] == NULL) return TT_OK;
  if (call->grads[1] != NULL) {
    tt_operand *apart = tt_term_sub(&rule, tt_term_unsqueeze(&rule, w, -2), tt_term_unsqueeze(&rule, w, -1));
    tt_operand *is_diagonal = TT_RULE(
        &rule, to, tt_operand_value(TT_RULE(&rule, diag_embed, tt_operand_value(tt_rule_unary(&rule, TT_OP_ones_like, w)))),
        tt_dtype_value(TT_DTYPE_BOOL));
    tt_operand *shares = tt_term_div(&rule, times(&rule, turned(&rule, v), call->grads[1]), apart);
    inner = TT_RULE(&rule, masked_fill, tt_operand_value(shares), tt_operand_value(is_diagonal), tt_int(0));
  }
  if (call->grads[0] != NULL) inner = plus(&rule, inner, TT_RULE(&rule, diag_embed, tt_operand_value(call->grads[0])));
  operand_grads[0] = times(&rule, times(&rule, v, inner), turned(&rule, v));
  return rule.status;
}

TT_BODY(linalg_eigvalsh) {
  (void)op;
  return TT_RULE(rule, linalg_eigh, args[0], args[1]);
}
TT_COMPOSE(linalg_eigvalsh)

/* ---- linalg_svd, without full matrices unless they are asked for ---- */

INFER(linalg_svd) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  TT_TRY(need_matrices(op, self, false, error));
  results[0] = results[1] = results[2] = *self;
  if (tt_shape_is_known(&self->shape)) {
    sides s = sides_of(&self->shape);
    bool is_full = args[1].as.boolean;
    results[0] = with_last(self, s.m, is_full ? s.m : s.k);
    results[1] = with_last(self, s.k, -1);
    results[2] = with_last(self, is_full ? s.n : s.k, s.n);
  }
  *n_results = 3;
  return TT_OK;
}

/* The columns of `thin` (m, k) with those of a basis of what is orthogonal to them behind: full (m, m). */
static void complete(double *thin, int64_t m, int64_t k, double *full, double *scales, double *spare) {
  memcpy(spare, thin, (size_t)(m * k) * sizeof *spare);
  tt_qr_factor(spare, m, k, scales);
  tt_qr_form(spare, m, k, scales, m, full);
  for (int64_t i = 0; i < m; i++) memcpy(full + i * m, thin + i * k, (size_t)k * sizeof *full);
}

static void transpose(const double *from, int64_t m, int64_t n, double *to) {
  for (int64_t i = 0; i < m; i++) {
    for (int64_t k = 0; k < n; k++) to[k * m + i] = from[i * n + k];
  }
}

/*
 * One matrix: `tall` (l, k) is it or its transpose, l >= k, and becomes the left vectors of that; v (k, k) the right ones. `left` and `right_h` are what
 * the row answers. With full matrices `spare` has room for l * k, `full` for l * l; `scales` for k.
 */
typedef struct svd_room {
  double *tall, *v, *spare, *full, *scales;
} svd_room;

static bool svd_one(const double *a, const sides *s, bool is_full, const svd_room *room, double *left, double *values,
                    double *right_h) {
  bool is_wide = s->m < s->n;
  int64_t l = is_wide ? s->n : s->m, k = s->k;
  if (is_wide) {
    transpose(a, s->m, s->n, room->tall);
  } else {
    memcpy(room->tall, a, (size_t)(s->m * s->n) * sizeof *a);
  }
  if (!tt_singular_values(room->tall, l, k, values, room->v)) return false;
  const double *big = room->tall;
  int64_t n_big = k;
  if (is_full) {
    complete(room->tall, l, k, room->full, room->scales, room->spare);
    big = room->full;
    n_big = l;
  }
  if (is_wide) { /* A^T = big S v^T, so A = v S big^T */
    memcpy(left, room->v, (size_t)(k * k) * sizeof *left);
    transpose(big, l, n_big, right_h);
  } else {
    memcpy(left, big, (size_t)(l * n_big) * sizeof *left);
    transpose(room->v, k, k, right_h);
  }
  return true;
}

KERNEL(linalg_svd) {
  (void)context;
  sides s = sides_of(tt_tensor_shape(tt_arg_tensor(&args[0])));
  int64_t l = s.m < s.n ? s.n : s.m;
  bool is_full = args[1].as.boolean;
  tt_tensor *a = tt_tensor_cast(tt_arg_tensor(&args[0]), TT_DTYPE_F64, error), *made[3] = {NULL};
  /* Of no columns, however many rows, there is nothing to work out but a basis. */
  int64_t n_worked = s.k == 0 && !is_full ? 0 : s.n_matrices;
  int64_t n_room = n_worked == 0 ? 0 : l * s.k + s.k * s.k + s.k + (is_full ? l * s.k + l * l : 0);
  double *memory = a ? tt_alloc((size_t)n_room + 1, sizeof *memory) : NULL;
  for (int i = 0; i < 3 && memory; i++) made[i] = tt_tensor_new(TT_DTYPE_F64, &metas[i].shape, error);
  tt_status status = made[0] && made[1] && made[2] ? TT_OK : TT_ERR_MEMORY;
  if (a && !memory) status = tt_fail(error, TT_ERR_MEMORY, "%s: no memory for the vectors", op->name);
  svd_room room = {.tall = memory};
  if (memory && n_worked > 0) {
    room.v = room.tall + l * s.k;
    room.scales = room.v + s.k * s.k;
    room.spare = room.scales + s.k;
    room.full = room.spare + (is_full ? l * s.k : 0);
  }
  int64_t n_left = s.m * (is_full ? s.m : s.k), n_right = s.n * (is_full ? s.n : s.k);
  for (int64_t i = 0; i < n_worked && status == TT_OK; i++) {
    if (svd_one((const double *)tt_tensor_data(a) + i * s.m * s.n, &s, is_full, &room,
                (double *)tt_tensor_data(made[0]) + i * n_left, (double *)tt_tensor_data(made[1]) + i * s.k,
                (double *)tt_tensor_data(made[2]) + i * n_right)) {
      continue;
    }
    status = tt_fail(error, TT_ERR_NUMERIC,
                     "%s: matrix %" PRId64 " holds what is not finite, or its singular values did not settle", op->name, i);
  }
  tt_free(memory);
  tt_tensor_unref(a);
  return answer(status, made, metas, 3, results, n_results, error);
}

static tt_operand *skew(tt_rule *rule, tt_operand *x) { return tt_term_sub(rule, x, turned(rule, x)); }

/*
 * With E(i, j) = s_j^2 - s_i^2 (1 on the diagonal): U ((skew(U^T gU) / E) S + S (skew(V^T gV) / E) + diag(gS)) V^T, and what gU and gV have outside of
 * the spaces that U and V span.
 */
GRAD(linalg_svd) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *u = call->results[0], *s = call->results[1], *vh = call->results[2], *a = call->args[0].as.operand;
  tt_operand *grad_u = call->grads[0], *grad_s = call->grads[1], *grad_vh = call->grads[2];
  if (grad_u == NULL && grad_s == NULL && grad_vh == NULL) return TT_OK;
  if (!tt_rule_need_shape(&rule, call->op, a)) return rule.status;
  sides size = sides_of(&a->meta.shape);
  if (call->args[1].as.boolean && (grad_u != NULL || grad_vh != NULL) && size.m != size.n) {
    return tt_fail(error, TT_ERR_ARGUMENT,
                   "%s: full matrices of a matrix that is not square have no gradient; take full_matrices=False",
                   call->op->name);
  }
  if (call->args[1].as.boolean && size.m != size.n) {
    u = TT_RULE(&rule, narrow, tt_operand_value(u), tt_int(-1), tt_int(0), tt_int(size.k));
    vh = TT_RULE(&rule, narrow, tt_operand_value(vh), tt_int(-2), tt_int(0), tt_int(size.k));
  }
  tt_operand *inner = grad_s == NULL ? NULL : TT_RULE(&rule, diag_embed, tt_operand_value(grad_s)), *outside = NULL;
  tt_operand *row = tt_term_unsqueeze(&rule, s, -2), *column = tt_term_unsqueeze(&rule, s, -1);
  tt_operand *gaps = plus(&rule, tt_term_sub(&rule, tt_term_square(&rule, row), tt_term_square(&rule, column)),
                          TT_RULE(&rule, diag_embed, tt_operand_value(tt_rule_unary(&rule, TT_OP_ones_like, s))));
  if (grad_u != NULL) {
    tt_operand *along = times(&rule, turned(&rule, u), grad_u);
    inner = plus(&rule, inner, tt_term_mul(&rule, tt_term_div(&rule, skew(&rule, along), gaps), row));
    if (size.m > size.k) {
      tt_operand *rest = tt_term_sub(&rule, grad_u, times(&rule, u, along));
      outside = times(&rule, tt_term_div(&rule, rest, row), vh);
    }
  }
  if (grad_vh != NULL) {
    tt_operand *along = times(&rule, vh, turned(&rule, grad_vh));
    inner = plus(&rule, inner, tt_term_mul(&rule, column, tt_term_div(&rule, skew(&rule, along), gaps)));
    if (size.n > size.k) {
      tt_operand *rest = tt_term_sub(&rule, grad_vh, times(&rule, turned(&rule, along), vh));
      outside = plus(&rule, outside, times(&rule, u, tt_term_div(&rule, rest, column)));
    }
  }
  operand_grads[0] = plus(&rule, times(&rule, times(&rule, u, inner), vh), outside);
  return rule.status;
}

TT_BODY(linalg_svdvals) {
  (void)op;
  tt_operand *parts[TT_MAX_RESULTS];
  tt_value svd_args[] = {args[0], tt_bool(false)};
  return tt_rule_call_all(rule, TT_OP_linalg_svd, svd_args, 2, parts) == 3 ? parts[1] : NULL;
}
TT_COMPOSE(linalg_svdvals)

/* ---- slogdet, logdet ---- */

INFER(slogdet) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  TT_TRY(need_matrices(op, self, true, error));
  results[0] = results[1] = with_last(self, -1, -1);
  *n_results = 2;
  return TT_OK;
}

KERNEL(slogdet) {
  (void)context;
  sides s = sides_of(tt_tensor_shape(tt_arg_tensor(&args[0])));
  tt_tensor *a = tt_tensor_cast(tt_arg_tensor(&args[0]), TT_DTYPE_F64, error);
  tt_tensor *made[] = {a ? tt_tensor_new(TT_DTYPE_F64, &metas[0].shape, error) : NULL,
                       a ? tt_tensor_new(TT_DTYPE_F64, &metas[1].shape, error) : NULL};
  int64_t *pivots = tt_alloc((size_t)s.n + 1, sizeof *pivots);
  tt_status status = made[0] && made[1] && pivots ? TT_OK : TT_ERR_MEMORY;
  if (!pivots) status = tt_fail(error, TT_ERR_MEMORY, "%s: no memory for %" PRId64 " pivots", op->name, s.n);
  for (int64_t i = 0; i < s.n_matrices && status == TT_OK; i++) {
    double *factors = (double *)tt_tensor_data(a) + i * s.n * s.n, *sign = (double *)tt_tensor_data(made[0]) + i,
           *log_size = (double *)tt_tensor_data(made[1]) + i;
    int swaps = 1;
    tt_lu_factor(factors, s.n, pivots, &swaps);
    *sign = swaps;
    *log_size = 0;
    for (int64_t k = 0; k < s.n; k++) {
      double pivot = factors[k * s.n + k];
      *sign = pivot == 0 ? 0 : pivot < 0 ? -*sign : *sign;
      *log_size += log(fabs(pivot));
    }
  }
  tt_free(pivots);
  tt_tensor_unref(a);
  return answer(status, made, metas, 2, results, n_results, error);
}

GRAD(slogdet) {
  if (call->grads[1] == NULL) return TT_OK;
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *grad = tt_term_unsqueeze(&rule, tt_term_unsqueeze(&rule, call->grads[1], -1), -1);
  operand_grads[0] = tt_term_mul(&rule, grad, turned(&rule, tt_rule_unary(&rule, TT_OP_inverse, call->args[0].as.operand)));
  return rule.status;
}

/* NaN where the determinant is negative. */
TT_BODY(logdet) {
  (void)op;
  tt_operand *parts[TT_MAX_RESULTS];
  if (tt_rule_call_all(rule, TT_OP_slogdet, args, 1, parts) != 2) return NULL;
  return tt_term_add(rule, parts[1], tt_rule_unary(rule, TT_OP_log, parts[0]));
}
TT_COMPOSE(logdet)
