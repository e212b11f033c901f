/*
 * scratch: the one place in memory where JavaScript and the core leave each other arguments and results.
 *
 * A call from JavaScript writes what it has to say here (numbers as they are, so that nothing is parsed and nothing allocated), calls an exported function and reads
 * what that left here. Everything in it is valid until the next call. Where each field is, JavaScript learns from tt_wasm_constants.
 */
#ifndef TT_WASM_SCRATCH_H
#define TT_WASM_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "ops/op.h"
#include "wasm/handles.h"

enum {
  TT_META_POINTER = 1,
  TT_META_OWNS = 2,
  TT_META_BUSY = 4,
  TT_META_REQUIRES_GRAD = 8,
  TT_META_NO_LEAF = 16,
  TT_META_HAS_GRAD = 32,
  TT_META_MULTI = 64
};

typedef struct tt_scratch {
  /* In: the arguments of a call. An operand is a tt_handle in the first four bytes of `as`; lists point into ints or operands, strings into the input. */
  tt_value args[TT_MAX_PARAMS];
  uint64_t id;       /* in and out: an object, a request, a seed */
  uint64_t id_there; /* in and out, of a pointer: the id that its object has where it is; in: 0 for the same as id */
  tt_handle results[TT_MAX_RESULTS]; /* out */
  uint32_t n_results;                /* out */
  const uint8_t *text;               /* out: a message, a name, JSON; tt_wasm_text answers it */
  uint32_t text_bytes;               /* out */
  uint8_t *data;                     /* out: elements, row-major */
  uint32_t data_bytes;               /* out */
  int32_t dtype, n_dims, flags;      /* in and out; n_dims may be TT_DIMS_UNKNOWN, flags are TT_META_* */
  int64_t dims[TT_MAX_DIMS];         /* in and out */
  double numbers[16];                /* out: counters */
  uint32_t n_ints, n_operands;       /* in: how much of the two lists below the call uses */
  int64_t ints[TT_MAX_LIST_ITEMS];   /* in: all lists of ints of a call, one behind the other */
  /* In: all lists of operands of a call, as handles, which the call exchanges for what they stand for. */
  union {
    tt_handle handle;
    tt_operand *operand;
  } operands[TT_MAX_LIST_ITEMS];
} tt_scratch;

extern tt_scratch tt_wasm_area;

/* Text for JavaScript to read: empty it, append to it, show it. */
tt_buffer *tt_scratch_text(void);
tt_status tt_scratch_show_text(void);            /* points area.text at it; TT_ERR_MEMORY when it failed */
void tt_scratch_show_string(const char *string); /* borrowed */

/* Leaves the error's message as the text and answers its status: what every exported function that can fail returns. */
int tt_scratch_fail(const tt_error *error);

/* What JavaScript wrote to tt_wasm_input: a zero-terminated string at `offset`, and the one behind it. */
const char *tt_scratch_input_string(size_t offset);
const uint8_t *tt_scratch_input(void);

/* What a call has in the scratch and the input, set aside while another uses them: see wasm/callback.h. */
typedef struct tt_aside {
  tt_scratch *area; /* owned; as far as it is in use */
  uint8_t *input;   /* owned */
  size_t input_bytes;
} tt_aside;

/* Sets all of it aside; the scratch keeps what it has, the input is a new one with room for n_bytes. False when there is no memory: then nothing has happened. */
bool tt_scratch_set_aside(tt_aside *aside, size_t n_bytes);
/* Where a list of the scratch's is now; any other address stays as it is. */
const void *tt_scratch_aside_address(const tt_aside *aside, const void *address);
void tt_scratch_put_back(tt_aside *aside);

/* Fills dtype, n_dims and dims. */
void tt_scratch_show_meta(const tt_meta *meta);

#endif
