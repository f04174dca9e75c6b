// Copies between views of any strides and dtypes, and filling: launches.
#include <type_traits>

#include "cuda/elementwise.h"

namespace engine::cuda {
namespace {

// dst = src within a dtype.
void move(const View* dst, const View* src) {
  static const Kernel one("copy", "move_1"), two("copy", "move_2"), four("copy", "move_4"), eight("copy", "move_8");
  const int64_t bytes = item_size(dst->dtype);
  map(bytes == 1 ? one : bytes == 2 ? two : bytes == 4 ? four : eight, {dst, src});
}

template <class T, class S>
void convert(const View* dst, const View* src) {
  static const Kernel kernel("copy", std::string(suffix<S>()) + "_to_" + suffix<T>());
  map(kernel, {dst, src});
}

} // namespace

template <class T>
void fill(InOut dst, double value) {
  if constexpr (sizeof(T) == 2) { // rounded on the device
    const float x = float(value);
    const View from = number(*dst.v, x);
    convert<T, float>(dst.v, &from);
  } else {
    T x;
    if constexpr (std::is_same_v<T, bool>)
      x = value != 0;
    else
      x = T(value);
    const View from = number(*dst.v, x);
    move(dst.v, &from);
  }
}

template <class T>
void copy(InOut dst, In src) {
  if (src.dtype() == dtype_of<T>::value) return move(dst.v, src.v);
  switch (src.dtype()) {
    case DType::f32:
      return convert<T, float>(dst.v, src.v);
    case DType::i32:
      return convert<T, int32_t>(dst.v, src.v);
    case DType::i64:
      return convert<T, int64_t>(dst.v, src.v);
    case DType::u8:
    case DType::boolean: { // stored as the uint8 0 or 1
      const View bytes = with_dtype(*src.v, DType::u8);
      if constexpr (sizeof(T) == 1 && !std::is_same_v<T, bool>) return move(dst.v, &bytes);
      return convert<T, uint8_t>(dst.v, &bytes);
    }
    case DType::bf16:
      return convert<T, BFloat16>(dst.v, src.v);
    case DType::f16:
      return convert<T, Float16>(dst.v, src.v);
    case DType::f64: // only as a number: no array of it is on a device
      return fill<T>(dst, dst.numel() ? *src.data<double>() : 0);
  }
}

} // namespace engine::cuda

#define FAMILY copy
#include "cuda/instances.h"
