"""Mistakes planted in kernels/kernels.cu by -DBUG=n, the kernel that has each, and what must be found."""

from cudasim.families import flash_f32, gemm_bf16, gemm_f32, layernorm

# number: what is wrong, the call that shows it, kinds of findings of which one must be there with a line of kernels.cu
MISTAKES = {
    1: ("missing barrier after the fill", gemm_f32, (), {"shared-race", "shared-uninit"}),
    2: ("missing barrier before the refill", gemm_f32, (), {"shared-race"}),
    3: ("global read past the rows", gemm_f32, (100,), {"global-oob"}),
    4: ("shared write past the tile", gemm_f32, (), {"shared-oob", "shared-race", "shared-uninit"}),
    5: ("tail of the K tile not filled", gemm_f32, (100, 72, 40), {"shared-uninit"}),
    6: ("divergent __syncthreads", gemm_f32, (100,), {"divergent-barrier"}),
    7: ("misaligned float4 load", gemm_f32, (), {"misaligned"}),
    8: ("full-mask shuffle from 31 lanes", layernorm, (), {"deadlock"}),
    9: ("+= of several blocks without atomics", layernorm, (), {"global-race"}),
    10: ("cp.async never awaited", gemm_bf16, (), {"cp.async-pending", "shared-uninit"}),
    11: ("cp.async wait_group off by one", gemm_bf16, (), {"cp.async-pending"}),
    12: ("no barrier after the cp.async wait", gemm_bf16, (), {"shared-race", "cp.async-pending"}),
    13: ("halves of the mma B fragment swapped", gemm_bf16, (), set()),  # only the numbers show it
    14: ("early return before a barrier", gemm_f32, (), {"exited-lanes", "deadlock", "divergent-barrier"}),
    15: ("missing __syncwarp", flash_f32, (), {"shared-race"}),
}
