#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"

int tt_usage_error(const char *command, const char *format, ...) {
  fprintf(stderr, "tabtensor %s: ", command);
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fprintf(stderr, "\n`tabtensor %s --help` tells how it is used.\n", command);
  return TT_EXIT_USAGE;
}

int tt_option_error(const char *command, int what, char *const *argv) {
  const char *written = argv[optind - 1];
  if (what == ':') return tt_usage_error(command, "the option %s needs a value", written);
  if (optopt != 0 && isprint(optopt) && written[0] == '-' && written[1] != '-') {
    return tt_usage_error(command, "there is no option -%c", optopt);
  }
  if (optopt != 0) return tt_usage_error(command, "the option %s takes no value", written);
  return tt_usage_error(command, "there is no option %s", written);
}

static void print_clean(FILE *stream, const char *text, bool has_lines) {
  for (; *text != '\0'; text++) {
    unsigned char byte = (unsigned char)*text;
    bool is_c1 = byte == 0xC2 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] <= 0x9F;
    if (is_c1) text++;
    bool is_kept = has_lines && (byte == '\n' || byte == '\t');
    putc((byte < 0x20 && !is_kept) || byte == 0x7F || is_c1 ? '?' : byte, stream);
  }
}

void tt_print_clean(FILE *stream, const char *text) { print_clean(stream, text, false); }
void tt_print_clean_lines(FILE *stream, const char *text) { print_clean(stream, text, true); }

static bool read_digits(const char *text, uint64_t *number, const char **end) {
  if (!isdigit((unsigned char)*text)) return false;
  char *behind;
  errno = 0;
  unsigned long long value = strtoull(text, &behind, 10);
  if (errno != 0) return false;
  *number = value;
  *end = behind;
  return true;
}

bool tt_parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *number) {
  uint64_t value;
  const char *end;
  if (!read_digits(text, &value, &end) || *end != '\0' || value < least || value > most) return false;
  *number = value;
  return true;
}

bool tt_parse_size(const char *text, uint64_t least, uint64_t most, uint64_t *n_bytes) {
  uint64_t value;
  const char *end;
  if (!read_digits(text, &value, &end)) return false;
  unsigned shift = 0;
  if (tolower((unsigned char)*end) == 'k') shift = 10;
  if (tolower((unsigned char)*end) == 'm') shift = 20;
  if (tolower((unsigned char)*end) == 'g') shift = 30;
  if (shift != 0) end++;
  if (*end != '\0' || value > most >> shift || value << shift < least) return false;
  *n_bytes = value << shift;
  return true;
}
