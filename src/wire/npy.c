#include "wire/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* numpy.save leaves room for the first size to grow to this many digits, and aligns the elements. */
enum { GROWTH_DIGITS = 21, ALIGNMENT_BYTES = 64 };

/* ---- the header: a Python dict of three known keys, which is all of Python that is read ---- */

/* Where the text stands; `failed` stays set, as a tt_reader's does. */
typedef struct literal {
  const char *text;
  size_t n_bytes;
  size_t at;
  bool failed;
} literal;

static void skip_spaces(literal *in) {
  while (in->at < in->n_bytes && (in->text[in->at] == ' ' || (in->text[in->at] >= '\t' && in->text[in->at] <= '\r'))) in->at++;
}

static bool next_is(literal *in, char wanted) {
  skip_spaces(in);
  return !in->failed && in->at < in->n_bytes && in->text[in->at] == wanted;
}

/* Whether `wanted` stood there; then it is behind us. */
static bool take(literal *in, char wanted) {
  if (!next_is(in, wanted)) return false;
  in->at++;
  return true;
}

static void expect(literal *in, char wanted) {
  if (!take(in, wanted)) in->failed = true;
}

static bool take_word(literal *in, const char *word) {
  skip_spaces(in);
  const size_t length = strlen(word);
  if (in->failed || in->n_bytes - in->at < length || memcmp(in->text + in->at, word, length) != 0) return false;
  in->at += length;
  return true;
}

/* A quoted string without escapes, which neither keys nor descriptors need; borrowed. */
static const char *read_string(literal *in, size_t *n_bytes) {
  const char quote = next_is(in, '"') ? '"' : '\'';
  expect(in, quote);
  const size_t from = in->at;
  while (!in->failed && in->at < in->n_bytes && in->text[in->at] != quote && in->text[in->at] != '\\') in->at++;
  *n_bytes = in->at - from;
  if (in->failed || in->at == in->n_bytes || in->text[in->at++] != quote) in->failed = true;
  return in->text + from;
}

/* A size. Signs and what does not fit 63 bits are wrong; the L of Python 2 is not. */
static int64_t read_size(literal *in) {
  skip_spaces(in);
  int64_t size = 0;
  const size_t from = in->at;
  for (; !in->failed && in->at < in->n_bytes && in->text[in->at] >= '0' && in->text[in->at] <= '9'; in->at++) {
    const int digit = in->text[in->at] - '0';
    if (size > (INT64_MAX - digit) / 10) in->failed = true;
    if (!in->failed) size = size * 10 + digit;
  }
  if (in->at == from) in->failed = true;
  if (!in->failed && in->at < in->n_bytes && in->text[in->at] == 'L') in->at++;
  return size;
}

/* Sizes in parentheses; more than there is room for are counted, so that the error can say how many. */
static size_t read_sizes(literal *in, int64_t dims[TT_MAX_DIMS]) {
  size_t n = 0;
  bool needs_comma = false;
  expect(in, '(');
  while (!in->failed && !next_is(in, ')')) {
    if (needs_comma) expect(in, ',');
    /* (3,) is a tuple and so is (3, 4,); (3) is a number. */
    if (needs_comma && next_is(in, ')')) break;
    const int64_t size = read_size(in);
    if (n < TT_MAX_DIMS) dims[n] = size;
    n++;
    needs_comma = true;
    if (n == 1 && !next_is(in, ',')) in->failed = true;
  }
  expect(in, ')');
  return n;
}

static bool read_bool(literal *in) {
  if (take_word(in, "True")) return true;
  if (!take_word(in, "False")) in->failed = true;
  return false;
}

/* Steps over a value of brackets, strings and what stands between: the descriptor of a record. */
static void skip_nested(literal *in) {
  size_t depth = 0;
  do {
    skip_spaces(in);
    if (in->failed || in->at >= in->n_bytes) {
      in->failed = true;
      return;
    }
    const char character = in->text[in->at];
    if (character == '\'' || character == '"') {
      size_t unused;
      read_string(in, &unused);
      continue;
    }
    if (character == '[' || character == '(') depth++;
    if (character == ']' || character == ')') depth--;
    in->at++;
  } while (depth > 0);
}

typedef struct fields {
  const char *descr; /* borrowed */
  size_t descr_bytes;
  bool is_record;
  bool is_fortran_order;
  int64_t dims[TT_MAX_DIMS];
  size_t n_dims;
} fields;

enum { HAS_DESCR = 1, HAS_ORDER = 2, HAS_SHAPE = 4, HAS_ALL = 7 };

static void read_descr(literal *in, fields *read) {
  skip_spaces(in);
  const size_t from = in->at;
  read->is_record = next_is(in, '[') || next_is(in, '(');
  if (!read->is_record) {
    read->descr = read_string(in, &read->descr_bytes);
    return;
  }
  skip_nested(in);
  read->descr = in->text + from;
  read->descr_bytes = in->at - from;
}

/* Each key once. Answers which were there. */
static unsigned read_fields(literal *in, fields *read) {
  unsigned seen = 0;
  expect(in, '{');
  while (!in->failed && !next_is(in, '}')) {
    size_t length;
    const char *key = read_string(in, &length);
    unsigned field = 0;
    expect(in, ':');
    if (in->failed) break;
    if (length == 5 && memcmp(key, "descr", 5) == 0) {
      field = HAS_DESCR;
      read_descr(in, read);
    } else if (length == 13 && memcmp(key, "fortran_order", 13) == 0) {
      field = HAS_ORDER;
      read->is_fortran_order = read_bool(in);
    } else if (length == 5 && memcmp(key, "shape", 5) == 0) {
      field = HAS_SHAPE;
      read->n_dims = read_sizes(in, read->dims);
    }
    if (field == 0 || (seen & field) != 0) in->failed = true;
    seen |= field;
    if (!take(in, ',')) break;
  }
  expect(in, '}');
  skip_spaces(in);
  if (in->at != in->n_bytes) in->failed = true;
  return seen;
}

/* How much of a text that comes from outside an error quotes. */
static int quoted_bytes(size_t n_bytes) { return n_bytes > 80 ? 80 : (int)n_bytes; }

static tt_status check_dtype(const fields *read, tt_npy_header *header, tt_error *error) {
  const char *descr = read->descr;
  if (read->is_record) {
    return tt_fail(error, TT_ERR_DTYPE,
                   ".npy: the array holds records %.*s, which no tensor holds; save each field as an array of its own",
                   quoted_bytes(read->descr_bytes), descr);
  }
  /* "<f8"; the order may be left out where it means nothing or is the machine's that wrote it, which '=' says as well. */
  size_t at = 0;
  char order = '=';
  if (read->descr_bytes > 0 && strchr("<>|=", descr[0]) != NULL && descr[0] != 0) order = descr[at++];
  const char kind = at < read->descr_bytes ? descr[at++] : 0;
  size_t n_element_bytes = 0;
  const size_t first_digit = at;
  while (at < read->descr_bytes && descr[at] >= '0' && descr[at] <= '9' && n_element_bytes < 1000) {
    n_element_bytes = n_element_bytes * 10 + (size_t)(descr[at++] - '0');
  }
  /* '?' is bool without a size. */
  const bool is_short_bool = kind == '?' && at == read->descr_bytes;
  if (is_short_bool) n_element_bytes = 1;
  const bool is_whole = is_short_bool || (at == read->descr_bytes && at > first_digit);
  const tt_stored *stored = is_whole ? tt_stored_by_npy(is_short_bool ? 'b' : kind, n_element_bytes) : NULL;
  if (stored == NULL) {
    const char *what = kind == 'O'                  ? "Python objects"
                       : kind == 'c'                ? "complex numbers"
                       : kind == 'S' || kind == 'U' ? "strings"
                       : kind == 'a'                ? "strings"
                       : kind == 'M' || kind == 'm' ? "dates or times"
                       : kind == 'V'                ? "raw bytes"
                       : kind == 'u' || kind == 'f' ? "numbers wider than any dtype here"
                                                    : "a type that is not known";
    return tt_fail(
        error, TT_ERR_DTYPE,
        ".npy: the dtype '%.*s' (%s) has no counterpart; bool, int8 to int64, uint8 to uint32 and float16 to float64 do: "
        "convert with astype before saving",
        quoted_bytes(read->descr_bytes), descr, what);
  }
  header->stored = stored;
  header->meta.dtype = stored->dtype;
  header->is_big_endian = order == '>';
  return TT_OK;
}

/* The length of the text, and where it begins. */
static tt_status find_text(const uint8_t *bytes, size_t n_bytes, size_t *at, size_t *length, tt_error *error) {
  if (n_bytes < 8 || memcmp(bytes, magic, sizeof magic) != 0) {
    const bool is_zip = n_bytes >= 4 && memcmp(bytes, "PK\3\4", 4) == 0;
    return tt_fail(error, TT_ERR_ARGUMENT, ".npy: the %zu bytes do not begin as a .npy file does%s", n_bytes,
                   is_zip ? "; they begin as a .npz does" : "");
  }
  const unsigned major = bytes[6], minor = bytes[7];
  if (major < 1 || major > 3 || minor != 0) {
    return tt_fail(error, TT_ERR_ARGUMENT, ".npy: the format version is %u.%u; 1.0, 2.0 and 3.0 are read", major, minor);
  }
  tt_reader reader = tt_reader_of(bytes, n_bytes);
  tt_read_bytes(&reader, 8);
  *length = major == 1 ? tt_read_u16(&reader) : tt_read_u32(&reader);
  *at = reader.position;
  if (*length > TT_NPY_MAX_HEADER_BYTES) {
    return tt_fail(error, TT_ERR_ARGUMENT, ".npy: a header of %zu bytes is announced; at most %d are read", *length,
                   TT_NPY_MAX_HEADER_BYTES);
  }
  if (tt_read_bytes(&reader, *length) == NULL) {
    return tt_fail(error, TT_ERR_ARGUMENT, ".npy: the file is cut short: it ends after %zu bytes, within its header", n_bytes);
  }
  return TT_OK;
}

tt_status tt_npy_read_header(const void *bytes, size_t n_bytes, tt_npy_header *header, tt_error *error) {
  size_t at = 0, length = 0;
  TT_TRY(find_text(bytes, n_bytes, &at, &length, error));
  literal in = {.text = (const char *)bytes + at, .n_bytes = length};
  fields found = {.n_dims = 0};
  if (read_fields(&in, &found) != HAS_ALL || in.failed) {
    return tt_fail(error, TT_ERR_ARGUMENT,
                   ".npy: the header '%.*s' is not the dict of descr, fortran_order and shape that it must be",
                   quoted_bytes(length), in.text);
  }
  tt_npy_header read = {.is_fortran_order = found.is_fortran_order, .header_bytes = at + length};
  TT_TRY(check_dtype(&found, &read, error));
  const tt_status status = tt_shape_make(found.dims, found.n_dims, &read.meta.shape, error);
  if (status != TT_OK) return tt_error_prefix(error, ".npy"), status;
  read.n_data_bytes = (uint64_t)tt_shape_n_elements(&read.meta.shape) * read.stored->n_bytes;
  *header = read;
  return TT_OK;
}

tt_status tt_npy_read(const void *bytes, size_t n_bytes, tt_tensor **tensor, size_t *n_used, tt_error *error) {
  tt_npy_header header;
  TT_TRY(tt_npy_read_header(bytes, n_bytes, &header, error));
  if (header.n_data_bytes > n_bytes - header.header_bytes) {
    char text[TT_SHAPE_TEXT_BYTES];
    return tt_fail(error, TT_ERR_ARGUMENT,
                   ".npy: the file is cut short: %s elements of shape %s take %" PRIu64 " bytes, but %zu follow the header",
                   header.stored->npy_name, tt_shape_text(&header.meta.shape, text), header.n_data_bytes,
                   n_bytes - header.header_bytes);
  }
  tt_error reason = {.status = TT_OK};
  tt_tensor *read = tt_stored_tensor(header.stored, &header.meta.shape, (const uint8_t *)bytes + header.header_bytes,
                                     header.is_big_endian, header.is_fortran_order, &reason);
  if (read == NULL) return tt_fail(error, reason.status, ".npy: %s", reason.message);
  *tensor = read;
  if (n_used != NULL) *n_used = header.header_bytes + (size_t)header.n_data_bytes;
  return TT_OK;
}

/* ---- writing ---- */

static tt_status no_memory(tt_buffer *bytes, size_t n_before, tt_error *error) {
  bytes->n_bytes = n_before;
  return tt_fail(error, TT_ERR_MEMORY, ".npy: no memory to write an array");
}

static void write_header_text(tt_buffer *bytes, const tt_meta *meta) {
  const tt_shape *shape = &meta->shape;
  tt_buffer_printf(bytes, "{'descr': '%s', 'fortran_order': False, 'shape': (", tt_stored_of(meta->dtype)->npy_name);
  for (int i = 0; i < shape->n_dims; i++) tt_buffer_printf(bytes, i == 0 ? "%" PRId64 : ", %" PRId64, shape->dims[i]);
  tt_buffer_printf(bytes, shape->n_dims == 1 ? ",), }" : "), }");
  if (shape->n_dims == 0) return;
  char digits[GROWTH_DIGITS + 1];
  const int n_digits = snprintf(digits, sizeof digits, "%" PRId64, shape->dims[0]);
  for (int i = n_digits; i < GROWTH_DIGITS; i++) tt_buffer_u8(bytes, ' ');
}

tt_status tt_npy_write_header(tt_buffer *bytes, const tt_meta *meta, tt_error *error) {
  const size_t from = bytes->n_bytes;
  tt_buffer_append(bytes, magic, sizeof magic);
  tt_buffer_u8(bytes, 1);
  tt_buffer_u8(bytes, 0);
  tt_buffer_u16(bytes, 0); /* the length, known below */
  const size_t text_from = bytes->n_bytes;
  write_header_text(bytes, meta);
  /* NumPy pads by a whole alignment where none is needed. */
  const size_t n_spaces = ALIGNMENT_BYTES - (bytes->n_bytes - from + 1) % ALIGNMENT_BYTES;
  for (size_t i = 0; i < n_spaces; i++) tt_buffer_u8(bytes, ' ');
  tt_buffer_u8(bytes, '\n');
  if (bytes->failed) return no_memory(bytes, from, error);
  tt_store_u16(bytes->bytes + text_from - 2, (uint16_t)(bytes->n_bytes - text_from));
  return TT_OK;
}

tt_status tt_npy_write(tt_buffer *bytes, tt_tensor *tensor, tt_error *error) {
  const size_t from = bytes->n_bytes;
  tt_tensor *dense = tt_tensor_contiguous(tensor, error);
  if (dense == NULL) return TT_ERR_MEMORY;
  tt_status status = tt_npy_write_header(bytes, &dense->operand.meta, error);
  if (status == TT_OK) {
    tt_buffer_append(bytes, tt_tensor_data(dense),
                     (size_t)tt_tensor_n_elements(dense) * tt_dtype_bytes(tt_tensor_dtype(dense)));
    if (bytes->failed) status = no_memory(bytes, from, error);
  }
  tt_tensor_unref(dense);
  return status;
}
