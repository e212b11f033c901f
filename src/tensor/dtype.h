/*
 * dtype: the element types, as one list, and PyTorch's rules for mixing them.
 */
#ifndef TT_TENSOR_DTYPE_H
#define TT_TENSOR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(symbol, number on the wire, C type, PyTorch's name, PyTorch's tensor class, .npy descriptor). Numbers are in PROTOCOL.md. */
#define TT_DTYPE_LIST(X)                            \
  X(BOOL, 0, uint8_t, "bool", "BoolTensor", "|b1")  \
  X(U8, 1, uint8_t, "uint8", "ByteTensor", "|u1")   \
  X(I32, 2, int32_t, "int32", "IntTensor", "<i4")   \
  X(I64, 3, int64_t, "int64", "LongTensor", "<i8")  \
  X(F32, 4, float, "float32", "FloatTensor", "<f4") \
  X(F64, 5, double, "float64", "DoubleTensor", "<f8")

typedef enum tt_dtype {
#define TT_DTYPE_ENUM(symbol, number, type, name, tensor_class, npy) TT_DTYPE_##symbol = number,
  TT_DTYPE_LIST(TT_DTYPE_ENUM)
#undef TT_DTYPE_ENUM
      TT_N_DTYPES
} tt_dtype;

/* Categories in promotion order: bool < integral < floating. */
typedef enum tt_dtype_category { TT_CATEGORY_BOOL, TT_CATEGORY_INTEGRAL, TT_CATEGORY_FLOATING } tt_dtype_category;

size_t tt_dtype_bytes(tt_dtype dtype);
const char *tt_dtype_name(tt_dtype dtype);         /* "float32" */
const char *tt_dtype_tensor_class(tt_dtype dtype); /* "FloatTensor" */
tt_dtype_category tt_dtype_category_of(tt_dtype dtype);
bool tt_dtype_is_floating(tt_dtype dtype);
bool tt_dtype_from_name(const char *name, tt_dtype *dtype); /* false when there is no such dtype */

/* torch.promote_types: the smallest dtype both convert to. */
tt_dtype tt_dtype_promote(tt_dtype a, tt_dtype b);

/* torch.can_cast: whether in-place results of dtype `from` may be stored in `to` (float into int: no; int64 into int32: yes). */
bool tt_dtype_can_cast(tt_dtype from, tt_dtype to);

#endif
