#include "tensor/strided.h"

#include <string.h>

void tt_strided_begin(tt_strided *walk, const tt_shape *shape) {
  memset(walk, 0, sizeof *walk);
  walk->n_dims = shape->n_dims;
  for (int i = 0; i < shape->n_dims; i++) {
    walk->dims[i] = shape->dims[i];
    if (shape->dims[i] == 0) walk->is_empty = true;
  }
}

void tt_strided_add(tt_strided *walk, const tt_tensor *tensor) {
  int k = walk->n_operands++;
  int64_t item_bytes = (int64_t)tt_dtype_bytes(tt_tensor_dtype(tensor));
  const tt_shape *shape = tt_tensor_shape(tensor);
  int lead = walk->n_dims - shape->n_dims;
  walk->at[k] = walk->is_empty ? NULL : tt_tensor_data(tensor);
  for (int i = lead; i < walk->n_dims; i++) {
    walk->strides_bytes[k][i] = shape->dims[i - lead] == 1 ? 0 : tensor->strides[i - lead] * item_bytes;
  }
}

static void swap_dims(tt_strided *walk, int i, int j) {
  int64_t dim = walk->dims[i];
  walk->dims[i] = walk->dims[j];
  walk->dims[j] = dim;
  for (int k = 0; k < walk->n_operands; k++) {
    int64_t stride = walk->strides_bytes[k][i];
    walk->strides_bytes[k][i] = walk->strides_bytes[k][j];
    walk->strides_bytes[k][j] = stride;
  }
}

static void move_dim(tt_strided *walk, int from, int to) {
  walk->dims[to] = walk->dims[from];
  for (int k = 0; k < walk->n_operands; k++) walk->strides_bytes[k][to] = walk->strides_bytes[k][from];
}

static bool can_join(const tt_strided *walk, int outer, int inner) {
  for (int k = 0; k < walk->n_operands; k++) {
    if (walk->strides_bytes[k][outer] != walk->strides_bytes[k][inner] * walk->dims[inner]) return false;
  }
  return true;
}

bool tt_strided_start(tt_strided *walk) {
  if (walk->is_empty) return false;
  int n = 0;
  for (int i = 0; i < walk->n_dims; i++) {
    if (walk->dims[i] != 1) move_dim(walk, i, n++);
  }
  for (int i = 1; i < n; i++) {
    for (int j = i; j > 0 && walk->strides_bytes[0][j - 1] < walk->strides_bytes[0][j]; j--) swap_dims(walk, j - 1, j);
  }
  int last = 0;
  for (int i = 1; i < n; i++) {
    if (can_join(walk, last, i)) {
      int64_t outer = walk->dims[last];
      move_dim(walk, i, last);
      walk->dims[last] *= outer;
    } else {
      move_dim(walk, i, ++last);
    }
  }
  if (n == 0) {
    walk->n_inner = 1;
    walk->n_dims = 0;
    return true;
  }
  walk->n_inner = walk->dims[last];
  for (int k = 0; k < walk->n_operands; k++) walk->step_bytes[k] = walk->strides_bytes[k][last];
  walk->n_dims = last;
  return true;
}

bool tt_strided_next(tt_strided *walk) {
  for (int i = walk->n_dims - 1; i >= 0; i--) {
    if (++walk->position[i] < walk->dims[i]) {
      for (int k = 0; k < walk->n_operands; k++) walk->at[k] += walk->strides_bytes[k][i];
      return true;
    }
    walk->position[i] = 0;
    for (int k = 0; k < walk->n_operands; k++) walk->at[k] -= walk->strides_bytes[k][i] * (walk->dims[i] - 1);
  }
  return false;
}
