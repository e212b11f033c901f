#define _GNU_SOURCE
/* Native workers over byte streams of this machine, no relay and no browser: parity S6, S18, and what happens when the other end is slow, odd or gone. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "native_fixture.h"
#include "transport/socket.h"
#include "wire/command_run.h"
#include "wire/control.h"
#include "wire/prelude.h"

static const char *listen_at(native *at, const tt_socket_options *options) {
  tt_error error;
  const tt_byte_stream_server *server;
  if (tt_socket_listen(at->door, options, &server, &error) != TT_OK) fail_msg("%s", error.message);
  return tt_byte_stream_server_url(server);
}

static const char *listen_tcp(native *at) { return listen_at(at, &(tt_socket_options){.url = "tcp://127.0.0.1:0"}); }

static void connect_with(native *from, const tt_socket_options *options) {
  tt_error error;
  if (tt_socket_connect(from->door, options, take_end, from, NULL, &error) != TT_OK) fail_msg("%s", error.message);
}

static void connect_to(native *from, const char *url) { connect_with(from, &(tt_socket_options){.url = url}); }

/* S6, S18: two native workers over TCP. Who listens is a matter of transport; once attached, either side may command the other. */
static void s6_the_seeds_example_both_ways(void **state) {
  (void)state;
  native *server = new_native("2"), *client = new_native("0");
  connect_to(client, listen_tcp(server));
  UNTIL(knows(client, "2") && knows(server, "0"));
  seed_example(client, server);
  seed_example(server, client);
  end(client);
  UNTIL(!knows(server, "0"));
  assert_int_equal(n_logged(&server->log, TT_EVENT_PEER_LEFT), 1);
  for (size_t i = 0; i < server->log.n; i++) {
    if (server->log.events[i].type == TT_EVENT_PEER_LEFT) assert_string_equal(server->log.events[i].text, "has left");
  }
  end(server);
}

/* A folder for this test's files, and a path in it. */
static char folder[] = "/tmp/tabtensor-socket-XXXXXX";
static const char *path_of(const char *name) {
  static char path[sizeof folder + 64];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void s6_over_a_socket_of_this_machine(void **state) {
  (void)state;
  char url[128];
  snprintf(url, sizeof url, "unix:%s", path_of("worker.sock"));
  native *server = new_native("server"), *client = new_native("client");
  assert_string_equal(listen_at(server, &(tt_socket_options){.url = url}), url);
  struct stat about;
  assert_int_equal(stat(path_of("worker.sock"), &about), 0);
  assert_int_equal(about.st_mode & 0777, 0600);
  connect_to(client, url);
  UNTIL(knows(client, "server") && knows(server, "client"));
  seed_example(client, server);
  seed_example(server, client);

  /* Who listens there already is not put out. */
  tt_error error;
  assert_int_equal(tt_socket_listen(client->door, &(tt_socket_options){.url = url}, NULL, &error), TT_ERR_SYSTEM);
  assert_says(error.message, "another program listens there");
  end(client);
  end(server);
  assert_int_equal(access(path_of("worker.sock"), F_OK), -1);
}

static void a_socket_that_was_left_over_is_replaced(void **state) {
  (void)state;
  char url[128];
  snprintf(url, sizeof url, "unix:%s", path_of("old.sock"));
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path_of("old.sock"));
  int old = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(bind(old, (const struct sockaddr *)&address, sizeof address), 0);
  close(old);
  native *server = new_native("server"), *client = new_native("client");
  listen_at(server, &(tt_socket_options){.url = url});
  connect_to(client, url);
  UNTIL(knows(client, "server"));
  end(client);
  end(server);

  /* A file that is no socket is not ours to remove. */
  FILE *file = fopen(path_of("old.sock"), "w");
  assert_non_null(file);
  fclose(file);
  native *other = new_native("other");
  tt_error error;
  assert_int_equal(tt_socket_listen(other->door, &(tt_socket_options){.url = url}, NULL, &error), TT_ERR_SYSTEM);
  assert_int_equal(unlink(path_of("old.sock")), 0);
  end(other);
}

/* 64 MB each way at the same time: 16 windows of credit, 32 times what a socket queues. */
static void large_tensors_cross(void **state) {
  (void)state;
  enum { N = 16 << 20 };
  native *server = new_native("server"), *client = new_native("client");
  connect_to(client, listen_tcp(server));
  UNTIL(knows(client, "server") && knows(server, "client"));
  large_tensors_there_and_back(client, server, N);
  end(client);
  end(server);
}

/* ---- many, and odd ones among them ---- */

static void many_peers_at_once(void **state) {
  (void)state;
  enum { N = 40 };
  native *server = new_native("server"), *clients[N];
  const char *url = listen_tcp(server);
  for (int i = 0; i < N; i++) {
    char id[16];
    snprintf(id, sizeof id, "client-%d", i);
    clients[i] = new_native(id);
    connect_to(clients[i], url);
  }
  UNTIL(tt_native_door_n_accepted(server->door) == N && knows(server, "client-39"));
  reply got[N] = {0};
  tt_node *results[N];
  for (int i = 0; i < N; i++) {
    UNTIL(knows(clients[i], "server"));
    tt_node *x = floats((float[]){(float)i, 1}, 2);
    send_to(clients[i]->worker, x, "server");
    results[i] = add(clients[i]->worker, x, x);
    assert_int_equal(tt_worker_get(clients[i]->worker, results[i], take_reply, &got[i], NULL, NULL), TT_OK);
    tt_node_unref(x);
  }
  for (int i = 0; i < N; i++) {
    UNTIL(got[i].n_calls > 0);
    if (got[i].status != TT_OK) fail_msg("%s", got[i].error.error.message);
    const float *elements = tt_tensor_data(got[i].tensor);
    assert_true(elements[0] == 2 * (float)i && elements[1] == 2);
    tt_tensor_unref(got[i].tensor);
    tt_node_unref(results[i]);
  }
  for (int i = 0; i < N; i++) end(clients[i]);
  UNTIL(tt_native_door_n_accepted(server->door) == 0 && tt_worker_n_objects(server->worker) == 0);
  end(server);
}

/* A peer that is nothing but a socket: it does not block, and this test writes and reads its bytes. */
static int open_raw(const char *url) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  address.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
  int raw = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(raw, (const struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(fcntl(raw, F_SETFL, O_NONBLOCK), 0);
  return raw;
}

static void write_raw(int raw, const void *bytes, size_t n_bytes) {
  assert_int_equal(send(raw, bytes, n_bytes, MSG_NOSIGNAL), n_bytes);
}

/* Reads until the other end hangs up; answers how many bytes came, of which the first are kept. */
static size_t read_to_end(int raw, uint8_t *kept, size_t room) {
  size_t n_read = 0;
  ssize_t n = -1;
  uint8_t bytes[4096];
  do {
    n = recv(raw, bytes, sizeof bytes, 0);
    for (ssize_t i = 0; i < n; i++, n_read++) {
      if (n_read < room) kept[n_read] = bytes[i];
    }
    if (n < 0) tt_loop_pass(loop, 5);
  } while (n > 0 || (n < 0 && errno == EAGAIN));
  close(raw);
  return n_read;
}

static void write_hello(tt_buffer *bytes, const char *id) {
  tt_buffer json;
  tt_buffer_init(&json);
  assert_int_equal(tt_hello_write(&json, id, "raw", NULL), TT_OK);
  const tt_prelude prelude = {
      .type = TT_FRAME_HELLO, .flags = TT_FLAG_WANTS_ANSWER, .stream = 7, .credit = UINT64_MAX, .source = tt_name_of(id)};
  tt_prelude_write(bytes, &prelude, json.n_bytes);
  tt_buffer_append(bytes, json.bytes, json.n_bytes);
  tt_buffer_release(&json);
}

static void write_goodbye(tt_buffer *bytes, const char *id) {
  tt_prelude_write(bytes, &(tt_prelude){.type = TT_FRAME_GOODBYE, .source = tt_name_of(id)}, 0);
}

/* TCP keeps no boundaries: frames come byte by byte, and several at once. */
static void frames_come_in_any_pieces(void **state) {
  (void)state;
  native *server = new_native("server");
  const char *url = listen_tcp(server);
  static const size_t PIECES[] = {1, 7, 11, 12, 13, 100, 100000};
  for (size_t i = 0; i < sizeof PIECES / sizeof *PIECES; i++) {
    tt_buffer bytes;
    tt_buffer_init(&bytes);
    write_hello(&bytes, "raw");
    write_goodbye(&bytes, "raw");
    int raw = open_raw(url);
    size_t n_joined = n_logged(&server->log, TT_EVENT_PEER_JOINED);
    for (size_t at = 0; at < bytes.n_bytes; at += PIECES[i]) {
      size_t left = bytes.n_bytes - at;
      write_raw(raw, bytes.bytes + at, left < PIECES[i] ? left : PIECES[i]);
      tt_loop_pass(loop, 0);
    }
    uint8_t answer[TT_PRELUDE_PEEK_BYTES];
    assert_true(read_to_end(raw, answer, sizeof answer) > sizeof answer);
    assert_int_equal(answer[3], TT_FRAME_HELLO);
    assert_int_equal(n_logged(&server->log, TT_EVENT_PEER_JOINED), n_joined + 1);
    assert_int_equal(n_logged(&server->log, TT_EVENT_PEER_LEFT), n_joined + 1);
    assert_int_equal(n_logged(&server->log, TT_EVENT_REFUSED), 0);
    tt_buffer_release(&bytes);
  }
  end(server);
}

#define BYTES(text) text, sizeof(text) - 1

/* Every one of them is told why, in a frame, and hung up on; nobody else notices. */
static void bytes_that_are_no_frames_are_refused(void **state) {
  (void)state;
  native *server = new_native("server"), *client = new_native("client");
  const char *url = listen_tcp(server);
  connect_to(client, url);
  UNTIL(knows(client, "server"));
  static const struct {
    const char *bytes;
    size_t n_bytes;
    const char *says;
  } WRONG[] = {
      {BYTES("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), "no tabtensor frame"},
      {BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00"), "no tabtensor frame"},
      {BYTES("TT\x09\x01\x00\x00\x01\x00\x30\x00\x00\x00"), "version 9"},
      {BYTES("TT\x01\x01\x00\x00\x01\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
             "\x00\x00"
             "\x00"
             "\x00\x00\x00\x00\x00\x00\x00\x00\x61\x00\x00\x00"),
       "announces 4294967295 bytes"},
      {BYTES("TT\x01\x01\x00\x00\x01\x00\x04\x00\x00\x00"), "cut short"},
  };
  for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
    int raw = open_raw(url);
    write_raw(raw, WRONG[i].bytes, WRONG[i].n_bytes);
    uint8_t frame[1024];
    size_t n_bytes = read_to_end(raw, frame, sizeof frame), n_payload;
    tt_prelude prelude;
    const uint8_t *payload;
    tt_refusal refusal;
    assert_int_equal(tt_prelude_read(frame, n_bytes, &prelude, &payload, &n_payload, NULL), TT_OK);
    assert_int_equal(prelude.type, TT_FRAME_REFUSED);
    assert_int_equal(tt_refusal_read(payload, n_payload, &refusal, NULL), TT_OK);
    char reason[512];
    snprintf(reason, sizeof reason, "%.*s", (int)refusal.reason_bytes, refusal.reason);
    assert_says(reason, WRONG[i].says);
  }
  assert_int_equal(n_logged(&server->log, TT_EVENT_REFUSED), 5);
  seed_example(client, server);
  end(client);
  end(server);
}

/* What a peer sends that is good bytes and bad manners, all at once, while another works. */
static void a_crowd_of_bad_peers(void **state) {
  (void)state;
  enum { N = 60 };
  native *server = new_native_with("server", &(tt_native_door_options){.hello_ms = 1, .max_connections = N + 1}),
         *client = new_native("client");
  const char *url = listen_tcp(server);
  connect_to(client, url);
  UNTIL(knows(client, "server"));
  tt_buffer hello;
  tt_buffer_init(&hello);
  write_hello(&hello, "somebody");
  int raws[N];
  for (int i = 0; i < N; i++) {
    raws[i] = open_raw(url);
    if (i % 4 == 1) write_raw(raws[i], hello.bytes, hello.n_bytes / 2);               /* and no more */
    if (i % 4 == 2) write_raw(raws[i], "TT\x01\x01\x00\x00\x01\x00\x00\x00\x04", 11); /* one byte before its length is known */
    if (i % 4 == 3) {
      write_raw(raws[i], hello.bytes, hello.n_bytes - 1);
      assert_int_equal(setsockopt(raws[i], SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger)), 0);
      close(raws[i]); /* with a reset */
    }
  }
  seed_example(client, server);
  for (int i = 0; i < N; i++) {
    if (i % 4 != 3) read_to_end(raws[i], NULL, 0);
  }
  tt_buffer_release(&hello);
  UNTIL(tt_native_door_n_accepted(server->door) == 1);
  assert_int_equal(n_logged(&server->log, TT_EVENT_PEER_JOINED), 1);
  seed_example(client, server);
  end(client);
  end(server);
}

/* It is greeted and asks for more than any buffer holds, and reads nothing: its connection ends, and what was kept for it is gone. */
static void a_peer_that_does_not_read_is_dropped(void **state) {
  (void)state;
  enum { N = 8 << 20 };
  native *server = new_native("server"), *client = new_native("client");
  const char *url = listen_at(server, &(tt_socket_options){.url = "tcp://127.0.0.1:0", .ping_every_ms = 200});
  tt_node *large = numbers(N);
  uint64_t id;
  assert_int_equal(tt_worker_set_object(server->worker, large, 5, TT_POLICY_OPEN, NULL, &id, NULL), TT_OK);
  tt_buffer bytes, run;
  tt_buffer_init(&bytes);
  tt_buffer_init(&run);
  write_hello(&bytes, "lazy");
  tt_run_write_fetch(&run, 0, 9, 5);
  const tt_prelude prelude = {
      .type = TT_FRAME_RUN, .stream = 7, .sequence = 1, .credit = UINT64_MAX, .source = tt_name_of("lazy")};
  tt_prelude_write(&bytes, &prelude, run.n_bytes);
  tt_buffer_append(&bytes, run.bytes, run.n_bytes);
  int raw = open_raw(url);
  write_raw(raw, bytes.bytes, bytes.n_bytes);
  UNTIL(knows(server, "lazy"));
  connect_to(client, url);
  UNTIL(knows(client, "server"));
  UNTIL(!knows(server, "lazy"));
  for (size_t i = 0; i < server->log.n; i++) {
    if (server->log.events[i].type == TT_EVENT_PEER_LEFT) assert_says(server->log.events[i].text, "takes nothing");
  }
  close(raw);
  tt_buffer_release(&bytes);
  tt_buffer_release(&run);
  assert_int_equal(tt_worker_remove_object(server->worker, 5, NULL), TT_OK);
  tt_node_unref(large);
  /* Who is merely silent stays. */
  seed_example(client, server);
  end(client);
  end(server);
}

static void it_hangs_up_in_the_middle_of_a_frame(void **state) {
  (void)state;
  native *server = new_native("server");
  const char *url = listen_tcp(server);
  tt_buffer bytes;
  tt_buffer_init(&bytes);
  write_hello(&bytes, "raw");
  size_t n_hello = bytes.n_bytes;
  write_goodbye(&bytes, "raw");
  int raw = open_raw(url);
  write_raw(raw, bytes.bytes, n_hello + 20);
  UNTIL(knows(server, "raw"));
  close(raw);
  UNTIL(!knows(server, "raw"));
  for (size_t i = 0; i < server->log.n; i++) {
    if (server->log.events[i].type == TT_EVENT_PEER_LEFT) assert_true(server->log.events[i].text[0] != '\0');
  }
  tt_buffer_release(&bytes);
  end(server);
}

static void a_ceiling_on_connections(void **state) {
  (void)state;
  char unix_url[128];
  snprintf(unix_url, sizeof unix_url, "unix:%s", path_of("ceiling.sock"));
  native *server = new_native_with("server", &(tt_native_door_options){.max_connections = 1}), *first = new_native("first"),
         *second = new_native("second");
  /* At all listeners together. */
  const char *url = listen_tcp(server);
  listen_at(server, &(tt_socket_options){.url = unix_url});
  connect_to(first, unix_url);
  UNTIL(knows(first, "server"));
  connect_to(second, url);
  UNTIL(second->n_ended == 1);
  assert_int_equal(n_logged(&second->log, TT_EVENT_REFUSED), 1);
  assert_says(second->log.events[0].message, "as many as");
  seed_example(first, server);
  end(first);
  UNTIL(tt_native_door_n_accepted(server->door) == 0);
  connect_to(second, url);
  UNTIL(knows(second, "server"));
  end(second);
  end(server);
}

static void nobody_answers(void **state) {
  (void)state;
  tt_error error;
  native *server = new_native("server"), *client = new_native("client");
  char url[128];
  snprintf(url, sizeof url, "%s", listen_tcp(server));
  end(server);
  connect_to(client, url);
  UNTIL(client->n_ended == 1);
  assert_says(client->why, "Connection refused");
  assert_int_equal(client->log.n, 0);
  static const char *const WRONG[] = {"",
                                      "127.0.0.1:80",
                                      "tcp:127.0.0.1:80",
                                      "tcp://127.0.0.1",
                                      "tcp://127.0.0.1:0",
                                      "tcp://127.0.0.1:99999",
                                      "tcp://127.0.0.1:-1",
                                      "tcp://[::1:80",
                                      "tcp://127.0.0.1:80/path",
                                      "unix:",
                                      "http://127.0.0.1:80",
                                      "ws://127.0.0.1:80"};
  for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
    tt_status status = tt_socket_connect(client->door, &(tt_socket_options){.url = WRONG[i]}, take_end, client, NULL, &error);
    if (status != TT_ERR_ARGUMENT) fail_msg("%s is taken for an address", WRONG[i]);
  }
  assert_int_equal(
      tt_socket_connect(client->door, &(tt_socket_options){.url = "unix:/nowhere/at/all"}, take_end, client, NULL, &error),
      TT_ERR_CONNECTION);
  assert_says(error.message, "No such file");
  assert_int_equal(client->n_ended, 1);
  assert_int_equal(tt_native_door_n_connections(client->door), 0);

  /* Given up while it is still connecting. */
  native *other = new_native("other");
  connect_to(client, listen_tcp(other));
  end(client);
  /* Two at one port. */
  native *third = new_native("third");
  const char *taken = listen_tcp(other);
  assert_int_equal(tt_socket_listen(third->door, &(tt_socket_options){.url = taken}, NULL, &error), TT_ERR_SYSTEM);
  assert_says(error.message, "is taken");
  end(third);
  end(other);
}

/* ---- TLS ---- */

#define MAKE_KEY "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "

/* A CA, what it has signed, and another CA. */
static void make_certificates(void) {
  static const char *const NAMES[][2] = {
      {"server", "DNS:localhost,IP:127.0.0.1"}, {"elsewhere", "DNS:elsewhere.example"}, {"client", "DNS:client"}};
  char command[1024];
  for (int i = 0; i < 2; i++) {
    const char *ca = i == 0 ? "ca" : "other";
    snprintf(command, sizeof command, "cd %s && " MAKE_KEY "-x509 -days 2 -subj /CN=%s -keyout %s.key -out %s.pem 2>%s.log",
             folder, ca, ca, ca, ca);
    assert_int_equal(system(command), 0);
  }
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
    const char *name = NAMES[i][0];
    snprintf(command, sizeof command,
             "cd %s && echo subjectAltName=%s >%s.ext && " MAKE_KEY
             "-subj /CN=%s -keyout %s.key -out %s.csr 2>%s.log && openssl x509 -req -days 2 -in %s.csr "
             "-CA ca.pem -CAkey ca.key -CAcreateserial -extfile %s.ext -out %s.pem 2>>%s.log",
             folder, NAMES[i][1], name, name, name, name, name, name, name, name, name);
    assert_int_equal(system(command), 0);
  }
}

/* Options of TLS by the names of the files; NULL: none. */
static tt_tls *new_tls(const char *certificate, const char *ca, tt_tls_options options) {
  char paths[3][128];
  tt_error error;
  tt_tls *tls;
  if (certificate != NULL) {
    snprintf(paths[0], sizeof paths[0], "%s/%s.pem", folder, certificate);
    snprintf(paths[1], sizeof paths[1], "%s/%s.key", folder, certificate);
    options.certificate_file = paths[0];
    options.key_file = paths[1];
  }
  if (ca != NULL) {
    snprintf(paths[2], sizeof paths[2], "%s/%s.pem", folder, ca);
    options.ca_file = paths[2];
  }
  if (tt_tls_new(&options, &tls, &error) != TT_OK) fail_msg("%s", error.message);
  return tls;
}

static const char *listen_tls(native *at, tt_tls *tls) {
  return listen_at(at, &(tt_socket_options){.url = "tls://127.0.0.1:0", .tls = tls, .handshake_ms = 300});
}

static void s6_over_tls(void **state) {
  (void)state;
  tt_tls *server_tls = new_tls("server", NULL, (tt_tls_options){0}), *client_tls = new_tls(NULL, "ca", (tt_tls_options){0});
  native *server = new_native("server"), *client = new_native("client"), *by_name = new_native("by name");
  const char *url = listen_tls(server, server_tls);
  connect_with(client, &(tt_socket_options){.url = url, .tls = client_tls});
  char named[64];
  snprintf(named, sizeof named, "tls://localhost:%s", strrchr(url, ':') + 1);
  connect_with(by_name, &(tt_socket_options){.url = named, .tls = client_tls});
  UNTIL(knows(client, "server") && knows(server, "client") && knows(by_name, "server"));
  seed_example(client, server);
  seed_example(server, client);
  large_tensors_there_and_back(client, server, 4 << 20);
  end(by_name);
  end(client);
  UNTIL(!knows(server, "client"));
  end(server);
  tt_tls_free(server_tls);
  tt_tls_free(client_tls);
}

/* One try that must come to nothing, at both ends, and say why. */
static void assert_refused(native *server, const char *url, tt_tls *take_tls, const char *says) {
  native *client = new_native("client");
  size_t n_told = server->log.n;
  connect_with(client, &(tt_socket_options){.url = url, .tls = take_tls});
  UNTIL(client->n_ended == 1);
  assert_says(client->why, says);
  assert_int_equal(n_logged(&client->log, TT_EVENT_LINK_OPEN), 0);
  assert_int_equal(server->log.n, n_told);
  end(client);
  tt_tls_free(take_tls);
}

static void tls_refuses_who_is_not_trusted(void **state) {
  (void)state;
  tt_tls *server_tls = new_tls("server", NULL, (tt_tls_options){0}),
         *elsewhere_tls = new_tls("elsewhere", NULL, (tt_tls_options){0});
  native *server = new_native("server"), *elsewhere = new_native("elsewhere");
  const char *url = listen_tls(server, server_tls), *elsewhere_url = listen_tls(elsewhere, elsewhere_tls);
  assert_refused(server, url, new_tls(NULL, "other", (tt_tls_options){0}), "not trusted");
  assert_refused(server, url, NULL, "not trusted"); /* the system does not know our CA */
  assert_refused(server, url, new_tls(NULL, "ca", (tt_tls_options){.server_name = "elsewhere.example"}),
                 "made out to another name");
  assert_refused(elsewhere, elsewhere_url, new_tls(NULL, "ca", (tt_tls_options){0}), "made out to another name");

  /* The name that is asked for instead, or any. */
  tt_tls *named = new_tls(NULL, "ca", (tt_tls_options){.server_name = "elsewhere.example"}),
         *any = new_tls(NULL, "ca", (tt_tls_options){.takes_any_server_name = true});
  native *first = new_native("first"), *second = new_native("second");
  connect_with(first, &(tt_socket_options){.url = elsewhere_url, .tls = named});
  connect_with(second, &(tt_socket_options){.url = elsewhere_url, .tls = any});
  UNTIL(knows(first, "elsewhere") && knows(second, "elsewhere"));
  end(first);
  end(second);
  end(server);
  end(elsewhere);
  tt_tls_free(named);
  tt_tls_free(any);
  tt_tls_free(server_tls);
  tt_tls_free(elsewhere_tls);
}

static void tls_asks_clients_who_they_are(void **state) {
  (void)state;
  tt_tls *server_tls = new_tls("server", "ca", (tt_tls_options){.requires_client_certificate = true}),
         *client_tls = new_tls("client", "ca", (tt_tls_options){0});
  native *server = new_native("server"), *client = new_native("client");
  const char *url = listen_tls(server, server_tls);
  assert_refused(server, url, new_tls(NULL, "ca", (tt_tls_options){0}), "certificate required");
  char own_signed[2][128];
  for (int i = 0; i < 2; i++) snprintf(own_signed[i], sizeof own_signed[i], "%s/other.%s", folder, i == 0 ? "pem" : "key");
  assert_refused(server, url,
                 new_tls(NULL, "ca", (tt_tls_options){.certificate_file = own_signed[0], .key_file = own_signed[1]}),
                 "unknown ca");
  connect_with(client, &(tt_socket_options){.url = url, .tls = client_tls});
  UNTIL(knows(client, "server"));
  seed_example(client, server);
  end(client);
  end(server);
  tt_tls_free(server_tls);
  tt_tls_free(client_tls);
}

static void tls_and_what_is_not_tls(void **state) {
  (void)state;
  tt_tls *server_tls = new_tls("server", NULL, (tt_tls_options){0}), *client_tls = new_tls(NULL, "ca", (tt_tls_options){0});
  native *server = new_native("server"), *client = new_native("client"), *plain = new_native("plain");
  char url[64], other[64];
  snprintf(url, sizeof url, "%s", listen_tls(server, server_tls));
  connect_with(client, &(tt_socket_options){.url = url, .tls = client_tls});
  UNTIL(knows(client, "server"));

  /* Plain bytes where TLS is spoken, half a handshake, and none. */
  int raws[3];
  for (int i = 0; i < 3; i++) raws[i] = open_raw(url);
  write_raw(raws[0], "GET / HTTP/1.1\r\n\r\n", 18);
  write_raw(raws[1], "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  for (int i = 0; i < 3; i++) read_to_end(raws[i], NULL, 0);
  snprintf(other, sizeof other, "tcp%s", strchr(url, ':'));
  connect_with(plain, &(tt_socket_options){.url = other});
  UNTIL(plain->n_ended == 1);
  assert_int_equal(n_logged(&server->log, TT_EVENT_LINK_OPEN), 1);

  /* TLS where plain bytes are spoken. */
  snprintf(other, sizeof other, "tls%s", strchr(listen_tcp(server), ':'));
  connect_with(plain, &(tt_socket_options){.url = other, .tls = client_tls});
  UNTIL(plain->n_ended == 2);
  assert_says(plain->why, "does not speak TLS");
  seed_example(client, server);
  end(plain);
  end(client);
  end(server);
  tt_tls_free(server_tls);
  tt_tls_free(client_tls);
}

static void files_of_tls_are_checked(void **state) {
  (void)state;
  char certificate[128], key[128], other_key[128];
  snprintf(certificate, sizeof certificate, "%s/server.pem", folder);
  snprintf(key, sizeof key, "%s/server.key", folder);
  snprintf(other_key, sizeof other_key, "%s/client.key", folder);
  const struct {
    tt_tls_options options;
    const char *says;
  } wrong[] = {
      {{.certificate_file = certificate}, "go together"},
      {{.key_file = key}, "go together"},
      {{.certificate_file = "/no/such/file", .key_file = key}, "/no/such/file"},
      {{.certificate_file = key, .key_file = key}, "as a certificate"},
      {{.certificate_file = certificate, .key_file = certificate}, "private key"},
      {{.certificate_file = certificate, .key_file = other_key}, "key values mismatch"},
      {{.ca_file = key}, "CA certificates"},
      {{.requires_client_certificate = true}, "CA file"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    tt_tls *tls = NULL;
    tt_error error;
    assert_int_equal(tt_tls_new(&wrong[i].options, &tls, &error), TT_ERR_ARGUMENT);
    assert_says(error.message, wrong[i].says);
    assert_null(tls);
  }
  native *server = new_native("server");
  tt_tls *without = new_tls(NULL, "ca", (tt_tls_options){0});
  tt_error error;
  assert_int_equal(tt_socket_listen(server->door, &(tt_socket_options){.url = "tls://127.0.0.1:0"}, NULL, &error),
                   TT_ERR_ARGUMENT);
  assert_int_equal(
      tt_socket_listen(server->door, &(tt_socket_options){.url = "tls://127.0.0.1:0", .tls = without}, NULL, &error),
      TT_ERR_ARGUMENT);
  assert_says(error.message, "certificate and its private key");
  tt_tls_free(without);
  end(server);
}

/* Each allocation on the way in and out fails in turn: the connection may come to nothing, the workers do not, and the next try is as good as any. */
static void without_memory_a_connection_comes_to_nothing(void **state) {
  (void)state;
  native *server = new_native("server"), *client = new_native("client");
  char url[64];
  snprintf(url, sizeof url, "%s", listen_tcp(server));
  for (long n = 0; n < 40; n++) {
    int n_ended = client->n_ended;
    tt_error error;
    tt_alloc_fail_after(n);
    tt_status status = tt_socket_connect(client->door, &(tt_socket_options){.url = url}, take_end, client, NULL, &error);
    for (int i = 0; i < 200 && status == TT_OK && client->n_ended == n_ended && !knows(client, "server"); i++)
      tt_loop_pass(loop, 5);
    tt_alloc_fail_after(-1);
    assert_true(status == TT_OK || status == TT_ERR_MEMORY);
    native *other = new_native("other");
    connect_to(other, url);
    UNTIL(knows(other, "server"));
    end(other);
    if (!knows(client, "server")) continue;
    end(client);
    client = new_native("client");
    UNTIL(!knows(server, "client"));
  }
  end(client);
  end(server);
}

static int make_folder(void **state) {
  (void)state;
  if (mkdtemp(folder) == NULL) return -1;
  make_certificates();
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  return system(command);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(s6_the_seeds_example_both_ways, set_up, tear_down),
      cmocka_unit_test_setup_teardown(s6_over_a_socket_of_this_machine, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_socket_that_was_left_over_is_replaced, set_up, tear_down),
      cmocka_unit_test_setup_teardown(large_tensors_cross, set_up, tear_down),
      cmocka_unit_test_setup_teardown(many_peers_at_once, set_up, tear_down),
      cmocka_unit_test_setup_teardown(frames_come_in_any_pieces, set_up, tear_down),
      cmocka_unit_test_setup_teardown(bytes_that_are_no_frames_are_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_crowd_of_bad_peers, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_peer_that_does_not_read_is_dropped, set_up, tear_down),
      cmocka_unit_test_setup_teardown(it_hangs_up_in_the_middle_of_a_frame, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_ceiling_on_connections, set_up, tear_down),
      cmocka_unit_test_setup_teardown(nobody_answers, set_up, tear_down),
      cmocka_unit_test_setup_teardown(s6_over_tls, set_up, tear_down),
      cmocka_unit_test_setup_teardown(tls_refuses_who_is_not_trusted, set_up, tear_down),
      cmocka_unit_test_setup_teardown(tls_asks_clients_who_they_are, set_up, tear_down),
      cmocka_unit_test_setup_teardown(tls_and_what_is_not_tls, set_up, tear_down),
      cmocka_unit_test_setup_teardown(files_of_tls_are_checked, set_up, tear_down),
      cmocka_unit_test_setup_teardown(without_memory_a_connection_comes_to_nothing, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("socket", tests, make_folder, remove_folder);
}
