/*
 * matmul: (M,K)x(K,N) -> (M,N) over any strided operands, one product or a batch of them.
 *
 * Floating products run the register tiles of kernels/tile.h over both operands. What these cannot read as it lies, or would read too
 * far apart, is copied into panels, so a transposed or sliced operand costs hardly more than a dense one. A product with one row or one
 * column is a sum of dot products. Sums over K are taken 256 at a time, in the element type, and in the same order wherever an element
 * stands: a part of the rows or columns of a product gives the same bits as the whole. Integers wrap.
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
  void *c;                /* rows are dense; one product's block after the other, in row-major order of the batch */
  int64_t c_row, c_block; /* from one of its rows to the next, and from one block */
  int n_batch_dims;       /* 0: one product */
  int64_t batch_sizes[TT_MAX_DIMS];
  int64_t a_batch[TT_MAX_DIMS], b_batch[TT_MAX_DIMS]; /* strides, 0 where that operand is shared */
} tt_matmul;

/* Fills c. Errors: TT_ERR_MEMORY (c may then be partly written). */
tt_status tt_matmul_run(const tt_matmul *product, tt_error *error);

/* The same in memory of the caller's, for products that are made many times: 64-byte aligned, and that many bytes. */
size_t tt_matmul_scratch_bytes(const tt_matmul *product);
void tt_matmul_run_in(const tt_matmul *product, void *scratch);

#endif
