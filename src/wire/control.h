/*
 * control: the JSON of the protocol: HELLO, queries, answers, failures, metadata.
 *
 * Everything is read into the plain structs below and written from them. Text is copied into the structs; *_release frees it, and may be called again.
 * Readers: JSON that is deeper than 16 levels, longer than its object or not of the expected form is TT_ERR_PROTOCOL; TT_ERR_MEMORY.
 * Writers append; TT_ERR_ARGUMENT for what the protocol has no room for; TT_ERR_MEMORY, and then the buffer is `failed`. Either way it ends
 * where it ended before.
 */
#ifndef TT_WIRE_CONTROL_H
#define TT_WIRE_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "tensor/shape.h"

enum { TT_MAX_JSON_DEPTH = 16, TT_MAX_OP_NAMES = 4096 };

/* "tabtensor 0.1.0": what HELLO and whoami call `software`. */
const char *tt_software(void);

typedef struct tt_hello {
  unsigned protocol;
  char *id; /* all strings here are owned by the struct */
  char *kind;
  char *software;
  uint64_t ops_digest;
  char **op_names; /* op number i+1 */
  size_t n_op_names;
} tt_hello;

/* With this build's table: tt_ops_init has been called. */
tt_status tt_hello_write(tt_buffer *json, const char *id, const char *kind, tt_error *error);
tt_status tt_hello_read(const uint8_t *json, size_t n_bytes, tt_hello *hello, tt_error *error);
void tt_hello_release(tt_hello *hello);

/* PROTOCOL.md's ERROR, anywhere it stands. Fixed-size fields: an error must be reportable when memory is short. What a peer
 * wrote longer is cut, `shapes` between two shapes. */
typedef struct tt_wire_error {
  tt_error error;
  char worker[65];
  char op[48];      /* "" when no op was involved */
  int64_t command;  /* -1 when not in a run */
  char shapes[256]; /* "[2, 3] [4]"; "" when none: an array of strings on the wire */
  uint64_t failure; /* 0 when it poisons nothing */
} tt_wire_error;

/* What the store tells about an object beside its data. */
typedef enum tt_policy { TT_POLICY_OPEN, TT_POLICY_COMPUTE, TT_POLICY_CLOSED } tt_policy;
const char *tt_policy_name(tt_policy policy);
bool tt_policy_from_name(const char *name, tt_policy *policy);

enum {
  TT_MAX_TAGS = 32,
  TT_MAX_TAG_BYTES = 128,
  TT_MAX_CHAIN_KINDS = 64,
  TT_MAX_KIND_BYTES = 63,
  TT_MAX_DESCRIPTION_BYTES = 4096
}; /* also PROTOCOL.md's; terms are limited as tags */

/* NULL stands for "not said", which in a configure query leaves what is there; no tags and "" are said. */
typedef struct tt_metadata {
  char **tags; /* owned, as are its items; may be there with n_tags 0 */
  size_t n_tags;
  char *description; /* owned; NULL when none */
  bool has_policy;
  tt_policy policy;
  char *location; /* owned; DATA of form 1 and listed pointers: the worker that has it, and its id there */
  uint64_t location_id;
  char *promised_by; /* owned; DATA that fulfils a promise: whose */
  char **chain;      /* owned, as are its items; DATA: the names of the kinds that stand above the tensor, the highest first */
  size_t n_chain;
} tt_metadata;

void tt_metadata_release(tt_metadata *metadata);
/* Forgets the chain: what has been built by it knows it better. */
void tt_metadata_release_chain(tt_metadata *metadata);
/* A deep copy; what `to` held is neither read nor released. Errors: TT_ERR_MEMORY. */
tt_status tt_metadata_copy(tt_metadata *to, const tt_metadata *from, tt_error *error);
/* Whether a first DATA frame may leave it out: no tags, no description, no policy, no location, no promise, no chain. */
bool tt_metadata_is_empty(const tt_metadata *metadata);
tt_status tt_metadata_write(tt_buffer *json, const tt_metadata *metadata, tt_error *error);
/* No bytes at all are empty metadata. */
tt_status tt_metadata_read(const uint8_t *json, size_t n_bytes, tt_metadata *metadata, tt_error *error);

/* One line of a listing. */
typedef struct tt_listed {
  uint64_t id;
  tt_meta meta;
  char *owner;
  tt_metadata metadata; /* with policy; location and location_id are there when it is a pointer */
} tt_listed;

typedef enum tt_query {
  TT_QUERY_WHOAMI,
  TT_QUERY_LIST,
  TT_QUERY_SEARCH,
  TT_QUERY_SHAPE,
  TT_QUERY_PRINT,
  TT_QUERY_CONFIGURE,
} tt_query;

typedef enum tt_control_form {
  TT_CONTROL_QUERY,
  TT_CONTROL_ANSWER,
  TT_CONTROL_ERROR,
  TT_CONTROL_FAILURE,
  TT_CONTROL_BROKEN
} tt_control_form;

/* One CONTROL message; which fields are used follows from the form and the query. Release whatever the form. */
typedef struct tt_control {
  tt_control_form form;
  uint64_t request; /* QUERY, ANSWER, ERROR */
  tt_query query;   /* QUERY */
  uint64_t object;  /* QUERY: shape, print, configure; BROKEN */
  char **terms;     /* QUERY: search */
  size_t n_terms;
  tt_metadata metadata; /* QUERY: configure; BROKEN: promised_by */
  tt_wire_error error;  /* ERROR, FAILURE, BROKEN */
  uint64_t *results;    /* FAILURE */
  size_t n_results;
  /* ANSWER: which of these are there depends on the query it answers. */
  bool has_whoami;
  char *id, *kind, *software;
  uint64_t n_objects, n_bytes;
  bool has_meta;
  tt_meta meta;
  char *text;
  bool has_objects;
  tt_listed *objects;
  size_t n_listed;
  bool has_more; /* this is one part of the answer and not the last */
} tt_control;

const char *tt_query_name(tt_query query); /* "list" */

void tt_control_release(tt_control *control);
tt_status tt_control_write(tt_buffer *json, const tt_control *control, tt_error *error);
tt_status tt_control_read(const uint8_t *json, size_t n_bytes, tt_control *control, tt_error *error);

/*
 * An answer whose listing or text is too long for one message goes in parts. Writes what comes behind *position (all zero at first), in at most
 * max_bytes (65,536 or more), and moves the position; *is_last tells when there is no more. Other messages are always one part.
 */
typedef struct tt_control_position {
  size_t object;
  size_t text_byte;
} tt_control_position;
tt_status tt_control_write_part(tt_buffer *json, const tt_control *control, size_t max_bytes, tt_control_position *position,
                                bool *is_last, tt_error *error);

/* Moves the listing and the text of `part` behind those of `whole`, an earlier part of the same answer; `part` loses them and is still to be
 * released. Takes over has_more. Errors: TT_ERR_MEMORY, and both are as they were. */
tt_status tt_control_join(tt_control *whole, tt_control *part, tt_error *error);

#endif
