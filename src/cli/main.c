/* tabtensor: the native tools in one program. Each subcommand is a row of the table below. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

typedef struct command {
  const char *name;
  const char *summary;
  tt_command_fn *run;
} command;

static tt_command_fn run_help;

static const command COMMANDS[] = {
    {"relay", "carry frames between workers, and serve their pages", tt_command_relay},
    {"worker", "a worker of this machine: it listens, and attaches to others and to relays", tt_command_worker},
    {"list", "what a worker has", tt_command_list},
    {"search", "those of a worker's objects that have a word or a tag", tt_command_search},
    {"send", "give a .npy file to a worker", tt_command_send},
    {"get", "take an object of a worker's into a .npy file", tt_command_get},
    {"run", "run a script of commands at a worker", tt_command_run},
    {"ops", "list the ops of this build", tt_command_ops},
    {"version", "print the version", tt_command_version},
    {"help", "print this, or a command's own help: tabtensor help relay", run_help},
};

enum { N_COMMANDS = sizeof COMMANDS / sizeof COMMANDS[0] };

static const command *find(const char *name) {
  for (size_t i = 0; i < N_COMMANDS; i++) {
    if (strcmp(COMMANDS[i].name, name) == 0) return &COMMANDS[i];
  }
  return NULL;
}

static void print_help(FILE *to) {
  fputs("tabtensor: tensors that live where the data is.\n\nUsage: tabtensor COMMAND [OPTIONS]\n\nCommands:\n", to);
  for (size_t i = 0; i < N_COMMANDS; i++) fprintf(to, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
  fputs("\n`tabtensor COMMAND --help` tells more.\n", to);
}

static int unknown(const char *name) {
  fprintf(stderr, "tabtensor: there is no command '%s'.\n\n", name);
  print_help(stderr);
  return TT_EXIT_USAGE;
}

static int run_help(int argc, char **argv) {
  if (argc < 2 || strcmp(argv[1], "--help") == 0) {
    print_help(stdout);
    return EXIT_SUCCESS;
  }
  const command *wanted = find(argv[1]);
  if (wanted == NULL) return unknown(argv[1]);
  if (wanted->run == run_help) return run_help(1, argv);
  char option[] = "--help";
  char *arguments[] = {argv[1], option, NULL};
  return wanted->run(2, arguments);
}

int tt_command_version(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "--help") == 0) {
    puts("Usage: tabtensor version\n\nPrints the version.");
    return EXIT_SUCCESS;
  }
  if (argc > 1) return tt_usage_error("version", "'%s' is not expected here", argv[1]);
  puts("tabtensor " TT_VERSION);
  return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    print_help(stderr);
    return TT_EXIT_USAGE;
  }
  const char *name = argv[1];
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
  if (strcmp(name, "--version") == 0) name = "version";
  const command *wanted = find(name);
  return wanted != NULL ? wanted->run(argc - 1, argv + 1) : unknown(name);
}
