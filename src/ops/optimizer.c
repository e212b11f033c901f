/*
 * optimizer: rows that are one step of an optimiser, torch.optim's by their rules.
 *
 * A row changes the parameter, its state and the count of steps where they live. It is all or nothing: without a gradient
 * nothing changes and no step is counted, and a call that fails has changed nothing.
 */
#include "kernels/optimizer.h"

#include <string.h>

#include "ops/define.h"
#include "ops/infer_common.h"
#include "ops/inplace.h"
#include "ops/rows.h"
#include "tensor/convert.h"

/* ---- shape rules ---- */

static tt_status check_like_self(const tt_op *op, const char *param, const tt_meta *self, const tt_meta *meta,
                                 tt_error *error) {
  TT_TRY(tt_infer_need_same_dtype(op, self->dtype, meta->dtype, error));
  if (!tt_shape_is_known(&self->shape) || !tt_shape_is_known(&meta->shape) || tt_shape_equal(&self->shape, &meta->shape))
    return TT_OK;
  char self_text[TT_SHAPE_TEXT_BYTES], text[TT_SHAPE_TEXT_BYTES];
  return tt_fail(error, TT_ERR_SHAPE, "%s: %s must have the parameter's shape %s, not %s", op->name, param,
                 tt_shape_text(&self->shape, self_text), tt_shape_text(&meta->shape, text));
}

/* The state and the gradient are as the parameter is; `step` is one number. */
INFER(optimizer_step) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  TT_TRY(tt_infer_need_floating(op, self->dtype, error));
  for (size_t i = 1; i < op->n_params; i++) {
    if (args[i].type != TT_VALUE_OPERAND) continue;
    const tt_meta *meta = tt_arg_meta(&args[i]);
    if (strcmp(op->params[i].name, "step") != 0) {
      TT_TRY(check_like_self(op, op->params[i].name, self, meta, error));
    } else if (meta->dtype == TT_DTYPE_BOOL || meta->dtype == TT_DTYPE_U8 || meta->dtype == TT_DTYPE_I32 ||
               (tt_shape_is_known(&meta->shape) && meta->shape.n_dims != 0)) {
      char text[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE, "%s: step counts in a scalar tensor of float32, float64 or int64, not %s of shape %s",
                     op->name, tt_dtype_name(meta->dtype), tt_shape_text(&meta->shape, text));
    }
  }
  return tt_infer_one(*self, results, n_results);
}

static tt_status need_state(const tt_op *op, const tt_value *state, const char *param, const char *what, tt_error *error) {
  if (!tt_arg_is_none(state)) return TT_OK;
  return tt_fail(error, TT_ERR_ARGUMENT, "%s: %s needs %s, a tensor of zeros before the first step", op->name, what, param);
}

/* ---- state while a step runs ---- */

enum { MAX_STATE = TT_MAX_PARAMS };

/*
 * Dense forms of what a step reads and writes: the tensor itself where it is dense, else a copy that goes back at the end. All
 * memory is taken before anything is changed.
 */
typedef struct step_data {
  const tt_op *op;
  const tt_value *args;
  tt_tensor *dense[MAX_STATE];
  double n_steps; /* with this one */
  size_t step;    /* its place among the arguments */
} step_data;

static void release(step_data *data) {
  for (size_t i = 0; i < MAX_STATE; i++) tt_tensor_unref(data->dense[i]);
}

static tt_status begin(step_data *data, const tt_op *op, const tt_value *args, tt_error *error) {
  *data = (step_data){.op = op, .args = args};
  tt_status status = TT_OK;
  for (size_t i = 0; i < op->n_params && status == TT_OK; i++) {
    if (args[i].type != TT_VALUE_OPERAND) continue;
    tt_tensor *tensor = tt_arg_tensor(&args[i]);
    if (strcmp(op->params[i].name, "step") == 0) {
      data->step = i;
      status = tt_tensor_item_f64(tensor, &data->n_steps, error);
      continue;
    }
    if (op->params[i].is_written) status = tt_inplace_check_apart(op, op->params[i].name, tensor, error);
    if (status != TT_OK) break;
    data->dense[i] = tt_tensor_contiguous(tensor, error);
    if (data->dense[i] == NULL) status = TT_ERR_MEMORY;
  }
  data->n_steps += 1;
  if (status != TT_OK) release(data);
  return status;
}

static void *state_of(const step_data *data, size_t i) { return data->dense[i] ? tt_tensor_data(data->dense[i]) : NULL; }

/* Copies go back to where they are from; the step is counted. */
static tt_status finish(step_data *data, tt_tensor **results, size_t *n_results, tt_error *error) {
  tt_status status = TT_OK;
  for (size_t i = 0; i < data->op->n_params; i++) {
    if (data->dense[i] == NULL || !data->op->params[i].is_written) continue;
    tt_tensor *tensor = tt_arg_tensor(&data->args[i]);
    if (data->dense[i] != tensor && status == TT_OK) status = tt_tensor_copy(tensor, data->dense[i], error);
  }
  const tt_tensor *step = tt_arg_tensor(&data->args[data->step]);
  tt_convert_f64(tt_tensor_data(step), tt_tensor_dtype(step), data->n_steps);
  release(data);
  if (status != TT_OK) return status;
  results[0] = tt_tensor_ref(tt_arg_tensor(&data->args[0]));
  *n_results = 1;
  return TT_OK;
}

static tt_status nothing_to_do(const tt_value *args, tt_tensor **results, size_t *n_results) {
  results[0] = tt_tensor_ref(tt_arg_tensor(&args[0]));
  *n_results = 1;
  return TT_OK;
}

/* ---- sgd ---- */

enum {
  SGD_SELF,
  SGD_BUFFER,
  SGD_STEP,
  SGD_GRAD,
  SGD_LR,
  SGD_MOMENTUM,
  SGD_DAMPENING,
  SGD_WEIGHT_DECAY,
  SGD_NESTEROV,
  SGD_MAXIMIZE
};

INFER(sgd_step) {
  double momentum = args[SGD_MOMENTUM].as.real;
  if (momentum != 0) TT_TRY(need_state(op, &args[SGD_BUFFER], "momentum_buffer", "momentum", error));
  if (args[SGD_NESTEROV].as.boolean && (!(momentum > 0) || args[SGD_DAMPENING].as.real != 0)) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: Nesterov momentum requires a momentum and zero dampening", op->name);
  }
  return tt_infer_optimizer_step(op, args, results, n_results, error);
}

KERNEL(sgd_step) {
  (void)context, (void)metas;
  if (tt_arg_is_none(&args[SGD_GRAD])) return nothing_to_do(args, results, n_results);
  step_data data;
  TT_TRY(begin(&data, op, args, error));
  double momentum = args[SGD_MOMENTUM].as.real;
  tt_sgd sgd = {.param = state_of(&data, SGD_SELF),
                .momentum_buffer = momentum != 0 ? state_of(&data, SGD_BUFFER) : NULL,
                .grad = state_of(&data, SGD_GRAD),
                .is_first = data.n_steps == 1,
                .lr = args[SGD_LR].as.real,
                .momentum = momentum,
                .dampening = args[SGD_DAMPENING].as.real,
                .weight_decay = args[SGD_WEIGHT_DECAY].as.real,
                .nesterov = args[SGD_NESTEROV].as.boolean,
                .maximize = args[SGD_MAXIMIZE].as.boolean};
  tt_sgd_step(tt_tensor_dtype(data.dense[0]), &sgd, tt_tensor_n_elements(data.dense[0]));
  return finish(&data, results, n_results, error);
}

/* ---- adam, adamw ---- */

enum {
  ADAM_SELF,
  ADAM_MEAN,
  ADAM_SQUARE,
  ADAM_MOST,
  ADAM_STEP,
  ADAM_GRAD,
  ADAM_LR,
  ADAM_BETA1,
  ADAM_BETA2,
  ADAM_EPS,
  ADAM_WEIGHT_DECAY,
  ADAM_AMSGRAD,
  ADAM_MAXIMIZE
};

INFER(adam_step) {
  if (args[ADAM_AMSGRAD].as.boolean) TT_TRY(need_state(op, &args[ADAM_MOST], "max_exp_avg_sq", "amsgrad", error));
  for (size_t i = ADAM_BETA1; i <= ADAM_BETA2; i++) {
    if (args[i].as.real >= 0 && args[i].as.real < 1) continue;
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: %s must be at least 0 and below 1, not %g", op->name, op->params[i].name,
                   args[i].as.real);
  }
  return tt_infer_optimizer_step(op, args, results, n_results, error);
}

static tt_status adam(const tt_op *op, const tt_value *args, bool is_decoupled, tt_tensor **results, size_t *n_results,
                      tt_error *error) {
  if (tt_arg_is_none(&args[ADAM_GRAD])) return nothing_to_do(args, results, n_results);
  step_data data;
  TT_TRY(begin(&data, op, args, error));
  tt_adam step = {.param = state_of(&data, ADAM_SELF),
                  .exp_avg = state_of(&data, ADAM_MEAN),
                  .exp_avg_sq = state_of(&data, ADAM_SQUARE),
                  .max_exp_avg_sq = args[ADAM_AMSGRAD].as.boolean ? state_of(&data, ADAM_MOST) : NULL,
                  .grad = state_of(&data, ADAM_GRAD),
                  .step = data.n_steps,
                  .lr = args[ADAM_LR].as.real,
                  .beta1 = args[ADAM_BETA1].as.real,
                  .beta2 = args[ADAM_BETA2].as.real,
                  .eps = args[ADAM_EPS].as.real,
                  .weight_decay = args[ADAM_WEIGHT_DECAY].as.real,
                  .is_decoupled = is_decoupled,
                  .maximize = args[ADAM_MAXIMIZE].as.boolean};
  tt_adam_step(tt_tensor_dtype(data.dense[0]), &step, tt_tensor_n_elements(data.dense[0]));
  return finish(&data, results, n_results, error);
}

KERNEL(adam_step) {
  (void)context, (void)metas;
  return adam(op, args, false, results, n_results, error);
}

KERNEL(adamw_step) {
  (void)context, (void)metas;
  return adam(op, args, true, results, n_results, error);
}

/* ---- rmsprop ---- */

enum {
  RMS_SELF,
  RMS_SQUARE,
  RMS_BUFFER,
  RMS_MEAN,
  RMS_STEP,
  RMS_GRAD,
  RMS_LR,
  RMS_ALPHA,
  RMS_EPS,
  RMS_WEIGHT_DECAY,
  RMS_MOMENTUM,
  RMS_CENTERED,
  RMS_MAXIMIZE
};

INFER(rmsprop_step) {
  if (args[RMS_MOMENTUM].as.real != 0) TT_TRY(need_state(op, &args[RMS_BUFFER], "momentum_buffer", "momentum", error));
  if (args[RMS_CENTERED].as.boolean) TT_TRY(need_state(op, &args[RMS_MEAN], "grad_avg", "centered", error));
  return tt_infer_optimizer_step(op, args, results, n_results, error);
}

KERNEL(rmsprop_step) {
  (void)context, (void)metas;
  if (tt_arg_is_none(&args[RMS_GRAD])) return nothing_to_do(args, results, n_results);
  step_data data;
  TT_TRY(begin(&data, op, args, error));
  double momentum = args[RMS_MOMENTUM].as.real;
  tt_rmsprop step = {.param = state_of(&data, RMS_SELF),
                     .square_avg = state_of(&data, RMS_SQUARE),
                     .momentum_buffer = momentum != 0 ? state_of(&data, RMS_BUFFER) : NULL,
                     .grad_avg = args[RMS_CENTERED].as.boolean ? state_of(&data, RMS_MEAN) : NULL,
                     .grad = state_of(&data, RMS_GRAD),
                     .lr = args[RMS_LR].as.real,
                     .alpha = args[RMS_ALPHA].as.real,
                     .eps = args[RMS_EPS].as.real,
                     .weight_decay = args[RMS_WEIGHT_DECAY].as.real,
                     .momentum = momentum,
                     .maximize = args[RMS_MAXIMIZE].as.boolean};
  tt_rmsprop_step(tt_tensor_dtype(data.dense[0]), &step, tt_tensor_n_elements(data.dense[0]));
  return finish(&data, results, n_results, error);
}

/* ---- adagrad ---- */

enum { ADA_SELF, ADA_SUM, ADA_STEP, ADA_GRAD, ADA_LR, ADA_LR_DECAY, ADA_WEIGHT_DECAY, ADA_EPS, ADA_MAXIMIZE };

KERNEL(adagrad_step) {
  (void)context, (void)metas;
  if (tt_arg_is_none(&args[ADA_GRAD])) return nothing_to_do(args, results, n_results);
  step_data data;
  TT_TRY(begin(&data, op, args, error));
  tt_adagrad step = {.param = state_of(&data, ADA_SELF),
                     .state_sum = state_of(&data, ADA_SUM),
                     .grad = state_of(&data, ADA_GRAD),
                     .step = data.n_steps,
                     .lr = args[ADA_LR].as.real,
                     .lr_decay = args[ADA_LR_DECAY].as.real,
                     .weight_decay = args[ADA_WEIGHT_DECAY].as.real,
                     .eps = args[ADA_EPS].as.real,
                     .maximize = args[ADA_MAXIMIZE].as.boolean};
  tt_adagrad_step(tt_tensor_dtype(data.dense[0]), &step, tt_tensor_n_elements(data.dense[0]));
  return finish(&data, results, n_results, error);
}
