/*
 * virtual: a link between two workers of one process, for development and tests (the seed's VirtualWorker).
 *
 * Frames wait in a queue and are delivered by tt_virtual_poll, never from within a send: so a chain of answers does not recurse, and the two ends behave as they
 * would over a socket.
 */
#ifndef TT_TRANSPORT_VIRTUAL_H
#define TT_TRANSPORT_VIRTUAL_H

#include "worker/worker.h"

/* Connects two workers: each knows the other after the next poll. Ends when either is freed. Errors: TT_ERR_DUPLICATE (one knows the other already), TT_ERR_MEMORY. */
tt_status tt_virtual_connect(tt_worker *a, tt_worker *b, tt_error *error);

/* The same where `page` is the page of `worker`, which does for it what it would do for itself (TT_LINK_CONTROLLER). */
tt_status tt_virtual_connect_page(tt_worker *page, tt_worker *worker, tt_error *error);

/* Flushes all workers with virtual links and delivers their frames until none is left. True when it delivered anything. */
bool tt_virtual_poll(void);

/* `wake` is called when frames begin to wait, so that a host need not poll before; from within a send: it only notes that tt_virtual_poll is wanted. */
void tt_virtual_set_wake(void (*wake)(void));

/* Whether frames wait or a worker wants flushing. */
bool tt_virtual_is_pending(void);

#endif
