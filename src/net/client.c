#include "net/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "net/internal.h"

enum { CONNECT_TIMEOUT_MS = 10000, DEFAULT_PORT = 80, MAX_HOST_BYTES = 255 };

static tt_status bad_url(const char *url, const char *why, tt_error *error) {
  return tt_fail(error, TT_ERR_ARGUMENT, "'%.200s' is no WebSocket address (%s): write ws://host:port/path", url, why);
}

static tt_status split_url(const char *url, char host[MAX_HOST_BYTES + 1], uint16_t *port, const char **path, tt_error *error) {
  if (strncasecmp(url, "wss://", 6) == 0) {
    return tt_fail(error, TT_ERR_ARGUMENT,
                   "'%.200s' wants TLS, which this program does not speak: connect to a local ws:// "
                   "address, by way of a tunnel if the server is elsewhere",
                   url);
  }
  if (strncasecmp(url, "ws://", 5) != 0) return bad_url(url, "it does not begin with ws://", error);
  const char *at = url + 5;
  size_t host_bytes;
  bool bracketed = *at == '[';
  if (bracketed) {
    at++;
    host_bytes = strcspn(at, "]");
    if (at[host_bytes] != ']') return bad_url(url, "the ']' is missing", error);
  } else {
    host_bytes = strcspn(at, ":/?#");
  }
  if (host_bytes == 0 || host_bytes > MAX_HOST_BYTES) return bad_url(url, "the host is missing or too long", error);
  memcpy(host, at, host_bytes);
  host[host_bytes] = '\0';
  at += host_bytes + (bracketed ? 1 : 0);
  *port = DEFAULT_PORT;
  if (*at == ':') {
    char *end;
    long number = strtol(at + 1, &end, 10);
    if (end == at + 1 || number < 1 || number > UINT16_MAX) return bad_url(url, "the port is not 1 to 65535", error);
    *port = (uint16_t)number;
    at = end;
  }
  if (*at != '\0' && *at != '/') return bad_url(url, "the path does not begin with '/'", error);
  *path = *at == '\0' ? "/" : at;
  return TT_OK;
}

tt_status tt_client_connect(tt_loop *loop, const tt_client_options *options, tt_connection **out, tt_error *error) {
  char host[MAX_HOST_BYTES + 1];
  uint16_t port = 0;
  const char *path = NULL;
  TT_TRY(split_url(options->url, host, &port, &path, error));
  tt_connection *connection =
      tt_connection_new(loop, options->events, options->user, options->max_message_bytes, options->ping_every_ms, true);
  if (connection == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for a connection to %.200s", options->url);
  snprintf(connection->address, sizeof connection->address, "%s", options->url);
  tt_status status = tt_library_connect(connection, host, port, path, error);
  if (status != TT_OK) {
    tt_connection_discard(connection);
    return status;
  }
  tt_connection_start_timer(connection, options->connect_timeout_ms > 0 ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS);
  *out = connection;
  return TT_OK;
}
