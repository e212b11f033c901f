#include "net/connection.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "net/internal.h"

enum {
  MAX_BYTES_A_PASS = 1024 * 1024,             /* then others get their turn */
  SMALLEST_TAKEN_BLOCK = TT_GATHER_BYTES / 4, /* below it, a copy that gathers is cheaper than a write of its own */
  LATE_MS = 500,
};

static const uint8_t PING_PAYLOAD[] = {'t', 't'}; /* the library does not report an empty pong */

/* Timers. */

static void end_abnormally(tt_connection *connection, const char *reason);

void tt_connection_start_timer(tt_connection *connection, int64_t after_ms) {
  struct ev_loop *ev = connection->loop->ev;
  ev_timer_stop(ev, &connection->timer);
  ev_timer_set(&connection->timer, (double)after_ms / 1000.0, 0.0);
  ev_timer_start(ev, &connection->timer);
  connection->timer_due_ms = tt_clock_ms() + after_ms;
}

static void sign_of_life(tt_connection *connection) {
  connection->alive_ms = tt_clock_ms();
  connection->pinged = false;
}

/* Over a byte stream there is no ping. Whether the peer is there at all the system finds out (keepalive); whether it takes what it is sent shows here. */
static bool is_waited_for(const tt_connection *connection) {
  return connection->carrier->has_pings || tt_connection_queued_bytes(connection) > 0;
}

static void judge_silence(tt_connection *connection) {
  int64_t now_ms = tt_clock_ms();
  if (connection->paused) {
    tt_connection_start_timer(connection, connection->ping_every_ms);
    return;
  }
  int64_t tolerable_ms = connection->ping_every_ms / 4 < LATE_MS ? connection->ping_every_ms / 4 : LATE_MS;
  if (now_ms - connection->timer_due_ms > tolerable_ms) { /* we were busy ourselves: its answer may lie there unread */
    tt_connection_start_timer(connection, LATE_MS);
    return;
  }
  if (!is_waited_for(connection)) sign_of_life(connection);
  int64_t silent_ms = now_ms - connection->alive_ms;
  if (silent_ms < connection->ping_every_ms) {
    tt_connection_start_timer(connection, connection->ping_every_ms - silent_ms);
  } else if (!connection->pinged) {
    connection->pinged = true;
    if (connection->carrier->has_pings &&
        tt_send_queue_frame(&connection->queue, TT_FRAME_PING, PING_PAYLOAD, sizeof PING_PAYLOAD)) {
      connection->carrier->want_write(connection);
    }
    tt_connection_start_timer(connection, connection->ping_every_ms);
  } else if (!connection->carrier->has_pings) {
    tt_connection_drop(connection, "it takes nothing");
  } else if (tt_connection_queued_bytes(connection) > sizeof PING_PAYLOAD + TT_FRAME_HEADER_ROOM) {
    tt_connection_drop(connection, "it takes nothing and answers no ping");
  } else {
    tt_connection_drop(connection, "it answers no ping");
  }
}

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events) {
  (void)ev;
  (void)events;
  tt_connection *connection = timer->data;
  switch (connection->state) {
  case TT_STATE_CONNECTING:
    end_abnormally(connection, "nobody answered in time");
    break;
  case TT_STATE_OPEN:
    judge_silence(connection);
    break;
  case TT_STATE_CLOSING:
  case TT_STATE_ENDING:
    connection->carrier->kill(connection);
    break;
  }
}

/* Its life. */

tt_connection *tt_connection_new(tt_loop *loop, const tt_connection_events *events, void *user, size_t max_message_bytes,
                                 int64_t ping_every_ms, const tt_carrier *carrier, tt_framing_kind framing) {
  tt_connection *connection = tt_alloc(1, sizeof *connection);
  if (connection == NULL) return NULL;
  connection->owner.kind = TT_OWNER_CONNECTION;
  connection->loop = loop;
  connection->carrier = carrier;
  connection->events = events;
  connection->user = user;
  connection->max_message_bytes = max_message_bytes;
  connection->ping_every_ms = ping_every_ms > 0 ? ping_every_ms : TT_PING_EVERY_MS;
  tt_send_queue_init(&connection->queue, framing);
  ev_timer_init(&connection->timer, on_timer, 0.0, 0.0);
  connection->timer.data = connection;
  connection->next = loop->connections;
  connection->link = &loop->connections;
  if (loop->connections != NULL) loop->connections->link = &connection->next;
  loop->connections = connection;
  return connection;
}

void tt_connection_set_address(tt_connection *connection, const char *address) {
  tt_free(connection->address);
  connection->address = tt_strdup(address);
}

void tt_connection_on_opened(tt_connection *connection) {
  if (connection->state != TT_STATE_CONNECTING) return;
  connection->state = TT_STATE_OPEN;
  sign_of_life(connection);
  tt_connection_start_timer(connection, connection->ping_every_ms);
  if (connection->events->opened != NULL) connection->events->opened(connection);
}

static void set_reason(tt_connection *connection, unsigned code, const char *reason, size_t n_bytes) {
  if (n_bytes > TT_MAX_CLOSE_REASON_BYTES) {
    n_bytes = TT_MAX_CLOSE_REASON_BYTES;
    while (n_bytes > 0 && ((uint8_t)reason[n_bytes] & 0xc0) == 0x80) n_bytes--; /* not in the middle of a character */
  }
  connection->close_code = code;
  if (n_bytes > 0) memcpy(connection->close_reason, reason, n_bytes);
  connection->close_reason[n_bytes] = '\0';
}

static void forget_incoming(tt_connection *connection) {
  tt_free(connection->incoming);
  connection->incoming = NULL;
}

void tt_connection_discard(tt_connection *connection) {
  *connection->link = connection->next;
  if (connection->next != NULL) connection->next->link = connection->link;
  forget_incoming(connection);
  tt_send_queue_release(&connection->queue);
  tt_free(connection->address);
  tt_free(connection);
}

static void end_abnormally(tt_connection *connection, const char *reason) {
  if (connection->state == TT_STATE_ENDING) return;
  connection->state = TT_STATE_ENDING;
  set_reason(connection, TT_CLOSE_ABNORMAL, reason, strlen(reason));
  connection->carrier->kill(connection);
}

void tt_connection_on_peer_close(tt_connection *connection, unsigned code, const char *reason, size_t n_bytes) {
  if (connection->state != TT_STATE_OPEN) return;
  connection->state = TT_STATE_ENDING;
  set_reason(connection, code, reason, n_bytes);
  tt_connection_start_timer(connection, TT_CLOSE_DEADLINE_MS);
}

void tt_connection_on_closed(tt_connection *connection, const char *reason) {
  if (connection->close_code == 0) {
    if (reason == NULL) reason = "the connection broke";
    set_reason(connection, TT_CLOSE_ABNORMAL, reason, strlen(reason));
  }
  connection->state = TT_STATE_ENDING;
  ev_timer_stop(connection->loop->ev, &connection->timer);
  if (connection->server != NULL) connection->server->n_connections--;
  if (connection->events->closed != NULL) {
    connection->events->closed(connection, connection->close_code, connection->close_reason);
  }
  if (connection->socket != NULL || connection->stream != NULL) connection->carrier->abandon(connection);
  tt_connection_discard(connection);
}

void tt_connection_close(tt_connection *connection, unsigned code, const char *reason) {
  if (connection->state == TT_STATE_CONNECTING) {
    end_abnormally(connection, reason != NULL ? reason : "closed before it was open");
    return;
  }
  if (connection->state != TT_STATE_OPEN) return;
  connection->state = TT_STATE_CLOSING;
  set_reason(connection, code, reason, reason != NULL ? strlen(reason) : 0);
  tt_connection_resume(connection); /* or the answer would not be read */
  tt_connection_start_timer(connection, TT_CLOSE_DEADLINE_MS);
  connection->carrier->want_write(connection);
}

void tt_connection_drop(tt_connection *connection, const char *reason) { end_abnormally(connection, reason); }

/* Receiving. */

static void deliver(tt_connection *connection, tt_message *message) {
  if (message->is_text && !tt_utf8_is_valid((const char *)message->bytes, message->n_bytes)) {
    tt_connection_close(connection, TT_CLOSE_BAD_TEXT, "a text message is not valid UTF-8");
    return;
  }
  connection->events->message(connection, message);
}

static bool make_room(tt_connection *connection, size_t n_bytes) {
  tt_block *block = connection->incoming;
  if (block == NULL) {
    connection->incoming = tt_block_new(n_bytes);
    return connection->incoming != NULL;
  }
  if (block->capacity - block->end >= n_bytes) return true;
  size_t capacity = 2 * block->capacity;
  if (capacity - block->end < n_bytes) capacity = block->end + n_bytes;
  tt_block *grown = tt_realloc(block, sizeof(tt_block) + capacity);
  if (grown == NULL) return false;
  grown->capacity = capacity;
  connection->incoming = grown;
  return true;
}

void tt_connection_on_piece(tt_connection *connection, const uint8_t *bytes, size_t n_bytes, size_t n_left_in_frame,
                            bool is_final, bool is_text) {
  if (connection->state != TT_STATE_OPEN) return;
  tt_block *block = connection->incoming;
  size_t room = connection->max_message_bytes - (block != NULL ? block->end - block->begin : 0);
  if (n_bytes > room || n_left_in_frame > room - n_bytes) {
    tt_loop_log(connection->loop, TT_LOG_INFO, "%s: closed, its message exceeds %zu bytes", tt_connection_address(connection),
                connection->max_message_bytes);
    forget_incoming(connection);
    tt_connection_close(connection, TT_CLOSE_TOO_BIG, "a message exceeds the limit");
    return;
  }
  if (block == NULL && is_final) {
    deliver(connection, &(tt_message){.bytes = bytes, .n_bytes = n_bytes, .is_text = is_text});
    return;
  }
  if (!make_room(connection, n_bytes + n_left_in_frame)) {
    forget_incoming(connection);
    tt_connection_close(connection, TT_CLOSE_INTERNAL, "no memory for a message");
    return;
  }
  block = connection->incoming;
  if (n_bytes > 0) memcpy(block->bytes + block->end, bytes, n_bytes);
  tt_connection_on_piece_in_room(connection, n_bytes, is_final, is_text);
}

uint8_t *tt_connection_room(tt_connection *connection, size_t n_bytes) {
  tt_block *block = connection->state == TT_STATE_OPEN ? connection->incoming : NULL;
  return block != NULL && block->capacity - block->end >= n_bytes ? block->bytes + block->end : NULL;
}

void tt_connection_on_piece_in_room(tt_connection *connection, size_t n_bytes, bool is_final, bool is_text) {
  tt_block *block = connection->incoming;
  block->end += n_bytes;
  if (!is_final) return;
  connection->incoming = NULL;
  tt_message message = {
      .bytes = block->bytes + block->begin, .n_bytes = block->end - block->begin, .is_text = is_text, .block = block};
  deliver(connection, &message);
  tt_free(message.block); /* NULL when it was forwarded */
}

void tt_connection_on_sign_of_life(tt_connection *connection) { sign_of_life(connection); }

void tt_connection_pause(tt_connection *connection) {
  if (connection->paused || connection->state != TT_STATE_OPEN) return;
  connection->paused = true;
  connection->carrier->read(connection, false);
}

void tt_connection_resume(tt_connection *connection) {
  if (!connection->paused) return;
  connection->paused = false;
  sign_of_life(connection);
  if (connection->state != TT_STATE_ENDING) connection->carrier->read(connection, true);
}

/* Sending. */

static tt_status queue_frame(tt_connection *connection, uint8_t opcode, const void *bytes, size_t n_bytes, tt_error *error) {
  if (connection->state != TT_STATE_OPEN) {
    return tt_fail(error, TT_ERR_STATE, "the connection to %s is %s: nothing can be sent on it",
                   tt_connection_address(connection), connection->state == TT_STATE_CONNECTING ? "not open yet" : "closing");
  }
  if (!tt_send_queue_frame(&connection->queue, opcode, bytes, n_bytes)) {
    return tt_fail(error, TT_ERR_MEMORY, "no memory to queue %zu bytes for %s", n_bytes, tt_connection_address(connection));
  }
  return TT_OK;
}

static void queued(tt_connection *connection) {
  if (tt_connection_queued_bytes(connection) > connection->low_water_bytes) connection->above_low_water = true;
  connection->carrier->want_write(connection);
}

tt_status tt_connection_send(tt_connection *connection, const void *bytes, size_t n_bytes, tt_error *error) {
  TT_TRY(queue_frame(connection, TT_FRAME_BINARY, bytes, n_bytes, error));
  queued(connection);
  return TT_OK;
}

tt_status tt_connection_send_text(tt_connection *connection, const char *text, size_t n_bytes, tt_error *error) {
  TT_TRY(queue_frame(connection, TT_FRAME_TEXT, text, n_bytes, error));
  queued(connection);
  return TT_OK;
}

tt_status tt_connection_forward(tt_connection *connection, tt_message *message, tt_error *error) {
  uint8_t opcode = message->is_text ? TT_FRAME_TEXT : TT_FRAME_BINARY;
  bool take =
      message->block != NULL && connection->queue.framing != TT_FRAMING_MASKED && message->n_bytes >= SMALLEST_TAKEN_BLOCK;
  if (take && connection->state == TT_STATE_OPEN) {
    tt_send_queue_take_block(&connection->queue, opcode, message->block);
    message->block = NULL;
  } else {
    TT_TRY(queue_frame(connection, opcode, message->bytes, message->n_bytes, error));
  }
  queued(connection);
  return TT_OK;
}

size_t tt_connection_queued_bytes(const tt_connection *connection) {
  return connection->queue.n_bytes + connection->handed_bytes;
}

void tt_connection_set_low_water(tt_connection *connection, size_t n_bytes) { connection->low_water_bytes = n_bytes; }

/* Writes block after block until the socket is full or others are due; false: it is broken. */
static bool write_blocks(tt_connection *connection) {
  size_t n_written = 0;
  while (n_written < MAX_BYTES_A_PASS) {
    tt_block *block = tt_send_queue_next(&connection->queue);
    if (block == NULL) return true;
    size_t n_bytes = block->end - block->begin;
    bool all_left = true;
    if (!connection->carrier->write(connection, block, &all_left)) return false;
    if (!all_left) {
      connection->handed_bytes = n_bytes;
      connection->stuck = true;
      return true;
    }
    n_written += n_bytes;
  }
  return true;
}

bool tt_connection_on_writable(tt_connection *connection) {
  connection->handed_bytes = 0;
  if (connection->stuck) {
    connection->stuck = false;
    sign_of_life(connection);
  }
  if (connection->state == TT_STATE_ENDING) return connection->close_code != TT_CLOSE_ABNORMAL;
  if (!write_blocks(connection)) {
    connection->state = TT_STATE_ENDING; /* why, tt_connection_on_closed is told */
    return false;
  }
  if (connection->above_low_water && tt_connection_queued_bytes(connection) <= connection->low_water_bytes) {
    connection->above_low_water = false;
    if (connection->events->drained != NULL && connection->state == TT_STATE_OPEN) connection->events->drained(connection);
  }
  if (connection->state == TT_STATE_CLOSING && tt_connection_queued_bytes(connection) == 0) {
    connection->state = TT_STATE_ENDING;
    connection->carrier->finish(connection, connection->close_code, connection->close_reason);
    return false;
  }
  if (connection->queue.n_bytes > 0) connection->carrier->want_write(connection);
  return true;
}

/* What it tells of itself. */

bool tt_connection_is_open(const tt_connection *connection) { return connection->state == TT_STATE_OPEN; }
void *tt_connection_user(const tt_connection *connection) { return connection->user; }
void tt_connection_set_user(tt_connection *connection, void *user) { connection->user = user; }
const char *tt_connection_address(const tt_connection *connection) {
  return connection->address != NULL ? connection->address : "(unknown)";
}
