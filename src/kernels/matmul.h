/*
 * matmul: (M,K)x(K,N) -> (M,N) over any strided operands, one product or a batch of them.
 *
 * Floating products copy blocks of both operands into panels (so a transposed or sliced operand costs no more than a dense
 * one) and run a small register-tiled kernel over them; a product with one row or one column skips that. Sums over K are
 * taken 256 at a time, in the element type. Integers wrap. Pack buffers are allocated once a call.
 */
#ifndef TT_KERNELS_MATMUL_H
#define TT_KERNELS_MATMUL_H

#include <stdint.h>

#include "base/status.h"
#include "tensor/tensor.h"

typedef struct tt_matmul {
  tt_dtype dtype; /* of all three; not bool */
  int64_t m, n, k;
  const void *a, *b;                        /* element (0, 0) of the first product */
  int64_t a_row, a_column, b_row, b_column; /* strides, in elements */
  void *c;                                  /* dense: one (M,N) block per product, in row-major order of the batch */
  int n_batch_dims;                         /* 0: one product */
  int64_t batch_sizes[TT_MAX_DIMS];
  int64_t a_batch[TT_MAX_DIMS], b_batch[TT_MAX_DIMS]; /* strides, 0 where that operand is shared */
} tt_matmul;

/* Fills c. Errors: TT_ERR_MEMORY (c may then be partly written). */
tt_status tt_matmul_run(const tt_matmul *product, tt_error *error);

/* The same in memory of the caller's, for products that are made many times: 64-byte aligned, and that many bytes. */
size_t tt_matmul_scratch_bytes(const tt_matmul *product);
void tt_matmul_run_in(const tt_matmul *product, void *scratch);

#endif
