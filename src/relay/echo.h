/*
 * echo: an endpoint that sends every message back as it came, for checking connections and the conformance of the WebSockets.
 * Who does not read its echoes is not read.
 */
#ifndef TT_RELAY_ECHO_H
#define TT_RELAY_ECHO_H

#include "net/connection.h"

enum {
  TT_ECHO_MAX_MESSAGE_BYTES = 16 * 1024 * 1024,
  TT_ECHO_MAX_QUEUED_BYTES = 1024 * 1024,
};

extern const tt_connection_events tt_echo_events; /* needs no user */

#endif
