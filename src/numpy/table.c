/* table: the rows of numpy.def, parsed, found and told as JSON. */
#include <inttypes.h>
#include <string.h>

#include "numpy/call.h"
#include "numpy/rules.h"
#include "ops/schema.h"

static tt_numpy_function table[] = {
#define TT_NUMPY(row_name, row_signature, row_rule, row_op, row_flags, row_domain) \
  {.signature = {.name = row_name, .schema = row_signature, .flags = (row_flags)}, \
   .domain = row_domain,                                                           \
   .rule = row_rule,                                                               \
   .op = TT_OP_##row_op},
#include "numpy/numpy.def"
#undef TT_NUMPY
};
enum { N_ROWS = sizeof table / sizeof *table };

static bool is_ready;

tt_status tt_numpy_init(tt_error *error) {
  if (is_ready) return TT_OK;
  for (size_t i = 0; i < N_ROWS; i++) {
    TT_TRY(tt_schema_parse(&table[i].signature, error));
    for (size_t k = 0; k < i; k++) {
      if (strcmp(table[k].signature.name, table[i].signature.name) == 0)
        return tt_fail(error, TT_ERR_STATE, "two rows of numpy.def are named %s", table[i].signature.name);
    }
  }
  is_ready = true;
  return TT_OK;
}

size_t tt_numpy_n_functions(void) { return N_ROWS; }

const tt_numpy_function *tt_numpy_get(size_t number) { return number < N_ROWS ? &table[number] : NULL; }

const tt_numpy_function *tt_numpy_find(const char *name) {
  for (size_t i = 0; i < N_ROWS; i++) {
    if (strcmp(table[i].signature.name, name) == 0) return &table[i];
  }
  return NULL;
}

void tt_numpy_row_json(tt_buffer *text, const tt_numpy_function *row) {
  static const struct {
    uint32_t flag;
    const char *name;
  } flags[] = {{TT_NUMPY_METHOD, "method"},
               {TT_NUMPY_ONLY_METHOD, "only_method"},
               {TT_NUMPY_FACTORY, "factory"},
               {TT_NUMPY_RANDOM, "random"}};
  tt_buffer_printf(text, "{\"number\":%td,\"name\":\"%s\",\"op\":\"%s\",\"flags\":[", row - table, row->signature.name,
                   row->op == TT_OP_NONE ? "" : tt_op_name(row->op));
  const char *between = "";
  for (size_t k = 0; k < sizeof flags / sizeof *flags; k++) {
    if ((row->signature.flags & flags[k].flag) == 0) continue;
    tt_buffer_printf(text, "%s\"%s\"", between, flags[k].name);
    between = ",";
  }
  tt_buffer_printf(text, "],\"domain\":\"%s\"", row->domain);
  tt_signature_json(text, &row->signature);
  tt_buffer_u8(text, '}');
}

void tt_numpy_json(tt_buffer *text) {
  tt_buffer_u8(text, '[');
  for (size_t i = 0; i < N_ROWS; i++) {
    tt_buffer_printf(text, i == 0 ? "\n" : ",\n");
    tt_numpy_row_json(text, &table[i]);
  }
  tt_buffer_printf(text, "\n]\n");
}

void tt_numpy_lines(tt_buffer *text) {
  for (size_t i = 0; i < N_ROWS; i++) {
    const uint32_t flags = table[i].signature.flags;
    tt_buffer_append(text, table[i].signature.name, strlen(table[i].signature.name));
    tt_buffer_u8(text, ' ');
    if ((flags & TT_NUMPY_METHOD) != 0) tt_buffer_u8(text, 'm');
    if ((flags & TT_NUMPY_ONLY_METHOD) != 0) tt_buffer_u8(text, 'o');
    tt_buffer_u8(text, '\n');
  }
}
