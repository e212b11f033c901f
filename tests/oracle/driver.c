/*
 * driver: runs ops for compare.py, one JSON request a line on standard input, one JSON answer a line on standard output.
 *
 *   {"op":"add","storages":[BASE64,...],"args":[ARG,...],"seed":"7"}
 *   ARG: null | {"bool":true} | {"int":"-3"} | {"float":"0x1.8p+1"} | {"ints":["2","3"]} | {"dtype":"float32"} | {"string":"mean"}
 *        | {"tensor":TENSOR} | {"tensors":[TENSOR,...]}   TENSOR: {"storage":0,"dtype":"float32","shape":[2],"strides":[1],"offset":0}
 *
 *   {"results":[{"dtype":...,"shape":[...],"data":BASE64,"shares":0},...],"storages":{"0":BASE64}}   storages that the op changed
 *   {"error":"shape","message":"..."}
 *   {"broken":"..."}   a promise of ops/op.h does not hold: never an answer that may pass
 *
 * Before each call the shape rule is asked alone, with what a caller of a remote op knows; its answer must be what the kernel then makes. It is asked again with
 * each operand's shape unknown in turn. A request with "starve":true repeats the call with the first allocation failing, then the second, and so on.
 * A request with "grads":[TENSOR or null,...], one for each result, and "needs":[true,...], one for each operand, is answered by the gradient rule:
 *   {"gradients":[{"dtype":...,"shape":[...],"data":BASE64} or null,...]}   null stands for zeros; for an operand that needs none it is always null
 * `driver --table` prints the op table instead. As WebAssembly the same program is served by driver.js.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/alloc.h"
#include "ops/op.h"
#include "ops/oracle.h"
#include "plain_context.h"

enum { MAX_STORAGES = 144, MAX_OPERANDS = 144 };

typedef struct request {
  const tt_op *op;
  uint64_t seed;
  tt_storage *storages[MAX_STORAGES];
  uint8_t *before[MAX_STORAGES]; /* copies of their bytes */
  size_t n_storages;
  tt_tensor *tensors[MAX_OPERANDS];
  size_t n_tensors;
  tt_operand *lists[MAX_OPERANDS];
  size_t n_listed;
  tt_value args[TT_MAX_PARAMS];
  size_t n_args;
  int64_t ints[TT_MAX_PARAMS][TT_MAX_LIST_ITEMS / 16];
  size_t n_operands; /* of the call; behind them stand what flows back */
  bool asks_gradient;
  tt_operand *grads[TT_MAX_RESULTS];
  size_t n_grads;
  bool is_needed[MAX_OPERANDS];
} request;

/* A request that is not as the head of this file says is a mistake of compare.py's: nothing to recover. */
static _Noreturn void give_up(const char *why, const char *what) {
  fprintf(stderr, "driver: %s: %s\n", why, what);
  exit(2);
}

static const cJSON *need(const cJSON *object, const char *key) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
  if (item == NULL) give_up("a request lacks", key);
  return item;
}

static int64_t to_int(const cJSON *item) {
  return cJSON_IsString(item) ? strtoll(item->valuestring, NULL, 10) : (int64_t)item->valuedouble;
}

static int digit_of(char c) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const char *at = c == 0 ? NULL : strchr(digits, c);
  return at == NULL ? -1 : (int)(at - digits);
}

static size_t decode_base64(const char *text, uint8_t *bytes) {
  size_t n = 0;
  uint32_t bits = 0;
  int n_bits = 0;
  for (; digit_of(*text) >= 0; text++) {
    bits = bits << 6 | (uint32_t)digit_of(*text);
    n_bits += 6;
    if (n_bits < 8) continue;
    n_bits -= 8;
    if (bytes != NULL) bytes[n] = (uint8_t)(bits >> n_bits);
    n++;
  }
  return n;
}

static void print_base64(const uint8_t *bytes, size_t n_bytes) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < n_bytes; i += 3) {
    uint32_t bits = (uint32_t)bytes[i] << 16;
    if (i + 1 < n_bytes) bits |= (uint32_t)bytes[i + 1] << 8;
    if (i + 2 < n_bytes) bits |= bytes[i + 2];
    putchar(digits[bits >> 18]);
    putchar(digits[bits >> 12 & 63]);
    putchar(i + 1 < n_bytes ? digits[bits >> 6 & 63] : '=');
    putchar(i + 2 < n_bytes ? digits[bits & 63] : '=');
  }
}

static void print_text(const char *text) {
  putchar('"');
  for (; *text != 0; text++) {
    if (*text == '"' || *text == '\\') putchar('\\');
    if ((unsigned char)*text < 32) {
      printf("\\u%04x", (unsigned char)*text);
    } else {
      putchar(*text);
    }
  }
  putchar('"');
}

static tt_tensor *read_tensor(request *r, const cJSON *json) {
  tt_shape shape = {0};
  int64_t strides[TT_MAX_DIMS] = {0};
  tt_dtype dtype;
  if (!tt_dtype_from_name(need(json, "dtype")->valuestring, &dtype)) give_up("no such dtype", need(json, "dtype")->valuestring);
  const cJSON *item;
  cJSON_ArrayForEach(item, need(json, "shape")) shape.dims[shape.n_dims++] = to_int(item);
  int n_strides = 0;
  cJSON_ArrayForEach(item, need(json, "strides")) strides[n_strides++] = to_int(item);
  tt_error error = {0};
  tt_tensor origin = {
      .operand.meta = {.dtype = dtype, .shape = shape}, .refs = 1, .storage = r->storages[to_int(need(json, "storage"))]};
  tt_tensor *tensor = tt_tensor_view(&origin, &shape, strides, to_int(need(json, "offset")), &error);
  if (tensor == NULL) give_up("no tensor", error.message);
  if (r->n_tensors == MAX_OPERANDS) give_up("too many operands", r->op->name);
  r->tensors[r->n_tensors++] = tensor;
  return tensor;
}

static tt_value read_arg(request *r, const cJSON *json) {
  const cJSON *item = json->child, *part;
  if (cJSON_IsNull(json)) return tt_none();
  if (strcmp(item->string, "bool") == 0) return tt_bool(cJSON_IsTrue(item));
  if (strcmp(item->string, "int") == 0) return tt_int(to_int(item));
  if (strcmp(item->string, "float") == 0) return tt_float(strtod(item->valuestring, NULL));
  if (strcmp(item->string, "tensor") == 0) return tt_operand_value(&read_tensor(r, item)->operand);
  if (strcmp(item->string, "string") == 0) {
    return (tt_value){.type = TT_VALUE_STRING, .n = (uint32_t)strlen(item->valuestring), .as.string = item->valuestring};
  }
  if (strcmp(item->string, "dtype") == 0) {
    tt_dtype dtype;
    if (!tt_dtype_from_name(item->valuestring, &dtype)) give_up("no such dtype", item->valuestring);
    return tt_dtype_value(dtype);
  }
  if (strcmp(item->string, "ints") == 0) {
    int64_t *ints = r->ints[r->n_args];
    uint32_t n = 0;
    cJSON_ArrayForEach(part, item) ints[n++] = to_int(part);
    return tt_ints(ints, n);
  }
  if (strcmp(item->string, "tensors") == 0) {
    tt_operand **first = &r->lists[r->n_listed];
    uint32_t n = 0;
    cJSON_ArrayForEach(part, item) r->lists[r->n_listed + n++] = &read_tensor(r, part)->operand;
    r->n_listed += n;
    return tt_operands_value(first, n);
  }
  give_up("no such argument", item->string);
}

static void read_request(request *r, const cJSON *json) {
  const char *name = need(json, "op")->valuestring;
  r->op = tt_op_find(name, strlen(name));
  if (r->op == NULL) give_up("no such op", name);
  r->seed = (uint64_t)to_int(need(json, "seed"));
  const cJSON *item;
  cJSON_ArrayForEach(item, need(json, "storages")) {
    tt_error error = {0};
    size_t n_bytes = decode_base64(item->valuestring, NULL);
    if (r->n_storages == MAX_STORAGES) give_up("too many storages", name);
    tt_storage *storage = tt_storage_new(n_bytes, &error);
    if (storage == NULL) give_up("no storage", error.message);
    if (n_bytes > 0) decode_base64(item->valuestring, storage->bytes);
    r->before[r->n_storages] = malloc(n_bytes + 1);
    if (n_bytes > 0) memcpy(r->before[r->n_storages], storage->bytes, n_bytes);
    r->storages[r->n_storages++] = storage;
  }
  cJSON_ArrayForEach(item, need(json, "args")) {
    r->args[r->n_args] = read_arg(r, item);
    r->n_args++;
  }
  r->n_operands = r->n_tensors;
  r->asks_gradient = cJSON_HasObjectItem(json, "grads");
  if (!r->asks_gradient) return;
  cJSON_ArrayForEach(item, need(json, "grads")) {
    if (r->n_grads == TT_MAX_RESULTS) give_up("too many gradients", name);
    r->grads[r->n_grads++] = cJSON_IsNull(item) ? NULL : &read_tensor(r, item)->operand;
  }
  size_t n_needs = 0;
  cJSON_ArrayForEach(item, need(json, "needs")) r->is_needed[n_needs++] = cJSON_IsTrue(item);
  if (n_needs != r->n_operands) give_up("not a need for each operand", name);
}

static bool is_changed(const request *r, size_t i) {
  return r->storages[i]->n_bytes > 0 && memcmp(r->storages[i]->bytes, r->before[i], r->storages[i]->n_bytes) != 0;
}

static void restore(request *r) {
  for (size_t i = 0; i < r->n_storages; i++) {
    if (r->storages[i]->n_bytes > 0) memcpy(r->storages[i]->bytes, r->before[i], r->storages[i]->n_bytes);
  }
}

static void release_request(request *r) {
  for (size_t i = 0; i < r->n_tensors; i++) tt_tensor_unref(r->tensors[i]);
  for (size_t i = 0; i < r->n_storages; i++) {
    tt_storage_unref(r->storages[i]);
    free(r->before[i]);
  }
}

/* What an answer holds until it is printed. */
typedef struct answer {
  tt_status status;
  tt_error error;
  tt_tensor *results[TT_MAX_RESULTS];
  size_t n_results;
} answer;

static void evaluate(const request *r, answer *a) {
  tt_generator generator;
  tt_generator_init(&generator, r->seed);
  *a = (answer){0};
  a->status = tt_op_eval(r->op->number, &generator, r->args, r->n_args, a->results, &a->n_results, &a->error);
}

static void release_answer(answer *a) {
  if (a->status != TT_OK) return;
  for (size_t i = 0; i < a->n_results; i++) tt_tensor_unref(a->results[i]);
}

static bool broken(const char *what, const char *detail) {
  printf("{\"broken\":");
  char text[TT_ERROR_MESSAGE_BYTES + 128];
  snprintf(text, sizeof text, "%s%s%s", what, *detail != 0 ? ": " : "", detail);
  print_text(text);
  printf("}\n");
  return true;
}

static bool is_same_meta(const tt_meta *inferred, const tt_tensor *made) {
  return inferred->dtype == tt_tensor_dtype(made) &&
         (!tt_shape_is_known(&inferred->shape) || tt_shape_equal(&inferred->shape, tt_tensor_shape(made)));
}

/* The shape rule alone must tell what the kernel makes, and must live with operands whose shape is not known. */
static bool check_infer(const request *r, const answer *a) {
  tt_value bound[TT_MAX_PARAMS];
  int64_t scratch[TT_MAX_PARAMS];
  tt_meta metas[TT_MAX_RESULTS];
  size_t n_metas = 0;
  tt_error error = {0};
  if (tt_op_bind(r->op, r->args, r->n_args, bound, scratch, &error) != TT_OK) {
    return a->status == TT_OK && broken("the call worked but its arguments do not bind", error.message);
  }
  tt_status status = tt_op_infer(r->op, bound, metas, &n_metas, &error);
  if (a->status != TT_OK) return false; /* data may fail where shapes do not */
  if (status != TT_OK) return broken("the shape rule refuses what the kernel did", error.message);
  if (n_metas != a->n_results) return broken("the shape rule tells another number of results", "");
  for (size_t i = 0; i < n_metas; i++) {
    if (!is_same_meta(&metas[i], a->results[i]))
      return broken("the shape rule tells another shape or dtype than the kernel made", "");
    if (!tt_shape_is_known(&metas[i].shape) && (r->op->flags & TT_OP_DATA_SHAPE) == 0) {
      return broken("the shape rule says unknown though every shape is known", "");
    }
  }
  for (size_t i = 0; i < r->n_tensors; i++) {
    /* Ops whose shape depends on data answer lists and tables, never a scalar, and a scalar counts otherwise in promotion. */
    tt_shape known = r->tensors[i]->operand.meta.shape;
    if (known.n_dims == 0) continue;
    r->tensors[i]->operand.meta.shape = (tt_shape){.n_dims = TT_DIMS_UNKNOWN};
    size_t n_unknown = 0;
    tt_meta unknown[TT_MAX_RESULTS];
    status = tt_op_infer(r->op, bound, unknown, &n_unknown, &error);
    r->tensors[i]->operand.meta.shape = known;
    if (status != TT_OK && status != TT_ERR_SHAPE)
      return broken("the shape rule fails at an unknown shape, not for want of it", error.message);
    for (size_t k = 0; status == TT_OK && k < n_unknown; k++) {
      if (n_unknown != n_metas || !is_same_meta(&unknown[k], a->results[k])) {
        return broken("the shape rule tells something else when an operand's shape is unknown", "");
      }
    }
  }
  return false;
}

/* Whatever allocation fails, the call says so, and everything is as it was. */
static bool check_starving(request *r) {
  for (long n = 0; n < 1000; n++) {
    answer a;
    tt_alloc_fail_after(n);
    evaluate(r, &a);
    tt_alloc_fail_after(-1);
    tt_status status = a.status;
    if (status != TT_OK && status != TT_ERR_MEMORY) return broken("not TT_ERR_MEMORY when memory is short", a.error.message);
    for (size_t i = 0; status != TT_OK && i < r->n_storages; i++) {
      if (is_changed(r, i)) return broken("a call that found no memory changed an operand", "");
    }
    release_answer(&a);
    restore(r);
    if (status == TT_OK) return false;
  }
  return broken("a thousand allocations in one small call", "");
}

static int shared_storage(const request *r, const tt_tensor *tensor) {
  for (size_t i = 0; i < r->n_storages; i++) {
    if (tensor->storage == r->storages[i]) return (int)i;
  }
  return -1;
}

static void print_tensor(const tt_tensor *tensor, const char *more) {
  const tt_shape *shape = tt_tensor_shape(tensor);
  printf("{\"dtype\":\"%s\",\"shape\":[", tt_dtype_name(tt_tensor_dtype(tensor)));
  for (int d = 0; d < shape->n_dims; d++) printf("%s%" PRId64, d == 0 ? "" : ",", shape->dims[d]);
  tt_error error = {0};
  tt_tensor *plain = tt_tensor_contiguous((tt_tensor *)(uintptr_t)tensor, &error);
  if (plain == NULL) give_up("no copy", error.message);
  printf("]%s,\"data\":\"", more);
  size_t n_bytes = (size_t)tt_tensor_n_elements(plain) * tt_dtype_bytes(tt_tensor_dtype(plain));
  if (n_bytes > 0) print_base64(tt_tensor_data(plain), n_bytes);
  printf("\"}");
  tt_tensor_unref(plain);
}

static void print_results(const request *r, const answer *a) {
  printf("{\"results\":[");
  for (size_t i = 0; i < a->n_results; i++) {
    char shares[32];
    snprintf(shares, sizeof shares, ",\"shares\":%d", shared_storage(r, a->results[i]));
    if (i > 0) putchar(',');
    print_tensor(a->results[i], shares);
  }
  printf("],\"storages\":{");
  const char *between = "";
  for (size_t i = 0; i < r->n_storages; i++) {
    if (!is_changed(r, i)) continue;
    printf("%s\"%zu\":\"", between, i);
    print_base64(r->storages[i]->bytes, r->storages[i]->n_bytes);
    printf("\"");
    between = ",";
  }
  printf("}}\n");
}

static void answer_request(request *r, bool starve) {
  answer a;
  evaluate(r, &a);
  if (starve && a.status == TT_OK) {
    release_answer(&a);
    restore(r);
    if (check_starving(r)) return;
    evaluate(r, &a);
  }
  bool is_over = check_infer(r, &a);
  if (!is_over && a.status == TT_OK && (r->op->flags & TT_OP_INPLACE) != 0 &&
      (a.n_results != 1 || a.results[0] != r->tensors[0])) {
    is_over = broken("an in-place op did not answer its own operand", "");
  }
  for (size_t i = 0; !is_over && a.status != TT_OK && i < r->n_storages; i++) {
    if (is_changed(r, i)) is_over = broken("a failed call changed an operand", a.error.message);
  }
  if (!is_over && a.status != TT_OK) {
    if (a.error.message[0] == 0 || a.error.status != a.status) {
      is_over = broken("a failed call left no error behind", tt_status_name(a.status));
    } else {
      printf("{\"error\":\"%s\",\"message\":", tt_status_name(a.status));
      print_text(a.error.message);
      printf("}\n");
    }
  } else if (!is_over) {
    print_results(r, &a);
  }
  release_answer(&a);
}

/* ---- gradients ---- */

/* The call before its rule: what it would write to is copied, so that the rule sees the arguments as they were. */
static void evaluate_on_copies(const request *r, const tt_value *bound, plain_context *context, answer *a) {
  tt_value args[TT_MAX_PARAMS];
  for (size_t i = 0; i < r->op->n_params; i++) {
    args[i] = bound[i];
    if (!r->op->params[i].is_written || bound[i].type != TT_VALUE_OPERAND) continue;
    const tt_tensor *operand = (const tt_tensor *)(const void *)bound[i].as.operand;
    tt_tensor *copy = tt_tensor_cast(operand, tt_tensor_dtype(operand), &a->error);
    if (copy == NULL) give_up("no copy", a->error.message);
    plain_context_keep(context, copy);
    args[i] = tt_operand_value(&copy->operand);
  }
  tt_generator generator;
  tt_generator_init(&generator, r->seed);
  a->status = tt_op_eval(r->op->number, &generator, args, r->op->n_params, a->results, &a->n_results, &a->error);
  if (a->status != TT_OK) return;
  for (size_t i = 0; i < a->n_results; i++) plain_context_keep(context, a->results[i]);
}

static tt_status run_rule(const request *r, const tt_value *bound, const answer *a, plain_context *context,
                          tt_operand **gradients, tt_error *error) {
  tt_operand *results[TT_MAX_RESULTS];
  for (size_t i = 0; i < a->n_results; i++) results[i] = &a->results[i]->operand;
  tt_grad_call call = {
      .op = r->op, .args = bound, .results = results, .n_results = a->n_results, .grads = r->grads, .is_needed = r->is_needed};
  for (size_t i = 0; i < r->n_operands; i++) gradients[i] = NULL;
  return r->op->grad(&context->base, &call, gradients, error);
}

/* Whatever allocation of a rule fails, the rule says so. */
static bool check_starving_rule(const request *r, const tt_value *bound, const answer *a) {
  for (long n = 0; n < 4000; n++) {
    plain_context context;
    plain_context_begin(&context);
    tt_operand *gradients[MAX_OPERANDS];
    tt_error error = {0};
    tt_alloc_fail_after(n);
    tt_status status = run_rule(r, bound, a, &context, gradients, &error);
    tt_alloc_fail_after(-1);
    plain_context_end(&context);
    if (status == TT_OK) return false;
    if (status != TT_ERR_MEMORY) return broken("the rule does not say TT_ERR_MEMORY when memory is short", error.message);
  }
  return broken("four thousand allocations in one small rule", "");
}

static void print_gradients(const request *r, tt_operand *const *gradients) {
  printf("{\"gradients\":[");
  for (size_t i = 0; i < r->n_operands; i++) {
    if (i > 0) putchar(',');
    if (gradients[i] == NULL || !r->is_needed[i]) {
      printf("null");
    } else {
      print_tensor((const tt_tensor *)(const void *)gradients[i], "");
    }
  }
  printf("]}\n");
}

static void answer_gradient(request *r, bool starve) {
  answer a = {0};
  tt_value bound[TT_MAX_PARAMS];
  int64_t scratch[TT_MAX_PARAMS];
  tt_operand *gradients[MAX_OPERANDS];
  plain_context context;
  plain_context_begin(&context);
  a.status = tt_op_bind(r->op, r->args, r->n_args, bound, scratch, &a.error);
  if (a.status == TT_OK) evaluate_on_copies(r, bound, &context, &a);
  bool is_over = r->op->grad == NULL && broken("the row has no gradient rule", "");
  if (!is_over && a.status == TT_OK) {
    is_over = (a.n_results != r->n_grads && broken("a gradient was drawn for another number of results", "")) ||
              (starve && check_starving_rule(r, bound, &a));
    if (!is_over) a.status = run_rule(r, bound, &a, &context, gradients, &a.error);
    for (size_t i = 0; !is_over && i < r->n_storages; i++) {
      if (is_changed(r, i)) is_over = broken("a gradient rule changed an operand", "");
    }
  }
  if (!is_over && a.status != TT_OK) {
    printf("{\"error\":\"%s\",\"message\":", tt_status_name(a.status));
    print_text(a.error.message);
    printf("}\n");
  } else if (!is_over) {
    print_gradients(r, gradients);
  }
  plain_context_end(&context);
}

static void print_table(void) {
  tt_buffer text;
  tt_buffer_init(&text);
  tt_oracle_json(&text);
  fputs(tt_buffer_string(&text), stdout);
  tt_buffer_release(&text);
}

static void answer_line(const char *line) {
  cJSON *json = cJSON_Parse(line);
  if (json == NULL) give_up("not JSON", line);
  request r = {0};
  read_request(&r, json);
  bool starve = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "starve"));
  if (r.asks_gradient) {
    answer_gradient(&r, starve);
  } else {
    answer_request(&r, starve);
  }
  fflush(stdout);
  release_request(&r);
  cJSON_Delete(json);
}

static void begin(void) {
  tt_error error = {0};
  if (tt_ops_init(&error) != TT_OK) give_up("the table", error.message);
}

#ifdef __EMSCRIPTEN__

/* What driver.js calls: there is no standard input in there. */
void oracle_begin(void);
void oracle_table(void);
void oracle_line(const char *line);

void oracle_begin(void) { begin(); }
void oracle_table(void) { print_table(); }
void oracle_line(const char *line) { answer_line(line); }

#else

int main(int argc, char **argv) {
  begin();
  if (argc > 1 && strcmp(argv[1], "--table") == 0) {
    print_table();
    return 0;
  }
  char *line = NULL;
  size_t capacity = 0;
  while (getline(&line, &capacity, stdin) > 0) answer_line(line);
  free(line);
  return 0;
}

#endif
