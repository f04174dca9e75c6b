// A warp is a list of fragments (pc, lanes); the one with the lowest pc runs first, so that lanes meet again after a
// branch. A .sync operation waits until all lanes it names are there, a barrier until all threads of the block are.
#include "execute.h"

#include <algorithm>
#include <cstring>

#include "checker.h"
#include "config.h"
#include "memory.h"
#include "report.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace cudasim {

std::vector<Warp> warps;
std::vector<Thread> threads;
Dim3 block_index;
Kernel* running;
u64 executed;

namespace {

constexpr int kBarriers = 16;
constexpr int kNoPc = 1 << 30;

u32 block_threads;
u32 live_threads;

// Lanes that have passed a bar.arrive, and how many its barrier waits for.
struct Arrivals {
  u32 count = 0;
  u32 wanted = 0;
};
Arrivals arrivals[kBarriers];
u64 budget_end;
u64 random_state;

u32 random_below(u32 n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return u32(random_state >> 32) % n;
}

u32 popcount(u32 mask) { return u32(__builtin_popcount(mask)); }
const Thread* first_thread(const Warp& w, u32 mask) { return &thread_of(w, __builtin_ctz(mask)); }

void merge(Warp& w) {
  auto& f = w.fragments;
  for (size_t a = 0; a < f.size(); ++a) {
    for (size_t b = f.size() - 1; b > a; --b) {
      if (f[a].pc != f[b].pc || f[a].wait != f[b].wait || f[a].barrier != f[b].barrier) continue;
      f[a].mask |= f[b].mask;
      f.erase(f.begin() + b);
    }
  }
}

u32 predicate(Warp& w, const Instruction& i) {
  const u8* p = lanes<u8>(w, i.predicate);
#ifdef __AVX2__
  const __m256i bytes = _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
  const u32 mask = ~u32(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256())));
#else
  u32 mask = 0;
  for (int lane = 0; lane < kLanes; ++lane) mask |= u32(p[lane] != 0) << lane;
#endif
  return i.predicate_negated ? ~mask : mask;
}

// Those lanes of a mask that can execute a .sync operation now: all that it names are here or have exited. 0: none yet.
u32 complete_members(Warp& w, const Instruction& i, u32 mask) {
  if (i.kind == Kind::kWholeWarp) return (mask & w.live) == w.live ? mask : 0;
  const u32* named = lanes<u32>(w, i.in[kMask]);
  for (u32 left = mask; left;) {
    const int lane = __builtin_ctz(left);
    const u32 members = named[lane] & w.live;
    if (!(members >> lane & 1)) {
      report("warp-mask", &thread_of(w, lane), pc_of(i), kNowhere,
             "lane %d executes an operation whose mask %08x does not name it", lane, named[lane]);
      throw Fault{kLaunchFailed};
    }
    u32 same = 0;
    for (u32 m = mask; m; m &= m - 1) {
      const int other = __builtin_ctz(m);
      if ((named[other] & w.live) == members) same |= 1u << other;
    }
    if ((same & members) == members) return members;
    left &= ~same;
  }
  return 0;
}

// ---- one warp ----

// The fragment to run next: the lowest pc of those that do not wait, else one whose warp operation has become complete.
int choose_fragment(Warp& w) {
  auto& f = w.fragments;
  int best = kNone;
  for (size_t k = 0; k < f.size(); ++k)
    if (f[k].wait == Wait::kNone && (best < 0 || f[k].pc < f[best].pc)) best = int(k);
  if (best >= 0) return best;
  merge(w);
  for (size_t k = 0; k < f.size(); ++k) {
    if (f[k].wait != Wait::kWarp || !complete_members(w, running->code[f[k].pc], f[k].mask)) continue;
    f[k].wait = Wait::kNone;
    return int(k);
  }
  return kNone;
}

void branch_by_table(Warp& w, const Instruction& i, size_t fragment, u32 stay, u32 go) {
  const std::vector<int>& table = running->branch_tables[i.target];
  const int pc = w.fragments[fragment].pc;
  w.fragments.erase(w.fragments.begin() + fragment);
  if (stay) w.fragments.push_back({pc + 1, stay});
  for (; go; go &= go - 1) {
    const int lane = __builtin_ctz(go);
    const u32 index = lanes<u32>(w, i.in[0])[lane];
    if (index >= table.size()) {
      report("bad-branch", &thread_of(w, lane), pc, kNowhere, "branch table index %u of %zu", index, table.size());
      throw Fault{kLaunchFailed};
    }
    w.fragments.push_back({table[index], 1u << lane});
  }
  merge(w);
}

void check_budget(Warp& w, u32 pc, u32 mask) {
  if (executed <= budget_end) return;
  report("watchdog", first_thread(w, mask), pc, kNowhere,
         "more than CUDASIM_BUDGET=%llu warp instructions in one launch: an endless loop, or a wait for another block",
         static_cast<unsigned long long>(config.budget));
  throw Fault{kLaunchTimeout};
}

// Runs one fragment until it waits, splits, ends, or reaches the pc of another one.
void run_fragment(Warp& w, size_t index, int next_pc) {
  auto& fragments = w.fragments;
  const Instruction* code = running->code.data();
  Counters* counters = config.profile ? running->counters.data() : nullptr;
  int pc = fragments[index].pc;
  const u32 mask = fragments[index].mask;
  for (bool first = true;; first = false) {
    if (pc >= next_pc && !first) {
      fragments[index].pc = pc;
      merge(w);
      return;
    }
    const Instruction& i = code[pc];
    const u32 active = i.predicate >= 0 ? mask & predicate(w, i) : mask;
    ++executed;
    if (counters) {
      counters[pc].executed++;
      counters[pc].lanes += popcount(active);
    }
    if (i.kind == Kind::kPlain) {
      if (active) i.run(w, i, active);
      ++pc;
      continue;
    }
    if (!active) {
      ++pc;
      continue;
    }
    const u32 rest = mask & ~active;
    switch (i.kind) {
      case Kind::kBranch:
        fragments[index].pc = pc;
        check_budget(w, u32(pc), active);
        if (i.in[0] >= 0) return branch_by_table(w, i, index, rest, active);
        if (!rest) {
          pc = i.target;
          continue;
        }
        fragments[index] = {pc + 1, rest};
        fragments.push_back({i.target, active});
        return merge(w);
      case Kind::kExit:
        w.live &= ~active;
        live_threads -= popcount(active);
        if (rest) {
          fragments[index] = {pc + 1, rest};
        } else {
          fragments.erase(fragments.begin() + index);
        }
        return;
      case Kind::kBarrier: {
        if (rest) break;
        const int lane = __builtin_ctz(mask);
        const u8 barrier = lanes<u32>(w, i.in[0])[lane] & (kBarriers - 1);
        const u32 count = i.in[1] >= 0 ? lanes<u32>(w, i.in[1])[lane] : 0;
        if (i.immediate == kArrive) {
          arrivals[barrier].count += popcount(mask);
          arrivals[barrier].wanted = count;
          ++pc;
          continue;
        }
        fragments[index] = {pc, mask, Wait::kBarrier, barrier, count};
        return merge(w);
      }
      default: {
        if (rest) break;
        const u32 go = complete_members(w, i, mask);
        if (!go) {
          fragments[index] = {pc, mask, Wait::kWarp};
          return;
        }
        i.run(w, i, go);
        if (go == mask) {
          ++pc;
          continue;
        }
        fragments[index] = {pc, mask & ~go};
        fragments.push_back({pc + 1, go});
        return merge(w);
      }
    }
    // a barrier or .sync operation under a predicate: the other lanes go on
    fragments[index] = {pc + 1, rest};
    fragments.push_back({pc, active});
    return merge(w);
  }
}

// Runs a warp until all its fragments wait or are gone; false: nothing could run.
bool run_warp(Warp& w) {
  bool ran = false;
  for (;;) {
    const int best = choose_fragment(w);
    if (best < 0) return ran;
    ran = true;
    int next_pc = kNoPc;
    for (size_t k = 0; k < w.fragments.size(); ++k)
      if (int(k) != best && w.fragments[k].wait == Wait::kNone) next_pc = std::min(next_pc, w.fragments[k].pc);
    run_fragment(w, size_t(best), next_pc);
  }
}

// ---- barriers ----

template <class Visit>
void each_waiting(int barrier, Visit visit) {
  for (Warp& w : warps)
    for (Fragment& f : w.fragments)
      if (f.wait == Wait::kBarrier && f.barrier == barrier) visit(w, f);
}

void store_reduction(Warp& w, const Fragment& f, const Instruction& i, u32 set, u32 total) {
  if (i.out[0] < 0) return;
  each_lane(f.mask, [&](int lane) {
    if (i.immediate == kReduceCount) {
      lanes<u32>(w, i.out[0])[lane] = set;
    } else {
      lanes<u8>(w, i.out[0])[lane] = i.immediate == kReduceAnd ? set == total : set != 0;
    }
  });
}

bool release_barrier(int barrier) {
  u32 waiting = arrivals[barrier].count;
  u32 wanted = arrivals[barrier].wanted;
  each_waiting(barrier, [&](Warp&, Fragment& f) {
    waiting += popcount(f.mask);
    wanted = std::max(wanted, f.barrier_threads);
  });
  if (!waiting || waiting < (wanted ? wanted : live_threads)) return false;
  new_epoch();
  arrivals[barrier] = {};
  const Instruction* code = running->code.data();
  u32 set = 0;
  u32 total = 0;
  each_waiting(barrier, [&](Warp& w, Fragment& f) {
    const Instruction& i = code[f.pc];
    if (i.in[2] < 0) return;
    const bool negated = i.flags & kNegated;
    each_lane(f.mask, [&](int lane) { set += (lanes<u8>(w, i.in[2])[lane] != 0) != negated; });
    total += popcount(f.mask);
  });
  int first_pc = kNone;
  each_waiting(barrier, [&](Warp& w, Fragment& f) {
    const Instruction& i = code[f.pc];
    const Thread* thread = first_thread(w, f.mask);
    if (first_pc >= 0 && f.pc != first_pc && !wanted)
      report("divergent-barrier", thread, u32(f.pc), u32(first_pc), "threads of one block wait at different bar.sync");
    first_pc = f.pc;
    if (w.live != w.all && config.check)
      report("exited-lanes", thread, u32(f.pc), kNowhere, "lanes %08x of this warp have exited before the barrier",
             w.all & ~w.live);
    store_reduction(w, f, i, set, total);
  });
  each_waiting(barrier, [](Warp&, Fragment& f) { f = {f.pc + 1, f.mask}; });
  for (Warp& w : warps) merge(w);
  return true;
}

bool release_barriers() {
  bool any = false;
  for (int barrier = 0; barrier < kBarriers; ++barrier) any |= release_barrier(barrier);
  return any;
}

[[noreturn]] void deadlock() {
  u32 at_barrier = 0;
  u32 at_operation = 0;
  const Fragment* where = nullptr;
  const Warp* whose = nullptr;
  for (Warp& w : warps) {
    for (Fragment& f : w.fragments) {
      (f.wait == Wait::kBarrier ? at_barrier : at_operation) += popcount(f.mask);
      if (where && f.wait != Wait::kWarp) continue;
      where = &f;
      whose = &w;
    }
  }
  report("deadlock", first_thread(*whose, where->mask), u32(where->pc), kNowhere,
         "%u threads wait at a block barrier, %u at a warp operation, %u have exited", at_barrier, at_operation,
         block_threads - live_threads);
  throw Fault{kLaunchFailed};
}

// ---- blocks ----

void run_block(std::vector<int>& order) {
  while (live_threads) {
    if (config.order == Order::kRandom)
      for (size_t k = order.size(); k > 1; --k) std::swap(order[k - 1], order[random_below(u32(k))]);
    bool ran = false;
    for (int w : order) ran |= run_warp(warps[w]);
    if (live_threads && !release_barriers() && !ran) deadlock();
  }
}

struct Storage {
  std::vector<u8> bytes;
  u8* aligned(size_t size, size_t alignment) {
    bytes.resize(size + alignment);
    return reinterpret_cast<u8*>((u64(bytes.data()) + alignment - 1) / alignment * alignment);
  }
};

Storage register_files;
Storage local_memory;
Storage carry_flags;

void set_special_registers(Warp& w, Dim3 grid, Dim3 block, u32 dynamic_shared) {
  for (u32 lane = 0; lane < kLanes; ++lane) {
    const Dim3& t = thread_of(w, int(lane)).index;
    const u32 bit = 1u << lane;
    const u32 values[kSpecialCount] = {t.x,
                                       t.y,
                                       t.z,
                                       block.x,
                                       block.y,
                                       block.z,
                                       0,
                                       0,
                                       0,
                                       grid.x,
                                       grid.y,
                                       grid.z,
                                       lane,
                                       w.index,
                                       u32(warps.size()),
                                       0,              // %smid
                                       1,              // %nsmid
                                       0,              // %gridid
                                       bit,            // %lanemask_eq
                                       2 * bit - 1,    // _le
                                       bit - 1,        // _lt
                                       ~(bit - 1),     // _ge
                                       ~(2 * bit - 1), // _gt
                                       dynamic_shared,
                                       dynamic_shared + running->shared_bytes};
    for (int k = 0; k < kSpecialCount; ++k) lanes<u32>(w, k * kSpecialBytes)[lane] = values[k];
  }
}

void set_up_warps(Kernel& kernel, Dim3 grid, Dim3 block, u32 dynamic_shared) {
  const u32 count = (block_threads + kLanes - 1) / kLanes;
  const size_t register_bytes = (size_t(kernel.register_bytes) + 127) / 128 * 128;
  u8* registers = register_files.aligned(register_bytes * count, 64);
  u8* local = local_memory.aligned(size_t(kernel.local_bytes) * count * kLanes, 16);
  u8* carry = carry_flags.aligned(count * kLanes, 64);
  memset(registers, 0xff, register_bytes * count);
  memset(local, 0xff, size_t(kernel.local_bytes) * count * kLanes);
  memset(carry, 0, count * kLanes);
  warps.resize(count);
  if (threads.size() < count * kLanes) threads.resize(count * kLanes);
  for (u32 w = 0; w < count; ++w) {
    Warp& warp = warps[w];
    warp.registers = registers + register_bytes * w;
    warp.local = local + size_t(kernel.local_bytes) * kLanes * w;
    warp.carry = carry + kLanes * w;
    warp.index = w;
    warp.all = block_threads - w * kLanes >= kLanes ? kAllLanes : (1u << (block_threads - w * kLanes)) - 1;
    for (const auto& [offset, bytes] : kernel.constants) memcpy(warp.registers + offset, bytes.data(), bytes.size());
    for (u32 lane = 0; lane < kLanes; ++lane) {
      const u32 linear = w * kLanes + lane;
      Thread& thread = threads[linear];
      thread.linear = linear;
      thread.index = {linear % block.x, linear / block.x % block.y, linear / (block.x * block.y)};
    }
    set_special_registers(warp, grid, block, dynamic_shared);
  }
}

void start_block(const Kernel& kernel, Dim3 index, u32 dynamic_shared) {
  block_index = index;
  begin_block();
  live_threads = block_threads;
  std::fill_n(arrivals, kBarriers, Arrivals());
  memset(shared.base, 0xff, dynamic_shared);
  memset(shared.base + kSharedStatic, 0xff, kernel.shared_layout);
  for (Warp& w : warps) {
    w.live = w.all;
    w.fragments.assign(1, {0, w.all});
    const u32 values[3] = {index.x, index.y, index.z};
    for (int axis = 0; axis < 3; ++axis) {
      u32* block_register = lanes<u32>(w, (kBlockIndexRegister + axis) * kSpecialBytes);
      std::fill_n(block_register, kLanes, values[axis]);
    }
  }
}

void forget_ranges(Kernel& kernel) {
  if (kernel.memory_generation == memory_generation()) return;
  kernel.memory_generation = memory_generation();
  for (const Instruction& i : kernel.code) i.range = i.source_range = {};
}

} // namespace

Status launch(Kernel& kernel, Dim3 grid, Dim3 block, u32 dynamic_shared, const std::vector<u8>& parameters) {
  running = &kernel;
  kernel.launches++;
  forget_ranges(kernel);
  block_threads = block.x * block.y * block.z;
  random_state = config.seed * 0x9E3779B97F4A7C15ull + 1;
  budget_end = executed + config.budget;
  memcpy(parameter_buffer, parameters.data(), parameters.size());
  set_up_warps(kernel, grid, block, dynamic_shared);
  begin_launch(kernel, dynamic_shared);
  std::vector<int> order(warps.size());
  for (size_t w = 0; w < order.size(); ++w) order[w] = int(w);
  if (config.order == Order::kReverse) std::reverse(order.begin(), order.end());
  Status status = kSuccess;
  try {
    for (u32 z = 0; z < grid.z; ++z) {
      for (u32 y = 0; y < grid.y; ++y) {
        for (u32 x = 0; x < grid.x; ++x) {
          start_block(kernel, {x, y, z}, dynamic_shared);
          run_block(order);
          end_block();
        }
      }
    }
  } catch (const Fault& fault) {
    status = fault.status;
    end_block();
  }
  end_launch();
  return status;
}

} // namespace cudasim
