/*
 * json_fixture: a file of tests/fixtures, and bytes that stand in it as hex.
 */
#ifndef TT_TESTS_JSON_FIXTURE_H
#define TT_TESTS_JSON_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cmocka_all.h"

/* NULL: it is not there or is no JSON. The caller deletes it. */
static inline cJSON *read_json_fixture(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) return NULL;
  fseek(file, 0, SEEK_END);
  const long n_bytes = ftell(file);
  rewind(file);
  char *text = malloc((size_t)n_bytes + 1);
  const size_t n_read = fread(text, 1, (size_t)n_bytes, file);
  fclose(file);
  text[n_read] = 0;
  cJSON *json = cJSON_Parse(text);
  free(text);
  return json;
}

static inline const cJSON *field_of(const cJSON *object, const char *name) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
  if (item == NULL) fail_msg("the fixture has no field %s", name);
  return item;
}

static inline const char *text_field(const cJSON *object, const char *name) { return field_of(object, name)->valuestring; }

/* Bytes in a block of exactly their size, so that a read behind them is seen. The caller frees. */
typedef struct exact_bytes {
  uint8_t *bytes;
  size_t n_bytes;
} exact_bytes;

static inline exact_bytes exact_copy(const uint8_t *bytes, size_t n_bytes) {
  exact_bytes made = {.bytes = malloc(n_bytes == 0 ? 1 : n_bytes), .n_bytes = n_bytes};
  if (n_bytes != 0) memcpy(made.bytes, bytes, n_bytes);
  return made;
}

static inline uint8_t hex_digit(char digit) { return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10); }

static inline exact_bytes hex_field(const cJSON *object, const char *name) {
  const char *hex = text_field(object, name);
  exact_bytes made = exact_copy((const uint8_t *)hex, strlen(hex) / 2);
  for (size_t i = 0; i < made.n_bytes; i++) made.bytes[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
  return made;
}

#endif
