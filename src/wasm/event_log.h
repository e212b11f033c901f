/*
 * event_log: a worker's events on their way to JavaScript, in batches.
 *
 * Events are appended as records and taken all at once. A batch holds at most TT_LOG_MAX_KEPT events about objects, as many about commands and as many of
 * the rest; beyond that they are counted and not kept: a page that shows 300,000 commands a second can show how many there were, not each.
 *
 * A record, little-endian, padded with zero bytes to a multiple of 8:
 *   u32 bytes of the whole record, u8 type, u8 is_ours, u8 dtype, i8 n_dims (-1 unknown, -2 no meta)
 *   u32 transport, u32 n_operands, u32 n_results, u32 peer bytes, u32 text bytes, u32 error bytes (JSON of PROTOCOL.md's ERROR as in a reply)
 *   u64 object, i64 dims[n_dims], u64 ids[n_operands + n_results], peer, text, error
 */
#ifndef TT_WASM_EVENT_LOG_H
#define TT_WASM_EVENT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "worker/worker.h"

enum { TT_LOG_MAX_KEPT = 256, TT_LOG_N_TYPES = TT_EVENT_REFUSED + 1 };

typedef struct tt_event_log {
  tt_buffer records;
  uint32_t n_kept[3];                 /* by class: objects, commands, the rest */
  uint32_t n_skipped[TT_LOG_N_TYPES]; /* by type */
} tt_event_log;

void tt_event_log_init(tt_event_log *log);
void tt_event_log_release(tt_event_log *log);
/* Appends or counts. `transport` is the number JavaScript knows the link by. True when this is the first since the log was taken. */
bool tt_event_log_add(tt_event_log *log, const tt_event *event, uint32_t transport);
/* Empties the log, keeping its memory: what was read is gone. */
void tt_event_log_clear(tt_event_log *log);

#endif
