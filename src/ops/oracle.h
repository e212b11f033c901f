/*
 * oracle: what the rows of ops.def say for the comparison with PyTorch and for the documentation alone.
 *
 * It is apart from the table because nothing that runs an op needs it: a program that asks for none of it has none of its words.
 */
#ifndef TT_OPS_ORACLE_H
#define TT_OPS_ORACLE_H

#include "ops/op.h"

/* How closely a result must agree with PyTorch's. */
typedef enum tt_tolerance {
  TT_TOL_EXACT,    /* bit for bit (NaN equals NaN) */
  TT_TOL_ROUNDING, /* a few units in the last place: correctly rounded functions, sums of products in another order */
  TT_TOL_REDUCE,   /* grows with the number of elements summed */
  TT_TOL_SOLVE,    /* grows with the condition of the matrix: compared by residual */
  TT_TOL_STATISTIC /* random: shape, dtype, range and moments */
} tt_tolerance;

typedef struct tt_oracle_row {
  const char *torch_name; /* what the oracle calls: "torch.add", "torch.Tensor.add_" */
  const char *domain;     /* how it draws arguments: see the head of ops.def */
  tt_tolerance tolerance;
} tt_oracle_row;

/* Of an op of the table; never NULL. */
const tt_oracle_row *tt_oracle_row_of(const tt_op *op);

/* The whole table with all that its rows say: tt_ops_json with "torch_name", "domain" and "tolerance". */
void tt_oracle_json(tt_buffer *text);

#endif
