"""Faults in every command that writes: all of them, or as many as the time allows, in an order drawn with a seed.

    python tools/faults.py --seconds 3600 --seed 1 --log FILE [--kind calls ...] [--command train ...]

Kinds of faults: `calls`, every call to the file system, with each error and a kill; `vanished`, the folder is moved away before one of
them, and put back when the command has ended; `kills`, 100 of each command at moments that the clock chooses; `limits`, 100 values of
`engine.set_memory_limit`; `allocations` and `own`, one of 500 allocations, of the process or of the engine's C++.

FILE gets a line for each case when it is done; with the same file and seed, a later run does the others. The table at the end counts
what is in the file. The exit code is 1 if a case broke a promise: its line in FILE says which.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--kind", action="append")
    parser.add_argument("--command", action="append")
    given = parser.parse_args()
    from faults.harness import KINDS, Server, scenarios

    began = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix="faults-"))
    server = Server(place)
    found = scenarios(server, place)
    cases = [
        {"command": name, "kind": kind, "number": number, "fault": fault}
        for name in given.command or found
        for kind in given.kind or KINDS
        for number, fault in enumerate(found[name].faults(kind, server, place / "place", given.seed))
    ]
    random.Random(given.seed).shuffle(cases)
    lines = given.log.read_text().splitlines() if given.log.exists() else []
    done = {(r["command"], r["kind"], r["number"]): r for r in map(json.loads, lines)}
    with given.log.open("a") as log:
        for case in cases:
            key = case["command"], case["kind"], case["number"]
            if time.monotonic() - began > given.seconds:
                break
            if key not in done:
                done[key] = {**case, **_result(found[case["command"]], server, place / "place", case["fault"])}
                log.write(json.dumps(done[key]) + "\n")
                log.flush()
    server.close()
    return _table(cases, list(done.values()), time.monotonic() - began)


def _result(scenario: Any, server: Any, place: Path, fault: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = scenario.check(server, place, **fault)
    except AssertionError as error:
        return {"broke": str(error)}
    return {"status": answer["status"], "hit": answer["hit"][:200]}


def _table(cases: list[dict[str, Any]], done: list[dict[str, Any]], seconds: float) -> int:
    every, ran = (Counter((c["kind"], c["command"]) for c in rows) for rows in (cases, done))
    broke = Counter((r["kind"], r["command"]) for r in done if "broke" in r)
    print(f"{'kind':<13}{'command':<12}{'cases':>8}{'done':>8}{'broke':>8}")
    for kind, name in sorted(every | ran):
        print(f"{kind:<13}{name:<12}{every[kind, name]:>8,}{ran[kind, name]:>8,}{broke[kind, name]:>8,}")
    print(f"{ran.total():,} of {every.total():,} cases are done, {broke.total():,} broke; {seconds:.0f} s now")
    return 1 if broke else 0


if __name__ == "__main__":
    sys.exit(main())
