/*
 * byte_stream: messages over byte streams: TCP, TLS over TCP, sockets of this machine (Unix). What tells where a message ends is the caller's: net/ knows
 * no protocol. Each stream is a tt_connection like any other (net/connection.h), and differs from a WebSocket in this:
 *
 * - A message begins where the one before has ended. Bytes whose length cannot be told are handed on as they are, as one last message, so that the protocol
 *   can answer them; then the connection closes.
 * - Nothing is pinged. That the other end is gone is found out by the system (TCP keepalive); who takes nothing of what waits for it is dropped
 *   after ping_every_ms twice.
 * - Neither close code nor reason travels: the other end sees that the stream has ended.
 * - A message grows as it arrives: what a peer announces and does not send takes no memory.
 */
#ifndef TT_NET_BYTE_STREAM_H
#define TT_NET_BYTE_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "net/connection.h"
#include "net/loop.h"
#include "net/tls.h"

enum { TT_MAX_FRAMING_BYTES = 16 };

typedef struct tt_framing {
  size_t header_bytes; /* so many are needed to tell the length; at most TT_MAX_FRAMING_BYTES, and every message has them */
  tt_status (*measure)(const uint8_t *bytes, size_t n_bytes, size_t *message_bytes, tt_error *error);
} tt_framing;

/* For both ends. Strings are copied; what else is pointed to must outlive server and connection. */
typedef struct tt_byte_stream_options {
  const char *url; /* "tcp://host:port" (port 0, listening: any free one), "tls://host:port", "unix:/path" */
  const tt_framing *framing;
  const tt_connection_events *events;
  void *user;
  size_t max_message_bytes;
  tt_tls *tls;             /* tls only: a server needs one with a certificate; connecting, NULL trusts whom the system trusts */
  int64_t ping_every_ms;   /* 0: TT_PING_EVERY_MS */
  int64_t handshake_ms;    /* 0: 10 s; for connecting and TLS's handshake */
  size_t max_in_handshake; /* TLS servers. 0: 256; one more is hung up on */
} tt_byte_stream_options;

/*
 * Begins to connect; a host name is looked up before this returns, and all its addresses are tried in turn. `opened` comes when the other end has taken the
 * connection (with TLS: has shown who it is); if it does not, `closed` comes without it, and its reason says why.
 * Errors, with nothing begun and no callback to come: TT_ERR_ARGUMENT (the URL), TT_ERR_CONNECTION (unknown host, nobody there), TT_ERR_MEMORY.
 */
tt_status tt_byte_stream_connect(tt_loop *loop, const tt_byte_stream_options *options, tt_connection **connection,
                                 tt_error *error);

typedef struct tt_byte_stream_server tt_byte_stream_server;

/*
 * Listens at once. Owner: the caller, tt_byte_stream_server_free. A Unix socket's file is for this user alone.
 * Errors: TT_ERR_ARGUMENT (the URL, no certificate), TT_ERR_SYSTEM (the port is taken ...), TT_ERR_MEMORY.
 */
tt_status tt_byte_stream_server_new(tt_loop *loop, const tt_byte_stream_options *options, tt_byte_stream_server **server,
                                    tt_error *error);
const char *tt_byte_stream_server_url(const tt_byte_stream_server *server); /* what is really bound: "tcp://127.0.0.1:7000" */
uint16_t tt_byte_stream_server_port(const tt_byte_stream_server *server);   /* 0 at a path */

/* No new connections from here on; those that are there go on. May be repeated. */
void tt_byte_stream_server_stop_listening(tt_byte_stream_server *server);
/* The same; who is in a handshake is hung up on. NULL is allowed. */
void tt_byte_stream_server_free(tt_byte_stream_server *server);

#endif
