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

/* ---- objects ---- */

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_OBJECTS 0 /* so that what is used after its end is found */
#elif defined(__has_feature)
#define KEEPS_OBJECTS (!__has_feature(address_sanitizer))
#else
#define KEEPS_OBJECTS 1
#endif

enum {
  STEP_BYTES = 32,
  N_SIZES = 32,
  MAX_KEPT_BYTES = 256 << 10 /* of each size: a turn may make thousands before it frees them */
};

typedef struct kept_object {
  struct kept_object *next;
} kept_object;

/* By size, in steps. Of each thread its own. */
static _Thread_local struct {
  kept_object *first;
  unsigned n;
} kept[N_SIZES + 1];

static size_t size_of(size_t n_bytes) { return n_bytes == 0 ? 1 : (n_bytes + STEP_BYTES - 1) / STEP_BYTES; }

void *tt_alloc_object(size_t n_bytes) {
  size_t size = size_of(n_bytes);
  if (!KEEPS_OBJECTS || size > N_SIZES) return tt_alloc(1, n_bytes);
  if (must_fail() || is_refused(n_bytes)) return NULL;
  kept_object *object = kept[size].first;
  if (object != NULL) {
    kept[size].first = object->next;
    kept[size].n--;
  } else {
    object = malloc(size * STEP_BYTES);
    if (object == NULL) return NULL;
  }
  return memset(object, 0, n_bytes);
}

void tt_free_object(void *object, size_t n_bytes) {
  size_t size = size_of(n_bytes);
  if (object == NULL) return;
  if (!KEEPS_OBJECTS || size > N_SIZES || kept[size].n * size * STEP_BYTES >= MAX_KEPT_BYTES) {
    free(object);
    return;
  }
  kept_object *put = object;
  put->next = kept[size].first;
  kept[size].first = put;
  kept[size].n++;
}

/* ---- data ---- */

/*
 * Blocks of up to LARGEST_BYTES are kept in lists by size, eight sizes for each doubling; when more than MOST_WAITING_BYTES wait there they all go back.
 * So a training step finds the memory of the one before it.
 */
enum { N_PER_DOUBLING = 8, LARGEST_BYTES = 4 << 20, MOST_WAITING_BYTES = 16 << 20, N_LISTS = 14 * N_PER_DOUBLING };

/* In front of the data, which begins on the next 64 bytes. */
typedef union data_block {
  struct {
    union data_block *next; /* while it is kept */
    size_t n_bytes;         /* with this header */
    size_t list;            /* N_LISTS: it is too large for any */
  } is;
  uint8_t room[ALIGNMENT_BYTES];
} data_block;

static _Thread_local struct {
  data_block *lists[N_LISTS];
  size_t n_bytes;
} kept_data;

/* The list of a size in units of 64 bytes, and what it is rounded up to. */
static size_t list_of(size_t *n_units) {
  size_t doublings = 0;
  while ((*n_units - 1) >> doublings >= 2 * N_PER_DOUBLING) doublings++;
  size_t rounded = (*n_units - 1) >> doublings; /* below 2 * N_PER_DOUBLING */
  *n_units = (rounded + 1) << doublings;
  return doublings * N_PER_DOUBLING + rounded;
}

static void give_data_back(void) {
  for (size_t i = 0; i < N_LISTS; i++) {
    while (kept_data.lists[i] != NULL) {
      data_block *block = kept_data.lists[i];
      kept_data.lists[i] = block->is.next;
      free(block);
    }
  }
  kept_data.n_bytes = 0;
}

/*
 * What is larger: glibc gives back to the system what is freed at the end of its heap, and the next step of a training takes it again, zeroed page by page. So much of
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
  if (must_fail() || is_refused(n_bytes) || n_bytes > SIZE_MAX - 3 * (size_t)ALIGNMENT_BYTES) return NULL;
  size_t n_units = (n_bytes + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES + 1;
  size_t list = KEEPS_OBJECTS && n_units <= LARGEST_BYTES / ALIGNMENT_BYTES ? list_of(&n_units) : N_LISTS;
  data_block *block = list == N_LISTS ? NULL : kept_data.lists[list];
  if (block != NULL) {
    kept_data.lists[list] = block->is.next;
    kept_data.n_bytes -= block->is.n_bytes;
  } else {
    block = aligned_alloc(ALIGNMENT_BYTES, n_units * ALIGNMENT_BYTES);
    if (block == NULL && kept_data.n_bytes > 0) {
      give_data_back();
      block = aligned_alloc(ALIGNMENT_BYTES, n_units * ALIGNMENT_BYTES);
    }
    if (block == NULL) return NULL;
    block->is.n_bytes = n_units * ALIGNMENT_BYTES;
    block->is.list = list;
  }
  return block + 1;
}

void tt_free_aligned(void *data) {
  if (data == NULL) return;
  data_block *block = (data_block *)data - 1;
  if (block->is.list == N_LISTS) {
    free(block);
    return;
  }
  if (kept_data.n_bytes + block->is.n_bytes > MOST_WAITING_BYTES) give_data_back();
  block->is.next = kept_data.lists[block->is.list];
  kept_data.lists[block->is.list] = block;
  kept_data.n_bytes += block->is.n_bytes;
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
