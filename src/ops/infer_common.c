#include "ops/infer_common.h"

#include <string.h>

tt_status tt_infer_one(tt_meta meta, tt_meta *results, size_t *n_results) {
  tt_meta_copy(&results[0], &meta);
  *n_results = 1;
  return TT_OK;
}

tt_status tt_infer_need_shape(const tt_op *op, const char *param, const tt_meta *meta, tt_error *error) {
  if (tt_shape_is_known(&meta->shape)) return TT_OK;
  return tt_fail(error, TT_ERR_SHAPE,
                 "%s: the shape of %s depends on data that has not been computed yet, and must be known first; get it, or ask "
                 "for its shape, before this call",
                 op->name, param);
}

tt_status tt_infer_need_floating(const tt_op *op, tt_dtype dtype, tt_error *error) {
  if (tt_dtype_is_floating(dtype)) return TT_OK;
  return tt_fail(error, TT_ERR_DTYPE, "%s takes float32 and float64, not %s; convert the tensor first", op->name,
                 tt_dtype_name(dtype));
}

tt_status tt_infer_need_same_dtype(const tt_op *op, tt_dtype a, tt_dtype b, tt_error *error) {
  if (a == b) return TT_OK;
  return tt_fail(error, TT_ERR_DTYPE, "%s: expected two tensors of one dtype, but got %s and %s; convert one of them", op->name,
                 tt_dtype_name(a), tt_dtype_name(b));
}

tt_status tt_infer_dim_flags(const tt_op *op, const tt_value *dim, int n_dims, bool flags[TT_MAX_DIMS], tt_error *error) {
  bool named[TT_MAX_DIMS] = {false};
  if (tt_arg_is_none(dim) || (dim->type == TT_VALUE_INTS && dim->n == 0)) {
    for (int d = 0; d < n_dims; d++) named[d] = true;
  } else {
    bool is_list = dim->type == TT_VALUE_INTS;
    uint32_t n = is_list ? dim->n : 1;
    bool scalar_named = false;
    for (uint32_t i = 0; i < n; i++) {
      int64_t given = is_list ? dim->as.ints[i] : dim->as.integer;
      int wrapped = 0;
      TT_TRY(tt_shape_wrap_dim(op->name, given, n_dims, &wrapped, error));
      bool *name = n_dims == 0 ? &scalar_named : &named[wrapped];
      if (*name) {
        return tt_fail(error, TT_ERR_ARGUMENT, "%s: dim %d appears multiple times in the list of dims", op->name, wrapped);
      }
      *name = true;
    }
  }
  memcpy(flags, named, sizeof named);
  return TT_OK;
}
