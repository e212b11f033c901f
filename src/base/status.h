/*
 * status: what a call answers when it can fail.
 *
 * A function that can fail returns a tt_status and takes a `tt_error *` as its last parameter. TT_OK is zero.
 * On failure it has filled the error (when one was given) with a sentence that says what, where and what to do,
 * and has left every output untouched. `error` may always be NULL.
 *
 * The codes, their names on the wire and their meaning are one list: TT_STATUS_LIST.
 */
#ifndef TT_BASE_STATUS_H
#define TT_BASE_STATUS_H

#include <stdarg.h>
#include <stddef.h>

/* X(symbol, number, name on the wire and in JavaScript's error.code). Numbers are part of PROTOCOL.md: never reuse one. */
#define TT_STATUS_LIST(X)                                                                                                 \
  X(OK, 0, "ok")                                                                                                          \
  X(ERR_MEMORY, 1, "memory")                 /* the machine has no memory for it */                                       \
  X(ERR_ARGUMENT, 2, "argument")             /* an argument that no input of this kind allows */                          \
  X(ERR_SHAPE, 3, "shape")                   /* shapes that do not fit together */                                        \
  X(ERR_DTYPE, 4, "dtype")                   /* a dtype the op does not take */                                           \
  X(ERR_INDEX, 5, "index")                   /* an index or dimension out of range */                                     \
  X(ERR_UNKNOWN_OP, 6, "unknown_op")         /* no row of that name or number */                                          \
  X(ERR_UNKNOWN_OBJECT, 7, "unknown_object") /* no object with that id at that worker */                                  \
  X(ERR_UNKNOWN_WORKER, 8, "unknown_worker") /* nobody of that id is here */                                              \
  X(ERR_DUPLICATE, 9, "duplicate")           /* the id is taken, nothing was overwritten */                               \
  X(ERR_LOCATION, 10, "location")            /* operands live on different workers */                                     \
  X(ERR_POLICY, 11, "policy")                /* the owner of the object does not allow it */                              \
  X(ERR_FULL, 12, "full")                    /* a declared ceiling is reached */                                          \
  X(ERR_PROTOCOL, 13, "protocol")            /* bytes that are not the protocol; ends that connection at most */          \
  X(ERR_VERSION, 14, "version")              /* the other side speaks another version */                                  \
  X(ERR_CONNECTION, 15, "connection")        /* the connection or the peer is gone */                                     \
  X(ERR_NUMERIC, 16, "numeric")              /* singular matrix, not positive definite, division of integers by zero */   \
  X(ERR_STATE, 17, "state")                  /* the call does not fit what the object is now (freed, closed, not here) */ \
  X(ERR_ABORTED, 18, "aborted")              /* the caller gave up waiting */                                             \
  X(ERR_SYSTEM, 19, "system")                /* the operating system refused; the message quotes it */

typedef enum tt_status {
#define TT_STATUS_ENUM(symbol, number, name) TT_##symbol = number,
  TT_STATUS_LIST(TT_STATUS_ENUM)
#undef TT_STATUS_ENUM
} tt_status;

enum { TT_ERROR_MESSAGE_BYTES = 512 };

typedef struct tt_error {
  tt_status status;
  char message[TT_ERROR_MESSAGE_BYTES]; /* UTF-8, zero-terminated, cut at the end when too long */
} tt_error;

/* The name on the wire ("shape"); "unknown" for a number that is no status. Never NULL. */
const char *tt_status_name(tt_status status);

/* The status of a name on the wire; TT_ERR_PROTOCOL for a name that is none. */
tt_status tt_status_from_name(const char *name);

/* Fills `error` (if not NULL) and returns `status`, so that `return tt_fail(error, TT_ERR_SHAPE, "...")` reads as it is. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
tt_status
tt_fail(tt_error *error, tt_status status, const char *format, ...);

/* The same, in a form that lets the compiler see which status it answers: it can tell then that nothing behind a TT_TRY runs after a failure. */
static inline tt_status tt_same_status(tt_status status) { return status; }
#define tt_fail(error, status, ...) (tt_fail(error, status, __VA_ARGS__), tt_same_status(status))

/*
 * Puts "context: " before the message that `error` holds already; returns its status (TT_ERR_STATE when `error` is NULL, so
 * that a failure stays one: a caller that knows the status better keeps it).
 */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
tt_status
tt_error_prefix(tt_error *error, const char *format, ...);

/* Evaluates a call that returns tt_status and returns from the function when it failed. */
#define TT_TRY(call)                                  \
  do {                                                \
    tt_status tt_try_status = (call);                 \
    if (tt_try_status != TT_OK) return tt_try_status; \
  } while (0)

#endif
