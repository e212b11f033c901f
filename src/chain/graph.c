#include "chain/graph.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

static uint64_t n_steps;

uint64_t tt_graph_now(void) { return n_steps; }

/* ---- hooks ---- */

uint64_t tt_grad_hook_add(tt_grad_hook **list, uint32_t output, tt_grad_hook_fn *call, void (*release)(void *context),
                          void *take_context, tt_error *error) {
  static uint64_t last_id;
  tt_grad_hook *hook = tt_alloc(1, sizeof *hook);
  if (hook == NULL) {
    if (release != NULL) release(take_context);
    tt_fail(error, TT_ERR_MEMORY, "no memory for a hook on a gradient");
    return 0;
  }
  *hook = (tt_grad_hook){.id = ++last_id, .output = output, .call = call, .release = release, .context = take_context};
  while (*list != NULL) list = &(*list)->next;
  *list = hook;
  return hook->id;
}

static void free_hook(tt_grad_hook *hook) {
  if (hook->release != NULL) hook->release(hook->context);
  tt_free(hook);
}

bool tt_grad_hook_remove(tt_grad_hook **list, uint64_t id) {
  for (; *list != NULL; list = &(*list)->next) {
    tt_grad_hook *hook = *list;
    if (hook->id != id) continue;
    *list = hook->next;
    free_hook(hook);
    return true;
  }
  return false;
}

static void free_hooks(tt_grad_hook *list) {
  while (list != NULL) {
    tt_grad_hook *next = list->next;
    free_hook(list);
    list = next;
  }
}

/* ---- autograd ---- */

tt_autograd *tt_autograd_new(tt_error *error) {
  tt_autograd *autograd = tt_alloc_object(sizeof *autograd);
  if (autograd == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "no memory for one more variable");
    return NULL;
  }
  autograd->refs = 1;
  autograd->stamp = n_steps;
  return autograd;
}

tt_autograd *tt_autograd_ref(tt_autograd *autograd) {
  autograd->refs++;
  return autograd;
}

static void forget_step(tt_autograd *autograd) {
  tt_step *step = autograd->step;
  if (step == NULL) return;
  if (step->retainers != NULL && step->retainers[autograd->output] == autograd) step->retainers[autograd->output] = NULL;
  autograd->step = NULL;
  tt_step_unref(step);
}

void tt_autograd_set_grad(tt_autograd *autograd, tt_node *take_grad, tt_ledger *ledger) {
  if (autograd->held != NULL) tt_storage_unhold(autograd->held, autograd->ledger);
  tt_ledger_unref(autograd->ledger);
  tt_node *before = autograd->grad;
  autograd->grad = take_grad;
  autograd->held = NULL;
  autograd->ledger = NULL;
  if (take_grad != NULL && ledger != NULL) {
    autograd->held = tt_local_tensor(tt_node_tail(take_grad))->storage;
    autograd->ledger = tt_ledger_ref(ledger);
    tt_storage_hold(autograd->held, ledger);
  }
  tt_node_unref(before); /* last: it may lead back here */
}

void tt_autograd_unref(tt_autograd *autograd) {
  if (autograd == NULL || --autograd->refs > 0) return;
  forget_step(autograd);
  tt_autograd_set_grad(autograd, NULL, NULL);
  tt_node_unref(autograd->pending);
  free_hooks(autograd->hooks);
  tt_free_object(autograd, sizeof *autograd);
}

void tt_autograd_set_step(tt_autograd *autograd, tt_step *step, uint32_t output) {
  tt_step_ref(step);
  forget_step(autograd);
  autograd->requires_grad = false;
  autograd->step = step;
  autograd->output = output;
  autograd->stamp = step->sequence;
}

/* ---- saved data ---- */

/* A node that keeps its meta when its data is let go of, so that a rule can still read shapes. */
typedef struct tt_saved {
  tt_node node;
  tt_node *local;    /* one reference, over the same tensor; NULL once released */
  tt_ledger *ledger; /* borrowed from the step; NULL: not counted */
  uint32_t version;
} tt_saved;

static void let_go(tt_node *node) {
  tt_saved *saved = (tt_saved *)node;
  if (saved->local != NULL && saved->ledger != NULL) tt_storage_unhold(tt_local_tensor(saved->local)->storage, saved->ledger);
  tt_node_unref(saved->local);
  saved->local = NULL;
}

static tt_status refuse_call(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error) {
  (void)hook;
  return tt_fail(error, TT_ERR_STATE, "%s: a %s is no operand", call->op->name, kind->name);
}

static const tt_kind kind_saved = {
    .name = "_SavedTensor", .rank = -1, .n_bytes = sizeof(tt_saved), .handle_call = refuse_call, .release = let_go};

bool tt_node_is_saved(const tt_node *node) { return node->kind == &kind_saved; }

/* A local node of its own, so that what the user's node learns later (its history) is not reached from the past. */
static tt_node *save(tt_ledger *ledger, const tt_node *local, tt_error *error) {
  tt_tensor *tensor = tt_local_tensor(local);
  tt_node *alias = tt_local_new(tt_tensor_ref(tensor), error);
  tt_saved *saved = alias == NULL ? NULL : (tt_saved *)tt_node_new(&kind_saved, tt_node_meta(local), NULL, error);
  if (saved == NULL) {
    tt_node_unref(alias);
    return NULL;
  }
  saved->local = alias;
  saved->version = tensor->storage->version;
  saved->ledger = ledger;
  if (ledger != NULL) tt_storage_hold(tensor->storage, ledger);
  if (tt_local_is_withheld(local)) tt_local_withhold(alias);
  return &saved->node;
}

tt_status tt_saved_open(const tt_step *step, const tt_node *node, tt_node **local, tt_error *error) {
  const tt_saved *saved = (const tt_saved *)node;
  char name[64];
  if (saved->local == NULL) {
    tt_step_name(step, name, sizeof name);
    return tt_fail(
        error, TT_ERR_STATE,
        "Trying to backward through the graph a second time: what %s saved has been freed. Give backward retain_graph "
        "the first time if you need to go through it again",
        name);
  }
  uint32_t version = tt_local_tensor(saved->local)->storage->version;
  if (version != saved->version) {
    char shape[TT_SHAPE_TEXT_BYTES];
    tt_step_name(step, name, sizeof name);
    return tt_fail(
        error, TT_ERR_STATE,
        "one of the variables needed for gradient computation has been modified by an inplace operation: a %s tensor of "
        "shape %s that %s saved is at version %" PRIu32 ", expected version %" PRIu32 "; clone() it before it is changed",
        tt_dtype_name(node->operand.meta.dtype), tt_shape_text(&node->operand.meta.shape, shape), name, version,
        saved->version);
  }
  *local = saved->local;
  return TT_OK;
}

/* ---- steps ---- */

/* One block: what is known of each operand stands behind the step. */
static size_t step_bytes(size_t n_operands) { return sizeof(tt_step) + n_operands * (sizeof(tt_edge) + sizeof(bool)); }

static tt_step *new_step(tt_step_form form, const tt_op *op, size_t n_operands, tt_error *error) {
  tt_step *step = tt_alloc_object(step_bytes(n_operands));
  if (step == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "no memory to record %s for its gradient", op == NULL ? "a view" : op->name);
    return NULL;
  }
  step->refs = 1;
  step->form = form;
  step->op = op;
  step->sequence = ++n_steps;
  step->edges = (tt_edge *)(step + 1);
  step->is_needed = (bool *)(step->edges + n_operands);
  step->n_operands = n_operands;
  return step;
}

static void set_edge(tt_step *step, size_t i, tt_autograd *autograd) {
  if (!tt_autograd_is_needed(autograd)) return;
  step->is_needed[i] = true;
  if (autograd->step != NULL) {
    step->edges[i].step = tt_step_ref(autograd->step);
    step->edges[i].output = autograd->output;
  } else {
    step->edges[i].leaf = tt_autograd_ref(autograd);
  }
}

/* Copies what an argument borrows. */
static tt_status keep_arg(tt_ledger *ledger, tt_value *kept, const tt_value *arg, tt_error *error) {
  tt_value copy = *arg;
  if (arg->type == TT_VALUE_OPERAND) {
    tt_node *saved = save(ledger, (const tt_node *)(const void *)arg->as.operand, error);
    if (saved == NULL) return TT_ERR_MEMORY;
    copy.as.operand = &saved->operand;
  } else if (arg->type == TT_VALUE_OPERANDS) {
    tt_operand **items = arg->n == 0 ? NULL : tt_alloc(arg->n, sizeof *items); /* an empty list is the caller's as well */
    copy.n = 0;
    copy.as.operands = items;
    for (uint32_t i = 0; items != NULL && i < arg->n; i++) {
      tt_node *saved = save(ledger, (const tt_node *)(const void *)arg->as.operands[i], error);
      if (saved == NULL) break;
      items[i] = &saved->operand;
      copy.n++;
    }
    *kept = copy; /* what there is belongs to the step now */
    return copy.n == arg->n ? TT_OK : tt_fail(error, TT_ERR_MEMORY, "no memory to save %u tensors for a gradient", arg->n);
  } else if (arg->n > 0 && (arg->type == TT_VALUE_INTS || arg->type == TT_VALUE_STRING)) {
    size_t n_bytes = arg->n * (arg->type == TT_VALUE_INTS ? sizeof *arg->as.ints : 1);
    void *block = tt_alloc(1, n_bytes);
    if (block == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory to save a list for a gradient");
    memcpy(block, arg->type == TT_VALUE_INTS ? (const void *)arg->as.ints : (const void *)arg->as.string, n_bytes);
    if (arg->type == TT_VALUE_INTS)
      copy.as.ints = block;
    else
      copy.as.string = block;
  }
  *kept = copy;
  return TT_OK;
}

static void free_arg(tt_value *arg) {
  if (arg->type == TT_VALUE_OPERAND) {
    tt_node_unref((tt_node *)(void *)arg->as.operand);
  } else if (arg->type == TT_VALUE_OPERANDS) {
    for (uint32_t i = 0; i < arg->n; i++) tt_node_unref((tt_node *)(void *)arg->as.operands[i]);
    tt_free((void *)(uintptr_t)arg->as.operands);
  } else if (arg->n > 0 && arg->type == TT_VALUE_INTS) {
    tt_free((void *)(uintptr_t)arg->as.ints);
  } else if (arg->n > 0 && arg->type == TT_VALUE_STRING) {
    tt_free((void *)(uintptr_t)arg->as.string);
  }
  *arg = tt_none();
}

tt_step *tt_step_new(tt_ledger *ledger, const tt_op *op, const tt_value *args, tt_autograd *const *autograds, size_t n_operands,
                     tt_error *error) {
  tt_step *step = new_step(TT_STEP_RULE, op, n_operands, error);
  if (step == NULL) return NULL;
  if (ledger != NULL) {
    step->ledger = tt_ledger_ref(ledger);
    ledger->n_steps++;
  }
  for (size_t i = 0; i < n_operands; i++) set_edge(step, i, autograds[i]);
  for (size_t i = 0; i < op->n_params; i++) {
    if (keep_arg(ledger, &step->args[i], &args[i], error) == TT_OK) continue;
    tt_step_unref(step);
    return NULL;
  }
  return step;
}

tt_step *tt_step_new_view(const tt_region *region, tt_autograd *root, tt_error *error) {
  tt_step *step = new_step(TT_STEP_VIEW, NULL, 1, error);
  if (step == NULL) return NULL;
  step->region = *region;
  set_edge(step, 0, root);
  return step;
}

static size_t results_bytes(size_t n_results) { return n_results * (2 * sizeof(tt_node *) + sizeof(tt_autograd *)); }

tt_status tt_step_set_results(tt_step *step, tt_node *const *results, size_t n_results, tt_error *error) {
  step->results = tt_alloc_object(results_bytes(n_results));
  if (step->results == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory to record results for their gradient");
  step->n_room = n_results;
  step->gradients = step->results + n_results;
  step->retainers = (tt_autograd **)(step->gradients + n_results);
  for (size_t i = 0; i < n_results; i++) {
    step->results[i] = save(step->ledger, results[i], error);
    if (step->results[i] == NULL) return TT_ERR_MEMORY;
    step->n_results++;
  }
  return TT_OK;
}

tt_step *tt_step_ref(tt_step *step) {
  step->refs++;
  return step;
}

/* Frees all of a step but the steps behind it, which are put on the list when nothing else holds them. */
static void free_step(tt_step *step, tt_step **dead) {
  for (size_t i = 0; i < step->n_operands; i++) {
    tt_step *behind = step->edges[i].step;
    if (behind != NULL && --behind->refs == 0) {
      behind->next_dead = *dead;
      *dead = behind;
    }
    tt_autograd_unref(step->edges[i].leaf);
  }
  for (size_t i = 0; step->op != NULL && i < step->op->n_params; i++) free_arg(&step->args[i]);
  for (size_t i = 0; i < step->n_results; i++) {
    tt_node_unref(step->results[i]);
    tt_node_unref(step->gradients[i]);
  }
  free_hooks(step->hooks);
  tt_free_object(step->results, results_bytes(step->n_room));
  if (step->ledger != NULL) step->ledger->n_steps--;
  tt_ledger_unref(step->ledger);
  tt_free_object(step, step_bytes(step->n_operands));
}

void tt_step_unref(tt_step *step) {
  if (step == NULL || --step->refs > 0) return;
  tt_step *dead = step;
  step->next_dead = NULL;
  while (dead != NULL) {
    tt_step *next = dead;
    dead = next->next_dead;
    free_step(next, &dead);
  }
}

void tt_step_release_saved(tt_step *step) {
  for (size_t i = 0; step->op != NULL && i < step->op->n_params; i++) {
    const tt_value *arg = &step->args[i];
    if (arg->type == TT_VALUE_OPERAND) let_go((tt_node *)(void *)arg->as.operand);
    for (uint32_t k = 0; arg->type == TT_VALUE_OPERANDS && k < arg->n; k++) let_go((tt_node *)(void *)arg->as.operands[k]);
  }
  for (size_t i = 0; i < step->n_results; i++) let_go(step->results[i]);
}

static void backward_name(const char *name, char *text, size_t n_bytes) {
  size_t n = 0;
  bool is_start = true;
  for (; *name != '\0' && n + 1 < n_bytes; name++) {
    if (*name == '_') {
      is_start = true;
      continue;
    }
    text[n++] = is_start && *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
    is_start = false;
  }
  snprintf(text + n, n_bytes - n, "Backward0");
}

void tt_step_name(const tt_step *step, char *text, size_t n_bytes) {
  backward_name(step->op == NULL ? "as_strided" : step->op->name, text, n_bytes);
}

void tt_op_backward_name(const tt_op *op, char *text, size_t n_bytes) { backward_name(op->name, text, n_bytes); }
