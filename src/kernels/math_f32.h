/*
 * math_f32: exp, log and tanh of float32 without branches or calls, so that loops over them are vectorised, and without
 * anything that one build rounds differently from another.
 *
 * Within 2 units in the last place of the true value; NaN, infinities, subnormal arguments and results are right. Method and
 * coefficients are Cephes' (S. Moshier, Methods and Programs for Mathematical Functions, 1989).
 */
#ifndef TT_KERNELS_MATH_F32_H
#define TT_KERNELS_MATH_F32_H

#include <math.h>
#include <stdint.h>
#include <string.h>

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

/* ln 2 in two parts: the first has few bits, so that its product with a small whole number is exact. */
#define TT_LN_2_HIGH 0.693359375f
#define TT_LN_2_LOW -2.12194440e-4f

static inline float tt_exp_f32(float x) {
  /* Beyond these the result is 0 or infinity, which the scaling below arrives at by itself. */
  float y = x < -104.0f ? -104.0f : x;
  y = y > 89.0f ? 89.0f : y;
  /* Adding 1.5 * 2^23 rounds to a whole number, which then stands in the low bits. */
  const float shift = 12582912.0f;
  float shifted = y * 1.44269504088896341f + shift;
  float whole = shifted - shift;
  int32_t n = (int32_t)(tt_bits_of_float(shifted) - 0x4B400000u);
  float r = y - whole * TT_LN_2_HIGH - whole * TT_LN_2_LOW;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  /* 2^n in two factors, since n may be outside of the exponents that a float has. */
  int32_t half = n >> 1;
  float scaled = p * tt_float_of_bits((uint32_t)(half + 127) << 23) * tt_float_of_bits((uint32_t)(n - half + 127) << 23);
  return x != x ? x : scaled;
}

static inline float tt_log_f32(float x) {
  /* Subnormals are brought into range first. */
  float is_small = x < 1.17549435e-38f ? 1.0f : 0.0f;
  float y = x < 1.17549435e-38f ? x * 33554432.0f : x;
  uint32_t bits = tt_bits_of_float(y) + (0x3F800000u - 0x3F3504F3u);
  float e = (float)((int32_t)(bits >> 23) - 127) - 25.0f * is_small;
  float f = tt_float_of_bits((bits & 0x007FFFFFu) + 0x3F3504F3u) - 1.0f; /* between sqrt(1/2) - 1 and sqrt(2) - 1 */
  float square = f * f;
  float p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  p = p * f * square + e * TT_LN_2_LOW - 0.5f * square;
  float result = f + p + e * TT_LN_2_HIGH;
  result = x == 0.0f ? -INFINITY : result;
  result = x < 0.0f ? NAN : result;
  return x < INFINITY ? result : x;
}

static inline float tt_tanh_f32(float x) {
  float magnitude = fabsf(x), square = x * x;
  float p = -5.70498872745e-3f;
  p = p * square + 2.06390887954e-2f;
  p = p * square - 5.37397155531e-2f;
  p = p * square + 1.33314422036e-1f;
  p = p * square - 3.33332819422e-1f;
  float near_zero = p * square * x + x;
  float far = copysignf(1.0f - 2.0f / (tt_exp_f32(2.0f * magnitude) + 1.0f), x);
  return magnitude > 0.625f ? far : near_zero; /* NaN is neither, and near_zero keeps it */
}

#endif
