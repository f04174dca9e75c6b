#pragma once
#include "execute.h"

namespace cudasim {

// Addresses of the lanes of a mask; the other lanes repeat the first one's, so that loops over all need no mask.
struct Reach {
  alignas(64) u64 at[kLanes];
  u32 mask;
  u32 bytes; // of each lane
  bool row;  // all lanes, each where the one before ends

  // in[0] + immediate, by the instruction's flags
  Reach(Warp& w, const Instruction& i, u32 mask, u32 bytes);
  Reach(const u64* addresses, u32 mask, u32 bytes);

 private:
  void complete(u32 mask, u32 bytes);
};

} // namespace cudasim
