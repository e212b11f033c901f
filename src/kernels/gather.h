/*
 * gather: elements picked, put or added by position.
 *
 * One walk serves gather, scatter, index_select and index_add: for every place p of the index, element p of `other` meets the
 * element of `target` whose coordinate along `dim` is index[p] and whose other coordinates are p's. An index of stride 0
 * (a 1-d index expanded over the other dimensions) moves whole rows.
 */
#ifndef TT_KERNELS_GATHER_H
#define TT_KERNELS_GATHER_H

#include "base/status.h"
#include "tensor/tensor.h"

typedef enum tt_gather_kind {
  TT_GATHER_READ, /* other = target[index] */
  TT_GATHER_PUT,  /* target[index] = other: the last of several wins */
  TT_GATHER_ADD   /* target[index] += other */
} tt_gather_kind;

/*
 * index (int64) gives the shape walked; other is at least as large in every dimension and has target's dtype; a scalar
 * counts as one dimension of one. Every index is checked before anything is written. `who` names the op. Errors:
 * TT_ERR_INDEX.
 */
tt_status tt_gather_run(const char *who, tt_gather_kind kind, const tt_tensor *target, int dim, const tt_tensor *index,
                        const tt_tensor *other, tt_error *error);

/* Whether every element of index is a place along target's dimension dim. Errors: TT_ERR_INDEX. */
tt_status tt_gather_check(const char *who, const tt_tensor *target, int dim, const tt_tensor *index, tt_error *error);

/* How many elements of a dense bool mask are true. */
int64_t tt_mask_count(const uint8_t *mask, int64_t n);

/* The elements of dense data of `element_bytes` each (1, 4 or 8) where the mask is true, one behind the other; and back
 * again. */
void tt_mask_take(const uint8_t *mask, int64_t n, size_t element_bytes, const void *data, void *taken);
void tt_mask_put(const uint8_t *mask, int64_t n, size_t element_bytes, const void *values, void *data);

/* The coordinates of every true element of a dense mask, n_dims int64 each, in row-major order. */
void tt_mask_places(const uint8_t *mask, const tt_shape *shape, int64_t *places);

#endif
