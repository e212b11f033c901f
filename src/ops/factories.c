/*
 * factories: tensors made from numbers, and tensors like others. Nothing here leaves an element uninitialised.
 *
 * arange and linspace follow PyTorch in what they compute in (int64 for integers, double or the dtype itself for floats), since
 * that decides how many elements there are and how they are rounded.
 */
#include <inttypes.h>
#include <math.h>

#include "ops/define.h"
#include "ops/infer_common.h"
#include "ops/promote.h"
#include "ops/rows.h"
#include "tensor/convert.h"

enum { BLOCK = 256 };

static tt_dtype dtype_or(const tt_value *arg, tt_dtype otherwise) { return tt_arg_is_none(arg) ? otherwise : arg->as.dtype; }

static tt_status sized(const tt_op *op, const int64_t *dims, size_t n_dims, tt_dtype dtype, tt_meta *results, size_t *n_results,
                       tt_error *error) {
  tt_meta meta = {.dtype = dtype};
  tt_status status = tt_shape_make(dims, n_dims, &meta.shape, error);
  if (status == TT_OK) return tt_infer_one(meta, results, n_results);
  tt_error_prefix(error, "%s", op->name);
  return status;
}

/* zeros, ones */
INFER(sized) { return sized(op, args[0].as.ints, args[0].n, dtype_or(&args[1], TT_DTYPE_F32), results, n_results, error); }

INFER(full) {
  return sized(op, args[0].as.ints, args[0].n, dtype_or(&args[2], tt_scalar_dtype(&args[1])), results, n_results, error);
}

/* zeros_like, ones_like */
INFER(like) {
  (void)op;
  (void)error;
  tt_meta meta = *tt_arg_meta(&args[0]);
  meta.dtype = dtype_or(&args[1], meta.dtype);
  return tt_infer_one(meta, results, n_results);
}

INFER(full_like) {
  (void)op;
  (void)error;
  tt_meta meta = *tt_arg_meta(&args[0]);
  meta.dtype = dtype_or(&args[2], meta.dtype);
  return tt_infer_one(meta, results, n_results);
}

INFER(eye) {
  int64_t n = args[0].as.integer;
  int64_t dims[] = {n, tt_arg_is_none(&args[1]) ? n : args[1].as.integer};
  return sized(op, dims, 2, dtype_or(&args[2], TT_DTYPE_F32), results, n_results, error);
}

static tt_status answer_new(tt_tensor *tensor, tt_tensor **results, size_t *n_results) {
  if (tensor == NULL) return TT_ERR_MEMORY;
  results[0] = tensor;
  *n_results = 1;
  return TT_OK;
}

static tt_status filled(const tt_op *op, const tt_value *value, const tt_meta *meta, tt_tensor **results, size_t *n_results,
                        tt_error *error) {
  _Alignas(8) uint8_t item[8];
  TT_TRY(tt_scalar_store_checked(op, value, meta->dtype, item, error));
  tt_tensor *tensor = tt_tensor_new(meta->dtype, &meta->shape, error);
  if (tensor == NULL) return TT_ERR_MEMORY;
  tt_convert(meta->dtype, meta->dtype)(tt_tensor_data(tensor), (int64_t)tt_dtype_bytes(meta->dtype), item, 0,
                                       tt_tensor_n_elements(tensor));
  return answer_new(tensor, results, n_results);
}

KERNEL(zeros) {
  (void)op;
  (void)context;
  (void)args;
  return answer_new(tt_tensor_zeros(metas[0].dtype, &metas[0].shape, error), results, n_results);
}

KERNEL(ones) {
  (void)context;
  (void)args;
  return filled(op, &(tt_value){.type = TT_VALUE_INT, .as.integer = 1}, &metas[0], results, n_results, error);
}

KERNEL(full) {
  (void)context;
  return filled(op, &args[1], &metas[0], results, n_results, error);
}

KERNEL(eye) {
  (void)op;
  (void)context;
  (void)args;
  tt_tensor *tensor = tt_tensor_zeros(metas[0].dtype, &metas[0].shape, error);
  if (tensor == NULL) return TT_ERR_MEMORY;
  int64_t n_rows = metas[0].shape.dims[0], n_columns = metas[0].shape.dims[1];
  int64_t item_bytes = (int64_t)tt_dtype_bytes(metas[0].dtype), one = 1;
  tt_convert(metas[0].dtype, TT_DTYPE_I64)(tt_tensor_data(tensor), (n_columns + 1) * item_bytes, &one, 0,
                                           n_rows < n_columns ? n_rows : n_columns);
  return answer_new(tensor, results, n_results);
}

/* arange */

static double number(const tt_value *scalar) {
  if (scalar->type == TT_VALUE_FLOAT) return scalar->as.real;
  return scalar->type == TT_VALUE_INT ? (double)scalar->as.integer : (double)scalar->as.boolean;
}

static int64_t whole_number(const tt_value *scalar) {
  int64_t integer;
  tt_scalar_store(scalar, TT_DTYPE_I64, &integer);
  return integer;
}

typedef struct range {
  tt_value start, end, step; /* arange(end) starts at 0 */
  tt_dtype dtype;
} range;

static range range_of(const tt_value *args) {
  bool is_end_alone = tt_arg_is_none(&args[1]);
  range bounds = {.start = is_end_alone ? tt_int(0) : args[0], .end = is_end_alone ? args[0] : args[1], .step = args[2]};
  bool is_integral =
      bounds.start.type != TT_VALUE_FLOAT && bounds.end.type != TT_VALUE_FLOAT && bounds.step.type != TT_VALUE_FLOAT;
  bounds.dtype = dtype_or(&args[3], is_integral ? TT_DTYPE_I64 : TT_DTYPE_F32);
  return bounds;
}

INFER(arange) {
  range bounds = range_of(args);
  if (bounds.dtype == TT_DTYPE_BOOL) return tt_fail(error, TT_ERR_DTYPE, "%s is not implemented for bool", op->name);
  double start = number(&bounds.start), end = number(&bounds.end), step = number(&bounds.step);
  if (!isfinite(start) || !isfinite(end)) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: unsupported range: %g -> %g", op->name, start, end);
  }
  bool is_integral = !tt_dtype_is_floating(bounds.dtype);
  if (isnan(step) || step == 0.0 || (is_integral && whole_number(&bounds.step) == 0)) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: step must be nonzero", op->name);
  }
  double first = is_integral ? (double)whole_number(&bounds.start) : start;
  double last = is_integral ? (double)whole_number(&bounds.end) : end;
  if (step > 0 ? last < first : last > first) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: the bounds %g and %g are inconsistent with the sign of the step %g", op->name,
                   start, end, step);
  }
  double size = ceil((end - start) / step);
  if (bounds.dtype == TT_DTYPE_I64) {
    double distance = (double)(int64_t)((uint64_t)whole_number(&bounds.end) - (uint64_t)whole_number(&bounds.start));
    size = ceil(distance / (double)whole_number(&bounds.step));
  }
  if (!(size >= 0 && size <= (double)TT_MAX_ELEMENTS)) {
    return tt_fail(error, TT_ERR_SHAPE, "%s: a range of %g elements is longer than a tensor can be", op->name, size);
  }
  int64_t n = (int64_t)size;
  return sized(op, &n, 1, bounds.dtype, results, n_results, error);
}

KERNEL(arange) {
  (void)op;
  (void)context;
  range bounds = range_of(args);
  tt_tensor *tensor = tt_tensor_new(metas[0].dtype, &metas[0].shape, error);
  if (tensor == NULL) return TT_ERR_MEMORY;
  bool is_integral = !tt_dtype_is_floating(bounds.dtype);
  int64_t item_bytes = (int64_t)tt_dtype_bytes(bounds.dtype), n_elements = tt_tensor_n_elements(tensor);
  uint8_t *to = tt_tensor_data(tensor);
  double start = number(&bounds.start), step = number(&bounds.step);
  uint64_t whole_start = (uint64_t)whole_number(&bounds.start), whole_step = (uint64_t)whole_number(&bounds.step);
  for (int64_t first = 0; first < n_elements; first += BLOCK) {
    int64_t n = n_elements - first < BLOCK ? n_elements - first : BLOCK;
    int64_t integers[BLOCK];
    double reals[BLOCK];
    for (int64_t i = 0; i < n; i++) {
      if (is_integral) {
        integers[i] = (int64_t)(whole_start + (uint64_t)(first + i) * whole_step);
      } else {
        reals[i] = start + (double)(first + i) * step;
      }
    }
    const void *from = is_integral ? (const void *)integers : (const void *)reals;
    tt_convert(bounds.dtype, is_integral ? TT_DTYPE_I64 : TT_DTYPE_F64)(to + first * item_bytes, item_bytes, from, 8, n);
  }
  return answer_new(tensor, results, n_results);
}

/* linspace */

INFER(linspace) {
  tt_dtype dtype = dtype_or(&args[3], TT_DTYPE_F32);
  if (dtype == TT_DTYPE_BOOL) return tt_fail(error, TT_ERR_DTYPE, "%s is not implemented for bool", op->name);
  if (args[2].as.integer < 0) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: number of steps must be non-negative, not %" PRId64, op->name,
                   args[2].as.integer);
  }
  return sized(op, &args[2].as.integer, 1, dtype, results, n_results, error);
}

/* From both ends to the middle, so that the last element is the end exactly. */
KERNEL(linspace) {
  (void)context;
  tt_dtype dtype = metas[0].dtype;
  _Alignas(8) uint8_t first_item[8], last_item[8];
  TT_TRY(tt_scalar_store_checked(op, &args[0], dtype, first_item, error));
  TT_TRY(tt_scalar_store_checked(op, &args[1], dtype, last_item, error));
  tt_tensor *tensor = tt_tensor_new(dtype, &metas[0].shape, error);
  if (tensor == NULL) return TT_ERR_MEMORY;
  double start, end;
  tt_convert(TT_DTYPE_F64, dtype)(&start, 0, first_item, 0, 1);
  tt_convert(TT_DTYPE_F64, dtype)(&end, 0, last_item, 0, 1);
  int64_t n = tt_tensor_n_elements(tensor), item_bytes = (int64_t)tt_dtype_bytes(dtype);
  bool is_single = dtype == TT_DTYPE_F32;
  double step = n < 2       ? 0.0
                : is_single ? (double)(((float)end - (float)start) / (float)(n - 1))
                            : (end - start) / (double)(n - 1);
  uint8_t *to = tt_tensor_data(tensor);
  for (int64_t i = 0; i < n; i++) {
    bool is_first_half = i < n / 2 || n == 1;
    double value = is_first_half ? start + step * (double)i : end - step * (double)(n - 1 - i);
    tt_convert_f64(to + i * item_bytes, dtype, value);
  }
  return answer_new(tensor, results, n_results);
}
