/*
 * plain_context: a tt_call_context on plain tensors: every call runs at once, and its results live until the context ends.
 */
#ifndef TT_TESTS_PLAIN_CONTEXT_H
#define TT_TESTS_PLAIN_CONTEXT_H

#include <stdlib.h>

#include "ops/op.h"

typedef struct plain_context {
  tt_call_context base; /* first */
  tt_generator generator;
  tt_tensor **tensors; /* one reference each */
  size_t n_tensors, capacity;
} plain_context;

static inline void plain_context_keep(plain_context *context, tt_tensor *tensor) {
  if (context->n_tensors == context->capacity) {
    context->capacity = context->capacity ? 2 * context->capacity : 64;
    context->tensors = realloc(context->tensors, context->capacity * sizeof *context->tensors);
    if (!context->tensors) abort();
  }
  context->tensors[context->n_tensors++] = tensor;
}

static inline tt_status plain_context_call(tt_call_context *base, tt_op_number number, const tt_value *args, size_t n_args,
                                           tt_operand **results, size_t *n_results, tt_error *error) {
  plain_context *context = (plain_context *)(void *)base;
  tt_tensor *tensors[TT_MAX_RESULTS];
  TT_TRY(tt_op_eval(number, &context->generator, args, n_args, tensors, n_results, error));
  for (size_t i = 0; i < *n_results; i++) {
    plain_context_keep(context, tensors[i]);
    results[i] = &tensors[i]->operand;
  }
  return TT_OK;
}

static inline void plain_context_begin(plain_context *context) {
  *context = (plain_context){.base = {.call = plain_context_call}};
  tt_generator_init(&context->generator, 1);
}

static inline void plain_context_end(plain_context *context) {
  for (size_t i = 0; i < context->n_tensors; i++) tt_tensor_unref(context->tensors[i]);
  free(context->tensors);
}

#endif
