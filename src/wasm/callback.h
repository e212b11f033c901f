/*
 * callback: functions of JavaScript that the core calls from within an op (methods of kinds, hooks on gradients).
 *
 * Such a function may call ops, which may call JavaScript again. While it runs, the scratch and the input are its own: what the
 * call outside has there is set aside, and put back behind it. It finds its arguments in the scratch as a call does, with handles
 * that are its own to dispose of, and answers by tt_wasm_callback_result for each tensor, or by tt_wasm_callback_fail.
 * It calls ops and nothing that concerns workers: the run of somebody else's command may be under way (web/core.js refuses).
 */
#ifndef TT_WASM_CALLBACK_H
#define TT_WASM_CALLBACK_H

#include "chain/hook.h"

enum { TT_MAX_CALLBACK_DEPTH = 32 };

typedef struct tt_callback {
  uint32_t function;    /* as JavaScript numbers it (web/callback.js) */
  const tt_hook *hook;  /* where its ops run; that of a worker of tt_wasm_worker_new */
  uint32_t op;          /* whose arguments they are, by number; 0: no op's */
  const tt_value *args; /* bound to the op's schema when there is one; operands are heads, borrowed */
  size_t n_args;        /* at most TT_MAX_PARAMS */
} tt_callback;

/*
 * Calls the function. Writes new references to the heads that it answers, of which `results` has room for TT_MAX_RESULTS; they
 * may be anybody's heads, also those of the arguments. Nothing is written on failure.
 * Errors: what the function failed with; TT_ERR_STATE (too deep), TT_ERR_MEMORY, TT_ERR_FULL (handles).
 */
tt_status tt_door_call_js(const tt_callback *ask, tt_node **results, size_t *n_results, tt_error *error);

#endif
