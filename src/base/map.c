#include "base/map.h"

#include <string.h>

#include "base/alloc.h"
#include "base/random.h"

/* An empty slot ends a probe, a tombstone does not. Slots double when entries and tombstones fill three quarters. */

static uint64_t process_seed(void) {
  static uint64_t seed = 0;
  if (seed == 0) seed = tt_random_id();
  return seed;
}

static uint64_t mix(uint64_t bits) {
  bits ^= bits >> 33;
  bits *= UINT64_C(0xFF51AFD7ED558CCD);
  bits ^= bits >> 33;
  bits *= UINT64_C(0xC4CEB9FE1A85EC53);
  return bits ^ bits >> 33;
}

static size_t grown(size_t n_slots, size_t n_entries) {
  size_t wanted = n_slots < 8 ? 8 : n_slots;
  while (n_entries + 1 > wanted / 2) wanted *= 2; /* with many tombstones the size stays and they go */
  return wanted;
}

static bool is_crowded(size_t n_slots, size_t n_used) { return n_slots == 0 || n_used + 1 > n_slots / 4 * 3; }

/* ids */

struct tt_id_slot {
  uint64_t id;
  void *value; /* NULL: empty, or a tombstone when is_removed */
  bool is_removed;
};

static uint64_t hash_id(uint64_t id) { return mix(id ^ process_seed()); }

void tt_id_map_init(tt_id_map *map) { *map = (tt_id_map){.slots = NULL}; }

void tt_id_map_release(tt_id_map *map) {
  tt_free(map->slots);
  tt_id_map_init(map);
}

static struct tt_id_slot *find_id(const tt_id_map *map, uint64_t id) {
  if (map->n_slots == 0) return NULL;
  size_t mask = map->n_slots - 1;
  for (size_t i = hash_id(id) & mask;; i = (i + 1) & mask) {
    struct tt_id_slot *slot = &map->slots[i];
    if (slot->value != NULL && slot->id == id) return slot;
    if (slot->value == NULL && !slot->is_removed) return NULL;
  }
}

static void place_id(struct tt_id_slot *slots, size_t n_slots, uint64_t id, void *value) {
  size_t i = hash_id(id) & (n_slots - 1);
  while (slots[i].value != NULL) i = (i + 1) & (n_slots - 1);
  slots[i] = (struct tt_id_slot){.id = id, .value = value};
}

void *tt_id_map_get(const tt_id_map *map, uint64_t id) {
  struct tt_id_slot *slot = find_id(map, id);
  return slot == NULL ? NULL : slot->value;
}

static bool make_room(tt_id_map *map) {
  if (!is_crowded(map->n_slots, map->n_used)) return true;
  size_t n_slots = grown(map->n_slots, map->n_entries);
  struct tt_id_slot *slots = tt_alloc(n_slots, sizeof *slots);
  if (slots == NULL) return false;
  for (size_t i = 0; i < map->n_slots; i++) {
    if (map->slots[i].value != NULL) place_id(slots, n_slots, map->slots[i].id, map->slots[i].value);
  }
  tt_free(map->slots);
  map->slots = slots;
  map->n_slots = n_slots;
  map->n_used = map->n_entries;
  return true;
}

void *tt_id_map_add(tt_id_map *map, uint64_t id, void *value) {
  if (!make_room(map)) {
    struct tt_id_slot *there = find_id(map, id);
    return there == NULL ? NULL : there->value;
  }
  struct tt_id_slot *removed = NULL;
  size_t mask = map->n_slots - 1;
  for (size_t i = hash_id(id) & mask;; i = (i + 1) & mask) {
    struct tt_id_slot *slot = &map->slots[i];
    if (slot->value != NULL) {
      if (slot->id == id) return slot->value;
    } else if (slot->is_removed) {
      if (removed == NULL) removed = slot;
    } else {
      if (removed == NULL) map->n_used++;
      *(removed != NULL ? removed : slot) = (struct tt_id_slot){.id = id, .value = value};
      map->n_entries++;
      return value;
    }
  }
}

bool tt_id_map_put(tt_id_map *map, uint64_t id, void *value) {
  void *there = tt_id_map_add(map, id, value);
  if (there != NULL && there != value) find_id(map, id)->value = value;
  return there != NULL;
}

void *tt_id_map_remove(tt_id_map *map, uint64_t id) {
  struct tt_id_slot *slot = find_id(map, id);
  if (slot == NULL) return NULL;
  void *value = slot->value;
  *slot = (struct tt_id_slot){.is_removed = true};
  map->n_entries--;
  /* Tombstones that no probe has to pass are none. */
  size_t mask = map->n_slots - 1, i = (size_t)(slot - map->slots);
  const struct tt_id_slot *next = &map->slots[(i + 1) & mask];
  if (next->value != NULL || next->is_removed) return value;
  for (; map->slots[i].is_removed; i = (i - 1) & mask) {
    map->slots[i].is_removed = false;
    map->n_used--;
  }
  return value;
}

void *tt_id_map_next(const tt_id_map *map, size_t *cursor, uint64_t *id) {
  while (*cursor < map->n_slots) {
    const struct tt_id_slot *slot = &map->slots[(*cursor)++];
    if (slot->value == NULL) continue;
    if (id != NULL) *id = slot->id;
    return slot->value;
  }
  return NULL;
}

/* names */

struct tt_name_slot {
  char *name; /* owned, zero-terminated; NULL: empty, or a tombstone when is_removed */
  size_t n_bytes;
  uint64_t hash;
  void *value;
  bool is_removed;
};

static uint64_t hash_name(const char *name, size_t n_bytes) {
  uint64_t hash = process_seed() ^ mix(n_bytes);
  for (size_t at = 0; at < n_bytes; at += 8) {
    uint64_t word = 0;
    memcpy(&word, name + at, n_bytes - at < 8 ? n_bytes - at : 8);
    hash = mix(hash ^ word) + at;
  }
  return hash;
}

void tt_name_map_init(tt_name_map *map) { *map = (tt_name_map){.slots = NULL}; }

void tt_name_map_release(tt_name_map *map) {
  for (size_t i = 0; i < map->n_slots; i++) tt_free(map->slots[i].name);
  tt_free(map->slots);
  tt_name_map_init(map);
}

static struct tt_name_slot *find_name(const tt_name_map *map, const char *name, size_t n_bytes, uint64_t hash) {
  if (map->n_slots == 0) return NULL;
  size_t mask = map->n_slots - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    struct tt_name_slot *slot = &map->slots[i];
    if (slot->name == NULL) {
      if (!slot->is_removed) return NULL;
    } else if (slot->hash == hash && slot->n_bytes == n_bytes && memcmp(slot->name, name, n_bytes) == 0) {
      return slot;
    }
  }
}

void *tt_name_map_get(const tt_name_map *map, const char *name, size_t n_bytes) {
  struct tt_name_slot *slot = find_name(map, name, n_bytes, hash_name(name, n_bytes));
  return slot == NULL ? NULL : slot->value;
}

bool tt_name_map_put(tt_name_map *map, const char *name, size_t n_bytes, void *value) {
  uint64_t hash = hash_name(name, n_bytes);
  struct tt_name_slot *slot = find_name(map, name, n_bytes, hash);
  if (slot != NULL) {
    slot->value = value;
    return true;
  }
  char *copy = tt_alloc(n_bytes + 1, 1);
  if (copy == NULL) return false;
  memcpy(copy, name, n_bytes);
  if (is_crowded(map->n_slots, map->n_used)) {
    size_t n_slots = grown(map->n_slots, map->n_entries);
    struct tt_name_slot *slots = tt_alloc(n_slots, sizeof *slots);
    if (slots == NULL) {
      tt_free(copy);
      return false;
    }
    for (size_t i = 0; i < map->n_slots; i++) {
      if (map->slots[i].name == NULL) continue;
      size_t at = map->slots[i].hash & (n_slots - 1);
      while (slots[at].name != NULL) at = (at + 1) & (n_slots - 1);
      slots[at] = map->slots[i];
    }
    tt_free(map->slots);
    map->slots = slots;
    map->n_slots = n_slots;
    map->n_used = map->n_entries;
  }
  size_t at = hash & (map->n_slots - 1);
  while (map->slots[at].name != NULL) at = (at + 1) & (map->n_slots - 1);
  if (!map->slots[at].is_removed) map->n_used++;
  map->slots[at] = (struct tt_name_slot){.name = copy, .n_bytes = n_bytes, .hash = hash, .value = value};
  map->n_entries++;
  return true;
}

void *tt_name_map_remove(tt_name_map *map, const char *name, size_t n_bytes) {
  struct tt_name_slot *slot = find_name(map, name, n_bytes, hash_name(name, n_bytes));
  if (slot == NULL) return NULL;
  void *value = slot->value;
  tt_free(slot->name);
  *slot = (struct tt_name_slot){.is_removed = true};
  map->n_entries--;
  return value;
}

void *tt_name_map_next(const tt_name_map *map, size_t *cursor, const char **name) {
  while (*cursor < map->n_slots) {
    const struct tt_name_slot *slot = &map->slots[(*cursor)++];
    if (slot->name == NULL) continue;
    if (name != NULL) *name = slot->name;
    return slot->value;
  }
  return NULL;
}
