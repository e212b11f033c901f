/* float64 tiles; one of TT_VARIANT_SOURCES. */
#include "kernels/simd.h"

#define ELEMENT double
#define VECTOR tt_f64_vector
#define MULTIPLY_ADD TT_MULTIPLY_ADD_F64
#define TILES TT_VARIANT_NAME(tt_tiles_f64)
#include "kernels/tile_body.h"
