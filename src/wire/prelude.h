/*
 * prelude: what every frame begins with, and all that a relay reads. Layout and frame types: PROTOCOL.md, "The prelude".
 *
 * Decoding checks everything that the prelude alone can tell (magic, version, length, ids, types, flags, whether a stream, a
 * sequence, a source and a payload belong to such a frame); it allocates nothing and
 * the ids it answers are borrowed from the frame's bytes.
 */
#ifndef TT_WIRE_PRELUDE_H
#define TT_WIRE_PRELUDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

enum {
  TT_PROTOCOL_VERSION = 1,
  TT_MAX_FRAME_BYTES = 262144,
  TT_PRELUDE_FIXED_BYTES = 40,
  TT_PRELUDE_PEEK_BYTES = 12, /* so many tell a frame's length */
  TT_MAX_WORKER_ID_BYTES = 64,
  TT_MAX_PRELUDE_BYTES = TT_PRELUDE_FIXED_BYTES + 2 * TT_MAX_WORKER_ID_BYTES,
};

typedef enum tt_frame_type {
  TT_FRAME_HELLO = 0x01,
  TT_FRAME_WELCOME = 0x02,
  TT_FRAME_JOINED = 0x03,
  TT_FRAME_LEFT = 0x04,
  TT_FRAME_REFUSED = 0x05,
  TT_FRAME_GOODBYE = 0x06,
  TT_FRAME_RUN = 0x10,
  TT_FRAME_DATA = 0x11,
  TT_FRAME_CONTROL = 0x12,
  TT_FRAME_CREDIT = 0x13,
} tt_frame_type;

enum {
  TT_FLAG_WANTS_ANSWER = 1, /* HELLO */
  TT_FLAG_IN_ORDER = 1,     /* LEFT: after a GOODBYE */
  TT_FLAG_CLOSES = 1,       /* REFUSED: the connection closes */
  TT_FLAG_CONTINUES = 1,    /* DATA: more of the transfer begun before */
  TT_FLAG_FULFILS = 2,      /* DATA: its object was promised */
};

/* A worker id as bytes that somebody else owns; not zero-terminated. */
typedef struct tt_name {
  const char *bytes;
  uint8_t n_bytes;
} tt_name;

typedef struct tt_prelude {
  uint8_t type;
  uint16_t flags;
  uint32_t length; /* of the whole frame */
  uint32_t stream;
  uint64_t sequence;
  uint64_t acknowledgement;
  uint64_t credit;
  tt_name source;
  tt_name destination;
} tt_prelude;

const char *tt_frame_type_name(uint8_t type); /* "RUN"; "unknown" for a number that is no type. Never NULL */

tt_name
tt_name_of(const char *string); /* borrowed; a string longer than 255 bytes is cut, which tt_worker_id_check then refuses */
bool tt_name_equal(tt_name a, tt_name b);

/* 1 to 64 bytes of valid UTF-8 without control characters (U+0000 to U+001F, U+007F to U+009F). Errors: TT_ERR_ARGUMENT, quoting what is wrong. */
tt_status tt_worker_id_check(tt_name id, tt_error *error);

/* Bytes of a prelude with these ids: where the payload starts. */
size_t tt_prelude_bytes(size_t source_bytes, size_t destination_bytes);

/* Appends a prelude; its length field is `n_payload_bytes` plus the prelude's own. */
void tt_prelude_write(tt_buffer *buffer, const tt_prelude *prelude, size_t n_payload_bytes);

/* Overwrites the fields that are known only when a frame leaves, in a frame written before. */
void tt_prelude_patch(uint8_t *frame, uint32_t length, uint32_t stream, uint64_t sequence, uint64_t acknowledgement,
                      uint64_t credit);

/*
 * Reads the prelude of one whole frame of n_bytes. On success *payload and *n_payload_bytes tell the rest.
 * Errors: TT_ERR_PROTOCOL (garbage, cut short, too large, bad id, unknown type or flag), TT_ERR_VERSION.
 */
tt_status tt_prelude_read(const uint8_t *frame, size_t n_bytes, tt_prelude *prelude, const uint8_t **payload,
                          size_t *n_payload_bytes, tt_error *error);

/* How many bytes the frame that begins with these bytes has; 0 when fewer than TT_PRELUDE_PEEK_BYTES are there. For byte streams. Errors as above. */
tt_status tt_prelude_peek_length(const uint8_t *bytes, size_t n_bytes, size_t *frame_bytes, tt_error *error);

/*
 * u8 bytes, id: as ids stand in payloads. WELCOME has one after the other up to its end; JOINED and LEFT have one and nothing else
 * (tt_name_read_alone). Reading borrows from the bytes. Errors: TT_ERR_PROTOCOL (cut short, not a worker id, something behind it).
 */
void tt_name_write(tt_buffer *payload, tt_name name);
tt_status tt_name_read(tt_reader *reader, tt_name *name, tt_error *error);
tt_status tt_name_read_alone(const uint8_t *payload, size_t n_bytes, tt_name *name, tt_error *error);

/* REFUSED's payload; reading borrows from the payload. The id is empty when none is concerned. Errors: TT_ERR_PROTOCOL. */
typedef struct tt_refusal {
  tt_status status;
  uint8_t refused_type;
  tt_name id;
  const char *reason; /* not zero-terminated */
  size_t reason_bytes;
} tt_refusal;

void tt_refusal_write(tt_buffer *payload, tt_status status, uint8_t refused_type, tt_name id, const char *reason);
tt_status tt_refusal_read(const uint8_t *payload, size_t n_bytes, tt_refusal *refusal, tt_error *error);

#endif
