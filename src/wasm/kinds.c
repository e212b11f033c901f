/* Kinds of tensors, for JavaScript, and kinds whose methods are JavaScript's: see wasm/exports.h. */
#include <string.h>

#include "base/alloc.h"
#include "chain/kind.h"
#include "chain/log.h"
#include "wasm/callback.h"
#include "wasm/door.h"
#include "wasm/exports.h"

/* Never freed, as no kind is. */
typedef struct js_kind {
  tt_kind kind; /* first */
  char name[TT_MAX_KIND_NAME_BYTES + 1];
  uint32_t function;
  uint8_t overrides[TT_N_OPS_PLUS_ONE]; /* by op number */
} js_kind;

/* ---- a call that a method answers ---- */

/* The operands one level below, as heads for JavaScript to hold. */
typedef struct head_list {
  tt_node **heads; /* references */
  size_t n;
} head_list;

static tt_status count_operand(void *context, tt_node *node, tt_error *error) {
  (void)node;
  (void)error;
  ++*(size_t *)context;
  return TT_OK;
}

static tt_status make_head(void *context, const tt_op *op, tt_node **slot, tt_error *error) {
  (void)op;
  head_list *list = context;
  tt_node *head = tt_head_new(tt_node_ref(*slot), error);
  if (head == NULL) return TT_ERR_MEMORY;
  list->heads[list->n++] = head;
  *slot = head;
  return TT_OK;
}

static tt_status check_n_results(const tt_op *op, size_t n_results, tt_error *error) {
  bool fits = n_results > 0;
  if (op->result_form == TT_RESULT_TENSOR) fits = n_results == 1;
  if (op->result_form == TT_RESULT_TUPLE) fits = n_results == 1 || n_results == op->n_result_names;
  if (fits) return TT_OK;
  return tt_fail(error, TT_ERR_ARGUMENT, "the method answered %zu tensors; %s answers %s", n_results, op->name, op->schema);
}

/* What a method answered has no kind yet that stands where this one will, or above it. */
static tt_status check_below(const tt_kind *kind, const tt_node *child, tt_error *error) {
  if (child->kind->rank < kind->rank) return TT_OK;
  return tt_fail(error, TT_ERR_STATE, "the method answered a %s, which cannot stand below a %s: unwrap it", child->kind->name,
                 kind->name);
}

/* Exchanges the heads that a method answered for what is below them. */
static tt_status take_answers(const tt_kind *kind, tt_call *inner, const head_list *asked, tt_node **heads, size_t n_heads,
                              tt_error *error) {
  if (inner->op->flags & TT_OP_INPLACE) {
    /* The tensor itself, whose head may have another child now. */
    TT_TRY(check_below(kind, asked->heads[0]->child, error));
    inner->results[0] = tt_node_ref(asked->heads[0]->child);
    inner->n_results = 1;
    return TT_OK;
  }
  TT_TRY(check_n_results(inner->op, n_heads, error));
  for (size_t i = 0; i < n_heads; i++) TT_TRY(check_below(kind, heads[i]->child, error));
  for (size_t i = 0; i < n_heads; i++) inner->results[i] = tt_node_ref(heads[i]->child);
  inner->n_results = n_heads;
  return TT_OK;
}

static tt_status call_method(const tt_hook *hook, const js_kind *kind, tt_call *inner, tt_error *error) {
  size_t n_operands = 0;
  TT_TRY(tt_call_visit(inner, count_operand, &n_operands, error));
  head_list asked = {.heads = tt_alloc(n_operands, sizeof *asked.heads)};
  if (asked.heads == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for %zu operands", n_operands);
  tt_call at_method = *inner;
  tt_call_lists lists;
  tt_node *answered[TT_MAX_RESULTS];
  size_t n_answered = 0;
  tt_status status = tt_call_exchange(&at_method, &lists, make_head, &asked, error);
  if (status == TT_OK) {
    status = tt_door_call_js(&(tt_callback){.function = kind->function,
                                            .hook = hook,
                                            .op = inner->op->number,
                                            .args = at_method.args,
                                            .n_args = inner->op->n_params},
                             answered, &n_answered, error);
  }
  if (status == TT_OK) status = take_answers(&kind->kind, inner, &asked, answered, n_answered, error);
  tt_call_release_lists(&lists);
  for (size_t i = 0; i < n_answered; i++) tt_node_unref(answered[i]);
  for (size_t i = 0; i < asked.n; i++) tt_node_unref(asked.heads[i]);
  tt_free(asked.heads);
  return status;
}

static tt_status handle_call(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error) {
  const js_kind *own = (const js_kind *)(const void *)kind;
  if (!own->overrides[call->op->number]) return tt_kind_pass_down(hook, kind, call, error);
  tt_kind_call below;
  tt_status status = tt_kind_begin(kind, call, &below, error);
  if (status == TT_OK) status = call_method(hook, own, &below.inner, error);
  /* Once is enough when a method has called itself. */
  if (status != TT_OK && strncmp(error->message, kind->name, strlen(kind->name)) != 0) tt_error_prefix(error, "%s", kind->name);
  return tt_kind_end(kind, call, &below, status, error);
}

/* ---- for JavaScript ---- */

int tt_wasm_kind_new(int rank, uint32_t function, uint32_t n_ops) {
  tt_error error = {.status = TT_OK};
  js_kind *made = tt_alloc(1, sizeof *made);
  if (made == NULL) {
    tt_fail(&error, TT_ERR_MEMORY, "no memory for a kind");
    return tt_scratch_fail(&error);
  }
  made->kind = (tt_kind){.name = made->name, .rank = rank, .handle_call = handle_call};
  made->function = function;
  /* One byte more than a name may have, so that a longer one is refused as it is. */
  strncpy(made->name, tt_scratch_input_string(0), sizeof made->name);
  if (made->name[TT_MAX_KIND_NAME_BYTES] != 0) {
    tt_fail(&error, TT_ERR_ARGUMENT, "a kind's name has at most %d letters", (int)TT_MAX_KIND_NAME_BYTES);
    goto failed;
  }
  for (uint32_t i = 0; i < n_ops && i < TT_MAX_LIST_ITEMS; i++) {
    if (tt_op_get((unsigned)tt_wasm_area.ints[i]) != NULL) made->overrides[tt_wasm_area.ints[i]] = 1;
  }
  if (tt_kind_register(&made->kind, &error) == TT_OK) return TT_OK;
failed:
  tt_free(made);
  return tt_scratch_fail(&error);
}

static int show_text(void) {
  if (tt_scratch_show_text() == TT_OK) return TT_OK;
  tt_error error;
  tt_fail(&error, TT_ERR_MEMORY, "no memory for the text");
  return tt_scratch_fail(&error);
}

int tt_wasm_kinds(void) {
  tt_buffer *text = tt_scratch_text();
  const tt_kind *kind;
  for (size_t i = 0; (kind = tt_kind_at(i)) != NULL; i++) tt_buffer_printf(text, "%d %s\n", kind->rank, kind->name);
  return show_text();
}

int tt_wasm_kind_wrap(tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_node *head = tt_door_head(tensor, &error);
  const tt_kind *kind = head == NULL ? NULL : tt_kind_find(tt_scratch_input_string(0), &error);
  if (kind == NULL || tt_kind_wrap(kind, head, &error) != TT_OK) return tt_scratch_fail(&error);
  return TT_OK;
}

int tt_wasm_kind_unwrap(tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_node *head = tt_door_head(tensor, &error);
  const char *name = tt_scratch_input_string(0);
  const tt_kind *kind = head == NULL || *name == 0 ? NULL : tt_kind_find(name, &error);
  if (head == NULL || (kind == NULL && *name != 0) || tt_kind_unwrap(kind, head, &error) != TT_OK)
    return tt_scratch_fail(&error);
  return TT_OK;
}

int tt_wasm_kind_child(tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_node *head = tt_door_head(tensor, &error);
  if (head == NULL) return tt_scratch_fail(&error);
  tt_node *node = tt_kind_find_node(NULL, head);
  tt_wasm_area.n_results = 0;
  if (node == NULL) return TT_OK;
  tt_node *below = tt_head_new(tt_node_ref(node->child), &error);
  if (tt_door_give(below, &tt_wasm_area.results[0], &error) != TT_OK) return tt_scratch_fail(&error);
  tt_wasm_area.n_results = 1;
  return TT_OK;
}

int tt_wasm_kind_log(tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_node *head = tt_door_head(tensor, &error);
  if (head == NULL) return tt_scratch_fail(&error);
  const tt_node *log = tt_kind_find_node(&tt_kind_log, head);
  if (log == NULL) {
    tt_fail(&error, TT_ERR_STATE, "there is no %s in this tensor's chain", tt_kind_log.name);
    return tt_scratch_fail(&error);
  }
  tt_buffer *text = tt_scratch_text();
  uint64_t n = tt_log_n_commands(log);
  for (uint64_t i = n > TT_LOG_MAX_COMMANDS ? n - TT_LOG_MAX_COMMANDS : 0; i < n; i++)
    tt_buffer_printf(text, "%s\n", tt_log_command(log, i));
  return show_text();
}
