#include "base/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT_BYTES = 64 };

static long allocations_left = -1;

static int must_fail(void) {
  if (allocations_left < 0) return 0;
  return allocations_left-- == 0;
}

void tt_alloc_fail_after(long n_successes) { allocations_left = n_successes; }

void *tt_alloc(size_t n_items, size_t item_bytes) {
  if (must_fail()) return NULL;
  /* calloc(0) may answer NULL, which would read as a failure. */
  if (n_items == 0 || item_bytes == 0) return calloc(1, 1);
  return calloc(n_items, item_bytes);
}

void *tt_alloc_aligned(size_t n_bytes) {
  if (must_fail() || n_bytes > SIZE_MAX - 2 * (size_t)ALIGNMENT_BYTES) return NULL;
  size_t rounded = (n_bytes + ALIGNMENT_BYTES - 1) & ~(size_t)(ALIGNMENT_BYTES - 1);
  return aligned_alloc(ALIGNMENT_BYTES, rounded == 0 ? ALIGNMENT_BYTES : rounded);
}

void *tt_realloc(void *block, size_t n_bytes) {
  if (must_fail()) return NULL;
  return realloc(block, n_bytes == 0 ? 1 : n_bytes);
}

char *tt_strdup(const char *string) {
  size_t n_bytes = strlen(string) + 1;
  char *copy = tt_alloc(n_bytes, 1);
  if (copy != NULL) memcpy(copy, string, n_bytes);
  return copy;
}

void tt_free(void *block) { free(block); }
void tt_free_aligned(void *block) { free(block); }
