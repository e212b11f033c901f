#include "kernels/reduce.h"

#include <math.h>
#include <string.h>

#include "base/loop.h"
#include "kernels/row_f32.h"

enum {
  TILE = 128,       /* outputs whose states are kept on the stack at once */
  ROWS = 32,        /* rows of a tile that stay in the first cache */
  LANES = 16,       /* independent sums, so that the loop is vectors and not one chain of additions */
  STATE_BYTES = 16, /* of the largest state */
};

/* One pass over the elements. Along: n elements to one state. Across: row r, column c goes to state c; NULL when a loop over
 * `along` does as well. */
typedef struct fold_pass {
  void (*along)(const void *data, int64_t n, int64_t stride, int64_t first_index, void *state, double parameter);
  void (*across)(const void *data, int64_t n_rows, int64_t row_stride, int64_t n_columns, void *states);
} fold_pass;

typedef struct fold_type {
  size_t state_bytes;
  int n_passes;
  fold_pass passes[2];
  void (*start)(void *states, int64_t n);
  void (*turn)(void *states, int64_t n, int64_t n_reduced); /* between the passes */
} fold_type;

/* Where results go, and what a finish needs to know. */
typedef struct fold_sink {
  void (*finish)(const struct fold_sink *sink, const void *states, int64_t n, int64_t first_output);
  void *out;
  int64_t *indices;
  tt_dtype dtype; /* of out */
  int64_t n_reduced;
  double parameter;
  bool take_sqrt;
} fold_sink;

static void append_dim(int *n_dims, int64_t *sizes, int64_t *strides, int64_t size, int64_t stride) {
  if (size == 1) return;
  if (*n_dims > 0 && strides[*n_dims - 1] == size * stride) {
    sizes[*n_dims - 1] *= size;
    strides[*n_dims - 1] = stride;
    return;
  }
  sizes[*n_dims] = size;
  strides[*n_dims] = stride;
  ++*n_dims;
}

tt_reduction tt_reduction_of(const tt_tensor *input, const bool *is_reduced, bool keep_order) {
  const tt_shape *shape = tt_tensor_shape(input);
  tt_reduction reduction = {.data = tt_tensor_data(input), .dtype = tt_tensor_dtype(input), .n_outputs = 1, .n_reduced = 1};
  int order[TT_MAX_DIMS];
  int n_reduced_dims = 0;
  for (int d = 0; d < shape->n_dims; d++) {
    if (is_reduced[d]) {
      int at = n_reduced_dims++;
      while (!keep_order && at > 0 && input->strides[order[at - 1]] < input->strides[d]) {
        order[at] = order[at - 1];
        at--;
      }
      order[at] = d;
      reduction.n_reduced *= shape->dims[d];
    } else {
      reduction.n_outputs *= shape->dims[d];
      append_dim(&reduction.n_outer, reduction.outer_sizes, reduction.outer_strides, shape->dims[d], input->strides[d]);
    }
  }
  for (int i = 0; i < n_reduced_dims; i++) {
    append_dim(&reduction.n_inner, reduction.inner_sizes, reduction.inner_strides, shape->dims[order[i]],
               input->strides[order[i]]);
  }
  if (reduction.n_inner == 0) {
    reduction.n_inner = 1;
    reduction.inner_sizes[0] = 1;
  }
  return reduction;
}

/* Steps a row-major counter over n_dims dimensions and moves `at` with it; false when it has come round. */
static TT_SHORT bool step(int n_dims, const int64_t *sizes, const int64_t *strides, size_t element_bytes, int64_t *counter,
                          const uint8_t **at) {
  for (int d = n_dims - 1; d >= 0; d--) {
    *at += strides[d] * (int64_t)element_bytes;
    if (++counter[d] < sizes[d]) return true;
    *at -= sizes[d] * strides[d] * (int64_t)element_bytes;
    counter[d] = 0;
  }
  return false;
}

/* Runs one pass over all reduced elements of n outputs that lie `stride` elements apart. */
static void run_pass(const fold_type *fold, const fold_pass *pass, const tt_reduction *reduction, const uint8_t *data,
                     int64_t n, int64_t stride, double parameter, void *states) {
  size_t element_bytes = tt_dtype_bytes(reduction->dtype);
  int last = reduction->n_inner - 1;
  int64_t n_rows = reduction->inner_sizes[last];
  int64_t row_stride = reduction->inner_strides[last];
  int64_t counter[TT_MAX_DIMS] = {0};
  int64_t first_index = 0;
  do {
    if (n == 1) {
      pass->along(data, n_rows, row_stride, first_index, states, parameter);
    } else {
      for (int64_t row = 0; row < n_rows; row += ROWS) {
        int64_t n_block = n_rows - row < ROWS ? n_rows - row : ROWS;
        const uint8_t *block = data + row * row_stride * (int64_t)element_bytes;
        if (pass->across && stride == 1) {
          pass->across(block, n_block, row_stride, n, states);
          continue;
        }
        for (int64_t c = 0; c < n; c++) {
          pass->along(block + c * stride * (int64_t)element_bytes, n_block, row_stride, first_index + row,
                      (uint8_t *)states + (size_t)c * fold->state_bytes, parameter);
        }
      }
    }
    first_index += n_rows;
  } while (step(last, reduction->inner_sizes, reduction->inner_strides, element_bytes, counter, &data));
}

static TT_SHORT void run(const fold_type *fold, const tt_reduction *reduction, const fold_sink *sink) {
  if (reduction->n_outputs == 0) return;
  size_t element_bytes = tt_dtype_bytes(reduction->dtype);
  int last_outer = reduction->n_outer - 1;
  int64_t last_inner_stride = reduction->inner_strides[reduction->n_inner - 1];
  /* Across only where neighbouring outputs are nearer in memory than neighbouring elements of one output. */
  bool is_across = last_outer >= 0 && reduction->outer_strides[last_outer] < last_inner_stride;
  int n_walked = is_across ? last_outer : reduction->n_outer;
  int64_t n_columns = is_across ? reduction->outer_sizes[last_outer] : 1;
  int64_t column_stride = is_across ? reduction->outer_strides[last_outer] : 0;

  union {
    max_align_t align;
    uint8_t bytes[TILE * STATE_BYTES];
  } states;
  int64_t counter[TT_MAX_DIMS] = {0};
  const uint8_t *data = reduction->data;
  int64_t output = 0;
  do {
    for (int64_t column = 0; column < n_columns; column += TILE) {
      int64_t n = n_columns - column < TILE ? n_columns - column : TILE;
      fold->start(states.bytes, n);
      for (int p = 0; p < fold->n_passes; p++) {
        if (p > 0) fold->turn(states.bytes, n, reduction->n_reduced);
        if (reduction->n_reduced == 0) continue;
        run_pass(fold, &fold->passes[p], reduction, data + column * column_stride * (int64_t)element_bytes, n, column_stride,
                 sink->parameter, states.bytes);
      }
      sink->finish(sink, states.bytes, n, output);
      output += n;
    }
  } while (step(n_walked, reduction->outer_sizes, reduction->outer_strides, element_bytes, counter, &data));
}

static TT_SHORT void store_f64(tt_dtype dtype, void *out, int64_t index, double value) {
  if (dtype == TT_DTYPE_F32) {
    ((float *)out)[index] = (float)value;
  } else {
    ((double *)out)[index] = value;
  }
}

static TT_SHORT void store_u64(tt_dtype dtype, void *out, int64_t index, uint64_t value) {
  switch (dtype) {
  case TT_DTYPE_BOOL:
    ((uint8_t *)out)[index] = value != 0;
    break;
  case TT_DTYPE_U8:
    ((uint8_t *)out)[index] = (uint8_t)value;
    break;
  case TT_DTYPE_I32:
    ((int32_t *)out)[index] = (int32_t)(uint32_t)value;
    break;
  default:
    ((int64_t *)out)[index] = (int64_t)value;
    break;
  }
}

static TT_SHORT void start_zeros(void *states, int64_t n) { memset(states, 0, (size_t)n * sizeof(uint64_t)); }

/* How the loops of a dtype are compiled. */
#define SPEED_f32
#define SPEED_f64 TT_SHORT
#define SPEED_i64 TT_SHORT
#define SPEED_i32 TT_SHORT
#define SPEED_u8 TT_SHORT

/* Sums. */

static inline double row_sum_f32(const float *x, int64_t n) { return tt_row_sum_f32(x, n); }

static TT_SHORT double row_sum_f64(const double *x, int64_t n) {
  double lanes[4] = {0};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (int l = 0; l < 4; l++) lanes[l] += x[i + l];
  }
  for (; i < n; i++) lanes[0] += x[i];
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

#define DEFINE_FLOATING_SUM(suffix, type)                                                                                 \
  static TT_SHORT void sum_along_##suffix(const void *data, int64_t n, int64_t stride, int64_t first_index, void *state,  \
                                          double parameter) {                                                             \
    (void)first_index, (void)parameter;                                                                                   \
    const type *x = data;                                                                                                 \
    double sum = 0;                                                                                                       \
    if (stride == 1) {                                                                                                    \
      sum = row_sum_##suffix(x, n);                                                                                       \
    } else {                                                                                                              \
      for (int64_t i = 0; i < n; i++) sum += (double)x[i * stride];                                                       \
    }                                                                                                                     \
    *(double *)state += sum;                                                                                              \
  }                                                                                                                       \
  static SPEED_##suffix void sum_across_##suffix(const void *data, int64_t n_rows, int64_t row_stride, int64_t n_columns, \
                                                 void *states) {                                                          \
    const type *x = data;                                                                                                 \
    double *sums = states;                                                                                                \
    type block[TILE] = {0};                                                                                               \
    for (int64_t r = 0; r < n_rows; r++, x += row_stride) {                                                               \
      for (int64_t c = 0; c < n_columns; c++) block[c] += x[c];                                                           \
    }                                                                                                                     \
    for (int64_t c = 0; c < n_columns; c++) sums[c] += (double)block[c];                                                  \
  }
DEFINE_FLOATING_SUM(f32, float)
DEFINE_FLOATING_SUM(f64, double)

#define DEFINE_INTEGRAL_SUM(suffix, type)                                                                                      \
  static SPEED_##suffix void sum_along_##suffix(const void *data, int64_t n, int64_t stride, int64_t first_index, void *state, \
                                                double parameter) {                                                            \
    (void)first_index, (void)parameter;                                                                                        \
    const type *x = data;                                                                                                      \
    uint64_t sum = *(uint64_t *)state;                                                                                         \
    if (stride == 1) {                                                                                                         \
      for (int64_t i = 0; i < n; i++) sum += (uint64_t)x[i];                                                                   \
    } else {                                                                                                                   \
      for (int64_t i = 0; i < n; i++) sum += (uint64_t)x[i * stride];                                                          \
    }                                                                                                                          \
    *(uint64_t *)state = sum;                                                                                                  \
  }                                                                                                                            \
  static SPEED_##suffix void sum_across_##suffix(const void *data, int64_t n_rows, int64_t row_stride, int64_t n_columns,      \
                                                 void *states) {                                                               \
    const type *x = data;                                                                                                      \
    uint64_t *sums = states;                                                                                                   \
    for (int64_t r = 0; r < n_rows; r++, x += row_stride) {                                                                    \
      for (int64_t c = 0; c < n_columns; c++) sums[c] += (uint64_t)x[c];                                                       \
    }                                                                                                                          \
  }
DEFINE_INTEGRAL_SUM(u8, uint8_t)
DEFINE_INTEGRAL_SUM(i32, int32_t)
DEFINE_INTEGRAL_SUM(i64, int64_t)

#define SUM_FOLD(suffix)                                                                                   \
  {                                                                                                        \
    .state_bytes = sizeof(uint64_t), .n_passes = 1, .passes = {{sum_along_##suffix, sum_across_##suffix}}, \
    .start = start_zeros                                                                                   \
  }

static const fold_type sum_folds[TT_N_DTYPES] = {
    [TT_DTYPE_BOOL] = SUM_FOLD(u8), [TT_DTYPE_U8] = SUM_FOLD(u8),   [TT_DTYPE_I32] = SUM_FOLD(i32),
    [TT_DTYPE_I64] = SUM_FOLD(i64), [TT_DTYPE_F32] = SUM_FOLD(f32), [TT_DTYPE_F64] = SUM_FOLD(f64),
};

static TT_SHORT void finish_f64(const fold_sink *sink, const void *states, int64_t n, int64_t first_output) {
  const double *values = states;
  for (int64_t i = 0; i < n; i++) store_f64(sink->dtype, sink->out, first_output + i, values[i] / sink->parameter);
}

static TT_SHORT void finish_u64(const fold_sink *sink, const void *states, int64_t n, int64_t first_output) {
  const uint64_t *values = states;
  for (int64_t i = 0; i < n; i++) store_u64(sink->dtype, sink->out, first_output + i, values[i]);
}

void tt_reduce_sum(const tt_reduction *reduction, double divisor, tt_dtype out_dtype, void *out) {
  bool is_floating = tt_dtype_is_floating(reduction->dtype);
  fold_sink sink = {.finish = is_floating ? finish_f64 : finish_u64, .out = out, .dtype = out_dtype, .parameter = divisor};
  run(&sum_folds[reduction->dtype], reduction, &sink);
}

/* Products. */

#define DEFINE_PROD(suffix, type, wide)                                                                                   \
  static TT_SHORT void prod_along_##suffix(const void *data, int64_t n, int64_t stride, int64_t first_index, void *state, \
                                           double parameter) {                                                            \
    (void)first_index, (void)parameter;                                                                                   \
    const type *x = data;                                                                                                 \
    wide product = *(wide *)state;                                                                                        \
    for (int64_t i = 0; i < n; i++) product *= (wide)x[i * stride];                                                       \
    *(wide *)state = product;                                                                                             \
  }
DEFINE_PROD(u8, uint8_t, uint64_t)
DEFINE_PROD(i32, int32_t, uint64_t)
DEFINE_PROD(i64, int64_t, uint64_t)
DEFINE_PROD(f32, float, double)
DEFINE_PROD(f64, double, double)

static TT_SHORT void start_ones_f64(void *states, int64_t n) {
  for (int64_t i = 0; i < n; i++) ((double *)states)[i] = 1;
}

static TT_SHORT void start_ones_u64(void *states, int64_t n) {
  for (int64_t i = 0; i < n; i++) ((uint64_t *)states)[i] = 1;
}

#define PROD_FOLD(suffix, wide_suffix) \
  { .state_bytes = sizeof(uint64_t), .n_passes = 1, .passes = {{prod_along_##suffix, NULL}}, .start = start_ones_##wide_suffix }

static const fold_type prod_folds[TT_N_DTYPES] = {
    [TT_DTYPE_BOOL] = PROD_FOLD(u8, u64), [TT_DTYPE_U8] = PROD_FOLD(u8, u64),   [TT_DTYPE_I32] = PROD_FOLD(i32, u64),
    [TT_DTYPE_I64] = PROD_FOLD(i64, u64), [TT_DTYPE_F32] = PROD_FOLD(f32, f64), [TT_DTYPE_F64] = PROD_FOLD(f64, f64),
};

void tt_reduce_prod(const tt_reduction *reduction, tt_dtype out_dtype, void *out) {
  bool is_floating = tt_dtype_is_floating(reduction->dtype);
  fold_sink sink = {.finish = is_floating ? finish_f64 : finish_u64, .out = out, .dtype = out_dtype, .parameter = 1};
  run(&prod_folds[reduction->dtype], reduction, &sink);
}

/* Variance in two passes: the mean, then the squares of what differs from it. */

typedef struct moments {
  double mean; /* the sum, in the first pass */
  double squares;
} moments;

#define DEFINE_VAR(suffix, type)                                                                                              \
  static SPEED_##suffix void mean_along_##suffix(const void *data, int64_t n, int64_t stride, int64_t first_index,            \
                                                 void *state, double parameter) {                                             \
    sum_along_##suffix(data, n, stride, first_index, &((moments *)state)->mean, parameter);                                   \
  }                                                                                                                           \
  static SPEED_##suffix void squares_along_##suffix(const void *data, int64_t n, int64_t stride, int64_t first_index,         \
                                                    void *state, double parameter) {                                          \
    (void)first_index, (void)parameter;                                                                                       \
    const type *x = data;                                                                                                     \
    moments *m = state;                                                                                                       \
    double mean = m->mean, lanes[4] = {0};                                                                                    \
    int64_t i = 0;                                                                                                            \
    for (; i + 4 <= n; i += 4) {                                                                                              \
      for (int l = 0; l < 4; l++) {                                                                                           \
        double away = (double)x[(i + l) * stride] - mean;                                                                     \
        lanes[l] += away * away;                                                                                              \
      }                                                                                                                       \
    }                                                                                                                         \
    for (; i < n; i++) {                                                                                                      \
      double away = (double)x[i * stride] - mean;                                                                             \
      lanes[0] += away * away;                                                                                                \
    }                                                                                                                         \
    m->squares += (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);                                                              \
  }                                                                                                                           \
  static SPEED_##suffix void mean_across_##suffix(const void *data, int64_t n_rows, int64_t row_stride, int64_t n_columns,    \
                                                  void *states) {                                                             \
    double sums[TILE] = {0};                                                                                                  \
    sum_across_##suffix(data, n_rows, row_stride, n_columns, sums);                                                           \
    for (int64_t c = 0; c < n_columns; c++) ((moments *)states)[c].mean += sums[c];                                           \
  }                                                                                                                           \
  static SPEED_##suffix void squares_across_##suffix(const void *data, int64_t n_rows, int64_t row_stride, int64_t n_columns, \
                                                     void *states) {                                                          \
    const type *x = data;                                                                                                     \
    moments *m = states;                                                                                                      \
    double mean[TILE], sums[TILE] = {0};                                                                                      \
    for (int64_t c = 0; c < n_columns; c++) mean[c] = m[c].mean;                                                              \
    for (int64_t r = 0; r < n_rows; r++, x += row_stride) {                                                                   \
      for (int64_t c = 0; c < n_columns; c++) sums[c] += ((double)x[c] - mean[c]) * ((double)x[c] - mean[c]);                 \
    }                                                                                                                         \
    for (int64_t c = 0; c < n_columns; c++) m[c].squares += sums[c];                                                          \
  }
DEFINE_VAR(f32, float)
DEFINE_VAR(f64, double)

static TT_SHORT void start_moments(void *states, int64_t n) { memset(states, 0, (size_t)n * sizeof(moments)); }

static TT_SHORT void turn_moments(void *states, int64_t n, int64_t n_reduced) {
  for (int64_t i = 0; i < n; i++) ((moments *)states)[i].mean /= (double)n_reduced;
}

#define VAR_FOLD(suffix)                                                                                        \
  {                                                                                                             \
    .state_bytes = sizeof(moments), .n_passes = 2,                                                              \
    .passes = {{mean_along_##suffix, mean_across_##suffix}, {squares_along_##suffix, squares_across_##suffix}}, \
    .start = start_moments, .turn = turn_moments                                                                \
  }

static const fold_type var_f32 = VAR_FOLD(f32);
static const fold_type var_f64 = VAR_FOLD(f64);

static TT_SHORT void finish_var(const fold_sink *sink, const void *states, int64_t n, int64_t first_output) {
  const moments *m = states;
  double divisor = (double)sink->n_reduced - sink->parameter;
  for (int64_t i = 0; i < n; i++) {
    double variance = m[i].squares / (divisor > 0 ? divisor : 0);
    store_f64(sink->dtype, sink->out, first_output + i, sink->take_sqrt ? sqrt(variance) : variance);
  }
}

void tt_reduce_var(const tt_reduction *reduction, double correction, bool take_sqrt, void *out) {
  fold_sink sink = {.finish = finish_var,
                    .out = out,
                    .dtype = reduction->dtype,
                    .n_reduced = reduction->n_reduced,
                    .parameter = correction,
                    .take_sqrt = take_sqrt};
  run(reduction->dtype == TT_DTYPE_F32 ? &var_f32 : &var_f64, reduction, &sink);
}

/* Norms. */

#define DEFINE_NORM(name, suffix, type, wide, initial, update)                                                       \
  static SPEED_##suffix void name##_along_##suffix(const void *data, int64_t n, int64_t stride, int64_t first_index, \
                                                   void *state, double parameter) {                                  \
    (void)first_index, (void)parameter;                                                                              \
    const type *x = data;                                                                                            \
    wide total = *(wide *)state;                                                                                     \
    wide lanes[4] = {initial, initial, initial, initial};                                                            \
    int64_t i = 0;                                                                                                   \
    for (; i + 4 <= n; i += 4) {                                                                                     \
      for (int l = 0; l < 4; l++) {                                                                                  \
        wide v = (wide)x[(i + l) * stride], *s = &lanes[l];                                                          \
        update;                                                                                                      \
      }                                                                                                              \
    }                                                                                                                \
    for (; i < n; i++) {                                                                                             \
      wide v = (wide)x[i * stride], *s = &lanes[0];                                                                  \
      update;                                                                                                        \
    }                                                                                                                \
    *(wide *)state = COMBINE_##name(total, lanes);                                                                   \
  }

#define COMBINE_SUM(total, lanes) ((total) + (((lanes)[0] + (lanes)[1]) + ((lanes)[2] + (lanes)[3])))
#define COMBINE_norm_1 COMBINE_SUM
#define COMBINE_norm_2 COMBINE_SUM
#define COMBINE_norm_p COMBINE_SUM
#define COMBINE_norm_max(total, lanes) larger(larger(total, larger((lanes)[0], (lanes)[1])), larger((lanes)[2], (lanes)[3]))
#define COMBINE_norm_min(total, lanes) smaller(smaller(total, smaller((lanes)[0], (lanes)[1])), smaller((lanes)[2], (lanes)[3]))

static inline double larger(double a, double b) { return a > b || a != a ? a : b; }
static inline double smaller(double a, double b) { return a < b || a != a ? a : b; }

DEFINE_NORM(norm_1, f32, float, double, 0, *s += fabs(v))
DEFINE_NORM(norm_1, f64, double, double, 0, *s += fabs(v))
DEFINE_NORM(norm_2, f32, float, double, 0, *s += v * v)
DEFINE_NORM(norm_2, f64, double, double, 0, *s += v * v)
DEFINE_NORM(norm_p, f32, float, double, 0, *s += pow(fabs(v), parameter))
DEFINE_NORM(norm_p, f64, double, double, 0, *s += pow(fabs(v), parameter))
DEFINE_NORM(norm_max, f32, float, double, 0, *s = larger(*s, fabs(v)))
DEFINE_NORM(norm_max, f64, double, double, 0, *s = larger(*s, fabs(v)))
DEFINE_NORM(norm_min, f32, float, double, INFINITY, *s = smaller(*s, fabs(v)))
DEFINE_NORM(norm_min, f64, double, double, INFINITY, *s = smaller(*s, fabs(v)))

static TT_SHORT void start_infinities(void *states, int64_t n) {
  for (int64_t i = 0; i < n; i++) ((double *)states)[i] = INFINITY;
}

/* Counting what is not zero: the norm with p = 0, and what any and all ask. */

#define DEFINE_COUNT(suffix, type)                                                                                         \
  static TT_SHORT void count_along_##suffix(const void *data, int64_t n, int64_t stride, int64_t first_index, void *state, \
                                            double parameter) {                                                            \
    (void)first_index, (void)parameter;                                                                                    \
    const type *x = data;                                                                                                  \
    uint64_t count = 0;                                                                                                    \
    for (int64_t i = 0; i < n; i++) count += x[i * stride] != 0;                                                           \
    *(uint64_t *)state += count;                                                                                           \
  }
DEFINE_COUNT(u8, uint8_t)
DEFINE_COUNT(i32, int32_t)
DEFINE_COUNT(i64, int64_t)
DEFINE_COUNT(f32, float)
DEFINE_COUNT(f64, double)

#define ONE_PASS(along_function, start_function) \
  { .state_bytes = sizeof(uint64_t), .n_passes = 1, .passes = {{along_function, NULL}}, .start = start_function }

static const fold_type count_folds[TT_N_DTYPES] = {
    [TT_DTYPE_BOOL] = ONE_PASS(count_along_u8, start_zeros), [TT_DTYPE_U8] = ONE_PASS(count_along_u8, start_zeros),
    [TT_DTYPE_I32] = ONE_PASS(count_along_i32, start_zeros), [TT_DTYPE_I64] = ONE_PASS(count_along_i64, start_zeros),
    [TT_DTYPE_F32] = ONE_PASS(count_along_f32, start_zeros), [TT_DTYPE_F64] = ONE_PASS(count_along_f64, start_zeros),
};

static TT_SHORT void finish_count_as_floating(const fold_sink *sink, const void *states, int64_t n, int64_t first_output) {
  const uint64_t *counts = states;
  for (int64_t i = 0; i < n; i++) store_f64(sink->dtype, sink->out, first_output + i, (double)counts[i]);
}

static TT_SHORT void finish_sqrt(const fold_sink *sink, const void *states, int64_t n, int64_t first_output) {
  const double *sums = states;
  for (int64_t i = 0; i < n; i++) store_f64(sink->dtype, sink->out, first_output + i, sqrt(sums[i]));
}

static TT_SHORT void finish_root(const fold_sink *sink, const void *states, int64_t n, int64_t first_output) {
  const double *sums = states;
  for (int64_t i = 0; i < n; i++) store_f64(sink->dtype, sink->out, first_output + i, pow(sums[i], 1 / sink->parameter));
}

/* PyTorch answers 0 for the norm of nothing, whatever p is. */
static TT_SHORT void finish_plain_norm(const fold_sink *sink, const void *states, int64_t n, int64_t first_output) {
  const double *values = states;
  for (int64_t i = 0; i < n; i++) store_f64(sink->dtype, sink->out, first_output + i, sink->n_reduced == 0 ? 0 : values[i]);
}

void tt_reduce_norm(const tt_reduction *reduction, double p, void *out) {
  static const fold_type folds[2][5] = {
      {ONE_PASS(norm_1_along_f32, start_zeros), ONE_PASS(norm_2_along_f32, start_zeros),
       ONE_PASS(norm_p_along_f32, start_zeros), ONE_PASS(norm_max_along_f32, start_zeros),
       ONE_PASS(norm_min_along_f32, start_infinities)},
      {ONE_PASS(norm_1_along_f64, start_zeros), ONE_PASS(norm_2_along_f64, start_zeros),
       ONE_PASS(norm_p_along_f64, start_zeros), ONE_PASS(norm_max_along_f64, start_zeros),
       ONE_PASS(norm_min_along_f64, start_infinities)},
  };
  fold_sink sink = {
      .finish = finish_plain_norm, .out = out, .dtype = reduction->dtype, .n_reduced = reduction->n_reduced, .parameter = p};
  const fold_type *row = folds[reduction->dtype == TT_DTYPE_F64];
  if (p == 0) {
    sink.finish = finish_count_as_floating;
    run(&count_folds[reduction->dtype], reduction, &sink);
  } else if (p == 1) {
    run(&row[0], reduction, &sink);
  } else if (p == 2) {
    sink.finish = finish_sqrt;
    run(&row[1], reduction, &sink);
  } else if (isinf(p)) {
    run(p > 0 ? &row[3] : &row[4], reduction, &sink);
  } else {
    sink.finish = finish_root;
    run(&row[2], reduction, &sink);
  }
}

static TT_SHORT void finish_count(const fold_sink *sink, const void *states, int64_t n, int64_t first_output) {
  memcpy((int64_t *)sink->out + first_output, states, (size_t)n * sizeof(int64_t));
}

void tt_reduce_count_nonzero(const tt_reduction *reduction, int64_t *out) {
  fold_sink sink = {.finish = finish_count, .out = out, .dtype = TT_DTYPE_I64};
  run(&count_folds[reduction->dtype], reduction, &sink);
}

/* Log of the sum of exponentials: the largest, then the sum relative to it. */

typedef struct exponentials {
  double largest;
  double sum;
} exponentials;

#define DEFINE_LOGSUMEXP(suffix, type)                                                                                       \
  static TT_SHORT void largest_along_##suffix(const void *data, int64_t n, int64_t stride, int64_t first_index, void *state, \
                                              double parameter) {                                                            \
    (void)first_index, (void)parameter;                                                                                      \
    const type *x = data;                                                                                                    \
    double best = ((exponentials *)state)->largest;                                                                          \
    for (int64_t i = 0; i < n; i++) best = larger(best, (double)x[i * stride]);                                              \
    ((exponentials *)state)->largest = best;                                                                                 \
  }                                                                                                                          \
  static TT_SHORT void exp_along_##suffix(const void *data, int64_t n, int64_t stride, int64_t first_index, void *state,     \
                                          double parameter) {                                                                \
    (void)first_index, (void)parameter;                                                                                      \
    const type *x = data;                                                                                                    \
    exponentials *e = state;                                                                                                 \
    for (int64_t i = 0; i < n; i++) e->sum += exp((double)x[i * stride] - e->largest);                                       \
  }
DEFINE_LOGSUMEXP(f32, float)
DEFINE_LOGSUMEXP(f64, double)

static TT_SHORT void start_exponentials(void *states, int64_t n) {
  for (int64_t i = 0; i < n; i++) ((exponentials *)states)[i] = (exponentials){.largest = -INFINITY};
}

/* An infinite largest value would make infinity minus infinity; measured from 0 the sum comes out infinite or 0 as it
 * should. */
static TT_SHORT void turn_exponentials(void *states, int64_t n, int64_t n_reduced) {
  (void)n_reduced;
  exponentials *e = states;
  for (int64_t i = 0; i < n; i++) {
    if (isinf(e[i].largest)) e[i].largest = 0;
  }
}

static TT_SHORT void finish_logsumexp(const fold_sink *sink, const void *states, int64_t n, int64_t first_output) {
  const exponentials *e = states;
  for (int64_t i = 0; i < n; i++) store_f64(sink->dtype, sink->out, first_output + i, log(e[i].sum) + e[i].largest);
}

void tt_reduce_logsumexp(const tt_reduction *reduction, void *out) {
  static const fold_type folds[2] = {
      {.state_bytes = sizeof(exponentials),
       .n_passes = 2,
       .passes = {{largest_along_f32, NULL}, {exp_along_f32, NULL}},
       .start = start_exponentials,
       .turn = turn_exponentials},
      {.state_bytes = sizeof(exponentials),
       .n_passes = 2,
       .passes = {{largest_along_f64, NULL}, {exp_along_f64, NULL}},
       .start = start_exponentials,
       .turn = turn_exponentials},
  };
  fold_sink sink = {.finish = finish_logsumexp, .out = out, .dtype = reduction->dtype};
  run(&folds[reduction->dtype == TT_DTYPE_F64], reduction, &sink);
}

/* Extremes: values alone in vectors; with indices one by one. */

#define NEVER_NAN(x) 0
#define MAY_BE_NAN(x) ((x) != (x))

#define PICK(v, best, is_better, is_nan) ((((v)is_better(best)) | is_nan(v)) ? (v) : (best))

#define DEFINE_EXTREME(name, suffix, type, is_better, is_nan, initial)                                                       \
  typedef struct name##_place_##suffix {                                                                                     \
    type value;                                                                                                              \
    int64_t index; /* -1 before the first element */                                                                         \
  } name##_place_##suffix;                                                                                                   \
  static TT_SHORT void name##_start_##suffix(void *states, int64_t n) {                                                      \
    for (int64_t i = 0; i < n; i++) ((type *)states)[i] = initial;                                                           \
  }                                                                                                                          \
  static SPEED_##suffix void name##_along_##suffix(const void *data, int64_t n, int64_t stride, int64_t first_index,         \
                                                   void *state, double parameter) {                                          \
    (void)first_index, (void)parameter;                                                                                      \
    const type *x = data;                                                                                                    \
    type lanes[LANES];                                                                                                       \
    for (int l = 0; l < LANES; l++) lanes[l] = *(type *)state;                                                               \
    int64_t i = 0;                                                                                                           \
    if (stride == 1) {                                                                                                       \
      for (; i + LANES <= n; i += LANES) {                                                                                   \
        for (int l = 0; l < LANES; l++) lanes[l] = PICK(x[i + l], lanes[l], is_better, is_nan);                              \
      }                                                                                                                      \
    }                                                                                                                        \
    type best = lanes[0];                                                                                                    \
    for (int l = 1; l < LANES; l++) best = PICK(lanes[l], best, is_better, is_nan);                                          \
    for (; i < n; i++) best = PICK(x[i * stride], best, is_better, is_nan);                                                  \
    *(type *)state = best;                                                                                                   \
  }                                                                                                                          \
  static SPEED_##suffix void name##_across_##suffix(const void *data, int64_t n_rows, int64_t row_stride, int64_t n_columns, \
                                                    void *states) {                                                          \
    const type *x = data;                                                                                                    \
    type *best = states;                                                                                                     \
    for (int64_t r = 0; r < n_rows; r++, x += row_stride) {                                                                  \
      for (int64_t c = 0; c < n_columns; c++) best[c] = PICK(x[c], best[c], is_better, is_nan);                              \
    }                                                                                                                        \
  }                                                                                                                          \
  static TT_SHORT void name##_place_start_##suffix(void *states, int64_t n) {                                                \
    name##_place_##suffix *places = states;                                                                                  \
    for (int64_t i = 0; i < n; i++) places[i] = (name##_place_##suffix){.value = initial, .index = -1};                      \
  }                                                                                                                          \
  static TT_SHORT void name##_place_along_##suffix(const void *data, int64_t n, int64_t stride, int64_t first_index,         \
                                                   void *state, double parameter) {                                          \
    (void)parameter;                                                                                                         \
    const type *x = data;                                                                                                    \
    name##_place_##suffix *place = state, best = *place;                                                                     \
    for (int64_t i = 0; i < n; i++) {                                                                                        \
      type v = x[i * stride];                                                                                                \
      if (v is_better best.value || best.index < 0 || (is_nan(v) && !is_nan(best.value))) {                                  \
        best.value = v;                                                                                                      \
        best.index = first_index + i;                                                                                        \
      }                                                                                                                      \
    }                                                                                                                        \
    *place = best;                                                                                                           \
  }                                                                                                                          \
  static TT_SHORT void name##_finish_##suffix(const fold_sink *sink, const void *states, int64_t n, int64_t first_output) {  \
    memcpy((type *)sink->out + first_output, states, (size_t)n * sizeof(type));                                              \
  }                                                                                                                          \
  static TT_SHORT void name##_place_finish_##suffix(const fold_sink *sink, const void *states, int64_t n,                    \
                                                    int64_t first_output) {                                                  \
    const name##_place_##suffix *places = states;                                                                            \
    for (int64_t i = 0; i < n; i++) {                                                                                        \
      if (sink->out) ((type *)sink->out)[first_output + i] = places[i].value;                                                \
      sink->indices[first_output + i] = places[i].index;                                                                     \
    }                                                                                                                        \
  }

#define DEFINE_EXTREMES(suffix, type, is_nan, lowest, highest) \
  DEFINE_EXTREME(max, suffix, type, >, is_nan, lowest)         \
  DEFINE_EXTREME(min, suffix, type, <, is_nan, highest)

DEFINE_EXTREMES(u8, uint8_t, NEVER_NAN, 0, UINT8_MAX)
DEFINE_EXTREMES(i32, int32_t, NEVER_NAN, INT32_MIN, INT32_MAX)
DEFINE_EXTREMES(i64, int64_t, NEVER_NAN, INT64_MIN, INT64_MAX)
DEFINE_EXTREMES(f32, float, MAY_BE_NAN, -INFINITY, INFINITY)
DEFINE_EXTREMES(f64, double, MAY_BE_NAN, -INFINITY, INFINITY)

typedef struct extreme_row {
  fold_type values, places;
  void (*finish_values)(const fold_sink *sink, const void *states, int64_t n, int64_t first_output);
  void (*finish_places)(const fold_sink *sink, const void *states, int64_t n, int64_t first_output);
} extreme_row;

#define EXTREME_ROW(name, suffix, type)                                                    \
  {                                                                                        \
    .values = {.state_bytes = sizeof(type),                                                \
               .n_passes = 1,                                                              \
               .passes = {{name##_along_##suffix, name##_across_##suffix}},                \
               .start = name##_start_##suffix},                                            \
    .places = {.state_bytes = sizeof(name##_place_##suffix),                               \
               .n_passes = 1,                                                              \
               .passes = {{name##_place_along_##suffix, NULL}},                            \
               .start = name##_place_start_##suffix},                                      \
    .finish_values = name##_finish_##suffix, .finish_places = name##_place_finish_##suffix \
  }

static const extreme_row extreme_rows[TT_N_DTYPES][2] = {
    [TT_DTYPE_BOOL] = {EXTREME_ROW(min, u8, uint8_t), EXTREME_ROW(max, u8, uint8_t)},
    [TT_DTYPE_U8] = {EXTREME_ROW(min, u8, uint8_t), EXTREME_ROW(max, u8, uint8_t)},
    [TT_DTYPE_I32] = {EXTREME_ROW(min, i32, int32_t), EXTREME_ROW(max, i32, int32_t)},
    [TT_DTYPE_I64] = {EXTREME_ROW(min, i64, int64_t), EXTREME_ROW(max, i64, int64_t)},
    [TT_DTYPE_F32] = {EXTREME_ROW(min, f32, float), EXTREME_ROW(max, f32, float)},
    [TT_DTYPE_F64] = {EXTREME_ROW(min, f64, double), EXTREME_ROW(max, f64, double)},
};

void tt_reduce_extreme(const tt_reduction *reduction, bool largest, void *values, int64_t *indices) {
  const extreme_row *row = &extreme_rows[reduction->dtype][largest];
  fold_sink sink = {.finish = indices ? row->finish_places : row->finish_values, .out = values, .indices = indices};
  run(indices ? &row->places : &row->values, reduction, &sink);
}
