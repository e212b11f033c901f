#include "worker/object_store.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"

tt_failure *tt_failure_new(const tt_wire_error *error) {
  tt_failure *failure = tt_alloc(1, sizeof *failure);
  if (failure == NULL) return NULL;
  failure->refs = 1;
  failure->error = *error;
  return failure;
}

tt_failure *tt_failure_ref(tt_failure *failure) {
  failure->refs++;
  return failure;
}

void tt_failure_unref(tt_failure *failure) {
  if (failure != NULL && --failure->refs == 0) tt_free(failure);
}

tt_status tt_store_init(tt_object_store *store, const char *where, uint64_t max_bytes, size_t max_objects, tt_error *error) {
  *store = (tt_object_store){.where = where, .max_bytes = max_bytes, .max_objects = max_objects};
  tt_id_map_init(&store->objects);
  tt_id_map_init(&store->by_head);
  store->ledger = tt_ledger_new();
  return store->ledger != NULL ? TT_OK : tt_fail(error, TT_ERR_MEMORY, "no memory for a store");
}

void tt_store_release(tt_object_store *store) {
  size_t cursor = 0;
  for (tt_object *object; (object = tt_store_next(store, &cursor)) != NULL;) tt_store_remove(store, object);
  tt_id_map_release(&store->objects);
  tt_id_map_release(&store->by_head);
  tt_ledger_unref(store->ledger);
  store->ledger = NULL;
}

tt_object *tt_store_find(const tt_object_store *store, uint64_t id) { return tt_id_map_get(&store->objects, id); }

tt_object *tt_store_next(const tt_object_store *store, size_t *cursor) { return tt_id_map_next(&store->objects, cursor, NULL); }

tt_status tt_store_read(const tt_object_store *store, uint64_t id, const struct tt_peer *asker, tt_access access,
                        tt_object **object, tt_error *error) {
  tt_object *found = tt_id_map_get(&store->objects, id);
  bool owns = found != NULL && (asker == NULL || found->owner == asker);
  if (found == NULL || found->is_hidden || (!owns && found->policy == TT_POLICY_CLOSED)) {
    return tt_fail(error, TT_ERR_UNKNOWN_OBJECT, "%s has no object %" PRIu64 " (never sent, taken, or freed)", store->where,
                   id);
  }
  bool allowed = access == TT_ACCESS_SEE || access == TT_ACCESS_OPERATE;
  if (access == TT_ACCESS_OWN) allowed = owns;
  if (access == TT_ACCESS_FETCH) allowed = owns || found->policy == TT_POLICY_OPEN;
  if (access == TT_ACCESS_FETCH && found->is_withheld) allowed = asker == NULL;
  if (!allowed) {
    const char *what = access == TT_ACCESS_OWN ? "only its owner may change, take or free it"
                       : found->is_withheld    ? "it is made from data that stays there; get a sum, mean or product of it"
                                               : "it may be computed with, not fetched; get a sum, mean or product of it";
    return tt_fail(error, TT_ERR_POLICY, "%s keeps object %" PRIu64 " (policy %s): %s", store->where, id,
                   tt_policy_name(found->is_withheld ? TT_POLICY_COMPUTE : found->policy), what);
  }
  *object = found;
  return TT_OK;
}

uint64_t tt_store_room(const tt_object_store *store) {
  uint64_t used = store->ledger->n_bytes + store->n_reserved_bytes;
  return used < store->max_bytes ? store->max_bytes - used : 0;
}

tt_status tt_store_check_room(const tt_object_store *store, uint64_t n_bytes, tt_error *error) {
  if (store->objects.n_entries >= store->max_objects) {
    return tt_fail(error, TT_ERR_FULL, "the store of %s holds %zu objects, its ceiling; free some first", store->where,
                   store->objects.n_entries);
  }
  return tt_store_check_bytes(store, n_bytes, error);
}

tt_status tt_store_check_bytes(const tt_object_store *store, uint64_t n_bytes, tt_error *error) {
  if (n_bytes <= tt_store_room(store)) return TT_OK;
  return tt_fail(error, TT_ERR_FULL,
                 "the store of %s is full: %" PRIu64 " more bytes do not fit, %" PRIu64 " of %" PRIu64
                 " are used or on their way in; free something first",
                 store->where, n_bytes, store->ledger->n_bytes + store->n_reserved_bytes, store->max_bytes);
}

static tt_storage *storage_of(const tt_object *object) {
  tt_tensor *tensor = object->head == NULL ? NULL : tt_local_tensor(tt_node_tail(object->head));
  return tensor == NULL ? NULL : tensor->storage;
}

static void uncount(tt_object_store *store, tt_object *object) {
  if (object->held == NULL) return;
  tt_storage_unhold(object->held, store->ledger);
  object->held = NULL;
}

static void count(tt_object_store *store, tt_object *object) {
  tt_storage *storage = storage_of(object);
  if (storage == NULL) return;
  object->held = storage;
  tt_storage_hold(storage, store->ledger);
}

void tt_store_recount(tt_object_store *store, tt_object *object) {
  uncount(store, object);
  count(store, object);
}

static void withhold(tt_object *object) {
  object->is_withheld = true;
  tt_node *tail = object->head == NULL ? NULL : tt_node_tail(object->head);
  if (tail != NULL && tt_local_tensor(tail) != NULL) tt_local_withhold(tail);
}

void tt_store_withhold_storage(tt_object_store *store, const tt_storage *held) {
  size_t cursor = 0;
  for (tt_object *object; (object = tt_store_next(store, &cursor)) != NULL;) {
    if (object->held == held) withhold(object);
  }
}

void tt_store_withhold(tt_object_store *store, tt_object *object) {
  if (object->is_withheld) return;
  withhold(object);
  if (object->held != NULL && object->held->n_holds > 1) tt_store_withhold_storage(store, object->held);
}

static tt_status add(tt_object_store *store, uint64_t id, struct tt_peer *owner, tt_object **object, tt_error *error) {
  if (id == 0) return tt_fail(error, TT_ERR_ARGUMENT, "0 is no id of an object");
  tt_object *made = tt_alloc_object(sizeof *made);
  tt_object *there = made == NULL ? NULL : tt_id_map_add(&store->objects, id, made);
  if (there != made || made == NULL) {
    tt_free_object(made, sizeof *made);
    return there == NULL ? tt_fail(error, TT_ERR_MEMORY, "%s has no memory for one more object", store->where)
                         : tt_fail(error, TT_ERR_DUPLICATE, "%s has an object %" PRIu64 " already; nothing was overwritten",
                                   store->where, id);
  }
  made->id = id;
  made->owner = owner;
  /* What others made is theirs alone; what this worker registers says its own policy. */
  made->policy = owner != NULL ? TT_POLICY_CLOSED : TT_POLICY_OPEN;
  *object = made;
  return TT_OK;
}

tt_status tt_store_add(tt_object_store *store, uint64_t id, tt_node *head, struct tt_peer *owner, tt_object **object,
                       tt_error *error) {
  tt_tensor *tensor = tt_local_tensor(tt_node_tail(head));
  bool is_new = tensor != NULL && tensor->storage->n_holds == 0;
  TT_TRY(tt_store_check_room(store, is_new ? tensor->storage->n_bytes : 0, error));
  tt_object *made;
  TT_TRY(add(store, id, owner, &made, error));
  made->head = tt_node_ref(head);
  count(store, made);
  if (owner == NULL && !tt_id_map_put(&store->by_head, (uint64_t)(uintptr_t)head, made)) {
    tt_store_remove(store, made);
    return tt_fail(error, TT_ERR_MEMORY, "%s has no memory for one more object", store->where);
  }
  if (object != NULL) *object = made;
  return TT_OK;
}

tt_status tt_store_reserve(tt_object_store *store, uint64_t id, struct tt_peer *owner, tt_object **object, tt_error *error) {
  TT_TRY(tt_store_check_room(store, 0, error));
  return add(store, id, owner, object, error);
}

void tt_store_fill(tt_object_store *store, tt_object *object, tt_node *head) {
  object->head = tt_node_ref(head);
  count(store, object);
}

tt_status tt_store_poison(tt_object_store *store, uint64_t id, tt_failure *failure, struct tt_peer *owner, tt_error *error) {
  tt_object *object = tt_id_map_get(&store->objects, id);
  if (object != NULL && object->owner != owner) {
    return tt_fail(error, TT_ERR_DUPLICATE, "%s has an object %" PRIu64 " already; nothing was overwritten", store->where, id);
  }
  if (object == NULL) {
    TT_TRY(tt_store_check_room(store, 0, error));
    TT_TRY(add(store, id, owner, &object, error));
  }
  tt_failure_ref(failure); /* it may be the one that is there */
  tt_failure_unref(object->failure);
  object->failure = failure;
  return TT_OK;
}

void tt_store_remove(tt_object_store *store, tt_object *object) {
  tt_id_map_remove(&store->objects, object->id);
  if (object->owner == NULL && object->head != NULL) tt_id_map_remove(&store->by_head, (uint64_t)(uintptr_t)object->head);
  uncount(store, object);
  tt_node_unref(object->head);
  tt_failure_unref(object->failure);
  tt_metadata_release(&object->metadata);
  tt_free_object(object, sizeof *object);
}
