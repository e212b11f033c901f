/*
 * decompose: factorisations into orthogonal matrices of one dense row-major matrix in double.
 *
 * As in linalg.h nothing here allocates, and float32 is computed in double. QR is Householder's with LAPACK's signs; eigenvalues and singular values are
 * Jacobi's, by plane rotations until nothing is left to turn (Golub and Van Loan, "Matrix Computations", 5.2, 8.5 and 8.6).
 */
#ifndef TT_KERNELS_DECOMPOSE_H
#define TT_KERNELS_DECOMPOSE_H

#include <stdbool.h>
#include <stdint.h>

/* a (m, n) becomes R on and above the diagonal and the reflections below it; scales has min(m, n). */
void tt_qr_factor(double *a, int64_t m, int64_t n, double *scales);

/* The first k columns of Q (m, k), min(m, n) <= k <= m, from what tt_qr_factor left. */
void tt_qr_form(const double *a, int64_t m, int64_t n, const double *scales, int64_t k, double *q);

/*
 * a (n, n), symmetric, is spoilt; values become its eigenvalues, ascending, vectors (n, n) has theirs in its columns, each with its largest component
 * positive. False when a holds what is not finite, or did not settle.
 */
bool tt_eigen_symmetric(double *a, int64_t n, double *values, double *vectors);

/*
 * a (m, n), m >= n, becomes U (m, n), orthonormal columns; values the singular values, descending, v (n, n) has the right vectors in its columns.
 * False as above.
 */
bool tt_singular_values(double *a, int64_t m, int64_t n, double *values, double *v);

#endif
