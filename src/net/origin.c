#include "net/origin.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { MAX_HOST_BYTES = 255 };

/* "http://localhost:8080" taken apart; lengths, nothing copied. */
typedef struct authority {
  const char *host; /* brackets of an IPv6 address included */
  size_t host_bytes;
  long port; /* -1: none given */
} authority;

static bool split_authority(const char *text, authority *out) {
  size_t n_bytes = strlen(text);
  if (n_bytes == 0 || n_bytes > MAX_HOST_BYTES) return false;
  size_t host_bytes = text[0] == '[' ? strcspn(text, "]") + 1 : strcspn(text, ":");
  if (host_bytes == 0 || host_bytes > n_bytes) return false;
  for (size_t i = 0; i < host_bytes; i++) {
    if (!isalnum((unsigned char)text[i]) && strchr("-._:[]", text[i]) == NULL) return false;
  }
  long port = -1;
  const char *rest = text + host_bytes;
  if (*rest != '\0') {
    if (*rest++ != ':' || *rest == '\0') return false;
    port = 0;
    for (; *rest != '\0'; rest++) {
      if (!isdigit((unsigned char)*rest)) return false;
      port = 10 * port + (*rest - '0');
      if (port > 65535) return false;
    }
  }
  *out = (authority){.host = text, .host_bytes = host_bytes, .port = port};
  return true;
}

typedef struct origin {
  const char *scheme;
  size_t scheme_bytes;
  authority at;
} origin;

static bool split_origin(const char *text, origin *out) {
  const char *colon = strstr(text, "://");
  if (colon == NULL || colon == text) return false;
  for (const char *byte = text; byte < colon; byte++) {
    if (!isalnum((unsigned char)*byte) && strchr("+-.", *byte) == NULL) return false;
  }
  out->scheme = text;
  out->scheme_bytes = (size_t)(colon - text);
  return split_authority(colon + 3, &out->at);
}

static bool scheme_is(const origin *of, const char *scheme) {
  return of->scheme_bytes == strlen(scheme) && strncasecmp(of->scheme, scheme, of->scheme_bytes) == 0;
}

static long default_port(const origin *of) { return scheme_is(of, "http") ? 80 : scheme_is(of, "https") ? 443 : -1; }

static bool same_place(const authority *a, const authority *b, long port_when_none) {
  long port_a = a->port < 0 ? port_when_none : a->port;
  long port_b = b->port < 0 ? port_when_none : b->port;
  return port_a == port_b && a->host_bytes == b->host_bytes && strncasecmp(a->host, b->host, a->host_bytes) == 0;
}

static bool is_localhost_or_address(const authority *at) {
  char host[MAX_HOST_BYTES + 1];
  bool bracketed = at->host[0] == '[';
  size_t n_bytes = bracketed ? at->host_bytes - 2 : at->host_bytes;
  memcpy(host, at->host + (bracketed ? 1 : 0), n_bytes);
  host[n_bytes] = '\0';
  unsigned char address[sizeof(struct in6_addr)];
  if (bracketed) return inet_pton(AF_INET6, host, address) == 1;
  return strcasecmp(host, "localhost") == 0 || inet_pton(AF_INET, host, address) == 1;
}

bool tt_origin_is_own(const char *text, const char *host) {
  origin page;
  authority here;
  if (!split_origin(text, &page) || !split_authority(host, &here)) return false;
  if (!scheme_is(&page, "http") && !scheme_is(&page, "https")) return false;
  return same_place(&page.at, &here, default_port(&page)) && is_localhost_or_address(&here);
}

bool tt_origin_equal(const char *a, const char *b) {
  origin page_a, page_b;
  if (!split_origin(a, &page_a) || !split_origin(b, &page_b)) return strcmp(a, "null") == 0 && strcmp(b, "null") == 0;
  if (page_a.scheme_bytes != page_b.scheme_bytes || strncasecmp(page_a.scheme, page_b.scheme, page_a.scheme_bytes) != 0)
    return false;
  return same_place(&page_a.at, &page_b.at, default_port(&page_a));
}

tt_status tt_origin_check(const char *text, tt_error *error) {
  origin page;
  if (strcmp(text, "null") == 0 || split_origin(text, &page)) return TT_OK;
  return tt_fail(error, TT_ERR_ARGUMENT,
                 "'%.200s' is not an origin: write scheme, host and port as the browser does, without a path, for example "
                 "https://lab.example or http://localhost:3000",
                 text);
}
