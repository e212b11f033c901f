/*
 * message_port: a link over a channel of messages that the host has: a page and its dedicated Worker, or two threads of Node.
 *
 * The host posts a frame as one message and hands every message that comes to tt_message_port_receive; it knows nothing of what is in them. Messages of one
 * port arrive whole and in order, and the host's channel holds what the other side has not taken yet (bounded by the protocol's credits).
 */
#ifndef TT_TRANSPORT_MESSAGE_PORT_H
#define TT_TRANSPORT_MESSAGE_PORT_H

#include "worker/worker.h"

typedef struct tt_message_port tt_message_port;

typedef struct tt_message_port_host {
  void *context;
  void (*post)(void *context, const uint8_t *frame, size_t n_bytes); /* the bytes are valid during the call only */
  void (*closed)(void *context, const char *reason); /* the worker is done with the port, which is gone after this */
} tt_message_port_host;

/* Attaches a port to a worker (flags: those of tt_worker_attach). `expected`: who is at the other end, or NULL. May post at once. The port is gone after host->closed or
 * tt_message_port_lost. NULL: TT_ERR_MEMORY, TT_ERR_DUPLICATE (the one expected is known already). */
tt_message_port *tt_message_port_open(tt_worker *worker, unsigned flags, const char *expected, const tt_message_port_host *host,
                                      tt_error *error);
void tt_message_port_receive(tt_message_port *port, const uint8_t *frame, size_t n_bytes);
/* The host has lost the channel. */
void tt_message_port_lost(tt_message_port *port, const char *reason);

#endif
