/*
 * upgrade: the request that asks for a WebSocket (RFC 6455, section 4), when it is as every client writes it. All else is no case for this file: other
 * requests, and whatever is unusual or refused, the library reads anew and answers.
 */
#ifndef TT_NET_UPGRADE_H
#define TT_NET_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>

enum { TT_MAX_UPGRADE_VALUE_BYTES = 512, TT_UPGRADE_KEY_BYTES = 24, TT_MAX_UPGRADE_ANSWER_BYTES = 160 };

typedef struct tt_upgrade {
  char path[TT_MAX_UPGRADE_VALUE_BYTES]; /* without the query */
  char host[TT_MAX_UPGRADE_VALUE_BYTES];
  char origin[TT_MAX_UPGRADE_VALUE_BYTES]; /* "" when there is none */
  char key[TT_UPGRADE_KEY_BYTES + 1];
} tt_upgrade;

/* `head` is a request with the empty line at its end. False: it is not such a request. */
bool tt_upgrade_read(const char *head, size_t n_bytes, tt_upgrade *upgrade);

/* The answer that grants it, zero-terminated; its bytes without the zero, or 0 when it cannot be made. */
size_t tt_upgrade_write_answer(const tt_upgrade *upgrade, char answer[TT_MAX_UPGRADE_ANSWER_BYTES]);

#endif
