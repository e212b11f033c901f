#include "nn/calls.h"

#include "base/alloc.h"

tt_status tt_calls_end(tt_calls *calls) {
  while (calls->n_made > 0) tt_node_unref(calls->made[--calls->n_made]);
  tt_free(calls->made);
  calls->made = NULL;
  calls->capacity = 0;
  return calls->status;
}

/* Room for n more. */
static bool reserve(tt_calls *calls, size_t n) {
  if (calls->n_made + n <= calls->capacity) return true;
  size_t capacity = 2 * calls->capacity + n + 16;
  tt_node **made = tt_realloc(calls->made, capacity * sizeof *made);
  if (made == NULL) {
    calls->status = tt_fail(calls->error, TT_ERR_MEMORY, "no memory for the results of %zu ops", calls->n_made + n);
    return false;
  }
  calls->made = made;
  calls->capacity = capacity;
  return true;
}

tt_node *tt_calls_keep(tt_calls *calls, tt_node *take_node) {
  if (take_node == NULL) return NULL;
  if (reserve(calls, 1)) return calls->made[calls->n_made++] = take_node;
  tt_node_unref(take_node);
  return NULL;
}

bool tt_calls_run_many(tt_calls *calls, tt_op_number op, const tt_value *args, size_t n_args, tt_node **results, size_t room) {
  if (calls->status != TT_OK || !reserve(calls, TT_MAX_RESULTS)) return false;
  tt_node *made[TT_MAX_RESULTS];
  size_t n_made = 0;
  calls->status = tt_hook_call(calls->place->hook, op, args, n_args, NULL, 0, made, &n_made, calls->error);
  if (calls->status != TT_OK) return false;
  for (size_t i = 0; i < n_made; i++) {
    calls->made[calls->n_made++] = made[i];
    if (i < room) results[i] = made[i];
  }
  return true;
}

tt_node *tt_calls_run(tt_calls *calls, tt_op_number op, const tt_value *args, size_t n_args) {
  tt_node *result;
  return tt_calls_run_many(calls, op, args, n_args, &result, 1) ? result : NULL;
}

tt_node *tt_calls_make(tt_calls *calls, tt_op_number op, const int64_t *dims, size_t n_dims, tt_dtype dtype) {
  if (calls->status != TT_OK || !reserve(calls, 1)) return NULL;
  const tt_value args[] = {tt_ints(dims, (uint32_t)n_dims), tt_dtype_value(dtype)};
  tt_node *head = NULL;
  calls->status = tt_place_make(calls->place, op, args, 2, &head, calls->error);
  return calls->status == TT_OK ? tt_calls_keep(calls, head) : NULL;
}
