#include "kernels/runs.h"

#define NEVER_NAN(x) ((void)(x), false)
#define MAY_BE_NAN(x) ((x) != (x))

#define DEFINE(suffix, type, is_nan)                                                                  \
  static bool is_same_##suffix(const void *data, int64_t i, int64_t k) {                              \
    return ((const type *)data)[i] == ((const type *)data)[k];                                        \
  }                                                                                                   \
  static void extremes_##suffix(const tt_lines *lines, bool largest, void *values, int64_t *places) { \
    const type *data = lines->data;                                                                   \
    type *out = values;                                                                               \
    for (int64_t o = 0; o < lines->outer; o++) {                                                      \
      for (int64_t k = 0; k < lines->inner; k++) {                                                    \
        int64_t first = o * lines->n * lines->inner + k, best = 0;                                    \
        for (int64_t i = 0; i < lines->n; i++) {                                                      \
          type x = data[first + i * lines->inner], so_far = data[first + best * lines->inner];        \
          if (is_nan(x) || (largest ? x >= so_far : x <= so_far)) best = i;                           \
          out[first + i * lines->inner] = data[first + best * lines->inner];                          \
          places[first + i * lines->inner] = best;                                                    \
        }                                                                                             \
      }                                                                                               \
    }                                                                                                 \
  }
DEFINE(u8, uint8_t, NEVER_NAN)
DEFINE(i32, int32_t, NEVER_NAN)
DEFINE(i64, int64_t, NEVER_NAN)
DEFINE(f32, float, MAY_BE_NAN)
DEFINE(f64, double, MAY_BE_NAN)

typedef struct runs_row {
  bool (*is_same)(const void *data, int64_t i, int64_t k);
  void (*extremes)(const tt_lines *lines, bool largest, void *values, int64_t *places);
} runs_row;

static const runs_row rows[TT_N_DTYPES] = {
    [TT_DTYPE_BOOL] = {is_same_u8, extremes_u8},  [TT_DTYPE_U8] = {is_same_u8, extremes_u8},
    [TT_DTYPE_I32] = {is_same_i32, extremes_i32}, [TT_DTYPE_I64] = {is_same_i64, extremes_i64},
    [TT_DTYPE_F32] = {is_same_f32, extremes_f32}, [TT_DTYPE_F64] = {is_same_f64, extremes_f64},
};

int64_t tt_runs_find(tt_dtype dtype, const void *sorted, int64_t n, int64_t *starts) {
  int64_t n_runs = 0;
  for (int64_t i = 0; i < n; i++) {
    if (i > 0 && rows[dtype].is_same(sorted, i, i - 1)) continue;
    if (starts != NULL) starts[n_runs] = i;
    n_runs++;
  }
  return n_runs;
}

void tt_runs_longest(const tt_lines *sorted, int64_t *places) {
  for (int64_t o = 0; o < sorted->outer; o++) {
    for (int64_t k = 0; k < sorted->inner; k++) {
      int64_t first = o * sorted->n * sorted->inner + k, longest = 0, length = 0, last = 0;
      for (int64_t i = 0; i < sorted->n; i++) {
        bool goes_on =
            i > 0 && rows[sorted->dtype].is_same(sorted->data, first + i * sorted->inner, first + (i - 1) * sorted->inner);
        length = goes_on ? length + 1 : 1;
        if (length > longest) {
          longest = length;
          last = i;
        }
      }
      places[o * sorted->inner + k] = last;
    }
  }
}

void tt_runs_extremes(const tt_lines *lines, bool largest, void *values, int64_t *places) {
  rows[lines->dtype].extremes(lines, largest, values, places);
}
