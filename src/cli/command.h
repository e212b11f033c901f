/*
 * command: the subcommands of `tabtensor`. Each reads its own options, prints what is worth reading to stdout and what goes wrong to
 * stderr, and answers the exit code: EXIT_SUCCESS, EXIT_FAILURE, or TT_EXIT_USAGE for a command line that makes no sense.
 */
#ifndef TT_CLI_COMMAND_H
#define TT_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TT_EXIT_USAGE = 2 };

/* argv[0] is the subcommand's name. */
typedef int tt_command_fn(int argc, char **argv);

tt_command_fn tt_command_relay;
tt_command_fn tt_command_worker;
tt_command_fn tt_command_list;
tt_command_fn tt_command_search;
tt_command_fn tt_command_send;
tt_command_fn tt_command_get;
tt_command_fn tt_command_run;
tt_command_fn tt_command_ops;
tt_command_fn tt_command_version;

/* "tabtensor relay: MESSAGE" and where help is, on stderr; answers TT_EXIT_USAGE. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
int tt_usage_error(const char *command, const char *format, ...);

/* What getopt_long's '?' or ':' means, said in a sentence; `argv` as getopt_long had it. Answers TT_EXIT_USAGE. */
int tt_option_error(const char *command, int what, char *const *argv);

/* Prints text that comes from elsewhere: what could steer a terminal comes out as '?'. */
void tt_print_clean(FILE *stream, const char *text);
void tt_print_clean_lines(FILE *stream, const char *text); /* but for ends of lines and tabs */

/* Whole numbers of the command line within bounds; a size may end in k, m or g. False when text is not one. */
bool tt_parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *number);
bool tt_parse_size(const char *text, uint64_t least, uint64_t most, uint64_t *n_bytes);

#endif
