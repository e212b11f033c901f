#define _GNU_SOURCE
/* Native workers over byte streams of this machine, no relay and no browser: parity S6, S18, and what happens when the other end is slow, odd or gone. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native_fixture.h"
#include "transport/socket.h"
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

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(s6_the_seeds_example_both_ways, set_up, tear_down),
      cmocka_unit_test_setup_teardown(s6_over_a_socket_of_this_machine, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_socket_that_was_left_over_is_replaced, set_up, tear_down),
      cmocka_unit_test_setup_teardown(large_tensors_cross, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("socket", tests, make_folder, remove_folder);
}
