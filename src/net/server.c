#include "net/server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/internal.h"
#include "net/origin.h"

enum { BACKLOG = 511, ACCEPTS_A_PASS = 64 };

static const double ACCEPT_AGAIN_SECONDS = 0.25; /* after a failure such as too many open files, which would repeat at once */

/* Accepting. The library adopts what is accepted here: binding ourselves gives exact addresses and exact errors. */

static void on_accept_again(struct ev_loop *ev, ev_timer *timer, int events) {
  (void)events;
  tt_server *server = timer->data;
  ev_io_start(ev, &server->acceptable);
}

static void on_acceptable(struct ev_loop *ev, ev_io *watcher, int events) {
  (void)events;
  tt_server *server = watcher->data;
  for (int i = 0; i < ACCEPTS_A_PASS; i++) {
    int accepted = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) {
      setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
      tt_library_adopt(server, accepted);
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    tt_loop_log(server->loop, TT_LOG_ERROR, "cannot accept a connection: %s; trying again", strerror(errno));
    ev_io_stop(ev, watcher);
    ev_timer_set(&server->accept_again, ACCEPT_AGAIN_SECONDS, 0.0);
    ev_timer_start(ev, &server->accept_again);
    return;
  }
}

static tt_status explain(int number, const char *host, uint16_t port, tt_error *error) {
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

static tt_status listen_on(tt_server *server, const char *host, uint16_t port, tt_error *error) {
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
  server->listener = socket(chosen->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (server->listener < 0) {
    status = explain(errno, host, port, error);
    goto no_socket;
  }
  setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  if (bind(server->listener, chosen->ai_addr, chosen->ai_addrlen) != 0 || listen(server->listener, BACKLOG) != 0 ||
      getsockname(server->listener, (struct sockaddr *)&bound, &bound_bytes) != 0) {
    status = explain(errno, host, port, error);
    goto cannot_listen;
  }
  char digits[8];
  if (getnameinfo((struct sockaddr *)&bound, bound_bytes, server->host, sizeof server->host, digits, sizeof digits,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    status = tt_fail(error, TT_ERR_SYSTEM, "cannot tell which address was bound for '%.200s'", host);
    goto cannot_listen;
  }
  unsigned number = 0;
  sscanf(digits, "%u", &number);
  server->port = (uint16_t)number;
  freeaddrinfo(found);
  return TT_OK;

cannot_listen:
  close(server->listener);
  server->listener = -1;
no_socket:
  freeaddrinfo(found);
  return status;
}

/* Options. */

static tt_status no_memory(tt_error *error) { return tt_fail(error, TT_ERR_MEMORY, "no memory for a server"); }

static tt_status copy_endpoints(tt_server *server, const tt_server_options *options, tt_error *error) {
  server->endpoints = tt_alloc(options->n_endpoints, sizeof *server->endpoints);
  if (server->endpoints == NULL) return no_memory(error);
  for (size_t i = 0; i < options->n_endpoints; i++) {
    const tt_endpoint *given = &options->endpoints[i];
    tt_own_endpoint *own = &server->endpoints[server->n_endpoints++];
    *own = (tt_own_endpoint){.events = given->events, .user = given->user, .max_message_bytes = given->max_message_bytes};
    if (given->path != NULL && (own->path = tt_strdup(given->path)) == NULL) return no_memory(error);
  }
  return TT_OK;
}

static tt_status copy_mount(tt_server *server, const tt_mount *mount, tt_error *error) {
  struct stat about;
  if (stat(mount->folder, &about) != 0) {
    return tt_fail(error, TT_ERR_ARGUMENT, "the folder '%.200s' cannot be served: %s", mount->folder, strerror(errno));
  }
  if (!S_ISDIR(about.st_mode)) return tt_fail(error, TT_ERR_ARGUMENT, "'%.200s' is not a folder", mount->folder);
  size_t n_bytes = strlen(mount->prefix);
  if (n_bytes == 0 || mount->prefix[0] != '/' || mount->prefix[n_bytes - 1] != '/') {
    return tt_fail(error, TT_ERR_ARGUMENT, "files cannot be served under '%.200s': write it as '/name/'", mount->prefix);
  }
  tt_own_mount copy = {.prefix = tt_strdup(mount->prefix), .folder = tt_strdup(mount->folder)};
  server->mounts[server->n_mounts++] = copy;
  return copy.prefix != NULL && copy.folder != NULL ? TT_OK : no_memory(error);
}

static tt_status copy_options(tt_server *server, const tt_server_options *options, tt_error *error) {
  server->ping_every_ms = options->ping_every_ms;
  TT_TRY(copy_endpoints(server, options, error));
  server->mounts = tt_alloc(options->n_mounts, sizeof *server->mounts);
  server->allowed_origins = tt_alloc(options->n_allowed_origins, sizeof *server->allowed_origins);
  if (server->mounts == NULL || server->allowed_origins == NULL) return no_memory(error);
  for (size_t i = 0; i < options->n_mounts; i++) TT_TRY(copy_mount(server, &options->mounts[i], error));
  for (size_t i = 0; i < options->n_allowed_origins; i++) {
    TT_TRY(tt_origin_check(options->allowed_origins[i], error));
    char *copy = tt_strdup(options->allowed_origins[i]);
    if (copy == NULL) return no_memory(error);
    server->allowed_origins[server->n_allowed_origins++] = copy;
  }
  return TT_OK;
}

void tt_server_release(tt_server *server) {
  for (size_t i = 0; i < server->n_endpoints; i++) tt_free(server->endpoints[i].path);
  for (size_t i = 0; i < server->n_mounts; i++) {
    tt_free(server->mounts[i].prefix);
    tt_free(server->mounts[i].folder);
  }
  for (size_t i = 0; i < server->n_allowed_origins; i++) tt_free(server->allowed_origins[i]);
  tt_free(server->endpoints);
  tt_free(server->mounts);
  tt_free(server->allowed_origins);
  tt_free(server);
}

/* Its life. */

tt_status tt_server_new(tt_loop *loop, const tt_server_options *options, tt_server **out, tt_error *error) {
  tt_server *server = tt_alloc(1, sizeof *server);
  if (server == NULL) return no_memory(error);
  server->owner.kind = TT_OWNER_SERVER;
  server->loop = loop;
  server->listener = -1;
  tt_status status = copy_options(server, options, error);
  if (status == TT_OK) status = listen_on(server, options->host != NULL ? options->host : "127.0.0.1", options->port, error);
  if (status != TT_OK) {
    tt_server_release(server);
    return status;
  }
  ev_io_init(&server->acceptable, on_acceptable, server->listener, EV_READ);
  server->acceptable.data = server;
  ev_timer_init(&server->accept_again, on_accept_again, 0.0, 0.0);
  server->accept_again.data = server;
  ev_io_start(loop->ev, &server->acceptable);
  server->next = loop->servers;
  loop->servers = server;
  *out = server;
  return TT_OK;
}

uint16_t tt_server_port(const tt_server *server) { return server->port; }
const char *tt_server_host(const tt_server *server) { return server->host; }
size_t tt_server_n_connections(const tt_server *server) { return server->n_connections; }

void tt_server_stop_listening(tt_server *server) {
  if (server->listener < 0) return;
  ev_io_stop(server->loop->ev, &server->acceptable);
  ev_timer_stop(server->loop->ev, &server->accept_again);
  close(server->listener);
  server->listener = -1;
}

void tt_server_close_all(tt_server *server, unsigned code, const char *reason) {
  for (tt_connection *connection = server->loop->connections; connection != NULL; connection = connection->next) {
    if (connection->server == server) tt_connection_close(connection, code, reason);
  }
}

void tt_server_free(tt_server *server) {
  if (server == NULL || server->freed) return;
  tt_server_stop_listening(server);
  server->freed = true;
  for (tt_connection *connection = server->loop->connections, *next; connection != NULL; connection = next) {
    next = connection->next;
    if (connection->server == server) tt_connection_on_closed(connection, "the server has ended");
  }
}

/* What the library's file asks. */

const tt_own_endpoint *tt_server_endpoint(const tt_server *server, const char *path) {
  for (size_t i = 0; i < server->n_endpoints; i++) {
    const tt_own_endpoint *endpoint = &server->endpoints[i];
    if (endpoint->path == NULL || strcmp(endpoint->path, path) == 0) return endpoint;
  }
  return NULL;
}

bool tt_server_allows_origin(const tt_server *server, const char *origin, const char *host) {
  if (origin[0] == '\0' || tt_origin_is_own(origin, host)) return true;
  for (size_t i = 0; i < server->n_allowed_origins; i++) {
    if (tt_origin_equal(origin, server->allowed_origins[i])) return true;
  }
  return false;
}
