#include "ops/schema.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"

/* What all tables of a program hold at most; they are parsed once and stay. */
enum { MAX_PARAMS = 4096, MAX_DEFAULT_INTS = 512, MAX_RESULT_NAMES = 512 };

static struct {
  tt_param params[MAX_PARAMS];
  int64_t default_ints[MAX_DEFAULT_INTS];
  tt_result_name result_names[MAX_RESULT_NAMES];
  size_t n_params, n_default_ints, n_result_names;
} parsed;

typedef struct schema_reader {
  tt_op *op;
  const char *at; /* in op->schema */
  size_t n_default_ints;
  tt_error *error;
} schema_reader;

/* Longer names stand before their own beginnings. */
static const struct {
  const char *name;
  tt_param_type type;
} type_names[] = {
    {"Tensor|Scalar", TT_PARAM_TENSOR_OR_SCALAR},
    {"Tensor[]", TT_PARAM_TENSORS},
    {"Tensor", TT_PARAM_TENSOR},
    {"ScalarType", TT_PARAM_DTYPE},
    {"Scalar", TT_PARAM_SCALAR},
    {"int[]", TT_PARAM_INTS},
    {"int", TT_PARAM_INT},
    {"float", TT_PARAM_FLOAT},
    {"bool", TT_PARAM_BOOL},
    {"str", TT_PARAM_STRING},
};
enum { N_TYPE_NAMES = sizeof type_names / sizeof type_names[0] };

const char *tt_param_type_name(tt_param_type type) {
  for (size_t i = 0; i < N_TYPE_NAMES; i++) {
    if (type_names[i].type == type) return type_names[i].name;
  }
  return "?";
}

static tt_status fail_at(schema_reader *reader, const char *expected) {
  return tt_fail(reader->error, TT_ERR_STATE, "row %s: the schema needs %s at \"%s\" (in \"%s\")", reader->op->name, expected,
                 reader->at, reader->op->schema);
}

static bool accept(schema_reader *reader, const char *text) {
  size_t n = strlen(text);
  if (strncmp(reader->at, text, n) != 0) return false;
  reader->at += n;
  return true;
}

static bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static tt_status parse_name(schema_reader *reader, char *name, size_t room) {
  size_t n = 0;
  while (is_name_character(reader->at[n])) n++;
  if (n == 0 || n >= room) return fail_at(reader, "a name, and a shorter one");
  memcpy(name, reader->at, n);
  name[n] = 0;
  reader->at += n;
  return TT_OK;
}

static tt_status parse_int_list(schema_reader *reader, tt_value *value) {
  int64_t *ints = parsed.default_ints + parsed.n_default_ints;
  uint32_t n = 0;
  while (!accept(reader, "]")) {
    if (n > 0 && !accept(reader, ", ") && !accept(reader, ",")) return fail_at(reader, "a comma");
    if (reader->n_default_ints == TT_MAX_DEFAULT_INTS || parsed.n_default_ints == MAX_DEFAULT_INTS)
      return fail_at(reader, "fewer default ints");
    char *end;
    ints[n++] = strtoll(reader->at, &end, 10);
    if (end == reader->at) return fail_at(reader, "an int");
    reader->at = end;
    reader->n_default_ints++;
    parsed.n_default_ints++;
  }
  *value = tt_ints(ints, n);
  return TT_OK;
}

static tt_status parse_number(schema_reader *reader, tt_value *value) {
  char *end;
  long long integer = strtoll(reader->at, &end, 10);
  if (end != reader->at && *end != '.' && *end != 'e') {
    *value = tt_int(integer);
  } else {
    *value = tt_float(tt_number_read(reader->at, &end));
    if (end == reader->at) return fail_at(reader, "a default");
  }
  reader->at = end;
  return TT_OK;
}

static tt_status parse_default(schema_reader *reader, tt_param *param) {
  tt_value *value = &param->default_value;
  param->has_default = true;
  if (accept(reader, "None")) {
    if (!param->is_optional) return fail_at(reader, "an optional type before the default None");
    *value = tt_none();
  } else if (accept(reader, "True")) {
    *value = tt_bool(true);
  } else if (accept(reader, "False")) {
    *value = tt_bool(false);
  } else if (accept(reader, "[")) {
    return parse_int_list(reader, value);
  } else if (accept(reader, "'")) {
    const char *end = strchr(reader->at, '\'');
    if (end == NULL) return fail_at(reader, "a closing quote");
    *value = tt_string(reader->at, (uint32_t)(end - reader->at));
    reader->at = end + 1;
  } else if (param->type == TT_PARAM_DTYPE) {
    char name[24];
    TT_TRY(parse_name(reader, name, sizeof name));
    tt_dtype dtype;
    if (!tt_dtype_from_name(name, &dtype)) return fail_at(reader, "a dtype's name before this");
    *value = tt_dtype_value(dtype);
  } else {
    TT_TRY(parse_number(reader, value));
    if (param->type == TT_PARAM_FLOAT && value->type == TT_VALUE_INT) *value = tt_float((double)value->as.integer);
  }
  return TT_OK;
}

/* "(a)", "(a!)", "(b!)": which memory it is, and whether the call writes there. */
static bool accept_alias(schema_reader *reader, bool *is_written) {
  const char *at = reader->at;
  *is_written = false;
  if (at[0] != '(' || at[1] < 'a' || at[1] > 'z') return false;
  *is_written = at[2] == '!';
  size_t n = *is_written ? 4 : 3;
  if (at[n - 1] != ')') return false;
  reader->at += n;
  return true;
}

static tt_status parse_param(schema_reader *reader, bool is_keyword_only) {
  if (reader->op->n_params == TT_MAX_PARAMS || parsed.n_params == MAX_PARAMS) return fail_at(reader, "fewer parameters");
  tt_param *param = &parsed.params[parsed.n_params];
  *param = (tt_param){.is_keyword_only = is_keyword_only};
  size_t i = 0;
  while (i < N_TYPE_NAMES && !accept(reader, type_names[i].name)) i++;
  if (i == N_TYPE_NAMES) return fail_at(reader, "a type");
  param->type = type_names[i].type;
  if (param->type == TT_PARAM_TENSOR) accept_alias(reader, &param->is_written);
  param->is_optional = accept(reader, "?");
  if (!accept(reader, " ")) return fail_at(reader, "a space");
  TT_TRY(parse_name(reader, param->name, sizeof param->name));
  if (accept(reader, "=")) TT_TRY(parse_default(reader, param));
  parsed.n_params++;
  reader->op->n_params++;
  return TT_OK;
}

static tt_status parse_result(schema_reader *reader) {
  tt_op *op = reader->op;
  op->result_form = TT_RESULT_TENSOR;
  if (accept(reader, "(")) {
    op->result_form = TT_RESULT_TUPLE;
    do {
      if (op->n_result_names == TT_MAX_TUPLE || parsed.n_result_names == MAX_RESULT_NAMES)
        return fail_at(reader, "fewer results");
      if (!accept(reader, "Tensor ")) return fail_at(reader, "\"Tensor \"");
      TT_TRY(parse_name(reader, parsed.result_names[parsed.n_result_names], sizeof parsed.result_names[0]));
      parsed.n_result_names++;
      op->n_result_names++;
    } while (accept(reader, ", "));
    if (!accept(reader, ")")) return fail_at(reader, "a closing parenthesis");
  } else {
    if (!accept(reader, "Tensor")) return fail_at(reader, "\"Tensor\"");
    bool is_written;
    accept_alias(reader, &is_written);
    if (accept(reader, "[]")) op->result_form = TT_RESULT_LIST;
  }
  return *reader->at == 0 ? TT_OK : fail_at(reader, "the end");
}

/* What calls ask of the parameters, answered once. */
static void sort_params(tt_op *op) {
  op->n_operand_params = 0;
  op->writes = false;
  op->writes_if_param = -1;
  for (size_t i = 0; i < op->n_params; i++) {
    const tt_param *param = &op->params[i];
    if (param->type == TT_PARAM_TENSOR || param->type == TT_PARAM_TENSORS || param->type == TT_PARAM_TENSOR_OR_SCALAR)
      op->operand_params[op->n_operand_params++] = (uint8_t)i;
    op->writes |= param->is_written;
    /* A row with running statistics writes them while training; otherwise it only reads them. */
    bool decides = strcmp(param->name, "training") == 0 || strcmp(param->name, "use_input_stats") == 0;
    if (param->type == TT_PARAM_BOOL && decides && (op->flags & TT_OP_INPLACE) == 0) op->writes_if_param = (int8_t)i;
  }
}

tt_status tt_schema_parse(tt_op *op, tt_error *error) {
  schema_reader reader = {.op = op, .at = op->schema, .error = error};
  op->n_params = 0;
  op->params = parsed.params + parsed.n_params;
  op->n_result_names = 0;
  op->result_names = parsed.result_names + parsed.n_result_names;
  if (!accept(&reader, op->name) || !accept(&reader, "(")) return fail_at(&reader, "the row's own name and a parenthesis");
  bool is_keyword_only = false;
  for (bool is_first = true; !accept(&reader, ")"); is_first = false) {
    if (!is_first && !accept(&reader, ", ")) return fail_at(&reader, "a comma and a space");
    if (!is_keyword_only && accept(&reader, "*")) {
      is_keyword_only = true;
      continue;
    }
    TT_TRY(parse_param(&reader, is_keyword_only));
  }
  if (!accept(&reader, " -> ")) return fail_at(&reader, "\" -> \"");
  TT_TRY(parse_result(&reader));
  sort_params(op);
  return TT_OK;
}
