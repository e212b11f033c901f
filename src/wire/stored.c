#include "wire/stored.h"

#include <string.h>

/* Elements are files' bytes in the tensor's memory, so that most types are one copy. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements are copied as they stand: little-endian machines only");

static inline uint8_t swapped_1(uint8_t bits) { return bits; }
static inline uint16_t swapped_2(uint16_t bits) { return (uint16_t)(bits >> 8 | bits << 8); }
static inline uint32_t swapped_4(uint32_t bits) {
  return (uint32_t)swapped_2((uint16_t)bits) << 16 | swapped_2((uint16_t)(bits >> 16));
}
static inline uint64_t swapped_8(uint64_t bits) {
  return (uint64_t)swapped_4((uint32_t)bits) << 32 | swapped_4((uint32_t)(bits >> 32));
}

static inline float f32_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline float f32_of_bfloat16(uint16_t bits) { return f32_of_bits((uint32_t)bits << 16); }

static inline float f32_of_half(uint16_t bits) {
  const uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 0x1F, fraction = bits & 0x3FF;
  if (exponent == 0x1F) return f32_of_bits(sign | 0x7F800000 | fraction << 13);
  if (exponent != 0) return f32_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
  /* Subnormal: whole steps of 2^-24, which float32 holds. */
  const float magnitude = (float)fraction * 0x1p-24f;
  return sign != 0 ? -magnitude : magnitude;
}

/* The bits themselves, and what they stand for. */
#define SAME(bits) (bits)
#define NOT_ZERO(bits) ((bits) != 0)
#define AS_INT8(bits) ((int32_t)(int8_t)(bits))
#define AS_INT16(bits) ((int32_t)(int16_t)(bits))
#define AS_WIDER(bits) (bits)

/* X(symbol, .npy kind, bytes, type of the bits, dtype, type of the dtype's element or bits, is_exact, safetensors' name, .npy name, meaning of the bits) */
#define STORED_LIST(X)                                                      \
  X(bool, 'b', 1, uint8_t, BOOL, uint8_t, true, "BOOL", "|b1", NOT_ZERO)    \
  X(u8, 'u', 1, uint8_t, U8, uint8_t, true, "U8", "|u1", SAME)              \
  X(i8, 'i', 1, uint8_t, I32, int32_t, false, "I8", "|i1", AS_INT8)         \
  X(i16, 'i', 2, uint16_t, I32, int32_t, false, "I16", "<i2", AS_INT16)     \
  X(u16, 'u', 2, uint16_t, I32, int32_t, false, "U16", "<u2", AS_WIDER)     \
  X(i32, 'i', 4, uint32_t, I32, uint32_t, true, "I32", "<i4", SAME)         \
  X(u32, 'u', 4, uint32_t, I64, int64_t, false, "U32", "<u4", AS_WIDER)     \
  X(i64, 'i', 8, uint64_t, I64, uint64_t, true, "I64", "<i8", SAME)         \
  X(f16, 'f', 2, uint16_t, F32, float, false, "F16", "<f2", f32_of_half)    \
  X(bf16, 0, 2, uint16_t, F32, float, false, "BF16", NULL, f32_of_bfloat16) \
  X(f32, 'f', 4, uint32_t, F32, uint32_t, true, "F32", "<f4", SAME)         \
  X(f64, 'f', 8, uint64_t, F64, uint64_t, true, "F64", "<f8", SAME)

#define STORED_LOAD(symbol, kind, bytes, bits_type, dtype, to_type, is_exact, name, npy_name, meaning) \
  static void load_##symbol(void *to, const uint8_t *from, int64_t n, bool is_swapped) {               \
    to_type *y = to;                                                                                   \
    for (int64_t i = 0; i < n; i++) {                                                                  \
      bits_type bits;                                                                                  \
      memcpy(&bits, from + i * (bytes), sizeof bits);                                                  \
      if (is_swapped) bits = swapped_##bytes(bits);                                                    \
      y[i] = meaning(bits);                                                                            \
    }                                                                                                  \
  }
STORED_LIST(STORED_LOAD)
#undef STORED_LOAD

static const tt_stored rows[] = {
#define STORED_ROW(symbol, kind, bytes, bits_type, element_dtype, to_type, exact, safetensors_name, npy, meaning) \
  {.npy_kind = kind,                                                                                              \
   .n_bytes = bytes,                                                                                              \
   .dtype = TT_DTYPE_##element_dtype,                                                                             \
   .is_exact = exact,                                                                                             \
   .name = safetensors_name,                                                                                      \
   .npy_name = npy,                                                                                               \
   .load = load_##symbol},
    STORED_LIST(STORED_ROW)
#undef STORED_ROW
};
enum { N_ROWS = sizeof rows / sizeof *rows };

const tt_stored *tt_stored_by_npy(char kind, size_t n_bytes) {
  for (int i = 0; i < N_ROWS; i++) {
    if (kind != 0 && rows[i].npy_kind == kind && rows[i].n_bytes == n_bytes) return &rows[i];
  }
  return NULL;
}

const tt_stored *tt_stored_by_name(const char *name, size_t n_bytes) {
  for (int i = 0; i < N_ROWS; i++) {
    if (strlen(rows[i].name) == n_bytes && memcmp(rows[i].name, name, n_bytes) == 0) return &rows[i];
  }
  return NULL;
}

const tt_stored *tt_stored_of(tt_dtype dtype) {
  int i = 0;
  while (rows[i].dtype != dtype || !rows[i].is_exact) i++;
  return &rows[i];
}

/* A row-major tensor of the reversed shape, seen with its dimensions in the right order. Takes over `reversed`. */
static tt_tensor *turned(tt_tensor *reversed, const tt_shape *shape, tt_error *error) {
  int64_t strides[TT_MAX_DIMS];
  for (int i = 0; i < shape->n_dims; i++) strides[i] = reversed->strides[shape->n_dims - 1 - i];
  tt_tensor *view = tt_tensor_view(reversed, shape, strides, 0, error);
  tt_tensor_unref(reversed);
  return view;
}

tt_tensor *tt_stored_tensor(const tt_stored *stored, const tt_shape *shape, const uint8_t *bytes, bool is_swapped,
                            bool is_column_major, tt_error *error) {
  tt_shape in_memory = *shape;
  for (int i = 0; is_column_major && i < shape->n_dims; i++) in_memory.dims[i] = shape->dims[shape->n_dims - 1 - i];
  tt_tensor *tensor = tt_tensor_new(stored->dtype, &in_memory, error);
  if (tensor == NULL) return NULL;
  stored->load(tt_tensor_data(tensor), bytes, tt_tensor_n_elements(tensor), is_swapped && stored->n_bytes > 1);
  return is_column_major && shape->n_dims > 1 ? turned(tensor, shape, error) : tensor;
}
