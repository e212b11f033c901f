/* tls_session: TLS over one socket that does not block. Nobody outside net/ includes it. */
#ifndef TT_NET_TLS_SESSION_H
#define TT_NET_TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/tls.h"

typedef struct tt_tls_session tt_tls_session;

/* How far a step came. */
typedef enum tt_io {
  TT_IO_DONE,
  TT_IO_WANTS_READ,  /* again when the socket is readable */
  TT_IO_WANTS_WRITE, /* again when it is writable */
  TT_IO_END,         /* the other end has ended it in good order */
  TT_IO_BROKEN,      /* tt_tls_session_why tells */
} tt_io;

/* For a socket that was accepted; NULL: no memory. The socket stays the caller's. Owner: the caller, tt_tls_session_free. */
tt_tls_session *tt_tls_accept(tt_tls *tls, int socket);
/* For a socket that has connected to `host`; `tls` NULL: no certificate, and whom the system trusts. NULL: as `error` says. */
tt_tls_session *tt_tls_connect(tt_tls *tls, int socket, const char *host, tt_error *error);

/*
 * For the library, which makes its sessions itself: an SSL_CTX for connecting to `host` that checks all that tt_tls_connect does. NULL: as `error` says. Owner:
 * the caller, tt_tls_context_free.
 */
struct ssl_ctx_st;
struct ssl_ctx_st *tt_tls_client_context(tt_tls *tls, const char *host, tt_error *error);
void tt_tls_context_free(struct ssl_ctx_st *context);

tt_io tt_tls_shake(tt_tls_session *session); /* the handshake, step by step */
tt_io tt_tls_read(tt_tls_session *session, uint8_t *bytes, size_t n_bytes, size_t *n_read);
/* A write that could not go on is repeated with the same bytes, which may have moved. */
tt_io tt_tls_write(tt_tls_session *session, const uint8_t *bytes, size_t n_bytes, size_t *n_written);
void tt_tls_finish(tt_tls_session *session); /* says that nothing more comes; as far as the socket takes it now */
const char *tt_tls_session_why(const tt_tls_session *session);
void tt_tls_session_free(tt_tls_session *session); /* NULL is allowed */

#endif
