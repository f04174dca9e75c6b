// atom and red: lane after lane, in the order of lanes.
#include <cstring>

#include "../binder.h"
#include "../config.h"
#include "../memory.h"
#include "access.h"
#include "arithmetic.h"
#include "numbers.h"

namespace cudasim {

namespace {

// in[1]: operand; in[2]: what cas compares with is in[1], what it stores in[2]
template <class T, class Op>
void atomic(Warp& w, const Instruction& i, u32 mask) {
  const Reach reach(w, i, mask, sizeof(T));
  if (config.profile) count_access(i, reach);
  if (i.immediate2 && config.check) note_fence(w, mask); // .release, .acq_rel
  u32 allowed = permitted(w, i.range, i, reach, i.flags, Access::kAtomic);
  const T* operand = lanes<T>(w, i.in[1]);
  const T* stored = i.in[2] >= 0 ? lanes<T>(w, i.in[2]) : operand;
  for (; allowed; allowed &= allowed - 1) {
    const int lane = __builtin_ctz(allowed);
    T* memory = reinterpret_cast<T*>(reach.at[lane]);
    if (config.check && device.has(reach.at[lane])) note_atomic(thread_of(w, lane), reach.at[lane]);
    const T old = *memory;
    *memory = Op{}(old, operand[lane], stored[lane]);
    if (i.out[0] >= 0) lanes<T>(w, i.out[0])[lane] = old;
  }
}

std::unordered_map<std::string, Operation>& operations() {
  static std::unordered_map<std::string, Operation> all;
  return all;
}

template <class T, class Op>
void add(const std::string& name, Op) {
  operations()[name] = atomic<T, Op>;
}

template <class T>
void add_ordered(const std::string& type) {
  add<T>("add." + type, [](T a, T b, T) { return T(a + b); });
  add<T>("min." + type, [](T a, T b, T) { return a < b ? a : b; });
  add<T>("max." + type, [](T a, T b, T) { return a > b ? a : b; });
}

template <class T>
void add_bits(const std::string& type) {
  add<T>("and." + type, [](T a, T b, T) { return T(a & b); });
  add<T>("or." + type, [](T a, T b, T) { return T(a | b); });
  add<T>("xor." + type, [](T a, T b, T) { return T(a ^ b); });
  add<T>("exch." + type, [](T, T b, T) { return b; });
  add<T>("cas." + type, [](T a, T b, T c) { return a == b ? c : a; });
}

// inc and dec wrap at the operand.
template <class T>
void add_counters(const std::string& type) {
  add<T>("inc." + type, [](T a, T b, T) { return a >= b ? T(0) : T(a + 1); });
  add<T>("dec." + type, [](T a, T b, T) { return a == 0 || a > b ? b : T(a - 1); });
}

template <class H>
void add_short(const std::string& type) {
  add<H>("add." + type, [](H a, H b, H) { return H::of(f64(a) + f64(b)); });
  add<Pair<H>>("add." + type + "x2", [](Pair<H> a, Pair<H> b, Pair<H>) {
    return Pair<H>{H::of(f64(a.low) + f64(b.low)), H::of(f64(a.high) + f64(b.high))};
  });
  add<Pair<H>>("min." + type + "x2", [](Pair<H> a, Pair<H> b, Pair<H>) {
    return Pair<H>{H::of(number_min<f64>(a.low, b.low)), H::of(number_min<f64>(a.high, b.high))};
  });
  add<Pair<H>>("max." + type + "x2", [](Pair<H> a, Pair<H> b, Pair<H>) {
    return Pair<H>{H::of(number_max<f64>(a.low, b.low)), H::of(number_max<f64>(a.high, b.high))};
  });
}

Operation find_operation(const Opcode& op) {
  for (const char* name : {"add", "min", "max", "exch", "cas", "and", "or", "xor", "inc", "dec"}) {
    if (!op.has(name)) continue;
    const auto it = operations().find(name + ("." + op.type()));
    return it == operations().end() ? nullptr : it->second;
  }
  return nullptr;
}

void bind_atomic(Binder& b, Instruction& i, const Opcode& op) {
  const bool returns = op.parts[0] == "atom";
  i.run = find_operation(op);
  if (!i.run || op.has("v2") || op.has("v4")) b.unknown();
  b.need(returns ? 3 : 2);
  i.size = u8(op.type_size);
  if (returns) i.out[0] = b.output(b.operands[0]);
  b.address(i, b.operands[returns], op.space());
  i.in[1] = b.input(b.operands[1 + returns], i.size);
  if (op.has("cas")) {
    b.need(4);
    i.in[2] = b.input(b.operands[3], i.size);
  }
  i.immediate2 = op.has("release") || op.has("acq_rel");
}

} // namespace

void register_atomic(Registry& r) {
  add_ordered<u32>("u32");
  add_ordered<s32>("s32");
  add_ordered<u64>("u64");
  add_ordered<s64>("s64");
  add_ordered<f32>("f32");
  add_ordered<f64>("f64");
  add_bits<u16>("b16");
  add_bits<u32>("b32");
  add_bits<u64>("b64");
  add_counters<u32>("u32");
  add_short<Half>("f16");
  add_short<BFloat>("bf16");
  r.add("atom", bind_atomic);
  r.add("red", bind_atomic);
}

} // namespace cudasim
