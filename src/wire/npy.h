/*
 * npy: a tensor as the bytes of a .npy file, as numpy.save writes and numpy.load reads them.
 *
 * Read: format versions 1.0, 2.0 and 3.0, both byte orders, both element orders (Fortran's gives strides, not a copy), the types of
 * wire/stored.h. Written: version 1.0, little-endian, row-major, byte for byte what numpy.save writes. Bytes come from anywhere: none crash, and
 * nothing is allocated before the bytes for it are there. No files here, and no pickles, ever.
 */
#ifndef TT_WIRE_NPY_H
#define TT_WIRE_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "tensor/tensor.h"
#include "wire/stored.h"

enum { TT_NPY_MAX_HEADER_BYTES = 65536 }; /* of the text in the header; versions 2.0 and 3.0 could announce 4 GiB */

typedef struct tt_npy_header {
  const tt_stored *stored; /* meta.dtype is what it is read as */
  tt_meta meta;
  bool is_big_endian;
  bool is_fortran_order;
  size_t header_bytes;   /* from the first byte of the file to the first element */
  uint64_t n_data_bytes; /* of the elements behind it */
} tt_npy_header;

/*
 * Reads the header alone; the elements need not be there. Errors: TT_ERR_ARGUMENT (no .npy, or cut short: the sentence says), TT_ERR_DTYPE (strings,
 * objects, records, complex numbers and other types that no tensor here has), TT_ERR_SHAPE (more than TT_MAX_DIMS dimensions).
 */
tt_status tt_npy_read_header(const void *bytes, size_t n_bytes, tt_npy_header *header, tt_error *error);

/*
 * A fresh tensor (the caller's). What stands behind the array is not looked at, as in NumPy; *n_used (NULL: not asked for) says where it begins.
 * Errors: as above, TT_ERR_MEMORY.
 */
tt_status tt_npy_read(const void *bytes, size_t n_bytes, tt_tensor **tensor, size_t *n_used, tt_error *error);

/* Appends the header of a contiguous tensor of `meta`: its elements follow as they stand in memory. Errors: TT_ERR_MEMORY; the buffer ends where it ended before. */
tt_status tt_npy_write_header(tt_buffer *bytes, const tt_meta *meta, tt_error *error);

/* Appends header and elements. Errors: TT_ERR_MEMORY; the buffer ends where it ended before. */
tt_status tt_npy_write(tt_buffer *bytes, tt_tensor *tensor, tt_error *error);

#endif
