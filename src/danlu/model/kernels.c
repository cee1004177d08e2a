/* Fused passes for the CPU between the matrix products, which stay with the framework's library.
 *
 * Compiled once a machine by kernels.py (about two seconds, any shape), where compiling the traced model costs twenty
 * seconds a shape. This file is included twice: NUMBER is float or the 16 bits of a bfloat16. All arithmetic is
 * float. Rows are shared out statically, so results do not change from run to run with the same number of threads.
 */
#ifndef NUMBER
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CAT2(a, b) a##b
#define CAT(a, b) CAT2(a, b)
#define NAME(base) CAT(base, SUFFIX)
#define TILE 4 /* positions of a cache that are read together */

static inline float from_bf16(uint16_t x) {
  uint32_t bits = (uint32_t)x << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
static inline uint16_t to_bf16(float x) { /* to nearest; ties, one value in 65536, away from zero: half the work */
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return (uint16_t)((bits + 0x8000) >> 16);
}

/* exp by 2^n e^r with Cephes' polynomial for |r| <= ln 2 / 2: relative error below 2e-7, and every compiler turns it
 * into vector code. */
static inline float exponential(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  float n = floorf(x * 1.44269504f + 0.5f), r = x - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  int32_t bits = ((int32_t)n + 127) << 23;
  float power;
  memcpy(&power, &bits, 4);
  return p * power;
}

/* -log(1 - u) for u = bits / 2^31, 0 < bits < 2^31: a series where u is small, else Cephes' polynomial for log. */
static inline float exponential_variate(int32_t bits) {
  float u = (float)bits * 0x1p-31f, c = (float)(0x7fffffff - bits + 1) * 0x1p-31f;
  float near = u * (1.0f + u * (0.5f + u * (0.333333333f + u * 0.25f)));
  int32_t pattern;
  memcpy(&pattern, &c, 4);
  int32_t exponent = (pattern >> 23) - 126;
  pattern = (pattern & 0x007fffff) | 0x3f000000;
  float m; /* c = m 2^exponent, 1/2 <= m < 1 */
  memcpy(&m, &pattern, 4);
  int small = m < 0.707106781f;
  exponent -= small;
  m = small ? m + m - 1.0f : m - 1.0f;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  float far = -(m + m * m * (p * m - 0.5f) + (float)exponent * 0.693147181f);
  return u < 0.004f ? near : far;
}

/* Common head sizes as constants: the compiler then unrolls loops that are too short for their own bookkeeping. */
#define FOR_EACH_SIZE(call) \
  switch (dim) { \
    case 32: call(32); break; \
    case 64: call(64); break; \
    case 128: call(128); break; \
    default: call(dim); \
  }

#define NUMBER float
#define SUFFIX _fp32
#define LOAD(x) (x)
#define STORE(x) (x)
#include "kernels.c"
#undef NUMBER
#undef SUFFIX
#undef LOAD
#undef STORE
#define NUMBER uint16_t
#define SUFFIX _bf16
#define LOAD(x) from_bf16(x)
#define STORE(x) to_bf16(x)
#include "kernels.c"
#else

/* y = x / rms(x) * weight, a row at a time; rstd keeps 1 / rms. */
void NAME(rms_norm_forward)(const NUMBER *x, const float *weight, NUMBER *y, float *rstd, long rows, long width,
                            float eps) {
#pragma omp parallel for schedule(static)
  for (long r = 0; r < rows; r++) {
    const NUMBER *xr = x + r * width;
    NUMBER *yr = y + r * width;
    float sum = 0;
    for (long i = 0; i < width; i++) sum += LOAD(xr[i]) * LOAD(xr[i]);
    float scale = 1.0f / sqrtf(sum / width + eps);
    rstd[r] = scale;
    for (long i = 0; i < width; i++) yr[i] = STORE(LOAD(xr[i]) * scale * weight[i]);
  }
}

/* dx and, summed over rows, dweight. partial: threads x width, zeroed by the caller. */
void NAME(rms_norm_backward)(const NUMBER *dy, const NUMBER *x, const float *weight, const float *rstd, NUMBER *dx,
                             float *partial, long rows, long width) {
#pragma omp parallel
  {
    float *dweight = partial + omp_get_thread_num() * width;
#pragma omp for schedule(static)
    for (long r = 0; r < rows; r++) {
      const NUMBER *xr = x + r * width, *dyr = dy + r * width;
      NUMBER *dxr = dx + r * width;
      float scale = rstd[r], dot = 0;
      for (long i = 0; i < width; i++) {
        float normed = LOAD(xr[i]) * scale, g = LOAD(dyr[i]);
        dweight[i] += g * normed;
        dot += g * weight[i] * normed;
      }
      dot /= width;
      for (long i = 0; i < width; i++)
        dxr[i] = STORE(scale * (LOAD(dyr[i]) * weight[i] - LOAD(xr[i]) * scale * dot));
    }
  }
}

/* One token's queries and keys, normed where a weight is given and rotated, and its values. `dim` is a constant where it
 * is called, so the short loops unroll. */
static inline __attribute__((always_inline)) void NAME(split_token_forward)(
    const NUMBER *in, const float *q_weight, const float *k_weight, const float *c, const float *s, NUMBER *q,
    NUMBER *k, NUMBER *v, long time, long q_heads, long kv_heads, const long dim, float eps) {
  const long half = dim / 2;
  float x[512];
  for (long h = 0; h < q_heads + kv_heads; h++, in += dim) {
    int query = h < q_heads;
    const float *weight = query ? q_weight : k_weight;
    NUMBER *out = query ? q + h * time * dim : k + (h - q_heads) * time * dim;
    float sum = 0;
    for (long i = 0; i < dim; i++) {
      x[i] = LOAD(in[i]);
      sum += x[i] * x[i];
    }
    if (weight) {
      float scale = 1.0f / sqrtf(sum / dim + eps);
      for (long i = 0; i < dim; i++) x[i] *= scale * weight[i];
    }
    for (long i = 0; i < half; i++) {
      out[i] = STORE(x[i] * c[i] - x[i + half] * s[i]);
      out[i + half] = STORE(x[i + half] * c[i] + x[i] * s[i]);
    }
  }
  for (long h = 0; h < kv_heads; h++, in += dim) memcpy(v + h * time * dim, in, dim * sizeof(NUMBER));
}

/* qkv (batch, time, q_heads + 2 kv_heads, dim) -> q, k (normed where a weight is given, then rotated) and v, each
 * (batch, heads, time, dim). cosine, sine: (angles, dim / 2), rotate-half layout; angles is time where all rows stand at
 * the same positions, else batch * time. */
void NAME(split_heads_forward)(const NUMBER *qkv, const float *q_weight, const float *k_weight, const float *cosine,
                               const float *sine, NUMBER *q, NUMBER *k, NUMBER *v, long batch, long time, long q_heads,
                               long kv_heads, long dim, long angles, float eps) {
  long heads = q_heads + 2 * kv_heads, half = dim / 2;
#pragma omp parallel for schedule(static)
  for (long r = 0; r < batch * time; r++) {
    long b = r / time, t = r % time, angle = r % angles * half;
    const NUMBER *in = qkv + r * heads * dim;
    NUMBER *qt = q + (b * q_heads * time + t) * dim, *kt = k + (b * kv_heads * time + t) * dim;
    NUMBER *vt = v + (b * kv_heads * time + t) * dim;
#define SPLIT(size) \
  NAME(split_token_forward)(in, q_weight, k_weight, cosine + angle, sine + angle, qt, kt, vt, time, q_heads, kv_heads, \
                            size, eps)
    FOR_EACH_SIZE(SPLIT)
#undef SPLIT
  }
}

/* One token's part of the gradient; mine holds this thread's sums of dq_weight and, 512 further, dk_weight. */
static inline __attribute__((always_inline)) void NAME(split_token_backward)(
    const NUMBER *dq, const NUMBER *dk, const NUMBER *dv, const NUMBER *raw, const float *q_weight,
    const float *k_weight, const float *c, const float *s, NUMBER *out, float *mine, long time, long q_heads,
    long kv_heads, const long dim, float eps) {
  const long half = dim / 2;
  float g[512], x[512];
  for (long h = 0; h < q_heads + kv_heads; h++, raw += dim, out += dim) {
    int query = h < q_heads;
    const float *weight = query ? q_weight : k_weight;
    const NUMBER *in = query ? dq + h * time * dim : dk + (h - q_heads) * time * dim;
    for (long i = 0; i < half; i++) {
      float a = LOAD(in[i]), z = LOAD(in[i + half]);
      g[i] = a * c[i] + z * s[i];
      g[i + half] = z * c[i] - a * s[i];
    }
    if (weight) {
      float *dweight = mine + (query ? 0 : 512);
      float sum = 0, dot = 0;
      for (long i = 0; i < dim; i++) {
        x[i] = LOAD(raw[i]);
        sum += x[i] * x[i];
      }
      float scale = 1.0f / sqrtf(sum / dim + eps);
      for (long i = 0; i < dim; i++) {
        float normed = x[i] * scale;
        dweight[i] += g[i] * normed;
        dot += g[i] * weight[i] * normed;
      }
      dot /= dim;
      for (long i = 0; i < dim; i++) g[i] = scale * (g[i] * weight[i] - x[i] * scale * dot);
    }
    for (long i = 0; i < dim; i++) out[i] = STORE(g[i]);
  }
  for (long h = 0; h < kv_heads; h++, out += dim) memcpy(out, dv + h * time * dim, dim * sizeof(NUMBER));
}

/* partial: threads x 2 x dim (dq_weight, dk_weight), zeroed by the caller. */
void NAME(split_heads_backward)(const NUMBER *dq, const NUMBER *dk, const NUMBER *dv, const NUMBER *qkv,
                                const float *q_weight, const float *k_weight, const float *cosine, const float *sine,
                                NUMBER *dqkv, float *partial, long batch, long time, long q_heads, long kv_heads,
                                long dim, long angles, float eps) {
  long heads = q_heads + 2 * kv_heads, half = dim / 2;
#pragma omp parallel
  {
    float mine[2 * 512] = {0}; /* on the stack: the compiler then knows that nothing aliases it */
#pragma omp for schedule(static)
    for (long r = 0; r < batch * time; r++) {
      long b = r / time, t = r % time, angle = r % angles * half;
      const NUMBER *dqt = dq + (b * q_heads * time + t) * dim, *dkt = dk + (b * kv_heads * time + t) * dim;
      const NUMBER *dvt = dv + (b * kv_heads * time + t) * dim;
#define SPLIT(size) \
  NAME(split_token_backward)(dqt, dkt, dvt, qkv + r * heads * dim, q_weight, k_weight, cosine + angle, \
                             sine + angle, dqkv + r * heads * dim, mine, time, q_heads, kv_heads, size, eps)
      FOR_EACH_SIZE(SPLIT)
#undef SPLIT
    }
    memcpy(partial + omp_get_thread_num() * 2 * dim, mine, dim * sizeof(float));
    memcpy(partial + (omp_get_thread_num() * 2 + 1) * dim, mine + 512, dim * sizeof(float));
  }
}

/* In place on (blocks, queries, keys), the queries being the last of the keys: row t becomes the softmax of scale times
 * its entries 0..keys - queries + t, and zero after them. Where starts (blocks / heads, time) are given, a query's
 * entries begin there, and are zero before; where shared (blocks / heads, time, 2) is too, those from its first number up
 * to its second, which stand before the start, are a query's as well. */
void NAME(causal_softmax_forward)(NUMBER *scores, const int64_t *starts, const int64_t *shared, long blocks, long heads,
                                  long time, long queries, long keys, float scale) {
#pragma omp parallel
  {
    float *x = malloc(keys * sizeof(float));
#pragma omp for schedule(static)
    for (long r = 0; r < blocks * queries; r++) {
      NUMBER *row = scores + r * keys, *own = row, *early = row;
      long n = keys - queries + r % queries + 1, after = keys - n, others = 0;
      if (starts) {
        long place = r / queries / heads * time + n - 1, start = starts[place];
        if (shared) {
          early += shared[2 * place];
          others = shared[2 * place + 1] - shared[2 * place];
        }
        own += start;
        n -= start;
      }
      float top = -INFINITY, sum = 0, *mine = x + others;
#pragma omp simd reduction(max : top) /* without it, a comparison with a NaN in mind stays scalar */
      for (long i = 0; i < others; i++) {
        x[i] = LOAD(early[i]) * scale;
        top = x[i] > top ? x[i] : top;
      }
#pragma omp simd reduction(max : top)
      for (long i = 0; i < n; i++) {
        mine[i] = LOAD(own[i]) * scale;
        top = mine[i] > top ? mine[i] : top;
      }
      for (long i = 0; i < others + n; i++) {
        x[i] = exponential(x[i] - top);
        sum += x[i];
      }
      sum = 1.0f / sum;
      memset(row, 0, (own - row) * sizeof(NUMBER));
      for (long i = 0; i < others; i++) early[i] = STORE(x[i] * sum);
      for (long i = 0; i < n; i++) own[i] = STORE(mine[i] * sum);
      memset(own + n, 0, after * sizeof(NUMBER));
    }
    free(x);
  }
}

/* In place on the gradient of the probabilities: becomes the gradient of the unscaled scores. */
void NAME(causal_softmax_backward)(NUMBER *grad, const NUMBER *probs, long blocks, long queries, long keys,
                                   float scale) {
#pragma omp parallel for schedule(static)
  for (long r = 0; r < blocks * queries; r++) {
    NUMBER *g = grad + r * keys;
    const NUMBER *p = probs + r * keys;
    long n = keys - queries + r % queries + 1;
    float dot = 0;
    for (long i = 0; i < n; i++) dot += LOAD(g[i]) * LOAD(p[i]);
    for (long i = 0; i < n; i++) g[i] = STORE(scale * LOAD(p[i]) * (LOAD(g[i]) - dot));
    memset(g + n, 0, (keys - n) * sizeof(NUMBER));
  }
}

/* gate_up (rows, 2 width) -> silu(gate) * up (rows, width). */
void NAME(swiglu_forward)(const NUMBER *gate_up, NUMBER *out, long rows, long width) {
#pragma omp parallel for schedule(static)
  for (long r = 0; r < rows; r++) {
    const NUMBER *gate = gate_up + r * 2 * width, *up = gate + width;
    NUMBER *o = out + r * width;
    for (long i = 0; i < width; i++) {
      float g = LOAD(gate[i]), sigmoid = 1.0f / (1.0f + exponential(-g)); /* g / (...) was nine times slower (gcc 12) */
      o[i] = STORE(g * LOAD(up[i]) * sigmoid);
    }
  }
}

void NAME(swiglu_backward)(const NUMBER *dout, const NUMBER *gate_up, NUMBER *dgate_up, long rows, long width) {
#pragma omp parallel for schedule(static)
  for (long r = 0; r < rows; r++) {
    const NUMBER *gate = gate_up + r * 2 * width, *up = gate + width, *d = dout + r * width;
    NUMBER *dgate = dgate_up + r * 2 * width, *dup = dgate + width;
    for (long i = 0; i < width; i++) {
      float g = LOAD(gate[i]), go = LOAD(d[i]), sigmoid = 1.0f / (1.0f + exponential(-g));
      dup[i] = STORE(go * g * sigmoid);
      dgate[i] = STORE(go * LOAD(up[i]) * sigmoid * (1.0f + g * (1.0f - sigmoid)));
    }
  }
}

/* In place: logits (rows, vocab) become softmax - onehot(target); nll (rows) gets -log p(target). A negative target is
 * ignored: its loss and gradient are zero. */
void NAME(cross_entropy)(NUMBER *logits, const int64_t *targets, float *nll, long rows, long vocab) {
#pragma omp parallel
  {
    float *x = malloc(vocab * sizeof(float));
#pragma omp for schedule(static)
    for (long r = 0; r < rows; r++) {
      NUMBER *row = logits + r * vocab;
      int64_t target = targets[r];
      if (target < 0) {
        nll[r] = 0;
        memset(row, 0, vocab * sizeof(NUMBER));
        continue;
      }
      float top = -INFINITY, sum = 0, chosen = LOAD(row[target]);
#pragma omp simd reduction(max : top)
      for (long i = 0; i < vocab; i++) {
        x[i] = LOAD(row[i]);
        top = x[i] > top ? x[i] : top;
      }
      for (long i = 0; i < vocab; i++) {
        x[i] = exponential(x[i] - top);
        sum += x[i];
      }
      nll[r] = logf(sum) + top - chosen;
      float inverse = 1.0f / sum;
      float hit = x[target] * inverse - 1.0f;
      for (long i = 0; i < vocab; i++) row[i] = STORE(x[i] * inverse);
      row[target] = STORE(hit);
    }
    free(x);
  }
}

/* One new token a row against the row's own cache. Writes key and value (kv_heads, rows, dim) at each row's position of
 * keys and values (rows, kv_heads, capacity, dim), then attends from query (heads, rows, dim) to positions
 * 0..position of the row; out: (rows, heads, dim). Reads what the row holds, up to a whole tile: capacity is a multiple
 * of TILE, and what lies behind a row's end is finite. */
void NAME(attend)(const NUMBER *query, const NUMBER *key, const NUMBER *value, NUMBER *keys, NUMBER *values,
                  const int64_t *positions, NUMBER *out, long rows, long heads, long kv_heads, long capacity,
                  long dim) {
  long group = heads / kv_heads, line = 64 / sizeof(NUMBER);
  float scale = 1.0f / sqrtf((float)dim);
#pragma omp parallel
  {
    float *scores = malloc((group * capacity + 2 * group * dim) * sizeof(float));
    float *q = scores + group * capacity, *sum = q + group * dim;
#pragma omp for collapse(2) schedule(static)
    for (long r = 0; r < rows; r++)
      for (long h = 0; h < kv_heads; h++) {
        long place = r * kv_heads + h, last = positions[r];
        NUMBER *k = keys + place * capacity * dim, *v = values + place * capacity * dim, *next = k + capacity * dim;
        memcpy(k + last * dim, key + (h * rows + r) * dim, dim * sizeof(NUMBER));
        memcpy(v + last * dim, value + (h * rows + r) * dim, dim * sizeof(NUMBER));
        for (long g = 0; g < group; g++)
          for (long i = 0; i < dim; i++) {
            q[g * dim + i] = LOAD(query[((h * group + g) * rows + r) * dim + i]) * scale;
            sum[g * dim + i] = 0;
          }
        for (long t = 0; t <= last; t += TILE) {
          for (long i = 0; i < TILE * dim; i += line) __builtin_prefetch(v + t * dim + i);
          for (long g = 0; g < group; g++) {
            float dot[TILE] = {0};
            for (long i = 0; i < dim; i++)
              for (long j = 0; j < TILE; j++) dot[j] += q[g * dim + i] * LOAD(k[(t + j) * dim + i]);
            for (long j = 0; j < TILE; j++) scores[g * capacity + t + j] = dot[j];
          }
        }
        for (long g = 0; g < group; g++) {
          float *s = scores + g * capacity, top = s[0], total = 0;
#pragma omp simd reduction(max : top)
          for (long t = 1; t <= last; t++) top = s[t] > top ? s[t] : top;
          for (long t = 0; t <= last; t++) {
            s[t] = exponential(s[t] - top);
            total += s[t];
          }
          for (long t = 0; t <= last; t++) s[t] /= total;
          for (long t = last + 1; t % TILE; t++) s[t] = 0;
        }
        for (long t = 0; t <= last; t += TILE) {
          for (long i = 0; i < TILE * dim; i += line) __builtin_prefetch(next + t * dim + i);
          for (long g = 0; g < group; g++) {
            float *weight = scores + g * capacity + t;
            for (long i = 0; i < dim; i++) {
              float mixed = 0;
              for (long j = 0; j < TILE; j++) mixed += weight[j] * LOAD(v[(t + j) * dim + i]);
              sum[g * dim + i] += mixed;
            }
          }
        }
        for (long i = 0; i < group * dim; i++) out[place * group * dim + i] = STORE(sum[i]);
      }
    free(scores);
  }
}

/* The next token of each row of logits (rows, vocab; rows are stride apart), as generation/sampling.py defines it, and its
 * log-probability. words (vocab), factors (rows) and offsets (rows) make the noise; factors == NULL takes the likeliest
 * token. */
void NAME(choose)(const NUMBER *logits, const int32_t *words, const int32_t *factors, const int32_t *offsets,
                  int64_t *chosen, float *logprobs, long rows, long vocab, long stride, float inverse_temperature,
                  float top_p, float min_p) {
#pragma omp parallel
  {
    float *x = malloc(3 * vocab * sizeof(float)), *weight = x + vocab, *ratio = weight + vocab;
#pragma omp for schedule(static)
    for (long r = 0; r < rows; r++) {
      const NUMBER *row = logits + r * stride;
      float top = -INFINITY, total = 0;
#pragma omp simd reduction(max : top)
      for (long i = 0; i < vocab; i++) {
        x[i] = LOAD(row[i]) * inverse_temperature;
        top = x[i] > top ? x[i] : top;
      }
      for (long i = 0; i < vocab; i++) {
        weight[i] = exponential(x[i] - top);
        total += weight[i];
      }
      if (factors) {
        uint32_t factor = factors[r], offset = offsets[r];
        for (long i = 0; i < vocab; i++) {
          uint32_t bits = (uint32_t)words[i] * factor + offset;
          bits = (bits ^ (uint32_t)((int32_t)bits >> 15)) * 0x85ebca6bu;
          bits = (bits ^ (uint32_t)((int32_t)bits >> 13)) * 0xc2b2ae35u;
          bits = ((bits ^ (uint32_t)((int32_t)bits >> 16)) & 0x7fffffffu) | 1u;
          ratio[i] = weight[i] < min_p ? 0.0f : weight[i] / exponential_variate((int32_t)bits);
        }
      }
      const float *score = factors ? ratio : weight;
      long best;
      for (;;) { /* leaves at the latest with the likeliest token, which nothing outweighs */
        float highest = 0, above = 0;
#pragma omp simd reduction(max : highest)
        for (long i = 0; i < vocab; i++) highest = score[i] > highest ? score[i] : highest;
        for (best = 0; best < vocab - 1 && score[best] != highest;) best++;
        if (!factors || top_p >= 1.0f) break;
        float edge = x[best];
        for (long i = 0; i < vocab; i++) above += x[i] > edge ? weight[i] : 0.0f;
        if (!(above >= top_p * total)) break; /* true of NaN too */
        for (long i = 0; i < vocab; i++) ratio[i] = x[i] > edge ? ratio[i] : 0.0f;
      }
      chosen[r] = best;
      logprobs[r] = x[best] - top - logf(total);
    }
    free(x);
  }
}
#endif
