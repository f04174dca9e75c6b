#include "opcodes.h"

#include <algorithm>
#include <cfenv>
#include <charconv>
#include <memory>

#include "binder.h"

namespace cudasim {

bool Opcode::has(std::string_view part) const { return std::find(parts.begin(), parts.end(), part) != parts.end(); }

std::string Opcode::space() const {
  for (const char* space : {"shared", "global", "local", "param", "const"})
    if (has(space)) return space;
  return "";
}

int size_of_type(std::string_view type) {
  if (type == "pred") return 1;
  if (type == "bf16") return 2;
  if (type == "f16x2" || type == "bf16x2" || type == "tf32") return 4;
  const size_t digit = type.find_first_of("0123456789");
  if (digit == type.npos) return 4;
  int bits = 0;
  std::from_chars(type.data() + digit, type.data() + type.size(), bits);
  return bits >= 8 ? bits / 8 : 4;
}

namespace {

const Registry& registry() {
  static const Registry all = [] {
    Registry r;
    register_integer(r);
    register_float(r);
    register_half(r);
    register_compare(r);
    register_convert(r);
    register_move(r);
    register_memory(r);
    register_async(r);
    register_atomic(r);
    register_warp(r);
    register_matrix(r);
    register_control(r);
    return r;
  }();
  return all;
}

// ".shared::cta" and ".param::entry" are the plain spaces; "::" elsewhere is a hint or a form of its own.
std::string without_scope(const std::string& part) {
  const size_t colons = part.find("::");
  const std::string before = part.substr(0, colons);
  return colons != part.npos && (before == "shared" || before == "param") ? before : part;
}

std::vector<std::string> split_at_dots(std::string_view name) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t dot = std::min(name.find('.', begin), name.size());
    parts.push_back(without_scope(std::string(name.substr(begin, dot - begin))));
    begin = dot + 1;
  }
  return parts;
}

// Rounding modes and saturation become wrappers; what the simulator does anyway (nearest, no flush) is dropped.
void find_arithmetic(Opcode& op) {
  static const std::unordered_map<std::string, int> kModes = {
      {"rz", FE_TOWARDZERO}, {"rm", FE_DOWNWARD}, {"rp", FE_UPWARD}};
  const bool floating = op.type()[0] == 'f' || op.type()[0] == 'b';
  std::string key;
  for (const std::string& part : op.parts) {
    if (part == "rn" || part == "approx" || part == "full" || part == "ftz" || part == "noftz" || part == "uni")
      continue;
    if (floating && part == "sat") {
      op.saturates = true;
    } else if (const auto mode = kModes.find(part); mode != kModes.end()) {
      op.rounding = mode->second;
    } else {
      key += (key.empty() ? "" : ".") + part;
    }
  }
  const auto it = registry().arithmetic.find(key);
  if (it != registry().arithmetic.end()) op.arithmetic = &it->second;
}

} // namespace

const Opcode* find_opcode(std::string_view name) {
  static std::unordered_map<std::string_view, std::unique_ptr<Opcode>> known;
  if (const auto it = known.find(name); it != known.end()) return it->second.get();
  auto op = std::make_unique<Opcode>();
  op->name = name;
  op->parts = split_at_dots(name);
  op->type_size = size_of_type(op->type());
  const auto bind = registry().binds.find(op->parts[0]);
  if (bind != registry().binds.end()) {
    op->bind = bind->second;
  } else {
    find_arithmetic(*op);
    op->bind = bind_arithmetic;
  }
  const std::string_view key = op->name;
  return (known[key] = std::move(op)).get();
}

} // namespace cudasim
