// Dropout of a flat, contiguous tensor: y = keep ? x * scale : 0. The mask is a pure function of seed, call and
// position (cpu/philox.h): nothing is stored, and backward is the same kernel on the gradient.
#include "core/view.h"
#include "cpu/parallel.h"
#include "cpu/philox.h"

namespace engine::ENGINE_ISA {

using namespace simd;

static void dropout_range(const float* x, float* y, Decisions& decisions, int64_t begin, int64_t end) {
  constexpr int L = kLanes<float>;
  const f32 scale = broadcast(decisions.scale());
  for (int64_t e = begin; e < end; e += 128) {
    // Drawing takes longer than the processor looks ahead: ask for the block after the next ones now.
    for (int i = 0; i < 128; i += 16) __builtin_prefetch(x + e + 4 * 128 + i, 0, 3);
    decisions.block(e);
    if (e + 128 <= end) {
#pragma GCC unroll 8
      for (int h = 0; h < 128; h += L) store(y + e + h, decisions.keep(h) ? load(x + e + h) * scale : zero<float>());
    } else {
      for (int h = 0; h < 128 && e + h < end; h += L) {
        const int64_t k = end - e - h < L ? end - e - h : L;
        store_n(y + e + h, decisions.keep(h) ? load_n(x + e + h, k) * scale : zero<float>(), k);
      }
    }
  }
}
static void dropout_range(const double* x, double* y, Decisions& decisions, int64_t begin, int64_t end) {
  const double scale = decisions.exact_scale();
  for (int64_t e = begin; e < end; e++) y[e] = decisions.keeps(e) ? x[e] * scale : 0;
}

template <class T>
void dropout(In input, double p, int64_t seed, int64_t call, Out y) {
  static_assert(kGrain % 128 == 0, "a chunk is made of whole blocks");
  parallel_ranges(input.numel(), kGrain, [&](int64_t begin, int64_t end) {
    Decisions decisions(p, seed, call);
    dropout_range(input.data<T>(), y.data<T>(), decisions, begin, end);
  });
}

} // namespace engine::ENGINE_ISA

#define FAMILY dropout
#include "cpu/instances.h"
