#include "net/upgrade.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char APPEND_TO_KEY[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, section 1.3 */

enum { SHA1_BYTES = 20, SHA1_TEXT_BYTES = 28 };

typedef struct slice {
  const char *bytes;
  size_t n_bytes;
} slice;

static bool is_word(slice text, const char *word) {
  return text.n_bytes == strlen(word) && strncasecmp(text.bytes, word, text.n_bytes) == 0;
}

static slice trim(slice text) {
  while (text.n_bytes > 0 && (*text.bytes == ' ' || *text.bytes == '\t')) text.bytes++, text.n_bytes--;
  while (text.n_bytes > 0 && (text.bytes[text.n_bytes - 1] == ' ' || text.bytes[text.n_bytes - 1] == '\t')) text.n_bytes--;
  return text;
}

/* Up to the separator, which is taken too; all that is left when there is none. */
static slice take_until(slice *rest, const char *separator, size_t separator_bytes) {
  const char *end = memmem(rest->bytes, rest->n_bytes, separator, separator_bytes);
  slice taken = {.bytes = rest->bytes, .n_bytes = end != NULL ? (size_t)(end - rest->bytes) : rest->n_bytes};
  size_t n_gone = taken.n_bytes + (end != NULL ? separator_bytes : 0);
  rest->bytes += n_gone;
  rest->n_bytes -= n_gone;
  return taken;
}

static bool lists(slice list, const char *word) {
  while (list.n_bytes > 0) {
    if (is_word(trim(take_until(&list, ",", 1)), word)) return true;
  }
  return false;
}

/* Copies a header's value, which may come once. */
static bool keep(char kept[TT_MAX_UPGRADE_VALUE_BYTES], slice value) {
  if (kept[0] != '\0' || value.n_bytes == 0 || value.n_bytes >= TT_MAX_UPGRADE_VALUE_BYTES) return false;
  memcpy(kept, value.bytes, value.n_bytes);
  kept[value.n_bytes] = '\0';
  return true;
}

static bool is_visible(slice text) {
  for (size_t i = 0; i < text.n_bytes; i++) {
    unsigned char byte = (unsigned char)text.bytes[i];
    if (byte <= ' ' || byte == 0x7f) return false;
  }
  return true;
}

static bool read_request_line(slice line, tt_upgrade *upgrade) {
  slice method = take_until(&line, " ", 1), target = take_until(&line, " ", 1);
  if (!is_word(method, "GET") || !is_word(line, "HTTP/1.1") || !is_visible(target)) return false;
  slice path = take_until(&target, "?", 1);
  /* What has to be decoded or resolved first the library does. */
  if (memchr(path.bytes, '%', path.n_bytes) != NULL || memmem(path.bytes, path.n_bytes, "/.", 2) != NULL ||
      memmem(path.bytes, path.n_bytes, "//", 2) != NULL) {
    return false;
  }
  return keep(upgrade->path, path) && upgrade->path[0] == '/';
}

/* How often each header that must be there has been there. */
typedef struct counts {
  int upgrade, connection, version, key;
} counts;

static bool read_header(slice line, tt_upgrade *upgrade, counts *seen) {
  slice value = line, name = take_until(&value, ":", 1);
  if (name.n_bytes == line.n_bytes || name.n_bytes == 0 || !is_visible(name)) return false;
  value = trim(value);
  for (size_t i = 0; i < value.n_bytes; i++) {
    unsigned char byte = (unsigned char)value.bytes[i];
    if ((byte < ' ' && byte != '\t') || byte == 0x7f) return false;
  }
  if (is_word(name, "upgrade")) return ++seen->upgrade == 1 && is_word(value, "websocket");
  if (is_word(name, "connection")) return ++seen->connection == 1 && lists(value, "upgrade");
  if (is_word(name, "sec-websocket-version")) return ++seen->version == 1 && is_word(value, "13");
  if (is_word(name, "host")) return keep(upgrade->host, value);
  if (is_word(name, "origin")) return keep(upgrade->origin, value);
  if (is_word(name, "sec-websocket-key")) {
    if (++seen->key != 1 || value.n_bytes != TT_UPGRADE_KEY_BYTES) return false;
    memcpy(upgrade->key, value.bytes, TT_UPGRADE_KEY_BYTES);
    return true;
  }
  return !is_word(name, "content-length") && !is_word(name, "transfer-encoding") && !is_word(name, "expect") &&
         !is_word(name, "sec-websocket-protocol");
}

bool tt_upgrade_read(const char *head, size_t n_bytes, tt_upgrade *upgrade) {
  *upgrade = (tt_upgrade){.path = ""};
  slice rest = {.bytes = head, .n_bytes = n_bytes};
  counts seen = {.upgrade = 0};
  if (!read_request_line(take_until(&rest, "\r\n", 2), upgrade)) return false;
  while (rest.n_bytes > 0) {
    slice line = take_until(&rest, "\r\n", 2);
    if (line.n_bytes == 0) break;
    if (!read_header(line, upgrade, &seen)) return false;
  }
  return rest.n_bytes == 0 && upgrade->host[0] != '\0' && seen.upgrade == 1 && seen.connection == 1 && seen.version == 1 &&
         seen.key == 1;
}

size_t tt_upgrade_write_answer(const tt_upgrade *upgrade, char answer[TT_MAX_UPGRADE_ANSWER_BYTES]) {
  char text[TT_UPGRADE_KEY_BYTES + sizeof APPEND_TO_KEY];
  int n_bytes = snprintf(text, sizeof text, "%s%s", upgrade->key, APPEND_TO_KEY);
  unsigned char digest[EVP_MAX_MD_SIZE], encoded[SHA1_TEXT_BYTES + 1];
  if (EVP_Digest(text, (size_t)n_bytes, digest, NULL, EVP_sha1(), NULL) != 1) return 0;
  EVP_EncodeBlock(encoded, digest, SHA1_BYTES);
  n_bytes = snprintf(answer, TT_MAX_UPGRADE_ANSWER_BYTES,
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n",
                     (const char *)encoded);
  return n_bytes > 0 && n_bytes < TT_MAX_UPGRADE_ANSWER_BYTES ? (size_t)n_bytes : 0;
}
