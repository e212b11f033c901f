/*
 * json: what every reader of JSON in wire/ begins with, and how every writer writes a string. The rest is the reader's own walk over cJSON's tree.
 */
#ifndef TT_WIRE_JSON_H
#define TT_WIRE_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

struct cJSON; /* of <cjson/cJSON.h>, which a reader includes itself */

/*
 * One JSON object of at most TT_MAX_JSON_DEPTH levels and nothing else. *root is the caller's, cJSON_Delete. Errors: TT_ERR_PROTOCOL (the sentence goes
 * on from "it": prefix it), TT_ERR_MEMORY.
 */
tt_status tt_json_parse(const uint8_t *json, size_t n_bytes, struct cJSON **root, tt_error *error);

/* Appends a string in quotes. Text from inside may quote a peer's bytes: what is no UTF-8 becomes U+FFFD, so that a message always arrives. */
void tt_json_write_text(tt_buffer *json, const char *text, size_t n_bytes);

#endif
