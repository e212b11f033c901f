/*
 * inplace: what every in-place row has in common, so that its kernel is the base row's.
 *
 * The result must fit self: its shape equal, its dtype's category not above self's. Elements that self shares with itself
 * (an expanded tensor) cannot be written; an operand that overlaps self without being the same view is read from a copy.
 */
#ifndef TT_OPS_INPLACE_H
#define TT_OPS_INPLACE_H

#include "ops/op.h"

/* Whether a result of meta `result` may be stored in self. Unknown shapes pass. Errors: TT_ERR_SHAPE, TT_ERR_DTYPE. */
tt_status tt_inplace_check(const tt_op *op, const tt_meta *self, const tt_meta *result, tt_error *error);

/*
 * TT_ERR_ARGUMENT when elements of `written` share a place in memory: what a row writes to beside self (tt_param.is_written)
 * is looked at by its kernel.
 */
tt_status tt_inplace_check_apart(const tt_op *op, const char *param, const tt_tensor *written, tt_error *error);

typedef struct tt_inplace_guard {
  tt_tensor *copies[TT_MAX_PARAMS]; /* owned; NULL where the operand itself is read */
} tt_inplace_guard;

/*
 * Replaces the overlapping operands of bound[] by copies that live until tt_inplace_end. Errors: TT_ERR_ARGUMENT,
 * TT_ERR_MEMORY.
 */
tt_status tt_inplace_begin(const tt_op *op, tt_value *bound, tt_inplace_guard *guard, tt_error *error);
void tt_inplace_end(tt_inplace_guard *guard);

#endif
