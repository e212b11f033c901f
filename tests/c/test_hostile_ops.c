/*
 * hostile ops: commands of every row with arguments that nobody would give on purpose, drawn from a fixed seed. The worker may refuse them; it may not
 * take more memory than its store has, nor long, nor read or write what is not an operand (the sanitizers watch).
 */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "villain_fixture.h"

enum { N_OBJECTS = 40, N_COMMANDS_PER_OP = 60, STORE_BYTES = 1 << 20, MAX_COMMAND_MS = 4000 };

static tt_generator dice;

static int64_t below(int64_t n) { return tt_generator_below(&dice, (uint64_t)n); }
#define PICK(list) ((list)[below((int64_t)(sizeof(list) / sizeof *(list)))])

static const int64_t ODD[] = {0,
                              1,
                              1,
                              1,
                              2,
                              2,
                              3,
                              4,
                              5,
                              7,
                              -1,
                              -1,
                              -2,
                              -3,
                              -8,
                              8,
                              64,
                              4096,
                              1 << 20,
                              INT32_MAX,
                              INT32_MIN,
                              1LL << 32,
                              1LL << 40,
                              1LL << 47,
                              1LL << 48,
                              (1LL << 62) - 1,
                              INT64_MAX,
                              INT64_MIN,
                              INT64_MIN + 1,
                              100,
                              1000,
                              16};
static const int64_t SMALL[] = {0, 1, 1, 2, 2, 3, 4, -1, -2, 5};
static const double ODD_FLOATS[] = {
    0,           1,    -1,  0.5, 2, 3, 1e-300, 1e300, -1e300, 1.7e308, -1.7e308, (double)INFINITY, (double)-INFINITY,
    (double)NAN, 1e18, -0.0};

static int64_t odd_int(void) { return below(3) == 0 ? PICK(ODD) : PICK(SMALL); }

static uint64_t next_id = 1000;

typedef struct some_object {
  uint64_t id;
} some_object;

static some_object things[N_OBJECTS];
static size_t n_things;

static void keep(uint64_t id) {
  if (n_things < N_OBJECTS) things[n_things++].id = id;
}

static void make(villain *who, const char *op, const tt_value *args, size_t n_args) {
  uint64_t id = next_id++;
  put_call(who, op, args, n_args, &id, 1);
  keep(id);
}

/* Objects of every dtype and of shapes with zeros, ones, many dimensions, and views that stand for more than they take. */
static void furnish(villain *who) {
  static const int64_t shapes[][5] = {{0},
                                      {1, 0},
                                      {1, 1},
                                      {1, 4},
                                      {2, 2, 3},
                                      {2, 3, 3},
                                      {3, 1, 2, 3},
                                      {3, 2, 0, 3},
                                      {4, 1, 2, 4, 4},
                                      {4, 0, 1, 3, 3},
                                      {2, 4, 4},
                                      {2, 0, 1LL << 40},
                                      {2, 1LL << 40, 0},
                                      {3, 0, 1 << 20, 1 << 20},
                                      {4, 0, 2, 1 << 20, 1 << 20}};
  static const tt_dtype dtypes[] = {TT_DTYPE_F32, TT_DTYPE_I64, TT_DTYPE_F64, TT_DTYPE_U8, TT_DTYPE_BOOL, TT_DTYPE_I32};
  n_things = 0;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    for (size_t k = 0; k < (i < 5 ? 3 : 2); k++) {
      tt_dtype dtype = k == 0 ? TT_DTYPE_F32 : dtypes[(i + k) % 6];
      make(who, "full",
           (tt_value[]){tt_ints(shapes[i] + 1, (uint32_t)shapes[i][0]), k == 2 ? tt_int(PICK(ODD)) : tt_float(PICK(SMALL)),
                        tt_dtype_value(dtype)},
           3);
    }
  }
  int64_t four[] = {4}, wide[] = {4096, 1}, big[] = {4096, 64};
  make(who, "full", (tt_value[]){tt_ints(four, 1), tt_int(1LL << 40), tt_dtype_value(TT_DTYPE_I64)}, 3);
  make(who, "full", (tt_value[]){tt_ints(four, 1), tt_float(-1.7e308), tt_dtype_value(TT_DTYPE_F64)}, 3);
  make(who, "randn", (tt_value[]){tt_ints(four, 1)}, 1);
  make(who, "rand", (tt_value[]){tt_ints((int64_t[]){1, 3, 5, 5}, 4)}, 1);
  make(who, "ones", (tt_value[]){tt_ints(wide, 2)}, 1);
  tt_operand last = named(next_id - 1);
  make(who, "expand", (tt_value[]){tt_operand_value(&last), tt_ints(big, 2)}, 2);
  uint64_t poison = next_id++;
  put_call(who, "add", (tt_value[]){tt_int(1)}, 1, &poison, 1);
  keep(poison);
}

typedef struct drawn {
  tt_operand operands[TT_MAX_PARAMS * 4];
  tt_operand *lists[TT_MAX_PARAMS * 4];
  size_t n_operands;
  int64_t ints[TT_MAX_PARAMS][10];
} drawn;

static tt_operand *any_operand(drawn *from) {
  tt_operand *operand = &from->operands[from->n_operands++];
  *operand = named(below(50) == 0 ? 999999 : things[below((int64_t)n_things)].id);
  return operand;
}

static tt_value draw(const tt_op *op, size_t i, drawn *from) {
  const tt_param *param = &op->params[i];
  if ((param->is_optional || param->has_default) && below(3) == 0) return tt_none();
  if (below(60) == 0) return tt_bool(true);
  switch (param->type) {
  case TT_PARAM_TENSOR:
    return tt_operand_value(any_operand(from));
  case TT_PARAM_TENSORS: {
    size_t first = from->n_operands, n = (size_t)below(4);
    for (size_t k = 0; k < n; k++) from->lists[first + k] = any_operand(from);
    return tt_operands_value(from->lists + first, (uint32_t)n);
  }
  case TT_PARAM_TENSOR_OR_SCALAR:
    if (below(2) == 0) return tt_operand_value(any_operand(from));
    return below(2) == 0 ? tt_int(odd_int()) : tt_float(PICK(ODD_FLOATS));
  case TT_PARAM_SCALAR:
    return below(2) == 0 ? tt_int(odd_int()) : tt_float(PICK(ODD_FLOATS));
  case TT_PARAM_INT:
    return tt_int(odd_int());
  case TT_PARAM_INTS: {
    uint32_t n = (uint32_t)below(below(8) == 0 ? 10 : 5);
    for (uint32_t k = 0; k < n; k++) from->ints[i][k] = odd_int();
    return tt_ints(from->ints[i], n);
  }
  case TT_PARAM_FLOAT:
    return tt_float(PICK(ODD_FLOATS));
  case TT_PARAM_BOOL:
    return tt_bool(below(2) == 0);
  case TT_PARAM_DTYPE:
    return tt_dtype_value((tt_dtype)below(6));
  case TT_PARAM_STRING: {
    static const char *const texts[] = {"",           "mean",           "sum",       "none",
                                        "constant",   "reflect",        "replicate", "circular",
                                        "ij",         "tanh",           "L",         "complete",
                                        "ij,jk->ik",  "...a,...a->...", "ii->i",     "->",
                                        "a,b,c->abc", "floor",          "r",         "abcdefghijklmnop->",
                                        "batchmean",  "reduced",        "fro"};
    const char *text = PICK(texts);
    return tt_string(text, (uint32_t)strlen(text));
  }
  }
  return tt_none();
}

static const char *describe(const tt_op *op, const tt_value *args, char text[600]) {
  size_t used = (size_t)snprintf(text, 600, "%s(", op->name);
  for (size_t i = 0; i < op->n_params && used < 500; i++) {
    const tt_value *arg = &args[i];
    if (arg->type == TT_VALUE_INT) used += (size_t)snprintf(text + used, 600 - used, "%" PRId64 ", ", arg->as.integer);
    if (arg->type == TT_VALUE_FLOAT) used += (size_t)snprintf(text + used, 600 - used, "%g, ", arg->as.real);
    if (arg->type == TT_VALUE_BOOL) used += (size_t)snprintf(text + used, 600 - used, "%d, ", arg->as.boolean);
    if (arg->type == TT_VALUE_OPERAND)
      used += (size_t)snprintf(text + used, 600 - used, "#%" PRIu64 ", ", id_of(arg->as.operand));
    if (arg->type == TT_VALUE_NONE) used += (size_t)snprintf(text + used, 600 - used, "None, ");
    if (arg->type == TT_VALUE_STRING)
      used += (size_t)snprintf(text + used, 600 - used, "'%.*s', ", (int)arg->n, arg->as.string);
    if (arg->type != TT_VALUE_INTS && arg->type != TT_VALUE_OPERANDS) continue;
    used += (size_t)snprintf(text + used, 600 - used, "[");
    for (uint32_t k = 0; k < arg->n && used < 500; k++)
      used += (size_t)snprintf(text + used, 600 - used, "%" PRId64 " ",
                               arg->type == TT_VALUE_INTS ? arg->as.ints[k] : (int64_t)id_of(arg->as.operands[k]));
    used += (size_t)snprintf(text + used, 600 - used, "], ");
  }
  return text;
}

/* Every other object wants a gradient: the float ones get one, the others refuse. */
static void want_gradients(villain *who) {
  for (size_t i = 0; i < n_things; i += 2) {
    tt_operand thing = named(things[i].id);
    put_call(who, "requires_grad_", (tt_value[]){tt_operand_value(&thing)}, 1, NULL, 0);
    if (i % 4 != 0) continue; /* and some are computed */
    uint64_t id = next_id++;
    put_call(who, "mul", (tt_value[]){tt_operand_value(&thing), tt_int(1)}, 2, &id, 1);
    things[i].id = id;
  }
}

static void run_backward(villain *who, uint64_t result) {
  tt_operand made = named(result), sum = named(next_id++);
  uint64_t sum_id = id_of(&sum);
  put_call(who, "sum", (tt_value[]){tt_operand_value(&made)}, 1, &sum_id, 1);
  put_call(who, "backward_", (tt_value[]){tt_operand_value(&sum)}, 1, NULL, 0);
  put_free(who, sum_id);
}

static void run_every_op(bool with_gradients) {
  const char *seed = getenv("TT_HOSTILE_SEED"), *n_wanted = getenv("TT_HOSTILE_COMMANDS"), *only = getenv("TT_HOSTILE_OP");
  tt_generator_init(&dice, seed == NULL ? 20 : strtoull(seed, NULL, 10));
  int n_commands = n_wanted == NULL ? N_COMMANDS_PER_OP : atoi(n_wanted), n_faults = 0;
  for (unsigned number = 1; number <= TT_N_OPS; number++) {
    const tt_op *op = tt_op_get(number);
    if (only != NULL && strcmp(only, op->name) != 0) continue;
    tt_worker *worker = new_worker_with((tt_worker_options){.id = "worker", .max_store_bytes = STORE_BYTES}, NULL);
    wire *at = open_wire(worker, 0);
    villain mallory = meet(at, "mallory");
    furnish(&mallory);
    if (with_gradients) want_gradients(&mallory);
    forget_said(at);
    for (int i = 0; i < n_commands; i++) {
      drawn from = {.n_operands = 0};
      tt_value args[TT_MAX_PARAMS];
      for (size_t k = 0; k < op->n_params; k++) args[k] = draw(op, k, &from);
      size_t n_results = op->flags & TT_OP_INPLACE ? 0 : op->result_form == TT_RESULT_TUPLE ? op->n_result_names : 1;
      uint64_t results[TT_MAX_TUPLE];
      for (size_t k = 0; k < n_results; k++) results[k] = next_id++;
      clock_t begins = clock();
      put_call(&mallory, op->name, args, op->n_params, results, n_results);
      if (with_gradients)
        run_backward(&mallory, n_results > 0 ? results[0] : args[0].type == TT_VALUE_OPERAND ? id_of(args[0].as.operand) : 1);
      long ms = (long)((clock() - begins) * 1000 / CLOCKS_PER_SEC);
      char text[600];
      if (has_said(at, "\"code\":\"memory\"")) {
        print_message("takes more memory than there is room for: %s\n", describe(op, args, text));
        n_faults++;
      }
      if (ms > MAX_COMMAND_MS) {
        print_message("takes %ld ms: %s\n", ms, describe(op, args, text));
        n_faults++;
      }
      forget_said(at);
      for (size_t k = 0; k < n_results; k++) put_free(&mallory, results[k]);
      assert_true(tt_worker_n_bytes(worker) <= STORE_BYTES);
      forget_said(at);
    }
    free_wire(at);
    tt_worker_free(worker);
  }
  assert_int_equal(n_faults, 0);
}

static void every_op_with_odd_arguments(void **state) {
  (void)state;
  run_every_op(false);
}

static void backward_through_every_op_with_odd_arguments(void **state) {
  (void)state;
  run_every_op(true);
}

/* What the elements ask for is not known before they are looked at. */
static void counts_beyond_the_store(void **state) {
  (void)state;
  tt_worker *worker = new_worker_with((tt_worker_options){.id = "worker", .max_store_bytes = STORE_BYTES}, NULL);
  wire *at = open_wire(worker, 0);
  villain mallory = meet(at, "mallory");
  int64_t one[] = {1};
  const uint64_t counted = 11, result = 12;
  put_call(&mallory, "full", (tt_value[]){tt_ints(one, 1), tt_int(1LL << 40), tt_dtype_value(TT_DTYPE_I64)}, 3, &counted, 1);
  tt_operand source = named(counted);
  static const char *const ops[] = {"one_hot", "bincount"};
  for (size_t i = 0; i < 2; i++) {
    forget_said(at);
    put_call(&mallory, ops[i], (tt_value[]){tt_operand_value(&source)}, 1, &result, 1);
    assert_true(has_said(at, "\"full\""));
    put_free(&mallory, result);
  }
  free_wire(at);
  tt_worker_free(worker);
}

static void a_histogram_as_wide_as_the_numbers(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  const double ends[] = {-1.7e308, 1.7e308};
  tt_tensor *tensor = tt_tensor_from_bytes(TT_DTYPE_F64, &(tt_shape){.n_dims = 1, .dims = {2}}, ends, NULL);
  tt_node *x = tt_head_new(tt_local_new(tensor, NULL), NULL);
  tt_node *named_range = call(worker, "histc", (tt_value[]){of(x), tt_int(2), tt_float(ends[0]), tt_float(ends[1])}, 4);
  assert_printed(named_range, "tensor([1., 1.], dtype=torch.float64)");
  tt_node *own_range = call(worker, "histc", (tt_value[]){of(x), tt_int(2)}, 2);
  assert_printed(own_range, "tensor([1., 1.], dtype=torch.float64)");
  tt_node_unref(x);
  tt_node_unref(named_range);
  tt_node_unref(own_range);
  tt_worker_free(worker);
}

/* An empty list of operands belongs to whoever calls, also when the call is recorded. */
static void a_recorded_call_with_an_empty_list(void **state) {
  (void)state;
  tt_worker *worker = new_worker("worker", NULL);
  tt_node *x = floats(SOME, 4), *wanting = call(worker, "requires_grad_", (tt_value[]){of(x)}, 1);
  tt_operand *nothing[1] = {NULL};
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results = 0;
  const tt_value args[] = {of(x), tt_operands_value(nothing, 0)};
  tt_status status = tt_hook_call(tt_worker_hook(worker), op_number("index"), args, 2, NULL, 0, results, &n_results, NULL);
  for (size_t i = 0; status == TT_OK && i < n_results; i++) tt_node_unref(results[i]);
  tt_node_unref(wanting);
  tt_node_unref(x);
  tt_worker_free(worker);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_beyond_the_store),
      cmocka_unit_test(a_histogram_as_wide_as_the_numbers),
      cmocka_unit_test(a_recorded_call_with_an_empty_list),
      cmocka_unit_test(every_op_with_odd_arguments),
      cmocka_unit_test(backward_through_every_op_with_odd_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
