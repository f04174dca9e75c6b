// The fast paths of the checker: whether all words of a warp's access are in order, several words at a time. They write
// down the access where that is so; the rest is left to check_lane, which finds the same and more slowly.
#include <cstring>

#include "checker_state.h"
#include "config.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace cudasim {

namespace {

// Records that no access can collide with: from before this launch, or of this block before the last barrier.
struct Settled {
  Record lowest; // below: never written
  Record launch;
  Record block;
  Record epoch;
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
  const V written = (w >= in.lowest) & ((w < in.launch) | ((w >= in.block) & (w < in.epoch)) | (w == me));
  const V old = r < in.epoch;
  const V same = r == me;
  const V alike = (((r ^ me) & kShared) == zero) | ((r & kSeveralWarps) != zero);
  if (any(~(written & (old | same | alike)))) return false;
  const V several = zero + (in.epoch | kSeveralWarps);
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
  const V after_writes = (w < in.launch) | ((w >= in.block) & (w < in.epoch)) | (w == me);
  const V after_reads = (r < in.launch) | ((r >= in.block) & (r < in.epoch)) | (r == me);
  if (any(~((w >= zero) & after_writes & after_reads))) return false;
  store(s.writer + word, me | mark);
  store(s.writer_pc + word, typename Vector<N>::Pcs{} + pc);
  return true;
}

bool settled(Record r, const Settled& in) { return r < in.launch || (r >= in.block && r < in.epoch); }

// The same of a single word, by branches.
bool read_word(Shadow& s, size_t word, Record me, const Settled& in, u32 pc) {
  constexpr Record kShared = kHalves | kQuarters;
  const Record w = s.writer[word];
  Record& r = s.reader[word];
  if (w < in.lowest || !(settled(w, in) || w == me)) return false;
  if (r >= in.epoch && r & kShared) return false;
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

} // namespace cudasim
