/*
 * multi_pointer: the tail that stands for a copy of a tensor at each of several workers.
 *
 * It holds one head per copy, each of which points to its worker. A call on it is the same call on each of them, in order, and its results are multi-pointers
 * again. Its other operands must be multi-pointers at the same workers in the same order, or no tensors at all: anything else is TT_ERR_LOCATION. A copy that has
 * come home meanwhile (its head is local) cannot take part any more.
 */
#ifndef TT_CHAIN_MULTI_POINTER_H
#define TT_CHAIN_MULTI_POINTER_H

#include "chain/node.h"
#include "chain/pointer.h"

enum { TT_MAX_COPIES = 64 };

extern const tt_kind tt_kind_multi_pointer;

/* Over 1 to TT_MAX_COPIES heads (each gets one more reference); its meta is the first one's. NULL: TT_ERR_ARGUMENT, TT_ERR_MEMORY. */
tt_node *tt_multi_pointer_new(tt_node *const *heads, size_t n_heads, tt_error *error);
bool tt_node_is_multi_pointer(const tt_node *node);
size_t tt_multi_pointer_n_copies(const tt_node *node);
tt_node *tt_multi_pointer_copy(const tt_node *node, size_t i); /* the head, borrowed */

#endif
