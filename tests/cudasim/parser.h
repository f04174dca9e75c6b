// Reads PTX text into Kernels. Statements are found by parser.cc, instructions decoded by ops.cc.
#pragma once
#include "sim.h"
namespace sim {
enum : u32 {
  F_SHARED = 1,
  F_LOCAL = 2,
  F_GENERIC = 4,
  F_PARAM = 8,
  F_ADDR64 = 16,
  F_LOCALSYM = 32,
  F_SIGNED = 64,
  F_TRANS = 128,
  F_NEG = 256,
  F_SLOT = 512
};
struct Reg {
  int offset, size;
};
struct Parser {
  Module* module;
  Kernel* k = nullptr;
  int line = 0, loc = -1;
  std::unordered_map<string, Reg> regs, slots; // slots: .param variables of a call sequence
  std::unordered_map<string, u32> shared, locals;
  std::unordered_map<string, int> labels;
  std::unordered_map<string, u32> module_shared; // .extern .shared at module level: the dynamic array
  vector<std::pair<int, string>> fixups;
  std::unordered_map<string, vector<string>> target_lists;
  vector<std::pair<int, string>> table_fixups;
  std::map<std::pair<u64, int>, int> constant_pool; // immediates by value and size

  int alloc(int lane_size);
  int constant(u64 value, int size);
  int operand(const string& text, int size);   // register, special register, symbol or immediate
  bool symbol(const string& name, u64* value); // shared: offset, global and const: address, param: buffer
  int reg_size(const string& name, int otherwise) {
    auto it = regs.find(name);
    return it == regs.end() ? otherwise : it->second.size;
  }
  void memory(Ins&, const string& text, const string& space); // [reg+imm] or [symbol+imm] into s[0], imm, flags
  void instruction(string text);
  void decode(Ins&, const string& op, vector<string> q, vector<string> a);
};
string trim(const string&);
vector<string> split(const string&);
vector<string> braces(const string&);
int type_size(const string&);
void build_table();
} // namespace sim
