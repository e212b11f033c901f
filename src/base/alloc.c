#include "base/alloc.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

enum { ALIGNMENT_BYTES = 64 };

static long allocations_left = -1;

static int must_fail(void) {
  if (allocations_left < 0) return 0;
  return allocations_left-- == 0;
}

static size_t limit_bytes, refused_bytes;

static int is_refused(size_t n_bytes) {
  if (limit_bytes == 0 || n_bytes <= limit_bytes) return 0;
  if (n_bytes > refused_bytes) refused_bytes = n_bytes;
  return 1;
}

void tt_alloc_set_limit(size_t n_bytes) {
  limit_bytes = n_bytes;
  refused_bytes = 0;
}

size_t tt_alloc_refused(void) { return refused_bytes; }

void tt_alloc_fail_after(long n_successes) { allocations_left = n_successes; }

void *tt_alloc(size_t n_items, size_t item_bytes) {
  if (must_fail()) return NULL;
  /* calloc(0) may answer NULL, which would read as a failure. */
  if (n_items == 0 || item_bytes == 0) return calloc(1, 1);
  if (is_refused(n_items > SIZE_MAX / item_bytes ? SIZE_MAX : n_items * item_bytes)) return NULL;
  return calloc(n_items, item_bytes);
}

/*
 * glibc gives back to the system what is freed at the end of its heap, and the next step of a training takes it again, zeroed page by page. So much of
 * it stays instead; larger blocks come and go alone as they did.
 */
static void keep_freed_memory(void) {
#if defined(__GLIBC__)
  enum { MOST_KEPT_BYTES = 64 << 20, LARGEST_KEPT_BYTES = 32 << 20 };
  static bool is_told;
  if (is_told) return;
  is_told = true;
  mallopt(M_TRIM_THRESHOLD, MOST_KEPT_BYTES);
  mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES);
#endif
}

void *tt_alloc_aligned(size_t n_bytes) {
  keep_freed_memory();
  if (must_fail() || is_refused(n_bytes) || n_bytes > SIZE_MAX - 2 * (size_t)ALIGNMENT_BYTES) return NULL;
  size_t rounded = (n_bytes + ALIGNMENT_BYTES - 1) & ~(size_t)(ALIGNMENT_BYTES - 1);
  return aligned_alloc(ALIGNMENT_BYTES, rounded == 0 ? ALIGNMENT_BYTES : rounded);
}

void *tt_realloc(void *block, size_t n_bytes) {
  if (must_fail() || is_refused(n_bytes)) return NULL;
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
