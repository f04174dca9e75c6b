// layer_norm and rms_norm, forward, with dropout and a residual in front where wanted.
//
// A row belongs to a team (device/rows.cuh): a warp or a part of one where d <= 1024, else a block; its elements stay
// in registers, 32 a thread, so that memory is read once. Mean, then squares of differences: never E[x^2] - mean^2.
// Rows of more than 32 elements for each of 1024 (with dropout 512) threads are read again by each pass.
#include "cuda/device/dropout.cuh"
#include "cuda/device/norm_arguments.h"

template <class T, bool Held, bool Centred, bool Fused>
__device__ __forceinline__ void norm(const NormForward<T>& a) {
  constexpr int N = Pack<T>::N;
  Team team(a.width);
  const bool there = team.row < a.n; // lanes of a warp go together: they shuffle
  const int64_t row = there ? team.row : a.n - 1, start = row * a.d;
  const T* x = a.x + start;
  const int shift = a.vector ? phase(x) : 0;
  const Dropout dropout = {a.draws.threshold, a.draws.scale, a.draws.k0, a.draws.k1, a.draws.call};
  WarpDecisions<N> decisions;
  const auto load = [&](int first, float (&v)[N]) {
    load_pack(x, first, a.d, a.vector, v);
    if constexpr (Fused) {
      if (a.draws.how != kKeepAll) {
        const uint32_t bits = keep_bits(a.draws.how, dropout, decisions, start + first);
#pragma unroll
        for (int i = 0; i < N; i++) v[i] = bits >> i & 1 ? v[i] * dropout.scale : 0.f;
      }
      if (a.residual) {
        float other[N];
        load_pack(a.residual + start, first, a.d, a.vector, other);
#pragma unroll
        for (int i = 0; i < N; i++) v[i] += other[i];
      }
      // What is normalised is what `sum` holds: backward sees the same.
#pragma unroll
      for (int i = 0; i < N; i++) v[i] = to_float(from_float<T>(v[i]));
    }
  };
  Row<T, Held> elements(team, shift, a.d);
  elements.read(load);
  float mean = 0, total = 0;
  if constexpr (Centred) {
    elements.pass(load, [&](int first, float (&v)[N]) {
      if (Fused && a.sum && there) store_pack(a.sum + start, first, a.d, a.vector, v);
#pragma unroll
      for (int i = 0; i < N; i++) total += v[i]; // values that are missing are 0
    });
    mean = team.sum(total) / float(a.d);
    total = 0;
  }
  elements.pass(load, [&](int first, float (&v)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) {
      const float u = elements.inside(first + i) ? v[i] - mean : 0.f;
      total = fmaf(u, u, total);
    }
  });
  const float rstd = 1.f / sqrtf(team.sum(total) / float(a.d) + a.eps);
  if (!there) return;
  if (team.lane == 0) {
    if (Centred) a.mean[row] = mean;
    a.rstd[row] = rstd;
  }
  const bool vector_weight = a.vector_weight && shift == 0;
  elements.pass(load, [&](int first, float (&v)[N]) {
    float out[N];
#pragma unroll
    for (int i = 0; i < N; i++) out[i] = (v[i] - mean) * rstd;
    float other[N];
    if (a.weight) {
      load_pack(a.weight, first, a.d, vector_weight, other);
#pragma unroll
      for (int i = 0; i < N; i++) out[i] *= other[i];
    }
    if (Centred && a.bias) {
      load_pack(a.bias, first, a.d, vector_weight, other);
#pragma unroll
      for (int i = 0; i < N; i++) out[i] += other[i];
    }
    store_pack(a.y + start, first, a.d, a.vector, out);
  });
}

#define NORM(name, T, suffix, held, centred, fused, threads)                                         \
  extern "C" __global__ void __launch_bounds__(threads, 1) name##_##suffix(const NormForward<T> a) { \
    norm<T, held, centred, fused>(a);                                                                \
  }
#define NORMS(T, suffix)                                         \
  NORM(layer_norm, T, suffix, true, true, false, 1024)           \
  NORM(layer_norm_long, T, suffix, false, true, true, 512)       \
  NORM(dropout_add_layer_norm, T, suffix, true, true, true, 512) \
  NORM(rms_norm, T, suffix, true, false, false, 1024)            \
  NORM(rms_norm_long, T, suffix, false, false, false, 512)
FOR_FLOAT(NORMS)
