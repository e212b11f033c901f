/*
 * optimizer: changes parameters by their gradients, as torch.optim does. optim.def is the table of them.
 *
 * An optimiser has groups of parameters (heads), each with options of its own. A step is one call of the row's op for each parameter, so that it is one
 * command for a parameter that is elsewhere; parameters without a gradient are left as they are.
 *
 * The state of a parameter (a momentum buffer, the count of steps) is made where the parameter is when it is first needed, and when the
 * parameter has moved to another worker since, its state follows it there (nn/place.h) before the next step.
 */
#ifndef TT_NN_OPTIMIZER_H
#define TT_NN_OPTIMIZER_H

#include "nn/place.h"

typedef struct tt_optimizer tt_optimizer;
typedef struct tt_optimizer_row tt_optimizer_row;

/* ---- the table; tt_nn_init (nn/module.h) comes before ---- */

const tt_optimizer_row *tt_optimizer_row_at(size_t i); /* NULL behind the last */
/* NULL: TT_ERR_ARGUMENT (there is no optimiser of that name). */
const tt_optimizer_row *tt_optimizer_row_find(const char *name, tt_error *error);
/* "SGD(float lr, ...) -> Tensor", parsed: the options of a group. */
const tt_op *tt_optimizer_row_signature(const tt_optimizer_row *row);
const char *tt_optimizer_row_torch_name(const tt_optimizer_row *row);

/* ---- optimisers ---- */

/* Without a group yet. Owner: the caller. NULL: TT_ERR_MEMORY. */
tt_optimizer *tt_optimizer_new(const tt_optimizer_row *row, tt_error *error);
void tt_optimizer_free(tt_optimizer *optimizer); /* NULL is allowed */

/*
 * Adds a group: parameters (one more reference each) and options, bound to the row's signature. Errors: TT_ERR_ARGUMENT (an option that is
 * out of range, no parameters, one that is there already, one that is no leaf), TT_ERR_MEMORY.
 */
tt_status tt_optimizer_add_group(tt_optimizer *optimizer, tt_node *const *parameters, size_t n_parameters, const tt_value *args,
                                 size_t n_args, tt_error *error);
/* Other options for a group, bound in the same way; what it says is so from the next step on. */
tt_status tt_optimizer_set_options(tt_optimizer *optimizer, size_t group, const tt_value *args, size_t n_args, tt_error *error);
/* One option by its name, as schedulers do with "lr". */
tt_status tt_optimizer_set_option(tt_optimizer *optimizer, size_t group, const char *name, tt_value value, tt_error *error);
tt_status tt_optimizer_option(const tt_optimizer *optimizer, size_t group, const char *name, tt_value *value, tt_error *error);

/*
 * One step of every parameter that has a gradient. Nothing of it is recorded. Errors: TT_ERR_STATE (a parameter or its state is on its way back), those of
 * the ops; the parameters before the one that failed have been changed.
 */
tt_status tt_optimizer_step(const tt_place *place, tt_optimizer *optimizer, tt_error *error);
/*
 * Lets go of all gradients, or (not set_to_none) makes those that there are zeros. Errors: TT_ERR_STATE (not set_to_none, and a parameter is
 * elsewhere: whether it has a gradient is not known here).
 */
tt_status tt_optimizer_zero_grad(const tt_place *place, tt_optimizer *optimizer, bool set_to_none, tt_error *error);
/* Brings the state that there is to where the parameters are, as a step does. Errors: those of tt_place_bring. */
tt_status tt_optimizer_bring(const tt_place *place, tt_optimizer *optimizer, tt_error *error);

size_t tt_optimizer_n_groups(const tt_optimizer *optimizer);
size_t tt_optimizer_n_parameters(const tt_optimizer *optimizer, size_t group);
tt_node *tt_optimizer_parameter(const tt_optimizer *optimizer, size_t group, size_t i); /* borrowed */

/* The state of a parameter, by number; PyTorch's name of it, NULL behind the last. *head (may be NULL) is borrowed, NULL as long as there is none. */
const char *tt_optimizer_state(const tt_optimizer *optimizer, size_t group, size_t i, size_t state, tt_node **head);
/* A copy of `head` becomes that state, as load_state_dict does; it follows its parameter with the next step. Errors: TT_ERR_ARGUMENT (no such state), those of clone. */
tt_status tt_optimizer_set_state(const tt_place *place, tt_optimizer *optimizer, size_t group, size_t i, const char *name,
                                 tt_node *head, tt_error *error);

#endif
