#include "kernels/nll.h"

#define DEFINE_NLL(suffix, type)                                                                  \
  static bool run_##suffix(const tt_nll *what, tt_nll_sums *sums) {                               \
    const type *logs = what->logs, *weight = what->weight;                                        \
    type *losses = what->losses;                                                                  \
    const int64_t n_inner = what->n_inner, n_targets = what->n_outer * n_inner;                   \
    for (int64_t i = 0; i < n_targets; i++) {                                                     \
      int64_t class = what->target[i];                                                            \
      if (class == what->ignore_index) {                                                          \
        if (losses != NULL) losses[i] = 0;                                                        \
        continue;                                                                                 \
      }                                                                                           \
      if (class < 0 || class >= what->n_classes) {                                                \
        sums->wrong = class;                                                                      \
        return false;                                                                             \
      }                                                                                           \
      type share = weight != NULL ? weight[class] : 1;                                            \
      type loss = -logs[(i / n_inner * what->n_classes + class) * n_inner + i % n_inner] * share; \
      if (losses != NULL) losses[i] = loss;                                                       \
      sums->losses += (double)loss;                                                               \
      sums->weights += (double)share;                                                             \
    }                                                                                             \
    return true;                                                                                  \
  }
DEFINE_NLL(f32, float)
DEFINE_NLL(f64, double)

bool tt_nll_run(const tt_nll *what, tt_nll_sums *sums) {
  *sums = (tt_nll_sums){.losses = 0};
  return what->dtype == TT_DTYPE_F32 ? run_f32(what, sums) : run_f64(what, sums);
}
