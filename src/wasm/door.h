/* door: what the exported functions share: a worker with what JavaScript needs beside it, and the way from handles to what they stand for. */
#ifndef TT_WASM_DOOR_H
#define TT_WASM_DOOR_H

#include "chain/node.h"
#include "wasm/event_log.h"
#include "wasm/handles.h"
#include "worker/worker.h"

typedef struct tt_door {
  tt_worker *worker; /* owned */
  tt_handle handle;
  tt_peer *own; /* a page's own worker, where its tensors live; NULL elsewhere */
  tt_event_log log;
  tt_buffer shown; /* the records that JavaScript is reading */
} tt_door;

/* NULL: TT_ERR_STATE. */
tt_door *tt_door_get(tt_handle worker, tt_error *error);
/* The door of the worker whose hook it is. */
tt_door *tt_door_of_hook(const tt_hook *hook);
/* NULL: TT_ERR_STATE. */
tt_node *tt_door_head(tt_handle tensor, tt_error *error);
/* A handle for a head, whose reference it takes over; a NULL head is a failure that `error` tells already. Errors: TT_ERR_FULL. */
tt_status tt_door_give(tt_node *take_head, tt_handle *handle, tt_error *error);

#endif
