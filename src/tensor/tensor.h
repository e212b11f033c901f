/*
 * tensor: a strided view over shared storage. This is where data lives, and the tail of every chain.
 *
 * Strides and offsets count elements, may be 0 (expand) and are never negative. A view shares its storage with the tensor it
 * was taken from: writing to one is seen by the other, as in PyTorch. Counts are not atomic: a tensor belongs to one thread.
 */
#ifndef TT_TENSOR_TENSOR_H
#define TT_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

typedef struct tt_storage {
  int refs;
  size_t n_bytes;
  uint8_t *bytes;   /* 64-byte aligned; NULL when n_bytes is 0 */
  uint32_t version; /* how often it was written to by an op: what was saved for a gradient must not have changed */
  uint32_t n_holds; /* who holds it on a ledger, which counts it once */
  uint32_t
      n_readers; /* who will read it later and has not copied it: told before it is written to (chain/hook.h, before_write) */
} tt_storage;

tt_storage *tt_storage_new(size_t n_bytes,
                           tt_error *error); /* uninitialised; one reference, the caller's; NULL: TT_ERR_MEMORY */
tt_storage *tt_storage_ref(tt_storage *storage);
void tt_storage_unref(tt_storage *storage); /* NULL is allowed */

/*
 * A ledger counts the bytes of memory that somebody answers for (the objects of a store, what is saved for gradients), each storage once however
 * often it is held. A storage is held on one ledger only.
 */
typedef struct tt_ledger {
  int refs;
  uint64_t n_bytes;
  size_t n_steps; /* recorded calls that are kept for gradients */
} tt_ledger;

tt_ledger *tt_ledger_new(void); /* one reference; NULL when there is no memory */
tt_ledger *tt_ledger_ref(tt_ledger *ledger);
void tt_ledger_unref(tt_ledger *ledger); /* NULL is allowed */
/* One more reference to the storage, counted; and its end. */
void tt_storage_hold(tt_storage *storage, tt_ledger *ledger);
void tt_storage_unhold(tt_storage *storage, tt_ledger *ledger);

typedef struct tt_tensor {
  tt_operand operand; /* first: dtype and shape, always known */
  int refs;
  int64_t strides[TT_MAX_DIMS]; /* in elements */
  int64_t offset;               /* in elements */
  tt_storage *storage;          /* one reference */
} tt_tensor;

static inline tt_dtype tt_tensor_dtype(const tt_tensor *tensor) { return tensor->operand.meta.dtype; }
static inline const tt_shape *tt_tensor_shape(const tt_tensor *tensor) { return &tensor->operand.meta.shape; }
static inline int tt_tensor_n_dims(const tt_tensor *tensor) { return tensor->operand.meta.shape.n_dims; }

/* The address of the first element. */
void *tt_tensor_data(const tt_tensor *tensor);
int64_t tt_tensor_n_elements(const tt_tensor *tensor);
bool tt_tensor_is_contiguous(const tt_tensor *tensor); /* row-major without gaps */

/* A fresh contiguous tensor with uninitialised elements (one reference, the caller's); NULL: TT_ERR_MEMORY or TT_ERR_SHAPE. */
tt_tensor *tt_tensor_new(tt_dtype dtype, const tt_shape *shape, tt_error *error);

/* The same with every element zero. */
tt_tensor *tt_tensor_zeros(tt_dtype dtype, const tt_shape *shape, tt_error *error);

/* A fresh tensor with a copy of `bytes` (row-major, tt_dtype_bytes each; for bool, anything but 0 is true). */
tt_tensor *tt_tensor_from_bytes(tt_dtype dtype, const tt_shape *shape, const void *bytes, tt_error *error);

/* Another view of the same storage; shape, strides and offset are trusted to stay inside it. NULL: TT_ERR_MEMORY. */
tt_tensor *tt_tensor_view(const tt_tensor *base, const tt_shape *shape, const int64_t *strides, int64_t offset,
                          tt_error *error);

tt_tensor *tt_tensor_ref(tt_tensor *tensor);
void tt_tensor_unref(tt_tensor *tensor); /* NULL is allowed */

/* The tensor itself (one more reference) when contiguous, else a contiguous copy. NULL: TT_ERR_MEMORY. */
tt_tensor *tt_tensor_contiguous(tt_tensor *tensor, tt_error *error);

/* A copy converted to `dtype`, by C conversion with PyTorch's results for out-of-range and NaN where PyTorch defines them. */
tt_tensor *tt_tensor_cast(const tt_tensor *tensor, tt_dtype dtype, tt_error *error);

/* Copies `source` (broadcast, converted) into the elements of `target`. The two may overlap. Errors: TT_ERR_SHAPE, TT_ERR_MEMORY. */
tt_status tt_tensor_copy(tt_tensor *target, const tt_tensor *source, tt_error *error);

/* One element of a one-element tensor as a number. Errors: TT_ERR_SHAPE. */
tt_status tt_tensor_item_f64(const tt_tensor *tensor, double *value, tt_error *error);
tt_status tt_tensor_item_i64(const tt_tensor *tensor, int64_t *value, tt_error *error);

/*
 * Appends what PyTorch's repr gives with its default print options (4 digits, 80 columns, 1,000 elements and 3 at each
 * edge before it summarises), dtype shown where PyTorch shows it. Source: torch/_tensor_str.py.
 */
void tt_tensor_print(const tt_tensor *tensor, tt_buffer *text);
/* The same with one thing more behind the elements, such as "requires_grad=True"; NULL: nothing. */
void tt_tensor_print_with(const tt_tensor *tensor, const char *last_suffix, tt_buffer *text);

#endif
