/* Rows that move, repeat, stack and place elements, put together from others. */
#include <inttypes.h>

#include "ops/compose.h"
#include "ops/rows.h"
#include "ops/terms.h"

static tt_operand *narrowed(tt_rule *rule, tt_operand *x, int d, int64_t start, int64_t n) {
  return TT_RULE(rule, narrow, tt_operand_value(x), tt_int(d), tt_int(start), tt_int(n));
}

/* A dimension of x, wrapped; 0 and a failed rule when there is none. */
static int dim_of(tt_rule *rule, const tt_op *op, const tt_operand *x, int64_t given) {
  int d = 0;
  if (rule->status == TT_OK) rule->status = tt_shape_wrap_dim(op->name, given, x->meta.shape.n_dims, &d, rule->error);
  if (rule->status == TT_OK && x->meta.shape.n_dims == 0) {
    tt_rule_fail(rule, TT_ERR_INDEX, "%s: a scalar has no dimensions", op->name);
  }
  return d;
}

/* x seen as one line; also when it is empty, where -1 says nothing. */
static tt_operand *line_of(tt_rule *rule, const tt_op *op, tt_operand *x) {
  if (!tt_rule_need_shape(rule, op, x)) return NULL;
  int64_t n = tt_shape_n_elements(&x->meta.shape);
  return tt_term_reshape(rule, x, &n, 1);
}

/* ---- roll, rot90 ---- */

static tt_operand *rolled(tt_rule *rule, tt_operand *x, int d, int64_t shift) {
  if (rule->status != TT_OK) return NULL;
  int64_t size = x->meta.shape.dims[d], k = size == 0 ? 0 : shift % size;
  if (k < 0) k += size;
  if (k == 0) return x;
  tt_operand *parts[] = {narrowed(rule, x, d, size - k, k), narrowed(rule, x, d, 0, size - k)};
  return TT_RULE(rule, cat, tt_operands_value(parts, 2), tt_int(d));
}

TT_BODY(roll) {
  tt_operand *x = args[0].as.operand;
  const tt_value *shifts = &args[1], *dims = &args[2];
  if (!tt_rule_need_shape(rule, op, x)) return NULL;
  if (shifts->n == 0) tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: there is no shift", op->name);
  if (dims->n == 0 && shifts->n == 1) {
    tt_operand *line = line_of(rule, op, x);
    return tt_rule_binary(rule, TT_OP_reshape_as, rolled(rule, line, 0, shifts->as.ints[0]), x);
  }
  if (dims->n != shifts->n) {
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: %" PRIu32 " shifts and %" PRIu32 " dimensions; each dimension has its shift",
                 op->name, shifts->n, dims->n);
  }
  bool is_empty = tt_shape_n_elements(&x->meta.shape) == 0;
  for (uint32_t i = 0; i < dims->n && !is_empty && rule->status == TT_OK; i++) {
    int d = dim_of(rule, op, x, dims->as.ints[i]);
    x = rolled(rule, x, d, shifts->as.ints[i]);
  }
  return x;
}
TT_COMPOSE(roll)

static tt_operand *flipped(tt_rule *rule, tt_operand *x, int64_t d) {
  return TT_RULE(rule, flip, tt_operand_value(x), tt_ints(&d, 1));
}

TT_BODY(rot90) {
  tt_operand *x = args[0].as.operand;
  if (!tt_rule_need_shape(rule, op, x)) return NULL;
  if (args[2].n != 2) {
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s turns in the plane of two dimensions, and %" PRIu32 " are named", op->name,
                 args[2].n);
    return NULL;
  }
  int from = dim_of(rule, op, x, args[2].as.ints[0]), to = dim_of(rule, op, x, args[2].as.ints[1]);
  if (from == to)
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s turns in the plane of two dimensions, and both are %d", op->name, from);
  int64_t quarters = args[1].as.integer % 4;
  if (quarters < 0) quarters += 4;
  if (quarters == 0) return x;
  if (quarters == 2) return flipped(rule, flipped(rule, x, from), to);
  return TT_RULE(rule, transpose, tt_operand_value(flipped(rule, x, quarters == 1 ? to : from)), tt_int(from), tt_int(to));
}
TT_COMPOSE(rot90)

/* ---- tile, repeat_interleave ---- */

TT_BODY(tile) {
  tt_operand *x = args[0].as.operand;
  if (!tt_rule_need_shape(rule, op, x)) return NULL;
  int64_t repeats[TT_MAX_DIMS];
  int n = x->meta.shape.n_dims > (int)args[1].n ? x->meta.shape.n_dims : (int)args[1].n;
  if (args[1].n > TT_MAX_DIMS)
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s: there may be at most %d dimensions", op->name, TT_MAX_DIMS);
  if (rule->status != TT_OK) return NULL;
  for (int d = 0; d < n; d++) {
    int given = d - (n - (int)args[1].n);
    repeats[d] = given < 0 ? 1 : args[1].as.ints[given];
  }
  return TT_RULE(rule, repeat, tt_operand_value(x), tt_ints(repeats, (uint32_t)n));
}
TT_COMPOSE(tile)

TT_BODY(repeat_interleave) {
  tt_operand *x = args[0].as.operand;
  int64_t repeats = args[1].as.integer;
  if (!tt_rule_need_shape(rule, op, x)) return NULL;
  if (repeats < 0) tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: repeats must not be below 0, and is %" PRId64, op->name, repeats);
  if (tt_arg_is_none(&args[2])) x = line_of(rule, op, x);
  if (rule->status != TT_OK) return NULL;
  int d = dim_of(rule, op, x, tt_arg_is_none(&args[2]) ? 0 : args[2].as.integer);
  tt_shape shape = x->meta.shape, grown = shape;
  if (repeats > TT_MAX_ELEMENTS || (shape.n_dims > 0 && shape.dims[d] > 0 && repeats > TT_MAX_ELEMENTS / shape.dims[d]))
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s: %" PRId64 " repeats are too many elements", op->name, repeats);
  if (shape.n_dims == TT_MAX_DIMS)
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s takes at most %d dimensions", op->name, TT_MAX_DIMS - 1);
  if (rule->status != TT_OK) return NULL;
  for (int i = grown.n_dims++; i > d; i--) grown.dims[i] = grown.dims[i - 1];
  grown.dims[d + 1] = repeats;
  tt_operand *spread =
      TT_RULE(rule, expand, tt_operand_value(tt_term_unsqueeze(rule, x, d + 1)), tt_ints(grown.dims, (uint32_t)grown.n_dims));
  shape.dims[d] *= repeats;
  return tt_term_reshape(rule, spread, shape.dims, shape.n_dims);
}
TT_COMPOSE(repeat_interleave)

/* ---- views ---- */

TT_BODY(view_as) {
  const tt_operand *other = args[1].as.operand;
  if (!tt_rule_need_shape(rule, op, other)) return NULL;
  return TT_RULE(rule, view, args[0], tt_ints(other->meta.shape.dims, (uint32_t)other->meta.shape.n_dims));
}
TT_COMPOSE(view_as)

TT_BODY(unflatten) {
  tt_operand *x = args[0].as.operand;
  const tt_value *sizes = &args[2];
  if (!tt_rule_need_shape(rule, op, x)) return NULL;
  int d = dim_of(rule, op, x, args[1].as.integer);
  tt_shape shape = x->meta.shape, out = {.n_dims = 0};
  if (sizes->n == 0) tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: there are no sizes", op->name);
  if (shape.n_dims + (int)sizes->n - 1 > TT_MAX_DIMS) {
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s: there may be at most %d dimensions", op->name, TT_MAX_DIMS);
  }
  if (rule->status != TT_OK) return NULL;
  int64_t known = 1;
  int unknown = -1;
  for (uint32_t i = 0; i < sizes->n; i++) {
    if (sizes->as.ints[i] == -1 && unknown < 0) {
      unknown = d + (int)i;
    } else if (sizes->as.ints[i] < 0 || (sizes->as.ints[i] > 0 && known > TT_MAX_ELEMENTS / sizes->as.ints[i])) {
      tt_rule_fail(rule, TT_ERR_SHAPE, "%s: %" PRId64 " is no size of a part of dimension %d", op->name, sizes->as.ints[i], d);
      return NULL;
    } else {
      known *= sizes->as.ints[i];
    }
  }
  bool fits = unknown < 0 ? known == shape.dims[d] : known > 0 && shape.dims[d] % known == 0;
  if (!fits) {
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s: the sizes do not multiply to the size %" PRId64 " of dimension %d", op->name,
                 shape.dims[d], d);
    return NULL;
  }
  for (int i = 0; i < d; i++) out.dims[out.n_dims++] = shape.dims[i];
  for (uint32_t i = 0; i < sizes->n; i++) out.dims[out.n_dims++] = sizes->as.ints[i];
  if (unknown >= 0) out.dims[unknown] = shape.dims[d] / known;
  for (int i = d + 1; i < shape.n_dims; i++) out.dims[out.n_dims++] = shape.dims[i];
  return TT_RULE(rule, view, args[0], tt_ints(out.dims, (uint32_t)out.n_dims));
}
TT_COMPOSE(unflatten)

/* x with dimensions of size 1 added until it has n; a vector of three is the middle one's row. */
static tt_operand *at_least(tt_rule *rule, const tt_op *op, tt_operand *x, int n) {
  if (!tt_rule_need_shape(rule, op, x)) return NULL;
  int own = x->meta.shape.n_dims;
  if (own == 0) return tt_term_reshape(rule, x, (int64_t[]){1, 1, 1}, n);
  if (own == 1 && n >= 2) x = tt_term_unsqueeze(rule, x, 0);
  return own <= 2 && n == 3 ? tt_term_unsqueeze(rule, x, -1) : x;
}

TT_BODY(atleast_1d) { return at_least(rule, op, args[0].as.operand, 1); }
TT_COMPOSE(atleast_1d)
TT_BODY(atleast_2d) { return at_least(rule, op, args[0].as.operand, 2); }
TT_COMPOSE(atleast_2d)
TT_BODY(atleast_3d) { return at_least(rule, op, args[0].as.operand, 3); }
TT_COMPOSE(atleast_3d)

/* ---- stacks ---- */

enum { MAX_STACKED = 64 };

static tt_operand *stacked(tt_rule *rule, const tt_op *op, const tt_value *list, int n_dims, int dim) {
  tt_operand *parts[MAX_STACKED];
  if (list->n == 0 || list->n > MAX_STACKED) {
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s takes 1 to %d tensors, not %" PRIu32, op->name, (int)MAX_STACKED, list->n);
    return NULL;
  }
  for (uint32_t i = 0; i < list->n; i++) parts[i] = at_least(rule, op, list->as.operands[i], n_dims);
  if (rule->status != TT_OK) return NULL;
  if (dim < 0) dim = parts[0]->meta.shape.n_dims == 1 ? 0 : 1;
  return TT_RULE(rule, cat, tt_operands_value(parts, list->n), tt_int(dim));
}

TT_BODY(hstack) { return stacked(rule, op, &args[0], 1, -1); }
TT_COMPOSE(hstack)
TT_BODY(vstack) { return stacked(rule, op, &args[0], 2, 0); }
TT_COMPOSE(vstack)
TT_BODY(dstack) { return stacked(rule, op, &args[0], 3, 2); }
TT_COMPOSE(dstack)

TT_BODY(column_stack) {
  tt_operand *parts[MAX_STACKED];
  const tt_value *list = &args[0];
  if (list->n == 0 || list->n > MAX_STACKED) {
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s takes 1 to %d tensors, not %" PRIu32, op->name, (int)MAX_STACKED, list->n);
    return NULL;
  }
  for (uint32_t i = 0; i < list->n; i++) {
    parts[i] = list->as.operands[i];
    if (!tt_rule_need_shape(rule, op, parts[i])) return NULL;
    int64_t column[] = {tt_shape_n_elements(&parts[i]->meta.shape), 1};
    if (parts[i]->meta.shape.n_dims <= 1) parts[i] = tt_term_reshape(rule, parts[i], column, 2);
  }
  return TT_RULE(rule, cat, tt_operands_value(parts, list->n), tt_int(1));
}
TT_COMPOSE(column_stack)

/* ---- meshgrid ---- */

TT_PARTS(meshgrid) {
  const tt_value *list = &args[0];
  bool is_xy = tt_arg_is_word(&args[1], "xy");
  if (!is_xy && !tt_arg_is_word(&args[1], "ij")) {
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: indexing is 'ij' or 'xy', not '%.*s'", op->name, (int)args[1].n,
                 args[1].as.string);
  }
  if (list->n == 0 || list->n > TT_MAX_DIMS) {
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s takes 1 to %d tensors, not %" PRIu32, op->name, TT_MAX_DIMS, list->n);
  }
  if (rule->status != TT_OK) return 0;
  tt_shape shape = {.n_dims = (int)list->n};
  int places[TT_MAX_DIMS];
  for (int i = 0; i < shape.n_dims; i++) {
    const tt_operand *x = list->as.operands[i];
    if (!tt_rule_need_shape(rule, op, x)) return 0;
    if (x->meta.shape.n_dims > 1 || x->meta.dtype != list->as.operands[0]->meta.dtype) {
      tt_rule_fail(rule, x->meta.shape.n_dims > 1 ? TT_ERR_SHAPE : TT_ERR_DTYPE, "%s takes vectors and scalars of one dtype",
                   op->name);
      return 0;
    }
    places[i] = is_xy && shape.n_dims > 1 && i < 2 ? 1 - i : i;
    shape.dims[places[i]] = tt_shape_n_elements(&x->meta.shape);
  }
  for (int i = 0; i < shape.n_dims; i++) {
    int64_t sizes[TT_MAX_DIMS];
    for (int d = 0; d < shape.n_dims; d++) sizes[d] = d == places[i] ? shape.dims[d] : 1;
    tt_operand *line = tt_term_reshape(rule, list->as.operands[i], sizes, shape.n_dims);
    results[i] = TT_RULE(rule, expand, tt_operand_value(line), tt_ints(shape.dims, (uint32_t)shape.n_dims));
  }
  return list->n;
}
TT_COMPOSE(meshgrid)

/* ---- diag_embed ---- */

/* The last dimension becomes the diagonal of two: where diagonal puts its gradient. */
TT_BODY(diag_embed) {
  tt_operand *x = args[0].as.operand;
  if (!tt_rule_need_shape(rule, op, x)) return NULL;
  const tt_shape *shape = &x->meta.shape;
  int64_t offset = args[1].as.integer;
  int n = shape->n_dims + 1, first = 0, second = 0;
  if (n > TT_MAX_DIMS || n < 2)
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s takes tensors of 1 to %d dimensions", op->name, TT_MAX_DIMS - 1);
  if (rule->status == TT_OK) rule->status = tt_shape_wrap_dim(op->name, args[2].as.integer, n, &first, rule->error);
  if (rule->status == TT_OK) rule->status = tt_shape_wrap_dim(op->name, args[3].as.integer, n, &second, rule->error);
  if (first == second) tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: both dimensions of the diagonal are %d", op->name, first);
  if (offset > TT_MAX_ELEMENTS || offset < -TT_MAX_ELEMENTS)
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s: the diagonal %" PRId64 " is too far out", op->name, offset);
  if (rule->status != TT_OK) return NULL;
  int64_t side = shape->dims[shape->n_dims - 1] + (offset < 0 ? -offset : offset), sizes[TT_MAX_DIMS];
  for (int d = 0, own = 0; d < n; d++) sizes[d] = d == first || d == second ? side : shape->dims[own++];
  return TT_RULE(rule, diagonal_backward, tt_operand_value(x), tt_ints(sizes, (uint32_t)n), args[1], tt_int(first),
                 tt_int(second));
}
TT_COMPOSE(diag_embed)

/* ---- along one dimension, by index ---- */

/* The index, a vector, as scatter wants it: in the shape of what is put, varying along d alone. */
static tt_operand *index_along(tt_rule *rule, const tt_op *op, tt_operand *index, int d, const tt_shape *shape) {
  if (index->meta.shape.n_dims > 1) {
    char text[TT_SHAPE_TEXT_BYTES];
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s: the index must be a vector, but has the shape %s", op->name,
                 tt_shape_text(&index->meta.shape, text));
    return NULL;
  }
  int64_t sizes[TT_MAX_DIMS];
  for (int i = 0; i < shape->n_dims; i++) sizes[i] = i == d ? shape->dims[d] : 1;
  tt_operand *line = tt_term_reshape(rule, index, sizes, shape->n_dims);
  return TT_RULE(rule, expand, tt_operand_value(line), tt_ints(shape->dims, (uint32_t)shape->n_dims));
}

TT_BODY(index_copy) {
  tt_operand *self = args[0].as.operand, *index = args[2].as.operand, *source = args[3].as.operand;
  if (!tt_rule_need_shape(rule, op, self) || !tt_rule_need_shape(rule, op, index) || !tt_rule_need_shape(rule, op, source))
    return NULL;
  tt_operand *target = at_least(rule, op, self, 1);
  source = at_least(rule, op, source, 1);
  int d = rule->status == TT_OK ? dim_of(rule, op, target, args[1].as.integer) : 0;
  if (rule->status != TT_OK) return NULL;
  tt_shape expected = target->meta.shape;
  expected.dims[d] = tt_shape_n_elements(&index->meta.shape);
  if (!tt_shape_equal(&expected, &source->meta.shape)) {
    char wanted[TT_SHAPE_TEXT_BYTES], given[TT_SHAPE_TEXT_BYTES];
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s: the source must have the shape %s (self's, as long as the index along %d), not %s",
                 op->name, tt_shape_text(&expected, wanted), d, tt_shape_text(&source->meta.shape, given));
    return NULL;
  }
  tt_operand *places = index_along(rule, op, index, d, &expected);
  tt_operand *copied =
      TT_RULE(rule, scatter, tt_operand_value(target), tt_int(d), tt_operand_value(places), tt_operand_value(source));
  return target == self ? copied : tt_rule_binary(rule, TT_OP_reshape_as, copied, self);
}
TT_COMPOSE(index_copy)

TT_BODY(index_fill) {
  tt_operand *self = args[0].as.operand, *index = args[2].as.operand;
  if (!tt_rule_need_shape(rule, op, self) || !tt_rule_need_shape(rule, op, index)) return NULL;
  tt_operand *target = at_least(rule, op, self, 1);
  int d = rule->status == TT_OK ? dim_of(rule, op, target, args[1].as.integer) : 0;
  if (rule->status != TT_OK) return NULL;
  tt_shape shape = target->meta.shape;
  shape.dims[d] = tt_shape_n_elements(&index->meta.shape);
  tt_operand *places = index_along(rule, op, index, d, &shape);
  tt_operand *filled;
  if (args[3].type != TT_VALUE_OPERAND) {
    filled = TT_RULE(rule, scatter, tt_operand_value(target), tt_int(d), tt_operand_value(places), args[3]);
  } else {
    /* Each element takes the value once, however often the index names it. */
    tt_operand *value = args[3].as.operand;
    if (tt_shape_is_known(&value->meta.shape) && value->meta.shape.n_dims != 0) {
      tt_rule_fail(rule, TT_ERR_SHAPE, "%s takes a number or a tensor of no dimensions as the value", op->name);
    }
    tt_operand *none = TT_RULE(rule, zeros_like, tt_operand_value(target), tt_dtype_value(TT_DTYPE_BOOL));
    tt_operand *is_named = TT_RULE(rule, scatter, tt_operand_value(none), tt_int(d), tt_operand_value(places), tt_bool(true));
    filled = tt_term_choose(rule, is_named, tt_rule_cast(rule, value, self->meta.dtype), target);
  }
  return target == self ? filled : tt_rule_binary(rule, TT_OP_reshape_as, filled, self);
}
TT_COMPOSE(index_fill)

/* ---- take, put ---- */

/* The places as a line, those below 0 counted from the end of n. */
static tt_operand *wrapped_places(tt_rule *rule, const tt_op *op, tt_operand *index, int64_t n) {
  if (index->meta.dtype != TT_DTYPE_I64) {
    tt_rule_fail(rule, TT_ERR_DTYPE, "%s: the index must be int64, not %s", op->name, tt_dtype_name(index->meta.dtype));
  }
  tt_operand *line = line_of(rule, op, index);
  tt_operand *from_end = TT_RULE(rule, add, tt_operand_value(line), tt_int(n));
  return tt_term_choose(rule, TT_RULE(rule, lt, tt_operand_value(line), tt_int(0)), from_end, line);
}

TT_BODY(take) {
  tt_operand *self = args[0].as.operand, *index = args[1].as.operand;
  tt_operand *line = line_of(rule, op, self);
  if (line == NULL || !tt_rule_need_shape(rule, op, index)) return NULL;
  tt_operand *places = wrapped_places(rule, op, index, tt_shape_n_elements(&self->meta.shape));
  tt_operand *taken = TT_RULE(rule, gather, tt_operand_value(line), tt_int(0), tt_operand_value(places));
  return tt_rule_binary(rule, TT_OP_reshape_as, taken, index);
}
TT_COMPOSE(take)

TT_BODY(put) {
  tt_operand *self = args[0].as.operand, *index = args[1].as.operand, *source = args[2].as.operand;
  tt_operand *line = line_of(rule, op, self), *values = line_of(rule, op, source);
  if (values == NULL || !tt_rule_need_shape(rule, op, index)) return NULL;
  if (tt_shape_n_elements(&index->meta.shape) != tt_shape_n_elements(&source->meta.shape)) {
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s: the index and the source must have as many elements", op->name);
  }
  tt_operand *places = wrapped_places(rule, op, index, tt_shape_n_elements(&self->meta.shape));
  tt_value put_args[] = {tt_operand_value(line), tt_int(0), tt_operand_value(places), tt_operand_value(values)};
  tt_operand *changed = tt_rule_call(rule, args[3].as.boolean ? TT_OP_scatter_add : TT_OP_scatter, put_args, 4);
  return tt_rule_binary(rule, TT_OP_reshape_as, changed, self);
}
TT_COMPOSE(put)

TT_BODY(msort) {
  (void)op;
  return TT_RULE(rule, sort, args[0], tt_int(0));
}
TT_COMPOSE(msort)

/* ---- pad ---- */

/* What lies before (or, when !is_before, behind) x along d: n elements in the way of a mode. */
static tt_operand *border(tt_rule *rule, const tt_op *op, tt_operand *x, int d, int64_t n, bool is_before,
                          const tt_value *mode) {
  int64_t size = x->meta.shape.dims[d];
  if (tt_arg_is_word(mode, "replicate")) {
    tt_shape shape = x->meta.shape;
    if (size == 0) tt_rule_fail(rule, TT_ERR_SHAPE, "%s: dimension %d has no element to replicate", op->name, d);
    shape.dims[d] = n;
    tt_operand *edge = narrowed(rule, x, d, is_before ? 0 : size - 1, 1);
    return TT_RULE(rule, expand, tt_operand_value(edge), tt_ints(shape.dims, (uint32_t)shape.n_dims));
  }
  bool is_circular = tt_arg_is_word(mode, "circular");
  if (n > size - !is_circular) {
    tt_rule_fail(rule, TT_ERR_SHAPE,
                 "%s: %" PRId64 " elements cannot be added to dimension %d of size %" PRId64 " in the mode '%.*s'", op->name, n,
                 d, size, (int)mode->n, mode->as.string);
    return NULL;
  }
  if (is_circular) return narrowed(rule, x, d, is_before ? size - n : 0, n);
  return flipped(rule, narrowed(rule, x, d, is_before ? 1 : size - 1 - n, n), d);
}

TT_BODY(pad) {
  tt_operand *x = args[0].as.operand;
  const tt_value *sizes = &args[1], *mode = &args[2];
  bool has_value = !tt_arg_is_none(&args[3]);
  if (tt_arg_is_word(mode, "constant")) {
    return TT_RULE(rule, constant_pad_nd, args[0], args[1], has_value ? args[3] : tt_int(0));
  }
  if (!tt_rule_need_shape(rule, op, x)) return NULL;
  bool is_known = tt_arg_is_word(mode, "reflect") || tt_arg_is_word(mode, "replicate") || tt_arg_is_word(mode, "circular");
  bool is_circular = tt_arg_is_word(mode, "circular");
  int n_padded = (int)(sizes->n / 2), n_dims = x->meta.shape.n_dims;
  if (!is_known) {
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: the mode is 'constant', 'reflect', 'replicate' or 'circular', not '%.*s'",
                 op->name, (int)mode->n, mode->as.string);
  } else if (has_value && args[3].as.real != 0) {
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: the mode '%.*s' takes no value", op->name, (int)mode->n, mode->as.string);
  } else if (sizes->n % 2 != 0 || n_padded < 1 || n_padded > 3 ||
             !(n_dims == n_padded + 2 || (!is_circular && n_dims == n_padded + 1))) {
    tt_rule_fail(rule, TT_ERR_SHAPE,
                 "%s: the mode '%.*s' pads the last 1, 2 or 3 dimensions of a tensor that has one or two more, not %d of %d",
                 op->name, (int)mode->n, mode->as.string, n_padded, n_dims);
  }
  for (int i = 0; i < n_padded && rule->status == TT_OK; i++) {
    int64_t before = sizes->as.ints[2 * i], behind = sizes->as.ints[2 * i + 1];
    int d = n_dims - 1 - i;
    if (before < 0 || behind < 0) {
      tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: only the mode 'constant' takes sizes below 0", op->name);
      return NULL;
    }
    tt_operand *parts[3];
    uint32_t n = 0;
    if (before > 0) parts[n++] = border(rule, op, x, d, before, true, mode);
    parts[n++] = x;
    if (behind > 0) parts[n++] = border(rule, op, x, d, behind, false, mode);
    if (n > 1) x = TT_RULE(rule, cat, tt_operands_value(parts, n), tt_int(d));
  }
  return x;
}
TT_COMPOSE(pad)
