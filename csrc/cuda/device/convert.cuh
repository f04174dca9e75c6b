// Conversion between element types with the CPU's results: fractions are cut off, what an integer cannot hold becomes
// the smallest one (as x86 converts), uint8 is the low byte of that; 16-bit formats round to nearest, ties to even.
#pragma once
#include "cuda/device/common.cuh"

__device__ __forceinline__ int32_t to_int32(float x) {
  return x >= -2147483648.f && x < 2147483648.f ? __float2int_rz(x) : INT32_MIN;
}
__device__ __forceinline__ int64_t to_int64(float x) {
  return x >= -9223372036854775808.f && x < 9223372036854775808.f ? __float2ll_rz(x) : INT64_MIN;
}
__device__ __forceinline__ int32_t to_int32(double x) {
  return x > -2147483649. && x < 2147483648. ? __double2int_rz(x) : INT32_MIN;
}
__device__ __forceinline__ int64_t to_int64(double x) {
  return x >= -9223372036854775808. && x < 9223372036854775808. ? __double2ll_rz(x) : INT64_MIN;
}
template <class T>
constexpr bool kIsBool = false;
template <>
constexpr bool kIsBool<bool> = true;
template <class T>
constexpr bool kIsFloating = T(0.5) != T(0) && !kIsBool<T>;

// x as what D is computed in: the last rounding to 16 bits happens where it is stored.
template <class D, class C>
__device__ __forceinline__ Compute<D> convert(C x) {
  using To = Compute<D>;
  if constexpr (kIsBool<D>)
    return x != C(0);
  else if constexpr (!kIsFloating<C> || kIsFloating<To>)
    return static_cast<To>(x);
  else if constexpr (sizeof(D) == 8)
    return to_int64(x);
  else
    return static_cast<D>(to_int32(x));
}
