/* listener: a socket that listens, at a port or at a path of the file system, and what it accepts. Shared by net/'s servers; nobody else includes it. */
#ifndef TT_NET_LISTENER_H
#define TT_NET_LISTENER_H

#include <ev.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"
#include "net/address.h"
#include "net/loop.h"

typedef struct tt_listener {
  tt_loop *loop;
  int socket; /* -1: it does not listen */
  ev_io acceptable;
  ev_timer accept_again;
  void (*accepted)(void *user, int socket); /* takes the socket, which does not block */
  void *user;
  char host[TT_MAX_HOST_BYTES + 1]; /* the numeric address that is really bound; "" at a path */
  uint16_t port;
  char path[TT_MAX_SOCKET_PATH_BYTES + 1]; /* "" at a port */
  dev_t device;                            /* which file is ours, lest another's is removed */
  ino_t inode;
} tt_listener;

/* Begins to listen and to accept. Errors, with nothing to close: TT_ERR_ARGUMENT (the host), TT_ERR_SYSTEM (the port is taken ...). */
tt_status tt_listener_open_port(tt_listener *listener, tt_loop *loop, const char *host, uint16_t port,
                                void (*accepted)(void *user, int socket), void *user, tt_error *error);

/*
 * The same at a path. The file is for this user alone (mode 0600). One that is left of a process that has died is replaced.
 * Errors: TT_ERR_SYSTEM (somebody listens there, the folder is missing ...).
 */
tt_status tt_listener_open_path(tt_listener *listener, tt_loop *loop, const char *path,
                                void (*accepted)(void *user, int socket), void *user, tt_error *error);

/* May be repeated; removes the file. */
void tt_listener_close(tt_listener *listener);

enum { TT_MAX_PEER_ADDRESS_BYTES = 80 };

/* "127.0.0.1:54321": who is at the other end of a socket; "(unknown)" when that cannot be told. */
void tt_listener_peer_address(int socket, char *text, size_t n_bytes);

#endif
