// Where the data of a core's later parts lies: linked first, while end.c is linked last, and what wasm-build/place_data.js gives these names lies in between.
//
// Nothing else may be near, so that an address in the code tells which of them it belongs to: in front of each is more room than an index which the compilers
// have made part of an address can be off (wasm-build/regions.js). The first is so far up that no number that the code counts with, such as a power of two, is
// among these addresses. Room takes addresses only: zeros are neither in a file nor, until they are written, in memory.

#include "region.h"

#define GUARD_BYTES (64 * 1024)
#define BELOW_BYTES (512 * 1024)

LIES_IN("tt_below", tt_below)[BELOW_BYTES] = {0};
LIES_IN("tt_more", tt_more_begins)[] = "tabtensor: more begins";
LIES_IN("tt_between", tt_between)[GUARD_BYTES] = {0};
LIES_IN("tt_later", tt_later_begins)[] = "tabtensor: later begins";
LIES_IN("tt_above", tt_above)[GUARD_BYTES] = {0};
