/*
 * compose: rows that are made of other rows.
 *
 * A body writes the result down with other ops, as gradient rules do (ops/rule.h). From it alone come all three functions of the
 * row: its shape rule runs the body on metas, its kernel runs it on tensors, and its gradient runs it once more in the caller's
 * context, keeps what was called, and walks back over that with the rules of the ops that were called. So a composed row has
 * every derivative that its parts have.
 *
 * A body answers one operand, calls no in-place row and no row that draws random numbers, and reads shapes only behind
 * tt_rule_need_shape. It may make at most TT_MAX_COMPOSED calls. A body of several results writes them down and answers how many there are. The results of
 * a row with TT_OP_VIEW may share memory with its arguments, those of others never do.
 */
#ifndef TT_OPS_COMPOSE_H
#define TT_OPS_COMPOSE_H

#include "ops/rule.h"

enum { TT_MAX_COMPOSED = 64 };

typedef tt_operand *tt_body_fn(tt_rule *rule, const tt_op *op, const tt_value *args);
typedef size_t tt_parts_fn(tt_rule *rule, const tt_op *op, const tt_value *args, tt_operand **results);

/* One of the two. */
typedef struct tt_body {
  tt_body_fn *one;
  tt_parts_fn *several;
} tt_body;

tt_status tt_compose_infer(tt_body body, const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results,
                           tt_error *error);

/* An in-place call's result is copied into context->out. */
tt_status tt_compose_kernel(tt_body body, const tt_op *op, tt_kernel_context *context, const tt_value *args,
                            tt_tensor **results, size_t *n_results, tt_error *error);

tt_status tt_compose_grad(tt_body body, tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads,
                          tt_error *error);

/* The functions of a row from `static const tt_body body_NAME`. */
#define TT_COMPOSE_INFER(name)                                                                                             \
  tt_status tt_infer_##name(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error) { \
    return tt_compose_infer(body_##name, op, args, results, n_results, error);                                             \
  }
#define TT_COMPOSE_KERNEL(name)                                                                                       \
  tt_status tt_kernel_##name(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas, \
                             tt_tensor **results, size_t *n_results, tt_error *error) {                               \
    (void)metas;                                                                                                      \
    return tt_compose_kernel(body_##name, op, context, args, results, n_results, error);                              \
  }
#define TT_COMPOSE_GRAD(name)                                                                                                 \
  tt_status tt_grad_##name(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error) { \
    return tt_compose_grad(body_##name, context, call, operand_grads, error);                                                 \
  }
#define TT_COMPOSE(name)  \
  TT_COMPOSE_INFER(name)  \
  TT_COMPOSE_KERNEL(name) \
  TT_COMPOSE_GRAD(name)

/* TT_BODY(name) { return ...; } and, of several results, TT_PARTS(name) { results[0] = ...; return n; } */
#define TT_BODY(name)                                                                    \
  static tt_operand *write_##name(tt_rule *rule, const tt_op *op, const tt_value *args); \
  static const tt_body body_##name = {.one = write_##name};                              \
  static tt_operand *write_##name(tt_rule *rule, const tt_op *op, const tt_value *args)
#define TT_PARTS(name)                                                                                    \
  static size_t write_##name(tt_rule *rule, const tt_op *op, const tt_value *args, tt_operand **results); \
  static const tt_body body_##name = {.several = write_##name};                                           \
  static size_t write_##name(tt_rule *rule, const tt_op *op, const tt_value *args, tt_operand **results)

#endif
