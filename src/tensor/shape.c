#include "tensor/shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool tt_shape_is_known(const tt_shape *shape) { return shape->n_dims != TT_DIMS_UNKNOWN; }

int64_t tt_shape_n_elements(const tt_shape *shape) {
  int64_t n = 1;
  for (int i = 0; i < shape->n_dims; i++) n *= shape->dims[i];
  return n;
}

bool tt_shape_equal(const tt_shape *a, const tt_shape *b) {
  if (a->n_dims != b->n_dims) return false;
  for (int i = 0; i < a->n_dims; i++) {
    if (a->dims[i] != b->dims[i]) return false;
  }
  return true;
}

tt_status tt_shape_check(const int64_t *dims, size_t n_dims, tt_error *error) {
  const int64_t small = (int64_t)1 << 31; /* two of these can be multiplied: a division for each would be felt in every op */
  if (n_dims > TT_MAX_DIMS) {
    return tt_fail(error, TT_ERR_SHAPE, "a tensor has at most %d dimensions, not %zu; reshape to fewer", TT_MAX_DIMS, n_dims);
  }
  /* The product of the sizes that are not 0 is held under the limit too, so that strides of empty tensors stay in range. */
  int64_t product = 1;
  for (size_t i = 0; i < n_dims; i++) {
    if (dims[i] < 0) {
      return tt_fail(error, TT_ERR_SHAPE, "dimension %zu has the negative size %" PRId64 "; sizes are 0 or more", i, dims[i]);
    }
    if (dims[i] == 0) continue;
    bool is_small = product < small && dims[i] < small;
    if (is_small ? product * dims[i] > TT_MAX_ELEMENTS : dims[i] > TT_MAX_ELEMENTS / product) {
      return tt_fail(error, TT_ERR_SHAPE, "a shape with size %" PRId64 " at dimension %zu has more than %" PRId64 " elements",
                     dims[i], i, TT_MAX_ELEMENTS);
    }
    product *= dims[i];
  }
  return TT_OK;
}

tt_status tt_shape_make(const int64_t *dims, size_t n_dims, tt_shape *shape, tt_error *error) {
  TT_TRY(tt_shape_check(dims, n_dims, error));
  tt_shape made = {.n_dims = (int)n_dims};
  for (size_t i = 0; i < n_dims; i++) made.dims[i] = dims[i];
  *shape = made;
  return TT_OK;
}

tt_status tt_shape_broadcast(const char *who, const tt_shape *a, const tt_shape *b, tt_shape *out, tt_error *error) {
  const tt_shape *longer = a->n_dims >= b->n_dims ? a : b;
  const tt_shape *shorter = longer == a ? b : a;
  int lead = longer->n_dims - shorter->n_dims;
  tt_shape made;
  made.n_dims = longer->n_dims;
  for (int i = 0; i < longer->n_dims; i++) {
    int64_t of_longer = longer->dims[i];
    int64_t of_shorter = i < lead ? 1 : shorter->dims[i - lead];
    if (of_longer != of_shorter && of_longer != 1 && of_shorter != 1) {
      char text_a[TT_SHAPE_TEXT_BYTES], text_b[TT_SHAPE_TEXT_BYTES];
      return tt_fail(error, TT_ERR_SHAPE,
                     "%s: shapes %s and %s do not broadcast: sizes %" PRId64 " and %" PRId64
                     " at dimension %d must be equal, or one "
                     "of them 1",
                     who, tt_shape_text(a, text_a), tt_shape_text(b, text_b), longer == a ? of_longer : of_shorter,
                     longer == a ? of_shorter : of_longer, i);
    }
    made.dims[i] = of_longer == 1 ? of_shorter : of_longer;
  }
  /* Two shapes within the limit may broadcast to one beyond it. */
  tt_status status = tt_shape_check(made.dims, (size_t)made.n_dims, error);
  if (status != TT_OK) return tt_error_prefix(error, "%s", who), status;
  tt_shape_copy(out, &made);
  return TT_OK;
}

tt_status tt_shape_wrap_dim(const char *who, int64_t dim, int n_dims, int *wrapped, tt_error *error) {
  int limit = n_dims == 0 ? 1 : n_dims;
  if (dim < -limit || dim >= limit) {
    return tt_fail(error, TT_ERR_INDEX, "%s: dimension out of range (expected to be in range of [%d, %d], but got %" PRId64 ")",
                   who, -limit, limit - 1, dim);
  }
  *wrapped = (int)(dim < 0 ? dim + limit : dim);
  return TT_OK;
}

const char *tt_shape_text(const tt_shape *shape, char text[TT_SHAPE_TEXT_BYTES]) {
  if (!tt_shape_is_known(shape)) {
    memcpy(text, "[?]", 4);
    return text;
  }
  size_t used = 0;
  text[used++] = '[';
  for (int i = 0; i < shape->n_dims; i++) {
    used += (size_t)snprintf(text + used, TT_SHAPE_TEXT_BYTES - used, i == 0 ? "%" PRId64 : ", %" PRId64, shape->dims[i]);
  }
  text[used++] = ']';
  text[used] = 0;
  return text;
}
