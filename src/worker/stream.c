#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "chain/kind.h"
#include "worker/internal.h"

static size_t prelude_room(const tt_peer *peer) { return tt_prelude_bytes(strlen(peer->worker->id), strlen(peer->id)); }

/* Begins a frame to the peer: its prelude is written whole and patched when the frame leaves. */
static void begin_frame(tt_peer *peer, tt_buffer *frame, tt_frame_type type, uint16_t flags) {
  const tt_prelude prelude = {
      .type = (uint8_t)type, .flags = flags, .source = tt_name_of(peer->worker->id), .destination = tt_name_of(peer->id)};
  tt_prelude_write(frame, &prelude, 0);
}

static void note_dirty(tt_peer *peer) {
  tt_worker *worker = peer->worker;
  if (peer->is_dirty) return;
  peer->is_dirty = true;
  peer->next_dirty = worker->dirty;
  worker->dirty = peer;
}

void tt_stream_mark(tt_peer *peer) {
  tt_worker *worker = peer->worker;
  note_dirty(peer);
  worker->is_flush_due = true;
  if (!worker->has_asked_flush && worker->n_receiving == 0 && worker->want_flush != NULL) {
    worker->has_asked_flush = true;
    worker->want_flush(worker->host, worker);
  }
}

/* The same of what nobody waits for. Within tt_link_receive the end of the turn asks. */
static void mark_later(tt_peer *peer) {
  tt_worker *worker = peer->worker;
  if (worker->want_flush_later == NULL) {
    tt_stream_mark(peer);
    return;
  }
  note_dirty(peer);
  if (!worker->has_asked_flush_later && worker->n_receiving == 0) {
    worker->has_asked_flush_later = true;
    worker->want_flush_later(worker->host, worker);
  }
}

/* ---- tensors that wait: not copied, unless they must be ---- */

static void release_cargo(tt_worker *worker, tt_cargo *cargo) {
  if (cargo->tensor == NULL) return;
  worker->n_copied_bytes -= cargo->n_copied_bytes;
  cargo->tensor->storage->n_readers--;
  tt_tensor_unref(cargo->tensor);
  *cargo = (tt_cargo){.tensor = NULL};
}

static void hold_cargo(tt_worker *worker, tt_cargo *cargo, tt_tensor *take_tensor, uint64_t n_copied_bytes) {
  take_tensor->storage->n_readers++;
  *cargo = (tt_cargo){.tensor = take_tensor, .n_copied_bytes = n_copied_bytes};
  worker->n_copied_bytes += n_copied_bytes;
}

static uint64_t tensor_bytes(const tt_tensor *tensor) {
  return (uint64_t)tt_tensor_n_elements(tensor) * tt_dtype_bytes(tt_tensor_dtype(tensor));
}

/* Who makes copies wait without end, by fetching what it changes or what is not contiguous, may hold as much again as the store. */
static tt_status check_copies(const tt_worker *worker, uint64_t n_bytes, tt_error *error) {
  uint64_t most = worker->store.max_bytes, now = worker->n_copied_bytes;
  if (now == 0 || (now <= most && n_bytes <= most - now)) return TT_OK;
  return tt_fail(error, TT_ERR_FULL,
                 "copies of %" PRIu64 " bytes wait to leave %s already, and one of %" PRIu64
                 " is too many; await something before changing or fetching more",
                 now, worker->id, n_bytes);
}

/* Takes a tensor as cargo, as it is now: contiguous, copied only where it is not. */
static tt_status load(tt_worker *worker, tt_cargo *cargo, tt_tensor *tensor, tt_error *error) {
  bool is_copy = !tt_tensor_is_contiguous(tensor);
  if (is_copy) TT_TRY(check_copies(worker, tensor_bytes(tensor), error));
  tt_tensor *contiguous = tt_tensor_contiguous(tensor, error);
  if (contiguous == NULL) return TT_ERR_MEMORY;
  hold_cargo(worker, cargo, contiguous, is_copy ? tensor_bytes(tensor) : 0);
  return TT_OK;
}

static tt_status detach(tt_worker *worker, tt_cargo *cargo, const tt_storage *storage, tt_error *error) {
  if (cargo->tensor == NULL || cargo->tensor->storage != storage) return TT_OK;
  uint64_t n_bytes = tensor_bytes(cargo->tensor);
  TT_TRY(check_copies(worker, n_bytes, error));
  tt_tensor *copy = tt_tensor_cast(cargo->tensor, tt_tensor_dtype(cargo->tensor), error);
  if (copy == NULL) return TT_ERR_MEMORY;
  release_cargo(worker, cargo);
  hold_cargo(worker, cargo, copy, n_bytes);
  return TT_OK;
}

tt_status tt_streams_detach(tt_worker *worker, tt_storage *storage, tt_error *error) {
  size_t cursor = 0;
  for (tt_peer *peer; (peer = tt_worker_next_peer(worker, &cursor)) != NULL;) {
    for (tt_outgoing *outgoing = peer->first; outgoing != NULL; outgoing = outgoing->next) {
      TT_TRY(detach(worker, &outgoing->tensor, storage, error));
      TT_TRY(detach(worker, &outgoing->gradient, storage, error));
    }
  }
  return TT_OK;
}

static void release_outgoing(tt_worker *worker, tt_outgoing *outgoing) {
  tt_buffer_release(&outgoing->frame);
  tt_buffer_release(&outgoing->metadata);
  release_cargo(worker, &outgoing->tensor);
  release_cargo(worker, &outgoing->gradient);
  tt_free(outgoing);
}

static void drop_first(tt_peer *peer) {
  tt_outgoing *first = peer->first;
  peer->first = first->next;
  if (peer->first == NULL) peer->last = NULL;
  peer->n_queued--;
  peer->n_queued_bytes -= first->frame.n_bytes + first->metadata.n_bytes;
  release_outgoing(peer->worker, first);
}

void tt_stream_clear(tt_peer *peer) {
  while (peer->first != NULL) drop_first(peer);
  tt_buffer_release(&peer->run);
  peer->last_free = 0;
}

static void append(tt_peer *peer, tt_outgoing *outgoing) {
  if (peer->last != NULL)
    peer->last->next = outgoing;
  else
    peer->first = outgoing;
  peer->last = outgoing;
  peer->n_queued++;
  peer->n_queued_bytes += outgoing->frame.n_bytes + outgoing->metadata.n_bytes;
}

/* Moves the run that is being filled to the end of the queue; the buffer goes along. */
static tt_status close_run(tt_peer *peer, tt_error *error) {
  if (peer->run.n_bytes <= prelude_room(peer)) return TT_OK;
  tt_outgoing *outgoing = tt_alloc(1, sizeof *outgoing);
  if (outgoing == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory to queue commands for %s", peer->id);
  outgoing->frame = peer->run;
  peer->last_run_bytes = peer->run.n_bytes < TT_SMALL_TENSOR_BYTES ? peer->run.n_bytes : TT_SMALL_TENSOR_BYTES;
  tt_buffer_init(&outgoing->metadata);
  tt_buffer_init(&peer->run);
  peer->last_free = 0;
  append(peer, outgoing);
  return TT_OK;
}

static tt_status check_queue(const tt_peer *peer, tt_error *error) {
  if (peer->n_queued_bytes > TT_MAX_QUEUED_BYTES || peer->n_queued > TT_MAX_OPEN_REQUESTS) {
    return tt_fail(error, TT_ERR_FULL,
                   "%zu frames (%zu bytes) wait for %s already, which does not keep up; await something before sending more",
                   peer->n_queued, peer->n_queued_bytes, peer->id);
  }
  return TT_OK;
}

tt_status tt_stream_begin_record(tt_peer *peer, tt_buffer **run, size_t *start, tt_error *error) {
  TT_TRY(tt_peer_greet(peer, error));
  TT_TRY(check_queue(peer, error));
  if (peer->run.n_bytes == 0) {
    /* One is much like the last. Without this room it grows by steps. */
    (void)tt_buffer_reserve(&peer->run, peer->last_run_bytes);
    begin_frame(peer, &peer->run, TT_FRAME_RUN, 0);
  }
  *run = &peer->run;
  *start = peer->run.n_bytes;
  return TT_OK;
}

static tt_status end_record(tt_peer *peer, size_t start, tt_error *error) {
  tt_buffer *run = &peer->run;
  size_t room = prelude_room(peer);
  if (run->failed) {
    run->n_bytes = start;
    run->failed = false;
    return tt_fail(error, TT_ERR_MEMORY, "no memory to queue a command for %s", peer->id);
  }
  if (run->n_bytes > TT_MAX_FRAME_BYTES) {
    size_t record_bytes = run->n_bytes - start;
    if (room + record_bytes > TT_MAX_FRAME_BYTES) {
      run->n_bytes = start;
      return tt_fail(error, TT_ERR_ARGUMENT, "a command of %zu bytes does not fit in a frame of %d; give it shorter lists",
                     record_bytes, TT_MAX_FRAME_BYTES);
    }
    /* The record opens the next frame. */
    tt_buffer next;
    tt_buffer_init(&next);
    begin_frame(peer, &next, TT_FRAME_RUN, 0);
    tt_buffer_append(&next, run->bytes + start, record_bytes);
    run->n_bytes = start;
    tt_status status =
        next.failed ? tt_fail(error, TT_ERR_MEMORY, "no memory to queue a command for %s", peer->id) : close_run(peer, error);
    if (status != TT_OK) {
      tt_buffer_release(&next);
      return status;
    }
    peer->run = next;
  }
  if (run->n_bytes >= peer->worker->full_bytes) peer->worker->is_run_full = true;
  return TT_OK;
}

tt_status tt_stream_end_record(tt_peer *peer, size_t start, tt_error *error) {
  TT_TRY(end_record(peer, start, error));
  tt_stream_mark(peer);
  return TT_OK;
}

tt_status tt_stream_end_record_later(tt_peer *peer, size_t start, tt_error *error) {
  TT_TRY(end_record(peer, start, error));
  mark_later(peer);
  return TT_OK;
}

/* Queues one message, or one part of an answer that is too long for one. */
static tt_status queue_part(tt_peer *peer, const tt_control *control, tt_control_position *position, bool *is_last,
                            tt_error *error) {
  tt_outgoing *outgoing = tt_alloc(1, sizeof *outgoing);
  if (outgoing == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory to queue a message for %s", peer->id);
  tt_buffer_init(&outgoing->frame);
  tt_buffer_init(&outgoing->metadata);
  begin_frame(peer, &outgoing->frame, TT_FRAME_CONTROL, 0);
  tt_status status =
      tt_control_write_part(&outgoing->frame, control, TT_MAX_FRAME_BYTES - prelude_room(peer), position, is_last, error);
  if (status != TT_OK) {
    release_outgoing(peer->worker, outgoing);
    return status;
  }
  append(peer, outgoing);
  tt_stream_mark(peer);
  return TT_OK;
}

tt_status tt_stream_send_control(tt_peer *peer, const tt_control *control, tt_error *error) {
  TT_TRY(tt_peer_greet(peer, error));
  TT_TRY(check_queue(peer, error));
  TT_TRY(close_run(peer, error));
  tt_control_position position = {0};
  for (bool is_last = false; !is_last;) TT_TRY(queue_part(peer, control, &position, &is_last, error));
  return TT_OK;
}

static tt_status write_metadata(const tt_peer *peer, tt_buffer *json, const tt_metadata *metadata, tt_node *chain,
                                tt_error *error) {
  const char *names[TT_MAX_KINDS];
  tt_metadata told = {.tags = NULL};
  if (metadata != NULL) told = *metadata;
  told.n_chain = chain == NULL ? 0 : tt_kind_names(chain, names);
  told.chain = (char **)(void *)names;
  if (tt_metadata_is_empty(&told)) return TT_OK;
  TT_TRY(tt_metadata_write(json, &told, error));
  if (json->failed) return tt_fail(error, TT_ERR_MEMORY, "no memory to queue a tensor for %s", peer->id);
  if (json->n_bytes <= TT_MAX_FRAME_BYTES / 2) return TT_OK;
  return tt_fail(error, TT_ERR_ARGUMENT, "tags and description of %zu bytes are too long to travel with a tensor",
                 json->n_bytes);
}

/* Appends the elements to a run. */
static tt_status append_elements(tt_buffer *run, tt_tensor *tensor, tt_error *error) {
  tt_tensor *contiguous = tt_tensor_contiguous(tensor, error);
  if (contiguous == NULL) return TT_ERR_MEMORY;
  tt_buffer_append(run, tt_tensor_data(contiguous), (size_t)tensor_bytes(contiguous));
  tt_tensor_unref(contiguous);
  return TT_OK;
}

/* A TENSOR: into the run, with the commands around it. */
static tt_status send_record(tt_peer *peer, const tt_parcel *parcel, tt_data_header *header, const tt_metadata *metadata,
                             tt_node *chain, tt_error *error) {
  tt_metadata told = {.tags = NULL};
  if (metadata != NULL) told = *metadata;
  tt_name promised_by = {.bytes = ""};
  if (header->fulfils) promised_by = tt_name_of(told.promised_by);
  told.promised_by = NULL; /* the record says it */
  tt_buffer *json = &peer->worker->scratch;
  tt_buffer_clear(json);
  TT_TRY(write_metadata(peer, json, &told, chain, error));
  header->metadata = json->bytes;
  header->metadata_bytes = json->n_bytes;
  tt_buffer *run;
  size_t start;
  TT_TRY(tt_stream_begin_record(peer, &run, &start, error));
  tt_run_write_tensor(run, promised_by, tt_data_header_bytes(header) + (size_t)header->total_bytes);
  tt_data_header_write(run, header);
  tt_status status = TT_OK;
  if (parcel != NULL) status = append_elements(run, parcel->tensor, error);
  if (status == TT_OK && parcel != NULL && parcel->gradient != NULL) status = append_elements(run, parcel->gradient, error);
  if (status == TT_OK) {
    TT_TRY(tt_stream_end_record(peer, start, error));
    peer->worker->counters.tensor_bytes_out += header->total_bytes;
    return TT_OK;
  }
  run->n_bytes = start;
  return status;
}

/* Waits in the queue as it is, and is cut into frames as it leaves. */
static tt_status queue_tensor(tt_peer *peer, const tt_parcel *parcel, const tt_data_header *header, const tt_metadata *metadata,
                              tt_error *error) {
  TT_TRY(close_run(peer, error));
  tt_outgoing *outgoing = tt_alloc(1, sizeof *outgoing);
  if (outgoing == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory to queue a tensor for %s", peer->id);
  tt_buffer_init(&outgoing->frame);
  tt_buffer_init(&outgoing->metadata);
  outgoing->header = *header;
  tt_status status = write_metadata(peer, &outgoing->metadata, metadata, parcel->chain, error);
  if (status == TT_OK) status = load(peer->worker, &outgoing->tensor, parcel->tensor, error);
  if (status == TT_OK && parcel->gradient != NULL) status = load(peer->worker, &outgoing->gradient, parcel->gradient, error);
  if (status != TT_OK) {
    release_outgoing(peer->worker, outgoing);
    return status;
  }
  outgoing->header.metadata = outgoing->metadata.bytes;
  outgoing->header.metadata_bytes = outgoing->metadata.n_bytes;
  append(peer, outgoing);
  tt_stream_mark(peer);
  return TT_OK;
}

tt_status tt_stream_send_tensor(tt_peer *peer, const tt_parcel *parcel, const tt_data_header *header,
                                const tt_metadata *metadata, tt_error *error) {
  TT_TRY(tt_peer_greet(peer, error));
  TT_TRY(check_queue(peer, error));
  tt_data_header told = *header;
  told.form = TT_DATA_TENSOR;
  told.meta = parcel->tensor->operand.meta;
  told.total_bytes = (parcel->gradient != NULL ? 2 : 1) * tensor_bytes(parcel->tensor);
  told.requires_grad = parcel->requires_grad;
  told.has_gradient = parcel->gradient != NULL;
  /* What is in a run is a copy, which counts as queued: where much waits already, tensors wait uncopied. */
  bool is_small = told.total_bytes <= TT_SMALL_TENSOR_BYTES && peer->n_queued_bytes <= TT_WINDOW_BYTES;
  return is_small ? send_record(peer, parcel, &told, metadata, parcel->chain, error)
                  : queue_tensor(peer, parcel, &told, metadata, error);
}

tt_status tt_stream_send_pointer(tt_peer *peer, tt_node *chain, const tt_data_header *header, const tt_metadata *metadata,
                                 tt_error *error) {
  TT_TRY(tt_peer_greet(peer, error));
  tt_data_header told = *header;
  return send_record(peer, NULL, &told, metadata, chain, error);
}

/* Whether a frame of that many bytes may leave now: the peer has given credit for it, and the transport takes it. */
static bool may_leave(const tt_peer *peer, size_t n_bytes) {
  if (!peer->is_greeted || peer->owes_hello || n_bytes > peer->out_limit - peer->out_bytes) return false;
  const tt_link *link = peer->link;
  return link->ops == NULL || link->ops->room == NULL || n_bytes <= link->ops->room(link->transport);
}

/* Gives as much credit as there is; frames that are parked keep theirs. */
static void grant(tt_peer *peer) {
  uint64_t limit = peer->in_bytes - peer->n_parked_bytes + TT_WINDOW_BYTES;
  if (limit > peer->in_limit) peer->in_limit = limit;
}

static void leave(tt_peer *peer, uint8_t *frame, size_t n_bytes) {
  peer->out_sequence++;
  peer->out_bytes += n_bytes;
  grant(peer);
  tt_prelude_patch(frame, (uint32_t)n_bytes, peer->out_stream, peer->out_sequence, peer->in_sequence - peer->n_parked,
                   peer->in_limit);
  tt_link_write(peer->link, frame, n_bytes);
}

typedef enum tt_leaving { TT_LEFT, TT_MUST_WAIT, TT_NO_MEMORY } tt_leaving;

/* Sends the next piece of the tensor in front. Where there is no credit or room for it, or no memory, it stays queued. */
static tt_leaving send_piece(tt_peer *peer, tt_outgoing *outgoing) {
  size_t room = prelude_room(peer);
  size_t head = outgoing->is_begun ? sizeof(uint64_t) : tt_data_header_bytes(&outgoing->header);
  /* A piece is of the tensor or of its gradient. */
  uint64_t n_own = tensor_bytes(outgoing->tensor.tensor);
  bool is_own = outgoing->n_sent < n_own || outgoing->gradient.tensor == NULL;
  const tt_tensor *from = is_own ? outgoing->tensor.tensor : outgoing->gradient.tensor;
  uint64_t at = is_own ? outgoing->n_sent : outgoing->n_sent - n_own;
  uint64_t left = n_own - at;
  uint64_t fits = TT_MAX_FRAME_BYTES - room - head;
  size_t n_elements = (size_t)(left < fits ? left : fits);
  size_t frame_bytes = room + head + n_elements;
  if (!may_leave(peer, frame_bytes)) return TT_MUST_WAIT;

  tt_buffer *frame = &peer->worker->scratch;
  tt_buffer_clear(frame);
  if (!tt_buffer_reserve(frame, TT_MAX_FRAME_BYTES)) return TT_NO_MEMORY;
  begin_frame(peer, frame, TT_FRAME_DATA,
              outgoing->is_begun         ? TT_FLAG_CONTINUES
              : outgoing->header.fulfils ? TT_FLAG_FULFILS
                                         : 0);
  if (outgoing->is_begun)
    tt_buffer_u64(frame, outgoing->header.transfer);
  else
    tt_data_header_write(frame, &outgoing->header);
  if (n_elements > 0) {
    tt_buffer_append(frame, (const uint8_t *)tt_tensor_data(from) + at, n_elements);
  }
  outgoing->is_begun = true;
  outgoing->n_sent += n_elements;
  peer->worker->counters.tensor_bytes_out += n_elements;
  leave(peer, frame->bytes, frame->n_bytes);
  return TT_LEFT;
}

bool tt_stream_flush(tt_peer *peer) {
  if (peer->link == NULL) return true;
  if (close_run(peer, NULL) != TT_OK) return false;
  while (peer->first != NULL && peer->link != NULL) {
    tt_outgoing *first = peer->first;
    if (first->tensor.tensor != NULL) {
      tt_leaving leaving = send_piece(peer, first);
      if (leaving != TT_LEFT) return leaving == TT_MUST_WAIT;
      if (peer->first == first && first->n_sent == first->header.total_bytes) drop_first(peer);
    } else {
      if (!may_leave(peer, first->frame.n_bytes)) return true;
      /* Taken out before it is sent: a transport that fails resets the peer from within. */
      tt_buffer frame = first->frame;
      peer->n_queued_bytes -= frame.n_bytes;
      tt_buffer_init(&first->frame);
      drop_first(peer);
      leave(peer, frame.bytes, frame.n_bytes);
      tt_buffer_release(&frame);
    }
  }
  return true;
}

tt_status tt_stream_accept(tt_peer *peer, const tt_prelude *prelude, tt_error *error) {
  if (peer->in_stream == 0 || prelude->stream != peer->in_stream) {
    return tt_fail(error, TT_ERR_PROTOCOL, "a frame of stream %" PRIu32 " from %s, which has not announced it; say HELLO first",
                   prelude->stream, peer->id);
  }
  if (prelude->sequence != peer->in_sequence + 1) {
    return tt_fail(error, TT_ERR_PROTOCOL, "frame %" PRIu64 " from %s where %" PRIu64 " was next", prelude->sequence, peer->id,
                   peer->in_sequence + 1);
  }
  if (prelude->length > peer->in_limit - peer->in_bytes) {
    return tt_fail(error, TT_ERR_PROTOCOL, "%s sent more than the credit it was given (%" PRIu64 " bytes)", peer->id,
                   peer->in_limit);
  }
  peer->in_sequence = prelude->sequence;
  peer->in_bytes += prelude->length;
  return TT_OK;
}

void tt_stream_take_credit(tt_peer *peer, const tt_prelude *prelude) {
  if (prelude->credit <= peer->out_limit) return;
  peer->out_limit = prelude->credit;
  if (peer->first != NULL) tt_stream_mark(peer);
}

void tt_stream_return_credit(tt_peer *peer) {
  if (peer->link == NULL || !peer->is_greeted) return;
  if (peer->in_limit - (peer->in_bytes - peer->n_parked_bytes) > TT_WINDOW_BYTES / 2) return;
  if (!tt_link_has_room(peer->link)) return; /* tt_link_ready comes back to it */
  grant(peer);
  const tt_prelude prelude = {.type = TT_FRAME_CREDIT,
                              .stream = peer->out_stream,
                              .acknowledgement = peer->in_sequence - peer->n_parked,
                              .credit = peer->in_limit,
                              .source = tt_name_of(peer->worker->id),
                              .destination = tt_name_of(peer->id)};
  tt_buffer frame;
  tt_buffer_init(&frame);
  tt_prelude_write(&frame, &prelude, 0);
  if (!frame.failed) tt_link_write(peer->link, frame.bytes, frame.n_bytes);
  tt_buffer_release(&frame);
}
