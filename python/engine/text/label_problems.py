"""Labels that are probably mistakes: spellings of the same name, and marks of a missing value."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from engine.data.table import Table

__all__ = [
    "LEFT_OUT",
    "doubtful_names",
    "label_remarks",
    "missing_names",
    "name_remarks",
    "no_classes",
    "odd_spellings",
    "same_name",
]

LEFT_OUT = (
    "--clean missing_label leaves such rows out of the training texts; `engine check --remove missing_label --output FILE` writes a copy "
    "of a file without them"
)
"""What to do about rows without a label."""

# As spreadsheets, databases and pandas write a value that is not there; in any case.
_MISSING = frozenset({"", "nan", "-nan", "null", "(null)", "\\n", "n/a", "#n/a", "#n/a n/a", "#na", "<na>"})
_AS_WRITTEN = frozenset({"None", "NaT"})
_SIGNS = frozenset({"?", "??", "???", "-", "--", "---", "\u2013", "\u2014", "_", "."})
_DOUBTFUL = frozenset({"none", "na", "n.a.", "nil", "undefined", "missing"})  # also names of classes
_BETWEEN = re.compile(r"[\s_-]+")
_SHOWN = 5


def missing_names(names: Iterable[str]) -> frozenset[str]:
    """Those of the names of all labels that read like a missing value: empty ones, 'nan', 'N/A', '?', '-' and others.

    A sign such as '-' is a name if any other name has neither letters nor digits: '+' beside '-', or ',' beside '.'."""
    given = frozenset(names)
    signs = {name for name in given if name and not any(map(str.isalnum, name))}
    found = {name for name in given if name.casefold() in _MISSING or name in _AS_WRITTEN}
    return frozenset(found | (signs if signs <= _SIGNS | found else set()))


def doubtful_names(names: Iterable[str]) -> frozenset[str]:
    """Those of the names that read like a missing value, but may well be the name of a class, such as 'none'."""
    given = frozenset(names)
    return frozenset(name for name in given if name.casefold() in _DOUBTFUL) - missing_names(given)


def same_name(label: str, names: Iterable[str]) -> str | None:
    """The one of the names that differs from a label only in spelling; None: there is none."""
    plain = _plain(label)
    return next((name for name in names if _plain(name) == plain and name != label), None)


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
_WHOLE = re.compile(r"[+-]?\d+\.0")


def label_remarks(table: Table[Any], names: Sequence[Iterable[str]]) -> list[str]:
    """A sentence for each kind of labels of a table that are probably mistakes. names: the labels of each row."""
    found = [*map(tuple, names)]
    return [
        *name_remarks(table, found),
        *no_classes(len(found), [*dict.fromkeys(name for each in found for name in each)]),
    ]


def name_remarks(table: Table[Any], names: Sequence[Iterable[str]], removable: bool = True) -> list[str]:
    """As `label_remarks`, but only of the names one by one. removable: whether rows can be left out of a training."""
    first: dict[str, int] = {}
    counts: Counter[str] = Counter()
    for row, each in enumerate(names):
        for name in each:
            first.setdefault(name, row)
            counts[name] += 1

    def shown(name: str) -> str:
        return f"{name!r} ({counts[name]:,}, first in {table.where(first[name])})"

    def listed(found: Sequence[str], between: str = ", ") -> str:
        more = f"{between}and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
        return between.join(found[:_SHOWN]) + more

    said = []
    odd = [f"{shown(name)} and {usual!r} ({counts[usual]:,})" for name, usual in odd_spellings(counts).items()]
    if odd:
        said.append(f"labels that differ only in spelling are different classes: {listed(odd, '; ')}")
    missing, doubtful = missing_names(counts), doubtful_names(counts)
    found = [name for name in counts if name in missing | doubtful]
    if found:
        total = sum(counts[name] for name in found)
        read = (
            "1 label reads like a missing value, but is taken"
            if total == 1
            else f"{total:,} labels read like missing values, but are taken"
        )
        gone = [repr(name) for name in found if name in missing]
        way = (
            f'; --clean missing_label (clean=["missing_label"]) leaves out rows with {listed(gone)}'
            if gone and removable
            else ""
        )
        said.append(f"{read} as {'a class' if len(found) == 1 else 'classes'}: {listed([*map(shown, found)])}{way}")
    if len(counts) > 1 and all(map(_WHOLE.fullmatch, counts)):
        name = next(iter(counts))
        said.append(
            f"labels such as {name!r} are names that keep their decimals: {name[:-2]!r} in another file is another label"
        )
    return said


def no_classes(texts: int, labels: Sequence[str]) -> list[str]:
    """A sentence for each reason why the different labels of so many texts may be no classes."""
    said = []
    if texts >= _SOME and len(labels) > _NEARLY * texts:
        said.append(f"{texts:,} texts have {len(labels):,} labels: are the columns of texts and labels swapped?")
    floats = [name for name in labels if _FLOAT.fullmatch(name)]
    if len(labels) > 2 and len(floats) == len(labels) and any(float(name) % 1 for name in floats):
        said.append(
            f"each of {len(labels):,} numbers such as {floats[0]!r} is a class; the task 'regression' learns numbers"
        )
    return said
