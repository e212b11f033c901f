/*
 * npz: named arrays as the bytes of a .npz file, as numpy.savez and numpy.savez_compressed write them. Native only, over libzip, which alone knows the
 * archive; pages and Node have web/zip.js.
 *
 * Stored and deflated members, with 64-bit sizes too. What the members take together is held under a ceiling of the caller's before anything is
 * inflated, and a member that inflates to more than it announces is refused. Members that are no .npy file are left out and counted.
 */
#ifndef TT_WIRE_NPZ_H
#define TT_WIRE_NPZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "tensor/tensor.h"
#include "wire/safetensors.h"

enum { TT_NPZ_MAX_MEMBERS = 65535 };

typedef struct tt_npz {
  tt_named_tensor *tensors; /* owned, as are its items; names without ".npy" */
  size_t n_tensors;
  size_t n_others; /* members that were left out */
} tt_npz;

void tt_npz_release(tt_npz *file); /* may be called again */

/* Adds a tensor (one more reference) to a file that is to be written, which began as all zero. Errors: TT_ERR_MEMORY, and it is as it was. */
tt_status tt_npz_add(tt_npz *file, const char *name, tt_tensor *tensor, tt_error *error);

/*
 * Reads a whole file; *file is the caller's, to be released. Errors: TT_ERR_ARGUMENT (no archive, damaged, encrypted, a name twice), TT_ERR_FULL (its members take
 * more than max_bytes), those of tt_npy_read with the member's name in front, TT_ERR_MEMORY.
 */
tt_status tt_npz_read(const void *bytes, size_t n_bytes, uint64_t max_bytes, tt_npz *file, tt_error *error);

/* Appends the whole file. Errors: TT_ERR_ARGUMENT (a name twice), TT_ERR_MEMORY, TT_ERR_SYSTEM (libzip's words); the buffer ends where it ended before. */
tt_status tt_npz_write(tt_buffer *bytes, const tt_npz *file, bool is_deflated, tt_error *error);

#endif
