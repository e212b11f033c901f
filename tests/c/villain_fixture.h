/* villains: peers that are the test itself, which says any frames it likes and reads what the worker answers. */
#ifndef TT_TESTS_VILLAIN_FIXTURE_H
#define TT_TESTS_VILLAIN_FIXTURE_H

#include <inttypes.h>

#include "wire/command_run.h"
#include "wire/tensor_codec.h"
#include "worker/internal.h"
#include "worker_fixture.h"

/* A transport whose other end is the test: it keeps what the worker says. */
typedef struct wire {
  tt_worker *worker;
  tt_link *link;  /* NULL once closed */
  tt_buffer said; /* u32 length, frame, ... */
  size_t room;
} wire;

/* Somebody at the other end, or behind the relay there. */
typedef struct villain {
  wire *at;
  const char *id;
  uint32_t stream;
  uint64_t sequence;
} villain;

static inline void keep_frame(void *transport, const uint8_t *frame, size_t n_bytes) {
  wire *at = transport;
  tt_buffer_u32(&at->said, (uint32_t)n_bytes);
  tt_buffer_append(&at->said, frame, n_bytes);
}

static inline size_t room_of(const void *transport) { return ((const wire *)transport)->room; }
static inline void close_wire(void *transport, const char *reason) {
  (void)reason;
  ((wire *)transport)->link = NULL;
}

static const tt_link_ops wire_ops = {.name = "wire", .send = keep_frame, .room = room_of, .close = close_wire};

static inline wire *open_wire(tt_worker *worker, unsigned flags) {
  wire *at = test_calloc(1, sizeof *at);
  at->worker = worker;
  at->room = SIZE_MAX;
  tt_buffer_init(&at->said);
  at->link = tt_worker_attach(worker, &wire_ops, at, flags, NULL);
  assert_non_null(at->link);
  return at;
}

static inline void free_wire(wire *at) {
  if (at->link != NULL) tt_link_closed(at->link, "the test is over");
  tt_buffer_release(&at->said);
  test_free(at);
}

static inline void put_frame(wire *at, tt_prelude prelude, const tt_buffer *payload) {
  tt_buffer frame;
  tt_buffer_init(&frame);
  tt_prelude_write(&frame, &prelude, payload == NULL ? 0 : payload->n_bytes);
  if (payload != NULL) tt_buffer_append(&frame, payload->bytes, payload->n_bytes);
  assert_non_null(at->link);
  tt_link_receive(at->link, frame.bytes, frame.n_bytes);
  tt_buffer_release(&frame);
}

/* A relay at the other end, behind which workers are. */
static inline wire *open_relay(tt_worker *worker) {
  wire *at = open_wire(worker, TT_LINK_INITIATES);
  put_frame(at, (tt_prelude){.type = TT_FRAME_WELCOME}, NULL);
  return at;
}

static inline void say_hello(villain *who, uint32_t stream) {
  tt_buffer json;
  tt_buffer_init(&json);
  assert_int_equal(tt_hello_write(&json, who->id, "villain", NULL), TT_OK);
  who->stream = stream;
  who->sequence = 0;
  put_frame(who->at,
            (tt_prelude){.type = TT_FRAME_HELLO,
                         .flags = TT_FLAG_WANTS_ANSWER,
                         .stream = stream,
                         .credit = UINT64_MAX,
                         .source = tt_name_of(who->id)},
            &json);
  tt_buffer_release(&json);
}

static inline villain meet(wire *at, const char *id) {
  villain who = {.at = at, .id = id};
  say_hello(&who, 7);
  assert_non_null(at->link);
  tt_buffer_clear(&at->said);
  return who;
}

static inline void put_sequenced(villain *who, tt_frame_type type, uint16_t flags, tt_buffer *take_payload) {
  put_frame(who->at,
            (tt_prelude){.type = (uint8_t)type,
                         .flags = flags,
                         .stream = who->stream,
                         .sequence = ++who->sequence,
                         .source = tt_name_of(who->id)},
            take_payload);
  tt_buffer_release(take_payload);
}

static inline void put_run(villain *who, tt_buffer *take_run) { put_sequenced(who, TT_FRAME_RUN, 0, take_run); }

static inline void put_text(villain *who, const char *json) {
  tt_buffer text;
  tt_buffer_init(&text);
  tt_buffer_append(&text, json, strlen(json));
  put_sequenced(who, TT_FRAME_CONTROL, 0, &text);
}

static inline void put_tensor(villain *who, uint64_t transfer, uint64_t object, int64_t n, const float *elements,
                              size_t n_here) {
  tt_buffer payload;
  tt_buffer_init(&payload);
  const tt_data_header header = {.transfer = transfer,
                                 .object = object,
                                 .meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = 1, .dims = {n}}},
                                 .total_bytes = (uint64_t)n * sizeof(float)};
  tt_data_header_write(&payload, &header);
  tt_buffer_append(&payload, elements, n_here * sizeof(float));
  put_sequenced(who, TT_FRAME_DATA, 0, &payload);
}

static inline void put_fetch(villain *who, uint8_t flags, uint64_t request, uint64_t object) {
  tt_buffer run;
  tt_buffer_init(&run);
  tt_run_write_fetch(&run, flags, request, object);
  put_run(who, &run);
}

static inline void put_perform(villain *who, uint64_t plan, const uint64_t *inputs, size_t n_inputs, const uint64_t *outputs,
                               size_t n_outputs) {
  tt_buffer run;
  tt_buffer_init(&run);
  tt_run_write_perform(&run, plan, inputs, n_inputs, outputs, n_outputs);
  put_run(who, &run);
}

static inline void put_done(villain *who, uint64_t request) {
  tt_buffer run;
  tt_buffer_init(&run);
  tt_run_write_done(&run, request);
  put_run(who, &run);
}

static inline uint64_t id_of(const tt_operand *operand) { return (uint64_t)operand->meta.shape.dims[0]; }

/* An operand that is on the wire as this id. */
static inline tt_operand named(uint64_t id) { return (tt_operand){.meta = {.shape = {.n_dims = 1, .dims = {(int64_t)id}}}}; }

/* A plan of one CALL, whose operands and result are slots. */
static inline void put_plan(villain *who, uint64_t plan, uint32_t n_slots, size_t n_inputs, uint64_t output, const char *op,
                            const tt_value *args, size_t n_args, uint64_t result) {
  tt_buffer run, body;
  tt_buffer_init(&run);
  tt_buffer_init(&body);
  tt_run_write_call(&body, 0, (uint16_t)op_number(op), args, n_args, id_of, &result, 1);
  tt_run_write_plan(&run, plan, n_slots, n_inputs, &output, 1, &body);
  tt_buffer_release(&body);
  put_run(who, &run);
}

static inline void put_call(villain *who, const char *op, const tt_value *args, size_t n_args, const uint64_t *results,
                            size_t n_results) {
  tt_buffer run;
  tt_buffer_init(&run);
  tt_run_write_call(&run, 0, (uint16_t)op_number(op), args, n_args, id_of, results, n_results);
  put_run(who, &run);
}

static inline void put_free(villain *who, uint64_t id) {
  tt_buffer run;
  tt_buffer_init(&run);
  tt_run_write_free(&run, &id, 1);
  put_run(who, &run);
}

static inline size_t n_tensors_in(const uint8_t *payload, size_t n_bytes) {
  size_t n = 0;
  tt_run_reader reader;
  tt_run_reader_init(&reader, payload, n_bytes);
  tt_record record;
  bool at_end = false;
  while (tt_run_read(&reader, &record, &at_end, NULL) == TT_OK && !at_end) n += record.kind == TT_RECORD_TENSOR;
  tt_run_reader_release(&reader);
  return n;
}

/* How many frames of a type the worker has said. A TENSOR counts as DATA, whatever it shares its frame with. */
static inline size_t n_said(const wire *at, tt_frame_type type) {
  size_t n = 0;
  for (size_t i = 0; i < at->said.n_bytes; i += 4 + tt_load_u32(at->said.bytes + i)) {
    const uint8_t *frame = at->said.bytes + i + 4;
    n += frame[3] == type;
    tt_prelude prelude;
    const uint8_t *payload;
    size_t n_bytes;
    if (type == TT_FRAME_DATA && tt_prelude_read(frame, tt_load_u32(frame - 4), &prelude, &payload, &n_bytes, NULL) == TT_OK &&
        prelude.type == TT_FRAME_RUN)
      n += n_tensors_in(payload, n_bytes);
  }
  return n;
}

/* Whether the bytes of some frame hold this text. */
static inline bool has_said(const wire *at, const char *needle) {
  size_t n_bytes = strlen(needle);
  for (size_t i = 0; i + n_bytes <= at->said.n_bytes; i++) {
    if (memcmp(at->said.bytes + i, needle, n_bytes) == 0) return true;
  }
  return false;
}

static inline void forget_said(wire *at) { tt_buffer_clear(&at->said); }

static const float SOME[] = {1, 2, 3, 4};

#endif
