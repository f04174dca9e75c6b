#include "access.h"

#include <algorithm>

#include "../config.h"
#include "../memory.h"
#include "../report.h"

namespace cudasim {

Reach::Reach(Warp& w, const Instruction& i, u32 mask, u32 bytes) {
  const u64 offset = u64(i.immediate);
  if (i.flags & kDepot) {
    const u64 first = u64(w.local) + offset;
    const u64 stride = running->local_bytes;
    for (int l = 0; l < kLanes; ++l) at[l] = first + l * stride;
  } else if (i.flags & kShared) {
    const u64 base = u64(shared.base);
    if (i.flags & kWide) {
      const u64* address = lanes<u64>(w, i.in[0]);
      for (int l = 0; l < kLanes; ++l) at[l] = base + u32(address[l] + offset);
    } else {
      const u32* address = lanes<u32>(w, i.in[0]);
      for (int l = 0; l < kLanes; ++l) at[l] = base + u32(address[l] + offset);
    }
  } else {
    const u64* address = lanes<u64>(w, i.in[0]);
    for (int l = 0; l < kLanes; ++l) at[l] = address[l] + offset;
  }
  complete(mask, bytes);
}

Reach::Reach(const u64* addresses, u32 mask, u32 bytes) {
  std::copy_n(addresses, kLanes, at);
  complete(mask, bytes);
}

void Reach::complete(u32 lanes_of, u32 bytes_each) {
  mask = lanes_of;
  bytes = bytes_each;
  row = false;
  const u64 first = at[__builtin_ctz(mask)];
  if (mask == kAllLanes) {
    u64 gap = 0;
    for (int l = 0; l < kLanes; ++l) gap |= at[l] ^ (first + u64(l) * bytes);
    row = gap == 0;
  } else {
    for (int l = 0; l < kLanes; ++l) at[l] = mask >> l & 1 ? at[l] : first;
  }
}

namespace {

const char* name_of(Access access) {
  switch (access) {
    case Access::kRead:
      return "read";
    case Access::kAtomic:
      return "atomic";
    default:
      return "write";
  }
}

[[noreturn]] void misaligned(Warp& w, const Instruction& i, const Reach& reach, Access access) {
  int lane = 0;
  while (reach.at[lane] % reach.bytes == 0) ++lane;
  report("misaligned", &thread_of(w, lane), pc_of(i), kNowhere, "%s of %u bytes, address %% %u = %u", name_of(access),
         reach.bytes, reach.bytes, u32(reach.at[lane] % reach.bytes));
  throw Fault{kMisaligned};
}

enum class Verdict { kCheck, kAllowed, kRefused };

// An access outside the range where the instruction's last one was.
class Judge {
 public:
  Judge(Warp& w, Range& range, const Instruction& i, u32 bytes, u32 flags, Access access)
      : w(w), range(range), i(i), bytes(bytes), flags(flags), access(access) {}

  Verdict verdict(int lane, u64 address) {
    if (address - range.begin < range.size && address + bytes <= range.begin + range.size) return Verdict::kCheck;
    const u64 mine = u64(w.local) + u64(lane) * running->local_bytes;
    const bool in_local = address - mine < running->local_bytes && address + bytes <= mine + running->local_bytes;
    if (flags & (kLocal | kGeneric) && in_local) return Verdict::kAllowed;
    if (flags & kLocal) {
      report_at(lane, "local-oob", "%s of %u bytes at offset %ld of %u bytes of local memory", long(address - mine),
                running->local_bytes);
      throw Fault{kIllegalAddress};
    }
    if (shared.has(address)) return in_shared(lane, address);
    if (device.has(address)) return in_device(lane, address);
    const u64 parameters = u64(parameter_buffer);
    if (access == Access::kRead && address - parameters < kParameterBytes) return Verdict::kAllowed;
    if (flags & kShared) {
      report_at(lane, "shared-oob", "%s of %u bytes at shared offset %lu", shared.offset(address));
    } else {
      report_at(lane, "host-access", "%s of %u bytes at %p, which is neither device, shared nor local memory",
                reinterpret_cast<void*>(address));
    }
    throw Fault{kIllegalAddress};
  }

 private:
  template <class... Values>
  void report_at(int lane, const char* kind, const char* format, Values... values) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    report(kind, &thread_of(w, lane), pc_of(i), kNowhere, format, name_of(access), bytes, values...);
#pragma GCC diagnostic pop
  }

  void remember(const Allocation& a) { range = {a.begin, a.size}; }

  Verdict in_shared(int lane, u64 address) {
    if (!config.check) return Verdict::kAllowed;
    const Allocation array = shared_array(address);
    if (array.size && address + bytes <= array.begin + array.size) {
      remember(array);
      return Verdict::kCheck;
    }
    report_at(lane, "shared-oob", "%s of %u bytes at shared offset %zu", shared.offset(address));
    return Verdict::kRefused;
  }

  Verdict in_device(int lane, u64 address) {
    if (!config.check) return Verdict::kAllowed;
    const Allocation* a = find_allocation(address);
    const bool inside = a && address + bytes <= a->begin + a->size;
    if (inside && a->state == State::kAnnounced) {
      report_at(lane, "use-before-alloc", "%s of %u bytes before the stream-ordered allocation has happened");
      return Verdict::kRefused;
    }
    if (inside && a->state == State::kConstant && access != Access::kRead) {
      report_at(lane, "write-to-const", "%s of %u bytes to __constant__ memory");
      return Verdict::kRefused;
    }
    if (inside) {
      remember(*a);
      return Verdict::kCheck;
    }
    Allocation gone;
    if (find_freed(address, &gone)) {
      report_at(lane, "use-after-free", "%s of %u bytes at byte %zu of a freed allocation of %zu bytes",
                size_t(address - gone.begin), gone.size);
    } else {
      report_at(lane, "global-oob", "%s of %u bytes at byte %ld of an allocation of %zu bytes",
                a ? long(address - a->begin) : -1L, a ? a->size : size_t(0));
    }
    return Verdict::kRefused;
  }

  Warp& w;
  Range& range;
  const Instruction& i;
  u32 bytes;
  u32 flags;
  Access access;
};

bool all_inside(const Reach& reach, u64 begin, u64 size) {
  if (size < reach.bytes) return false;
  const u64 last = size - reach.bytes;
  u64 outside = 0;
  for (int l = 0; l < kLanes; ++l) outside |= reach.at[l] - begin > last;
  return outside == 0;
}

} // namespace

void require_aligned(Warp& w, const Instruction& i, const Reach& reach, Access access) {
  u64 bits = 0;
  for (int l = 0; l < kLanes; ++l) bits |= reach.at[l];
  if (bits & (reach.bytes - 1)) misaligned(w, i, reach, access);
}

bool permitted_lane(Warp& w, Range& range, const Instruction& i, int lane, u64 address, u32 bytes, u32 flags,
                    Access access) {
  const Verdict verdict = Judge(w, range, i, bytes, flags, access).verdict(lane, address);
  if (verdict == Verdict::kCheck) check_lane(w, lane, address, bytes, access, pc_of(i));
  return verdict != Verdict::kRefused;
}

u32 permitted(Warp& w, Range& range, const Instruction& i, const Reach& reach, u32 flags, Access access) {
  require_aligned(w, i, reach, access);
  if (config.check) {
    if (all_inside(reach, range.begin, range.size)) {
      check_warp(w, reach, access, pc_of(i));
      return reach.mask;
    }
  } else {
    const Arena& arena = flags & kShared ? shared : device;
    if (all_inside(reach, u64(arena.base), arena.size)) return reach.mask;
  }
  Judge judge(w, range, i, reach.bytes, flags, access);
  u32 allowed = 0;
  u32 in_shared = 0;
  u32 in_device = 0;
  for (u32 left = reach.mask; left; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    const Verdict verdict = judge.verdict(lane, reach.at[lane]);
    if (verdict == Verdict::kRefused) continue;
    allowed |= 1u << lane;
    if (verdict == Verdict::kCheck) (shared.has(reach.at[lane]) ? in_shared : in_device) |= 1u << lane;
  }
  for (u32 some : {in_shared, in_device}) {
    if (!some) continue;
    Reach part = reach;
    part.mask = some;
    part.row = reach.row && some == kAllLanes;
    check_warp(w, part, access, pc_of(i));
  }
  return allowed;
}

// Shared memory has 32 banks of 4 bytes. Accesses of 8 bytes run half a warp at a time, of 16 bytes a quarter.
static u64 bank_conflicts(const Reach& reach) {
  const int lanes_a_pass = reach.bytes <= 4 ? 32 : reach.bytes == 8 ? 16 : 8;
  u64 conflicts = 0;
  for (int first = 0; first < kLanes; first += lanes_a_pass) {
    std::vector<u64> words[32];
    size_t worst = 1;
    for (int lane = first; lane < first + lanes_a_pass; ++lane) {
      if (!(reach.mask >> lane & 1)) continue;
      for (u32 byte = 0; byte < std::max(reach.bytes, 4u); byte += 4) {
        const u64 word = (reach.at[lane] - u64(shared.base) + byte) / 4;
        std::vector<u64>& bank = words[word % 32];
        if (std::find(bank.begin(), bank.end(), word) == bank.end()) bank.push_back(word);
        worst = std::max(worst, bank.size());
      }
    }
    conflicts += worst - 1;
  }
  return conflicts;
}

static u64 sectors(const Reach& reach) {
  constexpr u64 kSector = 32;
  std::vector<u64> touched;
  for (int lane = 0; lane < kLanes; ++lane)
    if (reach.mask >> lane & 1)
      for (u64 s = reach.at[lane] / kSector; s <= (reach.at[lane] + reach.bytes - 1) / kSector; ++s)
        touched.push_back(s);
  std::sort(touched.begin(), touched.end());
  return u64(std::unique(touched.begin(), touched.end()) - touched.begin());
}

void count_access(const Instruction& i, const Reach& reach) {
  Counters& counters = running->counters[pc_of(i)];
  const u64 address = reach.at[__builtin_ctz(reach.mask)];
  if (shared.has(address)) {
    counters.requests++;
    counters.bank_conflicts += bank_conflicts(reach);
  } else if (device.has(address)) {
    counters.requests++;
    counters.sectors += sectors(reach);
  }
}

} // namespace cudasim
