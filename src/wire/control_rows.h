/* control_rows: what control.c and control_write.c both know of each query. Nobody else includes it. */
#ifndef TT_WIRE_CONTROL_ROWS_H
#define TT_WIRE_CONTROL_ROWS_H

#include <stdbool.h>

enum { TT_N_QUERIES = 6 };

/* What a query carries beside its request; by tt_query. */
typedef struct tt_query_row {
  const char *name;
  bool has_object, has_terms, has_metadata;
} tt_query_row;

extern const tt_query_row tt_query_rows[TT_N_QUERIES];

#endif
