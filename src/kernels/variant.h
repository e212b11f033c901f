/*
 * variant: which of the compiled forms of the hot kernels this processor runs.
 *
 * `plain` is what the whole build is compiled for, and the only one beside x86-64 (and so in WebAssembly). The choice is made at the
 * first question and stays, since results differ in their last bits: the wider forms round a product and a sum once.
 */
#ifndef TT_KERNELS_VARIANT_H
#define TT_KERNELS_VARIANT_H

#include <stdbool.h>

typedef enum tt_variant { TT_VARIANT_PLAIN, TT_VARIANT_AVX2, TT_VARIANT_AVX512, TT_N_VARIANTS } tt_variant;

/* The widest that is compiled in and that this processor runs; the environment's TABTENSOR_VARIANT (plain, avx2, avx512) may ask for less. */
tt_variant tt_variant_chosen(void);

/* "plain", "avx2", "avx512" */
const char *tt_variant_name(tt_variant variant);

/* Tests only: takes that one from now on; false, and no change, where it does not run here. */
bool tt_variant_force(tt_variant variant);

#endif
