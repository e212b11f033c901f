#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "worker/internal.h"

tt_status tt_worker_whoami(tt_worker *worker, tt_control *answer, tt_error *error) {
  *answer = (tt_control){.form = TT_CONTROL_ANSWER, .has_whoami = true};
  answer->id = tt_strdup(worker->id);
  answer->kind = tt_strdup(worker->kind);
  answer->software = tt_strdup(tt_software());
  answer->n_objects = worker->store.objects.n_entries;
  answer->n_bytes = worker->store.ledger->n_bytes;
  if (answer->id != NULL && answer->kind != NULL && answer->software != NULL) return TT_OK;
  tt_control_release(answer);
  return tt_fail(error, TT_ERR_MEMORY, "%s: no memory for an answer", worker->id);
}

static bool holds_term(const tt_object *object, const char *term) {
  char id[24];
  snprintf(id, sizeof id, "%" PRIu64, object->id);
  if (strstr(id, term) != NULL) return true;
  for (size_t i = 0; i < object->metadata.n_tags; i++) {
    if (strstr(object->metadata.tags[i], term) != NULL) return true;
  }
  return object->metadata.description != NULL && strstr(object->metadata.description, term) != NULL;
}

static bool holds_all(const tt_object *object, const char *const *terms, size_t n_terms) {
  for (size_t i = 0; i < n_terms; i++) {
    if (!holds_term(object, terms[i])) return false;
  }
  return true;
}

/* The most that an object takes in an answer: text grows when it is escaped. */
static size_t listed_bytes(const tt_listed *listed) {
  enum { FIELDS_BYTES = 400, ESCAPED_BYTES = 6 };
  size_t n_bytes = listed->metadata.description == NULL ? 0 : strlen(listed->metadata.description);
  for (size_t i = 0; i < listed->metadata.n_tags; i++) n_bytes += strlen(listed->metadata.tags[i]) + 1;
  return FIELDS_BYTES + ESCAPED_BYTES * n_bytes;
}

static tt_status list_object(tt_worker *worker, const tt_object *object, tt_listed *listed, tt_error *error) {
  listed->id = object->id;
  listed->meta = *tt_node_meta(object->head);
  listed->owner = tt_strdup(object->owner == NULL ? worker->id : object->owner->id);
  if (listed->owner == NULL) return tt_fail(error, TT_ERR_MEMORY, "%s: no memory for a listing", worker->id);
  TT_TRY(tt_metadata_copy(&listed->metadata, &object->metadata, error));
  listed->metadata.has_policy = true;
  listed->metadata.policy = object->is_withheld ? TT_POLICY_COMPUTE : object->policy;
  const tt_node *tail = tt_node_tail(object->head);
  if (!tt_node_is_pointer(tail)) return TT_OK;
  listed->metadata.location = tt_strdup(tt_pointer_location(tail)->id);
  listed->metadata.location_id = tt_pointer_id(tail);
  return listed->metadata.location != NULL ? TT_OK : tt_fail(error, TT_ERR_MEMORY, "%s: no memory for a listing", worker->id);
}

tt_status tt_worker_search_for(tt_worker *worker, const tt_peer *asker, const char *const *terms, size_t n_terms,
                               tt_control *answer, tt_error *error) {
  *answer = (tt_control){.form = TT_CONTROL_ANSWER, .has_objects = true};
  size_t n_all = worker->store.objects.n_entries;
  size_t capacity = n_all < TT_MAX_LISTED ? n_all : TT_MAX_LISTED;
  answer->objects = tt_alloc(capacity + 1, sizeof *answer->objects);
  if (answer->objects == NULL) return tt_fail(error, TT_ERR_MEMORY, "%s: no memory for a listing", worker->id);
  size_t cursor = 0, n_bytes = 0;
  for (tt_object *object; answer->n_listed < capacity && n_bytes < TT_MAX_ANSWER_BYTES / 4 * 3 &&
                          (object = tt_store_next(&worker->store, &cursor)) != NULL;) {
    tt_object *seen;
    if (object->head == NULL || !holds_all(object, terms, n_terms)) continue;
    if (tt_store_read(&worker->store, object->id, asker, TT_ACCESS_SEE, &seen, NULL) != TT_OK) continue;
    tt_listed *listed = &answer->objects[answer->n_listed++];
    tt_status status = list_object(worker, object, listed, error);
    if (status != TT_OK) {
      tt_control_release(answer);
      return status;
    }
    n_bytes += listed_bytes(listed);
  }
  return TT_OK;
}

tt_status tt_worker_search(tt_worker *worker, const char *const *terms, size_t n_terms, tt_control *answer, tt_error *error) {
  return tt_worker_search_for(worker, NULL, terms, n_terms, answer, error);
}
