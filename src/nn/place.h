/*
 * place: where the tensors of modules and optimisers come to be, and how they follow each other.
 *
 * Everything in nn/ is written on the hook, so that it runs on tensors here and on pointers alike. Two things the hook cannot do are left to who knows
 * workers: to make a tensor from nothing where the user's tensors live, and to bring one tensor to where another is. Without them
 * new tensors are local, and what is at different workers stays there.
 */
#ifndef TT_NN_PLACE_H
#define TT_NN_PLACE_H

#include "chain/hook.h"

typedef struct tt_place_ops {
  /* Calls a factory row (zeros, ones) where new tensors live. Answers a head, a new reference. NULL: the hook is called. */
  tt_status (*make)(void *host, tt_op_number op, const tt_value *args, size_t n_args, tt_node **head, tt_error *error);
  /*
   * Makes `head` point to where `beside` is, its data following on its own; ops may be called with both right after. Called only when they are
   * at different places. NULL: nothing moves. Errors: TT_ERR_STATE (the way back here cannot be waited for), those of sending.
   */
  tt_status (*bring)(void *host, tt_node *head, tt_node *beside, tt_error *error);
} tt_place_ops;

/* Whose modules these are: given to every call, kept by none. */
typedef struct tt_place {
  tt_hook *hook;
  const tt_place_ops *ops; /* NULL: neither */
  void *host;
} tt_place;

/* tt_place_ops.make, or the hook. */
tt_status tt_place_make(const tt_place *place, tt_op_number op, const tt_value *args, size_t n_args, tt_node **head,
                        tt_error *error);
/* Whether ops may be called with both: here, or at one and the same worker. */
bool tt_place_is_same(tt_node *a, tt_node *b);
/* Brings `head` to where `beside` is, when it is not there. Errors: TT_ERR_LOCATION (there is no way), those of bring. */
tt_status tt_place_bring(const tt_place *place, tt_node *head, tt_node *beside, tt_error *error);

/* Nothing is recorded for gradients until tt_place_end_quiet, which is given what this answers. */
bool tt_place_begin_quiet(const tt_place *place);
void tt_place_end_quiet(const tt_place *place, bool was_recording);

#endif
