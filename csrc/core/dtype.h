// Element types: their numbers (the index into a kernel's slots), names and sizes.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace engine {

enum class DType : int32_t { f32, f64, i32, i64, u8, boolean, bf16, f16, i8, i16 };
constexpr int kNumDTypes = 10;

// Storage formats only: kernels convert them, nothing computes in them.
struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

template <class T>
struct dtype_of;
template <>
struct dtype_of<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct dtype_of<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct dtype_of<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct dtype_of<int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct dtype_of<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct dtype_of<bool> {
  static constexpr DType value = DType::boolean;
};
template <>
struct dtype_of<BFloat16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct dtype_of<Float16> {
  static constexpr DType value = DType::f16;
};
template <>
struct dtype_of<int8_t> {
  static constexpr DType value = DType::i8;
};
template <>
struct dtype_of<int16_t> {
  static constexpr DType value = DType::i16;
};

constexpr int64_t kItemSize[kNumDTypes] = {4, 8, 4, 8, 1, 1, 2, 2, 1, 2};
constexpr const char* kDTypeName[kNumDTypes] = {"float32", "float64",  "int32",   "int64", "uint8",
                                                "bool",    "bfloat16", "float16", "int8",  "int16"};

constexpr int64_t item_size(DType t) { return kItemSize[int(t)]; }
constexpr const char* dtype_name(DType t) { return kDTypeName[int(t)]; }

} // namespace engine
