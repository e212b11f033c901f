/*
 * buffer: a growing byte string, and a reader over bytes that somebody else owns.
 *
 * Numbers are little-endian on every machine. The reader never reads past its end: a read that would, sets `failed`,
 * answers zero and stays failed, so a decoder may read a whole record and look at `failed` once.
 */
#ifndef TT_BASE_BUFFER_H
#define TT_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct tt_buffer {
  uint8_t *bytes; /* owned */
  size_t n_bytes;
  size_t capacity;
  bool failed; /* an append found no memory; what was there before is whole, and every later append is ignored */
} tt_buffer;

void tt_buffer_init(tt_buffer *buffer);
void tt_buffer_clear(tt_buffer *buffer);                      /* empties, keeps the memory, forgets `failed` */
void tt_buffer_release(tt_buffer *buffer);                    /* frees the memory; the buffer is empty and usable again */
bool tt_buffer_reserve(tt_buffer *buffer, size_t more_bytes); /* room for that many more; false when there is none */
void tt_buffer_append(tt_buffer *buffer, const void *bytes, size_t n_bytes);
uint8_t *tt_buffer_extend(tt_buffer *buffer, size_t n_bytes); /* n uninitialised bytes at the end; NULL on failure */
void tt_buffer_u8(tt_buffer *buffer, uint8_t value);
void tt_buffer_u16(tt_buffer *buffer, uint16_t value);
void tt_buffer_u32(tt_buffer *buffer, uint32_t value);
void tt_buffer_u64(tt_buffer *buffer, uint64_t value);
void tt_buffer_f64(tt_buffer *buffer, double value);
void tt_buffer_zeros(tt_buffer *buffer, size_t n_bytes);
void tt_buffer_align(tt_buffer *buffer, size_t alignment); /* zero bytes up to a multiple of `alignment` */

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void tt_buffer_printf(tt_buffer *buffer, const char *format, ...); /* text without its terminator */

/* The text with a terminator added behind its end; valid until the next change. "" when the buffer failed or is empty. */
const char *tt_buffer_string(tt_buffer *buffer);

typedef struct tt_reader {
  const uint8_t *bytes; /* borrowed */
  size_t n_bytes;
  size_t position;
  bool failed;
} tt_reader;

tt_reader tt_reader_of(const void *bytes, size_t n_bytes);
size_t tt_reader_left(const tt_reader *reader); /* 0 when failed */
uint8_t tt_read_u8(tt_reader *reader);
uint16_t tt_read_u16(tt_reader *reader);
uint32_t tt_read_u32(tt_reader *reader);
uint64_t tt_read_u64(tt_reader *reader);
double tt_read_f64(tt_reader *reader);
const uint8_t *tt_read_bytes(tt_reader *reader, size_t n_bytes); /* borrowed from the reader's bytes; NULL when short */
void tt_read_align(tt_reader *reader, size_t alignment);

/* Plain little-endian stores and loads for fixed layouts. */
void tt_store_u16(void *at, uint16_t value);
void tt_store_u32(void *at, uint32_t value);
void tt_store_u64(void *at, uint64_t value);
uint16_t tt_load_u16(const void *at);
uint32_t tt_load_u32(const void *at);
uint64_t tt_load_u64(const void *at);

#endif
