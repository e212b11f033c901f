/*
 * The loops that are vectorised, at every length around a vector's width: what is done in whole vectors and what is left over must be the same.
 */
#include "op_fixture.h"

#include "kernels/exponential.h"
#include "kernels/math_f32.h"
#include "kernels/row_f32.h"
#include "kernels/variant.h"

enum { MOST = 70, LONG = 1000 };

/* Distance in units in the last place of what is right, counted from the smallest normal float on. */
static double ulps(float got, double right) {
  if (isnan(right)) return isnan(got) ? 0 : INFINITY;
  if (isinf(right) || (float)right == INFINITY || (float)right == -INFINITY) return got == (float)right ? 0 : INFINITY;
  int exponent;
  frexp(fabs(right) < 0x1p-126 ? 0x1p-126 : right, &exponent);
  return fabs((double)got - right) / ldexp(1, exponent - 24);
}

static float number_at(int64_t i) { return (float)(sin((double)i * 1.7) * 9); }

static tt_tensor *numbers(const tt_shape *shape) {
  tt_tensor *tensor = kept(tt_tensor_new(TT_DTYPE_F32, shape, NULL));
  float *x = tt_tensor_data(tensor);
  for (int64_t i = 0; i < tt_shape_n_elements(shape); i++) x[i] = number_at(i);
  return tensor;
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static void functions_are_right_at_every_length_of_one_variant(void) {
  static const struct {
    tt_op_number number;
    double (*right)(double);
    double by_argument; /* units that are allowed for each unit of the argument */
  } functions[] = {
      {TT_OP_exp, exp, 0}, {TT_OP_tanh, tanh, 0}, {TT_OP_sigmoid, sigmoid, 1}, {TT_OP_log, log, 0}, {TT_OP_sqrt, sqrt, 0}};
  for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
    for (int64_t n = 1; n < MOST; n++) {
      tt_tensor *x = numbers(SHAPE(n)), *y = call_one(functions[f].number, (tt_value[]){arg(x)}, 1);
      for (int64_t i = 0; i < n; i++) {
        double at = (double)number_at(i), most = 2 + functions[f].by_argument * fabs(at);
        assert_true(ulps(((float *)tt_tensor_data(y))[i], functions[f].right(at)) <= most);
      }
    }
  }
}

static void functions_are_right_at_every_length(void **state) {
  (void)state;
  tt_variant before = tt_variant_chosen();
  for (int v = 0; v < TT_N_VARIANTS; v++) {
    if (tt_variant_force((tt_variant)v)) functions_are_right_at_every_length_of_one_variant();
  }
  tt_variant_force(before);
}

static float sigmoid_f32(float x) {
  float y;
  tt_exponentials_chosen()->sigmoid(&x, &y, 1);
  return y;
}

static float exp_minus_f32(float x) {
  float y, minus_x = -x, lanes[TT_EXPONENTIAL_LANES] = {0};
  tt_exponentials_chosen()->minus(&minus_x, &y, 1, 0, lanes);
  for (int l = 0; l < TT_EXPONENTIAL_LANES; l++) assert_true(l == 0 ? lanes[l] == y || isnan(y) : lanes[l] == 0);
  return y;
}

static void exponentials_are_right_at_the_edges(void **state) {
  (void)state;
  tt_variant before = tt_variant_chosen();
  for (int v = 0; v < TT_N_VARIANTS; v++) {
    if (!tt_variant_force((tt_variant)v)) continue;
    for (float x = -120; x < 120; x += 0.37f) {
      assert_true(ulps(sigmoid_f32(x), sigmoid((double)x)) <= 2 + 1.25 * fabs((double)x) || sigmoid((double)x) < 0x1p-126);
      if (x >= 0) assert_true(fabs((double)exp_minus_f32(x) - exp(-(double)x)) <= 0x1p-23);
    }
    assert_true(sigmoid_f32(INFINITY) == 1 && sigmoid_f32(-INFINITY) == 0 && sigmoid_f32(0) == 0.5f);
    assert_true(sigmoid_f32(3.4e38f) == 1 && sigmoid_f32(-3.4e38f) == 0);
    assert_true(exp_minus_f32(INFINITY) == 0 && exp_minus_f32(3.4e38f) == 0 && exp_minus_f32(0) == 1 &&
                exp_minus_f32(1e-40f) == 1);
    assert_true(isnan(exp_minus_f32(NAN)) && isnan(sigmoid_f32(NAN)));
  }
  tt_variant_force(before);
}

static void functions_are_right_at_the_edges(void **state) {
  (void)state;
  static const float edges[] = {0.0f,    -0.0f,   1e-40f,  -1e-40f, 87.0f,    -87.0f,  88.7f,    -88.7f, 89.0f, -89.0f,
                                -103.0f, -103.9f, -104.5f, 1000.0f, -1000.0f, 3.4e38f, -3.4e38f, 1e-38f, 0.625f};
  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
    float x = edges[i];
    assert_true(ulps(tt_exp_f32(x), exp((double)x)) <= 2);
    assert_true(ulps(tt_tanh_f32(x), tanh((double)x)) <= 2);
    assert_true(ulps(tt_log_f32(fabsf(x)), log(fabs((double)x))) <= 2);
  }
  assert_true(tt_exp_f32(INFINITY) == INFINITY && tt_exp_f32(-INFINITY) == 0);
  assert_true(tt_tanh_f32(INFINITY) == 1 && tt_tanh_f32(-INFINITY) == -1);
  assert_true(tt_log_f32(INFINITY) == INFINITY && tt_log_f32(0) == -INFINITY && isnan(tt_log_f32(-1)));
  assert_true(isnan(tt_exp_f32(NAN)) && isnan(tt_tanh_f32(NAN)) && isnan(tt_log_f32(NAN)));
}

static double left_minus_right(double a, double b) { return a - b; }
static double is_greater(double a, double b) { return a > b; }
static double is_at_least(double a, double b) { return a >= b; }
static double larger_of(double a, double b) { return a > b ? a : b; }

/* Both inputs dense, either one number, one broadcast along rows, and in place. */
static void pairs_are_right_however_they_lie(void **state) {
  (void)state;
  static const struct {
    tt_op_number number;
    double (*right)(double, double);
  } pairs[] = {{TT_OP_gt, is_greater}, {TT_OP_ge, is_at_least}, {TT_OP_maximum, larger_of}};
  static const tt_dtype dtypes[] = {TT_DTYPE_U8, TT_DTYPE_I32, TT_DTYPE_I64, TT_DTYPE_F32, TT_DTYPE_F64};
  double a_values[MOST], b_values[MOST];
  for (int i = 0; i < MOST; i++) {
    a_values[i] = i * 7 % 11;
    b_values[i] = i * 5 % 13;
  }
  for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
      for (int n = 1; n < MOST; n++) {
        tt_tensor *a = make_tensor(dtypes[d], SHAPE(n), a_values, (size_t)n),
                  *b = make_tensor(dtypes[d], SHAPE(n), b_values, (size_t)n);
        tt_tensor *one_a = make_tensor(dtypes[d], SHAPE(1), a_values + 3, 1),
                  *one_b = make_tensor(dtypes[d], SHAPE(1), b_values + 3, 1);
        tt_tensor *both = call_one(pairs[p].number, (tt_value[]){arg(a), arg(b)}, 2);
        tt_tensor *left = call_one(pairs[p].number, (tt_value[]){arg(a), arg(one_b)}, 2);
        tt_tensor *right = call_one(pairs[p].number, (tt_value[]){arg(one_a), arg(b)}, 2);
        for (int i = 0; i < n; i++) {
          assert_true(value_at(both, i) == pairs[p].right(a_values[i], b_values[i]));
          assert_true(value_at(left, i) == pairs[p].right(a_values[i], b_values[3]));
          assert_true(value_at(right, i) == pairs[p].right(a_values[3], b_values[i]));
        }
      }
    }
  }
  for (int64_t n = 1; n < MOST; n++) {
    tt_tensor *rows = numbers(SHAPE(3, n)), *row = numbers(SHAPE(n));
    tt_tensor *sum = call_one(TT_OP_sub_, (tt_value[]){arg(rows), arg(row), tt_int(1)}, 3);
    for (int64_t i = 0; i < 3 * n; i++) {
      assert_true(value_at(sum, i) == (double)(float)left_minus_right((double)number_at(i), (double)number_at(i % n)));
    }
  }
}

static void rows_are_summed_and_searched_at_every_length(void **state) {
  (void)state;
  float x[LONG], y[LONG];
  for (int64_t i = 0; i < LONG; i++) x[i] = number_at(i);
  for (int64_t n = 1; n <= LONG; n = n < MOST ? n + 1 : n + 93) {
    double sum = 0, squares = 0, mean = 0.3, exps = 0;
    float largest = x[0];
    for (int64_t i = 0; i < n; i++) {
      sum += (double)x[i];
      squares += ((double)x[i] - mean) * ((double)x[i] - mean);
      largest = x[i] > largest ? x[i] : largest;
    }
    for (int64_t i = 0; i < n; i++) exps += exp((double)(x[i] - largest));
    assert_true(fabs(tt_row_sum_f32(x, n) - sum) <= 1e-6 * 9 * (double)n);
    assert_true(fabs(tt_row_squares_f32(x, n, mean) - squares) <= 1e-6 * (1 + squares));
    assert_true(tt_row_largest_f32(x, n) == largest);
    assert_true(fabs(tt_row_exp_f32(x, y, n, largest) - exps) <= 1e-6 * exps);
    for (int64_t i = 0; i < n; i++) assert_true(fabs((double)y[i] - exp((double)(x[i] - largest))) <= 2 * 0x1p-24);
  }
}

static void softmax_is_right_at_every_length(void **state) {
  (void)state;
  for (int64_t n = 1; n <= LONG; n = n < MOST ? n + 1 : n + 93) {
    tt_tensor *x = numbers(SHAPE(2, n));
    tt_tensor *y = call_one(TT_OP_softmax, (tt_value[]){arg(x), tt_int(1), tt_none()}, 3);
    tt_tensor *logs = call_one(TT_OP_log_softmax, (tt_value[]){arg(x), tt_int(1), tt_none()}, 3);
    for (int64_t r = 0; r < 2; r++) {
      double sum = 0;
      for (int64_t i = 0; i < n; i++) sum += exp((double)number_at(r * n + i));
      for (int64_t i = 0; i < n; i++) {
        double right = exp((double)number_at(r * n + i)) / sum;
        assert_true(fabs(value_at(y, r * n + i) - right) <= 2e-6 * right);
        assert_true(fabs(value_at(logs, r * n + i) - log(right)) <= 1e-6 * (1 + fabs(log(right))));
      }
    }
  }
  tt_tensor *x = TENSOR(F32, SHAPE(4, 2), -INFINITY, 0, -INFINITY, -INFINITY, 1, NAN, 200, 0);
  EXPECT(CALL(softmax, arg(x), tt_int(1), tt_none()), F32, SHAPE(4, 2), 0, 1, NAN, NAN, NAN, NAN, 1, 0);
  EXPECT(CALL(log_softmax, arg(x), tt_int(1), tt_none()), F32, SHAPE(4, 2), -INFINITY, 0, NAN, NAN, NAN, NAN, 0, -200);
}

/* A mean far from 0 costs no digits. */
static void rows_far_from_zero_are_normalised(void **state) {
  (void)state;
  for (int64_t n = 2; n < MOST; n += 3) {
    tt_tensor *x = kept(tt_tensor_new(TT_DTYPE_F32, SHAPE(n), NULL)), *weight = numbers(SHAPE(n)), *bias = numbers(SHAPE(n));
    float *values = tt_tensor_data(x);
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < n; i++) mean += (double)(values[i] = 5000 + (float)(i * 7 % 11) / 64) / (double)n;
    for (int64_t i = 0; i < n; i++) variance += ((double)values[i] - mean) * ((double)values[i] - mean) / (double)n;
    tt_tensor *y = CALL(layer_norm, arg(x), INTS(n), arg(weight), arg(bias), tt_float(1e-5));
    for (int64_t i = 0; i < n; i++) {
      double right = ((double)values[i] - mean) / sqrt(variance + 1e-5) * (double)number_at(i) + (double)number_at(i);
      assert_true(fabs(value_at(y, i) - right) <= 4e-6 * (1 + fabs((double)number_at(i))));
    }
  }
}

static void transposing_copies_keep_every_element(void **state) {
  (void)state;
  static const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 33, 64, 65};
  enum { N_SIZES = sizeof sizes / sizeof *sizes };
  for (int dtype = 0; dtype < TT_N_DTYPES; dtype++) {
    for (int i = 0; i < N_SIZES * N_SIZES; i++) {
      int64_t n_rows = sizes[i / N_SIZES], n_columns = sizes[i % N_SIZES],
              strides[] = {1, 2 * n_columns, n_columns * n_rows * 2};
      tt_tensor *base = kept(tt_tensor_new((tt_dtype)dtype, SHAPE(2, n_rows, 2 * n_columns), NULL));
      size_t item_bytes = tt_dtype_bytes((tt_dtype)dtype), n = (size_t)(4 * n_rows * n_columns);
      uint8_t *bytes = tt_tensor_data(base);
      for (size_t k = 0; k < n * item_bytes; k++) bytes[k] = dtype == TT_DTYPE_BOOL ? k % 3 == 0 : (uint8_t)(k * 37 % 64);
      /* (columns, rows, 2) of every row's first half: a view with gaps. */
      tt_tensor *view = kept(tt_tensor_view(base, SHAPE(n_columns, n_rows, 2), strides, 0, NULL));
      tt_tensor *dense = kept(tt_tensor_contiguous(view, NULL));
      const uint8_t *got = tt_tensor_data(dense);
      for (int64_t c = 0; c < n_columns; c++) {
        for (int64_t r = 0; r < n_rows; r++) {
          for (int64_t k = 0; k < 2; k++) {
            const uint8_t *from = bytes + (size_t)(c * strides[0] + r * strides[1] + k * strides[2]) * item_bytes;
            assert_memory_equal(got + (size_t)((c * n_rows + r) * 2 + k) * item_bytes, from, item_bytes);
          }
        }
      }
      int64_t turned[] = {1, n_columns};
      tt_tensor *matrix = kept(tt_tensor_view(base, SHAPE(n_columns, n_rows), turned, 0, NULL));
      dense = kept(tt_tensor_contiguous(matrix, NULL));
      got = tt_tensor_data(dense);
      for (int64_t c = 0; c < n_columns; c++) {
        for (int64_t r = 0; r < n_rows; r++) {
          assert_memory_equal(got + (size_t)(c * n_rows + r) * item_bytes, bytes + (size_t)(r * n_columns + c) * item_bytes,
                              item_bytes);
        }
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      OP_TEST(functions_are_right_at_every_length),
      OP_TEST(exponentials_are_right_at_the_edges),
      OP_TEST(functions_are_right_at_the_edges),
      OP_TEST(pairs_are_right_however_they_lie),
      OP_TEST(rows_are_summed_and_searched_at_every_length),
      OP_TEST(softmax_is_right_at_every_length),
      OP_TEST(rows_far_from_zero_are_normalised),
      OP_TEST(transposing_copies_keep_every_element),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
