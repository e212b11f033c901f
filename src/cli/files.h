/* files: tensors in .npy files, for the commands. "-" is stdin or stdout. Errors: TT_ERR_SYSTEM (the file), those of wire/npy.h (what is in it), naming the file. */
#ifndef TT_CLI_FILES_H
#define TT_CLI_FILES_H

#include "base/buffer.h"
#include "base/status.h"
#include "tensor/tensor.h"

/* All of a file, appended. */
tt_status tt_file_read(const char *path, tt_buffer *bytes, tt_error *error);

/* A fresh tensor, the caller's. */
tt_status tt_file_load_npy(const char *path, tt_tensor **tensor, tt_error *error);

/* A file that was there before stays whole until the new one is. */
tt_status tt_file_save_npy(const char *path, tt_tensor *tensor, tt_error *error);

#endif
