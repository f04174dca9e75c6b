// Random numbers: uniform, normal, integers, permutations. Each is a function of (seed, call, position) alone, by
// Philox4x32-10 with key (seed low, seed high) and counter (group low, group high, call, 0).
//
// 32-bit draws: element e takes word (e / 16) % 4 of group (e / 64) * 16 + e % 16.
// 64-bit draws: element e takes words 2k (low half) and 2k + 1, k = (e / 16) % 2, of group (e / 32) * 16 + e % 16.
//
// float32 results have the same bits on every ISA: nothing here is fused, and each step is rounded as IEEE 754 says.
// float64 normals go through libm and are as exact as that is.
#include "core/raise.h"
#include "core/view.h"
#include "cpu/parallel.h"
#include "cpu/philox.h"

namespace engine::ENGINE_ISA {

using namespace simd;

constexpr int kWords = 64;         // words of the sixteen groups that are drawn together
constexpr int64_t kDrawGrain = 64; // such blocks a chunk

struct Source {
  int64_t seed, call;
  // The words of groups 16 * block to 16 * block + 15: word w of group g at 16 * w + g.
  void draw(int64_t block, uint32_t* words) const {
    const uint64_t group = uint64_t(block) * 16;
    for (int k = 0; k < 16; k += kLanes<float>) {
      u32 out[4];
      philox(out, lane_numbers() + uint32_t(group + uint64_t(k)), uint32_t(group >> 32), uint32_t(call), 0,
             uint32_t(seed), uint32_t(uint64_t(seed) >> 32));
      for (int w = 0; w < 4; w++) store(words + 16 * w + k, out[w]);
    }
  }
};

static ENGINE_INLINE
uint64_t word64(const uint32_t* words, int i) {
  const int at = i / 16 * 32 + i % 16;
  return uint64_t(words[at + 16]) << 32 | words[at];
}

// fn(words, first, n): the block whose first element is `first`; n elements of it are wanted.
template <int kPerBlock, class Fn>
static void for_each_block(int64_t n, int64_t seed, int64_t call, const Fn& fn) {
  const Source source{seed, call};
  parallel_ranges((n + kPerBlock - 1) / kPerBlock, kDrawGrain, [&](int64_t begin, int64_t end) {
    alignas(64) uint32_t words[kWords];
    for (int64_t b = begin; b < end; b++) {
      source.draw(b, words);
      const int64_t first = b * kPerBlock, left = n - first;
      fn(words, first, int(left < kPerBlock ? left : kPerBlock));
    }
  });
}

template <class T>
constexpr int kPerBlock = sizeof(T) == 4 ? 64 : 32;

// In [0, 1): the upper 24 (float64: 53) bits of a draw.
static ENGINE_INLINE
float unit(const uint32_t* words, int i, float) { return float(int32_t(words[i] >> 8)) * 0x1p-24f; }
static ENGINE_INLINE
double unit(const uint32_t* words, int i, double) { return double(int64_t(word64(words, i) >> 11)) * 0x1p-53; }

template <class T>
void uniform(InOut out, double low, double high, int64_t seed, int64_t call) {
  T* to = out.data<T>();
  const T base = T(low), width = T(high - low);
  for_each_block<kPerBlock<T>>(out.numel(), seed, call, [=](const uint32_t* words, int64_t first, int n) {
    for (int i = 0; i < n; i++) to[first + i] = unit(words, i, T()) * width + base;
  });
}

template <class T>
void bernoulli(In input, int64_t seed, int64_t call, Out y) {
  const T* p = input.data<T>();
  T* to = y.data<T>();
  for (int64_t i = 0, n = input.numel(); i < n; i++)
    if (!(p[i] >= 0 && p[i] <= 1))
      raise_value("bernoulli", "input", "probabilities in [0, 1]",
                  Text("%g at position %lld", double(p[i]), (long long)i));
  for_each_block<kPerBlock<T>>(input.numel(), seed, call, [=](const uint32_t* words, int64_t first, int n) {
    for (int i = 0; i < n; i++) to[first + i] = unit(words, i, T()) < p[first + i] ? T(1) : T(0);
  });
}

// ---------------------------------------------------------------- normal numbers (Box and Muller 1958)

// (a + 1/2) / 2^32, rounded to float: fine where it is small.
static ENGINE_INLINE
f32 fraction(u32 a) {
  return (to_float((i32)(a >> 16)) * 0x1p-16f + to_float((i32)(a & 0xffffu)) * 0x1p-32f) + 0x1p-33f;
}

// log((a + 1/2) / 2^32), not fused (coefficients: Cephes, logf). Above sqrt(1/2) it is taken of 1 minus the fraction of
// what a lacks, so that neither end of the interval is coarse.
static ENGINE_INLINE
f32 log_fraction(u32 a) {
  const i32 bits = (i32)fraction(a) - 0x3f3504f3, high = (i32)(a > 0xb504f333u);
  const f32 zeros = zero<float>(), mantissa = (f32)((bits & 0x7fffff) + 0x3f3504f3);
  const f32 e = high ? zeros : to_float(bits >> 23), f = high ? -fraction(~a) : mantissa - 1.0f, z = f * f;
  f32 p = 7.0376836292e-2f * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  return e * 0.693359375f + (f + ((p * f * z - e * 2.12194440e-4f) - 0.5f * z));
}

// Two normal numbers from two words: the radius from one, the angle from the other.
static ENGINE_INLINE
void normal_pair(u32 a, u32 b, f32& first, f32& second) {
  const f32 radius = sqrt(-2.0f * log_fraction(a));
  // b / 2^32 of a turn = quarter turns + a rest in [-1/8, 1/8) turn (series: Cephes, sinf and cosf).
  const u32 quarter = (b + 0x20000000u) >> 30;
  const f32 x = to_float((i32)(b - (quarter << 30))) * 1.46291807926715968e-9f, z = x * x; // pi / 2^31
  const f32 sine = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * x + x;
  const f32 cosine =
      ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z - 0.5f * z + 1.0f;
  const i32 odd = (i32)((quarter & 1u) != 0u);
  const u32 flip_cos = ((quarter + 1u) & 2u) << 30, flip_sin = (quarter & 2u) << 30;
  first = radius * (f32)((u32)(odd ? sine : cosine) ^ flip_cos);
  second = radius * (f32)((u32)(odd ? cosine : sine) ^ flip_sin);
}

static void normal_block(uint32_t* words, float mean, float std, float* to) {
  for (int at = 0; at < kWords; at += 32)
    for (int k = at; k < at + 16; k += kLanes<float>) {
      f32 a, b;
      normal_pair(load(words + k), load(words + k + 16), a, b);
      store(to + k, a * std + mean);
      store(to + k + 16, b * std + mean);
    }
}
static void normal_block(uint32_t* words, double mean, double std, double* to) {
  for (int i = 0; i < 16; i++) {
    const double u = (double(int64_t(word64(words, i) >> 11)) + 0.5) * 0x1p-53;
    const double angle = double(int64_t(word64(words, i + 16) >> 11)) * (0x1p-53 * 6.283185307179586477);
    const double radius = __builtin_sqrt(-2 * __builtin_log(u));
    to[i] = radius * __builtin_cos(angle) * std + mean;
    to[i + 16] = radius * __builtin_sin(angle) * std + mean;
  }
}

template <class T>
void normal(InOut out, double mean, double std, int64_t seed, int64_t call) {
  T* to = out.data<T>();
  for_each_block<kPerBlock<T>>(out.numel(), seed, call, [=](uint32_t* words, int64_t first, int n) {
    alignas(64) T numbers[kPerBlock<T>];
    normal_block(words, T(mean), T(std), numbers);
    __builtin_memcpy(to + first, numbers, size_t(n) * sizeof(T));
  });
}

// ---------------------------------------------------------------- integers

// 64 random bits scaled to [0, range): off from uniform by at most range / 2^64.
static ENGINE_INLINE
uint64_t below(uint64_t bits, uint64_t range) {
  __extension__ typedef unsigned __int128 u128;
  return uint64_t(u128(bits) * range >> 64);
}

template <class T>
void randint(InOut out, int64_t low, int64_t high, int64_t seed, int64_t call) {
  if (high <= low)
    raise_value("randint", "high", Text("a number above low, which is %lld", (long long)low),
                Text("%lld", (long long)high));
  T* to = out.data<T>();
  const uint64_t range = uint64_t(high) - uint64_t(low);
  for_each_block<32>(out.numel(), seed, call, [=](const uint32_t* words, int64_t first, int n) {
    for (int i = 0; i < n; i++) to[first + i] = T(int64_t(uint64_t(low) + below(word64(words, i), range)));
  });
}

// Fisher and Yates, inside out: number i goes to a random place of the first i + 1, what stood there to the end.
template <class T>
void randperm(int64_t n, int64_t seed, int64_t call, Out y) {
  int64_t* to = y.data<int64_t>();
  const Source source{seed, call};
  alignas(64) uint32_t words[kWords];
  for (int64_t i = 0; i < n; i++) {
    if (i % 32 == 0) source.draw(i / 32, words);
    const int64_t j = int64_t(below(word64(words, int(i % 32)), uint64_t(i) + 1));
    to[i] = to[j];
    to[j] = i;
  }
}

} // namespace engine::ENGINE_ISA

#define FAMILY random
#include "cpu/instances.h"
