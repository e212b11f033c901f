#include "kernels/linalg.h"

#include <math.h>

static void swap_rows(double *x, double *y, int64_t n) {
  for (int64_t j = 0; j < n; j++) {
    double kept = x[j];
    x[j] = y[j];
    y[j] = kept;
  }
}

/* target -= factor * source */
static void subtract_row(double *restrict target, double factor, const double *restrict source, int64_t n) {
  for (int64_t j = 0; j < n; j++) target[j] -= factor * source[j];
}

int64_t tt_lu_factor(double *a, int64_t n, int64_t *pivots, int *sign) {
  int64_t first_zero = 0;
  *sign = 1;
  for (int64_t k = 0; k < n; k++) {
    int64_t best = k;
    double largest = fabs(a[k * n + k]);
    for (int64_t i = k + 1; i < n; i++) {
      double size = fabs(a[i * n + k]);
      if (size > largest) {
        best = i;
        largest = size;
      }
    }
    pivots[k] = best;
    if (best != k) {
      swap_rows(a + k * n, a + best * n, n);
      *sign = -*sign;
    }
    double pivot = a[k * n + k];
    if (pivot == 0) {
      if (first_zero == 0) first_zero = k + 1;
      continue;
    }
    for (int64_t i = k + 1; i < n; i++) {
      double factor = a[i * n + k] / pivot;
      a[i * n + k] = factor;
      if (factor != 0) subtract_row(a + i * n + k + 1, factor, a + k * n + k + 1, n - k - 1);
    }
  }
  return first_zero;
}

void tt_lu_solve(const double *lu, const int64_t *pivots, int64_t n, double *b, int64_t n_columns) {
  for (int64_t k = 0; k < n; k++) {
    if (pivots[k] != k) swap_rows(b + k * n_columns, b + pivots[k] * n_columns, n_columns);
  }
  tt_triangular_solve(lu, n, (tt_triangle){.is_unit = true}, b, n_columns);
  tt_triangular_solve(lu, n, (tt_triangle){.is_upper = true}, b, n_columns);
}

int64_t tt_cholesky_factor(double *a, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j <= i; j++) {
      double sum = a[i * n + j];
      for (int64_t k = 0; k < j; k++) sum -= a[i * n + k] * a[j * n + k];
      if (j < i) {
        a[i * n + j] = sum / a[j * n + j];
      } else if (sum > 0) {
        a[i * n + i] = sqrt(sum);
      } else {
        return i + 1; /* NaN comes here too */
      }
    }
  }
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = i + 1; j < n; j++) a[i * n + j] = 0;
  }
  return 0;
}

void tt_triangular_solve(const double *a, int64_t n, tt_triangle triangle, double *b, int64_t n_columns) {
  bool is_forward = triangle.is_upper == triangle.is_transposed;
  int64_t row = triangle.is_transposed ? 1 : n, column = triangle.is_transposed ? n : 1;
  for (int64_t step = 0; step < n; step++) {
    int64_t i = is_forward ? step : n - 1 - step;
    double *target = b + i * n_columns;
    int64_t from = is_forward ? 0 : i + 1, to = is_forward ? i : n;
    for (int64_t j = from; j < to; j++) subtract_row(target, a[i * row + j * column], b + j * n_columns, n_columns);
    if (triangle.is_unit) continue;
    double diagonal = a[i * n + i];
    for (int64_t c = 0; c < n_columns; c++) target[c] /= diagonal;
  }
}
