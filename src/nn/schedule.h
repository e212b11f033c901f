/*
 * schedule: learning rates that change with the number of steps, as torch.optim.lr_scheduler has them. schedule.def is the table.
 *
 * A schedule is a formula of the rate at the beginning and the number of steps since: it keeps nothing, and may be asked for any step.
 */
#ifndef TT_NN_SCHEDULE_H
#define TT_NN_SCHEDULE_H

#include "nn/place.h"

typedef struct tt_schedule_row tt_schedule_row;

/* tt_nn_init (nn/module.h) comes before. */
const tt_schedule_row *tt_schedule_row_at(size_t i); /* NULL behind the last */
/* NULL: TT_ERR_ARGUMENT (there is no such schedule). */
const tt_schedule_row *tt_schedule_row_find(const char *name, tt_error *error);
const tt_op *tt_schedule_row_signature(const tt_schedule_row *row);
const char *tt_schedule_row_torch_name(const tt_schedule_row *row);
/* The rate after n_steps of what began at `base`; the arguments are bound to the row's signature. Errors: TT_ERR_ARGUMENT. */
tt_status tt_schedule_rate(const tt_schedule_row *row, const tt_value *args, size_t n_args, double base, int64_t n_steps,
                           double *rate, tt_error *error);

#endif
