/*
 * init: fills tensors as torch.nn.init does, in place and without being recorded, drawn from the hook's generator. init.def is the table.
 */
#ifndef TT_NN_INIT_H
#define TT_NN_INIT_H

#include "nn/place.h"

typedef struct tt_init_row tt_init_row;

/* tt_nn_init (nn/module.h) comes before. */
const tt_init_row *tt_init_row_at(size_t i); /* NULL behind the last */
/* NULL: TT_ERR_ARGUMENT (there is no such function). */
const tt_init_row *tt_init_row_find(const char *name, tt_error *error);
const tt_op *tt_init_row_signature(const tt_init_row *row);
const char *tt_init_row_torch_name(const tt_init_row *row);
/* Fills args[0]; the arguments are bound to the row's signature. Errors: TT_ERR_ARGUMENT, TT_ERR_SHAPE (fans of fewer than 2 dimensions), those of the ops. */
tt_status tt_init_fill(const tt_place *place, const tt_init_row *row, const tt_value *args, size_t n_args, tt_error *error);
/* torch.nn.init.calculate_gain. Errors: TT_ERR_ARGUMENT (no such nonlinearity). */
tt_status tt_init_gain(const char *nonlinearity, size_t n_bytes, double param, double *gain, tt_error *error);

#endif
