/* tt_tensor_print against what PyTorch 1.13 prints. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "tensor/convert.h"
#include "tensor/tensor.h"

enum { MOST_VALUES = 30 };

static const struct {
  const char *name;
  tt_dtype dtype;
  tt_shape shape;
  union {
    int64_t integers[MOST_VALUES];
    double reals[MOST_VALUES];
  } values;
  const char *text;
} cases[] = {
    {"seed_example",
     TT_DTYPE_F32,
     {.n_dims = 1, .dims = {5}},
     {.reals = {3, 6, 9, 12, 14}},
     "tensor([ 3.,  6.,  9., 12., 14.])"},
    {"mixed fractions",
     TT_DTYPE_F32,
     {.n_dims = 1, .dims = {3}},
     {.reals = {1.5, -2.25, 0.3333333333333333}},
     "tensor([ 1.5000, -2.2500,  0.3333])"},
    {"scientific ratio",
     TT_DTYPE_F32,
     {.n_dims = 1, .dims = {2}},
     {.reals = {0.001, 123.5}},
     "tensor([1.0000e-03, 1.2350e+02])"},
    {"scientific whole",
     TT_DTYPE_F64,
     {.n_dims = 1, .dims = {2}},
     {.reals = {1.0, 200000000.0}},
     "tensor([1.0000e+00, 2.0000e+08], dtype=torch.float64)"},
    {"small", TT_DTYPE_F32, {.n_dims = 1, .dims = {2}}, {.reals = {1e-05, 2e-05}}, "tensor([1.0000e-05, 2.0000e-05])"},
    {"not finite",
     TT_DTYPE_F32,
     {.n_dims = 1, .dims = {4}},
     {.reals = {NAN, INFINITY, -INFINITY, 1.0}},
     "tensor([nan, inf, -inf, 1.])"},
    {"not finite only", TT_DTYPE_F32, {.n_dims = 1, .dims = {2}}, {.reals = {INFINITY, NAN}}, "tensor([inf, nan])"},
    {"negative zero", TT_DTYPE_F32, {.n_dims = 1, .dims = {2}}, {.reals = {-0.0, 0.0}}, "tensor([-0., 0.])"},
    {"fraction with infinities",
     TT_DTYPE_F64,
     {.n_dims = 2, .dims = {2, 2}},
     {.reals = {INFINITY, 0.5, NAN, -10.25}},
     "tensor([[     inf,   0.5000],\n"
     "        [     nan, -10.2500]], dtype=torch.float64)"},
    {"int64", TT_DTYPE_I64, {.n_dims = 1, .dims = {3}}, {.integers = {1, -20, 300}}, "tensor([  1, -20, 300])"},
    {"int32",
     TT_DTYPE_I32,
     {.n_dims = 2, .dims = {2, 2}},
     {.integers = {1, 2, 3, 4}},
     "tensor([[1, 2],\n"
     "        [3, 4]], dtype=torch.int32)"},
    {"uint8", TT_DTYPE_U8, {.n_dims = 1, .dims = {1}}, {.integers = {255}}, "tensor([255], dtype=torch.uint8)"},
    {"bool",
     TT_DTYPE_BOOL,
     {.n_dims = 2, .dims = {2, 2}},
     {.integers = {1, 0, 0, 1}},
     "tensor([[ True, False],\n"
     "        [False,  True]])"},
    {"scalar float", TT_DTYPE_F32, {.n_dims = 0, .dims = {0}}, {.reals = {2.5}}, "tensor(2.5000)"},
    {"scalar int", TT_DTYPE_I64, {.n_dims = 0, .dims = {0}}, {.integers = {7}}, "tensor(7)"},
    {"scalar double", TT_DTYPE_F64, {.n_dims = 0, .dims = {0}}, {.reals = {3.0}}, "tensor(3., dtype=torch.float64)"},
    {"empty", TT_DTYPE_F32, {.n_dims = 1, .dims = {0}}, {.integers = {0}}, "tensor([])"},
    {"empty int", TT_DTYPE_I64, {.n_dims = 1, .dims = {0}}, {.integers = {0}}, "tensor([], dtype=torch.int64)"},
    {"empty matrix", TT_DTYPE_F32, {.n_dims = 2, .dims = {0, 3}}, {.integers = {0}}, "tensor([], size=(0, 3))"},
    {"empty double cube",
     TT_DTYPE_F64,
     {.n_dims = 3, .dims = {2, 0, 3}},
     {.integers = {0}},
     "tensor([], size=(2, 0, 3), dtype=torch.float64)"},
    {"cube",
     TT_DTYPE_I64,
     {.n_dims = 3, .dims = {2, 2, 2}},
     {.integers = {0, 1, 2, 3, 4, 5, 6, 7}},
     "tensor([[[0, 1],\n"
     "         [2, 3]],\n"
     "\n"
     "        [[4, 5],\n"
     "         [6, 7]]])"},
    {"largest int64",
     TT_DTYPE_I64,
     {.n_dims = 1, .dims = {2}},
     {.integers = {INT64_MIN, INT64_MAX}},
     "tensor([-9223372036854775808,  9223372036854775807])"},
    {"wraps",
     TT_DTYPE_I64,
     {.n_dims = 1, .dims = {30}},
     {.integers = {1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
                   1015, 1016, 1017, 1018, 1019, 1020, 1021, 1022, 1023, 1024, 1025, 1026, 1027, 1028, 1029}},
     "tensor([1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011,\n"
     "        1012, 1013, 1014, 1015, 1016, 1017, 1018, 1019, 1020, 1021, 1022, 1023,\n"
     "        1024, 1025, 1026, 1027, 1028, 1029])"},
    {"wraps and suffix",
     TT_DTYPE_I32,
     {.n_dims = 1, .dims = {24}},
     {.integers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}},
     "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n"
     "        18, 19, 20, 21, 22, 23], dtype=torch.int32)"},
    {"suffix on its own line",
     TT_DTYPE_F64,
     {.n_dims = 1, .dims = {10}},
     {.reals = {0.125, 1.125, 2.125, 3.125, 4.125, 5.125, 6.125, 7.125, 8.125, 9.125}},
     "tensor([0.1250, 1.1250, 2.1250, 3.1250, 4.1250, 5.1250, 6.1250, 7.1250, 8.1250,\n"
     "        9.1250], dtype=torch.float64)"},
};

/* The numbers 0, 1, 2 ... (halved in float64), more than 1,000 of them. */
static const struct {
  const char *name;
  tt_dtype dtype;
  tt_shape shape;
  const char *text;
} long_cases[] = {
    {"summarised vector",
     TT_DTYPE_F32,
     {.n_dims = 1, .dims = {1001}},
     "tensor([   0.,    1.,    2.,  ...,  998.,  999., 1000.])"},
    {"summarised matrix",
     TT_DTYPE_I64,
     {.n_dims = 2, .dims = {40, 30}},
     "tensor([[   0,    1,    2,  ...,   27,   28,   29],\n"
     "        [  30,   31,   32,  ...,   57,   58,   59],\n"
     "        [  60,   61,   62,  ...,   87,   88,   89],\n"
     "        ...,\n"
     "        [1110, 1111, 1112,  ..., 1137, 1138, 1139],\n"
     "        [1140, 1141, 1142,  ..., 1167, 1168, 1169],\n"
     "        [1170, 1171, 1172,  ..., 1197, 1198, 1199]])"},
    {"summarised cube",
     TT_DTYPE_F64,
     {.n_dims = 3, .dims = {9, 3, 50}},
     "tensor([[[0.0000e+00, 5.0000e-01, 1.0000e+00,  ..., 2.3500e+01,\n"
     "          2.4000e+01, 2.4500e+01],\n"
     "         [2.5000e+01, 2.5500e+01, 2.6000e+01,  ..., 4.8500e+01,\n"
     "          4.9000e+01, 4.9500e+01],\n"
     "         [5.0000e+01, 5.0500e+01, 5.1000e+01,  ..., 7.3500e+01,\n"
     "          7.4000e+01, 7.4500e+01]],\n"
     "\n"
     "        [[7.5000e+01, 7.5500e+01, 7.6000e+01,  ..., 9.8500e+01,\n"
     "          9.9000e+01, 9.9500e+01],\n"
     "         [1.0000e+02, 1.0050e+02, 1.0100e+02,  ..., 1.2350e+02,\n"
     "          1.2400e+02, 1.2450e+02],\n"
     "         [1.2500e+02, 1.2550e+02, 1.2600e+02,  ..., 1.4850e+02,\n"
     "          1.4900e+02, 1.4950e+02]],\n"
     "\n"
     "        [[1.5000e+02, 1.5050e+02, 1.5100e+02,  ..., 1.7350e+02,\n"
     "          1.7400e+02, 1.7450e+02],\n"
     "         [1.7500e+02, 1.7550e+02, 1.7600e+02,  ..., 1.9850e+02,\n"
     "          1.9900e+02, 1.9950e+02],\n"
     "         [2.0000e+02, 2.0050e+02, 2.0100e+02,  ..., 2.2350e+02,\n"
     "          2.2400e+02, 2.2450e+02]],\n"
     "\n"
     "        ...,\n"
     "\n"
     "        [[4.5000e+02, 4.5050e+02, 4.5100e+02,  ..., 4.7350e+02,\n"
     "          4.7400e+02, 4.7450e+02],\n"
     "         [4.7500e+02, 4.7550e+02, 4.7600e+02,  ..., 4.9850e+02,\n"
     "          4.9900e+02, 4.9950e+02],\n"
     "         [5.0000e+02, 5.0050e+02, 5.0100e+02,  ..., 5.2350e+02,\n"
     "          5.2400e+02, 5.2450e+02]],\n"
     "\n"
     "        [[5.2500e+02, 5.2550e+02, 5.2600e+02,  ..., 5.4850e+02,\n"
     "          5.4900e+02, 5.4950e+02],\n"
     "         [5.5000e+02, 5.5050e+02, 5.5100e+02,  ..., 5.7350e+02,\n"
     "          5.7400e+02, 5.7450e+02],\n"
     "         [5.7500e+02, 5.7550e+02, 5.7600e+02,  ..., 5.9850e+02,\n"
     "          5.9900e+02, 5.9950e+02]],\n"
     "\n"
     "        [[6.0000e+02, 6.0050e+02, 6.0100e+02,  ..., 6.2350e+02,\n"
     "          6.2400e+02, 6.2450e+02],\n"
     "         [6.2500e+02, 6.2550e+02, 6.2600e+02,  ..., 6.4850e+02,\n"
     "          6.4900e+02, 6.4950e+02],\n"
     "         [6.5000e+02, 6.5050e+02, 6.5100e+02,  ..., 6.7350e+02,\n"
     "          6.7400e+02, 6.7450e+02]]], dtype=torch.float64)"},
};

static void check_text(const char *name, const tt_tensor *tensor, const char *expected) {
  tt_buffer text;
  tt_buffer_init(&text);
  tt_tensor_print(tensor, &text);
  assert_false(text.failed);
  if (strcmp(tt_buffer_string(&text), expected) != 0) {
    fail_msg("%s:\n%s\nbut PyTorch prints\n%s", name, tt_buffer_string(&text), expected);
  }
  tt_buffer_release(&text);
}

static void prints_as_pytorch(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    tt_tensor *tensor = tt_tensor_new(cases[i].dtype, &cases[i].shape, NULL);
    tt_dtype given = tt_dtype_is_floating(cases[i].dtype) ? TT_DTYPE_F64 : TT_DTYPE_I64;
    tt_convert(cases[i].dtype, given)(tt_tensor_data(tensor), (int64_t)tt_dtype_bytes(cases[i].dtype), &cases[i].values, 8,
                                      tt_tensor_n_elements(tensor));
    check_text(cases[i].name, tensor, cases[i].text);
    tt_tensor_unref(tensor);
  }
}

static void summarises_as_pytorch(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof long_cases / sizeof long_cases[0]; i++) {
    tt_tensor *doubles = tt_tensor_new(TT_DTYPE_F64, &long_cases[i].shape, NULL);
    double *at = tt_tensor_data(doubles);
    for (int64_t k = 0; k < tt_tensor_n_elements(doubles); k++) {
      at[k] = (double)k / (long_cases[i].dtype == TT_DTYPE_F64 ? 2 : 1);
    }
    tt_tensor *tensor = tt_tensor_cast(doubles, long_cases[i].dtype, NULL);
    check_text(long_cases[i].name, tensor, long_cases[i].text);
    tt_tensor_unref(tensor);
    tt_tensor_unref(doubles);
  }
}

static void prints_views(void **state) {
  (void)state;
  int64_t numbers[] = {1, 2, 3, 4, 5, 6};
  tt_tensor *base = tt_tensor_from_bytes(TT_DTYPE_I64, &(tt_shape){.n_dims = 2, .dims = {2, 3}}, numbers, NULL);
  tt_tensor *column = tt_tensor_view(base, &(tt_shape){.n_dims = 1, .dims = {2}}, (int64_t[]){3}, 1, NULL);
  tt_tensor *expanded = tt_tensor_view(base, &(tt_shape){.n_dims = 2, .dims = {2, 2}}, (int64_t[]){0, 1}, 0, NULL);
  check_text("column", column, "tensor([2, 5])");
  check_text("expanded", expanded, "tensor([[1, 2],\n        [1, 2]])");
  tt_tensor_unref(expanded);
  tt_tensor_unref(column);
  tt_tensor_unref(base);
}

/* The buffer says so, and nothing else happens. */
static void survives_lost_memory(void **state) {
  (void)state;
  tt_tensor *tensor = tt_tensor_zeros(TT_DTYPE_F64, &(tt_shape){.n_dims = 2, .dims = {3, 0}}, NULL);
  tt_buffer text;
  tt_buffer_init(&text);
  tt_alloc_fail_after(0);
  tt_tensor_print(tensor, &text);
  tt_alloc_fail_after(-1);
  assert_true(text.failed);
  tt_buffer_release(&text);
  tt_tensor_unref(tensor);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(prints_as_pytorch),
      cmocka_unit_test(summarises_as_pytorch),
      cmocka_unit_test(prints_views),
      cmocka_unit_test(survives_lost_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
