/*
 * node: a link of the chain of tensors. head -> child -> ... -> tail.
 *
 * The head is what a user holds (kind TT_KIND_HEAD, printed by its dtype: "FloatTensor"). Below it stand the kinds that change what ops mean; the
 * tail holds data (_LocalTensor) or says where the data is (_PointerTensor). A node is an operand: its meta is that of the tensor it stands for.
 *
 * Nodes are counted references; a node owns one reference to its child. What is printed is "FloatTensor > _PointerTensor(...)".
 */
#ifndef TT_CHAIN_NODE_H
#define TT_CHAIN_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "ops/op.h"

typedef struct tt_node tt_node;
typedef struct tt_kind tt_kind;
typedef struct tt_hook tt_hook;

/* One call on its way down the chain. Operands of `args` are tt_node, all values bound to the op's schema. */
typedef struct tt_call {
  const tt_op *op;
  tt_value args[TT_MAX_PARAMS];
  const uint64_t *result_ids; /* ids that a remote result is to take, n_result_ids of them; NULL: any */
  size_t n_result_ids;
  tt_node *results[TT_MAX_RESULTS]; /* written by handle_call: new references */
  size_t n_results;
} tt_call;

/*
 * A kind of tensor: one const struct, one file. Kinds have a total order, their rank: the highest among the arguments of a call handles
 * it. What a kind does not change it passes down with tt_hook_pass_down.
 */
struct tt_kind {
  const char *name; /* as chain_print shows it */
  int rank;
  /* Answers the call, which it may change: nobody reads the op and the arguments after it. */
  tt_status (*handle_call)(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error);
  size_t n_bytes; /* of a node of this kind, which begins with a tt_node; 0: only that */
  /*
   * Fills what such a node holds beside the child. `like` is the operand of the kind that a result comes from, NULL for a node that
   * is put into a chain by hand. NULL when there is nothing to fill. What has not been filled is zero, which release meets after a failure.
   */
  tt_status (*init)(tt_node *node, const tt_node *like, tt_error *error);
  /* Frees what the kind holds beside the child; NULL when nothing. */
  void (*release)(tt_node *node);
  /* Appends what chain_print shows behind the name, such as "(bob, 17)"; NULL when nothing. */
  void (*describe)(const tt_node *node, tt_buffer *text);
};

/* Ranks of the kinds that are here; others stand between. */
enum { TT_RANK_LOCAL = 0, TT_RANK_VARIABLE = 50, TT_RANK_POINTER = 100, TT_RANK_MULTI_POINTER = 200, TT_RANK_HEAD = 1000 };

struct tt_node {
  tt_operand operand; /* first */
  int refs;
  const tt_kind *kind;
  tt_node *child; /* one reference; NULL at the tail */
};

static inline const tt_meta *tt_node_meta(const tt_node *node) { return &node->operand.meta; }

/* A node of the kind's n_bytes, zero behind the tt_node; takes over the reference to child. NULL: TT_ERR_MEMORY (child is released). */
tt_node *tt_node_new(const tt_kind *kind, const tt_meta *meta, tt_node *take_child, tt_error *error);
tt_node *tt_node_ref(tt_node *node);
void tt_node_unref(tt_node *node); /* NULL is allowed */
tt_node *tt_node_tail(tt_node *node);

/* "FloatTensor > _PointerTensor(bob, 17)" */
void tt_chain_print(const tt_node *node, tt_buffer *text);

/*
 * The head: what users and stores hold. Its child may be exchanged (send, get); takes over the reference to the child. A head
 * with `busy` set ("is on its way back from bob") refuses every op with TT_ERR_STATE and that text, which must outlive the state.
 */
extern const tt_kind tt_kind_head;
tt_node *tt_head_new(tt_node *take_child, tt_error *error); /* NULL: TT_ERR_MEMORY (child is released) */
void tt_head_set_child(tt_node *head, tt_node *take_child);
void tt_head_set_busy(tt_node *head, const char *busy); /* NULL: free again */
const char *tt_head_busy(const tt_node *head);

/* The tail with data. */
extern const tt_kind tt_kind_local;
tt_node *tt_local_new(tt_tensor *take_tensor, tt_error *error); /* releases the tensor on failure */
tt_tensor *tt_local_tensor(const tt_node *node);                /* borrowed; NULL when the node is not local */

/*
 * Views know whose memory they see: the local node that the first of them was taken of, itself for one that is no view. What happened to that
 * memory in place is its root's history (chain/graph.h), NULL as long as no gradient depends on it.
 */
struct tt_autograd;
/*
 * Data that must not leave (worker/object_store.h): what ops make from it must not leave either, unless they combine many elements into each
 * (TT_OP_AGGREGATE); so are the gradients that come from it.
 */
void tt_local_withhold(tt_node *local);
bool tt_local_is_withheld(const tt_node *local);
tt_node *tt_local_root(tt_node *node);
struct tt_autograd *tt_local_history(tt_node *node);                   /* of its root; borrowed */
void tt_local_set_history(tt_node *root, struct tt_autograd *history); /* one more reference */
uint64_t tt_local_stamp(const tt_node *node);                          /* when it was made, in the graph's count */

#endif
