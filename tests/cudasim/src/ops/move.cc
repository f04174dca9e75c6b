// mov in its forms, cvta, prmt, and what else carries bits from here to there.
#include <algorithm>

#include "../binder.h"
#include "../memory.h"
#include "arithmetic.h"

namespace cudasim {

namespace {

template <class T>
void move(Warp& w, const Instruction& i, u32 mask) {
  T* d = lanes<T>(w, i.out[0]);
  const T* a = lanes<T>(w, i.in[0]);
  each_lane(mask, [=](int l) { d[l] = a[l]; });
}

Operation move_of(int size) {
  switch (size) {
    case 1:
      return move<u8>;
    case 2:
      return move<u16>;
    case 4:
      return move<u32>;
    default:
      return move<u64>;
  }
}

// mov.b32 d, {low, high}
void pack(Warp& w, const Instruction& i, u32 mask) {
  each_lane(mask, [&](int lane) {
    u64 value = 0;
    for (int k = 0; k < i.count; ++k) value |= load_register(w, i.in[k], i.size, lane) << (8 * i.size * k);
    store_register(w, i.out[0], i.size * i.count, lane, value);
  });
}

// mov.b32 {low, high}, a
void unpack(Warp& w, const Instruction& i, u32 mask) {
  each_lane(mask, [&](int lane) {
    const u64 value = load_register(w, i.in[0], i.size * i.count, lane);
    for (int k = 0; k < i.count; ++k)
      if (i.out[k] >= 0) store_register(w, i.out[k], i.size, lane, value >> (8 * i.size * k));
  });
}

void local_address(Warp& w, const Instruction& i, u32 mask) {
  u64* d = lanes<u64>(w, i.out[0]);
  const u64 first = u64(w.local) + u64(i.immediate);
  const u64 bytes = running->local_bytes;
  each_lane(mask, [=](int l) { d[l] = first + u64(l) * bytes; });
}

// Time is the number of warp instructions so far.
void clock(Warp& w, const Instruction& i, u32 mask) {
  each_lane(mask, [&](int lane) { store_register(w, i.out[0], i.size, lane, executed >> i.immediate); });
}

bool is_clock(std::string_view name) {
  static const std::string_view kClocks[] = {"%clock",       "%clock64",        "%clock_hi",
                                             "%globaltimer", "%globaltimer_lo", "%globaltimer_hi"};
  return std::find(std::begin(kClocks), std::end(kClocks), name) != std::end(kClocks);
}

void bind_move(Binder& b, Instruction& i, const Opcode& op) {
  b.need(2);
  const std::string_view to = b.operands[0];
  const std::string_view from = b.operands[1];
  i.size = u8(op.type_size);
  if (from[0] == '{') {
    i.count = u8(std::count(from.begin(), from.end(), ',') + 1);
    i.size = u8(op.type_size / i.count);
    i.out[0] = b.input(to, 8);
    b.vector(i.in, from, i.size, kMaxInputs);
    i.run = pack;
  } else if (to[0] == '{') {
    i.count = u8(std::count(to.begin(), to.end(), ',') + 1);
    i.size = u8(op.type_size / i.count);
    b.vector(i.out, to, i.size, 4);
    i.in[0] = b.input(from, 8);
    i.run = unpack;
  } else if (const Symbol* local = b.find_local(from)) {
    i.out[0] = b.input(to, 8);
    i.immediate = local->offset;
    i.run = local_address;
  } else if (is_clock(from)) {
    i.out[0] = b.input(to, 8);
    i.immediate = from.find("hi") == from.npos ? 0 : 32;
    i.run = clock;
  } else {
    i.out[0] = b.input(to, 8);
    i.in[0] = b.input(from, op.type_size);
    i.run = move_of(op.type_size);
  }
}

// Addresses of global, constant, local and parameter memory are generic ones; those of shared memory are offsets.
void bind_cvta(Binder& b, Instruction& i, const Opcode& op) {
  b.need(2);
  if (op.type() != "u64") b.unknown();
  i.out[0] = b.input(b.operands[0], 8);
  i.in[0] = b.input(b.operands[1], 8);
  i.run = move<u64>;
  if (!op.has("shared")) return;
  const bool to_shared = op.has("to");
  i.run = to_shared ? +[](Warp& w, const Instruction& i, u32 mask) {
    u64* d = lanes<u64>(w, i.out[0]);
    const u64* a = lanes<u64>(w, i.in[0]);
    each_lane(mask, [=](int l) { d[l] = a[l] - u64(shared.base); });
  } : +[](Warp& w, const Instruction& i, u32 mask) {
    u64* d = lanes<u64>(w, i.out[0]);
    const u64* a = lanes<u64>(w, i.in[0]);
    each_lane(mask, [=](int l) { d[l] = a[l] + u64(shared.base); });
  };
}

enum Space : s64 { kInShared, kInLocal, kInGlobal };

void is_in_space(Warp& w, const Instruction& i, u32 mask) {
  each_lane(mask, [&](int lane) {
    const u64 address = lanes<u64>(w, i.in[0])[lane];
    const bool in_shared = shared.has(address);
    const bool in_global = device.has(address);
    lanes<u8>(w, i.out[0])[lane] = i.immediate == kInShared  ? in_shared
                                   : i.immediate == kInLocal ? !in_shared && !in_global
                                                             : in_global;
  });
}

void bind_isspacep(Binder& b, Instruction& i, const Opcode& op) {
  b.need(2);
  i.out[0] = b.input(b.operands[0], 1);
  i.in[0] = b.input(b.operands[1], 8);
  i.immediate = op.has("shared") ? kInShared : op.has("local") ? kInLocal : kInGlobal;
  i.run = is_in_space;
}

// prmt: four bytes out of eight, by a nibble each (bit 3: its sign only), or in one of six fixed orders.
enum Permutation : s64 { kByNibbles, kForward4, kBackward4, kReplicate8, kEdgeLeft, kEdgeRight, kReplicate16 };

u32 permuted(u64 bytes, u32 selector, s64 mode) {
  u32 result = 0;
  for (u32 k = 0; k < 4; ++k) {
    const u32 nibble = selector >> (4 * k) & 15;
    const u32 first = selector & 3;
    u32 index = 0;
    switch (mode) {
      case kForward4:
        index = first + k;
        break;
      case kBackward4:
        index = (first - k) & 7;
        break;
      case kReplicate8:
        index = first;
        break;
      case kEdgeLeft:
        index = std::max(first, k);
        break;
      case kEdgeRight:
        index = std::min(first, k);
        break;
      case kReplicate16:
        index = (selector & 1) * 2 + (k & 1);
        break;
      default:
        index = nibble & 7;
    }
    u32 byte = u32(bytes >> (8 * index)) & 255;
    if (mode == kByNibbles && nibble & 8) byte = byte & 128 ? 255 : 0;
    result |= byte << (8 * k);
  }
  return result;
}

void permute(Warp& w, const Instruction& i, u32 mask) {
  u32* d = lanes<u32>(w, i.out[0]);
  const u32* a = lanes<u32>(w, i.in[0]);
  const u32* b = lanes<u32>(w, i.in[1]);
  const u32* c = lanes<u32>(w, i.in[2]);
  each_lane(mask, [=, mode = i.immediate](int l) { d[l] = permuted(a[l] | u64(b[l]) << 32, c[l], mode); });
}

void bind_permute(Binder& b, Instruction& i, const Opcode& op) {
  b.need(4);
  i.out[0] = b.input(b.operands[0], 4);
  for (int k = 0; k < 3; ++k) i.in[k] = b.input(b.operands[1 + k], 4);
  i.immediate = op.has("f4e")    ? kForward4
                : op.has("b4e")  ? kBackward4
                : op.has("rc8")  ? kReplicate8
                : op.has("ecl")  ? kEdgeLeft
                : op.has("ecr")  ? kEdgeRight
                : op.has("rc16") ? kReplicate16
                                 : kByNibbles;
  i.run = permute;
}

void bind_policy(Binder& b, Instruction& i, const Opcode&) {
  b.need(1);
  i.out[0] = b.input(b.operands[0], 8);
  i.run = +[](Warp& w, const Instruction& i, u32 mask) {
    each_lane(mask, [&](int lane) { lanes<u64>(w, i.out[0])[lane] = 0; });
  };
}

} // namespace

void register_move(Registry& r) {
  r.add("mov", bind_move);
  r.add("cvta", bind_cvta);
  r.add("isspacep", bind_isspacep);
  r.add("prmt", bind_permute);
  r.add("createpolicy", bind_policy);
}

} // namespace cudasim
