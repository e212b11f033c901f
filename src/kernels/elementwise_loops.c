/*
 * The loops of elementwise.h: an expression per op and group of dtypes, and macros that make a function of it for each dtype.
 *
 * EXPRESSION(S, a, b) is written over elements a and b of the dtype with symbol S. TT_IN_STEP tells the compiler that iterations
 * do not depend on each other: an input is either the row that is written, index by index, or somewhere else.
 */
#include <math.h>
#include <string.h>

#include "base/loop.h"
#include "kernels/elementwise.h"
#include "kernels/exponential.h"
#include "kernels/math_f32.h"

#define TYPE_BOOL uint8_t
#define TYPE_U8 uint8_t
#define TYPE_I32 int32_t
#define TYPE_I64 int64_t
#define TYPE_F32 float
#define TYPE_F64 double

/* Integers are added and multiplied in these, where overflow wraps; narrower ones would be promoted to a signed int. */
#define WRAP_U8 uint32_t
#define WRAP_I32 uint32_t
#define WRAP_I64 uint64_t

/* The C library's function for the dtype. */
#define CALL_F32(function, ...) function##f(__VA_ARGS__)
#define CALL_F64(function, ...) function(__VA_ARGS__)
#define NUMBER_F32(x) x##f
#define NUMBER_F64(x) x

#if defined(__clang__)
/* A loop around a call stays as it is, which is no reason to warn. */
#pragma clang diagnostic ignored "-Wpass-failed"
#endif

/* Whether a dtype has a vectorised loop for each way the inputs may lie, and how its functions are compiled (base/loop.h). */
enum { IS_FAST_F32 = 1, IS_FAST_F64 = !TT_IS_SHORT, IS_FAST_BOOL = !TT_IS_SHORT };
enum { IS_FAST_U8 = !TT_IS_SHORT, IS_FAST_I32 = !TT_IS_SHORT, IS_FAST_I64 = !TT_IS_SHORT };
#define SPEED_BOOL TT_SHORT
#define SPEED_U8 TT_SHORT
#define SPEED_I32 TT_SHORT
#define SPEED_I64 TT_SHORT
#define SPEED_F32
#define SPEED_F64 TT_SHORT

#define LOOP(name, symbol) SPEED_##symbol LOOP_OF(name, symbol)
#define LOOP_OF(name, symbol) \
  name##_##symbol(void *out, const void *const *in, const bool *is_one, int64_t n, const void *constants)

#define UNARY(name, symbol, out_type, expression)                                           \
  static void LOOP(name, symbol) {                                                          \
    (void)is_one;                                                                           \
    (void)constants;                                                                        \
    out_type *y = out;                                                                      \
    const TYPE_##symbol *a = in[0];                                                         \
    if (IS_FAST_##symbol) {                                                                 \
      TT_IN_STEP for (int64_t i = 0; i < n; i++) y[i] = (out_type)expression(symbol, a[i]); \
    } else {                                                                                \
      for (int64_t i = 0; i < n; i++) y[i] = (out_type)expression(symbol, a[i]);            \
    }                                                                                       \
  }

#define BINARY_LOOPS(symbol, out_type, expression)                                                     \
  out_type *y = out;                                                                                   \
  const TYPE_##symbol *a = in[0], *b = in[1];                                                          \
  if (!IS_FAST_##symbol) {                                                                             \
    const int64_t step_a = !is_one[0], step_b = !is_one[1];                                            \
    for (int64_t i = 0; i < n; i++) y[i] = (out_type)expression(symbol, a[i * step_a], b[i * step_b]); \
  } else if (is_one[1]) {                                                                              \
    const TYPE_##symbol one = *b;                                                                      \
    TT_IN_STEP for (int64_t i = 0; i < n; i++) y[i] = (out_type)expression(symbol, a[i], one);         \
  } else if (is_one[0]) {                                                                              \
    const TYPE_##symbol one = *a;                                                                      \
    TT_IN_STEP for (int64_t i = 0; i < n; i++) y[i] = (out_type)expression(symbol, one, b[i]);         \
  } else {                                                                                             \
    TT_IN_STEP for (int64_t i = 0; i < n; i++) y[i] = (out_type)expression(symbol, a[i], b[i]);        \
  }

#define BINARY(name, symbol, out_type, expression) \
  static void LOOP(name, symbol) {                 \
    (void)constants;                               \
    BINARY_LOOPS(symbol, out_type, expression)     \
  }

/* The same of what takes so long, or is asked so seldom, that one loop is as good as several. */
#define SLOW_BINARY(name, symbol, out_type, expression)                                                \
  static TT_SHORT void LOOP_OF(name, symbol) {                                                         \
    (void)constants;                                                                                   \
    out_type *y = out;                                                                                 \
    const TYPE_##symbol *a = in[0], *b = in[1];                                                        \
    const int64_t step_a = !is_one[0], step_b = !is_one[1];                                            \
    for (int64_t i = 0; i < n; i++) y[i] = (out_type)expression(symbol, a[i * step_a], b[i * step_b]); \
  }

#define FOR_INTEGERS(MAKE, name, expression) \
  MAKE(name, U8, TYPE_U8, expression) MAKE(name, I32, TYPE_I32, expression) MAKE(name, I64, TYPE_I64, expression)
#define FOR_FLOATS(MAKE, name, expression) MAKE(name, F32, TYPE_F32, expression) MAKE(name, F64, TYPE_F64, expression)
#define FOR_BOOL(MAKE, name, expression) MAKE(name, BOOL, TYPE_BOOL, expression)
#define FOR_ALL(MAKE, name, expression) \
  FOR_BOOL(MAKE, name, expression) FOR_INTEGERS(MAKE, name, expression) FOR_FLOATS(MAKE, name, expression)
/* Results are bool whatever is read. */
#define FOR_NUMBERS_TO_BOOL(MAKE, name, expression) \
  MAKE(name, U8, uint8_t, expression)               \
  MAKE(name, I32, uint8_t, expression)              \
  MAKE(name, I64, uint8_t, expression) MAKE(name, F32, uint8_t, expression) MAKE(name, F64, uint8_t, expression)
#define FOR_ALL_TO_BOOL(MAKE, name, expression) FOR_BOOL(MAKE, name, expression) FOR_NUMBERS_TO_BOOL(MAKE, name, expression)

#define ROW_BOOL(name) [TT_DTYPE_BOOL] = name##_BOOL
#define ROW_INTEGERS(name) [TT_DTYPE_U8] = name##_U8, [TT_DTYPE_I32] = name##_I32, [TT_DTYPE_I64] = name##_I64
#define ROW_FLOATS(name) [TT_DTYPE_F32] = name##_F32, [TT_DTYPE_F64] = name##_F64
#define TABLE_ALL(name) const tt_loops tt_loops_##name = {{ROW_BOOL(name), ROW_INTEGERS(name), ROW_FLOATS(name)}};
#define TABLE_NUMBERS(name) const tt_loops tt_loops_##name = {{ROW_INTEGERS(name), ROW_FLOATS(name)}};
#define TABLE_FLOATS(name) const tt_loops tt_loops_##name = {{ROW_FLOATS(name)}};
#define TABLE_BITS(name) const tt_loops tt_loops_##name = {{ROW_BOOL(name), ROW_INTEGERS(name)}};
#define TABLE_BOOL(name) const tt_loops tt_loops_##name = {{ROW_BOOL(name)}};

/* arithmetic */

#define ADD_INTEGER(S, a, b) ((TYPE_##S)((WRAP_##S)(a) + (WRAP_##S)(b)))
#define SUB_INTEGER(S, a, b) ((TYPE_##S)((WRAP_##S)(a) - (WRAP_##S)(b)))
#define MUL_INTEGER(S, a, b) ((TYPE_##S)((WRAP_##S)(a) * (WRAP_##S)(b)))
#define ADD_FLOAT(S, a, b) ((a) + (b))
#define SUB_FLOAT(S, a, b) ((a) - (b))
#define MUL_FLOAT(S, a, b) ((a) * (b))
#define DIV_FLOAT(S, a, b) ((a) / (b))
#define OR(S, a, b) ((a) | (b))
#define AND(S, a, b) ((a) & (b))
#define XOR(S, a, b) ((a) ^ (b))

FOR_BOOL(BINARY, add, OR)
FOR_INTEGERS(BINARY, add, ADD_INTEGER)
FOR_FLOATS(BINARY, add, ADD_FLOAT)
TABLE_ALL(add)
FOR_INTEGERS(BINARY, sub, SUB_INTEGER)
FOR_FLOATS(BINARY, sub, SUB_FLOAT)
TABLE_NUMBERS(sub)
FOR_BOOL(BINARY, mul, AND)
FOR_INTEGERS(BINARY, mul, MUL_INTEGER)
FOR_FLOATS(BINARY, mul, MUL_FLOAT)
TABLE_ALL(mul)
FOR_FLOATS(BINARY, div, DIV_FLOAT)
TABLE_FLOATS(div)

/* a + scale * b, the scale in constants[0]. */
#define ADD_SCALED(name, symbol, out_type, expression)             \
  static void LOOP(name, symbol) {                                 \
    const TYPE_##symbol scale = *(const TYPE_##symbol *)constants; \
    BINARY_LOOPS(symbol, out_type, expression)                     \
  }
#define ADD_SCALED_INTEGER(S, a, b) ((WRAP_##S)(a) + (WRAP_##S)scale * (WRAP_##S)(b))
#define ADD_SCALED_FLOAT(S, a, b) ((a) + scale * (b))
#define ADD_SCALED_BOOL(S, a, b) ((a) | (scale & (b)))
FOR_BOOL(ADD_SCALED, add_scaled, ADD_SCALED_BOOL)
FOR_INTEGERS(ADD_SCALED, add_scaled, ADD_SCALED_INTEGER)
FOR_FLOATS(ADD_SCALED, add_scaled, ADD_SCALED_FLOAT)
TABLE_ALL(add_scaled)

/*
 * Division of integers. The smallest number by -1 wraps to itself, where the processor would trap; the divisor is not zero
 * here.
 */
#define IS_MINUS_ONE_U8(b) 0
#define IS_MINUS_ONE_I32(b) ((b) == -1)
#define IS_MINUS_ONE_I64(b) ((b) == -1)
#define SIGNS_DIFFER_U8(a, b) 0
#define SIGNS_DIFFER_I32(a, b) (((a) ^ (b)) < 0)
#define SIGNS_DIFFER_I64(a, b) (((a) ^ (b)) < 0)
#define INTEGER_DIVISION(symbol)                                                                           \
  static inline TYPE_##symbol trunc_quotient_##symbol(TYPE_##symbol a, TYPE_##symbol b) {                  \
    return IS_MINUS_ONE_##symbol(b) ? (TYPE_##symbol)(0 - (WRAP_##symbol)a) : (TYPE_##symbol)(a / b);      \
  }                                                                                                        \
  static inline TYPE_##symbol trunc_rest_##symbol(TYPE_##symbol a, TYPE_##symbol b) {                      \
    return IS_MINUS_ONE_##symbol(b) ? (TYPE_##symbol)0 : (TYPE_##symbol)(a % b);                           \
  }                                                                                                        \
  static inline TYPE_##symbol floor_rest_##symbol(TYPE_##symbol a, TYPE_##symbol b) {                      \
    TYPE_##symbol rest = trunc_rest_##symbol(a, b);                                                        \
    return (TYPE_##symbol)(rest != 0 && SIGNS_DIFFER_##symbol(rest, b) ? rest + b : rest);                 \
  }                                                                                                        \
  static inline TYPE_##symbol floor_quotient_##symbol(TYPE_##symbol a, TYPE_##symbol b) {                  \
    TYPE_##symbol rest = trunc_rest_##symbol(a, b);                                                        \
    return (TYPE_##symbol)(trunc_quotient_##symbol(a, b) - (rest != 0 && SIGNS_DIFFER_##symbol(rest, b))); \
  }
INTEGER_DIVISION(U8)
INTEGER_DIVISION(I32)
INTEGER_DIVISION(I64)

/* Python's division of floats, as PyTorch does it: from fmod, so that quotient and remainder belong together. */
#define FLOAT_DIVISION(symbol)                                                            \
  static inline TYPE_##symbol floor_rest_##symbol(TYPE_##symbol a, TYPE_##symbol b) {     \
    TYPE_##symbol rest = CALL_##symbol(fmod, a, b);                                       \
    return rest != 0 && (b < 0) != (rest < 0) ? rest + b : rest;                          \
  }                                                                                       \
  static inline TYPE_##symbol floor_quotient_##symbol(TYPE_##symbol a, TYPE_##symbol b) { \
    if (b == 0) return a / b;                                                             \
    TYPE_##symbol rest = CALL_##symbol(fmod, a, b);                                       \
    TYPE_##symbol quotient = (a - rest) / b;                                              \
    if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;                                \
    if (quotient == 0) return CALL_##symbol(copysign, 0, a / b);                          \
    TYPE_##symbol whole = CALL_##symbol(floor, quotient);                                 \
    return quotient - whole > NUMBER_##symbol(0.5) ? whole + 1 : whole;                   \
  }
FLOAT_DIVISION(F32)
FLOAT_DIVISION(F64)

#define FLOOR_QUOTIENT(S, a, b) floor_quotient_##S(a, b)
#define FLOOR_REST(S, a, b) floor_rest_##S(a, b)
#define TRUNC_QUOTIENT(S, a, b) trunc_quotient_##S(a, b)
#define TRUNC_QUOTIENT_FLOAT(S, a, b) CALL_##S(trunc, (a) / (b))
#define TRUNC_REST(S, a, b) trunc_rest_##S(a, b)
#define TRUNC_REST_FLOAT(S, a, b) CALL_##S(fmod, a, b)
FOR_INTEGERS(SLOW_BINARY, floor_divide, FLOOR_QUOTIENT)
FOR_FLOATS(SLOW_BINARY, floor_divide, FLOOR_QUOTIENT)
TABLE_NUMBERS(floor_divide)
FOR_INTEGERS(SLOW_BINARY, trunc_divide, TRUNC_QUOTIENT)
FOR_FLOATS(SLOW_BINARY, trunc_divide, TRUNC_QUOTIENT_FLOAT)
TABLE_NUMBERS(trunc_divide)
FOR_INTEGERS(SLOW_BINARY, remainder, FLOOR_REST)
FOR_FLOATS(SLOW_BINARY, remainder, FLOOR_REST)
TABLE_NUMBERS(remainder)
FOR_INTEGERS(SLOW_BINARY, fmod, TRUNC_REST)
FOR_FLOATS(SLOW_BINARY, fmod, TRUNC_REST_FLOAT)
TABLE_NUMBERS(fmod)

/* Integer powers wrap; a negative exponent gives what the true power truncates to. */
#define INTEGER_POWER(symbol)                                                                                         \
  static inline TYPE_##symbol power_##symbol(TYPE_##symbol base, TYPE_##symbol exponent) {                            \
    int64_t left = (int64_t)exponent;                                                                                 \
    if (left < 0) return (TYPE_##symbol)(base == 1 ? 1 : IS_MINUS_ONE_##symbol(base) ? (left % 2 != 0 ? -1 : 1) : 0); \
    WRAP_##symbol result = 1, factor = (WRAP_##symbol)base;                                                           \
    for (; left > 0; left /= 2, factor *= factor) {                                                                   \
      if (left % 2 != 0) result *= factor;                                                                            \
    }                                                                                                                 \
    return (TYPE_##symbol)result;                                                                                     \
  }
INTEGER_POWER(U8)
INTEGER_POWER(I32)
INTEGER_POWER(I64)
#define POWER(S, a, b) power_##S(a, b)
#define POWER_FLOAT(S, a, b) CALL_##S(pow, a, b)
FOR_INTEGERS(SLOW_BINARY, pow, POWER)
FOR_FLOATS(SLOW_BINARY, pow, POWER_FLOAT)
TABLE_NUMBERS(pow)

/* NaN wins over every number; of equal ones (0.0 and -0.0) the first stays. */
#define MAXIMUM(S, a, b) ((a) < (b) ? (b) : (a))
#define MINIMUM(S, a, b) ((b) < (a) ? (b) : (a))
#define MAXIMUM_FLOAT(S, a, b) ((a) < (b) || (b) != (b) ? ((a) != (a) ? (a) : (b)) : (a))
#define MINIMUM_FLOAT(S, a, b) ((b) < (a) || (b) != (b) ? ((a) != (a) ? (a) : (b)) : (a))
FOR_BOOL(BINARY, maximum, MAXIMUM)
FOR_INTEGERS(BINARY, maximum, MAXIMUM)
FOR_FLOATS(BINARY, maximum, MAXIMUM_FLOAT)
TABLE_ALL(maximum)
FOR_BOOL(BINARY, minimum, MINIMUM)
FOR_INTEGERS(BINARY, minimum, MINIMUM)
FOR_FLOATS(BINARY, minimum, MINIMUM_FLOAT)
TABLE_ALL(minimum)
#define ATAN2(S, a, b) CALL_##S(atan2, a, b)
FOR_FLOATS(SLOW_BINARY, atan2, ATAN2)
TABLE_FLOATS(atan2)

/* comparison, logic, bits */

#define EQ(S, a, b) ((a) == (b))
#define NE(S, a, b) ((a) != (b))
#define LT(S, a, b) ((a) < (b))
#define LE(S, a, b) ((a) <= (b))
FOR_ALL_TO_BOOL(BINARY, eq, EQ)
FOR_ALL_TO_BOOL(BINARY, ne, NE)
FOR_ALL_TO_BOOL(BINARY, lt, LT)
FOR_ALL_TO_BOOL(BINARY, le, LE)
/* a > b is b < a. */
#define TURNED(name, symbol, out_type, other)                   \
  static TT_SHORT void LOOP_OF(name, symbol) {                  \
    const void *const turned[] = {in[1], in[0]};                \
    const bool is_turned_one[] = {is_one[1], is_one[0]};        \
    other##_##symbol(out, turned, is_turned_one, n, constants); \
  }
FOR_ALL_TO_BOOL(TURNED, gt, lt)
FOR_ALL_TO_BOOL(TURNED, ge, le)
TABLE_ALL(eq)
TABLE_ALL(ne)
TABLE_ALL(lt)
TABLE_ALL(le)
TABLE_ALL(gt)
TABLE_ALL(ge)

#define LOGICAL_AND(S, a, b) (((a) != 0) & ((b) != 0))
#define LOGICAL_OR(S, a, b) (((a) != 0) | ((b) != 0))
#define LOGICAL_XOR(S, a, b) (((a) != 0) ^ ((b) != 0))
FOR_BOOL(BINARY, logical_and, LOGICAL_AND)
FOR_NUMBERS_TO_BOOL(SLOW_BINARY, logical_and, LOGICAL_AND)
FOR_BOOL(BINARY, logical_or, LOGICAL_OR)
FOR_NUMBERS_TO_BOOL(SLOW_BINARY, logical_or, LOGICAL_OR)
FOR_BOOL(BINARY, logical_xor, LOGICAL_XOR)
FOR_NUMBERS_TO_BOOL(SLOW_BINARY, logical_xor, LOGICAL_XOR)
TABLE_ALL(logical_and)
TABLE_ALL(logical_or)
TABLE_ALL(logical_xor)
FOR_BOOL(BINARY, bitwise_and, AND)
FOR_BOOL(BINARY, bitwise_or, OR)
FOR_BOOL(BINARY, bitwise_xor, XOR)
FOR_INTEGERS(BINARY, bitwise_and, AND)
FOR_INTEGERS(BINARY, bitwise_or, OR)
FOR_INTEGERS(BINARY, bitwise_xor, XOR)
TABLE_BITS(bitwise_and)
TABLE_BITS(bitwise_or)
TABLE_BITS(bitwise_xor)

/* unary */

#define SAME(S, a) (a)
#define NOT(S, a) (!(a))
#define BITS_NOT(S, a) (~(a))
#define NEG_INTEGER(S, a) ((TYPE_##S)(0 - (WRAP_##S)(a)))
#define NEG_FLOAT(S, a) (-(a))
#define ABS_U8(S, a) (a)
#define ABS_INTEGER(S, a) ((a) < 0 ? NEG_INTEGER(S, a) : (a))
#define ABS_FLOAT(S, a) CALL_##S(fabs, a)
#define SIGN(S, a) (((a) > 0) - ((a) < 0))
#define SQUARE_INTEGER(S, a) MUL_INTEGER(S, a, a)
#define SQUARE_FLOAT(S, a) ((a) * (a))
#define CUBE_INTEGER(S, a) ((WRAP_##S)(a) * (WRAP_##S)(a) * (WRAP_##S)(a))
#define CUBE_FLOAT(S, a) ((a) * (a) * (a))
#define RELU(S, a) ((a) < 0 ? 0 : (a))
/* Below zero, said without zero: LLVM 14 makes `a < 0 ? 0 : a` a maximum for WebAssembly, which turns -0.0 into 0.0. */
#define LEAST_F32 0x1p-149f
#define LEAST_F64 0x1p-1074
#define RELU_FLOAT(S, a) ((a) <= -LEAST_##S ? 0 : (a))
FOR_INTEGERS(UNARY, neg, NEG_INTEGER)
FOR_FLOATS(UNARY, neg, NEG_FLOAT)
TABLE_NUMBERS(neg)
UNARY(abs, U8, TYPE_U8, ABS_U8)
UNARY(abs, I32, TYPE_I32, ABS_INTEGER)
UNARY(abs, I64, TYPE_I64, ABS_INTEGER)
FOR_FLOATS(UNARY, abs, ABS_FLOAT)
TABLE_NUMBERS(abs)
FOR_ALL(UNARY, sign, SIGN)
TABLE_ALL(sign)
FOR_INTEGERS(UNARY, square, SQUARE_INTEGER)
FOR_FLOATS(UNARY, square, SQUARE_FLOAT)
TABLE_NUMBERS(square)
FOR_INTEGERS(UNARY, cube, CUBE_INTEGER)
FOR_FLOATS(UNARY, cube, CUBE_FLOAT)
TABLE_NUMBERS(cube)
UNARY(relu, U8, TYPE_U8, ABS_U8)
UNARY(relu, I32, TYPE_I32, RELU)
UNARY(relu, I64, TYPE_I64, RELU)
FOR_FLOATS(UNARY, relu, RELU_FLOAT)
TABLE_NUMBERS(relu)
FOR_BOOL(UNARY, bitwise_not, NOT)
FOR_INTEGERS(UNARY, bitwise_not, BITS_NOT)
TABLE_BITS(bitwise_not)
FOR_BOOL(UNARY, logical_not, NOT)
TABLE_BOOL(logical_not)

#define FLOOR(S, a) CALL_##S(floor, a)
#define CEIL(S, a) CALL_##S(ceil, a)
#define ROUND(S, a) CALL_##S(nearbyint, a)
#define TRUNC(S, a) CALL_##S(trunc, a)
#define WHOLE_NUMBERS(name, expression) \
  FOR_INTEGERS(UNARY, name, SAME)       \
  FOR_FLOATS(UNARY, name, expression)   \
  TABLE_NUMBERS(name)
WHOLE_NUMBERS(floor, FLOOR)
WHOLE_NUMBERS(ceil, CEIL)
WHOLE_NUMBERS(round, ROUND)
WHOLE_NUMBERS(trunc, TRUNC)

/* Integers are finite numbers: the first comparison that is always false or true settles them. */
#define IS_NAN(S, a) ((a) != (a))
#define NEVER(S, a) ((void)(a), 0)
#define ALWAYS(S, a) ((void)(a), 1)
#define IS_INF(S, a) (CALL_##S(fabs, a) == INFINITY)
#define IS_FINITE(S, a) (CALL_##S(fabs, a) < INFINITY)
#define KIND_OF_FLOAT(name, of_integers, of_floats) \
  UNARY(name, BOOL, uint8_t, of_integers)           \
  UNARY(name, U8, uint8_t, of_integers)             \
  UNARY(name, I32, uint8_t, of_integers)            \
  UNARY(name, I64, uint8_t, of_integers)            \
  UNARY(name, F32, uint8_t, of_floats)              \
  UNARY(name, F64, uint8_t, of_floats)              \
  TABLE_ALL(name)
KIND_OF_FLOAT(isnan, NEVER, IS_NAN)
KIND_OF_FLOAT(isinf, NEVER, IS_INF)
KIND_OF_FLOAT(isfinite, ALWAYS, IS_FINITE)

#define FLOAT_FUNCTION(name, expression) \
  FOR_FLOATS(UNARY, name, expression)    \
  TABLE_FLOATS(name)
/* Single precision has functions of its own that loops vectorise (kernels/math_f32.h); the rest are the C library's. */
#define EXP_F32(a) tt_exp_f32(a)
#define EXP_F64(a) exp(a)
#define LOG_F32(a) tt_log_f32(a)
#define LOG_F64(a) log(a)
#define TANH_F32(a) tt_tanh_f32(a)
#define TANH_F64(a) tanh(a)
#define EXP(S, a) EXP_##S(a)
#define EXPM1(S, a) CALL_##S(expm1, a)
#define LOG(S, a) LOG_##S(a)
#define LOG2(S, a) CALL_##S(log2, a)
#define LOG10(S, a) CALL_##S(log10, a)
#define LOG1P(S, a) CALL_##S(log1p, a)
#define SQRT(S, a) CALL_##S(sqrt, a)
#define RSQRT(S, a) (1 / CALL_##S(sqrt, a))
#define RECIPROCAL(S, a) (1 / (a))
#define INVERSE_SQUARE(S, a) (1 / ((a) * (a)))
#define SIN(S, a) CALL_##S(sin, a)
#define COS(S, a) CALL_##S(cos, a)
#define TAN(S, a) CALL_##S(tan, a)
#define ASIN(S, a) CALL_##S(asin, a)
#define ACOS(S, a) CALL_##S(acos, a)
#define ATAN(S, a) CALL_##S(atan, a)
#define SINH(S, a) CALL_##S(sinh, a)
#define COSH(S, a) CALL_##S(cosh, a)
#define TANH(S, a) TANH_##S(a)
#define SIGMOID(S, a) (1 / (1 + exp(-(a))))
#define ERF(S, a) CALL_##S(erf, a)
FLOAT_FUNCTION(exp, EXP)
FLOAT_FUNCTION(expm1, EXPM1)
FLOAT_FUNCTION(log, LOG)
FLOAT_FUNCTION(log2, LOG2)
FLOAT_FUNCTION(log10, LOG10)
FLOAT_FUNCTION(log1p, LOG1P)
FLOAT_FUNCTION(sqrt, SQRT)
FLOAT_FUNCTION(rsqrt, RSQRT)
FLOAT_FUNCTION(reciprocal, RECIPROCAL)
FLOAT_FUNCTION(inverse_square, INVERSE_SQUARE)
FLOAT_FUNCTION(sin, SIN)
FLOAT_FUNCTION(cos, COS)
FLOAT_FUNCTION(tan, TAN)
FLOAT_FUNCTION(asin, ASIN)
FLOAT_FUNCTION(acos, ACOS)
FLOAT_FUNCTION(atan, ATAN)
FLOAT_FUNCTION(sinh, SINH)
FLOAT_FUNCTION(cosh, COSH)
FLOAT_FUNCTION(tanh, TANH)
static void LOOP(sigmoid, F32) {
  (void)is_one;
  (void)constants;
  tt_exponentials_chosen()->sigmoid(in[0], out, n);
}
UNARY(sigmoid, F64, TYPE_F64, SIGMOID)
TABLE_FLOATS(sigmoid)
FLOAT_FUNCTION(erf, ERF)

/*
 * clamp: low first, then high, so that high wins where they cross. A comparison with NaN is false: a NaN element or bound
 * changes nothing.
 */

#define CLAMP_TO(name, symbol, out_type, expression)                              \
  static void LOOP(name, symbol) {                                                \
    (void)is_one;                                                                 \
    out_type *y = out;                                                            \
    const TYPE_##symbol *a = in[0], *bounds = constants;                          \
    if (IS_FAST_##symbol) {                                                       \
      TT_IN_STEP for (int64_t i = 0; i < n; i++) y[i] = expression(a[i], bounds); \
    } else {                                                                      \
      for (int64_t i = 0; i < n; i++) y[i] = expression(a[i], bounds);            \
    }                                                                             \
  }
#define RAISE(a, low) ((a) < (low) ? (low) : (a))
#define LOWER(a, high) ((high) < (a) ? (high) : (a))
#define RAISE_TO(a, bounds) RAISE(a, bounds[0])
#define LOWER_TO(a, bounds) LOWER(a, bounds[0])
#define CLAMP_BETWEEN(a, bounds) LOWER(RAISE(a, bounds[0]), bounds[1])
FOR_INTEGERS(CLAMP_TO, clamp_min_to, RAISE_TO)
FOR_FLOATS(CLAMP_TO, clamp_min_to, RAISE_TO)
TABLE_NUMBERS(clamp_min_to)
FOR_INTEGERS(CLAMP_TO, clamp_max_to, LOWER_TO)
FOR_FLOATS(CLAMP_TO, clamp_max_to, LOWER_TO)
TABLE_NUMBERS(clamp_max_to)
FOR_INTEGERS(CLAMP_TO, clamp_to, CLAMP_BETWEEN)
FOR_FLOATS(CLAMP_TO, clamp_to, CLAMP_BETWEEN)
TABLE_NUMBERS(clamp_to)

#define CLAMP(name, symbol, out_type, expression)                                                                     \
  static void LOOP(name, symbol) {                                                                                    \
    (void)constants;                                                                                                  \
    out_type *y = out;                                                                                                \
    const TYPE_##symbol *a = in[0], *low = in[1], *high = in[2];                                                      \
    const int64_t step_a = !is_one[0], step_low = !is_one[1], step_high = !is_one[2];                                 \
    for (int64_t i = 0; i < n; i++) y[i] = expression(symbol, a[i * step_a], low[i * step_low], high[i * step_high]); \
  }
#define CLAMP_INTEGER(S, a, low, high) LOWER(RAISE(a, low), high)
#define CLAMP_FLOAT(S, a, low, high) MINIMUM_FLOAT(S, (MAXIMUM_FLOAT(S, a, low)), high)
FOR_INTEGERS(CLAMP, clamp, CLAMP_INTEGER)
FOR_FLOATS(CLAMP, clamp, CLAMP_FLOAT)
TABLE_NUMBERS(clamp)

/*
 * where: a choice between bit patterns, all of one width alike, so that loops have no branches. The types may stand for any
 * element's.
 */
#if defined(__GNUC__)
#define ANY_ELEMENT __attribute__((may_alias))
#else
#define ANY_ELEMENT
#endif
typedef uint8_t ANY_ELEMENT bits_8;
typedef uint32_t ANY_ELEMENT bits_32;
typedef uint64_t ANY_ELEMENT bits_64;

#define CHOICE(type, condition, a, b) ((type)(((type)(0 - (type)(condition)) & (a)) | ((type)((type)(condition)-1) & (b))))
#define CHOOSE(bits, symbol)                                                                      \
  static void LOOP(choose, symbol) {                                                              \
    (void)constants;                                                                              \
    bits *y = out;                                                                                \
    const uint8_t *condition = in[0];                                                             \
    const bits *a = in[1], *b = in[2];                                                            \
    const int64_t step = !is_one[0], step_a = !is_one[1], step_b = !is_one[2];                    \
    if (!IS_FAST_##symbol || is_one[0]) {                                                         \
      for (int64_t i = 0; i < n; i++) y[i] = condition[i * step] ? a[i * step_a] : b[i * step_b]; \
    } else if (is_one[1] && is_one[2]) {                                                          \
      const bits one = *a, other = *b;                                                            \
      TT_IN_STEP for (int64_t i = 0; i < n; i++) y[i] = CHOICE(bits, condition[i], one, other);   \
    } else if (is_one[1]) {                                                                       \
      const bits one = *a;                                                                        \
      TT_IN_STEP for (int64_t i = 0; i < n; i++) y[i] = CHOICE(bits, condition[i], one, b[i]);    \
    } else if (is_one[2]) {                                                                       \
      const bits other = *b;                                                                      \
      TT_IN_STEP for (int64_t i = 0; i < n; i++) y[i] = CHOICE(bits, condition[i], a[i], other);  \
    } else {                                                                                      \
      TT_IN_STEP for (int64_t i = 0; i < n; i++) y[i] = CHOICE(bits, condition[i], a[i], b[i]);   \
    }                                                                                             \
  }
CHOOSE(bits_8, U8)
CHOOSE(bits_32, F32)
CHOOSE(bits_64, I64)
const tt_loops tt_loops_where = {{[TT_DTYPE_BOOL] = choose_U8,
                                  [TT_DTYPE_U8] = choose_U8,
                                  [TT_DTYPE_I32] = choose_F32,
                                  [TT_DTYPE_I64] = choose_I64,
                                  [TT_DTYPE_F32] = choose_F32,
                                  [TT_DTYPE_F64] = choose_I64}};
