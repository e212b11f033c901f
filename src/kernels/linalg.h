/*
 * linalg: factorisations and triangular solves of one dense row-major matrix in double.
 *
 * float32 matrices are computed in double too and rounded at the end: the callers convert. Nothing here allocates; where a
 * factorisation fails, the 1-based number of the pivot is the answer and the matrix is spoilt.
 */
#ifndef TT_KERNELS_LINALG_H
#define TT_KERNELS_LINALG_H

#include <stdbool.h>
#include <stdint.h>

/*
 * P A = L U in place with partial pivoting: L below the diagonal (ones on it), U on and above. pivots[i] is the row that row
 * i was swapped with; *sign is P's determinant. Answers 0, or the first pivot that is exactly zero; the factors are whole
 * then too, but a solve would divide by zero.
 */
int64_t tt_lu_factor(double *a, int64_t n, int64_t *pivots, int *sign);

/* B (n, n_columns) becomes the X of A X = B, given A's factors. */
void tt_lu_solve(const double *lu, const int64_t *pivots, int64_t n, double *b, int64_t n_columns);

/* The lower triangle of a becomes the L of A = L L^T; what is above the diagonal is not read, and set to zero. Answers 0, or
 * the order of the first leading minor that is not positive. */
int64_t tt_cholesky_factor(double *a, int64_t n);

typedef struct tt_triangle {
  bool is_upper;
  bool is_transposed; /* solve with the transpose of a; is_upper tells what is stored */
  bool is_unit;       /* the diagonal counts as ones and is not read */
} tt_triangle;

/* B (n, n_columns) becomes the X of T X = B. A zero on the diagonal gives infinities and NaN, as LAPACK's does. */
void tt_triangular_solve(const double *a, int64_t n, tt_triangle triangle, double *b, int64_t n_columns);

#endif
