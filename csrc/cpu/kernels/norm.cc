// Normalisation over the last dimension: forward and backward. Rows are (n, d), contiguous.
//
// Mean and variance take two passes over a row that stays in the cache: never E[x^2] - mean^2. Gradients of weight and bias
// are sums over rows: partial sums over fixed chunks of kChunk rows, added in the order of the chunks.
#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "cpu/table.h"
#include "core/allocator.h"

namespace engine::ENGINE_ISA {

using namespace simd;

constexpr int64_t kChunk = 64;

// Sum over a row of f(vector of elements at i); lanes behind the end are given as zeros and masked by the caller's loads.
template <class T> static T row_sum(const T* x, int64_t d) {
  constexpr int L = kLanes<T>;
  V<T> a = zero<T>(), b = zero<T>();
  int64_t i = 0;
  for (; i + 2 * L <= d; i += 2 * L) {
    a += load(x + i);
    b += load(x + i + L);
  }
  for (; i < d; i += L) a += load_n(x + i, d - i < L ? d - i : L);
  return sum(a + b);
}

template <class T> static T row_squares(const T* x, T mean, int64_t d) {
  constexpr int L = kLanes<T>;
  V<T> m = broadcast(mean), a = zero<T>(), b = zero<T>();
  int64_t i = 0;
  for (; i + 2 * L <= d; i += 2 * L) {
    V<T> u = load(x + i) - m, v = load(x + i + L) - m;
    a = fma(u, u, a);
    b = fma(v, v, b);
  }
  T rest = 0;
  for (; i < d; i++) rest += (x[i] - mean) * (x[i] - mean);
  return sum(a + b) + rest;
}

template <class T> void layer_norm(In input, In weight, In bias, double eps, Out y, Out mean, Out rstd) {
  const int64_t n = input.rows(), d = input.size(-1);
  const T *xs = input.data<T>(), *w = weight.data<T>(), *b = bias.data<T>();
  T *ys = y.data<T>(), *means = mean.data<T>(), *rstds = rstd.data<T>();
  constexpr int L = kLanes<T>;
  parallel_ranges(n, row_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const T* x = xs + r * d;
      T* out = ys + r * d;
      const T mu = row_sum(x, d) / T(d);
      const T rs = T(1) / T(__builtin_sqrt(double(row_squares(x, mu, d) / T(d)) + eps));
      means[r] = mu;
      rstds[r] = rs;
      const V<T> vm = broadcast(mu), vr = broadcast(rs);
      int64_t i = 0;
      for (; i + L <= d; i += L) store(out + i, fma((load(x + i) - vm) * vr, load(w + i), load(b + i)));
      if (i < d) store_n(out + i, fma((load_n(x + i, d - i) - vm) * vr, load_n(w + i, d - i), load_n(b + i, d - i)), d - i);
    }
  });
}

// With xhat = (x - mean) * rstd and g = dy * w: dx = rstd * (g - mean(g) - xhat * mean(g * xhat)).
template <class T>
void layer_norm_backward(In dy, In input, In weight, In mean, In rstd, Out dinput, Out dweight, Out dbias) {
  const int64_t n = input.rows(), d = input.size(-1);
  const T *dys = dy.data<T>(), *xs = input.data<T>(), *w = weight.data<T>(), *means = mean.data<T>(), *rstds = rstd.data<T>();
  T *dxs = dinput.data<T>(), *dw = dweight.data<T>(), *db = dbias.data<T>();
  constexpr int L = kLanes<T>;
  const int64_t chunks = (n + kChunk - 1) / kChunk;
  T* partial = static_cast<T*>(thread_scratch(0, size_t(chunks * 2 * d) * sizeof(T)));
  parallel_for(chunks, [&](int64_t c) {
    T *pw = partial + c * 2 * d, *pb = pw + d;
    for (int64_t i = 0; i < 2 * d; i++) pw[i] = 0;
    const int64_t end = (c + 1) * kChunk < n ? (c + 1) * kChunk : n;
    for (int64_t r = c * kChunk; r < end; r++) {
      const T *x = xs + r * d, *g = dys + r * d;
      T* dx = dxs + r * d;
      const V<T> vm = broadcast(means[r]), vr = broadcast(rstds[r]);
      V<T> sum_g = zero<T>(), sum_gx = zero<T>();
      auto first = [&](int64_t i, V<T> vx, V<T> vg, V<T> vw) __attribute__((always_inline)) {
        (void)i;
        const V<T> xhat = (vx - vm) * vr, gw = vg * vw;
        sum_g += gw;
        sum_gx = fma(gw, xhat, sum_gx);
        return vg * xhat;
      };
      int64_t i = 0;
      for (; i + L <= d; i += L) {
        const V<T> vg = load(g + i);
        store(pw + i, load(pw + i) + first(i, load(x + i), vg, load(w + i)));
        store(pb + i, load(pb + i) + vg);
      }
      if (i < d) {
        const int64_t k = d - i;
        const V<T> vg = load_n(g + i, k);
        store_n(pw + i, load_n(pw + i, k) + first(i, load_n(x + i, k), vg, load_n(w + i, k)), k);
        store_n(pb + i, load_n(pb + i, k) + vg, k);
      }
      const V<T> mg = broadcast(T(sum(sum_g) / T(d))), mgx = broadcast(T(sum(sum_gx) / T(d)));
      for (i = 0; i + L <= d; i += L) {
        const V<T> xhat = (load(x + i) - vm) * vr;
        store(dx + i, vr * (load(g + i) * load(w + i) - mg - xhat * mgx));
      }
      if (i < d) {
        const V<T> xhat = (load_n(x + i, d - i) - vm) * vr;
        store_n(dx + i, vr * (load_n(g + i, d - i) * load_n(w + i, d - i) - mg - xhat * mgx), d - i);
      }
    }
  });
  parallel_ranges(d, 512, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) dw[i] = db[i] = 0;
    for (int64_t c = 0; c < chunks; c++) {
      const T *pw = partial + c * 2 * d, *pb = pw + d;
      for (int64_t i = begin; i < end; i++) {
        dw[i] += pw[i];
        db[i] += pb[i];
      }
    }
  });
}

} // namespace engine::ENGINE_ISA

#define FAMILY norm
#include "cpu/instances.h"
