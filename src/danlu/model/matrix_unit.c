/* Passes for processors with a unit for products of bfloat16 matrices (AMX), compiled and loaded with kernels.c. A tile
 * holds 16 lines of 64 bytes; a product takes 16 x 32 numbers and 32 x 16, the latter as 16 lines of 16 pairs. All sums
 * are float, and each is made in the same order whatever the number of threads is. */
#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__linux__)
#include <immintrin.h>
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#define DEPTH 256 /* tokens that are packed and multiplied at a time; a multiple of 32 */
#define LARGEST 512 /* rows and columns of the result that a thread sums at a time; a multiple of 32 */
#define TILE 512 /* numbers of a tile of bfloat16 */

typedef struct {
  uint8_t palette, start, reserved[14];
  uint16_t bytes[16];
  uint8_t rows[16];
} __attribute__((aligned(64))) Tiles;

/* Asks the system for the unit (ARCH_REQ_XCOMP_PERM of its tiles): whether this process may use it. */
long matrix_unit(void) { return syscall(SYS_arch_prctl, 0x1023, 18) == 0; }

/* This thread's tiles are all 16 lines of 64 bytes; returns how they were, which another library may not set again. */
static Tiles take_unit(void) {
  Tiles before, mine = {.palette = 1};
  _tile_storeconfig(&before);
  for (int i = 0; i < 8; i++) mine.bytes[i] = 64, mine.rows[i] = 16;
  _tile_loadconfig(&mine);
  return before;
}

static void leave_unit(const Tiles *before) {
  if (before->palette)
    _tile_loadconfig(before);
  else
    _tile_release();
}

static inline long rounded(long n, long step) { return (n + step - 1) / step * step; }

/* 16 lines of 16 pairs, transposed in place. */
static inline void transpose(__m512i r[16]) {
  __m512i s[16];
  for (int i = 0; i < 16; i += 2) {
    s[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    s[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(s[i], s[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(s[i], s[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(s[i + 1], s[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(s[i + 1], s[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    s[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    s[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    s[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    s[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; i++) {
    r[i] = _mm512_shuffle_i32x4(s[i], s[i + 8], 0x88);
    r[i + 4] = _mm512_shuffle_i32x4(s[i + 4], s[i + 12], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(s[i], s[i + 8], 0xdd);
    r[i + 12] = _mm512_shuffle_i32x4(s[i + 4], s[i + 12], 0xdd);
  }
}

/* One row of 16 columns; zeros where there is none. */
static inline __m512i line(const uint16_t *from, __mmask16 columns, int there) {
  return there ? _mm512_castsi256_si512(_mm256_maskz_loadu_epi16(columns, from)) : _mm512_setzero_si512();
}

/* 32 rows of 16 columns as a tile of 16 lines: a line is a column (across), or 16 pairs of two rows. Rows and columns
 * beyond those that there are become zeros. */
static inline void pack(const uint16_t *from, long stride, long rows, long columns, uint16_t *to, int across) {
  static const uint16_t order[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                     8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  __m512i pairs = _mm512_loadu_si512(order), r[16];
  __mmask16 mask = columns >= 16 ? 0xffff : (__mmask16)((1u << columns) - 1);
  for (int i = 0; i < 16; i++) {
    const uint16_t *at = from + 2 * i * stride;
    r[i] = _mm512_permutex2var_epi16(line(at, mask, 2 * i < rows), pairs, line(at + stride, mask, 2 * i + 1 < rows));
  }
  if (across) transpose(r);
  for (int i = 0; i < 16; i++) _mm512_storeu_si512(to + 32 * i, r[i]);
}

/* 16 rows of 32 columns as a tile of 16 lines of 16 pairs of columns: a product with it is one with the rows' transpose. */
static inline void pack_turned(const uint16_t *from, long stride, uint16_t *to) {
  __m512i r[16];
  for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(from + i * stride);
  transpose(r);
  for (int i = 0; i < 16; i++) _mm512_storeu_si512(to + 32 * i, r[i]);
}

/* 32 x 32 sums in tiles 0 to 3: loaded, or begun with zeros where there are none; and stored. */
static inline void load_sums(const float *c, long stride) {
  _tile_loadd(0, c, stride * 4);
  _tile_loadd(1, c + 16, stride * 4);
  _tile_loadd(2, c + 16 * stride, stride * 4);
  _tile_loadd(3, c + 16 * stride + 16, stride * 4);
}
static inline void no_sums(void) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}
static inline void store_sums(float *c, long stride) {
  _tile_stored(0, c, stride * 4);
  _tile_stored(1, c + 16, stride * 4);
  _tile_stored(2, c + 16 * stride, stride * 4);
  _tile_stored(3, c + 16 * stride + 16, stride * 4);
}

/* Adds the product of 32 x 32 numbers, two tiles of 16 rows that are a stride apart, and 32 x 32, two packed tiles. */
static inline void multiply(const uint16_t *upper, const uint16_t *lower, long stride, const uint16_t *left,
                            const uint16_t *right) {
  _tile_loadd(4, upper, stride * 2);
  _tile_loadd(6, left, 64);
  _tile_loadd(5, lower, stride * 2);
  _tile_loadd(7, right, 64);
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

/* The gradient of a linear map's weights, out = g^T x for g (tokens, height) and x (tokens, width): libraries read both
 * across the grain, at a third of the speed of the other two products. Tokens are packed DEPTH at a time into the
 * caches. */
void weight_gradient_bf16(const uint16_t *g, const uint16_t *x, uint16_t *out, long tokens, long height, long width) {
  long down = (height + LARGEST - 1) / LARGEST, right = (width + LARGEST - 1) / LARGEST;
  long threads = omp_get_max_threads();
  while (down * right % threads && down * right < 4 * threads && (height > 32 * down || width > 32 * right))
    if (height * right >= width * down) down++; /* the longer side is cut, until every thread has as many */
    else right++;
  long high = rounded((height + down - 1) / down, 32), wide = rounded((width + right - 1) / right, 32);
#pragma omp parallel
  {
    Tiles before = take_unit();
    float *sum = aligned_alloc(64, high * wide * 4);
    uint16_t *a = aligned_alloc(64, high * DEPTH * 2), *b = aligned_alloc(64, wide * DEPTH * 2);
#pragma omp for schedule(static)
    for (long block = 0; block < down * right; block++) {
      long top = block / right * high, left = block % right * wide;
      long h = height - top < high ? height - top : high, w = width - left < wide ? width - left : wide;
      if (h <= 0 || w <= 0) continue;
      long tall = rounded(h, 32), broad = rounded(w, 32);
      memset(sum, 0, tall * broad * 4);
      for (long first = 0; first < tokens; first += DEPTH) {
        long depth = tokens - first < DEPTH ? tokens - first : DEPTH, steps = (depth + 31) / 32;
        for (long s = 0; s < steps; s++) {
          long t = first + 32 * s, left_over = tokens - t;
          for (long i = 0; i < tall; i += 16)
            pack(g + t * height + top + i, height, i < h ? left_over : 0, h - i, a + (i / 16 * steps + s) * TILE, 1);
          for (long j = 0; j < broad; j += 16)
            pack(x + t * width + left + j, width, j < w ? left_over : 0, w - j, b + (j / 16 * steps + s) * TILE, 0);
        }
        for (long j = 0; j < broad; j += 32)
          for (long i = 0; i < tall; i += 32) {
            float *c = sum + i * broad + j;
            const uint16_t *a0 = a + i / 16 * steps * TILE, *b0 = b + j / 16 * steps * TILE;
            load_sums(c, broad);
            for (long s = 0; s < steps; s++)
              multiply(a0 + s * TILE, a0 + (steps + s) * TILE, 32, b0 + s * TILE, b0 + (steps + s) * TILE);
            store_sums(c, broad);
          }
      }
      for (long i = 0; i < h; i++)
        for (long j = 0; j < w; j++) {
          uint32_t bits;
          memcpy(&bits, sum + i * broad + j, 4);
          out[(top + i) * width + left + j] = (uint16_t)((bits + 0x8000) >> 16);
        }
    }
    free(sum);
    free(a);
    free(b);
    leave_unit(&before);
  }
}

/* Attention over rows of tokens, 32 queries by 32 keys at a time; blocks that no query sees are passed over. What a
 * query sees is as causal_softmax_forward in kernels.c has it: the keys from its start up to itself, and those that are
 * shared with it. Heads (q, k, v and their gradients) are (batch heads, time, dim), the result and its gradient
 * (batch, time, heads dim); dim is a multiple of 32. */
typedef struct {
  const int64_t *starts, *shared; /* (batch, time), (batch, time, 2); NULL: 0, and none */
  long time;
  float scale; /* of the scores, times log2(e): powers are of 2 */
} Sight;

/* The first n of 32 bits. */
static inline uint32_t below(int64_t n) { return (uint32_t)((1ull << (n < 0 ? 0 : n > 32 ? 32 : n)) - 1); }

/* The blocks of keys that the 32 queries from `first` on see some of, and of each which keys every query sees, a bit each;
 * returns how many blocks there are. */
static long blocks_seen(const Sight *z, long row, long first, int32_t *blocks, uint32_t *seen) {
  long count = 0, rows = z->time - first < 32 ? z->time - first : 32, at = row * z->time + first;
  int64_t start[32] = {0}, early[32] = {0}, behind[32] = {0};
  for (long i = 0; i < rows; i++) {
    if (z->starts) start[i] = z->starts[at + i];
    if (z->shared) early[i] = z->shared[2 * (at + i)], behind[i] = z->shared[2 * (at + i) + 1];
  }
  for (long block = 0; block <= first / 32; block++) {
    uint32_t any = 0, *mine = seen + 32 * count;
    int64_t key = 32 * block;
    for (long i = 0; i < 32; i++) {
      uint32_t bits = below(first + i + 1 - key) & ~below(start[i] - key);
      bits |= below(behind[i] - key) & ~below(early[i] - key);
      mine[i] = i < rows ? bits : 0;
      any |= mine[i];
    }
    if (any) blocks[count++] = (int32_t)block;
  }
  return count;
}

/* 2^x for x <= 0 or a little above: Taylor's series to the fifth power for the rest to the nearest whole number, relative
 * error below 3e-6. */
static inline __m512 power_of_two(__m512 x) {
  __m512 whole = _mm512_roundscale_ps(x, 8), r = _mm512_sub_ps(x, whole);
  __m512 p = _mm512_set1_ps(1.33335581e-3f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.61812911e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.55041087e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.40226507e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.93147181e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, whole);
}

static inline __m512i in_bf16(__m512 lower, __m512 upper) { return (__m512i)_mm512_cvtne2ps_pbh(upper, lower); }

static inline __m512 wide(const uint16_t *from) { /* 16 numbers */
  __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}

/* The rows of one head, `stride` apart, as `padded` rows without gaps, the last of them zeros. */
static inline const uint16_t *in_rows(const uint16_t *from, long stride, long rows, long padded, long dim, uint16_t *to) {
  if (stride == dim && rows == padded) return from;
  for (long t = 0; t < rows; t++) memcpy(to + t * dim, from + t * stride, dim * 2);
  memset(to + rows * dim, 0, (padded - rows) * dim * 2);
  return to;
}

/* Packed for a product with the rows' transpose: [row / 16][column / 32]. */
static inline void pack_transpose(const uint16_t *rows, long padded, long dim, uint16_t *to) {
  for (long t = 0; t < padded; t += 16)
    for (long i = 0; i < dim; i += 32, to += TILE) pack_turned(rows + t * dim + i, dim, to);
}

/* Packed for a product with the rows: [row / 32][column / 16]. */
static inline void pack_rows(const uint16_t *rows, long padded, long dim, uint16_t *to) {
  for (long t = 0; t < padded; t += 32)
    for (long i = 0; i < dim; i += 16, to += TILE) pack(rows + t * dim + i, dim, 32, 16, to, 0);
}

/* 32 rows times the transpose of block number `block` of 32 rows: 32 x 32 sums. */
static inline void block_of_scores(const uint16_t *rows, const uint16_t *packed, long block, long dim, float *sums,
                                   long stride) {
  const uint16_t *left = packed + block * 2 * (dim / 32) * TILE, *right = left + dim / 32 * TILE;
  no_sums();
  for (long i = 0; i < dim / 32; i++)
    multiply(rows + 32 * i, rows + 16 * dim + 32 * i, dim, left + i * TILE, right + i * TILE);
  store_sums(sums, stride);
}

/* Weights (32 x 32 count) times some blocks of packed rows: 32 x dim sums. */
static inline void mixed(const uint16_t *weights, long stride, const uint16_t *packed, const int32_t *blocks, long count,
                         long dim, float *sums) {
  for (long i = 0; i < dim; i += 32) {
    no_sums();
    for (long n = 0; n < count; n++) {
      const uint16_t *at = packed + (blocks[n] * (dim / 16) + i / 16) * TILE;
      multiply(weights + 32 * n, weights + 16 * stride + 32 * n, stride, at, at + TILE);
    }
    store_sums(sums + i, dim);
  }
}

/* 32 rows of sums times a factor each, as rows of bfloat16 that are `stride` apart. */
static inline void put(const float *sums, const float *factors, long rows, long dim, uint16_t *to, long stride) {
  for (long r = 0; r < rows; r++) {
    __m512 factor = _mm512_set1_ps(factors ? factors[r] : 1.0f);
    for (long i = 0; i < dim; i += 32) {
      const float *from = sums + r * dim + i;
      __m512 lower = _mm512_mul_ps(_mm512_load_ps(from), factor), upper = _mm512_mul_ps(_mm512_load_ps(from + 16), factor);
      _mm512_storeu_si512(to + r * stride + i, in_bf16(lower, upper));
    }
  }
}

/* Each query's result, and for the way back the logarithm (to base 2) of its powers' sum. */
void attention_forward_bf16(const uint16_t *q, const uint16_t *k, const uint16_t *v, const int64_t *starts,
                            const int64_t *shared, uint16_t *out, float *logs, long batch, long heads, long time,
                            long dim, float scale) {
  Sight z = {starts, shared, time, scale * 1.44269504f};
  long padded = rounded(time, 32), room = padded * dim;
#pragma omp parallel
  {
    Tiles before = take_unit();
    uint16_t *copies = aligned_alloc(64, 5 * room * 2), *keys = copies + 3 * room, *values = keys + room;
    uint16_t *weights = aligned_alloc(64, 32 * padded * 2);
    float *scores = aligned_alloc(64, 32 * padded * 4), *sums = aligned_alloc(64, 32 * dim * 4), inverse[32];
    uint32_t *seen = aligned_alloc(64, padded * 4);
    int32_t *blocks = aligned_alloc(64, rounded(padded / 32, 16) * 4);
#pragma omp for schedule(static)
    for (long head = 0; head < batch * heads; head++) {
      long row = head / heads, at = head * time * dim;
      const uint16_t *qh = in_rows(q + at, dim, time, padded, dim, copies);
      pack_transpose(in_rows(k + at, dim, time, padded, dim, copies + room), padded, dim, keys);
      pack_rows(in_rows(v + at, dim, time, padded, dim, copies + 2 * room), padded, dim, values);
      for (long first = 0; first < time; first += 32) {
        long count = blocks_seen(&z, row, first, blocks, seen), stride = 32 * count;
        long rows = time - first < 32 ? time - first : 32;
        for (long n = 0; n < count; n++)
          block_of_scores(qh + first * dim, keys, blocks[n], dim, scores + 32 * n, stride);
        for (long r = 0; r < 32; r++) {
          const float *mine = scores + r * stride;
          __m512 top = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps(), factor = _mm512_set1_ps(z.scale);
          for (long n = 0; n < count; n++) {
            uint32_t mask = seen[32 * n + r];
            top = _mm512_mask_max_ps(top, (__mmask16)mask, top, _mm512_load_ps(mine + 32 * n));
            top = _mm512_mask_max_ps(top, (__mmask16)(mask >> 16), top, _mm512_load_ps(mine + 32 * n + 16));
          }
          float most = r < rows ? _mm512_reduce_max_ps(top) * z.scale : 0.0f;
          __m512 less = _mm512_set1_ps(most);
          for (long n = 0; n < count; n++) {
            uint32_t mask = seen[32 * n + r];
            __m512 lower = power_of_two(_mm512_fmsub_ps(_mm512_load_ps(mine + 32 * n), factor, less));
            __m512 upper = power_of_two(_mm512_fmsub_ps(_mm512_load_ps(mine + 32 * n + 16), factor, less));
            lower = _mm512_maskz_mov_ps((__mmask16)mask, lower);
            upper = _mm512_maskz_mov_ps((__mmask16)(mask >> 16), upper);
            sum = _mm512_add_ps(sum, _mm512_add_ps(lower, upper));
            _mm512_store_si512(weights + r * stride + 32 * n, in_bf16(lower, upper));
          }
          if (r >= rows) continue;
          float total = _mm512_reduce_add_ps(sum);
          inverse[r] = 1.0f / total;
          logs[head * time + first + r] = most + log2f(total);
        }
        mixed(weights, stride, values, blocks, count, dim, sums);
        put(sums, inverse, rows, dim, out + ((row * time + first) * heads + head % heads) * dim, heads * dim);
      }
    }
    free(copies);
    free(weights);
    free(scores);
    free(sums);
    free(seen);
    free(blocks);
    leave_unit(&before);
  }
}

/* The gradients of queries, keys and values; the weights are made again from the scores. A block's weights and their
 * scores' gradients are kept, turned, until all queries have been seen: the gradients of its keys are then one sum. */
void attention_backward_bf16(const uint16_t *grad, const uint16_t *q, const uint16_t *k, const uint16_t *v,
                             const uint16_t *out, const float *logs, const int64_t *starts, const int64_t *shared,
                             uint16_t *dq, uint16_t *dk, uint16_t *dv, long batch, long heads, long time, long dim,
                             float scale) {
  Sight z = {starts, shared, time, scale * 1.44269504f};
  long padded = rounded(time, 32), room = padded * dim, tiles = padded / 32, most = tiles * (tiles + 1) / 2;
#pragma omp parallel
  {
    Tiles before = take_unit();
    uint16_t *copies = aligned_alloc(64, 9 * room * 2), *keys = copies + 4 * room, *values = keys + room;
    uint16_t *key_rows = values + room, *query_rows = key_rows + room, *grad_rows = query_rows + room;
    uint16_t *weights = aligned_alloc(64, 2048), *changes = aligned_alloc(64, 32 * padded * 2);
    uint16_t *turned = aligned_alloc(64, most * 4096), *turned_changes = turned + most * 1024;
    float *scores = aligned_alloc(64, 4096), *towards = aligned_alloc(64, 4096), dots[32];
    float *sums = aligned_alloc(64, 32 * dim * 4);
    uint32_t *seen = aligned_alloc(64, padded * 4);
    int32_t *blocks = aligned_alloc(64, rounded(padded / 32, 16) * 4);
    uint8_t *there = malloc(most);
#pragma omp for schedule(static)
    for (long head = 0; head < batch * heads; head++) {
      long row = head / heads, at = head * time * dim, wide_at = (row * time * heads + head % heads) * dim;
      const uint16_t *qh = in_rows(q + at, dim, time, padded, dim, copies);
      const uint16_t *kh = in_rows(k + at, dim, time, padded, dim, copies + room);
      const uint16_t *vh = in_rows(v + at, dim, time, padded, dim, copies + 2 * room);
      const uint16_t *gh = in_rows(grad + wide_at, heads * dim, time, padded, dim, copies + 3 * room);
      pack_transpose(kh, padded, dim, keys);
      pack_transpose(vh, padded, dim, values);
      pack_rows(kh, padded, dim, key_rows);
      pack_rows(qh, padded, dim, query_rows);
      pack_rows(gh, padded, dim, grad_rows);
      memset(there, 0, most);
      for (long tile = 0; tile < tiles; tile++) {
        long first = 32 * tile, count = blocks_seen(&z, row, first, blocks, seen), stride = 32 * count;
        long rows = time - first < 32 ? time - first : 32;
        for (long r = 0; r < rows; r++) {
          const uint16_t *g = gh + (first + r) * dim, *o = out + wide_at + (first + r) * heads * dim;
          __m512 dot = _mm512_setzero_ps();
          for (long i = 0; i < dim; i += 16) dot = _mm512_fmadd_ps(wide(g + i), wide(o + i), dot);
          dots[r] = _mm512_reduce_add_ps(dot);
        }
        for (long n = 0; n < count; n++) {
          block_of_scores(qh + first * dim, keys, blocks[n], dim, scores, 32);
          block_of_scores(gh + first * dim, values, blocks[n], dim, towards, 32);
          for (long r = 0; r < 32; r++) {
            uint32_t mask = seen[32 * n + r];
            __m512 factor = _mm512_set1_ps(z.scale), less = _mm512_set1_ps(r < rows ? logs[head * time + first + r] : 0.0f);
            __m512 dot = _mm512_set1_ps(r < rows ? dots[r] : 0.0f), times = _mm512_set1_ps(scale), p[2], d[2];
            for (int half = 0; half < 2; half++) {
              __m512 power = power_of_two(_mm512_fmsub_ps(_mm512_load_ps(scores + 32 * r + 16 * half), factor, less));
              p[half] = _mm512_maskz_mov_ps((__mmask16)(mask >> 16 * half), power);
              __m512 change = _mm512_sub_ps(_mm512_load_ps(towards + 32 * r + 16 * half), dot);
              d[half] = _mm512_mul_ps(_mm512_mul_ps(p[half], times), change);
            }
            _mm512_store_si512(weights + 32 * r, in_bf16(p[0], p[1]));
            _mm512_store_si512(changes + r * stride + 32 * n, in_bf16(d[0], d[1]));
          }
          long place = tile * (tile + 1) / 2 + blocks[n];
          there[place] = 1;
          for (long i = 0; i < 2; i++) {
            pack(weights + 16 * i, 32, 32, 16, turned + place * 1024 + i * TILE, 1);
            pack(changes + 32 * n + 16 * i, stride, 32, 16, turned_changes + place * 1024 + i * TILE, 1);
          }
        }
        mixed(changes, stride, key_rows, blocks, count, dim, sums);
        put(sums, NULL, rows, dim, dq + at + first * dim, dim);
      }
      for (long block = 0; block < tiles; block++) {
        long first = 32 * block, rows = time - first < 32 ? time - first : 32;
        for (int of_values = 0; of_values < 2; of_values++) {
          const uint16_t *kept = of_values ? turned : turned_changes, *packed = of_values ? grad_rows : query_rows;
          for (long i = 0; i < dim; i += 32) {
            no_sums();
            for (long tile = block; tile < tiles; tile++) {
              long place = tile * (tile + 1) / 2 + block;
              const uint16_t *a = kept + place * 1024, *b = packed + (tile * (dim / 16) + i / 16) * TILE;
              if (there[place]) multiply(a, a + TILE, 32, b, b + TILE);
            }
            store_sums(sums + i, dim);
          }
          put(sums, NULL, rows, dim, (of_values ? dv : dk) + at + first * dim, dim);
        }
      }
    }
    free(copies);
    free(weights);
    free(changes);
    free(turned);
    free(scores);
    free(towards);
    free(sums);
    free(seen);
    free(blocks);
    free(there);
    leave_unit(&before);
  }
}
#endif
