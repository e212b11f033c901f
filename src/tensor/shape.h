/*
 * shape: dimensions, meta-data, and the arithmetic of both.
 *
 * A tt_meta is what may be known of a tensor without its data: the caller of a remote op has nothing else. Its shape may be
 * unknown as a whole (n_dims is TT_DIMS_UNKNOWN) where it depends on data, as after masked_select.
 */
#ifndef TT_TENSOR_SHAPE_H
#define TT_TENSOR_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"
#include "tensor/dtype.h"

enum {
  TT_MAX_DIMS = 8, /* a declared limit; also PROTOCOL.md's */
  TT_DIMS_UNKNOWN = -1,
  TT_SHAPE_TEXT_BYTES = 192, /* room for any shape as text */
};

/* Element counts stay below this, so that byte counts fit 63 bits whatever the dtype. */
#define TT_MAX_ELEMENTS ((int64_t)1 << 48)

typedef struct tt_shape {
  int n_dims; /* 0 for a scalar */
  int64_t dims[TT_MAX_DIMS];
} tt_shape;

typedef struct tt_meta {
  tt_dtype dtype;
  tt_shape shape;
} tt_meta;

/* An assignment of the whole is more than 64 bytes at once, for which compilers to WebAssembly call a function. */
static inline void tt_shape_copy(tt_shape *to, const tt_shape *from) {
  to->n_dims = from->n_dims;
  memcpy(to->dims, from->dims, sizeof to->dims);
}

static inline void tt_meta_copy(tt_meta *to, const tt_meta *from) {
  to->dtype = from->dtype;
  tt_shape_copy(&to->shape, &from->shape);
}

/*
 * Anything an op may be called on begins with one of these: a tt_tensor at the tail, a tt_node of the chain above it. Shape
 * rules read the meta and nothing else; only the floor that made an operand casts it back.
 */
typedef struct tt_operand {
  tt_meta meta;
} tt_operand;

bool tt_shape_is_known(const tt_shape *shape);
int64_t tt_shape_n_elements(const tt_shape *shape); /* 1 for a scalar; the shape is known and checked */
bool tt_shape_equal(const tt_shape *a, const tt_shape *b);

/* Checks n_dims, signs and the element count of dims that come from outside. Errors: TT_ERR_SHAPE. */
tt_status tt_shape_check(const int64_t *dims, size_t n_dims, tt_error *error);
/* The same, and makes a shape of them. */
tt_status tt_shape_make(const int64_t *dims, size_t n_dims, tt_shape *shape, tt_error *error);

/* NumPy's broadcasting of two known shapes. `who` names the op in the error. Errors: TT_ERR_SHAPE. */
tt_status tt_shape_broadcast(const char *who, const tt_shape *a, const tt_shape *b, tt_shape *out, tt_error *error);

/* Turns a dimension that may be negative into 0..n_dims-1 (a scalar is taken as 1-d, as PyTorch does). Errors: TT_ERR_INDEX. */
tt_status tt_shape_wrap_dim(const char *who, int64_t dim, int n_dims, int *wrapped, tt_error *error);

/* "[2, 3]", or "[?]" when unknown. Writes at most TT_SHAPE_TEXT_BYTES; returns `text`. */
const char *tt_shape_text(const tt_shape *shape, char text[TT_SHAPE_TEXT_BYTES]);

#endif
