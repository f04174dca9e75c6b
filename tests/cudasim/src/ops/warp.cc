// Between the lanes of a warp: called with exactly the member lanes of the operation.
#include "../binder.h"
#include "../checker.h"
#include "../report.h"
#include "arithmetic.h"

namespace cudasim {

namespace {

enum class Shuffle { kUp, kDown, kXor, kIndex };

// in[2] holds the segment (bits 8..12) and the clamp (0..4). A lane whose source is outside keeps its own value.
template <Shuffle kHow>
void shuffle(Warp& w, const Instruction& i, u32 mask) {
  constexpr u32 kNan = 0x7fc00000;
  const u32* value = lanes<u32>(w, i.in[0]);
  const u32* operand = lanes<u32>(w, i.in[1]);
  const u32* control = lanes<u32>(w, i.in[2]);
  u32 result[kLanes];
  u8 inside[kLanes];
  for (u32 left = mask; left; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    const int b = operand[lane] & 31;
    const int clamp = control[lane] & 31;
    const int segment = control[lane] >> 8 & 31;
    const int bound = (lane & segment) | (clamp & ~segment);
    int source = 0;
    switch (kHow) {
      case Shuffle::kUp:
        source = lane - b;
        break;
      case Shuffle::kDown:
        source = lane + b;
        break;
      case Shuffle::kXor:
        source = lane ^ b;
        break;
      case Shuffle::kIndex:
        source = (lane & segment) | (b & ~segment);
        break;
    }
    inside[lane] = kHow == Shuffle::kUp ? source >= bound : source <= bound;
    if (!inside[lane]) source = lane;
    result[lane] = value[source];
    if (mask >> source & 1) continue;
    report("shfl-inactive", &thread_of(w, lane), pc_of(i), kNowhere, "lane %d reads lane %d, which takes no part", lane,
           source);
    result[lane] = kNan;
  }
  u32* d = lanes<u32>(w, i.out[0]);
  each_lane(mask, [&](int lane) { d[lane] = result[lane]; });
  if (i.out[1] < 0) return;
  each_lane(mask, [&](int lane) { lanes<u8>(w, i.out[1])[lane] = inside[lane]; });
}

void bind_shuffle(Binder& b, Instruction& i, const Opcode& op) {
  b.need(5);
  i.kind = Kind::kMembers;
  const auto [value, inside] = Binder::two(b.operands[0]);
  i.out[0] = b.output(value);
  if (i.out[0] == kNone) i.out[0] = b.allocate(4);
  if (!inside.empty()) i.out[1] = b.output(inside);
  for (int k = 0; k < 3; ++k) i.in[k] = b.input(b.operands[1 + k], 4);
  i.in[kMask] = b.input(b.operands[4], 4);
  i.run = op.has("up")     ? shuffle<Shuffle::kUp>
          : op.has("down") ? shuffle<Shuffle::kDown>
          : op.has("bfly") ? shuffle<Shuffle::kXor>
                           : shuffle<Shuffle::kIndex>;
}

enum Vote : s64 { kBallot, kAll, kAny, kUniform };

void vote(Warp& w, const Instruction& i, u32 mask) {
  const bool negated = i.flags & kNegated;
  u32 set = 0;
  for (u32 left = mask; left; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    set |= u32((lanes<u8>(w, i.in[0])[lane] != 0) != negated) << lane;
  }
  if (i.immediate == kBallot) {
    each_lane(mask, [&](int lane) { lanes<u32>(w, i.out[0])[lane] = set; });
    return;
  }
  const bool result = i.immediate == kAll ? set == mask : i.immediate == kAny ? set != 0 : set == mask || set == 0;
  each_lane(mask, [&](int lane) { lanes<u8>(w, i.out[0])[lane] = result; });
}

void bind_vote(Binder& b, Instruction& i, const Opcode& op) {
  b.need(3);
  i.kind = Kind::kMembers;
  i.out[0] = b.input(b.operands[0], 4);
  i.in[0] = b.predicate(i, b.operands[1]);
  i.in[kMask] = b.input(b.operands[2], 4);
  i.immediate = op.has("ballot") ? kBallot : op.has("all") ? kAll : op.has("any") ? kAny : kUniform;
  i.run = vote;
}

// match.any: the lanes that have the same value; match.all: all of them, or none
template <bool kMatchAll>
void match(Warp& w, const Instruction& i, u32 mask) {
  u32 equal[kLanes];
  bool all = true;
  for (u32 left = mask; left; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    const u64 value = load_register(w, i.in[0], i.size, lane);
    equal[lane] = 0;
    for (u32 rest = mask; rest; rest &= rest - 1) {
      const int other = __builtin_ctz(rest);
      if (load_register(w, i.in[0], i.size, other) == value) equal[lane] |= 1u << other;
    }
    all &= equal[lane] == mask;
  }
  each_lane(mask, [&](int lane) {
    lanes<u32>(w, i.out[0])[lane] = !kMatchAll ? equal[lane] : all ? mask : 0;
    if (i.out[1] >= 0) lanes<u8>(w, i.out[1])[lane] = all;
  });
}

void bind_match(Binder& b, Instruction& i, const Opcode& op) {
  b.need(3);
  i.kind = Kind::kMembers;
  i.size = u8(op.type_size);
  const auto [lanes_out, all] = Binder::two(b.operands[0]);
  i.out[0] = b.input(lanes_out, 4);
  if (!all.empty()) i.out[1] = b.input(all, 1);
  i.in[0] = b.input(b.operands[1], i.size);
  i.in[kMask] = b.input(b.operands[2], 4);
  i.run = op.has("all") ? match<true> : match<false>;
}

template <class T, class Op>
void reduce(Warp& w, const Instruction& i, u32 mask) {
  const T* value = lanes<T>(w, i.in[0]);
  T result = value[__builtin_ctz(mask)];
  for (u32 left = mask & (mask - 1); left; left &= left - 1) result = Op{}(result, value[__builtin_ctz(left)]);
  each_lane(mask, [&](int lane) { lanes<T>(w, i.out[0])[lane] = result; });
}

template <class T, class Op>
Operation reduction(Op) {
  return reduce<T, Op>;
}

Operation find_reduction(const Opcode& op) {
  const bool is_signed = op.type() == "s32";
  if (op.type() != "b32" && op.type() != "u32" && !is_signed) return nullptr;
  if (op.has("add")) return reduction<u32>([](u32 a, u32 b) { return a + b; });
  if (op.has("and")) return reduction<u32>([](u32 a, u32 b) { return a & b; });
  if (op.has("or")) return reduction<u32>([](u32 a, u32 b) { return a | b; });
  if (op.has("xor")) return reduction<u32>([](u32 a, u32 b) { return a ^ b; });
  if (op.has("min") && is_signed) return reduction<s32>([](s32 a, s32 b) { return a < b ? a : b; });
  if (op.has("max") && is_signed) return reduction<s32>([](s32 a, s32 b) { return a > b ? a : b; });
  if (op.has("min")) return reduction<u32>([](u32 a, u32 b) { return a < b ? a : b; });
  if (op.has("max")) return reduction<u32>([](u32 a, u32 b) { return a > b ? a : b; });
  return nullptr;
}

void bind_reduce(Binder& b, Instruction& i, const Opcode& op) {
  i.run = find_reduction(op);
  if (!i.run) b.unknown();
  b.need(3);
  i.kind = Kind::kMembers;
  i.out[0] = b.input(b.operands[0], 4);
  i.in[0] = b.input(b.operands[1], 4);
  i.in[kMask] = b.input(b.operands[2], 4);
}

void elect(Warp& w, const Instruction& i, u32 mask) {
  const int leader = __builtin_ctz(mask);
  each_lane(mask, [&](int lane) {
    if (i.out[0] >= 0) lanes<u32>(w, i.out[0])[lane] = u32(leader);
    lanes<u8>(w, i.out[1])[lane] = lane == leader;
  });
}

void bind_elect(Binder& b, Instruction& i, const Opcode&) {
  b.need(2);
  i.kind = Kind::kMembers;
  const auto [leader, is_leader] = Binder::two(b.operands[0]);
  i.out[0] = b.output(leader);
  i.out[1] = b.input(is_leader, 1);
  i.in[kMask] = b.input(b.operands[1], 4);
  i.run = elect;
}

void active_mask(Warp& w, const Instruction& i, u32 mask) {
  each_lane(mask, [&](int lane) { lanes<u32>(w, i.out[0])[lane] = mask; });
}

void bind_active_mask(Binder& b, Instruction& i, const Opcode&) {
  b.need(1);
  i.out[0] = b.input(b.operands[0], 4);
  i.run = active_mask;
}

} // namespace

void register_warp(Registry& r) {
  r.add("shfl", bind_shuffle);
  r.add("vote", bind_vote);
  r.add("match", bind_match);
  r.add("redux", bind_reduce);
  r.add("elect", bind_elect);
  r.add("activemask", bind_active_mask);
}

} // namespace cudasim
