/* client: opens a WebSocket to a server. Sends no Origin header: a program, not a page. */
#ifndef TT_NET_CLIENT_H
#define TT_NET_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "net/connection.h"
#include "net/loop.h"
#include "net/tls.h"

typedef struct tt_client_options {
  const char *url; /* "ws://host:port/path"; port 80 and path "/" when left out. "wss://" the same over TLS, port 443 */
  const tt_connection_events *events;
  void *user;
  size_t max_message_bytes;
  tt_tls *tls;                /* wss only; NULL: without a certificate, trusting whom the system trusts */
  int64_t ping_every_ms;      /* 0: TT_PING_EVERY_MS */
  int64_t connect_timeout_ms; /* 0: 10 s */
} tt_client_options;

/*
 * Begins to connect; a host name is looked up before this returns. `opened` comes when the server has taken the connection; if
 * it does not, `closed` comes without it, and its reason says why. The loop owns the connection.
 * Errors, with nothing begun and no callback to come: TT_ERR_ARGUMENT (the URL, files of TLS), TT_ERR_CONNECTION (unknown host), TT_ERR_MEMORY.
 */
tt_status tt_client_connect(tt_loop *loop, const tt_client_options *options, tt_connection **connection, tt_error *error);

#endif
