#include "kernels/sort.h"

#include <string.h>

#include "base/alloc.h"

enum { RUN = 12 /* short runs are sorted by insertion before they are merged */ };

#define NEVER_NAN(x) ((void)(x), false)
#define MAY_BE_NAN(x) ((x) != (x))

/*
 * load reads a line into pairs, sort orders them (the answer lies in either buffer), store writes the first n_kept.
 */
#define DEFINE_SORT(suffix, type, is_nan)                                                                                  \
  typedef struct pair_##suffix {                                                                                           \
    type value;                                                                                                            \
    int64_t index;                                                                                                         \
  } pair_##suffix;                                                                                                         \
  static inline bool precedes_##suffix(type a, type b, bool descending) {                                                  \
    if (descending) return a > b || (is_nan(a) && !is_nan(b));                                                             \
    return a < b || (is_nan(b) && !is_nan(a));                                                                             \
  }                                                                                                                        \
  static void load_##suffix(const void *data, int64_t n, int64_t stride, void *buffer) {                                   \
    const type *x = data;                                                                                                  \
    pair_##suffix *pairs = buffer;                                                                                         \
    for (int64_t i = 0; i < n; i++) pairs[i] = (pair_##suffix){.value = x[i * stride], .index = i};                        \
  }                                                                                                                        \
  static void *sort_##suffix(void *buffer, void *spare, int64_t n, bool descending) {                                      \
    pair_##suffix *from = buffer, *to = spare;                                                                             \
    for (int64_t start = 0; start < n; start += RUN) {                                                                     \
      int64_t end = start + RUN < n ? start + RUN : n;                                                                     \
      for (int64_t i = start + 1; i < end; i++) {                                                                          \
        pair_##suffix pair = from[i];                                                                                      \
        int64_t at = i;                                                                                                    \
        for (; at > start && precedes_##suffix(pair.value, from[at - 1].value, descending); at--) from[at] = from[at - 1]; \
        from[at] = pair;                                                                                                   \
      }                                                                                                                    \
    }                                                                                                                      \
    for (int64_t width = RUN; width < n; width *= 2) {                                                                     \
      for (int64_t start = 0; start < n; start += 2 * width) {                                                             \
        int64_t middle = start + width < n ? start + width : n, end = start + 2 * width < n ? start + 2 * width : n;       \
        int64_t left = start, right = middle;                                                                              \
        for (int64_t i = start; i < end; i++) {                                                                            \
          bool take_right =                                                                                                \
              right < end && (left == middle || precedes_##suffix(from[right].value, from[left].value, descending));       \
          to[i] = take_right ? from[right++] : from[left++];                                                               \
        }                                                                                                                  \
      }                                                                                                                    \
      pair_##suffix *merged = to;                                                                                          \
      to = from;                                                                                                           \
      from = merged;                                                                                                       \
    }                                                                                                                      \
    return from;                                                                                                           \
  }                                                                                                                        \
  static void store_##suffix(const void *buffer, int64_t first, int64_t n_kept, int64_t stride, void *values,              \
                             int64_t *indices) {                                                                           \
    const pair_##suffix *pairs = buffer;                                                                                   \
    for (int64_t i = 0; i < n_kept; i++) {                                                                                 \
      if (values) ((type *)values)[i * stride] = pairs[first + i].value;                                                   \
      if (indices) indices[i * stride] = pairs[first + i].index;                                                           \
    }                                                                                                                      \
  }                                                                                                                        \
  /* NaN sorts last and equal elements keep their order, so the first NaN stands behind the last number. */                \
  static int64_t first_nan_##suffix(const void *buffer, int64_t n) {                                                       \
    const pair_##suffix *pairs = buffer;                                                                                   \
    if (!is_nan(pairs[n - 1].value)) return -1;                                                                            \
    int64_t at = n - 1;                                                                                                    \
    while (at > 0 && is_nan(pairs[at - 1].value)) at--;                                                                    \
    return at;                                                                                                             \
  }
DEFINE_SORT(u8, uint8_t, NEVER_NAN)
DEFINE_SORT(i32, int32_t, NEVER_NAN)
DEFINE_SORT(i64, int64_t, NEVER_NAN)
DEFINE_SORT(f32, float, MAY_BE_NAN)
DEFINE_SORT(f64, double, MAY_BE_NAN)

typedef struct sort_row {
  size_t pair_bytes;
  void (*load)(const void *data, int64_t n, int64_t stride, void *buffer);
  void *(*sort)(void *buffer, void *spare, int64_t n, bool descending);
  void (*store)(const void *buffer, int64_t first, int64_t n_kept, int64_t stride, void *values, int64_t *indices);
  int64_t (*first_nan)(const void *buffer, int64_t n);
} sort_row;

#define SORT_ROW(suffix) \
  { sizeof(pair_##suffix), load_##suffix, sort_##suffix, store_##suffix, first_nan_##suffix }

static const sort_row rows[TT_N_DTYPES] = {
    [TT_DTYPE_BOOL] = SORT_ROW(u8), [TT_DTYPE_U8] = SORT_ROW(u8),   [TT_DTYPE_I32] = SORT_ROW(i32),
    [TT_DTYPE_I64] = SORT_ROW(i64), [TT_DTYPE_F32] = SORT_ROW(f32), [TT_DTYPE_F64] = SORT_ROW(f64),
};

static tt_status sort_lines(const tt_tensor *input, int dim, bool descending, int64_t n_kept, bool is_median, tt_tensor *values,
                            tt_tensor *indices, tt_error *error) {
  const tt_shape *shape = tt_tensor_shape(input);
  const sort_row *row = &rows[tt_tensor_dtype(input)];
  size_t element_bytes = tt_dtype_bytes(tt_tensor_dtype(input));
  int64_t n = shape->n_dims == 0 ? 1 : shape->dims[dim];
  int64_t stride = shape->n_dims == 0 ? 1 : input->strides[dim];
  int64_t inner = 1; /* elements between neighbours of a line in the dense outputs */
  for (int d = dim + 1; d < shape->n_dims; d++) inner *= shape->dims[d];
  int64_t n_lines = 1;
  for (int d = 0; d < shape->n_dims; d++) n_lines *= d == dim ? 1 : shape->dims[d];
  if (n_lines == 0 || n == 0 || n_kept == 0) return TT_OK;

  uint8_t *buffer = tt_alloc_aligned(2 * (size_t)n * row->pair_bytes);
  if (!buffer) return tt_fail(error, TT_ERR_MEMORY, "no memory to sort lines of %lld elements", (long long)n);
  const uint8_t *data = tt_tensor_data(input);
  uint8_t *value_at = values ? tt_tensor_data(values) : NULL;
  int64_t *index_at = indices ? tt_tensor_data(indices) : NULL;
  int64_t counter[TT_MAX_DIMS] = {0};
  for (int64_t line = 0; line < n_lines; line++) {
    row->load(data, n, stride, buffer);
    const void *sorted = row->sort(buffer, buffer + (size_t)n * row->pair_bytes, n, descending);
    int64_t first = 0;
    if (is_median) {
      first = row->first_nan(sorted, n);
      if (first < 0) first = (n - 1) / 2;
    }
    int64_t at = line / inner * n_kept * inner + line % inner;
    row->store(sorted, first, n_kept, inner, value_at ? value_at + (size_t)at * element_bytes : NULL,
               index_at ? index_at + at : NULL);
    for (int d = shape->n_dims - 1; d >= 0; d--) {
      if (d == dim) continue;
      data += input->strides[d] * (int64_t)element_bytes;
      if (++counter[d] < shape->dims[d]) break;
      data -= shape->dims[d] * input->strides[d] * (int64_t)element_bytes;
      counter[d] = 0;
    }
  }
  tt_free_aligned(buffer);
  return TT_OK;
}

tt_status tt_sort(const tt_tensor *input, int dim, bool descending, int64_t n_kept, tt_tensor *values, tt_tensor *indices,
                  tt_error *error) {
  return sort_lines(input, dim, descending, n_kept, false, values, indices, error);
}

tt_status tt_sort_median(const tt_tensor *input, int dim, tt_tensor *values, tt_tensor *indices, tt_error *error) {
  return sort_lines(input, dim, false, 1, true, values, indices, error);
}
