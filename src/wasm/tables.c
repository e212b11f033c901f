/* The tables, for JavaScript: see wasm/exports.h. */
#include <string.h>

#include "nn/init.h"
#include "nn/module.h"
#include "nn/optimizer.h"
#include "nn/schedule.h"
#include "numpy/numpy.h"
#include "ops/op.h"
#include "wasm/exports.h"
#include "wasm/scratch.h"

/* A row of one of the tables of nn/: NULL behind the last. */
static const tt_op *nn_row(uint32_t table, uint32_t number, const char **torch_name) {
#define ROW(type)                                  \
  {                                                \
    const type##_row *row = type##_row_at(number); \
    if (row == NULL) return NULL;                  \
    *torch_name = type##_row_torch_name(row);      \
    return type##_row_signature(row);              \
  }
  switch (table) {
  case TT_WASM_MODULES:
    ROW(tt_module)
  case TT_WASM_OPTIMIZERS:
    ROW(tt_optimizer)
  case TT_WASM_INITS:
    ROW(tt_init)
  case TT_WASM_SCHEDULES:
    ROW(tt_schedule)
  default:
    return NULL;
  }
#undef ROW
}

static int show_text(void) {
  if (tt_scratch_show_text() == TT_OK) return TT_OK;
  tt_error error = {.status = TT_OK};
  tt_fail(&error, TT_ERR_MEMORY, "no memory for the text");
  return tt_scratch_fail(&error);
}

/* Without printf: there are several hundred lines, at every start. */
int tt_wasm_table(uint32_t table) {
  tt_buffer *text = tt_scratch_text();
  if (table == TT_WASM_OPS) {
    tt_ops_lines(text);
  } else if (table == TT_WASM_NUMPY) {
    tt_numpy_lines(text);
  } else {
    const tt_op *row;
    const char *torch_name;
    for (uint32_t i = 0; (row = nn_row(table, i, &torch_name)) != NULL; i++) {
      tt_buffer_append(text, row->name, strlen(row->name));
      tt_buffer_append(text, " \n", 2);
    }
  }
  return show_text();
}

static tt_status write_row(tt_buffer *text, uint32_t table, uint32_t number, tt_error *error) {
  if (table == TT_WASM_OPS) {
    const tt_op *op = tt_op_get(number);
    if (op == NULL) return tt_fail(error, TT_ERR_UNKNOWN_OP, "there is no op number %u", (unsigned)number);
    tt_op_json(text, op, NULL);
  } else if (table == TT_WASM_NUMPY) {
    TT_TRY(tt_numpy_init(error));
    const tt_numpy_function *function = tt_numpy_get(number);
    if (function == NULL) return tt_fail(error, TT_ERR_UNKNOWN_OP, "numpy has no function number %u", (unsigned)number);
    tt_numpy_row_json(text, function);
  } else {
    TT_TRY(tt_nn_init(error));
    const char *torch_name;
    const tt_op *signature = nn_row(table, number, &torch_name);
    if (signature == NULL)
      return tt_fail(error, TT_ERR_ARGUMENT, "table %u has no row number %u", (unsigned)table, (unsigned)number);
    tt_row_json(signature, torch_name, text);
  }
  return TT_OK;
}

int tt_wasm_row(uint32_t table, uint32_t number) {
  tt_error error = {.status = TT_OK};
  if (write_row(tt_scratch_text(), table, number, &error) != TT_OK) return tt_scratch_fail(&error);
  return show_text();
}
