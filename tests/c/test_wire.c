/*
 * wire: every codec against tests/fixtures/frames.json (which shares no code with them), against its own output, against an allocator that
 * fails at every point in turn, and against a few hundred thousand broken frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/utf8.h"
#include "ops/op.h"
#include "wire/command_run.h"
#include "wire/control.h"
#include "wire/prelude.h"
#include "wire/tensor_codec.h"

/* ---- the fixture ---- */

static cJSON *fixture;

static int load_fixture(void **state) {
  (void)state;
  FILE *file = fopen(TT_FIXTURES "/frames.json", "rb");
  if (file == NULL) return -1;
  fseek(file, 0, SEEK_END);
  const long n_bytes = ftell(file);
  rewind(file);
  char *text = malloc((size_t)n_bytes + 1);
  const size_t n_read = fread(text, 1, (size_t)n_bytes, file);
  fclose(file);
  text[n_read] = 0;
  fixture = cJSON_Parse(text);
  free(text);
  tt_error error;
  return fixture != NULL && tt_ops_init(&error) == TT_OK ? 0 : -1;
}

static int drop_fixture(void **state) {
  (void)state;
  cJSON_Delete(fixture);
  return 0;
}

static const cJSON *get(const cJSON *object, const char *name) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
  if (item == NULL) fail_msg("the fixture has no field %s", name);
  return item;
}

static const char *text_of(const cJSON *object, const char *name) { return get(object, name)->valuestring; }
static double number_of(const cJSON *object, const char *name) { return get(object, name)->valuedouble; }
static uint64_t id_text(const char *text) { return strtoull(text, NULL, 10); }
static uint64_t id_of_field(const cJSON *object, const char *name) { return id_text(text_of(object, name)); }

/* Bytes in a block of exactly their size, so that a read behind them is seen. The caller frees. */
typedef struct block {
  uint8_t *bytes;
  size_t n_bytes;
} block;

static block block_of(const uint8_t *bytes, size_t n_bytes) {
  block made = {.bytes = malloc(n_bytes), .n_bytes = n_bytes};
  if (n_bytes != 0) memcpy(made.bytes, bytes, n_bytes);
  return made;
}

static block from_hex(const char *hex) {
  const size_t n_bytes = strlen(hex) / 2;
  block made = {.bytes = malloc(n_bytes), .n_bytes = n_bytes};
  for (size_t i = 0; i < n_bytes; i++) {
    unsigned byte;
    sscanf(hex + 2 * i, "%2x", &byte);
    made.bytes[i] = (uint8_t)byte;
  }
  return made;
}

static uint8_t type_number(const char *name) {
  for (unsigned type = 0; type < 256; type++) {
    if (strcmp(tt_frame_type_name((uint8_t)type), name) == 0) return (uint8_t)type;
  }
  fail_msg("no frame type is called %s", name);
  return 0;
}

static void assert_name(tt_name name, const char *expected) {
  assert_int_equal(name.n_bytes, strlen(expected));
  assert_memory_equal(name.bytes, expected, name.n_bytes);
}

static void assert_bytes(const tt_buffer *written, const uint8_t *bytes, size_t n_bytes) {
  assert_false(written->failed);
  assert_int_equal(written->n_bytes, n_bytes);
  if (n_bytes != 0) assert_memory_equal(written->bytes, bytes, n_bytes);
}

/* ---- operands that know their id ---- */

typedef struct known_operand {
  tt_operand operand;
  uint64_t id;
} known_operand;

static uint64_t known_id(const tt_operand *operand) { return ((const known_operand *)operand)->id; }

/* Writes what a record says. */
static void rewrite(tt_buffer *run, const tt_record *record) {
  switch (record->kind) {
  case TT_RECORD_CALL: {
    size_t n_operands = 0;
    for (size_t i = 0; i < record->n_args; i++)
      n_operands += record->args[i].value.type == TT_VALUE_OPERAND ? 1 : record->args[i].value.n;
    known_operand *known = calloc(n_operands + 1, sizeof *known);
    tt_operand **operands = calloc(n_operands + 1, sizeof *operands);
    for (size_t i = 0; i < n_operands; i++) operands[i] = &known[i].operand;
    tt_value args[TT_MAX_PARAMS];
    size_t used = 0;
    for (size_t i = 0; i < record->n_args; i++) {
      args[i] = record->args[i].value;
      if (args[i].type == TT_VALUE_OPERAND) {
        assert_null(args[i].as.operand);
        known[used].id = record->args[i].ids[0];
        args[i].as.operand = operands[used++];
      } else if (args[i].type == TT_VALUE_OPERANDS) {
        for (size_t j = 0; j < args[i].n; j++) known[used + j].id = record->args[i].ids[j];
        args[i].as.operands = operands + used;
        used += args[i].n;
      }
    }
    tt_run_write_call(run, record->flags, record->op, args, record->n_args, known_id, record->results, record->n_results);
    free(known);
    free(operands);
    break;
  }
  case TT_RECORD_FREE:
    if (record->n_ids == 0) {
      tt_buffer_append(run, "\2\0\0\0", 4); /* a writer has nothing to say then */
    }
    tt_run_write_free(run, record->ids, record->n_ids);
    break;
  case TT_RECORD_FETCH:
    tt_run_write_fetch(run, record->flags, record->request, record->object);
    break;
  case TT_RECORD_SEND:
    tt_run_write_send(run, record->flags, record->request, record->object, record->object_there, record->worker);
    break;
  case TT_RECORD_PULL:
    tt_run_write_pull(run, record->request, record->object);
    break;
  case TT_RECORD_SYNC:
    tt_run_write_sync(run, record->request);
    break;
  case TT_RECORD_DONE:
    tt_run_write_done(run, record->request);
    break;
  case TT_RECORD_PROMISE:
    tt_run_write_promise(run, record->object, record->worker);
    break;
  case TT_RECORD_ASSIGN:
    tt_run_write_assign(run, record->request, record->object, record->worker);
    break;
  case TT_RECORD_TENSOR:
    tt_run_write_tensor(run, record->worker, record->n_data_bytes);
    tt_buffer_append(run, record->data, record->n_data_bytes);
    break;
  case TT_RECORD_PLAN: {
    const tt_buffer body = {.bytes = (uint8_t *)(uintptr_t)record->data, .n_bytes = record->n_data_bytes};
    if (record->flags & TT_PLAN_FORGET)
      tt_run_write_forget(run, record->object);
    else
      tt_run_write_plan(run, record->object, record->n_slots, record->n_ids, record->results, record->n_results, &body);
    break;
  }
  case TT_RECORD_PERFORM:
    tt_run_write_perform(run, record->object, record->ids, record->n_ids, record->results, record->n_results);
    break;
  }
}

/* ---- decoders of whole payloads: what the goldens, the bad ones and the broken ones go through ---- */

/* Reading succeeds only for bytes that the writer writes: no two payloads mean the same. */
static tt_status decode_run(const uint8_t *payload, size_t n_bytes, tt_error *error) {
  tt_run_reader reader;
  tt_run_reader_init(&reader, payload, n_bytes);
  tt_buffer again;
  tt_buffer_init(&again);
  tt_record record;
  memset(&record, 0xa5, sizeof record);
  bool at_end = false;
  tt_status status = TT_OK;
  size_t n_records = 0;
  while (status == TT_OK && !at_end) {
    status = tt_run_read(&reader, &record, &at_end, error);
    if (status != TT_OK || at_end) break;
    assert_int_equal(reader.position, n_records++);
    rewrite(&again, &record);
  }
  assert_int_equal(again.n_bytes, reader.reader.position);
  if (again.n_bytes > 4096 * 8) assert_true(n_records > 0);
  /* Lists of FREE beyond what one record is written with come back as several. */
  if (status == TT_OK && n_bytes <= 4096) assert_bytes(&again, payload, n_bytes);
  if (status != TT_OK) {
    tt_error second;
    assert_int_equal(tt_run_read(&reader, &record, &at_end, &second), status);
  }
  tt_run_reader_release(&reader);
  tt_buffer_release(&again);
  return status;
}

static bool holds_only(const void *at, size_t n_bytes, uint8_t byte) {
  const uint8_t *bytes = at;
  for (size_t i = 0; i < n_bytes; i++) {
    if (bytes[i] != byte) return false;
  }
  return true;
}

/* What has been read can be written, and what is then read is the same. */
static tt_status decode_control(const uint8_t *payload, size_t n_bytes, tt_buffer *written, tt_error *error) {
  tt_control control;
  memset(&control, 0xa5, sizeof control);
  const tt_status status = tt_control_read(payload, n_bytes, &control, error);
  if (status != TT_OK) {
    assert_true(holds_only(&control, sizeof control, 0xa5));
    return status;
  }
  tt_buffer second;
  tt_buffer_init(&second);
  tt_control again;
  tt_error own;
  assert_int_equal(tt_control_write(written, &control, &own), TT_OK);
  assert_int_equal(tt_control_read(written->bytes, written->n_bytes, &again, &own), TT_OK);
  assert_int_equal(tt_control_write(&second, &again, &own), TT_OK);
  assert_bytes(&second, written->bytes, written->n_bytes);
  tt_buffer_release(&second);
  tt_control_release(&again);
  tt_control_release(&control);
  return TT_OK;
}

static tt_status decode_hello(const uint8_t *payload, size_t n_bytes, tt_error *error) {
  tt_hello hello;
  memset(&hello, 0xa5, sizeof hello);
  const tt_status status = tt_hello_read(payload, n_bytes, &hello, error);
  if (status == TT_OK) {
    assert_int_equal(tt_worker_id_check(tt_name_of(hello.id), NULL), TT_OK);
    tt_hello_release(&hello);
  } else {
    assert_true(holds_only(&hello, sizeof hello, 0xa5));
  }
  return status;
}

static tt_status decode_metadata(const uint8_t *json, size_t n_bytes, tt_error *error) {
  tt_metadata metadata;
  memset(&metadata, 0xa5, sizeof metadata);
  const tt_status status = tt_metadata_read(json, n_bytes, &metadata, error);
  if (status != TT_OK) {
    assert_true(holds_only(&metadata, sizeof metadata, 0xa5));
    return status;
  }
  tt_buffer first, second;
  tt_buffer_init(&first);
  tt_buffer_init(&second);
  tt_metadata copy;
  tt_error own;
  assert_int_equal(tt_metadata_write(&first, &metadata, &own), TT_OK);
  assert_int_equal(tt_metadata_copy(&copy, &metadata, &own), TT_OK);
  assert_int_equal(tt_metadata_write(&second, &copy, &own), TT_OK);
  assert_bytes(&second, first.bytes, first.n_bytes);
  tt_buffer_release(&first);
  tt_buffer_release(&second);
  tt_metadata_release(&copy);
  tt_metadata_release(&metadata);
  return TT_OK;
}

enum { MAX_KEPT_BYTES = 1 << 16 };

static tt_status decode_data(const uint8_t *payload, size_t n_bytes, bool continues, tt_error *error) {
  tt_data_reader reader = {.tensor = NULL};
  if (continues) {
    /* Alone, any transfer may be the one that it continues. */
    reader = (tt_data_reader){.total_bytes = UINT64_MAX, .is_active = true};
    if (n_bytes >= 8) reader.transfer = tt_load_u64(payload);
    return tt_data_reader_continue(&reader, payload, n_bytes, error);
  }
  tt_data_header header;
  const uint8_t *elements;
  size_t n_element_bytes;
  tt_status status = tt_data_header_read(payload, n_bytes, &header, &elements, &n_element_bytes, error);
  if (status == TT_ERR_SHAPE) {
    assert_int_equal(tt_data_reader_begin(&reader, &header, false, elements, n_element_bytes, NULL), TT_OK);
    assert_null(tt_data_reader_take(&reader));
  }
  if (status != TT_OK) return status;
  tt_buffer again;
  tt_buffer_init(&again);
  tt_data_header_write(&again, &header);
  assert_int_equal(again.n_bytes, tt_data_header_bytes(&header));
  assert_bytes(&again, payload, n_bytes - n_element_bytes);
  tt_buffer_release(&again);
  TT_TRY(decode_metadata(header.metadata, header.metadata_bytes, error));
  status = tt_data_reader_begin(&reader, &header, header.total_bytes <= MAX_KEPT_BYTES, elements, n_element_bytes, error);
  tt_data_reader_release(&reader);
  return status;
}

static tt_status decode_names(const uint8_t *payload, size_t n_bytes, tt_error *error) {
  tt_reader reader = tt_reader_of(payload, n_bytes);
  tt_buffer again;
  tt_buffer_init(&again);
  tt_status status = TT_OK;
  while (status == TT_OK && tt_reader_left(&reader) != 0) {
    tt_name name;
    status = tt_name_read(&reader, &name, error);
    if (status == TT_OK) tt_name_write(&again, name);
  }
  if (status == TT_OK) assert_bytes(&again, payload, n_bytes);
  tt_buffer_release(&again);
  return status;
}

static tt_status decode_refusal(const uint8_t *payload, size_t n_bytes, tt_error *error) {
  tt_refusal refusal;
  TT_TRY(tt_refusal_read(payload, n_bytes, &refusal, error));
  assert_true(tt_utf8_is_valid(refusal.reason, refusal.reason_bytes));
  return TT_OK;
}

static tt_status decode_payload(uint8_t type, uint16_t flags, const uint8_t *payload, size_t n_bytes, tt_error *error) {
  tt_buffer written;
  tt_name name;
  tt_status status = TT_OK;
  switch (type) {
  case TT_FRAME_HELLO:
    return decode_hello(payload, n_bytes, error);
  case TT_FRAME_WELCOME:
    return decode_names(payload, n_bytes, error);
  case TT_FRAME_JOINED:
  case TT_FRAME_LEFT:
    return tt_name_read_alone(payload, n_bytes, &name, error);
  case TT_FRAME_REFUSED:
    return decode_refusal(payload, n_bytes, error);
  case TT_FRAME_RUN:
    return decode_run(payload, n_bytes, error);
  case TT_FRAME_DATA:
    return decode_data(payload, n_bytes, (flags & TT_FLAG_CONTINUES) != 0, error);
  case TT_FRAME_CONTROL:
    tt_buffer_init(&written);
    status = decode_control(payload, n_bytes, &written, error);
    tt_buffer_release(&written);
    return status;
  default:
    return TT_OK;
  }
}

static tt_status decode_frame(const uint8_t *frame, size_t n_bytes, tt_error *error) {
  tt_prelude prelude;
  const uint8_t *payload;
  size_t n_payload_bytes;
  memset(&prelude, 0xa5, sizeof prelude);
  const tt_status status = tt_prelude_read(frame, n_bytes, &prelude, &payload, &n_payload_bytes, error);
  if (status != TT_OK) {
    assert_true(holds_only(&prelude, sizeof prelude, 0xa5));
    return status;
  }
  tt_buffer again;
  tt_buffer_init(&again);
  tt_prelude_write(&again, &prelude, n_payload_bytes);
  assert_bytes(&again, frame, n_bytes - n_payload_bytes);
  tt_buffer_release(&again);
  size_t peeked = 0;
  assert_int_equal(tt_prelude_peek_length(frame, n_bytes, &peeked, NULL), TT_OK);
  assert_int_equal(peeked, n_bytes);
  return decode_payload(prelude.type, prelude.flags, payload, n_payload_bytes, error);
}

/* ---- the goldens ---- */

static void check_prelude(const tt_prelude *prelude, const cJSON *expected) {
  assert_int_equal(prelude->type, type_number(text_of(expected, "type")));
  assert_int_equal(prelude->flags, (int)number_of(expected, "flags"));
  assert_int_equal(prelude->length, (int)number_of(expected, "length"));
  assert_true(prelude->stream == (uint32_t)number_of(expected, "stream"));
  assert_true(prelude->sequence == id_of_field(expected, "sequence"));
  assert_true(prelude->acknowledgement == id_of_field(expected, "acknowledgement"));
  assert_true(prelude->credit == id_of_field(expected, "credit"));
  assert_name(prelude->source, text_of(expected, "source"));
  assert_name(prelude->destination, text_of(expected, "destination"));
}

static void check_ids(const uint64_t *ids, size_t n, const cJSON *expected) {
  assert_int_equal(n, cJSON_GetArraySize(expected));
  for (size_t i = 0; i < n; i++) assert_true(ids[i] == id_text(cJSON_GetArrayItem(expected, (int)i)->valuestring));
}

static void check_arg(const tt_wire_value *arg, const cJSON *expected) {
  static const char *const names[TT_N_VALUE_TYPES] = {"none",  "operand", "operands", "bool",  "int",
                                                      "float", "ints",    "dtype",    "string"};
  const tt_value *value = &arg->value;
  assert_string_equal(names[value->type], text_of(expected, "type"));
  switch (value->type) {
  case TT_VALUE_OPERAND:
    assert_true(arg->ids[0] == id_of_field(expected, "id"));
    break;
  case TT_VALUE_OPERANDS:
    assert_null(value->as.operands);
    check_ids(arg->ids, value->n, get(expected, "ids"));
    break;
  case TT_VALUE_BOOL:
    assert_int_equal(value->as.boolean, cJSON_IsTrue(get(expected, "value")));
    break;
  case TT_VALUE_INT:
    assert_true(value->as.integer == strtoll(text_of(expected, "value"), NULL, 10));
    break;
  case TT_VALUE_FLOAT: {
    const uint64_t bits = strtoull(text_of(expected, "bits"), NULL, 16);
    assert_memory_equal(&value->as.real, &bits, sizeof bits);
    break;
  }
  case TT_VALUE_INTS: {
    const cJSON *values = get(expected, "values");
    assert_int_equal(value->n, cJSON_GetArraySize(values));
    for (size_t i = 0; i < value->n; i++) {
      assert_true(value->as.ints[i] == strtoll(cJSON_GetArrayItem(values, (int)i)->valuestring, NULL, 10));
    }
    break;
  }
  case TT_VALUE_DTYPE:
    assert_string_equal(tt_dtype_name(value->as.dtype), text_of(expected, "value"));
    break;
  case TT_VALUE_STRING:
    assert_name((tt_name){.bytes = value->as.string, .n_bytes = (uint8_t)value->n}, text_of(expected, "value"));
    break;
  default:
    break;
  }
}

static void check_run(const uint8_t *payload, size_t n_bytes, const cJSON *expected);

static void check_plan(const tt_record *record, const cJSON *expected) {
  assert_true(record->object == id_of_field(expected, "plan"));
  if (record->kind == TT_RECORD_PERFORM) {
    check_ids(record->ids, record->n_ids, get(expected, "inputs"));
    check_ids(record->results, record->n_results, get(expected, "outputs"));
    return;
  }
  bool forgets = cJSON_IsTrue(cJSON_GetObjectItem(expected, "forget"));
  assert_int_equal(record->flags, forgets ? TT_PLAN_FORGET : 0);
  if (forgets) return;
  const cJSON *outputs = get(expected, "outputs");
  assert_int_equal(record->n_slots, (int)number_of(expected, "slots"));
  assert_int_equal(record->n_ids, (int)number_of(expected, "inputs"));
  assert_int_equal(record->n_results, cJSON_GetArraySize(outputs));
  for (size_t i = 0; i < record->n_results; i++)
    assert_int_equal(record->results[i], cJSON_GetArrayItem(outputs, (int)i)->valueint);
  check_run(record->data, record->n_data_bytes, expected);
}

static void check_record(const tt_record *record, const cJSON *expected) {
  static const char *const kinds[] = {"",     "CALL",    "FREE",   "FETCH",  "SEND", "PULL",   "SYNC",
                                      "DONE", "PROMISE", "ASSIGN", "TENSOR", "PLAN", "PERFORM"};
  assert_string_equal(kinds[record->kind], text_of(expected, "kind"));
  if (record->kind == TT_RECORD_CALL) {
    const cJSON *args = get(expected, "args");
    assert_int_equal(record->op, (int)number_of(expected, "op"));
    assert_int_equal(record->flags, cJSON_IsTrue(cJSON_GetObjectItem(expected, "no_grad")) ? TT_CALL_NO_GRAD : 0);
    check_ids(record->results, record->n_results, get(expected, "results"));
    assert_int_equal(record->n_args, cJSON_GetArraySize(args));
    for (size_t i = 0; i < record->n_args; i++) check_arg(&record->args[i], cJSON_GetArrayItem(args, (int)i));
    return;
  }
  if (record->kind == TT_RECORD_FREE) {
    check_ids(record->ids, record->n_ids, get(expected, "ids"));
    return;
  }
  if (record->kind == TT_RECORD_PLAN || record->kind == TT_RECORD_PERFORM) {
    check_plan(record, expected);
    return;
  }
  if (record->kind == TT_RECORD_TENSOR) {
    const block data = from_hex(text_of(expected, "data"));
    assert_name(record->worker, text_of(expected, "worker"));
    assert_int_equal(record->n_data_bytes, data.n_bytes);
    assert_memory_equal(record->data, data.bytes, data.n_bytes);
    free(data.bytes);
    return;
  }
  if (record->kind != TT_RECORD_PROMISE) assert_true(record->request == id_of_field(expected, "request"));
  if (record->kind == TT_RECORD_SYNC || record->kind == TT_RECORD_DONE) return;
  assert_true(record->object == id_of_field(expected, "object"));
  if (record->kind == TT_RECORD_FETCH) {
    int wanted = (cJSON_IsTrue(get(expected, "take")) ? TT_FETCH_TAKE : 0) |
                 (cJSON_IsTrue(cJSON_GetObjectItem(expected, "gradients")) ? TT_FETCH_GRADIENTS : 0);
    assert_int_equal(record->flags, wanted);
  }
  if (record->kind == TT_RECORD_FETCH || record->kind == TT_RECORD_PULL) return;
  if (record->kind == TT_RECORD_SEND) {
    assert_true(record->object_there == id_of_field(expected, "id_there"));
    assert_int_equal(record->flags, (int)number_of(expected, "flags"));
  }
  assert_name(record->worker, text_of(expected, "worker"));
}

static void check_run(const uint8_t *payload, size_t n_bytes, const cJSON *expected) {
  const cJSON *records = get(expected, "records");
  tt_run_reader reader;
  tt_run_reader_init(&reader, payload, n_bytes);
  tt_record record;
  tt_error error;
  bool at_end = false;
  const cJSON *item;
  cJSON_ArrayForEach(item, records) {
    assert_int_equal(tt_run_read(&reader, &record, &at_end, &error), TT_OK);
    assert_false(at_end);
    check_record(&record, item);
  }
  assert_int_equal(tt_run_read(&reader, &record, &at_end, &error), TT_OK);
  assert_true(at_end);
  tt_run_reader_release(&reader);
}

/* One transfer may take several goldens: its reader and its bytes go from one to the next. */
typedef struct transfer {
  tt_data_reader reader;
  tt_buffer sent;
} transfer;

static void check_data(const uint8_t *payload, size_t n_bytes, const cJSON *expected, transfer *under_way) {
  tt_error error;
  tt_data_reader *reader = &under_way->reader;
  const block sent = from_hex(text_of(expected, "elements"));
  tt_buffer_append(&under_way->sent, sent.bytes, sent.n_bytes);
  const uint64_t id = id_of_field(expected, "transfer");
  if (cJSON_IsTrue(get(expected, "continues"))) {
    assert_int_equal(tt_data_reader_continue(reader, payload, n_bytes, &error), TT_OK);
  } else {
    tt_data_header header;
    const uint8_t *elements;
    size_t n_element_bytes;
    assert_int_equal(tt_data_header_read(payload, n_bytes, &header, &elements, &n_element_bytes, &error), TT_OK);
    assert_true(header.object == id_of_field(expected, "object"));
    assert_true(header.total_bytes == id_of_field(expected, "total_bytes"));
    assert_string_equal(header.form == TT_DATA_TENSOR ? "tensor" : "pointer", text_of(expected, "form"));
    assert_string_equal(tt_dtype_name(header.meta.dtype), text_of(expected, "dtype"));
    const cJSON *dims = get(expected, "dims");
    assert_int_equal(header.meta.shape.n_dims, cJSON_IsNull(dims) ? TT_DIMS_UNKNOWN : cJSON_GetArraySize(dims));
    for (int i = 0; i < header.meta.shape.n_dims; i++) {
      assert_true(header.meta.shape.dims[i] == (int64_t)id_text(cJSON_GetArrayItem(dims, i)->valuestring));
    }
    const cJSON *gradients = cJSON_GetObjectItem(expected, "gradients");
    assert_int_equal((header.requires_grad ? 1 : 0) | (header.has_gradient ? 2 : 0),
                     gradients == NULL ? 0 : gradients->valueint);
    assert_int_equal(n_element_bytes, sent.n_bytes);
    if (sent.n_bytes != 0) assert_memory_equal(elements, sent.bytes, sent.n_bytes);

    tt_metadata metadata;
    tt_buffer json;
    tt_buffer_init(&json);
    assert_int_equal(tt_metadata_read(header.metadata, header.metadata_bytes, &metadata, &error), TT_OK);
    assert_int_equal(header.metadata_bytes == 0, cJSON_IsNull(get(expected, "metadata")));
    assert_int_equal(tt_metadata_write(&json, &metadata, &error), TT_OK);
    if (header.metadata_bytes != 0)
      assert_bytes(&json, header.metadata, header.metadata_bytes);
    else
      assert_true(tt_metadata_is_empty(&metadata));
    assert_int_equal(header.form == TT_DATA_POINTER, metadata.location != NULL);
    tt_buffer_release(&json);
    tt_metadata_release(&metadata);

    assert_int_equal(tt_data_reader_begin(reader, &header, true, elements, n_element_bytes, &error), TT_OK);
  }
  free(sent.bytes);
  assert_true(reader->transfer == id);
  if (!tt_data_reader_is_complete(reader)) return;
  const bool is_tensor = reader->tensor != NULL;
  tt_tensor *gradient = tt_data_reader_take_gradient(reader);
  tt_tensor *tensor = tt_data_reader_take(reader);
  if (gradient != NULL) {
    const size_t half = under_way->sent.n_bytes / 2;
    assert_memory_equal(tt_tensor_data(gradient), under_way->sent.bytes + half, half);
    under_way->sent.n_bytes = half;
  }
  tt_tensor_unref(gradient);
  if (is_tensor) {
    const size_t tensor_bytes = (size_t)tt_tensor_n_elements(tensor) * tt_dtype_bytes(tt_tensor_dtype(tensor));
    assert_bytes(&under_way->sent, tt_tensor_data(tensor), tensor_bytes);
  }
  tt_tensor_unref(tensor);
  tt_buffer_clear(&under_way->sent);
}

static void check_hello(const uint8_t *payload, size_t n_bytes, const cJSON *expected) {
  tt_hello hello;
  tt_error error;
  assert_int_equal(tt_hello_read(payload, n_bytes, &hello, &error), TT_OK);
  assert_int_equal(hello.protocol, (int)number_of(expected, "protocol"));
  assert_string_equal(hello.id, text_of(expected, "id"));
  assert_string_equal(hello.kind, text_of(expected, "kind"));
  assert_string_equal(hello.software, text_of(expected, "software"));
  const cJSON *ops = get(expected, "ops"), *names = get(ops, "names");
  assert_true(hello.ops_digest == strtoull(text_of(ops, "digest"), NULL, 16));
  assert_int_equal(hello.n_op_names, cJSON_GetArraySize(names));
  for (size_t i = 0; i < hello.n_op_names; i++)
    assert_string_equal(hello.op_names[i], cJSON_GetArrayItem(names, (int)i)->valuestring);
  tt_hello_release(&hello);
}

static void check_refusal(const uint8_t *payload, size_t n_bytes, const cJSON *expected) {
  tt_refusal refusal;
  tt_error error;
  assert_int_equal(tt_refusal_read(payload, n_bytes, &refusal, &error), TT_OK);
  assert_string_equal(tt_status_name(refusal.status), text_of(expected, "status"));
  assert_int_equal(refusal.refused_type, (int)number_of(expected, "refused"));
  assert_name(refusal.id, text_of(expected, "id"));
  const char *reason = text_of(expected, "reason");
  assert_int_equal(refusal.reason_bytes, strlen(reason));
  assert_memory_equal(refusal.reason, reason, refusal.reason_bytes);
  tt_buffer again;
  tt_buffer_init(&again);
  tt_refusal_write(&again, refusal.status, refusal.refused_type, refusal.id, reason);
  assert_bytes(&again, payload, n_bytes);
  tt_buffer_release(&again);
}

static void check_names(const uint8_t *payload, size_t n_bytes, const cJSON *names) {
  tt_reader reader = tt_reader_of(payload, n_bytes);
  const cJSON *item;
  cJSON_ArrayForEach(item, names) {
    tt_name name;
    assert_int_equal(tt_name_read(&reader, &name, NULL), TT_OK);
    assert_name(name, item->valuestring);
  }
  assert_int_equal(tt_reader_left(&reader), 0);
}

static void check_control(const uint8_t *payload, size_t n_bytes, const cJSON *golden) {
  tt_buffer written;
  tt_buffer_init(&written);
  tt_error error;
  assert_int_equal(decode_control(payload, n_bytes, &written, &error), TT_OK);
  const cJSON *other = cJSON_GetObjectItemCaseSensitive(golden, "written");
  if (other != NULL) {
    const block expected = from_hex(other->valuestring);
    assert_bytes(&written, expected.bytes, expected.n_bytes);
    free(expected.bytes);
  } else {
    assert_bytes(&written, payload, n_bytes);
  }
  tt_buffer_release(&written);
}

static void goldens_decode_as_they_say(void **state) {
  (void)state;
  transfer under_way = {.reader = {.tensor = NULL}};
  tt_buffer_init(&under_way.sent);
  size_t n_frames = 0;
  const cJSON *golden;
  cJSON_ArrayForEach(golden, get(fixture, "frames")) {
    print_message("  %s\n", text_of(golden, "name"));
    const block frame = from_hex(text_of(golden, "hex"));
    const cJSON *expected = get(golden, "payload");
    tt_prelude prelude;
    const uint8_t *payload;
    size_t n_bytes;
    tt_error error;
    assert_int_equal(tt_prelude_read(frame.bytes, frame.n_bytes, &prelude, &payload, &n_bytes, &error), TT_OK);
    check_prelude(&prelude, get(golden, "prelude"));
    switch (prelude.type) {
    case TT_FRAME_HELLO:
      check_hello(payload, n_bytes, get(expected, "json"));
      break;
    case TT_FRAME_WELCOME:
      check_names(payload, n_bytes, get(expected, "workers"));
      break;
    case TT_FRAME_JOINED:
    case TT_FRAME_LEFT: {
      tt_name name;
      assert_int_equal(tt_name_read_alone(payload, n_bytes, &name, &error), TT_OK);
      assert_name(name, text_of(expected, "worker"));
      break;
    }
    case TT_FRAME_REFUSED:
      check_refusal(payload, n_bytes, expected);
      break;
    case TT_FRAME_RUN:
      check_run(payload, n_bytes, expected);
      break;
    case TT_FRAME_DATA:
      check_data(payload, n_bytes, expected, &under_way);
      break;
    case TT_FRAME_CONTROL:
      check_control(payload, n_bytes, golden);
      break;
    default:
      assert_int_equal(n_bytes, 0);
    }
    /* And the same bytes come out again: preludes, runs and data headers in there. */
    assert_int_equal(decode_frame(frame.bytes, frame.n_bytes, &error), TT_OK);
    free(frame.bytes);
    n_frames++;
  }
  assert_true(n_frames > 80);
  assert_false(under_way.reader.is_active);
  tt_buffer_release(&under_way.sent);
}

static void bad_frames_are_refused(void **state) {
  (void)state;
  size_t n_frames = 0;
  const cJSON *bad;
  cJSON_ArrayForEach(bad, get(fixture, "bad")) {
    const block frame = from_hex(text_of(bad, "hex"));
    tt_error error = {.status = TT_OK};
    const tt_status status = decode_frame(frame.bytes, frame.n_bytes, &error);
    if (strcmp(tt_status_name(status), text_of(bad, "status")) != 0) {
      fail_msg("%s: %s, not %s", text_of(bad, "name"), tt_status_name(status), text_of(bad, "status"));
    }
    assert_int_equal(error.status, status);
    assert_true(strlen(error.message) > 10);
    assert_true(tt_utf8_is_valid(error.message, strlen(error.message)));
    /* Nobody has to ask for the sentence. */
    assert_int_equal(decode_frame(frame.bytes, frame.n_bytes, NULL), status);
    free(frame.bytes);
    n_frames++;
  }
  assert_true(n_frames > 300);
}

/* ---- preludes ---- */

static void prelude_is_patched_when_it_leaves(void **state) {
  (void)state;
  tt_buffer frame;
  tt_buffer_init(&frame);
  const tt_prelude written = {.type = TT_FRAME_RUN, .source = tt_name_of("alice"), .destination = tt_name_of("bo")};
  tt_prelude_write(&frame, &written, 0);
  assert_int_equal(frame.n_bytes, tt_prelude_bytes(5, 2));
  assert_int_equal(frame.n_bytes, 48);
  tt_run_write_sync(&frame, 7);
  tt_prelude_patch(frame.bytes, (uint32_t)frame.n_bytes, 3, 4, 5, 6);
  tt_prelude read;
  const uint8_t *payload;
  size_t n_bytes;
  assert_int_equal(tt_prelude_read(frame.bytes, frame.n_bytes, &read, &payload, &n_bytes, NULL), TT_OK);
  assert_int_equal(read.stream, 3);
  assert_int_equal(read.sequence, 4);
  assert_int_equal(read.acknowledgement, 5);
  assert_int_equal(read.credit, 6);
  assert_true(tt_name_equal(read.source, written.source));
  assert_false(tt_name_equal(read.source, read.destination));
  assert_false(tt_name_equal(read.source, tt_name_of("alicf")));
  assert_ptr_equal(payload, frame.bytes + 48);
  assert_int_equal(n_bytes, 10);
  tt_buffer_release(&frame);
}

static void frames_end_at_the_limit(void **state) {
  (void)state;
  tt_buffer frame;
  tt_buffer_init(&frame);
  const tt_prelude written = {.type = TT_FRAME_RUN, .source = tt_name_of("a"), .sequence = 1};
  for (size_t n_bytes = TT_MAX_FRAME_BYTES; n_bytes <= TT_MAX_FRAME_BYTES + 1; n_bytes++) {
    tt_buffer_clear(&frame);
    tt_prelude_write(&frame, &written, n_bytes - 48);
    tt_buffer_zeros(&frame, n_bytes - 48);
    tt_prelude read;
    const uint8_t *payload;
    size_t n_payload_bytes, length = 17;
    tt_error error;
    const tt_status wanted = n_bytes > TT_MAX_FRAME_BYTES ? TT_ERR_PROTOCOL : TT_OK;
    assert_int_equal(tt_prelude_read(frame.bytes, frame.n_bytes, &read, &payload, &n_payload_bytes, &error), wanted);
    assert_int_equal(tt_prelude_peek_length(frame.bytes, 12, &length, &error), wanted);
    assert_int_equal(length, wanted == TT_OK ? n_bytes : 17);
    if (wanted != TT_OK) assert_non_null(strstr(error.message, "262145"));
  }
  tt_buffer_release(&frame);
}

static void length_needs_12_bytes(void **state) {
  (void)state;
  const block frame = from_hex(text_of(cJSON_GetArrayItem(get(fixture, "frames"), 0), "hex"));
  for (size_t n = 0; n < 12; n++) {
    const block piece = block_of(frame.bytes, n);
    size_t length = 17;
    assert_int_equal(tt_prelude_peek_length(piece.bytes, piece.n_bytes, &length, NULL), TT_OK);
    assert_int_equal(length, 0);
    free(piece.bytes);
  }
  size_t length = 0;
  assert_int_equal(tt_prelude_peek_length(frame.bytes, 12, &length, NULL), TT_OK);
  assert_int_equal(length, frame.n_bytes);
  frame.bytes[2] = 9;
  tt_error error;
  assert_int_equal(tt_prelude_peek_length(frame.bytes, 12, &length, &error), TT_ERR_VERSION);
  assert_non_null(strstr(error.message, "version 9"));
  free(frame.bytes);
}

static void worker_ids_are_checked(void **state) {
  (void)state;
  static const struct {
    const char *id, *message; /* NULL: it is one */
  } rows[] = {
      {"2", NULL},
      {"花子 & co", NULL},
      {"", "empty"},
      {"a\tb", "U+0009 at position 1, after \"a\""},
      {"caf\xc3", "0xc3 at position 3, after \"caf\""},
      {"0123456789012345678901234567890123456789012345678901234567890123", NULL},
      {"0123456789012345678901234567890123456789012345678901234567890123x", "has 65 bytes"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tt_error error;
    const tt_status status = tt_worker_id_check(tt_name_of(rows[i].id), &error);
    assert_int_equal(status, rows[i].message == NULL ? TT_OK : TT_ERR_ARGUMENT);
    if (rows[i].message != NULL) assert_non_null(strstr(error.message, rows[i].message));
  }
  char long_id[1000];
  memset(long_id, 'x', sizeof long_id - 1);
  long_id[sizeof long_id - 1] = 0;
  tt_error error;
  assert_int_equal(tt_name_of(long_id).n_bytes, 255);
  assert_int_equal(tt_worker_id_check(tt_name_of(long_id), &error), TT_ERR_ARGUMENT);
  assert_non_null(strstr(error.message, "at least 255"));
}

static void types_have_names(void **state) {
  (void)state;
  assert_string_equal(tt_frame_type_name(TT_FRAME_CREDIT), "CREDIT");
  assert_string_equal(tt_frame_type_name(0), "unknown");
  assert_string_equal(tt_frame_type_name(0x0f), "unknown");
  assert_string_equal(tt_frame_type_name(0xff), "unknown");
}

/* ---- runs ---- */

static void lists_end_at_the_limit(void **state) {
  (void)state;
  static int64_t ints[TT_MAX_LIST_ITEMS + 1];
  static char text[TT_MAX_STRING_BYTES + 1];
  memset(text, 'x', sizeof text);
  for (size_t i = 0; i < TT_MAX_LIST_ITEMS + 1; i++) ints[i] = (int64_t)i - 5;
  for (uint32_t n = TT_MAX_LIST_ITEMS; n <= TT_MAX_LIST_ITEMS + 1; n++) {
    const tt_value args[] = {tt_ints(ints, n), {.type = TT_VALUE_STRING, .n = n, .as.string = text}};
    for (size_t i = 0; i < 2; i++) {
      tt_buffer run;
      tt_buffer_init(&run);
      tt_run_write_call(&run, 0, 1, &args[i], 1, known_id, (const uint64_t[]){9}, 1);
      const block payload = block_of(run.bytes, run.n_bytes);
      tt_run_reader reader;
      tt_run_reader_init(&reader, payload.bytes, payload.n_bytes);
      tt_record record;
      tt_error error;
      bool at_end;
      const tt_status status = tt_run_read(&reader, &record, &at_end, &error);
      assert_int_equal(status, n > TT_MAX_LIST_ITEMS ? TT_ERR_PROTOCOL : TT_OK);
      if (status != TT_OK)
        assert_non_null(strstr(error.message, "4097"));
      else if (i == 0)
        assert_memory_equal(record.args[0].value.as.ints, ints, n * sizeof *ints);
      else
        assert_memory_equal(record.args[0].value.as.string, text, n);
      tt_run_reader_release(&reader);
      tt_buffer_release(&run);
      free(payload.bytes);
    }
  }
}

static void lists_of_one_record_do_not_move_each_other(void **state) {
  (void)state;
  tt_buffer run;
  tt_buffer_init(&run);
  tt_buffer_u8(&run, 0); /* so that what comes is aligned nowhere */
  int64_t ints[300];
  for (int i = 0; i < 300; i++) ints[i] = -i;
  for (uint32_t record = 0; record < 50; record++) {
    tt_value args[TT_MAX_PARAMS];
    for (uint32_t i = 0; i < TT_MAX_PARAMS; i++) args[i] = tt_ints(ints + i, (record * 7 + i * 5) % 280);
    tt_run_write_call(&run, 0, (uint16_t)record, args, TT_MAX_PARAMS, known_id, NULL, 0);
  }
  tt_run_reader reader;
  tt_run_reader_init(&reader, run.bytes + 1, run.n_bytes - 1);
  tt_record read;
  bool at_end;
  for (uint32_t record = 0; record < 50; record++) {
    assert_int_equal(tt_run_read(&reader, &read, &at_end, NULL), TT_OK);
    assert_false(at_end);
    for (uint32_t i = 0; i < TT_MAX_PARAMS; i++) {
      const uint32_t n = (record * 7 + i * 5) % 280;
      assert_int_equal(read.args[i].value.n, n);
      assert_non_null(read.args[i].value.as.ints);
      if (n != 0) assert_memory_equal(read.args[i].value.as.ints, ints + i, n * sizeof *ints);
    }
  }
  tt_run_reader_release(&reader);
  tt_buffer_release(&run);
}

static void many_are_freed_in_several_records(void **state) {
  (void)state;
  enum { N = 10000 };
  uint64_t *ids = calloc(N, sizeof *ids);
  for (uint64_t i = 0; i < N; i++) ids[i] = i + 1;
  tt_buffer run;
  tt_buffer_init(&run);
  tt_run_write_free(&run, ids, N);
  tt_run_write_free(&run, ids, 0);
  tt_run_reader reader;
  tt_run_reader_init(&reader, run.bytes, run.n_bytes);
  tt_record record;
  bool at_end = false;
  size_t n_records = 0, n_ids = 0;
  for (;;) {
    assert_int_equal(tt_run_read(&reader, &record, &at_end, NULL), TT_OK);
    if (at_end) break;
    for (size_t i = 0; i < record.n_ids; i++) assert_int_equal(record.ids[i], ++n_ids);
    n_records++;
  }
  assert_int_equal(n_ids, N);
  assert_int_equal(n_records, 3);
  tt_run_reader_release(&reader);
  tt_buffer_release(&run);
  free(ids);
}

static void frees_one_after_the_other_share_a_record(void **state) {
  (void)state;
  tt_buffer run;
  tt_buffer_init(&run);
  tt_buffer_u8(&run, 0); /* what stands before it is not its own */
  tt_run_write_free(&run, (const uint64_t[]){7}, 1);
  assert_true(tt_run_add_free(&run, 1, 8));
  size_t n_bytes = run.n_bytes;
  assert_int_equal(n_bytes, 1 + 4 + 2 * 8);
  assert_int_equal(tt_load_u16(run.bytes + 1 + 2), 2);
  assert_int_equal(tt_load_u64(run.bytes + 1 + 4 + 8), 8);
  tt_run_write_sync(&run, 1);
  assert_false(tt_run_add_free(&run, 1, 9)); /* something stands behind it */
  run.n_bytes = n_bytes;
  for (uint64_t n = 2; n < 4096; n++) assert_true(tt_run_add_free(&run, 1, n));
  assert_false(tt_run_add_free(&run, 1, 9)); /* full */
  tt_buffer_release(&run);
}

static void errors_of_a_run_say_where(void **state) {
  (void)state;
  tt_buffer run;
  tt_buffer_init(&run);
  tt_run_write_sync(&run, 1);
  tt_run_write_sync(&run, 2);
  tt_run_write_call(&run, 0, 77, (const tt_value[]){tt_bool(true), tt_none()}, 2, known_id, (const uint64_t[]){3}, 1);
  run.bytes[run.n_bytes - 1] = 42;
  tt_run_reader reader;
  tt_run_reader_init(&reader, run.bytes, run.n_bytes);
  tt_record record;
  tt_error error;
  bool at_end;
  assert_int_equal(tt_run_read(&reader, &record, &at_end, &error), TT_OK);
  assert_int_equal(tt_run_read(&reader, &record, &at_end, &error), TT_OK);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(tt_run_read(&reader, &record, &at_end, &error), TT_ERR_PROTOCOL);
    assert_string_equal(error.message, "record 2 of a run (CALL): argument 1 of op number 77: there is no argument type 42");
    assert_int_equal(reader.position, 2);
  }
  tt_run_reader_release(&reader);
  tt_buffer_release(&run);
}

/* ---- tensors ---- */

static tt_data_header header_of(tt_dtype dtype, int64_t n, uint64_t transfer_id) {
  const tt_data_header header = {.transfer = transfer_id,
                                 .object = 6,
                                 .meta = {.dtype = dtype, .shape = {.n_dims = 1, .dims = {n}}},
                                 .total_bytes = (uint64_t)n * tt_dtype_bytes(dtype)};
  return header;
}

static void transfers_do_not_interleave(void **state) {
  (void)state;
  tt_data_reader reader = {.tensor = NULL};
  tt_error error;
  const tt_data_header header = header_of(TT_DTYPE_I32, 4, 5), other = header_of(TT_DTYPE_I32, 4, 50);
  const uint8_t more[] = {5, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  assert_int_equal(tt_data_reader_continue(&reader, more, sizeof more, &error), TT_ERR_PROTOCOL);
  assert_int_equal(tt_data_reader_begin(&reader, &header, true, (const uint8_t *)"abcdefgh", 8, &error), TT_OK);
  assert_int_equal(tt_data_reader_begin(&reader, &other, true, NULL, 0, &error), TT_ERR_STATE);
  assert_non_null(strstr(error.message, "transfer 50 begins while transfer 5 has 8 bytes to come"));
  uint8_t foreign[16] = {6};
  assert_int_equal(tt_data_reader_continue(&reader, foreign, sizeof foreign, &error), TT_ERR_PROTOCOL);
  assert_int_equal(tt_data_reader_continue(&reader, more, 17, &error), TT_ERR_PROTOCOL);
  assert_int_equal(tt_data_reader_continue(&reader, more, 8, &error), TT_ERR_PROTOCOL);
  assert_int_equal(tt_data_reader_continue(&reader, more, 13, &error), TT_OK);
  assert_false(tt_data_reader_is_complete(&reader));
  assert_int_equal(tt_data_reader_continue(&reader, (const uint8_t[]){5, 0, 0, 0, 0, 0, 0, 0, 6, 7, 8}, 11, &error), TT_OK);
  assert_true(tt_data_reader_is_complete(&reader));
  assert_int_equal(tt_data_reader_continue(&reader, more, 9, &error), TT_ERR_PROTOCOL);
  tt_tensor *tensor = tt_data_reader_take(&reader);
  assert_memory_equal(tt_tensor_data(tensor), "abcdefgh\1\2\3\4\5\6\7\10", 16);
  tt_tensor_unref(tensor);
  assert_false(reader.is_active);
  assert_int_equal(tt_data_reader_begin(&reader, &other, true, NULL, 0, &error), TT_OK);
  tt_data_reader_release(&reader);
  tt_data_reader_release(&reader);
}

static void skipped_transfers_take_no_memory(void **state) {
  (void)state;
  tt_data_reader reader = {.tensor = NULL};
  const tt_data_header header = header_of(TT_DTYPE_F64, TT_MAX_ELEMENTS, 5);
  tt_alloc_fail_after(0);
  assert_int_equal(tt_data_reader_begin(&reader, &header, false, NULL, 0, NULL), TT_OK);
  assert_int_equal(tt_data_reader_continue(&reader, (const uint8_t *)"\5\0\0\0\0\0\0\0abc", 11, NULL), TT_OK);
  tt_alloc_fail_after(-1);
  assert_int_equal(reader.n_bytes, 3);
  assert_null(tt_data_reader_take(&reader));
}

static void bools_are_0_or_1_in_every_part(void **state) {
  (void)state;
  tt_data_reader reader = {.tensor = NULL};
  tt_error error;
  const tt_data_header header = header_of(TT_DTYPE_BOOL, 3, 5);
  assert_int_equal(tt_data_reader_begin(&reader, &header, true, (const uint8_t *)"\2", 1, &error), TT_ERR_PROTOCOL);
  assert_false(reader.is_active);
  assert_int_equal(tt_data_reader_begin(&reader, &header, true, (const uint8_t *)"\1", 1, &error), TT_OK);
  assert_int_equal(tt_data_reader_continue(&reader, (const uint8_t *)"\5\0\0\0\0\0\0\0\1\xff", 10, &error), TT_ERR_PROTOCOL);
  assert_int_equal(reader.n_bytes, 1);
  assert_int_equal(tt_data_reader_continue(&reader, (const uint8_t *)"\5\0\0\0\0\0\0\0\1\0", 10, &error), TT_OK);
  assert_true(tt_data_reader_is_complete(&reader));
  tt_data_reader_release(&reader);
}

/* ---- control ---- */

static void hello_tells_the_table(void **state) {
  (void)state;
  tt_buffer json;
  tt_buffer_init(&json);
  tt_error error;
  tt_hello hello;
  assert_int_equal(tt_hello_write(&json, "bob", "native", &error), TT_OK);
  assert_int_equal(tt_hello_read(json.bytes, json.n_bytes, &hello, &error), TT_OK);
  assert_int_equal(hello.protocol, TT_PROTOCOL_VERSION);
  assert_string_equal(hello.id, "bob");
  assert_string_equal(hello.kind, "native");
  assert_string_equal(hello.software, tt_software());
  assert_true(strncmp(tt_software(), "tabtensor ", 10) == 0);
  assert_true(hello.ops_digest == tt_ops_digest());
  assert_int_equal(hello.n_op_names, TT_N_OPS);
  for (size_t i = 0; i < hello.n_op_names; i++) assert_string_equal(hello.op_names[i], tt_op_get((unsigned)i + 1)->name);
  tt_hello_release(&hello);
  tt_hello_release(&hello);
  const size_t before = json.n_bytes;
  assert_int_equal(tt_hello_write(&json, "", "native", &error), TT_ERR_ARGUMENT);
  assert_int_equal(json.n_bytes, before);
  tt_buffer_release(&json);
}

static void failures_are_read_field_by_field(void **state) {
  (void)state;
  static const char text[] =
      "{\"failure\":{\"code\":\"shape\",\"message\":\"m\",\"worker\":\"bob\",\"op\":\"add\",\"command\":12,"
      "\"shapes\":[\"[2, 3]\",\"[4]\"],\"failure\":\"9001\"},\"results\":[\"17\",\"18446744073709551615\"]}";
  tt_control control;
  assert_int_equal(tt_control_read((const uint8_t *)text, strlen(text), &control, NULL), TT_OK);
  assert_int_equal(control.form, TT_CONTROL_FAILURE);
  assert_int_equal(control.error.error.status, TT_ERR_SHAPE);
  assert_string_equal(control.error.error.message, "m");
  assert_string_equal(control.error.worker, "bob");
  assert_string_equal(control.error.op, "add");
  assert_int_equal(control.error.command, 12);
  assert_string_equal(control.error.shapes, "[2, 3] [4]");
  assert_int_equal(control.error.failure, 9001);
  assert_int_equal(control.n_results, 2);
  assert_true(control.results[1] == UINT64_MAX);
  tt_control_release(&control);
  tt_control_release(&control);
}

static void errors_that_are_too_long_are_cut(void **state) {
  (void)state;
  tt_buffer json;
  tt_buffer_init(&json);
  tt_buffer_printf(&json, "{\"reply\":\"1\",\"error\":{\"code\":\"full\",\"message\":\"");
  for (int i = 0; i < 1000; i++) tt_buffer_printf(&json, "€");
  tt_buffer_printf(&json, "\",\"op\":\"");
  for (int i = 0; i < 30; i++) tt_buffer_printf(&json, "é");
  tt_buffer_printf(&json, "\",\"shapes\":[");
  for (int i = 0; i < 100; i++) tt_buffer_printf(&json, "%s\"[%d, 1000000]\"", i == 0 ? "" : ",", i);
  tt_buffer_printf(&json, "]}}");
  tt_control control;
  assert_int_equal(tt_control_read(json.bytes, json.n_bytes, &control, NULL), TT_OK);
  const char *message = control.error.error.message;
  assert_int_equal(strlen(message), 510); /* 170 of three bytes */
  assert_true(tt_utf8_is_valid(message, strlen(message)));
  assert_int_equal(strlen(control.error.op), 46);
  assert_true(tt_utf8_is_valid(control.error.op, 46));
  const char *shapes = control.error.shapes;
  assert_true(strlen(shapes) > 230 && shapes[strlen(shapes) - 1] == ']');
  tt_control_release(&control);
  tt_buffer_release(&json);
}

static void text_that_is_none_still_arrives(void **state) {
  (void)state;
  tt_control control = {.form = TT_CONTROL_ERROR, .request = 1, .error = {.command = -1}};
  tt_fail(&control.error.error, TT_ERR_SYSTEM, "a\xff\xc3 b \"\\\n\x01");
  tt_buffer json;
  tt_buffer_init(&json);
  assert_int_equal(tt_control_write(&json, &control, NULL), TT_OK);
  assert_string_equal(
      tt_buffer_string(&json),
      "{\"reply\":\"1\",\"error\":{\"code\":\"system\",\"message\":\"a\xef\xbf\xbd\xef\xbf\xbd b \\\"\\\\\\n\\u0001\"}}");
  tt_buffer_release(&json);
}

static void writers_refuse_what_readers_would(void **state) {
  (void)state;
  char long_text[TT_MAX_DESCRIPTION_BYTES + 2];
  memset(long_text, 'x', sizeof long_text - 1);
  long_text[sizeof long_text - 1] = 0;
  char bad_text[] = "caf\xe9", empty[] = "", tag[] = "t", *many[TT_MAX_TAGS + 1], *bad[] = {bad_text}, *large[] = {long_text};
  for (size_t i = 0; i < TT_MAX_TAGS + 1; i++) many[i] = tag;
  const tt_metadata refused[] = {
      {.tags = many, .n_tags = TT_MAX_TAGS + 1},
      {.tags = bad, .n_tags = 1},
      {.tags = large, .n_tags = 1},
      {.description = long_text},
      {.description = bad_text},
      {.location = empty, .location_id = 5},
      {.location = tag},
  };
  tt_buffer json;
  tt_buffer_init(&json);
  tt_error error;
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    assert_int_equal(tt_metadata_write(&json, &refused[i], &error), TT_ERR_ARGUMENT);
    assert_int_equal(json.n_bytes, 0);
  }
  tt_listed listed = {.id = 5, .owner = tag, .metadata = refused[1]};
  const tt_control controls[] = {
      {.form = TT_CONTROL_QUERY, .query = TT_QUERY_LIST},
      {.form = TT_CONTROL_QUERY, .request = 1, .query = TT_QUERY_SHAPE},
      {.form = TT_CONTROL_QUERY, .request = 1, .query = TT_QUERY_SEARCH, .terms = many, .n_terms = TT_MAX_TAGS + 1},
      {.form = TT_CONTROL_QUERY, .request = 1, .query = TT_QUERY_CONFIGURE, .object = 5, .metadata = refused[3]},
      {.form = TT_CONTROL_QUERY,
       .request = 1,
       .query = TT_QUERY_CONFIGURE,
       .object = 5,
       .metadata = {.location = tag, .location_id = 5}},
      {.form = TT_CONTROL_ANSWER, .request = 1, .has_objects = true, .objects = &listed, .n_listed = 1},
      {.form = TT_CONTROL_ANSWER, .request = 1, .has_whoami = true, .has_objects = true},
      {.form = TT_CONTROL_ERROR, .request = 1},
      {.form = TT_CONTROL_FAILURE},
  };
  for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
    assert_int_equal(tt_control_write(&json, &controls[i], &error), TT_ERR_ARGUMENT);
    assert_int_equal(json.n_bytes, 0);
  }
  tt_buffer_release(&json);
}

static void a_shape_that_is_not_known_is_null(void **state) {
  (void)state;
  char owner[] = "bob";
  tt_listed listed = {.id = 5,
                      .owner = owner,
                      .meta = {.dtype = TT_DTYPE_I64, .shape = {.n_dims = TT_DIMS_UNKNOWN}},
                      .metadata = {.has_policy = true}};
  const tt_control answer = {.form = TT_CONTROL_ANSWER, .request = 1, .has_objects = true, .objects = &listed, .n_listed = 1};
  tt_buffer json;
  tt_buffer_init(&json);
  assert_int_equal(tt_control_write(&json, &answer, NULL), TT_OK);
  assert_non_null(strstr(tt_buffer_string(&json), "\"shape\":null"));
  tt_control read;
  assert_int_equal(tt_control_read(json.bytes, json.n_bytes, &read, NULL), TT_OK);
  assert_int_equal(read.n_listed, 1);
  assert_int_equal(read.objects[0].meta.dtype, TT_DTYPE_I64);
  assert_int_equal(read.objects[0].meta.shape.n_dims, TT_DIMS_UNKNOWN);
  tt_control_release(&read);
  tt_buffer_release(&json);
}

static void long_answers_go_in_parts(void **state) {
  (void)state;
  enum { N_OBJECTS = 4000, N_REPEATS = 40000, PART_BYTES = 65536 };
  char owner[] = "alice", tag[] = "a \"tag\"", *tags[] = {tag};
  tt_control answer = {.form = TT_CONTROL_ANSWER, .request = 17, .has_objects = true, .n_listed = N_OBJECTS};
  answer.objects = calloc(N_OBJECTS, sizeof *answer.objects);
  for (size_t i = 0; i < N_OBJECTS; i++) {
    answer.objects[i] = (tt_listed){.id = i + 1,
                                    .meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = 1, .dims = {(int64_t)i}}},
                                    .owner = owner,
                                    .metadata = {.tags = tags, .n_tags = 1, .has_policy = true}};
  }
  tt_buffer text;
  tt_buffer_init(&text);
  for (int i = 0; i < N_REPEATS; i++) tt_buffer_printf(&text, "€\n%d", i);
  answer.text = text.bytes == NULL ? NULL : malloc(text.n_bytes + 1);
  memcpy(answer.text, tt_buffer_string(&text), text.n_bytes + 1);

  tt_control whole = {.form = TT_CONTROL_ANSWER};
  tt_control_position position = {.object = 0};
  bool is_last = false;
  size_t n_parts = 0;
  tt_error error;
  while (!is_last) {
    tt_buffer json;
    tt_buffer_init(&json);
    tt_buffer_append(&json, "already here", 12);
    assert_int_equal(tt_control_write_part(&json, &answer, PART_BYTES, &position, &is_last, &error), TT_OK);
    assert_true(json.n_bytes <= 12 + PART_BYTES);
    tt_control part;
    assert_int_equal(tt_control_read(json.bytes + 12, json.n_bytes - 12, &part, &error), TT_OK);
    assert_int_equal(part.request, 17);
    assert_int_equal(part.has_more, !is_last);
    assert_int_equal(tt_control_join(&whole, &part, &error), TT_OK);
    tt_control_release(&part);
    tt_buffer_release(&json);
    n_parts++;
  }
  assert_true(n_parts > 10 && n_parts < 60);
  assert_false(whole.has_more);
  assert_string_equal(whole.text, answer.text);
  assert_int_equal(whole.n_listed, N_OBJECTS);
  for (size_t i = 0; i < N_OBJECTS; i++) {
    assert_int_equal(whole.objects[i].id, i + 1);
    assert_string_equal(whole.objects[i].metadata.tags[0], tag);
  }
  tt_control_release(&whole);
  tt_buffer_release(&text);
  free(answer.text);
  free(answer.objects);
}

static void policies_and_queries_have_names(void **state) {
  (void)state;
  tt_policy policy = TT_POLICY_OPEN;
  assert_true(tt_policy_from_name("compute", &policy));
  assert_int_equal(policy, TT_POLICY_COMPUTE);
  assert_false(tt_policy_from_name("", &policy));
  assert_string_equal(tt_policy_name(TT_POLICY_CLOSED), "closed");
  assert_string_equal(tt_query_name(TT_QUERY_CONFIGURE), "configure");
}

/* ---- without memory ---- */

/* Each frame is decoded again and again, with the first, the second, ... allocation failing, until none is left to fail. */
static void decoders_survive_every_failed_allocation(void **state) {
  (void)state;
  size_t n_failures = 0;
  const cJSON *golden;
  cJSON_ArrayForEach(golden, get(fixture, "frames")) {
    const block frame = from_hex(text_of(golden, "hex"));
    tt_prelude prelude;
    const uint8_t *payload;
    size_t n_bytes;
    assert_int_equal(tt_prelude_read(frame.bytes, frame.n_bytes, &prelude, &payload, &n_bytes, NULL), TT_OK);
    for (long n = 0;; n++) {
      tt_status status = TT_OK;
      tt_error error;
      tt_data_header header;
      const uint8_t *elements;
      size_t n_element_bytes;
      if (prelude.type == TT_FRAME_RUN) {
        tt_run_reader reader;
        tt_record record;
        bool at_end = false;
        tt_run_reader_init(&reader, payload, n_bytes);
        tt_alloc_fail_after(n);
        while (status == TT_OK && !at_end) status = tt_run_read(&reader, &record, &at_end, &error);
        /* What has failed for want of memory may be tried again. */
        while (status == TT_ERR_MEMORY && !at_end) assert_int_equal(tt_run_read(&reader, &record, &at_end, NULL), TT_OK);
        tt_run_reader_release(&reader);
      } else if (prelude.type == TT_FRAME_CONTROL) {
        tt_control control;
        memset(&control, 0xa5, sizeof control);
        tt_alloc_fail_after(n);
        status = tt_control_read(payload, n_bytes, &control, &error);
        if (status == TT_OK)
          tt_control_release(&control);
        else
          assert_true(holds_only(&control, sizeof control, 0xa5));
      } else if (prelude.type == TT_FRAME_HELLO) {
        tt_hello hello;
        memset(&hello, 0xa5, sizeof hello);
        tt_alloc_fail_after(n);
        status = tt_hello_read(payload, n_bytes, &hello, &error);
        if (status == TT_OK)
          tt_hello_release(&hello);
        else
          assert_true(holds_only(&hello, sizeof hello, 0xa5));
      } else if (prelude.type == TT_FRAME_DATA && (prelude.flags & TT_FLAG_CONTINUES) == 0) {
        tt_metadata metadata = {.tags = NULL}, copy = {.tags = NULL};
        tt_data_reader reader = {.tensor = NULL};
        assert_int_equal(tt_data_header_read(payload, n_bytes, &header, &elements, &n_element_bytes, &error), TT_OK);
        tt_alloc_fail_after(n);
        status = tt_metadata_read(header.metadata, header.metadata_bytes, &metadata, &error);
        if (status == TT_OK) status = tt_metadata_copy(&copy, &metadata, &error);
        if (status == TT_OK) status = tt_data_reader_begin(&reader, &header, true, elements, n_element_bytes, &error);
        assert_int_equal(reader.is_active, status == TT_OK);
        tt_data_reader_release(&reader);
        tt_metadata_release(&metadata);
        tt_metadata_release(&copy);
      }
      tt_alloc_fail_after(-1);
      if (status == TT_OK) break;
      assert_int_equal(status, TT_ERR_MEMORY);
      assert_int_equal(error.status, TT_ERR_MEMORY);
      n_failures++;
    }
    free(frame.bytes);
  }
  assert_true(n_failures > 300);
}

static void writers_survive_failed_allocations(void **state) {
  (void)state;
  const cJSON *golden;
  cJSON_ArrayForEach(golden, get(fixture, "frames")) {
    if (strcmp(text_of(get(golden, "prelude"), "type"), "CONTROL") != 0) continue;
    const block frame = from_hex(text_of(golden, "hex"));
    tt_prelude prelude;
    const uint8_t *payload;
    size_t n_bytes;
    assert_int_equal(tt_prelude_read(frame.bytes, frame.n_bytes, &prelude, &payload, &n_bytes, NULL), TT_OK);
    tt_control control;
    assert_int_equal(tt_control_read(payload, n_bytes, &control, NULL), TT_OK);
    for (long n = 0;; n++) {
      tt_buffer json;
      tt_buffer_init(&json);
      tt_buffer_append(&json, "x", 1);
      tt_alloc_fail_after(n);
      const tt_status status = tt_control_write(&json, &control, NULL);
      tt_alloc_fail_after(-1);
      assert_int_equal(json.failed, status != TT_OK);
      if (status != TT_OK) {
        assert_int_equal(status, TT_ERR_MEMORY);
        assert_int_equal(json.n_bytes, 1);
      }
      tt_buffer_release(&json);
      if (status == TT_OK) break;
    }
    tt_control_release(&control);
    free(frame.bytes);
  }
  tt_buffer run;
  tt_buffer_init(&run);
  tt_alloc_fail_after(0);
  tt_run_write_call(&run, 0, 1, (const tt_value[]){tt_int(5)}, 1, known_id, (const uint64_t[]){9}, 1);
  tt_alloc_fail_after(-1);
  assert_true(run.failed);
  assert_int_equal(run.n_bytes, 0);
  tt_buffer_release(&run);
}

static void joining_survives_failed_allocations(void **state) {
  (void)state;
  for (long n = 0;; n++) {
    tt_control whole = {.form = TT_CONTROL_ANSWER, .has_more = true}, part = {.form = TT_CONTROL_ANSWER, .has_objects = true};
    whole.text = tt_strdup("one ");
    part.text = tt_strdup("two");
    part.objects = tt_alloc(1, sizeof *part.objects);
    part.objects[0] = (tt_listed){.id = 5, .owner = tt_strdup("bob")};
    part.n_listed = 1;
    tt_alloc_fail_after(n);
    const tt_status status = tt_control_join(&whole, &part, NULL);
    tt_alloc_fail_after(-1);
    assert_string_equal(whole.text, status == TT_OK ? "one two" : "one ");
    assert_int_equal(whole.n_listed, status == TT_OK ? 1 : 0);
    assert_int_equal(whole.has_more, status != TT_OK);
    assert_int_equal(part.n_listed, status == TT_OK ? 0 : 1);
    tt_control_release(&whole);
    tt_control_release(&part);
    if (status == TT_OK) {
      assert_true(n > 1);
      break;
    }
  }
}

/* ---- broken frames ---- */

static uint64_t dice_state;

/* xorshift64*: the same frames in every run. */
static uint64_t dice(void) {
  dice_state ^= dice_state >> 12;
  dice_state ^= dice_state << 25;
  dice_state ^= dice_state >> 27;
  return dice_state * UINT64_C(0x2545f4914f6cdd1d);
}

static size_t dice_below(size_t n) { return n == 0 ? 0 : (size_t)(dice() % n); }

enum { MAX_MUTANT_BYTES = 16384 };

/* One change to the n bytes at `bytes`, which have room for MAX_MUTANT_BYTES. Answers the new size. */
static size_t mutate(uint8_t *bytes, size_t n_bytes, const block *other) {
  static const uint64_t numbers[] = {0,          1,
                                     2,          8,
                                     9,          12,
                                     13,         64,
                                     65,         127,
                                     128,        255,
                                     256,        4096,
                                     4097,       65535,
                                     0x7fffffff, 0x80000000,
                                     0xffffffff, UINT64_C(1) << 48,
                                     INT64_MAX,  UINT64_C(1) << 63,
                                     UINT64_MAX};
  static const char json_bytes[] = "{}[]\",:\\u0019-e.ntf \x7f\xc3";
  const size_t at = dice_below(n_bytes);
  switch (dice_below(9)) {
  case 0: /* a bit */
    if (n_bytes != 0) bytes[at] ^= (uint8_t)(1u << dice_below(8));
    return n_bytes;
  case 1: /* a byte */
    if (n_bytes != 0) bytes[at] = (uint8_t)dice();
    return n_bytes;
  case 2: { /* a number of 1, 2, 4 or 8 bytes */
    const size_t width = (size_t)1 << dice_below(4);
    uint8_t number[8];
    tt_store_u64(number, numbers[dice_below(sizeof numbers / sizeof *numbers)]);
    if (n_bytes >= width) memcpy(bytes + dice_below(n_bytes - width + 1), number, width);
    return n_bytes;
  }
  case 3: /* cut at the end */
    return at;
  case 4: { /* cut out of the middle */
    const size_t n_cut = dice_below(n_bytes - at);
    memmove(bytes + at, bytes + at + n_cut, n_bytes - at - n_cut);
    return n_bytes - n_cut;
  }
  case 5: { /* doubled */
    const size_t n_more = dice_below(n_bytes - at);
    if (n_bytes + n_more > MAX_MUTANT_BYTES) return n_bytes;
    memmove(bytes + at + n_more, bytes + at, n_bytes - at);
    return n_bytes + n_more;
  }
  case 6: /* the end of another frame */
    if (other->n_bytes != 0 && at + other->n_bytes <= MAX_MUTANT_BYTES) {
      const size_t from = dice_below(other->n_bytes);
      memcpy(bytes + at, other->bytes + from, other->n_bytes - from);
      return at + other->n_bytes - from;
    }
    return n_bytes;
  case 7: /* a byte that means something to JSON */
    if (n_bytes != 0) bytes[at] = (uint8_t)json_bytes[dice_below(sizeof json_bytes - 1)];
    return n_bytes;
  default: /* one more byte */
    if (n_bytes < MAX_MUTANT_BYTES) bytes[n_bytes++] = (uint8_t)dice();
    return n_bytes;
  }
}

static void broken_frames_harm_nobody(void **state) {
  (void)state;
  enum { N_MUTANTS = 250000, N_TYPES = 10 };
  static const uint8_t types[N_TYPES] = {TT_FRAME_HELLO,   TT_FRAME_WELCOME, TT_FRAME_JOINED, TT_FRAME_LEFT,
                                         TT_FRAME_REFUSED, TT_FRAME_GOODBYE, TT_FRAME_RUN,    TT_FRAME_DATA,
                                         TT_FRAME_CONTROL, TT_FRAME_CREDIT};
  const cJSON *lists[2] = {get(fixture, "frames"), get(fixture, "bad")};
  const size_t n_blocks = (size_t)(cJSON_GetArraySize(lists[0]) + cJSON_GetArraySize(lists[1]));
  const size_t n_good = (size_t)cJSON_GetArraySize(lists[0]);
  block *blocks = calloc(n_blocks, sizeof *blocks);
  size_t n = 0;
  for (int i = 0; i < 2; i++) {
    const cJSON *item;
    cJSON_ArrayForEach(item, lists[i]) blocks[n++] = from_hex(text_of(item, "hex"));
  }
  dice_state = UINT64_C(0x7461627465736f72);
  size_t n_accepted = 0, n_refused = 0;
  static uint8_t mutant[2 * MAX_MUTANT_BYTES];
  for (size_t i = 0; i < N_MUTANTS; i++) {
    const block *from = &blocks[dice_below(4) == 0 ? dice_below(n_blocks) : dice_below(n_good)];
    size_t n_bytes = from->n_bytes;
    memcpy(mutant, from->bytes, n_bytes);
    /* Half of them keep their prelude, so that the change is in what stands behind it. */
    const bool keeps_prelude = n_bytes > 48 && dice_below(2) == 0;
    const size_t kept = keeps_prelude ? tt_prelude_bytes(mutant[6], mutant[7]) : 0;
    const size_t skipped = kept <= n_bytes ? kept : 0;
    for (size_t n_changes = 1 + dice_below(4); n_changes > 0; n_changes--) {
      n_bytes = skipped + mutate(mutant + skipped, n_bytes - skipped, &blocks[dice_below(n_blocks)]);
    }
    if (n_bytes >= 12 && dice_below(4) != 0) tt_store_u32(mutant + 8, (uint32_t)n_bytes);
    const block frame = block_of(mutant, n_bytes);
    tt_error error = {.status = TT_OK};
    tt_status status = decode_frame(frame.bytes, frame.n_bytes, &error);
    if (status != TT_OK && n_bytes > 48) {
      /* What the prelude has kept from the payload's decoders, they get all the same. */
      assert_int_equal(error.status, status);
      assert_true(error.message[0] != 0 && tt_utf8_is_valid(error.message, strlen(error.message)));
      status = decode_payload(types[dice_below(N_TYPES)], (uint16_t)dice_below(2), frame.bytes + 48, n_bytes - 48, &error);
    }
    if (status == TT_OK) {
      n_accepted++;
    } else {
      assert_true(status == TT_ERR_PROTOCOL || status == TT_ERR_VERSION || status == TT_ERR_SHAPE);
      assert_int_equal(error.status, status);
      assert_true(error.message[0] != 0 && tt_utf8_is_valid(error.message, strlen(error.message)));
      n_refused++;
    }
    free(frame.bytes);
  }
  print_message("  %zu accepted, %zu refused\n", n_accepted, n_refused);
  assert_true(n_accepted > N_MUTANTS / 50);
  assert_true(n_refused > N_MUTANTS / 4);
  for (size_t i = 0; i < n_blocks; i++) free(blocks[i].bytes);
  free(blocks);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(goldens_decode_as_they_say),
      cmocka_unit_test(bad_frames_are_refused),
      cmocka_unit_test(prelude_is_patched_when_it_leaves),
      cmocka_unit_test(frames_end_at_the_limit),
      cmocka_unit_test(length_needs_12_bytes),
      cmocka_unit_test(worker_ids_are_checked),
      cmocka_unit_test(types_have_names),
      cmocka_unit_test(lists_end_at_the_limit),
      cmocka_unit_test(lists_of_one_record_do_not_move_each_other),
      cmocka_unit_test(many_are_freed_in_several_records),
      cmocka_unit_test(frees_one_after_the_other_share_a_record),
      cmocka_unit_test(errors_of_a_run_say_where),
      cmocka_unit_test(transfers_do_not_interleave),
      cmocka_unit_test(skipped_transfers_take_no_memory),
      cmocka_unit_test(bools_are_0_or_1_in_every_part),
      cmocka_unit_test(hello_tells_the_table),
      cmocka_unit_test(failures_are_read_field_by_field),
      cmocka_unit_test(errors_that_are_too_long_are_cut),
      cmocka_unit_test(text_that_is_none_still_arrives),
      cmocka_unit_test(writers_refuse_what_readers_would),
      cmocka_unit_test(a_shape_that_is_not_known_is_null),
      cmocka_unit_test(long_answers_go_in_parts),
      cmocka_unit_test(policies_and_queries_have_names),
      cmocka_unit_test(decoders_survive_every_failed_allocation),
      cmocka_unit_test(writers_survive_failed_allocations),
      cmocka_unit_test(joining_survives_failed_allocations),
      cmocka_unit_test(broken_frames_harm_nobody),
  };
  return cmocka_run_group_tests_name("wire", tests, load_fixture, drop_fixture);
}
