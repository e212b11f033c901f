#include "kernels/decompose.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { MAX_SWEEPS = 60 };

/* ---- QR ---- */

/* Rows k.. of the columns from..to of b (m, n_b) are reflected: b -= scale * v (v^T b), v being 1 at k and a's column k below. */
static void reflect(const double *a, int64_t m, int64_t n, int64_t k, double scale, double *b, int64_t n_b, int64_t from,
                    int64_t to) {
  for (int64_t j = from; j < to; j++) {
    double sum = b[k * n_b + j];
    for (int64_t i = k + 1; i < m; i++) sum += a[i * n + k] * b[i * n_b + j];
    sum *= scale;
    b[k * n_b + j] -= sum;
    for (int64_t i = k + 1; i < m; i++) b[i * n_b + j] -= sum * a[i * n + k];
  }
}

void tt_qr_factor(double *a, int64_t m, int64_t n, double *scales) {
  for (int64_t k = 0; k < (m < n ? m : n); k++) {
    double below = 0, head = a[k * n + k];
    for (int64_t i = k + 1; i < m; i++) below = hypot(below, a[i * n + k]);
    if (below == 0) {
      scales[k] = 0;
      continue;
    }
    double reflected = -copysign(hypot(head, below), head);
    scales[k] = (reflected - head) / reflected;
    for (int64_t i = k + 1; i < m; i++) a[i * n + k] /= head - reflected;
    a[k * n + k] = reflected;
    reflect(a, m, n, k, scales[k], a, n, k + 1, n);
  }
}

void tt_qr_form(const double *a, int64_t m, int64_t n, const double *scales, int64_t k, double *q) {
  memset(q, 0, (size_t)(m * k) * sizeof *q);
  for (int64_t i = 0; i < k; i++) q[i * k + i] = 1;
  for (int64_t i = m < n ? m : n; i-- > 0;) reflect(a, m, n, i, scales[i], q, k, i, k);
}

/* ---- rotations ---- */

static void swap_values(double *values, int64_t i, int64_t k) {
  double kept = values[i];
  values[i] = values[k];
  values[k] = kept;
}

static void swap_columns(double *a, int64_t m, int64_t n, int64_t i, int64_t k) {
  for (int64_t row = 0; row < m; row++) swap_values(a + row * n, i, k);
}

/* Columns i and k of a (m, n) turn: (c x - s y, s x + c y). */
static void turn_columns(double *a, int64_t m, int64_t n, int64_t i, int64_t k, double c, double s) {
  for (int64_t row = 0; row < m; row++) {
    double x = a[row * n + i], y = a[row * n + k];
    a[row * n + i] = c * x - s * y;
    a[row * n + k] = s * x + c * y;
  }
}

static void set_identity(double *a, int64_t n) {
  memset(a, 0, (size_t)(n * n) * sizeof *a);
  for (int64_t i = 0; i < n; i++) a[i * n + i] = 1;
}

/* The smaller rotation that makes the off-diagonal element of ((x, off), (off, y)) zero. */
static void rotation(double x, double off, double y, double *c, double *s) {
  double ratio = (y - x) / (2 * off), t = copysign(1, ratio) / (fabs(ratio) + hypot(1, ratio));
  *c = 1 / hypot(1, t);
  *s = t * *c;
}

static bool is_finite(const double *a, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if (!isfinite(a[i])) return false;
  }
  return true;
}

/* Each column's component of the largest size becomes positive: vectors are determined up to their sign, and so they are wholly. */
static void fix_sign(double *vectors, int64_t m, int64_t n, int64_t column) {
  double largest = 0;
  for (int64_t i = 0; i < m; i++) {
    if (fabs(vectors[i * n + column]) > fabs(largest)) largest = vectors[i * n + column];
  }
  for (int64_t i = 0; i < m && largest < 0; i++) vectors[i * n + column] = -vectors[i * n + column];
}

bool tt_eigen_symmetric(double *a, int64_t n, double *values, double *vectors) {
  if (!is_finite(a, n * n)) return false;
  set_identity(vectors, n);
  bool is_settled = false;
  for (int sweep = 0; sweep < MAX_SWEEPS && !is_settled; sweep++) {
    is_settled = true;
    for (int64_t i = 0; i < n; i++) {
      for (int64_t k = i + 1; k < n; k++) {
        double off = a[i * n + k], c, s;
        if (fabs(off) <= DBL_EPSILON * 0.5 * sqrt(fabs(a[i * n + i])) * sqrt(fabs(a[k * n + k])) || fabs(off) < DBL_MIN) {
          a[i * n + k] = a[k * n + i] = 0;
          continue;
        }
        is_settled = false;
        rotation(a[i * n + i], off, a[k * n + k], &c, &s);
        turn_columns(a, n, n, i, k, c, s);
        for (int64_t j = 0; j < n; j++) {
          double x = a[i * n + j], y = a[k * n + j];
          a[i * n + j] = c * x - s * y;
          a[k * n + j] = s * x + c * y;
        }
        a[i * n + k] = a[k * n + i] = 0;
        turn_columns(vectors, n, n, i, k, c, s);
      }
    }
  }
  for (int64_t i = 0; i < n; i++) values[i] = a[i * n + i];
  for (int64_t i = 0; i < n; i++) {
    int64_t least = i;
    for (int64_t k = i + 1; k < n; k++) least = values[k] < values[least] ? k : least;
    if (least != i) {
      swap_values(values, i, least);
      swap_columns(vectors, n, n, i, least);
    }
    fix_sign(vectors, n, n, i);
  }
  return is_settled;
}

/* ---- singular values: the columns of a are turned until they are orthogonal ---- */

static double product(const double *a, int64_t m, int64_t n, int64_t i, int64_t k) {
  double sum = 0;
  for (int64_t row = 0; row < m; row++) sum += a[row * n + i] * a[row * n + k];
  return sum;
}

/* Column k becomes a unit vector that is orthogonal to all others that are not zero. */
static void fill_column(double *a, int64_t m, int64_t n, int64_t k) {
  for (int64_t unit = 0; unit < m; unit++) {
    for (int64_t row = 0; row < m; row++) a[row * n + k] = row == unit;
    for (int pass = 0; pass < 2; pass++) {
      for (int64_t i = 0; i < n; i++) {
        if (i == k) continue;
        double along = product(a, m, n, i, k);
        for (int64_t row = 0; row < m; row++) a[row * n + k] -= along * a[row * n + i];
      }
    }
    double size = sqrt(product(a, m, n, k, k));
    if (size < 0.5 / sqrt((double)m)) continue;
    for (int64_t row = 0; row < m; row++) a[row * n + k] /= size;
    return;
  }
}

bool tt_singular_values(double *a, int64_t m, int64_t n, double *values, double *v) {
  if (!is_finite(a, m * n)) return false;
  set_identity(v, n);
  bool is_settled = false;
  for (int sweep = 0; sweep < MAX_SWEEPS && !is_settled; sweep++) {
    is_settled = true;
    for (int64_t i = 0; i < n; i++) {
      for (int64_t k = i + 1; k < n; k++) {
        double x = product(a, m, n, i, i), y = product(a, m, n, k, k), off = product(a, m, n, i, k), c, s;
        if (fabs(off) <= DBL_EPSILON * (double)m * sqrt(x) * sqrt(y) || fabs(off) < DBL_MIN) continue;
        is_settled = false;
        rotation(x, off, y, &c, &s);
        turn_columns(a, m, n, i, k, c, s);
        turn_columns(v, n, n, i, k, c, s);
      }
    }
  }
  for (int64_t i = 0; i < n; i++) values[i] = sqrt(product(a, m, n, i, i));
  for (int64_t i = 0; i < n; i++) {
    int64_t most = i;
    for (int64_t k = i + 1; k < n; k++) most = values[k] > values[most] ? k : most;
    if (most == i) continue;
    swap_values(values, i, most);
    swap_columns(a, m, n, i, most);
    swap_columns(v, n, n, i, most);
  }
  for (int64_t i = 0; i < n; i++) {
    bool is_zero = values[i] <= DBL_EPSILON * values[0] * 0.5 || values[i] == 0;
    for (int64_t row = 0; row < m; row++) a[row * n + i] = is_zero ? 0 : a[row * n + i] / values[i];
  }
  for (int64_t i = 0; i < n; i++) {
    if (values[i] <= DBL_EPSILON * values[0] * 0.5 || values[i] == 0) fill_column(a, m, n, i);
  }
  return is_settled;
}
