/*
 * tile: the register-tiled inner loops of products and convolutions, for each variant and floating dtype.
 *
 * A column of tiles is n_rows x n_columns of a product, summed over K in registers and then stored. Its rows begin anywhere,
 * its columns stand in two vectors that lie anywhere. At its end rows are computed from the last one and dropped, so an edge needs no
 * loop of its own; columns beyond n_columns are read as well, so who calls sees to it that they may be. Every
 * element is summed in the order of K whatever the tile it lies in. Nothing is allocated, nothing checked.
 */
#ifndef TT_KERNELS_TILE_H
#define TT_KERNELS_TILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/dtype.h"

/* Strides are in elements, offsets in bytes. */
typedef struct tt_tile {
  ptrdiff_t k;
  ptrdiff_t n_rows;
  const void *a;           /* row r begins at a + r * a_row, or at a + a_at[r] where that is not NULL */
  ptrdiff_t a_row;         /* unused by `packed` */
  const int32_t *a_at;     /* `dense` only */
  ptrdiff_t n_runs, a_run; /* `dense` only: the k elements of a row come again n_runs times, a_run further each */
  const void *b[2];        /* the first elements of both vectors of columns */
  ptrdiff_t b_step;        /* and from there to those of the next k; unused by `indirect` */
  const int32_t *b_at;     /* `indirect` only: the offset of each k's elements */
  void *c[2];              /* where the first row of both vectors goes */
  ptrdiff_t c_row;
  ptrdiff_t n_columns[2]; /* of each vector, at most n_lanes */
  bool is_sum;            /* adds to what is in c; otherwise c is filled, from `start` */
  const void *start;      /* n_rows numbers, one for each row; NULL: zeros */
} tt_tile;

typedef void tt_tile_fn(const tt_tile *tile);

typedef struct tt_tiles {
  int n_rows, n_lanes;  /* the whole tile's rows, and the columns of one of its two vectors */
  tt_tile_fn *packed;   /* n_rows rows lie side by side, element by element, then the next n_rows; b[1] follows b[0] */
  tt_tile_fn *dense;    /* rows are dense; b[1] follows b[0] */
  tt_tile_fn *indirect; /* dense rows, columns found by b_at */
  /* k vectors of n <= width numbers, from `from` with strides step (of k) and across, as k lines of `width`, padded with zeros. */
  void (*pack)(const void *from, ptrdiff_t step, ptrdiff_t across, ptrdiff_t k, ptrdiff_t n, ptrdiff_t width, void *to);
} tt_tiles;

/* For float32 or float64, of the chosen variant. */
const tt_tiles *tt_tiles_of(tt_dtype dtype);

#endif
