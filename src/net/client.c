#include "net/client.h"

#include "net/address.h"
#include "net/internal.h"

enum { CONNECT_TIMEOUT_MS = 10000 };

tt_status tt_client_connect(tt_loop *loop, const tt_client_options *options, tt_connection **out, tt_error *error) {
  tt_address address;
  TT_TRY(tt_address_parse(options->url, &address, error));
  if (tt_scheme_is_stream(address.scheme)) {
    return tt_fail(error, TT_ERR_ARGUMENT, "'%.200s' is no WebSocket address: write ws://host:port/path", options->url);
  }
  if (address.port == 0) {
    return tt_fail(error, TT_ERR_ARGUMENT, "'%.200s' has the port 0, which nobody listens on: write ws://host:port/path",
                   options->url);
  }
  tt_connection *connection = tt_connection_new(loop, options->events, options->user, options->max_message_bytes,
                                                options->ping_every_ms, &tt_library_carrier, TT_FRAMING_MASKED);
  if (connection == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for a connection to %.200s", options->url);
  tt_connection_set_address(connection, options->url);
  tt_status status = tt_library_connect(connection, &address, options->tls, error);
  if (status != TT_OK) {
    tt_connection_discard(connection);
    return status;
  }
  tt_connection_start_timer(connection, options->connect_timeout_ms > 0 ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS);
  *out = connection;
  return TT_OK;
}
