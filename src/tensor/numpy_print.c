#include "tensor/numpy_print.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/convert.h"

enum {
  PRECISION = 8,
  SUMMARIZE_ABOVE = 1000,
  EDGE_ITEMS = 3,
  LINE_WIDTH = 75,
  NUMBER_BYTES = 400,
  WORD_BYTES = 3 * NUMBER_BYTES
};

static const char prefix[] = "array(";

/* How all elements of an array are written, so that they line up. */
typedef struct layout {
  const tt_tensor *tensor;
  bool summarize;
  /* floats */
  bool is_scientific;
  bool has_finite, has_other; /* other: NaN and infinities */
  bool has_negative_infinity;
  double smallest, largest; /* magnitudes of the finite ones that are not zero; largest is 0 when there is none */
  int left, right;          /* characters before and behind the point */
  int fraction_digits;      /* scientific: of all mantissas */
  int exponent_digits;
  /* ints and bools */
  int width;
} layout;

/* ---- one float ---- */

static bool reads_back(const char *text, double value, bool is_f32) {
  return is_f32 ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value;
}

/* The fewest digits behind the first that tell the value from its neighbours; `exponent` is of the first digit. */
static int shortest_digits(double value, bool is_f32, int *exponent) {
  char text[64];
  int digits = 0;
  for (; digits < 17; digits++) {
    snprintf(text, sizeof text, "%.*e", digits, value);
    if (reads_back(text, value, is_f32)) break;
  }
  *exponent = atoi(strchr(text, 'e') + 1);
  return digits;
}

/*
 * "1.5", "2." and so on: digits behind the point as far as needed, at most `most`; without the zeros at the end. Digits in front of the point that are
 * not needed are exact ones in an array, and zeros in a scalar.
 */
static void write_positional(double value, bool is_f32, bool is_scalar, int most, char text[NUMBER_BYTES]) {
  int exponent;
  const int digits = shortest_digits(value, is_f32, &exponent), behind = digits > exponent ? digits - exponent : 0;
  if (behind > most) {
    snprintf(text, NUMBER_BYTES, "%.*f", most, value);
  } else if (digits < exponent && !is_scalar) {
    snprintf(text, NUMBER_BYTES, "%#.0f", value);
  } else {
    /* What stands in front of the point has no more digits than needed either: zeros fill it up. */
    char mantissa[64];
    snprintf(mantissa, sizeof mantissa, "%.*e", digits, fabs(value));
    char all[40];
    size_t n = 0;
    for (const char *at = mantissa; *at != 'e'; at++) {
      if (*at != '.') all[n++] = *at;
    }
    char *out = text;
    if (signbit(value)) *out++ = '-';
    if (exponent < 0) *out++ = '0';
    for (int place = 0; place <= exponent; place++) *out++ = place < (int)n ? all[place] : '0';
    *out++ = '.';
    for (int place = exponent + 1; place < (int)n; place++) *out++ = place < 0 ? '0' : all[place];
    *out = 0;
  }
  char *end = text + strlen(text);
  while (end[-1] == '0') *--end = 0;
}

static int point_of(const char *text) { return (int)(strchr(text, '.') - text); }

/*
 * "1.25e+08" with as many digits behind the point as tell it from its neighbours, but at least `least` (exact ones) and at most `most`; without zeros at the
 * end when least is 0.
 */
static void write_scientific(double value, bool is_f32, int least, int most, char text[NUMBER_BYTES]) {
  int exponent;
  int digits = shortest_digits(value, is_f32, &exponent);
  if (digits < least) digits = least;
  if (digits > most) digits = most;
  snprintf(text, NUMBER_BYTES, digits == 0 ? "%#.*e" : "%.*e", digits, value);
  if (least > 0) return;
  char *mark = strchr(text, 'e'), *end = mark;
  while (end[-1] == '0') end--;
  memmove(end, mark, strlen(mark) + 1);
}

/* ---- elements ---- */

static bool is_f32(const layout *form) { return tt_tensor_dtype(form->tensor) == TT_DTYPE_F32; }

static double float_at(const layout *form, int64_t at) {
  const tt_dtype dtype = tt_tensor_dtype(form->tensor);
  double value;
  tt_convert(TT_DTYPE_F64, dtype)(&value, 0,
                                  (const uint8_t *)tt_tensor_data(form->tensor) + at * (int64_t)tt_dtype_bytes(dtype), 0, 1);
  return value;
}

static int64_t int_at(const layout *form, int64_t at) {
  const tt_dtype dtype = tt_tensor_dtype(form->tensor);
  int64_t value;
  tt_convert(TT_DTYPE_I64, dtype)(&value, 0,
                                  (const uint8_t *)tt_tensor_data(form->tensor) + at * (int64_t)tt_dtype_bytes(dtype), 0, 1);
  return value;
}

static int write_whole(const layout *form, int64_t at, char text[NUMBER_BYTES]) {
  if (tt_tensor_dtype(form->tensor) == TT_DTYPE_BOOL)
    return snprintf(text, NUMBER_BYTES, "%s", int_at(form, at) != 0 ? "True" : "False");
  return snprintf(text, NUMBER_BYTES, "%" PRId64, int_at(form, at));
}

static void write_element(const layout *form, int64_t at, char text[WORD_BYTES]) {
  char number[NUMBER_BYTES];
  if (!tt_dtype_is_floating(tt_tensor_dtype(form->tensor))) {
    write_whole(form, at, number);
    snprintf(text, WORD_BYTES, "%*s", form->width, number);
    return;
  }
  const double value = float_at(form, at);
  if (!isfinite(value)) {
    snprintf(text, WORD_BYTES, "%*s", form->left + form->right + 1, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    return;
  }
  if (form->is_scientific) {
    write_scientific(value, is_f32(form), form->fraction_digits, form->fraction_digits, number);
    /* Exponents have as many digits as the longest. */
    char *digits = strchr(number, 'e') + 2;
    const int missing = form->exponent_digits - (int)strlen(digits);
    for (int i = 0; i < missing; i++) {
      memmove(digits + 1, digits, strlen(digits) + 1);
      *digits = '0';
    }
  } else {
    write_positional(value, is_f32(form), false, PRECISION, number);
  }
  const int before = point_of(number), behind = (int)strlen(number) - before - 1;
  const size_t length = strlen(number), lead = form->left > before ? (size_t)(form->left - before) : 0;
  const size_t trail = !form->is_scientific && form->right > behind ? (size_t)(form->right - behind) : 0;
  memset(text, ' ', lead);
  memcpy(text + lead, number, length);
  memset(text + lead + length, ' ', trail);
  text[lead + length + trail] = 0;
}

typedef void visit_fn(layout *form, int64_t at);

static void visit(layout *form, int dim, int64_t at, visit_fn *each) {
  const tt_shape *shape = tt_tensor_shape(form->tensor);
  if (dim == shape->n_dims) {
    each(form, at);
    return;
  }
  const int64_t n = shape->dims[dim];
  const bool skips = form->summarize && n > 2 * EDGE_ITEMS;
  for (int64_t i = 0; i < n; i++) {
    if (skips && i == EDGE_ITEMS) i = n - EDGE_ITEMS;
    visit(form, dim + 1, at + i * form->tensor->strides[dim], each);
  }
}

static void note_range(layout *form, int64_t at) {
  const double value = float_at(form, at), magnitude = fabs(value);
  if (!isfinite(value)) {
    form->has_other = true;
    if (isinf(value) && value < 0) form->has_negative_infinity = true;
    return;
  }
  form->has_finite = true;
  if (magnitude == 0) return;
  if (form->largest == 0 || magnitude > form->largest) form->largest = magnitude;
  if (form->smallest == 0 || magnitude < form->smallest) form->smallest = magnitude;
}

static void note_digits(layout *form, int64_t at) {
  const double value = float_at(form, at);
  if (!isfinite(value)) return;
  char number[NUMBER_BYTES];
  if (form->is_scientific) {
    write_scientific(value, is_f32(form), 0, PRECISION, number);
  } else {
    write_positional(value, is_f32(form), false, PRECISION, number);
  }
  const char *mark = strchr(number, 'e'), *end = mark != NULL ? mark : number + strlen(number);
  const int before = point_of(number), behind = (int)(end - number) - before - 1;
  if (before > form->left) form->left = before;
  if (behind > form->right) form->right = behind;
  if (mark != NULL && (int)strlen(mark) - 2 > form->exponent_digits) form->exponent_digits = (int)strlen(mark) - 2;
}

static void note_width(layout *form, int64_t at) {
  char number[NUMBER_BYTES];
  const int width = write_whole(form, at, number);
  if (width > form->width) form->width = width;
}

static void lay_out_floats(layout *form) {
  visit(form, 0, 0, note_range);
  /* In float32, as NumPy divides. */
  const double ratio = form->largest == 0 ? 0
                       : is_f32(form)     ? (double)((float)form->largest / (float)form->smallest)
                                          : form->largest / form->smallest;
  form->is_scientific = form->largest != 0 && (form->largest >= 1e8 || form->smallest < 0.0001 || ratio > 1000);
  visit(form, 0, 0, note_digits);
  form->fraction_digits = form->right;
  if (form->is_scientific) form->right += form->exponent_digits + 2;
  if (!form->has_other) return;
  const int offset = form->right + 1, longest = 3 + form->has_negative_infinity;
  if (form->left < 3 - offset) form->left = 3 - offset;
  if (form->left < longest - offset) form->left = longest - offset;
}

/* ---- lines ---- */

typedef struct printer {
  const layout *form;
  tt_buffer *text;
  const char *separator; /* " " or ", " */
} printer;

static void put(tt_buffer *text, const char *string) { tt_buffer_append(text, string, strlen(string)); }

static void put_spaces(tt_buffer *text, int n) { tt_buffer_printf(text, "%*s", n, ""); }

/* The innermost dimension: words that wrap. `indent` is where its bracket's contents begin; `width` what is left of the line. */
static void print_row(const printer *out, int dim, int64_t at, int indent, int width) {
  const layout *form = out->form;
  const int64_t n = tt_tensor_shape(form->tensor)->dims[dim];
  const bool skips = form->summarize && n > 2 * EDGE_ITEMS;
  const int most = width - 1; /* for the separator, or the bracket */
  int used = indent;
  put(out->text, "[");
  for (int64_t i = 0; i < n; i++) {
    char word[WORD_BYTES];
    if (skips && i == EDGE_ITEMS) {
      snprintf(word, sizeof word, "...");
      i = n - EDGE_ITEMS - 1;
    } else {
      write_element(form, at + i * form->tensor->strides[dim], word);
    }
    if (used + (int)strlen(word) > most && used > indent) {
      /* A separator's space does not end a line. */
      while (out->text->n_bytes > 0 && !out->text->failed && out->text->bytes[out->text->n_bytes - 1] == ' ')
        out->text->n_bytes--;
      put(out->text, "\n");
      put_spaces(out->text, indent);
      used = indent;
    }
    put(out->text, word);
    used += (int)strlen(word);
    if (i == n - 1) break;
    put(out->text, out->separator);
    used += (int)strlen(out->separator);
  }
  put(out->text, "]");
}

static void print_part(const printer *out, int dim, int64_t at, int indent, int width) {
  const layout *form = out->form;
  const tt_shape *shape = tt_tensor_shape(form->tensor);
  const int n_left = shape->n_dims - dim;
  if (n_left == 0) {
    char word[WORD_BYTES];
    write_element(form, at, word);
    put(out->text, word);
    return;
  }
  if (n_left == 1) {
    print_row(out, dim, at, indent, width);
    return;
  }
  const int64_t n = shape->dims[dim];
  const bool skips = form->summarize && n > 2 * EDGE_ITEMS;
  put(out->text, "[");
  for (int64_t i = 0; i < n; i++) {
    if (i > 0) {
      if (out->separator[0] == ',') put(out->text, ",");
      for (int line = 1; line < n_left; line++) put(out->text, "\n");
      put_spaces(out->text, indent);
    }
    if (skips && i == EDGE_ITEMS) {
      put(out->text, "...");
      i = n - EDGE_ITEMS - 1;
    } else {
      print_part(out, dim + 1, at + i * form->tensor->strides[dim], indent + 1, width - 1);
    }
  }
  put(out->text, "]");
}

static void print_elements(const tt_tensor *tensor, const char *separator, int indent, int line_width, tt_buffer *text) {
  const int64_t n = tt_tensor_n_elements(tensor);
  if (n == 0) {
    put(text, "[]");
    return;
  }
  layout form = {.tensor = tensor, .summarize = n > SUMMARIZE_ABOVE};
  if (tt_dtype_is_floating(tt_tensor_dtype(tensor))) {
    lay_out_floats(&form);
  } else {
    visit(&form, 0, 0, note_width);
    /* NumPy's bools are as wide as False wherever they have neighbours. */
    if (tt_tensor_dtype(tensor) == TT_DTYPE_BOOL && tt_tensor_n_dims(tensor) > 0) form.width = 5;
  }
  const printer out = {.form = &form, .text = text, .separator = separator};
  print_part(&out, 0, 0, indent + 1, line_width);
}

/* str() of a number: all its digits. */
static void print_scalar(const tt_tensor *tensor, tt_buffer *text) {
  layout form = {.tensor = tensor};
  char number[NUMBER_BYTES];
  if (!tt_dtype_is_floating(tt_tensor_dtype(tensor))) {
    write_whole(&form, 0, number);
    put(text, number);
    return;
  }
  const double value = float_at(&form, 0), magnitude = fabs(value);
  if (!isfinite(value)) {
    put(text, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
  } else if (magnitude != 0 && (magnitude >= 1e16 || magnitude < 1e-4)) {
    write_scientific(value, is_f32(&form), 0, 17, number);
    /* A mantissa of one digit has no point here. */
    char *point = strstr(number, ".e");
    if (point != NULL) memmove(point, point + 1, strlen(point));
    put(text, number);
  } else {
    write_positional(value, is_f32(&form), true, NUMBER_BYTES, number);
    put(text, number);
    if (number[strlen(number) - 1] == '.') put(text, "0");
  }
}

void tt_tensor_print_numpy(const tt_tensor *tensor, bool is_repr, tt_buffer *text) {
  const tt_dtype dtype = tt_tensor_dtype(tensor);
  const tt_shape *shape = tt_tensor_shape(tensor);
  if (!is_repr) {
    if (shape->n_dims == 0) {
      print_scalar(tensor, text);
    } else {
      print_elements(tensor, " ", 0, LINE_WIDTH, text);
    }
    return;
  }
  const int64_t n = tt_tensor_n_elements(tensor);
  const bool is_implied = n > 0 && (dtype == TT_DTYPE_I64 || dtype == TT_DTYPE_F64 || dtype == TT_DTYPE_BOOL);
  const int indent = (int)strlen(prefix);
  const size_t from = text->n_bytes;
  put(text, prefix);
  if (n > 0 || shape->n_dims == 1) {
    print_elements(tensor, ", ", indent, LINE_WIDTH - 1, text);
  } else {
    put(text, "[], shape=(");
    for (int i = 0; i < shape->n_dims; i++) tt_buffer_printf(text, i == 0 ? "%" PRId64 : ", %" PRId64, shape->dims[i]);
    put(text, shape->n_dims == 1 ? ",)" : ")");
  }
  if (is_implied) {
    put(text, ")");
    return;
  }
  put(text, ",");
  char tail[32];
  const int tail_bytes = snprintf(tail, sizeof tail, "dtype=%s)", tt_dtype_name(dtype));
  size_t line = text->n_bytes;
  while (line > from && text->bytes[line - 1] != '\n') line--;
  if ((int)(text->n_bytes - line) + tail_bytes + 1 > LINE_WIDTH) {
    tt_buffer_printf(text, "\n%*s%s", indent, "", tail);
  } else {
    tt_buffer_printf(text, " %s", tail);
  }
}
