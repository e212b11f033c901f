/*
 * promote: PyTorch's rules for the dtype of a result, and Python scalars as the operands they stand for.
 *
 * Tensors with dimensions come first, 0-d tensors next, Python scalars last: one of a later group only counts when its category
 * (bool < integral < floating) is above that of all groups before it. A Python float counts as float32, an int as int64.
 */
#ifndef TT_OPS_PROMOTE_H
#define TT_OPS_PROMOTE_H

#include "ops/op.h"

/* torch.result_type of n consecutive arguments, each an operand, a scalar or none; not all are none. */
tt_dtype tt_promote_args(const tt_value *args, size_t n);

/* The same where integral and bool results become float32: true division, exp and the like. */
tt_dtype tt_promote_args_to_float(const tt_value *args, size_t n);

/*
 * The shape that n consecutive arguments broadcast to; unknown when one of them is. Scalars and none count as 0-d. Errors:
 * TT_ERR_SHAPE.
 */
tt_status tt_broadcast_args(const tt_op *op, const tt_value *args, size_t n, tt_shape *shape, tt_error *error);

/* A scalar argument's dtype: bool, int64 or float32. */
tt_dtype tt_scalar_dtype(const tt_value *scalar);

/* Stores a scalar as an element of `dtype`, as a cast does: integers wrap, floats are rounded or cut. */
void tt_scalar_store(const tt_value *scalar, tt_dtype dtype, void *to);

/* The same where PyTorch refuses numbers that the dtype cannot hold (fill_, full, clamp, alpha). Errors: TT_ERR_ARGUMENT. */
tt_status tt_scalar_store_checked(const tt_op *op, const tt_value *scalar, tt_dtype dtype, void *to, tt_error *error);

/* Room for a 0-d tensor that lives as long as the call. */
typedef struct tt_scalar_room {
  tt_tensor tensor;
  tt_storage storage;
  _Alignas(8) uint8_t bytes[8];
} tt_scalar_room;

/* An operand's tensor itself; a scalar as a 0-d tensor of `dtype` in `room`. */
const tt_tensor *tt_arg_as_tensor(const tt_value *arg, tt_dtype dtype, tt_scalar_room *room);

/* A 0-d tensor of `dtype` in `room`, its element to be stored at room->bytes. */
const tt_tensor *tt_scalar_room_init(tt_scalar_room *room, tt_dtype dtype);

#endif
