// The two products of attention in three arithmetics. Scores and results lie in registers as mma's accumulators do:
// with g = lane / 4 and t = lane % 4, element [m][n][i] of a warp is row 16 m + g + 8 (i / 2), column 8 n + 2 t + i
// % 2.
//
//   scores(s, a, b)   s (16 M x 8 N) += a (16 M x D) · b (8 N x D)^T, both in shared memory
//   spread(o, s, b)   o (16 M x D) += s (16 M x 8 N) · b (8 N x D), s straight from the registers of scores
//
// Accumulators are A fragments of the next product as they are: bf16's layouts agree; for tf32 the keys are taken in
// another order (mma's k index t is column 2 t, t + 4 is 2 t + 1), which a sum allows. Rows in shared memory are D
// elements and 16 bytes apart: ldmatrix, and the 32-bit reads of rows 2 t and columns g, meet no bank twice.
#pragma once
#include "cuda/device/attention_problem.cuh"
#include "cuda/device/common.cuh"
#include "cuda/device/mma.cuh"

template <class S, int D>
constexpr int kRowStride = D + 16 / int(sizeof(S));

__device__ __forceinline__ int lane_id() { return threadIdx.x % 32; }

// b's fragments of 16 columns by ldmatrix; the same for 16-bit and 32-bit elements, whose rows are 16-byte pieces.
template <class Math, int D, int M, int N>
__device__ __forceinline__ void tensor_scores(float (&s)[M][N][4], const typename Math::Element* a,
                                              const typename Math::Element* b) {
  using S = typename Math::Element;
  constexpr int kPiece = 16 / sizeof(S), kStride = kRowStride<S, D>;
  const int lane = lane_id();
  a += lane % 16 * kStride + lane / 16 * kPiece;
  b += (lane / 16 * 8 + lane % 8) * kStride + lane / 8 % 2 * kPiece;
#pragma unroll
  for (int k = 0; k < D; k += 2 * kPiece) {
    uint32_t fa[M][4];
#pragma unroll
    for (int m = 0; m < M; m++) {
      ldmatrix_x4(fa[m], a + m * 16 * kStride + k);
      Math::round(fa[m]);
    }
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      uint32_t fb[4];
      ldmatrix_x4(fb, b + n * 8 * kStride + k);
      Math::round(fb);
#pragma unroll
      for (int m = 0; m < M; m++) {
        Math::multiply(s[m][n], fa[m], fb[0], fb[1]);
        Math::multiply(s[m][n + 1], fa[m], fb[2], fb[3]);
      }
    }
  }
}

struct MathBf16 {
  static constexpr AttentionMath kMath = kMathBf16;
  using Element = bf16;
  static __device__ __forceinline__ void round(uint32_t (&)[4]) {}
  static __device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    mma_bf16(d, a, b0, b1);
  }
  static __device__ __forceinline__ int column(int j) { return 8 * j + lane_id() % 4 * 2; } // of o[m][j][0]

  template <int D, int M, int N>
  static __device__ __forceinline__ void scores(float (&s)[M][N][4], const bf16* a, const bf16* b) {
    tensor_scores<MathBf16, D>(s, a, b);
  }
  template <int D, int M, int N>
  static __device__ __forceinline__ void spread(float (&o)[M][D / 8][4], const float (&s)[M][N][4], const bf16* b) {
    constexpr int kStride = kRowStride<bf16, D>;
    const int lane = lane_id();
    b += lane % 16 * kStride + lane / 16 * 8;
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      uint32_t fa[M][4];
#pragma unroll
      for (int m = 0; m < M; m++) {
        fa[m][0] = pack_bf16(s[m][n][0], s[m][n][1]);
        fa[m][1] = pack_bf16(s[m][n][2], s[m][n][3]);
        fa[m][2] = pack_bf16(s[m][n + 1][0], s[m][n + 1][1]);
        fa[m][3] = pack_bf16(s[m][n + 1][2], s[m][n + 1][3]);
      }
#pragma unroll
      for (int j = 0; j < D / 8; j += 2) {
        uint32_t fb[4];
        ldmatrix_x4_trans(fb, b + n * 8 * kStride + j * 8);
#pragma unroll
        for (int m = 0; m < M; m++) {
          mma_bf16(o[m][j], fa[m], fb[0], fb[1]);
          mma_bf16(o[m][j + 1], fa[m], fb[2], fb[3]);
        }
      }
    }
  }
};

struct MathTf32 {
  static constexpr AttentionMath kMath = kMathTf32;
  using Element = float;
  static __device__ __forceinline__ void round(uint32_t (&r)[4]) {
#pragma unroll
    for (int i = 0; i < 4; i++) r[i] = to_tf32(__uint_as_float(r[i]));
  }
  static __device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    mma_tf32(d, a, b0, b1);
  }
  static __device__ __forceinline__ int column(int j) { return 8 * j + lane_id() % 4 * 2; }

  template <int D, int M, int N>
  static __device__ __forceinline__ void scores(float (&s)[M][N][4], const float* a, const float* b) {
    tensor_scores<MathTf32, D>(s, a, b);
  }
  template <int D, int M, int N>
  static __device__ __forceinline__ void spread(float (&o)[M][D / 8][4], const float (&s)[M][N][4], const float* b) {
    constexpr int kStride = kRowStride<float, D>;
    const int lane = lane_id();
    b += lane % 4 * 2 * kStride + lane / 4;
#pragma unroll
    for (int n = 0; n < N; n++) {
      uint32_t fa[M][4];
#pragma unroll
      for (int m = 0; m < M; m++) {
        fa[m][0] = to_tf32(s[m][n][0]);
        fa[m][1] = to_tf32(s[m][n][2]);
        fa[m][2] = to_tf32(s[m][n][1]);
        fa[m][3] = to_tf32(s[m][n][3]);
      }
#pragma unroll
      for (int j = 0; j < D / 8; j++) {
        const uint32_t b0 = to_tf32(b[n * 8 * kStride + j * 8]), b1 = to_tf32(b[(n * 8 + 1) * kStride + j * 8]);
#pragma unroll
        for (int m = 0; m < M; m++) mma_tf32(o[m][j], fa[m], b0, b1);
      }
    }
  }
};

// float32 throughout. Of the results a lane has four columns side by side, in two neighbouring j, for 16-byte reads.
struct MathF32 {
  static constexpr AttentionMath kMath = kMathF32;
  using Element = float;
  static __device__ __forceinline__ int column(int j) { return j / 2 * 16 + lane_id() % 4 * 4 + j % 2 * 2; }

  template <int D, int M, int N>
  static __device__ __forceinline__ void scores(float (&s)[M][N][4], const float* a, const float* b) {
    constexpr int kStride = kRowStride<float, D>;
    const int lane = lane_id();
    a += lane / 4 * kStride;
    b += lane % 4 * 2 * kStride;
#pragma unroll 1
    for (int k = 0; k < D; k += 4) {
      float4 fa[2 * M];
#pragma unroll
      for (int r = 0; r < 2 * M; r++) fa[r] = *reinterpret_cast<const float4*>(a + r * 8 * kStride + k);
#pragma unroll
      for (int n = 0; n < N; n++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
          const float4 fb = *reinterpret_cast<const float4*>(b + (n * 8 + i) * kStride + k);
#pragma unroll
          for (int r = 0; r < 2 * M; r++) {
            float& x = s[r / 2][n][r % 2 * 2 + i];
            x = fmaf(fa[r].x, fb.x, x);
            x = fmaf(fa[r].y, fb.y, x);
            x = fmaf(fa[r].z, fb.z, x);
            x = fmaf(fa[r].w, fb.w, x);
          }
        }
    }
  }
  template <int D, int M, int N>
  static __device__ __forceinline__ void spread(float (&o)[M][D / 8][4], const float (&s)[M][N][4], const float* b) {
    constexpr int kStride = kRowStride<float, D>;
    const int lane = lane_id();
    b += lane % 4 * 4;
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll 1
      for (int t = 0; t < 4; t++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
          float p[2 * M]; // the rows' scores of key 8 n + 2 t + i, from the lane that has them
#pragma unroll
          for (int r = 0; r < 2 * M; r++) p[r] = __shfl_sync(kFullWarp, s[r / 2][n][r % 2 * 2 + i], (lane & 28) | t);
          const float* row = b + (n * 8 + t * 2 + i) * kStride;
#pragma unroll
          for (int j = 0; j < D / 8; j += 2) {
            const float4 v = *reinterpret_cast<const float4*>(row + j * 8);
#pragma unroll
            for (int r = 0; r < 2 * M; r++) {
              float *x = &o[r / 2][j][r % 2 * 2], *y = &o[r / 2][j + 1][r % 2 * 2];
              x[0] = fmaf(p[r], v.x, x[0]);
              x[1] = fmaf(p[r], v.y, x[1]);
              y[0] = fmaf(p[r], v.z, y[0]);
              y[1] = fmaf(p[r], v.w, y[1]);
            }
          }
        }
  }
};
