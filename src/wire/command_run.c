#include "wire/command_run.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"

/* 64-bit lists are copied, and where aligned used, as they lie in the payload. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire's numbers are read in place: little-endian machines only");

static void copy_words(void *to, const void *from, size_t n_words) {
  if (n_words != 0) memcpy(to, from, n_words * 8);
}

/* Writing: a record's size is known before its first byte, so it is in the run whole or not at all. */

static size_t value_bytes(const tt_value *value) {
  switch (value->type) {
  case TT_VALUE_OPERAND:
  case TT_VALUE_INT:
  case TT_VALUE_FLOAT:
    return 1 + 8;
  case TT_VALUE_OPERANDS:
  case TT_VALUE_INTS:
    return 1 + 4 + 8 * (size_t)value->n;
  case TT_VALUE_BOOL:
  case TT_VALUE_DTYPE:
    return 1 + 1;
  case TT_VALUE_STRING:
    return 1 + 4 + (size_t)value->n;
  case TT_VALUE_NONE:
  case TT_N_VALUE_TYPES:
    break;
  }
  return 1;
}

static uint8_t *store_value(uint8_t *at, const tt_value *value, tt_operand_id_fn *id_of) {
  *at++ = (uint8_t)value->type;
  switch (value->type) {
  case TT_VALUE_OPERAND:
    tt_store_u64(at, id_of(value->as.operand));
    return at + 8;
  case TT_VALUE_OPERANDS:
    tt_store_u32(at, value->n);
    at += 4;
    for (uint32_t i = 0; i < value->n; i++, at += 8) tt_store_u64(at, id_of(value->as.operands[i]));
    return at;
  case TT_VALUE_BOOL:
    *at = value->as.boolean;
    return at + 1;
  case TT_VALUE_INT:
    tt_store_u64(at, (uint64_t)value->as.integer);
    return at + 8;
  case TT_VALUE_FLOAT: {
    uint64_t bits;
    memcpy(&bits, &value->as.real, sizeof bits);
    tt_store_u64(at, bits);
    return at + 8;
  }
  case TT_VALUE_INTS:
    tt_store_u32(at, value->n);
    copy_words(at + 4, value->as.ints, value->n);
    return at + 4 + 8 * (size_t)value->n;
  case TT_VALUE_DTYPE:
    *at = (uint8_t)value->as.dtype;
    return at + 1;
  case TT_VALUE_STRING:
    tt_store_u32(at, value->n);
    if (value->n != 0) memcpy(at + 4, value->as.string, value->n);
    return at + 4 + value->n;
  case TT_VALUE_NONE:
  case TT_N_VALUE_TYPES:
    break;
  }
  return at;
}

enum { CALL_HEAD_BYTES = 6, MAX_FREED = 4096 /* in one record, so that a frame has room for several */ };

void tt_run_write_call(tt_buffer *run, uint8_t flags, uint16_t op, const tt_value *args, size_t n_args, tt_operand_id_fn *id_of,
                       const uint64_t *results, size_t n_results) {
  size_t n_bytes = CALL_HEAD_BYTES + 8 * n_results;
  for (size_t i = 0; i < n_args; i++) n_bytes += value_bytes(&args[i]);
  uint8_t *at = tt_buffer_extend(run, n_bytes);
  if (at == NULL) return;
  at[0] = TT_RECORD_CALL;
  at[1] = flags;
  tt_store_u16(at + 2, op);
  at[4] = (uint8_t)n_args;
  at[5] = (uint8_t)n_results;
  copy_words(at + CALL_HEAD_BYTES, results, n_results);
  at += CALL_HEAD_BYTES + 8 * n_results;
  for (size_t i = 0; i < n_args; i++) at = store_value(at, &args[i], id_of);
}

void tt_run_write_free(tt_buffer *run, const uint64_t *ids, size_t n_ids) {
  while (n_ids != 0) {
    const size_t n = n_ids < MAX_FREED ? n_ids : MAX_FREED;
    uint8_t *at = tt_buffer_extend(run, 4 + 8 * n);
    if (at == NULL) return;
    at[0] = TT_RECORD_FREE;
    at[1] = 0;
    tt_store_u16(at + 2, (uint16_t)n);
    copy_words(at + 4, ids, n);
    ids += n;
    n_ids -= n;
  }
}

bool tt_run_add_free(tt_buffer *run, size_t at, uint64_t id) {
  const uint16_t n = tt_load_u16(run->bytes + at + 2);
  if (at + 4 + 8 * (size_t)n != run->n_bytes || n >= MAX_FREED) return false;
  uint8_t *more = tt_buffer_extend(run, sizeof id);
  if (more == NULL) return true; /* the run is `failed`, as after any append */
  tt_store_u64(more, id);
  tt_store_u16(run->bytes + at + 2, n + 1);
  return true;
}

/* The records that are a kind, flags and 64-bit numbers. */
static uint8_t *write_numbers(tt_buffer *run, tt_record_kind kind, uint8_t flags, const uint64_t *numbers, size_t n_numbers,
                              size_t n_more_bytes) {
  uint8_t *at = tt_buffer_extend(run, 2 + 8 * n_numbers + n_more_bytes);
  if (at == NULL) return NULL;
  at[0] = (uint8_t)kind;
  at[1] = flags;
  copy_words(at + 2, numbers, n_numbers);
  return at + 2 + 8 * n_numbers;
}

void tt_run_write_fetch(tt_buffer *run, uint8_t flags, uint64_t request, uint64_t object) {
  write_numbers(run, TT_RECORD_FETCH, flags, (const uint64_t[]){request, object}, 2, 0);
}

/* The same, and a worker's id behind them. */
static void write_numbers_and_worker(tt_buffer *run, tt_record_kind kind, uint8_t flags, const uint64_t *numbers,
                                     size_t n_numbers, tt_name worker) {
  uint8_t *at = write_numbers(run, kind, flags, numbers, n_numbers, 1 + (size_t)worker.n_bytes);
  if (at == NULL) return;
  at[0] = worker.n_bytes;
  if (worker.n_bytes != 0) memcpy(at + 1, worker.bytes, worker.n_bytes);
}

void tt_run_write_send(tt_buffer *run, uint8_t flags, uint64_t request, uint64_t object, uint64_t object_there,
                       tt_name worker) {
  write_numbers_and_worker(run, TT_RECORD_SEND, flags, (const uint64_t[]){request, object, object_there}, 3, worker);
}

void tt_run_write_pull(tt_buffer *run, uint64_t request, uint64_t object) {
  write_numbers(run, TT_RECORD_PULL, 0, (const uint64_t[]){request, object}, 2, 0);
}

void tt_run_write_sync(tt_buffer *run, uint64_t request) {
  write_numbers(run, TT_RECORD_SYNC, 0, (const uint64_t[]){request}, 1, 0);
}

void tt_run_write_done(tt_buffer *run, uint64_t request) {
  write_numbers(run, TT_RECORD_DONE, 0, (const uint64_t[]){request}, 1, 0);
}

void tt_run_write_promise(tt_buffer *run, uint64_t object, tt_name from) {
  write_numbers_and_worker(run, TT_RECORD_PROMISE, 0, (const uint64_t[]){object}, 1, from);
}

void tt_run_write_assign(tt_buffer *run, uint64_t request, uint64_t object, tt_name to) {
  write_numbers_and_worker(run, TT_RECORD_ASSIGN, 0, (const uint64_t[]){request, object}, 2, to);
}

size_t tt_run_tensor_bytes(tt_name promised_by, size_t n_data_bytes) {
  return 2 + (promised_by.n_bytes != 0 ? 1 + (size_t)promised_by.n_bytes : 0) + 4 + n_data_bytes;
}

void tt_run_write_tensor(tt_buffer *run, tt_name promised_by, size_t n_data_bytes) {
  bool fulfils = promised_by.n_bytes != 0;
  uint8_t *at = tt_buffer_extend(run, tt_run_tensor_bytes(promised_by, 0));
  if (at == NULL) return;
  *at++ = TT_RECORD_TENSOR;
  *at++ = fulfils ? TT_TENSOR_FULFILS : 0;
  if (fulfils) {
    *at++ = promised_by.n_bytes;
    memcpy(at, promised_by.bytes, promised_by.n_bytes);
    at += promised_by.n_bytes;
  }
  tt_store_u32(at, (uint32_t)n_data_bytes);
}

enum { PLAN_HEAD_BYTES = 2 + 8 + 4 + 2 + 1, PERFORM_HEAD_BYTES = 2 + 8 + 2 + 1 };

void tt_run_write_plan(tt_buffer *run, uint64_t plan, uint32_t n_slots, size_t n_inputs, const uint64_t *outputs,
                       size_t n_outputs, const tt_buffer *body) {
  uint8_t *at = tt_buffer_extend(run, PLAN_HEAD_BYTES + 4 * n_outputs + 4 + body->n_bytes);
  if (at == NULL) return;
  at[0] = TT_RECORD_PLAN;
  at[1] = 0;
  tt_store_u64(at + 2, plan);
  tt_store_u32(at + 10, n_slots);
  tt_store_u16(at + 14, (uint16_t)n_inputs);
  at[16] = (uint8_t)n_outputs;
  at += PLAN_HEAD_BYTES;
  for (size_t i = 0; i < n_outputs; i++, at += 4) tt_store_u32(at, (uint32_t)outputs[i]);
  tt_store_u32(at, (uint32_t)body->n_bytes);
  if (body->n_bytes != 0) memcpy(at + 4, body->bytes, body->n_bytes);
}

void tt_run_write_forget(tt_buffer *run, uint64_t plan) { write_numbers(run, TT_RECORD_PLAN, TT_PLAN_FORGET, &plan, 1, 0); }

void tt_run_write_perform(tt_buffer *run, uint64_t plan, const uint64_t *inputs, size_t n_inputs, const uint64_t *outputs,
                          size_t n_outputs) {
  uint8_t *at = tt_buffer_extend(run, PERFORM_HEAD_BYTES + 8 * (n_inputs + n_outputs));
  if (at == NULL) return;
  at[0] = TT_RECORD_PERFORM;
  at[1] = 0;
  tt_store_u64(at + 2, plan);
  tt_store_u16(at + 10, (uint16_t)n_inputs);
  at[12] = (uint8_t)n_outputs;
  copy_words(at + PERFORM_HEAD_BYTES, inputs, n_inputs);
  copy_words(at + PERFORM_HEAD_BYTES + 8 * n_inputs, outputs, n_outputs);
}

/* Reading. */

static const char *kind_name(uint8_t kind) {
  static const char *const names[] = {
      [TT_RECORD_CALL] = "CALL",     [TT_RECORD_FREE] = "FREE",       [TT_RECORD_FETCH] = "FETCH",
      [TT_RECORD_SEND] = "SEND",     [TT_RECORD_PULL] = "PULL",       [TT_RECORD_SYNC] = "SYNC",
      [TT_RECORD_DONE] = "DONE",     [TT_RECORD_PROMISE] = "PROMISE", [TT_RECORD_ASSIGN] = "ASSIGN",
      [TT_RECORD_TENSOR] = "TENSOR", [TT_RECORD_PLAN] = "PLAN",       [TT_RECORD_PERFORM] = "PERFORM",
  };
  return kind < sizeof names / sizeof *names && names[kind] != NULL ? names[kind] : "of an unknown kind";
}

/* The reads that every record needs, here so that they are inlined: calls into base/buffer.c made a record six times as slow in WebAssembly. */
#define INLINED static inline __attribute__((always_inline))

INLINED const uint8_t *take(tt_reader *reader, size_t n_bytes) {
  if (reader->n_bytes - reader->position < n_bytes) {
    reader->failed = true;
    return NULL;
  }
  const uint8_t *at = reader->bytes + reader->position;
  reader->position += n_bytes;
  return at;
}

INLINED uint8_t take_u8(tt_reader *reader) {
  const uint8_t *at = take(reader, 1);
  return at == NULL ? 0 : *at;
}

INLINED uint64_t take_u64(tt_reader *reader) {
  uint64_t value = 0;
  const uint8_t *at = take(reader, sizeof value);
  if (at != NULL) memcpy(&value, at, sizeof value);
  return value;
}

INLINED uint16_t take_u16(tt_reader *reader) {
  uint16_t value = 0;
  const uint8_t *at = take(reader, sizeof value);
  if (at != NULL) memcpy(&value, at, sizeof value);
  return value;
}

/* Where the lists of the record being read go: the scratch from `n_used` on. */
typedef struct list_room {
  tt_run_reader *run;
  size_t n_used;
} list_room;

static tt_status fail_short(tt_error *error) {
  return tt_fail(error, TT_ERR_PROTOCOL, "it is cut short: the payload ends inside it");
}

/* n_words numbers of 64 bits at the reader's position, in place when they are aligned there. */
static tt_status read_words(list_room *room, size_t n_words, const uint64_t **words, tt_error *error) {
  tt_run_reader *run = room->run;
  const size_t left = tt_reader_left(&run->reader);
  if (n_words > left / 8) return fail_short(error);
  const uint8_t *bytes = take(&run->reader, n_words * 8);
  if (n_words == 0) {
    *words = run->operand_ids; /* nothing will be read there, but a list is not NULL */
    return TT_OK;
  }
  if ((uintptr_t)bytes % _Alignof(uint64_t) == 0) {
    /* Through void: the alignment that the cast asks for was just looked at. */
    *words = (const void *)bytes;
    return TT_OK;
  }
  /*
   * All the lists still to come in this payload have room behind those already read into the scratch, so that it is allocated at most
   * once in a run and never moves under a list that was answered.
   */
  if (run->scratch == NULL) {
    run->scratch = tt_realloc(NULL, left / 8 * sizeof *run->scratch);
    if (run->scratch == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for a list of %zu numbers", n_words);
  }
  uint64_t *copy = run->scratch + room->n_used;
  copy_words(copy, bytes, n_words);
  room->n_used += n_words;
  *words = copy;
  return TT_OK;
}

static tt_status check_ids(const uint64_t *ids, size_t n_ids, const char *what, tt_error *error) {
  for (size_t i = 0; i < n_ids; i++) {
    if (ids[i] == 0) return tt_fail(error, TT_ERR_PROTOCOL, "%s %zu is 0, which is no id", what, i);
  }
  return TT_OK;
}

static tt_status read_id(tt_reader *reader, const char *what, uint64_t *id, tt_error *error) {
  const uint64_t read = take_u64(reader);
  if (reader->failed) return fail_short(error);
  if (read == 0) return tt_fail(error, TT_ERR_PROTOCOL, "its %s is 0, which is no id", what);
  *id = read;
  return TT_OK;
}

static tt_status read_length(tt_reader *reader, uint32_t limit, const char *what, uint32_t *n, tt_error *error) {
  const uint32_t read = tt_read_u32(reader);
  if (reader->failed) return fail_short(error);
  if (read > limit)
    return tt_fail(error, TT_ERR_PROTOCOL, "it has %" PRIu32 " %s; at most %" PRIu32 " are allowed", read, what, limit);
  *n = read;
  return TT_OK;
}

static tt_status read_value(list_room *room, size_t index, tt_wire_value *read, tt_error *error) {
  tt_reader *reader = &room->run->reader;
  tt_value *value = &read->value;
  const uint8_t type = take_u8(reader);
  if (reader->failed) return fail_short(error);
  value->type = (tt_value_type)type;
  value->n = 0;
  read->ids = NULL;
  uint64_t bits;
  switch (type) {
  case TT_VALUE_NONE:
    return TT_OK;
  case TT_VALUE_OPERAND: {
    uint64_t *id = &room->run->operand_ids[index];
    value->as.operand = NULL;
    read->ids = id;
    return read_id(reader, "operand", id, error);
  }
  case TT_VALUE_OPERANDS:
    value->as.operands = NULL;
    TT_TRY(read_length(reader, TT_MAX_LIST_ITEMS, "operands", &value->n, error));
    TT_TRY(read_words(room, value->n, &read->ids, error));
    return check_ids(read->ids, value->n, "operand", error);
  case TT_VALUE_BOOL: {
    const uint8_t byte = take_u8(reader);
    if (byte > 1) return tt_fail(error, TT_ERR_PROTOCOL, "a bool is 0 or 1, not %d", byte);
    value->as.boolean = byte == 1;
    break;
  }
  case TT_VALUE_INT:
    value->as.integer = (int64_t)take_u64(reader);
    break;
  case TT_VALUE_FLOAT:
    bits = take_u64(reader);
    memcpy(&value->as.real, &bits, sizeof bits);
    break;
  case TT_VALUE_INTS: {
    const uint64_t *words;
    TT_TRY(read_length(reader, TT_MAX_LIST_ITEMS, "integers", &value->n, error));
    TT_TRY(read_words(room, value->n, &words, error));
    value->as.ints = (const int64_t *)words;
    return TT_OK;
  }
  case TT_VALUE_DTYPE: {
    const uint8_t dtype = take_u8(reader);
    if (dtype >= TT_N_DTYPES) return tt_fail(error, TT_ERR_PROTOCOL, "there is no dtype %d", dtype);
    value->as.dtype = (tt_dtype)dtype;
    break;
  }
  case TT_VALUE_STRING: {
    TT_TRY(read_length(reader, TT_MAX_STRING_BYTES, "bytes of text", &value->n, error));
    const char *text = (const char *)take(reader, value->n);
    if (text != NULL && !tt_utf8_is_valid(text, value->n))
      return tt_fail(error, TT_ERR_PROTOCOL, "its text is not valid UTF-8");
    value->as.string = text;
    break;
  }
  default:
    return tt_fail(error, TT_ERR_PROTOCOL, "there is no argument type %d", type);
  }
  return reader->failed ? fail_short(error) : TT_OK;
}

static tt_status check_n_results(const tt_record *record, tt_error *error) {
  if (record->n_results <= TT_MAX_RESULTS) return TT_OK;
  return tt_fail(error, TT_ERR_PROTOCOL, "it has %zu results; at most %d are allowed", record->n_results, TT_MAX_RESULTS);
}

static tt_status read_results(tt_reader *reader, tt_record *record, tt_error *error) {
  const uint8_t *results = take(reader, 8 * record->n_results);
  if (results == NULL) return fail_short(error);
  copy_words(record->results, results, record->n_results);
  return check_ids(record->results, record->n_results, "result", error);
}

static tt_status read_call(tt_run_reader *run, tt_record *record, tt_error *error) {
  tt_reader *reader = &run->reader;
  record->op = take_u16(reader);
  record->n_args = take_u8(reader);
  record->n_results = take_u8(reader);
  if (reader->failed) return fail_short(error);
  if (record->n_args > TT_MAX_PARAMS) {
    return tt_fail(error, TT_ERR_PROTOCOL, "it has %zu arguments; at most %d are allowed", record->n_args, TT_MAX_PARAMS);
  }
  TT_TRY(check_n_results(record, error));
  TT_TRY(read_results(reader, record, error));
  list_room room = {.run = run};
  for (size_t i = 0; i < record->n_args; i++) {
    const tt_status status = read_value(&room, i, &record->args[i], error);
    if (status != TT_OK) {
      tt_error_prefix(error, "argument %zu of op number %u", i, record->op);
      return status;
    }
  }
  return TT_OK;
}

static tt_status read_free(tt_run_reader *run, tt_record *record, tt_error *error) {
  list_room room = {.run = run};
  record->n_ids = tt_read_u16(&run->reader);
  if (run->reader.failed) return fail_short(error);
  TT_TRY(read_words(&room, record->n_ids, &record->ids, error));
  return check_ids(record->ids, record->n_ids, "id", error);
}

static tt_status read_send(tt_reader *reader, tt_record *record, tt_error *error) {
  TT_TRY(read_id(reader, "request", &record->request, error));
  TT_TRY(read_id(reader, "object", &record->object, error));
  TT_TRY(read_id(reader, "id there", &record->object_there, error));
  return tt_name_read(reader, &record->worker, error);
}

static tt_status read_tensor(tt_reader *reader, tt_record *record, tt_error *error) {
  record->worker = (tt_name){.bytes = ""};
  if (record->flags & TT_TENSOR_FULFILS) TT_TRY(tt_name_read(reader, &record->worker, error));
  record->n_data_bytes = tt_read_u32(reader);
  record->data = take(reader, record->n_data_bytes);
  return reader->failed ? fail_short(error) : TT_OK;
}

static tt_status read_plan(tt_reader *reader, tt_record *record, tt_error *error) {
  TT_TRY(read_id(reader, "plan", &record->object, error));
  if (record->flags & TT_PLAN_FORGET) return TT_OK;
  record->n_slots = tt_read_u32(reader);
  record->n_ids = tt_read_u16(reader);
  record->n_results = take_u8(reader);
  if (reader->failed) return fail_short(error);
  TT_TRY(check_n_results(record, error));
  for (size_t i = 0; i < record->n_results; i++) record->results[i] = tt_read_u32(reader);
  record->n_data_bytes = tt_read_u32(reader);
  record->data = take(reader, record->n_data_bytes);
  return reader->failed ? fail_short(error) : TT_OK;
}

static tt_status read_perform(tt_run_reader *run, tt_record *record, tt_error *error) {
  tt_reader *reader = &run->reader;
  TT_TRY(read_id(reader, "plan", &record->object, error));
  record->n_ids = tt_read_u16(reader);
  record->n_results = take_u8(reader);
  if (reader->failed) return fail_short(error);
  TT_TRY(check_n_results(record, error));
  list_room room = {.run = run};
  TT_TRY(read_words(&room, record->n_ids, &record->ids, error));
  TT_TRY(check_ids(record->ids, record->n_ids, "input", error));
  return read_results(reader, record, error);
}

static uint8_t known_flags(uint8_t kind) {
  return kind == TT_RECORD_CALL     ? TT_CALL_NO_GRAD
         : kind == TT_RECORD_PLAN   ? TT_PLAN_FORGET
         : kind == TT_RECORD_FETCH  ? TT_FETCH_TAKE | TT_FETCH_GRADIENTS
         : kind == TT_RECORD_SEND   ? TT_SEND_MOVE | TT_SEND_POINTER
         : kind == TT_RECORD_TENSOR ? TT_TENSOR_FULFILS
                                    : 0;
}

static tt_status read_record(tt_run_reader *run, tt_record *record, tt_error *error) {
  tt_reader *reader = &run->reader;
  const uint8_t kind = take_u8(reader);
  const uint8_t flags = take_u8(reader);
  if (reader->failed) return fail_short(error);
  record->kind = (tt_record_kind)kind;
  record->flags = flags;
  bool is_both = kind == TT_RECORD_SEND && flags == (TT_SEND_MOVE | TT_SEND_POINTER);
  if ((flags & ~known_flags(kind)) != 0 || is_both) {
    return tt_fail(error, TT_ERR_PROTOCOL, "it has the unknown flags 0x%02x", flags);
  }
  switch (kind) {
  case TT_RECORD_CALL:
    return read_call(run, record, error);
  case TT_RECORD_FREE:
    return read_free(run, record, error);
  case TT_RECORD_FETCH:
  case TT_RECORD_PULL:
    TT_TRY(read_id(reader, "request", &record->request, error));
    return read_id(reader, "object", &record->object, error);
  case TT_RECORD_SEND:
    return read_send(reader, record, error);
  case TT_RECORD_PROMISE:
    TT_TRY(read_id(reader, "object", &record->object, error));
    return tt_name_read(reader, &record->worker, error);
  case TT_RECORD_ASSIGN:
    TT_TRY(read_id(reader, "request", &record->request, error));
    TT_TRY(read_id(reader, "object", &record->object, error));
    return tt_name_read(reader, &record->worker, error);
  case TT_RECORD_SYNC:
  case TT_RECORD_DONE:
    return read_id(reader, "request", &record->request, error);
  case TT_RECORD_TENSOR:
    return read_tensor(reader, record, error);
  case TT_RECORD_PLAN:
    return read_plan(reader, record, error);
  case TT_RECORD_PERFORM:
    return read_perform(run, record, error);
  default:
    return tt_fail(error, TT_ERR_PROTOCOL, "there is no record kind %d", kind);
  }
}

void tt_run_reader_init(tt_run_reader *reader, const uint8_t *payload, size_t n_bytes) {
  *reader = (tt_run_reader){.reader = tt_reader_of(payload, n_bytes)};
}

void tt_run_reader_release(tt_run_reader *reader) {
  tt_free(reader->scratch);
  *reader = (tt_run_reader){.scratch = NULL};
}

tt_status tt_run_read(tt_run_reader *reader, tt_record *record, bool *at_end, tt_error *error) {
  const size_t start = reader->reader.position;
  if (start == reader->reader.n_bytes) {
    *at_end = true;
    return TT_OK;
  }
  reader->position = reader->n_read;
  const tt_status status = read_record(reader, record, error);
  if (status != TT_OK) {
    tt_error_prefix(error, "record %zu of a run (%s)", reader->position, kind_name(reader->reader.bytes[start]));
    reader->reader.position = start;
    reader->reader.failed = false;
    return status;
  }
  reader->n_read++;
  *at_end = false;
  return TT_OK;
}
