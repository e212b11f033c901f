/*
 * internal: what the files of nn/ share. Nobody else includes it.
 *
 *   place.c      where tensors come to be
 *   calls.c      ops one after the other
 *   table.c      the table of modules, parsed
 *   module.c     modules, whatever their row
 *   layers.c     how the parameters of rows are made, and forwards that are more than one op
 *   recurrent.c  RNN, LSTM, GRU
 *   init.c       torch.nn.init
 *   optimizer.c  optimisers, whatever their row
 *   schedule.c   learning rates that change
 *   clip.c       gradients that are bounded
 */
#ifndef TT_NN_INTERNAL_H
#define TT_NN_INTERNAL_H

#include "nn/calls.h"
#include "nn/module.h"

/* The parts of tt_nn_init that are other files'. */
tt_status tt_optimizers_init(tt_error *error);
tt_status tt_inits_init(tt_error *error);
tt_status tt_schedules_init(tt_error *error);

enum { TT_FROM_NOWHERE = -1, TT_FROM_TRAINING = -2 /* whether the module trains */ };

struct tt_module_row {
  tt_op signature; /* parsed by tt_nn_init */
  const char *torch_name;
  tt_op_number op; /* what forward calls; TT_OP_NONE: forward is its own */
  /* Where each parameter of the op that is no tensor comes from: an argument of the constructor, by its place, or one of TT_FROM_*. */
  int8_t source_of[TT_MAX_PARAMS];
  tt_status (*make)(tt_calls *calls, tt_module *module); /* its parameters and buffers; NULL: it has none */
  tt_status (*forward)(tt_calls *calls, tt_module *module, tt_node *const *inputs, size_t n_inputs, tt_node **outputs,
                       size_t *n_outputs); /* outputs are borrowed from calls */
};

typedef struct tt_module_slot {
  char name[32];
  tt_node *head; /* one reference */
  bool is_parameter;
} tt_module_slot;

typedef struct tt_module_link {
  char *name;        /* owned */
  tt_module *module; /* one reference */
} tt_module_link;

struct tt_module {
  int refs;
  const tt_module_row *row;
  tt_value args[TT_MAX_PARAMS]; /* bound; tensors are slots instead */
  void *lists[TT_MAX_PARAMS];   /* owned copies of what args point to */
  bool is_training;
  tt_module_slot *slots; /* owned */
  size_t n_slots;
  tt_module_link *children; /* owned */
  size_t n_children;
};

/* An argument of the constructor by its name, which its row has. */
const tt_value *tt_module_arg(const tt_module *module, const char *name);
static inline int64_t tt_module_int(const tt_module *module, const char *name) {
  return tt_module_arg(module, name)->as.integer;
}
static inline bool tt_module_bool(const tt_module *module, const char *name) { return tt_module_arg(module, name)->as.boolean; }
static inline double tt_module_float(const tt_module *module, const char *name) { return tt_module_arg(module, name)->as.real; }
/* Whether a value is that text. */
bool tt_is_text(const tt_value *value, const char *text);
bool tt_module_is_text(const tt_module *module, const char *name, const char *text);
/* The head of a slot; NULL: None, or there is no such slot. */
tt_node *tt_module_head(const tt_module *module, const char *name);
/* Adds a slot with one more reference to head. For a parameter, it is made to require grad. */
tt_status tt_module_add_slot(tt_calls *calls, tt_module *module, const char *name, tt_node *head, bool is_parameter);

/* Refuses other numbers of inputs than least to most. */
tt_status tt_check_inputs(tt_calls *calls, const tt_module *module, size_t n_inputs, size_t least, size_t most);

/* What the rows of nn.def name: layers.c, recurrent.c. */
#define TT_MAKE(name) tt_status tt_make_##name(tt_calls *calls, tt_module *module)
#define TT_FORWARD(name)                                                                                                      \
  tt_status tt_forward_##name(tt_calls *calls, tt_module *module, tt_node *const *inputs, size_t n_inputs, tt_node **outputs, \
                              size_t *n_outputs)
TT_MAKE(linear);
TT_MAKE(bilinear);
TT_MAKE(embedding);
TT_MAKE(conv1d);
TT_MAKE(conv2d);
TT_MAKE(conv_transpose1d);
TT_MAKE(conv_transpose2d);
TT_MAKE(batch_norm);
TT_MAKE(layer_norm);
TT_MAKE(group_norm);
TT_MAKE(prelu);
TT_MAKE(rnn);
TT_MAKE(lstm);
TT_MAKE(gru);
TT_MAKE(rnn_cell);
TT_MAKE(lstm_cell);
TT_MAKE(gru_cell);
TT_FORWARD(op);
TT_FORWARD(identity);
TT_FORWARD(batch_norm);
TT_FORWARD(instance_norm);
TT_FORWARD(rnn);
TT_FORWARD(lstm);
TT_FORWARD(gru);
TT_FORWARD(rnn_cell);
TT_FORWARD(lstm_cell);
TT_FORWARD(gru_cell);
TT_FORWARD(sequential);
TT_FORWARD(list);

/* A new tensor of that shape with numbers of a uniform distribution, -bound to bound; borrowed from calls. */
tt_node *tt_make_uniform(tt_calls *calls, const int64_t *dims, size_t n_dims, double bound);

#endif
