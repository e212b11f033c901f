/*
 * map: two hash maps with open addressing: 64-bit ids to pointers, strings to pointers.
 *
 * Values are borrowed, never NULL; the map frees none of them. Keys of the string map are copied. Hashes are seeded per
 * process, since keys come from peers. Iteration order is that of the slots; removing the entry just visited is allowed.
 */
#ifndef TT_BASE_MAP_H
#define TT_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tt_id_map {
  struct tt_id_slot *slots; /* owned */
  size_t n_slots;           /* a power of two, or 0 */
  size_t n_entries;
  size_t n_used; /* entries and tombstones */
} tt_id_map;

void tt_id_map_init(tt_id_map *map);
void tt_id_map_release(tt_id_map *map);
void *tt_id_map_get(const tt_id_map *map, uint64_t id);
bool tt_id_map_put(tt_id_map *map, uint64_t id, void *value); /* replaces; false when there is no memory (map unchanged) */
/* Adds an entry unless there is one, and answers what is there then; NULL when there is no memory (map unchanged). */
void *tt_id_map_add(tt_id_map *map, uint64_t id, void *value);
void *tt_id_map_remove(tt_id_map *map, uint64_t id); /* the value that was there, or NULL */
/* The next entry from *cursor on (start at 0); NULL at the end. */
void *tt_id_map_next(const tt_id_map *map, size_t *cursor, uint64_t *id);

typedef struct tt_name_map {
  struct tt_name_slot *slots; /* owned */
  size_t n_slots;
  size_t n_entries;
  size_t n_used;
} tt_name_map;

void tt_name_map_init(tt_name_map *map);
void tt_name_map_release(tt_name_map *map);
void *tt_name_map_get(const tt_name_map *map, const char *name, size_t n_bytes);
bool tt_name_map_put(tt_name_map *map, const char *name, size_t n_bytes, void *value);
void *tt_name_map_remove(tt_name_map *map, const char *name, size_t n_bytes);
/* *name is zero-terminated and valid until the entry is removed. */
void *tt_name_map_next(const tt_name_map *map, size_t *cursor, const char **name);

#endif
