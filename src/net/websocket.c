#include "net/websocket.h"

#include <string.h>

#include "base/buffer.h"
#include "base/utf8.h"
#include "net/connection.h"
#include "net/send_queue.h"

enum {
  FINAL_FRAME = 0x80,
  RESERVED_BITS = 0x70,
  OPCODE = 0x0f,
  CONTROL_BIT = 0x08,
  MASKED = 0x80,
  LENGTH = 0x7f,
  LENGTH_IN_2_BYTES = 126,
  LENGTH_IN_8_BYTES = 127,
};

static tt_websocket_step wrong(unsigned code, const char *why) {
  return (tt_websocket_step){.event = TT_WEBSOCKET_WRONG, .code = code, .why = why};
}

/* What the first two bytes of a header may be, which tell its length; NULL: nothing is wrong. */
static const char *judge_header(const tt_websocket *websocket, const uint8_t *header) {
  uint8_t opcode = header[0] & OPCODE;
  if ((header[0] & RESERVED_BITS) != 0) return "a frame has a reserved bit, and no extension was agreed on";
  if ((header[1] & MASKED) == 0) return "a client's frame is not masked";
  switch (opcode) {
  case TT_FRAME_CONTINUATION:
    return websocket->in_message ? NULL : "a frame continues a message, and none has begun";
  case TT_FRAME_TEXT:
  case TT_FRAME_BINARY:
    return websocket->in_message ? "a message begins within another" : NULL;
  case TT_FRAME_CLOSE:
  case TT_FRAME_PING:
  case TT_FRAME_PONG:
    if ((header[0] & FINAL_FRAME) == 0) return "a control frame is in fragments";
    return (header[1] & LENGTH) <= TT_MAX_CONTROL_BYTES ? NULL : "a control frame has more than 125 bytes";
  default:
    return "a frame has an unknown opcode";
  }
}

static size_t header_bytes(const uint8_t *header) {
  uint8_t length = header[1] & LENGTH;
  return 2 + (length == LENGTH_IN_8_BYTES ? 8 : length == LENGTH_IN_2_BYTES ? 2 : 0) + 4;
}

static void begin_frame(tt_websocket *websocket, const uint8_t *header) {
  size_t n_bytes = header_bytes(header);
  uint64_t length = header[1] & LENGTH;
  if (n_bytes > 2 + 4) {
    length = 0;
    for (size_t i = 2; i < n_bytes - 4; i++) length = length << 8 | header[i];
  }
  uint64_t mask = tt_load_u32(header + n_bytes - 4);
  websocket->mask = mask << 32 | mask;
  websocket->left_bytes = length;
  websocket->opcode = header[0] & OPCODE;
  websocket->is_final = (header[0] & FINAL_FRAME) != 0;
  websocket->is_control = (header[0] & CONTROL_BIT) != 0;
  websocket->in_frame = true;
  websocket->n_control = 0;
  if (websocket->is_control) return;
  websocket->in_message = true;
  if (websocket->opcode != TT_FRAME_CONTINUATION) websocket->is_text = websocket->opcode == TT_FRAME_TEXT;
}

/* Takes a header, or a part of it, and answers what is wrong with it. */
static const char *take_header(tt_websocket *websocket, const uint8_t *bytes, size_t n_bytes, size_t *n_taken) {
  const char *why = NULL;
  if (websocket->n_header == 0 && n_bytes >= TT_MAX_WEBSOCKET_HEADER_BYTES) {
    why = judge_header(websocket, bytes);
    if (why != NULL) return why;
    *n_taken = header_bytes(bytes);
    begin_frame(websocket, bytes);
    return NULL;
  }
  for (*n_taken = 0; *n_taken < n_bytes;) {
    websocket->header[websocket->n_header++] = bytes[(*n_taken)++];
    if (websocket->n_header == 2 && (why = judge_header(websocket, websocket->header)) != NULL) return why;
    if (websocket->n_header < 2 || websocket->n_header < header_bytes(websocket->header)) continue;
    begin_frame(websocket, websocket->header);
    websocket->n_header = 0;
    return NULL;
  }
  return NULL;
}

static void unmask(tt_websocket *websocket, uint8_t *bytes, size_t n_bytes) {
  uint64_t mask = websocket->mask;
  size_t i = 0;
  for (; i + 8 <= n_bytes; i += 8) { /* which the compiler makes vectors of */
    uint64_t word;
    memcpy(&word, bytes + i, 8);
    word ^= mask;
    memcpy(bytes + i, &word, 8);
  }
  for (; i < n_bytes; i++) {
    bytes[i] ^= (uint8_t)mask;
    mask = mask >> 8 | mask << 56;
  }
  websocket->mask = mask;
}

static bool may_be_sent(unsigned code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static tt_websocket_step end_control(const tt_websocket *websocket) {
  const uint8_t *payload = websocket->control;
  tt_websocket_step step = {.event = TT_WEBSOCKET_PONG, .bytes = payload, .n_bytes = websocket->n_control};
  if (websocket->opcode == TT_FRAME_PING) step.event = TT_WEBSOCKET_PING;
  if (websocket->opcode != TT_FRAME_CLOSE) return step;
  step.event = TT_WEBSOCKET_CLOSE;
  step.code = TT_CLOSE_NO_CODE;
  if (websocket->n_control == 0) return step;
  if (websocket->n_control == 1) return wrong(TT_CLOSE_PROTOCOL, "a close frame has half a code");
  step.code = (unsigned)payload[0] << 8 | payload[1];
  step.bytes += 2;
  step.n_bytes -= 2;
  if (!may_be_sent(step.code)) return wrong(TT_CLOSE_PROTOCOL, "a close frame has a code that must not be sent");
  if (!tt_utf8_is_valid((const char *)step.bytes, step.n_bytes)) {
    return wrong(TT_CLOSE_BAD_TEXT, "the reason in a close frame is not valid UTF-8");
  }
  return step;
}

tt_websocket_step tt_websocket_read(tt_websocket *websocket, uint8_t *bytes, size_t n_bytes) {
  size_t n_taken = 0;
  if (!websocket->in_frame) {
    const char *why = take_header(websocket, bytes, n_bytes, &n_taken);
    if (why != NULL) return wrong(TT_CLOSE_PROTOCOL, why);
    if (!websocket->in_frame) return (tt_websocket_step){.event = TT_WEBSOCKET_NOTHING, .n_taken = n_taken};
  }
  uint8_t *payload = bytes + n_taken;
  size_t n = n_bytes - n_taken;
  if (n > websocket->left_bytes) n = (size_t)websocket->left_bytes;
  unmask(websocket, payload, n);
  websocket->left_bytes -= n;
  if (websocket->left_bytes == 0) websocket->in_frame = false;
  tt_websocket_step step = {.event = TT_WEBSOCKET_NOTHING};
  if (websocket->is_control) {
    if (n > 0) memcpy(websocket->control + websocket->n_control, payload, n);
    websocket->n_control += (uint8_t)n;
    if (!websocket->in_frame) step = end_control(websocket);
  } else {
    step = (tt_websocket_step){.event = TT_WEBSOCKET_PIECE,
                               .bytes = payload,
                               .n_bytes = n,
                               .n_left = (size_t)websocket->left_bytes,
                               .is_final = !websocket->in_frame && websocket->is_final,
                               .is_text = websocket->is_text};
    if (step.is_final) websocket->in_message = false;
  }
  step.n_taken = n_taken + n;
  return step;
}

size_t tt_websocket_payload_left(const tt_websocket *websocket) {
  return websocket->in_frame && !websocket->is_control ? (size_t)websocket->left_bytes : 0;
}
