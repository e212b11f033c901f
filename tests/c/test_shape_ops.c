/* Shapes and indices: which results share memory, where the edges are, what is refused. */
#include "op_fixture.h"

#define RANGE(n) CALL(arange, tt_int(0), tt_int(n), tt_int(1), tt_dtype_value(TT_DTYPE_F64))

/* Whether writing to one is seen by the other. */
static void expect_shared(const tt_tensor *a, const tt_tensor *b, bool is_shared) {
  assert_int_equal(a->storage == b->storage, is_shared);
}

static void views_share_their_base(void **state) {
  (void)state;
  tt_tensor *x = CALL(reshape, arg(RANGE(6)), INTS(2, 3)), *results[TT_MAX_RESULTS];
  CALL(fill_, arg(CALL(select, arg(x), tt_int(0), tt_int(-1))), tt_int(9));
  EXPECT(x, F64, SHAPE(2, 3), 0, 1, 2, 9, 9, 9);
  CALL(fill_, arg(CALL(slice, arg(x), tt_int(1), tt_none(), tt_none(), tt_int(2))), tt_int(7));
  EXPECT(x, F64, SHAPE(2, 3), 7, 1, 7, 7, 9, 7);
  CALL(zero_, arg(CALL(diagonal, arg(x))));
  EXPECT(x, F64, SHAPE(2, 3), 0, 1, 7, 7, 0, 7);
  CALL(fill_, arg(CALL(narrow, arg(CALL(t, arg(x))), tt_int(0), tt_int(1), tt_int(1))), tt_int(5));
  EXPECT(x, F64, SHAPE(2, 3), 0, 5, 7, 7, 5, 7);
  assert_int_equal(CALL_INTO(results, split, arg(x), INTS(1, 2), tt_int(1)), 2);
  CALL(fill_, arg(results[1]), tt_int(-1));
  EXPECT(x, F64, SHAPE(2, 3), 0, -1, -1, 7, -1, -1);
  assert_int_equal(CALL_INTO(results, unbind, arg(x), tt_int(-1)), 3);
  CALL(fill_, arg(results[0]), tt_int(3));
  EXPECT(x, F64, SHAPE(2, 3), 3, -1, -1, 3, -1, -1);
  expect_shared(x, CALL(view, arg(x), INTS(3, -1)), true);
  expect_shared(x, CALL(expand, arg(CALL(unsqueeze, arg(x), tt_int(0))), INTS(4, -1, -1)), true);
  expect_shared(x, CALL(permute, arg(x), INTS(-1, 0)), true);
  expect_shared(x, CALL(squeeze, arg(x)), true);
  expect_shared(x, CALL(contiguous, arg(x)), true);
  expect_shared(x, CALL(contiguous, arg(CALL(t, arg(x)))), false);
  expect_shared(x, CALL(repeat, arg(x), INTS(1, 1)), false);
  expect_shared(x, CALL(flip, arg(x), tt_ints(NULL, 0)), false);
  expect_shared(x, CALL(index_select, arg(x), tt_int(0), arg(TENSOR(I64, SHAPE(2), 0, 1))), false);
}

static void view_or_copy(void **state) {
  (void)state;
  tt_tensor *x = CALL(t, arg(CALL(reshape, arg(RANGE(6)), INTS(2, 3))));
  EXPECT_FAILURE(TT_ERR_SHAPE, "use reshape", view, arg(x), INTS(6));
  tt_tensor *flat = CALL(reshape, arg(x), INTS(6));
  EXPECT(flat, F64, SHAPE(6), 0, 3, 1, 4, 2, 5);
  expect_shared(x, flat, false);
  /* Splitting a dimension never needs a copy; nor do dimensions of 1. */
  expect_shared(x, CALL(view, arg(x), INTS(3, 1, 2, 1)), true);
  EXPECT_FAILURE(TT_ERR_SHAPE, "[4, -1]", reshape, arg(x), INTS(4, -1));
  EXPECT_FAILURE(TT_ERR_SHAPE, "only one", reshape, arg(x), INTS(-1, -1));
  EXPECT_FAILURE(TT_ERR_SHAPE, "could be anything", reshape, arg(EMPTY(F32, SHAPE(0))), INTS(0, -1));
  EXPECT(CALL(flatten, arg(TENSOR(F32, SCALAR, 4))), F32, SHAPE(1), 4);
  EXPECT_EMPTY(CALL(view, arg(EMPTY(F32, SHAPE(2, 0))), INTS(0, 5, 7)), F32, SHAPE(0, 5, 7));
}

static void edges_of_slices(void **state) {
  (void)state;
  tt_tensor *x = RANGE(5);
  EXPECT(CALL(slice, arg(x), tt_int(0), tt_int(-2), tt_none()), F64, SHAPE(2), 3, 4);
  EXPECT(CALL(slice, arg(x), tt_int(0), tt_int(-100), tt_int(100), tt_int(3)), F64, SHAPE(2), 0, 3);
  EXPECT_EMPTY(CALL(slice, arg(x), tt_int(0), tt_int(4), tt_int(2)), F64, SHAPE(0));
  EXPECT(CALL(slice, arg(x), tt_int(0), tt_int(4), tt_none(), tt_int(INT64_MAX)), F64, SHAPE(1), 4);
  EXPECT_FAILURE(TT_ERR_ARGUMENT, "above 0", slice, arg(x), tt_int(0), tt_none(), tt_none(), tt_int(0));
  EXPECT(CALL(narrow, arg(x), tt_int(0), tt_int(-2), tt_int(1)), F64, SHAPE(1), 3);
  EXPECT_FAILURE(TT_ERR_INDEX, "beyond", narrow, arg(x), tt_int(0), tt_int(3), tt_int(3));
  EXPECT(CALL(select, arg(x), tt_int(0), tt_int(-5)), F64, SCALAR, 0);
  EXPECT_FAILURE(TT_ERR_INDEX, "index 5", select, arg(x), tt_int(0), tt_int(5));
  EXPECT_FAILURE(TT_ERR_INDEX, "0-dimensional", select, arg(TENSOR(F32, SCALAR, 1)), tt_int(0), tt_int(0));
}

static void pieces(void **state) {
  (void)state;
  tt_tensor *x = RANGE(5), *results[TT_MAX_RESULTS];
  assert_int_equal(CALL_INTO(results, split, arg(x), tt_int(2)), 3);
  EXPECT(results[2], F64, SHAPE(1), 4);
  assert_int_equal(CALL_INTO(results, chunk, arg(x), tt_int(4)),
                   3); /* of 2, 2 and 1: as PyTorch, not always as many as asked */
  EXPECT(results[0], F64, SHAPE(2), 0, 1);
  EXPECT_FAILURE(TT_ERR_SHAPE, "exactly 5", split, arg(x), INTS(2, 2));
  EXPECT_FAILURE(TT_ERR_ARGUMENT, "64", split, arg(RANGE(65)), tt_int(1));
  EXPECT(CALL(cat, tt_operands_value((tt_operand *[]){&x->operand, &EMPTY(I64, SHAPE(0))->operand, &x->operand}, 3)), F64,
         SHAPE(10), 0, 1, 2, 3, 4, 0, 1, 2, 3, 4);
  tt_tensor *ints = TENSOR(I64, SHAPE(1, 2), 1, 2), *floats = TENSOR(F32, SHAPE(1, 2), 0.5, 1.5);
  tt_operand *both[2] = {&ints->operand, &floats->operand};
  EXPECT(CALL(cat, tt_operands_value(both, 2), tt_int(-1)), F32, SHAPE(1, 4), 1, 2, 0.5, 1.5);
  EXPECT(CALL(stack, tt_operands_value(both, 2), tt_int(-1)), F32, SHAPE(1, 2, 2), 1, 0.5, 2, 1.5);
  EXPECT_FAILURE(TT_ERR_ARGUMENT, "at least one", cat, tt_operands_value(NULL, 0));
  EXPECT_FAILURE(TT_ERR_SHAPE, "stack takes it", cat, tt_operands_value((tt_operand *[]){&TENSOR(F32, SCALAR, 1)->operand}, 1));
  tt_operand *unlike[2] = {&x->operand, &floats->operand};
  EXPECT_FAILURE(TT_ERR_SHAPE, "[1, 2] where [5]", stack, tt_operands_value(unlike, 2));
}

static void copies(void **state) {
  (void)state;
  tt_tensor *x = TENSOR(I32, SHAPE(2, 2), 1, 2, 3, 4);
  EXPECT(CALL(repeat, arg(x), INTS(2, 1, 3)), I32, SHAPE(2, 2, 6), 1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4, 1, 2, 1, 2, 1, 2, 3, 4,
         3, 4, 3, 4);
  EXPECT_EMPTY(CALL(repeat, arg(x), INTS(0, 2)), I32, SHAPE(0, 4));
  EXPECT(CALL(flip, arg(x), INTS(0, 1)), I32, SHAPE(2, 2), 4, 3, 2, 1);
  EXPECT(CALL(tril, arg(x), tt_int(-1)), I32, SHAPE(2, 2), 0, 0, 3, 0);
  EXPECT(CALL(triu, arg(CALL(t, arg(x)))), I32, SHAPE(2, 2), 1, 3, 0, 4);
  EXPECT(CALL(diag, arg(TENSOR(I64, SHAPE(2), 5, 6)), tt_int(-1)), I64, SHAPE(3, 3), 0, 0, 0, 5, 0, 0, 0, 6, 0);
  EXPECT(CALL(diag, arg(x)), I32, SHAPE(2), 1, 4);
  EXPECT(CALL(movedim, arg(CALL(reshape, arg(x), INTS(1, 2, 2))), INTS(0), INTS(-1)), I32, SHAPE(2, 2, 1), 1, 2, 3, 4);
  EXPECT_FAILURE(TT_ERR_SHAPE, "not 1", expand, arg(x), INTS(3, 2));
  EXPECT_FAILURE(TT_ERR_SHAPE, "new dimension", expand, arg(x), INTS(-1, 2, 2));
  EXPECT_FAILURE(TT_ERR_ARGUMENT, "named twice", permute, arg(x), INTS(0, 0));
}

static void picking_and_putting(void **state) {
  (void)state;
  tt_tensor *x = TENSOR(F64, SHAPE(2, 3), 1, 2, 3, 4, 5, 6), *index = TENSOR(I64, SHAPE(2, 2), 2, 0, 1, 1);
  EXPECT(CALL(gather, arg(x), tt_int(1), arg(index)), F64, SHAPE(2, 2), 3, 1, 5, 5);
  EXPECT(CALL(gather, arg(CALL(t, arg(x))), tt_int(0), arg(index)), F64, SHAPE(2, 2), 3, 4, 2, 5);
  EXPECT(CALL(scatter, arg(x), tt_int(1), arg(index), tt_int(0)), F64, SHAPE(2, 3), 0, 2, 0, 4, 0, 6);
  EXPECT(CALL(scatter_add, arg(x), tt_int(1), arg(index), arg(TENSOR(F64, SHAPE(2, 2), 10, 20, 30, 40))), F64, SHAPE(2, 3), 21,
         2, 13, 4, 75, 6);
  EXPECT(CALL(index_select, arg(x), tt_int(-1), arg(TENSOR(I32, SHAPE(2), 2, 2))), F64, SHAPE(2, 2), 3, 3, 6, 6);
  EXPECT(CALL(index_add, arg(x), tt_int(0), arg(TENSOR(I64, SHAPE(2), 1, 1)), arg(x), tt_int(-1)), F64, SHAPE(2, 3), 1, 2, 3,
         -1, -2, -3);
  EXPECT_FAILURE(TT_ERR_INDEX, "index -1 is out of bounds for dimension 1 with size 3", gather, arg(x), tt_int(1),
                 arg(TENSOR(I64, SHAPE(1, 1), -1)));
  EXPECT_FAILURE(TT_ERR_INDEX, "index 2", index_select, arg(x), tt_int(0), arg(TENSOR(I64, SHAPE(1), 2)));
  EXPECT_FAILURE(TT_ERR_DTYPE, "int64", gather, arg(x), tt_int(0), arg(x));
  EXPECT_FAILURE(TT_ERR_SHAPE, "[3, 1]", gather, arg(x), tt_int(1), arg(TENSOR(I64, SHAPE(3, 1), 0, 0, 0)));
  /* A bad index is found before anything is written, and what is written is not read. */
  EXPECT_FAILURE(TT_ERR_INDEX, "index 3", scatter_, arg(x), tt_int(1), arg(TENSOR(I64, SHAPE(1, 2), 0, 3)), tt_int(0));
  EXPECT_FAILURE(TT_ERR_ARGUMENT, "clone", index_add_, arg(x), tt_int(0), arg(TENSOR(I64, SHAPE(2), 1, 0)), arg(x));
  EXPECT(x, F64, SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
  assert_ptr_equal(CALL(scatter_, arg(x), tt_int(1), arg(index), tt_int(0)), x);
  EXPECT(x, F64, SHAPE(2, 3), 0, 2, 0, 4, 0, 6);
}

static void masks(void **state) {
  (void)state;
  tt_tensor *x = TENSOR(F32, SHAPE(2, 2), 1, 2, 3, 4), *column = TENSOR(BOOL, SHAPE(2, 1), 0, 1);
  EXPECT(CALL(masked_select, arg(x), arg(column)), F32, SHAPE(2), 3, 4);
  EXPECT(CALL(masked_scatter, arg(x), arg(column), arg(TENSOR(F32, SHAPE(3), 7, 8, 9))), F32, SHAPE(2, 2), 1, 2, 7, 8);
  EXPECT_FAILURE(TT_ERR_SHAPE, "only 1 elements", masked_scatter, arg(x), arg(column), arg(TENSOR(F32, SHAPE(1), 7)));
  EXPECT(CALL(nonzero, arg(TENSOR(F32, SHAPE(2, 2), 0, 5, (double)NAN, 0))), I64, SHAPE(2, 2), 0, 1, 1, 0);
  EXPECT_EMPTY(CALL(nonzero, arg(TENSOR(F32, SCALAR, 3))), I64, SHAPE(1, 0));
  EXPECT_FAILURE(TT_ERR_DTYPE, "bool", masked_select, arg(x), arg(x));
}

static void orders(void **state) {
  (void)state;
  tt_tensor *results[TT_MAX_RESULTS];
  tt_tensor *x = TENSOR(F64, SHAPE(5), 2, (double)NAN, 1, 2, -INFINITY);
  assert_int_equal(CALL_INTO(results, sort, arg(x)), 2);
  EXPECT(results[0], F64, SHAPE(5), -INFINITY, 1, 2, 2, (double)NAN);
  EXPECT(results[1], I64, SHAPE(5), 4, 2, 0, 3, 1);
  EXPECT(CALL(argsort, arg(x), tt_int(0), tt_bool(true)), I64, SHAPE(5), 1, 0, 3, 2, 4);
  assert_int_equal(CALL_INTO(results, topk, arg(TENSOR(I64, SHAPE(2, 3), 5, 9, 7, 1, 2, 3)), tt_int(2)), 2);
  EXPECT(results[0], I64, SHAPE(2, 2), 9, 7, 3, 2);
  EXPECT(results[1], I64, SHAPE(2, 2), 1, 2, 2, 1);
  EXPECT_FAILURE(TT_ERR_INDEX, "k is 4", topk, arg(TENSOR(F32, SHAPE(3), 1, 2, 3)), tt_int(4));
  /* Long enough for several merges; equal keys keep their order. */
  tt_tensor *keys = CALL(remainder, arg(CALL(mul, arg(RANGE(1000)), tt_int(7919))), tt_int(10));
  assert_int_equal(CALL_INTO(results, sort, arg(keys)), 2);
  for (int64_t i = 1; i < 1000; i++) {
    double before = value_at(results[0], i - 1), after = value_at(results[0], i);
    assert_true(before < after || (before == after && value_at(results[1], i - 1) < value_at(results[1], i)));
  }
}

/* A list's length needs the shape; where it is open, so is the result's. */
static void unknown_shapes(void **state) {
  (void)state;
  tt_operand unknown = {.meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = TT_DIMS_UNKNOWN}}};
  tt_meta metas[TT_MAX_RESULTS];
  size_t n = 0;
  tt_error error = {0};
  tt_value split[3] = {tt_operand_value(&unknown), INTS(2), tt_int(0)};
  assert_int_equal(tt_op_get(TT_OP_split)->infer(tt_op_get(TT_OP_split), split, metas, &n, &error), TT_ERR_SHAPE);
  assert_non_null(strstr(error.message, "must be known first"));
  tt_value reshape[2] = {tt_operand_value(&unknown), INTS(2, 3)};
  assert_int_equal(tt_op_get(TT_OP_reshape)->infer(tt_op_get(TT_OP_reshape), reshape, metas, &n, &error), TT_OK);
  assert_true(tt_shape_equal(&metas[0].shape, SHAPE(2, 3)));
  reshape[1] = INTS(2, -1);
  assert_int_equal(tt_op_get(TT_OP_reshape)->infer(tt_op_get(TT_OP_reshape), reshape, metas, &n, &error), TT_OK);
  assert_false(tt_shape_is_known(&metas[0].shape));
  tt_tensor *x = TENSOR(F32, SHAPE(2), 1, 2), *mask = TENSOR(BOOL, SHAPE(2), 1, 0);
  tt_value select[2] = {arg(x), arg(mask)};
  assert_int_equal(tt_op_get(TT_OP_masked_select)->infer(tt_op_get(TT_OP_masked_select), select, metas, &n, &error), TT_OK);
  assert_false(tt_shape_is_known(&metas[0].shape));
}

static void at_most_eight_dimensions(void **state) {
  (void)state;
  tt_tensor *x = CALL(reshape, arg(RANGE(1)), INTS(1, 1, 1, 1, 1, 1, 1, 1));
  EXPECT_FAILURE(TT_ERR_SHAPE, "at most 8", unsqueeze, arg(x), tt_int(0));
  EXPECT_FAILURE(TT_ERR_SHAPE, "at most 8", stack, tt_operands_value((tt_operand *[]){&x->operand}, 1));
  EXPECT_FAILURE(TT_ERR_SHAPE, "at most 8", expand, arg(x), INTS(2, 1, 1, 1, 1, 1, 1, 1, 1));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      OP_TEST(views_share_their_base),
      OP_TEST(view_or_copy),
      OP_TEST(edges_of_slices),
      OP_TEST(pieces),
      OP_TEST(copies),
      OP_TEST(picking_and_putting),
      OP_TEST(masks),
      OP_TEST(orders),
      OP_TEST(unknown_shapes),
      OP_TEST(at_most_eight_dimensions),
  };
  return cmocka_run_group_tests_name("shape_ops", tests, NULL, NULL);
}
