// Order: sorting by merging, places in sorted sequences.
//
// An element becomes a key, an unsigned number whose order is the wanted one: equal elements have equal keys, and NaN
// has the largest. A pass merges neighbouring runs of `width` elements of each line: an element's place is its own in
// its run, and the number of elements of the other run that come before it, found by halving. Of equal elements those
// of the left run come first, so that their order is kept.
#include "cuda/device/axes.cuh"
#include "cuda/device/common.cuh"

template <class T>
struct KeyOf {
  using type = uint32_t;
};
template <>
struct KeyOf<int64_t> {
  using type = uint64_t;
};
template <class T>
using Key = typename KeyOf<T>::type;

__device__ __forceinline__ uint32_t rising_key(float x) {
  if (x != x) return 0xffffffffu;
  const uint32_t bits = x == 0 ? 0u : __float_as_uint(x);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ uint32_t rising_key(bf16 x) { return rising_key(to_float(x)); }
__device__ __forceinline__ uint32_t rising_key(int32_t x) { return uint32_t(x) ^ 0x80000000u; }
__device__ __forceinline__ uint64_t rising_key(int64_t x) { return uint64_t(x) ^ 0x8000000000000000ull; }
__device__ __forceinline__ uint32_t rising_key(uint8_t x) { return x; }
__device__ __forceinline__ uint32_t rising_key(bool x) { return x; }

__device__ __forceinline__ int64_t thread_number() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }

// Keys and places of the elements of x (o, n, inner), line after line.
template <class T>
__device__ __forceinline__ void sort_keys(const T* x, Divisor n, Divisor inner, int64_t total, int64_t descending,
                                          Key<T>* keys, uint32_t* order) {
  const int64_t e = thread_number();
  if (e >= total) return;
  const int64_t line = divide(e, n), j = e - line * int64_t(n.size);
  const int64_t g = divide(line, inner), c = line - g * int64_t(inner.size);
  const Key<T> key = rising_key(x[(g * int64_t(n.size) + j) * int64_t(inner.size) + c]);
  keys[e] = descending ? Key<T>(~key) : key;
  order[e] = uint32_t(j);
}
#define SORT_KEYS(T, suffix)                                                                                    \
  extern "C" __global__ void __launch_bounds__(256) sort_keys_##suffix(                                         \
      const T* x, Divisor n, Divisor inner, int64_t total, int64_t descending, Key<T>* keys, uint32_t* order) { \
    sort_keys(x, n, inner, total, descending, keys, order);                                                     \
  }
FOR_LOGIC(SORT_KEYS)

template <class K>
__device__ __forceinline__ void sort_merge(const K* keys, const uint32_t* order, Divisor n, int64_t width,
                                           int64_t total, K* to_keys, uint32_t* to_order) {
  const int64_t e = thread_number();
  if (e >= total) return;
  const int64_t line = divide(e, n), length = int64_t(n.size), j = e - line * length;
  const int64_t start = j & ~(2 * width - 1); // width is a power of two
  const int64_t middle = start + width < length ? start + width : length;
  const int64_t end = start + 2 * width < length ? start + 2 * width : length;
  const bool left = j < middle;
  const K key = keys[e];
  const K* row = keys + line * length;
  int64_t low = left ? middle : start, high = left ? end : middle;
  const int64_t first = low;
  while (low < high) {
    const int64_t at = low + (high - low) / 2;
    const K other = row[at];
    if (left ? other < key : other <= key)
      low = at + 1;
    else
      high = at;
  }
  const int64_t to = line * length + (left ? j : start + (j - middle)) + (low - first);
  to_keys[to] = key;
  to_order[to] = order[e];
}
#define SORT_MERGE(K, bytes)                                                                                           \
  extern "C" __global__ void __launch_bounds__(256) sort_merge_##bytes(                                                \
      const K* keys, const uint32_t* order, Divisor n, int64_t width, int64_t total, K* to_keys, uint32_t* to_order) { \
    sort_merge(keys, order, n, width, total, to_keys, to_order);                                                       \
  }
SORT_MERGE(uint32_t, 4)
SORT_MERGE(uint64_t, 8)

// The first k of each line: values (o, k, inner) and where they were.
template <class W>
__device__ __forceinline__ void sort_take(const W* x, const uint32_t* order, int64_t n, Divisor k, Divisor inner,
                                          int64_t total, W* values, int64_t* indices) {
  const int64_t e = thread_number();
  if (e >= total) return;
  const int64_t row = divide(e, inner), c = e - row * int64_t(inner.size);
  const int64_t g = divide(row, k), j = row - g * int64_t(k.size);
  const int64_t place = order[(g * int64_t(inner.size) + c) * n + j];
  values[e] = x[(g * n + place) * int64_t(inner.size) + c];
  indices[e] = place;
}
#define SORT_TAKE(W, bytes)                                                                                    \
  extern "C" __global__ void __launch_bounds__(256)                                                            \
      sort_take_##bytes(const W* x, const uint32_t* order, int64_t n, Divisor k, Divisor inner, int64_t total, \
                        W* values, int64_t* indices) {                                                         \
    sort_take(x, order, n, k, inner, total, values, indices);                                                  \
  }
SORT_TAKE(uint8_t, 1)
SORT_TAKE(uint16_t, 2)
SORT_TAKE(uint32_t, 4)
SORT_TAKE(uint64_t, 8)

// What T is compared as.
template <class T>
__device__ __forceinline__ auto comparable(T x) {
  if constexpr (sizeof(T) == 2)
    return to_float(x);
  else
    return x;
}
template <class T>
__device__ __forceinline__ void searchsorted(const T* sequence, int64_t row_step, int64_t step, int64_t n,
                                             const T* values, Divisor m, int64_t total, int64_t right, int64_t* index) {
  const int64_t e = thread_number();
  if (e >= total) return;
  const T* row = sequence + divide(e, m) * row_step;
  const auto value = comparable(values[e]);
  int64_t low = 0, high = n;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    const auto x = comparable(row[middle * step]);
    if (right ? !(x > value) : !(x >= value))
      low = middle + 1;
    else
      high = middle;
  }
  index[e] = low;
}
#define SEARCHSORTED(T, suffix)                                                                                       \
  extern "C" __global__ void __launch_bounds__(256)                                                                   \
      searchsorted_##suffix(const T* sequence, int64_t row_step, int64_t step, int64_t n, const T* values, Divisor m, \
                            int64_t total, int64_t right, int64_t* index) {                                           \
    searchsorted(sequence, row_step, step, n, values, m, total, right, index);                                        \
  }
FOR_REAL(SEARCHSORTED)
