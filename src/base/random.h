/*
 * random: two sources that are never mixed up.
 *
 * tt_generator is a seeded, portable counter-based generator (Philox 4x32-10: Salmon et al., "Parallel random numbers: as easy
 * as 1, 2, 3", SC 2011): the same seed gives the same numbers on every build. tt_random_id asks the operating system
 * (getrandom; the host's crypto in a browser) and is for ids only.
 */
#ifndef TT_BASE_RANDOM_H
#define TT_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

typedef struct tt_generator {
  uint64_t seed;
  uint64_t counter;  /* blocks drawn so far */
  uint32_t block[4]; /* what is left of the last block */
  uint32_t n_left;
} tt_generator;

void tt_generator_init(tt_generator *generator, uint64_t seed);
uint32_t tt_generator_u32(tt_generator *generator);
uint64_t tt_generator_u64(tt_generator *generator);
float tt_generator_uniform_f32(tt_generator *generator);         /* [0, 1), 24 bits */
double tt_generator_uniform_f64(tt_generator *generator);        /* [0, 1), 53 bits */
double tt_generator_normal(tt_generator *generator);             /* mean 0, deviation 1: Box-Muller, one number a call */
int64_t tt_generator_below(tt_generator *generator, uint64_t n); /* [0, n) without bias; n > 0 */

/* 64 bits of the system's randomness, never 0 (0 means "no id" everywhere). Aborts the process if the system has none. */
uint64_t tt_random_id(void);

/* Where tt_random_id gets its bytes from, for hosts whose way to them is slow (a page's, through Emscripten). NULL: the system. */
void tt_random_set_source(void (*fill)(void *bytes, size_t n_bytes));

#endif
