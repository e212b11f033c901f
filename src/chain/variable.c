#include "chain/variable.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "chain/multi_pointer.h"
#include "chain/pointer.h"

typedef struct tt_variable {
  tt_node node;          /* its child is a local node */
  tt_autograd *autograd; /* one reference */
} tt_variable;

static bool is_variable(const tt_node *node) { return node->kind == &tt_kind_variable; }

/* The node that has the data, of an operand below the head; NULL when it is elsewhere. */
static tt_node *local_of(tt_node *node) {
  if (is_variable(node)) node = node->child;
  return node->kind == &tt_kind_local ? node : NULL;
}

tt_node *tt_variable_new(tt_node *take_local, tt_autograd *take_autograd, tt_error *error) {
  tt_meta meta = *tt_node_meta(take_local);
  tt_variable *variable = (tt_variable *)tt_node_new(&tt_kind_variable, &meta, take_local, error);
  if (variable == NULL) {
    tt_autograd_unref(take_autograd);
    return NULL;
  }
  variable->autograd = take_autograd;
  take_autograd->n_variables++;
  return &variable->node;
}

static void release(tt_node *node) {
  tt_autograd *autograd = ((tt_variable *)node)->autograd;
  /* Nobody is left to ask for its gradient. That may have a graph which leads here (create_graph): a circle that would never be freed. */
  if (--autograd->n_variables == 0) tt_autograd_set_grad(autograd, NULL, NULL);
  tt_autograd_unref(autograd);
}

/* ---- what an operand is in the graph ---- */

static tt_region region_in_root(const tt_tensor *view, const tt_tensor *root) {
  tt_region region = {.root = root->operand.meta, .shape = *tt_tensor_shape(view), .offset = view->offset - root->offset};
  memcpy(region.strides, view->strides, sizeof region.strides);
  return region;
}

/*
 * The autograd of an operand as things are now (one reference, or NULL): its own, or, when its memory was changed in place since by what has a
 * gradient, that of the change.
 */
static tt_status current_autograd(tt_node *node, tt_autograd **current, tt_error *error) {
  tt_node *local = local_of(node);
  tt_autograd *own = is_variable(node) ? ((tt_variable *)node)->autograd : NULL;
  tt_autograd *history = local == NULL ? NULL : tt_local_history(local);
  uint64_t stamp = own != NULL ? own->stamp : local != NULL ? tt_local_stamp(local) : 0;
  *current = NULL;
  if (history == NULL || history == own || history->stamp <= stamp || !tt_autograd_is_needed(history)) {
    if (own != NULL) *current = tt_autograd_ref(own);
    return TT_OK;
  }
  tt_node *root = tt_local_root(local);
  if (root == local) {
    *current = tt_autograd_ref(history);
    return TT_OK;
  }
  tt_region region = region_in_root(tt_local_tensor(local), tt_local_tensor(root));
  tt_step *step = tt_step_new_view(&region, history, error);
  if (step == NULL) return TT_ERR_MEMORY;
  tt_status status = tt_step_set_results(step, &local, 1, error);
  if (status == TT_OK) tt_step_release_saved(step); /* its shape is enough */
  tt_autograd *view = status != TT_OK                      ? NULL
                      : own != NULL && !own->requires_grad ? tt_autograd_ref(own)
                                                           : tt_autograd_new(error);
  if (view != NULL) tt_autograd_set_step(view, step, 0);
  tt_step_unref(step);
  if (view == NULL) return status != TT_OK ? status : TT_ERR_MEMORY;
  *current = view;
  return TT_OK;
}

/* ---- the operands of one call ---- */

typedef struct tt_operand_graph {
  tt_autograd *few[8]; /* one reference each, NULL where there is none */
  tt_autograd **all;
  size_t n;
  bool is_any_needed;
  tt_error *error;
} tt_operand_graph;

static tt_status count_operand(void *context, tt_node *node, tt_error *error) {
  (void)node;
  (void)error;
  ++*(size_t *)context;
  return TT_OK;
}

static tt_status look_at_operand(void *context, tt_node *node, tt_error *error) {
  tt_operand_graph *graph = context;
  TT_TRY(current_autograd(node, &graph->all[graph->n], error));
  graph->is_any_needed |= tt_autograd_is_needed(graph->all[graph->n]);
  graph->n++;
  return TT_OK;
}

static tt_status look_at_operands(const tt_call *call, tt_operand_graph *graph, tt_error *error) {
  size_t n_operands = 0;
  graph->n = 0;
  graph->is_any_needed = false;
  graph->all = graph->few;
  TT_TRY(tt_call_visit(call, count_operand, &n_operands, error));
  if (n_operands > sizeof graph->few / sizeof *graph->few) {
    graph->all = tt_alloc(n_operands, sizeof *graph->all);
    if (graph->all == NULL) return tt_fail(error, TT_ERR_MEMORY, "%s: no memory for %zu operands", call->op->name, n_operands);
  }
  return tt_call_visit(call, look_at_operand, graph, error);
}

static void release_operands(tt_operand_graph *graph) {
  for (size_t i = 0; i < graph->n; i++) tt_autograd_unref(graph->all[i]);
  if (graph->all != graph->few) tt_free(graph->all);
}

static tt_status take_local(void *context, const tt_op *op, tt_node **slot, tt_error *error) {
  (void)context;
  (void)op;
  (void)error;
  if (is_variable(*slot)) *slot = (*slot)->child;
  return TT_OK;
}

/* ---- changes in place ---- */

/* What PyTorch refuses, and what has no gradient to go on with. `i`: the operand that is written to, `autograd` its own. */
static tt_status check_write(const tt_hook *hook, const tt_op *op, tt_node *target, const tt_autograd *autograd,
                             tt_error *error) {
  if (!hook->is_recording) return TT_OK;
  if (autograd != NULL && autograd->requires_grad) {
    return tt_fail(error, TT_ERR_STATE,
                   "%s: a leaf Variable that requires grad is being used in an in-place operation; change it under no_grad, or "
                   "a clone of it",
                   op->name);
  }
  tt_node *local = local_of(target);
  const tt_autograd *root = local == NULL ? NULL : tt_local_history(local);
  if (root != NULL && root->requires_grad) {
    return tt_fail(error, TT_ERR_STATE,
                   "%s: a view of a leaf Variable that requires grad is being used in an in-place operation; change it under "
                   "no_grad, or a clone of it",
                   op->name);
  }
  if (op->grad == NULL && tt_autograd_is_needed(autograd) && (op->flags & TT_OP_GRAPH) == 0) {
    return tt_fail(error, TT_ERR_STATE, "%s has no gradient, and is to change a tensor that needs one; detach() it first",
                   op->name);
  }
  return TT_OK;
}

static tt_status check_writes(const tt_hook *hook, const tt_call *call, const tt_operand_graph *graph, tt_error *error) {
  size_t at = 0;
  for (size_t i = 0; i < call->op->n_params; i++) {
    const tt_value *arg = &call->args[i];
    if (call->op->params[i].is_written && arg->type == TT_VALUE_OPERAND)
      TT_TRY(check_write(hook, call->op, (tt_node *)(void *)arg->as.operand, graph->all[at], error));
    at += arg->type == TT_VALUE_OPERAND ? 1 : arg->type == TT_VALUE_OPERANDS ? arg->n : 0;
  }
  return TT_OK;
}

/* A recorded change of `target` (a local node, or a Variable): what `step` made is what it is from now on. Answers a new reference. */
static tt_status rebase(tt_node *target, tt_step *step, tt_node **changed, tt_error *error) {
  tt_node *local = local_of(target);
  tt_node *root = tt_local_root(local);
  tt_autograd *own = is_variable(target) ? ((tt_variable *)target)->autograd : NULL;
  tt_autograd *history = tt_local_history(local);
  tt_autograd *of_root = history != NULL                ? tt_autograd_ref(history)
                         : root == local && own != NULL ? tt_autograd_ref(own)
                                                        : tt_autograd_new(error);
  if (of_root == NULL) return TT_ERR_MEMORY;
  tt_node *variable = NULL;
  tt_step *view = NULL;
  tt_status status = TT_OK;
  if (root != local) {
    step->form = TT_STEP_REGION;
    step->region = region_in_root(tt_local_tensor(local), tt_local_tensor(root));
  }
  if (own == NULL) {
    tt_autograd *autograd = root == local ? tt_autograd_ref(of_root) : tt_autograd_new(error);
    variable = autograd == NULL ? NULL : tt_variable_new(tt_node_ref(local), autograd, error);
    if (variable == NULL) status = TT_ERR_MEMORY;
  } else {
    variable = tt_node_ref(target);
  }
  if (status == TT_OK) {
    tt_autograd_set_step(of_root, step, 0);
    tt_local_set_history(root, of_root);
  }
  if (status == TT_OK && root != local) {
    /* The view itself is taken of its root anew. */
    view = tt_step_new_view(&step->region, of_root, error);
    status = view == NULL ? TT_ERR_MEMORY : tt_step_set_results(view, &local, 1, error);
    if (status == TT_OK) tt_step_release_saved(view);
    if (status == TT_OK) tt_autograd_set_step(((tt_variable *)variable)->autograd, view, 0);
    tt_step_unref(view);
  } else if (status == TT_OK && own != NULL && own != of_root) {
    tt_autograd_set_step(own, step, 0);
  }
  tt_autograd_unref(of_root);
  if (status != TT_OK) {
    tt_node_unref(variable);
    return status;
  }
  *changed = variable;
  return TT_OK;
}

/* ---- recording ---- */

/* The call with its operands' data: only data stands below a Variable. */
static tt_status call_below(tt_hook *hook, tt_call *inner, tt_error *error) {
  inner->n_results = 0;
  return tt_kind_local.handle_call(hook, &tt_kind_local, inner, error);
}

static bool is_differentiable(const tt_node *result) {
  tt_dtype dtype = tt_node_meta(result)->dtype;
  return dtype == TT_DTYPE_F32 || dtype == TT_DTYPE_F64;
}

static tt_status record_results(tt_call *call, tt_call *inner, tt_step *step, tt_operand_graph *graph, tt_error *error) {
  TT_TRY(tt_step_set_results(step, inner->results, inner->n_results, error));
  tt_node *first = call->op->flags & TT_OP_VIEW ? (tt_node *)(void *)inner->args[0].as.operand : NULL;
  for (size_t i = 0; i < inner->n_results; i++) {
    tt_node *local = inner->results[i];
    if (!is_differentiable(local)) {
      call->results[i] = tt_node_ref(local);
      call->n_results++;
      continue;
    }
    tt_autograd *autograd = tt_autograd_new(error);
    if (autograd == NULL) return TT_ERR_MEMORY;
    tt_autograd_set_step(autograd, step, (uint32_t)i);
    call->results[i] = tt_variable_new(tt_node_ref(local), autograd, error);
    if (call->results[i] == NULL) return TT_ERR_MEMORY;
    call->n_results++;
    /* A change through the view has to find what its root was before. */
    if (first != NULL && tt_local_root(local) == first && tt_local_history(first) == NULL && graph->all[0] != NULL)
      tt_local_set_history(first, graph->all[0]);
  }
  return TT_OK;
}

/* What a recorded call keeps beside its results: a step, and `n_bytes`. */
static tt_status check_room(const tt_hook *hook, const tt_op *op, uint64_t n_bytes, tt_error *error) {
  if (hook->max_steps != 0 && hook->ledger != NULL && hook->ledger->n_steps >= hook->max_steps) {
    return tt_fail(error, TT_ERR_FULL,
                   "%s: %s keeps %zu calls for gradients, its ceiling; run backward, free something, or use no_grad", op->name,
                   hook->here, hook->ledger->n_steps);
  }
  if (hook->max_result_bytes == 0 || n_bytes <= (uint64_t)hook->max_result_bytes) return TT_OK;
  return tt_fail(
      error, TT_ERR_FULL,
      "%s: what was there before is kept for gradients and takes %llu bytes, more than the %lld that the store of %s has room "
      "for; free something",
      op->name, (unsigned long long)n_bytes, (long long)hook->max_result_bytes, hook->here);
}

static tt_status call_recorded(tt_hook *hook, tt_call *call, tt_call *inner, tt_operand_graph *graph, tt_error *error) {
  TT_TRY(check_room(hook, call->op, 0, error));
  tt_step *step = tt_step_new(hook->ledger, call->op, inner->args, graph->all, graph->n, error);
  if (step == NULL) return TT_ERR_MEMORY;
  tt_status status = call_below(hook, inner, error);
  if (status == TT_OK) {
    status = record_results(call, inner, step, graph, error);
    for (size_t i = 0; i < inner->n_results; i++) tt_node_unref(inner->results[i]);
  }
  if (status != TT_OK) {
    for (size_t i = 0; i < call->n_results; i++) tt_node_unref(call->results[i]);
    call->n_results = 0;
  }
  tt_step_unref(step);
  return status;
}

static tt_status call_in_place(tt_hook *hook, tt_call *call, tt_call *inner, tt_operand_graph *graph, tt_error *error) {
  tt_node *target = (tt_node *)(void *)call->args[0].as.operand;
  tt_node *local = (tt_node *)(void *)inner->args[0].as.operand;
  tt_node *root = tt_local_root(local);
  tt_autograd *history = tt_local_history(local);
  if (root != local && history == NULL && tt_autograd_is_needed(graph->all[0])) {
    return tt_fail(error, TT_ERR_STATE,
                   "%s: this view requires grad by itself, and what it is a view of does not; change a clone() of it",
                   call->op->name);
  }
  if (root != local && !tt_tensor_is_contiguous(tt_local_tensor(root))) {
    return tt_fail(error, TT_ERR_STATE,
                   "%s: a view of a tensor that is not contiguous cannot be changed in place here; clone() it", call->op->name);
  }
  /* What the rule reads of self is from before the change. */
  const tt_tensor *tensor = tt_local_tensor(local);
  uint64_t n_bytes = (uint64_t)tt_tensor_n_elements(tensor) * tt_dtype_bytes(tt_tensor_dtype(tensor));
  TT_TRY(check_room(hook, call->op, n_bytes, error));
  tt_tensor *copy = tt_tensor_cast(tensor, tt_tensor_dtype(tensor), error);
  tt_node *before = copy == NULL ? NULL : tt_local_new(copy, error);
  if (before == NULL) return TT_ERR_MEMORY;
  if (tt_local_is_withheld(local)) tt_local_withhold(before);
  tt_value args[TT_MAX_PARAMS];
  memcpy(args, inner->args, call->op->n_params * sizeof *args);
  args[0] = tt_operand_value(&before->operand);
  tt_autograd *of_self = graph->all[0];
  if (root != local) graph->all[0] = history; /* the root's gradient goes to what the root was */
  tt_step *step = tt_step_new(hook->ledger, call->op, args, graph->all, graph->n, error);
  graph->all[0] = of_self;
  tt_node_unref(before);
  if (step == NULL) return TT_ERR_MEMORY;
  if (root != local) step->is_needed[0] = true; /* for what lies in its place */

  tt_status status = call_below(hook, inner, error);
  if (status == TT_OK) {
    status = tt_step_set_results(step, inner->results, 1, error);
    tt_node_unref(inner->results[0]);
  }
  if (status == TT_OK) status = rebase(target, step, &call->results[0], error);
  if (status == TT_OK) call->n_results = 1;
  tt_step_unref(step);
  return status;
}

/* Nothing is recorded: results are plain data; what was changed in place stays the Variable that it was. */
static tt_status call_plain(tt_hook *hook, tt_call *call, tt_call *inner, tt_error *error) {
  TT_TRY(call_below(hook, inner, error));
  memcpy(call->results, inner->results, inner->n_results * sizeof *inner->results);
  call->n_results = inner->n_results;
  if ((call->op->flags & TT_OP_INPLACE) == 0) return TT_OK;
  tt_node *target = (tt_node *)(void *)call->args[0].as.operand;
  if (!is_variable(target)) return TT_OK;
  tt_node_unref(call->results[0]);
  call->results[0] = tt_node_ref(target);
  return TT_OK;
}

/* ---- the rows that are about the graph itself ---- */

static tt_status need_floating(const char *what, const tt_node *node, tt_error *error) {
  if (is_differentiable(node)) return TT_OK;
  return tt_fail(error, TT_ERR_DTYPE, "%s: only Tensors of floating point dtype can require gradients; this one is %s", what,
                 tt_dtype_name(tt_node_meta(node)->dtype));
}

static tt_node *operand_of(const tt_call *call, size_t i) { return (tt_node *)(void *)call->args[i].as.operand; }

static tt_status answer(tt_call *call, tt_node *take_node) {
  if (take_node == NULL) return TT_ERR_MEMORY;
  call->results[0] = take_node;
  call->n_results = 1;
  return TT_OK;
}

/* The node itself when it is a Variable, else one over it; a new reference. */
static tt_node *as_variable(tt_node *node, tt_autograd *autograd, tt_error *error) {
  if (is_variable(node)) return tt_node_ref(node);
  autograd = autograd != NULL ? tt_autograd_ref(autograd) : tt_autograd_new(error);
  return autograd == NULL ? NULL : tt_variable_new(tt_node_ref(node), autograd, error);
}

typedef tt_status tt_graph_fn(tt_hook *hook, tt_call *call, tt_operand_graph *graph, tt_error *error);

static tt_status call_requires_grad(tt_hook *hook, tt_call *call, tt_operand_graph *graph, tt_error *error) {
  (void)hook;
  tt_node *self = operand_of(call, 0);
  bool requires_grad = call->args[1].as.boolean;
  const tt_autograd *autograd = graph->all[0];
  if (requires_grad) TT_TRY(need_floating("requires_grad_", self, error));
  if (autograd != NULL && autograd->step != NULL) {
    if (requires_grad) return answer(call, as_variable(self, graph->all[0], error));
    return tt_fail(error, TT_ERR_STATE,
                   "requires_grad_: you can only change requires_grad flags of leaf variables. If you want to use a computed "
                   "variable in a subgraph that doesn't require differentiation use detach()");
  }
  tt_node *variable = as_variable(self, graph->all[0], error);
  if (variable != NULL) ((tt_variable *)variable)->autograd->requires_grad = requires_grad;
  return answer(call, variable);
}

static tt_status call_detach(tt_hook *hook, tt_call *call, tt_operand_graph *graph, tt_error *error) {
  (void)hook;
  (void)graph;
  const tt_node *local = local_of(operand_of(call, 0));
  const tt_tensor *tensor = tt_local_tensor(local);
  tt_tensor *view = tt_tensor_view(tensor, tt_tensor_shape(tensor), tensor->strides, tensor->offset, error);
  tt_node *apart = view == NULL ? NULL : tt_local_new(view, error);
  if (apart != NULL && tt_local_is_withheld(local)) tt_local_withhold(apart);
  return answer(call, apart);
}

static tt_status call_detach_in_place(tt_hook *hook, tt_call *call, tt_operand_graph *graph, tt_error *error) {
  tt_node *local = local_of(operand_of(call, 0));
  if (tt_local_root(local) != local && tt_autograd_is_needed(graph->all[0])) {
    return tt_fail(error, TT_ERR_STATE, "detach_: a view cannot be detached in place; use detach()");
  }
  return call_detach(hook, call, graph, error);
}

/* What a backward begins with: the gradient that was given, or 1. */
static tt_status first_gradient(const tt_hook *hook, tt_node *output, const tt_operand *given, bool creates_graph,
                                tt_node **gradient, tt_error *error) {
  (void)hook;
  const tt_meta *meta = tt_node_meta(output);
  if (given != NULL) {
    tt_node *node = (tt_node *)(void *)(uintptr_t)given;
    if (given->meta.dtype != meta->dtype) {
      return tt_fail(error, TT_ERR_DTYPE, "backward: a %s gradient was given for a %s tensor", tt_dtype_name(given->meta.dtype),
                     tt_dtype_name(meta->dtype));
    }
    *gradient = tt_node_ref(creates_graph ? node : local_of(node));
    return TT_OK;
  }
  tt_tensor *one = tt_tensor_new(meta->dtype, &meta->shape, error);
  if (one == NULL) return TT_ERR_MEMORY;
  if (meta->dtype == TT_DTYPE_F32)
    *(float *)tt_tensor_data(one) = 1;
  else
    *(double *)tt_tensor_data(one) = 1;
  *gradient = tt_local_new(one, error);
  return *gradient == NULL ? TT_ERR_MEMORY : TT_OK;
}

static tt_status need_graph(const char *what, const tt_autograd *autograd, tt_error *error) {
  if (tt_autograd_is_needed(autograd)) return TT_OK;
  return tt_fail(error, TT_ERR_STATE, "%s: the tensor does not require grad and does not have a grad_fn", what);
}

/* retain_graph's default is create_graph. */
static bool retains(const tt_value *retain_graph, bool creates_graph) {
  return retain_graph->type == TT_VALUE_BOOL ? retain_graph->as.boolean : creates_graph;
}

static tt_status call_backward(tt_hook *hook, tt_call *call, tt_operand_graph *graph, tt_error *error) {
  tt_node *self = operand_of(call, 0);
  tt_autograd *root = graph->all[0];
  bool creates_graph = call->args[3].as.boolean;
  TT_TRY(need_graph("backward", root, error));
  tt_node *gradient;
  const tt_operand *given = call->args[1].type == TT_VALUE_OPERAND ? call->args[1].as.operand : NULL;
  TT_TRY(first_gradient(hook, self, given, creates_graph, &gradient, error));
  const tt_backward backward = {.roots = &root,
                                .gradients = &gradient,
                                .n_roots = 1,
                                .retains_graph = retains(&call->args[2], creates_graph),
                                .creates_graph = creates_graph};
  tt_status status = tt_backward_run(hook, &backward, error);
  tt_node_unref(gradient);
  return status != TT_OK ? status : answer(call, tt_node_ref(self));
}

static tt_status call_autograd_grad(tt_hook *hook, tt_call *call, tt_operand_graph *graph, tt_error *error) {
  const tt_value *outputs = &call->args[0], *inputs = &call->args[1], *given = &call->args[2];
  bool creates_graph = call->args[4].as.boolean;
  tt_autograd **roots = graph->all, **wanted = graph->all + outputs->n;
  for (uint32_t i = 0; i < outputs->n; i++) TT_TRY(need_graph("grad", roots[i], error));
  for (uint32_t i = 0; i < inputs->n; i++) TT_TRY(need_graph("grad", wanted[i], error));
  tt_node **gradients = tt_alloc(outputs->n, sizeof *gradients);
  if (gradients == NULL) return tt_fail(error, TT_ERR_MEMORY, "grad: no memory for %u outputs", outputs->n);
  tt_status status = TT_OK;
  for (uint32_t i = 0; status == TT_OK && i < outputs->n; i++) {
    status =
        first_gradient(hook, (tt_node *)(void *)outputs->as.operands[i],
                       given->type == TT_VALUE_OPERANDS ? given->as.operands[i] : NULL, creates_graph, &gradients[i], error);
  }
  memset(call->results, 0, inputs->n * sizeof *call->results);
  const tt_backward backward = {.roots = roots,
                                .gradients = gradients,
                                .n_roots = outputs->n,
                                .retains_graph = retains(&call->args[3], creates_graph),
                                .creates_graph = creates_graph,
                                .inputs = wanted,
                                .n_inputs = inputs->n,
                                .answers = call->results};
  if (status == TT_OK) status = tt_backward_run(hook, &backward, error);
  for (uint32_t i = 0; i < outputs->n; i++) tt_node_unref(gradients[i]);
  tt_free(gradients);
  if (status != TT_OK) return status;
  uint32_t unused = 0;
  while (unused < inputs->n && call->results[unused] != NULL) unused++;
  if (unused < inputs->n) {
    for (uint32_t i = 0; i < inputs->n; i++) tt_node_unref(call->results[i]);
    return tt_fail(error, TT_ERR_STATE, "grad: input %u appears to not have been used in the graph of the outputs", unused);
  }
  call->n_results = inputs->n;
  return TT_OK;
}

static tt_status call_retain_grad(tt_hook *hook, tt_call *call, tt_operand_graph *graph, tt_error *error) {
  (void)hook;
  tt_node *self = operand_of(call, 0);
  tt_autograd *autograd = graph->all[0];
  if (!tt_autograd_is_needed(autograd))
    return tt_fail(error, TT_ERR_STATE, "retain_grad: can't retain_grad on Tensor that has requires_grad=False");
  tt_node *variable = as_variable(self, autograd, error);
  if (variable == NULL) return TT_ERR_MEMORY;
  if (autograd->step != NULL) {
    autograd->retains_grad = true;
    autograd->step->retainers[autograd->output] = autograd;
  }
  return answer(call, variable);
}

static tt_status call_grad(tt_hook *hook, tt_call *call, tt_operand_graph *graph, tt_error *error) {
  (void)hook;
  const tt_autograd *autograd = graph->all[0];
  if (autograd != NULL && autograd->grad != NULL) return answer(call, tt_node_ref(autograd->grad->child));
  if (!tt_autograd_is_needed(autograd)) return tt_fail(error, TT_ERR_STATE, "grad: the tensor does not require grad");
  if (autograd->step != NULL && !autograd->retains_grad) {
    return tt_fail(error, TT_ERR_STATE,
                   "grad: this tensor is no leaf, and its gradient is not kept; call retain_grad() on it before backward()");
  }
  return tt_fail(error, TT_ERR_STATE, "grad: no gradient has arrived yet; call backward() on what depends on it");
}

static tt_status call_set_grad(tt_hook *hook, tt_call *call, tt_operand_graph *graph, tt_error *error) {
  tt_node *self = operand_of(call, 0);
  TT_TRY(need_floating("grad", self, error));
  tt_node *grad = NULL;
  if (call->args[1].type == TT_VALUE_OPERAND) {
    /* The data alone: what it was made of, or its own gradient, may lead back to self, and would never be freed. */
    tt_node *given = local_of(operand_of(call, 1));
    tt_node *local = tt_local_new(tt_tensor_ref(tt_local_tensor(given)), error);
    if (local != NULL && tt_local_is_withheld(given)) tt_local_withhold(local);
    grad = local == NULL ? NULL : tt_head_new(local, error);
    if (grad == NULL) return TT_ERR_MEMORY;
  }
  tt_node *variable = as_variable(self, graph->all[0], error);
  if (variable == NULL) {
    tt_node_unref(grad);
    return TT_ERR_MEMORY;
  }
  tt_autograd *autograd = ((tt_variable *)variable)->autograd;
  tt_autograd_set_grad(autograd, grad, hook->ledger);
  return answer(call, variable);
}

static const struct {
  tt_op_number number;
  tt_graph_fn *call;
} graph_rows[] = {
    {TT_OP_requires_grad_, call_requires_grad}, {TT_OP_detach, call_detach},
    {TT_OP_detach_, call_detach_in_place},      {TT_OP_backward_, call_backward},
    {TT_OP_retain_grad_, call_retain_grad},     {TT_OP_grad, call_grad},
    {TT_OP_set_grad_, call_set_grad},           {TT_OP_autograd_grad, call_autograd_grad},
};

static tt_status call_graph_row(tt_hook *hook, tt_call *call, tt_operand_graph *graph, tt_error *error) {
  tt_meta metas[TT_MAX_RESULTS];
  size_t n_results;
  TT_TRY(tt_op_infer_rule(call->op, call->args, metas, &n_results, error)); /* the rule's own errors */
  for (size_t i = 0; i < sizeof graph_rows / sizeof graph_rows[0]; i++) {
    if (graph_rows[i].number == call->op->number) return graph_rows[i].call(hook, call, graph, error);
  }
  return tt_fail(error, TT_ERR_UNKNOWN_OP, "%s is not known to Variables", call->op->name);
}

/* ---- the kind ---- */

/* An optimiser's step is given the gradient of what it changes. */
static void fill_grad(tt_call *call, const tt_operand_graph *graph) {
  if ((call->op->flags & TT_OP_GRAD_ARG) == 0 || graph->all[0] == NULL || graph->all[0]->grad == NULL) return;
  for (size_t i = 1; i < call->op->n_params; i++) {
    if (strcmp(call->op->params[i].name, "grad") != 0 || call->args[i].type != TT_VALUE_NONE) continue;
    call->args[i] = tt_operand_value(&graph->all[0]->grad->child->operand);
  }
}

static tt_status handle_call(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error) {
  (void)kind;
  tt_operand_graph graph;
  call->n_results = 0;
  tt_status status = look_at_operands(call, &graph, error);
  if (status == TT_OK && (call->op->flags & TT_OP_GRAPH)) {
    status = call_graph_row(hook, call, &graph, error);
    release_operands(&graph);
    return status;
  }
  bool records = status == TT_OK && hook->is_recording && graph.is_any_needed && call->op->grad != NULL;
  if (status == TT_OK) status = check_writes(hook, call, &graph, error);
  if (status == TT_OK && !records) fill_grad(call, &graph);
  tt_call inner;
  tt_call_begin(&inner, call);
  tt_call_lists lists = {.n = 0};
  if (status == TT_OK) status = tt_call_exchange(&inner, &lists, take_local, NULL, error);
  if (status == TT_OK) {
    status = !records                            ? call_plain(hook, call, &inner, error)
             : (call->op->flags & TT_OP_INPLACE) ? call_in_place(hook, call, &inner, &graph, error)
                                                 : call_recorded(hook, call, &inner, &graph, error);
  }
  tt_call_release_lists(&lists);
  release_operands(&graph);
  return status;
}

const tt_kind tt_kind_variable = {.name = "Variable",
                                  .rank = TT_RANK_VARIABLE,
                                  .n_bytes = sizeof(tt_variable),
                                  .handle_call = handle_call,
                                  .release = release};

/* ---- from outside ---- */

static tt_node *below_head(tt_node *node) { return node->kind == &tt_kind_head ? node->child : node; }

/* A Variable may stand below other kinds. */
static tt_node *find_variable(tt_node *node) {
  for (node = below_head(node); node != NULL; node = node->child) {
    if (is_variable(node)) return node;
  }
  return NULL;
}

tt_autograd *tt_node_autograd(tt_node *node) {
  tt_node *variable = find_variable(node);
  if (variable == NULL) {
    tt_node *tail = tt_node_tail(node);
    return tail->kind == &tt_kind_local && tt_local_root(tail) == tail ? tt_local_history(tail) : NULL;
  }
  /* As things are now: a view of what was changed becomes a part of that. */
  tt_autograd *current;
  if (current_autograd(variable, &current, NULL) == TT_OK && current != NULL) tt_autograd_unref(current);
  return ((tt_variable *)variable)->autograd;
}

tt_gradient_view tt_node_gradient(tt_node *node) {
  tt_gradient_view view = {.is_leaf = true};
  tt_node *tail = tt_node_tail(node);
  if (tt_node_is_pointer(tail)) {
    const tt_op *op = tt_pointer_grad_op(tail);
    view.requires_grad = tt_pointer_requires_grad(tail);
    view.is_leaf = op == NULL;
    if (op != NULL) tt_op_backward_name(op, view.grad_fn, sizeof view.grad_fn);
    return view;
  }
  if (tt_node_is_multi_pointer(tail)) { /* its copies are alike; each has a gradient of its own */
    view = tt_node_gradient(tt_multi_pointer_copy(tail, 0));
    view.grad = NULL;
    return view;
  }
  const tt_autograd *autograd = tt_node_autograd(node);
  if (autograd == NULL) return view;
  view.requires_grad = tt_autograd_is_needed(autograd);
  view.is_leaf = autograd->step == NULL;
  view.grad = autograd->grad;
  if (autograd->step != NULL) tt_step_name(autograd->step, view.grad_fn, sizeof view.grad_fn);
  return view;
}

tt_node *tt_variable_new_leaf(tt_node *take_local, bool requires_grad, tt_node *grad, tt_ledger *ledger, tt_error *error) {
  tt_autograd *autograd = tt_autograd_new(error);
  if (autograd == NULL) {
    tt_node_unref(take_local);
    return NULL;
  }
  autograd->requires_grad = requires_grad;
  if (grad != NULL) tt_autograd_set_grad(autograd, tt_node_ref(grad), ledger);
  return tt_variable_new(take_local, autograd, error);
}

static tt_grad_hook **hooks_of(tt_autograd *autograd) {
  return autograd->step != NULL ? &autograd->step->hooks : &autograd->hooks;
}

uint64_t tt_variable_register_hook(tt_node *head, tt_grad_hook_fn *call, void (*release_context)(void *context),
                                   void *take_context, tt_error *error) {
  tt_autograd *autograd = tt_node_autograd(head);
  if (tt_autograd_is_needed(autograd))
    return tt_grad_hook_add(hooks_of(autograd), autograd->output, call, release_context, take_context, error);
  if (release_context != NULL) release_context(take_context);
  tt_fail(error, TT_ERR_STATE, "register_hook: cannot register a hook on a tensor that doesn't require gradient");
  return 0;
}

void tt_variable_remove_hook(tt_node *head, uint64_t id) {
  tt_autograd *autograd = tt_node_autograd(head);
  if (autograd == NULL) return;
  if (!tt_grad_hook_remove(&autograd->hooks, id) && autograd->step != NULL)
    (void)tt_grad_hook_remove(&autograd->step->hooks, id);
}

void tt_node_print(tt_node *head, tt_buffer *text) {
  tt_gradient_view gradient = tt_node_gradient(head);
  char suffix[96];
  if (gradient.is_leaf)
    snprintf(suffix, sizeof suffix, "requires_grad=True");
  else
    snprintf(suffix, sizeof suffix, "grad_fn=<%s>", gradient.grad_fn);
  tt_tensor_print_with(tt_local_tensor(tt_node_tail(head)), gradient.requires_grad ? suffix : NULL, text);
}
