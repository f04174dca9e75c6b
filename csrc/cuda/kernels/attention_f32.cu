// Attention in float32 throughout. Forward and backward, for head sizes up to 32, 64 and 128: see
// device/attention_forward.cuh and attention_backward.cuh. Method: FlashAttention-2 (Dao 2023, arXiv 2307.08691).
#include "cuda/device/attention_backward.cuh"
#include "cuda/device/attention_forward.cuh"

#define ATTENTION(D)                                                                            \
  extern "C" __global__ void __launch_bounds__(forward_tiles(MathF32::kMath, D).warps * 32, 1)  \
      attention_##D##_f32(const __grid_constant__ AttentionProblem p) {                         \
    attention_forward<MathF32, D>(p);                                                           \
  }                                                                                             \
  extern "C" __global__ void __launch_bounds__(backward_tiles(MathF32::kMath, D).warps * 32, 1) \
      attention_dq_##D##_f32(const __grid_constant__ AttentionProblem p) {                      \
    attention_backward<MathF32, D, false>(p);                                                   \
  }                                                                                             \
  extern "C" __global__ void __launch_bounds__(backward_tiles(MathF32::kMath, D).warps * 32, 1) \
      attention_dkv_##D##_f32(const __grid_constant__ AttentionProblem p) {                     \
    attention_backward<MathF32, D, true>(p);                                                    \
  }
ATTENTION(32)
ATTENTION(64)
ATTENTION(128)
