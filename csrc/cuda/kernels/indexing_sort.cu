// What works by order instead of atomics: finding the elements that are set, and sorting indices.
//
// Runs of 2048 elements are counted, the counts are summed up by one block, and each run writes from its own start on.
// The sort is a stable radix sort by 8 bits, the lowest first (Satish, Harris and Garland, "Designing efficient sorting
// algorithms for manycore GPUs", 2009): a pass counts the digits of each run, sums up the counts (digit by digit, run
// by run), and moves each element to its digit's place. Within a run each warp has its own 256 elements, 32 at a
// time: an element's rank among equal digits of its warp is a population count of the lanes before it.
#include "cuda/device/axes.cuh"
#include "cuda/device/scan.cuh"
#include "cuda/device/shared.h"

constexpr int kDigits = 256, kWarps = kScanThreads / 32, kSteps = kRun / kScanThreads;

// Exclusive sums in place; by one block. total (may be null) gets that of all, largest (may be
// null) the largest number. shared: kScanThreads elements.
template <class N>
__device__ __forceinline__ void scan_counts(N* counts, int64_t n, int64_t* total, int64_t* largest, N* shared) {
  N carry = 0, most = 0;
  for (int64_t at = 0; at < n; at += kScanThreads * 4) {
    const int64_t first = at + threadIdx.x * 4;
    N v[4], mine = 0;
#pragma unroll
    for (int k = 0; k < 4; k++) {
      v[k] = first + k < n ? counts[first + k] : N(0);
      most = v[k] > most ? v[k] : most;
      mine += v[k];
    }
    N all;
    N before = carry + block_scan(mine, all, shared);
#pragma unroll
    for (int k = 0; k < 4; k++) {
      if (first + k < n) counts[first + k] = before;
      before += v[k];
    }
    carry += all;
  }
  if (threadIdx.x == 0 && total) *total = int64_t(carry);
  if (!largest) return;
  __syncthreads();
  shared[threadIdx.x] = most;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int t = 1; t < kScanThreads; t++) most = shared[t] > most ? shared[t] : most;
    *largest = int64_t(most);
  }
}
extern "C" __global__ void __launch_bounds__(kScanThreads)
    scan_counts_u32(uint32_t* counts, int64_t n, int64_t* total) {
  __shared__ uint32_t shared[kScanThreads];
  scan_counts(counts, n, total, nullptr, shared);
}
extern "C" __global__ void __launch_bounds__(kScanThreads) scan_counts_i64(int64_t* counts, int64_t n, int64_t* total) {
  __shared__ int64_t shared[kScanThreads];
  scan_counts(counts, n, total, nullptr, shared);
}
// cu_seqlens from lengths: cu[s] = lengths before s, cu[b] = all of them.
extern "C" __global__ void __launch_bounds__(kScanThreads)
    scan_lengths(int64_t* lengths, int64_t b, int32_t* cu, int64_t* longest) {
  __shared__ int64_t shared[kScanThreads];
  __shared__ int64_t total;
  scan_counts(lengths, b, &total, longest, shared);
  __syncthreads();
  for (int64_t s = threadIdx.x; s < b; s += kScanThreads) cu[s] = int32_t(lengths[s]);
  if (threadIdx.x == 0) cu[b] = int32_t(total);
}

// ---- elements that are set: those with any bit of the mask

template <class W>
__device__ __forceinline__ bool is_set(const W* x, int64_t i, int64_t n, uint64_t mask) {
  return i < n && (uint64_t(x[i]) & mask) != 0;
}
template <class W>
__device__ __forceinline__ void count_set(const W* x, int64_t n, uint64_t mask, int64_t* counts) {
  __shared__ int shared[33];
  int mine = 0, all;
#pragma unroll
  for (int k = 0; k < kSteps; k++)
    mine += is_set(x, blockIdx.x * int64_t(kRun) + k * kScanThreads + threadIdx.x, n, mask);
  block_scan(mine, all, shared);
  if (threadIdx.x == 0) counts[blockIdx.x] = all;
}

struct Shape {
  int64_t ndim; // 0: flat positions
  Divisor size[8];
};

// index[k] = the position of the k-th element that is set.
template <class W>
__device__ __forceinline__ void write_set(const W* x, int64_t n, uint64_t mask, const int64_t* counts, int64_t count,
                                          const Shape& shape, int64_t* index, Fault* f, int64_t site) {
  __shared__ int shared[33];
  int64_t at = counts[blockIdx.x];
#pragma unroll 1
  for (int k = 0; k < kSteps; k++) {
    int64_t i = blockIdx.x * int64_t(kRun) + k * kScanThreads + threadIdx.x;
    const bool set = is_set(x, i, n, mask);
    int all;
    const int64_t to = at + block_scan(int(set), all, shared);
    at += all;
    if (!set || !in_range(f, int(site), i, to, count)) continue;
    if (shape.ndim == 0) index[to] = i;
#pragma unroll 1
    for (int d = int(shape.ndim) - 1; d >= 0; d--) {
      const int64_t q = divide(i, shape.size[d]);
      index[to * shape.ndim + d] = i - q * int64_t(shape.size[d].size);
      i = q;
    }
  }
}
#define SET(W, bytes)                                                                                  \
  extern "C" __global__ void __launch_bounds__(kScanThreads)                                           \
      count_set_##bytes(const W* x, int64_t n, uint64_t mask, int64_t* counts) {                       \
    count_set(x, n, mask, counts);                                                                     \
  }                                                                                                    \
  extern "C" __global__ void __launch_bounds__(kScanThreads)                                           \
      write_set_##bytes(const W* x, int64_t n, uint64_t mask, const int64_t* counts, int64_t count,    \
                        const __grid_constant__ Shape shape, int64_t* index, Fault* f, int64_t site) { \
    write_set(x, n, mask, counts, count, shape, index, f, site);                                       \
  }
SET(uint8_t, 1)
SET(uint16_t, 2)
SET(uint32_t, 4)
SET(uint64_t, 8)

// ---- sorting

// Keys of the indices; `limit`, behind all others, where an index is to be left out: it is `skip`, or bad.
extern "C" __global__ void __launch_bounds__(kScanThreads)
    sort_keys(const int64_t* ids, int64_t n, int64_t limit, int64_t skip, uint32_t* keys, uint32_t* order, Fault* f,
              int64_t site) {
  const int64_t i = blockIdx.x * int64_t(kScanThreads) + threadIdx.x;
  if (i >= n) return;
  const int64_t id = ids ? ids[i] : 0;
  const bool good = in_range(f, int(site), i, id, limit);
  keys[i] = uint32_t(good && id != skip ? id : limit);
  order[i] = uint32_t(i);
}

// counts[digit][run]
extern "C" __global__ void __launch_bounds__(kScanThreads)
    sort_count(const uint32_t* keys, int64_t n, int64_t shift, uint32_t* counts) {
  __shared__ uint32_t digits[kDigits];
  digits[threadIdx.x] = 0;
  __syncthreads();
#pragma unroll
  for (int k = 0; k < kSteps; k++) {
    const int64_t i = blockIdx.x * int64_t(kRun) + k * kScanThreads + threadIdx.x;
    if (i < n) atomicAdd(digits + (keys[i] >> shift & (kDigits - 1)), 1u);
  }
  __syncthreads();
  counts[threadIdx.x * int64_t(gridDim.x) + blockIdx.x] = digits[threadIdx.x];
}

// starts: the exclusive sums of counts.
extern "C" __global__ void __launch_bounds__(kScanThreads)
    sort_move(const uint32_t* keys, const uint32_t* order, int64_t n, int64_t shift, const uint32_t* starts,
              uint32_t* keys_to, uint32_t* order_to) {
  __shared__ uint32_t place[kWarps][kDigits]; // where the next one of each digit goes
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int64_t first = blockIdx.x * int64_t(kRun) + warp * (kRun / kWarps) + lane;
#pragma unroll
  for (int w = 0; w < kWarps; w++) place[w][threadIdx.x] = 0;
  __syncthreads();
  uint32_t key[kSteps], value[kSteps], rank[kSteps];
#pragma unroll
  for (int k = 0; k < kSteps; k++) {
    const int64_t i = first + k * 32;
    key[k] = i < n ? keys[i] : 0;
    value[k] = i < n ? order[i] : 0;
  }
#pragma unroll
  for (int k = 0; k < kSteps; k++) {
    const bool here = first + k * 32 < n;
    const uint32_t digit = key[k] >> shift & (kDigits - 1);
    uint32_t same = __ballot_sync(kFullWarp, here);
#pragma unroll
    for (int b = 0; b < 8; b++) {
      const bool bit = digit >> b & 1;
      const uint32_t ones = __ballot_sync(kFullWarp, bit);
      same &= bit ? ones : ~ones;
    }
    const uint32_t before = __popc(same & ((1u << lane) - 1));
    const uint32_t base = here ? place[warp][digit] : 0;
    __syncwarp();
    if (here && before == 0) place[warp][digit] = base + __popc(same);
    __syncwarp();
    rank[k] = base + before;
  }
  __syncthreads();
  uint32_t at = starts[threadIdx.x * int64_t(gridDim.x) + blockIdx.x];
#pragma unroll
  for (int w = 0; w < kWarps; w++) {
    const uint32_t count = place[w][threadIdx.x];
    place[w][threadIdx.x] = at;
    at += count;
  }
  __syncthreads();
#pragma unroll
  for (int k = 0; k < kSteps; k++) {
    if (first + k * 32 >= n) continue;
    const uint32_t to = place[warp][key[k] >> shift & (kDigits - 1)] + rank[k];
    keys_to[to] = key[k];
    order_to[to] = value[k];
  }
}

// Where each key's elements lie, start[key] to end[key]; heads: 1 at the first one of each key below limit.
extern "C" __global__ void __launch_bounds__(kScanThreads)
    sort_bounds(const uint32_t* keys, int64_t n, int64_t limit, uint32_t* start, uint32_t* end, uint8_t* heads) {
  const int64_t i = blockIdx.x * int64_t(kScanThreads) + threadIdx.x;
  if (i >= n) return;
  const uint32_t key = keys[i];
  const bool head = key < limit && (i == 0 || keys[i - 1] != key);
  if (head) start[key] = uint32_t(i);
  if (key < limit && (i + 1 == n || keys[i + 1] != key)) end[key] = uint32_t(i + 1);
  if (heads) heads[i] = head;
}

// The keys that occur, in order: slot[key] = its number, rows[number] = the key.
extern "C" __global__ void __launch_bounds__(kScanThreads)
    sort_slots(const uint32_t* keys, const int64_t* heads, const int64_t* count, uint32_t* slot, int64_t* rows) {
  const int64_t k = blockIdx.x * int64_t(kScanThreads) + threadIdx.x;
  if (k >= *count) return;
  const uint32_t key = keys[heads[k]];
  slot[key] = uint32_t(k);
  rows[k] = key;
}
