/*
 * hostile frames: three peers that say records, transfers and answers in no order at all, drawn from a fixed seed, about few ids, so that they meet. The
 * worker may refuse and end connections; it may not lose count of its memory, nor touch what is gone (the sanitizers watch).
 */
#include <stdlib.h>

#include "villain_fixture.h"

enum { N_VILLAINS = 3, N_IDS = 12, N_HEARD = 64, N_STEPS = 20000, STORE_BYTES = 1 << 20 };

static tt_generator dice;

static int64_t below(int64_t n) { return tt_generator_below(&dice, (uint64_t)n); }

static const char *const names[N_VILLAINS] = {"alice", "bob", "carol"};

typedef struct scene {
  tt_worker *worker;
  wire *wires[N_VILLAINS];
  villain villains[N_VILLAINS];
  uint64_t heard[N_HEARD]; /* numbers of requests that the worker has made, or that were made of it */
  size_t n_heard;
} scene;

static uint64_t any_id(void) { return (uint64_t)below(N_IDS) + (below(200) == 0 ? 0 : 1); }

/* Whoever may be named, the worker itself and a stranger as well. */
static tt_name anybody(void) {
  static const char *const others[] = {"worker", "nobody"};
  int64_t i = below(12);
  return tt_name_of(i < 10 ? names[i % N_VILLAINS] : others[i - 10]);
}

static void note(scene *all, uint64_t number) { all->heard[all->n_heard++ % N_HEARD] = number; }

static uint64_t any_request(const scene *all) {
  size_t n = all->n_heard < N_HEARD ? all->n_heard : N_HEARD;
  return n == 0 || below(4) == 0 ? (uint64_t)below(30) + 1 : all->heard[below((int64_t)n)];
}

/* What the worker has asked may be answered. */
static void listen(scene *all, size_t who) {
  wire *at = all->wires[who];
  for (size_t i = 0; i < at->said.n_bytes; i += 4 + tt_load_u32(at->said.bytes + i)) {
    const uint8_t *frame = at->said.bytes + i + 4;
    tt_prelude prelude;
    const uint8_t *payload;
    size_t n_bytes;
    if (tt_prelude_read(frame, tt_load_u32(at->said.bytes + i), &prelude, &payload, &n_bytes, NULL) != TT_OK) continue;
    if (prelude.type == TT_FRAME_DATA && n_bytes >= 8) note(all, tt_load_u64(payload));
    if (prelude.type != TT_FRAME_RUN) continue;
    tt_run_reader reader;
    tt_run_reader_init(&reader, payload, n_bytes);
    tt_record record;
    bool at_end = false;
    while (tt_run_read(&reader, &record, &at_end, NULL) == TT_OK && !at_end) {
      if (record.kind == TT_RECORD_TENSOR)
        note(all, tt_load_u64(record.data));
      else if (record.kind != TT_RECORD_CALL && record.kind != TT_RECORD_FREE && record.kind != TT_RECORD_PROMISE)
        note(all, record.request);
    }
    tt_run_reader_release(&reader);
  }
  forget_said(at);
}

static void come(scene *all, size_t who) {
  if (all->wires[who] != NULL) free_wire(all->wires[who]);
  all->wires[who] = open_wire(all->worker, 0);
  all->villains[who] = (villain){.at = all->wires[who], .id = names[who]};
  say_hello(&all->villains[who], (uint32_t)below(1000) + 1);
  forget_said(all->wires[who]);
}

static void put_some_call(villain *who) {
  static const char *const ops[] = {"add",       "mul",       "sum",          "exp",  "clone",     "neg",    "mul_",
                                    "add_",      "backward_", "set_grad_",    "grad", "reshape",   "detach", "requires_grad_",
                                    "unsqueeze", "copy_",     "retain_grad_", "cat",  "expand_as", "zero_",  "detach_"};
  const tt_op *op = tt_op_get(op_number(ops[below((int64_t)(sizeof ops / sizeof *ops))]));
  tt_operand operands[6];
  tt_operand *list[2] = {&operands[4], &operands[5]};
  for (size_t i = 0; i < 6; i++) operands[i] = named(any_id());
  tt_value args[TT_MAX_PARAMS];
  int64_t sizes[] = {2, -1};
  size_t n_operands = 0, n_args = 0;
  for (; n_args < op->n_params && n_args < 4; n_args++) {
    tt_param_type type = op->params[n_args].type;
    if (op->params[n_args].has_default && below(2) == 0) break;
    args[n_args] = type == TT_PARAM_TENSOR || type == TT_PARAM_TENSOR_OR_SCALAR ? tt_operand_value(&operands[n_operands++])
                   : type == TT_PARAM_TENSORS                                   ? tt_operands_value(list, 2)
                   : type == TT_PARAM_INTS                                      ? tt_ints(sizes, 2)
                   : type == TT_PARAM_BOOL                                      ? tt_bool(below(2) == 0)
                                                                                : tt_int(below(3));
  }
  const uint64_t result = any_id();
  tt_buffer run;
  tt_buffer_init(&run);
  tt_run_write_call(&run, (uint8_t)(below(4) == 0 ? TT_CALL_NO_GRAD : 0), (uint16_t)op->number, args, n_args, id_of, &result,
                    op->flags & TT_OP_INPLACE ? 0 : 1);
  put_run(who, &run);
}

static void put_some_record(scene *all, villain *who) {
  tt_buffer run;
  tt_buffer_init(&run);
  uint64_t id = any_id(), request = (uint64_t)below(30) + 1;
  switch (below(9)) {
  case 0:
    tt_run_write_free(&run, &id, 1);
    break;
  case 1:
    tt_run_write_fetch(&run, (uint8_t)below(4), request, id);
    break;
  case 2:
  case 3:
    tt_run_write_send(&run, (uint8_t)below(3), request, id, any_id(), anybody());
    break;
  case 4:
    tt_run_write_pull(&run, request, id);
    break;
  case 5:
  case 6:
    tt_run_write_done(&run, any_request(all));
    break;
  case 7:
    tt_run_write_promise(&run, id, anybody());
    break;
  default:
    tt_run_write_assign(&run, request, id, anybody());
  }
  put_run(who, &run);
}

static void put_some_data(scene *all, villain *who) {
  bool is_pointer = below(3) == 0, has_gradient = !is_pointer && below(3) == 0, answers = below(3) == 0;
  tt_metadata metadata = {0};
  char location[16], promised_by[16];
  snprintf(location, sizeof location, "%s", below(3) == 0 ? "bob" : who->id);
  snprintf(promised_by, sizeof promised_by, "%s", names[below(N_VILLAINS)]);
  bool fulfils = !answers && below(2) == 0;
  if (is_pointer) {
    metadata.location = location;
    metadata.location_id = any_id() | 1;
  }
  if (fulfils) metadata.promised_by = promised_by;
  if (below(3) == 0) {
    metadata.has_policy = true;
    metadata.policy = (tt_policy)below(3);
  }
  tt_buffer json, payload;
  tt_buffer_init(&json);
  tt_buffer_init(&payload);
  assert_int_equal(tt_metadata_write(&json, &metadata, NULL), TT_OK);
  const tt_data_header header = {.transfer = answers ? any_request(all) : (uint64_t)below(30) + 1,
                                 .object = answers ? 0 : any_id(),
                                 .form = is_pointer ? TT_DATA_POINTER : TT_DATA_TENSOR,
                                 .meta = {.dtype = TT_DTYPE_F32, .shape = {.n_dims = 1, .dims = {2}}},
                                 .requires_grad = below(2) == 0,
                                 .has_gradient = has_gradient,
                                 .total_bytes = is_pointer     ? 0
                                                : has_gradient ? 16
                                                               : 8,
                                 .metadata = json.bytes,
                                 .metadata_bytes = json.n_bytes};
  tt_data_header_write(&payload, &header);
  if (!is_pointer) tt_buffer_append(&payload, SOME, below(40) == 0 ? 4 : (size_t)header.total_bytes);
  if (below(2) == 0) {
    tt_buffer run;
    tt_buffer_init(&run);
    tt_run_write_tensor(&run, tt_name_of(fulfils ? promised_by : ""), payload.n_bytes);
    tt_buffer_append(&run, payload.bytes, payload.n_bytes);
    put_run(who, &run);
    tt_buffer_release(&payload);
  } else {
    put_sequenced(who, TT_FRAME_DATA, fulfils ? TT_FLAG_FULFILS : 0, &payload);
  }
  tt_buffer_release(&json);
}

static void put_some_text(scene *all, villain *who) {
  char json[256];
  uint64_t request = any_request(all), id = any_id() | 1;
  static const char *const queries[] = {"shape", "print", "list", "whoami", "configure"};
  switch (below(4)) {
  case 0:
    snprintf(json, sizeof json, "{\"reply\":\"%" PRIu64 "\",\"error\":{\"code\":\"full\",\"message\":\"no\"}}", request);
    break;
  case 1:
    snprintf(json, sizeof json,
             "{\"broken\":\"%" PRIu64 "\",\"promised_by\":\"%s\",\"error\":{\"code\":\"full\",\"message\":\"no\"}}", id,
             names[below(N_VILLAINS)]);
    break;
  case 2:
    snprintf(json, sizeof json,
             "{\"failure\":{\"code\":\"full\",\"message\":\"no\",\"failure\":\"7\"},\"results\":[\"%" PRIu64 "\"]}", id);
    break;
  default:
    snprintf(json, sizeof json, "{\"request\":\"%" PRIu64 "\",\"query\":\"%s\",\"id\":\"%" PRIu64 "\",\"policy\":\"open\"}",
             (uint64_t)below(30) + 1, queries[below(5)], id);
  }
  put_text(who, json);
}

static void peers_that_say_anything_in_any_order(void **state) {
  (void)state;
  const char *seed = getenv("TT_HOSTILE_SEED"), *n_wanted = getenv("TT_HOSTILE_COMMANDS");
  tt_generator_init(&dice, seed == NULL ? 20 : strtoull(seed, NULL, 10));
  int n_steps = n_wanted == NULL ? N_STEPS : atoi(n_wanted);
  scene all = {.worker = new_worker_with(
                   (tt_worker_options){.id = "worker", .max_store_bytes = STORE_BYTES, .promise_ms = 1, .grace_ms = 1}, NULL)};
  for (size_t i = 0; i < N_VILLAINS; i++) come(&all, i);
  for (int step = 0; step < n_steps; step++) {
    size_t i = (size_t)below(N_VILLAINS);
    if (all.wires[i]->link == NULL || below(300) == 0) come(&all, i);
    int64_t what = below(10);
    if (what < 4)
      put_some_call(&all.villains[i]);
    else if (what < 7)
      put_some_record(&all, &all.villains[i]);
    else if (what < 9)
      put_some_data(&all, &all.villains[i]);
    else
      put_some_text(&all, &all.villains[i]);
    tt_worker_flush(all.worker);
    if (below(100) == 0) tt_worker_tick(all.worker);
    for (size_t k = 0; k < N_VILLAINS; k++) listen(&all, k);
    assert_true(tt_worker_n_bytes(all.worker) <= STORE_BYTES);
  }
  for (size_t i = 0; i < N_VILLAINS; i++) free_wire(all.wires[i]);
  tt_worker_free(all.worker);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(peers_that_say_anything_in_any_order)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
