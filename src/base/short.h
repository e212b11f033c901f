/*
 * short: what keeps small what a page downloads.
 *
 * In WebAssembly float32 has loops that are vectorised, several for each op; every other dtype has one that is short, since its bytes would be
 * waited for by everybody. Native programs have the fast ones for all.
 */
#ifndef TT_BASE_SHORT_H
#define TT_BASE_SHORT_H

#if defined(__wasm__)
enum { TT_IS_SHORT = 1 };
#define TT_SHORT __attribute__((minsize)) /* a function that is to be small rather than fast */
#else
enum { TT_IS_SHORT = 0 };
#define TT_SHORT
#endif

#endif
