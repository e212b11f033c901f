/* The heads of an op's functions, as the op table calls them: INFER(matmul) { ... } */
#ifndef TT_OPS_DEFINE_H
#define TT_OPS_DEFINE_H

#include "ops/op.h"

#define INFER(name) \
  tt_status tt_infer_##name(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error)
#define KERNEL(name)                                                                                                  \
  tt_status tt_kernel_##name(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas, \
                             tt_tensor **results, size_t *n_results, tt_error *error)
#define GRAD(name) \
  tt_status tt_grad_##name(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error)

#endif
