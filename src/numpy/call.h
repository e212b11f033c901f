/*
 * call: one call of a NumPy function under way, and the words in which rules are written.
 *
 * A rule reads like the NumPy expression it stands for: OP(call, sum, V(a), axes, ...) runs an op and answers its result. The first failure sticks: from
 * then on every word answers NULL or nothing and runs nothing, so that a rule looks at call->status only before it reads a result's meta. What
 * words answer is held by the call and released when it ends.
 */
#ifndef TT_NUMPY_CALL_H
#define TT_NUMPY_CALL_H

#include <stdbool.h>

#include "numpy/numpy.h"

enum { TT_NUMPY_MAX_HELD = 512, TT_NUMPY_MAX_INTS = 256 };

/* Flags of a row. */
enum {
  TT_NUMPY_METHOD = 1 << 0,      /* a method of ndarray as well */
  TT_NUMPY_ONLY_METHOD = 1 << 1, /* and no function of numpy's */
  TT_NUMPY_FACTORY = 1 << 2,     /* no array among its arguments */
  TT_NUMPY_RANDOM = 1 << 3,      /* compared with NumPy by its statistics */
};

typedef struct tt_numpy_call_state tt_np;

/* Answers the result, held by the call or one of its arguments; NULL after a failure, or when it has given several by np_give. */
typedef tt_node *tt_numpy_rule(tt_np *call);

struct tt_numpy_function {
  tt_op signature;    /* only name, schema, flags and what is parsed from the schema */
  const char *domain; /* how the oracle draws arguments */
  tt_numpy_rule *rule;
  tt_op_number op; /* the op that the rule is about; TT_OP_NONE: several */
};

struct tt_numpy_call_state {
  const tt_numpy_target *target;
  const tt_numpy_function *function;
  const tt_value *given; /* as the caller gave them, n_given of them: where an int and a list of one mean different things */
  size_t n_given;
  tt_value args[TT_MAX_PARAMS]; /* bound to the signature */
  tt_node *held[TT_NUMPY_MAX_HELD];
  size_t n_held;
  int64_t ints[TT_NUMPY_MAX_INTS]; /* lists that rules make */
  size_t n_ints;
  tt_node *answers[TT_MAX_RESULTS]; /* borrowed */
  size_t n_answers;
  tt_status status;
  tt_error *error; /* never NULL */
};

/* NULL, after a failure, is passed on to a word that does nothing. */
static inline tt_value V(tt_node *node) { return tt_operand_value((tt_operand *)(void *)node); }
#define OP(call, name, ...) \
  np_op(call, TT_OP_##name, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value))

tt_node *np_op(tt_np *call, tt_op_number op, const tt_value *args, size_t n_args); /* the first result */
/* All results; *n is 0 after a failure. */
void np_op_all(tt_np *call, tt_op_number op, const tt_value *args, size_t n_args, tt_node *results[TT_MAX_RESULTS], size_t *n);
void np_give(tt_np *call, tt_node *node); /* one more result of the call */

/* Ends the call with a failure: "np.sum: ...". */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void np_fail(tt_np *call, tt_status status, const char *format, ...);

/* ---- arguments, by position in the signature ---- */

bool np_has(const tt_np *call, int i);       /* not None */
tt_node *np_array(const tt_np *call, int i); /* an operand */
static inline int64_t np_int(const tt_np *call, int i) { return call->args[i].as.integer; }
static inline bool np_bool(const tt_np *call, int i) { return call->args[i].as.boolean; }

/* ---- what is known of an array ---- */

/* Any dtype when the node is NULL, after a failure. */
static inline tt_dtype np_dtype(const tt_node *node) { return node == NULL ? TT_DTYPE_F64 : tt_node_meta(node)->dtype; }
static inline bool np_is_floating(const tt_node *node) { return tt_dtype_is_floating(np_dtype(node)); }
/* Fails when it is not known here. A shape without dimensions then. */
const tt_shape *np_shape(tt_np *call, const tt_node *node);
int np_ndim(tt_np *call, const tt_node *node);

/* ---- lists of ints, which live as long as the call ---- */

tt_value np_ints(tt_np *call, const int64_t *ints, size_t n);
/* The axes of argument i as a list from 0 on, without doubles; None stands for all of them when `all`, else for None. Fails as NumPy's AxisError. */
tt_value np_axes(tt_np *call, int i, tt_node *array, bool all);
/* The same for functions that take an array without dimensions over its axis 0. */
tt_value np_axes_reduced(tt_np *call, int i, tt_node *array, bool all);
/* One axis, 0 to n_dims - 1. */
int64_t np_axis_of(tt_np *call, int64_t axis, int n_dims);

/* ---- dtypes ---- */

tt_node *np_cast(tt_np *call, tt_node *array, tt_dtype dtype);       /* itself when it has that dtype */
tt_value np_cast_value(tt_np *call, tt_value value, tt_dtype dtype); /* an operand cast, a scalar as one of that dtype */
/* A scalar as a 0-d array where `like` is; an operand as it is. Both of `dtype`. */
tt_node *np_lift(tt_np *call, tt_value value, tt_node *like, tt_dtype dtype);
/* What functions like sqrt answer: a floating dtype as it is, int32 and int64 as float64, bool and uint8 as float32 (NumPy: float16). */
tt_dtype np_float_dtype(tt_dtype dtype);
/* `dtype` when it is none, else the floating array's own or float64. */
tt_node *np_as_float(tt_np *call, tt_node *array); /* ints and bools as float64 */
/* The dtype that argument i names; `otherwise` when it is None. */
tt_dtype np_dtype_or(const tt_np *call, int i, tt_dtype otherwise);
/* The first operand among values; fails when there is none. */
tt_node *np_first_array(tt_np *call, const tt_value *values, size_t n);

/* ---- small steps that many rules take ---- */

tt_node *np_flat(tt_np *call, tt_node *array);
tt_node *np_truth(tt_np *call, tt_node *array); /* as bool */
/* An op of one dimension over several axes (a list from np_axes), the last first, which keep their places when `keepdims`. */
tt_node *np_over_axes(tt_np *call, tt_op_number op, tt_node *array, tt_value axes, bool keepdims);
/* Runs a binary op on what both become in `dtype`; one of them is an operand. */
tt_node *np_binary(tt_np *call, tt_op_number op, tt_value x1, tt_value x2, tt_dtype dtype);

#endif
