/* safetensors: against tests/fixtures/safetensors.json (by an encoder of its own), against damaged bytes, against lost memory. */
#include "json_fixture.h"

#include "base/alloc.h"
#include "base/random.h"
#include "wire/safetensors.h"

static cJSON *fixture;

static int load_fixture(void **state) {
  (void)state;
  fixture = read_json_fixture(TT_FIXTURES "/safetensors.json");
  return fixture != NULL ? 0 : -1;
}

static int drop_fixture(void **state) {
  (void)state;
  cJSON_Delete(fixture);
  return 0;
}

static tt_safetensors read_row(const cJSON *row) {
  exact_bytes bytes = hex_field(row, "bytes");
  tt_error error = {0};
  tt_safetensors file = {.tensors = NULL};
  if (tt_safetensors_read(bytes.bytes, bytes.n_bytes, &file, &error) != TT_OK)
    fail_msg("%s: %s", text_field(row, "name"), error.message);
  free(bytes.bytes);
  return file;
}

static void expect_tensor(const cJSON *wanted, const tt_named_tensor *got) {
  exact_bytes data = hex_field(wanted, "data");
  assert_string_equal(got->name, text_field(wanted, "name"));
  assert_string_equal(tt_dtype_name(tt_tensor_dtype(got->tensor)), text_field(wanted, "dtype"));
  const tt_shape *shape = tt_tensor_shape(got->tensor);
  assert_int_equal(shape->n_dims, cJSON_GetArraySize(field_of(wanted, "shape")));
  for (int i = 0; i < shape->n_dims; i++)
    assert_int_equal(shape->dims[i], cJSON_GetArrayItem(field_of(wanted, "shape"), i)->valuedouble);
  assert_int_equal(tt_tensor_n_elements(got->tensor) * (int64_t)tt_dtype_bytes(tt_tensor_dtype(got->tensor)), data.n_bytes);
  if (memcmp(tt_tensor_data(got->tensor), data.bytes, data.n_bytes) != 0) fail_msg("%s: elements differ", got->name);
  free(data.bytes);
}

static void files_are_read(void **state) {
  (void)state;
  const cJSON *row;
  cJSON_ArrayForEach(row, field_of(fixture, "files")) {
    tt_safetensors file = read_row(row);
    const cJSON *tensors = field_of(row, "tensors"), *metadata = field_of(row, "metadata");
    assert_int_equal(file.n_tensors, cJSON_GetArraySize(tensors));
    for (size_t i = 0; i < file.n_tensors; i++) expect_tensor(cJSON_GetArrayItem(tensors, (int)i), &file.tensors[i]);
    assert_int_equal(file.n_metadata, cJSON_GetArraySize(metadata));
    for (size_t i = 0; i < file.n_metadata; i++)
      assert_string_equal(file.metadata[i].text, text_field(metadata, file.metadata[i].name));
    tt_safetensors_release(&file);
    tt_safetensors_release(&file);
  }
}

static void what_is_written_is_read_again(void **state) {
  (void)state;
  int n_compared = 0;
  const cJSON *row;
  cJSON_ArrayForEach(row, field_of(fixture, "files")) {
    tt_safetensors file = read_row(row);
    tt_buffer written;
    tt_buffer_init(&written);
    tt_buffer_append(&written, "before", 6);
    tt_error error = {0};
    if (tt_safetensors_write(&written, &file, &error) != TT_OK) fail_msg("%s", error.message);
    if (cJSON_IsTrue(field_of(row, "is_ours"))) {
      exact_bytes wanted = hex_field(row, "bytes");
      assert_int_equal(written.n_bytes, 6 + wanted.n_bytes);
      assert_memory_equal(written.bytes + 6, wanted.bytes, wanted.n_bytes);
      free(wanted.bytes);
      n_compared++;
    }
    tt_safetensors again = {.tensors = NULL};
    if (tt_safetensors_read(written.bytes + 6, written.n_bytes - 6, &again, &error) != TT_OK) fail_msg("%s", error.message);
    assert_int_equal(again.n_tensors, file.n_tensors);
    assert_int_equal(again.n_metadata, file.n_metadata);
    for (size_t i = 0; i < again.n_tensors; i++) {
      size_t k = 0;
      while (strcmp(again.tensors[i].name, file.tensors[k].name) != 0) k++;
      assert_true(tt_shape_equal(tt_tensor_shape(again.tensors[i].tensor), tt_tensor_shape(file.tensors[k].tensor)));
      assert_memory_equal(tt_tensor_data(again.tensors[i].tensor), tt_tensor_data(file.tensors[k].tensor),
                          again.tensors[i].tensor->storage->n_bytes);
    }
    tt_safetensors_release(&again);
    tt_safetensors_release(&file);
    tt_buffer_release(&written);
  }
  assert_int_equal(n_compared, 5);
}

static void files_that_break_the_rules_are_refused_in_words(void **state) {
  (void)state;
  const cJSON *row;
  cJSON_ArrayForEach(row, field_of(fixture, "bad")) {
    exact_bytes bytes = hex_field(row, "bytes");
    tt_error error = {0};
    tt_safetensors file = {.n_tensors = 77};
    const tt_status status = tt_safetensors_read(bytes.bytes, bytes.n_bytes, &file, &error);
    if (strcmp(tt_status_name(status), text_field(row, "status")) != 0 || status != error.status ||
        strstr(error.message, text_field(row, "words")) == NULL || strncmp(error.message, ".safetensors: ", 14) != 0)
      fail_msg("%s: %s, \"%s\"", text_field(row, "name"), tt_status_name(status), error.message);
    assert_int_equal(file.n_tensors, 77);
    free(bytes.bytes);
  }
}

static void names_that_the_format_does_not_allow_are_not_written(void **state) {
  (void)state;
  static const struct {
    const char *names[2];
    const char *metadata;
    const char *words;
  } cases[] = {
      {{"a", "a"}, NULL, "'a' is there twice"},
      {{"__metadata__", "a"}, NULL, "keeps for metadata"},
      {{"\xff", "a"}, NULL, "UTF-8"},
      {{"a", "b"}, "\xc3", "UTF-8"},
  };
  tt_tensor *tensor = tt_tensor_zeros(TT_DTYPE_F32, &(tt_shape){.n_dims = 1, .dims = {3}}, NULL);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tt_safetensors file = {.tensors = NULL};
    tt_error error = {0};
    for (int k = 0; k < 2; k++) assert_int_equal(tt_safetensors_add(&file, cases[i].names[k], tensor, NULL), TT_OK);
    if (cases[i].metadata != NULL) assert_int_equal(tt_safetensors_add_metadata(&file, "m", cases[i].metadata, NULL), TT_OK);
    tt_buffer written;
    tt_buffer_init(&written);
    assert_int_equal(tt_safetensors_write(&written, &file, &error), TT_ERR_ARGUMENT);
    if (strstr(error.message, cases[i].words) == NULL) fail_msg("\"%s\"", error.message);
    assert_int_equal(written.n_bytes, 0);
    tt_buffer_release(&written);
    tt_safetensors_release(&file);
  }
  tt_tensor_unref(tensor);
}

static bool try_bytes(const uint8_t *bytes, size_t n_bytes) {
  exact_bytes exact = exact_copy(bytes, n_bytes);
  tt_error error = {0};
  tt_safetensors file = {.tensors = NULL};
  const tt_status status = tt_safetensors_read(exact.bytes, exact.n_bytes, &file, &error);
  if (status != TT_OK) assert_true(error.message[0] != 0);
  tt_safetensors_release(&file);
  free(exact.bytes);
  return status == TT_OK;
}

/* Cut anywhere, and bytes changed and moved, mostly in the header, by a generator with a fixed seed. */
static void damaged_files_never_crash(void **state) {
  (void)state;
  tt_generator generator;
  tt_generator_init(&generator, 2026);
  static const char likely[] = "{}[]:,\"0123456789\\.eE-FUIBOL _";
  size_t n_read = 0;
  const cJSON *row;
  cJSON_ArrayForEach(row, field_of(fixture, "files")) {
    exact_bytes file = hex_field(row, "bytes");
    for (size_t n = 0; n < file.n_bytes; n++) assert_false(try_bytes(file.bytes, n));
    for (int round = 0; round < 1500; round++) {
      exact_bytes damaged = exact_copy(file.bytes, file.n_bytes);
      const int64_t n_changes = 1 + tt_generator_below(&generator, 3);
      for (int64_t i = 0; i < n_changes; i++) {
        const size_t at = (size_t)tt_generator_below(&generator, file.n_bytes);
        const size_t from = (size_t)tt_generator_below(&generator, file.n_bytes);
        const int64_t how = tt_generator_below(&generator, 3);
        if (how == 0) damaged.bytes[at] = (uint8_t)tt_generator_u32(&generator);
        if (how == 1) damaged.bytes[at] = (uint8_t)likely[tt_generator_below(&generator, sizeof likely - 1)];
        if (how == 2) memmove(damaged.bytes + at, damaged.bytes + from, damaged.n_bytes - (at > from ? at : from));
      }
      n_read += try_bytes(damaged.bytes, damaged.n_bytes);
      free(damaged.bytes);
    }
    free(file.bytes);
  }
  assert_true(n_read > 100);
}

static void lost_memory_is_an_error(void **state) {
  (void)state;
  const cJSON *row;
  cJSON_ArrayForEach(row, field_of(fixture, "files")) {
    exact_bytes bytes = hex_field(row, "bytes");
    tt_status status = TT_ERR_MEMORY;
    for (long n = 0; status != TT_OK; n++) {
      tt_safetensors file = {.tensors = NULL};
      tt_alloc_fail_after(n);
      status = tt_safetensors_read(bytes.bytes, bytes.n_bytes, &file, NULL);
      tt_alloc_fail_after(-1);
      if (n == 0) assert_int_equal(status, TT_ERR_MEMORY);
      if (status != TT_OK) assert_int_equal(status, TT_ERR_MEMORY);
      tt_safetensors_release(&file);
    }
    tt_safetensors file = read_row(row);
    status = TT_ERR_MEMORY;
    for (long n = 0; status != TT_OK; n++) {
      tt_buffer written;
      tt_buffer_init(&written);
      tt_alloc_fail_after(n);
      status = tt_safetensors_write(&written, &file, NULL);
      tt_alloc_fail_after(-1);
      if (n == 0) assert_int_equal(status, TT_ERR_MEMORY);
      if (status != TT_OK) {
        assert_int_equal(status, TT_ERR_MEMORY);
        assert_int_equal(written.n_bytes, 0);
      }
      tt_buffer_release(&written);
    }
    tt_safetensors_release(&file);
    free(bytes.bytes);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files_are_read),
      cmocka_unit_test(what_is_written_is_read_again),
      cmocka_unit_test(files_that_break_the_rules_are_refused_in_words),
      cmocka_unit_test(names_that_the_format_does_not_allow_are_not_written),
      cmocka_unit_test(damaged_files_never_crash),
      cmocka_unit_test(lost_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, load_fixture, drop_fixture);
}
