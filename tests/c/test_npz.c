/* npz: against tests/fixtures/npz.json (made by NumPy and zipfile), against its own output, against damaged bytes and lost memory. */
#include "json_fixture.h"

#include "base/alloc.h"
#include "base/random.h"
#include "wire/npz.h"

static cJSON *fixture;

static int load_fixture(void **state) {
  (void)state;
  fixture = read_json_fixture(TT_FIXTURES "/npz.json");
  return fixture != NULL ? 0 : -1;
}

static int drop_fixture(void **state) {
  (void)state;
  cJSON_Delete(fixture);
  return 0;
}

static tt_npz read_bytes(const char *name, const uint8_t *bytes, size_t n_bytes) {
  tt_npz file = {.tensors = NULL};
  tt_error error = {0};
  if (tt_npz_read(bytes, n_bytes, 1 << 20, &file, &error) != TT_OK) fail_msg("%s: %s", name, error.message);
  return file;
}

static void expect_arrays(const cJSON *arrays, const tt_npz *file) {
  assert_int_equal(file->n_tensors, cJSON_GetArraySize(arrays));
  for (size_t i = 0; i < file->n_tensors; i++) {
    const cJSON *wanted = cJSON_GetArrayItem(arrays, (int)i);
    const tt_tensor *got = file->tensors[i].tensor;
    exact_bytes data = hex_field(wanted, "data");
    assert_string_equal(file->tensors[i].name, wanted->string);
    assert_string_equal(tt_dtype_name(tt_tensor_dtype(got)), text_field(wanted, "dtype"));
    assert_int_equal(tt_tensor_n_dims(got), cJSON_GetArraySize(field_of(wanted, "shape")));
    assert_int_equal(tt_tensor_n_elements(got) * (int64_t)tt_dtype_bytes(tt_tensor_dtype(got)), data.n_bytes);
    if (data.n_bytes > 0) assert_memory_equal(tt_tensor_data(got), data.bytes, data.n_bytes);
    free(data.bytes);
  }
}

static void archives_of_numpy_are_read(void **state) {
  (void)state;
  const cJSON *row;
  cJSON_ArrayForEach(row, field_of(fixture, "files")) {
    exact_bytes bytes = hex_field(row, "npz");
    tt_npz file = read_bytes(text_field(row, "name"), bytes.bytes, bytes.n_bytes);
    expect_arrays(field_of(row, "arrays"), &file);
    assert_int_equal(file.n_others, field_of(row, "others")->valuedouble);
    tt_npz_release(&file);
    tt_npz_release(&file);
    free(bytes.bytes);
  }
}

static void what_is_written_is_read_again(void **state) {
  (void)state;
  const cJSON *row;
  size_t sizes[2] = {0};
  cJSON_ArrayForEach(row, field_of(fixture, "files")) {
    exact_bytes bytes = hex_field(row, "npz");
    tt_npz file = read_bytes(text_field(row, "name"), bytes.bytes, bytes.n_bytes);
    for (int is_deflated = 0; is_deflated < 2; is_deflated++) {
      tt_buffer written;
      tt_buffer_init(&written);
      tt_buffer_append(&written, "before", 6);
      tt_error error = {0};
      if (tt_npz_write(&written, &file, is_deflated == 1, &error) != TT_OK) fail_msg("%s", error.message);
      tt_npz again = read_bytes("what was written", written.bytes + 6, written.n_bytes - 6);
      expect_arrays(field_of(row, "arrays"), &again);
      sizes[is_deflated] += written.n_bytes;
      tt_npz_release(&again);
      tt_buffer_release(&written);
    }
    tt_npz_release(&file);
    free(bytes.bytes);
  }
  assert_true(sizes[1] < sizes[0] / 2);
}

static void what_is_not_to_be_read_is_refused_in_words(void **state) {
  (void)state;
  const cJSON *row;
  cJSON_ArrayForEach(row, field_of(fixture, "bad")) {
    exact_bytes bytes = hex_field(row, "npz");
    tt_error error = {0};
    tt_npz file = {.n_tensors = 77};
    const tt_status status =
        tt_npz_read(bytes.bytes, bytes.n_bytes, (uint64_t)field_of(row, "max_bytes")->valuedouble, &file, &error);
    if (strcmp(tt_status_name(status), text_field(row, "status")) != 0 || status != error.status ||
        strstr(error.message, text_field(row, "words")) == NULL || strncmp(error.message, ".npz: ", 6) != 0)
      fail_msg("%s: %s, \"%s\"", text_field(row, "name"), tt_status_name(status), error.message);
    assert_int_equal(file.n_tensors, 77);
    free(bytes.bytes);
  }
}

static void a_name_twice_is_not_written(void **state) {
  (void)state;
  tt_tensor *tensor = tt_tensor_zeros(TT_DTYPE_F32, &(tt_shape){.n_dims = 1, .dims = {3}}, NULL);
  tt_npz file = {.tensors = NULL};
  for (int i = 0; i < 2; i++) assert_int_equal(tt_npz_add(&file, "a", tensor, NULL), TT_OK);
  tt_buffer written;
  tt_buffer_init(&written);
  tt_error error = {0};
  assert_int_equal(tt_npz_write(&written, &file, false, &error), TT_ERR_ARGUMENT);
  assert_non_null(strstr(error.message, "two members 'a'"));
  assert_int_equal(written.n_bytes, 0);
  tt_buffer_release(&written);
  tt_npz_release(&file);
  tt_tensor_unref(tensor);
}

/* Cut anywhere, and bytes changed, by a generator with a fixed seed. */
static void damaged_archives_never_crash(void **state) {
  (void)state;
  tt_generator generator;
  tt_generator_init(&generator, 2026);
  size_t n_refused = 0;
  const cJSON *row;
  cJSON_ArrayForEach(row, field_of(fixture, "files")) {
    exact_bytes bytes = hex_field(row, "npz");
    for (int round = 0; round < 600; round++) {
      const bool is_cut = round % 3 == 0;
      exact_bytes damaged =
          exact_copy(bytes.bytes, is_cut ? (size_t)tt_generator_below(&generator, bytes.n_bytes) : bytes.n_bytes);
      for (int i = 0; !is_cut && i < 3; i++)
        damaged.bytes[tt_generator_below(&generator, damaged.n_bytes)] = (uint8_t)tt_generator_u32(&generator);
      tt_npz file = {.tensors = NULL};
      tt_error error = {0};
      if (tt_npz_read(damaged.bytes, damaged.n_bytes, 1 << 20, &file, &error) != TT_OK) n_refused++;
      tt_npz_release(&file);
      free(damaged.bytes);
    }
    free(bytes.bytes);
  }
  assert_true(n_refused > 1000);
}

/* Ours, that is: libzip has an allocator of its own. */
static void lost_memory_is_an_error(void **state) {
  (void)state;
  const cJSON *row = cJSON_GetArrayItem(field_of(fixture, "files"), 1);
  exact_bytes bytes = hex_field(row, "npz");
  tt_status status = TT_ERR_MEMORY;
  for (long n = 0; status != TT_OK; n++) {
    tt_npz file = {.tensors = NULL};
    tt_alloc_fail_after(n);
    status = tt_npz_read(bytes.bytes, bytes.n_bytes, 1 << 20, &file, NULL);
    tt_alloc_fail_after(-1);
    if (n == 0 || status != TT_OK) assert_int_equal(status, TT_ERR_MEMORY);
    tt_npz_release(&file);
  }
  tt_npz file = read_bytes("the file", bytes.bytes, bytes.n_bytes);
  status = TT_ERR_MEMORY;
  for (long n = 0; status != TT_OK; n++) {
    tt_buffer written;
    tt_buffer_init(&written);
    tt_alloc_fail_after(n);
    status = tt_npz_write(&written, &file, true, NULL);
    tt_alloc_fail_after(-1);
    if (n == 0 || status != TT_OK) assert_int_equal(status, TT_ERR_MEMORY);
    if (status != TT_OK) assert_int_equal(written.n_bytes, 0);
    tt_buffer_release(&written);
  }
  tt_npz_release(&file);
  free(bytes.bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(archives_of_numpy_are_read),
      cmocka_unit_test(what_is_written_is_read_again),
      cmocka_unit_test(what_is_not_to_be_read_is_refused_in_words),
      cmocka_unit_test(a_name_twice_is_not_written),
      cmocka_unit_test(damaged_archives_never_crash),
      cmocka_unit_test(lost_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, load_fixture, drop_fixture);
}
