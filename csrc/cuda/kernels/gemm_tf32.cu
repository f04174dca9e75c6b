// Products of float32 operands rounded to tf32 (10 bits of mantissa), float32 sums, on tensor cores: tiles of 128 × 128
// and 64 × 64, 64 bytes of k at a time, by four warps (gemm_mma.cuh). Method: CUTLASS's multistage kernels for sm_80,
// without its library.
#include "cuda/device/gemm_mma.cuh"

#define GEMM(layout, a_outer, b_outer, span, blocks)                        \
  extern "C" __global__ void __launch_bounds__(128, blocks)                 \
      gemm_tf32_##layout##_##span(const __grid_constant__ GemmProduct q) {  \
    gemm_run<float, MmaCore<float, Math::tf32, a_outer, b_outer, span>>(q); \
  }
#define GEMMS(layout, a_outer, b_outer) GEMM(layout, a_outer, b_outer, 128, 2) GEMM(layout, a_outer, b_outer, 64, 4)
GEMMS(nn, false, true)
GEMMS(nt, false, false)
GEMMS(tn, true, true)
