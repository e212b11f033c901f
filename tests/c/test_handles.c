/* What JavaScript holds: handles, and the log of events that it reads in batches. */
#include <string.h>

#include "base/alloc.h"
#include "cmocka_all.h"
#include "wasm/event_log.h"
#include "wasm/handles.h"

static void a_stale_handle_stands_for_nothing(void **state) {
  (void)state;
  int a, b;
  tt_handle first = tt_handle_new(TT_HANDLE_HEAD, &a);
  assert_int_not_equal(first, 0);
  assert_ptr_equal(tt_handle_get(first, TT_HANDLE_HEAD), &a);
  assert_null(tt_handle_get(first, TT_HANDLE_WORKER));
  assert_null(tt_handle_get(0, TT_HANDLE_HEAD));
  assert_null(tt_handle_get(0xFFFFFFFF, TT_HANDLE_HEAD));
  assert_int_equal(tt_handle_count(TT_HANDLE_HEAD), 1);
  assert_ptr_equal(tt_handle_end(first, TT_HANDLE_HEAD), &a);
  assert_null(tt_handle_get(first, TT_HANDLE_HEAD));
  assert_null(tt_handle_end(first, TT_HANDLE_HEAD));
  assert_int_equal(tt_handle_count(TT_HANDLE_HEAD), 0);

  tt_handle second = tt_handle_new(TT_HANDLE_WORKER, &b);
  assert_int_not_equal(second, first);
  assert_null(tt_handle_get(first, TT_HANDLE_WORKER));
  assert_ptr_equal(tt_handle_end(second, TT_HANDLE_WORKER), &b);
}

static void each_type_is_counted_by_itself(void **state) {
  (void)state;
  int object;
  tt_handle handles[TT_N_HANDLE_TYPES];
  for (int type = TT_HANDLE_FREE + 1; type < TT_N_HANDLE_TYPES; type++) {
    handles[type] = tt_handle_new((tt_handle_type)type, &object);
    for (int other = TT_HANDLE_FREE + 1; other < TT_N_HANDLE_TYPES; other++)
      assert_int_equal(tt_handle_count((tt_handle_type)other), other <= type);
  }
  for (int type = TT_HANDLE_FREE + 1; type < TT_N_HANDLE_TYPES; type++)
    assert_ptr_equal(tt_handle_end(handles[type], (tt_handle_type)type), &object);
}

static void slots_are_taken_again_with_another_generation(void **state) {
  (void)state;
  int object;
  enum { N = 5000 };
  static tt_handle seen[N];
  for (int i = 0; i < N; i++) {
    seen[i] = tt_handle_new(TT_HANDLE_HEAD, &object);
    assert_int_not_equal(seen[i], 0);
    tt_handle_end(seen[i], TT_HANDLE_HEAD);
  }
  tt_handle last = tt_handle_new(TT_HANDLE_HEAD, &object);
  for (int i = 0; i < N; i++) {
    assert_int_not_equal(seen[i], last);
    assert_null(tt_handle_get(seen[i], TT_HANDLE_HEAD));
  }
  tt_handle_end(last, TT_HANDLE_HEAD);
}

static void without_memory_there_is_no_handle(void **state) {
  (void)state;
  int object;
  enum { ROOM = 1 << 13 };
  static tt_handle taken[ROOM];
  int n = 0;
  tt_alloc_fail_after(0);
  while (n < ROOM && (taken[n] = tt_handle_new(TT_HANDLE_HEAD, &object)) != 0) n++;
  tt_alloc_fail_after(-1);
  assert_true(n < ROOM);
  for (int i = 0; i < n; i++) assert_ptr_equal(tt_handle_end(taken[i], TT_HANDLE_HEAD), &object);
}

/* ---- events ---- */

static tt_event joined(const char *peer) { return (tt_event){.type = TT_EVENT_PEER_JOINED, .peer = peer, .text = ""}; }

static void an_event_is_written_as_its_record_says(void **state) {
  (void)state;
  tt_event_log log;
  tt_event_log_init(&log);
  const tt_meta meta = {.dtype = TT_DTYPE_F64, .shape = {.n_dims = 2, .dims = {3, 4}}};
  const uint64_t ids[] = {7, 8, 9};
  tt_event event = {.type = TT_EVENT_COMMAND,
                    .peer = "bob",
                    .text = "add",
                    .object = 5,
                    .meta = &meta,
                    .ids = ids,
                    .n_operands = 2,
                    .n_results = 1,
                    .is_ours = true};
  assert_true(tt_event_log_add(&log, &event, 77));
  assert_false(tt_event_log_add(&log, &event, 77));
  tt_reader reader = tt_reader_of(log.records.bytes, log.records.n_bytes);
  uint32_t n_bytes = tt_read_u32(&reader);
  assert_int_equal(n_bytes * 2, log.records.n_bytes);
  assert_int_equal(n_bytes % 8, 0);
  assert_int_equal(tt_read_u8(&reader), TT_EVENT_COMMAND);
  assert_int_equal(tt_read_u8(&reader), 1);
  assert_int_equal(tt_read_u8(&reader), TT_DTYPE_F64);
  assert_int_equal(tt_read_u8(&reader), 2);
  const uint32_t words[] = {77, 2, 1, 3, 3, 0};
  for (size_t i = 0; i < 6; i++) assert_int_equal(tt_read_u32(&reader), words[i]);
  const uint64_t numbers[] = {5, 3, 4, 7, 8, 9};
  for (size_t i = 0; i < 6; i++) assert_int_equal(tt_read_u64(&reader), numbers[i]);
  assert_memory_equal(tt_read_bytes(&reader, 6), "bobadd", 6);
  tt_event_log_release(&log);
}

static void an_error_goes_along_as_json(void **state) {
  (void)state;
  tt_event_log log;
  tt_event_log_init(&log);
  tt_wire_error error = {.error = {.status = TT_ERR_SHAPE, .message = "no"}, .worker = "bob", .command = -1};
  tt_event event = {.type = TT_EVENT_FAILURE, .peer = "bob", .text = "", .error = &error};
  assert_true(tt_event_log_add(&log, &event, 0));
  tt_buffer_u8(&log.records, 0);
  assert_non_null(strstr((const char *)log.records.bytes + 40, "\"code\":\"shape\""));
  tt_event_log_release(&log);
}

static void what_does_not_fit_in_a_batch_is_counted(void **state) {
  (void)state;
  tt_event_log log;
  tt_event_log_init(&log);
  tt_event command = {.type = TT_EVENT_COMMAND, .peer = "bob", .text = "add"};
  for (int i = 0; i < TT_LOG_MAX_KEPT + 10; i++) tt_event_log_add(&log, &command, 0);
  assert_int_equal(log.n_skipped[TT_EVENT_COMMAND], 10);
  size_t n_bytes = log.records.n_bytes;
  /* Commands do not take the room of what matters more. */
  tt_event event = joined("alice");
  tt_event_log_add(&log, &event, 0);
  assert_true(log.records.n_bytes > n_bytes);
  assert_int_equal(log.n_skipped[TT_EVENT_PEER_JOINED], 0);
  tt_event_log_clear(&log);
  assert_int_equal(log.records.n_bytes, 0);
  assert_int_equal(log.n_skipped[TT_EVENT_COMMAND], 0);
  assert_true(tt_event_log_add(&log, &command, 0));
  tt_event_log_release(&log);
}

static void without_memory_an_event_is_counted(void **state) {
  (void)state;
  tt_event_log log;
  tt_event_log_init(&log);
  tt_event event = joined("alice");
  tt_alloc_fail_after(0);
  assert_true(tt_event_log_add(&log, &event, 0));
  tt_alloc_fail_after(-1);
  assert_int_equal(log.n_skipped[TT_EVENT_PEER_JOINED], 1);
  assert_int_equal(log.records.n_bytes, 0);
  assert_false(tt_event_log_add(&log, &event, 0));
  assert_true(log.records.n_bytes > 0);
  tt_event_log_release(&log);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_stale_handle_stands_for_nothing),
      cmocka_unit_test(each_type_is_counted_by_itself),
      cmocka_unit_test(slots_are_taken_again_with_another_generation),
      cmocka_unit_test(without_memory_there_is_no_handle),
      cmocka_unit_test(an_event_is_written_as_its_record_says),
      cmocka_unit_test(an_error_goes_along_as_json),
      cmocka_unit_test(what_does_not_fit_in_a_batch_is_counted),
      cmocka_unit_test(without_memory_an_event_is_counted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
