// setp, set and selp.
#include <cstring>

#include "../binder.h"
#include "arithmetic.h"
#include "numbers.h"

namespace cudasim {

namespace {

template <class T>
void add_comparisons(Registry& r, const std::string& type) {
  binary<u8, T, T>(r, "setp.eq." + type, [](T a, T b) { return u8(a == b); });
  binary<u8, T, T>(r, "setp.ne." + type, [](T a, T b) { return u8(a != b); });
  binary<u8, T, T>(r, "setp.lt." + type, [](T a, T b) { return u8(a < b); });
  binary<u8, T, T>(r, "setp.le." + type, [](T a, T b) { return u8(a <= b); });
  binary<u8, T, T>(r, "setp.gt." + type, [](T a, T b) { return u8(a > b); });
  binary<u8, T, T>(r, "setp.ge." + type, [](T a, T b) { return u8(a >= b); });
}

template <class T>
void add_unsigned(Registry& r, const std::string& type) {
  binary<u8, T, T>(r, "setp.lo." + type, [](T a, T b) { return u8(a < b); });
  binary<u8, T, T>(r, "setp.ls." + type, [](T a, T b) { return u8(a <= b); });
  binary<u8, T, T>(r, "setp.hi." + type, [](T a, T b) { return u8(a > b); });
  binary<u8, T, T>(r, "setp.hs." + type, [](T a, T b) { return u8(a >= b); });
}

// With a NaN the plain comparisons are false, also "ne"; those in u are true.
template <class T>
void add_unordered(Registry& r, const std::string& type) {
  binary<u8, T, T>(r, "setp.ne." + type, [](T a, T b) { return u8(a < b || a > b); });
  binary<u8, T, T>(r, "setp.equ." + type, [](T a, T b) { return u8(!(a < b || a > b)); });
  binary<u8, T, T>(r, "setp.neu." + type, [](T a, T b) { return u8(a != b); });
  binary<u8, T, T>(r, "setp.ltu." + type, [](T a, T b) { return u8(!(a >= b)); });
  binary<u8, T, T>(r, "setp.leu." + type, [](T a, T b) { return u8(!(a > b)); });
  binary<u8, T, T>(r, "setp.gtu." + type, [](T a, T b) { return u8(!(a <= b)); });
  binary<u8, T, T>(r, "setp.geu." + type, [](T a, T b) { return u8(!(a < b)); });
  binary<u8, T, T>(r, "setp.nan." + type, [](T a, T b) { return u8(a != a || b != b); });
  binary<u8, T, T>(r, "setp.num." + type, [](T a, T b) { return u8(a == a && b == b); });
}

template <class T>
void add_select(Registry& r, const std::string& type) {
  ternary<T, T, T, u8>(r, "selp." + type, [](T a, T b, u8 p) { return p ? a : b; });
}

enum Combination : s64 { kAnd, kOr, kXor };

u8 combine(s64 how, u8 a, u8 b) { return how == kAnd ? a & b : how == kOr ? a | b : a ^ b; }

// setp with a second predicate (the opposite) or combined with a third.
void compare(Warp& w, const Instruction& i, u32 mask) {
  u8 with[kLanes];
  memset(with, 1, sizeof with);
  if (i.in[2] >= 0) memcpy(with, lanes<u8>(w, i.in[2]), sizeof with);
  i.inner(w, i, mask);
  u8* first = lanes<u8>(w, i.out[0]);
  u8* second = i.out[1] >= 0 ? lanes<u8>(w, i.out[1]) : nullptr;
  each_lane(mask, [&](int lane) {
    const u8 result = first[lane];
    const u8 other = i.flags & kNegated ? !with[lane] : with[lane];
    first[lane] = combine(i.immediate, result, other);
    if (second) second[lane] = combine(i.immediate, !result, other);
  });
}

Registry& comparisons() {
  static Registry all;
  return all;
}

const Arithmetic* find_comparison(const Opcode& op) {
  const auto it = comparisons().arithmetic.find("setp." + op.parts[1] + "." + op.type());
  return it == comparisons().arithmetic.end() ? nullptr : &it->second;
}

void bind_setp(Binder& b, Instruction& i, const Opcode& op) {
  const Arithmetic* comparison = find_comparison(op);
  if (!comparison) b.unknown();
  b.need(3);
  const auto [first, second] = Binder::two(b.operands[0]);
  i.out[0] = b.output(first);
  if (i.out[0] == kNone) i.out[0] = b.allocate(1);
  if (!second.empty()) i.out[1] = b.output(second);
  i.in[0] = b.input(b.operands[1], op.type_size);
  i.in[1] = b.input(b.operands[2], op.type_size);
  i.run = comparison->run;
  const bool combined = op.has("and") || op.has("or") || op.has("xor");
  if (combined) {
    b.need(4);
    i.in[2] = b.predicate(i, b.operands[3]);
    i.immediate = op.has("and") ? kAnd : op.has("or") ? kOr : kXor;
  }
  if (!combined && i.out[1] < 0) return;
  i.inner = i.run;
  i.run = compare;
}

} // namespace

void register_compare(Registry& r) {
  Registry& c = comparisons();
  add_comparisons<s16>(c, "s16");
  add_comparisons<u16>(c, "u16");
  add_comparisons<u16>(c, "b16");
  add_comparisons<s32>(c, "s32");
  add_comparisons<u32>(c, "u32");
  add_comparisons<u32>(c, "b32");
  add_comparisons<s64>(c, "s64");
  add_comparisons<u64>(c, "u64");
  add_comparisons<u64>(c, "b64");
  add_comparisons<f32>(c, "f32");
  add_comparisons<f64>(c, "f64");
  add_comparisons<Half>(c, "f16");
  add_comparisons<BFloat>(c, "bf16");
  add_unsigned<u16>(c, "u16");
  add_unsigned<u32>(c, "u32");
  add_unsigned<u64>(c, "u64");
  add_unordered<f32>(c, "f32");
  add_unordered<f64>(c, "f64");
  add_unordered<Half>(c, "f16");
  add_unordered<BFloat>(c, "bf16");
  r.add("setp", bind_setp);
  for (const char* type : {"b16", "u16", "s16", "f16", "bf16"}) add_select<u16>(r, type);
  for (const char* type : {"b32", "u32", "s32", "f32", "f16x2", "bf16x2"}) add_select<u32>(r, type);
  for (const char* type : {"b64", "u64", "s64", "f64"}) add_select<u64>(r, type);
}

} // namespace cudasim
