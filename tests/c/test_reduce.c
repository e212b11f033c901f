/* Reductions: values by hand, both ways through memory, accuracy, what is refused, gradients where they are not smooth. */
#include "op_fixture.h"

static const double nan_value = NAN;

static void sums_have_pytorchs_dtypes(void **state) {
  (void)state;
  EXPECT(CALL(sum, arg(TENSOR(I32, SHAPE(2, 2), 1, 2, 3, 4))), I64, SCALAR, 10);
  EXPECT(CALL(sum, arg(TENSOR(BOOL, SHAPE(3), 1, 0, 1))), I64, SCALAR, 2);
  EXPECT(CALL(sum, arg(TENSOR(U8, SHAPE(2), 200, 100))), I64, SCALAR, 300);
  EXPECT(CALL(sum, arg(TENSOR(F32, SHAPE(2), 1.5, 2.25))), F32, SCALAR, 3.75);
  EXPECT(CALL(sum, arg(TENSOR(F64, SHAPE(3), 1.9, 1.9, -0.5)), tt_none(), tt_bool(false), tt_dtype_value(TT_DTYPE_I64)), I64,
         SCALAR, 2);
  EXPECT(CALL(sum, arg(TENSOR(I64, SHAPE(2), 3, 4)), tt_none(), tt_bool(false), tt_dtype_value(TT_DTYPE_U8)), U8, SCALAR, 7);
  EXPECT(CALL(sum, arg(EMPTY(F32, SHAPE(0)))), F32, SCALAR, 0);
  EXPECT(CALL(sum, arg(EMPTY(F32, SHAPE(0, 2))), tt_int(0)), F32, SHAPE(2), 0, 0);
  EXPECT_EMPTY(CALL(sum, arg(EMPTY(F32, SHAPE(0, 2))), tt_int(1)), F32, SHAPE(0));
  EXPECT(CALL(prod, arg(EMPTY(I64, SHAPE(0)))), I64, SCALAR, 1);
  EXPECT_FAILURE(TT_ERR_DTYPE, "int64", mean, arg(TENSOR(I64, SHAPE(2), 1, 2)));
  EXPECT(CALL(mean, arg(TENSOR(I64, SHAPE(2), 1, 2)), tt_none(), tt_bool(false), tt_dtype_value(TT_DTYPE_F32)), F32, SCALAR,
         1.5);
  EXPECT(CALL(mean, arg(EMPTY(F64, SHAPE(0)))), F64, SCALAR, nan_value);
}

static void integer_sums_wrap(void **state) {
  (void)state;
  tt_tensor *large = CALL(full, INTS(2), tt_int(INT64_MAX), tt_dtype_value(TT_DTYPE_I64));
  int64_t value = 0;
  assert_int_equal(tt_tensor_item_i64(CALL(sum, arg(large)), &value, NULL), TT_OK);
  assert_true(value == -2);
}

static void dims_and_keepdim(void **state) {
  (void)state;
  tt_tensor *x = TENSOR(F64, SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
  EXPECT(CALL(sum, arg(x), tt_int(0)), F64, SHAPE(3), 5, 7, 9);
  EXPECT(CALL(sum, arg(x), INTS(-1)), F64, SHAPE(2), 6, 15);
  EXPECT(CALL(sum, arg(x), INTS(0, 1), tt_bool(true)), F64, SHAPE(1, 1), 21);
  EXPECT(CALL(sum, arg(x), tt_ints(NULL, 0)), F64, SCALAR, 21);
  EXPECT(CALL(sum, arg(TENSOR(F64, SCALAR, 3)), tt_int(-1)), F64, SCALAR, 3);
  EXPECT_FAILURE(TT_ERR_INDEX, "range", sum, arg(x), tt_int(2));
  EXPECT_FAILURE(TT_ERR_ARGUMENT, "multiple times", sum, arg(x), INTS(0, -2));
}

/* Against plain loops over (a, b, c) permuted in every way, for each set of reduced dimensions, in sizes around the tiles. */
static void every_layout_gives_the_same_sums(void **state) {
  (void)state;
  static const int64_t sizes[][3] = {{3, 70, 5}, {1, 300, 130}, {129, 2, 65}, {5, 1, 4100}};
  static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
    const int64_t *n = sizes[s];
    int64_t shape[3] = {n[0], n[1], n[2]}, flat = n[0] * n[1] * n[2];
    tt_tensor *base =
        CALL(reshape, arg(CALL(arange, tt_int(0), tt_int(flat), tt_int(1), tt_dtype_value(TT_DTYPE_F32))), tt_ints(shape, 3));
    base = CALL(sub, arg(CALL(remainder, arg(base), tt_int(17))), tt_float(7.5));
    for (size_t o = 0; o < sizeof orders / sizeof orders[0]; o++) {
      int64_t order[3] = {orders[o][0], orders[o][1], orders[o][2]};
      tt_tensor *x = CALL(permute, arg(base), tt_ints(order, 3));
      const tt_shape *dims = tt_tensor_shape(x);
      for (int set = 1; set < 8; set++) {
        int64_t reduced[3];
        uint32_t n_reduced = 0;
        for (int d = 0; d < 3; d++) {
          if (set & (1 << d)) reduced[n_reduced++] = d;
        }
        tt_tensor *sum = CALL(sum, arg(x), tt_ints(reduced, n_reduced), tt_bool(true));
        tt_tensor *largest = CALL(amax, arg(x), tt_ints(reduced, n_reduced), tt_bool(true));
        tt_tensor *variance = CALL(var, arg(x), tt_ints(reduced, n_reduced), tt_bool(false), tt_bool(true));
        const float *sums = tt_tensor_data(sum), *maxima = tt_tensor_data(largest), *variances = tt_tensor_data(variance);
        const float *data = tt_tensor_data(x);
        int64_t n_outputs = tt_tensor_n_elements(sum), at[3];
        double *expected = calloc((size_t)n_outputs, 3 * sizeof *expected);
        assert_non_null(expected);
        for (int pass = 0; pass < 2; pass++) {
          for (at[0] = 0; at[0] < dims->dims[0]; at[0]++) {
            for (at[1] = 0; at[1] < dims->dims[1]; at[1]++) {
              for (at[2] = 0; at[2] < dims->dims[2]; at[2]++) {
                double value = (double)data[at[0] * x->strides[0] + at[1] * x->strides[1] + at[2] * x->strides[2]];
                int64_t output = 0;
                for (int d = 0; d < 3; d++) output = output * tt_tensor_shape(sum)->dims[d] + (set & (1 << d) ? 0 : at[d]);
                double *e = expected + 3 * output;
                double mean = e[0] * (double)n_outputs / (double)flat;
                if (pass == 0) {
                  e[0] += value;
                  e[1] = fmax(e[1], value + 100);
                } else {
                  e[2] += (value - mean) * (value - mean) * (double)n_outputs / (double)flat;
                }
              }
            }
          }
        }
        for (int64_t i = 0; i < n_outputs; i++) {
          assert_true(fabs((double)sums[i] - expected[3 * i]) <= 1e-5 * (10 + fabs(expected[3 * i])));
          assert_true((double)maxima[i] == expected[3 * i + 1] - 100);
          assert_true(fabs((double)variances[i] - expected[3 * i + 2]) <= 1e-5 * (1 + expected[3 * i + 2]));
        }
        free(expected);
      }
    }
  }
}

/* Added one by one in float32, a million tenths come to 100958. */
static void long_float_sums_stay_exact(void **state) {
  (void)state;
  tt_tensor *x = CALL(full, INTS(1000000), tt_float(0.1), tt_dtype_value(TT_DTYPE_F32));
  assert_true(fabs(value_at(CALL(sum, arg(x)), 0) - 100000.0) < 0.05);
  tt_tensor *tall = CALL(reshape, arg(x), INTS(500000, 2));
  assert_true(fabs(value_at(CALL(sum, arg(tall), tt_int(0)), 1) - 50000.0) < 0.05);
}

static void variances(void **state) {
  (void)state;
  tt_tensor *x = TENSOR(F64, SHAPE(2, 2), 1, 2, 3, 4);
  EXPECT(CALL(var, arg(x)), F64, SCALAR, 5.0 / 3);
  EXPECT(CALL(var, arg(x), tt_none(), tt_bool(false)), F64, SCALAR, 1.25);
  EXPECT(CALL(std, arg(x), tt_int(0)), F64, SHAPE(2), sqrt(2), sqrt(2));
  EXPECT(CALL(var, arg(x), tt_int(0), tt_bool(true), tt_bool(true), tt_int(0)), F64, SHAPE(1, 2), 1, 1);
  EXPECT(CALL(var, arg(TENSOR(F32, SHAPE(1), 3))), F32, SCALAR, nan_value);
  EXPECT(CALL(var, arg(TENSOR(F64, SHAPE(4), 1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 4))), F64, SCALAR, 5.0 / 3);
  EXPECT_FAILURE(TT_ERR_DTYPE, "int64", var, arg(TENSOR(I64, SHAPE(2), 1, 2)));
}

static void extremes(void **state) {
  (void)state;
  tt_tensor *results[TT_MAX_RESULTS];
  tt_tensor *x = TENSOR(F32, SHAPE(2, 3), 1, 7, 7, nan_value, 2, nan_value);
  assert_int_equal(CALL_INTO(results, max, arg(x), tt_int(1)), 2);
  EXPECT(results[0], F32, SHAPE(2), 7, nan_value);
  EXPECT(results[1], I64, SHAPE(2), 1, 0);
  assert_int_equal(CALL_INTO(results, min, arg(x), tt_int(0), tt_bool(true)), 2);
  EXPECT(results[0], F32, SHAPE(1, 3), nan_value, 2, nan_value);
  EXPECT(results[1], I64, SHAPE(1, 3), 1, 1, 1);
  EXPECT(CALL(max, arg(x)), F32, SCALAR, nan_value);
  EXPECT(CALL(argmax, arg(x)), I64, SCALAR, 3);
  EXPECT(CALL(argmin, arg(TENSOR(I32, SHAPE(2, 2), 4, -9, -9, 0))), I64, SCALAR, 1);
  EXPECT(CALL(argmax, arg(CALL(t, arg(TENSOR(I64, SHAPE(2, 2), 1, 9, 2, 3)))), tt_none(), tt_bool(true)), I64, SHAPE(1, 1), 2);
  EXPECT(CALL(amax, arg(TENSOR(BOOL, SHAPE(2), 0, 1))), BOOL, SCALAR, 1);
  EXPECT(CALL(min, arg(TENSOR(U8, SHAPE(3), 200, 3, 90))), U8, SCALAR, 3);
  EXPECT(CALL(amin, arg(TENSOR(F64, SHAPE(2), -INFINITY, 3))), F64, SCALAR, -INFINITY);
  EXPECT_FAILURE(TT_ERR_SHAPE, "without elements", max, arg(EMPTY(F32, SHAPE(0, 3))));
  EXPECT_FAILURE(TT_ERR_INDEX, "non-zero size", amax, arg(EMPTY(F32, SHAPE(0, 3))), tt_int(0));
  EXPECT_EMPTY(CALL(amax, arg(EMPTY(F32, SHAPE(0, 3))), tt_int(1)), F32, SHAPE(0));
  EXPECT_FAILURE(TT_ERR_ARGUMENT, "keepdim", max, arg(x), tt_none(), tt_bool(true));
  EXPECT_FAILURE(TT_ERR_DTYPE, "bool", argmax, arg(TENSOR(BOOL, SHAPE(1), 1)));
}

static void truth(void **state) {
  (void)state;
  tt_tensor *x = TENSOR(F32, SHAPE(2, 2), 0, nan_value, 0, 0);
  EXPECT(CALL(any, arg(x), tt_int(1)), BOOL, SHAPE(2), 1, 0);
  EXPECT(CALL(all, arg(x), tt_int(0)), BOOL, SHAPE(2), 0, 0);
  EXPECT(CALL(all, arg(EMPTY(F32, SHAPE(0)))), BOOL, SCALAR, 1);
  EXPECT(CALL(any, arg(EMPTY(F32, SHAPE(0)))), BOOL, SCALAR, 0);
  EXPECT(CALL(any, arg(TENSOR(U8, SHAPE(2), 0, 9))), U8, SCALAR, 1);
  EXPECT(CALL(count_nonzero, arg(x), INTS(0, 1)), I64, SCALAR, 1);
}

static void norms(void **state) {
  (void)state;
  tt_tensor *x = TENSOR(F64, SHAPE(2, 2), 3, -4, 0, 0);
  EXPECT(CALL(norm, arg(x)), F64, SCALAR, 5);
  EXPECT(CALL(norm, arg(x), tt_int(1), tt_int(0)), F64, SHAPE(2), 3, 4);
  EXPECT(CALL(norm, arg(x), tt_int(0)), F64, SCALAR, 2);
  EXPECT(CALL(norm, arg(x), tt_float(INFINITY)), F64, SCALAR, 4);
  EXPECT(CALL(norm, arg(x), tt_float(-INFINITY), tt_int(1)), F64, SHAPE(2), 3, 0);
  EXPECT(CALL(norm, arg(x), tt_int(3)), F64, SCALAR, cbrt(91));
  EXPECT(CALL(norm, arg(EMPTY(F64, SHAPE(0))), tt_float(-INFINITY)), F64, SCALAR, 0);
  EXPECT_FAILURE(TT_ERR_DTYPE, "int64", norm, arg(TENSOR(I64, SHAPE(1), 1)));
}

static void running_totals_and_the_like(void **state) {
  (void)state;
  tt_tensor *results[TT_MAX_RESULTS];
  EXPECT(CALL(cumsum, arg(TENSOR(BOOL, SHAPE(3), 1, 1, 0)), tt_int(0)), I64, SHAPE(3), 1, 2, 2);
  EXPECT(CALL(cumprod, arg(TENSOR(F32, SHAPE(2, 2), 1, 2, 3, 4)), tt_int(0)), F32, SHAPE(2, 2), 1, 2, 3, 8);
  EXPECT(CALL(logsumexp, arg(TENSOR(F64, SHAPE(2), 1000, 1000)), tt_int(0)), F64, SCALAR, 1000 + log(2));
  EXPECT(CALL(logsumexp, arg(TENSOR(F64, SHAPE(2), -INFINITY, -INFINITY)), tt_int(0)), F64, SCALAR, -INFINITY);
  EXPECT(CALL(softmax, arg(TENSOR(F64, SHAPE(2), 1000, 1000 + log(3))), tt_int(0)), F64, SHAPE(2), 0.25, 0.75);
  EXPECT(CALL(log_softmax, arg(TENSOR(F64, SHAPE(1, 2), 0, 0)), tt_int(-1)), F64, SHAPE(1, 2), -log(2), -log(2));
  EXPECT(CALL(median, arg(TENSOR(F64, SHAPE(4), 4, 1, 3, 2))), F64, SCALAR, 2);
  assert_int_equal(CALL_INTO(results, median, arg(TENSOR(F64, SHAPE(2, 3), 9, 1, 5, 1, nan_value, 0)), tt_int(1)), 2);
  EXPECT(results[0], F64, SHAPE(2), 5, nan_value);
  EXPECT(results[1], I64, SHAPE(2), 2, 1);
}

/* x=[[1,1],[1,1]], x2=[[2,2],[2,2]]: (x*x2).sum().backward() leaves 2 in x.grad and 1 in x2.grad. */
static void the_examples_gradients(void **state) {
  (void)state;
  tt_tensor *x = TENSOR(F32, SHAPE(2, 2), 1, 1, 1, 1), *x2 = TENSOR(F32, SHAPE(2, 2), 2, 2, 2, 2);
  tt_tensor *product = CALL(mul, arg(x), arg(x2)), *one = TENSOR(F32, SCALAR, 1);
  tt_operand *of_product[1], *grads[2];
  GRADIENTS(of_product, one, sum, arg(product));
  GRADIENTS(grads, tensor_of(of_product[0]), mul, arg(x), arg(x2));
  EXPECT(tensor_of(grads[0]), F32, SHAPE(2, 2), 2, 2, 2, 2);
  EXPECT(tensor_of(grads[1]), F32, SHAPE(2, 2), 1, 1, 1, 1);
}

static void gradients_at_zeros_and_ties(void **state) {
  (void)state;
  tt_operand *grads[1];
  tt_tensor *one = TENSOR(F64, SCALAR, 1), *ones = TENSOR(F64, SHAPE(5), 1, 1, 1, 1, 1);
  GRADIENTS(grads, one, prod, arg(TENSOR(F64, SHAPE(3), 2, 0, 3)));
  EXPECT(tensor_of(grads[0]), F64, SHAPE(3), 0, 6, 0);
  GRADIENTS(grads, one, prod, arg(TENSOR(F64, SHAPE(3), 0, 0, 3)));
  EXPECT(tensor_of(grads[0]), F64, SHAPE(3), 0, 0, 0);
  GRADIENTS(grads, ones, cumprod, arg(TENSOR(F64, SHAPE(5), 2, 0, 3, 0, 5)), tt_int(0));
  EXPECT(tensor_of(grads[0]), F64, SHAPE(5), 1, 8, 0, 0, 0);
  GRADIENTS(grads, one, max, arg(TENSOR(F64, SHAPE(3), 1, 3, 3)));
  EXPECT(tensor_of(grads[0]), F64, SHAPE(3), 0, 0.5, 0.5);
  GRADIENTS(grads, one, norm, arg(TENSOR(F64, SHAPE(2), 0, 0)));
  EXPECT(tensor_of(grads[0]), F64, SHAPE(2), 0, 0);
  GRADIENTS(grads, one, std, arg(TENSOR(F64, SHAPE(2), 4, 4)));
  EXPECT(tensor_of(grads[0]), F64, SHAPE(2), 0, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      OP_TEST(sums_have_pytorchs_dtypes),
      OP_TEST(integer_sums_wrap),
      OP_TEST(dims_and_keepdim),
      OP_TEST(every_layout_gives_the_same_sums),
      OP_TEST(long_float_sums_stay_exact),
      OP_TEST(variances),
      OP_TEST(extremes),
      OP_TEST(truth),
      OP_TEST(norms),
      OP_TEST(running_totals_and_the_like),
      OP_TEST(the_examples_gradients),
      OP_TEST(gradients_at_zeros_and_ties),
  };
  return cmocka_run_group_tests_name("reduce", tests, NULL, NULL);
}
