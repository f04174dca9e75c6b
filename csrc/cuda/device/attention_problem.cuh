// The arguments of attention's kernels, and their tiles, for device and host code.
#pragma once
#include <stdint.h>

#ifdef __CUDACC__
#define ATTENTION_BOTH __host__ __device__
#else
#define ATTENTION_BOTH
#endif

// Rows of all heads: token t of head h at data + t * row + h * head, counted in elements.
struct AttentionHeads {
  void* data;
  int64_t row, head;
};

enum AttentionMask : int32_t { kNoMask, kBoolMask, kFloatMask, kBf16Mask };

// Inputs that the tile loads read have rows of 16-byte pieces at multiples of 16 bytes (others are packed beforehand).
struct AttentionProblem {
  AttentionHeads q, k, v, dout; // of the element type that the kernel multiplies
  AttentionHeads out;           // forward; float32 if float_out, else bf16
  AttentionHeads dq, dk, dv;    // backward, likewise
  float* lse;                   // (h, t_q)
  const float* delta;           // (h, t_q): rowsum(dout * out)
  const int32_t *cu_q, *cu_k;   // (b + 1)
  int32_t sequences, heads, d, e;
  int32_t t_q, t_k;
  int32_t slots; // blocks of one head
  int32_t causal, float_out;
  float scale;
  // Unit u = sequence * heads + head has its mask at u / mask_heads * stride[0] + u % mask_heads * stride[1].
  const void* mask;
  int32_t mask_kind, mask_heads, mask_q, mask_k;
  int64_t mask_stride[4];
  int32_t dropout; // whether anything is dropped
  uint32_t threshold, k0, k1, call;
  float drop_scale;
  void* faults;
  int32_t site_q, site_k;
};

// A warp has 16 m rows of scores and 8 n columns at a time; a block has at most `warps` warps, fewer where sequences
// are short. All of a block's shared memory fits in 99 KB, which every device since sm_80 has.
struct AttentionTiles {
  int m, n, warps;
};
enum AttentionMath : int { kMathBf16, kMathTf32, kMathF32 };

ATTENTION_BOTH constexpr AttentionTiles forward_tiles(AttentionMath math, int d) {
  if (math == kMathBf16) return d <= 64 ? AttentionTiles{2, 8, 4} : AttentionTiles{2, 4, 4};
  if (math == kMathTf32) return d <= 64 ? AttentionTiles{2, 4, 4} : AttentionTiles{1, 4, 4};
  return d <= 64 ? AttentionTiles{2, 4, 4} : AttentionTiles{1, 4, 4};
}
ATTENTION_BOTH constexpr AttentionTiles backward_tiles(AttentionMath math, int d) {
  if (math == kMathBf16) return d <= 32 ? AttentionTiles{2, 4, 4} : AttentionTiles{1, 4, 4};
  return d <= 64 ? AttentionTiles{1, 4, 4} : AttentionTiles{1, 2, 2};
}

// Rows lie 16 bytes further apart than they are long: 8 rows' pieces of 16 bytes are then in different banks.
ATTENTION_BOTH constexpr int row_bytes(AttentionMath math, int d) { return d * (math == kMathBf16 ? 2 : 4) + 16; }

constexpr int kKeepWords = 8; // words of dropout's decisions for two rows and 128 columns

constexpr int forward_shared(AttentionMath math, int d, int warps) {
  const AttentionTiles t = forward_tiles(math, d);
  return (warps * 16 * t.m + 2 * 8 * t.n) * row_bytes(math, d) + warps * 8 * t.m * kKeepWords * 4;
}
// Two row tiles, two stages of two column tiles; of dropout, the warps' own rows (dQ) or two stages of columns (dK,
// dV); lse and delta of the columns, two stages (dK, dV).
constexpr int backward_shared(AttentionMath math, int d, int warps) {
  const AttentionTiles t = backward_tiles(math, d);
  const int own = warps * 8 * t.m * kKeepWords * 4, staged = 2 * 4 * t.n * kKeepWords * 4;
  return (2 * warps * 16 * t.m + 4 * 8 * t.n) * row_bytes(math, d) + 4 * 8 * t.n * 4 + (own > staged ? own : staged);
}
