// Reductions: plans and launches (device/reduce.cuh). Bit d of `dims`: dimension d is reduced.
#include <math.h>
#include <string.h>

#include "cuda/axes.h"
#include "cuda/device/reduction.cuh"
#include "cuda/device/shared.h"
#include "cuda/elementwise.h"

namespace engine::cuda {

template <class T>
void copy(InOut dst, In src); // of the family copy

namespace {

constexpr int64_t kFill = 1024;     // blocks that fill any device
constexpr int64_t kRowChunk = 8192; // elements of a row that a block should at least have
constexpr int64_t kColumnChunk = 64;

int64_t divide_up(int64_t n, int64_t by) { return (n + by - 1) / by; }
int power_of_two(int64_t n, int most) { // the first one that is not below n
  int p = 1;
  while (p < n && p < most) p *= 2;
  return p;
}

struct Plan : Reduction {
  Plan(Param input, int64_t dims, int most_columns = 8) : Reduction() {
    const View& v = *input.v;
    kept = axes_of<1>({&v}, ~uint64_t(dims));
    reduced = axes_of<1>({&v}, uint64_t(dims));
    outputs = count(kept);
    r = count(reduced);
    x = v.data;
    divisor = power = exponent = 1.f;
    chunk = chunks = 1;
    lanes = join_lanes = 1;
    width_ = 1;
    if (outputs == 0) return; // nothing is launched
    const int64_t item = item_size(v.dtype), wide_row = 16 / item;
    // Vectors must be aligned wherever they start, which all strides but the innermost decide.
    auto even = [&](const Axes<1>& a, int first, int64_t n) {
      for (int d = first; d < a.dims; d++)
        if (a.stride[d][0] % n && a.size[d].size > 1) return false;
      return true;
    };
    auto aligned = [&](int64_t n) { return reinterpret_cast<uintptr_t>(v.data) % uint64_t(n * item) == 0; };
    columns = kept.size[0].size > 1 && (r == 1 || kept.stride[0][0] < reduced.stride[0][0]);
    if (columns) {
      int64_t width = most_columns < wide_row ? most_columns : wide_row;
      vector = kept.stride[0][0] == 1 && int64_t(kept.size[0].size) % width == 0 && aligned(width) &&
               even(kept, 1, width) && (r == 1 || even(reduced, 0, width));
      if (!vector) width = 1;
      const int64_t units = outputs / width;
      lanes = power_of_two(units, 32);
      // Few columns: more rows side by side. A chunk has at least kColumnChunk rows for each of them.
      const int64_t tiles = divide_up(units, lanes), least = kColumnChunk * (kReduceThreads / lanes) / 8;
      chunk = divide_up(r, divide_up(kFill, tiles));
      if (chunk < least) chunk = least;
    } else {
      vector =
          reduced.dims == 1 && (reduced.stride[0][0] == 1 || r == 1) && aligned(wide_row) && even(kept, 0, wide_row);
      const int64_t units = divide_up(r, vector ? wide_row : 1);
      lanes = units > 512 ? kReduceThreads : power_of_two(divide_up(units, 4), 32);
      chunk = divide_up(divide_up(r, divide_up(kFill, outputs ? outputs : 1)), kRowChunk) * kRowChunk;
    }
    if (chunk < 1) chunk = 1;
    chunks = r > chunk ? divide_up(r, chunk) : 1;
    if (chunks == 1) chunk = r;
    join_lanes = power_of_two(outputs, 32);
    if (chunks > 32 && join_lanes > 8) join_lanes = 8;
    width_ = columns && vector ? (most_columns < wide_row ? most_columns : wide_row) : 1;
  }
  int64_t width_; // of columns
};

// Of the struct that the kernel takes.
void run(const Kernel& kernel, const Kernel& join, const Plan& plan, size_t part) {
  Reduction q = plan;
  if (q.outputs == 0) return;
  const int64_t each = q.columns ? q.lanes * plan.width_ : kReduceThreads / q.lanes;
  const Extent grid = {blocks(q.outputs, each), unsigned(q.chunks)};
  if (q.chunks == 1) return launch(kernel, grid, {kReduceThreads}, 0, q);
  const Scratch parts(size_t(q.chunks * q.outputs) * part);
  q.parts = parts.data<void>();
  launch(kernel, grid, {kReduceThreads}, 0, q);
  launch(join, {blocks(q.outputs, q.join_lanes)}, {kReduceThreads}, 0, q);
}

#define REDUCE(name, T, plan, part)                                                                        \
  {                                                                                                        \
    static const Kernel kernel("reduction", named<T>(name)), join("reduction", named<T>(name) + "_parts"); \
    run(kernel, join, plan, part);                                                                         \
  }

void need_elements(const char* op, const Plan& p) {
  if (p.r == 0) throw Error(ErrorKind::value, op, "input", "at least one element to reduce", "0");
}

// bool is stored as 0 and 1.
template <class T>
struct Stored {
  using type = T;
};
template <>
struct Stored<bool> {
  using type = uint8_t;
};
template <class T>
using S = typename Stored<T>::type;

} // namespace

template <class T>
void sum(In input, int64_t dims, bool, Out y) {
  Plan p(input, dims);
  p.y = y.data<T>();
  REDUCE("sum", T, p, sizeof(T) == 8 ? 8 : 4)
}

template <class T>
void sum_integers(In input, int64_t dims, bool, Out y) {
  const Scratch wide(size_t(input.numel()) * 8);
  View v = *input.v;
  v.data = wide.data<void>();
  v.dtype = DType::i64;
  int64_t stride = 1;
  for (int d = v.ndim - 1; d >= 0; d--) {
    v.strides[d] = stride;
    stride *= v.shape[d];
  }
  InOut to;
  to.v = &v;
  In from;
  from.v = &v;
  copy<int64_t>(to, input);
  sum<int64_t>(from, dims, false, y);
}

template <class T>
void mean(In input, int64_t dims, bool, Out y) {
  Plan p(input, dims);
  p.y = y.data<T>();
  p.divisor = float(p.r);
  REDUCE("sum", T, p, 4)
}

namespace {
template <class T>
void variance(In input, int64_t dims, double correction, bool root, Out y, Out mean) {
  Plan p(input, dims);
  const Scratch means(size_t(p.outputs) * 4); // the second pass needs them unrounded
  p.y = mean.data<T>();
  p.wide = means.data<float>();
  p.divisor = float(p.r);
  REDUCE("sum", T, p, 4)
  p.y = y.data<T>();
  p.wide = nullptr;
  p.s = means.data<float>();
  const double n = double(p.r) - correction;
  p.divisor = float(n > 0 ? n : 0);
  if (p.r == 0) p.divisor = NAN;
  p.root = root;
  REDUCE("squares", T, p, 4)
}
} // namespace

template <class T>
void var(In input, int64_t dims, bool, double correction, Out y, Out mean) {
  variance<T>(input, dims, correction, false, y, mean);
}
template <class T>
void std(In input, int64_t dims, bool, double correction, Out y, Out mean) {
  variance<T>(input, dims, correction, true, y, mean);
}

template <class T>
void norm(In input, int64_t dims, bool, double p, Out y) {
  Plan plan(input, dims);
  plan.y = y.data<T>();
  if (p == 2) {
    plan.root = 1;
    REDUCE("squares", T, plan, 4)
  } else if (p == 1) {
    REDUCE("magnitudes", T, plan, 4)
  } else {
    plan.vector = 0;
    plan.width_ = 1;
    plan.exponent = float(p);
    plan.power = float(1 / p);
    REDUCE("powers", T, plan, 4)
  }
}

template <class T>
void prod(In input, int64_t dims, bool, Out y) {
  Plan p(input, dims, 4);
  p.y = y.data<T>();
  REDUCE("prod", T, p, 8)
}

template <class T>
void any(In input, int64_t dims, bool, Out y) {
  Plan p(input, dims);
  p.y = y.data<bool>();
  REDUCE("any", S<T>, p, 4)
}
template <class T>
void all(In input, int64_t dims, bool, Out y) {
  Plan p(input, dims);
  p.y = y.data<bool>();
  p.flip = 1;
  REDUCE("any", S<T>, p, 4)
}

namespace {
template <class T>
void extreme(const char* op, In input, int64_t dims, bool smallest, Out y) {
  Plan p(input, dims);
  need_elements(op, p);
  p.y = y.v->data;
  p.flip = smallest;
  REDUCE("extreme", S<T>, p, sizeof(T) == 8 ? 8 : 4)
}
template <class T>
void arg_extreme(const char* op, In input, int64_t dims, bool smallest, T* values, Out indices) {
  Plan p(input, dims, 4);
  need_elements(op, p);
  p.y = values;
  p.indices = indices.data<int64_t>();
  p.flip = smallest;
  REDUCE("arg_extreme", T, p, sizeof(T) == 8 ? 16 : 12)
}
} // namespace

template <class T>
void amax(In input, int64_t dims, bool, Out y) {
  extreme<T>("amax", input, dims, false, y);
}
template <class T>
void amin(In input, int64_t dims, bool, Out y) {
  extreme<T>("amin", input, dims, true, y);
}
template <class T>
void argmax(In input, int64_t dims, bool, Out indices) {
  arg_extreme<T>("argmax", input, dims, false, nullptr, indices);
}
template <class T>
void argmin(In input, int64_t dims, bool, Out indices) {
  arg_extreme<T>("argmin", input, dims, true, nullptr, indices);
}
template <class T>
void max(In input, int64_t dims, bool, Out values, Out indices) {
  arg_extreme<T>("max", input, dims, false, values.data<T>(), indices);
}
template <class T>
void min(In input, int64_t dims, bool, Out values, Out indices) {
  arg_extreme<T>("min", input, dims, true, values.data<T>(), indices);
}

template <class T>
void cumsum(In input, int64_t dim, bool reverse, Out y) {
  static const Kernel sums("reduction_scan", named<T>("scan_sums")), scan("reduction_scan", named<T>("scan"));
  Running q = {1, 1, 1, 0, 0, reverse, 0, {}, input.data<T>(), y.data<T>(), nullptr};
  for (int d = 0; d < input.ndim(); d++) (d < dim ? q.a : d == dim ? q.r : q.b) *= input.size(d);
  if (q.a * q.r * q.b == 0) return;
  q.by_b = divisor(q.b);
  const bool rows = q.b == 1;
  const int64_t tiles = rows ? q.a : divide_up(q.a * q.b, 256);
  // A block adds up the sums before its own: there should not be too many.
  q.chunk = divide_up(q.r, divide_up(512, tiles));
  const int64_t least = rows ? 4096 : 128, most_chunks = rows ? 512 : 64;
  if (q.chunk < least) q.chunk = least;
  if (q.chunk < divide_up(q.r, most_chunks)) q.chunk = divide_up(q.r, most_chunks);
  q.chunk = divide_up(q.chunk, 16) * 16;
  q.chunks = divide_up(q.r, q.chunk);
  const auto addresses = reinterpret_cast<uintptr_t>(q.x) | reinterpret_cast<uintptr_t>(q.y);
  q.vector = (addresses | uintptr_t(q.r * int64_t(sizeof(T)))) % 16 == 0;
  const Scratch parts(q.chunks > 1 ? size_t(q.a * q.chunks * q.b) * 8 : 0);
  q.parts = parts.data<void>();
  const Extent grid = {unsigned(tiles), unsigned(q.chunks)};
  if (q.chunks > 1) launch(sums, grid, {256}, 0, q);
  launch(scan, grid, {256}, 0, q);
}

namespace {
struct Lines { // along dimension dim of a contiguous array: r elements, b apart
  int64_t a = 1, r = 1, b = 1;
  Lines(Param input, int64_t dim) {
    for (int d = 0; d < input.ndim(); d++) (d < dim ? a : d == dim ? r : b) *= input.size(d);
  }
  int64_t count() const { return r ? a * b : 0; }
};
} // namespace

template <class T>
void cumprod(In input, int64_t dim, Out y) {
  static const Kernel kernel("reduction_products", named<T>("cumprod"));
  const Lines lines(input, dim);
  launch(kernel, {blocks(lines.count(), 256)}, {256}, 0, input.data<T>(), divisor(lines.b), lines.r, lines.count(),
         y.data<T>());
}

template <class T>
void cumprod_backward(In dy, In input, int64_t dim, Out dinput) {
  static const Kernel kernel("reduction_products", named<T>("cumprod_backward"));
  const Lines lines(input, dim);
  launch(kernel, {blocks(lines.count(), 256)}, {256}, 0, dy.data<T>(), input.data<T>(), divisor(lines.b), lines.r,
         lines.count(), dinput.data<T>());
}

// ---- backward

namespace {
// Numbers of one output each as a view of the input's shape.
View spread(Param input, int64_t dims, float* data) {
  View v = *input.v;
  v.data = data;
  v.dtype = DType::f32;
  int64_t stride = 1;
  for (int d = v.ndim - 1; d >= 0; d--) {
    const bool reduced = dims >> d & 1;
    v.strides[d] = reduced ? 0 : stride;
    if (!reduced) stride *= v.shape[d];
  }
  return v;
}
} // namespace

template <class T>
void amax_backward(In dy, In input, In y, int64_t dims, Out dinput) {
  static const Kernel kernel("reduction_map", named<T>("amax_backward"));
  Plan p(input, dims, 4);
  const Scratch count(size_t(p.outputs) * 4);
  p.s = y.data<T>();
  p.wide = count.data<float>();
  REDUCE("equal", T, p, 4)
  const View counts = spread(input, dims, p.wide);
  map(kernel, {dinput.v, dy.v, input.v, y.v, &counts});
}

template <class T>
void prod_backward(In dy, In input, int64_t dims, Out dinput) {
  static const Kernel kernel("reduction_map", named<T>("prod_backward"));
  Plan p(input, dims, 4);
  const Scratch rest(size_t(p.outputs) * 4), zeros(size_t(p.outputs) * 4);
  p.wide = rest.data<float>();
  const View rests = spread(input, dims, p.wide);
  REDUCE("prod_nonzero", T, p, 8)
  Plan z(input, dims);
  z.wide = zeros.data<float>();
  const View counts = spread(input, dims, z.wide);
  REDUCE("zeros", T, z, 4)
  map(kernel, {dinput.v, dy.v, input.v, &rests, &counts});
}

template <class T>
void var_backward(In dy, In input, In mean, Out dinput) {
  static const Kernel kernel("reduction_map", named<T>("var_backward"));
  map(kernel, {dinput.v, dy.v, input.v, mean.v});
}

namespace {
// The exponent where the host can see it, else 0.
template <class T>
float exponent_of(In p) {
  if (p.v->device != kCpu) return 0;
  if constexpr (sizeof(T) == 2) {
    const uint32_t bits = uint32_t(p.data<BFloat16>()->bits) << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
  } else {
    return *p.data<float>();
  }
}
} // namespace

template <class T>
void norm_backward(In dy, In input, In y, In p, Out dinput) {
  static const Kernel square("reduction_map", named<T>("norm_backward")),
      magnitude("reduction_map", named<T>("magnitudes_backward")), power("reduction_map", named<T>("powers_backward"));
  const float exponent = exponent_of<T>(p);
  if (exponent == 2) return map(square, {dinput.v, dy.v, input.v, y.v});
  if (exponent == 1) return map(magnitude, {dinput.v, dy.v, input.v, y.v});
  map(power, {dinput.v, dy.v, input.v, y.v, p.v});
}

} // namespace engine::cuda

#define FAMILY reduction
#include "cuda/instances.h"
