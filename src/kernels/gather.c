#include "kernels/gather.h"

#include <inttypes.h>
#include <string.h>

/* One row of the walk: n places, `index_step` int64 apart, with target and other moving along in elements; `stride` is
 * target's along dim. */
typedef void row_fn(int64_t n, const int64_t *index, int64_t index_step, void *target, int64_t target_step, int64_t stride,
                    void *other, int64_t other_step);

#define DEFINE_ROW(name, type, statement)                                                                                  \
  static void name(int64_t n, const int64_t *index, int64_t index_step, void *target, int64_t target_step, int64_t stride, \
                   void *other, int64_t other_step) {                                                                      \
    type *x = target, *y = other;                                                                                          \
    if (index_step == 0) {                                                                                                 \
      x += *index * stride;                                                                                                \
      for (int64_t i = 0; i < n; i++) {                                                                                    \
        type *at = x + i * target_step, *v = y + i * other_step;                                                           \
        statement;                                                                                                         \
      }                                                                                                                    \
      return;                                                                                                              \
    }                                                                                                                      \
    for (int64_t i = 0; i < n; i++) {                                                                                      \
      type *at = x + i * target_step + index[i * index_step] * stride, *v = y + i * other_step;                            \
      statement;                                                                                                           \
    }                                                                                                                      \
  }

DEFINE_ROW(read_1, uint8_t, *v = *at)
DEFINE_ROW(read_4, uint32_t, *v = *at)
DEFINE_ROW(read_8, uint64_t, *v = *at)
DEFINE_ROW(put_1, uint8_t, *at = *v)
DEFINE_ROW(put_4, uint32_t, *at = *v)
DEFINE_ROW(put_8, uint64_t, *at = *v)
DEFINE_ROW(add_bool, uint8_t, *at = *at | *v)
DEFINE_ROW(add_u8, uint8_t, *at = (uint8_t)(*at + *v))
DEFINE_ROW(add_i32, uint32_t, *at = *at + *v)
DEFINE_ROW(add_i64, uint64_t, *at = *at + *v)
DEFINE_ROW(add_f32, float, *at = *at + *v)
DEFINE_ROW(add_f64, double, *at = *at + *v)

static row_fn *const rows[3][TT_N_DTYPES] = {
    [TT_GATHER_READ] = {[TT_DTYPE_BOOL] = read_1,
                        [TT_DTYPE_U8] = read_1,
                        [TT_DTYPE_I32] = read_4,
                        [TT_DTYPE_I64] = read_8,
                        [TT_DTYPE_F32] = read_4,
                        [TT_DTYPE_F64] = read_8},
    [TT_GATHER_PUT] = {[TT_DTYPE_BOOL] = put_1,
                       [TT_DTYPE_U8] = put_1,
                       [TT_DTYPE_I32] = put_4,
                       [TT_DTYPE_I64] = put_8,
                       [TT_DTYPE_F32] = put_4,
                       [TT_DTYPE_F64] = put_8},
    [TT_GATHER_ADD] = {[TT_DTYPE_BOOL] = add_bool,
                       [TT_DTYPE_U8] = add_u8,
                       [TT_DTYPE_I32] = add_i32,
                       [TT_DTYPE_I64] = add_i64,
                       [TT_DTYPE_F32] = add_f32,
                       [TT_DTYPE_F64] = add_f64},
};

/* Moves a row-major counter over all but the last dimension and three addresses with it; false when it has come round. */
static bool step_rows(const tt_shape *shape, int64_t *counter, const int64_t *const *strides, const int64_t *bytes,
                      uint8_t **at, int n_at) {
  for (int d = shape->n_dims - 2; d >= 0; d--) {
    for (int k = 0; k < n_at; k++) at[k] += strides[k][d] * bytes[k];
    if (++counter[d] < shape->dims[d]) return true;
    for (int k = 0; k < n_at; k++) at[k] -= shape->dims[d] * strides[k][d] * bytes[k];
    counter[d] = 0;
  }
  return false;
}

tt_status tt_gather_check(const char *who, const tt_tensor *target, int dim, const tt_tensor *index, tt_error *error) {
  if (tt_tensor_n_elements(index) == 0) return TT_OK;
  int64_t size = tt_tensor_n_dims(target) == 0 ? 1 : tt_tensor_shape(target)->dims[dim];
  const tt_shape *shape = tt_tensor_shape(index);
  int last = shape->n_dims - 1;
  int64_t n = last < 0 ? 1 : shape->dims[last], stride = last < 0 ? 0 : index->strides[last];
  if (stride == 0) n = 1;
  int64_t counter[TT_MAX_DIMS] = {0};
  const int64_t *strides[1] = {index->strides};
  const int64_t bytes[1] = {sizeof(int64_t)};
  uint8_t *at[1] = {tt_tensor_data(index)};
  do {
    const int64_t *row = (const int64_t *)(const void *)at[0];
    for (int64_t i = 0; i < n; i++) {
      int64_t given = row[i * stride];
      if (given < 0 || given >= size) {
        return tt_fail(error, TT_ERR_INDEX, "%s: index %" PRId64 " is out of bounds for dimension %d with size %" PRId64, who,
                       given, dim, size);
      }
    }
  } while (step_rows(shape, counter, strides, bytes, at, 1));
  return TT_OK;
}

tt_status tt_gather_run(const char *who, tt_gather_kind kind, const tt_tensor *target, int dim, const tt_tensor *index,
                        const tt_tensor *other, tt_error *error) {
  if (tt_tensor_n_elements(index) == 0) return TT_OK;
  const tt_shape *shape = tt_tensor_shape(index);
  bool target_is_scalar = tt_tensor_n_dims(target) == 0;
  int64_t stride = target_is_scalar ? 0 : target->strides[dim];
  TT_TRY(tt_gather_check(who, target, dim, index, error));

  static const int64_t none[TT_MAX_DIMS] = {0};
  int64_t along[TT_MAX_DIMS] = {0}; /* target's strides with the indexed dimension held still */
  for (int d = 0; d < tt_tensor_n_dims(target); d++) along[d] = d == dim ? 0 : target->strides[d];
  int64_t element_bytes = (int64_t)tt_dtype_bytes(tt_tensor_dtype(target));
  const int64_t *strides[3] = {along, index->strides, tt_tensor_n_dims(other) == 0 ? none : other->strides};
  const int64_t bytes[3] = {element_bytes, sizeof(int64_t), element_bytes};
  uint8_t *at[3] = {tt_tensor_data(target), tt_tensor_data(index), tt_tensor_data(other)};
  row_fn *row = rows[kind][tt_tensor_dtype(target)];
  int last = shape->n_dims - 1;
  int64_t n = last < 0 ? 1 : shape->dims[last];
  int64_t counter[TT_MAX_DIMS] = {0};
  do {
    row(n, (const int64_t *)(const void *)at[1], last < 0 ? 0 : strides[1][last], at[0], last < 0 ? 0 : strides[0][last],
        stride, at[2], last < 0 ? 0 : strides[2][last]);
  } while (step_rows(shape, counter, strides, bytes, at, 3));
  return TT_OK;
}

int64_t tt_mask_count(const uint8_t *mask, int64_t n) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) count += mask[i] != 0;
  return count;
}

#define DEFINE_MASK(bytes, type)                                                                   \
  static void take_##bytes(const uint8_t *mask, int64_t n, const void *data, void *taken) {        \
    const type *x = data;                                                                          \
    type *y = taken;                                                                               \
    for (int64_t i = 0; i < n; i++) {                                                              \
      if (mask[i]) *y++ = x[i];                                                                    \
    }                                                                                              \
  }                                                                                                \
  static void put_masked_##bytes(const uint8_t *mask, int64_t n, const void *values, void *data) { \
    const type *x = values;                                                                        \
    type *y = data;                                                                                \
    for (int64_t i = 0; i < n; i++) {                                                              \
      if (mask[i]) y[i] = *x++;                                                                    \
    }                                                                                              \
  }
DEFINE_MASK(1, uint8_t)
DEFINE_MASK(4, uint32_t)
DEFINE_MASK(8, uint64_t)

void tt_mask_take(const uint8_t *mask, int64_t n, size_t element_bytes, const void *data, void *taken) {
  (element_bytes == 1 ? take_1 : element_bytes == 4 ? take_4 : take_8)(mask, n, data, taken);
}

void tt_mask_put(const uint8_t *mask, int64_t n, size_t element_bytes, const void *values, void *data) {
  (element_bytes == 1 ? put_masked_1 : element_bytes == 4 ? put_masked_4 : put_masked_8)(mask, n, values, data);
}

void tt_mask_places(const uint8_t *mask, const tt_shape *shape, int64_t *places) {
  int64_t n = tt_shape_n_elements(shape);
  int64_t counter[TT_MAX_DIMS] = {0};
  size_t row_bytes = (size_t)shape->n_dims * sizeof(int64_t);
  for (int64_t i = 0; i < n; i++) {
    if (mask[i]) {
      memcpy(places, counter, row_bytes);
      places += shape->n_dims;
    }
    for (int d = shape->n_dims - 1; d >= 0 && ++counter[d] == shape->dims[d]; d--) counter[d] = 0;
  }
}
