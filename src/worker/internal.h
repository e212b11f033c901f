/*
 * internal: what the files of worker/ share. Nobody else includes it.
 *
 *   worker.c   life, options, events, known workers, the user's own view of the store
 *   link.c     connections: HELLO, presence, refusals, which peer a frame is for
 *   stream.c   one stream to a peer: order, credit, the queue of what is to leave
 *   listing.c  what is in the store, for whoever asks
 *   execute.c  what others send: runs, and their records but CALL; queries
 *   call.c     CALL: who may, whose gradients, what poisons what
 *   incoming.c tensors and pointers of others on their way in
 *   plan.c     a function's commands, noted once and performed by name
 *   promise.c  objects that somebody else is going to deliver, and what waits for them
 *   give.c     what this worker does with other workers because a peer asks for it: giving, fetching on, handing over
 *   parcel.c   what a tensor takes along when it leaves
 *   request.c  what this worker asks of others, and their answers
 *   copies.c   what it asks of several at once
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
  TT_WINDOW_BYTES = 4 << 20, /* credit that a worker keeps granted */
  TT_FIRST_RUN_BYTES =
      2 << 10, /* of commands that are worth a frame before the turn ends: of the first one; each next is twice as large, */
  TT_FULL_RUN_BYTES = 8 << 10,                   /* up to this */
  TT_SMALL_TENSOR_BYTES = 16 << 10,              /* of elements that travel in a run, among commands */
  TT_MAX_QUEUED_BYTES = 64 << 20,                /* of frames that wait for credit; tensors wait uncopied and do not count */
  TT_MAX_OPEN_REQUESTS = 65536,                  /* answers that may wait for credit towards one peer */
  TT_MAX_PROMISES = 4096,                        /* of one peer, and deliveries by one peer that nobody has promised yet */
  TT_MAX_PLANS = 1024,                           /* of one peer */
  TT_MAX_PLANS_BYTES = 16 << 20,                 /* of one peer: that they take */
  TT_MAX_PLAN_BYTES = TT_MAX_FRAME_BYTES - 2048, /* of one plan's commands: it is sent in one frame */
  TT_MAX_LISTED = 100000,                        /* objects in one answer: who has more is asked with more terms */
  TT_MAX_ANSWER_BYTES = 16 << 20,                /* of JSON in all parts of an answer */
};

/* A tensor that waits to leave. */
typedef struct tt_cargo {
  tt_tensor *tensor;       /* contiguous, one reference; NULL when there is none */
  uint64_t n_copied_bytes; /* of one that has been copied for this; in the worker's n_copied_bytes */
} tt_cargo;

/* One thing that waits to leave on a stream: a frame whose prelude is filled in when it goes, or a tensor that is cut into frames as credit allows. */
typedef struct tt_outgoing {
  struct tt_outgoing *next;
  tt_buffer frame;       /* a whole frame, or, for a tensor, empty */
  tt_cargo tensor;       /* none for a frame */
  tt_cargo gradient;     /* that goes with the tensor, if one does */
  tt_data_header header; /* of a tensor; its metadata lies in `metadata` */
  tt_buffer metadata;
  uint64_t n_sent; /* element bytes */
  bool is_begun;
} tt_outgoing;

/* A sequenced frame, or what is left of it. */
typedef struct tt_arrival {
  uint8_t type;
  uint16_t flags;
  size_t frame_bytes;  /* of credit that it took */
  size_t first_record; /* RUN: the position in its run of the first record in the payload */
  uint64_t awaits;     /* the promised object that it waits for; 0 when it waits behind others */
  const uint8_t *payload;
  size_t n_bytes;
} tt_arrival;

typedef struct tt_parked {
  struct tt_parked *next;
  tt_arrival arrival; /* its payload lies in `bytes` */
  uint8_t bytes[];
} tt_parked;

/* Somebody's word that `from` is going to deliver an object; or, early, that object, which nobody has given his word for yet. */
typedef struct tt_promise {
  struct tt_promise *next, *previous; /* all of the worker */
  uint64_t object;
  tt_peer *from;  /* one reference to its location */
  tt_peer *owner; /* who gave it, or is to; one reference to its location */
  int64_t deadline_ms;
  bool is_arriving; /* the tensor's first part is here: no deadline counts */
  bool is_early;
  uint64_t transfer; /* early: what is to be answered */
} tt_promise;

/* "is on its way to ID" */
typedef char tt_busy_text[32 + TT_MAX_WORKER_ID_BYTES];

/* Commands that a peer has sent once and has performed with other objects each time: see plan.c. */
typedef struct tt_kept_plan tt_kept_plan;

typedef enum tt_request_kind {
  TT_REQUEST_GIVE,   /* DATA that fulfils a promise, for a peer who asked us to give */
  TT_REQUEST_ASSIGN, /* the same for another owner */
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
  tt_node *pointer;       /* SEND GET: what was below the head (and its kinds) when it was asked; one reference */
  tt_control *parts;      /* QUERY: an answer that comes in parts; owned */
  size_t n_part_bytes;    /* of JSON, in all parts */
  tt_node *before;        /* SEND: the child that comes back when it fails; one reference */
  tt_node *arrived;       /* GET: what the head is going to point to, as soon as the peer says that it is ours; one reference */
  bool is_promised;       /* SEND: of what is at one worker to another */
  bool takes;             /* GET: the object is to be let go of over there */
  bool is_remote_control; /* SEND GET: a page's, carried out by its own worker */
  tt_busy_text busy;      /* what the head says while it waits */
  const tt_metadata *metadata; /* GET: of the tensor that has arrived; borrowed, while the request ends */
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
  tt_plan *plan; /* it is no worker, but where the placeholders of this plan are while that is being made; else NULL */
  bool is_present;
  bool is_expected; /* present only because tt_worker_expect says so: its HELLO has not come */
  int64_t left_at_ms;
  size_t n_objects; /* that it owns here */

  /* The stream to it. */
  uint32_t out_stream; /* 0: no HELLO said since the last reset */
  uint64_t out_sequence, out_bytes, out_limit;
  bool is_greeted;       /* its HELLO has come: there is credit */
  bool owes_hello;       /* the answer to its HELLO waits until the connection has room */
  tt_buffer run;         /* the RUN frame that is being filled; begins with room for the prelude */
  size_t last_free;      /* where in it the last FREE begins; 0: nowhere */
  size_t last_run_bytes; /* of the one before, up to TT_SMALL_TENSOR_BYTES */
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
  bool is_incoming_refused;
  tt_parked *first_parked, *last_parked; /* frames that wait for a promise */
  size_t n_parked, n_parked_bytes;       /* bytes as frames */
  size_t n_promises;                     /* that it gave */
  size_t n_early;                        /* that it delivered and nobody has promised */
  size_t n_errands;                      /* requests of its that wait for others */
  tt_id_map plans;                       /* that it has sent */
  size_t n_plan_bytes;                   /* that they take */
  tt_id_map takings;                     /* FETCH with take: request -> the object's id (owned), until its DONE */

  tt_request *requests; /* open at this peer */
};

struct tt_worker {
  char *id;
  char *kind;
  tt_hook hook;
  tt_object_store store;
  int64_t grace_ms;
  int64_t promise_ms;
  bool is_storeless;
  void *host;
  void (*on_event)(void *host, tt_worker *worker, const tt_event *event);
  void (*want_flush)(void *host, tt_worker *worker);
  void (*want_flush_later)(void *host, tt_worker *worker);
  uint32_t event_mask;
  bool has_asked_flush, has_asked_flush_later;
  bool is_flush_due; /* something is queued that somebody may wait for */
  bool is_run_full;  /* of some stream */
  size_t full_bytes; /* of a run that is */
  tt_counters counters;
  tt_link *links;
  int n_receiving; /* depth of tt_link_receive: closed links are freed when it is 0 */
  tt_name_map peers;
  tt_id_map requests;
  tt_promise *promises;
  bool is_promise_ended;   /* what is parked may go on */
  uint64_t n_copied_bytes; /* of tensors that wait in streams; at most one, or what the store may hold */
  tt_peer *dirty;
  tt_buffer scratch; /* of stream.c: a DATA frame on its way out */
};

/* worker.c */
bool tt_worker_hears(const tt_worker *worker, tt_event_type type);
void tt_worker_tell(tt_worker *worker, const tt_event *event); /* fills NULL texts with "" */
tt_peer *tt_worker_find_peer(tt_worker *worker, tt_name id);
tt_peer *tt_worker_make_peer(tt_worker *worker, tt_name id, tt_error *error); /* finds it or makes it, absent */
tt_peer *tt_peer_new(tt_worker *worker, tt_name id,
                     tt_error *error); /* one that nobody knows; owner: the caller, by its location's reference */
tt_peer *tt_worker_find_present(tt_worker *worker, tt_name id,
                                tt_error *error); /* NULL: TT_ERR_UNKNOWN_WORKER, naming who is here */
void tt_say_busy(tt_busy_text text, const char *what, const char *id);
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
tt_status tt_stream_end_record_later(tt_peer *peer, size_t start, tt_error *error); /* nobody waits for it */
tt_status tt_stream_send_control(tt_peer *peer, const tt_control *control, tt_error *error);
/*
 * What a tensor takes along when it leaves (parcel.c), and what one that arrives becomes.
 *
 * A leaf goes with its gradient, so that data and gradient stay linked. What was computed has a history that stays: it can be got, and is plain data
 * then, but not sent or moved.
 */
typedef struct tt_parcel {
  tt_tensor *tensor;   /* borrowed */
  tt_tensor *gradient; /* borrowed; NULL: none */
  bool requires_grad;
  tt_node
      *chain; /* borrowed; what is below the head: the names of the kinds at its top travel in the metadata; NULL: none do */
} tt_parcel;
/* What leaves of a chain whose data is here. with_gradients: not for a mere copy of the data. */
tt_parcel tt_parcel_of(tt_node *head, bool with_gradients);
/* TT_ERR_POLICY when its gradient must not leave to `asker` (NULL: this worker itself). */
tt_status tt_parcel_check_policy(tt_node *head, const tt_peer *asker, tt_error *error);
/* TT_ERR_STATE when its history would be lost; `verb`: "send", "move". */
tt_status tt_parcel_check(tt_node *head, const char *verb, tt_error *error);
/* A node over what has arrived; takes over both tensors (gradient may be NULL). NULL: TT_ERR_MEMORY. */
tt_node *tt_parcel_open(tt_worker *worker, tt_tensor *take_tensor, tt_tensor *take_gradient, bool requires_grad,
                        tt_error *error);

/* Queues a tensor (more references) in its place behind what was queued before. Of the header only transfer, object and fulfils are read. */
tt_status tt_stream_send_tensor(tt_peer *peer, const tt_parcel *parcel, const tt_data_header *header,
                                const tt_metadata *metadata, tt_error *error);
/* The same of form 1: a pointer. */
tt_status tt_stream_send_pointer(tt_peer *peer, tt_node *chain, const tt_data_header *header, const tt_metadata *metadata,
                                 tt_error *error);
/* Sends what may leave. False when only memory was lacking: it is to be tried again. */
bool tt_stream_flush(tt_peer *peer);
/* The storage is about to be written to: tensors that wait in any stream and share it get memory of their own. Errors: TT_ERR_MEMORY, TT_ERR_FULL. */
tt_status tt_streams_detach(tt_worker *worker, tt_storage *storage, tt_error *error);
void tt_stream_mark(tt_peer *peer); /* something waits to be flushed */
/* Sends what may leave, or has the host do it when nobody waits for any of it. */
void tt_worker_end_turn(tt_worker *worker);
void tt_stream_clear(tt_peer *peer);
/* A sequenced frame has arrived: checks stream, sequence and credit. Errors: TT_ERR_PROTOCOL. */
tt_status tt_stream_accept(tt_peer *peer, const tt_prelude *prelude, tt_error *error);
void tt_stream_take_credit(tt_peer *peer, const tt_prelude *prelude);
void tt_stream_return_credit(tt_peer *peer); /* when half of the window is used */

/* What went wrong in a run, told to its sender at the end unless an answer has told it before. */
typedef struct tt_run_failure tt_run_failure;

/*
 * What a plan calls an object: one of the store, by its id, or one that lives only as long as the plan is performed. The latter is its commander's, counts as the
 * store's objects do, and is no object of the store.
 */
typedef struct tt_slot {
  uint64_t id;
  bool is_passing;
  bool is_withheld;    /* as an object's; of a passing one, as all that follows */
  tt_node *head;       /* one reference */
  tt_failure *failure; /* one reference; NULL when sound */
  tt_storage *held;    /* what is counted for it; one reference */
} tt_slot;

/* A run that is being executed. */
typedef struct tt_run {
  tt_peer *peer;
  tt_worker *worker;
  tt_slot *slots; /* within a plan: what the names in its records stand for, from 1 on; NULL elsewhere: names are ids */
  size_t n_slots;
  tt_run_failure *first, **last;
} tt_run;

/* call.c */
void tt_execute_call(tt_run *run, const tt_record *record, size_t position);
void tt_run_report_failures(tt_run *run);
void tt_slot_release(tt_run *run, tt_slot *slot); /* of a passing one: as FREE does */
/* A command that is not even begun has failed: its results are poisoned and its sender told. */
void tt_run_fail(tt_run *run, const tt_record *record, size_t position, const tt_error *error);

/* plan.c */
tt_status tt_plan_keep(tt_peer *peer, const tt_record *record,
                       tt_error *error); /* PLAN; an error is the peer's breach of the protocol */
void tt_plan_execute(tt_run *run, const tt_record *record, size_t position); /* PERFORM */
void tt_plans_forget(tt_peer *peer);                                         /* all that it has sent */
/* Of the plan that is being made: a command is noted, an object let go of, and the number of the next one. */
tt_status tt_plan_note_call(tt_plan *plan, bool records, const tt_op *op, const tt_value *args, const uint64_t *results,
                            size_t n_results, tt_error *error);
void tt_plan_note_free(tt_plan *plan, uint64_t slot);
uint64_t tt_plan_new_slot(tt_plan *plan);

/* incoming.c: an error is the peer's breach of the protocol. */
tt_status tt_execute_data(tt_peer *peer, const tt_arrival *arrival, tt_error *error);
tt_status tt_execute_tensor(tt_peer *peer, const tt_record *record, tt_error *error); /* TENSOR */

/* execute.c */
void tt_execute_free(tt_run *run, const tt_record *record);
/* An answer that cannot be queued (no memory, or someone who asks and asks and reads no answers) would be waited for in vain. */
void tt_give_up_on(tt_peer *peer, tt_status status, const tt_error *error);

/* Carries out a frame, or parks what of it has to wait; an error is the peer's breach of the protocol. */
tt_status tt_execute_arrival(tt_peer *peer, const tt_arrival *arrival, tt_error *error);
void tt_incoming_release(tt_peer *peer); /* of a tensor that will not become whole */
/* Who asks the store: the worker's own page may do what the worker may (NULL), but what it makes is its own to free. */
const tt_peer *tt_asker_of(const tt_peer *peer);
/* Sends DONE, or an error, for a peer's request. */
void tt_reply_done(tt_peer *peer, uint64_t request);
void tt_reply_done_later(tt_peer *peer, uint64_t request); /* nobody waits for it */
void tt_reply_error(tt_peer *peer, uint64_t request, const tt_wire_error *error);
void tt_reply_plain_error(tt_peer *peer, uint64_t request, const tt_error *error);
/* Refuses what has no request to answer: the host is told. */
void tt_tell_refused(tt_peer *peer, const tt_error *error);
void tt_object_set_owner(tt_object *object, tt_peer *owner); /* NULL is not allowed */

/* promise.c */
void tt_promise_make(tt_peer *peer, const tt_record *record);
/* Whether `peer`'s use of the object has to wait. */
bool tt_promise_blocks(tt_peer *peer, uint64_t id);
/* DATA of `from` that fulfils: may its object come? Errors: TT_ERR_DUPLICATE, TT_ERR_UNKNOWN_WORKER, TT_ERR_FULL, or why the promise was broken. */
tt_status tt_promise_check(tt_peer *from, const tt_data_header *header, const tt_metadata *metadata, tt_error *error);
/* It has come whole; metadata is emptied. *is_early: it is kept, and the transfer answered as soon as somebody promises it. */
tt_status tt_promise_fulfil(tt_peer *from, const tt_data_header *header, tt_metadata *metadata, tt_node *head, bool *is_early,
                            tt_error *error);
/* `from` says so, or what it brought cannot be taken. Whose promise it was stands in the metadata. */
void tt_promise_broken(tt_peer *from, uint64_t id, const tt_metadata *metadata, const tt_wire_error *error);
void tt_promises_lose(tt_peer *from, const tt_wire_error *error); /* `from` is gone, or has begun anew */
void tt_promises_tick(tt_worker *worker, int64_t now_ms);
void tt_promise_end(tt_worker *worker, tt_object *object); /* its object goes */
tt_status tt_park(tt_peer *peer, const tt_arrival *arrival, bool in_front, tt_error *error);
void tt_parked_resume(tt_worker *worker);
void tt_parked_clear(tt_peer *peer);

/* give.c: an error is the answer to the peer's request. */
tt_status tt_give(tt_peer *peer, const tt_record *record, tt_object *object, tt_error *error); /* SEND */
/* A SEND that cannot be done: whoever was to receive it waits for nothing any more. */
void tt_give_up(tt_peer *peer, const tt_record *record, const tt_error *error);
tt_status tt_bring_home(tt_peer *peer, const tt_record *record, tt_object *object, tt_error *error); /* PULL */
tt_status tt_assign(tt_peer *peer, const tt_record *record, tt_object *object, tt_error *error);     /* ASSIGN */
/* FETCH and queries of an object that is a pointer: what it points to answers. */
tt_status tt_fetch_on(tt_peer *peer, uint64_t request, tt_object *object, tt_error *error);
tt_status tt_query_on(tt_peer *peer, const tt_control *query, tt_object *object, tt_error *error);
/* DATA of form 1, which answers a FETCH with take or a PULL; and what follows when the asker has said DONE to it. */
tt_status tt_show_pointer(tt_peer *peer, uint64_t request, const tt_node *head, tt_error *error);
void tt_hand_over(tt_peer *peer, uint64_t request, tt_object *object);
/* A failure of commands that we passed on: it goes to those who gave them. True when it was theirs. */
bool tt_pass_failure(tt_peer *from, const tt_control *control);

/* request.c */
/* NULL: TT_ERR_MEMORY. */
tt_request *tt_request_open(tt_worker *worker, tt_peer *peer, tt_request_kind kind, tt_answer_fn *done, void *context,
                            tt_error *error);
void tt_request_close(tt_worker *worker, tt_request *request); /* one that has asked nothing yet */
/* DATA of form 1 has come for it. */
void tt_request_pointer(tt_peer *peer, const tt_data_header *header, const tt_metadata *metadata);
tt_request *tt_request_find(tt_worker *worker, tt_peer *peer, uint64_t id);
/* Whether DATA of that form answers it. */
bool tt_request_wants(const tt_request *request, tt_data_form form);
/* Ends a request: does what its kind asks of success or failure, calls done, frees it. */
void tt_request_finish(tt_worker *worker, tt_request *request, const tt_answer *answer);
void tt_request_fail_all(tt_peer *peer, const tt_wire_error *error);
/* A CONTROL of n_bytes that is no query. */
tt_status tt_request_answered(tt_peer *peer, tt_control *control, size_t n_bytes, tt_error *error);
/* A FETCH's DATA is complete, or refused; metadata came with it. */
void tt_request_tensor(tt_peer *peer, uint64_t request, const tt_metadata *metadata, const tt_answer *answer);

#endif
