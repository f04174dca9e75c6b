// f16 and bf16 arithmetic, single and in pairs: computed in double and rounded once.
#include <algorithm>
#include <cmath>

#include "arithmetic.h"
#include "numbers.h"

namespace cudasim {

namespace {

template <class H, class Op>
void unary_half(Registry& r, const std::string& name, Op) {
  unary<H, H>(r, name, [](H a) { return H::of(Op{}(f64(a))); });
  unary<Pair<H>, Pair<H>>(r, name + "x2",
                          [](Pair<H> a) { return Pair<H>{H::of(Op{}(f64(a.low))), H::of(Op{}(f64(a.high)))}; });
}

template <class H, class Op>
void binary_half(Registry& r, const std::string& name, Op) {
  binary<H, H, H>(r, name, [](H a, H b) { return H::of(Op{}(f64(a), f64(b))); });
  binary<Pair<H>, Pair<H>, Pair<H>>(r, name + "x2", [](Pair<H> a, Pair<H> b) {
    return Pair<H>{H::of(Op{}(f64(a.low), f64(b.low))), H::of(Op{}(f64(a.high), f64(b.high)))};
  });
}

template <class H, class Op>
void ternary_half(Registry& r, const std::string& name, Op) {
  ternary<H, H, H, H>(r, name, [](H a, H b, H c) { return H::of(Op{}(f64(a), f64(b), f64(c))); });
  ternary<Pair<H>, Pair<H>, Pair<H>, Pair<H>>(r, name + "x2", [](Pair<H> a, Pair<H> b, Pair<H> c) {
    return Pair<H>{H::of(Op{}(f64(a.low), f64(b.low), f64(c.low))), H::of(Op{}(f64(a.high), f64(b.high), f64(c.high)))};
  });
}

template <class H>
void add_half(Registry& r, const std::string& type) {
  binary_half<H>(r, "add." + type, [](f64 a, f64 b) { return a + b; });
  binary_half<H>(r, "sub." + type, [](f64 a, f64 b) { return a - b; });
  binary_half<H>(r, "mul." + type, [](f64 a, f64 b) { return a * b; });
  binary_half<H>(r, "min." + type, [](f64 a, f64 b) { return number_min(a, b); });
  binary_half<H>(r, "max." + type, [](f64 a, f64 b) { return number_max(a, b); });
  binary_half<H>(r, "min.NaN." + type, [](f64 a, f64 b) { return a != a ? a : b != b ? b : number_min(a, b); });
  binary_half<H>(r, "max.NaN." + type, [](f64 a, f64 b) { return a != a ? a : b != b ? b : number_max(a, b); });
  ternary_half<H>(r, "fma." + type, [](f64 a, f64 b, f64 c) { return a * b + c; });
  ternary_half<H>(r, "fma.relu." + type, [](f64 a, f64 b, f64 c) { return std::max(a * b + c, 0.); });
  unary_half<H>(r, "neg." + type, [](f64 a) { return -a; });
  unary_half<H>(r, "abs." + type, [](f64 a) { return std::fabs(a); });
  unary_half<H>(r, "ex2." + type, [](f64 a) { return std::exp2(a); });
  unary_half<H>(r, "tanh." + type, [](f64 a) { return std::tanh(a); });
}

} // namespace

void register_half(Registry& r) {
  add_half<Half>(r, "f16");
  add_half<BFloat>(r, "bf16");
}

} // namespace cudasim
