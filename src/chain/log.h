/*
 * log: a tensor kind that records the commands that pass it, and changes none of them.
 *
 * What is computed from a logged tensor is logged in the same record; a call whose operands have several records is in each of
 * them. A command is recorded as it passes, before anybody knows whether it will fail. A record keeps the latest
 * TT_LOG_MAX_COMMANDS and counts all. It belongs to the nodes that write into it, and goes with the last of them.
 */
#ifndef TT_CHAIN_LOG_H
#define TT_CHAIN_LOG_H

#include "chain/node.h"

enum { TT_LOG_MAX_COMMANDS = 256 };

extern const tt_kind tt_kind_log;

/* How many commands have passed. `log` is a node of this kind (tt_kind_find_node(&tt_kind_log, head)). */
uint64_t tt_log_n_commands(const tt_node *log);
/*
 * The command at a position from 0 on, such as "add(FloatTensor [5], 1, alpha=1)"; NULL when it is no longer kept, or has not
 * passed yet. Valid until the next command.
 */
const char *tt_log_command(const tt_node *log, uint64_t position);

#endif
