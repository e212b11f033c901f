/*
 * address: where a worker or a relay is, as people write it. Pure functions.
 *
 *   tcp://HOST:PORT        a byte stream           tls://HOST:PORT        the same, encrypted
 *   unix:/PATH             a socket of this machine (unix:///PATH too)
 *   ws://HOST:PORT/PATH    a WebSocket             wss://HOST:PORT/PATH   the same, encrypted
 *
 * HOST is a name, an address in digits, or one of IPv6 in brackets.
 */
#ifndef TT_NET_ADDRESS_H
#define TT_NET_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum {
  TT_MAX_HOST_BYTES = 255,
  TT_MAX_SOCKET_PATH_BYTES = 107, /* what a sockaddr_un takes */
  TT_MAX_URL_BYTES = 320,         /* of tcp, tls and unix, with a terminator */
};

typedef enum tt_scheme { TT_SCHEME_TCP, TT_SCHEME_TLS, TT_SCHEME_UNIX, TT_SCHEME_WS, TT_SCHEME_WSS } tt_scheme;

typedef struct tt_address {
  tt_scheme scheme;
  char host[TT_MAX_HOST_BYTES + 1]; /* without brackets; "" for unix */
  uint16_t port;                    /* 80 and 443 when ws and wss leave it out; tcp and tls must say one */
  const char *path;                 /* of ws, wss ("/" when left out) and unix; borrowed from the text or constant. Else "" */
} tt_address;

/* Errors: TT_ERR_ARGUMENT, quoting what is wrong. */
tt_status tt_address_parse(const char *text, tt_address *address, tt_error *error);

const char *tt_scheme_name(tt_scheme scheme); /* "tcp" */
bool tt_scheme_is_stream(tt_scheme scheme);   /* tcp, tls, unix */
bool tt_scheme_is_encrypted(tt_scheme scheme);

#endif
