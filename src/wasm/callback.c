#include "wasm/callback.h"

#include <string.h>

#include "wasm/door.h"
#include "wasm/exports.h"
#include "wasm/host.h"
#include "wasm/scratch.h"

/* A function that is running, on the stack of tt_door_call_js. */
typedef struct running {
  struct running *outer;
  int depth;
  tt_error error;
  size_t n_results;
  tt_node *results[TT_MAX_RESULTS]; /* references */
} running;

static running *innermost;

/* ---- arguments ---- */

static tt_status write_operand(tt_operand *operand, tt_error *error) {
  if (tt_wasm_area.n_operands == TT_MAX_LIST_ITEMS)
    return tt_fail(error, TT_ERR_FULL, "a call from the core to JavaScript takes at most %d tensors", (int)TT_MAX_LIST_ITEMS);
  tt_handle *handle = &tt_wasm_area.operands[tt_wasm_area.n_operands].handle;
  TT_TRY(tt_door_give(tt_node_ref((tt_node *)(void *)operand), handle, error));
  tt_wasm_area.n_operands++;
  return TT_OK;
}

/* A value for JavaScript, and what it points to. Where that is in the scratch, it is what has been set aside. */
static tt_status write_value(const tt_aside *aside, const tt_value *value, tt_value *written, size_t *n_text_bytes,
                             tt_error *error) {
  *written = *value;
  if (value->type == TT_VALUE_OPERAND) {
    TT_TRY(write_operand(value->as.operand, error));
    written->as.operand = tt_wasm_area.operands[tt_wasm_area.n_operands - 1].operand;
  } else if (value->type == TT_VALUE_OPERANDS) {
    tt_operand *const *operands = tt_scratch_aside_address(aside, value->as.operands);
    written->as.operands = &tt_wasm_area.operands[tt_wasm_area.n_operands].operand;
    for (uint32_t i = 0; i < value->n; i++) TT_TRY(write_operand(operands[i], error));
  } else if (value->type == TT_VALUE_INTS) {
    if (value->n > TT_MAX_LIST_ITEMS - tt_wasm_area.n_ints)
      return tt_fail(error, TT_ERR_FULL, "a call from the core to JavaScript takes at most %d ints", (int)TT_MAX_LIST_ITEMS);
    int64_t *ints = tt_wasm_area.ints + tt_wasm_area.n_ints;
    if (value->n > 0) memcpy(ints, tt_scratch_aside_address(aside, value->as.ints), value->n * sizeof *ints);
    written->as.ints = ints;
    tt_wasm_area.n_ints += value->n;
  } else if (value->type == TT_VALUE_STRING) {
    char *text = (char *)tt_wasm_input(0) + *n_text_bytes;
    if (value->n > 0) memcpy(text, value->as.string, value->n);
    written->as.string = text;
    *n_text_bytes += value->n;
  }
  return TT_OK;
}

static tt_status write_arguments(const tt_aside *aside, const tt_callback *ask, tt_error *error) {
  tt_wasm_area.n_ints = tt_wasm_area.n_operands = 0;
  size_t n_text_bytes = 0;
  for (size_t i = 0; i < ask->n_args; i++)
    TT_TRY(write_value(aside, &ask->args[i], &tt_wasm_area.args[i], &n_text_bytes, error));
  return TT_OK;
}

/* ---- the call ---- */

static tt_status run_function(const tt_callback *ask, running *run) {
  innermost = run;
  int status = tt_host_callback(ask->function, tt_door_of_hook(ask->hook)->handle, ask->op, (uint32_t)ask->n_args);
  innermost = run->outer;
  if (status == TT_OK) return TT_OK;
  /* JavaScript had no memory to say more. */
  if (run->error.status == TT_OK)
    tt_fail(&run->error, TT_ERR_MEMORY, "a function of JavaScript failed, with no memory to say why");
  return run->error.status;
}

tt_status tt_door_call_js(const tt_callback *ask, tt_node **results, size_t *n_results, tt_error *error) {
  running run = {.outer = innermost, .depth = innermost == NULL ? 1 : innermost->depth + 1};
  if (run.depth > TT_MAX_CALLBACK_DEPTH) {
    return tt_fail(error, TT_ERR_STATE, "functions of JavaScript and ops call each other more than %d deep",
                   (int)TT_MAX_CALLBACK_DEPTH);
  }
  size_t n_text_bytes = 1;
  for (size_t i = 0; i < ask->n_args; i++) n_text_bytes += ask->args[i].type == TT_VALUE_STRING ? ask->args[i].n : 0;
  tt_aside aside;
  if (!tt_scratch_set_aside(&aside, n_text_bytes)) return tt_fail(error, TT_ERR_MEMORY, "no memory to call JavaScript");
  tt_status status = write_arguments(&aside, ask, &run.error);
  if (status != TT_OK) {
    for (uint32_t i = 0; i < tt_wasm_area.n_operands; i++) tt_wasm_tensor_dispose(tt_wasm_area.operands[i].handle);
  } else {
    status = run_function(ask, &run);
  }
  tt_scratch_put_back(&aside);
  if (status != TT_OK) {
    for (size_t i = 0; i < run.n_results; i++) tt_node_unref(run.results[i]);
    if (error != NULL) *error = run.error;
    return status;
  }
  memcpy(results, run.results, run.n_results * sizeof *results);
  *n_results = run.n_results;
  return TT_OK;
}

/* ---- what the function answers ---- */

int tt_wasm_callback_result(tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_node *head = tt_door_head(tensor, &error);
  if (head == NULL) return tt_scratch_fail(&error);
  if (innermost == NULL || innermost->n_results == TT_MAX_RESULTS) {
    tt_fail(&error, TT_ERR_STATE, "a function answers at most %d tensors", (int)TT_MAX_RESULTS);
    return tt_scratch_fail(&error);
  }
  if (tt_head_busy(head) != NULL) {
    tt_fail(&error, TT_ERR_STATE, "a tensor that is answered %s; await that first", tt_head_busy(head));
    return tt_scratch_fail(&error);
  }
  innermost->results[innermost->n_results++] = tt_node_ref(head);
  return TT_OK;
}

void tt_wasm_callback_fail(uint32_t status) {
  if (innermost != NULL) tt_fail(&innermost->error, (tt_status)status, "%s", tt_scratch_input_string(0));
}
