/*
 * convolution: rows of conv1d, conv2d and their transposes.
 *
 * conv2d, conv2d_input and conv2d_weight are one bilinear form read in three ways, so each one's gradients are the other two.
 * The rest is composed of them.
 */
#include "kernels/convolution.h"

#include <inttypes.h>
#include <string.h>

#include "ops/compose.h"
#include "ops/define.h"
#include "ops/grad_common.h"
#include "ops/rows.h"
#include "ops/spatial.h"
#include "ops/terms.h"

/* stride, padding, dilation and groups stand behind the operands in this order. */
enum { STRIDE, PADDING, DILATION, GROUPS, N_FORM };

static tt_status read_form(const tt_op *op, const tt_value *form, tt_convolution *c, tt_error *error) {
  *c = (tt_convolution){.groups = form[GROUPS].as.integer};
  TT_TRY(tt_spatial_pair(op, "stride", &form[STRIDE], 1, c->stride, error));
  TT_TRY(tt_spatial_pair(op, "padding", &form[PADDING], 0, c->padding, error));
  TT_TRY(tt_spatial_pair(op, "dilation", &form[DILATION], 1, c->dilation, error));
  if (c->groups >= 1 && c->groups <= INT32_MAX) return TT_OK;
  return tt_fail(error, TT_ERR_ARGUMENT, "%s: groups must be at least 1 and divide the channels, not %" PRId64, op->name,
                 c->groups);
}

static tt_status refuse_channels(const tt_op *op, const tt_shape *input, const tt_shape *weight, int64_t groups,
                                 tt_error *error) {
  char text[TT_SHAPE_TEXT_BYTES], weight_text[TT_SHAPE_TEXT_BYTES];
  return tt_fail(error, TT_ERR_SHAPE,
                 "%s: an input of shape %s and %" PRId64
                 " groups need a weight of shape (O, C/groups, KH, KW), O a multiple of the "
                 "groups, not %s",
                 op->name, tt_shape_text(input, text), groups, tt_shape_text(weight, weight_text));
}

/* Fills the sizes from the known shapes of the input and the weight, and tells the output's shape. */
static tt_status read_sizes(const tt_op *op, const tt_shape *input, const tt_shape *weight, tt_convolution *c, tt_shape *output,
                            tt_error *error) {
  TT_TRY(tt_spatial_need_image(op, "an input", input, error));
  int channel = input->n_dims - 3;
  c->n = channel == 1 ? input->dims[0] : 1;
  c->in_channels = input->dims[channel];
  if (weight->n_dims != 4 || weight->dims[0] % c->groups != 0 || weight->dims[0] == 0 || weight->dims[2] == 0 ||
      weight->dims[3] == 0 || weight->dims[2] > INT32_MAX || weight->dims[3] > INT32_MAX || c->in_channels % c->groups != 0 ||
      weight->dims[1] != c->in_channels / c->groups) {
    return refuse_channels(op, input, weight, c->groups, error);
  }
  c->out_channels = weight->dims[0];
  *output = *input;
  output->dims[channel] = c->out_channels;
  for (int i = 0; i < 2; i++) {
    c->in[i] = input->dims[channel + 1 + i];
    c->kernel[i] = weight->dims[2 + i];
    int64_t padded = c->in[i] + 2 * c->padding[i], reach = c->dilation[i] * (c->kernel[i] - 1) + 1;
    if (reach > padded) {
      return tt_fail(error, TT_ERR_SHAPE,
                     "%s: the kernel reaches over %" PRId64 " elements, but the padded input has only %" PRId64 " of them",
                     op->name, reach, padded);
    }
    c->out[i] = (padded - reach) / c->stride[i] + 1;
    output->dims[channel + 1 + i] = c->out[i];
  }
  return tt_shape_make(output->dims, (size_t)output->n_dims, output, error);
}

static tt_status need_floats(const tt_op *op, const tt_value *a, const tt_value *b, tt_error *error) {
  TT_TRY(tt_infer_need_floating(op, tt_arg_meta(a)->dtype, error));
  return tt_infer_need_same_dtype(op, tt_arg_meta(a)->dtype, tt_arg_meta(b)->dtype, error);
}

/* ---- conv2d ---- */

enum { CONV_INPUT, CONV_WEIGHT, CONV_BIAS, CONV_FORM };

INFER(conv2d) {
  tt_convolution c;
  TT_TRY(read_form(op, args + CONV_FORM, &c, error));
  TT_TRY(need_floats(op, &args[CONV_INPUT], &args[CONV_WEIGHT], error));
  const tt_meta *input = tt_arg_meta(&args[CONV_INPUT]);
  const tt_shape *weight = &tt_arg_meta(&args[CONV_WEIGHT])->shape;
  tt_meta meta = tt_meta_unknown(input->dtype);
  if (tt_shape_is_known(&input->shape) && tt_shape_is_known(weight)) {
    TT_TRY(read_sizes(op, &input->shape, weight, &c, &meta.shape, error));
  }
  if (!tt_arg_is_none(&args[CONV_BIAS])) {
    const tt_meta *bias = tt_arg_meta(&args[CONV_BIAS]);
    TT_TRY(tt_infer_need_same_dtype(op, input->dtype, bias->dtype, error));
    bool is_known = tt_shape_is_known(&bias->shape) && tt_shape_is_known(weight);
    if (is_known && (bias->shape.n_dims != 1 || bias->shape.dims[0] != weight->dims[0])) {
      char text[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE,
                     "%s: the bias must have one element for each of the %" PRId64 " output channels, not shape %s", op->name,
                     weight->dims[0], tt_shape_text(&bias->shape, text));
    }
  }
  return tt_infer_one(meta, results, n_results);
}

/* Dense forms of up to three operands; on failure none is left. */
static tt_status densify(const tt_value *args, size_t n, tt_tensor **dense, tt_error *error) {
  for (size_t i = 0; i < n; i++) {
    dense[i] = tt_arg_is_none(&args[i]) ? NULL : tt_tensor_contiguous(tt_arg_tensor(&args[i]), error);
    if (dense[i] != NULL || tt_arg_is_none(&args[i])) continue;
    while (i-- > 0) tt_tensor_unref(dense[i]);
    return TT_ERR_MEMORY;
  }
  return TT_OK;
}

static void release(tt_tensor **dense, size_t n) {
  for (size_t i = 0; i < n; i++) tt_tensor_unref(dense[i]);
}

/* Keeps `made` as the one result when `status` is OK. */
static tt_status answer(tt_status status, tt_tensor *made, tt_tensor **results, size_t *n_results) {
  if (status != TT_OK) {
    tt_tensor_unref(made);
    return status;
  }
  results[0] = made;
  *n_results = 1;
  return TT_OK;
}

KERNEL(conv2d) {
  (void)context;
  tt_convolution c;
  tt_shape output;
  tt_tensor *dense[3];
  TT_TRY(read_form(op, args + CONV_FORM, &c, error));
  TT_TRY(read_sizes(op, &tt_arg_meta(&args[CONV_INPUT])->shape, &tt_arg_meta(&args[CONV_WEIGHT])->shape, &c, &output, error));
  c.dtype = metas[0].dtype;
  TT_TRY(densify(args, 3, dense, error));
  tt_tensor *made = tt_tensor_new(c.dtype, &output, error);
  tt_status status = TT_ERR_MEMORY;
  if (made != NULL) {
    status = tt_convolution_run(&c, tt_tensor_data(dense[0]), tt_tensor_data(dense[1]),
                                dense[2] ? tt_tensor_data(dense[2]) : NULL, tt_tensor_data(made), error);
  }
  release(dense, 3);
  return answer(status, made, results, n_results);
}

/* ---- its two gradients ---- */

static tt_status check_grad(const tt_op *op, const tt_shape *grad, const tt_shape *output, tt_error *error) {
  if (tt_shape_equal(grad, output)) return TT_OK;
  char text[TT_SHAPE_TEXT_BYTES], wanted[TT_SHAPE_TEXT_BYTES];
  return tt_fail(error, TT_ERR_SHAPE, "%s: grad_output has the shape %s, but the convolution's output has %s", op->name,
                 tt_shape_text(grad, text), tt_shape_text(output, wanted));
}

/* conv2d_input: (input_size, weight, grad_output, ...); conv2d_weight: (input, weight_size, grad_output, ...) */
enum { PART_INPUT, PART_WEIGHT, PART_GRAD, PART_FORM };

/* The convolution that a call belongs to; *is_known is false where an operand's shape is not known. */
static tt_status read_part(const tt_op *op, const tt_value *args, tt_convolution *c, tt_shape *made, bool *is_known,
                           tt_error *error) {
  tt_shape shapes[2], output;
  *is_known = tt_shape_is_known(&tt_arg_meta(&args[PART_GRAD])->shape);
  TT_TRY(read_form(op, args + PART_FORM, c, error));
  for (int i = 0; i < 2; i++) {
    if (args[i].type == TT_VALUE_INTS) {
      TT_TRY(tt_shape_make(args[i].as.ints, args[i].n, &shapes[i], error));
      *made = shapes[i];
      continue;
    }
    TT_TRY(need_floats(op, &args[i], &args[PART_GRAD], error));
    shapes[i] = tt_arg_meta(&args[i])->shape;
    *is_known = *is_known && tt_shape_is_known(&shapes[i]);
  }
  c->dtype = tt_arg_meta(&args[PART_GRAD])->dtype;
  if (!*is_known) return TT_OK;
  TT_TRY(read_sizes(op, &shapes[PART_INPUT], &shapes[PART_WEIGHT], c, &output, error));
  return check_grad(op, &tt_arg_meta(&args[PART_GRAD])->shape, &output, error);
}

INFER(conv2d_part) {
  tt_convolution c;
  tt_meta meta;
  bool is_known;
  TT_TRY(read_part(op, args, &c, &meta.shape, &is_known, error));
  meta.dtype = c.dtype;
  return tt_infer_one(meta, results, n_results);
}

/* What both gradients have in common: an operand and grad_output in, one tensor out. */
typedef tt_status part_fn(const tt_convolution *c, const void *operand, const void *grad, void *made, tt_error *error);

static tt_status run_part(const tt_op *op, part_fn *run, size_t operand, const tt_value *args, tt_tensor **results,
                          size_t *n_results, tt_error *error) {
  tt_convolution c;
  tt_shape shape;
  tt_tensor *dense[2];
  bool is_known;
  TT_TRY(read_part(op, args, &c, &shape, &is_known, error));
  TT_TRY(densify((tt_value[]){args[operand], args[PART_GRAD]}, 2, dense, error));
  tt_tensor *made = tt_tensor_new(c.dtype, &shape, error);
  tt_status status = TT_ERR_MEMORY;
  if (made != NULL) status = run(&c, tt_tensor_data(dense[0]), tt_tensor_data(dense[1]), tt_tensor_data(made), error);
  release(dense, 2);
  return answer(status, made, results, n_results);
}

KERNEL(conv2d_input) {
  (void)context, (void)metas;
  return run_part(op, tt_convolution_run_input, PART_WEIGHT, args, results, n_results, error);
}

KERNEL(conv2d_weight) {
  (void)context, (void)metas;
  return run_part(op, tt_convolution_run_weight, PART_INPUT, args, results, n_results, error);
}

/* ---- gradients ---- */

static tt_value shape_value(const tt_operand *x) { return tt_ints(x->meta.shape.dims, (uint32_t)x->meta.shape.n_dims); }

static tt_operand *part_of(tt_rule *rule, tt_op_number number, tt_value input, tt_value weight, tt_operand *grad,
                           const tt_value *form) {
  return tt_rule_call(
      rule, number,
      (tt_value[]){input, weight, tt_operand_value(grad), form[STRIDE], form[PADDING], form[DILATION], form[GROUPS]},
      PART_FORM + N_FORM);
}

static tt_operand *convolve(tt_rule *rule, tt_value input, tt_value weight, const tt_value *form) {
  return tt_rule_call(rule, TT_OP_conv2d,
                      (tt_value[]){input, weight, tt_none(), form[STRIDE], form[PADDING], form[DILATION], form[GROUPS]},
                      CONV_FORM + N_FORM);
}

GRAD(conv2d) {
  tt_rule rule = tt_rule_begin(context, error);
  const tt_value *args = call->args;
  tt_operand *input = args[CONV_INPUT].as.operand, *weight = args[CONV_WEIGHT].as.operand, *g = call->grads[0];
  if (!tt_rule_need_shape(&rule, call->op, input) || !tt_rule_need_shape(&rule, call->op, weight)) return rule.status;
  if (tt_grad_is_needed(call, CONV_INPUT)) {
    operand_grads[0] = part_of(&rule, TT_OP_conv2d_input, shape_value(input), args[CONV_WEIGHT], g, args + CONV_FORM);
  }
  if (tt_grad_is_needed(call, CONV_WEIGHT)) {
    operand_grads[1] = part_of(&rule, TT_OP_conv2d_weight, args[CONV_INPUT], shape_value(weight), g, args + CONV_FORM);
  }
  if (tt_grad_is_needed(call, CONV_BIAS)) {
    bool is_batch = input->meta.shape.n_dims == 4;
    const int64_t dims[3] = {0, 2, 3}, image_dims[2] = {1, 2};
    operand_grads[2] = TT_RULE(&rule, sum, tt_operand_value(g), is_batch ? tt_ints(dims, 3) : tt_ints(image_dims, 2));
  }
  return rule.status;
}

GRAD(conv2d_input) {
  tt_rule rule = tt_rule_begin(context, error);
  const tt_value *args = call->args;
  tt_operand *weight = args[PART_WEIGHT].as.operand;
  if (!tt_rule_need_shape(&rule, call->op, weight)) return rule.status;
  tt_value g = tt_operand_value(call->grads[0]);
  if (call->is_needed[0]) {
    operand_grads[0] =
        part_of(&rule, TT_OP_conv2d_weight, g, shape_value(weight), args[PART_GRAD].as.operand, args + PART_FORM);
  }
  if (call->is_needed[1]) operand_grads[1] = convolve(&rule, g, args[PART_WEIGHT], args + PART_FORM);
  return rule.status;
}

GRAD(conv2d_weight) {
  tt_rule rule = tt_rule_begin(context, error);
  const tt_value *args = call->args;
  tt_operand *input = args[PART_INPUT].as.operand;
  if (!tt_rule_need_shape(&rule, call->op, input)) return rule.status;
  tt_value g = tt_operand_value(call->grads[0]);
  if (call->is_needed[0]) {
    operand_grads[0] = part_of(&rule, TT_OP_conv2d_input, shape_value(input), g, args[PART_GRAD].as.operand, args + PART_FORM);
  }
  if (call->is_needed[1]) operand_grads[1] = convolve(&rule, args[PART_INPUT], g, args + PART_FORM);
  return rule.status;
}

/* ---- transposed ---- */

enum { UP_INPUT, UP_WEIGHT, UP_BIAS, UP_STRIDE, UP_PADDING, UP_OUTPUT_PADDING, UP_GROUPS, UP_DILATION };

/* The bias (O) beside (N, O, ...) or (O, ...). */
static tt_operand *with_bias(tt_rule *rule, const tt_op *op, tt_operand *output, const tt_operand *weight, int64_t groups,
                             tt_operand *bias, int n_spatial) {
  if (bias == NULL || !tt_rule_need_shape(rule, op, bias)) return rule->status == TT_OK ? output : NULL;
  int64_t sizes[3] = {weight->meta.shape.dims[1] * groups, 1, 1};
  if (bias->meta.shape.n_dims != 1 || bias->meta.shape.dims[0] != sizes[0]) {
    char text[TT_SHAPE_TEXT_BYTES];
    tt_rule_fail(rule, TT_ERR_SHAPE,
                 "%s: the bias must have one element for each of the %" PRId64 " output channels, not shape %s", op->name,
                 sizes[0], tt_shape_text(&bias->meta.shape, text));
  }
  tt_rule_need_same_floats(rule, op, weight, bias);
  return tt_term_add(rule, output, tt_term_reshape(rule, bias, sizes, 1 + n_spatial));
}

static bool read_pair(tt_rule *rule, const tt_op *op, const char *param, const tt_value *arg, int64_t least, int64_t *pair) {
  if (rule->status == TT_OK) rule->status = tt_spatial_pair(op, param, arg, least, pair, rule->error);
  return rule->status == TT_OK;
}

TT_BODY(conv_transpose2d) {
  tt_operand *x = args[UP_INPUT].as.operand, *weight = args[UP_WEIGHT].as.operand;
  int64_t stride[2], padding[2], extra[2], dilation[2], groups = args[UP_GROUPS].as.integer;
  if (!tt_rule_need_shape(rule, op, x) || !tt_rule_need_shape(rule, op, weight)) return NULL;
  if (!read_pair(rule, op, "stride", &args[UP_STRIDE], 1, stride) ||
      !read_pair(rule, op, "padding", &args[UP_PADDING], 0, padding) ||
      !read_pair(rule, op, "output_padding", &args[UP_OUTPUT_PADDING], 0, extra) ||
      !read_pair(rule, op, "dilation", &args[UP_DILATION], 1, dilation))
    return NULL;
  rule->status = tt_spatial_need_image(op, "an input", &x->meta.shape, rule->error);
  const tt_shape *in = &x->meta.shape, *kernel = &weight->meta.shape;
  int channel = in->n_dims - 3;
  if (rule->status == TT_OK &&
      (kernel->n_dims != 4 || groups < 1 || groups > INT32_MAX || kernel->dims[1] > INT32_MAX || kernel->dims[2] > INT32_MAX ||
       kernel->dims[3] > INT32_MAX || kernel->dims[0] != in->dims[channel] || kernel->dims[0] % groups != 0)) {
    rule->status = refuse_channels(op, in, kernel, groups, rule->error);
  }
  if (rule->status != TT_OK) return NULL;
  int64_t sizes[4];
  memcpy(sizes, in->dims, (size_t)in->n_dims * sizeof sizes[0]);
  sizes[channel] = kernel->dims[1] * groups;
  for (int i = 0; i < 2; i++) {
    if (extra[i] >= stride[i]) {
      tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: output_padding must be smaller than the stride, but got %" PRId64, op->name,
                   extra[i]);
    }
    sizes[channel + 1 + i] =
        (in->dims[channel + 1 + i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (kernel->dims[2 + i] - 1) + extra[i] + 1;
    if (sizes[channel + 1 + i] < 1) {
      tt_rule_fail(rule, TT_ERR_SHAPE, "%s: the output's side %d would have %" PRId64 " elements", op->name, i,
                   sizes[channel + 1 + i]);
    }
  }
  tt_value form[N_FORM] = {[STRIDE] = tt_ints(stride, 2),
                           [PADDING] = tt_ints(padding, 2),
                           [DILATION] = tt_ints(dilation, 2),
                           [GROUPS] = tt_int(groups)};
  tt_operand *made = part_of(rule, TT_OP_conv2d_input, tt_ints(sizes, (uint32_t)in->n_dims), args[UP_WEIGHT], x, form);
  return with_bias(rule, op, made, weight, groups, tt_arg_operand(&args[UP_BIAS]), 2);
}
TT_COMPOSE(conv_transpose2d)

/* ---- one dimension: the same with a height of 1 ---- */

static tt_value of_height(tt_rule *rule, const tt_op *op, const char *param, const tt_value *arg, int64_t height,
                          int64_t pair[2]) {
  if (arg->n != 1) tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: %s must be one number, not %u", op->name, param, (unsigned)arg->n);
  tt_spatial_pair_of_one(arg, height, pair);
  return tt_ints(pair, 2);
}

/* The input (N, C, L) or (C, L) and the weight (O, C, K) with a height. */
static void raise(tt_rule *rule, const tt_op *op, const tt_value *args, tt_operand **x, tt_operand **weight) {
  *x = args[0].as.operand;
  *weight = args[1].as.operand;
  if (!tt_rule_need_shape(rule, op, *x) || !tt_rule_need_shape(rule, op, *weight)) return;
  int n_dims = (*x)->meta.shape.n_dims;
  if ((n_dims != 2 && n_dims != 3) || (*weight)->meta.shape.n_dims != 3) {
    char text[TT_SHAPE_TEXT_BYTES], weight_text[TT_SHAPE_TEXT_BYTES];
    tt_rule_fail(rule, TT_ERR_SHAPE,
                 "%s takes an input of shape (N, C, L) or (C, L) and a weight of shape (O, C, K), not %s and %s", op->name,
                 tt_shape_text(&(*x)->meta.shape, text), tt_shape_text(&(*weight)->meta.shape, weight_text));
  }
  *x = tt_term_unsqueeze(rule, *x, -2);
  *weight = tt_term_unsqueeze(rule, *weight, -2);
}

TT_BODY(conv1d) {
  tt_operand *x, *weight;
  int64_t pairs[3][2];
  raise(rule, op, args, &x, &weight);
  tt_operand *made =
      TT_RULE(rule, conv2d, tt_operand_value(x), tt_operand_value(weight), args[CONV_BIAS],
              of_height(rule, op, "stride", &args[CONV_FORM + STRIDE], 1, pairs[0]),
              of_height(rule, op, "padding", &args[CONV_FORM + PADDING], 0, pairs[1]),
              of_height(rule, op, "dilation", &args[CONV_FORM + DILATION], 1, pairs[2]), args[CONV_FORM + GROUPS]);
  return tt_term_squeeze(rule, made, -2);
}
TT_COMPOSE(conv1d)

TT_BODY(conv_transpose1d) {
  tt_operand *x, *weight;
  int64_t pairs[4][2];
  raise(rule, op, args, &x, &weight);
  tt_operand *made = TT_RULE(rule, conv_transpose2d, tt_operand_value(x), tt_operand_value(weight), args[UP_BIAS],
                             of_height(rule, op, "stride", &args[UP_STRIDE], 1, pairs[0]),
                             of_height(rule, op, "padding", &args[UP_PADDING], 0, pairs[1]),
                             of_height(rule, op, "output_padding", &args[UP_OUTPUT_PADDING], 0, pairs[2]), args[UP_GROUPS],
                             of_height(rule, op, "dilation", &args[UP_DILATION], 1, pairs[3]));
  return tt_term_squeeze(rule, made, -2);
}
TT_COMPOSE(conv_transpose1d)
