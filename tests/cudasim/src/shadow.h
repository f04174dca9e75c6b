// Shadow memory: two records a word of simulated memory, its last write and its last read.
//
// A record is one number, so that the most frequent questions are comparisons of numbers, and the compiler can ask them
// of several words at once:
//
//     63  special   62..32 epoch   31..16 warp epoch   15..10 marks   9..0 thread in the block
//
// 0: never. Epoch 1: by the host. The epoch moves at every block barrier, at the start of each block and each launch;
// the warp epoch counts a thread's __syncwarp.
#pragma once
#include <vector>

#include "types.h"

namespace cudasim {

using Record = s64; // signed: special records are below all others

constexpr Record kThreadBits = 0x3ff;
constexpr Record kByAtomic = 0x400;
constexpr Record kSeveralLanes = 0x800;  // several lanes of the thread's warp, in the same warp epoch
constexpr Record kSeveralWarps = 0x1000; // only the epoch means something
constexpr Record kHalves = 0x2000;       // the upper half by the next thread
constexpr Record kQuarters = 0x4000;     // the bytes by this thread and the next three
constexpr int kWarpEpochShift = 16;
constexpr int kEpochShift = 32;
constexpr Record kSpecial = s64(1) << 63;
constexpr Record kPending = kSpecial | s64(1) << 62; // a cp.async on its way; marks and thread as usual
constexpr Record kSplit = kSpecial;                  // four records of bytes, at this index of `Shadow::splits`

inline Record epoch_start(u32 epoch) { return s64(epoch) << kEpochShift; }
inline u32 epoch_of(Record r) { return u32(u64(r) >> kEpochShift) & 0x7fffffff; }
inline u32 thread_of(Record r) { return u32(r & kThreadBits); }
inline u16 warp_epoch_of(Record r) { return u16(r >> kWarpEpochShift); }
inline bool is_pending(Record r) { return (r & kPending) == kPending; }
inline bool is_split(Record r) { return r < 0 && !is_pending(r); }

struct ByteRecords {
  Record writer[4];
  Record reader[4];
  u32 writer_pc[4];
  u32 reader_pc[4];
};

struct Shadow {
  u64 base = 0; // address of the memory that it describes
  Record* writer = nullptr;
  Record* reader = nullptr;
  u32* writer_pc = nullptr;
  u32* reader_pc = nullptr;
  std::vector<ByteRecords> splits = std::vector<ByteRecords>(1);
  std::vector<u32> free_splits;

  void reserve(u8* memory, size_t bytes);
  void clear(size_t word, size_t words);
  size_t word_of(u64 address) const { return (address - base) / 4; }
  ByteRecords& split(size_t word);             // makes the word four bytes
  void set(size_t word, Record writer_record); // the whole word, never read
  void set_bytes(u64 address, size_t bytes, Record writer_record);
  Record byte_writer(u64 address) const;
  void drop_split(size_t word);
};

} // namespace cudasim
