/*
 * exponential: e^-x of float32 for terms beside 1, as softmax and sigmoid have them, for each variant of the processor.
 *
 * It is 2^(-x / ln 2) without a reduction in two parts: as exact as if x had been rounded once more, which is what x is that came out of a
 * subtraction (within 2 + 1.25 x units in the last place). What would be below the normal floats is 0. NaN stays.
 */
#ifndef TT_KERNELS_EXPONENTIAL_H
#define TT_KERNELS_EXPONENTIAL_H

#include <stdint.h>

enum { TT_EXPONENTIAL_LANES = 16 }; /* sums are taken in so many lanes, whatever the width of a vector */

typedef struct tt_exponentials {
  /* The largest of n > 0 numbers; NaN is passed over unless it is the first. */
  float (*largest)(const float *x, int64_t n);
  /* y = exp(x - largest), where no x is above `largest`; each is added to lane i % TT_EXPONENTIAL_LANES. y may be x. */
  void (*minus)(const float *x, float *y, int64_t n, float largest, float lanes[TT_EXPONENTIAL_LANES]);
  /* y = 1 / (1 + exp(-x)). y may be x. */
  void (*sigmoid)(const float *x, float *y, int64_t n);
} tt_exponentials;

/* Of the chosen variant. */
const tt_exponentials *tt_exponentials_chosen(void);

#endif
