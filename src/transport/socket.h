/*
 * socket: byte streams at a native worker's door: TCP, TLS over TCP, sockets of this machine (Unix). Native workers meet over them with no relay between,
 * and no browser. Frames follow each other; the prelude's length tells where one ends (PROTOCOL.md).
 */
#ifndef TT_TRANSPORT_SOCKET_H
#define TT_TRANSPORT_SOCKET_H

#include "base/status.h"
#include "net/byte_stream.h"
#include "net/tls.h"
#include "transport/native_door.h"

typedef struct tt_socket_options {
  const char *url; /* "tcp://host:port", "tls://host:port", "unix:/path"; copied */
  tt_tls *
      tls; /* tls only; must outlive the door. A listener needs a certificate; connecting, NULL trusts whom the system trusts */
  int64_t ping_every_ms; /* as in net/byte_stream.h */
  int64_t handshake_ms;
} tt_socket_options;

/* Listens. *server (may be NULL) tells the address; it is the door's. Errors: those of tt_byte_stream_server_new. */
tt_status tt_socket_listen(tt_native_door *door, const tt_socket_options *options, const tt_byte_stream_server **server,
                           tt_error *error);

/*
 * Connects to a worker that listens; this worker says HELLO as soon as the connection is open. `ended`, `context` and `transport`: see tt_native_door_dial.
 * Errors, without a call of `ended` to come: those of tt_byte_stream_connect.
 */
tt_status tt_socket_connect(tt_native_door *door, const tt_socket_options *options, tt_native_ended_fn *ended, void *context,
                            const void **transport, tt_error *error);

#endif
