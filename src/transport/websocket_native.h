/*
 * websocket_native: a worker's links over net/'s WebSockets, in a native
 * process.
 *
 * One tt_websocket_native is the door of one worker: it takes connections where
 * the worker listens and makes those that it is told to make; over each of them
 * runs one link. It also gives the worker its turns: a flush before the loop
 * waits, a tick once a second. Which end opened a connection makes no
 * difference to what goes over it.
 *
 * What a worker sends waits in the connection's queue, up to
 * TT_SOCKET_QUEUE_BYTES; beyond that it stays with the worker until the other
 * end has read. What no credit holds back (HELLO, REFUSED, CREDIT) may pile up
 * to TT_SOCKET_MAX_BYTES: then the connection is dropped.
 */
#ifndef TT_TRANSPORT_WEBSOCKET_NATIVE_H
#define TT_TRANSPORT_WEBSOCKET_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "net/loop.h"
#include "net/server.h"
#include "worker/worker.h"

enum {
  TT_SOCKET_QUEUE_BYTES = 2 << 20,
  TT_SOCKET_MAX_BYTES = 16 << 20,
  TT_SOCKET_HELLO_MS = 10000, /* the default */
};

typedef struct tt_websocket_native tt_websocket_native;

/* NULL: TT_ERR_MEMORY. The worker is to be freed after tt_websocket_native_stop
 * and before tt_websocket_native_free; loop and worker are borrowed. */
tt_websocket_native *tt_websocket_native_new(tt_loop *loop, tt_worker *worker, tt_error *error);

/* All that is pointed to is copied. */
typedef struct tt_listen_options {
  const char *host; /* NULL: 127.0.0.1 */
  uint16_t port;    /* 0: any free one */
  const char *const *allowed_origins;
  size_t n_allowed_origins;
  const tt_mount *mounts; /* files beside the WebSocket */
  size_t n_mounts;
  size_t max_connections; /* 0: 1,000; one more is answered with REFUSED `full` */
  int64_t hello_ms;       /* 0: TT_SOCKET_HELLO_MS; who has said nothing by then (and a tick more) is closed */
} tt_listen_options;

/* Listens, once for a door. Errors: those of tt_server_new; TT_ERR_STATE. */
tt_status tt_websocket_native_listen(tt_websocket_native *door, const tt_listen_options *options, tt_error *error);
/* The server it listens with, for its address; NULL before. */
const tt_server *tt_websocket_native_server(const tt_websocket_native *door);

/* The connection has ended, or has never come about; the link, if there was
 * one, is gone. `reason` is for people. */
typedef void tt_websocket_ended_fn(void *context, const char *reason);

/*
 * Connects to a relay or to a worker that listens; the worker says HELLO there
 * as soon as the connection is open. `ended` (may be NULL) is called once, from
 * the loop. *transport (may be NULL) is what events about the link call it.
 * Errors, without a call of `ended` to come: TT_ERR_ARGUMENT (the URL),
 * TT_ERR_CONNECTION, TT_ERR_MEMORY.
 */
tt_status tt_websocket_native_connect(tt_websocket_native *door, const char *url, tt_websocket_ended_fn *ended, void *context,
                                      const void **transport, tt_error *error);

/* Connections that are not wholly gone yet. */
size_t tt_websocket_native_n_connections(const tt_websocket_native *door);

/* No more connections, turns, ticks and calls of `ended`. What is attached stays so, until
 * tt_worker_free says goodbye on it. */
void tt_websocket_native_stop(tt_websocket_native *door);
/* Drops what is left; pass the loop until
 * n_connections is 0 to let it leave. NULL is allowed. */
void tt_websocket_native_free(tt_websocket_native *door);

#endif
