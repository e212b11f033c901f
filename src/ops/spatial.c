#include "ops/spatial.h"

#include <inttypes.h>

tt_status tt_spatial_pair(const tt_op *op, const char *param, const tt_value *arg, int64_t least, int64_t pair[2],
                          tt_error *error) {
  if (arg->n != 1 && arg->n != 2) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: %s must be one number or two, not %u", op->name, param, (unsigned)arg->n);
  }
  for (uint32_t i = 0; i < arg->n; i++) {
    if (arg->as.ints[i] >= least && arg->as.ints[i] <= INT32_MAX) continue;
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: %s must be from %" PRId64 " to %d, not %" PRId64, op->name, param, least,
                   INT32_MAX, arg->as.ints[i]);
  }
  pair[0] = arg->as.ints[0];
  pair[1] = arg->as.ints[arg->n - 1];
  return TT_OK;
}

tt_status tt_spatial_need_image(const tt_op *op, const char *param, const tt_shape *shape, tt_error *error) {
  bool fits = shape->n_dims == 3 || shape->n_dims == 4;
  for (int d = shape->n_dims - 3; fits && d < shape->n_dims; d++) fits = shape->dims[d] > 0 && shape->dims[d] <= INT32_MAX;
  if (fits) return TT_OK;
  char text[TT_SHAPE_TEXT_BYTES];
  return tt_fail(error, TT_ERR_SHAPE, "%s takes %s of shape (N, C, H, W) or (C, H, W), not %s", op->name, param,
                 tt_shape_text(shape, text));
}

void tt_spatial_pair_of_one(const tt_value *arg, int64_t for_height, int64_t pair[2]) {
  pair[0] = for_height;
  pair[1] = arg->n == 1 ? arg->as.ints[0] : -1;
}
