#include "ops/compose.h"

#include <string.h>

#include "base/alloc.h"
#include "ops/infer_common.h"

enum {
  MAX_TENSORS = 4 * TT_MAX_COMPOSED, /* results of all calls of a body */
  MAX_CALL_RESULTS = TT_MAX_RESULTS,
  MAX_CALL_OPERANDS = 64, /* of one call whose gradient is wanted */
  MAX_CALL_INTS = 4 * TT_MAX_DIMS,
  MAX_LISTED = 4 * MAX_CALL_OPERANDS, /* in lists of all calls together */
  MAX_GRADS = 4 * TT_MAX_COMPOSED + TT_MAX_PARAMS,
};

/* What a failed part says is said of the row, which is what the caller knows. */
static tt_status in_the_rows_name(const tt_op *op, tt_status status, tt_error *error) {
  size_t n = strlen(op->name);
  if (error == NULL || (strncmp(error->message, op->name, n) == 0 && error->message[n] == ':')) return status;
  tt_error_prefix(error, "%s", op->name);
  return status;
}

/* What the body answers; 0 where it failed. */
static size_t run_body(tt_body body, tt_rule *rule, const tt_op *op, const tt_value *args, tt_operand **results) {
  size_t n = 1;
  if (body.several != NULL) {
    n = body.several(rule, op, args, results);
  } else {
    results[0] = body.one(rule, op, args);
  }
  return rule->status == TT_OK ? n : 0;
}

static tt_status too_long(tt_error *error) {
  return tt_fail(error, TT_ERR_STATE, "a composed op makes more calls than the %d that there is room for",
                 (int)TT_MAX_COMPOSED);
}

/* ---- the shape rule: operands are metas ---- */

typedef struct meta_context {
  tt_call_context base; /* first */
  tt_operand operands[MAX_TENSORS];
  size_t n_operands;
} meta_context;

static tt_status call_on_metas(tt_call_context *base, tt_op_number number, const tt_value *args, size_t n_args,
                               tt_operand **results, size_t *n_results, tt_error *error) {
  meta_context *context = (meta_context *)(void *)base;
  const tt_op *op = tt_op_get(number);
  tt_value bound[TT_MAX_PARAMS];
  int64_t scratch[TT_MAX_PARAMS];
  tt_meta metas[TT_MAX_RESULTS];
  size_t n_metas = 0;
  TT_TRY(tt_op_bind(op, args, n_args, bound, scratch, error));
  TT_TRY(tt_op_infer(op, bound, metas, &n_metas, error));
  if (context->n_operands + n_metas > MAX_TENSORS) return too_long(error);
  for (size_t i = 0; i < n_metas; i++) {
    results[i] = &context->operands[context->n_operands++];
    results[i]->meta = metas[i];
  }
  *n_results = n_metas;
  return TT_OK;
}

tt_status tt_compose_infer(tt_body body, const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results,
                           tt_error *error) {
  meta_context context;
  context.base.call = call_on_metas;
  context.n_operands = 0;
  tt_rule rule = tt_rule_begin(&context.base, error);
  tt_operand *made[TT_MAX_RESULTS];
  size_t n_made = run_body(body, &rule, op, args, made);
  if (rule.status != TT_OK) return in_the_rows_name(op, rule.status, error);
  for (size_t i = 0; i < n_made; i++) results[i] = made[i]->meta;
  *n_results = n_made;
  return TT_OK;
}

/* ---- the kernel: operands are tensors ---- */

typedef struct tensor_context {
  tt_call_context base; /* first */
  tt_generator *generator;
  tt_tensor *tensors[MAX_TENSORS]; /* one reference each */
  size_t n_tensors;
} tensor_context;

static tt_status call_on_tensors(tt_call_context *base, tt_op_number number, const tt_value *args, size_t n_args,
                                 tt_operand **results, size_t *n_results, tt_error *error) {
  tensor_context *context = (tensor_context *)(void *)base;
  tt_tensor *made[TT_MAX_RESULTS];
  size_t n_made = 0;
  TT_TRY(tt_op_eval(number, context->generator, args, n_args, made, &n_made, error));
  if (context->n_tensors + n_made > MAX_TENSORS) {
    for (size_t i = 0; i < n_made; i++) tt_tensor_unref(made[i]);
    return too_long(error);
  }
  for (size_t i = 0; i < n_made; i++) {
    context->tensors[context->n_tensors++] = made[i];
    results[i] = &made[i]->operand;
  }
  *n_results = n_made;
  return TT_OK;
}

static bool shares_memory(const tt_op *op, const tt_value *args, const tt_tensor *result) {
  for (size_t i = 0; i < op->n_params; i++) {
    if (args[i].type == TT_VALUE_OPERAND && tt_arg_tensor(&args[i])->storage == result->storage) return true;
    for (uint32_t k = 0; args[i].type == TT_VALUE_OPERANDS && k < args[i].n; k++) {
      if (((const tt_tensor *)(const void *)args[i].as.operands[k])->storage == result->storage) return true;
    }
  }
  return false;
}

/* The reference that the caller gets. */
static tt_tensor *take_result(const tt_op *op, const tt_kernel_context *context, const tt_value *args, tt_tensor *result,
                              tt_error *error) {
  if (context->out != NULL) {
    return tt_tensor_copy(context->out, result, error) == TT_OK ? tt_tensor_ref(context->out) : NULL;
  }
  if ((op->flags & TT_OP_VIEW) == 0 && shares_memory(op, args, result))
    return tt_tensor_cast(result, tt_tensor_dtype(result), error);
  return tt_tensor_ref(result);
}

tt_status tt_compose_kernel(tt_body body, const tt_op *op, tt_kernel_context *context, const tt_value *args,
                            tt_tensor **results, size_t *n_results, tt_error *error) {
  tensor_context tensors = {.base = {.call = call_on_tensors}, .generator = context->generator};
  tt_rule rule = tt_rule_begin(&tensors.base, error);
  tt_operand *answers[TT_MAX_RESULTS];
  tt_tensor *taken[TT_MAX_RESULTS];
  size_t n_answers = run_body(body, &rule, op, args, answers), n_taken = 0;
  if (rule.status != TT_OK) in_the_rows_name(op, rule.status, error);
  for (; n_taken < n_answers && rule.status == TT_OK; n_taken++) {
    taken[n_taken] = take_result(op, context, args, (tt_tensor *)(void *)answers[n_taken], error);
    if (taken[n_taken] == NULL) rule.status = TT_ERR_MEMORY;
  }
  for (size_t i = 0; i < tensors.n_tensors; i++) tt_tensor_unref(tensors.tensors[i]);
  if (rule.status != TT_OK) {
    for (size_t i = 0; i < n_taken; i++) tt_tensor_unref(taken[i]);
    return rule.status;
  }
  memcpy(results, taken, n_taken * sizeof taken[0]);
  *n_results = n_taken;
  return TT_OK;
}

/* ---- the gradient: operands are the caller's, and what was called is kept ---- */

typedef struct kept_call {
  const tt_op *op;
  tt_value args[TT_MAX_PARAMS];
  int64_t scratch[TT_MAX_PARAMS];
  int64_t ints[MAX_CALL_INTS]; /* what its lists point to: a body's own are gone when it has answered */
  size_t n_ints;
  tt_operand *results[MAX_CALL_RESULTS];
  size_t n_results;
} kept_call;

typedef struct grad_pair {
  const tt_operand *operand;
  tt_operand *grad; /* NULL: depends on what is asked for, and nothing has come back to it yet */
} grad_pair;

typedef struct tape {
  tt_call_context base; /* first */
  tt_call_context *outer;
  kept_call calls[TT_MAX_COMPOSED];
  size_t n_calls;
  grad_pair pairs[MAX_GRADS]; /* every operand that depends on what is asked for */
  size_t n_pairs;
  tt_operand *listed[MAX_LISTED]; /* what the calls' lists of operands point to */
  size_t n_listed;
} tape;

static grad_pair *find_pair(tape *kept, const tt_operand *operand) {
  for (size_t i = 0; i < kept->n_pairs; i++) {
    if (kept->pairs[i].operand == operand) return &kept->pairs[i];
  }
  return NULL;
}

static tt_status want(tape *kept, const tt_operand *operand, tt_error *error) {
  if (find_pair(kept, operand) != NULL) return TT_OK;
  if (kept->n_pairs == MAX_GRADS) return too_long(error);
  kept->pairs[kept->n_pairs++] = (grad_pair){.operand = operand};
  return TT_OK;
}

/* The operands of bound arguments in order; SIZE_MAX where there are too many. */
static size_t flatten(const tt_op *op, const tt_value *args, tt_operand **operands) {
  size_t n = 0;
  for (size_t i = 0; i < op->n_params; i++) {
    uint32_t n_here = args[i].type == TT_VALUE_OPERANDS ? args[i].n : args[i].type == TT_VALUE_OPERAND;
    if (n + n_here > MAX_CALL_OPERANDS) return SIZE_MAX;
    if (args[i].type == TT_VALUE_OPERAND) operands[n] = args[i].as.operand;
    if (args[i].type == TT_VALUE_OPERANDS && n_here > 0) memcpy(operands + n, args[i].as.operands, n_here * sizeof *operands);
    n += n_here;
  }
  return n;
}

static tt_status keep_call(tape *kept, const tt_op *op, const tt_value *args, size_t n_args, tt_operand *const *results,
                           size_t n_results, tt_error *error) {
  if (kept->n_calls == TT_MAX_COMPOSED || n_results > MAX_CALL_RESULTS) return too_long(error);
  kept_call *call = &kept->calls[kept->n_calls];
  call->op = op;
  call->n_ints = 0;
  TT_TRY(tt_op_bind(op, args, n_args, call->args, call->scratch, error));
  for (size_t i = 0; i < op->n_params; i++) {
    tt_value *arg = &call->args[i];
    if (arg->type == TT_VALUE_OPERANDS && arg->n > 0) {
      if (kept->n_listed + arg->n > MAX_LISTED) return too_long(error);
      tt_operand **list = kept->listed + kept->n_listed;
      memcpy(list, arg->as.operands, arg->n * sizeof *list);
      arg->as.operands = list;
      kept->n_listed += arg->n;
    }
    if (arg->type != TT_VALUE_INTS || arg->n == 0) continue;
    if (call->n_ints + arg->n > MAX_CALL_INTS) return too_long(error);
    int64_t *copy = call->ints + call->n_ints;
    memcpy(copy, arg->as.ints, arg->n * sizeof *copy);
    arg->as.ints = copy;
    call->n_ints += arg->n;
  }
  memcpy(call->results, results, n_results * sizeof results[0]);
  call->n_results = n_results;
  kept->n_calls++;
  return TT_OK;
}

static tt_status call_and_keep(tt_call_context *base, tt_op_number number, const tt_value *args, size_t n_args,
                               tt_operand **results, size_t *n_results, tt_error *error) {
  tape *kept = (tape *)(void *)base;
  const tt_op *op = tt_op_get(number);
  TT_TRY(kept->outer->call(kept->outer, number, args, n_args, results, n_results, error));
  if (op->grad == NULL) return TT_OK;
  tt_operand *operands[MAX_CALL_OPERANDS];
  tt_value bound[TT_MAX_PARAMS];
  int64_t scratch[TT_MAX_PARAMS];
  TT_TRY(tt_op_bind(op, args, n_args, bound, scratch, error));
  size_t n_operands = flatten(op, bound, operands);
  if (n_operands == SIZE_MAX) return too_long(error);
  bool is_wanted = false;
  for (size_t i = 0; i < n_operands; i++) is_wanted |= find_pair(kept, operands[i]) != NULL;
  if (!is_wanted) return TT_OK;
  for (size_t i = 0; i < *n_results; i++) {
    if (tt_dtype_is_floating(results[i]->meta.dtype)) TT_TRY(want(kept, results[i], error));
  }
  return keep_call(kept, op, args, n_args, results, *n_results, error);
}

/* From the gradients of a call's results to those of its operands. */
static tt_status walk_back(tape *kept, const kept_call *call, tt_error *error) {
  tt_operand *result_grads[MAX_CALL_RESULTS], *operands[MAX_CALL_OPERANDS], *grads[MAX_CALL_OPERANDS] = {NULL};
  bool is_needed[MAX_CALL_OPERANDS], has_grads = false;
  for (size_t i = 0; i < call->n_results; i++) {
    grad_pair *pair = find_pair(kept, call->results[i]);
    result_grads[i] = pair ? pair->grad : NULL;
    has_grads |= result_grads[i] != NULL;
    /* Taken, so that a result that is its own operand (a view that changes nothing) does not count twice. */
    if (pair) pair->grad = NULL;
  }
  if (!has_grads) return TT_OK;
  size_t n_operands = flatten(call->op, call->args, operands);
  for (size_t i = 0; i < n_operands; i++) is_needed[i] = find_pair(kept, operands[i]) != NULL;
  tt_grad_call grad_call = {.op = call->op,
                            .args = call->args,
                            .results = call->results,
                            .n_results = call->n_results,
                            .grads = result_grads,
                            .is_needed = is_needed};
  TT_TRY(call->op->grad(kept->outer, &grad_call, grads, error));
  tt_rule rule = tt_rule_begin(kept->outer, error);
  for (size_t i = 0; i < n_operands; i++) {
    if (!is_needed[i] || grads[i] == NULL) continue;
    grad_pair *pair = find_pair(kept, operands[i]);
    pair->grad = pair->grad == NULL ? grads[i] : tt_rule_binary(&rule, TT_OP_add, pair->grad, grads[i]);
    if (rule.status != TT_OK) return rule.status;
  }
  return TT_OK;
}

static tt_status differentiate(tape *kept, tt_body body, const tt_grad_call *call, tt_operand **operand_grads,
                               tt_error *error) {
  tt_operand *operands[MAX_CALL_OPERANDS];
  size_t n_operands = flatten(call->op, call->args, operands);
  if (n_operands == SIZE_MAX) return too_long(error);
  for (size_t i = 0; i < n_operands; i++) {
    if (call->is_needed[i] && tt_dtype_is_floating(operands[i]->meta.dtype)) TT_TRY(want(kept, operands[i], error));
  }
  tt_rule rule = tt_rule_begin(&kept->base, error);
  tt_operand *made[TT_MAX_RESULTS];
  size_t n_made = run_body(body, &rule, call->op, call->args, made);
  TT_TRY(rule.status);
  tt_rule sums = tt_rule_begin(kept->outer, error);
  for (size_t i = 0; i < n_made; i++) {
    grad_pair *last = call->grads[i] == NULL ? NULL : find_pair(kept, made[i]);
    if (last == NULL) continue;
    /* An in-place call's result has self's dtype, and what the body made may have another. */
    tt_operand *grad = tt_rule_cast(&sums, call->grads[i], made[i]->meta.dtype);
    last->grad = last->grad == NULL ? grad : tt_rule_binary(&sums, TT_OP_add, last->grad, grad);
  }
  TT_TRY(sums.status);
  for (size_t i = kept->n_calls; i-- > 0;) TT_TRY(walk_back(kept, &kept->calls[i], error));
  for (size_t i = 0; i < n_operands; i++) {
    grad_pair *pair = call->is_needed[i] ? find_pair(kept, operands[i]) : NULL;
    if (pair == NULL) continue;
    operand_grads[i] = pair->grad;
    pair->grad = NULL; /* an operand that stands in two places has its gradient at the first of them */
  }
  return TT_OK;
}

tt_status tt_compose_grad(tt_body body, tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads,
                          tt_error *error) {
  tape *kept = tt_realloc(NULL, sizeof *kept); /* it is large, and entries are set as they are taken: nothing clears it */
  if (kept == NULL) return tt_fail(error, TT_ERR_MEMORY, "%s: no memory for its gradient", call->op->name);
  kept->base.call = call_and_keep;
  kept->outer = context;
  kept->n_calls = kept->n_pairs = kept->n_listed = 0;
  tt_status status = differentiate(kept, body, call, operand_grads, error);
  tt_free(kept);
  return status;
}
