#include "kernels/matmul.h"

#include <stdalign.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/parallel.h"
#include "kernels/tile.h"

enum {
  KC = 256,                 /* depth of a panel: a sliver of both panels stays in the first cache */
  MC = 64,                  /* at most so many rows of A at once: MC x KC stays in the second cache */
  NC = 512,                 /* columns of B packed at once */
  DIRECT_BYTES = 24 << 10,  /* of a B that is read where it lies: it stays in the first cache beside the rows of A */
  ROOM_BYTES = 16 << 10,    /* of scratch that is taken from the stack */
  LANES = 16,               /* independent sums of a dot product */
  TILE = 256,               /* outputs of a matrix-vector product kept on the stack */
  BLOCK = 512,              /* elements of a dot product summed in their own type */
  SHARED_WORK = 1 << 22,    /* multiplications that are worth more than one thread */
  SHARED_VECTORS = 1 << 20, /* the same of a matrix-vector product, where reading the matrix takes the time */
  TAKEN_WORK = 1 << 17,     /* multiplications that a thread takes at least, of those */
  PARTS = 8,                /* of the rows of a matrix-vector product, or of several products, for each thread */
  PACKED_TOGETHER = 4,      /* slivers */
};

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

static int workers_for(double work) { return work < SHARED_WORK ? 1 : tt_parallel_get_threads(); }

/* How many work on one product. Threads meet twice for each panel of B, so that is what has to be worth it. */
static int n_workers(const tt_matmul *p) {
  return workers_for((double)p->m * (double)smaller(p->n, NC) * (double)smaller(p->k, KC));
}

/* One operand is a vector, dense. */
typedef struct vector_product {
  const void *a;
  int64_t row, column, m, k;
  const void *x;
  void *y;
} vector_product;

#define DEFINE_VECTOR_PRODUCT(suffix, type)                                                                               \
  static type dot_##suffix(const type *x, int64_t stride, const type *y, int64_t n) {                                     \
    double total = 0;                                                                                                     \
    while (n > 0) {                                                                                                       \
      int64_t n_block = smaller(n, BLOCK);                                                                                \
      type lanes[LANES] = {0};                                                                                            \
      int64_t i = 0;                                                                                                      \
      if (stride == 1) {                                                                                                  \
        for (; i + LANES <= n_block; i += LANES) {                                                                        \
          for (int l = 0; l < LANES; l++) lanes[l] += x[i + l] * y[i + l];                                                \
        }                                                                                                                 \
      }                                                                                                                   \
      for (; i < n_block; i++) total += (double)(x[i * stride] * y[i]);                                                   \
      for (int l = 0; l < LANES; l++) total += (double)lanes[l];                                                          \
      x += n_block * stride;                                                                                              \
      y += n_block;                                                                                                       \
      n -= n_block;                                                                                                       \
    }                                                                                                                     \
    return (type)total;                                                                                                   \
  }                                                                                                                       \
  /* (M,K)x(K) -> (M); x is dense. */                                                                                     \
  static void gemv_##suffix(const type *a, int64_t row, int64_t column, int64_t m, int64_t k, const type *x, type *y) {   \
    if (row != 1 || column == 1) {                                                                                        \
      for (int64_t i = 0; i < m; i++) y[i] = dot_##suffix(a + i * row, column, x, k);                                     \
      return;                                                                                                             \
    }                                                                                                                     \
    for (int64_t i = 0; i < m; i += TILE) {                                                                               \
      int64_t n = smaller(TILE, m - i);                                                                                   \
      double totals[TILE] = {0};                                                                                          \
      for (int64_t l = 0; l < k; l += KC) {                                                                               \
        type sums[TILE] = {0};                                                                                            \
        for (int64_t p = l; p < l + smaller(KC, k - l); p++) {                                                            \
          const type *source = a + i + p * column;                                                                        \
          type factor = x[p];                                                                                             \
          for (int64_t r = 0; r < n; r++) sums[r] += source[r] * factor;                                                  \
        }                                                                                                                 \
        for (int64_t r = 0; r < n; r++) totals[r] += (double)sums[r];                                                     \
      }                                                                                                                   \
      for (int64_t r = 0; r < n; r++) y[i + r] = (type)totals[r];                                                         \
    }                                                                                                                     \
  }                                                                                                                       \
  static void gemv_rows_##suffix(void *context, int64_t begin, int64_t end, int slot) {                                   \
    (void)slot;                                                                                                           \
    const vector_product *v = context;                                                                                    \
    gemv_##suffix((const type *)v->a + begin * v->row, v->row, v->column, end - begin, v->k, v->x, (type *)v->y + begin); \
  }                                                                                                                       \
  static void vector_product_##suffix(const tt_matmul *p, const void *a, const void *b, void *c, type *dense) {           \
    bool is_column = p->m != 1;                                                                                           \
    const type *vector = is_column ? b : a;                                                                               \
    int64_t stride = is_column ? p->b_row : p->a_column;                                                                  \
    for (int64_t i = 0; i < p->k; i++) dense[i] = vector[i * stride];                                                     \
    vector_product v = {.k = p->k, .x = dense, .y = c};                                                                   \
    if (is_column) {                                                                                                      \
      v.a = a, v.row = p->a_row, v.column = p->a_column, v.m = p->m;                                                      \
    } else {                                                                                                              \
      v.a = b, v.row = p->b_column, v.column = p->b_row, v.m = p->n;                                                      \
    }                                                                                                                     \
    tt_parallel_for(v.m, v.m *v.k < SHARED_VECTORS ? v.m : larger(1, v.m / (PARTS * tt_parallel_get_threads())),          \
                    gemv_rows_##suffix, &v);                                                                              \
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

/* A part of K and of the columns, which all rows go through. Its two steps are shared among threads: packing it, and multiplying the rows with it. */
typedef struct panel {
  const tt_matmul *p;
  plan use;
  const uint8_t *a, *b; /* its first column of A, its first element of B */
  uint8_t *c;           /* its first column */
  int64_t k, n;
  bool is_sum;                  /* other parts of K have been added up in c already */
  uint8_t *packed_a, *packed_b; /* packed_a: one part for each slot */
} panel;

/* The columns that are packed: all, or the last ones that do not fill a tile. */
static int64_t first_packed(const panel *on) { return on->use.packs_b ? 0 : on->n / on->use.width * on->use.width; }

static void pack_columns(void *context, int64_t begin, int64_t end, int slot) {
  (void)slot;
  const panel *on = context;
  const tt_matmul *p = on->p;
  int64_t bytes = on->use.item_bytes, width = on->use.width, first = first_packed(on);
  for (int64_t i = begin; i < end; i++) {
    int64_t s = first + i * width;
    on->use.tiles->pack(on->b + s * p->b_column * bytes, p->b_row, p->b_column, on->k, smaller(width, on->n - s), width,
                        on->packed_b + i * width * on->k * bytes);
  }
}

/* An item is a tile's height of rows. */
static void multiply_rows(void *context, int64_t begin, int64_t end, int slot) {
  const panel *on = context;
  const tt_matmul *p = on->p;
  const plan *use = &on->use;
  int64_t bytes = use->item_bytes, height = use->height, width = use->width, lanes = use->tiles->n_lanes, k = on->k;
  uint8_t *packed_a = on->packed_a + slot * use->packed_a * bytes;
  tt_tile tile = {.k = k, .n_runs = 1, .a_row = p->a_row, .c_row = p->c_row, .is_sum = on->is_sum};
  tt_tile_fn *run = use->packs_a ? use->tiles->packed : use->tiles->dense;
  int64_t first = first_packed(on), last_row = smaller(end * height, p->m), n_together = round_up(MC, height);
  for (int64_t i = begin * height; i < last_row; i += n_together) {
    const uint8_t *rows_a = on->a + i * p->a_row * bytes;
    tile.n_rows = smaller(n_together, last_row - i);
    tile.a = use->packs_a ? packed_a : rows_a;
    for (int64_t r = 0; use->packs_a && r < tile.n_rows; r += height) {
      use->tiles->pack(rows_a + r * p->a_row * bytes, p->a_column, p->a_row, k, smaller(height, tile.n_rows - r), height,
                       packed_a + r * k * bytes);
    }
    for (int64_t s = 0; s < on->n; s += width) {
      int64_t n_columns = smaller(width, on->n - s);
      tile.b[0] = s < first ? on->b + s * bytes : on->packed_b + (s - first) * k * bytes;
      tile.b_step = s < first ? p->b_row : width;
      tile.n_columns[0] = smaller(lanes, n_columns);
      tile.n_columns[1] = n_columns - tile.n_columns[0];
      tile.c[0] = on->c + (i * p->c_row + s) * bytes;
      tile.c[1] = (uint8_t *)tile.c[0] + lanes * bytes;
      run(&tile);
    }
  }
}

static void tile_product(const tt_matmul *p, const uint8_t *a, const uint8_t *b, uint8_t *c, uint8_t *scratch) {
  panel on = {.p = p, .use = plan_of(p)};
  int64_t bytes = on.use.item_bytes, height = on.use.height, width = on.use.width;
  on.packed_b = scratch, on.packed_a = scratch + on.use.packed_b * bytes;
  int64_t n_tall = (p->m + height - 1) / height;
  bool is_shared = n_workers(p) > 1;
  for (int64_t j = 0; j < p->n; j += NC) {
    on.n = smaller(NC, p->n - j);
    on.c = c + j * bytes;
    for (int64_t l = 0; l < p->k; l += KC) {
      on.k = smaller(KC, p->k - l);
      on.is_sum = l > 0;
      on.a = a + l * p->a_column * bytes;
      on.b = b + (l * p->b_row + j * p->b_column) * bytes;
      int64_t n_wide = (on.n - first_packed(&on) + width - 1) / width;
      tt_parallel_for(n_wide, is_shared ? PACKED_TOGETHER : n_wide, pack_columns, &on);
      tt_parallel_for(n_tall, is_shared ? larger(1, TAKEN_WORK / (height * on.k * on.n)) : n_tall, multiply_rows, &on);
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
  return (size_t)((is_vector_product(p) ? p->k : use.packed_a * n_workers(p) + use.packed_b) * use.item_bytes);
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

/* Several products, shared among threads when one alone is too small for that. */
typedef struct products {
  const tt_matmul *p;
  uint8_t *scratch;
  size_t scratch_bytes; /* of each slot */
} products;

static int n_product_workers(const tt_matmul *p, int64_t n_products) {
  if (n_products == 1 || n_workers(p) > 1) return 1;
  return workers_for((double)p->m * (double)p->n * (double)p->k * (double)n_products);
}

static void run_products(void *context, int64_t begin, int64_t end, int slot) {
  const products *all = context;
  const tt_matmul *p = all->p;
  int64_t element_bytes = (int64_t)tt_dtype_bytes(p->dtype);
  const uint8_t *a = p->a, *b = p->b;
  uint8_t *c = (uint8_t *)p->c + begin * p->c_block * element_bytes;
  int64_t counter[TT_MAX_DIMS] = {0}, rest = begin;
  for (int d = p->n_batch_dims - 1; d >= 0; d--) {
    counter[d] = rest % p->batch_sizes[d];
    rest /= p->batch_sizes[d];
    a += counter[d] * p->a_batch[d] * element_bytes;
    b += counter[d] * p->b_batch[d] * element_bytes;
  }
  for (int64_t i = begin; i < end; i++) {
    rows[p->dtype].product(p, a, b, c, all->scratch + (size_t)slot * all->scratch_bytes);
    c += p->c_block * element_bytes;
    for (int d = p->n_batch_dims - 1; d >= 0; d--) {
      a += p->a_batch[d] * element_bytes;
      b += p->b_batch[d] * element_bytes;
      if (++counter[d] < p->batch_sizes[d]) break;
      a -= p->batch_sizes[d] * p->a_batch[d] * element_bytes;
      b -= p->batch_sizes[d] * p->b_batch[d] * element_bytes;
      counter[d] = 0;
    }
  }
}

static size_t one_scratch_bytes(const tt_matmul *p) { return (rows[p->dtype].scratch_bytes(p) + 63) / 64 * 64; }

size_t tt_matmul_scratch_bytes(const tt_matmul *product) {
  return one_scratch_bytes(product) * (size_t)n_product_workers(product, count_products(product));
}

void tt_matmul_run_in(const tt_matmul *product, void *scratch) {
  int64_t n_products = count_products(product), workers = n_product_workers(product, n_products);
  products all = {.p = product, .scratch = scratch, .scratch_bytes = one_scratch_bytes(product)};
  tt_parallel_for(n_products, workers > 1 ? larger(1, n_products / (PARTS * workers)) : n_products, run_products, &all);
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
