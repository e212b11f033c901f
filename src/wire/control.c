#include "wire/control.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "ops/op.h"
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
  *metadata = (tt_metadata){.tags = NULL};
}

static bool copy_text(char **to, const char *from) {
  if (from == NULL) return true;
  *to = tt_strdup(from);
  return *to != NULL;
}

static bool copy_tags(tt_metadata *to, const tt_metadata *from) {
  if (from->tags == NULL) return true;
  to->tags = tt_alloc(from->n_tags, sizeof *to->tags);
  if (to->tags == NULL) return false;
  for (; to->n_tags < from->n_tags; to->n_tags++) {
    if (!copy_text(&to->tags[to->n_tags], from->tags[to->n_tags])) return false;
  }
  return true;
}

tt_status tt_metadata_copy(tt_metadata *to, const tt_metadata *from, tt_error *error) {
  tt_metadata copy = {.has_policy = from->has_policy, .policy = from->policy, .location_id = from->location_id};
  if (!copy_tags(&copy, from) || !copy_text(&copy.description, from->description) ||
      !copy_text(&copy.location, from->location)) {
    tt_metadata_release(&copy);
    return tt_fail(error, TT_ERR_MEMORY, "no memory for the metadata of an object with %zu tags", from->n_tags);
  }
  *to = copy;
  return TT_OK;
}

bool tt_metadata_is_empty(const tt_metadata *metadata) {
  return metadata->n_tags == 0 && metadata->description == NULL && !metadata->has_policy && metadata->location == NULL;
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

/* What each query carries beside its request. */
typedef struct query_row {
  const char *name;
  bool has_object, has_terms, has_metadata;
} query_row;

static const query_row queries[] = {
    [TT_QUERY_WHOAMI] = {.name = "whoami"},
    [TT_QUERY_LIST] = {.name = "list"},
    [TT_QUERY_SEARCH] = {.name = "search", .has_terms = true},
    [TT_QUERY_SHAPE] = {.name = "shape", .has_object = true},
    [TT_QUERY_PRINT] = {.name = "print", .has_object = true},
    [TT_QUERY_CONFIGURE] = {.name = "configure", .has_object = true, .has_metadata = true},
};

enum { N_QUERIES = sizeof queries / sizeof *queries };

const char *tt_query_name(tt_query query) { return queries[query].name; }

/*
 * ---- writing ----
 *
 * Straight into the buffer, whose sticky `failed` is looked at once at the end; a tree of cJSON's would have to be asked at every node.
 */

typedef struct json_writer {
  tt_buffer *text;
  bool needs_comma;
} json_writer;

/* Text from inside may quote a peer's bytes: what is no UTF-8 becomes U+FFFD, so that a message always arrives. */
static void put_text(json_writer *writer, const char *text, size_t n_bytes) {
  tt_buffer *out = writer->text;
  tt_buffer_u8(out, '"');
  for (size_t i = 0; i < n_bytes;) {
    uint32_t point;
    const size_t length = tt_utf8_next(text + i, n_bytes - i, &point);
    if (length == 0) {
      tt_buffer_append(out, "\xef\xbf\xbd", 3);
      i++;
      continue;
    }
    const char *escapes = "\"\"\\\\\bb\ff\nn\rr\tt";
    const char *escape = point < 0x80 && point != 0 ? strchr(escapes, (int)point) : NULL;
    /* A letter behind an escaped character is not one itself. */
    if (escape != NULL && (escape - escapes) % 2 != 0) escape = NULL;
    if (escape != NULL) {
      tt_buffer_u8(out, '\\');
      tt_buffer_u8(out, (uint8_t)escape[1]);
    } else if (point < 0x20) {
      tt_buffer_printf(out, "\\u%04" PRIx32, point);
    } else {
      tt_buffer_append(out, text + i, length);
    }
    i += length;
  }
  tt_buffer_u8(out, '"');
}

/* How many bytes before a cut at `at` belong to a character that the cut would split. */
static size_t character_bytes_before(const char *text, size_t at) {
  size_t n_bytes = 0;
  while (n_bytes < 3 && n_bytes < at && ((uint8_t)text[at - n_bytes] & 0xc0) == 0x80) n_bytes++;
  return n_bytes;
}

static void begin_item(json_writer *writer) {
  if (writer->needs_comma) tt_buffer_u8(writer->text, ',');
  writer->needs_comma = true;
}

static void begin_field(json_writer *writer, const char *name) {
  begin_item(writer);
  tt_buffer_printf(writer->text, "\"%s\":", name);
}

static void open_bracket(json_writer *writer, char bracket) {
  tt_buffer_u8(writer->text, (uint8_t)bracket);
  writer->needs_comma = false;
}

static void close_bracket(json_writer *writer, char bracket) {
  tt_buffer_u8(writer->text, (uint8_t)bracket);
  writer->needs_comma = true;
}

static void put_text_field(json_writer *writer, const char *name, const char *text) {
  begin_field(writer, name);
  put_text(writer, text, strlen(text));
}

static void put_id_field(json_writer *writer, const char *name, uint64_t id) {
  begin_field(writer, name);
  tt_buffer_printf(writer->text, "\"%" PRIu64 "\"", id);
}

static void put_whole_field(json_writer *writer, const char *name, uint64_t whole) {
  begin_field(writer, name);
  tt_buffer_printf(writer->text, "%" PRIu64, whole);
}

static void put_texts_field(json_writer *writer, const char *name, char *const *texts, size_t n) {
  begin_field(writer, name);
  open_bracket(writer, '[');
  for (size_t i = 0; i < n; i++) {
    begin_item(writer);
    put_text(writer, texts[i], strlen(texts[i]));
  }
  close_bracket(writer, ']');
}

static void put_meta(json_writer *writer, const tt_meta *meta) {
  put_text_field(writer, "dtype", tt_dtype_name(meta->dtype));
  begin_field(writer, "shape");
  open_bracket(writer, '[');
  for (int i = 0; i < meta->shape.n_dims; i++) {
    begin_item(writer);
    tt_buffer_printf(writer->text, "%" PRId64, meta->shape.dims[i]);
  }
  close_bracket(writer, ']');
}

static void put_metadata(json_writer *writer, const tt_metadata *metadata) {
  if (metadata->tags != NULL) put_texts_field(writer, "tags", metadata->tags, metadata->n_tags);
  if (metadata->description != NULL) put_text_field(writer, "description", metadata->description);
  if (metadata->has_policy) put_text_field(writer, "policy", tt_policy_name(metadata->policy));
  if (metadata->location == NULL) return;
  put_text_field(writer, "location", metadata->location);
  put_id_field(writer, "location_id", metadata->location_id);
}

/* "[2, 3] [4]" as ["[2, 3]","[4]"]. */
static void put_shapes(json_writer *writer, const char *shapes) {
  begin_field(writer, "shapes");
  open_bracket(writer, '[');
  while (*shapes != 0) {
    const char *end = strchr(shapes, ']');
    const size_t n_bytes = end == NULL ? strlen(shapes) : (size_t)(end + 1 - shapes);
    begin_item(writer);
    put_text(writer, shapes, n_bytes);
    shapes += n_bytes;
    while (*shapes == ' ') shapes++;
  }
  close_bracket(writer, ']');
}

static void put_error_field(json_writer *writer, const char *name, const tt_wire_error *error) {
  begin_field(writer, name);
  open_bracket(writer, '{');
  put_text_field(writer, "code", tt_status_name(error->error.status));
  put_text_field(writer, "message", error->error.message);
  if (error->worker[0] != 0) put_text_field(writer, "worker", error->worker);
  if (error->op[0] != 0) put_text_field(writer, "op", error->op);
  if (error->command >= 0) put_whole_field(writer, "command", (uint64_t)error->command);
  if (error->shapes[0] != 0) put_shapes(writer, error->shapes);
  if (error->failure != 0) put_id_field(writer, "failure", error->failure);
  close_bracket(writer, '}');
}

static void put_listed(json_writer *writer, const tt_listed *listed) {
  begin_item(writer);
  open_bracket(writer, '{');
  put_id_field(writer, "id", listed->id);
  put_meta(writer, &listed->meta);
  put_text_field(writer, "owner", listed->owner);
  put_metadata(writer, &listed->metadata);
  close_bracket(writer, '}');
}

static tt_status check_texts(char *const *texts, size_t n, const char *what, tt_error *error) {
  if (n > TT_MAX_TAGS)
    return tt_fail(error, TT_ERR_ARGUMENT, "there are %zu %ss; at most %d are allowed", n, what, TT_MAX_TAGS);
  for (size_t i = 0; i < n; i++) {
    const size_t n_bytes = strlen(texts[i]);
    if (n_bytes > TT_MAX_TAG_BYTES) {
      return tt_fail(error, TT_ERR_ARGUMENT, "%s %zu has %zu bytes; at most %d are allowed", what, i, n_bytes,
                     TT_MAX_TAG_BYTES);
    }
    if (!tt_utf8_is_valid(texts[i], n_bytes)) return tt_fail(error, TT_ERR_ARGUMENT, "%s %zu is not valid UTF-8", what, i);
  }
  return TT_OK;
}

static tt_status check_metadata(const tt_metadata *metadata, tt_error *error) {
  TT_TRY(check_texts(metadata->tags, metadata->n_tags, "tag", error));
  if (metadata->description != NULL) {
    const size_t n_bytes = strlen(metadata->description);
    if (n_bytes > TT_MAX_DESCRIPTION_BYTES) {
      return tt_fail(error, TT_ERR_ARGUMENT, "the description has %zu bytes; at most %d are allowed", n_bytes,
                     TT_MAX_DESCRIPTION_BYTES);
    }
    if (!tt_utf8_is_valid(metadata->description, n_bytes)) {
      return tt_fail(error, TT_ERR_ARGUMENT, "the description is not valid UTF-8");
    }
  }
  if (metadata->location == NULL) return TT_OK;
  if (metadata->location_id == 0)
    return tt_fail(error, TT_ERR_ARGUMENT, "the id at \"%.64s\" is 0, which is no id", metadata->location);
  return tt_worker_id_check(tt_name_of(metadata->location), error);
}

/* Ends a message that began at `start`: whole, or not at all. */
static tt_status end_message(tt_buffer *json, size_t start, tt_error *error) {
  if (!json->failed) return TT_OK;
  json->n_bytes = start;
  return tt_fail(error, TT_ERR_MEMORY, "no memory for a message's JSON");
}

tt_status tt_hello_write(tt_buffer *json, const char *id, const char *kind, tt_error *error) {
  TT_TRY(tt_worker_id_check(tt_name_of(id), error));
  const size_t start = json->n_bytes;
  json_writer writer = {.text = json};
  open_bracket(&writer, '{');
  put_whole_field(&writer, "protocol", TT_PROTOCOL_VERSION);
  put_text_field(&writer, "id", id);
  put_text_field(&writer, "kind", kind);
  put_text_field(&writer, "software", tt_software());
  begin_field(&writer, "ops");
  open_bracket(&writer, '{');
  begin_field(&writer, "digest");
  tt_buffer_printf(json, "\"%016" PRIx64 "\"", tt_ops_digest());
  begin_field(&writer, "names");
  open_bracket(&writer, '[');
  for (unsigned number = 1; number <= TT_N_OPS; number++) {
    const char *name = tt_op_get(number)->name;
    begin_item(&writer);
    put_text(&writer, name, strlen(name));
  }
  close_bracket(&writer, ']');
  close_bracket(&writer, '}');
  close_bracket(&writer, '}');
  return end_message(json, start, error);
}

tt_status tt_metadata_write(tt_buffer *json, const tt_metadata *metadata, tt_error *error) {
  TT_TRY(check_metadata(metadata, error));
  const size_t start = json->n_bytes;
  json_writer writer = {.text = json};
  open_bracket(&writer, '{');
  put_metadata(&writer, metadata);
  close_bracket(&writer, '}');
  return end_message(json, start, error);
}

static tt_status check_query(const tt_control *control, tt_error *error) {
  const query_row *row = &queries[control->query];
  if (row->has_object && control->object == 0)
    return tt_fail(error, TT_ERR_ARGUMENT, "a query \"%s\" needs an object's id", row->name);
  if (row->has_terms) TT_TRY(check_texts(control->terms, control->n_terms, "term", error));
  if (!row->has_metadata) return TT_OK;
  if (control->metadata.location != NULL) {
    return tt_fail(error, TT_ERR_ARGUMENT, "a query \"%s\" cannot set a location: an object moves by send", row->name);
  }
  return check_metadata(&control->metadata, error);
}

static tt_status check_answer(const tt_control *control, tt_error *error) {
  if (control->has_whoami && control->has_objects) {
    return tt_fail(error, TT_ERR_ARGUMENT, "an answer holds either whoami or a listing: both are called objects");
  }
  if (control->has_meta && !tt_shape_is_known(&control->meta.shape)) {
    return tt_fail(error, TT_ERR_ARGUMENT, "an answer cannot hold a shape that is not known");
  }
  for (size_t i = 0; i < control->n_listed; i++) {
    const tt_listed *listed = &control->objects[i];
    tt_status status = check_metadata(&listed->metadata, error);
    if (status == TT_OK && !tt_shape_is_known(&listed->meta.shape))
      status = tt_fail(error, TT_ERR_ARGUMENT, "its shape is not known");
    if (status != TT_OK) {
      tt_error_prefix(error, "object %" PRIu64 " of a listing", listed->id);
      return status;
    }
  }
  return TT_OK;
}

static tt_status check_control(const tt_control *control, tt_error *error) {
  if (control->form != TT_CONTROL_FAILURE && control->request == 0) {
    return tt_fail(error, TT_ERR_ARGUMENT, "a query and its answer need a request's id");
  }
  if (control->form == TT_CONTROL_QUERY) return check_query(control, error);
  if (control->form == TT_CONTROL_ANSWER) return check_answer(control, error);
  if (control->error.error.status == TT_OK) return tt_fail(error, TT_ERR_ARGUMENT, "the error to report has the status ok");
  return TT_OK;
}

static void put_query(json_writer *writer, const tt_control *control) {
  const query_row *row = &queries[control->query];
  put_id_field(writer, "request", control->request);
  put_text_field(writer, "query", row->name);
  if (row->has_object) put_id_field(writer, "id", control->object);
  if (row->has_terms) put_texts_field(writer, "terms", control->terms, control->n_terms);
  if (row->has_metadata) put_metadata(writer, &control->metadata);
}

static void put_failure(json_writer *writer, const tt_control *control) {
  put_error_field(writer, "failure", &control->error);
  begin_field(writer, "results");
  open_bracket(writer, '[');
  for (size_t i = 0; i < control->n_results; i++) {
    begin_item(writer);
    tt_buffer_printf(writer->text, "\"%" PRIu64 "\"", control->results[i]);
  }
  close_bracket(writer, ']');
}

/* What of an answer goes into a message that must end below `max_bytes` in the buffer; `position` is moved behind it. */
static bool put_answer(json_writer *writer, const tt_control *control, size_t max_bytes, tt_control_position *position) {
  enum { END_BYTES = 32 /* for the brackets and `more` */, MAX_ESCAPED_BYTES = 6 };
  put_id_field(writer, "reply", control->request);
  if (position->object == 0 && position->text_byte == 0) {
    if (control->has_whoami) {
      put_text_field(writer, "id", control->id);
      put_text_field(writer, "kind", control->kind);
      put_text_field(writer, "software", control->software);
      put_whole_field(writer, "objects", control->n_objects);
      put_whole_field(writer, "bytes", control->n_bytes);
    }
    if (control->has_meta) put_meta(writer, &control->meta);
  }
  if (control->text != NULL) {
    const char *text = control->text + position->text_byte;
    const size_t room = max_bytes - writer->text->n_bytes - END_BYTES - 16;
    size_t n_bytes = strlen(text);
    if (n_bytes > room / MAX_ESCAPED_BYTES) {
      n_bytes = room / MAX_ESCAPED_BYTES;
      n_bytes -= character_bytes_before(text, n_bytes);
    }
    begin_field(writer, "text");
    put_text(writer, text, n_bytes);
    position->text_byte += n_bytes;
    if (text[n_bytes] != 0) return false;
  }
  if (!control->has_objects) return true;
  begin_field(writer, "objects");
  open_bracket(writer, '[');
  const size_t first = position->object;
  bool is_last = true;
  for (; position->object < control->n_listed; position->object++) {
    const size_t before = writer->text->n_bytes;
    put_listed(writer, &control->objects[position->object]);
    if (writer->text->n_bytes + END_BYTES > max_bytes && position->object != first) {
      writer->text->n_bytes = before;
      is_last = false;
      break;
    }
  }
  close_bracket(writer, ']');
  return is_last;
}

static tt_status write_part(tt_buffer *json, const tt_control *control, size_t max_bytes, tt_control_position *position,
                            bool *is_last, tt_error *error) {
  TT_TRY(check_control(control, error));
  const size_t start = json->n_bytes;
  tt_control_position moved = *position;
  bool is_whole = true;
  json_writer writer = {.text = json};
  open_bracket(&writer, '{');
  switch (control->form) {
  case TT_CONTROL_QUERY:
    put_query(&writer, control);
    break;
  case TT_CONTROL_ANSWER:
    is_whole = put_answer(&writer, control, max_bytes, &moved);
    if (!is_whole || control->has_more) {
      begin_field(&writer, "more");
      tt_buffer_append(json, "true", 4);
    }
    break;
  case TT_CONTROL_ERROR:
    put_id_field(&writer, "reply", control->request);
    put_error_field(&writer, "error", &control->error);
    break;
  case TT_CONTROL_FAILURE:
    put_failure(&writer, control);
    break;
  }
  close_bracket(&writer, '}');
  TT_TRY(end_message(json, start, error));
  *position = moved;
  *is_last = is_whole;
  return TT_OK;
}

tt_status tt_control_write(tt_buffer *json, const tt_control *control, tt_error *error) {
  tt_control_position position = {.object = 0};
  bool is_last;
  return write_part(json, control, SIZE_MAX, &position, &is_last, error);
}

tt_status tt_control_write_part(tt_buffer *json, const tt_control *control, size_t max_bytes, tt_control_position *position,
                                bool *is_last, tt_error *error) {
  return write_part(json, control, json->n_bytes + max_bytes, position, is_last, error);
}

/* ---- reading ---- */

/* cJSON answers NULL both for bad JSON and without memory: its allocations say here which it was. The core has one thread. */
static bool is_out_of_memory;

static void *allocate(size_t n_bytes) {
  void *block = tt_realloc(NULL, n_bytes);
  if (block == NULL) is_out_of_memory = true;
  return block;
}

/*
 * What cJSON does not look at, or only after recursing: depth, UTF-8, control characters in strings, U+0000 (which would cut a C string short) and
 * that the value is an object.
 */
static tt_status scan_json(const char *json, size_t n_bytes, tt_error *error) {
  if (!tt_utf8_is_valid(json, n_bytes)) return tt_fail(error, TT_ERR_PROTOCOL, "it is not valid UTF-8");
  size_t depth = 0;
  bool is_in_string = false, has_begun = false;
  for (size_t i = 0; i < n_bytes; i++) {
    const char byte = json[i];
    const bool is_space = byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
    if ((uint8_t)byte < 0x20 && (is_in_string || !is_space)) {
      return tt_fail(error, TT_ERR_PROTOCOL, "it has the control character 0x%02x at byte %zu", (uint8_t)byte, i);
    }
    if (is_in_string) {
      if (byte == '"') is_in_string = false;
      if (byte != '\\') continue;
      if (n_bytes - i > 5 && memcmp(json + i + 1, "u0000", 5) == 0) {
        return tt_fail(error, TT_ERR_PROTOCOL, "it has a U+0000 in a string, at byte %zu", i);
      }
      i++; /* whatever is escaped ends no string */
      continue;
    }
    if (is_space) continue;
    if (!has_begun && byte != '{') return tt_fail(error, TT_ERR_PROTOCOL, "it is no object: it does not begin with {");
    has_begun = true;
    if (byte == '"') is_in_string = true;
    if (byte == '{' || byte == '[') depth++;
    if ((byte == '}' || byte == ']') && depth > 0) depth--;
    if (depth > TT_MAX_JSON_DEPTH) {
      return tt_fail(error, TT_ERR_PROTOCOL, "it is nested deeper than %d levels at byte %zu", TT_MAX_JSON_DEPTH, i);
    }
  }
  return TT_OK;
}

/* One JSON object and nothing else. *root is the caller's, cJSON_Delete. */
static tt_status parse(const uint8_t *json, size_t n_bytes, cJSON **root, tt_error *error) {
  TT_TRY(scan_json((const char *)json, n_bytes, error));
  cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = allocate, .free_fn = tt_free});
  is_out_of_memory = false;
  /* With a terminator of our own: cJSON 1.7.15 looks one byte behind a text that has none. */
  char *copy = allocate(n_bytes + 1);
  cJSON *parsed = NULL;
  if (copy != NULL) {
    memcpy(copy, json, n_bytes);
    copy[n_bytes] = 0;
    parsed = cJSON_ParseWithLengthOpts(copy, n_bytes + 1, NULL, true);
    tt_free(copy);
  }
  if (parsed == NULL) {
    if (is_out_of_memory) return tt_fail(error, TT_ERR_MEMORY, "no memory for %zu bytes of JSON", n_bytes);
    return tt_fail(error, TT_ERR_PROTOCOL, "it does not parse, or something follows it");
  }
  *root = parsed;
  return TT_OK;
}

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
  if (!cJSON_IsArray(shape)) return fail_field(error, "shape", shape, "an array of dimensions");
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
    n_bytes = room - 1;
    n_bytes -= character_bytes_before(item->valuestring, n_bytes);
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
  while (query < N_QUERIES && !(cJSON_IsString(name) && strcmp(queries[query].name, name->valuestring) == 0)) query++;
  if (query == N_QUERIES) return fail_field(error, "query", name, "the name of a query");
  const query_row *row = &queries[query];
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
  if (field(root, "reply") == NULL) {
    return tt_fail(error, TT_ERR_PROTOCOL, "it is no query, no answer and no failure: it has none of these fields");
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
  tt_status status = parse(json, n_bytes, &root, error);
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
  tt_status status = n_bytes == 0 ? TT_OK : parse(json, n_bytes, &root, error);
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
  tt_status status = parse(json, n_bytes, &root, error);
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
