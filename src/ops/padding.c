/* constant_pad_nd and unfold: rows of the shape sections that have kernels of their own. */
#include <inttypes.h>
#include <string.h>

#include "ops/grad_common.h"
#include "ops/infer_common.h"
#include "ops/promote.h"
#include "ops/rows.h"
#include "ops/rule.h"
#include "ops/view_common.h"
#include "tensor/convert.h"

/* ---- constant_pad_nd ---- */

enum { PAD_SIZES = 1, PAD_VALUE };

/* The size of pads at dimension d: pairs from the last dimension on, of what lies before and behind. */
static int64_t pad_at(const tt_value *sizes, int n_dims, int d, bool is_behind) {
  size_t at = 2 * (size_t)(n_dims - 1 - d);
  return at + 1 < sizes->n ? sizes->as.ints[at + is_behind] : 0;
}

tt_status tt_infer_constant_pad_nd(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results,
                                   tt_error *error) {
  tt_meta meta = *tt_arg_meta(&args[0]);
  const tt_value *sizes = &args[PAD_SIZES];
  if (sizes->n % 2 != 0) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: the sizes come in pairs, before and behind, but there are %" PRIu32, op->name,
                   sizes->n);
  }
  if (!tt_shape_is_known(&meta.shape)) return tt_infer_one(meta, results, n_results);
  if ((int)(sizes->n / 2) > meta.shape.n_dims) {
    return tt_fail(error, TT_ERR_SHAPE, "%s: %" PRIu32 " pairs of sizes are too many for a tensor of %d dimensions", op->name,
                   sizes->n / 2, meta.shape.n_dims);
  }
  for (int d = 0; d < meta.shape.n_dims; d++) {
    int64_t size = meta.shape.dims[d], before = pad_at(sizes, meta.shape.n_dims, d, false),
            behind = pad_at(sizes, meta.shape.n_dims, d, true);
    bool is_huge =
        before > TT_MAX_ELEMENTS || behind > TT_MAX_ELEMENTS || before < -TT_MAX_ELEMENTS || behind < -TT_MAX_ELEMENTS;
    if (is_huge || size + (before < 0 ? before : 0) + (behind < 0 ? behind : 0) < 0) {
      return tt_fail(error, TT_ERR_SHAPE, "%s: dimension %d of size %" PRId64 " cannot be padded by %" PRId64 " and %" PRId64,
                     op->name, d, size, before, behind);
    }
    meta.shape.dims[d] = size + before + behind;
  }
  TT_TRY(tt_shape_make(meta.shape.dims, (size_t)meta.shape.n_dims, &meta.shape, error));
  return tt_infer_one(meta, results, n_results);
}

/* The part of a tensor that self and its padded form share, seen in one of them. */
static tt_tensor *shared_part(const tt_tensor *tensor, const tt_value *sizes, bool is_padded, const tt_shape *other,
                              tt_error *error) {
  tt_shape shape = *tt_tensor_shape(tensor);
  int64_t offset = tensor->offset;
  for (int d = 0; d < shape.n_dims; d++) {
    int64_t before = pad_at(sizes, shape.n_dims, d, false), behind = pad_at(sizes, shape.n_dims, d, true);
    int64_t own = is_padded ? other->dims[d] : shape.dims[d]; /* self's size */
    int64_t n = own + (before < 0 ? before : 0) + (behind < 0 ? behind : 0);
    int64_t start = is_padded ? (before > 0 ? before : 0) : (before < 0 ? -before : 0);
    shape.dims[d] = n;
    if (shape.dims[d] > 0) offset += start * tensor->strides[d];
  }
  if (tt_shape_n_elements(&shape) == 0) offset = tensor->offset;
  return tt_tensor_view(tensor, &shape, tensor->strides, offset, error);
}

tt_status tt_kernel_constant_pad_nd(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                                    tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  _Alignas(8) uint8_t item[8];
  TT_TRY(tt_scalar_store_checked(op, &args[PAD_VALUE], metas[0].dtype, item, error));
  tt_tensor *out = tt_tensor_new(metas[0].dtype, &metas[0].shape, error);
  if (out == NULL) return TT_ERR_MEMORY;
  tt_convert(metas[0].dtype, metas[0].dtype)(tt_tensor_data(out), (int64_t)tt_dtype_bytes(metas[0].dtype), item, 0,
                                             tt_tensor_n_elements(out));
  tt_tensor *from = shared_part(self, &args[PAD_SIZES], false, NULL, error);
  tt_tensor *to = from == NULL ? NULL : shared_part(out, &args[PAD_SIZES], true, tt_tensor_shape(self), error);
  tt_status status = to == NULL ? TT_ERR_MEMORY : tt_tensor_copy(to, from, error);
  tt_tensor_unref(from);
  tt_tensor_unref(to);
  if (status == TT_OK) return tt_answer_tensor(out, results, n_results);
  tt_tensor_unref(out);
  return status;
}

/* Padding taken off again, and zeros where self was cut. */
tt_status tt_grad_constant_pad_nd(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads,
                                  tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  const tt_value *sizes = &call->args[PAD_SIZES];
  int64_t back[2 * TT_MAX_DIMS];
  if (sizes->n > 2 * TT_MAX_DIMS) return TT_OK; /* the shape rule refuses so many */
  for (uint32_t i = 0; i < sizes->n; i++) back[i] = -sizes->as.ints[i];
  operand_grads[0] = TT_RULE(&rule, constant_pad_nd, tt_operand_value(call->grads[0]), tt_ints(back, sizes->n));
  return rule.status;
}

/* ---- unfold ---- */

enum { UNFOLD_DIM = 1, UNFOLD_SIZE, UNFOLD_STEP };

/* Windows of `size` elements, `step` apart, along a dimension; the places in a window become the last dimension. */
tt_status tt_infer_unfold(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta = *tt_arg_meta(&args[0]);
  int64_t size = args[UNFOLD_SIZE].as.integer, step = args[UNFOLD_STEP].as.integer;
  if (size < 0 || step <= 0) {
    return tt_fail(error, TT_ERR_ARGUMENT,
                   "%s: the size must not be below 0 and the step must be above 0, but they are %" PRId64 " and %" PRId64,
                   op->name, size, step);
  }
  if (!tt_shape_is_known(&meta.shape)) return tt_infer_one(meta, results, n_results);
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[UNFOLD_DIM].as.integer, meta.shape.n_dims, &dim, error));
  int64_t own = meta.shape.n_dims == 0 ? 1 : meta.shape.dims[dim];
  if (size > own) {
    return tt_fail(error, TT_ERR_SHAPE, "%s: windows of %" PRId64 " do not fit into dimension %d of size %" PRId64, op->name,
                   size, dim, own);
  }
  TT_TRY(tt_need_dim_room(op, meta.shape.n_dims + 1, error));
  if (meta.shape.n_dims > 0) meta.shape.dims[dim] = (own - size) / step + 1;
  meta.shape.dims[meta.shape.n_dims++] = size;
  TT_TRY(tt_shape_make(meta.shape.dims, (size_t)meta.shape.n_dims, &meta.shape, error));
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_unfold(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  int n_dims = tt_tensor_n_dims(self), dim;
  int64_t strides[TT_MAX_DIMS];
  TT_TRY(tt_shape_wrap_dim(op->name, args[UNFOLD_DIM].as.integer, n_dims, &dim, error));
  memcpy(strides, self->strides, sizeof strides);
  strides[n_dims] = n_dims == 0 ? 1 : self->strides[dim];
  if (n_dims > 0) strides[dim] = metas[0].shape.dims[dim] > 1 ? self->strides[dim] * args[UNFOLD_STEP].as.integer : 0;
  return tt_answer_view(self, &metas[0].shape, strides, self->offset, results, n_results, error);
}

/* What each window's places have goes back to the elements that they were taken from. */
tt_status tt_grad_unfold(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  const tt_operand *self = call->args[0].as.operand;
  if (!tt_rule_need_shape(&rule, call->op, self)) return rule.status;
  const tt_shape *shape = &self->meta.shape;
  int64_t size = call->args[UNFOLD_SIZE].as.integer, step = call->args[UNFOLD_STEP].as.integer;
  if (shape->n_dims == 0) { /* one window, of one element or of none */
    if (size > 0) operand_grads[0] = TT_RULE(&rule, select, tt_operand_value(call->grads[0]), tt_int(-1), tt_int(0));
    return rule.status;
  }
  int dim;
  TT_TRY(tt_shape_wrap_dim(call->op->name, call->args[UNFOLD_DIM].as.integer, shape->n_dims, &dim, error));
  tt_operand *places = TT_RULE(&rule, arange, tt_int(shape->dims[dim]), tt_none(), tt_int(1), tt_dtype_value(TT_DTYPE_I64));
  tt_operand *taken = TT_RULE(&rule, unfold, tt_operand_value(places), tt_int(0), tt_int(size), tt_int(step));
  int64_t last = -1, behind = dim + 1;
  tt_operand *windows = TT_RULE(&rule, movedim, tt_operand_value(call->grads[0]), tt_ints(&last, 1), tt_ints(&behind, 1));
  tt_operand *nothing = TT_RULE(&rule, zeros, tt_ints(shape->dims, (uint32_t)shape->n_dims), tt_dtype_value(self->meta.dtype));
  operand_grads[0] =
      TT_RULE(&rule, index_add, tt_operand_value(nothing), tt_int(dim),
              tt_operand_value(TT_RULE(&rule, flatten, tt_operand_value(taken), tt_int(0), tt_int(1))),
              tt_operand_value(TT_RULE(&rule, flatten, tt_operand_value(windows), tt_int(dim), tt_int(dim + 1))));
  return rule.status;
}
