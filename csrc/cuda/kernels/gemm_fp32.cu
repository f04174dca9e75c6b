// Products in float32 throughout, by fused multiply-adds: tiles of 128 × 128 × 16 by 256 threads of 8 × 8 sums each,
// and of 64 × 64 × 16 by 128 threads of 8 × 4. A thread takes 16 bytes at a time from shared memory, along k or across
// it as they lie there. Method: register tiling as in MAGMA (Nath, Tomov, Dongarra 2010) and CUTLASS's SIMT kernels.
#include "cuda/device/gemm_run.cuh"

// A warp's lanes are 4 × 8; each has 8 rows and kWarpColumns / 8 columns of the warp's tile.
template <bool kAOuter_, bool kBOuter_, int kSpan_>
struct FloatCore {
  static constexpr bool kAOuter = kAOuter_, kBOuter = kBOuter_;
  static constexpr int kSpan = kSpan_, kThreads = kSpan == 128 ? 256 : 128, kStages = kSpan == 128 ? 3 : 4;
  static constexpr int kWarpRows = 32, kWarpColumns = kSpan / 2, kSliceRows = 16;
  static constexpr int kStagingBytes = kThreads / 32 * kSliceRows * (kWarpColumns + 8) * 4;
  static constexpr int M = 8, N = kWarpColumns / 8, kOuterRow = kSpan * 4;
  // Steps of k that are taken at once. Where B is read across k, four would need too many registers.
  static constexpr int kGrain = kBOuter ? 2 : 4;
  using Tile = const unsigned char*;

  float sums[M][N];
  int a_at, b_at;

  __device__ int row_lane() const { return int(threadIdx.x) % 32 / 8; }
  __device__ int column_lane() const { return int(threadIdx.x) % 8; }
  __device__ int warp_row() const { return int(threadIdx.x) / 64 * kWarpRows; }
  __device__ int warp_column() const { return int(threadIdx.x) / 32 % 2 * kWarpColumns; }

  __device__ void start() {
#pragma unroll
    for (int i = 0; i < M; i++)
#pragma unroll
      for (int j = 0; j < N; j++) sums[i][j] = 0.f;
    a_at = kAOuter ? swizzled<float, true, kOuterRow>(0, warp_row() / 4 + row_lane())
                   : swizzled<float, false, kDepthBytes>(warp_row() + row_lane(), 0);
    b_at = kBOuter ? swizzled<float, true, kOuterRow>(0, warp_column() / 4 + column_lane())
                   : swizzled<float, false, kDepthBytes>(warp_column() + column_lane(), 0);
  }
  __device__ static float4 load(Tile tile, int at) { return *reinterpret_cast<const float4*>(tile + at); }
  // Four neighbouring rows (columns), `half` the second four, at step k.
  __device__ static float4 across(Tile tile, int at, int k, int half, int lanes) {
    return load(tile, (at ^ (k & 3) * 32 ^ half * lanes * 16) + k * kOuterRow);
  }

  __device__ void step(Tile a_tile, Tile b_tile) {
#pragma unroll 1
    for (int k = 0; k < 16; k += kGrain) {
      float a[kGrain][M];
#pragma unroll
      for (int x = 0; x < (kAOuter ? kGrain : M); x++) {
        if (kAOuter) { // rows 4 lane + e, and 16 further on, of step k + x
#pragma unroll
          for (int half = 0; half < 2; half++) {
            const float4 v = across(a_tile, a_at, k + x, half, 4);
            a[x][4 * half] = v.x, a[x][4 * half + 1] = v.y, a[x][4 * half + 2] = v.z, a[x][4 * half + 3] = v.w;
          }
        } else { // row lane + 4 x of steps k to k + kGrain - 1
          const Tile from = a_tile + (a_at ^ k / 4 * 16 ^ (x & 1) * 32) + x * 4 * kDepthBytes + k % 4 * 4;
          if (kGrain == 4) {
            const float4 v = load(from, 0);
            a[0][x] = v.x, a[1][x] = v.y, a[kGrain - 2][x] = v.z, a[kGrain - 1][x] = v.w;
          } else {
            const float2 v = *reinterpret_cast<const float2*>(from);
            a[0][x] = v.x, a[1][x] = v.y;
          }
        }
      }
#pragma unroll
      for (int x = 0; x < (kBOuter ? kGrain : N); x++) {
        if (kBOuter) {
#pragma unroll
          for (int half = 0; half < N / 4; half++) {
            const float4 v = across(b_tile, b_at, k + x, half, 8);
            const float b[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
            for (int i = 0; i < M; i++)
#pragma unroll
              for (int e = 0; e < 4; e++) sums[i][4 * half + e] = fmaf(a[x][i], b[e], sums[i][4 * half + e]);
          }
        } else {
          const float4 v = load(b_tile, (b_at ^ k * 4) + x * 8 * kDepthBytes);
          const float b[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
          for (int e = 0; e < 4; e++)
#pragma unroll
            for (int i = 0; i < M; i++) sums[i][x] = fmaf(a[e % kGrain][i], b[e], sums[i][x]);
        }
      }
    }
  }

  __device__ void stage(int slice, float* to) const {
    constexpr int kRow = kWarpColumns + 8;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float (&row)[N] = sums[slice * 4 + i];
      float* at = to + (kAOuter ? 4 * row_lane() + i : row_lane() + 4 * i) * kRow;
#pragma unroll
      for (int j = 0; j < N; j += kBOuter ? 4 : 1) {
        if (kBOuter)
          *reinterpret_cast<float4*>(at + j * 8 + 4 * column_lane()) =
              make_float4(row[j], row[j + 1], row[j + 2], row[j + 3]);
        else
          at[j * 8 + column_lane()] = row[j];
      }
    }
  }
};

#define GEMM(layout, a_outer, b_outer, span, threads, blocks)             \
  extern "C" __global__ void __launch_bounds__(threads, blocks)           \
      gemm_f32_##layout##_##span(const __grid_constant__ GemmProduct q) { \
    gemm_run<float, FloatCore<a_outer, b_outer, span>>(q);                \
  }
#define GEMMS(layout, a_outer, b_outer) \
  GEMM(layout, a_outer, b_outer, 128, 256, 2) GEMM(layout, a_outer, b_outer, 64, 128, 4)
GEMMS(nn, false, true)
GEMMS(nt, false, false)
GEMMS(tn, true, true)
