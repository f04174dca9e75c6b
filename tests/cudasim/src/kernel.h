// A kernel as it is executed: instructions with register offsets, and what a launch and a report need to know.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "types.h"

namespace cudasim {

struct Warp;
struct Instruction;
struct Module;

// Executes an instruction for the lanes of a mask that is never empty.
using Operation = void (*)(Warp&, const Instruction&, u32 mask);

// How the execution loop treats an instruction.
enum class Kind : u8 {
  kPlain,     // lanes go through as they come
  kBranch,    // target, or table of targets if in[0] is a register
  kExit,      // ret, exit
  kBarrier,   // bar: waits for lanes of the block
  kMembers,   // .sync with a member mask in in[kMask]: waits for the lanes it names
  kWholeWarp, // .sync.aligned: waits for all lanes of the warp that have not exited
};

enum Flag : u32 {
  kShared = 1, // state space of an address; none of these three: global
  kLocal = 2,
  kGeneric = 4,
  kWide = 8,     // the address register has 64 bits
  kDepot = 16,   // the address is an offset into the lane's local memory, no register
  kSigned = 32,  // a narrow load is extended with its sign
  kNegated = 64, // the predicate operand is
  kTransposed = 128,
  kHalfSums = 256, // mma accumulates in f16
};

// Instruction::immediate of a barrier
enum BarrierForm : s64 { kSync, kReduceCount, kReduceAnd, kReduceOr, kArrive };

constexpr int kNone = -1;
constexpr int kMask = 11; // in[kMask]: member mask
constexpr int kMaxInputs = 12;

// An allocation or array in which an instruction's last access was, so that the next one there needs no search.
struct Range {
  u64 begin = 0;
  u64 size = 0;
};

struct Instruction {
  Operation run = nullptr;
  Operation inner = nullptr;                 // what a wrapper calls: rounding mode, saturation, combined predicates
  int out[4] = {kNone, kNone, kNone, kNone}; // offsets in the warp's register file
  int in[kMaxInputs];
  int predicate = kNone;
  int target = kNone;
  s64 immediate = 0;
  s64 immediate2 = 0;
  mutable Range range;        // of the last access; of cp.async the shared one
  mutable Range source_range; // of cp.async the global one
  u32 flags = 0;
  Kind kind = Kind::kPlain;
  bool predicate_negated = false;
  u8 count = 1;         // elements of a vector
  u8 size = 4;          // bytes of an element in memory
  u8 register_size = 4; // bytes of a register that holds it

  Instruction() {
    for (int& offset : in) offset = kNone;
  }
};

// A line of source; parent: where the function it is in was inlined.
struct Location {
  int file = 0;
  int line = 0;
  int parent = -1;
};

struct Origin {
  u32 line = 0; // in the PTX text
  int location = -1;
  std::string_view text;
};

struct Counters {
  u64 executed = 0;
  u64 lanes = 0;
  u64 requests = 0;       // accesses to global or shared memory
  u64 sectors = 0;        // 32-byte sectors of global memory that they touched
  u64 bank_conflicts = 0; // passes over shared memory beyond the first
};

struct Parameter {
  std::string name;
  u32 offset;
  u32 size;
};

struct SharedArray {
  u32 offset;
  u32 size;
};

struct Kernel {
  Module* module = nullptr;
  std::string name;
  std::vector<Parameter> parameters;
  u32 parameter_bytes = 0;
  u32 max_threads = 1024;
  u32 max_dynamic_shared = 48 * 1024;

  // where the body is in the module's text; read when the kernel is first asked for
  size_t body = 0;
  u32 body_line = 0;
  bool has_body = false;
  bool read = false;

  std::string unsupported; // why it cannot be launched; empty if it can
  std::vector<Instruction> code;
  std::vector<Origin> origins;    // of each instruction
  std::vector<Counters> counters; // of each instruction
  std::vector<Location> locations;
  std::vector<std::vector<int>> branch_tables;
  u32 register_bytes = 0;
  std::vector<std::pair<u32, std::vector<u8>>> constants; // immediate operands, laid out as registers
  std::vector<SharedArray> shared_arrays;                 // with gaps between them, which catch overruns
  u32 shared_bytes = 0;                                   // as the kernel declares them
  u32 shared_layout = 0;                                  // with the gaps
  u32 local_bytes = 0;
  u64 launches = 0;
  u64 memory_generation = 0; // for which the ranges in `code` hold
};

struct Global {
  u8* address;
  size_t size;
  bool constant;
};

struct Module {
  std::string text;
  u32 ptx_version = 0;
  u32 target = 0;
  std::vector<std::string> files;
  std::map<std::string, std::unique_ptr<Kernel>, std::less<>> kernels;
  std::map<std::string, Global, std::less<>> globals;
  std::vector<std::string> dynamic_shared; // names of .extern .shared arrays
  ~Module();
};

// Special registers are ordinary ones at the start of the register file, 128 bytes each, in this order.
constexpr std::string_view kSpecialRegisters[] = {
    "%tid.x",          "%tid.y",       "%tid.z",       "%ntid.x",      "%ntid.y",      "%ntid.z",
    "%ctaid.x",        "%ctaid.y",     "%ctaid.z",     "%nctaid.x",    "%nctaid.y",    "%nctaid.z",
    "%laneid",         "%warpid",      "%nwarpid",     "%smid",        "%nsmid",       "%gridid",
    "%lanemask_eq",    "%lanemask_le", "%lanemask_lt", "%lanemask_ge", "%lanemask_gt", "%dynamic_smem_size",
    "%total_smem_size"};
constexpr int kSpecialCount = sizeof kSpecialRegisters / sizeof *kSpecialRegisters;
constexpr int kSpecialBytes = kLanes * 4;
constexpr int kBlockIndexRegister = 6; // %ctaid.x

} // namespace cudasim
