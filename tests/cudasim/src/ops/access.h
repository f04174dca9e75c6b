// The way of every access to memory: addresses of the lanes, then whether they may touch them.
#pragma once
#include "../checker.h"

namespace cudasim {

// Those lanes that may touch their memory; what they may not has been reported. Throws where a GPU would stop. Races
// are reported too, and go on.
u32 permitted(Warp& w, Range& range, const Instruction& i, const Reach& reach, u32 flags, Access access);

// For CUDASIM_PROFILE=1.
void count_access(const Instruction& i, const Reach& reach);

} // namespace cudasim
