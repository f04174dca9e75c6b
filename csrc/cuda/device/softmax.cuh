// The largest element of a row and the sum of its exponentials.
#pragma once
#include "cuda/device/rows.cuh"

// high: the largest element (NaNs do not count); total: the sum of e^(x - high). Of a row of nothing but -inf: -inf and
// 0; a NaN makes the total NaN. Where the row is held and `keep` is set, its exponentials stay in its place. The row's
// load fills with -inf.
template <class T, bool Held, int P, class Load>
__device__ __forceinline__ void exponentials(Team& team, Row<T, Held, P>& row, const Load& load, bool keep, float& high,
                                             float& total) {
  constexpr int N = Pack<T>::N;
  high = -kInfinity;
  total = 0;
  if constexpr (Held) {
    row.read(load);
    row.pass(load, [&](int, float (&v)[N]) {
#pragma unroll
      for (int i = 0; i < N; i++) high = fmaxf(high, v[i]);
    });
    high = team.max(high);
    const float shift = high == -kInfinity ? 0.f : high;
    row.pass(load, [&](int, float (&v)[N]) {
#pragma unroll
      for (int i = 0; i < N; i++) {
        const float e = expf(v[i] - shift);
        total += e;
        if (keep) v[i] = e;
      }
    });
  } else {
    row.pass(load, [&](int, float (&v)[N]) {
      float most = v[0];
#pragma unroll
      for (int i = 1; i < N; i++) most = fmaxf(most, v[i]);
      if (most > high) {
        total *= expf(high - most);
        high = most;
      }
      const float shift = high == -kInfinity ? 0.f : high;
#pragma unroll
      for (int i = 0; i < N; i++) total += expf(v[i] - shift);
    });
    const float own = high;
    high = team.max(own);
    if (own != high) total *= expf(own - high);
  }
  total = team.sum(total);
}
