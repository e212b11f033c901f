/*
 * row_f32: what softmax, the normalisations and the reductions ask of a dense row of float32.
 *
 * Sums are taken in short blocks of float lanes and gathered in double, so that their error does not grow with the length; the order of the
 * additions depends on n alone. Rows have at least one element.
 */
#ifndef TT_KERNELS_ROW_F32_H
#define TT_KERNELS_ROW_F32_H

#include <stdint.h>

double tt_row_sum_f32(const float *x, int64_t n);

/* The sum of (x - mean)^2. */
double tt_row_squares_f32(const float *x, int64_t n, double mean);

/* The largest; NaN is passed over unless it is the first. */
float tt_row_largest_f32(const float *x, int64_t n);

/* y = exp(x - largest), and the sum of y, where no x is above `largest` (kernels/exponential.h says how exact that is). y may be x. */
double tt_row_exp_f32(const float *x, float *y, int64_t n, float largest);

#endif
