/*
 * layers: rows of what a network's layers do beside convolving, pooling and normalising: bilinear maps, embeddings, dropout (linear is a product
 * like others: matrix.c).
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "ops/compose.h"
#include "ops/define.h"
#include "ops/grad_common.h"
#include "ops/rows.h"
#include "ops/terms.h"
#include "tensor/convert.h"

/* ---- bilinear ---- */

/* y[n, o] = sum of a[n, i] W[o, i, j] b[n, j]: (N,I)x(O,I,J) -> (O,N,J), then times b and summed over J. */
TT_BODY(bilinear) {
  tt_operand *a = args[0].as.operand, *b = args[1].as.operand, *weight = args[2].as.operand, *bias = tt_arg_operand(&args[3]);
  if (!tt_rule_need_shape(rule, op, a) || !tt_rule_need_shape(rule, op, b) || !tt_rule_need_shape(rule, op, weight))
    return NULL;
  const tt_shape *left = &a->meta.shape, *right = &b->meta.shape, *form = &weight->meta.shape;
  bool fits = form->n_dims == 3 && left->n_dims > 0 && left->n_dims == right->n_dims;
  for (int d = 0; fits && d < left->n_dims - 1; d++) fits = left->dims[d] == right->dims[d];
  fits = fits && left->dims[left->n_dims - 1] == form->dims[1] && right->dims[left->n_dims - 1] == form->dims[2];
  if (!fits) {
    char a_text[TT_SHAPE_TEXT_BYTES], b_text[TT_SHAPE_TEXT_BYTES], text[TT_SHAPE_TEXT_BYTES];
    tt_rule_fail(rule, TT_ERR_SHAPE,
                 "%s takes inputs of shapes (..., I) and (..., J) and a weight of shape (O, I, J), not %s, %s and %s", op->name,
                 tt_shape_text(left, a_text), tt_shape_text(right, b_text), tt_shape_text(form, text));
    return NULL;
  }
  tt_rule_need_same_floats(rule, op, a, b);
  tt_rule_need_same_floats(rule, op, a, bias);
  int64_t n_rows = 1, last = -1, sizes[TT_MAX_DIMS];
  for (int d = 0; d < left->n_dims - 1; d++) n_rows *= sizes[d] = left->dims[d];
  sizes[left->n_dims - 1] = form->dims[0];
  tt_operand *left_rows = tt_term_reshape(rule, a, (int64_t[]){n_rows, form->dims[1]}, 2);
  tt_operand *right_rows = tt_term_reshape(rule, b, (int64_t[]){n_rows, form->dims[2]}, 2);
  tt_operand *half = tt_rule_binary(rule, TT_OP_matmul, left_rows, weight);
  tt_operand *sums = TT_RULE(rule, sum, tt_operand_value(tt_term_mul(rule, half, right_rows)), tt_ints(&last, 1));
  tt_operand *made = tt_term_reshape(rule, tt_rule_unary(rule, TT_OP_t, sums), sizes, left->n_dims);
  return bias != NULL ? tt_term_add(rule, made, bias) : made;
}
TT_COMPOSE(bilinear)

/* ---- embedding ---- */

static void need_integers(tt_rule *rule, const tt_op *op, const tt_operand *x) {
  if (x->meta.dtype == TT_DTYPE_I64 || x->meta.dtype == TT_DTYPE_I32) return;
  tt_rule_fail(rule, TT_ERR_DTYPE, "%s takes indices of dtype int64 or int32, not %s", op->name, tt_dtype_name(x->meta.dtype));
}

/* padding_idx counted from the front; -1 for none. */
static int64_t padding_of(tt_rule *rule, const tt_op *op, const tt_value *padding, int64_t n_rows) {
  if (tt_arg_is_none(padding)) return -1;
  int64_t i = padding->as.integer;
  if (i < -n_rows || i >= n_rows) {
    tt_rule_fail(rule, TT_ERR_INDEX, "%s: padding_idx must be within the %" PRId64 " embeddings, but is %" PRId64, op->name,
                 n_rows, i);
  }
  return i < 0 ? i + n_rows : i;
}

TT_BODY(embedding) {
  tt_operand *index = args[0].as.operand, *weight = args[1].as.operand;
  if (!tt_rule_need_shape(rule, op, index) || !tt_rule_need_shape(rule, op, weight)) return NULL;
  need_integers(rule, op, index);
  const tt_shape *shape = &index->meta.shape, *table = &weight->meta.shape;
  if (table->n_dims != 2 || shape->n_dims == TT_MAX_DIMS) {
    char text[TT_SHAPE_TEXT_BYTES];
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s: 'weight' must be 2-D, not of shape %s", op->name, tt_shape_text(table, text));
    return NULL;
  }
  padding_of(rule, op, &args[2], table->dims[0]);
  if (rule->status != TT_OK) return NULL;
  int64_t n = tt_shape_n_elements(shape), sizes[TT_MAX_DIMS];
  memcpy(sizes, shape->dims, (size_t)shape->n_dims * sizeof sizes[0]);
  sizes[shape->n_dims] = table->dims[1];
  tt_operand *list = tt_rule_cast(rule, tt_term_reshape(rule, index, &n, 1), TT_DTYPE_I64);
  tt_operand *rows = TT_RULE(rule, index_select, tt_operand_value(weight), tt_int(0), tt_operand_value(list));
  return tt_term_reshape(rule, rows, sizes, shape->n_dims + 1);
}
TT_COMPOSE_INFER(embedding)
TT_COMPOSE_KERNEL(embedding)

/* Each row's gradient is the sum of where it was used; the padding's is zero. */
GRAD(embedding) {
  tt_rule made = tt_rule_begin(context, error), *rule = &made;
  tt_operand *index = call->args[0].as.operand, *weight = call->args[1].as.operand, *g = call->grads[0];
  if (!call->is_needed[1]) return TT_OK;
  if (!tt_rule_need_shape(rule, call->op, index) || !tt_rule_need_shape(rule, call->op, weight)) return rule->status;
  int64_t n = tt_shape_n_elements(&index->meta.shape),
          padding = padding_of(rule, call->op, &call->args[2], weight->meta.shape.dims[0]);
  tt_operand *list = tt_rule_cast(rule, tt_term_reshape(rule, index, &n, 1), TT_DTYPE_I64);
  tt_operand *rows = tt_term_reshape(rule, g, (int64_t[]){n, weight->meta.shape.dims[1]}, 2);
  if (padding >= 0) {
    tt_operand *is_padding = tt_term_unsqueeze(rule, TT_RULE(rule, eq, tt_operand_value(list), tt_int(padding)), 1);
    rows = TT_RULE(rule, masked_fill, tt_operand_value(rows), tt_operand_value(is_padding), tt_int(0));
  }
  tt_operand *nothing = tt_rule_unary(rule, TT_OP_zeros_like, weight);
  operand_grads[1] =
      TT_RULE(rule, index_add, tt_operand_value(nothing), tt_int(0), tt_operand_value(list), tt_operand_value(rows));
  return rule->status;
}

/* ---- one_hot ---- */

INFER(one_hot) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  int64_t n_classes = args[1].as.integer;
  if (self->dtype != TT_DTYPE_I64) {
    return tt_fail(error, TT_ERR_DTYPE, "%s is only applicable to an index tensor of dtype int64, not %s", op->name,
                   tt_dtype_name(self->dtype));
  }
  if (n_classes < -1) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: num_classes must be positive, or -1 for one more than the largest class",
                   op->name);
  }
  if (n_classes == -1 || !tt_shape_is_known(&self->shape))
    return tt_infer_one(tt_meta_unknown(TT_DTYPE_I64), results, n_results);
  tt_meta meta = {.dtype = TT_DTYPE_I64, .shape = self->shape};
  if (meta.shape.n_dims == TT_MAX_DIMS) {
    return tt_fail(error, TT_ERR_SHAPE, "%s: a tensor has at most %d dimensions", op->name, (int)TT_MAX_DIMS);
  }
  meta.shape.dims[meta.shape.n_dims++] = n_classes;
  TT_TRY(tt_shape_make(meta.shape.dims, (size_t)meta.shape.n_dims, &meta.shape, error));
  if (tt_shape_n_elements(&self->shape) == 0 && n_classes == 0) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: cannot infer the total number of classes from an empty tensor", op->name);
  }
  return tt_infer_one(meta, results, n_results);
}

KERNEL(one_hot) {
  (void)context, (void)metas;
  tt_tensor *classes = tt_tensor_contiguous(tt_arg_tensor(&args[0]), error);
  if (classes == NULL) return TT_ERR_MEMORY;
  const int64_t *at = tt_tensor_data(classes);
  int64_t n = tt_tensor_n_elements(classes), n_classes = args[1].as.integer, least = 0, most = -1;
  for (int64_t i = 0; i < n; i++) {
    least = at[i] < least ? at[i] : least;
    most = at[i] > most ? at[i] : most;
  }
  tt_status status = TT_OK;
  if (n == 0 && n_classes <= 0) {
    status = tt_fail(error, TT_ERR_ARGUMENT, "%s: cannot infer the total number of classes from an empty tensor", op->name);
  } else if (least < 0) {
    status = tt_fail(error, TT_ERR_INDEX, "%s: class values must be non-negative, but one is %" PRId64, op->name, least);
  } else if (n_classes >= 0 && most >= n_classes) {
    status = tt_fail(error, TT_ERR_INDEX,
                     "%s: class values must be smaller than num_classes, which is %" PRId64 ", but one is %" PRId64, op->name,
                     n_classes, most);
  }
  if (n_classes == -1) n_classes = most + 1;
  tt_shape shape = *tt_tensor_shape(classes);
  if (status == TT_OK && shape.n_dims == TT_MAX_DIMS) {
    status = tt_fail(error, TT_ERR_SHAPE, "%s: a tensor has at most %d dimensions", op->name, (int)TT_MAX_DIMS);
  }
  if (status == TT_OK) {
    shape.dims[shape.n_dims++] = n_classes;
    status = tt_shape_make(shape.dims, (size_t)shape.n_dims, &shape, error);
  }
  tt_tensor *out = status == TT_OK ? tt_tensor_zeros(TT_DTYPE_I64, &shape, error) : NULL;
  if (status == TT_OK && out == NULL) status = TT_ERR_MEMORY;
  for (int64_t i = 0; status == TT_OK && i < n; i++) ((int64_t *)tt_tensor_data(out))[i * n_classes + at[i]] = 1;
  tt_tensor_unref(classes);
  if (status != TT_OK) return status;
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}

/* ---- dropout ---- */

static tt_status check_chance(const tt_op *op, const tt_value *p, tt_error *error) {
  if (p->as.real >= 0 && p->as.real <= 1) return TT_OK;
  return tt_fail(error, TT_ERR_ARGUMENT, "%s: dropout probability has to be between 0 and 1, but got %g", op->name, p->as.real);
}

INFER(dropout) {
  TT_TRY(check_chance(op, &args[1], error));
  TT_TRY(tt_infer_need_floating(op, tt_arg_meta(&args[0])->dtype, error));
  return tt_infer_one(*tt_arg_meta(&args[0]), results, n_results);
}

INFER(native_dropout) {
  TT_TRY(tt_infer_dropout(op, args, results, n_results, error));
  results[1] = results[0];
  results[1].dtype = TT_DTYPE_BOOL;
  *n_results = 2;
  return TT_OK;
}

/*
 * One element is kept or dropped. A dropped one is -0.0 and a kept zero 0.0, so that the result alone tells which is which: that
 * is how the gradient finds the same mask again without keeping one.
 */
#define DEFINE_DROP(suffix, type)                                                                    \
  static void drop_##suffix(tt_generator *generator, double p, type *at, int64_t n, uint8_t *mask) { \
    type factor = (type)(p < 1 ? 1 / (1 - p) : 0);                                                   \
    for (int64_t i = 0; i < n; i++) {                                                                \
      bool is_kept = tt_generator_uniform_f64(generator) >= p;                                       \
      at[i] = is_kept ? (at[i] == 0 ? 0 : at[i] * factor) : -(type)0.0;                              \
      if (mask != NULL) mask[i] = is_kept;                                                           \
    }                                                                                                \
  }
DEFINE_DROP(f32, float)
DEFINE_DROP(f64, double)

static tt_status run_dropout(const tt_value *args, bool keeps_mask, tt_kernel_context *context, const tt_meta *metas,
                             tt_tensor **results, size_t *n_results, tt_error *error) {
  bool is_training = args[2].as.boolean;
  tt_tensor *made = tt_tensor_cast(tt_arg_tensor(&args[0]), metas[0].dtype, error);
  tt_tensor *mask = made && keeps_mask ? tt_tensor_new(TT_DTYPE_BOOL, &metas[0].shape, error) : NULL;
  if (made == NULL || (keeps_mask && mask == NULL)) {
    tt_tensor_unref(made);
    return TT_ERR_MEMORY;
  }
  tt_generator own, *generator = context->generator;
  if (!tt_arg_is_none(&args[3])) {
    generator = &own;
    tt_generator_init(&own, (uint64_t)args[3].as.integer);
  }
  int64_t n = tt_tensor_n_elements(made);
  uint8_t *flags = mask ? tt_tensor_data(mask) : NULL;
  if (!is_training) {
    if (flags && n > 0) memset(flags, 1, (size_t)n);
  } else if (metas[0].dtype == TT_DTYPE_F32) {
    drop_f32(generator, args[1].as.real, tt_tensor_data(made), n, flags);
  } else {
    drop_f64(generator, args[1].as.real, tt_tensor_data(made), n, flags);
  }
  results[0] = made;
  if (keeps_mask) results[1] = mask;
  *n_results = keeps_mask ? 2 : 1;
  return TT_OK;
}

KERNEL(dropout) {
  (void)op;
  return run_dropout(args, false, context, metas, results, n_results, error);
}

KERNEL(native_dropout) {
  (void)op;
  return run_dropout(args, true, context, metas, results, n_results, error);
}

/* The gradient passes where the mask kept, as much larger as the value became. */
static tt_operand *pass_kept(tt_rule *rule, const tt_grad_call *call, tt_operand *is_kept) {
  double p = call->args[1].as.real;
  return tt_term_keep(rule, is_kept, tt_term_scale(rule, call->grads[0], p < 1 ? 1 / (1 - p) : 0));
}

GRAD(dropout) {
  tt_rule made = tt_rule_begin(context, error), *rule = &made;
  if (!call->is_needed[0]) return TT_OK;
  if (!call->args[2].as.boolean) {
    operand_grads[0] = call->grads[0];
    return TT_OK;
  }
  /* A kept one is not zero, or a zero whose reciprocal is not negative. */
  tt_operand *y = call->results[0];
  tt_operand *is_plus_zero = tt_rule_scalar(rule, TT_OP_gt, tt_rule_unary(rule, TT_OP_reciprocal, y), 0.0);
  tt_operand *is_kept = tt_rule_binary(rule, TT_OP_logical_or, tt_rule_scalar(rule, TT_OP_ne, y, 0.0), is_plus_zero);
  operand_grads[0] = pass_kept(rule, call, is_kept);
  return rule->status;
}

GRAD(native_dropout) {
  tt_rule made = tt_rule_begin(context, error), *rule = &made;
  if (!call->is_needed[0] || call->grads[0] == NULL) return TT_OK;
  operand_grads[0] = call->args[2].as.boolean ? pass_kept(rule, call, call->results[1]) : call->grads[0];
  return rule->status;
}
