"""Labels that are probably mistakes: spellings of the same name, and marks of a missing value."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from engine.data.table import Table

__all__ = ["is_missing", "label_remarks", "no_classes", "odd_spellings"]

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


_SOME, _NEARLY = 10, 0.5  # texts, and the share of them that have a label of their own
_FLOAT = re.compile(r"[+-]?\d+\.\d+([eE][+-]?\d+)?")


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
    return [*said, *no_classes(len(names), list(counts))]


def no_classes(texts: int, labels: Sequence[str]) -> list[str]:
    """A sentence for each reason why the different labels of so many texts may be no classes."""
    said = []
    if texts >= _SOME and len(labels) > _NEARLY * texts:
        said.append(f"{texts} texts have {len(labels)} labels: are the columns of texts and labels swapped?")
    floats = [name for name in labels if _FLOAT.fullmatch(name)]
    if len(labels) > 2 and len(floats) == len(labels) and any(float(name) % 1 for name in floats):
        said.append(
            f"each of {len(labels)} numbers such as {floats[0]!r} is a class; the task 'regression' learns numbers"
        )
    return said
