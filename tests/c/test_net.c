/* net: the pure parts, and a server and clients that talk within one loop. What the wire carries is in tests/js/relay.test.js. */
#include "cmocka_all.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/client.h"
#include "net/http_path.h"
#include "net/origin.h"
#include "net/send_queue.h"
#include "net/server.h"

/* Pure parts. */

static void paths_stay_inside_the_folder(void **state) {
  (void)state;
  const char *safe[] = {"/", "/index.html", "/a/b/c.js", "/a/", "/a..b", "/a.", "/%", "/\xc3\xbc.html"};
  for (size_t i = 0; i < sizeof safe / sizeof *safe; i++) assert_true(tt_http_path_is_safe(safe[i], strlen(safe[i])));
  const char *unsafe[] = {"",      "a",     "../a", "/..",   "/../a", "/a/../b", "/.",   "/./a",
                          "/.git", "/a/.b", "//a",  "/a//b", "/a\\b", "/a\nb",   "/\x7f"};
  for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++) assert_false(tt_http_path_is_safe(unsafe[i], strlen(unsafe[i])));
  assert_false(tt_http_path_is_safe("/a\0b", 4));
  char longest[TT_MAX_HTTP_PATH_BYTES + 1];
  memset(longest, 'a', sizeof longest);
  longest[0] = '/';
  assert_true(tt_http_path_is_safe(longest, TT_MAX_HTTP_PATH_BYTES));
  assert_false(tt_http_path_is_safe(longest, sizeof longest));
}

static void content_types_follow_the_ending(void **state) {
  (void)state;
  assert_string_equal(tt_http_content_type("/x/core.wasm"), "application/wasm");
  assert_string_equal(tt_http_content_type("/x/APP.JS"), "text/javascript; charset=utf-8");
  assert_string_equal(tt_http_content_type("/x.js/plain"), "application/octet-stream");
  assert_string_equal(tt_http_content_type("/x/.."), "application/octet-stream");
}

static void own_pages_are_known_by_origin_and_host(void **state) {
  (void)state;
  assert_true(tt_origin_is_own("http://localhost:8080", "localhost:8080"));
  assert_true(tt_origin_is_own("http://LOCALHOST:8080", "localhost:8080"));
  assert_true(tt_origin_is_own("https://localhost:8443", "localhost:8443")); /* behind a proxy with TLS */
  assert_true(tt_origin_is_own("http://127.0.0.1:1", "127.0.0.1:1"));
  assert_true(tt_origin_is_own("http://[::1]:8080", "[::1]:8080"));
  assert_true(tt_origin_is_own("http://192.168.1.7:8080", "192.168.1.7:8080"));
  assert_true(tt_origin_is_own("http://localhost", "localhost"));
  assert_true(tt_origin_is_own("http://localhost", "localhost:80"));
  assert_true(tt_origin_is_own("https://localhost", "localhost:443"));
  assert_false(tt_origin_is_own("http://localhost:8081", "localhost:8080"));
  assert_false(tt_origin_is_own("http://localhost", "localhost:8080"));
  assert_false(tt_origin_is_own("http://127.0.0.1:8080", "localhost:8080"));
  assert_false(tt_origin_is_own("http://evil.example:8080", "localhost:8080"));
  assert_false(tt_origin_is_own("http://evil.example:8080", "evil.example:8080")); /* rebinding */
  assert_false(tt_origin_is_own("http://127.0.0.1.evil.example:8080", "127.0.0.1.evil.example:8080"));
  assert_false(tt_origin_is_own("http://localhost.evil.example", "localhost.evil.example"));
  const char *broken[] = {"",
                          "null",
                          "localhost:8080",
                          "http://",
                          "://localhost:8080",
                          "http://localhost:8080/",
                          "http://localhost:8080x",
                          "http://localhost:",
                          "http://localhost:808080",
                          "http://u@localhost:8080",
                          "ftp://localhost:8080",
                          "http://[::1:8080"};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) assert_false(tt_origin_is_own(broken[i], "localhost:8080"));
  assert_false(tt_origin_is_own("http://[]:8080", "[]:8080"));
  assert_false(tt_origin_is_own("http://localhost:8080", ""));
}

static void origins_compare_as_browsers_do(void **state) {
  (void)state;
  assert_true(tt_origin_equal("https://lab.example", "https://lab.example:443"));
  assert_true(tt_origin_equal("HTTPS://Lab.Example", "https://lab.example"));
  assert_true(tt_origin_equal("null", "null"));
  assert_false(tt_origin_equal("https://lab.example", "http://lab.example"));
  assert_false(tt_origin_equal("https://lab.example", "https://lab.example:8443"));
  assert_false(tt_origin_equal("https://lab.example", "null"));
  tt_error error;
  assert_int_equal(tt_origin_check("https://lab.example", &error), TT_OK);
  assert_int_equal(tt_origin_check("null", &error), TT_OK);
  assert_int_equal(tt_origin_check("*", &error), TT_ERR_ARGUMENT);
  assert_int_equal(tt_origin_check("lab.example", &error), TT_ERR_ARGUMENT);
  assert_int_equal(tt_origin_check("https://lab.example/page", &error), TT_ERR_ARGUMENT);
}

/* Reads one frame; returns its bytes. */
static size_t read_frame(const uint8_t *at, uint8_t *opcode, uint8_t *payload, size_t *n_bytes) {
  assert_true(at[0] & 0x80);
  *opcode = at[0] & 0x0f;
  size_t header = 2;
  uint64_t length = at[1] & 0x7f;
  size_t n_more = length == 126 ? 2 : length == 127 ? 8 : 0;
  if (n_more > 0) length = 0;
  for (size_t i = 0; i < n_more; i++) length = length << 8 | at[header++];
  const uint8_t *mask = NULL;
  if (at[1] & 0x80) {
    mask = at + header;
    header += 4;
  }
  for (size_t i = 0; i < length; i++) payload[i] = at[header + i] ^ (mask != NULL ? mask[i & 3] : 0);
  *n_bytes = length;
  return header + length;
}

static void frames_gather_in_whole_blocks(void **state) {
  (void)state;
  static const size_t SIZES[] = {0, 1, 125, 126, 127, 1000, 65535, 65536, 200000, 3, 70000, 5, 9};
  enum { N_SIZES = sizeof SIZES / sizeof *SIZES, LARGEST = 200000, N_ROUNDS = 40 };
  uint8_t *bytes = tt_alloc(2, LARGEST), *got = bytes + LARGEST;
  for (size_t i = 0; i < LARGEST; i++) bytes[i] = (uint8_t)(i * 31);
  for (int masks = 0; masks < 2; masks++) {
    tt_send_queue queue;
    tt_send_queue_init(&queue, masks == 1 ? TT_FRAMING_MASKED : TT_FRAMING_SERVER);
    for (size_t i = 0; i < N_ROUNDS * N_SIZES; i++) {
      size_t n_bytes = SIZES[i % N_SIZES];
      if (masks == 0 && i % 5 == 0) {
        tt_block *block = tt_block_new(n_bytes);
        memcpy(block->bytes + block->end, bytes, n_bytes);
        block->end += n_bytes;
        tt_send_queue_take_block(&queue, TT_FRAME_BINARY, block);
      } else {
        assert_true(tt_send_queue_frame(&queue, TT_FRAME_BINARY, bytes, n_bytes));
      }
    }
    size_t i = 0;
    for (tt_block *block; (block = tt_send_queue_next(&queue)) != NULL;) {
      size_t at = block->begin;
      while (at < block->end) {
        uint8_t opcode;
        size_t n_bytes;
        at += read_frame(block->bytes + at, &opcode, got, &n_bytes);
        assert_int_equal(opcode, TT_FRAME_BINARY);
        assert_int_equal(n_bytes, SIZES[i++ % N_SIZES]);
        assert_memory_equal(got, bytes, n_bytes);
      }
      assert_int_equal(at, block->end);
      tt_free(block);
    }
    assert_int_equal(i, N_ROUNDS * N_SIZES);
    assert_int_equal(queue.n_bytes, 0);
  }
  tt_free(bytes);
}

static void a_pass_of_small_frames_is_one_block(void **state) {
  (void)state;
  tt_send_queue queue;
  tt_send_queue_init(&queue, TT_FRAMING_SERVER);
  for (int i = 0; i < 400; i++) assert_true(tt_send_queue_frame(&queue, TT_FRAME_BINARY, "0123456789", 10));
  assert_int_equal(queue.n_bytes, 400 * 12);
  tt_block *only = tt_send_queue_next(&queue);
  assert_int_equal(only->end - only->begin, 400 * 12);
  assert_null(tt_send_queue_next(&queue));
  tt_free(only);
}

static void a_queue_without_memory_keeps_what_it_has(void **state) {
  (void)state;
  tt_send_queue queue;
  tt_send_queue_init(&queue, TT_FRAMING_SERVER);
  assert_true(tt_send_queue_frame(&queue, TT_FRAME_TEXT, "first", 5));
  static const uint8_t LARGE[100000];
  tt_alloc_fail_after(0);
  assert_false(tt_send_queue_frame(&queue, TT_FRAME_BINARY, LARGE, sizeof LARGE));
  tt_alloc_fail_after(-1);
  assert_int_equal(queue.n_bytes, 7);
  tt_send_queue_release(&queue);
  assert_int_equal(queue.n_bytes, 0);
}

/* A server and its clients in one loop. */

enum { MAX_MESSAGE = 300000, PATIENCE_MS = 10000, N_SIDES = 2 };

typedef struct side {
  tt_connection *connection;
  int n_opened, n_messages, n_unsent, n_drained, n_closed;
  size_t n_bytes;
  unsigned close_code;
  char reason[128];
  char last[32];
  bool echoes, closes_on_message, pauses_on_message;
} side;

typedef struct world {
  tt_loop *loop;
  tt_server *server;
  side sides[N_SIDES]; /* 0: the server's, 1: the client's */
} world;

static void side_opened(tt_connection *connection) {
  side *own = tt_connection_user(connection);
  own->connection = connection;
  own->n_opened++;
}

static void side_message(tt_connection *connection, tt_message *message) {
  side *own = tt_connection_user(connection);
  own->n_messages++;
  own->n_bytes += message->n_bytes;
  snprintf(own->last, sizeof own->last, "%.*s", (int)(message->n_bytes < 31 ? message->n_bytes : 31),
           message->n_bytes > 0 ? (const char *)message->bytes : "");
  if (own->echoes && tt_connection_forward(connection, message, NULL) != TT_OK) own->n_unsent++;
  if (own->closes_on_message) tt_connection_close(connection, 4000, "enough");
  if (own->pauses_on_message) tt_connection_pause(connection);
}

static void side_drained(tt_connection *connection) { ((side *)tt_connection_user(connection))->n_drained++; }

static void side_closed(tt_connection *connection, unsigned code, const char *reason) {
  side *own = tt_connection_user(connection);
  own->n_closed++;
  own->close_code = code;
  snprintf(own->reason, sizeof own->reason, "%s", reason);
  own->connection = NULL;
}

static const tt_connection_events EVENTS = {
    .opened = side_opened, .message = side_message, .drained = side_drained, .closed = side_closed};

#define RUN_UNTIL(world, condition)                 \
  do {                                              \
    int64_t until_ms = tt_clock_ms() + PATIENCE_MS; \
    while (!(condition)) {                          \
      assert_true(tt_clock_ms() < until_ms);        \
      tt_loop_pass((world)->loop, 100);             \
    }                                               \
  } while (0)

static int set_up(void **state) {
  world *all = tt_alloc(1, sizeof *all);
  tt_error error;
  assert_int_equal(tt_loop_new(&all->loop, &error), TT_OK);
  tt_endpoint endpoint = {.path = "/talk", .events = &EVENTS, .user = &all->sides[0], .max_message_bytes = MAX_MESSAGE};
  tt_server_options options = {.endpoints = &endpoint, .n_endpoints = 1};
  assert_int_equal(tt_server_new(all->loop, &options, &all->server, &error), TT_OK);
  assert_string_equal(tt_server_host(all->server), "127.0.0.1");
  *state = all;
  return 0;
}

static int tear_down(void **state) {
  world *all = *state;
  tt_server_free(all->server);
  tt_loop_free(all->loop);
  for (int i = 0; i < N_SIDES; i++) assert_true(all->sides[i].n_opened <= all->sides[i].n_closed);
  tt_free(all);
  return 0;
}

static tt_status connect_to(world *all, const char *path, tt_error *error) {
  char url[64];
  snprintf(url, sizeof url, "ws://127.0.0.1:%u%s", tt_server_port(all->server), path);
  tt_client_options options = {.url = url, .events = &EVENTS, .user = &all->sides[1], .max_message_bytes = MAX_MESSAGE};
  return tt_client_connect(all->loop, &options, &all->sides[1].connection, error);
}

static void connect_both(world *all) {
  assert_int_equal(connect_to(all, "/talk", NULL), TT_OK);
  assert_false(tt_connection_is_open(all->sides[1].connection));
  tt_error error;
  assert_int_equal(tt_connection_send(all->sides[1].connection, "x", 1, &error), TT_ERR_STATE);
  RUN_UNTIL(all, all->sides[0].connection != NULL && tt_connection_is_open(all->sides[1].connection));
  assert_int_equal(tt_server_n_connections(all->server), 1);
}

static void messages_go_both_ways(void **state) {
  world *all = *state;
  connect_both(all);
  all->sides[0].echoes = true;
  tt_connection *client = all->sides[1].connection;
  static const size_t SIZES[] = {0, 1, 125, 126, 32768, 65535, 65536, MAX_MESSAGE};
  static uint8_t bytes[MAX_MESSAGE];
  size_t n_bytes = 0, n_sizes = sizeof SIZES / sizeof *SIZES;
  for (size_t i = 0; i < n_sizes; i++) {
    assert_int_equal(tt_connection_send(client, bytes, SIZES[i], NULL), TT_OK);
    n_bytes += SIZES[i];
  }
  assert_true(tt_connection_queued_bytes(client) > n_bytes);
  RUN_UNTIL(all, all->sides[1].n_messages == (int)n_sizes);
  assert_int_equal(all->sides[0].n_bytes, n_bytes);
  assert_int_equal(all->sides[0].n_unsent, 0);
  assert_int_equal(all->sides[1].n_bytes, n_bytes);
  assert_int_equal(all->sides[1].n_drained, 1);
  assert_int_equal(tt_connection_queued_bytes(client), 0);
  assert_int_equal(tt_connection_send_text(client, "text", 4, NULL), TT_OK);
  RUN_UNTIL(all, all->sides[1].n_messages == (int)n_sizes + 1);
  assert_string_equal(all->sides[1].last, "text");
}

static void what_is_queued_leaves_before_the_close(void **state) {
  world *all = *state;
  connect_both(all);
  tt_connection *client = all->sides[1].connection;
  static uint8_t bytes[MAX_MESSAGE];
  for (int i = 0; i < 50; i++) assert_int_equal(tt_connection_send(client, bytes, sizeof bytes, NULL), TT_OK);
  tt_connection_close(client, 4321, "bye");
  tt_connection_close(client, 1000, "the first counts");
  tt_error error;
  assert_int_equal(tt_connection_send(client, bytes, 1, &error), TT_ERR_STATE);
  assert_int_equal(all->sides[1].n_closed, 0);
  RUN_UNTIL(all, all->sides[0].n_closed == 1 && all->sides[1].n_closed == 1);
  assert_int_equal(all->sides[0].n_messages, 50);
  assert_int_equal(all->sides[0].close_code, 4321);
  assert_string_equal(all->sides[0].reason, "bye");
  assert_int_equal(all->sides[1].close_code, 4321);
  assert_int_equal(tt_server_n_connections(all->server), 0);
}

static void no_message_comes_after_a_close_or_a_pause(void **state) {
  world *all = *state;
  connect_both(all);
  all->sides[0].pauses_on_message = true;
  for (int i = 0; i < 10; i++) assert_int_equal(tt_connection_send(all->sides[1].connection, "hello", 5, NULL), TT_OK);
  RUN_UNTIL(all, all->sides[0].n_messages == 1 && all->sides[1].n_drained == 1);
  for (int i = 0; i < 20; i++) tt_loop_pass(all->loop, 0);
  assert_int_equal(all->sides[0].n_messages, 1);
  for (int expected = 2; expected <= 4; expected++) {
    tt_connection_resume(all->sides[0].connection);
    RUN_UNTIL(all, all->sides[0].n_messages == expected);
  }
  all->sides[0].closes_on_message = true;
  tt_connection_resume(all->sides[0].connection);
  RUN_UNTIL(all, all->sides[0].n_closed == 1 && all->sides[1].n_closed == 1);
  assert_int_equal(all->sides[0].n_messages, 5);
  assert_int_equal(all->sides[1].close_code, 4000);
  assert_string_equal(all->sides[1].reason, "enough");
}

/* The peer has said all it had to say, and waits for our close: no more of its bytes will have it looked at. */
static void a_close_that_came_with_a_message_that_pauses_is_answered(void **state) {
  static const char WORDS[] = "GET /talk HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                              "\x82\x82\0\0\0\0hi"
                              "\x88\x82\0\0\0\0\x0f\xa1"; /* 4001 */
  world *all = *state;
  all->sides[0].pauses_on_message = true;
  int raw = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(tt_server_port(all->server)), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
  assert_int_equal(connect(raw, (struct sockaddr *)&to, sizeof to), 0);
  assert_int_equal(send(raw, WORDS, sizeof WORDS - 1, 0), sizeof WORDS - 1);
  RUN_UNTIL(all, all->sides[0].n_messages == 1);
  tt_connection_resume(all->sides[0].connection);
  RUN_UNTIL(all, all->sides[0].n_closed == 1);
  assert_int_equal(all->sides[0].close_code, 4001);
  char answer[512];
  size_t n_bytes = 0;
  for (ssize_t n; (n = recv(raw, answer + n_bytes, sizeof answer - n_bytes, 0)) > 0;) n_bytes += (size_t)n;
  assert_true(n_bytes > 4);
  assert_memory_equal(answer + n_bytes - 4, "\x88\x02\x0f\xa1", 4);
  close(raw);
}

static void a_drop_is_told_to_both(void **state) {
  world *all = *state;
  connect_both(all);
  tt_connection_pause(all->sides[0].connection);
  tt_connection_drop(all->sides[0].connection, "not wanted");
  assert_int_equal(all->sides[0].n_closed, 0);
  RUN_UNTIL(all, all->sides[0].n_closed == 1 && all->sides[1].n_closed == 1);
  assert_int_equal(all->sides[0].close_code, TT_CLOSE_ABNORMAL);
  assert_string_equal(all->sides[0].reason, "not wanted");
  assert_int_equal(all->sides[1].close_code, TT_CLOSE_ABNORMAL);
}

static void a_message_over_the_limit_ends_the_connection(void **state) {
  world *all = *state;
  connect_both(all);
  static uint8_t bytes[MAX_MESSAGE + 1];
  assert_int_equal(tt_connection_send(all->sides[1].connection, bytes, sizeof bytes, NULL), TT_OK);
  RUN_UNTIL(all, all->sides[0].n_closed == 1 && all->sides[1].n_closed == 1);
  assert_int_equal(all->sides[0].n_messages, 0);
  assert_int_equal(all->sides[1].close_code, TT_CLOSE_TOO_BIG);
}

static void a_connection_that_fails_says_so(void **state) {
  world *all = *state;
  assert_int_equal(connect_to(all, "/elsewhere", NULL), TT_OK); /* no endpoint there */
  RUN_UNTIL(all, all->sides[1].n_closed == 1);
  assert_int_equal(all->sides[1].n_opened, 0);
  assert_true(all->sides[1].reason[0] != '\0');
  uint16_t port = tt_server_port(all->server);
  tt_server_stop_listening(all->server);
  assert_int_equal(tt_server_port(all->server), port);
  tt_error error;
  tt_status status = connect_to(all, "/talk", &error);
  if (status == TT_OK) {
    RUN_UNTIL(all, all->sides[1].n_closed == 2);
  } else {
    assert_int_equal(status, TT_ERR_CONNECTION);
  }
  assert_int_equal(all->sides[1].n_opened, 0);
}

static void addresses_are_checked(void **state) {
  world *all = *state;
  const char *wrong[] = {"",
                         "http://localhost",
                         "ws://",
                         "ws://:80/",
                         "ws://localhost:0/",
                         "ws://localhost:70000",
                         "ws://localhost:x",
                         "ws://[::1/",
                         "ws://localhost?x",
                         "wss://localhost:0/",
                         "tcp://localhost:80"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    tt_client_options options = {.url = wrong[i], .events = &EVENTS, .user = &all->sides[1], .max_message_bytes = MAX_MESSAGE};
    tt_connection *connection = NULL;
    tt_error error;
    assert_int_equal(tt_client_connect(all->loop, &options, &connection, &error), TT_ERR_ARGUMENT);
    assert_null(connection);
  }
  tt_server *second = NULL;
  tt_error error;
  tt_server_options options = {.port = tt_server_port(all->server)};
  assert_int_equal(tt_server_new(all->loop, &options, &second, &error), TT_ERR_SYSTEM);
  assert_non_null(strstr(error.message, "is taken"));
  assert_null(second);
}

static void what_is_open_ends_with_its_owner(void **state) {
  world *all = *state;
  connect_both(all);
  assert_int_equal(tt_connection_send(all->sides[1].connection, "x", 1, NULL), TT_OK);
  tt_server_free(all->server);
  all->server = NULL;
  assert_int_equal(all->sides[0].n_closed, 1); /* from the call itself */
  assert_string_equal(all->sides[0].reason, "the server has ended");
  assert_int_equal(all->sides[1].n_closed, 0); /* and the client's in tear_down, by tt_loop_free */
}

static void a_server_without_memory_goes_on(void **state) {
  world *all = *state;
  all->sides[0].echoes = true;
  for (long n_successes = 0; n_successes < 16; n_successes++) {
    int n_opened = all->sides[1].n_opened, n_closed = all->sides[1].n_closed;
    assert_int_equal(connect_to(all, "/talk", NULL), TT_OK);
    tt_alloc_fail_after(n_successes);
    RUN_UNTIL(all, all->sides[1].n_opened > n_opened || all->sides[1].n_closed > n_closed);
    if (all->sides[1].n_opened > n_opened) {
      tt_connection_send(all->sides[1].connection, "hello", 5, NULL);
      for (int i = 0; i < 10; i++) tt_loop_pass(all->loop, 1);
      tt_connection_close(all->sides[1].connection, TT_CLOSE_NORMAL, NULL);
    }
    tt_alloc_fail_after(-1);
    RUN_UNTIL(all, all->sides[1].n_closed > n_closed && tt_server_n_connections(all->server) == 0);
  }
  connect_both(all);
  assert_int_equal(tt_connection_send(all->sides[1].connection, "hello", 5, NULL), TT_OK);
  int n_messages = all->sides[1].n_messages;
  RUN_UNTIL(all, all->sides[1].n_messages == n_messages + 1);
}

static void pings_are_answered_while_nobody_speaks(void **state) {
  world *all = *state;
  tt_endpoint endpoint = {.events = &EVENTS, .user = &all->sides[0], .max_message_bytes = MAX_MESSAGE};
  tt_server_options server = {.endpoints = &endpoint, .n_endpoints = 1, .ping_every_ms = 10};
  tt_server *pinging = NULL;
  assert_int_equal(tt_server_new(all->loop, &server, &pinging, NULL), TT_OK);
  char url[64];
  snprintf(url, sizeof url, "ws://localhost:%u", tt_server_port(pinging));
  tt_client_options options = {
      .url = url, .events = &EVENTS, .user = &all->sides[1], .max_message_bytes = MAX_MESSAGE, .ping_every_ms = 10};
  assert_int_equal(tt_client_connect(all->loop, &options, &all->sides[1].connection, NULL), TT_OK);
  RUN_UNTIL(all, all->sides[0].n_opened == 1 && all->sides[1].n_opened == 1);
  int64_t until_ms = tt_clock_ms() + 300; /* 15 times what ends the silent */
  while (tt_clock_ms() < until_ms) tt_loop_pass(all->loop, 10);
  assert_int_equal(all->sides[0].n_closed + all->sides[1].n_closed, 0);
  tt_server_free(pinging);
}

typedef struct counted {
  tt_loop *loop;
  tt_timer *timer;
  int n_fired, n_turns;
} counted;

static void count_timer(void *user) {
  counted *own = user;
  if (++own->n_fired < 3) return;
  tt_timer_free(own->timer);
  tt_loop_stop(own->loop);
}

static void count_turn(void *user) { ((counted *)user)->n_turns++; }

static void timers_and_turns_come_from_the_loop(void **state) {
  world *all = *state;
  counted own = {.loop = all->loop};
  tt_turn *turn = tt_turn_new(all->loop, count_turn, &own);
  own.timer = tt_timer_new(all->loop, count_timer, &own);
  tt_timer_start(own.timer, 1, 1);
  tt_loop_run(all->loop);
  assert_int_equal(own.n_fired, 3);
  assert_true(own.n_turns >= 3);
  tt_turn_free(turn);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(paths_stay_inside_the_folder),
      cmocka_unit_test(content_types_follow_the_ending),
      cmocka_unit_test(own_pages_are_known_by_origin_and_host),
      cmocka_unit_test(origins_compare_as_browsers_do),
      cmocka_unit_test(frames_gather_in_whole_blocks),
      cmocka_unit_test(a_pass_of_small_frames_is_one_block),
      cmocka_unit_test(a_queue_without_memory_keeps_what_it_has),
      cmocka_unit_test_setup_teardown(messages_go_both_ways, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_queued_leaves_before_the_close, set_up, tear_down),
      cmocka_unit_test_setup_teardown(no_message_comes_after_a_close_or_a_pause, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_close_that_came_with_a_message_that_pauses_is_answered, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_drop_is_told_to_both, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_message_over_the_limit_ends_the_connection, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_connection_that_fails_says_so, set_up, tear_down),
      cmocka_unit_test_setup_teardown(addresses_are_checked, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_open_ends_with_its_owner, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_server_without_memory_goes_on, set_up, tear_down),
      cmocka_unit_test_setup_teardown(pings_are_answered_while_nobody_speaks, set_up, tear_down),
      cmocka_unit_test_setup_teardown(timers_and_turns_come_from_the_loop, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
