// The tensor-core core of gemm_run: four warps, 2 × 2, each with a quarter of the tile. 64 bytes of k are two steps of
// mma.m16n8k16 (bf16), two of m16n8k8 (tf32), or one of m16n8k16 where float32 is rounded to bf16 on the way.
#pragma once
#include "cuda/device/gemm_run.cuh"

enum class Math { bf16, tf32 };

// T: how operands are stored, kMath: what they are multiplied as.
template <class T, Math kMath, bool kAOuter_, bool kBOuter_, int kSpan_>
struct MmaCore {
  static constexpr bool kAOuter = kAOuter_, kBOuter = kBOuter_;
  static constexpr int kSpan = kSpan_, kThreads = 128, kStages = kSpan == 128 ? 3 : 4;
  static constexpr int kWarpRows = kSpan / 2, kWarpColumns = kSpan / 2, kSliceRows = 32;
  static constexpr int kStagingBytes = kThreads / 32 * kSliceRows * (kWarpColumns + 8) * 4;
  static constexpr int M = kWarpRows / 16, N = kWarpColumns / 8;
  static constexpr bool kNarrowed = sizeof(T) == 4 && kMath == Math::bf16;
  static constexpr int kSteps = kNarrowed ? 1 : 2;
  static constexpr int kOuterRow = kSpan * sizeof(T);        // bytes of a row of an outer-major tile
  static constexpr bool kAWords = kAOuter && sizeof(T) == 4; // read by 16-byte loads instead of ldmatrix,
  static constexpr bool kBWords = kBOuter && sizeof(T) == 4; // four neighbouring rows or columns at once
  using Tile = const unsigned char*;

  float sums[M][N][4];
  int a_at, b_at; // where this lane reads first

  __device__ int lane() const { return int(threadIdx.x) % 32; }
  __device__ int warp_row() const { return int(threadIdx.x) / 64 * kWarpRows; }
  __device__ int warp_column() const { return int(threadIdx.x) / 32 % 2 * kWarpColumns; }

  __device__ void start() {
#pragma unroll
    for (int i = 0; i < M; i++)
#pragma unroll
      for (int j = 0; j < N; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) sums[i][j][e] = 0.f;
    const int l = lane(), low = l & 8, high = l >> 4 << 3; // the two bits of the number of ldmatrix's matrix, times 8
    if (kAWords)
      a_at = swizzled<T, true, kOuterRow>(l & 3, warp_row() / 4 + (l >> 2));
    else if (kAOuter)
      a_at = swizzled<T, true, kOuterRow>((l & 7) + high, (warp_row() + low) / 8);
    else
      a_at = swizzled<T, false, kDepthBytes>(warp_row() + (l & 7) + low, high / 8);
    if (kBWords)
      b_at = swizzled<T, true, kOuterRow>(l & 3, warp_column() / 4 + (l >> 2));
    else if (kBOuter)
      b_at = swizzled<T, true, kOuterRow>((l & 7) + low, (warp_column() + high) / 8);
    else
      b_at = swizzled<T, false, kDepthBytes>(warp_column() + (l & 7) + high, low / 8);
  }

  // ---- fragments as stored: A of 16 × 16 elements of 16 bits or 16 × 8 of 32, and B of two of its columns' tiles

  // Fragments of four neighbouring outer elements (rows 4g to 4g + 3 of 32) come together, from steps t and t + 4 of k:
  // element e belongs to tile e / 2 of A, its upper or lower half by e % 2; or to tile e of B.
  __device__ static void load_words(Tile tile, int at, uint32_t (&x)[2][4]) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const uint4 v = *reinterpret_cast<const uint4*>(tile + at + h * 4 * kOuterRow);
      x[h][0] = v.x, x[h][1] = v.y, x[h][2] = v.z, x[h][3] = v.w;
    }
  }
  // Tiles i and i + 1 of A, at step s.
  __device__ void load_a(Tile tile, int s, int i, uint32_t (&x)[4], uint32_t (&y)[4]) const {
    if (kAWords) {
      uint32_t w[2][4];
      load_words(tile, a_at + s * 8 * kOuterRow + i / 2 * 128, w);
      x[0] = w[0][0], x[1] = w[0][1], x[2] = w[1][0], x[3] = w[1][1];
      y[0] = w[0][2], y[1] = w[0][3], y[2] = w[1][2], y[3] = w[1][3];
    } else if (kAOuter) {
      ldmatrix_x4_trans(x, tile + (a_at ^ i * 32) + s * 16 * kOuterRow);
      ldmatrix_x4_trans(y, tile + (a_at ^ (i + 1) * 32) + s * 16 * kOuterRow);
    } else {
      ldmatrix_x4(x, tile + (a_at ^ s * 32) + i * 16 * kDepthBytes);
      ldmatrix_x4(y, tile + (a_at ^ s * 32) + (i + 1) * 16 * kDepthBytes);
    }
  }
  // Tiles j to j + 3 of B: b[tile][half of k].
  __device__ void load_b(Tile tile, int s, int j, uint32_t (&b)[4][2]) const {
    if (kBWords) {
      uint32_t w[2][4];
      load_words(tile, b_at + s * 8 * kOuterRow + j / 4 * 128, w);
#pragma unroll
      for (int e = 0; e < 4; e++) b[e][0] = w[0][e], b[e][1] = w[1][e];
    } else {
#pragma unroll
      for (int h = 0; h < 2; h++) {
        uint32_t x[4];
        if (kBOuter)
          ldmatrix_x4_trans(x, tile + (b_at ^ (j / 2 + h) * 32) + s * 16 * kOuterRow);
        else
          ldmatrix_x4(x, tile + (b_at ^ s * 32) + (j / 2 + h) * 16 * kDepthBytes);
        b[2 * h][0] = x[0], b[2 * h][1] = x[1], b[2 * h + 1][0] = x[2], b[2 * h + 1][1] = x[3];
      }
    }
  }

  // ---- fragments as multiplied

  __device__ static uint32_t tf32(uint32_t x) { return to_tf32(__uint_as_float(x)); }
  // Elements t and t + 4 of k become neighbours, in A as in B: a product's order of k is free.
  __device__ static uint32_t joined(uint32_t x, uint32_t y) {
    return pack_bf16(__uint_as_float(x), __uint_as_float(y));
  }
  __device__ void load(Tile a_tile, Tile b_tile, int s, uint32_t (&a)[M][4], uint32_t (&b)[N][2]) const {
#pragma unroll
    for (int i = 0; i < M; i += 2) {
      if (kNarrowed) {
        uint32_t x[2][4], y[2][4];
        load_a(a_tile, 0, i, x[0], y[0]);
        load_a(a_tile, 1, i, x[1], y[1]);
#pragma unroll
        for (int h = 0; h < 2; h++) {
          a[i][2 * h] = joined(x[h][0], x[h][2]), a[i][2 * h + 1] = joined(x[h][1], x[h][3]);
          a[i + 1][2 * h] = joined(y[h][0], y[h][2]), a[i + 1][2 * h + 1] = joined(y[h][1], y[h][3]);
        }
      } else {
        load_a(a_tile, s, i, a[i], a[i + 1]);
        if (kMath == Math::tf32)
#pragma unroll
          for (int e = 0; e < 4; e++) a[i][e] = tf32(a[i][e]), a[i + 1][e] = tf32(a[i + 1][e]);
      }
    }
#pragma unroll
    for (int j = 0; j < N; j += 4) {
      uint32_t x[4][2];
      load_b(b_tile, s, j, x);
      if (kNarrowed) {
        uint32_t y[4][2];
        load_b(b_tile, 1, j, y);
#pragma unroll
        for (int e = 0; e < 4; e++) b[j + e][0] = joined(x[e][0], x[e][1]), b[j + e][1] = joined(y[e][0], y[e][1]);
      } else {
#pragma unroll
        for (int e = 0; e < 4; e++)
#pragma unroll
          for (int h = 0; h < 2; h++) b[j + e][h] = kMath == Math::tf32 ? tf32(x[e][h]) : x[e][h];
      }
    }
  }

  __device__ void step(Tile a_tile, Tile b_tile) {
    uint32_t a[kSteps][M][4], b[kSteps][N][2];
    load(a_tile, b_tile, 0, a[0], b[0]);
#pragma unroll
    for (int s = 0; s < kSteps; s++) {
      if (s + 1 < kSteps) load(a_tile, b_tile, s + 1, a[s + 1], b[s + 1]);
#pragma unroll
      for (int i = 0; i < M; i++)
#pragma unroll
        for (int j = 0; j < N; j++) {
          if (kMath == Math::bf16)
            mma_bf16(sums[i][j], a[s][i], b[s][j][0], b[s][j][1]);
          else
            mma_tf32(sums[i][j], a[s][i], b[s][j][0], b[s][j][1]);
        }
    }
  }

  // The slice's rows of the warp's tile, kWarpColumns + 8 floats apart.
  __device__ void stage(int slice, float* to) const {
    constexpr int kRow = kWarpColumns + 8;
    const int g = lane() / 4, t = lane() % 4;
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
      for (int h = 0; h < 2; h++) {
        const auto& row = sums[slice * 2 + i];
        float* at = to + (kAWords ? 4 * g + 2 * i + h : 16 * i + 8 * h + g) * kRow;
#pragma unroll
        for (int j = 0; j < N; j += kBWords ? 4 : 1) {
          if (kBWords) {
#pragma unroll
            for (int e = 2 * h; e < 2 * h + 2; e++)
              *reinterpret_cast<float4*>(at + j * 8 + 8 * t + 4 * (e & 1)) =
                  make_float4(row[j][e], row[j + 1][e], row[j + 2][e], row[j + 3][e]);
          } else {
            *reinterpret_cast<float2*>(at + j * 8 + 2 * t) = make_float2(row[j][2 * h], row[j][2 * h + 1]);
          }
        }
      }
  }
};
