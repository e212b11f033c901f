#include "relay/relay.h"

#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/map.h"
#include "wire/prelude.h"

typedef struct peer peer;

struct peer {
  tt_relay *relay;
  tt_connection *connection;
  char id[TT_MAX_WORKER_ID_BYTES + 1]; /* "" until it has registered */
  bool said_goodbye;
  peer *next, **link;  /* the registered ones */
  size_t notice_bytes; /* of ours, since its queue was last short */
  peer *waits_for;     /* the full destination that holds this one back */
  peer *next_waiting, **waiting_link;
  peer *waiting; /* those that this one holds back */
  int64_t waiting_since_ms;
};

struct tt_relay {
  tt_loop *loop;
  size_t max_queued_bytes;
  int64_t max_stall_ms;
  tt_timer *stall_timer; /* runs while somebody is held back */
  bool watches_stalls;
  tt_name_map workers;
  peer *registered;
  tt_buffer frame; /* the one that is being written */
  bool stopping;
};

static void drop_stuck(void *user);

tt_status tt_relay_new(tt_loop *loop, size_t max_queued_bytes, int64_t max_stall_ms, tt_relay **out, tt_error *error) {
  tt_relay *relay = tt_alloc(1, sizeof *relay);
  if (relay == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for a relay");
  relay->loop = loop;
  relay->max_queued_bytes = max_queued_bytes;
  relay->max_stall_ms = max_stall_ms;
  relay->stall_timer = tt_timer_new(loop, drop_stuck, relay);
  if (relay->stall_timer == NULL) {
    tt_free(relay);
    return tt_fail(error, TT_ERR_MEMORY, "no memory for a relay");
  }
  tt_name_map_init(&relay->workers);
  tt_buffer_init(&relay->frame);
  *out = relay;
  return TT_OK;
}

void tt_relay_free(tt_relay *relay) {
  if (relay == NULL) return;
  tt_name_map_release(&relay->workers);
  tt_buffer_release(&relay->frame);
  tt_free(relay);
}

size_t tt_relay_n_workers(const tt_relay *relay) { return relay->workers.n_entries; }

void tt_relay_stop(tt_relay *relay) {
  if (relay == NULL) return;
  relay->stopping = true;
  tt_timer_free(relay->stall_timer);
  relay->stall_timer = NULL;
}

static const char *name_of(const peer *of) { return of->id[0] != '\0' ? of->id : tt_connection_address(of->connection); }

/* Holding back. */

static void let_go(peer *sender) {
  if (sender->waits_for == NULL) return;
  *sender->waiting_link = sender->next_waiting;
  if (sender->next_waiting != NULL) sender->next_waiting->waiting_link = sender->waiting_link;
  sender->waits_for = NULL;
  tt_connection_resume(sender->connection);
}

static void let_all_go(peer *destination) {
  while (destination->waiting != NULL) let_go(destination->waiting);
}

static void hold_back(peer *sender, peer *destination) {
  if (sender->waits_for != NULL) return;
  tt_relay *relay = sender->relay;
  if (destination->waiting == NULL) destination->waiting_since_ms = tt_clock_ms();
  if (!relay->watches_stalls && relay->stall_timer != NULL)
    tt_timer_start(relay->stall_timer, relay->max_stall_ms / 4 + 1, relay->max_stall_ms / 4 + 1);
  relay->watches_stalls = true;
  sender->waits_for = destination;
  sender->next_waiting = destination->waiting;
  sender->waiting_link = &destination->waiting;
  if (destination->waiting != NULL) destination->waiting->waiting_link = &sender->next_waiting;
  destination->waiting = sender;
  tt_connection_pause(sender->connection);
  tt_loop_log(sender->relay->loop, TT_LOG_DEBUG, "%s is held back: %zu bytes wait for %s", name_of(sender),
              tt_connection_queued_bytes(destination->connection), name_of(destination));
}

/* Ends who has held others back for too long; the timer stops when nobody is held back any more. */
static void drop_stuck(void *user) {
  tt_relay *relay = user;
  int64_t now_ms = tt_clock_ms();
  bool is_any = false;
  for (peer *each = relay->registered, *next; each != NULL; each = next) {
    next = each->next;
    if (each->waiting == NULL) continue;
    is_any = true;
    if (now_ms - each->waiting_since_ms < relay->max_stall_ms) continue;
    tt_loop_log(relay->loop, TT_LOG_ERROR, "%s has held others back for %lld s: dropped", each->id,
                (long long)((now_ms - each->waiting_since_ms) / 1000));
    let_all_go(each);
    tt_connection_drop(each->connection, "it does not read, and others wait for it");
  }
  relay->watches_stalls = is_any;
  if (!is_any) tt_timer_stop(relay->stall_timer);
}

static bool is_full(const peer *destination) {
  return tt_connection_queued_bytes(destination->connection) >= destination->relay->max_queued_bytes;
}

/* What the relay itself says. */

static void give_frame(peer *to) {
  tt_relay *relay = to->relay;
  if (!tt_connection_is_open(to->connection)) return;
  if (is_full(to)) {
    to->notice_bytes += relay->frame.n_bytes;
    if (to->notice_bytes > TT_RELAY_MAX_NOTICE_BYTES) {
      tt_connection_drop(to->connection, "it does not read, and too much waits for it");
      return;
    }
  }
  tt_error error;
  if (relay->frame.failed || tt_connection_send(to->connection, relay->frame.bytes, relay->frame.n_bytes, &error) != TT_OK) {
    tt_connection_drop(to->connection, "no memory to tell it what happens");
  }
}

/* The prelude of a frame of ours; the payload is appended by the caller and has exactly n_payload_bytes. */
static tt_buffer *begin_frame(tt_relay *relay, tt_frame_type type, uint16_t flags, size_t n_payload_bytes) {
  tt_buffer_clear(&relay->frame);
  tt_prelude prelude = {.type = (uint8_t)type, .flags = flags};
  tt_prelude_write(&relay->frame, &prelude, n_payload_bytes);
  return &relay->frame;
}

static void append_id(tt_buffer *frame, const char *id) {
  size_t n_bytes = strlen(id);
  tt_buffer_u8(frame, (uint8_t)n_bytes);
  tt_buffer_append(frame, id, n_bytes);
}

static void tell_others(peer *about, tt_frame_type type, uint16_t flags) {
  tt_relay *relay = about->relay;
  if (relay->stopping) return;
  append_id(begin_frame(relay, type, flags, 1 + strlen(about->id)), about->id);
  for (peer *each = relay->registered; each != NULL; each = each->next) {
    if (each != about) give_frame(each);
  }
}

static void refuse(peer *to, tt_status status, uint8_t refused_type, tt_name id, const char *reason, uint16_t flags) {
  tt_buffer payload;
  tt_buffer_init(&payload);
  tt_refusal_write(&payload, status, refused_type, id, reason);
  tt_buffer *frame = begin_frame(to->relay, TT_FRAME_REFUSED, flags, payload.n_bytes);
  tt_buffer_append(frame, payload.bytes, payload.n_bytes);
  if (payload.failed) frame->failed = true;
  tt_buffer_release(&payload);
  give_frame(to);
}

static void refuse_and_close(peer *to, tt_status status, tt_name id, const char *reason, unsigned close_code) {
  tt_loop_log(to->relay->loop, TT_LOG_INFO, "%s (%s): refused, %s", name_of(to), tt_connection_address(to->connection), reason);
  refuse(to, status, 0, id, reason, TT_FLAG_CLOSES);
  tt_connection_close(to->connection, close_code, reason);
}

static void welcome(peer *newcomer) {
  /* As many as fit one frame; the rest are told as if they came after. */
  tt_relay *relay = newcomer->relay;
  size_t room = TT_MAX_FRAME_BYTES - tt_prelude_bytes(0, 0), n_payload_bytes = 0;
  peer *rest = relay->registered;
  for (; rest != NULL; rest = rest->next) {
    if (rest == newcomer) continue;
    size_t n_bytes = 1 + strlen(rest->id);
    if (n_payload_bytes + n_bytes > room) break;
    n_payload_bytes += n_bytes;
  }
  tt_buffer *frame = begin_frame(relay, TT_FRAME_WELCOME, 0, n_payload_bytes);
  for (peer *each = relay->registered; each != rest; each = each->next) {
    if (each != newcomer) append_id(frame, each->id);
  }
  give_frame(newcomer);
  for (; rest != NULL; rest = rest->next) {
    if (rest == newcomer) continue;
    append_id(begin_frame(relay, TT_FRAME_JOINED, 0, 1 + strlen(rest->id)), rest->id);
    give_frame(newcomer);
  }
}

/* Coming and going. */

static void enter(peer *newcomer, tt_name id) {
  tt_relay *relay = newcomer->relay;
  if (tt_name_map_get(&relay->workers, id.bytes, id.n_bytes) != NULL) {
    tt_error text;
    tt_fail(&text, TT_ERR_DUPLICATE, "a worker '%.*s' is here already and stays: choose another id", id.n_bytes, id.bytes);
    refuse_and_close(newcomer, TT_ERR_DUPLICATE, id, text.message, TT_CLOSE_POLICY);
    return;
  }
  if (!tt_name_map_put(&relay->workers, id.bytes, id.n_bytes, newcomer)) {
    refuse_and_close(newcomer, TT_ERR_MEMORY, id, "the relay has no memory for another worker", TT_CLOSE_INTERNAL);
    return;
  }
  memcpy(newcomer->id, id.bytes, id.n_bytes);
  newcomer->next = relay->registered;
  newcomer->link = &relay->registered;
  if (relay->registered != NULL) relay->registered->link = &newcomer->next;
  relay->registered = newcomer;
  tt_loop_log(relay->loop, TT_LOG_INFO, "%s joined from %s; %zu here", newcomer->id,
              tt_connection_address(newcomer->connection), tt_relay_n_workers(relay));
  welcome(newcomer);
  tell_others(newcomer, TT_FRAME_JOINED, 0);
}

static void leave(peer *leaver, const char *reason) {
  tt_relay *relay = leaver->relay;
  let_go(leaver);
  let_all_go(leaver);
  if (leaver->id[0] == '\0') return;
  tt_name_map_remove(&relay->workers, leaver->id, strlen(leaver->id));
  *leaver->link = leaver->next;
  if (leaver->next != NULL) leaver->next->link = leaver->link;
  tt_loop_log(relay->loop, TT_LOG_INFO, "%s left (%s); %zu here", leaver->id, reason[0] != '\0' ? reason : "closed",
              tt_relay_n_workers(relay));
  tell_others(leaver, TT_FRAME_LEFT, leaver->said_goodbye ? TT_FLAG_IN_ORDER : 0);
  leaver->id[0] = '\0';
}

/* Frames. */

static void on_frame_for_relay(peer *from, const tt_prelude *prelude) {
  if (prelude->type == TT_FRAME_GOODBYE) {
    from->said_goodbye = true;
    leave(from, "said goodbye");
    tt_connection_close(from->connection, TT_CLOSE_NORMAL, NULL);
    return;
  }
  refuse_and_close(from, TT_ERR_PROTOCOL, tt_name_of(""),
                   prelude->type == TT_FRAME_HELLO ? "a second HELLO to the relay: this connection is registered already"
                                                   : "a frame without a destination: only HELLO and GOODBYE are for the relay",
                   TT_CLOSE_POLICY);
}

static void route(peer *from, const tt_prelude *prelude, tt_message *message) {
  peer *to = tt_name_map_get(&from->relay->workers, prelude->destination.bytes, prelude->destination.n_bytes);
  tt_error error;
  tt_status status = TT_ERR_UNKNOWN_WORKER;
  if (to != NULL) status = tt_connection_forward(to->connection, message, &error);
  if (status == TT_ERR_MEMORY) {
    refuse(from, status, prelude->type, prelude->destination, "the relay has no memory to carry the frame", 0);
  } else if (status != TT_OK) { /* not here, or its connection is closing */
    tt_fail(&error, TT_ERR_UNKNOWN_WORKER, "no worker '%.*s' is at this relay", prelude->destination.n_bytes,
            prelude->destination.bytes);
    refuse(from, TT_ERR_UNKNOWN_WORKER, prelude->type, prelude->destination, error.message, 0);
  } else if (is_full(to)) {
    hold_back(from, to);
  }
  if (status != TT_OK && is_full(from)) hold_back(from, from); /* it does not even read our refusals */
}

static void on_message(tt_connection *connection, tt_message *message) {
  peer *from = tt_connection_user(connection);
  if (message->is_text) {
    refuse_and_close(from, TT_ERR_PROTOCOL, tt_name_of(""), "a text message: frames are binary messages", TT_CLOSE_UNSUPPORTED);
    return;
  }
  tt_prelude prelude;
  const uint8_t *payload;
  size_t n_payload_bytes;
  tt_error error;
  tt_status status = tt_prelude_read(message->bytes, message->n_bytes, &prelude, &payload, &n_payload_bytes, &error);
  if (status != TT_OK) {
    refuse_and_close(from, status, tt_name_of(""), error.message, TT_CLOSE_POLICY);
  } else if (from->id[0] == '\0') {
    if (prelude.type == TT_FRAME_HELLO && prelude.destination.n_bytes == 0) {
      enter(from, prelude.source);
    } else {
      refuse_and_close(from, TT_ERR_PROTOCOL, prelude.source,
                       "a frame before HELLO: the first frame to a relay is HELLO, without a destination", TT_CLOSE_POLICY);
    }
  } else if (!tt_name_equal(prelude.source, tt_name_of(from->id))) {
    tt_fail(&error, TT_ERR_PROTOCOL, "a frame says it is from '%.*s', but this connection is registered as '%s'",
            prelude.source.n_bytes, prelude.source.bytes, from->id);
    refuse_and_close(from, TT_ERR_PROTOCOL, prelude.source, error.message, TT_CLOSE_POLICY);
  } else if (prelude.destination.n_bytes == 0) {
    on_frame_for_relay(from, &prelude);
  } else {
    route(from, &prelude, message);
  }
}

static void on_opened(tt_connection *connection) {
  tt_relay *relay = tt_connection_user(connection);
  peer *newcomer = tt_alloc(1, sizeof *newcomer);
  tt_connection_set_user(connection, newcomer);
  if (newcomer == NULL) {
    tt_connection_drop(connection, "no memory for another worker");
    return;
  }
  newcomer->relay = relay;
  newcomer->connection = connection;
  tt_connection_set_low_water(connection, relay->max_queued_bytes / 2);
  tt_loop_log(relay->loop, TT_LOG_DEBUG, "%s connected", tt_connection_address(connection));
}

static void on_drained(tt_connection *connection) {
  peer *destination = tt_connection_user(connection);
  destination->notice_bytes = 0;
  let_all_go(destination);
}

static void on_closed(tt_connection *connection, unsigned code, const char *reason) {
  peer *leaver = tt_connection_user(connection);
  if (leaver == NULL) return;
  tt_loop_log(leaver->relay->loop, TT_LOG_DEBUG, "%s closed: %u %s", name_of(leaver), code, reason);
  leave(leaver, reason);
  tt_free(leaver);
}

const tt_connection_events tt_relay_events = {
    .opened = on_opened,
    .message = on_message,
    .drained = on_drained,
    .closed = on_closed,
};
