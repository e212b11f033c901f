/*
 * optimizer: one step of an optimiser over dense float32 or float64 data, parameters and state changed where they lie.
 *
 * All arrays of a call have n elements of one dtype and do not overlap, but for those that are NULL because the step has no such
 * state. Numbers that PyTorch computes in double from the hyperparameters are computed so here, then used in the element type.
 */
#ifndef TT_KERNELS_OPTIMIZER_H
#define TT_KERNELS_OPTIMIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor/dtype.h"

typedef struct tt_sgd {
  void *param, *momentum_buffer; /* the buffer NULL: no momentum */
  const void *grad;
  bool is_first; /* the buffer becomes the gradient itself */
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize;
} tt_sgd;

typedef struct tt_adam {
  void *param, *exp_avg, *exp_avg_sq, *max_exp_avg_sq; /* the maximum NULL: not amsgrad */
  const void *grad;
  double step; /* 1 at the first one */
  double lr, beta1, beta2, eps, weight_decay;
  bool is_decoupled; /* AdamW's weight decay */
  bool maximize;
} tt_adam;

typedef struct tt_rmsprop {
  void *param, *square_avg, *momentum_buffer, *grad_avg; /* NULL: no momentum; not centered */
  const void *grad;
  double lr, alpha, eps, weight_decay, momentum;
  bool maximize;
} tt_rmsprop;

typedef struct tt_adagrad {
  void *param, *state_sum;
  const void *grad;
  double step; /* 1 at the first one */
  double lr, lr_decay, weight_decay, eps;
  bool maximize;
} tt_adagrad;

void tt_sgd_step(tt_dtype dtype, const tt_sgd *sgd, int64_t n);
void tt_adam_step(tt_dtype dtype, const tt_adam *adam, int64_t n);
void tt_rmsprop_step(tt_dtype dtype, const tt_rmsprop *rmsprop, int64_t n);
void tt_adagrad_step(tt_dtype dtype, const tt_adagrad *adagrad, int64_t n);

#endif
