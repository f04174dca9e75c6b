"""What is wrong with a table of texts: found and reported first, removed only on request."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from engine.text.labels import split_labels
from engine.text.markup import strip_markup
from engine.text.similarity import similar_pairs
from engine.text.table import INVISIBLE, SURROGATE, TextTable, clean_text

__all__ = ["KINDS", "Other", "Problem", "ProblemKind", "QualityReport", "find_problems", "remove_problems"]

ProblemKind = Literal[
    "empty", "control", "markup", "long", "duplicate", "near_duplicate", "label_conflict", "leak", "near_leak",
    "rare_label",
]  # fmt: skip
"""
empty: a text (or second text) with nothing to see in it.
control: invisible control characters, halves of surrogate pairs, or the mark of a wrong encoding, U+FFFD.
markup: HTML or XML, which `strip_markup` would change.
long: more characters than asked for.
duplicate: equal to an earlier row after `clean_text(text, "NFKC")`.
near_duplicate: nearly equal to an earlier row that is no near-duplicate itself. Without the rows of this kind (and the
    duplicates) no two rows are nearly equal.
label_conflict: equal or nearly equal to an earlier row with another label.
leak: equal to a row of another split; near_leak: nearly equal to one.
rare_label: its label stands in too few rows.
"""

KINDS: tuple[ProblemKind, ...] = get_args(ProblemKind)
"""All kinds, in the order of reports."""

_NOT_A_WORD = re.compile(r"[\W_]+")
_Key = tuple[str, ...]  # a text, or a pair of them
_SHOWN = 3  # examples of each kind in the printed report
_WIDTH = 60  # characters of a text there


@dataclass(frozen=True)
class Other:
    """The row that a row clashes with.

    Attributes:
        split: the name of its split; None: the same table.
        row, line, text, pair, label: as in `Problem`.
        similarity: Jaccard similarity of the two, 1.0 where they are equal.
    """

    split: str | None
    row: int
    line: int | None
    text: str
    pair: str | None
    label: str | None
    similarity: float


@dataclass(frozen=True)
class Problem:
    """One problem of one row.

    Attributes:
        kind: what it is, one of `ProblemKind`.
        row: the row of the table, from 0.
        line: its line in the file, from 1, where that is known.
        text, pair, label: what stands there.
        other: the row it clashes with, for duplicates, conflicts and leaks.
    """

    kind: ProblemKind
    row: int
    line: int | None
    text: str
    pair: str | None
    label: str | None
    other: Other | None = None


@dataclass(frozen=True)
class QualityReport:
    """What `find_problems` found.

    Attributes:
        rows: number of rows of the table.
        source: its file's name, or None.
        similarity, shingle: how alike near-duplicates are at least, and by what.
        problems: all problems, by kind in the order of `ProblemKind`, then by row.
    """

    rows: int
    source: str | None
    similarity: float
    shingle: int
    problems: tuple[Problem, ...] = field(repr=False)

    def of(self, kind: ProblemKind) -> list[Problem]:
        """The problems of one kind. Raises ValueError on an unknown kind."""
        _check_kinds("QualityReport.of", (kind,))
        return [problem for problem in self.problems if problem.kind == kind]

    def counts(self) -> dict[str, int]:
        """How many rows have each problem, by kind; a row may have several."""
        counted = Counter(problem.kind for problem in self.problems)
        return {kind: counted[kind] for kind in KINDS}

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain lists and dictionaries, for JSON."""
        content = {name: getattr(self, name) for name in ("rows", "source", "similarity", "shingle")}
        return {**content, "counts": self.counts(), "problems": [asdict(problem) for problem in self.problems]}

    def __str__(self) -> str:
        lines = [f"{self.rows} rows" + (f" of {self.source}" if self.source else "")]
        for kind in KINDS:
            found = self.of(kind)
            lines.append(f"  {kind.replace('_', ' '):15} {len(found):6}")
            lines += [f"      {_example(problem)}" for problem in found[:_SHOWN]]
        return "\n".join(lines)


def find_problems(
    table: TextTable,
    test: TextTable | Mapping[str, TextTable] | None = None,
    *,
    similarity: float = 0.8,
    shingle: int = 3,
    max_characters: int = 2000,
    min_label_count: int = 2,
    label_separator: str | None = None,
) -> QualityReport:
    """Look for what makes a table of texts bad to train on. Nothing is changed.

    Near-duplicates are compared without case, punctuation and differences of Unicode spelling, by the Jaccard similarity
    of the sets of their shingles (see `similar_pairs`): all are found, in any script. A pair of texts counts as one text.

    Args:
        table: the table, in most cases the training set.
        test: the split, or several by name, that no row of the table may also be in.
        similarity: how alike near-duplicates are at least, in (0, 1]; 1 finds those of equal shingles only.
        shingle: characters in a shingle; 2 is kinder to short Chinese texts.
        max_characters: the most characters of a text that is not too long.
        min_label_count: the fewest rows of a label that is not too rare.
        label_separator: what stands between the names where a text has several labels, which then clash as sets and
            are counted one by one; None: each label is one name.

    Raises:
        ValueError: if a number is out of range; if one table has second texts and the other has none.
    """
    splits = {} if test is None else {"test": test} if isinstance(test, TextTable) else dict(test)
    for name, split in splits.items():
        if (split.pairs is None) != (table.pairs is None):
            there = ["none" if t.pairs is None else "some" for t in (table, split)]
            raise ValueError(
                f"[find_problems] test: expected second texts as in table ({there[0]}), got {there[1]} in {name!r}"
            )
    for argument, value in (("max_characters", max_characters), ("min_label_count", min_label_count)):
        if value < 1:
            raise ValueError(f"[find_problems] {argument}: expected at least 1, got {value}")
    if not 0 < similarity <= 1:
        raise ValueError(f"[find_problems] similarity: expected a number in (0, 1], got {similarity}")
    if shingle < 1:
        raise ValueError(f"[find_problems] shingle: expected at least 1 character, got {shingle}")
    found = [*_odd_texts(table, max_characters), *_rare_labels(table, min_label_count, label_separator)]
    found += _Comparison(table, splits, similarity, shingle, label_separator).problems()
    order = {kind: place for place, kind in enumerate(KINDS)}
    found.sort(key=lambda problem: (order[problem.kind], problem.row))
    return QualityReport(len(table), table.source, similarity, shingle, tuple(found))


def remove_problems(
    table: TextTable, report: QualityReport, kinds: Collection[ProblemKind]
) -> tuple[TextTable, tuple[int, ...]]:
    """The table without the rows that have problems of the given kinds.

    Of duplicates and near-duplicates the first row stays. Of a label conflict none does, since nobody knows which label
    is right. Leaks go from this table; the other split stays as it is. (`TextTable.clean` is the gentler way for
    control characters and markup.)

    Args:
        table: the table that the report is on.
        report: of `find_problems`.
        kinds: which problems to act on.

    Returns:
        (the table, the rows taken out, ascending).

    Raises:
        ValueError: on an unknown kind, or if the report is on a table of another length or with other texts.
        TypeError: if `kinds` is one string.
    """
    if isinstance(kinds, str):
        raise TypeError("[remove_problems] kinds: expected a list of kinds, got one string")
    _check_kinds("remove_problems", kinds)
    if report.rows != len(table):
        raise ValueError(f"[remove_problems] report: expected one on {len(table)} rows, got one on {report.rows}")
    removed = set()
    for problem in report.problems:
        if table.texts[problem.row] != problem.text:
            raise ValueError(
                f"[remove_problems] report: expected one on this table, got another text in row {problem.row}"
            )
        if problem.kind in kinds:
            removed.add(problem.row)
            if problem.kind == "label_conflict" and problem.other is not None:
                removed.add(problem.other.row)
    return table.select([row for row in range(len(table)) if row not in removed]), tuple(sorted(removed))


# --- single rows -----------------------------------------------------------------------------------------------------


def _problem(table: TextTable, kind: ProblemKind, row: int, other: Other | None = None) -> Problem:
    return Problem(kind, **_row(table, row), other=other)


def _row(table: TextTable, row: int) -> dict[str, Any]:
    return {
        "row": row,
        "line": None if table.lines is None else table.lines[row],
        "text": table.texts[row],
        "pair": None if table.pairs is None else table.pairs[row],
        "label": None if table.labels is None else table.labels[row],
    }


def _parts(table: TextTable, row: int) -> tuple[str, ...]:
    return (table.texts[row],) if table.pairs is None else (table.texts[row], table.pairs[row])


def _odd_texts(table: TextTable, max_characters: int) -> Iterator[Problem]:
    for row in range(len(table)):
        parts = _parts(table, row)
        if not all(map(clean_text, parts)):
            yield _problem(table, "empty", row)
        if any(INVISIBLE.search(part) or SURROGATE.search(part) or "\ufffd" in part for part in parts):
            yield _problem(table, "control", row)
        if any(strip_markup(part) != part for part in parts):
            yield _problem(table, "markup", row)
        if any(len(part) > max_characters for part in parts):
            yield _problem(table, "long", row)


def _rare_labels(table: TextTable, least: int, separator: str | None) -> Iterator[Problem]:
    labels = _label_sets(table, separator)
    counts = Counter(name for names in labels for name in names)
    for row, names in enumerate(labels):
        if any(counts[name] < least for name in names):
            yield _problem(table, "rare_label", row)


def _label_sets(table: TextTable, separator: str | None) -> list[tuple[str, ...]]:
    if table.labels is None:
        return []
    if separator is None:
        return [(label,) for label in table.labels]
    split = split_labels(table.labels, separator, source=table.source, lines=table.lines)
    return [tuple(sorted(names)) for names in split]


# --- rows side by side -----------------------------------------------------------------------------------------------


class _Comparison:
    """The texts of all tables, each distinct one once, and which of them are nearly equal."""

    def __init__(
        self,
        table: TextTable,
        splits: Mapping[str, TextTable],
        similarity: float,
        shingle: int,
        separator: str | None,
    ) -> None:
        self.table, self.splits = table, splits
        self.labels = _label_sets(table, separator)
        self.numbers: dict[_Key, int] = {}  # of comparison texts
        self.exact = _exact_keys(table)
        self.rough = [self._number(key) for key in self.exact]
        own = len(self.numbers)
        self.others = {}
        for name, split in splits.items():
            exact = _exact_keys(split)
            self.others[name] = exact, [self._number(key) for key in exact]
        texts = [key[0] for key in self.numbers]
        seconds = None if table.pairs is None else [key[1] for key in self.numbers]
        left, right, alike = similar_pairs(texts, similarity, shingle, seconds=seconds, first=own)
        # Arrays, not lists: a table of one template has millions of pairs.
        sources = np.concatenate([left, right])
        order = np.argsort(sources, kind="stable")
        self.starts = np.searchsorted(sources[order], np.arange(len(texts) + 1)).tolist()
        self.targets = np.concatenate([right, left])[order]
        self.shares = np.concatenate([alike, alike])[order]

    def _near(self, number: int) -> Iterator[tuple[int, float]]:
        """The comparison texts that are like one, itself first, each with the similarity."""
        at = slice(self.starts[number], self.starts[number + 1])
        yield number, 1.0
        yield from zip(self.targets[at].tolist(), self.shares[at].tolist(), strict=True)

    def _number(self, key: _Key | None) -> int:
        """The number of what a text is compared by: letters and digits without case; -1 for an empty text."""
        if key is None:
            return -1
        # A text of signs alone is compared as it is.
        rough = tuple(_NOT_A_WORD.sub(" ", part.casefold()).strip() or part for part in key)
        return self.numbers.setdefault(rough, len(self.numbers))

    def problems(self) -> Iterator[Problem]:
        yield from self._duplicates()
        yield from self._conflicts()
        for name, split in self.splits.items():
            yield from self._leaks(name, split)

    def _duplicates(self) -> Iterator[Problem]:
        first: dict[_Key, int] = {}  # rows by exact text
        leaders: dict[int, int] = {}  # rows that are like no row before them, by comparison text
        for row, (key, number) in enumerate(zip(self.exact, self.rough, strict=True)):
            if key is None:
                continue
            if first.setdefault(key, row) != row:
                yield _problem(self.table, "duplicate", row, _other(self.table, None, first[key], 1.0))
                if leaders.get(number) == first[key]:
                    continue
            alike = [(leaders[near], share) for near, share in self._near(number) if near in leaders]
            if alike:
                leader, share = min(alike, key=lambda found: (-found[1], found[0]))
                yield _problem(self.table, "near_duplicate", row, _other(self.table, None, leader, share))
            else:
                leaders[number] = row

    def _conflicts(self) -> Iterator[Problem]:
        seen: dict[int, dict[tuple[str, ...], int]] = {}  # by comparison text: the first row of each label
        for row, (number, label) in enumerate(zip(self.rough, self.labels)):
            if number < 0:
                continue
            clashes = [
                (earlier, share)
                for near, share in self._near(number)
                for other, earlier in seen.get(near, {}).items()
                if other != label
            ]
            if clashes:
                earlier, share = min(clashes)
                yield _problem(self.table, "label_conflict", row, _other(self.table, None, earlier, share))
            seen.setdefault(number, {}).setdefault(label, row)

    def _leaks(self, name: str, split: TextTable) -> Iterator[Problem]:
        exact, rough = self.others[name]
        first_exact = {key: row for row, key in reversed(list(enumerate(exact)))}
        first_rough = {number: row for row, number in reversed(list(enumerate(rough)))}
        for row, (key, number) in enumerate(zip(self.exact, self.rough, strict=True)):
            if key is None:
                continue
            if key in first_exact:
                yield _problem(self.table, "leak", row, _other(split, name, first_exact[key], 1.0))
                continue
            alike = [(first_rough[near], share) for near, share in self._near(number) if near in first_rough]
            if alike:
                found, share = min(alike, key=lambda pair: (-pair[1], pair[0]))
                yield _problem(self.table, "near_leak", row, _other(split, name, found, share))


def _exact_keys(table: TextTable) -> list[_Key | None]:
    """What equal rows have in common, None for empty ones: `remove_duplicates` compares in the same way."""
    keys = [tuple(clean_text(part, "NFKC") for part in _parts(table, row)) for row in range(len(table))]
    return [key if any(key) else None for key in keys]


def _other(table: TextTable, split: str | None, row: int, similarity: float) -> Other:
    return Other(split, **_row(table, row), similarity=similarity)


# --- words -----------------------------------------------------------------------------------------------------------


def _check_kinds(op: str, kinds: Collection[str]) -> None:
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"[{op}] kinds: expected some of {', '.join(KINDS)}, got {kind!r}")


def _example(problem: Problem) -> str:
    text = _shown(problem, problem.kind)
    other = problem.other
    if other is None:
        return text
    sign = "=" if other.similarity == 1 else f"~{other.similarity:.2f}"
    return f"{text} {sign} {other.split + ' ' if other.split else ''}{_shown(other, problem.kind)}"


def _shown(row: Problem | Other, kind: str) -> str:
    place = f"row {row.row}" if row.line is None else f"line {row.line}"
    texts = [row.text] if row.pair is None else [row.text, row.pair]
    shown = " / ".join(ascii(t)[:_WIDTH] if kind == "control" else repr(_short(t)) for t in texts)
    label = f" [{row.label}]" if kind in ("label_conflict", "rare_label", "leak", "near_leak") and row.label else ""
    return f"{place} {shown}{label}"


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
