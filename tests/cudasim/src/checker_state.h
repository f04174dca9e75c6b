// What the files of the checker share.
#pragma once
#include "checker.h"
#include "shadow.h"

namespace cudasim {

extern Shadow device_shadow;
extern Shadow shared_shadow;

extern u32 now;         // the epoch
extern u32 block_first; // the first epoch of the block, of the launch
extern u32 launch_first;
constexpr Record kHostWrote = s64(1) << kEpochShift;

// ---- order between blocks (order.cc) ----
void order_launch();
void order_block(u32 first_epoch);
// A write of that epoch by that thread, in an earlier block of the launch, is known to the running block.
bool published(u32 epoch, u32 thread);

inline void refresh_identity(Warp& w) {
  if (w.identity_epoch == now) return;
  w.identity_epoch = now;
  w.identity_uniform = true;
  for (int lane = 0; lane < kLanes; ++lane) {
    const Thread& t = thread_of(w, lane);
    w.identity[lane] = epoch_start(now) | s64(t.warp_epoch) << kWarpEpochShift | s64(t.linear);
    w.identity_uniform &= w.identity[lane] == w.identity[0] + lane;
  }
}

// The reader's record after one more read.
inline Record merged_reader(Record old, Record me) {
  constexpr Record kLaneBits = kSeveralLanes | (kLanes - 1);
  constexpr Record kWithinWarp = kLaneBits | s64(0xffff) << kWarpEpochShift;
  if (old < epoch_start(now)) return me;
  if (old & kSeveralWarps) return old;
  if ((old ^ me) & ~kWithinWarp) return epoch_start(now) | kSeveralWarps;
  if ((old ^ me) & ~kLaneBits) return me; // earlier reads of this warp, before a __syncwarp
  return old == me ? me : old | kSeveralLanes;
}

} // namespace cudasim
