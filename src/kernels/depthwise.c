#include "kernels/depthwise.h"

#include <string.h>

/* One row of a plane against one row of the output, for one place of the kernel; the input's row may lie outside. */
#define EACH_ROW(c, k, ...)                                                   \
  do {                                                                        \
    int64_t down = (k) / (c)->kernel[1] * (c)->dilation[0] - (c)->padding[0]; \
    tt_overlap o = tt_overlap_of(c, 0, (c)->out[1], (k) % (c)->kernel[1]);    \
    for (int64_t y = 0; y < (c)->out[0]; y++) {                               \
      int64_t line = y * (c)->stride[0] + down;                               \
      if (line < 0 || line >= (c)->in[0]) continue;                           \
      __VA_ARGS__                                                             \
    }                                                                         \
  } while (0)

#define DEFINE_DEPTHWISE(suffix, type)                                                                                       \
  static void run_##suffix(const tt_convolution *c, const type *input, const type *weight, const type *bias, type *output) { \
    int64_t n_in = c->in[0] * c->in[1], n_out = c->out[0] * c->out[1], n_kernel = c->kernel[0] * c->kernel[1];               \
    for (int64_t plane = 0; plane < c->n * c->groups; plane++, input += n_in, output += n_out) {                             \
      int64_t channel = plane % c->groups;                                                                                   \
      for (int64_t i = 0; i < n_out; i++) output[i] = bias ? bias[channel] : 0;                                              \
      for (int64_t k = 0; k < n_kernel; k++) {                                                                               \
        type factor = weight[channel * n_kernel + k];                                                                        \
        EACH_ROW(c, k, {                                                                                                     \
          const type *from = input + line * c->in[1];                                                                        \
          type *to = output + y * c->out[1];                                                                                 \
          if (c->stride[1] == 1) {                                                                                           \
            for (int64_t i = o.first; i < o.end; i++) to[i] += factor * from[o.from + i];                                    \
          } else {                                                                                                           \
            for (int64_t i = o.first; i < o.end; i++) to[i] += factor * from[o.from + i * c->stride[1]];                     \
          }                                                                                                                  \
        });                                                                                                                  \
      }                                                                                                                      \
    }                                                                                                                        \
  }                                                                                                                          \
  static void run_input_##suffix(const tt_convolution *c, const type *weight, const type *grad, type *input) {               \
    int64_t n_in = c->in[0] * c->in[1], n_out = c->out[0] * c->out[1], n_kernel = c->kernel[0] * c->kernel[1];               \
    for (int64_t plane = 0; plane < c->n * c->groups; plane++, input += n_in, grad += n_out) {                               \
      int64_t channel = plane % c->groups;                                                                                   \
      memset(input, 0, (size_t)n_in * sizeof(type));                                                                         \
      for (int64_t k = 0; k < n_kernel; k++) {                                                                               \
        type factor = weight[channel * n_kernel + k];                                                                        \
        EACH_ROW(c, k, {                                                                                                     \
          type *to = input + line * c->in[1];                                                                                \
          const type *from = grad + y * c->out[1];                                                                           \
          if (c->stride[1] == 1) {                                                                                           \
            for (int64_t i = o.first; i < o.end; i++) to[o.from + i] += factor * from[i];                                    \
          } else {                                                                                                           \
            for (int64_t i = o.first; i < o.end; i++) to[o.from + i * c->stride[1]] += factor * from[i];                     \
          }                                                                                                                  \
        });                                                                                                                  \
      }                                                                                                                      \
    }                                                                                                                        \
  }                                                                                                                          \
  static void run_weight_##suffix(const tt_convolution *c, const type *input, const type *grad, type *weight) {              \
    int64_t n_in = c->in[0] * c->in[1], n_out = c->out[0] * c->out[1], n_kernel = c->kernel[0] * c->kernel[1];               \
    memset(weight, 0, (size_t)(c->groups * n_kernel) * sizeof(type));                                                        \
    for (int64_t plane = 0; plane < c->n * c->groups; plane++, input += n_in, grad += n_out) {                               \
      type *to = weight + plane % c->groups * n_kernel;                                                                      \
      for (int64_t k = 0; k < n_kernel; k++) {                                                                               \
        double total = 0;                                                                                                    \
        EACH_ROW(c, k, {                                                                                                     \
          const type *a = input + line * c->in[1];                                                                           \
          const type *b = grad + y * c->out[1];                                                                              \
          type sum = 0;                                                                                                      \
          for (int64_t i = o.first; i < o.end; i++) sum += a[o.from + i * c->stride[1]] * b[i];                              \
          total += (double)sum;                                                                                              \
        });                                                                                                                  \
        to[k] += (type)total;                                                                                                \
      }                                                                                                                      \
    }                                                                                                                        \
  }
DEFINE_DEPTHWISE(f32, float)
DEFINE_DEPTHWISE(f64, double)

void tt_depthwise_run(const tt_convolution *c, const void *input, const void *weight, const void *bias, void *output) {
  if (c->dtype == TT_DTYPE_F32) {
    run_f32(c, input, weight, bias, output);
  } else {
    run_f64(c, input, weight, bias, output);
  }
}

void tt_depthwise_run_input(const tt_convolution *c, const void *weight, const void *grad, void *input) {
  if (c->dtype == TT_DTYPE_F32) {
    run_input_f32(c, weight, grad, input);
  } else {
    run_input_f64(c, weight, grad, input);
  }
}

void tt_depthwise_run_weight(const tt_convolution *c, const void *input, const void *grad, void *weight) {
  if (c->dtype == TT_DTYPE_F32) {
    run_weight_f32(c, input, grad, weight);
  } else {
    run_weight_f64(c, input, grad, weight);
  }
}
