// What begin.c and end.c write into a region. Nobody refers to it, and it stays; the attribute `used` would have it exported, too.
#define LIES_IN(region, name)       \
  __asm__(".no_dead_strip " #name); \
  extern const char name[];         \
  __attribute__((section(region))) const char name
