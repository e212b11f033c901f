/*
 * loop: how a loop over many elements is compiled.
 *
 * In WebAssembly float32 has loops that are vectorised, several for each op; every other dtype has one that is short, since its bytes would be
 * waited for by everybody who opens a page. Native programs have the fast ones for all.
 */
#ifndef TT_BASE_LOOP_H
#define TT_BASE_LOOP_H

/* Before a for: its iterations do not depend on each other. What is read is written by the same iteration or by none. */
#if defined(__clang__)
#define TT_IN_STEP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define TT_IN_STEP _Pragma("GCC ivdep")
#else
#define TT_IN_STEP
#endif

/* TT_SHORT: a function that is to be small rather than fast where that counts. */
#if defined(__wasm__)
enum { TT_IS_SHORT = 1 };
#define TT_SHORT __attribute__((minsize))
#else
enum { TT_IS_SHORT = 0 };
#define TT_SHORT
#endif

#endif
