#include "nn/schedule.h"

#include <math.h>
#include <string.h>

#include "nn/internal.h"
#include "ops/schema.h"

struct tt_schedule_row {
  tt_op signature;
  const char *torch_name;
  double (*rate)(const tt_value *args, double base, int64_t n_steps);
};

#define RATE(name) static double rate_##name(const tt_value *args, double base, int64_t n_steps)

RATE(step) { return base * pow(args[1].as.real, (double)(n_steps / args[0].as.integer)); }

RATE(multi_step) {
  int n_passed = 0;
  for (uint32_t i = 0; i < args[0].n; i++) n_passed += args[0].as.ints[i] <= n_steps;
  return base * pow(args[1].as.real, n_passed);
}

RATE(constant) { return n_steps < args[1].as.integer ? base * args[0].as.real : base; }

static double part_done(int64_t n_steps, int64_t n_total) { return n_steps < n_total ? (double)n_steps / (double)n_total : 1; }

RATE(linear) {
  double from = args[0].as.real, to = args[1].as.real;
  return base * (from + (to - from) * part_done(n_steps, args[2].as.integer));
}

RATE(exponential) { return base * pow(args[0].as.real, (double)n_steps); }

RATE(polynomial) { return base * pow(1 - part_done(n_steps, args[0].as.integer), args[1].as.real); }

RATE(cosine) {
  double least = args[1].as.real;
  return least + (base - least) * (1 + cos(acos(-1) * (double)n_steps / (double)args[0].as.integer)) / 2;
}

static tt_schedule_row rows[] = {
#define TT_SCHEDULE(row_name, row_schema, pytorch_name, rate_fn) \
  {.signature = {.name = #row_name, .schema = row_schema}, .torch_name = pytorch_name, .rate = rate_fn},
#include "nn/schedule.def"
#undef TT_SCHEDULE
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

tt_status tt_schedules_init(tt_error *error) {
  for (size_t i = 0; i < N_ROWS; i++) {
    rows[i].signature.number = (tt_op_number)i;
    TT_TRY(tt_schema_parse(&rows[i].signature, error));
  }
  return TT_OK;
}

const tt_schedule_row *tt_schedule_row_at(size_t i) { return i < N_ROWS ? &rows[i] : NULL; }

const tt_schedule_row *tt_schedule_row_find(const char *name, tt_error *error) {
  for (size_t i = 0; i < N_ROWS; i++) {
    if (strcmp(rows[i].signature.name, name) == 0) return &rows[i];
  }
  tt_fail(error, TT_ERR_ARGUMENT, "there is no schedule '%s'", name);
  return NULL;
}

const tt_op *tt_schedule_row_signature(const tt_schedule_row *row) { return &row->signature; }

const char *tt_schedule_row_torch_name(const tt_schedule_row *row) { return row->torch_name; }

tt_status tt_schedule_rate(const tt_schedule_row *row, const tt_value *args, size_t n_args, double base, int64_t n_steps,
                           double *rate, tt_error *error) {
  tt_value bound[TT_MAX_PARAMS];
  int64_t numbers[TT_MAX_PARAMS];
  TT_TRY(tt_op_bind(&row->signature, args, n_args, bound, numbers, error));
  for (size_t i = 0; i < row->signature.n_params; i++) {
    /* All ints here are numbers of steps that others are divided by. */
    if (bound[i].type != TT_VALUE_INT || bound[i].as.integer > 0) continue;
    return tt_fail(error, TT_ERR_ARGUMENT, "%s: %s is 1 or more, not %lld", row->signature.name, row->signature.params[i].name,
                   (long long)bound[i].as.integer);
  }
  *rate = row->rate(bound, base, n_steps);
  return TT_OK;
}
