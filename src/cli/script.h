/*
 * script: one line of `tabtensor run`, cut into words, and its arguments as an op's schema wants them. Knows no worker: names are looked up by its user.
 *
 *     line:   [NAME [, NAME]... =] COMMAND WORD...
 *     WORD:   a name, a number, True, False, None, a dtype, 'text', [a list], each also as NAME=WORD
 *
 * Everything from a # on is a comment. The words point into the line, which is cut in place.
 */
#ifndef TT_CLI_SCRIPT_H
#define TT_CLI_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "ops/op.h"

enum { TT_SCRIPT_MAX_WORDS = 128, TT_SCRIPT_MAX_TARGETS = 16, TT_SCRIPT_MAX_ITEMS = 1024 };

typedef struct tt_script_word {
  char *name; /* of NAME=WORD; else NULL */
  char *text; /* without quotes */
  bool is_quoted;
} tt_script_word;

typedef struct tt_script_line {
  char *targets[TT_SCRIPT_MAX_TARGETS];
  size_t n_targets;
  char *command; /* NULL: the line is empty */
  tt_script_word words[TT_SCRIPT_MAX_WORDS];
  size_t n_words;
} tt_script_line;

/* Errors: TT_ERR_ARGUMENT (quotes and brackets that do not end, too many words ...). */
tt_status tt_script_read_line(char *line, tt_script_line *read, tt_error *error);

/* A name that may stand for a tensor: letters, digits and _, not beginning with a digit. */
bool tt_script_is_name(const char *text);

/* The tensor of that name, borrowed; NULL: there is none. */
typedef tt_operand *tt_script_find_fn(void *context, const char *name);

/* Arguments of one call; what lists point to lies in it. */
typedef struct tt_script_arguments {
  tt_value values[TT_MAX_PARAMS];
  size_t n_values;
  int64_t ints[TT_SCRIPT_MAX_ITEMS];
  tt_operand *operands[TT_SCRIPT_MAX_ITEMS];
  size_t n_ints, n_operands;
} tt_script_arguments;

/* Reads a line's words as the arguments of an op, by position and by name. Errors: TT_ERR_ARGUMENT that quotes the word and the schema. */
tt_status tt_script_read_arguments(const tt_script_line *line, const tt_op *op, tt_script_find_fn *find, void *context,
                                   tt_script_arguments *arguments, tt_error *error);

#endif
