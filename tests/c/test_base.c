/* base: buffers and readers, maps against a plain array, the generator's known answers, errors. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/number.h"
#include "base/random.h"
#include "base/status.h"

static void reads_as_strtod(const char *text) {
  char *end, *expected_end;
  double number = tt_number_read(text, &end), expected = strtod(text, &expected_end);
  assert_ptr_equal(end, expected_end);
  if (isnan(expected)) {
    assert_true(isnan(number));
  } else {
    assert_memory_equal(&number, &expected, sizeof number);
  }
}

static void numbers_are_read_as_strtod_reads_them(void **state) {
  (void)state;
  static const char *const texts[] = {"",
                                      "-",
                                      ".",
                                      "e5",
                                      "0",
                                      "-0",
                                      "+7",
                                      "1.",
                                      ".5",
                                      "1.5.2",
                                      "1e",
                                      "1e+",
                                      "1e-05",
                                      "1E22",
                                      "1e23",
                                      "1e-22",
                                      "1e-23",
                                      "0x1p3",
                                      "1x",
                                      "inf",
                                      "-nan",
                                      " 12",
                                      "12 ",
                                      "1,5",
                                      "1e99999",
                                      "1e-99999",
                                      "0.1e-7",
                                      "00012.",
                                      "1e400",
                                      "1e0400",
                                      "99999999",
                                      "1.7e308",
                                      "4.9e-324",
                                      "123456789012345",
                                      "1234567890123456",
                                      "9007199254740993",
                                      "0.30000000000000004",
                                      "1e1000000000000000000000",
                                      "5e-1]"};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) reads_as_strtod(texts[i]);
  tt_generator generator;
  tt_generator_init(&generator, 1);
  for (int i = 0; i < 20000; i++) {
    char text[64];
    double number = tt_generator_normal(&generator) * pow(10, (double)(i % 60) - 30);
    snprintf(text, sizeof text, i % 2 == 0 ? "%.*e" : "%.*g", i % 18, number);
    reads_as_strtod(text);
  }
}

static void buffer_writes_what_reader_reads(void **state) {
  (void)state;
  tt_buffer buffer;
  tt_buffer_init(&buffer);
  tt_buffer_u8(&buffer, 0xAB);
  tt_buffer_u16(&buffer, 0x1234);
  tt_buffer_u32(&buffer, 0x89ABCDEF);
  tt_buffer_u64(&buffer, UINT64_C(0xFEDCBA9876543210));
  tt_buffer_f64(&buffer, -0.5);
  tt_buffer_align(&buffer, 8);
  tt_buffer_append(&buffer, "xyz", 3);
  assert_int_equal(buffer.n_bytes, 27);
  static const uint8_t head[] = {0xAB, 0x34, 0x12, 0xEF, 0xCD, 0xAB, 0x89, 0x10};
  assert_memory_equal(buffer.bytes, head, sizeof head);
  tt_reader reader = tt_reader_of(buffer.bytes, buffer.n_bytes);
  assert_int_equal(tt_read_u8(&reader), 0xAB);
  assert_int_equal(tt_read_u16(&reader), 0x1234);
  assert_int_equal(tt_read_u32(&reader), 0x89ABCDEF);
  assert_true(tt_read_u64(&reader) == UINT64_C(0xFEDCBA9876543210));
  assert_true(tt_read_f64(&reader) == -0.5);
  tt_read_align(&reader, 8);
  assert_memory_equal(tt_read_bytes(&reader, 3), "xyz", 3);
  assert_int_equal(tt_reader_left(&reader), 0);
  assert_false(reader.failed);
  assert_int_equal(tt_read_u8(&reader), 0);
  assert_true(reader.failed);
  tt_buffer_release(&buffer);
}

static void short_read_stays_failed(void **state) {
  (void)state;
  static const uint8_t bytes[] = {1, 2, 3};
  tt_reader reader = tt_reader_of(bytes, sizeof bytes);
  assert_int_equal(tt_read_u32(&reader), 0);
  assert_int_equal(tt_read_u8(&reader), 0);
  assert_null(tt_read_bytes(&reader, 1));
  assert_int_equal(tt_reader_left(&reader), 0);
  tt_reader empty = tt_reader_of(NULL, 0);
  assert_non_null(tt_read_bytes(&empty, 0));
  assert_null(tt_read_bytes(&empty, SIZE_MAX));
}

static void objects_begin_as_zeros_and_data_is_aligned(void **state) {
  (void)state;
  const size_t sizes[] = {0, 1, 31, 32, 33, 200, 1024, 1025, 5000};
  enum { N_SIZES = sizeof sizes / sizeof sizes[0], N_ROUNDS = 3 };
  static const uint8_t zeros[5000];
  for (int round = 0; round < N_ROUNDS; round++) {
    void *objects[N_SIZES];
    for (size_t i = 0; i < N_SIZES; i++) {
      objects[i] = tt_alloc_object(sizes[i]);
      assert_non_null(objects[i]);
      assert_memory_equal(objects[i], zeros, sizes[i]);
      memset(objects[i], 0xff, sizes[i]);
    }
    for (size_t i = 0; i < N_SIZES; i++) tt_free_object(objects[i], sizes[i]);
  }
  tt_free_object(NULL, 8);
  /* More data than is kept, of sizes on both sides of each rounding and beyond the largest that is. */
  for (size_t n_bytes = 1; n_bytes < (size_t)10 << 20; n_bytes = n_bytes * 9 / 8 + 1) {
    uint8_t *data[2];
    for (int k = 0; k < 2; k++) {
      data[k] = tt_alloc_aligned(n_bytes);
      assert_non_null(data[k]);
      assert_int_equal((uintptr_t)data[k] % 64, 0);
      memset(data[k], k, n_bytes);
    }
    assert_int_equal(data[0][n_bytes - 1], 0);
    for (int k = 0; k < 2; k++) tt_free_aligned(data[k]);
  }
  tt_free_aligned(NULL);
  assert_null(tt_alloc_aligned(SIZE_MAX));
  tt_alloc_fail_after(0);
  assert_null(tt_alloc_object(200));
  tt_alloc_fail_after(0);
  assert_null(tt_alloc_aligned(200));
  tt_alloc_set_limit(100);
  assert_null(tt_alloc_object(101));
  assert_int_equal(tt_alloc_refused(), 101);
  tt_alloc_set_limit(0);
}

static void buffer_prints_and_survives_lost_memory(void **state) {
  (void)state;
  tt_buffer buffer;
  tt_buffer_init(&buffer);
  assert_string_equal(tt_buffer_string(&buffer), "");
  for (int i = 0; i < 100; i++) tt_buffer_printf(&buffer, "%d,", i % 10);
  assert_int_equal(buffer.n_bytes, 200);
  assert_memory_equal(tt_buffer_string(&buffer), "0,1,2,", 6);
  size_t before = buffer.n_bytes;
  tt_alloc_fail_after(0);
  tt_buffer_zeros(&buffer, 1 << 20);
  tt_alloc_fail_after(-1);
  assert_true(buffer.failed);
  assert_int_equal(buffer.n_bytes, before);
  tt_buffer_u8(&buffer, 1);
  assert_int_equal(buffer.n_bytes, before);
  assert_string_equal(tt_buffer_string(&buffer), "");
  tt_buffer_clear(&buffer);
  tt_buffer_u8(&buffer, 'a');
  assert_string_equal(tt_buffer_string(&buffer), "a");
  tt_buffer_release(&buffer);
}

enum { N_KEYS = 700 };

static void id_map_agrees_with_array(void **state) {
  (void)state;
  tt_id_map map;
  tt_id_map_init(&map);
  tt_generator generator;
  tt_generator_init(&generator, 1);
  static int values[N_KEYS];
  void *expected[N_KEYS] = {NULL};
  size_t n_expected = 0;
  for (int step = 0; step < 20000; step++) {
    int key = (int)tt_generator_below(&generator, N_KEYS);
    if (tt_generator_below(&generator, 2) == 0) {
      void *value = &values[tt_generator_below(&generator, N_KEYS)];
      assert_true(tt_id_map_put(&map, (uint64_t)key << 40, value));
      n_expected += expected[key] == NULL;
      expected[key] = value;
    } else {
      assert_ptr_equal(tt_id_map_remove(&map, (uint64_t)key << 40), expected[key]);
      n_expected -= expected[key] != NULL;
      expected[key] = NULL;
    }
    assert_int_equal(map.n_entries, n_expected);
  }
  size_t n_seen = 0, cursor = 0;
  uint64_t id;
  for (void *value; (value = tt_id_map_next(&map, &cursor, &id)) != NULL; n_seen++) {
    assert_ptr_equal(value, expected[id >> 40]);
    assert_ptr_equal(tt_id_map_remove(&map, id), value);
  }
  assert_int_equal(n_seen, n_expected);
  assert_int_equal(map.n_entries, 0);
  assert_true(map.n_slots <= 4096);
  tt_id_map_release(&map);
}

static void name_map_agrees_with_array(void **state) {
  (void)state;
  tt_name_map map;
  tt_name_map_init(&map);
  tt_generator generator;
  tt_generator_init(&generator, 2);
  static int values[N_KEYS];
  bool is_there[N_KEYS] = {false};
  size_t n_there = 0;
  for (int step = 0; step < 20000; step++) {
    int key = (int)tt_generator_below(&generator, N_KEYS);
    char name[16];
    size_t n = (size_t)snprintf(name, sizeof name, "name-%d", key);
    if (tt_generator_below(&generator, 2) == 0) {
      assert_true(tt_name_map_put(&map, name, n, &values[key]));
      n_there += !is_there[key];
      is_there[key] = true;
    } else {
      assert_ptr_equal(tt_name_map_remove(&map, name, n), is_there[key] ? &values[key] : NULL);
      n_there -= is_there[key];
      is_there[key] = false;
    }
    assert_ptr_equal(tt_name_map_get(&map, name, n), is_there[key] ? &values[key] : NULL);
  }
  size_t n_seen = 0, cursor = 0;
  const char *name;
  for (void *value; (value = tt_name_map_next(&map, &cursor, &name)) != NULL; n_seen++) {
    int key;
    assert_int_equal(sscanf(name, "name-%d", &key), 1);
    assert_ptr_equal(value, &values[key]);
  }
  assert_int_equal(n_seen, n_there);
  assert_null(tt_name_map_get(&map, "name-", 5));
  tt_name_map_release(&map);
}

static void maps_are_unchanged_when_memory_is_lost(void **state) {
  (void)state;
  tt_id_map ids;
  tt_name_map names;
  tt_id_map_init(&ids);
  tt_name_map_init(&names);
  int value;
  for (long n = 0; n < 2; n++) {
    tt_alloc_fail_after(n);
    assert_false(tt_name_map_put(&names, "a", 1, &value));
    tt_alloc_fail_after(-1);
    assert_null(tt_name_map_get(&names, "a", 1));
  }
  tt_alloc_fail_after(0);
  assert_false(tt_id_map_put(&ids, 7, &value));
  tt_alloc_fail_after(-1);
  assert_null(tt_id_map_get(&ids, 7));
  assert_true(tt_id_map_put(&ids, 7, &value));
  assert_ptr_equal(tt_id_map_get(&ids, 7), &value);
  tt_id_map_release(&ids);
  tt_name_map_release(&names);
}

static void generator_gives_philox_known_answers(void **state) {
  (void)state;
  /* The zero vector of the generator's published known-answer file. */
  static const uint32_t zero[] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  tt_generator generator;
  tt_generator_init(&generator, 0);
  for (int i = 0; i < 4; i++) assert_int_equal(tt_generator_u32(&generator), zero[i]);
  tt_generator other;
  tt_generator_init(&other, 0);
  tt_generator_u64(&other);
  tt_generator_u64(&other);
  assert_int_equal(tt_generator_u32(&other), tt_generator_u32(&generator));
}

static void generator_keeps_its_ranges(void **state) {
  (void)state;
  tt_generator generator;
  tt_generator_init(&generator, 42);
  double sum = 0, sum_of_squares = 0, uniform_sum = 0;
  int counts[6] = {0};
  enum { N = 60000 };
  for (int i = 0; i < N; i++) {
    float single = tt_generator_uniform_f32(&generator);
    double uniform = tt_generator_uniform_f64(&generator);
    assert_true(single >= 0.0f && single < 1.0f && uniform >= 0.0 && uniform < 1.0);
    uniform_sum += uniform;
    double normal = tt_generator_normal(&generator);
    sum += normal;
    sum_of_squares += normal * normal;
    counts[tt_generator_below(&generator, 6)]++;
  }
  assert_true(uniform_sum / N > 0.49 && uniform_sum / N < 0.51);
  assert_true(sum / N > -0.02 && sum / N < 0.02);
  assert_true(sum_of_squares / N > 0.97 && sum_of_squares / N < 1.03);
  for (int i = 0; i < 6; i++) assert_true(counts[i] > 9500 && counts[i] < 10500);
  assert_int_equal(tt_generator_below(&generator, 1), 0);
}

static void ids_differ_and_are_never_zero(void **state) {
  (void)state;
  uint64_t a = tt_random_id(), b = tt_random_id();
  assert_true(a != 0 && b != 0 && a != b);
}

static void clock_does_not_go_back(void **state) {
  (void)state;
  int64_t first = tt_clock_ms();
  for (int i = 0; i < 1000; i++) assert_true(tt_clock_ms() >= first);
}

static void errors_are_filled_prefixed_and_cut(void **state) {
  (void)state;
  tt_error error = {0};
  assert_int_equal(tt_fail(&error, TT_ERR_SHAPE, "%d by %d", 2, 3), TT_ERR_SHAPE);
  assert_string_equal(error.message, "2 by 3");
  assert_int_equal(tt_error_prefix(&error, "at worker %s", "bob"), TT_ERR_SHAPE);
  assert_string_equal(error.message, "at worker bob: 2 by 3");
  assert_int_equal(tt_fail(NULL, TT_ERR_FULL, "unseen"), TT_ERR_FULL);
  char text[600];
  for (size_t i = 0; i + 1 < sizeof text; i += 2) memcpy(text + i, "\xC3\xA9", 2);
  for (int shift = 0; shift < 2; shift++) {
    tt_fail(&error, TT_ERR_STATE, "%s%.*s", shift == 0 ? "" : "x", (int)sizeof text, text);
    size_t length = strlen(error.message);
    assert_int_equal(length, shift == 0 ? 510 : 511);
    assert_int_equal((unsigned char)error.message[length - 1], 0xA9);
  }
}

static void status_names_go_both_ways(void **state) {
  (void)state;
#define CHECK_NAME(symbol, number, name)                  \
  assert_string_equal(tt_status_name(TT_##symbol), name); \
  assert_int_equal(tt_status_from_name(name), number);
  TT_STATUS_LIST(CHECK_NAME)
#undef CHECK_NAME
  assert_string_equal(tt_status_name((tt_status)999), "unknown");
  assert_int_equal(tt_status_from_name("no such"), TT_ERR_PROTOCOL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(objects_begin_as_zeros_and_data_is_aligned),
      cmocka_unit_test(buffer_writes_what_reader_reads),
      cmocka_unit_test(numbers_are_read_as_strtod_reads_them),
      cmocka_unit_test(short_read_stays_failed),
      cmocka_unit_test(buffer_prints_and_survives_lost_memory),
      cmocka_unit_test(id_map_agrees_with_array),
      cmocka_unit_test(name_map_agrees_with_array),
      cmocka_unit_test(maps_are_unchanged_when_memory_is_lost),
      cmocka_unit_test(generator_gives_philox_known_answers),
      cmocka_unit_test(generator_keeps_its_ranges),
      cmocka_unit_test(ids_differ_and_are_never_zero),
      cmocka_unit_test(clock_does_not_go_back),
      cmocka_unit_test(errors_are_filled_prefixed_and_cut),
      cmocka_unit_test(status_names_go_both_ways),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
