/* run: `tabtensor run`: a script of commands at one worker. The commands are rows of a table; every other word is an op's name. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/command.h"
#include "cli/files.h"
#include "cli/script.h"
#include "cli/session.h"

static const char HELP[] = "Usage: tabtensor run URL SCRIPT [OPTIONS]\n"
                           "\n"
                           "Runs a script (- is stdin) at the worker, one command a line:\n"
                           "\n"
                           "  x = send data.npy              # a .npy file goes there, and x stands for it\n"
                           "  y = add x x                    # any op: its arguments by position and by name\n"
                           "  values, places = max y dim=0   # as many names as it has results\n"
                           "  z = matmul x [w]               # numbers, names, [lists], True, None, float32, 'text'\n"
                           "  print z                        # as PyTorch prints it\n"
                           "  get z out.npy                  # home into a file, and away from there\n"
                           "\n"
                           "Commands\n"
                           "  NAME = send FILE [tag=T]... [description=D] [policy=P]   a .npy file to there\n"
                           "  NAME = object ID               something that is there already\n"
                           "  NAME[, NAME]... = OP ARGUMENT...   an op of `tabtensor ops`; in place (add_) without NAME\n"
                           "  print NAME                     prints it\n"
                           "  shape NAME                     prints its dtype and shape\n"
                           "  get NAME FILE                  writes a .npy file, and removes it there\n"
                           "  copy NAME FILE                 writes a .npy file\n"
                           "  keep NAME [tag=T]... [description=D] [policy=P]   prints its id and leaves it there\n"
                           "  free NAME...                   removes them there\n"
                           "\n"
                           "What a script has made and not kept is removed when it ends. Nothing waits but print,\n"
                           "shape, get, copy and keep; the first error ends the script, and says in which line.\n";

enum { MAX_VARIABLES = 4096, PLACE_BYTES = 320 };

typedef struct variable {
  char name[64];
  tt_node *head; /* owned */
} variable;

typedef struct program {
  tt_session *session;
  const tt_session_options *options;
  const tt_script_line *line;
  variable *variables;
  size_t n_variables, capacity;
  unsigned line_number;
} program;

/* What a line answers: 0 to go on, or the exit status after having said why. */
typedef int line_fn(program *run);

/* ---- errors ---- */

static int fail(program *run, tt_status status, const char *message) {
  tt_error error = {.status = status};
  snprintf(error.message, sizeof error.message, "%.500s", message);
  return tt_session_refused(run->session, &error);
}

static int usage(program *run, const char *form) {
  char message[256];
  snprintf(message, sizeof message, "write %s", form);
  return fail(run, TT_ERR_ARGUMENT, message);
}

/* ---- variables ---- */

static variable *find_variable(program *run, const char *name) {
  for (size_t i = 0; i < run->n_variables; i++) {
    if (strcmp(run->variables[i].name, name) == 0) return &run->variables[i];
  }
  return NULL;
}

static int no_variable(program *run, const char *name) {
  char message[160];
  snprintf(message, sizeof message, "there is no tensor named '%.100s'", name);
  return fail(run, TT_ERR_ARGUMENT, message);
}

/* Takes over the head. */
static int set_variable(program *run, const char *name, tt_node *take_head) {
  variable *at = find_variable(run, name);
  if (at != NULL) {
    tt_node_unref(at->head);
    at->head = take_head;
    return 0;
  }
  if (run->n_variables == run->capacity) {
    size_t capacity = run->capacity == 0 ? 64 : 2 * run->capacity;
    variable *grown = capacity > MAX_VARIABLES ? NULL : tt_realloc(run->variables, capacity * sizeof *grown);
    if (grown == NULL) {
      tt_node_unref(take_head);
      return fail(run, TT_ERR_FULL, "too many names, or no memory for one more: free some");
    }
    run->variables = grown;
    run->capacity = capacity;
  }
  at = &run->variables[run->n_variables++];
  snprintf(at->name, sizeof at->name, "%s", name);
  at->head = take_head;
  return 0;
}

static void drop_variable(program *run, variable *at) {
  tt_node_unref(at->head);
  *at = run->variables[--run->n_variables];
}

static tt_operand *find_operand(void *context, const char *name) {
  variable *at = find_variable(context, name);
  return at != NULL ? &at->head->operand : NULL;
}

/* ---- what words say of an object ---- */

typedef struct described {
  tt_metadata metadata;
  char *tags[TT_MAX_TAGS];
} described;

/* The NAME=WORD among the words from `first` on. */
static int read_description(program *run, size_t first, described *said) {
  *said = (described){0};
  said->metadata.tags = said->tags;
  for (size_t i = first; i < run->line->n_words; i++) {
    const tt_script_word *word = &run->line->words[i];
    if (word->name == NULL) return usage(run, "tag=T, description=D and policy=P behind it");
    if (strcmp(word->name, "tag") == 0 && said->metadata.n_tags < TT_MAX_TAGS) {
      said->tags[said->metadata.n_tags++] = word->text;
    } else if (strcmp(word->name, "description") == 0) {
      said->metadata.description = word->text;
    } else if (strcmp(word->name, "policy") == 0 && tt_policy_from_name(word->text, &said->metadata.policy)) {
      said->metadata.has_policy = true;
    } else {
      return usage(run, "tag=T (at most 32), description=D and policy=open, compute or closed");
    }
  }
  if (said->metadata.n_tags == 0) said->metadata.tags = NULL;
  return 0;
}

/* ---- lines ---- */

static int send_head(program *run, tt_node *head, const tt_metadata *metadata) {
  tt_error error;
  if (tt_worker_send(tt_session_worker(run->session), head, tt_session_peer(run->session), 0, metadata, NULL, NULL, NULL,
                     &error) != TT_OK) {
    return tt_session_refused(run->session, &error);
  }
  return 0;
}

static int run_send(program *run) {
  const tt_script_line *line = run->line;
  if (line->n_targets != 1 || line->n_words < 1 || line->words[0].name != NULL) return usage(run, "NAME = send FILE.npy");
  described said;
  int trouble = read_description(run, 1, &said);
  if (trouble != 0) return trouble;
  tt_error error;
  tt_tensor *tensor;
  if (tt_file_load_npy(line->words[0].text, &tensor, &error) != TT_OK) return tt_session_bad_file(run->session, &error);
  tt_node *local = tt_local_new(tensor, &error);
  tt_node *head = local != NULL ? tt_head_new(local, &error) : NULL;
  if (head == NULL) return tt_session_refused(run->session, &error);
  trouble = send_head(run, head, &said.metadata);
  if (trouble == 0) return set_variable(run, line->targets[0], head);
  tt_node_unref(head);
  return trouble;
}

static int run_object(program *run) {
  const tt_script_line *line = run->line;
  uint64_t id;
  if (line->n_targets != 1 || line->n_words != 1 || !tt_parse_number(line->words[0].text, 1, UINT64_MAX, &id)) {
    return usage(run, "NAME = object ID");
  }
  tt_reply about = {0};
  int trouble = tt_session_query(run->session, &(tt_control){.query = TT_QUERY_SHAPE, .object = id}, &about);
  const tt_meta meta = about.control.meta;
  tt_reply_release(&about);
  if (trouble != 0) return trouble;
  tt_error error;
  tt_node *head = tt_worker_create_pointer(tt_session_worker(run->session), tt_session_peer(run->session), id, &meta, &error);
  return head != NULL ? set_variable(run, line->targets[0], head) : tt_session_refused(run->session, &error);
}

/* The one tensor that a command is about, of the words that it has; NULL: it has said why not, and *trouble is what to answer. */
static variable *read_subject(program *run, size_t n_words, const char *form, int *trouble) {
  const tt_script_line *line = run->line;
  if (line->n_targets != 0 || line->n_words < n_words || line->words[0].name != NULL) {
    *trouble = usage(run, form);
    return NULL;
  }
  variable *subject = find_variable(run, line->words[0].text);
  *trouble = subject == NULL ? no_variable(run, line->words[0].text) : 0;
  return subject;
}

static void begin_line(program *run, tt_buffer *text, const char *what, const variable *subject) {
  tt_buffer_init(text);
  if (!run->options->is_json) return;
  tt_buffer_printf(text, "{\"line\": %u, \"command\": \"%s\", \"name\": ", run->line_number, what);
  tt_json_string(text, subject->name);
}

static int run_print(program *run) {
  int trouble;
  variable *subject = read_subject(run, 1, "print NAME", &trouble);
  if (subject == NULL) return trouble;
  tt_reply printed = {0};
  trouble = tt_session_query(run->session,
                             &(tt_control){.query = TT_QUERY_PRINT, .object = tt_pointer_id(subject->head->child)}, &printed);
  if (trouble == 0) {
    tt_buffer text;
    begin_line(run, &text, "print", subject);
    const char *words = printed.control.text != NULL ? printed.control.text : "";
    if (run->options->is_json) {
      tt_buffer_printf(&text, ", \"text\": ");
      tt_json_string(&text, words);
      tt_buffer_u8(&text, '}');
    } else {
      tt_print_clean_lines(stdout, words);
    }
    tt_buffer_u8(&text, '\n');
    trouble = tt_print_buffer(run->options, &text);
  }
  tt_reply_release(&printed);
  return trouble;
}

static int run_shape(program *run) {
  int trouble;
  variable *subject = read_subject(run, 1, "shape NAME", &trouble);
  if (subject == NULL) return trouble;
  tt_reply about = {0};
  trouble = tt_session_query(run->session,
                             &(tt_control){.query = TT_QUERY_SHAPE, .object = tt_pointer_id(subject->head->child)}, &about);
  if (trouble == 0) {
    const tt_meta *meta = &about.control.meta;
    tt_buffer text;
    begin_line(run, &text, "shape", subject);
    tt_buffer_printf(&text, run->options->is_json ? ", \"dtype\": \"%s\", \"shape\": " : "%s ", tt_dtype_name(meta->dtype));
    tt_json_shape(&text, &meta->shape);
    tt_buffer_printf(&text, run->options->is_json ? "}\n" : "\n");
    trouble = tt_print_buffer(run->options, &text);
  }
  tt_reply_release(&about);
  return trouble;
}

static int save(program *run, const variable *subject, const char *path) {
  tt_error error;
  uint64_t request;
  tt_reply got = {0};
  if (tt_worker_fetch(tt_session_worker(run->session), subject->head, tt_reply_take, &got, &request, &error) != TT_OK) {
    return tt_session_refused(run->session, &error);
  }
  int trouble = tt_session_wait(run->session, request, &got);
  if (trouble == 0 && tt_file_save_npy(path, got.tensor, &error) != TT_OK) trouble = tt_session_bad_file(run->session, &error);
  tt_reply_release(&got);
  return trouble;
}

static int run_copy(program *run) {
  int trouble;
  variable *subject = read_subject(run, 2, "copy NAME FILE.npy", &trouble);
  return subject == NULL ? trouble : save(run, subject, run->line->words[1].text);
}

static int run_get(program *run) {
  int trouble;
  variable *subject = read_subject(run, 2, "get NAME FILE.npy", &trouble);
  if (subject == NULL) return trouble;
  trouble = save(run, subject, run->line->words[1].text);
  if (trouble != 0) return trouble;
  tt_pointer_own(subject->head->child); /* one that was there before goes as well, if it is ours */
  drop_variable(run, subject);
  return 0;
}

static int run_keep(program *run) {
  int trouble;
  described said;
  variable *subject = read_subject(run, 1, "keep NAME", &trouble);
  if (subject == NULL) return trouble;
  trouble = read_description(run, 1, &said);
  if (trouble != 0) return trouble;
  uint64_t id = tt_pointer_id(subject->head->child);
  tt_reply done = {0};
  tt_control query = {.query = TT_QUERY_CONFIGURE, .object = id, .metadata = said.metadata};
  if (tt_metadata_is_empty(&said.metadata))
    query = (tt_control){.query = TT_QUERY_SHAPE, .object = id}; /* whether it is there */
  trouble = tt_session_query(run->session, &query, &done);
  tt_reply_release(&done);
  if (trouble != 0) return trouble;
  tt_pointer_disown(subject->head->child);
  tt_buffer text;
  begin_line(run, &text, "keep", subject);
  tt_buffer_printf(&text, run->options->is_json ? ", \"id\": \"%" PRIu64 "\"}\n" : "%" PRIu64 "\n", id);
  return tt_print_buffer(run->options, &text);
}

static int run_free(program *run) {
  if (run->line->n_targets != 0 || run->line->n_words == 0) return usage(run, "free NAME...");
  for (size_t i = 0; i < run->line->n_words; i++) {
    variable *subject = find_variable(run, run->line->words[i].text);
    if (subject == NULL) return no_variable(run, run->line->words[i].text);
    tt_pointer_own(subject->head->child);
    drop_variable(run, subject);
  }
  return 0;
}

/* ---- ops ---- */

static int wrong_results(program *run, const tt_op *op, size_t n_results) {
  char message[512];
  snprintf(message, sizeof message, "%s has %zu results, and %zu names are given (%.300s)", op->name, n_results,
           run->line->n_targets, op->schema);
  return fail(run, TT_ERR_ARGUMENT, message);
}

/* What was made of numbers alone is here, and goes to where the rest is. */
static int place_result(program *run, tt_node *head) {
  return tt_local_tensor(head->child) != NULL ? send_head(run, head, NULL) : 0;
}

static int keep_results(program *run, const tt_op *op, tt_node **results, size_t n_results) {
  const tt_script_line *line = run->line;
  bool is_dropped = line->n_targets == 0 && (op->flags & TT_OP_INPLACE) != 0;
  int trouble = is_dropped || line->n_targets == n_results ? 0 : wrong_results(run, op, n_results);
  for (size_t i = 0; i < n_results; i++) {
    if (trouble == 0 && !is_dropped) trouble = place_result(run, results[i]);
    if (trouble == 0 && !is_dropped) {
      trouble = set_variable(run, line->targets[i], results[i]);
    } else {
      tt_node_unref(results[i]);
    }
  }
  return trouble;
}

static int run_op(program *run, const tt_op *op) {
  tt_error error;
  tt_script_arguments arguments;
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results;
  tt_status status = tt_script_read_arguments(run->line, op, find_operand, run, &arguments, &error);
  if (status == TT_OK) {
    status = tt_hook_call(tt_worker_hook(tt_session_worker(run->session)), op->number, arguments.values, arguments.n_values,
                          NULL, 0, results, &n_results, &error);
  }
  return status == TT_OK ? keep_results(run, op, results, n_results) : tt_session_refused(run->session, &error);
}

/* ---- the script ---- */

static const struct {
  const char *name;
  line_fn *run;
} COMMANDS[] = {{"send", run_send}, {"object", run_object}, {"print", run_print}, {"shape", run_shape},
                {"get", run_get},   {"copy", run_copy},     {"keep", run_keep},   {"free", run_free}};

static int run_line(program *run, char *text) {
  tt_error error;
  tt_script_line line;
  if (tt_script_read_line(text, &line, &error) != TT_OK) return tt_session_refused(run->session, &error);
  if (line.command == NULL) return 0;
  run->line = &line;
  for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
    if (strcmp(COMMANDS[i].name, line.command) == 0) return COMMANDS[i].run(run);
  }
  const tt_op *op = tt_op_find(line.command, strlen(line.command));
  if (op != NULL) return run_op(run, op);
  char message[256];
  snprintf(message, sizeof message, "there is no command and no op '%.100s' (`tabtensor run --help`, `tabtensor ops`)",
           line.command);
  return fail(run, TT_ERR_UNKNOWN_OP, message);
}

static int run_script(tt_session *session, const tt_session_options *options, char *script, const char *path) {
  program run = {.session = session, .options = options};
  char where[PLACE_BYTES];
  int trouble = 0;
  for (char *line = script, *next; line != NULL && trouble == 0; line = next) {
    next = strchr(line, '\n');
    if (next != NULL) *next++ = '\0';
    run.line_number++;
    snprintf(where, sizeof where, "%.250s:%u", strcmp(path, "-") == 0 ? "stdin" : path, run.line_number);
    tt_session_set_place(session, where);
    trouble = run_line(&run, line);
  }
  if (trouble != 0) tt_session_settle(session); /* what is still on its way cannot be freed there */
  while (run.n_variables > 0) drop_variable(&run, &run.variables[run.n_variables - 1]);
  tt_free(run.variables);
  if (trouble == 0) {
    tt_session_set_place(session, NULL);
    trouble = tt_session_sync(session);
  }
  return trouble;
}

int tt_command_run(int argc, char **argv) {
  static const struct option OPTIONS[] = {TT_SESSION_OPTIONS, {"id", required_argument, NULL, TT_OPTION_AS}, {0}};
  tt_session_options options;
  tt_session_options_init(&options, argv[0]);
  opterr = 0;
  optind = 1;
  for (int option; (option = getopt_long(argc, argv, ":h", OPTIONS, NULL)) != -1;) {
    if (option == '?' || option == ':') return tt_option_error(argv[0], option, argv);
    int trouble = tt_session_read_option(&options, option, optarg);
    if (trouble != 0) return trouble;
  }
  if (options.is_help) {
    fputs(HELP, stdout);
    fputs(TT_SESSION_HELP, stdout);
    return 0;
  }
  if (argc - optind < 2) return tt_usage_error(argv[0], "it needs the URL of a worker, and a script");
  if (argc - optind > 2) return tt_usage_error(argv[0], "'%s' is not expected here", argv[optind + 2]);
  options.url = argv[optind];
  tt_error error;
  tt_buffer script;
  tt_buffer_init(&script);
  int exit_status = 0;
  if (tt_file_read(argv[optind + 1], &script, &error) != TT_OK) {
    exit_status = tt_session_fail(&options, NULL, TT_EXIT_FILE, &error);
  }
  tt_buffer_u8(&script, '\0');
  if (exit_status == 0 && script.failed) {
    tt_fail(&error, TT_ERR_MEMORY, "no memory for the script");
    exit_status = tt_session_fail(&options, NULL, TT_EXIT_FAILED, &error);
  }
  tt_session *session = exit_status == 0 ? tt_session_open(&options, &exit_status) : NULL;
  if (session != NULL) exit_status = run_script(session, &options, (char *)script.bytes, argv[optind + 1]);
  tt_session_close(session);
  tt_buffer_release(&script);
  return exit_status;
}
