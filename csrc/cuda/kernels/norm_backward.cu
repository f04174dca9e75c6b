// Backward of layer_norm and rms_norm. With xhat = (x - mean) * rstd and g = dy * weight:
//   dx = rstd * (g - mean(g) - xhat * mean(g * xhat)), without mean(g) in rms_norm;
//   dweight = sum of dy * xhat over rows, dbias = sum of dy.
//
// Where d <= 4096, a team (a warp, or a block) walks a chunk of rows with eight columns a thread, whose sums for
// dweight and dbias stay in its registers: dy and x are read once. Longer rows are read twice, and once more by columns
// for the chunk's sums. norm_sums adds up the chunks in a fixed order.
#include "cuda/device/dropout.cuh"
#include "cuda/device/norm_arguments.h"

// dx of one pack, stored where wanted.
template <class T, bool Centred>
struct Finish {
  static constexpr int N = Pack<T>::N;
  const NormBackward<T>& a;
  const Dropout dropout;
  __device__ __forceinline__ explicit Finish(const NormBackward<T>& given)
      : a(given), dropout{given.draws.threshold, given.draws.scale, given.draws.k0, given.draws.k1, given.draws.call} {}
  __device__ __forceinline__ void operator()(int64_t start, int first, const float (&g)[N], const float (&xhat)[N],
                                             float rstd, float mean_g, float mean_gx) const {
    float v[N];
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = rstd * fmaf(-xhat[i], mean_gx, Centred ? g[i] - mean_g : g[i]);
    if (a.more) {
      float more[N];
      load_pack(a.more + start, first, a.d, a.vector, more);
#pragma unroll
      for (int i = 0; i < N; i++) v[i] += more[i];
    }
    if (a.dx) store_pack(a.dx + start, first, a.d, a.vector, v);
    if (!a.dropped) return;
    WarpDecisions<N> decisions;
    const uint32_t bits = a.draws.how == kKeepAll ? ~0u : keep_bits(a.draws.how, dropout, decisions, start + first);
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = bits >> i & 1 ? v[i] * dropout.scale : 0.f;
    store_pack(a.dropped + start, first, a.d, a.vector, v);
  }
};

template <class T, bool Centred>
__device__ __forceinline__ void norm_backward(const NormBackward<T>& a) {
  constexpr int N = Pack<T>::N, P = 8 / N;
  Team team(a.width);
  const int64_t chunk = team.row, begin = chunk * a.chunk;
  const int64_t end = begin + a.chunk < a.n ? begin + a.chunk : a.n;
  if (begin >= end) return; // a whole team, and that is at least a warp
  const Finish<T, Centred> finish(a);
  const int column = team.lane * N, step = team.width * N;
  float dweight[P][N] = {}, dbias[P][N] = {};
  for (int64_t row = begin; row < end; row++) {
    const int64_t start = row * a.d;
    const float mean = Centred ? a.mean[row] : 0.f, rstd = a.rstd[row];
    float xhat[P][N], g[P][N], sum_g = 0, sum_gx = 0;
#pragma unroll
    for (int k = 0; k < P; k++) {
      load_pack(a.x + start, column + k * step, a.d, a.vector, xhat[k]);
      load_pack(a.dy + start, column + k * step, a.d, a.vector, g[k]);
    }
#pragma unroll
    for (int k = 0; k < P; k++) {
      float w[N];
      if (a.weight) load_pack(a.weight, column + k * step, a.d, a.vector_weight, w);
#pragma unroll
      for (int i = 0; i < N; i++) {
        xhat[k][i] = (xhat[k][i] - mean) * rstd;
        dweight[k][i] = fmaf(g[k][i], xhat[k][i], dweight[k][i]);
        if (Centred) dbias[k][i] += g[k][i];
        if (a.weight) g[k][i] *= w[i];
        sum_g += g[k][i]; // values that are missing are 0
        sum_gx = fmaf(g[k][i], xhat[k][i], sum_gx);
      }
    }
    team.sums(sum_g, sum_gx);
#pragma unroll
    for (int k = 0; k < P; k++)
      if (k * step < a.d)
        finish(start, column + k * step, g[k], xhat[k], rstd, sum_g / float(a.d), sum_gx / float(a.d));
  }
  float* partial = a.partial + chunk * 2 * a.d;
#pragma unroll
  for (int k = 0; k < P; k++)
#pragma unroll
    for (int i = 0; i < N; i++) {
      const int c = column + k * step + i;
      if (c >= a.d) continue;
      partial[c] = dweight[k][i];
      if (Centred) partial[a.d + c] = dbias[k][i];
    }
}

// dx alone, a block a row.
template <class T, bool Centred>
__device__ __forceinline__ void norm_backward_long(const NormBackward<T>& a) {
  constexpr int N = Pack<T>::N;
  Team team(a.width);
  const int64_t row = team.row, start = row * a.d;
  const T *x = a.x + start, *dy = a.dy + start;
  const int shift = a.vector ? phase(x) : 0;
  const bool vector_weight = a.vector_weight && shift == 0;
  const float mean = Centred ? a.mean[row] : 0.f, rstd = a.rstd[row];
  const Finish<T, Centred> finish(a);
  Row<T, false> elements(team, shift, a.d);
  float g[N], sum_g = 0, sum_gx = 0;
  const auto load = [&](int first, float (&v)[N]) {
    load_pack(x, first, a.d, a.vector, v);
    load_pack(dy, first, a.d, a.vector, g);
    if (a.weight) {
      float w[N];
      load_pack(a.weight, first, a.d, vector_weight, w);
#pragma unroll
      for (int i = 0; i < N; i++) g[i] *= w[i];
    }
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = (v[i] - mean) * rstd;
  };
  elements.pass(load, [&](int, float (&v)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) {
      sum_g += g[i];
      sum_gx = fmaf(g[i], v[i], sum_gx);
    }
  });
  team.sums(sum_g, sum_gx);
  const float mean_g = sum_g / float(a.d), mean_gx = sum_gx / float(a.d);
  elements.pass(load, [&](int first, float (&v)[N]) { finish(start, first, g, v, rstd, mean_g, mean_gx); });
}

// The sums over a chunk's rows, a column a thread.
template <class T, bool Centred>
__device__ __forceinline__ void norm_columns(const NormBackward<T>& a) {
  const int c = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (c >= a.d) return;
  const int64_t begin = int64_t(blockIdx.y) * a.chunk, end = begin + a.chunk < a.n ? begin + a.chunk : a.n;
  float dweight = 0, dbias = 0;
#pragma unroll 4
  for (int64_t row = begin; row < end; row++) {
    const float g = to_float(a.dy[row * a.d + c]), mean = Centred ? a.mean[row] : 0.f;
    dweight = fmaf(g, (to_float(a.x[row * a.d + c]) - mean) * a.rstd[row], dweight);
    dbias += g;
  }
  float* partial = a.partial + int64_t(blockIdx.y) * 2 * a.d;
  partial[c] = dweight;
  if (Centred) partial[a.d + c] = dbias;
}

// out[i] = the sum over chunks of partial[chunk][i], i < 2 d: dweight, then dbias. A block has 32 columns and 32 lines
// of chunks.
template <class T>
__device__ __forceinline__ void norm_sums(const float* partial, int chunks, int d, int parts, T* dweight, T* dbias) {
  float (*lines)[33] = reinterpret_cast<float (*)[33]>(dynamic_shared());
  const int x = int(threadIdx.x) % 32, y = int(threadIdx.x) / 32, i = int(blockIdx.x) * 32 + x;
  float total = 0;
  if (i < parts * d) {
#pragma unroll 4
    for (int c = y; c < chunks; c += 32) total += partial[int64_t(c) * 2 * d + i];
  }
  lines[x][y] = total;
  __syncthreads();
  total = warp_sum(lines[y][x]); // column y of the block
  const int at = int(blockIdx.x) * 32 + y;
  if (x == 0 && at < parts * d) (at < d ? dweight[at] : dbias[at - d]) = from_float<T>(total);
}

#define BACKWARD(name, body, T, suffix, centred, threads)                                             \
  extern "C" __global__ void __launch_bounds__(threads, 1) name##_##suffix(const NormBackward<T> a) { \
    body<T, centred>(a);                                                                              \
  }
#define BACKWARDS(T, suffix)                                                                                     \
  BACKWARD(layer_norm_backward, norm_backward, T, suffix, true, 512)                                             \
  BACKWARD(rms_norm_backward, norm_backward, T, suffix, false, 512)                                              \
  BACKWARD(layer_norm_backward_long, norm_backward_long, T, suffix, true, 512)                                   \
  BACKWARD(rms_norm_backward_long, norm_backward_long, T, suffix, false, 512)                                    \
  BACKWARD(layer_norm_columns, norm_columns, T, suffix, true, 256)                                               \
  BACKWARD(rms_norm_columns, norm_columns, T, suffix, false, 256)                                                \
  extern "C" __global__ void __launch_bounds__(1024)                                                             \
      norm_sums_##suffix(const float* partial, int32_t chunks, int32_t d, int32_t parts, T* dweight, T* dbias) { \
    norm_sums(partial, chunks, d, parts, dweight, dbias);                                                        \
  }
FOR_FLOAT(BACKWARDS)
