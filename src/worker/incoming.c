#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "chain/kind.h"
#include "worker/internal.h"

static const char *const *chain_of(const tt_metadata *metadata) { return (const char *const *)(const void *)metadata->chain; }

static tt_node *incoming_head(tt_peer *peer, tt_tensor *take_tensor, tt_tensor *take_gradient, tt_error *error) {
  const tt_data_header *header = &peer->incoming_header;
  tt_metadata *metadata = &peer->incoming_metadata;
  tt_node *below = take_tensor != NULL ? tt_parcel_open(peer->worker, take_tensor, take_gradient, header->requires_grad, error)
                                       : tt_pointer_new(&peer->location, metadata->location_id, &header->meta, false, error);
  if (below != NULL && take_tensor == NULL) tt_pointer_set_requires_grad(below, header->requires_grad);
  tt_node *child = below == NULL ? NULL : tt_kind_build(chain_of(metadata), metadata->n_chain, below, error);
  tt_metadata_release_chain(metadata); /* from now on the head says it */
  return child == NULL ? NULL : tt_head_new(child, error);
}

/* What a peer has sent becomes an object here: its own, or that of whoever has promised it. *is_answered is false while nobody has. */
static tt_status keep_incoming(tt_peer *peer, tt_tensor *take_tensor, tt_tensor *take_gradient, bool *is_answered,
                               tt_error *error) {
  const tt_data_header *header = &peer->incoming_header;
  tt_node *head = incoming_head(peer, take_tensor, take_gradient, error);
  if (head == NULL) return error->status;
  tt_object *object;
  bool is_early = false;
  tt_status status = header->fulfils ? tt_promise_fulfil(peer, header, &peer->incoming_metadata, head, &is_early, error)
                                     : tt_worker_keep_object(peer->worker, header->object, head, peer, &object, error);
  tt_node *tail = tt_node_tail(head);
  if (status == TT_OK && tt_node_is_pointer(tail)) tt_pointer_own(tail);
  tt_node_unref(head);
  if (status != TT_OK) return status;
  *is_answered = !is_early;
  if (header->fulfils) return TT_OK;
  object->metadata = peer->incoming_metadata;
  peer->incoming_metadata = (tt_metadata){0};
  if (object->metadata.has_policy) object->policy = object->metadata.policy;
  return TT_OK;
}

static tt_status check_incoming(tt_peer *peer, const tt_data_header *header, tt_error *error) {
  const tt_worker *worker = peer->worker;
  const tt_metadata *metadata = &peer->incoming_metadata;
  if (header->object != 0) TT_TRY(tt_kind_check_names(chain_of(metadata), metadata->n_chain, error));
  if (header->object != 0 && header->fulfils) return tt_promise_check(peer, header, &peer->incoming_metadata, error);
  if (header->object != 0 && header->form != TT_DATA_TENSOR)
    return tt_fail(error, TT_ERR_ARGUMENT, "%s does not take pointers that nobody has promised", worker->id);
  if (header->object == 0) {
    tt_request *request = tt_request_find(peer->worker, peer, header->transfer);
    if (request == NULL || !tt_request_wants(request, header->form)) /* given up, or never asked */
      return tt_fail(error, TT_ERR_PROTOCOL, "%s answers something else than it was asked", peer->id);
    if (header->total_bytes <= worker->store.max_bytes) return TT_OK;
    return tt_fail(error, TT_ERR_FULL,
                   "a tensor of %" PRIu64 " bytes from %s is more than the %" PRIu64 " that %s may ever hold",
                   header->total_bytes, peer->id, worker->store.max_bytes, worker->id);
  }
  if (worker->is_storeless) {
    return tt_fail(error, TT_ERR_POLICY, "%s keeps no objects of others: it is the page of a worker; send to that worker",
                   worker->id);
  }
  if (tt_store_find(&worker->store, header->object) != NULL) {
    return tt_fail(error, TT_ERR_DUPLICATE, "%s has an object %" PRIu64 " already; nothing was overwritten", worker->id,
                   header->object);
  }
  return tt_store_check_room(&worker->store, header->total_bytes, error);
}

void tt_incoming_release(tt_peer *peer) {
  peer->worker->store.n_reserved_bytes -= peer->n_reserved_bytes;
  peer->n_reserved_bytes = 0;
  tt_data_reader_release(&peer->incoming);
}

/* An object cannot be kept: who sent it hears of it, and who waits for it. */
static void refuse_object(tt_peer *peer, const tt_error *error) {
  const tt_data_header *header = &peer->incoming_header;
  tt_wire_error wire;
  tt_wire_error_fill(peer->worker, &wire, error);
  wire.failure = header->fulfils ? tt_random_id() : 0;
  if (header->fulfils) tt_promise_broken(peer, header->object, &peer->incoming_metadata, &wire);
  tt_reply_error(peer, header->transfer, &wire);
}

static void finish_incoming(tt_peer *peer) {
  const tt_data_header *header = &peer->incoming_header;
  bool is_refused = peer->is_incoming_refused;
  tt_tensor *gradient = tt_data_reader_take_gradient(&peer->incoming);
  tt_tensor *tensor = tt_data_reader_take(&peer->incoming);
  tt_incoming_release(peer);
  if (!is_refused && header->object == 0 && header->form == TT_DATA_POINTER) {
    tt_metadata metadata = peer->incoming_metadata; /* the request's end may end the peer's stream */
    peer->incoming_metadata = (tt_metadata){0};
    tt_request_pointer(peer, header, &metadata);
    tt_metadata_release(&metadata);
  } else if (!is_refused && header->object == 0) {
    tt_metadata metadata = peer->incoming_metadata;
    peer->incoming_metadata = (tt_metadata){0};
    const tt_answer answer = {.tensor = tensor, .gradient = gradient, .requires_grad = tensor != NULL && header->requires_grad};
    tt_request_tensor(peer, header->transfer, &metadata, &answer);
    tt_metadata_release(&metadata);
    tt_tensor_unref(tensor);
    tt_tensor_unref(gradient);
  } else if (!is_refused) {
    tt_error error;
    bool is_answered = true;
    if (keep_incoming(peer, tensor, gradient, &is_answered, &error) != TT_OK)
      refuse_object(peer, &error);
    else if (is_answered)
      tt_reply_done(peer, header->transfer);
  }
  tt_metadata_release(&peer->incoming_metadata);
}

/* A tensor that cannot be taken is answered at once; the rest of it is skipped. */
static void refuse_incoming(tt_peer *peer, const tt_error *error) {
  const tt_data_header *header = &peer->incoming_header;
  peer->is_incoming_refused = true;
  if (header->object != 0) {
    refuse_object(peer, error);
    return;
  }
  tt_wire_error wire;
  tt_wire_error_fill(peer->worker, &wire, error);
  tt_request_tensor(peer, header->transfer, NULL, &(tt_answer){.error = &wire});
}

/* In a TENSOR the record says who promised it, whatever its metadata say. */
static tt_status note_promise(tt_peer *peer, tt_name promised_by, tt_error *error) {
  tt_metadata *metadata = &peer->incoming_metadata;
  tt_free(metadata->promised_by);
  metadata->promised_by = NULL;
  if (promised_by.n_bytes == 0) return TT_OK;
  metadata->promised_by = tt_alloc(promised_by.n_bytes + 1u, 1);
  if (metadata->promised_by == NULL)
    return tt_fail(error, TT_ERR_MEMORY, "%s has no memory for a tensor of %s", peer->worker->id, peer->id);
  memcpy(metadata->promised_by, promised_by.bytes, promised_by.n_bytes);
  return TT_OK;
}

/* promised_by: of a TENSOR, NULL where the metadata say it. */
static tt_status begin_incoming(tt_peer *peer, bool fulfils, const tt_name *promised_by, const uint8_t *payload, size_t n_bytes,
                                tt_error *error) {
  if (peer->incoming.is_active)
    return tt_fail(error, TT_ERR_PROTOCOL, "a second tensor from %s before the first was whole", peer->id);
  tt_data_header *header = &peer->incoming_header;
  const uint8_t *elements;
  size_t n_element_bytes;
  tt_error trouble;
  tt_status refused = tt_data_header_read(payload, n_bytes, header, &elements, &n_element_bytes, &trouble);
  if (refused != TT_OK && refused != TT_ERR_SHAPE) {
    if (error != NULL) *error = trouble;
    return refused;
  }
  header->fulfils = fulfils;
  peer->is_incoming_refused = false;
  if (header->object == 0 && fulfils)
    return tt_fail(error, TT_ERR_PROTOCOL, "a tensor of %s fulfils a promise and has no id", peer->id);
  tt_metadata_release(&peer->incoming_metadata);
  if (header->metadata_bytes > 0)
    TT_TRY(tt_metadata_read(header->metadata, header->metadata_bytes, &peer->incoming_metadata, error));
  header->metadata = NULL; /* it points into this frame */
  if (promised_by != NULL) TT_TRY(note_promise(peer, *promised_by, error));
  if (header->form == TT_DATA_POINTER && peer->incoming_metadata.location == NULL)
    return tt_fail(error, TT_ERR_PROTOCOL, "a pointer of %s does not say where it points to", peer->id);
  if (refused == TT_OK) refused = check_incoming(peer, header, &trouble);
  if (refused == TT_OK) {
    refused = tt_data_reader_begin(&peer->incoming, header, true, elements, n_element_bytes, &trouble);
    if (refused == TT_OK && header->object != 0) {
      peer->n_reserved_bytes = header->total_bytes;
      peer->worker->store.n_reserved_bytes += header->total_bytes;
    }
    if (refused != TT_OK && refused != TT_ERR_MEMORY) {
      if (error != NULL) *error = trouble;
      return refused;
    }
  }
  if (refused != TT_OK) {
    TT_TRY(tt_data_reader_begin(&peer->incoming, header, false, elements, n_element_bytes, error));
    refuse_incoming(peer, &trouble);
  }
  peer->worker->counters.tensor_bytes_in += n_element_bytes;
  return TT_OK;
}

tt_status tt_execute_data(tt_peer *peer, const tt_arrival *arrival, tt_error *error) {
  bool continues = (arrival->flags & TT_FLAG_CONTINUES) != 0, fulfils = (arrival->flags & TT_FLAG_FULFILS) != 0;
  if (continues && fulfils)
    return tt_fail(error, TT_ERR_PROTOCOL, "a DATA frame of %s continues a transfer and fulfils a promise", peer->id);
  if (continues) {
    uint64_t before = peer->incoming.n_bytes;
    TT_TRY(tt_data_reader_continue(&peer->incoming, arrival->payload, arrival->n_bytes, error));
    peer->worker->counters.tensor_bytes_in += peer->incoming.n_bytes - before;
  } else {
    TT_TRY(begin_incoming(peer, fulfils, NULL, arrival->payload, arrival->n_bytes, error));
  }
  if (tt_data_reader_is_complete(&peer->incoming)) finish_incoming(peer);
  return TT_OK;
}

tt_status tt_execute_tensor(tt_peer *peer, const tt_record *record, tt_error *error) {
  bool fulfils = (record->flags & TT_TENSOR_FULFILS) != 0;
  TT_TRY(begin_incoming(peer, fulfils, &record->worker, record->data, record->n_data_bytes, error));
  if (peer->in_stream == 0) return TT_OK; /* a refusal that could not be queued has ended the stream */
  if (!tt_data_reader_is_complete(&peer->incoming))
    return tt_fail(error, TT_ERR_PROTOCOL, "a tensor of %s is not whole in its record", peer->id);
  finish_incoming(peer);
  return TT_OK;
}
