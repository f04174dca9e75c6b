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

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # the ops' rows

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
    """Prints the tables of these parts and puts them into `report`."""
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
        "--quick", action="store_true", help="a short version of everything: to see that it runs, not to quote"
    )
    parser.add_argument(
        "--only",
        help=f"comma-separated parts of {', '.join(PARTS)}; default: all of them, with --against {', '.join(against.DEFAULT)}",
    )
    parser.add_argument(
        "--against", type=Path, metavar="WHEEL", help="another build of engine as the peer, in the place of PyTorch"
    )
    parser.add_argument("--threads", type=int, default=_core.get_num_threads())
    parser.add_argument("--isa", help="the ISA of engine's kernels instead of the best (ENGINE_CPU_ISA)")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    known = against.PARTS if options.against else (*PARTS, "limits")
    asked = options.only.split(",") if options.only else against.DEFAULT if options.against else PARTS
    if unknown := [part for part in asked if part not in known]:
        parser.error(f"--only: expected some of {', '.join(known)}, got {unknown[0]}")
    parts = [part for part in PARTS if part in asked]

    if options.isa:
        os.environ["ENGINE_CPU_ISA"] = options.isa
    isa = _core.get_cpu_isa()  # of the workers too: they inherit it
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
        raise SystemExit("some rows failed on the side of the other build")


if __name__ == "__main__":
    main()
