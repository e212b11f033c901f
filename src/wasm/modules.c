/* Modules and optimisers, for JavaScript: see wasm/exports.h. */
#include <string.h>

#include "chain/pointer.h"
#include "nn/clip.h"
#include "nn/init.h"
#include "nn/module.h"
#include "nn/optimizer.h"
#include "nn/schedule.h"
#include "wasm/door.h"
#include "wasm/exports.h"

/* ---- where their tensors are ---- */

static tt_status make(void *host, tt_op_number op, const tt_value *args, size_t n_args, tt_node **head, tt_error *error) {
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results;
  tt_door *door = host;
  if (door->own != NULL) {
    TT_TRY(tt_door_call_at_own(door, tt_op_get(op), args, n_args, results, &n_results, error));
  } else {
    TT_TRY(tt_hook_call(tt_worker_hook(door->worker), op, args, n_args, NULL, 0, results, &n_results, error));
  }
  *head = results[0];
  return TT_OK;
}

static tt_status bring(void *host, tt_node *head, tt_node *beside, tt_error *error) {
  tt_door *door = host;
  tt_node *from = tt_node_tail(head), *to = tt_node_tail(beside);
  tt_peer *peer = tt_node_is_pointer(to) ? tt_peer_of_location(tt_pointer_location(to)) : NULL;
  if (peer == NULL || peer == door->own)
    return tt_fail(error, TT_ERR_STATE,
                   "the state of a parameter is at %s and the parameter has come back: await optimizer.ready() before the step",
                   tt_pointer_location(from)->id);
  bool is_here = !tt_node_is_pointer(from) || tt_peer_of_location(tt_pointer_location(from)) == door->own;
  /* If it does not arrive, the step that uses it there fails and says why: nobody has to wait for the answer. */
  if (is_here) return tt_worker_send(door->worker, head, peer, 0, NULL, NULL, NULL, NULL, error);
  return tt_worker_move(door->worker, head, peer, 0, NULL, NULL, NULL, error);
}

static const tt_place_ops place_ops = {.make = make, .bring = bring};

static tt_place place_of(tt_door *door) {
  return (tt_place){.hook = tt_worker_hook(door->worker), .ops = &place_ops, .host = door};
}

/* ---- handles ---- */

static tt_module *get_module(tt_handle handle, tt_error *error) {
  tt_module *module = tt_handle_get(handle, TT_HANDLE_MODULE);
  if (module == NULL) tt_fail(error, TT_ERR_STATE, "this module has been disposed of");
  return module;
}

static tt_optimizer *get_optimizer(tt_handle handle, tt_error *error) {
  tt_optimizer *optimizer = tt_handle_get(handle, TT_HANDLE_OPTIMIZER);
  if (optimizer == NULL) tt_fail(error, TT_ERR_STATE, "this optimizer has been disposed of");
  return optimizer;
}

static tt_status too_many(tt_error *error) { return tt_fail(error, TT_ERR_FULL, "too many handles are held by JavaScript"); }

static int show_module(tt_module *take_module, tt_error *error) {
  if (take_module == NULL) return tt_scratch_fail(error);
  tt_wasm_area.results[0] = tt_handle_new(TT_HANDLE_MODULE, take_module);
  if (tt_wasm_area.results[0] != 0) return TT_OK;
  tt_module_unref(take_module);
  too_many(error);
  return tt_scratch_fail(error);
}

/* One head, borrowed, as results[0]; NULL: none. */
static int show_head(tt_node *head, tt_error *error) {
  tt_wasm_area.n_results = 0;
  if (head == NULL) return TT_OK;
  tt_wasm_area.n_results = 1;
  return tt_door_give(tt_node_ref(head), &tt_wasm_area.results[0], error) == TT_OK ? TT_OK : tt_scratch_fail(error);
}

/* ---- modules ---- */

int tt_wasm_module_new(tt_handle worker, uint32_t row_number, uint32_t n_args) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  const tt_module_row *row = tt_module_row_at(row_number);
  if (door == NULL || tt_door_resolve(n_args, &error) != TT_OK) return tt_scratch_fail(&error);
  if (row == NULL) {
    tt_fail(&error, TT_ERR_ARGUMENT, "there is no module number %u", (unsigned)row_number);
    return tt_scratch_fail(&error);
  }
  tt_place place = place_of(door);
  return show_module(tt_module_new(&place, row, tt_wasm_area.args, n_args, &error), &error);
}

int tt_wasm_module_copy(tt_handle worker, tt_handle handle) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  const tt_module *module = door == NULL ? NULL : get_module(handle, &error);
  if (module == NULL) return tt_scratch_fail(&error);
  tt_place place = place_of(door);
  return show_module(tt_module_copy(&place, module, &error), &error);
}

void tt_wasm_module_free(tt_handle module) { tt_module_unref(tt_handle_end(module, TT_HANDLE_MODULE)); }

int tt_wasm_module_tensor(tt_handle handle, uint32_t i) {
  tt_error error = {.status = TT_OK};
  const tt_module *module = get_module(handle, &error);
  if (module == NULL) return tt_scratch_fail(&error);
  size_t n_tensors = tt_module_n_tensors(module);
  tt_wasm_area.numbers[0] = (double)n_tensors;
  tt_wasm_area.n_results = 0;
  if (i >= n_tensors) return TT_OK;
  tt_module_tensor tensor = tt_module_tensor_at(module, i);
  tt_scratch_show_string(tensor.name);
  tt_wasm_area.flags = tensor.is_parameter ? 1 : 0;
  return show_head(tensor.head, &error);
}

int tt_wasm_module_set_tensor(tt_handle handle, uint32_t i, tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_module *module = get_module(handle, &error);
  tt_node *head = module == NULL || tensor == 0 ? NULL : tt_door_head(tensor, &error);
  if (module == NULL || (tensor != 0 && head == NULL) || tt_module_set_tensor(module, i, head, &error) != TT_OK)
    return tt_scratch_fail(&error);
  return TT_OK;
}

void tt_wasm_module_train(tt_handle handle, int is_training) {
  tt_module *module = get_module(handle, NULL);
  if (module != NULL) tt_module_train(module, is_training != 0);
}

int tt_wasm_module_forward(tt_handle worker, tt_handle handle, uint32_t n_args) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_module *module = door == NULL ? NULL : get_module(handle, &error);
  if (module == NULL || tt_door_resolve(n_args, &error) != TT_OK) return tt_scratch_fail(&error);
  tt_node *inputs[TT_MAX_PARAMS], *outputs[TT_MAX_MODULE_OUTPUTS];
  size_t n_inputs = 0, n_outputs = 0;
  for (uint32_t i = 0; i < n_args; i++) {
    if (tt_wasm_area.args[i].type == TT_VALUE_OPERAND) inputs[n_inputs++] = (tt_node *)(void *)tt_wasm_area.args[i].as.operand;
  }
  tt_place place = place_of(door);
  tt_module_ref(module); /* ops may run JavaScript, which may dispose of it */
  bool was_recording = tt_door_begin_calls(door);
  tt_status status = tt_module_forward(&place, module, inputs, n_inputs, outputs, &n_outputs, &error);
  tt_door_end_calls(door, was_recording);
  tt_module_unref(module);
  if (status != TT_OK || tt_door_give_all(outputs, n_outputs, &error) != TT_OK) return tt_scratch_fail(&error);
  return TT_OK;
}

int tt_wasm_tensor_assign(tt_handle tensor, tt_handle source) {
  tt_error error = {.status = TT_OK};
  tt_node *head = tt_door_head(tensor, &error);
  tt_node *from = head == NULL ? NULL : tt_door_head(source, &error);
  if (from == NULL) return tt_scratch_fail(&error);
  const char *busy = tt_head_busy(head) != NULL ? tt_head_busy(head) : tt_head_busy(from);
  if (busy != NULL) {
    tt_fail(&error, TT_ERR_STATE, "a tensor that is to be exchanged %s; await that first", busy);
    return tt_scratch_fail(&error);
  }
  tt_head_set_child(head, tt_node_ref(from->child));
  return TT_OK;
}

/* ---- optimisers ---- */

/* The first n of the scratch's operands. */
static tt_status resolve_list(uint32_t n, tt_node *heads[TT_MAX_LIST_ITEMS], tt_error *error) {
  if (n > TT_MAX_LIST_ITEMS)
    return tt_fail(error, TT_ERR_ARGUMENT, "a list holds at most %d tensors, not %u", (int)TT_MAX_LIST_ITEMS, (unsigned)n);
  for (uint32_t i = 0; i < n; i++) {
    heads[i] = tt_door_head(tt_wasm_area.operands[i].handle, error);
    if (heads[i] == NULL) return TT_ERR_STATE;
  }
  return TT_OK;
}

int tt_wasm_optimizer_new(uint32_t row_number) {
  tt_error error = {.status = TT_OK};
  const tt_optimizer_row *row = tt_optimizer_row_at(row_number);
  if (row == NULL) {
    tt_fail(&error, TT_ERR_ARGUMENT, "there is no optimiser number %u", (unsigned)row_number);
    return tt_scratch_fail(&error);
  }
  tt_optimizer *made = tt_optimizer_new(row, &error);
  if (made == NULL) return tt_scratch_fail(&error);
  tt_wasm_area.results[0] = tt_handle_new(TT_HANDLE_OPTIMIZER, made);
  if (tt_wasm_area.results[0] != 0) return TT_OK;
  tt_optimizer_free(made);
  too_many(&error);
  return tt_scratch_fail(&error);
}

void tt_wasm_optimizer_free(tt_handle optimizer) { tt_optimizer_free(tt_handle_end(optimizer, TT_HANDLE_OPTIMIZER)); }

int tt_wasm_optimizer_add_group(tt_handle handle, uint32_t n_operands, uint32_t n_args) {
  tt_error error = {.status = TT_OK};
  tt_optimizer *optimizer = get_optimizer(handle, &error);
  if (optimizer == NULL) return tt_scratch_fail(&error);
  tt_node *parameters[TT_MAX_LIST_ITEMS];
  if (resolve_list(n_operands, parameters, &error) != TT_OK) return tt_scratch_fail(&error);
  if (tt_optimizer_add_group(optimizer, parameters, n_operands, tt_wasm_area.args, n_args, &error) != TT_OK)
    return tt_scratch_fail(&error);
  return TT_OK;
}

int tt_wasm_optimizer_set_options(tt_handle handle, uint32_t group, uint32_t n_args) {
  tt_error error = {.status = TT_OK};
  tt_optimizer *optimizer = get_optimizer(handle, &error);
  if (optimizer == NULL || tt_optimizer_set_options(optimizer, group, tt_wasm_area.args, n_args, &error) != TT_OK)
    return tt_scratch_fail(&error);
  return TT_OK;
}

int tt_wasm_optimizer_step(tt_handle worker, tt_handle handle) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_optimizer *optimizer = door == NULL ? NULL : get_optimizer(handle, &error);
  if (optimizer == NULL) return tt_scratch_fail(&error);
  tt_place place = place_of(door);
  return tt_optimizer_step(&place, optimizer, &error) == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

int tt_wasm_optimizer_zero_grad(tt_handle worker, tt_handle handle, int set_to_none) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_optimizer *optimizer = door == NULL ? NULL : get_optimizer(handle, &error);
  if (optimizer == NULL) return tt_scratch_fail(&error);
  tt_place place = place_of(door);
  return tt_optimizer_zero_grad(&place, optimizer, set_to_none != 0, &error) == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

int tt_wasm_optimizer_bring(tt_handle worker, tt_handle handle) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_optimizer *optimizer = door == NULL ? NULL : get_optimizer(handle, &error);
  if (optimizer == NULL) return tt_scratch_fail(&error);
  tt_place place = place_of(door);
  return tt_optimizer_bring(&place, optimizer, &error) == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

static bool has_item(const tt_optimizer *optimizer, uint32_t group, uint32_t i, tt_error *error) {
  if (group < tt_optimizer_n_groups(optimizer) && i < tt_optimizer_n_parameters(optimizer, group)) return true;
  tt_fail(error, TT_ERR_INDEX, "there is no parameter %u in group %u", (unsigned)i, (unsigned)group);
  return false;
}

int tt_wasm_optimizer_state(tt_handle handle, uint32_t group, uint32_t i, uint32_t k) {
  tt_error error = {.status = TT_OK};
  const tt_optimizer *optimizer = get_optimizer(handle, &error);
  if (optimizer == NULL || !has_item(optimizer, group, i, &error)) return tt_scratch_fail(&error);
  tt_node *head = NULL;
  const char *name = tt_optimizer_state(optimizer, group, i, k, &head);
  tt_scratch_show_string(name == NULL ? "" : name);
  return show_head(head, &error);
}

int tt_wasm_optimizer_set_state(tt_handle worker, tt_handle handle, uint32_t group, uint32_t i, tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_optimizer *optimizer = door == NULL ? NULL : get_optimizer(handle, &error);
  tt_node *head = optimizer == NULL || !has_item(optimizer, group, i, &error) ? NULL : tt_door_head(tensor, &error);
  if (head == NULL) return tt_scratch_fail(&error);
  tt_place place = place_of(door);
  if (tt_optimizer_set_state(&place, optimizer, group, i, tt_scratch_input_string(0), head, &error) != TT_OK)
    return tt_scratch_fail(&error);
  return TT_OK;
}

/* ---- torch.nn.init, schedules, clipping ---- */

int tt_wasm_init(tt_handle worker, uint32_t row_number, uint32_t n_args) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  const tt_init_row *row = tt_init_row_at(row_number);
  if (row == NULL) tt_fail(&error, TT_ERR_ARGUMENT, "torch.nn.init has no function number %u here", (unsigned)row_number);
  if (door == NULL || row == NULL || tt_door_resolve(n_args, &error) != TT_OK) return tt_scratch_fail(&error);
  tt_place place = place_of(door);
  return tt_init_fill(&place, row, tt_wasm_area.args, n_args, &error) == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

int tt_wasm_schedule_rate(uint32_t row_number, uint32_t n_args, double base, double n_steps) {
  tt_error error = {.status = TT_OK};
  const tt_schedule_row *row = tt_schedule_row_at(row_number);
  if (row == NULL) tt_fail(&error, TT_ERR_ARGUMENT, "there is no schedule number %u", (unsigned)row_number);
  if (row == NULL ||
      tt_schedule_rate(row, tt_wasm_area.args, n_args, base, (int64_t)n_steps, &tt_wasm_area.numbers[0], &error) != TT_OK)
    return tt_scratch_fail(&error);
  return TT_OK;
}

int tt_wasm_gain(double param) {
  tt_error error = {.status = TT_OK};
  const char *name = tt_scratch_input_string(0);
  return tt_init_gain(name, strlen(name), param, &tt_wasm_area.numbers[0], &error) == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

int tt_wasm_clip_norm(tt_handle worker, uint32_t n_operands, double max_norm, double norm_type) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_node *gradients[TT_MAX_LIST_ITEMS], *total;
  if (door == NULL || resolve_list(n_operands, gradients, &error) != TT_OK) return tt_scratch_fail(&error);
  tt_place place = place_of(door);
  if (tt_clip_norm(&place, gradients, n_operands, max_norm, norm_type, &total, &error) != TT_OK) return tt_scratch_fail(&error);
  tt_wasm_area.n_results = 1;
  return tt_door_give(total, &tt_wasm_area.results[0], &error) == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

int tt_wasm_clip_value(tt_handle worker, uint32_t n_operands, double most) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_node *gradients[TT_MAX_LIST_ITEMS];
  if (door == NULL || resolve_list(n_operands, gradients, &error) != TT_OK) return tt_scratch_fail(&error);
  tt_place place = place_of(door);
  return tt_clip_value(&place, gradients, n_operands, most, &error) == TT_OK ? TT_OK : tt_scratch_fail(&error);
}
