"""All rows. A family's file holds a list SPECS; it is found by its name."""

from __future__ import annotations

import importlib
import pkgutil
import random

from specs.spec import Spec

SPECS: list[Spec] = []
FAMILIES: dict[str, str] = {}  # of each row, the file
for _module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
    if _module.name not in ("spec", "reference"):
        _rows = importlib.import_module(f"specs.{_module.name}").SPECS
        SPECS += _rows
        FAMILIES |= {s.name: _module.name for s in _rows}

_names = [s.name for s in SPECS]
assert len(set(_names)) == len(_names), f"two rows of one name: {sorted({n for n in _names if _names.count(n) > 1})}"


def some(count: int) -> set[tuple[str, int]]:
    """Names and numbers of `count` cases, always the same: drawn one of each family in turn, until the family has no more."""
    draw = random.Random(0)
    left = {
        f: [(s.name, n) for s in SPECS if FAMILIES[s.name] == f for n in range(len(s.cases))]
        for f in sorted(set(FAMILIES.values()))
    }
    for cases in left.values():
        draw.shuffle(cases)
    found: set[tuple[str, int]] = set()
    while len(found) < count and any(left.values()):
        found |= {cases.pop() for cases in left.values() if cases}
    return found
