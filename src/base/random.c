/* getentropy and getrandom are not ISO C. */
#define _DEFAULT_SOURCE

#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef __EMSCRIPTEN__
#include <unistd.h>
#else
#include <errno.h>
#include <sys/random.h>
#endif

/* One block of Philox 4x32-10: four words from a 128-bit counter and a 64-bit key. */
static void philox(const uint32_t counter[4], uint64_t seed, uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0;
    uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

void tt_generator_init(tt_generator *generator, uint64_t seed) { *generator = (tt_generator){.seed = seed}; }

uint32_t tt_generator_u32(tt_generator *generator) {
  if (generator->n_left == 0) {
    uint32_t counter[4] = {(uint32_t)generator->counter, (uint32_t)(generator->counter >> 32), 0, 0};
    philox(counter, generator->seed, generator->block);
    generator->counter++;
    generator->n_left = 4;
  }
  return generator->block[4 - generator->n_left--];
}

uint64_t tt_generator_u64(tt_generator *generator) {
  uint64_t low = tt_generator_u32(generator);
  uint64_t high = tt_generator_u32(generator);
  return high << 32 | low;
}

float tt_generator_uniform_f32(tt_generator *generator) { return (float)(tt_generator_u32(generator) >> 8) * 0x1p-24f; }

double tt_generator_uniform_f64(tt_generator *generator) { return (double)(tt_generator_u64(generator) >> 11) * 0x1p-53; }

/*
 * Logarithm and cosine for tt_generator_normal alone. They use +, -, *, / only, which every build rounds alike; the C library's
 * differ in the last place from one machine to the next.
 */
static double portable_log(double x) {
  int exponent;
  double fraction = frexp(x, &exponent);
  if (fraction < 0.70710678118654752) {
    fraction *= 2.0;
    exponent--;
  }
  /* log(f) is twice the area tangent of (f - 1) / (f + 1), whose magnitude is below 0.172: eleven terms are enough. */
  double ratio = (fraction - 1.0) / (fraction + 1.0), square = ratio * ratio, sum = 0.0;
  for (int k = 21; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return exponent * 0.69314718055994530942 + 2.0 * ratio * sum;
}

/* The cosine of `turns` full turns, turns in [0, 1). */
static double portable_cos_turns(double turns) {
  int quarter = (int)(turns * 4.0 + 0.5);
  double angle = (turns * 4.0 - quarter) * 1.57079632679489661923; /* within an eighth of a turn */
  double square = angle * angle, even = 0.0, odd = 0.0;
  for (int k = 16; k >= 2; k -= 2) {
    even = (even + 1.0) * -square / (double)(k * (k - 1));
    odd = (odd + 1.0) * -square / (double)(k * (k + 1));
  }
  double cosine = 1.0 + even, sine = angle * (1.0 + odd);
  if (quarter % 2 == 0) return quarter % 4 == 0 ? cosine : -cosine;
  return quarter % 4 == 1 ? -sine : sine;
}

double tt_generator_normal(tt_generator *generator) {
  double radius = 1.0 - tt_generator_uniform_f64(generator); /* (0, 1]: its logarithm is finite */
  double turns = tt_generator_uniform_f64(generator);
  return sqrt(-2.0 * portable_log(radius)) * portable_cos_turns(turns);
}

int64_t tt_generator_below(tt_generator *generator, uint64_t n) {
  /* Numbers below 2^64 mod n would make the small remainders likelier. */
  uint64_t refused = (0 - n) % n;
  uint64_t drawn;
  do {
    drawn = tt_generator_u64(generator);
  } while (drawn < refused);
  return (int64_t)(drawn % n);
}

/* Random bytes are drawn for many ids at once: a call of the system costs more than all else that an id is made for. */
enum { N_POOLED = 1024, MOST_BYTES = 256 /* that the system gives at once, whole or not at all */ };
static struct {
  uint64_t ids[N_POOLED];
  size_t n_left;
  void (*fill)(void *bytes, size_t n_bytes); /* NULL: the system's own */
} pool;

void tt_random_set_source(void (*fill)(void *bytes, size_t n_bytes)) {
  pool.fill = fill;
  pool.n_left = 0;
}

static void fill_from_system(uint8_t *bytes, size_t n_bytes) {
#ifdef __EMSCRIPTEN__
  if (getentropy(bytes, n_bytes) != 0) abort();
#else
  while (getrandom(bytes, n_bytes, 0) != (ssize_t)n_bytes) {
    if (errno != EINTR) abort();
  }
#endif
}

static void fill_pool(void) {
  if (pool.fill != NULL) {
    pool.fill(pool.ids, sizeof pool.ids);
  } else {
    for (size_t at = 0; at < sizeof pool.ids; at += MOST_BYTES) fill_from_system((uint8_t *)pool.ids + at, MOST_BYTES);
  }
  pool.n_left = N_POOLED;
}

uint64_t tt_random_id(void) {
  uint64_t id = 0;
  while (id == 0) {
    if (pool.n_left == 0) fill_pool();
    id = pool.ids[--pool.n_left];
  }
  return id;
}
