#include "kernels/matmul.h"

#include <stdalign.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/tile.h"

enum {
  KC = 256,                /* depth of a panel: a sliver of both panels stays in the first cache */
  MC = 64,                 /* rows of A at once: MC x KC stays in the second cache */
  NC = 512,                /* columns of B packed at once */
  DIRECT_BYTES = 24 << 10, /* of a B that is read where it lies: it stays in the first cache beside the rows of A */
  ROOM_BYTES = 16 << 10,   /* of scratch that is taken from the stack */
  LANES = 16,              /* independent sums of a dot product */
  TILE = 256,              /* outputs of a matrix-vector product kept on the stack */
  BLOCK = 512,             /* elements of a dot product summed in their own type */
};

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

#define DEFINE_VECTOR_PRODUCT(suffix, type)                                                                             \
  static type dot_##suffix(const type *x, int64_t stride, const type *y, int64_t n) {                                   \
    double total = 0;                                                                                                   \
    while (n > 0) {                                                                                                     \
      int64_t n_block = smaller(n, BLOCK);                                                                              \
      type lanes[LANES] = {0};                                                                                          \
      int64_t i = 0;                                                                                                    \
      if (stride == 1) {                                                                                                \
        for (; i + LANES <= n_block; i += LANES) {                                                                      \
          for (int l = 0; l < LANES; l++) lanes[l] += x[i + l] * y[i + l];                                              \
        }                                                                                                               \
      }                                                                                                                 \
      for (; i < n_block; i++) total += (double)(x[i * stride] * y[i]);                                                 \
      for (int l = 0; l < LANES; l++) total += (double)lanes[l];                                                        \
      x += n_block * stride;                                                                                            \
      y += n_block;                                                                                                     \
      n -= n_block;                                                                                                     \
    }                                                                                                                   \
    return (type)total;                                                                                                 \
  }                                                                                                                     \
  /* (M,K)x(K) -> (M); x is dense. */                                                                                   \
  static void gemv_##suffix(const type *a, int64_t row, int64_t column, int64_t m, int64_t k, const type *x, type *y) { \
    if (row != 1 || column == 1) {                                                                                      \
      for (int64_t i = 0; i < m; i++) y[i] = dot_##suffix(a + i * row, column, x, k);                                   \
      return;                                                                                                           \
    }                                                                                                                   \
    for (int64_t i = 0; i < m; i += TILE) {                                                                             \
      int64_t n = smaller(TILE, m - i);                                                                                 \
      double totals[TILE] = {0};                                                                                        \
      for (int64_t l = 0; l < k; l += KC) {                                                                             \
        type sums[TILE] = {0};                                                                                          \
        for (int64_t p = l; p < l + smaller(KC, k - l); p++) {                                                          \
          const type *source = a + i + p * column;                                                                      \
          type factor = x[p];                                                                                           \
          for (int64_t r = 0; r < n; r++) sums[r] += source[r] * factor;                                                \
        }                                                                                                               \
        for (int64_t r = 0; r < n; r++) totals[r] += (double)sums[r];                                                   \
      }                                                                                                                 \
      for (int64_t r = 0; r < n; r++) y[i + r] = (type)totals[r];                                                       \
    }                                                                                                                   \
  }                                                                                                                     \
  static void vector_product_##suffix(const tt_matmul *p, const void *a, const void *b, void *c, type *dense) {         \
    bool is_column = p->m != 1;                                                                                         \
    const type *vector = is_column ? b : a;                                                                             \
    int64_t stride = is_column ? p->b_row : p->a_column;                                                                \
    for (int64_t i = 0; i < p->k; i++) dense[i] = vector[i * stride];                                                   \
    if (is_column) {                                                                                                    \
      gemv_##suffix(a, p->a_row, p->a_column, p->m, p->k, dense, c);                                                    \
    } else {                                                                                                            \
      gemv_##suffix(b, p->b_column, p->b_row, p->n, p->k, dense, c);                                                    \
    }                                                                                                                   \
  }
DEFINE_VECTOR_PRODUCT(f32, float)
DEFINE_VECTOR_PRODUCT(f64, double)

/*
 * How a product is cut. A whose rows are dense is read where it lies, else it is packed as slivers of the tile's rows; B as slivers of the
 * tile's columns, unless that would take longer than it saves, and then the last columns alone, which a tile would read beyond.
 */
typedef struct plan {
  const tt_tiles *tiles;
  int64_t height, width, item_bytes; /* of a whole tile; of an element */
  bool packs_a, packs_b;
  int64_t packed_a, packed_b; /* elements */
} plan;

static plan plan_of(const tt_matmul *p) {
  plan made = {.tiles = tt_tiles_of(p->dtype), .item_bytes = (int64_t)tt_dtype_bytes(p->dtype)};
  made.height = made.tiles->n_rows;
  made.width = 2 * made.tiles->n_lanes;
  made.packs_a = p->a_column != 1;
  made.packs_b = p->b_column != 1 || (p->m > 2 * made.height && p->k * p->n * made.item_bytes > DIRECT_BYTES);
  int64_t depth = smaller(p->k, KC);
  if (made.packs_a) made.packed_a = depth * round_up(smaller(p->m, MC), made.height);
  if (made.packs_b) {
    made.packed_b = depth * round_up(smaller(p->n, NC), made.width);
  } else if (p->n % made.width != 0) {
    made.packed_b = depth * made.width;
  }
  return made;
}

static void tile_product(const tt_matmul *p, const uint8_t *a, const uint8_t *b, uint8_t *c, uint8_t *scratch) {
  plan use = plan_of(p);
  int64_t bytes = use.item_bytes, height = use.height, width = use.width, lanes = use.tiles->n_lanes;
  uint8_t *packed_a = scratch, *packed_b = scratch + use.packed_a * bytes;
  tt_tile tile = {.n_runs = 1, .c_row = p->c_row};
  tt_tile_fn *run = use.packs_a ? use.tiles->packed : use.tiles->dense;
  for (int64_t j = 0; j < p->n; j += NC) {
    int64_t n = smaller(NC, p->n - j);
    for (int64_t l = 0; l < p->k; l += KC) {
      int64_t k = smaller(KC, p->k - l);
      const uint8_t *block_b = b + (l * p->b_row + j * p->b_column) * bytes;
      tile.k = k;
      tile.is_sum = l > 0;
      for (int64_t s = use.packs_b ? 0 : n / width * width; s < n; s += width) {
        use.tiles->pack(block_b + s * p->b_column * bytes, p->b_row, p->b_column, k, smaller(width, n - s), width,
                        packed_b + (use.packs_b ? s * k * bytes : 0));
      }
      for (int64_t i = 0; i < p->m; i += MC) {
        int64_t m = smaller(MC, p->m - i);
        const uint8_t *block_a = a + (i * p->a_row + l * p->a_column) * bytes;
        for (int64_t r = 0; use.packs_a && r < m; r += height) {
          use.tiles->pack(block_a + r * p->a_row * bytes, p->a_column, p->a_row, k, smaller(height, m - r), height,
                          packed_a + r * k * bytes);
        }
        for (int64_t s = 0; s < n; s += width) {
          int64_t n_columns = smaller(width, n - s);
          bool is_packed = use.packs_b || n_columns < width;
          tile.b[0] = !is_packed ? block_b + s * bytes : use.packs_b ? packed_b + s * k * bytes : packed_b;
          tile.b_step = is_packed ? width : p->b_row;
          tile.n_columns[0] = smaller(lanes, n_columns);
          tile.n_columns[1] = n_columns - tile.n_columns[0];
          for (int64_t r = 0; r < m; r += height) {
            tile.n_rows = smaller(height, m - r);
            for (int64_t q = 0; q < height; q++) {
              tile.a[q] = use.packs_a ? packed_a + (r * k + q) * bytes : block_a + smaller(r + q, m - 1) * p->a_row * bytes;
            }
            tile.c[0] = c + ((i + r) * p->c_row + j + s) * bytes;
            tile.c[1] = (uint8_t *)tile.c[0] + lanes * bytes;
            run(&tile);
          }
        }
      }
    }
  }
}

static bool is_vector_product(const tt_matmul *p) { return (p->n == 1 && p->c_row == 1) || p->m == 1; }

static void product_floating(const tt_matmul *p, const void *a, const void *b, void *c, void *scratch) {
  if (p->k == 0) {
    size_t row_bytes = (size_t)p->n * tt_dtype_bytes(p->dtype);
    for (int64_t i = 0; i < p->m; i++) memset((uint8_t *)c + i * p->c_row * (int64_t)tt_dtype_bytes(p->dtype), 0, row_bytes);
  } else if (!is_vector_product(p)) {
    tile_product(p, a, b, c, scratch);
  } else if (p->dtype == TT_DTYPE_F32) {
    vector_product_f32(p, a, b, c, scratch);
  } else {
    vector_product_f64(p, a, b, c, scratch);
  }
}

static size_t scratch_bytes_floating(const tt_matmul *p) {
  plan use = plan_of(p);
  return (size_t)((is_vector_product(p) ? p->k : use.packed_a + use.packed_b) * use.item_bytes);
}

#define DEFINE_INTEGRAL(suffix, type, wrapping)                                                                  \
  static void product_##suffix(const tt_matmul *p, const void *a, const void *b, void *c, void *scratch) {       \
    (void)scratch;                                                                                               \
    const type *x = a, *y = b;                                                                                   \
    wrapping *z = c;                                                                                             \
    for (int64_t i = 0; i < p->m; i++, z += p->c_row) {                                                          \
      memset(z, 0, (size_t)p->n * sizeof(type));                                                                 \
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
    [TT_DTYPE_U8] = {product_u8, scratch_bytes_u8},
    [TT_DTYPE_I32] = {product_i32, scratch_bytes_i32},
    [TT_DTYPE_I64] = {product_i64, scratch_bytes_i64},
    [TT_DTYPE_F32] = {product_floating, scratch_bytes_floating},
    [TT_DTYPE_F64] = {product_floating, scratch_bytes_floating},
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
    c += product->c_block * element_bytes;
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
  alignas(64) uint8_t room[ROOM_BYTES];
  void *block = NULL;
  if (n_bytes > sizeof room) {
    block = tt_alloc_aligned(n_bytes);
    if (!block) return tt_fail(error, TT_ERR_MEMORY, "no memory for %zu bytes of packed matrix panels", n_bytes);
  }
  tt_matmul_run_in(product, block ? block : room);
  tt_free_aligned(block);
  return TT_OK;
}
