// Host's side of device/lookup.cuh: how wide the units of rows may be, and how threads lie on them.
#pragma once
#include "cuda/launch.h"

namespace engine::cuda {

// The largest power of 2, 16 at most, that divides what was shown to it: sizes and strides in bytes, and addresses.
class Unit {
 public:
  Unit& operator<<(int64_t bytes) {
    all_ |= uint64_t(bytes);
    return *this;
  }
  Unit& operator<<(const void* address) {
    all_ |= reinterpret_cast<uintptr_t>(address);
    return *this;
  }
  int64_t bytes() const { return int64_t(all_ & (~all_ + 1)); }

 private:
  uint64_t all_ = 16;
};

inline int row_lanes(int64_t units) {
  int lanes = 1;
  while (lanes < units && lanes < 256) lanes *= 2;
  return lanes;
}
inline unsigned row_blocks(int64_t rows, int lanes) { return blocks(rows, 256 / lanes); }

} // namespace engine::cuda
