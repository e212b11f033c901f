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
/* The same for all results of a call, into the scratch's results. On failure none is left. */
tt_status tt_door_give_all(tt_node **take_heads, size_t n, tt_error *error);
/* Exchanges the handles in the scratch's args, and in the lists behind them, for nodes. Errors: TT_ERR_STATE, TT_ERR_ARGUMENT. */
tt_status tt_door_resolve(uint32_t n_args, tt_error *error);
/* A call without operands from a page: its own worker makes the tensor, and the page has a pointer to it. Answers as tt_hook_call does. */
tt_status tt_door_call_at_own(tt_door *door, const tt_op *op, const tt_value *args, size_t n_args, tt_node **results,
                              size_t *n_results, tt_error *error);
/* The tensor of a local head, borrowed; NULL: TT_ERR_STATE. */
tt_tensor *tt_door_local(tt_handle tensor, tt_error *error);
/* Until tt_door_end_calls, calls on the door's hook are recorded for gradients as JavaScript says (torch.no_grad). Answers what that is to be given. */
bool tt_door_begin_calls(tt_door *door);
void tt_door_end_calls(tt_door *door, bool was_recording);

#endif
