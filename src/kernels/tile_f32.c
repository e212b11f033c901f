/* float32 tiles; one of TT_VARIANT_SOURCES. */
#include "kernels/simd.h"

#define ELEMENT float
#define VECTOR tt_f32_vector
#define MULTIPLY_ADD TT_MULTIPLY_ADD_F32
#define TILES TT_VARIANT_NAME(tt_tiles_f32)
#include "kernels/tile_body.h"
