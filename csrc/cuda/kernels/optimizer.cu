// Optimizer steps, norms and clipping over whole lists of tensors in one launch. Each block takes one piece of kPiece
// elements of one tensor, which it finds by bisection in a table of the tensors; each element is read and written once,
// by accesses of 16 bytes where the tensor is aligned.
#include "cuda/device/optimizer_arguments.h"
#include "cuda/device/rows.cuh"
#include "cuda/device/shared.h"

// The last of the tensors whose pieces begin at or before the piece.
__device__ __forceinline__ const Tensors& tensor_of(const Tensors* tensors, int count, int64_t piece) {
  int low = 0, high = count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (tensors[middle].first_piece <= piece ? low : high) = middle;
  }
  return tensors[low];
}

// f(first element of a pack) for the thread's packs of the block's piece.
template <int N, class F>
__device__ __forceinline__ void each_pack(const Tensors& t, int64_t piece, const F& f) {
  const int64_t begin = (piece - t.first_piece) * kPiece, end = begin + kPiece < t.n ? begin + kPiece : t.n;
#pragma unroll 2
  for (int64_t e = begin + threadIdx.x * N; e < end; e += blockDim.x * N) f(e);
}

struct Adam : AdamLine {
  template <int N>
  __device__ __forceinline__ void update(float (&p)[N], const float (&grad)[N], float (&m)[N], float (&v)[N]) const {
#pragma unroll
    for (int i = 0; i < N; i++) {
      const float g = fmaf(l2, p[i], grad[i] * scale);
      m[i] = fmaf(rate1, g - m[i], m[i]);
      v[i] = fmaf(rate2 * g, g, beta2 * v[i]);
      p[i] = p[i] * keep - step_size * m[i] / (sqrtf(v[i]) / root + eps);
    }
  }
};

template <class T>
__device__ __forceinline__ void adam_step(const Tensors* tensors, int count, const AdamLine* lines,
                                          const float* scale) {
  constexpr int N = Pack<T>::N;
  const Tensors t = tensor_of(tensors, count, blockIdx.x);
  Adam rule = {lines[t.line]};
  if (scale) rule.scale *= *scale;
  T *p = in_global(static_cast<T*>(t.p)), *m = in_global(static_cast<T*>(t.m)), *v = in_global(static_cast<T*>(t.v));
  const T* g = in_global(static_cast<const T*>(t.g));
  each_pack<N>(t, blockIdx.x, [&](int64_t e) {
    float vp[N], vg[N], vm[N], vv[N];
    load_pack(p, e, t.n, t.vector, vp);
    load_pack(g, e, t.n, t.vector, vg);
    load_pack(m, e, t.n, t.vector, vm);
    load_pack(v, e, t.n, t.vector, vv);
    rule.update(vp, vg, vm, vv);
    store_pack(p, e, t.n, t.vector, vp);
    store_pack(m, e, t.n, t.vector, vm);
    store_pack(v, e, t.n, t.vector, vv);
  });
}

// Where each row's gradient is: where[rows[i]] = i (of -1 before). Rows rise: one that does not is a fault.
__device__ __forceinline__ void mark_rows(const int64_t* rows, int64_t k, int64_t v, int32_t* where, bool* touched,
                                          Fault* f, int site) {
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < k; i += int64_t(gridDim.x) * blockDim.x) {
    if (!in_range(f, site, i, rows[i], v)) continue;
    if (i && rows[i] <= rows[i - 1]) {
      fault(f, site, i, rows[i], v);
      continue;
    }
    where[rows[i]] = int32_t(i);
    touched[rows[i]] = true;
  }
}

// A row belongs to a team. Rows without gradient whose averages are zero (not touched yet) only decay, if `skips`.
template <class T>
__device__ __forceinline__ void adam_rows(T* param, const T* values, T* exp_avg, T* exp_avg_sq, const bool* touched,
                                          const int32_t* where, int64_t v, int d, int width, bool vector, bool skips,
                                          bool decays, const AdamLine& line, const float* scale) {
  constexpr int N = Pack<T>::N;
  Team team(width);
  if (team.row >= v) return;
  Adam rule = {line};
  if (scale) rule.scale *= *scale;
  const int64_t start = team.row * d;
  const int at = where[team.row];
  const bool whole = touched[team.row] || !skips || !isfinite(rule.scale); // no gradient times such a scale is NaN
  if (!whole && !decays) return;
  T *p = param + start, *m = exp_avg + start, *s = exp_avg_sq + start;
  for (int e = team.lane * N; e < d; e += team.width * N) {
    float vp[N], vg[N] = {}, vm[N], vv[N];
    load_pack(p, e, d, vector, vp);
    if (whole) {
      if (at >= 0) load_pack(values + int64_t(at) * d, e, d, vector, vg);
      load_pack(m, e, d, vector, vm);
      load_pack(s, e, d, vector, vv);
      rule.update(vp, vg, vm, vv);
      store_pack(m, e, d, vector, vm);
      store_pack(s, e, d, vector, vv);
    } else {
#pragma unroll
      for (int i = 0; i < N; i++) vp[i] *= line.keep;
    }
    store_pack(p, e, d, vector, vp);
  }
}

// b = momentum * b + taken * g, or g at first; without buffers plain SGD.
template <class T>
__device__ __forceinline__ void sgd_step(const Tensors* tensors, int count, const SgdLine* lines, const float* scale) {
  constexpr int N = Pack<T>::N;
  const Tensors t = tensor_of(tensors, count, blockIdx.x);
  SgdLine h = lines[t.line];
  if (scale) h.scale *= *scale;
  T *p = in_global(static_cast<T*>(t.p)), *b = in_global(static_cast<T*>(t.m));
  const T* g = in_global(static_cast<const T*>(t.g));
  each_pack<N>(t, blockIdx.x, [&](int64_t e) {
    float vp[N], vg[N], vb[N];
    load_pack(p, e, t.n, t.vector, vp);
    load_pack(g, e, t.n, t.vector, vg);
    if (b && !h.first) load_pack(b, e, t.n, t.vector, vb);
#pragma unroll
    for (int i = 0; i < N; i++) {
      vg[i] = fmaf(h.decay, vp[i], vg[i] * h.scale);
      if (b) {
        vb[i] = h.first ? vg[i] : fmaf(h.momentum, vb[i], h.taken * vg[i]);
        vg[i] = h.nesterov ? fmaf(h.momentum, vb[i], vg[i]) : vb[i];
      }
      vp[i] -= h.lr * vg[i];
    }
    store_pack(p, e, t.n, t.vector, vp);
    if (b) store_pack(b, e, t.n, t.vector, vb);
  });
}

// ---- clipping

// x *= *factor, or without one x brought into [low, high]; NaNs stay.
template <class T>
__device__ __forceinline__ void clip(const Tensors* tensors, int count, const float* factor, float low, float high) {
  constexpr int N = Pack<T>::N;
  const Tensors t = tensor_of(tensors, count, blockIdx.x);
  T* x = in_global(static_cast<T*>(t.p));
  const float times = factor ? *factor : 1.f;
  each_pack<N>(t, blockIdx.x, [&](int64_t e) {
    float v[N];
    load_pack(x, e, t.n, t.vector, v);
#pragma unroll
    for (int i = 0; i < N; i++) {
      const float above = v[i] < low ? low : v[i];
      v[i] = factor ? v[i] * times : above > high ? high : above;
    }
    store_pack(x, e, t.n, t.vector, v);
  });
}

__device__ __forceinline__ double larger(double a, double b) { return b > a || b != b ? b : a; } // a NaN stays

// x ^ p for x >= 0 and p > 0, without pow's care for the last bit.
__device__ __forceinline__ double power(double x, double p) { return exp(p * log(x)); }

// What all threads hold, combined in a fixed order; right in thread 0.
__device__ __forceinline__ double combine(double x, bool largest) {
  if (!largest) return block_sum(x);
  double* parts = reinterpret_cast<double*>(dynamic_shared());
#pragma unroll
  for (int o = 16; o; o >>= 1) x = larger(x, __shfl_xor_sync(kFullWarp, x, o));
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  if (threadIdx.x == 0)
    for (unsigned w = 1; w < blockDim.x / 32; w++) x = larger(x, parts[w]);
  return x;
}

// partial[piece] = the sum of its |x|^p (or the largest |x|). Squares of a thread's few elements add up in float32.
template <class T, bool Any>
__device__ __forceinline__ void norm_pieces(const Tensors* tensors, int count, int kind, double p, double* partial) {
  constexpr int N = Pack<T>::N;
  const Tensors t = tensor_of(tensors, count, blockIdx.x);
  const T* x = in_global(static_cast<const T*>(t.g));
  float sum = 0;
  double total = 0;
  each_pack<N>(t, blockIdx.x, [&](int64_t e) {
    float v[N];
    load_pack(x, e, t.n, t.vector, v);
#pragma unroll
    for (int i = 0; i < N; i++) {
      if constexpr (Any)
        total += power(double(fabsf(v[i])), p); // missing values count as 0, for p > 0
      else if (kind == kTwo)
        sum = fmaf(v[i], v[i], sum);
      else if (kind == kOne)
        sum += fabsf(v[i]);
      else
        sum = fabsf(v[i]) > sum || v[i] != v[i] ? fabsf(v[i]) : sum;
    }
  });
  total = combine(Any ? total : double(sum), kind == kLargest);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

__device__ __forceinline__ void add_norm(const double* partial, int64_t n, int kind, double p, float* y) {
  double total = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
    total = kind == kLargest ? larger(total, partial[i]) : total + partial[i];
  total = combine(total, kind == kLargest);
  if (threadIdx.x) return;
  *y = float(kind == kTwo ? sqrt(total) : kind == kAny ? power(total, 1 / p) : total);
}

#define STEPS(T, suffix)                                                                                         \
  extern "C" __global__ void __launch_bounds__(256, 3)                                                           \
      adam_step_##suffix(const Tensors* tensors, int32_t count, const AdamLine* lines, const float* scale) {     \
    adam_step<T>(tensors, count, lines, scale);                                                                  \
  }                                                                                                              \
  extern "C" __global__ void __launch_bounds__(256, 3) adam_rows_##suffix(                                       \
      T* p, const T* values, T* m, T* s, const bool* touched, const int32_t* where, int64_t v, int32_t d,        \
      int32_t width, bool vector, bool skips, bool decays, const AdamLine line, const float* scale) {            \
    adam_rows(p, values, m, s, touched, where, v, d, width, vector, skips, decays, line, scale);                 \
  }                                                                                                              \
  extern "C" __global__ void __launch_bounds__(256, 3)                                                           \
      sgd_step_##suffix(const Tensors* tensors, int32_t count, const SgdLine* lines, const float* scale) {       \
    sgd_step<T>(tensors, count, lines, scale);                                                                   \
  }                                                                                                              \
  extern "C" __global__ void __launch_bounds__(256)                                                              \
      clip_##suffix(const Tensors* tensors, int32_t count, const float* factor, float low, float high) {         \
    clip<T>(tensors, count, factor, low, high);                                                                  \
  }                                                                                                              \
  extern "C" __global__ void __launch_bounds__(256)                                                              \
      norm_pieces_##suffix(const Tensors* tensors, int32_t count, int32_t kind, double p, double* partial) {     \
    norm_pieces<T, false>(tensors, count, kind, p, partial);                                                     \
  }                                                                                                              \
  extern "C" __global__ void __launch_bounds__(256, 2)                                                           \
      norm_pieces_any_##suffix(const Tensors* tensors, int32_t count, int32_t kind, double p, double* partial) { \
    norm_pieces<T, true>(tensors, count, kind, p, partial);                                                      \
  }
FOR_FLOAT(STEPS)

extern "C" __global__ void __launch_bounds__(256)
    find_rows(const int64_t* rows, int64_t k, int64_t v, int32_t* where, bool* touched, Fault* f, int32_t site) {
  mark_rows(rows, k, v, where, touched, f, site);
}
extern "C" __global__ void __launch_bounds__(256)
    norm_total(const double* partial, int64_t n, int32_t kind, double p, float* y) {
  add_norm(partial, n, kind, p, y);
}
