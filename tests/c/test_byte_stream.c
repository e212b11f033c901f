#define _GNU_SOURCE
/* Messages over byte streams, below any protocol: pausing, limits, and ends in good order. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "cmocka_all.h"
#include "net/address.h"
#include "net/byte_stream.h"
#include "net/connection.h"
#include "net/loop.h"

enum { DEADLINE_MS = 30000, MAX_MESSAGE = 300000, MAX_TAKEN = 4096 };

/* A message is a u32 that says how many bytes it has, itself included; 0xffffffff is none. */
static tt_status measure(const uint8_t *bytes, size_t n_bytes, size_t *message_bytes, tt_error *error) {
  assert_int_equal(n_bytes, 4);
  if (tt_load_u32(bytes) == UINT32_MAX) return tt_fail(error, TT_ERR_PROTOCOL, "no message has so many bytes");
  *message_bytes = tt_load_u32(bytes);
  return TT_OK;
}

static const tt_framing FRAMING = {.header_bytes = 4, .measure = measure};

/* One end, and what it has been told. */
typedef struct end {
  tt_connection *connection;
  int n_opened, n_closed, n_drained;
  unsigned code;
  char reason[256];
  size_t n_taken, sizes[MAX_TAKEN];
  bool is_sound;       /* every message was what its size says */
  size_t pauses_after; /* so many messages; 0: never */
} end;

static end near, far;
static tt_loop *loop;
static tt_byte_stream_server *server;

/* Accepted connections begin with the server's user; there is one at a time. */
static end *end_of(tt_connection *connection) { return tt_connection_user(connection); }

static void on_opened(tt_connection *connection) {
  end_of(connection)->connection = connection;
  end_of(connection)->n_opened++;
}

static void on_message(tt_connection *connection, tt_message *message) {
  end *to = end_of(connection);
  assert_false(message->is_text);
  assert_true(to->n_taken < MAX_TAKEN);
  to->sizes[to->n_taken++] = message->n_bytes;
  for (size_t i = 4; i < message->n_bytes; i++) to->is_sound = to->is_sound && message->bytes[i] == (uint8_t)(i * 7);
  if (to->pauses_after != 0 && to->n_taken == to->pauses_after) tt_connection_pause(connection);
}

static void on_drained(tt_connection *connection) { end_of(connection)->n_drained++; }

static void on_closed(tt_connection *connection, unsigned code, const char *reason) {
  end *of = end_of(connection);
  of->n_closed++;
  of->code = code;
  snprintf(of->reason, sizeof of->reason, "%s", reason);
  of->connection = NULL;
}

static const tt_connection_events EVENTS = {
    .opened = on_opened, .message = on_message, .drained = on_drained, .closed = on_closed};

#define UNTIL(is_so)                                                        \
  do {                                                                      \
    int64_t deadline_ms = tt_clock_ms() + DEADLINE_MS;                      \
    while (!(is_so)) {                                                      \
      if (tt_clock_ms() > deadline_ms) fail_msg("not in time: %s", #is_so); \
      tt_loop_pass(loop, 20);                                               \
    }                                                                       \
  } while (false)

static tt_byte_stream_options options_of(end *of, const char *url) {
  return (tt_byte_stream_options){
      .url = url, .framing = &FRAMING, .events = &EVENTS, .user = of, .max_message_bytes = MAX_MESSAGE};
}

static int set_up(void **state) {
  (void)state;
  tt_error error;
  near = (end){.is_sound = true};
  far = (end){.is_sound = true};
  assert_int_equal(tt_loop_new(&loop, NULL), TT_OK);
  const tt_byte_stream_options listen = options_of(&far, "tcp://127.0.0.1:0");
  if (tt_byte_stream_server_new(loop, &listen, &server, &error) != TT_OK) fail_msg("%s", error.message);
  const tt_byte_stream_options dial = options_of(&near, tt_byte_stream_server_url(server));
  if (tt_byte_stream_connect(loop, &dial, &near.connection, &error) != TT_OK) fail_msg("%s", error.message);
  UNTIL(near.n_opened == 1 && far.n_opened == 1);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  tt_byte_stream_server_free(server);
  tt_loop_free(loop); /* which ends what is open */
  assert_int_equal(near.n_closed, 1);
  assert_int_equal(far.n_closed, 1);
  return 0;
}

static void put(tt_buffer *bytes, size_t n_bytes) {
  size_t begins = bytes->n_bytes;
  tt_buffer_u32(bytes, (uint32_t)n_bytes);
  for (size_t i = 4; i < n_bytes; i++) tt_buffer_u8(bytes, (uint8_t)(i * 7));
  assert_int_equal(bytes->n_bytes - begins, n_bytes);
}

/* To this floor what is sent is bytes: several messages may be one of them. */
static void send_bytes(end *from, tt_buffer *take_bytes) {
  assert_false(take_bytes->failed);
  assert_int_equal(tt_connection_send(from->connection, take_bytes->bytes, take_bytes->n_bytes, NULL), TT_OK);
  tt_buffer_release(take_bytes);
}

static void send_message(end *from, size_t n_bytes) {
  tt_buffer bytes;
  tt_buffer_init(&bytes);
  put(&bytes, n_bytes);
  send_bytes(from, &bytes);
}

static void messages_of_every_size_both_ways(void **state) {
  (void)state;
  static const size_t SIZES[] = {4, 5, 100, 65535, 65536, 65537, 131072, MAX_MESSAGE, 4, 12, 4};
  enum { N = sizeof SIZES / sizeof *SIZES };
  for (size_t i = 0; i < N; i++) {
    send_message(&near, SIZES[i]);
    send_message(&far, SIZES[N - 1 - i]);
  }
  UNTIL(near.n_taken == N && far.n_taken == N);
  for (size_t i = 0; i < N; i++) {
    assert_int_equal(far.sizes[i], SIZES[i]);
    assert_int_equal(near.sizes[i], SIZES[N - 1 - i]);
  }
  assert_true(near.is_sound && far.is_sound);
  UNTIL(near.n_drained > 0);
  assert_int_equal(tt_connection_queued_bytes(near.connection), 0);
}

/* Many come in one read; none comes behind the one that pauses, and all of them later. */
static void a_pause_holds_what_came_with_it(void **state) {
  (void)state;
  enum { N = 500 };
  tt_buffer bytes;
  tt_buffer_init(&bytes);
  for (int i = 0; i < N; i++) put(&bytes, 20 + (size_t)i % 50);
  far.pauses_after = 3;
  send_bytes(&near, &bytes);
  UNTIL(far.n_taken == 3);
  for (int i = 0; i < 20; i++) tt_loop_pass(loop, 1);
  assert_int_equal(far.n_taken, 3);
  far.pauses_after = 7;
  tt_connection_resume(far.connection);
  assert_int_equal(far.n_taken, 3); /* not from within a call */
  UNTIL(far.n_taken == 7);
  for (int i = 0; i < 20; i++) tt_loop_pass(loop, 1);
  assert_int_equal(far.n_taken, 7);
  far.pauses_after = 0;
  tt_connection_resume(far.connection);
  UNTIL(far.n_taken == N);
  for (size_t i = 0; i < N; i++) assert_int_equal(far.sizes[i], 20 + i % 50);
  assert_true(far.is_sound);
}

/* Without memory for what came behind a message that pauses, the connection ends and says so. */
static void a_pause_without_memory(void **state) {
  (void)state;
  tt_buffer bytes;
  tt_buffer_init(&bytes);
  for (int i = 0; i < 10; i++) put(&bytes, 20);
  far.pauses_after = 3;
  send_bytes(&near, &bytes);
  tt_alloc_fail_after(0);
  UNTIL(far.n_closed == 1);
  tt_alloc_fail_after(-1);
  assert_int_equal(far.n_taken, 3);
  assert_int_equal(far.code, TT_CLOSE_ABNORMAL);
  assert_non_null(strstr(far.reason, "no memory"));
  UNTIL(near.n_closed == 1);
}

static void what_is_queued_leaves_before_the_end(void **state) {
  (void)state;
  for (int i = 0; i < 30; i++) send_message(&near, MAX_MESSAGE);
  tt_connection_close(near.connection, TT_CLOSE_NORMAL, "done");
  assert_int_equal(tt_connection_send(near.connection, "x", 1, NULL), TT_ERR_STATE);
  UNTIL(near.n_closed == 1 && far.n_closed == 1);
  assert_int_equal(far.n_taken, 30);
  assert_true(far.is_sound);
  assert_int_equal(far.code, TT_CLOSE_NORMAL);
  assert_int_equal(near.code, TT_CLOSE_NORMAL);
  assert_string_equal(near.reason, "done");
}

static void an_end_in_the_middle_of_a_message(void **state) {
  (void)state;
  tt_buffer bytes;
  tt_buffer_init(&bytes);
  put(&bytes, 50);
  put(&bytes, 50);
  bytes.n_bytes -= 10;
  send_bytes(&near, &bytes);
  tt_connection_close(near.connection, TT_CLOSE_NORMAL, NULL);
  UNTIL(far.n_closed == 1 && near.n_closed == 1);
  assert_int_equal(far.n_taken, 1);
  assert_int_equal(far.code, TT_CLOSE_ABNORMAL);
  assert_non_null(strstr(far.reason, "in the middle of a message"));
}

static void a_message_that_is_too_long(void **state) {
  (void)state;
  send_message(&near, MAX_MESSAGE + 1);
  UNTIL(far.n_closed == 1 && near.n_closed == 1);
  assert_int_equal(far.n_taken, 0);
  assert_int_equal(far.code, TT_CLOSE_TOO_BIG);
}

/* What cannot be measured is handed on once, as it is, and is the last. */
static void a_message_that_cannot_be_measured(void **state) {
  (void)state;
  tt_buffer bytes;
  tt_buffer_init(&bytes);
  put(&bytes, 30);
  tt_buffer_u32(&bytes, UINT32_MAX);
  tt_buffer_zeros(&bytes, 3);
  send_bytes(&near, &bytes);
  UNTIL(far.n_closed == 1 && near.n_closed == 1);
  assert_int_equal(far.n_taken, 2);
  assert_int_equal(far.sizes[1], 7);
  assert_non_null(strstr(far.reason, "no message has so many bytes"));
}

/* 0 to 3 bytes could never hold their own length: to go on would read the same place for ever. */
static void a_message_shorter_than_its_beginning(void **state) {
  (void)state;
  static const uint8_t zeros[8];
  assert_int_equal(tt_connection_send(near.connection, zeros, sizeof zeros, NULL), TT_OK);
  UNTIL(far.n_closed == 1 && near.n_closed == 1);
  assert_int_equal(far.n_taken, 1);
  assert_non_null(strstr(far.reason, "shorter than its own beginning"));
}

static void a_drop_is_reported_from_the_loop(void **state) {
  (void)state;
  send_message(&near, 100);
  tt_connection_drop(near.connection, "enough");
  assert_int_equal(near.n_closed, 0);
  UNTIL(near.n_closed == 1 && far.n_closed == 1);
  assert_string_equal(near.reason, "enough");
  assert_int_equal(near.code, TT_CLOSE_ABNORMAL);
}

static void addresses_are_read(void **state) {
  (void)state;
  static const struct {
    const char *text;
    tt_scheme scheme;
    const char *host;
    uint16_t port;
    const char *path;
  } GOOD[] = {
      {"tcp://127.0.0.1:7000", TT_SCHEME_TCP, "127.0.0.1", 7000, ""},
      {"TCP://lab.example:1/", TT_SCHEME_TCP, "lab.example", 1, ""},
      {"tls://[::1]:65535", TT_SCHEME_TLS, "::1", 65535, ""},
      {"unix:/run/x.sock", TT_SCHEME_UNIX, "", 0, "/run/x.sock"},
      {"unix:///run/x.sock", TT_SCHEME_UNIX, "", 0, "/run/x.sock"},
      {"unix:x", TT_SCHEME_UNIX, "", 0, "x"},
      {"ws://localhost", TT_SCHEME_WS, "localhost", 80, "/"},
      {"wss://localhost/a/b?c", TT_SCHEME_WSS, "localhost", 443, "/a/b?c"},
      {"ws://localhost:0/", TT_SCHEME_WS, "localhost", 0, "/"},
  };
  for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
    tt_address address;
    tt_error error;
    if (tt_address_parse(GOOD[i].text, &address, &error) != TT_OK) fail_msg("%s", error.message);
    assert_int_equal(address.scheme, GOOD[i].scheme);
    assert_string_equal(address.host, GOOD[i].host);
    assert_int_equal(address.port, GOOD[i].port);
    assert_string_equal(address.path, GOOD[i].path);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(messages_of_every_size_both_ways, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_pause_holds_what_came_with_it, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_pause_without_memory, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_queued_leaves_before_the_end, set_up, tear_down),
      cmocka_unit_test_setup_teardown(an_end_in_the_middle_of_a_message, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_message_that_is_too_long, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_message_that_cannot_be_measured, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_message_shorter_than_its_beginning, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_drop_is_reported_from_the_loop, set_up, tear_down),
      cmocka_unit_test(addresses_are_read),
  };
  return cmocka_run_group_tests_name("byte_stream", tests, NULL, NULL);
}
