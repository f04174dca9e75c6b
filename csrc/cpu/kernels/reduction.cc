// Reductions over any dimensions, and cumsum: forward and backward. Bit d of `dims`: dimension d is reduced.
//
// Sums of float32 add up blocks of vectors in float64; variance takes two passes. A NaN is the largest and the
// smallest. Reducing no elements gives sum 0, prod 1, any false, all true, mean and var NaN; there is no largest of
// none: ValueError. In backward rows dy, y and mean have size 1 in the reduced dimensions, and are contiguous as
// forward made them.
#include "core/raise.h"
#include "core/view.h"
#include "cpu/reduce.h"

namespace engine::ENGINE_ISA {

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

// ---- the terms of sums

struct Plain {
  template <class U>
  static ENGINE_INLINE
  U of(U x, U) { return x; }
};
struct SquaredDistance {
  template <class U>
  static ENGINE_INLINE
  U of(U x, U s) { return (x - s) * (x - s); }
};
struct Magnitude {
  template <class U>
  static ENGINE_INLINE
  U of(U x, U) { return x < U{} ? -x : x; }
};
struct EqualTo { // 1 where x is s; NaN is NaN here
  template <class U>
  static ENGINE_INLINE
  U of(U x, U s) { return (x == s) | ((x != x) & (s != s)) ? U{} + 1 : U{}; }
};
struct Zero {
  template <class U>
  static ENGINE_INLINE
  U of(U x, U) { return x == U{} ? U{} + 1 : U{}; }
};

// ---- products, extremes, any and all

struct Product {
  template <class P>
  static P empty() {
    return 1;
  }
  template <class P>
  static ENGINE_INLINE
  P join(P a, P b) { return P(W<P>(a) * W<P>(b)); }
  template <class T>
  static ENGINE_INLINE
  T of(T x, T) { return x; }
};
struct ProductOfNonzero : Product {
  template <class T>
  static ENGINE_INLINE
  T of(T x, T) { return x == 0 ? T(1) : x; }
};
struct AnyNonzero {
  template <class P>
  static P empty() {
    return 0;
  }
  static ENGINE_INLINE
  uint8_t join(uint8_t a, uint8_t b) { return a | b; }
  template <class T>
  static ENGINE_INLINE
  bool of(T x, T) { return x != 0; }
};
struct AnyZero : AnyNonzero {
  template <class T>
  static ENGINE_INLINE
  bool of(T x, T) { return x == 0; }
};
struct PowerSum { // of |x|^s
  template <class P>
  static P empty() {
    return 0;
  }
  static ENGINE_INLINE
  double join(double a, double b) { return a + b; }
  template <class T>
  static ENGINE_INLINE
  double of(T x, T s) { return __builtin_pow(__builtin_fabs(double(x)), double(s)); }
};

// ---- forward

template <class T>
static const T kNone = 0; // for policies that need no number

template <class T>
void sum(In input, int64_t dims, bool, Out y) {
  T* out = y.data<T>();
  using P = SumOf<T, Plain>;
  reduce<P>(plan_reduction(input, dims), &kNone<T>, 0, [=](int64_t o, typename P::Part total) { out[o] = T(total); });
}

// Integers summed in int64, in any order: they wrap around.
template <class T_>
struct SumOfIntegers {
  using T = T_;
  using Part = int64_t;
  static Part empty() { return 0; }
  static Part join(Part a, Part b) { return Part(uint64_t(a) + uint64_t(b)); }
  static Part row(const T* x, int64_t n, const T*, int64_t) {
    uint64_t total = 0;
    for (int64_t i = 0; i < n; i++) total += uint64_t(x[i]);
    return Part(total);
  }
  static void columns(const T* x, int64_t stride, int64_t rows, int64_t cols, const T*, int64_t, int64_t, Part* parts) {
    for (int64_t c = 0; c < cols; c++) parts[c] = 0;
    for (int64_t r = 0; r < rows; r++)
      for (int64_t c = 0; c < cols; c++) parts[c] = join(parts[c], Part(x[r * stride + c]));
  }
};
template <class T>
void sum_integers(In input, int64_t dims, bool, Out y) {
  int64_t* out = y.data<int64_t>();
  reduce<SumOfIntegers<S<T>>>(plan_reduction(input, dims), &kNone<S<T>>, 0,
                              [=](int64_t o, int64_t total) { out[o] = total; });
}

template <class T>
static void mean_of(const Plan& p, T* out) {
  const double n = double(p.r);
  reduce<SumOf<T, Plain>>(p, &kNone<T>, 0, [=](int64_t o, double total) { out[o] = T(total / n); });
}

template <class T>
void mean(In input, int64_t dims, bool, Out y) {
  mean_of(plan_reduction(input, dims), y.data<T>());
}

template <class T>
static void variance(In input, int64_t dims, double correction, bool root, Out y, Out mean) {
  const Plan p = plan_reduction(input, dims);
  T *out = y.data<T>(), *means = mean.data<T>();
  mean_of(p, means);
  const double n = double(p.r) - correction, divisor = n > 0 ? n : 0;
  reduce<SumOf<T, SquaredDistance>>(p, means, 1, [=](int64_t o, double total) {
    const double v = p.r == 0 ? __builtin_nan("") : total / divisor;
    out[o] = T(root ? __builtin_sqrt(v) : v);
  });
}
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
  const Plan plan = plan_reduction(input, dims);
  T* out = y.data<T>();
  if (p == 2)
    return reduce<SumOf<T, SquaredDistance>>(plan, &kNone<T>, 0,
                                             [=](int64_t o, double total) { out[o] = T(__builtin_sqrt(total)); });
  if (p == 1)
    return reduce<SumOf<T, Magnitude>>(plan, &kNone<T>, 0, [=](int64_t o, double total) { out[o] = T(total); });
  const T exponent = T(p);
  reduce<Fold<T, double, PowerSum>>(plan, &exponent, 0,
                                    [=](int64_t o, double total) { out[o] = T(__builtin_pow(total, 1 / p)); });
}

template <class T>
void prod(In input, int64_t dims, bool, Out y) {
  T* out = y.data<T>();
  using Part = typename Accumulator<T>::type;
  reduce<Fold<T, Part, Product>>(plan_reduction(input, dims), &kNone<T>, 0,
                                 [=](int64_t o, Part total) { out[o] = T(total); });
}

template <class T>
void any(In input, int64_t dims, bool, Out y) {
  bool* out = y.data<bool>();
  reduce<Fold<S<T>, uint8_t, AnyNonzero>>(plan_reduction(input, dims), &kNone<S<T>>, 0,
                                          [=](int64_t o, uint8_t some) { out[o] = some; });
}
template <class T>
void all(In input, int64_t dims, bool, Out y) {
  bool* out = y.data<bool>();
  reduce<Fold<S<T>, uint8_t, AnyZero>>(plan_reduction(input, dims), &kNone<S<T>>, 0,
                                       [=](int64_t o, uint8_t some) { out[o] = !some; });
}

static Plan plan_of_some(const char* op, In input, int64_t dims) {
  const Plan p = plan_reduction(input, dims);
  if (p.r == 0) raise_value(op, "input", "at least one element to reduce", "0");
  return p;
}

template <class T, bool largest>
static void extreme(const char* op, In input, int64_t dims, Out y) {
  S<T>* out = y.data<S<T>>();
  reduce<Extreme<S<T>, largest>>(plan_of_some(op, input, dims), &kNone<S<T>>, 0,
                                 [=](int64_t o, S<T> best) { out[o] = best; });
}
template <class T>
void amax(In input, int64_t dims, bool, Out y) {
  extreme<T, true>("amax", input, dims, y);
}
template <class T>
void amin(In input, int64_t dims, bool, Out y) {
  extreme<T, false>("amin", input, dims, y);
}

template <class T, bool largest>
static void arg_extreme(const char* op, In input, int64_t dims, T* values, Out indices) {
  int64_t* places = indices.data<int64_t>();
  using P = ArgExtreme<T, largest>;
  reduce<P>(plan_of_some(op, input, dims), &kNone<T>, 0, [=](int64_t o, typename P::Part best) {
    if (values) values[o] = best.value;
    places[o] = best.index;
  });
}
template <class T>
void argmax(In input, int64_t dims, bool, Out indices) {
  arg_extreme<T, true>("argmax", input, dims, nullptr, indices);
}
template <class T>
void argmin(In input, int64_t dims, bool, Out indices) {
  arg_extreme<T, false>("argmin", input, dims, nullptr, indices);
}
template <class T>
void max(In input, int64_t dims, bool, Out values, Out indices) {
  arg_extreme<T, true>("max", input, dims, values.data<T>(), indices);
}
template <class T>
void min(In input, int64_t dims, bool, Out values, Out indices) {
  arg_extreme<T, false>("min", input, dims, values.data<T>(), indices);
}

// Lines along one dimension side by side. visit(base, n, step, length): n lines whose first elements are at base, base
// + 1, …, and whose elements lie `step` apart.
constexpr int64_t kTile = 64;
template <class Fn>
static void for_each_tile(Param input, int64_t dim, const Fn& visit) {
  int64_t outer = 1, inner = 1;
  for (int d = 0; d < input.ndim(); d++)
    if (d != dim) (d < dim ? outer : inner) *= input.size(d);
  const int64_t r = input.ndim() ? input.size(int(dim)) : 1;
  const int64_t tiles = (inner + kTile - 1) / kTile, work = r * (inner < kTile ? inner : kTile);
  if (r == 0) return;
  parallel_ranges(outer * tiles, row_grain(work), [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; u++) {
      const int64_t c = u % tiles * kTile;
      visit(u / tiles * r * inner + c, inner - c < kTile ? inner - c : kTile, inner, r);
    }
  });
}

// Running sums along one dimension, in float64; `reverse`: from the end.
template <class T>
void cumsum(In input, int64_t dim, bool reverse, Out y) {
  using Part = typename Accumulator<T>::type;
  const T* x = input.data<T>();
  T* out = y.data<T>();
  for_each_tile(input, dim, [=](int64_t base, int64_t n, int64_t step, int64_t r) {
    Part running[kTile] = {};
    for (int64_t k = 0; k < r; k++) {
      const int64_t at = base + (reverse ? r - 1 - k : k) * step;
      for (int64_t i = 0; i < n; i++) {
        running[i] = Part(W<Part>(running[i]) + W<Part>(Part(x[at + i])));
        out[at + i] = T(running[i]);
      }
    }
  });
}

// Running products, in float64.
template <class T>
void cumprod(In input, int64_t dim, Out y) {
  using Part = typename Accumulator<T>::type;
  const T* x = input.data<T>();
  T* out = y.data<T>();
  for_each_tile(input, dim, [=](int64_t base, int64_t n, int64_t step, int64_t r) {
    Part running[kTile];
    for (int64_t i = 0; i < n; i++) running[i] = 1;
    for (int64_t k = 0; k < r; k++)
      for (int64_t i = 0, at = base + k * step; i < n; i++) {
        running[i] = Part(W<Part>(running[i]) * W<Part>(Part(x[at + i])));
        out[at + i] = T(running[i]);
      }
  });
}

// ---- backward

// Numbers of one output each, in scratch memory, as a view of the input's shape.
template <class T>
static View spread(Param input, int64_t dims, T* data) {
  View v = *input.v;
  v.data = data;
  v.dtype = dtype_of<T>::value;
  int64_t stride = 1;
  for (int d = v.ndim - 1; d >= 0; d--) {
    const bool reduced = dims >> d & 1;
    v.strides[d] = reduced ? 0 : stride;
    if (!reduced) stride *= v.shape[d];
  }
  return v;
}
template <class T>
static T* output_scratch(int slot, int64_t outputs) {
  return static_cast<T*>(thread_scratch(slot, size_t(outputs + 1) * sizeof(T)));
}

template <class T>
static void loop_share(int64_t n, void* out, void* const* x) {
  T* dx = static_cast<T*>(out);
  const T *dy = static_cast<const T*>(x[0]), *a = static_cast<const T*>(x[1]), *y = static_cast<const T*>(x[2]),
          *count = static_cast<const T*>(x[3]);
  for (int64_t i = 0; i < n; i++) dx[i] = EqualTo::of(a[i], y[i]) * (dy[i] / count[i]);
}
// Elements that are equal to the largest (or smallest) share its gradient.
template <class T>
void amax_backward(In dy, In input, In y, int64_t dims, Out dinput) {
  const Plan p = plan_reduction(input, dims);
  T* count = output_scratch<T>(2, p.outputs());
  reduce<SumOf<T, EqualTo>>(p, y.data<T>(), 1, [=](int64_t o, double total) { count[o] = T(total); });
  const View counts = spread(input, dims, count);
  const View* views[5] = {dinput.v, dy.v, input.v, y.v, &counts};
  map<5>(views, loop_share<T>);
}

template <class T>
static void loop_prod(int64_t n, void* out, void* const* x) {
  T* dx = static_cast<T*>(out);
  const T *dy = static_cast<const T*>(x[0]), *a = static_cast<const T*>(x[1]), *rest = static_cast<const T*>(x[2]),
          *zeros = static_cast<const T*>(x[3]);
  for (int64_t i = 0; i < n; i++)
    dx[i] = a[i] == 0 ? (zeros[i] == 1 ? dy[i] * rest[i] : T(0)) : (zeros[i] == 0 ? dy[i] * (rest[i] / a[i]) : T(0));
}
struct NotFinite {
  template <class U>
  static ENGINE_INLINE
  U of(U x, U) { return x - x == U{} ? U{} : U{} + 1; }
};
// 0 times an infinity or a NaN among the others is NaN.
template <class T>
static void loop_prod_not_finite(int64_t n, void* out, void* const* x) {
  T* dx = static_cast<T*>(out);
  const T *dy = static_cast<const T*>(x[0]), *a = static_cast<const T*>(x[1]), *zeros = static_cast<const T*>(x[2]),
          *wild = static_cast<const T*>(x[3]);
  for (int64_t i = 0; i < n; i++)
    if (zeros[i] > T(a[i] == 0) && wild[i] > T(a[i] - a[i] != 0)) dx[i] = dy[i] * T(__builtin_nan(""));
}
// The product of the others: from the product of all that are not 0 and the number of those that are.
template <class T>
void prod_backward(In dy, In input, int64_t dims, Out dinput) {
  const Plan p = plan_reduction(input, dims);
  T *rest = output_scratch<T>(2, p.outputs()), *zeros = output_scratch<T>(3, p.outputs());
  reduce<Fold<T, double, ProductOfNonzero>>(p, &kNone<T>, 0, [=](int64_t o, double total) { rest[o] = T(total); });
  reduce<SumOf<T, Zero>>(p, &kNone<T>, 0, [=](int64_t o, double total) { zeros[o] = T(total); });
  const View rests = spread(input, dims, rest), counts = spread(input, dims, zeros);
  const View* views[5] = {dinput.v, dy.v, input.v, &rests, &counts};
  map<5>(views, loop_prod<T>);
  T wildest = 0;
  for (int64_t o = 0; o < p.outputs(); o++) wildest += rest[o] - rest[o];
  if (wildest == 0) return;
  reduce<SumOf<T, NotFinite>>(p, &kNone<T>, 0, [=](int64_t o, double total) { rest[o] = T(total); });
  const View* again[5] = {dinput.v, dy.v, input.v, &counts, &rests};
  map<5>(again, loop_prod_not_finite<T>);
}

// Without a division: the product of the elements before j, times s[j] = dy[j] + input[j + 1] * s[j + 1].
template <class T>
void cumprod_backward(In dy, In input, int64_t dim, Out dinput) {
  const T *g = dy.data<T>(), *x = input.data<T>();
  T* out = dinput.data<T>();
  for_each_tile(input, dim, [=](int64_t base, int64_t n, int64_t step, int64_t r) {
    double running[kTile];
    for (int64_t i = 0; i < n; i++) running[i] = 1;
    for (int64_t k = 0; k < r; k++)
      for (int64_t i = 0, at = base + k * step; i < n; i++) {
        out[at + i] = T(running[i]);
        running[i] *= double(x[at + i]);
      }
    for (int64_t i = 0; i < n; i++) running[i] = 0;
    for (int64_t k = r - 1; k >= 0; k--)
      for (int64_t i = 0, at = base + k * step; i < n; i++) {
        running[i] = double(g[at + i]) + (k + 1 < r ? double(x[at + step + i]) * running[i] : 0.0);
        out[at + i] = T(double(out[at + i]) * running[i]);
      }
  });
}

struct VarBackward {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T x, T mean) { return dy * (x - mean); }
};
// dy already holds the factor 2 / (n - correction).
template <class T>
void var_backward(In dy, In input, In mean, Out dinput) {
  map3<VarBackward, T, T>(dinput, dy, input, mean);
}

struct NormBackward {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T x, T y) { return y == 0 ? T(0) : dy * (x / y); }
};
struct SumOfMagnitudesBackward {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T x, T) { return x > 0 ? dy : x < 0 ? -dy : T(0); }
};
template <class T>
static void loop_norm(int64_t n, void* out, void* const* x) {
  T* dx = static_cast<T*>(out);
  const T *dy = static_cast<const T*>(x[0]), *a = static_cast<const T*>(x[1]), *y = static_cast<const T*>(x[2]),
          *p = static_cast<const T*>(x[3]);
  for (int64_t i = 0; i < n; i++) {
    const double ratio = __builtin_pow(__builtin_fabs(double(a[i]) / double(y[i])), double(p[i]) - 1);
    dx[i] = a[i] == 0 || y[i] == 0 ? T(0) : T(a[i] > 0 ? dy[i] * ratio : -dy[i] * ratio);
  }
}
template <class T>
void norm_backward(In dy, In input, In y, In p, Out dinput) {
  const T exponent = *p.data<T>();
  if (exponent == 2) return map3<NormBackward, T, T>(dinput, dy, input, y);
  if (exponent == 1) return map3<SumOfMagnitudesBackward, T, T>(dinput, dy, input, y);
  const View* views[5] = {dinput.v, dy.v, input.v, y.v, p.v};
  map<5>(views, loop_norm<T>);
}

} // namespace engine::ENGINE_ISA

#define FAMILY reduction
#include "cpu/instances.h"
