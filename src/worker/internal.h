/*
 * internal: what the files of worker/ share. Nobody else includes it.
 *
 *   worker.c   life, options, events, known workers, the user's own view of the store
 *   link.c     connections: HELLO, presence, refusals, which peer a frame is for
 *   stream.c   one stream to a peer: order, credit, the queue of what is to leave
 *   listing.c  what is in the store, for whoever asks
 *   execute.c  the commands, tensors and queries of others
 *   request.c  what this worker asks of others, and their answers
 */
#ifndef TT_WORKER_INTERNAL_H
#define TT_WORKER_INTERNAL_H

#include "base/buffer.h"
#include "base/map.h"
#include "wire/command_run.h"
#include "wire/tensor_codec.h"
#include "worker/object_store.h"
#include "worker/worker.h"

enum {
  TT_WINDOW_BYTES = 4 << 20,      /* credit that a worker keeps granted */
  TT_MAX_QUEUED_BYTES = 64 << 20, /* of frames that wait for credit; tensors wait uncopied and do not count */
  TT_MAX_OPEN_REQUESTS = 65536,   /* answers that may wait for credit towards one peer */
  TT_MAX_LISTED = 100000,         /* objects in one answer: who has more is asked with more terms */
  TT_MAX_ANSWER_BYTES = 16 << 20, /* of JSON in all parts of an answer */
};

/* One thing that waits to leave on a stream: a frame whose prelude is filled in when it goes, or a tensor that is cut into frames as credit allows. */
typedef struct tt_outgoing {
  struct tt_outgoing *next;
  tt_buffer frame;       /* a whole frame, or, for a tensor, empty */
  tt_tensor *tensor;     /* contiguous, one reference; NULL for a frame */
  tt_data_header header; /* of a tensor; its metadata lies in `metadata` */
  tt_buffer metadata;
  uint64_t n_sent;         /* element bytes */
  uint64_t n_copied_bytes; /* of a tensor that has been copied for this queue; in the worker's n_copied_bytes */
  bool is_begun;
} tt_outgoing;

typedef enum tt_request_kind {
  TT_REQUEST_SEND,
  TT_REQUEST_GET,
  TT_REQUEST_FETCH,
  TT_REQUEST_QUERY,
  TT_REQUEST_SYNC
} tt_request_kind;

typedef struct tt_request {
  struct tt_request *next, *previous; /* among the requests open at the peer */
  uint64_t id;
  tt_request_kind kind;
  tt_peer *peer;          /* who answers */
  tt_query query;         /* QUERY */
  tt_node *head;          /* SEND GET: one reference */
  tt_node *pointer;       /* SEND GET: what the head's child was when it was asked; one reference */
  tt_control *parts;      /* QUERY: an answer that comes in parts; owned */
  size_t n_part_bytes;    /* of JSON, in all parts */
  tt_node *before;        /* SEND: the child that comes back when it fails; one reference */
  bool takes;             /* GET: the object is to be let go of over there */
  bool is_remote_control; /* SEND GET: a page's, carried out by its own worker */
  char busy[96];          /* what the head says while it waits */
  tt_answer_fn *done;
  void *context;
} tt_request;

struct tt_link {
  tt_link *next;
  tt_worker *worker;
  const tt_link_ops *ops; /* NULL once it is closed */
  void *transport;
  unsigned flags;
  bool is_relay;
  bool is_open;
  uint32_t hello_stream; /* what our first HELLO named: the stream to the worker at the other end, if it is one */
  tt_peer *direct;       /* the worker at the other end; NULL for a relay or before its HELLO */
  tt_peer *expected;     /* who has to be at the other end; NULL: anybody, or it has said HELLO */
};

struct tt_peer {
  tt_location location; /* first */
  tt_worker *worker;    /* NULL once the worker is freed */
  char id[TT_MAX_WORKER_ID_BYTES + 1];
  tt_link *link; /* NULL when it is not here */
  tt_peer *via;  /* commands for it go through this one; NULL when it is reached itself */
  bool is_present;
  bool is_expected; /* present only because tt_worker_expect says so: its HELLO has not come */
  int64_t left_at_ms;
  size_t n_objects; /* that it owns here */

  /* The stream to it. */
  uint32_t out_stream; /* 0: no HELLO said since the last reset */
  uint64_t out_sequence, out_bytes, out_limit;
  bool is_greeted; /* its HELLO has come: there is credit */
  bool owes_hello; /* the answer to its HELLO waits until the connection has room */
  tt_buffer run;   /* the RUN frame that is being filled; begins with room for the prelude */
  tt_outgoing *first, *last;
  size_t n_queued_bytes, n_queued;
  bool is_dirty; /* in the worker's list of streams to flush */
  tt_peer *next_dirty;

  /* The stream from it. */
  uint32_t in_stream;
  uint32_t refused_stream; /* 0, or the one that it broke the protocol on and was told so: what still comes of it is dropped */
  uint64_t in_sequence, in_bytes, in_limit;
  uint16_t *op_map; /* its op number -> ours (0: we have none); NULL when the tables are the same */
  char **op_names;  /* its names, for errors; NULL when the tables are the same */
  size_t n_op_map;
  tt_data_reader incoming;
  uint64_t n_reserved_bytes; /* in the store, for `incoming` */
  tt_data_header incoming_header;
  tt_metadata incoming_metadata;
  tt_id_map takings; /* FETCH with take: request -> the object's id (owned), until its DONE */

  tt_request *requests; /* open at this peer */
};

struct tt_worker {
  char *id;
  char *kind;
  tt_hook hook;
  tt_object_store store;
  int64_t grace_ms;
  bool is_storeless;
  void *host;
  void (*on_event)(void *host, tt_worker *worker, const tt_event *event);
  void (*want_flush)(void *host, tt_worker *worker);
  uint32_t event_mask;
  bool has_asked_flush;
  tt_counters counters;
  tt_link *links;
  int n_receiving; /* depth of tt_link_receive: closed links are freed when it is 0 */
  tt_name_map peers;
  tt_id_map requests;
  uint64_t n_copied_bytes; /* of tensors that wait in streams; at most one, or what the store may hold */
  tt_peer *dirty;
  tt_buffer scratch; /* of stream.c: a DATA frame on its way out */
};

/* worker.c */
bool tt_worker_hears(const tt_worker *worker, tt_event_type type);
void tt_worker_tell(tt_worker *worker, const tt_event *event); /* fills NULL texts with "" */
tt_peer *tt_worker_find_peer(tt_worker *worker, tt_name id);
tt_peer *tt_worker_make_peer(tt_worker *worker, tt_name id, tt_error *error); /* finds it or makes it, absent */
void tt_wire_error_fill(tt_worker *worker, tt_wire_error *wire, const tt_error *error);
void tt_worker_forget_object(tt_worker *worker, tt_object *object, const char *why); /* removes it and tells */
/* Adds an object and tells; see tt_store_add. */
tt_status tt_worker_keep_object(tt_worker *worker, uint64_t id, tt_node *head, tt_peer *owner, tt_object **object,
                                tt_error *error);

/* listing.c: the same for a peer that asks (NULL: this worker). */
tt_status tt_worker_search_for(tt_worker *worker, const tt_peer *asker, const char *const *terms, size_t n_terms,
                               tt_control *answer, tt_error *error);

/* link.c */
/* Sees to it that HELLO has been said. Errors: TT_ERR_CONNECTION when the peer is not here. */
tt_status tt_peer_greet(tt_peer *peer, tt_error *error);
/* The peer is gone, or has begun anew: what was open fails, what was queued goes. */
void tt_peer_reset(tt_peer *peer, tt_status status, const char *reason);
void tt_peer_lost(tt_peer *peer, const char *reason);
/* The peer has broken the protocol: ends its connection or, behind a relay, the stream. */
void tt_peer_break(tt_peer *peer, const tt_error *error);
void tt_link_write(tt_link *link, const uint8_t *frame, size_t n_bytes);
/*
 * Whether the connection takes any frame now. What no credit holds back and anybody can ask for as often as he likes (an answer to HELLO, REFUSED, CREDIT) is said
 * only then: it must not pile up until the transport gives the connection up, which others share.
 */
bool tt_link_has_room(const tt_link *link);
/* The connection ends with REFUSED, as far as it can still be said. */
void tt_link_refuse(tt_link *link, tt_status status, uint8_t refused_type, tt_name id, const char *reason);

/* stream.c */
/* The run to append a record to; follow with tt_stream_end_record. Errors: TT_ERR_CONNECTION, TT_ERR_FULL. */
tt_status tt_stream_begin_record(tt_peer *peer, tt_buffer **run, size_t *start, tt_error *error);
/* Closes a frame that has become full. Errors: TT_ERR_ARGUMENT (a record larger than a frame), TT_ERR_MEMORY; the record is then taken back. */
tt_status tt_stream_end_record(tt_peer *peer, size_t start, tt_error *error);
tt_status tt_stream_send_control(tt_peer *peer, const tt_control *control, tt_error *error);
/* Queues a tensor (one more reference) in its place behind what was queued before. */
tt_status tt_stream_send_tensor(tt_peer *peer, tt_tensor *tensor, const tt_data_header *header, const tt_metadata *metadata,
                                tt_error *error);
/* Sends what may leave. False when only memory was lacking: it is to be tried again. */
bool tt_stream_flush(tt_peer *peer);
/* The storage is about to be written to: tensors that wait in any stream and share it get memory of their own. Errors: TT_ERR_MEMORY, TT_ERR_FULL. */
tt_status tt_streams_detach(tt_worker *worker, tt_storage *storage, tt_error *error);
void tt_stream_mark(tt_peer *peer); /* something waits to be flushed */
void tt_stream_clear(tt_peer *peer);
/* A sequenced frame has arrived: checks stream, sequence and credit. Errors: TT_ERR_PROTOCOL. */
tt_status tt_stream_accept(tt_peer *peer, const tt_prelude *prelude, tt_error *error);
void tt_stream_take_credit(tt_peer *peer, const tt_prelude *prelude);
void tt_stream_return_credit(tt_peer *peer); /* when half of the window is used */

/* execute.c: each handles one payload; an error is the peer's breach of the protocol. */
tt_status tt_execute_run(tt_peer *peer, const uint8_t *payload, size_t n_bytes, tt_error *error);
tt_status tt_execute_data(tt_peer *peer, const tt_prelude *prelude, const uint8_t *payload, size_t n_bytes, tt_error *error);
void tt_incoming_release(tt_peer *peer); /* of a tensor that will not become whole */
tt_status tt_execute_query(tt_peer *peer, tt_control *query, tt_error *error);
/* Sends DONE, or an error, for a peer's request. */
void tt_reply_done(tt_peer *peer, uint64_t request);
void tt_reply_error(tt_peer *peer, uint64_t request, const tt_wire_error *error);

/* request.c */
tt_request *tt_request_find(tt_worker *worker, tt_peer *peer, uint64_t id);
bool tt_request_wants_tensor(const tt_request *request);
/* Ends a request: does what its kind asks of success or failure, calls done, frees it. */
void tt_request_finish(tt_worker *worker, tt_request *request, const tt_answer *answer);
void tt_request_fail_all(tt_peer *peer, const tt_wire_error *error);
/* A CONTROL of n_bytes that is no query. */
tt_status tt_request_answered(tt_peer *peer, tt_control *control, size_t n_bytes, tt_error *error);
void tt_request_tensor(tt_peer *peer, uint64_t request, tt_tensor *tensor,
                       const tt_wire_error *error); /* a FETCH's DATA is complete */

#endif
