#include "wire/prelude.h"

#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"

/* Where the fields stand; PROTOCOL.md, "The prelude". */
enum {
  AT_MAGIC = 0,
  AT_VERSION = 2,
  AT_TYPE = 3,
  AT_FLAGS = 4,
  AT_SOURCE_BYTES = 6,
  AT_DESTINATION_BYTES = 7,
  AT_LENGTH = 8,
  AT_STREAM = 12,
  AT_SEQUENCE = 16,
  AT_ACKNOWLEDGEMENT = 24,
  AT_CREDIT = 32,
  AT_IDS = 40,
  MAGIC = 0x5454,
};

/* What the prelude of a frame of each type may say. A name of NULL: there is no such type. */
typedef struct frame_rule {
  const char *name;
  uint16_t flags;       /* that are known */
  bool is_sequenced;    /* carries a sequence number */
  bool has_stream;      /* names a stream */
  bool is_relays_alone; /* has no source: nobody but a relay at the other end of the connection may have made it */
  bool may_lack_source;
  bool is_empty; /* has no payload */
} frame_rule;

static const frame_rule rules[] = {
    [TT_FRAME_HELLO] = {.name = "HELLO", .flags = TT_FLAG_WANTS_ANSWER, .has_stream = true},
    [TT_FRAME_WELCOME] = {.name = "WELCOME", .is_relays_alone = true, .may_lack_source = true},
    [TT_FRAME_JOINED] = {.name = "JOINED", .is_relays_alone = true, .may_lack_source = true},
    [TT_FRAME_LEFT] = {.name = "LEFT", .flags = TT_FLAG_IN_ORDER, .is_relays_alone = true, .may_lack_source = true},
    [TT_FRAME_REFUSED] = {.name = "REFUSED", .flags = TT_FLAG_CLOSES, .may_lack_source = true},
    [TT_FRAME_GOODBYE] = {.name = "GOODBYE", .is_empty = true},
    [TT_FRAME_RUN] = {.name = "RUN", .is_sequenced = true, .has_stream = true},
    [TT_FRAME_DATA] = {.name = "DATA", .flags = TT_FLAG_CONTINUES | TT_FLAG_FULFILS, .is_sequenced = true, .has_stream = true},
    [TT_FRAME_CONTROL] = {.name = "CONTROL", .is_sequenced = true, .has_stream = true},
    [TT_FRAME_CREDIT] = {.name = "CREDIT", .has_stream = true, .is_empty = true},
};

static const frame_rule *rule_of(uint8_t type) {
  if (type >= sizeof rules / sizeof *rules || rules[type].name == NULL) return NULL;
  return &rules[type];
}

const char *tt_frame_type_name(uint8_t type) {
  const frame_rule *rule = rule_of(type);
  return rule == NULL ? "unknown" : rule->name;
}

tt_name tt_name_of(const char *string) {
  const size_t n_bytes = strlen(string);
  return (tt_name){.bytes = string, .n_bytes = n_bytes > UINT8_MAX ? UINT8_MAX : (uint8_t)n_bytes};
}

bool tt_name_equal(tt_name a, tt_name b) {
  return a.n_bytes == b.n_bytes && (a.n_bytes == 0 || memcmp(a.bytes, b.bytes, a.n_bytes) == 0);
}

static tt_status check_id(tt_name id, tt_status status, const char *what, tt_error *error) {
  if (id.n_bytes == 0) return tt_fail(error, status, "%s is empty; it takes 1 to %d bytes", what, TT_MAX_WORKER_ID_BYTES);
  if (id.n_bytes > TT_MAX_WORKER_ID_BYTES) {
    return tt_fail(error, status, "%s has %s%d bytes; at most %d are allowed", what, id.n_bytes == UINT8_MAX ? "at least " : "",
                   id.n_bytes, TT_MAX_WORKER_ID_BYTES);
  }
  for (size_t i = 0; i < id.n_bytes;) {
    if (id.bytes[i] >= 0x20 && id.bytes[i] < 0x7f) { /* nearly all are ASCII */
      i++;
      continue;
    }
    uint32_t point;
    const size_t length = tt_utf8_next(id.bytes + i, id.n_bytes - i, &point);
    /* Only what was checked already is quoted: an error message is text. */
    if (length == 0) {
      return tt_fail(error, status, "%s is not valid UTF-8: byte 0x%02x at position %zu, after \"%.*s\"", what,
                     (uint8_t)id.bytes[i], i, (int)i, id.bytes);
    }
    if (point < 0x20 || (point >= 0x7f && point <= 0x9f)) {
      return tt_fail(error, status,
                     "%s has the control character U+%04" PRIX32 " at position %zu, after \"%.*s\"; leave it out", what, point,
                     i, (int)i, id.bytes);
    }
    i += length;
  }
  return TT_OK;
}

tt_status tt_worker_id_check(tt_name id, tt_error *error) { return check_id(id, TT_ERR_ARGUMENT, "the worker id", error); }

void tt_name_write(tt_buffer *payload, tt_name name) {
  tt_buffer_u8(payload, name.n_bytes);
  tt_buffer_append(payload, name.bytes, name.n_bytes);
}

tt_status tt_name_read(tt_reader *reader, tt_name *name, tt_error *error) {
  const uint8_t n_bytes = tt_read_u8(reader);
  const uint8_t *bytes = tt_read_bytes(reader, n_bytes);
  if (reader->failed) return tt_fail(error, TT_ERR_PROTOCOL, "the payload is cut short: a worker id ends behind its end");
  const tt_name read = {.bytes = (const char *)bytes, .n_bytes = n_bytes};
  TT_TRY(check_id(read, TT_ERR_PROTOCOL, "a worker id in the payload", error));
  *name = read;
  return TT_OK;
}

tt_status tt_name_read_alone(const uint8_t *payload, size_t n_bytes, tt_name *name, tt_error *error) {
  tt_reader reader = tt_reader_of(payload, n_bytes);
  tt_name read;
  TT_TRY(tt_name_read(&reader, &read, error));
  if (tt_reader_left(&reader) != 0) {
    return tt_fail(error, TT_ERR_PROTOCOL, "%zu bytes stand behind the worker id \"%.*s\", which has the payload for itself",
                   tt_reader_left(&reader), read.n_bytes, read.bytes);
  }
  *name = read;
  return TT_OK;
}

size_t tt_prelude_bytes(size_t source_bytes, size_t destination_bytes) {
  return (TT_PRELUDE_FIXED_BYTES + source_bytes + destination_bytes + 7) & ~(size_t)7;
}

void tt_prelude_write(tt_buffer *buffer, const tt_prelude *prelude, size_t n_payload_bytes) {
  const size_t source_bytes = prelude->source.n_bytes, destination_bytes = prelude->destination.n_bytes;
  const size_t n_bytes = tt_prelude_bytes(source_bytes, destination_bytes);
  uint8_t *at = tt_buffer_extend(buffer, n_bytes);
  if (at == NULL) return;
  tt_store_u16(at + AT_MAGIC, MAGIC);
  at[AT_VERSION] = TT_PROTOCOL_VERSION;
  at[AT_TYPE] = prelude->type;
  tt_store_u16(at + AT_FLAGS, prelude->flags);
  at[AT_SOURCE_BYTES] = prelude->source.n_bytes;
  at[AT_DESTINATION_BYTES] = prelude->destination.n_bytes;
  tt_prelude_patch(at, (uint32_t)(n_bytes + n_payload_bytes), prelude->stream, prelude->sequence, prelude->acknowledgement,
                   prelude->credit);
  if (source_bytes != 0) memcpy(at + AT_IDS, prelude->source.bytes, source_bytes);
  if (destination_bytes != 0) memcpy(at + AT_IDS + source_bytes, prelude->destination.bytes, destination_bytes);
  const size_t end = AT_IDS + source_bytes + destination_bytes;
  memset(at + end, 0, n_bytes - end);
}

void tt_prelude_patch(uint8_t *frame, uint32_t length, uint32_t stream, uint64_t sequence, uint64_t acknowledgement,
                      uint64_t credit) {
  tt_store_u32(frame + AT_LENGTH, length);
  tt_store_u32(frame + AT_STREAM, stream);
  tt_store_u64(frame + AT_SEQUENCE, sequence);
  tt_store_u64(frame + AT_ACKNOWLEDGEMENT, acknowledgement);
  tt_store_u64(frame + AT_CREDIT, credit);
}

/* Magic and version, of which 3 bytes must be there. */
static tt_status check_beginning(const uint8_t *bytes, tt_error *error) {
  if (tt_load_u16(bytes + AT_MAGIC) != MAGIC) {
    return tt_fail(error, TT_ERR_PROTOCOL, "this is no tabtensor frame: it begins with 0x%02x 0x%02x, not 0x54 0x54", bytes[0],
                   bytes[1]);
  }
  if (bytes[AT_VERSION] != TT_PROTOCOL_VERSION) {
    return tt_fail(error, TT_ERR_VERSION,
                   "the other side speaks version %d of the protocol, this one version %d; update the older", bytes[AT_VERSION],
                   TT_PROTOCOL_VERSION);
  }
  return TT_OK;
}

/* The length field against the limit and against the ids that it must hold. TT_PRELUDE_PEEK_BYTES must be there. */
static tt_status check_length(const uint8_t *bytes, uint32_t *length, tt_error *error) {
  const uint32_t announced = tt_load_u32(bytes + AT_LENGTH);
  const size_t least = tt_prelude_bytes(bytes[AT_SOURCE_BYTES], bytes[AT_DESTINATION_BYTES]);
  if (announced > TT_MAX_FRAME_BYTES) {
    return tt_fail(error, TT_ERR_PROTOCOL, "a frame announces %" PRIu32 " bytes; at most %d are allowed", announced,
                   TT_MAX_FRAME_BYTES);
  }
  if (announced < least) {
    return tt_fail(error, TT_ERR_PROTOCOL, "a frame announces %" PRIu32 " bytes, but its prelude alone has %zu", announced,
                   least);
  }
  *length = announced;
  return TT_OK;
}

tt_status tt_prelude_peek_length(const uint8_t *bytes, size_t n_bytes, size_t *frame_bytes, tt_error *error) {
  if (n_bytes < TT_PRELUDE_PEEK_BYTES) {
    *frame_bytes = 0;
    return TT_OK;
  }
  uint32_t length = 0;
  TT_TRY(check_beginning(bytes, error));
  TT_TRY(check_length(bytes, &length, error));
  *frame_bytes = length;
  return TT_OK;
}

static tt_status check_fields(const tt_prelude *prelude, const frame_rule *rule, size_t n_payload_bytes, tt_error *error) {
  if ((prelude->flags & ~rule->flags) != 0) {
    return tt_fail(error, TT_ERR_PROTOCOL, "a %s frame has the flags 0x%04x; known are 0x%04x", rule->name, prelude->flags,
                   rule->flags);
  }
  if (!rule->has_stream && prelude->stream != 0) {
    return tt_fail(error, TT_ERR_PROTOCOL, "a %s frame names the stream %" PRIu32 "; it belongs to none", rule->name,
                   prelude->stream);
  }
  if (rule->is_sequenced != (prelude->sequence != 0)) {
    return tt_fail(error, TT_ERR_PROTOCOL, "a %s frame has the sequence %" PRIu64 "; it %s", rule->name, prelude->sequence,
                   rule->is_sequenced ? "needs one, from 1 on" : "must have none");
  }
  if (rule->is_empty && n_payload_bytes != 0) {
    return tt_fail(error, TT_ERR_PROTOCOL, "a %s frame has a payload of %zu bytes; it must have none", rule->name,
                   n_payload_bytes);
  }
  if (prelude->source.n_bytes == 0) {
    if (!rule->may_lack_source) return tt_fail(error, TT_ERR_PROTOCOL, "a %s frame does not say whom it is from", rule->name);
  } else {
    TT_TRY(check_id(prelude->source, TT_ERR_PROTOCOL, "the frame's source id", error));
    if (rule->is_relays_alone) {
      return tt_fail(error, TT_ERR_PROTOCOL, "a %s frame comes from the worker \"%.*s\"; only a relay may send it", rule->name,
                     prelude->source.n_bytes, prelude->source.bytes);
    }
  }
  if (prelude->destination.n_bytes == 0) return TT_OK;
  return check_id(prelude->destination, TT_ERR_PROTOCOL, "the frame's destination id", error);
}

tt_status tt_prelude_read(const uint8_t *frame, size_t n_bytes, tt_prelude *prelude, const uint8_t **payload,
                          size_t *n_payload_bytes, tt_error *error) {
  /* Version first: what another version means by the rest is not known here. */
  if (n_bytes > AT_VERSION) TT_TRY(check_beginning(frame, error));
  if (n_bytes < TT_PRELUDE_FIXED_BYTES) {
    return tt_fail(error, TT_ERR_PROTOCOL, "a frame of %zu bytes is cut short: its prelude alone has at least %d", n_bytes,
                   TT_PRELUDE_FIXED_BYTES);
  }
  uint32_t length;
  TT_TRY(check_length(frame, &length, error));
  if (length != n_bytes) {
    return tt_fail(error, TT_ERR_PROTOCOL, "a frame announces %" PRIu32 " bytes, but %zu came", length, n_bytes);
  }
  const frame_rule *rule = rule_of(frame[AT_TYPE]);
  if (rule == NULL) return tt_fail(error, TT_ERR_PROTOCOL, "there is no frame type 0x%02x", frame[AT_TYPE]);
  const char *ids = (const char *)frame + AT_IDS;
  const uint8_t source_bytes = frame[AT_SOURCE_BYTES], destination_bytes = frame[AT_DESTINATION_BYTES];
  const tt_prelude read = {
      .type = frame[AT_TYPE],
      .flags = tt_load_u16(frame + AT_FLAGS),
      .length = length,
      .stream = tt_load_u32(frame + AT_STREAM),
      .sequence = tt_load_u64(frame + AT_SEQUENCE),
      .acknowledgement = tt_load_u64(frame + AT_ACKNOWLEDGEMENT),
      .credit = tt_load_u64(frame + AT_CREDIT),
      .source = {.bytes = ids, .n_bytes = source_bytes},
      .destination = {.bytes = ids + source_bytes, .n_bytes = destination_bytes},
  };
  const size_t prelude_bytes = tt_prelude_bytes(source_bytes, destination_bytes);
  TT_TRY(check_fields(&read, rule, n_bytes - prelude_bytes, error));
  for (size_t i = AT_IDS + (size_t)source_bytes + destination_bytes; i < prelude_bytes; i++) {
    if (frame[i] != 0) {
      return tt_fail(error, TT_ERR_PROTOCOL, "a %s frame has 0x%02x in the padding behind its ids, at byte %zu; it must be 0",
                     rule->name, frame[i], i);
    }
  }
  *prelude = read;
  *payload = frame + prelude_bytes;
  *n_payload_bytes = n_bytes - prelude_bytes;
  return TT_OK;
}

void tt_refusal_write(tt_buffer *payload, tt_status status, uint8_t refused_type, tt_name id, const char *reason) {
  tt_buffer_u16(payload, (uint16_t)status);
  tt_buffer_u8(payload, refused_type);
  tt_name_write(payload, id);
  tt_buffer_append(payload, reason, strlen(reason));
}

tt_status tt_refusal_read(const uint8_t *payload, size_t n_bytes, tt_refusal *refusal, tt_error *error) {
  tt_reader reader = tt_reader_of(payload, n_bytes);
  const uint16_t status = tt_read_u16(&reader);
  const uint8_t refused_type = tt_read_u8(&reader);
  const uint8_t id_bytes = tt_read_u8(&reader);
  const uint8_t *id = tt_read_bytes(&reader, id_bytes);
  if (reader.failed)
    return tt_fail(error, TT_ERR_PROTOCOL, "the payload of a REFUSED frame is cut short after %zu bytes", n_bytes);
  const char *reason = (const char *)payload + reader.position;
  const tt_refusal read = {
      .status = (tt_status)status,
      .refused_type = refused_type,
      .id = {.bytes = (const char *)id, .n_bytes = id_bytes},
      .reason = reason,
      .reason_bytes = n_bytes - reader.position,
  };
  if (status == TT_OK || strcmp(tt_status_name(read.status), "unknown") == 0) {
    return tt_fail(error, TT_ERR_PROTOCOL, "a REFUSED frame has the status %u, which is no error's", status);
  }
  if (id_bytes != 0) TT_TRY(check_id(read.id, TT_ERR_PROTOCOL, "the id in a REFUSED frame", error));
  if (!tt_utf8_is_valid(reason, read.reason_bytes)) {
    return tt_fail(error, TT_ERR_PROTOCOL, "the reason in a REFUSED frame is not valid UTF-8");
  }
  *refusal = read;
  return TT_OK;
}
