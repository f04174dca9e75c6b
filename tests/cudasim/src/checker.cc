// When are two accesses in order? In one block: when their epochs differ, when they are of one thread, or of one warp
// with a __syncwarp between. In different blocks of one launch: only by a __threadfence and then an atomic in which the
// other block takes part too. Shuffles and votes order nothing.
//
// Every check exists twice: check_lane asks word by word and writes the findings; check_warp first asks whether all
// words are in order, several at a time, and leaves to check_lane what is not.
#include "checker.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <unordered_map>

#include "config.h"
#include "report.h"
#include "shadow.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace cudasim {

namespace {

Shadow device_shadow;
Shadow shared_shadow;

u32 now = 2;         // the epoch
u32 block_first = 2; // first epoch of the block, of the launch
u32 launch_first = 2;
constexpr u32 kLastEpoch = 1u << 30;
constexpr Record kHostWrote = s64(1) << kEpochShift;

// ---- order between blocks ----

// What a block has published: all its writes before an epoch, and those of each thread up to its fence.
struct Release {
  u32 before;
  std::vector<u32> fences;
};
using Knowledge = std::map<u32, std::shared_ptr<Release>>; // by number of the block in the launch

std::vector<u32> block_starts;               // first epochs
Knowledge known;                             // to the running block
std::unordered_map<u64, Knowledge> known_at; // to whoever does an atomic at this address
bool fenced;                                 // the running block has

bool published(u32 epoch, u32 thread) {
  const auto after = std::upper_bound(block_starts.begin(), block_starts.end(), epoch);
  if (after == block_starts.begin()) return false;
  const auto it = known.find(u32(after - block_starts.begin()) - 1);
  if (it == known.end()) return false;
  const Release& release = *it->second;
  return epoch < release.before || (thread < release.fences.size() && epoch <= release.fences[thread]);
}

// ---- identities ----

void refresh_identity(Warp& w) {
  if (w.identity_epoch == now) return;
  w.identity_epoch = now;
  w.identity_uniform = true;
  for (int lane = 0; lane < kLanes; ++lane) {
    const Thread& t = thread_of(w, lane);
    w.identity[lane] = epoch_start(now) | s64(t.warp_epoch) << kWarpEpochShift | s64(t.linear);
    w.identity_uniform &= w.identity[lane] == w.identity[0] + lane;
  }
}

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

// The reader's record after one more read.
Record merged_reader(Record old, Record me) {
  constexpr Record kLaneBits = kSeveralLanes | (kLanes - 1);
  constexpr Record kWithinWarp = kLaneBits | s64(0xffff) << kWarpEpochShift;
  if (old < epoch_start(now)) return me;
  if (old & kSeveralWarps) return old;
  if ((old ^ me) & ~kWithinWarp) return epoch_start(now) | kSeveralWarps;
  if ((old ^ me) & ~kLaneBits) return me; // earlier reads of this warp, before a __syncwarp
  return old == me ? me : old | kSeveralLanes;
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

// ---- fast paths ----

namespace {

// Records that no access can collide with: from before this launch, or of this block before the last barrier.
struct Settled {
  Record lowest; // below: never written
  Record launch;
  Record block;
  Record now_;
};

Settled settled_in(bool global) {
  const Record block = epoch_start(block_first);
  if (global) return {kHostWrote, epoch_start(launch_first), block, epoch_start(now)};
  return {block, block, block, epoch_start(now)};
}

template <int N>
struct Vector {
  typedef Record Type __attribute__((vector_size(N * sizeof(Record))));
  typedef u32 Pcs __attribute__((vector_size(N * sizeof(u32))));
};

template <class V, class E>
V load(const E* p) {
  V v;
  memcpy(&v, p, sizeof v);
  return v;
}

template <class V, class E>
void store(E* p, V v) {
  memcpy(p, &v, sizeof v);
}

template <class V>
bool any(V v) {
#ifdef __AVX2__
  if constexpr (sizeof v == 64) {
    typedef Record Half __attribute__((vector_size(32)));
    const Half both = __builtin_shufflevector(v, v, 0, 1, 2, 3) | __builtin_shufflevector(v, v, 4, 5, 6, 7);
    return !_mm256_testz_si256(reinterpret_cast<__m256i>(both), reinterpret_cast<__m256i>(both));
  } else if constexpr (sizeof v == 32) {
    return !_mm256_testz_si256(reinterpret_cast<__m256i>(v), reinterpret_cast<__m256i>(v));
  }
#endif
  Record all = 0;
  for (size_t k = 0; k < sizeof v / sizeof(Record); ++k) all |= v[k];
  return all != 0;
}

// All of N words may be read by `me`; if so it is written down.
template <int N>
bool read_words(Shadow& s, size_t word, typename Vector<N>::Type me, const Settled& in, u32 pc) {
  using V = typename Vector<N>::Type;
  constexpr Record kLaneBits = kSeveralLanes | (kLanes - 1);
  constexpr Record kWithinWarp = kLaneBits | s64(0xffff) << kWarpEpochShift;
  constexpr Record kShared = kHalves | kQuarters; // such a record is merged with its like only
  const V zero = {};
  const V w = load<V>(s.writer + word);
  const V r = load<V>(s.reader + word);
  const V written = (w >= in.lowest) & ((w < in.launch) | ((w >= in.block) & (w < in.now_)) | (w == me));
  const V old = r < in.now_;
  const V same = r == me;
  const V alike = (((r ^ me) & kShared) == zero) | ((r & kSeveralWarps) != zero);
  if (any(~(written & (old | same | alike)))) return false;
  const V several = zero + (in.now_ | kSeveralWarps);
  const V difference = r ^ me;
  V next = several;
  next = (difference & ~kWithinWarp) == zero ? me : next;
  next = ((difference & ~kLaneBits) == zero) & ~same ? r | kSeveralLanes : next;
  next = (r & kSeveralWarps) != zero ? several : next;
  next = old | same ? me : next;
  store(s.reader + word, next);
  store(s.reader_pc + word, typename Vector<N>::Pcs{} + pc);
  return true;
}

// All of N words may be written by `me`; if so it is written down, with a mark.
template <int N>
bool write_words(Shadow& s, size_t word, typename Vector<N>::Type me, const Settled& in, u32 pc, Record mark) {
  using V = typename Vector<N>::Type;
  const V zero = {};
  const V w = load<V>(s.writer + word);
  const V r = load<V>(s.reader + word);
  const V after_writes = (w < in.launch) | ((w >= in.block) & (w < in.now_)) | (w == me);
  const V after_reads = (r < in.launch) | ((r >= in.block) & (r < in.now_)) | (r == me);
  if (any(~((w >= zero) & after_writes & after_reads))) return false;
  store(s.writer + word, me | mark);
  store(s.writer_pc + word, typename Vector<N>::Pcs{} + pc);
  return true;
}

bool settled(Record r, const Settled& in) { return r < in.launch || (r >= in.block && r < in.now_); }

// The same of a single word, by branches.
bool read_word(Shadow& s, size_t word, Record me, const Settled& in, u32 pc) {
  constexpr Record kShared = kHalves | kQuarters;
  const Record w = s.writer[word];
  Record& r = s.reader[word];
  if (w < in.lowest || !(settled(w, in) || w == me)) return false;
  if (r >= in.now_ && r & kShared) return false;
  r = merged_reader(r, me);
  s.reader_pc[word] = pc;
  return true;
}

bool write_word(Shadow& s, size_t word, Record me, const Settled& in, u32 pc, Record mark) {
  const Record w = s.writer[word];
  const Record r = s.reader[word];
  if (w < 0 || !(settled(w, in) || w == me) || !(settled(r, in) || r == me)) return false;
  s.writer[word] = me | mark;
  s.writer_pc[word] = pc;
  return true;
}

template <int N>
bool touch_words(Shadow& s, size_t word, typename Vector<N>::Type me, const Settled& in, u32 pc, Access access) {
  if (access == Access::kRead) return read_words<N>(s, word, me, in, pc);
  return write_words<N>(s, word, me, in, pc, access == Access::kCopyStart ? kPending : 0);
}

// One lane, or several that touch the same words.
template <int N>
bool touch_by_lane(Shadow& s, size_t word, Record me, const Settled& in, u32 pc, Access access) {
  if constexpr (N > 1) return touch_words<N>(s, word, typename Vector<N>::Type{} + me, in, pc, access);
  if (access == Access::kRead) return read_word(s, word, me, in, pc);
  return write_word(s, word, me, in, pc, access == Access::kCopyStart ? kPending : 0);
}

// Lanes 16 to 31 touch what lanes 0 to 15 do: the operands of a product by tiles.
bool halves_are_equal(const u64* addresses) {
  u64 difference = 0;
  for (int lane = 0; lane < kLanes / 2; ++lane) difference |= addresses[lane] ^ addresses[lane + kLanes / 2];
  return difference == 0;
}

// Lanes that touch one or more words each, wherever they are.
template <int N>
void check_lanes(Warp& w, const Reach& reach, Access access, u32 pc, Shadow& s, const Settled& in) {
  const u64* addresses = reach.at;
  const bool read = access == Access::kRead;
  const bool twice = read && reach.mask == kAllLanes && halves_are_equal(addresses);
  for (u32 left = twice ? kAllLanes >> kLanes / 2 : reach.mask; left;) {
    const int lane = __builtin_ctz(left);
    u32 same = left & -left;
    if (read)
      for (int next = lane + 1; next < kLanes && left >> next & 1 && addresses[next] == addresses[lane]; ++next)
        same |= 1u << next;
    left &= ~same;
    if (twice) same |= same << kLanes / 2;
    const Record me = w.identity[lane] | (same & (same - 1) ? kSeveralLanes : 0);
    if (touch_by_lane<N>(s, s.word_of(addresses[lane]), me, in, pc, access)) continue;
    for (; same; same &= same - 1) check_lane(w, __builtin_ctz(same), addresses[lane], N * 4, access, pc);
  }
}

// All lanes, each where the one before ends: eight words at a time, of two lanes (16 bytes each) to 32 (one byte each).
void check_row(Warp& w, const Reach& reach, Access access, u32 pc, Shadow& s, const Settled& in) {
  constexpr int kWords = 8;
  const int bytes = int(reach.bytes);
  const Record mark = bytes == 2 ? kHalves : bytes == 1 ? kQuarters : 0;
  const int step = kWords * 4 / bytes; // lanes
  for (int lane = 0; lane < kLanes; lane += step) {
    Vector<kWords>::Type me;
    for (int k = 0; k < kWords; ++k) me[k] = w.identity[lane + k * 4 / bytes] | mark;
    if (touch_words<kWords>(s, s.word_of(reach.at[lane]), me, in, pc, access)) continue;
    for (int k = lane; k < lane + step; ++k) check_lane(w, k, reach.at[k], reach.bytes, access, pc);
  }
}

} // namespace

void check_warp(Warp& w, const Reach& reach, Access access, u32 pc) {
  if (!config.plain && access != Access::kAtomic) {
    refresh_identity(w);
    const bool global = !shared.has(reach.at[0]);
    Shadow& s = global ? device_shadow : shared_shadow;
    const Settled in = settled_in(global);
    const bool words = reach.bytes >= 4 || (w.identity_uniform && reach.at[0] % 4 == 0);
    if (reach.row && words) return check_row(w, reach, access, pc, s, in);
    switch (reach.bytes) {
      case 4:
        return check_lanes<1>(w, reach, access, pc, s, in);
      case 8:
        return check_lanes<2>(w, reach, access, pc, s, in);
      case 16:
        return check_lanes<4>(w, reach, access, pc, s, in);
    }
  }
  for (u32 left = reach.mask; left; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    check_lane(w, lane, reach.at[lane], reach.bytes, access, pc);
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
  block_starts.clear();
  known.clear();
  known_at.clear();
  fenced = false;
  arrays.clear();
  arrays.push_back({u64(shared.base), dynamic_shared, State::kReady});
  for (const SharedArray& a : kernel.shared_arrays)
    arrays.push_back({u64(shared.base) + kSharedStatic + a.offset, a.size, State::kReady});
}

void begin_block() {
  block_first = ++now;
  block_starts.push_back(now);
  ++now; // nothing happens in the first epoch: what a read of unwritten memory has left behind is in order with all
  known.clear();
  fenced = false;
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

void end_launch() {
  ++now;
  known_at.clear();
}

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

void note_fence(Warp& w, u32 mask) {
  fenced = true;
  for (; mask; mask &= mask - 1) thread_of(w, __builtin_ctz(mask)).fence = now;
}

void note_atomic(const Thread& thread, u64 address) {
  if (!fenced && known_at.empty()) return;
  Knowledge& here = known_at[address];
  for (const auto& [block, release] : here) known[block] = release;
  if (!fenced) return;
  const size_t count = warps.size() * kLanes;
  auto release = std::make_shared<Release>();
  release->before = thread.fence;
  release->fences.resize(count);
  for (size_t t = 0; t < count; ++t) {
    const u32 fence = threads[t].fence;
    if (fence && (fence < now || t == thread.linear)) release->fences[t] = fence;
  }
  known[u32(block_starts.size()) - 1] = release;
  for (const auto& [block, what] : known) here[block] = what;
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
