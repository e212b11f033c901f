#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

void tt_buffer_init(tt_buffer *buffer) { *buffer = (tt_buffer){.bytes = NULL}; }

void tt_buffer_clear(tt_buffer *buffer) {
  buffer->n_bytes = 0;
  buffer->failed = false;
}

void tt_buffer_release(tt_buffer *buffer) {
  tt_free(buffer->bytes);
  tt_buffer_init(buffer);
}

bool tt_buffer_reserve(tt_buffer *buffer, size_t more_bytes) {
  if (buffer->failed) return false;
  if (buffer->capacity - buffer->n_bytes >= more_bytes) return true;
  if (more_bytes > SIZE_MAX / 2 - buffer->n_bytes) return false;
  size_t needed = buffer->n_bytes + more_bytes;
  size_t capacity = buffer->capacity < 64 ? 64 : buffer->capacity + buffer->capacity / 2;
  if (capacity < needed) capacity = needed;
  uint8_t *bytes = tt_realloc(buffer->bytes, capacity);
  if (bytes == NULL) return false;
  buffer->bytes = bytes;
  buffer->capacity = capacity;
  return true;
}

uint8_t *tt_buffer_extend(tt_buffer *buffer, size_t n_bytes) {
  if (!tt_buffer_reserve(buffer, n_bytes > 0 ? n_bytes : 1)) {
    buffer->failed = true;
    return NULL;
  }
  uint8_t *at = buffer->bytes + buffer->n_bytes;
  buffer->n_bytes += n_bytes;
  return at;
}

void tt_buffer_append(tt_buffer *buffer, const void *bytes, size_t n_bytes) {
  if (n_bytes == 0) return;
  uint8_t *at = tt_buffer_extend(buffer, n_bytes);
  if (at != NULL) memcpy(at, bytes, n_bytes);
}

void tt_buffer_u8(tt_buffer *buffer, uint8_t value) { tt_buffer_append(buffer, &value, 1); }

void tt_buffer_u16(tt_buffer *buffer, uint16_t value) {
  uint8_t *at = tt_buffer_extend(buffer, 2);
  if (at != NULL) tt_store_u16(at, value);
}

void tt_buffer_u32(tt_buffer *buffer, uint32_t value) {
  uint8_t *at = tt_buffer_extend(buffer, 4);
  if (at != NULL) tt_store_u32(at, value);
}

void tt_buffer_u64(tt_buffer *buffer, uint64_t value) {
  uint8_t *at = tt_buffer_extend(buffer, 8);
  if (at != NULL) tt_store_u64(at, value);
}

void tt_buffer_f64(tt_buffer *buffer, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  tt_buffer_u64(buffer, bits);
}

void tt_buffer_zeros(tt_buffer *buffer, size_t n_bytes) {
  if (n_bytes == 0) return;
  uint8_t *at = tt_buffer_extend(buffer, n_bytes);
  if (at != NULL) memset(at, 0, n_bytes);
}

void tt_buffer_align(tt_buffer *buffer, size_t alignment) {
  size_t over = buffer->n_bytes % alignment;
  if (over != 0) tt_buffer_zeros(buffer, alignment - over);
}

void tt_buffer_printf(tt_buffer *buffer, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int n = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  if (n < 0 || !tt_buffer_reserve(buffer, (size_t)n + 1)) {
    buffer->failed = true;
    return;
  }
  va_start(arguments, format);
  vsnprintf((char *)buffer->bytes + buffer->n_bytes, (size_t)n + 1, format, arguments);
  va_end(arguments);
  buffer->n_bytes += (size_t)n;
}

const char *tt_buffer_string(tt_buffer *buffer) {
  if (!tt_buffer_reserve(buffer, 1)) {
    buffer->failed = true;
    return "";
  }
  buffer->bytes[buffer->n_bytes] = 0;
  return (const char *)buffer->bytes;
}

tt_reader tt_reader_of(const void *bytes, size_t n_bytes) { return (tt_reader){.bytes = bytes, .n_bytes = n_bytes}; }

size_t tt_reader_left(const tt_reader *reader) { return reader->failed ? 0 : reader->n_bytes - reader->position; }

const uint8_t *tt_read_bytes(tt_reader *reader, size_t n_bytes) {
  static const uint8_t nothing = 0;
  if (reader->failed || reader->n_bytes - reader->position < n_bytes) {
    reader->failed = true;
    return NULL;
  }
  /* Zero bytes of an empty reader succeed, so the answer must not be NULL. */
  if (reader->bytes == NULL) return &nothing;
  const uint8_t *at = reader->bytes + reader->position;
  reader->position += n_bytes;
  return at;
}

uint8_t tt_read_u8(tt_reader *reader) {
  const uint8_t *at = tt_read_bytes(reader, 1);
  return at == NULL ? 0 : *at;
}

uint16_t tt_read_u16(tt_reader *reader) {
  const uint8_t *at = tt_read_bytes(reader, 2);
  return at == NULL ? 0 : tt_load_u16(at);
}

uint32_t tt_read_u32(tt_reader *reader) {
  const uint8_t *at = tt_read_bytes(reader, 4);
  return at == NULL ? 0 : tt_load_u32(at);
}

uint64_t tt_read_u64(tt_reader *reader) {
  const uint8_t *at = tt_read_bytes(reader, 8);
  return at == NULL ? 0 : tt_load_u64(at);
}

double tt_read_f64(tt_reader *reader) {
  uint64_t bits = tt_read_u64(reader);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

void tt_read_align(tt_reader *reader, size_t alignment) {
  size_t over = reader->position % alignment;
  if (over != 0) tt_read_bytes(reader, alignment - over);
}

void tt_store_u16(void *at, uint16_t value) {
  uint8_t *bytes = at;
  for (int i = 0; i < 2; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

void tt_store_u32(void *at, uint32_t value) {
  uint8_t *bytes = at;
  for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

void tt_store_u64(void *at, uint64_t value) {
  uint8_t *bytes = at;
  for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

uint16_t tt_load_u16(const void *at) {
  const uint8_t *bytes = at;
  return (uint16_t)(bytes[0] | bytes[1] << 8);
}

uint32_t tt_load_u32(const void *at) {
  const uint8_t *bytes = at;
  uint32_t value = 0;
  for (int i = 3; i >= 0; i--) value = value << 8 | bytes[i];
  return value;
}

uint64_t tt_load_u64(const void *at) {
  const uint8_t *bytes = at;
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--) value = value << 8 | bytes[i];
  return value;
}
