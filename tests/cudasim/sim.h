// Shared declarations of the PTX simulator: configuration, memory, the checker, the form a parsed kernel has.
// One launch runs at a time (the driver layer holds a lock), so execution state is plain global data.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sim {
using std::string;
using std::vector;
typedef uint8_t u8;
typedef int8_t s8;
typedef uint16_t u16;
typedef int16_t s16;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint64_t u64;
typedef int64_t s64;
typedef float f32;
typedef double f64;
struct Dim3 {
  u32 x = 1, y = 1, z = 1;
};

// ------------------------------------------------------------ configuration: environment, read again at every launch
struct Config {
  bool check = true;       // CUDASIM_CHECK=0|1         memory and race checker
  int order = 0;           // CUDASIM_ORDER=forward|reverse|random   order of warps
  u64 seed = 1;            // CUDASIM_SEED
  u64 budget = 2000000000; // CUDASIM_BUDGET            warp instructions a launch may execute
  bool lazy = false;       // CUDASIM_ASYNC=eager|lazy  lazy: stream work runs only when something waits for it
  bool profile = false;    // CUDASIM_PROFILE=0|1       counters an instruction
  int capability = 80;     // CUDASIM_CAPABILITY=8.0    (at cuInit)
  size_t memory = size_t(4096) << 20; // CUDASIM_MEMORY=MiB (at cuInit)
  int driver = 13000; // CUDASIM_DRIVER=13000      (at cuInit) what cuDriverGetVersion says, and the newest PTX
  int devices = 1;    // CUDASIM_DEVICES           (at cuInit)
};
extern Config config;
void read_config(bool at_init);

// ------------------------------------------------------------ what a launch can end with (CUresult values)
enum {
  OK = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  ILLEGAL_ADDRESS = 700,
  OUT_OF_RESOURCES = 701,
  TIMEOUT = 702,
  ASSERT = 710,
  MISALIGNED = 716,
  LAUNCH_FAILED = 719,
  NOT_SUPPORTED = 801
};
struct Fault {
  int code;
}; // thrown inside a kernel that cannot go on

// ------------------------------------------------------------ a parsed kernel
struct Warp;
struct Ins;
struct Kernel;
typedef void (*Fn)(Warp&, const Ins&, u32 mask);
enum Kind : u8 { ALU, BRANCH, EXIT, BARRIER, WARP_SYNC, WARP_ALIGNED };
struct Ins {
  Fn fn = nullptr, base = nullptr;    // base: the wrapped operation (rounding mode, combined predicates)
  int d[4] = {-1, -1, -1, -1}, s[12]; // register offsets, -1: none; s[11]: member mask of a .sync operation
  int pred = -1, target = -1;
  s64 imm = 0, imm2 = 0;
  u32 flags = 0, site = 0;
  u8 kind = ALU, vn = 1, sz = 4, dsz = 4, ssz = 4;
  bool negated = false;
  Ins() {
    for (int& x : s) x = -1;
  }
};
struct Param {
  string name;
  u32 offset, size;
};
struct Counters {
  u64 executed = 0, lanes = 0, bank_conflicts = 0, sectors = 0;
};
struct Kernel {
  string name, unsupported; // unsupported: why this kernel cannot run, empty if it can
  vector<Param> params;
  u32 param_bytes = 0;
  vector<Ins> code;
  vector<Counters> counters;
  vector<vector<int>> tables;     // tables: targets of brx.idx
  int reg_bytes = 0, special = 0; // special: offset of %tid.x …
  vector<std::pair<int, vector<u8>>> constants;
  vector<std::pair<u32, u32>> shared_arrays; // offset, size: with red zones between; shared_static is the sum without
  u32 shared_static = 0, shared_layout = 0, local = 0, max_threads = 1024, max_dynamic = 48 * 1024, ptx_version = 0,
      target = 0;
};
struct Module {
  string source_name;
  std::map<string, std::unique_ptr<Kernel>> kernels;
  struct Global {
    u8* p;
    size_t size;
    bool constant;
  };
  std::map<string, Global> globals;
  vector<void*> allocations;
  ~Module();
};
// Throws std::runtime_error with the PTX line for text it cannot read; unknown instructions only mark their kernel.
std::unique_ptr<Module> parse_module(const char* text, int capability);
struct Unsupported {
  string what;
};
struct VersionError {
  string what;
}; // .target above the device

// ------------------------------------------------------------ source positions
struct Loc {
  int file = 0, line = 0, parent = -1;
};
struct Site {
  const char* kernel;
  string text;
  int ptx_line, loc;
};
u32 add_site(const Kernel*, const string& text, int ptx_line, int loc);
extern vector<Site> sites;
extern vector<Loc> locs;
extern vector<string> files;

// ------------------------------------------------------------ threads of the running block, and the checker
struct Copy {
  u8* dst;
  const u8* src;
  u32 bytes, valid, site;
}; // one pending cp.async
struct Thread {
  Dim3 tid;
  u32 linear = 0, lane = 0, warp = 0, fence = 0; // fence: epoch of the last __threadfence
  u16 warp_epoch = 0;
  vector<Copy> pending;
  vector<vector<Copy>> groups;
};
enum Access { READ, WRITE, ATOMIC, COPY_START, COPY_DONE };
// device and shared arenas; in the shared one the dynamic array begins at 0, the static ones at SHARED_STATIC
extern u8 *G, *S;
extern size_t GSZ;
constexpr size_t SHARED_STATIC = 256 * 1024, SSZ = 2 * SHARED_STATIC;
extern vector<Thread> threads;
extern Dim3 block_id;
void init_memory();
u8* device_alloc(size_t n, bool valid_now); // nullptr: no room
bool device_free(u8*, bool now);
void device_set_valid(u8*, bool);
bool device_range(const void* p, size_t n); // wholly inside one live allocation
void device_usage(size_t* used, size_t* total);
void host_wrote(void* p, size_t n);
void host_reads(const void* p, size_t n, const char* what);
void copy_state(void* dst, const void* src, size_t n);
void set_access(u8* p, size_t n, bool readonly);
bool access(Thread&, const u8* p, u32 n, Access, u32 site); // false: reported, do not touch
void begin_launch(const Kernel*, u32 dynamic_bytes);
void begin_block(Dim3 id);
void end_launch();
void new_epoch();
void note_fence(Thread&);
void note_atomic(Thread&, const u8*);
void report(const char* kind, const Thread*, u32 site, u32 other_site, const char* fmt, ...)
    __attribute__((format(printf, 5, 6)));
string reports_json(bool clear);
size_t report_count();
extern u8 param_buffer[]; // kernel parameters, 32,764 bytes at most

// ------------------------------------------------------------ execution
struct Fragment {
  int pc;
  u32 mask;
  u8 wait;
  u8 bar;
  u32 bar_count;
};
struct Warp {
  u8* r;
  vector<Fragment> fragments;
  u32 id = 0, all = 0, live = 0;
  u8* local[32];
  u8* carry;
};
template <class T>
inline T* R(Warp& w, int offset) {
  return reinterpret_cast<T*>(w.r + offset);
}
extern const Kernel* running;
extern u64 executed;
int launch(Kernel&, Dim3 grid, Dim3 block, size_t dynamic, const vector<u8>& params);
string counters_json();

// named special registers live in the register file at Kernel::special, 128 bytes each, in this order
extern const char* const special_names[];
extern const int n_special;
} // namespace sim
