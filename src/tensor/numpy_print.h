/*
 * numpy_print: arrays as NumPy writes them, with its default print options: 8 digits, 75 columns, 1,000 elements and 3 at each edge before it
 * summarises. Source: numpy/core/arrayprint.py of NumPy 1.24.
 */
#ifndef TT_TENSOR_NUMPY_PRINT_H
#define TT_TENSOR_NUMPY_PRINT_H

#include <stdbool.h>

#include "base/buffer.h"
#include "tensor/tensor.h"

/* Appends what str(array) gives, "[1.5 2. ]", or repr(array), "array([1.5, 2. ])". */
void tt_tensor_print_numpy(const tt_tensor *tensor, bool is_repr, tt_buffer *text);

#endif
