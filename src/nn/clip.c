#include "nn/clip.h"

#include "base/alloc.h"
#include "nn/calls.h"

/* One number for all gradients, borrowed from calls. */
static tt_node *norm_of_all(tt_calls *calls, tt_node *const *gradients, size_t n_gradients, double norm_type,
                            tt_operand **norms) {
  for (size_t i = 0; i < n_gradients; i++) {
    tt_node *norm = TT_RUN(calls, norm, tt_of(gradients[i]), tt_float(norm_type));
    if (norm == NULL) return NULL;
    norms[i] = &norm->operand;
  }
  tt_node *all = TT_RUN(calls, stack, tt_operands_value(norms, (uint32_t)n_gradients));
  return TT_RUN(calls, norm, tt_of(all), tt_float(norm_type));
}

tt_status tt_clip_norm(const tt_place *place, tt_node *const *gradients, size_t n_gradients, double max_norm, double norm_type,
                       tt_node **total, tt_error *error) {
  if (n_gradients == 0 || n_gradients > TT_MAX_LIST_ITEMS || !(max_norm >= 0))
    return tt_fail(error, TT_ERR_ARGUMENT,
                   "clip_grad_norm_: there are 1 to %d gradients and max_norm is 0 or more, not %zu and %g",
                   (int)TT_MAX_LIST_ITEMS, n_gradients, max_norm);
  tt_operand **norms = tt_alloc(n_gradients, sizeof *norms);
  if (norms == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for %zu norms", n_gradients);
  tt_calls calls = tt_calls_begin(place, error);
  bool was_recording = tt_place_begin_quiet(place);
  tt_node *norm = norm_of_all(&calls, gradients, n_gradients, norm_type, norms);
  /* max_norm / (norm + 1e-6), at most 1 */
  tt_node *divisor = TT_RUN(&calls, add, tt_of(norm), tt_float(1e-6)), *one = TT_RUN(&calls, reciprocal, tt_of(divisor));
  tt_node *ratio = TT_RUN(&calls, mul, tt_of(one), tt_float(max_norm));
  tt_node *factor = TT_RUN(&calls, clamp_max, tt_of(ratio), tt_float(1));
  for (size_t i = 0; i < n_gradients; i++) TT_RUN(&calls, mul_, tt_of(gradients[i]), tt_of(factor));
  if (calls.status == TT_OK) *total = tt_node_ref(norm);
  tt_place_end_quiet(place, was_recording);
  tt_free(norms);
  return tt_calls_end(&calls);
}

tt_status tt_clip_value(const tt_place *place, tt_node *const *gradients, size_t n_gradients, double most, tt_error *error) {
  tt_calls calls = tt_calls_begin(place, error);
  bool was_recording = tt_place_begin_quiet(place);
  for (size_t i = 0; i < n_gradients; i++) TT_RUN(&calls, clamp_, tt_of(gradients[i]), tt_float(-most), tt_float(most));
  tt_place_end_quiet(place, was_recording);
  return tt_calls_end(&calls);
}
