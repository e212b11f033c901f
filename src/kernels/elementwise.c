#include "kernels/elementwise.h"

#include <string.h>

#include "tensor/convert.h"
#include "tensor/strided.h"

enum { BLOCK = 512, ITEM_BYTES = 8 };

typedef struct row_blocks {
  _Alignas(64) uint8_t out[BLOCK * ITEM_BYTES];
  _Alignas(64) uint8_t in[TT_MAX_INPUTS][BLOCK * ITEM_BYTES];
} row_blocks;

typedef struct row_input {
  tt_convert_fn *convert; /* into the block; NULL when the loop reads the row as it is */
  bool is_one;
} row_input;

/* A row that the loop can take whole: right dtypes, dense or one element. */
static void run_block(const tt_elementwise *what, const tt_strided *walk, const row_input *inputs, tt_convert_fn *convert_out,
                      row_blocks *blocks, int64_t start, int64_t n) {
  const void *in[TT_MAX_INPUTS] = {NULL};
  bool is_one[TT_MAX_INPUTS] = {false};
  for (int k = 0; k < what->n_inputs; k++) {
    const uint8_t *from = walk->at[k + 1] + start * walk->step_bytes[k + 1];
    is_one[k] = inputs[k].is_one;
    in[k] = from;
    if (inputs[k].convert == NULL) continue;
    int64_t item_bytes = (int64_t)tt_dtype_bytes(what->in_dtypes[k]);
    inputs[k].convert(blocks->in[k], item_bytes, from, walk->step_bytes[k + 1], is_one[k] ? 1 : n);
    in[k] = blocks->in[k];
  }
  uint8_t *to = walk->at[0] + start * walk->step_bytes[0];
  what->loop(convert_out == NULL ? to : blocks->out, in, is_one, n, what->constants);
  if (convert_out != NULL) {
    convert_out(to, walk->step_bytes[0], blocks->out, (int64_t)tt_dtype_bytes(what->out_dtype), n);
  }
}

/* Every input is one element along this row: one result, written n times. */
static void run_constant_row(const tt_elementwise *what, const tt_strided *walk, const tt_dtype *dtypes, row_blocks *blocks) {
  const void *in[TT_MAX_INPUTS] = {NULL};
  static const bool is_one[TT_MAX_INPUTS] = {false};
  for (int k = 0; k < what->n_inputs; k++) {
    tt_convert(what->in_dtypes[k], dtypes[k + 1])(blocks->in[k], 0, walk->at[k + 1], 0, 1);
    in[k] = blocks->in[k];
  }
  what->loop(blocks->out, in, is_one, 1, what->constants);
  tt_convert(dtypes[0], what->out_dtype)(walk->at[0], walk->step_bytes[0], blocks->out, 0, walk->n_inner);
}

/* Most calls are over dense tensors of one shape and the loop's own dtypes: one row, without a walk. False where it is not so. */
static bool run_dense(const tt_elementwise *what, tt_tensor *out, const tt_tensor *const *inputs) {
  const void *in[TT_MAX_INPUTS] = {NULL};
  static const bool is_one[TT_MAX_INPUTS] = {false};
  if (tt_tensor_dtype(out) != what->out_dtype || !tt_tensor_is_contiguous(out)) return false;
  for (int k = 0; k < what->n_inputs; k++) {
    if (tt_tensor_dtype(inputs[k]) != what->in_dtypes[k] || !tt_tensor_is_contiguous(inputs[k])) return false;
    if (!tt_shape_equal(tt_tensor_shape(inputs[k]), tt_tensor_shape(out))) return false;
    in[k] = tt_tensor_data(inputs[k]);
  }
  int64_t n = tt_tensor_n_elements(out);
  if (n > 0) what->loop(tt_tensor_data(out), in, is_one, n, what->constants);
  return true;
}

void tt_elementwise_run(const tt_elementwise *what, tt_tensor *out, const tt_tensor *const *inputs) {
  if (run_dense(what, out, inputs)) return;
  tt_dtype dtypes[TT_MAX_INPUTS + 1] = {tt_tensor_dtype(out)};
  tt_strided walk;
  tt_strided_begin(&walk, tt_tensor_shape(out));
  tt_strided_add(&walk, out);
  for (int k = 0; k < what->n_inputs; k++) {
    tt_strided_add(&walk, inputs[k]);
    dtypes[k + 1] = tt_tensor_dtype(inputs[k]);
  }
  bool more = tt_strided_start(&walk);
  if (!more) return;
  row_blocks blocks;
  row_input rows[TT_MAX_INPUTS];
  bool is_blocked = false, is_constant = true;
  for (int k = 0; k < what->n_inputs; k++) {
    int64_t step = walk.step_bytes[k + 1], item_bytes = (int64_t)tt_dtype_bytes(what->in_dtypes[k]);
    rows[k].is_one = step == 0;
    bool is_plain = dtypes[k + 1] == what->in_dtypes[k] && (step == item_bytes || step == 0);
    rows[k].convert = is_plain ? NULL : tt_convert(what->in_dtypes[k], dtypes[k + 1]);
    if (!is_plain) is_blocked = true;
    if (step != 0) is_constant = false;
  }
  if (is_constant) {
    for (; more; more = tt_strided_next(&walk)) run_constant_row(what, &walk, dtypes, &blocks);
    return;
  }
  bool is_out_plain = dtypes[0] == what->out_dtype && walk.step_bytes[0] == (int64_t)tt_dtype_bytes(what->out_dtype);
  tt_convert_fn *convert_out = is_out_plain ? NULL : tt_convert(dtypes[0], what->out_dtype);
  int64_t most = is_blocked || !is_out_plain ? BLOCK : walk.n_inner;
  for (; more; more = tt_strided_next(&walk)) {
    for (int64_t start = 0; start < walk.n_inner; start += most) {
      int64_t left = walk.n_inner - start;
      run_block(what, &walk, rows, convert_out, &blocks, start, left < most ? left : most);
    }
  }
}

bool tt_elementwise_any_zero(const tt_tensor *tensor, tt_dtype dtype) {
  tt_convert_fn *convert = tt_convert(dtype, tt_tensor_dtype(tensor)), *is_set = tt_convert(TT_DTYPE_BOOL, dtype);
  int64_t item_bytes = (int64_t)tt_dtype_bytes(dtype);
  _Alignas(8) uint8_t items[BLOCK * ITEM_BYTES];
  uint8_t flags[BLOCK];
  tt_strided walk;
  tt_strided_begin(&walk, tt_tensor_shape(tensor));
  tt_strided_add(&walk, tensor);
  for (bool more = tt_strided_start(&walk); more; more = tt_strided_next(&walk)) {
    for (int64_t start = 0; start < walk.n_inner; start += BLOCK) {
      int64_t n = walk.n_inner - start < BLOCK ? walk.n_inner - start : BLOCK;
      convert(items, item_bytes, walk.at[0] + start * walk.step_bytes[0], walk.step_bytes[0], n);
      is_set(flags, 1, items, item_bytes, n);
      if (memchr(flags, 0, (size_t)n) != NULL) return true;
    }
  }
  return false;
}
