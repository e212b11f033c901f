#include "base/number.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* An integer up to 2^53 times or divided by a power of ten that is exact is one operation, rounded once. */
enum { MAX_DIGITS = 18, MAX_EXPONENT = 22 };
static const int64_t MAX_EXACT = INT64_C(1) << 53;

static const double powers[MAX_EXPONENT + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

double tt_number_read(const char *text, char **end) {
  const char *at = text;
  bool is_negative = *at == '-';
  if (is_negative || *at == '+') at++;
  int64_t digits = 0;
  int n_digits = 0, exponent = 0;
  bool has_point = false;
  for (;; at++) {
    if (*at == '.' && !has_point) {
      has_point = true;
    } else if (is_digit(*at) && n_digits < MAX_DIGITS) {
      digits = 10 * digits + (*at - '0');
      n_digits++;
      if (has_point) exponent--;
    } else {
      break;
    }
  }
  /* None, too many, or not decimal. */
  if (n_digits == 0 || is_digit(*at) || *at == 'x' || *at == 'X') return strtod(text, end);
  if (*at == 'e' || *at == 'E') {
    const char *sign = at + 1;
    const char *first = sign + (*sign == '-' || *sign == '+');
    if (is_digit(*first)) {
      int given = 0;
      for (at = first; is_digit(*at) && given <= 1000; at++) given = 10 * given + (*at - '0');
      exponent += *sign == '-' ? -given : given;
    }
  }
  if (is_digit(*at) || digits > MAX_EXACT || exponent < -MAX_EXPONENT || exponent > MAX_EXPONENT) return strtod(text, end);
  double number = exponent < 0 ? (double)digits / powers[-exponent] : (double)digits * powers[exponent];
  *end = (char *)(uintptr_t)at;
  return is_negative ? -number : number;
}
