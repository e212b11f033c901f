#include "chain/multi_pointer.h"

#include <string.h>

#include "base/alloc.h"
#include "chain/hook.h"

typedef struct tt_multi_pointer {
  tt_node node;
  size_t n_copies;
  tt_node **copies; /* owned; one reference each */
} tt_multi_pointer;

bool tt_node_is_multi_pointer(const tt_node *node) { return node->kind == &tt_kind_multi_pointer; }
size_t tt_multi_pointer_n_copies(const tt_node *node) { return ((const tt_multi_pointer *)node)->n_copies; }
tt_node *tt_multi_pointer_copy(const tt_node *node, size_t i) { return ((const tt_multi_pointer *)node)->copies[i]; }

tt_node *tt_multi_pointer_new(tt_node *const *heads, size_t n_heads, tt_error *error) {
  if (n_heads == 0 || n_heads > TT_MAX_COPIES) {
    tt_fail(error, TT_ERR_ARGUMENT, "a multi-pointer stands for 1 to %d copies, not %zu", TT_MAX_COPIES, n_heads);
    return NULL;
  }
  tt_node **copies = tt_alloc(n_heads, sizeof *copies);
  if (copies == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "no memory for a multi-pointer to %zu copies", n_heads);
    return NULL;
  }
  tt_multi_pointer *multi = (tt_multi_pointer *)tt_node_new(&tt_kind_multi_pointer, tt_node_meta(heads[0]), NULL, error);
  if (multi == NULL) {
    tt_free(copies);
    return NULL;
  }
  for (size_t i = 0; i < n_heads; i++) copies[i] = tt_node_ref(heads[i]);
  multi->copies = copies;
  multi->n_copies = n_heads;
  return &multi->node;
}

static void release(tt_node *node) {
  tt_multi_pointer *multi = (tt_multi_pointer *)node;
  for (size_t i = 0; i < multi->n_copies; i++) tt_node_unref(multi->copies[i]);
  tt_free(multi->copies);
}

static tt_location *location_of(const tt_node *multi, size_t i) {
  const tt_node *tail = tt_node_tail(tt_multi_pointer_copy(multi, i));
  return tt_node_is_pointer(tail) ? tt_pointer_location(tail) : NULL;
}

static void describe(const tt_node *node, tt_buffer *text) {
  for (size_t i = 0; i < tt_multi_pointer_n_copies(node); i++) {
    const tt_location *location = location_of(node, i);
    tt_buffer_printf(text, "%s%s", i == 0 ? "(" : ", ", location == NULL ? "here" : location->id);
  }
  tt_buffer_printf(text, ")");
}

/* ---- calls ---- */

typedef struct tt_multi_place {
  const tt_op *op;
  const tt_node *first; /* of the multi-pointers among the operands */
} tt_multi_place;

static tt_status find_first(void *context, tt_node *node, tt_error *error) {
  (void)error;
  tt_multi_place *place = context;
  if (place->first == NULL && tt_node_is_multi_pointer(node)) place->first = node;
  return TT_OK;
}

static tt_status check_place(void *context, tt_node *node, tt_error *error) {
  const tt_multi_place *place = context;
  const tt_node *first = place->first;
  if (!tt_node_is_multi_pointer(node)) {
    return tt_fail(error, TT_ERR_LOCATION,
                   "%s: an operand is a multi-pointer and another a %s; send that one to the same workers, or use the copies "
                   "one by one",
                   place->op->name, node->kind->name);
  }
  if (tt_multi_pointer_n_copies(node) != tt_multi_pointer_n_copies(first)) {
    return tt_fail(error, TT_ERR_LOCATION, "%s: an operand is at %zu workers and another at %zu", place->op->name,
                   tt_multi_pointer_n_copies(first), tt_multi_pointer_n_copies(node));
  }
  for (size_t i = 0; i < tt_multi_pointer_n_copies(node); i++) {
    const tt_location *wanted = location_of(first, i), *location = location_of(node, i);
    if (location == NULL || wanted == NULL) {
      return tt_fail(error, TT_ERR_LOCATION, "%s: copy %zu of a multi-pointer is not at its worker any more", place->op->name,
                     i);
    }
    if (location != wanted) {
      return tt_fail(error, TT_ERR_LOCATION,
                     "%s: multi-pointers must be at the same workers in the same order, but copy %zu of one is at %s and of "
                     "another at %s",
                     place->op->name, i, wanted->id, location->id);
    }
  }
  return TT_OK;
}

static tt_status take_copy(void *context, const tt_op *op, tt_node **slot, tt_error *error) {
  (void)op;
  (void)error;
  *slot = tt_multi_pointer_copy(*slot, *(const size_t *)context);
  return TT_OK;
}

/* The call on one of the copies. */
static tt_status call_one(tt_hook *hook, const tt_call *call, size_t i, tt_node **results, size_t *n_results, tt_error *error) {
  tt_call inner = *call;
  inner.n_results = 0;
  inner.result_ids = NULL;
  inner.n_result_ids = 0;
  tt_call_lists lists;
  tt_status status = tt_call_exchange(&inner, &lists, take_copy, &i, error);
  if (status == TT_OK) status = tt_hook_pass_down(hook, &inner, error);
  tt_call_release_lists(&lists);
  if (status != TT_OK) return status;
  memcpy(results, inner.results, inner.n_results * sizeof *results);
  *n_results = inner.n_results;
  return TT_OK;
}

/* Result k is the multi-pointer over what each copy answered as its k-th. */
static tt_status gather(tt_call *call, tt_node *const *heads, size_t n_copies, size_t n_results, tt_error *error) {
  for (size_t k = 0; k < n_results; k++) {
    tt_node *column[TT_MAX_COPIES];
    for (size_t i = 0; i < n_copies; i++) column[i] = heads[i * TT_MAX_RESULTS + k];
    call->results[k] = tt_multi_pointer_new(column, n_copies, error);
    if (call->results[k] != NULL) continue;
    for (size_t made = 0; made < k; made++) tt_node_unref(call->results[made]);
    return TT_ERR_MEMORY;
  }
  call->n_results = n_results;
  return TT_OK;
}

static tt_status handle_call(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error) {
  (void)kind;
  tt_multi_place place = {.op = call->op};
  TT_TRY(tt_call_visit(call, find_first, &place, error));
  TT_TRY(tt_call_visit(call, check_place, &place, error));
  size_t n_copies = tt_multi_pointer_n_copies(place.first), n_done = 0, n_results = 0;
  tt_node **heads = tt_alloc(n_copies * TT_MAX_RESULTS, sizeof *heads);
  if (heads == NULL)
    return tt_fail(error, TT_ERR_MEMORY, "%s: no memory for the results of %zu copies", call->op->name, n_copies);
  tt_status status = TT_OK;
  for (; status == TT_OK && n_done < n_copies; n_done++) {
    status = call_one(hook, call, n_done, heads + n_done * TT_MAX_RESULTS, &n_results, error);
  }
  if (status == TT_OK && (call->op->flags & TT_OP_INPLACE)) {
    call->results[0] = tt_node_ref((tt_node *)(void *)call->args[0].as.operand);
    call->n_results = 1;
  } else if (status == TT_OK) {
    status = gather(call, heads, n_copies, n_results, error);
  }
  for (size_t i = 0; i < n_copies * TT_MAX_RESULTS; i++) tt_node_unref(heads[i]);
  tt_free(heads);
  return status;
}

const tt_kind tt_kind_multi_pointer = {.name = "_MultiPointerTensor",
                                       .n_bytes = sizeof(tt_multi_pointer),
                                       .rank = TT_RANK_MULTI_POINTER,
                                       .handle_call = handle_call,
                                       .release = release,
                                       .describe = describe};
