/*
 * library: the one file that knows libwebsockets (4.1.6 in Debian 12). What it does not do as we need is worked around here:
 *
 * - Its timers may come late under libev (it changes a running ev_timer): every deadline of ours is a timer of our own.
 * - Frames leave as raw bytes that send_queue framed, so that many go in one write; its own control frames go between our
 *   blocks, which hold whole frames. What a full socket does not take of a block it keeps and sends first.
 * - It answers one ping at a time: of several that arrive at once only the first (RFC 6455 allows to answer one of them). It also
 *   takes frames of a client that are not masked, which nobody but a faulty client sends. Both are left as they are.
 * - Upgrades: see on_upgrade. A server's WebSockets come here as an exception: see doorway.c.
 */
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "net/internal.h"
#include "net/tls_session.h"

enum {
  RECEIVE_BYTES = 32 * 1024, /* read at once from a socket; allocated for each connection, touched when used */
  SERVICE_BYTES = 64 * 1024, /* the buffer that all share: request headers, pieces of files */
  WRITE_BYTES = 1024 * 1024, /* more than a block: the library must not cut it */
  MAX_REQUEST_HEADER_BYTES = 8192,
  MAX_REQUESTS_IN_PARSING = 256,
  HTTP_IDLE_SECONDS = 15,
  MAX_HEADER_VALUE_BYTES = 512,
};

static int on_event(struct lws *socket, enum lws_callback_reasons reason, void *session, void *in, size_t n_bytes);

static const struct lws_protocols PROTOCOLS[] = {
    {.name = "tabtensor", .callback = on_event, .rx_buffer_size = RECEIVE_BYTES, .tx_packet_size = WRITE_BYTES},
    {.name = NULL},
};

typedef struct tt_tls_host {
  struct tt_tls_host *next;
  tt_tls *tls;
  char name[TT_MAX_HOST_BYTES + 1];
  struct ssl_ctx_st *context;
  struct lws_vhost *library_host;
} tls_host;

/* We ping and judge by ourselves. */
static const lws_retry_bo_t NO_PINGS = {.secs_since_valid_ping = 0, .secs_since_valid_hangup = 0};

static tt_connection *connection_of(struct lws *socket) {
  tt_owner *owner = lws_get_opaque_user_data(socket);
  return owner != NULL && owner->kind == TT_OWNER_CONNECTION ? (tt_connection *)owner : NULL;
}

static tt_server *server_of(struct lws *socket) {
  tt_owner *owner = lws_get_opaque_user_data(socket);
  if (owner == NULL || owner->kind != TT_OWNER_SERVER) return NULL;
  tt_server *server = (tt_server *)owner;
  return server->freed ? NULL : server;
}

/* The library, opened and closed. */

static void drop_line(int level, const char *line) {
  (void)level;
  (void)line;
}

tt_status tt_library_open(tt_loop *loop, tt_error *error) {
  lws_set_log_level(0, drop_line); /* what matters is said by us, in our words */
  void *ev = loop->ev;
  struct lws_context_creation_info info = {
      .port = CONTEXT_PORT_NO_LISTEN_SERVER,
      .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_VALIDATE_UTF8 |
                 LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
      .foreign_loops = &ev,
      .pt_serv_buf_size = SERVICE_BYTES,
      .max_http_header_data = MAX_REQUEST_HEADER_BYTES,
      .max_http_header_pool = MAX_REQUESTS_IN_PARSING,
      .retry_and_idle_policy = &NO_PINGS,
      .gid = (gid_t)-1,
      .uid = (uid_t)-1,
  };
  loop->library = lws_create_context(&info);
  if (loop->library == NULL) {
    return tt_fail(error, TT_ERR_SYSTEM,
                   "libwebsockets could not start on libev: is its plugin installed (Debian: libwebsockets-evlib-ev)?");
  }
  info.options &= ~(uint64_t)LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT; /* no TLS here: see tls_host */
  info.vhost_name = "tabtensor";
  info.protocols = PROTOCOLS;
  info.keepalive_timeout = HTTP_IDLE_SECONDS;
  loop->library_host = lws_create_vhost(loop->library, &info);
  if (loop->library_host == NULL) {
    lws_context_destroy(loop->library);
    return tt_fail(error, TT_ERR_MEMORY, "libwebsockets could not start: no memory");
  }
  return TT_OK;
}

void tt_library_close(tt_loop *loop) {
  lws_context_destroy(loop->library);
  for (tls_host *host; (host = loop->tls_hosts) != NULL;) {
    loop->tls_hosts = host->next;
    tt_tls_context_free(host->context);
    tt_free(host);
  }
}

/*
 * The library keeps TLS's settings at its virtual hosts, and does not check addresses in digits: so each server that is spoken with has a virtual host
 * whose context checks its name or address itself. It stays until the loop ends, for the next try.
 */
static struct lws_vhost *find_tls_host(tt_loop *loop, tt_tls *tls, const char *name, tt_error *error) {
  for (tls_host *host = loop->tls_hosts; host != NULL; host = host->next) {
    if (host->tls == tls && strcmp(host->name, name) == 0) return host->library_host;
  }
  tls_host *host = tt_alloc(1, sizeof *host);
  if (host == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "no memory for TLS with %.200s", name);
    return NULL;
  }
  host->context = tt_tls_client_context(tls, name, error);
  if (host->context == NULL) {
    tt_free(host);
    return NULL;
  }
  host->tls = tls;
  snprintf(host->name, sizeof host->name, "%s", name);
  const struct lws_context_creation_info info = {
      .port = CONTEXT_PORT_NO_LISTEN_SERVER,
      .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_VALIDATE_UTF8 | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
      .vhost_name = host->name,
      .protocols = PROTOCOLS,
      .retry_and_idle_policy = &NO_PINGS,
      .provided_client_ssl_ctx = host->context,
  };
  host->library_host = lws_create_vhost(loop->library, &info);
  if (host->library_host == NULL) {
    tt_tls_context_free(host->context);
    tt_free(host);
    tt_fail(error, TT_ERR_MEMORY, "no memory for TLS with %.200s", name);
    return NULL;
  }
  host->next = loop->tls_hosts;
  loop->tls_hosts = host;
  return host->library_host;
}

/* HTTP. */

static void header_value(struct lws *socket, enum lws_token_indexes token, char value[MAX_HEADER_VALUE_BYTES]) {
  if (lws_hdr_copy(socket, value, MAX_HEADER_VALUE_BYTES, token) < 0) value[0] = '\0';
}

/* True: the connection may take its next request. */
static bool send_answer(struct lws *socket, const tt_http_answer *answer, bool closes, bool is_head) {
  char text[LWS_PRE + 4096];
  int n_bytes =
      snprintf(text + LWS_PRE, sizeof text - LWS_PRE, "HTTP/1.1 %d %s\r\n%s%s%s%s%s%sContent-Length: %zu\r\n\r\n%s",
               answer->status, tt_http_status_text(answer->status), answer->content_type != NULL ? "Content-Type: " : "",
               answer->content_type != NULL ? answer->content_type : "", answer->content_type != NULL ? "\r\n" : "",
               TT_HTTP_COMMON_HEADERS, answer->headers, closes ? "Connection: close\r\n" : "", strlen(answer->body),
               is_head ? "" : answer->body);
  if (n_bytes < 0 || (size_t)n_bytes >= sizeof text - LWS_PRE) return false;
  return lws_write(socket, (unsigned char *)text + LWS_PRE, (size_t)n_bytes, LWS_WRITE_HTTP_HEADERS) == n_bytes;
}

static int on_request(struct lws *socket, const char *path, size_t path_bytes) {
  tt_server *server = server_of(socket);
  if (server == NULL) return -1;
  bool is_head = lws_hdr_total_length(socket, WSI_TOKEN_HEAD_URI) > 0;
  bool is_get = lws_hdr_total_length(socket, WSI_TOKEN_GET_URI) > 0;
  char if_none_match[MAX_HEADER_VALUE_BYTES];
  header_value(socket, WSI_TOKEN_HTTP_IF_NONE_MATCH, if_none_match);
  tt_http_request request = {.method = is_head  ? "HEAD"
                                       : is_get ? "GET"
                                                : "",
                             .path = path,
                             .path_bytes = path_bytes,
                             .if_none_match = if_none_match};
  tt_http_answer answer;
  tt_http_route(server, &request, &answer);
  tt_loop_log(server->loop, TT_LOG_DEBUG, "%s %s: %d", request.method[0] != '\0' ? request.method : "?", path, answer.status);
  if (answer.file[0] == '\0') {
    bool closes = request.method[0] == '\0'; /* a body may follow that nobody wants to read */
    if (!send_answer(socket, &answer, closes, is_head) || closes) return -1;
    return lws_http_transaction_completed(socket) ? -1 : 0;
  }
  char headers[sizeof answer.headers + 1024];
  int n_bytes = snprintf(headers, sizeof headers, "%s%s", TT_HTTP_COMMON_HEADERS, answer.headers);
  int result = lws_serve_http_file(socket, answer.file, answer.content_type, headers, n_bytes);
  if (result < 0 || (result > 0 && lws_http_transaction_completed(socket))) return -1;
  return 0;
}

static int refuse_upgrade(struct lws *socket, tt_http_answer *answer, int status) {
  answer->status = status;
  answer->content_type = "text/plain; charset=utf-8";
  send_answer(socket, answer, true, false);
  return -1;
}

/*
 * A request wants to become something else. CVE-2025-11677 is about this callback: for an upgrade that the library does not know it has
 * answered and freed the headers already, but calls here with a pointer into them and goes on to compare it. So the pointer
 * is not touched, the header is asked for anew, and everything but a WebSocket (h2c, which the library would grant, included) is
 * hung up on, which leaves that path before the next use. Not handling it at all would walk into the freed memory.
 */
static int on_upgrade(struct lws *socket) {
  tt_server *server = server_of(socket);
  char wanted[MAX_HEADER_VALUE_BYTES], origin[MAX_HEADER_VALUE_BYTES], host[MAX_HEADER_VALUE_BYTES],
      text[MAX_HEADER_VALUE_BYTES];
  header_value(socket, WSI_TOKEN_UPGRADE, wanted);
  if (server == NULL || wanted[0] == '\0') return -1;
  tt_http_answer answer = {.status = 0};
  if (strcasecmp(wanted, "websocket") != 0) {
    snprintf(answer.body, sizeof answer.body, "400: this server upgrades to WebSockets only.\n");
    return refuse_upgrade(socket, &answer, 400);
  }
  header_value(socket, WSI_TOKEN_VERSION, text);
  if (strcmp(text, "13") != 0) {
    snprintf(answer.headers, sizeof answer.headers, "Sec-WebSocket-Version: 13\r\n");
    snprintf(answer.body, sizeof answer.body, "426: this server speaks version 13 of the WebSocket protocol (RFC 6455).\n");
    return refuse_upgrade(socket, &answer, 426);
  }
  header_value(socket, WSI_TOKEN_GET_URI, text);
  if (tt_server_endpoint(server, text) == NULL) {
    snprintf(answer.body, sizeof answer.body, "404: no WebSockets are taken at '%.300s'.\n", text);
    return refuse_upgrade(socket, &answer, 404);
  }
  header_value(socket, WSI_TOKEN_HOST, host);
  if (lws_hdr_copy(socket, origin, sizeof origin, WSI_TOKEN_ORIGIN) < 0) snprintf(origin, sizeof origin, "(too long)");
  if (tt_server_allows_origin(server, origin, host)) return 0;
  tt_loop_log(server->loop, TT_LOG_INFO, "refused a WebSocket of a page from %s (to %s)", origin, host);
  snprintf(answer.body, sizeof answer.body,
           "403: pages of %.200s may not connect to %.200s. Only pages that this server serves itself may. Open them by way of "
           "http://localhost or its address in digits, or start the server with --allow-origin %.200s\n",
           origin, host, origin);
  return refuse_upgrade(socket, &answer, 403);
}

/* WebSockets. */

static int on_established(struct lws *socket) {
  tt_server *server = server_of(socket);
  if (server == NULL) return -1;
  char path[MAX_HEADER_VALUE_BYTES];
  header_value(socket, WSI_TOKEN_GET_URI, path);
  const tt_own_endpoint *endpoint = tt_server_endpoint(server, path);
  if (endpoint == NULL) return -1;
  tt_connection *connection = tt_connection_new(server->loop, endpoint->events, endpoint->user, endpoint->max_message_bytes,
                                                server->ping_every_ms, &tt_library_carrier, TT_FRAMING_SERVER);
  if (connection == NULL) return -1;
  connection->server = server;
  server->n_connections++;
  connection->socket = socket;
  char address[TT_MAX_PEER_ADDRESS_BYTES];
  tt_listener_peer_address(lws_get_socket_fd(socket), address, sizeof address);
  tt_connection_set_address(connection, address);
  lws_set_opaque_user_data(socket, &connection->owner);
  tt_connection_on_opened(connection);
  return 0;
}

static void on_closed(struct lws *socket, const char *reason) {
  tt_connection *connection = connection_of(socket);
  if (connection == NULL) return;
  lws_set_opaque_user_data(socket, NULL);
  connection->socket = NULL;
  tt_connection_on_closed(connection, reason);
}

static int on_peer_close(struct lws *socket, tt_connection *connection, const uint8_t *payload, size_t n_bytes) {
  enum { HANG_UP_AFTER_MS = 100 };
  if (n_bytes == 1) { /* half a code: the library would send it back */
    if (connection != NULL) {
      tt_connection_on_peer_close(connection, LWS_CLOSE_STATUS_PROTOCOL_ERR, "", 0);
      tt_connection_start_timer(connection, HANG_UP_AFTER_MS); /* the library would wait for an answer that has come already */
    }
    lws_close_reason(socket, LWS_CLOSE_STATUS_PROTOCOL_ERR, NULL, 0);
    return -1;
  }
  if (connection == NULL) return 0;
  unsigned code = n_bytes == 0 ? TT_CLOSE_NO_CODE : (unsigned)payload[0] << 8 | payload[1];
  tt_connection_on_peer_close(connection, code, n_bytes > 2 ? (const char *)payload + 2 : "", n_bytes > 2 ? n_bytes - 2 : 0);
  return 0;
}

static int on_event(struct lws *socket, enum lws_callback_reasons reason, void *session, void *in, size_t n_bytes) {
  tt_connection *connection = connection_of(socket);
  switch (reason) {
  case LWS_CALLBACK_HTTP:
    return on_request(socket, in, n_bytes);
  case LWS_CALLBACK_HTTP_FILE_COMPLETION:
    return lws_http_transaction_completed(socket) ? -1 : 0;
  case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
    return on_upgrade(socket);

  case LWS_CALLBACK_ESTABLISHED:
    return on_established(socket);
  case LWS_CALLBACK_CLIENT_ESTABLISHED:
    if (connection == NULL) return -1;
    tt_connection_on_opened(connection);
    return 0;

  case LWS_CALLBACK_RECEIVE:
  case LWS_CALLBACK_CLIENT_RECEIVE:
    if (connection == NULL) return -1;
    tt_connection_on_sign_of_life(connection);
    tt_connection_on_piece(connection, in, n_bytes, lws_remaining_packet_payload(socket), lws_is_final_fragment(socket),
                           !lws_frame_is_binary(socket));
    return 0;
  case LWS_CALLBACK_RECEIVE_PONG:
  case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
    if (connection != NULL) tt_connection_on_sign_of_life(connection);
    return 0;

  case LWS_CALLBACK_SERVER_WRITEABLE:
  case LWS_CALLBACK_CLIENT_WRITEABLE:
    return connection != NULL && tt_connection_on_writable(connection) ? 0 : -1;

  case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
    return on_peer_close(socket, connection, in, n_bytes);
  case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    on_closed(socket, in);
    return 0;
  case LWS_CALLBACK_CLOSED:
  case LWS_CALLBACK_CLIENT_CLOSED:
  case LWS_CALLBACK_WSI_DESTROY:
    on_closed(socket, NULL);
    return 0;

  default:
    return lws_callback_http_dummy(socket, reason, session, in, n_bytes);
  }
}

void tt_library_adopt(tt_server *server, int accepted_socket) {
  lws_adopt_desc_t adoption = {
      .vh = server->loop->library_host,
      .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP,
      .fd = {.sockfd = accepted_socket},
      .opaque = &server->owner,
  };
  if (lws_adopt_descriptor_vhost_via_info(&adoption) == NULL) {
    tt_loop_log(server->loop, TT_LOG_ERROR, "a connection was turned away: too many are open, or no memory");
  }
}

tt_status tt_library_connect(tt_connection *connection, const tt_address *address, tt_tls *tls, tt_error *error) {
  tt_loop *loop = connection->loop;
  struct lws_vhost *library_host = loop->library_host;
  if (tt_scheme_is_encrypted(address->scheme)) {
    library_host = find_tls_host(loop, tls, address->host, error);
    if (library_host == NULL) return error != NULL ? error->status : TT_ERR_ARGUMENT;
  }
  char host_header[TT_MAX_HOST_BYTES + 16];
  snprintf(host_header, sizeof host_header, strchr(address->host, ':') != NULL ? "[%s]:%u" : "%s:%u", address->host,
           address->port);
  struct lws_client_connect_info info = {
      .context = loop->library,
      .vhost = library_host,
      .address = address->host,
      .host = host_header,
      .port = address->port,
      .path = address->path,
      /* Who the server is has been settled by the context; the library's own check knows names only. */
      .ssl_connection = tt_scheme_is_encrypted(address->scheme) ? LCCSCF_USE_SSL | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK : 0,
      .local_protocol_name = PROTOCOLS[0].name,
      .retry_and_idle_policy = &NO_PINGS,
      .opaque_user_data = &connection->owner,
      .pwsi = &connection->socket,
  };
  if (lws_client_connect_via_info(&info) == NULL) {
    connection->socket = NULL;
    return tt_fail(error, TT_ERR_CONNECTION, "cannot connect to %s: no such host, or nobody listens there",
                   tt_connection_address(connection));
  }
  lws_cancel_service(loop->library);
  return TT_OK;
}

static bool write_block(tt_connection *connection, tt_block *take_block, bool *all_left) {
  /* For the library these are bytes as they are, whatever they are called. */
  int n_written =
      lws_write(connection->socket, take_block->bytes + take_block->begin, take_block->end - take_block->begin, LWS_WRITE_HTTP);
  tt_free(take_block);
  if (n_written < 0) return false;
  *all_left = !lws_partial_buffered(connection->socket);
  return true;
}

static void want_write(tt_connection *connection) { lws_callback_on_writable(connection->socket); }

static void enable_reading(tt_connection *connection, bool enabled) {
  lws_rx_flow_control(connection->socket, enabled ? 1 : 0);
}

static void set_close_frame(tt_connection *connection, unsigned code, const char *reason) {
  unsigned char text[TT_MAX_CLOSE_REASON_BYTES + 1];
  size_t n_bytes = strlen(reason);
  memcpy(text, reason, n_bytes);
  lws_close_reason(connection->socket, (enum lws_close_status)code, text, n_bytes);
}

static void kill_socket(tt_connection *connection) {
  int socket = lws_get_socket_fd(connection->socket);
  /* An open socket that is shut down becomes writable and fails, and the library closes it from its own event. */
  if (socket >= 0 && shutdown(socket, SHUT_RDWR) == 0) {
    lws_callback_on_writable(connection->socket);
    return;
  }
  lws_set_timeout(connection->socket, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
  lws_cancel_service(connection->loop->library); /* so that it looks at its timeouts */
}

static void abandon(tt_connection *connection) {
  lws_set_opaque_user_data(connection->socket, NULL);
  kill_socket(connection);
  connection->socket = NULL;
}

const tt_carrier tt_library_carrier = {.write = write_block,
                                       .want_write = want_write,
                                       .read = enable_reading,
                                       .finish = set_close_frame,
                                       .kill = kill_socket,
                                       .abandon = abandon,
                                       .has_pings = true};
