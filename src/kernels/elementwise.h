/*
 * elementwise: out[i] = f(a[i], b[i], c[i]) over any strided, broadcast operands of any dtypes.
 *
 * f is a loop over a dense row of one compute dtype; loops are chosen by tables of the dtype, below. The engine walks the
 * operands in step and hands whole rows to the loop when dtypes and strides let it; otherwise it converts and gathers a block
 * at a time through the stack, so a mixed or strided call allocates nothing. An input may be the very view that is written
 * (in-place ops).
 *
 * Integers wrap and no value of theirs is undefined; the callers see to it that no integer is divided by zero.
 */
#ifndef TT_KERNELS_ELEMENTWISE_H
#define TT_KERNELS_ELEMENTWISE_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor/tensor.h"

enum { TT_MAX_INPUTS = 3 };

/*
 * n elements of a dense row. Input k is as dense, or the one element in[k] points to when is_one[k]; not every input is one at
 * a time. `constants` is what the loop says it is: elements of the compute dtype.
 */
typedef void tt_loop_fn(void *out, const void *const *in, const bool *is_one, int64_t n, const void *constants);

typedef struct tt_loops {
  tt_loop_fn *by_dtype[TT_N_DTYPES]; /* NULL where the op has no meaning */
} tt_loops;

typedef struct tt_elementwise {
  tt_loop_fn *loop;
  tt_dtype out_dtype;                /* what the loop writes; converted into out's own dtype */
  tt_dtype in_dtypes[TT_MAX_INPUTS]; /* what the loop reads; inputs are converted to it */
  int n_inputs;
  const void *constants;
} tt_elementwise;

/*
 * Computes into `out`; the inputs' shapes broadcast to its shape. An input either is exactly out's view or does not overlap it.
 */
void tt_elementwise_run(const tt_elementwise *what, tt_tensor *out, const tt_tensor *const *inputs);

/* Whether any element of `tensor`, converted to `dtype`, is zero. */
bool tt_elementwise_any_zero(const tt_tensor *tensor, tt_dtype dtype);

/* Two inputs each, results in the compute dtype unless it says otherwise. */
extern const tt_loops tt_loops_add, tt_loops_sub, tt_loops_mul, tt_loops_div;
extern const tt_loops tt_loops_add_scaled; /* a + constants[0] * b */
extern const tt_loops tt_loops_floor_divide, tt_loops_trunc_divide, tt_loops_remainder, tt_loops_fmod;
extern const tt_loops tt_loops_pow, tt_loops_maximum, tt_loops_minimum, tt_loops_atan2;
extern const tt_loops tt_loops_eq, tt_loops_ne, tt_loops_lt, tt_loops_le, tt_loops_gt, tt_loops_ge; /* out: bool */
extern const tt_loops tt_loops_logical_and, tt_loops_logical_or, tt_loops_logical_xor;              /* out: bool */
extern const tt_loops tt_loops_bitwise_and, tt_loops_bitwise_or, tt_loops_bitwise_xor;

/* One input each. */
extern const tt_loops tt_loops_neg, tt_loops_abs, tt_loops_sign, tt_loops_square, tt_loops_cube, tt_loops_relu;
extern const tt_loops tt_loops_bitwise_not, tt_loops_logical_not; /* logical_not: bool only */
extern const tt_loops tt_loops_floor, tt_loops_ceil, tt_loops_round, tt_loops_trunc;
extern const tt_loops tt_loops_isnan, tt_loops_isinf, tt_loops_isfinite; /* out: bool */
extern const tt_loops tt_loops_exp, tt_loops_expm1, tt_loops_log, tt_loops_log2, tt_loops_log10, tt_loops_log1p;
extern const tt_loops tt_loops_sqrt, tt_loops_rsqrt, tt_loops_reciprocal, tt_loops_inverse_square;
extern const tt_loops tt_loops_sin, tt_loops_cos, tt_loops_tan, tt_loops_asin, tt_loops_acos, tt_loops_atan;
extern const tt_loops tt_loops_sinh, tt_loops_cosh, tt_loops_tanh, tt_loops_sigmoid, tt_loops_erf;

extern const tt_loops tt_loops_clamp_min_to, tt_loops_clamp_max_to; /* one input; the bound is constants[0], none when NaN */
extern const tt_loops tt_loops_clamp_to;                            /* one input; the bounds are constants[0] and [1] */
extern const tt_loops tt_loops_clamp;                               /* (a, low, high), NaN anywhere gives NaN */
extern const tt_loops tt_loops_where;                               /* (bool, a, b) */

#endif
