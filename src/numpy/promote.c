/* promote: numpy.result_type of NumPy 1.24, on the dtypes that are here. */
#include <float.h>
#include <math.h>

#include "numpy/numpy.h"

enum { NOTHING = -1 };

/* As PyTorch's, but float32 does not hold what int32 and int64 do. */
tt_dtype tt_numpy_promote(tt_dtype a, tt_dtype b) {
  const tt_dtype low = a < b ? a : b, high = a < b ? b : a;
  if (high == TT_DTYPE_F32 && (low == TT_DTYPE_I32 || low == TT_DTYPE_I64)) return TT_DTYPE_F64;
  return tt_dtype_promote(a, b);
}

static int join(int a, tt_dtype b) { return a == NOTHING ? (int)b : (int)tt_numpy_promote((tt_dtype)a, b); }

static int category_or(int dtype) { return dtype == NOTHING ? -1 : (int)tt_dtype_category_of((tt_dtype)dtype); }

static bool is_array(const tt_value *value) {
  return value->type == TT_VALUE_OPERAND && value->as.operand->meta.shape.n_dims != 0;
}

/* What a number or a 0-d array is when it stands alone. */
static tt_dtype own_dtype(const tt_value *value) {
  if (value->type == TT_VALUE_OPERAND) return value->as.operand->meta.dtype;
  if (value->type == TT_VALUE_BOOL) return TT_DTYPE_BOOL;
  return value->type == TT_VALUE_INT ? TT_DTYPE_I64 : TT_DTYPE_F64;
}

/* A 0-d array that is here as the number that it holds; none when it is elsewhere. */
static tt_value number_in(const tt_value *value) {
  if (value->type != TT_VALUE_OPERAND) return *value;
  const tt_tensor *tensor = tt_local_tensor(tt_node_tail((tt_node *)(void *)value->as.operand));
  int64_t integer;
  double real;
  if (tensor == NULL) return tt_none();
  if (tt_dtype_is_floating(tt_tensor_dtype(tensor)))
    return tt_tensor_item_f64(tensor, &real, NULL) == TT_OK ? tt_float(real) : tt_none();
  if (tt_tensor_item_i64(tensor, &integer, NULL) != TT_OK) return tt_none();
  return tt_tensor_dtype(tensor) == TT_DTYPE_BOOL ? tt_bool(integer != 0) : tt_int(integer);
}

/* A number beside arrays of its category or a higher one takes their dtype unless it does not fit: NumPy 1.24 looks at the value. */
static tt_dtype widened_for(tt_dtype dtype, const tt_value *given) {
  const tt_value value = number_in(given);
  if (value.type == TT_VALUE_FLOAT && dtype == TT_DTYPE_F32) {
    return isfinite(value.as.real) && fabs(value.as.real) > FLT_MAX ? TT_DTYPE_F64 : dtype;
  }
  /* What is elsewhere may be any number: integers stay what they are, so that none is cut short. */
  if (value.type == TT_VALUE_NONE && !tt_dtype_is_floating(dtype)) return tt_numpy_promote(dtype, own_dtype(given));
  if (value.type != TT_VALUE_INT) return dtype;
  const int64_t integer = value.as.integer;
  if (dtype == TT_DTYPE_F32) return integer < INT16_MIN || integer > UINT16_MAX ? TT_DTYPE_F64 : dtype;
  if (dtype == TT_DTYPE_U8 && (integer < 0 || integer > UINT8_MAX)) {
    dtype = integer > UINT16_MAX ? TT_DTYPE_I64 : TT_DTYPE_I32; /* uint32, or int16, uint16 and int32 */
  }
  if (dtype == TT_DTYPE_I32 && (integer < INT32_MIN || integer > INT32_MAX)) dtype = TT_DTYPE_I64;
  return dtype;
}

tt_dtype tt_numpy_result_type(const tt_value *values, size_t n) {
  int arrays = NOTHING, others = NOTHING;
  for (size_t i = 0; i < n; i++) {
    if (values[i].type == TT_VALUE_NONE) continue;
    if (is_array(&values[i])) {
      arrays = join(arrays, values[i].as.operand->meta.dtype);
    } else {
      others = join(others, own_dtype(&values[i]));
    }
  }
  if (arrays == NOTHING) return (tt_dtype)others;
  if (others == NOTHING) return (tt_dtype)arrays;
  if (category_or(others) > category_or(arrays)) return tt_numpy_promote((tt_dtype)arrays, (tt_dtype)others);
  tt_dtype dtype = (tt_dtype)arrays;
  for (size_t i = 0; i < n; i++) {
    if (values[i].type != TT_VALUE_NONE && !is_array(&values[i])) dtype = widened_for(dtype, &values[i]);
  }
  return dtype;
}
