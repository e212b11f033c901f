#include "transport/socket.h"

#include "base/alloc.h"
#include "wire/prelude.h"

static const tt_framing FRAMING = {.header_bytes = TT_PRELUDE_PEEK_BYTES, .measure = tt_prelude_peek_length};

typedef struct socket_listener {
  tt_native_listener base;
  tt_byte_stream_server *server;
} socket_listener;

static void stop_listener(tt_native_listener *base) { tt_byte_stream_server_stop_listening(((socket_listener *)base)->server); }

static void free_listener(tt_native_listener *base) {
  tt_byte_stream_server_free(((socket_listener *)base)->server);
  tt_free(base);
}

static tt_byte_stream_options stream_options(const tt_socket_options *options, const tt_connection_events *events, void *user) {
  return (tt_byte_stream_options){.url = options->url,
                                  .framing = &FRAMING,
                                  .events = events,
                                  .user = user,
                                  .max_message_bytes = TT_MAX_FRAME_BYTES,
                                  .tls = options->tls,
                                  .ping_every_ms = options->ping_every_ms,
                                  .handshake_ms = options->handshake_ms};
}

tt_status tt_socket_listen(tt_native_door *door, const tt_socket_options *options, const tt_byte_stream_server **server,
                           tt_error *error) {
  socket_listener *listener = tt_alloc(1, sizeof *listener);
  if (listener == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory to listen at %.200s", options->url);
  listener->base = (tt_native_listener){.stop = stop_listener, .free = free_listener};
  const tt_byte_stream_options stream = stream_options(options, &tt_native_door_stream_accepted, door);
  tt_status status = tt_byte_stream_server_new(tt_native_door_loop(door), &stream, &listener->server, error);
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
  (void)url;
  const tt_byte_stream_options stream = stream_options(options, &tt_native_door_stream_connected, user);
  return tt_byte_stream_connect(loop, &stream, connection, error);
}

tt_status tt_socket_connect(tt_native_door *door, const tt_socket_options *options, tt_native_ended_fn *ended, void *context,
                            const void **transport, tt_error *error) {
  return tt_native_door_dial(door, options->url, dial, options, ended, context, transport, error);
}
