#include "ops/oracle.h"

static const tt_oracle_row rows[TT_N_OPS_PLUS_ONE] = {
#define TT_OP(row_name, row_schema, row_torch_name, row_infer, row_kernel, row_grad, row_flags, row_domain, row_tolerance) \
  [TT_OP_##row_name] = {.torch_name = row_torch_name, .domain = row_domain, .tolerance = row_tolerance},
#include "ops/ops.def"
#undef TT_OP
};

const tt_oracle_row *tt_oracle_row_of(const tt_op *op) { return &rows[op->number]; }

static void write_row(tt_buffer *text, const tt_op *op) {
  static const char *const tolerances[] = {[TT_TOL_EXACT] = "exact",
                                           [TT_TOL_ROUNDING] = "rounding",
                                           [TT_TOL_REDUCE] = "reduce",
                                           [TT_TOL_SOLVE] = "solve",
                                           [TT_TOL_STATISTIC] = "statistic"};
  const tt_oracle_row *row = tt_oracle_row_of(op);
  tt_buffer_printf(text, ",\"torch_name\":\"%s\",\"domain\":\"%s\",\"tolerance\":\"%s\"", row->torch_name, row->domain,
                   tolerances[row->tolerance]);
}

void tt_oracle_json(tt_buffer *text) { tt_ops_json(text, write_row); }
