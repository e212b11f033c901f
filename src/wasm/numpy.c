/* NumPy's functions, for JavaScript: see wasm/exports.h. */
#include "numpy/numpy.h"
#include "tensor/numpy_print.h"
#include "wasm/door.h"
#include "wasm/exports.h"

static int show_text(void) {
  if (tt_scratch_show_text() == TT_OK) return TT_OK;
  tt_error error = {.status = TT_OK};
  tt_fail(&error, TT_ERR_MEMORY, "no memory for the text");
  return tt_scratch_fail(&error);
}

/* From a page, what is made from numbers is made at its own worker. */
static tt_status make_at_own(void *host, const tt_op *op, const tt_value *args, size_t n_args, tt_node **results,
                             size_t *n_results, tt_error *error) {
  return tt_door_call_at_own(host, op, args, n_args, results, n_results, error);
}

int tt_wasm_numpy_call(tt_handle worker, uint32_t number, uint32_t n_args) {
  tt_error error = {.status = TT_OK};
  tt_door *door = tt_door_get(worker, &error);
  const tt_numpy_function *function = tt_numpy_get(number);
  if (door == NULL) return tt_scratch_fail(&error);
  if (function == NULL || n_args > TT_MAX_PARAMS) {
    tt_fail(&error, TT_ERR_UNKNOWN_OP, "numpy has no function number %u with %u arguments", (unsigned)number, (unsigned)n_args);
    return tt_scratch_fail(&error);
  }
  if (tt_door_resolve(n_args, &error) != TT_OK) return tt_scratch_fail(&error);
  const tt_numpy_target target = {
      .hook = tt_worker_hook(door->worker), .make = door->own != NULL ? make_at_own : NULL, .host = door};
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results = 0;
  if (tt_numpy_call(&target, function, tt_wasm_area.args, n_args, results, &n_results, &error) != TT_OK)
    return tt_scratch_fail(&error);
  return tt_door_give_all(results, n_results, &error) == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

int tt_wasm_numpy_print(tt_handle tensor, int is_repr) {
  tt_error error = {.status = TT_OK};
  const tt_tensor *local = tt_door_local(tensor, &error);
  if (local == NULL) return tt_scratch_fail(&error);
  tt_tensor_print_numpy(local, is_repr != 0, tt_scratch_text());
  return show_text();
}
