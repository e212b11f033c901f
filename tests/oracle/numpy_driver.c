/*
 * numpy_driver: calls NumPy's functions for compare_numpy.py, one JSON request a line on standard input, one JSON answer a line on standard output.
 *
 *   {"call":"sum","args":[ARG,...]}      {"print":ARRAY,"repr":true}
 *   ARG: null | {"bool":true} | {"int":"-3"} | {"float":"0x1.8p+1"} | {"ints":["2","3"]} | {"dtype":"float32"} | {"string":"xy"}
 *        | {"array":ARRAY} | {"arrays":[ARRAY,...]}   ARRAY: {"dtype":"float32","shape":[2],"data":HEX,"turned":false}
 *        (turned: the elements stand in Fortran's order)
 *
 *   {"results":[{"dtype":...,"shape":[...],"data":HEX},...]}      {"text":"..."}
 *   {"error":"shape","message":"..."}
 *   {"broken":"..."}   a promise of numpy.h does not hold: never an answer that may pass
 *
 * A call with "starve":true is repeated with the first allocation failing, then the second, and so on. `numpy_driver --table` prints the table.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/alloc.h"
#include "chain/hook.h"
#include "numpy/numpy.h"
#include "tensor/numpy_print.h"

enum { MAX_ARRAYS = 64, MAX_LISTED_INTS = 256 };

typedef struct request {
  const tt_numpy_function *function;
  tt_node *arrays[MAX_ARRAYS];
  size_t n_arrays;
  tt_operand *listed[MAX_ARRAYS];
  size_t n_listed;
  tt_value args[TT_MAX_PARAMS];
  size_t n_args;
  int64_t ints[MAX_LISTED_INTS];
  size_t n_ints;
} request;

static tt_hook hook;
static const tt_numpy_target target = {.hook = &hook};

/* A request that is not as the head of this file says is a mistake of compare_numpy.py's: nothing to recover. */
static _Noreturn void give_up(const char *why, const char *what) {
  fprintf(stderr, "numpy_driver: %s: %s\n", why, what);
  exit(2);
}

static const cJSON *need(const cJSON *object, const char *key) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
  if (item == NULL) give_up("a request lacks", key);
  return item;
}

static int digit_of(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

static tt_tensor *read_array(const cJSON *json) {
  tt_dtype dtype;
  tt_shape shape = {.n_dims = 0}, stored;
  if (!tt_dtype_from_name(need(json, "dtype")->valuestring, &dtype)) give_up("no such dtype", need(json, "dtype")->valuestring);
  const cJSON *item;
  cJSON_ArrayForEach(item, need(json, "shape")) shape.dims[shape.n_dims++] = (int64_t)item->valuedouble;
  const bool is_turned = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "turned"));
  stored = shape;
  for (int i = 0; is_turned && i < shape.n_dims; i++) stored.dims[i] = shape.dims[shape.n_dims - 1 - i];
  tt_error error = {0};
  tt_tensor *tensor = tt_tensor_new(dtype, &stored, &error);
  if (tensor == NULL) give_up("no array", error.message);
  const char *hex = need(json, "data")->valuestring;
  uint8_t *bytes = tt_tensor_data(tensor);
  for (size_t i = 0; hex[2 * i] != 0; i++) bytes[i] = (uint8_t)(digit_of(hex[2 * i]) << 4 | digit_of(hex[2 * i + 1]));
  if (!is_turned) return tensor;
  int64_t strides[TT_MAX_DIMS];
  for (int i = 0; i < shape.n_dims; i++) strides[i] = tensor->strides[shape.n_dims - 1 - i];
  tt_tensor *view = tt_tensor_view(tensor, &shape, strides, 0, &error);
  if (view == NULL) give_up("no array", error.message);
  tt_tensor_unref(tensor);
  return view;
}

static tt_operand *read_head(request *r, const cJSON *json) {
  if (r->n_arrays == MAX_ARRAYS) give_up("too many", "arrays");
  tt_error error = {0};
  tt_node *local = tt_local_new(read_array(json), &error);
  tt_node *head = local == NULL ? NULL : tt_head_new(local, &error);
  if (head == NULL) give_up("no head", error.message);
  r->arrays[r->n_arrays++] = head;
  return &head->operand;
}

static tt_value read_arg(request *r, const cJSON *json) {
  if (cJSON_IsNull(json)) return tt_none();
  const cJSON *item = json->child, *part;
  if (strcmp(item->string, "bool") == 0) return tt_bool(cJSON_IsTrue(item));
  if (strcmp(item->string, "int") == 0) return tt_int(strtoll(item->valuestring, NULL, 10));
  if (strcmp(item->string, "float") == 0) return tt_float(strtod(item->valuestring, NULL));
  if (strcmp(item->string, "string") == 0) return tt_string(item->valuestring, (uint32_t)strlen(item->valuestring));
  if (strcmp(item->string, "array") == 0) return tt_operand_value(read_head(r, item));
  if (strcmp(item->string, "dtype") == 0) {
    tt_dtype dtype;
    if (!tt_dtype_from_name(item->valuestring, &dtype)) give_up("no such dtype", item->valuestring);
    return tt_dtype_value(dtype);
  }
  if (strcmp(item->string, "ints") == 0) {
    const int64_t *first = r->ints + r->n_ints;
    uint32_t n = 0;
    cJSON_ArrayForEach(part, item) {
      if (r->n_ints == MAX_LISTED_INTS) give_up("too many", "ints");
      r->ints[r->n_ints++] = strtoll(part->valuestring, NULL, 10);
      n++;
    }
    return tt_ints(first, n);
  }
  if (strcmp(item->string, "arrays") == 0) {
    tt_operand **first = r->listed + r->n_listed;
    uint32_t n = 0;
    cJSON_ArrayForEach(part, item) {
      r->listed[r->n_listed++] = read_head(r, part);
      n++;
    }
    return tt_operands_value(first, n);
  }
  give_up("no such argument", item->string);
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

static void print_array(const tt_node *head) {
  tt_tensor *tensor = tt_local_tensor(tt_node_tail((tt_node *)(uintptr_t)head));
  tt_tensor *plain = tt_tensor_contiguous(tensor, NULL);
  if (plain == NULL) give_up("no copy", "of a result");
  const tt_shape *shape = tt_tensor_shape(plain);
  printf("{\"dtype\":\"%s\",\"shape\":[", tt_dtype_name(tt_tensor_dtype(plain)));
  for (int i = 0; i < shape->n_dims; i++) printf(i == 0 ? "%" PRId64 : ",%" PRId64, shape->dims[i]);
  printf("],\"data\":\"");
  const uint8_t *bytes = tt_tensor_data(plain);
  const size_t n = (size_t)tt_tensor_n_elements(plain) * tt_dtype_bytes(tt_tensor_dtype(plain));
  for (size_t i = 0; i < n; i++) printf("%02x", bytes[i]);
  printf("\"}");
  tt_tensor_unref(plain);
}

typedef struct answer {
  tt_status status;
  tt_error error;
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results;
} answer;

static void evaluate(const request *r, answer *a) {
  *a = (answer){.status = TT_OK};
  tt_hook_seed(&hook, 7);
  a->status = tt_numpy_call(&target, r->function, r->args, r->n_args, a->results, &a->n_results, &a->error);
}

static void release_answer(answer *a) {
  for (size_t i = 0; i < a->n_results; i++) tt_node_unref(a->results[i]);
  a->n_results = 0;
}

static bool broken(const char *what, const char *detail) {
  char text[TT_ERROR_MESSAGE_BYTES + 128];
  snprintf(text, sizeof text, "%s%s%s", what, *detail != 0 ? ": " : "", detail);
  printf("{\"broken\":");
  print_text(text);
  printf("}\n");
  return true;
}

/* Whatever allocation fails, the call says so. */
static bool is_broken_when_starved(const request *r) {
  for (long n = 0; n < 4000; n++) {
    answer a;
    tt_alloc_fail_after(n);
    evaluate(r, &a);
    tt_alloc_fail_after(-1);
    const tt_status status = a.status;
    release_answer(&a);
    if (status == TT_OK) return false;
    if (status != TT_ERR_MEMORY) return broken("not TT_ERR_MEMORY when memory is short", a.error.message);
  }
  return broken("four thousand allocations in one small call", "");
}

static void answer_call(const cJSON *json) {
  request r = {.function = tt_numpy_find(need(json, "call")->valuestring)};
  if (r.function == NULL) give_up("no such function", need(json, "call")->valuestring);
  const cJSON *item;
  cJSON_ArrayForEach(item, need(json, "args")) {
    r.args[r.n_args] = read_arg(&r, item);
    r.n_args++;
  }
  answer a;
  evaluate(&r, &a);
  bool is_over = false;
  if (a.status == TT_OK && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "starve"))) {
    is_over = is_broken_when_starved(&r);
  }
  if (!is_over && a.status != TT_OK && (a.error.message[0] == 0 || a.error.status != a.status)) {
    is_over = broken("a failed call left no error behind", tt_status_name(a.status));
  }
  for (size_t i = 0; !is_over && i < a.n_results; i++) {
    for (size_t k = 0; k < r.n_arrays; k++) {
      if (a.results[i] == r.arrays[k]) is_over = broken("a result is one of the arguments", "");
    }
  }
  if (!is_over && a.status != TT_OK) {
    printf("{\"error\":\"%s\",\"message\":", tt_status_name(a.status));
    print_text(a.error.message);
    printf("}\n");
  } else if (!is_over) {
    printf("{\"results\":[");
    for (size_t i = 0; i < a.n_results; i++) {
      if (i > 0) putchar(',');
      print_array(a.results[i]);
    }
    printf("]}\n");
  }
  release_answer(&a);
  for (size_t i = 0; i < r.n_arrays; i++) tt_node_unref(r.arrays[i]);
}

static void answer_print(const cJSON *json) {
  tt_tensor *tensor = read_array(need(json, "print"));
  tt_buffer text;
  tt_buffer_init(&text);
  tt_tensor_print_numpy(tensor, cJSON_IsTrue(need(json, "repr")), &text);
  printf("{\"text\":");
  print_text(tt_buffer_string(&text));
  printf("}\n");
  tt_buffer_release(&text);
  tt_tensor_unref(tensor);
}

static void answer_line(const char *line) {
  cJSON *json = cJSON_Parse(line);
  if (json == NULL) give_up("not JSON", line);
  if (cJSON_HasObjectItem(json, "print")) {
    answer_print(json);
  } else {
    answer_call(json);
  }
  fflush(stdout);
  cJSON_Delete(json);
}

static void begin(void) {
  tt_error error = {0};
  tt_hook_init(&hook, "numpy_driver");
  if (tt_numpy_init(&error) != TT_OK) give_up("the table", error.message);
}

static void print_table(void) {
  tt_buffer text;
  tt_buffer_init(&text);
  tt_numpy_json(&text);
  fputs(tt_buffer_string(&text), stdout);
  tt_buffer_release(&text);
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
