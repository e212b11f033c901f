/*
 * rows: prototypes of every function that a row of ops.def names, made from the rows themselves.
 *
 * Files that write such functions include this one. A function that a row names and nobody writes fails at the link.
 */
#ifndef TT_OPS_ROWS_H
#define TT_OPS_ROWS_H

#include "ops/op.h"

/* In a prototype "no gradient" needs a name; it stands for no function. */
#undef TT_GRAD_NONE
#define TT_GRAD_NONE tt_grad_absent
#define TT_OP(name, schema, torch_name, infer, kernel, grad, flags, domain, tolerance) \
  extern tt_infer_fn infer;                                                            \
  extern tt_kernel_fn kernel;                                                          \
  extern tt_grad_fn grad;
#include "ops/ops.def"
#undef TT_OP
#undef TT_GRAD_NONE
#define TT_GRAD_NONE NULL

#endif
