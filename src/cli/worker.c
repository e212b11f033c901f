/* worker: `tabtensor worker`: a native worker that listens, or is attached to a relay, or both. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "cli/command.h"
#include "net/loop.h"
#include "net/server.h"
#include "transport/websocket_native.h"
#include "worker/worker.h"

static const char HELP[] = "Usage: tabtensor worker [OPTIONS]\n"
                           "\n"
                           "A worker of this machine: it keeps tensors and computes on them when others say so.\n"
                           "It listens on a port, where others attach to it directly, or it attaches to a relay,\n"
                           "where all who are there find it, or both. For each it prints one line when it is ready:\n"
                           "\n"
                           "  tabtensor worker ready at ws://127.0.0.1:8181/ (id 2)\n"
                           "  tabtensor worker ready behind ws://127.0.0.1:8080/ (id 2)\n"
                           "\n"
                           "Who and where\n"
                           "  --id ID              how others call it, 1 to 64 bytes [worker- and a random number]\n"
                           "  --port N             listen on this port; 0 takes any free one [8181; with --relay\n"
                           "                       only when it is given]\n"
                           "  --host ADDRESS       listen on this address [127.0.0.1: this machine only].\n"
                           "                       0.0.0.0 is every network: there is no password and no TLS here,\n"
                           "                       so put a proxy that has both in front\n"
                           "  --relay URL          attach to the relay, or to the worker that listens, at\n"
                           "                       ws://HOST:PORT, and again when the connection is lost\n"
                           "\n"
                           "What\n"
                           "  --max-store SIZE     what its objects may take together; k, m and g are understood [1g]\n"
                           "  --max-connections N  how many may be attached at a time [1000]\n"
                           "  --allow-origin URL   let pages of another origin attach, for example\n"
                           "                       http://localhost:8080 (may be repeated). Without it only pages\n"
                           "                       that come from this very port may; programs that are no browsers\n"
                           "                       always may\n"
                           "  --pages DIR          serve the files of this folder at /\n"
                           "\n"
                           "How\n"
                           "  --quiet              tell that it is ready, and errors\n"
                           "  --verbose            tell every object, command and failure as it comes\n"
                           "  --help               print this\n"
                           "\n"
                           "SIGINT and SIGTERM end it: it takes leave of its peers, lets what waits for them go, and\n"
                           "exits with 0. It exits with 1 when the port, or its id at the relay, is taken, with 2\n"
                           "when an option makes no sense.\n";

enum {
  DEFAULT_PORT = 8181,
  MAX_ORIGINS = 64,
  MOST_CONNECTIONS = 50000,
  LEAST_STORE_BYTES = 1024,
  FIRST_RETRY_MS = 1000,
  LAST_RETRY_MS = 30000,
  GOODBYE_MS = 6000, /* a little more than a connection takes to close at most */
};

typedef enum verbosity { QUIET, NORMAL, VERBOSE } verbosity;

typedef struct worker_options {
  char id[256];
  const char *host;
  const char *relay;
  const char *pages;
  const char *origins[MAX_ORIGINS];
  size_t n_origins;
  uint16_t port;
  bool listens, is_help;
  uint64_t max_store_bytes;
  size_t max_connections;
  verbosity verbosity;
} worker_options;

/* One running worker of this process. */
typedef struct native_worker {
  const worker_options *options;
  tt_loop *loop;
  tt_worker *worker;
  tt_native_door *door;
  tt_timer *retry;
  int64_t retry_ms;      /* how long the next try waits */
  const void *transport; /* the connection to the relay, as events name it; NULL between two */
  bool was_attached;     /* the relay has taken us at least once */
  tt_status refusal;     /* why the relay has just closed the connection; TT_OK when it has not */
  int exit_status;
} native_worker;

/* ---- what it prints ---- */

/* What comes from elsewhere must not steer the terminal. */
static void print_clean(FILE *stream, const char *text) {
  for (; *text != '\0'; text++) {
    unsigned char byte = (unsigned char)*text;
    bool is_c1 = byte == 0xC2 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] <= 0x9F;
    if (is_c1) text++;
    putc(byte < 0x20 || byte == 0x7F || is_c1 ? '?' : byte, stream);
  }
}

static void complain(const char *text) {
  fputs("tabtensor worker: ", stderr);
  print_clean(stderr, text);
  putc('\n', stderr);
}

/* Events are read as they come, through a pipe too. */
static void end_line(void) {
  putchar('\n');
  fflush(stdout);
}

static void say(const native_worker *native, verbosity least, const char *what, const char *detail) {
  if (native->options->verbosity < least) return;
  fputs(what, stdout);
  print_clean(stdout, detail);
  end_line();
}

static void print_object(const char *what, const tt_event *event) {
  printf("%s %" PRIu64, what, event->object);
  if (event->meta != NULL) {
    char shape[TT_SHAPE_TEXT_BYTES];
    printf(" %s %s", tt_dtype_name(event->meta->dtype), tt_shape_text(&event->meta->shape, shape));
  }
  if (event->peer[0] != '\0') {
    fputs(" of ", stdout);
    print_clean(stdout, event->peer);
  }
  if (event->text[0] != '\0') {
    fputs(": ", stdout);
    print_clean(stdout, event->text);
  }
  end_line();
}

static void print_command(const tt_event *event) {
  fputs("command of ", stdout);
  print_clean(stdout, event->peer);
  printf(": %s", event->text);
  for (size_t i = 0; i < event->n_operands; i++) printf(" %" PRIu64, event->ids[i]);
  if (event->n_results > 0) fputs(" ->", stdout);
  for (size_t i = 0; i < event->n_results; i++) printf(" %" PRIu64, event->ids[event->n_operands + i]);
  end_line();
}

static void print_error(const char *what, const tt_event *event) {
  fputs(what, stdout);
  print_clean(stdout, event->peer[0] == '\0' ? "a connection" : event->peer);
  fputs(": ", stdout);
  print_clean(stdout, event->error == NULL ? event->text : event->error->error.message);
  if (event->error != NULL && event->error->shapes[0] != '\0') {
    fputs(" (shapes ", stdout);
    print_clean(stdout, event->error->shapes);
    putchar(')');
  }
  end_line();
}

static void attached(native_worker *native, const tt_event *event) {
  native->was_attached = true;
  native->retry_ms = FIRST_RETRY_MS;
  say(native, NORMAL, event->peer[0] == '\0' ? "Attached to the relay " : "Attached to the worker at ", native->options->relay);
  printf("tabtensor worker ready behind %s (id %s)\n", native->options->relay, native->options->id);
  fflush(stdout);
}

static void on_event(void *host, tt_worker *worker, const tt_event *event) {
  (void)worker;
  native_worker *native = host;
  bool is_verbose = native->options->verbosity == VERBOSE;
  bool is_ours = event->transport != NULL && event->transport == native->transport;
  switch (event->type) {
  case TT_EVENT_LINK_OPEN:
    if (is_ours) attached(native, event);
    break;
  case TT_EVENT_LINK_CLOSED:
    if (is_ours && event->error != NULL) native->refusal = event->error->error.status;
    break;
  case TT_EVENT_PEER_JOINED:
    say(native, NORMAL, "joined: ", event->peer);
    break;
  case TT_EVENT_PEER_LEFT:
    if (native->options->verbosity == QUIET) break;
    fputs("left: ", stdout);
    print_clean(stdout, event->peer);
    fputs(": ", stdout);
    print_clean(stdout, event->text);
    end_line();
    break;
  case TT_EVENT_OBJECT_ADDED:
    if (is_verbose) print_object("object added:", event);
    break;
  case TT_EVENT_OBJECT_REMOVED:
    if (is_verbose) print_object("object removed:", event);
    break;
  case TT_EVENT_COMMAND:
    if (is_verbose) print_command(event);
    break;
  case TT_EVENT_FAILURE:
    if (is_verbose) print_error(event->is_ours ? "failure at " : "failure, command of ", event);
    break;
  case TT_EVENT_REFUSED:
    if (native->options->verbosity >= NORMAL) print_error("refused: ", event);
    break;
  }
}

/* ---- the relay ---- */

static void connect_relay(void *user);

/* Tries again, or gives up where trying cannot help. */
static void on_relay_ended(void *context, const char *reason) {
  native_worker *native = context;
  const worker_options *options = native->options;
  tt_status refusal = native->refusal;
  native->transport = NULL;
  native->refusal = TT_OK;
  char text[1024];
  /* An id that is taken when we come back is most likely our own connection of before, which the relay has not given up yet. */
  if (refusal == TT_ERR_VERSION || (refusal == TT_ERR_DUPLICATE && !native->was_attached)) {
    if (refusal == TT_ERR_DUPLICATE) {
      snprintf(text, sizeof text, "the id %s is taken at %.200s: choose another with --id (%s)", options->id, options->relay,
               reason);
    } else {
      snprintf(text, sizeof text, "%.200s speaks another version of the protocol: %s", options->relay, reason);
    }
    complain(text);
    native->exit_status = EXIT_FAILURE;
    tt_loop_stop(native->loop);
    return;
  }
  snprintf(text, sizeof text, "no connection to %.200s: %s; trying again in %" PRId64 " s", options->relay, reason,
           native->retry_ms / 1000);
  complain(text);
  tt_timer_start(native->retry, native->retry_ms, 0);
  native->retry_ms = native->retry_ms * 2 < LAST_RETRY_MS ? native->retry_ms * 2 : LAST_RETRY_MS;
}

static void connect_relay(void *user) {
  native_worker *native = user;
  tt_error error;
  tt_status status =
      tt_websocket_native_connect(native->door, native->options->relay, on_relay_ended, native, &native->transport, &error);
  if (status == TT_ERR_ARGUMENT) {
    complain(error.message);
    native->exit_status = TT_EXIT_USAGE;
    tt_loop_stop(native->loop);
  } else if (status != TT_OK) {
    on_relay_ended(native, error.message);
  }
}

/* ---- its life ---- */

static void on_signal(void *user, int number) {
  (void)number;
  native_worker *native = user;
  tt_loop_stop(native->loop);
}

static tt_status listen_on_port(native_worker *native, tt_error *error) {
  const worker_options *options = native->options;
  const tt_mount mount = {.prefix = "/", .folder = options->pages};
  const tt_listen_options listen = {.host = options->host,
                                    .port = options->port,
                                    .allowed_origins = options->origins,
                                    .n_allowed_origins = options->n_origins,
                                    .mounts = &mount,
                                    .n_mounts = options->pages != NULL ? 1 : 0};
  const tt_server *server;
  TT_TRY(tt_websocket_native_listen(native->door, &listen, &server, error));
  const char *host = tt_server_host(server);
  bool is_v6 = strchr(host, ':') != NULL;
  char url[256];
  snprintf(url, sizeof url, "ws://%s%s%s:%u/", is_v6 ? "[" : "", host, is_v6 ? "]" : "", (unsigned)tt_server_port(server));
  if (options->verbosity >= NORMAL) printf("Ready to receive commands....  (id %s, %s)\n", options->id, url);
  printf("tabtensor worker ready at %s (id %s)\n", url, options->id);
  fflush(stdout);
  return TT_OK;
}

/* Says goodbye and lets what waits leave. */
static void leave(native_worker *native) {
  if (native->door != NULL) tt_native_door_stop(native->door);
  tt_timer_free(native->retry);
  tt_worker_free(native->worker);
  int64_t deadline_ms = tt_clock_ms() + GOODBYE_MS;
  while (native->door != NULL && tt_native_door_n_connections(native->door) > 0 && tt_clock_ms() < deadline_ms) {
    tt_loop_pass(native->loop, 100);
  }
  tt_native_door_free(native->door);
}

static tt_status start(native_worker *native, tt_error *error) {
  const worker_options *options = native->options;
  const tt_worker_options worker = {
      .id = options->id, .kind = "native", .max_store_bytes = options->max_store_bytes, .host = native, .on_event = on_event};
  native->worker = tt_worker_new(&worker, error);
  if (native->worker == NULL) return error->status;
  say(native, NORMAL, "Hooking into Tensors... Overloading complete.", "");
  say(native, NORMAL, "Starting a WebSocket Worker....", "");
  const tt_native_door_options door = {.max_connections = options->max_connections};
  native->door = tt_native_door_new(native->loop, native->worker, &door, error);
  if (native->door == NULL) return error->status;
  if (options->listens) TT_TRY(listen_on_port(native, error));
  if (options->relay == NULL) return TT_OK;
  native->retry = tt_timer_new(native->loop, connect_relay, native);
  if (native->retry == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for a timer");
  say(native, NORMAL, "Attaching to ", options->relay);
  connect_relay(native);
  return TT_OK;
}

/* ---- its command line ---- */

static int read_option(worker_options *options, int option, const char *value) {
  uint64_t number;
  tt_error error;
  switch (option) {
  case 'i':
    if (tt_worker_id_check(tt_name_of(value), &error) != TT_OK) return tt_usage_error("worker", "--id: %s", error.message);
    snprintf(options->id, sizeof options->id, "%s", value);
    return 0;
  case 'p':
    if (!tt_parse_number(value, 0, UINT16_MAX, &number)) {
      return tt_usage_error("worker", "--port %s is no port: a number from 0 (any free one) to 65535 is", value);
    }
    options->port = (uint16_t)number;
    options->listens = true;
    return 0;
  case 'H':
    options->host = value;
    return 0;
  case 'r':
    options->relay = value;
    return 0;
  case 'm':
    if (!tt_parse_size(value, LEAST_STORE_BYTES, INT64_MAX, &options->max_store_bytes)) {
      return tt_usage_error("worker", "--max-store %s does not work: a number of bytes from 1k on does, such as 256m or 4g",
                            value);
    }
    return 0;
  case 'c':
    if (!tt_parse_number(value, 1, MOST_CONNECTIONS, &number)) {
      return tt_usage_error("worker", "--max-connections %s does not work: from 1 to %d does", value, MOST_CONNECTIONS);
    }
    options->max_connections = number;
    return 0;
  case 'o':
    if (options->n_origins == MAX_ORIGINS) return tt_usage_error("worker", "at most %d origins can be allowed", MAX_ORIGINS);
    options->origins[options->n_origins++] = value;
    return 0;
  case 'd':
    options->pages = value;
    return 0;
  case 's':
    options->verbosity = QUIET;
    return 0;
  case 'v':
    options->verbosity = VERBOSE;
    return 0;
  default:
    options->is_help = true;
    return 0;
  }
}

static int read_options(int argc, char **argv, worker_options *options) {
  static const struct option LONG[] = {
      {"id", required_argument, NULL, 'i'},
      {"port", required_argument, NULL, 'p'},
      {"host", required_argument, NULL, 'H'},
      {"relay", required_argument, NULL, 'r'},
      {"max-store", required_argument, NULL, 'm'},
      {"max-connections", required_argument, NULL, 'c'},
      {"allow-origin", required_argument, NULL, 'o'},
      {"pages", required_argument, NULL, 'd'},
      {"quiet", no_argument, NULL, 's'},
      {"verbose", no_argument, NULL, 'v'},
      {"help", no_argument, NULL, 'h'},
      {0},
  };
  *options = (worker_options){.port = DEFAULT_PORT, .verbosity = NORMAL};
  snprintf(options->id, sizeof options->id, "worker-%08" PRIx32, (uint32_t)tt_random_id());
  opterr = 0;
  optind = 1;
  for (;;) {
    int option = getopt_long(argc, argv, ":h", LONG, NULL);
    if (option == -1) break;
    if (option == '?' || option == ':') return tt_option_error("worker", option, argv);
    int trouble = read_option(options, option, optarg);
    if (trouble != 0) return trouble;
  }
  if (optind < argc) return tt_usage_error("worker", "'%s' is not expected here", argv[optind]);
  const char *for_listening = options->host != NULL    ? "--host"
                              : options->pages != NULL ? "--pages"
                              : options->n_origins > 0 ? "--allow-origin"
                                                       : NULL;
  if (options->relay == NULL) options->listens = true;
  if (!options->listens && for_listening != NULL) {
    return tt_usage_error("worker", "%s is for a worker that listens: say --port as well", for_listening);
  }
  return 0;
}

static int run(const worker_options *options) {
  native_worker native = {.options = options, .retry_ms = FIRST_RETRY_MS, .exit_status = EXIT_SUCCESS};
  tt_error error;
  tt_status status = tt_loop_new(&native.loop, &error);
  if (status != TT_OK) {
    complain(error.message);
    return EXIT_FAILURE;
  }
  tt_signal *term = tt_signal_new(native.loop, SIGTERM, on_signal, &native);
  tt_signal *interrupt = tt_signal_new(native.loop, SIGINT, on_signal, &native);
  status =
      term == NULL || interrupt == NULL ? tt_fail(&error, TT_ERR_MEMORY, "no memory to watch signals") : start(&native, &error);
  if (status != TT_OK) {
    complain(error.message);
    native.exit_status = status == TT_ERR_ARGUMENT ? TT_EXIT_USAGE : EXIT_FAILURE;
  } else if (native.exit_status == EXIT_SUCCESS) {
    tt_loop_run(native.loop);
  }
  leave(&native);
  tt_signal_free(term);
  tt_signal_free(interrupt);
  tt_loop_free(native.loop);
  return native.exit_status;
}

int tt_command_worker(int argc, char **argv) {
  worker_options options;
  int trouble = read_options(argc, argv, &options);
  if (trouble != 0) return trouble;
  if (!options.is_help) return run(&options);
  fputs(HELP, stdout);
  return EXIT_SUCCESS;
}
