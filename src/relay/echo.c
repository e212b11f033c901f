#include "relay/echo.h"

static void on_message(tt_connection *connection, tt_message *message) {
  if (tt_connection_forward(connection, message, NULL) != TT_OK) {
    tt_connection_close(connection, TT_CLOSE_INTERNAL, "no memory for the echo");
    return;
  }
  if (tt_connection_queued_bytes(connection) >= TT_ECHO_MAX_QUEUED_BYTES) tt_connection_pause(connection);
}

static void on_drained(tt_connection *connection) { tt_connection_resume(connection); }

const tt_connection_events tt_echo_events = {.message = on_message, .drained = on_drained};
