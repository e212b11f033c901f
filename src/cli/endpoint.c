#include "cli/endpoint.h"

#include <stdio.h>
#include <string.h>

#include "net/server.h"
#include "transport/socket.h"

bool tt_read_tls_option(tt_tls_options *options, int option, const char *value) {
  switch (option) {
  case TT_OPTION_CERT:
    options->certificate_file = value;
    return true;
  case TT_OPTION_KEY:
    options->key_file = value;
    return true;
  case TT_OPTION_CA:
    options->ca_file = value;
    return true;
  case TT_OPTION_SERVER_NAME:
    options->server_name = value;
    return true;
  case TT_OPTION_ANY_SERVER_NAME:
    options->takes_any_server_name = true;
    return true;
  case TT_OPTION_CLIENT_CERT:
    options->requires_client_certificate = true;
    return true;
  default:
    return false;
  }
}

tt_status tt_endpoint_tls(const tt_tls_options *options, tt_tls **tls, tt_error *error) {
  bool is_given = options->certificate_file != NULL || options->key_file != NULL || options->ca_file != NULL ||
                  options->server_name != NULL || options->takes_any_server_name || options->requires_client_certificate;
  if (is_given) return tt_tls_new(options, tls, error);
  *tls = NULL;
  return TT_OK;
}

tt_status tt_endpoint_connect(tt_native_door *door, const char *url, tt_tls *tls, tt_native_ended_fn *ended, void *context,
                              const void **transport, tt_error *error) {
  tt_address address;
  TT_TRY(tt_address_parse(url, &address, error));
  if (!tt_scheme_is_stream(address.scheme)) {
    return tt_websocket_native_connect(door, url, tls, ended, context, transport, error);
  }
  return tt_socket_connect(door, &(tt_socket_options){.url = url, .tls = tls}, ended, context, transport, error);
}

static tt_status listen_websocket(tt_native_door *door, const tt_address *address, const tt_listen_options *websocket,
                                  char bound[TT_MAX_URL_BYTES], tt_error *error) {
  tt_listen_options options = *websocket;
  options.host = address->host;
  options.port = address->port;
  const tt_server *server;
  TT_TRY(tt_websocket_native_listen(door, &options, &server, error));
  const char *host = tt_server_host(server);
  snprintf(bound, TT_MAX_URL_BYTES, strchr(host, ':') != NULL ? "ws://[%s]:%u/" : "ws://%s:%u/", host,
           (unsigned)tt_server_port(server));
  return TT_OK;
}

tt_status tt_endpoint_listen(tt_native_door *door, const char *url, tt_tls *tls, const tt_listen_options *websocket,
                             char bound[TT_MAX_URL_BYTES], tt_error *error) {
  tt_address address;
  TT_TRY(tt_address_parse(url, &address, error));
  if (address.scheme == TT_SCHEME_WS) return listen_websocket(door, &address, websocket, bound, error);
  if (address.scheme == TT_SCHEME_WSS) {
    return tt_fail(error, TT_ERR_ARGUMENT,
                   "'%.200s': WebSockets are listened for without TLS: put a proxy that has it in front of ws://127.0.0.1, or "
                   "listen with tls://",
                   url);
  }
  const tt_byte_stream_server *server;
  TT_TRY(tt_socket_listen(door, &(tt_socket_options){.url = url, .tls = tls}, &server, error));
  snprintf(bound, TT_MAX_URL_BYTES, "%s", tt_byte_stream_server_url(server));
  return TT_OK;
}
