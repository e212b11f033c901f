#include "kernels/variant.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[TT_N_VARIANTS] = {"plain", "avx2", "avx512"};

/* 0 before the first question, else the variant and 1. */
static atomic_int chosen;

static bool runs_here(tt_variant variant) {
#ifdef TT_X86_VARIANTS
  if (variant == TT_VARIANT_AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (variant == TT_VARIANT_AVX512) return __builtin_cpu_supports("avx512f") && runs_here(TT_VARIANT_AVX2);
#endif
  return variant == TT_VARIANT_PLAIN;
}

static tt_variant choose(void) {
  const char *asked = getenv("TABTENSOR_VARIANT");
  int variant = TT_N_VARIANTS - 1;
  for (int v = 0; asked != NULL && v < TT_N_VARIANTS; v++) {
    if (strcmp(asked, names[v]) == 0) variant = v;
  }
  while (!runs_here((tt_variant)variant)) variant--;
  return (tt_variant)variant;
}

tt_variant tt_variant_chosen(void) {
  int known = atomic_load_explicit(&chosen, memory_order_relaxed);
  if (known != 0) return (tt_variant)(known - 1);
  tt_variant variant = choose();
  atomic_store_explicit(&chosen, (int)variant + 1, memory_order_relaxed);
  return variant;
}

const char *tt_variant_name(tt_variant variant) { return names[variant]; }

bool tt_variant_force(tt_variant variant) {
  if (!runs_here(variant)) return false;
  atomic_store_explicit(&chosen, (int)variant + 1, memory_order_relaxed);
  return true;
}
