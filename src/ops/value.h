/*
 * value: one argument of a call. What an op takes is in its schema (ops/op.h); a value is what a caller gave.
 *
 * A value borrows everything it points to. Operands are whatever the floor that reads the value made them: tt_tensor at the
 * kernels, tt_node in the chain.
 */
#ifndef TT_OPS_VALUE_H
#define TT_OPS_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor/dtype.h"
#include "tensor/shape.h"

/* X(symbol, number on the wire). Numbers are in PROTOCOL.md. */
#define TT_VALUE_TYPE_LIST(X) \
  X(NONE, 0)                  \
  X(OPERAND, 1)               \
  X(OPERANDS, 2)              \
  X(BOOL, 3)                  \
  X(INT, 4)                   \
  X(FLOAT, 5)                 \
  X(INTS, 6)                  \
  X(DTYPE, 7)                 \
  X(STRING, 8)

typedef enum tt_value_type {
#define TT_VALUE_ENUM(symbol, number) TT_VALUE_##symbol = number,
  TT_VALUE_TYPE_LIST(TT_VALUE_ENUM)
#undef TT_VALUE_ENUM
      TT_N_VALUE_TYPES
} tt_value_type;

enum { TT_MAX_LIST_ITEMS = 4096, TT_MAX_STRING_BYTES = 4096 }; /* declared limits; also PROTOCOL.md's */

typedef struct tt_value {
  tt_value_type type;
  uint32_t n; /* items of operands or ints, bytes of a string */
  union {
    tt_operand *operand;
    tt_operand *const *operands;
    bool boolean;
    int64_t integer;
    double real;
    const int64_t *ints;
    tt_dtype dtype;
    const char *string; /* not zero-terminated */
  } as;
} tt_value;

static inline tt_value tt_none(void) { return (tt_value){.type = TT_VALUE_NONE}; }
static inline tt_value tt_operand_value(tt_operand *operand) {
  return (tt_value){.type = TT_VALUE_OPERAND, .as.operand = operand};
}
static inline tt_value tt_operands_value(tt_operand *const *operands, uint32_t n) {
  return (tt_value){.type = TT_VALUE_OPERANDS, .n = n, .as.operands = operands};
}
static inline tt_value tt_bool(bool boolean) { return (tt_value){.type = TT_VALUE_BOOL, .as.boolean = boolean}; }
static inline tt_value tt_int(int64_t integer) { return (tt_value){.type = TT_VALUE_INT, .as.integer = integer}; }
static inline tt_value tt_float(double real) { return (tt_value){.type = TT_VALUE_FLOAT, .as.real = real}; }
static inline tt_value tt_ints(const int64_t *ints, uint32_t n) {
  return (tt_value){.type = TT_VALUE_INTS, .n = n, .as.ints = ints};
}
static inline tt_value tt_string(const char *string, uint32_t n) {
  return (tt_value){.type = TT_VALUE_STRING, .n = n, .as.string = string};
}
static inline tt_value tt_dtype_value(tt_dtype dtype) { return (tt_value){.type = TT_VALUE_DTYPE, .as.dtype = dtype}; }

#endif
