#include "kernels/matmul.h"

#include <string.h>

#include "base/alloc.h"

enum {
  KC = 256,   /* depth of a panel: a sliver of both panels stays in the first cache */
  MC = 64,    /* rows of A packed at once: MC x KC stays in the second cache */
  NC = 512,   /* columns of B packed at once */
  MR = 4,     /* rows of the register tile */
  NR_F32 = 8, /* its columns: MR x NR accumulators are eight 16-byte vectors */
  NR_F64 = 4,
  LANES = 16,  /* independent sums of a dot product */
  TILE = 256,  /* outputs of a matrix-vector product kept on the stack */
  BLOCK = 512, /* elements of a dot product summed in their own type */
};

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/* Packed panels: A as slivers of MR rows, B as slivers of NR columns, each sliver k-major and padded with zeros. */
#define DEFINE_GEMM(suffix, type, NR)                                                                                    \
  static void pack_a_##suffix(const type *a, int64_t row, int64_t column, int64_t m, int64_t k, type *packed) {          \
    for (int64_t i = 0; i < m; i += MR) {                                                                                \
      int64_t n_rows = smaller(MR, m - i);                                                                               \
      for (int64_t p = 0; p < k; p++) {                                                                                  \
        const type *source = a + i * row + p * column;                                                                   \
        for (int64_t r = 0; r < MR; r++) *packed++ = r < n_rows ? source[r * row] : 0;                                   \
      }                                                                                                                  \
    }                                                                                                                    \
  }                                                                                                                      \
  static void pack_b_##suffix(const type *b, int64_t row, int64_t column, int64_t k, int64_t n, type *packed) {          \
    for (int64_t j = 0; j < n; j += NR) {                                                                                \
      int64_t n_columns = smaller(NR, n - j);                                                                            \
      for (int64_t p = 0; p < k; p++) {                                                                                  \
        const type *source = b + p * row + j * column;                                                                   \
        if (n_columns == NR && column == 1) {                                                                            \
          memcpy(packed, source, NR * sizeof(type));                                                                     \
        } else {                                                                                                         \
          for (int64_t c = 0; c < NR; c++) packed[c] = c < n_columns ? source[c * column] : 0;                           \
        }                                                                                                                \
        packed += NR;                                                                                                    \
      }                                                                                                                  \
    }                                                                                                                    \
  }                                                                                                                      \
  /* (MR,K)x(K,NR) from two slivers, of which n_rows x n_columns count; is_first: nothing is in c yet. */                \
  static void tile_##suffix(int64_t k, const type *restrict a, const type *restrict b, type *restrict c, int64_t c_row,  \
                            int64_t n_rows, int64_t n_columns, bool is_first) {                                          \
    type sums[MR][NR] = {{0}};                                                                                           \
    for (int64_t p = 0; p < k; p++, a += MR, b += NR) {                                                                  \
      for (int r = 0; r < MR; r++) {                                                                                     \
        for (int s = 0; s < NR; s++) sums[r][s] += a[r] * b[s];                                                          \
      }                                                                                                                  \
    }                                                                                                                    \
    for (int64_t r = 0; r < n_rows; r++) {                                                                               \
      for (int64_t s = 0; s < n_columns; s++) c[r * c_row + s] = is_first ? sums[r][s] : c[r * c_row + s] + sums[r][s];  \
    }                                                                                                                    \
  }                                                                                                                      \
  static void gemm_##suffix(const tt_matmul *p, const type *a, const type *b, type *c, type *packed_a, type *packed_b) { \
    for (int64_t j = 0; j < p->n; j += NC) {                                                                             \
      int64_t n = smaller(NC, p->n - j);                                                                                 \
      for (int64_t l = 0; l < p->k; l += KC) {                                                                           \
        int64_t k = smaller(KC, p->k - l);                                                                               \
        pack_b_##suffix(b + l * p->b_row + j * p->b_column, p->b_row, p->b_column, k, n, packed_b);                      \
        for (int64_t i = 0; i < p->m; i += MC) {                                                                         \
          int64_t m = smaller(MC, p->m - i);                                                                             \
          pack_a_##suffix(a + i * p->a_row + l * p->a_column, p->a_row, p->a_column, m, k, packed_a);                    \
          for (int64_t s = 0; s < n; s += NR) {                                                                          \
            for (int64_t r = 0; r < m; r += MR) {                                                                        \
              tile_##suffix(k, packed_a + r * k, packed_b + s * k, c + (i + r) * p->n + j + s, p->n, smaller(MR, m - r), \
                            smaller(NR, n - s), l == 0);                                                                 \
            }                                                                                                            \
          }                                                                                                              \
        }                                                                                                                \
      }                                                                                                                  \
    }                                                                                                                    \
  }                                                                                                                      \
  static type dot_##suffix(const type *x, int64_t stride, const type *y, int64_t n) {                                    \
    double total = 0;                                                                                                    \
    while (n > 0) {                                                                                                      \
      int64_t n_block = smaller(n, BLOCK);                                                                               \
      type lanes[LANES] = {0};                                                                                           \
      int64_t i = 0;                                                                                                     \
      if (stride == 1) {                                                                                                 \
        for (; i + LANES <= n_block; i += LANES) {                                                                       \
          for (int l = 0; l < LANES; l++) lanes[l] += x[i + l] * y[i + l];                                               \
        }                                                                                                                \
      }                                                                                                                  \
      for (; i < n_block; i++) total += (double)(x[i * stride] * y[i]);                                                  \
      for (int l = 0; l < LANES; l++) total += (double)lanes[l];                                                         \
      x += n_block * stride;                                                                                             \
      y += n_block;                                                                                                      \
      n -= n_block;                                                                                                      \
    }                                                                                                                    \
    return (type)total;                                                                                                  \
  }                                                                                                                      \
  /* (M,K)x(K) -> (M); x is dense. */                                                                                    \
  static void gemv_##suffix(const type *a, int64_t row, int64_t column, int64_t m, int64_t k, const type *x, type *y) {  \
    if (row != 1 || column == 1) {                                                                                       \
      for (int64_t i = 0; i < m; i++) y[i] = dot_##suffix(a + i * row, column, x, k);                                    \
      return;                                                                                                            \
    }                                                                                                                    \
    for (int64_t i = 0; i < m; i += TILE) {                                                                              \
      int64_t n = smaller(TILE, m - i);                                                                                  \
      double totals[TILE] = {0};                                                                                         \
      for (int64_t l = 0; l < k; l += KC) {                                                                              \
        type sums[TILE] = {0};                                                                                           \
        for (int64_t p = l; p < l + smaller(KC, k - l); p++) {                                                           \
          const type *source = a + i + p * column;                                                                       \
          type factor = x[p];                                                                                            \
          for (int64_t r = 0; r < n; r++) sums[r] += source[r] * factor;                                                 \
        }                                                                                                                \
        for (int64_t r = 0; r < n; r++) totals[r] += (double)sums[r];                                                    \
      }                                                                                                                  \
      for (int64_t r = 0; r < n; r++) y[i + r] = (type)totals[r];                                                        \
    }                                                                                                                    \
  }                                                                                                                      \
  static void product_##suffix(const tt_matmul *p, const void *a, const void *b, void *c, void *scratch) {               \
    if (p->k == 0) {                                                                                                     \
      memset(c, 0, (size_t)(p->m * p->n) * sizeof(type));                                                                \
    } else if (p->n == 1 || p->m == 1) {                                                                                 \
      bool is_column = p->n == 1;                                                                                        \
      const type *vector = is_column ? b : a;                                                                            \
      int64_t stride = is_column ? p->b_row : p->a_column;                                                               \
      type *dense = scratch;                                                                                             \
      for (int64_t i = 0; i < p->k; i++) dense[i] = vector[i * stride];                                                  \
      if (is_column) {                                                                                                   \
        gemv_##suffix(a, p->a_row, p->a_column, p->m, p->k, dense, c);                                                   \
      } else {                                                                                                           \
        gemv_##suffix(b, p->b_column, p->b_row, p->n, p->k, dense, c);                                                   \
      }                                                                                                                  \
    } else {                                                                                                             \
      type *packed_a = scratch;                                                                                          \
      gemm_##suffix(p, a, b, c, packed_a, packed_a + round_up(smaller(p->m, MC), MR) * smaller(p->k, KC));               \
    }                                                                                                                    \
  }                                                                                                                      \
  static size_t scratch_bytes_##suffix(const tt_matmul *p) {                                                             \
    if (p->n == 1 || p->m == 1) return (size_t)p->k * sizeof(type);                                                      \
    int64_t depth = smaller(p->k, KC);                                                                                   \
    return (size_t)(depth * (round_up(smaller(p->m, MC), MR) + round_up(smaller(p->n, NC), NR))) * sizeof(type);         \
  }
DEFINE_GEMM(f32, float, NR_F32)
DEFINE_GEMM(f64, double, NR_F64)

#define DEFINE_INTEGRAL(suffix, type, wrapping)                                                                  \
  static void product_##suffix(const tt_matmul *p, const void *a, const void *b, void *c, void *scratch) {       \
    (void)scratch;                                                                                               \
    const type *x = a, *y = b;                                                                                   \
    wrapping *z = c;                                                                                             \
    memset(c, 0, (size_t)(p->m * p->n) * sizeof(type));                                                          \
    for (int64_t i = 0; i < p->m; i++, z += p->n) {                                                              \
      for (int64_t l = 0; l < p->k; l++) {                                                                       \
        wrapping factor = (wrapping)x[i * p->a_row + l * p->a_column];                                           \
        const type *source = y + l * p->b_row;                                                                   \
        for (int64_t j = 0; j < p->n; j++) z[j] = (wrapping)(z[j] + factor * (wrapping)source[j * p->b_column]); \
      }                                                                                                          \
    }                                                                                                            \
  }                                                                                                              \
  static size_t scratch_bytes_##suffix(const tt_matmul *p) {                                                     \
    (void)p;                                                                                                     \
    return 0;                                                                                                    \
  }
DEFINE_INTEGRAL(u8, uint8_t, uint8_t)
DEFINE_INTEGRAL(i32, int32_t, uint32_t)
DEFINE_INTEGRAL(i64, int64_t, uint64_t)

typedef struct matmul_row {
  void (*product)(const tt_matmul *p, const void *a, const void *b, void *c, void *scratch);
  size_t (*scratch_bytes)(const tt_matmul *p);
} matmul_row;

static const matmul_row rows[TT_N_DTYPES] = {
    [TT_DTYPE_U8] = {product_u8, scratch_bytes_u8},    [TT_DTYPE_I32] = {product_i32, scratch_bytes_i32},
    [TT_DTYPE_I64] = {product_i64, scratch_bytes_i64}, [TT_DTYPE_F32] = {product_f32, scratch_bytes_f32},
    [TT_DTYPE_F64] = {product_f64, scratch_bytes_f64},
};

static int64_t count_products(const tt_matmul *product) {
  int64_t n_products = product->m == 0 || product->n == 0 ? 0 : 1;
  for (int d = 0; d < product->n_batch_dims; d++) n_products *= product->batch_sizes[d];
  return n_products;
}

size_t tt_matmul_scratch_bytes(const tt_matmul *product) { return rows[product->dtype].scratch_bytes(product); }

void tt_matmul_run_in(const tt_matmul *product, void *scratch) {
  const matmul_row *row = &rows[product->dtype];
  int64_t n_products = count_products(product);
  int64_t element_bytes = (int64_t)tt_dtype_bytes(product->dtype);
  const uint8_t *a = product->a, *b = product->b;
  uint8_t *c = product->c;
  int64_t counter[TT_MAX_DIMS] = {0};
  for (int64_t i = 0; i < n_products; i++) {
    row->product(product, a, b, c, scratch);
    c += product->m * product->n * element_bytes;
    for (int d = product->n_batch_dims - 1; d >= 0; d--) {
      a += product->a_batch[d] * element_bytes;
      b += product->b_batch[d] * element_bytes;
      if (++counter[d] < product->batch_sizes[d]) break;
      a -= product->batch_sizes[d] * product->a_batch[d] * element_bytes;
      b -= product->batch_sizes[d] * product->b_batch[d] * element_bytes;
      counter[d] = 0;
    }
  }
}

tt_status tt_matmul_run(const tt_matmul *product, tt_error *error) {
  if (count_products(product) == 0) return TT_OK;
  size_t n_bytes = tt_matmul_scratch_bytes(product);
  void *scratch = NULL;
  if (n_bytes > 0) {
    scratch = tt_alloc_aligned(n_bytes);
    if (!scratch) return tt_fail(error, TT_ERR_MEMORY, "no memory for %zu bytes of packed matrix panels", n_bytes);
  }
  tt_matmul_run_in(product, scratch);
  tt_free_aligned(scratch);
  return TT_OK;
}
