#include "transport/websocket_native.h"

#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "net/client.h"
#include "net/connection.h"
#include "wire/prelude.h"

enum { DEFAULT_MAX_CONNECTIONS = 1000, TICK_MS = 1000, LOW_WATER_BYTES = TT_SOCKET_QUEUE_BYTES / 4 };

typedef struct tt_native_socket {
  struct tt_native_socket *next, **at; /* the door's list */
  tt_websocket_native *door;
  tt_connection *connection;
  tt_link *link; /* NULL before the connection is open, and once either side has
                    ended the link */
  bool has_spoken;
  int64_t opened_ms;
  tt_websocket_ended_fn *ended; /* of one that we opened; may be NULL */
  void *context;
} tt_native_socket;

struct tt_websocket_native {
  tt_loop *loop;
  tt_worker *worker; /* NULL once stopped */
  tt_server *server;
  size_t max_connections;
  int64_t hello_ms;
  tt_turn *turn;
  tt_timer *timer;
  tt_native_socket *sockets;
  size_t n_sockets;
};

/* ---- what the worker calls ---- */

static void send_frame(void *transport, const uint8_t *frame, size_t n_bytes) {
  tt_native_socket *socket = transport;
  tt_error error;
  /* A connection that is closing takes no more; the worker hears of its end
   * from the loop. */
  if (!tt_connection_is_open(socket->connection)) return;
  if (tt_connection_queued_bytes(socket->connection) + n_bytes > TT_SOCKET_MAX_BYTES) {
    tt_connection_drop(socket->connection, "too much waits for it: it does not read what it is sent");
  } else if (tt_connection_send(socket->connection, frame, n_bytes, &error) != TT_OK) {
    tt_connection_drop(socket->connection, error.message);
  }
}

static size_t room(const void *transport) {
  const tt_native_socket *socket = transport;
  size_t queued_bytes = tt_connection_queued_bytes(socket->connection);
  return queued_bytes < TT_SOCKET_QUEUE_BYTES ? TT_SOCKET_QUEUE_BYTES - queued_bytes : 0;
}

static void close_socket(void *transport, const char *reason) {
  tt_native_socket *socket = transport;
  socket->link = NULL;
  tt_connection_close(socket->connection, TT_CLOSE_NORMAL, reason);
}

static const tt_link_ops socket_ops = {.name = "websocket", .send = send_frame, .room = room, .close = close_socket};

/* ---- what the connection tells ---- */

static tt_native_socket *new_socket(tt_websocket_native *door) {
  tt_native_socket *socket = tt_alloc(1, sizeof *socket);
  if (socket == NULL) return NULL;
  socket->door = door;
  socket->next = door->sockets;
  socket->at = &door->sockets;
  if (door->sockets != NULL) door->sockets->at = &socket->next;
  door->sockets = socket;
  door->n_sockets++;
  return socket;
}

static void free_socket(tt_native_socket *socket) {
  *socket->at = socket->next;
  if (socket->next != NULL) socket->next->at = socket->at;
  socket->door->n_sockets--;
  tt_free(socket);
}

static void attach(tt_native_socket *socket, unsigned flags) {
  tt_error error;
  socket->opened_ms = tt_clock_ms();
  tt_connection_set_low_water(socket->connection, LOW_WATER_BYTES);
  if (socket->door->worker == NULL) {
    tt_connection_close(socket->connection, TT_CLOSE_GOING_AWAY, "this worker has closed");
    return;
  }
  socket->link = tt_worker_attach(socket->door->worker, &socket_ops, socket, flags, &error);
  if (socket->link == NULL) tt_connection_close(socket->connection, TT_CLOSE_INTERNAL, error.message);
}

static void refuse(tt_websocket_native *door, tt_connection *connection) {
  static const char reason[] = "as many as this worker takes are connected already; try again later, or "
                               "start it with a higher ceiling";
  tt_buffer payload, frame;
  tt_buffer_init(&payload);
  tt_buffer_init(&frame);
  tt_refusal_write(&payload, TT_ERR_FULL, 0, (tt_name){.bytes = ""}, reason);
  const tt_prelude prelude = {.type = TT_FRAME_REFUSED,
                              .flags = TT_FLAG_CLOSES,
                              .source = tt_name_of(tt_worker_id(door->worker)),
                              .destination = {.bytes = ""}};
  tt_prelude_write(&frame, &prelude, payload.n_bytes);
  tt_buffer_append(&frame, payload.bytes, payload.n_bytes);
  /* Without memory for the words, the close code says it. */
  if (!payload.failed && !frame.failed) (void)tt_connection_send(connection, frame.bytes, frame.n_bytes, NULL);
  tt_buffer_release(&payload);
  tt_buffer_release(&frame);
  tt_connection_close(connection, TT_CLOSE_POLICY, "too many connections");
}

static void on_accepted(tt_connection *connection) {
  tt_websocket_native *door = tt_connection_user(connection);
  tt_connection_set_user(connection, NULL);
  if (door->worker != NULL && tt_server_n_connections(door->server) > door->max_connections) {
    refuse(door, connection);
    return;
  }
  tt_native_socket *socket = new_socket(door);
  if (socket == NULL) {
    tt_connection_close(connection, TT_CLOSE_INTERNAL, "no memory for one more connection");
    return;
  }
  socket->connection = connection;
  tt_connection_set_user(connection, socket);
  attach(socket, 0);
}

static void on_connected(tt_connection *connection) { attach(tt_connection_user(connection), TT_LINK_INITIATES); }

static void end_link(tt_native_socket *socket, const char *reason) {
  tt_link *link = socket->link;
  socket->link = NULL;
  if (link != NULL) tt_link_closed(link, reason);
}

static void on_message(tt_connection *connection, tt_message *message) {
  tt_native_socket *socket = tt_connection_user(connection);
  if (socket == NULL || socket->link == NULL) return;
  socket->has_spoken = true;
  if (message->is_text) {
    tt_connection_close(connection, TT_CLOSE_UNSUPPORTED, "frames are binary");
    end_link(socket, "the other end sent text where the protocol has binary "
                     "frames; is it a tabtensor relay or worker?");
    return;
  }
  tt_link_receive(socket->link, message->bytes, message->n_bytes);
}

static void on_drained(tt_connection *connection) {
  tt_native_socket *socket = tt_connection_user(connection);
  if (socket != NULL && socket->link != NULL) tt_link_ready(socket->link);
}

static void on_closed(tt_connection *connection, unsigned code, const char *reason) {
  (void)code;
  tt_native_socket *socket = tt_connection_user(connection);
  if (socket == NULL) return;
  tt_websocket_ended_fn *ended = socket->door->worker != NULL ? socket->ended : NULL;
  void *context = socket->context;
  end_link(socket, reason[0] == '\0' ? "the connection was closed" : reason);
  free_socket(socket);
  if (ended != NULL) ended(context, reason[0] == '\0' ? "the connection was closed" : reason);
}

static const tt_connection_events accepted_events = {
    .opened = on_accepted, .message = on_message, .drained = on_drained, .closed = on_closed};
static const tt_connection_events connected_events = {
    .opened = on_connected, .message = on_message, .drained = on_drained, .closed = on_closed};

/* ---- the door ---- */

static void end_turn(void *user) {
  tt_websocket_native *door = user;
  tt_worker_flush(door->worker);
}

static void tick(void *user) {
  tt_websocket_native *door = user;
  tt_worker_tick(door->worker);
  int64_t now_ms = tt_clock_ms();
  for (tt_native_socket *socket = door->sockets; socket != NULL; socket = socket->next) {
    if (socket->link == NULL || socket->has_spoken || now_ms - socket->opened_ms < socket->door->hello_ms) continue;
    tt_connection_close(socket->connection, TT_CLOSE_POLICY, "it has not said HELLO");
  }
}

tt_websocket_native *tt_websocket_native_new(tt_loop *loop, tt_worker *worker, tt_error *error) {
  tt_websocket_native *door = tt_alloc(1, sizeof *door);
  if (door == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "no memory for the connections of %s", tt_worker_id(worker));
    return NULL;
  }
  door->loop = loop;
  door->worker = worker;
  door->hello_ms = TT_SOCKET_HELLO_MS;
  door->turn = tt_turn_new(loop, end_turn, door);
  door->timer = tt_timer_new(loop, tick, door);
  if (door->turn == NULL || door->timer == NULL) {
    tt_websocket_native_free(door);
    tt_fail(error, TT_ERR_MEMORY, "no memory for the connections of %s", tt_worker_id(worker));
    return NULL;
  }
  tt_timer_start(door->timer, TICK_MS, TICK_MS);
  return door;
}

tt_status tt_websocket_native_listen(tt_websocket_native *door, const tt_listen_options *options, tt_error *error) {
  if (door->server != NULL) {
    return tt_fail(error, TT_ERR_STATE, "%s listens on port %u already", tt_worker_id(door->worker),
                   (unsigned)tt_server_port(door->server));
  }
  const tt_endpoint endpoint = {.events = &accepted_events, .user = door, .max_message_bytes = TT_MAX_FRAME_BYTES};
  const tt_server_options server = {.host = options->host,
                                    .port = options->port,
                                    .endpoints = &endpoint,
                                    .n_endpoints = 1,
                                    .mounts = options->mounts,
                                    .n_mounts = options->n_mounts,
                                    .allowed_origins = options->allowed_origins,
                                    .n_allowed_origins = options->n_allowed_origins};
  TT_TRY(tt_server_new(door->loop, &server, &door->server, error));
  door->max_connections = options->max_connections != 0 ? options->max_connections : DEFAULT_MAX_CONNECTIONS;
  if (options->hello_ms != 0) door->hello_ms = options->hello_ms;
  return TT_OK;
}

const tt_server *tt_websocket_native_server(const tt_websocket_native *door) { return door->server; }

tt_status tt_websocket_native_connect(tt_websocket_native *door, const char *url, tt_websocket_ended_fn *ended, void *context,
                                      const void **transport, tt_error *error) {
  tt_native_socket *socket = new_socket(door);
  if (socket == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for a connection to %s", url);
  socket->ended = ended;
  socket->context = context;
  const tt_client_options client = {
      .url = url, .events = &connected_events, .user = socket, .max_message_bytes = TT_MAX_FRAME_BYTES};
  tt_status status = tt_client_connect(door->loop, &client, &socket->connection, error);
  if (status != TT_OK) {
    free_socket(socket);
    return status;
  }
  if (transport != NULL) *transport = socket;
  return TT_OK;
}

size_t tt_websocket_native_n_connections(const tt_websocket_native *door) { return door->n_sockets; }

void tt_websocket_native_stop(tt_websocket_native *door) {
  if (door->server != NULL) tt_server_stop_listening(door->server);
  if (door->timer != NULL) tt_timer_stop(door->timer);
  tt_turn_free(door->turn);
  door->turn = NULL;
  door->worker = NULL;
  for (tt_native_socket *socket = door->sockets; socket != NULL; socket = socket->next) {
    /* Still connecting: nobody is to be told, and there is nothing to say
     * goodbye to. */
    if (socket->link == NULL) tt_connection_close(socket->connection, TT_CLOSE_GOING_AWAY, "this worker has closed");
  }
}

void tt_websocket_native_free(tt_websocket_native *door) {
  if (door == NULL) return;
  tt_turn_free(door->turn);
  tt_timer_free(door->timer);
  tt_server_free(door->server);
  for (tt_native_socket *socket; (socket = door->sockets) != NULL;) {
    tt_connection_set_user(socket->connection, NULL);
    tt_connection_drop(socket->connection, "the worker has closed");
    free_socket(socket);
  }
  tt_free(door);
}
