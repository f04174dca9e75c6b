// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3") on vectors, and
// dropout's decisions made of it. A number depends on seed, call and position alone: neither tiles nor threads nor the
// ISA change it.
//
// key = (seed low, seed high); counter = (group, c1, call number, stream). A draw gives four words, eight 16-bit halves
// (half h: word h / 2, low half first). Position e of a counter line takes half (e / 16) % 8 of group (e / 128) * 16 +
// e % 16: sixteen groups serve the 128 positions of a block, vector after vector. A position is kept when its half <
// threshold.
//   flat tensors  e = element number (a 64-bit group: its high word is c1), stream = 0
//   attention     e = column of the score matrix, c1 = row within the sequence, stream = sequence * heads + head
#pragma once
#include "cpu/simd.h"

namespace engine::ENGINE_ISA {

// How dropout with probability p keeps and scales: p rounded to 1/65536, the scale exact for the rounded one.
struct KeepRule {
  uint32_t threshold; // 0: keeps nothing; 65536: everything
  double scale;
};
ENGINE_INLINE
KeepRule keep_rule(double p) {
  const uint32_t threshold = uint32_t((1.0 - p) * 65536.0 + 0.5);
  return {threshold, threshold ? 65536.0 / threshold : 0.0};
}

// The four words of one draw.
struct Words {
  uint32_t w[4];
};
ENGINE_INLINE
Words philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t(c0) * 0xD2511F53u, b = uint64_t(c2) * 0xCD9E8D57u;
    c0 = uint32_t(b >> 32) ^ c1 ^ k0;
    c2 = uint32_t(a >> 32) ^ c3 ^ k1;
    c1 = uint32_t(b);
    c3 = uint32_t(a);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

namespace simd {

// Low 32 bits of each 64-bit lane, times m: the whole product.
ENGINE_INLINE
u64 multiply_low(u64 a, u64 m) {
#if defined(ENGINE_ISA_avx512)
  return (u64)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)m);
#elif defined(ENGINE_ISA_avx2)
  return (u64)_mm256_mul_epu32((__m256i)a, (__m256i)m);
#elif defined(__x86_64__)
  return (u64)_mm_mul_epu32((__m128i)a, (__m128i)m);
#elif defined(ENGINE_ISA_neon)
  return (u64)vmull_u32(vmovn_u64(a), vmovn_u64(m));
#else
  return (a & 0xffffffffu) * m;
#endif
}

// A draw in each 32-bit lane for each of R values of c1, from c1 on: counters c0 (a vector of groups), c1 + r, c2, c3.
// Worked on in two vectors of 64-bit lanes, even and odd groups, in which the upper halves are rubbish that nothing
// reads. A draw is one long chain of dependent instructions: several at once keep the multipliers busy.
template <int R>
ENGINE_INLINE
void philox(u32 (&out)[R][4], u32 c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
  const u64 m0 = broadcast(uint64_t(0xD2511F53u)), m1 = broadcast(uint64_t(0xCD9E8D57u));
  u64 x0[2 * R], x1[2 * R], x2[2 * R], x3[2 * R];
#pragma GCC unroll 8
  for (int i = 0; i < 2 * R; i++) {
    x0[i] = i % 2 ? (u64)c0 >> 32 : (u64)c0;
    x1[i] = broadcast(uint64_t(c1 + uint32_t(i / 2)));
    x2[i] = broadcast(uint64_t(c2));
    x3[i] = broadcast(uint64_t(c3));
  }
#pragma GCC unroll 10
  for (int round = 0; round < 10; round++) {
    const u64 key0 = broadcast(uint64_t(k0)), key1 = broadcast(uint64_t(k1));
    u64 p[2 * R], q[2 * R];
#pragma GCC unroll 8
    for (int i = 0; i < 2 * R; i++) {
      p[i] = multiply_low(x0[i], m0);
      q[i] = multiply_low(x2[i], m1);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 2 * R; i++) {
      x0[i] = (q[i] >> 32) ^ x1[i] ^ key0;
      x2[i] = (p[i] >> 32) ^ x3[i] ^ key1;
      x1[i] = q[i];
      x3[i] = p[i];
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  const u64 low = broadcast(uint64_t(0xffffffffu));
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
    out[r][0] = (u32)((x0[2 * r] & low) | x0[2 * r + 1] << 32);
    out[r][1] = (u32)((x1[2 * r] & low) | x1[2 * r + 1] << 32);
    out[r][2] = (u32)((x2[2 * r] & low) | x2[2 * r + 1] << 32);
    out[r][3] = (u32)((x3[2 * r] & low) | x3[2 * r + 1] << 32);
  }
}
ENGINE_INLINE
void philox(u32 (&out)[4], u32 c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
  u32 one[1][4];
  philox<1>(one, c0, c1, c2, c3, k0, k1);
  for (int w = 0; w < 4; w++) out[w] = one[0][w];
}

ENGINE_INLINE
u32 lane_numbers() {
  constexpr uint32_t numbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return load(numbers);
}

} // namespace simd

// The decisions for a flat tensor (attention's: cpu/attention.h). `block(e)` draws those of the 128 positions around e;
// `keep(h)` is then the mask (all ones: kept) of the vector that starts at position h of the block, h a multiple of
// kLanes<float>.
class Decisions {
 public:
  ENGINE_INLINE
  Decisions(double p, int64_t seed, int64_t call)
      : rule_(keep_rule(p)), k0_(uint32_t(seed)), k1_(uint32_t(uint64_t(seed) >> 32)), call_(uint32_t(call)) {}

  ENGINE_INLINE
  float scale() const { return float(rule_.scale); }
  ENGINE_INLINE
  double exact_scale() const { return rule_.scale; }
  ENGINE_INLINE
  uint32_t threshold() const { return rule_.threshold; }

  ENGINE_INLINE
  void block(int64_t e) {
    const uint64_t group = uint64_t(e) / 128 * 16;
    for (int k = 0; k < kVectors; k++)
      simd::philox(words_[k], simd::lane_numbers() + uint32_t(group + uint64_t(k * simd::kLanes<float>)),
                   uint32_t(group >> 32), call_, 0, k0_, k1_);
  }
  ENGINE_INLINE
  simd::i32 keep(int h) const {
    const int half = h / 16, k = h % 16 / simd::kLanes<float>;
    const simd::u32 word = words_[k][half / 2], bits = half % 2 ? word >> 16 : word & 0xffffu;
    return (simd::i32)bits < int32_t(rule_.threshold);
  }

  // One position's decision, for loops over single elements and float64.
  ENGINE_INLINE
  bool keeps(int64_t e) const {
    const uint64_t group = uint64_t(e) / 128 * 16 + uint64_t(e) % 16;
    const Words words = philox(uint32_t(group), uint32_t(group >> 32), call_, 0, k0_, k1_);
    const int half = int(uint64_t(e) / 16 % 8);
    return (half % 2 ? words.w[half / 2] >> 16 : words.w[half / 2] & 0xffffu) < rule_.threshold;
  }

 private:
  static constexpr int kVectors = 16 / simd::kLanes<float>;
  KeepRule rule_;
  uint32_t k0_, k1_, call_;
  simd::u32 words_[kVectors][4];
};

// x times its factor; 0 where the factor is, even of infinities and NaNs.
template <class U>
ENGINE_INLINE
U dropped(U x, U factor) { return factor != 0 ? x * factor : U{}; }

// The factor (0 or the scale) of every position in [begin, end) of a flat tensor, for rows that start anywhere: factors
// must have room for end - begin + 256, the result points at that of `begin`. One line of decisions serves float32 and
// float64.
template <class T>
ENGINE_INLINE
const T* keep_factors(Decisions& decisions, int64_t begin, int64_t end, T* factors) {
  const int64_t first = begin / 128 * 128;
  constexpr int L = simd::kLanes<float>;
  for (int64_t e = first; e < end; e += 128) {
    decisions.block(e);
    for (int h = 0; h < 128; h += L) {
      const simd::f32 factor = decisions.keep(h) ? simd::broadcast(decisions.scale()) : simd::zero<float>();
      if constexpr (sizeof(T) == 4)
        simd::store(factors + (e - first) + h, factor);
      else
        for (int i = 0; i < L; i++) factors[e - first + h + i] = factor[i] != 0 ? decisions.exact_scale() : 0;
    }
  }
  return factors + (begin - first);
}

} // namespace engine::ENGINE_ISA
