// Names in a kernel's body, and the operands of the statement that is being read.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kernel.h"
#include "opcodes.h"

namespace cudasim {

// What the simulator cannot execute; the kernel is refused when it is launched.
struct Unsupported {
  std::string what;
};

enum class SymbolKind : u8 { kRegister, kSlot, kSharedArray, kLocalArray, kLabel };

struct Symbol {
  SymbolKind kind;
  int offset; // in the register file, in shared or local memory; of a label: its instruction
  int size;   // of a register, of a slot
};

// ".reg .b32 %r<58>" declares %r0 to %r57.
struct RegisterFamily {
  std::string_view prefix;
  int first; // offset of the first
  int count;
  int size;
  int stride;
};

// What is between two braces: inline assembly declares names that end with it.
struct Scope {
  std::unordered_map<std::string_view, Symbol> symbols;
  std::vector<RegisterFamily> families;
  std::unordered_map<std::string_view, std::vector<std::string_view>> target_lists; // .branchtargets
  std::vector<std::pair<int, std::string_view>> branches; // instructions whose label is not known yet
  std::vector<std::pair<int, std::string_view>> table_branches;
};

class Binder {
 public:
  Binder(Module& module, Kernel& kernel);

  Kernel& kernel;

  // ---- the statement's operands, split at commas outside brackets ----
  std::vector<std::string_view> operands;
  void need(size_t count) const; // refuses the kernel if there are fewer
  [[noreturn]] void unknown(const char* why = "unknown instruction") const;

  // Offset of a register, of a special register, or of a constant made of an immediate, symbol or address.
  int input(std::string_view text, int size);
  int output(std::string_view text); // kNone for the sink `_`
  int register_size(std::string_view text, int otherwise) const;
  int vector(int* offsets, std::string_view text, int size, int limit); // "{a, b}" or one; how many
  // "p|q" → first and second, the second empty if there is none
  static std::pair<std::string_view, std::string_view> two(std::string_view text);
  int predicate(Instruction& i, std::string_view text); // "!p" sets kNegated

  // "[register+4]" or "[symbol+4]" into in[0], immediate and flags
  void address(Instruction& i, std::string_view text, const std::string& space);
  const Symbol* find_slot(std::string_view text) const; // a .param variable of a call
  const Symbol* find_local(std::string_view text) const;

  int allocate(int lane_size);
  void branch_to(std::string_view label);
  void branch_by(std::string_view table);

  // ---- scopes, for the reader ----
  void open_scope() { scopes.emplace_back(); }
  void close_scope();
  Scope& scope() { return scopes.back(); }
  std::string_view mnemonic;

 private:
  int constant(u64 value, int size);
  bool symbol_value(std::string_view name, u64* value) const;
  const Symbol* find(std::string_view name) const;
  bool find_register(std::string_view name, Symbol* symbol) const;

  Module& module;
  std::vector<Scope> scopes;
  std::map<std::pair<u64, int>, int> constants;
};

void bind_arithmetic(Binder&, Instruction&, const Opcode&);

std::string_view trim(std::string_view text);
void split(std::string_view text, std::vector<std::string_view>& parts);
s64 parse_integer(std::string_view text);

} // namespace cudasim
