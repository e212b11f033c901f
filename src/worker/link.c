#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "worker/internal.h"

void tt_link_write(tt_link *link, const uint8_t *frame, size_t n_bytes) {
  if (link->ops == NULL) return;
  link->worker->counters.frames_out++;
  link->worker->counters.bytes_out += n_bytes;
  link->ops->send(link->transport, frame, n_bytes);
}

/* ---- saying things ---- */

static void write_frame(tt_link *link, const tt_prelude *prelude, const tt_buffer *payload) {
  tt_buffer frame;
  tt_buffer_init(&frame);
  tt_prelude_write(&frame, prelude, payload == NULL ? 0 : payload->n_bytes);
  if (payload != NULL) tt_buffer_append(&frame, payload->bytes, payload->n_bytes);
  if (!frame.failed && (payload == NULL || !payload->failed)) tt_link_write(link, frame.bytes, frame.n_bytes);
  tt_buffer_release(&frame);
}

static tt_status say_hello(tt_link *link, tt_name destination, uint32_t stream, uint16_t flags, tt_error *error) {
  tt_worker *worker = link->worker;
  tt_buffer json;
  tt_buffer_init(&json);
  tt_status status = tt_hello_write(&json, worker->id, worker->kind, error);
  if (status == TT_OK) {
    const tt_prelude prelude = {.type = TT_FRAME_HELLO,
                                .flags = flags,
                                .stream = stream,
                                .credit = TT_WINDOW_BYTES,
                                .source = tt_name_of(worker->id),
                                .destination = destination};
    write_frame(link, &prelude, &json);
  }
  tt_buffer_release(&json);
  return status;
}

static uint32_t new_stream(void) {
  uint32_t stream = (uint32_t)tt_random_id();
  return stream == 0 ? 1 : stream;
}

bool tt_link_has_room(const tt_link *link) {
  return link->ops == NULL || link->ops->room == NULL || link->ops->room(link->transport) >= TT_MAX_FRAME_BYTES;
}

static void say_refused(tt_link *link, tt_name destination, tt_status status, uint8_t refused_type, tt_name id,
                        const char *reason, bool closes) {
  tt_buffer payload;
  tt_buffer_init(&payload);
  tt_refusal_write(&payload, status, refused_type, id, reason);
  const tt_prelude prelude = {.type = TT_FRAME_REFUSED,
                              .flags = closes ? TT_FLAG_CLOSES : 0,
                              .source = tt_name_of(link->worker->id),
                              .destination = destination};
  write_frame(link, &prelude, &payload);
  tt_buffer_release(&payload);
}

/* ---- links ---- */

static void free_dead_links(tt_worker *worker) {
  for (tt_link **at = &worker->links; *at != NULL;) {
    tt_link *link = *at;
    if (link->ops != NULL) {
      at = &link->next;
      continue;
    }
    *at = link->next;
    tt_free(link);
  }
}

/* Everything behind the link is gone. The link itself is freed when no frame is being handled. */
static void end_link(tt_link *link, const char *reason, const tt_wire_error *refusal) {
  tt_worker *worker = link->worker;
  if (link->ops == NULL) return;
  link->ops = NULL;
  size_t cursor = 0;
  for (tt_peer *peer; (peer = tt_name_map_next(&worker->peers, &cursor, NULL)) != NULL;) {
    if (peer->link == link) tt_peer_lost(peer, reason);
  }
  tt_worker_tell(worker, &(tt_event){.type = TT_EVENT_LINK_CLOSED,
                                     .peer = link->direct == NULL ? "" : link->direct->id,
                                     .text = reason,
                                     .error = refusal,
                                     .transport = link->transport});
  if (worker->n_receiving == 0) free_dead_links(worker);
}

tt_link *tt_worker_attach(tt_worker *worker, const tt_link_ops *ops, void *transport, unsigned flags, tt_error *error) {
  tt_link *link = tt_alloc(1, sizeof *link);
  if (link == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "no memory for one more connection");
    return NULL;
  }
  link->worker = worker;
  link->ops = ops;
  link->transport = transport;
  link->flags = flags;
  link->next = worker->links;
  worker->links = link;
  link->hello_stream = new_stream();
  if (flags & TT_LINK_INITIATES) {
    if (say_hello(link, (tt_name){.bytes = ""}, link->hello_stream, TT_FLAG_WANTS_ANSWER, error) != TT_OK) {
      worker->links = link->next;
      tt_free(link);
      return NULL;
    }
  }
  return link;
}

tt_peer *tt_worker_expect(tt_worker *worker, tt_link *link, const char *id, tt_error *error) {
  tt_name name = tt_name_of(id);
  if (tt_worker_id_check(name, error) != TT_OK) return NULL;
  const tt_peer *known = tt_worker_find_peer(worker, name);
  if ((known != NULL && known->is_present) || tt_name_equal(name, tt_name_of(worker->id))) {
    tt_fail(error, TT_ERR_DUPLICATE, "%s knows a worker %s already", worker->id, id);
    return NULL;
  }
  tt_peer *peer = tt_worker_make_peer(worker, name, error);
  if (peer == NULL) return NULL;
  link->expected = peer;
  peer->is_present = peer->is_expected = true;
  peer->link = link;
  if (link->flags & TT_LINK_INITIATES) peer->out_stream = link->hello_stream;
  return peer;
}

void tt_link_closed(tt_link *link, const char *reason) { end_link(link, reason, NULL); }

static void close_link(tt_link *link, const char *reason, const tt_wire_error *refusal) {
  const tt_link_ops *ops = link->ops;
  if (ops == NULL) return;
  void *transport = link->transport;
  end_link(link, reason, refusal);
  ops->close(transport, reason);
}

void tt_link_refuse(tt_link *link, tt_status status, uint8_t refused_type, tt_name id, const char *reason) {
  tt_worker *worker = link->worker;
  tt_wire_error refusal;
  tt_error told = {.status = status};
  snprintf(told.message, sizeof told.message, "%s", reason);
  tt_wire_error_fill(worker, &refusal, &told);
  const char *who = link->direct == NULL ? "" : link->direct->id;
  tt_worker_tell(worker, &(tt_event){.type = TT_EVENT_REFUSED, .peer = who, .error = &refusal});
  if (link->ops != NULL) say_refused(link, (tt_name){.bytes = ""}, status, refused_type, id, reason, true);
  close_link(link, reason, &refusal);
}

/* What came from a worker behind a relay harms that worker at most; what came from the other end itself ends the connection. */
static void refuse_sender(tt_link *link, const tt_prelude *prelude, tt_status status, const char *reason) {
  if (!link->is_relay || prelude->source.n_bytes == 0) {
    tt_link_refuse(link, status, prelude->type, prelude->source, reason);
    return;
  }
  char who[TT_MAX_WORKER_ID_BYTES + 1];
  snprintf(who, sizeof who, "%.*s", (int)prelude->source.n_bytes, prelude->source.bytes);
  tt_error told = {.status = status};
  snprintf(told.message, sizeof told.message, "%s", reason);
  tt_wire_error refusal;
  tt_wire_error_fill(link->worker, &refusal, &told);
  tt_worker_tell(link->worker, &(tt_event){.type = TT_EVENT_REFUSED, .peer = who, .error = &refusal});
  if (tt_link_has_room(link))
    say_refused(link, prelude->source, status, prelude->type, tt_name_of(link->worker->id), reason, false);
}

/* ---- peers ---- */

tt_status tt_peer_greet(tt_peer *peer, tt_error *error) {
  if (peer->plan != NULL)
    return tt_fail(error, TT_ERR_STATE, "what a plan computes cannot be sent or read while the plan is being made");
  if (peer->worker == NULL) return tt_fail(error, TT_ERR_STATE, "the worker that knew %s is closed", peer->id);
  if (!peer->is_present || peer->link == NULL) return tt_fail(error, TT_ERR_CONNECTION, "%s is not connected", peer->id);
  if (peer->out_stream != 0) return TT_OK;
  uint32_t stream = new_stream();
  bool has_room_now = tt_link_has_room(peer->link);
  if (has_room_now) TT_TRY(say_hello(peer->link, tt_name_of(peer->id), stream, TT_FLAG_WANTS_ANSWER, error));
  peer->owes_hello = !has_room_now;
  peer->out_stream = stream;
  return TT_OK;
}

/* Says the HELLO that the peer waits for, where there is room. */
static void say_owed_hello(tt_peer *peer) {
  tt_error error;
  if (!peer->owes_hello || !tt_link_has_room(peer->link)) return;
  uint16_t flags = peer->is_greeted ? 0 : TT_FLAG_WANTS_ANSWER;
  peer->owes_hello = false;
  if (say_hello(peer->link, tt_name_of(peer->id), peer->out_stream, flags, &error) != TT_OK) tt_peer_break(peer, &error);
}

void tt_link_ready(tt_link *link) {
  tt_worker *worker = link->worker;
  worker->n_receiving++; /* the link is not freed from within */
  size_t cursor = 0;
  tt_peer *peer;
  while ((peer = tt_name_map_next(&worker->peers, &cursor, NULL)) != NULL) {
    if (peer->link == link) say_owed_hello(peer);
    if (peer->link == link) tt_stream_return_credit(peer);
  }
  worker->n_receiving--;
  cursor = 0;
  while ((peer = tt_name_map_next(&worker->peers, &cursor, NULL)) != NULL) {
    if (peer->link == link && peer->first != NULL) tt_stream_mark(peer);
  }
  if (worker->n_receiving == 0) free_dead_links(worker);
}

static void free_op_map(tt_peer *peer) {
  tt_free(peer->op_map);
  for (size_t i = 0; peer->op_names != NULL && i < peer->n_op_map; i++) tt_free(peer->op_names[i]);
  tt_free(peer->op_names);
  peer->op_map = NULL;
  peer->op_names = NULL;
  peer->n_op_map = 0;
}

static void forget_stream_out(tt_peer *peer) {
  tt_stream_clear(peer);
  peer->out_stream = 0;
  peer->out_sequence = peer->out_bytes = peer->out_limit = 0;
  peer->is_greeted = peer->owes_hello = false;
}

static void forget_stream_in(tt_peer *peer) {
  peer->in_stream = 0;
  peer->in_sequence = peer->in_bytes = peer->in_limit = 0;
  tt_parked_clear(peer);
  tt_incoming_release(peer);
  tt_metadata_release(&peer->incoming_metadata);
  size_t cursor = 0;
  for (void *taken; (taken = tt_id_map_next(&peer->takings, &cursor, NULL)) != NULL;) tt_free(taken);
  tt_id_map_release(&peer->takings);
  tt_plans_forget(peer);
  free_op_map(peer);
}

void tt_peer_reset(tt_peer *peer, tt_status status, const char *reason) {
  forget_stream_out(peer);
  forget_stream_in(peer);
  tt_error told = {.status = status};
  snprintf(told.message, sizeof told.message, "%s: %s", peer->id, reason);
  tt_wire_error error;
  tt_wire_error_fill(peer->worker, &error, &told);
  tt_request_fail_all(peer, &error);
  error.failure = tt_random_id();
  tt_promises_lose(peer, &error);
}

void tt_peer_lost(tt_peer *peer, const char *reason) {
  bool was_present = peer->is_present && !peer->is_expected;
  peer->is_present = peer->is_expected = false;
  peer->link = NULL;
  peer->left_at_ms = tt_clock_ms();
  tt_peer_reset(peer, TT_ERR_CONNECTION, reason);
  if (was_present) tt_worker_tell(peer->worker, &(tt_event){.type = TT_EVENT_PEER_LEFT, .peer = peer->id, .text = reason});
}

void tt_peer_break(tt_peer *peer, const tt_error *error) {
  tt_link *link = peer->link;
  if (link == NULL) return;
  if (link->direct == peer) {
    tt_link_refuse(link, error->status, 0, tt_name_of(peer->id), error->message);
    return;
  }
  tt_wire_error refusal;
  tt_wire_error_fill(peer->worker, &refusal, error);
  tt_worker_tell(peer->worker, &(tt_event){.type = TT_EVENT_REFUSED, .peer = peer->id, .error = &refusal});
  uint32_t stream = peer->in_stream;
  bool is_told = tt_link_has_room(link);
  if (is_told) say_refused(link, tt_name_of(peer->id), error->status, 0, tt_name_of(peer->worker->id), error->message, false);
  tt_peer_reset(peer, error->status, error->message);
  if (is_told) peer->refused_stream = stream;
}

static void peer_is_here(tt_peer *peer, tt_link *link) {
  bool was_present = peer->is_present && !peer->is_expected;
  peer->is_present = true;
  peer->is_expected = false;
  peer->link = link;
  if (!was_present) tt_worker_tell(peer->worker, &(tt_event){.type = TT_EVENT_PEER_JOINED, .peer = peer->id});
}

/* ---- hearing things ---- */

/* When the two tables differ, ops are matched by name. */
static tt_status learn_ops(tt_peer *peer, const tt_hello *hello, tt_error *error) {
  free_op_map(peer);
  if (hello->ops_digest == tt_ops_digest()) return TT_OK;
  uint16_t *map = tt_alloc(hello->n_op_names + 1, sizeof *map);
  char **names = tt_alloc(hello->n_op_names + 1, sizeof *names);
  bool whole = map != NULL && names != NULL;
  for (size_t i = 0; whole && i < hello->n_op_names; i++) {
    const tt_op *op = tt_op_find(hello->op_names[i], strlen(hello->op_names[i]));
    map[i + 1] = op == NULL ? 0 : (uint16_t)op->number;
    names[i + 1] = tt_strdup(hello->op_names[i]);
    whole = names[i + 1] != NULL;
  }
  peer->op_map = map;
  peer->op_names = names;
  peer->n_op_map = map == NULL || names == NULL ? 0 : hello->n_op_names + 1;
  if (whole) return TT_OK;
  free_op_map(peer);
  return tt_fail(error, TT_ERR_MEMORY, "no memory for the op table of %s", peer->id);
}

static tt_status read_hello(tt_link *link, const tt_prelude *prelude, const tt_hello *hello, tt_peer **peer_out,
                            tt_error *error) {
  tt_worker *worker = link->worker;
  if (prelude->stream == 0) return tt_fail(error, TT_ERR_PROTOCOL, "HELLO names no stream");
  if (hello->protocol != TT_PROTOCOL_VERSION) {
    return tt_fail(error, TT_ERR_VERSION, "%s speaks protocol %u, this worker %d", hello->id, hello->protocol,
                   TT_PROTOCOL_VERSION);
  }
  if (!tt_name_equal(prelude->source, tt_name_of(hello->id))) {
    return tt_fail(error, TT_ERR_PROTOCOL, "HELLO says two ids, %.*s and %s", (int)prelude->source.n_bytes,
                   prelude->source.bytes, hello->id);
  }
  if (tt_name_equal(prelude->source, tt_name_of(worker->id))) {
    return tt_fail(error, TT_ERR_DUPLICATE, "%s is this worker's own id; choose another", worker->id);
  }
  if (link->expected != NULL && !tt_name_equal(prelude->source, tt_name_of(link->expected->id))) {
    return tt_fail(error, TT_ERR_ARGUMENT, "the worker there is %s, where %s was expected", hello->id, link->expected->id);
  }
  tt_peer *peer = tt_worker_make_peer(worker, prelude->source, error);
  if (peer == NULL) return TT_ERR_MEMORY;
  if (peer->is_present && (peer->link != link || peer->via != NULL)) {
    return tt_fail(error, TT_ERR_DUPLICATE, "%s is attached already; choose another id", peer->id);
  }
  if (prelude->stream != peer->in_stream) {
    if (peer->in_stream != 0) tt_peer_reset(peer, TT_ERR_CONNECTION, "it has begun anew; what was open with it is lost");
    TT_TRY(learn_ops(peer, hello, error));
    peer->in_stream = prelude->stream;
    peer->in_limit = TT_WINDOW_BYTES;
  }
  *peer_out = peer;
  return TT_OK;
}

static void take_hello(tt_link *link, const tt_prelude *prelude, const uint8_t *payload, size_t n_bytes) {
  tt_worker *worker = link->worker;
  tt_error error;
  tt_hello hello;
  tt_peer *peer = NULL;
  tt_status status = tt_hello_read(payload, n_bytes, &hello, &error);
  if (status == TT_OK) {
    status = read_hello(link, prelude, &hello, &peer, &error);
    tt_hello_release(&hello);
  }
  if (status != TT_OK) {
    refuse_sender(link, prelude, status, error.message);
    return;
  }
  if (!link->is_relay && link->direct == NULL) {
    link->direct = peer;
    link->expected = NULL;
    if (link->flags & TT_LINK_INITIATES) peer->out_stream = link->hello_stream;
  }
  peer->is_greeted = true;
  tt_stream_take_credit(peer, prelude);
  peer_is_here(peer, link);
  if (!link->is_open) {
    link->is_open = true;
    tt_worker_tell(
        worker,
        &(tt_event){.type = TT_EVENT_LINK_OPEN, .peer = peer->id, .text = link->ops->name, .transport = link->transport});
  }
  if (prelude->flags & TT_FLAG_WANTS_ANSWER) {
    if (peer->out_stream == 0) peer->out_stream = new_stream();
    peer->owes_hello = true;
    say_owed_hello(peer);
  }
  if (peer->first != NULL || peer->run.n_bytes > 0) tt_stream_mark(peer);
}

/* A worker id in the payload of WELCOME, JOINED and LEFT. */
static bool read_id(tt_reader *reader, tt_name *id) {
  id->n_bytes = tt_read_u8(reader);
  id->bytes = (const char *)tt_read_bytes(reader, id->n_bytes);
  return !reader->failed && tt_worker_id_check(*id, NULL) == TT_OK;
}

static void take_presence(tt_link *link, const tt_prelude *prelude, const uint8_t *payload, size_t n_bytes) {
  tt_worker *worker = link->worker;
  tt_reader reader = tt_reader_of(payload, n_bytes);
  if (prelude->source.n_bytes > 0) {
    refuse_sender(link, prelude, TT_ERR_PROTOCOL, "only a relay tells who is there");
    return;
  }
  if (prelude->type == TT_FRAME_WELCOME && link->expected != NULL) {
    tt_error error;
    tt_fail(&error, TT_ERR_ARGUMENT, "a relay answers there, where the worker %s was expected", link->expected->id);
    tt_link_refuse(link, error.status, prelude->type, prelude->source, error.message);
    return;
  }
  /* Whoever connects to us is one worker: a relay is what we connect to. */
  if (prelude->type == TT_FRAME_WELCOME && link->direct == NULL && (link->flags & TT_LINK_INITIATES)) {
    link->is_relay = true;
    if (!link->is_open) {
      link->is_open = true;
      tt_worker_tell(
          worker, &(tt_event){.type = TT_EVENT_LINK_OPEN, .peer = "", .text = link->ops->name, .transport = link->transport});
    }
  }
  if (!link->is_relay) {
    tt_link_refuse(link, TT_ERR_PROTOCOL, prelude->type, prelude->source, "only a relay tells who is there");
    return;
  }
  while (tt_reader_left(&reader) > 0 && link->ops != NULL) {
    tt_name id;
    if (!read_id(&reader, &id)) {
      tt_link_refuse(link, TT_ERR_PROTOCOL, prelude->type, prelude->source, "a worker id that is none");
      return;
    }
    if (tt_name_equal(id, tt_name_of(worker->id))) continue;
    if (prelude->type == TT_FRAME_LEFT) {
      tt_peer *peer = tt_worker_find_peer(worker, id);
      if (peer != NULL && peer->link == link) {
        tt_peer_lost(peer, prelude->flags & TT_FLAG_IN_ORDER ? "has left" : "its connection to the relay is gone");
      }
      continue;
    }
    tt_error error;
    tt_peer *peer = tt_worker_make_peer(worker, id, &error);
    if (peer == NULL) {
      tt_link_refuse(link, error.status, prelude->type, id, error.message);
      return;
    }
    if (!peer->is_present) peer_is_here(peer, link);
  }
}

static void take_refused(tt_link *link, const tt_prelude *prelude, const uint8_t *payload, size_t n_bytes) {
  tt_worker *worker = link->worker;
  tt_refusal refusal;
  tt_error error;
  if (tt_refusal_read(payload, n_bytes, &refusal, &error) != TT_OK) {
    refuse_sender(link, prelude, error.status, error.message);
    return;
  }
  tt_error told;
  tt_fail(&told, refusal.status, "%.*s", (int)refusal.reason_bytes, refusal.reason);
  tt_wire_error wire;
  tt_wire_error_fill(worker, &wire, &told);
  tt_peer *from = tt_worker_find_peer(worker, prelude->source);
  if (from != NULL && from->link != link) from = NULL; /* in somebody else's name, over a connection that is not theirs */
  if (from != NULL) snprintf(wire.worker, sizeof wire.worker, "%s", from->id);
  tt_worker_tell(worker, &(tt_event){.type = TT_EVENT_REFUSED, .peer = from == NULL ? "" : from->id, .error = &wire});
  bool is_from_relay = prelude->source.n_bytes == 0 && link->direct == NULL;
  if ((prelude->flags & TT_FLAG_CLOSES) && (is_from_relay || !link->is_relay)) {
    close_link(link, told.message, &wire);
  } else if (refusal.status == TT_ERR_UNKNOWN_WORKER && is_from_relay) {
    tt_peer *peer = tt_worker_find_peer(worker, refusal.id);
    if (peer != NULL && peer->link == link) tt_peer_lost(peer, "is not connected to the relay");
  } else if (from != NULL) {
    tt_peer_reset(from, refusal.status, told.message);
  }
}

static tt_status take_sequenced(tt_peer *peer, const tt_prelude *prelude, const uint8_t *payload, size_t n_bytes,
                                tt_error *error) {
  TT_TRY(tt_stream_accept(peer, prelude, error));
  tt_stream_take_credit(peer, prelude);
  const tt_arrival arrival = {
      .type = prelude->type, .flags = prelude->flags, .frame_bytes = prelude->length, .payload = payload, .n_bytes = n_bytes};
  /* Behind what waits everything of the same stream waits. */
  if (peer->first_parked != NULL) return tt_park(peer, &arrival, false, error);
  return tt_execute_arrival(peer, &arrival, error);
}

static void take_frame(tt_link *link, const uint8_t *frame, size_t n_frame_bytes) {
  tt_worker *worker = link->worker;
  tt_prelude prelude;
  const uint8_t *payload;
  size_t n_bytes;
  tt_error error;
  if (tt_prelude_read(frame, n_frame_bytes, &prelude, &payload, &n_bytes, &error) != TT_OK) {
    tt_link_refuse(link, error.status, 0, (tt_name){.bytes = ""}, error.message);
    return;
  }
  bool is_from_other_end = link->direct != NULL && !tt_name_equal(prelude.source, tt_name_of(link->direct->id));
  bool is_for_another = prelude.destination.n_bytes > 0 && !tt_name_equal(prelude.destination, tt_name_of(worker->id));
  if ((is_from_other_end && prelude.source.n_bytes > 0) || is_for_another) {
    tt_fail(&error, TT_ERR_PROTOCOL, "a frame from %.*s to %.*s has come to %s over the connection of %s",
            (int)prelude.source.n_bytes, prelude.source.bytes, (int)prelude.destination.n_bytes, prelude.destination.bytes,
            worker->id, link->direct != NULL ? link->direct->id : "a relay");
    tt_link_refuse(link, TT_ERR_PROTOCOL, prelude.type, prelude.source, error.message);
    return;
  }
  switch (prelude.type) {
  case TT_FRAME_HELLO:
    take_hello(link, &prelude, payload, n_bytes);
    return;
  case TT_FRAME_WELCOME:
  case TT_FRAME_JOINED:
  case TT_FRAME_LEFT:
    take_presence(link, &prelude, payload, n_bytes);
    return;
  case TT_FRAME_REFUSED:
    take_refused(link, &prelude, payload, n_bytes);
    return;
  case TT_FRAME_GOODBYE:
    if (!link->is_relay) close_link(link, "has left", NULL);
    return;
  default:
    break;
  }
  tt_peer *peer = tt_worker_find_peer(worker, prelude.source);
  if (peer == NULL || peer->link != link) {
    if (!link->is_relay) {
      tt_link_refuse(link, TT_ERR_PROTOCOL, prelude.type, prelude.source, "say HELLO first");
    } else if (tt_link_has_room(link)) {
      say_refused(link, prelude.source, TT_ERR_STATE, prelude.type, tt_name_of(worker->id), "say HELLO first", false);
    }
    return;
  }
  if (prelude.type == TT_FRAME_CREDIT) {
    if (prelude.stream == peer->in_stream) tt_stream_take_credit(peer, &prelude);
    return;
  }
  /* It was under way when the stream ended; to refuse it once more would end the one that comes next. */
  if (peer->refused_stream != 0 && prelude.stream == peer->refused_stream && prelude.stream != peer->in_stream) return;
  if (take_sequenced(peer, &prelude, payload, n_bytes, &error) != TT_OK)
    tt_peer_break(peer, &error);
  else
    tt_stream_return_credit(peer);
}

void tt_link_receive(tt_link *link, const uint8_t *frame, size_t n_bytes) {
  tt_worker *worker = link->worker;
  if (link->ops == NULL) return;
  worker->counters.frames_in++;
  worker->counters.bytes_in += n_bytes;
  worker->n_receiving++;
  take_frame(link, frame, n_bytes);
  if (worker->n_receiving == 1) tt_parked_resume(worker);
  worker->n_receiving--;
  if (worker->n_receiving == 0) {
    tt_worker_end_turn(worker);
    free_dead_links(worker);
  }
}
