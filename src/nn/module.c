#include "nn/module.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "nn/internal.h"

/* ---- life ---- */

static tt_status no_memory(tt_error *error) { return tt_fail(error, TT_ERR_MEMORY, "no memory for a module"); }

/* Copies what an argument points to. */
static tt_status keep_argument(tt_module *module, size_t i, tt_error *error) {
  tt_value *value = &module->args[i];
  if (value->type == TT_VALUE_INTS && value->n > 0) {
    int64_t *ints = tt_alloc(value->n, sizeof *ints);
    if (ints == NULL) return no_memory(error);
    memcpy(ints, value->as.ints, value->n * sizeof *ints);
    value->as.ints = module->lists[i] = ints;
  } else if (value->type == TT_VALUE_STRING) {
    char *text = tt_alloc(value->n + 1, 1);
    if (text == NULL) return no_memory(error);
    memcpy(text, value->as.string, value->n);
    value->as.string = module->lists[i] = text;
  }
  return TT_OK;
}

static tt_module *new_empty(const tt_module_row *row, tt_error *error) {
  tt_module *module = tt_alloc(1, sizeof *module);
  if (module == NULL) {
    no_memory(error);
    return NULL;
  }
  module->refs = 1;
  module->row = row;
  module->is_training = true;
  return module;
}

/* Tensors among the arguments (a loss' weights) are buffers, as in PyTorch. */
static tt_status keep_arguments(tt_calls *calls, tt_module *module) {
  const tt_op *signature = &module->row->signature;
  for (size_t i = 0; i < signature->n_params && calls->status == TT_OK; i++) {
    if (signature->params[i].type == TT_PARAM_TENSOR) {
      tt_node *head = NULL;
      if (module->args[i].type == TT_VALUE_OPERAND) head = (tt_node *)(void *)module->args[i].as.operand;
      module->args[i] = tt_none();
      tt_module_add_slot(calls, module, signature->params[i].name, head, false);
    } else {
      calls->status = keep_argument(module, i, calls->error);
    }
  }
  return calls->status;
}

tt_module *tt_module_new(const tt_place *place, const tt_module_row *row, const tt_value *args, size_t n_args,
                         tt_error *error) {
  tt_value bound[TT_MAX_PARAMS];
  int64_t numbers[TT_MAX_PARAMS];
  if (tt_op_bind(&row->signature, args, n_args, bound, numbers, error) != TT_OK) return NULL;
  tt_module *module = new_empty(row, error);
  if (module == NULL) return NULL;
  memcpy(module->args, bound, row->signature.n_params * sizeof bound[0]);
  tt_calls calls = tt_calls_begin(place, error);
  bool was_recording = tt_place_begin_quiet(place);
  if (keep_arguments(&calls, module) == TT_OK && row->make != NULL) {
    tt_status status = row->make(&calls, module);
    if (calls.status == TT_OK) calls.status = status;
  }
  tt_place_end_quiet(place, was_recording);
  if (tt_calls_end(&calls) == TT_OK) return module;
  tt_module_unref(module);
  return NULL;
}

tt_module *tt_module_ref(tt_module *module) {
  module->refs++;
  return module;
}

void tt_module_unref(tt_module *module) {
  if (module == NULL || --module->refs > 0) return;
  for (size_t i = 0; i < module->n_slots; i++) tt_node_unref(module->slots[i].head);
  for (size_t i = 0; i < module->n_children; i++) {
    tt_free(module->children[i].name);
    tt_module_unref(module->children[i].module);
  }
  for (size_t i = 0; i < TT_MAX_PARAMS; i++) tt_free(module->lists[i]);
  tt_free(module->slots);
  tt_free(module->children);
  tt_free(module);
}

const tt_module_row *tt_module_row_of(const tt_module *module) { return module->row; }

static tt_status copy_into(tt_calls *calls, tt_module *copy, const tt_module *module) {
  memcpy(copy->args, module->args, sizeof copy->args);
  copy->is_training = module->is_training;
  for (size_t i = 0; i < module->row->signature.n_params && calls->status == TT_OK; i++) {
    calls->status = keep_argument(copy, i, calls->error);
  }
  for (size_t i = 0; i < module->n_slots && calls->status == TT_OK; i++) {
    const tt_module_slot *slot = &module->slots[i];
    tt_node *clone = slot->head == NULL ? NULL : TT_RUN(calls, clone, tt_of(slot->head));
    if (calls->status == TT_OK) tt_module_add_slot(calls, copy, slot->name, clone, slot->is_parameter);
  }
  for (size_t i = 0; i < module->n_children && calls->status == TT_OK; i++) {
    tt_module *child = tt_module_copy(calls->place, module->children[i].module, calls->error);
    calls->status = child == NULL ? TT_ERR_MEMORY : tt_module_add(copy, module->children[i].name, child, calls->error);
    tt_module_unref(child);
  }
  return calls->status;
}

tt_module *tt_module_copy(const tt_place *place, const tt_module *module, tt_error *error) {
  tt_module *copy = new_empty(module->row, error);
  if (copy == NULL) return NULL;
  bool was_recording = tt_place_begin_quiet(place);
  tt_calls calls = tt_calls_begin(place, error);
  copy_into(&calls, copy, module);
  tt_place_end_quiet(place, was_recording);
  if (tt_calls_end(&calls) == TT_OK) return copy;
  tt_module_unref(copy);
  return NULL;
}

/* ---- arguments and slots ---- */

static const tt_value *find_argument(const tt_module *module, const char *name) {
  const tt_op *signature = &module->row->signature;
  for (size_t i = 0; i < signature->n_params; i++) {
    if (strcmp(signature->params[i].name, name) == 0) return &module->args[i];
  }
  return NULL;
}

const tt_value *tt_module_arg(const tt_module *module, const char *name) {
  static const tt_value none;
  const tt_value *value = find_argument(module, name);
  return value != NULL ? value : &none;
}

bool tt_is_text(const tt_value *value, const char *text) {
  return value->type == TT_VALUE_STRING && value->n == strlen(text) && memcmp(value->as.string, text, value->n) == 0;
}

bool tt_module_is_text(const tt_module *module, const char *name, const char *text) {
  return tt_is_text(tt_module_arg(module, name), text);
}

static const tt_module_slot *find_slot(const tt_module *module, const char *name) {
  for (size_t i = 0; i < module->n_slots; i++) {
    if (strcmp(module->slots[i].name, name) == 0) return &module->slots[i];
  }
  return NULL;
}

tt_node *tt_module_head(const tt_module *module, const char *name) {
  const tt_module_slot *slot = find_slot(module, name);
  return slot == NULL ? NULL : slot->head;
}

tt_status tt_module_add_slot(tt_calls *calls, tt_module *module, const char *name, tt_node *head, bool is_parameter) {
  if (head != NULL && is_parameter) TT_RUN(calls, requires_grad_, tt_of(head));
  if (calls->status != TT_OK) return calls->status;
  tt_module_slot *slots = tt_realloc(module->slots, (module->n_slots + 1) * sizeof *slots);
  if (slots == NULL) return calls->status = no_memory(calls->error);
  module->slots = slots;
  tt_module_slot *slot = &slots[module->n_slots++];
  *slot = (tt_module_slot){.head = head == NULL ? NULL : tt_node_ref(head), .is_parameter = is_parameter};
  snprintf(slot->name, sizeof slot->name, "%s", name);
  return TT_OK;
}

size_t tt_module_n_tensors(const tt_module *module) { return module->n_slots; }

tt_module_tensor tt_module_tensor_at(const tt_module *module, size_t i) {
  const tt_module_slot *slot = &module->slots[i];
  return (tt_module_tensor){.name = slot->name, .head = slot->head, .is_parameter = slot->is_parameter};
}

tt_status tt_module_set_tensor(tt_module *module, size_t i, tt_node *head, tt_error *error) {
  if (i >= module->n_slots)
    return tt_fail(error, TT_ERR_INDEX, "%s has %zu tensors, there is no number %zu", module->row->signature.name,
                   module->n_slots, i);
  tt_node *old = module->slots[i].head;
  module->slots[i].head = head == NULL ? NULL : tt_node_ref(head);
  tt_node_unref(old);
  return TT_OK;
}

/* ---- children ---- */

static bool is_within(const tt_module *module, const tt_module *sought) {
  if (module == sought) return true;
  for (size_t i = 0; i < module->n_children; i++) {
    if (is_within(module->children[i].module, sought)) return true;
  }
  return false;
}

tt_status tt_module_add(tt_module *module, const char *name, tt_module *child, tt_error *error) {
  size_t n = strlen(name);
  if (n == 0 || n > TT_MAX_MODULE_NAME_BYTES || strchr(name, '.') != NULL)
    return tt_fail(error, TT_ERR_ARGUMENT, "a child's name has 1 to %d letters and no dot, not '%.*s'",
                   (int)TT_MAX_MODULE_NAME_BYTES, TT_MAX_MODULE_NAME_BYTES, name);
  if (is_within(child, module))
    return tt_fail(error, TT_ERR_ARGUMENT, "%s cannot be a child of itself", module->row->signature.name);
  for (size_t i = 0; i < module->n_children; i++) {
    if (strcmp(module->children[i].name, name) == 0)
      return tt_fail(error, TT_ERR_DUPLICATE, "there is a child '%s' already", name);
  }
  tt_module_link *children = tt_realloc(module->children, (module->n_children + 1) * sizeof *children);
  if (children == NULL) return no_memory(error);
  module->children = children;
  char *copy = tt_strdup(name);
  if (copy == NULL) return no_memory(error);
  children[module->n_children++] = (tt_module_link){.name = copy, .module = tt_module_ref(child)};
  return TT_OK;
}

size_t tt_module_n_children(const tt_module *module) { return module->n_children; }

tt_module *tt_module_child(const tt_module *module, size_t i, const char **name) {
  if (name != NULL) *name = module->children[i].name;
  return module->children[i].module;
}

/* ---- the whole tree ---- */

static tt_status visit_at(const tt_module *module, tt_buffer *name, tt_module_visit_fn *visit, void *context, tt_error *error) {
  size_t n_prefix = name->n_bytes;
  for (size_t i = 0; i < module->n_slots; i++) {
    tt_module_tensor tensor = tt_module_tensor_at(module, i);
    if (tensor.head == NULL) continue;
    tt_buffer_printf(name, "%s", tensor.name);
    tt_buffer_zeros(name, 1);
    if (name->failed) return no_memory(error);
    TT_TRY(visit(context, (const char *)name->bytes, &tensor, error));
    name->n_bytes = n_prefix;
  }
  for (size_t i = 0; i < module->n_children; i++) {
    tt_buffer_printf(name, "%s.", module->children[i].name);
    if (name->failed) return no_memory(error);
    TT_TRY(visit_at(module->children[i].module, name, visit, context, error));
    name->n_bytes = n_prefix;
  }
  return TT_OK;
}

tt_status tt_module_visit(const tt_module *module, tt_module_visit_fn *visit, void *context, tt_error *error) {
  tt_buffer name;
  tt_buffer_init(&name);
  tt_status status = visit_at(module, &name, visit, context, error);
  tt_buffer_release(&name);
  return status;
}

void tt_module_train(tt_module *module, bool is_training) {
  module->is_training = is_training;
  for (size_t i = 0; i < module->n_children; i++) tt_module_train(module->children[i].module, is_training);
}

bool tt_module_is_training(const tt_module *module) { return module->is_training; }

static tt_status zero_one(void *context, const char *name, const tt_module_tensor *tensor, tt_error *error) {
  (void)name;
  (void)error;
  tt_calls *calls = context;
  if (tensor->is_parameter) TT_RUN(calls, set_grad_, tt_of(tensor->head));
  return calls->status;
}

tt_status tt_module_zero_grad(const tt_place *place, tt_module *module, tt_error *error) {
  tt_calls calls = tt_calls_begin(place, error);
  tt_status status = tt_module_visit(module, zero_one, &calls, error);
  tt_calls_end(&calls);
  return status;
}

typedef struct conversion {
  tt_calls *calls;
  tt_dtype dtype;
} conversion;

static tt_status convert_one(void *context, const char *name, const tt_module_tensor *tensor, tt_error *error) {
  (void)name;
  (void)error;
  const conversion *own = context;
  tt_dtype from = tt_node_meta(tensor->head)->dtype;
  if (!tt_dtype_is_floating(from) || from == own->dtype) return TT_OK;
  tt_node *converted = TT_RUN(own->calls, to, tt_of(tensor->head), tt_dtype_value(own->dtype));
  if (converted == NULL) return own->calls->status;
  if (tensor->is_parameter) TT_RUN(own->calls, requires_grad_, tt_of(converted));
  if (own->calls->status == TT_OK) tt_head_set_child(tensor->head, tt_node_ref(converted->child));
  return own->calls->status;
}

tt_status tt_module_to(const tt_place *place, tt_module *module, tt_dtype dtype, tt_error *error) {
  if (!tt_dtype_is_floating(dtype))
    return tt_fail(error, TT_ERR_DTYPE, "a module's parameters are floating; there is no module of %s", tt_dtype_name(dtype));
  tt_calls calls = tt_calls_begin(place, error);
  conversion own = {.calls = &calls, .dtype = dtype};
  bool was_recording = tt_place_begin_quiet(place);
  tt_status status = tt_module_visit(module, convert_one, &own, error);
  tt_place_end_quiet(place, was_recording);
  tt_calls_end(&calls);
  return status;
}

/* ---- forward ---- */

tt_status tt_check_inputs(tt_calls *calls, const tt_module *module, size_t n_inputs, size_t least, size_t most) {
  if (n_inputs >= least && n_inputs <= most) return TT_OK;
  char range[32] = "";
  if (least == most)
    snprintf(range, sizeof range, "%zu", least);
  else
    snprintf(range, sizeof range, "%zu to %zu", least, most);
  return calls->status = tt_fail(calls->error, TT_ERR_ARGUMENT, "%s takes %s tensors, not %zu", module->row->signature.name,
                                 range, n_inputs);
}

TT_FORWARD(op) {
  const tt_op *op = tt_op_get(module->row->op);
  tt_value args[TT_MAX_PARAMS];
  size_t n_taken = 0, n_wanted = 0;
  for (size_t i = 0; i < op->n_params; i++) {
    const tt_param *param = &op->params[i];
    const int source = module->row->source_of[i];
    args[i] = tt_none();
    if (param->type == TT_PARAM_TENSOR) {
      const tt_module_slot *slot = find_slot(module, param->name);
      if (slot != NULL) {
        args[i] = tt_of(slot->head);
      } else if (!param->is_optional) {
        n_wanted++;
        if (n_taken < n_inputs) args[i] = tt_of(inputs[n_taken++]);
      }
    } else if (source >= 0) {
      args[i] = module->args[source];
    } else if (source == TT_FROM_TRAINING) {
      args[i] = tt_bool(module->is_training);
    }
  }
  TT_TRY(tt_check_inputs(calls, module, n_inputs, n_wanted, n_wanted));
  outputs[0] = tt_calls_run(calls, module->row->op, args, op->n_params);
  *n_outputs = 1;
  return calls->status;
}

tt_status tt_module_forward(const tt_place *place, tt_module *module, tt_node *const *inputs, size_t n_inputs,
                            tt_node **outputs, size_t *n_outputs, tt_error *error) {
  tt_calls calls = tt_calls_begin(place, error);
  tt_node *made[TT_MAX_MODULE_OUTPUTS];
  size_t n_made = 0;
  tt_status status = module->row->forward(&calls, module, inputs, n_inputs, made, &n_made);
  if (calls.status == TT_OK) calls.status = status;
  if (calls.status == TT_OK) {
    for (size_t i = 0; i < n_made; i++) outputs[i] = tt_node_ref(made[i]);
    *n_outputs = n_made;
  }
  return tt_calls_end(&calls);
}
