/*
 * scan: kernels along one dimension that answer as many elements as they read: running sums and products, softmax.
 *
 * Input and output are dense and seen as (outer, n, inner), the scanned dimension in the middle. A line with its neighbours is
 * handled together when inner > 1, so that memory is read in order. Floating totals are kept in double.
 */
#ifndef TT_KERNELS_SCAN_H
#define TT_KERNELS_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor/tensor.h"

typedef struct tt_scan {
  tt_dtype dtype; /* of both */
  int64_t outer, n, inner;
  const void *input;
  void *output;
} tt_scan;

/* Not for bool: sums and products of bools are int64. Integers wrap. */
void tt_scan_sum(const tt_scan *scan);
void tt_scan_prod(const tt_scan *scan);

/* exp(x) / sum(exp(x)), or its logarithm, without overflow; floating only. */
void tt_scan_softmax(const tt_scan *scan, bool is_log);

#endif
