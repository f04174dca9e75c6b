"""Rows with equal texts are found, reported and removed. `quality.py` also finds nearly equal texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import BadValue, amount, require
from engine.text.cleaning import NormalForm, clean_text
from engine.text.table import TextTable

__all__ = ["DuplicateReport", "LabelConflict", "remove_duplicates"]


@dataclass(frozen=True)
class LabelConflict:
    """A text (or pair of texts) with several labels: row `rows[i]` of the original table has the label `labels[i]`."""

    text: str
    labels: tuple[str, ...]
    rows: tuple[int, ...]
    pair: str | None = None


@dataclass(frozen=True)
class DuplicateReport:
    """The findings of `remove_duplicates`.

    Attributes:
        kept: the number of rows kept.
        removed: the rows of the original table that were removed, ascending.
        conflicts: the texts that had different labels, in order of first appearance.
    """

    kept: int
    removed: tuple[int, ...]
    conflicts: tuple[LabelConflict, ...]

    def __str__(self) -> str:
        return (
            f"{self.kept} kept, {len(self.removed)} removed, {amount(len(self.conflicts), 'text')} with several labels"
        )


def remove_duplicates(
    table: TextTable,
    form: NormalForm | None = "NFKC",
    *,
    ignore_case: bool = False,
    on_conflict: Literal["first", "drop", "error"] = "first",
) -> tuple[TextTable, DuplicateReport]:
    """Keep the first of the rows whose texts (and second texts) are equal after `clean_text(text, form)`.

    Texts are cleaned only for the comparison: the texts that are kept do not change.

    Args:
        table: the table.
        form: the Unicode form in which texts are compared.
        ignore_case: ignore case in the comparison.
        on_conflict: if equal texts have different labels, 'first' keeps the first row, 'drop' keeps none of the rows,
            'error' raises.

    Returns:
        (the table without duplicates, a `DuplicateReport`).

    Raises:
        ValueError: if `on_conflict` is unknown; with 'error', on the first conflict, naming both rows.
    """
    op = "remove_duplicates"
    known = on_conflict in ("first", "drop", "error")
    require(known, op, "on_conflict", "'first', 'drop' or 'error'", repr(on_conflict))

    def key(text: str) -> str:
        text = clean_text(text, form)
        return text.casefold() if ignore_case else text

    groups: dict[tuple[str, ...], list[int]] = {}
    for row in range(len(table)):
        groups.setdefault(tuple(map(key, table.parts(row))), []).append(row)
    kept: list[int] = []
    conflicts: list[LabelConflict] = []
    for rows in groups.values():
        labels = () if table.labels is None else tuple(table.labels[row] for row in rows)
        if len(set(labels)) > 1:
            if on_conflict == "error":
                other = next(i for i, label in enumerate(labels) if label != labels[0])
                got = f"{labels[0]!r} in {table.where(rows[0])} and {labels[other]!r} in {table.where(rows[other])}"
                raise BadValue(op, "table", "one label for equal texts", got)
            text, *pair = table.parts(rows[0])
            conflicts.append(LabelConflict(text, labels, tuple(rows), *pair))
            if on_conflict == "drop":
                continue
        kept.append(rows[0])
    removed = sorted(set(range(len(table))).difference(kept))
    return table.select(kept), DuplicateReport(len(kept), tuple(removed), tuple(conflicts))
