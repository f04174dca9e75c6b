"""How many warps of a kernel a multiprocessor holds at once, from what ptxas says of it (CUDA C++ Programming Guide,
"Compute Capabilities": the tables of technical specifications)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Multiprocessor:
    warps: int
    blocks: int
    shared: int  # bytes; of these 1 KiB a block is the system's
    registers: int = 65536


LIMITS = {
    80: Multiprocessor(64, 32, 164 << 10),
    86: Multiprocessor(48, 16, 100 << 10),
    89: Multiprocessor(48, 24, 100 << 10),
    90: Multiprocessor(64, 32, 228 << 10),
    100: Multiprocessor(64, 32, 228 << 10),
    120: Multiprocessor(48, 24, 100 << 10),
}


def blocks_resident(capability: int, threads: int, registers: int, shared: int) -> int:
    """Blocks of a kernel that a multiprocessor holds: the least that warps, block slots, registers and shared memory allow.
    Registers are given out to warps in units of 256."""
    m = LIMITS[capability]
    warps = -(-threads // 32)
    by_registers = m.registers // (-(-registers * 32 // 256) * 256) // warps if registers else m.blocks
    by_shared = m.shared // (shared + 1024)
    return min(m.warps // warps, m.blocks, by_registers, by_shared)


def occupancy(capability: int, threads: int, registers: int, shared: int) -> float:
    """Warps that are resident, as a share of those that could be."""
    return blocks_resident(capability, threads, registers, shared) * -(-threads // 32) / LIMITS[capability].warps
