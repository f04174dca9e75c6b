// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011) and dropout's decisions: the numbers of csrc/cpu/philox.h, bit for
// bit.
#pragma once
#include <stdint.h>

struct Words {
  uint32_t w[4];
};
__device__ __forceinline__ Words philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const uint32_t low0 = c0 * 0xD2511F53u, high0 = __umulhi(c0, 0xD2511F53u);
    const uint32_t low1 = c2 * 0xCD9E8D57u, high1 = __umulhi(c2, 0xCD9E8D57u);
    c0 = high1 ^ c1 ^ k0;
    c2 = high0 ^ c3 ^ k1;
    c1 = low1;
    c3 = low0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// A draw decides about eight positions: half h (0 to 7) of group g belongs to position g / 16 * 128 + h * 16 + g % 16.
__device__ __forceinline__ uint32_t half_of(const Words& words, int h) {
  const uint32_t word = h & 4 ? (h & 2 ? words.w[3] : words.w[2]) : (h & 2 ? words.w[1] : words.w[0]);
  return h & 1 ? word >> 16 : word & 0xffffu;
}

// Everything that dropout of one call needs: kept where the 16 bits < threshold, then multiplied by scale.
struct Dropout {
  uint32_t threshold; // 65536: everything is kept
  float scale;
  uint32_t k0, k1, call;
};

// The decision about element e of a flat tensor.
__device__ __forceinline__ bool keeps(const Dropout& d, int64_t e) {
  const uint64_t group = uint64_t(e) / 128 * 16 + uint64_t(e) % 16;
  const Words words = philox(uint32_t(group), uint32_t(group >> 32), d.call, 0, d.k0, d.k1);
  return half_of(words, int(uint64_t(e) / 16 % 8)) < d.threshold;
}
// About the element in that row and column of the scores of attention; stream = sequence * heads + head.
__device__ __forceinline__ bool keeps(const Dropout& d, uint32_t row, uint32_t column, uint32_t stream) {
  const uint32_t group = column / 128 * 16 + column % 16;
  const Words words = philox(group, row, d.call, stream, d.k0, d.k1);
  return half_of(words, int(column / 16 % 8)) < d.threshold;
}
