/*
 * nll: the negative log-likelihood of classes, float32 and float64: log-probabilities (n_outer, n_classes, n_inner) and a class for each of
 * (n_outer, n_inner), all dense. Sums are taken in double.
 */
#ifndef TT_KERNELS_NLL_H
#define TT_KERNELS_NLL_H

#include "tensor/tensor.h"

typedef struct tt_nll {
  tt_dtype dtype; /* of logs, weight and losses */
  int64_t n_outer, n_classes, n_inner;
  const void *logs;
  const int64_t *target;
  const void *weight; /* of each class; NULL: 1 */
  int64_t ignore_index;
  void *losses; /* of each target, 0 where it is ignored; NULL: only the sums are wanted */
} tt_nll;

typedef struct tt_nll_sums {
  double losses, weights; /* of the targets that are not ignored */
  int64_t wrong;          /* the class that is none, where tt_nll_run answers false */
} tt_nll_sums;

/* False when a target is neither a class nor ignored. */
bool tt_nll_run(const tt_nll *what, tt_nll_sums *sums);

#endif
