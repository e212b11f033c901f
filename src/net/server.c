#include "net/server.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "net/internal.h"
#include "net/origin.h"

/* Binding ourselves, and not by the library, gives exact addresses and exact errors. */
static void on_accepted(void *user, int socket) { tt_doorway_open(user, socket); }

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
  server->listener.socket = -1;
  tt_status status = copy_options(server, options, error);
  if (status == TT_OK) {
    const char *host = options->host != NULL ? options->host : "127.0.0.1";
    status = tt_listener_open_port(&server->listener, loop, host, options->port, on_accepted, server, error);
  }
  if (status != TT_OK) {
    tt_server_release(server);
    return status;
  }
  server->next = loop->servers;
  loop->servers = server;
  *out = server;
  return TT_OK;
}

uint16_t tt_server_port(const tt_server *server) { return server->listener.port; }
const char *tt_server_host(const tt_server *server) { return server->listener.host; }
size_t tt_server_n_connections(const tt_server *server) { return server->n_connections; }

void tt_server_stop_listening(tt_server *server) {
  tt_listener_close(&server->listener);
  tt_doorways_close(server);
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
