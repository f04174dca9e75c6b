// Attention in bfloat16, by mma with float32 sums. Forward and backward, for head sizes up to 32, 64 and 128: see
// device/attention_forward.cuh and attention_backward.cuh. Method: FlashAttention-2 (Dao 2023, arXiv 2307.08691).
#include "cuda/device/attention_backward.cuh"
#include "cuda/device/attention_forward.cuh"

#define ATTENTION(D)                                                                             \
  extern "C" __global__ void __launch_bounds__(forward_tiles(MathBf16::kMath, D).warps * 32, 1)  \
      attention_##D##_bf16(const __grid_constant__ AttentionProblem p) {                         \
    attention_forward<MathBf16, D>(p);                                                           \
  }                                                                                              \
  extern "C" __global__ void __launch_bounds__(backward_tiles(MathBf16::kMath, D).warps * 32, 1) \
      attention_dq_##D##_bf16(const __grid_constant__ AttentionProblem p) {                      \
    attention_backward<MathBf16, D, false>(p);                                                   \
  }                                                                                              \
  extern "C" __global__ void __launch_bounds__(backward_tiles(MathBf16::kMath, D).warps * 32, 1) \
      attention_dkv_##D##_bf16(const __grid_constant__ AttentionProblem p) {                     \
    attention_backward<MathBf16, D, true>(p);                                                    \
  }
ATTENTION(32)
ATTENTION(64)
ATTENTION(128)
