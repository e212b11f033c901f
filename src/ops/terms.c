#include "ops/terms.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool tt_arg_is_word(const tt_value *arg, const char *word) {
  size_t n = strlen(word);
  return arg->type == TT_VALUE_STRING && arg->n == n && memcmp(arg->as.string, word, n) == 0;
}

void tt_rule_fail(tt_rule *rule, tt_status status, const char *format, ...) {
  if (rule->status != TT_OK) return;
  char message[TT_ERROR_MESSAGE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  rule->status = tt_fail(rule->error, status, "%s", message);
}

tt_status tt_rule_need_same_floats(tt_rule *rule, const tt_op *op, const tt_operand *a, const tt_operand *b) {
  if (rule->status == TT_OK) rule->status = tt_infer_need_floating(op, a->meta.dtype, rule->error);
  if (rule->status == TT_OK && b != NULL) {
    rule->status = tt_infer_need_same_dtype(op, a->meta.dtype, b->meta.dtype, rule->error);
  }
  return rule->status;
}
