#include "kernels/special.h"

#include <math.h>

#define PI 3.14159265358979323846

static double horner(const double *coefficients, int n, double x) {
  double sum = coefficients[0];
  for (int i = 1; i < n; i++) sum = sum * x + coefficients[i];
  return sum;
}

double tt_erfinv(double x) {
  static const double middle[] = {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                                  -0.00125372503, -0.00417768164, 0.246640727,    1.50140941};
  static const double tail[] = {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                                -0.0076224613,   0.00943887047,  1.00167406,    2.83297682};
  double size = fabs(x);
  if (!(size < 1)) return size == 1 ? copysign(INFINITY, x) : NAN;
  double w = -log((1 - size) * (1 + size));
  double y = size * (w < 5 ? horner(middle, 9, w - 2.5) : horner(tail, 9, sqrt(w) - 3));
  for (int i = 0; i < 2; i++) {
    double off = size < 0.5 ? erf(y) - size : (1 - size) - erfc(y);
    y -= off / (2 / sqrt(PI) * exp(-y * y));
  }
  return copysign(y, x);
}

double tt_digamma(double x) {
  if (x == 0) return copysign(INFINITY, -x);
  if (x < 0) {
    if (x == trunc(x)) return NAN;
    return tt_digamma(1 - x) - PI / tan(PI * (x - trunc(x)));
  }
  double sum = 0;
  for (; x < 10; x++) sum -= 1 / x;
  double y = 1 / (x * x);
  /* Bernoulli numbers B(2k) / 2k. */
  static const double series[] = {1.0 / 12, -691.0 / 32760, 1.0 / 132, -1.0 / 240, 1.0 / 252, -1.0 / 120, 1.0 / 12};
  return sum + log(x) - 0.5 / x - y * horner(series, 7, y);
}

/* The sum of (x + k)^-s over k from 0 on: ten terms, then Euler and Maclaurin. */
static double zeta_from(double s, double x) {
  double sum = 0;
  for (int k = 0; k < 10 || x < 10; k++, x++) sum += pow(x, -s);
  sum += pow(x, 1 - s) / (s - 1) + 0.5 * pow(x, -s);
  /* B(2k) / (2k)! */
  static const double bernoulli[] = {1.0 / 12,       -1.0 / 720,     1.0 / 30240,
                                     -1.0 / 1209600, 1.0 / 47900160, -691.0 / 1307674368000.0};
  double factor = s * pow(x, -s - 1);
  for (int k = 0; k < 6; k++) {
    sum += bernoulli[k] * factor;
    factor *= (s + 2 * k + 1) * (s + 2 * k + 2) / (x * x);
  }
  return sum;
}

double tt_polygamma(int64_t n, double x) {
  if (x <= 0 && x == trunc(x)) return n % 2 != 0 ? INFINITY : -INFINITY;
  if (isnan(x) || x < -1e6) return NAN;
  if (isinf(x)) return 0;
  double factorial = 1;
  for (int64_t i = 2; i <= n && i < 171; i++) factorial *= (double)i;
  return (n % 2 != 0 ? factorial : -factorial) * zeta_from((double)n + 1, x);
}

#define LOOPS(name, expression)                                                                                    \
  static void name##_f32(void *out, const void *const *in, const bool *is_one, int64_t n, const void *constants) { \
    (void)is_one, (void)constants;                                                                                 \
    float *y = out;                                                                                                \
    const float *a = in[0];                                                                                        \
    for (int64_t i = 0; i < n; i++) {                                                                              \
      double x = (double)a[i];                                                                                     \
      y[i] = (float)(expression);                                                                                  \
    }                                                                                                              \
  }                                                                                                                \
  static void name##_f64(void *out, const void *const *in, const bool *is_one, int64_t n, const void *constants) { \
    (void)is_one, (void)constants;                                                                                 \
    double *y = out;                                                                                               \
    const double *a = in[0];                                                                                       \
    for (int64_t i = 0; i < n; i++) {                                                                              \
      double x = a[i];                                                                                             \
      y[i] = expression;                                                                                           \
    }                                                                                                              \
  }                                                                                                                \
  const tt_loops tt_loops_##name = {{[TT_DTYPE_F32] = name##_f32, [TT_DTYPE_F64] = name##_f64}};

LOOPS(erfc, erfc(x))
LOOPS(erfinv, tt_erfinv(x))
LOOPS(lgamma, lgamma(x))
LOOPS(digamma, tt_digamma(x))
LOOPS(polygamma, tt_polygamma((int64_t)(*(const double *)constants), x))
