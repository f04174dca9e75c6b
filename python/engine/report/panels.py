"""Which curves a run's log holds, for the pictures and for the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.report.words import figure_name, is_number

__all__ = ["Panel", "curve_panels"]

_NOT_FIGURES = {"event", "step", "epoch", "loss", "seconds", "samples", "tokens"}
_DISTANCES = {"mse", "rmse", "mae", "perplexity"}


class Panel(NamedTuple):
    """A diagram over steps: its title, and (name, steps, values, whether to mark each point) of its curves."""

    title: str
    curves: list[tuple[str, list[float], list[float], bool]]


def curve_panels(records: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """What is worth drawing of the records of a log (`read_log`): loss, held-out figures of any name, learning rate.

    Figures between -1 and 1 share a panel; errors and larger figures have a panel each. A figure that repeats another is left out.
    """

    def curve(event: str, key: str, name: str, marked: bool) -> tuple[str, list[float], list[float], bool]:
        rows = [r for r in records if r["event"] == event and is_number(r.get(key)) and math.isfinite(r[key])]
        return name, [float(r["step"]) for r in rows], [float(r[key]) for r in rows], marked

    seen = [curve("eval", "loss", "held out", True)]
    loss = Panel("loss", [curve("train", "loss", "training (with dropout)", False), *seen])
    shares, others = Panel("held out", []), []
    for key in dict.fromkeys(key for r in records if r["event"] == "eval" for key in r):
        drawn = curve("eval", key, figure_name(key), True)
        skipped = key in _NOT_FIGURES or key.endswith("_per_second") or not drawn[2]
        if skipped or any(drawn[1:3] == other[1:3] for other in seen):
            continue
        seen.append(drawn)
        if key in _DISTANCES or max(map(abs, drawn[2])) > 1:
            others.append(Panel(drawn[0], [drawn]))
        else:
            shares.curves.append(drawn)
    rate = Panel("learning rate", [curve("train", "lr", "learning rate", False)])
    panels = [Panel(p.title, [c for c in p.curves if c[1]]) for p in (loss, shares, *others, rate)]
    return [p for p in panels if p.curves]
