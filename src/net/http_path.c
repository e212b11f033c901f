#include "net/http_path.h"

#include <string.h>
#include <strings.h>

bool tt_http_path_is_safe(const char *path, size_t n_bytes) {
  if (n_bytes == 0 || n_bytes > TT_MAX_HTTP_PATH_BYTES || path[0] != '/') return false;
  for (size_t i = 0; i < n_bytes; i++) {
    unsigned char byte = (unsigned char)path[i];
    if (byte < 0x20 || byte == 0x7f || byte == '\\') return false;
    bool segment_begins = i > 0 && path[i - 1] == '/';
    if (segment_begins && (byte == '/' || byte == '.')) return false;
  }
  return true;
}

typedef struct content_type {
  const char *ending;
  const char *type;
} content_type;

static const content_type CONTENT_TYPES[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json; charset=utf-8"},
    {".map", "application/json; charset=utf-8"},
    {".wasm", "application/wasm"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".webp", "image/webp"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".txt", "text/plain; charset=utf-8"},
    {".md", "text/plain; charset=utf-8"},
    {".csv", "text/csv; charset=utf-8"},
    {".ts", "text/plain; charset=utf-8"},
    {".webmanifest", "application/manifest+json"},
};

const char *tt_http_content_type(const char *path) {
  const char *slash = strrchr(path, '/');
  const char *ending = strrchr(slash != NULL ? slash : path, '.');
  if (ending != NULL) {
    for (size_t i = 0; i < sizeof CONTENT_TYPES / sizeof CONTENT_TYPES[0]; i++) {
      if (strcasecmp(ending, CONTENT_TYPES[i].ending) == 0) return CONTENT_TYPES[i].type;
    }
  }
  return "application/octet-stream";
}
