// When are two accesses in order? In one block: when their epochs differ, when they are of one thread, or of one warp
// with a __syncwarp between. In different blocks of one launch: only by a __threadfence and then an atomic in which the
// other block takes part too. Shuffles and votes order nothing.
//
// Every check exists twice: check_lane asks word by word and writes the findings; check_warp first asks whether all
// words are in order, several at a time, and leaves to check_lane what is not.
#include "checker.h"

#include <algorithm>

#include "checker_state.h"
#include "config.h"
#include "report.h"

namespace cudasim {

Shadow device_shadow;
Shadow shared_shadow;
u32 now = 2;
u32 block_first = 2;
u32 launch_first = 2;

namespace {

constexpr u32 kLastEpoch = 1u << 30;

// ---- one access of one thread to one record ----

struct Attempt {
  const Thread& thread;
  Record me;
  Access access;
  u32 pc;
  bool global;
  u64 address;

  const char* space() const { return global ? "global" : "shared"; }
  size_t offset() const { return (global ? device : shared).offset(address); }
};

bool unordered(Record before, const Attempt& a) {
  const u32 epoch = epoch_of(before);
  if (epoch == now) {
    if (before & kSeveralWarps) return true;
    const u32 other = thread_of(before);
    if (other == a.thread.linear && !(before & kSeveralLanes)) return false;
    const bool same_warp = other / kLanes == a.thread.linear / kLanes;
    return !(same_warp && warp_epoch_of(before) < a.thread.warp_epoch);
  }
  return a.global && epoch >= launch_first && epoch < block_first && !published(epoch, thread_of(before));
}

bool never_written(Record writer, bool global) {
  if (is_pending(writer)) return false;
  return global ? writer == 0 : epoch_of(writer) < block_first;
}

void report_race(const Attempt& a, const char* what, Record other, u32 other_pc) {
  const char* kind = a.global ? "global-race" : "shared-race";
  if (other & kSeveralWarps) {
    report(kind, &a.thread, a.pc, other_pc, "%s by several threads (%s offset %zu)", what, a.space(), a.offset());
  } else {
    report(kind, &a.thread, a.pc, other_pc, "%s by thread %u (%s offset %zu)", what, thread_of(other), a.space(),
           a.offset());
  }
}

void check_read(const Attempt& a, Record& writer, Record& reader, u32 writer_pc, u32& reader_pc) {
  if (never_written(writer, a.global)) {
    report(a.global ? "global-uninit" : "shared-uninit", &a.thread, a.pc, kNowhere,
           "read of %s memory never written (offset %zu)", a.space(), a.offset());
    writer = a.global ? kHostWrote : epoch_start(block_first); // no second report of the same bytes
    return;
  }
  if (is_pending(writer)) {
    report("cp.async-pending", &a.thread, a.pc, writer_pc, "read of %s bytes whose cp.async has not been waited for",
           a.space());
  } else if (unordered(writer, a)) {
    report_race(a, "read after unordered write", writer, writer_pc);
  }
  reader = merged_reader(reader, a.me);
  reader_pc = a.pc;
}

void check_write(const Attempt& a, Record& writer, Record& reader, u32& writer_pc, u32 reader_pc) {
  const bool atomic = a.access == Access::kAtomic;
  if (never_written(writer, a.global)) {
    if (atomic)
      report(a.global ? "global-uninit" : "shared-uninit", &a.thread, a.pc, kNowhere,
             "atomic on %s memory never written (offset %zu)", a.space(), a.offset());
  } else if (is_pending(writer)) {
    report("cp.async-pending", &a.thread, a.pc, writer_pc, "write to %s bytes on which a cp.async is still on its way",
           a.space());
  } else if (!(atomic && (writer & kByAtomic)) && unordered(writer, a)) {
    report_race(a, "write after unordered write", writer, writer_pc);
  }
  if (unordered(reader, a)) report_race(a, "write after unordered read", reader, reader_pc);
  writer = a.me | (atomic ? kByAtomic : 0) | (a.access == Access::kCopyStart ? kPending : 0);
  writer_pc = a.pc;
}

void check_record(const Attempt& a, Record& writer, Record& reader, u32& writer_pc, u32& reader_pc) {
  if (a.access == Access::kRead) {
    check_read(a, writer, reader, writer_pc, reader_pc);
  } else {
    check_write(a, writer, reader, writer_pc, reader_pc);
  }
}

// Four bytes become a word again when all their records are from before this launch (shared memory: this block).
void join_if_settled(Shadow& shadow, size_t word, bool global) {
  if (!is_split(shadow.writer[word])) return;
  const ByteRecords& bytes = shadow.splits[u32(shadow.writer[word])];
  const u32 first = global ? launch_first : block_first;
  for (int byte = 0; byte < 4; ++byte) {
    const Record w = bytes.writer[byte];
    if (w < 0 || epoch_of(w) >= first || epoch_of(bytes.reader[byte]) >= first) return;
    if (global && w == 0) return; // not all of it is written
  }
  shadow.drop_split(word);
  shadow.writer[word] = global ? kHostWrote : 0;
  shadow.reader[word] = 0;
}

bool belongs_to_several(Record r, bool global) {
  return r > 0 && r & (kHalves | kQuarters) && epoch_of(r) >= (global ? launch_first : block_first);
}

} // namespace

void check_lane(Warp& w, int lane, u64 address, u32 bytes, Access access, u32 pc) {
  refresh_identity(w);
  const bool global = !shared.has(address);
  Shadow& shadow = global ? device_shadow : shared_shadow;
  Attempt a{thread_of(w, lane), w.identity[lane], access, pc, global, address};
  for (const u64 end = address + bytes; a.address < end;) {
    const size_t word = shadow.word_of(a.address);
    const u32 part = std::min<u32>(4 - a.address % 4, u32(end - a.address));
    join_if_settled(shadow, word, global);
    Record& writer = shadow.writer[word];
    Record& reader = shadow.reader[word];
    const bool several = belongs_to_several(writer, global) || belongs_to_several(reader, global);
    if (part == 4 && !several && !is_split(writer)) {
      check_record(a, writer, reader, shadow.writer_pc[word], shadow.reader_pc[word]);
      a.address += 4;
      continue;
    }
    ByteRecords& records = shadow.split(word);
    for (u32 k = 0; k < part; ++k, ++a.address) {
      const u32 byte = a.address % 4;
      check_record(a, records.writer[byte], records.reader[byte], records.writer_pc[byte], records.reader_pc[byte]);
    }
    if (part == 4 && access != Access::kRead) {
      const Record written = records.writer[0];
      const Record read = records.reader[0];
      shadow.drop_split(word);
      shadow.writer[word] = written;
      shadow.writer_pc[word] = pc;
      shadow.reader[word] = read;
    }
  }
}

void copy_arrived(Warp& w, int lane, u64 address, u32 bytes, u32 pc) {
  refresh_identity(w);
  for (size_t word = shared_shadow.word_of(address); bytes; bytes -= 4, ++word) {
    shared_shadow.drop_split(word);
    shared_shadow.writer[word] = w.identity[lane];
    shared_shadow.writer_pc[word] = pc;
  }
}

// ---- the course of a launch ----

namespace {

std::vector<Allocation> arrays; // of shared memory

// The epochs would run out: what is written stays written, and all is long in order.
void start_epochs_again() {
  each_allocation([](const Allocation& a) {
    for (u64 address = a.begin; address < a.begin + a.size; address += 4) {
      const size_t word = device_shadow.word_of(address);
      if (is_split(device_shadow.writer[word])) continue; // rare, and at worst a race that is none
      if (device_shadow.writer[word]) device_shadow.writer[word] = kHostWrote;
      device_shadow.reader[word] = 0;
    }
  });
  shared_shadow.clear(0, kSharedBytes / 4);
  now = 2;
}

} // namespace

void begin_launch(const Kernel& kernel, u32 dynamic_shared) {
  if (now > kLastEpoch) start_epochs_again();
  launch_first = ++now;
  order_launch();
  arrays.clear();
  arrays.push_back({u64(shared.base), dynamic_shared, State::kReady});
  for (const SharedArray& a : kernel.shared_arrays)
    arrays.push_back({u64(shared.base) + kSharedStatic + a.offset, a.size, State::kReady});
}

void begin_block() {
  block_first = ++now;
  order_block(now);
  ++now; // nothing happens in the first epoch: what a read of unwritten memory has left behind is in order with all
  for (size_t t = 0; t < warps.size() * kLanes; ++t) {
    threads[t].fence = 0;
    threads[t].warp_epoch = 0;
  }
}

void end_block() {
  for (size_t t = 0; t < warps.size() * kLanes; ++t) {
    for (const Copy& copy : threads[t].copies) shared_shadow.set_bytes(u64(copy.to), copy.bytes, 0);
    threads[t].copies.clear();
    threads[t].group_ends.clear();
  }
}

void end_launch() { ++now; }

void new_epoch() { ++now; }

void new_warp_epoch(Warp& w, u32 mask) {
  constexpr u16 kLast = 0xfffe;
  w.identity_epoch = 0;
  bool full = false;
  for (; mask; mask &= mask - 1) {
    Thread& t = thread_of(w, __builtin_ctz(mask));
    full |= ++t.warp_epoch == kLast;
  }
  if (!full) return;
  new_epoch(); // a moment at which all is taken to be in order
  for (size_t t = 0; t < warps.size() * kLanes; ++t) threads[t].warp_epoch = 0;
}

Allocation shared_array(u64 address) {
  for (const Allocation& a : arrays)
    if (address - a.begin < a.size) return a;
  return {address, 0, State::kReady};
}

// ---- the host ----

void reserve_shadow() {
  device_shadow.reserve(device.base, device.size);
  shared_shadow.reserve(shared.base, shared.size);
}

void forget_device(const void* p, size_t bytes) { device_shadow.clear(device_shadow.word_of(u64(p)), (bytes + 3) / 4); }

void host_wrote(const void* p, size_t bytes) {
  if (config.check && device.has(p)) device_shadow.set_bytes(u64(p), bytes, kHostWrote);
}

void host_reads(const void* p, size_t bytes, const char* what) {
  if (!config.check || !device.has(p)) return;
  size_t missing = 0;
  size_t first = 0;
  for (size_t k = 0; k < bytes;) {
    const u64 address = u64(p) + k;
    const Record writer = device_shadow.writer[device_shadow.word_of(address)];
    const size_t step = address % 4 == 0 && bytes - k >= 4 && !is_split(writer) ? 4 : 1;
    if (device_shadow.byte_writer(address) == 0) {
      if (!missing) first = k;
      missing += step;
    }
    k += step;
  }
  if (missing)
    report_host("uninit-to-host", "%s: %zu of %zu bytes were never written, the first at byte %zu", what, missing,
                bytes, first);
}

void device_copied(void* to, const void* from, size_t bytes) {
  if (!config.check) return;
  for (size_t k = 0; k < bytes;) {
    const u64 source = u64(from) + k;
    const u64 target = u64(to) + k;
    const Record writer = device_shadow.writer[device_shadow.word_of(source)];
    const bool words = source % 4 == 0 && target % 4 == 0 && bytes - k >= 4 && !is_split(writer);
    const size_t step = words ? 4 : 1;
    device_shadow.set_bytes(target, step, device_shadow.byte_writer(source) ? kHostWrote : 0);
    k += step;
  }
}

void assume_all_written() {
  each_allocation([](const Allocation& a) { device_shadow.set_bytes(a.begin, a.size, kHostWrote); });
}

} // namespace cudasim
