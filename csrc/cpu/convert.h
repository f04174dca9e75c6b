// Conversion between element types, as C++ and PyTorch do it; bfloat16 and float16 round to nearest, ties to even.
#pragma once
#include "core/dtype.h"
#include "cpu/simd.h"

namespace engine::ENGINE_ISA {

ENGINE_INLINE
float bits_to_float(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}
ENGINE_INLINE
uint32_t float_to_bits(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  return bits;
}

ENGINE_INLINE
float widen(BFloat16 x) { return bits_to_float(uint32_t(x.bits) << 16); }
ENGINE_INLINE
float widen(Float16 x) {
  const uint32_t sign = uint32_t(x.bits & 0x8000) << 16, magnitude = x.bits & 0x7fff;
  if (magnitude >= 0x7c00) return bits_to_float(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  // Below 2^-14 the number is a multiple of 2^-24; above it only the exponent's bias differs.
  if (magnitude < 0x400) {
    const float v = float(int(magnitude)) * 0x1p-24f;
    return sign ? -v : v;
  }
  return bits_to_float(sign | ((magnitude << 13) + (112u << 23)));
}
template <class T>
ENGINE_INLINE
T widen(T x) { return x; }

ENGINE_INLINE
BFloat16 to_bf16(float x) {
  const uint32_t bits = float_to_bits(x);
  if (x != x) return {uint16_t(bits >> 16 | 0x40)};
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
ENGINE_INLINE
Float16 to_f16(float x) {
  const uint32_t bits = float_to_bits(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return {uint16_t(sign | 0x7e00)};
  if (magnitude >= 0x477ff000) return {uint16_t(sign | 0x7c00)}; // 65520 and above round to infinity
  if (magnitude < 0x38800000) { // below 2^-14: adding 0.5 puts the multiple of 2^-24 into the low bits, rounded
    const float shifted = bits_to_float(magnitude) + 0.5f;
    return {uint16_t(sign | (float_to_bits(shifted) & 0x7ff))};
  }
  return {uint16_t(sign | ((magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13))};
}

template <class D>
struct Converter {
  template <class S>
  static ENGINE_INLINE
  D from(S x) { return D(x); }
};
template <>
struct Converter<bool> {
  template <class S>
  static ENGINE_INLINE
  bool from(S x) { return x != S(0); }
};
template <>
struct Converter<BFloat16> {
  template <class S>
  static ENGINE_INLINE
  BFloat16 from(S x) { return to_bf16(float(x)); }
};
template <>
struct Converter<Float16> {
  template <class S>
  static ENGINE_INLINE
  Float16 from(S x) { return to_f16(float(x)); }
};
template <class D, class S>
ENGINE_INLINE
D convert(S x) { return Converter<D>::from(widen(x)); }

} // namespace engine::ENGINE_ISA
