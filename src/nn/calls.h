/*
 * calls: a row of ops, one after the other, without a check behind each. Once one has failed the others do nothing and answer NULL; what they
 * answered is freed together at the end.
 */
#ifndef TT_NN_CALLS_H
#define TT_NN_CALLS_H

#include "nn/place.h"

typedef struct tt_calls {
  const tt_place *place;
  tt_error *error;
  tt_status status; /* of the first that failed */
  tt_node **made;   /* owned, with its references */
  size_t n_made, capacity;
} tt_calls;

static inline tt_calls tt_calls_begin(const tt_place *place, tt_error *error) {
  return (tt_calls){.place = place, .error = error};
}
/* Frees what was answered, and answers how it went. */
tt_status tt_calls_end(tt_calls *calls);
/* Keeps a reference until the end; answers it, or NULL when there is no memory (it is released then). NULL is allowed. */
tt_node *tt_calls_keep(tt_calls *calls, tt_node *take_node);

/* Calls an op. Answers its first result, borrowed. */
tt_node *tt_calls_run(tt_calls *calls, tt_op_number op, const tt_value *args, size_t n_args);
#define TT_RUN(calls, op, ...) \
  tt_calls_run(calls, TT_OP_##op, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value))
/* The same for an op with several results: up to `room` of them, borrowed. False after a failure. */
bool tt_calls_run_many(tt_calls *calls, tt_op_number op, const tt_value *args, size_t n_args, tt_node **results, size_t room);
/* A tensor of nothing but its size and dtype: zeros, ones. */
tt_node *tt_calls_make(tt_calls *calls, tt_op_number op, const int64_t *dims, size_t n_dims, tt_dtype dtype);

/* An operand; none for NULL. */
static inline tt_value tt_of(tt_node *node) { return node == NULL ? tt_none() : tt_operand_value(&node->operand); }

#endif
