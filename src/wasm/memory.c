/*
 * memcpy, memmove and memset for WebAssembly. Those of a libc that is linked for size go byte by byte; those of one linked for speed call into JavaScript from
 * 512 bytes on. The instructions for blocks of memory are fast, but an engine takes some 20 ns to begin with one, and most of what is copied here is small.
 *
 * Compiled with -fno-builtin, so that no loop becomes a call of what it stands in, and with bulk memory, so that __builtin_memcpy is an instruction.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

enum { VECTOR_BYTES = 16, SMALL_BYTES = 256 };

/* Up to VECTOR_BYTES: all of it is read before anything is written. */
static inline void move_few(uint8_t *to, const uint8_t *from, size_t n) {
  if (n == VECTOR_BYTES) {
    wasm_v128_store(to, wasm_v128_load(from));
  } else if (n >= 8) {
    v128_t first = wasm_v128_load64_zero(from), last = wasm_v128_load64_zero(from + n - 8);
    wasm_v128_store64_lane(to, first, 0);
    wasm_v128_store64_lane(to + n - 8, last, 0);
  } else if (n >= 4) {
    v128_t first = wasm_v128_load32_zero(from), last = wasm_v128_load32_zero(from + n - 4);
    wasm_v128_store32_lane(to, first, 0);
    wasm_v128_store32_lane(to + n - 4, last, 0);
  } else if (n > 0) {
    uint8_t first = from[0], middle = from[n / 2], last = from[n - 1];
    to[0] = first;
    to[n / 2] = middle;
    to[n - 1] = last;
  }
}

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
  uint8_t *at = to;
  const uint8_t *source = from;
  if (n <= VECTOR_BYTES) {
    move_few(at, source, n);
    return to;
  }
  if (n > SMALL_BYTES) return __builtin_memcpy(to, from, n);
  for (size_t i = 0; i < n - VECTOR_BYTES; i += VECTOR_BYTES) wasm_v128_store(at + i, wasm_v128_load(source + i));
  wasm_v128_store(at + n - VECTOR_BYTES, wasm_v128_load(source + n - VECTOR_BYTES));
  return to;
}

void *memmove(void *to, const void *from, size_t n) {
  if (n > VECTOR_BYTES) return __builtin_memmove(to, from, n);
  move_few(to, from, n);
  return to;
}

void *memset(void *to, int value, size_t n) {
  uint8_t *at = to;
  if (n > SMALL_BYTES) return __builtin_memset(to, value, n);
  if (n >= VECTOR_BYTES) {
    v128_t bytes = wasm_i8x16_splat((int8_t)value);
    for (size_t i = 0; i < n - VECTOR_BYTES; i += VECTOR_BYTES) wasm_v128_store(at + i, bytes);
    wasm_v128_store(at + n - VECTOR_BYTES, bytes);
    return to;
  }
  for (size_t i = 0; i < n; i++) at[i] = (uint8_t)value;
  return to;
}
