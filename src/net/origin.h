/*
 * origin: which web page may open a WebSocket here. Pure functions over header values.
 *
 * Browsers let any page open a WebSocket to any address, loopback included, and say in Origin which page it is. A page is our own
 * when its origin is where it connects to (Origin's host and port are those of Host) AND that host is "localhost" or an address
 * in digits: a name that somebody else's DNS answers may point here today (DNS rebinding) and is never our own, unless
 * it was allowed by hand.
 */
#ifndef TT_NET_ORIGIN_H
#define TT_NET_ORIGIN_H

#include <stdbool.h>

#include "base/status.h"

/* Both are header values: "http://localhost:8080", "localhost:8080". */
bool tt_origin_is_own(const char *origin, const char *host);

/* The same origin: scheme and host without regard to case, the scheme's own port left out or not. "null" equals itself. */
bool tt_origin_equal(const char *a, const char *b);

/* Whether text is an origin as a browser writes it, "https://lab.example:8443" or "null". Errors: TT_ERR_ARGUMENT. */
tt_status tt_origin_check(const char *text, tt_error *error);

#endif
