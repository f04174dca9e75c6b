// What the machine can do at most, for benchmarks to be measured against: multiply-adds and memory traffic, on the
// threads of the pool. Not used by any op.
#include "core/view.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

namespace engine::ENGINE_ISA {

using namespace simd;

// Each of n chunks runs `iterations` rounds of 12 independent chains of vector fma: 2 * 12 * lanes * iterations
// operations. y[i] is a value that depends on all of them, so that nothing can be left out; rate is operations a round.
template <class T>
void fma_peak(int64_t n, int64_t iterations, Out y, Out rate) {
  constexpr int kChains = 12; // with the two factors they fit 16 registers
  T* out = y.data<T>();
  *rate.data<double>() = 2.0 * kChains * kLanes<T>;
  parallel_for(n, [&](int64_t i) {
    V<T> chain[kChains], factor = broadcast(T(0.999)), add = broadcast(T(0.001));
    for (int c = 0; c < kChains; c++) chain[c] = broadcast(T(1) + T(c));
    for (int64_t k = 0; k < iterations; k++) {
#pragma GCC unroll 16
      for (int c = 0; c < kChains; c++) chain[c] = fma(chain[c], factor, add);
    }
    for (int c = 1; c < kChains; c++) chain[0] += chain[c];
    out[i] = sum(chain[0]);
  });
}

constexpr int64_t kPiece = 1 << 16; // elements a chunk

// Reads all of x once; y holds a sum for each chunk.
template <class T>
void stream_read(In x, int64_t chunks, Out y) {
  const T* from = x.data<T>();
  T* out = y.data<T>();
  const int64_t n = x.numel();
  parallel_for(chunks, [&](int64_t i) {
    const int64_t begin = n * i / chunks, end = n * (i + 1) / chunks;
    V<T> a = zero<T>(), b = zero<T>(), c = zero<T>(), d = zero<T>();
    constexpr int L = kLanes<T>;
    int64_t k = begin;
    for (; k + 4 * L <= end; k += 4 * L) {
      a += load(from + k);
      b += load(from + k + L);
      c += load(from + k + 2 * L);
      d += load(from + k + 3 * L);
    }
    T rest = 0;
    for (; k < end; k++) rest += from[k];
    out[i] = sum((a + b) + (c + d)) + rest;
  });
}

// z = x + factor * y: two reads and a write (with its read for ownership) an element.
template <class T>
void stream_triad(In x, In y, double factor, InOut z) {
  const T *a = x.data<T>(), *b = y.data<T>();
  T* out = z.data<T>();
  const V<T> f = broadcast(T(factor));
  parallel_ranges(x.numel(), kPiece, [&](int64_t begin, int64_t end) {
    constexpr int L = kLanes<T>;
    int64_t k = begin;
    for (; k + L <= end; k += L) store(out + k, fma(load(b + k), f, load(a + k)));
    for (; k < end; k++) out[k] = a[k] + T(factor) * b[k];
  });
}

} // namespace engine::ENGINE_ISA

#define FAMILY limits
#include "cpu/instances.h"
