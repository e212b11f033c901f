/* tensor: dtypes, shapes, views, copies between every pair of dtypes, strided walks, lost memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "tensor/convert.h"
#include "tensor/tensor.h"

#define SHAPE(...)                                                                               \
  (tt_shape) {                                                                                   \
    .n_dims = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dims = { __VA_ARGS__ } \
  }

static void dtypes_promote_as_in_pytorch(void **state) {
  (void)state;
  assert_int_equal(tt_dtype_promote(TT_DTYPE_I64, TT_DTYPE_F32), TT_DTYPE_F32);
  assert_int_equal(tt_dtype_promote(TT_DTYPE_U8, TT_DTYPE_I32), TT_DTYPE_I32);
  assert_int_equal(tt_dtype_promote(TT_DTYPE_BOOL, TT_DTYPE_BOOL), TT_DTYPE_BOOL);
  assert_true(tt_dtype_can_cast(TT_DTYPE_I64, TT_DTYPE_I32));
  assert_true(tt_dtype_can_cast(TT_DTYPE_F64, TT_DTYPE_F32));
  assert_false(tt_dtype_can_cast(TT_DTYPE_F32, TT_DTYPE_I64));
  assert_false(tt_dtype_can_cast(TT_DTYPE_U8, TT_DTYPE_BOOL));
  tt_dtype dtype;
  assert_true(tt_dtype_from_name("int32", &dtype));
  assert_int_equal(dtype, TT_DTYPE_I32);
  assert_false(tt_dtype_from_name("float16", &dtype));
}

static void shapes_from_outside_are_checked(void **state) {
  (void)state;
  tt_shape shape = {.n_dims = 5};
  int64_t negative[] = {2, -1}, huge[] = {INT64_MAX, 2}, many[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
  int64_t empty_and_huge[] = {0, INT64_MAX};
  assert_int_equal(tt_shape_make(negative, 2, &shape, NULL), TT_ERR_SHAPE);
  assert_int_equal(tt_shape_make(huge, 2, &shape, NULL), TT_ERR_SHAPE);
  assert_int_equal(tt_shape_make(many, 9, &shape, NULL), TT_ERR_SHAPE);
  assert_int_equal(tt_shape_make(empty_and_huge, 2, &shape, NULL), TT_ERR_SHAPE);
  assert_int_equal(shape.n_dims, 5);
  assert_int_equal(tt_shape_make(many, 8, &shape, NULL), TT_OK);
  assert_int_equal(tt_shape_n_elements(&shape), 1);
}

static void shapes_broadcast(void **state) {
  (void)state;
  tt_shape out;
  assert_int_equal(tt_shape_broadcast("add", &SHAPE(2, 1, 4), &SHAPE(3, 1), &out, NULL), TT_OK);
  assert_true(tt_shape_equal(&out, &SHAPE(2, 3, 4)));
  assert_int_equal(tt_shape_broadcast("add", &SHAPE(1), &SHAPE(0), &out, NULL), TT_OK);
  assert_true(tt_shape_equal(&out, &SHAPE(0)));
  tt_error error = {0};
  assert_int_equal(tt_shape_broadcast("add", &SHAPE(2, 3), &SHAPE(4), &out, &error), TT_ERR_SHAPE);
  assert_string_equal(
      error.message,
      "add: shapes [2, 3] and [4] do not broadcast: sizes 3 and 4 at dimension 1 must be equal, or one of them 1");
  int dim;
  assert_int_equal(tt_shape_wrap_dim("sum", -1, 3, &dim, NULL), TT_OK);
  assert_int_equal(dim, 2);
  assert_int_equal(tt_shape_wrap_dim("sum", -1, 0, &dim, NULL), TT_OK);
  assert_int_equal(tt_shape_wrap_dim("sum", 3, 3, &dim, NULL), TT_ERR_INDEX);
  char text[TT_SHAPE_TEXT_BYTES];
  assert_string_equal(tt_shape_text(&(tt_shape){.n_dims = TT_DIMS_UNKNOWN}, text), "[?]");
  assert_string_equal(tt_shape_text(&(tt_shape){.n_dims = 0}, text), "[]");
}

static void views_share_and_copies_do_not(void **state) {
  (void)state;
  int32_t numbers[] = {0, 1, 2, 3, 4, 5};
  tt_tensor *base = tt_tensor_from_bytes(TT_DTYPE_I32, &SHAPE(2, 3), numbers, NULL);
  tt_tensor *turned = tt_tensor_view(base, &SHAPE(3, 2), (int64_t[]){1, 3}, 0, NULL);
  assert_false(tt_tensor_is_contiguous(turned));
  tt_tensor *dense = tt_tensor_contiguous(turned, NULL);
  assert_memory_equal(tt_tensor_data(dense), ((int32_t[]){0, 3, 1, 4, 2, 5}), 24);
  *(int32_t *)tt_tensor_data(base) = 9;
  assert_int_equal(*(int32_t *)tt_tensor_data(turned), 9);
  assert_int_equal(*(int32_t *)tt_tensor_data(dense), 0);
  tt_tensor *same = tt_tensor_contiguous(base, NULL);
  assert_ptr_equal(same, base);
  tt_tensor_unref(same);
  tt_tensor_unref(base);
  assert_int_equal(*(int32_t *)tt_tensor_data(turned), 9);
  tt_tensor_unref(turned);
  tt_tensor_unref(dense);
}

static void copy_broadcasts_and_bears_overlap(void **state) {
  (void)state;
  double numbers[] = {1, 2, 3, 4};
  tt_tensor *base = tt_tensor_from_bytes(TT_DTYPE_F64, &SHAPE(4), numbers, NULL);
  tt_tensor *tail = tt_tensor_view(base, &SHAPE(3), (int64_t[]){1}, 1, NULL);
  tt_tensor *head = tt_tensor_view(base, &SHAPE(3), (int64_t[]){1}, 0, NULL);
  assert_int_equal(tt_tensor_copy(tail, head, NULL), TT_OK);
  assert_memory_equal(tt_tensor_data(base), ((double[]){1, 1, 2, 3}), 32);
  float one = 7.5f;
  tt_tensor *scalar = tt_tensor_from_bytes(TT_DTYPE_F32, &(tt_shape){.n_dims = 0}, &one, NULL);
  assert_int_equal(tt_tensor_copy(head, scalar, NULL), TT_OK);
  assert_memory_equal(tt_tensor_data(base), ((double[]){7.5, 7.5, 7.5, 3}), 32);
  assert_int_equal(tt_tensor_copy(scalar, base, NULL), TT_ERR_SHAPE);
  double item;
  int64_t integer;
  assert_int_equal(tt_tensor_item_f64(scalar, &item, NULL), TT_OK);
  assert_true(item == 7.5);
  assert_int_equal(tt_tensor_item_i64(scalar, &integer, NULL), TT_OK);
  assert_int_equal(integer, 7);
  assert_int_equal(tt_tensor_item_f64(base, &item, NULL), TT_ERR_SHAPE);
  tt_tensor_unref(scalar);
  tt_tensor_unref(head);
  tt_tensor_unref(tail);
  tt_tensor_unref(base);
}

/* Small whole numbers survive every pair of dtypes that is not bool. */
static void casts_agree_between_all_dtypes(void **state) {
  (void)state;
  double numbers[] = {0, 1, 2, 100, 0, 3};
  for (int from = 0; from < TT_N_DTYPES; from++) {
    tt_tensor *doubles = tt_tensor_from_bytes(TT_DTYPE_F64, &SHAPE(2, 3), numbers, NULL);
    tt_tensor *source = tt_tensor_cast(doubles, (tt_dtype)from, NULL);
    for (int to = 0; to < TT_N_DTYPES; to++) {
      tt_tensor *turned = tt_tensor_view(source, &SHAPE(3, 2), (int64_t[]){1, 3}, 0, NULL);
      tt_tensor *cast = tt_tensor_cast(turned, (tt_dtype)to, NULL);
      tt_tensor *back = tt_tensor_cast(cast, TT_DTYPE_F64, NULL);
      const double *values = tt_tensor_data(back);
      bool through_bool = from == TT_DTYPE_BOOL || to == TT_DTYPE_BOOL;
      for (int i = 0; i < 6; i++) {
        double expected = numbers[i % 2 * 3 + i / 2];
        assert_true(values[i] == (through_bool ? expected != 0 : expected));
      }
      tt_tensor_unref(turned);
      tt_tensor_unref(cast);
      tt_tensor_unref(back);
    }
    tt_tensor_unref(source);
    tt_tensor_unref(doubles);
  }
}

static void conversions_out_of_range_are_pytorchs(void **state) {
  (void)state;
  int64_t i64 = 0;
  int32_t i32 = 0;
  uint8_t u8 = 0;
  tt_convert_f64(&i64, TT_DTYPE_I64, NAN);
  assert_true(i64 == INT64_MIN);
  tt_convert_f64(&i64, TT_DTYPE_I64, 1e300);
  assert_true(i64 == INT64_MIN);
  tt_convert_f64(&i32, TT_DTYPE_I32, -1e10);
  assert_true(i32 == INT32_MIN);
  tt_convert_f64(&i32, TT_DTYPE_I32, -2147483648.5);
  assert_true(i32 == INT32_MIN);
  tt_convert_f64(&u8, TT_DTYPE_U8, -1.5);
  assert_int_equal(u8, 255);
  tt_convert_f64(&u8, TT_DTYPE_U8, 257.9);
  assert_int_equal(u8, 1);
  tt_convert_f64(&u8, TT_DTYPE_BOOL, NAN);
  assert_int_equal(u8, 1);
  tt_convert_i64(&i32, TT_DTYPE_I32, INT64_C(0x1FFFFFFFF));
  assert_int_equal(i32, -1);
  tt_tensor *flags = tt_tensor_from_bytes(TT_DTYPE_BOOL, &SHAPE(3), "\0\7\xFF", NULL);
  assert_memory_equal(tt_tensor_data(flags), "\0\1\1", 3);
  tt_tensor_unref(flags);
}

static void empty_tensors_are_tensors(void **state) {
  (void)state;
  tt_tensor *empty = tt_tensor_zeros(TT_DTYPE_F32, &SHAPE(0, 3), NULL);
  assert_non_null(empty);
  assert_true(tt_tensor_is_contiguous(empty));
  assert_non_null(tt_tensor_data(empty));
  tt_tensor *cast = tt_tensor_cast(empty, TT_DTYPE_I64, NULL);
  assert_int_equal(tt_tensor_n_elements(cast), 0);
  tt_tensor_unref(cast);
  tt_tensor_unref(empty);
}

static void lost_memory_is_an_error(void **state) {
  (void)state;
  tt_error error = {0};
  for (long n = 0; n < 3; n++) {
    tt_alloc_fail_after(n);
    assert_null(tt_tensor_new(TT_DTYPE_F32, &SHAPE(2), &error));
    tt_alloc_fail_after(-1);
    assert_int_equal(error.status, TT_ERR_MEMORY);
  }
  assert_null(tt_tensor_new(TT_DTYPE_F32, &(tt_shape){.n_dims = TT_DIMS_UNKNOWN}, &error));
  assert_int_equal(error.status, TT_ERR_SHAPE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dtypes_promote_as_in_pytorch),
      cmocka_unit_test(shapes_from_outside_are_checked),
      cmocka_unit_test(shapes_broadcast),
      cmocka_unit_test(views_share_and_copies_do_not),
      cmocka_unit_test(copy_broadcasts_and_bears_overlap),
      cmocka_unit_test(casts_agree_between_all_dtypes),
      cmocka_unit_test(conversions_out_of_range_are_pytorchs),
      cmocka_unit_test(empty_tensors_are_tensors),
      cmocka_unit_test(lost_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
