#include "tensor/convert.h"

#include <string.h>

#include "base/loop.h"

/* What the list's symbols stand for here; bool has a type of its own so that each pair of dtypes names one function. */
#define TYPE_BOOL uint8_t
#define TYPE_U8 uint8_t
#define TYPE_I32 int32_t
#define TYPE_I64 int64_t
#define TYPE_F32 float
#define TYPE_F64 double

static inline int64_t i64_of_f64(double x) { return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN; }
static inline int32_t i32_of_f64(double x) { return x > -0x1p31 - 1.0 && x < 0x1p31 ? (int32_t)x : INT32_MIN; }
static inline int64_t i64_of_f32(float x) { return x >= -0x1p63f && x < 0x1p63f ? (int64_t)x : INT64_MIN; }
static inline int32_t i32_of_f32(float x) { return x >= -0x1p31f && x < 0x1p31f ? (int32_t)x : INT32_MIN; }

/* ELEMENT_<to>_<from>(x) where the plain C conversion would be undefined or different; <to> from integral is a plain cast. */
#define TO_BOOL(from, x) ((x) != 0)
#define TO_U8(from, x) U8_FROM_##from(x)
#define TO_I32(from, x) I32_FROM_##from(x)
#define TO_I64(from, x) I64_FROM_##from(x)
#define TO_F32(from, x) ((float)(x))
#define TO_F64(from, x) ((double)(x))
#define U8_FROM_BOOL(x) ((uint8_t)(x))
#define U8_FROM_U8(x) (x)
#define U8_FROM_I32(x) ((uint8_t)(x))
#define U8_FROM_I64(x) ((uint8_t)(x))
#define U8_FROM_F32(x) ((uint8_t)i64_of_f32(x))
#define U8_FROM_F64(x) ((uint8_t)i64_of_f64(x))
#define I32_FROM_BOOL(x) ((int32_t)(x))
#define I32_FROM_U8(x) ((int32_t)(x))
#define I32_FROM_I32(x) (x)
#define I32_FROM_I64(x) ((int32_t)(uint32_t)(uint64_t)(x))
#define I32_FROM_F32(x) i32_of_f32(x)
#define I32_FROM_F64(x) i32_of_f64(x)
#define I64_FROM_BOOL(x) ((int64_t)(x))
#define I64_FROM_U8(x) ((int64_t)(x))
#define I64_FROM_I32(x) ((int64_t)(x))
#define I64_FROM_I64(x) (x)
#define I64_FROM_F32(x) i64_of_f32(x)
#define I64_FROM_F64(x) i64_of_f64(x)

/* The contiguous loop stands apart so that the compiler vectorises it; strided rows take the second one. */
#define CONVERTER(speed, is_fast, to_symbol, from_symbol)                                                               \
  static speed void to_##to_symbol##_from_##from_symbol(void *to, int64_t to_step, const void *from, int64_t from_step, \
                                                        int64_t n) {                                                    \
    typedef TYPE_##to_symbol out_type;                                                                                  \
    typedef TYPE_##from_symbol in_type;                                                                                 \
    if (is_fast && to_step == (int64_t)sizeof(out_type) && from_step == (int64_t)sizeof(in_type)) {                     \
      out_type *restrict y = to;                                                                                        \
      const in_type *restrict x = from;                                                                                 \
      for (int64_t i = 0; i < n; i++) y[i] = TO_##to_symbol(from_symbol, x[i]);                                         \
      return;                                                                                                           \
    }                                                                                                                   \
    uint8_t *y = to;                                                                                                    \
    const uint8_t *x = from;                                                                                            \
    for (int64_t i = 0; i < n; i++) {                                                                                   \
      const in_type value = *(const in_type *)(const void *)(x + i * from_step);                                        \
      *(out_type *)(void *)(y + i * to_step) = TO_##to_symbol(from_symbol, value);                                      \
    }                                                                                                                   \
  }
#define SHORT_CONVERTER(to_symbol, from_symbol) CONVERTER(TT_SHORT, !TT_IS_SHORT, to_symbol, from_symbol)

#define CONVERTERS_FROM(from_symbol)  \
  SHORT_CONVERTER(BOOL, from_symbol)  \
  SHORT_CONVERTER(U8, from_symbol)    \
  SHORT_CONVERTER(I32, from_symbol)   \
  SHORT_CONVERTER(I64, from_symbol)   \
  CONVERTER(, true, F32, from_symbol) \
  SHORT_CONVERTER(F64, from_symbol)

#define CONVERTERS_OF(symbol, number, type, name, tensor_class, npy) CONVERTERS_FROM(symbol)
TT_DTYPE_LIST(CONVERTERS_OF)
#undef CONVERTERS_OF

tt_convert_fn *tt_convert(tt_dtype to, tt_dtype from) {
  static tt_convert_fn *const table[TT_N_DTYPES][TT_N_DTYPES] = {
#define CONVERTER_ROW(symbol, number, type, name, tensor_class, npy)                                                         \
  [number] = {                                                                                                               \
      [TT_DTYPE_BOOL] = to_BOOL_from_##symbol, [TT_DTYPE_U8] = to_U8_from_##symbol,   [TT_DTYPE_I32] = to_I32_from_##symbol, \
      [TT_DTYPE_I64] = to_I64_from_##symbol,   [TT_DTYPE_F32] = to_F32_from_##symbol, [TT_DTYPE_F64] = to_F64_from_##symbol},
      TT_DTYPE_LIST(CONVERTER_ROW)
#undef CONVERTER_ROW
  };
  return table[from][to];
}

void tt_convert_f64(void *to, tt_dtype dtype, double value) { tt_convert(dtype, TT_DTYPE_F64)(to, 0, &value, 0, 1); }
void tt_convert_i64(void *to, tt_dtype dtype, int64_t value) { tt_convert(dtype, TT_DTYPE_I64)(to, 0, &value, 0, 1); }
