#include "net/address.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct scheme_rule {
  const char *name;
  bool is_stream, is_encrypted, has_path;
  uint16_t default_port; /* 0: it must be said */
} scheme_rule;

static const scheme_rule RULES[] = {
    [TT_SCHEME_TCP] = {.name = "tcp", .is_stream = true},
    [TT_SCHEME_TLS] = {.name = "tls", .is_stream = true, .is_encrypted = true},
    [TT_SCHEME_UNIX] = {.name = "unix", .is_stream = true, .has_path = true},
    [TT_SCHEME_WS] = {.name = "ws", .has_path = true, .default_port = 80},
    [TT_SCHEME_WSS] = {.name = "wss", .is_encrypted = true, .has_path = true, .default_port = 443},
};

enum { N_SCHEMES = sizeof RULES / sizeof *RULES };

static tt_status bad(const char *text, const char *why, tt_error *error) {
  return tt_fail(error, TT_ERR_ARGUMENT,
                 "'%.200s' is no address (%s): write tcp://host:port, tls://host:port, unix:/path, ws://host:port or "
                 "wss://host:port",
                 text, why);
}

static const scheme_rule *find_scheme(const char *text, tt_scheme *scheme) {
  for (size_t i = 0; i < N_SCHEMES; i++) {
    size_t n_bytes = strlen(RULES[i].name);
    if (strncasecmp(text, RULES[i].name, n_bytes) != 0 || text[n_bytes] != ':') continue;
    *scheme = (tt_scheme)i;
    return &RULES[i];
  }
  return NULL;
}

static tt_status parse_socket_path(const char *text, const char *at, tt_address *address, tt_error *error) {
  if (strncmp(at, "//", 2) == 0) at += 2;
  if (*at == '\0') return bad(text, "the path is missing", error);
  if (strlen(at) > TT_MAX_SOCKET_PATH_BYTES) return bad(text, "a socket's path has at most 107 bytes", error);
  address->path = at;
  return TT_OK;
}

tt_status tt_address_parse(const char *text, tt_address *out, tt_error *error) {
  tt_address address = {.path = ""};
  const scheme_rule *rule = find_scheme(text, &address.scheme);
  if (rule == NULL) return bad(text, "it does not begin with one of these", error);
  const char *at = text + strlen(rule->name) + 1;
  if (address.scheme == TT_SCHEME_UNIX) {
    TT_TRY(parse_socket_path(text, at, &address, error));
    *out = address;
    return TT_OK;
  }
  if (strncmp(at, "//", 2) != 0) return bad(text, "the '//' is missing", error);
  at += 2;
  bool is_bracketed = *at == '[';
  if (is_bracketed) at++;
  size_t host_bytes = strcspn(at, is_bracketed ? "]" : ":/?#");
  if (is_bracketed && at[host_bytes] != ']') return bad(text, "the ']' is missing", error);
  if (host_bytes == 0 || host_bytes > TT_MAX_HOST_BYTES) return bad(text, "the host is missing or too long", error);
  memcpy(address.host, at, host_bytes);
  at += host_bytes + (is_bracketed ? 1 : 0);
  address.port = rule->default_port;
  if (*at == ':') {
    char *end;
    long number = strtol(at + 1, &end, 10);
    if (end == at + 1 || at[1] < '0' || at[1] > '9' || number > UINT16_MAX)
      return bad(text, "the port is not 0 to 65535", error);
    address.port = (uint16_t)number;
    at = end;
  } else if (rule->default_port == 0) {
    return bad(text, "the port is missing", error);
  }
  if (*at != '\0' && *at != '/') return bad(text, "what follows the port does not begin with '/'", error);
  if (!rule->has_path && *at != '\0' && at[1] != '\0') return bad(text, "it has a path, which only ws and wss have", error);
  if (rule->has_path) address.path = *at == '\0' ? "/" : at;
  *out = address;
  return TT_OK;
}

const char *tt_scheme_name(tt_scheme scheme) { return RULES[scheme].name; }
bool tt_scheme_is_stream(tt_scheme scheme) { return RULES[scheme].is_stream; }
bool tt_scheme_is_encrypted(tt_scheme scheme) { return RULES[scheme].is_encrypted; }
