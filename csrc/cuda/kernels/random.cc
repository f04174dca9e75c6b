// Random numbers: launches. A permutation is a chain of exchanges, each on what the ones before left: it is shuffled on
// the host, from numbers alone, and copied.
#include <vector>

#include "cuda/launch.h"

namespace engine::cuda {
namespace {

struct Key {
  uint32_t k0, k1, call;
  Key(int64_t seed, int64_t c) : k0(uint32_t(seed)), k1(uint32_t(uint64_t(seed) >> 32)), call(uint32_t(c)) {}
};

// A draw of Philox4x32-10, as in cpu/philox.h.
void philox(uint64_t group, const Key& key, uint32_t (&w)[4]) {
  uint32_t c0 = uint32_t(group), c1 = uint32_t(group >> 32), c2 = key.call, c3 = 0, k0 = key.k0, k1 = key.k1;
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t(c0) * 0xD2511F53u, b = uint64_t(c2) * 0xCD9E8D57u;
    c0 = uint32_t(b >> 32) ^ c1 ^ k0;
    c2 = uint32_t(a >> 32) ^ c3 ^ k1;
    c1 = uint32_t(b);
    c3 = uint32_t(a);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  w[0] = c0, w[1] = c1, w[2] = c2, w[3] = c3;
}

} // namespace

template <class T>
void uniform(InOut out, double low, double high, int64_t seed, int64_t call) {
  static const Kernel kernel("random", named<T>("uniform"));
  const Key key(seed, call);
  launch(kernel, {busy_blocks(out.numel(), 1024, 16)}, {256}, 0, out.data<T>(), out.numel(), float(low),
         float(high - low), key.k0, key.k1, key.call);
}

template <class T>
void normal(InOut out, double mean, double std, int64_t seed, int64_t call) {
  static const Kernel kernel("random", named<T>("normal"));
  const Key key(seed, call);
  launch(kernel, {busy_blocks(out.numel(), 1024, 16)}, {256}, 0, out.data<T>(), out.numel(), float(mean), float(std),
         key.k0, key.k1, key.call);
}

template <class T>
void bernoulli(In input, int64_t seed, int64_t call, Out y) {
  static const Kernel kernel("random", named<T>("bernoulli"));
  static const int site = fault_site("bernoulli", "input", Wrong::probability);
  const Key key(seed, call);
  launch(kernel, {busy_blocks(input.numel(), 1024, 16)}, {256}, 0, input.data<T>(), y.data<T>(), input.numel(), key.k0,
         key.k1, key.call, faults(), int32_t(site));
}

template <class T>
void randint(InOut out, int64_t low, int64_t high, int64_t seed, int64_t call) {
  static const Kernel kernel("random", named<T>("randint"));
  if (high <= low)
    throw Error(ErrorKind::value, "randint", "high", "a number above low, which is " + std::to_string(low),
                std::to_string(high));
  const Key key(seed, call);
  launch(kernel, {busy_blocks(out.numel(), 512, 16)}, {256}, 0, out.data<T>(), out.numel(), low,
         uint64_t(high) - uint64_t(low), key.k0, key.k1, key.call);
}

template <class T>
void randperm(int64_t n, int64_t seed, int64_t call, Out y) {
  const Key key(seed, call);
  std::vector<int64_t> to(size_t(n), 0);
  uint32_t words[16][4];
  for (int64_t i = 0; i < n; i++) {
    if (i % 32 == 0)
      for (int g = 0; g < 16; g++) philox(uint64_t(i / 32 * 16 + g), key, words[g]);
    const uint32_t* w = words[i % 16] + i / 16 % 2 * 2;
    __extension__ typedef unsigned __int128 u128;
    const size_t j = size_t(u128(uint64_t(w[1]) << 32 | w[0]) * (uint64_t(i) + 1) >> 64);
    to[size_t(i)] = to[j];
    to[j] = i;
  }
  copy_in(current_device().number, y.data<int64_t>(), to.data(), size_t(n) * sizeof(int64_t));
}

} // namespace engine::cuda

#define FAMILY random
#include "cuda/instances.h"
