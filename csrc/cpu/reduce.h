// The walk under every reduction: an array of any strides, of which some dimensions are reduced, seen as A x R x B with
// R reduced and either R or B contiguous. What is done with the elements is a policy P:
//
//   P::T, P::Part                   the element type, and what a part of a reduction comes to
//   row(x, n, s, start)             the part of n contiguous elements, the first of which is number `start` of the
//   reduction columns(x, stride, rows, cols, s, start, parts)   the parts of `cols` columns side by side join(a, b) two
//   parts into one, a before b empty()                         the part of no elements
//
// s points to a number for each output (or, with a step of 0, to one for all) that the policy may need: a mean, an
// exponent. Long reductions are cut into chunks whose size depends on the shape only and whose parts are joined in
// their order: the result does not depend on the number of threads.
#pragma once
#include "core/allocator.h"
#include "cpu/elementwise.h"
#include "cpu/wide.h"

namespace engine::ENGINE_ISA {

struct Plan {
  const void* data;
  int64_t a = 1, r = 1, b = 1;    // sizes
  int64_t sa = 0, sr = 1, sb = 1; // strides in elements
  int64_t outputs() const { return a * b; }
};

struct Same {
  template <class T>
  static ENGINE_INLINE
  T of(T a) { return a; }
};

// A contiguous copy with the reduced dimensions last, in the caller's scratch slot 0.
inline const void* reduced_last(const View& x, int64_t mask) {
  View to = x;
  const int64_t item = item_size(x.dtype);
  to.data = thread_scratch(0, size_t(numel(x) * item));
  int64_t stride = 1;
  for (int reduced = 1; reduced >= 0; reduced--)
    for (int d = x.ndim - 1; d >= 0; d--) {
      if ((mask >> d & 1) != reduced) continue;
      to.strides[d] = stride;
      stride *= x.shape[d];
    }
  const View* views[2] = {&to, &x};
  map<2>(views, item == 1   ? loop1<Same, uint8_t, uint8_t>
                : item == 2 ? loop1<Same, uint16_t, uint16_t>
                : item == 4 ? loop1<Same, uint32_t, uint32_t>
                            : loop1<Same, uint64_t, uint64_t>);
  return to.data;
}

// Bit d of the mask: dimension d is reduced. The order of elements along R is that of the array.
inline Plan plan_reduction(Param input, int64_t mask) {
  const View& x = *input.v;
  struct Group {
    int64_t size, stride;
    bool reduced;
  } groups[kMaxDims];
  int n = 0;
  for (int d = 0; d < x.ndim; d++) {
    if (x.shape[d] == 1) continue;
    const bool reduced = mask >> d & 1;
    if (n > 0 && groups[n - 1].reduced == reduced && groups[n - 1].stride == x.strides[d] * x.shape[d]) {
      groups[n - 1].size *= x.shape[d];
      groups[n - 1].stride = x.strides[d];
    } else {
      groups[n++] = {x.shape[d], x.strides[d], reduced};
    }
  }
  Plan p;
  p.data = x.data;
  int i = 0;
  if (i < n && !groups[i].reduced && (i + 1 < n || groups[i].stride != 1))
    p.a = groups[i].size, p.sa = groups[i].stride, i++;
  if (i < n && groups[i].reduced) p.r = groups[i].size, p.sr = groups[i].stride, i++;
  if (i < n && !groups[i].reduced) p.b = groups[i].size, p.sb = groups[i].stride, i++;
  if (i == n && (p.sr == 1 || p.sb == 1)) return p;
  // Neither fits: as A x R.
  Plan q;
  for (int d = 0; d < x.ndim; d++) (mask >> d & 1 ? q.r : q.a) *= x.shape[d];
  q.sa = q.r;
  q.data = numel(x) ? reduced_last(x, mask) : x.data;
  return q;
}

constexpr int64_t kRowChunk = 16384; // elements of a row
constexpr int64_t kColumns = 512;    // columns worked on together

// finish(o, part) for each output o = a * B + b, on any thread. step: that of s from output to output, 0 or 1.
template <class P, class Finish>
static void reduce(const Plan& p, const typename P::T* s, int64_t step, const Finish& finish) {
  using T = typename P::T;
  using Part = typename P::Part;
  const T* x = static_cast<const T*>(p.data);
  const int64_t outputs = p.outputs();
  if (outputs == 0) return;
  if (p.r == 0) {
    for (int64_t o = 0; o < outputs; o++) finish(o, P::empty());
    return;
  }
  const bool rows = p.sr == 1;
  const int64_t group = rows ? 1 : p.b < kColumns ? p.b : kColumns, groups = (p.b + group - 1) / group;
  int64_t chunk = kRowChunk;
  if (!rows) chunk = 2 * kRowChunk / group < 64 ? 64 : 2 * kRowChunk / group > 4096 ? 4096 : 2 * kRowChunk / group;
  const int64_t chunks = (p.r + chunk - 1) / chunk;
  const int64_t work = (p.r < chunk ? p.r : chunk) * group, units = p.a * chunks * groups;
  Part* parts = chunks == 1 ? nullptr : static_cast<Part*>(thread_scratch(1, size_t(outputs * chunks) * sizeof(Part)));
  parallel_ranges(units, (kRowChunk + work - 1) / work, [&](int64_t begin, int64_t end) {
    Part local[kColumns];
    for (int64_t u = begin; u < end; u++) {
      const int64_t g = u % groups * group, c = u / groups % chunks, a = u / groups / chunks;
      const int64_t start = c * chunk, n = p.r - start < chunk ? p.r - start : chunk;
      const int64_t cols = p.b - g < group ? p.b - g : group, o = a * p.b + g;
      Part* to = parts ? parts + (a * chunks + c) * p.b + g : local;
      const T* from = x + a * p.sa + start * p.sr + g * p.sb;
      if (rows)
        to[0] = P::row(from, n, s + o * step, start);
      else
        P::columns(from, p.sr, n, cols, s + o * step, step, start, to);
      if (!parts)
        for (int64_t i = 0; i < cols; i++) finish(o + i, local[i]);
    }
  });
  if (!parts) return;
  parallel_ranges(outputs, (kRowChunk + chunks - 1) / chunks, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; o++) {
      const Part* part = parts + o / p.b * chunks * p.b + o % p.b;
      Part total = part[0];
      for (int64_t c = 1; c < chunks; c++) total = P::join(total, part[c * p.b]);
      finish(o, total);
    }
  });
}

// ---- sums: of M::of(x, s)

template <class T>
struct Accumulator {
  using type = double;
};
template <>
struct Accumulator<int64_t> {
  using type = int64_t;
};

// Vectors of T add up over short blocks; blocks are added in float64. (Integers wrap around in either order.)
template <class T_, class M>
struct SumOf {
  using T = T_;
  using Part = typename Accumulator<T>::type;
  using Vec = simd::V<T>;
  static constexpr int L = simd::kLanes<T>;
  static constexpr int64_t kBlockOfRow = 256, kBlockOfColumn = 32;

  static Part empty() { return 0; }
  static Part join(Part a, Part b) { return Part(W<Part>(a) + W<Part>(b)); }

  static Part row(const T* x, int64_t n, const T* s, int64_t) {
    const Vec sv = simd::broadcast(*s);
    Part total = 0;
    for (; n > 0; x += kBlockOfRow, n -= kBlockOfRow) {
      simd::Wide<T, 4> sum;
      walk<T, 4>(n < kBlockOfRow ? n : kBlockOfRow, [&](int p, int64_t i, int64_t k) ENGINE_LAMBDA {
        const Vec v = M::of(load_some(x + i, k), sv);
        sum[p] += k < L ? first_lanes(v, k, T(0)) : v;
      });
      total = join(total, Part(simd::sum(sum)));
    }
    return total;
  }

  template <int K>
  static ENGINE_INLINE
  void tile(const T* x, int64_t stride, int64_t rows, const T* s, int64_t step, Part* parts) {
    Vec sv[K];
    Part total[K * L] = {};
    for (int k = 0; k < K; k++) sv[k] = step ? simd::load(s + k * L) : simd::broadcast(*s);
    for (int64_t r = 0; r < rows; r += kBlockOfColumn) {
      const int64_t end = rows - r < kBlockOfColumn ? rows : r + kBlockOfColumn;
      Vec sum[K];
      for (int k = 0; k < K; k++) sum[k] = Vec{};
      for (int64_t i = r; i < end; i++)
        for (int k = 0; k < K; k++) sum[k] += M::of(simd::load(x + i * stride + k * L), sv[k]);
      T lanes[K * L];
      for (int k = 0; k < K; k++) simd::store(lanes + k * L, sum[k]);
      for (int l = 0; l < K * L; l++) total[l] = join(total[l], Part(lanes[l]));
    }
    for (int l = 0; l < K * L; l++) parts[l] = total[l];
  }

  static void columns(const T* x, int64_t stride, int64_t rows, int64_t cols, const T* s, int64_t step, int64_t,
                      Part* parts) {
    int64_t c = 0;
    for (; c + 4 * L <= cols; c += 4 * L) tile<4>(x + c, stride, rows, s + c * step, step, parts + c);
    for (; c + L <= cols; c += L) tile<1>(x + c, stride, rows, s + c * step, step, parts + c);
    if (c < cols && cols >= L) { // the last vector again, shifted: the same sums
      c = cols - L;
      return tile<1>(x + c, stride, rows, s + c * step, step, parts + c);
    }
    for (; c < cols; c++) { // as a lane of a tile
      Part total = 0;
      for (int64_t r = 0; r < rows; r += kBlockOfColumn) {
        const int64_t end = rows - r < kBlockOfColumn ? rows : r + kBlockOfColumn;
        T sum = 0;
        for (int64_t i = r; i < end; i++) sum = T(W<T>(sum) + W<T>(M::of(x[i * stride + c], s[c * step])));
        total = join(total, Part(sum));
      }
      parts[c] = total;
    }
  }
};

// ---- the largest or smallest element; NaN where there is one

template <class T_, bool largest>
struct Extreme {
  using T = T_;
  using Part = T;
  using Vec = simd::V<T>;
  static constexpr int L = simd::kLanes<T>;

  static Part empty() { return T{}; }
  template <class U>
  static ENGINE_INLINE
  U join(U a, U b) {
    if constexpr (largest)
      return (b > a) | (b != b) ? b : a;
    else
      return (b < a) | (b != b) ? b : a;
  }

  static Part row(const T* x, int64_t n, const T*, int64_t) {
    constexpr int kParts = simd::Wide<T>::kParts;
    if (n < kParts * L) {
      T best = x[0];
      for (int64_t i = 1; i < n; i++) best = join(best, x[i]);
      return best;
    }
    simd::Wide<T, 4> best;
    for (int p = 0; p < 4 * kParts; p++) best[p] = simd::load(x + p % kParts * L);
    walk<T, 4>(n / (kParts * L) * (kParts * L),
               [&](int p, int64_t i, int64_t) ENGINE_LAMBDA { best[p] = join(best[p], simd::load(x + i)); });
    for (int p = 0; p < kParts; p++) best[p] = join(best[p], simd::load(x + n - (kParts - p) * L));
    return simd::fold(best, [](auto a, auto b) ENGINE_LAMBDA { return join(a, b); });
  }

  static ENGINE_INLINE
  void tile(const T* x, int64_t stride, int64_t rows, Part* parts) {
    Vec best = simd::load(x);
    for (int64_t r = 1; r < rows; r++) best = join(best, simd::load(x + r * stride));
    simd::store(parts, best);
  }
  static void columns(const T* x, int64_t stride, int64_t rows, int64_t cols, const T*, int64_t, int64_t, Part* parts) {
    int64_t c = 0;
    for (; c + L <= cols; c += L) tile(x + c, stride, rows, parts + c);
    if (c < cols && cols >= L) return tile(x + cols - L, stride, rows, parts + cols - L);
    for (; c < cols; c++) {
      T best = x[c];
      for (int64_t r = 1; r < rows; r++) best = join(best, x[r * stride + c]);
      parts[c] = best;
    }
  }
};

// The same with its place: that of the first one where several are equal.
template <class T_, bool largest>
struct ArgExtreme {
  using T = T_;
  struct Part {
    T value;
    int64_t index;
  };
  static Part empty() { return {}; }
  static ENGINE_INLINE
  bool better(T a, T b) { // is b better than a, which comes first?
    if (a != a) return false;
    return b != b || (largest ? b > a : b < a);
  }
  static Part join(Part a, Part b) { return better(a.value, b.value) ? b : a; }

  static Part row(const T* x, int64_t n, const T* s, int64_t start) {
    const T value = Extreme<T, largest>::row(x, n, s, start);
    int64_t i = 0;
    if (value == value)
      while (x[i] != value) i++;
    else
      while (x[i] == x[i]) i++;
    return {x[i], start + i};
  }
  static void columns(const T* x, int64_t stride, int64_t rows, int64_t cols, const T*, int64_t, int64_t start,
                      Part* parts) {
    for (int64_t c = 0; c < cols; c++) parts[c] = {x[c], start};
    for (int64_t r = 1; r < rows; r++)
      for (int64_t c = 0; c < cols; c++)
        if (better(parts[c].value, x[r * stride + c])) parts[c] = {x[r * stride + c], start + r};
  }
};

// ---- reductions that are joined element by element: Op::empty, Op::join(part, part), Op::of(x, s)

template <class T_, class Part_, class Op>
struct Fold {
  using T = T_;
  using Part = Part_;
  static Part empty() { return Op::template empty<Part>(); }
  static Part join(Part a, Part b) { return Op::join(a, b); }
  static Part row(const T* x, int64_t n, const T* s, int64_t) {
    constexpr int kChains = 8; // several at once: an element need not wait for the one before
    Part chain[kChains];
    for (int k = 0; k < kChains; k++) chain[k] = empty();
    int64_t i = 0;
    for (; i + kChains <= n; i += kChains)
      for (int k = 0; k < kChains; k++) chain[k] = Op::join(chain[k], Part(Op::of(x[i + k], *s)));
    for (; i < n; i++) chain[0] = Op::join(chain[0], Part(Op::of(x[i], *s)));
    for (int k = 1; k < kChains; k++) chain[0] = Op::join(chain[0], chain[k]);
    return chain[0];
  }
  static void columns(const T* x, int64_t stride, int64_t rows, int64_t cols, const T* s, int64_t step, int64_t,
                      Part* parts) {
    for (int64_t c = 0; c < cols; c++) parts[c] = empty();
    for (int64_t r = 0; r < rows; r++)
      for (int64_t c = 0; c < cols; c++) parts[c] = Op::join(parts[c], Part(Op::of(x[r * stride + c], s[c * step])));
  }
};

} // namespace engine::ENGINE_ISA
