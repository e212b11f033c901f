#include "net/send_queue.h"

#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/random.h"

enum { FIRST_BLOCK_BYTES = 1024, FINAL_FRAME = 0x80, MASKED = 0x80, MAX_HEADER_BYTES = 14 };

static tt_block *block_new(size_t capacity) {
  tt_block *block = tt_realloc(NULL, sizeof(tt_block) + capacity); /* not zeroed: large blocks are filled at once */
  if (block == NULL) return NULL;
  block->next = NULL;
  block->begin = 0;
  block->end = 0;
  block->capacity = capacity;
  return block;
}

tt_block *tt_block_new(size_t payload_bytes) {
  if (payload_bytes > SIZE_MAX / 2) return NULL;
  tt_block *block = block_new(TT_FRAME_HEADER_ROOM + payload_bytes);
  if (block == NULL) return NULL;
  block->begin = TT_FRAME_HEADER_ROOM;
  block->end = TT_FRAME_HEADER_ROOM;
  return block;
}

void tt_send_queue_init(tt_send_queue *queue, tt_framing_kind framing) {
  *queue = (tt_send_queue){.block_bytes = FIRST_BLOCK_BYTES, .framing = framing};
}

void tt_send_queue_release(tt_send_queue *queue) {
  for (tt_block *block = tt_send_queue_next(queue); block != NULL; block = tt_send_queue_next(queue)) tt_free(block);
}

/* `mask` is 4 bytes, looked at where the framing masks. */
static size_t write_header(tt_framing_kind framing, uint8_t at[MAX_HEADER_BYTES], uint8_t opcode, size_t n_bytes,
                           const uint8_t *mask) {
  if (framing == TT_FRAMING_NONE) return 0;
  size_t n = 0;
  uint8_t mask_bit = framing == TT_FRAMING_MASKED ? MASKED : 0;
  at[n++] = FINAL_FRAME | opcode;
  if (n_bytes < 126) {
    at[n++] = mask_bit | (uint8_t)n_bytes;
  } else if (n_bytes <= UINT16_MAX) {
    at[n++] = mask_bit | 126;
    at[n++] = (uint8_t)(n_bytes >> 8);
    at[n++] = (uint8_t)n_bytes;
  } else {
    at[n++] = mask_bit | 127;
    for (int shift = 56; shift >= 0; shift -= 8) at[n++] = (uint8_t)((uint64_t)n_bytes >> shift);
  }
  if (framing == TT_FRAMING_MASKED) {
    memcpy(at + n, mask, 4);
    n += 4;
  }
  return n;
}

static void push(tt_send_queue *queue, tt_block *block) {
  block->next = NULL;
  if (queue->tail == NULL) {
    queue->head = block;
  } else {
    queue->tail->next = block;
  }
  queue->tail = block;
}

/* The last block grown to have n_bytes more, as long as it stays one that gathers; NULL when a new one is needed or memory is short. */
static tt_block *grow_tail(tt_send_queue *queue, size_t n_bytes) {
  tt_block *tail = queue->tail;
  size_t needed = tail->end + n_bytes;
  size_t capacity = 2 * tail->capacity;
  while (capacity < needed) capacity *= 2;
  if (capacity > TT_GATHER_BYTES) capacity = TT_GATHER_BYTES;
  if (capacity < needed) return NULL;
  tt_block *before = NULL;
  for (tt_block *block = queue->head; block != tail; block = block->next) before = block;
  tt_block *grown = tt_realloc(tail, sizeof(tt_block) + capacity);
  if (grown == NULL) return NULL;
  grown->capacity = capacity;
  queue->tail = grown;
  if (before == NULL) {
    queue->head = grown;
  } else {
    before->next = grown;
  }
  return grown;
}

/* A block at the queue's end with room for n_bytes more; NULL: no memory. */
static tt_block *room_for(tt_send_queue *queue, size_t n_bytes) {
  tt_block *tail = queue->tail;
  if (tail != NULL && tail->capacity - tail->end >= n_bytes) return tail;
  if (tail != NULL && tail->capacity < TT_GATHER_BYTES) {
    tail = grow_tail(queue, n_bytes);
    if (tail != NULL) return tail;
  }
  tt_block *block = block_new(n_bytes > queue->block_bytes ? n_bytes : queue->block_bytes);
  if (block != NULL) push(queue, block);
  return block;
}

bool tt_send_queue_frame(tt_send_queue *queue, uint8_t opcode, const void *payload, size_t n_bytes) {
  if (n_bytes > SIZE_MAX / 2) return false;
  tt_block *block = room_for(queue, MAX_HEADER_BYTES + n_bytes);
  if (block == NULL) return false;
  bool masks = queue->framing == TT_FRAMING_MASKED;
  uint8_t mask[8] = {0};
  if (masks) tt_store_u64(mask, tt_random_id());
  size_t header_bytes = write_header(queue->framing, block->bytes + block->end, opcode, n_bytes, mask);
  uint8_t *to = block->bytes + block->end + header_bytes;
  if (n_bytes > 0) memcpy(to, payload, n_bytes);
  if (masks) {
    for (size_t i = 0; i < n_bytes; i++) to[i] ^= mask[i & 3];
  }
  block->end += header_bytes + n_bytes;
  queue->n_bytes += header_bytes + n_bytes;
  return true;
}

void tt_send_queue_take_block(tt_send_queue *queue, uint8_t opcode, tt_block *block) {
  uint8_t header[MAX_HEADER_BYTES];
  size_t n_bytes = block->end - block->begin;
  size_t header_bytes = write_header(queue->framing, header, opcode, n_bytes, NULL);
  block->begin -= header_bytes;
  memcpy(block->bytes + block->begin, header, header_bytes);
  push(queue, block);
  queue->n_bytes += header_bytes + n_bytes;
}

tt_block *tt_send_queue_next(tt_send_queue *queue) {
  tt_block *block = queue->head;
  if (block == NULL) return NULL;
  queue->head = block->next;
  if (queue->head == NULL) queue->tail = NULL;
  block->next = NULL;
  size_t used = block->end - block->begin;
  queue->n_bytes -= used;
  if (used > queue->block_bytes && used <= TT_GATHER_BYTES) {
    queue->block_bytes = used > TT_GATHER_BYTES / 2 ? TT_GATHER_BYTES : 2 * used;
  } else if (used < queue->block_bytes / 8 && queue->block_bytes > FIRST_BLOCK_BYTES) {
    queue->block_bytes /= 2;
  }
  return block;
}
