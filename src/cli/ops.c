/* ops: `tabtensor ops`: the table of ops of this build, for people and for programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "cli/command.h"
#include "ops/oracle.h"

static const char HELP[] = "Usage: tabtensor ops [--json]\n"
                           "\n"
                           "Prints the ops of this build, one a line: its number on the wire and its signature as\n"
                           "PyTorch writes it. --json prints all that the table says of each.\n";

static int print_json(void) {
  tt_buffer text;
  tt_buffer_init(&text);
  tt_oracle_json(&text);
  bool failed = text.failed;
  if (failed) {
    fputs("tabtensor ops: no memory for the table\n", stderr);
  } else {
    puts(tt_buffer_string(&text));
  }
  tt_buffer_release(&text);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int tt_command_ops(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--help") == 0) {
    fputs(HELP, stdout);
    return EXIT_SUCCESS;
  }
  bool wants_json = argc == 2 && strcmp(argv[1], "--json") == 0;
  if (argc > 1 && !wants_json) return tt_usage_error("ops", "'%s' is not expected here", argv[1]);
  tt_error error;
  if (tt_ops_init(&error) != TT_OK) {
    fprintf(stderr, "tabtensor ops: %s\n", error.message);
    return EXIT_FAILURE;
  }
  if (wants_json) return print_json();
  for (unsigned number = 1; number <= TT_N_OPS; number++) printf("%3u  %s\n", number, tt_op_get(number)->schema);
  return EXIT_SUCCESS;
}
