/* npy: against tests/fixtures/npy.json (made by NumPy), against damaged bytes, against lost memory. */
#include "json_fixture.h"

#include "base/alloc.h"
#include "base/random.h"
#include "wire/npy.h"

static cJSON *fixture;

static int load_fixture(void **state) {
  (void)state;
  fixture = read_json_fixture(TT_FIXTURES "/npy.json");
  return fixture != NULL ? 0 : -1;
}

static int drop_fixture(void **state) {
  (void)state;
  cJSON_Delete(fixture);
  return 0;
}

static tt_tensor *read_file(const char *name, const exact_bytes *file, size_t *n_used) {
  tt_error error = {0};
  tt_tensor *tensor = NULL;
  if (tt_npy_read(file->bytes, file->n_bytes, &tensor, n_used, &error) != TT_OK) fail_msg("%s: %s", name, error.message);
  return tensor;
}

static void files_of_numpy_are_read(void **state) {
  (void)state;
  const cJSON *row;
  cJSON_ArrayForEach(row, field_of(fixture, "files")) {
    const char *name = text_field(row, "name");
    exact_bytes file = hex_field(row, "npy"), data = hex_field(row, "data");
    size_t n_used = 0;
    tt_tensor *tensor = read_file(name, &file, &n_used);
    assert_string_equal(tt_dtype_name(tt_tensor_dtype(tensor)), text_field(row, "dtype"));
    const tt_shape *shape = tt_tensor_shape(tensor);
    assert_int_equal(shape->n_dims, cJSON_GetArraySize(field_of(row, "shape")));
    for (int i = 0; i < shape->n_dims; i++)
      assert_int_equal(shape->dims[i], cJSON_GetArrayItem(field_of(row, "shape"), i)->valuedouble);
    tt_tensor *dense = tt_tensor_contiguous(tensor, NULL);
    assert_int_equal(tt_tensor_n_elements(dense) * (int64_t)tt_dtype_bytes(tt_tensor_dtype(dense)), data.n_bytes);
    if (memcmp(tt_tensor_data(dense), data.bytes, data.n_bytes) != 0) fail_msg("%s: elements differ", name);
    if (strcmp(name, "bytes behind the array") == 0)
      assert_int_equal(n_used, file.n_bytes - 4);
    else
      assert_int_equal(n_used, file.n_bytes);
    tt_tensor_unref(dense);
    tt_tensor_unref(tensor);
    free(file.bytes);
    free(data.bytes);
  }
}

static void what_is_written_is_what_numpy_writes(void **state) {
  (void)state;
  int n_compared = 0;
  const cJSON *row;
  cJSON_ArrayForEach(row, field_of(fixture, "files")) {
    exact_bytes file = hex_field(row, "npy");
    tt_tensor *tensor = read_file(text_field(row, "name"), &file, NULL);
    tt_buffer written;
    tt_buffer_init(&written);
    tt_buffer_append(&written, "before", 6);
    assert_int_equal(tt_npy_write(&written, tensor, NULL), TT_OK);
    if (cJSON_IsTrue(field_of(row, "is_ours"))) {
      assert_int_equal(written.n_bytes, 6 + file.n_bytes);
      if (memcmp(written.bytes + 6, file.bytes, file.n_bytes) != 0) fail_msg("%s: bytes differ", text_field(row, "name"));
      n_compared++;
    }
    exact_bytes again = exact_copy(written.bytes + 6, written.n_bytes - 6);
    tt_tensor *second = read_file(text_field(row, "name"), &again, NULL);
    tt_tensor *dense = tt_tensor_contiguous(tensor, NULL);
    assert_true(tt_shape_equal(tt_tensor_shape(second), tt_tensor_shape(tensor)));
    assert_memory_equal(tt_tensor_data(second), tt_tensor_data(dense),
                        (size_t)tt_tensor_n_elements(dense) * tt_dtype_bytes(tt_tensor_dtype(dense)));
    tt_tensor_unref(dense);
    tt_tensor_unref(second);
    tt_tensor_unref(tensor);
    free(again.bytes);
    free(file.bytes);
    tt_buffer_release(&written);
  }
  assert_int_equal(n_compared, 11);
}

static void fortran_order_gives_strides(void **state) {
  (void)state;
  const cJSON *row;
  cJSON_ArrayForEach(row, field_of(fixture, "files")) {
    if (strcmp(text_field(row, "name"), "f8 in Fortran order") != 0) continue;
    exact_bytes file = hex_field(row, "npy");
    tt_tensor *tensor = read_file("f8 in Fortran order", &file, NULL);
    assert_int_equal(tensor->strides[0], 1);
    assert_int_equal(tensor->strides[1], 2);
    tt_tensor_unref(tensor);
    free(file.bytes);
    return;
  }
  fail_msg("the fixture has no such file");
}

static void what_is_no_array_is_refused_in_words(void **state) {
  (void)state;
  const cJSON *row;
  cJSON_ArrayForEach(row, field_of(fixture, "bad")) {
    exact_bytes file = hex_field(row, "npy");
    tt_error error = {0};
    tt_tensor *untouched = (tt_tensor *)(void *)&error, *tensor = untouched;
    size_t n_used = 77;
    const tt_status status = tt_npy_read(file.bytes, file.n_bytes, &tensor, &n_used, &error);
    if (strcmp(tt_status_name(status), text_field(row, "status")) != 0 || status != error.status ||
        strstr(error.message, text_field(row, "words")) == NULL)
      fail_msg("%s: %s, \"%s\"", text_field(row, "name"), tt_status_name(status), error.message);
    assert_ptr_equal(tensor, untouched);
    assert_int_equal(n_used, 77);
    free(file.bytes);
  }
}

/* Reads bytes that may be anything: an answer or a sentence, nothing else. */
static bool try_bytes(const uint8_t *bytes, size_t n_bytes) {
  exact_bytes file = exact_copy(bytes, n_bytes);
  tt_error error = {0};
  tt_tensor *tensor = NULL;
  const tt_status status = tt_npy_read(file.bytes, file.n_bytes, &tensor, NULL, &error);
  assert_true((status == TT_OK) == (tensor != NULL));
  if (status != TT_OK) assert_true(error.message[0] != 0);
  tt_tensor_unref(tensor);
  free(file.bytes);
  return status == TT_OK;
}

static void cut_files_are_refused(void **state) {
  (void)state;
  const cJSON *row;
  cJSON_ArrayForEach(row, field_of(fixture, "files")) {
    exact_bytes file = hex_field(row, "npy");
    if (cJSON_IsTrue(field_of(row, "is_ours"))) {
      for (size_t n = 0; n < file.n_bytes; n++) assert_false(try_bytes(file.bytes, n));
    }
    free(file.bytes);
  }
}

/* Bytes changed, dropped and doubled, mostly in the header, by a generator with a fixed seed. */
static void damaged_files_never_crash(void **state) {
  (void)state;
  tt_generator generator;
  tt_generator_init(&generator, 2026);
  static const char likely[] = "{}()[]<>|'\",:0123456789L=?bfiu\\ \n";
  const cJSON *row;
  size_t n_read = 0;
  cJSON_ArrayForEach(row, field_of(fixture, "files")) {
    exact_bytes file = hex_field(row, "npy");
    for (int round = 0; round < 400; round++) {
      exact_bytes damaged = exact_copy(file.bytes, file.n_bytes);
      const size_t header = file.n_bytes < 100 ? file.n_bytes : 100;
      const int64_t n_changes = 1 + tt_generator_below(&generator, 4);
      for (int64_t i = 0; i < n_changes; i++) {
        const size_t at = (size_t)tt_generator_below(&generator, header);
        const size_t from = (size_t)tt_generator_below(&generator, header);
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
  /* Some changes do no harm; were there none, the others would not have come far. */
  assert_true(n_read > 100);
}

static void lost_memory_is_an_error(void **state) {
  (void)state;
  const cJSON *row;
  cJSON_ArrayForEach(row, field_of(fixture, "files")) {
    exact_bytes file = hex_field(row, "npy");
    bool has_failed = true;
    for (long n = 0; has_failed; n++) {
      tt_error error = {0};
      tt_tensor *tensor = NULL;
      tt_alloc_fail_after(n);
      const tt_status status = tt_npy_read(file.bytes, file.n_bytes, &tensor, NULL, &error);
      tt_alloc_fail_after(-1);
      has_failed = status != TT_OK;
      if (has_failed) {
        assert_int_equal(status, TT_ERR_MEMORY);
        assert_int_equal(error.status, TT_ERR_MEMORY);
      }
      if (n == 0) assert_true(has_failed);
      tt_tensor_unref(tensor);
    }
    tt_tensor *tensor = read_file(text_field(row, "name"), &file, NULL);
    has_failed = true;
    for (long n = 0; has_failed; n++) {
      tt_buffer written;
      tt_buffer_init(&written);
      tt_alloc_fail_after(n);
      const tt_status status = tt_npy_write(&written, tensor, NULL);
      tt_alloc_fail_after(-1);
      has_failed = status != TT_OK;
      if (has_failed) {
        assert_int_equal(status, TT_ERR_MEMORY);
        assert_int_equal(written.n_bytes, 0);
      }
      if (n == 0) assert_true(has_failed);
      tt_buffer_release(&written);
    }
    tt_tensor_unref(tensor);
    free(file.bytes);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files_of_numpy_are_read),     cmocka_unit_test(what_is_written_is_what_numpy_writes),
      cmocka_unit_test(fortran_order_gives_strides), cmocka_unit_test(what_is_no_array_is_refused_in_words),
      cmocka_unit_test(cut_files_are_refused),       cmocka_unit_test(damaged_files_never_crash),
      cmocka_unit_test(lost_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, load_fixture, drop_fixture);
}
