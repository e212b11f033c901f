/* The loops of kernels/exponential.h; one of TT_VARIANT_SOURCES. */
#include <string.h>

#include "kernels/exponential.h"
#include "kernels/math_f32.h"
#include "kernels/simd.h"

enum { LANES = TT_EXPONENTIAL_LANES, N_VECTORS = LANES / TT_F32_LANES };

typedef tt_f32_vector vector;
typedef uint32_t bits __attribute__((vector_size(TT_VECTOR_BYTES)));

static inline vector all(float number) { return number - (vector){0}; }

/* x is not below -89, where the result is infinite. */
static inline vector exp_minus(vector x) {
  const float *c = tt_numbers.exp_minus.p;
  vector y = TT_AT_MOST_F32(all(tt_numbers.exp_minus.most), x), per_ln_2 = all(tt_numbers.exp_minus.per_ln_2);
  vector shift = all(tt_numbers.exp_minus.shift_and_bias), shifted = TT_MULTIPLY_ADD_F32(shift, y, per_ln_2);
  vector r = TT_MULTIPLY_ADD_F32(shift - shifted, y, per_ln_2);
  /* Least squares with weights that even out the error. */
  vector p = TT_MULTIPLY_ADD_F32(all(c[1]), all(c[0]), r);
  p = TT_MULTIPLY_ADD_F32(all(c[2]), p, r);
  p = TT_MULTIPLY_ADD_F32(all(c[3]), p, r);
  p = TT_MULTIPLY_ADD_F32(all(c[4]), p, r);
  p = TT_MULTIPLY_ADD_F32(all(tt_numbers.one), p, r);
  return p * (vector)((bits)shifted << 23);
}

static inline void read_lanes(vector into[N_VECTORS], const float *from, int64_t n) {
  float lanes[LANES] = {0};
  memcpy(lanes, from, (size_t)n * sizeof *from);
  memcpy(into, lanes, sizeof lanes);
}

static inline void write_lanes(float *to, const vector from[N_VECTORS], int64_t n) { memcpy(to, from, (size_t)n * sizeof *to); }

static void minus(const float *x, float *y, int64_t n, float largest, float lanes[LANES]) {
  vector sums[N_VECTORS] = {{0}};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    TT_UNROLL for (int v = 0; v < N_VECTORS; v++) {
      vector term = exp_minus(all(largest) - ((const vector *)(x + i))[v]);
      ((vector *)(y + i))[v] = term;
      sums[v] += term;
    }
  }
  memcpy(lanes, sums, sizeof sums);
  if (i == n) return;
  vector terms[N_VECTORS];
  read_lanes(terms, x + i, n - i);
  for (int v = 0; v * TT_F32_LANES < n - i; v++) terms[v] = exp_minus(all(largest) - terms[v]);
  write_lanes(y + i, terms, n - i);
  for (int64_t l = 0; i + l < n; l++) lanes[l] += y[i + l];
}

static float largest(const float *x, int64_t n) {
  float lanes[LANES], result = x[0];
  int64_t i = 0;
  if (n >= LANES) {
    vector best[N_VECTORS];
    for (int v = 0; v < N_VECTORS; v++) best[v] = ((const vector *)x)[v];
    for (i = LANES; i + LANES <= n; i += LANES) {
      TT_UNROLL for (int v = 0; v < N_VECTORS; v++) best[v] = TT_AT_LEAST_F32(((const vector *)(x + i))[v], best[v]);
    }
    memcpy(lanes, best, sizeof lanes);
    for (int l = 0; l < LANES; l++) result = result < lanes[l] ? lanes[l] : result;
  }
  for (; i < n; i++) result = result < x[i] ? x[i] : result;
  return result;
}

static inline vector sigmoid_of(vector x) {
  vector one = all(tt_numbers.one);
  return one / (one + exp_minus(TT_AT_LEAST_F32(all(tt_numbers.exp_minus.least), x)));
}

static void sigmoid(const float *x, float *y, int64_t n) {
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    TT_UNROLL for (int v = 0; v < N_VECTORS; v++) { ((vector *)(y + i))[v] = sigmoid_of(((const vector *)(x + i))[v]); }
  }
  if (i == n) return;
  vector terms[N_VECTORS];
  read_lanes(terms, x + i, n - i);
  for (int v = 0; v < N_VECTORS; v++) terms[v] = sigmoid_of(terms[v]);
  write_lanes(y + i, terms, n - i);
}

extern const tt_exponentials TT_VARIANT_NAME(tt_exponentials);
const tt_exponentials TT_VARIANT_NAME(tt_exponentials) = {.largest = largest, .minus = minus, .sigmoid = sigmoid};
