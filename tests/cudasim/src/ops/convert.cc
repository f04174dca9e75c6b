// cvt: read into the widest form, round, write. The most frequent conversions have loops of their own.
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <limits>

#include "../binder.h"
#include "arithmetic.h"
#include "numbers.h"

namespace cudasim {

namespace {

enum Number : u8 { kU8, kS8, kU16, kS16, kU32, kS32, kU64, kS64, kF16, kBF16, kF32, kF64, kTF32, kNoNumber };

Number number_of(const std::string& type) {
  static const char* const kNames[] = {"u8",  "s8",  "u16",  "s16", "u32", "s32", "u64",
                                       "s64", "f16", "bf16", "f32", "f64", "tf32"};
  for (int k = 0; k < kNoNumber; ++k)
    if (type == kNames[k]) return Number(k);
  return kNoNumber;
}

bool is_float(Number n) { return n >= kF16; }

enum Rounding : u8 { kNearest, kTowardsZero, kDown, kUp, kNearestAway };

// What a cvt does; the instruction's immediate carries it.
struct Conversion {
  Number to;
  Number from;
  Rounding rounding;
  bool saturates;
  bool to_integral; // .rni and the like: the result is an integer, also in a float
  bool relu;
  u8 unused[2];
};
static_assert(sizeof(Conversion) == sizeof(s64), "it is carried by an immediate");

int environment_mode(Rounding rounding) {
  switch (rounding) {
    case kTowardsZero:
      return FE_TOWARDZERO;
    case kDown:
      return FE_DOWNWARD;
    case kUp:
      return FE_UPWARD;
    default:
      return FE_TONEAREST;
  }
}

f64 round_to_integral(f64 value, Rounding rounding) {
  switch (rounding) {
    case kTowardsZero:
      return std::trunc(value);
    case kDown:
      return std::floor(value);
    case kUp:
      return std::ceil(value);
    default:
      return std::nearbyint(value);
  }
}

// A source value: an integer (of 65 bits: __int128) or a float.
struct Value {
  __int128 integer = 0;
  f64 real = 0;
};

Value read(u64 raw, Number from) {
  switch (from) {
    case kU8:
      return {u8(raw), 0};
    case kS8:
      return {s8(raw), 0};
    case kU16:
      return {u16(raw), 0};
    case kS16:
      return {s16(raw), 0};
    case kU32:
      return {u32(raw), 0};
    case kS32:
      return {s32(raw), 0};
    case kU64:
      return {raw, 0};
    case kS64:
      return {s64(raw), 0};
    case kF16:
      return {0, f32(Half{u16(raw)})};
    case kBF16:
      return {0, f32(BFloat{u16(raw)})};
    case kF32:
      return {0, bits_as<f32>(u32(raw))};
    default:
      return {0, bits_as<f64>(raw)};
  }
}

// Saturates; NaN gives 0.
template <class T>
u64 clamped(f64 value) {
  constexpr T kLowest = std::numeric_limits<T>::min();
  constexpr T kHighest = std::numeric_limits<T>::max();
  if (value != value) return 0;
  if (value <= f64(kLowest)) return u64(s64(kLowest));
  if (value >= f64(kHighest)) return u64(s64(kHighest));
  return u64(s64(T(value)));
}

u64 float_to_integer(f64 value, Number to) {
  constexpr u64 kIndefinite = u64(1) << 63; // what the hardware gives for NaN in 64 bits
  switch (to) {
    case kU8:
      return clamped<u8>(value);
    case kS8:
      return clamped<s8>(value);
    case kU16:
      return clamped<u16>(value);
    case kS16:
      return clamped<s16>(value);
    case kU32:
      return clamped<u32>(value);
    case kS32:
      return clamped<s32>(value);
    case kU64:
      return value != value ? kIndefinite : value >= 0x1p64 ? ~u64(0) : value <= 0 ? 0 : u64(value);
    default:
      return value != value ? kIndefinite : clamped<s64>(value);
  }
}

u64 integer_to_integer(__int128 value, const Conversion& c) {
  static const int kBits[] = {8, 8, 16, 16, 32, 32, 64, 64};
  const bool is_signed = c.to & 1;
  const int bits = kBits[c.to];
  if (c.saturates) {
    const __int128 highest = (__int128(1) << (bits - is_signed)) - 1;
    const __int128 lowest = is_signed ? -highest - 1 : 0;
    value = std::clamp(value, lowest, highest);
  }
  u64 result = u64(value) << (64 - bits);
  return is_signed ? u64(s64(result) >> (64 - bits)) : result >> (64 - bits);
}

// To bf16 in a given direction: nearest is BFloat::of; only towards zero occurs otherwise.
u64 to_bfloat(f64 value, Rounding rounding) {
  if (rounding != kTowardsZero) return BFloat::of(value).bits;
  u32 bits = bits_as<u32>(f32(value)) >> 16;
  if (std::fabs(f64(bits_as<f32>(bits << 16))) > std::fabs(value)) --bits;
  return bits;
}

u64 to_tf32(f32 value, Rounding rounding) {
  constexpr u32 kDropped = 0x1fff;
  const u32 bits = bits_as<u32>(value);
  switch (rounding) {
    case kNearestAway:
      return (bits + 0x1000) & ~kDropped;
    case kTowardsZero:
      return bits & ~kDropped;
    default:
      return (bits + 0xfff + (bits >> 13 & 1)) & ~kDropped;
  }
}

// Values pass through volatile variables, so that they are rounded while the mode is set.
u64 real_to_float(f64 real, const Conversion& c) {
  volatile f64 value = c.to_integral ? round_to_integral(real, c.rounding) : real;
  if (c.saturates) value = value > 0 ? std::min(f64(value), 1.) : 0.;
  if (c.relu) value = value > 0 ? f64(value) : 0.;
  switch (c.to) {
    case kF16: {
      volatile _Float16 half = _Float16(value);
      return bits_as<u16>(_Float16(half));
    }
    case kBF16:
      return to_bfloat(value, c.rounding);
    case kTF32:
      return to_tf32(f32(value), c.rounding);
    case kF32: {
      volatile f32 single = f32(value);
      return bits_as<u32>(f32(single));
    }
    default:
      return bits_as<u64>(f64(value));
  }
}

u64 integer_to_float(__int128 integer, const Conversion& c) {
  volatile s64 as_signed = s64(integer);
  volatile u64 as_unsigned = u64(integer);
  if (c.to == kF32) { // in one rounding
    volatile f32 single = integer < 0 ? f32(as_signed) : f32(as_unsigned);
    f32 value = single;
    if (c.saturates) value = value > 0 ? std::min(value, 1.f) : 0.f;
    return bits_as<u32>(value);
  }
  volatile f64 real = integer < 0 ? f64(as_signed) : f64(as_unsigned);
  return real_to_float(real, c);
}

u64 converted(u64 raw, const Conversion& c) {
  const Value value = read(raw, c.from);
  if (is_float(c.to)) return is_float(c.from) ? real_to_float(value.real, c) : integer_to_float(value.integer, c);
  if (is_float(c.from)) return float_to_integer(round_to_integral(value.real, c.rounding), c.to);
  return integer_to_integer(value.integer, c);
}

// in[1..]: nothing; size, register_size: of the two registers.
void convert(Warp& w, const Instruction& i, u32 mask) {
  const Conversion c = bits_as<Conversion>(i.immediate);
  const bool directed = c.rounding != kNearest && c.rounding != kNearestAway && is_float(c.to) && !c.to_integral;
  if (directed) fesetround(environment_mode(c.rounding));
  for (; mask; mask &= mask - 1) {
    const int lane = __builtin_ctz(mask);
    const u64 raw = load_register(w, i.in[0], i.register_size, lane);
    store_register(w, i.out[0], i.size, lane, converted(raw, c));
  }
  if (directed) fesetround(FE_TONEAREST);
}

template <class D, class A>
void convert_plainly(Warp& w, const Instruction& i, u32 mask) {
  D* d = lanes<D>(w, i.out[0]);
  const A* a = lanes<A>(w, i.in[0]);
  each_lane(mask, [=](int l) { d[l] = D(a[l]); });
}

void truncate_to_s32(Warp& w, const Instruction& i, u32 mask) {
  s32* d = lanes<s32>(w, i.out[0]);
  const f32* a = lanes<f32>(w, i.in[0]);
  each_lane(mask, [=](int l) {
    const f32 in_range = std::min(std::max(a[l], -2147483648.f), 2147483520.f);
    d[l] = a[l] != a[l] ? 0 : a[l] >= 2147483648.f ? std::numeric_limits<s32>::max() : s32(in_range);
  });
}

// Where a plain conversion in C++ does the same; nullptr: nowhere.
Operation plain_conversion(const Conversion& c) {
  if (c.saturates || c.relu) return nullptr;
  if (c.to == kS32 && c.from == kF32 && c.rounding == kTowardsZero) return truncate_to_s32;
  if (c.rounding != kNearest || c.to_integral) return nullptr;
  switch (c.to) {
    case kF32:
      return c.from == kS32    ? convert_plainly<f32, s32>
             : c.from == kU32  ? convert_plainly<f32, u32>
             : c.from == kF64  ? convert_plainly<f32, f64>
             : c.from == kF16  ? convert_plainly<f32, Half>
             : c.from == kBF16 ? convert_plainly<f32, BFloat>
                               : nullptr;
    case kF64:
      return c.from == kF32 ? convert_plainly<f64, f32> : c.from == kS32 ? convert_plainly<f64, s32> : nullptr;
    case kU64:
    case kS64:
      return c.from == kU32 ? convert_plainly<u64, u32> : c.from == kS32 ? convert_plainly<s64, s32> : nullptr;
    case kU32:
    case kS32:
      return c.from == kU64 || c.from == kS64 ? convert_plainly<u32, u64>
             : c.from == kU16                 ? convert_plainly<u32, u16>
                                              : nullptr;
    case kU16:
      return c.from == kU32 ? convert_plainly<u16, u32> : nullptr;
    default:
      return nullptr;
  }
}

f32 positive(f32 value) { return value > 0 ? value : 0; }

// cvt.rn.bf16x2.f32 d, high, low
template <class H, bool kRelu>
void pack_pair(Warp& w, const Instruction& i, u32 mask) {
  u32* d = lanes<u32>(w, i.out[0]);
  const f32* high = lanes<f32>(w, i.in[0]);
  const f32* low = lanes<f32>(w, i.in[1]);
  each_lane(mask, [=](int l) {
    const f32 a = kRelu ? positive(high[l]) : high[l];
    const f32 b = kRelu ? positive(low[l]) : low[l];
    d[l] = H::of(b).bits | u32(H::of(a).bits) << 16;
  });
}

template <class H>
void to_short(Warp& w, const Instruction& i, u32 mask) {
  u16* d = lanes<u16>(w, i.out[0]);
  const f32* a = lanes<f32>(w, i.in[0]);
  each_lane(mask, [=](int l) { d[l] = H::of(a[l]).bits; });
}

void bind_pair(Binder& b, Instruction& i, const Opcode& op, bool is_half, Rounding rounding) {
  if (op.type() != "f32" || rounding != kNearest) b.unknown();
  b.need(3);
  i.in[0] = b.input(b.operands[1], 4);
  i.in[1] = b.input(b.operands[2], 4);
  const bool relu = op.has("relu");
  i.run = is_half ? (relu ? pack_pair<Half, true> : pack_pair<Half, false>)
                  : (relu ? pack_pair<BFloat, true> : pack_pair<BFloat, false>);
}

void bind_convert(Binder& b, Instruction& i, const Opcode& op) {
  b.need(2);
  if (op.has("pack") || op.parts.size() < 3) b.unknown();
  auto either = [&](const char* of_float, const char* of_integer) { return op.has(of_float) || op.has(of_integer); };
  Conversion c{};
  c.rounding = either("rz", "rzi")   ? kTowardsZero
               : either("rm", "rmi") ? kDown
               : either("rp", "rpi") ? kUp
               : op.has("rna")       ? kNearestAway
                                     : kNearest;
  const std::string& to = op.parts[op.parts.size() - 2];
  i.out[0] = b.input(b.operands[0], 8);
  if (to == "bf16x2" || to == "f16x2") return bind_pair(b, i, op, to == "f16x2", c.rounding);
  c.to = number_of(to);
  c.from = number_of(op.type());
  if (c.to == kNoNumber || c.from == kNoNumber) b.unknown();
  c.saturates = op.has("sat");
  c.relu = op.has("relu");
  const bool integral = op.has("rni") || op.has("rzi") || op.has("rmi") || op.has("rpi");
  c.to_integral = integral && is_float(c.to);
  if (c.to_integral && is_float(c.from) && c.to != c.from) b.unknown();
  i.size = u8(b.register_size(b.operands[0], size_of_type(to)));
  i.register_size = u8(b.register_size(b.operands[1], op.type_size));
  i.in[0] = b.input(b.operands[1], i.register_size);
  i.immediate = bits_as<s64>(c);
  i.run = convert;
  if (i.size != size_of_type(to) || i.register_size != op.type_size) return;
  if (Operation plain = plain_conversion(c)) i.run = plain;
  if (c.from != kF32 || c.rounding != kNearest || c.saturates || c.relu) return;
  if (c.to == kBF16) i.run = to_short<BFloat>;
  if (c.to == kF16) i.run = to_short<Half>;
}

} // namespace

void register_convert(Registry& r) { r.add("cvt", bind_convert); }

} // namespace cudasim
