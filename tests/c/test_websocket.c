/* websocket and upgrade: what a server reads before and after it has become a WebSocket, cut at every place, damaged, and at random. */
#include "cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/random.h"
#include "net/connection.h"
#include "net/send_queue.h"
#include "net/upgrade.h"
#include "net/websocket.h"

enum { MASKED = 0x80, FINAL = 0x80, RANDOM_STREAMS = 3000 };

static void append_frame(tt_buffer *stream, uint8_t first, const uint8_t *payload, size_t n_bytes, uint32_t mask) {
  tt_buffer_u8(stream, first);
  if (n_bytes < 126) {
    tt_buffer_u8(stream, (uint8_t)(MASKED | n_bytes));
  } else if (n_bytes <= UINT16_MAX) {
    tt_buffer_u8(stream, MASKED | 126);
    tt_buffer_u8(stream, (uint8_t)(n_bytes >> 8));
    tt_buffer_u8(stream, (uint8_t)n_bytes);
  } else {
    tt_buffer_u8(stream, MASKED | 127);
    for (int shift = 56; shift >= 0; shift -= 8) tt_buffer_u8(stream, (uint8_t)((uint64_t)n_bytes >> shift));
  }
  uint8_t key[4];
  tt_store_u32(key, mask);
  tt_buffer_append(stream, key, 4);
  for (size_t i = 0; i < n_bytes; i++) tt_buffer_u8(stream, payload[i] ^ key[i & 3]);
}

/* Reads all of a stream in chunks and writes what was read as text: what the chunks are must not show. */
static void read_all(const tt_buffer *stream, size_t (*next_chunk)(void *user, size_t n_left), void *user, tt_buffer *told) {
  uint8_t *bytes = tt_alloc(1, stream->n_bytes + 1);
  memcpy(bytes, stream->bytes, stream->n_bytes); /* which reading changes */
  tt_websocket websocket = {.left_bytes = 0};
  uint64_t sum = 0, n_message = 0;
  for (size_t at = 0; at < stream->n_bytes;) {
    size_t chunk = next_chunk(user, stream->n_bytes - at);
    /* A block of its own, so that a read beyond the chunk is found. */
    uint8_t *copy = tt_alloc(1, chunk);
    memcpy(copy, bytes + at, chunk);
    for (size_t taken = 0; taken < chunk;) {
      tt_websocket_step step = tt_websocket_read(&websocket, copy + taken, chunk - taken);
      if (step.event == TT_WEBSOCKET_WRONG) {
        tt_buffer_printf(told, "wrong %u %s\n", step.code, step.why);
        tt_free(copy);
        tt_free(bytes);
        return;
      }
      assert_true(step.n_taken > 0 && step.n_taken <= chunk - taken);
      taken += step.n_taken;
      if (step.event == TT_WEBSOCKET_PIECE) {
        for (size_t i = 0; i < step.n_bytes; i++) sum = sum * 31 + step.bytes[i];
        n_message += step.n_bytes;
        assert_int_equal(tt_websocket_payload_left(&websocket), step.n_left);
        if (!step.is_final) continue;
        tt_buffer_printf(told, "%s %llu %llx\n", step.is_text ? "text" : "binary", (unsigned long long)n_message,
                         (unsigned long long)sum);
        sum = n_message = 0;
      } else if (step.event != TT_WEBSOCKET_NOTHING) {
        tt_buffer_printf(told, "%d %u %.*s\n", step.event, step.event == TT_WEBSOCKET_CLOSE ? step.code : 0, (int)step.n_bytes,
                         (const char *)step.bytes);
      }
    }
    tt_free(copy);
    at += chunk;
  }
  tt_free(bytes);
}

static size_t fixed_chunk(void *user, size_t n_left) {
  size_t n_bytes = *(size_t *)user;
  return n_bytes < n_left ? n_bytes : n_left;
}

static size_t random_chunk(void *user, size_t n_left) {
  size_t n_bytes = 1 + (size_t)tt_generator_below(user, 40);
  return n_bytes < n_left ? n_bytes : n_left;
}

static size_t two_chunks(void *user, size_t n_left) {
  size_t first = *(size_t *)user;
  *(size_t *)user = SIZE_MAX;
  return first < n_left ? first : n_left;
}

static void append_conversation(tt_buffer *stream) {
  static uint8_t payload[70000];
  for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)(i * 7 + 1);
  append_frame(stream, FINAL | TT_FRAME_BINARY, payload, 0, 0x01020304);
  append_frame(stream, FINAL | TT_FRAME_TEXT, (const uint8_t *)"hello", 5, 0xfedcba98);
  append_frame(stream, TT_FRAME_BINARY, payload, 13, 0x11223344);
  append_frame(stream, FINAL | TT_FRAME_PING, (const uint8_t *)"between", 7, 0x55667788);
  append_frame(stream, TT_FRAME_CONTINUATION, payload, 0, 0x99aabbcc);
  append_frame(stream, FINAL | TT_FRAME_CONTINUATION, payload + 13, 126, 0xddeeff00);
  append_frame(stream, FINAL | TT_FRAME_PONG, payload, 0, 0);
  append_frame(stream, FINAL | TT_FRAME_BINARY, payload, 125, 0xa5a5a5a5);
  append_frame(stream, FINAL | TT_FRAME_CLOSE,
               (const uint8_t *)"\x03\xe8"
                                "bye",
               5, 0x0badf00d);
}

static void where_a_read_ends_does_not_show(void **state) {
  (void)state;
  tt_buffer stream, expected, told;
  tt_buffer_init(&stream);
  tt_buffer_init(&expected);
  tt_buffer_init(&told);
  append_conversation(&stream);
  size_t whole = SIZE_MAX;
  read_all(&stream, fixed_chunk, &whole, &expected);
  assert_string_equal(strchr(tt_buffer_string(&expected), '\n') + 1,
                      strstr(tt_buffer_string(&expected), "text 5")); /* the empty one and then "hello" */
  assert_non_null(strstr(tt_buffer_string(&expected), "2 0 between\nbinary 139 "));
  assert_non_null(strstr(tt_buffer_string(&expected), "4 1000 bye\n"));
  for (size_t at = 1; at < stream.n_bytes; at++) {
    size_t first = at;
    tt_buffer_clear(&told);
    read_all(&stream, two_chunks, &first, &told);
    assert_string_equal(tt_buffer_string(&told), tt_buffer_string(&expected));
  }
  for (size_t chunk = 1; chunk < 20; chunk++) {
    tt_buffer_clear(&told);
    read_all(&stream, fixed_chunk, &chunk, &told);
    assert_string_equal(tt_buffer_string(&told), tt_buffer_string(&expected));
  }
  tt_buffer_release(&stream);
  tt_buffer_release(&expected);
  tt_buffer_release(&told);
}

static void large_frames_are_unmasked_whole(void **state) {
  (void)state;
  enum { LARGEST = 262144 };
  uint8_t *payload = tt_alloc(1, LARGEST);
  for (size_t i = 0; i < LARGEST; i++) payload[i] = (uint8_t)(i * 31 + (i >> 8));
  static const size_t SIZES[] = {126, 127, 65535, 65536, LARGEST};
  for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
    tt_buffer stream;
    tt_buffer_init(&stream);
    append_frame(&stream, FINAL | TT_FRAME_BINARY, payload, SIZES[i], 0x89abcdef);
    tt_websocket websocket = {.left_bytes = 0};
    uint8_t *got = tt_alloc(1, SIZES[i]);
    size_t n_got = 0;
    for (size_t at = 0, chunk = 1; at < stream.n_bytes; chunk = chunk * 3 + 1) {
      size_t n_bytes = stream.n_bytes - at < chunk ? stream.n_bytes - at : chunk;
      tt_websocket_step step = tt_websocket_read(&websocket, stream.bytes + at, n_bytes);
      if (step.event == TT_WEBSOCKET_PIECE && step.n_bytes > 0) memcpy(got + n_got, step.bytes, step.n_bytes);
      n_got += step.n_bytes;
      at += step.n_taken;
    }
    assert_int_equal(n_got, SIZES[i]);
    assert_memory_equal(got, payload, n_got);
    tt_free(got);
    tt_buffer_release(&stream);
  }
  tt_free(payload);
}

static void what_must_not_come_is_told_by_its_code(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t n_bytes;
    unsigned code;
  } CASES[] = {
#define CASE(text, number) {text, sizeof text - 1, number}
      CASE("\xc2\x80\0\0\0\0", TT_CLOSE_PROTOCOL),                 /* a reserved bit */
      CASE("\x82\x01x", TT_CLOSE_PROTOCOL),                        /* no mask */
      CASE("\x83\x80\0\0\0\0", TT_CLOSE_PROTOCOL),                 /* opcodes of nobody */
      CASE("\x8b\x80\0\0\0\0", TT_CLOSE_PROTOCOL),                 /* */
      CASE("\x80\x80\0\0\0\0", TT_CLOSE_PROTOCOL),                 /* continues nothing */
      CASE("\x02\x80\0\0\0\0\x82\x80\0\0\0\0", TT_CLOSE_PROTOCOL), /* a message within another */
      CASE("\x09\x80\0\0\0\0", TT_CLOSE_PROTOCOL),                 /* a ping in fragments */
      CASE("\x89\xfe\x00\x7e\0\0\0\0", TT_CLOSE_PROTOCOL),         /* a ping of 126 bytes */
      CASE("\x88\x81\0\0\0\0\x03", TT_CLOSE_PROTOCOL),             /* half a close code */
      CASE("\x88\x82\0\0\0\0\x03\xed", TT_CLOSE_PROTOCOL),         /* 1005 */
      CASE("\x88\x82\0\0\0\0\x0b\xb7", TT_CLOSE_PROTOCOL),         /* 2999 */
      CASE("\x88\x82\0\0\0\0\x13\x88", TT_CLOSE_PROTOCOL),         /* 5000 */
      CASE("\x88\x83\0\0\0\0\x03\xe8\xff", TT_CLOSE_BAD_TEXT),     /* a reason that is no text */
#undef CASE
  };
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    for (size_t chunk = 1; chunk <= CASES[i].n_bytes; chunk++) {
      tt_buffer stream, told;
      tt_buffer_init(&stream);
      tt_buffer_init(&told);
      tt_buffer_append(&stream, CASES[i].bytes, CASES[i].n_bytes);
      tt_buffer_append(&stream, "0123456789abcdef", 16); /* so that it is read where it lies as well */
      size_t size = chunk == CASES[i].n_bytes ? SIZE_MAX : chunk;
      read_all(&stream, fixed_chunk, &size, &told);
      unsigned code = 0;
      const char *wrong = strstr(tt_buffer_string(&told), "wrong ");
      assert_non_null(wrong);
      assert_int_equal(sscanf(wrong, "wrong %u", &code), 1);
      assert_int_equal(code, CASES[i].code);
      tt_buffer_release(&stream);
      tt_buffer_release(&told);
    }
  }
}

/* Frames at random, some of them damaged: however they are cut, the same is read, and never a byte too many. */
static void nothing_that_comes_reads_beyond_its_end(void **state) {
  (void)state;
  tt_generator random;
  tt_generator_init(&random, 4);
  static const uint8_t FIRSTS[] = {0x82, 0x81, 0x02, 0x01, 0x00, 0x80, 0x89, 0x8a, 0x88};
  uint8_t payload[200];
  for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)i;
  for (int round = 0; round < RANDOM_STREAMS; round++) {
    tt_buffer stream, whole, cut;
    tt_buffer_init(&stream);
    tt_buffer_init(&whole);
    tt_buffer_init(&cut);
    for (int64_t n = 1 + tt_generator_below(&random, 6); n > 0; n--) {
      append_frame(&stream, FIRSTS[tt_generator_below(&random, sizeof FIRSTS)], payload,
                   (size_t)tt_generator_below(&random, sizeof payload), tt_generator_u32(&random));
    }
    for (int64_t n = tt_generator_below(&random, 4); n > 0; n--) {
      stream.bytes[tt_generator_below(&random, stream.n_bytes)] = (uint8_t)tt_generator_u32(&random);
    }
    size_t all = SIZE_MAX;
    read_all(&stream, fixed_chunk, &all, &whole);
    read_all(&stream, random_chunk, &random, &cut);
    assert_string_equal(tt_buffer_string(&cut), tt_buffer_string(&whole));
    tt_buffer_release(&stream);
    tt_buffer_release(&whole);
    tt_buffer_release(&cut);
  }
}

/* Upgrades. */

static const char REQUEST[] = "GET /chat?room=1 HTTP/1.1\r\nHost: localhost:8080\r\nupgrade: WebSocket\r\n"
                              "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              "Origin:http://localhost:8080\r\nSec-WebSocket-Version: 13\r\nX-Else: \t any: thing \r\n\r\n";

static bool is_upgrade(const char *head, tt_upgrade *upgrade) { return tt_upgrade_read(head, strlen(head), upgrade); }

static void an_upgrade_is_read_and_answered(void **state) {
  (void)state;
  tt_upgrade upgrade;
  assert_true(is_upgrade(REQUEST, &upgrade));
  assert_string_equal(upgrade.path, "/chat");
  assert_string_equal(upgrade.host, "localhost:8080");
  assert_string_equal(upgrade.origin, "http://localhost:8080");
  char answer[TT_MAX_UPGRADE_ANSWER_BYTES];
  size_t n_bytes = tt_upgrade_write_answer(&upgrade, answer);
  assert_int_equal(n_bytes, strlen(answer));
  assert_non_null(strstr(answer, "HTTP/1.1 101 "));
  assert_non_null(strstr(answer, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")); /* RFC 6455, section 1.3 */
  assert_string_equal(answer + strlen(answer) - 4, "\r\n\r\n");
}

/* The request with its first `from` replaced. */
static const char *with(const char *from, const char *to, char changed[1024]) {
  const char *at = strstr(REQUEST, from);
  assert_non_null(at);
  snprintf(changed, 1024, "%.*s%s%s", (int)(at - REQUEST), REQUEST, to, at + strlen(from));
  return changed;
}

static void all_else_is_left_to_the_library(void **state) {
  (void)state;
  static const char *CHANGES[][2] = {
      {"GET", "POST"},
      {"GET ", ""},
      {"HTTP/1.1", "HTTP/1.0"},
      {"/chat", "chat"},
      {"/chat", "/%63hat"},
      {"/chat", "//chat"},
      {"/chat", "/a/../chat"},
      {"Host: localhost:8080\r\n", ""},
      {"Host: localhost:8080\r\n", "Host: a\r\nHost: b\r\n"},
      {"Host: localhost", "Host : localhost"},
      {"WebSocket", "h2c"},
      {"upgrade: WebSocket\r\n", ""},
      {"upgrade: WebSocket\r\n", "Upgrade: websocket\r\nUpgrade: websocket\r\n"},
      {"keep-alive, Upgrade", "keep-alive"},
      {"keep-alive, Upgrade", "upgraded"},
      {"dGhlIHNhbXBsZSBub25jZQ==", "short"},
      {"Sec-WebSocket-Key", "Sec-WebSocket-Kex"},
      {"Origin:http", "Origin: null\r\nOrigin:http"},
      {"Version: 13", "Version: 8"},
      {"X-Else: ", "Content-Length: 5"},
      {"X-Else: ", "Transfer-Encoding: chunked"},
      {"X-Else: ", "Sec-WebSocket-Protocol: chat"},
      {"X-Else: ", " folded: "},
      {"X-Else: ", "no colon"},
      {"X-Else: ", ": no name"},
      {"any: thing", "any \x01 thing"},
      {"any: thing", "any \n thing"},
      {"/chat", "/ch\tat"},
  };
  tt_upgrade upgrade;
  char changed[1024];
  for (size_t i = 0; i < sizeof CHANGES / sizeof *CHANGES; i++) {
    const char *head = with(CHANGES[i][0], CHANGES[i][1], changed);
    if (strcmp(CHANGES[i][1], "no colon") == 0) *strchr(strstr(changed, "no colon"), ':') = ' ';
    if (is_upgrade(head, &upgrade)) fail_msg("taken: %s instead of %s", CHANGES[i][1], CHANGES[i][0]);
  }
  char long_host[TT_MAX_UPGRADE_VALUE_BYTES + 16];
  memset(long_host, 'x', sizeof long_host);
  memcpy(long_host, "Host: ", 6);
  long_host[sizeof long_host - 1] = '\0';
  assert_false(is_upgrade(with("Host: localhost:8080", long_host, changed), &upgrade));
  for (size_t n_bytes = 0; n_bytes < strlen(REQUEST) - 2;
       n_bytes++) { /* in a block of its own, so that a read beyond it is found */
    char *head = tt_alloc(1, n_bytes);
    memcpy(head, REQUEST, n_bytes);
    tt_upgrade_read(head, n_bytes, &upgrade);
    tt_free(head);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(where_a_read_ends_does_not_show),        cmocka_unit_test(large_frames_are_unmasked_whole),
      cmocka_unit_test(what_must_not_come_is_told_by_its_code), cmocka_unit_test(nothing_that_comes_reads_beyond_its_end),
      cmocka_unit_test(an_upgrade_is_read_and_answered),        cmocka_unit_test(all_else_is_left_to_the_library),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
