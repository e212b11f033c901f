/* Convolutions and both of their gradients against plain loops, in every form the processor runs: drawn sizes, strides, paddings, dilations, groups. */
#include <stdlib.h>

#include "base/alloc.h"
#include "cmocka_all.h"
#include "kernels/convolution.h"
#include "kernels/variant.h"

static uint32_t drawn = 1;

static int64_t draw(int64_t least, int64_t most) {
  drawn = drawn * 1664525u + 1013904223u;
  return least + (int64_t)(drawn >> 8) % (most - least + 1);
}

/* Small integers, so that every sum is exact in any order. */
static void *draw_numbers(tt_dtype dtype, int64_t n) {
  void *numbers = tt_alloc_aligned((size_t)n * 8);
  assert_non_null(numbers);
  for (int64_t i = 0; i < n; i++) {
    int64_t number = draw(-6, 6);
    if (dtype == TT_DTYPE_F32) {
      ((float *)numbers)[i] = (float)number;
    } else {
      ((double *)numbers)[i] = (double)number;
    }
  }
  return numbers;
}

static double number_at(tt_dtype dtype, const void *numbers, int64_t i) {
  return dtype == TT_DTYPE_F32 ? (double)((const float *)numbers)[i] : ((const double *)numbers)[i];
}

static void expect_numbers(const tt_convolution *c, const char *what, const void *numbers, const double *wanted, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if (number_at(c->dtype, numbers, i) == wanted[i]) continue;
    fail_msg("%s, %s: element %lld is %g, not %g; n %lld, groups %lld, channels %lld to %lld, in %lldx%lld, kernel %lldx%lld, "
             "stride %lld, %lld, padding %lld, %lld, dilation %lld, %lld",
             what, tt_variant_name(tt_variant_chosen()), (long long)i, number_at(c->dtype, numbers, i), wanted[i],
             (long long)c->n, (long long)c->groups, (long long)c->in_channels, (long long)c->out_channels, (long long)c->in[0],
             (long long)c->in[1], (long long)c->kernel[0], (long long)c->kernel[1], (long long)c->stride[0],
             (long long)c->stride[1], (long long)c->padding[0], (long long)c->padding[1], (long long)c->dilation[0],
             (long long)c->dilation[1]);
  }
}

static void check(const tt_convolution *c) {
  int64_t in_channels = c->in_channels / c->groups, out_channels = c->out_channels / c->groups;
  int64_t n_input = c->n * c->in_channels * c->in[0] * c->in[1], n_output = c->n * c->out_channels * c->out[0] * c->out[1];
  int64_t n_weight = c->out_channels * in_channels * c->kernel[0] * c->kernel[1];
  void *input = draw_numbers(c->dtype, n_input), *weight = draw_numbers(c->dtype, n_weight);
  void *bias = draw_numbers(c->dtype, c->out_channels), *grad = draw_numbers(c->dtype, n_output);
  void *output = draw_numbers(c->dtype, n_output), *of_input = draw_numbers(c->dtype, n_input);
  void *of_weight = draw_numbers(c->dtype, n_weight);
  double *wanted = tt_alloc((size_t)n_output, 8), *wanted_input = tt_alloc((size_t)n_input, 8);
  double *wanted_weight = tt_alloc((size_t)n_weight, 8);
  for (int64_t i = 0; i < n_output; i++) {
    int64_t x = i % c->out[1], y = i / c->out[1] % c->out[0], o = i / (c->out[0] * c->out[1]) % c->out_channels;
    int64_t sample = i / (c->out[0] * c->out[1]) / c->out_channels;
    wanted[i] = number_at(c->dtype, bias, o);
    for (int64_t k = 0; k < in_channels * c->kernel[0] * c->kernel[1]; k++) {
      int64_t across = k % c->kernel[1], down = k / c->kernel[1] % c->kernel[0], channel = k / (c->kernel[0] * c->kernel[1]);
      int64_t line = y * c->stride[0] - c->padding[0] + down * c->dilation[0];
      int64_t column = x * c->stride[1] - c->padding[1] + across * c->dilation[1];
      if (line < 0 || column < 0 || line >= c->in[0] || column >= c->in[1]) continue;
      int64_t from =
          ((sample * c->in_channels + o / out_channels * in_channels + channel) * c->in[0] + line) * c->in[1] + column;
      int64_t by = o * in_channels * c->kernel[0] * c->kernel[1] + k;
      wanted[i] += number_at(c->dtype, input, from) * number_at(c->dtype, weight, by);
      wanted_input[from] += number_at(c->dtype, grad, i) * number_at(c->dtype, weight, by);
      wanted_weight[by] += number_at(c->dtype, grad, i) * number_at(c->dtype, input, from);
    }
  }
  assert_int_equal(tt_convolution_run(c, input, weight, bias, output, NULL), TT_OK);
  assert_int_equal(tt_convolution_run_input(c, weight, grad, of_input, NULL), TT_OK);
  assert_int_equal(tt_convolution_run_weight(c, input, grad, of_weight, NULL), TT_OK);
  expect_numbers(c, "output", output, wanted, n_output);
  expect_numbers(c, "gradient of the input", of_input, wanted_input, n_input);
  expect_numbers(c, "gradient of the weight", of_weight, wanted_weight, n_weight);
  void *blocks[] = {input, weight, bias, grad, output, of_input, of_weight};
  for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) tt_free_aligned(blocks[i]);
  tt_free(wanted);
  tt_free(wanted_input);
  tt_free(wanted_weight);
}

/* False where the kernel does not fit into the padded input. */
static bool set_outputs(tt_convolution *c) {
  for (int i = 0; i < 2; i++) {
    int64_t padded = c->in[i] + 2 * c->padding[i], reach = c->dilation[i] * (c->kernel[i] - 1) + 1;
    if (reach > padded) return false;
    c->out[i] = (padded - reach) / c->stride[i] + 1;
  }
  return true;
}

static bool draw_convolution(tt_convolution *c) {
  bool is_wide = draw(0, 9) == 0, is_plain = draw(0, 8) == 0, has_stride = draw(0, 2) == 0;
  *c = (tt_convolution){.dtype = draw(0, 3) == 0 ? TT_DTYPE_F64 : TT_DTYPE_F32, .n = draw(0, 2), .groups = draw(1, 3)};
  c->in_channels = c->groups * draw(1, is_wide ? 40 : 5);
  c->out_channels = c->groups * draw(1, is_wide ? 40 : 9);
  for (int i = 0; i < 2; i++) {
    c->in[i] = draw(1, 20);
    c->kernel[i] = is_plain ? 1 : draw(1, 5);
    c->stride[i] = has_stride ? draw(1, 4) : 1;
    c->padding[i] = is_plain ? 0 : draw(0, 4);
    c->dilation[i] = draw(0, 2) == 0 ? draw(2, 5) : 1;
  }
  return set_outputs(c);
}

static void every_form_agrees_with_plain_loops(void **state) {
  (void)state;
  tt_variant usual = tt_variant_chosen();
  for (int v = 0; v < TT_N_VARIANTS; v++) {
    if (!tt_variant_force((tt_variant)v)) continue;
    drawn = 7;
    for (int i = 0; i < 250; i++) {
      tt_convolution c;
      if (draw_convolution(&c)) check(&c);
    }
  }
  tt_variant_force(usual);
}

/* Planes that are kept in bands, channels in blocks. */
static void large_planes_are_cut(void **state) {
  (void)state;
  static const int64_t sizes[][6] = {
      {2, 70, 3, 300, 1, 1}, {3, 70, 5, 61, 2, 2}, {1, 300, 7, 310, 3, 0}, {64, 33, 1, 40, 1, 0}};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    const int64_t *size = sizes[i];
    tt_convolution c = {.dtype = TT_DTYPE_F32, .n = 1, .groups = 1, .in_channels = size[0], .out_channels = 5};
    for (int a = 0; a < 2; a++) {
      c.in[a] = size[a == 0 ? 1 : 3];
      c.kernel[a] = size[2], c.stride[a] = size[4], c.padding[a] = size[5], c.dilation[a] = 1;
    }
    assert_true(set_outputs(&c));
    check(&c);
  }
}

/* Far taps and far paddings take no room of their own. */
static void what_reaches_far_takes_little(void **state) {
  (void)state;
  tt_convolution c = {.dtype = TT_DTYPE_F32, .n = 1, .groups = 1, .in_channels = 2, .out_channels = 3};
  for (int i = 0; i < 2; i++) {
    c.in[i] = 3, c.kernel[i] = 2, c.stride[i] = 1000000007, c.padding[i] = INT32_MAX, c.dilation[i] = INT32_MAX;
  }
  assert_true(set_outputs(&c));
  tt_alloc_set_limit(1 << 20);
  check(&c);
  tt_alloc_set_limit(0);
}

static void no_memory_is_said(void **state) {
  (void)state;
  tt_convolution c = {.dtype = TT_DTYPE_F32, .n = 1, .groups = 1, .in_channels = 2, .out_channels = 3, .in = {6, 6}};
  for (int i = 0; i < 2; i++) c.kernel[i] = 3, c.stride[i] = 2, c.dilation[i] = 1;
  assert_true(set_outputs(&c));
  float input[72] = {0}, weight[54] = {0}, output[12];
  tt_error error = {0};
  tt_alloc_fail_after(0);
  assert_int_equal(tt_convolution_run(&c, input, weight, NULL, output, &error), TT_ERR_MEMORY);
  tt_alloc_fail_after(1);
  assert_int_equal(tt_convolution_run_input(&c, weight, output, input, &error), TT_ERR_MEMORY);
  tt_alloc_fail_after(0);
  assert_int_equal(tt_convolution_run_weight(&c, input, output, weight, &error), TT_ERR_MEMORY);
  tt_alloc_fail_after(-1);
  assert_true(error.message[0] != 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_form_agrees_with_plain_loops),
      cmocka_unit_test(large_planes_are_cut),
      cmocka_unit_test(what_reaches_far_takes_little),
      cmocka_unit_test(no_memory_is_said),
  };
  return cmocka_run_group_tests_name("convolution", tests, NULL, NULL);
}
