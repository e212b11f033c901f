#include "ops/op.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/inplace.h"
#include "ops/rows.h"
#include "ops/schema.h"

/* Whether PyTorch's name begins with "torch.nn.f", that is "torch.nn.functional."; the spaces are for names that are shorter. */
#define LETTER(torch_name, i) ((torch_name "          ")[i])
#define FLAGS_OF(torch_name) \
  (LETTER(torch_name, 6) == 'n' && LETTER(torch_name, 7) == 'n' && LETTER(torch_name, 9) == 'f' ? TT_OP_FUNCTIONAL : 0)

static tt_op table[TT_N_OPS_PLUS_ONE] = {
#define TT_OP(row_name, row_schema, row_torch_name, row_infer, row_kernel, row_grad, row_flags, row_domain, row_tolerance) \
  [TT_OP_##row_name] = {.number = TT_OP_##row_name,                                                                        \
                        .name = #row_name,                                                                                 \
                        .schema = row_schema,                                                                              \
                        .infer = row_infer,                                                                                \
                        .kernel = row_kernel,                                                                              \
                        .grad = row_grad,                                                                                  \
                        .flags = (row_flags) | FLAGS_OF(row_torch_name)},
#include "ops/ops.def"
#undef TT_OP
};

/* The rows in the order of their names, behind an unused first place; sorted when it is first asked. */
static const tt_op *by_name[TT_N_OPS_PLUS_ONE];

static int compare_rows(const void *a, const void *b) {
  const tt_op *const *left = a;
  const tt_op *const *right = b;
  return strcmp((*left)->name, (*right)->name);
}

/* What the flags of a row promise must hold of its schema. */
static tt_status check_row(const tt_op *op, tt_error *error) {
  bool has_tensor_first = op->n_params > 0 && op->params[0].type == TT_PARAM_TENSOR && !op->params[0].is_optional;
  if ((op->flags & (TT_OP_INPLACE | TT_OP_VIEW)) != 0 && !has_tensor_first) {
    return tt_fail(error, TT_ERR_STATE, "row %s: an in-place or view op needs a Tensor as its first parameter", op->name);
  }
  for (size_t i = 0; i < op->n_params; i++) {
    if ((op->flags & TT_OP_INPLACE) != 0 && op->params[i].type == TT_PARAM_TENSORS) {
      return tt_fail(error, TT_ERR_STATE, "row %s: an in-place op cannot take a list of tensors", op->name);
    }
  }
  if ((op->flags & TT_OP_INPLACE) != 0 && op->result_form != TT_RESULT_TENSOR) {
    return tt_fail(error, TT_ERR_STATE, "row %s: an in-place op answers one tensor", op->name);
  }
  return TT_OK;
}

/* Reads a row's schema, once: until then it has no params, not even none. */
static tt_status read_row(tt_op *op, tt_error *error) {
  if (op->params != NULL) return TT_OK;
  tt_status status = tt_schema_parse(op, error);
  if (status == TT_OK) status = check_row(op, error);
  if (status != TT_OK) op->params = NULL;
  return status;
}

static void sort_names(void) {
  if (by_name[1] != NULL) return;
  for (int i = 1; i <= TT_N_OPS; i++) by_name[i] = &table[i];
  qsort(by_name + 1, TT_N_OPS, sizeof by_name[0], compare_rows);
}

tt_status tt_ops_init(tt_error *error) {
  for (int i = 1; i <= TT_N_OPS; i++) TT_TRY(read_row(&table[i], error));
  sort_names();
  for (int i = 2; i <= TT_N_OPS; i++) {
    if (strcmp(by_name[i - 1]->name, by_name[i]->name) == 0) {
      return tt_fail(error, TT_ERR_STATE, "two rows are named %s", by_name[i]->name);
    }
  }
  return TT_OK;
}

const char *tt_op_name(unsigned number) { return number == 0 || number > TT_N_OPS ? NULL : table[number].name; }

const tt_op *tt_op_get(unsigned number) {
  if (number == 0 || number > TT_N_OPS) return NULL;
  tt_op *op = &table[number];
  if (op->params != NULL) return op;
  tt_error error = {.status = TT_OK};
  return read_row(op, &error) == TT_OK ? op : NULL;
}

const tt_op *tt_op_find(const char *name, size_t n_bytes) {
  sort_names();
  int low = 1, high = TT_N_OPS;
  while (low <= high) {
    int middle = low + (high - low) / 2;
    const char *other = by_name[middle]->name;
    int order = strncmp(name, other, n_bytes);
    if (order == 0 && other[n_bytes] != 0) order = -1;
    if (order == 0) return tt_op_get(by_name[middle]->number);
    if (order < 0) {
      high = middle - 1;
    } else {
      low = middle + 1;
    }
  }
  return NULL;
}

static uint64_t fnv1a(uint64_t hash, const char *text) {
  for (; *text != 0; text++) hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001B3);
  return hash;
}

uint64_t tt_ops_digest(void) {
  static uint64_t digest;
  if (digest != 0) return digest;
  uint64_t hash = UINT64_C(0xCBF29CE484222325);
  for (int i = 1; i <= TT_N_OPS; i++) {
    hash = fnv1a(hash, table[i].name);
    hash = fnv1a(hash, " ");
    hash = fnv1a(hash, table[i].schema);
    hash = fnv1a(hash, "\n");
  }
  digest = hash;
  return hash;
}

static const char *const value_type_names[TT_N_VALUE_TYPES] = {
    [TT_VALUE_NONE] = "None",           [TT_VALUE_OPERAND] = "a tensor", [TT_VALUE_OPERANDS] = "a list of tensors",
    [TT_VALUE_BOOL] = "a bool",         [TT_VALUE_INT] = "an int",       [TT_VALUE_FLOAT] = "a float",
    [TT_VALUE_INTS] = "a list of ints", [TT_VALUE_DTYPE] = "a dtype",    [TT_VALUE_STRING] = "a string",
};

/* Which value types a parameter type takes as they are. */
#define TAKES(type) (1u << TT_VALUE_##type)
static const uint32_t takes[] = {
    [TT_PARAM_TENSOR] = TAKES(OPERAND),
    [TT_PARAM_TENSORS] = TAKES(OPERANDS),
    [TT_PARAM_SCALAR] = TAKES(BOOL) | TAKES(INT) | TAKES(FLOAT),
    [TT_PARAM_TENSOR_OR_SCALAR] = TAKES(OPERAND) | TAKES(BOOL) | TAKES(INT) | TAKES(FLOAT),
    [TT_PARAM_INT] = TAKES(INT),
    [TT_PARAM_INTS] = TAKES(INTS),
    [TT_PARAM_FLOAT] = TAKES(FLOAT),
    [TT_PARAM_BOOL] = TAKES(BOOL),
    [TT_PARAM_DTYPE] = TAKES(DTYPE),
    [TT_PARAM_STRING] = TAKES(STRING),
};

/* An argument that is none of those. */
static tt_status bind_one(const tt_op *op, size_t i, const tt_value *given, tt_value *bound, int64_t *scratch,
                          tt_error *error) {
  const tt_param *param = &op->params[i];
  if (given == NULL || (given->type == TT_VALUE_NONE && !param->is_optional)) {
    if (param->has_default) {
      *bound = param->default_value;
      return TT_OK;
    }
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: the argument '%s' (position %zu) is missing; the signature is %s", op->name,
                   param->name, i, op->schema);
  }
  if (given->type == TT_VALUE_NONE) {
    *bound = *given;
    return TT_OK;
  }
  if (param->type == TT_PARAM_FLOAT && given->type == TT_VALUE_INT) {
    *bound = tt_float((double)given->as.integer);
    return TT_OK;
  }
  if (param->type == TT_PARAM_INTS && given->type == TT_VALUE_INT) {
    *scratch = given->as.integer;
    *bound = tt_ints(scratch, 1);
    return TT_OK;
  }
  return tt_fail(error, TT_ERR_ARGUMENT,
                 "%s: the argument '%s' (position %zu) is %s, which it does not take; the signature is %s", op->name,
                 param->name, i, given->type < TT_N_VALUE_TYPES ? value_type_names[given->type] : "of no known type",
                 op->schema);
}

tt_status tt_op_bind(const tt_op *op, const tt_value *args, size_t n_args, tt_value bound[TT_MAX_PARAMS],
                     int64_t scratch[TT_MAX_PARAMS], tt_error *error) {
  if (n_args > op->n_params) {
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: %zu arguments were given but it takes at most %zu; the signature is %s",
                   op->name, n_args, op->n_params, op->schema);
  }
  for (size_t i = 0; i < op->n_params; i++) {
    const tt_value *given = i < n_args ? &args[i] : NULL;
    /* Most are what they should be. */
    if (given != NULL && given->type < TT_N_VALUE_TYPES && (takes[op->params[i].type] & (1u << given->type)) != 0) {
      bound[i] = *given;
    } else {
      TT_TRY(bind_one(op, i, given, &bound[i], &scratch[i], error));
    }
  }
  return TT_OK;
}

/* Values that can stand in a row as a default, but for lists. */
static bool is_same(const tt_value *a, const tt_value *b) {
  if (a->type != b->type) return false;
  switch (a->type) {
  case TT_VALUE_NONE:
    return true;
  case TT_VALUE_BOOL:
    return a->as.boolean == b->as.boolean;
  case TT_VALUE_INT:
    return a->as.integer == b->as.integer;
  case TT_VALUE_FLOAT:
    return memcmp(&a->as.real, &b->as.real, sizeof a->as.real) == 0;
  case TT_VALUE_DTYPE:
    return a->as.dtype == b->as.dtype;
  default:
    return false;
  }
}

size_t tt_op_n_told(const tt_op *op, const tt_value *bound) {
  size_t n = op->n_params;
  while (n > 0 && op->params[n - 1].has_default && is_same(&bound[n - 1], &op->params[n - 1].default_value)) n--;
  return n;
}

tt_status tt_op_infer_rule(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  TT_TRY(op->infer(op, args, results, n_results, error));
  /* Sizes that are within the limit may make a shape beyond it. */
  for (size_t i = 0; i < *n_results; i++) {
    const tt_shape *shape = &results[i].shape;
    if (!tt_shape_is_known(shape)) continue;
    tt_status status = tt_shape_check(shape->dims, (size_t)shape->n_dims, error);
    if (status != TT_OK) return tt_error_prefix(error, "%s", op->name), status;
  }
  return TT_OK;
}

tt_status tt_op_infer(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) {
  TT_TRY(tt_op_infer_rule(op, args, results, n_results, error));
  if ((op->flags & TT_OP_INPLACE) != 0) {
    TT_TRY(tt_inplace_check(op, &args[0].as.operand->meta, &results[0], error));
    results[0] = args[0].as.operand->meta;
  }
  return TT_OK;
}

tt_status tt_op_check_inplace(const tt_op *op, const tt_value *bound, const tt_meta *result, tt_error *error) {
  return tt_inplace_check(op, &bound[0].as.operand->meta, result, error);
}

tt_status tt_op_eval_inferred(const tt_op *op, tt_generator *generator, const tt_value *bound, const tt_meta *metas,
                              tt_tensor **results, size_t *n_results, tt_error *error) {
  if ((op->flags & TT_OP_RANDOM) != 0 && generator == NULL) {
    return tt_fail(error, TT_ERR_STATE, "%s draws random numbers but was called without a generator", op->name);
  }
  tt_kernel_context context = {.generator = generator};
  if ((op->flags & TT_OP_INPLACE) == 0) return op->kernel(op, &context, bound, metas, results, n_results, error);
  TT_TRY(tt_op_check_inplace(op, bound, &metas[0], error));
  tt_inplace_guard guard;
  tt_value apart[TT_MAX_PARAMS];
  memcpy(apart, bound, op->n_params * sizeof apart[0]);
  TT_TRY(tt_inplace_begin(op, apart, &guard, error));
  context.out = (tt_tensor *)(void *)apart[0].as.operand;
  tt_status status = op->kernel(op, &context, apart, metas, results, n_results, error);
  tt_inplace_end(&guard);
  return status;
}

tt_status tt_op_eval(tt_op_number number, tt_generator *generator, const tt_value *args, size_t n_args, tt_tensor **results,
                     size_t *n_results, tt_error *error) {
  const tt_op *op = tt_op_get(number);
  if (op == NULL) {
    return tt_fail(error, TT_ERR_UNKNOWN_OP, "there is no op number %d; the table has 1 to %d", (int)number, (int)TT_N_OPS);
  }
  tt_value bound[TT_MAX_PARAMS];
  int64_t scratch[TT_MAX_PARAMS];
  TT_TRY(tt_op_bind(op, args, n_args, bound, scratch, error));
  tt_meta metas[TT_MAX_RESULTS];
  size_t n_metas = 0;
  TT_TRY(tt_op_infer_rule(op, bound, metas, &n_metas, error));
  return tt_op_eval_inferred(op, generator, bound, metas, results, n_results, error);
}

/* JSON */

static void write_json_string(tt_buffer *text, const char *string, size_t n_bytes) {
  tt_buffer_u8(text, '"');
  for (size_t i = 0; i < n_bytes; i++) {
    if (string[i] == '"' || string[i] == '\\') tt_buffer_u8(text, '\\');
    tt_buffer_u8(text, (uint8_t)string[i]);
  }
  tt_buffer_u8(text, '"');
}

/* The tables are long: plain text is not worth a format. */
static void put(tt_buffer *text, const char *string) { tt_buffer_append(text, string, strlen(string)); }

static void write_pair(tt_buffer *text, const char *key, const char *string) {
  put(text, ",\"");
  put(text, key);
  put(text, "\":");
  write_json_string(text, string, strlen(string));
}

/* Defaults come from our own table: no float in it is infinite or NaN. */
static void write_default(tt_buffer *text, const tt_value *value) {
  if (value->type == TT_VALUE_BOOL) {
    put(text, value->as.boolean ? "true" : "false");
  } else if (value->type == TT_VALUE_INT) {
    tt_buffer_printf(text, "%" PRId64, value->as.integer);
  } else if (value->type == TT_VALUE_FLOAT) {
    tt_buffer_printf(text, "%.17g", value->as.real);
  } else if (value->type == TT_VALUE_STRING) {
    write_json_string(text, value->as.string, value->n);
  } else if (value->type == TT_VALUE_DTYPE) {
    write_json_string(text, tt_dtype_name(value->as.dtype), strlen(tt_dtype_name(value->as.dtype)));
  } else if (value->type == TT_VALUE_INTS) {
    tt_buffer_u8(text, '[');
    for (uint32_t i = 0; i < value->n; i++) tt_buffer_printf(text, i == 0 ? "%" PRId64 : ",%" PRId64, value->as.ints[i]);
    tt_buffer_u8(text, ']');
  } else {
    put(text, "null");
  }
}

static void write_bool(tt_buffer *text, const char *key, bool value) {
  put(text, ",\"");
  put(text, key);
  put(text, value ? "\":true" : "\":false");
}

static void write_params(tt_buffer *text, const tt_op *op) {
  put(text, ",\"params\":[");
  for (size_t i = 0; i < op->n_params; i++) {
    const tt_param *param = &op->params[i];
    put(text, i == 0 ? "{\"name\":\"" : ",{\"name\":\"");
    put(text, param->name);
    put(text, "\"");
    write_pair(text, "type", tt_param_type_name(param->type));
    write_bool(text, "optional", param->is_optional);
    write_bool(text, "keyword_only", param->is_keyword_only);
    write_bool(text, "has_default", param->has_default);
    if (param->is_written) write_bool(text, "written", true);
    if (param->has_default) {
      put(text, ",\"default\":");
      write_default(text, &param->default_value);
    }
    put(text, "}");
  }
  put(text, "]");
}

static void write_flags(tt_buffer *text, uint32_t flags) {
  static const struct {
    uint32_t flag;
    const char *name;
  } names[] = {{TT_OP_REMOTE, "remote"},
               {TT_OP_INPLACE, "inplace"},
               {TT_OP_VIEW, "view"},
               {TT_OP_RANDOM, "random"},
               {TT_OP_FACTORY, "factory"},
               {TT_OP_AGGREGATE, "aggregate"},
               {TT_OP_AGGREGATE_FIRST, "aggregate_first"},
               {TT_OP_AGGREGATE_REST, "aggregate_rest"},
               {TT_OP_DATA_SHAPE, "data_shape"},
               {TT_OP_FUNCTION, "function"},
               {TT_OP_GRAPH, "graph"},
               {TT_OP_GRAD_ARG, "grad_arg"},
               {TT_OP_HIDDEN, "hidden"},
               {TT_OP_FUNCTIONAL, "functional"},
               {TT_OP_LIKE, "like"}};
  const char *between = "";
  put(text, ",\"flags\":[");
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if ((flags & names[i].flag) == 0) continue;
    put(text, between);
    write_json_string(text, names[i].name, strlen(names[i].name));
    between = ",";
  }
  tt_buffer_u8(text, ']');
}

void tt_signature_json(tt_buffer *text, const tt_op *op) {
  static const char *const forms[] = {[TT_RESULT_TENSOR] = "tensor", [TT_RESULT_TUPLE] = "tuple", [TT_RESULT_LIST] = "list"};
  write_pair(text, "schema", op->schema);
  write_params(text, op);
  write_pair(text, "result", forms[op->result_form]);
  if (op->result_form != TT_RESULT_TUPLE) return;
  tt_buffer_printf(text, ",\"result_names\":[");
  for (size_t k = 0; k < op->n_result_names; k++) tt_buffer_printf(text, "%s\"%s\"", k == 0 ? "" : ",", op->result_names[k]);
  tt_buffer_u8(text, ']');
}

void tt_op_json(tt_buffer *text, const tt_op *op, void (*more)(tt_buffer *text, const tt_op *op)) {
  tt_buffer_printf(text, "{\"number\":%d", (int)op->number);
  write_pair(text, "name", op->name);
  write_flags(text, op->flags);
  write_bool(text, "differentiable", op->grad != NULL);
  tt_signature_json(text, op);
  if (more != NULL) more(text, op);
  tt_buffer_u8(text, '}');
}

void tt_ops_json(tt_buffer *text, void (*more)(tt_buffer *text, const tt_op *op)) {
  tt_buffer_u8(text, '[');
  for (unsigned i = 1; i <= TT_N_OPS; i++) {
    put(text, i == 1 ? "\n" : ",\n");
    tt_op_json(text, tt_op_get(i), more);
  }
  tt_buffer_printf(text, "\n]\n");
}

/* Whether the first parameter is a Tensor, without reading the schema: "name(Tensor self, ...", also "Tensor?" and "Tensor(a!)". */
static bool begins_with_tensor(const tt_op *op) {
  static const char type[] = "Tensor";
  const char *params = op->schema + strlen(op->name) + 1;
  if (strncmp(params, type, sizeof type - 1) != 0) return false;
  return strchr(" ?(", params[sizeof type - 1]) != NULL;
}

void tt_ops_lines(tt_buffer *text) {
  static const struct {
    uint32_t flag;
    char mark;
  } marks[] = {{TT_OP_INPLACE, 'i'}, {TT_OP_FACTORY, 'f'}, {TT_OP_HIDDEN, 'h'}, {TT_OP_FUNCTIONAL, 'n'}};
  for (int i = 1; i <= TT_N_OPS; i++) {
    const tt_op *op = &table[i];
    put(text, op->name);
    tt_buffer_u8(text, ' ');
    if (begins_with_tensor(op) && (op->flags & (TT_OP_FACTORY | TT_OP_FUNCTION | TT_OP_HIDDEN)) == 0) tt_buffer_u8(text, 'm');
    for (size_t k = 0; k < sizeof marks / sizeof marks[0]; k++) {
      if ((op->flags & marks[k].flag) != 0) tt_buffer_u8(text, (uint8_t)marks[k].mark);
    }
    tt_buffer_u8(text, '\n');
  }
}
