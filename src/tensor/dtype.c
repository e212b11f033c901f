#include "tensor/dtype.h"

#include <string.h>

static const struct {
  size_t n_bytes;
  const char *name;
  const char *tensor_class;
} rows[TT_N_DTYPES] = {
#define DTYPE_ROW(symbol, number, type, name, tensor_class, npy) [number] = {sizeof(type), name, tensor_class},
    TT_DTYPE_LIST(DTYPE_ROW)
#undef DTYPE_ROW
};

size_t tt_dtype_bytes(tt_dtype dtype) { return rows[dtype].n_bytes; }
const char *tt_dtype_name(tt_dtype dtype) { return rows[dtype].name; }
const char *tt_dtype_tensor_class(tt_dtype dtype) { return rows[dtype].tensor_class; }

tt_dtype_category tt_dtype_category_of(tt_dtype dtype) {
  if (dtype == TT_DTYPE_BOOL) return TT_CATEGORY_BOOL;
  return dtype < TT_DTYPE_F32 ? TT_CATEGORY_INTEGRAL : TT_CATEGORY_FLOATING;
}

bool tt_dtype_is_floating(tt_dtype dtype) { return tt_dtype_category_of(dtype) == TT_CATEGORY_FLOATING; }

bool tt_dtype_from_name(const char *name, tt_dtype *dtype) {
  for (int i = 0; i < TT_N_DTYPES; i++) {
    if (strcmp(rows[i].name, name) == 0) {
      *dtype = (tt_dtype)i;
      return true;
    }
  }
  return false;
}

/*
 * The numbers happen to stand in promotion order, and every later dtype takes in the earlier ones (int64 and float32: float32).
 */
tt_dtype tt_dtype_promote(tt_dtype a, tt_dtype b) { return a > b ? a : b; }

bool tt_dtype_can_cast(tt_dtype from, tt_dtype to) { return tt_dtype_category_of(from) <= tt_dtype_category_of(to); }
