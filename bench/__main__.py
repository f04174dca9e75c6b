"""python -m bench [--quick] [--only limits,gemm,...] [--against WHEEL] [--threads N] [--isa NAME] [--json FILE]"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from bench import against
from bench.limits import MIXES, mix
from bench.protocol import Run, Worker, has

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # for the rows of the ops in tests/specs

PARTS = (
    "ops", "gemm", "attention", "fused", "step", "banking77", "parity", "finetune", "inference", "small", "memory",
    "robustness",
)  # fmt: skip


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def beside_pytorch(parts: list[str], quick: bool, threads: int, report: dict[str, Any]) -> None:
    """Prints the tables of these parts and adds them to `report`."""
    torch = has("torch")
    if not torch:
        print("PyTorch is not installed: engine's own figures only (pip install 'engine[parity]' for the comparison)")
    sides = ["engine"]
    if torch:
        sides += ["torch"] if quick else ["torch", "torch-compile"]
    workers = [Worker(side, threads) for side in sides]
    try:
        limits = workers[0].ask(do="prepare", task="limits:measure", arguments={"quick": quick}, threads=threads)
        report["limits"] = limits
        bandwidth = ", ".join(f"{limits[mix(r, w)]:.1f} ({r} read, {w} written)" for r, w in MIXES)
        print(
            f"\n{report['machine']}, {threads} threads, {report['isa']}: {limits['fma_gflops']:.0f} GF/s "
            f"({limits['fma_gflops_1']:.0f} on one); GB/s {bandwidth}"
        )
        run = Run(workers, limits, quick, threads)
        for part in parts:
            tables = import_module(f"bench.{part}").run(run)
            report[part] = {t.title: t.data for t in tables}
            print(*tables, sep="\n", flush=True)
    finally:
        for w in workers:
            w.close()


def main() -> None:
    from engine import _core

    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="run a short version of everything, to see that it works; its figures are not for quoting",
    )
    parser.add_argument(
        "--only",
        help=f"parts to run, separated by commas: {', '.join(PARTS)} (default: all; with --against: {', '.join(against.DEFAULT)})",
    )
    parser.add_argument(
        "--against", type=Path, metavar="WHEEL", help="compare with another build of engine instead of PyTorch"
    )
    parser.add_argument("--threads", type=int, default=_core.get_num_threads(), help="number of CPU threads")
    parser.add_argument("--isa", help="instruction set of engine's kernels (default: the best, or ENGINE_CPU_ISA)")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="file for the figures")
    options = parser.parse_args()
    known = against.PARTS if options.against else (*PARTS, "limits")
    asked = options.only.split(",") if options.only else against.DEFAULT if options.against else PARTS
    if unknown := [part for part in asked if part not in known]:
        parser.error(f"--only: expected some of {', '.join(known)}, got {unknown[0]}")
    parts = [part for part in PARTS if part in asked]

    if options.isa:
        os.environ["ENGINE_CPU_ISA"] = options.isa
    isa = _core.get_cpu_isa()  # the workers inherit it
    report: dict[str, Any] = {"machine": processor(), "isa": isa, "threads": options.threads, "quick": options.quick}
    failed = False
    try:
        if options.against:
            wheel = options.against
            failed = not against.measure(wheel, parts, quick=options.quick, threads=options.threads, report=report)
        else:
            beside_pytorch(parts, options.quick, options.threads, report)
    finally:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n")
        print(f"\nwritten to {options.json}")
    if failed:
        raise SystemExit("some rows failed with the other build")


if __name__ == "__main__":
    main()
