/* relay: `tabtensor relay`: the relay, the pages and the echo behind one port. */
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "net/loop.h"
#include "net/server.h"
#include "relay/echo.h"
#include "relay/relay.h"
#include "wire/prelude.h"

static const char HELP[] = "Usage: tabtensor relay [OPTIONS]\n"
                           "\n"
                           "Carries frames between workers (browser tabs, Node, native processes) that cannot\n"
                           "listen themselves, and serves their pages from the same port. It reads who a frame is\n"
                           "from and for, nothing else. When it is ready it prints one line with its address:\n"
                           "\n"
                           "  tabtensor relay ready at http://localhost:8080/\n"
                           "\n"
                           "Where\n"
                           "  --port N             listen on this port; 0 takes any free one [8080]\n"
                           "  --host ADDRESS       listen on this address [127.0.0.1: this machine only].\n"
                           "                       0.0.0.0 is every network: there is no password and no TLS here,\n"
                           "                       so put a proxy that has both in front\n"
                           "\n"
                           "What\n"
                           "  --pages DIR          serve the files of this folder at /\n"
                           "  --mount /NAME/=DIR   serve another folder under /NAME/ (may be repeated)\n"
                           "  --allow-origin URL   let pages of another origin connect, for example\n"
                           "                       https://lab.example or http://localhost:3000 (may be repeated).\n"
                           "                       Without it only pages that come from this very port may;\n"
                           "                       programs that are no browsers always may\n"
                           "  --echo               send every message (up to 16 MiB) back at /echo, to check\n"
                           "                       connections\n"
                           "\n"
                           "How\n"
                           "  --max-queued SIZE    when this much waits for one worker, those who send to it are\n"
                           "                       not read until half of it has gone [6m]; k and m are understood\n"
                           "  --stall SECONDS      who keeps others waiting for so long is dropped [30]\n"
                           "  --ping SECONDS       ping who is silent for so long; who stays silent for twice as long\n"
                           "                       is dropped, and so is who takes nothing [25]\n"
                           "  --quiet              tell errors only\n"
                           "  --verbose            tell every request and connection\n"
                           "  --help               print this\n"
                           "\n"
                           "SIGINT and SIGTERM end it: it tells its peers (close code 1001) and exits with 0.\n";

enum {
  MAX_MOUNTS = 16,
  MAX_ORIGINS = 64,
  STOP_WITHIN_MS = 1500,
  MOST_QUEUED_BYTES = 1 << 30,
  DEFAULT_PORT = 8080,
  LOOK_AT_MEMORY_EVERY_MS = 5000,
  MOST_FREE_BYTES = 16 << 20, /* that are kept for what comes */
};

typedef struct relay_options {
  const char *host;
  uint16_t port;
  tt_mount mounts[MAX_MOUNTS];
  size_t n_mounts;
  const char *origins[MAX_ORIGINS];
  size_t n_origins;
  bool has_echo, is_help;
  size_t max_queued_bytes;
  int64_t max_stall_ms;
  int64_t ping_every_ms;
  tt_log_level log_level;
} relay_options;

typedef struct program {
  tt_loop *loop;
  tt_relay *relay;
  tt_server *server;
  tt_timer *deadline;
  bool stopping;
} program;

static int add_mount(relay_options *options, const char *prefix, const char *folder) {
  if (options->n_mounts == MAX_MOUNTS) return tt_usage_error("relay", "at most %d folders can be served", MAX_MOUNTS);
  options->mounts[options->n_mounts++] = (tt_mount){.prefix = prefix, .folder = folder};
  return 0;
}

/* Cuts "/NAME/=DIR" in two, in place. */
static int read_mount(relay_options *options, char *text) {
  char *equals = strchr(text, '=');
  if (equals == NULL) return tt_usage_error("relay", "--mount %s has no folder: write it as /NAME/=DIR", text);
  *equals = '\0';
  return add_mount(options, text, equals + 1);
}

static int read_option(relay_options *options, int option, char *value) {
  uint64_t number;
  switch (option) {
  case 'p':
    if (!tt_parse_number(value, 0, UINT16_MAX, &number)) {
      return tt_usage_error("relay", "--port %s is no port: a number from 0 (any free one) to 65535 is", value);
    }
    options->port = (uint16_t)number;
    return 0;
  case 'H':
    options->host = value;
    return 0;
  case 'd':
    return add_mount(options, "/", value);
  case 'm':
    return read_mount(options, value);
  case 'o':
    if (options->n_origins == MAX_ORIGINS) return tt_usage_error("relay", "at most %d origins can be allowed", MAX_ORIGINS);
    options->origins[options->n_origins++] = value;
    return 0;
  case 'e':
    options->has_echo = true;
    return 0;
  case 'q':
    if (!tt_parse_size(value, TT_MAX_FRAME_BYTES, MOST_QUEUED_BYTES, &number)) {
      return tt_usage_error("relay", "--max-queued %s does not work: from 256k (a frame) to 1024m does", value);
    }
    options->max_queued_bytes = number;
    return 0;
  case 'S':
    if (!tt_parse_number(value, 1, 3600, &number)) {
      return tt_usage_error("relay", "--stall %s does not work: a whole number of seconds from 1 to 3600 does", value);
    }
    options->max_stall_ms = (int64_t)number * 1000;
    return 0;
  case 'P':
    if (!tt_parse_number(value, 1, 3600, &number)) {
      return tt_usage_error("relay", "--ping %s does not work: a whole number of seconds from 1 to 3600 does", value);
    }
    options->ping_every_ms = (int64_t)number * 1000;
    return 0;
  case 's':
    options->log_level = TT_LOG_ERROR;
    return 0;
  case 'v':
    options->log_level = TT_LOG_DEBUG;
    return 0;
  default:
    options->is_help = true;
    return 0;
  }
}

static int read_options(int argc, char **argv, relay_options *options) {
  static const struct option LONG[] = {
      {"port", required_argument, NULL, 'p'},
      {"host", required_argument, NULL, 'H'},
      {"pages", required_argument, NULL, 'd'},
      {"mount", required_argument, NULL, 'm'},
      {"allow-origin", required_argument, NULL, 'o'},
      {"echo", no_argument, NULL, 'e'},
      {"max-queued", required_argument, NULL, 'q'},
      {"stall", required_argument, NULL, 'S'},
      {"ping", required_argument, NULL, 'P'},
      {"quiet", no_argument, NULL, 's'},
      {"verbose", no_argument, NULL, 'v'},
      {"help", no_argument, NULL, 'h'},
      {0},
  };
  *options = (relay_options){.host = "127.0.0.1",
                             .port = DEFAULT_PORT,
                             .max_queued_bytes = TT_RELAY_MAX_QUEUED_BYTES,
                             .max_stall_ms = TT_RELAY_MAX_STALL_MS,
                             .log_level = TT_LOG_INFO};
  opterr = 0;
  optind = 1;
  for (;;) {
    int option = getopt_long(argc, argv, ":h", LONG, NULL);
    if (option == -1) break;
    if (option == '?' || option == ':') return tt_option_error("relay", option, argv);
    int trouble = read_option(options, option, optarg);
    if (trouble != 0) return trouble;
  }
  if (optind < argc) return tt_usage_error("relay", "'%s' is not expected here", argv[optind]);
  return 0;
}

static void log_line(void *user, tt_log_level level, const char *line) {
  const relay_options *options = user;
  if (level <= options->log_level) fprintf(stderr, "relay: %s\n", line);
}

/* What a burst has left in holes between what stays, such as many workers who joined at once, goes back to the system. */
static void give_memory_back(void *user) {
  (void)user;
  if (mallinfo2().fordblks > MOST_FREE_BYTES) malloc_trim(0);
}

static void on_deadline(void *user) { tt_loop_stop(((program *)user)->loop); }

static void on_signal(void *user, int number) {
  (void)number;
  program *self = user;
  if (self->stopping) { /* once more: at once */
    tt_loop_stop(self->loop);
    return;
  }
  self->stopping = true;
  tt_loop_log(self->loop, TT_LOG_INFO, "ending; %zu connections are told", tt_server_n_connections(self->server));
  tt_server_stop_listening(self->server);
  tt_relay_stop(self->relay);
  tt_server_close_all(self->server, TT_CLOSE_GOING_AWAY, "the relay is ending");
  tt_timer_start(self->deadline, STOP_WITHIN_MS, 0);
}

static void on_turn(void *user) {
  program *self = user;
  if (self->stopping && tt_server_n_connections(self->server) == 0) tt_loop_stop(self->loop);
}

static tt_status start(program *self, const relay_options *options, tt_error *error) {
  TT_TRY(tt_relay_new(self->loop, options->max_queued_bytes, options->max_stall_ms, &self->relay, error));
  tt_endpoint echo = {.path = "/echo", .events = &tt_echo_events, .max_message_bytes = TT_ECHO_MAX_MESSAGE_BYTES};
  tt_endpoint relay = {.events = &tt_relay_events, .user = self->relay, .max_message_bytes = TT_MAX_FRAME_BYTES};
  tt_endpoint endpoints[] = {options->has_echo ? echo : relay, relay};
  tt_server_options server = {
      .host = options->host,
      .port = options->port,
      .endpoints = endpoints,
      .n_endpoints = sizeof endpoints / sizeof endpoints[0],
      .mounts = options->mounts,
      .n_mounts = options->n_mounts,
      .allowed_origins = options->origins,
      .n_allowed_origins = options->n_origins,
      .ping_every_ms = options->ping_every_ms,
  };
  return tt_server_new(self->loop, &server, &self->server, error);
}

static void announce(const tt_server *server) {
  const char *host = tt_server_host(server);
  bool is_here =
      strcmp(host, "127.0.0.1") == 0 || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::1") == 0 || strcmp(host, "::") == 0;
  bool is_ipv6 = strchr(host, ':') != NULL;
  printf("tabtensor relay ready at http://%s%s%s:%u/\n", !is_here && is_ipv6 ? "[" : "", is_here ? "localhost" : host,
         !is_here && is_ipv6 ? "]" : "", tt_server_port(server));
  fflush(stdout);
}

/* A frame takes the memory of one that has left. Given back to the system in between, its pages would be cleared anew for each. */
static void keep_memory_of_frames(void) {
  mallopt(M_MMAP_THRESHOLD, 4 * TT_MAX_FRAME_BYTES);
  mallopt(M_TRIM_THRESHOLD, 32 * TT_MAX_FRAME_BYTES);
}

int tt_command_relay(int argc, char **argv) {
  relay_options options;
  int trouble = read_options(argc, argv, &options);
  if (trouble != 0) return trouble;
  if (options.is_help) {
    fputs(HELP, stdout);
    return EXIT_SUCCESS;
  }
  tt_error error;
  program self = {.loop = NULL};
  keep_memory_of_frames();
  tt_status status = tt_loop_new(&self.loop, &error);
  if (status == TT_OK) {
    tt_loop_set_log(self.loop, log_line, &options);
    status = start(&self, &options, &error);
  }
  if (status != TT_OK) {
    fprintf(stderr, "tabtensor relay: %s\n", error.message);
    tt_relay_stop(self.relay);
    tt_loop_free(self.loop);
    tt_relay_free(self.relay);
    return status == TT_ERR_ARGUMENT ? TT_EXIT_USAGE : EXIT_FAILURE;
  }
  tt_signal *terminate = tt_signal_new(self.loop, SIGTERM, on_signal, &self);
  tt_signal *interrupt = tt_signal_new(self.loop, SIGINT, on_signal, &self);
  tt_turn *turn = tt_turn_new(self.loop, on_turn, &self);
  self.deadline = tt_timer_new(self.loop, on_deadline, &self);
  tt_timer *housekeeping = tt_timer_new(self.loop, give_memory_back, NULL);
  int code = EXIT_FAILURE;
  if (terminate != NULL && interrupt != NULL && turn != NULL && self.deadline != NULL && housekeeping != NULL) {
    tt_timer_start(housekeeping, LOOK_AT_MEMORY_EVERY_MS, LOOK_AT_MEMORY_EVERY_MS);
    announce(self.server);
    tt_loop_run(self.loop);
    code = EXIT_SUCCESS;
  } else {
    fputs("tabtensor relay: no memory\n", stderr);
  }
  tt_timer_free(housekeeping);
  tt_timer_free(self.deadline);
  tt_turn_free(turn);
  tt_signal_free(interrupt);
  tt_signal_free(terminate);
  tt_server_free(self.server);
  tt_relay_stop(self.relay);
  tt_loop_free(self.loop);
  tt_relay_free(self.relay);
  return code;
}
