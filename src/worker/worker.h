/*
 * worker: BaseWorker. An id, an object store, the workers it knows, and one interface to all of them.
 *
 * It knows no socket, route or discovery. A transport attaches a *link* (frames in, frames out, nothing else) and the worker speaks PROTOCOL.md over it:
 * with one worker at the other end, or with a relay behind which there are many. Everything here is called from one thread; nothing blocks.
 *
 * Two halves: as a controller it turns calls on pointers into commands (tt_hook_call on heads, tt_worker_send, _get, _fetch, _query, _sync); as a
 * store it executes the commands of others, within what the owner of each object allows.
 *
 * Commands gather and leave with tt_worker_flush: the host calls it at the end of its turn (want_flush says that there is something to flush).
 */
#ifndef TT_WORKER_WORKER_H
#define TT_WORKER_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "chain/hook.h"
#include "chain/node.h"
#include "chain/pointer.h"
#include "tensor/tensor.h"
#include "wire/control.h"
#include "wire/prelude.h"

typedef struct tt_worker tt_worker;
typedef struct tt_peer tt_peer; /* a worker that this one knows; begins with a tt_location */
typedef struct tt_link tt_link; /* a connection that a transport has attached */

/* ---- what a worker tells its host: the core reports, it does not print ---- */

typedef enum tt_event_type {
  TT_EVENT_LINK_OPEN,   /* the other end has answered: a relay (peer "") or a worker */
  TT_EVENT_LINK_CLOSED, /* text: why */
  TT_EVENT_PEER_JOINED,
  TT_EVENT_PEER_LEFT,      /* text: why */
  TT_EVENT_OBJECT_ADDED,   /* object, peer that sent it or whose command made it ("" for oneself), meta */
  TT_EVENT_OBJECT_REMOVED, /* object; text: why ("freed", "taken", "owner gone") */
  TT_EVENT_COMMAND,        /* one executed command: peer, text (its op), ids: n_operands operands and then the results */
  TT_EVENT_FAILURE,        /* error: a command failed here, or one of ours elsewhere and nobody awaited it */
  TT_EVENT_REFUSED,        /* error: a peer's bytes or request were refused; peer */
} tt_event_type;

typedef struct tt_event {
  tt_event_type type;
  const char *peer; /* never NULL */
  const char *text; /* never NULL */
  uint64_t object;
  const tt_meta *meta; /* or NULL */
  const uint64_t *ids;
  size_t n_operands;
  size_t n_results;
  const tt_wire_error *error; /* or NULL; LINK_CLOSED has it when the other end refused us */
  const void *transport;      /* LINK_*: whose link it is, as given to tt_worker_attach; else NULL */
  bool is_ours;               /* FAILURE: of a command that we sent, not one that ran here */
} tt_event;

typedef struct tt_worker_options {
  const char *id;           /* 1 to 64 bytes */
  const char *kind;         /* "browser", "node", "native", "page": what whoami answers */
  uint64_t max_store_bytes; /* 0: 1 GiB */
  size_t max_objects;       /* 0: 1,000,000 */
  int64_t grace_ms;         /* 0: 60,000 */
  int64_t promise_ms;       /* how long what a peer promised is waited for; 0: 30,000 */
  bool is_storeless;        /* objects of others are refused: a page that has its store in another thread */
  void *host;               /* passed to the two callbacks */
  void (*on_event)(void *host, tt_worker *worker, const tt_event *event); /* may be NULL; must not call back into the worker */
  void (*want_flush)(void *host, tt_worker *worker); /* called once when something waits for tt_worker_flush; may be NULL */
  /* The same for what nobody waits for, a FREE or a last DONE: it may go along with what is said in the next milliseconds. NULL: it leaves at once. */
  void (*want_flush_later)(void *host, tt_worker *worker);
} tt_worker_options;

/* NULL: TT_ERR_ARGUMENT (id), TT_ERR_MEMORY. Strings are copied. */
tt_worker *tt_worker_new(const tt_worker_options *options, tt_error *error);
/* Says GOODBYE on every link, closes them, fails what is open, frees the store. Heads that users still hold stay valid; pointers among them answer TT_ERR_STATE. */
void tt_worker_free(tt_worker *worker);

const char *tt_worker_id(const tt_worker *worker);
tt_hook *tt_worker_hook(tt_worker *worker);
/* The options' host of the worker whose hook it is. */
void *tt_worker_host_of_hook(const tt_hook *hook);
void tt_worker_flush(tt_worker *worker);
/* For a host between two of its calls: what fills a run already leaves, so that the peer begins before all is said. */
void tt_worker_flush_full(tt_worker *worker);
/* Deadlines and grace periods; call it about once a second. */
void tt_worker_tick(tt_worker *worker);
/* Which events are told, as a mask of 1 << type; all at first. COMMAND costs something at 300,000 commands a second. */
void tt_worker_listen(tt_worker *worker, uint32_t event_mask);

typedef struct tt_counters {
  uint64_t frames_in, frames_out, bytes_in, bytes_out, commands_in, commands_out, tensor_bytes_in, tensor_bytes_out;
} tt_counters;
tt_counters tt_worker_counters(const tt_worker *worker);

/* ---- links: the transport's side ---- */

typedef struct tt_link_ops {
  const char *name; /* "websocket", "virtual", ...: for whoami and errors */
  /* Raw send of one frame; the bytes are valid during the call only. The transport queues what it cannot write (bounded by
   * credits) and calls no tt_link_* from within. */
  void (*send)(void *transport, const uint8_t *frame, size_t n_bytes);
  /* How many bytes more the transport would take now; NULL: any number. Commands and data that find no room wait in their streams, until tt_link_ready. */
  size_t (*room)(const void *transport);
  /* The worker is done with the link: it makes no more calls on it, and tt_link_* must not be called any more, nor from within. What was sent
   * before should still leave. */
  void (*close)(void *transport, const char *reason);
} tt_link_ops;

enum {
  TT_LINK_INITIATES = 1, /* this end says HELLO first (who connected) */
  TT_LINK_CONTROLLER =
      2, /* the other end is this worker's own page: it may do whatever the worker itself may (SEND, PULL, all objects) */
};

/* NULL: TT_ERR_MEMORY. The link is owned by the worker until tt_link_closed or ops->close. May send at once. */
tt_link *tt_worker_attach(tt_worker *worker, const tt_link_ops *ops, void *transport, unsigned flags, tt_error *error);
/*
 * Names the worker that is going to say HELLO over this link, where that is known beforehand: a page's own worker, a native one that is attached to. It is
 * a known worker at once, and what is sent to it gathers until its HELLO. A HELLO of another id closes the link (TT_ERR_ARGUMENT).
 * NULL: TT_ERR_DUPLICATE (it is known already), TT_ERR_MEMORY.
 */
tt_peer *tt_worker_expect(tt_worker *worker, tt_link *link, const char *id, tt_error *error);
/* One whole frame has arrived; the bytes are borrowed during the call. May call ops->send and ops->close. */
void tt_link_receive(tt_link *link, const uint8_t *frame, size_t n_bytes);
/* There is room again (ops->room): what waits may leave. It does with the next flush. */
void tt_link_ready(tt_link *link);
/* The transport has lost the connection: everything open with the peers behind it fails. The link is gone after this. */
void tt_link_closed(tt_link *link, const char *reason);

/* ---- known workers ---- */

/* The known worker of that id; NULL: TT_ERR_UNKNOWN_WORKER that names the ones known. Borrowed; valid while the worker lives. */
tt_peer *tt_worker_get_worker(tt_worker *worker, const char *id, tt_error *error);
/* A page's way to name a worker behind its own: commands for `id` go through `via`. NULL: TT_ERR_DUPLICATE, TT_ERR_MEMORY. */
tt_peer *tt_worker_add_via(tt_worker *worker, const char *id, tt_peer *via, tt_error *error);
/* That worker is gone: pointers to it answer TT_ERR_CONNECTION. It may be added again. */
void tt_worker_remove_via(tt_worker *worker, tt_peer *peer);
const char *tt_peer_id(const tt_peer *peer);
bool tt_peer_is_present(const tt_peer *peer);
/* The next known worker from *cursor on (start at 0); NULL at the end. */
tt_peer *tt_worker_next_peer(tt_worker *worker, size_t *cursor);
/* The peer that a pointer points to. */
tt_peer *tt_peer_of_location(tt_location *location);

/* ---- plans ---- */

/*
 * A function's commands, sent to a worker once and performed there by name, each time with other objects.
 *
 * begin; an input or lend for each tensor that the function takes, in order; then the function is called with the placeholders: what it calls is noted, and
 * nothing is done; end. NULL: TT_ERR_MEMORY.
 */
typedef struct tt_plan tt_plan;
tt_plan *tt_plan_begin(tt_worker *worker, tt_error *error);
/* A new head, of a placeholder for what this head points to. NULL: TT_ERR_LOCATION (it is here), TT_ERR_STATE, TT_ERR_SHAPE (not known yet), TT_ERR_MEMORY. */
tt_node *tt_plan_add_input(tt_plan *plan, tt_node *head, tt_error *error);
/* The same for one that the function knows by itself: until the plan's end the head itself stands for a placeholder. */
tt_status tt_plan_lend(tt_plan *plan, tt_node *head, tt_error *error);
/* Heads that the function answers. What was lent is given back in any case. Errors: TT_ERR_ARGUMENT, TT_ERR_STATE (the function has kept something), TT_ERR_MEMORY. */
tt_status tt_plan_end(tt_plan *plan, tt_node *const *outputs, size_t n_outputs, tt_error *error);
/*
 * Has it performed where its inputs are: pointers to one worker, of the shapes and dtypes that it was made with, first those of tt_plan_add_input and then
 * those that were lent. Answers heads of pointers, at most TT_MAX_RESULTS. Errors: TT_ERR_ABORTED (one requires grad and did not then, or the other way
 * round: it is to be noted anew), TT_ERR_ARGUMENT, TT_ERR_LOCATION, TT_ERR_SHAPE, and those of a command.
 */
tt_status tt_plan_perform(tt_plan *plan, tt_node *const *inputs, size_t n_inputs, tt_node **results, size_t *n_results,
                          tt_error *error);
void tt_plan_free(tt_plan *plan); /* NULL is allowed; workers forget it */

/* ---- the store, for the worker's own user ---- */

/* Registers a head under `id` (0: a random one, answered). The store takes one more reference. policy: what others may. Metadata may be NULL, is copied.
 * Errors: TT_ERR_DUPLICATE, TT_ERR_FULL, TT_ERR_MEMORY. */
tt_status tt_worker_set_object(tt_worker *worker, tt_node *head, uint64_t id, tt_policy policy, const tt_metadata *metadata,
                               uint64_t *id_out, tt_error *error);
/* Borrowed. NULL: TT_ERR_UNKNOWN_OBJECT naming id and worker, or the failure that made it. */
tt_node *tt_worker_get_object(tt_worker *worker, uint64_t id, tt_error *error);
tt_status tt_worker_remove_object(tt_worker *worker, uint64_t id, tt_error *error);
size_t tt_worker_n_objects(const tt_worker *worker);
uint64_t tt_worker_n_bytes(const tt_worker *worker);
/* Forms an ANSWER with whoami filled; and one with the objects whose id, tags or description hold all terms (none: all). Release with tt_control_release. */
tt_status tt_worker_whoami(tt_worker *worker, tt_control *answer, tt_error *error);
tt_status tt_worker_search(tt_worker *worker, const char *const *terms, size_t n_terms, tt_control *answer, tt_error *error);

/* ---- what needs an answer ---- */

/* Borrowed during the callback. Exactly one of tensor, control, error may be set; none for a plain DONE. */
typedef struct tt_answer {
  tt_tensor *tensor;
  tt_tensor *gradient; /* of the tensor, where it came along; or NULL */
  bool requires_grad;
  const tt_control *control;
  const tt_wire_error *error;
} tt_answer;
/* Called once, from within tt_link_receive, tt_link_closed, tt_worker_tick, tt_worker_cancel or tt_worker_free. It may call into the worker. */
typedef void tt_answer_fn(void *context, const tt_answer *answer);

/*
 * Gives the data of `head` to `peer` and makes `head` a pointer to it, at once; commands that follow find it there. `id`: the id it takes there (0: random).
 * The data is let go of when the peer has acknowledged; if it does not, head is local again and the answer is the error.
 * A head that is a pointer to the page's own worker is sent from there. Any other pointer is sent as one: `head` then points to a pointer, which the peer owns; the
 * two workers do that between themselves, and must know each other. The metadata of a pointer stay where its data is.
 * Errors at once: TT_ERR_STATE (it is at that worker already, in transit), TT_ERR_POLICY (a pointer that borrows), TT_ERR_CONNECTION, TT_ERR_FULL. *request (may be NULL) names it for tt_worker_cancel.
 */
tt_status tt_worker_send(tt_worker *worker, tt_node *head, tt_peer *peer, uint64_t id, const tt_metadata *metadata,
                         tt_answer_fn *done, void *context, uint64_t *request, tt_error *error);
/*
 * The same, but the data of a pointer goes along: from the worker that has it straight to `peer`, and head points to it there. A local head is sent. What is
 * a pointer at the worker that has it is refused by it (TT_ERR_STATE).
 */
tt_status tt_worker_move(tt_worker *worker, tt_node *head, tt_peer *peer, uint64_t id, tt_answer_fn *done, void *context,
                         uint64_t *request, tt_error *error);
/*
 * Gives a copy to each of the workers and makes `head` a multi-pointer (chain/multi_pointer.h) to them, at once. The answer comes when all have arrived, or
 * is the first error: that copy's head is local again then. Errors at once: those of tt_worker_send, TT_ERR_ARGUMENT (no worker, one twice, more than
 * TT_MAX_COPIES), TT_ERR_STATE (it is at another worker).
 */
tt_status tt_worker_send_copies(tt_worker *worker, tt_node *head, tt_peer *const *peers, size_t n_peers,
                                const tt_metadata *metadata, tt_answer_fn *done, void *context, tt_error *error);
/* Brings back what `head` points to; the answer comes when head has it: the data, or, of a pointer to a pointer, that pointer. A pointer that owns its object
 * takes it, one that borrows copies what is at the end of the chain. */
tt_status tt_worker_get(tt_worker *worker, tt_node *head, tt_answer_fn *done, void *context, uint64_t *request,
                        tt_error *error);
/* A copy of what a pointer points to, at the end of the chain; answers the tensor, head stays as it is. */
tt_status tt_worker_fetch(tt_worker *worker, tt_node *head, tt_answer_fn *done, void *context, uint64_t *request,
                          tt_error *error);
/* Asks a peer (query->form is QUERY, its request is set here); answers the control. */
tt_status tt_worker_query(tt_worker *worker, tt_peer *peer, tt_control *query, tt_answer_fn *done, void *context,
                          uint64_t *request, tt_error *error);
/* Answers when the peer has done all that was sent to it before. */
tt_status tt_worker_sync(tt_worker *worker, tt_peer *peer, tt_answer_fn *done, void *context, uint64_t *request,
                         tt_error *error);
/* Gives up waiting: the answer is TT_ERR_ABORTED, at once. Nothing is lost: what was to come stays where it is. */
void tt_worker_cancel(tt_worker *worker, uint64_t request);

/* A pointer head to an object that lives at `peer`, borrowed (search results, create_pointer). NULL: TT_ERR_MEMORY. */
tt_node *tt_worker_create_pointer(tt_worker *worker, tt_peer *peer, uint64_t id, const tt_meta *meta, tt_error *error);

#endif
