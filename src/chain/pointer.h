/*
 * pointer: the tail that says where the data is, and turns calls into commands.
 *
 * Where commands go is a tt_location: chain/ declares it, worker/ implements it for each known worker. A pointer holds a reference to its
 * location. One that owns its object frees it there when the last reference to the node goes; others (from search,
 * create_pointer) borrow.
 */
#ifndef TT_CHAIN_POINTER_H
#define TT_CHAIN_POINTER_H

#include "chain/node.h"

typedef struct tt_location tt_location;

typedef struct tt_location_ops {
  /* Queues one command: args are bound (tt_op_bind), their operands pointer nodes at this location. records: whether it is recorded there for gradients. Errors: TT_ERR_CONNECTION, TT_ERR_FULL, TT_ERR_ARGUMENT. */
  tt_status (*call)(tt_location *location, bool records, const tt_op *op, const tt_value *args, const uint64_t *results,
                    size_t n_results, tt_error *error);
  /* The id of a result that is to be there. */
  uint64_t (*new_id)(tt_location *location);
  /* Queues the freeing of an object; never fails for the caller (a location that is gone has freed it already). */
  void (*free_object)(tt_location *location, uint64_t id);
  void (*destroy)(tt_location *location); /* the last reference is gone */
} tt_location_ops;

struct tt_location {
  const tt_location_ops *ops;
  int refs;
  const char *id; /* of the worker, zero-terminated, lives as long as the location */
};

tt_location *tt_location_ref(tt_location *location);
void tt_location_unref(tt_location *location);

extern const tt_kind tt_kind_pointer;

/* A pointer to object `id` at `location` (which gets one more reference). meta's shape may be unknown. NULL: TT_ERR_MEMORY. */
tt_node *tt_pointer_new(tt_location *location, uint64_t id, const tt_meta *meta, bool owns, tt_error *error);
bool tt_node_is_pointer(const tt_node *node);
tt_location *tt_pointer_location(const tt_node *node); /* borrowed */
uint64_t tt_pointer_id(const tt_node *node);
/* The id that the object has at the location, where commands call it by another (a page's go through its own worker). As tt_pointer_id until set. */
uint64_t tt_pointer_id_there(const tt_node *node);
void tt_pointer_set_id_there(tt_node *node, uint64_t id);
bool tt_pointer_owns(const tt_node *node);
void tt_pointer_disown(tt_node *node); /* the object is no longer ours to free: it was taken, or is gone */
void tt_pointer_own(tt_node *node);
/*
 * Queues a call whose arguments are bound and whose operands, if it has any, are pointers at `location`; answers new references
 * to pointers to its results (for an in-place op: to its first argument). result_ids: the ids they take, NULL for any.
 * Errors: TT_ERR_UNKNOWN_OP (it is not remote), TT_ERR_ARGUMENT (not as many ids as results), those of infer and of the location.
 */
tt_status tt_pointer_call(const tt_hook *hook, tt_location *location, const tt_op *op, const tt_value *args,
                          const uint64_t *result_ids, size_t n_result_ids, tt_node **results, size_t *n_results,
                          tt_error *error);
/*
 * What is known here of gradients there: whether the object requires grad, as far as it follows from what was called on it from here, and the op that
 * made it then (NULL: a leaf, or not known).
 */
bool tt_pointer_requires_grad(const tt_node *node);
const tt_op *tt_pointer_grad_op(const tt_node *node);
void tt_pointer_set_requires_grad(tt_node *node, bool requires_grad);
/* The same as another pointer knows. */
void tt_pointer_copy_gradient(tt_node *node, const tt_node *from);
uint64_t tt_pointer_operand_id(const tt_operand *operand); /* for tt_run_write_call */

#endif
