#include "net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/internal.h"

enum { BACKLOG = 511, ACCEPTS_A_PASS = 64, ONLY_THIS_USER = 0177 };

static const double ACCEPT_AGAIN_SECONDS = 0.25; /* after a failure such as too many open files, which would repeat at once */

/* Accepting. */

static void on_accept_again(struct ev_loop *ev, ev_timer *timer, int events) {
  (void)events;
  tt_listener *listener = timer->data;
  ev_io_start(ev, &listener->acceptable);
}

static void on_acceptable(struct ev_loop *ev, ev_io *watcher, int events) {
  (void)events;
  tt_listener *listener = watcher->data;
  for (int i = 0; i < ACCEPTS_A_PASS && listener->socket >= 0; i++) {
    int accepted = accept4(listener->socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) {
      if (listener->path[0] == '\0') setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
      listener->accepted(listener->user, accepted);
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    tt_loop_log(listener->loop, TT_LOG_ERROR, "cannot accept a connection: %s; trying again", strerror(errno));
    ev_io_stop(ev, watcher);
    ev_timer_set(&listener->accept_again, ACCEPT_AGAIN_SECONDS, 0.0);
    ev_timer_start(ev, &listener->accept_again);
    return;
  }
}

static void start(tt_listener *listener, tt_loop *loop, void (*accepted)(void *user, int socket), void *user) {
  listener->loop = loop;
  listener->accepted = accepted;
  listener->user = user;
  ev_io_init(&listener->acceptable, on_acceptable, listener->socket, EV_READ);
  listener->acceptable.data = listener;
  ev_timer_init(&listener->accept_again, on_accept_again, 0.0, 0.0);
  listener->accept_again.data = listener;
  ev_io_start(loop->ev, &listener->acceptable);
}

void tt_listener_close(tt_listener *listener) {
  if (listener->socket < 0) return;
  ev_io_stop(listener->loop->ev, &listener->acceptable);
  ev_timer_stop(listener->loop->ev, &listener->accept_again);
  close(listener->socket);
  listener->socket = -1;
  struct stat about;
  if (listener->path[0] == '\0' || lstat(listener->path, &about) != 0) return;
  if (about.st_dev == listener->device && about.st_ino == listener->inode) unlink(listener->path);
}

/* At a port. */

static tt_status explain_port(int number, const char *host, uint16_t port, tt_error *error) {
  switch (number) {
  case EADDRINUSE:
    return tt_fail(error, TT_ERR_SYSTEM,
                   "port %u on %s is taken by another program: stop that one, or choose another port (0 takes any free one)",
                   port, host);
  case EACCES:
    return tt_fail(error, TT_ERR_SYSTEM, "the system does not let this user listen on port %u: choose one above 1023", port);
  case EADDRNOTAVAIL:
    return tt_fail(error, TT_ERR_ARGUMENT,
                   "%s is no address of this machine: use one that `ip address` shows, 127.0.0.1 or 0.0.0.0 (all of them)",
                   host);
  default:
    return tt_fail(error, TT_ERR_SYSTEM, "cannot listen on %s port %u: %s", host, port, strerror(number));
  }
}

tt_status tt_listener_open_port(tt_listener *listener, tt_loop *loop, const char *host, uint16_t port,
                                void (*accepted)(void *user, int socket), void *user, tt_error *error) {
  char service[8];
  snprintf(service, sizeof service, "%u", port);
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
  int trouble = getaddrinfo(host, service, &hints, &found);
  if (trouble != 0)
    return tt_fail(error, TT_ERR_ARGUMENT, "'%.200s' is no address to listen on: %s", host, gai_strerror(trouble));
  /* "localhost" answers ::1 as well; browsers try both, tools do not, so the older family goes first. */
  const struct addrinfo *chosen = found;
  for (const struct addrinfo *each = found; each != NULL; each = each->ai_next) {
    if (each->ai_family == AF_INET) {
      chosen = each;
      break;
    }
  }
  tt_status status = TT_OK;
  struct sockaddr_storage bound;
  socklen_t bound_bytes = sizeof bound;
  int made = socket(chosen->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (made < 0) {
    status = explain_port(errno, host, port, error);
    goto no_socket;
  }
  setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  if (bind(made, chosen->ai_addr, chosen->ai_addrlen) != 0 || listen(made, BACKLOG) != 0 ||
      getsockname(made, (struct sockaddr *)&bound, &bound_bytes) != 0) {
    status = explain_port(errno, host, port, error);
    goto cannot_listen;
  }
  char digits[8];
  if (getnameinfo((struct sockaddr *)&bound, bound_bytes, listener->host, sizeof listener->host, digits, sizeof digits,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    status = tt_fail(error, TT_ERR_SYSTEM, "cannot tell which address was bound for '%.200s'", host);
    goto cannot_listen;
  }
  unsigned number = 0;
  sscanf(digits, "%u", &number);
  listener->port = (uint16_t)number;
  listener->path[0] = '\0';
  listener->socket = made;
  start(listener, loop, accepted, user);
  freeaddrinfo(found);
  return TT_OK;

cannot_listen:
  close(made);
no_socket:
  freeaddrinfo(found);
  return status;
}

/* At a path. */

/* Whether the socket at the path is one that nobody listens on any more. */
static bool is_left_over(const struct sockaddr_un *address) {
  struct stat about;
  if (lstat(address->sun_path, &about) != 0 || !S_ISSOCK(about.st_mode)) return false;
  int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe < 0) return false;
  bool is_refused = connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
  close(probe);
  return is_refused;
}

static int bind_path(int made, const struct sockaddr_un *address) {
  mode_t before = umask(ONLY_THIS_USER);
  int result = bind(made, (const struct sockaddr *)address, sizeof *address);
  if (result != 0 && errno == EADDRINUSE) {
    if (is_left_over(address) && unlink(address->sun_path) == 0) {
      result = bind(made, (const struct sockaddr *)address, sizeof *address);
    } else {
      errno = EADDRINUSE;
    }
  }
  int number = errno;
  umask(before);
  errno = number;
  return result;
}

tt_status tt_listener_open_path(tt_listener *listener, tt_loop *loop, const char *path,
                                void (*accepted)(void *user, int socket), void *user, tt_error *error) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct stat about;
  if (strlen(path) >= sizeof address.sun_path) {
    return tt_fail(error, TT_ERR_ARGUMENT, "the path '%.200s' is too long for a socket: it has at most 107 bytes", path);
  }
  memcpy(address.sun_path, path, strlen(path));
  int made = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (made < 0) return tt_fail(error, TT_ERR_SYSTEM, "no socket for '%.200s': %s", path, strerror(errno));
  tt_status status = TT_OK;
  if (bind_path(made, &address) != 0) {
    status =
        errno == EADDRINUSE
            ? tt_fail(error, TT_ERR_SYSTEM,
                      "'%.200s' is there already: another program listens there, or it is no socket; choose another path", path)
            : tt_fail(error, TT_ERR_SYSTEM, "cannot listen at '%.200s': %s", path, strerror(errno));
  } else if (listen(made, BACKLOG) != 0 || lstat(path, &about) != 0) {
    status = tt_fail(error, TT_ERR_SYSTEM, "cannot listen at '%.200s': %s", path, strerror(errno));
    unlink(path);
  }
  if (status != TT_OK) {
    close(made);
    return status;
  }
  snprintf(listener->path, sizeof listener->path, "%s", path);
  listener->host[0] = '\0';
  listener->device = about.st_dev;
  listener->inode = about.st_ino;
  listener->socket = made;
  start(listener, loop, accepted, user);
  return TT_OK;
}

void tt_listener_peer_address(int socket, char *text, size_t n_bytes) {
  struct sockaddr_storage peer;
  socklen_t peer_bytes = sizeof peer;
  char host[64], port[8];
  if (getpeername(socket, (struct sockaddr *)&peer, &peer_bytes) != 0 ||
      getnameinfo((struct sockaddr *)&peer, peer_bytes, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    snprintf(text, n_bytes, "(unknown)");
    return;
  }
  snprintf(text, n_bytes, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
}
