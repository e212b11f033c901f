#include "cli/script.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- words ---- */

static bool is_name_character(char c) { return isalnum((unsigned char)c) || c == '_'; }

bool tt_script_is_name(const char *text) {
  if (!is_name_character(text[0]) || isdigit((unsigned char)text[0])) return false;
  while (is_name_character(*text)) text++;
  return *text == '\0';
}

static char *skip_spaces(char *at) {
  while (isspace((unsigned char)*at)) at++;
  return at;
}

/* The end of a word; a list keeps its spaces. NULL: it does not end. */
static char *find_end(char *at) {
  int depth = 0;
  for (; *at != '\0' && (depth > 0 || (!isspace((unsigned char)*at) && *at != '#')); at++) {
    if (*at == '[') depth++;
    if (*at == ']' && depth > 0) depth--;
  }
  return depth == 0 ? at : NULL;
}

/* Where the value of NAME=WORD begins; NULL: it is a word alone. */
static char *find_value(char *word) {
  size_t n = 0;
  while (is_name_character(word[n])) n++;
  return n > 0 && word[n] == '=' ? word + n + 1 : NULL;
}

/* Reads one word from *at on and moves behind it. */
static tt_status read_word(char **at, tt_script_word *word, tt_error *error) {
  char *begins = *at, *value = find_value(begins);
  *word = (tt_script_word){.text = begins};
  if (value != NULL) {
    value[-1] = '\0';
    *word = (tt_script_word){.name = begins, .text = value};
  }
  char quote = *word->text;
  if (quote == '\'' || quote == '"') {
    char *end = strchr(word->text + 1, quote);
    if (end == NULL) return tt_fail(error, TT_ERR_ARGUMENT, "the text %.100s does not end: %c is missing", word->text, quote);
    word->is_quoted = true;
    word->text++;
    *end = '\0';
    *at = end + 1;
    return TT_OK;
  }
  char *end = find_end(word->text);
  if (end == NULL) return tt_fail(error, TT_ERR_ARGUMENT, "the list %.100s does not end: ] is missing", word->text);
  bool is_comment = *end == '#';
  *at = *end == '\0' || is_comment ? end : end + 1;
  if (is_comment) (*at)[1] = '\0'; /* nothing more comes */
  if (is_comment) *at += 1;
  *end = '\0';
  return TT_OK;
}

/* "y, i = max ..."; answers where the command begins. */
static tt_status read_targets(char *line, tt_script_line *read, char **rest, tt_error *error) {
  *rest = line;
  size_t n = strcspn(line, "=#'\"[");
  /* dim=1 is an argument: an = between names and a command stands free on its right side, or right behind a name. */
  if (line[n] != '=') return TT_OK;
  char *equals = line + n;
  for (size_t i = 0, n_names = 0; i < n; i++) { /* only names, commas and spaces before it */
    if (!is_name_character(line[i]) && line[i] != ',' && !isspace((unsigned char)line[i])) return TT_OK;
    bool begins = is_name_character(line[i]) && (i == 0 || !is_name_character(line[i - 1]));
    bool follows_comma = false;
    for (size_t j = i; begins && j > 0 && (isspace((unsigned char)line[j - 1]) || line[j - 1] == ','); j--) {
      if (line[j - 1] == ',') follows_comma = true;
    }
    if (begins && n_names++ > 0 && !follows_comma) return TT_OK; /* "add x alpha=2" */
  }
  *equals = '\0';
  for (char *name = strtok(line, ", \t"); name != NULL; name = strtok(NULL, ", \t")) {
    if (!tt_script_is_name(name)) return tt_fail(error, TT_ERR_ARGUMENT, "'%.100s' is no name", name);
    if (read->n_targets == TT_SCRIPT_MAX_TARGETS) {
      return tt_fail(error, TT_ERR_ARGUMENT, "at most %d names can be given results", TT_SCRIPT_MAX_TARGETS);
    }
    read->targets[read->n_targets++] = name;
  }
  if (read->n_targets == 0) return tt_fail(error, TT_ERR_ARGUMENT, "there is no name before =");
  *rest = equals + 1;
  return TT_OK;
}

tt_status tt_script_read_line(char *line, tt_script_line *read, tt_error *error) {
  *read = (tt_script_line){0};
  char *at = skip_spaces(line);
  TT_TRY(read_targets(at, read, &at, error));
  at = skip_spaces(at);
  while (*at != '\0' && *at != '#') {
    tt_script_word word;
    TT_TRY(read_word(&at, &word, error));
    if (read->command == NULL) {
      if (word.name != NULL || word.is_quoted) return tt_fail(error, TT_ERR_ARGUMENT, "'%.100s' is no command", word.text);
      read->command = word.text;
    } else if (read->n_words == TT_SCRIPT_MAX_WORDS) {
      return tt_fail(error, TT_ERR_ARGUMENT, "a line has at most %d words", TT_SCRIPT_MAX_WORDS);
    } else {
      read->words[read->n_words++] = word;
    }
    at = skip_spaces(at);
  }
  if (read->command == NULL && read->n_targets > 0) return tt_fail(error, TT_ERR_ARGUMENT, "nothing stands behind =");
  return TT_OK;
}

/* ---- values ---- */

typedef struct argument_reader {
  const tt_op *op;
  tt_script_find_fn *find;
  void *context;
  tt_script_arguments *to;
  tt_error *error;
} argument_reader;

static tt_status wrong(const argument_reader *reader, const tt_param *param, const char *text, const char *what) {
  return tt_fail(reader->error, TT_ERR_ARGUMENT, "%s: '%.100s' %s, for %s (%s)", reader->op->name, text, what, param->name,
                 reader->op->schema);
}

static bool read_int(const char *text, int64_t *value) {
  char *end;
  errno = 0;
  long long read = strtoll(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0) return false;
  *value = read;
  return true;
}

static bool read_bool(const char *text, bool *value) {
  *value = strcmp(text, "True") == 0 || strcmp(text, "true") == 0;
  return *value || strcmp(text, "False") == 0 || strcmp(text, "false") == 0;
}

/* A number, or a truth value, which PyTorch takes for one. */
static bool read_scalar(const char *text, tt_value *value) {
  int64_t integer;
  bool boolean;
  char *end;
  if (read_int(text, &integer)) {
    *value = tt_int(integer);
  } else if (read_bool(text, &boolean)) {
    *value = tt_bool(boolean);
  } else {
    double real = strtod(text, &end);
    if (end == text || *end != '\0') return false;
    *value = tt_float(real);
  }
  return true;
}

/* Cuts "[a, b]" and hands each item on; an item alone is a list of one. */
static tt_status read_items(argument_reader *reader, const tt_param *param, char *text,
                            tt_status (*take)(argument_reader *reader, const tt_param *param, const char *item)) {
  size_t n_bytes = strlen(text);
  if (text[0] != '[') return take(reader, param, text);
  if (text[n_bytes - 1] != ']') return wrong(reader, param, text, "is no list");
  text[n_bytes - 1] = '\0';
  for (char *item = strtok(text + 1, ", \t"); item != NULL; item = strtok(NULL, ", \t")) TT_TRY(take(reader, param, item));
  return TT_OK;
}

static tt_status take_int(argument_reader *reader, const tt_param *param, const char *item) {
  tt_script_arguments *to = reader->to;
  if (to->n_ints == TT_SCRIPT_MAX_ITEMS) return wrong(reader, param, item, "is more than a list can have");
  if (!read_int(item, &to->ints[to->n_ints])) return wrong(reader, param, item, "is no whole number");
  to->n_ints++;
  return TT_OK;
}

static tt_status take_tensor(argument_reader *reader, const tt_param *param, const char *item) {
  tt_script_arguments *to = reader->to;
  if (to->n_operands == TT_SCRIPT_MAX_ITEMS) return wrong(reader, param, item, "is more than a list can have");
  tt_operand *operand = reader->find(reader->context, item);
  if (operand == NULL) return wrong(reader, param, item, "names no tensor");
  to->operands[to->n_operands++] = operand;
  return TT_OK;
}

static tt_status read_value(argument_reader *reader, const tt_param *param, const tt_script_word *word, tt_value *value) {
  tt_script_arguments *to = reader->to;
  size_t n_ints = to->n_ints, n_operands = to->n_operands;
  tt_dtype dtype;
  bool boolean;
  if (!word->is_quoted && strcmp(word->text, "None") == 0) {
    *value = tt_none();
    return TT_OK;
  }
  switch (param->type) {
  case TT_PARAM_TENSOR_OR_SCALAR:
    if (read_scalar(word->text, value)) return TT_OK;
    /* fall through */
  case TT_PARAM_TENSOR:
    TT_TRY(take_tensor(reader, param, word->text));
    *value = tt_operand_value(to->operands[n_operands]);
    return TT_OK;
  case TT_PARAM_TENSORS:
    TT_TRY(read_items(reader, param, word->text, take_tensor));
    *value = tt_operands_value(to->operands + n_operands, (uint32_t)(to->n_operands - n_operands));
    return TT_OK;
  case TT_PARAM_INTS:
    TT_TRY(read_items(reader, param, word->text, take_int));
    *value = tt_ints(to->ints + n_ints, (uint32_t)(to->n_ints - n_ints));
    return TT_OK;
  case TT_PARAM_SCALAR:
  case TT_PARAM_INT:
  case TT_PARAM_FLOAT:
    return read_scalar(word->text, value) ? TT_OK : wrong(reader, param, word->text, "is no number");
  case TT_PARAM_BOOL:
    if (!read_bool(word->text, &boolean)) return wrong(reader, param, word->text, "is neither True nor False");
    *value = tt_bool(boolean);
    return TT_OK;
  case TT_PARAM_DTYPE:
    if (!tt_dtype_from_name(word->text, &dtype)) return wrong(reader, param, word->text, "is no dtype");
    *value = tt_dtype_value(dtype);
    return TT_OK;
  case TT_PARAM_STRING:
    *value = tt_string(word->text, (uint32_t)strlen(word->text));
    return TT_OK;
  }
  return wrong(reader, param, word->text, "cannot be written here");
}

/* ---- their places ---- */

static tt_status find_place(const argument_reader *reader, const tt_script_word *word, size_t n_positional, size_t *place) {
  const tt_op *op = reader->op;
  if (word->name == NULL) {
    if (n_positional == op->n_params || op->params[n_positional].is_keyword_only) {
      return tt_fail(reader->error, TT_ERR_ARGUMENT, "%s: '%.100s' is one argument too many (%s)", op->name, word->text,
                     op->schema);
    }
    *place = n_positional;
    return TT_OK;
  }
  for (size_t i = 0; i < op->n_params; i++) {
    if (strcmp(op->params[i].name, word->name) != 0) continue;
    *place = i;
    return TT_OK;
  }
  return tt_fail(reader->error, TT_ERR_ARGUMENT, "%s has no argument %.100s (%s)", op->name, word->name, op->schema);
}

tt_status tt_script_read_arguments(const tt_script_line *line, const tt_op *op, tt_script_find_fn *find, void *context,
                                   tt_script_arguments *arguments, tt_error *error) {
  argument_reader reader = {.op = op, .find = find, .context = context, .to = arguments, .error = error};
  bool is_given[TT_MAX_PARAMS] = {false};
  size_t n_positional = 0;
  arguments->n_values = arguments->n_ints = arguments->n_operands = 0;
  for (size_t i = 0; i < line->n_words; i++) {
    size_t place;
    TT_TRY(find_place(&reader, &line->words[i], n_positional, &place));
    if (is_given[place]) {
      return tt_fail(error, TT_ERR_ARGUMENT, "%s: %s is given twice (%s)", op->name, op->params[place].name, op->schema);
    }
    TT_TRY(read_value(&reader, &op->params[place], &line->words[i], &arguments->values[place]));
    is_given[place] = true;
    if (line->words[i].name == NULL) n_positional++;
    if (place >= arguments->n_values) arguments->n_values = place + 1;
  }
  for (size_t i = 0; i < arguments->n_values; i++) {
    if (is_given[i]) continue;
    if (!op->params[i].has_default) {
      return tt_fail(error, TT_ERR_ARGUMENT, "%s needs %s (%s)", op->name, op->params[i].name, op->schema);
    }
    arguments->values[i] = op->params[i].default_value;
  }
  return TT_OK;
}
