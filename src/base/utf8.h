/* utf8: whether bytes from outside are text. Strict: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef TT_BASE_UTF8_H
#define TT_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads one code point at `text`: the bytes it takes (1 to 4), or 0 when no valid one begins there. n_bytes > 0. */
size_t tt_utf8_next(const char *text, size_t n_bytes, uint32_t *code_point);

/* Whether all of it is valid UTF-8. U+0000 is. */
bool tt_utf8_is_valid(const char *text, size_t n_bytes);

/* Where to cut a longer text so that at most n_bytes are left and no character is split. text[n_bytes] is there. */
size_t tt_utf8_cut(const char *text, size_t n_bytes);

#endif
