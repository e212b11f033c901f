#include "wasm/handles.h"

#include <stdbool.h>

#include "base/alloc.h"

enum { SLOT_BITS = 20, N_GENERATIONS = 1 << 12, NO_SLOT = UINT32_MAX };

typedef struct handle_slot {
  void *object;
  uint16_t generation; /* 1 to N_GENERATIONS - 1 */
  uint8_t type;
  uint32_t next_free;
} handle_slot;

static struct {
  handle_slot *slots; /* owned */
  uint32_t n_slots;   /* those ever used */
  uint32_t capacity;
  uint32_t first_free, last_free; /* a queue; NO_SLOT when empty */
  size_t counts[TT_N_HANDLE_TYPES];
} handles = {.first_free = UINT32_MAX, .last_free = UINT32_MAX};

static bool grow(void) {
  if (handles.capacity == TT_MAX_HANDLES) return false;
  uint32_t capacity = handles.capacity == 0 ? 1024 : handles.capacity * 2;
  handle_slot *slots = tt_realloc(handles.slots, capacity * sizeof *slots);
  if (slots == NULL) return false;
  handles.slots = slots;
  handles.capacity = capacity;
  return true;
}

tt_handle tt_handle_new(tt_handle_type type, void *object) {
  uint32_t index = handles.first_free;
  /* A fresh slot is preferred to one that was freed a moment ago: stale handles stay recognisable for longer. */
  if (index == NO_SLOT || handles.n_slots < handles.capacity) {
    if (handles.n_slots == handles.capacity && !grow()) return 0;
    index = handles.n_slots++;
    handles.slots[index] = (handle_slot){.generation = 1};
  } else {
    handles.first_free = handles.slots[index].next_free;
    if (handles.first_free == NO_SLOT) handles.last_free = NO_SLOT;
  }
  handle_slot *slot = &handles.slots[index];
  slot->object = object;
  slot->type = (uint8_t)type;
  handles.counts[type]++;
  return (tt_handle)slot->generation << SLOT_BITS | index;
}

static handle_slot *find(tt_handle handle, tt_handle_type type) {
  uint32_t index = handle & ((1u << SLOT_BITS) - 1);
  if (index >= handles.n_slots) return NULL;
  handle_slot *slot = &handles.slots[index];
  return slot->generation == handle >> SLOT_BITS && slot->type == type ? slot : NULL;
}

void *tt_handle_get(tt_handle handle, tt_handle_type type) {
  handle_slot *slot = find(handle, type);
  return slot == NULL ? NULL : slot->object;
}

void *tt_handle_end(tt_handle handle, tt_handle_type type) {
  handle_slot *slot = find(handle, type);
  if (slot == NULL) return NULL;
  void *object = slot->object;
  uint32_t index = (uint32_t)(slot - handles.slots);
  slot->object = NULL;
  slot->type = TT_HANDLE_FREE;
  slot->generation = (uint16_t)(slot->generation + 1 == N_GENERATIONS ? 1 : slot->generation + 1);
  slot->next_free = NO_SLOT;
  if (handles.last_free == NO_SLOT) {
    handles.first_free = index;
  } else {
    handles.slots[handles.last_free].next_free = index;
  }
  handles.last_free = index;
  handles.counts[type]--;
  return object;
}

size_t tt_handle_count(tt_handle_type type) { return handles.counts[type]; }
