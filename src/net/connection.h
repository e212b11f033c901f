/*
 * connection: one WebSocket (net/server.h, net/client.h) or one byte stream (net/byte_stream.h), whichever side opened it: whole messages in, whole messages
 * out. Knows nothing of what they mean. What is said here of pings, close codes and text is WebSockets'; byte_stream.h says what streams do instead.
 *
 * The loop owns every connection. It exists until its `closed` has returned, which is called exactly once for each connection
 * that a caller has seen (by `opened` or from tt_client_connect); no callback comes after it and the pointer is dead then.
 * Callbacks never run inside tt_connection_* calls. Pings are sent and answered here.
 *
 * Alive is who sends something or, when its queue was stuck, takes something. After `ping_every_ms` of silence a peer is pinged; after
 * twice that without a sign it is dropped. That is also what becomes of a reader that is stuck: it answers no ping.
 * A connection that is paused is not judged, since its answers are not read.
 */
#ifndef TT_NET_CONNECTION_H
#define TT_NET_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
  TT_CLOSE_NORMAL = 1000,
  TT_CLOSE_GOING_AWAY = 1001,
  TT_CLOSE_PROTOCOL = 1002,
  TT_CLOSE_UNSUPPORTED = 1003, /* a kind of message that is not taken here */
  TT_CLOSE_NO_CODE = 1005,     /* never sent: the peer closed without one */
  TT_CLOSE_ABNORMAL = 1006,    /* never sent: the connection broke */
  TT_CLOSE_BAD_TEXT = 1007,    /* text that is not UTF-8 */
  TT_CLOSE_POLICY = 1008,
  TT_CLOSE_TOO_BIG = 1009,
  TT_CLOSE_INTERNAL = 1011,
  TT_PING_EVERY_MS = 25000, /* the default: proxies cut silent connections at 60 s */
};

typedef struct tt_connection tt_connection;
typedef struct tt_block tt_block;

typedef struct tt_message {
  const uint8_t *bytes; /* borrowed; valid until the callback returns, forwarded or not */
  size_t n_bytes;
  bool is_text;    /* valid UTF-8 then */
  tt_block *block; /* for tt_connection_forward; NULL when the bytes lie in no block of their own */
} tt_message;

/* What a connection tells. All but `message` may be NULL. */
typedef struct tt_connection_events {
  void (*opened)(tt_connection *connection);
  void (*message)(tt_connection *connection, tt_message *message);
  /* The queue was above the low water mark and has fallen to it. */
  void (*drained)(tt_connection *connection);
  /* `code` is the peer's close code, or ours when we closed, or TT_CLOSE_ABNORMAL; `reason` is for people and never NULL. */
  void (*closed)(tt_connection *connection, unsigned code, const char *reason);
} tt_connection_events;

/*
 * Queues a message, copied once; it leaves in a later pass of the loop, together with all else that is queued by then. Nothing
 * is ever dropped silently: there is no ceiling here, the caller watches tt_connection_queued_bytes.
 * Errors: TT_ERR_STATE (not open: connecting, closing), TT_ERR_MEMORY (nothing was queued).
 */
tt_status tt_connection_send(tt_connection *connection, const void *bytes, size_t n_bytes, tt_error *error);
tt_status tt_connection_send_text(tt_connection *connection, const char *text, size_t n_bytes, tt_error *error);

/* Queues a message that another connection (or this one) has just received: without a copy when it lies in a block of its own. */
tt_status tt_connection_forward(tt_connection *connection, tt_message *message, tt_error *error);

/* Bytes queued and not yet taken by the operating system, to within one block (at most a message, 64 KiB for small ones). */
size_t tt_connection_queued_bytes(const tt_connection *connection);

/* Below or at how many queued bytes `drained` is called. 0, the default: when all has left. */
void tt_connection_set_low_water(tt_connection *connection, size_t n_bytes);

/* Stops and restarts reading. Called in `message`, no further message of this connection comes after that one. Both may be repeated. */
void tt_connection_pause(tt_connection *connection);
void tt_connection_resume(tt_connection *connection);

/*
 * Ends it in good order: no message arrives from here on, what is queued leaves, then the close frame (`reason` up to 123 bytes,
 * cut at a character; NULL for none). `closed` comes when the peer has answered, or after 5 s. The first close counts.
 */
void tt_connection_close(tt_connection *connection, unsigned code, const char *reason);

/* Ends it at once and drops what is queued; `closed` comes from the loop soon after, with TT_CLOSE_ABNORMAL and this reason. */
void tt_connection_drop(tt_connection *connection, const char *reason);

bool tt_connection_is_open(const tt_connection *connection); /* opened, and nobody has begun to close */
void *tt_connection_user(const tt_connection *connection);   /* at first the `user` of the endpoint or of the connect call */
void tt_connection_set_user(tt_connection *connection, void *user);
const char *
tt_connection_address(const tt_connection *connection); /* the peer's "127.0.0.1:54321", or the URL we connected to */

#endif
