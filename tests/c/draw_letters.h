/*
 * draw_letters: sizes that a row's domain writes with letters, "[N? C*G H W]" (head of ops.def), for draw_args.h.
 */
#ifndef TT_TESTS_DRAW_LETTERS_H
#define TT_TESTS_DRAW_LETTERS_H

#include <string.h>

#include "base/random.h"
#include "tensor/shape.h"

enum { DRAW_LETTERS = 26, DRAW_MAX_LEAD = 2 };

typedef struct draw_letters {
  int64_t values[DRAW_LETTERS]; /* 0: not drawn yet, else the value and one */
  int is_kept[DRAW_LETTERS];    /* of a size with `?`: 0: not drawn yet, 1: left out, 2: kept */
  int n_lead;                   /* of `...`: 0: not drawn yet, else the number of sizes and one */
  int64_t lead[DRAW_MAX_LEAD];
} draw_letters;

static inline int64_t draw_letter(draw_letters *letters, tt_generator *generator, char letter) {
  static const struct {
    const char *letters;
    int64_t low, high;
  } ranges[] = {{"HWL", 3, 5}, {"KM", 1, 3}, {"STD", 1, 2}, {"PQ", 0, 1}, {"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1, 3}};
  int64_t *value = &letters->values[letter - 'A'];
  size_t i = 0;
  while (!strchr(ranges[i].letters, letter)) i++;
  if (*value == 0) *value = 1 + ranges[i].low + tt_generator_below(generator, (uint64_t)(ranges[i].high - ranges[i].low + 1));
  return *value - 1;
}

/* Where the sizes begin; NULL when the words have none. */
static inline const char *draw_find_sizes(const char *words) { return words[0] == '[' ? words : NULL; }

static inline int64_t draw_sum(draw_letters *letters, tt_generator *generator, const char **at);

static inline int64_t draw_factor(draw_letters *letters, tt_generator *generator, const char **at) {
  char c = *(*at)++;
  if (c >= 'A' && c <= 'Z') return draw_letter(letters, generator, c);
  if (c == '(') {
    int64_t value = draw_sum(letters, generator, at);
    ++*at; /* the closing one */
    return value;
  }
  int64_t value = c - '0';
  while (**at >= '0' && **at <= '9') value = value * 10 + *(*at)++ - '0';
  return value;
}

static inline int64_t draw_term(draw_letters *letters, tt_generator *generator, const char **at) {
  int64_t value = draw_factor(letters, generator, at);
  while (**at == '*' || **at == '/') {
    char sign = *(*at)++;
    int64_t other = draw_factor(letters, generator, at);
    value = sign == '*' ? value * other : value / other;
  }
  return value;
}

static inline int64_t draw_sum(draw_letters *letters, tt_generator *generator, const char **at) {
  int64_t value = draw_term(letters, generator, at);
  while (**at == '+' || **at == '-') {
    char sign = *(*at)++;
    int64_t other = draw_term(letters, generator, at);
    value = sign == '+' ? value + other : value - other;
  }
  return value;
}

/* Writes the sizes and answers how many there are. What comes out negative is 0: no call takes it then. */
static inline int draw_sizes(draw_letters *letters, tt_generator *generator, const char *words, int64_t *sizes) {
  int n = 0;
  const char *at = words + 1;
  while (*at && *at != ']') {
    if (*at == ' ') {
      at++;
    } else if (strncmp(at, "...", 3) == 0) {
      at += 3;
      if (letters->n_lead == 0) {
        letters->n_lead = 1 + (int)tt_generator_below(generator, DRAW_MAX_LEAD + 1);
        for (int i = 0; i < letters->n_lead - 1; i++) letters->lead[i] = 1 + tt_generator_below(generator, 2);
      }
      for (int i = 0; i < letters->n_lead - 1; i++) sizes[n++] = letters->lead[i];
    } else {
      char first = *at;
      int64_t size = draw_sum(letters, generator, &at);
      bool is_optional = *at == '?';
      at += is_optional;
      if (is_optional) {
        int *is_kept = &letters->is_kept[first - 'A'];
        if (*is_kept == 0) *is_kept = 1 + (tt_generator_below(generator, 3) > 0);
        if (*is_kept == 1) continue;
      }
      sizes[n++] = size < 0 ? 0 : size;
    }
  }
  return n;
}

#endif
