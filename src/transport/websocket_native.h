/* websocket_native: WebSockets at a native worker's door: where it listens, and those that it opens to a relay or to a worker that listens. */
#ifndef TT_TRANSPORT_WEBSOCKET_NATIVE_H
#define TT_TRANSPORT_WEBSOCKET_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "net/server.h"
#include "net/tls.h"
#include "transport/native_door.h"

/* All that is pointed to is copied. */
typedef struct tt_listen_options {
  const char *host; /* NULL: 127.0.0.1 */
  uint16_t port;    /* 0: any free one */
  const char *const *allowed_origins;
  size_t n_allowed_origins;
  const tt_mount *mounts; /* files beside the WebSocket */
  size_t n_mounts;
} tt_listen_options;

/* Listens. *server (may be NULL) tells the address; it is the door's. Errors: those of tt_server_new. */
tt_status tt_websocket_native_listen(tt_native_door *door, const tt_listen_options *options, const tt_server **server,
                                     tt_error *error);

/*
 * Connects; the worker says HELLO as soon as the connection is open. `tls` is for wss: it must outlive the loop, and NULL trusts whom the system trusts. `ended`, `context` and `transport`: see tt_native_door_dial.
 * Errors, without a call of `ended` to come: TT_ERR_ARGUMENT (the URL), TT_ERR_CONNECTION, TT_ERR_MEMORY.
 */
tt_status tt_websocket_native_connect(tt_native_door *door, const char *url, tt_tls *tls, tt_native_ended_fn *ended,
                                      void *context, const void **transport, tt_error *error);

#endif
