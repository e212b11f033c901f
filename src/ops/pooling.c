/*
 * pooling: rows of max, average and adaptive pooling.
 *
 * The gradient of a maximum goes to where it stood, by the indices; that of a mean is spread by a row of its own, whose gradient
 * is the mean again.
 */
#include "kernels/pooling.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/compose.h"
#include "ops/define.h"
#include "ops/grad_common.h"
#include "ops/rows.h"
#include "ops/spatial.h"
#include "ops/terms.h"

/* How the windows of a call lie. */
typedef struct windows {
  bool is_adaptive, ceil_mode;
  int64_t kernel[2], stride[2], padding[2], dilation[2];
  int64_t out[2]; /* asked for, of an adaptive call */
} windows;

static tt_status read_windows(const tt_op *op, const tt_value *kernel, const tt_value *stride, const tt_value *padding,
                              const tt_value *dilation, bool ceil_mode, windows *w, tt_error *error) {
  *w = (windows){.ceil_mode = ceil_mode, .dilation = {1, 1}};
  TT_TRY(tt_spatial_pair(op, "kernel_size", kernel, 1, w->kernel, error));
  bool has_stride = !tt_arg_is_none(stride) && stride->n > 0;
  TT_TRY(tt_spatial_pair(op, "stride", has_stride ? stride : kernel, 1, w->stride, error));
  TT_TRY(tt_spatial_pair(op, "padding", padding, 0, w->padding, error));
  if (dilation != NULL) TT_TRY(tt_spatial_pair(op, "dilation", dilation, 1, w->dilation, error));
  for (int i = 0; i < 2; i++) {
    if (w->padding[i] <= w->kernel[i] / 2) continue;
    return tt_fail(error, TT_ERR_ARGUMENT,
                   "%s: padding should be at most half of the kernel's size, but got %" PRId64 " for a kernel of %" PRId64,
                   op->name, w->padding[i], w->kernel[i]);
  }
  return TT_OK;
}

/* A None leaves a side as it is. */
static tt_status read_adaptive(const tt_op *op, const tt_value *size, windows *w, tt_error *error) {
  *w = (windows){.is_adaptive = true, .dilation = {1, 1}};
  return tt_spatial_pair(op, "output_size", size, 0, w->out, error);
}

static tt_status output_shape(const tt_op *op, const windows *w, const tt_shape *input, tt_shape *output, tt_error *error) {
  TT_TRY(tt_spatial_need_image(op, "an input", input, error));
  *output = *input;
  for (int i = 0; i < 2; i++) {
    int64_t *size = &output->dims[input->n_dims - 2 + i], in = *size;
    if (w->is_adaptive) {
      *size = w->out[i];
      continue;
    }
    int64_t reach = w->dilation[i] * (w->kernel[i] - 1) + 1, room = in + 2 * w->padding[i] - reach;
    int64_t n = room < 0 && !w->ceil_mode ? 0 : (room + (w->ceil_mode ? w->stride[i] - 1 : 0)) / w->stride[i] + 1;
    if (room + (w->ceil_mode ? w->stride[i] - 1 : 0) < 0) n = 0;
    if (w->ceil_mode && (n - 1) * w->stride[i] >= in + w->padding[i]) n--;
    if (n < 1) {
      char text[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE,
                     "%s: windows of %" PRId64 " do not fit into an input of shape %s; the output would be too small", op->name,
                     reach, tt_shape_text(input, text));
    }
    *size = n;
  }
  return tt_shape_make(output->dims, (size_t)output->n_dims, output, error);
}

static tt_status infer(const tt_op *op, const windows *w, const tt_meta *input, tt_meta *meta, tt_error *error) {
  TT_TRY(tt_infer_need_floating(op, input->dtype, error));
  *meta = tt_meta_unknown(input->dtype);
  return tt_shape_is_known(&input->shape) ? output_shape(op, w, &input->shape, &meta->shape, error) : TT_OK;
}

/* ---- windows, row by row and column by column ---- */

typedef struct bounds {
  tt_pooling pooling;
  int64_t *block;
} bounds;

static void bounds_of_side(const windows *w, int side, int64_t in, int64_t out, bool counts_padding, int64_t *first,
                           int64_t *end, int64_t *size) {
  for (int64_t i = 0; i < out; i++) {
    if (w->is_adaptive) {
      first[i] = i * in / out;
      end[i] = ((i + 1) * in + out - 1) / out;
      size[i] = end[i] - first[i];
      continue;
    }
    int64_t step = w->dilation[side], from = i * w->stride[side] - w->padding[side];
    int64_t to = from + step * (w->kernel[side] - 1) + 1;
    size[i] = (to < in + w->padding[side] ? to : in + w->padding[side]) - from;
    end[i] = to < in ? to : in;
    first[i] = from < 0 ? from + (-from + step - 1) / step * step : from;
    if (!counts_padding) size[i] = end[i] - first[i];
  }
}

static tt_status begin(const windows *w, tt_dtype dtype, const tt_shape *in, const tt_shape *out, bool counts_padding,
                       bounds *b, tt_error *error) {
  *b = (bounds){.pooling = {.dtype = dtype, .n_planes = 1}};
  tt_pooling *p = &b->pooling;
  int n_dims = in->n_dims;
  for (int d = 0; d < n_dims - 2; d++) p->n_planes *= in->dims[d];
  b->block = tt_alloc((size_t)(3 * (out->dims[n_dims - 2] + out->dims[n_dims - 1])) + 1, sizeof *b->block);
  if (b->block == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for the bounds of pooling windows");
  int64_t *at = b->block;
  for (int i = 0; i < 2; i++) {
    int64_t n = out->dims[n_dims - 2 + i];
    p->in[i] = in->dims[n_dims - 2 + i];
    p->out[i] = n;
    p->step[i] = w->dilation[i];
    bounds_of_side(w, i, p->in[i], n, counts_padding, at, at + n, at + 2 * n);
    p->first[i] = at;
    p->end[i] = at + n;
    p->size[i] = at + 2 * n;
    at += 3 * n;
  }
  return TT_OK;
}

static tt_status run_max(const windows *w, const tt_value *args, const tt_meta *metas, tt_tensor **results, size_t *n_results,
                         tt_error *error) {
  bounds b;
  TT_TRY(begin(w, metas[0].dtype, tt_tensor_shape(tt_arg_tensor(&args[0])), &metas[0].shape, false, &b, error));
  if (b.pooling.in[0] > UINT32_MAX / (b.pooling.in[1] + 1)) {
    tt_free(b.block);
    return tt_fail(error, TT_ERR_SHAPE, "planes of more than 2^32 elements cannot be pooled");
  }
  tt_tensor *input = tt_tensor_contiguous(tt_arg_tensor(&args[0]), error);
  tt_tensor *values = input ? tt_tensor_new(metas[0].dtype, &metas[0].shape, error) : NULL;
  tt_tensor *indices = values ? tt_tensor_new(TT_DTYPE_I64, &metas[0].shape, error) : NULL;
  if (indices) tt_pooling_max(&b.pooling, tt_tensor_data(input), tt_tensor_data(values), tt_tensor_data(indices));
  tt_free(b.block);
  tt_tensor_unref(input);
  if (!indices) {
    tt_tensor_unref(values);
    return TT_ERR_MEMORY;
  }
  results[0] = values;
  results[1] = indices;
  *n_results = 2;
  return TT_OK;
}

/* Means of `from` (an input), or, when is_spread, `from` (of the output's shape) spread over an input. */
static tt_status run_mean(const windows *w, bool counts_padding, int64_t divisor, tt_tensor *from, bool is_spread,
                          const tt_meta *meta, tt_tensor **results, size_t *n_results, tt_error *error) {
  const tt_shape *in = is_spread ? &meta->shape : tt_tensor_shape(from),
                 *out = is_spread ? tt_tensor_shape(from) : &meta->shape;
  bounds b;
  TT_TRY(begin(w, meta->dtype, in, out, counts_padding, &b, error));
  b.pooling.divisor = divisor;
  tt_tensor *dense = tt_tensor_contiguous(from, error);
  tt_tensor *made = dense ? tt_tensor_new(meta->dtype, &meta->shape, error) : NULL;
  if (made) (is_spread ? tt_pooling_spread : tt_pooling_mean)(&b.pooling, tt_tensor_data(dense), tt_tensor_data(made));
  tt_free(b.block);
  tt_tensor_unref(dense);
  if (!made) return TT_ERR_MEMORY;
  results[0] = made;
  *n_results = 1;
  return TT_OK;
}

/* ---- max ---- */

static tt_status infer_pair(const tt_op *op, const windows *w, const tt_value *args, tt_meta *results, size_t *n_results,
                            tt_error *error) {
  TT_TRY(infer(op, w, tt_arg_meta(&args[0]), &results[0], error));
  results[1] = results[0];
  results[1].dtype = TT_DTYPE_I64;
  *n_results = 2;
  return TT_OK;
}

static tt_status max_windows(const tt_op *op, const tt_value *args, windows *w, tt_error *error) {
  return read_windows(op, &args[1], &args[2], &args[3], &args[4], args[5].as.boolean, w, error);
}

INFER(max_pool2d_with_indices) {
  windows w;
  TT_TRY(max_windows(op, args, &w, error));
  return infer_pair(op, &w, args, results, n_results, error);
}

KERNEL(max_pool2d_with_indices) {
  (void)context;
  windows w;
  TT_TRY(max_windows(op, args, &w, error));
  return run_max(&w, args, metas, results, n_results, error);
}

INFER(adaptive_max_pool2d_with_indices) {
  windows w;
  TT_TRY(read_adaptive(op, &args[1], &w, error));
  return infer_pair(op, &w, args, results, n_results, error);
}

KERNEL(adaptive_max_pool2d_with_indices) {
  (void)context;
  windows w;
  TT_TRY(read_adaptive(op, &args[1], &w, error));
  return run_max(&w, args, metas, results, n_results, error);
}

/* Planes as rows: (..., H, W) -> (..., H*W). */
static tt_operand *flat_planes(tt_rule *rule, tt_operand *x) {
  return TT_RULE(rule, flatten, tt_operand_value(x), tt_int(-2), tt_int(-1));
}

GRAD(max_pool) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *self = call->args[0].as.operand;
  if (call->grads[0] == NULL || !call->is_needed[0]) return TT_OK;
  tt_operand *nothing = tt_rule_unary(&rule, TT_OP_zeros_like, flat_planes(&rule, self));
  tt_operand *spread =
      TT_RULE(&rule, scatter_add, tt_operand_value(nothing), tt_int(-1), tt_operand_value(flat_planes(&rule, call->results[1])),
              tt_operand_value(flat_planes(&rule, call->grads[0])));
  operand_grads[0] = tt_rule_binary(&rule, TT_OP_reshape_as, spread, self);
  return rule.status;
}

TT_BODY(max_pool2d) {
  (void)op;
  return tt_rule_call(rule, TT_OP_max_pool2d_with_indices, args, 6);
}
TT_COMPOSE(max_pool2d)

TT_BODY(adaptive_max_pool2d) {
  (void)op;
  return tt_rule_call(rule, TT_OP_adaptive_max_pool2d_with_indices, args, 2);
}
TT_COMPOSE(adaptive_max_pool2d)

/* ---- means ---- */

enum { AVG_KERNEL, AVG_STRIDE, AVG_PADDING, AVG_CEIL_MODE, AVG_COUNT_INCLUDE_PAD, AVG_DIVISOR, AVG_N_PARAMS };

/* `params` are the arguments from kernel_size on. */
static tt_status mean_windows(const tt_op *op, const tt_value *params, windows *w, tt_error *error) {
  if (!tt_arg_is_none(&params[AVG_DIVISOR]) && params[AVG_DIVISOR].as.integer == 0) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: divisor must be not zero", op->name);
  }
  return read_windows(op, &params[AVG_KERNEL], &params[AVG_STRIDE], &params[AVG_PADDING], NULL,
                      params[AVG_CEIL_MODE].as.boolean, w, error);
}

static tt_status mean_by_params(const tt_op *op, const tt_value *params, tt_tensor *from, bool is_spread, const tt_meta *meta,
                                tt_tensor **results, size_t *n_results, tt_error *error) {
  windows w;
  TT_TRY(mean_windows(op, params, &w, error));
  int64_t divisor = tt_arg_is_none(&params[AVG_DIVISOR]) ? 0 : params[AVG_DIVISOR].as.integer;
  return run_mean(&w, params[AVG_COUNT_INCLUDE_PAD].as.boolean, divisor, from, is_spread, meta, results, n_results, error);
}

INFER(avg_pool2d) {
  windows w;
  TT_TRY(mean_windows(op, args + 1, &w, error));
  TT_TRY(infer(op, &w, tt_arg_meta(&args[0]), &results[0], error));
  *n_results = 1;
  return TT_OK;
}

KERNEL(avg_pool2d) {
  (void)context;
  return mean_by_params(op, args + 1, tt_arg_tensor(&args[0]), false, &metas[0], results, n_results, error);
}

/* grad_output must have the shape that pooling self gives. */
static tt_status infer_spread(const tt_op *op, const windows *w, const tt_value *args, tt_meta *results, size_t *n_results,
                              tt_error *error) {
  const tt_meta *grad = tt_arg_meta(&args[0]), *self = tt_arg_meta(&args[1]);
  TT_TRY(tt_infer_need_same_dtype(op, grad->dtype, self->dtype, error));
  tt_meta pooled;
  TT_TRY(infer(op, w, self, &pooled, error));
  if (tt_shape_is_known(&pooled.shape) && tt_shape_is_known(&grad->shape) && !tt_shape_equal(&pooled.shape, &grad->shape)) {
    char text[TT_SHAPE_TEXT_BYTES], wanted[TT_SHAPE_TEXT_BYTES];
    return tt_fail(error, TT_ERR_SHAPE, "%s: grad_output has the shape %s, but the output has %s", op->name,
                   tt_shape_text(&grad->shape, text), tt_shape_text(&pooled.shape, wanted));
  }
  return tt_infer_one(*self, results, n_results);
}

INFER(avg_pool2d_backward) {
  windows w;
  TT_TRY(mean_windows(op, args + 2, &w, error));
  return infer_spread(op, &w, args, results, n_results, error);
}

KERNEL(avg_pool2d_backward) {
  (void)context;
  return mean_by_params(op, args + 2, tt_arg_tensor(&args[0]), true, &metas[0], results, n_results, error);
}

GRAD(avg_pool2d) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_value args[2 + AVG_N_PARAMS] = {tt_operand_value(call->grads[0]), call->args[0]};
  memcpy(args + 2, call->args + 1, AVG_N_PARAMS * sizeof args[0]);
  if (tt_arg_is_none(&args[2 + AVG_STRIDE])) args[2 + AVG_STRIDE] = args[2 + AVG_KERNEL];
  if (call->is_needed[0]) operand_grads[0] = tt_rule_call(&rule, TT_OP_avg_pool2d_backward, args, 2 + AVG_N_PARAMS);
  return rule.status;
}

GRAD(avg_pool2d_backward) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_value args[1 + AVG_N_PARAMS] = {tt_operand_value(call->grads[0])};
  memcpy(args + 1, call->args + 2, AVG_N_PARAMS * sizeof args[0]);
  if (call->is_needed[0]) operand_grads[0] = tt_rule_call(&rule, TT_OP_avg_pool2d, args, 1 + AVG_N_PARAMS);
  return rule.status;
}

INFER(adaptive_avg_pool2d) {
  windows w;
  TT_TRY(read_adaptive(op, &args[1], &w, error));
  TT_TRY(infer(op, &w, tt_arg_meta(&args[0]), &results[0], error));
  *n_results = 1;
  return TT_OK;
}

KERNEL(adaptive_avg_pool2d) {
  (void)context;
  windows w;
  TT_TRY(read_adaptive(op, &args[1], &w, error));
  return run_mean(&w, true, 0, tt_arg_tensor(&args[0]), false, &metas[0], results, n_results, error);
}

/* The output's size is grad_output's own. */
static tt_status adaptive_windows_of(const tt_op *op, const tt_shape *grad, windows *w, tt_error *error) {
  *w = (windows){.is_adaptive = true, .dilation = {1, 1}};
  bool fits = grad->n_dims == 3 || grad->n_dims == 4;
  for (int d = grad->n_dims - 2; fits && d < grad->n_dims; d++) fits = grad->dims[d] <= INT32_MAX;
  if (!fits) {
    char text[TT_SHAPE_TEXT_BYTES];
    return tt_fail(error, TT_ERR_SHAPE, "%s takes grad_output of shape (N, C, H, W) or (C, H, W), not %s", op->name,
                   tt_shape_text(grad, text));
  }
  w->out[0] = grad->dims[grad->n_dims - 2];
  w->out[1] = grad->dims[grad->n_dims - 1];
  return TT_OK;
}

INFER(adaptive_avg_pool2d_back) {
  windows w = {.is_adaptive = true, .dilation = {1, 1}};
  const tt_shape *grad = &tt_arg_meta(&args[0])->shape;
  if (!tt_shape_is_known(grad)) {
    TT_TRY(tt_infer_need_same_dtype(op, tt_arg_meta(&args[0])->dtype, tt_arg_meta(&args[1])->dtype, error));
    return tt_infer_one(*tt_arg_meta(&args[1]), results, n_results);
  }
  TT_TRY(adaptive_windows_of(op, grad, &w, error));
  return infer_spread(op, &w, args, results, n_results, error);
}

KERNEL(adaptive_avg_pool2d_back) {
  (void)context;
  windows w;
  TT_TRY(adaptive_windows_of(op, &tt_arg_meta(&args[0])->shape, &w, error));
  return run_mean(&w, true, 0, tt_arg_tensor(&args[0]), true, &metas[0], results, n_results, error);
}

GRAD(adaptive_avg_pool2d) {
  tt_rule rule = tt_rule_begin(context, error);
  if (call->is_needed[0]) {
    operand_grads[0] = tt_rule_binary(&rule, TT_OP__adaptive_avg_pool2d_backward, call->grads[0], call->args[0].as.operand);
  }
  return rule.status;
}

GRAD(adaptive_avg_pool2d_back) {
  tt_rule rule = tt_rule_begin(context, error);
  const tt_operand *grad_output = call->args[0].as.operand;
  if (!call->is_needed[0]) return TT_OK;
  if (!tt_rule_need_shape(&rule, call->op, grad_output)) return rule.status;
  const tt_shape *shape = &grad_output->meta.shape;
  operand_grads[0] =
      TT_RULE(&rule, adaptive_avg_pool2d, tt_operand_value(call->grads[0]), tt_ints(shape->dims + shape->n_dims - 2, 2));
  return rule.status;
}

/* ---- one dimension: the same with a height of 1 ---- */

static bool is_single(tt_rule *rule, const tt_op *op, const char *param, const tt_value *arg) {
  if (tt_arg_is_none(arg) || arg->n == 1) return true;
  tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: %s must be one number, not %u", op->name, param, (unsigned)arg->n);
  return false;
}

static tt_operand *with_height(tt_rule *rule, const tt_op *op, tt_operand *x) {
  if (!tt_rule_need_shape(rule, op, x)) return NULL;
  if (x->meta.shape.n_dims != 2 && x->meta.shape.n_dims != 3) {
    char text[TT_SHAPE_TEXT_BYTES];
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s takes an input of shape (N, C, L) or (C, L), not %s", op->name,
                 tt_shape_text(&x->meta.shape, text));
  }
  return tt_term_unsqueeze(rule, x, -2);
}

static tt_value with_first(const tt_value *arg, int64_t first, int64_t pair[2]) {
  if (tt_arg_is_none(arg)) return *arg;
  tt_spatial_pair_of_one(arg, first, pair);
  return tt_ints(pair, 2);
}

TT_BODY(max_pool1d) {
  tt_operand *image = with_height(rule, op, args[0].as.operand);
  if (!is_single(rule, op, "kernel_size", &args[1]) || !is_single(rule, op, "stride", &args[2]) ||
      !is_single(rule, op, "padding", &args[3]) || !is_single(rule, op, "dilation", &args[4]))
    return NULL;
  int64_t pairs[4][2];
  tt_operand *pooled =
      TT_RULE(rule, max_pool2d_with_indices, tt_operand_value(image), with_first(&args[1], 1, pairs[0]),
              with_first(&args[2], 1, pairs[1]), with_first(&args[3], 0, pairs[2]), with_first(&args[4], 1, pairs[3]), args[5]);
  return tt_term_squeeze(rule, pooled, -2);
}
TT_COMPOSE(max_pool1d)

TT_BODY(avg_pool1d) {
  tt_operand *image = with_height(rule, op, args[0].as.operand);
  if (!is_single(rule, op, "kernel_size", &args[1]) || !is_single(rule, op, "stride", &args[2]) ||
      !is_single(rule, op, "padding", &args[3]))
    return NULL;
  int64_t pairs[3][2];
  tt_operand *pooled = TT_RULE(rule, avg_pool2d, tt_operand_value(image), with_first(&args[1], 1, pairs[0]),
                               with_first(&args[2], 1, pairs[1]), with_first(&args[3], 0, pairs[2]), args[4], args[5]);
  return tt_term_squeeze(rule, pooled, -2);
}
TT_COMPOSE(avg_pool1d)

TT_BODY(adaptive_avg_pool1d) {
  tt_operand *image = with_height(rule, op, args[0].as.operand);
  if (!is_single(rule, op, "output_size", &args[1])) return NULL;
  int64_t pair[2];
  tt_operand *pooled = TT_RULE(rule, adaptive_avg_pool2d, tt_operand_value(image), with_first(&args[1], 1, pair));
  return tt_term_squeeze(rule, pooled, -2);
}
TT_COMPOSE(adaptive_avg_pool1d)
