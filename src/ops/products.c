/* Rows of products with a sum (addmv, baddbmm, ...) and of products that are other rows put together. */
#include <inttypes.h>

#include "ops/compose.h"
#include "ops/promote.h"
#include "ops/rows.h"
#include "ops/terms.h"
#include "tensor/convert.h"

/* ---- beta * self + alpha * product ---- */

/* A number as the dtype holds it. */
static double number_in(tt_rule *rule, const tt_op *op, const tt_value *number, tt_dtype dtype) {
  _Alignas(8) uint8_t item[8];
  double value = 0;
  if (rule->status == TT_OK) rule->status = tt_scalar_store_checked(op, number, dtype, item, rule->error);
  if (rule->status == TT_OK) tt_convert(TT_DTYPE_F64, dtype)(&value, 0, item, 0, 1);
  return value;
}

static tt_operand *scaled(tt_rule *rule, tt_operand *x, double by) {
  if (rule->status != TT_OK || by == 1) return x;
  return TT_RULE(rule, mul, tt_operand_value(x), tt_dtype_is_floating(x->meta.dtype) ? tt_float(by) : tt_int((int64_t)by));
}

/* args[3] is beta, args[4] alpha. */
static tt_operand *scaled_sum(tt_rule *rule, const tt_op *op, const tt_value *args, tt_operand *product) {
  if (rule->status != TT_OK) return NULL;
  tt_operand *self = args[0].as.operand;
  rule->status = tt_infer_need_same_dtype(op, self->meta.dtype, product->meta.dtype, rule->error);
  double beta = number_in(rule, op, &args[3], self->meta.dtype), alpha = number_in(rule, op, &args[4], self->meta.dtype);
  if (rule->status != TT_OK) return NULL;
  const tt_shape *shape = &product->meta.shape;
  if (tt_shape_is_known(shape)) {
    self = TT_RULE(rule, expand, tt_operand_value(self), tt_ints(shape->dims, (uint32_t)shape->n_dims));
  }
  if (beta == 0) return scaled(rule, product, alpha);
  return tt_term_add(rule, scaled(rule, self, beta), scaled(rule, product, alpha));
}

static tt_operand *product_of(tt_rule *rule, tt_op_number number, const tt_value *args) {
  return tt_rule_binary(rule, number, args[1].as.operand, args[2].as.operand);
}

TT_BODY(addmm_into) { return scaled_sum(rule, op, args, product_of(rule, TT_OP_mm, args)); }
TT_COMPOSE(addmm_into)

TT_BODY(addmv) { return scaled_sum(rule, op, args, product_of(rule, TT_OP_mv, args)); }
TT_COMPOSE(addmv)

/* Its operands come to a common dtype, as the others' do not. */
TT_BODY(addr) {
  tt_dtype dtype = tt_promote_args(args, 3);
  tt_value cast[5] = {args[0], args[1], args[2], args[3], args[4]};
  for (int i = 0; i < 3; i++) cast[i] = tt_operand_value(tt_rule_cast(rule, args[i].as.operand, dtype));
  return scaled_sum(rule, op, cast, product_of(rule, TT_OP_outer, cast));
}
TT_COMPOSE(addr)

TT_BODY(baddbmm) { return scaled_sum(rule, op, args, product_of(rule, TT_OP_bmm, args)); }
TT_COMPOSE(baddbmm)

/* The sum over the batch is the inner sum of one product: (N, B*M) x (B*M, P). */
TT_BODY(addbmm) {
  tt_operand *a = args[1].as.operand, *b = args[2].as.operand;
  if (!tt_rule_need_shape(rule, op, a) || !tt_rule_need_shape(rule, op, b)) return NULL;
  const tt_shape *left = &a->meta.shape, *right = &b->meta.shape;
  if (left->n_dims != 3 || right->n_dims != 3 || left->dims[0] != right->dims[0] || left->dims[2] != right->dims[1]) {
    char left_text[TT_SHAPE_TEXT_BYTES], right_text[TT_SHAPE_TEXT_BYTES];
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s takes batches (B,N,M) and (B,M,P), not of shapes %s and %s", op->name,
                 tt_shape_text(left, left_text), tt_shape_text(right, right_text));
    return NULL;
  }
  int64_t n_inner = left->dims[0] * left->dims[2], order[] = {1, 0, 2};
  int64_t left_sizes[] = {left->dims[1], n_inner}, right_sizes[] = {n_inner, right->dims[2]};
  tt_operand *turned = TT_RULE(rule, permute, tt_operand_value(a), tt_ints(order, 3));
  tt_operand *product =
      tt_rule_binary(rule, TT_OP_mm, tt_term_reshape(rule, turned, left_sizes, 2), tt_term_reshape(rule, b, right_sizes, 2));
  return scaled_sum(rule, op, args, product);
}
TT_COMPOSE(addbmm)

/* ---- put together ---- */

static void refuse_dims(tt_rule *rule, const tt_op *op, const tt_value *dims) {
  tt_rule_fail(rule, TT_ERR_ARGUMENT,
               "%s: %" PRIu32 " dimensions cannot be summed over so: each is named once, as many of one tensor as of the other",
               op->name, dims->n);
}

/* The tensor as a matrix whose rows are (or, when `sums_first`, whose columns stand behind) the dimensions that stay. */
static tt_operand *as_matrix(tt_rule *rule, const tt_op *op, tt_operand *x, const tt_value *dims, bool sums_first,
                             int64_t *kept, int *n_kept) {
  const tt_shape *shape = &x->meta.shape;
  bool is_summed[TT_MAX_DIMS] = {false};
  int64_t order[TT_MAX_DIMS], sizes[2] = {1, 1};
  int n = 0, n_stay = 0;
  for (uint32_t i = 0; i < dims->n; i++) {
    int d = 0;
    rule->status = tt_shape_wrap_dim(op->name, dims->as.ints[i], shape->n_dims, &d, rule->error);
    if (rule->status == TT_OK && (is_summed[d] || shape->n_dims == 0)) refuse_dims(rule, op, dims);
    if (rule->status != TT_OK) return NULL;
    is_summed[d] = true;
    order[(sums_first ? 0 : shape->n_dims - (int)dims->n) + (int)i] = d;
    sizes[sums_first ? 0 : 1] *= shape->dims[d];
  }
  for (int d = 0; d < shape->n_dims; d++) {
    if (is_summed[d]) continue;
    order[(sums_first ? (int)dims->n : 0) + n_stay++] = d;
    sizes[sums_first ? 1 : 0] *= shape->dims[d];
    kept[(*n_kept)++] = shape->dims[d];
  }
  n = shape->n_dims;
  return tt_term_reshape(rule, TT_RULE(rule, permute, tt_operand_value(x), tt_ints(order, (uint32_t)n)), sizes, 2);
}

static tt_operand *summed_over(tt_rule *rule, tt_operand *x, int64_t d) {
  return TT_RULE(rule, sum, tt_operand_value(x), tt_ints(&d, 1), tt_bool(true), tt_dtype_value(x->meta.dtype));
}

TT_BODY(tensordot) {
  tt_operand *a = args[0].as.operand, *b = args[1].as.operand;
  if (!tt_rule_need_shape(rule, op, a) || !tt_rule_need_shape(rule, op, b)) return NULL;
  if (args[2].n != args[3].n || (int)args[2].n > a->meta.shape.n_dims || (int)args[3].n > b->meta.shape.n_dims) {
    refuse_dims(rule, op, &args[2]);
    return NULL;
  }
  for (uint32_t i = 0; i < args[2].n; i++) {
    int left = 0, right = 0;
    rule->status = tt_shape_wrap_dim(op->name, args[2].as.ints[i], a->meta.shape.n_dims, &left, rule->error);
    if (rule->status == TT_OK) {
      rule->status = tt_shape_wrap_dim(op->name, args[3].as.ints[i], b->meta.shape.n_dims, &right, rule->error);
    }
    if (rule->status != TT_OK) return NULL;
    int64_t left_size = a->meta.shape.dims[left], right_size = b->meta.shape.dims[right];
    if (left_size == right_size) continue;
    /* One element meets the sum of the others. */
    if (left_size == 1) {
      b = summed_over(rule, b, right);
    } else if (right_size == 1) {
      a = summed_over(rule, a, left);
    } else {
      tt_rule_fail(rule, TT_ERR_SHAPE,
                   "%s: dimension %d of the first tensor has size %" PRId64 ", dimension %d of the second %" PRId64, op->name,
                   left, left_size, right, right_size);
    }
    if (rule->status != TT_OK) return NULL;
  }
  int64_t kept[2 * TT_MAX_DIMS];
  int n_kept = 0;
  tt_operand *left = as_matrix(rule, op, a, &args[2], false, kept, &n_kept);
  if (rule->status != TT_OK) return NULL;
  tt_operand *right = as_matrix(rule, op, b, &args[3], true, kept, &n_kept);
  return tt_term_reshape(rule, tt_rule_binary(rule, TT_OP_mm, left, right), kept, n_kept);
}
TT_COMPOSE(tensordot)

/* Sizes (a0,1,a1,1,...) times (1,b0,1,b1,...). */
TT_BODY(kron) {
  tt_operand *operands[2] = {args[0].as.operand, args[1].as.operand};
  if (!tt_rule_need_shape(rule, op, operands[0]) || !tt_rule_need_shape(rule, op, operands[1])) return NULL;
  const tt_shape *a = &operands[0]->meta.shape, *b = &operands[1]->meta.shape;
  int n = a->n_dims > b->n_dims ? a->n_dims : b->n_dims;
  if (2 * n > TT_MAX_DIMS) {
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s takes tensors of at most %d dimensions, not of %d", op->name, TT_MAX_DIMS / 2, n);
    return NULL;
  }
  int64_t sizes[2][TT_MAX_DIMS], together[TT_MAX_DIMS];
  for (int d = 0; d < n; d++) {
    int of_a = d - (n - a->n_dims), of_b = d - (n - b->n_dims);
    sizes[0][2 * d] = of_a < 0 ? 1 : a->dims[of_a];
    sizes[0][2 * d + 1] = 1;
    sizes[1][2 * d] = 1;
    sizes[1][2 * d + 1] = of_b < 0 ? 1 : b->dims[of_b];
    if (sizes[0][2 * d] > 0 && sizes[1][2 * d + 1] > TT_MAX_ELEMENTS / sizes[0][2 * d])
      tt_rule_fail(rule, TT_ERR_SHAPE, "%s: dimension %d of the result is too large", op->name, d);
    if (rule->status != TT_OK) return NULL;
    together[d] = sizes[0][2 * d] * sizes[1][2 * d + 1];
  }
  for (int i = 0; i < 2; i++) operands[i] = tt_term_reshape(rule, operands[i], sizes[i], 2 * n);
  return tt_term_reshape(rule, tt_term_mul(rule, operands[0], operands[1]), together, n);
}
TT_COMPOSE(kron)

TT_BODY(trace) {
  const tt_operand *self = args[0].as.operand;
  if (tt_shape_is_known(&self->meta.shape) && self->meta.shape.n_dims != 2) {
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s takes a matrix, not a tensor of %d dimensions", op->name, self->meta.shape.n_dims);
  }
  if (self->meta.dtype == TT_DTYPE_BOOL)
    tt_rule_fail(rule, TT_ERR_DTYPE, "%s does not take bool; convert the tensor first", op->name);
  return tt_rule_unary(rule, TT_OP_sum, TT_RULE(rule, diagonal, args[0]));
}
TT_COMPOSE(trace)

/* x with its three elements along d moved k places to the front. */
static tt_operand *turned(tt_rule *rule, tt_operand *x, int d, int64_t k) {
  tt_operand *parts[] = {TT_RULE(rule, narrow, tt_operand_value(x), tt_int(d), tt_int(k), tt_int(3 - k)),
                         TT_RULE(rule, narrow, tt_operand_value(x), tt_int(d), tt_int(0), tt_int(k))};
  return TT_RULE(rule, cat, tt_operands_value(parts, 2), tt_int(d));
}

TT_BODY(cross) {
  tt_operand *a = args[0].as.operand, *b = args[1].as.operand;
  if (!tt_rule_need_shape(rule, op, a) || !tt_rule_need_shape(rule, op, b)) return NULL;
  const tt_shape *shape = &a->meta.shape;
  char text[TT_SHAPE_TEXT_BYTES], other[TT_SHAPE_TEXT_BYTES];
  int d = 0;
  if (rule->status == TT_OK) rule->status = tt_infer_need_same_dtype(op, a->meta.dtype, b->meta.dtype, rule->error);
  if (shape->n_dims != b->meta.shape.n_dims) {
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s takes tensors of as many dimensions, not of shapes %s and %s", op->name,
                 tt_shape_text(shape, text), tt_shape_text(&b->meta.shape, other));
  } else if (!tt_arg_is_none(&args[2])) {
    if (rule->status == TT_OK) rule->status = tt_shape_wrap_dim(op->name, args[2].as.integer, shape->n_dims, &d, rule->error);
  } else {
    while (d < shape->n_dims && shape->dims[d] != 3) d++;
  }
  if (rule->status == TT_OK && (d >= shape->n_dims || shape->dims[d] != 3 || b->meta.shape.dims[d] != 3)) {
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s needs a dimension that has size 3 in both tensors, of shapes %s and %s", op->name,
                 tt_shape_text(shape, text), tt_shape_text(&b->meta.shape, other));
  }
  if (rule->status != TT_OK) return NULL;
  return tt_term_sub(rule, tt_term_mul(rule, turned(rule, a, d, 1), turned(rule, b, d, 2)),
                     tt_term_mul(rule, turned(rule, a, d, 2), turned(rule, b, d, 1)));
}
TT_COMPOSE(cross)

/* By squaring; a power below 0 is one of the inverse. */
TT_BODY(matrix_power) {
  tt_operand *x = args[0].as.operand, *power = NULL;
  int64_t left = args[1].as.integer;
  if (left < 0) tt_rule_need_same_floats(rule, op, x, NULL);
  const tt_shape *shape = &x->meta.shape;
  if (tt_shape_is_known(shape) && (shape->n_dims < 2 || shape->dims[shape->n_dims - 1] != shape->dims[shape->n_dims - 2])) {
    char text[TT_SHAPE_TEXT_BYTES];
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s takes square matrices or batches of them, not a tensor of shape %s", op->name,
                 tt_shape_text(shape, text));
  }
  if (left == 0) {
    tt_operand *lines = TT_RULE(rule, sum, tt_operand_value(x), tt_ints((int64_t[]){-1}, 1));
    return TT_RULE(rule, diag_embed, tt_operand_value(tt_rule_unary(rule, TT_OP_ones_like, lines)));
  }
  if (left < 0) x = tt_rule_unary(rule, TT_OP_inverse, x);
  for (uint64_t bits = left < 0 ? 0 - (uint64_t)left : (uint64_t)left; bits != 0 && rule->status == TT_OK; bits >>= 1) {
    if (bits & 1) power = power == NULL ? x : tt_rule_binary(rule, TT_OP_matmul, power, x);
    if (bits > 1) x = tt_rule_binary(rule, TT_OP_matmul, x, x);
  }
  return power;
}
TT_COMPOSE(matrix_power)

/* ---- distances ---- */

TT_BODY(dist) {
  (void)op;
  return TT_RULE(rule, norm, tt_operand_value(tt_term_sub(rule, args[0].as.operand, args[1].as.operand)), args[2]);
}
TT_COMPOSE(dist)

static double number_of(const tt_value *number) {
  return number->type == TT_VALUE_FLOAT ? number->as.real
         : number->type == TT_VALUE_INT ? (double)number->as.integer
                                        : number->as.boolean;
}

/* Each slice along dim whose norm is above maxnorm is brought down to it. */
TT_BODY(renorm) {
  tt_operand *x = args[0].as.operand;
  double p = number_of(&args[1]), most = number_of(&args[3]);
  tt_rule_need_same_floats(rule, op, x, NULL);
  if (!tt_rule_need_shape(rule, op, x)) return NULL;
  const tt_shape *shape = &x->meta.shape;
  int dim = 0;
  if (shape->n_dims < 2) {
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s takes a tensor of at least two dimensions, not of %d", op->name, shape->n_dims);
  }
  if (!(p > 0)) tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: p must be above 0, and is %g", op->name, p);
  if (!(most >= 0)) tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: maxnorm must not be below 0, and is %g", op->name, most);
  if (rule->status == TT_OK) rule->status = tt_shape_wrap_dim(op->name, args[2].as.integer, shape->n_dims, &dim, rule->error);
  if (rule->status != TT_OK) return NULL;
  int64_t others[TT_MAX_DIMS];
  uint32_t n_others = 0;
  for (int d = 0; d < shape->n_dims; d++) {
    if (d != dim) others[n_others++] = d;
  }
  tt_operand *norms = TT_RULE(rule, norm, tt_operand_value(x), args[1], tt_ints(others, n_others), tt_bool(true));
  tt_operand *shrink = tt_term_scale(rule, tt_rule_unary(rule, TT_OP_reciprocal, tt_term_plus(rule, norms, 1e-7)), most);
  tt_operand *is_above = tt_rule_scalar(rule, TT_OP_gt, norms, most);
  tt_operand *factors = TT_RULE(rule, where, tt_operand_value(is_above), tt_operand_value(shrink), tt_int(1));
  return tt_term_mul(rule, x, factors);
}
TT_COMPOSE(renorm)
