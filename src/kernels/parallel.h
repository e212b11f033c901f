/*
 * parallel: work in pieces, shared with a pool of threads.
 *
 * Which thread does which items of a call, and in how large runs, is left open. So results are the same for any number of threads when each item
 * has outputs of its own, and partial sums are kept by item and added up behind the call. The caller works along, allocates nothing, and returns when all
 * items are done. What is called may not allocate: base/alloc.h serves one thread. Calls from within a call, and from a second thread at the same time,
 * run on the calling thread alone.
 *
 * The threads start when there is work for them for the first time. One that the system refuses, or that is not there yet (in a browser they come
 * at a turn of the event loop), is not waited for: those that are there do the work. Idle ones look for work for some microseconds, then sleep.
 * A build without threads (WebAssembly without shared memory) has the same functions and one thread.
 */
#ifndef TT_KERNELS_PARALLEL_H
#define TT_KERNELS_PARALLEL_H

#include <stdint.h>

#include "base/status.h"

enum { TT_MAX_THREADS = 64 };

/*
 * Does the items from `begin` to before `end`. `slot` tells apart who work at the same time, for memory that is allocated for each of them before the
 * call: it is below tt_parallel_get_threads(), and 0 for the caller.
 */
typedef void tt_parallel_fn(void *context, int64_t begin, int64_t end, int slot);

/*
 * Runs `fn` over the items 0 to n_items. Who is free takes a share of those that are left, and `grain` items (at least 1) at least, which should be some
 * microseconds' work or more; up to `grain` items, and with one thread all of them, are a single call on the calling thread.
 */
void tt_parallel_for(int64_t n_items, int64_t grain, tt_parallel_fn *fn, void *context);

/* How many threads may work at the same time, the caller among them. At first as many as there are processors for this process. */
int tt_parallel_get_threads(void);

/*
 * Sets that number, 1 to TT_MAX_THREADS, for calls from now on. Threads that are too many sleep.
 * Errors: TT_ERR_ARGUMENT; TT_ERR_STATE when this build has no threads and more than 1 is asked for.
 */
tt_status tt_parallel_set_threads(int n_threads, tt_error *error);

/* How many threads have come so far, beside the caller's. */
int tt_parallel_count_helpers(void);

#endif
