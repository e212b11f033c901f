/* Linear algebra: by hand, by residual, and what has no answer. */
#include "op_fixture.h"

static void solves(void **state) {
  (void)state;
  tt_tensor *a = TENSOR(F64, SHAPE(2, 2), 2, 1, 1, 3);
  EXPECT(CALL(linalg_solve, arg(a), arg(TENSOR(F64, SHAPE(2), 5, 10))), F64, SHAPE(2), 1, 3);
  EXPECT(CALL(linalg_solve, arg(a), arg(TENSOR(F64, SHAPE(2, 1), 5, 10))), F64, SHAPE(2, 1), 1, 3);
  EXPECT(CALL(linalg_solve, arg(a), arg(TENSOR(F64, SHAPE(1, 2), 5, 10)), tt_bool(false)), F64, SHAPE(1, 2), 1, 3);
  EXPECT(CALL(linalg_solve, arg(TENSOR(F32, SHAPE(2, 2), 0, 2, 4, 0)), arg(TENSOR(F32, SHAPE(2), 2, 4))), F32, SHAPE(2), 1, 1);
  /* One B for a batch of two A. */
  EXPECT(CALL(linalg_solve, arg(TENSOR(F64, SHAPE(2, 1, 1), 2, 4)), arg(TENSOR(F64, SHAPE(1, 1), 8))), F64, SHAPE(2, 1, 1), 4,
         2);
  EXPECT_EMPTY(CALL(linalg_solve, arg(EMPTY(F64, SHAPE(0, 0))), arg(EMPTY(F64, SHAPE(0, 2)))), F64, SHAPE(0, 2));
}

static void what_has_no_answer_is_said(void **state) {
  (void)state;
  tt_tensor *singular = TENSOR(F64, SHAPE(2, 2), 1, 2, 2, 4), *b = TENSOR(F64, SHAPE(2), 1, 1);
  EXPECT_FAILURE(TT_ERR_NUMERIC, "pivot 2 is zero", linalg_solve, arg(singular), arg(b));
  EXPECT_FAILURE(TT_ERR_NUMERIC, "batch element 1", inverse, arg(TENSOR(F64, SHAPE(2, 1, 1), 3, 0)));
  EXPECT_FAILURE(TT_ERR_NUMERIC, "minor of order 2", cholesky, arg(TENSOR(F64, SHAPE(2, 2), 1, 2, 2, 1)));
  EXPECT_FAILURE(TT_ERR_NUMERIC, "minor of order 1", cholesky, arg(TENSOR(F64, SHAPE(1, 1), (double)NAN)));
  EXPECT_FAILURE(TT_ERR_SHAPE, "square", inverse, arg(TENSOR(F64, SHAPE(1, 2), 1, 2)));
  EXPECT_FAILURE(TT_ERR_SHAPE, "2 rows", linalg_solve, arg(singular), arg(TENSOR(F64, SHAPE(3), 1, 1, 1)));
  EXPECT_FAILURE(TT_ERR_DTYPE, "int64", det, arg(TENSOR(I64, SHAPE(1, 1), 1)));
  EXPECT_FAILURE(TT_ERR_DTYPE, "float64 and float32", linalg_solve, arg(singular), arg(TENSOR(F32, SHAPE(2), 1, 1)));
}

static void factors(void **state) {
  (void)state;
  /* The upper triangle of the lower factor's matrix is not read, and the other way round. */
  tt_tensor *lower = TENSOR(F64, SHAPE(2, 2), 4, 99, 2, 5), *upper = TENSOR(F64, SHAPE(2, 2), 4, 2, 99, 5);
  EXPECT(CALL(cholesky, arg(lower)), F64, SHAPE(2, 2), 2, 0, 1, 2);
  EXPECT(CALL(cholesky, arg(upper), tt_bool(true)), F64, SHAPE(2, 2), 2, 1, 0, 2);
  tt_tensor *b = TENSOR(F64, SHAPE(2, 1), 8, 9), *l = CALL(cholesky, arg(lower));
  EXPECT(CALL(cholesky_solve, arg(b), arg(l)), F64, SHAPE(2, 1), 1.375, 1.25);
  EXPECT(CALL(cholesky_solve, arg(b), arg(CALL(t, arg(l))), tt_bool(true)), F64, SHAPE(2, 1), 1.375, 1.25);
  EXPECT(CALL(linalg_solve_triangular, arg(l), arg(b), tt_bool(false)), F64, SHAPE(2, 1), 4, 2.5);
  EXPECT(CALL(linalg_solve_triangular, arg(CALL(t, arg(l))), arg(b), tt_bool(true)), F64, SHAPE(2, 1), 1.75, 4.5);
  EXPECT(CALL(linalg_solve_triangular, arg(l), arg(b), tt_bool(false), tt_bool(true), tt_bool(true)), F64, SHAPE(2, 1), 8, 1);
  EXPECT(CALL(linalg_solve_triangular, arg(l), arg(CALL(t, arg(b))), tt_bool(false), tt_bool(false)), F64, SHAPE(1, 2), 1.75,
         4.5);
}

static void determinants_and_inverses(void **state) {
  (void)state;
  tt_tensor *a = TENSOR(F64, SHAPE(2, 2), 0, 2, 4, 1);
  EXPECT(CALL(det, arg(a)), F64, SCALAR, -8);
  EXPECT(CALL(det, arg(TENSOR(F32, SHAPE(2, 2), 1, 2, 2, 4))), F32, SCALAR, 0);
  EXPECT(CALL(det, arg(EMPTY(F64, SHAPE(0, 0)))), F64, SCALAR, 1);
  EXPECT(CALL(inverse, arg(a)), F64, SHAPE(2, 2), -0.125, 0.25, 0.5, 0);
  EXPECT(CALL(inverse, arg(CALL(t, arg(a)))), F64, SHAPE(2, 2), -0.125, 0.5, 0.25, 0);
}

/* A least-squares fit by the normal equations finds the coefficients that made the data. */
static void a_fit_finds_its_coefficients(void **state) {
  (void)state;
  tt_generator_init(&pool.generator, 5);
  tt_tensor *x = CALL(randn, INTS(200, 13), tt_none(), tt_dtype_value(TT_DTYPE_F64));
  tt_tensor *truth = CALL(linspace, tt_int(-3), tt_int(3), tt_int(13), tt_dtype_value(TT_DTYPE_F64));
  tt_tensor *xt = CALL(t, arg(x));
  tt_tensor *normal = CALL(mm, arg(xt), arg(x)), *right = CALL(mv, arg(xt), arg(CALL(mv, arg(x), arg(truth))));
  tt_tensor *by_lu = CALL(linalg_solve, arg(normal), arg(right));
  tt_tensor *by_cholesky = CALL(cholesky_solve, arg(CALL(unsqueeze, arg(right), tt_int(1))), arg(CALL(cholesky, arg(normal))));
  for (int64_t i = 0; i < 13; i++) {
    assert_true(fabs(value_at(by_lu, i) - value_at(truth, i)) < 1e-12);
    assert_true(fabs(value_at(by_cholesky, i) - value_at(truth, i)) < 1e-12);
  }
}

static void residuals_are_small(void **state) {
  (void)state;
  tt_generator_init(&pool.generator, 6);
  tt_tensor *a = CALL(randn, INTS(3, 70, 70), tt_none(), tt_dtype_value(TT_DTYPE_F32));
  tt_tensor *b = CALL(randn, INTS(70, 9), tt_none(), tt_dtype_value(TT_DTYPE_F32));
  tt_tensor *x = CALL(linalg_solve, arg(CALL(transpose, arg(a), tt_int(1), tt_int(2))), arg(b));
  tt_tensor *again = CALL(matmul, arg(CALL(transpose, arg(a), tt_int(1), tt_int(2))), arg(x));
  tt_tensor *residual = CALL(amax, arg(CALL(abs, arg(CALL(sub, arg(again), arg(b))))));
  tt_tensor *size = CALL(amax, arg(CALL(abs, arg(x))));
  assert_true(value_at(residual, 0) <= 1e-4 * (1 + value_at(size, 0)));
}

/* Full matrices are orthogonal, and what they have beyond the values is the rest of a basis; also of a matrix of rank 1. */
static void full_singular_vectors_are_a_basis(void **state) {
  (void)state;
  tt_tensor *matrices[] = {TENSOR(F64, SHAPE(2, 3), 1, 2, 3, 4, 5, 7), TENSOR(F64, SHAPE(3, 2), 1, 2, 2, 4, 3, 6)};
  for (int i = 0; i < 2; i++) {
    tt_tensor *parts[TT_MAX_RESULTS];
    tt_value args[] = {arg(matrices[i]), tt_bool(true)};
    assert_int_equal(call_op(TT_OP_linalg_svd, parts, args, 2), 3);
    int64_t m = tt_tensor_shape(matrices[i])->dims[0], n = tt_tensor_shape(matrices[i])->dims[1];
    for (int k = 0; k < 2; k++) {
      tt_tensor *vectors = parts[2 * k], *product = CALL(matmul, arg(CALL(t, arg(vectors))), arg(vectors));
      assert_int_equal(tt_tensor_shape(vectors)->dims[0], k == 0 ? m : n);
      tt_tensor *off = CALL(amax, arg(CALL(abs, arg(CALL(sub, arg(product), arg(CALL(eye, tt_int(k == 0 ? m : n))))))));
      assert_true(value_at(off, 0) < 1e-12);
    }
    tt_tensor *u = CALL(narrow, arg(parts[0]), tt_int(1), tt_int(0), tt_int(2)),
              *vh = CALL(narrow, arg(parts[2]), tt_int(0), tt_int(0), tt_int(2));
    tt_tensor *again = CALL(matmul, arg(CALL(mul, arg(u), arg(parts[1]))), arg(vh));
    assert_true(value_at(CALL(amax, arg(CALL(abs, arg(CALL(sub, arg(again), arg(matrices[i])))))), 0) < 1e-12);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      OP_TEST(solves),
      OP_TEST(what_has_no_answer_is_said),
      OP_TEST(factors),
      OP_TEST(determinants_and_inverses),
      OP_TEST(a_fit_finds_its_coefficients),
      OP_TEST(residuals_are_small),
      OP_TEST(full_singular_vectors_are_a_basis),
  };
  return cmocka_run_group_tests_name("linalg", tests, NULL, NULL);
}
