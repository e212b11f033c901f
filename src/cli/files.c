#include "cli/files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "wire/npy.h"

enum { READ_BYTES = 1 << 20 };

static bool is_pipe(const char *path) { return strcmp(path, "-") == 0; }

static tt_status read_all(FILE *file, const char *path, tt_buffer *bytes, tt_error *error) {
  for (size_t n_read = 1; n_read > 0;) {
    if (!tt_buffer_reserve(bytes, READ_BYTES)) return tt_fail(error, TT_ERR_MEMORY, "no memory for '%.300s'", path);
    n_read = fread(bytes->bytes + bytes->n_bytes, 1, READ_BYTES, file);
    bytes->n_bytes += n_read;
  }
  return ferror(file) ? tt_fail(error, TT_ERR_SYSTEM, "cannot read '%.300s': %s", path, strerror(errno)) : TT_OK;
}

tt_status tt_file_read(const char *path, tt_buffer *bytes, tt_error *error) {
  if (is_pipe(path)) return read_all(stdin, "stdin", bytes, error);
  FILE *file = fopen(path, "rb");
  if (file == NULL) return tt_fail(error, TT_ERR_SYSTEM, "cannot read '%.300s': %s", path, strerror(errno));
  tt_status status = read_all(file, path, bytes, error);
  fclose(file);
  return status;
}

tt_status tt_file_load_npy(const char *path, tt_tensor **tensor, tt_error *error) {
  tt_buffer bytes;
  tt_buffer_init(&bytes);
  tt_status status = tt_file_read(path, &bytes, error);
  if (status == TT_OK) {
    status = tt_npy_read(bytes.bytes, bytes.n_bytes, tensor, NULL, error);
    if (status != TT_OK) tt_error_prefix(error, "'%.200s'", path);
  }
  tt_buffer_release(&bytes);
  return status;
}

static tt_status write_all(FILE *file, const char *path, const tt_buffer *bytes, tt_error *error) {
  if (fwrite(bytes->bytes, 1, bytes->n_bytes, file) == bytes->n_bytes && fflush(file) == 0) return TT_OK;
  return tt_fail(error, TT_ERR_SYSTEM, "cannot write '%.300s': %s", path, strerror(errno));
}

/* What is no plain file (a pipe, a device) is written to as it is. */
static bool is_replaceable(const char *path) {
  struct stat about;
  return lstat(path, &about) != 0 ? errno == ENOENT : S_ISREG(about.st_mode);
}

static tt_status write_in_place(const char *path, const tt_buffer *bytes, tt_error *error) {
  FILE *file = fopen(path, "wb");
  if (file == NULL) return tt_fail(error, TT_ERR_SYSTEM, "cannot write '%.300s': %s", path, strerror(errno));
  tt_status status = write_all(file, path, bytes, error);
  if (fclose(file) != 0 && status == TT_OK) {
    status = tt_fail(error, TT_ERR_SYSTEM, "cannot write '%.300s': %s", path, strerror(errno));
  }
  return status;
}

static tt_status replace(const char *path, const tt_buffer *bytes, tt_error *error) {
  char beside[4096];
  if (snprintf(beside, sizeof beside, "%s.%ld.part", path, (long)getpid()) >= (int)sizeof beside) {
    return tt_fail(error, TT_ERR_SYSTEM, "cannot write '%.200s...': the name is too long", path);
  }
  tt_status status = write_in_place(beside, bytes, error);
  if (status == TT_OK && rename(beside, path) != 0) {
    status = tt_fail(error, TT_ERR_SYSTEM, "cannot write '%.300s': %s", path, strerror(errno));
  }
  if (status != TT_OK) unlink(beside);
  return status;
}

tt_status tt_file_save_npy(const char *path, tt_tensor *tensor, tt_error *error) {
  tt_buffer bytes;
  tt_buffer_init(&bytes);
  tt_status status = tt_npy_write(&bytes, tensor, error);
  if (status == TT_OK && is_pipe(path)) {
    status = write_all(stdout, "stdout", &bytes, error);
  } else if (status == TT_OK) {
    status = is_replaceable(path) ? replace(path, &bytes, error) : write_in_place(path, &bytes, error);
  }
  tt_buffer_release(&bytes);
  return status;
}
