/*
 * session: what the commands have in common that talk to a worker and end: their options, the connection, waiting for an answer, and how things are said.
 *
 * A session is one worker of our own that is attached to the one it talks to. It waits by passing the event loop, up to a deadline for the whole command.
 * What goes wrong is one line on stderr, as text or as JSON ({"error": {...}, "exit": 3}); the exit codes are TT_EXIT_*.
 */
#ifndef TT_CLI_SESSION_H
#define TT_CLI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "cli/command.h"
#include "cli/endpoint.h"
#include "worker/worker.h"

enum {
  TT_EXIT_FAILED = 1,    /* an error that the worker, an op or a script answered */
  TT_EXIT_UNREACHED = 3, /* there is no connection, or it was lost */
  TT_EXIT_LATE = 4,      /* no answer within --timeout */
  TT_EXIT_FILE = 5,      /* a file that cannot be read or written, or is no .npy */
};

/* What getopt_long answers for the options of every such command. */
enum { TT_OPTION_AS = 600, TT_OPTION_TO, TT_OPTION_FORMAT, TT_OPTION_TIMEOUT };

#define TT_SESSION_OPTIONS                                                                                            \
  {"as", required_argument, NULL, TT_OPTION_AS}, {"to", required_argument, NULL, TT_OPTION_TO},                       \
      {"format", required_argument, NULL, TT_OPTION_FORMAT}, {"timeout", required_argument, NULL, TT_OPTION_TIMEOUT}, \
      {"help", no_argument, NULL, 'h'}, TT_TLS_CONNECTING_OPTIONS

/* Their help, for the end of a command's own. */
extern const char TT_SESSION_HELP[];

typedef struct tt_session_options {
  const char *command; /* its name, for messages */
  const char *url;
  char id[65];    /* our own */
  const char *to; /* whom we talk to, behind a relay; NULL: who is there */
  bool is_json, is_help;
  int64_t timeout_ms;
  tt_tls_options tls;
} tt_session_options;

void tt_session_options_init(tt_session_options *options, const char *command);
/* Takes an option of TT_SESSION_OPTIONS, or refuses one that is none. 0, or TT_EXIT_USAGE after having said why. */
int tt_session_read_option(tt_session_options *options, int option, const char *value);

typedef struct tt_session tt_session;

/* Connects and waits until the worker has answered. NULL: it has said why, and *exit_status is what to exit with. Owner: the caller, tt_session_close. */
tt_session *tt_session_open(const tt_session_options *options, int *exit_status);
/* Says goodbye and lets what waits leave. NULL is allowed. */
void tt_session_close(tt_session *session);

tt_worker *tt_session_worker(tt_session *session);
tt_peer *tt_session_peer(tt_session *session);
const tt_session_options *tt_session_opened_with(const tt_session *session);
/* tt_session_fail for what a call of the worker's answered, with the exit status that it has. */
int tt_session_refused(const tt_session *session, const tt_error *error);
/* The same for a file. */
int tt_session_bad_file(const tt_session *session, const tt_error *error);

/* An answer that is waited for, copied. Release it. */
typedef struct tt_reply {
  bool is_there;
  bool has_error;
  tt_wire_error error;
  tt_tensor *tensor;
  tt_control control; /* of a query */
  bool has_control;
} tt_reply;

/* A tt_answer_fn for requests whose context is a tt_reply that was all zero. */
void tt_reply_take(void *reply, const tt_answer *answer);
void tt_reply_release(tt_reply *reply);

/* Passes the loop until the reply of `request` is there, or gives the request up. 0, or the exit status after having said what is wrong: its error, no answer in time, no connection any more. */
int tt_session_wait(tt_session *session, uint64_t request, tt_reply *reply);
/* Asks the peer and waits. */
int tt_session_query(tt_session *session, tt_control *query, tt_reply *reply);
/* Waits until the peer has done all that was sent; a command that failed without anybody asking for its result counts as an error. */
int tt_session_sync(tt_session *session);
/* The same without a word, for who has said already what is wrong. */
void tt_session_settle(tt_session *session);

/* Says what went wrong; `where` stands before it in text ("script:3"), or is NULL. Answers the exit status that its status has. */
int tt_session_complain(const tt_session_options *options, const char *where, const tt_wire_error *error);
int tt_session_fail(const tt_session_options *options, const char *where, int exit_status, const tt_error *error);

/* One more line before what goes wrong in the session: "script:3". Borrowed; NULL for none. */
void tt_session_set_place(tt_session *session, const char *where);

/* ---- JSON ---- */

void tt_json_string(tt_buffer *json, const char *string);
void tt_json_shape(tt_buffer *json, const tt_shape *shape); /* null when unknown */
/* Prints the buffer and releases it. 0, or TT_EXIT_FAILED without memory. */
int tt_print_buffer(const tt_session_options *options, tt_buffer *take_text);

#endif
