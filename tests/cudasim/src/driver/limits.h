// Limits of the simulated device: those of the compute capability that it says it has.
#pragma once
#include "../config.h"

namespace cudasim {

constexpr int kMaxThreads = 1024;
constexpr int kMaxBlockZ = 64;
constexpr int kMaxGridX = 2147483647;
constexpr int kMaxGridYZ = 65535;
constexpr int kDefaultShared = 48 * 1024; // more only where cuFuncSetAttribute has said so
constexpr int kMultiprocessors = 4;

inline int shared_limit() {
  switch (config.capability) {
    case 80:
    case 87:
      return 163 * 1024;
    case 86:
    case 89:
    case 120:
      return 99 * 1024;
    default:
      return 227 * 1024;
  }
}

// The newest PTX that a driver of this version reads: 11.0 → 7.0, 12.0 → 8.0, 13.0 → 9.0.
inline u32 newest_ptx() {
  const int major = config.driver / 1000;
  const int minor = config.driver % 1000 / 10;
  return u32((major - 4) * 10 + minor);
}

} // namespace cudasim
