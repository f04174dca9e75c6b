"""Labels that are probably mistakes: spellings of the same name, and marks of a missing value."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from engine.data.table import Table

__all__ = ["is_missing", "label_remarks", "odd_spellings"]

# As spreadsheets, databases and pandas write a value that is not there. "none" may be the name of a class; "None" hardly is.
_MISSING = frozenset({"", "nan", "NaN", "NAN", "None", "null", "NULL", "N/A", "n/a", "#N/A", "<NA>", "NaT"})
_BETWEEN = re.compile(r"[\s_-]+")
_SHOWN = 3


def is_missing(label: str) -> bool:
    """Whether a label is empty or looks like a missing value, such as 'nan'."""
    return label in _MISSING


def odd_spellings(counts: dict[str, int]) -> dict[str, str]:
    """The labels that are another label in a rarer spelling, with the usual one: case, spaces, hyphens and underscores differ, or how
    a number is written (1 and 1.0). counts: how often each label occurs."""
    groups: dict[object, list[str]] = {}
    for name in counts:
        groups.setdefault(_plain(name), []).append(name)
    found = {}
    for names in groups.values():
        usual = max(names, key=lambda name: (counts[name], name))
        found.update({name: usual for name in names if name != usual})
    return found


def _plain(name: str) -> object:
    try:
        number = float(name)
    except ValueError:
        number = None
    if number is not None and number == number:  # "nan" is a name here
        return number
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", name).casefold()) or name


def label_remarks(table: Table[Any], names: Sequence[Iterable[str]]) -> list[str]:
    """A sentence for each kind of labels of a table that are probably mistakes. names: the labels of each row."""
    first: dict[str, int] = {}
    counts: Counter[str] = Counter()
    for row, each in enumerate(names):
        for name in each:
            first.setdefault(name, row)
            counts[name] += 1
    said = []
    odd = odd_spellings(counts)
    if odd:
        shown = [
            f"{name!r} ({counts[name]}, first in {table.where(first[name])}) and {usual!r} ({counts[usual]})"
            for name, usual in [*odd.items()][:_SHOWN]
        ]
        more = f", and {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else ""
        said.append(f"labels that differ only in spelling are different classes: {'; '.join(shown)}{more}")
    missing = [name for name in counts if is_missing(name)]
    if missing:
        shown = [f"{name!r} ({counts[name]}, first in {table.where(first[name])})" for name in missing[:_SHOWN]]
        said.append(f"labels that look like missing values are taken as classes: {', '.join(shown)}")
    return said
