#include "kernels/optimizer.h"

#include <math.h>

#include "base/loop.h"

#define SPEED_f32
#define SPEED_f64 TT_SHORT
#define SQRT_f32(x) sqrtf(x)
#define SQRT_f64(x) sqrt(x)

/* The gradient that counts: of what is made small, with the decay of the weights. */
#define DEFINE_STEPS(suffix, type)                                                                                           \
  static inline type slope_##suffix(type grad, type param, bool maximize, type weight_decay) {                               \
    return (maximize ? -grad : grad) + weight_decay * param;                                                                 \
  }                                                                                                                          \
  static SPEED_##suffix void sgd_##suffix(const tt_sgd *s, int64_t n) {                                                      \
    type *param = s->param, *buffer = s->momentum_buffer;                                                                    \
    const type *grad = s->grad;                                                                                              \
    const type lr = (type)s->lr, momentum = (type)s->momentum, share = (type)(1 - s->dampening),                             \
               decay = (type)s->weight_decay;                                                                                \
    for (int64_t i = 0; i < n; i++) {                                                                                        \
      type g = slope_##suffix(grad[i], param[i], s->maximize, decay);                                                        \
      if (buffer != NULL) {                                                                                                  \
        buffer[i] = s->is_first ? g : buffer[i] * momentum + share * g;                                                      \
        g = s->nesterov ? g + momentum * buffer[i] : buffer[i];                                                              \
      }                                                                                                                      \
      param[i] -= lr * g;                                                                                                    \
    }                                                                                                                        \
  }                                                                                                                          \
  static SPEED_##suffix void adam_##suffix(const tt_adam *a, int64_t n) {                                                    \
    type *param = a->param, *mean = a->exp_avg, *square = a->exp_avg_sq, *most = a->max_exp_avg_sq;                          \
    const type *grad = a->grad;                                                                                              \
    const type beta1 = (type)a->beta1, beta2 = (type)a->beta2, share1 = (type)(1 - a->beta1), share2 = (type)(1 - a->beta2), \
               eps = (type)a->eps, decay = (type)(a->is_decoupled ? 0 : a->weight_decay),                                    \
               kept = (type)(a->is_decoupled ? 1 - a->lr * a->weight_decay : 1),                                             \
               step_size = (type)(a->lr / (1 - pow(a->beta1, a->step))), root = (type)sqrt(1 - pow(a->beta2, a->step));      \
    for (int64_t i = 0; i < n; i++) {                                                                                        \
      type x = param[i] * kept, g = slope_##suffix(grad[i], x, a->maximize, decay);                                          \
      mean[i] = mean[i] * beta1 + share1 * g;                                                                                \
      square[i] = square[i] * beta2 + share2 * g * g;                                                                        \
      type scale = square[i];                                                                                                \
      if (most != NULL) scale = most[i] = most[i] > scale ? most[i] : scale;                                                 \
      param[i] = x - step_size * (mean[i] / (SQRT_##suffix(scale) / root + eps));                                            \
    }                                                                                                                        \
  }                                                                                                                          \
  static SPEED_##suffix void rmsprop_##suffix(const tt_rmsprop *r, int64_t n) {                                              \
    type *param = r->param, *square = r->square_avg, *buffer = r->momentum_buffer, *mean = r->grad_avg;                      \
    const type *grad = r->grad;                                                                                              \
    const type lr = (type)r->lr, alpha = (type)r->alpha, share = (type)(1 - r->alpha), eps = (type)r->eps,                   \
               momentum = (type)r->momentum, decay = (type)r->weight_decay;                                                  \
    for (int64_t i = 0; i < n; i++) {                                                                                        \
      type g = slope_##suffix(grad[i], param[i], r->maximize, decay);                                                        \
      square[i] = square[i] * alpha + share * g * g;                                                                         \
      type spread = square[i];                                                                                               \
      if (mean != NULL) {                                                                                                    \
        mean[i] = mean[i] * alpha + share * g;                                                                               \
        spread -= mean[i] * mean[i];                                                                                         \
      }                                                                                                                      \
      type move = g / (SQRT_##suffix(spread) + eps);                                                                         \
      if (buffer != NULL) move = buffer[i] = buffer[i] * momentum + move;                                                    \
      param[i] -= lr * move;                                                                                                 \
    }                                                                                                                        \
  }                                                                                                                          \
  static SPEED_##suffix void adagrad_##suffix(const tt_adagrad *a, int64_t n) {                                              \
    type *param = a->param, *sum = a->state_sum;                                                                             \
    const type *grad = a->grad;                                                                                              \
    const type rate = (type)(a->lr / (1 + (a->step - 1) * a->lr_decay)), eps = (type)a->eps, decay = (type)a->weight_decay;  \
    for (int64_t i = 0; i < n; i++) {                                                                                        \
      type g = slope_##suffix(grad[i], param[i], a->maximize, decay);                                                        \
      sum[i] += g * g;                                                                                                       \
      param[i] -= rate * (g / (SQRT_##suffix(sum[i]) + eps));                                                                \
    }                                                                                                                        \
  }
DEFINE_STEPS(f32, float)
DEFINE_STEPS(f64, double)

void tt_sgd_step(tt_dtype dtype, const tt_sgd *sgd, int64_t n) { (dtype == TT_DTYPE_F32 ? sgd_f32 : sgd_f64)(sgd, n); }

void tt_adam_step(tt_dtype dtype, const tt_adam *adam, int64_t n) { (dtype == TT_DTYPE_F32 ? adam_f32 : adam_f64)(adam, n); }

void tt_rmsprop_step(tt_dtype dtype, const tt_rmsprop *rmsprop, int64_t n) {
  (dtype == TT_DTYPE_F32 ? rmsprop_f32 : rmsprop_f64)(rmsprop, n);
}

void tt_adagrad_step(tt_dtype dtype, const tt_adagrad *adagrad, int64_t n) {
  (dtype == TT_DTYPE_F32 ? adagrad_f32 : adagrad_f64)(adagrad, n);
}
