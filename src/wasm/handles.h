/*
 * handles: what JavaScript holds in place of a pointer.
 *
 * A handle is 20 bits of slot and 12 bits of generation, never 0. A slot's generation changes whenever it is freed, and freed slots are taken again in the order in
 * which they were freed: a handle that is used after its end is told from its slot's next owner until that slot has been through 4,095 owners.
 * One table per instance of the core. What a handle stands for is owned by whoever made it; the table frees nothing.
 */
#ifndef TT_WASM_HANDLES_H
#define TT_WASM_HANDLES_H

#include <stddef.h>
#include <stdint.h>

typedef uint32_t tt_handle;

typedef enum tt_handle_type {
  TT_HANDLE_FREE = 0,
  TT_HANDLE_HEAD,
  TT_HANDLE_WORKER,
  TT_HANDLE_MODULE,
  TT_HANDLE_OPTIMIZER,
  TT_HANDLE_PLAN,
  TT_N_HANDLE_TYPES
} tt_handle_type;

enum { TT_MAX_HANDLES = 1 << 20 };

/* 0 when there is no memory or TT_MAX_HANDLES are taken. `object` is not NULL. */
tt_handle tt_handle_new(tt_handle_type type, void *object);
/* NULL when the handle is stale, of another type, or never was one. */
void *tt_handle_get(tt_handle handle, tt_handle_type type);
/* Ends a handle and answers what it stood for; NULL as above. */
void *tt_handle_end(tt_handle handle, tt_handle_type type);
size_t tt_handle_count(tt_handle_type type);

#endif
