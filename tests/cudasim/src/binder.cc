#include "binder.h"

#include <algorithm>
#include <cfenv>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "execute.h"
#include "memory.h"

namespace cudasim {

std::string_view trim(std::string_view text) {
  auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

void split(std::string_view text, std::vector<std::string_view>& parts) {
  parts.clear();
  int depth = 0;
  size_t begin = 0;
  for (size_t k = 0; k < text.size(); ++k) {
    const char c = text[k];
    depth += c == '{' || c == '[' || c == '(';
    depth -= c == '}' || c == ']' || c == ')';
    if (c != ',' || depth) continue;
    parts.push_back(trim(text.substr(begin, k - begin)));
    begin = k + 1;
  }
  const std::string_view last = trim(text.substr(begin));
  if (!last.empty() || !parts.empty()) parts.push_back(last);
}

// Decimal, 0x…, or negative; 64 bits, unsigned ones above 2^63 wrap.
s64 parse_integer(std::string_view text) {
  const std::string copy(trim(text));
  return copy[0] == '-' ? strtoll(copy.c_str(), nullptr, 0) : s64(strtoull(copy.c_str(), nullptr, 0));
}

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_number(std::string_view text) { return is_digit(text[0]) || (text[0] == '-' && text.size() > 1); }

// 0f3F800000 and 0d3FF0000000000000 are the bits of a float and of a double.
bool is_float_literal(std::string_view text, char kind) {
  return text.size() > 2 && text[0] == '0' && (text[1] == kind || text[1] == kind - 'a' + 'A');
}

u64 hexadecimal(std::string_view digits) { return strtoull(std::string(digits).c_str(), nullptr, 16); }

std::string_view inside(std::string_view text) { // what is between the outer brackets
  return trim(text.substr(1, text.find_last_of("]})") - 1));
}

} // namespace

Binder::Binder(Module& module, Kernel& kernel) : kernel(kernel), module(module) {
  kernel.register_bytes = kSpecialCount * kSpecialBytes;
  open_scope();
}

void Binder::need(size_t count) const {
  if (operands.size() < count) unknown("too few operands for");
}

void Binder::unknown(const char* why) const { throw Unsupported{std::string(why) + " " + std::string(mnemonic)}; }

int Binder::allocate(int lane_size) {
  const int offset = (kernel.register_bytes + 63) / 64 * 64;
  kernel.register_bytes = u32(offset + kLanes * lane_size);
  return offset;
}

int Binder::constant(u64 value, int size) {
  if (size < 8) value &= (u64(1) << (8 * size)) - 1;
  const auto [known, is_new] = constants.try_emplace({value, size}, 0);
  if (!is_new) return known->second;
  const int offset = allocate(size);
  std::vector<u8> bytes(size_t(kLanes) * size);
  for (int lane = 0; lane < kLanes; ++lane) memcpy(&bytes[lane * size], &value, size);
  kernel.constants.emplace_back(offset, std::move(bytes));
  return known->second = offset;
}

const Symbol* Binder::find(std::string_view name) const {
  for (size_t k = scopes.size(); k-- > 0;) {
    const auto it = scopes[k].symbols.find(name);
    if (it != scopes[k].symbols.end()) return &it->second;
  }
  return nullptr;
}

bool Binder::find_register(std::string_view name, Symbol* symbol) const {
  size_t digits = name.size();
  while (digits > 0 && is_digit(name[digits - 1])) --digits;
  if (digits > 0 && digits < name.size() && name.size() - digits < 9) {
    const std::string_view prefix = name.substr(0, digits);
    int number = 0;
    for (char c : name.substr(digits)) number = number * 10 + (c - '0');
    for (size_t k = scopes.size(); k-- > 0;) {
      for (const RegisterFamily& f : scopes[k].families) {
        if (f.prefix != prefix || number >= f.count) continue;
        *symbol = {SymbolKind::kRegister, f.first + number * f.stride, f.size};
        return true;
      }
    }
  }
  const Symbol* found = find(name);
  if (!found || found->kind != SymbolKind::kRegister) return false;
  *symbol = *found;
  return true;
}

// Shared arrays are offsets, everything else real addresses.
bool Binder::symbol_value(std::string_view name, u64* value) const {
  const Symbol* symbol = find(name);
  if (symbol && symbol->kind == SymbolKind::kSharedArray) {
    *value = kSharedStatic + symbol->offset;
    return true;
  }
  if (std::find(module.dynamic_shared.begin(), module.dynamic_shared.end(), name) != module.dynamic_shared.end()) {
    *value = 0;
    return true;
  }
  for (const Parameter& p : kernel.parameters) {
    if (p.name != name) continue;
    *value = u64(parameter_buffer + p.offset);
    return true;
  }
  const auto global = module.globals.find(name);
  if (global == module.globals.end()) return false;
  *value = u64(global->second.address);
  return true;
}

int Binder::input(std::string_view text, int size) {
  text = trim(text);
  if (text.empty()) unknown("an operand is missing in");
  Symbol symbol;
  if (find_register(text, &symbol)) return symbol.offset;
  if (text[0] == '%')
    for (int k = 0; k < kSpecialCount; ++k)
      if (text == kSpecialRegisters[k]) return k * kSpecialBytes;
  if (text == "WARP_SZ") return constant(kLanes, size);
  if (is_float_literal(text, 'f')) return constant(hexadecimal(text.substr(2)), size == 8 ? 8 : 4);
  if (is_float_literal(text, 'd')) return constant(hexadecimal(text.substr(2)), 8);
  if (is_number(text)) return constant(u64(parse_integer(text)), size);
  const size_t plus = text.find('+');
  const u64 offset = plus == text.npos ? 0 : u64(parse_integer(text.substr(plus + 1)));
  u64 value;
  if (symbol_value(trim(text.substr(0, plus)), &value)) return constant(value + offset, size);
  throw Unsupported{"operand " + std::string(text)};
}

int Binder::output(std::string_view text) { return trim(text) == "_" ? kNone : input(text, 8); }

int Binder::register_size(std::string_view text, int otherwise) const {
  Symbol symbol;
  return find_register(trim(text), &symbol) ? symbol.size : otherwise;
}

int Binder::vector(int* offsets, std::string_view text, int size, int limit) {
  if (text[0] != '{') {
    offsets[0] = trim(text) == "_" ? kNone : input(text, size);
    return 1;
  }
  std::vector<std::string_view> elements;
  split(inside(text), elements);
  if (int(elements.size()) > limit) unknown("too many elements in");
  for (size_t k = 0; k < elements.size(); ++k) offsets[k] = elements[k] == "_" ? kNone : input(elements[k], size);
  return int(elements.size());
}

std::pair<std::string_view, std::string_view> Binder::two(std::string_view text) {
  const size_t bar = text.find('|');
  if (bar == text.npos) return {text, {}};
  return {trim(text.substr(0, bar)), trim(text.substr(bar + 1))};
}

int Binder::predicate(Instruction& i, std::string_view text) {
  if (text[0] == '!') {
    i.flags |= kNegated;
    text.remove_prefix(1);
  }
  return input(text, 1);
}

const Symbol* Binder::find_slot(std::string_view text) const {
  const Symbol* symbol = find(trim(text));
  return symbol && symbol->kind == SymbolKind::kSlot ? symbol : nullptr;
}

const Symbol* Binder::find_local(std::string_view text) const {
  const Symbol* symbol = find(trim(text));
  return symbol && symbol->kind == SymbolKind::kLocalArray ? symbol : nullptr;
}

void Binder::address(Instruction& i, std::string_view text, const std::string& space) {
  if (text.empty() || text[0] != '[') unknown("no address in");
  std::string_view base = inside(text);
  const size_t sign = base.find_first_of("+-", 1); // "r+8", "r-8", "r+-8"
  if (sign != base.npos) {
    i.immediate = parse_integer(base.substr(base[sign] == '+' ? sign + 1 : sign));
    base = trim(base.substr(0, sign));
  }
  if (space == "shared") i.flags |= kShared;
  if (space == "local") i.flags |= kLocal;
  if (space.empty()) i.flags |= kGeneric;
  if (const Symbol* local = find_local(base)) {
    i.flags |= kLocal | kDepot;
    i.immediate += local->offset;
    return;
  }
  const int natural = space == "shared" ? 4 : 8;
  i.in[0] = input(base, natural);
  if (register_size(base, natural) == 8) i.flags |= kWide;
}

void Binder::branch_to(std::string_view label) { scope().branches.emplace_back(int(kernel.code.size()), label); }

void Binder::branch_by(std::string_view table) { scope().table_branches.emplace_back(int(kernel.code.size()), table); }

// Branches to labels of this scope are bound; the others are left to the scope around it.
void Binder::close_scope() {
  Scope closing = std::move(scopes.back());
  scopes.pop_back();
  auto label = [&](std::string_view name) {
    const auto it = closing.symbols.find(name);
    return it != closing.symbols.end() && it->second.kind == SymbolKind::kLabel ? it->second.offset : kNone;
  };
  for (const auto& branch : closing.branches) {
    const int target = label(branch.second);
    if (target >= 0) {
      kernel.code[branch.first].target = target;
    } else if (!scopes.empty()) {
      scope().branches.push_back(branch);
    } else if (kernel.unsupported.empty()) {
      throw std::runtime_error("label " + std::string(branch.second) + " is not defined");
    }
  }
  for (const auto& [instruction, list] : closing.table_branches) {
    std::vector<int> table;
    for (std::string_view name : closing.target_lists[list]) table.push_back(std::max(label(name), 0));
    kernel.code[instruction].target = int(kernel.branch_tables.size());
    kernel.branch_tables.push_back(std::move(table));
  }
}

// ---- arithmetic, which is all bound in one way ----

namespace {

void with_rounding(Warp& w, const Instruction& i, u32 mask) {
  fesetround(int(i.immediate));
  i.inner(w, i, mask);
  fesetround(FE_TONEAREST);
}

void with_saturation(Warp& w, const Instruction& i, u32 mask) {
  i.inner(w, i, mask);
  f32* d = lanes<f32>(w, i.out[0]);
  each_lane(mask, [&](int lane) { d[lane] = d[lane] > 0 ? std::min(d[lane], 1.f) : 0.f; }); // NaN becomes 0
}

} // namespace

void bind_arithmetic(Binder& b, Instruction& i, const Opcode& op) {
  if (!op.arithmetic) b.unknown();
  const std::vector<int>& sizes = op.arithmetic->input_sizes;
  b.need(1 + sizes.size());
  i.run = op.arithmetic->run;
  i.size = u8(op.type_size);
  i.out[0] = b.output(b.operands[0]);
  if (i.out[0] == kNone) i.out[0] = b.allocate(8);
  for (size_t k = 0; k < sizes.size(); ++k) i.in[k] = b.input(b.operands[1 + k], sizes[k]);
  if (op.rounding && op.saturates) b.unknown("rounding and saturation together:");
  if (op.rounding) {
    i.inner = i.run;
    i.immediate = op.rounding;
    i.run = with_rounding;
  } else if (op.saturates) {
    if (op.type() != "f32") b.unknown("saturation of");
    i.inner = i.run;
    i.run = with_saturation;
  }
}

} // namespace cudasim
