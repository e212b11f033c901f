#include "wire/npz.h"

#include <inttypes.h>
#include <string.h>

#include <zip.h>

#include "base/alloc.h"
#include "wire/npy.h"

static const char suffix[] = ".npy";
enum { SUFFIX_BYTES = sizeof suffix - 1 };

/* An archive without members, the shortest there is, and the one that libzip would not write. */
static const uint8_t empty_archive[22] = {'P', 'K', 5, 6};

void tt_npz_release(tt_npz *file) {
  for (size_t i = 0; i < file->n_tensors; i++) {
    tt_free(file->tensors[i].name);
    tt_tensor_unref(file->tensors[i].tensor);
  }
  tt_free(file->tensors);
  *file = (tt_npz){.tensors = NULL};
}

static tt_status no_memory(tt_error *error, const char *name) {
  return tt_fail(error, TT_ERR_MEMORY, ".npz: no memory for '%.64s'", name);
}

tt_status tt_npz_add(tt_npz *file, const char *name, tt_tensor *tensor, tt_error *error) {
  tt_named_tensor *grown = tt_realloc(file->tensors, (file->n_tensors + 1) * sizeof *grown);
  if (grown == NULL) return no_memory(error, name);
  file->tensors = grown;
  char *copy = tt_strdup(name);
  if (copy == NULL) return no_memory(error, name);
  grown[file->n_tensors++] = (tt_named_tensor){.name = copy, .tensor = tt_tensor_ref(tensor)};
  return TT_OK;
}

/* libzip's words for what went wrong. */
static tt_status fail_zip(tt_error *error, zip_error_t *reason, tt_status status, const char *what) {
  if (zip_error_code_zip(reason) == ZIP_ER_MEMORY) status = TT_ERR_MEMORY;
  return tt_fail(error, status, ".npz: %s: %s", what, zip_error_strerror(reason));
}

/* An archive over bytes that the caller keeps. */
static tt_status open_archive(const void *bytes, size_t n_bytes, zip_t **archive, tt_error *error) {
  /* libzip takes no bytes at all for an archive without members. */
  if (n_bytes < sizeof empty_archive) return tt_fail(error, TT_ERR_ARGUMENT, ".npz: %zu bytes are no archive", n_bytes);
  zip_error_t reason;
  zip_error_init(&reason);
  zip_source_t *source = zip_source_buffer_create(bytes, n_bytes, 0, &reason);
  *archive = source == NULL ? NULL : zip_open_from_source(source, ZIP_RDONLY, &reason);
  tt_status status = TT_OK;
  if (*archive == NULL) {
    if (source != NULL) zip_source_free(source);
    status = fail_zip(error, &reason, TT_ERR_ARGUMENT, "the bytes are no archive, or a damaged one");
  }
  zip_error_fini(&reason);
  return status;
}

/* Sizes, method and name of every member are known, and what they take together is below the ceiling. */
static tt_status check_members(zip_t *archive, zip_int64_t n_members, uint64_t max_bytes, tt_error *error) {
  uint64_t left = max_bytes;
  if (n_members > TT_NPZ_MAX_MEMBERS) {
    return tt_fail(error, TT_ERR_FULL, ".npz: it has %" PRId64 " members; at most %d are read", (int64_t)n_members,
                   TT_NPZ_MAX_MEMBERS);
  }
  for (zip_int64_t i = 0; i < n_members; i++) {
    zip_stat_t told;
    const zip_uint64_t wanted = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(archive, (zip_uint64_t)i, 0, &told) != 0 || (told.valid & wanted) != wanted)
      return tt_fail(error, TT_ERR_ARGUMENT, ".npz: its directory does not tell the name, size and method of member %" PRId64,
                     (int64_t)i);
    if ((told.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && told.encryption_method != ZIP_EM_NONE)
      return tt_fail(error, TT_ERR_ARGUMENT, ".npz: '%.64s' is encrypted", told.name);
    if (told.comp_method != ZIP_CM_STORE && told.comp_method != ZIP_CM_DEFLATE)
      return tt_fail(error, TT_ERR_ARGUMENT, ".npz: '%.64s' is packed by method %u; stored and deflated are read", told.name,
                     (unsigned)told.comp_method);
    if (told.size > left) {
      return tt_fail(error, TT_ERR_FULL, ".npz: its members take more than the %" PRIu64 " bytes that may be read", max_bytes);
    }
    left -= told.size;
  }
  return TT_OK;
}

/* The bytes of a member, in a block of exactly the size that it announces. */
static tt_status inflate_member(zip_t *archive, zip_uint64_t i, const zip_stat_t *told, uint8_t *bytes, tt_error *error) {
  zip_file_t *member = zip_fopen_index(archive, i, 0);
  if (member == NULL) return fail_zip(error, zip_get_error(archive), TT_ERR_ARGUMENT, told->name);
  uint64_t n_read = 0;
  zip_int64_t n = 1;
  while (n > 0 && n_read < told->size) {
    n = zip_fread(member, bytes + n_read, told->size - n_read);
    if (n > 0) n_read += (uint64_t)n;
  }
  /* The end is read as well: there the checksum is looked at, and what was announced too small goes on. */
  uint8_t more;
  if (n >= 0) n = zip_fread(member, &more, 1);
  tt_status status = TT_OK;
  if (n < 0) {
    status = fail_zip(error, zip_file_get_error(member), TT_ERR_ARGUMENT, told->name);
  } else if (n > 0 || n_read != told->size) {
    status = tt_fail(error, TT_ERR_ARGUMENT, ".npz: '%.64s' has another size than the %" PRIu64 " bytes that it announces",
                     told->name, (uint64_t)told->size);
  }
  zip_fclose(member);
  return status;
}

static tt_status check_name(const tt_npz *file, const char *name, tt_error *error) {
  for (size_t i = 0; i < file->n_tensors; i++) {
    if (strcmp(file->tensors[i].name, name) == 0)
      return tt_fail(error, TT_ERR_ARGUMENT, ".npz: there are two members '%.64s'", name);
  }
  return TT_OK;
}

static tt_status take_array(tt_npz *file, const zip_stat_t *told, const uint8_t *bytes, tt_error *error) {
  const size_t length = strlen(told->name);
  char *name = tt_strdup(told->name);
  if (name == NULL) return no_memory(error, told->name);
  if (length > SUFFIX_BYTES && strcmp(name + length - SUFFIX_BYTES, suffix) == 0) name[length - SUFFIX_BYTES] = 0;
  tt_tensor *tensor = NULL;
  tt_error reason = {.status = TT_OK};
  tt_status status = check_name(file, name, error);
  if (status == TT_OK) {
    status = tt_npy_read(bytes, (size_t)told->size, &tensor, NULL, &reason);
    if (status != TT_OK) tt_fail(error, status, ".npz: '%.64s': %s", told->name, reason.message);
  }
  if (status == TT_OK) status = tt_npz_add(file, name, tensor, error);
  tt_tensor_unref(tensor);
  tt_free(name);
  return status;
}

static tt_status read_member(zip_t *archive, zip_uint64_t i, tt_npz *file, tt_error *error) {
  zip_stat_t told;
  if (zip_stat_index(archive, i, 0, &told) != 0) return fail_zip(error, zip_get_error(archive), TT_ERR_ARGUMENT, "a member");
  if (told.size > SIZE_MAX / 2)
    return tt_fail(error, TT_ERR_MEMORY, ".npz: '%.64s' is more than this machine can address", told.name);
  uint8_t *bytes = tt_alloc(told.size, 1);
  if (bytes == NULL) return no_memory(error, told.name);
  tt_status status = inflate_member(archive, i, &told, bytes, error);
  if (status == TT_OK) {
    if (told.size >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0) {
      status = take_array(file, &told, bytes, error);
    } else {
      file->n_others++;
    }
  }
  tt_free(bytes);
  return status;
}

tt_status tt_npz_read(const void *bytes, size_t n_bytes, uint64_t max_bytes, tt_npz *file, tt_error *error) {
  zip_t *archive = NULL;
  TT_TRY(open_archive(bytes, n_bytes, &archive, error));
  const zip_int64_t n_members = zip_get_num_entries(archive, 0);
  tt_npz read = {.tensors = NULL};
  tt_status status = check_members(archive, n_members, max_bytes, error);
  for (zip_int64_t i = 0; status == TT_OK && i < n_members; i++) status = read_member(archive, (zip_uint64_t)i, &read, error);
  zip_discard(archive);
  if (status == TT_OK) {
    *file = read;
  } else {
    tt_npz_release(&read);
  }
  return status;
}

/* ---- writing ---- */

/* Every archive's time is the first that there is, so that the same arrays give the same bytes. */
enum { YEAR_1980 = 0x21 };

/* Adds one tensor to the archive; `npy` is kept by the caller until the archive is closed. */
static tt_status put_member(zip_t *archive, const tt_named_tensor *named, tt_buffer *npy, bool is_deflated, tt_error *error) {
  TT_TRY(tt_npy_write(npy, named->tensor, error));
  tt_buffer name;
  tt_buffer_init(&name);
  tt_buffer_printf(&name, "%s%s", named->name, suffix);
  const char *text = tt_buffer_string(&name);
  tt_status status = name.failed ? no_memory(error, named->name) : TT_OK;
  if (status == TT_OK) {
    zip_source_t *source = zip_source_buffer(archive, npy->bytes, npy->n_bytes, 0);
    const zip_int64_t i = source == NULL ? -1 : zip_file_add(archive, text, source, ZIP_FL_ENC_UTF_8);
    if (i < 0 && source != NULL) zip_source_free(source);
    if (i < 0 || zip_set_file_compression(archive, (zip_uint64_t)i, is_deflated ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(archive, (zip_uint64_t)i, 0, YEAR_1980, 0) != 0)
      status = fail_zip(error, zip_get_error(archive), TT_ERR_SYSTEM, named->name);
  }
  tt_buffer_release(&name);
  return status;
}

/* Appends what libzip has written to its source. */
static tt_status take_written(tt_buffer *bytes, zip_source_t *source, tt_error *error) {
  zip_stat_t told;
  if (zip_source_stat(source, &told) != 0 || zip_source_open(source) != 0)
    return fail_zip(error, zip_source_error(source), TT_ERR_SYSTEM, "the archive");
  const size_t n_before = bytes->n_bytes;
  uint8_t *at = tt_buffer_extend(bytes, told.size);
  tt_status status = at == NULL ? no_memory(error, "the archive") : TT_OK;
  if (status == TT_OK && zip_source_read(source, at, told.size) != (zip_int64_t)told.size)
    status = fail_zip(error, zip_source_error(source), TT_ERR_SYSTEM, "the archive");
  zip_source_close(source);
  if (status != TT_OK) bytes->n_bytes = n_before;
  return status;
}

static tt_status write_archive(tt_buffer *bytes, const tt_npz *file, tt_buffer *members, bool is_deflated, tt_error *error) {
  zip_error_t reason;
  zip_error_init(&reason);
  zip_source_t *source = zip_source_buffer_create(NULL, 0, 0, &reason);
  zip_t *archive = source == NULL ? NULL : zip_open_from_source(source, ZIP_TRUNCATE, &reason);
  if (archive == NULL) {
    if (source != NULL) zip_source_free(source);
    const tt_status status = fail_zip(error, &reason, TT_ERR_SYSTEM, "the archive");
    zip_error_fini(&reason);
    return status;
  }
  zip_error_fini(&reason);
  zip_source_keep(source); /* beyond the archive's end */
  tt_status status = TT_OK;
  for (size_t i = 0; status == TT_OK && i < file->n_tensors; i++) {
    tt_npz before = {.tensors = file->tensors, .n_tensors = i};
    status = check_name(&before, file->tensors[i].name, error);
    if (status == TT_OK) status = put_member(archive, &file->tensors[i], &members[i], is_deflated, error);
  }
  if (status == TT_OK && zip_close(archive) == 0) {
    status = take_written(bytes, source, error);
  } else {
    if (status == TT_OK) status = fail_zip(error, zip_get_error(archive), TT_ERR_SYSTEM, "the archive");
    zip_discard(archive);
  }
  zip_source_free(source);
  return status;
}

tt_status tt_npz_write(tt_buffer *bytes, const tt_npz *file, bool is_deflated, tt_error *error) {
  if (file->n_tensors == 0) {
    const size_t n_before = bytes->n_bytes;
    tt_buffer_append(bytes, empty_archive, sizeof empty_archive);
    if (!bytes->failed) return TT_OK;
    bytes->n_bytes = n_before;
    return no_memory(error, "the archive");
  }
  tt_buffer *members = tt_alloc(file->n_tensors, sizeof *members);
  if (members == NULL) return no_memory(error, "the archive");
  const tt_status status = write_archive(bytes, file, members, is_deflated, error);
  for (size_t i = 0; i < file->n_tensors; i++) tt_buffer_release(&members[i]);
  tt_free(members);
  return status;
}
