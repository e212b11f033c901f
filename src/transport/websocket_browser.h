/*
 * websocket_browser: a link over the host's own WebSocket (a browser's, or the one that Node has), by Emscripten's websocket.h.
 *
 * The link is attached when connecting begins: frames wait until the connection is open (HELLO only, since nothing else goes before the other side's HELLO). The
 * end, whether the connection was ever open or not, is the worker's TT_EVENT_LINK_CLOSED.
 */
#ifndef TT_TRANSPORT_WEBSOCKET_BROWSER_H
#define TT_TRANSPORT_WEBSOCKET_BROWSER_H

#include "worker/worker.h"

typedef struct tt_websocket_browser tt_websocket_browser;

/* Connects to `url` (ws: or wss:, already checked by the host: its constructor throws at others). `expected`: the worker that listens there, NULL for a relay.
 * Lives until the connection has ended; the address identifies it in events. NULL: TT_ERR_CONNECTION (the host has no WebSocket), TT_ERR_DUPLICATE, TT_ERR_MEMORY. */
tt_websocket_browser *tt_websocket_browser_open(tt_worker *worker, const char *url, const char *expected, tt_error *error);
/* Ends the connection from this side. */
void tt_websocket_browser_close(tt_websocket_browser *socket, const char *reason);

#endif
