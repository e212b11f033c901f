/*
 * The writing half of control.h: straight into the buffer, whose sticky `failed` is looked at once at the end; a tree of cJSON's would have to be
 * asked at every node.
 */
#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"
#include "ops/op.h"
#include "wire/control.h"
#include "wire/control_rows.h"
#include "wire/json.h"
#include "wire/prelude.h"

typedef struct json_writer {
  tt_buffer *text;
  bool needs_comma;
} json_writer;

static void put_text(json_writer *writer, const char *text, size_t n_bytes) { tt_json_write_text(writer->text, text, n_bytes); }

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
  if (!tt_shape_is_known(&meta->shape)) {
    tt_buffer_printf(writer->text, "null");
    return;
  }
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
  if (metadata->promised_by != NULL) put_text_field(writer, "promised_by", metadata->promised_by);
  if (metadata->n_chain > 0) put_texts_field(writer, "chain", metadata->chain, metadata->n_chain);
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

static tt_status check_texts(char *const *texts, size_t n, int max_texts, int max_bytes, const char *what, tt_error *error) {
  if (n > (size_t)max_texts)
    return tt_fail(error, TT_ERR_ARGUMENT, "there are %zu %ss; at most %d are allowed", n, what, max_texts);
  for (size_t i = 0; i < n; i++) {
    const size_t n_bytes = strlen(texts[i]);
    if (n_bytes > (size_t)max_bytes) {
      return tt_fail(error, TT_ERR_ARGUMENT, "%s %zu has %zu bytes; at most %d are allowed", what, i, n_bytes, max_bytes);
    }
    if (!tt_utf8_is_valid(texts[i], n_bytes)) return tt_fail(error, TT_ERR_ARGUMENT, "%s %zu is not valid UTF-8", what, i);
  }
  return TT_OK;
}

static tt_status check_metadata(const tt_metadata *metadata, tt_error *error) {
  TT_TRY(check_texts(metadata->tags, metadata->n_tags, TT_MAX_TAGS, TT_MAX_TAG_BYTES, "tag", error));
  TT_TRY(check_texts(metadata->chain, metadata->n_chain, TT_MAX_CHAIN_KINDS, TT_MAX_KIND_BYTES, "kind", error));
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
  if (metadata->promised_by != NULL) TT_TRY(tt_worker_id_check(tt_name_of(metadata->promised_by), error));
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
    const char *name = tt_op_name(number);
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
  const tt_query_row *row = &tt_query_rows[control->query];
  if (row->has_object && control->object == 0)
    return tt_fail(error, TT_ERR_ARGUMENT, "a query \"%s\" needs an object's id", row->name);
  if (row->has_terms) TT_TRY(check_texts(control->terms, control->n_terms, TT_MAX_TAGS, TT_MAX_TAG_BYTES, "term", error));
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
  for (size_t i = 0; i < control->n_listed; i++) {
    const tt_listed *listed = &control->objects[i];
    tt_status status = check_metadata(&listed->metadata, error);
    if (status != TT_OK) {
      tt_error_prefix(error, "object %" PRIu64 " of a listing", listed->id);
      return status;
    }
  }
  return TT_OK;
}

static tt_status check_control(const tt_control *control, tt_error *error) {
  if (control->form == TT_CONTROL_BROKEN && control->object == 0)
    return tt_fail(error, TT_ERR_ARGUMENT, "a promise that is broken needs its object's id");
  if (control->form == TT_CONTROL_BROKEN) TT_TRY(check_metadata(&control->metadata, error));
  if (control->form != TT_CONTROL_FAILURE && control->form != TT_CONTROL_BROKEN && control->request == 0) {
    return tt_fail(error, TT_ERR_ARGUMENT, "a query and its answer need a request's id");
  }
  if (control->form == TT_CONTROL_QUERY) return check_query(control, error);
  if (control->form == TT_CONTROL_ANSWER) return check_answer(control, error);
  if (control->error.error.status == TT_OK) return tt_fail(error, TT_ERR_ARGUMENT, "the error to report has the status ok");
  return TT_OK;
}

static void put_query(json_writer *writer, const tt_control *control) {
  const tt_query_row *row = &tt_query_rows[control->query];
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
      n_bytes = tt_utf8_cut(text, room / MAX_ESCAPED_BYTES);
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
  case TT_CONTROL_BROKEN:
    put_id_field(&writer, "broken", control->object);
    put_metadata(&writer, &control->metadata);
    put_error_field(&writer, "error", &control->error);
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
