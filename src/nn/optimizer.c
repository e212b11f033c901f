#include "nn/optimizer.h"

#include <string.h>

#include "base/alloc.h"
#include "chain/pointer.h"
#include "chain/variable.h"
#include "nn/internal.h"
#include "ops/schema.h"

enum { MAX_STATES = 6 };

/* ---- the table ---- */

/* What optim.def says of a state beside what the op's signature says. */
typedef struct state_rule {
  const char *name, *called, *only_when, *begins_at;
} state_rule;

struct tt_optimizer_row {
  tt_op signature; /* parsed by tt_optimizers_init */
  const char *torch_name;
  tt_op_number op;
  state_rule rules[MAX_STATES];
  /* From the op's signature. */
  int8_t option_of[TT_MAX_PARAMS]; /* which option each keyword of the op is; -1: none */
  size_t n_states;
  struct {
    size_t param;           /* of the op */
    const state_rule *rule; /* NULL: nothing is particular to it */
    bool is_count;          /* "step", a scalar */
  } states[MAX_STATES];
};

static tt_optimizer_row rows[] = {
#define TT_OPTIMIZER(row_name, row_schema, pytorch_name, op_name, ...) \
  {.signature = {.name = #row_name, .schema = row_schema},             \
   .torch_name = pytorch_name,                                         \
   .op = TT_OP_##op_name,                                              \
   .rules = {__VA_ARGS__}},
#include "nn/optim.def"
#undef TT_OPTIMIZER
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

static const state_rule *rule_of(const tt_optimizer_row *row, const char *state) {
  for (size_t i = 0; i < MAX_STATES && row->rules[i].name != NULL; i++) {
    if (strcmp(row->rules[i].name, state) == 0) return &row->rules[i];
  }
  return NULL;
}

static ptrdiff_t find_option(const tt_optimizer_row *row, const char *name) {
  for (size_t i = 0; i < row->signature.n_params; i++) {
    if (strcmp(row->signature.params[i].name, name) == 0) return (ptrdiff_t)i;
  }
  return -1;
}

tt_status tt_optimizers_init(tt_error *error) {
  for (size_t i = 0; i < N_ROWS; i++) {
    tt_optimizer_row *row = &rows[i];
    const tt_op *op = tt_op_get(row->op);
    row->signature.number = (tt_op_number)i;
    TT_TRY(tt_schema_parse(&row->signature, error));
    row->n_states = 0;
    for (size_t k = 1; k < op->n_params; k++) {
      row->option_of[k] = op->params[k].is_keyword_only ? (int8_t)find_option(row, op->params[k].name) : -1;
      if (!op->params[k].is_written) continue;
      if (row->n_states == MAX_STATES)
        return tt_fail(error, TT_ERR_STATE, "row %s: %s has more than %d states", row->signature.name, op->name,
                       (int)MAX_STATES);
      row->states[row->n_states].param = k;
      row->states[row->n_states].rule = rule_of(row, op->params[k].name);
      row->states[row->n_states++].is_count = strcmp(op->params[k].name, "step") == 0;
    }
  }
  return TT_OK;
}

const tt_optimizer_row *tt_optimizer_row_at(size_t i) { return i < N_ROWS ? &rows[i] : NULL; }

const tt_optimizer_row *tt_optimizer_row_find(const char *name, tt_error *error) {
  for (size_t i = 0; i < N_ROWS; i++) {
    if (strcmp(rows[i].signature.name, name) == 0) return &rows[i];
  }
  tt_fail(error, TT_ERR_ARGUMENT, "there is no optimiser '%s'", name);
  return NULL;
}

const tt_op *tt_optimizer_row_signature(const tt_optimizer_row *row) { return &row->signature; }

const char *tt_optimizer_row_torch_name(const tt_optimizer_row *row) { return row->torch_name; }

/* ---- life ---- */

typedef struct optimized {
  tt_node *parameter;          /* one reference */
  tt_node *states[MAX_STATES]; /* one reference each; NULL: not needed yet */
} optimized;

typedef struct group {
  tt_value options[TT_MAX_PARAMS]; /* numbers and bools only: nothing is pointed to */
  optimized *items;                /* owned */
  size_t n_items;
} group;

struct tt_optimizer {
  const tt_optimizer_row *row;
  group *groups; /* owned */
  size_t n_groups;
};

static tt_status no_memory(tt_error *error) { return tt_fail(error, TT_ERR_MEMORY, "no memory for an optimiser"); }

tt_optimizer *tt_optimizer_new(const tt_optimizer_row *row, tt_error *error) {
  tt_optimizer *optimizer = tt_alloc(1, sizeof *optimizer);
  if (optimizer == NULL) {
    no_memory(error);
    return NULL;
  }
  optimizer->row = row;
  return optimizer;
}

void tt_optimizer_free(tt_optimizer *optimizer) {
  if (optimizer == NULL) return;
  for (size_t g = 0; g < optimizer->n_groups; g++) {
    for (size_t i = 0; i < optimizer->groups[g].n_items; i++) {
      optimized *item = &optimizer->groups[g].items[i];
      tt_node_unref(item->parameter);
      for (size_t k = 0; k < MAX_STATES; k++) tt_node_unref(item->states[k]);
    }
    tt_free(optimizer->groups[g].items);
  }
  tt_free(optimizer->groups);
  tt_free(optimizer);
}

/* ---- options ---- */

/* Binds and checks: PyTorch takes no negative numbers but for dampening. */
static tt_status bind_options(const tt_optimizer_row *row, const tt_value *args, size_t n_args, tt_value options[TT_MAX_PARAMS],
                              tt_error *error) {
  int64_t numbers[TT_MAX_PARAMS];
  TT_TRY(tt_op_bind(&row->signature, args, n_args, options, numbers, error));
  for (size_t i = 0; i < row->signature.n_params; i++) {
    const char *name = row->signature.params[i].name;
    if (options[i].type != TT_VALUE_FLOAT || options[i].as.real >= 0 || strcmp(name, "dampening") == 0) continue;
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: %s is 0 or more, not %g", row->signature.name, name, options[i].as.real);
  }
  return TT_OK;
}

static tt_status need_group(const tt_optimizer *optimizer, size_t g, tt_error *error) {
  if (g < optimizer->n_groups) return TT_OK;
  return tt_fail(error, TT_ERR_INDEX, "%s: there are %zu groups of parameters, no number %zu", optimizer->row->signature.name,
                 optimizer->n_groups, g);
}

tt_status tt_optimizer_set_options(tt_optimizer *optimizer, size_t g, const tt_value *args, size_t n_args, tt_error *error) {
  TT_TRY(need_group(optimizer, g, error));
  return bind_options(optimizer->row, args, n_args, optimizer->groups[g].options, error);
}

static tt_status need_option(const tt_optimizer *optimizer, const char *name, size_t *option, tt_error *error) {
  ptrdiff_t found = find_option(optimizer->row, name);
  if (found < 0)
    return tt_fail(error, TT_ERR_ARGUMENT, "there is no option '%s'; the signature is %s", name,
                   optimizer->row->signature.schema);
  *option = (size_t)found;
  return TT_OK;
}

tt_status tt_optimizer_set_option(tt_optimizer *optimizer, size_t g, const char *name, tt_value value, tt_error *error) {
  size_t option;
  TT_TRY(need_group(optimizer, g, error));
  TT_TRY(need_option(optimizer, name, &option, error));
  tt_value args[TT_MAX_PARAMS];
  memcpy(args, optimizer->groups[g].options, sizeof args);
  args[option] = value;
  return tt_optimizer_set_options(optimizer, g, args, optimizer->row->signature.n_params, error);
}

tt_status tt_optimizer_option(const tt_optimizer *optimizer, size_t g, const char *name, tt_value *value, tt_error *error) {
  size_t option;
  TT_TRY(need_group(optimizer, g, error));
  TT_TRY(need_option(optimizer, name, &option, error));
  *value = optimizer->groups[g].options[option];
  return TT_OK;
}

/* ---- groups ---- */

static bool has_parameter(const group *list, const tt_node *parameter) {
  for (size_t i = 0; i < list->n_items; i++) {
    if (list->items[i].parameter == parameter) return true;
  }
  return false;
}

static tt_status check_parameter(const tt_optimizer *optimizer, const group *made, tt_node *parameter, tt_error *error) {
  const char *name = optimizer->row->signature.name;
  if (!tt_node_gradient(parameter).is_leaf)
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: a parameter is a leaf, and this tensor was made by an op", name);
  bool is_there = has_parameter(made, parameter);
  for (size_t g = 0; g < optimizer->n_groups && !is_there; g++) is_there = has_parameter(&optimizer->groups[g], parameter);
  return is_there
             ? tt_fail(error, TT_ERR_ARGUMENT, "%s: a parameter is in one group, once, and this one is there already", name)
             : TT_OK;
}

tt_status tt_optimizer_add_group(tt_optimizer *optimizer, tt_node *const *parameters, size_t n_parameters, const tt_value *args,
                                 size_t n_args, tt_error *error) {
  const char *name = optimizer->row->signature.name;
  if (n_parameters == 0) return tt_fail(error, TT_ERR_ARGUMENT, "%s: the list of parameters is empty", name);
  group made = {.n_items = 0};
  TT_TRY(bind_options(optimizer->row, args, n_args, made.options, error));
  made.items = tt_alloc(n_parameters, sizeof *made.items);
  if (made.items == NULL) return no_memory(error);
  for (; made.n_items < n_parameters; made.n_items++) {
    tt_status status = check_parameter(optimizer, &made, parameters[made.n_items], error);
    if (status != TT_OK) {
      tt_free(made.items);
      return status;
    }
    made.items[made.n_items].parameter = parameters[made.n_items];
  }
  group *groups = tt_realloc(optimizer->groups, (optimizer->n_groups + 1) * sizeof *groups);
  if (groups == NULL) {
    tt_free(made.items);
    return no_memory(error);
  }
  optimizer->groups = groups;
  for (size_t i = 0; i < n_parameters; i++) tt_node_ref(parameters[i]);
  groups[optimizer->n_groups++] = made;
  return TT_OK;
}

size_t tt_optimizer_n_groups(const tt_optimizer *optimizer) { return optimizer->n_groups; }

size_t tt_optimizer_n_parameters(const tt_optimizer *optimizer, size_t g) { return optimizer->groups[g].n_items; }

tt_node *tt_optimizer_parameter(const tt_optimizer *optimizer, size_t g, size_t i) {
  return optimizer->groups[g].items[i].parameter;
}

/* ---- state ---- */

static const char *state_name(const tt_optimizer_row *row, size_t k) {
  const state_rule *rule = row->states[k].rule;
  return rule != NULL && rule->called != NULL ? rule->called : tt_op_get(row->op)->params[row->states[k].param].name;
}

const char *tt_optimizer_state(const tt_optimizer *optimizer, size_t g, size_t i, size_t state, tt_node **head) {
  if (state >= optimizer->row->n_states) return NULL;
  if (head != NULL) *head = optimizer->groups[g].items[i].states[state];
  return state_name(optimizer->row, state);
}

tt_status tt_optimizer_set_state(const tt_place *place, tt_optimizer *optimizer, size_t g, size_t i, const char *name,
                                 tt_node *head, tt_error *error) {
  TT_TRY(need_group(optimizer, g, error));
  size_t k = 0;
  while (k < optimizer->row->n_states && strcmp(state_name(optimizer->row, k), name) != 0) k++;
  if (k == optimizer->row->n_states || i >= optimizer->groups[g].n_items)
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: there is no state '%s' of parameter %zu", optimizer->row->signature.name, name,
                   i);
  tt_calls calls = tt_calls_begin(place, error);
  bool was_recording = tt_place_begin_quiet(place);
  tt_node *clone = TT_RUN(&calls, clone, tt_of(head));
  tt_place_end_quiet(place, was_recording);
  if (clone != NULL) {
    tt_node **slot = &optimizer->groups[g].items[i].states[k];
    tt_node_unref(*slot);
    *slot = tt_node_ref(clone);
  }
  return tt_calls_end(&calls);
}

static bool is_set(const tt_value *option) {
  return option->type == TT_VALUE_BOOL ? option->as.boolean : option->type == TT_VALUE_FLOAT && option->as.real != 0;
}

/* A state that is not there yet: zeros, or what an option says. */
static tt_node *make_state(tt_calls *calls, const tt_optimizer_row *row, const group *own, tt_node *parameter, size_t k) {
  const state_rule *rule = row->states[k].rule;
  if (row->states[k].is_count) {
    /* A scalar is made where the parameter is: of what is there. */
    tt_node *scalar = TT_RUN(calls, sum, tt_of(parameter));
    return TT_RUN(calls, zeros_like, tt_of(scalar), tt_dtype_value(TT_DTYPE_F32));
  }
  if (rule != NULL && rule->begins_at != NULL) {
    const tt_value *value = &own->options[find_option(row, rule->begins_at)];
    if (value->as.real != 0) return TT_RUN(calls, full_like, tt_of(parameter), *value);
  }
  return TT_RUN(calls, zeros_like, tt_of(parameter));
}

/* What there has to be before the step of a parameter is there, and where the parameter is. */
static tt_status ready_states(tt_calls *calls, const tt_optimizer_row *row, const group *own, optimized *item) {
  for (size_t k = 0; k < row->n_states && calls->status == TT_OK; k++) {
    const state_rule *rule = row->states[k].rule;
    bool is_wanted = rule == NULL || rule->only_when == NULL || is_set(&own->options[find_option(row, rule->only_when)]);
    if (item->states[k] != NULL) {
      calls->status = tt_place_bring(calls->place, item->states[k], item->parameter, calls->error);
    } else if (is_wanted) {
      tt_node *made = make_state(calls, row, own, item->parameter, k);
      if (made != NULL) item->states[k] = tt_node_ref(made);
    }
  }
  return calls->status;
}

/* ---- steps ---- */

/* Whether there is certainly nothing to do: elsewhere, only the worker there knows. */
static bool has_no_gradient(tt_node *parameter) {
  return tt_local_tensor(tt_node_tail(parameter)) != NULL && tt_node_gradient(parameter).grad == NULL;
}

static tt_status step_one(tt_calls *calls, const tt_optimizer_row *row, const group *own, optimized *item) {
  if (has_no_gradient(item->parameter) || ready_states(calls, row, own, item) != TT_OK) return calls->status;
  const tt_op *op = tt_op_get(row->op);
  tt_value args[TT_MAX_PARAMS] = {tt_of(item->parameter)};
  for (size_t i = 1; i < op->n_params; i++) args[i] = row->option_of[i] >= 0 ? own->options[row->option_of[i]] : tt_none();
  for (size_t k = 0; k < row->n_states; k++) args[row->states[k].param] = tt_of(item->states[k]);
  tt_calls_run(calls, row->op, args, op->n_params);
  return calls->status;
}

tt_status tt_optimizer_bring(const tt_place *place, tt_optimizer *optimizer, tt_error *error) {
  for (size_t g = 0; g < optimizer->n_groups; g++) {
    for (size_t i = 0; i < optimizer->groups[g].n_items; i++) {
      const optimized *item = &optimizer->groups[g].items[i];
      for (size_t k = 0; k < optimizer->row->n_states; k++) {
        if (item->states[k] != NULL) TT_TRY(tt_place_bring(place, item->states[k], item->parameter, error));
      }
    }
  }
  return TT_OK;
}

tt_status tt_optimizer_step(const tt_place *place, tt_optimizer *optimizer, tt_error *error) {
  bool was_recording = tt_place_begin_quiet(place);
  tt_status status = TT_OK;
  for (size_t g = 0; g < optimizer->n_groups && status == TT_OK; g++) {
    for (size_t i = 0; i < optimizer->groups[g].n_items && status == TT_OK; i++) {
      tt_calls calls = tt_calls_begin(place, error);
      step_one(&calls, optimizer->row, &optimizer->groups[g], &optimizer->groups[g].items[i]);
      status = tt_calls_end(&calls);
    }
  }
  tt_place_end_quiet(place, was_recording);
  return status;
}

static tt_status zero_one(tt_calls *calls, tt_node *parameter, bool set_to_none) {
  if (set_to_none) {
    if (!has_no_gradient(parameter)) TT_RUN(calls, set_grad_, tt_of(parameter));
    return calls->status;
  }
  tt_node *tail = tt_node_tail(parameter);
  if (tt_node_is_pointer(tail))
    return calls->status =
               tt_fail(calls->error, TT_ERR_STATE,
                       "zero_grad: whether a parameter at %s has a gradient is not known here: leave set_to_none as it is",
                       tt_pointer_location(tail)->id);
  tt_node *grad = tt_node_gradient(parameter).grad;
  if (grad != NULL) TT_RUN(calls, zero_, tt_of(grad));
  return calls->status;
}

tt_status tt_optimizer_zero_grad(const tt_place *place, tt_optimizer *optimizer, bool set_to_none, tt_error *error) {
  tt_calls calls = tt_calls_begin(place, error);
  bool was_recording = tt_place_begin_quiet(place);
  for (size_t g = 0; g < optimizer->n_groups; g++) {
    for (size_t i = 0; i < optimizer->groups[g].n_items && calls.status == TT_OK; i++) {
      zero_one(&calls, optimizer->groups[g].items[i].parameter, set_to_none);
    }
  }
  tt_place_end_quiet(place, was_recording);
  return tt_calls_end(&calls);
}
