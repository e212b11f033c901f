#include "chain/kind.h"

#include <string.h>

#include "base/alloc.h"
#include "chain/log.h"
#include "chain/plus_is_minus.h"

/* ---- the registry ---- */

static const tt_kind *kinds[TT_MAX_KINDS] = {&tt_kind_plus_is_minus, &tt_kind_log};
static size_t n_kinds = 2;

static bool is_name(const char *name) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  size_t n_bytes = strlen(name);
  return n_bytes > 0 && n_bytes <= TT_MAX_KIND_NAME_BYTES && strspn(name, letters) == n_bytes;
}

tt_status tt_kind_register(const tt_kind *kind, tt_error *error) {
  if (!is_name(kind->name)) {
    return tt_fail(error, TT_ERR_ARGUMENT,
                   "a kind's name is 1 to %d letters, digits and underscores, such as _LogTensor, not '%s'",
                   (int)TT_MAX_KIND_NAME_BYTES, kind->name);
  }
  if (kind->rank < TT_RANK_KIND_FIRST || kind->rank > TT_RANK_KIND_LAST) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: a kind's rank is from %d to %d, not %d", kind->name, (int)TT_RANK_KIND_FIRST,
                   (int)TT_RANK_KIND_LAST, kind->rank);
  }
  for (size_t i = 0; i < n_kinds; i++) {
    if (kinds[i] == kind) return TT_OK;
    if (strcmp(kinds[i]->name, kind->name) == 0) {
      return tt_fail(error, TT_ERR_DUPLICATE, "there is a kind %s already; nothing was overwritten", kind->name);
    }
    if (kinds[i]->rank == kind->rank) {
      return tt_fail(error, TT_ERR_DUPLICATE, "%s: the rank %d is that of %s; take another, from %d to %d", kind->name,
                     kind->rank, kinds[i]->name, (int)TT_RANK_KIND_FIRST, (int)TT_RANK_KIND_LAST);
    }
  }
  if (n_kinds == TT_MAX_KINDS)
    return tt_fail(error, TT_ERR_FULL, "%s: there are %d kinds, which is the limit", kind->name, (int)TT_MAX_KINDS);
  kinds[n_kinds++] = kind;
  return TT_OK;
}

const tt_kind *tt_kind_at(size_t i) { return i < n_kinds ? kinds[i] : NULL; }

const tt_kind *tt_kind_find(const char *name, tt_error *error) {
  char names[TT_ERROR_MESSAGE_BYTES / 2] = "";
  for (size_t i = 0; i < n_kinds; i++) {
    if (strcmp(kinds[i]->name, name) == 0) return kinds[i];
    if (strlen(names) + strlen(kinds[i]->name) + 3 > sizeof names) continue;
    if (i > 0) strcat(names, ", ");
    strcat(names, kinds[i]->name);
  }
  tt_fail(error, TT_ERR_ARGUMENT, "there is no kind '%.64s' here; known are %s", name, names);
  return NULL;
}

/* ---- chains ---- */

static bool is_wrapping(const tt_kind *kind) { return kind->rank >= TT_RANK_KIND_FIRST && kind->rank <= TT_RANK_KIND_LAST; }

static void set_child(tt_node *node, tt_node *take_child) {
  tt_node *old = node->child;
  node->operand.meta = *tt_node_meta(take_child);
  node->child = take_child;
  tt_node_unref(old);
}

tt_node *tt_kind_node_new(const tt_kind *kind, tt_node *take_child, const tt_node *like, tt_error *error) {
  tt_meta meta = *tt_node_meta(take_child);
  tt_node *node = tt_node_new(kind, &meta, take_child, error);
  if (node == NULL || kind->init == NULL || kind->init(node, like, error) == TT_OK) return node;
  tt_node_unref(node);
  return NULL;
}

static tt_status check_free(const tt_node *head, const char *what, tt_error *error) {
  const char *busy = tt_head_busy(head);
  return busy == NULL ? TT_OK : tt_fail(error, TT_ERR_STATE, "%s: the tensor %s; await that first", what, busy);
}

tt_status tt_kind_wrap(const tt_kind *kind, tt_node *head, tt_error *error) {
  TT_TRY(check_free(head, "wrap", error));
  tt_node *above = head;
  while (above->child->kind->rank > kind->rank) above = above->child;
  if (above->child->kind->rank == kind->rank) {
    return tt_fail(error, TT_ERR_DUPLICATE, "wrap: this tensor's chain has a %s already", above->child->kind->name);
  }
  tt_node *node = tt_kind_node_new(kind, tt_node_ref(above->child), NULL, error);
  if (node == NULL) return error == NULL ? TT_ERR_MEMORY : error->status;
  set_child(above, node);
  return TT_OK;
}

tt_node *tt_kind_find_node(const tt_kind *kind, tt_node *head) {
  tt_node *node = head->child;
  while (node != NULL && (kind != NULL ? node->kind != kind : !is_wrapping(node->kind))) node = node->child;
  return node;
}

tt_status tt_kind_unwrap(const tt_kind *kind, tt_node *head, tt_error *error) {
  TT_TRY(check_free(head, "unwrap", error));
  tt_node *node = tt_kind_find_node(kind, head);
  if (node == NULL) {
    return tt_fail(error, TT_ERR_STATE, "unwrap: there is no %s in this tensor's chain", kind == NULL ? "kind" : kind->name);
  }
  tt_node *above = head;
  while (above->child != node) above = above->child;
  set_child(above, tt_node_ref(node->child));
  return TT_OK;
}

tt_node *tt_kind_lowest(tt_node *head) {
  tt_node *lowest = NULL;
  for (tt_node *node = head->child; is_wrapping(node->kind); node = node->child) lowest = node;
  return lowest;
}

tt_node *tt_kind_below(tt_node *node) {
  while (is_wrapping(node->kind)) node = node->child;
  return node;
}

void tt_kind_set_below(tt_node *head, tt_node *take_below) {
  tt_node *above = head;
  for (; is_wrapping(above->child->kind); above = above->child) above->operand.meta = *tt_node_meta(take_below);
  set_child(above, take_below);
}

tt_node *tt_kind_over(tt_node *node, tt_node *take_below, tt_error *error) {
  if (!is_wrapping(node->kind)) return take_below;
  tt_node *below = tt_kind_over(node->child, take_below, error);
  return below == NULL ? NULL : tt_kind_node_new(node->kind, below, node, error);
}

/* ---- chains by name ---- */

size_t tt_kind_names(tt_node *node, const char *names[TT_MAX_KINDS]) {
  size_t n_names = 0;
  for (; is_wrapping(node->kind) && n_names < TT_MAX_KINDS; node = node->child) names[n_names++] = node->kind->name;
  return n_names;
}

tt_status tt_kind_check_names(const char *const *names, size_t n_names, tt_error *error) {
  const tt_kind *above = NULL;
  for (size_t i = 0; i < n_names; i++) {
    const tt_kind *kind = tt_kind_find(names[i], error);
    if (kind == NULL) return TT_ERR_ARGUMENT;
    if (above != NULL && above->rank <= kind->rank)
      return tt_fail(error, TT_ERR_ARGUMENT, "a chain in which %s stands above %s", above->name, kind->name);
    above = kind;
  }
  return TT_OK;
}

tt_node *tt_kind_build(const char *const *names, size_t n_names, tt_node *take_below, tt_error *error) {
  if (tt_kind_check_names(names, n_names, error) != TT_OK) {
    tt_node_unref(take_below);
    return NULL;
  }
  tt_node *top = take_below;
  for (size_t i = n_names; i-- > 0 && top != NULL;) top = tt_kind_node_new(tt_kind_find(names[i], NULL), top, NULL, error);
  return top;
}

/* ---- calls ---- */

typedef struct own_nodes {
  const tt_kind *kind;
  tt_node *first;
} own_nodes;

static tt_status take_child(void *context, const tt_op *op, tt_node **slot, tt_error *error) {
  (void)op;
  (void)error;
  own_nodes *own = context;
  if ((*slot)->kind != own->kind) return TT_OK;
  if (own->first == NULL) own->first = *slot;
  *slot = (*slot)->child;
  return TT_OK;
}

tt_status tt_kind_begin(const tt_kind *kind, const tt_call *call, tt_kind_call *below, tt_error *error) {
  own_nodes own = {.kind = kind};
  tt_call_begin(&below->inner, call);
  below->target = NULL;
  tt_status status = tt_call_exchange(&below->inner, &below->lists, take_child, &own, error);
  below->like = own.first == NULL ? NULL : tt_node_ref(own.first);
  if (status != TT_OK || !(call->op->flags & TT_OP_INPLACE)) return status;
  /* The node is made beforehand: once the op has written, nothing may fail. */
  tt_node *target = (tt_node *)(void *)call->args[0].as.operand;
  below->target = target->kind == kind ? tt_node_ref(target) : tt_kind_node_new(kind, tt_node_ref(target), own.first, error);
  return below->target != NULL ? TT_OK : error == NULL ? TT_ERR_MEMORY : error->status;
}

static tt_status wrap_results(const tt_kind *kind, tt_call *call, const tt_kind_call *below, tt_error *error) {
  const tt_call *inner = &below->inner;
  for (size_t i = 0; i < inner->n_results; i++) {
    call->results[i] = tt_kind_node_new(kind, inner->results[i], below->like, error);
    if (call->results[i] != NULL) continue;
    for (size_t made = 0; made < i; made++) tt_node_unref(call->results[made]);
    for (size_t left = i + 1; left < inner->n_results; left++) tt_node_unref(inner->results[left]);
    return error == NULL ? TT_ERR_MEMORY : error->status;
  }
  call->n_results = inner->n_results;
  return TT_OK;
}

tt_status tt_kind_end(const tt_kind *kind, tt_call *call, tt_kind_call *below, tt_status status, tt_error *error) {
  tt_call_release_lists(&below->lists);
  if (status == TT_OK && below->target != NULL) {
    set_child(below->target, below->inner.results[0]);
    call->results[0] = tt_node_ref(below->target);
    call->n_results = 1;
  } else if (status == TT_OK) {
    status = wrap_results(kind, call, below, error);
  }
  tt_node_unref(below->target);
  tt_node_unref(below->like);
  return status;
}

tt_status tt_kind_pass_down(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error) {
  tt_kind_call below;
  tt_status status = tt_kind_begin(kind, call, &below, error);
  if (status == TT_OK) status = tt_hook_pass_down(hook, &below.inner, error);
  return tt_kind_end(kind, call, &below, status, error);
}
