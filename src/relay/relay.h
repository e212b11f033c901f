/*
 * relay: carries frames between workers by their ids and never looks behind the prelude (wire/PROTOCOL.md, "Meeting").
 *
 * Who says HELLO is registered and told who is here; all hear who joins and who leaves. A frame for somebody is forwarded byte for byte
 * when its source is the id that its sender registered; otherwise its sender is told why not.
 *
 * Memory is bounded. When a destination has more than `max_queued_bytes` waiting, whoever sends to it is not read any more until
 * half of that is gone: so a destination holds at most that and one frame for each of its senders. A sender that is held back is held
 * back for all its destinations: the last resort, credits come before it. So that nobody can hold others back for long, a destination for which
 * somebody has waited `max_stall_ms` is dropped, and its senders go on. What the relay itself has to say to a full queue
 * (who joined, who left) is bounded too: beyond TT_RELAY_MAX_NOTICE_BYTES that connection is dropped, and the log says so.
 */
#ifndef TT_RELAY_RELAY_H
#define TT_RELAY_RELAY_H

#include <stddef.h>

#include "base/status.h"
#include "net/connection.h"
#include "net/loop.h"

enum {
  TT_RELAY_MAX_QUEUED_BYTES =
      6 << 20, /* the default: more than the credit (wire/PROTOCOL.md) of one sender, so that a worker alone is not held back */
  TT_RELAY_MAX_STALL_MS = 30000, /* the default */
  TT_RELAY_MAX_NOTICE_BYTES = 1024 * 1024,
};

typedef struct tt_relay tt_relay;

/* Owner: the caller, tt_relay_free, when no connection is left that has tt_relay_events. */
tt_status tt_relay_new(tt_loop *loop, size_t max_queued_bytes, int64_t max_stall_ms, tt_relay **relay, tt_error *error);
void tt_relay_free(tt_relay *relay);

/* The events of the relay's endpoint, whose `user` is the tt_relay and whose max_message_bytes is TT_MAX_FRAME_BYTES. */
extern const tt_connection_events tt_relay_events;

size_t tt_relay_n_workers(const tt_relay *relay);

/* The end is near: from here on nobody is told who leaves. To be called before the loop is freed; NULL is allowed. */
void tt_relay_stop(tt_relay *relay);

#endif
