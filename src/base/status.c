#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *tt_status_name(tt_status status) {
  switch (status) {
#define STATUS_CASE(symbol, number, name) \
  case TT_##symbol:                       \
    return name;
    TT_STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
  }
  return "unknown";
}

tt_status tt_status_from_name(const char *name) {
  static const struct {
    const char *name;
    tt_status status;
  } names[] = {
#define STATUS_ROW(symbol, number, text) {text, TT_##symbol},
      TT_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
  };
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (strcmp(names[i].name, name) == 0) return names[i].status;
  }
  return TT_ERR_PROTOCOL;
}

/* A cut in the middle of a UTF-8 sequence would make the whole message unreadable to JSON: drop the piece at the end. */
static void drop_partial_character(char *message) {
  size_t length = strlen(message);
  size_t start = length;
  while (start > 0 && length - start < 3 && ((unsigned char)message[start - 1] & 0xC0) == 0x80) start--;
  if (start == 0) return;
  unsigned char lead = (unsigned char)message[start - 1];
  size_t wanted = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  if (length - (start - 1) < wanted) message[start - 1] = 0;
}

tt_status(tt_fail)(tt_error *error, tt_status status, const char *format, ...) {
  if (error == NULL) return status;
  /* An argument may be the old message itself, so the new one is built beside it. */
  char message[TT_ERROR_MESSAGE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  int n = vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  if (n < 0) message[0] = 0;
  if (n >= (int)sizeof message) drop_partial_character(message);
  error->status = status;
  memcpy(error->message, message, sizeof message);
  return status;
}

tt_status tt_error_prefix(tt_error *error, const char *format, ...) {
  if (error == NULL) return TT_ERR_STATE;
  char message[TT_ERROR_MESSAGE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  int n = vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  size_t used = n < 0 ? 0 : (size_t)n < sizeof message ? (size_t)n : sizeof message - 1;
  int total = snprintf(message + used, sizeof message - used, ": %s", error->message);
  if (total >= (int)(sizeof message - used)) drop_partial_character(message);
  memcpy(error->message, message, sizeof message);
  return error->status;
}
