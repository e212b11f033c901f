/*
 * math_f32: exp, log and tanh of float32 without branches or calls, so that loops over them are vectorised, and without
 * anything that one build rounds differently from another.
 *
 * Within 2 units in the last place of the true value unless a function says otherwise; NaN, infinities, subnormal arguments and results are right. Method and
 * coefficients are Cephes' (S. Moshier, Methods and Programs for Mathematical Functions, 1989).
 *
 * The numbers are read from memory and not written as literals: a WebAssembly engine makes a vector literal anew wherever it
 * is used, which is four instructions each time, while what was loaded once stays in a register or beside the stack.
 */
#ifndef TT_KERNELS_MATH_F32_H
#define TT_KERNELS_MATH_F32_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct tt_numbers_f32 {
  float one, two, half;
  float ln_2_high,
      ln_2_low; /* ln 2 in two parts: the first has few bits, so that its product with a small whole number is exact */
  struct {
    float least, most; /* beyond these the result is 0 or infinity, which the scaling arrives at by itself */
    float per_ln_2;
    float shift; /* 1.5 * 2^23: added, it rounds to a whole number, which then stands in the low bits */
    float p[6];
  } exp;
  struct {
    float least, most, per_ln_2;
    float shift_and_bias; /* shift, with what a float's exponent is stored with */
    float p[5];
  } exp_minus;
  struct {
    float least_normal, to_normal, whole_of_to_normal;
    float of_zero, of_less, infinity;
    uint32_t root_half; /* the bits of sqrt(1/2): what they are apart from those of 1 parts the exponent from the rest */
    uint32_t fraction;  /* the bits that a float's fraction has */
    int32_t bias;
    float p[9];
  } log;
  struct {
    float near_zero;
    uint32_t sign;
    float p[5];
  } tanh;
} tt_numbers_f32;

extern const tt_numbers_f32 tt_numbers;

static inline float tt_float_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static inline uint32_t tt_bits_of_float(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float tt_exp_f32(float x) {
  const float *c = tt_numbers.exp.p;
  /* Comparisons with NaN are false: it stays through both, and through what follows. */
  float y = x < tt_numbers.exp.least ? tt_numbers.exp.least : x;
  y = tt_numbers.exp.most < y ? tt_numbers.exp.most : y;
  float shifted = y * tt_numbers.exp.per_ln_2 + tt_numbers.exp.shift;
  float whole = shifted - tt_numbers.exp.shift;
  float r = y - whole * tt_numbers.ln_2_high - whole * tt_numbers.ln_2_low;
  float p = ((((c[0] * r + c[1]) * r + c[2]) * r + c[3]) * r + c[4]) * r + c[5];
  p = p * (r * r) + r + tt_numbers.one;
  /* 2^whole in two factors, since it may be outside of the exponents that a float has. */
  uint32_t exponent = tt_bits_of_float(shifted) << 23;
  uint32_t half = (uint32_t)((int32_t)exponent >> 1) & 0xFF800000u;
  uint32_t one = tt_bits_of_float(tt_numbers.one);
  return p * tt_float_of_bits(half + one) * tt_float_of_bits(exponent - half + one);
}

static inline float tt_log_f32(float x) {
  const float *c = tt_numbers.log.p;
  /* Subnormals are brought into range first. */
  bool is_small = x < tt_numbers.log.least_normal;
  float y = is_small ? x * tt_numbers.log.to_normal : x;
  uint32_t bits = tt_bits_of_float(y) + (tt_bits_of_float(tt_numbers.one) - tt_numbers.log.root_half);
  float e = (float)((int32_t)(bits >> 23) - tt_numbers.log.bias) - (is_small ? tt_numbers.log.whole_of_to_normal : 0.0f);
  /* between sqrt(1/2) - 1 and sqrt(2) - 1 */
  float f = tt_float_of_bits((bits & tt_numbers.log.fraction) + tt_numbers.log.root_half) - tt_numbers.one;
  float square = f * f;
  float p = (((((((c[0] * f + c[1]) * f + c[2]) * f + c[3]) * f + c[4]) * f + c[5]) * f + c[6]) * f + c[7]) * f + c[8];
  p = p * f * square + e * tt_numbers.ln_2_low - tt_numbers.half * square;
  float result = f + p + e * tt_numbers.ln_2_high;
  result = x == 0.0f ? tt_numbers.log.of_zero : result;
  result = x < 0.0f ? tt_numbers.log.of_less : result;
  return x < tt_numbers.log.infinity ? result : x;
}

static inline float tt_tanh_f32(float x) {
  const float *c = tt_numbers.tanh.p;
  float magnitude = fabsf(x), square = x * x;
  float p = (((c[0] * square + c[1]) * square + c[2]) * square + c[3]) * square + c[4];
  float near_zero = p * square * x + x;
  float far = tt_numbers.one - tt_numbers.two / (tt_exp_f32(tt_numbers.two * magnitude) + tt_numbers.one);
  far = tt_float_of_bits(tt_bits_of_float(far) | (tt_bits_of_float(x) & tt_numbers.tanh.sign));
  return magnitude > tt_numbers.tanh.near_zero ? far : near_zero; /* NaN is neither, and near_zero keeps it */
}

#endif
