#include "net/loop.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "net/internal.h"

/* More sockets than this and the library's tables, sized by the limit of open files, would cost megabytes for nothing. */
enum { MAX_OPEN_FILES = 65536 };

static void set_open_files_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max < MAX_OPEN_FILES ? limit.rlim_max : MAX_OPEN_FILES;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static void on_turn_end(struct ev_loop *ev, ev_prepare *watcher, int events) {
  (void)ev;
  (void)events;
  tt_byte_streams_write_due(watcher->data);
}

tt_status tt_loop_new(tt_loop **out, tt_error *error) {
  tt_loop *loop = tt_alloc(1, sizeof *loop);
  if (loop == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for an event loop");
  loop->received = tt_alloc(1, TT_RECEIVE_BYTES);
  if (loop->received == NULL) {
    tt_free(loop);
    return tt_fail(error, TT_ERR_MEMORY, "no memory for an event loop");
  }
  set_open_files_limit();
  signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error of that write, not the end of the process */
  loop->ev = ev_loop_new(EVFLAG_AUTO);
  if (loop->ev == NULL) {
    tt_free(loop->received);
    tt_free(loop);
    return tt_fail(error, TT_ERR_SYSTEM, "the system gave no event loop (epoll or poll); is the limit of open files reached?");
  }
  tt_status status = tt_library_open(loop, error);
  if (status != TT_OK) {
    ev_loop_destroy(loop->ev);
    tt_free(loop->received);
    tt_free(loop);
    return status;
  }
  ev_prepare_init(&loop->turn_end, on_turn_end);
  loop->turn_end.data = loop;
  ev_set_priority(&loop->turn_end, EV_MINPRI); /* after whatever else waits for a turn's end and writes something then */
  ev_prepare_start(loop->ev, &loop->turn_end);
  *out = loop;
  return TT_OK;
}

void tt_loop_free(tt_loop *loop) {
  if (loop == NULL) return;
  for (tt_server *server = loop->servers; server != NULL; server = server->next) tt_server_free(server);
  tt_byte_stream_servers_free(loop);
  while (loop->connections != NULL) tt_connection_on_closed(loop->connections, "the event loop has ended");
  tt_library_close(loop);
  ev_prepare_stop(loop->ev, &loop->turn_end);
  while (loop->servers != NULL) {
    tt_server *server = loop->servers;
    loop->servers = server->next;
    tt_server_release(server);
  }
  ev_loop_destroy(loop->ev);
  tt_free(loop->received);
  tt_free(loop);
}

void tt_loop_run(tt_loop *loop) {
  loop->stopping = false;
  while (!loop->stopping) ev_run(loop->ev, EVRUN_ONCE);
}

static void on_wait_over(struct ev_loop *ev, ev_timer *timer, int events) {
  (void)ev;
  (void)timer;
  (void)events;
}

void tt_loop_pass(tt_loop *loop, int64_t wait_ms) {
  if (wait_ms <= 0) {
    ev_run(loop->ev, EVRUN_NOWAIT);
    return;
  }
  ev_timer limit;
  ev_timer_init(&limit, on_wait_over, (double)wait_ms / 1000.0, 0.0);
  ev_now_update(loop->ev);
  ev_timer_start(loop->ev, &limit);
  ev_run(loop->ev, EVRUN_ONCE);
  ev_timer_stop(loop->ev, &limit);
}

void tt_loop_stop(tt_loop *loop) {
  loop->stopping = true;
  ev_break(loop->ev, EVBREAK_ONE);
}

void tt_loop_set_log(tt_loop *loop, tt_log_sink sink, void *user) {
  loop->log = sink;
  loop->log_user = user;
}

void tt_loop_log(tt_loop *loop, tt_log_level level, const char *format, ...) {
  if (loop->log == NULL) return;
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  for (char *byte = line; *byte != '\0'; byte++) { /* some of it comes from outside and may end on a terminal */
    if ((unsigned char)*byte < 0x20 || *byte == 0x7f) *byte = '?';
  }
  loop->log(loop->log_user, level, line);
}

struct tt_timer {
  ev_timer timer; /* first: libev hands its address back */
  tt_loop *loop;
  void (*fired)(void *user);
  void *user;
};

static void on_timer(struct ev_loop *ev, ev_timer *watcher, int events) {
  (void)ev;
  (void)events;
  tt_timer *timer = watcher->data;
  timer->fired(timer->user);
}

tt_timer *tt_timer_new(tt_loop *loop, void (*fired)(void *user), void *user) {
  tt_timer *timer = tt_alloc(1, sizeof *timer);
  if (timer == NULL) return NULL;
  timer->loop = loop;
  timer->fired = fired;
  timer->user = user;
  ev_timer_init(&timer->timer, on_timer, 0.0, 0.0);
  timer->timer.data = timer;
  return timer;
}

void tt_timer_start(tt_timer *timer, int64_t after_ms, int64_t every_ms) {
  ev_timer_stop(timer->loop->ev, &timer->timer);
  ev_now_update(timer->loop->ev); /* the pass may have begun long ago: a worker computes in it */
  ev_timer_set(&timer->timer, (double)after_ms / 1000.0, (double)every_ms / 1000.0);
  ev_timer_start(timer->loop->ev, &timer->timer);
}

void tt_timer_stop(tt_timer *timer) { ev_timer_stop(timer->loop->ev, &timer->timer); }

void tt_timer_free(tt_timer *timer) {
  if (timer == NULL) return;
  tt_timer_stop(timer);
  tt_free(timer);
}

struct tt_turn {
  ev_prepare prepare;
  tt_loop *loop;
  void (*ended)(void *user);
  void *user;
};

static void on_turn(struct ev_loop *ev, ev_prepare *watcher, int events) {
  (void)ev;
  (void)events;
  tt_turn *turn = watcher->data;
  turn->ended(turn->user);
}

tt_turn *tt_turn_new(tt_loop *loop, void (*ended)(void *user), void *user) {
  tt_turn *turn = tt_alloc(1, sizeof *turn);
  if (turn == NULL) return NULL;
  turn->loop = loop;
  turn->ended = ended;
  turn->user = user;
  ev_prepare_init(&turn->prepare, on_turn);
  turn->prepare.data = turn;
  ev_prepare_start(loop->ev, &turn->prepare);
  return turn;
}

void tt_turn_free(tt_turn *turn) {
  if (turn == NULL) return;
  ev_prepare_stop(turn->loop->ev, &turn->prepare);
  tt_free(turn);
}

struct tt_signal {
  ev_signal watcher;
  tt_loop *loop;
  void (*caught)(void *user, int number);
  void *user;
};

static void on_signal(struct ev_loop *ev, ev_signal *watcher, int events) {
  (void)ev;
  (void)events;
  tt_signal *signal = watcher->data;
  signal->caught(signal->user, watcher->signum);
}

tt_signal *tt_signal_new(tt_loop *loop, int number, void (*caught)(void *user, int number), void *user) {
  tt_signal *watch = tt_alloc(1, sizeof *watch);
  if (watch == NULL) return NULL;
  watch->loop = loop;
  watch->caught = caught;
  watch->user = user;
  ev_signal_init(&watch->watcher, on_signal, number);
  watch->watcher.data = watch;
  ev_signal_start(loop->ev, &watch->watcher);
  return watch;
}

void tt_signal_free(tt_signal *watch) {
  if (watch == NULL) return;
  ev_signal_stop(watch->loop->ev, &watch->watcher);
  tt_free(watch);
}
