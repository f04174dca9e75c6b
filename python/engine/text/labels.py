"""Label names and their numbers; several labels a text; labels that are numbers."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence

import numpy as np

from engine.data._arrays import integer

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
        ValueError: if a name is empty or stands twice.
        TypeError: if a name is not a string.
    """

    __slots__ = ("_ids", "names")

    names: tuple[str, ...]

    def __init__(self, names: Iterable[str]) -> None:
        if isinstance(names, str):
            raise TypeError("[Labels] names: expected a list of strings, got one string")
        self.names = tuple(names)
        self._ids: dict[str, int] = {}
        for number, name in enumerate(self.names):
            if not isinstance(name, str):
                raise TypeError(f"[Labels] names: expected strings, got {type(name).__name__} at position {number}")
            if not name:
                raise ValueError(f"[Labels] names: expected non-empty names, got '' at position {number}")
            if self._ids.setdefault(name, number) != number:
                raise ValueError(f"[Labels] names: expected distinct names, got {name!r} twice")

    @classmethod
    def from_labels(cls, labels: Iterable[str]) -> Labels:
        """Collect the distinct labels of a data set, sorted; all-integer names sort as numbers ('2' before '10').

        Raises:
            ValueError: if a label is empty.
            TypeError: if one is not a string.
        """
        if isinstance(labels, str):
            raise TypeError("[Labels.from_labels] labels: expected a list of strings, got one string")
        distinct = set()
        for row, label in enumerate(labels):
            if not isinstance(label, str):
                raise TypeError(f"[Labels.from_labels] labels: expected strings, got {label!r} in row {row}")
            distinct.add(label)
        if all(name.isdecimal() for name in distinct):
            return cls(sorted(distinct, key=lambda name: (int(name), name)))
        return cls(sorted(distinct))

    def encode(
        self, labels: Iterable[str], *, source: str | None = None, lines: Sequence[int] | None = None
    ) -> np.ndarray:
        """Numbers of the given labels, int64 (n,).

        Args:
            labels: names to look up.
            source: name of the file they come from, for messages.
            lines: the line of each label in that file, for messages; without it messages count rows from 0.

        Raises:
            ValueError: on an unknown label; names the label, its row or line, and the nearest known name.
        """
        if isinstance(labels, str):
            raise TypeError("[Labels.encode] labels: expected a list of strings, got one string")
        numbers = []
        for row, label in enumerate(labels):
            number = self._ids.get(label)
            if number is None:
                raise ValueError(self._unknown("encode", label, _where(row, source, lines)))
            numbers.append(number)
        return np.array(numbers, dtype=np.int64)

    def encode_many(
        self, rows: Iterable[Iterable[str]], *, source: str | None = None, lines: Sequence[int] | None = None
    ) -> np.ndarray:
        """Texts with any number of labels each: 1 where a text has the label and 0 elsewhere, float32 (n, len(self)).

            >>> Labels(["a", "b", "c"]).encode_many([("c", "a"), ()]).tolist()
            [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]

        Args:
            rows: the names of each text, such as `split_labels` gives; a text may have none.
            source, lines: as in `encode`.

        Raises:
            ValueError: on an unknown label, as `encode`.
            TypeError: if a row is one string.
        """
        if isinstance(rows, str):
            raise TypeError("[Labels.encode_many] rows: expected a list of lists of strings, got one string")
        given = list(rows)
        encoded = np.zeros((len(given), len(self.names)), dtype=np.float32)
        for row, names in enumerate(given):
            if isinstance(names, str):
                raise TypeError(f"[Labels.encode_many] rows: expected lists of strings, got {names!r} in row {row}")
            for name in names:
                number = self._ids.get(name)
                if number is None:
                    raise ValueError(self._unknown("encode_many", name, _where(row, source, lines)))
                encoded[row, number] = 1
        return encoded

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Names of the given numbers.

        Raises:
            IndexError: if a number is not in [0, len(self)).
            TypeError: if one is no integer.
        """
        names = []
        for row, value in enumerate(ids):
            number = integer("Labels.decode", "ids", value)
            if not 0 <= number < len(self.names):
                raise IndexError(
                    f"[Labels.decode] ids: expected values in [0, {len(self.names)}), got {number} in row {row}"
                )
            names.append(self.names[number])
        return names

    def _unknown(self, method: str, label: object, where: str) -> str:
        known = f"one of {len(self.names)} known labels"
        if len(self.names) <= 8:
            known = "one of " + ", ".join(map(repr, self.names))
        near = difflib.get_close_matches(label, self.names, n=1) if isinstance(label, str) else []
        hint = f" (nearest known: {near[0]!r})" if near and len(self.names) > 8 else ""
        return f"[Labels.{method}] {'labels' if method == 'encode' else 'rows'}: expected {known}, got {label!r} in {where}{hint}"

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
    labels: Iterable[str], separator: str = "|", *, source: str | None = None, lines: Sequence[int] | None = None
) -> list[tuple[str, ...]]:
    """The names in labels that hold several: "sport|politics" is ("sport", "politics"), and "" is ().

    Space around a name goes; a name that stands twice in a row is kept once.

    Args:
        labels: one string a text, as a table holds them.
        separator: what stands between names.
        source, lines: where they come from, for messages, as in `Labels.encode`.

    Raises:
        ValueError: if the separator is empty, or a name is ("a||b").
        TypeError: if a label is not a string.
    """
    if isinstance(labels, str):
        raise TypeError("[split_labels] labels: expected a list of strings, got one string")
    if not separator:
        raise ValueError("[split_labels] separator: expected at least one character, got ''")
    split = []
    for row, label in enumerate(labels):
        if not isinstance(label, str):
            raise TypeError(f"[split_labels] labels: expected strings, got {type(label).__name__} in row {row}")
        names = tuple(dict.fromkeys(name.strip() for name in label.split(separator))) if label.strip() else ()
        if "" in names:
            where = _where(row, source, lines)
            raise ValueError(
                f"[split_labels] labels: expected a name at each side of {separator!r}, got {label!r} in {where}"
            )
        split.append(names)
    return split


def parse_numbers(
    labels: Iterable[str], *, source: str | None = None, lines: Sequence[int] | None = None
) -> np.ndarray:
    """Labels that are numbers, for regression: float32 (n,).

    Args:
        labels: one number a text, in decimal or scientific notation.
        source, lines: where they come from, for messages, as in `Labels.encode`.

    Raises:
        ValueError: if one is no number, or not a finite float32; names its row or line.
        TypeError: if a label is not a string.
    """
    if isinstance(labels, str):
        raise TypeError("[parse_numbers] labels: expected a list of strings, got one string")
    numbers = []
    for row, label in enumerate(labels):
        if not isinstance(label, str):
            raise TypeError(f"[parse_numbers] labels: expected strings, got {type(label).__name__} in row {row}")
        try:
            number = float(label) if "_" not in label else math.nan  # Python reads 1_000, files do not mean it
        except ValueError:
            number = math.nan
        if not abs(number) <= _FLOAT32_MAX:
            where = _where(row, source, lines)
            raise ValueError(f"[parse_numbers] labels: expected a finite number, got {label!r} in {where}")
        numbers.append(number)
    return np.array(numbers, dtype=np.float32)


def _where(row: int, source: str | None, lines: Sequence[int] | None) -> str:
    place = f"row {row}" if lines is None else f"line {lines[row]}"
    return f"{place} of {source}" if source else place
