#include "kernels/row_f32.h"

#include "base/loop.h"
#include "kernels/exponential.h"

enum {
  BLOCK = 512,                  /* elements summed in float before they are added to a double */
  LANES = TT_EXPONENTIAL_LANES, /* independent sums, so that the loop is vectors and not one chain of additions */
};

static inline int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

static double sum_of_lanes(float *lanes) {
  for (int width = LANES / 2; width >= 4; width /= 2) {
    for (int l = 0; l < width; l++) lanes[l] += lanes[l + width];
  }
  return ((double)lanes[0] + (double)lanes[1]) + ((double)lanes[2] + (double)lanes[3]);
}

static double sum_block(const float *x, int64_t n) {
  float lanes[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    for (int l = 0; l < LANES; l++) lanes[l] += x[i + l];
  }
  double rest = 0;
  for (; i < n; i++) rest += (double)x[i];
  return rest + sum_of_lanes(lanes);
}

double tt_row_sum_f32(const float *x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i += BLOCK) sum += sum_block(x + i, min_of(n - i, BLOCK));
  return sum;
}

double tt_row_squares_f32(const float *x, int64_t n, double mean) {
  /* Distances from the float next to the mean, which are exact where it matters; what they lack is put right at the end. */
  const float middle = (float)mean;
  double sum = 0, squares = 0;
  for (int64_t start = 0; start < n; start += BLOCK) {
    const float *block = x + start;
    int64_t n_block = min_of(n - start, BLOCK), i = 0;
    float sums[LANES] = {0}, square_sums[LANES] = {0};
    for (; i + LANES <= n_block; i += LANES) {
      for (int l = 0; l < LANES; l++) {
        float away = block[i + l] - middle;
        sums[l] += away;
        square_sums[l] += away * away;
      }
    }
    for (; i < n_block; i++) {
      double away = (double)(block[i] - middle);
      sum += away;
      squares += away * away;
    }
    sum += sum_of_lanes(sums);
    squares += sum_of_lanes(square_sums);
  }
  double lacking = mean - (double)middle;
  return squares - 2 * lacking * sum + (double)n * lacking * lacking;
}

float tt_row_largest_f32(const float *x, int64_t n) { return tt_exponentials_chosen()->largest(x, n); }

double tt_row_exp_f32(const float *x, float *y, int64_t n, float largest) {
  const tt_exponentials *use = tt_exponentials_chosen();
  double sum = 0;
  for (int64_t i = 0; i < n; i += BLOCK) {
    float lanes[TT_EXPONENTIAL_LANES] = {0};
    use->minus(x + i, y + i, min_of(n - i, BLOCK), largest, lanes);
    sum += sum_of_lanes(lanes);
  }
  return sum;
}
