/*
 * send_queue: WebSocket frames (RFC 6455, section 5.2), or messages as they are, that wait to leave, gathered so that many leave in one write.
 *
 * A small frame is appended to the last block: one copy. A block that a whole message was received into is taken as it is: no copy.
 * Every block holds whole frames, so that a control frame of the library may go between two blocks. Knows no socket.
 */
#ifndef TT_NET_SEND_QUEUE_H
#define TT_NET_SEND_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  TT_FRAME_CONTINUATION = 0x0,
  TT_FRAME_TEXT = 0x1,
  TT_FRAME_BINARY = 0x2,
  TT_FRAME_CLOSE = 0x8,
  TT_FRAME_PING = 0x9,
  TT_FRAME_PONG = 0xa,
  TT_FRAME_HEADER_ROOM = 16,   /* what a block must have free before its payload to be taken; a header has at most 14 bytes */
  TT_GATHER_BYTES = 64 * 1024, /* blocks of gathered frames grow up to this */
};

typedef struct tt_block {
  struct tt_block *next;
  size_t begin, end; /* what of `bytes` is used */
  size_t capacity;
  uint8_t bytes[];
} tt_block;

/* Owner: the caller, tt_free. NULL: no memory. begin and end are at TT_FRAME_HEADER_ROOM. */
tt_block *tt_block_new(size_t payload_bytes);

/* What is put around a message. */
typedef enum tt_framing_kind {
  TT_FRAMING_SERVER, /* the header of a WebSocket frame */
  TT_FRAMING_MASKED, /* as a client sends it */
  TT_FRAMING_NONE,   /* nothing: over a byte stream messages tell their length themselves */
} tt_framing_kind;

typedef struct tt_send_queue {
  tt_block *head, *tail; /* owned */
  size_t n_bytes;        /* headers included */
  size_t block_bytes;    /* the size the next block starts with: learned from how much gathered lately */
  tt_framing_kind framing;
} tt_send_queue;

void tt_send_queue_init(tt_send_queue *queue, tt_framing_kind framing);
void tt_send_queue_release(tt_send_queue *queue);

/* Copies a frame in. False: no memory, nothing changed. `opcode` is TT_FRAME_*. */
bool tt_send_queue_frame(tt_send_queue *queue, uint8_t opcode, const void *payload, size_t n_bytes);

/* Takes a block whose payload is begin..end with the header's room before it. Not for a queue that masks: the payload stays as it is. */
void tt_send_queue_take_block(tt_send_queue *queue, uint8_t opcode, tt_block *block);

/* The oldest block, out of the queue: owner the caller, tt_free. NULL when empty. */
tt_block *tt_send_queue_next(tt_send_queue *queue);

#endif
