#include "wasm/callback.h"

#include <string.h>

#include "base/alloc.h"
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

/* ---- arguments, in a scratch that is not in use yet ---- */

typedef struct argument_writer {
  tt_scratch *area;
  tt_input input;
  size_t n_operands, n_ints, n_text_bytes;
  size_t n_handles; /* how many of the operands are ours to end if this fails */
} argument_writer;

static tt_status write_operand(argument_writer *to, tt_operand *operand, tt_error *error) {
  if (to->n_operands == TT_MAX_LIST_ITEMS)
    return tt_fail(error, TT_ERR_FULL, "a call from the core to JavaScript takes at most %d tensors", (int)TT_MAX_LIST_ITEMS);
  TT_TRY(tt_door_give(tt_node_ref((tt_node *)(void *)operand), &to->area->operands[to->n_operands].handle, error));
  to->n_handles = ++to->n_operands;
  return TT_OK;
}

/* A value for JavaScript: what it points to is copied, and pointed to where it will stand once the scratch is in use. */
static tt_status write_value(argument_writer *to, const tt_value *value, tt_value *written, tt_error *error) {
  *written = *value;
  if (value->type == TT_VALUE_OPERAND) {
    TT_TRY(write_operand(to, value->as.operand, error));
    written->as.operand = to->area->operands[to->n_operands - 1].operand;
  } else if (value->type == TT_VALUE_OPERANDS) {
    written->as.operands = &tt_wasm_area.operands[to->n_operands].operand;
    for (uint32_t i = 0; i < value->n; i++) TT_TRY(write_operand(to, value->as.operands[i], error));
  } else if (value->type == TT_VALUE_INTS) {
    if (value->n > TT_MAX_LIST_ITEMS - to->n_ints)
      return tt_fail(error, TT_ERR_FULL, "a call from the core to JavaScript takes at most %d ints", (int)TT_MAX_LIST_ITEMS);
    if (value->n > 0) memcpy(to->area->ints + to->n_ints, value->as.ints, value->n * sizeof *value->as.ints);
    written->as.ints = tt_wasm_area.ints + to->n_ints;
    to->n_ints += value->n;
  } else if (value->type == TT_VALUE_STRING) {
    if (value->n > 0) memcpy(to->input.bytes + to->n_text_bytes, value->as.string, value->n);
    written->as.string = (const char *)to->input.bytes + to->n_text_bytes;
    to->n_text_bytes += value->n;
  }
  return TT_OK;
}

static tt_status write_arguments(argument_writer *to, const tt_callback *ask, tt_error *error) {
  size_t n_text_bytes = 1;
  for (size_t i = 0; i < ask->n_args; i++) n_text_bytes += ask->args[i].type == TT_VALUE_STRING ? ask->args[i].n : 0;
  to->area = tt_alloc(1, sizeof *to->area);
  to->input = (tt_input){.bytes = tt_alloc(n_text_bytes, 1), .capacity = n_text_bytes};
  if (to->area == NULL || to->input.bytes == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory to call JavaScript");
  for (size_t i = 0; i < ask->n_args; i++) TT_TRY(write_value(to, &ask->args[i], &to->area->args[i], error));
  return TT_OK;
}

/* ---- the call ---- */

static void release_results(running *run) {
  for (size_t i = 0; i < run->n_results; i++) tt_node_unref(run->results[i]);
}

/* The scratch and the input in use are exchanged with what has been written, and back. */
static tt_status run_function(const tt_callback *ask, argument_writer *arguments, running *run) {
  tt_handle worker = tt_door_of_hook(ask->hook)->handle;
  tt_scratch_exchange(arguments->area, &arguments->input);
  innermost = run;
  int status = tt_host_callback(ask->function, worker, ask->op, (uint32_t)ask->n_args);
  innermost = run->outer;
  tt_scratch_exchange(arguments->area, &arguments->input);
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
  argument_writer arguments = {.area = NULL};
  tt_status status = write_arguments(&arguments, ask, error);
  if (status == TT_OK) {
    status = run_function(ask, &arguments, &run);
    if (status != TT_OK && error != NULL) *error = run.error;
  } else {
    for (size_t i = 0; i < arguments.n_handles; i++) tt_wasm_tensor_dispose(arguments.area->operands[i].handle);
  }
  tt_free(arguments.area);
  tt_free(arguments.input.bytes);
  if (status != TT_OK) {
    release_results(&run);
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
