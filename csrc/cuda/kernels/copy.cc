// Copies between views of any strides and dtypes, and filling: launches.
#include <type_traits>

#include "cuda/elementwise.h"

namespace engine::cuda {
namespace {

// Whether it is a transposition large enough for tiles; if so, its numbers as the kernel needs them.
bool transposes(const Layout<2>& l, Transpose& p) {
  constexpr int64_t kTile = 32, kSmall = 16; // smaller sides leave most of a tile empty
  const int x = l.dims - 1;
  if (!l.data[1] || l.stride[x][0] != 1 || l.stride[x][1] <= 1) return false;
  int y = -1;
  int64_t tiles = 1;
  for (int d = 0; d < x; d++)
    if (l.stride[d][1] == 1 && l.size[d] > 1) y = d;
  if (y < 0 || l.size[x] < kSmall || l.size[y] < kSmall) return false;
  p = {};
  p.src = l.data[1];
  p.dst = l.data[0];
  p.src_row = l.stride[x][1];
  p.dst_row = l.stride[y][0];
  for (int d = 0; d < l.dims; d++) {
    const int64_t n = d == x || d == y ? (l.size[d] + kTile - 1) / kTile : l.size[d];
    if (n == 0 || l.size[d] > 0x7fffffff || tiles * n > 0x7fffffff) return false;
    tiles *= n;
    if (d == x || d == y) continue;
    p.src_stride[p.dims] = l.stride[d][1];
    p.dst_stride[p.dims] = l.stride[d][0];
    p.size[p.dims++] = uint32_t(l.size[d]);
  }
  p.nx = uint32_t(l.size[x]);
  p.ny = uint32_t(l.size[y]);
  p.tiles_x = uint32_t((p.nx + kTile - 1) / kTile);
  p.tiles_y = uint32_t((p.ny + kTile - 1) / kTile);
  return true;
}
unsigned tiles_of(const Transpose& p) {
  uint32_t n = p.tiles_x * p.tiles_y;
  for (int d = 0; d < p.dims; d++) n *= p.size[d];
  return n;
}

// dst = src within a dtype.
void move(const View* dst, const View* src) {
  static const Kernel moves[] = {{"copy", "move_1"}, {"copy", "move_2"}, {"copy", "move_4"}, {"copy", "move_8"}};
  static const Kernel transpositions[] = {
      {"copy", "transpose_1"}, {"copy", "transpose_2"}, {"copy", "transpose_4"}, {"copy", "transpose_8"}};
  const int64_t bytes = item_size(dst->dtype);
  const int which = bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3;
  const Layout<2> layout({dst, src});
  Transpose p;
  if (transposes(layout, p))
    launch(transpositions[which], {tiles_of(p)}, {kThreads}, 0, p);
  else
    map_layout(moves[which], layout);
}

template <class T, class S>
void convert(const View* dst, const View* src) {
  static const Kernel kernel("copy", std::string(suffix<S>) + "_to_" + suffix<T>);
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
    // These only as numbers: no array of them is on a device.
    case DType::f64:
      return fill<T>(dst, dst.numel() ? *src.data<double>() : 0);
    case DType::i8:
      return fill<T>(dst, dst.numel() ? *src.data<int8_t>() : 0);
    case DType::i16:
      return fill<T>(dst, dst.numel() ? *src.data<int16_t>() : 0);
  }
}

} // namespace engine::cuda

#define FAMILY copy
#include "cuda/instances.h"
