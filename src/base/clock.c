/* clock_gettime is POSIX, which -std=c11 hides. */
#define _POSIX_C_SOURCE 200809L

#include "base/clock.h"

#include <time.h>

int64_t tt_clock_ms(void) {
  struct timespec now = {0};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
