/*
 * tile_body: the loops of kernels/tile.h for one dtype and one variant; included by tile_f32.c and tile_f64.c alone, which say for which.
 *
 * ELEMENT, VECTOR, MULTIPLY_ADD and TILES (what the table is called) are theirs to define.
 */
#ifndef TT_KERNELS_TILE_BODY_H
#define TT_KERNELS_TILE_BODY_H

#include <string.h>

#include "kernels/simd.h"
#include "kernels/tile.h"

enum {
  N_LANES = TT_VECTOR_BYTES / sizeof(ELEMENT),
  /*
   * Sums fill half of the 16 or 32 registers: fewer would wait for one another, more would be spilled by some compilers. Where WebAssembly
   * has a fused multiply-add no register goes to products, and 12 sums stay in registers.
   */
  N_ROWS = TT_VECTOR_BYTES == 64                            ? 8
           : TT_VECTOR_BYTES == 16 && TT_FUSES_MULTIPLY_ADD ? 6
                                                            : 4,
  N_LOW_ROWS = 4, /* of a tile at the edge, where they are enough */
};

/* The number of vectors of `pack`'s that are turned at once, and of elements of each. */
enum { TURN = 4 };

typedef enum tile_kind { PACKED, DENSE, INDIRECT, INDIRECT_PAIR } tile_kind; /* PAIR: the second vector follows the first */

static const ELEMENT zeros[N_ROWS];

/* Writes the sums of a tile of which not all is wanted. */
static __attribute__((noinline)) void write_part(const tt_tile *t, ELEMENT *first, ELEMENT *second, ptrdiff_t n_rows,
                                                 ELEMENT sums[][2][N_LANES]) {
  for (ptrdiff_t r = 0; r < n_rows; r++) {
    for (int v = 0; v < 2; v++) {
      ELEMENT *to = (v == 0 ? first : second) + r * t->c_row;
      VECTOR sum = *(const VECTOR *)sums[r][v];
      ptrdiff_t n = t->n_columns[v];
      if (n < N_LANES) {
        for (ptrdiff_t i = 0; i < n; i++) to[i] = t->is_sum ? to[i] + sum[i] : sum[i];
        continue;
      }
      if (t->is_sum) sum += *(const VECTOR *)to;
      *(VECTOR *)to = sum;
    }
  }
}

#define BYTES_ON(from, n_bytes) ((const ELEMENT *)(const void *)((const char *)(from) + (n_bytes)))

/* One k: the numbers of A that lie `q` steps on, times two vectors of B. */
#define STEP(q, first_at, second_at)                                                   \
  do {                                                                                 \
    VECTOR first = *(const VECTOR *)(first_at), second = *(const VECTOR *)(second_at); \
    TT_UNROLL for (int r = 0; r < height; r++) {                                       \
      VECTOR factor = (kind == PACKED ? a[0][(q)*N_ROWS + r] : a[r][q]) - (VECTOR){0}; \
      sums[r][0] = MULTIPLY_ADD(sums[r][0], factor, first);                            \
      sums[r][1] = MULTIPLY_ADD(sums[r][1], factor, second);                           \
    }                                                                                  \
  } while (0)

/* One tile of `height` rows, of which n_rows are wanted, from `row`, `start` (a number for each) and, unless it is NULL, a_at on. */
static inline __attribute__((always_inline)) void run_tile(const tt_tile *t, const tile_kind kind, const int height,
                                                           const ELEMENT *row, const ELEMENT *start, ELEMENT *first_c,
                                                           ELEMENT *second_c, ptrdiff_t n_rows, const int32_t *a_at) {
  VECTOR sums[N_ROWS][2];
  const ELEMENT *a[N_ROWS];
  ptrdiff_t a_row = t->a_row;
  a[0] = row;
  TT_UNROLL for (int r = 1; r < height; r++) a[r] = kind != PACKED && r < n_rows ? a[r - 1] + a_row : a[r - 1];
  if (kind == DENSE && a_at != NULL) {
    TT_UNROLL for (int r = 0; r < height; r++) a[r] = BYTES_ON(row, a_at[r < n_rows ? r : n_rows - 1]);
  }
  TT_UNROLL for (int r = 0; r < height; r++) sums[r][0] = sums[r][1] = start[r < n_rows ? r : 0] - (VECTOR){0};
  const ELEMENT *b = t->b[0], *second_b = t->b[1];
  const int32_t *b_at = t->b_at;
  ptrdiff_t k = t->k, b_step = t->b_step;
  for (ptrdiff_t run = kind == DENSE ? t->n_runs : 1; run > 0; run--) {
    ptrdiff_t p = k;
    for (; p >= TURN; p -= TURN) {
      TT_UNROLL for (int q = 0; q < TURN; q++) {
        if (kind == INDIRECT) {
          STEP(q, BYTES_ON(b, b_at[q]), BYTES_ON(second_b, b_at[q]));
        } else if (kind == INDIRECT_PAIR) {
          STEP(q, BYTES_ON(b, b_at[q]), BYTES_ON(b, b_at[q]) + N_LANES);
        } else {
          STEP(q, b, b + N_LANES);
          b += b_step;
        }
      }
      TT_UNROLL for (int r = 0; r < height; r++) a[r] += kind == PACKED ? TURN * N_ROWS : TURN;
      b_at += TURN;
    }
    for (; p > 0; p--) {
      if (kind == INDIRECT) {
        STEP(0, BYTES_ON(b, *b_at), BYTES_ON(second_b, *b_at));
        b_at++;
      } else if (kind == INDIRECT_PAIR) {
        STEP(0, BYTES_ON(b, *b_at), BYTES_ON(b, *b_at) + N_LANES);
        b_at++;
      } else {
        STEP(0, b, b + N_LANES);
        b += b_step;
      }
      TT_UNROLL for (int r = 0; r < height; r++) a[r] += kind == PACKED ? N_ROWS : 1;
    }
    TT_UNROLL for (int r = 0; r < height; r++) a[r] += t->a_run - k;
  }
  ptrdiff_t c_row = t->c_row;
  if (n_rows < height || t->n_columns[0] < N_LANES || t->n_columns[1] < N_LANES) {
    ELEMENT kept[N_ROWS][2][N_LANES]; /* and not `sums`, which would be in memory from the beginning on */
    TT_UNROLL for (int r = 0; r < height; r++) {
      *(VECTOR *)kept[r][0] = sums[r][0];
      *(VECTOR *)kept[r][1] = sums[r][1];
    }
    write_part(t, first_c, second_c, n_rows, kept);
  } else if (t->is_sum) {
    TT_UNROLL for (int r = 0; r < height; r++, first_c += c_row, second_c += c_row) {
      *(VECTOR *)first_c += sums[r][0];
      *(VECTOR *)second_c += sums[r][1];
    }
  } else {
    TT_UNROLL for (int r = 0; r < height; r++, first_c += c_row, second_c += c_row) {
      *(VECTOR *)first_c = sums[r][0];
      *(VECTOR *)second_c = sums[r][1];
    }
  }
}

/* Rows that are left go by low tiles if that wastes fewer. */
static inline bool goes_low(tile_kind kind, ptrdiff_t n_rows) {
  if (n_rows <= N_LOW_ROWS) return N_ROWS > N_LOW_ROWS;
  return kind != PACKED && N_ROWS < 2 * N_LOW_ROWS && n_rows > N_ROWS && n_rows <= 2 * N_LOW_ROWS;
}

/* A tile is a function of its own, whose loop then has the registers for itself, and what differs from tile to tile comes in registers. */
#define RUN_TILE(name, kind, height)                                                                                       \
  static __attribute__((noinline)) void name(const tt_tile *t, const ELEMENT *row, const ELEMENT *start, ELEMENT *first_c, \
                                             ELEMENT *second_c, ptrdiff_t n_rows, const int32_t *a_at) {                   \
    run_tile(t, kind, height, row, start, first_c, second_c, n_rows, a_at);                                                \
  }
#define RUN(name, kind)                                                                   \
  RUN_TILE(name##_tall, kind, N_ROWS)                                                     \
  RUN_TILE(name##_low, kind, N_LOW_ROWS)                                                  \
  static void name(const tt_tile *t) {                                                    \
    const ELEMENT *a = t->a, *start = t->start == NULL ? zeros : t->start;                \
    const int32_t *a_at = t->a_at;                                                        \
    ELEMENT *first = t->c[0], *second = t->c[1];                                          \
    ptrdiff_t a_step = kind == PACKED ? t->k : a_at != NULL ? 0 : t->a_row;               \
    for (ptrdiff_t left = t->n_rows; left > 0;) {                                         \
      bool is_low = goes_low(kind, left);                                                 \
      ptrdiff_t height = is_low ? N_LOW_ROWS : N_ROWS, n = left < height ? left : height; \
      (is_low ? name##_low : name##_tall)(t, a, start, first, second, n, a_at);           \
      a += height * a_step;                                                               \
      if (a_at != NULL) a_at += height;                                                   \
      if (t->start != NULL) start += height;                                              \
      first += height * t->c_row;                                                         \
      second += height * t->c_row;                                                        \
      left -= n;                                                                          \
    }                                                                                     \
  }
RUN(run_packed, PACKED)
RUN(run_dense, DENSE)
RUN(run_indirect_apart, INDIRECT)
RUN(run_indirect_pair, INDIRECT_PAIR)

static void run_indirect(const tt_tile *t) {
  (t->b[1] == (const ELEMENT *)t->b[0] + N_LANES ? run_indirect_pair : run_indirect_apart)(t);
}

/* Four vectors of four elements that lie `across` apart become four lines `width` apart. */
static inline void turn(const ELEMENT *from, ptrdiff_t across, ELEMENT *to, ptrdiff_t width) {
  typedef ELEMENT quad __attribute__((vector_size(TURN * sizeof(ELEMENT)), aligned(sizeof(ELEMENT)), may_alias));
  quad x[TURN];
  for (int i = 0; i < TURN; i++) x[i] = *(const quad *)(from + i * across);
  quad low = __builtin_shufflevector(x[0], x[1], 0, 4, 1, 5), high = __builtin_shufflevector(x[0], x[1], 2, 6, 3, 7);
  quad next_low = __builtin_shufflevector(x[2], x[3], 0, 4, 1, 5), next_high = __builtin_shufflevector(x[2], x[3], 2, 6, 3, 7);
  *(quad *)to = __builtin_shufflevector(low, next_low, 0, 1, 4, 5);
  *(quad *)(to + width) = __builtin_shufflevector(low, next_low, 2, 3, 6, 7);
  *(quad *)(to + 2 * width) = __builtin_shufflevector(high, next_high, 0, 1, 4, 5);
  *(quad *)(to + 3 * width) = __builtin_shufflevector(high, next_high, 2, 3, 6, 7);
}

static inline void pack(const void *from, ptrdiff_t step, ptrdiff_t across, ptrdiff_t k, ptrdiff_t n, ptrdiff_t width,
                        void *to) {
  const ELEMENT *source = from;
  ELEMENT *line = to;
  ptrdiff_t p = 0;
  if (n < width) memset(to, 0, (size_t)(k * width) * sizeof(ELEMENT));
  if (across == 1) {
    for (; p < k; p++, line += width, source += step) {
      if (n == 2 * N_LANES) {
        ((VECTOR *)line)[0] = ((const VECTOR *)source)[0];
        ((VECTOR *)line)[1] = ((const VECTOR *)source)[1];
      } else {
        for (ptrdiff_t i = 0; i < n; i++) line[i] = source[i];
      }
    }
  } else if (step == 1) {
    for (; p + TURN <= k; p += TURN, line += TURN * width, source += TURN) {
      ptrdiff_t i = 0;
      for (; i + TURN <= n; i += TURN) turn(source + i * across, across, line + i, width);
      for (; i < n; i++) {
        for (int q = 0; q < TURN; q++) line[q * width + i] = source[i * across + q];
      }
    }
  }
  for (; p < k; p++, line += width, source += step) {
    for (ptrdiff_t i = 0; i < n; i++) line[i] = source[i * across];
  }
}

extern const tt_tiles TILES;
const tt_tiles TILES = {
    .n_rows = N_ROWS, .n_lanes = N_LANES, .packed = run_packed, .dense = run_dense, .indirect = run_indirect, .pack = pack};

#endif
