#include "wire/safetensors.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "wire/json.h"
#include "wire/stored.h"

static const char metadata_name[] = "__metadata__";

/* Numbers beyond this are not whole in a double, which is what cJSON makes of them. */
static const double max_whole = 9007199254740992.0;

enum { LENGTH_BYTES = 8, HEADER_ALIGNMENT_BYTES = 8 };

void tt_safetensors_release(tt_safetensors *file) {
  for (size_t i = 0; i < file->n_tensors; i++) {
    tt_free(file->tensors[i].name);
    tt_tensor_unref(file->tensors[i].tensor);
  }
  for (size_t i = 0; i < file->n_metadata; i++) {
    tt_free(file->metadata[i].name);
    tt_free(file->metadata[i].text);
  }
  tt_free(file->tensors);
  tt_free(file->metadata);
  *file = (tt_safetensors){.tensors = NULL};
}

static tt_status no_memory(tt_error *error, const char *name) {
  return tt_fail(error, TT_ERR_MEMORY, ".safetensors: no memory for '%.64s'", name);
}

tt_status tt_safetensors_add(tt_safetensors *file, const char *name, tt_tensor *tensor, tt_error *error) {
  tt_named_tensor *grown = tt_realloc(file->tensors, (file->n_tensors + 1) * sizeof *grown);
  if (grown == NULL) return no_memory(error, name);
  file->tensors = grown;
  char *copy = tt_strdup(name);
  if (copy == NULL) return no_memory(error, name);
  grown[file->n_tensors++] = (tt_named_tensor){.name = copy, .tensor = tt_tensor_ref(tensor)};
  return TT_OK;
}

tt_status tt_safetensors_add_metadata(tt_safetensors *file, const char *name, const char *text, tt_error *error) {
  tt_named_text *grown = tt_realloc(file->metadata, (file->n_metadata + 1) * sizeof *grown);
  if (grown == NULL) return no_memory(error, name);
  file->metadata = grown;
  char *name_copy = tt_strdup(name), *text_copy = tt_strdup(text);
  if (name_copy == NULL || text_copy == NULL) {
    tt_free(name_copy);
    tt_free(text_copy);
    return no_memory(error, name);
  }
  grown[file->n_metadata++] = (tt_named_text){.name = name_copy, .text = text_copy};
  return TT_OK;
}

/* ---- reading ---- */

/* What the header says of one tensor; where its elements stand, counted from the end of the header. */
typedef struct entry {
  const char *name; /* of cJSON's */
  const tt_stored *stored;
  tt_shape shape;
  uint64_t begin, end;
} entry;

static tt_status fail_entry(tt_error *error, const char *name, const char *what) {
  return tt_fail(error, TT_ERR_ARGUMENT, ".safetensors: the tensor '%.64s' %s", name, what);
}

static bool whole_of(const cJSON *item, uint64_t *whole) {
  if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= max_whole)) return false;
  *whole = (uint64_t)item->valuedouble;
  return (double)*whole == item->valuedouble;
}

static tt_status read_entry_shape(const cJSON *list, entry *read, tt_error *error) {
  if (!cJSON_IsArray(list)) return fail_entry(error, read->name, "has no shape: a list of sizes");
  int64_t dims[TT_MAX_DIMS];
  size_t n = 0;
  const cJSON *item;
  cJSON_ArrayForEach(item, list) {
    uint64_t size;
    if (!whole_of(item, &size))
      return fail_entry(error, read->name, "has a size in its shape that is no whole number from 0 to 2^53");
    if (n < TT_MAX_DIMS) dims[n] = (int64_t)size;
    n++;
  }
  const tt_status status = tt_shape_make(dims, n, &read->shape, error);
  if (status != TT_OK) tt_error_prefix(error, ".safetensors: the tensor '%.64s'", read->name);
  return status;
}

static tt_status read_entry(const cJSON *item, size_t n_data_bytes, entry *read, tt_error *error) {
  *read = (entry){.name = item->string};
  const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(item, "dtype");
  const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
  if (!cJSON_IsObject(item) || cJSON_GetArraySize(item) != 3)
    return fail_entry(error, read->name, "is not described by dtype, shape and data_offsets alone");
  if (!cJSON_IsString(dtype)) return fail_entry(error, read->name, "has no dtype: a string");
  read->stored = tt_stored_by_name(dtype->valuestring, strlen(dtype->valuestring));
  if (read->stored == NULL) {
    return tt_fail(
        error, TT_ERR_DTYPE,
        ".safetensors: the tensor '%.64s' is of the dtype '%.32s', which has no counterpart here; convert it before saving",
        read->name, dtype->valuestring);
  }
  TT_TRY(read_entry_shape(cJSON_GetObjectItemCaseSensitive(item, "shape"), read, error));
  if (cJSON_GetArraySize(offsets) != 2 || !whole_of(cJSON_GetArrayItem(offsets, 0), &read->begin) ||
      !whole_of(cJSON_GetArrayItem(offsets, 1), &read->end))
    return fail_entry(error, read->name, "has no data_offsets: where its elements begin and end");
  if (read->begin > read->end || read->end > n_data_bytes) {
    return tt_fail(error, TT_ERR_ARGUMENT,
                   ".safetensors: the tensor '%.64s' is said to be at the bytes %" PRIu64 " to %" PRIu64 " of %zu", read->name,
                   read->begin, read->end, n_data_bytes);
  }
  const uint64_t needed = (uint64_t)tt_shape_n_elements(&read->shape) * read->stored->n_bytes;
  if (read->end - read->begin != needed) {
    char text[TT_SHAPE_TEXT_BYTES];
    return tt_fail(error, TT_ERR_ARGUMENT,
                   ".safetensors: the tensor '%.64s' of dtype %s and shape %s takes %" PRIu64 " bytes, not %" PRIu64,
                   read->name, read->stored->name, tt_shape_text(&read->shape, text), needed, read->end - read->begin);
  }
  return TT_OK;
}

static int by_offset(const void *a, const void *b) {
  const entry *left = *(const entry *const *)a, *right = *(const entry *const *)b;
  if (left->begin != right->begin) return left->begin < right->begin ? -1 : 1;
  return left->end < right->end ? -1 : left->end > right->end;
}

static int by_entry_name(const void *a, const void *b) {
  return strcmp((*(const entry *const *)a)->name, (*(const entry *const *)b)->name);
}

/* Names differ, and the elements of all tensors are all bytes there are, each once. `order` has room for n. */
static tt_status check_entries(const entry *entries, size_t n, const entry **order, size_t n_data_bytes, tt_error *error) {
  for (size_t i = 0; i < n; i++) order[i] = &entries[i];
  if (n > 0) qsort(order, n, sizeof *order, by_entry_name);
  for (size_t i = 1; i < n; i++) {
    if (strcmp(order[i - 1]->name, order[i]->name) == 0) return fail_entry(error, order[i]->name, "is there twice");
  }
  if (n > 0) qsort(order, n, sizeof *order, by_offset);
  uint64_t end = 0;
  for (size_t i = 0; i < n; i++) {
    if (order[i]->begin < end) return fail_entry(error, order[i]->name, "has elements that belong to another tensor as well");
    if (order[i]->begin > end) return fail_entry(error, order[i]->name, "begins behind bytes that belong to no tensor");
    end = order[i]->end;
  }
  if (end == n_data_bytes) return TT_OK;
  return tt_fail(error, TT_ERR_ARGUMENT, ".safetensors: %zu bytes at the end belong to no tensor", n_data_bytes - (size_t)end);
}

static tt_status read_metadata(const cJSON *object, tt_safetensors *file, tt_error *error) {
  if (!cJSON_IsObject(object)) return tt_fail(error, TT_ERR_ARGUMENT, ".safetensors: __metadata__ is no object of strings");
  const cJSON *item;
  cJSON_ArrayForEach(item, object) {
    if (!cJSON_IsString(item))
      return tt_fail(error, TT_ERR_ARGUMENT, ".safetensors: __metadata__ has '%.64s', which is no string", item->string);
    TT_TRY(tt_safetensors_add_metadata(file, item->string, item->valuestring, error));
  }
  return TT_OK;
}

static tt_status read_tensors(const entry *entries, size_t n, const uint8_t *data, tt_safetensors *file, tt_error *error) {
  for (size_t i = 0; i < n; i++) {
    tt_tensor *tensor = tt_stored_tensor(entries[i].stored, &entries[i].shape, data + entries[i].begin, false, false, error);
    if (tensor == NULL) return no_memory(error, entries[i].name);
    const tt_status status = tt_safetensors_add(file, entries[i].name, tensor, error);
    tt_tensor_unref(tensor);
    if (status != TT_OK) return status;
  }
  return TT_OK;
}

/* `entries` and `order` have room for every field of the header. */
static tt_status read_header(const cJSON *root, const uint8_t *data, size_t n_data_bytes, entry *entries, const entry **order,
                             tt_safetensors *file, tt_error *error) {
  size_t n = 0;
  bool has_metadata = false;
  const cJSON *item;
  cJSON_ArrayForEach(item, root) {
    if (strcmp(item->string, metadata_name) != 0) {
      TT_TRY(read_entry(item, n_data_bytes, &entries[n++], error));
      continue;
    }
    if (has_metadata) return tt_fail(error, TT_ERR_ARGUMENT, ".safetensors: __metadata__ is there twice");
    has_metadata = true;
    TT_TRY(read_metadata(item, file, error));
  }
  TT_TRY(check_entries(entries, n, order, n_data_bytes, error));
  return read_tensors(entries, n, data, file, error);
}

/* The length of the header, which stands behind the eight bytes that say it. */
static tt_status find_header(const uint8_t *bytes, size_t n_bytes, size_t *length, tt_error *error) {
  if (n_bytes < LENGTH_BYTES)
    return tt_fail(error, TT_ERR_ARGUMENT, ".safetensors: %zu bytes are too few to be a file", n_bytes);
  const uint64_t announced = tt_load_u64(bytes);
  if (announced > TT_SAFETENSORS_MAX_HEADER_BYTES) {
    return tt_fail(error, TT_ERR_ARGUMENT,
                   ".safetensors: a header of %" PRIu64 " bytes is announced; at most %d are read: is it such a file?",
                   announced, TT_SAFETENSORS_MAX_HEADER_BYTES);
  }
  if (announced > n_bytes - LENGTH_BYTES) {
    return tt_fail(error, TT_ERR_ARGUMENT, ".safetensors: the file is cut short: it ends after %zu bytes, within its header",
                   n_bytes);
  }
  if (announced == 0 || bytes[LENGTH_BYTES] != '{')
    return tt_fail(error, TT_ERR_ARGUMENT, ".safetensors: the header does not begin with {");
  *length = (size_t)announced;
  return TT_OK;
}

tt_status tt_safetensors_read(const void *bytes, size_t n_bytes, tt_safetensors *file, tt_error *error) {
  size_t length = 0;
  TT_TRY(find_header(bytes, n_bytes, &length, error));
  const uint8_t *header = (const uint8_t *)bytes + LENGTH_BYTES;
  tt_error reason = {.status = TT_OK};
  cJSON *root = NULL;
  tt_status status = tt_json_parse(header, length, &root, &reason);
  if (status != TT_OK) {
    return tt_fail(error, status == TT_ERR_PROTOCOL ? TT_ERR_ARGUMENT : status, ".safetensors: the header is not good: %s",
                   reason.message);
  }
  tt_safetensors read = {.tensors = NULL};
  const size_t n_fields = (size_t)cJSON_GetArraySize(root);
  entry *entries = tt_alloc(n_fields, sizeof *entries);
  const entry **order = tt_alloc(n_fields, sizeof *order);
  status = entries == NULL || order == NULL
               ? no_memory(error, "its header")
               : read_header(root, header + length, n_bytes - LENGTH_BYTES - length, entries, order, &read, error);
  tt_free(order);
  tt_free(entries);
  cJSON_Delete(root);
  if (status == TT_OK) {
    *file = read;
  } else {
    tt_safetensors_release(&read);
  }
  return status;
}

/* ---- writing ---- */

static int by_alignment_and_name(const void *a, const void *b) {
  const tt_named_tensor *left = *(const tt_named_tensor *const *)a, *right = *(const tt_named_tensor *const *)b;
  const size_t left_bytes = tt_dtype_bytes(tt_tensor_dtype(left->tensor)),
               right_bytes = tt_dtype_bytes(tt_tensor_dtype(right->tensor));
  if (left_bytes != right_bytes) return left_bytes > right_bytes ? -1 : 1;
  return strcmp(left->name, right->name);
}

static int by_tensor_name(const void *a, const void *b) {
  return strcmp((*(const tt_named_tensor *const *)a)->name, (*(const tt_named_tensor *const *)b)->name);
}

static tt_status check_text(const char *text, tt_error *error) {
  if (tt_utf8_is_valid(text, strlen(text))) return TT_OK;
  return tt_fail(error, TT_ERR_ARGUMENT, ".safetensors: a name or a text of the metadata is not valid UTF-8");
}

static tt_status check_names(const tt_safetensors *file, const tt_named_tensor **order, tt_error *error) {
  for (size_t i = 0; i < file->n_metadata; i++) {
    TT_TRY(check_text(file->metadata[i].name, error));
    TT_TRY(check_text(file->metadata[i].text, error));
    for (size_t k = 0; k < i; k++) {
      if (strcmp(file->metadata[k].name, file->metadata[i].name) == 0)
        return tt_fail(error, TT_ERR_ARGUMENT, ".safetensors: the metadata has '%.64s' twice", file->metadata[i].name);
    }
  }
  if (file->n_tensors > 0) qsort(order, file->n_tensors, sizeof *order, by_tensor_name);
  for (size_t i = 0; i < file->n_tensors; i++) {
    TT_TRY(check_text(order[i]->name, error));
    if (strcmp(order[i]->name, metadata_name) == 0)
      return fail_entry(error, metadata_name, "has the name that the format keeps for metadata");
    if (i > 0 && strcmp(order[i - 1]->name, order[i]->name) == 0) return fail_entry(error, order[i]->name, "is there twice");
  }
  return TT_OK;
}

static uint64_t data_bytes_of(const tt_tensor *tensor) {
  return (uint64_t)tt_tensor_n_elements(tensor) * tt_dtype_bytes(tt_tensor_dtype(tensor));
}

static void write_header(tt_buffer *bytes, const tt_safetensors *file, const tt_named_tensor *const *order) {
  const char *between = "";
  tt_buffer_u8(bytes, '{');
  if (file->n_metadata > 0) {
    tt_buffer_printf(bytes, "\"%s\":{", metadata_name);
    for (size_t i = 0; i < file->n_metadata; i++) {
      if (i > 0) tt_buffer_u8(bytes, ',');
      tt_json_write_text(bytes, file->metadata[i].name, strlen(file->metadata[i].name));
      tt_buffer_u8(bytes, ':');
      tt_json_write_text(bytes, file->metadata[i].text, strlen(file->metadata[i].text));
    }
    tt_buffer_u8(bytes, '}');
    between = ",";
  }
  uint64_t at = 0;
  for (size_t i = 0; i < file->n_tensors; i++) {
    const tt_tensor *tensor = order[i]->tensor;
    const tt_shape *shape = tt_tensor_shape(tensor);
    tt_buffer_printf(bytes, "%s", between);
    between = ",";
    tt_json_write_text(bytes, order[i]->name, strlen(order[i]->name));
    tt_buffer_printf(bytes, ":{\"dtype\":\"%s\",\"shape\":[", tt_stored_of(tt_tensor_dtype(tensor))->name);
    for (int d = 0; d < shape->n_dims; d++) tt_buffer_printf(bytes, d == 0 ? "%" PRId64 : ",%" PRId64, shape->dims[d]);
    tt_buffer_printf(bytes, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, at + data_bytes_of(tensor));
    at += data_bytes_of(tensor);
  }
  tt_buffer_u8(bytes, '}');
}

static tt_status write_file(tt_buffer *bytes, const tt_safetensors *file, const tt_named_tensor **order, tt_error *error) {
  TT_TRY(check_names(file, order, error));
  if (file->n_tensors > 0) qsort(order, file->n_tensors, sizeof *order, by_alignment_and_name);
  const size_t from = bytes->n_bytes;
  tt_buffer_u64(bytes, 0); /* the length, known below */
  write_header(bytes, file, order);
  const size_t over = (bytes->n_bytes - from) % HEADER_ALIGNMENT_BYTES;
  for (size_t i = over; over != 0 && i < HEADER_ALIGNMENT_BYTES; i++) tt_buffer_u8(bytes, ' ');
  if (bytes->failed) return no_memory(error, "its header");
  const size_t length = bytes->n_bytes - from - LENGTH_BYTES;
  if (length > TT_SAFETENSORS_MAX_HEADER_BYTES) {
    return tt_fail(error, TT_ERR_ARGUMENT, ".safetensors: the names and the metadata take %zu bytes; at most %d are read back",
                   length, TT_SAFETENSORS_MAX_HEADER_BYTES);
  }
  tt_store_u64(bytes->bytes + from, length);
  for (size_t i = 0; i < file->n_tensors; i++) {
    tt_tensor *dense = tt_tensor_contiguous(order[i]->tensor, error);
    if (dense == NULL) return TT_ERR_MEMORY;
    tt_buffer_append(bytes, tt_tensor_data(dense), (size_t)data_bytes_of(dense));
    tt_tensor_unref(dense);
  }
  return bytes->failed ? no_memory(error, "its elements") : TT_OK;
}

tt_status tt_safetensors_write(tt_buffer *bytes, const tt_safetensors *file, tt_error *error) {
  const size_t from = bytes->n_bytes;
  const tt_named_tensor **order = tt_alloc(file->n_tensors, sizeof *order);
  if (order == NULL) return no_memory(error, "its header");
  for (size_t i = 0; i < file->n_tensors; i++) order[i] = &file->tensors[i];
  const tt_status status = write_file(bytes, file, order, error);
  tt_free(order);
  if (status != TT_OK) bytes->n_bytes = from;
  return status;
}
