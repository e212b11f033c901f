#include "net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "net/tls_session.h"

struct tt_tls {
  SSL_CTX *context;
  bool has_certificate, takes_any_server_name, requires_client_certificate;
  char *server_name;                           /* NULL: the host */
  char *certificate_file, *key_file, *ca_file; /* read again for the library's contexts */
};

struct tt_tls_session {
  SSL *ssl;
  bool is_client;
  char why[256];
};

/* What OpenSSL says about the last failure, and nothing of it is left for the next. */
static const char *last_words(void) {
  unsigned long code = ERR_peek_last_error();
  const char *words = code != 0 ? ERR_reason_error_string(code) : NULL;
  if (words == NULL && code != 0 && ERR_GET_LIB(code) == ERR_LIB_SYS) words = strerror(ERR_GET_REASON(code));
  ERR_clear_error();
  return words != NULL ? words : "no reason given";
}

/* Nobody is there to type one, and OpenSSL would ask on the terminal. */
static int no_passphrase(char *text, int n_bytes, int is_for_writing, void *user) {
  (void)text, (void)n_bytes, (void)is_for_writing, (void)user;
  return 0;
}

static tt_status bad_file(const char *what, const char *file, tt_error *error) {
  return tt_fail(error, TT_ERR_ARGUMENT, "cannot use '%.200s' as %s: %s", file, what, last_words());
}

static tt_status read_files(SSL_CTX *context, const tt_tls_options *options, tt_error *error) {
  if (options->certificate_file != NULL) {
    if (SSL_CTX_use_certificate_chain_file(context, options->certificate_file) != 1) {
      return bad_file("a certificate (PEM)", options->certificate_file, error);
    }
    if (SSL_CTX_use_PrivateKey_file(context, options->key_file, SSL_FILETYPE_PEM) != 1) {
      return bad_file("the certificate's private key (PEM, without a passphrase)", options->key_file, error);
    }
  }
  if (options->ca_file != NULL) {
    if (SSL_CTX_load_verify_file(context, options->ca_file) != 1)
      return bad_file("CA certificates (PEM)", options->ca_file, error);
  } else {
    SSL_CTX_set_default_verify_paths(context); /* without any, the first handshake fails and says so */
  }
  if (!options->requires_client_certificate) return TT_OK;
  STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(options->ca_file);
  if (names == NULL) return bad_file("CA certificates (PEM)", options->ca_file, error);
  SSL_CTX_set_client_CA_list(context, names);
  return TT_OK;
}

static SSL_CTX *new_context(void) {
  SSL_CTX *context = SSL_CTX_new(TLS_method());
  if (context == NULL) return NULL;
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0); /* connections last; nobody resumes */
  SSL_CTX_set_default_passwd_cb(context, no_passphrase);
  return context;
}

static bool copy(char **to, const char *from) {
  if (from != NULL) *to = tt_strdup(from);
  return from == NULL || *to != NULL;
}

tt_status tt_tls_new(const tt_tls_options *options, tt_tls **out, tt_error *error) {
  if ((options->certificate_file == NULL) != (options->key_file == NULL)) {
    return tt_fail(error, TT_ERR_ARGUMENT, "a certificate and its private key go together: only the %s is given",
                   options->key_file == NULL ? "certificate" : "key");
  }
  if (options->requires_client_certificate && options->ca_file == NULL) {
    return tt_fail(error, TT_ERR_ARGUMENT, "to require certificates of clients, say by a CA file who may sign them");
  }
  tt_tls *tls = tt_alloc(1, sizeof *tls);
  if (tls == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for TLS");
  tls->has_certificate = options->certificate_file != NULL;
  tls->takes_any_server_name = options->takes_any_server_name;
  tls->requires_client_certificate = options->requires_client_certificate;
  tt_status status = TT_OK;
  tls->context = new_context();
  bool is_copied = copy(&tls->server_name, options->server_name) && copy(&tls->certificate_file, options->certificate_file) &&
                   copy(&tls->key_file, options->key_file) && copy(&tls->ca_file, options->ca_file);
  if (tls->context == NULL || !is_copied) {
    status = tt_fail(error, TT_ERR_MEMORY, "no memory for TLS");
  } else {
    status = read_files(tls->context, options, error);
  }
  if (status != TT_OK) {
    tt_tls_free(tls);
    return status;
  }
  *out = tls;
  return TT_OK;
}

bool tt_tls_has_certificate(const tt_tls *tls) { return tls->has_certificate; }

void tt_tls_free(tt_tls *tls) {
  if (tls == NULL) return;
  SSL_CTX_free(tls->context);
  tt_free(tls->server_name);
  tt_free(tls->certificate_file);
  tt_free(tls->key_file);
  tt_free(tls->ca_file);
  tt_free(tls);
}

/* Sessions. */

static tt_tls_session *new_session(SSL_CTX *context, int socket) {
  tt_tls_session *session = tt_alloc(1, sizeof *session);
  if (session == NULL) return NULL;
  session->ssl = SSL_new(context);
  if (session->ssl == NULL || SSL_set_fd(session->ssl, socket) != 1) {
    tt_tls_session_free(session);
    ERR_clear_error();
    return NULL;
  }
  return session;
}

tt_tls_session *tt_tls_accept(tt_tls *tls, int socket) {
  tt_tls_session *session = new_session(tls->context, socket);
  if (session == NULL) return NULL;
  SSL_set_accept_state(session->ssl);
  SSL_set_verify(session->ssl,
                 tls->requires_client_certificate ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, NULL);
  return session;
}

static bool is_digits(const char *host) {
  struct in6_addr address;
  return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static bool require_name(X509_VERIFY_PARAM *rules, const char *name) {
  if (is_digits(name)) return X509_VERIFY_PARAM_set1_ip_asc(rules, name) == 1;
  X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_host(rules, name, 0) == 1;
}

/* Names go to the server as well, which may have several certificates; addresses may not (RFC 6066). */
static bool set_name(SSL *ssl, const char *name, bool is_checked) {
  if (!is_digits(name) && SSL_set_tlsext_host_name(ssl, name) != 1) return false;
  return !is_checked || require_name(SSL_get0_param(ssl), name);
}

static tt_tls_session *connect_session(tt_tls *tls, int socket, const char *host) {
  tt_tls_session *session = new_session(tls->context, socket);
  if (session == NULL) return NULL;
  session->is_client = true;
  SSL_set_connect_state(session->ssl);
  SSL_set_verify(session->ssl, SSL_VERIFY_PEER, NULL);
  if (!set_name(session->ssl, tls->server_name != NULL ? tls->server_name : host, !tls->takes_any_server_name)) {
    tt_tls_session_free(session);
    ERR_clear_error();
    return NULL;
  }
  return session;
}

tt_tls_session *tt_tls_connect(tt_tls *tls, int socket, const char *host, tt_error *error) {
  tt_tls *own = NULL;
  if (tls == NULL) {
    if (tt_tls_new(&(tt_tls_options){.ca_file = NULL}, &own, error) != TT_OK) return NULL;
    tls = own;
  }
  tt_tls_session *session = connect_session(tls, socket, host);
  tt_tls_free(own); /* the session holds what it needs of it */
  if (session == NULL) tt_fail(error, TT_ERR_MEMORY, "no memory for TLS with %.200s", host);
  return session;
}

struct ssl_ctx_st *tt_tls_client_context(tt_tls *tls, const char *host, tt_error *error) {
  const tt_tls_options options = {.certificate_file = tls != NULL ? tls->certificate_file : NULL,
                                  .key_file = tls != NULL ? tls->key_file : NULL,
                                  .ca_file = tls != NULL ? tls->ca_file : NULL};
  SSL_CTX *context = new_context();
  if (context == NULL) {
    tt_fail(error, TT_ERR_MEMORY, "no memory for TLS with %.200s", host);
    return NULL;
  }
  if (read_files(context, &options, error) != TT_OK) {
    SSL_CTX_free(context);
    return NULL;
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  const char *name = tls != NULL && tls->server_name != NULL ? tls->server_name : host;
  if ((tls == NULL || !tls->takes_any_server_name) && !require_name(SSL_CTX_get0_param(context), name)) {
    SSL_CTX_free(context);
    ERR_clear_error();
    tt_fail(error, TT_ERR_ARGUMENT, "'%.200s' is no name that a certificate can have", name);
    return NULL;
  }
  return context;
}

void tt_tls_context_free(struct ssl_ctx_st *context) { SSL_CTX_free(context); }

static void explain_certificate(tt_tls_session *session, long verdict) {
  const char *words = X509_verify_cert_error_string(verdict);
  if (!session->is_client) {
    snprintf(session->why, sizeof session->why, "its certificate is not accepted: %s", words);
  } else if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    snprintf(session->why, sizeof session->why, "the server's certificate is made out to another name (%s)", words);
  } else {
    snprintf(session->why, sizeof session->why, "the server's certificate is not trusted: %s", words);
  }
}

static tt_io explain(tt_tls_session *session, int result) {
  int number = errno;
  switch (SSL_get_error(session->ssl, result)) {
  case SSL_ERROR_WANT_READ:
    return TT_IO_WANTS_READ;
  case SSL_ERROR_WANT_WRITE:
    return TT_IO_WANTS_WRITE;
  case SSL_ERROR_ZERO_RETURN:
    return TT_IO_END;
  case SSL_ERROR_SYSCALL:
    snprintf(session->why, sizeof session->why, "%s", number != 0 ? strerror(number) : "the connection broke");
    ERR_clear_error();
    return TT_IO_BROKEN;
  default:
    break;
  }
  long verdict = SSL_get_verify_result(session->ssl);
  int reason = ERR_GET_REASON(ERR_peek_last_error());
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
    explain_certificate(session, verdict);
    ERR_clear_error();
  } else if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    snprintf(session->why, sizeof session->why, "the other end hung up without a word");
    ERR_clear_error();
  } else if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST) {
    snprintf(session->why, sizeof session->why, "the other end does not speak TLS");
    ERR_clear_error();
  } else {
    snprintf(session->why, sizeof session->why, "TLS failed: %s", last_words());
  }
  return TT_IO_BROKEN;
}

/* errno and OpenSSL's queue tell of this call only when both were clean before it. */
static void begin(void) {
  ERR_clear_error();
  errno = 0;
}

tt_io tt_tls_shake(tt_tls_session *session) {
  begin();
  int result = SSL_do_handshake(session->ssl);
  if (result == 1) return TT_IO_DONE;
  tt_io io = explain(session, result);
  return io == TT_IO_END ? TT_IO_BROKEN : io;
}

tt_io tt_tls_read(tt_tls_session *session, uint8_t *bytes, size_t n_bytes, size_t *n_read) {
  begin();
  int result = SSL_read_ex(session->ssl, bytes, n_bytes, n_read);
  return result == 1 ? TT_IO_DONE : explain(session, result);
}

tt_io tt_tls_write(tt_tls_session *session, const uint8_t *bytes, size_t n_bytes, size_t *n_written) {
  begin();
  int result = SSL_write_ex(session->ssl, bytes, n_bytes, n_written);
  if (result == 1) return TT_IO_DONE;
  tt_io io = explain(session, result);
  return io == TT_IO_END ? TT_IO_BROKEN : io;
}

void tt_tls_finish(tt_tls_session *session) {
  begin();
  SSL_shutdown(session->ssl);
  ERR_clear_error();
}

const char *tt_tls_session_why(const tt_tls_session *session) { return session->why[0] != '\0' ? session->why : "TLS failed"; }

void tt_tls_session_free(tt_tls_session *session) {
  if (session == NULL) return;
  SSL_free(session->ssl);
  tt_free(session);
}
