/* The loops of activation.h: a function of one element for each, and a loop over it for each dtype. */
#include "kernels/activation.h"

#include <math.h>

#include "base/loop.h"
#include "kernels/math_f32.h"

#define ROOT_HALF 0.70710678118654752440
#define ROOT_TWO_OVER_PI 0.79788456080286535588
#define GELU_CUBIC 0.044715

#define SPEED_f32
#define SPEED_f64 TT_SHORT
#define EXP_f32(x) tt_exp_f32(x)
#define EXP_f64(x) exp(x)
#define TANH_f32(x) tt_tanh_f32(x)
#define TANH_f64(x) tanh(x)
#define CALL_f32(function, ...) function##f(__VA_ARGS__)
#define CALL_f64(function, ...) function(__VA_ARGS__)

/* FUNCTION(suffix, type): type name_suffix(type x, const type *c) over constants in the type. */
#define ACTIVATION(name, suffix, type)                                                                                      \
  static SPEED_##suffix void loop_##name##_##suffix(void *out, const void *const *in, const bool *is_one, int64_t n,        \
                                                    const void *constants) {                                                \
    (void)is_one;                                                                                                           \
    type c[TT_MAX_ACTIVATION_CONSTANTS] = {0};                                                                              \
    for (int k = 0; constants != NULL && k < TT_MAX_ACTIVATION_CONSTANTS; k++) c[k] = (type)((const double *)constants)[k]; \
    const type *x = in[0];                                                                                                  \
    type *y = out;                                                                                                          \
    for (int64_t i = 0; i < n; i++) y[i] = name##_##suffix(x[i], c);                                                        \
  }

#define FUNCTIONS(suffix, type)                                                                                               \
  static inline type leaky_relu_##suffix(type x, const type *c) { return x > 0 ? x : x * c[0]; }                              \
  static inline type elu_##suffix(type x, const type *c) { return x > 0 ? x * c[0] : CALL_##suffix(expm1, x * c[2]) * c[1]; } \
  static inline type hardtanh_##suffix(type x, const type *c) { return x < c[0] ? c[0] : x > c[1] ? c[1] : x; }               \
  static inline type gate_##suffix(type x) {                                                                                  \
    type y = x + 3;                                                                                                           \
    return y < 0 ? 0 : y > 6 ? 6 : y;                                                                                         \
  }                                                                                                                           \
  static inline type hardsigmoid_##suffix(type x, const type *c) {                                                            \
    (void)c;                                                                                                                  \
    return gate_##suffix(x) / 6;                                                                                              \
  }                                                                                                                           \
  static inline type hardswish_##suffix(type x, const type *c) {                                                              \
    (void)c;                                                                                                                  \
    return x * gate_##suffix(x) / 6;                                                                                          \
  }                                                                                                                           \
  static inline type silu_##suffix(type x, const type *c) {                                                                   \
    (void)c;                                                                                                                  \
    return x / (1 + EXP_##suffix(-x));                                                                                        \
  }                                                                                                                           \
  static inline type mish_##suffix(type x, const type *c) {                                                                   \
    (void)c;                                                                                                                  \
    return x * TANH_##suffix(CALL_##suffix(log1p, EXP_##suffix(x)));                                                          \
  }                                                                                                                           \
  static inline type softplus_##suffix(type x, const type *c) {                                                               \
    return x * c[0] > c[1] ? x : CALL_##suffix(log1p, EXP_##suffix(x * c[0])) / c[0];                                         \
  }                                                                                                                           \
  static inline type softsign_##suffix(type x, const type *c) {                                                               \
    (void)c;                                                                                                                  \
    return x / (1 + CALL_##suffix(fabs, x));                                                                                  \
  }                                                                                                                           \
  static inline type logsigmoid_##suffix(type x, const type *c) {                                                             \
    (void)c;                                                                                                                  \
    type low = x < 0 ? x : 0;                                                                                                 \
    return low - CALL_##suffix(log1p, EXP_##suffix(-CALL_##suffix(fabs, x)));                                                 \
  }                                                                                                                           \
  static inline type threshold_##suffix(type x, const type *c) { return x <= c[0] ? c[1] : x; }                               \
  static inline type gelu_##suffix(type x, const type *c) {                                                                   \
    (void)c;                                                                                                                  \
    return x * (type)0.5 * (1 + CALL_##suffix(erf, x * (type)ROOT_HALF));                                                     \
  }                                                                                                                           \
  static inline type gelu_tanh_##suffix(type x, const type *c) {                                                              \
    (void)c;                                                                                                                  \
    type inner = (type)ROOT_TWO_OVER_PI * (x + (type)GELU_CUBIC * (x * x * x));                                               \
    return (type)0.5 * x * (1 + TANH_##suffix(inner));                                                                        \
  }                                                                                                                           \
  static inline type hardshrink_##suffix(type x, const type *c) { return x >= -c[0] && x <= c[0] ? 0 : x; }                   \
  static inline type softshrink_##suffix(type x, const type *c) { return x > c[0] ? x - c[0] : x < -c[0] ? x + c[0] : 0; }    \
  static inline type tanhshrink_##suffix(type x, const type *c) {                                                             \
    (void)c;                                                                                                                  \
    return x - TANH_##suffix(x);                                                                                              \
  }
FUNCTIONS(f32, float)
FUNCTIONS(f64, double)

#define TABLE(name)             \
  ACTIVATION(name, f32, float)  \
  ACTIVATION(name, f64, double) \
  const tt_loops tt_loops_##name = {{[TT_DTYPE_F32] = loop_##name##_f32, [TT_DTYPE_F64] = loop_##name##_f64}};
TABLE(leaky_relu)
TABLE(elu)
TABLE(hardtanh)
TABLE(hardsigmoid)
TABLE(hardswish)
TABLE(silu)
TABLE(mish)
TABLE(softplus)
TABLE(softsign)
TABLE(logsigmoid)
TABLE(threshold)
TABLE(gelu)
TABLE(gelu_tanh)
TABLE(hardshrink)
TABLE(softshrink)
TABLE(tanhshrink)

/* The gradient where x is above the threshold; it is read in any case, so that nothing hangs on a branch. */
#define THRESHOLD_BACKWARD(suffix, type)                                                                   \
  static void threshold_backward_##suffix(void *out, const void *const *in, const bool *is_one, int64_t n, \
                                          const void *constants) {                                         \
    const type *g = in[0], *x = in[1], threshold = (type) * (const double *)constants;                     \
    type *y = out;                                                                                         \
    if (!is_one[0] && !is_one[1]) {                                                                        \
      for (int64_t i = 0; i < n; i++) {                                                                    \
        const type passed = g[i];                                                                          \
        y[i] = x[i] <= threshold ? 0 : passed;                                                             \
      }                                                                                                    \
      return;                                                                                              \
    }                                                                                                      \
    for (int64_t i = 0; i < n; i++) y[i] = x[is_one[1] ? 0 : i] <= threshold ? 0 : g[is_one[0] ? 0 : i];   \
  }
THRESHOLD_BACKWARD(f32, float)
THRESHOLD_BACKWARD(f64, double)
const tt_loops tt_loops_threshold_backward = {
    {[TT_DTYPE_F32] = threshold_backward_f32, [TT_DTYPE_F64] = threshold_backward_f64}};
