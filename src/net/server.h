/*
 * server: listens on one address: files over HTTP and WebSockets on the same port.
 *
 * Who may open a WebSocket: programs that send no Origin header (browsers always do), pages of this very server, and pages of the
 * origins in `allowed_origins`; all others are refused with 403 and a text that says how to allow them. See net/origin.h.
 * Every HTTP response makes the page cross-origin isolated (COOP, COEP), so that threads of WebAssembly work in it.
 * No TLS: for other machines put a proxy that has it in front.
 */
#ifndef TT_NET_SERVER_H
#define TT_NET_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "net/connection.h"
#include "net/loop.h"

typedef struct tt_server tt_server;

/* Where WebSockets are taken. The first endpoint whose path fits gets the connection. */
typedef struct tt_endpoint {
  const char *path; /* "/echo"; NULL for every path */
  const tt_connection_events *events;
  void *user;               /* tt_connection_user at first */
  size_t max_message_bytes; /* a longer message ends its connection with TT_CLOSE_TOO_BIG, before it has all arrived */
} tt_endpoint;

/* A folder whose files are served under a prefix. The longest prefix that fits is used. */
typedef struct tt_mount {
  const char *prefix; /* "/" or "/core/" */
  const char *folder;
} tt_mount;

/* All that is pointed to is copied, but for `events` and `user`. */
typedef struct tt_server_options {
  const char *host; /* an address or a name; NULL for 127.0.0.1 */
  uint16_t port;    /* 0: any free one */
  const tt_endpoint *endpoints;
  size_t n_endpoints;
  const tt_mount *mounts;
  size_t n_mounts;
  const char *const *allowed_origins;
  size_t n_allowed_origins;
  int64_t ping_every_ms; /* 0: TT_PING_EVERY_MS */
} tt_server_options;

/*
 * Listens at once. Owner: the caller, tt_server_free.
 * Errors: TT_ERR_ARGUMENT (host, folder, origin), TT_ERR_SYSTEM (the port is taken ...), TT_ERR_MEMORY.
 */
tt_status tt_server_new(tt_loop *loop, const tt_server_options *options, tt_server **server, tt_error *error);

uint16_t tt_server_port(const tt_server *server);
const char *tt_server_host(const tt_server *server); /* the numeric address that is really bound, "127.0.0.1" */
size_t tt_server_n_connections(const tt_server *server);

/* No new connections from here on; those that are there go on. */
void tt_server_stop_listening(tt_server *server);

/* tt_connection_close on every connection. */
void tt_server_close_all(tt_server *server, unsigned code, const char *reason);

/* Drops what is still open, with `closed` called from here. Not from a callback of one of its connections. NULL is allowed. */
void tt_server_free(tt_server *server);

#endif
