/* Rows of the activation section: softmax and log_softmax. */
#include "kernels/scan.h"
#include "ops/infer_common.h"
#include "ops/rows.h"
#include "ops/rule.h"

enum { SOFTMAX_DIM = 1, SOFTMAX_DTYPE };

tt_status tt_infer_softmax(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta = *tt_arg_meta(&args[0]);
  if (!tt_arg_is_none(&args[SOFTMAX_DTYPE])) meta.dtype = args[SOFTMAX_DTYPE].as.dtype;
  TT_TRY(tt_infer_need_floating(op, meta.dtype, error));
  if (tt_shape_is_known(&meta.shape)) {
    int dim;
    TT_TRY(tt_shape_wrap_dim(op->name, args[SOFTMAX_DIM].as.integer, meta.shape.n_dims, &dim, error));
  }
  return tt_infer_one(meta, results, n_results);
}

static tt_status run_softmax(const tt_op *op, const tt_value *args, const tt_meta *meta, bool is_log, tt_tensor **results,
                             size_t *n_results, tt_error *error) {
  const tt_shape *shape = &meta->shape;
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[SOFTMAX_DIM].as.integer, shape->n_dims, &dim, error));
  tt_tensor *self = tt_arg_tensor(&args[0]);
  tt_tensor *cast = tt_tensor_dtype(self) == meta->dtype ? tt_tensor_ref(self) : tt_tensor_cast(self, meta->dtype, error);
  tt_tensor *input = cast ? tt_tensor_contiguous(cast, error) : NULL;
  tt_tensor *out = input ? tt_tensor_new(meta->dtype, shape, error) : NULL;
  tt_tensor_unref(cast);
  if (!out) {
    tt_tensor_unref(input);
    return TT_ERR_MEMORY;
  }
  tt_scan scan = {.dtype = meta->dtype,
                  .outer = 1,
                  .n = shape->n_dims == 0 ? 1 : shape->dims[dim],
                  .inner = 1,
                  .input = tt_tensor_data(input),
                  .output = tt_tensor_data(out)};
  for (int d = 0; d < shape->n_dims; d++) {
    if (d < dim) scan.outer *= shape->dims[d];
    if (d > dim) scan.inner *= shape->dims[d];
  }
  tt_scan_softmax(&scan, is_log);
  tt_tensor_unref(input);
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}

tt_status tt_kernel_softmax(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                            tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_softmax(op, args, &metas[0], false, results, n_results, error);
}

tt_status tt_kernel_log_softmax(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                                tt_tensor **results, size_t *n_results, tt_error *error) {
  (void)context;
  return run_softmax(op, args, &metas[0], true, results, n_results, error);
}

static tt_operand *sum_along(tt_rule *rule, tt_operand *x, const tt_value *dim) {
  return TT_RULE(rule, sum, tt_operand_value(x), tt_ints(&dim->as.integer, 1), tt_bool(true));
}

/* y (g - sum(g y)) */
tt_status tt_grad_softmax(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *y = call->results[0], *grad = call->grads[0];
  tt_operand *sum = sum_along(&rule, tt_rule_binary(&rule, TT_OP_mul, grad, y), &call->args[SOFTMAX_DIM]);
  tt_operand *of_x = tt_rule_binary(&rule, TT_OP_mul, y, tt_rule_binary(&rule, TT_OP_sub, grad, sum));
  operand_grads[0] = tt_rule_cast(&rule, of_x, call->args[0].as.operand->meta.dtype);
  return rule.status;
}

/* g - exp(y) sum(g) */
tt_status tt_grad_log_softmax(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *grad = call->grads[0];
  tt_operand *sum = sum_along(&rule, grad, &call->args[SOFTMAX_DIM]);
  tt_operand *share = tt_rule_binary(&rule, TT_OP_mul, tt_rule_unary(&rule, TT_OP_exp, call->results[0]), sum);
  operand_grads[0] = tt_rule_cast(&rule, tt_rule_binary(&rule, TT_OP_sub, grad, share), call->args[0].as.operand->meta.dtype);
  return rule.status;
}
