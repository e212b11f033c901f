/* internal: what the files of net/ share; nobody else includes it. */
#ifndef TT_NET_INTERNAL_H
#define TT_NET_INTERNAL_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/byte_stream.h"
#include "net/connection.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/send_queue.h"
#include "net/server.h"

struct lws;
typedef struct tt_byte_stream tt_byte_stream;
typedef struct tt_doorway tt_doorway;

/*
 * What carries a connection's bytes: a WebSocket of the library (library.c), or a byte stream or a WebSocket of our own (byte_stream.c). It reports what happens by the
 * tt_connection_on_* calls below, from the loop, never from within these.
 */
typedef struct tt_carrier {
  /* Takes the block. False: it is broken. Not all left: it keeps the rest, and on_writable comes when that has gone too. */
  bool (*write)(tt_connection *connection, tt_block *take_block, bool *all_left);
  void (*want_write)(tt_connection *connection);
  void (*read)(tt_connection *connection, bool enabled);
  /* All that was queued has left: what is said last, before on_writable answers false. */
  void (*finish)(tt_connection *connection, unsigned code, const char *reason);
  void (*kill)(tt_connection *connection);    /* its end is reported from the loop */
  void (*abandon)(tt_connection *connection); /* the same, and nothing of it is reported any more */
  bool has_pings;
} tt_carrier;

/* What the library's sockets carry: a server until they have become WebSockets, a connection from then on. */
typedef enum tt_owner_kind { TT_OWNER_SERVER, TT_OWNER_CONNECTION } tt_owner_kind;

typedef struct tt_owner {
  tt_owner_kind kind;
} tt_owner;

enum {
  TT_MAX_CLOSE_REASON_BYTES = 123, /* RFC 6455: a control frame has 125 bytes, two are the code */
  TT_CLOSE_DEADLINE_MS = 5000,
};

typedef enum tt_connection_state {
  TT_STATE_CONNECTING,
  TT_STATE_OPEN,
  TT_STATE_CLOSING, /* what is queued leaves, then the close frame */
  TT_STATE_ENDING,  /* the library has the last word */
} tt_connection_state;

struct tt_connection {
  tt_owner owner;
  tt_loop *loop;
  tt_server *server; /* NULL: we connected, or it is no WebSocket */
  const tt_carrier *carrier;
  struct lws *socket; /* these two are their carriers'; NULL once it has gone */
  tt_byte_stream *stream;
  tt_connection *next, **link; /* the loop's list */
  const tt_connection_events *events;
  void *user;
  tt_connection_state state;
  bool paused, stuck, pinged, above_low_water;
  unsigned close_code;
  char close_reason[TT_MAX_CLOSE_REASON_BYTES + 1];
  tt_send_queue queue;
  size_t handed_bytes; /* given to the library, which could not write all of them yet */
  size_t low_water_bytes;
  size_t max_message_bytes;
  tt_block *incoming; /* the message that is arriving; NULL when none or when it has all come at once */
  int64_t ping_every_ms;
  int64_t alive_ms;
  ev_timer timer; /* connecting, pinging, closing: one at a time */
  int64_t timer_due_ms;
  char *address; /* owned; NULL: no memory for it */
};

/* The options of a server, with strings of its own. */
typedef struct tt_own_endpoint {
  char *path; /* NULL: every path */
  const tt_connection_events *events;
  void *user;
  size_t max_message_bytes;
} tt_own_endpoint;

typedef struct tt_own_mount {
  char *prefix; /* begins and ends with '/' */
  char *folder;
} tt_own_mount;

struct tt_server {
  tt_owner owner;
  tt_loop *loop;
  tt_server *next;
  bool freed; /* kept until the loop goes, since the library's sockets may still point here */
  tt_listener listener;
  tt_doorway *doorways;
  tt_own_endpoint *endpoints;
  size_t n_endpoints;
  tt_own_mount *mounts;
  size_t n_mounts;
  char **allowed_origins;
  size_t n_allowed_origins;
  int64_t ping_every_ms;
  size_t n_connections;
};

struct tt_byte_stream_server {
  tt_loop *loop;
  tt_byte_stream_server *next, **link; /* the loop's list */
  tt_byte_stream_options options;      /* without `url` */
  char url[TT_MAX_URL_BYTES];
  tt_listener listener;
  tt_byte_stream *in_handshake;
  size_t n_in_handshake;
};

enum { TT_RECEIVE_BYTES = 64 * 1024 };

struct tt_loop {
  struct ev_loop *ev;
  struct lws_context *library;
  struct lws_vhost *library_host;
  struct tt_tls_host *tls_hosts; /* library.c's: one for each server and certificate that wss was spoken with */
  tt_connection *connections;
  tt_server *servers;
  tt_byte_stream_server *stream_servers;
  uint8_t *received;   /* TT_RECEIVE_BYTES that all streams read into */
  tt_byte_stream *due; /* those that have something to write when this turn of the loop ends */
  ev_prepare turn_end;
  bool is_writing_due;
  bool stopping;
  tt_log_sink log;
  void *log_user;
};

/* connection.c: what the library's file reports. */
tt_connection *tt_connection_new(tt_loop *loop, const tt_connection_events *events, void *user, size_t max_message_bytes,
                                 int64_t ping_every_ms, const tt_carrier *carrier,
                                 tt_framing_kind framing); /* NULL: no memory */
void tt_connection_discard(tt_connection *connection);     /* without a word to anybody: it was never seen */
void tt_connection_start_timer(tt_connection *connection, int64_t after_ms);
void tt_connection_set_address(tt_connection *connection, const char *address);
void tt_connection_on_opened(tt_connection *connection);
void tt_connection_on_piece(tt_connection *connection, const uint8_t *bytes, size_t n_bytes, size_t n_left_in_frame,
                            bool is_final, bool is_text);
/*
 * The same for bytes that are read to where they stay: room for n_bytes at the end of the message that is arriving, NULL when there is no such message; and that
 * they are there.
 */
uint8_t *tt_connection_room(tt_connection *connection, size_t n_bytes);
void tt_connection_on_piece_in_room(tt_connection *connection, size_t n_bytes, bool is_final, bool is_text);
void tt_connection_on_sign_of_life(tt_connection *connection); /* something came; some of what was stuck has left */
bool tt_connection_on_writable(tt_connection *connection);     /* false: the library is to end it now */
void tt_connection_on_peer_close(tt_connection *connection, unsigned code, const char *reason, size_t n_bytes);
void tt_connection_on_closed(tt_connection *connection, const char *reason); /* the last word; `reason` may be NULL */

/* server.c, http.c */
const tt_own_endpoint *tt_server_endpoint(const tt_server *server, const char *path); /* NULL: none */
bool tt_server_allows_origin(const tt_server *server, const char *origin, const char *host);
void tt_server_release(tt_server *server);

/* An answer to a request, in plain words; the library's file sends it. */
typedef struct tt_http_request {
  const char *method; /* "GET", "HEAD", or "" for any other */
  const char *path;   /* decoded, without the query */
  size_t path_bytes;
  const char *if_none_match; /* "" when absent */
} tt_http_request;

enum { TT_MAX_FILE_PATH_BYTES = 4096 };

typedef struct tt_http_answer {
  int status;
  const char *content_type;
  char headers[256];                 /* beside the common ones; each ends with CR LF */
  char body[1024];                   /* when no file is sent */
  char file[TT_MAX_FILE_PATH_BYTES]; /* "" for none */
} tt_http_answer;

void tt_http_route(const tt_server *server, const tt_http_request *request, tt_http_answer *answer);
const char *tt_http_status_text(int status);
extern const char TT_HTTP_COMMON_HEADERS[];

/* library.c: the one file that knows libwebsockets. */
tt_status tt_library_open(tt_loop *loop, tt_error *error);
void tt_library_close(tt_loop *loop);
void tt_library_adopt(tt_server *server, int accepted_socket); /* takes the socket */
tt_status tt_library_connect(tt_connection *connection, const tt_address *address, tt_tls *tls, tt_error *error);
extern const tt_carrier tt_library_carrier;

/* doorway.c */
void tt_doorway_open(tt_server *server, int accepted_socket); /* takes the socket */
void tt_doorways_close(tt_server *server);

/* byte_stream.c, byte_stream_server.c */
extern const tt_carrier tt_byte_stream_carrier;
/* A server's WebSocket on a socket whose request is about to be granted; takes the socket, and tells `opened` nothing yet. NULL: no memory. */
tt_connection *tt_byte_stream_adopt_websocket(tt_server *server, const tt_own_endpoint *endpoint, int socket);
void tt_byte_streams_write_due(tt_loop *loop);                         /* what the loop calls at the end of a turn */
void tt_byte_stream_accept(tt_byte_stream_server *server, int socket); /* takes the socket */
void tt_byte_stream_hang_up(tt_byte_stream *stream);                   /* one in a handshake, without a word to anybody */
void tt_byte_stream_servers_free(tt_loop *loop);                       /* what the loop asks at its end */

#endif
