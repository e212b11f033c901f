/* kinds: parity S1 and S2: a kind in the chain overrides some ops and inherits the rest, whatever stands above and below it. */
#include "base/alloc.h"
#include "chain/kind.h"
#include "chain/log.h"
#include "chain/plus_is_minus.h"
#include "draw_args.h"
#include "worker_fixture.h"

static tt_hook hook;

static int start(void **state) {
  (void)state;
  tt_hook_init(&hook, "me");
  return 0;
}

static tt_status try_op(const char *op, const tt_value *args, size_t n_args, tt_node **results, size_t *n_results,
                        tt_error *error) {
  return tt_hook_call(&hook, op_number(op), args, n_args, NULL, 0, results, n_results, error);
}

static tt_node *run(const char *op, const tt_value *args, size_t n_args) {
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results;
  tt_error error;
  if (try_op(op, args, n_args, results, &n_results, &error) != TT_OK) fail_msg("%s", error.message);
  assert_int_equal(n_results, 1);
  return results[0];
}

static void assert_chain(const tt_node *node, const char *expected) {
  tt_buffer text;
  tt_buffer_init(&text);
  tt_chain_print(node, &text);
  assert_string_equal(tt_buffer_string(&text), expected);
  tt_buffer_release(&text);
}

static const float X[] = {1, 2, 3, 4, 5};

static tt_node *wrapped(const tt_kind *kind, tt_node *head) {
  tt_error error;
  if (tt_kind_wrap(kind, head, &error) != TT_OK) fail_msg("%s", error.message);
  return head;
}

static tt_node *minus(void) { return wrapped(&tt_kind_plus_is_minus, floats(X, 5)); }

/* ---- a kind ---- */

static void s2_one_op_is_overridden_and_the_rest_inherited(void **state) {
  (void)state;
  tt_node *x = minus(), *y = minus();
  tt_node *sum = run("add", (tt_value[]){of(x), of(y)}, 2);
  assert_chain(sum, "FloatTensor > _PlusIsMinusTensor > _LocalTensor");
  assert_printed(sum, "tensor([0., 0., 0., 0., 0.])");
  tt_node *difference = run("sub", (tt_value[]){of(x), tt_int(1)}, 2);
  assert_printed(difference, "tensor([2., 3., 4., 5., 6.])");
  tt_node *product = run("mul", (tt_value[]){of(x), of(y)}, 2);
  assert_chain(product, "FloatTensor > _PlusIsMinusTensor > _LocalTensor");
  assert_printed(product, "tensor([ 1.,  4.,  9., 16., 25.])");
  tt_node *flags = run("gt", (tt_value[]){of(x), tt_int(3)}, 2);
  assert_chain(flags, "BoolTensor > _PlusIsMinusTensor > _LocalTensor");
  tt_node_unref(x);
  tt_node_unref(y);
  tt_node_unref(sum);
  tt_node_unref(difference);
  tt_node_unref(product);
  tt_node_unref(flags);
}

static void keywords_pass(void **state) {
  (void)state;
  tt_node *x = minus();
  tt_node *y = run("add", (tt_value[]){of(x), of(x), tt_int(3)}, 3);
  assert_printed(y, "tensor([ -2.,  -4.,  -6.,  -8., -10.])");
  tt_node_unref(x);
  tt_node_unref(y);
}

static void an_operand_without_the_kind_is_lifted(void **state) {
  (void)state;
  tt_node *x = minus(), *plain = floats(X, 5);
  tt_node *a = run("add", (tt_value[]){of(x), of(plain)}, 2), *b = run("add", (tt_value[]){of(plain), of(x)}, 2);
  assert_printed(a, "tensor([0., 0., 0., 0., 0.])");
  assert_printed(b, "tensor([0., 0., 0., 0., 0.])");
  assert_chain(b, "FloatTensor > _PlusIsMinusTensor > _LocalTensor");
  assert_chain(plain, "FloatTensor > _LocalTensor");
  tt_node_unref(x);
  tt_node_unref(plain);
  tt_node_unref(a);
  tt_node_unref(b);
}

static void in_place_the_tensor_and_its_node_stay(void **state) {
  (void)state;
  tt_node *x = minus(), *kind = x->child;
  tt_node *same = run("add_", (tt_value[]){of(x), tt_int(1)}, 2);
  assert_ptr_equal(same, x);
  assert_ptr_equal(x->child, kind);
  assert_printed(x, "tensor([0., 1., 2., 3., 4.])");
  tt_node_unref(same);
  same = run("mul_", (tt_value[]){of(x), of(x)}, 2);
  assert_printed(x, "tensor([ 0.,  1.,  4.,  9., 16.])");
  assert_int_equal(kind->refs, 1);
  tt_node_unref(same);
  tt_node_unref(x);
}

static void the_target_of_an_op_in_place_is_lifted(void **state) {
  (void)state;
  tt_node *x = floats(X, 5), *y = minus();
  tt_node *same = run("add_", (tt_value[]){of(x), of(y)}, 2);
  assert_ptr_equal(same, x);
  assert_chain(x, "FloatTensor > _PlusIsMinusTensor > _LocalTensor");
  assert_printed(x, "tensor([0., 0., 0., 0., 0.])");
  tt_node_unref(same);
  tt_node_unref(x);
  tt_node_unref(y);
}

static void lists_and_several_results_pass(void **state) {
  (void)state;
  tt_node *x = minus(), *plain = floats(X, 1);
  tt_operand *list[] = {&x->operand, &plain->operand};
  tt_node *joined = run("cat", (tt_value[]){tt_operands_value(list, 2)}, 1);
  assert_chain(joined, "FloatTensor > _PlusIsMinusTensor > _LocalTensor");
  assert_printed(joined, "tensor([1., 2., 3., 4., 5., 1.])");
  tt_node *parts[TT_MAX_RESULTS];
  size_t n_parts;
  assert_int_equal(try_op("split", (tt_value[]){of(joined), tt_int(4)}, 2, parts, &n_parts, NULL), TT_OK);
  assert_int_equal(n_parts, 2);
  for (size_t i = 0; i < n_parts; i++) {
    assert_chain(parts[i], "FloatTensor > _PlusIsMinusTensor > _LocalTensor");
    tt_node_unref(parts[i]);
  }
  tt_node_unref(x);
  tt_node_unref(plain);
  tt_node_unref(joined);
}

static void failures_change_nothing(void **state) {
  (void)state;
  tt_node *x = minus(), *other = floats(X, 4), *results[TT_MAX_RESULTS] = {NULL};
  size_t n_results = 17;
  tt_error error;
  assert_int_equal(try_op("add", (tt_value[]){of(x), of(other)}, 2, results, &n_results, &error), TT_ERR_SHAPE);
  assert_int_equal(try_op("add_", (tt_value[]){of(other), of(x)}, 2, results, &n_results, &error), TT_ERR_SHAPE);
  assert_chain(other, "FloatTensor > _LocalTensor");
  assert_null(results[0]);
  assert_int_equal(n_results, 17);
  assert_int_equal(x->refs, 1);
  assert_int_equal(x->child->refs, 1);
  tt_node_unref(x);
  tt_node_unref(other);
}

/* ---- the log ---- */

static void assert_recorded(tt_node *head, const char *const *commands, size_t n_commands) {
  const tt_node *log = tt_kind_find_node(&tt_kind_log, head);
  assert_non_null(log);
  assert_int_equal(tt_log_n_commands(log), n_commands);
  for (size_t i = 0; i < n_commands; i++) assert_string_equal(tt_log_command(log, i), commands[i]);
  assert_null(tt_log_command(log, n_commands));
}

static void s1_a_log_records_the_commands_that_pass(void **state) {
  (void)state;
  tt_node *x = wrapped(&tt_kind_log, floats(X, 5));
  tt_node *y = run("add", (tt_value[]){of(x), of(x), tt_float(0.5)}, 3);
  tt_node *z = run("sum", (tt_value[]){of(y), tt_int(0)}, 2);
  tt_operand *list[] = {&x->operand, &y->operand};
  tt_node *joined = run("cat", (tt_value[]){tt_operands_value(list, 2)}, 1);
  tt_node *viewed = run("reshape", (tt_value[]){of(joined), tt_ints((int64_t[]){2, 5}, 2)}, 2);
  tt_node *cast = run("to", (tt_value[]){of(viewed), tt_dtype_value(TT_DTYPE_I64)}, 2);
  static const char *const passed[] = {
      "add(FloatTensor [5], FloatTensor [5], alpha=0.5)",
      "sum(FloatTensor [5], [0], False, dtype=None)",
      "cat([FloatTensor [5], FloatTensor [5]], 0)",
      "reshape(FloatTensor [10], [2, 5])",
      "to(FloatTensor [2, 5], int64)",
  };
  assert_recorded(x, passed, 5);
  assert_recorded(cast, passed, 5); /* what came of x has the same record */
  assert_chain(y, "FloatTensor > _LogTensor(5 commands) > _LocalTensor");
  assert_printed(y, "tensor([1.5000, 3.0000, 4.5000, 6.0000, 7.5000])");
  tt_node_unref(x);
  assert_recorded(z, passed, 5);
  tt_node_unref(y);
  tt_node_unref(z);
  tt_node_unref(joined);
  tt_node_unref(viewed);
  tt_node_unref(cast);
}

static void a_call_is_in_the_records_of_all_its_operands_once(void **state) {
  (void)state;
  tt_node *x = wrapped(&tt_kind_log, floats(X, 5)), *y = wrapped(&tt_kind_log, floats(X, 5));
  tt_node_unref(run("neg", (tt_value[]){of(y)}, 1));
  tt_node *z = run("mul", (tt_value[]){of(x), of(y)}, 2);
  static const char *const of_x[] = {"mul(FloatTensor [5], FloatTensor [5])"};
  static const char *const of_y[] = {"neg(FloatTensor [5])", "mul(FloatTensor [5], FloatTensor [5])"};
  assert_recorded(x, of_x, 1);
  assert_recorded(y, of_y, 2);
  assert_recorded(z, of_x, 1);
  tt_node_unref(x);
  tt_node_unref(y);
  tt_node_unref(z);
}

static void a_full_record_keeps_the_latest(void **state) {
  (void)state;
  tt_node *x = wrapped(&tt_kind_log, floats(X, 1));
  for (int i = 0; i < TT_LOG_MAX_COMMANDS + 2; i++) tt_node_unref(run("add_", (tt_value[]){of(x), tt_int(i)}, 2));
  const tt_node *log = tt_kind_find_node(&tt_kind_log, x);
  assert_int_equal(tt_log_n_commands(log), TT_LOG_MAX_COMMANDS + 2);
  assert_null(tt_log_command(log, 1));
  assert_string_equal(tt_log_command(log, 2), "add_(FloatTensor [1], 2, alpha=1)");
  assert_string_equal(tt_log_command(log, TT_LOG_MAX_COMMANDS + 1), "add_(FloatTensor [1], 257, alpha=1)");
  tt_node_unref(x);
}

/* ---- every row ---- */

/* Drawn arguments as heads that have a log in their chains. */
typedef struct logged_args {
  tt_value args[TT_MAX_PARAMS];
  tt_node *heads[DRAW_MAX_OPERANDS];
  tt_operand *lists[TT_MAX_PARAMS][DRAW_MAX_LIST];
} logged_args;

static tt_operand *head_of(const drawn_args *drawn, const logged_args *logged, const tt_operand *operand) {
  for (size_t i = 0; i < drawn->n_operands; i++) {
    if (&drawn->operands[i]->operand == operand) return &logged->heads[i]->operand;
  }
  fail_msg("an argument that is no operand");
  return NULL;
}

static void log_args(const drawn_args *drawn, logged_args *logged) {
  memcpy(logged->args, drawn->args, sizeof logged->args);
  for (size_t i = 0; i < drawn->n_operands; i++)
    logged->heads[i] = wrapped(&tt_kind_log, tt_head_new(tt_local_new(tt_tensor_ref(drawn->operands[i]), NULL), NULL));
  for (size_t i = 0; i < drawn->op->n_params; i++) {
    tt_value *value = &logged->args[i];
    if (value->type == TT_VALUE_OPERAND) value->as.operand = head_of(drawn, logged, value->as.operand);
    if (value->type != TT_VALUE_OPERANDS) continue;
    for (uint32_t k = 0; k < value->n; k++) logged->lists[i][k] = head_of(drawn, logged, value->as.operands[k]);
    value->as.operands = logged->lists[i];
  }
}

static void assert_same_tensor(const char *op, const tt_tensor *expected, const tt_tensor *found) {
  char shapes[2][TT_SHAPE_TEXT_BYTES];
  tt_shape_text(&expected->operand.meta.shape, shapes[0]);
  tt_shape_text(&found->operand.meta.shape, shapes[1]);
  if (strcmp(shapes[0], shapes[1]) != 0 || tt_tensor_dtype(expected) != tt_tensor_dtype(found))
    fail_msg("%s: %s with a kind, %s without", op, shapes[1], shapes[0]);
  tt_tensor *a = tt_tensor_contiguous((tt_tensor *)(uintptr_t)expected, NULL);
  tt_tensor *b = tt_tensor_contiguous((tt_tensor *)(uintptr_t)found, NULL);
  size_t n_bytes = (size_t)tt_tensor_n_elements(a) * tt_dtype_bytes(tt_tensor_dtype(a));
  if (memcmp(tt_tensor_data(a), tt_tensor_data(b), n_bytes) != 0) fail_msg("%s: other elements with a kind", op);
  tt_tensor_unref(a);
  tt_tensor_unref(b);
}

/* What is drawn has floats: rows that take none get whole numbers in their place. */
static void draw_for_row(drawn_args *drawn, const tt_op *op, uint64_t seed, bool as_ints) {
  draw_args(drawn, op, seed, true);
  for (size_t i = 0; as_ints && i < drawn->n_operands; i++) {
    tt_tensor *before = drawn->operands[i];
    drawn->operands[i] = tt_tensor_cast(before, TT_DTYPE_I64, NULL);
    assert_non_null(drawn->operands[i]);
    for (size_t k = 0; k < op->n_params; k++) {
      tt_value *value = &drawn->args[k];
      if (value->type == TT_VALUE_OPERAND && value->as.operand == &before->operand)
        value->as.operand = &drawn->operands[i]->operand;
    }
    for (size_t k = 0; k < DRAW_MAX_LIST; k++) {
      if (drawn->lists[k] == &before->operand) drawn->lists[k] = &drawn->operands[i]->operand;
    }
    tt_tensor_unref(before);
  }
}

/* False when the op refuses what was drawn. */
static bool is_inherited(const tt_op *op, uint64_t seed, bool as_ints) {
  drawn_args plain, same;
  draw_for_row(&plain, op, seed, as_ints);
  draw_for_row(&same, op, seed, as_ints);
  tt_generator generator;
  tt_generator_init(&generator, seed);
  tt_tensor *expected[TT_MAX_RESULTS];
  size_t n_expected = 0;
  tt_status status = tt_op_eval(op->number, &generator, plain.args, op->n_params, expected, &n_expected, NULL);
  if (status == TT_OK && plain.n_operands > 0) {
    logged_args logged;
    log_args(&same, &logged);
    tt_hook_seed(&hook, seed);
    tt_node *results[TT_MAX_RESULTS];
    size_t n_results;
    tt_error error;
    if (tt_hook_call(&hook, op->number, logged.args, op->n_params, NULL, 0, results, &n_results, &error) != TT_OK)
      fail_msg("%s with a kind: %s", op->name, error.message);
    assert_int_equal(n_results, n_expected);
    for (size_t i = 0; i < n_results; i++) {
      const tt_node *log = tt_kind_find_node(&tt_kind_log, results[i]);
      if (log == NULL) fail_msg("%s: result %zu has lost its kind", op->name, i);
      assert_int_equal(tt_log_n_commands(log), 1);
      assert_same_tensor(op->name, expected[i], tt_local_tensor(tt_node_tail(results[i])));
      tt_node_unref(results[i]);
    }
    for (size_t i = 0; i < same.n_operands; i++) tt_node_unref(logged.heads[i]);
  }
  for (size_t i = 0; i < n_expected; i++) tt_tensor_unref(expected[i]);
  draw_release(&plain);
  draw_release(&same);
  return status == TT_OK;
}

static void s2_every_op_is_inherited_and_answers_the_same(void **state) {
  (void)state;
  for (unsigned number = 1; number <= TT_N_OPS; number++) {
    const tt_op *op = tt_op_get(number);
    if (op->flags & TT_OP_GRAPH) continue; /* what they do is no kernel's: test_autograd.c */
    int n_done = 0;
    for (uint64_t seed = 1; seed < 400 && n_done < 8; seed++) n_done += is_inherited(op, seed, false);
    for (uint64_t seed = 1; seed < 400 && n_done == 0; seed++) n_done += is_inherited(op, seed, true);
    if (n_done == 0) fail_msg("%s took none of what was drawn", op->name);
  }
}

/* ---- chains of several kinds ---- */

static void s1_kinds_stand_in_the_order_of_their_ranks(void **state) {
  (void)state;
  tt_node *x = wrapped(&tt_kind_plus_is_minus, wrapped(&tt_kind_log, floats(X, 5)));
  assert_chain(x, "FloatTensor > _LogTensor(0 commands) > _PlusIsMinusTensor > _LocalTensor");
  tt_node *y = run("add", (tt_value[]){of(x), tt_int(1)}, 2);
  assert_chain(y, "FloatTensor > _LogTensor(1 command) > _PlusIsMinusTensor > _LocalTensor");
  assert_printed(y, "tensor([0., 1., 2., 3., 4.])");
  static const char *const passed[] = {"add(FloatTensor [5], 1, alpha=1)"};
  assert_recorded(y, passed, 1); /* what was asked, before it became something else */
  tt_node_unref(x);
  tt_node_unref(y);
}

static void operands_of_two_kinds_meet_in_both(void **state) {
  (void)state;
  tt_node *x = wrapped(&tt_kind_log, floats(X, 5)), *y = minus();
  tt_node *z = run("add", (tt_value[]){of(x), of(y)}, 2);
  assert_chain(z, "FloatTensor > _LogTensor(1 command) > _PlusIsMinusTensor > _LocalTensor");
  assert_printed(z, "tensor([0., 0., 0., 0., 0.])");
  tt_node *same = run("add_", (tt_value[]){of(x), of(y)}, 2);
  assert_chain(x, "FloatTensor > _LogTensor(2 commands) > _PlusIsMinusTensor > _LocalTensor");
  tt_node_unref(same);
  tt_node_unref(x);
  tt_node_unref(y);
  tt_node_unref(z);
}

static void kinds_are_taken_out_again(void **state) {
  (void)state;
  tt_error error;
  tt_node *x = wrapped(&tt_kind_log, minus());
  assert_int_equal(tt_kind_wrap(&tt_kind_plus_is_minus, x, &error), TT_ERR_DUPLICATE);
  assert_says(error.message, "has a _PlusIsMinusTensor already");
  assert_int_equal(tt_kind_unwrap(&tt_kind_plus_is_minus, x, &error), TT_OK);
  assert_chain(x, "FloatTensor > _LogTensor(0 commands) > _LocalTensor");
  assert_int_equal(tt_kind_unwrap(&tt_kind_plus_is_minus, x, &error), TT_ERR_STATE);
  assert_says(error.message, "there is no _PlusIsMinusTensor in this tensor's chain");
  assert_int_equal(tt_kind_unwrap(NULL, x, &error), TT_OK);
  assert_chain(x, "FloatTensor > _LocalTensor");
  assert_int_equal(tt_kind_unwrap(NULL, x, &error), TT_ERR_STATE);
  tt_head_set_busy(x, "is on its way here from bob");
  assert_int_equal(tt_kind_wrap(&tt_kind_log, x, &error), TT_ERR_STATE);
  assert_says(error.message, "is on its way here from bob");
  tt_node_unref(x);
}

/* A kind below may answer an in-place op with another node than it was given, as autograd's does. */
static tt_status replace_node(tt_hook *used, const tt_kind *kind, tt_call *call, tt_error *error) {
  (void)kind;
  tt_kind_call below;
  tt_status status = tt_kind_begin(kind, call, &below, error);
  if (status == TT_OK) status = tt_hook_pass_down(used, &below.inner, error);
  status = tt_kind_end(kind, call, &below, status, error);
  if (status != TT_OK || !(call->op->flags & TT_OP_INPLACE)) return status;
  tt_node *replaced = tt_kind_node_new(kind, tt_node_ref(call->results[0]->child), NULL, error);
  tt_node_unref(call->results[0]);
  call->results[0] = replaced;
  return replaced == NULL ? TT_ERR_MEMORY : TT_OK;
}

static const tt_kind kind_replacing = {.name = "_ReplacingTensor", .rank = 50, .handle_call = replace_node};

static void a_node_below_may_be_replaced(void **state) {
  (void)state;
  tt_node *x = minus();
  tt_node *below = tt_kind_node_new(&kind_replacing, tt_node_ref(x->child->child), NULL, NULL);
  tt_node *kind = x->child, *local = kind->child;
  kind->child = below;
  tt_node_unref(local);
  tt_node_ref(below);
  tt_node *same = run("add_", (tt_value[]){of(x), tt_int(1)}, 2);
  assert_ptr_equal(x->child, kind);
  assert_ptr_not_equal(kind->child, below);
  assert_int_equal(below->refs, 1);
  assert_chain(x, "FloatTensor > _PlusIsMinusTensor > _ReplacingTensor > _LocalTensor");
  assert_printed(x, "tensor([0., 1., 2., 3., 4.])");
  tt_node_unref(below);
  tt_node_unref(same);
  tt_node_unref(x);
}

/* ---- over pointers ---- */

static void s1_a_kind_over_a_pointer_changes_what_is_commanded(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = floats(X, 5);
  send_to(me, x, "bob");
  wrapped(&tt_kind_plus_is_minus, x);
  tt_node *y = add(me, x, x);
  tt_node *tail = tt_node_tail(y);
  assert_true(tt_node_is_pointer(tail));
  assert_ptr_equal(y->child->kind, &tt_kind_plus_is_minus);
  assert_int_equal(tt_kind_unwrap(NULL, y, NULL), TT_OK);
  get(me, y);
  assert_printed(y, "tensor([0., 0., 0., 0., 0.])");
  tt_node_unref(x);
  tt_node_unref(y);
  tt_worker_free(me);
  tt_worker_free(bob);
}

static void an_object_with_a_kind_answers_the_commands_of_others_with_it(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *data = minus();
  uint64_t id;
  assert_int_equal(tt_worker_set_object(bob, data, 0, TT_POLICY_OPEN, NULL, &id, NULL), TT_OK);
  tt_node *x = tt_worker_create_pointer(me, known(me, "bob"), id, tt_node_meta(data), NULL);
  tt_node *sum = add(me, x, x), *view = call(me, "view", (tt_value[]){of(x), tt_ints((int64_t[]){5, 1}, 2)}, 2);
  tt_worker_flush(me);
  tt_virtual_poll();
  tt_node *view_there = tt_worker_get_object(bob, tt_pointer_id(view->child), NULL);
  assert_non_null(view_there);
  assert_chain(view_there, "FloatTensor > _PlusIsMinusTensor > _LocalTensor");
  /* What is made of somebody else's object shares no memory with it, nor a link of its chain. */
  assert_ptr_not_equal(tt_local_tensor(tt_node_tail(view_there))->storage, tt_local_tensor(tt_node_tail(data))->storage);
  assert_ptr_not_equal(view_there->child, data->child);
  assert_printed(data, "tensor([1., 2., 3., 4., 5.])");
  get(me, sum);
  assert_printed(sum, "tensor([0., 0., 0., 0., 0.])");
  tt_node_unref(data);
  tt_node_unref(x);
  tt_node_unref(sum);
  tt_node_unref(view);
  tt_worker_free(me);
  tt_worker_free(bob);
}

static tt_node *object_at(tt_worker *worker, tt_node *pointer_head) {
  tt_node *object = tt_worker_get_object(worker, tt_pointer_id(tt_node_tail(pointer_head)), NULL);
  assert_non_null(object);
  return object;
}

static void s16_a_chain_travels_and_comes_back(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = wrapped(&tt_kind_log, minus());
  send_to(me, x, "bob");
  assert_true(tt_node_is_pointer(x->child));
  tt_node *y = add(me, x, x);
  tt_worker_flush(me);
  tt_virtual_poll();
  assert_chain(object_at(bob, x), "FloatTensor > _LogTensor(1 command) > _PlusIsMinusTensor > _LocalTensor");
  assert_chain(object_at(bob, y), "FloatTensor > _LogTensor(1 command) > _PlusIsMinusTensor > _LocalTensor");
  get(me, y);
  assert_chain(y, "FloatTensor > _LogTensor(0 commands) > _PlusIsMinusTensor > _LocalTensor");
  assert_printed(y, "tensor([0., 0., 0., 0., 0.])");
  get(me, x);
  assert_chain(x, "FloatTensor > _LogTensor(0 commands) > _PlusIsMinusTensor > _LocalTensor");
  assert_int_equal(tt_worker_n_objects(bob), 0);
  tt_node_unref(x);
  tt_node_unref(y);
  tt_worker_free(me);
  tt_worker_free(bob);
}

static void a_chain_that_could_not_be_sent_is_what_it_was(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = minus(), *taken = floats(X, 1);
  assert_int_equal(tt_worker_set_object(bob, taken, 17, TT_POLICY_OPEN, NULL, NULL, NULL), TT_OK);
  reply got = {0};
  assert_int_equal(tt_worker_send(me, x, known(me, "bob"), 17, NULL, take_reply, &got, NULL, NULL), TT_OK);
  /* In the meantime it is given another kind, which stays. */
  wrapped(&tt_kind_log, x);
  tt_worker_flush(me);
  tt_virtual_poll();
  assert_int_equal(got.status, TT_ERR_DUPLICATE);
  assert_chain(x, "FloatTensor > _LogTensor(0 commands) > _PlusIsMinusTensor > _LocalTensor");
  assert_printed(x, "tensor([1., 2., 3., 4., 5.])");
  tt_node_unref(x);
  tt_node_unref(taken);
  tt_worker_free(me);
  tt_worker_free(bob);
}

static void kinds_over_a_pointer_stay_with_whoever_holds_it(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL), *alice = new_worker("alice", NULL);
  connect_workers(me, bob);
  connect_workers(me, alice);
  connect_workers(bob, alice);
  tt_node *x = floats(X, 5);
  send_to(me, x, "bob");
  wrapped(&tt_kind_log, wrapped(&tt_kind_plus_is_minus, x));
  send_to(me, x, "alice");
  tt_worker_flush(me);
  tt_virtual_poll();
  assert_ptr_equal(x->child->kind, &tt_kind_log);
  assert_ptr_equal(x->child->child->kind, &tt_kind_plus_is_minus);
  assert_string_equal(tt_pointer_location(tt_node_tail(x))->id, "alice");
  assert_int_equal(tt_worker_n_objects(alice), 1);
  tt_node *y = add(me, x, x);
  get(me, x); /* from alice: a pointer to bob */
  assert_string_equal(tt_pointer_location(tt_node_tail(x))->id, "bob");
  get(me, x);
  assert_chain(x, "FloatTensor > _LogTensor(1 command) > _PlusIsMinusTensor > _LocalTensor");
  assert_printed(x, "tensor([1., 2., 3., 4., 5.])");
  tt_node_unref(y);
  tt_node_unref(x);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_worker_free(alice);
}

static void kinds_that_come_stand_below_those_that_are_here(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = minus();
  send_to(me, x, "bob");
  wrapped(&tt_kind_plus_is_minus, x);
  reply got = get(me, x);
  assert_int_equal(got.status, TT_ERR_STATE);
  assert_says(got.error.error.message, "has a _PlusIsMinusTensor, which cannot stand below the _PlusIsMinusTensor");
  assert_true(tt_node_is_pointer(tt_node_tail(x)));
  assert_int_equal(tt_worker_n_objects(bob), 1); /* nothing is lost */
  assert_int_equal(tt_kind_unwrap(NULL, x, NULL), TT_OK);
  wrapped(&tt_kind_log, x);
  assert_int_equal(get(me, x).status, TT_OK);
  assert_chain(x, "FloatTensor > _LogTensor(0 commands) > _PlusIsMinusTensor > _LocalTensor");
  assert_int_equal(tt_worker_n_objects(bob), 0);
  tt_node_unref(x);
  tt_worker_free(me);
  tt_worker_free(bob);
}

static void a_pointer_with_kinds_is_taken_with_them(void **state) {
  (void)state;
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL), *alice = new_worker("alice", NULL);
  connect_workers(me, bob);
  connect_workers(me, alice);
  connect_workers(bob, alice);
  tt_node *x = floats(X, 5);
  send_to(me, x, "bob");
  send_to(me, x, "alice"); /* alice has a pointer to bob, for me */
  tt_worker_flush(me);
  tt_virtual_poll();
  wrapped(&tt_kind_plus_is_minus, object_at(alice, x));
  assert_int_equal(get(me, x).status, TT_OK);
  assert_ptr_equal(x->child->kind, &tt_kind_plus_is_minus);
  assert_string_equal(tt_pointer_location(tt_node_tail(x))->id, "bob");
  assert_true(tt_pointer_owns(tt_node_tail(x)));
  assert_int_equal(tt_worker_n_objects(alice), 0);
  assert_int_equal(get(me, x).status, TT_OK);
  assert_chain(x, "FloatTensor > _PlusIsMinusTensor > _LocalTensor");
  assert_int_equal(tt_worker_n_objects(bob), 0);
  tt_node_unref(x);
  tt_worker_free(me);
  tt_worker_free(bob);
  tt_worker_free(alice);
}

static void chains_by_name_are_looked_at(void **state) {
  (void)state;
  static const char *const good[] = {"_LogTensor", "_PlusIsMinusTensor"}, *const wrong[] = {"_PlusIsMinusTensor", "_LogTensor"};
  static const char *const twice[] = {"_LogTensor", "_LogTensor"}, *const unknown[] = {"_LogTensor", "_NoTensor"};
  tt_error error;
  assert_int_equal(tt_kind_check_names(good, 2, &error), TT_OK);
  assert_int_equal(tt_kind_check_names(NULL, 0, &error), TT_OK);
  assert_int_equal(tt_kind_check_names(wrong, 2, &error), TT_ERR_ARGUMENT);
  assert_says(error.message, "a chain in which _PlusIsMinusTensor stands above _LogTensor");
  assert_int_equal(tt_kind_check_names(twice, 2, &error), TT_ERR_ARGUMENT);
  assert_int_equal(tt_kind_check_names(unknown, 2, &error), TT_ERR_ARGUMENT);
  assert_says(error.message, "there is no kind '_NoTensor' here");
  for (long n = 0; n < 3; n++) {
    tt_node *x = floats(X, 1), *below = tt_node_ref(x->child);
    tt_alloc_fail_after(n);
    assert_null(tt_kind_build(good, 2, below, &error));
    tt_alloc_fail_after(-1);
    assert_int_equal(error.status, TT_ERR_MEMORY);
    assert_int_equal(x->child->refs, 1);
    tt_node_unref(x);
  }
}

/* ---- the registry ---- */

static void kinds_are_known_by_name(void **state) {
  (void)state;
  static const tt_kind low = {.name = "_LowTensor", .rank = 299}, high = {.name = "_HighTensor", .rank = 1000};
  static const tt_kind odd = {.name = "a name", .rank = 500}, nameless = {.name = "", .rank = 500};
  static const tt_kind same_name = {.name = "_LogTensor", .rank = 500}, same_rank = {.name = "_OtherTensor", .rank = 900};
  static const tt_kind good = {.name = "_GoodTensor", .rank = 500};
  tt_error error;
  assert_ptr_equal(tt_kind_find("_PlusIsMinusTensor", NULL), &tt_kind_plus_is_minus);
  assert_ptr_equal(tt_kind_find("_LogTensor", NULL), &tt_kind_log);
  assert_null(tt_kind_find("_GoodTensor", &error));
  assert_says(error.message, "there is no kind '_GoodTensor' here; known are _PlusIsMinusTensor, _LogTensor");
  assert_int_equal(tt_kind_register(&low, &error), TT_ERR_ARGUMENT);
  assert_says(error.message, "from 300 to 999, not 299");
  assert_int_equal(tt_kind_register(&high, &error), TT_ERR_ARGUMENT);
  assert_int_equal(tt_kind_register(&odd, &error), TT_ERR_ARGUMENT);
  assert_int_equal(tt_kind_register(&nameless, &error), TT_ERR_ARGUMENT);
  assert_int_equal(tt_kind_register(&same_name, &error), TT_ERR_DUPLICATE);
  assert_int_equal(tt_kind_register(&same_rank, &error), TT_ERR_DUPLICATE);
  assert_says(error.message, "the rank 900 is that of _LogTensor");
  assert_null(tt_kind_at(2));
  assert_int_equal(tt_kind_register(&good, &error), TT_OK);
  assert_int_equal(tt_kind_register(&good, &error), TT_OK);
  assert_ptr_equal(tt_kind_at(2), &good);
  assert_ptr_equal(tt_kind_find("_GoodTensor", NULL), &good);
  assert_null(tt_kind_at(3));
}

/* ---- memory ---- */

static tt_node *logged_minus(void) { return wrapped(&tt_kind_log, minus()); }

static void lost_memory_leaves_nothing_behind(void **state) {
  (void)state;
  tt_node *x = logged_minus(), *plain = floats(X, 5), *results[TT_MAX_RESULTS];
  tt_operand *list[] = {&x->operand, &plain->operand};
  const struct {
    const char *op;
    tt_value args[2];
    size_t n_args;
  } calls[] = {{"add", {of(x), of(plain)}, 2},
               {"add_", {of(plain), of(x)}, 2},
               {"split", {of(x), tt_int(2)}, 2},
               {"cat", {tt_operands_value(list, 2)}, 1}};
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
    tt_status status = TT_ERR_MEMORY;
    for (long n = 0; status != TT_OK; n++) {
      assert_true(n < 100);
      size_t n_results = 0;
      tt_error error;
      tt_alloc_fail_after(n);
      status = try_op(calls[i].op, calls[i].args, calls[i].n_args, results, &n_results, &error);
      tt_alloc_fail_after(-1);
      if (status != TT_OK) {
        assert_int_equal(status, TT_ERR_MEMORY);
        assert_int_equal(n_results, 0);
        if (i < 2) assert_chain(plain, "FloatTensor > _LocalTensor");
      }
      for (size_t k = 0; k < n_results; k++) tt_node_unref(results[k]);
    }
  }
  tt_node_unref(x);
  tt_node_unref(plain);
}

static const char WHOLE_CHAIN[] = "FloatTensor > _LogTensor(0 commands) > _PlusIsMinusTensor > _LocalTensor";

/* Sends a chain and gets it back, and lets the n-th allocation of one of the two fail; false when that one had no n-th. */
static bool survives(long n, bool fails_in_send) {
  tt_worker *me = new_worker("me", NULL), *bob = new_worker("bob", NULL);
  connect_workers(me, bob);
  tt_node *x = logged_minus();
  reply sent = {.status = TT_ERR_MEMORY}, got = {.status = TT_ERR_MEMORY};
  tt_error error;
  if (fails_in_send) tt_alloc_fail_after(n);
  bool is_asked = tt_worker_send(me, x, known(me, "bob"), 0, NULL, take_reply, &sent, NULL, &error) == TT_OK;
  tt_worker_flush(me);
  tt_virtual_poll();
  tt_alloc_fail_after(-1);
  tt_virtual_poll();
  if (!is_asked || sent.status != TT_OK) {
    assert_chain(x, WHOLE_CHAIN);
  } else {
    assert_chain(object_at(bob, x), WHOLE_CHAIN);
    if (!fails_in_send) tt_alloc_fail_after(n);
    is_asked = tt_worker_get(me, x, take_reply, &got, NULL, &error) == TT_OK;
    tt_worker_flush(me);
    tt_virtual_poll();
    tt_alloc_fail_after(-1);
    tt_virtual_poll();
    if (is_asked && got.status == TT_OK)
      assert_chain(x, WHOLE_CHAIN);
    else
      assert_true(tt_node_is_pointer(x->child));
  }
  tt_tensor_unref(got.tensor);
  tt_node_unref(x);
  tt_worker_free(me);
  tt_worker_free(bob);
  return sent.status != TT_OK || got.status != TT_OK;
}

static void lost_memory_leaves_a_chain_whole_on_its_way(void **state) {
  (void)state;
  for (int part = 0; part < 2; part++) {
    long n_failed = 0;
    for (long n = 0; n < 80; n++) n_failed += survives(n, part == 0);
    assert_in_range(n_failed, 5, 79); /* some allocations did fail, and behind the last all goes well */
  }
}

static void a_chain_stays_when_there_is_no_memory_for_another_kind(void **state) {
  (void)state;
  for (long n = 0; n < 2; n++) {
    tt_error error;
    tt_node *x = floats(X, 5);
    tt_alloc_fail_after(n);
    assert_int_equal(tt_kind_wrap(&tt_kind_log, x, &error), TT_ERR_MEMORY);
    tt_alloc_fail_after(-1);
    assert_chain(x, "FloatTensor > _LocalTensor");
    tt_node_unref(x);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(s2_one_op_is_overridden_and_the_rest_inherited),
      cmocka_unit_test(keywords_pass),
      cmocka_unit_test(an_operand_without_the_kind_is_lifted),
      cmocka_unit_test(in_place_the_tensor_and_its_node_stay),
      cmocka_unit_test(the_target_of_an_op_in_place_is_lifted),
      cmocka_unit_test(lists_and_several_results_pass),
      cmocka_unit_test(failures_change_nothing),
      cmocka_unit_test(s1_a_log_records_the_commands_that_pass),
      cmocka_unit_test(a_call_is_in_the_records_of_all_its_operands_once),
      cmocka_unit_test(a_full_record_keeps_the_latest),
      cmocka_unit_test(s2_every_op_is_inherited_and_answers_the_same),
      cmocka_unit_test(s1_kinds_stand_in_the_order_of_their_ranks),
      cmocka_unit_test(operands_of_two_kinds_meet_in_both),
      cmocka_unit_test(kinds_are_taken_out_again),
      cmocka_unit_test(a_node_below_may_be_replaced),
      cmocka_unit_test(s1_a_kind_over_a_pointer_changes_what_is_commanded),
      cmocka_unit_test(an_object_with_a_kind_answers_the_commands_of_others_with_it),
      cmocka_unit_test(s16_a_chain_travels_and_comes_back),
      cmocka_unit_test(a_chain_that_could_not_be_sent_is_what_it_was),
      cmocka_unit_test(kinds_over_a_pointer_stay_with_whoever_holds_it),
      cmocka_unit_test(kinds_that_come_stand_below_those_that_are_here),
      cmocka_unit_test(a_pointer_with_kinds_is_taken_with_them),
      cmocka_unit_test(chains_by_name_are_looked_at),
      cmocka_unit_test(kinds_are_known_by_name),
      cmocka_unit_test(lost_memory_leaves_nothing_behind),
      cmocka_unit_test(lost_memory_leaves_a_chain_whole_on_its_way),
      cmocka_unit_test(a_chain_stays_when_there_is_no_memory_for_another_kind),
  };
  return cmocka_run_group_tests(tests, start, NULL);
}
