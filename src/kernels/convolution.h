/*
 * convolution: two-dimensional, grouped, strided and dilated; what comes out, and both of its gradients.
 *
 * All tensors are dense: input (N, C, H, W), weight (O, C/groups, KH, KW), output (N, O, OH, OW). A call takes one sample and group after
 * the other, copies a band of its planes with their padding, and runs the register tiles of kernels/tile.h over the copy where it
 * lies: there is no matrix of windows. The input's gradient is a convolution of the output's, one for each remainder that the stride leaves. Sums
 * over channels and taps are taken about 256 at a time, in the element type. Memory for the copy is taken once a call (once a
 * remainder for the input's gradient).
 */
#ifndef TT_KERNELS_CONVOLUTION_H
#define TT_KERNELS_CONVOLUTION_H

#include "base/status.h"
#include "tensor/tensor.h"

typedef struct tt_convolution {
  tt_dtype dtype; /* float32 or float64 */
  int64_t n, groups;
  int64_t in_channels, out_channels; /* of all groups */
  int64_t in[2], out[2], kernel[2];  /* height, width */
  int64_t stride[2], padding[2], dilation[2];
} tt_convolution;

/* Fills `output`; `bias` (O) or NULL. Errors: TT_ERR_MEMORY. */
tt_status tt_convolution_run(const tt_convolution *convolution, const void *input, const void *weight, const void *bias,
                             void *output, tt_error *error);

/* Fills `input` with the gradient of the output's weighted sum, the weights being `grad` (N, O, OH, OW). Errors: TT_ERR_MEMORY. */
tt_status tt_convolution_run_input(const tt_convolution *convolution, const void *weight, const void *grad, void *input,
                                   tt_error *error);

/* The same for the weight. */
tt_status tt_convolution_run_weight(const tt_convolution *convolution, const void *input, const void *grad, void *weight,
                                    tt_error *error);

#endif
