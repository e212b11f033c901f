/* Rows that ask or change the graph of gradients. What they do is chain/variable.c's; here are their shapes, and what they are to plain data. */
#include "ops/infer_common.h"
#include "ops/rows.h"
#include "ops/view_common.h"

tt_status tt_infer_graph(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  (void)op;
  (void)error;
  return tt_infer_one(*tt_arg_meta(&args[0]), results, n_results);
}

/* A gradient is of the shape of what it is the gradient of; nothing is broadcast. */
static tt_status need_same_shape(const tt_op *op, const tt_meta *gradient, const tt_meta *self, tt_error *error) {
  bool is_known = tt_shape_is_known(&gradient->shape) && tt_shape_is_known(&self->shape);
  if (!is_known || tt_shape_equal(&gradient->shape, &self->shape)) return TT_OK;
  char theirs[TT_SHAPE_TEXT_BYTES], ours[TT_SHAPE_TEXT_BYTES];
  return tt_fail(error, TT_ERR_SHAPE, "%s: a gradient of shape %s was given for a tensor of shape %s", op->name,
                 tt_shape_text(&gradient->shape, theirs), tt_shape_text(&self->shape, ours));
}

tt_status tt_infer_backward(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  if (!tt_arg_is_none(&args[1])) {
    TT_TRY(need_same_shape(op, tt_arg_meta(&args[1]), self, error));
  } else if (tt_shape_is_known(&self->shape) && tt_shape_n_elements(&self->shape) != 1) {
    char text[TT_SHAPE_TEXT_BYTES];
    return tt_fail(
        error, TT_ERR_SHAPE,
        "backward: grad can be implicitly created only for scalar outputs; this one has shape %s: give backward a gradient",
        tt_shape_text(&self->shape, text));
  }
  return tt_infer_one(*self, results, n_results);
}

tt_status tt_infer_set_grad(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  if (!tt_arg_is_none(&args[1])) {
    const tt_meta *grad = tt_arg_meta(&args[1]);
    TT_TRY(need_same_shape(op, grad, self, error));
    if (grad->dtype != self->dtype) {
      return tt_fail(error, TT_ERR_DTYPE, "grad: a %s gradient was given for a %s tensor", tt_dtype_name(grad->dtype),
                     tt_dtype_name(self->dtype));
    }
  }
  return tt_infer_one(*self, results, n_results);
}

tt_status tt_infer_autograd_grad(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  const tt_value *outputs = &args[0], *inputs = &args[1], *gradients = &args[2];
  if (outputs->n == 0 || inputs->n == 0 || inputs->n > TT_MAX_RESULTS) {
    return tt_fail(error, TT_ERR_ARGUMENT,
                   "grad: %u outputs and %u inputs were given; there must be some of both, at most %d inputs", outputs->n,
                   inputs->n, TT_MAX_RESULTS);
  }
  if (!tt_arg_is_none(gradients) && gradients->n != outputs->n) {
    return tt_fail(error, TT_ERR_ARGUMENT, "grad: %u grad_outputs were given for %u outputs", gradients->n, outputs->n);
  }
  for (uint32_t i = 0; i < outputs->n; i++) {
    const tt_meta *output = &outputs->as.operands[i]->meta;
    if (!tt_arg_is_none(gradients)) {
      TT_TRY(need_same_shape(op, &gradients->as.operands[i]->meta, output, error));
    } else if (tt_shape_is_known(&output->shape) && tt_shape_n_elements(&output->shape) != 1) {
      char text[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE,
                     "grad: grad can be implicitly created only for scalar outputs; output %u has shape %s: give grad_outputs",
                     i, tt_shape_text(&output->shape, text));
    }
  }
  for (uint32_t i = 0; i < inputs->n; i++) results[i] = inputs->as.operands[i]->meta;
  *n_results = inputs->n;
  return TT_OK;
}

tt_status tt_kernel_graph_same(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                               tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op;
  (void)context;
  (void)metas;
  (void)error;
  return tt_answer_tensor(tt_tensor_ref(tt_arg_tensor(&args[0])), results, n_results);
}

tt_status tt_kernel_detach(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                           tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)op;
  (void)context;
  (void)metas;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  return tt_answer_view(self, tt_tensor_shape(self), self->strides, self->offset, results, n_results, error);
}

tt_status tt_kernel_graph_none(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                               tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  (void)args;
  (void)metas;
  (void)results;
  (void)n_results;
  return tt_fail(error, TT_ERR_STATE, "%s: data alone has no gradients; the head of a chain is asked", op->name);
}
