// The host's side of elementwise kernels (device/elementwise.cuh): joins the dimensions of the operands as far as they
// lie evenly, chooses the form, launches.
//
//   template <class T>
//   void add(In input, In other, Out y) {
//     static const Kernel kernel("arithmetic", named<T>("add"));
//     map(kernel, {y.v, input.v, other.v});
//   }
//
// All views have the shape of the output, which comes first. A view on the CPU is a number, or one element repeated:
// its value goes along with the launch.
#pragma once
#include <string.h>

#include <tuple>
#include <type_traits>

#include "cuda/device/walk.cuh"
#include "cuda/launch.h"

namespace engine::cuda {

// Dimensions that all operands have in common, the outermost first.
template <int N>
struct Layout {
  int dims = 0;
  int64_t size[kMaxDims];
  int64_t stride[kMaxDims][N];
  char* data[N]; // null: a number
  uint64_t value[N] = {};
  int64_t item[N]; // bytes

  explicit Layout(const View* const (&views)[N]);
  bool aligned(int k, int64_t bytes) const { return (reinterpret_cast<uintptr_t>(data[k]) & uint64_t(bytes - 1)) == 0; }
  bool as_vectors(int64_t width) const;
};

// Dimensions are put in the order in which the output lies in memory (the bindings give no negative strides); those
// that follow each other evenly in every operand become one.
template <int N>
Layout<N>::Layout(const View* const (&views)[N]) {
  const View& y = *views[0];
  for (int k = 0; k < N; k++) {
    const View& v = *views[k];
    item[k] = item_size(v.dtype);
    data[k] = v.device == kCpu ? nullptr : static_cast<char*>(v.data);
    if (!data[k]) memcpy(&value[k], v.data, size_t(item[k]));
  }
  int order[kMaxDims], count = 0;
  for (int d = 0; d < y.ndim; d++) {
    if (y.shape[d] == 1) continue;
    int at = count++;
    for (; at > 0 && y.strides[order[at - 1]] < y.strides[d]; at--) order[at] = order[at - 1];
    order[at] = d;
  }
  for (int i = 0; i < count; i++) {
    const int d = order[i];
    int64_t s[N];
    bool joins = dims > 0;
    for (int k = 0; k < N; k++) {
      s[k] = data[k] ? views[k]->strides[d] : 0;
      joins = joins && stride[dims - 1][k] == s[k] * y.shape[d];
    }
    if (!joins) size[dims++] = 1;
    size[dims - 1] *= y.shape[d];
    for (int k = 0; k < N; k++) stride[dims - 1][k] = s[k];
  }
  if (dims == 0) {
    dims = 1;
    size[0] = 1;
    for (int k = 0; k < N; k++) stride[0][k] = data[k] ? 1 : 0;
  }
}

// Whether the innermost dimension can be walked in aligned vectors of so many elements.
template <int N>
bool Layout<N>::as_vectors(int64_t width) const {
  if (dims > 1 && size[dims - 1] % width) return false;
  for (int k = 0; k < N; k++) {
    const int64_t step = stride[dims - 1][k];
    if (step > 1 || (k == 0 && step != 1)) return false;
    if (step == 0) continue;
    if (!aligned(k, width * item[k])) return false;
    for (int d = 0; d + 1 < dims; d++)
      if (stride[d][k] % width) return false;
  }
  return true;
}

template <int N, class... Extra>
void map_layout(const Kernel& kernel, const Layout<N>& l, Extra... extra) {
  int64_t n = 1, width = 1;
  for (int d = 0; d < l.dims; d++) n *= l.size[d];
  if (n == 0) return;
  bool large = n > 0x7fffffff;
  for (int k = 0; k < N; k++) {
    int64_t reach = 0;
    for (int d = 0; d < l.dims; d++) reach += (l.size[d] - 1) * l.stride[d][k];
    large = large || reach > 0x7fffffff;
    width = l.item[k] > width ? l.item[k] : width;
  }
  width = vector_width(int(width));
  if (large) { // in two halves along the dimension that reaches furthest; multiples of 16 keep vectors aligned
    int longest = 0;
    int64_t furthest = -1;
    for (int d = 0; d < l.dims; d++)
      for (int k = 0; k < N; k++)
        if ((l.size[d] - 1) * l.stride[d][k] > furthest) {
          furthest = (l.size[d] - 1) * l.stride[d][k];
          longest = d;
        }
    Layout<N> half = l;
    half.size[longest] = l.size[longest] / 2;
    if (half.size[longest] >= 16) half.size[longest] = half.size[longest] / 16 * 16;
    map_layout(kernel, half, extra...);
    for (int k = 0; k < N; k++)
      if (half.data[k]) half.data[k] += half.size[longest] * l.stride[longest][k] * l.item[k];
    half.size[longest] = l.size[longest] - half.size[longest];
    return map_layout(kernel, half, extra...);
  }
  Walk<N> w = {};
  w.vector = l.as_vectors(width);
  w.dims = l.dims;
  for (int k = 0; k < N; k++) {
    w.data[k] = l.data[k];
    w.value[k] = l.value[k];
    w.moves |= uint32_t(l.stride[l.dims - 1][k] == 1) << k;
  }
  for (int i = 0; i < l.dims; i++) {
    const int d = l.dims - 1 - i;
    const int64_t unit = w.vector && i == 0 ? width : 1;
    auto& dim = w.dim[i];
    dim.size = uint32_t(l.size[d] / unit);
    while ((uint64_t(1) << dim.shift) < dim.size) dim.shift++;
    if (dim.size) dim.magic = uint32_t((((uint64_t(1) << dim.shift) - dim.size) << 32) / dim.size + 1);
    for (int k = 0; k < N; k++) dim.stride[k] = uint32_t(l.stride[d][k] * unit);
  }
  w.units = uint32_t(w.vector ? n / width : n);
  w.tail = uint32_t(w.vector ? n % width : 0);
  const unsigned grid = blocks(w.units, kThreads * (w.vector ? kVectors : kItems));
  launch(kernel, {grid ? grid : 1}, {kThreads}, 0, w, extra...);
}

// views[0] = kernel(views[1], …); extra arguments follow the kernel's Walk.
template <int N, class... Extra>
void map(const Kernel& kernel, const View* const (&views)[N], Extra... extra) {
  map_layout(kernel, Layout<N>(views), extra...);
}

// A number of a row, as its kernel takes it.
inline std::tuple<float> as_numbers(double x) { return {float(x)}; }
inline std::tuple<> as_numbers(Param) { return {}; }

// The launch of a row that is ELEMENTWISE, with its arguments in the row's order: inputs, numbers, the output.
template <class... P>
void map_row(const Kernel& kernel, P... arguments) {
  static_assert((std::is_same_v<P, Out> + ...) == 1, "an elementwise row has one output");
  static_assert(((std::is_same_v<P, In> || std::is_same_v<P, double> || std::is_same_v<P, Out>) && ...),
                "an elementwise row has inputs, numbers and an output");
  const View* views[(std::is_base_of_v<Param, P> + ...)];
  int inputs = 0;
  auto place = [&](auto argument) {
    if constexpr (std::is_base_of_v<Param, decltype(argument)>)
      views[std::is_same_v<decltype(argument), Out> ? 0 : ++inputs] = argument.v;
  };
  (place(arguments), ...);
  std::apply([&](auto... numbers) { map(kernel, views, numbers...); }, std::tuple_cat(as_numbers(arguments)...));
}

// A view of other type and equal size, and a number in the place of an array of that shape.
inline View with_dtype(View v, DType dtype) {
  v.dtype = dtype;
  return v;
}
template <class S>
View number(const View& shape, const S& value) { // value must outlive the view
  View v = with_dtype(shape, dtype_of<S>::value);
  v.data = const_cast<S*>(&value);
  v.device = kCpu;
  return v;
}

} // namespace engine::cuda
