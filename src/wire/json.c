#include "wire/json.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "wire/control.h"

/* cJSON answers NULL both for bad JSON and without memory: its allocations say here which it was. The core has one thread. */
static bool is_out_of_memory;

static void *allocate(size_t n_bytes) {
  void *block = tt_realloc(NULL, n_bytes);
  if (block == NULL) is_out_of_memory = true;
  return block;
}

/*
 * What cJSON does not look at, or only after recursing: depth, UTF-8, control characters in strings, U+0000 (which would cut a C string short) and
 * that the value is an object.
 */
static tt_status scan_json(const char *json, size_t n_bytes, tt_error *error) {
  if (!tt_utf8_is_valid(json, n_bytes)) return tt_fail(error, TT_ERR_PROTOCOL, "it is not valid UTF-8");
  size_t depth = 0;
  bool is_in_string = false, has_begun = false;
  for (size_t i = 0; i < n_bytes; i++) {
    const char byte = json[i];
    const bool is_space = byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
    if ((uint8_t)byte < 0x20 && (is_in_string || !is_space)) {
      return tt_fail(error, TT_ERR_PROTOCOL, "it has the control character 0x%02x at byte %zu", (uint8_t)byte, i);
    }
    if (is_in_string) {
      if (byte == '"') is_in_string = false;
      if (byte != '\\') continue;
      if (n_bytes - i > 5 && memcmp(json + i + 1, "u0000", 5) == 0) {
        return tt_fail(error, TT_ERR_PROTOCOL, "it has a U+0000 in a string, at byte %zu", i);
      }
      i++; /* whatever is escaped ends no string */
      continue;
    }
    if (is_space) continue;
    if (!has_begun && byte != '{') return tt_fail(error, TT_ERR_PROTOCOL, "it is no object: it does not begin with {");
    has_begun = true;
    if (byte == '"') is_in_string = true;
    if (byte == '{' || byte == '[') depth++;
    if ((byte == '}' || byte == ']') && depth > 0) depth--;
    if (depth > TT_MAX_JSON_DEPTH) {
      return tt_fail(error, TT_ERR_PROTOCOL, "it is nested deeper than %d levels at byte %zu", TT_MAX_JSON_DEPTH, i);
    }
  }
  return TT_OK;
}

tt_status tt_json_parse(const uint8_t *json, size_t n_bytes, cJSON **root, tt_error *error) {
  TT_TRY(scan_json((const char *)json, n_bytes, error));
  cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = allocate, .free_fn = tt_free});
  is_out_of_memory = false;
  /* With a terminator of our own: cJSON 1.7.15 looks one byte behind a text that has none. */
  char *copy = allocate(n_bytes + 1);
  cJSON *parsed = NULL;
  if (copy != NULL) {
    memcpy(copy, json, n_bytes);
    copy[n_bytes] = 0;
    parsed = cJSON_ParseWithLengthOpts(copy, n_bytes + 1, NULL, true);
    tt_free(copy);
  }
  if (parsed == NULL) {
    if (is_out_of_memory) return tt_fail(error, TT_ERR_MEMORY, "no memory for %zu bytes of JSON", n_bytes);
    return tt_fail(error, TT_ERR_PROTOCOL, "it does not parse, or something follows it");
  }
  *root = parsed;
  return TT_OK;
}

void tt_json_write_text(tt_buffer *out, const char *text, size_t n_bytes) {
  tt_buffer_u8(out, '"');
  for (size_t i = 0; i < n_bytes;) {
    uint32_t point;
    const size_t length = tt_utf8_next(text + i, n_bytes - i, &point);
    if (length == 0) {
      tt_buffer_append(out, "\xef\xbf\xbd", 3);
      i++;
      continue;
    }
    const char *escapes = "\"\"\\\\\bb\ff\nn\rr\tt";
    const char *escape = point < 0x80 && point != 0 ? strchr(escapes, (int)point) : NULL;
    /* A letter behind an escaped character is not one itself. */
    if (escape != NULL && (escape - escapes) % 2 != 0) escape = NULL;
    if (escape != NULL) {
      tt_buffer_u8(out, '\\');
      tt_buffer_u8(out, (uint8_t)escape[1]);
    } else if (point < 0x20) {
      tt_buffer_printf(out, "\\u%04" PRIx32, point);
    } else {
      tt_buffer_append(out, text + i, length);
    }
    i += length;
  }
  tt_buffer_u8(out, '"');
}
