/* Modules and optimisers on tensors here and at other workers. What they compute is compared with PyTorch in tests/oracle/compare_nn.py. */
#include <stdlib.h>

#include "chain/pointer.h"
#include "chain/variable.h"
#include "nn/clip.h"
#include "nn/init.h"
#include "nn/module.h"
#include "nn/optimizer.h"
#include "nn/schedule.h"
#include "worker_fixture.h"

static tt_error trouble;

/* ---- a place that knows workers, as the doors have one ---- */

static tt_status bring(void *host, tt_node *head, tt_node *beside, tt_error *error) {
  tt_worker *worker = host;
  tt_node *to = tt_node_tail(beside);
  if (!tt_node_is_pointer(to)) return tt_fail(error, TT_ERR_STATE, "it has come back");
  tt_peer *peer = tt_peer_of_location(tt_pointer_location(to));
  return tt_node_is_pointer(tt_node_tail(head)) ? tt_worker_move(worker, head, peer, 0, NULL, NULL, NULL, error)
                                                : tt_worker_send(worker, head, peer, 0, NULL, NULL, NULL, NULL, error);
}

static const tt_place_ops place_ops = {.bring = bring};

static tt_place place_of(tt_worker *worker) {
  return (tt_place){.hook = tt_worker_hook(worker), .ops = &place_ops, .host = worker};
}

typedef struct trio {
  tt_worker *me, *bob, *alice;
  tt_place place;
} trio;

static trio begin(void) {
  trio all = {.me = new_worker("me", NULL), .bob = new_worker("bob", NULL), .alice = new_worker("alice", NULL)};
  connect_workers(all.me, all.bob);
  connect_workers(all.me, all.alice);
  connect_workers(all.bob, all.alice);
  all.place = place_of(all.me);
  if (tt_nn_init(&trouble) != TT_OK) fail_msg("%s", trouble.message);
  return all;
}

static void end(trio *all) {
  tt_worker_flush(all->me);
  tt_virtual_poll();
  assert_int_equal(tt_worker_n_objects(all->bob), 0);
  assert_int_equal(tt_worker_n_objects(all->alice), 0);
  tt_worker_free(all->me);
  tt_worker_free(all->bob);
  tt_worker_free(all->alice);
  tt_virtual_poll();
}

static tt_module *try_new(const tt_place *place, const char *name, const tt_value *args, size_t n_args) {
  const tt_module_row *row = tt_module_row_find(name, &trouble);
  return row == NULL ? NULL : tt_module_new(place, row, args, n_args, &trouble);
}

static tt_module *new_module(const tt_place *place, const char *name, const tt_value *args, size_t n_args) {
  tt_module *module = try_new(place, name, args, n_args);
  if (module == NULL) fail_msg("%s: %s", name, trouble.message);
  return module;
}
#define NEW(place, name, ...) \
  new_module(place, name, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value))

static void refuse(const tt_place *place, tt_status status, const char *says, const char *name, const tt_value *args,
                   size_t n_args) {
  assert_null(try_new(place, name, args, n_args));
  assert_int_equal(trouble.status, status);
  assert_says(trouble.message, says);
}
#define REFUSE(place, status, says, name, ...) \
  refuse(place, status, says, name, (tt_value[]){__VA_ARGS__}, sizeof((tt_value[]){__VA_ARGS__}) / sizeof(tt_value))

static tt_node *forward(const tt_place *place, tt_module *module, tt_node *input) {
  tt_node *outputs[TT_MAX_MODULE_OUTPUTS];
  size_t n_outputs;
  if (tt_module_forward(place, module, &input, 1, outputs, &n_outputs, &trouble) != TT_OK) fail_msg("%s", trouble.message);
  for (size_t i = 1; i < n_outputs; i++) tt_node_unref(outputs[i]);
  return outputs[0];
}

/* Linear(2, 3), ReLU, Linear(3, 1). */
static tt_module *new_net(const tt_place *place) {
  tt_module *net = new_module(place, "Sequential", NULL, 0);
  tt_module *layers[] = {NEW(place, "Linear", tt_int(2), tt_int(3)), new_module(place, "ReLU", NULL, 0),
                         NEW(place, "Linear", tt_int(3), tt_int(1))};
  for (int i = 0; i < 3; i++) {
    assert_int_equal(tt_module_add(net, (const char *[]){"0", "1", "2"}[i], layers[i], &trouble), TT_OK);
    tt_module_unref(layers[i]);
  }
  return net;
}

/* ---- modules ---- */

static tt_status append_name(void *context, const char *name, const tt_module_tensor *tensor, tt_error *error) {
  (void)error;
  strcat(strcat(context, name), tensor->is_parameter ? " " : "* ");
  return TT_OK;
}

static void names_are_those_of_a_state_dict(void **state) {
  (void)state;
  trio all = begin();
  tt_module *net = new_net(&all.place), *norm = NEW(&all.place, "BatchNorm1d", tt_int(1));
  assert_int_equal(tt_module_add(net, "3", norm, &trouble), TT_OK);
  char names[512] = "";
  assert_int_equal(tt_module_visit(net, append_name, names, &trouble), TT_OK);
  assert_string_equal(names,
                      "0.weight 0.bias 2.weight 2.bias 3.weight 3.bias 3.running_mean* 3.running_var* 3.num_batches_tracked* ");
  assert_int_equal(tt_module_add(net, "3", norm, &trouble), TT_ERR_DUPLICATE);
  assert_int_equal(tt_module_add(net, "a.b", norm, &trouble), TT_ERR_ARGUMENT);
  assert_int_equal(tt_module_add(net, "4", net, &trouble), TT_ERR_ARGUMENT);
  tt_module_train(net, false);
  assert_false(tt_module_is_training(norm));
  tt_module_unref(norm);
  tt_module_unref(net);
  end(&all);
}

static void constructors_say_what_is_wrong(void **state) {
  (void)state;
  trio all = begin();
  REFUSE(&all.place, TT_ERR_ARGUMENT, "'out_features' (position 1) is missing", "Linear", tt_int(2));
  REFUSE(&all.place, TT_ERR_ARGUMENT, "divisible by groups", "Conv2d", tt_int(3), tt_int(4), tt_int(3), tt_int(1), tt_int(0),
         tt_int(1), tt_int(2));
  REFUSE(&all.place, TT_ERR_ARGUMENT, "kernel_size is one number or 2", "Conv2d", tt_int(3), tt_int(4),
         tt_ints((int64_t[]){1, 2, 3}, 3));
  REFUSE(&all.place, TT_ERR_ARGUMENT, "which 5 is not by 2", "GroupNorm", tt_int(2), tt_int(5));
  REFUSE(&all.place, TT_ERR_ARGUMENT, "num_layers is 1 to 1000", "LSTM", tt_int(2), tt_int(5), tt_int(0));
  REFUSE(&all.place, TT_ERR_SHAPE, "-1", "Linear", tt_int(-1), tt_int(5));
  assert_null(tt_module_row_find("Linar", &trouble));
  assert_says(trouble.message, "no module 'Linar'");
  end(&all);
}

static void forward_says_what_is_wrong(void **state) {
  (void)state;
  trio all = begin();
  tt_module *linear = NEW(&all.place, "Linear", tt_int(2), tt_int(1)), *list = new_module(&all.place, "ModuleList", NULL, 0);
  tt_node *x = matrix(4, 3), *outputs[TT_MAX_MODULE_OUTPUTS] = {NULL};
  size_t n_outputs = 77;
  assert_int_equal(tt_module_forward(&all.place, linear, &x, 1, outputs, &n_outputs, &trouble), TT_ERR_SHAPE);
  assert_int_equal(tt_module_forward(&all.place, linear, &x, 0, outputs, &n_outputs, &trouble), TT_ERR_ARGUMENT);
  assert_says(trouble.message, "Linear takes 1 tensors, not 0");
  assert_int_equal(tt_module_forward(&all.place, list, &x, 1, outputs, &n_outputs, &trouble), TT_ERR_STATE);
  assert_int_equal(n_outputs, 77);
  assert_null(outputs[0]);
  tt_node_unref(x);
  tt_module_unref(linear);
  tt_module_unref(list);
  end(&all);
}

static void a_copy_has_tensors_of_its_own(void **state) {
  (void)state;
  trio all = begin();
  tt_module *net = new_net(&all.place), *copy = tt_module_copy(&all.place, net, &trouble);
  assert_non_null(copy);
  tt_node *x = floats((const float[]){1, 2}, 2);
  tt_node *before = forward(&all.place, copy, x);
  tt_node *weight = tt_module_tensor_at(tt_module_child(net, 0, NULL), 0).head;
  tt_node *zeroed = NULL;
  tt_hook *hook = tt_worker_hook(all.me);
  hook->is_recording = false;
  zeroed = call(all.me, "zero_", (tt_value[]){of(weight)}, 1);
  hook->is_recording = true;
  tt_node *after = forward(&all.place, copy, x);
  tt_node *same = call(all.me, "equal", (tt_value[]){of(before), of(after)}, 2);
  assert_printed(same, "tensor(True)");
  assert_true(tt_node_gradient(tt_module_tensor_at(tt_module_child(copy, 0, NULL), 0).head).requires_grad);
  tt_node *const made[] = {x, before, zeroed, after, same};
  for (int i = 0; i < 5; i++) tt_node_unref(made[i]);
  tt_module_unref(net);
  tt_module_unref(copy);
  end(&all);
}

static void another_dtype_keeps_the_heads(void **state) {
  (void)state;
  trio all = begin();
  tt_module *net = NEW(&all.place, "BatchNorm1d", tt_int(2));
  tt_node *weight = tt_module_tensor_at(net, 0).head;
  assert_int_equal(tt_module_to(&all.place, net, TT_DTYPE_F64, &trouble), TT_OK);
  assert_ptr_equal(tt_module_tensor_at(net, 0).head, weight);
  assert_int_equal(tt_node_meta(weight)->dtype, TT_DTYPE_F64);
  assert_true(tt_node_gradient(weight).requires_grad);
  assert_int_equal(tt_node_meta(tt_module_tensor_at(net, 4).head)->dtype, TT_DTYPE_I64);
  assert_int_equal(tt_module_to(&all.place, net, TT_DTYPE_I32, &trouble), TT_ERR_DTYPE);
  tt_module_unref(net);
  end(&all);
}

/* ---- optimisers ---- */

static tt_optimizer *new_optimizer(const char *name, const tt_value *args, size_t n_args, tt_node *const *parameters,
                                   size_t n_parameters) {
  tt_optimizer *optimizer = tt_optimizer_new(tt_optimizer_row_find(name, &trouble), &trouble);
  assert_non_null(optimizer);
  if (tt_optimizer_add_group(optimizer, parameters, n_parameters, args, n_args, &trouble) != TT_OK)
    fail_msg("%s", trouble.message);
  return optimizer;
}

static tt_node *new_leaf(tt_worker *me, const float *values, int64_t n) {
  tt_node *x = floats(values, n);
  tt_node_unref(call(me, "requires_grad_", (tt_value[]){of(x)}, 1));
  return x;
}

/* The gradient of sum(x*x): 2x. */
static void backward(tt_worker *me, tt_node *x) {
  tt_node *y = call(me, "mul", (tt_value[]){of(x), of(x)}, 2), *sum = call(me, "sum", (tt_value[]){of(y)}, 1);
  tt_node_unref(call(me, "backward_", (tt_value[]){of(sum)}, 1));
  tt_node_unref(y);
  tt_node_unref(sum);
}

static void step(const tt_place *place, tt_optimizer *optimizer) {
  if (tt_optimizer_step(place, optimizer, &trouble) != TT_OK) fail_msg("%s", trouble.message);
}

static void a_step_leaves_what_has_no_gradient(void **state) {
  (void)state;
  trio all = begin();
  tt_node *x[] = {new_leaf(all.me, (const float[]){1, 2}, 2), new_leaf(all.me, (const float[]){3}, 1)};
  tt_optimizer *sgd = new_optimizer("SGD", (tt_value[]){tt_float(0.25), tt_float(0.5)}, 2, x, 2);
  backward(all.me, x[0]);
  step(&all.place, sgd);
  assert_printed(x[0], "tensor([0.5000, 1.0000])");
  assert_printed(x[1], "tensor([3.])");
  tt_node *buffer = NULL;
  assert_string_equal(tt_optimizer_state(sgd, 0, 0, 0, &buffer), "momentum_buffer");
  assert_printed(buffer, "tensor([2., 4.])");
  tt_optimizer_state(sgd, 0, 1, 0, &buffer);
  assert_null(buffer);
  assert_true(tt_worker_hook(all.me)->is_recording);
  assert_int_equal(tt_optimizer_zero_grad(&all.place, sgd, true, &trouble), TT_OK);
  assert_null(tt_node_gradient(x[0]).grad);
  step(&all.place, sgd);
  assert_printed(x[0], "tensor([0.5000, 1.0000])");
  tt_optimizer_free(sgd);
  tt_node_unref(x[0]);
  tt_node_unref(x[1]);
  end(&all);
}

static void groups_have_options_of_their_own(void **state) {
  (void)state;
  trio all = begin();
  tt_node *x = new_leaf(all.me, (const float[]){1}, 1), *y = new_leaf(all.me, (const float[]){1}, 1);
  tt_optimizer *sgd = new_optimizer("SGD", (tt_value[]){tt_float(0.25)}, 1, &x, 1);
  const tt_value half[] = {tt_float(0.5)}, negative[] = {tt_float(-1)};
  assert_int_equal(tt_optimizer_add_group(sgd, &x, 1, half, 1, &trouble), TT_ERR_ARGUMENT);
  assert_says(trouble.message, "there already");
  assert_int_equal(tt_optimizer_add_group(sgd, &y, 1, negative, 1, &trouble), TT_ERR_ARGUMENT);
  assert_says(trouble.message, "lr is 0 or more, not -1");
  assert_int_equal(tt_optimizer_add_group(sgd, &y, 1, NULL, 0, &trouble), TT_ERR_ARGUMENT);
  assert_says(trouble.message, "'lr' (position 0) is missing");
  assert_int_equal(tt_optimizer_add_group(sgd, &y, 0, half, 1, &trouble), TT_ERR_ARGUMENT);
  assert_int_equal(tt_optimizer_add_group(sgd, &y, 1, half, 1, &trouble), TT_OK);
  tt_node *square = call(all.me, "mul", (tt_value[]){of(x), of(x)}, 2);
  assert_int_equal(tt_optimizer_add_group(sgd, &square, 1, half, 1, &trouble), TT_ERR_ARGUMENT);
  assert_says(trouble.message, "leaf");
  backward(all.me, x);
  backward(all.me, y);
  step(&all.place, sgd);
  assert_printed(x, "tensor([0.5000])");
  assert_printed(y, "tensor([0.])");
  assert_int_equal(tt_optimizer_set_option(sgd, 0, "lr", tt_float(0), &trouble), TT_OK);
  assert_int_equal(tt_optimizer_set_option(sgd, 2, "lr", tt_float(0), &trouble), TT_ERR_INDEX);
  assert_int_equal(tt_optimizer_set_option(sgd, 0, "rate", tt_float(0), &trouble), TT_ERR_ARGUMENT);
  tt_value rate;
  assert_int_equal(tt_optimizer_option(sgd, 1, "lr", &rate, &trouble), TT_OK);
  assert_true(rate.as.real == 0.5);
  step(&all.place, sgd);
  assert_printed(x, "tensor([0.5000])");
  tt_optimizer_free(sgd);
  tt_node *const made[] = {x, y, square};
  for (int i = 0; i < 3; i++) tt_node_unref(made[i]);
  end(&all);
}

/* Where the parameter is before each of the steps: 'm' here, 'b' bob, 'a' alice. It ends here, and its bytes are answered. */
static void walk(const char *places, const char *row, const tt_value *args, size_t n_args, float last[2]) {
  trio all = begin();
  tt_node *x = new_leaf(all.me, (const float[]){1, -2}, 2);
  tt_optimizer *optimizer = new_optimizer(row, args, n_args, &x, 1);
  char at = 'm';
  for (; *places != 0; at = *places++) {
    const char *id = *places == 'b' ? "bob" : "alice";
    if (*places != at && at == 'm') send_to(all.me, x, id);
    if (*places != at && at != 'm')
      assert_int_equal(tt_worker_move(all.me, x, known(all.me, id), 0, NULL, NULL, NULL, &trouble), TT_OK);
    tt_node_unref(call(all.me, "requires_grad_", (tt_value[]){of(x)}, 1));
    backward(all.me, x);
    step(&all.place, optimizer);
    assert_int_equal(tt_optimizer_zero_grad(&all.place, optimizer, true, &trouble), TT_OK);
  }
  tt_virtual_poll();
  if (at != 'm') assert_int_equal(get(all.me, x).status, TT_OK);
  memcpy(last, tt_tensor_data(tt_local_tensor(tt_node_tail(x))), 2 * sizeof *last);
  tt_optimizer_free(optimizer);
  tt_node_unref(x);
  end(&all);
}

static void state_follows_its_parameter(void **state) {
  (void)state;
  const struct {
    const char *row;
    tt_value args[4];
    size_t n_args;
  } cases[] = {{"SGD", {tt_float(0.1), tt_float(0.9)}, 2},
               {"Adam", {tt_float(0.1)}, 1},
               {"RMSprop", {tt_float(0.01), tt_float(0.9), tt_float(1e-8)}, 3},
               {"Adagrad", {tt_float(0.1)}, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    float here[2], at_bob[2], wandering[2];
    walk("mmmmm", cases[i].row, cases[i].args, cases[i].n_args, here);
    walk("bbbbb", cases[i].row, cases[i].args, cases[i].n_args, at_bob);
    walk("mbaab", cases[i].row, cases[i].args, cases[i].n_args, wandering);
    assert_memory_equal(at_bob, here, sizeof here);
    assert_memory_equal(wandering, here, sizeof here);
    assert_true(here[0] < 1 && here[1] > -2);
  }
}

static void a_step_elsewhere_is_one_command(void **state) {
  (void)state;
  trio all = begin();
  tt_node *x = floats((const float[]){1, 2}, 2);
  send_to(all.me, x, "bob");
  tt_node_unref(call(all.me, "requires_grad_", (tt_value[]){of(x)}, 1));
  tt_optimizer *adam = new_optimizer("Adam", NULL, 0, &x, 1);
  backward(all.me, x);
  step(&all.place, adam);
  uint64_t before = tt_worker_counters(all.me).commands_out;
  step(&all.place, adam);
  assert_int_equal(tt_worker_counters(all.me).commands_out - before, 1);
  assert_int_equal(tt_optimizer_zero_grad(&all.place, adam, false, &trouble), TT_ERR_STATE);
  tt_optimizer_free(adam);
  tt_node_unref(x);
  end(&all);
}

/* ---- without memory ---- */

static const int64_t SHAPE[] = {4};

static bool scenario(const tt_place *place, const char *name, const tt_value *args, size_t n_args, long n_successes) {
  tt_module *module = NULL, *copy = NULL;
  tt_alloc_fail_after(n_successes);
  trouble.status = TT_OK;
  module = try_new(place, name, args, n_args);
  if (module != NULL) copy = tt_module_copy(place, module, &trouble);
  tt_alloc_fail_after(-1);
  bool is_done = copy != NULL;
  if (!is_done && trouble.status != TT_ERR_MEMORY) fail_msg("%s: %s", name, trouble.message);
  tt_module_unref(module);
  tt_module_unref(copy);
  assert_true(place->hook->is_recording);
  return is_done;
}

static void modules_without_memory(void **state) {
  (void)state;
  trio all = begin();
  const struct {
    const char *name;
    tt_value args[3];
    size_t n_args;
  } cases[] = {{"Linear", {tt_int(2), tt_int(3)}, 2},
               {"Conv2d", {tt_int(2), tt_int(3), tt_int(2)}, 3},
               {"BatchNorm1d", {tt_int(2)}, 1},
               {"LayerNorm", {tt_ints(SHAPE, 1)}, 1},
               {"Embedding", {tt_int(3), tt_int(2), tt_int(0)}, 3},
               {"LSTM", {tt_int(2), tt_int(3), tt_int(2)}, 3},
               {"GELU", {tt_string("tanh", 4)}, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    long n = 0;
    while (!scenario(&all.place, cases[i].name, cases[i].args, cases[i].n_args, n)) n++;
    assert_true(n > 3);
  }
  end(&all);
}

static bool train_once(const tt_place *place, tt_module *net, tt_node *x, long n_successes) {
  tt_node *outputs[TT_MAX_MODULE_OUTPUTS], *parameters[4];
  size_t n_outputs = 0;
  tt_optimizer *adam = NULL;
  tt_status status = TT_ERR_MEMORY;
  parameters[0] = tt_module_tensor_at(tt_module_child(net, 0, NULL), 0).head;
  parameters[1] = tt_module_tensor_at(tt_module_child(net, 2, NULL), 0).head;
  tt_alloc_fail_after(n_successes);
  if (tt_module_forward(place, net, &x, 1, outputs, &n_outputs, &trouble) != TT_OK) goto end;
  const tt_value args[] = {of(outputs[0])};
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results;
  if (tt_hook_call(place->hook, TT_OP_backward_, args, 1, NULL, 0, results, &n_results, &trouble) != TT_OK) goto end;
  tt_node_unref(results[0]);
  adam = tt_optimizer_new(tt_optimizer_row_find("Adam", NULL), &trouble);
  if (adam == NULL || tt_optimizer_add_group(adam, parameters, 2, NULL, 0, &trouble) != TT_OK) goto end;
  if (tt_optimizer_step(place, adam, &trouble) != TT_OK) goto end;
  status = tt_optimizer_zero_grad(place, adam, true, &trouble);
end:
  tt_alloc_fail_after(-1);
  for (size_t i = 0; i < n_outputs; i++) tt_node_unref(outputs[i]);
  tt_optimizer_free(adam);
  if (status != TT_OK && trouble.status != TT_ERR_MEMORY) fail_msg("%s", trouble.message);
  assert_true(place->hook->is_recording);
  return status == TT_OK;
}

static void training_without_memory(void **state) {
  (void)state;
  trio all = begin();
  tt_module *net = new_net(&all.place);
  tt_node *x = floats((const float[]){1, 2}, 2);
  long n = 0;
  while (!train_once(&all.place, net, x, n)) n++;
  assert_true(n > 30);
  tt_node_unref(x);
  tt_module_unref(net);
  end(&all);
}

static void a_recurrent_net_without_memory(void **state) {
  (void)state;
  trio all = begin();
  tt_module *lstm =
      NEW(&all.place, "LSTM", tt_int(2), tt_int(3), tt_int(1), tt_bool(true), tt_bool(true), tt_float(0), tt_bool(true));
  tt_node *x = matrix(3, 2);
  bool is_done = false;
  for (long n = 0; !is_done; n++) {
    tt_node *outputs[TT_MAX_MODULE_OUTPUTS];
    size_t n_outputs = 0;
    tt_alloc_fail_after(n);
    is_done = tt_module_forward(&all.place, lstm, &x, 1, outputs, &n_outputs, &trouble) == TT_OK;
    tt_alloc_fail_after(-1);
    for (size_t i = 0; i < n_outputs; i++) tt_node_unref(outputs[i]);
    if (!is_done)
      assert_int_equal(trouble.status, TT_ERR_MEMORY);
    else
      assert_int_equal(n_outputs, 3);
  }
  tt_node_unref(x);
  tt_module_unref(lstm);
  end(&all);
}

/* ---- init, schedules, clipping ---- */

static bool fill_once(const tt_place *place, tt_node *x, const char *name, long n_successes) {
  tt_alloc_fail_after(n_successes);
  tt_status status = tt_init_fill(place, tt_init_row_find(name, NULL), (tt_value[]){of(x)}, 1, &trouble);
  tt_alloc_fail_after(-1);
  if (status != TT_OK && trouble.status != TT_ERR_MEMORY) fail_msg("%s: %s", name, trouble.message);
  assert_true(place->hook->is_recording);
  return status == TT_OK;
}

static void init_fills_with_and_without_memory(void **state) {
  (void)state;
  trio all = begin();
  tt_node *x = matrix(3, 4), *vector = floats((const float[]){1, 2}, 2);
  for (size_t i = 0; tt_init_row_at(i) != NULL; i++) {
    const char *name = tt_init_row_signature(tt_init_row_at(i))->name;
    if (strcmp(name, "constant_") == 0) continue; /* wants a number */
    for (long n = 0; !fill_once(&all.place, x, name, n); n++) continue;
  }
  assert_int_equal(tt_init_fill(&all.place, tt_init_row_find("kaiming_uniform_", NULL), (tt_value[]){of(vector)}, 1, &trouble),
                   TT_ERR_SHAPE);
  assert_says(trouble.message, "kaiming_uniform_: fan in and fan out");
  const tt_value wrong[] = {of(x), tt_float(0), tt_string("fan", 3)};
  assert_int_equal(tt_init_fill(&all.place, tt_init_row_find("kaiming_uniform_", NULL), wrong, 3, &trouble), TT_ERR_ARGUMENT);
  assert_says(trouble.message, "'fan_in' or 'fan_out', not 'fan'");
  const tt_value half[] = {of(vector), tt_float(0.5)};
  assert_int_equal(tt_init_fill(&all.place, tt_init_row_find("constant_", NULL), half, 2, &trouble), TT_OK);
  assert_printed(vector, "tensor([0.5000, 0.5000])");
  double gain;
  assert_int_equal(tt_init_gain("tanh", 4, 0, &gain, &trouble), TT_OK);
  assert_true(gain == 5.0 / 3);
  assert_int_equal(tt_init_gain("tan", 3, 0, &gain, &trouble), TT_ERR_ARGUMENT);
  assert_null(tt_init_row_find("sparse_", &trouble));
  tt_node_unref(x);
  tt_node_unref(vector);
  end(&all);
}

static void schedules_are_formulas(void **state) {
  (void)state;
  if (tt_nn_init(&trouble) != TT_OK) fail_msg("%s", trouble.message);
  const struct {
    const char *name;
    tt_value args[3];
    size_t n_args;
    double rates[4]; /* after 0, 1, 2 and 4 steps, of 8 */
  } cases[] = {{"StepLR", {tt_int(2), tt_float(0.5)}, 2, {8, 8, 4, 2}},
               {"MultiStepLR", {tt_ints((int64_t[]){1, 4}, 2), tt_float(0.5)}, 2, {8, 4, 4, 2}},
               {"ConstantLR", {tt_float(0.5), tt_int(2)}, 2, {4, 4, 8, 8}},
               {"LinearLR", {tt_float(0.5), tt_float(1), tt_int(4)}, 3, {4, 5, 6, 8}},
               {"ExponentialLR", {tt_float(0.5)}, 1, {8, 4, 2, 0.5}},
               {"PolynomialLR", {tt_int(4), tt_float(2)}, 2, {8, 4.5, 2, 0}}};
  static const int64_t steps[] = {0, 1, 2, 4};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (size_t k = 0; k < 4; k++) {
      double rate;
      assert_int_equal(tt_schedule_rate(tt_schedule_row_find(cases[i].name, NULL), cases[i].args, cases[i].n_args, 8, steps[k],
                                        &rate, &trouble),
                       TT_OK);
      if (rate != cases[i].rates[k]) fail_msg("%s after %d: %g", cases[i].name, (int)steps[k], rate);
    }
  }
  double rate;
  assert_int_equal(tt_schedule_rate(tt_schedule_row_find("StepLR", NULL), (tt_value[]){tt_int(0)}, 1, 8, 1, &rate, &trouble),
                   TT_ERR_ARGUMENT);
  assert_null(tt_schedule_row_find("Step", &trouble));
}

static void clipping_scales_all_gradients_together(void **state) {
  (void)state;
  trio all = begin();
  tt_node *gradients[] = {floats((const float[]){3, 0}, 2), floats((const float[]){4}, 1)}, *total = NULL;
  assert_int_equal(tt_clip_norm(&all.place, gradients, 0, 1, 2, &total, &trouble), TT_ERR_ARGUMENT);
  assert_int_equal(tt_clip_norm(&all.place, gradients, 2, -1, 2, &total, &trouble), TT_ERR_ARGUMENT);
  assert_null(total);
  assert_int_equal(tt_clip_norm(&all.place, gradients, 2, 10, 2, &total, &trouble), TT_OK);
  assert_printed(total, "tensor(5.)");
  assert_printed(gradients[0], "tensor([3., 0.])");
  tt_node_unref(total);
  total = NULL;
  bool is_done = false;
  for (long n = 0; !is_done; n++) {
    tt_alloc_fail_after(n);
    is_done = tt_clip_norm(&all.place, gradients, 2, 10, 2, &total, &trouble) == TT_OK;
    tt_alloc_fail_after(-1);
    if (!is_done) assert_int_equal(trouble.status, TT_ERR_MEMORY);
  }
  tt_node_unref(total);
  assert_int_equal(tt_clip_norm(&all.place, gradients, 2, 1, 2, &total, &trouble), TT_OK);
  assert_printed(gradients[0], "tensor([0.6000, 0.0000])");
  assert_printed(gradients[1], "tensor([0.8000])");
  assert_int_equal(tt_clip_value(&all.place, gradients, 2, 0.5, &trouble), TT_OK);
  assert_printed(gradients[1], "tensor([0.5000])");
  tt_node *const made[] = {gradients[0], gradients[1], total};
  for (int i = 0; i < 3; i++) tt_node_unref(made[i]);
  end(&all);
}

#define ASSERT_ROW(type, row_name, pytorch_name)                                          \
  {                                                                                       \
    const type##_row *row = type##_row_find(row_name, &trouble);                          \
    tt_buffer_init(&text);                                                                \
    tt_row_json(type##_row_signature(row), type##_row_torch_name(row), &text);            \
    assert_says(tt_buffer_string(&text), "\"name\":\"" row_name "\"");                    \
    assert_says(tt_buffer_string(&text), "\"torch_name\":\"" pytorch_name row_name "\""); \
    tt_buffer_release(&text);                                                             \
  }

static void rows_are_written_as_json(void **state) {
  (void)state;
  tt_buffer text;
  assert_int_equal(tt_nn_init(&trouble), TT_OK);
  ASSERT_ROW(tt_module, "LSTM", "torch.nn.")
  ASSERT_ROW(tt_optimizer, "AdamW", "torch.optim.")
  ASSERT_ROW(tt_init, "orthogonal_", "torch.nn.init.")
  ASSERT_ROW(tt_schedule, "CosineAnnealingLR", "torch.optim.lr_scheduler.")
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_are_those_of_a_state_dict),  cmocka_unit_test(constructors_say_what_is_wrong),
      cmocka_unit_test(forward_says_what_is_wrong),       cmocka_unit_test(a_copy_has_tensors_of_its_own),
      cmocka_unit_test(another_dtype_keeps_the_heads),    cmocka_unit_test(a_step_leaves_what_has_no_gradient),
      cmocka_unit_test(groups_have_options_of_their_own), cmocka_unit_test(state_follows_its_parameter),
      cmocka_unit_test(a_step_elsewhere_is_one_command),  cmocka_unit_test(init_fills_with_and_without_memory),
      cmocka_unit_test(schedules_are_formulas),           cmocka_unit_test(clipping_scales_all_gradients_together),
      cmocka_unit_test(rows_are_written_as_json),         cmocka_unit_test(modules_without_memory),
      cmocka_unit_test(training_without_memory),          cmocka_unit_test(a_recurrent_net_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
