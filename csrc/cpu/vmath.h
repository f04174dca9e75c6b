// exp, log, log1p, tanh, erf, sigmoid, and GELU with its derivative, on vectors.
//
// float32: own polynomials after a Cody-Waite reduction, within 2 units in the last place of the true value for every
// float (2.2 for tanh in the baseline, which has no fma; tests/test_vmath.py); infinities, NaNs and zeros give what C
// gives. Denormal arguments count as zero and denormal results are zero, as everywhere in kernels. GELU's forms are
// within 1e-6 of the larger of |y| and 0.3 min(|x|, 3). The bits are the same on every ISA with fma: what an ISA does
// in its own way (scaling by 2^n) is exact, and nothing starts from an approximate instruction. float64, there for
// checking gradients: each lane through libm.
#pragma once
#include "cpu/simd.h"

namespace engine::ENGINE_ISA::simd {

template <class U>
struct Element {
  typedef float type;
};
template <>
struct Element<f64> {
  typedef double type;
};

// ---- float32

ENGINE_INLINE
f32 sign_of(f32 a) { return (f32)((u32)a & 0x80000000u); }
ENGINE_INLINE
f32 with_sign(f32 magnitude, f32 sign) { return (f32)((u32)magnitude | (u32)sign); } // sign: from sign_of

// x = n ln 2 + r with |r| <= ln(2) / 2, for |x| < 2^14. n is in the low bits of `shifted`, a float near 1.5 * 2^23.
struct Reduced {
  f32 shifted, n, r;
};
ENGINE_INLINE
Reduced reduce_exp(f32 x) {
  const f32 magic = broadcast(12582912.0f);
  const f32 shifted = fma(x, broadcast(1.44269504f), magic), n = shifted - magic;
  // The first part of ln 2 has 9 bits: n times it is exact with and without fma.
  return {shifted, n, fma(n, broadcast(2.12194440e-4f), fma(n, broadcast(-0.693359375f), x))};
}
// (e^r - 1 - r) / r^2
ENGINE_INLINE
f32 exp_series(f32 r) {
  f32 q = fma(broadcast(0.0013814585f), r, broadcast(0.008368723f));
  q = fma(q, r, broadcast(0.04166839f));
  q = fma(q, r, broadcast(0.16666521f));
  return fma(q, r, broadcast(0.49999994f));
}
// 2^n as a float, for n in [-126, 127].
ENGINE_INLINE
f32 power_of_two(f32 shifted) { return (f32)(((u32)shifted << 23) + 0x3f800000u); }

// e^x for x in [-104, 88] and NaN; 0 where that is below the smallest normal number.
ENGINE_INLINE
f32 exp_inside(f32 x) {
  const Reduced a = reduce_exp(x);
  const f32 one = broadcast(1.0f), p = fma(fma(exp_series(a.r), a.r, one), a.r, one);
#if defined(ENGINE_ISA_avx512)
  return _mm512_maskz_scalef_ps(0xffff, p, a.n);
#else
  return x < -87.33654f ? zero<float>() : p * power_of_two(a.shifted);
#endif
}

ENGINE_INLINE
f32 exp(f32 x) {
#if defined(ENGINE_ISA_avx512)
  return exp_inside(min(broadcast(89.0f), max(broadcast(-104.0f), x)));
#else
  // 2^n and the series are joined by adding exponents: n may be 128 where the series is below 1.
  const Reduced a = reduce_exp(x);
  const f32 one = broadcast(1.0f), p = fma(fma(exp_series(a.r), a.r, one), a.r, one);
  const f32 y = (f32)((u32)p + ((u32)a.shifted << 23)), infinity = broadcast(__builtin_inff());
  const f32 high = x <= 0x1.62e42ep+6f ? y : x + infinity; // x + infinity: infinity, or the NaN that x is
  return x < -87.33654f ? zero<float>() : high;
#endif
}

ENGINE_INLINE
f32 log(f32 x) {
  // x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2))
  const i32 e = (i32)((u32)x - 0x3f3504f3u) >> 23;
  const f32 f = (f32)((u32)x - ((u32)e << 23)) - broadcast(1.0f), n = to_float(e), ff = f * f;
  f32 p = fma(broadcast(-0.076344975f), f, broadcast(0.12761578f));
  p = fma(p, f, broadcast(-0.13160183f));
  p = fma(p, f, broadcast(0.14201757f));
  p = fma(p, f, broadcast(-0.16623357f));
  p = fma(p, f, broadcast(0.20001227f));
  p = fma(p, f, broadcast(-0.2500082f));
  p = fma(p, f, broadcast(0.3333333f));
  f32 y = fma(p * f, ff, n * broadcast(-2.12194440e-4f));
  y = fma(ff, broadcast(-0.5f), y);
  y = fma(n, broadcast(0.693359375f), f + y);
  const f32 infinity = broadcast(__builtin_inff());
  y = x < infinity ? y : x; // infinity and NaN
  y = x < 0.0f ? broadcast(__builtin_nanf("")) : y;
  return x == 0.0f ? -infinity : y;
}

ENGINE_INLINE
f32 log1p(f32 x) {
  const f32 u = broadcast(1.0f) + x, rounding = x - (u - broadcast(1.0f)); // u - 1 is exact
  const f32 y = log(u);
  const i32 inside = (u > 0.0f) & (u < __builtin_inff());
  return x == 0.0f ? x : (inside ? y + rounding / u : y);
}

// a / (d + lost); `lost` is what rounding took from d.
ENGINE_INLINE
f32 quotient(f32 a, f32 d, f32 lost) {
  if constexpr (kFused) {
    const f32 r = 1.0f / d, q = a * r;
    return fma(fma(-q, lost, fma(-q, d, a)), r, q);
  } else {
    const f32 q = a / d;
    return q - q * (lost / d);
  }
}

ENGINE_INLINE
f32 tanh(f32 x) {
  // e / (e + 2), e = expm1(2|x|); expm1(y) = 2^n (e^r - 1) + (2^n - 1) keeps its digits near 0.
  const f32 t = min(broadcast(9.05f), abs(x));
  const Reduced a = reduce_exp(t + t);
  const f32 s = power_of_two(a.shifted), m = fma(exp_series(a.r), a.r * a.r, a.r);
  const f32 two = broadcast(2.0f), e = fma(m, s, s - broadcast(1.0f)), d = e + two;
  return with_sign(quotient(e, d, e - (d - two)), sign_of(x));
}

// 1 / (1 + e^-x) and its derivative, which keeps its digits where the function is near 1. From e^-|x|: nothing
// overflows.
struct Logistic {
  f32 value, slope;
};
ENGINE_INLINE
Logistic logistic(f32 x) {
  const f32 one = broadcast(1.0f), z = exp_inside(max(broadcast(-104.0f), -abs(x))), r = one / (one + z), zr = z * r;
  return {x < 0.0f ? zr : r, zr * r};
}
ENGINE_INLINE
f32 sigmoid(f32 x) {
  const f32 one = broadcast(1.0f), z = exp_inside(max(broadcast(-104.0f), -abs(x)));
  const f32 d = one + z;
  return quotient(x < 0.0f ? z : one, d, z - (d - one));
}

ENGINE_INLINE
f32 erf(f32 x) {
  const f32 t = min(broadcast(3.95f), abs(x)), z = t * t;
  f32 a = fma(broadcast(8.3701125e-05f), z, broadcast(-0.00081427075f));
  a = fma(a, z, broadcast(0.0052010329f));
  a = fma(a, z, broadcast(-0.026859399f));
  a = fma(a, z, broadcast(0.11283696f));
  a = fma(a, z, broadcast(-0.37612635f));
  a = fma(a, z, broadcast(0.12837917f));
  const f32 small = fma(a, t, t);
  // -log(1 - erf(t)) beyond 0.92
  f32 b = fma(broadcast(-0.00019572071f), t, broadcast(0.0030410932f));
  b = fma(b, t, broadcast(-0.022218453f));
  b = fma(b, t, broadcast(0.10391403f));
  b = fma(b, t, broadcast(0.63720226f));
  b = fma(b, t, broadcast(1.1276637f));
  b = fma(b, t, broadcast(0.0001985547f));
  const f32 large = broadcast(1.0f) - exp_inside(-b);
  return with_sign(t < 0.921875f ? small : large, sign_of(x));
}

// Cumulative distribution and density of the standard normal distribution, both from one exp.
struct Normal {
  f32 cdf, pdf;
};
ENGINE_INLINE
Normal normal(f32 x) {
  // cdf(-t) = e^(-t^2/2) (1 - w) P(w) with w = t / (t + 3.8). What t^2 loses by rounding comes back as a factor.
  const f32 one = broadcast(1.0f), t = min(broadcast(14.0f), abs(x)), square = t * t, lost = fma(t, t, -square);
  f32 e = exp_inside(square * broadcast(-0.5f));
  e = fma(e, lost * broadcast(-0.5f), e);
  const f32 w = t * (one / (t + broadcast(3.8f)));
  f32 p = fma(broadcast(0.030771881f), w, broadcast(-0.098557942f));
  p = fma(p, w, broadcast(0.058538426f));
  p = fma(p, w, broadcast(0.12404288f));
  p = fma(p, w, broadcast(-0.056706011f));
  p = fma(p, w, broadcast(-0.51514602f));
  p = fma(p, w, broadcast(1.078048f));
  p = fma(p, w, broadcast(-1.0159804f));
  p = fma(p, w, broadcast(0.5f));
  const f32 tail = e * ((one - w) * p);
  return {x < 0.0f ? tail : one - tail, e * broadcast(0.39894228f)};
}
// x * cdf(x) without an exp: cdf(x) = 1/2 + x P(x^2) / Q(x^2) to within 2e-7, never below 0, and 0 from -5.3 on, where
// it is less than that. Half the work of the exact tail, which backward has for nothing.
ENGINE_INLINE
f32 gelu(f32 x) {
  const f32 limit = broadcast(5.5f), c = min(limit, max(-limit, x)), z = c * c;
  f32 p = fma(broadcast(1.11730189e-10f), z, broadcast(-2.20053485e-08f));
  p = fma(p, z, broadcast(3.21247115e-06f));
  p = fma(p, z, broadcast(0.000168248443f));
  p = fma(p, z, broadcast(0.00449647075f));
  p = fma(p, z, broadcast(0.035728765f));
  p = fma(p, z, broadcast(0.3989422f));
  f32 q = fma(broadcast(6.15644121e-05f), z, broadcast(0.00181889553f));
  q = fma(q, z, broadcast(0.0289784271f));
  q = fma(q, z, broadcast(0.256223707f));
  q = fma(q, z, broadcast(1.0f));
  const f32 y = x * max(zero<float>(), broadcast(0.5f) + c * p / q);
  return x < -5.3f ? zero<float>() : y;
}
ENGINE_INLINE
f32 gelu_grad(f32 x) {
  const Normal a = normal(x);
  return fma(x, a.pdf, a.cdf);
}

// ---- float64

template <class Fn>
ENGINE_INLINE
f64 each_lane(f64 x, const Fn& fn) {
  for (int i = 0; i < kLanes<double>; i++) x[i] = fn(x[i]);
  return x;
}
ENGINE_INLINE
f64 exp(f64 x) {
  return each_lane(x, [](double a) { return __builtin_exp(a); });
}
ENGINE_INLINE
f64 log(f64 x) {
  return each_lane(x, [](double a) { return __builtin_log(a); });
}
ENGINE_INLINE
f64 log1p(f64 x) {
  return each_lane(x, [](double a) { return __builtin_log1p(a); });
}
ENGINE_INLINE
f64 tanh(f64 x) {
  return each_lane(x, [](double a) { return __builtin_tanh(a); });
}
ENGINE_INLINE
f64 erf(f64 x) {
  return each_lane(x, [](double a) { return __builtin_erf(a); });
}
ENGINE_INLINE
f64 sigmoid(f64 x) { return 1.0 / (1.0 + exp(-x)); }
struct Logistic64 {
  f64 value, slope;
};
ENGINE_INLINE
Logistic64 logistic(f64 x) {
  const f64 s = sigmoid(x);
  return {s, s * sigmoid(-x)};
}
ENGINE_INLINE
f64 normal_cdf(f64 x) {
  return each_lane(x, [](double a) { return 0.5 * __builtin_erfc(a * -0.70710678118654752); });
}
ENGINE_INLINE
f64 gelu(f64 x) { return x * normal_cdf(x); }
ENGINE_INLINE
f64 gelu_grad(f64 x) { return fma(x, 0.39894228040143268 * exp(x * x * -0.5), normal_cdf(x)); }

// ---- both: GELU's tanh form, x * sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3))

template <class U>
ENGINE_INLINE
U gelu_tanh(U x) {
  using T = typename Element<U>::type;
  const U inner = fma(x * x, broadcast(T(0.071354816272600247)), broadcast(T(1.5957691216057307)));
  return x * logistic(x * inner).value;
}
template <class U>
ENGINE_INLINE
U gelu_tanh_grad(U x) {
  using T = typename Element<U>::type;
  // Bounded where the sigmoid is 0 or 1 for long, or the slope would overflow. (NaN stays: it comes second.)
  const U limit = broadcast(T(100)), c = min(limit, max(-limit, x)), square = c * c;
  const U inner = fma(square, broadcast(T(0.071354816272600247)), broadcast(T(1.5957691216057307)));
  const U slope = fma(square, broadcast(T(0.21406444881780074)), broadcast(T(1.5957691216057307)));
  const auto s = logistic(c * inner);
  return fma(c * slope, s.slope, s.value);
}

// ---- both: silu, x * sigmoid(x)

template <class U>
ENGINE_INLINE
U silu(U x) { return x * logistic(x).value; }
template <class U>
ENGINE_INLINE
U silu_grad(U x) {
  const auto s = logistic(x);
  return fma(x, s.slope, s.value);
}

} // namespace engine::ENGINE_ISA::simd
