/*
 * Trains a network on one thread, as asked by lines of stdin, and answers by lines of stdout; torch_training.py does the same.
 *
 *     prepare MODEL FILE SIZE...   mlp or lenet; FILE has the parameters and the input (float32) and the labels (int64), SIZE... is the input's shape
 *                                  -> "ready"
 *     sample N                     N steps from the parameters in the file -> the milliseconds that they took, and the loss of each
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chain/hook.h"
#include "kernels/parallel.h"
#include "nn/calls.h"
#include "nn/module.h"
#include "nn/optimizer.h"

enum { MAX_PARAMETERS = 16, MAX_STEPS = 1000 };
static const double LEARNING_RATE = 0.1;

typedef struct trainer {
  tt_hook hook;
  tt_place place;
  tt_module *network;
  tt_optimizer *optimizer;
  tt_node *parameters[MAX_PARAMETERS]; /* borrowed from the network */
  float *initial[MAX_PARAMETERS];
  size_t n_parameters;
  tt_node *input, *labels;
} trainer;

static tt_error trouble;

static void give_up(const char *what) {
  printf("error %s: %s\n", what, trouble.message);
  exit(1);
}

static void check(tt_status status, const char *what) {
  if (status != TT_OK) give_up(what);
}

/* ---- the networks ---- */

static void add_layer(trainer *self, const char *name, const tt_value *args, size_t n_args) {
  const tt_module_row *row = tt_module_row_find(name, &trouble);
  tt_module *layer = row == NULL ? NULL : tt_module_new(&self->place, row, args, n_args, &trouble);
  if (layer == NULL) give_up(name);
  char place[16];
  snprintf(place, sizeof place, "%zu", tt_module_n_children(self->network));
  check(tt_module_add(self->network, place, layer, &trouble), name);
  tt_module_unref(layer);
}

static void linear(trainer *self, int n_in, int n_out) {
  add_layer(self, "Linear", (tt_value[]){tt_int(n_in), tt_int(n_out)}, 2);
}

static void convolution(trainer *self, int n_in, int n_out, int side, int padding) {
  add_layer(self, "Conv2d", (tt_value[]){tt_int(n_in), tt_int(n_out), tt_int(side), tt_int(1), tt_int(padding)}, 5);
}

static void relu(trainer *self) { add_layer(self, "ReLU", NULL, 0); }
static void pool(trainer *self) { add_layer(self, "MaxPool2d", (tt_value[]){tt_int(2)}, 1); }

static void build_mlp(trainer *self) {
  linear(self, 784, 128);
  relu(self);
  linear(self, 128, 10);
}

static void build_lenet(trainer *self) {
  convolution(self, 1, 6, 5, 2);
  relu(self);
  pool(self);
  convolution(self, 6, 16, 5, 0);
  relu(self);
  pool(self);
  add_layer(self, "Flatten", NULL, 0);
  linear(self, 400, 120);
  relu(self);
  linear(self, 120, 84);
  relu(self);
  linear(self, 84, 10);
}

/* ---- prepare ---- */

static float *floats_of(const tt_node *node) {
  return tt_tensor_data(tt_local_tensor(tt_node_tail((tt_node *)(uintptr_t)node)));
}

static size_t n_elements(const tt_node *node) {
  const tt_shape *shape = &tt_node_meta(node)->shape;
  size_t n = 1;
  for (int i = 0; i < shape->n_dims; i++) n *= (size_t)shape->dims[i];
  return n;
}

static void read_exactly(FILE *file, void *into, size_t n_bytes) {
  if (fread(into, 1, n_bytes, file) == n_bytes) return;
  tt_fail(&trouble, TT_ERR_ARGUMENT, "the file is too short");
  give_up("prepare");
}

static tt_node *read_tensor(FILE *file, tt_dtype dtype, const tt_shape *shape) {
  tt_tensor *tensor = tt_tensor_zeros(dtype, shape, &trouble);
  tt_node *head = tensor == NULL ? NULL : tt_head_new(tt_local_new(tensor, &trouble), &trouble);
  if (head == NULL) give_up("prepare");
  read_exactly(file, tt_tensor_data(tensor), n_elements(head) * tt_dtype_bytes(dtype));
  return head;
}

static tt_status note_parameter(void *context, const char *name, const tt_module_tensor *tensor, tt_error *error) {
  (void)name;
  trainer *self = context;
  if (self->n_parameters == MAX_PARAMETERS) return tt_fail(error, TT_ERR_STATE, "too many parameters");
  self->parameters[self->n_parameters++] = tensor->head;
  return TT_OK;
}

static void release(trainer *self) {
  tt_optimizer_free(self->optimizer);
  tt_module_unref(self->network);
  tt_node_unref(self->input);
  tt_node_unref(self->labels);
  for (size_t i = 0; i < self->n_parameters; i++) free(self->initial[i]);
  *self = (trainer){0};
}

static void prepare(trainer *self, const char *model, const char *path, const tt_shape *input) {
  release(self);
  tt_hook_init(&self->hook, "bench");
  self->hook.is_recording = true;
  self->place = (tt_place){.hook = &self->hook};
  self->network = tt_module_new(&self->place, tt_module_row_find("Sequential", &trouble), NULL, 0, &trouble);
  if (self->network == NULL) give_up("Sequential");
  (strcmp(model, "mlp") == 0 ? build_mlp : build_lenet)(self);
  check(tt_module_visit(self->network, note_parameter, self, &trouble), "parameters");

  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    tt_fail(&trouble, TT_ERR_ARGUMENT, "there is no file '%s'", path);
    give_up("prepare");
  }
  for (size_t i = 0; i < self->n_parameters; i++) {
    size_t n_bytes = n_elements(self->parameters[i]) * sizeof(float);
    self->initial[i] = malloc(n_bytes);
    if (self->initial[i] == NULL) abort();
    read_exactly(file, self->initial[i], n_bytes);
  }
  self->input = read_tensor(file, TT_DTYPE_F32, input);
  self->labels = read_tensor(file, TT_DTYPE_I64, &(tt_shape){.n_dims = 1, .dims = {input->dims[0]}});
  fclose(file);

  self->optimizer = tt_optimizer_new(tt_optimizer_row_find("SGD", &trouble), &trouble);
  if (self->optimizer == NULL) give_up("SGD");
  check(tt_optimizer_add_group(self->optimizer, self->parameters, self->n_parameters, (tt_value[]){tt_float(LEARNING_RATE)}, 1,
                               &trouble),
        "SGD");
}

/* ---- sample ---- */

static void begin_anew(trainer *self) {
  for (size_t i = 0; i < self->n_parameters; i++)
    memcpy(floats_of(self->parameters[i]), self->initial[i], n_elements(self->parameters[i]) * sizeof(float));
}

/* Answers the loss, a new reference. */
static tt_node *step(trainer *self) {
  check(tt_optimizer_zero_grad(&self->place, self->optimizer, true, &trouble), "zero_grad");
  tt_node *outputs[TT_MAX_MODULE_OUTPUTS];
  size_t n_outputs;
  check(tt_module_forward(&self->place, self->network, &self->input, 1, outputs, &n_outputs, &trouble), "forward");
  tt_calls calls = tt_calls_begin(&self->place, &trouble);
  tt_node *loss = TT_RUN(&calls, cross_entropy, tt_of(outputs[0]), tt_of(self->labels));
  TT_RUN(&calls, backward_, tt_of(loss));
  if (loss != NULL) tt_node_ref(loss);
  tt_node_unref(outputs[0]);
  check(tt_calls_end(&calls), "backward");
  check(tt_optimizer_step(&self->place, self->optimizer, &trouble), "step");
  return loss;
}

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void sample(trainer *self, int n_steps) {
  tt_node *losses[MAX_STEPS];
  tt_node_unref(step(self));
  begin_anew(self);
  double values[MAX_STEPS];
  double begins = now_ms();
  for (int i = 0; i < n_steps; i++) losses[i] = step(self);
  for (int i = 0; i < n_steps; i++) values[i] = floats_of(losses[i])[0];
  double ms = now_ms() - begins;
  for (int i = 0; i < n_steps; i++) tt_node_unref(losses[i]);
  printf("%.6f", ms);
  for (int i = 0; i < n_steps; i++) printf(" %.9g", values[i]);
  printf("\n");
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  check(tt_nn_init(&trouble), "nn");
  check(tt_parallel_set_threads(1, &trouble), "threads");
  trainer self = {0};
  char line[4096];
  while (fgets(line, sizeof line, stdin) != NULL) {
    char *verb = strtok(line, " \n"), *first = strtok(NULL, " \n"), *path = strtok(NULL, " \n");
    if (verb != NULL && first != NULL && path != NULL && strcmp(verb, "prepare") == 0) {
      tt_shape input = {0};
      for (char *size; (size = strtok(NULL, " \n")) != NULL && input.n_dims < TT_MAX_DIMS;)
        input.dims[input.n_dims++] = atoi(size);
      prepare(&self, first, path, &input);
      printf("ready\n");
    } else if (verb != NULL && first != NULL && strcmp(verb, "sample") == 0 && atoi(first) <= MAX_STEPS) {
      sample(&self, atoi(first));
    } else {
      printf("error not understood\n");
    }
  }
  release(&self);
  return 0;
}
