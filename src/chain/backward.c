/*
 * backward: runs recorded steps in reverse.
 *
 * Steps are numbered in the order in which they were recorded, and what a step used was there before it: the reachable ones, taken from the
 * highest number down, are in an order in which every gradient is complete when it is needed.
 *
 * What arrives at leaves is gathered aside and given to them at the end, so that a backward that fails has changed nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "chain/variable.h"

/* ---- lists that grow ---- */

typedef struct tt_list {
  void **items;
  size_t n, capacity;
} tt_list;

static tt_status list_add(tt_list *list, void *item, tt_error *error) {
  if (list->n == list->capacity) {
    size_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
    void **items = tt_realloc(list->items, capacity * sizeof *items);
    if (items == NULL) return tt_fail(error, TT_ERR_MEMORY, "backward: no memory");
    list->items = items;
    list->capacity = capacity;
  }
  list->items[list->n++] = item;
  return TT_OK;
}

/* ---- the context of a gradient rule ---- */

typedef struct tt_rule_context {
  tt_call_context base; /* first */
  tt_hook *hook;
  tt_step *step;
  bool creates_graph;
  const tt_node *shape_only; /* of the call that is made now: an operand of which only shape and dtype are read */
  tt_list made;              /* one reference each, until the rule ends */
} tt_rule_context;

static tt_status keep(tt_rule_context *context, tt_node *take_node, tt_error *error) {
  if (take_node == NULL) return TT_ERR_MEMORY;
  tt_status status = list_add(&context->made, take_node, error);
  if (status != TT_OK) tt_node_unref(take_node);
  return status;
}

static void end_context(tt_rule_context *context) {
  for (size_t i = 0; i < context->made.n; i++) tt_node_unref(context->made.items[i]);
  context->made.n = 0;
}

/* Saved data as a Variable again, so that what a rule does with it is recorded too. */
static tt_status as_variable(tt_rule_context *context, const tt_node *saved, tt_node *local, tt_node **node, tt_error *error) {
  tt_step *step = context->step;
  tt_autograd *autograd = NULL;
  size_t i = 0;
  for (size_t k = 0; k < step->op->n_params && autograd == NULL; k++) {
    const tt_value *arg = &step->args[k];
    uint32_t n = arg->type == TT_VALUE_OPERAND ? 1 : arg->type == TT_VALUE_OPERANDS ? arg->n : 0;
    for (uint32_t item = 0; item < n; item++, i++) {
      const tt_operand *operand = arg->type == TT_VALUE_OPERAND ? arg->as.operand : arg->as.operands[item];
      if (operand != &saved->operand) continue;
      if (!step->is_needed[i]) return TT_OK; /* a constant */
      if (step->edges[i].leaf != NULL) {
        autograd = tt_autograd_ref(step->edges[i].leaf);
      } else {
        autograd = tt_autograd_new(error);
        if (autograd != NULL) tt_autograd_set_step(autograd, step->edges[i].step, step->edges[i].output);
      }
      if (autograd == NULL) return TT_ERR_MEMORY;
      break;
    }
  }
  for (size_t k = 0; k < step->n_results && autograd == NULL; k++) {
    if (step->results[k] != saved) continue;
    autograd = tt_autograd_new(error);
    if (autograd == NULL) return TT_ERR_MEMORY;
    tt_autograd_set_step(autograd, step, (uint32_t)k);
  }
  if (autograd == NULL) return TT_OK;
  tt_node *variable = tt_variable_new(tt_node_ref(local), autograd, error);
  TT_TRY(keep(context, variable, error));
  *node = variable;
  return TT_OK;
}

/* A tensor of that shape and dtype, whose one element nobody reads. */
static tt_status stand_in(tt_rule_context *context, const tt_meta *meta, tt_node **node, tt_error *error) {
  static const int64_t strides[TT_MAX_DIMS];
  const tt_shape scalar = {.n_dims = 0};
  tt_tensor *one = tt_tensor_zeros(meta->dtype, &scalar, error);
  tt_tensor *tensor = one == NULL ? NULL : tt_tensor_view(one, &meta->shape, strides, 0, error);
  tt_tensor_unref(one);
  *node = tensor == NULL ? NULL : tt_local_new(tensor, error);
  return keep(context, *node, error);
}

static tt_status open_operand(void *where, const tt_op *op, tt_node **slot, tt_error *error) {
  tt_rule_context *context = where;
  (void)op;
  if (!tt_node_is_saved(*slot)) return TT_OK;
  if (*slot == context->shape_only) return stand_in(context, tt_node_meta(*slot), slot, error);
  tt_node *local;
  TT_TRY(tt_saved_open(context->step, *slot, &local, error));
  tt_node *node = local;
  if (context->creates_graph) TT_TRY(as_variable(context, *slot, local, &node, error));
  *slot = node;
  return TT_OK;
}

static tt_status begin_call(tt_call *call, tt_op_number number, const tt_value *args, size_t n_args,
                            int64_t scratch[TT_MAX_PARAMS], tt_error *error) {
  call->op = tt_op_get(number);
  call->result_ids = NULL;
  call->n_result_ids = 0;
  call->n_results = 0;
  return tt_op_bind(call->op, args, n_args, call->args, scratch, error);
}

static tt_status call_from_rule(tt_call_context *base, tt_op_number number, const tt_value *args, size_t n_args,
                                tt_operand **results, size_t *n_results, tt_error *error) {
  tt_rule_context *context = (tt_rule_context *)(void *)base;
  tt_call call;
  int64_t scratch[TT_MAX_PARAMS];
  TT_TRY(begin_call(&call, number, args, n_args, scratch, error));
  context->shape_only = NULL;
  for (size_t i = 0; (call.op->flags & TT_OP_LIKE) && i < call.op->n_params; i++) {
    if (call.args[i].type == TT_VALUE_OPERAND) context->shape_only = (const tt_node *)(const void *)call.args[i].as.operand;
  }
  tt_call_lists lists;
  tt_status status = tt_call_exchange(&call, &lists, open_operand, context, error);
  context->shape_only = NULL;
  if (status == TT_OK) status = tt_hook_pass_down(context->hook, &call, error);
  tt_call_release_lists(&lists);
  if (status != TT_OK) return status;
  for (size_t i = 0; i < call.n_results; i++) {
    tt_status kept = keep(context, call.results[i], error);
    if (status == TT_OK) status = kept;
    results[i] = &call.results[i]->operand;
  }
  *n_results = call.n_results;
  return status;
}

/* ---- one run ---- */

typedef struct tt_run_back {
  tt_hook *hook;
  const tt_backward *what;
  uint64_t id;
  tt_list steps;       /* reachable ones */
  tt_list leaves;      /* that have something pending */
  int64_t n_new_bytes; /* of gradients that are kept */
} tt_run_back;

static tt_status add(tt_run_back *run, tt_node *a, tt_node *b, tt_node **sum, tt_error *error) {
  tt_call call;
  const tt_value args[] = {tt_operand_value(&a->operand), tt_operand_value(&b->operand)};
  int64_t scratch[TT_MAX_PARAMS];
  TT_TRY(begin_call(&call, TT_OP_add, args, 2, scratch, error));
  TT_TRY(tt_hook_pass_down(run->hook, &call, error));
  *sum = call.results[0];
  return TT_OK;
}

/* Adds a gradient to what a slot holds. */
static tt_status gather(tt_run_back *run, tt_node **slot, tt_node *gradient, tt_error *error) {
  if (*slot == NULL) {
    *slot = tt_node_ref(gradient);
    return TT_OK;
  }
  tt_node *sum;
  TT_TRY(add(run, *slot, gradient, &sum, error));
  tt_node_unref(*slot);
  *slot = sum;
  return TT_OK;
}

static tt_status gather_at_leaf(tt_run_back *run, tt_autograd *leaf, tt_node *gradient, tt_error *error) {
  if (leaf->pending == NULL) {
    TT_TRY(list_add(&run->leaves, leaf, error));
    tt_autograd_ref(leaf);
  }
  return gather(run, &leaf->pending, gradient, error);
}

static tt_status gather_along(tt_run_back *run, const tt_edge *edge, tt_node *gradient, tt_error *error) {
  if (edge->leaf != NULL) return gather_at_leaf(run, edge->leaf, gradient, error);
  if (edge->step == NULL) return TT_OK;
  return gather(run, &edge->step->gradients[edge->output], gradient, error);
}

static tt_status visit(tt_run_back *run, tt_list *open, tt_step *step, tt_error *error) {
  if (step == NULL || step->visited == run->id) return TT_OK;
  step->visited = run->id;
  TT_TRY(list_add(&run->steps, step, error));
  tt_step_ref(step); /* a hook may let go of what the user held */
  return list_add(open, step, error);
}

static int later_first(const void *a, const void *b) {
  const tt_step *const *left = a;
  const tt_step *const *right = b;
  return (*left)->sequence < (*right)->sequence ? 1 : (*left)->sequence > (*right)->sequence ? -1 : 0;
}

static tt_status find_steps(tt_run_back *run, tt_error *error) {
  tt_list open = {.n = 0};
  tt_status status = TT_OK;
  for (size_t i = 0; status == TT_OK && i < run->what->n_roots; i++)
    status = visit(run, &open, run->what->roots[i]->step, error);
  while (status == TT_OK && open.n > 0) {
    const tt_step *step = open.items[--open.n];
    for (size_t i = 0; status == TT_OK && i < step->n_operands; i++) status = visit(run, &open, step->edges[i].step, error);
  }
  tt_free(open.items);
  if (run->steps.n > 1) qsort(run->steps.items, run->steps.n, sizeof *run->steps.items, later_first);
  return status;
}

/* The first hook that was added after that one and not after `last`. */
static const tt_grad_hook *hook_behind(const tt_grad_hook *hook, uint64_t id, uint64_t last, uint32_t output) {
  while (hook != NULL && (hook->id <= id || hook->id > last || hook->output != output)) hook = hook->next;
  return hook;
}

/* Calls the hooks of one gradient; each may put another in its place, add others for the next time, and remove itself and others. */
static tt_status call_hooks(tt_grad_hook *const *hooks, uint32_t output, tt_node **gradient, tt_error *error) {
  uint64_t id = 0, last = 0;
  for (const tt_grad_hook *hook = *hooks; hook != NULL; hook = hook->next) last = hook->id;
  for (const tt_grad_hook *hook; (hook = hook_behind(*hooks, id, last, output)) != NULL;) {
    id = hook->id;
    tt_node *head = tt_head_new(tt_node_ref(*gradient), error);
    if (head == NULL) return TT_ERR_MEMORY;
    tt_node *replacement = NULL;
    tt_status status = hook->call(hook->context, head, &replacement, error);
    tt_node_unref(head);
    if (status != TT_OK) return status;
    if (replacement == NULL) continue;
    const tt_meta *is = tt_node_meta(replacement), *was = tt_node_meta(*gradient);
    tt_node *child = replacement->kind == &tt_kind_head ? replacement->child : replacement;
    if (is->dtype != was->dtype || !tt_shape_equal(&is->shape, &was->shape) || tt_local_tensor(tt_node_tail(child)) == NULL) {
      char theirs[TT_SHAPE_TEXT_BYTES], ours[TT_SHAPE_TEXT_BYTES];
      status = tt_fail(error, TT_ERR_SHAPE, "a hook on a gradient answered a %s tensor of shape %s for one of %s and shape %s",
                       tt_dtype_name(is->dtype), tt_shape_text(&is->shape, theirs), tt_dtype_name(was->dtype),
                       tt_shape_text(&was->shape, ours));
      tt_node_unref(replacement);
      return status;
    }
    tt_node *taken = tt_node_ref(child);
    tt_node_unref(replacement);
    tt_node_unref(*gradient);
    *gradient = taken;
  }
  return TT_OK;
}

/* A node of this gradient alone: what is kept must not change with something else. */
static tt_node *own_gradient(tt_node *gradient, bool creates_graph, tt_error *error) {
  tt_node *local = tt_node_tail(gradient);
  tt_tensor *tensor = tt_local_tensor(local);
  bool is_alone = gradient->refs == 1 && local->refs == 1 && tensor->refs == 1 && tensor->storage->refs == 1;
  if (creates_graph || (is_alone && tt_tensor_is_contiguous(tensor))) return tt_head_new(tt_node_ref(gradient), error);
  tt_tensor *copy = tt_tensor_cast(tensor, tt_tensor_dtype(tensor), error);
  tt_node *node = copy == NULL ? NULL : tt_local_new(copy, error);
  if (node != NULL && tt_local_is_withheld(local)) tt_local_withhold(node);
  return node == NULL ? NULL : tt_head_new(node, error);
}

/* A gradient that was none before takes room in the store. */
static tt_status take_room(tt_run_back *run, const tt_node *gradient, tt_error *error) {
  const tt_meta *meta = tt_node_meta(gradient);
  run->n_new_bytes += tt_shape_n_elements(&meta->shape) * (int64_t)tt_dtype_bytes(meta->dtype);
  if (run->hook->max_result_bytes == 0 || run->n_new_bytes <= run->hook->max_result_bytes) return TT_OK;
  return tt_fail(
      error, TT_ERR_FULL,
      "backward: the gradients take %lld bytes, more than the %lld that the store of %s has room for; free something",
      (long long)run->n_new_bytes, (long long)run->hook->max_result_bytes, run->hook->here);
}

static tt_status set_grad(tt_run_back *run, tt_autograd *autograd, tt_node *gradient, tt_error *error) {
  TT_TRY(take_room(run, gradient, error));
  tt_node *head = own_gradient(gradient, true, error);
  if (head == NULL) return TT_ERR_MEMORY;
  tt_autograd_set_grad(autograd, head, run->hook->ledger);
  return TT_OK;
}

/* ---- one step ---- */

static tt_status run_rule(tt_step *step, tt_node *const *gradients, tt_operand **operand_grads, tt_rule_context *context,
                          tt_error *error) {
  tt_operand *results[TT_MAX_RESULTS], *grads[TT_MAX_RESULTS];
  for (size_t i = 0; i < step->n_results; i++) {
    results[i] = &step->results[i]->operand;
    grads[i] = gradients[i] == NULL ? NULL : &gradients[i]->operand;
  }
  const tt_grad_call call = {.op = step->op,
                             .args = step->args,
                             .results = results,
                             .n_results = step->n_results,
                             .grads = grads,
                             .is_needed = step->is_needed};
  return step->op->grad(&context->base, &call, operand_grads, error);
}

static tt_tensor *tensor_of(const tt_node *node) {
  return tt_local_tensor(node->kind == &tt_kind_local ? node : tt_node_tail((tt_node *)(uintptr_t)node));
}

static tt_tensor *region_of(const tt_region *region, const tt_tensor *root, tt_error *error) {
  return tt_tensor_view(root, &region->shape, region->strides, root->offset + region->offset, error);
}

static tt_status refuse_graph(const tt_run_back *run, tt_error *error) {
  if (!run->what->creates_graph) return TT_OK;
  return tt_fail(
      error, TT_ERR_STATE,
      "backward: create_graph does not go through a view that was changed in place; write it without the change in place");
}

/* Takes over the gradient of a whole root as the step's first. */
static tt_status give_whole(tt_rule_context *context, tt_tensor *whole, bool is_withheld, tt_operand **operand_grads,
                            tt_error *error) {
  tt_node *node = tt_local_new(whole, error);
  if (node != NULL && is_withheld) tt_local_withhold(node);
  TT_TRY(keep(context, node, error));
  operand_grads[0] = &node->operand;
  return TT_OK;
}

/* A part of a root was changed in place: the part's gradient goes through the op's rule and back to its place, the rest stays. */
static tt_status run_region(tt_run_back *run, tt_step *step, tt_operand **operand_grads, tt_rule_context *context,
                            tt_error *error) {
  TT_TRY(refuse_graph(run, error));
  const tt_tensor *gradient = tensor_of(step->gradients[0]);
  tt_tensor *whole = tt_tensor_cast(gradient, tt_tensor_dtype(gradient), error);
  tt_tensor *part = whole == NULL ? NULL : region_of(&step->region, whole, error);
  tt_tensor *part_copy = part == NULL ? NULL : tt_tensor_cast(part, tt_tensor_dtype(part), error);
  tt_node *part_node = part_copy == NULL ? NULL : tt_local_new(part_copy, error);
  bool is_withheld = tt_local_is_withheld(tt_node_tail(step->gradients[0]));
  if (part_node != NULL && is_withheld) tt_local_withhold(part_node);
  tt_status status = part_node == NULL ? TT_ERR_MEMORY : keep(context, part_node, error);
  if (status == TT_OK) status = run_rule(step, &part_node, operand_grads, context, error);
  if (status == TT_OK) {
    is_withheld |= operand_grads[0] != NULL && tt_local_is_withheld(tt_node_tail((tt_node *)(void *)operand_grads[0]));
    tt_tensor *inner = operand_grads[0] == NULL ? tt_tensor_zeros(tt_tensor_dtype(part), tt_tensor_shape(part), error)
                                                : tt_tensor_ref(tensor_of((tt_node *)(void *)operand_grads[0]));
    status = inner == NULL ? TT_ERR_MEMORY : tt_tensor_copy(part, inner, error);
    tt_tensor_unref(inner);
  }
  tt_tensor_unref(part);
  if (status == TT_OK) return give_whole(context, whole, is_withheld, operand_grads, error);
  tt_tensor_unref(whole);
  return status;
}

/* A view of a changed root: its gradient is put at its place among zeros. Repeated elements (expand) are summed. */
static tt_status run_view(tt_run_back *run, tt_step *step, tt_operand **operand_grads, tt_rule_context *context,
                          tt_error *error) {
  TT_TRY(refuse_graph(run, error));
  tt_operand *gradient = &step->gradients[0]->operand;
  bool is_withheld = tt_local_is_withheld(tt_node_tail(step->gradients[0]));
  tt_region region = step->region;
  int64_t repeated[TT_MAX_DIMS];
  uint32_t n_repeated = 0;
  for (int d = 0; d < region.shape.n_dims; d++) {
    if (region.strides[d] != 0 || region.shape.dims[d] < 2) continue;
    repeated[n_repeated++] = d;
    region.shape.dims[d] = 1;
  }
  if (n_repeated > 0) {
    const tt_value args[] = {tt_operand_value(gradient), tt_ints(repeated, n_repeated), tt_bool(true)};
    size_t n_results;
    TT_TRY(call_from_rule(&context->base, TT_OP_sum, args, 3, &gradient, &n_results, error));
  }
  tt_tensor *whole = tt_tensor_zeros(region.root.dtype, &region.root.shape, error);
  tt_tensor *part = whole == NULL ? NULL : region_of(&region, whole, error);
  tt_status status = part == NULL ? TT_ERR_MEMORY : tt_tensor_copy(part, tensor_of((tt_node *)(void *)gradient), error);
  tt_tensor_unref(part);
  if (status == TT_OK) return give_whole(context, whole, is_withheld, operand_grads, error);
  tt_tensor_unref(whole);
  return status;
}

static const tt_meta *operand_meta(const tt_step *step, size_t i) {
  if (step->form == TT_STEP_VIEW || (step->form == TT_STEP_REGION && i == 0)) return &step->region.root;
  for (size_t k = 0; k < step->op->n_params; k++) {
    const tt_value *arg = &step->args[k];
    uint32_t n = arg->type == TT_VALUE_OPERAND ? 1 : arg->type == TT_VALUE_OPERANDS ? arg->n : 0;
    if (i < n) return &(arg->type == TT_VALUE_OPERAND ? arg->as.operand : arg->as.operands[i])->meta;
    i -= n;
  }
  return NULL;
}

static tt_status check_gradient(const tt_step *step, size_t i, const tt_operand *gradient, tt_error *error) {
  const tt_meta *meta = operand_meta(step, i);
  if (meta->dtype == gradient->meta.dtype && tt_shape_equal(&meta->shape, &gradient->meta.shape)) return TT_OK;
  char theirs[TT_SHAPE_TEXT_BYTES], ours[TT_SHAPE_TEXT_BYTES];
  return tt_fail(error, TT_ERR_STATE, "the gradient rule of %s answers %s %s for an operand of %s %s; please report this",
                 step->op == NULL ? "a view" : step->op->name, tt_dtype_name(gradient->meta.dtype),
                 tt_shape_text(&gradient->meta.shape, theirs), tt_dtype_name(meta->dtype), tt_shape_text(&meta->shape, ours));
}

static tt_status zero_for(tt_rule_context *context, size_t i, tt_node **zero, tt_error *error) {
  const tt_meta *meta = operand_meta(context->step, i);
  tt_tensor *tensor = tt_tensor_zeros(meta->dtype, &meta->shape, error);
  *zero = tensor == NULL ? NULL : tt_local_new(tensor, error);
  return keep(context, *zero, error);
}

static tt_status run_step(tt_run_back *run, tt_step *step, tt_error *error) {
  bool is_reached = false;
  for (size_t i = 0; i < step->n_results; i++) {
    if (step->gradients[i] == NULL) continue;
    is_reached = true;
    TT_TRY(call_hooks(&step->hooks, (uint32_t)i, &step->gradients[i], error));
    if (step->retainers[i] != NULL && run->what->inputs == NULL)
      TT_TRY(set_grad(run, step->retainers[i], step->gradients[i], error));
  }
  for (size_t i = 0; i < run->what->n_inputs; i++) {
    const tt_autograd *input = run->what->inputs[i];
    if (input->step != step || step->gradients[input->output] == NULL) continue;
    run->what->answers[i] = tt_node_ref(step->gradients[input->output]);
  }
  if (!is_reached) return TT_OK;

  tt_operand *few[8] = {NULL};
  tt_operand **operand_grads = step->n_operands <= 8 ? few : tt_alloc(step->n_operands, sizeof *operand_grads);
  if (operand_grads == NULL) return tt_fail(error, TT_ERR_MEMORY, "backward: no memory");
  tt_rule_context context = {
      .base = {.call = call_from_rule}, .hook = run->hook, .step = step, .creates_graph = run->what->creates_graph};
  tt_status status = step->form == TT_STEP_RULE     ? run_rule(step, step->gradients, operand_grads, &context, error)
                     : step->form == TT_STEP_REGION ? run_region(run, step, operand_grads, &context, error)
                                                    : run_view(run, step, operand_grads, &context, error);
  for (size_t i = 0; status == TT_OK && i < step->n_operands; i++) {
    if (!step->is_needed[i]) continue;
    tt_node *gradient = (tt_node *)(void *)operand_grads[i];
    /* What a rule leaves out is zero, and arrives as that. */
    if (gradient == NULL) status = zero_for(&context, i, &gradient, error);
    if (status != TT_OK) break;
    /* A rule may answer what it was given: saved data, as 1 * x. */
    if (tt_node_is_saved(gradient)) status = open_operand(&context, step->op, &gradient, error);
    if (status == TT_OK) status = check_gradient(step, i, &gradient->operand, error);
    if (status == TT_OK) status = gather_along(run, &step->edges[i], gradient, error);
  }
  end_context(&context);
  tt_free(context.made.items);
  if (operand_grads != few) tt_free(operand_grads);
  for (size_t i = 0; i < step->n_results; i++) {
    tt_node_unref(step->gradients[i]);
    step->gradients[i] = NULL;
  }
  return status;
}

/* ---- the end ---- */

/* Whoever holds a gradient sees what is added to it, as in PyTorch. */
static bool adds_in_place(const tt_run_back *run, const tt_autograd *leaf) {
  return !run->what->creates_graph && leaf->grad != NULL && leaf->grad->child->kind == &tt_kind_local &&
         leaf->pending->kind == &tt_kind_local;
}

/* All that may fail: from then on `pending` is what the gradient is going to be. */
static tt_status prepare_leaf(tt_run_back *run, tt_autograd *leaf, tt_error *error) {
  tt_node *next;
  if (leaf->grad == NULL) {
    TT_TRY(take_room(run, leaf->pending, error));
    next = own_gradient(leaf->pending, run->what->creates_graph, error);
    if (next == NULL) return TT_ERR_MEMORY;
  } else {
    tt_storage *storage = adds_in_place(run, leaf) ? tt_local_tensor(leaf->grad->child)->storage : NULL;
    if (storage != NULL && storage->n_readers > 0 && run->hook->before_write != NULL)
      TT_TRY(run->hook->before_write(run->hook->host, storage, error));
    TT_TRY(add(run, leaf->grad->child, leaf->pending, &next, error));
  }
  tt_node_unref(leaf->pending);
  leaf->pending = next;
  return TT_OK;
}

static void give_to_leaf(const tt_run_back *run, tt_autograd *leaf) {
  if (leaf->grad == NULL) {
    tt_autograd_set_grad(leaf, leaf->pending, run->hook->ledger);
    leaf->pending = NULL;
  } else if (adds_in_place(run, leaf)) {
    tt_tensor *grad = tt_local_tensor(leaf->grad->child);
    (void)tt_tensor_copy(grad, tt_local_tensor(leaf->pending), NULL); /* one shape, one dtype, apart: it cannot fail */
    grad->storage->version++;
    if (tt_local_is_withheld(leaf->pending)) tt_local_withhold(leaf->grad->child);
  } else {
    tt_head_set_child(leaf->grad, leaf->pending);
    leaf->pending = NULL;
  }
}

static tt_status finish(tt_run_back *run, tt_error *error) {
  for (size_t i = 0; i < run->leaves.n; i++) {
    tt_autograd *leaf = run->leaves.items[i];
    TT_TRY(call_hooks(&leaf->hooks, 0, &leaf->pending, error));
  }
  for (size_t i = 0; i < run->what->n_inputs; i++) {
    const tt_autograd *input = run->what->inputs[i];
    if (input->step != NULL || input->pending == NULL) continue;
    tt_node_unref(run->what->answers[i]);
    run->what->answers[i] = tt_node_ref(input->pending);
  }
  for (size_t i = 0; run->what->inputs == NULL && i < run->leaves.n; i++)
    TT_TRY(prepare_leaf(run, run->leaves.items[i], error));
  for (size_t i = 0; run->what->inputs == NULL && i < run->leaves.n; i++) give_to_leaf(run, run->leaves.items[i]);
  for (size_t i = 0; !run->what->retains_graph && i < run->steps.n; i++) tt_step_release_saved(run->steps.items[i]);
  return TT_OK;
}

tt_status tt_backward_run(tt_hook *hook, const tt_backward *backward, tt_error *error) {
  static uint64_t last_run;
  if (hook->is_in_backward) return tt_fail(error, TT_ERR_STATE, "backward: one is running already, and it does not nest");
  tt_run_back run = {.hook = hook, .what = backward, .id = ++last_run};
  bool was_recording = hook->is_recording;
  hook->is_in_backward = true;
  hook->is_recording = backward->creates_graph;

  tt_status status = find_steps(&run, error);
  for (size_t i = 0; status == TT_OK && i < backward->n_roots; i++) {
    tt_autograd *root = backward->roots[i];
    status = root->step == NULL ? gather_at_leaf(&run, root, backward->gradients[i], error)
                                : gather(&run, &root->step->gradients[root->output], backward->gradients[i], error);
  }
  /* Released at the end only, so that a failure leaves the graph as it was. */
  for (size_t i = 0; status == TT_OK && i < run.steps.n; i++) status = run_step(&run, run.steps.items[i], error);
  if (status == TT_OK) status = finish(&run, error);

  for (size_t i = 0; i < run.steps.n; i++) {
    tt_step *step = run.steps.items[i];
    for (size_t k = 0; k < step->n_results; k++) {
      tt_node_unref(step->gradients[k]);
      step->gradients[k] = NULL;
    }
    tt_step_unref(step);
  }
  for (size_t i = 0; i < run.leaves.n; i++) {
    tt_autograd *leaf = run.leaves.items[i];
    tt_node_unref(leaf->pending);
    leaf->pending = NULL;
    tt_autograd_unref(leaf);
  }
  for (size_t i = 0; status != TT_OK && i < backward->n_inputs; i++) {
    tt_node_unref(backward->answers[i]);
    backward->answers[i] = NULL;
  }
  tt_free(run.steps.items);
  tt_free(run.leaves.items);
  hook->is_in_backward = false;
  hook->is_recording = was_recording;
  return status;
}
