// How rows are shared out to threads (device/rows.cuh), and what host functions of row kernels need besides.
#pragma once
#include <initializer_list>

#include "cuda/device/norm_arguments.h"
#include "cuda/device/shared.h"
#include "cuda/launch.h"

namespace engine::cuda {

template <class T>
constexpr int kPack = int(16 / sizeof(T));

// Bytes from a multiple of 16 to p.
inline unsigned phase(const void* p) { return unsigned(reinterpret_cast<uintptr_t>(p) & 15); }
// Whether all given addresses have the same remainder modulo 16.
inline bool same_phase(std::initializer_list<const void*> pointers) {
  const void* first = nullptr;
  for (const void* p : pointers) {
    if (!p) continue;
    if (!first) first = p;
    if (phase(p) != phase(first)) return false;
  }
  return true;
}
inline bool aligned(std::initializer_list<const void*> pointers) {
  for (const void* p : pointers)
    if (phase(p)) return false;
  return true;
}

// A team for each row of d elements; `held` packs fit a thread's registers.
struct Teams {
  int width;
  unsigned threads, rows; // of a block
  bool held;              // the row fits its team's registers
};
template <class T>
Teams teams(int64_t d, int held, int64_t narrowest = 1, int widest = 1024) {
  const int64_t packs = (d + 2 * (kPack<T> - 1)) / kPack<T>; // wherever it starts
  Teams t = {32, 128, 4, true};
  if (packs <= 32 * held) {
    t.width = 1;
    while (t.width < 32 && (t.width < packs || t.width < narrowest)) t.width *= 2;
    t.rows = t.threads / unsigned(t.width);
    return t;
  }
  // Half full registers leave room for more blocks.
  int64_t width = ((packs + held / 2 - 1) / (held / 2 ? held / 2 : 1) + 31) / 32 * 32;
  if (width > widest) width = widest;
  t.held = packs <= width * held;
  t.width = int(width);
  t.threads = unsigned(width);
  t.rows = 1;
  return t;
}

inline int checked_width(const char* op, int64_t d) {
  if (d > 0x7fff0000) throw Error(ErrorKind::value, op, "input", "rows of less than 2^31 elements", std::to_string(d));
  return int(d);
}

// How dropout keeps and scales (cpu/philox.h). by_warps: neighbouring lanes have neighbouring packs.
inline Draws draws(double p, int64_t seed, int64_t call, bool by_warps) {
  const uint32_t threshold = uint32_t((1.0 - p) * 65536.0 + 0.5);
  Draws d = {};
  d.how = p > 0 ? (by_warps ? 1 : 2) : 0;
  d.threshold = threshold;
  d.scale = p > 0 && threshold ? float(65536.0 / threshold) : p > 0 ? 0.f : 1.f;
  d.k0 = uint32_t(seed);
  d.k1 = uint32_t(uint64_t(seed) >> 32);
  d.call = uint32_t(call);
  return d;
}

} // namespace engine::cuda
