/*
 * endpoint: addresses and TLS as command lines have them, the same for every command. An address is one of net/address.h; which transport serves it is known
 * here alone.
 */
#ifndef TT_CLI_ENDPOINT_H
#define TT_CLI_ENDPOINT_H

#include <stddef.h>

#include "base/status.h"
#include "net/address.h"
#include "net/tls.h"
#include "transport/native_door.h"
#include "transport/websocket_native.h"

/* What getopt_long answers for the options of TLS: no characters. */
enum {
  TT_OPTION_CERT = 512,
  TT_OPTION_KEY,
  TT_OPTION_CA,
  TT_OPTION_SERVER_NAME,
  TT_OPTION_ANY_SERVER_NAME,
  TT_OPTION_CLIENT_CERT
};

/* For an array of struct option. */
#define TT_TLS_CONNECTING_OPTIONS                                                                                       \
  {"cert", required_argument, NULL, TT_OPTION_CERT}, {"key", required_argument, NULL, TT_OPTION_KEY},                   \
      {"ca", required_argument, NULL, TT_OPTION_CA}, {"server-name", required_argument, NULL, TT_OPTION_SERVER_NAME}, { \
    "any-server-name", no_argument, NULL, TT_OPTION_ANY_SERVER_NAME                                                     \
  }
#define TT_TLS_LISTENING_OPTIONS \
  { "require-client-cert", no_argument, NULL, TT_OPTION_CLIENT_CERT }

/* True: it was one of these. */
bool tt_read_tls_option(tt_tls_options *options, int option, const char *value);

/* Reads the files, if any option was given; *tls is NULL otherwise. Errors: those of tt_tls_new. */
tt_status tt_endpoint_tls(const tt_tls_options *options, tt_tls **tls, tt_error *error);

/* By what serves the address. `tls` outlives the loop, and NULL trusts whom the system trusts. See tt_native_door_dial. */
tt_status tt_endpoint_connect(tt_native_door *door, const char *url, tt_tls *tls, tt_native_ended_fn *ended, void *context,
                              const void **transport, tt_error *error);

/* Listens; `bound` is where. What `websocket` says beside host and port is for ws. Errors: TT_ERR_ARGUMENT (wss among them), TT_ERR_SYSTEM, TT_ERR_MEMORY. */
tt_status tt_endpoint_listen(tt_native_door *door, const char *url, tt_tls *tls, const tt_listen_options *websocket,
                             char bound[TT_MAX_URL_BYTES], tt_error *error);

#endif
