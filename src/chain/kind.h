/*
 * kind: what kinds that stand between the head and the tail have in common, so that writing one is writing one file.
 *
 * Such a kind wraps one child. It is a const tt_kind whose handle_call does what the kind changes and leaves the rest to
 * tt_kind_pass_down: plus_is_minus.c and log.c are the examples. What it needs beside the child stands behind the tt_node of
 * its nodes (n_bytes, init, release).
 *
 * A chain's ranks fall strictly from the head to the tail, so no kind stands in a chain twice. The lifting rule: operands
 * without the kind are taken as they are, and whatever a call that the kind handled answers has the kind; the target of an
 * in-place op is lifted too, as it is by x.add_(y) when y alone has the kind.
 *
 * Registered kinds have a name of their own and a rank of their own. They are borrowed, and stay until the process ends.
 */
#ifndef TT_CHAIN_KIND_H
#define TT_CHAIN_KIND_H

#include "chain/hook.h"
#include "chain/node.h"

enum {
  TT_RANK_KIND_FIRST = 300, /* ranks of the kinds that may be registered, put into a chain and taken out of it */
  TT_RANK_KIND_LAST = 999,
  TT_MAX_KINDS = 64,
  TT_MAX_KIND_NAME_BYTES = 63,
};

/* ---- the registry ---- */

/*
 * Makes a kind known by its name; again is harmless. The kinds of this folder are known from the start. Errors:
 * TT_ERR_ARGUMENT (a name that is not 1 to 63 letters, digits and underscores, a rank that is no kind's), TT_ERR_DUPLICATE
 * (another kind has the name or the rank), TT_ERR_FULL.
 */
tt_status tt_kind_register(const tt_kind *kind, tt_error *error);
/* NULL: TT_ERR_ARGUMENT that names those there are. */
const tt_kind *tt_kind_find(const char *name, tt_error *error);
/* The i-th of the registered kinds; NULL behind the last. */
const tt_kind *tt_kind_at(size_t i);

/* ---- chains ---- */

/* A node of the kind around `take_child`, with the child's meta; `like` is the node of this kind whose place in a call it takes,
 * NULL when there is none. NULL: TT_ERR_MEMORY and what the kind's init says (the child is released). */
tt_node *tt_kind_node_new(const tt_kind *kind, tt_node *take_child, const tt_node *like, tt_error *error);
/* Puts the kind into the head's chain, where its rank says. Errors: TT_ERR_DUPLICATE (it is there already), TT_ERR_STATE (the head is busy), TT_ERR_MEMORY. */
tt_status tt_kind_wrap(const tt_kind *kind, tt_node *head, tt_error *error);
/* Takes the kind out of the head's chain; NULL: the highest that is there. Errors: TT_ERR_STATE (it is not there, the head is busy). */
tt_status tt_kind_unwrap(const tt_kind *kind, tt_node *head, tt_error *error);
/* The node of that kind in a head's chain, borrowed; NULL when there is none. A NULL kind: the highest kind that may be unwrapped. */
tt_node *tt_kind_find_node(const tt_kind *kind, tt_node *head);
/* The lowest kind of a head's chain that may be unwrapped, borrowed; NULL when there is none. */
tt_node *tt_kind_lowest(tt_node *head);
/* What is below the kinds that stand at the top of a chain, from `node` (below a head) down; `node` itself when it is of none. Borrowed. */
tt_node *tt_kind_below(tt_node *node);
/* Puts `take_below` in the place of what is below the kinds of a head's chain; their links stay. */
void tt_kind_set_below(tt_node *head, tt_node *take_below);
/* New links of the kinds that stand at the top of that chain, in the same order, over `take_below`. NULL: TT_ERR_MEMORY (it is released). */
tt_node *tt_kind_over(tt_node *node, tt_node *take_below, tt_error *error);

/* ---- chains by name, as they travel: the highest kind first ---- */

/* The names of the kinds that stand at the top of that chain; borrowed, at most TT_MAX_KINDS. Answers how many there are. */
size_t tt_kind_names(tt_node *node, const char *names[TT_MAX_KINDS]);
/* Whether such a chain can be built here. Errors: TT_ERR_ARGUMENT (a kind that is not known here, ranks that do not fall). */
tt_status tt_kind_check_names(const char *const *names, size_t n_names, tt_error *error);
/* New links of those kinds over `take_below`. NULL: as above, or TT_ERR_MEMORY (it is released). */
tt_node *tt_kind_build(const char *const *names, size_t n_names, tt_node *take_below, tt_error *error);

/* ---- calls ---- */

/* Passes a call on as it is: own nodes are exchanged for their children, and each result is wrapped again. */
tt_status tt_kind_pass_down(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error);

/*
 * The same in two halves, for a kind that does something else in between. `below` is the call one level down: its `inner` is to be answered (by
 * tt_hook_pass_down, or in another way) with new references in inner.results. tt_kind_end follows whatever tt_kind_begin answered.
 */
typedef struct tt_kind_call {
  tt_call inner;
  tt_call_lists lists;
  tt_node *like;   /* the first operand of the kind, NULL when there is none */
  tt_node *target; /* what an in-place op changes, as a node of the kind; else NULL */
} tt_kind_call;
tt_status tt_kind_begin(const tt_kind *kind, const tt_call *call, tt_kind_call *below, tt_error *error);
/* Takes over inner's results when `status` is TT_OK and answers the call with them, wrapped. Answers the status, or TT_ERR_MEMORY. */
tt_status tt_kind_end(const tt_kind *kind, tt_call *call, tt_kind_call *below, tt_status status, tt_error *error);

#endif
