#include "kernels/tile.h"

#include "kernels/variant.h"

extern const tt_tiles tt_tiles_f32_plain, tt_tiles_f64_plain;
#ifdef TT_X86_VARIANTS
extern const tt_tiles tt_tiles_f32_avx2, tt_tiles_f64_avx2, tt_tiles_f32_avx512, tt_tiles_f64_avx512;
#endif

static const tt_tiles *const tiles[TT_N_VARIANTS][2] = {
    [TT_VARIANT_PLAIN] = {&tt_tiles_f32_plain, &tt_tiles_f64_plain},
#ifdef TT_X86_VARIANTS
    [TT_VARIANT_AVX2] = {&tt_tiles_f32_avx2, &tt_tiles_f64_avx2},
    [TT_VARIANT_AVX512] = {&tt_tiles_f32_avx512, &tt_tiles_f64_avx512},
#endif
};

const tt_tiles *tt_tiles_of(tt_dtype dtype) { return tiles[tt_variant_chosen()][dtype == TT_DTYPE_F64]; }
