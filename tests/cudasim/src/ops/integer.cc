// Integer arithmetic, shifts, bit fields and logic.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "arithmetic.h"

namespace cudasim {

namespace {

using s128 = __int128;
using u128 = unsigned __int128;

template <class T>
constexpr bool kIsSigned = std::is_signed_v<T>;
template <class T>
constexpr u32 kTopBit = sizeof(T) * 8 - 1;

// Division by zero gives all ones, the smallest number by -1 itself.
template <class T>
T divide(T a, T b) {
  if (b == 0) return T(~u64(0));
  if (kIsSigned<T> && b == T(-1)) return T(0 - u64(a));
  return T(a / b);
}

template <class T>
T remainder(T a, T b) {
  if (b == 0) return a;
  if (kIsSigned<T> && b == T(-1)) return 0;
  return T(a % b);
}

template <class T>
T absolute(T a) {
  if constexpr (kIsSigned<T>) return a < 0 ? T(0 - u64(a)) : a;
  return a;
}

template <class T>
void add_arithmetic(Registry& r, const std::string& type) {
  binary<T, T, T>(r, "add." + type, [](T a, T b) { return T(u64(a) + u64(b)); });
  binary<T, T, T>(r, "sub." + type, [](T a, T b) { return T(u64(a) - u64(b)); });
  binary<T, T, T>(r, "mul.lo." + type, [](T a, T b) { return T(u64(a) * u64(b)); });
  ternary<T, T, T, T>(r, "mad.lo." + type, [](T a, T b, T c) { return T(u64(a) * u64(b) + u64(c)); });
  binary<T, T, T>(r, "min." + type, [](T a, T b) { return a < b ? a : b; });
  binary<T, T, T>(r, "max." + type, [](T a, T b) { return a > b ? a : b; });
  binary<T, T, T>(r, "div." + type, [](T a, T b) { return divide(a, b); });
  binary<T, T, T>(r, "rem." + type, [](T a, T b) { return remainder(a, b); });
  unary<T, T>(r, "neg." + type, [](T a) { return T(0 - u64(a)); });
  unary<T, T>(r, "abs." + type, [](T a) { return absolute(a); });
  ternary<T, T, T, T>(r, "sad." + type, [](T a, T b, T c) { return T(c + (a < b ? b - a : a - b)); });
}

template <class T, class Double>
void add_high_and_wide(Registry& r, const std::string& type) {
  using UDouble = std::make_unsigned_t<Double>;
  constexpr int bits = sizeof(T) * 8;
  binary<T, T, T>(r, "mul.hi." + type, [](T a, T b) { return T(Double(a) * Double(b) >> bits); });
  ternary<T, T, T, T>(r, "mad.hi." + type,
                      [](T a, T b, T c) { return T(u64(T(Double(a) * Double(b) >> bits)) + u64(c)); });
  binary<Double, T, T>(r, "mul.wide." + type, [](T a, T b) { return Double(Double(a) * Double(b)); });
  ternary<Double, T, T, Double>(r, "mad.wide." + type,
                                [](T a, T b, Double c) { return Double(UDouble(Double(a) * Double(b)) + UDouble(c)); });
}

template <class T, class Double>
void add_high_64(Registry& r, const std::string& type) {
  binary<T, T, T>(r, "mul.hi." + type, [](T a, T b) { return T(Double(a) * b >> 64); });
  ternary<T, T, T, T>(r, "mad.hi." + type, [](T a, T b, T c) { return T(u64(T(Double(a) * b >> 64)) + u64(c)); });
}

s32 saturated(s64 value) {
  return s32(std::clamp<s64>(value, std::numeric_limits<s32>::min(), std::numeric_limits<s32>::max()));
}

// The carry flag: add.cc sets it, addc uses it (and sets it, which nothing looks at unless .cc was said).
template <class Op>
void carrying(Registry& r, const std::string& name, Op) {
  const Arithmetic arithmetic = {+[](Warp& w, const Instruction& i, u32 mask) {
                                   each_lane(mask, [&](int l) {
                                     const u64 a = lanes<u32>(w, i.in[0])[l];
                                     const u64 b = lanes<u32>(w, i.in[1])[l];
                                     const u64 result = Op{}(a, b, u64(w.carry[l]));
                                     lanes<u32>(w, i.out[0])[l] = u32(result);
                                     w.carry[l] = result >> 32 & 1;
                                   });
                                 },
                                 {4, 4}};
  for (const char* type : {"u32", "s32", "b32"}) r.arithmetic[name + "." + type] = arithmetic;
}

template <bool kHigh, bool kUseCarry>
void multiply_add_carry(Warp& w, const Instruction& i, u32 mask) {
  each_lane(mask, [&](int l) {
    const u64 product = u64(lanes<u32>(w, i.in[0])[l]) * lanes<u32>(w, i.in[1])[l];
    const u64 part = kHigh ? product >> 32 : u32(product);
    const u64 result = part + lanes<u32>(w, i.in[2])[l] + (kUseCarry ? w.carry[l] : 0);
    lanes<u32>(w, i.out[0])[l] = u32(result);
    w.carry[l] = result >> 32 & 1;
  });
}

void add_carries(Registry& r) {
  carrying(r, "add.cc", [](u64 a, u64 b, u64) { return a + b; });
  carrying(r, "addc.cc", [](u64 a, u64 b, u64 carry) { return a + b + carry; });
  carrying(r, "addc", [](u64 a, u64 b, u64 carry) { return a + b + carry; });
  carrying(r, "sub.cc", [](u64 a, u64 b, u64) { return a - b; });
  carrying(r, "subc.cc", [](u64 a, u64 b, u64 borrow) { return a - b - borrow; });
  carrying(r, "subc", [](u64 a, u64 b, u64 borrow) { return a - b - borrow; });
  r.arithmetic["mad.lo.cc.u32"] = {multiply_add_carry<false, false>, {4, 4, 4}};
  r.arithmetic["madc.lo.cc.u32"] = {multiply_add_carry<false, true>, {4, 4, 4}};
  r.arithmetic["madc.lo.u32"] = {multiply_add_carry<false, true>, {4, 4, 4}};
  r.arithmetic["mad.hi.cc.u32"] = {multiply_add_carry<true, false>, {4, 4, 4}};
  r.arithmetic["madc.hi.cc.u32"] = {multiply_add_carry<true, true>, {4, 4, 4}};
  r.arithmetic["madc.hi.u32"] = {multiply_add_carry<true, true>, {4, 4, 4}};
}

template <class T>
void add_logic(Registry& r, const std::string& type) {
  binary<T, T, T>(r, "and." + type, [](T a, T b) { return T(a & b); });
  binary<T, T, T>(r, "or." + type, [](T a, T b) { return T(a | b); });
  binary<T, T, T>(r, "xor." + type, [](T a, T b) { return T(a ^ b); });
  unary<T, T>(r, "not." + type, [](T a) { return T(~a); });
  unary<T, T>(r, "cnot." + type, [](T a) { return T(!a); });
}

// Shifts beyond the width give zeros, or copies of the sign.
template <class U, class S>
void add_shifts(Registry& r, const std::string& bits) {
  const auto right = [](U a, u32 b) { return b > kTopBit<U> ? U(0) : U(a >> b); };
  binary<U, U, u32>(r, "shl.b" + bits, [](U a, u32 b) { return b > kTopBit<U> ? U(0) : U(a << b); });
  binary<U, U, u32>(r, "shr.b" + bits, right);
  binary<U, U, u32>(r, "shr.u" + bits, right);
  binary<S, S, u32>(r, "shr.s" + bits, [](S a, u32 b) { return S(a >> std::min(b, kTopBit<S>)); });
}

void add_funnel_shifts(Registry& r) {
  ternary<u32, u32, u32, u32>(r, "shf.l.wrap.b32",
                              [](u32 a, u32 b, u32 c) { return u32((u64(b) << 32 | a) << (c & 31) >> 32); });
  ternary<u32, u32, u32, u32>(r, "shf.r.wrap.b32",
                              [](u32 a, u32 b, u32 c) { return u32((u64(b) << 32 | a) >> (c & 31)); });
  ternary<u32, u32, u32, u32>(r, "shf.l.clamp.b32",
                              [](u32 a, u32 b, u32 c) { return c >= 32 ? a : u32((u64(b) << 32 | a) << c >> 32); });
  ternary<u32, u32, u32, u32>(r, "shf.r.clamp.b32",
                              [](u32 a, u32 b, u32 c) { return c >= 32 ? b : u32((u64(b) << 32 | a) >> c); });
}

template <class U>
U reversed(U a) {
  U result = 0;
  for (u32 bit = 0; bit <= kTopBit<U>; ++bit) {
    result = U(result << 1 | (a & 1));
    a = U(a >> 1);
  }
  return result;
}

// bfe: `length` bits from `position`; a signed one is filled up with its top bit, or that of the number.
template <class T>
T bit_field(T a, u32 position, u32 length) {
  using U = std::make_unsigned_t<T>;
  position &= 255;
  length &= 255;
  const u32 top = std::min(position + length - 1, kTopBit<T>);
  const bool fill = kIsSigned<T> && length && (U(a) >> top & 1);
  U result = 0;
  for (u32 bit = 0; bit <= kTopBit<T>; ++bit) {
    const bool inside = bit < length && position + bit <= kTopBit<T>;
    result |= U(inside ? U(a) >> (position + bit) & 1 : U(fill)) << bit;
  }
  return T(result);
}

template <class U>
U insert_field(U field, U into, u32 position, u32 length) {
  position &= 255;
  length &= 255;
  for (u32 bit = 0; bit < length && position + bit <= kTopBit<U>; ++bit) {
    const u32 at = position + bit;
    into = U((into & ~(U(1) << at)) | (field >> bit & 1) << at);
  }
  return into;
}

// bfind: the highest bit that differs from the sign, ~0 if there is none.
template <class T>
u32 highest_bit(T a) {
  using U = std::make_unsigned_t<T>;
  const U value = kIsSigned<T> && a < 0 ? U(~a) : U(a);
  return value ? 63 - u32(__builtin_clzll(value)) : ~0u;
}

template <class T>
void add_bit_fields(Registry& r, const std::string& type) {
  unary<u32, T>(r, "bfind." + type, [](T a) { return highest_bit(a); });
  unary<u32, T>(r, "bfind.shiftamt." + type, [](T a) {
    const u32 bit = highest_bit(a);
    return bit == ~0u ? bit : kTopBit<T> - bit;
  });
  ternary<T, T, u32, u32>(r, "bfe." + type, [](T a, u32 b, u32 c) { return bit_field(a, b, c); });
}

void add_bits(Registry& r) {
  unary<u32, u32>(r, "brev.b32", [](u32 a) { return reversed(a); });
  unary<u64, u64>(r, "brev.b64", [](u64 a) { return reversed(a); });
  unary<u32, u32>(r, "popc.b32", [](u32 a) { return u32(__builtin_popcount(a)); });
  unary<u32, u64>(r, "popc.b64", [](u64 a) { return u32(__builtin_popcountll(a)); });
  unary<u32, u32>(r, "clz.b32", [](u32 a) { return a ? u32(__builtin_clz(a)) : 32u; });
  unary<u32, u64>(r, "clz.b64", [](u64 a) { return a ? u32(__builtin_clzll(a)) : 64u; });
  add_bit_fields<u32>(r, "u32");
  add_bit_fields<s32>(r, "s32");
  add_bit_fields<u64>(r, "u64");
  add_bit_fields<s64>(r, "s64");
  quaternary<u32, u32, u32, u32, u32>(r, "bfi.b32",
                                      [](u32 a, u32 b, u32 c, u32 d) { return insert_field(a, b, c, d); });
  quaternary<u64, u64, u64, u32, u32>(r, "bfi.b64",
                                      [](u64 a, u64 b, u32 c, u32 d) { return insert_field(a, b, c, d); });
  // lop3: bit abc of the table says what becomes of bits a, b and c
  quaternary<u32, u32, u32, u32, u32>(r, "lop3.b32", [](u32 a, u32 b, u32 c, u32 table) {
    u32 result = 0;
    for (u32 k = 0; k < 8; ++k) {
      const u32 matches = (k & 4 ? a : ~a) & (k & 2 ? b : ~b) & (k & 1 ? c : ~c);
      result |= table >> k & 1 ? matches : 0;
    }
    return result;
  });
}

template <class A, class B>
s32 dot_of_bytes(u32 a, u32 b, s32 sum) {
  for (int shift = 0; shift < 32; shift += 8) sum += s32(A(a >> shift)) * s32(B(b >> shift));
  return sum;
}

void add_24_bit_and_dots(Registry& r) {
  binary<u32, u32, u32>(r, "mul24.lo.u32", [](u32 a, u32 b) { return (a & 0xffffff) * (b & 0xffffff); });
  binary<s32, s32, s32>(r, "mul24.lo.s32", [](s32 a, s32 b) {
    const auto low24 = [](s32 v) { return s32(u32(v) << 8) >> 8; };
    return s32(u32(low24(a)) * u32(low24(b)));
  });
  ternary<s32, u32, u32, s32>(r, "dp4a.s32.s32", [](u32 a, u32 b, s32 c) { return dot_of_bytes<s8, s8>(a, b, c); });
  ternary<s32, u32, u32, s32>(r, "dp4a.u32.u32", [](u32 a, u32 b, s32 c) { return dot_of_bytes<u8, u8>(a, b, c); });
  ternary<s32, u32, u32, s32>(r, "dp4a.s32.u32", [](u32 a, u32 b, s32 c) { return dot_of_bytes<s8, u8>(a, b, c); });
  ternary<s32, u32, u32, s32>(r, "dp4a.u32.s32", [](u32 a, u32 b, s32 c) { return dot_of_bytes<u8, s8>(a, b, c); });
}

} // namespace

void register_integer(Registry& r) {
  add_arithmetic<s16>(r, "s16");
  add_arithmetic<u16>(r, "u16");
  add_arithmetic<s32>(r, "s32");
  add_arithmetic<u32>(r, "u32");
  add_arithmetic<s64>(r, "s64");
  add_arithmetic<u64>(r, "u64");
  add_high_and_wide<s16, s32>(r, "s16");
  add_high_and_wide<u16, u32>(r, "u16");
  add_high_and_wide<s32, s64>(r, "s32");
  add_high_and_wide<u32, u64>(r, "u32");
  add_high_64<s64, s128>(r, "s64");
  add_high_64<u64, u128>(r, "u64");
  binary<s32, s32, s32>(r, "add.sat.s32", [](s32 a, s32 b) { return saturated(s64(a) + b); });
  binary<s32, s32, s32>(r, "sub.sat.s32", [](s32 a, s32 b) { return saturated(s64(a) - b); });
  add_carries(r);
  add_logic<u16>(r, "b16");
  add_logic<u32>(r, "b32");
  add_logic<u64>(r, "b64");
  binary<u8, u8, u8>(r, "and.pred", [](u8 a, u8 b) { return u8(a & b); });
  binary<u8, u8, u8>(r, "or.pred", [](u8 a, u8 b) { return u8(a | b); });
  binary<u8, u8, u8>(r, "xor.pred", [](u8 a, u8 b) { return u8(a ^ b); });
  unary<u8, u8>(r, "not.pred", [](u8 a) { return u8(!a); });
  add_shifts<u16, s16>(r, "16");
  add_shifts<u32, s32>(r, "32");
  add_shifts<u64, s64>(r, "64");
  add_funnel_shifts(r);
  add_bits(r);
  add_24_bit_and_dots(r);
}

} // namespace cudasim
