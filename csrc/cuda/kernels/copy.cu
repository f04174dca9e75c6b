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
MAP1(move, Same, uint8_t, 1)
MAP1(move, Same, uint16_t, 2)
MAP1(move, Same, uint32_t, 4)
MAP1(move, Same, uint64_t, 8)

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
// To one type from all the others; a bool is read as the uint8 that it is stored as.
#define FROM_F32(D, to) CONVERT(float, f32, D, to)
#define FROM_BF16(D, to) CONVERT(bf16, bf16, D, to)
#define FROM_F16(D, to) CONVERT(f16, f16, D, to)
#define FROM_I32(D, to) CONVERT(int32_t, i32, D, to)
#define FROM_I64(D, to) CONVERT(int64_t, i64, D, to)
#define FROM_U8(D, to) CONVERT(uint8_t, u8, D, to)
#define FROM_FLOATING(D, to) FROM_F32(D, to) FROM_BF16(D, to) FROM_F16(D, to)
#define FROM_INTEGERS(D, to) FROM_I32(D, to) FROM_I64(D, to) FROM_U8(D, to)
FROM_BF16(float, f32)
FROM_F16(float, f32)
FROM_INTEGERS(float, f32) FROM_F32(bf16, bf16) FROM_F16(bf16, bf16) FROM_INTEGERS(bf16, bf16) FROM_F32(f16, f16)
    FROM_BF16(f16, f16) FROM_INTEGERS(f16, f16) FROM_FLOATING(int32_t, i32) FROM_I64(int32_t, i32) FROM_U8(int32_t, i32)
        FROM_FLOATING(int64_t, i64) FROM_I32(int64_t, i64) FROM_U8(int64_t, i64) FROM_FLOATING(uint8_t, u8)
            FROM_I32(uint8_t, u8) FROM_I64(uint8_t, u8) FROM_FLOATING(bool, bool) FROM_INTEGERS(bool, bool)
