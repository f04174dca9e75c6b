// y = f(a, b, …), element by element, over operands of any strides, or numbers that came along with the launch.
//
// One kernel an op and dtype serves two forms (device/walk.cuh). In the vector form a thread loads a 16-byte vector of
// each operand and stores one; several dimensions are walked in units of vectors. In the strided form a thread takes
// single elements, neighbouring threads on neighbouring elements. Positions come from divisions by multiplication
// (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994), one for all operands. A
// thread loads all its elements before it stores any, and nobody else reads what it writes: y may be one of the
// operands.
//
//   struct Add { template <class C> __device__ C operator()(C a, C b) const { return a + b; } };
//   FOR_REAL(MAP2, add, Add) // kernels add_f32, add_bf16, add_i32, …
//
// f gets what the types are computed in (float for 16-bit formats) and returns what y's is.
#pragma once
#include "cuda/device/common.cuh"
#include "cuda/device/walk.cuh"

// Functions of more than a few instructions derive from Heavy: a thread then works on one vector or element after the
// other, where it otherwise has two of each operand on their way.
struct Light {};
struct Heavy {};
struct Huge : Heavy {
}; // hundreds of instructions: one copy of them, in a loop through which a vector's elements rotate

template <class T>
__device__ __forceinline__ Compute<T> widen(T x) {
  if constexpr (sizeof(Compute<T>) == sizeof(T))
    return x;
  else
    return to_float(x);
}
template <class T>
__device__ __forceinline__ T narrow(Compute<T> x) {
  if constexpr (sizeof(Compute<T>) == sizeof(T))
    return x;
  else
    return from_float<T>(x);
}

template <class T, int V>
struct alignas(sizeof(T) * V) Vector {
  T v[V];
};
template <int bytes>
struct Raw;
template <>
struct Raw<2> {
  using type = uint16_t;
};
template <>
struct Raw<4> {
  using type = uint32_t;
};
template <>
struct Raw<8> {
  using type = uint2;
};
template <>
struct Raw<16> {
  using type = uint4;
};
template <class T, int V>
__device__ __forceinline__ void load_vector(Vector<T, V>& x, const T* p) {
  const auto raw = *reinterpret_cast<const typename Raw<sizeof(x)>::type*>(p);
  x = *reinterpret_cast<const Vector<T, V>*>(&raw);
}
template <class T, int V>
__device__ __forceinline__ void store_vector(T* p, const Vector<T, V>& x) {
  using R = typename Raw<sizeof(x)>::type;
  *reinterpret_cast<R*>(p) = *reinterpret_cast<const R*>(&x);
}

// V elements of each operand, the first of which is number K.
template <int V, int K, class... A>
struct Operands {
  template <int N, int E>
  __device__ __forceinline__ void load(const Walk<N>&, const uint32_t (&)[N][E], int) {}
  template <class F, class... C>
  __device__ __forceinline__ auto apply(const F& f, int, C... values) const {
    return f(values...);
  }
  __device__ __forceinline__ void rotate() {}
};
template <int V, int K, class A, class... Rest>
struct Operands<V, K, A, Rest...> {
  Vector<A, V> x;
  Operands<V, K + 1, Rest...> rest;

  // The vector (V > 1) or element at offset at[k][j] of operand k.
  template <int N, int E>
  __device__ __forceinline__ void load(const Walk<N>& w, const uint32_t (&at)[N][E], int j) {
    const A* p = static_cast<const A*>(w.data[K]);
    bool repeated = true;
    if constexpr (V > 1) {
      if (w.moves >> K & 1) {
        load_vector(x, p + at[K][j]);
        repeated = false;
      }
    }
    if (repeated) {
      const A one = p ? p[at[K][j]] : *reinterpret_cast<const A*>(&w.value[K]);
#pragma unroll
      for (int i = 0; i < V; i++) x.v[i] = one;
    }
    rest.load(w, at, j);
  }
  template <class F, class... C>
  __device__ __forceinline__ auto apply(const F& f, int i, C... values) const {
    return rest.apply(f, i, values..., widen(x.v[i]));
  }
  __device__ __forceinline__ void rotate() {
#pragma unroll
    for (int i = 0; i + 1 < V; i++) x.v[i] = x.v[i + 1];
    rest.rotate();
  }
};

// The offsets in each operand of the units first, first + kThreads, …; strides are shifted right.
template <int N, int E>
__device__ __forceinline__ void locate(const Walk<N>& w, uint32_t first, int right, uint32_t (&at)[N][E]) {
  uint32_t rest[E];
#pragma unroll
  for (int j = 0; j < E; j++) {
    rest[j] = first + j * kThreads;
#pragma unroll
    for (int k = 0; k < N; k++) at[k][j] = 0;
  }
  int d = 0;
#pragma unroll 1
  for (; d + 1 < w.dims; d++)
#pragma unroll
    for (int j = 0; j < E; j++) {
      const uint32_t q = (__umulhi(rest[j], w.dim[d].magic) + rest[j]) >> w.dim[d].shift;
      const uint32_t i = rest[j] - q * w.dim[d].size;
      rest[j] = q;
#pragma unroll
      for (int k = 0; k < N; k++) at[k][j] += i * w.dim[d].stride[k];
    }
#pragma unroll
  for (int j = 0; j < E; j++)
#pragma unroll
    for (int k = 0; k < N; k++) at[k][j] += rest[j] * (w.dim[d].stride[k] >> right);
}

// The units first, first + kThreads, … below end, E of them, as vectors of V or (V = 1) elements.
template <int V, int E, class R, class... A, class F, int N>
__device__ __forceinline__ void map_units(const Walk<N>& w, const F& f, uint32_t first, uint32_t end, int right) {
  uint32_t at[N][E];
  locate(w, first, right, at);
  Operands<V, 1, A...> x[E];
#pragma unroll
  for (int j = 0; j < E; j++)
    if (first + j * kThreads < end) x[j].load(w, at, j);
#pragma unroll
  for (int j = 0; j < E; j++) {
    if (first + j * kThreads >= end) break;
    R* y = static_cast<R*>(w.data[0]) + at[0][j];
    Vector<R, V> r;
    if constexpr (V > 1 && __is_base_of(Huge, F)) {
#pragma unroll 1
      for (int i = 0; i < V; i++) {
#pragma unroll
        for (int k = 0; k + 1 < V; k++) r.v[k] = r.v[k + 1];
        r.v[V - 1] = narrow<R>(x[j].apply(f, 0));
        x[j].rotate();
      }
    } else {
#pragma unroll
      for (int i = 0; i < V; i++) r.v[i] = narrow<R>(x[j].apply(f, i));
    }
    if constexpr (V > 1)
      store_vector(y, r);
    else
      *y = r.v[0];
  }
}

template <class... T>
__device__ constexpr int largest() {
  int size = 0;
  ((size = int(sizeof(T)) > size ? int(sizeof(T)) : size), ...);
  return size;
}

template <class R, class... A, class F>
__device__ __forceinline__ void map(const Walk<1 + sizeof...(A)>& w, const F& f) {
  constexpr int V = vector_width(largest<R, A...>());
  constexpr bool single = __is_base_of(Heavy, F) || sizeof...(A) > 2; // three operands are loads enough on their way
  uint32_t first = threadIdx.x, end = w.units;
  int right = 0;
  if (w.vector) {
    constexpr int E = single ? 1 : kVectors;
    first += blockIdx.x * (kThreads * kVectors);
#pragma unroll 1
    for (int j = 0; j < kVectors; j += E) map_units<V, E, R, A...>(w, f, first + j * kThreads, end, 0);
    if (blockIdx.x > 0 || w.tail == 0) return;
    first = threadIdx.x + w.units * V; // fewer than V elements, one a thread
    end = w.units * V + w.tail;
    right = V == 2 ? 1 : V == 4 ? 2 : 3;
    if (first >= end) return;
  } else {
    first += blockIdx.x * (kThreads * kItems);
  }
  constexpr int E = single ? 1 : kItems / 2;
#pragma unroll 1
  for (int j = 0; j < kItems; j += E) map_units<1, E, R, A...>(w, f, first + j * kThreads, end, right);
}

// Kernels name_suffix of one, two or three operands of y's type.
#define MAP1(T, suffix, name, F)                                                                              \
  extern "C" __global__ void __launch_bounds__(kThreads) name##_##suffix(const __grid_constant__ Walk<2> w) { \
    map<T, T>(w, F{});                                                                                        \
  }
#define MAP2(T, suffix, name, F)                                                                              \
  extern "C" __global__ void __launch_bounds__(kThreads) name##_##suffix(const __grid_constant__ Walk<3> w) { \
    map<T, T, T>(w, F{});                                                                                     \
  }
#define MAP3(T, suffix, name, F)                                                                              \
  extern "C" __global__ void __launch_bounds__(kThreads) name##_##suffix(const __grid_constant__ Walk<4> w) { \
    map<T, T, T, T>(w, F{});                                                                                  \
  }

// Kernels name_f32 and name_bf16 of a function of x in float32, or of a gradient: g is the output's, x what forward
// kept. Weight is Light, Heavy or Huge.
#define FUNCTION(name, Weight, ...)                                                    \
  struct name##_function : Weight {                                                    \
    __device__ __forceinline__ float operator()(float x) const { return __VA_ARGS__; } \
  };                                                                                   \
  FOR_FLOAT(MAP1, name, name##_function)
#define GRADIENT(name, Weight, ...)                                                             \
  struct name##_function : Weight {                                                             \
    __device__ __forceinline__ float operator()(float g, float x) const { return __VA_ARGS__; } \
  };                                                                                            \
  FOR_FLOAT(MAP2, name, name##_function)
