#include "core/promote.h"

#include <atomic>

namespace engine {

namespace {
std::atomic<DType> current_default{DType::f32};
}

DType default_dtype() { return current_default.load(std::memory_order_relaxed); }
void set_default_dtype(DType t) { current_default = t; }

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (category(a) != category(b)) return category(a) > category(b) ? a : b;
  if (category(a) == Category::integer) {
    const auto either = [&](DType t) { return a == t || b == t; };
    return either(DType::i64)   ? DType::i64
           : either(DType::i32) ? DType::i32
                                : DType::i16; // uint8 and int8 fit in int16
  }
  if (a == DType::f64 || b == DType::f64) return DType::f64;
  return DType::f32; // float16 and bfloat16 too: neither holds the other
}

DType ResultType::get() const {
  bool any = false;
  DType result = DType::f32;
  for (int k = 0; k < 3; k++) {
    if (!seen_[k]) continue;
    if (!any || category(by_kind_[k]) > category(result)) {
      // A number or 0-dim array of a higher category decides; against bool it is promoted, which comes to the same.
      result = by_kind_[k];
    }
    any = true;
  }
  return result;
}

} // namespace engine
