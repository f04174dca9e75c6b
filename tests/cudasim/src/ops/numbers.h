// Number formats: bits and values, f16 and bf16, and the minimum and maximum of PTX.
#pragma once
#include <cmath>
#include <cstring>

#include "../types.h"

namespace cudasim {

template <class To, class From>
inline To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From), "sizes differ");
  To to;
  memcpy(static_cast<void*>(&to), &from, sizeof to);
  return to;
}

struct Half {
  u16 bits;
  operator f32() const { return f32(bits_as<_Float16>(bits)); }
  static Half of(f64 value) { return {bits_as<u16>(_Float16(value))}; }
};

struct BFloat {
  u16 bits;
  operator f32() const { return bits_as<f32>(u32(bits) << 16); }
  static BFloat of(f32 value) {
    if (value != value) return {0x7fff};
    const u32 u = bits_as<u32>(value);
    return {u16((u + 0x7fff + (u >> 16 & 1)) >> 16)};
  }
  // Rounded to odd in f32 first, so that the second rounding is right.
  static BFloat of(f64 value) {
    const f32 near = f32(value);
    if (f64(near) == value || !std::isfinite(near)) return of(near);
    u32 u = bits_as<u32>(near);
    if (std::fabs(f64(near)) > std::fabs(value)) --u;
    return of(bits_as<f32>(u | 1));
  }
};

template <class H>
struct Pair {
  H low;
  H high;
};

// A NaN loses against a number.
template <class F>
inline F number_min(F a, F b) {
  return a < b || b != b ? a : b;
}

template <class F>
inline F number_max(F a, F b) {
  return a > b || b != b ? a : b;
}

} // namespace cudasim
