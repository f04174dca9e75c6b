// Reductions: sum, mean, var, std, norm, prod, any, all, extremes and their indices (device/reduce.cuh has the
// walk).
//
// float32 and bfloat16 add up in float32: each thread a part of at most a few hundred elements, then trees. Products of
// them are taken in double, so that no factor's order overflows. Integers wrap around in int64. Where several are equal
// the index is that of the first; a NaN is the largest and the smallest. Backward rows need one pass more,
// element by element, in reduction_map.cu.
#include "cuda/device/reduce.cuh"

// ---- sums of M::of(x, s, q)

template <class T_, class M, class S_ = float>
struct SumOf {
  using T = T_;
  using S = S_;
  using Part = float;
  static constexpr int kVector = __is_same(S, float) ? 16 / sizeof(T) : 4;
  static constexpr bool kHeavy = M::kHeavy;
  static __device__ Part empty(const Reduction&) { return 0.f; }
  static __device__ void take(const Reduction& q, Part& p, T x, S s, int64_t) {
    p += M::of(to_float(x), to_float(s), q);
  }
  static __device__ Part join(const Reduction&, Part a, Part b) { return a + b; }
  static __device__ void store(const Reduction& q, int64_t o, Part total) {
    float v = total / q.divisor;
    if (q.root) v = sqrtf(v);
    if constexpr (M::kHeavy) v = powf(v, q.power);
    if (q.y) static_cast<T*>(q.y)[o] = from_float<T>(v);
    if (q.wide) q.wide[o] = v;
  }
};
struct Plain {
  static constexpr bool kHeavy = false;
  static __device__ float of(float x, float, const Reduction&) { return x; }
};
struct SquaredDistance {
  static constexpr bool kHeavy = false;
  static __device__ float of(float x, float s, const Reduction&) { return (x - s) * (x - s); }
};
struct Magnitude {
  static constexpr bool kHeavy = false;
  static __device__ float of(float x, float, const Reduction&) { return fabsf(x); }
};
struct PowerOf {
  static constexpr bool kHeavy = true;
  static __device__ float of(float x, float, const Reduction& q) { return powf(fabsf(x), q.exponent); }
};
struct EqualTo { // NaN is NaN here
  static constexpr bool kHeavy = false;
  static __device__ float of(float x, float s, const Reduction&) { return x == s || (x != x && s != s) ? 1.f : 0.f; }
};
struct IsZero {
  static constexpr bool kHeavy = false;
  static __device__ float of(float x, float, const Reduction&) { return x == 0.f ? 1.f : 0.f; }
};

struct SumOfIntegers {
  using T = int64_t;
  using S = float;
  using Part = int64_t;
  static constexpr int kVector = 2;
  static constexpr bool kHeavy = false;
  static __device__ Part empty(const Reduction&) { return 0; }
  static __device__ void take(const Reduction& q, Part& p, T x, S, int64_t) { p = join(q, p, x); }
  static __device__ Part join(const Reduction&, Part a, Part b) { return int64_t(uint64_t(a) + uint64_t(b)); }
  static __device__ void store(const Reduction& q, int64_t o, Part total) { static_cast<T*>(q.y)[o] = total; }
};

// ---- products

template <class T_, bool nonzero>
struct ProductOf {
  using T = T_;
  using S = float;
  using Part = double;
  static constexpr int kVector = 4;
  static constexpr bool kHeavy = false;
  static __device__ Part empty(const Reduction&) { return 1.; }
  static __device__ void take(const Reduction&, Part& p, T x, S, int64_t) {
    const float f = to_float(x);
    p *= nonzero && f == 0.f ? 1. : double(f);
  }
  static __device__ Part join(const Reduction&, Part a, Part b) { return a * b; }
  static __device__ void store(const Reduction& q, int64_t o, Part total) {
    if (q.y) static_cast<T*>(q.y)[o] = from_float<T>(float(total));
    if (q.wide) q.wide[o] = float(total);
  }
};
struct ProductOfIntegers : SumOfIntegers {
  static __device__ Part empty(const Reduction&) { return 1; }
  static __device__ void take(const Reduction& q, Part& p, T x, S, int64_t) { p = join(q, p, x); }
  static __device__ Part join(const Reduction&, Part a, Part b) { return int64_t(uint64_t(a) * uint64_t(b)); }
};

// ---- any and all (flip)

template <class T_>
struct Any {
  using T = T_;
  using S = float;
  using Part = uint32_t;
  static constexpr int kVector = sizeof(T) == 1 ? 8 : 16 / sizeof(T);
  static constexpr bool kHeavy = false;
  static __device__ Part empty(const Reduction&) { return 0; }
  static __device__ void take(const Reduction& q, Part& p, T x, S, int64_t) {
    const bool set = widen(x) != Compute<T>(0);
    p |= uint32_t(set != bool(q.flip));
  }
  static __device__ Part join(const Reduction&, Part a, Part b) { return a | b; }
  static __device__ void store(const Reduction& q, int64_t o, Part some) {
    static_cast<bool*>(q.y)[o] = bool(some) != bool(q.flip);
  }
};

// ---- extremes: the largest, or (flip) the smallest

template <class T>
struct Extremes {
  static constexpr T least = sizeof(T) == 8 ? T(INT64_MIN) : T(INT32_MIN),
                     most = sizeof(T) == 8 ? T(INT64_MAX) : T(INT32_MAX);
};
template <>
struct Extremes<float> {
  static constexpr float least = -__builtin_inff(), most = __builtin_inff();
};
// Bytes are compared as int32.
template <class T>
struct Wider {
  using type = Compute<T>;
};
template <>
struct Wider<uint8_t> {
  using type = int32_t;
};

template <class T_>
struct Extreme {
  using T = T_;
  using S = float;
  using Part = typename Wider<T>::type;
  static constexpr int kVector = sizeof(T) == 1 ? 8 : 16 / sizeof(T);
  static constexpr bool kHeavy = false;
  static __device__ Part empty(const Reduction& q) { return q.flip ? Extremes<Part>::most : Extremes<Part>::least; }
  static __device__ void take(const Reduction& q, Part& p, T x, S, int64_t) { p = join(q, p, Part(widen(x))); }
  static __device__ Part join(const Reduction& q, Part a, Part b) { return (q.flip ? b < a : b > a) || b != b ? b : a; }
  static __device__ void store(const Reduction& q, int64_t o, Part best) {
    static_cast<T*>(q.y)[o] = narrow<T>(Compute<T>(best));
  }
};

template <class T_>
struct ArgExtreme {
  using T = T_;
  using S = float;
  using C = typename Wider<T>::type;
  struct Part {
    C value;
    uint32_t low, high; // the index, in halves that need no padding
    __device__ int64_t index() const { return int64_t(uint64_t(high) << 32 | low); }
  };
  static constexpr int kVector = sizeof(T) == 8 ? 2 : 4;
  static constexpr bool kHeavy = false;
  static __device__ Part at(C value, int64_t i) { return {value, uint32_t(i), uint32_t(uint64_t(i) >> 32)}; }
  static __device__ Part empty(const Reduction& q) {
    return at(q.flip ? Extremes<C>::most : Extremes<C>::least, INT64_MAX);
  }
  static __device__ bool better(const Reduction& q, const Part& a, C b, int64_t i) {
    if (a.value != a.value) return b != b && i < a.index();
    if (b != b) return true;
    return (q.flip ? b < a.value : b > a.value) || (b == a.value && i < a.index());
  }
  static __device__ void take(const Reduction& q, Part& p, T x, S, int64_t i) {
    const C c = C(widen(x));
    if (better(q, p, c, i)) p = at(c, i);
  }
  static __device__ Part join(const Reduction& q, const Part& a, const Part& b) {
    return better(q, a, b.value, b.index()) ? b : a;
  }
  static __device__ void store(const Reduction& q, int64_t o, const Part& best) {
    if (q.y) static_cast<T*>(q.y)[o] = narrow<T>(Compute<T>(best.value));
    q.indices[o] = best.index();
  }
};

// ---- a kernel for elements and one for parts of each

#define REDUCTION(name, ...)                                                                                       \
  extern "C" __global__ void __launch_bounds__(kReduceThreads, 4) name(const __grid_constant__ Reduction q) {      \
    reduce<__VA_ARGS__>(q);                                                                                        \
  }                                                                                                                \
  extern "C" __global__ void __launch_bounds__(kReduceThreads) name##_parts(const __grid_constant__ Reduction q) { \
    join_parts<__VA_ARGS__>(q);                                                                                    \
  }
#define OF_FLOATS(T, suffix)                             \
  REDUCTION(sum_##suffix, SumOf<T, Plain>)               \
  REDUCTION(squares_##suffix, SumOf<T, SquaredDistance>) \
  REDUCTION(magnitudes_##suffix, SumOf<T, Magnitude>)    \
  REDUCTION(powers_##suffix, SumOf<T, PowerOf>)          \
  REDUCTION(equal_##suffix, SumOf<T, EqualTo, T>)        \
  REDUCTION(zeros_##suffix, SumOf<T, IsZero>)            \
  REDUCTION(prod_##suffix, ProductOf<T, false>)          \
  REDUCTION(prod_nonzero_##suffix, ProductOf<T, true>)
#define OF_REALS(T, suffix)               \
  REDUCTION(any_##suffix, Any<T>)         \
  REDUCTION(extreme_##suffix, Extreme<T>) \
  REDUCTION(arg_extreme_##suffix, ArgExtreme<T>)
FOR_FLOAT(OF_FLOATS)
FOR_REAL(OF_REALS)
REDUCTION(sum_i64, SumOfIntegers)
REDUCTION(prod_i64, ProductOfIntegers)
