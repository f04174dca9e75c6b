"""The figures that may not fall: kept in floors.json, raised by `python -m tests.parity floors`, lowered only by hand."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from .report import Tally
from .sides import subject

FILE = Path(__file__).parent / "floors.json"
MEASURES = {"opinfo": "opinfo", "moduleinfo": "moduleinfo", "optiminfo": "optiminfo", "idioms": "run_idioms"}
QUICK = 3  # samples of each op and dtype in the short form


def run(measure: str, *, engine: str = "engine", only: str | None = None, limit: int | None = None) -> Tally:
    """One measure of engine, or of PyTorch in its place."""
    return importlib.import_module(f"{__package__}.{MEASURES[measure]}").run(subject(engine), only, limit)


def limit_of(form: str, measure: str) -> int | None:
    """Samples of each op and dtype in the "quick" or the "long" form."""
    return QUICK if form == "quick" and measure != "idioms" else None


def reached(tally: Tally) -> dict[str, Any]:
    """What a run has reached: counts, and the ops, modules or scripts that agree in all of their samples."""
    figures = tally.figures()
    whole = sorted(of for of, count in tally.samples.items() if tally.agreed[of] == count)
    return {"agree": figures["agree"], "exist": figures["exist"], "whole": " ".join(whole)}


def fallen(floor: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is below the floor, in words."""
    words = {"agree": "samples that agree", "exist": "names that exist"}
    below = [f"{words[k]}: {floor[k]} before, {now[k]} now" for k in words if now[k] < floor[k]]
    lost = sorted(set(floor["whole"].split()) - set(now["whole"].split()))
    return below + ([f"agreed in all samples before, and do not now: {' '.join(lost)}"] if lost else [])


def read() -> dict[str, dict[str, Any]]:
    return json.loads(FILE.read_text())


def raise_floors(form: str) -> None:
    """Runs all measures of a form and writes what is higher than before."""
    floors = read() if FILE.exists() else {}
    for measure in MEASURES:
        now = reached(run(measure, limit=limit_of(form, measure)))
        old = floors.setdefault(form, {}).get(measure, {"agree": 0, "exist": 0, "whole": ""})
        floors[form][measure] = {
            "agree": max(old["agree"], now["agree"]),
            "exist": max(old["exist"], now["exist"]),
            "whole": " ".join(sorted({*old["whole"].split(), *now["whole"].split()})),
        }
        print(f"{form} {measure}: {floors[form][measure]['agree']} samples agree", flush=True)
    FILE.write_text(json.dumps(floors, indent=1) + "\n")
