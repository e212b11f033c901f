/*
 * object_store: id -> object, and the one place where it is decided who may do what with it.
 *
 * An object is a chain (its head), who owns it (NULL: the worker itself, else the peer whose command or send made it), its policy and what its owner said of it. A
 * failed command leaves a *poisoned* object: no head, but the failure that every use of it reports. A *promised* one has neither yet.
 *
 * tt_store_read is the only way in for others: it applies the policies of PROTOCOL.md, "Who owns what". Bytes are counted once per storage,
 * however many views of it the store holds.
 */
#ifndef TT_WORKER_OBJECT_STORE_H
#define TT_WORKER_OBJECT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "base/status.h"
#include "chain/node.h"
#include "wire/control.h"

struct tt_peer;
struct tt_promise;

/* Why a command had no result; shared by all that it poisoned. */
typedef struct tt_failure {
  int refs;
  bool is_reported; /* to whoever sent the command */
  tt_wire_error error;
} tt_failure;

tt_failure *tt_failure_new(const tt_wire_error *error); /* NULL when there is no memory */
tt_failure *tt_failure_ref(tt_failure *failure);
void tt_failure_unref(tt_failure *failure);

typedef struct tt_object {
  uint64_t id;
  tt_node *head;         /* one reference; NULL when poisoned before it was made */
  struct tt_peer *owner; /* NULL: this worker */
  tt_failure *failure;   /* one reference; NULL when sound */
  tt_metadata metadata;
  tt_storage *held; /* what is counted for it; one reference, NULL for pointers and poison */
  tt_policy policy;
  struct tt_promise *promise; /* it has not come yet; NULL when it has, or will not. See promise.c */
  bool is_hidden;             /* promised and freed before it came, or come before it was promised: nobody sees it */
  bool is_withheld;           /* made from data that must not leave: nobody but this worker fetches it, whoever owns it */
} tt_object;

typedef struct tt_object_store {
  tt_id_map objects;         /* id -> tt_object */
  tt_id_map by_head;         /* address of a head registered by this worker itself -> tt_object */
  tt_ledger *ledger;         /* bytes of objects, and of what is saved for their gradients; one reference */
  uint64_t n_reserved_bytes; /* for what is on its way in */
  uint64_t max_bytes;
  size_t max_objects;
  const char *where; /* the worker's id, for errors; borrowed */
} tt_object_store;

typedef enum tt_access {
  TT_ACCESS_SEE,     /* list it, its shape */
  TT_ACCESS_OPERATE, /* as an operand */
  TT_ACCESS_FETCH,   /* a copy of the data, its text */
  TT_ACCESS_OWN,     /* change, take, free, configure */
} tt_access;

tt_status tt_store_init(tt_object_store *store, const char *where, uint64_t max_bytes, size_t max_objects,
                        tt_error *error); /* TT_ERR_MEMORY; the store may be released all the same */
void tt_store_release(tt_object_store *store);

/*
 * The object, if `asker` (NULL: this worker) may. Errors: TT_ERR_UNKNOWN_OBJECT (also for what the asker may not see), TT_ERR_POLICY. A poisoned object is answered as well: look at failure.
 */
tt_status tt_store_read(const tt_object_store *store, uint64_t id, const struct tt_peer *asker, tt_access access,
                        tt_object **object, tt_error *error);
tt_object *tt_store_find(const tt_object_store *store, uint64_t id); /* no questions asked; NULL when there is none */

/* Bytes that are left; 0 too when more came home to registered heads than the ceiling. */
uint64_t tt_store_room(const tt_object_store *store);
/* Whether `n_bytes` more would fit. Errors: TT_ERR_FULL, saying how full it is. */
tt_status tt_store_check_room(const tt_object_store *store, uint64_t n_bytes, tt_error *error);

/* The same for bytes alone: the object is there already. */
tt_status tt_store_check_bytes(const tt_object_store *store, uint64_t n_bytes, tt_error *error);

/* Adds a head (one more reference). Errors: TT_ERR_DUPLICATE, TT_ERR_FULL, TT_ERR_MEMORY, TT_ERR_ARGUMENT (id 0). */
tt_status tt_store_add(tt_object_store *store, uint64_t id, tt_node *head, struct tt_peer *owner, tt_object **object,
                       tt_error *error);
/* Adds an object that has neither head nor failure yet, and gives it its head (one more reference); errors as above. */
tt_status tt_store_reserve(tt_object_store *store, uint64_t id, struct tt_peer *owner, tt_object **object, tt_error *error);
void tt_store_fill(tt_object_store *store, tt_object *object, tt_node *head);
/* Adds a poisoned object (one more reference to the failure), or poisons the one that is there if the owner is the same. */
tt_status tt_store_poison(tt_object_store *store, uint64_t id, tt_failure *failure, struct tt_peer *owner, tt_error *error);
void tt_store_remove(tt_object_store *store, tt_object *object);
/* Nobody else fetches it from now on, nor any other view of its memory, nor what gradients are made from it. */
void tt_store_withhold(tt_object_store *store, tt_object *object);
void tt_store_withhold_storage(tt_object_store *store, const tt_storage *held); /* all that have this memory */
/* Counts an object's bytes anew: its head's tail has changed. */
void tt_store_recount(tt_object_store *store, tt_object *object);
tt_object *tt_store_next(const tt_object_store *store, size_t *cursor);

#endif
