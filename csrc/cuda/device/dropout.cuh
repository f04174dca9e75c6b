// Dropout's decisions for packs of neighbouring elements. A draw decides about eight positions, sixteen apart: the
// lanes of a warp draw for 256 positions at once and tell each other by ballots.
#pragma once
#include "cuda/device/philox.cuh"
#include "cuda/device/rows.cuh"

// How the elements of a call are dropped: not at all, by packs that are consecutive within each warp, or one by one.
enum Dropping : int { kKeepAll, kByWarps, kByElements };

// Bit i: whether position e + i is kept, for i < N. The lanes hold consecutive packs: e = E + lane * N, a multiple of
// N, with all lanes of the warp here. The last draws are kept: they may serve the next packs.
template <int N>
class WarpDecisions {
 public:
  __device__ __forceinline__ uint32_t operator()(const Dropout& d, int64_t e) {
    const int lane = int(threadIdx.x) & 31, sixteen = int(e >> 4) & 7;
    const int64_t first = e - lane * N, low = first >> 7, high = (first + 32 * N - 1) >> 7;
    if (low < block_ || high > block_ + 1) {
      block_ = low;
      bits_ = draw(d, low, sixteen);
    }
    const int b = int((e >> 7) - block_);
    uint32_t bits = bits_ >> ((b & 1) * 16 + int(e & 15));
    if (N == 8 && high > block_ + 1) { // a row that starts within a block
      const uint32_t more = draw(d, block_ + 2, sixteen);
      if (b > 1) bits = more >> ((b & 1) * 16 + int(e & 15));
    }
    return bits;
  }

 private:
  // Bit 16 b + g: whether position g of that sixteen of block + b is kept.
  static __device__ __forceinline__ uint32_t draw(const Dropout& d, int64_t block, int sixteen) {
    const uint64_t group = uint64_t(block) * 16 + (threadIdx.x & 31);
    const Words words = philox(uint32_t(group), uint32_t(group >> 32), d.call, 0, d.k0, d.k1);
    uint32_t mine = 0;
#pragma unroll
    for (int h = 0; h < 8; h++) {
      const uint32_t all = __ballot_sync(kFullWarp, half_of(words, h) < d.threshold);
      if (h == sixteen) mine = all;
    }
    return mine;
  }
  int64_t block_ = -8; // bits_ are those of this block of 128 positions and the next
  uint32_t bits_ = 0;
};

template <int N>
__device__ __forceinline__ uint32_t keep_bits(int how, const Dropout& d, WarpDecisions<N>& decisions, int64_t e) {
  if (how == kByWarps) return decisions(d, e);
  uint32_t bits = 0;
#pragma unroll 1
  for (int i = 0; i < N; i++) bits |= uint32_t(keeps(d, e + i)) << i; // e may be negative: not there, not read
  return bits;
}
