/* schema: reads a row's signature (ops/op.h says how one is written) into its params and result form. */
#ifndef TT_OPS_SCHEMA_H
#define TT_OPS_SCHEMA_H

#include "ops/op.h"

/* Fills op's parsed fields from op->schema. Errors: TT_ERR_STATE naming the row and the place that does not parse. */
tt_status tt_schema_parse(tt_op *op, tt_error *error);

/* "Tensor|Scalar", as the schema writes it. */
const char *tt_param_type_name(tt_param_type type);

#endif
