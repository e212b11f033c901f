/* Rows that look for elements: unique, mode, kthvalue, running extremes, counts. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/runs.h"
#include "kernels/sort.h"
#include "ops/compose.h"
#include "ops/define.h"
#include "ops/grad_common.h"
#include "ops/infer_common.h"
#include "ops/rows.h"
#include "ops/terms.h"

static tt_tensor *vector_of(tt_dtype dtype, int64_t n, tt_error *error) {
  return tt_tensor_new(dtype, &(tt_shape){.n_dims = 1, .dims = {n}}, error);
}

/* ---- unique: values, and where asked for the place of each element's value among them, and how often each stands ---- */

enum { UNIQUE_INVERSE = 2, UNIQUE_COUNTS };

INFER(unique) {
  (void)op, (void)error;
  const tt_meta *self = tt_arg_meta(&args[0]);
  size_t n = 0;
  results[n++] = tt_meta_unknown(self->dtype);
  if (args[UNIQUE_INVERSE].as.boolean) results[n++] = (tt_meta){.dtype = TT_DTYPE_I64, .shape = self->shape};
  if (args[UNIQUE_COUNTS].as.boolean) results[n++] = tt_meta_unknown(TT_DTYPE_I64);
  *n_results = n;
  return TT_OK;
}

typedef struct unique_parts {
  tt_tensor *sorted, *order; /* the elements in order and the places they came from */
  tt_tensor *starts;         /* of the runs in `sorted`; room for n */
  tt_tensor *values, *inverse, *counts;
} unique_parts;

static void fill_unique(const unique_parts *parts, int64_t n, int64_t n_runs) {
  const int64_t *starts = tt_tensor_data(parts->starts), *order = tt_tensor_data(parts->order);
  size_t item_bytes = tt_dtype_bytes(tt_tensor_dtype(parts->sorted));
  const uint8_t *from = tt_tensor_data(parts->sorted);
  uint8_t *to = tt_tensor_data(parts->values);
  int64_t *inverse = parts->inverse ? tt_tensor_data(parts->inverse) : NULL,
          *counts = parts->counts ? tt_tensor_data(parts->counts) : NULL;
  for (int64_t run = 0; run < n_runs; run++) {
    int64_t end = run + 1 < n_runs ? starts[run + 1] : n;
    memcpy(to + (size_t)run * item_bytes, from + (size_t)starts[run] * item_bytes, item_bytes);
    if (counts) counts[run] = end - starts[run];
    for (int64_t i = starts[run]; inverse && i < end; i++) inverse[order[i]] = run;
  }
}

KERNEL(unique) {
  (void)op, (void)context, (void)metas;
  tt_tensor *self = tt_arg_tensor(&args[0]);
  int64_t n = tt_tensor_n_elements(self), stride = 1;
  tt_dtype dtype = tt_tensor_dtype(self);
  unique_parts parts = {.sorted = NULL};
  tt_status status = TT_ERR_MEMORY;
  tt_tensor *dense = tt_tensor_contiguous(self, error);
  tt_tensor *line = dense ? tt_tensor_view(dense, &(tt_shape){.n_dims = 1, .dims = {n}}, &stride, dense->offset, error) : NULL;
  parts.sorted = line ? vector_of(dtype, n, error) : NULL;
  parts.order = parts.sorted ? vector_of(TT_DTYPE_I64, n, error) : NULL;
  parts.starts = parts.order ? vector_of(TT_DTYPE_I64, n, error) : NULL;
  if (parts.starts) status = tt_sort(line, 0, false, n, parts.sorted, parts.order, error);
  if (status == TT_OK) {
    int64_t n_runs = n == 0 ? 0 : tt_runs_find(dtype, tt_tensor_data(parts.sorted), n, tt_tensor_data(parts.starts));
    bool has_inverse = args[UNIQUE_INVERSE].as.boolean, has_counts = args[UNIQUE_COUNTS].as.boolean;
    parts.values = vector_of(dtype, n_runs, error);
    parts.inverse = has_inverse ? tt_tensor_new(TT_DTYPE_I64, tt_tensor_shape(self), error) : NULL;
    parts.counts = has_counts ? vector_of(TT_DTYPE_I64, n_runs, error) : NULL;
    if (!parts.values || (has_inverse && !parts.inverse) || (has_counts && !parts.counts)) {
      status = TT_ERR_MEMORY;
    } else {
      fill_unique(&parts, n, n_runs);
    }
  }
  tt_tensor_unref(dense);
  tt_tensor_unref(line);
  tt_tensor_unref(parts.sorted);
  tt_tensor_unref(parts.order);
  tt_tensor_unref(parts.starts);
  if (status != TT_OK) {
    tt_tensor_unref(parts.values);
    tt_tensor_unref(parts.inverse);
    tt_tensor_unref(parts.counts);
    return status;
  }
  size_t n_made = 0;
  results[n_made++] = parts.values;
  if (parts.inverse) results[n_made++] = parts.inverse;
  if (parts.counts) results[n_made++] = parts.counts;
  *n_results = n_made;
  return TT_OK;
}

/* ---- along one dimension ---- */

/* Values and indices over `dim`, in the shape of self with that dimension gone, 1 or as it is. */
static tt_status along_dim(const tt_op *op, const tt_value *args, size_t dim_at, bool keeps_size, bool keepdim,
                           bool needs_elements, tt_meta *results, size_t *n_results, tt_error *error) {
  tt_meta meta = *tt_arg_meta(&args[0]);
  if (tt_shape_is_known(&meta.shape)) {
    int dim;
    TT_TRY(tt_shape_wrap_dim(op->name, args[dim_at].as.integer, meta.shape.n_dims, &dim, error));
    if (meta.shape.n_dims > 0) {
      if (needs_elements && meta.shape.dims[dim] == 0) {
        return tt_fail(error, TT_ERR_INDEX, "%s: dimension %d has no elements to choose from", op->name, dim);
      }
      if (!keeps_size && keepdim) meta.shape.dims[dim] = 1;
      if (!keeps_size && !keepdim) {
        memmove(meta.shape.dims + dim, meta.shape.dims + dim + 1,
                (size_t)(meta.shape.n_dims - 1 - dim) * sizeof meta.shape.dims[0]);
        meta.shape.n_dims--;
      }
    }
  }
  results[0] = results[1] = meta;
  results[1].dtype = TT_DTYPE_I64;
  *n_results = 2;
  return TT_OK;
}

static tt_lines lines_of(const tt_tensor *dense, int dim) {
  const tt_shape *shape = tt_tensor_shape(dense);
  tt_lines lines = {.dtype = tt_tensor_dtype(dense), .outer = 1, .n = 1, .inner = 1, .data = tt_tensor_data(dense)};
  for (int d = 0; d < shape->n_dims; d++) *(d < dim ? &lines.outer : d == dim ? &lines.n : &lines.inner) *= shape->dims[d];
  return lines;
}

/* Two results made together, or none. */
static tt_status answer_pair(tt_status status, tt_tensor *values, tt_tensor *places, tt_tensor **results, size_t *n_results) {
  if (status != TT_OK) {
    tt_tensor_unref(values);
    tt_tensor_unref(places);
    return status;
  }
  results[0] = values;
  results[1] = places;
  *n_results = 2;
  return TT_OK;
}

/* ---- mode: the element that stands most often, the least of several, and the last place where it stands ---- */

INFER(mode) { return along_dim(op, args, 1, false, args[2].as.boolean, true, results, n_results, error); }

/* What stands at places[i] of each line, from dense tensors with lines of n. */
static void pick(const tt_lines *lines, const int64_t *order, const int64_t *places, void *values, int64_t *indices) {
  size_t item_bytes = tt_dtype_bytes(lines->dtype);
  for (int64_t i = 0; i < lines->outer * lines->inner; i++) {
    int64_t at = (i / lines->inner * lines->n + places[i]) * lines->inner + i % lines->inner;
    memcpy((uint8_t *)values + (size_t)i * item_bytes, (const uint8_t *)lines->data + (size_t)at * item_bytes, item_bytes);
    indices[i] = order[at];
  }
}

KERNEL(mode) {
  (void)context;
  const tt_tensor *self = tt_arg_tensor(&args[0]);
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, tt_tensor_n_dims(self), &dim, error));
  int64_t n = tt_tensor_n_dims(self) == 0 ? 1 : tt_tensor_shape(self)->dims[dim];
  tt_tensor *sorted = tt_tensor_new(tt_tensor_dtype(self), tt_tensor_shape(self), error);
  tt_tensor *order = sorted ? tt_tensor_new(TT_DTYPE_I64, tt_tensor_shape(self), error) : NULL;
  tt_tensor *places = order ? tt_tensor_new(TT_DTYPE_I64, &metas[1].shape, error) : NULL;
  tt_tensor *values = places ? tt_tensor_new(metas[0].dtype, &metas[0].shape, error) : NULL;
  tt_tensor *indices = values ? tt_tensor_new(TT_DTYPE_I64, &metas[1].shape, error) : NULL;
  tt_status status = indices ? tt_sort(self, dim, false, n, sorted, order, error) : TT_ERR_MEMORY;
  if (status == TT_OK && tt_tensor_n_elements(values) > 0) {
    tt_lines lines = lines_of(sorted, dim);
    tt_runs_longest(&lines, tt_tensor_data(places));
    pick(&lines, tt_tensor_data(order), tt_tensor_data(places), tt_tensor_data(values), tt_tensor_data(indices));
  }
  tt_tensor_unref(sorted);
  tt_tensor_unref(order);
  tt_tensor_unref(places);
  return answer_pair(status, values, indices, results, n_results);
}

/* The gradient goes to the place that was answered. args: self, dim, keepdim. */
tt_status tt_grad_mode(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  if (call->grads[0] == NULL) return TT_OK;
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *self = call->args[0].as.operand, *grad = call->grads[0], *indices = call->results[1];
  if (!tt_rule_need_shape(&rule, call->op, self)) return rule.status;
  if (self->meta.shape.n_dims == 0) {
    operand_grads[0] = grad;
    return TT_OK;
  }
  if (!call->args[2].as.boolean) {
    grad = TT_RULE(&rule, unsqueeze, tt_operand_value(grad), call->args[1]);
    indices = TT_RULE(&rule, unsqueeze, tt_operand_value(indices), call->args[1]);
  }
  tt_operand *zeros = tt_rule_unary(&rule, TT_OP_zeros_like, self);
  operand_grads[0] =
      TT_RULE(&rule, scatter, tt_operand_value(zeros), call->args[1], tt_operand_value(indices), tt_operand_value(grad));
  return rule.status;
}

/* ---- kthvalue: of the sorted line the k-th, counted from 1 ---- */

TT_PARTS(kthvalue) {
  tt_operand *sorted[TT_MAX_RESULTS];
  int64_t k = args[1].as.integer;
  const tt_operand *self = args[0].as.operand;
  if (self->meta.dtype == TT_DTYPE_BOOL)
    tt_rule_fail(rule, TT_ERR_DTYPE, "%s does not take bool; convert the tensor first", op->name);
  if (!tt_rule_need_shape(rule, op, self)) return 0;
  int dim = 0;
  rule->status = tt_shape_wrap_dim(op->name, args[2].as.integer, self->meta.shape.n_dims, &dim, rule->error);
  int64_t n = self->meta.shape.n_dims == 0 ? 1 : rule->status == TT_OK ? self->meta.shape.dims[dim] : 0;
  if (k < 1 || k > n)
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: k must be from 1 to %" PRId64 ", and is %" PRId64, op->name, n, k);
  tt_value sort_args[] = {args[0], args[2]};
  if (tt_rule_call_all(rule, TT_OP_sort, sort_args, 2, sorted) != 2) return 0;
  for (int i = 0; i < 2; i++) {
    bool is_scalar = self->meta.shape.n_dims == 0;
    results[i] = is_scalar ? sorted[i]
                 : args[3].as.boolean
                     ? TT_RULE(rule, narrow, tt_operand_value(sorted[i]), tt_int(dim), tt_int(k - 1), tt_int(1))
                     : TT_RULE(rule, select, tt_operand_value(sorted[i]), tt_int(dim), tt_int(k - 1));
  }
  return 2;
}
TT_COMPOSE(kthvalue)

/* ---- cummax, cummin ---- */

INFER(cummax) { return along_dim(op, args, 1, true, false, false, results, n_results, error); }

static tt_status run_extremes(const tt_op *op, const tt_value *args, const tt_meta *metas, bool largest, tt_tensor **results,
                              size_t *n_results, tt_error *error) {
  int dim;
  TT_TRY(tt_shape_wrap_dim(op->name, args[1].as.integer, metas[0].shape.n_dims, &dim, error));
  tt_tensor *dense = tt_tensor_contiguous(tt_arg_tensor(&args[0]), error);
  tt_tensor *values = dense ? tt_tensor_new(metas[0].dtype, &metas[0].shape, error) : NULL;
  tt_tensor *places = values ? tt_tensor_new(TT_DTYPE_I64, &metas[0].shape, error) : NULL;
  if (places && tt_tensor_n_elements(places) > 0) {
    tt_lines lines = lines_of(dense, dim);
    tt_runs_extremes(&lines, largest, tt_tensor_data(values), tt_tensor_data(places));
  }
  tt_tensor_unref(dense);
  return answer_pair(places ? TT_OK : TT_ERR_MEMORY, values, places, results, n_results);
}

KERNEL(cummax) {
  (void)context;
  return run_extremes(op, args, metas, true, results, n_results, error);
}

KERNEL(cummin) {
  (void)context;
  return run_extremes(op, args, metas, false, results, n_results, error);
}

tt_status tt_grad_cummax(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) {
  if (call->grads[0] == NULL) return TT_OK;
  tt_rule rule = tt_rule_begin(context, error);
  tt_operand *zeros = tt_rule_unary(&rule, TT_OP_zeros_like, call->args[0].as.operand);
  operand_grads[0] = TT_RULE(&rule, scatter_add, tt_operand_value(zeros), call->args[1], tt_operand_value(call->results[1]),
                             tt_operand_value(call->grads[0]));
  return rule.status;
}

/* ---- bincount, histc ---- */

INFER(bincount) {
  const tt_meta *self = tt_arg_meta(&args[0]);
  bool is_weighted = !tt_arg_is_none(&args[1]);
  if (tt_dtype_is_floating(self->dtype) || self->dtype == TT_DTYPE_BOOL) {
    return tt_fail(error, TT_ERR_DTYPE, "%s counts integers, not %s", op->name, tt_dtype_name(self->dtype));
  }
  if (args[2].as.integer < 0) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: minlength must not be below 0, and is %" PRId64, op->name, args[2].as.integer);
  }
  if (tt_shape_is_known(&self->shape) && self->shape.n_dims != 1) {
    return tt_fail(error, TT_ERR_SHAPE, "%s takes a vector, not a tensor of %d dimensions", op->name, self->shape.n_dims);
  }
  if (is_weighted && tt_shape_is_known(&self->shape) && tt_shape_is_known(&tt_arg_meta(&args[1])->shape) &&
      !tt_shape_equal(&self->shape, &tt_arg_meta(&args[1])->shape)) {
    return tt_fail(error, TT_ERR_SHAPE, "%s: there must be a weight for each element", op->name);
  }
  tt_dtype dtype = !is_weighted ? TT_DTYPE_I64 : tt_arg_meta(&args[1])->dtype == TT_DTYPE_F32 ? TT_DTYPE_F32 : TT_DTYPE_F64;
  return tt_infer_one(tt_meta_unknown(dtype), results, n_results);
}

/* The length of the answer; every element checked. */
static tt_status count_bins(const tt_op *op, const int64_t *at, int64_t n, int64_t at_least, int64_t *n_bins, tt_error *error) {
  int64_t most = at_least;
  for (int64_t i = 0; i < n; i++) {
    if (at[i] < 0 || at[i] >= TT_MAX_ELEMENTS) {
      return tt_fail(error, TT_ERR_ARGUMENT, "%s counts integers from 0 on, but element %" PRId64 " is %" PRId64, op->name, i,
                     at[i]);
    }
    if (at[i] >= most) most = at[i] + 1;
  }
  *n_bins = most;
  return TT_OK;
}

KERNEL(bincount) {
  (void)context;
  int64_t n = tt_tensor_n_elements(tt_arg_tensor(&args[0])), n_bins = 0;
  bool is_weighted = !tt_arg_is_none(&args[1]);
  tt_tensor *elements = tt_tensor_cast(tt_arg_tensor(&args[0]), TT_DTYPE_I64, error);
  tt_tensor *weights = elements && is_weighted ? tt_tensor_cast(tt_arg_tensor(&args[1]), TT_DTYPE_F64, error) : NULL;
  tt_tensor *sums = NULL, *out = NULL;
  tt_status status = !elements || (is_weighted && !weights) ? TT_ERR_MEMORY : TT_OK;
  const int64_t *at = elements ? tt_tensor_data(elements) : NULL;
  if (status == TT_OK) status = count_bins(op, at, n, args[2].as.integer, &n_bins, error);
  if (status == TT_OK) {
    sums = tt_tensor_zeros(is_weighted ? TT_DTYPE_F64 : TT_DTYPE_I64, &(tt_shape){.n_dims = 1, .dims = {n_bins}}, error);
    status = sums ? TT_OK : TT_ERR_MEMORY;
  }
  if (status == TT_OK) {
    const double *weight = is_weighted ? tt_tensor_data(weights) : NULL;
    for (int64_t i = 0; i < n; i++) {
      if (is_weighted) {
        ((double *)tt_tensor_data(sums))[at[i]] += weight[i];
      } else {
        ((int64_t *)tt_tensor_data(sums))[at[i]]++;
      }
    }
    out = tt_tensor_dtype(sums) == metas[0].dtype ? tt_tensor_ref(sums) : tt_tensor_cast(sums, metas[0].dtype, error);
    if (!out) status = TT_ERR_MEMORY;
  }
  tt_tensor_unref(elements);
  tt_tensor_unref(weights);
  tt_tensor_unref(sums);
  if (status != TT_OK) return status;
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}

static double number_of(const tt_value *number) {
  return number->type == TT_VALUE_FLOAT ? number->as.real
         : number->type == TT_VALUE_INT ? (double)number->as.integer
                                        : number->as.boolean;
}

INFER(histc) {
  tt_dtype dtype = tt_arg_meta(&args[0])->dtype;
  double low = number_of(&args[2]), high = number_of(&args[3]);
  TT_TRY(tt_infer_need_floating(op, dtype, error));
  if (args[1].as.integer < 1) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: there must be a bin at least, not %" PRId64, op->name, args[1].as.integer);
  }
  if (!isfinite(low) || !isfinite(high) || high < low) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: the range from %g to %g is none", op->name, low, high);
  }
  tt_meta meta = {.dtype = dtype};
  TT_TRY(tt_shape_make(&args[1].as.integer, 1, &meta.shape, error));
  return tt_infer_one(meta, results, n_results);
}

/* Equal bounds stand for the range of the elements. */
KERNEL(histc) {
  (void)context;
  tt_tensor *elements = tt_tensor_cast(tt_arg_tensor(&args[0]), TT_DTYPE_F64, error);
  tt_tensor *counts = elements ? tt_tensor_zeros(TT_DTYPE_F64, &metas[0].shape, error) : NULL;
  tt_tensor *out = NULL;
  tt_status status = counts ? TT_OK : TT_ERR_MEMORY;
  if (status == TT_OK) {
    const double *x = tt_tensor_data(elements);
    double *count = tt_tensor_data(counts), low = number_of(&args[2]), high = number_of(&args[3]);
    int64_t n = tt_tensor_n_elements(elements), n_bins = args[1].as.integer;
    if (low == high && n > 0) {
      low = high = x[0];
      for (int64_t i = 0; i < n && isfinite(low) && isfinite(high); i++) {
        if (!(x[i] >= low)) low = x[i];
        if (!(x[i] <= high)) high = x[i];
      }
      if (!isfinite(low) || !isfinite(high)) {
        status = tt_fail(error, TT_ERR_ARGUMENT, "%s: the range of the elements is not finite; name one", op->name);
      }
    }
    if (low == high) {
      low -= 1;
      high += 1;
    }
    for (int64_t i = 0; i < n && status == TT_OK; i++) {
      if (!(x[i] >= low && x[i] <= high)) continue;
      double place = (x[i] - low) * (double)n_bins / (high - low);
      /* A range as wide as the numbers themselves: in halves. */
      if (!isfinite(place)) place = (x[i] / 2 - low / 2) / (high / 2 - low / 2) * (double)n_bins;
      int64_t bin = place < (double)n_bins ? (int64_t)place : n_bins - 1;
      count[bin]++;
    }
    out = status == TT_OK ? tt_tensor_cast(counts, metas[0].dtype, error) : NULL;
    if (status == TT_OK && !out) status = TT_ERR_MEMORY;
  }
  tt_tensor_unref(elements);
  tt_tensor_unref(counts);
  if (status != TT_OK) return status;
  results[0] = out;
  *n_results = 1;
  return TT_OK;
}
