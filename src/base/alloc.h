/*
 * alloc: every allocation of the core goes through here, so that a test can make the n-th one fail.
 *
 * A NULL answer is always handled: the caller reports TT_ERR_MEMORY and leaves what it had as it was.
 */
#ifndef TT_BASE_ALLOC_H
#define TT_BASE_ALLOC_H

#include <stddef.h>

/* Zeroed memory of n_items * item_bytes; NULL when there is none or the product overflows. Owner: the caller, tt_free. */
void *tt_alloc(size_t n_items, size_t item_bytes);

/*
 * Zeroed memory for an object of that size, and its end, which is told the same size: a few of each size are kept for the next, because every op
 * makes and frees some. NULL when there is no memory; tt_free_object takes it.
 */
void *tt_alloc_object(size_t n_bytes);
void tt_free_object(void *object, size_t n_bytes);

/* Uninitialised memory aligned to 64 bytes, for tensor data; NULL when there is none. Owner: the caller, tt_free_aligned. */
void *tt_alloc_aligned(size_t n_bytes);

/* Resizes as realloc does; on NULL the old block is untouched and still owned by the caller. */
void *tt_realloc(void *block, size_t n_bytes);

/* A copy of a zero-terminated string; NULL when there is no memory. */
char *tt_strdup(const char *string);

void tt_free(void *block);
void tt_free_aligned(void *block);

/*
 * Blocks of more bytes than that fail from now on, as if there were no memory for them; 0: no limit. For whoever runs what others ask for:
 * what an op needs while it works is not written down anywhere.
 */
void tt_alloc_set_limit(size_t n_bytes);

/* The largest block that was refused since the limit was set; 0: none. */
size_t tt_alloc_refused(void);

/* Tests only: the allocation after `n_successes` more fails, once. A negative number turns it off. */
void tt_alloc_fail_after(long n_successes);

#endif
