/*
 * simd: vectors as wide as the processor that a file is compiled for has them, written in the compilers' generic vectors.
 *
 * Files of TT_VARIANT_SOURCES (CMakeLists.txt) are compiled once for each variant (kernels/variant.h); what they define and
 * others call is named with TT_VARIANT_NAME. TT_MULTIPLY_ADD rounds once where the processor does that in one instruction, else twice.
 */
#ifndef TT_KERNELS_SIMD_H
#define TT_KERNELS_SIMD_H

#include <stdint.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define TT_VECTOR_BYTES 64
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define TT_VECTOR_BYTES 32
#else
#define TT_VECTOR_BYTES 16
#endif

/* Whether a product and a sum are one instruction. */
#if TT_VECTOR_BYTES > 16 || defined(__wasm_relaxed_simd__)
#define TT_FUSES_MULTIPLY_ADD 1
#else
#define TT_FUSES_MULTIPLY_ADD 0
#endif

enum { TT_F32_LANES = TT_VECTOR_BYTES / 4, TT_F64_LANES = TT_VECTOR_BYTES / 8 };

/* They lie anywhere an element may, and alias what they are read from. */
typedef float tt_f32_vector __attribute__((vector_size(TT_VECTOR_BYTES), aligned(4), may_alias));
typedef int32_t tt_i32_vector __attribute__((vector_size(TT_VECTOR_BYTES)));
typedef double tt_f64_vector __attribute__((vector_size(TT_VECTOR_BYTES), aligned(8), may_alias));

/* sum + x * y */
#if TT_VECTOR_BYTES == 64
#define TT_MULTIPLY_ADD_F32(sum, x, y) ((tt_f32_vector)_mm512_fmadd_ps((__m512)(x), (__m512)(y), (__m512)(sum)))
#define TT_MULTIPLY_ADD_F64(sum, x, y) ((tt_f64_vector)_mm512_fmadd_pd((__m512d)(x), (__m512d)(y), (__m512d)(sum)))
#elif TT_VECTOR_BYTES == 32
#define TT_MULTIPLY_ADD_F32(sum, x, y) ((tt_f32_vector)_mm256_fmadd_ps((__m256)(x), (__m256)(y), (__m256)(sum)))
#define TT_MULTIPLY_ADD_F64(sum, x, y) ((tt_f64_vector)_mm256_fmadd_pd((__m256d)(x), (__m256d)(y), (__m256d)(sum)))
#else
#if !defined(__wasm_relaxed_simd__)
#define TT_MULTIPLY_ADD_F32(sum, x, y) ((sum) + (x) * (y))
#elif __has_builtin(__builtin_wasm_relaxed_madd_f32x4)
#define TT_MULTIPLY_ADD_F32(sum, x, y) ((tt_f32_vector)__builtin_wasm_relaxed_madd_f32x4(x, y, sum))
#else /* compilers before LLVM 16; wasm-build/relaxed.js has more to say */
#define TT_MULTIPLY_ADD_F32(sum, x, y) ((tt_f32_vector)__builtin_wasm_fma_f32x4(x, y, sum))
#endif
#define TT_MULTIPLY_ADD_F64(sum, x, y) ((sum) + (x) * (y))
#endif

/* `limit` where x is above it, or below it, else x; NaN stays. */
#if TT_VECTOR_BYTES == 64
#define TT_AT_MOST_F32(limit, x) ((tt_f32_vector)_mm512_min_ps((__m512)(limit), (__m512)(x)))
#define TT_AT_LEAST_F32(limit, x) ((tt_f32_vector)_mm512_max_ps((__m512)(limit), (__m512)(x)))
#elif TT_VECTOR_BYTES == 32
#define TT_AT_MOST_F32(limit, x) ((tt_f32_vector)_mm256_min_ps((__m256)(limit), (__m256)(x)))
#define TT_AT_LEAST_F32(limit, x) ((tt_f32_vector)_mm256_max_ps((__m256)(limit), (__m256)(x)))
#elif defined(__wasm_simd128__)
#define TT_AT_MOST_F32(limit, x) ((tt_f32_vector)__builtin_wasm_pmin_f32x4(x, limit))
#define TT_AT_LEAST_F32(limit, x) ((tt_f32_vector)__builtin_wasm_pmax_f32x4(x, limit))
#else
#define TT_PICK_F32(condition, a, b) ((tt_f32_vector)(((condition) & (tt_i32_vector)(a)) | (~(condition) & (tt_i32_vector)(b))))
#define TT_AT_MOST_F32(limit, x) TT_PICK_F32((tt_i32_vector)((limit) < (x)), limit, x)
#define TT_AT_LEAST_F32(limit, x) TT_PICK_F32((tt_i32_vector)((x) < (limit)), limit, x)
#endif

/* Before a for of a few turns. */
#ifdef __clang__
#define TT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TT_UNROLL _Pragma("GCC unroll 8")
#endif

#define TT_VARIANT_JOIN(name, variant) name##_##variant
#define TT_VARIANT_JOIN_VALUE(name, variant) TT_VARIANT_JOIN(name, variant)
#define TT_VARIANT_NAME(name) TT_VARIANT_JOIN_VALUE(name, TT_VARIANT)

#ifndef TT_VARIANT
#define TT_VARIANT plain
#endif

#endif
