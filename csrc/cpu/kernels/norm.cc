// Normalisation over the last dimension: forward and backward. Rows are (n, d), contiguous.
//
// Mean and variance take two passes over a row that stays in the cache: never E[x^2] - mean^2. Gradients of weight and
// bias are sums over rows: partial sums over fixed chunks of kChunk rows, added in the order of the chunks.
#include "core/allocator.h"
#include "core/raise.h"
#include "core/view.h"
#include "cpu/parallel.h"
#include "cpu/philox.h"
#include "cpu/rows.h"
#include "cpu/streaming.h"

namespace engine::ENGINE_ISA {

using namespace simd;

constexpr int64_t kChunk = 64;

// In place of a weight or bias that was left out, ones or zeros in the calling thread's scratch memory.
template <class T>
static const T* or_constant(Opt given, int64_t d, T value, int slot) {
  if (given) return given.data<T>();
  T* made = static_cast<T*>(thread_scratch(slot, size_t(d) * sizeof(T)));
  for (int64_t i = 0; i < d; i++) made[i] = value;
  return made;
}

template <class T>
static T reciprocal_root(T x, double eps) {
  return T(1) / T(__builtin_sqrt(double(x) + eps));
}

// A normalised row whose squares are beyond the largest T: of the row divided by its largest magnitude. NaNs if the row
// is not finite. b null: rms_norm, without a mean.
template <class T>
static __attribute__((noinline)) void scaled_row(const T* x, const T* w, const T* b, double eps, int64_t d, T* out,
                                                 T* mean, T* rstd) {
  double scale = 0, sum = 0, squares = 0;
  for (int64_t i = 0; i < d; i++) { // (g++ 12 for aarch64 fails at the same with fmax)
    const double magnitude = __builtin_fabs(double(x[i]));
    scale = magnitude > scale ? magnitude : scale;
  }
  if (b)
    for (int64_t i = 0; i < d; i++) sum += double(x[i]) / scale;
  const double centre = sum / double(d);
  for (int64_t i = 0; i < d; i++) {
    const double u = double(x[i]) / scale - centre;
    squares += u * u;
  }
  const double root = 1 / __builtin_sqrt(squares / double(d) + eps / scale / scale);
  for (int64_t i = 0; i < d; i++)
    out[i] = T((double(x[i]) / scale - centre) * root * double(w[i]) + (b ? double(b[i]) : 0));
  if (b) *mean = T(centre * scale);
  *rstd = T(root / scale);
}

// out = (x - mean) * rstd * w + b for a row whose elements add up to `total`.
template <class T>
static ENGINE_INLINE
void normalize_row(const T* x, T total, const T* w, const T* b, double eps, int64_t d, T* out, T* mean, T* rstd,
                   bool past) {
  constexpr int L = kLanes<T>;
  const T mu = total / T(d);
  const V<T> vm = broadcast(mu);
  const T squares = row_total<T>(d, [&](int64_t i, int64_t k) ENGINE_LAMBDA {
    V<T> u = load_some(x + i, k) - vm;
    if (k < L) u = first_lanes(u, k, T(0));
    return u * u;
  });
  if (squares - squares != 0) return scaled_row(x, w, b, eps, d, out, mean, rstd);
  const T rs = reciprocal_root(squares / T(d), eps);
  *mean = mu;
  *rstd = rs;
  const V<T> vr = broadcast(rs);
  int64_t i = 0;
  for (; i + L <= d; i += L) put(out + i, fma((load(x + i) - vm) * vr, load(w + i), load(b + i)), past);
  if (i < d) {
    const int64_t k = d - i;
    store_n(out + i, fma((load_n(x + i, k) - vm) * vr, load_n(w + i, k), load_n(b + i, k)), k);
  }
}

template <class T>
void layer_norm(In input, Opt weight, Opt bias, double eps, Out y, Out mean, Out rstd) {
  const int64_t n = input.rows(), d = input.size(-1);
  const T *xs = input.data<T>(), *w = or_constant(weight, d, T(1), 1), *b = or_constant(bias, d, T(0), 2);
  T *ys = y.data<T>(), *means = mean.data<T>(), *rstds = rstd.data<T>();
  const bool past = goes_past_caches(ys, n * d, d);
  parallel_ranges(n, row_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++)
      normalize_row(xs + r * d, row_sum(xs + r * d, d), w, b, eps, d, ys + r * d, means + r, rstds + r, past);
    if (past) fence();
  });
}

template <class T>
void dropout_add_layer_norm(In input, Opt residual, Opt weight, Opt bias, double p, double eps, int64_t seed,
                            int64_t call, bool keep, Out y, Out sum, Out mean, Out rstd) {
  const int64_t n = input.rows(), d = input.size(-1);
  const T *xs = input.data<T>(), *rs = residual.data<T>();
  const T *w = or_constant(weight, d, T(1), 1), *b = or_constant(bias, d, T(0), 2);
  T *ys = y.data<T>(), *sums = keep ? sum.data<T>() : nullptr, *means = mean.data<T>(), *rstds = rstd.data<T>();
  const bool past = goes_past_caches(ys, n * d, d) && (!sums || goes_past_caches(sums, n * d, d));
  parallel_ranges(n, row_grain(d), [&](int64_t begin, int64_t end) {
    Decisions decisions(p, seed, call);
    T* scratch = p > 0 ? static_cast<T*>(thread_scratch(0, size_t(d + 256) * sizeof(T))) : nullptr;
    T* row = past || !sums ? static_cast<T*>(thread_scratch(4, size_t(d) * sizeof(T))) : nullptr;
    for (int64_t r = begin; r < end; r++) {
      const T *x = xs + r * d, *res = rs ? rs + r * d : nullptr;
      T *z = row ? row : sums + r * d, *far = row && sums ? sums + r * d : nullptr;
      const T* kept = p > 0 ? keep_factors(decisions, r * d, r * d + d, scratch) : nullptr;
      const T total = row_total<T>(d, [&](int64_t i, int64_t k) ENGINE_LAMBDA {
        V<T> v = load_some(x + i, k);
        if (kept) v = dropped(v, load_some(kept + i, k));
        if (res) v += load_some(res + i, k);
        store_some(z + i, v, k);
        if (far) stream(far + i, v);
        return v;
      });
      normalize_row(z, total, w, b, eps, d, ys + r * d, means + r, rstds + r, past);
    }
    if (past) fence();
  });
}

// Adds up the chunks' partial sums, in their order: out[k][i] = sum over c of partial[c][k][i].
template <class T>
static void add_chunks(const T* partial, int64_t chunks, int64_t d, int parts, T* const* out) {
  parallel_ranges(d, 512, [&](int64_t begin, int64_t end) {
    for (int k = 0; k < parts; k++) {
      T* y = out[k];
      for (int64_t i = begin; i < end; i++) y[i] = 0;
      for (int64_t c = 0; c < chunks; c++) {
        const T* x = partial + (c * parts + k) * d;
        for (int64_t i = begin; i < end; i++) y[i] += x[i];
      }
    }
  });
}

// What the backward of a normalisation reads and writes. Null pointers: not there, not wanted.
template <class T>
struct NormBackward {
  const T *dy, *x, *weight, *mean, *rstd; // mean null: rms_norm
  const T* more;                          // a second gradient of x, which comes past the normalisation
  T *dx, *dropped;                        // dx, and dx times dropout's factors
  T *dweight, *dbias;
  double p;
  int64_t seed, call;
};

// With xhat = (x - mean) * rstd and g = dy * w: dx = rstd * (g - mean(g) - xhat * mean(g * xhat)), without mean(g) in
// rms_norm.
template <class T, bool Centred>
static void norm_backward(const NormBackward<T>& a, int64_t n, int64_t d) {
  constexpr int L = kLanes<T>, parts = Centred ? 2 : 1;
  const int64_t chunks = (n + kChunk - 1) / kChunk;
  T* partial = static_cast<T*>(thread_scratch(0, size_t(chunks * parts * d) * sizeof(T)));
  const bool past =
      (!a.dx || goes_past_caches(a.dx, n * d, d)) && (!a.dropped || goes_past_caches(a.dropped, n * d, d));
  parallel_for(chunks, [&](int64_t c) {
    T *pw = partial + c * parts * d, *pb = pw + d;
    for (int64_t i = 0; i < parts * d; i++) pw[i] = 0;
    Decisions decisions(a.p, a.seed, a.call);
    T* scratch = a.dropped ? static_cast<T*>(thread_scratch(3, size_t(d + 256) * sizeof(T))) : nullptr;
    const int64_t end = (c + 1) * kChunk < n ? (c + 1) * kChunk : n;
    for (int64_t r = c * kChunk; r < end; r++) {
      const T *x = a.x + r * d, *g = a.dy + r * d, *w = a.weight;
      const V<T> vm = broadcast(Centred ? a.mean[r] : T(0)), vr = broadcast(a.rstd[r]);
      Wide<T> sum_g, sum_gx;
      walk<T>(d, [&](int p, int64_t i, int64_t k) ENGINE_LAMBDA {
        const V<T> vg = load_some(g + i, k), gw = vg * load_some(w + i, k);
        V<T> xhat = (load_some(x + i, k) - vm) * vr;
        if (k < L) xhat = first_lanes(xhat, k, T(0)); // behind the end it may be infinite
        if constexpr (Centred) {
          sum_g[p] += gw;
          store_some(pb + i, load_some(pb + i, k) + vg, k);
        }
        sum_gx[p] = fma(gw, xhat, sum_gx[p]); // lanes behind the end have gw = 0
        store_some(pw + i, fma(vg, xhat, load_some(pw + i, k)), k);
      });
      const V<T> mg = broadcast(T(sum(sum_g) / T(d))), mgx = broadcast(T(sum(sum_gx) / T(d)));
      const T* more = a.more ? a.more + r * d : nullptr;
      const T* keep = a.dropped ? keep_factors(decisions, r * d, r * d + d, scratch) : nullptr;
      T *dx = a.dx ? a.dx + r * d : nullptr, *dz = a.dropped ? a.dropped + r * d : nullptr;
      auto finish = [&](int64_t i, int64_t k) ENGINE_LAMBDA {
        const V<T> xhat = (load_some(x + i, k) - vm) * vr;
        V<T> v = load_some(g + i, k) * load_some(w + i, k);
        if constexpr (Centred) v -= mg;
        v = vr * fma(-xhat, mgx, v);
        if (more) v += load_some(more + i, k);
        auto to = [&](T* p, V<T> u) ENGINE_LAMBDA {
          if (k == L)
            put(p, u, past);
          else
            store_n(p, u, k);
        };
        if (dx) to(dx + i, v);
        if (dz) to(dz + i, dropped(v, load_some(keep + i, k)));
      };
      int64_t i = 0;
      for (; i + L <= d; i += L) finish(i, L);
      if (i < d) finish(i, d - i);
    }
    if (past) fence();
  });
  T* const outs[] = {a.dweight, a.dbias};
  add_chunks(partial, chunks, d, parts, outs);
}

template <class T>
void layer_norm_backward(In dy, In input, Opt weight, In mean, In rstd, Out dinput, Out dweight, Out dbias) {
  const int64_t n = input.rows(), d = input.size(-1);
  NormBackward<T> a = {};
  a.dy = dy.data<T>();
  a.x = input.data<T>();
  a.weight = or_constant(weight, d, T(1), 1);
  a.mean = mean.data<T>();
  a.rstd = rstd.data<T>();
  a.dx = dinput.data<T>();
  a.dweight = dweight.data<T>();
  a.dbias = dbias.data<T>();
  norm_backward<T, true>(a, n, d);
}

template <class T>
void dropout_add_layer_norm_backward(In dy, Opt dsum, In sum, Opt weight, In mean, In rstd, double p, int64_t seed,
                                     int64_t call, int64_t, int64_t, Out dresidual, Out dinput, Out dweight,
                                     Out dbias) {
  const int64_t n = sum.rows(), d = sum.size(-1);
  NormBackward<T> a = {};
  a.dy = dy.data<T>();
  a.x = sum.data<T>();
  a.weight = or_constant(weight, d, T(1), 1);
  a.mean = mean.data<T>();
  a.rstd = rstd.data<T>();
  a.more = dsum.data<T>();
  a.dx = dresidual.size(0) == n ? dresidual.data<T>() : nullptr;
  a.dropped = dinput.size(0) == n ? dinput.data<T>() : nullptr;
  a.dweight = dweight.data<T>();
  a.dbias = dbias.data<T>();
  a.p = p;
  a.seed = seed;
  a.call = call;
  norm_backward<T, true>(a, n, d);
}

template <class T>
static bool all_finite(const T* x, int64_t d) {
  bool finite = true;
  for (int64_t i = 0; i < d; i++) finite = finite && x[i] - x[i] == 0;
  return finite;
}

template <class T>
void rms_norm(In input, Opt weight, double eps, Out y, Out rstd) {
  const int64_t n = input.rows(), d = input.size(-1);
  const T *xs = input.data<T>(), *w = or_constant(weight, d, T(1), 1);
  T *ys = y.data<T>(), *rstds = rstd.data<T>();
  parallel_ranges(n, row_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const T* x = xs + r * d;
      const T squares = row_dot(x, x, d);
      if (squares - squares != 0 && all_finite(x, d)) {
        scaled_row<T>(x, w, nullptr, eps, d, ys + r * d, nullptr, rstds + r);
        continue;
      }
      const V<T> rs = broadcast(rstds[r] = reciprocal_root(squares / T(d), eps));
      row_map(d, ys + r * d, x, w, [rs](V<T> a, V<T> b) ENGINE_LAMBDA { return a * rs * b; });
    }
  });
}

template <class T>
void rms_norm_backward(In dy, In input, Opt weight, In rstd, Out dinput, Out dweight) {
  const int64_t n = input.rows(), d = input.size(-1);
  NormBackward<T> a = {};
  a.dy = dy.data<T>();
  a.x = input.data<T>();
  a.weight = or_constant(weight, d, T(1), 1);
  a.rstd = rstd.data<T>();
  a.dx = dinput.data<T>();
  a.dweight = dweight.data<T>();
  norm_backward<T, false>(a, n, d);
}

} // namespace engine::ENGINE_ISA

#define FAMILY norm
#include "cpu/instances.h"
