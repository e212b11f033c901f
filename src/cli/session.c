#include "cli/session.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/loop.h"

const char TT_SESSION_HELP[] = "\n"
                               "Whom and how\n"
                               "  URL                  where the worker is: tcp://HOST:PORT, tls://HOST:PORT, unix:/PATH,\n"
                               "                       ws://HOST:PORT or wss://HOST:PORT\n"
                               "  --to ID              the worker that is meant, where URL is a relay's\n"
                               "  --as ID              who we are: what we send belongs to this id, and comes back to it\n"
                               "                       alone (--id is the same, but with send) [cli-USER@HOST]\n"
                               "  --timeout SECONDS    give up when all has taken so long [30]\n"
                               "  --format FORMAT      text or json, of the output and of errors [text]\n"
                               "  --ca FILE            tls, wss: trust what these certificates have signed [the system's]\n"
                               "  --cert FILE, --key FILE  our own certificate, where the worker asks for one\n"
                               "  --server-name NAME   the name that must be in the worker's certificate [the HOST]\n"
                               "  --any-server-name    a certificate of the CA is enough, whatever its name\n"
                               "  --help               print this\n"
                               "\n"
                               "Exit codes: 0 well; 1 an error of the worker or of an op; 2 a command line that makes no\n"
                               "sense; 3 no connection, or it was lost; 4 no answer in time; 5 a file that cannot be read\n"
                               "or written, or is no .npy. Errors are one line on stderr.\n";

enum { DEFAULT_TIMEOUT_S = 30, MOST_TIMEOUT_S = 86400, AGAIN_MS = 200, GOODBYE_MS = 6000, PASS_MS = 100 };

struct tt_session {
  tt_session_options options;
  tt_loop *loop;
  tt_tls *tls;
  tt_worker *worker;
  tt_native_door *door;
  tt_peer *peer;
  int64_t deadline_ms;
  const char *where;
  /* What events and the connection have told. */
  const void *transport;
  bool is_open, has_ended;
  char opened_by[65]; /* "": a relay */
  char why[512];      /* it has ended */
  tt_status refusal;
  bool has_failure; /* of a command of ours that nobody awaited */
  tt_wire_error failure;
};

/* ---- options ---- */

/* The same for every command of one user on one machine, so that what one has sent another may fetch. */
static void name_ourselves(char id[65]) {
  char host[65] = "localhost";
  gethostname(host, sizeof host - 1);
  const struct passwd *user = getpwuid(getuid());
  if (user != NULL) {
    snprintf(id, 65, "cli-%.24s@%.32s", user->pw_name, host);
  } else {
    snprintf(id, 65, "cli-%lu@%.32s", (unsigned long)getuid(), host);
  }
  if (tt_worker_id_check(tt_name_of(id), NULL) != TT_OK) snprintf(id, 65, "cli-%lu", (unsigned long)getuid());
}

void tt_session_options_init(tt_session_options *options, const char *command) {
  *options = (tt_session_options){.command = command, .timeout_ms = DEFAULT_TIMEOUT_S * 1000};
  name_ourselves(options->id);
}

int tt_session_read_option(tt_session_options *options, int option, const char *value) {
  tt_error error;
  uint64_t number;
  if (tt_read_tls_option(&options->tls, option, value)) return 0;
  switch (option) {
  case TT_OPTION_AS:
    if (tt_worker_id_check(tt_name_of(value), &error) != TT_OK) {
      return tt_usage_error(options->command, "--as: %s", error.message);
    }
    snprintf(options->id, sizeof options->id, "%s", value);
    return 0;
  case TT_OPTION_TO:
    if (tt_worker_id_check(tt_name_of(value), &error) != TT_OK) {
      return tt_usage_error(options->command, "--to: %s", error.message);
    }
    options->to = value;
    return 0;
  case TT_OPTION_FORMAT:
    options->is_json = strcmp(value, "json") == 0;
    if (options->is_json || strcmp(value, "text") == 0) return 0;
    return tt_usage_error(options->command, "--format is text or json, not %s", value);
  case TT_OPTION_TIMEOUT:
    if (!tt_parse_number(value, 1, MOST_TIMEOUT_S, &number)) {
      return tt_usage_error(options->command, "--timeout %s does not work: a whole number of seconds from 1 to %d does", value,
                            MOST_TIMEOUT_S);
    }
    options->timeout_ms = (int64_t)number * 1000;
    return 0;
  default:
    options->is_help = true;
    return 0;
  }
}

/* ---- JSON ---- */

void tt_json_string(tt_buffer *json, const char *string) {
  tt_buffer_u8(json, '"');
  for (const char *at = string; *at != '\0'; at++) {
    if (*at == '"' || *at == '\\') {
      tt_buffer_printf(json, "\\%c", *at);
    } else if ((unsigned char)*at < 0x20 || *at == 0x7f) {
      tt_buffer_printf(json, "\\u%04x", (unsigned char)*at);
    } else {
      tt_buffer_u8(json, (uint8_t)*at);
    }
  }
  tt_buffer_u8(json, '"');
}

void tt_json_shape(tt_buffer *json, const tt_shape *shape) {
  if (!tt_shape_is_known(shape)) {
    tt_buffer_printf(json, "null");
    return;
  }
  tt_buffer_u8(json, '[');
  for (int i = 0; i < shape->n_dims; i++) tt_buffer_printf(json, i == 0 ? "%" PRId64 : ", %" PRId64, shape->dims[i]);
  tt_buffer_u8(json, ']');
}

static int no_memory(const tt_session_options *options) {
  return tt_session_fail(options, NULL, TT_EXIT_FAILED,
                         &(tt_error){.status = TT_ERR_MEMORY, .message = "no memory for what is to be printed"});
}

int tt_print_buffer(const tt_session_options *options, tt_buffer *take_text) {
  int exit_status = take_text->failed ? no_memory(options) : 0;
  if (exit_status == 0) {
    fwrite(take_text->bytes, 1, take_text->n_bytes, stdout);
    fflush(stdout);
  }
  tt_buffer_release(take_text);
  return exit_status;
}

/* ---- errors ---- */

static int exit_of(tt_status status) { return status == TT_ERR_CONNECTION ? TT_EXIT_UNREACHED : TT_EXIT_FAILED; }

static void say_json(const char *where, int exit_status, const tt_wire_error *error) {
  tt_buffer json;
  tt_buffer_init(&json);
  tt_buffer_printf(&json, "{\"error\": {\"code\": ");
  tt_json_string(&json, exit_status == TT_EXIT_LATE ? "timeout" : tt_status_name(error->error.status));
  tt_buffer_printf(&json, ", \"message\": ");
  tt_json_string(&json, error->error.message);
  const struct {
    const char *key, *value;
  } rest[] = {{"worker", error->worker}, {"op", error->op}, {"shapes", error->shapes}, {"at", where != NULL ? where : ""}};
  for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
    if (rest[i].value[0] == '\0') continue;
    tt_buffer_printf(&json, ", \"%s\": ", rest[i].key);
    tt_json_string(&json, rest[i].value);
  }
  tt_buffer_printf(&json, "}, \"exit\": %d}\n", exit_status);
  fputs(tt_buffer_string(&json), stderr);
  tt_buffer_release(&json);
}

static int say_error(const tt_session_options *options, const char *where, int exit_status, const tt_wire_error *error) {
  if (options->is_json) {
    say_json(where, exit_status, error);
    return exit_status;
  }
  fprintf(stderr, "tabtensor %s: ", options->command);
  if (where != NULL) {
    tt_print_clean(stderr, where);
    fputs(": ", stderr);
  }
  tt_print_clean(stderr, error->error.message);
  if (error->shapes[0] != '\0') {
    fputs(" (shapes ", stderr);
    tt_print_clean(stderr, error->shapes);
    putc(')', stderr);
  }
  putc('\n', stderr);
  return exit_status;
}

int tt_session_complain(const tt_session_options *options, const char *where, const tt_wire_error *error) {
  return say_error(options, where, exit_of(error->error.status), error);
}

int tt_session_fail(const tt_session_options *options, const char *where, int exit_status, const tt_error *error) {
  const tt_wire_error wire = {.error = *error, .command = -1};
  return say_error(options, where, exit_status, &wire);
}

static int fail_late(tt_session *session, const char *doing) {
  tt_error error;
  tt_fail(&error, TT_ERR_ABORTED, "%s: not within %" PRId64 " s (--timeout)", doing, session->options.timeout_ms / 1000);
  return tt_session_fail(&session->options, session->where, TT_EXIT_LATE, &error);
}

static int fail_unreached(tt_session *session) {
  tt_error error;
  /* The duplicate of an id is the one refusal that has a way out. */
  tt_fail(&error, session->refusal != TT_OK ? session->refusal : TT_ERR_CONNECTION, "no connection to %.150s: %.300s",
          session->options.url, session->why);
  return tt_session_fail(&session->options, session->where, TT_EXIT_UNREACHED, &error);
}

void tt_session_set_place(tt_session *session, const char *where) { session->where = where; }

/* ---- the connection ---- */

static void on_event(void *host, tt_worker *worker, const tt_event *event) {
  (void)worker;
  tt_session *session = host;
  bool is_ours = event->transport != NULL && event->transport == session->transport;
  if (event->type == TT_EVENT_LINK_OPEN && is_ours) {
    session->is_open = true;
    snprintf(session->opened_by, sizeof session->opened_by, "%s", event->peer);
  } else if (event->type == TT_EVENT_LINK_CLOSED && is_ours && event->error != NULL) {
    session->refusal = event->error->error.status;
  } else if (event->type == TT_EVENT_FAILURE && event->is_ours && !session->has_failure && event->error != NULL) {
    session->has_failure = true;
    session->failure = *event->error;
  }
}

static void on_ended(void *context, const char *reason) {
  tt_session *session = context;
  session->has_ended = true;
  session->transport = NULL;
  snprintf(session->why, sizeof session->why, "%.500s", reason);
}

static bool is_late(const tt_session *session) { return tt_clock_ms() >= session->deadline_ms; }

static void pass(tt_session *session) {
  int64_t left_ms = session->deadline_ms - tt_clock_ms();
  tt_loop_pass(session->loop, left_ms < 1 ? 1 : left_ms < PASS_MS ? left_ms : PASS_MS);
}

static int connect_once(tt_session *session) {
  tt_error error;
  session->is_open = session->has_ended = false;
  session->refusal = TT_OK;
  tt_status status =
      tt_endpoint_connect(session->door, session->options.url, session->tls, on_ended, session, &session->transport, &error);
  if (status == TT_ERR_ARGUMENT) return tt_usage_error(session->options.command, "%s", error.message);
  if (status != TT_OK) {
    return tt_session_fail(&session->options, NULL, status == TT_ERR_MEMORY ? TT_EXIT_FAILED : TT_EXIT_UNREACHED, &error);
  }
  while (!session->is_open && !session->has_ended && !is_late(session)) pass(session);
  return 0;
}

/* Another command of the same name may be at it: its turn ends. */
static int connect_to_worker(tt_session *session) {
  for (;;) {
    int trouble = connect_once(session);
    if (trouble != 0) return trouble;
    if (session->is_open) return 0;
    if (session->has_ended && session->refusal != TT_ERR_DUPLICATE) return fail_unreached(session);
    if (is_late(session)) return session->has_ended ? fail_unreached(session) : fail_late(session, "no answer when connecting");
    for (int64_t until_ms = tt_clock_ms() + AGAIN_MS; tt_clock_ms() < until_ms && !is_late(session);) {
      tt_loop_pass(session->loop, AGAIN_MS / 4);
    }
  }
}

static int say_who_is_there(tt_session *session) {
  tt_error error;
  char there[256] = "";
  size_t cursor = 0, n_bytes = 0;
  for (tt_peer *peer; (peer = tt_worker_next_peer(session->worker, &cursor)) != NULL && n_bytes < sizeof there - 80;) {
    n_bytes += (size_t)snprintf(there + n_bytes, sizeof there - n_bytes, "%s%s", n_bytes > 0 ? ", " : "", tt_peer_id(peer));
  }
  tt_fail(&error, TT_ERR_ARGUMENT, "%.150s is a relay: say with --to which worker behind it is meant (there: %s)",
          session->options.url, there[0] != '\0' ? there : "nobody");
  return tt_session_fail(&session->options, NULL, TT_EXIT_USAGE, &error);
}

static int find_peer(tt_session *session) {
  tt_error error;
  const char *to = session->options.to;
  if (session->opened_by[0] == '\0') {
    if (to == NULL) return say_who_is_there(session);
    while (tt_worker_get_worker(session->worker, to, NULL) == NULL && !session->has_ended && !is_late(session)) pass(session);
    if (session->has_ended) return fail_unreached(session);
  } else if (to != NULL && strcmp(to, session->opened_by) != 0) {
    tt_fail(&error, TT_ERR_UNKNOWN_WORKER, "the worker at %.150s is %s, not %s", session->options.url, session->opened_by, to);
    return tt_session_fail(&session->options, NULL, TT_EXIT_FAILED, &error);
  } else {
    to = session->opened_by;
  }
  session->peer = tt_worker_get_worker(session->worker, to, &error);
  if (session->peer == NULL) return tt_session_fail(&session->options, NULL, TT_EXIT_FAILED, &error);
  return 0;
}

static tt_status set_up(tt_session *session, tt_error *error) {
  TT_TRY(tt_endpoint_tls(&session->options.tls, &session->tls, error));
  TT_TRY(tt_loop_new(&session->loop, error));
  const tt_worker_options worker = {.id = session->options.id, .kind = "cli", .host = session, .on_event = on_event};
  session->worker = tt_worker_new(&worker, error);
  if (session->worker == NULL) return error->status;
  session->door = tt_native_door_new(session->loop, session->worker, NULL, error);
  return session->door != NULL ? TT_OK : error->status;
}

tt_session *tt_session_open(const tt_session_options *options, int *exit_status) {
  tt_session *session = tt_alloc(1, sizeof *session);
  if (session == NULL) {
    *exit_status = no_memory(options);
    return NULL;
  }
  session->options = *options;
  session->deadline_ms = tt_clock_ms() + options->timeout_ms;
  tt_error error;
  tt_status status = set_up(session, &error);
  int trouble = 0;
  if (status == TT_ERR_ARGUMENT) {
    trouble = tt_usage_error(options->command, "%s", error.message);
  } else if (status != TT_OK) {
    trouble = tt_session_fail(options, NULL, TT_EXIT_FAILED, &error);
  }
  if (trouble == 0) trouble = connect_to_worker(session);
  if (trouble == 0) trouble = find_peer(session);
  if (trouble == 0) return session;
  tt_session_close(session);
  *exit_status = trouble;
  return NULL;
}

void tt_session_close(tt_session *session) {
  if (session == NULL) return;
  if (session->worker != NULL) tt_worker_flush(session->worker); /* what was freed last */
  if (session->door != NULL) tt_native_door_stop(session->door);
  tt_worker_free(session->worker);
  int64_t until_ms = tt_clock_ms() + GOODBYE_MS;
  while (session->door != NULL && tt_native_door_n_connections(session->door) > 0 && tt_clock_ms() < until_ms) {
    tt_loop_pass(session->loop, PASS_MS);
  }
  tt_native_door_free(session->door);
  tt_loop_free(session->loop);
  tt_tls_free(session->tls);
  tt_free(session);
}

tt_worker *tt_session_worker(tt_session *session) { return session->worker; }
tt_peer *tt_session_peer(tt_session *session) { return session->peer; }

const tt_session_options *tt_session_opened_with(const tt_session *session) { return &session->options; }

int tt_session_refused(const tt_session *session, const tt_error *error) {
  return tt_session_fail(&session->options, session->where, exit_of(error->status), error);
}

int tt_session_bad_file(const tt_session *session, const tt_error *error) {
  return tt_session_fail(&session->options, session->where, TT_EXIT_FILE, error);
}

/* ---- waiting ---- */

void tt_reply_take(void *context, const tt_answer *answer) {
  tt_reply *reply = context;
  reply->is_there = true;
  if (answer->error != NULL) {
    reply->has_error = true;
    reply->error = *answer->error;
  }
  if (answer->tensor != NULL) reply->tensor = tt_tensor_ref(answer->tensor);
  if (answer->control == NULL) return;
  /* The listing and the text are all that is asked for by value; they are read from a copy of the message. */
  tt_buffer json;
  tt_buffer_init(&json);
  tt_error error;
  tt_status status = tt_control_write(&json, answer->control, &error);
  if (status == TT_OK) status = tt_control_read(json.bytes, json.n_bytes, &reply->control, &error);
  tt_buffer_release(&json);
  reply->has_control = status == TT_OK;
  if (status == TT_OK) return;
  reply->has_error = true;
  reply->error = (tt_wire_error){.error = error, .command = -1};
}

void tt_reply_release(tt_reply *reply) {
  tt_tensor_unref(reply->tensor);
  if (reply->has_control) tt_control_release(&reply->control);
  *reply = (tt_reply){0};
}

int tt_session_wait(tt_session *session, uint64_t request, tt_reply *reply) {
  while (!reply->is_there && !is_late(session)) pass(session);
  if (!reply->is_there) {
    tt_worker_cancel(session->worker, request); /* which answers, lest it answers when the reply is gone */
    return fail_late(session, "no answer");
  }
  if (!reply->has_error) return 0;
  /* What nobody awaited failed first, and is what this one fails with. */
  if (session->has_failure && session->failure.failure == reply->error.failure) session->has_failure = false;
  return tt_session_complain(&session->options, session->where, &reply->error);
}

int tt_session_query(tt_session *session, tt_control *query, tt_reply *reply) {
  tt_error error;
  uint64_t request;
  tt_status status = tt_worker_query(session->worker, session->peer, query, tt_reply_take, reply, &request, &error);
  return status == TT_OK ? tt_session_wait(session, request, reply) : tt_session_refused(session, &error);
}

int tt_session_sync(tt_session *session) {
  tt_error error;
  tt_reply reply = {0};
  uint64_t request;
  if (tt_worker_sync(session->worker, session->peer, tt_reply_take, &reply, &request, &error) != TT_OK) {
    return tt_session_refused(session, &error);
  }
  int trouble = tt_session_wait(session, request, &reply);
  tt_reply_release(&reply);
  if (trouble != 0 || !session->has_failure) return trouble;
  session->has_failure = false;
  return tt_session_complain(&session->options, session->where, &session->failure);
}

void tt_session_settle(tt_session *session) {
  tt_reply reply = {0};
  uint64_t request;
  if (tt_worker_sync(session->worker, session->peer, tt_reply_take, &reply, &request, NULL) != TT_OK) return;
  while (!reply.is_there && !is_late(session)) pass(session);
  if (!reply.is_there) tt_worker_cancel(session->worker, request);
  tt_reply_release(&reply);
}
