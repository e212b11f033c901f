/*
 * tensor_codec: tensors in DATA frames. Layout: PROTOCOL.md, "Tensors".
 *
 * Writing is chunk by chunk from the tensor's own memory (contiguous, so that a chunk is one copy); reading puts each chunk
 * straight into the new tensor. Neither holds a second copy of the data.
 */
#ifndef TT_WIRE_TENSOR_CODEC_H
#define TT_WIRE_TENSOR_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "tensor/tensor.h"
#include "wire/control.h"

typedef enum tt_data_form { TT_DATA_TENSOR = 0, TT_DATA_POINTER = 1 } tt_data_form;

typedef struct tt_data_header {
  uint64_t transfer;
  uint64_t object; /* 0: answers a FETCH */
  tt_data_form form;
  bool fulfils; /* a promise; stands in the frame's flags */
  tt_meta meta; /* the shape of a pointer may be unknown */
  bool requires_grad;
  bool has_gradient; /* whose elements follow the tensor's own; in total_bytes too */
  uint64_t total_bytes;
  const uint8_t *metadata; /* JSON, borrowed; tt_metadata_read */
  size_t metadata_bytes;
} tt_data_header;

/* Bytes that a first frame's payload needs before the elements. */
size_t tt_data_header_bytes(const tt_data_header *header);
void tt_data_header_write(tt_buffer *payload, const tt_data_header *header);

/*
 * Reads a first frame's payload; *elements and *n_bytes tell the part of the elements that it holds. Checks that dims, dtype and total_bytes
 * agree and that no more bytes came than announced. Errors: TT_ERR_PROTOCOL; TT_ERR_SHAPE (too many dimensions or elements), and then all outputs
 * are set but header->meta.shape, so that the error can be answered and the rest of the transfer skipped.
 */
tt_status tt_data_header_read(const uint8_t *payload, size_t n_bytes, tt_data_header *header, const uint8_t **elements,
                              size_t *n_element_bytes, tt_error *error);

/* A transfer on its way in. */
typedef struct tt_data_reader {
  uint64_t transfer;
  tt_tensor *tensor;   /* owned; NULL when refused: the rest is skipped */
  tt_tensor *gradient; /* owned; NULL when none comes */
  uint64_t n_bytes;    /* arrived */
  uint64_t total_bytes;
  bool is_active;
} tt_data_reader;

/*
 * Begins with a header whose tensor is to be kept (keep) or skipped, and takes its first elements; a pointer has none and is complete at once.
 * Errors: TT_ERR_STATE (one is active), TT_ERR_PROTOCOL (a bool that is neither 0 nor 1), TT_ERR_MEMORY: begin again without keep to skip the rest.
 */
tt_status tt_data_reader_begin(tt_data_reader *reader, const tt_data_header *header, bool keep, const uint8_t *elements,
                               size_t n_bytes, tt_error *error);
/* Takes a continuing frame's payload. Errors: TT_ERR_PROTOCOL (another transfer, more than announced or nothing, a bad bool). */
tt_status tt_data_reader_continue(tt_data_reader *reader, const uint8_t *payload, size_t n_bytes, tt_error *error);
bool tt_data_reader_is_complete(const tt_data_reader *reader);
tt_tensor *tt_data_reader_take(tt_data_reader *reader); /* the tensor, or NULL when it was skipped; the reader is free again */
/* The gradient that came with it, or NULL; to be asked for before the tensor is taken. */
tt_tensor *tt_data_reader_take_gradient(tt_data_reader *reader);
void tt_data_reader_release(tt_data_reader *reader);

#endif
