"""python -m tests.parity opinfo|moduleinfo|optiminfo|idioms [--self] [--op NAME] [--json FILE]"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import warnings
from pathlib import Path

import torch

from .sides import subject


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description="Compares engine with PyTorch.")
    parser.add_argument("measure", choices=("opinfo", "moduleinfo", "optiminfo", "idioms"))
    parser.add_argument("--self", action="store_true", dest="itself", help="put PyTorch in engine's place: 100 %% is due")
    parser.add_argument("--op", metavar="NAME", help="only the op, module, optimizer or script of this name (a regular expression)")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N samples of each op and dtype")
    parser.add_argument("--rows", type=int, default=60, metavar="N", help="kinds of faults to print (60)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to FILE")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    measure = importlib.import_module(f"{__package__}.{'run_idioms' if args.measure == 'idioms' else args.measure}")
    tally = measure.run(subject("torch" if args.itself else "engine"), args.op, args.limit)
    print(tally.as_text(args.rows))
    if args.json:
        args.json.write_text(json.dumps(tally.as_json(), indent=1) + "\n")
    return 0 if tally.total_agreed == tally.total else 1


if __name__ == "__main__":
    sys.exit(main())
