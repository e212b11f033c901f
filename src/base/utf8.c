#include "base/utf8.h"

size_t tt_utf8_next(const char *text, size_t n_bytes, uint32_t *code_point) {
  /* What the lead byte announces, and the smallest code point that may need that many bytes. */
  static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
  const uint8_t lead = (uint8_t)text[0];
  if (lead < 0x80) {
    *code_point = lead;
    return 1;
  }
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || n_bytes < length) return 0;
  uint32_t point = lead & (0x7fu >> length);
  for (size_t i = 1; i < length; i++) {
    const uint8_t byte = (uint8_t)text[i];
    if ((byte & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte & 0x3fu);
  }
  if (point < smallest[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return 0;
  *code_point = point;
  return length;
}

bool tt_utf8_is_valid(const char *text, size_t n_bytes) {
  size_t i = 0;
  while (i < n_bytes) {
    uint32_t point;
    const size_t length = tt_utf8_next(text + i, n_bytes - i, &point);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

size_t tt_utf8_cut(const char *text, size_t n_bytes) {
  /* Text that is none has no place to cut at, hence at most the three bytes that may stand behind a lead. */
  size_t n_back = 0;
  while (n_back < 3 && n_back < n_bytes && ((uint8_t)text[n_bytes - n_back] & 0xc0) == 0x80) n_back++;
  return n_bytes - n_back;
}
