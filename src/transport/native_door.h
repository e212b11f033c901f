/*
 * native_door: the door of one worker of a native process: the connections that it takes and those that it makes, whatever carries them. It opens none
 * itself: transport/websocket_native and transport/socket do, any number of them at one door.
 *
 * Over each connection runs one link. The door also gives the worker its turns: a flush before the loop waits, a tick once a second. Which end opened a
 * connection makes no difference to what goes over it.
 *
 * What a worker sends waits in the connection's queue, up to TT_SOCKET_QUEUE_BYTES; beyond that it stays with the worker until the other end has
 * read. What no credit holds back (HELLO, REFUSED, CREDIT) may pile up to TT_SOCKET_MAX_BYTES: then the connection is dropped.
 */
#ifndef TT_TRANSPORT_NATIVE_DOOR_H
#define TT_TRANSPORT_NATIVE_DOOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "net/connection.h"
#include "net/loop.h"
#include "worker/worker.h"

enum {
  TT_SOCKET_QUEUE_BYTES = 2 << 20,
  TT_SOCKET_MAX_BYTES = 16 << 20,
};

typedef struct tt_native_door tt_native_door;

typedef struct tt_native_door_options {
  size_t max_connections; /* that others open, at all listeners together. 0: 1,000; one more is answered with REFUSED `full` */
  int64_t hello_ms;       /* 0: 10 s; who has said nothing by then (and a tick more) is closed */
} tt_native_door_options;

/* NULL: TT_ERR_MEMORY. `options` may be NULL. The worker is to be freed after tt_native_door_stop and before tt_native_door_free; loop and worker are
 * borrowed. */
tt_native_door *tt_native_door_new(tt_loop *loop, tt_worker *worker, const tt_native_door_options *options, tt_error *error);

/* Connections that are not wholly gone yet; those of them that others have opened. */
size_t tt_native_door_n_connections(const tt_native_door *door);
size_t tt_native_door_n_accepted(const tt_native_door *door);

/* No more connections, turns, ticks and calls of `ended`. What is attached stays so, until tt_worker_free says goodbye on it. */
void tt_native_door_stop(tt_native_door *door);
/* Drops what is left; pass the loop until n_connections is 0 to let it leave. NULL is allowed. */
void tt_native_door_free(tt_native_door *door);

/* A connection that we opened has ended, or has never come about; the link, if there was one, is gone. `reason` is for people. */
typedef void tt_native_ended_fn(void *context, const char *reason);

/* ---- for the transports ---- */

tt_loop *tt_native_door_loop(const tt_native_door *door);

/* What a door listens with: the beginning of a transport's own struct. */
typedef struct tt_native_listener {
  struct tt_native_listener *next;
  void (*stop)(struct tt_native_listener *listener); /* may be repeated */
  void (*free)(struct tt_native_listener *listener);
} tt_native_listener;

/* The door frees it. */
void tt_native_door_add_listener(tt_native_door *door, tt_native_listener *listener);

/* What connections at the door tell; their first `user` is the door where they are accepted, and what tt_native_door_dial hands on where we connect. */
extern const tt_connection_events tt_native_door_websocket_accepted, tt_native_door_websocket_connected,
    tt_native_door_stream_accepted, tt_native_door_stream_connected;

typedef tt_status tt_native_dial_fn(tt_loop *loop, const char *url, const void *options, void *user, tt_connection **connection,
                                    tt_error *error);

/* Connects by way of `dial`. `ended` (may be NULL) is called once, from the loop. *transport (may be NULL) is what events about the link call it. */
tt_status tt_native_door_dial(tt_native_door *door, const char *url, tt_native_dial_fn *dial, const void *options,
                              tt_native_ended_fn *ended, void *context, const void **transport, tt_error *error);

#endif
