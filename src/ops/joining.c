/* Rows that put tensors together and take them apart: cat, stack, split, chunk, unbind. */
#include <inttypes.h>
#include <string.h>

#include "ops/infer_common.h"
#include "ops/rows.h"
#include "ops/rule.h"
#include "ops/view_common.h"

/* ---- cat, stack ---- */

/* PyTorch lets 1-d tensors without elements pass through cat, whatever the others' shape. */
static bool is_skipped(const tt_shape *shape) { return shape->n_dims == 1 && shape->dims[0] == 0; }

tt_status tt_infer_cat(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_value *list = &args[0];
  if (list->n == 0) return tt_fail(error, TT_ERR_ARGUMENT, "cat needs at least one tensor");
  tt_dtype dtype = list->as.operands[0]->meta.dtype;
  bool is_known = true;
  for (uint32_t i = 0; i < list->n; i++) {
    const tt_meta *meta = &list->as.operands[i]->meta;
    dtype = tt_dtype_promote(dtype, meta->dtype);
    is_known = is_known && tt_shape_is_known(&meta->shape);
    if (meta->shape.n_dims == 0) {
      return tt_fail(error, TT_ERR_SHAPE, "cat: tensor %u has no dimension to be concatenated along; stack takes it",
                     (unsigned)i);
    }
  }
  if (!is_known) return tt_infer_one(tt_meta_unknown(dtype), results, n_results);

  const tt_shape *first = NULL;
  tt_meta meta = {.dtype = dtype, .shape = list->as.operands[0]->meta.shape};
  int dim = 0;
  for (uint32_t i = 0; i < list->n; i++) {
    const tt_shape *shape = &list->as.operands[i]->meta.shape;
    if (is_skipped(shape)) continue;
    if (!first) {
      first = shape;
      meta.shape = *shape;
      TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, shape->n_dims, &dim, error));
      continue;
    }
    bool fits = shape->n_dims == first->n_dims;
    for (int d = 0; fits && d < first->n_dims; d++) fits = d == dim || shape->dims[d] == first->dims[d];
    if (!fits) {
      char a[TT_SHAPE_TEXT_BYTES], b[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE,
                     "cat: shapes must be equal except in dimension %d, but tensor %u has %s where %s came before", dim,
                     (unsigned)i, tt_shape_text(shape, a), tt_shape_text(first, b));
    }
    meta.shape.dims[dim] += shape->dims[dim];
  }
  if (!first) TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, 1, &dim, error));
  TT_TRY(tt_shape_make(meta.shape.dims, (size_t)meta.shape.n_dims, &meta.shape, error));
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_cat(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                        tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, metas[0].shape.n_dims, &dim, error));
  tt_tensor *out = tt_tensor_new(metas[0].dtype, &metas[0].shape, error);
  if (!out) return TT_ERR_MEMORY;
  tt_status status = TT_OK;
  int64_t at = 0;
  for (uint32_t i = 0; i < args[0].n && status == TT_OK; i++) {
    const tt_tensor *part = (const tt_tensor *)(const void *)args[0].as.operands[i];
    if (is_skipped(tt_tensor_shape(part))) continue;
    int64_t n = tt_tensor_shape(part)->dims[dim];
    tt_tensor *place = tt_slice_view(out, dim, at, n, 1, error);
    status = place ? tt_tensor_copy(place, part, error) : TT_ERR_MEMORY;
    tt_tensor_unref(place);
    at += n;
  }
  if (status != TT_OK) {
    tt_tensor_unref(out);
    return status;
  }
  return tt_answer_tensor(out, results, n_results);
}

tt_status tt_grad_cat(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  const tt_value *list = &call->args[0];
  int64_t at = 0;
  for (uint32_t i = 0; i < list->n; i++) {
    tt_operand *part = list->as.operands[i];
    if (!tt_rule_need_shape(&rule, call->op, part) || !tt_rule_need_shape(&rule, call->op, call->results[0])) break;
    if (is_skipped(&part->meta.shape)) {
      if (call->is_needed[i]) operand_grads[i] = tt_rule_unary(&rule, TT_OP_zeros_like, part);
      continue;
    }
    int dim;
    TT_TRY(tt_shape_wrap_dim(call->op->name, call->args[1].as.integer, part->meta.shape.n_dims, &dim, error));
    int64_t n = part->meta.shape.dims[dim];
    if (call->is_needed[i]) {
      tt_operand *slice = TT_RULE(&rule, narrow, tt_operand_value(call->grads[0]), tt_int(dim), tt_int(at), tt_int(n));
      operand_grads[i] = tt_rule_cast(&rule, slice, part->meta.dtype);
    }
    at += n;
  }
  return rule.status;
}

tt_status tt_infer_stack(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_value *list = &args[0];
  if (list->n == 0) return tt_fail(error, TT_ERR_ARGUMENT, "stack needs at least one tensor");
  tt_dtype dtype = list->as.operands[0]->meta.dtype;
  const tt_shape *first = NULL;
  for (uint32_t i = 0; i < list->n; i++) {
    const tt_meta *meta = &list->as.operands[i]->meta;
    dtype = tt_dtype_promote(dtype, meta->dtype);
    if (!tt_shape_is_known(&meta->shape)) continue;
    if (!first) first = &meta->shape;
    if (!tt_shape_equal(first, &meta->shape)) {
      char a[TT_SHAPE_TEXT_BYTES], b[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE, "stack: all shapes must be equal, but tensor %u has %s where %s came before",
                     (unsigned)i, tt_shape_text(&meta->shape, a), tt_shape_text(first, b));
    }
  }
  if (!first) return tt_infer_one(tt_meta_unknown(dtype), results, n_results);
  tt_meta meta = {.dtype = dtype, .shape = *first};
  TT_TRY(tt_need_dim_room(op, first->n_dims + 1, error));
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, first->n_dims + 1, &dim, error));
  for (int d = first->n_dims; d > dim; d--) meta.shape.dims[d] = meta.shape.dims[d - 1];
  meta.shape.dims[dim] = list->n;
  meta.shape.n_dims++;
  TT_TRY(tt_shape_make(meta.shape.dims, (size_t)meta.shape.n_dims, &meta.shape, error));
  return tt_infer_one(meta, results, n_results);
}

tt_status tt_kernel_stack(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                          tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, metas[0].shape.n_dims, &dim, error));
  tt_tensor *out = tt_tensor_new(metas[0].dtype, &metas[0].shape, error);
  if (!out) return TT_ERR_MEMORY;
  tt_status status = TT_OK;
  for (uint32_t i = 0; i < args[0].n && status == TT_OK; i++) {
    tt_tensor *place = tt_selected_view(out, dim, i, error);
    status = place ? tt_tensor_copy(place, (const tt_tensor *)(const void *)args[0].as.operands[i], error) : TT_ERR_MEMORY;
    tt_tensor_unref(place);
  }
  if (status != TT_OK) {
    tt_tensor_unref(out);
    return status;
  }
  return tt_answer_tensor(out, results, n_results);
}

tt_status tt_grad_stack(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  const tt_value *list = &call->args[0];
  for (uint32_t i = 0; i < list->n; i++) {
    if (!call->is_needed[i]) continue;
    tt_operand *slice = TT_RULE(&rule, select, tt_operand_value(call->grads[0]), call->args[1], tt_int(i));
    operand_grads[i] = tt_rule_cast(&rule, slice, list->as.operands[i]->meta.dtype);
  }
  return rule.status;
}

/* ---- split, chunk, unbind ---- */

typedef struct piece_list {
  int dim;
  size_t n;
  int64_t sizes[TT_MAX_RESULTS];
} piece_list;

static tt_status too_many_pieces(const tt_op *op, int64_t n, tt_error *error) {
  return tt_fail(error, TT_ERR_ARGUMENT, "%s: %" PRId64 " pieces are more than the %d that one call may answer", op->name, n,
                 (int)TT_MAX_RESULTS);
}

/* Pieces of `size` each, the last one shorter. A dimension of 0 is one empty piece. */
static tt_status even_pieces(const tt_op *op, int64_t total, int64_t size, piece_list *out, tt_error *error) {
  int64_t n = total == 0 ? 1 : size == 0 ? 0 : (total - 1) / size + 1;
  if (n > TT_MAX_RESULTS) return too_many_pieces(op, n, error);
  out->n = (size_t)n;
  for (size_t i = 0; i < out->n; i++) {
    int64_t left = total - (int64_t)i * size;
    out->sizes[i] = left < size ? left : size;
  }
  return TT_OK;
}

/* A list of one is the size of every piece; a longer one names them all. */
static tt_status split_pieces(const tt_op *op, const tt_value *args, piece_list *out, tt_error *error) {
  const tt_shape *shape = &tt_arg_meta(&args[0])->shape;
  const tt_value *sizes = &args[1];
  TT_TRY(tt_infer_need_shape(op, "self", tt_arg_meta(&args[0]), error));
  TT_TRY(tt_need_any_dim(op, shape, error));
  TT_TRY(tt_shape_wrap_dim(op->name, args[2].as.integer, shape->n_dims, &out->dim, error));
  int64_t total = shape->dims[out->dim], sum = 0;
  if (sizes->n > TT_MAX_RESULTS) return too_many_pieces(op, sizes->n, error);
  for (uint32_t i = 0; i < sizes->n; i++) {
    int64_t size = sizes->as.ints[i];
    if (size < 0) return tt_fail(error, TT_ERR_ARGUMENT, "split: %" PRId64 " is no size of a piece", size);
    if (size > total - sum && sizes->n > 1) {
      sum = -1;
      break;
    }
    sum += size;
    out->sizes[i] = size;
  }
  if (sizes->n == 1) {
    int64_t size = sizes->as.ints[0];
    if (size == 0 && total != 0) {
      return tt_fail(error, TT_ERR_ARGUMENT, "split: pieces of size 0 never make up dimension %d of size %" PRId64, out->dim,
                     total);
    }
    return even_pieces(op, total, size, out, error);
  }
  if (sum != total) {
    return tt_fail(error, TT_ERR_SHAPE, "split: the sizes must add up to exactly %" PRId64 ", the size of dimension %d", total,
                   out->dim);
  }
  out->n = sizes->n;
  return TT_OK;
}

static tt_status chunk_pieces(const tt_op *op, const tt_value *args, piece_list *out, tt_error *error) {
  const tt_shape *shape = &tt_arg_meta(&args[0])->shape;
  int64_t n_chunks = args[1].as.integer;
  TT_TRY(tt_infer_need_shape(op, "self", tt_arg_meta(&args[0]), error));
  TT_TRY(tt_need_any_dim(op, shape, error));
  if (n_chunks <= 0)
    return tt_fail(error, TT_ERR_ARGUMENT, "chunk: the number of chunks must be above 0, not %" PRId64, n_chunks);
  TT_TRY(tt_shape_wrap_dim(op->name, args[2].as.integer, shape->n_dims, &out->dim, error));
  int64_t total = shape->dims[out->dim];
  if (total == 0) { /* as many empty pieces as were asked for */
    if (n_chunks > TT_MAX_RESULTS) return too_many_pieces(op, n_chunks, error);
    out->n = (size_t)n_chunks;
    memset(out->sizes, 0, sizeof out->sizes);
    return TT_OK;
  }
  return even_pieces(op, total, (total - 1) / n_chunks + 1, out, error);
}

static tt_status infer_pieces(const tt_value *args, const piece_list *pieces, tt_meta *results, size_t *n_results) {
  for (size_t i = 0; i < pieces->n; i++) {
    results[i] = *tt_arg_meta(&args[0]);
    results[i].shape.dims[pieces->dim] = pieces->sizes[i];
  }
  *n_results = pieces->n;
  return TT_OK;
}

static tt_status view_pieces(const tt_value *args, const piece_list *pieces, tt_tensor **results, size_t *n_results,
                             tt_error *error) {
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  tt_tensor *views[TT_MAX_RESULTS];
  int64_t at = 0;
  for (size_t i = 0; i < pieces->n; i++) {
    views[i] = tt_slice_view(self, pieces->dim, at, pieces->sizes[i], 1, error);
    if (!views[i]) {
      while (i > 0) tt_tensor_unref(views[--i]);
      return TT_ERR_MEMORY;
    }
    at += pieces->sizes[i];
  }
  memcpy(results, views, pieces->n * sizeof views[0]);
  *n_results = pieces->n;
  return TT_OK;
}

tt_status tt_infer_split(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  piece_list split;
  TT_TRY(split_pieces(op, args, &split, error));
  return infer_pieces(args, &split, results, n_results);
}

tt_status tt_kernel_split(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                          tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  piece_list split;
  TT_TRY(split_pieces(op, args, &split, error));
  return view_pieces(args, &split, results, n_results, error);
}

tt_status tt_infer_chunk(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  piece_list split;
  TT_TRY(chunk_pieces(op, args, &split, error));
  return infer_pieces(args, &split, results, n_results);
}

tt_status tt_kernel_chunk(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                          tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  piece_list split;
  TT_TRY(chunk_pieces(op, args, &split, error));
  return view_pieces(args, &split, results, n_results, error);
}

/* The gradients of the pieces, zeros for those that nothing depends on. */
static void gradients_or_zeros(tt_rule *rule, const tt_grad_call *call, tt_operand **parts) {
  for (size_t i = 0; i < call->n_results; i++) {
    parts[i] = call->grads[i] ? call->grads[i] : tt_rule_unary(rule, TT_OP_zeros_like, call->results[i]);
  }
}

/* Of split and chunk. */
tt_status tt_grad_split(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *parts[TT_MAX_RESULTS];
  gradients_or_zeros(&rule, call, parts);
  operand_grads[0] = TT_RULE(&rule, cat, tt_operands_value(parts, (uint32_t)call->n_results), call->args[2]);
  return rule.status;
}

tt_status tt_infer_unbind(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  int dim;
  TT_TRY(tt_infer_need_shape(op, "self", self, error));
  TT_TRY(tt_need_any_dim(op, &self->shape, error));
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, self->shape.n_dims, &dim, error));
  if (self->shape.dims[dim] > TT_MAX_RESULTS) return too_many_pieces(op, self->shape.dims[dim], error);
  bool flags[TT_MAX_DIMS] = {false};
  flags[dim] = true;
  *n_results = (size_t)self->shape.dims[dim];
  for (size_t i = 0; i < *n_results; i++) {
    results[i] = (tt_meta){.dtype = self->dtype, .shape = tt_shape_without_dims(&self->shape, flags)};
  }
  return TT_OK;
}

tt_status tt_kernel_unbind(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context, (void)metas;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, tt_tensor_n_dims(self), &dim, error));
  tt_tensor *views[TT_MAX_RESULTS];
  size_t n = (size_t)tt_tensor_shape(self)->dims[dim];
  for (size_t i = 0; i < n; i++) {
    views[i] = tt_selected_view(self, dim, (int64_t)i, error);
    if (!views[i]) {
      while (i > 0) tt_tensor_unref(views[--i]);
      return TT_ERR_MEMORY;
    }
  }
  memcpy(results, views, n * sizeof views[0]);
  *n_results = n;
  return TT_OK;
}

tt_status tt_grad_unbind(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  if (call->n_results == 0) {
    operand_grads[0] = tt_rule_unary(&rule, TT_OP_zeros_like, call->args[0].as.operand);
    return rule.status;
  }
  tt_operand *parts[TT_MAX_RESULTS];
  gradients_or_zeros(&rule, call, parts);
  operand_grads[0] = TT_RULE(&rule, stack, tt_operands_value(parts, (uint32_t)call->n_results), call->args[1]);
  return rule.status;
}
