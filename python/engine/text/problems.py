"""Problems of a table of texts as data: their kinds, each problem, and the report. `quality.py` finds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from engine.data.table import Elements, place_of
from engine.errors import amount, require
from engine.text.table import TextTable
from engine.text.table_columns import TakenColumns, in_words

__all__ = ["KINDS", "Other", "Problem", "ProblemKind", "QualityReport", "check_kinds", "contents"]

ProblemKind = Literal[
    "empty", "control", "markup", "long", "duplicate", "near_duplicate", "label_conflict", "leak", "near_leak",
    "rare_label", "label_spelling", "missing_label",
]  # fmt: skip
"""
empty: a text (or second text) without a visible character.
control: invisible control characters, halves of surrogate pairs, or the mark of a wrong encoding, U+FFFD.
markup: HTML or XML, which `strip_markup` would change.
long: more characters than a given number.
duplicate: equal to an earlier row after `clean_text(text, "NFKC")`.
near_duplicate: nearly equal to an earlier row that is not a near-duplicate itself. If the rows of this kind and the
    duplicates are removed, no two rows are nearly equal.
label_conflict: equal or nearly equal to an earlier row with another label.
leak: equal to a row of another split; near_leak: nearly equal to one.
rare_label: too few rows have the row's label.
label_spelling: the label is another label in a rarer spelling: case, spaces, hyphens or underscores differ, or it is 1 beside 1.0.
missing_label: the label is empty or reads like a missing value, such as 'nan', '?' or '-'; not 'none', which may be a class.
"""

KINDS: tuple[ProblemKind, ...] = get_args(ProblemKind)
"""All kinds, in the order of reports."""

_WITH_LABEL = ("label_conflict", "rare_label", "leak", "near_leak", "label_spelling", "missing_label")
_SHOWN = 3  # examples of each kind in the printed report
_WIDTH = 60  # characters of a text there


@dataclass(frozen=True)
class Other:
    """The row that a row with a problem is equal or similar to.

    Attributes:
        split: the name of its split; None: the same table.
        row, line, where, text, pair, label, file: as in `Problem`.
        similarity: the Jaccard similarity of the two rows, in (0, 1]; 1 if they are equal.
    """

    split: str | None
    row: int
    line: int | None
    where: str
    text: str
    pair: str | None
    label: str | None
    similarity: float
    file: str | None = None


@dataclass(frozen=True)
class Problem:
    """One problem of one row.

    Attributes:
        kind: one of `ProblemKind`.
        row: the row of the table, from 0.
        line: its line in the file, from 1, or the number of its row in a file without lines; None if it is not known.
        where: the place in words: "line 7", or "row 7" of Parquet and Excel, with the file's name if there are several.
        file: the name of its file, if the rows of the table come from several; otherwise None.
        text, pair, label: the contents of the row.
        other: for duplicates, conflicts and leaks, the row that it is equal or similar to.
    """

    kind: ProblemKind
    row: int
    line: int | None
    where: str
    text: str
    pair: str | None
    label: str | None
    other: Other | None = None
    file: str | None = None

    def __str__(self) -> str:
        """The row for the printed report, and the row that it is similar to."""
        if self.other is None:
            return _shown(self, self.kind)
        sign = "=" if self.other.similarity == 1 else f"~{self.other.similarity:.2f}"
        split = f"{self.other.split} " if self.other.split else ""
        return f"{_shown(self, self.kind)} {sign} {split}{_shown(self.other, self.kind)}"


@dataclass(frozen=True)
class QualityReport:
    """The findings of `find_problems`.

    Attributes:
        rows: the number of rows of the table.
        source: the name of the table's file, or None.
        similarity, shingle: the least similarity of near-duplicates, and the number of characters in a shingle.
        problems: all problems, by kind in the order of `ProblemKind`, then by row.
        notes: further sentences: what reading has left out or guessed.
        columns: the columns of the file that were read, by what they hold.
    """

    rows: int
    source: str | None
    similarity: float
    shingle: int
    problems: tuple[Problem, ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    columns: TakenColumns = field(default_factory=dict)

    def of(self, kind: ProblemKind) -> list[Problem]:
        """The problems of one kind. Raises ValueError if the kind is unknown."""
        check_kinds("QualityReport.of", (kind,))
        return [problem for problem in self.problems if problem.kind == kind]

    def counts(self) -> dict[str, int]:
        """The number of rows with each problem, by kind; a row may have several problems."""
        counted = Counter(problem.kind for problem in self.problems)
        return {kind: counted[kind] for kind in KINDS}

    def to_dict(self) -> dict[str, Any]:
        """The whole report as lists and dictionaries, for JSON."""
        content = {name: getattr(self, name) for name in ("rows", "source", "similarity", "shingle")}
        content |= {"columns": dict(self.columns), "notes": list(self.notes)}
        return {**content, "counts": self.counts(), "problems": [asdict(problem) for problem in self.problems]}

    def __str__(self) -> str:
        lines = [amount(self.rows, "row") + (f" of {self.source}" if self.source else "")]
        lines += [f"columns: {in_words(self.columns)}"] * bool(self.columns)
        for kind in KINDS:
            found = self.of(kind)
            lines.append(f"  {kind.replace('_', ' '):15} {len(found):6}")
            lines += [f"      {problem}" for problem in found[:_SHOWN]]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def check_kinds(op: str, kinds: Collection[str]) -> None:
    """Raise ValueError if a kind is unknown."""
    for kind in kinds:
        require(kind in KINDS, op, "kinds", f"some of {', '.join(KINDS)}", repr(kind))


def contents(table: TextTable, row: int) -> dict[str, Any]:
    """The fields of a `Problem` and an `Other` that come from the row."""
    source = table.source
    named = source if isinstance(source, (list, Elements)) else None if source is None else type(source)()
    return {
        "row": row,
        "line": None if table.lines is None else table.lines[row],
        "where": place_of(row, named, table.lines),
        "file": str(table.source[row]) if isinstance(table.source, list) else None,
        "text": table.texts[row],
        "pair": None if table.pairs is None else table.pairs[row],
        "label": None if table.labels is None else table.labels[row],
    }


def _shown(row: Problem | Other, kind: ProblemKind) -> str:
    def short(text: str) -> str:
        if kind == "control":
            return ascii(text)[:_WIDTH]
        return repr(text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…")

    texts = " / ".join(short(text) for text in (row.text, row.pair) if text is not None)
    label = f" [{row.label}]" if kind in _WITH_LABEL and row.label else ""
    return f"{row.where} {texts}{label}"
