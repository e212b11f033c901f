/*
 * runs: lines of elements looked through: equal neighbours of sorted lines, running extremes, counts.
 *
 * Equal is as == is: 0.0 and -0.0 are, a NaN equals nothing. Lines are seen as (outer, n, inner) of dense data, the line in the middle.
 */
#ifndef TT_KERNELS_RUNS_H
#define TT_KERNELS_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor/dtype.h"

typedef struct tt_lines {
  tt_dtype dtype;
  int64_t outer, n, inner;
  const void *data;
} tt_lines;

/* How many runs of equal elements a dense line of n has; where each begins, when `starts` is not NULL. */
int64_t tt_runs_find(tt_dtype dtype, const void *sorted, int64_t n, int64_t *starts);

/* Of every sorted line the place in it of the last element of its longest run (the first of several as long); places has outer * inner elements. */
void tt_runs_longest(const tt_lines *sorted, int64_t *places);

/* The greatest (or least) element so far and its place: the last of equal ones, NaN above all numbers. Outputs are as dense as the data. */
void tt_runs_extremes(const tt_lines *lines, bool largest, void *values, int64_t *places);

#endif
