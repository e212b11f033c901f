/*
 * variable: the kind of a tensor whose gradients matter (PyTorch's Variable). head -> Variable -> _LocalTensor.
 *
 * It stands directly above data and records what happens to it (chain/graph.h). A pointer has no Variable here: it is at the worker that has
 * the data, where `backward` runs as any other command. Recording is on unless the hook says otherwise (torch.no_grad).
 *
 * Views and changes in place: a change through a view is a change of its root, and other views of that root see it, also in the graph.
 */
#ifndef TT_CHAIN_VARIABLE_H
#define TT_CHAIN_VARIABLE_H

#include "chain/graph.h"

extern const tt_kind tt_kind_variable;

/* What a head, or a node below it, knows of gradients. All answers are borrowed. */
typedef struct tt_gradient_view {
  bool requires_grad;
  bool is_leaf;
  tt_node *grad;    /* a head; NULL: none */
  char grad_fn[64]; /* "MulBackward0"; "" for a leaf */
} tt_gradient_view;
tt_gradient_view tt_node_gradient(tt_node *node);

/* tt_tensor_print of a local head, with what PyTorch adds about gradients: ", grad_fn=<MulBackward0>)". */
void tt_node_print(tt_node *head, tt_buffer *text);

/* What is shared about the gradients of a local head; NULL when there is nothing yet. Borrowed. */
tt_autograd *tt_node_autograd(tt_node *node);

/* A Variable over `take_local` with that autograd; takes over both references. NULL: TT_ERR_MEMORY. */
tt_node *tt_variable_new(tt_node *take_local, tt_autograd *take_autograd, tt_error *error);

/* A leaf over `take_local` (a local node); `grad` (a head, borrowed, counted on the ledger) may be NULL. NULL: TT_ERR_MEMORY. */
tt_node *tt_variable_new_leaf(tt_node *take_local, bool requires_grad, tt_node *grad, tt_ledger *ledger, tt_error *error);

/*
 * Has `call` called with each gradient of this head, when it is computed (torch.Tensor.register_hook). Takes over the context. Answers the number that
 * removes it; 0: TT_ERR_STATE (it does not require grad, or is elsewhere), TT_ERR_MEMORY.
 */
uint64_t tt_variable_register_hook(tt_node *head, tt_grad_hook_fn *call, void (*release)(void *context), void *take_context,
                                   tt_error *error);
void tt_variable_remove_hook(tt_node *head, uint64_t id);

#endif
