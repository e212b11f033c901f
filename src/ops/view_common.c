#include "ops/view_common.h"

#include <inttypes.h>
#include <string.h>

tt_status tt_answer_tensor(tt_tensor *tensor, tt_tensor **results, size_t *n_results) {
  if (!tensor) return TT_ERR_MEMORY;
  results[0] = tensor;
  *n_results = 1;
  return TT_OK;
}

tt_status tt_answer_view(const tt_tensor *base, const tt_shape *shape, const int64_t *strides, int64_t offset,
                         tt_tensor **results, size_t *n_results, tt_error *error) {
  return tt_answer_tensor(tt_tensor_view(base, shape, strides, offset, error), results, n_results);
}

tt_tensor *tt_copied(const tt_tensor *source, tt_dtype dtype, tt_error *error) {
  tt_tensor *out = tt_tensor_new(dtype, tt_tensor_shape(source), error);
  if (out && tt_tensor_copy(out, source, error) != TT_OK) {
    tt_tensor_unref(out);
    return NULL;
  }
  return out;
}

tt_tensor *tt_slice_view(const tt_tensor *self, int d, int64_t start, int64_t n, int64_t step, tt_error *error) {
  tt_shape shape = *tt_tensor_shape(self);
  int64_t strides[TT_MAX_DIMS];
  memcpy(strides, self->strides, sizeof strides);
  int64_t offset = n > 0 ? self->offset + start * strides[d] : self->offset;
  shape.dims[d] = n;
  strides[d] *= step;
  return tt_tensor_view(self, &shape, strides, offset, error);
}

tt_tensor *tt_selected_view(const tt_tensor *self, int dim, int64_t index, tt_error *error) {
  tt_shape shape = *tt_tensor_shape(self);
  int64_t strides[TT_MAX_DIMS];
  memcpy(strides, self->strides, sizeof strides);
  int64_t offset = self->offset + index * strides[dim];
  for (int d = dim; d + 1 < shape.n_dims; d++) {
    shape.dims[d] = shape.dims[d + 1];
    strides[d] = strides[d + 1];
  }
  shape.n_dims--;
  return tt_tensor_view(self, &shape, strides, offset, error);
}

tt_shape tt_shape_without_dims(const tt_shape *shape, const bool *flags) {
  tt_shape out = {.n_dims = 0};
  for (int d = 0; d < shape->n_dims; d++) {
    if (!flags[d]) out.dims[out.n_dims++] = shape->dims[d];
  }
  return out;
}

tt_status tt_expanded_shape(const tt_op *op, const tt_shape *self, const int64_t *sizes, int n_sizes, tt_shape *out,
                            tt_error *error) {
  TT_TRY(tt_need_dim_room(op, n_sizes, error));
  int n_new = n_sizes - self->n_dims;
  char text[TT_SHAPE_TEXT_BYTES];
  if (n_new < 0) {
    return tt_fail(error, TT_ERR_SHAPE, "%s: %d sizes are fewer than the dimensions of a tensor of shape %s", op->name, n_sizes,
                   tt_shape_text(self, text));
  }
  tt_shape shape = {.n_dims = n_sizes};
  for (int d = 0; d < n_sizes; d++) {
    int64_t size = sizes[d];
    if (d < n_new && size < 0) {
      return tt_fail(error, TT_ERR_SHAPE, "%s: the size %" PRId64 " is not allowed for the new dimension %d", op->name, size,
                     d);
    }
    if (d >= n_new && size == -1) size = self->dims[d - n_new];
    if (d >= n_new && self->dims[d - n_new] != 1 && self->dims[d - n_new] != size) {
      return tt_fail(error, TT_ERR_SHAPE,
                     "%s: the size %" PRId64 " at dimension %d does not fit the tensor of shape %s, whose size there is not 1",
                     op->name, size, d, tt_shape_text(self, text));
    }
    shape.dims[d] = size;
  }
  return tt_shape_make(shape.dims, (size_t)n_sizes, out, error);
}

tt_status tt_need_dim_room(const tt_op *op, int n_dims, tt_error *error) {
  if (n_dims <= TT_MAX_DIMS) return TT_OK;
  return tt_fail(error, TT_ERR_SHAPE, "%s: the result would have %d dimensions, and at most %d are supported", op->name, n_dims,
                 (int)TT_MAX_DIMS);
}

tt_status tt_need_any_dim(const tt_op *op, const tt_shape *shape, tt_error *error) {
  if (shape->n_dims > 0) return TT_OK;
  return tt_fail(error, TT_ERR_INDEX, "%s cannot be applied to a 0-dimensional tensor", op->name);
}

tt_operand *tt_reshaped_like(tt_rule *rule, tt_operand *x, tt_operand *like) {
  return tt_rule_binary(rule, TT_OP_reshape_as, x, like);
}
