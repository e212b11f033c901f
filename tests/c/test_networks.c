/* What the rows of networks promise beyond what PyTorch's answers show: masks, paddings, what is written and what is refused. */
#include "base/alloc.h"
#include "op_fixture.h"

static tt_tensor *filled(const tt_shape *shape, double value) {
  tt_tensor *tensor = kept(tt_tensor_zeros(TT_DTYPE_F64, shape, NULL));
  double *at = tt_tensor_data(tensor);
  for (int64_t i = 0; i < tt_tensor_n_elements(tensor); i++) at[i] = value;
  return tensor;
}

/* The gradient passes exactly where the call let the value pass, a kept zero included. */
static void gradients_have_the_mask_of_their_dropout(void **state) {
  (void)state;
  enum { N = 4000 };
  tt_tensor *x = filled(SHAPE(N), 3), *ones = filled(SHAPE(N), 1);
  double *at = tt_tensor_data(x);
  for (int64_t i = 0; i < N; i += 2) at[i] = i % 4 == 0 ? 0.0 : -0.0;
  tt_tensor *y = CALL(dropout, arg(x), tt_float(0.25), tt_bool(true), tt_int(9));
  tt_tensor *pair[TT_MAX_RESULTS];
  assert_int_equal(CALL_INTO(pair, native_dropout, arg(x), tt_float(0.25), tt_bool(true), tt_int(9)), 2);
  tt_operand *of_result[1], *of_pair[1];
  GRADIENTS(of_result, ones, dropout, arg(x), tt_float(0.25), tt_bool(true), tt_int(9));
  GRADIENTS(of_pair, ones, native_dropout, arg(x), tt_float(0.25), tt_bool(true), tt_int(9));
  const uint8_t *mask = tt_tensor_data(pair[1]);
  int64_t n_kept = 0;
  for (int64_t i = 0; i < N; i++) {
    n_kept += mask[i];
    assert_true(value_at(y, i) == (mask[i] ? at[i] / 0.75 : 0));
    assert_true(value_at(pair[0], i) == value_at(y, i));
    assert_true(value_at(tensor_of(of_result[0]), i) == (mask[i] ? 1 / 0.75 : 0));
    assert_true(value_at(tensor_of(of_pair[0]), i) == (mask[i] ? 1 / 0.75 : 0));
  }
  assert_true(n_kept > N * 7 / 10 && n_kept < N * 8 / 10);
}

static void without_training_dropout_passes_all(void **state) {
  (void)state;
  tt_tensor *x = TENSOR(F64, SHAPE(3), 0, -1, 2), *g = TENSOR(F64, SHAPE(3), 1, 2, 3);
  EXPECT(CALL(dropout, arg(x), tt_float(0.9), tt_bool(false)), F64, SHAPE(3), 0, -1, 2);
  tt_operand *grads[1];
  GRADIENTS(grads, g, dropout, arg(x), tt_float(0.9), tt_bool(false));
  EXPECT(tensor_of(grads[0]), F64, SHAPE(3), 1, 2, 3);
  EXPECT_FAILURE(TT_ERR_ARGUMENT, "between 0 and 1", dropout, arg(x), tt_float(1.5));
}

static void the_padding_of_an_embedding_has_no_gradient(void **state) {
  (void)state;
  tt_tensor *index = TENSOR(I64, SHAPE(4), 2, 0, 2, 1), *weight = TENSOR(F64, SHAPE(3, 2), 1, 2, 3, 4, 5, 6);
  tt_tensor *g = TENSOR(F64, SHAPE(4, 2), 1, 2, 3, 4, 5, 6, 7, 8);
  tt_operand *grads[2];
  GRADIENTS(grads, g, embedding, arg(index), arg(weight));
  EXPECT(tensor_of(grads[1]), F64, SHAPE(3, 2), 3, 4, 7, 8, 6, 8);
  GRADIENTS(grads, g, embedding, arg(index), arg(weight), tt_int(-1));
  EXPECT(tensor_of(grads[1]), F64, SHAPE(3, 2), 3, 4, 7, 8, 0, 0);
  EXPECT_FAILURE(TT_ERR_INDEX, "padding_idx", embedding, arg(index), arg(weight), tt_int(3));
}

/* What stands in two places of a composed row has its whole gradient, once. */
static void an_operand_in_two_places_is_counted_once(void **state) {
  (void)state;
  tt_tensor *x = TENSOR(F64, SHAPE(2), 3, 5), *g = TENSOR(F64, SCALAR, 1);
  tt_operand *grads[3] = {NULL, NULL, NULL};
  GRADIENTS(grads, g, margin_ranking_loss, arg(x), arg(filled(SHAPE(2), 9)), arg(x), tt_float(0), tt_string("sum", 3));
  /* -x (x - 9) has the slope 9 - 2x. */
  EXPECT(tensor_of(grads[0]), F64, SHAPE(2), 3, -1);
  assert_null(grads[2]);
}

static void a_failed_batch_norm_leaves_the_running_statistics(void **state) {
  (void)state;
  tt_tensor *x = TENSOR(F64, SHAPE(2, 2), 1, 2, 3, 4), *mean = TENSOR(F64, SHAPE(2), 0, 0), *var = TENSOR(F64, SHAPE(2), 1, 1);
  for (long n = 0; n < 40; n++) {
    tt_value args[] = {arg(x), arg(mean), arg(var), tt_none(), tt_none(), tt_bool(true), tt_float(0.5)};
    tt_tensor *results[TT_MAX_RESULTS];
    size_t n_results = 0;
    tt_alloc_fail_after(n);
    tt_status status = tt_op_eval(TT_OP_batch_norm, NULL, args, 7, results, &n_results, NULL);
    tt_alloc_fail_after(-1);
    if (status == TT_OK) {
      EXPECT(mean, F64, SHAPE(2), 1, 1.5);
      EXPECT(var, F64, SHAPE(2), 1.5, 1.5);
      tt_tensor_unref(results[0]);
      assert_true(n > 0);
      return;
    }
    assert_int_equal(status, TT_ERR_MEMORY);
    EXPECT(mean, F64, SHAPE(2), 0, 0);
    EXPECT(var, F64, SHAPE(2), 1, 1);
  }
  fail_msg("forty allocations were not enough");
}

/* Without a gradient nothing happens, not even the count. */
static void a_step_waits_for_its_gradient(void **state) {
  (void)state;
  tt_tensor *x = TENSOR(F32, SHAPE(2), 1, 2), *buffer = TENSOR(F32, SHAPE(2), 9, 9), *count = TENSOR(I64, SCALAR, 0);
  tt_tensor *g = TENSOR(F32, SHAPE(2), 2, -4);
  tt_value lr = tt_float(0.5), momentum = tt_float(0.5);
  CALL(sgd_step_, arg(x), arg(buffer), arg(count), tt_none(), lr, momentum);
  EXPECT(x, F32, SHAPE(2), 1, 2);
  EXPECT(count, I64, SCALAR, 0);
  EXPECT(CALL(sgd_step_, arg(x), arg(buffer), arg(count), arg(g), lr, momentum), F32, SHAPE(2), 0, 4);
  EXPECT(buffer, F32, SHAPE(2), 2, -4);
  EXPECT(count, I64, SCALAR, 1);
  CALL(sgd_step_, arg(x), arg(buffer), arg(count), arg(g), lr, momentum);
  EXPECT(x, F32, SHAPE(2), -1.5, 7);
  EXPECT(count, I64, SCALAR, 2);
  EXPECT_FAILURE(TT_ERR_ARGUMENT, "momentum_buffer", sgd_step_, arg(x), tt_none(), arg(count), arg(g), lr, momentum);
  EXPECT_FAILURE(TT_ERR_DTYPE, "sgd_step_", sgd_step_, arg(x), arg(buffer), arg(count), arg(count), lr, momentum);
}

static void what_is_written_to_lies_apart(void **state) {
  (void)state;
  const int64_t strides[1] = {0};
  tt_tensor *one = TENSOR(F64, SHAPE(1), 0), *x = TENSOR(F64, SHAPE(2, 2), 1, 2, 3, 4), *var = TENSOR(F64, SHAPE(2), 1, 1);
  tt_tensor *count = TENSOR(F64, SCALAR, 0), *row = TENSOR(F64, SHAPE(2), 1, 2);
  tt_tensor *wide = kept(tt_tensor_view(one, SHAPE(2), strides, 0, NULL));
  EXPECT_FAILURE(TT_ERR_ARGUMENT, "running_mean", batch_norm, arg(x), arg(wide), arg(var), tt_none(), tt_none(), tt_bool(true));
  EXPECT_FAILURE(TT_ERR_ARGUMENT, "state_sum", adagrad_step_, arg(row), arg(wide), arg(count), arg(row));
  EXPECT(var, F64, SHAPE(2), 1, 1);
  EXPECT(row, F64, SHAPE(2), 1, 2);
}

static void errors_name_the_row_that_was_called(void **state) {
  (void)state;
  tt_tensor *x = filled(SHAPE(2, 3), 1), *target = TENSOR(I64, SHAPE(2), 0, 7);
  EXPECT_FAILURE(TT_ERR_INDEX, "cross_entropy", cross_entropy, arg(x), arg(target));
  EXPECT_FAILURE(TT_ERR_SHAPE, "cross_entropy", cross_entropy, arg(x), arg(TENSOR(I64, SHAPE(1), 0)));
  EXPECT_FAILURE(TT_ERR_ARGUMENT, "'all'", mse_loss, arg(x), arg(x), tt_string("all", 3));
  EXPECT_FAILURE(TT_ERR_SHAPE, "linear", linear, arg(x), arg(filled(SHAPE(4, 2), 1)));
}

/* More windows in a row than are looked at together, cut at both sides; equal numbers and NaN among them. */
static void the_first_of_the_largest_is_found_and_nan_before_all(void **state) {
  (void)state;
  enum { H = 7, W = 211, KERNEL = 3, STRIDE = 2, PADDING = 1, DILATION = 2 };
  tt_tensor *x = filled(SHAPE(1, H, W), 0), *results[TT_MAX_RESULTS];
  double *plane = tt_tensor_data(x);
  for (int i = 0; i < H * W; i++) plane[i] = i % 97 == 0 ? (double)NAN : i * 7 % 11 - 20;
  const int64_t kernel[] = {KERNEL}, stride[] = {STRIDE}, padding[] = {PADDING}, dilation[] = {DILATION};
  CALL_INTO(results, max_pool2d_with_indices, arg(x), tt_ints(kernel, 1), tt_ints(stride, 1), tt_ints(padding, 1),
            tt_ints(dilation, 1));
  const tt_shape *shape = tt_tensor_shape(results[0]);
  const int64_t *places = tt_tensor_data(results[1]);
  for (int64_t o = 0; o < shape->dims[1] * shape->dims[2]; o++) {
    int64_t best = -1;
    for (int64_t k = 0; k < KERNEL * KERNEL; k++) {
      int64_t line = o / shape->dims[2] * STRIDE - PADDING + k / KERNEL * DILATION;
      int64_t column = o % shape->dims[2] * STRIDE - PADDING + k % KERNEL * DILATION;
      if (line < 0 || column < 0 || line >= H || column >= W) continue;
      double value = plane[line * W + column];
      if (best < 0 || isnan(value) || value > plane[best]) best = line * W + column;
    }
    assert_int_equal(places[o], best);
    double value = value_at(results[0], o);
    assert_true(value == plane[best] || (isnan(value) && isnan(plane[best])));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      OP_TEST(gradients_have_the_mask_of_their_dropout),
      OP_TEST(without_training_dropout_passes_all),
      OP_TEST(the_padding_of_an_embedding_has_no_gradient),
      OP_TEST(an_operand_in_two_places_is_counted_once),
      OP_TEST(a_failed_batch_norm_leaves_the_running_statistics),
      OP_TEST(a_step_waits_for_its_gradient),
      OP_TEST(what_is_written_to_lies_apart),
      OP_TEST(errors_name_the_row_that_was_called),
      OP_TEST(the_first_of_the_largest_is_found_and_nan_before_all),
  };
  return cmocka_run_group_tests_name("networks", tests, NULL, NULL);
}
