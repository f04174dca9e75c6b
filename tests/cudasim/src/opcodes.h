// From a mnemonic ("ld.global.nc.v4.f32") to what executes it. Each file under ops/ registers its own.
#pragma once
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kernel.h"

namespace cudasim {

class Binder;
struct Opcode;

// Fills an instruction in from the operands of a statement.
using Bind = void (*)(Binder&, Instruction&, const Opcode&);

// An operation on registers alone: what it does, and the sizes of its inputs.
struct Arithmetic {
  Operation run = nullptr;
  std::vector<int> input_sizes;
};

// A mnemonic taken apart; made once for each that occurs.
struct Opcode {
  std::string name;
  std::vector<std::string> parts;
  int type_size = 4; // of the last part
  Bind bind = nullptr;
  const Arithmetic* arithmetic = nullptr;
  int rounding = 0; // of <cfenv>; 0: to nearest
  bool saturates = false;

  bool has(std::string_view part) const;
  const std::string& type() const { return parts.back(); }
  std::string space() const; // shared, global, local, param, const, or "" for a generic address
};

struct Registry {
  std::unordered_map<std::string, Bind> binds;            // by first part
  std::unordered_map<std::string, Arithmetic> arithmetic; // by name without the parts that change nothing here
  void add(const std::string& first_part, Bind bind) { binds[first_part] = bind; }
};

// nullptr: an instruction that is not known
const Opcode* find_opcode(std::string_view name);
int size_of_type(std::string_view type); // in bytes

void register_integer(Registry&);
void register_float(Registry&);
void register_half(Registry&);
void register_compare(Registry&);
void register_convert(Registry&);
void register_move(Registry&);
void register_memory(Registry&);
void register_async(Registry&);
void register_atomic(Registry&);
void register_warp(Registry&);
void register_matrix(Registry&);
void register_control(Registry&);

} // namespace cudasim
