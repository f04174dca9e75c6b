// The way of every access to memory: addresses of the lanes, then whether they may touch them.
#pragma once
#include "../checker.h"

namespace cudasim {

// Those lanes that may touch their memory; what they may not has been reported. Throws where a GPU would stop. Races
// are reported too, and go on.
u32 permitted(Warp& w, Range& range, const Instruction& i, const Reach& reach, u32 flags, Access access);

// The same of one lane that touches any number of bytes: whether it may. Alignment is not looked at.
bool permitted_lane(Warp& w, Range& range, const Instruction& i, int lane, u64 address, u32 bytes, u32 flags,
                    Access access);

void require_aligned(Warp& w, const Instruction& i, const Reach& reach, Access access);

// For CUDASIM_PROFILE=1.
void count_access(const Instruction& i, const Reach& reach);

} // namespace cudasim
