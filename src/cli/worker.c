/* worker: `tabtensor worker`: a native worker that listens, and connects to others and to relays, at any number of addresses. */
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
#include "cli/endpoint.h"
#include "kernels/parallel.h"
#include "net/loop.h"
#include "worker/worker.h"

static const char HELP[] = "Usage: tabtensor worker [OPTIONS]\n"
                           "\n"
                           "A worker of this machine: it keeps tensors and computes on them when others say so.\n"
                           "It listens where others attach to it directly, and connects to other workers and to\n"
                           "relays, behind which all who are there find it: any number of each. For each it prints\n"
                           "one line when it is ready:\n"
                           "\n"
                           "  tabtensor worker ready at tcp://127.0.0.1:7000 (id 2)\n"
                           "  tabtensor worker ready behind ws://127.0.0.1:8080/ (id 2)\n"
                           "\n"
                           "Addresses\n"
                           "  tcp://HOST:PORT      a plain byte stream       tls://HOST:PORT   the same, encrypted\n"
                           "  unix:/PATH           a socket of this machine, for this user alone\n"
                           "  ws://HOST:PORT       a WebSocket, for pages too\n"
                           "  wss://HOST:PORT      the same, encrypted: to connect to only\n"
                           "\n"
                           "Who and where\n"
                           "  --id ID              how others call it, 1 to 64 bytes [worker- and a random number]\n"
                           "  --listen ADDRESS     listen there (may be repeated); port 0 takes any free one\n"
                           "  --port N             the same as --listen ws://HOST:N [8181; with --listen, --connect or\n"
                           "                       --relay only when it is given]\n"
                           "  --host ADDRESS       the HOST of --port [127.0.0.1: this machine only]\n"
                           "  --connect ADDRESS    connect to the worker that listens there, and again when the\n"
                           "                       connection is lost (may be repeated)\n"
                           "  --relay ADDRESS      the same for a relay, where an id that is taken is the end\n"
                           "\n"
                           "TLS (files are PEM; `tabtensor` asks for no passphrase)\n"
                           "  --cert FILE          this worker's certificate, followed by those that lead to its CA;\n"
                           "                       shown to who connects by tls and, where asked for, when connecting\n"
                           "  --key FILE           its private key\n"
                           "  --ca FILE            trust certificates that these have signed [those the system trusts]\n"
                           "  --require-client-cert  listening: turn away who shows none that --ca has signed.\n"
                           "                       Without it everybody who reaches the port may attach\n"
                           "  --server-name NAME   connecting: the name that must be in the certificate [the HOST]\n"
                           "  --any-server-name    connecting: a certificate of the CA is enough, whatever its name\n"
                           "\n"
                           "What\n"
                           "  --max-store SIZE     what its objects may take together; k, m and g are understood [1g]\n"
                           "  --threads N          how many threads share the work of a large op [one for each processor]\n"
                           "  --grace SECONDS      how long what others own lives on when they have gone, for them to\n"
                           "                       come back to; or `forever` [60]\n"
                           "  --max-connections N  how many may be attached at a time [1000]\n"
                           "  --allow-origin URL   ws: let pages of another origin attach, for example\n"
                           "                       http://localhost:8080 (may be repeated). Without it only pages\n"
                           "                       that come from this very port may; programs that are no browsers\n"
                           "                       always may\n"
                           "  --pages DIR          ws: serve the files of this folder at /\n"
                           "\n"
                           "How\n"
                           "  --quiet              tell that it is ready, and errors\n"
                           "  --verbose            tell every object, command and failure as it comes\n"
                           "  --help               print this\n"
                           "\n"
                           "There is no password: whoever attaches may send tensors and commands. Listen where only\n"
                           "those come who may, or with tls and --require-client-cert.\n"
                           "SIGINT and SIGTERM end it: it takes leave of its peers, lets what waits for them go, and\n"
                           "exits with 0. It exits with 1 when a port, or its id at a relay, is taken, with 2 when an\n"
                           "option makes no sense.\n";

enum {
  DEFAULT_PORT = 8181,
  MAX_ORIGINS = 64,
  MAX_ENDPOINTS = 64,
  MOST_CONNECTIONS = 50000,
  LEAST_STORE_BYTES = 1024,
  MOST_GRACE_S = 1000000000,
  FIRST_RETRY_MS = 1000,
  LAST_RETRY_MS = 30000,
  GOODBYE_MS = 6000, /* a little more than a connection takes to close at most */
};

typedef enum verbosity { QUIET, NORMAL, VERBOSE } verbosity;

/* Where to connect to. */
typedef struct destination {
  const char *url;
  bool is_relay;
} destination;

typedef struct worker_options {
  char id[256];
  const char *host;
  const char *pages;
  const char *origins[MAX_ORIGINS];
  size_t n_origins;
  const char *listens[MAX_ENDPOINTS];
  size_t n_listens;
  destination destinations[MAX_ENDPOINTS];
  size_t n_destinations;
  uint16_t port;
  bool has_port, is_help;
  tt_tls_options tls;
  uint64_t max_store_bytes;
  int n_threads; /* 0: as many as there are processors */
  int64_t grace_ms;
  size_t max_connections;
  verbosity verbosity;
} worker_options;

struct native_worker;

/* One connection that is made, and made again when it is lost. */
typedef struct dialled {
  struct native_worker *native;
  const destination *to;
  tt_timer *retry;
  int64_t retry_ms;      /* how long the next try waits */
  const void *transport; /* as events name it; NULL between two */
  bool was_attached;     /* the other end has taken us at least once */
  tt_status refusal;     /* why it has just closed the connection; TT_OK when it has not */
  char last_reason[256]; /* not said again and again */
} dialled;

/* One running worker of this process. */
typedef struct native_worker {
  const worker_options *options;
  tt_loop *loop;
  tt_worker *worker;
  tt_native_door *door;
  tt_tls *tls;
  dialled dialled[MAX_ENDPOINTS];
  size_t n_dialled;
  int exit_status;
} native_worker;

/* ---- what it prints ---- */

static void complain(const char *text) {
  fputs("tabtensor worker: ", stderr);
  tt_print_clean(stderr, text);
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
  tt_print_clean(stdout, detail);
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
    tt_print_clean(stdout, event->peer);
  }
  if (event->text[0] != '\0') {
    fputs(": ", stdout);
    tt_print_clean(stdout, event->text);
  }
  end_line();
}

static void print_command(const tt_event *event) {
  fputs("command of ", stdout);
  tt_print_clean(stdout, event->peer);
  printf(": %s", event->text);
  for (size_t i = 0; i < event->n_operands; i++) printf(" %" PRIu64, event->ids[i]);
  if (event->n_results > 0) fputs(" ->", stdout);
  for (size_t i = 0; i < event->n_results; i++) printf(" %" PRIu64, event->ids[event->n_operands + i]);
  end_line();
}

static void print_error(const char *what, const tt_event *event) {
  fputs(what, stdout);
  tt_print_clean(stdout, event->peer[0] == '\0' ? "a connection" : event->peer);
  fputs(": ", stdout);
  tt_print_clean(stdout, event->error == NULL ? event->text : event->error->error.message);
  if (event->error != NULL && event->error->shapes[0] != '\0') {
    fputs(" (shapes ", stdout);
    tt_print_clean(stdout, event->error->shapes);
    putchar(')');
  }
  end_line();
}

static void attached(dialled *connection, const tt_event *event) {
  const native_worker *native = connection->native;
  const char *url = connection->to->url;
  connection->was_attached = true;
  connection->retry_ms = FIRST_RETRY_MS;
  connection->last_reason[0] = '\0';
  say(native, NORMAL, event->peer[0] == '\0' ? "Attached to the relay " : "Attached to the worker at ", url);
  printf("tabtensor worker ready behind %s (id %s)\n", url, native->options->id);
  fflush(stdout);
}

/* The connection that an event about a link is of; NULL when others have opened it. */
static dialled *find_dialled(native_worker *native, const tt_event *event) {
  for (size_t i = 0; event->transport != NULL && i < native->n_dialled; i++) {
    if (native->dialled[i].transport == event->transport) return &native->dialled[i];
  }
  return NULL;
}

static void on_event(void *host, tt_worker *worker, const tt_event *event) {
  (void)worker;
  native_worker *native = host;
  bool is_verbose = native->options->verbosity == VERBOSE;
  dialled *connection = find_dialled(native, event);
  switch (event->type) {
  case TT_EVENT_LINK_OPEN:
    if (connection != NULL) attached(connection, event);
    break;
  case TT_EVENT_LINK_CLOSED:
    if (connection != NULL && event->error != NULL) connection->refusal = event->error->error.status;
    break;
  case TT_EVENT_PEER_JOINED:
    say(native, NORMAL, "joined: ", event->peer);
    break;
  case TT_EVENT_PEER_LEFT:
    if (native->options->verbosity == QUIET) break;
    fputs("left: ", stdout);
    tt_print_clean(stdout, event->peer);
    fputs(": ", stdout);
    tt_print_clean(stdout, event->text);
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

/* ---- connections that it makes ---- */

static void give_up(native_worker *native, const char *text, int exit_status) {
  complain(text);
  native->exit_status = exit_status;
  tt_loop_stop(native->loop);
}

/* Whether trying again cannot help. */
static bool is_hopeless(const dialled *connection, tt_status refusal) {
  if (refusal == TT_ERR_VERSION) return true;
  /* An id that is taken when we come back is most likely our own connection of before, which the other end has not given up yet; one that a worker has
   * taken may be our own as well, where that worker has connected to us. */
  return refusal == TT_ERR_DUPLICATE && !connection->was_attached && connection->to->is_relay;
}

/* Tries again, or gives up where trying cannot help. */
static void on_ended(void *context, const char *reason) {
  dialled *connection = context;
  native_worker *native = connection->native;
  const char *id = native->options->id, *url = connection->to->url;
  tt_status refusal = connection->refusal;
  connection->transport = NULL;
  connection->refusal = TT_OK;
  char text[1024];
  if (is_hopeless(connection, refusal)) {
    if (refusal == TT_ERR_DUPLICATE) {
      snprintf(text, sizeof text, "the id %s is taken at %.200s: choose another with --id (%s)", id, url, reason);
    } else {
      snprintf(text, sizeof text, "%.200s speaks another version of the protocol: %s", url, reason);
    }
    give_up(native, text, EXIT_FAILURE);
    return;
  }
  char cut[sizeof connection->last_reason];
  snprintf(cut, sizeof cut, "%.255s", reason);
  if (strcmp(connection->last_reason, cut) != 0) {
    snprintf(text, sizeof text, "no connection to %.200s: %s; trying again in %" PRId64 " s", url, reason,
             connection->retry_ms / 1000);
    complain(text);
    snprintf(connection->last_reason, sizeof connection->last_reason, "%s", cut);
  }
  tt_timer_start(connection->retry, connection->retry_ms, 0);
  connection->retry_ms = connection->retry_ms * 2 < LAST_RETRY_MS ? connection->retry_ms * 2 : LAST_RETRY_MS;
}

static void dial(void *user) {
  dialled *connection = user;
  native_worker *native = connection->native;
  tt_error error;
  tt_status status =
      tt_endpoint_connect(native->door, connection->to->url, native->tls, on_ended, connection, &connection->transport, &error);
  if (status == TT_ERR_ARGUMENT) {
    give_up(native, error.message, TT_EXIT_USAGE);
  } else if (status != TT_OK) {
    on_ended(connection, error.message);
  }
}

/* ---- its life ---- */

static void on_signal(void *user, int number) {
  (void)number;
  native_worker *native = user;
  tt_loop_stop(native->loop);
}

static tt_status listen_at(native_worker *native, const char *url, tt_error *error) {
  const worker_options *options = native->options;
  const tt_mount mount = {.prefix = "/", .folder = options->pages};
  const tt_listen_options websocket = {.allowed_origins = options->origins,
                                       .n_allowed_origins = options->n_origins,
                                       .mounts = &mount,
                                       .n_mounts = options->pages != NULL ? 1 : 0};
  char bound[TT_MAX_URL_BYTES];
  TT_TRY(tt_endpoint_listen(native->door, url, native->tls, &websocket, bound, error));
  if (options->verbosity >= NORMAL) printf("Ready to receive commands....  (id %s, %s)\n", options->id, bound);
  printf("tabtensor worker ready at %s (id %s)\n", bound, options->id);
  fflush(stdout);
  return TT_OK;
}

static tt_status listen_on_port(native_worker *native, tt_error *error) {
  const char *host = native->options->host != NULL ? native->options->host : "127.0.0.1";
  char url[TT_MAX_URL_BYTES];
  snprintf(url, sizeof url, strchr(host, ':') != NULL ? "ws://[%.255s]:%u" : "ws://%.255s:%u", host, native->options->port);
  return listen_at(native, url, error);
}

/* Says goodbye and lets what waits leave. */
static void leave(native_worker *native) {
  if (native->door != NULL) tt_native_door_stop(native->door);
  for (size_t i = 0; i < native->n_dialled; i++) tt_timer_free(native->dialled[i].retry);
  tt_worker_free(native->worker);
  int64_t deadline_ms = tt_clock_ms() + GOODBYE_MS;
  while (native->door != NULL && tt_native_door_n_connections(native->door) > 0 && tt_clock_ms() < deadline_ms) {
    tt_loop_pass(native->loop, 100);
  }
  tt_native_door_free(native->door);
}

static tt_status start(native_worker *native, tt_error *error) {
  const worker_options *options = native->options;
  const tt_worker_options worker = {.id = options->id,
                                    .kind = "native",
                                    .max_store_bytes = options->max_store_bytes,
                                    .grace_ms = options->grace_ms,
                                    .host = native,
                                    .on_event = on_event};
  if (options->n_threads != 0) TT_TRY(tt_parallel_set_threads(options->n_threads, error));
  native->worker = tt_worker_new(&worker, error);
  if (native->worker == NULL) return error->status;
  say(native, NORMAL, "Hooking into Tensors... Overloading complete.", "");
  say(native, NORMAL, options->n_listens > 0 ? "Starting a Socket Worker...." : "Starting a WebSocket Worker....", "");
  TT_TRY(tt_endpoint_tls(&options->tls, &native->tls, error));
  const tt_native_door_options door = {.max_connections = options->max_connections};
  native->door = tt_native_door_new(native->loop, native->worker, &door, error);
  if (native->door == NULL) return error->status;
  if (options->has_port) TT_TRY(listen_on_port(native, error));
  for (size_t i = 0; i < options->n_listens; i++) TT_TRY(listen_at(native, options->listens[i], error));
  for (size_t i = 0; i < options->n_destinations; i++) {
    dialled *connection = &native->dialled[i];
    *connection = (dialled){.native = native, .to = &options->destinations[i], .retry_ms = FIRST_RETRY_MS};
    connection->retry = tt_timer_new(native->loop, dial, connection);
    if (connection->retry == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for a timer");
    native->n_dialled++;
    say(native, NORMAL, "Attaching to ", connection->to->url);
    dial(connection);
  }
  return TT_OK;
}

/* ---- its command line ---- */

static int add_destination(worker_options *options, const char *url, bool is_relay) {
  if (options->n_destinations == MAX_ENDPOINTS) {
    return tt_usage_error("worker", "at most %d --connect and --relay are possible", MAX_ENDPOINTS);
  }
  options->destinations[options->n_destinations++] = (destination){.url = url, .is_relay = is_relay};
  return 0;
}

static int read_option(worker_options *options, int option, const char *value) {
  uint64_t number;
  tt_error error;
  if (tt_read_tls_option(&options->tls, option, value)) return 0;
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
    options->has_port = true;
    return 0;
  case 'H':
    options->host = value;
    return 0;
  case 'l':
    if (options->n_listens == MAX_ENDPOINTS) {
      return tt_usage_error("worker", "at most %d --listen are possible", MAX_ENDPOINTS);
    }
    options->listens[options->n_listens++] = value;
    return 0;
  case 'C':
    return add_destination(options, value, false);
  case 'r':
    return add_destination(options, value, true);
  case 'm':
    if (!tt_parse_size(value, LEAST_STORE_BYTES, INT64_MAX, &options->max_store_bytes)) {
      return tt_usage_error("worker", "--max-store %s does not work: a number of bytes from 1k on does, such as 256m or 4g",
                            value);
    }
    return 0;
  case 't':
    if (!tt_parse_number(value, 1, TT_MAX_THREADS, &number)) {
      return tt_usage_error("worker", "--threads %s does not work: a number from 1 to %d does", value, TT_MAX_THREADS);
    }
    options->n_threads = (int)number;
    return 0;
  case 'g':
    if (strcmp(value, "forever") != 0 && !tt_parse_number(value, 1, MOST_GRACE_S, &number)) {
      return tt_usage_error("worker", "--grace %s does not work: a number of seconds from 1 to %d does, and `forever`", value,
                            MOST_GRACE_S);
    }
    options->grace_ms = strcmp(value, "forever") == 0 ? INT64_MAX : (int64_t)number * 1000;
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

static bool listens_for_websockets(const worker_options *options) {
  tt_address address;
  for (size_t i = 0; i < options->n_listens; i++) {
    if (tt_address_parse(options->listens[i], &address, NULL) == TT_OK && address.scheme == TT_SCHEME_WS) return true;
  }
  return options->has_port;
}

/* Options that say nothing without another one. */
static int check_options(const worker_options *options) {
  const char *for_pages = options->pages != NULL ? "--pages" : options->n_origins > 0 ? "--allow-origin" : NULL;
  if (!options->has_port && options->host != NULL) {
    return tt_usage_error("worker", "--host is for a worker that listens: say --port as well");
  }
  if (for_pages != NULL && !listens_for_websockets(options)) {
    return tt_usage_error("worker", "%s is for a worker that listens for WebSockets: say --port or --listen ws:// as well",
                          for_pages);
  }
  return 0;
}

static int read_options(int argc, char **argv, worker_options *options) {
  static const struct option LONG[] = {
      {"id", required_argument, NULL, 'i'},
      {"port", required_argument, NULL, 'p'},
      {"host", required_argument, NULL, 'H'},
      {"listen", required_argument, NULL, 'l'},
      {"connect", required_argument, NULL, 'C'},
      {"relay", required_argument, NULL, 'r'},
      TT_TLS_CONNECTING_OPTIONS,
      TT_TLS_LISTENING_OPTIONS,
      {"max-store", required_argument, NULL, 'm'},
      {"threads", required_argument, NULL, 't'},
      {"grace", required_argument, NULL, 'g'},
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
  if (options->n_destinations == 0 && options->n_listens == 0) options->has_port = true;
  return check_options(options);
}

static int run(const worker_options *options) {
  native_worker native = {.options = options, .exit_status = EXIT_SUCCESS};
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
  tt_tls_free(native.tls);
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
