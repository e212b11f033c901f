/*
 * doorway: a connection that a server has accepted, until its first request is there. When that asks for a WebSocket, as every client does, and may have it, it
 * becomes one here (byte_stream.c). Every other connection goes to the library with its request unread: pages, what is refused, requests that come in
 * bits, and upgrades of connections that have served something else before, which are the library's WebSockets then.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/internal.h"
#include "net/upgrade.h"

static const double PATIENCE_SECONDS = 15;

struct tt_doorway {
  tt_server *server;
  tt_doorway *next, **link; /* the server's list */
  int socket;
  ev_io readable;
  ev_timer deadline;
};

/* The doorway goes, and its socket stays. */
static int leave(tt_doorway *doorway) {
  int socket = doorway->socket;
  struct ev_loop *ev = doorway->server->loop->ev;
  ev_io_stop(ev, &doorway->readable);
  ev_timer_stop(ev, &doorway->deadline);
  *doorway->link = doorway->next;
  if (doorway->next != NULL) doorway->next->link = doorway->link;
  tt_free(doorway);
  return socket;
}

/* Whether it has become a WebSocket. Nothing is read before that is settled. */
static bool become_websocket(tt_server *server, int socket, const char *request, size_t n_bytes) {
  const char *end = memmem(request, n_bytes, "\r\n\r\n", 4);
  tt_upgrade upgrade;
  char answer[TT_MAX_UPGRADE_ANSWER_BYTES];
  if (end == NULL || !tt_upgrade_read(request, (size_t)(end - request) + 4, &upgrade)) return false;
  const tt_own_endpoint *endpoint = tt_server_endpoint(server, upgrade.path);
  size_t answer_bytes = tt_upgrade_write_answer(&upgrade, answer);
  if (endpoint == NULL || answer_bytes == 0 || !tt_server_allows_origin(server, upgrade.origin, upgrade.host)) return false;
  tt_connection *connection = tt_byte_stream_adopt_websocket(server, endpoint, socket);
  if (connection == NULL) return false;
  size_t head_bytes = (size_t)(end - request) + 4;
  bool is_answered = recv(socket, server->loop->received, head_bytes, 0) == (ssize_t)head_bytes &&
                     send(socket, answer, answer_bytes, MSG_NOSIGNAL) == (ssize_t)answer_bytes;
  tt_connection_on_opened(connection);
  if (!is_answered) tt_connection_drop(connection, "it hung up while it was answered");
  return true;
}

static void on_readable(struct ev_loop *ev, ev_io *watcher, int events) {
  (void)ev, (void)events;
  tt_doorway *doorway = watcher->data;
  tt_server *server = doorway->server;
  ssize_t n = recv(doorway->socket, server->loop->received, TT_RECEIVE_BYTES, MSG_PEEK);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  int socket = leave(doorway);
  if (n <= 0) {
    close(socket);
  } else if (!become_websocket(server, socket, (const char *)server->loop->received, (size_t)n)) {
    tt_library_adopt(server, socket);
  }
}

static void on_deadline(struct ev_loop *ev, ev_timer *timer, int events) {
  (void)ev, (void)events;
  close(leave(timer->data));
}

void tt_doorway_open(tt_server *server, int socket) {
  tt_doorway *doorway = tt_alloc(1, sizeof *doorway);
  if (doorway == NULL) {
    tt_loop_log(server->loop, TT_LOG_ERROR, "a connection was turned away: no memory");
    close(socket);
    return;
  }
  struct ev_loop *ev = server->loop->ev;
  doorway->server = server;
  doorway->socket = socket;
  doorway->next = server->doorways;
  doorway->link = &server->doorways;
  if (doorway->next != NULL) doorway->next->link = &doorway->next;
  server->doorways = doorway;
  ev_io_init(&doorway->readable, on_readable, socket, EV_READ);
  doorway->readable.data = doorway;
  ev_io_start(ev, &doorway->readable);
  ev_timer_init(&doorway->deadline, on_deadline, PATIENCE_SECONDS, 0.0);
  doorway->deadline.data = doorway;
  ev_timer_start(ev, &doorway->deadline);
}

void tt_doorways_close(tt_server *server) {
  while (server->doorways != NULL) close(leave(server->doorways));
}
