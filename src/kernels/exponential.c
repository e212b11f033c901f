#include "kernels/exponential.h"

#include "kernels/variant.h"

extern const tt_exponentials tt_exponentials_plain;
#ifdef TT_X86_VARIANTS
extern const tt_exponentials tt_exponentials_avx2, tt_exponentials_avx512;
#endif

const tt_exponentials *tt_exponentials_chosen(void) {
  static const tt_exponentials *const all[TT_N_VARIANTS] = {
      [TT_VARIANT_PLAIN] = &tt_exponentials_plain,
#ifdef TT_X86_VARIANTS
      [TT_VARIANT_AVX2] = &tt_exponentials_avx2,
      [TT_VARIANT_AVX512] = &tt_exponentials_avx512,
#endif
  };
  return all[tt_variant_chosen()];
}
