"""Budgets of the CUDA kernels, by patterns of their names; the first that fits counts (tests/test_cuda_gates.py)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    registers: int  # a thread, at most
    occupancy: float  # at least, on every architecture
    dynamic_shared: int = 0  # bytes that the launch asks for
    shared: int = 48 << 10  # bytes in all, at most


DEFAULT = Budget(registers=64, occupancy=0.5)

K = 1 << 10

# Tiles of products and attention live in registers: few warps, each with much work of its own in flight. The bytes of
# dynamic shared memory are those of the largest launch (csrc/cuda/kernels/gemm.cc, attention.cc).
BUDGETS: dict[str, Budget] = {
    "gemm_f32_.._128": Budget(registers=128, occupancy=0.25, dynamic_shared=48 * K + 56, shared=49 * K),
    "gemm_[a-z0-9]+_.._128": Budget(registers=224, occupancy=0.12, dynamic_shared=48 * K + 56, shared=49 * K),
    "gemm_[a-z0-9]+_.._64": Budget(registers=128, occupancy=0.25, dynamic_shared=32 * K + 56, shared=33 * K),
    "attention_32_bf16": Budget(registers=255, occupancy=0.12, dynamic_shared=22 * K),
    "attention_64_bf16": Budget(registers=255, occupancy=0.12, dynamic_shared=38 * K),
    "attention_128_bf16": Budget(registers=255, occupancy=0.08, dynamic_shared=53 * K, shared=53 * K),
    "attention_d(q|kv)_32_bf16": Budget(registers=232, occupancy=0.12, dynamic_shared=33 * K),
    "attention_d(q|kv)_64_bf16": Budget(registers=192, occupancy=0.12, dynamic_shared=38 * K),
    "attention_d(q|kv)_128_bf16": Budget(registers=255, occupancy=0.08, dynamic_shared=70 * K, shared=70 * K),
    "attention_32_(f32|tf32)": Budget(registers=192, occupancy=0.12, dynamic_shared=29 * K),
    "attention_64_(f32|tf32)": Budget(registers=232, occupancy=0.08, dynamic_shared=53 * K, shared=53 * K),
    "attention_128_(f32|tf32)": Budget(registers=192, occupancy=0.08, dynamic_shared=67 * K, shared=67 * K),
    "attention_d(q|kv)_32_(f32|tf32)": Budget(registers=200, occupancy=0.12, dynamic_shared=38 * K),
    "attention_d(q|kv)_64_(f32|tf32)": Budget(registers=224, occupancy=0.08, dynamic_shared=70 * K, shared=70 * K),
    # Two warps a block: a launch of fewer than the bounds allow.
    "attention_d(q|kv)_128_(f32|tf32)": Budget(registers=255, occupancy=0.04, dynamic_shared=67 * K, shared=67 * K),
    # Rows are held in registers, so that memory is read once.
    "(layer_norm|rms_norm)_(backward|long)_.*": Budget(registers=104, occupancy=0.25),
    "dropout_add_layer_norm_.*": Budget(registers=96, occupancy=0.25),
    "cross_entropy_(f32|bf16)": Budget(registers=80, occupancy=0.37),
    "adam_step_.*": Budget(registers=80, occupancy=0.37),
    "norm_pieces_any_.*": Budget(registers=80, occupancy=0.37),  # exp and log in float64
    "to_float32": Budget(registers=32, occupancy=0.0),  # one thread
}

TENSOR_LOADS = [r"LDSM\.", r"LDGSTS\.E\.(BYPASS\.)?(LTC128B\.)?128"]

# Instructions that must be in the machine code of kernels of that name, as regular expressions.
INSTRUCTIONS: dict[str, list[str]] = {
    "gemm_bf16_.*": [r"HMMA\.16816\.F32\.BF16", *TENSOR_LOADS],
    "gemm_tf32_.*": [r"HMMA\.1688\.F32\.TF32", r"LDGSTS\.E\.(BYPASS\.)?(LTC128B\.)?128"],
    "gemm_mixed_.*": [r"HMMA\.16816\.F32\.BF16", r"LDGSTS\.E\.(BYPASS\.)?(LTC128B\.)?128"],
    "gemm_f32_.._128": ["FFMA", r"LDGSTS\.E\.(BYPASS\.)?(LTC128B\.)?128", r"LDS\.128"],
    r"attention_(dq_|dkv_)?\d+_bf16": [r"HMMA\.16816\.F32\.BF16", *TENSOR_LOADS],
    r"attention_(dq_|dkv_)?\d+_tf32": [r"HMMA\.1688\.F32\.TF32", r"LDGSTS\.E\.(BYPASS\.)?(LTC128B\.)?128"],
    r"attention_(dq_|dkv_)?\d+_f32": ["FFMA", r"LDGSTS\.E\.(BYPASS\.)?(LTC128B\.)?128"],
    "(add|gelu|relu)_(f32|bf16)": [r"LDG\.E\.128", r"STG\.E\.128"],
    "(layer_norm|softmax|dropout|adam_step)_(f32|bf16)": [r"LDG\.E\.128", r"STG\.E\.128"],
}
