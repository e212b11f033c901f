/* Files as bytes, for JavaScript: see wasm/exports.h. */
#include <inttypes.h>
#include <string.h>

#include "wasm/door.h"
#include "wasm/exports.h"
#include "wire/json.h"
#include "wire/npy.h"
#include "wire/safetensors.h"

static tt_safetensors open_file;
static tt_buffer written;

void tt_wasm_file_end(void) {
  tt_safetensors_release(&open_file);
  tt_buffer_release(&written);
}

static void show_written(void) {
  tt_wasm_area.data = written.bytes;
  tt_wasm_area.data_bytes = (uint32_t)written.n_bytes;
}

/* Takes over the reference. */
static int give_tensor(tt_tensor *take_tensor, tt_error *error) {
  tt_node *local = tt_local_new(take_tensor, error);
  tt_node *head = local == NULL ? NULL : tt_head_new(local, error);
  if (head == NULL) return tt_scratch_fail(error);
  return tt_door_give_all(&head, 1, error) == TT_OK ? TT_OK : tt_scratch_fail(error);
}

int tt_wasm_npy_read(const uint8_t *bytes, uint32_t n_bytes) {
  tt_error error = {.status = TT_OK};
  tt_tensor *tensor;
  if (tt_npy_read(bytes, n_bytes, &tensor, NULL, &error) != TT_OK) return tt_scratch_fail(&error);
  return give_tensor(tensor, &error);
}

int tt_wasm_npy_write(tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_tensor *local = tt_door_local(tensor, &error);
  if (local == NULL) return tt_scratch_fail(&error);
  tt_buffer_release(&written);
  if (tt_npy_write(&written, local, &error) != TT_OK) return tt_scratch_fail(&error);
  show_written();
  return TT_OK;
}

/* What JavaScript is told of the open file. */
static void list_file(tt_buffer *json) {
  tt_buffer_printf(json, "{\"tensors\":[");
  for (size_t i = 0; i < open_file.n_tensors; i++) {
    const tt_tensor *tensor = open_file.tensors[i].tensor;
    const tt_shape *shape = tt_tensor_shape(tensor);
    tt_buffer_printf(json, i == 0 ? "{\"name\":" : ",{\"name\":");
    tt_json_write_text(json, open_file.tensors[i].name, strlen(open_file.tensors[i].name));
    tt_buffer_printf(json, ",\"dtype\":\"%s\",\"shape\":[", tt_dtype_name(tt_tensor_dtype(tensor)));
    for (int d = 0; d < shape->n_dims; d++) tt_buffer_printf(json, d == 0 ? "%" PRId64 : ",%" PRId64, shape->dims[d]);
    tt_buffer_printf(json, "]}");
  }
  tt_buffer_printf(json, "],\"metadata\":{");
  for (size_t i = 0; i < open_file.n_metadata; i++) {
    if (i > 0) tt_buffer_u8(json, ',');
    tt_json_write_text(json, open_file.metadata[i].name, strlen(open_file.metadata[i].name));
    tt_buffer_u8(json, ':');
    tt_json_write_text(json, open_file.metadata[i].text, strlen(open_file.metadata[i].text));
  }
  tt_buffer_printf(json, "}}");
}

int tt_wasm_safetensors_read(const uint8_t *bytes, uint32_t n_bytes) {
  tt_error error = {.status = TT_OK};
  tt_wasm_file_end();
  if (tt_safetensors_read(bytes, n_bytes, &open_file, &error) != TT_OK) return tt_scratch_fail(&error);
  list_file(tt_scratch_text());
  if (tt_scratch_show_text() == TT_OK) return TT_OK;
  tt_fail(&error, TT_ERR_MEMORY, "no memory for the list of a file's tensors");
  return tt_scratch_fail(&error);
}

int tt_wasm_safetensors_tensor(uint32_t i) {
  tt_error error = {.status = TT_OK};
  if (i >= open_file.n_tensors) {
    tt_fail(&error, TT_ERR_INDEX, "the open file has %zu tensors, and none at %u", open_file.n_tensors, (unsigned)i);
    return tt_scratch_fail(&error);
  }
  return give_tensor(tt_tensor_ref(open_file.tensors[i].tensor), &error);
}

int tt_wasm_safetensors_add(tt_handle tensor) {
  tt_error error = {.status = TT_OK};
  tt_tensor *local = tt_door_local(tensor, &error);
  if (local == NULL) return tt_scratch_fail(&error);
  const tt_status status = tt_safetensors_add(&open_file, tt_scratch_input_string(0), local, &error);
  return status == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

int tt_wasm_safetensors_add_metadata(uint32_t text_offset) {
  tt_error error = {.status = TT_OK};
  const tt_status status =
      tt_safetensors_add_metadata(&open_file, tt_scratch_input_string(0), tt_scratch_input_string(text_offset), &error);
  return status == TT_OK ? TT_OK : tt_scratch_fail(&error);
}

int tt_wasm_safetensors_write(void) {
  tt_error error = {.status = TT_OK};
  tt_buffer_release(&written);
  if (tt_safetensors_write(&written, &open_file, &error) != TT_OK) return tt_scratch_fail(&error);
  show_written();
  return TT_OK;
}
