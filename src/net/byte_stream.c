#include "net/byte_stream.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/address.h"
#include "net/internal.h"
#include "net/tls_session.h"
#include "net/websocket.h"

enum {
  HANDSHAKE_MS = 10000,
  MAX_IN_HANDSHAKE = 256,
  MAX_READ_A_PASS = 512 * 1024, /* then others get their turn */
  LEAST_IN_PLACE = 16 * 1024,   /* of a message's rest: below it, one read and a copy are cheaper than two reads */
  READ_BEHIND = 4 * 1024,       /* of what follows a message that is read to where it stays */
  MAX_PONGS_BEHIND = 64 * 1024, /* with more queued, of several pings the last is answered */
};

typedef enum stream_phase {
  PHASE_CONNECTING,
  PHASE_SHAKING, /* TLS */
  PHASE_OPEN,
  PHASE_FINISHED, /* we have said our last; what still comes is read and forgotten until the other end has finished too */
  PHASE_KILLED,   /* its end is due to be reported */
} stream_phase;

/* A server's end of a WebSocket. */
typedef struct websocket_end {
  tt_websocket frames;
  bool is_pong_due;
  uint8_t n_pong;
  uint8_t pong[TT_MAX_CONTROL_BYTES]; /* what the last ping asked, when its answer could not be queued at once */
  bool is_close_due;                  /* the peer has closed, and hears the code from us before we hang up */
  unsigned close_code;
} websocket_end;

struct tt_byte_stream {
  tt_loop *loop;
  tt_connection *connection;     /* NULL: accepted, and still in its handshake */
  tt_byte_stream_server *server; /* whose handshake; NULL after it, and when we connected */
  tt_byte_stream *next, **link;  /* the server's list of those */
  stream_phase phase;
  int socket;
  tt_tls *tls;
  tt_tls_session *session; /* NULL: no TLS */
  bool is_unix, is_encrypted, wants_write, read_wants_write, is_hopeless;
  tt_byte_stream *next_due, **due_link; /* the loop's list; NULL: not in it */
  ev_io readable, writable;
  ev_timer soon;                      /* what must not happen within a call, and what waits in TLS's buffers */
  ev_timer deadline;                  /* of a handshake at a server; other deadlines are the connection's */
  struct addrinfo *found, *candidate; /* connecting: where to, and which is tried */
  char *host;                         /* owned; whom a TLS server has to be */
  const tt_framing *framing;
  websocket_end *websocket;             /* owned; NULL: messages follow each other as they are */
  uint8_t header[TT_MAX_FRAMING_BYTES]; /* the beginning of a message that is not long enough to be measured */
  size_t header_bytes;
  size_t left_bytes;   /* of the message that is arriving */
  tt_block *held;      /* arrived in one read with a message that paused us */
  tt_block *unwritten; /* the block that the socket did not take to its end */
  int64_t keepalive_ms;
};

/* ---- the socket and TLS alike ---- */

static tt_io socket_receive(const tt_byte_stream *stream, struct msghdr *message, size_t *n_read) {
  for (;;) {
    ssize_t n = recvmsg(stream->socket, message, 0);
    if (n > 0) {
      *n_read = (size_t)n;
      return TT_IO_DONE;
    }
    if (n == 0) return TT_IO_END;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? TT_IO_WANTS_READ : TT_IO_BROKEN;
  }
}

static tt_io socket_read(tt_byte_stream *stream, uint8_t *bytes, size_t n_bytes, size_t *n_read) {
  if (stream->session != NULL) return tt_tls_read(stream->session, bytes, n_bytes, n_read);
  struct iovec place = {.iov_base = bytes, .iov_len = n_bytes};
  return socket_receive(stream, &(struct msghdr){.msg_iov = &place, .msg_iovlen = 1}, n_read);
}

static tt_io socket_write(tt_byte_stream *stream, const uint8_t *bytes, size_t n_bytes, size_t *n_written) {
  if (stream->session != NULL) return tt_tls_write(stream->session, bytes, n_bytes, n_written);
  for (;;) {
    ssize_t n = send(stream->socket, bytes, n_bytes, MSG_NOSIGNAL);
    if (n >= 0) {
      *n_written = (size_t)n;
      return TT_IO_DONE;
    }
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? TT_IO_WANTS_WRITE : TT_IO_BROKEN;
  }
}

static const char *why_broken(const tt_byte_stream *stream, int number) {
  return stream->session != NULL ? tt_tls_session_why(stream->session) : strerror(number);
}

/* Whether the other end is there at all, the system finds out: in silence by probes, else by what is not acknowledged. */
static void keep_alive(const tt_byte_stream *stream) {
  if (stream->is_unix) return;
  int idle_s = (int)(stream->keepalive_ms / 1000), interval_s = idle_s / 3;
  setsockopt(stream->socket, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
  setsockopt(stream->socket, IPPROTO_TCP, TCP_KEEPIDLE, &(int){idle_s > 0 ? idle_s : 1}, sizeof(int));
  setsockopt(stream->socket, IPPROTO_TCP, TCP_KEEPINTVL, &(int){interval_s > 0 ? interval_s : 1}, sizeof(int));
  setsockopt(stream->socket, IPPROTO_TCP, TCP_KEEPCNT, &(int){3}, sizeof(int));
  setsockopt(stream->socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &(unsigned){(unsigned)(2 * stream->keepalive_ms)},
             sizeof(unsigned));
}

/* ---- its life ---- */

static void watch(tt_byte_stream *stream, ev_io *watcher, bool enabled) {
  if (enabled) {
    ev_io_start(stream->loop->ev, watcher);
  } else {
    ev_io_stop(stream->loop->ev, watcher);
  }
}

/* Which events of the socket are of interest now. */
static void update_watch(tt_byte_stream *stream) {
  bool is_paused = stream->connection != NULL && stream->connection->paused;
  bool is_up = stream->phase == PHASE_OPEN || stream->phase == PHASE_FINISHED;
  watch(stream, &stream->readable, stream->phase == PHASE_SHAKING || (is_up && !is_paused));
  watch(stream, &stream->writable,
        stream->phase == PHASE_CONNECTING ||
            (stream->phase != PHASE_KILLED && ((stream->wants_write && stream->due_link == NULL) || stream->read_wants_write)));
}

static void leave_due(tt_byte_stream *stream) {
  if (stream->due_link == NULL) return;
  *stream->due_link = stream->next_due;
  if (stream->next_due != NULL) stream->next_due->due_link = stream->due_link;
  stream->due_link = NULL;
}

static void enter_due(tt_byte_stream *stream) {
  if (stream->due_link != NULL) return;
  stream->next_due = stream->loop->due;
  stream->due_link = &stream->loop->due;
  if (stream->next_due != NULL) stream->next_due->due_link = &stream->next_due;
  stream->loop->due = stream;
}

static void soon(tt_byte_stream *stream) {
  if (!ev_is_active(&stream->soon)) ev_timer_start(stream->loop->ev, &stream->soon);
}

static void on_io(struct ev_loop *ev, ev_io *watcher, int events);
static void on_soon(struct ev_loop *ev, ev_timer *timer, int events);

static void on_deadline(struct ev_loop *ev, ev_timer *timer, int events) {
  (void)ev, (void)events;
  tt_byte_stream_hang_up(timer->data);
}

static void set_socket(tt_byte_stream *stream, int socket) {
  stream->socket = socket;
  ev_io_init(&stream->readable, on_io, socket, EV_READ);
  ev_io_init(&stream->writable, on_io, socket, EV_WRITE);
  stream->readable.data = stream;
  stream->writable.data = stream;
}

static tt_byte_stream *new_stream(tt_loop *loop, const tt_byte_stream_options *options) {
  tt_byte_stream *stream = tt_alloc(1, sizeof *stream);
  if (stream == NULL) return NULL;
  stream->loop = loop;
  stream->tls = options->tls;
  stream->framing = options->framing;
  stream->keepalive_ms = options->ping_every_ms > 0 ? options->ping_every_ms : TT_PING_EVERY_MS;
  set_socket(stream, -1);
  ev_timer_init(&stream->soon, on_soon, 0.0, 0.0);
  stream->soon.data = stream;
  ev_timer_init(&stream->deadline, on_deadline, 0.0, 0.0);
  stream->deadline.data = stream;
  return stream;
}

static void close_socket(tt_byte_stream *stream) {
  if (stream->socket < 0) return;
  ev_io_stop(stream->loop->ev, &stream->readable);
  ev_io_stop(stream->loop->ev, &stream->writable);
  close(stream->socket);
  stream->socket = -1;
}

static void leave_server(tt_byte_stream *stream) {
  ev_timer_stop(stream->loop->ev, &stream->deadline);
  if (stream->server == NULL) return;
  *stream->link = stream->next;
  if (stream->next != NULL) stream->next->link = stream->link;
  stream->server->n_in_handshake--;
  stream->server = NULL;
}

static void free_stream(tt_byte_stream *stream) {
  leave_server(stream);
  leave_due(stream);
  ev_timer_stop(stream->loop->ev, &stream->soon);
  tt_tls_session_free(stream->session);
  close_socket(stream);
  if (stream->found != NULL) freeaddrinfo(stream->found);
  tt_free(stream->held);
  tt_free(stream->unwritten);
  tt_free(stream->host);
  tt_free(stream->websocket);
  if (stream->connection != NULL) stream->connection->stream = NULL;
  tt_free(stream);
}

/* The end, reported. Not from within a call of the connection's. */
static void end_stream(tt_byte_stream *stream, const char *reason) {
  tt_connection *connection = stream->connection;
  char text[256];
  if (reason != NULL) snprintf(text, sizeof text, "%.255s", reason);
  free_stream(stream);
  if (connection != NULL) tt_connection_on_closed(connection, reason != NULL ? text : NULL);
}

void tt_byte_stream_hang_up(tt_byte_stream *stream) { free_stream(stream); }

/* ---- receiving ---- */

static size_t take_frame(tt_byte_stream *stream, uint8_t *bytes, size_t n_bytes);
static void say_close(tt_byte_stream *stream, unsigned code, const char *reason);

/* Of a WebSocket, what comes behind our own close is looked at too: its end is the peer's close. */
static bool takes_messages(const tt_byte_stream *stream) {
  if (stream->is_hopeless || stream->phase == PHASE_KILLED) return false;
  if (stream->websocket != NULL) return !stream->websocket->is_close_due;
  return stream->phase == PHASE_OPEN && tt_connection_is_open(stream->connection);
}

/* Where the next message would begin nobody knows: the last word on these bytes is the protocol's. */
static void hand_on_as_they_are(tt_byte_stream *stream, const uint8_t *bytes, size_t n_bytes, const tt_error *error) {
  stream->is_hopeless = true;
  tt_connection_on_piece(stream->connection, bytes, n_bytes, 0, true, false);
  if (tt_connection_is_open(stream->connection)) tt_connection_close(stream->connection, TT_CLOSE_UNSUPPORTED, error->message);
}

/* Takes the beginning of a message; answers how many of the bytes belong to it, as far as they are here. */
static size_t begin_message(tt_byte_stream *stream, const uint8_t *bytes, size_t n_bytes) {
  size_t needed = stream->framing->header_bytes - stream->header_bytes;
  if (n_bytes < needed) {
    memcpy(stream->header + stream->header_bytes, bytes, n_bytes);
    stream->header_bytes += n_bytes;
    return n_bytes;
  }
  tt_error error = {.status = TT_ERR_PROTOCOL, .message = "a message is shorter than its own beginning"};
  size_t header_bytes = stream->header_bytes, message_bytes = 0;
  const uint8_t *header = bytes;
  if (header_bytes > 0) { /* it came in pieces */
    memcpy(stream->header + header_bytes, bytes, needed);
    header = stream->header;
  }
  stream->header_bytes = 0;
  if (stream->framing->measure(header, stream->framing->header_bytes, &message_bytes, &error) != TT_OK ||
      message_bytes < stream->framing->header_bytes) {
    hand_on_as_they_are(stream, header, header == bytes ? n_bytes : stream->framing->header_bytes, &error);
    return n_bytes;
  }
  if (header == bytes) {
    size_t here = n_bytes < message_bytes ? n_bytes : message_bytes;
    stream->left_bytes = message_bytes - here;
    tt_connection_on_piece(stream->connection, bytes, here, 0, stream->left_bytes == 0, false);
    return here;
  }
  stream->left_bytes = message_bytes - stream->framing->header_bytes;
  tt_connection_on_piece(stream->connection, header, stream->framing->header_bytes, 0, stream->left_bytes == 0, false);
  return needed;
}

static size_t take_message(tt_byte_stream *stream, const uint8_t *bytes, size_t n_bytes) {
  if (stream->left_bytes == 0) return begin_message(stream, bytes, n_bytes);
  size_t taken = n_bytes < stream->left_bytes ? n_bytes : stream->left_bytes;
  stream->left_bytes -= taken;
  tt_connection_on_piece(stream->connection, bytes, taken, 0, stream->left_bytes == 0, false);
  return taken;
}

static void consume(tt_byte_stream *stream, uint8_t *bytes, size_t n_bytes) {
  while (n_bytes > 0 && takes_messages(stream) && !stream->connection->paused) {
    size_t taken = stream->websocket != NULL ? take_frame(stream, bytes, n_bytes) : take_message(stream, bytes, n_bytes);
    bytes += taken;
    n_bytes -= taken;
  }
  if (n_bytes == 0 || !takes_messages(stream)) return;
  stream->held = tt_block_new(n_bytes);
  if (stream->held == NULL) {
    tt_connection_drop(stream->connection, "no memory for what came behind a message");
    return;
  }
  memcpy(stream->held->bytes + stream->held->end, bytes, n_bytes);
  stream->held->end += n_bytes;
}

/* ---- a WebSocket's frames ---- */

static void want_write(tt_connection *connection);

static void answer_ping(tt_byte_stream *stream, const uint8_t *payload, size_t n_bytes) {
  tt_connection *connection = stream->connection;
  websocket_end *websocket = stream->websocket;
  if (!tt_connection_is_open(connection)) return;
  if (tt_connection_queued_bytes(connection) > MAX_PONGS_BEHIND ||
      !tt_send_queue_frame(&connection->queue, TT_FRAME_PONG, payload, n_bytes)) {
    if (n_bytes > 0) memmove(websocket->pong, payload, n_bytes);
    websocket->n_pong = (uint8_t)n_bytes;
    websocket->is_pong_due = true;
    return;
  }
  websocket->is_pong_due = false;
  want_write(connection);
}

/* Takes what the next frame has of these bytes; answers how many those are. */
static size_t take_frame(tt_byte_stream *stream, uint8_t *bytes, size_t n_bytes) {
  tt_connection *connection = stream->connection;
  websocket_end *websocket = stream->websocket;
  const tt_websocket_step step = tt_websocket_read(&websocket->frames, bytes, n_bytes);
  switch (step.event) {
  case TT_WEBSOCKET_PIECE:
    tt_connection_on_piece(connection, step.bytes, step.n_bytes, step.n_left, step.is_final, step.is_text);
    break;
  case TT_WEBSOCKET_PING:
    answer_ping(stream, step.bytes, step.n_bytes);
    break;
  case TT_WEBSOCKET_CLOSE:
    websocket->is_close_due = true;
    websocket->close_code = connection->state == TT_STATE_OPEN ? step.code : connection->close_code;
    tt_connection_on_peer_close(connection, step.code, (const char *)step.bytes, step.n_bytes);
    break;
  case TT_WEBSOCKET_WRONG:
    stream->is_hopeless = true;
    tt_connection_close(connection, step.code, step.why);
    break;
  case TT_WEBSOCKET_NOTHING:
  case TT_WEBSOCKET_PONG:
    break;
  }
  return step.n_taken;
}

/*
 * Reads the rest of a large message to where it stays, and in the same go the beginning of what follows. What the socket answers; DONE: it has been taken.
 */
static tt_io read_in_place(tt_byte_stream *stream, uint8_t *room, size_t left, size_t *n_read) {
  struct iovec places[] = {{.iov_base = room, .iov_len = left}, {.iov_base = stream->loop->received, .iov_len = READ_BEHIND}};
  struct msghdr message = {.msg_iov = places, .msg_iovlen = 2};
  tt_io io = socket_receive(stream, &message, n_read);
  if (io != TT_IO_DONE) return io;
  size_t n_in_place = *n_read < left ? *n_read : left;
  const tt_websocket_step step = tt_websocket_read(&stream->websocket->frames, room, n_in_place);
  tt_connection_on_piece_in_room(stream->connection, n_in_place, step.is_final, step.is_text);
  consume(stream, stream->loop->received, *n_read - n_in_place);
  return TT_IO_DONE;
}

static void consume_held(tt_byte_stream *stream) {
  tt_block *held = stream->held;
  stream->held = NULL;
  consume(stream, held->bytes + held->begin, held->end - held->begin);
  tt_free(held);
}

/* Once nothing is in the middle of leaving: the last words of a WebSocket that has none left to say. False: the stream is gone. */
static bool wind_up(tt_byte_stream *stream) {
  websocket_end *websocket = stream->websocket;
  if (websocket == NULL || stream->unwritten != NULL) return true;
  if (websocket->is_close_due && stream->phase == PHASE_OPEN) say_close(stream, websocket->close_code, "");
  if (stream->unwritten != NULL) return true;
  if (websocket->is_close_due) {
    end_stream(stream, NULL);
    return false;
  }
  if (stream->is_hopeless && stream->phase == PHASE_FINISHED) shutdown(stream->socket, SHUT_WR);
  return true;
}

static void on_other_end_finished(tt_byte_stream *stream) {
  if (stream->websocket != NULL) { /* and has not closed */
    end_stream(stream, NULL);
    return;
  }
  if (takes_messages(stream) && (stream->header_bytes > 0 || stream->left_bytes > 0)) {
    end_stream(stream, "the other end hung up in the middle of a message");
    return;
  }
  tt_connection_on_peer_close(stream->connection, TT_CLOSE_NORMAL, "", 0); /* the first word counts: ours, if we have said it */
  end_stream(stream, NULL);
}

/* Reads what is there; false: the stream is gone. */
static bool take_in(tt_byte_stream *stream) {
  stream->read_wants_write = false;
  if (stream->held != NULL && !stream->connection->paused) {
    consume_held(stream);
    if (!wind_up(stream)) return false; /* a close may have been in it */
  }
  for (size_t n_taken = 0; n_taken < MAX_READ_A_PASS;) {
    if (stream->phase == PHASE_KILLED || stream->connection->paused) return true;
    size_t n_read = 0, n_wanted = TT_RECEIVE_BYTES;
    size_t left = stream->websocket != NULL ? tt_websocket_payload_left(&stream->websocket->frames) : 0;
    uint8_t *room = left >= LEAST_IN_PLACE ? tt_connection_room(stream->connection, left) : NULL;
    tt_io io;
    if (room != NULL) {
      n_wanted = left + READ_BEHIND;
      io = read_in_place(stream, room, left, &n_read);
    } else {
      io = socket_read(stream, stream->loop->received, TT_RECEIVE_BYTES, &n_read);
    }
    int number = errno;
    switch (io) {
    case TT_IO_DONE:
      if (room == NULL) consume(stream, stream->loop->received, n_read);
      tt_connection_on_sign_of_life(stream->connection);
      if (!wind_up(stream)) return false;
      if (stream->session == NULL && n_read < n_wanted) return true; /* that was all */
      n_taken += n_read;
      break;
    case TT_IO_WANTS_READ:
      return true;
    case TT_IO_WANTS_WRITE:
      stream->read_wants_write = true;
      return true;
    case TT_IO_END:
      on_other_end_finished(stream);
      return false;
    case TT_IO_BROKEN:
      end_stream(stream, why_broken(stream, number));
      return false;
    }
  }
  if (stream->session != NULL) soon(stream); /* the rest may lie in TLS's buffer, of which the socket does not tell */
  return true;
}

/* ---- sending: what the connection calls ---- */

static bool write_block(tt_connection *connection, tt_block *take_block, bool *all_left) {
  tt_byte_stream *stream = connection->stream;
  while (take_block->begin < take_block->end) {
    size_t n_written = 0;
    tt_io io = socket_write(stream, take_block->bytes + take_block->begin, take_block->end - take_block->begin, &n_written);
    if (io == TT_IO_BROKEN) {
      tt_free(take_block);
      return false;
    }
    take_block->begin += n_written;
    bool is_full = io != TT_IO_DONE || (stream->session == NULL && take_block->begin < take_block->end);
    if (is_full) {
      stream->unwritten = take_block;
      *all_left = false;
      return true;
    }
  }
  tt_free(take_block);
  *all_left = true;
  return true;
}

static void want_write(tt_connection *connection) {
  tt_byte_stream *stream = connection->stream;
  stream->wants_write = true;
  if (stream->phase != PHASE_OPEN || ev_is_active(&stream->writable)) return;
  if (stream->loop->is_writing_due) { /* again: it is the others' turn first */
    update_watch(stream);
  } else {
    enter_due(stream);
  }
}

static void enable_reading(tt_connection *connection, bool enabled) {
  tt_byte_stream *stream = connection->stream;
  update_watch(stream);
  if (enabled && (stream->held != NULL || stream->session != NULL)) soon(stream);
}

static void finish(tt_connection *connection, unsigned code, const char *reason) {
  (void)code, (void)reason;
  tt_byte_stream *stream = connection->stream;
  if (stream->session != NULL) tt_tls_finish(stream->session);
  shutdown(stream->socket, SHUT_WR);
  stream->phase = PHASE_FINISHED;
}

/* What a WebSocket says last. Nothing is in the middle of leaving. */
static void say_close(tt_byte_stream *stream, unsigned code, const char *reason) {
  uint8_t payload[2 + TT_MAX_CLOSE_REASON_BYTES] = {(uint8_t)(code >> 8), (uint8_t)code};
  size_t n_reason = strlen(reason), n_bytes = code == TT_CLOSE_NO_CODE ? 0 : 2 + n_reason;
  memcpy(payload + 2, reason, n_reason);
  stream->phase = PHASE_FINISHED;
  tt_send_queue queue;
  tt_send_queue_init(&queue, TT_FRAMING_SERVER);
  bool all_left = true;
  if (!tt_send_queue_frame(&queue, TT_FRAME_CLOSE, payload, n_bytes) ||
      !write_block(stream->connection, tt_send_queue_next(&queue), &all_left)) {
    shutdown(stream->socket, SHUT_WR);
  }
  stream->wants_write = !all_left;
}

static void finish_websocket(tt_connection *connection, unsigned code, const char *reason) {
  say_close(connection->stream, code, reason);
}

static void kill_stream(tt_connection *connection) {
  tt_byte_stream *stream = connection->stream;
  stream->phase = PHASE_KILLED;
  update_watch(stream);
  soon(stream);
}

static void abandon(tt_connection *connection) { free_stream(connection->stream); }

const tt_carrier tt_byte_stream_carrier = {.write = write_block,
                                           .want_write = want_write,
                                           .read = enable_reading,
                                           .finish = finish,
                                           .kill = kill_stream,
                                           .abandon = abandon,
                                           .has_pings = false};

static const tt_carrier websocket_carrier = {.write = write_block,
                                             .want_write = want_write,
                                             .read = enable_reading,
                                             .finish = finish_websocket,
                                             .kill = kill_stream,
                                             .abandon = abandon,
                                             .has_pings = true};

/*
 * A write has failed. Over TLS the other end may have said why before it hung up: it refuses a client's certificate only when the client takes the
 * handshake for done.
 */
static void end_unwritable(tt_byte_stream *stream, int number) {
  size_t n_read;
  if (stream->session == NULL) {
    end_stream(stream, strerror(number));
    return;
  }
  tt_io io = TT_IO_DONE;
  for (size_t n = 0; io == TT_IO_DONE && n < MAX_READ_A_PASS; n += n_read) {
    io = socket_read(stream, stream->loop->received, TT_RECEIVE_BYTES, &n_read);
  }
  end_stream(stream, tt_tls_session_why(stream->session));
}

/* Writes what waits; false: the stream is gone. */
static bool give_out(tt_byte_stream *stream) {
  tt_block *block = stream->unwritten;
  if (block != NULL) {
    stream->unwritten = NULL;
    size_t before = block->begin;
    bool all_left = true;
    if (!write_block(stream->connection, block, &all_left)) {
      end_unwritable(stream, errno);
      return false;
    }
    if (!all_left) {
      if (block->begin > before) tt_connection_on_sign_of_life(stream->connection);
      return true;
    }
  }
  stream->wants_write = false;
  if (stream->phase == PHASE_OPEN && !tt_connection_on_writable(stream->connection) && stream->phase == PHASE_OPEN) {
    end_unwritable(stream, errno);
    return false;
  }
  if (stream->unwritten != NULL) stream->wants_write = true;
  if (stream->websocket != NULL && stream->websocket->is_pong_due && stream->phase == PHASE_OPEN) {
    answer_ping(stream, stream->websocket->pong, stream->websocket->n_pong);
  }
  return wind_up(stream);
}

void tt_byte_streams_write_due(tt_loop *loop) {
  loop->is_writing_due = true;
  for (tt_byte_stream *stream; (stream = loop->due) != NULL;) {
    leave_due(stream);
    if (!stream->wants_write || stream->phase != PHASE_OPEN || give_out(stream)) update_watch(stream);
  }
  loop->is_writing_due = false;
}

/* ---- opening ---- */

tt_connection *tt_byte_stream_adopt_websocket(tt_server *server, const tt_own_endpoint *endpoint, int socket) {
  tt_byte_stream *stream = new_stream(server->loop, &(tt_byte_stream_options){.ping_every_ms = server->ping_every_ms});
  websocket_end *websocket = tt_alloc(1, sizeof *websocket);
  tt_connection *connection =
      stream != NULL && websocket != NULL
          ? tt_connection_new(server->loop, endpoint->events, endpoint->user, endpoint->max_message_bytes,
                              server->ping_every_ms, &websocket_carrier, TT_FRAMING_SERVER)
          : NULL;
  if (connection == NULL) {
    if (stream != NULL) free_stream(stream);
    tt_free(websocket);
    return NULL;
  }
  char address[TT_MAX_PEER_ADDRESS_BYTES];
  tt_listener_peer_address(socket, address, sizeof address);
  tt_connection_set_address(connection, address);
  connection->server = server;
  server->n_connections++;
  connection->stream = stream;
  stream->connection = connection;
  stream->websocket = websocket;
  stream->phase = PHASE_OPEN;
  set_socket(stream, socket);
  update_watch(stream);
  return connection;
}

/* True: the connection is open and has been told; false: the stream is gone. */
static bool open_stream(tt_byte_stream *stream) {
  stream->phase = PHASE_OPEN;
  tt_byte_stream_server *server = stream->server;
  if (server != NULL) {
    leave_server(stream);
    const tt_byte_stream_options *options = &server->options;
    tt_connection *connection = tt_connection_new(stream->loop, options->events, options->user, options->max_message_bytes,
                                                  options->ping_every_ms, &tt_byte_stream_carrier, TT_FRAMING_NONE);
    if (connection == NULL) {
      tt_loop_log(stream->loop, TT_LOG_ERROR, "a connection was turned away: no memory");
      free_stream(stream);
      return false;
    }
    connection->stream = stream;
    stream->connection = connection;
    char address[TT_MAX_PEER_ADDRESS_BYTES];
    tt_listener_peer_address(stream->socket, address, sizeof address);
    tt_connection_set_address(connection, stream->is_unix ? server->url : address);
  }
  update_watch(stream);
  if (stream->session != NULL) soon(stream); /* its first bytes may have come with the handshake */
  tt_connection_on_opened(stream->connection);
  return true;
}

static void on_handshake_failed(tt_byte_stream *stream) {
  const char *why = tt_tls_session_why(stream->session);
  if (stream->connection == NULL) {
    tt_loop_log(stream->loop, TT_LOG_INFO, "a TLS handshake failed: %s", why);
    /* What is left unread when a socket is closed resets the connection, and the alert that says why may not arrive. */
    shutdown(stream->socket, SHUT_WR);
    for (int i = 0; i < 16 && recv(stream->socket, stream->loop->received, TT_RECEIVE_BYTES, 0) > 0;) i++;
  }
  end_stream(stream, why);
}

static void shake(tt_byte_stream *stream) {
  switch (tt_tls_shake(stream->session)) {
  case TT_IO_DONE:
    stream->wants_write = false;
    open_stream(stream);
    break;
  case TT_IO_WANTS_READ:
    stream->wants_write = false;
    update_watch(stream);
    break;
  case TT_IO_WANTS_WRITE:
    stream->wants_write = true;
    update_watch(stream);
    break;
  case TT_IO_END:
  case TT_IO_BROKEN:
    on_handshake_failed(stream);
    break;
  }
}

void tt_byte_stream_accept(tt_byte_stream_server *server, int socket) {
  size_t most = server->options.max_in_handshake > 0 ? server->options.max_in_handshake : MAX_IN_HANDSHAKE;
  tt_byte_stream *stream = server->n_in_handshake < most ? new_stream(server->loop, &server->options) : NULL;
  if (stream == NULL) {
    tt_loop_log(server->loop, TT_LOG_ERROR, "a connection was turned away: too many are in their handshake, or no memory");
    close(socket);
    return;
  }
  set_socket(stream, socket);
  stream->is_unix = server->listener.path[0] != '\0';
  stream->is_encrypted = stream->tls != NULL;
  stream->server = server;
  stream->next = server->in_handshake;
  stream->link = &server->in_handshake;
  if (stream->next != NULL) stream->next->link = &stream->next;
  server->in_handshake = stream;
  server->n_in_handshake++;
  keep_alive(stream);
  if (!stream->is_encrypted) {
    open_stream(stream);
    return;
  }
  stream->phase = PHASE_SHAKING;
  stream->session = tt_tls_accept(stream->tls, socket);
  if (stream->session == NULL) {
    free_stream(stream);
    return;
  }
  int64_t handshake_ms = server->options.handshake_ms > 0 ? server->options.handshake_ms : HANDSHAKE_MS;
  ev_timer_set(&stream->deadline, (double)handshake_ms / 1000.0, 0.0);
  ev_now_update(server->loop->ev);
  ev_timer_start(server->loop->ev, &stream->deadline);
  update_watch(stream);
}

/* ---- connecting ---- */

/* Begins with the next address that does not fail at once; answers 0, or why the last one failed. */
static int try_next(tt_byte_stream *stream) {
  int number = ENOENT;
  while (stream->candidate != NULL) {
    const struct addrinfo *at = stream->candidate;
    stream->candidate = at->ai_next;
    close_socket(stream);
    int made = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0) {
      number = errno;
      continue;
    }
    set_socket(stream, made);
    if (!stream->is_unix) setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(made, at->ai_addr, at->ai_addrlen) == 0 || errno == EINPROGRESS) {
      update_watch(stream); /* a socket that has connected at once is writable */
      return 0;
    }
    number = errno;
  }
  close_socket(stream);
  return number;
}

static void on_connected(tt_byte_stream *stream) {
  int number = 0;
  socklen_t n_bytes = sizeof number;
  if (getsockopt(stream->socket, SOL_SOCKET, SO_ERROR, &number, &n_bytes) != 0) number = errno;
  if (number != 0) {
    if (stream->candidate != NULL) number = try_next(stream);
    if (number == 0) return;
    char reason[128];
    snprintf(reason, sizeof reason, "cannot connect: %s", strerror(number));
    end_stream(stream, reason);
    return;
  }
  keep_alive(stream);
  if (!stream->is_encrypted) {
    open_stream(stream);
    return;
  }
  tt_error error;
  stream->session = tt_tls_connect(stream->tls, stream->socket, stream->host, &error);
  if (stream->session == NULL) {
    end_stream(stream, error.message);
    return;
  }
  stream->phase = PHASE_SHAKING;
  shake(stream);
}

static tt_status find_addresses(tt_byte_stream *stream, const tt_address *address, tt_error *error) {
  char service[8];
  snprintf(service, sizeof service, "%u", address->port);
  const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  int trouble = getaddrinfo(address->host, service, &hints, &stream->found);
  if (trouble != 0) {
    stream->found = NULL;
    return tt_fail(error, TT_ERR_CONNECTION, "cannot connect to %.200s: %s", address->host, gai_strerror(trouble));
  }
  stream->candidate = stream->found;
  return TT_OK;
}

static tt_status begin_connecting(tt_byte_stream *stream, const tt_address *address, const char *url, tt_error *error) {
  struct sockaddr_un path = {.sun_family = AF_UNIX};
  struct addrinfo at_path = {.ai_family = AF_UNIX, .ai_addr = (struct sockaddr *)&path, .ai_addrlen = sizeof path};
  if (stream->is_unix) {
    memcpy(path.sun_path, address->path, strlen(address->path));
    stream->candidate = &at_path;
  } else {
    TT_TRY(find_addresses(stream, address, error));
  }
  int number = try_next(stream);
  if (number != 0) return tt_fail(error, TT_ERR_CONNECTION, "cannot connect to %.200s: %s", url, strerror(number));
  return TT_OK;
}

tt_status tt_byte_stream_connect(tt_loop *loop, const tt_byte_stream_options *options, tt_connection **out, tt_error *error) {
  tt_address address;
  TT_TRY(tt_address_parse(options->url, &address, error));
  if (!tt_scheme_is_stream(address.scheme) || (address.scheme != TT_SCHEME_UNIX && address.port == 0)) {
    return tt_fail(error, TT_ERR_ARGUMENT,
                   "'%.200s' is nothing to connect to: write tcp://host:port, tls://host:port or unix:/path", options->url);
  }
  tt_byte_stream *stream = new_stream(loop, options);
  tt_connection *connection = tt_connection_new(loop, options->events, options->user, options->max_message_bytes,
                                                options->ping_every_ms, &tt_byte_stream_carrier, TT_FRAMING_NONE);
  tt_status status = TT_OK;
  if (stream == NULL || connection == NULL) {
    status = tt_fail(error, TT_ERR_MEMORY, "no memory for a connection to %.200s", options->url);
  } else {
    stream->is_unix = address.scheme == TT_SCHEME_UNIX;
    stream->is_encrypted = tt_scheme_is_encrypted(address.scheme);
    stream->host = tt_strdup(address.host);
    tt_connection_set_address(connection, options->url);
    status = stream->host != NULL ? begin_connecting(stream, &address, options->url, error)
                                  : tt_fail(error, TT_ERR_MEMORY, "no memory for a connection to %.200s", options->url);
  }
  if (status != TT_OK) {
    if (stream != NULL) free_stream(stream);
    if (connection != NULL) tt_connection_discard(connection);
    return status;
  }
  stream->connection = connection;
  connection->stream = stream;
  tt_connection_start_timer(connection, options->handshake_ms > 0 ? options->handshake_ms : HANDSHAKE_MS);
  *out = connection;
  return TT_OK;
}

/* ---- what the loop tells ---- */

static void on_io(struct ev_loop *ev, ev_io *watcher, int events) {
  (void)ev;
  tt_byte_stream *stream = watcher->data;
  switch (stream->phase) {
  case PHASE_CONNECTING:
    on_connected(stream);
    return;
  case PHASE_SHAKING:
    shake(stream);
    return;
  case PHASE_KILLED:
    return;
  case PHASE_OPEN:
  case PHASE_FINISHED:
    break;
  }
  /* What TLS could not write may have waited for something to read. */
  bool may_write = (events & EV_WRITE) != 0 || (stream->session != NULL && stream->unwritten != NULL);
  if (((events & EV_READ) != 0 || stream->read_wants_write) && !take_in(stream)) return;
  bool is_up = stream->phase == PHASE_OPEN || (stream->phase == PHASE_FINISHED && stream->unwritten != NULL);
  if (may_write && is_up && stream->wants_write && !give_out(stream)) return;
  update_watch(stream);
}

static void on_soon(struct ev_loop *ev, ev_timer *timer, int events) {
  (void)ev, (void)events;
  tt_byte_stream *stream = timer->data;
  if (stream->phase == PHASE_KILLED) {
    end_stream(stream, NULL);
  } else if ((stream->phase == PHASE_OPEN || stream->phase == PHASE_FINISHED) && take_in(stream)) {
    update_watch(stream);
  }
}
