/*
 * Every gradient rule of the table against finite differences, and every shape rule without shapes: drawn from the rows alone
 * (draw_args.h), so that a new row needs nothing here.
 */
#include "cmocka_all.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "draw_args.h"
#include "ops/op.h"
#include "ops/oracle.h"
#include "plain_context.h"

enum { N_WANTED = 8, N_TRIES = 400 };

/* What a float32 result, of a conversion, allows is less. */
static const double step_sizes[2] = {1e-5, 1e-2}, tolerances[2] = {1e-5, 1e-4};

static int n_wrong;

/* Says what is wrong and goes on, so that one run names every row that is. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
static void
report(const char *format, ...) {
  char message[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  print_error("%s\n", message);
  n_wrong++;
}

static int init_table(void **state) {
  (void)state;
  tt_error error = {0};
  if (tt_ops_init(&error) == TT_OK) return 0;
  print_error("%s\n", error.message);
  return -1;
}

/* One call of the op, with copies of what it writes to. */
static tt_status evaluate(const drawn_args *drawn, tt_tensor **results, size_t *n_results, tt_error *error) {
  tt_generator generator;
  tt_generator_init(&generator, 7);
  tt_value args[TT_MAX_PARAMS];
  memcpy(args, drawn->args, sizeof args);
  tt_tensor *copies[TT_MAX_PARAMS] = {NULL};
  for (size_t i = 0; i < drawn->op->n_params; i++) {
    if (!drawn->op->params[i].is_written || args[i].type != TT_VALUE_OPERAND) continue;
    const tt_tensor *tensor = (const tt_tensor *)(const void *)args[i].as.operand;
    copies[i] = tt_tensor_cast(tensor, tt_tensor_dtype(tensor), NULL);
    args[i] = tt_operand_value(&copies[i]->operand);
  }
  tt_status status = tt_op_eval(drawn->op->number, &generator, args, drawn->op->n_params, results, n_results, error);
  for (size_t i = 0; i < drawn->op->n_params; i++) tt_tensor_unref(copies[i]);
  return status;
}

static double element_of(const tt_tensor *tensor, int64_t i) {
  const tt_shape *shape = tt_tensor_shape(tensor);
  int64_t at = 0;
  for (int d = shape->n_dims - 1; d >= 0; d--) {
    at += i % shape->dims[d] * tensor->strides[d];
    i /= shape->dims[d];
  }
  return tt_tensor_dtype(tensor) == TT_DTYPE_F32 ? (double)((const float *)tt_tensor_data(tensor))[at]
                                                 : ((const double *)tt_tensor_data(tensor))[at];
}

static double *place_of(const tt_tensor *tensor, int64_t i) {
  const tt_shape *shape = tt_tensor_shape(tensor);
  int64_t at = 0;
  for (int d = shape->n_dims - 1; d >= 0; d--) {
    at += i % shape->dims[d] * tensor->strides[d];
    i /= shape->dims[d];
  }
  return (double *)tt_tensor_data(tensor) + at;
}

/* The sum of every result element times its weight; results without weights count for nothing. */
static double weighted_sum(const drawn_args *drawn, tt_operand *const *weights) {
  tt_tensor *results[TT_MAX_RESULTS];
  size_t n_results = 0;
  assert_int_equal(evaluate(drawn, results, &n_results, NULL), TT_OK);
  double sum = 0;
  for (size_t r = 0; r < n_results; r++) {
    if (weights[r]) {
      const tt_tensor *weight = (const tt_tensor *)(const void *)weights[r];
      int64_t n = tt_tensor_n_elements(results[r]);
      for (int64_t i = 0; i < n; i++) sum += element_of(results[r], i) * element_of(weight, i);
    }
    tt_tensor_unref(results[r]);
  }
  return sum;
}

/* d sum / d element by central differences. A symmetric matrix is changed at both of its places. */
static double difference_at(const drawn_args *drawn, double step_size, tt_operand *const *weights, double *place,
                            double *mirrored) {
  double kept = *place, kept_mirrored = *mirrored;
  double sums[2];
  for (int side = 0; side < 2; side++) {
    double step = side == 0 ? step_size : -step_size;
    *place = kept + step;
    if (mirrored != place) *mirrored = kept_mirrored + step;
    sums[side] = weighted_sum(drawn, weights);
    *place = kept;
    *mirrored = kept_mirrored;
  }
  return (sums[0] - sums[1]) / (2 * step_size);
}

static bool is_symmetric_operand(const drawn_args *drawn, size_t operand) {
  size_t at = 0;
  for (size_t i = 0; i < drawn->op->n_params; i++) {
    if (drawn->args[i].type != TT_VALUE_OPERAND) continue;
    if (at++ != operand) continue;
    char words[DRAW_WORDS_BYTES];
    draw_find_words(tt_oracle_row_of(drawn->op)->domain, drawn->op->params[i].name, words);
    return draw_has_word(words, "spd");
  }
  return false;
}

static bool agree(double a, double b, double tolerance) {
  return (isnan(a) && isnan(b)) || fabs(a - b) <= tolerance * (1 + fmax(fabs(a), fabs(b)));
}

/* The random weights of the floating results, in their dtype and shape: what flows back into the rule. */
static void draw_weights(drawn_args *drawn, plain_context *context, tt_tensor *const *results, size_t n_results,
                         tt_operand **weights) {
  size_t n_floating = 0;
  for (size_t r = 0; r < n_results; r++) {
    weights[r] = NULL;
    if (!tt_dtype_is_floating(tt_tensor_dtype(results[r]))) continue;
    if (n_floating++ > 0 && draw_below(drawn, 4) == 0) continue; /* nothing depends on this one */
    tt_tensor *weight = tt_tensor_zeros(TT_DTYPE_F64, tt_tensor_shape(results[r]), NULL);
    double *at = tt_tensor_data(weight);
    for (int64_t i = 0; i < tt_tensor_n_elements(weight); i++) at[i] = draw_uniform(drawn, -1, 1);
    tt_tensor *cast = tt_tensor_cast(weight, tt_tensor_dtype(results[r]), NULL);
    tt_tensor_unref(weight);
    plain_context_keep(context, cast);
    weights[r] = &cast->operand;
  }
}

typedef struct rule_trial {
  drawn_args drawn;
  plain_context context;
  tt_operand *results[TT_MAX_RESULTS];
  tt_operand *weights[TT_MAX_RESULTS];
  size_t n_results;
  bool has_weights;
} rule_trial;

/* Draws and evaluates; false when the op refuses what was drawn. */
static bool begin_trial(rule_trial *trial, const tt_op *op, uint64_t seed, bool mixes_floats) {
  memset(trial, 0, sizeof *trial);
  draw_args(&trial->drawn, op, seed, mixes_floats);
  plain_context_begin(&trial->context);
  tt_tensor *results[TT_MAX_RESULTS];
  if (evaluate(&trial->drawn, results, &trial->n_results, NULL) != TT_OK) {
    trial->n_results = 0;
    return false;
  }
  for (size_t r = 0; r < trial->n_results; r++) {
    plain_context_keep(&trial->context, results[r]);
    trial->results[r] = &results[r]->operand;
  }
  draw_weights(&trial->drawn, &trial->context, results, trial->n_results, trial->weights);
  for (size_t r = 0; r < trial->n_results; r++) trial->has_weights |= trial->weights[r] != NULL;
  return true;
}

static void end_trial(rule_trial *trial) {
  plain_context_end(&trial->context);
  draw_release(&trial->drawn);
}

static void run_rule(rule_trial *trial, const bool *is_needed, tt_operand **grads) {
  tt_error error = {0};
  tt_grad_call call = {.op = trial->drawn.op,
                       .args = trial->drawn.args,
                       .results = trial->results,
                       .n_results = trial->n_results,
                       .grads = trial->weights,
                       .is_needed = is_needed};
  memset(grads, 0, DRAW_MAX_OPERANDS * sizeof *grads);
  if (trial->drawn.op->grad(&trial->context.base, &call, grads, &error) != TT_OK) {
    report("%s: the gradient rule fails: %s", trial->drawn.op->name, error.message);
  }
}

/* A gradient has its operand's shape and dtype. */
static bool check_metas(const rule_trial *trial, tt_operand *const *grads) {
  for (size_t i = 0; i < trial->drawn.n_operands; i++) {
    const tt_tensor *operand = trial->drawn.operands[i];
    if (!grads[i] || !tt_dtype_is_floating(tt_tensor_dtype(operand))) continue;
    char a[TT_SHAPE_TEXT_BYTES], b[TT_SHAPE_TEXT_BYTES];
    if (grads[i]->meta.dtype == tt_tensor_dtype(operand) && tt_shape_equal(&grads[i]->meta.shape, tt_tensor_shape(operand)))
      continue;
    report("%s: the gradient of operand %zu is %s %s, the operand %s %s", trial->drawn.op->name, i,
           tt_dtype_name(grads[i]->meta.dtype), tt_shape_text(&grads[i]->meta.shape, a),
           tt_dtype_name(tt_tensor_dtype(operand)), tt_shape_text(tt_tensor_shape(operand), b));
    return false;
  }
  return true;
}

static void check_operand(rule_trial *trial, size_t i, const tt_operand *grad, uint64_t seed) {
  const tt_tensor *operand = trial->drawn.operands[i];
  if (tt_tensor_dtype(operand) != TT_DTYPE_F64) return;
  bool is_symmetric = is_symmetric_operand(&trial->drawn, i), is_coarse = false;
  for (size_t r = 0; r < trial->n_results; r++) is_coarse |= trial->results[r]->meta.dtype == TT_DTYPE_F32;
  int64_t n = tt_tensor_n_elements(operand);
  int n_dims = tt_tensor_n_dims(operand);
  for (int64_t k = 0; k < n; k++) {
    int64_t mirrored = k;
    if (is_symmetric) {
      int64_t side = tt_tensor_shape(operand)->dims[n_dims - 1], base = k - k % (side * side);
      mirrored = base + (k - base) % side * side + (k - base) / side;
    }
    double expected =
        difference_at(&trial->drawn, step_sizes[is_coarse], trial->weights, place_of(operand, k), place_of(operand, mirrored));
    double found = grad ? element_of((const tt_tensor *)(const void *)grad, k) : 0;
    if (mirrored != k && grad) found += element_of((const tt_tensor *)(const void *)grad, mirrored);
    if (!agree(found, expected, tolerances[is_coarse])) {
      char text[TT_SHAPE_TEXT_BYTES];
      report("%s (draw %llu): the gradient of element %lld of operand %zu, of shape %s, is %.9g, by differences %.9g",
             trial->drawn.op->name, (unsigned long long)seed, (long long)k, i, tt_shape_text(tt_tensor_shape(operand), text),
             found, expected);
      return;
    }
  }
}

static void check_row(const tt_op *op) {
  int n_done = 0;
  for (uint64_t seed = 1; seed <= N_TRIES && n_done < N_WANTED; seed++) {
    rule_trial trial;
    if (begin_trial(&trial, op, seed, false) && trial.has_weights) {
      bool all[DRAW_MAX_OPERANDS], one[DRAW_MAX_OPERANDS];
      tt_operand *grads[DRAW_MAX_OPERANDS], *alone[DRAW_MAX_OPERANDS];
      int64_t n_elements = 0;
      for (size_t i = 0; i < DRAW_MAX_OPERANDS; i++) all[i] = i < trial.drawn.n_operands;
      run_rule(&trial, all, grads);
      for (size_t i = 0; check_metas(&trial, grads) && i < trial.drawn.n_operands; i++) {
        check_operand(&trial, i, grads[i], seed);
        n_elements += tt_tensor_n_elements(trial.drawn.operands[i]);
        memset(one, 0, sizeof one);
        one[i] = true;
        run_rule(&trial, one, alone);
        check_operand(&trial, i, alone[i], seed);
      }
      n_done += n_elements > 0;
    }
    end_trial(&trial);
  }
  if (n_done < N_WANTED)
    report("%s: only %d of %d draws from \"%s\" worked", op->name, n_done, (int)N_TRIES, tt_oracle_row_of(op)->domain);
}

static void rules_agree_with_differences(void **state) {
  (void)state;
  n_wrong = 0;
  int n_rows = 0;
  for (unsigned number = 1; number <= TT_N_OPS; number++) {
    const tt_op *op = tt_op_get(number);
    if (!op->grad || (op->flags & TT_OP_RANDOM)) continue;
    check_row(op);
    n_rows++;
  }
  assert_true(n_rows > 0);
  assert_int_equal(n_wrong, 0);
}

static void gradients_have_their_operands_dtype(void **state) {
  (void)state;
  n_wrong = 0;
  for (unsigned number = 1; number <= TT_N_OPS; number++) {
    const tt_op *op = tt_op_get(number);
    if (!op->grad) continue;
    for (uint64_t seed = 1; seed <= 24; seed++) {
      rule_trial trial;
      if (begin_trial(&trial, op, seed, true) && trial.has_weights) {
        bool all[DRAW_MAX_OPERANDS];
        tt_operand *grads[DRAW_MAX_OPERANDS];
        for (size_t i = 0; i < DRAW_MAX_OPERANDS; i++) all[i] = i < trial.drawn.n_operands;
        run_rule(&trial, all, grads);
        check_metas(&trial, grads);
      }
      end_trial(&trial);
    }
  }
  assert_int_equal(n_wrong, 0);
}

/* Where operands' shapes are unknown, a shape rule answers as many results of the same dtypes, or says that it must know. */
static void shape_rules_work_without_shapes(void **state) {
  (void)state;
  n_wrong = 0;
  for (unsigned number = 1; number <= TT_N_OPS; number++) {
    const tt_op *op = tt_op_get(number);
    for (uint64_t seed = 1; seed <= 24; seed++) {
      rule_trial trial;
      if (begin_trial(&trial, op, seed, false)) {
        tt_meta kept[DRAW_MAX_OPERANDS], metas[TT_MAX_RESULTS];
        size_t n_metas = 0;
        bool hides_all = seed % 2;
        for (size_t i = 0; i < trial.drawn.n_operands; i++) {
          kept[i] = trial.drawn.operands[i]->operand.meta;
          if (hides_all || i == (seed / 2) % trial.drawn.n_operands) {
            trial.drawn.operands[i]->operand.meta.shape = (tt_shape){.n_dims = TT_DIMS_UNKNOWN};
          }
        }
        tt_error error = {0};
        tt_status status = op->infer(op, trial.drawn.args, metas, &n_metas, &error);
        for (size_t i = 0; i < trial.drawn.n_operands; i++) trial.drawn.operands[i]->operand.meta = kept[i];
        if (status != TT_OK && status != TT_ERR_SHAPE) report("%s without shapes: %s", op->name, error.message);
        if (status == TT_OK) {
          if (n_metas != trial.n_results) report("%s without shapes: %zu results, not %zu", op->name, n_metas, trial.n_results);
          for (size_t r = 0; r < n_metas && !(op->flags & TT_OP_INPLACE); r++) {
            const tt_meta *real = &trial.results[r]->meta;
            bool is_right = !tt_shape_is_known(&metas[r].shape) || tt_shape_equal(&metas[r].shape, &real->shape);
            if (metas[r].dtype != real->dtype || !is_right) report("%s without shapes: wrong meta of result %zu", op->name, r);
          }
        } else {
          assert_true(error.message[0] != 0);
        }
      }
      end_trial(&trial);
    }
  }
  assert_int_equal(n_wrong, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rules_agree_with_differences),
      cmocka_unit_test(gradients_have_their_operands_dtype),
      cmocka_unit_test(shape_rules_work_without_shapes),
  };
  return cmocka_run_group_tests_name("gradients", tests, init_table, NULL);
}
