// parallel_for for kernel files: a lambda over chunks, without the C++ library.
#pragma once
#include "core/threadpool.h"

namespace engine::ENGINE_ISA {

// fn(i) for i in [0, n). How work is cut into chunks must depend on shapes only, never on the number of threads.
template <class Fn>
inline void parallel_for(int64_t n, const Fn& fn) {
  if (n == 1) return fn(int64_t(0));
  run_chunks(n, [](void* context, int64_t i) { (*static_cast<const Fn*>(context))(i); }, const_cast<Fn*>(&fn));
}

// fn(begin, end) over [0, n) in chunks of `grain`.
template <class Fn>
inline void parallel_ranges(int64_t n, int64_t grain, const Fn& fn) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  parallel_for((n + grain - 1) / grain, [&](int64_t i) {
    int64_t begin = i * grain, end = begin + grain < n ? begin + grain : n;
    fn(begin, end);
  });
}

// Elements that a thread should have to be worth waking: about ten microseconds of memory-bound work.
constexpr int64_t kGrain = 16384;
// Rows of `d` elements that make such a chunk; a function of the shape only.
inline int64_t row_grain(int64_t d) { return d >= kGrain ? 1 : (kGrain + d - 1) / (d > 0 ? d : 1); }

} // namespace engine::ENGINE_ISA
