/*
 * stored: elements as files store them, which have more types than a tensor here: .npy and .safetensors share this list.
 *
 * A type without a dtype of its own is widened to the smallest one that holds every value of it: int8, int16 and uint16 to int32, uint32 to
 * int64, float16 and bfloat16 to float32. Nothing is narrowed, so uint64, which no dtype here holds, is not in the list, and neither are
 * complex numbers.
 */
#ifndef TT_WIRE_STORED_H
#define TT_WIRE_STORED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "tensor/tensor.h"

typedef struct tt_stored {
  char npy_kind;        /* of a .npy descriptor, "f" in "<f8"; 0: NumPy has no such type */
  uint8_t n_bytes;      /* of one element */
  tt_dtype dtype;       /* what it is read as */
  bool is_exact;        /* the dtype is the type itself: written as this one */
  const char *name;     /* of safetensors, "BF16" */
  const char *npy_name; /* of .npy, "<f8"; NULL where npy_kind is 0 */
  /* Converts n elements that need not be aligned; is_swapped: their bytes stand in big-endian order. */
  void (*load)(void *to, const uint8_t *from, int64_t n, bool is_swapped);
} tt_stored;

const tt_stored *tt_stored_by_npy(char kind, size_t n_bytes); /* NULL: there is none */
const tt_stored *tt_stored_by_name(const char *name, size_t n_bytes);
const tt_stored *tt_stored_of(tt_dtype dtype); /* as it is written; never NULL */

/*
 * A fresh tensor (the caller's) of elements at `bytes`, which holds as many as the shape needs. is_column_major: the first dimension runs fastest
 * (Fortran's order), and the tensor is then a view with strides in that order, not a copy. NULL: TT_ERR_MEMORY, TT_ERR_SHAPE.
 */
tt_tensor *tt_stored_tensor(const tt_stored *stored, const tt_shape *shape, const uint8_t *bytes, bool is_swapped,
                            bool is_column_major, tt_error *error);

#endif
