// See begin.c.

#include "region.h"

LIES_IN("tt_more", tt_more_ends)[] = "tabtensor: more ends";
LIES_IN("tt_later", tt_later_ends)[] = "tabtensor: later ends";
