#include "ops/inplace.h"

#include <string.h>

tt_status tt_inplace_check(const tt_op *op, const tt_meta *self, const tt_meta *result, tt_error *error) {
  if (!tt_dtype_can_cast(result->dtype, self->dtype)) {
    return tt_fail(error, TT_ERR_DTYPE, "%s: result type %s can't be cast to the desired output type %s", op->name,
                   tt_dtype_name(result->dtype), tt_dtype_name(self->dtype));
  }
  bool is_known = tt_shape_is_known(&self->shape) && tt_shape_is_known(&result->shape);
  if (is_known && !tt_shape_equal(&self->shape, &result->shape)) {
    char text_self[TT_SHAPE_TEXT_BYTES], text_result[TT_SHAPE_TEXT_BYTES];
    return tt_fail(error, TT_ERR_SHAPE, "%s: output with shape %s doesn't match the broadcast shape %s", op->name,
                   tt_shape_text(&self->shape, text_self), tt_shape_text(&result->shape, text_result));
  }
  return TT_OK;
}

/* The span of elements a view may touch, in bytes from the storage's start; false when it touches none. */
static bool span(const tt_tensor *tensor, int64_t *first, int64_t *end) {
  const tt_shape *shape = tt_tensor_shape(tensor);
  int64_t item_bytes = (int64_t)tt_dtype_bytes(tt_tensor_dtype(tensor));
  int64_t last = tensor->offset;
  for (int i = 0; i < shape->n_dims; i++) {
    if (shape->dims[i] == 0) return false;
    last += (shape->dims[i] - 1) * tensor->strides[i];
  }
  *first = tensor->offset * item_bytes;
  *end = (last + 1) * item_bytes;
  return true;
}

static bool is_same_view(const tt_tensor *a, const tt_tensor *b) {
  if (tt_tensor_dtype(a) != tt_tensor_dtype(b) || a->offset != b->offset) return false;
  const tt_shape *shape = tt_tensor_shape(a);
  if (!tt_shape_equal(shape, tt_tensor_shape(b))) return false;
  for (int i = 0; i < shape->n_dims; i++) {
    if (shape->dims[i] != 1 && a->strides[i] != b->strides[i]) return false;
  }
  return true;
}

static bool overlaps(const tt_tensor *self, const tt_tensor *other) {
  if (self->storage != other->storage || is_same_view(self, other)) return false;
  int64_t first_a, end_a, first_b, end_b;
  if (!span(self, &first_a, &end_a) || !span(other, &first_b, &end_b)) return false;
  return first_a < end_b && first_b < end_a;
}

static bool lies_over_itself(const tt_tensor *tensor) {
  const tt_shape *shape = tt_tensor_shape(tensor);
  if (tt_shape_n_elements(shape) == 0) return false;
  for (int i = 0; i < shape->n_dims; i++) {
    if (shape->dims[i] > 1 && tensor->strides[i] == 0) return true;
  }
  return false;
}

tt_status tt_inplace_check_apart(const tt_op *op, const char *param, const tt_tensor *written, tt_error *error) {
  if (!lies_over_itself(written)) return TT_OK;
  return tt_fail(
      error, TT_ERR_ARGUMENT,
      "%s: more than one element of %s refers to a single memory location; please clone() it before it is written to", op->name,
      param);
}

tt_status tt_inplace_begin(const tt_op *op, tt_value *bound, tt_inplace_guard *guard, tt_error *error) {
  *guard = (tt_inplace_guard){.copies = {NULL}};
  const tt_tensor *self = (const tt_tensor *)(const void *)bound[0].as.operand;
  if (lies_over_itself(self)) {
    return tt_fail(
        error, TT_ERR_ARGUMENT,
        "%s: unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
        "Please clone() the tensor before performing the operation.",
        op->name);
  }
  for (size_t i = 1; i < op->n_params; i++) {
    if (bound[i].type != TT_VALUE_OPERAND) continue;
    const tt_tensor *other = (const tt_tensor *)(const void *)bound[i].as.operand;
    if (!overlaps(self, other)) continue;
    guard->copies[i] = tt_tensor_cast(other, tt_tensor_dtype(other), error);
    if (guard->copies[i] == NULL) {
      tt_inplace_end(guard);
      return TT_ERR_MEMORY;
    }
    bound[i].as.operand = &guard->copies[i]->operand;
  }
  return TT_OK;
}

void tt_inplace_end(tt_inplace_guard *guard) {
  for (size_t i = 0; i < TT_MAX_PARAMS; i++) tt_tensor_unref(guard->copies[i]);
  *guard = (tt_inplace_guard){.copies = {NULL}};
}
