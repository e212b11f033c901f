/* How the parameters of layers are made, as PyTorch initialises them, and forwards that are more than one op. */
#include <math.h>

#include "nn/internal.h"

tt_node *tt_make_uniform(tt_calls *calls, const int64_t *dims, size_t n_dims, double bound) {
  tt_node *made = tt_calls_make(calls, TT_OP_zeros, dims, n_dims, TT_DTYPE_F32);
  TT_RUN(calls, uniform_, tt_of(made), tt_float(-bound), tt_float(bound));
  return made;
}

static double bound_of(double fan_in) { return fan_in > 0 ? 1 / sqrt(fan_in) : 0; }

/* weight and, as the argument `bias` says, bias: both uniform. PyTorch's kaiming_uniform_ with a = sqrt(5) is this bound. */
static tt_status add_uniform(tt_calls *calls, tt_module *module, const int64_t *dims, size_t n_dims, int64_t n_bias,
                             double bound) {
  tt_node *weight = tt_make_uniform(calls, dims, n_dims, bound);
  if (calls->status != TT_OK) return calls->status;
  TT_TRY(tt_module_add_slot(calls, module, "weight", weight, true));
  tt_node *bias = tt_module_bool(module, "bias") ? tt_make_uniform(calls, &n_bias, 1, bound) : NULL;
  if (calls->status != TT_OK) return calls->status;
  return tt_module_add_slot(calls, module, "bias", bias, true);
}

TT_MAKE(linear) {
  int64_t n_in = tt_module_int(module, "in_features"), n_out = tt_module_int(module, "out_features");
  return add_uniform(calls, module, (int64_t[]){n_out, n_in}, 2, n_out, bound_of((double)n_in));
}

TT_MAKE(bilinear) {
  int64_t n_in1 = tt_module_int(module, "in1_features"), n_out = tt_module_int(module, "out_features");
  const int64_t dims[] = {n_out, n_in1, tt_module_int(module, "in2_features")};
  return add_uniform(calls, module, dims, 3, n_out, bound_of((double)n_in1));
}

TT_MAKE(embedding) {
  const int64_t dims[] = {tt_module_int(module, "num_embeddings"), tt_module_int(module, "embedding_dim")};
  tt_node *weight = tt_calls_make(calls, TT_OP_zeros, dims, 2, TT_DTYPE_F32);
  TT_RUN(calls, normal_, tt_of(weight));
  const tt_value *padding = tt_module_arg(module, "padding_idx");
  if (padding->type == TT_VALUE_INT) {
    tt_node *row = TT_RUN(calls, select, tt_of(weight), tt_int(0), *padding);
    TT_RUN(calls, zero_, tt_of(row));
  }
  if (calls->status != TT_OK) return calls->status;
  return tt_module_add_slot(calls, module, "weight", weight, true);
}

TT_MAKE(prelu) {
  const int64_t n = tt_module_int(module, "num_parameters");
  tt_node *weight = tt_calls_make(calls, TT_OP_zeros, &n, 1, TT_DTYPE_F32);
  TT_RUN(calls, fill_, tt_of(weight), *tt_module_arg(module, "init"));
  if (calls->status != TT_OK) return calls->status;
  return tt_module_add_slot(calls, module, "weight", weight, true);
}

/* ---- convolutions ---- */

/* `first` and `second` are the weight's first two dimensions before `groups` divides the second. */
static tt_status make_conv(tt_calls *calls, tt_module *module, size_t n_spatial, int64_t first, int64_t second) {
  int64_t groups = tt_module_int(module, "groups");
  if (groups < 1 || first % groups != 0 || second % groups != 0)
    return calls->status =
               tt_fail(calls->error, TT_ERR_ARGUMENT,
                       "%s: in_channels and out_channels are divisible by groups, which is not so with %lld, %lld and %lld",
                       module->row->signature.name, (long long)tt_module_int(module, "in_channels"),
                       (long long)tt_module_int(module, "out_channels"), (long long)groups);
  const tt_value *kernel = tt_module_arg(module, "kernel_size");
  if (kernel->n != 1 && kernel->n != n_spatial)
    return calls->status = tt_fail(calls->error, TT_ERR_ARGUMENT, "%s: kernel_size is one number or %zu, not %u",
                                   module->row->signature.name, n_spatial, (unsigned)kernel->n);
  int64_t dims[4] = {first, second / groups};
  double fan_in = (double)dims[1];
  for (size_t i = 0; i < n_spatial; i++) {
    dims[2 + i] = kernel->as.ints[kernel->n == 1 ? 0 : i];
    fan_in *= (double)dims[2 + i];
  }
  return add_uniform(calls, module, dims, 2 + n_spatial, tt_module_int(module, "out_channels"), bound_of(fan_in));
}

static tt_status make_plain_conv(tt_calls *calls, tt_module *module, size_t n_spatial) {
  return make_conv(calls, module, n_spatial, tt_module_int(module, "out_channels"), tt_module_int(module, "in_channels"));
}

static tt_status make_transposed_conv(tt_calls *calls, tt_module *module, size_t n_spatial) {
  return make_conv(calls, module, n_spatial, tt_module_int(module, "in_channels"), tt_module_int(module, "out_channels"));
}

TT_MAKE(conv1d) { return make_plain_conv(calls, module, 1); }
TT_MAKE(conv2d) { return make_plain_conv(calls, module, 2); }
TT_MAKE(conv_transpose1d) { return make_transposed_conv(calls, module, 1); }
TT_MAKE(conv_transpose2d) { return make_transposed_conv(calls, module, 2); }

/* ---- normalisation ---- */

static tt_status add_filled(tt_calls *calls, tt_module *module, const char *name, tt_op_number fill, const int64_t *dims,
                            size_t n_dims, tt_dtype dtype, bool is_there, bool is_parameter) {
  tt_node *made = is_there ? tt_calls_make(calls, fill, dims, n_dims, dtype) : NULL;
  if (calls->status != TT_OK) return calls->status;
  return tt_module_add_slot(calls, module, name, made, is_parameter);
}

static tt_status add_affine(tt_calls *calls, tt_module *module, const int64_t *dims, size_t n_dims, bool is_there) {
  TT_TRY(add_filled(calls, module, "weight", TT_OP_ones, dims, n_dims, TT_DTYPE_F32, is_there, true));
  return add_filled(calls, module, "bias", TT_OP_zeros, dims, n_dims, TT_DTYPE_F32, is_there, true);
}

TT_MAKE(batch_norm) {
  const int64_t n = tt_module_int(module, "num_features");
  bool tracks = tt_module_bool(module, "track_running_stats");
  TT_TRY(add_affine(calls, module, &n, 1, tt_module_bool(module, "affine")));
  TT_TRY(add_filled(calls, module, "running_mean", TT_OP_zeros, &n, 1, TT_DTYPE_F32, tracks, false));
  TT_TRY(add_filled(calls, module, "running_var", TT_OP_ones, &n, 1, TT_DTYPE_F32, tracks, false));
  return add_filled(calls, module, "num_batches_tracked", TT_OP_zeros, NULL, 0, TT_DTYPE_I64, tracks, false);
}

TT_MAKE(layer_norm) {
  const tt_value *shape = tt_module_arg(module, "normalized_shape");
  return add_affine(calls, module, shape->as.ints, shape->n, tt_module_bool(module, "elementwise_affine"));
}

TT_MAKE(group_norm) {
  const int64_t n = tt_module_int(module, "num_channels"), groups = tt_module_int(module, "num_groups");
  if (groups < 1 || n % groups != 0)
    return calls->status = tt_fail(calls->error, TT_ERR_ARGUMENT,
                                   "GroupNorm: num_channels is divisible by num_groups, which %lld is not by %lld",
                                   (long long)n, (long long)groups);
  return add_affine(calls, module, &n, 1, tt_module_bool(module, "affine"));
}

/* Without running statistics those of the input are taken, in eval as well. */
static tt_status forward_norm(tt_calls *calls, tt_module *module, tt_op_number op, tt_node *input, tt_node **outputs,
                              size_t *n_outputs) {
  tt_node *mean = tt_module_head(module, "running_mean"), *variance = tt_module_head(module, "running_var");
  const tt_value args[] = {tt_of(input),
                           tt_of(mean),
                           tt_of(variance),
                           tt_of(tt_module_head(module, "weight")),
                           tt_of(tt_module_head(module, "bias")),
                           tt_bool(module->is_training || mean == NULL),
                           *tt_module_arg(module, "momentum"),
                           *tt_module_arg(module, "eps")};
  outputs[0] = tt_calls_run(calls, op, args, sizeof args / sizeof args[0]);
  *n_outputs = 1;
  return calls->status;
}

TT_FORWARD(batch_norm) {
  TT_TRY(tt_check_inputs(calls, module, n_inputs, 1, 1));
  tt_node *n_batches = tt_module_head(module, "num_batches_tracked");
  if (module->is_training && n_batches != NULL) TT_RUN(calls, add_, tt_of(n_batches), tt_int(1));
  return forward_norm(calls, module, TT_OP_batch_norm, inputs[0], outputs, n_outputs);
}

TT_FORWARD(instance_norm) {
  TT_TRY(tt_check_inputs(calls, module, n_inputs, 1, 1));
  return forward_norm(calls, module, TT_OP_instance_norm, inputs[0], outputs, n_outputs);
}

/* ---- others ---- */

TT_FORWARD(identity) {
  TT_TRY(tt_check_inputs(calls, module, n_inputs, 1, 1));
  outputs[0] = inputs[0];
  *n_outputs = 1;
  return TT_OK;
}

TT_FORWARD(sequential) {
  TT_TRY(tt_check_inputs(calls, module, n_inputs, 1, 1));
  tt_node *current[TT_MAX_MODULE_OUTPUTS] = {inputs[0]};
  size_t n_current = 1;
  for (size_t i = 0; i < module->n_children; i++) {
    tt_node *next[TT_MAX_MODULE_OUTPUTS];
    size_t n_next = 0;
    calls->status =
        tt_module_forward(calls->place, module->children[i].module, current, n_current, next, &n_next, calls->error);
    if (calls->status != TT_OK) return calls->status;
    for (n_current = 0; n_current < n_next; n_current++) {
      current[n_current] = tt_calls_keep(calls, next[n_current]);
    }
    if (calls->status != TT_OK) return calls->status;
  }
  for (size_t i = 0; i < n_current; i++) outputs[i] = current[i];
  *n_outputs = n_current;
  return TT_OK;
}

TT_FORWARD(list) {
  (void)inputs;
  (void)n_inputs;
  (void)outputs;
  (void)n_outputs;
  return calls->status =
             tt_fail(calls->error, TT_ERR_STATE, "a %s is not called: call what is in it", module->row->signature.name);
}
