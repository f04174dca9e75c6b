// softmax, log_softmax and logsumexp over rows, forward and backward.
//
// A row belongs to a team (device/rows.cuh) and stays in its registers up to 40 elements for each of 768 threads: a
// vocabulary of 30,522 is read once. Longer rows are read twice, maximum and sum in one go (Milakov and Gimelshein
// 2018, "Online normalizer calculation for softmax"). A row of nothing but -inf gives NaNs (logsumexp: -inf), as does
// one with a NaN or +inf (logsumexp: +inf for +inf).
#include "cuda/device/rows.cuh"
#include "cuda/device/shared.h"
#include "cuda/device/softmax.cuh"

template <class T, bool Held>
__device__ __forceinline__ void softmax(const T* input, T* y, int64_t n, int d, int width, bool vector, int kind) {
  constexpr int N = Pack<T>::N;
  Team team(width);
  const bool there = team.row < n;
  const int64_t row = there ? team.row : n - 1, start = row * d;
  const T* x = input + start;
  const auto load = [&](int first, float (&v)[N]) { load_pack(x, first, d, vector, v, -kInfinity); };
  Row<T, Held, 40 / N> elements(team, vector ? phase(x) : 0, d);
  float high, total;
  exponentials(team, elements, load, kind == kSoftmax, high, total);
  if (!there) return;
  if (kind == kLogSumExp) {
    const bool infinite = high == kInfinity || (high == -kInfinity && total == total);
    if (team.lane == 0) y[row] = from_float<T>(infinite ? high : high + logf(total));
    return;
  }
  const float factor = 1.f / total, rest = logf(total), shift = high == -kInfinity ? 0.f : high;
  elements.pass(load, [&](int first, float (&v)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++)
      v[i] = kind == kLogSoftmax ? (v[i] - high) - rest : (Held ? v[i] : expf(v[i] - shift)) * factor;
    store_pack(y + start, first, d, vector, v);
  });
}

// softmax: y * (dy - sum(dy * y)); log_softmax: dy - e^y * sum(dy). Sixteen elements a thread of each stay in
// registers.
template <class T, bool Held>
__device__ __forceinline__ void softmax_backward(const T* dy, const T* y, T* dinput, int64_t n, int d, int width,
                                                 bool vector, bool log) {
  constexpr int N = Pack<T>::N, P = 16 / N;
  Team team(width);
  const bool there = team.row < n;
  const int64_t start = (there ? team.row : n - 1) * d;
  const int shift = vector ? phase(dy + start) : 0;
  const auto load = [&](int first, float (&v)[N]) { load_pack(dy + start, first, d, vector, v); };
  const auto load_y = [&](int first, float (&v)[N]) { load_pack(y + start, first, d, vector, v); };
  Row<T, Held, P> g(team, shift, d), p(team, shift, d);
  g.read(load);
  p.read(load_y);
  float total = 0;
  // Both rows' packs side by side: pack k of g, then pack k of p.
  const auto both = [&](const auto& f) {
    if constexpr (Held) {
#pragma unroll
      for (int k = 0; k < P; k++)
        if (k * g.step - shift < d) f(g.begin + k * g.step, g.v[k], p.v[k]);
    } else {
      g.pass(load, [&](int first, float (&v)[N]) {
        load_y(first, p.v[0]);
        f(first, v, p.v[0]);
      });
    }
  };
  both([&](int, float (&a)[N], float (&b)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) total = log ? total + a[i] : fmaf(a[i], b[i], total);
  });
  total = team.sum(total);
  if (!there) return;
  both([&](int first, float (&a)[N], float (&b)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) a[i] = log ? a[i] - expf(b[i]) * total : b[i] * (a[i] - total);
    store_pack(dinput + start, first, d, vector, a);
  });
}

// dy * e^(x - y); 0 in a row of nothing but -inf
template <class T>
__device__ __forceinline__ void logsumexp_backward(const T* dy, const T* input, const T* y, T* dinput, int64_t n, int d,
                                                   int width, bool vector) {
  constexpr int N = Pack<T>::N;
  Team team(width);
  if (team.row >= n) return;
  const int64_t start = team.row * d;
  const T* x = input + start;
  const float g = to_float(dy[team.row]), total = to_float(y[team.row]), shift = total == -kInfinity ? 0.f : total;
  const auto load = [&](int first, float (&v)[N]) { load_pack(x, first, d, vector, v); };
  Row<T, false> elements(team, vector ? phase(x) : 0, d);
  elements.pass(load, [&](int first, float (&v)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = g * expf(v[i] - shift);
    store_pack(dinput + start, first, d, vector, v);
  });
}

#define SOFTMAX(name, T, suffix, held)                                                                    \
  extern "C" __global__ void __launch_bounds__(1024, 1)                                                   \
      name##_##suffix(const T* x, T* y, int64_t n, int32_t d, int32_t width, bool vector, int32_t kind) { \
    softmax<T, held>(x, y, n, d, width, vector, kind);                                                    \
  }                                                                                                       \
  extern "C" __global__ void __launch_bounds__(1024, 1) name##_backward_##suffix(                         \
      const T* dy, const T* y, T* dx, int64_t n, int32_t d, int32_t width, bool vector, bool log) {       \
    softmax_backward<T, held>(dy, y, dx, n, d, width, vector, log);                                       \
  }
#define SOFTMAXES(T, suffix)                                                                          \
  SOFTMAX(softmax, T, suffix, true)                                                                   \
  SOFTMAX(softmax_long, T, suffix, false)                                                             \
  extern "C" __global__ void __launch_bounds__(1024, 1) logsumexp_backward_##suffix(                  \
      const T* dy, const T* x, const T* y, T* dx, int64_t n, int32_t d, int32_t width, bool vector) { \
    logsumexp_backward(dy, x, y, dx, n, d, width, vector);                                            \
  }
FOR_FLOAT(SOFTMAXES)
