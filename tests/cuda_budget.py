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

BUDGETS: dict[str, Budget] = {}

# Instructions that must be in the machine code of kernels of that name, as regular expressions.
INSTRUCTIONS: dict[str, list[str]] = {}
