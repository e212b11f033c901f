#include "transport/native_door.h"

#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "wire/prelude.h"

enum { DEFAULT_MAX_CONNECTIONS = 1000, HELLO_MS = 10000, TICK_MS = 1000, LOW_WATER_BYTES = TT_SOCKET_QUEUE_BYTES / 4 };

typedef struct native_socket {
  struct native_socket *next, **at; /* the door's list */
  tt_native_door *door;
  tt_connection *connection;
  tt_link *link; /* NULL before the connection is open, and once either side has ended the link */
  bool has_spoken, is_accepted;
  int64_t opened_ms;
  tt_native_ended_fn *ended; /* of one that we opened; may be NULL */
  void *context;
} native_socket;

struct tt_native_door {
  tt_loop *loop;
  tt_worker *worker; /* NULL once stopped */
  size_t max_connections;
  int64_t hello_ms;
  tt_turn *turn;
  tt_timer *timer;
  tt_native_listener *listeners;
  native_socket *sockets;
  size_t n_sockets, n_accepted;
};

/* ---- what the worker calls ---- */

static void send_frame(void *transport, const uint8_t *frame, size_t n_bytes) {
  native_socket *socket = transport;
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
  const native_socket *socket = transport;
  size_t queued_bytes = tt_connection_queued_bytes(socket->connection);
  return queued_bytes < TT_SOCKET_QUEUE_BYTES ? TT_SOCKET_QUEUE_BYTES - queued_bytes : 0;
}

static void close_socket(void *transport, const char *reason) {
  native_socket *socket = transport;
  socket->link = NULL;
  tt_connection_close(socket->connection, TT_CLOSE_NORMAL, reason);
}

static const tt_link_ops websocket_ops = {.name = "websocket", .send = send_frame, .room = room, .close = close_socket};
static const tt_link_ops stream_ops = {.name = "socket", .send = send_frame, .room = room, .close = close_socket};

/* ---- what the connection tells ---- */

static native_socket *new_socket(tt_native_door *door) {
  native_socket *socket = tt_alloc(1, sizeof *socket);
  if (socket == NULL) return NULL;
  socket->door = door;
  socket->next = door->sockets;
  socket->at = &door->sockets;
  if (door->sockets != NULL) door->sockets->at = &socket->next;
  door->sockets = socket;
  door->n_sockets++;
  return socket;
}

static void free_socket(native_socket *socket) {
  *socket->at = socket->next;
  if (socket->next != NULL) socket->next->at = socket->at;
  socket->door->n_sockets--;
  if (socket->is_accepted) socket->door->n_accepted--;
  tt_free(socket);
}

static void attach(native_socket *socket, const tt_link_ops *ops, unsigned flags) {
  tt_error error;
  socket->opened_ms = tt_clock_ms();
  tt_connection_set_low_water(socket->connection, LOW_WATER_BYTES);
  if (socket->door->worker == NULL) {
    tt_connection_close(socket->connection, TT_CLOSE_GOING_AWAY, "this worker has closed");
    return;
  }
  socket->link = tt_worker_attach(socket->door->worker, ops, socket, flags, &error);
  if (socket->link == NULL) tt_connection_close(socket->connection, TT_CLOSE_INTERNAL, error.message);
}

static void refuse(tt_native_door *door, tt_connection *connection) {
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

static void accept(tt_connection *connection, const tt_link_ops *ops) {
  tt_native_door *door = tt_connection_user(connection);
  tt_connection_set_user(connection, NULL);
  if (door->worker != NULL && door->n_accepted >= door->max_connections) {
    refuse(door, connection);
    return;
  }
  native_socket *socket = new_socket(door);
  if (socket == NULL) {
    tt_connection_close(connection, TT_CLOSE_INTERNAL, "no memory for one more connection");
    return;
  }
  socket->connection = connection;
  socket->is_accepted = true;
  door->n_accepted++;
  tt_connection_set_user(connection, socket);
  attach(socket, ops, 0);
}

static void on_websocket_accepted(tt_connection *connection) { accept(connection, &websocket_ops); }
static void on_stream_accepted(tt_connection *connection) { accept(connection, &stream_ops); }

static void on_websocket_connected(tt_connection *connection) {
  attach(tt_connection_user(connection), &websocket_ops, TT_LINK_INITIATES);
}
static void on_stream_connected(tt_connection *connection) {
  attach(tt_connection_user(connection), &stream_ops, TT_LINK_INITIATES);
}

static void end_link(native_socket *socket, const char *reason) {
  tt_link *link = socket->link;
  socket->link = NULL;
  if (link != NULL) tt_link_closed(link, reason);
}

static void on_message(tt_connection *connection, tt_message *message) {
  native_socket *socket = tt_connection_user(connection);
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
  native_socket *socket = tt_connection_user(connection);
  if (socket != NULL && socket->link != NULL) tt_link_ready(socket->link);
}

static void on_closed(tt_connection *connection, unsigned code, const char *reason) {
  (void)code;
  native_socket *socket = tt_connection_user(connection);
  if (socket == NULL) return;
  tt_native_ended_fn *ended = socket->door->worker != NULL ? socket->ended : NULL;
  void *context = socket->context;
  end_link(socket, reason[0] == '\0' ? "the connection was closed" : reason);
  free_socket(socket);
  if (ended != NULL) ended(context, reason[0] == '\0' ? "the connection was closed" : reason);
}

const tt_connection_events tt_native_door_websocket_accepted = {
    .opened = on_websocket_accepted, .message = on_message, .drained = on_drained, .closed = on_closed};
const tt_connection_events tt_native_door_websocket_connected = {
    .opened = on_websocket_connected, .message = on_message, .drained = on_drained, .closed = on_closed};
const tt_connection_events tt_native_door_stream_accepted = {
    .opened = on_stream_accepted, .message = on_message, .drained = on_drained, .closed = on_closed};
const tt_connection_events tt_native_door_stream_connected = {
    .opened = on_stream_connected, .message = on_message, .drained = on_drained, .closed = on_closed};

/* ---- the door ---- */

static void end_turn(void *user) {
  tt_native_door *door = user;
  tt_worker_flush(door->worker);
}

static void tick(void *user) {
  tt_native_door *door = user;
  tt_worker_tick(door->worker);
  int64_t now_ms = tt_clock_ms();
  for (native_socket *socket = door->sockets; socket != NULL; socket = socket->next) {
    if (socket->link == NULL || socket->has_spoken || now_ms - socket->opened_ms < door->hello_ms) continue;
    tt_connection_close(socket->connection, TT_CLOSE_POLICY, "it has not said HELLO");
  }
}

tt_native_door *tt_native_door_new(tt_loop *loop, tt_worker *worker, const tt_native_door_options *options, tt_error *error) {
  tt_native_door *door = tt_alloc(1, sizeof *door);
  if (door == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "no memory for the connections of %s", tt_worker_id(worker));
    return NULL;
  }
  door->loop = loop;
  door->worker = worker;
  door->max_connections = options != NULL && options->max_connections != 0 ? options->max_connections : DEFAULT_MAX_CONNECTIONS;
  door->hello_ms = options != NULL && options->hello_ms != 0 ? options->hello_ms : HELLO_MS;
  door->turn = tt_turn_new(loop, end_turn, door);
  door->timer = tt_timer_new(loop, tick, door);
  if (door->turn == NULL || door->timer == NULL) {
    tt_native_door_free(door);
    tt_fail(error, TT_ERR_MEMORY, "no memory for the connections of %s", tt_worker_id(worker));
    return NULL;
  }
  tt_timer_start(door->timer, TICK_MS, TICK_MS);
  return door;
}

tt_loop *tt_native_door_loop(const tt_native_door *door) { return door->loop; }

void tt_native_door_add_listener(tt_native_door *door, tt_native_listener *listener) {
  listener->next = door->listeners;
  door->listeners = listener;
}

tt_status tt_native_door_dial(tt_native_door *door, const char *url, tt_native_dial_fn *dial, const void *options,
                              tt_native_ended_fn *ended, void *context, const void **transport, tt_error *error) {
  native_socket *socket = new_socket(door);
  if (socket == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for a connection to %.200s", url);
  socket->ended = ended;
  socket->context = context;
  tt_status status = dial(door->loop, url, options, socket, &socket->connection, error);
  if (status != TT_OK) {
    free_socket(socket);
    return status;
  }
  if (transport != NULL) *transport = socket;
  return TT_OK;
}

size_t tt_native_door_n_connections(const tt_native_door *door) { return door->n_sockets; }
size_t tt_native_door_n_accepted(const tt_native_door *door) { return door->n_accepted; }

void tt_native_door_stop(tt_native_door *door) {
  for (tt_native_listener *listener = door->listeners; listener != NULL; listener = listener->next) listener->stop(listener);
  if (door->timer != NULL) tt_timer_stop(door->timer);
  tt_turn_free(door->turn);
  door->turn = NULL;
  door->worker = NULL;
  for (native_socket *socket = door->sockets; socket != NULL; socket = socket->next) {
    /* Still connecting: nobody is to be told, and there is nothing to say goodbye to. */
    if (socket->link == NULL) tt_connection_close(socket->connection, TT_CLOSE_GOING_AWAY, "this worker has closed");
  }
}

void tt_native_door_free(tt_native_door *door) {
  if (door == NULL) return;
  tt_turn_free(door->turn);
  tt_timer_free(door->timer);
  for (tt_native_listener *listener; (listener = door->listeners) != NULL;) {
    door->listeners = listener->next;
    listener->free(listener);
  }
  for (native_socket *socket; (socket = door->sockets) != NULL;) {
    tt_connection_set_user(socket->connection, NULL);
    tt_connection_drop(socket->connection, "the worker has closed");
    free_socket(socket);
  }
  tt_free(door);
}
