/* local: the tail that holds data. It runs the kernel. */
#include "base/alloc.h"
#include "chain/graph.h"
#include "chain/hook.h"

typedef struct tt_local {
  tt_node node;
  tt_tensor *tensor;    /* one reference */
  tt_node *root;        /* of a view: one reference; NULL: it is its own */
  tt_autograd *history; /* of a root: one reference, or NULL */
  uint64_t stamp;
  bool is_withheld;
} tt_local;

tt_node *tt_local_new(tt_tensor *take_tensor, tt_error *error) {
  tt_node *node = tt_node_new(&tt_kind_local, &take_tensor->operand.meta, NULL, error);
  if (node == NULL) {
    tt_tensor_unref(take_tensor);
    return NULL;
  }
  ((tt_local *)node)->tensor = take_tensor;
  ((tt_local *)node)->stamp = tt_graph_now();
  return node;
}

tt_node *tt_local_root(tt_node *node) {
  tt_node *root = ((tt_local *)node)->root;
  return root == NULL ? node : root;
}

void tt_local_withhold(tt_node *local) { ((tt_local *)local)->is_withheld = true; }
bool tt_local_is_withheld(const tt_node *local) { return ((const tt_local *)local)->is_withheld; }

tt_autograd *tt_local_history(tt_node *node) { return ((tt_local *)tt_local_root(node))->history; }
uint64_t tt_local_stamp(const tt_node *node) { return ((const tt_local *)node)->stamp; }

void tt_local_set_history(tt_node *root, tt_autograd *history) {
  tt_local *local = (tt_local *)root;
  tt_autograd *old = local->history;
  local->history = tt_autograd_ref(history);
  tt_autograd_unref(old);
}

tt_tensor *tt_local_tensor(const tt_node *node) {
  return node->kind == &tt_kind_local ? ((const tt_local *)node)->tensor : NULL;
}

static void release(tt_node *node) {
  tt_local *local = (tt_local *)node;
  tt_tensor_unref(local->tensor);
  tt_autograd_unref(local->history);
  tt_node_unref(local->root);
}

/* From here down operands are tensors: the slot's node is replaced by what it holds. *context: whether some of it must not leave. */
static tt_status take_tensor(void *context, const tt_op *op, tt_node **slot, tt_error *error) {
  tt_tensor *tensor = tt_local_tensor(*slot);
  if (tensor == NULL)
    return tt_fail(error, TT_ERR_STATE, "%s: an operand is a %s, which holds no data", op->name, (*slot)->kind->name);
  *(bool *)context |= tt_local_is_withheld(*slot);
  *slot = (tt_node *)(void *)tensor;
  return TT_OK;
}

/* A worker that runs the commands of others knows what an op may take before it takes it. */
static tt_status check_room(const tt_hook *hook, const tt_call *call, const tt_meta *metas, size_t n_results, tt_error *error) {
  const int64_t most_bytes = call->op->flags & TT_OP_VIEW ? hook->max_view_bytes : hook->max_result_bytes;
  if (most_bytes == 0 || (call->op->flags & TT_OP_INPLACE)) return TT_OK;
  double n_bytes = 0;
  for (size_t i = 0; i < n_results; i++) {
    if (!tt_shape_is_known(&metas[i].shape)) continue;
    n_bytes += (double)tt_shape_n_elements(&metas[i].shape) * (double)tt_dtype_bytes(metas[i].dtype);
  }
  if (n_bytes <= (double)most_bytes) return TT_OK;
  return tt_fail(error, TT_ERR_FULL,
                 call->op->flags & TT_OP_VIEW
                     ? "%s: its result stands for %.0f bytes, more than the %lld that the store of %s may ever hold"
                     : "%s: its result takes %.0f bytes, more than the %lld that the store of %s has room for; free something",
                 call->op->name, n_bytes, (long long)most_bytes, hook->here);
}

/*
 * Runs the kernel. At a worker that runs the commands of others one block of what it needs while it works may be as large as the store and no larger: where the
 * shape rule cannot tell (a count that data says), or parts of a row are larger than what it answers.
 */
static tt_status run_kernel(tt_hook *hook, const tt_call *call, const tt_meta *metas, bool is_withheld, tt_tensor **tensors,
                            size_t *n_tensors, tt_error *error) {
  enum { SMALL_BYTES = 16 << 20 }; /* what any op may take */
  size_t most_bytes = hook->max_view_bytes < SMALL_BYTES          ? SMALL_BYTES
                      : (uint64_t)hook->max_view_bytes < SIZE_MAX ? (size_t)hook->max_view_bytes
                                                                  : SIZE_MAX;
  if (hook->max_view_bytes != 0) tt_alloc_set_limit(most_bytes);
  tt_status status = tt_op_eval_inferred(call->op, &hook->generator, call->args, metas, tensors, n_tensors, error);
  size_t refused_bytes = tt_alloc_refused();
  tt_alloc_set_limit(0);
  tt_meta unused[TT_MAX_RESULTS];
  size_t n_unused;
  if (is_withheld && status != TT_OK && status != TT_ERR_MEMORY &&
      tt_op_infer(call->op, call->args, unused, &n_unused, NULL) == TT_OK) {
    /* The shapes are right: what is wrong are elements, and the sentence may quote one. */
    return tt_fail(error, status, "%s: it fails on elements that must not leave %s, so that there is no telling why",
                   call->op->name, hook->here);
  }
  if (status != TT_ERR_MEMORY || refused_bytes == 0) return status;
  return tt_fail(error, TT_ERR_FULL, "%s: it takes %zu bytes at once while it works, more than the store of %s may ever hold",
                 call->op->name, refused_bytes, hook->here);
}

/* Data that is on its way elsewhere leaves as it was when it was sent. */
static tt_status announce_write(const tt_hook *hook, const tt_call *call, tt_error *error) {
  if (!tt_op_writes(call->op, call->args)) return TT_OK;
  for (size_t i = 0; i < call->op->n_params && hook->before_write != NULL; i++) {
    if (!call->op->params[i].is_written || call->args[i].type != TT_VALUE_OPERAND) continue;
    const tt_tensor *target = (const tt_tensor *)(const void *)call->args[i].as.operand;
    if (target->storage->n_readers > 0) TT_TRY(hook->before_write(hook->host, target->storage, error));
  }
  return TT_OK;
}

/* What was saved for a gradient knows by this that it has changed. */
static void count_writes(const tt_call *call) {
  if (!tt_op_writes(call->op, call->args)) return;
  for (size_t i = 0; i < call->op->n_params; i++) {
    if (!call->op->params[i].is_written || call->args[i].type != TT_VALUE_OPERAND) continue;
    ((tt_tensor *)(void *)call->args[i].as.operand)->storage->version++;
  }
}

static bool is_withheld_operand(const tt_operand *operand) {
  const tt_node *node = (const tt_node *)(const void *)operand;
  return node->kind == &tt_kind_local && tt_local_is_withheld(node);
}

/* Whether what the call answers must not leave: something that must not is among the arguments that the op does not combine. */
static bool stays(const tt_call *call) {
  for (size_t i = 0; i < call->op->n_params; i++) {
    const tt_value *arg = &call->args[i];
    if (tt_op_combines(call->op, i)) continue;
    if (arg->type == TT_VALUE_OPERAND && is_withheld_operand(arg->as.operand)) return true;
    for (uint32_t k = 0; arg->type == TT_VALUE_OPERANDS && k < arg->n; k++) {
      if (is_withheld_operand(arg->as.operands[k])) return true;
    }
  }
  return false;
}

/* Before it is written: an op that fails halfway has written too. */
static void withhold_written(const tt_call *call) {
  for (size_t i = 0; i < call->op->n_params; i++) {
    if (call->op->params[i].is_written && call->args[i].type == TT_VALUE_OPERAND)
      tt_local_withhold((tt_node *)(void *)call->args[i].as.operand);
  }
}

static tt_status handle_call(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error) {
  (void)kind;
  tt_call inner;
  tt_call_begin(&inner, call);
  tt_call_lists lists;
  tt_tensor *tensors[TT_MAX_RESULTS];
  size_t n_tensors = 0;
  bool is_withheld = false;
  tt_status status = tt_call_exchange(&inner, &lists, take_tensor, &is_withheld, error);
  tt_meta metas[TT_MAX_RESULTS];
  size_t n_metas = 0;
  if (status == TT_OK) status = tt_op_infer_rule(inner.op, inner.args, metas, &n_metas, error);
  if (status == TT_OK) status = check_room(hook, &inner, metas, n_metas, error);
  if (status == TT_OK) status = announce_write(hook, &inner, error);
  if (status == TT_OK && is_withheld) withhold_written(call);
  if (status == TT_OK) status = run_kernel(hook, &inner, metas, is_withheld, tensors, &n_tensors, error);
  if (status == TT_OK) count_writes(&inner);
  tt_call_release_lists(&lists);
  if (status != TT_OK) return status;

  if (call->op->flags & TT_OP_INPLACE) {
    tt_tensor_unref(tensors[0]); /* the tensor of argument 0 itself */
    call->results[0] = tt_node_ref((tt_node *)(void *)call->args[0].as.operand);
    call->n_results = 1;
    return TT_OK;
  }
  tt_node *viewed = call->op->flags & TT_OP_VIEW ? (tt_node *)(void *)call->args[0].as.operand : NULL;
  const tt_tensor *first = viewed == NULL ? NULL : tt_local_tensor(viewed);
  for (size_t i = 0; i < n_tensors; i++) {
    bool is_view = (call->op->flags & TT_OP_VIEW) && tensors[i]->storage == first->storage;
    call->results[i] = tt_local_new(tensors[i], error);
    if (call->results[i] != NULL && is_withheld && stays(call)) tt_local_withhold(call->results[i]);
    if (call->results[i] != NULL && is_view) ((tt_local *)call->results[i])->root = tt_node_ref(tt_local_root(viewed));
    if (call->results[i] != NULL) continue;
    for (size_t made = 0; made < i; made++) tt_node_unref(call->results[made]);
    for (size_t left = i + 1; left < n_tensors; left++) tt_tensor_unref(tensors[left]);
    return TT_ERR_MEMORY;
  }
  call->n_results = n_tensors;
  return TT_OK;
}

const tt_kind tt_kind_local = {
    .name = "_LocalTensor", .rank = TT_RANK_LOCAL, .n_bytes = sizeof(tt_local), .handle_call = handle_call, .release = release};
