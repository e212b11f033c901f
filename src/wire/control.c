#include "wire/control.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "wire/control_rows.h"
#include "wire/json.h"
#include "wire/prelude.h"

/* Numbers beyond this are not whole in a double, which is what JSON's readers make of them. */
static const double max_whole = 9007199254740992.0;

const char *tt_software(void) { return "tabtensor " TT_VERSION; }

/* ---- releasing and copying ---- */

static void free_texts(char **texts, size_t n) {
  if (texts == NULL) return;
  for (size_t i = 0; i < n; i++) tt_free(texts[i]);
  tt_free(texts);
}

void tt_hello_release(tt_hello *hello) {
  tt_free(hello->id);
  tt_free(hello->kind);
  tt_free(hello->software);
  free_texts(hello->op_names, hello->n_op_names);
  *hello = (tt_hello){.id = NULL};
}

void tt_metadata_release(tt_metadata *metadata) {
  free_texts(metadata->tags, metadata->n_tags);
  tt_free(metadata->description);
  tt_free(metadata->location);
  tt_free(metadata->promised_by);
  free_texts(metadata->chain, metadata->n_chain);
  *metadata = (tt_metadata){.tags = NULL};
}

void tt_metadata_release_chain(tt_metadata *metadata) {
  free_texts(metadata->chain, metadata->n_chain);
  metadata->chain = NULL;
  metadata->n_chain = 0;
}

static bool copy_text(char **to, const char *from) {
  if (from == NULL) return true;
  *to = tt_strdup(from);
  return *to != NULL;
}

static bool copy_texts(char ***to, size_t *n_to, char *const *from, size_t n_from) {
  if (from == NULL) return true;
  *to = tt_alloc(n_from, sizeof **to);
  if (*to == NULL) return false;
  for (; *n_to < n_from; ++*n_to) {
    if (!copy_text(&(*to)[*n_to], from[*n_to])) return false;
  }
  return true;
}

tt_status tt_metadata_copy(tt_metadata *to, const tt_metadata *from, tt_error *error) {
  tt_metadata copy = {.has_policy = from->has_policy, .policy = from->policy, .location_id = from->location_id};
  if (!copy_texts(&copy.tags, &copy.n_tags, from->tags, from->n_tags) ||
      !copy_texts(&copy.chain, &copy.n_chain, from->chain, from->n_chain) || !copy_text(&copy.description, from->description) ||
      !copy_text(&copy.location, from->location) || !copy_text(&copy.promised_by, from->promised_by)) {
    tt_metadata_release(&copy);
    return tt_fail(error, TT_ERR_MEMORY, "no memory for the metadata of an object with %zu tags", from->n_tags);
  }
  *to = copy;
  return TT_OK;
}

bool tt_metadata_is_empty(const tt_metadata *metadata) {
  return metadata->n_tags == 0 && metadata->description == NULL && !metadata->has_policy && metadata->location == NULL &&
         metadata->promised_by == NULL && metadata->n_chain == 0;
}

static void release_listed(tt_listed *listed) {
  tt_free(listed->owner);
  tt_metadata_release(&listed->metadata);
}

void tt_control_release(tt_control *control) {
  free_texts(control->terms, control->n_terms);
  tt_metadata_release(&control->metadata);
  tt_free(control->results);
  tt_free(control->id);
  tt_free(control->kind);
  tt_free(control->software);
  tt_free(control->text);
  for (size_t i = 0; i < control->n_listed; i++) release_listed(&control->objects[i]);
  tt_free(control->objects);
  *control = (tt_control){.terms = NULL};
}

/* ---- names ---- */

static const char *const policy_names[] = {
    [TT_POLICY_OPEN] = "open", [TT_POLICY_COMPUTE] = "compute", [TT_POLICY_CLOSED] = "closed"};

enum { N_POLICIES = sizeof policy_names / sizeof *policy_names };

const char *tt_policy_name(tt_policy policy) { return policy_names[policy]; }

bool tt_policy_from_name(const char *name, tt_policy *policy) {
  for (int i = 0; i < N_POLICIES; i++) {
    if (strcmp(policy_names[i], name) == 0) {
      *policy = (tt_policy)i;
      return true;
    }
  }
  return false;
}

const tt_query_row tt_query_rows[TT_N_QUERIES] = {
    [TT_QUERY_WHOAMI] = {.name = "whoami"},
    [TT_QUERY_LIST] = {.name = "list"},
    [TT_QUERY_SEARCH] = {.name = "search", .has_terms = true},
    [TT_QUERY_SHAPE] = {.name = "shape", .has_object = true},
    [TT_QUERY_PRINT] = {.name = "print", .has_object = true},
    [TT_QUERY_CONFIGURE] = {.name = "configure", .has_object = true, .has_metadata = true},
};

const char *tt_query_name(tt_query query) { return tt_query_rows[query].name; }

/* ---- reading ---- */

static const cJSON *field(const cJSON *object, const char *name) { return cJSON_GetObjectItemCaseSensitive(object, name); }

static tt_status fail_field(tt_error *error, const char *name, const cJSON *item, const char *wanted) {
  if (item == NULL) return tt_fail(error, TT_ERR_PROTOCOL, "the field \"%s\" is missing", name);
  return tt_fail(error, TT_ERR_PROTOCOL, "the field \"%s\" is not %s", name, wanted);
}

static tt_status fail_memory(tt_error *error, const char *name) {
  return tt_fail(error, TT_ERR_MEMORY, "no memory for the field \"%s\"", name);
}

/* Each read_* takes the field `name` of `object`. Those that allocate leave what a release of the struct around them frees. */

static tt_status read_text(const cJSON *object, const char *name, char **text, tt_error *error) {
  const cJSON *item = field(object, name);
  if (!cJSON_IsString(item)) return fail_field(error, name, item, "a string");
  *text = tt_strdup(item->valuestring);
  return *text == NULL ? fail_memory(error, name) : TT_OK;
}

static tt_status read_worker_id(const cJSON *object, const char *name, char **text, tt_error *error) {
  const cJSON *item = field(object, name);
  if (!cJSON_IsString(item)) return fail_field(error, name, item, "a string");
  if (tt_worker_id_check(tt_name_of(item->valuestring), error) != TT_OK) {
    if (error != NULL) error->status = TT_ERR_PROTOCOL;
    tt_error_prefix(error, "the field \"%s\"", name);
    return TT_ERR_PROTOCOL;
  }
  return read_text(object, name, text, error);
}

/* A decimal number that no other text means: no sign, no leading zero, not 0. */
static bool parse_id(const cJSON *item, uint64_t *id) {
  if (!cJSON_IsString(item)) return false;
  const char *digit = item->valuestring;
  if (*digit < '1' || *digit > '9') return false;
  uint64_t value = 0;
  for (; *digit != 0; digit++) {
    if (*digit < '0' || *digit > '9') return false;
    const uint64_t units = (uint64_t)(*digit - '0');
    if (value > (UINT64_MAX - units) / 10) return false;
    value = value * 10 + units;
  }
  *id = value;
  return true;
}

static tt_status read_id(const cJSON *object, const char *name, uint64_t *id, tt_error *error) {
  const cJSON *item = field(object, name);
  return parse_id(item, id) ? TT_OK : fail_field(error, name, item, "an id: a string of decimal digits");
}

static bool parse_whole(const cJSON *item, uint64_t *whole) {
  if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= max_whole)) return false;
  const uint64_t value = (uint64_t)item->valuedouble;
  if ((double)value != item->valuedouble) return false;
  *whole = value;
  return true;
}

static tt_status read_whole(const cJSON *object, const char *name, uint64_t *whole, tt_error *error) {
  const cJSON *item = field(object, name);
  return parse_whole(item, whole) ? TT_OK : fail_field(error, name, item, "a whole number from 0 to 2^53");
}

static tt_status read_digest(const cJSON *object, const char *name, uint64_t *digest, tt_error *error) {
  const cJSON *item = field(object, name);
  const char *wanted = "16 lower-case hexadecimal digits";
  if (!cJSON_IsString(item) || strlen(item->valuestring) != 16) return fail_field(error, name, item, wanted);
  uint64_t value = 0;
  for (const char *digit = item->valuestring; *digit != 0; digit++) {
    const char *digits = "0123456789abcdef";
    const char *found = strchr(digits, *digit);
    if (found == NULL) return fail_field(error, name, item, wanted);
    value = value << 4 | (uint64_t)(found - digits);
  }
  *digest = value;
  return TT_OK;
}

static tt_status read_texts(const cJSON *object, const char *name, size_t max_texts, size_t max_bytes, char ***texts,
                            size_t *n_texts, tt_error *error) {
  const cJSON *list = field(object, name);
  if (!cJSON_IsArray(list)) return fail_field(error, name, list, "an array of strings");
  const size_t n = (size_t)cJSON_GetArraySize(list);
  if (n > max_texts) {
    return tt_fail(error, TT_ERR_PROTOCOL, "the field \"%s\" has %zu strings; at most %zu are allowed", name, n, max_texts);
  }
  char **copies = tt_alloc(n, sizeof *copies);
  if (copies == NULL) return fail_memory(error, name);
  size_t n_copies = 0;
  tt_status status = TT_OK;
  const cJSON *item;
  cJSON_ArrayForEach(item, list) {
    if (!cJSON_IsString(item)) {
      status = fail_field(error, name, list, "an array of strings");
    } else if (strlen(item->valuestring) > max_bytes) {
      status = tt_fail(error, TT_ERR_PROTOCOL, "the field \"%s\" has a string of %zu bytes; at most %zu are allowed", name,
                       strlen(item->valuestring), max_bytes);
    } else if ((copies[n_copies] = tt_strdup(item->valuestring)) == NULL) {
      status = fail_memory(error, name);
    } else {
      n_copies++;
    }
    if (status != TT_OK) {
      free_texts(copies, n_copies);
      return status;
    }
  }
  *texts = copies;
  *n_texts = n_copies;
  return TT_OK;
}

static tt_status read_meta(const cJSON *object, tt_meta *meta, tt_error *error) {
  const cJSON *dtype = field(object, "dtype"), *shape = field(object, "shape");
  tt_meta read;
  if (!cJSON_IsString(dtype) || !tt_dtype_from_name(dtype->valuestring, &read.dtype)) {
    return fail_field(error, "dtype", dtype, "the name of a dtype");
  }
  if (cJSON_IsNull(shape)) {
    read.shape = (tt_shape){.n_dims = TT_DIMS_UNKNOWN};
    *meta = read;
    return TT_OK;
  }
  if (!cJSON_IsArray(shape)) return fail_field(error, "shape", shape, "an array of dimensions, or null");
  int64_t dims[TT_MAX_DIMS];
  size_t n_dims = 0;
  const cJSON *item;
  cJSON_ArrayForEach(item, shape) {
    uint64_t dim;
    if (n_dims == TT_MAX_DIMS || !parse_whole(item, &dim))
      return fail_field(error, "shape", shape, "an array of at most 8 dimensions");
    dims[n_dims++] = (int64_t)dim;
  }
  if (tt_shape_make(dims, n_dims, &read.shape, error) != TT_OK) {
    if (error != NULL) error->status = TT_ERR_PROTOCOL;
    tt_error_prefix(error, "the field \"shape\"");
    return TT_ERR_PROTOCOL;
  }
  *meta = read;
  return TT_OK;
}

static tt_status read_policy(const cJSON *object, tt_metadata *metadata, tt_error *error) {
  const cJSON *item = field(object, "policy");
  if (!cJSON_IsString(item) || !tt_policy_from_name(item->valuestring, &metadata->policy)) {
    return fail_field(error, "policy", item, "\"open\", \"compute\" or \"closed\"");
  }
  metadata->has_policy = true;
  return TT_OK;
}

static tt_status read_description(const cJSON *object, tt_metadata *metadata, tt_error *error) {
  const cJSON *item = field(object, "description");
  if (cJSON_IsString(item) && strlen(item->valuestring) > TT_MAX_DESCRIPTION_BYTES) {
    return tt_fail(error, TT_ERR_PROTOCOL, "the field \"description\" has %zu bytes; at most %d are allowed",
                   strlen(item->valuestring), TT_MAX_DESCRIPTION_BYTES);
  }
  return read_text(object, "description", &metadata->description, error);
}

/* The fields of metadata, any of which may be missing. */
static tt_status read_metadata(const cJSON *object, tt_metadata *metadata, tt_error *error) {
  if (field(object, "tags") != NULL) {
    TT_TRY(read_texts(object, "tags", TT_MAX_TAGS, TT_MAX_TAG_BYTES, &metadata->tags, &metadata->n_tags, error));
  }
  if (field(object, "description") != NULL) TT_TRY(read_description(object, metadata, error));
  if (field(object, "policy") != NULL) TT_TRY(read_policy(object, metadata, error));
  if (field(object, "promised_by") != NULL) TT_TRY(read_worker_id(object, "promised_by", &metadata->promised_by, error));
  if (field(object, "chain") != NULL) {
    TT_TRY(read_texts(object, "chain", TT_MAX_CHAIN_KINDS, TT_MAX_KIND_BYTES, &metadata->chain, &metadata->n_chain, error));
  }
  if (field(object, "location") == NULL) return TT_OK;
  TT_TRY(read_worker_id(object, "location", &metadata->location, error));
  return read_id(object, "location_id", &metadata->location_id, error);
}

/* ["[2, 3]","[4]"] as "[2, 3] [4]". */
static tt_status read_shapes(const cJSON *object, char *shapes, size_t room, tt_error *error) {
  const cJSON *list = field(object, "shapes");
  const char *wanted = "an array of shapes such as \"[2, 3]\"";
  if (!cJSON_IsArray(list)) return fail_field(error, "shapes", list, wanted);
  size_t used = 0;
  bool is_full = false;
  const cJSON *item;
  cJSON_ArrayForEach(item, list) {
    if (!cJSON_IsString(item)) return fail_field(error, "shapes", list, wanted);
    const char *shape = item->valuestring;
    const size_t n_bytes = strlen(shape);
    if (n_bytes < 2 || shape[0] != '[' || strchr(shape, ']') != shape + n_bytes - 1)
      return fail_field(error, "shapes", list, wanted);
    const size_t space = used == 0 ? 0 : 1;
    is_full = is_full || used + space + n_bytes >= room;
    if (is_full) continue;
    if (space != 0) shapes[used] = ' ';
    memcpy(shapes + used + space, shape, n_bytes);
    used += space + n_bytes;
    shapes[used] = 0;
  }
  return TT_OK;
}

/* A string into an array of `room` bytes; what is too long is cut between two characters. */
static tt_status read_short_text(const cJSON *object, const char *name, char *text, size_t room, tt_error *error) {
  const cJSON *item = field(object, name);
  if (!cJSON_IsString(item)) return fail_field(error, name, item, "a string");
  size_t n_bytes = strlen(item->valuestring);
  if (n_bytes >= room) {
    n_bytes = tt_utf8_cut(item->valuestring, room - 1);
  }
  memcpy(text, item->valuestring, n_bytes);
  text[n_bytes] = 0;
  return TT_OK;
}

static tt_status read_code(const cJSON *object, tt_status *status, tt_error *error) {
  const cJSON *item = field(object, "code");
  if (!cJSON_IsString(item)) return fail_field(error, "code", item, "the name of a status");
  const tt_status code = tt_status_from_name(item->valuestring);
  /* A name that is none is answered as `protocol`. */
  if (code == TT_OK || strcmp(tt_status_name(code), item->valuestring) != 0) {
    return fail_field(error, "code", item, "the name of an error's status");
  }
  *status = code;
  return TT_OK;
}

static tt_status read_error(const cJSON *object, const char *name, tt_wire_error *read, tt_error *error) {
  const cJSON *item = field(object, name);
  if (!cJSON_IsObject(item)) return fail_field(error, name, item, "an object");
  read->command = -1;
  TT_TRY(read_code(item, &read->error.status, error));
  TT_TRY(read_short_text(item, "message", read->error.message, sizeof read->error.message, error));
  if (field(item, "worker") != NULL) {
    char *worker = NULL;
    TT_TRY(read_worker_id(item, "worker", &worker, error));
    memcpy(read->worker, worker, strlen(worker) + 1);
    tt_free(worker);
  }
  if (field(item, "op") != NULL) TT_TRY(read_short_text(item, "op", read->op, sizeof read->op, error));
  if (field(item, "command") != NULL) {
    uint64_t command;
    TT_TRY(read_whole(item, "command", &command, error));
    read->command = (int64_t)command;
  }
  if (field(item, "shapes") != NULL) TT_TRY(read_shapes(item, read->shapes, sizeof read->shapes, error));
  if (field(item, "failure") != NULL) TT_TRY(read_id(item, "failure", &read->failure, error));
  return TT_OK;
}

static tt_status read_listing(const cJSON *list, tt_control *control, tt_error *error) {
  const size_t n = (size_t)cJSON_GetArraySize(list);
  control->objects = tt_alloc(n, sizeof *control->objects);
  if (control->objects == NULL) return fail_memory(error, "objects");
  control->has_objects = true;
  const cJSON *item;
  cJSON_ArrayForEach(item, list) {
    if (!cJSON_IsObject(item)) return fail_field(error, "objects", list, "an array of objects");
    tt_listed *listed = &control->objects[control->n_listed++];
    TT_TRY(read_id(item, "id", &listed->id, error));
    TT_TRY(read_meta(item, &listed->meta, error));
    TT_TRY(read_worker_id(item, "owner", &listed->owner, error));
    TT_TRY(read_metadata(item, &listed->metadata, error));
    if (!listed->metadata.has_policy) return fail_field(error, "policy", NULL, "");
  }
  return TT_OK;
}

static tt_status read_query(const cJSON *root, tt_control *control, tt_error *error) {
  const cJSON *name = field(root, "query");
  size_t query = 0;
  while (query < TT_N_QUERIES && !(cJSON_IsString(name) && strcmp(tt_query_rows[query].name, name->valuestring) == 0)) query++;
  if (query == TT_N_QUERIES) return fail_field(error, "query", name, "the name of a query");
  const tt_query_row *row = &tt_query_rows[query];
  control->form = TT_CONTROL_QUERY;
  control->query = (tt_query)query;
  TT_TRY(read_id(root, "request", &control->request, error));
  if (row->has_object) TT_TRY(read_id(root, "id", &control->object, error));
  if (row->has_terms)
    TT_TRY(read_texts(root, "terms", TT_MAX_TAGS, TT_MAX_TAG_BYTES, &control->terms, &control->n_terms, error));
  if (!row->has_metadata) return TT_OK;
  TT_TRY(read_metadata(root, &control->metadata, error));
  if (control->metadata.location == NULL) return TT_OK;
  return tt_fail(error, TT_ERR_PROTOCOL, "a query \"%s\" sets a location: an object moves by send", row->name);
}

static tt_status read_answer(const cJSON *root, tt_control *control, tt_error *error) {
  control->form = TT_CONTROL_ANSWER;
  TT_TRY(read_id(root, "reply", &control->request, error));
  const cJSON *objects = field(root, "objects"), *more = field(root, "more");
  if (field(root, "kind") != NULL) {
    TT_TRY(read_worker_id(root, "id", &control->id, error));
    TT_TRY(read_text(root, "kind", &control->kind, error));
    TT_TRY(read_text(root, "software", &control->software, error));
    TT_TRY(read_whole(root, "objects", &control->n_objects, error));
    TT_TRY(read_whole(root, "bytes", &control->n_bytes, error));
    control->has_whoami = true;
  } else if (objects != NULL) {
    if (!cJSON_IsArray(objects)) return fail_field(error, "objects", objects, "an array of objects");
    TT_TRY(read_listing(objects, control, error));
  }
  if (field(root, "dtype") != NULL) {
    TT_TRY(read_meta(root, &control->meta, error));
    control->has_meta = true;
  }
  if (field(root, "text") != NULL) TT_TRY(read_text(root, "text", &control->text, error));
  if (more != NULL && !cJSON_IsBool(more)) return fail_field(error, "more", more, "true or false");
  control->has_more = cJSON_IsTrue(more);
  return TT_OK;
}

static tt_status read_failure(const cJSON *root, tt_control *control, tt_error *error) {
  control->form = TT_CONTROL_FAILURE;
  TT_TRY(read_error(root, "failure", &control->error, error));
  const cJSON *list = field(root, "results");
  if (!cJSON_IsArray(list)) return fail_field(error, "results", list, "an array of ids");
  control->results = tt_alloc((size_t)cJSON_GetArraySize(list), sizeof *control->results);
  if (control->results == NULL) return fail_memory(error, "results");
  const cJSON *item;
  cJSON_ArrayForEach(item, list) {
    if (!parse_id(item, &control->results[control->n_results++])) return fail_field(error, "results", list, "an array of ids");
  }
  return TT_OK;
}

static tt_status read_control(const cJSON *root, tt_control *control, tt_error *error) {
  if (field(root, "query") != NULL) return read_query(root, control, error);
  if (field(root, "failure") != NULL) return read_failure(root, control, error);
  if (field(root, "broken") != NULL) {
    control->form = TT_CONTROL_BROKEN;
    TT_TRY(read_id(root, "broken", &control->object, error));
    TT_TRY(read_worker_id(root, "promised_by", &control->metadata.promised_by, error));
    return read_error(root, "error", &control->error, error);
  }
  if (field(root, "reply") == NULL) {
    return tt_fail(error, TT_ERR_PROTOCOL,
                   "it is no query, no answer, no failure and no broken promise: it has none of these fields");
  }
  if (field(root, "error") == NULL) return read_answer(root, control, error);
  control->form = TT_CONTROL_ERROR;
  TT_TRY(read_id(root, "reply", &control->request, error));
  return read_error(root, "error", &control->error, error);
}

static tt_status read_hello(const cJSON *root, tt_hello *hello, tt_error *error) {
  uint64_t protocol;
  TT_TRY(read_whole(root, "protocol", &protocol, error));
  if (protocol > UINT16_MAX) return fail_field(error, "protocol", root, "a version");
  hello->protocol = (unsigned)protocol;
  TT_TRY(read_worker_id(root, "id", &hello->id, error));
  TT_TRY(read_text(root, "kind", &hello->kind, error));
  TT_TRY(read_text(root, "software", &hello->software, error));
  const cJSON *ops = field(root, "ops");
  if (!cJSON_IsObject(ops)) return fail_field(error, "ops", ops, "an object");
  TT_TRY(read_digest(ops, "digest", &hello->ops_digest, error));
  return read_texts(ops, "names", TT_MAX_OP_NAMES, TT_MAX_TAG_BYTES, &hello->op_names, &hello->n_op_names, error);
}

/* Every reader fills a struct of its own, which the caller gets whole or not at all. */

tt_status tt_hello_read(const uint8_t *json, size_t n_bytes, tt_hello *hello, tt_error *error) {
  cJSON *root = NULL;
  tt_hello read = {.id = NULL};
  tt_status status = tt_json_parse(json, n_bytes, &root, error);
  if (status == TT_OK) status = read_hello(root, &read, error);
  cJSON_Delete(root);
  if (status != TT_OK) {
    tt_hello_release(&read);
    tt_error_prefix(error, "the JSON of a HELLO frame");
    return status;
  }
  *hello = read;
  return TT_OK;
}

tt_status tt_metadata_read(const uint8_t *json, size_t n_bytes, tt_metadata *metadata, tt_error *error) {
  cJSON *root = NULL;
  tt_metadata read = {.tags = NULL};
  tt_status status = n_bytes == 0 ? TT_OK : tt_json_parse(json, n_bytes, &root, error);
  if (status == TT_OK && root != NULL) status = read_metadata(root, &read, error);
  cJSON_Delete(root);
  if (status != TT_OK) {
    tt_metadata_release(&read);
    tt_error_prefix(error, "the metadata of a tensor");
    return status;
  }
  *metadata = read;
  return TT_OK;
}

tt_status tt_control_read(const uint8_t *json, size_t n_bytes, tt_control *control, tt_error *error) {
  cJSON *root = NULL;
  tt_control read = {.terms = NULL};
  tt_status status = tt_json_parse(json, n_bytes, &root, error);
  if (status == TT_OK) status = read_control(root, &read, error);
  cJSON_Delete(root);
  if (status != TT_OK) {
    tt_control_release(&read);
    tt_error_prefix(error, "the JSON of a CONTROL frame");
    return status;
  }
  *control = read;
  return TT_OK;
}

tt_status tt_control_join(tt_control *whole, tt_control *part, tt_error *error) {
  /* Both pieces of memory first, so that nothing is moved when one of them is not to be had. */
  if (part->n_listed != 0) {
    tt_listed *objects = tt_realloc(whole->objects, (whole->n_listed + part->n_listed) * sizeof *objects);
    if (objects == NULL)
      return tt_fail(error, TT_ERR_MEMORY, "no memory to join a listing of %zu objects", whole->n_listed + part->n_listed);
    whole->objects = objects;
  }
  const size_t whole_bytes = whole->text == NULL ? 0 : strlen(whole->text);
  if (part->text != NULL) {
    const size_t part_bytes = strlen(part->text);
    char *text = tt_realloc(whole->text, whole_bytes + part_bytes + 1);
    if (text == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory to join a text of %zu bytes", whole_bytes + part_bytes);
    memcpy(text + whole_bytes, part->text, part_bytes + 1);
    whole->text = text;
    tt_free(part->text);
    part->text = NULL;
  }
  if (part->n_listed != 0) {
    memcpy(whole->objects + whole->n_listed, part->objects, part->n_listed * sizeof *part->objects);
    whole->n_listed += part->n_listed;
    part->n_listed = 0;
  }
  whole->has_objects = whole->has_objects || part->has_objects;
  whole->has_more = part->has_more;
  return TT_OK;
}
