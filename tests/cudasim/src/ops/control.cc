// Branches, barriers, traps, and the functions of the device runtime that kernels call: assert and printf.
#include <cstdio>
#include <cstring>
#include <string>

#include "../binder.h"
#include "../checker.h"
#include "../memory.h"
#include "../report.h"
#include "arithmetic.h"
#include "numbers.h"

namespace cudasim {

namespace {

void nothing(Warp&, const Instruction&, u32) {}

void bind_nothing(Binder&, Instruction& i, const Opcode&) { i.run = nothing; }

void bind_branch(Binder& b, Instruction& i, const Opcode&) {
  b.need(1);
  i.kind = Kind::kBranch;
  b.branch_to(b.operands[0]);
}

void bind_table_branch(Binder& b, Instruction& i, const Opcode&) {
  b.need(2);
  i.kind = Kind::kBranch;
  i.in[0] = b.input(b.operands[0], 4);
  b.branch_by(b.operands[1]);
}

void bind_exit(Binder&, Instruction& i, const Opcode&) { i.kind = Kind::kExit; }

void warp_barrier(Warp& w, const Instruction&, u32 mask) { new_warp_epoch(w, mask); }

// bar.sync a{, threads}; bar.red.op d, a{, threads}, predicate; bar.arrive a, threads
void bind_barrier(Binder& b, Instruction& i, const Opcode& op) {
  if (op.has("cluster")) b.unknown();
  b.need(1);
  if (op.has("warp")) {
    i.kind = Kind::kMembers;
    i.in[kMask] = b.input(b.operands[0], 4);
    i.run = warp_barrier;
    return;
  }
  i.kind = Kind::kBarrier;
  i.immediate = op.has("arrive") ? kArrive : kSync;
  size_t next = 0;
  size_t end = b.operands.size();
  if (op.has("red")) {
    b.need(3);
    i.immediate = op.has("popc") ? kReduceCount : op.has("and") ? kReduceAnd : kReduceOr;
    i.out[0] = b.input(b.operands[next++], 4);
    i.in[2] = b.predicate(i, b.operands[--end]);
  }
  i.in[0] = b.input(b.operands[next++], 4);
  if (next < end) i.in[1] = b.input(b.operands[next], 4);
}

void trap(Warp& w, const Instruction& i, u32 mask) {
  report("trap", &thread_of(w, __builtin_ctz(mask)), pc_of(i), kNowhere, "the kernel executed trap");
  throw Fault{kLaunchFailed};
}

void bind_trap(Binder&, Instruction& i, const Opcode&) { i.run = trap; }

// ---- calls: in[k] and in[k + kMaxArguments] are offset and size of the argument's slot ----

constexpr int kMaxArguments = 5;

u64 argument(Warp& w, const Instruction& i, int k, int lane) {
  const int size = i.in[k + kMaxArguments];
  u64 value = 0;
  memcpy(&value, w.registers + i.in[k] + lane * size, std::min<size_t>(size, sizeof value));
  return value;
}

std::string device_string(u64 address) {
  constexpr size_t kMost = 1000;
  std::string text;
  for (; device.has(address) && text.size() < kMost; ++address) {
    const char c = *reinterpret_cast<const char*>(address);
    if (!c) break;
    text += c;
  }
  return text;
}

// __assertfail(message, file, line, function, size of a character)
void call_assert(Warp& w, const Instruction& i, u32 mask) {
  const int lane = __builtin_ctz(mask);
  auto text = [&](int k) { return device_string(argument(w, i, k, lane)); };
  report("assert", &thread_of(w, lane), pc_of(i), kNowhere, "%s:%u: %s: assertion `%s` failed", text(1).c_str(),
         u32(argument(w, i, 2, lane)), text(3).c_str(), text(0).c_str());
  throw Fault{kAssert};
}

// The arguments of a printf lie one after another, each aligned to its size of 4 or 8 bytes.
class Arguments {
 public:
  explicit Arguments(const u8* bytes) : bytes(bytes) {}
  u64 next(bool wide) {
    const size_t size = wide ? 8 : 4;
    offset = (offset + size - 1) / size * size;
    u64 value = 0;
    memcpy(&value, bytes + offset, size);
    offset += size;
    return value;
  }

 private:
  const u8* bytes;
  size_t offset = 0;
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
std::string formatted(const std::string& specification, Arguments& arguments) {
  const char conversion = specification.back();
  char text[256];
  if (conversion == '%') return "%";
  if (conversion == 's') return device_string(arguments.next(true));
  if (strchr("eEfFgGaA", conversion)) {
    snprintf(text, sizeof text, specification.c_str(), bits_as<f64>(arguments.next(true)));
    return text;
  }
  if (conversion == 'p' || specification.find('l') != specification.npos ||
      specification.find('z') != specification.npos) {
    snprintf(text, sizeof text, specification.c_str(), arguments.next(true));
  } else {
    snprintf(text, sizeof text, specification.c_str(), u32(arguments.next(false)));
  }
  return text;
}
#pragma GCC diagnostic pop

std::string printed(const std::string& format, Arguments arguments) {
  std::string out;
  for (size_t k = 0; k < format.size(); ++k) {
    if (format[k] != '%') {
      out += format[k];
      continue;
    }
    const size_t end = format.find_first_of("diouxXeEfFgGaAcspn%", k + 1);
    if (end == format.npos) break;
    out += formatted(format.substr(k, end - k + 1), arguments);
    k = end;
  }
  return out;
}

// vprintf(format, arguments)
void call_printf(Warp& w, const Instruction& i, u32 mask) {
  for (; mask; mask &= mask - 1) {
    const int lane = __builtin_ctz(mask);
    const Arguments arguments(reinterpret_cast<const u8*>(argument(w, i, 1, lane)));
    const std::string text = printed(device_string(argument(w, i, 0, lane)), arguments);
    fwrite(text.data(), 1, text.size(), stdout);
    if (i.out[0] >= 0) lanes<u32>(w, i.out[0])[lane] = 1;
  }
  fflush(stdout);
}

std::string_view between_parentheses(std::string_view text) { return trim(text.substr(1, text.rfind(')') - 1)); }

// call (result), function, (arguments)
void bind_call(Binder& b, Instruction& i, const Opcode&) {
  std::string_view name;
  std::string_view result;
  std::string_view list;
  for (std::string_view operand : b.operands) {
    if (operand[0] != '(') {
      if (name.empty()) name = operand;
    } else {
      (name.empty() ? result : list) = between_parentheses(operand);
    }
  }
  if (name != "__assertfail" && name != "vprintf") b.unknown("a device function that is not inlined:");
  std::vector<std::string_view> arguments;
  split(list, arguments);
  if (arguments.size() > kMaxArguments) b.unknown("too many arguments in");
  for (size_t k = 0; k < arguments.size(); ++k) {
    const Symbol* slot = b.find_slot(arguments[k]);
    if (!slot) b.unknown("an argument that is no .param variable in");
    i.in[k] = slot->offset;
    i.in[k + kMaxArguments] = slot->size;
  }
  if (const Symbol* slot = b.find_slot(result)) i.out[0] = slot->offset;
  i.run = name == "vprintf" ? call_printf : call_assert;
}

} // namespace

void register_control(Registry& r) {
  r.add("bra", bind_branch);
  r.add("brx", bind_table_branch);
  r.add("ret", bind_exit);
  r.add("exit", bind_exit);
  r.add("bar", bind_barrier);
  r.add("barrier", bind_barrier);
  r.add("trap", bind_trap);
  r.add("brkpt", bind_trap);
  r.add("call", bind_call);
  for (const char* hint :
       {"griddepcontrol", "nanosleep", "prefetch", "prefetchu", "discard", "applypriority", "pmevent"})
    r.add(hint, bind_nothing);
}

} // namespace cudasim
