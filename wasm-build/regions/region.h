// What begin.c and end.c write into a region. Nobody refers to it, and it stays. (Emscripten exports what does: to_web.js takes that out of its script.)
#define LIES_IN(region, name) __attribute__((section(region), used)) const char name
