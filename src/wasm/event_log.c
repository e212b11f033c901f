#include "wasm/event_log.h"

#include <string.h>

enum { CLASS_OBJECT, CLASS_COMMAND, CLASS_REST, NO_META = -2 };

void tt_event_log_init(tt_event_log *log) {
  *log = (tt_event_log){.n_kept = {0}};
  tt_buffer_init(&log->records);
}

void tt_event_log_release(tt_event_log *log) { tt_buffer_release(&log->records); }

void tt_event_log_clear(tt_event_log *log) {
  tt_buffer_clear(&log->records);
  memset(log->n_kept, 0, sizeof log->n_kept);
  memset(log->n_skipped, 0, sizeof log->n_skipped);
}

static int class_of(tt_event_type type) {
  if (type == TT_EVENT_OBJECT_ADDED || type == TT_EVENT_OBJECT_REMOVED) return CLASS_OBJECT;
  return type == TT_EVENT_COMMAND ? CLASS_COMMAND : CLASS_REST;
}

static bool is_empty(const tt_event_log *log) {
  if (log->n_kept[CLASS_OBJECT] + log->n_kept[CLASS_COMMAND] + log->n_kept[CLASS_REST] > 0) return false;
  for (int type = 0; type < TT_LOG_N_TYPES; type++) {
    if (log->n_skipped[type] > 0) return false;
  }
  return true;
}

/* The error as a reply to nobody: the wire's own JSON writer has no other form that holds just an error. */
static void write_error(tt_buffer *json, const tt_wire_error *error) {
  tt_control control = {.form = TT_CONTROL_ERROR, .request = 1, .error = *error};
  (void)tt_control_write(json, &control, NULL); /* without memory the event goes without its error */
}

bool tt_event_log_add(tt_event_log *log, const tt_event *event, uint32_t transport) {
  bool was_empty = is_empty(log);
  int class = class_of(event->type);
  if (log->n_kept[class] >= TT_LOG_MAX_KEPT) {
    log->n_skipped[event->type]++;
    return was_empty;
  }
  tt_buffer json;
  tt_buffer_init(&json);
  if (event->error != NULL) write_error(&json, event->error);
  const tt_meta *meta = event->meta;
  int n_dims = meta == NULL ? NO_META : meta->shape.n_dims;
  size_t peer_bytes = strlen(event->peer), text_bytes = strlen(event->text), n_ids = event->n_operands + event->n_results;
  tt_buffer *records = &log->records;
  size_t start = records->n_bytes;
  tt_buffer_u32(records, 0);
  tt_buffer_u8(records, (uint8_t)event->type);
  tt_buffer_u8(records, event->is_ours);
  tt_buffer_u8(records, meta == NULL ? 0 : (uint8_t)meta->dtype);
  tt_buffer_u8(records, (uint8_t)(int8_t)n_dims);
  tt_buffer_u32(records, transport);
  tt_buffer_u32(records, (uint32_t)event->n_operands);
  tt_buffer_u32(records, (uint32_t)event->n_results);
  tt_buffer_u32(records, (uint32_t)peer_bytes);
  tt_buffer_u32(records, (uint32_t)text_bytes);
  tt_buffer_u32(records, (uint32_t)json.n_bytes);
  tt_buffer_u64(records, event->object);
  for (int i = 0; i < n_dims; i++) tt_buffer_u64(records, (uint64_t)meta->shape.dims[i]);
  for (size_t i = 0; i < n_ids; i++) tt_buffer_u64(records, event->ids[i]);
  tt_buffer_append(records, event->peer, peer_bytes);
  tt_buffer_append(records, event->text, text_bytes);
  tt_buffer_append(records, json.bytes, json.n_bytes);
  tt_buffer_align(records, 8);
  tt_buffer_release(&json);
  if (records->failed) {
    /* What was there before is whole, up to `start`. */
    records->n_bytes = start;
    records->failed = false;
    log->n_skipped[event->type]++;
    return was_empty;
  }
  tt_store_u32(records->bytes + start, (uint32_t)(records->n_bytes - start));
  log->n_kept[class]++;
  return was_empty;
}
