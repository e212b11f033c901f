/*
 * RNN, LSTM and GRU, composed from other ops, with PyTorch's names of parameters and order of gates.
 *
 * (L,N,I) sequence, batch, features; h is (layers*directions, N, H). The inputs' share of all gates is one product for the whole sequence.
 */
#include <math.h>
#include <stdio.h>

#include "nn/internal.h"

/* What one kind of cell makes of its gates. */
typedef struct cell_rule {
  int n_gates;
  int n_states; /* h, or h and c */
  /* x, h: the gates' shares of the input and of the state, (N, gates*H); states: h and c before, and behind it after. */
  void (*step)(tt_calls *calls, const tt_module *module, tt_node *x, tt_node *h, tt_node **states);
} cell_rule;

static void step_rnn(tt_calls *calls, const tt_module *module, tt_node *x, tt_node *h, tt_node **states) {
  tt_node *sum = TT_RUN(calls, add, tt_of(x), tt_of(h));
  states[0] =
      tt_module_is_text(module, "nonlinearity", "relu") ? TT_RUN(calls, relu, tt_of(sum)) : TT_RUN(calls, tanh, tt_of(sum));
}

static void step_lstm(tt_calls *calls, const tt_module *module, tt_node *x, tt_node *h, tt_node **states) {
  (void)module;
  tt_node *gates[4] = {NULL};
  tt_node *sum = TT_RUN(calls, add, tt_of(x), tt_of(h));
  const tt_value args[] = {tt_of(sum), tt_int(4), tt_int(-1)};
  tt_calls_run_many(calls, TT_OP_chunk, args, 3, gates, 4);
  tt_node *in = TT_RUN(calls, sigmoid, tt_of(gates[0])), *forget = TT_RUN(calls, sigmoid, tt_of(gates[1]));
  tt_node *fresh = TT_RUN(calls, tanh, tt_of(gates[2])), *out = TT_RUN(calls, sigmoid, tt_of(gates[3]));
  tt_node *kept = TT_RUN(calls, mul, tt_of(forget), tt_of(states[1])), *added = TT_RUN(calls, mul, tt_of(in), tt_of(fresh));
  states[1] = TT_RUN(calls, add, tt_of(kept), tt_of(added));
  tt_node *shown = TT_RUN(calls, tanh, tt_of(states[1]));
  states[0] = TT_RUN(calls, mul, tt_of(out), tt_of(shown));
}

static void step_gru(tt_calls *calls, const tt_module *module, tt_node *x, tt_node *h, tt_node **states) {
  (void)module;
  tt_node *of_x[3] = {NULL}, *of_h[3] = {NULL};
  const tt_value x_args[] = {tt_of(x), tt_int(3), tt_int(-1)}, h_args[] = {tt_of(h), tt_int(3), tt_int(-1)};
  tt_calls_run_many(calls, TT_OP_chunk, x_args, 3, of_x, 3);
  tt_calls_run_many(calls, TT_OP_chunk, h_args, 3, of_h, 3);
  tt_node *reset_sum = TT_RUN(calls, add, tt_of(of_x[0]), tt_of(of_h[0])), *reset = TT_RUN(calls, sigmoid, tt_of(reset_sum));
  tt_node *update_sum = TT_RUN(calls, add, tt_of(of_x[1]), tt_of(of_h[1])), *update = TT_RUN(calls, sigmoid, tt_of(update_sum));
  tt_node *remembered = TT_RUN(calls, mul, tt_of(reset), tt_of(of_h[2])),
          *fresh_sum = TT_RUN(calls, add, tt_of(of_x[2]), tt_of(remembered));
  tt_node *fresh = TT_RUN(calls, tanh, tt_of(fresh_sum));
  tt_node *difference = TT_RUN(calls, sub, tt_of(states[0]), tt_of(fresh)),
          *kept = TT_RUN(calls, mul, tt_of(update), tt_of(difference));
  states[0] = TT_RUN(calls, add, tt_of(fresh), tt_of(kept));
}

static const cell_rule rnn_rule = {.n_gates = 1, .n_states = 1, .step = step_rnn};
static const cell_rule lstm_rule = {.n_gates = 4, .n_states = 2, .step = step_lstm};
static const cell_rule gru_rule = {.n_gates = 3, .n_states = 1, .step = step_gru};

static tt_status check_nonlinearity(tt_calls *calls, const tt_module *module) {
  const tt_value *given = tt_module_arg(module, "nonlinearity");
  if (given->type == TT_VALUE_NONE || tt_module_is_text(module, "nonlinearity", "tanh") ||
      tt_module_is_text(module, "nonlinearity", "relu"))
    return TT_OK;
  return calls->status = tt_fail(calls->error, TT_ERR_ARGUMENT, "%s: nonlinearity is 'tanh' or 'relu', not '%.*s'",
                                 module->row->signature.name, (int)given->n, given->as.string);
}

/* ---- parameters ---- */

/* The four of a layer and direction: "weight_ih", "weight_hh", "bias_ih", "bias_hh", each with that suffix. */
static tt_status make_cell(tt_calls *calls, tt_module *module, const cell_rule *rule, int64_t n_in, const char *suffix) {
  int64_t n_hidden = tt_module_int(module, "hidden_size"), n_rows = rule->n_gates * n_hidden;
  bool has_bias = tt_module_bool(module, "bias");
  double bound = n_hidden > 0 ? 1 / sqrt((double)n_hidden) : 0;
  const struct {
    const char *name;
    int64_t n_columns; /* 0: a vector */
  } wanted[] = {{"weight_ih", n_in}, {"weight_hh", n_hidden}, {"bias_ih", 0}, {"bias_hh", 0}};
  for (size_t i = 0; i < 4; i++) {
    bool is_vector = i >= 2;
    const int64_t dims[] = {n_rows, wanted[i].n_columns};
    tt_node *made = is_vector && !has_bias ? NULL : tt_make_uniform(calls, dims, is_vector ? 1 : 2, bound);
    if (calls->status != TT_OK) return calls->status;
    char name[32];
    snprintf(name, sizeof name, "%s%s", wanted[i].name, suffix);
    /* A stack of layers has no such attribute then, a cell has it as None; neither shows in a state_dict. */
    TT_TRY(tt_module_add_slot(calls, module, name, made, true));
  }
  return TT_OK;
}

static void suffix_of(char suffix[16], int64_t layer, int direction) {
  snprintf(suffix, 16, "_l%d%s", (int)(layer % 10000), direction == 1 ? "_reverse" : "");
}

static tt_status make_stack(tt_calls *calls, tt_module *module, const cell_rule *rule) {
  TT_TRY(check_nonlinearity(calls, module));
  int64_t n_layers = tt_module_int(module, "num_layers");
  double dropout = tt_module_float(module, "dropout");
  if (n_layers < 1 || n_layers > 1000)
    return calls->status = tt_fail(calls->error, TT_ERR_ARGUMENT, "%s: num_layers is 1 to 1000, not %lld",
                                   module->row->signature.name, (long long)n_layers);
  if (!(dropout >= 0 && dropout <= 1))
    return calls->status = tt_fail(calls->error, TT_ERR_ARGUMENT, "%s: dropout is a probability, 0 to 1, not %g",
                                   module->row->signature.name, dropout);
  int n_directions = tt_module_bool(module, "bidirectional") ? 2 : 1;
  for (int64_t layer = 0; layer < n_layers; layer++) {
    int64_t n_in = layer == 0 ? tt_module_int(module, "input_size") : n_directions * tt_module_int(module, "hidden_size");
    for (int direction = 0; direction < n_directions; direction++) {
      char suffix[16];
      suffix_of(suffix, layer, direction);
      TT_TRY(make_cell(calls, module, rule, n_in, suffix));
    }
  }
  return TT_OK;
}

TT_MAKE(rnn) { return make_stack(calls, module, &rnn_rule); }
TT_MAKE(lstm) { return make_stack(calls, module, &lstm_rule); }
TT_MAKE(gru) { return make_stack(calls, module, &gru_rule); }

static tt_status make_one_cell(tt_calls *calls, tt_module *module, const cell_rule *rule) {
  TT_TRY(check_nonlinearity(calls, module));
  return make_cell(calls, module, rule, tt_module_int(module, "input_size"), "");
}

TT_MAKE(rnn_cell) { return make_one_cell(calls, module, &rnn_rule); }
TT_MAKE(lstm_cell) { return make_one_cell(calls, module, &lstm_rule); }
TT_MAKE(gru_cell) { return make_one_cell(calls, module, &gru_rule); }

/* ---- running ---- */

static tt_node *linear_by(tt_calls *calls, const tt_module *module, tt_node *x, const char *which, const char *suffix) {
  char weight[32], bias[32];
  snprintf(weight, sizeof weight, "weight_%s%s", which, suffix);
  snprintf(bias, sizeof bias, "bias_%s%s", which, suffix);
  return TT_RUN(calls, linear, tt_of(x), tt_of(tt_module_head(module, weight)), tt_of(tt_module_head(module, bias)));
}

/* Zeros like the first H columns of the gates' share: (N,H), of its dtype, where it is. */
static tt_node *zeros_beside(tt_calls *calls, const tt_module *module, tt_node *gates) {
  tt_node *part = TT_RUN(calls, narrow, tt_of(gates), tt_int(-1), tt_int(0), tt_int(tt_module_int(module, "hidden_size")));
  return TT_RUN(calls, zeros_like, tt_of(part));
}

/* The sizes of an input; NULL and a failure when they are not known or not as many as allowed. */
static const tt_shape *shape_of_input(tt_calls *calls, const tt_module *module, tt_node *x, int least, int most) {
  const tt_shape *shape = &tt_node_meta(x)->shape;
  const char *name = module->row->signature.name;
  if (shape->n_dims < 0) {
    calls->status =
        tt_fail(calls->error, TT_ERR_STATE, "%s: the input's shape is not known here yet; await its ready() first", name);
    return NULL;
  }
  if (shape->n_dims < least || shape->n_dims > most) {
    calls->status =
        tt_fail(calls->error, TT_ERR_SHAPE, "%s: the input has %d to %d dimensions, not %d", name, least, most, shape->n_dims);
    return NULL;
  }
  return shape;
}

typedef struct sequence {
  const tt_module *module;
  const cell_rule *rule;
  int64_t n_steps;
} sequence;

/* One layer in one direction over (L,N,I). states: where it begins (NULL: zeros) and then where it ended. Answers (L,N,H). */
static tt_node *run_layer(tt_calls *calls, const sequence *own, tt_node *x, const char *suffix, bool is_reverse,
                          tt_node **states) {
  tt_node *gates = linear_by(calls, own->module, x, "ih", suffix);
  tt_node *outputs[TT_MAX_LIST_ITEMS];
  for (int64_t i = 0; i < own->n_steps && calls->status == TT_OK; i++) {
    int64_t t = is_reverse ? own->n_steps - 1 - i : i;
    tt_node *gates_now = TT_RUN(calls, select, tt_of(gates), tt_int(0), tt_int(t));
    for (int k = 0; k < own->rule->n_states && calls->status == TT_OK; k++) {
      if (states[k] == NULL) states[k] = zeros_beside(calls, own->module, gates_now);
    }
    tt_node *gates_before = linear_by(calls, own->module, states[0], "hh", suffix);
    own->rule->step(calls, own->module, gates_now, gates_before, states);
    outputs[t] = states[0];
  }
  if (calls->status != TT_OK) return NULL;
  tt_operand *operands[TT_MAX_LIST_ITEMS];
  for (int64_t t = 0; t < own->n_steps; t++) operands[t] = &outputs[t]->operand;
  return TT_RUN(calls, stack, tt_operands_value(operands, (uint32_t)own->n_steps));
}

static tt_node *join(tt_calls *calls, tt_op_number op, tt_node *const *parts, size_t n_parts, int64_t dim) {
  tt_operand *operands[TT_MAX_LIST_ITEMS];
  if (calls->status != TT_OK) return NULL;
  for (size_t i = 0; i < n_parts; i++) operands[i] = &parts[i]->operand;
  const tt_value args[] = {tt_operands_value(operands, (uint32_t)n_parts), tt_int(dim)};
  return tt_calls_run(calls, op, args, 2);
}

enum { MAX_LAYERS_AND_DIRECTIONS = 2000 };

static tt_status forward_stack(tt_calls *calls, const tt_module *module, const cell_rule *rule, tt_node *const *inputs,
                               size_t n_inputs, tt_node **outputs, size_t *n_outputs) {
  size_t n_states = (size_t)rule->n_states;
  if (n_inputs != 1) TT_TRY(tt_check_inputs(calls, module, n_inputs, 1 + n_states, 1 + n_states));
  const tt_shape *shape = shape_of_input(calls, module, inputs[0], 2, 3);
  if (shape == NULL) return calls->status;
  bool is_batched = shape->n_dims == 3, is_batch_first = is_batched && tt_module_bool(module, "batch_first");
  sequence own = {.module = module, .rule = rule, .n_steps = shape->dims[is_batch_first ? 1 : 0]};
  if (own.n_steps < 1 || own.n_steps > TT_MAX_LIST_ITEMS)
    return calls->status = tt_fail(calls->error, TT_ERR_SHAPE, "%s: a sequence has 1 to %d steps, not %lld",
                                   module->row->signature.name, (int)TT_MAX_LIST_ITEMS, (long long)own.n_steps);
  tt_node *x = inputs[0];
  if (!is_batched) x = TT_RUN(calls, unsqueeze, tt_of(x), tt_int(1));
  if (is_batch_first) x = TT_RUN(calls, transpose, tt_of(x), tt_int(0), tt_int(1));
  tt_node *begins[2] = {NULL}; /* (layers*directions, N, H) */
  for (size_t k = 0; k + 1 < n_inputs; k++) {
    begins[k] = is_batched ? inputs[1 + k] : TT_RUN(calls, unsqueeze, tt_of(inputs[1 + k]), tt_int(1));
  }
  int n_directions = tt_module_bool(module, "bidirectional") ? 2 : 1;
  int64_t n_layers = tt_module_int(module, "num_layers");
  tt_node *ends[2][MAX_LAYERS_AND_DIRECTIONS];
  size_t n_done = 0;
  for (int64_t layer = 0; layer < n_layers && calls->status == TT_OK; layer++) {
    tt_node *both[2] = {NULL};
    for (int direction = 0; direction < n_directions && calls->status == TT_OK; direction++, n_done++) {
      char suffix[16];
      suffix_of(suffix, layer, direction);
      tt_node *states[2] = {NULL};
      for (size_t k = 0; k < n_states && n_inputs > 1; k++) {
        states[k] = TT_RUN(calls, select, tt_of(begins[k]), tt_int(0), tt_int((int64_t)n_done));
      }
      both[direction] = run_layer(calls, &own, x, suffix, direction == 1, states);
      for (size_t k = 0; k < n_states; k++) ends[k][n_done] = states[k];
    }
    x = n_directions == 2 ? join(calls, TT_OP_cat, both, 2, 2) : both[0];
    if (layer + 1 < n_layers && module->is_training && tt_module_float(module, "dropout") > 0)
      x = TT_RUN(calls, dropout, tt_of(x), *tt_module_arg(module, "dropout"));
  }
  if (is_batch_first) x = TT_RUN(calls, transpose, tt_of(x), tt_int(0), tt_int(1));
  outputs[0] = is_batched ? x : TT_RUN(calls, squeeze, tt_of(x), tt_int(1));
  for (size_t k = 0; k < n_states; k++) {
    tt_node *end = join(calls, TT_OP_stack, ends[k], n_done, 0);
    outputs[1 + k] = is_batched ? end : TT_RUN(calls, squeeze, tt_of(end), tt_int(1));
  }
  *n_outputs = 1 + n_states;
  return calls->status;
}

TT_FORWARD(rnn) { return forward_stack(calls, module, &rnn_rule, inputs, n_inputs, outputs, n_outputs); }
TT_FORWARD(lstm) { return forward_stack(calls, module, &lstm_rule, inputs, n_inputs, outputs, n_outputs); }
TT_FORWARD(gru) { return forward_stack(calls, module, &gru_rule, inputs, n_inputs, outputs, n_outputs); }

static tt_status forward_cell(tt_calls *calls, const tt_module *module, const cell_rule *rule, tt_node *const *inputs,
                              size_t n_inputs, tt_node **outputs, size_t *n_outputs) {
  size_t n_states = (size_t)rule->n_states;
  if (n_inputs != 1) TT_TRY(tt_check_inputs(calls, module, n_inputs, 1 + n_states, 1 + n_states));
  tt_node *gates = linear_by(calls, module, inputs[0], "ih", "");
  tt_node *states[2] = {NULL};
  for (size_t k = 0; k < n_states && calls->status == TT_OK; k++) {
    states[k] = n_inputs > 1 ? inputs[1 + k] : zeros_beside(calls, module, gates);
  }
  tt_node *gates_before = linear_by(calls, module, states[0], "hh", "");
  rule->step(calls, module, gates, gates_before, states);
  for (size_t k = 0; k < n_states; k++) outputs[k] = states[k];
  *n_outputs = n_states;
  return calls->status;
}

TT_FORWARD(rnn_cell) { return forward_cell(calls, module, &rnn_rule, inputs, n_inputs, outputs, n_outputs); }
TT_FORWARD(lstm_cell) { return forward_cell(calls, module, &lstm_rule, inputs, n_inputs, outputs, n_outputs); }
TT_FORWARD(gru_cell) { return forward_cell(calls, module, &gru_rule, inputs, n_inputs, outputs, n_outputs); }
