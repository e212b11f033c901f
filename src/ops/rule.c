#include "ops/rule.h"

#include "ops/infer_common.h"

size_t tt_rule_call_all(tt_rule *rule, tt_op_number number, const tt_value *args, size_t n_args, tt_operand **results) {
  if (rule->status != TT_OK) return 0;
  size_t n_results = 0;
  rule->status = rule->context->call(rule->context, number, args, n_args, results, &n_results, rule->error);
  return rule->status == TT_OK ? n_results : 0;
}

tt_operand *tt_rule_call(tt_rule *rule, tt_op_number number, const tt_value *args, size_t n_args) {
  tt_operand *results[TT_MAX_RESULTS];
  return tt_rule_call_all(rule, number, args, n_args, results) > 0 ? results[0] : NULL;
}

tt_operand *tt_rule_unary(tt_rule *rule, tt_op_number number, tt_operand *x) {
  return tt_rule_call(rule, number, (tt_value[]){tt_operand_value(x)}, 1);
}

tt_operand *tt_rule_binary(tt_rule *rule, tt_op_number number, tt_operand *x, tt_operand *y) {
  return tt_rule_call(rule, number, (tt_value[]){tt_operand_value(x), tt_operand_value(y)}, 2);
}

tt_operand *tt_rule_scalar(tt_rule *rule, tt_op_number number, tt_operand *x, double scalar) {
  return tt_rule_call(rule, number, (tt_value[]){tt_operand_value(x), tt_float(scalar)}, 2);
}

bool tt_rule_need_shape(tt_rule *rule, const tt_op *op, const tt_operand *x) {
  if (rule->status == TT_OK) rule->status = tt_infer_need_shape(op, "an operand", &x->meta, rule->error);
  return rule->status == TT_OK;
}

tt_operand *tt_rule_cast(tt_rule *rule, tt_operand *x, tt_dtype dtype) {
  if (rule->status != TT_OK || x->meta.dtype == dtype) return x;
  return TT_RULE(rule, to, tt_operand_value(x), tt_dtype_value(dtype));
}
