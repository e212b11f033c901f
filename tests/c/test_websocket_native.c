#define _POSIX_C_SOURCE 200809L
/* Native workers over real WebSockets of this machine: parity S5, S18, and what happens when the other end is slow, odd or gone. */
#include <signal.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native_fixture.h"
#include "net/client.h"
#include "net/connection.h"
#include "net/server.h"
#include "relay/relay.h"
#include "transport/websocket_native.h"
#include "wire/prelude.h"

static const tt_server *listen_at(native *at, char url[64]) {
  tt_error error;
  const tt_server *server;
  if (tt_websocket_native_listen(at->door, &(tt_listen_options){0}, &server, &error) != TT_OK) fail_msg("%s", error.message);
  snprintf(url, 64, "ws://127.0.0.1:%u", (unsigned)tt_server_port(server));
  return server;
}

static void connect_to(native *from, const char *url) {
  tt_error error;
  if (tt_websocket_native_connect(from->door, url, NULL, take_end, from, NULL, &error) != TT_OK) fail_msg("%s", error.message);
}

/* S5, S18: who listens is a matter of transport; once attached, either side may command the other. */
static void s18_the_seeds_example_both_ways(void **state) {
  (void)state;
  char url[64];
  native *server = new_native("2"), *client = new_native("0");
  listen_at(server, url);
  connect_to(client, url);
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

/* 64 MB each way at the same time: 16 windows of credit, 32 times what a socket queues. */
static void large_tensors_cross(void **state) {
  (void)state;
  enum { N = 16 << 20 };
  char url[64];
  native *server = new_native("server"), *client = new_native("client");
  listen_at(server, url);
  connect_to(client, url);
  UNTIL(knows(client, "server") && knows(server, "client"));
  large_tensors_there_and_back(client, server, N);
  end(client);
  end(server);
}

/* A listening worker in a process of its own, which can be stopped and killed. Answers its pid. */
static pid_t fork_worker(const char *id, char url[64]) {
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    if (tt_loop_new(&loop, NULL) != TT_OK) _exit(1);
    native *server = new_native(id);
    listen_at(server, url);
    if (write(ends[1], url, 64) != 64) _exit(1);
    tt_loop_run(loop);
    _exit(0);
  }
  assert_int_equal(read(ends[0], url, 64), 64);
  close(ends[0]);
  close(ends[1]);
  return child;
}

/* Calls that are open when the other process dies fail at once, saying so; what was not acknowledged is here again. */
static void a_peer_vanishes_with_calls_open(void **state) {
  (void)state;
  char url[64];
  pid_t child = fork_worker("gone", url);
  assert_int_equal(tt_loop_new(&loop, NULL), TT_OK);
  native *client = new_native("client");
  connect_to(client, url);
  UNTIL(knows(client, "gone"));
  tt_node *x = floats((float[]){1, 2, 3}, 3), *large = numbers(8 << 20);
  reply ready = {0}, sent = {0}, got = {0}, synced = {0}, asked = {0};
  send_to(client->worker, x, "gone");
  assert_int_equal(tt_worker_sync(client->worker, known(client->worker, "gone"), take_reply, &ready, NULL, NULL), TT_OK);
  UNTIL(ready.n_calls > 0);

  kill(child, SIGSTOP);
  tt_peer *peer = known(client->worker, "gone");
  tt_control query = {.query = TT_QUERY_WHOAMI};
  tt_node *y = add(client->worker, x, x);
  assert_int_equal(tt_worker_send(client->worker, large, peer, 0, NULL, take_reply, &sent, NULL, NULL), TT_OK);
  assert_int_equal(tt_worker_get(client->worker, y, take_reply, &got, NULL, NULL), TT_OK);
  assert_int_equal(tt_worker_sync(client->worker, peer, take_reply, &synced, NULL, NULL), TT_OK);
  assert_int_equal(tt_worker_query(client->worker, peer, &query, take_reply, &asked, NULL, NULL), TT_OK);
  for (int i = 0; i < 20; i++) tt_loop_pass(loop, 5);
  assert_int_equal(sent.n_calls + got.n_calls + synced.n_calls + asked.n_calls, 0);

  kill(child, SIGKILL);
  kill(child, SIGCONT);
  int64_t killed_ms = tt_clock_ms();
  UNTIL(client->n_ended > 0);
  assert_true(tt_clock_ms() - killed_ms < 10000);
  assert_int_equal(waitpid(child, NULL, 0), child);
  const reply *all[] = {&sent, &got, &synced, &asked};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(all[i]->n_calls, 1);
    assert_int_equal(all[i]->status, TT_ERR_CONNECTION);
    assert_says(all[i]->error.error.message, "gone");
  }
  assert_numbers(large, 8 << 20);
  tt_error error;
  assert_int_equal(try_call(client->worker, "add", (tt_value[]){of(y), of(y)}, 2, &y, &error), TT_ERR_CONNECTION);
  assert_says(error.message, "gone");
  tt_node_unref(x);
  tt_node_unref(y);
  tt_node_unref(large);
  end(client);
  tt_loop_free(loop);
}

/* As many as are wanted and no more; the one too many is told so, and the others do not notice. */
static void a_ceiling_on_connections(void **state) {
  (void)state;
  char url[64];
  native *server = new_native_with("server", &(tt_native_door_options){.max_connections = 1}), *first = new_native("first"),
         *second = new_native("second");
  const tt_server *listener = listen_at(server, url);
  connect_to(first, url);
  UNTIL(knows(first, "server"));
  connect_to(second, url);
  UNTIL(second->n_ended == 1);
  assert_int_equal(n_logged(&second->log, TT_EVENT_REFUSED), 1);
  assert_says(second->log.events[0].message, "as many as");
  assert_false(knows(server, "second"));
  seed_example(first, server);
  end(first);
  UNTIL(tt_server_n_connections(listener) == 0);
  connect_to(second, url);
  UNTIL(knows(second, "server"));
  end(second);
  end(server);
}

static void a_second_worker_of_the_same_id_is_refused(void **state) {
  (void)state;
  char url[64];
  native *server = new_native("server"), *first = new_native("bob"), *second = new_native("bob"),
         *itself = new_native("server");
  listen_at(server, url);
  connect_to(first, url);
  UNTIL(knows(server, "bob"));
  connect_to(second, url);
  UNTIL(second->n_ended == 1);
  assert_says(second->why, "bob is attached already");
  connect_to(itself, url);
  UNTIL(itself->n_ended == 1);
  assert_says(itself->why, "own id");
  seed_example(first, server);
  end(second);
  end(itself);
  end(first);
  end(server);
}

/* What a connection tells that never becomes a worker. */
static unsigned mute_code;
static void mute_message(tt_connection *connection, tt_message *message) {
  (void)connection, (void)message;
  fail_msg("a worker spoke to who has not said HELLO");
}
static void mute_closed(tt_connection *connection, unsigned code, const char *reason) {
  (void)connection;
  mute_code = code;
  assert_says(reason, "HELLO");
}

static void who_says_nothing_is_closed(void **state) {
  (void)state;
  static const tt_connection_events events = {.message = mute_message, .closed = mute_closed};
  native *server = new_native_with("server", &(tt_native_door_options){.hello_ms = 1}), *client = new_native("client");
  char url[64];
  listen_at(server, url);
  tt_connection *mute;
  mute_code = 0;
  assert_int_equal(
      tt_client_connect(loop, &(tt_client_options){.url = url, .events = &events, .max_message_bytes = 1024}, &mute, NULL),
      TT_OK);
  connect_to(client, url);
  UNTIL(mute_code != 0);
  assert_int_equal(mute_code, TT_CLOSE_POLICY);
  seed_example(client, server);
  end(client);
  end(server);
}

static void nobody_answers(void **state) {
  (void)state;
  tt_error error;
  char url[64];
  native *server = new_native("server"), *client = new_native("client");
  listen_at(server, url);
  assert_int_equal(tt_websocket_native_connect(client->door, "http://127.0.0.1:1", NULL, take_end, client, NULL, &error),
                   TT_ERR_ARGUMENT);
  assert_int_equal(tt_native_door_n_connections(client->door), 0);
  assert_int_equal(client->n_ended, 0);
  end(server);
  connect_to(client, url);
  UNTIL(client->n_ended == 1);
  assert_true(client->why[0] != '\0');
  assert_int_equal(client->log.n, 0);
  /* Given up while it is still connecting. */
  native *other = new_native("other");
  listen_at(other, url);
  connect_to(client, url);
  end(client);
  end(other);
}

/* Two native workers that only know the relay; and then the relay is gone. */
static void through_a_relay(void **state) {
  (void)state;
  tt_relay *relay;
  tt_server *server;
  assert_int_equal(tt_relay_new(loop, TT_RELAY_MAX_QUEUED_BYTES, TT_RELAY_MAX_STALL_MS, &relay, NULL), TT_OK);
  const tt_endpoint endpoint = {.events = &tt_relay_events, .user = relay, .max_message_bytes = TT_MAX_FRAME_BYTES};
  const tt_server_options options = {.endpoints = &endpoint, .n_endpoints = 1};
  assert_int_equal(tt_server_new(loop, &options, &server, NULL), TT_OK);
  char url[64];
  snprintf(url, sizeof url, "ws://127.0.0.1:%u", (unsigned)tt_server_port(server));
  native *alice = new_native("alice"), *bob = new_native("bob"), *impostor = new_native("bob");
  connect_to(alice, url);
  connect_to(bob, url);
  UNTIL(knows(alice, "bob") && knows(bob, "alice"));
  seed_example(alice, bob);
  seed_example(bob, alice);
  connect_to(impostor, url);
  UNTIL(impostor->n_ended == 1);
  assert_int_equal(n_logged(&impostor->log, TT_EVENT_REFUSED), 1);
  assert_says(impostor->log.events[0].message, "bob");
  end(impostor);

  tt_node *large = numbers(4 << 20);
  reply sent = {0}, synced = {0};
  assert_int_equal(tt_worker_send(alice->worker, large, known(alice->worker, "bob"), 0, NULL, take_reply, &sent, NULL, NULL),
                   TT_OK);
  UNTIL(sent.n_calls > 0);
  assert_int_equal(sent.status, TT_OK);
  assert_int_equal(tt_worker_n_bytes(bob->worker), (4 << 20) * sizeof(int32_t));
  assert_int_equal(tt_worker_sync(alice->worker, known(alice->worker, "bob"), take_reply, &synced, NULL, NULL), TT_OK);
  tt_server_stop_listening(server);
  tt_server_close_all(server, TT_CLOSE_GOING_AWAY, "the relay is ending");
  UNTIL(alice->n_ended == 1 && bob->n_ended == 1);
  assert_int_equal(synced.n_calls, 1);
  assert_false(knows(alice, "bob"));
  assert_says(alice->why, "the relay is ending");
  /* What alice had sent is bob's to keep for the grace of 60 seconds. */
  assert_int_equal(tt_worker_n_objects(bob->worker), 1);
  tt_node_unref(large);
  end(alice);
  end(bob);
  tt_server_free(server);
  tt_relay_stop(relay);
  tt_relay_free(relay);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_peer_vanishes_with_calls_open), /* forks, so before any loop */
      cmocka_unit_test_setup_teardown(s18_the_seeds_example_both_ways, set_up, tear_down),
      cmocka_unit_test_setup_teardown(large_tensors_cross, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_ceiling_on_connections, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_second_worker_of_the_same_id_is_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(who_says_nothing_is_closed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(nobody_answers, set_up, tear_down),
      cmocka_unit_test_setup_teardown(through_a_relay, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("websocket_native", tests, NULL, NULL);
}
