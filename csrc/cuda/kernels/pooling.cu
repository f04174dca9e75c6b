// One row per sequence of a packed batch, and back; masks. Sequence s of (n, d) is rows cu[s] to cu[s + 1] - 1, at
// least one.
//
// Forward: a block has 8 threads side by side, a 16-byte vector of columns each, times 32 rows of the sequence at a
// time; their parts are joined through shared memory, in a fixed order. Backward: every row of dinput is written once;
// its sequence is found in cu by halving.
#include "cuda/device/elementwise.cuh"
#include "cuda/device/lookup.cuh"
#include "cuda/device/scan.cuh"

constexpr int kLanes = 8, kRowsAtOnce = 256 / kLanes;

// Whether sequence s is as it should be; a fault if not.
__device__ __forceinline__ bool good_sequence(const int32_t* cu, int64_t s, int64_t b, int64_t n, Fault* f, int site) {
  const int64_t begin = cu[s], end = cu[s + 1];
  int64_t wrong = -1;
  if (s == 0 && begin != 0) wrong = 0;
  if (begin < 0 || end <= begin || end > n || (s == b - 1 && end != n)) wrong = s + 1;
  if (wrong < 0) return true;
  fault(f, site, wrong, cu[wrong], n);
  return false;
}
// All of them, by the threads of the grid; without a sequence, that there is no row.
__device__ __forceinline__ void check_sequences(const int32_t* cu, int64_t b, int64_t n, Fault* f, int site) {
  const int64_t first = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (b == 0 && first == 0 && (cu[0] != 0 || n != 0)) fault(f, site, 0, cu[0], n);
#pragma unroll 1
  for (int64_t s = first; s < b; s += int64_t(gridDim.x) * blockDim.x) good_sequence(cu, s, b, n, f, site);
}
// The last s with cu[s] <= row.
__device__ __forceinline__ int64_t sequence_of(const int32_t* cu, int64_t b, int64_t row) {
  int64_t low = 0, high = b - 1;
  while (low < high) {
    const int64_t middle = (low + high + 1) / 2;
    if (cu[middle] <= row)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

template <class T, int V>
__device__ __forceinline__ void load_row(Vector<T, V>& x, const T* p) {
  if constexpr (V == 1)
    x.v[0] = *p;
  else
    load_vector(x, p);
}
template <class T, int V>
__device__ __forceinline__ void store_row(T* p, const Vector<T, V>& x) {
  if constexpr (V == 1)
    *p = x.v[0];
  else
    store_vector(p, x);
}

template <class T, int V>
__device__ __forceinline__ void pool_first(const T* x, const int32_t* cu, int64_t b, int64_t n, int64_t d, T* y,
                                           int lanes, Fault* f, int site) {
  check_sequences(cu, b, n, f, site);
  for_rows(b, lanes, [&](int64_t s, int lane) {
    const int64_t r = cu[s];
#pragma unroll 1
    for (int64_t c = lane * V; c < d; c += lanes * V) {
      Vector<T, V> v;
#pragma unroll
      for (int k = 0; k < V; k++) v.v[k] = from_float<T>(0.f);
      if (r >= 0 && r < n) load_row<T, V>(v, x + r * d + c);
      store_row<T, V>(y + s * d + c, v);
    }
  });
}

struct Mean {
  float sum = 0.f;
  __device__ void take(float x, int32_t) { sum += x; }
  __device__ void join(const Mean& after) { sum += after.sum; }
};
struct Largest { // the first of equal ones; a NaN is larger than all numbers
  float value = 0.f;
  int32_t row = -1; // none
  __device__ void take(float x, int32_t r) {
    if (row < 0 || x > value || (x != x && value == value)) {
      value = x;
      row = r;
    }
  }
  // Of rows that lie between this one's.
  __device__ void join(const Largest& other) {
    if (other.row < 0) return;
    const bool nan = value != value, other_nan = other.value != other.value;
    const bool same = nan ? other_nan : other.value == value;
    if (row < 0 || (!nan && (other_nan || other.value > value)) || (same && other.row < row)) *this = other;
  }
};

// Block (x: columns, y: sequence, striding).
template <class Part, class T, int V>
__device__ __forceinline__ void pool(const T* x, const int32_t* cu, int64_t b, int64_t n, int64_t d, T* y,
                                     int32_t* index, Fault* f, int site) {
  __shared__ Part shared[256];
  const int lane = threadIdx.x % kLanes, first = threadIdx.x / kLanes;
  const int64_t c = (blockIdx.x * int64_t(kLanes) + lane) * V;
  if (b == 0) check_sequences(cu, b, n, f, site);
#pragma unroll 1
  for (int64_t s = blockIdx.y; s < b; s += gridDim.y) {
    const bool good = good_sequence(cu, s, b, n, f, site);
    const int32_t begin = good ? cu[s] : 0, end = good ? cu[s + 1] : 0;
    Part part[V];
    if (c < d) {
      int32_t r = begin + first;
#pragma unroll 1
      for (; r + 3 * kRowsAtOnce < end; r += 4 * kRowsAtOnce) {
        Vector<T, V> v[4];
#pragma unroll
        for (int u = 0; u < 4; u++) load_row<T, V>(v[u], x + (r + u * kRowsAtOnce) * d + c);
#pragma unroll
        for (int u = 0; u < 4; u++)
#pragma unroll
          for (int k = 0; k < V; k++) part[k].take(to_float(v[u].v[k]), r + u * kRowsAtOnce);
      }
#pragma unroll 1
      for (; r < end; r += kRowsAtOnce) {
        Vector<T, V> v;
        load_row<T, V>(v, x + r * d + c);
#pragma unroll
        for (int k = 0; k < V; k++) part[k].take(to_float(v.v[k]), r);
      }
    }
#pragma unroll
    for (int k = 0; k < V; k++) {
      __syncthreads();
      shared[threadIdx.x] = part[k];
#pragma unroll 1
      for (int half = 128; half >= kLanes; half >>= 1) {
        __syncthreads();
        if (int(threadIdx.x) < half) {
          part[k].join(shared[threadIdx.x + half]);
          shared[threadIdx.x] = part[k];
        }
      }
    }
    if (first != 0 || c >= d) continue;
    Vector<T, V> v;
#pragma unroll
    for (int k = 0; k < V; k++) {
      if constexpr (sizeof(Part) == 4) {
        v.v[k] = from_float<T>(good ? part[k].sum * (1.f / float(end - begin)) : 0.f);
      } else {
        v.v[k] = from_float<T>(part[k].value);
        index[s * d + c + k] = part[k].row < 0 ? 0 : part[k].row;
      }
    }
    store_row<T, V>(y + s * d + c, v);
  }
}

enum class Way { first, mean, largest };

template <Way way, class T, int V>
__device__ __forceinline__ void pool_backward(const T* dy, const int32_t* index, const int32_t* cu, int64_t b,
                                              int64_t n, int64_t d, T* dx, int lanes, Fault* f, int site) {
  check_sequences(cu, b, n, f, site);
  for_rows(n, lanes, [&](int64_t r, int lane) {
    const int64_t s = b > 0 ? sequence_of(cu, b, r) : 0;
    const int64_t begin = b > 0 ? cu[s] : -1, end = b > 0 ? cu[s + 1] : -1;
    const bool inside = begin <= r && r < end;
    const bool takes = inside && (way != Way::first || r == begin);
    const float scale = way == Way::mean ? 1.f / float(end - begin) : 1.f;
#pragma unroll 1
    for (int64_t c = lane * V; c < d; c += lanes * V) {
      Vector<T, V> v;
      if (takes) load_row<T, V>(v, dy + s * d + c);
#pragma unroll
      for (int k = 0; k < V; k++) {
        const bool here = takes && (way != Way::largest || index[s * d + c + k] == r);
        v.v[k] = from_float<T>(here ? to_float(v.v[k]) * scale : 0.f);
      }
      store_row<T, V>(dx + r * d + c, v);
    }
  });
}

#define POOLING(T, suffix)                                                                                      \
  extern "C" __global__ void __launch_bounds__(256)                                                             \
      pool_first_##suffix(const T* x, const int32_t* cu, int64_t b, int64_t n, int64_t d, int64_t vector, T* y, \
                          int64_t lanes, Fault* f, int64_t site) {                                              \
    if (vector)                                                                                                 \
      pool_first<T, 16 / sizeof(T)>(x, cu, b, n, d, y, int(lanes), f, int(site));                               \
    else                                                                                                        \
      pool_first<T, 1>(x, cu, b, n, d, y, int(lanes), f, int(site));                                            \
  }                                                                                                             \
  POOL(pool_mean, Mean, T, suffix)                                                                              \
  POOL(pool_max, Largest, T, suffix)                                                                            \
  BACKWARD(pool_first_backward, Way::first, T, suffix)                                                          \
  BACKWARD(pool_mean_backward, Way::mean, T, suffix)                                                            \
  BACKWARD(pool_max_backward, Way::largest, T, suffix)
#define POOL(name, Part, T, suffix)                                                                         \
  extern "C" __global__ void __launch_bounds__(256)                                                         \
      name##_##suffix(const T* x, const int32_t* cu, int64_t b, int64_t n, int64_t d, int64_t vector, T* y, \
                      int32_t* index, Fault* f, int64_t site) {                                             \
    if (vector)                                                                                             \
      pool<Part, T, 16 / sizeof(T)>(x, cu, b, n, d, y, index, f, int(site));                                \
    else                                                                                                    \
      pool<Part, T, 1>(x, cu, b, n, d, y, index, f, int(site));                                             \
  }
#define BACKWARD(name, way, T, suffix)                                                                       \
  extern "C" __global__ void __launch_bounds__(256)                                                          \
      name##_##suffix(const T* dy, const int32_t* index, const int32_t* cu, int64_t b, int64_t n, int64_t d, \
                      int64_t vector, T* dx, int64_t lanes, Fault* f, int64_t site) {                        \
    if (vector)                                                                                              \
      pool_backward<way, T, 16 / sizeof(T)>(dy, index, cu, b, n, d, dx, int(lanes), f, int(site));           \
    else                                                                                                     \
      pool_backward<way, T, 1>(dy, index, cu, b, n, d, dx, int(lanes), f, int(site));                        \
  }
FOR_FLOAT(POOLING)

// ---- masks: an element is a token if it has any bit of `bits`; it should then be `one`. A block for a row.

// What the bits mean, for the error: floats differ from integers in their 1.
template <class W>
__device__ __forceinline__ int64_t as_number(uint64_t x, uint64_t one) {
  if (one == 1) return sizeof(W) == 4 ? int64_t(int32_t(x)) : int64_t(x);
  const uint32_t bits = sizeof(W) == 4 ? uint32_t(x) : uint32_t(x) << 16;
  return int64_t(one == 0x3c00 ? __half2float(__ushort_as_half(uint16_t(x))) : __uint_as_float(bits));
}

template <class W>
__device__ __forceinline__ void mask_lengths(const W* mask, int64_t l, uint64_t bits, uint64_t one, int64_t* lengths,
                                             Fault* f, int64_t site) {
  __shared__ int64_t shared[33];
  int64_t mine = 0, all;
#pragma unroll 1
  for (int64_t c = threadIdx.x; c < l; c += kScanThreads) {
    const uint64_t x = uint64_t(mask[blockIdx.x * l + c]);
    const bool set = (x & bits) != 0;
    mine += set;
    if (set && x != one && site) fault(f, int(site), blockIdx.x * l + c, as_number<W>(x, one), 2);
  }
  block_scan(mine, all, shared);
  if (threadIdx.x == 0) lengths[blockIdx.x] = all;
}
// starts: the sums of the lengths before each row.
template <class W>
__device__ __forceinline__ void mask_indices(const W* mask, int64_t l, uint64_t bits, const int64_t* starts, int64_t n,
                                             int64_t* indices, int64_t* position, Fault* f, int64_t site) {
  __shared__ int shared[33];
  const int64_t start = starts[blockIdx.x];
  int64_t before = 0;
#pragma unroll 1
  for (int64_t at = 0; at < l; at += kScanThreads) {
    const int64_t c = at + threadIdx.x;
    const bool set = c < l && (uint64_t(mask[blockIdx.x * l + c]) & bits) != 0;
    int all;
    const int64_t p = before + block_scan(int(set), all, shared);
    before += all;
    if (!set || !in_range(f, int(site), blockIdx.x * l + c, start + p, n)) continue;
    indices[start + p] = blockIdx.x * l + c;
    position[start + p] = p;
  }
}
#define MASK(W, bytes)                                                                                   \
  extern "C" __global__ void __launch_bounds__(kScanThreads) mask_lengths_##bytes(                       \
      const W* mask, int64_t l, uint64_t bits, uint64_t one, int64_t* lengths, Fault* f, int64_t site) { \
    mask_lengths(mask, l, bits, one, lengths, f, site);                                                  \
  }                                                                                                      \
  extern "C" __global__ void __launch_bounds__(kScanThreads)                                             \
      mask_indices_##bytes(const W* mask, int64_t l, uint64_t bits, const int64_t* starts, int64_t n,    \
                           int64_t* indices, int64_t* position, Fault* f, int64_t site) {                \
    mask_indices(mask, l, bits, starts, n, indices, position, f, site);                                  \
  }
MASK(uint8_t, 1)
MASK(uint16_t, 2)
MASK(uint32_t, 4)
MASK(uint64_t, 8)
