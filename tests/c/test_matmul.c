/* Products: by hand, against plain loops in sizes around the panels' edges and in every layout, what is refused. */
#include "op_fixture.h"

#include "base/alloc.h"
#include "kernels/matmul.h"
#include "kernels/parallel.h"
#include "kernels/variant.h"

static void forms(void **state) {
  (void)state;
  tt_tensor *a = TENSOR(F32, SHAPE(2, 2), 1, 2, 3, 4), *v = TENSOR(F32, SHAPE(2), 10, 100);
  EXPECT(CALL(mm, arg(a), arg(a)), F32, SHAPE(2, 2), 7, 10, 15, 22);
  EXPECT(CALL(matmul, arg(a), arg(v)), F32, SHAPE(2), 210, 430);
  EXPECT(CALL(matmul, arg(v), arg(a)), F32, SHAPE(2), 310, 420);
  EXPECT(CALL(mv, arg(CALL(t, arg(a))), arg(v)), F32, SHAPE(2), 310, 420);
  EXPECT(CALL(dot, arg(v), arg(v)), F32, SCALAR, 10100);
  EXPECT(CALL(outer, arg(v), arg(TENSOR(I64, SHAPE(3), 1, 2, 3))), F32, SHAPE(2, 3), 10, 20, 30, 100, 200, 300);
  tt_tensor *batch = TENSOR(F32, SHAPE(2, 1, 2), 1, 0, 0, 1);
  EXPECT(CALL(matmul, arg(batch), arg(a)), F32, SHAPE(2, 1, 2), 1, 2, 3, 4);
  EXPECT(CALL(matmul, arg(v), arg(CALL(reshape, arg(batch), INTS(2, 2, 1)))), F32, SHAPE(2, 1), 10, 100);
  EXPECT(CALL(bmm, arg(batch), arg(CALL(reshape, arg(a), INTS(2, 2, 1)))), F32, SHAPE(2, 1, 1), 1, 4);
  EXPECT(CALL(matmul, arg(TENSOR(F32, SHAPE(2, 1, 1, 1), 2, 3)), arg(TENSOR(F32, SHAPE(3, 1, 1), 1, 10, 100))), F32,
         SHAPE(2, 3, 1, 1), 2, 20, 200, 3, 30, 300);
  EXPECT(CALL(mm, arg(EMPTY(F64, SHAPE(2, 0))), arg(EMPTY(F64, SHAPE(0, 2)))), F64, SHAPE(2, 2), 0, 0, 0, 0);
  EXPECT_EMPTY(CALL(matmul, arg(EMPTY(F64, SHAPE(0, 3, 2))), arg(EMPTY(F64, SHAPE(0, 2, 4)))), F64, SHAPE(0, 3, 4));
}

static void integers_wrap(void **state) {
  (void)state;
  EXPECT(CALL(mm, arg(TENSOR(U8, SHAPE(1, 2), 20, 10)), arg(TENSOR(U8, SHAPE(2, 1), 20, 1))), U8, SHAPE(1, 1), 154);
  EXPECT(CALL(mm, arg(TENSOR(I32, SHAPE(1, 1), 65536)), arg(TENSOR(I32, SHAPE(1, 1), 65537))), I32, SHAPE(1, 1), 65536);
  EXPECT(CALL(dot, arg(TENSOR(I64, SHAPE(2), -3, 4)), arg(TENSOR(I64, SHAPE(2), 5, 6))), I64, SCALAR, 9);
}

static void what_does_not_fit_is_refused(void **state) {
  (void)state;
  tt_tensor *a = TENSOR(F32, SHAPE(2, 3), 1, 2, 3, 4, 5, 6), *v = TENSOR(F32, SHAPE(2), 1, 2);
  EXPECT_FAILURE(TT_ERR_SHAPE, "[2, 3] and [2, 3] cannot be multiplied", mm, arg(a), arg(a));
  EXPECT_FAILURE(TT_ERR_SHAPE, "mm takes", mm, arg(a), arg(v));
  EXPECT_FAILURE(TT_ERR_SHAPE, "at least one dimension", matmul, arg(a), arg(TENSOR(F32, SCALAR, 1)));
  EXPECT_FAILURE(TT_ERR_DTYPE, "float32 and float64", mv, arg(a), arg(TENSOR(F64, SHAPE(3), 1, 2, 3)));
  EXPECT_FAILURE(TT_ERR_DTYPE, "bool", dot, arg(TENSOR(BOOL, SHAPE(1), 1)), arg(TENSOR(BOOL, SHAPE(1), 1)));
  EXPECT_FAILURE(TT_ERR_SHAPE, "one size", bmm, arg(TENSOR(F32, SHAPE(1, 1, 1), 1)), arg(TENSOR(F32, SHAPE(2, 1, 1), 1, 2)));
}

static void addmm_scales_and_leaves_out(void **state) {
  (void)state;
  tt_tensor *a = TENSOR(F32, SHAPE(2, 2), 1, 2, 3, 4), *bias = TENSOR(F32, SHAPE(2), 100, 200);
  EXPECT(CALL(addmm, arg(bias), arg(a), arg(a)), F32, SHAPE(2, 2), 107, 210, 115, 222);
  EXPECT(CALL(addmm, arg(bias), arg(a), arg(a), tt_float(0.5), tt_int(2)), F32, SHAPE(2, 2), 64, 120, 80, 144);
  EXPECT(CALL(addmm, arg(TENSOR(F32, SCALAR, (double)NAN)), arg(a), arg(a), tt_int(0)), F32, SHAPE(2, 2), 7, 10, 15, 22);
  EXPECT_FAILURE(TT_ERR_SHAPE, "[3]", addmm, arg(TENSOR(F32, SHAPE(3), 1, 2, 3)), arg(a), arg(a));
}

/* (rows, columns) of small numbers, as the given layout: 0 dense, 1 transposed, 2 every other row of a wider one. */
static tt_tensor *numbers(tt_dtype dtype, int64_t rows, int64_t columns, int layout, int64_t factor) {
  int64_t height = layout == 1 ? columns : layout == 2 ? 2 * rows : rows, width = layout == 1 ? rows : columns + (layout == 2);
  int64_t shape[2] = {height, width};
  tt_tensor *line = CALL(arange, tt_int(0), tt_int(height * width), tt_int(1), tt_dtype_value(TT_DTYPE_I64));
  line = CALL(sub, arg(CALL(remainder, arg(CALL(mul, arg(line), tt_int(factor))), tt_int(13))), tt_int(6));
  tt_tensor *made = CALL(reshape, arg(CALL(to, arg(line), tt_dtype_value(dtype))), tt_ints(shape, 2));
  if (layout == 1) return CALL(t, arg(made));
  if (layout == 0) return made;
  made = CALL(slice, arg(made), tt_int(0), tt_none(), tt_none(), tt_int(2));
  return CALL(narrow, arg(made), tt_int(1), tt_int(1), tt_int(columns));
}

/* Every number is a small integer, so that the products are exact in any order. */
static void check_product(tt_dtype dtype, int64_t m, int64_t n, int64_t k, int a_layout, int b_layout) {
  plain_context outer = pool;
  plain_context_begin(&pool);
  tt_tensor *a = numbers(dtype, m, k, a_layout, 7), *b = numbers(dtype, k, n, b_layout, 5);
  tt_tensor *product = CALL(to, arg(CALL(mm, arg(a), arg(b))), tt_dtype_value(TT_DTYPE_F64));
  a = CALL(contiguous, arg(CALL(to, arg(a), tt_dtype_value(TT_DTYPE_F64))));
  b = CALL(contiguous, arg(CALL(t, arg(CALL(to, arg(b), tt_dtype_value(TT_DTYPE_F64))))));
  const double *x = tt_tensor_data(a), *y = tt_tensor_data(b), *z = tt_tensor_data(product);
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;
      for (int64_t l = 0; l < k; l++) sum += x[i * k + l] * y[j * k + l];
      if (sum != z[i * n + j]) {
        fail_msg("%s (%lld,%lld)x(%lld,%lld), layouts %d and %d: element %lld, %lld is %g, not %g", tt_dtype_name(dtype),
                 (long long)m, (long long)k, (long long)k, (long long)n, a_layout, b_layout, (long long)i, (long long)j,
                 z[i * n + j], sum);
      }
    }
  }
  plain_context_end(&pool);
  pool = outer;
}

static void panels_have_edges(void **state) {
  (void)state;
  static const tt_dtype dtypes[] = {TT_DTYPE_F32, TT_DTYPE_F64, TT_DTYPE_I64};
  static const int64_t sizes[][3] = {{1, 1, 1},   {1, 9, 5},   {9, 1, 5},    {3, 7, 2},    {4, 8, 256},   {5, 9, 257},
                                     {65, 17, 3}, {1, 600, 3}, {600, 1, 30}, {1, 5, 2050}, {64, 513, 12}, {66, 12, 600},
                                     {2, 2, 2},   {7, 33, 6},  {17, 40, 90}, {12, 31, 65}, {3, 100, 70}};
  tt_variant usual = tt_variant_chosen();
  for (int v = 0; v < TT_N_VARIANTS; v++) {
    if (!tt_variant_force((tt_variant)v)) continue;
    for (size_t d = 0; d < 3; d++) {
      for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (int layouts = 0; layouts < 9; layouts++) {
          check_product(dtypes[d], sizes[s][0], sizes[s][1], sizes[s][2], layouts / 3, layouts % 3);
        }
      }
    }
  }
  tt_variant_force(usual);
}

/* What a block of rows and columns of a product comes to by itself is what it is in the whole, bit for bit. */
static void a_part_is_as_in_the_whole(void **state) {
  (void)state;
  enum { M = 37, N = 75, K = 300, FIRST_ROW = 3, N_ROWS = 21, FIRST_COLUMN = 13, N_COLUMNS = 40 };
  static float a[M * K], b[K * N], whole[M * N], part[M * N];
  for (int i = 0; i < M * K; i++) a[i] = (float)(i * 7 % 101) / 33 - 1;
  for (int i = 0; i < K * N; i++) b[i] = (float)(i * 5 % 103) / 37 - 1;
  tt_variant usual = tt_variant_chosen();
  for (int v = 0; v < TT_N_VARIANTS; v++) {
    if (!tt_variant_force((tt_variant)v)) continue;
    tt_matmul product = {.dtype = TT_DTYPE_F32, .m = M, .n = N, .k = K, .a = a, .b = b, .c = whole};
    product.a_row = K, product.a_column = 1, product.b_row = N, product.b_column = 1, product.c_row = N;
    assert_int_equal(tt_matmul_run(&product, NULL), TT_OK);
    memset(part, 0, sizeof part);
    product.m = N_ROWS, product.a = a + FIRST_ROW * K;
    product.n = N_COLUMNS, product.b = b + FIRST_COLUMN;
    product.c = part + FIRST_ROW * N + FIRST_COLUMN;
    assert_int_equal(tt_matmul_run(&product, NULL), TT_OK);
    for (int i = 0; i < M; i++) {
      for (int j = 0; j < N; j++) {
        bool is_inside = i >= FIRST_ROW && i < FIRST_ROW + N_ROWS && j >= FIRST_COLUMN && j < FIRST_COLUMN + N_COLUMNS;
        assert_true(part[i * N + j] == (is_inside ? whole[i * N + j] : 0));
      }
    }
  }
  tt_variant_force(usual);
}

static float *fill(size_t n, unsigned step) {
  float *made = malloc(n * sizeof *made);
  for (size_t i = 0; i < n; i++) made[i] = (float)((unsigned)i * step % 1013) / 331 - 1.5F;
  return made;
}

static void any_number_of_threads_gives_the_same_bits(void **state) {
  (void)state;
  /* With the strides of a dense A and a transposed one; products beside each other; one row; one column of a transposed matrix. */
  static const struct {
    int64_t n_products, m, k, n;
    bool is_transposed;
  } cases[] = {{1, 133, 300, 257, false}, {1, 261, 263, 70, true},   {70, 41, 40, 43, false},
               {3, 130, 256, 140, true},  {1, 1, 1100, 1030, false}, {1, 1030, 1100, 1, true}};
  int usual = tt_parallel_get_threads();
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    int64_t n_products = cases[i].n_products, m = cases[i].m, k = cases[i].k, n = cases[i].n;
    size_t n_results = (size_t)(n_products * m * n);
    float *a = fill((size_t)(n_products * m * k), 7919), *b = fill((size_t)(n_products * k * n), 104729);
    float *one = malloc(n_results * sizeof *one), *more = malloc(n_results * sizeof *more);
    tt_matmul product = {.dtype = TT_DTYPE_F32, .m = m, .n = n, .k = k, .a = a, .b = b, .c = one, .c_row = n, .c_block = m * n};
    product.n_batch_dims = 1, product.batch_sizes[0] = n_products;
    product.a_batch[0] = m * k, product.b_batch[0] = k * n;
    product.a_row = cases[i].is_transposed ? 1 : k, product.a_column = cases[i].is_transposed ? m : 1;
    product.b_row = n, product.b_column = 1;
    for (int n_threads = 1; n_threads <= 5; n_threads++) {
      assert_int_equal(tt_parallel_set_threads(n_threads, NULL), TT_OK);
      product.c = n_threads == 1 ? one : more;
      assert_int_equal(tt_matmul_run(&product, NULL), TT_OK);
      if (n_threads > 1) assert_memory_equal(one, more, n_results * sizeof *one);
    }
    free(a), free(b), free(one), free(more);
  }
  assert_int_equal(tt_parallel_set_threads(usual, NULL), TT_OK);
}

static void wider_forms_are_asked_for_by_name(void **state) {
  (void)state;
  tt_variant usual = tt_variant_chosen();
  assert_true(tt_variant_force(TT_VARIANT_PLAIN));
  assert_int_equal(tt_variant_chosen(), TT_VARIANT_PLAIN);
  assert_string_equal(tt_variant_name(TT_VARIANT_PLAIN), "plain");
  assert_true(tt_variant_force(usual));
}

static void no_memory_is_said(void **state) {
  (void)state;
  tt_tensor *a = numbers(TT_DTYPE_F32, 80, 80, 1, 3);
  int n_failures = 0;
  for (long n = 0;; n++) {
    tt_error error = {0};
    tt_tensor *results[1] = {NULL};
    size_t n_results = 0;
    tt_alloc_fail_after(n);
    tt_status status = tt_op_eval(TT_OP_mm, NULL, (tt_value[]){arg(a), arg(a)}, 2, results, &n_results, &error);
    tt_alloc_fail_after(-1);
    if (status == TT_OK) {
      tt_tensor_unref(results[0]);
      break;
    }
    assert_int_equal(status, TT_ERR_MEMORY);
    assert_true(error.message[0] != 0);
    n_failures++;
  }
  assert_true(n_failures >= 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      OP_TEST(forms),
      OP_TEST(integers_wrap),
      OP_TEST(what_does_not_fit_is_refused),
      OP_TEST(addmm_scales_and_leaves_out),
      OP_TEST(panels_have_edges),
      OP_TEST(a_part_is_as_in_the_whole),
      OP_TEST(any_number_of_threads_gives_the_same_bits),
      OP_TEST(wider_forms_are_asked_for_by_name),
      OP_TEST(no_memory_is_said),
  };
  return cmocka_run_group_tests_name("matmul", tests, NULL, NULL);
}
