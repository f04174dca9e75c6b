// Reductions over any dimensions of an array of any strides: outputs x r elements, walked in one of two forms.
//
// rows     the reduced elements lie closer together: `lanes` threads (1 to 32, or the block of 256) share a row, four
//          16-byte vectors each in flight, and join their parts by shuffles, across warps through shared memory.
// columns  the kept elements lie closer together: a block is `lanes` threads side by side, each on a vector of
//          columns, times 256 / lanes rows; parts of a column are joined through shared memory.
//
// Long reductions are cut into chunks by their shape only; the parts lie in scratch memory, and a second kernel joins
// them. Every order is fixed. Elements are located by Axes: a multiplication where the dimensions are one. What is done
// with them is a policy P:
//
//   P::T, P::Part, P::S     element, part of a reduction, number given for each output (q.s)
//   P::kVector              elements of a vector in the columns form
//   P::kHeavy               long code: elements one by one
//   empty(q)                the part of no elements
//   take(q, part, x, s, i)  adds element x, number i of the reduction
//   join(q, a, b)           two parts
//   store(q, o, part)       writes output o
#pragma once
#include "cuda/device/elementwise.cuh"
#include "cuda/device/reduction.cuh"

template <class Part>
__device__ __forceinline__ Part shuffle_xor(Part x, int mask) {
  static_assert(sizeof(Part) % 4 == 0, "words");
  union {
    Part part;
    uint32_t word[sizeof(Part) / 4];
  } u;
  u.part = x;
#pragma unroll
  for (unsigned k = 0; k < sizeof(Part) / 4; k++) u.word[k] = __shfl_xor_sync(kFullWarp, u.word[k], mask);
  return u.part;
}

template <class P>
__device__ __forceinline__ void emit(const Reduction& q, int64_t o, const typename P::Part& part) {
  if (q.chunks == 1)
    P::store(q, o, part);
  else
    static_cast<typename P::Part*>(q.parts)[blockIdx.y * q.outputs + o] = part;
}

// The number for output o.
template <class P>
__device__ __forceinline__ typename P::S number_of(const Reduction& q, int64_t o) {
  return q.s ? static_cast<const typename P::S*>(q.s)[o] : typename P::S();
}

// Joins the parts of the threads that are `lanes` apart; the first `lanes` threads get them.
template <class P>
__device__ __forceinline__ typename P::Part join_block(const Reduction& q, int lanes, typename P::Part part,
                                                       typename P::Part* shared) {
  __syncthreads();
  shared[threadIdx.x] = part;
#pragma unroll 1
  for (int half = kReduceThreads / 2; half >= lanes; half >>= 1) {
    __syncthreads();
    if (int(threadIdx.x) < half) shared[threadIdx.x] = part = P::join(q, part, shared[threadIdx.x + half]);
  }
  return part;
}

template <class P, int V>
__device__ __forceinline__ void reduce_rows(const Reduction& q, typename P::Part* shared) {
  using T = typename P::T;
  constexpr int U = P::kHeavy || V > 8 ? 1 : sizeof(typename P::Part) > 4 || V == 8 ? 2 : 4; // in flight
  const int lanes = q.lanes, lane = threadIdx.x & (lanes - 1);
  const int64_t o = blockIdx.x * int64_t(kReduceThreads / lanes) + threadIdx.x / lanes;
  const int64_t begin = blockIdx.y * q.chunk;
  int64_t n = q.r - begin < q.chunk ? q.r - begin : q.chunk;
  if (o >= q.outputs) n = 0;
  const T* x = static_cast<const T*>(q.x);
  typename P::S s{};
  if (n > 0) {
    int64_t at[1];
    q.kept.locate(o, at);
    x += at[0];
    s = number_of<P>(q, o);
  }
  typename P::Part part[U];
#pragma unroll
  for (int u = 0; u < U; u++) part[u] = P::empty(q);
  auto element = [&](int64_t i) {
    int64_t at[1];
    q.reduced.locate(begin + i, at);
    return x[at[0]];
  };
  // Several loads in flight where the reduced dimensions are one; else what follows takes one element after the other.
  const int64_t units = n / V, stride = q.reduced.stride[0][0];
  const int64_t many = q.reduced.dims == 1 ? units : 0;
  int64_t i = lane;
#pragma unroll 1
  for (; i + (U - 1) * lanes < many; i += U * lanes) {
    Vector<T, V> v[U];
#pragma unroll
    for (int u = 0; u < U; u++) {
      if constexpr (V > 1)
        load_vector(v[u], x + begin + (i + u * lanes) * V);
      else
        v[u].v[0] = x[(begin + i + u * lanes) * stride];
    }
#pragma unroll
    for (int u = 0; u < U; u++)
#pragma unroll
      for (int k = 0; k < V; k++) P::take(q, part[u], v[u].v[k], s, begin + (i + u * lanes) * V + k);
  }
  i *= V;
  if constexpr (V > 1) {
#pragma unroll 1
    for (int64_t j = i; j < units * V; j += lanes * V) {
      Vector<T, V> v;
      load_vector(v, x + begin + j);
#pragma unroll
      for (int k = 0; k < V; k++) P::take(q, part[0], v.v[k], s, begin + j + k);
    }
    i = units * V + lane;
  }
#pragma unroll 1
  for (; i < n; i += lanes) P::take(q, part[0], element(i), s, begin + i);
#pragma unroll
  for (int u = 1; u < U; u++) part[0] = P::join(q, part[0], part[u]);
  typename P::Part total = part[0];
  if (lanes > 32) {
    total = join_block<P>(q, 1, total, shared);
  } else {
#pragma unroll 1
    for (int m = lanes / 2; m; m >>= 1) {
      const typename P::Part other = shuffle_xor(total, m);
      total = lane & m ? P::join(q, other, total) : P::join(q, total, other);
    }
  }
  if (lane == 0 && o < q.outputs) emit<P>(q, o, total);
}

template <class P, int V>
__device__ __forceinline__ void reduce_columns(const Reduction& q, typename P::Part* shared) {
  using T = typename P::T;
  constexpr int U = P::kHeavy ? 1 : V * sizeof(typename P::Part) > 16 ? 2 : 4;
  const int lanes = q.lanes, step = kReduceThreads / lanes;
  const int64_t o = (blockIdx.x * int64_t(lanes) + (threadIdx.x & (lanes - 1))) * V;
  const int64_t begin = blockIdx.y * q.chunk, end = q.r - begin < q.chunk ? q.r : begin + q.chunk;
  typename P::Part part[V];
#pragma unroll
  for (int k = 0; k < V; k++) part[k] = P::empty(q);
  if (o < q.outputs) {
    int64_t at[1];
    q.kept.locate(o, at);
    const T* x = static_cast<const T*>(q.x) + at[0];
    typename P::S s[V];
#pragma unroll
    for (int k = 0; k < V; k++) s[k] = number_of<P>(q, o + k);
    auto load = [&](Vector<T, V>& v, int64_t at) {
      if constexpr (V > 1)
        load_vector(v, x + at);
      else
        v.v[0] = x[at];
    };
    const int64_t stride = q.reduced.stride[0][0], many = q.reduced.dims == 1 ? end : 0;
    int64_t i = begin + threadIdx.x / lanes;
#pragma unroll 1
    for (; i + (U - 1) * step < many; i += U * step) {
      Vector<T, V> v[U];
#pragma unroll
      for (int u = 0; u < U; u++) load(v[u], (i + u * step) * stride);
#pragma unroll
      for (int u = 0; u < U; u++)
#pragma unroll
        for (int k = 0; k < V; k++) P::take(q, part[k], v[u].v[k], s[k], i + u * step);
    }
#pragma unroll 1
    for (; i < end; i += step) {
      int64_t at[1];
      q.reduced.locate(i, at);
      Vector<T, V> v;
      load(v, at[0]);
#pragma unroll
      for (int k = 0; k < V; k++) P::take(q, part[k], v.v[k], s[k], i);
    }
  }
  // Through shared memory once more: the end of the work is there once, not for each column of a vector.
  __shared__ typename P::Part totals[32 * V];
#pragma unroll
  for (int k = 0; k < V; k++) {
    const typename P::Part total = join_block<P>(q, lanes, part[k], shared);
    if (int(threadIdx.x) < lanes) totals[threadIdx.x * V + k] = total;
  }
  __syncthreads();
  const int64_t to = blockIdx.x * int64_t(lanes) * V + threadIdx.x;
  if (int(threadIdx.x) < lanes * V && to < q.outputs) emit<P>(q, to, totals[threadIdx.x]);
}

template <class P>
__device__ __forceinline__ void reduce(const Reduction& q) {
  using T = typename P::T;
  __shared__ typename P::Part shared[kReduceThreads];
  constexpr bool vectors = !P::kHeavy;
  if (q.columns) {
    if (vectors && q.vector)
      reduce_columns<P, vectors ? P::kVector : 1>(q, shared);
    else
      reduce_columns<P, 1>(q, shared);
  } else {
    if (vectors && q.vector)
      reduce_rows<P, vectors ? 16 / sizeof(T) : 1>(q, shared);
    else
      reduce_rows<P, 1>(q, shared);
  }
}

// The second kernel: chunks of one output lie `outputs` apart.
template <class P>
__device__ __forceinline__ void join_parts(const Reduction& q) {
  __shared__ typename P::Part shared[kReduceThreads];
  const int lanes = q.join_lanes;
  const int64_t o = blockIdx.x * int64_t(lanes) + (threadIdx.x & (lanes - 1));
  typename P::Part part = P::empty(q);
  if (o < q.outputs)
#pragma unroll 1
    for (int64_t c = threadIdx.x / lanes; c < q.chunks; c += kReduceThreads / lanes)
      part = P::join(q, part, static_cast<const typename P::Part*>(q.parts)[c * q.outputs + o]);
  part = join_block<P>(q, lanes, part, shared);
  if (int(threadIdx.x) < lanes && o < q.outputs) P::store(q, o, part);
}
