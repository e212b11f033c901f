#include "tensor/tensor.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "tensor/convert.h"
#include "tensor/strided.h"
#include "tensor/transpose.h"

tt_storage *tt_storage_new(size_t n_bytes, tt_error *error) {
  tt_storage *storage = tt_alloc_object(sizeof *storage);
  if (storage == NULL) goto fail;
  *storage = (tt_storage){.refs = 1, .n_bytes = n_bytes};
  if (n_bytes > 0) {
    storage->bytes = tt_alloc_aligned(n_bytes);
    if (storage->bytes == NULL) goto fail;
  }
  return storage;
fail:
  tt_free_object(storage, sizeof *storage);
  tt_fail(error, TT_ERR_MEMORY, "there is no memory for a tensor of %zu bytes; free tensors or use smaller ones", n_bytes);
  return NULL;
}

tt_storage *tt_storage_ref(tt_storage *storage) {
  storage->refs++;
  return storage;
}

void tt_storage_unref(tt_storage *storage) {
  if (storage == NULL || --storage->refs > 0) return;
  tt_free_aligned(storage->bytes);
  tt_free_object(storage, sizeof *storage);
}

tt_ledger *tt_ledger_new(void) {
  tt_ledger *ledger = tt_alloc(1, sizeof *ledger);
  if (ledger != NULL) ledger->refs = 1;
  return ledger;
}

tt_ledger *tt_ledger_ref(tt_ledger *ledger) {
  ledger->refs++;
  return ledger;
}

void tt_ledger_unref(tt_ledger *ledger) {
  if (ledger != NULL && --ledger->refs == 0) tt_free(ledger);
}

void tt_storage_hold(tt_storage *storage, tt_ledger *ledger) {
  tt_storage_ref(storage);
  if (storage->n_holds++ == 0) ledger->n_bytes += storage->n_bytes;
}

void tt_storage_unhold(tt_storage *storage, tt_ledger *ledger) {
  if (--storage->n_holds == 0) ledger->n_bytes -= storage->n_bytes;
  tt_storage_unref(storage);
}

void *tt_tensor_data(const tt_tensor *tensor) {
  static double nothing; /* so that an empty tensor's data is a pointer like any other */
  if (tensor->storage->bytes == NULL) return &nothing;
  return tensor->storage->bytes + tensor->offset * (int64_t)tt_dtype_bytes(tt_tensor_dtype(tensor));
}

int64_t tt_tensor_n_elements(const tt_tensor *tensor) { return tt_shape_n_elements(tt_tensor_shape(tensor)); }

bool tt_tensor_is_contiguous(const tt_tensor *tensor) {
  const tt_shape *shape = tt_tensor_shape(tensor);
  if (tt_shape_n_elements(shape) == 0) return true;
  int64_t expected = 1;
  for (int i = shape->n_dims - 1; i >= 0; i--) {
    if (shape->dims[i] == 1) continue;
    if (tensor->strides[i] != expected) return false;
    expected *= shape->dims[i];
  }
  return true;
}

static void set_contiguous_strides(tt_tensor *tensor) {
  const tt_shape *shape = tt_tensor_shape(tensor);
  int64_t stride = 1;
  for (int i = shape->n_dims - 1; i >= 0; i--) {
    tensor->strides[i] = stride;
    stride *= shape->dims[i] > 0 ? shape->dims[i] : 1;
  }
}

tt_tensor *tt_tensor_new(tt_dtype dtype, const tt_shape *shape, tt_error *error) {
  if (!tt_shape_is_known(shape)) {
    tt_fail(error, TT_ERR_SHAPE, "a tensor needs a known shape, not [?]");
    return NULL;
  }
  if (tt_shape_check(shape->dims, (size_t)shape->n_dims, error) != TT_OK) return NULL;
  int64_t n_bytes = tt_shape_n_elements(shape) * (int64_t)tt_dtype_bytes(dtype);
  tt_tensor *tensor = tt_alloc_object(sizeof *tensor);
  if (tensor == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "there is no memory for a tensor");
    return NULL;
  }
  if ((uint64_t)n_bytes > SIZE_MAX / 2) {
    tt_fail(error, TT_ERR_MEMORY, "a tensor of %" PRId64 " bytes is more than this machine can address", n_bytes);
  } else {
    tensor->storage = tt_storage_new((size_t)n_bytes, error);
  }
  if (tensor->storage == NULL) {
    tt_free_object(tensor, sizeof *tensor);
    return NULL;
  }
  tensor->refs = 1;
  tensor->operand.meta.dtype = dtype;
  tt_shape_copy(&tensor->operand.meta.shape, shape);
  set_contiguous_strides(tensor);
  return tensor;
}

tt_tensor *tt_tensor_zeros(tt_dtype dtype, const tt_shape *shape, tt_error *error) {
  tt_tensor *tensor = tt_tensor_new(dtype, shape, error);
  if (tensor != NULL && tensor->storage->n_bytes > 0) memset(tensor->storage->bytes, 0, tensor->storage->n_bytes);
  return tensor;
}

tt_tensor *tt_tensor_from_bytes(tt_dtype dtype, const tt_shape *shape, const void *bytes, tt_error *error) {
  tt_tensor *tensor = tt_tensor_new(dtype, shape, error);
  if (tensor == NULL || tensor->storage->n_bytes == 0) return tensor;
  if (dtype == TT_DTYPE_BOOL) {
    tt_convert(TT_DTYPE_BOOL, TT_DTYPE_U8)(tensor->storage->bytes, 1, bytes, 1, (int64_t)tensor->storage->n_bytes);
  } else {
    memcpy(tensor->storage->bytes, bytes, tensor->storage->n_bytes);
  }
  return tensor;
}

tt_tensor *tt_tensor_view(const tt_tensor *base, const tt_shape *shape, const int64_t *strides, int64_t offset,
                          tt_error *error) {
  tt_tensor *view = tt_alloc_object(sizeof *view);
  if (view == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "there is no memory for a view");
    return NULL;
  }
  view->operand.meta.dtype = tt_tensor_dtype(base);
  tt_shape_copy(&view->operand.meta.shape, shape);
  view->refs = 1;
  for (int i = 0; i < shape->n_dims; i++) view->strides[i] = strides[i];
  view->offset = offset;
  view->storage = tt_storage_ref(base->storage);
  return view;
}

tt_tensor *tt_tensor_ref(tt_tensor *tensor) {
  tensor->refs++;
  return tensor;
}

void tt_tensor_unref(tt_tensor *tensor) {
  if (tensor == NULL || --tensor->refs > 0) return;
  tt_storage_unref(tensor->storage);
  tt_free_object(tensor, sizeof *tensor);
}

/* The dimension along which the source lies dense where the target does so along the inner one; -1: there is none. */
static int find_crossing(tt_strided *walk, int64_t item_bytes) {
  enum { LEAST = 4 }; /* elements across, from which on tiles pay */
  if (walk->step_bytes[0] != item_bytes || walk->step_bytes[1] == item_bytes || walk->n_inner < LEAST) return -1;
  for (int d = 0; d < walk->n_dims; d++) {
    if (walk->strides_bytes[1][d] == item_bytes && walk->dims[d] >= LEAST) return d;
  }
  return -1;
}

/* Target and source do not overlap, and source's shape broadcasts to target's. */
static void copy_elements(tt_tensor *target, const tt_tensor *source) {
  tt_convert_fn *convert = tt_convert(tt_tensor_dtype(target), tt_tensor_dtype(source));
  tt_strided walk;
  tt_strided_begin(&walk, tt_tensor_shape(target));
  tt_strided_add(&walk, target);
  tt_strided_add(&walk, source);
  bool more = tt_strided_start(&walk);
  size_t item_bytes = tt_dtype_bytes(tt_tensor_dtype(target));
  int crossing = more && tt_tensor_dtype(target) == tt_tensor_dtype(source) ? find_crossing(&walk, (int64_t)item_bytes) : -1;
  if (crossing >= 0) {
    int64_t n_rows = walk.dims[crossing], to_step = walk.strides_bytes[0][crossing];
    walk.dims[crossing] = 1;
    for (; more; more = tt_strided_next(&walk)) {
      tt_transpose(item_bytes, walk.at[0], to_step, walk.at[1], walk.step_bytes[1], n_rows, walk.n_inner);
    }
    return;
  }
  for (; more; more = tt_strided_next(&walk))
    convert(walk.at[0], walk.step_bytes[0], walk.at[1], walk.step_bytes[1], walk.n_inner);
}

tt_tensor *tt_tensor_cast(const tt_tensor *tensor, tt_dtype dtype, tt_error *error) {
  tt_tensor *copy = tt_tensor_new(dtype, tt_tensor_shape(tensor), error);
  if (copy != NULL) copy_elements(copy, tensor);
  return copy;
}

tt_tensor *tt_tensor_contiguous(tt_tensor *tensor, tt_error *error) {
  if (tt_tensor_is_contiguous(tensor)) return tt_tensor_ref(tensor);
  return tt_tensor_cast(tensor, tt_tensor_dtype(tensor), error);
}

tt_status tt_tensor_copy(tt_tensor *target, const tt_tensor *source, tt_error *error) {
  tt_shape both;
  tt_status status = tt_shape_broadcast("copy", tt_tensor_shape(target), tt_tensor_shape(source), &both, NULL);
  if (status != TT_OK || !tt_shape_equal(&both, tt_tensor_shape(target))) {
    char text_target[TT_SHAPE_TEXT_BYTES], text_source[TT_SHAPE_TEXT_BYTES];
    return tt_fail(error, TT_ERR_SHAPE, "copy: the shape %s does not broadcast to the target's %s",
                   tt_shape_text(tt_tensor_shape(source), text_source), tt_shape_text(tt_tensor_shape(target), text_target));
  }
  if (target->storage != source->storage) {
    copy_elements(target, source);
    return TT_OK;
  }
  tt_tensor *apart = tt_tensor_cast(source, tt_tensor_dtype(target), error);
  if (apart == NULL) return TT_ERR_MEMORY;
  copy_elements(target, apart);
  tt_tensor_unref(apart);
  return TT_OK;
}

static tt_status check_single(const tt_tensor *tensor, tt_error *error) {
  if (tt_tensor_n_elements(tensor) == 1) return TT_OK;
  char text[TT_SHAPE_TEXT_BYTES];
  return tt_fail(error, TT_ERR_SHAPE, "item: a tensor of shape %s has %" PRId64 " elements; only one element is a number",
                 tt_shape_text(tt_tensor_shape(tensor), text), tt_tensor_n_elements(tensor));
}

tt_status tt_tensor_item_f64(const tt_tensor *tensor, double *value, tt_error *error) {
  TT_TRY(check_single(tensor, error));
  tt_convert(TT_DTYPE_F64, tt_tensor_dtype(tensor))(value, 0, tt_tensor_data(tensor), 0, 1);
  return TT_OK;
}

tt_status tt_tensor_item_i64(const tt_tensor *tensor, int64_t *value, tt_error *error) {
  TT_TRY(check_single(tensor, error));
  tt_convert(TT_DTYPE_I64, tt_tensor_dtype(tensor))(value, 0, tt_tensor_data(tensor), 0, 1);
  return TT_OK;
}
