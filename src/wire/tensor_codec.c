#include "wire/tensor_codec.h"

#include <inttypes.h>
#include <string.h>

/* Elements are the wire's bytes in the tensor's memory, so that a chunk is one copy. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are sent from memory as it is: little-endian machines only");

enum { HEADER_FIXED_BYTES = 32, TRANSFER_BYTES = 8, DIMS_NOT_KNOWN = 255 };
enum { REQUIRES_GRAD = 1, HAS_GRADIENT = 2 };

static size_t padded(size_t n_bytes) { return (n_bytes + 7) & ~(size_t)7; }

size_t tt_data_header_bytes(const tt_data_header *header) {
  const size_t n_dims = tt_shape_is_known(&header->meta.shape) ? (size_t)header->meta.shape.n_dims : 0;
  return HEADER_FIXED_BYTES + 8 * n_dims + padded(header->metadata_bytes);
}

void tt_data_header_write(tt_buffer *payload, const tt_data_header *header) {
  const tt_shape *shape = &header->meta.shape;
  if (!tt_buffer_reserve(payload, tt_data_header_bytes(header))) {
    payload->failed = true;
    return;
  }
  tt_buffer_u64(payload, header->transfer);
  tt_buffer_u64(payload, header->object);
  tt_buffer_u8(payload, (uint8_t)header->form);
  tt_buffer_u8(payload, (uint8_t)header->meta.dtype);
  tt_buffer_u8(payload, tt_shape_is_known(shape) ? (uint8_t)shape->n_dims : DIMS_NOT_KNOWN);
  tt_buffer_u8(payload, (header->requires_grad ? REQUIRES_GRAD : 0) | (header->has_gradient ? HAS_GRADIENT : 0));
  tt_buffer_u32(payload, (uint32_t)header->metadata_bytes);
  tt_buffer_u64(payload, header->total_bytes);
  for (int i = 0; i < shape->n_dims; i++) tt_buffer_u64(payload, (uint64_t)shape->dims[i]);
  tt_buffer_append(payload, header->metadata, header->metadata_bytes);
  tt_buffer_zeros(payload, padded(header->metadata_bytes) - header->metadata_bytes);
}

/* The shape of dims that stand at `bytes`. Errors: TT_ERR_SHAPE. */
static tt_status read_shape(const uint8_t *bytes, size_t n_dims, tt_shape *shape, tt_error *error) {
  int64_t dims[TT_MAX_DIMS];
  if (n_dims > TT_MAX_DIMS) {
    return tt_fail(error, TT_ERR_SHAPE, "a tensor arrives with %zu dimensions; at most %d are allowed", n_dims, TT_MAX_DIMS);
  }
  for (size_t i = 0; i < n_dims; i++) dims[i] = (int64_t)tt_load_u64(bytes + 8 * i);
  return tt_shape_make(dims, n_dims, shape, error);
}

/* Whether the announced bytes are what the meta needs. */
static tt_status check_total(const tt_data_header *header, tt_error *error) {
  if (header->form == TT_DATA_POINTER) {
    if (header->total_bytes == 0) return TT_OK;
    return tt_fail(error, TT_ERR_PROTOCOL, "a pointer arrives with %" PRIu64 " bytes of elements; it has none",
                   header->total_bytes);
  }
  const uint64_t n_parts = header->has_gradient ? 2 : 1;
  const uint64_t needed = n_parts * (uint64_t)tt_shape_n_elements(&header->meta.shape) * tt_dtype_bytes(header->meta.dtype);
  if (header->total_bytes == needed) return TT_OK;
  char text[TT_SHAPE_TEXT_BYTES];
  return tt_fail(error, TT_ERR_PROTOCOL, "a %s tensor of shape %s has %" PRIu64 " bytes, but %" PRIu64 " are announced",
                 tt_dtype_name(header->meta.dtype), tt_shape_text(&header->meta.shape, text), needed, header->total_bytes);
}

tt_status tt_data_header_read(const uint8_t *payload, size_t n_bytes, tt_data_header *header, const uint8_t **elements,
                              size_t *n_element_bytes, tt_error *error) {
  tt_reader reader = tt_reader_of(payload, n_bytes);
  tt_data_header read = {.transfer = tt_read_u64(&reader)};
  read.object = tt_read_u64(&reader);
  const uint8_t form = tt_read_u8(&reader);
  const uint8_t dtype = tt_read_u8(&reader);
  const uint8_t n_dims = tt_read_u8(&reader);
  const uint8_t gradients = tt_read_u8(&reader);
  read.metadata_bytes = tt_read_u32(&reader);
  read.total_bytes = tt_read_u64(&reader);
  const bool is_open = form == TT_DATA_POINTER && n_dims == DIMS_NOT_KNOWN;
  const uint8_t *dims = tt_read_bytes(&reader, is_open ? 0 : 8 * (size_t)n_dims);
  read.metadata = tt_read_bytes(&reader, read.metadata_bytes);
  const uint8_t *padding = tt_read_bytes(&reader, padded(read.metadata_bytes) - read.metadata_bytes);
  if (reader.failed) {
    return tt_fail(error, TT_ERR_PROTOCOL, "the header of a tensor is cut short: its frame's payload ends after %zu bytes",
                   n_bytes);
  }
  if (read.transfer == 0) return tt_fail(error, TT_ERR_PROTOCOL, "a tensor arrives under the transfer 0, which is no id");
  if (form > TT_DATA_POINTER) return tt_fail(error, TT_ERR_PROTOCOL, "a tensor arrives in the unknown form %d", form);
  if (dtype >= TT_N_DTYPES) return tt_fail(error, TT_ERR_PROTOCOL, "a tensor arrives with the unknown dtype %d", dtype);
  if (gradients > (form == TT_DATA_POINTER ? REQUIRES_GRAD : REQUIRES_GRAD | HAS_GRADIENT))
    return tt_fail(error, TT_ERR_PROTOCOL, "a tensor arrives with the unknown flags 0x%02x about gradients", gradients);
  if (gradients != 0 && !tt_dtype_is_floating((tt_dtype)dtype)) {
    return tt_fail(error, TT_ERR_PROTOCOL, "a %s tensor arrives with a gradient, which only floats have",
                   tt_dtype_name((tt_dtype)dtype));
  }
  for (size_t i = read.metadata_bytes; i < padded(read.metadata_bytes); i++) {
    if (padding[i - read.metadata_bytes] != 0) {
      return tt_fail(error, TT_ERR_PROTOCOL, "a tensor arrives with a padding byte that is not 0 behind its metadata");
    }
  }
  read.form = (tt_data_form)form;
  read.meta.dtype = (tt_dtype)dtype;
  read.requires_grad = (gradients & REQUIRES_GRAD) != 0;
  read.has_gradient = (gradients & HAS_GRADIENT) != 0;
  const size_t element_bytes = tt_reader_left(&reader);
  if (element_bytes > read.total_bytes) {
    return tt_fail(error, TT_ERR_PROTOCOL, "%zu bytes of elements came for a tensor that announces %" PRIu64, element_bytes,
                   read.total_bytes);
  }
  read.meta.shape.n_dims = TT_DIMS_UNKNOWN;
  const tt_status status = is_open ? TT_OK : read_shape(dims, n_dims, &read.meta.shape, error);
  if (status == TT_OK) TT_TRY(check_total(&read, error));
  *header = read;
  *elements = payload + reader.position;
  *n_element_bytes = element_bytes;
  return status;
}

/* A bool that is neither 0 nor 1 would make kernels disagree about it. */
static tt_status check_elements(const tt_tensor *tensor, const uint8_t *elements, size_t n_bytes, tt_error *error) {
  if (tensor == NULL || tt_tensor_dtype(tensor) != TT_DTYPE_BOOL) return TT_OK;
  uint8_t seen = 0;
  for (size_t i = 0; i < n_bytes; i++) seen |= elements[i];
  if (seen <= 1) return TT_OK;
  return tt_fail(error, TT_ERR_PROTOCOL, "a bool tensor arrives with elements that are neither 0 nor 1");
}

/* The tensor's own elements, then its gradient's. */
static void take_elements(tt_data_reader *reader, const uint8_t *elements, size_t n_bytes) {
  if (reader->tensor != NULL && n_bytes != 0) {
    uint64_t own_bytes = reader->gradient == NULL ? reader->total_bytes : reader->total_bytes / 2;
    uint64_t left = reader->n_bytes < own_bytes ? own_bytes - reader->n_bytes : 0;
    size_t n_own = n_bytes < left ? n_bytes : (size_t)left;
    if (n_own > 0) memcpy((uint8_t *)tt_tensor_data(reader->tensor) + reader->n_bytes, elements, n_own);
    if (n_own < n_bytes) {
      uint64_t at = reader->n_bytes + n_own - own_bytes;
      memcpy((uint8_t *)tt_tensor_data(reader->gradient) + at, elements + n_own, n_bytes - n_own);
    }
  }
  reader->n_bytes += n_bytes;
}

tt_status tt_data_reader_begin(tt_data_reader *reader, const tt_data_header *header, bool keep, const uint8_t *elements,
                               size_t n_bytes, tt_error *error) {
  if (reader->is_active) {
    return tt_fail(error, TT_ERR_STATE, "transfer %" PRIu64 " begins while transfer %" PRIu64 " has %" PRIu64 " bytes to come",
                   header->transfer, reader->transfer, reader->total_bytes - reader->n_bytes);
  }
  tt_tensor *tensor = NULL, *gradient = NULL;
  if (keep && header->form == TT_DATA_TENSOR) {
    tensor = tt_tensor_new(header->meta.dtype, &header->meta.shape, error);
    if (tensor == NULL) return error != NULL ? error->status : TT_ERR_MEMORY;
    const tt_status status = check_elements(tensor, elements, n_bytes, error);
    if (status != TT_OK) {
      tt_tensor_unref(tensor);
      return status;
    }
    if (header->has_gradient) {
      gradient = tt_tensor_new(header->meta.dtype, &header->meta.shape, error);
      if (gradient == NULL) {
        tt_tensor_unref(tensor);
        return TT_ERR_MEMORY;
      }
    }
  }
  *reader = (tt_data_reader){.transfer = header->transfer,
                             .tensor = tensor,
                             .gradient = gradient,
                             .total_bytes = header->total_bytes,
                             .is_active = true};
  take_elements(reader, elements, n_bytes);
  return TT_OK;
}

tt_status tt_data_reader_continue(tt_data_reader *reader, const uint8_t *payload, size_t n_bytes, tt_error *error) {
  if (n_bytes <= TRANSFER_BYTES) {
    return tt_fail(error, TT_ERR_PROTOCOL, "a frame that continues a transfer has a payload of %zu bytes; it needs at least %d",
                   n_bytes, TRANSFER_BYTES + 1);
  }
  const uint64_t transfer = tt_load_u64(payload);
  if (!reader->is_active || transfer != reader->transfer) {
    return tt_fail(error, TT_ERR_PROTOCOL, "a frame continues the transfer %" PRIu64 ", which is not under way", transfer);
  }
  const uint8_t *elements = payload + TRANSFER_BYTES;
  const size_t element_bytes = n_bytes - TRANSFER_BYTES;
  if (element_bytes > reader->total_bytes - reader->n_bytes) {
    return tt_fail(error, TT_ERR_PROTOCOL,
                   "transfer %" PRIu64 " announced %" PRIu64 " bytes; %" PRIu64 " came, and now %zu more", transfer,
                   reader->total_bytes, reader->n_bytes, element_bytes);
  }
  TT_TRY(check_elements(reader->tensor, elements, element_bytes, error));
  take_elements(reader, elements, element_bytes);
  return TT_OK;
}

bool tt_data_reader_is_complete(const tt_data_reader *reader) {
  return reader->is_active && reader->n_bytes == reader->total_bytes;
}

tt_tensor *tt_data_reader_take_gradient(tt_data_reader *reader) {
  tt_tensor *gradient = reader->gradient;
  reader->gradient = NULL;
  return gradient;
}

tt_tensor *tt_data_reader_take(tt_data_reader *reader) {
  tt_tensor *tensor = reader->tensor;
  tt_tensor_unref(reader->gradient);
  *reader = (tt_data_reader){.tensor = NULL};
  return tensor;
}

void tt_data_reader_release(tt_data_reader *reader) { tt_tensor_unref(tt_data_reader_take(reader)); }
