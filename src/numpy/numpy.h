/*
 * numpy: NumPy's names on the same core. Every function is a row of numpy.def: its signature as NumPy writes it, and the rule that turns a call of it
 * into ops on the hook.
 *
 * Nothing below knows of this floor, and nothing of it travels: what a worker gets are ops. Arguments are heads, local or pointers, and so are results.
 * NumPy's own are: dtypes of results (NumPy 1.24's promotion, a Python scalar and a 0-d array being weak; float64 where none is named), axis,
 * keepdims and ddof. Where NumPy answers a dtype that no tensor here has, the result has the one that files with it are widened to: float16 to float32,
 * int8, int16 and uint16 to int32, uint32 and uint64 to int64.
 */
#ifndef TT_NUMPY_NUMPY_H
#define TT_NUMPY_NUMPY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "chain/hook.h"

typedef struct tt_numpy_function tt_numpy_function;

/* Where a call runs. */
typedef struct tt_numpy_target {
  tt_hook *hook;
  /* Runs an op without operands (zeros, rand), where arrays that are made from nothing live; NULL: on the hook. Answers as tt_hook_call does. */
  tt_status (*make)(void *host, const tt_op *op, const tt_value *args, size_t n_args, tt_node **results, size_t *n_results,
                    tt_error *error);
  void *host;
} tt_numpy_target;

/* Parses the table; call once before all else, again is harmless. Errors: TT_ERR_STATE naming the row. */
tt_status tt_numpy_init(tt_error *error);

size_t tt_numpy_n_functions(void);
const tt_numpy_function *tt_numpy_get(size_t number);     /* 0 to n - 1; NULL: there is none */
const tt_numpy_function *tt_numpy_find(const char *name); /* "linalg.solve"; NULL: there is none */

/*
 * Calls a function: args in the order of its signature, operands are heads. Answers new references to result heads, up to TT_MAX_RESULTS; nothing on
 * failure. Errors: TT_ERR_ARGUMENT, TT_ERR_SHAPE, TT_ERR_DTYPE, TT_ERR_INDEX (an axis), and those of the ops; TT_ERR_STATE where a shape is needed that
 * depends on data elsewhere.
 */
tt_status tt_numpy_call(const tt_numpy_target *target, const tt_numpy_function *function, const tt_value *args, size_t n_args,
                        tt_node **results, size_t *n_results, tt_error *error);

/* numpy.promote_types */
tt_dtype tt_numpy_promote(tt_dtype a, tt_dtype b);

/*
 * numpy.result_type of heads and scalars, of which there is at least one. As NumPy 1.24 does, it looks at the value of a number, and of an array without
 * dimensions where that is here.
 */
tt_dtype tt_numpy_result_type(const tt_value *values, size_t n);

/* The table as JSON text, for the documentation and the comparison with NumPy: as tt_ops_json. */
void tt_numpy_json(tt_buffer *text);
/* One row of it. */
void tt_numpy_row_json(tt_buffer *text, const tt_numpy_function *function);
/* What JavaScript wants to know at once, for which tt_numpy_init need not have been: as tt_ops_lines. m: a method of ndarray, o: and no function of numpy's. */
void tt_numpy_lines(tt_buffer *text);

#endif
