"""python -m bench [--quick] [--only limits,gemm,...] [--threads N] [--isa NAME] [--json FILE]"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

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


def main() -> None:
    from engine import _core

    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a short version of everything: to see that it runs, not to quote"
    )
    parser.add_argument("--only", default=",".join(PARTS), help=f"comma-separated parts of {', '.join(PARTS)}")
    parser.add_argument("--threads", type=int, default=_core.get_num_threads())
    parser.add_argument("--isa", help="the ISA of engine's kernels instead of the best (ENGINE_CPU_ISA)")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    parts = options.only.split(",")
    if unknown := set(parts) - {*PARTS, "limits"}:
        parser.error(f"unknown part {sorted(unknown)[0]}")

    if options.isa:
        os.environ["ENGINE_CPU_ISA"] = options.isa
    isa = _core.get_cpu_isa()  # of the workers too: they inherit it

    torch = has("torch")
    if not torch:
        print("PyTorch is not installed: engine's own figures only (pip install 'engine[parity]' for the comparison)")
    sides = ["engine"]
    if torch:
        sides += ["torch"] if options.quick else ["torch", "torch-compile"]
    workers = [Worker(side, options.threads) for side in sides]
    report: dict[str, Any] = {"machine": processor(), "isa": isa, "threads": options.threads, "quick": options.quick}
    try:
        limits = workers[0].ask(
            do="prepare", task="limits:measure", arguments={"quick": options.quick}, threads=options.threads
        )
        report["limits"] = limits
        bandwidth = ", ".join(f"{limits[mix(r, w)]:.1f} ({r} read, {w} written)" for r, w in MIXES)
        print(
            f"\n{report['machine']}, {options.threads} threads, {isa}: {limits['fma_gflops']:.0f} GF/s "
            f"({limits['fma_gflops_1']:.0f} on one); GB/s {bandwidth}"
        )
        run = Run(workers, limits, options.quick, options.threads)
        for part in PARTS:
            if part in parts:
                tables = import_module(f"bench.{part}").run(run)
                report[part] = {t.title: t.data for t in tables}
                print(*tables, sep="\n", flush=True)
    finally:
        for w in workers:
            w.close()
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n")
        print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main()
