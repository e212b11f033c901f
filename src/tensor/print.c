/* tt_tensor_print: two passes over the same elements, the first to find one width and form for all, the second to write. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tensor/convert.h"
#include "tensor/tensor.h"

enum { PRECISION = 4, SUMMARIZE_ABOVE = 1000, EDGE_ITEMS = 3, LINE_WIDTH = 80, NUMBER_BYTES = 352 };

typedef struct formatter {
  const tt_tensor *tensor;
  bool summarize;
  bool int_mode; /* every finite float is whole: written with a point and no digits behind it */
  bool sci_mode;
  int width;
  double smallest, largest; /* magnitudes of the finite floats that are not zero */
} formatter;

/* Python writes NaN without a sign. */
static int write_float(char text[NUMBER_BYTES], const char *format, double value) {
  if (isnan(value)) return snprintf(text, NUMBER_BYTES, "nan");
  return snprintf(text, NUMBER_BYTES, format, PRECISION, value);
}

static int write_element(const formatter *form, int64_t at, char text[NUMBER_BYTES]) {
  tt_dtype dtype = tt_tensor_dtype(form->tensor);
  const uint8_t *bytes = (const uint8_t *)tt_tensor_data(form->tensor) + at * (int64_t)tt_dtype_bytes(dtype);
  if (dtype == TT_DTYPE_BOOL) return snprintf(text, NUMBER_BYTES, "%s", *bytes ? "True" : "False");
  if (!tt_dtype_is_floating(dtype)) {
    int64_t integer;
    tt_convert(TT_DTYPE_I64, dtype)(&integer, 0, bytes, 0, 1);
    return snprintf(text, NUMBER_BYTES, "%" PRId64, integer);
  }
  double value;
  tt_convert(TT_DTYPE_F64, dtype)(&value, 0, bytes, 0, 1);
  if (form->sci_mode) return write_float(text, "%.*e", value);
  if (!form->int_mode) return write_float(text, "%.*f", value);
  if (isnan(value)) return snprintf(text, NUMBER_BYTES, "nan");
  return snprintf(text, NUMBER_BYTES, isinf(value) ? "%.0f" : "%.0f.", value);
}

typedef void visit_fn(formatter *form, int64_t at);

static void visit(formatter *form, int dim, int64_t at, visit_fn *each) {
  const tt_shape *shape = tt_tensor_shape(form->tensor);
  if (dim == shape->n_dims) {
    each(form, at);
    return;
  }
  int64_t n = shape->dims[dim];
  bool skips = form->summarize && n > 2 * EDGE_ITEMS;
  for (int64_t i = 0; i < n; i++) {
    if (skips && i == EDGE_ITEMS) i = n - EDGE_ITEMS;
    visit(form, dim + 1, at + i * form->tensor->strides[dim], each);
  }
}

static bool nonzero_finite(const formatter *form, int64_t at, double *value) {
  tt_dtype dtype = tt_tensor_dtype(form->tensor);
  const uint8_t *bytes = (const uint8_t *)tt_tensor_data(form->tensor) + at * (int64_t)tt_dtype_bytes(dtype);
  tt_convert(TT_DTYPE_F64, dtype)(value, 0, bytes, 0, 1);
  return isfinite(*value) && *value != 0.0;
}

static void note_range(formatter *form, int64_t at) {
  double value;
  if (!nonzero_finite(form, at, &value)) return;
  if (value != ceil(value)) form->int_mode = false;
  double magnitude = fabs(value);
  if (form->largest == 0.0 || magnitude > form->largest) form->largest = magnitude;
  if (form->smallest == 0.0 || magnitude < form->smallest) form->smallest = magnitude;
}

/* Of floats only the finite ones that are not zero count: PyTorch's own rule, so that [0., inf] is written unpadded. */
static void note_width(formatter *form, int64_t at) {
  double value;
  if (tt_dtype_is_floating(tt_tensor_dtype(form->tensor)) && !nonzero_finite(form, at, &value)) return;
  char text[NUMBER_BYTES];
  int width = write_element(form, at, text);
  if (width > form->width) form->width = width;
}

static void write_padded(const formatter *form, int64_t at, tt_buffer *text) {
  char number[NUMBER_BYTES];
  write_element(form, at, number);
  tt_buffer_printf(text, "%*s", form->width, number);
}

static void write_vector(const formatter *form, int dim, int64_t at, int indent, tt_buffer *text) {
  int64_t n = tt_tensor_shape(form->tensor)->dims[dim];
  bool skips = form->summarize && n > 2 * EDGE_ITEMS;
  int room = LINE_WIDTH - indent;
  int per_line = room < form->width + 2 ? 1 : room / (form->width + 2);
  int64_t written = 0;
  tt_buffer_append(text, "[", 1);
  for (int64_t i = 0; i < n; i++, written++) {
    if (written > 0 && written % per_line == 0) {
      tt_buffer_printf(text, ",\n%*s", indent + 1, "");
    } else if (written > 0) {
      tt_buffer_append(text, ", ", 2);
    }
    if (skips && i == EDGE_ITEMS) {
      tt_buffer_append(text, " ...", 4);
      i = n - EDGE_ITEMS - 1;
    } else {
      write_padded(form, at + i * form->tensor->strides[dim], text);
    }
  }
  tt_buffer_append(text, "]", 1);
}

static void write_part(const formatter *form, int dim, int64_t at, int indent, tt_buffer *text) {
  const tt_shape *shape = tt_tensor_shape(form->tensor);
  int n_left = shape->n_dims - dim;
  if (n_left == 0) {
    write_padded(form, at, text);
    return;
  }
  if (n_left == 1) {
    write_vector(form, dim, at, indent, text);
    return;
  }
  int64_t n = shape->dims[dim];
  bool skips = form->summarize && n > 2 * EDGE_ITEMS;
  tt_buffer_append(text, "[", 1);
  for (int64_t i = 0; i < n; i++) {
    if (i > 0) {
      tt_buffer_append(text, ",", 1);
      for (int line = 1; line < n_left; line++) tt_buffer_append(text, "\n", 1);
      tt_buffer_printf(text, "%*s", indent + 1, "");
    }
    if (skips && i == EDGE_ITEMS) {
      tt_buffer_append(text, "...", 3);
      i = n - EDGE_ITEMS - 1;
    } else {
      write_part(form, dim + 1, at + i * form->tensor->strides[dim], indent + 1, text);
    }
  }
  tt_buffer_append(text, "]", 1);
}

static void write_suffix(tt_buffer *text, size_t start, int indent, int *line_length, const char *suffix) {
  int length = (int)strlen(suffix);
  if (*line_length < 0) {
    size_t newline = text->n_bytes;
    while (newline > start && text->bytes[newline - 1] != '\n') newline--;
    /* torch counts two more than the characters that stand on the line. */
    *line_length = (int)(text->n_bytes - newline) + 2;
  }
  if (*line_length + length + 2 > LINE_WIDTH) {
    tt_buffer_printf(text, ",\n%*s%s", indent, "", suffix);
    *line_length = indent + length;
  } else {
    tt_buffer_printf(text, ", %s", suffix);
    *line_length += length + 2;
  }
}

void tt_tensor_print(const tt_tensor *tensor, tt_buffer *text) { tt_tensor_print_with(tensor, NULL, text); }

void tt_tensor_print_with(const tt_tensor *tensor, const char *last_suffix, tt_buffer *text) {
  static const char prefix[] = "tensor(";
  enum { INDENT = sizeof prefix - 1 };
  const tt_shape *shape = tt_tensor_shape(tensor);
  tt_dtype dtype = tt_tensor_dtype(tensor);
  int64_t n = tt_shape_n_elements(shape);
  size_t start = text->n_bytes;
  int line_length = -1;
  char suffix[TT_SHAPE_TEXT_BYTES + 16];
  tt_buffer_append(text, prefix, INDENT);
  if (n == 0) {
    tt_buffer_append(text, "[]", 2);
    if (shape->n_dims != 1) {
      char dims[TT_SHAPE_TEXT_BYTES];
      tt_shape_text(shape, dims);
      snprintf(suffix, sizeof suffix, "size=(%.*s)", (int)strlen(dims) - 2, dims + 1);
      write_suffix(text, start, INDENT, &line_length, suffix);
    }
  } else {
    formatter form = {.tensor = tensor, .summarize = n > SUMMARIZE_ABOVE, .int_mode = true, .width = 1};
    if (tt_dtype_is_floating(dtype)) {
      visit(&form, 0, 0, note_range);
      form.sci_mode = form.largest > 0.0 && (form.largest / form.smallest > 1000.0 || form.largest > 1.0e8 ||
                                             (!form.int_mode && form.smallest < 1.0e-4));
    }
    visit(&form, 0, 0, note_width);
    write_part(&form, 0, 0, INDENT, text);
  }
  bool is_default = dtype == TT_DTYPE_F32 || (n > 0 && (dtype == TT_DTYPE_I64 || dtype == TT_DTYPE_BOOL));
  if (!is_default) {
    snprintf(suffix, sizeof suffix, "dtype=torch.%s", tt_dtype_name(dtype));
    write_suffix(text, start, INDENT, &line_length, suffix);
  }
  if (last_suffix != NULL) write_suffix(text, start, INDENT, &line_length, last_suffix);
  tt_buffer_append(text, ")", 1);
}
