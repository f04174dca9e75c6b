"""What the simulator counts while kernels run: the main loops of products and attention meet no bank of shared memory
twice, copies and results move whole 32-byte sectors. Loops are found by tests/cuda_loops.py; in a few epilogues, which
a tile passes through once, two passes over shared memory are cheaper than what would avoid them, and are allowed."""

from __future__ import annotations

from typing import Any

import pytest

import cuda_device

if cuda_device.start() or not cuda_device.on_simulator():
    pytest.skip(
        cuda_device.start() or "on a GPU there are no counters: the simulator has them", allow_module_level=True
    )

from cuda_loops import ATTENTIONS, GEMMS, accesses, count, counting, flat, main_loop, width

SHARED = ("ld.shared", "st.shared", "ldmatrix", "cp.async.c")


def place(i: dict[str, Any]) -> str:
    return f"{i['ptx'].split()[0]} at {' in '.join(i['at'])}"


def check_loop(kernel: str) -> dict[str, Any]:
    """No bank conflict in the main loop, and 16-byte copies of whole sectors; returns the kernel's counters."""
    loop, counters = main_loop(kernel)
    through = [i for i in loop if any(name in i["ptx"] for name in SHARED)]
    # The loop was found: it has copies, reads of shared memory, and barriers.
    for name in ("cp.async.cg", "bar.sync"):
        assert any(name in i["ptx"] for i in loop), f"{kernel}: no {name} in its loop"
    assert any("ldmatrix" in i["ptx"] or "ld.shared" in i["ptx"] for i in through)
    found = [f"{i['bank_conflicts']} at {place(i)} ({i['executed']} times)" for i in loop if i["bank_conflicts"]]
    assert not found, f"{kernel}: bank conflicts in the main loop:\n" + "\n".join(found)
    copies = [i for i in through if "cp.async.cg" in i["ptx"]]
    wasted = [
        f"{i['sectors']} sectors for {i['lanes']} lanes at {place(i)}" for i in copies if 2 * i["sectors"] > i["lanes"]
    ]
    assert not wasted, f"{kernel}: copies of parts of sectors:\n" + "\n".join(wasted)
    return counters


@pytest.mark.parametrize("kernel", GEMMS)
def test_products(kernel: str, cuda) -> None:
    counters = check_loop(kernel)
    stores = [i for i in accesses(counters, "st") if width(i["ptx"]) >= 8]
    assert stores, f"{kernel}: no vector stores"
    for i in stores:  # 512 bytes (of bf16 256) of neighbouring columns, or of two rows
        whole = i["lanes"] == 32 * i["requests"] and i["sectors"] * 32 == i["lanes"] * width(i["ptx"])
        assert whole, f"{kernel}: {i['sectors']} sectors for {i['lanes']} lanes at {place(i)}"


@pytest.mark.parametrize("kernel", ATTENTIONS)
def test_attention(kernel: str, cuda) -> None:
    check_loop(kernel)


def test_flat_kernels_use_whole_sectors(cuda) -> None:
    wrong = []
    with counting():
        for kernel, task in flat().items():
            counters = count(kernel, task)
            for kind in ("ld", "st"):
                found = accesses(counters, kind)
                vectors = [i for i in found if width(i["ptx"]) == 16]
                wrong += [
                    f"{kernel}: {i['sectors']} sectors for {i['lanes']} lanes at {place(i)}"
                    for i in vectors
                    if 2 * i["sectors"] != i["lanes"]
                ]
                moved, total = (sum(i["sectors"] for i in part) for part in (vectors, found))
                if not vectors or moved < 0.8 * total:
                    wrong.append(f"{kernel}: {moved} of {total} sectors by {kind} of 16 bytes")
    assert not wrong, "\n".join(wrong)
