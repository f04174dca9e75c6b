"""The tally of a run: samples that agree, kinds of faults, names that are missing; as JSON and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from .compare import Fault


class Tally:
    """Counts samples by what they belong to (an op, a module, an optimizer) and faults by kind."""

    def __init__(self, measure: str) -> None:
        self.measure = measure
        self.samples: Counter[str] = Counter()
        self.agreed: Counter[str] = Counter()
        self.faults: Counter[tuple[str, str, str]] = Counter()
        self.examples: dict[tuple[str, str, str], str] = {}
        self.left_out: Counter[str] = Counter()  # samples and ops that are not judged, by reason
        self.names: dict[
            str, tuple[list[str], list[str]]
        ] = {}  # by family: the names that exist, those that are missing

    def sample(self, of: str, faults: Iterable[Fault]) -> None:
        """One sample: it agrees if there is no fault. A kind of fault counts once a sample."""
        self.samples[of] += 1
        seen = {(of, f.stage, f.kind): f.example for f in faults}
        self.agreed[of] += not seen
        for key, example in seen.items():
            self.faults[key] += 1
            self.examples.setdefault(key, example)

    def name_family(self, family: str, names: Iterable[tuple[str, bool]]) -> None:
        """Which names of a family exist."""
        all_names = list(names)
        self.names[family] = ([n for n, ok in all_names if ok], [n for n, ok in all_names if not ok])

    @property
    def total(self) -> int:
        return sum(self.samples.values())

    @property
    def total_agreed(self) -> int:
        return sum(self.agreed.values())

    def figures(self) -> dict[str, int]:
        """The four figures of the measure, which may not fall."""
        return {
            "agree": self.total_agreed,
            "samples": self.total,
            "exist": sum(len(there) for there, _ in self.names.values()),
            "names": sum(len(there) + len(missing) for there, missing in self.names.values()),
        }

    def as_json(self) -> dict[str, Any]:
        return {
            "measure": self.measure,
            "figures": self.figures(),
            "names": {f: {"exist": there, "missing": missing} for f, (there, missing) in self.names.items()},
            "samples": {of: [self.agreed[of], count] for of, count in sorted(self.samples.items())},
            "faults": [
                {"of": of, "stage": stage, "kind": kind, "count": count, "example": self.examples[of, stage, kind]}
                for (of, stage, kind), count in self.faults.most_common()
            ],
            "left_out": dict(self.left_out.most_common()),
        }

    def as_text(self, rows: int = 60) -> str:
        f = self.figures()
        lines = [f"{self.measure}", f"  samples that agree   {_share(f['agree'], f['samples'])}"]
        whole = [of for of, count in self.samples.items() if self.agreed[of] == count]
        lines += [f"  agree in all samples {_share(len(whole), len(self.samples))}"]
        if self.names:
            lines += [f"  names that exist     {_share(f['exist'], f['names'])}"]
        for family, (there, missing) in self.names.items():
            lines += [f"    {family:18} {_share(len(there), len(there) + len(missing))}"]
            if missing:
                lines += [f"      missing: {' '.join(missing)}"]
        if self.faults:
            lines += ["", f"{'count':>6}  {'of':34} {'where':10} {'kind':36} example"]
        for (of, stage, kind), count in self.faults.most_common(rows):
            lines += [f"{count:6}  {of:34} {stage:10} {kind:36} {self.examples[of, stage, kind]}"]
        if len(self.faults) > rows:
            lines += [f"  and {len(self.faults) - rows} kinds more (--rows, or --json)"]
        if self.left_out:
            lines += ["", "left out: " + "; ".join(f"{why} ({n})" for why, n in self.left_out.most_common())]
        return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part:6,} of {whole:6,}" + (f"  ({100 * part / whole:.1f} %)" if whole else "")
