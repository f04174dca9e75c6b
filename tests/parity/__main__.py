"""Compares engine with PyTorch, on PyTorch's own test inputs and on scripts in its style."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

import torch

from . import floors


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument(
        "measure", choices=(*floors.MEASURES, "floors"), help="floors: raise floors.json to what is reached"
    )
    parser.add_argument(
        "--self", action="store_true", dest="itself", help="put PyTorch in engine's place: 100 %% is due"
    )
    parser.add_argument("--op", metavar="NAME", help="only this op, module, optimizer or script (a regular expression)")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N samples of each op and dtype")
    parser.add_argument("--rows", type=int, default=60, metavar="N", help="kinds of faults to print (60)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to FILE")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if args.measure == "floors":
        for form in ("quick", "long"):
            floors.raise_floors(form)
        return 0
    tally = floors.run(args.measure, engine="torch" if args.itself else "engine", only=args.op, limit=args.limit)
    print(tally.as_text(args.rows))
    if args.json:
        args.json.write_text(json.dumps(tally.as_json(), indent=1) + "\n")
    return 0 if tally.total_agreed == tally.total else 1


if __name__ == "__main__":
    sys.exit(main())
