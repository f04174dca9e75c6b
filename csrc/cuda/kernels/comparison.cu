// Comparisons, logic and selection, element by element. The relation is a parameter: one kernel a dtype serves all of
// them. bool is compared as the bytes 0 and 1. The walk is device/elementwise.cuh.
#include "cuda/device/elementwise.cuh"

// The order of a and b is one bit: less 1, equal 2, greater 4, unordered 8. A relation holds if it has that bit.
struct Compare {
  uint32_t relation;
  template <class C>
  __device__ __forceinline__ bool operator()(C a, C b) const {
    return relation & (a < b ? 1u : a == b ? 2u : a > b ? 4u : 8u);
  }
};
// The truth table's bit 2 * (a is not 0) + (b is not 0).
struct Logic {
  uint32_t table;
  template <class C>
  __device__ __forceinline__ bool operator()(C a, C b) const {
    return table >> ((a != 0) * 2 + (b != 0)) & 1;
  }
};
#define COMPARE(T, suffix)                                                     \
  extern "C" __global__ void __launch_bounds__(kThreads)                       \
      compare_##suffix(const __grid_constant__ Walk<3> w, uint32_t relation) { \
    map<bool, T, T>(w, Compare{relation});                                     \
  }                                                                            \
  extern "C" __global__ void __launch_bounds__(kThreads)                       \
      logic_##suffix(const __grid_constant__ Walk<3> w, uint32_t table) {      \
    map<bool, T, T>(w, Logic{table});                                          \
  }
FOR_REAL(COMPARE)

// NaN 1, infinite 2, finite 4.
struct Classify {
  uint32_t classes;
  __device__ __forceinline__ bool operator()(float a) const {
    return classes & (a != a ? 1u : fabsf(a) == INFINITY ? 2u : 4u);
  }
};
#define CLASSIFY(T, suffix)                                                    \
  extern "C" __global__ void __launch_bounds__(kThreads)                       \
      classify_##suffix(const __grid_constant__ Walk<2> w, uint32_t classes) { \
    map<bool, T>(w, Classify{classes});                                        \
  }
FOR_FLOAT(CLASSIFY)

// Elements are moved as integers of their size.
struct Select {
  template <class C>
  __device__ __forceinline__ C operator()(bool condition, C a, C b) const {
    return condition ? a : b;
  }
};
#define SELECT(T, bytes)                                                                                     \
  extern "C" __global__ void __launch_bounds__(kThreads) select_##bytes(const __grid_constant__ Walk<4> w) { \
    map<T, bool, T, T>(w, Select{});                                                                         \
  }
SELECT(uint8_t, 1)
SELECT(uint16_t, 2)
SELECT(uint32_t, 4)
SELECT(uint64_t, 8)
