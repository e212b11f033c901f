/*
 * convert: rows of elements from one dtype to another, with PyTorch's results.
 *
 * To bool: anything but zero is true (NaN too). To uint8 and int32 from wider integers: the low bits. Floating to integral:
 * towards zero; NaN and what does not fit give the smallest int64 or int32, as the processors PyTorch runs on do; uint8 takes
 * the low bits of the int64. The same on every build.
 */
#ifndef TT_TENSOR_CONVERT_H
#define TT_TENSOR_CONVERT_H

#include <stdint.h>

#include "tensor/dtype.h"

/* Converts n elements; steps are in bytes, any (0 reads or writes the same element again). Rows do not overlap. */
typedef void tt_convert_fn(void *to, int64_t to_step_bytes, const void *from, int64_t from_step_bytes, int64_t n);

/* Never NULL; the same dtype twice is a plain copy. */
tt_convert_fn *tt_convert(tt_dtype to, tt_dtype from);

/* One number as an element of `dtype` at `to`. */
void tt_convert_f64(void *to, tt_dtype dtype, double value);
void tt_convert_i64(void *to, tt_dtype dtype, int64_t value);

#endif
