/*
 * activation: the loops of networks' activation functions, float32 and float64, for the engine of kernels/elementwise.h.
 *
 * One input each where nothing else is said; `constants` points to doubles, named beside each loop, whatever the compute dtype.
 */
#ifndef TT_KERNELS_ACTIVATION_H
#define TT_KERNELS_ACTIVATION_H

#include "kernels/elementwise.h"

enum { TT_MAX_ACTIVATION_CONSTANTS = 3 };

extern const tt_loops tt_loops_leaky_relu;  /* negative_slope */
extern const tt_loops tt_loops_elu;         /* the positive part's factor; the negative part's; the exponent's */
extern const tt_loops tt_loops_hardtanh;    /* min_val, max_val; NaN stays */
extern const tt_loops tt_loops_hardsigmoid; /* none, as the rest where nothing is said */
extern const tt_loops tt_loops_hardswish;
extern const tt_loops tt_loops_silu;
extern const tt_loops tt_loops_mish;
extern const tt_loops tt_loops_softplus; /* beta, threshold */
extern const tt_loops tt_loops_softsign;
extern const tt_loops tt_loops_logsigmoid;
extern const tt_loops tt_loops_threshold; /* threshold, value */
extern const tt_loops tt_loops_gelu;
extern const tt_loops tt_loops_gelu_tanh;
extern const tt_loops tt_loops_hardshrink; /* lambd */
extern const tt_loops tt_loops_softshrink; /* lambd */
extern const tt_loops tt_loops_tanhshrink;
extern const tt_loops tt_loops_threshold_backward; /* (gradient, x); threshold */

#endif
