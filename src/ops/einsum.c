/*
 * einsum: sums of products named by letters.
 *
 * The equation is read into a label for every dimension; "..." stands for labels of its own, aligned at the last. Operands are then multiplied from
 * the left, two at a time: what both have and nobody needs any more is summed by a batched matrix product, what both have and somebody needs is its batch.
 * Reading needs the operands' shapes.
 */
#include <inttypes.h>
#include <string.h>

#include "ops/compose.h"
#include "ops/rows.h"
#include "ops/terms.h"

enum { N_LETTERS = 52, N_LABELS = N_LETTERS + TT_MAX_DIMS, MAX_FACTORS = 16 };

typedef struct labels {
  int at[TT_MAX_DIMS];
  int n;
} labels;

typedef struct factor {
  tt_operand *x;
  labels labels;
} factor;

typedef struct equation {
  factor factors[MAX_FACTORS];
  int n_factors;
  labels output;
  int64_t sizes[N_LABELS]; /* 0 for a label that stands nowhere, so -1 marks one of size 0 */
  int n_ellipsis;          /* dimensions that "..." stands for, at most */
} equation;

/* Capital letters come first, as in ASCII. */
static int letter_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  return c >= 'a' && c <= 'z' ? 26 + c - 'a' : -1;
}

static void add_label(tt_rule *rule, const tt_op *op, labels *list, int label) {
  if (list->n == TT_MAX_DIMS) {
    tt_rule_fail(rule, TT_ERR_SHAPE, "%s: there may be at most %d dimensions", op->name, TT_MAX_DIMS);
    return;
  }
  list->at[list->n++] = label;
}

static bool has_label(const labels *list, int label) {
  for (int i = 0; i < list->n; i++) {
    if (list->at[i] == label) return true;
  }
  return false;
}

/* One operand's letters: how many there are beside "...", and whether that stands there. */
static int count_letters(const char *text, const char *end, bool *has_ellipsis) {
  int n = 0;
  *has_ellipsis = false;
  for (; text < end; text++) {
    n += letter_of(*text) >= 0;
    *has_ellipsis |= *text == '.';
  }
  return n;
}

/* Labels of text[0..end): "..." becomes the last n_ellipsis of its labels. */
static void read_labels(tt_rule *rule, const tt_op *op, const equation *e, const char *text, const char *end, int n_ellipsis,
                        labels *list) {
  bool is_read = false;
  for (; text < end && rule->status == TT_OK; text++) {
    if (*text == ' ') continue;
    if (end - text >= 3 && memcmp(text, "...", 3) == 0 && !is_read) {
      for (int i = e->n_ellipsis - n_ellipsis; i < e->n_ellipsis; i++) add_label(rule, op, list, N_LETTERS + i);
      is_read = true;
      text += 2;
    } else if (letter_of(*text) >= 0) {
      add_label(rule, op, list, letter_of(*text));
    } else {
      tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: the equation has a '%c' where letters and one '...' may stand", op->name, *text);
    }
  }
}

static const char *find_arrow(const tt_value *text) {
  for (uint32_t i = 0; i + 1 < text->n; i++) {
    if (text->as.string[i] == '-' && text->as.string[i + 1] == '>') return text->as.string + i;
  }
  return NULL;
}

static const char *find_comma(const char *from, const char *end) {
  const char *comma = from < end ? memchr(from, ',', (size_t)(end - from)) : NULL;
  return comma == NULL ? end : comma;
}

/* How many dimensions "..." stands for in an operand; -1 and a failed rule when the letters do not fit. */
static int ellipsis_of(tt_rule *rule, const tt_op *op, int i, const tt_operand *x, const char *text, const char *end) {
  bool has_ellipsis;
  int n_letters = count_letters(text, end, &has_ellipsis), left = x->meta.shape.n_dims - n_letters;
  if (left == 0 || (has_ellipsis && left > 0)) return left;
  tt_rule_fail(rule, TT_ERR_SHAPE, "%s: the equation names %d dimensions of operand %d, which has %d", op->name, n_letters, i,
               x->meta.shape.n_dims);
  return -1;
}

static void read_sizes(tt_rule *rule, const tt_op *op, equation *e) {
  for (int i = 0; i < e->n_factors; i++) {
    const tt_shape *shape = &e->factors[i].x->meta.shape;
    for (int d = 0; d < shape->n_dims; d++) {
      int64_t *size = &e->sizes[e->factors[i].labels.at[d]], given = shape->dims[d] == 0 ? -1 : shape->dims[d];
      if (*size == 0 || *size == 1) {
        *size = given;
      } else if (given != 1 && given != *size) {
        tt_rule_fail(rule, TT_ERR_SHAPE,
                     "%s: dimension %d of operand %d has size %" PRId64 ", and what has the same letter has %" PRId64, op->name,
                     d, i, shape->dims[d], *size < 0 ? 0 : *size);
        return;
      }
    }
  }
}

static int64_t size_of(const equation *e, int label) { return e->sizes[label] < 0 ? 0 : e->sizes[label]; }

/* Without an arrow: "..." first, then the letters that stand once, in order. */
static void implied_output(tt_rule *rule, const tt_op *op, equation *e) {
  int counts[N_LETTERS] = {0};
  for (int i = 0; i < e->n_factors; i++) {
    for (int d = 0; d < e->factors[i].labels.n; d++) {
      if (e->factors[i].labels.at[d] < N_LETTERS) counts[e->factors[i].labels.at[d]]++;
    }
  }
  for (int i = 0; i < e->n_ellipsis; i++) add_label(rule, op, &e->output, N_LETTERS + i);
  for (int i = 0; i < N_LETTERS; i++) {
    if (counts[i] == 1) add_label(rule, op, &e->output, i);
  }
}

static void check_output(tt_rule *rule, const tt_op *op, const equation *e) {
  for (int i = 0; i < e->output.n; i++) {
    bool is_known = e->sizes[e->output.at[i]] != 0, is_first = true;
    for (int k = 0; k < i; k++) is_first &= e->output.at[k] != e->output.at[i];
    if (!is_known || !is_first) {
      tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: each letter behind the arrow stands there once and in some operand", op->name);
    }
  }
}

static void read_equation(tt_rule *rule, const tt_op *op, const tt_value *args, equation *e) {
  const char *text = args[0].as.string, *arrow = find_arrow(&args[0]), *end = text + args[0].n,
             *inputs_end = arrow == NULL ? end : arrow;
  const tt_value *operands = &args[1];
  int n_named = 1;
  for (const char *at = text; at < inputs_end; at++) n_named += *at == ',';
  if (operands->n == 0 || operands->n > MAX_FACTORS || n_named != (int)operands->n) {
    tt_rule_fail(rule, TT_ERR_ARGUMENT, "%s: the equation names %d operands and there are %" PRIu32 " (at most %d)", op->name,
                 n_named, operands->n, (int)MAX_FACTORS);
    return;
  }
  e->n_factors = n_named;
  int n_ellipsis[MAX_FACTORS];
  const char *from = text;
  for (int i = 0; i < n_named; i++) {
    const char *comma = find_comma(from, inputs_end);
    e->factors[i].x = operands->as.operands[i];
    if (!tt_rule_need_shape(rule, op, e->factors[i].x)) return;
    n_ellipsis[i] = ellipsis_of(rule, op, i, e->factors[i].x, from, comma);
    if (rule->status != TT_OK) return;
    if (n_ellipsis[i] > e->n_ellipsis) e->n_ellipsis = n_ellipsis[i];
    from = comma + 1;
  }
  from = text;
  for (int i = 0; i < n_named && rule->status == TT_OK; i++) {
    const char *comma = find_comma(from, inputs_end);
    read_labels(rule, op, e, from, comma, n_ellipsis[i], &e->factors[i].labels);
    from = comma + 1;
  }
  if (rule->status == TT_OK) read_sizes(rule, op, e);
  if (rule->status != TT_OK) return;
  if (arrow == NULL) {
    implied_output(rule, op, e);
  } else {
    read_labels(rule, op, e, arrow + 2, end, e->n_ellipsis, &e->output);
    if (rule->status == TT_OK) check_output(rule, op, e);
  }
}

/* ---- the product ---- */

/* A letter that stands twice is the diagonal of its dimensions; then every dimension has its label's full size. */
static void prepare(tt_rule *rule, const tt_op *op, const equation *e, factor *f) {
  for (int i = 0; i < f->labels.n && rule->status == TT_OK; i++) {
    for (int k = i + 1; k < f->labels.n; k++) {
      if (f->labels.at[i] != f->labels.at[k]) continue;
      const tt_shape *shape = &f->x->meta.shape;
      if (shape->dims[i] != shape->dims[k]) {
        tt_rule_fail(rule, TT_ERR_SHAPE,
                     "%s: a letter that stands twice in an operand names dimensions of sizes %" PRId64 " and %" PRId64,
                     op->name, shape->dims[i], shape->dims[k]);
        return;
      }
      int label = f->labels.at[i];
      f->x = TT_RULE(rule, diagonal, tt_operand_value(f->x), tt_int(0), tt_int(i), tt_int(k));
      int n = 0;
      for (int d = 0; d < f->labels.n; d++) {
        if (d != i && d != k) f->labels.at[n++] = f->labels.at[d];
      }
      f->labels.at[n++] = label;
      f->labels.n = n;
      i = -1;
      break;
    }
  }
  int64_t sizes[TT_MAX_DIMS];
  for (int d = 0; d < f->labels.n; d++) sizes[d] = size_of(e, f->labels.at[d]);
  f->x = TT_RULE(rule, expand, tt_operand_value(f->x), tt_ints(sizes, (uint32_t)f->labels.n));
}

static bool is_needed_later(const equation *e, int next, int label) {
  if (has_label(&e->output, label)) return true;
  for (int i = next; i < e->n_factors; i++) {
    if (has_label(&e->factors[i].labels, label)) return true;
  }
  return false;
}

/* Sums the dimensions that neither `other` (NULL: nobody) has nor anybody from factor `next` on needs. */
static void sum_out(tt_rule *rule, const equation *e, factor *f, const labels *other, int next) {
  int64_t dims[TT_MAX_DIMS];
  labels kept = {.n = 0};
  uint32_t n = 0;
  for (int d = 0; d < f->labels.n; d++) {
    int label = f->labels.at[d];
    if ((other != NULL && has_label(other, label)) || is_needed_later(e, next, label)) {
      kept.at[kept.n++] = label;
    } else {
      dims[n++] = d;
    }
  }
  if (n == 0 || rule->status != TT_OK) return;
  f->x = TT_RULE(rule, sum, tt_operand_value(f->x), tt_ints(dims, n), tt_bool(false), tt_dtype_value(f->x->meta.dtype));
  f->labels = kept;
}

/* f with its dimensions in the order of the labels, which are all it has. */
static tt_operand *ordered(tt_rule *rule, const factor *f, const labels *order) {
  int64_t dims[TT_MAX_DIMS];
  for (int i = 0; i < order->n; i++) {
    for (int d = 0; d < f->labels.n; d++) {
      if (f->labels.at[d] == order->at[i]) dims[i] = d;
    }
  }
  return TT_RULE(rule, permute, tt_operand_value(f->x), tt_ints(dims, (uint32_t)order->n));
}

static int64_t n_of(const equation *e, const labels *list) {
  int64_t n = 1;
  for (int i = 0; i < list->n; i++) n *= size_of(e, list->at[i]);
  return n;
}

static labels joined(tt_rule *rule, const tt_op *op, const labels *a, const labels *b, const labels *c) {
  labels all = *a;
  for (int i = 0; i < b->n; i++) add_label(rule, op, &all, b->at[i]);
  for (int i = 0; i < c->n; i++) add_label(rule, op, &all, c->at[i]);
  return all;
}

/* left becomes left times right: (batch, rows, summed) x (batch, summed, columns). */
static void multiply(tt_rule *rule, const tt_op *op, const equation *e, factor *left, factor *right, int next) {
  sum_out(rule, e, left, &right->labels, next);
  sum_out(rule, e, right, &left->labels, next);
  labels batch = {.n = 0}, rows = {.n = 0}, summed = {.n = 0}, columns = {.n = 0};
  for (int d = 0; d < left->labels.n; d++) {
    int label = left->labels.at[d];
    labels *kind = !has_label(&right->labels, label) ? &rows : is_needed_later(e, next, label) ? &batch : &summed;
    kind->at[kind->n++] = label;
  }
  for (int d = 0; d < right->labels.n; d++) {
    if (!has_label(&left->labels, right->labels.at[d])) columns.at[columns.n++] = right->labels.at[d];
  }
  labels left_order = joined(rule, op, &batch, &rows, &summed), right_order = joined(rule, op, &batch, &summed, &columns);
  labels out = joined(rule, op, &batch, &rows, &columns);
  if (rule->status != TT_OK) return;
  int64_t left_sizes[] = {n_of(e, &batch), n_of(e, &rows), n_of(e, &summed)};
  int64_t right_sizes[] = {left_sizes[0], left_sizes[2], n_of(e, &columns)};
  tt_operand *product = tt_rule_binary(rule, TT_OP_bmm, tt_term_reshape(rule, ordered(rule, left, &left_order), left_sizes, 3),
                                       tt_term_reshape(rule, ordered(rule, right, &right_order), right_sizes, 3));
  int64_t sizes[TT_MAX_DIMS];
  for (int i = 0; i < out.n; i++) sizes[i] = size_of(e, out.at[i]);
  left->x = tt_term_reshape(rule, product, sizes, out.n);
  left->labels = out;
}

TT_BODY(einsum) {
  equation e = {.n_factors = 0};
  read_equation(rule, op, args, &e);
  for (int i = 0; i < e.n_factors && rule->status == TT_OK; i++) {
    rule->status = tt_infer_need_same_dtype(op, e.factors[0].x->meta.dtype, e.factors[i].x->meta.dtype, rule->error);
  }
  for (int i = 0; i < e.n_factors && rule->status == TT_OK; i++) prepare(rule, op, &e, &e.factors[i]);
  if (rule->status != TT_OK) return NULL;
  factor product = e.factors[0];
  for (int i = 1; i < e.n_factors && rule->status == TT_OK; i++) multiply(rule, op, &e, &product, &e.factors[i], i + 1);
  sum_out(rule, &e, &product, NULL, e.n_factors);
  return rule->status == TT_OK ? ordered(rule, &product, &e.output) : NULL;
}
TT_COMPOSE(einsum)
