#include "kernels/convolution.h"

#include <string.h>

#include "base/alloc.h"
#include "kernels/depthwise.h"
#include "kernels/parallel.h"
#include "kernels/tile.h"
#include "tensor/convert.h"

enum {
  IMAGE_BYTES = 256 * 1024, /* of the planes kept at once: half of a small second cache */
  WEIGHT_BYTES = 16 * 1024, /* of the rows that meet the same places of the image, unless a tile has more */
  DEPTH = 256,              /* products summed in registers, about: then the sum goes to where the others are */
  SHARED_WORK = 1 << 22,    /* multiplications that are worth more than one thread */
  PARTS = 2,                /* of the samples, for each thread: each part sets an image up */
};

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/* One spatial axis: output place y meets source place y * stride + first + t * step with its t-th tap; outside are zeros. */
typedef struct axis {
  int64_t n_out, n_in, stride;
  int64_t n_taps, first, step;
} axis;

static int64_t least_tap(const axis *a) { return a->step < 0 ? a->first + (a->n_taps - 1) * a->step : a->first; }

static int64_t shared_length(const axis *a, int64_t n_out) {
  return (n_out - 1) * a->stride + (a->step < 0 ? -a->step : a->step) * (a->n_taps - 1) + 1;
}

/*
 * A sum over channels and taps of weights times source planes, for every output place: what a convolution and its two gradients are.
 *
 * Some channels of the planes of a band of output rows are copied into an image with their padding, in which the neighbours of an output row
 * lie side by side for each tap. So a tile reads its columns (or, for the weights' gradient, its rows) at the image's offsets,
 * and there is no matrix of windows. Taps share the image's lines and columns, or have them apart where that takes less room (wide dilations) or
 * neighbours would not lie side by side (strides).
 */
typedef struct sweep {
  const tt_tiles *tiles;
  tt_dtype dtype;
  int64_t bytes; /* of an element */
  axis down, across;
  int64_t n_channels, n_block; /* of the source; kept at once */
  int64_t n_taps;              /* of both axes */
  int64_t n_band;              /* output rows at once */
  bool shares_lines, shares_columns;
  int64_t n_lines, pitch, plane; /* the image's, per channel */
  int64_t line_step;             /* lines from one output row to the next */
  uint8_t *image;
  int32_t *at; /* where each tap of each channel lies in it */
} sweep;

static void set_band(sweep *s, int64_t n_band) {
  int64_t shared = shared_length(&s->down, n_band), apart = s->down.n_taps * n_band;
  s->n_band = n_band;
  s->shares_lines = shared <= apart;
  s->n_lines = s->shares_lines ? shared : apart;
  s->line_step = s->shares_lines ? s->down.stride : 1;
  s->plane = s->n_lines * s->pitch;
}

static sweep sweep_of(tt_dtype dtype, axis down, axis across, int64_t n_channels) {
  sweep s = {.tiles = tt_tiles_of(dtype),
             .dtype = dtype,
             .bytes = (int64_t)tt_dtype_bytes(dtype),
             .down = down,
             .across = across,
             .n_channels = n_channels,
             .n_taps = down.n_taps * across.n_taps};
  s.n_block = larger(1, smaller(n_channels, DEPTH / s.n_taps));
  int64_t shared = shared_length(&across, across.n_out), apart = across.n_taps * across.n_out;
  s.shares_columns = across.stride == 1 && shared <= apart;
  s.pitch = s.shares_columns ? shared : apart;
  set_band(&s, down.n_out);
  while (s.n_band > 1 && s.n_block * s.plane * s.bytes > IMAGE_BYTES) set_band(&s, (s.n_band + 1) / 2);
  return s;
}

static int64_t aligned(int64_t n_bytes) { return round_up(n_bytes, 64); }

/* A tile reads whole vectors: up to one beyond the last plane. */
static int64_t image_bytes(const sweep *s) { return aligned((s->n_block * s->plane + s->tiles->n_lanes) * s->bytes); }
static int64_t sweep_bytes(const sweep *s) {
  return image_bytes(s) + aligned(s->n_block * s->n_taps * (int64_t)sizeof(int32_t));
}

/* Takes sweep_bytes() of memory and answers what lies behind them. Zeros beside the planes' lines are written here once and for all. */
static uint8_t *place_sweep(sweep *s, uint8_t *memory) {
  s->image = memory;
  memset(s->image, 0, (size_t)image_bytes(s));
  s->at = (int32_t *)(memory + image_bytes(s));
  const axis *down = &s->down, *across = &s->across;
  int32_t *at = s->at;
  for (int64_t channel = 0; channel < s->n_block; channel++) {
    for (int64_t i = 0; i < down->n_taps; i++) {
      int64_t line = s->shares_lines ? down->first + i * down->step - least_tap(down) : i * s->n_band;
      for (int64_t j = 0; j < across->n_taps; j++) {
        int64_t column = s->shares_columns ? across->first + j * across->step - least_tap(across) : j * across->n_out;
        *at++ = (int32_t)((channel * s->plane + line * s->pitch + column) * s->bytes);
      }
    }
  }
  return memory + sweep_bytes(s);
}

/* n places of a source line from `first` on, but for those outside. */
static void fill_line(const sweep *s, uint8_t *to, const uint8_t *line, int64_t first, int64_t stride, int64_t n) {
  int64_t width = s->across.n_in, begin = first >= 0 ? 0 : (-first + stride - 1) / stride;
  int64_t end = first >= width ? 0 : (width - first + stride - 1) / stride;
  begin = smaller(begin, n);
  end = larger(begin, smaller(end, n));
  const uint8_t *from = line + (first + begin * stride) * s->bytes;
  if (stride == 1) {
    memcpy(to + begin * s->bytes, from, (size_t)((end - begin) * s->bytes));
  } else {
    tt_convert(s->dtype, s->dtype)(to + begin * s->bytes, s->bytes, from, stride * s->bytes, end - begin);
  }
}

/* Fills the image with n_channels planes for the band of output rows that begins at y. */
static void fill_image(const sweep *s, const uint8_t *planes, int64_t n_channels, int64_t y) {
  const axis *down = &s->down, *across = &s->across;
  uint8_t *to = s->image;
  for (int64_t channel = 0; channel < n_channels; channel++, planes += down->n_in * across->n_in * s->bytes) {
    for (int64_t i = 0; i < s->n_lines; i++, to += s->pitch * s->bytes) {
      int64_t line = s->shares_lines ? y * down->stride + least_tap(down) + i
                                     : (y + i % s->n_band) * down->stride + down->first + i / s->n_band * down->step;
      if (line < 0 || line >= down->n_in) {
        memset(to, 0, (size_t)(s->pitch * s->bytes));
        continue;
      }
      const uint8_t *from = planes + line * across->n_in * s->bytes;
      if (s->shares_columns) {
        fill_line(s, to, from, least_tap(across), 1, s->pitch);
        continue;
      }
      for (int64_t j = 0; j < across->n_taps; j++) {
        fill_line(s, to + j * across->n_out * s->bytes, from, across->first + j * across->step, across->stride, across->n_out);
      }
    }
  }
}

/* Where the result of a sweep goes: row m of the weights, output place (y, x), at m * row + y * line + x. */
typedef struct target {
  uint8_t *data;
  int64_t row, line;
} target;

/* (M, channels * taps) weights over the planes; `start`: M numbers or NULL. */
static void run_sweep(const sweep *s, const uint8_t *planes, const uint8_t *weights, int64_t m, const uint8_t *start,
                      target to) {
  const axis *down = &s->down, *across = &s->across;
  int64_t lanes = s->tiles->n_lanes, height = s->tiles->n_rows, window = s->n_channels * s->n_taps;
  int64_t step = s->line_step * s->pitch;
  for (int64_t y = 0; y < down->n_out; y += s->n_band) {
    int64_t n_lines = smaller(s->n_band, down->n_out - y), channel = 0;
    do {
      int64_t n_channels = smaller(s->n_block, s->n_channels - channel);
      fill_image(s, planes + channel * down->n_in * across->n_in * s->bytes, n_channels, y);
      const uint8_t *block = weights + channel * s->n_taps * s->bytes;
      tt_tile tile = {
          .k = n_channels * s->n_taps, .n_runs = 1, .a_row = window, .b_at = s->at, .c_row = to.row, .is_sum = channel > 0};
      int64_t n_together = larger(height, WEIGHT_BYTES / (tile.k * s->bytes) / height * height);
      for (int64_t r = 0; r < m; r += n_together) {
        tile.n_rows = smaller(n_together, m - r);
        tile.a = block + r * window * s->bytes;
        tile.start = start != NULL && channel == 0 ? start + r * s->bytes : NULL;
        uint8_t *rows = to.data + (r * to.row + y * to.line) * s->bytes;
        for (int64_t line = 0, x = 0; line < n_lines;) {
          for (int h = 0; h < 2; h++) {
            if (line == n_lines) {
              tile.b[h] = tile.b[0], tile.c[h] = tile.c[0], tile.n_columns[h] = 0;
              break;
            }
            tile.b[h] = s->image + (line * step + x) * s->bytes;
            tile.c[h] = rows + (line * to.line + x) * s->bytes;
            tile.n_columns[h] = smaller(lanes, across->n_out - x);
            x += lanes;
            if (x >= across->n_out) x = 0, line++;
          }
          s->tiles->indirect(&tile);
        }
      }
      channel += s->n_block;
    } while (channel < s->n_channels);
  }
}

static axis axis_of(const tt_convolution *c, int i) {
  return (axis){.n_out = c->out[i],
                .n_in = c->in[i],
                .stride = c->stride[i],
                .n_taps = c->kernel[i],
                .first = -c->padding[i],
                .step = c->dilation[i]};
}

/* Sizes of one group, and where its parts lie. */
typedef struct group {
  int64_t in_channels, out_channels, window, bytes;
  int64_t n_in, n_out, n_kernel;
} group;

static group group_of(const tt_convolution *c) {
  group g = {.in_channels = c->in_channels / c->groups,
             .out_channels = c->out_channels / c->groups,
             .bytes = (int64_t)tt_dtype_bytes(c->dtype),
             .n_in = c->in[0] * c->in[1],
             .n_out = c->out[0] * c->out[1],
             .n_kernel = c->kernel[0] * c->kernel[1]};
  g.window = g.in_channels * g.n_kernel;
  return g;
}

static tt_status take_memory(const sweep *s, int64_t n_bytes, uint8_t **memory, tt_error *error) {
  bool is_within = s->n_block * s->plane <= INT32_MAX / s->bytes && (uint64_t)n_bytes <= SIZE_MAX;
  *memory = is_within ? tt_alloc_aligned((size_t)n_bytes) : NULL;
  return *memory != NULL ? TT_OK : tt_fail(error, TT_ERR_MEMORY, "no memory for the planes of a convolution");
}

/* A kernel of one element sees no rows: all places are one. */
static sweep forward_sweep(const tt_convolution *c) {
  axis down = axis_of(c, 0), across = axis_of(c, 1);
  bool is_plain =
      down.n_taps * across.n_taps == 1 && down.stride == 1 && across.stride == 1 && down.first == 0 && across.first == 0;
  if (is_plain) {
    across.n_in *= down.n_in, across.n_out *= down.n_out;
    down.n_in = down.n_out = 1;
  }
  return sweep_of(c->dtype, down, across, c->in_channels / c->groups);
}

typedef struct forward {
  const tt_convolution *c;
  group g;
  const sweep *s;
  const uint8_t *input, *weight, *bias;
  uint8_t *output, *memory; /* sweep_bytes for each slot */
} forward;

/* Items are the groups of all samples. */
static void run_forward(void *context, int64_t begin, int64_t end, int slot) {
  const forward *all = context;
  const group *g = &all->g;
  sweep s = *all->s;
  place_sweep(&s, all->memory + slot * sweep_bytes(&s));
  for (int64_t i = begin; i < end; i++) {
    int64_t at = i % all->c->groups * g->out_channels;
    const uint8_t *start = all->bias != NULL ? all->bias + at * g->bytes : NULL;
    target to = {all->output + i * g->out_channels * g->n_out * g->bytes, g->n_out, s.across.n_out};
    run_sweep(&s, all->input + i * g->in_channels * g->n_in * g->bytes, all->weight + at * g->window * g->bytes,
              g->out_channels, start, to);
  }
}

tt_status tt_convolution_run(const tt_convolution *c, const void *input, const void *weight, const void *bias, void *output,
                             tt_error *error) {
  if (tt_is_depthwise(c)) {
    tt_depthwise_run(c, input, weight, bias, output);
    return TT_OK;
  }
  sweep s = forward_sweep(c);
  forward all = {.c = c, .g = group_of(c), .s = &s, .input = input, .weight = weight, .bias = bias, .output = output};
  int64_t n = c->n * c->groups;
  double work = (double)n * (double)all.g.out_channels * (double)all.g.window * (double)all.g.n_out;
  int64_t workers = work < SHARED_WORK ? 1 : tt_parallel_get_threads();
  TT_TRY(take_memory(&s, sweep_bytes(&s) * workers, &all.memory, error));
  tt_parallel_for(n, larger(1, workers == 1 ? n : n / (PARTS * workers)), run_forward, &all);
  tt_free_aligned(all.memory);
  return TT_OK;
}

static int64_t common_divisor(int64_t a, int64_t b) { return b == 0 ? a : common_divisor(b, a % b); }

/*
 * Input places of one remainder modulo the stride, seen from the gradient of the output: those taps of the kernel that reach them from a
 * whole place, in an order of their own (*kernel_first, *kernel_step). No taps: the gradient there is 0.
 */
static axis axis_back(const tt_convolution *c, int i, int64_t remainder, int64_t *kernel_first, int64_t *kernel_step) {
  int64_t stride = c->stride[i], dilation = c->dilation[i], place = remainder + c->padding[i];
  int64_t step = stride / common_divisor(stride, dilation), n_tried = smaller(step, c->kernel[i]), first = 0;
  while (first < n_tried && (place - first * dilation) % stride != 0) first++;
  *kernel_first = first;
  *kernel_step = step;
  return (axis){.n_out = (c->in[i] - remainder + stride - 1) / stride,
                .n_in = c->out[i],
                .stride = 1,
                .n_taps = first == n_tried ? 0 : (c->kernel[i] - first + step - 1) / step,
                .first = (place - first * dilation) / stride,
                .step = -step * dilation / stride};
}

/* The gradient at the input places of one pair of remainders. */
static tt_status run_input_class(const tt_convolution *c, const int64_t remainder[2], const uint8_t *weight,
                                 const uint8_t *grad, uint8_t *input, tt_error *error) {
  group g = group_of(c);
  int64_t kernel_first[2], kernel_step[2];
  axis down = axis_back(c, 0, remainder[0], &kernel_first[0], &kernel_step[0]);
  axis across = axis_back(c, 1, remainder[1], &kernel_first[1], &kernel_step[1]);
  if (down.n_taps == 0 || across.n_taps == 0) return TT_OK;
  sweep s = sweep_of(c->dtype, down, across, g.out_channels);
  int64_t window = g.out_channels * s.n_taps, n_places = down.n_out * across.n_out;
  bool is_apart = c->stride[1] != 1;
  uint8_t *memory;
  int64_t turned_bytes = aligned(g.in_channels * window * g.bytes);
  TT_TRY(take_memory(&s, sweep_bytes(&s) + turned_bytes + (is_apart ? g.in_channels * n_places * g.bytes : 0), &memory, error));
  uint8_t *turned = place_sweep(&s, memory), *apart = turned + turned_bytes;
  tt_convert_fn *move = tt_convert(c->dtype, c->dtype);
  for (int64_t of = 0; of < c->groups; of++) {
    /* (O, C, KH, KW) -> (C, O, taps) */
    uint8_t *to = turned;
    for (int64_t channel = 0; channel < g.in_channels; channel++) {
      for (int64_t o = 0; o < g.out_channels; o++) {
        const uint8_t *from =
            weight + ((of * g.out_channels + o) * g.window + channel * g.n_kernel + kernel_first[1]) * g.bytes;
        for (int64_t k = kernel_first[0]; k < c->kernel[0]; k += kernel_step[0], to += across.n_taps * g.bytes) {
          move(to, g.bytes, from + k * c->kernel[1] * g.bytes, kernel_step[1] * g.bytes, across.n_taps);
        }
      }
    }
    for (int64_t i = of; i < c->n * c->groups; i += c->groups) {
      uint8_t *planes = input + (i * g.in_channels * g.n_in + remainder[0] * c->in[1] + remainder[1]) * g.bytes;
      target direct = {planes, g.n_in, c->stride[0] * c->in[1]}, beside = {apart, n_places, across.n_out};
      run_sweep(&s, grad + i * g.out_channels * g.n_out * g.bytes, turned, g.in_channels, NULL, is_apart ? beside : direct);
      for (int64_t row = 0; is_apart && row < g.in_channels * down.n_out; row++) {
        int64_t channel = row / down.n_out, line = row % down.n_out;
        move(planes + (channel * g.n_in + line * direct.line) * g.bytes, c->stride[1] * g.bytes,
             apart + row * across.n_out * g.bytes, g.bytes, across.n_out);
      }
    }
  }
  tt_free_aligned(memory);
  return TT_OK;
}

tt_status tt_convolution_run_input(const tt_convolution *c, const void *weight, const void *grad, void *input,
                                   tt_error *error) {
  if (tt_is_depthwise(c)) {
    tt_depthwise_run_input(c, weight, grad, input);
    return TT_OK;
  }
  group g = group_of(c);
  memset(input, 0, (size_t)(c->n * c->in_channels * g.n_in * g.bytes));
  int64_t remainder[2];
  for (remainder[0] = 0; remainder[0] < smaller(c->stride[0], c->in[0]); remainder[0]++) {
    for (remainder[1] = 0; remainder[1] < smaller(c->stride[1], c->in[1]); remainder[1]++) {
      TT_TRY(run_input_class(c, remainder, weight, grad, input, error));
    }
  }
  return TT_OK;
}

/* Adds to sums (channels * taps, width) what n_rows output rows from y on give, the image being filled from y on; packed: their gradient, turned. */
static void add_weights(const sweep *s, int64_t n_channels, int64_t row, int64_t n_rows, const uint8_t *packed, int64_t width,
                        bool is_sum, uint8_t *sums) {
  int64_t lanes = s->tiles->n_lanes, n_out = s->across.n_out;
  tt_tile tile = {.k = n_out,
                  .n_rows = n_channels * s->n_taps,
                  .a = s->image + row * s->line_step * s->pitch * s->bytes,
                  .a_at = s->at,
                  .n_runs = n_rows,
                  .a_run = s->line_step * s->pitch,
                  .b_step = 2 * lanes,
                  .c_row = width,
                  .n_columns = {lanes, lanes},
                  .is_sum = is_sum};
  for (int64_t o = 0; o < width; o += 2 * lanes) {
    tile.b[0] = packed + o * n_rows * n_out * s->bytes;
    tile.c[0] = sums + o * s->bytes;
    tile.c[1] = (uint8_t *)tile.c[0] + lanes * s->bytes;
    s->tiles->dense(&tile);
  }
}

tt_status tt_convolution_run_weight(const tt_convolution *c, const void *input, const void *grad, void *weight,
                                    tt_error *error) {
  if (tt_is_depthwise(c)) {
    tt_depthwise_run_weight(c, input, grad, weight);
    return TT_OK;
  }
  group g = group_of(c);
  sweep s = forward_sweep(c);
  int64_t n_out = s.across.n_out, width = round_up(g.out_channels, 2 * s.tiles->n_lanes);
  int64_t n_rows = larger(1, smaller(s.n_band, DEPTH / n_out));
  int64_t packed_bytes = aligned(n_rows * n_out * width * g.bytes), sums_bytes = s.n_block * s.n_taps * width * g.bytes;
  memset(weight, 0, (size_t)(c->out_channels * g.window * g.bytes));
  uint8_t *memory;
  TT_TRY(take_memory(&s, sweep_bytes(&s) + packed_bytes + sums_bytes, &memory, error));
  uint8_t *packed = place_sweep(&s, memory), *sums = packed + packed_bytes;
  tt_convert_fn *move = tt_convert(c->dtype, c->dtype);
  for (int64_t part = 0; c->n > 0 && part < c->groups; part++) {
    for (int64_t channel = 0; channel < g.in_channels; channel += s.n_block) {
      int64_t n_channels = smaller(s.n_block, g.in_channels - channel);
      bool is_sum = false;
      for (int64_t i = part; i < c->n * c->groups; i += c->groups) {
        const uint8_t *planes = (const uint8_t *)input + (i * g.in_channels + channel) * g.n_in * g.bytes;
        const uint8_t *from = (const uint8_t *)grad + i * g.out_channels * g.n_out * g.bytes;
        for (int64_t y = 0; y < s.down.n_out; y++) {
          int64_t row = y % s.n_band, n = smaller(smaller(n_rows, s.n_band - row), s.down.n_out - y);
          if (row == 0) fill_image(&s, planes, n_channels, y);
          for (int64_t o = 0; o < width; o += 2 * s.tiles->n_lanes) {
            s.tiles->pack(from + (o * g.n_out + y * n_out) * g.bytes, 1, g.n_out, n * n_out,
                          smaller(2 * s.tiles->n_lanes, g.out_channels - o), 2 * s.tiles->n_lanes,
                          packed + o * n * n_out * g.bytes);
          }
          add_weights(&s, n_channels, row, n, packed, width, is_sum, sums);
          is_sum = true;
          y += n - 1;
        }
      }
      for (int64_t k = 0; k < n_channels * s.n_taps; k++) {
        move((uint8_t *)weight + (part * g.out_channels * g.window + channel * s.n_taps + k) * g.bytes, g.window * g.bytes,
             sums + k * width * g.bytes, g.bytes, g.out_channels);
      }
    }
  }
  tt_free_aligned(memory);
  return TT_OK;
}
