// The short names of types that every file of the simulator uses.
#pragma once
#include <cstddef>
#include <cstdint>

namespace cudasim {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s8 = int8_t;
using s16 = int16_t;
using s32 = int32_t;
using s64 = int64_t;
using f32 = float;
using f64 = double;

constexpr int kLanes = 32;
constexpr u32 kAllLanes = ~0u;

struct Dim3 {
  u32 x = 1, y = 1, z = 1;
};

// What a call or a launch ends with: values of CUresult.
enum Status : int {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kIllegalAddress = 700,
  kLaunchTimeout = 702,
  kAssert = 710,
  kMisaligned = 716,
  kLaunchFailed = 719,
};

// Thrown inside a kernel that cannot go on; a report has been made before.
struct Fault {
  Status status;
};

} // namespace cudasim
