#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "net/address.h"
#include "net/byte_stream.h"
#include "net/internal.h"

static void on_accepted(void *user, int socket) { tt_byte_stream_accept(user, socket); }

static tt_status open_listener(tt_byte_stream_server *server, const tt_address *address, tt_error *error) {
  if (address->scheme == TT_SCHEME_UNIX) {
    TT_TRY(tt_listener_open_path(&server->listener, server->loop, address->path, on_accepted, server, error));
    snprintf(server->url, sizeof server->url, "unix:%s", address->path);
    return TT_OK;
  }
  TT_TRY(tt_listener_open_port(&server->listener, server->loop, address->host, address->port, on_accepted, server, error));
  const char *host = server->listener.host;
  snprintf(server->url, sizeof server->url, strchr(host, ':') != NULL ? "%s://[%s]:%u" : "%s://%s:%u",
           tt_scheme_name(address->scheme), host, server->listener.port);
  return TT_OK;
}

tt_status tt_byte_stream_server_new(tt_loop *loop, const tt_byte_stream_options *options, tt_byte_stream_server **out,
                                    tt_error *error) {
  tt_address address;
  TT_TRY(tt_address_parse(options->url, &address, error));
  if (!tt_scheme_is_stream(address.scheme)) {
    return tt_fail(error, TT_ERR_ARGUMENT, "'%.200s' is no byte stream: write tcp://host:port, tls://host:port or unix:/path",
                   options->url);
  }
  bool is_encrypted = tt_scheme_is_encrypted(address.scheme);
  if (is_encrypted && (options->tls == NULL || !tt_tls_has_certificate(options->tls))) {
    return tt_fail(error, TT_ERR_ARGUMENT,
                   "to listen at '%.200s' takes a certificate and its private key: --cert FILE --key FILE", options->url);
  }
  tt_byte_stream_server *server = tt_alloc(1, sizeof *server);
  if (server == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory to listen at %.200s", options->url);
  server->loop = loop;
  server->options = *options;
  server->options.url = NULL;
  if (!is_encrypted) server->options.tls = NULL;
  server->listener.socket = -1;
  tt_status status = open_listener(server, &address, error);
  if (status != TT_OK) {
    tt_free(server);
    return status;
  }
  server->next = loop->stream_servers;
  server->link = &loop->stream_servers;
  if (server->next != NULL) server->next->link = &server->next;
  loop->stream_servers = server;
  *out = server;
  return TT_OK;
}

const char *tt_byte_stream_server_url(const tt_byte_stream_server *server) { return server->url; }
uint16_t tt_byte_stream_server_port(const tt_byte_stream_server *server) { return server->listener.port; }
void tt_byte_stream_server_stop_listening(tt_byte_stream_server *server) { tt_listener_close(&server->listener); }

void tt_byte_stream_server_free(tt_byte_stream_server *server) {
  if (server == NULL) return;
  tt_listener_close(&server->listener);
  while (server->in_handshake != NULL) tt_byte_stream_hang_up(server->in_handshake);
  *server->link = server->next;
  if (server->next != NULL) server->next->link = server->link;
  tt_free(server);
}

void tt_byte_stream_servers_free(tt_loop *loop) {
  while (loop->stream_servers != NULL) tt_byte_stream_server_free(loop->stream_servers);
}
