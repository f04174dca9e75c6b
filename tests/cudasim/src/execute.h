// Execution of a launch: blocks one after another, the warps of a block in turns, each until it waits.
// One launch runs at a time (the driver layer holds a lock), so the state of execution is plain global data.
#pragma once
#include <vector>

#include "kernel.h"

namespace cudasim {

// One cp.async that has been started: its bytes arrive when the thread waits for its group.
struct Copy {
  u8* to;
  const u8* from;
  u32 bytes;
  u32 valid; // the rest is zeros
  u32 pc;
};

struct Thread {
  Dim3 index;
  u32 linear = 0;
  u32 fence = 0;               // epoch of its last __threadfence
  u16 warp_epoch = 0;          // counts its __syncwarp
  std::vector<Copy> copies;    // in the order in which they were started
  std::vector<u32> group_ends; // a committed group ends before this one of the copies
};

enum class Wait : u8 { kNone, kBarrier, kWarp };

// Lanes of a warp that are at the same instruction.
struct Fragment {
  int pc;
  u32 mask;
  Wait wait = Wait::kNone;
  u8 barrier = 0; // which of the sixteen, and for how many threads (0: all)
  u32 barrier_threads = 0;
};

struct Warp {
  u8* registers = nullptr;
  u8* local = nullptr; // local memory of lane 0, the other lanes behind it
  u8* carry = nullptr; // the carry flag of each lane
  std::vector<Fragment> fragments;
  u32 index = 0;
  u32 all = 0;  // lanes that exist
  u32 live = 0; // lanes that have not exited
  // What the checker writes down for an access by each lane now; made anew when the epoch or a lane's warp epoch moves.
  s64 identity[kLanes];
  u32 identity_epoch = 0;
  bool identity_uniform = false; // the lanes differ by their number only
};

template <class T>
inline T* lanes(Warp& w, int offset) {
  return reinterpret_cast<T*>(w.registers + offset);
}

extern std::vector<Warp> warps;
extern std::vector<Thread> threads;
extern Dim3 block_index;
extern Kernel* running;
extern u64 executed; // warp instructions since the start of the process

inline Thread& thread_of(const Warp& w, int lane) { return threads[w.index * kLanes + lane]; }
inline u32 pc_of(const Instruction& i) { return u32(&i - running->code.data()); }

Status launch(Kernel& kernel, Dim3 grid, Dim3 block, u32 dynamic_shared, const std::vector<u8>& parameters);

// Calls body(lane) for the lanes of a mask. The full mask, by far the most frequent, becomes vector code.
template <class Body>
inline void each_lane(u32 mask, Body body) {
  if (mask == kAllLanes) {
#pragma GCC ivdep
    for (int lane = 0; lane < kLanes; ++lane) body(lane);
  } else {
    for (; mask; mask &= mask - 1) body(__builtin_ctz(mask));
  }
}

} // namespace cudasim
