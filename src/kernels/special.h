/*
 * special: functions of one number beyond the C library's, in double.
 *
 * float32 is computed in double too. Source of the series: Abramowitz and Stegun, 6.3 and 6.4 (asymptotic, with the recurrence); erfinv begins with
 * Giles's polynomials ("Approximating the erfinv function", GPU Computing Gems, 2012) and ends with Newton's steps on erfc.
 */
#ifndef TT_KERNELS_SPECIAL_H
#define TT_KERNELS_SPECIAL_H

#include "kernels/elementwise.h"

double tt_erfinv(double x);
double tt_digamma(double x);

/* The n-th derivative of digamma, n > 0. */
double tt_polygamma(int64_t n, double x);

extern const tt_loops tt_loops_erfc, tt_loops_erfinv, tt_loops_lgamma, tt_loops_digamma;
extern const tt_loops tt_loops_polygamma; /* constants: n, a double, above 0 */

#endif
