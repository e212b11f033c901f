#include "chain/plus_is_minus.h"

#include "chain/kind.h"

/* Each pair takes the same arguments. */
static const tt_op_number opposites[][2] = {{TT_OP_add, TT_OP_sub}, {TT_OP_add_, TT_OP_sub_}};

static const tt_op *opposite_of(const tt_op *op) {
  for (size_t i = 0; i < sizeof opposites / sizeof opposites[0]; i++) {
    if (op->number == opposites[i][0]) return tt_op_get(opposites[i][1]);
    if (op->number == opposites[i][1]) return tt_op_get(opposites[i][0]);
  }
  return op;
}

static tt_status handle_call(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error) {
  call->op = opposite_of(call->op);
  return tt_kind_pass_down(hook, kind, call, error);
}

const tt_kind tt_kind_plus_is_minus = {.name = "_PlusIsMinusTensor", .rank = 300, .handle_call = handle_call};
