/* number: decimal numbers as text. */
#ifndef TT_BASE_NUMBER_H
#define TT_BASE_NUMBER_H

/*
 * What strtod answers, always. Numbers of few digits, which nearly all are, need none of what strtod does to round the others rightly (in WebAssembly:
 * arithmetic of 128 bits in software), so that a page that meets no others does not load it.
 */
double tt_number_read(const char *text, char **end);

#endif
