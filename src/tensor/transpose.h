/*
 * transpose: a copy whose rows are the source's columns, by tiles of a cache line's width.
 *
 * A walk along rows would take one element from each line of the source's memory, and with sizes that are powers of two push the line out of the
 * cache before the next element of it is asked for.
 */
#ifndef TT_TENSOR_TRANSPOSE_H
#define TT_TENSOR_TRANSPOSE_H

#include <stddef.h>
#include <stdint.h>

/* to[r * to_step_bytes + c * n] = from[r * n + c * from_step_bytes] for n_rows by n_columns elements of n = element_bytes (1, 4 or 8). */
void tt_transpose(size_t element_bytes, void *to, int64_t to_step_bytes, const void *from, int64_t from_step_bytes,
                  int64_t n_rows, int64_t n_columns);

#endif
