/*
 * depthwise: convolutions whose groups have one channel in and one out, for convolution.c.
 *
 * A matrix of windows would be read once only; here each place of the kernel adds a scaled row of the input to a row of the
 * output instead. Nothing is allocated.
 */
#ifndef TT_KERNELS_DEPTHWISE_H
#define TT_KERNELS_DEPTHWISE_H

#include "kernels/convolution.h"

static inline bool tt_is_depthwise(const tt_convolution *c) {
  return c->groups == c->in_channels && c->groups == c->out_channels && c->groups > 1;
}

/* Where a run of output places in one row meets the input's row: those from first to end lie inside. */
typedef struct tt_overlap {
  int64_t first, end;
  int64_t from; /* the column that place 0 of the run reads; may be outside */
} tt_overlap;

/* Of n places from `column` on, for one column of the kernel. */
static inline tt_overlap tt_overlap_of(const tt_convolution *c, int64_t column, int64_t n, int64_t kernel_column) {
  int64_t stride = c->stride[1], width = c->in[1];
  tt_overlap o = {.from = column * stride - c->padding[1] + kernel_column * c->dilation[1]};
  o.first = o.from >= 0 ? 0 : (-o.from + stride - 1) / stride;
  o.end = o.from >= width ? 0 : (width - o.from + stride - 1) / stride;
  if (o.first > n) o.first = n;
  if (o.end > n) o.end = n;
  if (o.end < o.first) o.end = o.first;
  return o;
}

void tt_depthwise_run(const tt_convolution *c, const void *input, const void *weight, const void *bias, void *output);
void tt_depthwise_run_input(const tt_convolution *c, const void *weight, const void *grad, void *input);
void tt_depthwise_run_weight(const tt_convolution *c, const void *input, const void *grad, void *weight);

#endif
