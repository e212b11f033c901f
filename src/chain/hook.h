/*
 * hook: the one dispatch. Every op on every kind of tensor runs through tt_hook_call.
 *
 * tt_hook_call binds the arguments to the op's schema, looks for the highest kind among them and calls its handle_call, which may
 * pass the call down to the kind below. Results are wrapped again by each kind that the call passed.
 */
#ifndef TT_CHAIN_HOOK_H
#define TT_CHAIN_HOOK_H

#include "chain/node.h"

struct tt_hook {
  tt_generator generator;   /* what unseeded random ops draw from; see tt_hook_seed */
  int64_t max_result_bytes; /* what the results of one op may take; 0: no limit. Checked before anything is allocated */
  int64_t
      max_view_bytes; /* the same for views, as if their elements had memory of their own: whoever reads one pays for each */
  size_t max_steps;   /* how many recorded calls the ledger may have; 0: no limit */
  const char *here;   /* how errors call this worker; borrowed, lives as long as the hook */
  /* Called before an op writes into storage that has n_readers, who take their copies now; NULL: nobody reads later. An error ends the call. */
  tt_status (*before_write)(void *host, tt_storage *storage, tt_error *error);
  void *host;
  bool is_recording;   /* calls on Variables are recorded for gradients; false under torch.no_grad */
  bool is_in_backward; /* which does not nest */
  tt_ledger *ledger;   /* on which memory saved for gradients is counted; NULL: nobody counts. Borrowed */
};

void tt_hook_init(tt_hook *hook, const char *here);

/* torch.manual_seed */
void tt_hook_seed(tt_hook *hook, uint64_t seed);

/*
 * Runs `op` on heads. Writes new references to result heads (for an in-place op: to its first argument); nothing on failure.
 * result_ids: the ids that results take when they are made elsewhere, or NULL.
 * Errors: those of the op; TT_ERR_LOCATION when operands live on different workers.
 */
tt_status tt_hook_call(tt_hook *hook, tt_op_number op, const tt_value *args, size_t n_args, const uint64_t *result_ids,
                       size_t n_result_ids, tt_node **results, size_t *n_results, tt_error *error);

/*
 * For kinds: sends the call to the highest kind among its operands as they are now (tt_local when it has none). The kind that calls
 * this has exchanged its own nodes for what is below them.
 */
tt_status tt_hook_pass_down(tt_hook *hook, tt_call *call, tt_error *error);

/* For kinds: a call of its own with the same op and arguments, and no results yet. */
static inline void tt_call_begin(tt_call *inner, const tt_call *call) {
  inner->op = call->op;
  for (size_t i = 0; i < call->op->n_params; i++) inner->args[i] = call->args[i];
  inner->result_ids = call->result_ids;
  inner->n_result_ids = call->n_result_ids;
  inner->n_results = 0;
}

/* For kinds: visits every operand of a call. Stops at the first failure. */
typedef tt_status tt_visit_fn(void *context, tt_node *node, tt_error *error);
tt_status tt_call_visit(const tt_call *call, tt_visit_fn *visit, void *context, tt_error *error);

/*
 * For kinds: replaces every operand of a call by what `exchange` answers (borrowed nodes). Lists are copied into `lists`, which the call uses until
 * tt_call_release_lists; that is to be called on failure as well.
 */
typedef struct tt_call_lists {
  size_t n;
  tt_operand **lists[TT_MAX_PARAMS];
} tt_call_lists;
typedef tt_status tt_exchange_fn(void *context, const tt_op *op, tt_node **slot, tt_error *error);
tt_status tt_call_exchange(tt_call *call, tt_call_lists *lists, tt_exchange_fn *exchange, void *context, tt_error *error);
void tt_call_release_lists(tt_call_lists *lists);

#endif
