#include "nn/init.h"

#include <math.h>
#include <string.h>

#include "nn/internal.h"
#include "ops/schema.h"

typedef tt_status fill_fn(tt_calls *calls, tt_node *tensor, const tt_value *args);

struct tt_init_row {
  tt_op signature;
  const char *torch_name;
  fill_fn *fill;
};

/* ---- gains and fans ---- */

tt_status tt_init_gain(const char *nonlinearity, size_t n_bytes, double param, double *gain, tt_error *error) {
  static const struct {
    const char *name;
    double gain;
  } known[] = {{"linear", 1},           {"conv1d", 1},           {"conv2d", 1},  {"conv3d", 1},     {"conv_transpose1d", 1},
               {"conv_transpose2d", 1}, {"conv_transpose3d", 1}, {"sigmoid", 1}, {"tanh", 5.0 / 3}, {"selu", 0.75}};
  const tt_value name = tt_string(nonlinearity, (uint32_t)n_bytes);
  if (tt_is_text(&name, "relu")) return *gain = sqrt(2), TT_OK;
  if (tt_is_text(&name, "leaky_relu")) return *gain = sqrt(2 / (1 + param * param)), TT_OK;
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (tt_is_text(&name, known[i].name)) return *gain = known[i].gain, TT_OK;
  }
  return tt_fail(error, TT_ERR_ARGUMENT, "there is no gain for the nonlinearity '%.*s'", (int)n_bytes, nonlinearity);
}

static tt_status fans_of(tt_calls *calls, tt_node *tensor, double *in, double *out) {
  const tt_shape *shape = &tt_node_meta(tensor)->shape;
  if (shape->n_dims < 2)
    return calls->status = tt_fail(calls->error, TT_ERR_SHAPE, "fan in and fan out are of tensors with 2 dimensions or more");
  double n_places = 1;
  for (int i = 2; i < shape->n_dims; i++) n_places *= (double)shape->dims[i];
  *in = (double)shape->dims[1] * n_places;
  *out = (double)shape->dims[0] * n_places;
  return TT_OK;
}

/* ---- the rows' functions ---- */

#define FILL(name) static tt_status fill_##name(tt_calls *calls, tt_node *tensor, const tt_value *args)

static tt_status uniform(tt_calls *calls, tt_node *tensor, double from, double to) {
  TT_RUN(calls, uniform_, tt_of(tensor), tt_float(from), tt_float(to));
  return calls->status;
}

static tt_status normal(tt_calls *calls, tt_node *tensor, double mean, double deviation) {
  TT_RUN(calls, normal_, tt_of(tensor), tt_float(mean), tt_float(deviation));
  return calls->status;
}

static tt_status constant(tt_calls *calls, tt_node *tensor, double value) {
  TT_RUN(calls, fill_, tt_of(tensor), tt_float(value));
  return calls->status;
}

FILL(uniform) { return uniform(calls, tensor, args[1].as.real, args[2].as.real); }
FILL(normal) { return normal(calls, tensor, args[1].as.real, args[2].as.real); }
FILL(constant) { return constant(calls, tensor, args[1].as.real); }

FILL(ones) {
  (void)args;
  return constant(calls, tensor, 1);
}

FILL(zeros) {
  (void)args;
  return constant(calls, tensor, 0);
}

static tt_status xavier_deviation(tt_calls *calls, tt_node *tensor, const tt_value *args, double *deviation) {
  double in, out;
  TT_TRY(fans_of(calls, tensor, &in, &out));
  *deviation = args[1].as.real * sqrt(2 / (in + out));
  return TT_OK;
}

FILL(xavier_uniform) {
  double deviation;
  TT_TRY(xavier_deviation(calls, tensor, args, &deviation));
  return uniform(calls, tensor, -sqrt(3) * deviation, sqrt(3) * deviation);
}

FILL(xavier_normal) {
  double deviation;
  TT_TRY(xavier_deviation(calls, tensor, args, &deviation));
  return normal(calls, tensor, 0, deviation);
}

static tt_status kaiming_deviation(tt_calls *calls, tt_node *tensor, const tt_value *args, double *deviation) {
  bool is_in = tt_is_text(&args[2], "fan_in");
  if (!is_in && !tt_is_text(&args[2], "fan_out"))
    return calls->status = tt_fail(calls->error, TT_ERR_ARGUMENT, "mode is 'fan_in' or 'fan_out', not '%.*s'", (int)args[2].n,
                                   args[2].as.string);
  double in, out, gain;
  TT_TRY(fans_of(calls, tensor, &in, &out));
  calls->status = tt_init_gain(args[3].as.string, args[3].n, args[1].as.real, &gain, calls->error);
  if (calls->status == TT_OK) *deviation = gain / sqrt(is_in ? in : out);
  return calls->status;
}

FILL(kaiming_uniform) {
  double deviation;
  TT_TRY(kaiming_deviation(calls, tensor, args, &deviation));
  return uniform(calls, tensor, -sqrt(3) * deviation, sqrt(3) * deviation);
}

FILL(kaiming_normal) {
  double deviation;
  TT_TRY(kaiming_deviation(calls, tensor, args, &deviation));
  return normal(calls, tensor, 0, deviation);
}

/* A matrix of rows as long as the other dimensions together, of which those of the shorter side are orthonormal. */
FILL(orthogonal) {
  const tt_shape *shape = &tt_node_meta(tensor)->shape;
  if (shape->n_dims < 2)
    return calls->status = tt_fail(calls->error, TT_ERR_SHAPE, "only tensors with 2 or more dimensions are made orthogonal");
  int64_t n_rows = shape->dims[0], n_columns = 1;
  for (int i = 1; i < shape->n_dims; i++) n_columns *= shape->dims[i];
  normal(calls, tensor, 0, 1);
  const int64_t flat_dims[] = {n_rows, n_columns};
  tt_node *flat = TT_RUN(calls, reshape, tt_of(tensor), tt_ints(flat_dims, 2));
  if (n_rows < n_columns) flat = TT_RUN(calls, t, tt_of(flat));
  tt_node *factors[2] = {NULL};
  const tt_value qr_args[] = {tt_of(flat)};
  tt_calls_run_many(calls, TT_OP_linalg_qr, qr_args, 1, factors, 2);
  /* With the signs of R's diagonal, Q is drawn uniformly. */
  tt_node *diagonal = TT_RUN(calls, diagonal, tt_of(factors[1])), *signs = TT_RUN(calls, sign, tt_of(diagonal));
  tt_node *q = TT_RUN(calls, mul, tt_of(factors[0]), tt_of(signs));
  if (n_rows < n_columns) q = TT_RUN(calls, t, tt_of(q));
  tt_node *shaped = TT_RUN(calls, reshape_as, tt_of(q), tt_of(tensor)), *scaled = TT_RUN(calls, mul, tt_of(shaped), args[1]);
  TT_RUN(calls, copy_, tt_of(tensor), tt_of(scaled));
  return calls->status;
}

/* ---- the table ---- */

static tt_init_row rows[] = {
#define TT_INIT(row_name, row_schema, pytorch_name, fill_fn) \
  {.signature = {.name = #row_name, .schema = row_schema}, .torch_name = pytorch_name, .fill = fill_fn},
#include "nn/init.def"
#undef TT_INIT
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

tt_status tt_inits_init(tt_error *error) {
  for (size_t i = 0; i < N_ROWS; i++) {
    rows[i].signature.number = (tt_op_number)i;
    TT_TRY(tt_schema_parse(&rows[i].signature, error));
  }
  return TT_OK;
}

const tt_init_row *tt_init_row_at(size_t i) { return i < N_ROWS ? &rows[i] : NULL; }

const tt_init_row *tt_init_row_find(const char *name, tt_error *error) {
  for (size_t i = 0; i < N_ROWS; i++) {
    if (strcmp(rows[i].signature.name, name) == 0) return &rows[i];
  }
  tt_fail(error, TT_ERR_ARGUMENT, "torch.nn.init has no function '%s' here", name);
  return NULL;
}

const tt_op *tt_init_row_signature(const tt_init_row *row) { return &row->signature; }

const char *tt_init_row_torch_name(const tt_init_row *row) { return row->torch_name; }

tt_status tt_init_fill(const tt_place *place, const tt_init_row *row, const tt_value *args, size_t n_args, tt_error *error) {
  tt_value bound[TT_MAX_PARAMS];
  int64_t numbers[TT_MAX_PARAMS];
  TT_TRY(tt_op_bind(&row->signature, args, n_args, bound, numbers, error));
  tt_calls calls = tt_calls_begin(place, error);
  bool was_recording = tt_place_begin_quiet(place);
  row->fill(&calls, (tt_node *)(void *)bound[0].as.operand, bound);
  tt_place_end_quiet(place, was_recording);
  if (tt_calls_end(&calls) == TT_OK) return TT_OK;
  tt_status status = calls.status;
  tt_error_prefix(error, "%s", row->signature.name);
  return status;
}
