#include "transport/websocket_native.h"

#include "base/alloc.h"
#include "net/client.h"
#include "wire/prelude.h"

typedef struct websocket_listener {
  tt_native_listener base;
  tt_server *server;
} websocket_listener;

static void stop_listener(tt_native_listener *base) { tt_server_stop_listening(((websocket_listener *)base)->server); }

static void free_listener(tt_native_listener *base) {
  tt_server_free(((websocket_listener *)base)->server);
  tt_free(base);
}

tt_status tt_websocket_native_listen(tt_native_door *door, const tt_listen_options *options, const tt_server **server,
                                     tt_error *error) {
  websocket_listener *listener = tt_alloc(1, sizeof *listener);
  if (listener == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory to listen");
  listener->base = (tt_native_listener){.stop = stop_listener, .free = free_listener};
  const tt_endpoint endpoint = {
      .events = &tt_native_door_websocket_accepted, .user = door, .max_message_bytes = TT_MAX_FRAME_BYTES};
  const tt_server_options made = {.host = options->host,
                                  .port = options->port,
                                  .endpoints = &endpoint,
                                  .n_endpoints = 1,
                                  .mounts = options->mounts,
                                  .n_mounts = options->n_mounts,
                                  .allowed_origins = options->allowed_origins,
                                  .n_allowed_origins = options->n_allowed_origins};
  tt_status status = tt_server_new(tt_native_door_loop(door), &made, &listener->server, error);
  if (status != TT_OK) {
    tt_free(listener);
    return status;
  }
  tt_native_door_add_listener(door, &listener->base);
  if (server != NULL) *server = listener->server;
  return TT_OK;
}

static tt_status dial(tt_loop *loop, const char *url, const void *options, void *user, tt_connection **connection,
                      tt_error *error) {
  tt_tls *const *tls = options;
  const tt_client_options client = {.url = url,
                                    .events = &tt_native_door_websocket_connected,
                                    .user = user,
                                    .max_message_bytes = TT_MAX_FRAME_BYTES,
                                    .tls = *tls};
  return tt_client_connect(loop, &client, connection, error);
}

tt_status tt_websocket_native_connect(tt_native_door *door, const char *url, tt_tls *tls, tt_native_ended_fn *ended,
                                      void *context, const void **transport, tt_error *error) {
  return tt_native_door_dial(door, url, dial, &tls, ended, context, transport, error);
}
