/*
 * websocket: WebSocket frames (RFC 6455) as a server reads them: where they begin and end, unmasked where they lie, and what must not come. Knows no socket and
 * allocates nothing.
 *
 * Not checked here: how long a message may be, and whether one that is text is valid UTF-8, which only the whole tells; connection.c does both.
 */
#ifndef TT_NET_WEBSOCKET_H
#define TT_NET_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TT_MAX_CONTROL_BYTES = 125, TT_MAX_WEBSOCKET_HEADER_BYTES = 14 };

/* Zeroed: between two messages. */
typedef struct tt_websocket {
  uint64_t left_bytes; /* of the payload of the frame that is arriving */
  uint64_t mask;       /* its lowest byte is the next one's */
  bool in_frame, is_final, is_control;
  bool in_message, is_text;
  uint8_t opcode;
  uint8_t n_header, n_control;
  uint8_t header[TT_MAX_WEBSOCKET_HEADER_BYTES]; /* of a frame whose header came in bits */
  uint8_t control[TT_MAX_CONTROL_BYTES];
} tt_websocket;

typedef enum tt_websocket_event {
  TT_WEBSOCKET_NOTHING, /* nothing is whole yet */
  TT_WEBSOCKET_PIECE,   /* of a message; maybe of no bytes, when nothing but its header is there */
  TT_WEBSOCKET_PING,
  TT_WEBSOCKET_PONG,
  TT_WEBSOCKET_CLOSE,
  TT_WEBSOCKET_WRONG, /* where the next frame would begin nobody knows: nothing more may be read */
} tt_websocket_event;

typedef struct tt_websocket_step {
  tt_websocket_event event;
  size_t n_taken; /* how many of the bytes that were given are done with */
  const uint8_t *
      bytes; /* a piece's; a ping's or pong's payload; a close's reason. Borrowed from what was given, or valid until the next step */
  size_t n_bytes;
  size_t n_left; /* of a piece's frame, still to come */
  bool is_final; /* the piece is its message's last */
  bool is_text;
  unsigned code;   /* of a close: TT_CLOSE_NO_CODE when it has none; of what is wrong: what to close with */
  const char *why; /* of what is wrong */
} tt_websocket_step;

/* Reads one event's worth of bytes, at least one of them; n_bytes > 0. They are unmasked where they lie. */
tt_websocket_step tt_websocket_read(tt_websocket *websocket, uint8_t *bytes, size_t n_bytes);

/* Bytes that are still to come of a message's frame whose header has been read: the next are nothing but those. */
size_t tt_websocket_payload_left(const tt_websocket *websocket);

#endif
