"""Labels of texts: names and their numbers, several labels for one text, and labels that are numbers themselves."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence

import numpy as np

from engine.data._arrays import integers_below
from engine.data.table import Source, place_of
from engine.errors import BadValue, require
from engine.text.label_problems import LEFT_OUT, missing_names, same_name
from engine.text.strings import checked_strings

__all__ = ["Labels", "parse_numbers", "split_labels"]

_FLOAT32_MAX = float(np.finfo(np.float32).max)


class Labels:
    """The label names of a classification task, numbered from 0 in the order given.

        >>> labels = Labels.from_labels(["ham", "spam", "ham"])
        >>> labels.names, labels.encode(["spam", "ham"]).tolist(), labels.decode([0])
        (('ham', 'spam'), [1, 0], ['ham'])

    Args:
        names: distinct, non-empty names.

    Raises:
        ValueError: if a name is empty or occurs twice.
        TypeError: if a name is not a string.
    """

    __slots__ = ("_ids", "names")

    names: tuple[str, ...]

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(checked_strings("Labels", "names", names))
        self._ids: dict[str, int] = {}
        for number, name in enumerate(self.names):
            require(name, "Labels", "names", "non-empty names", f"'' at position {number}")
            first = self._ids.setdefault(name, number)
            require(first == number, "Labels", "names", "distinct names", f"{name!r} twice")

    @classmethod
    def from_labels(cls, labels: Iterable[str]) -> Labels:
        """The distinct labels of a data set, sorted. If all are whole numbers, they are sorted as numbers ('2' before '10').

        Raises:
            ValueError: if a label is empty.
            TypeError: if a label is not a string.
        """
        distinct = set(checked_strings("Labels.from_labels", "labels", labels))
        numbers = all(name.isdecimal() for name in distinct)
        return cls(sorted(distinct, key=lambda name: (int(name) if numbers else 0, name)))

    def encode(self, labels: Iterable[str], *, source: Source = None, lines: Sequence[int] | None = None) -> np.ndarray:
        """The numbers of labels, int64 (n,).

        Args:
            labels: n names.
            source: the name of their file, for messages.
            lines: the line of each label in that file, for messages; None: messages count rows from 0.

        Raises:
            ValueError: if a label is unknown; the error names it, its row or line, and the nearest known name.
            TypeError: if a label is not a string.
        """
        names = enumerate(checked_strings("Labels.encode", "labels", labels))
        return np.array(
            [self._number("Labels.encode", "labels", name, row, source, lines) for row, name in names], dtype=np.int64
        )

    def encode_many(
        self, rows: Iterable[Iterable[str]], *, source: Source = None, lines: Sequence[int] | None = None
    ) -> np.ndarray:
        """Texts with any number of labels, float32 (n, len(self)): 1 if the text has the label, otherwise 0.

            >>> Labels(["a", "b", "c"]).encode_many([("c", "a"), ()]).tolist()
            [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]

        Args:
            rows: the names of each text, as `split_labels` gives them; a text may have none.
            source, lines: as in `encode`.

        Raises:
            ValueError: if a label is unknown, as `encode`.
            TypeError: if a row is not a list of strings.
        """
        op = "Labels.encode_many"
        given = [checked_strings(op, f"rows[{row}]", names) for row, names in enumerate(rows)]
        encoded = np.zeros((len(given), len(self.names)), dtype=np.float32)
        for row, names in enumerate(given):
            encoded[row, [self._number(op, "rows", name, row, source, lines) for name in names]] = 1
        return encoded

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The names of numbers.

        Raises:
            IndexError: if a number is not in [0, len(self)).
            TypeError: if a number is not an integer.
        """
        return [self.names[number] for number in integers_below("Labels.decode", "ids", ids, len(self.names))]

    def _number(self, op: str, argument: str, label: str, row: int, source: Source, lines: Sequence[int] | None) -> int:
        number = self._ids.get(label)
        if number is None:
            few = len(self.names) <= 8
            known = ", ".join(map(repr, self.names)) if few else f"{len(self.names)} known labels"
            near = () if few else difflib.get_close_matches(label, self.names, n=1)
            same = same_name(label, self.names)
            hints = [f"{same!r} is known, which differs only in spelling"] if same else []
            hints += [f"the nearest known label is {name!r}" for name in near if not same]
            hints += [LEFT_OUT] * (label in missing_names([label]))
            raise BadValue(op, argument, f"one of {known}", f"{label!r} in {place_of(row, source, lines)}", *hints)
        return number

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._ids

    def __eq__(self, other: object) -> bool:
        return self.names == other.names if isinstance(other, Labels) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.names)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.names[:4])) + (", ..." if len(self.names) > 4 else "")
        return f"Labels({len(self.names)}: {shown})"


def split_labels(
    labels: Iterable[str], separator: str = "|", *, source: Source = None, lines: Sequence[int] | None = None
) -> list[tuple[str, ...]]:
    """The names in strings that hold several labels: "sport|politics" is ("sport", "politics"), and "" is ().

    White space around a name is removed. A name that occurs twice in one string is kept once.

    Args:
        labels: one string for each text, as a table holds them.
        separator: the string between names.
        source, lines: the labels' file and lines, for messages, as in `Labels.encode`.

    Raises:
        ValueError: if the separator is empty, or a name is empty ("a||b").
        TypeError: if a label is not a string.
    """
    op = "split_labels"
    require(separator, op, "separator", "at least one character", "''")
    split = []
    for row, label in enumerate(checked_strings(op, "labels", labels)):
        names = tuple(dict.fromkeys(name.strip() for name in label.split(separator))) if label.strip() else ()
        if "" in names:
            got = f"{label!r} in {place_of(row, source, lines)}"
            raise BadValue(op, "labels", f"a name on each side of {separator!r}", got)
        split.append(names)
    return split


_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_SEVERAL_NUMBERS = "a text has one number: train one model for each column of numbers"


def parse_numbers(labels: Iterable[str], *, source: Source = None, lines: Sequence[int] | None = None) -> np.ndarray:
    """Labels that are numbers, for regression: float32 (n,).

    Args:
        labels: one number for each text, in decimal or scientific notation.
        source, lines: the labels' file and lines, for messages, as in `Labels.encode`.

    Raises:
        ValueError: if a label is not a number, or not a finite float32; the error names its row or line.
        TypeError: if a label is not a string.
    """
    numbers = []
    for row, label in enumerate(checked_strings("parse_numbers", "labels", labels)):
        try:
            number = math.nan if "_" in label else float(label)  # Python would read 1_000 as a number
        except ValueError:
            number = math.nan
        if not abs(number) <= _FLOAT32_MAX:
            got = f"{label!r} in {place_of(row, source, lines)}"
            hints = ["a number has a point before its decimals and no commas, such as 1500 or 1.5"] * ("," in label)
            parts = re.split(r"[\s,;|\[\]()]+", label.strip())
            if len([*filter(_NUMBER.fullmatch, parts)]) > 1:
                hints.append(_SEVERAL_NUMBERS)
            hints += [LEFT_OUT] * (label.strip() in missing_names([label.strip()]))
            raise BadValue("parse_numbers", "labels", "a finite float32 number", got, *hints)
        numbers.append(number)
    return np.array(numbers, dtype=np.float32)
