/*
 * graph: how values came about, so that gradients can flow back.
 *
 * A *step* is one recorded call: its op, its arguments, and where each operand's gradient goes from here. An *autograd* is what all holders of
 * one tensor share about gradients: whether it wants one, the step that made it (none for a leaf), and the gradient that has arrived.
 *
 *   Variable node -> autograd -> step -> edges -> steps and leaves further back
 *
 * References point backwards in time only, so there are no cycles. A step saves operands and results as nodes of their own over the same
 * tensors, with the storage's version: a gradient rule that reads what was changed meanwhile is refused, one that reads only its shape is
 * not. After a backward that does not retain the graph the saved data is let go of, and the shapes stay.
 *
 * Everything here belongs to one thread.
 */
#ifndef TT_CHAIN_GRAPH_H
#define TT_CHAIN_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain/hook.h"
#include "chain/node.h"

typedef struct tt_step tt_step;

/* Called with a gradient (a head, borrowed) before it goes on; may answer another in *replacement (a new reference), of the same shape and dtype. */
typedef tt_status tt_grad_hook_fn(void *context, tt_node *gradient, tt_node **replacement, tt_error *error);

typedef struct tt_grad_hook {
  struct tt_grad_hook *next;
  uint64_t id;
  uint32_t output; /* of a step's results */
  tt_grad_hook_fn *call;
  void (*release)(void *context); /* NULL: nothing to release */
  void *context;
} tt_grad_hook;

typedef struct tt_autograd {
  int refs;
  bool requires_grad;  /* said by the user, of a leaf */
  bool retains_grad;   /* said by the user, of what a step made */
  tt_step *step;       /* one reference; NULL: a leaf */
  uint32_t output;     /* which of the step's results it is */
  uint64_t stamp;      /* when it came to be what it is; later changes of its root's memory have a later one */
  tt_node *grad;       /* a head; one reference; NULL: none has arrived. Set by tt_autograd_set_grad */
  tt_storage *held;    /* the gradient's memory, on the ledger */
  tt_ledger *ledger;   /* one reference */
  tt_grad_hook *hooks; /* of a leaf */
  size_t n_variables;  /* that share it: while there is none nobody can ask for the gradient */
  tt_node *pending;    /* what a backward that is running has gathered for it */
} tt_autograd;

/* Where a gradient goes: to a step's result, to a leaf, or nowhere. */
typedef struct tt_edge {
  tt_step *step; /* one reference */
  uint32_t output;
  tt_autograd *leaf; /* one reference */
} tt_edge;

/* Where a view lies in its root, whose elements are contiguous. */
typedef struct tt_region {
  tt_meta root;
  tt_shape shape;
  int64_t strides[TT_MAX_DIMS];
  int64_t offset; /* from the root's first element */
} tt_region;

typedef enum tt_step_form {
  TT_STEP_RULE,   /* the op's gradient rule */
  TT_STEP_REGION, /* the op changed a part of a root in place: its rule for that part, the rest passes */
  TT_STEP_VIEW,   /* a view taken again of a root that was changed since */
} tt_step_form;

struct tt_step {
  int refs;
  tt_step_form form;
  uint64_t sequence;            /* later steps have higher numbers */
  const tt_op *op;              /* NULL for VIEW */
  tt_ledger *ledger;            /* one reference, or NULL */
  tt_value args[TT_MAX_PARAMS]; /* operands are saved nodes; lists and texts are copies */
  size_t n_operands;
  tt_edge *edges;  /* per operand, lists flattened; in the step's own block */
  bool *is_needed; /* the same */
  size_t n_results, n_room;
  tt_node **results;       /* saved nodes; the block of these three, which has room for n_room of each */
  tt_node **gradients;     /* of the results, while a backward runs */
  tt_autograd **retainers; /* per result: who keeps its gradient; not references */
  tt_grad_hook *hooks;
  tt_region region; /* REGION, VIEW */
  uint64_t visited; /* the last backward that came by */
  tt_step *next_dead;
};

/* The count of steps so far: what is made later has a higher one. */
uint64_t tt_graph_now(void);

tt_autograd *tt_autograd_new(tt_error *error); /* NULL: TT_ERR_MEMORY */
tt_autograd *tt_autograd_ref(tt_autograd *autograd);
void tt_autograd_unref(tt_autograd *autograd); /* NULL is allowed */
/* Whether gradients flow to it or through it. NULL: no. */
static inline bool tt_autograd_is_needed(const tt_autograd *autograd) {
  return autograd != NULL && (autograd->requires_grad || autograd->step != NULL);
}
/* A gradient (a head, whose reference it takes over; NULL: none), counted on the ledger (NULL: on none). */
void tt_autograd_set_grad(tt_autograd *autograd, tt_node *take_grad, tt_ledger *ledger);
/* It is what `step` (which gets one more reference) made as its result `output`. */
void tt_autograd_set_step(tt_autograd *autograd, tt_step *step, uint32_t output);

/*
 * A step for a call that is about to run. args: bound, operands are local nodes; autograds: per operand, NULL or not needed where no gradient
 * flows. For an in-place op args[0] is a copy from before the change. What is saved is counted on the ledger (NULL: on none). NULL: TT_ERR_MEMORY.
 */
tt_step *tt_step_new(tt_ledger *ledger, const tt_op *op, const tt_value *args, tt_autograd *const *autograds, size_t n_operands,
                     tt_error *error);
/* The step of a view over a root whose history is `root`. */
tt_step *tt_step_new_view(const tt_region *region, tt_autograd *root, tt_error *error);
/* Says what the call has made: local nodes, borrowed. Errors: TT_ERR_MEMORY. */
tt_status tt_step_set_results(tt_step *step, tt_node *const *results, size_t n_results, tt_error *error);
tt_step *tt_step_ref(tt_step *step);
void tt_step_unref(tt_step *step); /* NULL is allowed; long chains are freed without recursion */
/* Lets go of saved data; shapes stay. */
void tt_step_release_saved(tt_step *step);
/* As PyTorch names it: "MulBackward0". */
void tt_step_name(const tt_step *step, char *text, size_t n_bytes);
void tt_op_backward_name(const tt_op *op, char *text, size_t n_bytes);

/* Adds a hook behind those that there are; takes over the context. Answers its id; 0: TT_ERR_MEMORY (the context is released). */
uint64_t tt_grad_hook_add(tt_grad_hook **list, uint32_t output, tt_grad_hook_fn *call, void (*release)(void *context),
                          void *take_context, tt_error *error);
bool tt_grad_hook_remove(tt_grad_hook **list, uint64_t id);

/* A node that stands for saved data. Its local node, if it may be read. Errors: TT_ERR_STATE (changed since, or released). */
bool tt_node_is_saved(const tt_node *node);
tt_status tt_saved_open(const tt_step *step, const tt_node *saved, tt_node **local, tt_error *error);

/* ---- running backwards ---- */

typedef struct tt_backward {
  tt_autograd *const *roots;
  tt_node *const *gradients; /* per root: a local or Variable node */
  size_t n_roots;
  bool retains_graph;
  bool creates_graph; /* the gradients are to have a graph of their own */
  /* Where gradients are answered instead of being gathered at the leaves; NULL: at the leaves. */
  tt_autograd *const *inputs;
  size_t n_inputs;
  tt_node **answers; /* per input: a new reference, NULL where none has arrived */
} tt_backward;

/*
 * Errors: TT_ERR_STATE (nested in another, saved data changed or released), TT_ERR_MEMORY, those of ops and hooks. No leaf has changed then.
 */
tt_status tt_backward_run(tt_hook *hook, const tt_backward *backward, tt_error *error);

#endif
