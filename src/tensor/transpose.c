#include "tensor/transpose.h"

#include <string.h>

/* Four rows of four to four columns, in registers. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HAS_SHUFFLES
#endif
#endif

#if defined(HAS_SHUFFLES)
typedef uint32_t four __attribute__((vector_size(16)));

static inline four load_four(const uint8_t *from) {
  four v;
  memcpy(&v, from, sizeof v);
  return v;
}

static inline void store_four(uint8_t *to, four v) { memcpy(to, &v, sizeof v); }

static inline void turn_four_32(uint8_t *to, int64_t to_step, const uint8_t *from, int64_t from_step) {
  four a = load_four(from), b = load_four(from + from_step);
  four c = load_four(from + 2 * from_step), d = load_four(from + 3 * from_step);
  four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  store_four(to, __builtin_shufflevector(ab, cd, 0, 1, 4, 5));
  store_four(to + to_step, __builtin_shufflevector(ab, cd, 2, 3, 6, 7));
  ab = __builtin_shufflevector(a, b, 2, 6, 3, 7), cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store_four(to + 2 * to_step, __builtin_shufflevector(ab, cd, 0, 1, 4, 5));
  store_four(to + 3 * to_step, __builtin_shufflevector(ab, cd, 2, 3, 6, 7));
}
#endif

/* One element after another; n rows of n columns at most a tile. */
#define DEFINE_TURN(bits)                                                                                       \
  static void turn_##bits(uint8_t *to, int64_t to_step, const uint8_t *from, int64_t from_step, int64_t height, \
                          int64_t width) {                                                                      \
    for (int64_t r = 0; r < height; r++) {                                                                      \
      uint##bits##_t *y = (uint##bits##_t *)(void *)(to + r * to_step);                                         \
      const uint8_t *x = from + r * (int64_t)sizeof *y;                                                         \
      for (int64_t c = 0; c < width; c++) memcpy(&y[c], x + c * from_step, sizeof *y);                          \
    }                                                                                                           \
  }
DEFINE_TURN(8)
DEFINE_TURN(32)
DEFINE_TURN(64)

static void turn_fours_32(uint8_t *to, int64_t to_step, const uint8_t *from, int64_t from_step, int64_t height, int64_t width) {
#if defined(HAS_SHUFFLES)
  if (height % 4 == 0 && width % 4 == 0) {
    for (int64_t r = 0; r < height; r += 4) {
      for (int64_t c = 0; c < width; c += 4)
        turn_four_32(to + r * to_step + c * 4, to_step, from + r * 4 + c * from_step, from_step);
    }
    return;
  }
#endif
  turn_32(to, to_step, from, from_step, height, width);
}

void tt_transpose(size_t element_bytes, void *to, int64_t to_step_bytes, const void *from, int64_t from_step_bytes,
                  int64_t n_rows, int64_t n_columns) {
  enum { LINE_BYTES = 64 };
  const int64_t n = (int64_t)element_bytes, tile = LINE_BYTES / n;
  for (int64_t row = 0; row < n_rows; row += tile) {
    int64_t height = n_rows - row < tile ? n_rows - row : tile;
    for (int64_t column = 0; column < n_columns; column += tile) {
      int64_t width = n_columns - column < tile ? n_columns - column : tile;
      (n == 1   ? turn_8
       : n == 4 ? turn_fours_32
                : turn_64)((uint8_t *)to + row * to_step_bytes + column * n, to_step_bytes,
                           (const uint8_t *)from + row * n + column * from_step_bytes, from_step_bytes, height, width);
    }
  }
}
