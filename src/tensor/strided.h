/*
 * strided: walks up to TT_MAX_STRIDED operands in step over one shape, by whole inner rows.
 *
 * Operand 0 leads: dimensions are put in the order of its strides, so that what is written is written in memory order. Then
 * neighbours that every operand crosses without a gap become one dimension; a contiguous walk is one row. The loop:
 *
 *     tt_strided walk;
 *     tt_strided_begin(&walk, &shape);
 *     tt_strided_add(&walk, ...);            (once per operand)
 *     for (bool more = tt_strided_start(&walk); more; more = tt_strided_next(&walk)) {
 *       ... walk.n_inner elements at walk.at[k], walk.step_bytes[k] apart ...
 *     }
 */
#ifndef TT_TENSOR_STRIDED_H
#define TT_TENSOR_STRIDED_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor/shape.h"
#include "tensor/tensor.h"

enum { TT_MAX_STRIDED = 4 };

typedef struct tt_strided {
  uint8_t *at[TT_MAX_STRIDED];        /* borrowed; the current row's first element */
  int64_t step_bytes[TT_MAX_STRIDED]; /* along the inner row; 0 for a broadcast operand */
  int64_t n_inner;                    /* elements in each row */
  int n_operands;
  int n_dims;
  bool is_empty;
  int64_t dims[TT_MAX_DIMS]; /* dims[0] is the outermost, the inner row left out after start */
  int64_t position[TT_MAX_DIMS];
  int64_t strides_bytes[TT_MAX_STRIDED][TT_MAX_DIMS];
} tt_strided;

void tt_strided_begin(tt_strided *walk, const tt_shape *shape);

/* Adds `tensor`, whose shape broadcasts to the walk's. Elements are only written through operands the caller may write. */
void tt_strided_add(tt_strided *walk, const tt_tensor *tensor);

/* The first row; false when there are no elements. */
bool tt_strided_start(tt_strided *walk);

/* The next row; false at the end. */
bool tt_strided_next(tt_strided *walk);

#endif
