/*
 * two_way: a native worker that commands whoever attaches to it: it sends two tensors there, has them added, and gets the result (parity S18 the
 * other way round). For tests of clients that cannot listen.
 *
 *     two_way [ID [PORT]]     id "server" and any free port unless told
 *
 * Prints "two_way ready at ws://127.0.0.1:PORT/ (id ID)", then for each peer "PEER: tensor([ 3.,  6.,  9., 12., 14.])" or "PEER: error CODE: TEXT".
 * SIGTERM ends it.
 */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/loop.h"
#include "net/server.h"
#include "transport/websocket_native.h"
#include "worker/worker.h"

enum { MAX_WAITING = 64, GOODBYE_MS = 6000 };

typedef struct program {
  tt_loop *loop;
  tt_worker *worker;
  tt_native_door *door;
  char waiting[MAX_WAITING][65]; /* who has joined and has not been commanded yet */
  size_t n_waiting;
} program;

/* One peer's turn. */
typedef struct peer_visit {
  tt_node *x, *x2, *y;
  char peer[65];
} peer_visit;

static void end_visit(peer_visit *visit) {
  tt_node_unref(visit->x);
  tt_node_unref(visit->x2);
  tt_node_unref(visit->y);
  tt_free(visit);
}

static void say(const char *peer, const char *what) {
  printf("%s: %s\n", peer, what);
  fflush(stdout);
}

static void say_error(const char *peer, const tt_error *error) {
  char text[640];
  snprintf(text, sizeof text, "error %s: %s", tt_status_name(error->status), error->message);
  say(peer, text);
}

static void on_answer(void *context, const tt_answer *answer) {
  peer_visit *visit = context;
  if (answer->error != NULL) {
    say_error(visit->peer, &answer->error->error);
  } else {
    tt_buffer text;
    tt_buffer_init(&text);
    tt_tensor_print(tt_local_tensor(tt_node_tail(visit->y)), &text);
    say(visit->peer, tt_buffer_string(&text));
    tt_buffer_release(&text);
  }
  end_visit(visit);
}

static tt_node *tensor_of(const float *values, tt_error *error) {
  tt_shape shape = {.n_dims = 1, .dims = {5}};
  tt_tensor *tensor = tt_tensor_from_bytes(TT_DTYPE_F32, &shape, values, error);
  tt_node *local = tensor == NULL ? NULL : tt_local_new(tensor, error);
  return local == NULL ? NULL : tt_head_new(local, error);
}

static tt_status add(tt_worker *worker, tt_node *a, tt_node *b, tt_node **sum, tt_error *error) {
  const tt_value args[] = {tt_operand_value(&a->operand), tt_operand_value(&b->operand)};
  size_t n_results;
  tt_node *results[TT_MAX_RESULTS];
  TT_TRY(tt_hook_call(tt_worker_hook(worker), TT_OP_add, args, 2, NULL, 0, results, &n_results, error));
  *sum = results[0];
  return TT_OK;
}

/* x, x2 there; y = x + x2 + x; y back. */
static tt_status command(program *self, peer_visit *visit, tt_error *error) {
  tt_peer *peer = tt_worker_get_worker(self->worker, visit->peer, error);
  if (peer == NULL) return error->status;
  visit->x = tensor_of((const float[]){1, 2, 3, 4, 5}, error);
  visit->x2 = visit->x == NULL ? NULL : tensor_of((const float[]){1, 2, 3, 4, 4}, error);
  if (visit->x2 == NULL) return error->status;
  TT_TRY(tt_worker_send(self->worker, visit->x, peer, 0, NULL, NULL, NULL, NULL, error));
  TT_TRY(tt_worker_send(self->worker, visit->x2, peer, 0, NULL, NULL, NULL, NULL, error));
  tt_node *sum;
  TT_TRY(add(self->worker, visit->x, visit->x2, &sum, error));
  tt_status status = add(self->worker, sum, visit->x, &visit->y, error);
  tt_node_unref(sum);
  if (status != TT_OK) return status;
  return tt_worker_get(self->worker, visit->y, on_answer, visit, NULL, error);
}

/* Events must not call back into the worker: who has joined waits for the end of the turn. */
static void on_event(void *host, tt_worker *worker, const tt_event *event) {
  (void)worker;
  program *self = host;
  if (event->type != TT_EVENT_PEER_JOINED || self->n_waiting == MAX_WAITING) return;
  snprintf(self->waiting[self->n_waiting++], sizeof self->waiting[0], "%s", event->peer);
}

static void on_turn(void *user) {
  program *self = user;
  while (self->n_waiting > 0) {
    tt_error error;
    peer_visit *visit = tt_alloc(1, sizeof *visit);
    if (visit == NULL) return;
    memcpy(visit->peer, self->waiting[--self->n_waiting], sizeof visit->peer);
    if (command(self, visit, &error) == TT_OK) continue;
    say_error(visit->peer, &error);
    end_visit(visit);
  }
  tt_worker_flush(self->worker);
}

static void on_signal(void *user, int number) {
  (void)number;
  tt_loop_stop(user);
}

static tt_status start(program *self, const char *id, uint16_t port, tt_error *error) {
  self->worker = tt_worker_new(&(tt_worker_options){.id = id, .kind = "native", .host = self, .on_event = on_event}, error);
  if (self->worker == NULL) return error->status;
  self->door = tt_native_door_new(self->loop, self->worker, NULL, error);
  if (self->door == NULL) return error->status;
  const tt_server *server;
  TT_TRY(tt_websocket_native_listen(self->door, &(tt_listen_options){.port = port}, &server, error));
  printf("two_way ready at ws://127.0.0.1:%u/ (id %s)\n", (unsigned)tt_server_port(server), id);
  fflush(stdout);
  return TT_OK;
}

int main(int argc, char **argv) {
  tt_error error;
  program self = {0};
  tt_status status = tt_loop_new(&self.loop, &error);
  if (status != TT_OK) {
    fprintf(stderr, "two_way: %s\n", error.message);
    return EXIT_FAILURE;
  }
  tt_signal *terminate = tt_signal_new(self.loop, SIGTERM, on_signal, self.loop);
  tt_turn *turn = tt_turn_new(self.loop, on_turn, &self);
  status = terminate == NULL || turn == NULL
               ? tt_fail(&error, TT_ERR_MEMORY, "no memory")
               : start(&self, argc > 1 ? argv[1] : "server", argc > 2 ? (uint16_t)atoi(argv[2]) : 0, &error);
  if (status == TT_OK)
    tt_loop_run(self.loop);
  else
    fprintf(stderr, "two_way: %s\n", error.message);
  tt_turn_free(turn);
  tt_signal_free(terminate);
  if (self.door != NULL) tt_native_door_stop(self.door);
  tt_worker_free(self.worker);
  int64_t deadline_ms = tt_clock_ms() + GOODBYE_MS;
  while (self.door != NULL && tt_native_door_n_connections(self.door) > 0 && tt_clock_ms() < deadline_ms) {
    tt_loop_pass(self.loop, 100);
  }
  tt_native_door_free(self.door);
  tt_loop_free(self.loop);
  return status == TT_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
