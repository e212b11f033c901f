/*
 * tls: certificates and whom to trust, read once and used for any number of connections, of servers and of clients. OpenSSL underneath, TLS 1.2 and 1.3.
 *
 * A client always checks that the server's certificate is signed by somebody it trusts and made out to the name (or the address in digits) that it
 * connects to. A server shows its certificate, and asks clients for theirs only if it is told to require them.
 */
#ifndef TT_NET_TLS_H
#define TT_NET_TLS_H

#include <stdbool.h>

#include "base/status.h"

typedef struct tt_tls tt_tls;

/* All files are PEM. */
typedef struct tt_tls_options {
  const char
      *certificate_file;      /* ours, followed by those between it and its CA; NULL: none, which a server cannot do without */
  const char *key_file;       /* its private key, without a passphrase; goes with the certificate */
  const char *ca_file;        /* whose signatures count; NULL: those that the system trusts */
  const char *server_name;    /* for connecting: the name that must be in the certificate; NULL: the host of the address */
  bool takes_any_server_name; /* for connecting: a certificate of that CA is enough, whatever name is in it */
  bool requires_client_certificate; /* for listening: who shows none that ca_file has signed is turned away; needs ca_file */
} tt_tls_options;

/*
 * Reads the files. Owner: the caller, tt_tls_free. Connections that were made with it go on after that; servers must be gone before.
 * Errors: TT_ERR_ARGUMENT (a file is missing or is not what it should be, a key that does not belong to the certificate), TT_ERR_MEMORY.
 */
tt_status tt_tls_new(const tt_tls_options *options, tt_tls **tls, tt_error *error);
bool tt_tls_has_certificate(const tt_tls *tls);
void tt_tls_free(tt_tls *tls); /* NULL is allowed */

#endif
