/* objects: `tabtensor list`, `search`, `send` and `get`: what a worker has, and .npy files there and back. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/command.h"
#include "cli/files.h"
#include "cli/session.h"

static const char LIST_HELP[] = "Usage: tabtensor list URL [OPTIONS]\n"
                                "\n"
                                "Prints who the worker is and the objects that we may see, one a line: id, dtype, shape,\n"
                                "policy, owner, tags and description.\n";
static const char SEARCH_HELP[] = "Usage: tabtensor search URL TERM... [OPTIONS]\n"
                                  "\n"
                                  "Prints those of the worker's objects in whose id or tags every term is found.\n";
static const char SEND_HELP[] = "Usage: tabtensor send URL FILE.npy [OPTIONS]\n"
                                "\n"
                                "Gives the array in a .npy file (- is stdin) to the worker and prints the id that it has\n"
                                "there. It belongs to us (--as), and lives on for the worker's --grace when we have gone.\n"
                                "\n"
                                "What\n"
                                "  --id N               the id it is to have there [a random one]\n"
                                "  --tag TAG            a tag to find it by (may be repeated)\n"
                                "  --description TEXT   what it is\n"
                                "  --policy POLICY      what others may do: open (use it, fetch it), compute (use it) or\n"
                                "                       closed [closed]\n";
static const char GET_HELP[] = "Usage: tabtensor get URL ID FILE.npy [--keep] [OPTIONS]\n"
                               "\n"
                               "Takes an object home into a .npy file (- is stdout). Once the file is written the object is\n"
                               "removed there, which is its owner's right alone (--as).\n"
                               "\n"
                               "  --keep               fetch a copy and leave the object where it is\n";

enum { OPTION_ID = 700, OPTION_TAG, OPTION_DESCRIPTION, OPTION_POLICY, OPTION_KEEP };

/* What a command line of these commands says. */
typedef struct arguments {
  tt_session_options session;
  char **words; /* behind the options: URL, ... */
  int n_words;
  uint64_t id;
  char *tags[TT_MAX_TAGS];
  size_t n_tags;
  char *description;
  bool has_policy, keeps;
  tt_policy policy;
} arguments;

/* ---- command lines ---- */

static bool parse_id(const char *text, uint64_t *id) { return tt_parse_number(text, 1, UINT64_MAX, id); }

static int read_own_option(arguments *given, int option, char *value) {
  const char *command = given->session.command;
  switch (option) {
  case OPTION_ID:
    if (parse_id(value, &given->id)) return 0;
    return tt_usage_error(command, "--id %s is no id: a whole number from 1 to 2^64 - 1 is (--as says who we are)", value);
  case OPTION_TAG:
    if (given->n_tags == TT_MAX_TAGS) return tt_usage_error(command, "an object has at most %d tags", TT_MAX_TAGS);
    given->tags[given->n_tags++] = value;
    return 0;
  case OPTION_DESCRIPTION:
    given->description = value;
    return 0;
  case OPTION_POLICY:
    given->has_policy = tt_policy_from_name(value, &given->policy);
    if (given->has_policy) return 0;
    return tt_usage_error(command, "--policy is open, compute or closed, not %s", value);
  case OPTION_KEEP:
    given->keeps = true;
    return 0;
  default:
    return tt_session_read_option(&given->session, option, value);
  }
}

/* 0 and the words counted; or what to exit with, which may be 0 after the help (is_help tells). */
static int read_arguments(int argc, char **argv, const struct option *options, const char *help, int least, int most,
                          const char *words, arguments *given) {
  *given = (arguments){0};
  tt_session_options_init(&given->session, argv[0]);
  opterr = 0;
  optind = 1;
  for (;;) {
    int option = getopt_long(argc, argv, ":h", options, NULL);
    if (option == -1) break;
    if (option == '?' || option == ':') return tt_option_error(argv[0], option, argv);
    int trouble = read_own_option(given, option, optarg);
    if (trouble != 0) return trouble;
  }
  if (given->session.is_help) {
    fputs(help, stdout);
    fputs(TT_SESSION_HELP, stdout);
    return 0;
  }
  given->words = argv + optind;
  given->n_words = argc - optind;
  if (given->n_words < least) return tt_usage_error(argv[0], "it needs %s", words);
  if (most > 0 && given->n_words > most) return tt_usage_error(argv[0], "'%s' is not expected here", given->words[most]);
  given->session.url = given->words[0];
  return 0;
}

#define READ_ARGUMENTS(options, help, least, most, words, given)                         \
  do {                                                                                   \
    int trouble_ = read_arguments(argc, argv, options, help, least, most, words, given); \
    if (trouble_ != 0 || (given)->session.is_help) return trouble_;                      \
  } while (0)

/* ---- list and search ---- */

static void write_tags(tt_buffer *text, const tt_metadata *metadata, const char *between) {
  for (size_t i = 0; i < metadata->n_tags; i++) {
    if (i > 0) tt_buffer_printf(text, "%s", between);
    tt_buffer_printf(text, "%s", metadata->tags[i]);
  }
}

static void write_object_json(tt_buffer *json, const tt_listed *object) {
  tt_buffer_printf(json, "{\"id\": \"%" PRIu64 "\", \"dtype\": \"%s\", \"shape\": ", object->id,
                   tt_dtype_name(object->meta.dtype));
  tt_json_shape(json, &object->meta.shape);
  tt_buffer_printf(json, ", \"owner\": ");
  tt_json_string(json, object->owner != NULL ? object->owner : "");
  tt_buffer_printf(json, ", \"policy\": \"%s\", \"tags\": [", tt_policy_name(object->metadata.policy));
  for (size_t i = 0; i < object->metadata.n_tags; i++) {
    if (i > 0) tt_buffer_printf(json, ", ");
    tt_json_string(json, object->metadata.tags[i]);
  }
  tt_buffer_printf(json, "], \"description\": ");
  tt_json_string(json, object->metadata.description != NULL ? object->metadata.description : "");
  if (object->metadata.location != NULL) {
    tt_buffer_printf(json, ", \"location\": ");
    tt_json_string(json, object->metadata.location);
    tt_buffer_printf(json, ", \"location_id\": \"%" PRIu64 "\"", object->metadata.location_id);
  }
  tt_buffer_u8(json, '}');
}

static void write_object_text(tt_buffer *text, const tt_listed *object) {
  char shape[TT_SHAPE_TEXT_BYTES];
  tt_buffer_printf(text, "%" PRIu64 "\t%s\t%s\t%s\t%s\t", object->id, tt_dtype_name(object->meta.dtype),
                   tt_shape_text(&object->meta.shape, shape), tt_policy_name(object->metadata.policy),
                   object->owner != NULL ? object->owner : "");
  write_tags(text, &object->metadata, ",");
  tt_buffer_printf(text, "\t%s\n", object->metadata.description != NULL ? object->metadata.description : "");
}

static void write_objects(tt_buffer *text, const tt_control *listing, bool is_json) {
  if (is_json) tt_buffer_printf(text, "\"objects\": [");
  for (size_t i = 0; i < listing->n_listed; i++) {
    if (is_json && i > 0) tt_buffer_printf(text, ", ");
    (is_json ? write_object_json : write_object_text)(text, &listing->objects[i]);
  }
  if (is_json) tt_buffer_u8(text, ']');
}

static void write_whoami(tt_buffer *text, const tt_control *who, bool is_json) {
  if (!is_json) {
    tt_buffer_printf(text, "%s (%s, %s): %" PRIu64 " objects, %" PRIu64 " bytes\n", who->id, who->kind, who->software,
                     who->n_objects, who->n_bytes);
    return;
  }
  tt_buffer_printf(text, "\"worker\": {\"id\": ");
  tt_json_string(text, who->id);
  tt_buffer_printf(text, ", \"kind\": ");
  tt_json_string(text, who->kind);
  tt_buffer_printf(text, ", \"software\": ");
  tt_json_string(text, who->software);
  tt_buffer_printf(text, ", \"objects\": %" PRIu64 ", \"bytes\": %" PRIu64 "}, ", who->n_objects, who->n_bytes);
}

/* What is printed is one line of JSON, or lines of text whose columns tabs part. */
static int print_listing(const arguments *given, const tt_control *who, const tt_control *listing) {
  tt_buffer text;
  tt_buffer_init(&text);
  bool is_json = given->session.is_json;
  if (is_json) tt_buffer_u8(&text, '{');
  if (who != NULL) write_whoami(&text, who, is_json);
  write_objects(&text, listing, is_json);
  if (is_json) tt_buffer_printf(&text, "}\n");
  if (!is_json && !text.failed) {
    tt_print_clean_lines(stdout, tt_buffer_string(&text));
    tt_buffer_clear(&text);
  }
  return tt_print_buffer(&given->session, &text);
}

static const struct option PLAIN_OPTIONS[] = {TT_SESSION_OPTIONS, {"id", required_argument, NULL, TT_OPTION_AS}, {0}};

int tt_command_list(int argc, char **argv) {
  arguments given;
  READ_ARGUMENTS(PLAIN_OPTIONS, LIST_HELP, 1, 1, "the URL of a worker", &given);
  int exit_status;
  tt_session *session = tt_session_open(&given.session, &exit_status);
  if (session == NULL) return exit_status;
  tt_reply who = {0}, listing = {0};
  exit_status = tt_session_query(session, &(tt_control){.query = TT_QUERY_WHOAMI}, &who);
  if (exit_status == 0) exit_status = tt_session_query(session, &(tt_control){.query = TT_QUERY_LIST}, &listing);
  if (exit_status == 0) exit_status = print_listing(&given, &who.control, &listing.control);
  tt_session_close(session);
  tt_reply_release(&who);
  tt_reply_release(&listing);
  return exit_status;
}

int tt_command_search(int argc, char **argv) {
  arguments given;
  READ_ARGUMENTS(PLAIN_OPTIONS, SEARCH_HELP, 2, 0, "the URL of a worker, and what to search for", &given);
  int exit_status;
  tt_session *session = tt_session_open(&given.session, &exit_status);
  if (session == NULL) return exit_status;
  tt_control query = {.query = TT_QUERY_SEARCH, .terms = given.words + 1, .n_terms = (size_t)given.n_words - 1};
  tt_reply found = {0};
  exit_status = tt_session_query(session, &query, &found);
  if (exit_status == 0) exit_status = print_listing(&given, NULL, &found.control);
  tt_session_close(session);
  tt_reply_release(&found);
  return exit_status;
}

/* ---- send ---- */

static int print_sent(const tt_session *session, const tt_node *head) {
  const tt_session_options *options = tt_session_opened_with(session);
  const tt_meta *meta = tt_node_meta(head);
  tt_buffer text;
  tt_buffer_init(&text);
  uint64_t id = tt_pointer_id(head->child);
  if (!options->is_json) {
    tt_buffer_printf(&text, "%" PRIu64 "\n", id);
    return tt_print_buffer(options, &text);
  }
  tt_buffer_printf(&text, "{\"id\": \"%" PRIu64 "\", \"dtype\": \"%s\", \"shape\": ", id, tt_dtype_name(meta->dtype));
  tt_json_shape(&text, &meta->shape);
  tt_buffer_printf(&text, ", \"worker\": ");
  tt_json_string(&text, tt_pointer_location(head->child)->id);
  tt_buffer_printf(&text, "}\n");
  return tt_print_buffer(options, &text);
}

static int send_tensor(tt_session *session, const arguments *given, tt_node *head) {
  tt_error error;
  uint64_t request;
  tt_reply sent = {0};
  const tt_metadata metadata = {.tags = (char **)(uintptr_t)given->tags,
                                .n_tags = given->n_tags,
                                .description = given->description,
                                .has_policy = given->has_policy,
                                .policy = given->policy};
  if (tt_worker_send(tt_session_worker(session), head, tt_session_peer(session), given->id, &metadata, tt_reply_take, &sent,
                     &request, &error) != TT_OK) {
    return tt_session_refused(session, &error);
  }
  int exit_status = tt_session_wait(session, request, &sent);
  tt_reply_release(&sent);
  if (exit_status != 0) return exit_status;
  tt_pointer_disown(head->child); /* it stays there when we go */
  return print_sent(session, head);
}

int tt_command_send(int argc, char **argv) {
  static const struct option OPTIONS[] = {TT_SESSION_OPTIONS,
                                          {"id", required_argument, NULL, OPTION_ID},
                                          {"tag", required_argument, NULL, OPTION_TAG},
                                          {"description", required_argument, NULL, OPTION_DESCRIPTION},
                                          {"policy", required_argument, NULL, OPTION_POLICY},
                                          {0}};
  arguments given;
  READ_ARGUMENTS(OPTIONS, SEND_HELP, 2, 2, "the URL of a worker, and a .npy file", &given);
  tt_error error;
  tt_tensor *tensor;
  if (tt_file_load_npy(given.words[1], &tensor, &error) != TT_OK) {
    return tt_session_fail(&given.session, NULL, TT_EXIT_FILE, &error);
  }
  tt_node *local = tt_local_new(tensor, &error);
  tt_node *head = local != NULL ? tt_head_new(local, &error) : NULL;
  if (head == NULL) return tt_session_fail(&given.session, NULL, TT_EXIT_FAILED, &error);
  int exit_status;
  tt_session *session = tt_session_open(&given.session, &exit_status);
  if (session != NULL) exit_status = send_tensor(session, &given, head);
  tt_session_close(session);
  tt_node_unref(head);
  return exit_status;
}

/* ---- get ---- */

/* The object of that id as the worker lists it; NULL: it is not there, or not for us to see. */
static const tt_listed *find_listed(const tt_control *listing, uint64_t id) {
  for (size_t i = 0; i < listing->n_listed; i++) {
    if (listing->objects[i].id == id) return &listing->objects[i];
  }
  return NULL;
}

/* Whether it is ours to take; asked before anything is fetched. */
static int check_owner(tt_session *session, uint64_t id) {
  char term[24];
  char *terms[] = {term};
  snprintf(term, sizeof term, "%" PRIu64, id);
  tt_reply found = {0};
  int exit_status = tt_session_query(session, &(tt_control){.query = TT_QUERY_SEARCH, .terms = terms, .n_terms = 1}, &found);
  if (exit_status == 0) {
    const tt_listed *object = find_listed(&found.control, id);
    const char *us = tt_session_opened_with(session)->id;
    /* One that is not listed the next question is about, which says so. */
    if (object != NULL && object->owner != NULL && strcmp(object->owner, us) != 0) {
      tt_error error;
      tt_fail(&error, TT_ERR_POLICY,
              "object %" PRIu64 " at %s belongs to %s: only its owner takes it away (we are %s; --keep fetches a copy)", id,
              tt_peer_id(tt_session_peer(session)), object->owner, us);
      exit_status = tt_session_refused(session, &error);
    }
  }
  tt_reply_release(&found);
  return exit_status;
}

static int fetch_into(tt_session *session, tt_node *head, const char *path) {
  tt_error error;
  uint64_t request;
  tt_reply got = {0};
  if (tt_worker_fetch(tt_session_worker(session), head, tt_reply_take, &got, &request, &error) != TT_OK) {
    return tt_session_refused(session, &error);
  }
  int exit_status = tt_session_wait(session, request, &got);
  if (exit_status == 0 && tt_file_save_npy(path, got.tensor, &error) != TT_OK) {
    exit_status = tt_session_bad_file(session, &error);
  }
  tt_reply_release(&got);
  return exit_status;
}

static int get_object(tt_session *session, const arguments *given) {
  int exit_status = given->keeps ? 0 : check_owner(session, given->id);
  if (exit_status != 0) return exit_status;
  tt_error error;
  tt_reply about = {0};
  exit_status = tt_session_query(session, &(tt_control){.query = TT_QUERY_SHAPE, .object = given->id}, &about);
  const tt_meta meta = about.control.meta;
  tt_reply_release(&about);
  if (exit_status != 0) return exit_status;
  tt_node *head = tt_worker_create_pointer(tt_session_worker(session), tt_session_peer(session), given->id, &meta, &error);
  if (head == NULL) return tt_session_refused(session, &error);
  exit_status = fetch_into(session, head, given->words[2]);
  /* Only now is it let go of there: what the disk does not take is not lost. */
  if (exit_status == 0 && !given->keeps) tt_pointer_own(head->child);
  tt_node_unref(head);
  return exit_status == 0 && !given->keeps ? tt_session_sync(session) : exit_status;
}

static int print_got(const arguments *given) {
  if (!given->session.is_json || strcmp(given->words[2], "-") == 0) return 0;
  tt_buffer json;
  tt_buffer_init(&json);
  tt_buffer_printf(&json, "{\"id\": \"%" PRIu64 "\", \"file\": ", given->id);
  tt_json_string(&json, given->words[2]);
  tt_buffer_printf(&json, ", \"kept\": %s}\n", given->keeps ? "true" : "false");
  return tt_print_buffer(&given->session, &json);
}

int tt_command_get(int argc, char **argv) {
  static const struct option OPTIONS[] = {
      TT_SESSION_OPTIONS, {"id", required_argument, NULL, TT_OPTION_AS}, {"keep", no_argument, NULL, OPTION_KEEP}, {0}};
  arguments given;
  READ_ARGUMENTS(OPTIONS, GET_HELP, 3, 3, "the URL of a worker, an id and a .npy file", &given);
  if (!parse_id(given.words[1], &given.id)) {
    return tt_usage_error("get", "%s is no id: a whole number from 1 to 2^64 - 1 is", given.words[1]);
  }
  int exit_status;
  tt_session *session = tt_session_open(&given.session, &exit_status);
  if (session == NULL) return exit_status;
  exit_status = get_object(session, &given);
  if (exit_status == 0) exit_status = print_got(&given);
  tt_session_close(session);
  return exit_status;
}
