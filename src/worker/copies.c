#include <string.h>

#include "base/alloc.h"
#include "chain/kind.h"
#include "chain/multi_pointer.h"
#include "chain/variable.h"
#include "worker/internal.h"

/* The sends of one tensor to several workers, which are answered together. */
typedef struct tt_copies {
  size_t n_open;
  tt_wire_error error; /* the first; status TT_OK when there is none */
  tt_answer_fn *done;  /* NULL once nobody waits */
  void *context;
} tt_copies;

static void release_copies(tt_copies *copies) {
  if (--copies->n_open > 0) return;
  if (copies->done != NULL) {
    bool failed = copies->error.error.status != TT_OK;
    copies->done(copies->context, &(tt_answer){.error = failed ? &copies->error : NULL});
  }
  tt_free(copies);
}

static void one_has_arrived(void *context, const tt_answer *answer) {
  tt_copies *copies = context;
  if (answer->error != NULL && copies->error.error.status == TT_OK) copies->error = *answer->error;
  release_copies(copies);
}

static tt_status check_receivers(tt_peer *const *peers, size_t n_peers, tt_error *error) {
  if (n_peers == 0 || n_peers > TT_MAX_COPIES) {
    return tt_fail(error, TT_ERR_ARGUMENT, "send: copies go to 1 to %d workers, not to %zu", TT_MAX_COPIES, n_peers);
  }
  for (size_t i = 0; i < n_peers; i++) {
    for (size_t k = i + 1; k < n_peers; k++) {
      if (peers[i] == peers[k]) return tt_fail(error, TT_ERR_ARGUMENT, "send: %s is named twice", tt_peer_id(peers[i]));
    }
  }
  return TT_OK;
}

/* A new reference; NULL: the call's error. */
static tt_node *call_one(tt_worker *worker, const char *name, tt_node *head, tt_error *error) {
  const tt_op *op = tt_op_find(name, strlen(name));
  const tt_value self = tt_operand_value(&head->operand);
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results;
  tt_status status = tt_hook_call(&worker->hook, op->number, &self, 1, NULL, 0, results, &n_results, error);
  return status == TT_OK ? results[0] : NULL;
}

/*
 * A head of its own for one copy: the same memory here; in a page, a copy at its own worker, which is to send it. Copies of a leaf are leaves, each with a
 * gradient of its own.
 */
static tt_node *copy_head(tt_worker *worker, tt_node *head, const tt_peer *to, tt_error *error) {
  const tt_node *below = tt_kind_below(head->child);
  bool is_variable = below->kind == &tt_kind_variable;
  tt_tensor *tensor = tt_local_tensor(is_variable ? below->child : below);
  if (tensor != NULL) {
    bool requires_grad = tt_node_gradient(head).requires_grad;
    tt_node *copy = tt_parcel_open(worker, tt_tensor_ref(tensor), NULL, requires_grad, error);
    tt_node *child = copy == NULL ? NULL : tt_kind_over(head->child, copy, error);
    return child == NULL ? NULL : tt_head_new(child, error);
  }
  if (!tt_node_is_pointer(below) || to->via == NULL || tt_pointer_location(below) != &to->via->location) {
    const char *where = tt_node_is_pointer(below) ? tt_pointer_location(below)->id : below->kind->name;
    tt_fail(error, TT_ERR_STATE, "send: copies of what is here can be sent; the tensor is at %s, get it first", where);
    return NULL;
  }
  tt_node *detached = call_one(worker, "detach", head, error);
  if (detached == NULL || !tt_pointer_requires_grad(below)) return detached;
  tt_node *leaf = call_one(worker, "requires_grad_", detached, error);
  tt_node_unref(detached);
  return leaf;
}

tt_status tt_worker_send_copies(tt_worker *worker, tt_node *head, tt_peer *const *peers, size_t n_peers,
                                const tt_metadata *metadata, tt_answer_fn *done, void *context, tt_error *error) {
  TT_TRY(check_receivers(peers, n_peers, error));
  const char *busy = tt_head_busy(head);
  if (busy != NULL) return tt_fail(error, TT_ERR_STATE, "send: the tensor %s; await that first", busy);
  TT_TRY(tt_parcel_check(head, "send", error));
  tt_copies *copies = tt_alloc(1, sizeof *copies);
  if (copies == NULL) return tt_fail(error, TT_ERR_MEMORY, "%s has no memory for one more request", worker->id);
  *copies = (tt_copies){.n_open = 1, .done = done, .context = context}; /* one for this function */
  tt_node *heads[TT_MAX_COPIES];
  size_t n_heads = 0;
  tt_status status = TT_OK;
  for (; status == TT_OK && n_heads < n_peers; n_heads++) {
    heads[n_heads] = copy_head(worker, head, peers[n_heads], error);
    if (heads[n_heads] == NULL) {
      status = error != NULL ? error->status : TT_ERR_MEMORY;
      break;
    }
    copies->n_open++;
    status = tt_worker_send(worker, heads[n_heads], peers[n_heads], 0, metadata, one_has_arrived, copies, NULL, error);
    if (status != TT_OK) copies->n_open--;
  }
  tt_node *multi = status == TT_OK ? tt_multi_pointer_new(heads, n_heads, error) : NULL;
  if (status == TT_OK && multi == NULL) status = TT_ERR_MEMORY;
  if (status == TT_OK)
    tt_head_set_child(head, multi);
  else
    copies->done = NULL; /* what has left already is freed where it arrives */
  for (size_t i = 0; i < n_heads; i++) tt_node_unref(heads[i]);
  if (status != TT_OK && copies->n_open == 1) {
    tt_free(copies);
    return status;
  }
  release_copies(copies);
  return status;
}
