#include "wasm/scratch.h"

#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "transport/virtual.h"
#include "wasm/exports.h"
#include "wasm/host.h"
#include "worker/worker.h"

_Static_assert(sizeof(tt_value) == 16 && offsetof(tt_value, as) == 8, "JavaScript writes arguments as four 32-bit words");
_Static_assert(sizeof(void *) == 4 && sizeof(tt_handle) == 4, "JavaScript reads pointers as 32-bit words");

tt_scratch tt_wasm_area;

static tt_buffer text;
static tt_error last_error;
static struct {
  uint8_t *bytes; /* owned */
  size_t capacity;
} input;

tt_buffer *tt_scratch_text(void) {
  tt_buffer_clear(&text);
  return &text;
}

tt_status tt_scratch_show_text(void) {
  if (text.failed) return TT_ERR_MEMORY;
  tt_wasm_area.text = text.bytes;
  tt_wasm_area.text_bytes = (uint32_t)text.n_bytes;
  return TT_OK;
}

void tt_scratch_show_string(const char *string) {
  tt_wasm_area.text = (const uint8_t *)string;
  tt_wasm_area.text_bytes = (uint32_t)strlen(string);
}

int tt_scratch_fail(const tt_error *error) {
  last_error = *error;
  tt_scratch_show_string(last_error.message);
  return (int)last_error.status;
}

const uint8_t *tt_scratch_input(void) { return input.bytes; }

const char *tt_scratch_input_string(size_t offset) { return (const char *)input.bytes + offset; }

void tt_scratch_show_meta(const tt_meta *meta) {
  tt_wasm_area.dtype = (int32_t)meta->dtype;
  tt_wasm_area.n_dims = meta->shape.n_dims;
  for (int i = 0; i < meta->shape.n_dims; i++) tt_wasm_area.dims[i] = meta->shape.dims[i];
}

uint8_t *tt_wasm_input(uint32_t n_bytes) {
  if (n_bytes > input.capacity) {
    uint8_t *bytes = tt_realloc(input.bytes, n_bytes);
    if (bytes == NULL) return NULL;
    input.bytes = bytes;
    input.capacity = n_bytes;
  }
  return input.bytes;
}

/* The lists are long, and a call seldom uses much of them: they are copied as far as it does, one behind the other. */
static uint8_t *aside_operands(const tt_aside *aside) { return (uint8_t *)(aside->area->ints + aside->area->n_ints); }

bool tt_scratch_set_aside(tt_aside *aside, size_t n_bytes) {
  tt_scratch *area = &tt_wasm_area;
  size_t ints_bytes = area->n_ints * sizeof area->ints[0], operands_bytes = area->n_operands * sizeof area->operands[0];
  aside->area = tt_alloc(1, offsetof(tt_scratch, ints) + ints_bytes + operands_bytes);
  uint8_t *fresh = tt_alloc(n_bytes, 1);
  if (aside->area == NULL || fresh == NULL) {
    tt_free(aside->area);
    tt_free(fresh);
    return false;
  }
  memcpy(aside->area, area, offsetof(tt_scratch, ints) + ints_bytes);
  memcpy(aside_operands(aside), area->operands, operands_bytes);
  aside->input = input.bytes;
  aside->input_bytes = input.capacity;
  input.bytes = fresh;
  input.capacity = n_bytes;
  return true;
}

const void *tt_scratch_aside_address(const tt_aside *aside, const void *address) {
  const uint8_t *at = address, *ints = (const uint8_t *)tt_wasm_area.ints, *operands = (const uint8_t *)tt_wasm_area.operands;
  if (at >= ints && at < operands) return (const uint8_t *)aside->area->ints + (at - ints);
  if (at >= operands && at < operands + sizeof tt_wasm_area.operands) return aside_operands(aside) + (at - operands);
  return address;
}

void tt_scratch_put_back(tt_aside *aside) {
  size_t ints_bytes = aside->area->n_ints * sizeof aside->area->ints[0];
  memcpy(tt_wasm_area.operands, aside_operands(aside), aside->area->n_operands * sizeof aside->area->operands[0]);
  memcpy(&tt_wasm_area, aside->area, offsetof(tt_scratch, ints) + ints_bytes);
  tt_free(aside->area);
  tt_free(input.bytes);
  input.bytes = aside->input;
  input.capacity = aside->input_bytes;
}

tt_scratch *tt_wasm_scratch(void) { return &tt_wasm_area; }

const uint8_t *tt_wasm_text(void) { return tt_wasm_area.text; }

uint32_t tt_wasm_text_bytes(void) { return tt_wasm_area.text_bytes; }

int tt_wasm_start(void) {
  tt_random_set_source(tt_host_random);
  tt_virtual_set_wake(tt_host_wake);
  /* Room for a frame from the start, so that receiving one does not depend on memory. */
  if (tt_wasm_input(TT_MAX_FRAME_BYTES) == NULL) return TT_ERR_MEMORY;
  return TT_OK;
}

/* Without printf: there are two hundred, at every start. */
static void write_name(tt_buffer *json, const char *name, int number, int *n_written) {
  if ((*n_written)++ > 0) tt_buffer_u8(json, ',');
  tt_buffer_u8(json, '"');
  tt_buffer_append(json, name, strlen(name));
  tt_buffer_append(json, "\":", 2);
  if (number < 0) tt_buffer_u8(json, '-');
  uint8_t digits[10];
  size_t n_digits = 0;
  for (unsigned left = number < 0 ? 0U - (unsigned)number : (unsigned)number; left > 0 || n_digits == 0; left /= 10)
    digits[n_digits++] = (uint8_t)('0' + left % 10);
  while (n_digits > 0) tt_buffer_u8(json, digits[--n_digits]);
}

int tt_wasm_constants(void) {
  static const struct {
    const char *name;
    size_t offset;
  } fields[] = {
#define FIELD(name) {#name, offsetof(tt_scratch, name)}
      FIELD(args),       FIELD(id),       FIELD(id_there), FIELD(results),    FIELD(n_results), FIELD(data),
      FIELD(data_bytes), FIELD(dtype),    FIELD(n_dims),   FIELD(flags),      FIELD(dims),      FIELD(numbers),
      FIELD(ints),       FIELD(operands), FIELD(n_ints),   FIELD(n_operands),
#undef FIELD
  };
  tt_buffer *json = tt_scratch_text();
  int n = 0;
  tt_buffer_printf(json, "{\"scratch\":{");
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) write_name(json, fields[i].name, (int)fields[i].offset, &n);
  n = 0;
  tt_buffer_printf(json, "},\"value\":{");
#define VALUE(symbol, number) write_name(json, #symbol, number, &n);
  TT_VALUE_TYPE_LIST(VALUE)
#undef VALUE
  n = 0;
  tt_buffer_printf(json, "},\"dtype\":{");
#define DTYPE(symbol, number, type, name, tensor_class, npy) write_name(json, name, number, &n);
  TT_DTYPE_LIST(DTYPE)
#undef DTYPE
  n = 0;
  tt_buffer_printf(json, "},\"dtypeBytes\":{");
#define DTYPE(symbol, number, type, name, tensor_class, npy) write_name(json, name, (int)sizeof(type), &n);
  TT_DTYPE_LIST(DTYPE)
#undef DTYPE
  n = 0;
  tt_buffer_printf(json, "},\"tensorClass\":{");
#define DTYPE(symbol, number, type, name, tensor_class, npy) write_name(json, tensor_class, number, &n);
  TT_DTYPE_LIST(DTYPE)
#undef DTYPE
  n = 0;
  tt_buffer_printf(json, "},\"status\":{");
#define STATUS(symbol, number, name) write_name(json, name, number, &n);
  TT_STATUS_LIST(STATUS)
#undef STATUS
  n = 0;
  tt_buffer_printf(json, "},\"event\":{");
#define EVENT(symbol) write_name(json, #symbol, TT_EVENT_##symbol, &n);
  EVENT(LINK_OPEN)
  EVENT(LINK_CLOSED)
  EVENT(PEER_JOINED)
  EVENT(PEER_LEFT)
  EVENT(OBJECT_ADDED)
  EVENT(OBJECT_REMOVED)
  EVENT(COMMAND)
  EVENT(FAILURE)
  EVENT(REFUSED)
#undef EVENT
  n = 0;
  tt_buffer_printf(json, "},\"answer\":{");
#define ANSWER(symbol) write_name(json, #symbol, TT_ANSWER_##symbol, &n);
  ANSWER(DONE)
  ANSWER(TENSOR)
  ANSWER(CONTROL)
  ANSWER(ERROR)
#undef ANSWER
  n = 0;
  tt_buffer_printf(json, "},\"limit\":{");
#define LIMIT(name, value) write_name(json, name, value, &n);
  LIMIT("params", TT_MAX_PARAMS)
  LIMIT("dims", TT_MAX_DIMS)
  LIMIT("listItems", TT_MAX_LIST_ITEMS)
  LIMIT("stringBytes", TT_MAX_STRING_BYTES)
  LIMIT("workerIdBytes", TT_MAX_WORKER_ID_BYTES)
  LIMIT("frameBytes", TT_MAX_FRAME_BYTES)
#undef LIMIT
  n = 0;
  tt_buffer_printf(json, "},\"table\":{");
#define TABLE(name, number) write_name(json, name, number, &n);
  TABLE("ops", TT_WASM_OPS)
  TABLE("modules", TT_WASM_MODULES)
  TABLE("optimizers", TT_WASM_OPTIMIZERS)
  TABLE("inits", TT_WASM_INITS)
  TABLE("schedules", TT_WASM_SCHEDULES)
  TABLE("numpy", TT_WASM_NUMPY)
#undef TABLE
  tt_buffer_printf(json, "},\"software\":\"%s\"}", tt_software());
  return (int)tt_scratch_show_text();
}
