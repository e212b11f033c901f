/*
 * safetensors: named tensors and their metadata as the bytes of a .safetensors file (https://huggingface.co/docs/safetensors): 8 bytes with the length of a
 * JSON header, the header, the elements.
 *
 * Read strictly, as the format asks: each name once, offsets in range, no byte of the elements in two tensors or in none. Types without a dtype here are
 * widened or refused as wire/stored.h says. Written: the header padded to 8 bytes with spaces, wider types first and then by name, so that every
 * tensor is aligned. Bytes come from anywhere; no files here.
 */
#ifndef TT_WIRE_SAFETENSORS_H
#define TT_WIRE_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "tensor/tensor.h"

enum { TT_SAFETENSORS_MAX_HEADER_BYTES = 16 * 1024 * 1024 };

typedef struct tt_named_tensor {
  char *name;        /* owned; UTF-8 */
  tt_tensor *tensor; /* one reference */
} tt_named_tensor;

typedef struct tt_named_text {
  char *name;
  char *text; /* both owned; UTF-8 */
} tt_named_text;

typedef struct tt_safetensors {
  tt_named_tensor *tensors; /* owned, as are its items; as they stand in the header */
  size_t n_tensors;
  tt_named_text *metadata; /* of __metadata__ */
  size_t n_metadata;
} tt_safetensors;

void tt_safetensors_release(tt_safetensors *file); /* may be called again */

/* Adds a tensor (one more reference) or a text to a file that is to be written, which began as all zero. Errors: TT_ERR_MEMORY, and it is as it was. */
tt_status tt_safetensors_add(tt_safetensors *file, const char *name, tt_tensor *tensor, tt_error *error);
tt_status tt_safetensors_add_metadata(tt_safetensors *file, const char *name, const char *text, tt_error *error);

/*
 * Reads a whole file; *file is the caller's, to be released. Errors: TT_ERR_ARGUMENT (no .safetensors, or one that contradicts itself), TT_ERR_DTYPE (a type that no
 * tensor here has), TT_ERR_SHAPE (more than TT_MAX_DIMS dimensions), TT_ERR_MEMORY.
 */
tt_status tt_safetensors_read(const void *bytes, size_t n_bytes, tt_safetensors *file, tt_error *error);

/*
 * Appends the whole file. Errors: TT_ERR_ARGUMENT (a name twice, "__metadata__" as a name, text that is no UTF-8), TT_ERR_MEMORY; the buffer ends where it
 * ended before.
 */
tt_status tt_safetensors_write(tt_buffer *bytes, const tt_safetensors *file, tt_error *error);

#endif
