"""python -m bench [--quick] [--only limits,ops,step,banking77] [--threads N] [--json FILE]"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

from bench.protocol import Worker, has_torch

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

PARTS = ("limits", "ops", "step", "banking77")


def main() -> None:
    from engine import _core

    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a short version of everything: to see that it runs, not to quote"
    )
    parser.add_argument("--only", default=",".join(PARTS), help=f"comma-separated parts of {', '.join(PARTS)}")
    parser.add_argument("--threads", type=int, default=_core.get_num_threads())
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    parts = options.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"unknown part {sorted(unknown)[0]}")

    torch = has_torch()
    if not torch:
        print("PyTorch is not installed: engine's own figures only (pip install 'engine[parity]' for the comparison)")
    workers = [Worker("engine", options.threads)] + ([Worker("torch", options.threads)] if torch else [])
    isa = _core.get_cpu_isa()
    report: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "isa": isa, "quick": options.quick}
    limits = workers[0].ask(do="prepare", task="limits:measure", arguments={"quick": options.quick})
    report["limits"] = limits
    print(
        f"\nlimit of this machine, {limits['threads']:.0f} threads, {isa}: {limits['fma_gflops']:.0f} GF/s "
        f"({limits['fma_gflops_1']:.0f} on one), {limits['read_gbs']:.1f} GB/s read, {limits['triad_gbs']:.1f} GB/s two reads and a write"
    )
    try:
        for part in PARTS[1:]:
            if part in parts:
                module = __import__(f"bench.{part}", fromlist=["run"])
                report[part], text = module.run(workers, limits, options.quick)
                print(text, flush=True)
    finally:
        for w in workers:
            w.close()
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n")
        print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main()
