/* Plans, for JavaScript: see wasm/exports.h. */
#include "wasm/door.h"
#include "wasm/exports.h"
#include "wasm/scratch.h"

static tt_plan *get_plan(tt_handle handle, tt_error *error) {
  tt_plan *plan = tt_handle_get(handle, TT_HANDLE_PLAN);
  if (plan == NULL) tt_fail(error, TT_ERR_STATE, "this plan has been disposed of");
  return plan;
}

/* Exchanges the first n operands of the scratch for heads. */
static tt_status take_heads(uint32_t n, tt_node ***heads, tt_error *error) {
  if (n > TT_MAX_LIST_ITEMS) return tt_fail(error, TT_ERR_ARGUMENT, "a plan takes at most %d tensors", (int)TT_MAX_LIST_ITEMS);
  for (uint32_t i = 0; i < n; i++) {
    tt_node *head = tt_door_head(tt_wasm_area.operands[i].handle, error);
    if (head == NULL) return TT_ERR_STATE;
    tt_wasm_area.operands[i].operand = &head->operand;
  }
  /* A head begins with its operand. */
  *heads = (tt_node **)(void *)&tt_wasm_area.operands[0].operand;
  return TT_OK;
}

int tt_wasm_plan_new(tt_handle worker) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  tt_plan *plan = door == NULL ? NULL : tt_plan_begin(door->worker, &error);
  if (plan == NULL) return tt_scratch_fail(&error);
  tt_wasm_area.results[0] = tt_handle_new(TT_HANDLE_PLAN, plan);
  if (tt_wasm_area.results[0] != 0) return TT_OK;
  tt_plan_free(plan);
  tt_fail(&error, TT_ERR_FULL, "too many handles are held by JavaScript");
  return tt_scratch_fail(&error);
}

int tt_wasm_plan_inputs(tt_handle handle, uint32_t n_args, uint32_t n_lent) {
  tt_error error = {.status = TT_OK};
  tt_plan *plan = get_plan(handle, &error);
  tt_node **heads;
  if (plan == NULL) return tt_scratch_fail(&error);
  if (n_args > TT_MAX_RESULTS) {
    tt_fail(&error, TT_ERR_ARGUMENT, "plan: its function takes %u tensors; at most %d are possible", (unsigned)n_args,
            (int)TT_MAX_RESULTS);
    return tt_scratch_fail(&error);
  }
  if (take_heads(n_args + n_lent, &heads, &error) != TT_OK) return tt_scratch_fail(&error);
  tt_node *placeholders[TT_MAX_RESULTS];
  for (uint32_t i = 0; i < n_args; i++) {
    placeholders[i] = tt_plan_add_input(plan, heads[i], &error);
    if (placeholders[i] != NULL) continue;
    while (i > 0) tt_node_unref(placeholders[--i]);
    return tt_scratch_fail(&error);
  }
  for (uint32_t i = 0; i < n_lent; i++) {
    if (tt_plan_lend(plan, heads[n_args + i], &error) == TT_OK) continue;
    for (uint32_t k = 0; k < n_args; k++) tt_node_unref(placeholders[k]);
    return tt_scratch_fail(&error);
  }
  return tt_door_give_all(placeholders, n_args, &error) == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

int tt_wasm_plan_end(tt_handle handle, uint32_t n_outputs) {
  tt_error error = {.status = TT_OK};
  tt_plan *plan = get_plan(handle, &error);
  tt_node **heads;
  if (plan == NULL || take_heads(n_outputs, &heads, &error) != TT_OK || tt_plan_end(plan, heads, n_outputs, &error) != TT_OK)
    return tt_scratch_fail(&error);
  return TT_OK;
}

int tt_wasm_plan_perform(tt_handle handle, uint32_t n_inputs) {
  tt_error error = {.status = TT_OK};
  tt_plan *plan = get_plan(handle, &error);
  tt_node **heads, *results[TT_MAX_RESULTS];
  size_t n_results;
  if (plan == NULL || take_heads(n_inputs, &heads, &error) != TT_OK ||
      tt_plan_perform(plan, heads, n_inputs, results, &n_results, &error) != TT_OK)
    return tt_scratch_fail(&error);
  return tt_door_give_all(results, n_results, &error) == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

void tt_wasm_plan_free(tt_handle plan) { tt_plan_free(tt_handle_end(plan, TT_HANDLE_PLAN)); }
