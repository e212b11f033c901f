/* The table of modules, parsed. */
#include <string.h>

#include "nn/internal.h"
#include "ops/schema.h"

static tt_module_row rows[] = {
#define TT_MODULE(module_name, module_schema, pytorch_name, op_number, make_fn, forward_fn) \
  {.signature = {.name = #module_name, .schema = module_schema},                            \
   .torch_name = pytorch_name,                                                              \
   .op = op_number,                                                                         \
   .make = make_fn,                                                                         \
   .forward = forward_fn},
#include "nn/nn.def"
#undef TT_MODULE
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

static bool is_parsed;

static void find_sources(tt_module_row *row) {
  const tt_op *op = tt_op_get(row->op);
  for (size_t i = 0; op != NULL && i < op->n_params; i++) {
    row->source_of[i] = strcmp(op->params[i].name, "training") == 0 ? TT_FROM_TRAINING : TT_FROM_NOWHERE;
    for (size_t k = 0; k < row->signature.n_params; k++) {
      if (strcmp(row->signature.params[k].name, op->params[i].name) == 0) row->source_of[i] = (int8_t)k;
    }
  }
}

tt_status tt_nn_init(tt_error *error) {
  if (is_parsed) return TT_OK;
  TT_TRY(tt_ops_init(error));
  for (size_t i = 0; i < N_ROWS; i++) {
    rows[i].signature.number = (tt_op_number)i;
    TT_TRY(tt_schema_parse(&rows[i].signature, error));
    find_sources(&rows[i]);
  }
  TT_TRY(tt_optimizers_init(error));
  TT_TRY(tt_inits_init(error));
  TT_TRY(tt_schedules_init(error));
  is_parsed = true;
  return TT_OK;
}

const tt_module_row *tt_module_row_at(size_t i) { return i < N_ROWS ? &rows[i] : NULL; }

const tt_module_row *tt_module_row_find(const char *name, tt_error *error) {
  for (size_t i = 0; i < N_ROWS; i++) {
    if (strcmp(rows[i].signature.name, name) == 0) return &rows[i];
  }
  tt_fail(error, TT_ERR_ARGUMENT, "there is no module '%s'", name);
  return NULL;
}

const tt_op *tt_module_row_signature(const tt_module_row *row) { return &row->signature; }

const char *tt_module_row_torch_name(const tt_module_row *row) { return row->torch_name; }

void tt_row_json(const tt_op *signature, const char *torch_name, tt_buffer *text) {
  tt_buffer_printf(text, "{\"number\":%d,\"name\":\"%s\",\"torch_name\":\"%s\",\"flags\":[]", (int)signature->number,
                   signature->name, torch_name);
  tt_signature_json(text, signature);
  tt_buffer_u8(text, '}');
}
