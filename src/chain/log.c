#include "chain/log.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "chain/kind.h"

typedef struct command_record {
  int refs;
  uint64_t n_commands;
  uint64_t last_call; /* the number of the call that was written last */
  char *commands[TT_LOG_MAX_COMMANDS];
} command_record;

typedef struct log_node {
  tt_node node;
  command_record *record; /* one reference */
} log_node;

static uint64_t n_calls;

uint64_t tt_log_n_commands(const tt_node *log) { return ((const log_node *)log)->record->n_commands; }

const char *tt_log_command(const tt_node *log, uint64_t position) {
  const command_record *record = ((const log_node *)log)->record;
  if (position >= record->n_commands || record->n_commands - position > TT_LOG_MAX_COMMANDS) return NULL;
  return record->commands[position % TT_LOG_MAX_COMMANDS];
}

static tt_status init(tt_node *node, const tt_node *like, tt_error *error) {
  command_record *record = like != NULL ? ((const log_node *)like)->record : tt_alloc(1, sizeof *record);
  if (record == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory for a record of commands");
  record->refs++;
  ((log_node *)node)->record = record;
  return TT_OK;
}

static void release(tt_node *node) {
  command_record *record = ((log_node *)node)->record;
  if (record == NULL || --record->refs > 0) return;
  for (size_t i = 0; i < TT_LOG_MAX_COMMANDS; i++) tt_free(record->commands[i]);
  tt_free(record);
}

static void describe(const tt_node *node, tt_buffer *text) {
  uint64_t n = tt_log_n_commands(node);
  tt_buffer_printf(text, "(%" PRIu64 " command%s)", n, n == 1 ? "" : "s");
}

/* ---- a command as text ---- */

static void write_operand(tt_buffer *text, const tt_operand *operand) {
  char shape[TT_SHAPE_TEXT_BYTES];
  tt_buffer_printf(text, "%s %s", tt_dtype_tensor_class(operand->meta.dtype), tt_shape_text(&operand->meta.shape, shape));
}

static void write_value(tt_buffer *text, const tt_value *value) {
  const char *between = "";
  if (value->type == TT_VALUE_OPERAND) {
    write_operand(text, value->as.operand);
  } else if (value->type == TT_VALUE_OPERANDS) {
    tt_buffer_u8(text, '[');
    for (uint32_t i = 0; i < value->n; i++, between = ", ") {
      tt_buffer_printf(text, "%s", between);
      write_operand(text, value->as.operands[i]);
    }
    tt_buffer_u8(text, ']');
  } else if (value->type == TT_VALUE_BOOL) {
    tt_buffer_printf(text, value->as.boolean ? "True" : "False");
  } else if (value->type == TT_VALUE_INT) {
    tt_buffer_printf(text, "%" PRId64, value->as.integer);
  } else if (value->type == TT_VALUE_FLOAT) {
    tt_buffer_printf(text, "%.17g", value->as.real);
  } else if (value->type == TT_VALUE_INTS) {
    tt_buffer_u8(text, '[');
    for (uint32_t i = 0; i < value->n; i++, between = ", ") tt_buffer_printf(text, "%s%" PRId64, between, value->as.ints[i]);
    tt_buffer_u8(text, ']');
  } else if (value->type == TT_VALUE_DTYPE) {
    tt_buffer_printf(text, "%s", tt_dtype_name(value->as.dtype));
  } else if (value->type == TT_VALUE_STRING) {
    tt_buffer_printf(text, "'%.*s'", (int)value->n, value->as.string);
  } else {
    tt_buffer_printf(text, "None");
  }
}

static void write_call(tt_buffer *text, const tt_call *call) {
  tt_buffer_printf(text, "%s(", call->op->name);
  for (size_t i = 0; i < call->op->n_params; i++) {
    const tt_param *param = &call->op->params[i];
    tt_buffer_printf(text, "%s%s%s", i == 0 ? "" : ", ", param->is_keyword_only ? param->name : "",
                     param->is_keyword_only ? "=" : "");
    write_value(text, &call->args[i]);
  }
  tt_buffer_u8(text, ')');
}

/* ---- recording ---- */

typedef struct recording {
  const char *command;
  uint64_t call;
} recording;

static tt_status record_at(void *context, tt_node *node, tt_error *error) {
  const recording *now = context;
  if (node->kind != &tt_kind_log) return TT_OK;
  command_record *record = ((log_node *)node)->record;
  if (record->last_call == now->call) return TT_OK;
  char *command = tt_strdup(now->command);
  if (command == NULL) return tt_fail(error, TT_ERR_MEMORY, "no memory to record a command");
  char **slot = &record->commands[record->n_commands++ % TT_LOG_MAX_COMMANDS];
  tt_free(*slot);
  *slot = command;
  record->last_call = now->call;
  return TT_OK;
}

static tt_status handle_call(tt_hook *hook, const tt_kind *kind, tt_call *call, tt_error *error) {
  tt_buffer text;
  tt_buffer_init(&text);
  write_call(&text, call);
  recording now = {.command = tt_buffer_string(&text), .call = ++n_calls};
  tt_status status = text.failed ? tt_fail(error, TT_ERR_MEMORY, "%s: no memory to record it", call->op->name)
                                 : tt_call_visit(call, record_at, &now, error);
  tt_buffer_release(&text);
  return status == TT_OK ? tt_kind_pass_down(hook, kind, call, error) : status;
}

const tt_kind tt_kind_log = {.name = "_LogTensor",
                             .rank = 900,
                             .n_bytes = sizeof(log_node),
                             .init = init,
                             .handle_call = handle_call,
                             .release = release,
                             .describe = describe};
