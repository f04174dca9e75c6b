// What the machine can do at most, for benchmarks to be measured against: multiply-adds and memory traffic, on the
// threads of the pool. Not used by any op.
#include "core/raise.h"
#include "core/view.h"
#include "cpu/parallel.h"
#include "cpu/streaming.h"

namespace engine::ENGINE_ISA {

using namespace simd;

// As many as fit the registers with the two factors, and keep all units busy: some CPUs with NEON have four.
#if defined(ENGINE_ISA_neon)
constexpr int kChains = 24;
#else
constexpr int kChains = 12;
#endif

// Each of n chunks runs `iterations` rounds of kChains independent chains of vector fma: 2 * kChains * lanes *
// iterations operations. y[i] is a value that depends on all of them, so that nothing can be left out; rate is
// operations a round.
template <class T>
void fma_peak(int64_t n, int64_t iterations, Out y, Out rate) {
  T* out = y.data<T>();
  *rate.data<int64_t>() = 2 * kChains * kLanes<T>;
  parallel_for(n, [&](int64_t i) {
    V<T> chain[kChains], factor = broadcast(T(0.999)), add = broadcast(T(0.001));
    for (int c = 0; c < kChains; c++) chain[c] = broadcast(T(1) + T(c));
    for (int64_t k = 0; k < iterations; k++) {
#pragma GCC unroll 24
      for (int c = 0; c < kChains; c++) chain[c] = fma(chain[c], factor, add);
    }
    for (int c = 1; c < kChains; c++) chain[0] += chain[c];
    out[i] = fold<T>(chain[0], [](auto a, auto b) ENGINE_LAMBDA { return a + b; });
  });
}

constexpr int64_t kPiece = 1 << 14; // elements a chunk

// Memory traffic of any mix: each element of every array of `writes` becomes the sum of the arrays of `reads`. An array
// may stand in both lists; without writes the sums are dropped.
template <class T>
void stream(InList reads, InOutList writes) {
  if (reads.count == 0) raise_value("stream", "reads", "at least one array", "none");
  const int64_t n = numel(reads[0]);
  for (int64_t t = 0; t < reads.count + writes.count; t++) {
    const bool read = t < reads.count;
    const int64_t found = numel(read ? reads[t] : writes[t - reads.count]);
    if (found != n)
      raise_value("stream", Text("%s[%lld]", read ? "reads" : "writes", (long long)(read ? t : t - reads.count)).s,
                  Text("%lld elements", (long long)n), Text("%lld", (long long)found));
  }
  constexpr int L = kLanes<T>;
  bool past = writes.count > 0; // what was read is in the cache already
  for (int64_t t = 0; t < writes.count; t++) {
    past &= goes_past_caches(writes.data<T>(t), n, kPiece);
    for (int64_t r = 0; r < reads.count; r++) past &= writes.data<T>(t) != reads.data<T>(r);
  }
  parallel_ranges(n, kPiece, [&](int64_t begin, int64_t end) {
    V<T> unused = zero<T>();
    int64_t i = begin;
    for (; i + L <= end; i += L) {
      V<T> total = load(reads.data<T>(0) + i);
      for (int64_t t = 1; t < reads.count; t++) total += load(reads.data<T>(t) + i);
      for (int64_t t = 0; t < writes.count; t++) put(writes.data<T>(t) + i, total, past);
      unused += total;
    }
    __asm__ volatile("" : : "m"(unused)); // reads that nothing is written from stay
    for (; i < end; i++) {
      T total = 0;
      for (int64_t t = 0; t < reads.count; t++) total += reads.data<T>(t)[i];
      for (int64_t t = 0; t < writes.count; t++) writes.data<T>(t)[i] = total;
    }
    if (past) fence();
  });
}

} // namespace engine::ENGINE_ISA

#define FAMILY limits
#include "cpu/instances.h"
