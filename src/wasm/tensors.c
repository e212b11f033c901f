/* Tensors, for JavaScript: see wasm/exports.h. */
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "chain/hook.h"
#include "chain/multi_pointer.h"
#include "chain/pointer.h"
#include "chain/variable.h"
#include "kernels/parallel.h"
#include "wasm/callback.h"
#include "wasm/door.h"
#include "wasm/exports.h"
#include "wasm/host.h"

/* Elements that JavaScript is reading or writing. */
static tt_tensor *being_read;

static const char GONE[] = "this tensor has been disposed of: its handle stands for nothing any more";

tt_node *tt_door_head(tt_handle tensor, tt_error *error) {
  tt_node *head = tt_handle_get(tensor, TT_HANDLE_HEAD);
  if (head == NULL) tt_fail(error, TT_ERR_STATE, "%s", GONE);
  return head;
}

tt_status tt_door_give(tt_node *take_head, tt_handle *handle, tt_error *error) {
  if (take_head == NULL) return error->status;
  *handle = tt_handle_new(TT_HANDLE_HEAD, take_head);
  if (*handle != 0) return TT_OK;
  tt_node_unref(take_head);
  return tt_fail(error, TT_ERR_FULL,
                 "%d tensors are held by JavaScript, which is the limit (or there is no memory): dispose of some, or use tidy",
                 (int)tt_handle_count(TT_HANDLE_HEAD));
}

tt_status tt_door_resolve(uint32_t n_args, tt_error *error) {
  for (uint32_t i = 0; i < n_args; i++) {
    tt_value *value = &tt_wasm_area.args[i];
    if (value->type == TT_VALUE_OPERAND) {
      tt_node *head = tt_door_head((tt_handle)(uintptr_t)value->as.operand, error);
      if (head == NULL) return TT_ERR_STATE;
      value->as.operand = &head->operand;
    } else if (value->type == TT_VALUE_OPERANDS) {
      size_t first = (size_t)(value->as.operands - &tt_wasm_area.operands[0].operand);
      if (first > TT_MAX_LIST_ITEMS || value->n > TT_MAX_LIST_ITEMS - first) {
        return tt_fail(error, TT_ERR_ARGUMENT, "the lists of a call hold at most %d tensors", (int)TT_MAX_LIST_ITEMS);
      }
      for (size_t k = first; k < first + value->n; k++) {
        tt_node *head = tt_door_head(tt_wasm_area.operands[k].handle, error);
        if (head == NULL) return TT_ERR_STATE;
        tt_wasm_area.operands[k].operand = &head->operand;
      }
    }
  }
  return TT_OK;
}

tt_status tt_door_call_at_own(tt_door *door, const tt_op *op, const tt_value *args, size_t n_args, tt_node **results,
                              size_t *n_results, tt_error *error) {
  tt_value bound[TT_MAX_PARAMS];
  int64_t numbers[TT_MAX_PARAMS];
  TT_TRY(tt_op_bind(op, args, n_args, bound, numbers, error));
  tt_node *pointers[TT_MAX_RESULTS];
  size_t n_pointers = 0;
  /* A peer begins with its location (worker/worker.h). */
  TT_TRY(tt_pointer_call(tt_worker_hook(door->worker), (tt_location *)(void *)door->own, op, bound, NULL, 0, pointers,
                         &n_pointers, error));
  size_t n_made = 0;
  for (; n_made < n_pointers; n_made++) {
    results[n_made] = tt_head_new(pointers[n_made], error);
    if (results[n_made] == NULL) break;
  }
  if (n_made == n_pointers) {
    *n_results = n_made;
    return TT_OK;
  }
  for (size_t i = n_made + 1; i < n_pointers; i++) tt_node_unref(pointers[i]);
  for (size_t i = 0; i < n_made; i++) tt_node_unref(results[i]);
  return TT_ERR_MEMORY;
}

tt_status tt_door_give_all(tt_node **take_heads, size_t n, tt_error *error) {
  tt_wasm_area.n_results = 0;
  for (size_t i = 0; i < n; i++) {
    const tt_status status = tt_door_give(take_heads[i], &tt_wasm_area.results[i], error);
    if (status == TT_OK) continue;
    for (size_t k = 0; k < i; k++) tt_wasm_tensor_dispose(tt_wasm_area.results[k]);
    for (size_t k = i + 1; k < n; k++) tt_node_unref(take_heads[k]);
    return status;
  }
  tt_wasm_area.n_results = (uint32_t)n;
  return TT_OK;
}

static bool is_recording = true;

int tt_wasm_set_threads(int n_threads) {
  tt_error error;
  return tt_parallel_set_threads(n_threads, &error) == TT_OK ? 0 : tt_scratch_fail(&error);
}

int tt_wasm_get_threads(void) { return tt_parallel_get_threads(); }

int tt_wasm_count_helpers(void) { return tt_parallel_count_helpers(); }

void tt_wasm_set_recording(int value) { is_recording = value != 0; }

bool tt_door_begin_calls(tt_door *door) {
  tt_hook *hook = tt_worker_hook(door->worker);
  bool was_recording = hook->is_recording;
  hook->is_recording = was_recording && is_recording;
  return was_recording;
}

void tt_door_end_calls(tt_door *door, bool was_recording) {
  tt_worker_hook(door->worker)->is_recording = was_recording;
  tt_worker_flush_full(door->worker);
}

int tt_wasm_call(tt_handle worker, uint32_t op_number, uint32_t n_args) {
  tt_error error; /* not cleared: every op comes through here */
  tt_door *door = tt_door_get(worker, &error);
  const tt_op *op = tt_op_get(op_number);
  if (door == NULL) return tt_scratch_fail(&error);
  if (op == NULL || n_args > TT_MAX_PARAMS) {
    tt_fail(&error, TT_ERR_UNKNOWN_OP, "there is no op number %u with %u arguments", (unsigned)op_number, (unsigned)n_args);
    return tt_scratch_fail(&error);
  }
  if (tt_door_resolve(n_args, &error) != TT_OK) return tt_scratch_fail(&error);
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results = 0;
  tt_hook *hook = tt_worker_hook(door->worker);
  bool was_recording = tt_door_begin_calls(door);
  tt_status status;
  if ((op->flags & TT_OP_FACTORY) != 0 && door->own != NULL) {
    status = tt_door_call_at_own(door, op, tt_wasm_area.args, n_args, results, &n_results, &error);
  } else {
    status = tt_hook_call(hook, (tt_op_number)op_number, tt_wasm_area.args, n_args, NULL, 0, results, &n_results, &error);
  }
  tt_door_end_calls(door, was_recording);
  if (status != TT_OK) return tt_scratch_fail(&error);
  tt_wasm_area.n_results = 0;
  if ((op->flags & TT_OP_INPLACE) != 0) {
    for (size_t i = 0; i < n_results; i++) tt_node_unref(results[i]);
    return TT_OK;
  }
  return tt_door_give_all(results, n_results, &error) == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

/* Parks a tensor's elements in the scratch's data; takes over the reference. */
static void show_elements(tt_tensor *take_tensor) {
  tt_tensor_unref(being_read);
  being_read = take_tensor;
  tt_wasm_area.data = tt_tensor_data(take_tensor);
  tt_wasm_area.data_bytes =
      (uint32_t)((uint64_t)tt_tensor_n_elements(take_tensor) * tt_dtype_bytes(tt_tensor_dtype(take_tensor)));
}

int tt_wasm_tensor_new(void) {
  tt_error error = {.status = TT_OK};
  tt_shape shape;
  size_t n_dims = tt_wasm_area.n_dims < 0 ? 0 : (size_t)tt_wasm_area.n_dims;
  if (tt_shape_make(tt_wasm_area.dims, n_dims, &shape, &error) != TT_OK) return tt_scratch_fail(&error);
  tt_tensor *tensor = tt_tensor_new((tt_dtype)tt_wasm_area.dtype, &shape, &error);
  if (tensor == NULL) return tt_scratch_fail(&error);
  tt_tensor_ref(tensor); /* for being_read: JavaScript writes the elements right after this */
  tt_node *local = tt_local_new(tensor, &error);
  tt_node *head = local == NULL ? NULL : tt_head_new(local, &error);
  if (tt_door_give(head, &tt_wasm_area.results[0], &error) != TT_OK) {
    tt_tensor_unref(tensor);
    return tt_scratch_fail(&error);
  }
  show_elements(tensor);
  tt_wasm_area.n_results = 1;
  return TT_OK;
}

tt_tensor *tt_door_local(tt_handle tensor, tt_error *error) {
  tt_node *head = tt_door_head(tensor, error);
  if (head == NULL) return NULL;
  tt_node *tail = tt_node_tail(head);
  tt_tensor *local = tt_local_tensor(tail);
  if (local != NULL) return local;
  tt_fail(error, TT_ERR_STATE, "this tensor's data is at %s", tt_pointer_location(tail)->id);
  return NULL;
}

int tt_wasm_tensor_read(tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_tensor *local = tt_door_local(tensor, &error);
  if (local == NULL) return tt_scratch_fail(&error);
  tt_tensor *contiguous = tt_tensor_contiguous(local, &error);
  if (contiguous == NULL) return tt_scratch_fail(&error);
  show_elements(contiguous);
  tt_scratch_show_meta(&contiguous->operand.meta);
  return TT_OK;
}

void tt_wasm_tensor_read_end(void) {
  tt_tensor_unref(being_read);
  being_read = NULL;
}

int tt_wasm_tensor_meta(tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_node *head = tt_door_head(tensor, &error);
  if (head == NULL) return tt_scratch_fail(&error);
  tt_scratch_show_meta(tt_node_meta(head));
  tt_node *tail = tt_node_tail(head);
  tt_wasm_area.flags = tt_head_busy(head) != NULL ? TT_META_BUSY : 0;
  tt_gradient_view gradient = tt_node_gradient(head);
  if (gradient.requires_grad) tt_wasm_area.flags |= TT_META_REQUIRES_GRAD;
  if (!gradient.is_leaf) tt_wasm_area.flags |= TT_META_NO_LEAF;
  if (gradient.grad != NULL) {
    tt_wasm_area.flags |= TT_META_HAS_GRAD;
    tt_wasm_area.numbers[0] = (double)(uintptr_t)gradient.grad->child; /* the same as long as it is the same tensor */
  }
  tt_wasm_area.id = 0;
  tt_wasm_area.text_bytes = 0;
  if (tt_node_is_pointer(tail)) {
    tt_wasm_area.flags |= TT_META_POINTER | (tt_pointer_owns(tail) ? TT_META_OWNS : 0);
    tt_wasm_area.id = tt_pointer_id(tail);
    tt_wasm_area.id_there = tt_pointer_id_there(tail);
    tt_scratch_show_string(tt_pointer_location(tail)->id);
  }
  if (tt_node_is_multi_pointer(tail)) tt_wasm_area.flags |= TT_META_MULTI;
  return TT_OK;
}

int tt_wasm_tensor_copies(tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_node *head = tt_door_head(tensor, &error);
  if (head == NULL) return tt_scratch_fail(&error);
  const tt_node *tail = tt_node_tail(head);
  size_t n_copies = tt_node_is_multi_pointer(tail) ? tt_multi_pointer_n_copies(tail) : 0;
  for (size_t i = 0; i < n_copies; i++) {
    tt_status status = tt_door_give(tt_node_ref(tt_multi_pointer_copy(tail, i)), &tt_wasm_area.results[i], &error);
    if (status == TT_OK) continue;
    for (size_t k = 0; k < i; k++) tt_wasm_tensor_dispose(tt_wasm_area.results[k]);
    return tt_scratch_fail(&error);
  }
  tt_wasm_area.n_results = (uint32_t)n_copies;
  return TT_OK;
}

_Static_assert((int)TT_MAX_COPIES <= (int)TT_MAX_RESULTS, "all copies of a multi-pointer fit in the scratch's results");

static int show_text(tt_error *error) {
  if (tt_scratch_show_text() == TT_OK) return TT_OK;
  tt_fail(error, TT_ERR_MEMORY, "no memory for the text");
  return tt_scratch_fail(error);
}

int tt_wasm_tensor_print(tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  if (tt_door_local(tensor, &error) == NULL) return tt_scratch_fail(&error);
  tt_node_print(tt_door_head(tensor, NULL), tt_scratch_text());
  return show_text(&error);
}

int tt_wasm_tensor_grad_fn(tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_node *head = tt_door_head(tensor, &error);
  if (head == NULL) return tt_scratch_fail(&error);
  tt_buffer_printf(tt_scratch_text(), "%s", tt_node_gradient(head).grad_fn);
  return show_text(&error);
}

/* ---- hooks on gradients ---- */

typedef struct js_hook {
  const tt_hook *hook;
  uint32_t function;
} js_hook;

static tt_status call_js_hook(void *context, tt_node *gradient, tt_node **replacement, tt_error *error) {
  const js_hook *own = context;
  const tt_value args[] = {tt_operand_value(&gradient->operand)};
  tt_node *answers[TT_MAX_RESULTS];
  size_t n_answers;
  TT_TRY(tt_door_call_js(&(tt_callback){.function = own->function, .hook = own->hook, .args = args, .n_args = 1}, answers,
                         &n_answers, error));
  if (n_answers > 0) *replacement = answers[0];
  for (size_t i = 1; i < n_answers; i++) tt_node_unref(answers[i]);
  return n_answers <= 1 ? TT_OK
                        : tt_fail(error, TT_ERR_ARGUMENT, "a hook on a gradient answered %zu tensors, not one", n_answers);
}

static void release_js_hook(void *context) {
  tt_host_callback_gone(((js_hook *)context)->function);
  tt_free(context);
}

int tt_wasm_register_hook(tt_handle worker, tt_handle tensor, uint32_t function) {
  tt_error error = {.status = TT_OK};
  const tt_door *door = tt_door_get(worker, &error);
  tt_node *head = door == NULL ? NULL : tt_door_head(tensor, &error);
  if (head == NULL) return tt_scratch_fail(&error);
  if (tt_node_is_pointer(tt_node_tail(head))) {
    tt_fail(
        &error, TT_ERR_STATE,
        "register_hook: this tensor's data is at %s, and a function cannot be sent there; the worker that has it may hook it",
        tt_pointer_location(tt_node_tail(head))->id);
    return tt_scratch_fail(&error);
  }
  js_hook *made = tt_alloc(1, sizeof *made);
  if (made == NULL) {
    tt_fail(&error, TT_ERR_MEMORY, "no memory for a hook on a gradient");
    return tt_scratch_fail(&error);
  }
  *made = (js_hook){.hook = tt_worker_hook(door->worker), .function = function};
  tt_wasm_area.id = tt_variable_register_hook(head, call_js_hook, release_js_hook, made, &error);
  return tt_wasm_area.id != 0 ? TT_OK : tt_scratch_fail(&error);
}

int tt_wasm_remove_hook(tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_node *head = tt_door_head(tensor, &error);
  if (head == NULL) return tt_scratch_fail(&error);
  tt_variable_remove_hook(head, tt_wasm_area.id);
  return TT_OK;
}

int tt_wasm_tensor_chain(tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_node *head = tt_door_head(tensor, &error);
  if (head == NULL) return tt_scratch_fail(&error);
  tt_chain_print(head, tt_scratch_text());
  return show_text(&error);
}

void tt_wasm_tensor_dispose(tt_handle tensor) { tt_node_unref(tt_handle_end(tensor, TT_HANDLE_HEAD)); }

uint32_t tt_wasm_n_tensors(void) { return (uint32_t)tt_handle_count(TT_HANDLE_HEAD); }
