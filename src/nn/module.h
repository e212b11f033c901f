/*
 * module: layers with their parameters, as in torch.nn. nn.def is the table of them.
 *
 * A module is made by a row's constructor: it keeps the arguments, has parameters (heads that require grad) and buffers (heads that do not), and children.
 * Names are PyTorch's, also those of its state_dict: "0.weight", "1.running_mean". forward is ops on the hook, so that it runs wherever the parameters
 * and inputs are: when all of them are at bob, it is commands to bob.
 *
 * Modules are counted references; a module holds one reference to each of its children and its tensors. Who takes a head from a
 * module borrows it. What is new is initialised as PyTorch does it, drawn from the hook's generator.
 */
#ifndef TT_NN_MODULE_H
#define TT_NN_MODULE_H

#include "nn/place.h"

typedef struct tt_module tt_module;
typedef struct tt_module_row tt_module_row;

enum { TT_MAX_MODULE_INPUTS = 4, TT_MAX_MODULE_OUTPUTS = 4, TT_MAX_MODULE_NAME_BYTES = 127 };

/* ---- the table ---- */

/* Parses nn.def, optim.def, init.def and schedule.def; once before anything else, again is harmless. Errors: TT_ERR_STATE naming the row that does not parse. */
tt_status tt_nn_init(tt_error *error);
/* The i-th row; NULL behind the last. */
const tt_module_row *tt_module_row_at(size_t i);
/* NULL: TT_ERR_ARGUMENT (there is no module of that name). */
const tt_module_row *tt_module_row_find(const char *name, tt_error *error);
/* "Linear(int in_features, ...) -> Tensor", parsed: an op's schema whose name is the module's. */
const tt_op *tt_module_row_signature(const tt_module_row *row);
/* "torch.nn.Linear" */
const char *tt_module_row_torch_name(const tt_module_row *row);

/* ---- modules ---- */

/*
 * A module of that row; args are bound to its signature (tensors among them, heads, become buffers). Errors: TT_ERR_ARGUMENT,
 * TT_ERR_MEMORY, those of the ops that make the parameters.
 */
tt_module *tt_module_new(const tt_place *place, const tt_module_row *row, const tt_value *args, size_t n_args, tt_error *error);
/* A module with the same arguments and children, and copies of all tensors, each where its original is. NULL: TT_ERR_MEMORY, those of clone. */
tt_module *tt_module_copy(const tt_place *place, const tt_module *module, tt_error *error);
tt_module *tt_module_ref(tt_module *module);
void tt_module_unref(tt_module *module); /* NULL is allowed */
const tt_module_row *tt_module_row_of(const tt_module *module);

/* Adds a child behind those that there are (one more reference). Errors: TT_ERR_DUPLICATE (the name), TT_ERR_ARGUMENT (the name, itself), TT_ERR_MEMORY. */
tt_status tt_module_add(tt_module *module, const char *name, tt_module *child, tt_error *error);
size_t tt_module_n_children(const tt_module *module);
tt_module *tt_module_child(const tt_module *module, size_t i, const char **name); /* borrowed */

/* A place for a tensor of a module's own. */
typedef struct tt_module_tensor {
  const char *name;
  tt_node *head; /* borrowed; NULL: None, as the bias of Linear(2, 1, bias=False) */
  bool is_parameter;
} tt_module_tensor;
size_t tt_module_n_tensors(const tt_module *module);
tt_module_tensor tt_module_tensor_at(const tt_module *module, size_t i);
/* Puts another head there (one more reference; NULL: None). Errors: TT_ERR_INDEX. */
tt_status tt_module_set_tensor(tt_module *module, size_t i, tt_node *head, tt_error *error);

/* Visits the tensors of a module and of all below it, in PyTorch's order, by their dotted names. Stops at the first failure. None is not visited. */
typedef tt_status tt_module_visit_fn(void *context, const char *name, const tt_module_tensor *tensor, tt_error *error);
tt_status tt_module_visit(const tt_module *module, tt_module_visit_fn *visit, void *context, tt_error *error);

/* train(is_training), for it and all below it. */
void tt_module_train(tt_module *module, bool is_training);
bool tt_module_is_training(const tt_module *module);

/* Lets go of the gradient of every parameter, of all below it as well. */
tt_status tt_module_zero_grad(const tt_place *place, tt_module *module, tt_error *error);
/* Exchanges what the floating tensors of it and all below it hold for the same in another dtype; the heads stay. */
tt_status tt_module_to(const tt_place *place, tt_module *module, tt_dtype dtype, tt_error *error);

/*
 * What the module makes of its inputs (heads). Writes new references. Errors: TT_ERR_ARGUMENT (not as many inputs as it takes), TT_ERR_STATE (a container
 * that is not called), those of the ops.
 */
tt_status tt_module_forward(const tt_place *place, tt_module *module, tt_node *const *inputs, size_t n_inputs,
                            tt_node **outputs, size_t *n_outputs, tt_error *error);

/* A row of any of these tables as JSON text: {"name":"Linear","schema":...,"torch_name":...,"params":[...]}, as tt_op_json writes an op. */
void tt_row_json(const tt_op *signature, const char *torch_name, tt_buffer *text);

#endif
