#include "ops/promote.h"

#include <inttypes.h>
#include <math.h>

#include "ops/infer_common.h"
#include "tensor/convert.h"

enum { NOTHING = -1 };

tt_dtype tt_scalar_dtype(const tt_value *scalar) {
  if (scalar->type == TT_VALUE_BOOL) return TT_DTYPE_BOOL;
  return scalar->type == TT_VALUE_INT ? TT_DTYPE_I64 : TT_DTYPE_F32;
}

static int promote(int a, tt_dtype b) { return a == NOTHING ? (int)b : (int)tt_dtype_promote((tt_dtype)a, b); }

/* A later group joins only when its category is above the earlier one's. */
static int combine(int first, int later) {
  if (first == NOTHING) return later;
  if (later == NOTHING) return first;
  bool is_above = tt_dtype_category_of((tt_dtype)later) > tt_dtype_category_of((tt_dtype)first);
  return is_above ? later : first;
}

tt_dtype tt_promote_args(const tt_value *args, size_t n) {
  int with_dims = NOTHING, without_dims = NOTHING, scalars = NOTHING;
  for (size_t i = 0; i < n; i++) {
    if (args[i].type == TT_VALUE_NONE) continue;
    if (args[i].type != TT_VALUE_OPERAND) {
      scalars = promote(scalars, tt_scalar_dtype(&args[i]));
    } else if (tt_arg_meta(&args[i])->shape.n_dims == 0) {
      without_dims = promote(without_dims, tt_arg_meta(&args[i])->dtype);
    } else {
      with_dims = promote(with_dims, tt_arg_meta(&args[i])->dtype);
    }
  }
  return (tt_dtype)combine(with_dims, combine(without_dims, scalars));
}

tt_dtype tt_promote_args_to_float(const tt_value *args, size_t n) {
  tt_dtype dtype = tt_promote_args(args, n);
  return tt_dtype_is_floating(dtype) ? dtype : TT_DTYPE_F32;
}

tt_status tt_broadcast_args(const tt_op *op, const tt_value *args, size_t n, tt_shape *shape, tt_error *error) {
  const tt_shape *both = NULL; /* one operand's, or &made */
  tt_shape made;
  for (size_t i = 0; i < n; i++) {
    if (args[i].type != TT_VALUE_OPERAND) continue;
    const tt_shape *next = &tt_arg_meta(&args[i])->shape;
    if (!tt_shape_is_known(next)) {
      tt_shape_copy(shape, next);
      return TT_OK;
    }
    if (both == NULL) {
      both = next;
    } else if (!tt_shape_equal(both, next)) {
      TT_TRY(tt_shape_broadcast(op->name, both, next, &made, error));
      both = &made;
    }
  }
  if (both == NULL)
    shape->n_dims = 0;
  else
    tt_shape_copy(shape, both);
  return TT_OK;
}

void tt_scalar_store(const tt_value *scalar, tt_dtype dtype, void *to) {
  if (scalar->type == TT_VALUE_FLOAT) {
    tt_convert_f64(to, dtype, scalar->as.real);
  } else {
    tt_convert_i64(to, dtype, scalar->type == TT_VALUE_BOOL ? scalar->as.boolean : scalar->as.integer);
  }
}

/* c10's rule: bool takes everything; uint8 takes negative numbers whose magnitude fits; floats take infinities and NaN. */
static bool holds(tt_dtype dtype, const tt_value *scalar) {
  static const struct {
    double least, most;
  } floats[TT_N_DTYPES] = {
      [TT_DTYPE_U8] = {-255, 255},
      [TT_DTYPE_I32] = {INT32_MIN, INT32_MAX},
      [TT_DTYPE_I64] = {-0x1p63, 0x1p63},
      [TT_DTYPE_F32] = {-0x1.fffffep127, 0x1.fffffep127},
  };
  if (dtype == TT_DTYPE_BOOL || dtype == TT_DTYPE_F64 || scalar->type == TT_VALUE_BOOL) return true;
  if (scalar->type == TT_VALUE_FLOAT) {
    double x = scalar->as.real;
    /* A float is never stored as a negative uint8. */
    if (dtype == TT_DTYPE_U8 && x < 0) return false;
    if (tt_dtype_is_floating(dtype) && !isfinite(x)) return true;
    return x >= floats[dtype].least && x <= floats[dtype].most;
  }
  int64_t x = scalar->as.integer;
  if (dtype == TT_DTYPE_U8) return x >= -255 && x <= 255;
  if (dtype == TT_DTYPE_I32) return x >= INT32_MIN && x <= INT32_MAX;
  return true;
}

tt_status tt_scalar_store_checked(const tt_op *op, const tt_value *scalar, tt_dtype dtype, void *to, tt_error *error) {
  if (!holds(dtype, scalar)) {
    if (scalar->type == TT_VALUE_INT) {
      return tt_fail(error, TT_ERR_ARGUMENT, "%s: value %" PRId64 " cannot be converted to type %s without overflow", op->name,
                     scalar->as.integer, tt_dtype_name(dtype));
    }
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: value %g cannot be converted to type %s without overflow", op->name,
                   scalar->as.real, tt_dtype_name(dtype));
  }
  tt_scalar_store(scalar, dtype, to);
  return TT_OK;
}

const tt_tensor *tt_scalar_room_init(tt_scalar_room *room, tt_dtype dtype) {
  room->storage = (tt_storage){.refs = 1, .n_bytes = sizeof room->bytes, .bytes = room->bytes};
  room->tensor = (tt_tensor){.operand.meta = {.dtype = dtype, .shape = {.n_dims = 0}}, .refs = 1, .storage = &room->storage};
  return &room->tensor;
}

const tt_tensor *tt_arg_as_tensor(const tt_value *arg, tt_dtype dtype, tt_scalar_room *room) {
  if (arg->type == TT_VALUE_OPERAND) return tt_arg_tensor(arg);
  tt_scalar_store(arg, dtype, room->bytes);
  return tt_scalar_room_init(room, dtype);
}
