// Moving elements: copies within a dtype by the element's size, and a kernel for each pair of dtypes that converts.
// A number as the source makes it a fill.
#include "cuda/device/convert.cuh"
#include "cuda/device/elementwise.cuh"

struct Same {
  template <class C>
  __device__ C operator()(C x) const {
    return x;
  }
};
#define MOVE(T, bytes)                                                                                     \
  extern "C" __global__ void __launch_bounds__(kThreads) move_##bytes(const __grid_constant__ Walk<2> w) { \
    map<T, T>(w, Same{});                                                                                  \
  }
MOVE(uint8_t, 1)
MOVE(uint16_t, 2)
MOVE(uint32_t, 4)
MOVE(uint64_t, 8)

template <class D>
struct Convert {
  template <class C>
  __device__ Compute<D> operator()(C x) const {
    return convert<D>(x);
  }
};
#define CONVERT(S, from, D, to)                                                                              \
  extern "C" __global__ void __launch_bounds__(kThreads) from##_to_##to(const __grid_constant__ Walk<2> w) { \
    map<D, S>(w, Convert<D>{});                                                                              \
  }
#define TO_F32(S, from) CONVERT(S, from, float, f32)
#define TO_I32(S, from) CONVERT(S, from, int32_t, i32)
#define TO_I64(S, from) CONVERT(S, from, int64_t, i64)
#define TO_U8(S, from) CONVERT(S, from, uint8_t, u8)
#define TO_BOOL(S, from) CONVERT(S, from, bool, bool)
#define TO_BF16(S, from) CONVERT(S, from, bf16, bf16)
#define TO_F16(S, from) CONVERT(S, from, f16, f16)
FOR_ALL(TO_F32)
FOR_ALL(TO_I32)
FOR_ALL(TO_I64)
FOR_ALL(TO_U8)
FOR_ALL(TO_BOOL)
FOR_ALL(TO_BF16)
FOR_ALL(TO_F16)
