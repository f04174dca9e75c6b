// f32 and f64 arithmetic. Denormals are kept where .ftz would flush them, and the .approx functions are more exact than
// the hardware's.
#include <cmath>

#include "arithmetic.h"
#include "numbers.h"

namespace cudasim {

namespace {

template <class F>
F fused(F a, F b, F c) {
  if constexpr (sizeof(F) == 4) return __builtin_fmaf(a, b, c);
  return __builtin_fma(a, b, c);
}

template <class F>
void add_float(Registry& r, const std::string& type) {
  binary<F, F, F>(r, "add." + type, [](F a, F b) { return a + b; });
  binary<F, F, F>(r, "sub." + type, [](F a, F b) { return a - b; });
  binary<F, F, F>(r, "mul." + type, [](F a, F b) { return a * b; });
  binary<F, F, F>(r, "div." + type, [](F a, F b) { return a / b; });
  ternary<F, F, F, F>(r, "fma." + type, [](F a, F b, F c) { return fused(a, b, c); });
  ternary<F, F, F, F>(r, "mad." + type, [](F a, F b, F c) { return fused(a, b, c); });
  binary<F, F, F>(r, "min." + type, [](F a, F b) { return number_min(a, b); });
  binary<F, F, F>(r, "max." + type, [](F a, F b) { return number_max(a, b); });
  binary<F, F, F>(r, "min.NaN." + type, [](F a, F b) { return a != a ? a : b != b ? b : number_min(a, b); });
  binary<F, F, F>(r, "max.NaN." + type, [](F a, F b) { return a != a ? a : b != b ? b : number_max(a, b); });
  unary<F, F>(r, "neg." + type, [](F a) { return -a; });
  unary<F, F>(r, "abs." + type, [](F a) { return std::fabs(a); });
  unary<F, F>(r, "rcp." + type, [](F a) { return 1 / a; });
  unary<F, F>(r, "sqrt." + type, [](F a) { return std::sqrt(a); });
  unary<F, F>(r, "rsqrt." + type, [](F a) { return 1 / std::sqrt(a); });
  binary<F, F, F>(r, "copysign." + type, [](F a, F b) { return std::copysign(b, a); });
  unary<u8, F>(r, "testp.finite." + type, [](F a) { return u8(std::isfinite(a)); });
  unary<u8, F>(r, "testp.infinite." + type, [](F a) { return u8(std::isinf(a)); });
  unary<u8, F>(r, "testp.number." + type, [](F a) { return u8(!std::isnan(a)); });
  unary<u8, F>(r, "testp.notanumber." + type, [](F a) { return u8(std::isnan(a)); });
  unary<u8, F>(r, "testp.normal." + type, [](F a) { return u8(std::isnormal(a)); });
  unary<u8, F>(r, "testp.subnormal." + type, [](F a) { return u8(std::fpclassify(a) == FP_SUBNORMAL); });
}

} // namespace

void register_float(Registry& r) {
  add_float<f32>(r, "f32");
  add_float<f64>(r, "f64");
  unary<f32, f32>(r, "ex2.f32", [](f32 a) { return std::exp2(a); });
  unary<f32, f32>(r, "lg2.f32", [](f32 a) { return std::log2(a); });
  unary<f32, f32>(r, "sin.f32", [](f32 a) { return std::sin(a); });
  unary<f32, f32>(r, "cos.f32", [](f32 a) { return std::cos(a); });
  unary<f32, f32>(r, "tanh.f32", [](f32 a) { return std::tanh(a); });
}

} // namespace cudasim
