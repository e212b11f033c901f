/*
 * draw_args: small arguments for any row of the table, drawn from its schema and its domain words (head of ops.def).
 *
 * Meant for rules rather than for values: a few elements, floats away from kinks and poles, no NaN, no infinities. Not every
 * draw fits together; the caller evaluates it and draws again when the op refuses.
 */
#ifndef TT_TESTS_DRAW_ARGS_H
#define TT_TESTS_DRAW_ARGS_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw_letters.h"
#include "ops/op.h"
#include "ops/oracle.h"

enum { DRAW_MAX_OPERANDS = 16, DRAW_MAX_LIST = 4, DRAW_WORDS_BYTES = 160 };

typedef struct drawn_args {
  const tt_op *op;
  tt_generator generator;
  bool mixes_floats; /* floating operands are float32 or float64; else all are float64 */
  bool has_self;
  tt_shape self; /* of the first operand */
  int64_t dim;   /* what `dim` was drawn as */
  tt_value args[TT_MAX_PARAMS];
  tt_tensor *operands[DRAW_MAX_OPERANDS]; /* one reference each, in the order they stand in args */
  size_t n_operands;
  tt_operand *lists[DRAW_MAX_LIST];
  int64_t ints[TT_MAX_PARAMS][TT_MAX_DIMS];
  char strings[TT_MAX_PARAMS][32];
  draw_letters letters;
} drawn_args;

static inline int64_t draw_below(drawn_args *drawn, int64_t n) { return tt_generator_below(&drawn->generator, (uint64_t)n); }

static inline int64_t draw_between(drawn_args *drawn, int64_t low, int64_t high) {
  return low + draw_below(drawn, high - low + 1);
}

static inline double draw_uniform(drawn_args *drawn, double low, double high) {
  return low + (high - low) * tt_generator_uniform_f64(&drawn->generator);
}

/* The words of a parameter: "a,b" of "x=a,b; y=c". Empty when it is not named. */
static inline void draw_find_words(const char *domain, const char *param, char words[DRAW_WORDS_BYTES]) {
  words[0] = 0;
  size_t n_name = strlen(param);
  for (const char *at = domain; *at;) {
    while (*at == ' ') at++;
    const char *end = strchr(at, ';');
    size_t n = end ? (size_t)(end - at) : strlen(at);
    if (strncmp(at, param, n_name) == 0 && at[n_name] == '=' && n - n_name - 1 < DRAW_WORDS_BYTES) {
      memcpy(words, at + n_name + 1, n - n_name - 1);
      words[n - n_name - 1] = 0;
      return;
    }
    at += n + (end != NULL);
  }
}

static inline bool draw_has_word(const char *words, const char *word) {
  size_t n = strlen(word);
  for (const char *at = words; (at = strstr(at, word)); at += n) {
    bool starts = at == words || at[-1] == ',';
    if (starts && (at[n] == 0 || at[n] == ',' || word[n - 1] == '(')) return true;
  }
  return false;
}

/* The dimension that the word index(dim), index(-1) or along(dim) names. */
static inline int draw_word_dim(const drawn_args *drawn, const char *words) {
  const char *open = strchr(words, '(');
  int64_t dim = !open ? 0 : strncmp(open, "(dim", 4) == 0 ? drawn->dim : strtoll(open + 1, NULL, 10);
  int n_dims = drawn->self.n_dims > 0 ? drawn->self.n_dims : 1;
  return (int)(dim < 0 ? dim + n_dims : dim);
}

static inline double draw_number(drawn_args *drawn, const char *words) {
  double sign = draw_below(drawn, 2) ? 1 : -1;
  if (draw_has_word(words, "small")) return (double)draw_below(drawn, 4);
  if (draw_has_word(words, "positive") || draw_has_word(words, "nonnegative")) return draw_uniform(drawn, 0.3, 2);
  if (draw_has_word(words, "nonzero")) return sign * draw_uniform(drawn, 0.4, 2);
  if (draw_has_word(words, "unit")) return sign * draw_uniform(drawn, 0.05, 0.9);
  if (draw_has_word(words, "probability")) return draw_uniform(drawn, 0.1, 0.9);
  if (draw_has_word(words, "above_one")) return draw_uniform(drawn, 1.1, 3);
  return sign * draw_uniform(drawn, 0.2, 2);
}

/* ---- shapes ---- */

static inline tt_shape draw_shape_of_rank(drawn_args *drawn, int n_dims) {
  tt_shape shape = {.n_dims = n_dims};
  for (int d = 0; d < n_dims; d++) shape.dims[d] = draw_between(drawn, 1, 3);
  return shape;
}

static inline tt_shape draw_square(drawn_args *drawn, int n_batch) {
  tt_shape shape = draw_shape_of_rank(drawn, n_batch + 2);
  shape.dims[n_batch + 1] = shape.dims[n_batch];
  return shape;
}

static inline tt_shape draw_written_shape(drawn_args *drawn, const char *words) {
  tt_shape shape = {.n_dims = 0};
  shape.n_dims = draw_sizes(&drawn->letters, &drawn->generator, words, shape.dims);
  return shape;
}

static inline tt_shape draw_self_shape(drawn_args *drawn, const char *words) {
  if (draw_find_sizes(words)) return draw_written_shape(drawn, words);
  if (draw_has_word(words, "scalar")) return (tt_shape){.n_dims = 0};
  if (draw_has_word(words, "vector")) return draw_shape_of_rank(drawn, 1);
  if (draw_has_word(words, "square")) return draw_square(drawn, 0);
  if (draw_has_word(words, "square_batch")) return draw_square(drawn, (int)draw_below(drawn, 2));
  if (draw_has_word(words, "cubes")) {
    tt_shape shape = draw_square(drawn, 1);
    shape.dims[0] = 2;
    return shape;
  }
  if (draw_has_word(words, "triples")) {
    tt_shape shape = draw_shape_of_rank(drawn, (int)draw_between(drawn, 1, 3));
    shape.dims[draw_below(drawn, shape.n_dims)] = 3;
    return shape;
  }
  if (draw_has_word(words, "matrix")) return draw_shape_of_rank(drawn, 2);
  if (draw_has_word(words, "batch")) return draw_shape_of_rank(drawn, 3);
  tt_shape shape = draw_shape_of_rank(drawn, (int)draw_below(drawn, 4));
  if (shape.n_dims > 0 && draw_below(drawn, 12) == 0) shape.dims[draw_below(drawn, shape.n_dims)] = 0;
  return shape;
}

static inline tt_shape draw_broadcast_shape(drawn_args *drawn, bool may_grow) {
  tt_shape shape = drawn->self;
  for (int d = 0; d < shape.n_dims; d++) {
    if (shape.dims[d] == 1 && may_grow && draw_below(drawn, 3) == 0) shape.dims[d] = 3;
    if (draw_below(drawn, 4) == 0) shape.dims[d] = 1;
  }
  if (shape.n_dims > 0 && draw_below(drawn, 4) == 0) {
    memmove(shape.dims, shape.dims + 1, (size_t)(shape.n_dims - 1) * sizeof shape.dims[0]);
    shape.n_dims--;
  } else if (may_grow && draw_below(drawn, 6) == 0) {
    memmove(shape.dims + 1, shape.dims, (size_t)shape.n_dims * sizeof shape.dims[0]);
    shape.dims[0] = 2;
    shape.n_dims++;
  }
  return shape;
}

/* A right factor for self: of the rank that is named, or of any that matmul takes. */
static inline tt_shape draw_inner_shape(drawn_args *drawn, const char *words) {
  const tt_shape *self = &drawn->self;
  int64_t inner = self->n_dims > 0 ? self->dims[self->n_dims - 1] : 1, columns = draw_between(drawn, 1, 3);
  if (draw_has_word(words, "vector")) return (tt_shape){.n_dims = 1, .dims = {inner}};
  if (draw_has_word(words, "batch")) return (tt_shape){.n_dims = 3, .dims = {self->dims[0], inner, columns}};
  int64_t kind = draw_has_word(words, "matrix") ? 1 : draw_below(drawn, 4);
  if (kind == 0) return (tt_shape){.n_dims = 1, .dims = {inner}};
  if (kind == 1 || self->n_dims < 3) return (tt_shape){.n_dims = 2, .dims = {inner, columns}};
  if (kind == 2) return (tt_shape){.n_dims = 3, .dims = {1, inner, columns}};
  return (tt_shape){.n_dims = 3, .dims = {self->dims[0], inner, columns}};
}

static inline tt_shape draw_operand_shape(drawn_args *drawn, const char *words) {
  if (!drawn->has_self) return draw_self_shape(drawn, words);
  if (draw_find_sizes(words)) return draw_written_shape(drawn, words);
  if (draw_has_word(words, "same")) return drawn->self;
  if (draw_has_word(words, "scalar")) return (tt_shape){.n_dims = 0};
  if (draw_has_word(words, "inner")) return draw_inner_shape(drawn, words);
  if (draw_has_word(words, "vector")) return draw_shape_of_rank(drawn, 1);
  int64_t last = drawn->self.n_dims > 0 ? drawn->self.dims[drawn->self.n_dims - 1] : 1;
  if (draw_has_word(words, "cubes")) return (tt_shape){.n_dims = 3, .dims = {2, last, last}};
  if (draw_has_word(words, "square")) return (tt_shape){.n_dims = 2, .dims = {last, last}};
  if (draw_has_word(words, "matrix")) return (tt_shape){.n_dims = 2, .dims = {last, draw_between(drawn, 1, 3)}};
  if (draw_has_word(words, "index(")) {
    tt_shape shape = drawn->self;
    int dim = draw_word_dim(drawn, words);
    for (int d = 0; d < shape.n_dims; d++) {
      if (d == dim)
        shape.dims[d] = draw_between(drawn, 0, 3);
      else if (draw_below(drawn, 4) == 0)
        shape.dims[d] = draw_between(drawn, 0, shape.dims[d]);
    }
    return shape;
  }
  return draw_broadcast_shape(drawn, (drawn->op->flags & TT_OP_INPLACE) == 0 && !draw_has_word(words, "expandable"));
}

/* ---- operands ---- */

static inline void draw_matrix(drawn_args *drawn, const char *words, double *a, int64_t n) {
  double factor[9];
  for (int64_t i = 0; i < n * n; i++) factor[i] = draw_uniform(drawn, -1, 1);
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < n; j++) {
      double value = factor[i * n + j];
      if (draw_has_word(words, "spd")) {
        value = 0;
        for (int64_t k = 0; k < n; k++) value += factor[i * n + k] * factor[j * n + k];
      } else if (draw_has_word(words, "lower") && j > i) {
        value = 0;
      }
      a[i * n + j] = value + (i == j ? 2.5 : 0);
    }
  }
}

static inline tt_tensor *draw_dense(drawn_args *drawn, const char *words, tt_shape shape) {
  int64_t n = tt_shape_n_elements(&shape);
  if (draw_has_word(words, "index(")) {
    char letter = strstr(words, "index(")[6];
    bool is_letter = letter >= 'A' && letter <= 'Z';
    int dim = is_letter ? 0 : draw_word_dim(drawn, words);
    int64_t size = is_letter                ? draw_letter(&drawn->letters, &drawn->generator, letter)
                   : drawn->self.n_dims > 0 ? drawn->self.dims[dim]
                                            : 1;
    if (size == 0) shape = (tt_shape){.n_dims = 1, .dims = {0}};
    tt_tensor *index = tt_tensor_zeros(TT_DTYPE_I64, &shape, NULL);
    int64_t *at = tt_tensor_data(index);
    for (int64_t i = 0; i < tt_tensor_n_elements(index); i++)
      at[i] = draw_has_word(words, "distinct") ? i : draw_below(drawn, size);
    return index;
  }
  if (draw_has_word(words, "bool")) {
    tt_tensor *mask = tt_tensor_zeros(TT_DTYPE_BOOL, &shape, NULL);
    uint8_t *at = tt_tensor_data(mask);
    for (int64_t i = 0; i < n; i++) at[i] = (uint8_t)draw_below(drawn, 2);
    return mask;
  }
  tt_tensor *tensor = tt_tensor_zeros(TT_DTYPE_F64, &shape, NULL);
  double *at = tt_tensor_data(tensor);
  bool is_matrix = draw_has_word(words, "spd") || draw_has_word(words, "invertible") || draw_has_word(words, "lower");
  int64_t side = shape.n_dims > 0 ? shape.dims[shape.n_dims - 1] : 0;
  if (is_matrix && side > 0 && side <= 3 && shape.n_dims >= 2 && shape.dims[shape.n_dims - 2] == side) {
    for (int64_t i = 0; i < n; i += side * side) draw_matrix(drawn, words, at + i, side);
    return tensor;
  }
  for (int64_t i = 0; i < n; i++) at[i] = draw_number(drawn, words);
  if (draw_has_word(words, "distinct")) {
    for (int64_t i = 0; i < n; i++)
      at[i] = 0.5 * (double)((i * 7) % 16) - 3 + draw_uniform(drawn, 0, 0.1) + (double)(i / 16) * 9;
  }
  return tensor;
}

/* The same elements, the memory in the reverse order of dimensions. */
static inline tt_tensor *draw_strided(tt_tensor *dense) {
  tt_shape shape = *tt_tensor_shape(dense), reversed = {.n_dims = shape.n_dims};
  for (int d = 0; d < shape.n_dims; d++) reversed.dims[d] = shape.dims[shape.n_dims - 1 - d];
  tt_tensor *memory = tt_tensor_zeros(tt_tensor_dtype(dense), &reversed, NULL);
  int64_t strides[TT_MAX_DIMS];
  for (int d = 0; d < shape.n_dims; d++) strides[d] = memory->strides[shape.n_dims - 1 - d];
  tt_tensor *view = tt_tensor_view(memory, &shape, strides, 0, NULL);
  tt_tensor_copy(view, dense, NULL);
  tt_tensor_unref(memory);
  tt_tensor_unref(dense);
  return view;
}

static inline tt_operand *draw_operand(drawn_args *drawn, const char *words, const tt_shape *given) {
  tt_shape shape = given ? *given : draw_operand_shape(drawn, words);
  if (!drawn->has_self) {
    drawn->has_self = true;
    drawn->self = shape;
  }
  tt_tensor *tensor = draw_dense(drawn, words, shape);
  if (drawn->mixes_floats && tt_tensor_dtype(tensor) == TT_DTYPE_F64 && draw_below(drawn, 2)) {
    tt_tensor *narrow = tt_tensor_cast(tensor, TT_DTYPE_F32, NULL);
    tt_tensor_unref(tensor);
    tensor = narrow;
  }
  if (draw_below(drawn, 3) == 0) tensor = draw_strided(tensor);
  drawn->operands[drawn->n_operands++] = tensor;
  return &tensor->operand;
}

/* ---- everything else ---- */

static inline tt_value draw_literal(drawn_args *drawn, size_t i, const char *text, tt_param_type type) {
  int64_t n_choices = 1;
  for (const char *at = text; *at; at++) n_choices += *at == '|';
  for (int64_t skip = draw_below(drawn, n_choices); skip > 0; skip--) text = strchr(text, '|') + 1;
  size_t n = strcspn(text, "|");
  char *copy = drawn->strings[i];
  snprintf(copy, sizeof drawn->strings[i], "%.*s", (int)n, text);
  bool is_word = type == TT_PARAM_STRING && !drawn->op->params[i].is_optional;
  if (strcmp(copy, "none") == 0 && !is_word) return tt_none();
  if (strcmp(copy, "true") == 0 || strcmp(copy, "false") == 0) return tt_bool(copy[0] == 't');
  if (type == TT_PARAM_STRING) return (tt_value){.type = TT_VALUE_STRING, .n = (uint32_t)n, .as.string = copy};
  if (type == TT_PARAM_INTS) {
    uint32_t n_ints = 0;
    for (const char *at = copy; *at && n_ints < TT_MAX_DIMS; at++) {
      if (*at != '[' && *at != '+' && *at != ']') {
        char *end;
        drawn->ints[i][n_ints++] = strtoll(at, &end, 10);
        at = end - 1;
      }
    }
    return tt_ints(drawn->ints[i], n_ints);
  }
  if (type == TT_PARAM_FLOAT || strpbrk(copy, ".ein")) return tt_float(strtod(copy, NULL));
  return tt_int(strtoll(copy, NULL, 10));
}

static inline uint32_t draw_permutation(drawn_args *drawn, int64_t *out, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    int64_t k = draw_below(drawn, i + 1);
    out[i] = out[k];
    out[k] = i;
  }
  return (uint32_t)n;
}

static inline tt_value draw_ints(drawn_args *drawn, size_t i, const tt_param *param, const char *words) {
  int64_t *out = drawn->ints[i];
  const tt_shape *self = &drawn->self;
  int64_t span = self->n_dims > 0 ? self->n_dims : 1;
  if (draw_find_sizes(words)) {
    return tt_ints(out, (uint32_t)draw_sizes(&drawn->letters, &drawn->generator, words, out));
  }
  if (draw_has_word(words, "permutation")) return tt_ints(out, draw_permutation(drawn, out, self->n_dims));
  if (draw_has_word(words, "dims") || draw_has_word(words, "dims_or_none") || strncmp(param->name, "dim", 3) == 0) {
    if (param->is_optional && draw_below(drawn, 3) == 0) return tt_none();
    draw_permutation(drawn, out, span);
    return tt_ints(out, (uint32_t)draw_between(drawn, 1, span));
  }
  if (draw_has_word(words, "shape_of")) {
    int64_t n = self->n_dims > 0 ? tt_shape_n_elements(self) : 1;
    out[0] = n;
    out[1] = 1;
    if (n % 2 == 0) {
      out[0] = n / 2;
      out[1] = 2;
    }
    return tt_ints(out, (uint32_t)draw_between(drawn, out[1], 2));
  }
  if (draw_has_word(words, "expandable")) {
    int grown = (int)draw_below(drawn, 2);
    out[0] = 2;
    for (int d = 0; d < self->n_dims; d++) {
      out[grown + d] = self->dims[d] == 1 && draw_below(drawn, 2) ? 3 : draw_below(drawn, 2) ? -1 : self->dims[d];
    }
    return tt_ints(out, (uint32_t)(self->n_dims + grown));
  }
  if (draw_has_word(words, "length")) {
    int64_t size = self->n_dims > 0 ? self->dims[drawn->dim < 0 ? drawn->dim + span : drawn->dim] : 0;
    out[0] = draw_between(drawn, 0, size);
    out[1] = size - out[0];
    return tt_ints(out, 2);
  }
  if (draw_has_word(words, "small") && param->type == TT_PARAM_INTS) {
    for (int64_t d = 0; d < span; d++) out[d] = draw_between(drawn, 0, 3);
    return tt_ints(out, (uint32_t)span);
  }
  for (int d = 0; d < 2; d++) out[d] = draw_between(drawn, 0, 3);
  return tt_ints(out, 2);
}

static inline tt_value draw_int(drawn_args *drawn, const tt_param *param, const char *words) {
  int64_t span = drawn->self.n_dims > 0 ? drawn->self.n_dims : 1;
  if (draw_find_sizes(words)) {
    int64_t sizes[TT_MAX_DIMS] = {0};
    draw_sizes(&drawn->letters, &drawn->generator, words, sizes);
    return tt_int(sizes[0]);
  }
  bool is_dim = draw_has_word(words, "dim") || draw_has_word(words, "dim_or_none");
  if (is_dim || (words[0] == 0 && strncmp(param->name, "dim", 3) == 0)) {
    if (param->is_optional && draw_below(drawn, 3) == 0) return tt_none();
    int64_t dim = draw_between(drawn, -span, span - 1);
    if (strcmp(param->name, "dim") == 0) drawn->dim = dim;
    return tt_int(dim);
  }
  int64_t size = drawn->self.n_dims > 0 ? drawn->self.dims[drawn->dim < 0 ? drawn->dim + span : drawn->dim] : 1;
  if (draw_has_word(words, "index(")) return tt_int(draw_between(drawn, -size, size > 0 ? size - 1 : 0));
  if (draw_has_word(words, "length")) return tt_int(draw_between(drawn, 0, size));
  if (draw_has_word(words, "positive")) return tt_int(draw_between(drawn, 1, 3));
  if (draw_has_word(words, "finite")) return tt_int(draw_between(drawn, -3, 3));
  if (words[0] == 0 && param->is_optional) return tt_none();
  if (words[0] == 0 && param->has_default) return param->default_value;
  return tt_int(draw_between(drawn, 0, 3));
}

/* The shapes that an equation names: a size for each letter, dots standing for one dimension. As many as there are room for. */
static inline tt_value draw_lettered(drawn_args *drawn, const char *equation, const char *words) {
  uint32_t n = 0;
  const char *end = strstr(equation, "->");
  if (!end) end = equation + strlen(equation);
  for (const char *at = equation; at <= end && n < DRAW_MAX_LIST; n++) {
    tt_shape shape = {.n_dims = 0};
    for (; at < end && *at != ','; at++) {
      if (*at == '.') at += 2;
      shape.dims[shape.n_dims++] = 1 + (*at * 7) % 3;
    }
    drawn->lists[n] = draw_operand(drawn, words, &shape);
    at++;
  }
  return tt_operands_value(drawn->lists, n);
}

static inline tt_value draw_param(drawn_args *drawn, size_t i) {
  const tt_param *param = &drawn->op->params[i];
  char words[DRAW_WORDS_BYTES];
  draw_find_words(tt_oracle_row_of(drawn->op)->domain, param->name, words);
  if (words[0] == '=') return draw_literal(drawn, i, words + 1, param->type);
  if (draw_has_word(words, "none")) return param->has_default ? param->default_value : tt_none();
  bool is_left_out = param->is_optional && draw_below(drawn, 3) == 0;
  switch (param->type) {
  case TT_PARAM_TENSOR:
    return is_left_out ? tt_none() : tt_operand_value(draw_operand(drawn, words, NULL));
  case TT_PARAM_TENSORS: {
    if (draw_has_word(words, "lettered")) return draw_lettered(drawn, drawn->strings[0], words);
    uint32_t n = (uint32_t)draw_between(drawn, 1, DRAW_MAX_LIST - 1);
    for (uint32_t k = 0; k < n; k++) {
      tt_shape shape = drawn->has_self ? drawn->self : draw_self_shape(drawn, words);
      if (words[0] == '[') shape.n_dims = draw_sizes(&drawn->letters, &drawn->generator, words, shape.dims);
      if (k > 0 && draw_has_word(words, "along(") && shape.n_dims > 0) {
        shape.dims[draw_word_dim(drawn, strstr(words, "along("))] = draw_between(drawn, 0, 3);
      }
      drawn->lists[k] = draw_operand(drawn, words, &shape);
    }
    return tt_operands_value(drawn->lists, n);
  }
  case TT_PARAM_SCALAR:
  case TT_PARAM_TENSOR_OR_SCALAR:
    if (is_left_out) return tt_none();
    if (param->type == TT_PARAM_TENSOR_OR_SCALAR && draw_below(drawn, 3) > 0) {
      return tt_operand_value(draw_operand(drawn, words, NULL));
    }
    return param->has_default && draw_below(drawn, 2) ? param->default_value : tt_float(draw_number(drawn, words));
  case TT_PARAM_INT:
    return draw_int(drawn, param, words);
  case TT_PARAM_INTS:
    return draw_ints(drawn, i, param, words);
  case TT_PARAM_FLOAT:
    return param->has_default ? param->default_value : tt_float(draw_number(drawn, words));
  case TT_PARAM_BOOL:
    return tt_bool(draw_below(drawn, 2));
  case TT_PARAM_DTYPE:
    return param->is_optional ? tt_none() : tt_dtype_value(TT_DTYPE_F64);
  case TT_PARAM_STRING:
    return param->has_default ? param->default_value : tt_none();
  }
  return tt_none();
}

/* Operands that other arguments are drawn from come first: the first tensor, then `dim`, then what remains. */
static inline void draw_args(drawn_args *drawn, const tt_op *op, uint64_t seed, bool mixes_floats) {
  *drawn = (drawn_args){.op = op, .mixes_floats = mixes_floats};
  tt_generator_init(&drawn->generator, seed);
  size_t first = op->n_params, n_dim = op->n_params;
  for (size_t i = op->n_params; i-- > 0;) {
    if (op->params[i].type == TT_PARAM_TENSOR && !op->params[i].is_optional) first = i;
    if (strcmp(op->params[i].name, "dim") == 0 && op->params[i].type == TT_PARAM_INT) n_dim = i;
  }
  if (first == 0) drawn->args[0] = draw_param(drawn, 0);
  if (op->n_params > 0 && op->params[0].type == TT_PARAM_TENSORS) { /* a list is drawn around the shape of its first tensor */
    char words[DRAW_WORDS_BYTES];
    draw_find_words(tt_oracle_row_of(op)->domain, op->params[0].name, words);
    drawn->self = draw_self_shape(drawn, words);
    drawn->has_self = true;
  }
  if (n_dim < op->n_params) {
    drawn->args[n_dim] = draw_param(drawn, n_dim);
    if (drawn->args[n_dim].type == TT_VALUE_INT) drawn->dim = drawn->args[n_dim].as.integer;
    if (drawn->dim >= (drawn->self.n_dims > 0 ? drawn->self.n_dims : 1)) drawn->dim = 0;
  }
  for (size_t i = 0; i < op->n_params; i++) {
    if (i != n_dim && !(i == 0 && first == 0)) drawn->args[i] = draw_param(drawn, i);
  }
}

static inline void draw_release(drawn_args *drawn) {
  for (size_t i = 0; i < drawn->n_operands; i++) tt_tensor_unref(drawn->operands[i]);
}

#endif
