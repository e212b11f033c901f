/*
 * op: the table. ops.def has a row per op; this header says what a row is and how a row is called.
 *
 * A row's schema is PyTorch's way of writing a signature (native_functions.yaml), for example
 *
 *     "sum(Tensor self, int[]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"
 *
 * with the types Tensor, Tensor[], Scalar, Tensor|Scalar, int, int[], float, bool, ScalarType, str, each with `?` for "or
 * None" (for int[]: an int stands for a list of one), and defaults (None, True, a number, [1, 2], 'text', float32).
 * "Tensor(b!)" as a parameter is one that the call writes to (running statistics, an optimiser's state).
 * "-> Tensor(a)" is a view of its input, "-> Tensor(a!)" the changed input itself, "-> (Tensor values, Tensor indices)" a tuple,
 * "-> Tensor[]" a list whose length the shape rule tells. Parsed when the row is first asked for; the test of the table parses every row.
 *
 * A call passes through three functions of its row, in this order, at whoever holds what is needed:
 *     infer   metas of the arguments -> metas of the results          (at the caller, and again at the worker)
 *     kernel  tensors -> tensors                                      (where the data is)
 *     grad    gradients of the results -> gradients of the operands   (written with other ops only)
 */
#ifndef TT_OPS_OP_H
#define TT_OPS_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "base/status.h"
#include "ops/value.h"
#include "tensor/tensor.h"

enum {
  TT_MAX_PARAMS = 16,  /* of an op */
  TT_MAX_RESULTS = 64, /* of a call: split and chunk into more are refused */
  TT_MAX_DEFAULT_INTS = 8,
  TT_MAX_TUPLE = 4, /* results of a row that answers a tuple */
};

typedef enum tt_op_number {
  TT_OP_NONE = 0, /* so that 0 on the wire names no op */
#define TT_OP(name, ...) TT_OP_##name,
#include "ops/ops.def"
#undef TT_OP
  TT_N_OPS_PLUS_ONE
} tt_op_number;

enum { TT_N_OPS = TT_N_OPS_PLUS_ONE - 1 };

/* Flags of a row. */
enum {
  TT_OP_REMOTE = 1 << 0,     /* may be named by a command: the allow list is the rows that have it */
  TT_OP_INPLACE = 1 << 1,    /* result 0 is argument 0, changed */
  TT_OP_VIEW = 1 << 2,       /* results share argument 0's storage (reshape, flatten, contiguous: or copy it) */
  TT_OP_RANDOM = 1 << 3,     /* draws from the call's generator; compared with PyTorch by its statistics */
  TT_OP_FACTORY = 1 << 4,    /* takes no operand: makes a tensor from numbers */
  TT_OP_AGGREGATE = 1 << 5,  /* each result element combines many input elements: see policies in worker/object_store.h */
  TT_OP_DATA_SHAPE = 1 << 6, /* the result's shape depends on data: infer answers "unknown" */
  TT_OP_FUNCTION = 1 << 7,   /* in torch's namespace only, not a tensor method (cat, zeros, where's 3-argument form) */
  TT_OP_GRAPH =
      1
      << 8, /* asks or changes the graph of gradients: chain/variable.c does it, the kernel only stands for data without a graph */
  TT_OP_GRAD_ARG = 1 << 9,         /* its argument `grad` is self's gradient when it is left out (an optimiser's step) */
  TT_OP_LIKE = 1 << 11,            /* of its last operand it reads shape and dtype only */
  TT_OP_AGGREGATE_FIRST = 1 << 12, /* the same of its first operand alone: the others go where they are told */
  TT_OP_AGGREGATE_REST = 1 << 13,  /* the same of all but its first operand, which is added element by element */
  TT_OP_FUNCTIONAL = 1 << 14,      /* one of torch.nn.functional: the row's PyTorch name says so, no row is marked */
  TT_OP_HIDDEN = 1 << 10,          /* no method of its own in JavaScript: a property or a method of another form calls it */
};

typedef enum tt_param_type {
  TT_PARAM_TENSOR,
  TT_PARAM_TENSORS,
  TT_PARAM_SCALAR,
  TT_PARAM_TENSOR_OR_SCALAR,
  TT_PARAM_INT,
  TT_PARAM_INTS,
  TT_PARAM_FLOAT,
  TT_PARAM_BOOL,
  TT_PARAM_DTYPE,
  TT_PARAM_STRING
} tt_param_type;

typedef struct tt_param {
  char name[32];
  tt_param_type type;
  bool is_optional; /* None is allowed */
  bool has_default;
  bool is_keyword_only;   /* behind the `*` */
  bool is_written;        /* "Tensor(a!)": the call changes it; who calls must own it */
  tt_value default_value; /* list defaults point into the parsed row */
} tt_param;

typedef char tt_result_name[24];

typedef enum tt_result_form { TT_RESULT_TENSOR, TT_RESULT_TUPLE, TT_RESULT_LIST } tt_result_form;

typedef struct tt_op tt_op;

/*
 * What a kernel may use beside its arguments.
 * `out` is not NULL for the in-place form of an elementwise op: the tensor to write into, of the inferred shape, possibly also
 * an argument (same index read before it is written); the kernel then converts into its dtype and answers a new reference to
 * it.
 */
typedef struct tt_kernel_context {
  tt_generator *generator; /* never NULL for TT_OP_RANDOM rows */
  tt_tensor *out;
} tt_kernel_context;

/* `args` has op->n_params values, defaults filled in and types checked (tt_op_bind). Writes up to TT_MAX_RESULTS metas. */
typedef tt_status tt_infer_fn(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error);

/* Operands are tt_tensor. `metas` is what infer answered. Answers new references in `results`; nothing on failure. */
typedef tt_status tt_kernel_fn(const tt_op *op, tt_kernel_context *context, const tt_value *args, const tt_meta *metas,
                               tt_tensor **results, size_t *n_results, tt_error *error);

/*
 * The context in which a gradient rule calls other ops; whoever runs the rule implements it (chain/ for users, plain tensors in
 * the tests). Operands that `call` answers are owned by the context until it ends: a rule frees nothing.
 */
typedef struct tt_call_context {
  tt_status (*call)(struct tt_call_context *context, tt_op_number number, const tt_value *args, size_t n_args,
                    tt_operand **results, size_t *n_results, tt_error *error);
} tt_call_context;

typedef struct tt_grad_call {
  const tt_op *op;
  const tt_value *args; /* as the kernel had them (for an in-place op: before the change) */
  tt_operand *const *results;
  size_t n_results;
  tt_operand *const *grads; /* per result; NULL where nothing depends on it */
  const bool *is_needed;    /* per operand, in the order they stand in args, lists flattened */
} tt_grad_call;

/*
 * Sets operand_grads[i] (flattened order) to the gradient of operand i in that operand's shape and dtype, or leaves it NULL for
 * zero.
 */
typedef tt_status tt_grad_fn(tt_call_context *context, const tt_grad_call *call, tt_operand **operand_grads, tt_error *error);

/* A row's gradient when there is none to have: integer results, factories, ... */
#define TT_GRAD_NONE NULL

struct tt_op {
  tt_op_number number;
  const char *name; /* ours, PyTorch's spelling: "add", "add_" */
  const char *schema;
  tt_infer_fn *infer; /* the row's own; callers use tt_op_infer */
  tt_kernel_fn *kernel;
  tt_grad_fn *grad;
  uint32_t flags;
  /* Parsed from the schema (ops/schema.h), and apart from the row: what is not in the table takes no room in the file. */
  size_t n_params;
  tt_param *params;
  uint8_t n_operand_params; /* those that may hold operands: what a call's way down the chain looks at */
  uint8_t operand_params[TT_MAX_PARAMS];
  bool writes;            /* some parameter is written to ... */
  int8_t writes_if_param; /* ... when that bool is true; -1: always */
  tt_result_form result_form;
  size_t n_result_names; /* of a tuple */
  tt_result_name *result_names;
};

/*
 * Reads every row. Rows are read when they are first asked for in any case: this is for who wants to know that all of them are sound, and for who has
 * several threads that ask. Errors: TT_ERR_STATE naming the row that does not parse.
 */
tt_status tt_ops_init(tt_error *error);

/* Whether each element of what the op answers combines many of its argument `param`: then it may leave where that must stay. */
static inline bool tt_op_combines(const tt_op *op, size_t param) {
  return (op->flags & TT_OP_AGGREGATE) != 0 || (param == 0 && (op->flags & TT_OP_AGGREGATE_FIRST) != 0) ||
         (param != 0 && (op->flags & TT_OP_AGGREGATE_REST) != 0);
}

/* Whether this call writes to the parameters that are marked so: a row with running statistics does while training. `bound`: tt_op_bind's. */
static inline bool tt_op_writes(const tt_op *op, const tt_value *bound) {
  return op->writes && (op->writes_if_param < 0 || bound[op->writes_if_param].as.boolean);
}

const tt_op *tt_op_get(unsigned number);                   /* NULL when there is none */
const char *tt_op_name(unsigned number);                   /* its name alone, for which the row is not read */
const tt_op *tt_op_find(const char *name, size_t n_bytes); /* NULL when there is none */

/* 64-bit FNV-1a over "name schema\n" of all rows in order: two builds with the same digest agree on every number. */
uint64_t tt_ops_digest(void);

/*
 * Fills bound[0..n_params), which are not the args, from positional args: checks count and types, fills defaults (ints stand for floats, an int for a
 * list of one). A None stands for the default where the parameter does not take None itself, so that a caller can pass over it.
 * Errors: TT_ERR_ARGUMENT that quotes the schema. Values are borrowed from args. `scratch` holds one int per parameter for the
 * int-to-list case.
 */
tt_status tt_op_bind(const tt_op *op, const tt_value *args, size_t n_args, tt_value bound[TT_MAX_PARAMS],
                     int64_t scratch[TT_MAX_PARAMS], tt_error *error);

/*
 * The metas of a call's results from its bound args. Call this, not op->infer: for an in-place row it runs the shared rule,
 * checks that the result fits self (PyTorch's errors, TT_ERR_SHAPE and TT_ERR_DTYPE) and answers self's meta. `results` has
 * room for TT_MAX_RESULTS; what is in it after a failure is nothing.
 */
tt_status tt_op_infer(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error);

/* What the row's own rule says, of an in-place row too. Errors: the rule's; TT_ERR_SHAPE of a result beyond the limits. */
tt_status tt_op_infer_rule(const tt_op *op, const tt_value *args, tt_meta *results, size_t *n_results, tt_error *error);

/*
 * bind, infer and kernel on tensors in one call: what a LocalTensor does, and what tests and gradient contexts use. `generator`
 * may be NULL for a row that is not TT_OP_RANDOM. An in-place row answers a new reference to its own first operand; another
 * operand that overlaps it is read as it was before the call. `results` has room for TT_MAX_RESULTS; new references, the
 * caller's.
 */
tt_status tt_op_eval(tt_op_number number, tt_generator *generator, const tt_value *args, size_t n_args, tt_tensor **results,
                     size_t *n_results, tt_error *error);

/*
 * The same for arguments that are bound already and metas that tt_op_infer_rule answered to them (an in-place row's kernel computes in the dtype of its own
 * rule and converts into self's): the in-place rules and the kernel. What the chain's tail calls.
 */
tt_status tt_op_eval_inferred(const tt_op *op, tt_generator *generator, const tt_value *bound, const tt_meta *metas,
                              tt_tensor **results, size_t *n_results, tt_error *error);

/* How many of the arguments have to be told somebody else: those at the end that are their defaults do not. `bound`: tt_op_bind's. */
size_t tt_op_n_told(const tt_op *op, const tt_value *bound);

/*
 * What an in-place op asks of the result that its row infers: self's shape, and a dtype that self can hold. Errors:
 * TT_ERR_SHAPE, TT_ERR_DTYPE.
 */
tt_status tt_op_check_inplace(const tt_op *op, const tt_value *bound, const tt_meta *result, tt_error *error);

/*
 * The whole table as JSON text: [{"number":1,"name":...,"schema":...},...]. `more` writes further fields of a row, each with a comma before it; NULL: none
 * (JavaScript needs no more; for generators and the oracle ops/oracle.h has one).
 */
void tt_ops_json(tt_buffer *text, void (*more)(tt_buffer *text, const tt_op *op));
/* One row of it. */
void tt_op_json(tt_buffer *text, const tt_op *op, void (*more)(tt_buffer *text, const tt_op *op));

/*
 * What JavaScript wants to know before a row is first called, for which no row is read: a line a row, its name, a space, and letters: m a method of
 * tensors, i in place, f a factory, h hidden, n one of torch.nn.functional.
 */
void tt_ops_lines(tt_buffer *text);

/* The part that a signature gives, of a row of any table: ,"schema":...,"params":[...],"result":"tensor". */
void tt_signature_json(tt_buffer *text, const tt_op *op);

#endif
