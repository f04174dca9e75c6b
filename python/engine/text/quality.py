"""Problems of a table of texts: found and reported first, removed only on request."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np

from engine.errors import BadType, BadValue, amount, require
from engine.text.cleaning import INVISIBLE, SURROGATE, clean_text
from engine.text.label_problems import missing_names, odd_spellings
from engine.text.labels import split_labels
from engine.text.markup import strip_markup
from engine.text.problems import KINDS, Other, Problem, ProblemKind, QualityReport, check_kinds, contents
from engine.text.similarity import similar_pairs
from engine.text.table import TextTable

__all__ = ["KINDS", "find_problems", "remove_problems"]

_NOT_A_WORD = re.compile(r"[\W_]+")
_Key = tuple[str, ...]  # a text, or a pair of them


def find_problems(
    table: TextTable,
    test: TextTable | Mapping[str, TextTable] | None = None,
    *,
    similarity: float = 0.8,
    shingle: int = 3,
    max_characters: int = 2000,
    min_label_count: int = 2,
    label_separator: str | None = None,
    numbers: bool = False,
) -> QualityReport:
    """Find the problems of a table of texts. Nothing is changed.

    Near-duplicates are found by the Jaccard similarity of sets of shingles (see `similar_pairs`), without regard to case,
    punctuation and differences of Unicode spelling. All are found, in any script. A pair of texts counts as one text.

    Args:
        table: the table, usually the training set.
        test: another split, or several by name. Rows of the table that are also in one of them are leaks.
        similarity: the least similarity of near-duplicates, in (0, 1]; 1 finds only texts with equal sets of shingles.
        shingle: the number of characters in a shingle; 2 suits short Chinese texts better.
        max_characters: the most characters of a text that is not "long".
        min_label_count: the fewest rows of a label that is not "rare".
        label_separator: the string between the names, if a text has several labels. Such labels conflict if their sets
            differ, and each name is counted separately. None: each label is one name.
        numbers: whether labels are numbers, which may be spelled in several ways.

    Raises:
        ValueError: if a number is out of range; if one table has second texts and another has none.
    """
    splits = {} if test is None else {"test": test} if isinstance(test, TextTable) else dict(test)
    for name, split in splits.items():
        if (split.pairs is None) != (table.pairs is None):
            expected, got = ("no second texts", "some") if table.pairs is None else ("second texts", "none")
            raise BadValue("find_problems", "test", f"{expected}, as in the table", f"{got} in {name!r}")
    least_one = {"max_characters": max_characters, "min_label_count": min_label_count, "shingle": shingle}
    for argument, value in least_one.items():
        require(value >= 1, "find_problems", argument, "at least 1", value)
    require(0 < similarity <= 1, "find_problems", "similarity", "a number in (0, 1]", similarity)
    found = [*_odd_texts(table, max_characters), *_rare_labels(table, min_label_count, label_separator)]
    found += _odd_labels(table, label_separator, numbers)
    found += _Comparison(table, splits, similarity, shingle, label_separator).problems()
    order = {kind: place for place, kind in enumerate(KINDS)}
    found.sort(key=lambda problem: (order[problem.kind], problem.row))
    source = table.source if isinstance(table.source, str) else None
    return QualityReport(len(table), source, similarity, shingle, tuple(found), table.notes, table.taken)


def remove_problems(
    table: TextTable, report: QualityReport, kinds: Collection[ProblemKind]
) -> tuple[TextTable, tuple[int, ...]]:
    """The table without the rows that have problems of the given kinds.

    The first row of duplicates and near-duplicates stays. No row with conflicting labels stays, since it is not known which
    label is right. Leaks are removed from this table; the other split does not change. (`TextTable.clean` removes control
    characters and markup without removing rows.)

    Args:
        table: the table of the report.
        report: the result of `find_problems`.
        kinds: the kinds of problems whose rows are removed.

    Returns:
        (the table, the removed rows, ascending).

    Raises:
        ValueError: if a kind is unknown, or the report belongs to a table with another length or other texts.
        TypeError: if `kinds` is one string.
    """
    op, rows = "remove_problems", len(table)
    require(not isinstance(kinds, str), op, "kinds", "a list of kinds", "one string", error=BadType)
    check_kinds(op, kinds)
    require(report.rows == rows, op, "report", f"a report on {amount(rows, 'row')}", f"one on {report.rows}")
    removed = set()
    for problem in report.problems:
        if table.texts[problem.row] != problem.text:
            got = f"one with another text in row {problem.row}"
            raise BadValue(op, "report", "the report on this table", got)
        if problem.kind in kinds:
            removed.add(problem.row)
            if problem.kind == "label_conflict" and problem.other is not None:
                removed.add(problem.other.row)
    return table.select([row for row in range(rows) if row not in removed]), tuple(sorted(removed))


# --- single rows -----------------------------------------------------------------------------------------------------


def _odd_texts(table: TextTable, max_characters: int) -> Iterator[Problem]:
    tests: dict[ProblemKind, Callable[[str], object]] = {
        "empty": lambda text: not clean_text(text),
        "control": lambda text: INVISIBLE.search(text) or SURROGATE.search(text) or "\ufffd" in text,
        "markup": lambda text: strip_markup(text) != text,
        "long": lambda text: len(text) > max_characters,
    }
    for row in range(len(table)):
        for kind, test in tests.items():
            if any(map(test, table.parts(row))):
                yield Problem(kind, **contents(table, row))


def _rare_labels(table: TextTable, least: int, separator: str | None) -> Iterator[Problem]:
    labels = _label_sets(table, separator)
    counts = Counter(name for names in labels for name in names)
    for row, names in enumerate(labels):
        if any(counts[name] < least for name in names):
            yield Problem("rare_label", **contents(table, row))


def _odd_labels(table: TextTable, separator: str | None, numbers: bool) -> Iterator[Problem]:
    labels = _label_sets(table, separator)
    counts = Counter(name for names in labels for name in names)
    odd, missing = {} if numbers else odd_spellings(counts), missing_names(counts)
    for row, names in enumerate(labels):
        if any(name in odd for name in names):
            yield Problem("label_spelling", **contents(table, row))
        if any(name in missing for name in names) or (separator is None and not any(names)):
            yield Problem("missing_label", **contents(table, row))


def _label_sets(table: TextTable, separator: str | None) -> list[tuple[str, ...]]:
    if table.labels is None:
        return []
    if separator is None:
        return [(label,) for label in table.labels]
    split = split_labels(table.labels, separator, source=table.source, lines=table.lines)
    return [tuple(sorted(names)) for names in split]


# --- rows side by side -----------------------------------------------------------------------------------------------


class _Comparison:
    """The texts of a table and of other splits, and which of them are nearly equal. The table itself has the name None."""

    def __init__(
        self,
        table: TextTable,
        splits: Mapping[str, TextTable],
        similarity: float,
        shingle: int,
        separator: str | None,
    ) -> None:
        self.tables: dict[str | None, TextTable] = {None: table} | dict(splits)
        self.labels = _label_sets(table, separator)
        self.numbers: dict[_Key, int] = {}  # a number for each text, in the spelling in which texts are compared
        self.exact = {name: _exact_keys(each) for name, each in self.tables.items()}
        self.rough = {name: [self._number(key) for key in keys] for name, keys in self.exact.items()}
        own = max(self.rough[None], default=-1) + 1
        texts = [key[0] for key in self.numbers]
        seconds = None if table.pairs is None else [key[1] for key in self.numbers]
        left, right, alike = similar_pairs(texts, similarity, shingle, seconds=seconds, first=own)
        # Arrays instead of lists: a table whose texts follow one template has millions of pairs.
        sources = np.concatenate([left, right])
        order = np.argsort(sources, kind="stable")
        self.starts = np.searchsorted(sources[order], np.arange(len(texts) + 1)).tolist()
        self.targets = np.concatenate([right, left])[order]
        self.shares = np.concatenate([alike, alike])[order]

    def _number(self, key: _Key | None) -> int:
        """The number of a text, without regard to case and to other characters than letters and digits; -1 for no text."""
        if key is None:
            return -1
        # If nothing is left, the text is compared as it is.
        rough = tuple(_NOT_A_WORD.sub(" ", part.casefold()).strip() or part for part in key)
        return self.numbers.setdefault(rough, len(self.numbers))

    def _near(self, number: int) -> Iterator[tuple[int, float]]:
        """The numbers of the texts that are similar to a text, its own number first, each with the similarity."""
        at = slice(self.starts[number], self.starts[number + 1])
        yield number, 1.0
        yield from zip(self.targets[at].tolist(), self.shares[at].tolist(), strict=True)

    def _nearest(self, number: int, rows: Mapping[int, int]) -> tuple[int, float] | None:
        """The row that is most similar to a text, with the similarity. rows: number of a text -> row."""
        alike = [(rows[near], share) for near, share in self._near(number) if near in rows]
        return min(alike, key=lambda found: (-found[1], found[0]), default=None)

    def _problem(self, row: int, kind: ProblemKind, other: int, similarity: float, split: str | None = None) -> Problem:
        like = Other(split, **contents(self.tables[split], other), similarity=similarity)
        return Problem(kind, **contents(self.tables[None], row), other=like)

    def problems(self) -> Iterator[Problem]:
        yield from self._duplicates()
        yield from self._conflicts()
        for name in self.tables:
            if name is not None:
                yield from self._leaks(name)

    def _rows(self) -> Iterator[tuple[int, _Key, int]]:
        """(row, exact text, number) of the table's rows that are not empty."""
        for row, (key, number) in enumerate(zip(self.exact[None], self.rough[None], strict=True)):
            if key is not None:
                yield row, key, number

    def _duplicates(self) -> Iterator[Problem]:
        first: dict[_Key, int] = {}  # exact text -> row
        leaders: dict[int, int] = {}  # number -> row, of rows that are not similar to an earlier row
        for row, key, number in self._rows():
            if first.setdefault(key, row) != row:
                yield self._problem(row, "duplicate", first[key], 1.0)
                if leaders.get(number) == first[key]:
                    continue
            nearest = self._nearest(number, leaders)
            if nearest is None:
                leaders[number] = row
            else:
                yield self._problem(row, "near_duplicate", *nearest)

    def _conflicts(self) -> Iterator[Problem]:
        seen: dict[int, dict[tuple[str, ...], int]] = {}  # number -> label -> the first row with both
        for row, _, number in self._rows() if self.labels else ():
            label = self.labels[row]
            clashes = [
                (earlier, share)
                for near, share in self._near(number)
                for other, earlier in seen.get(near, {}).items()
                if other != label
            ]
            if clashes:
                earlier, share = min(clashes)
                yield self._problem(row, "label_conflict", earlier, share)
            seen.setdefault(number, {}).setdefault(label, row)

    def _leaks(self, split: str) -> Iterator[Problem]:
        first_exact = {key: row for row, key in reversed(list(enumerate(self.exact[split])))}
        first_rough = {number: row for row, number in reversed(list(enumerate(self.rough[split])))}
        for row, key, number in self._rows():
            if key in first_exact:
                yield self._problem(row, "leak", first_exact[key], 1.0, split)
            elif (nearest := self._nearest(number, first_rough)) is not None:
                yield self._problem(row, "near_leak", *nearest, split)


def _exact_keys(table: TextTable) -> list[_Key | None]:
    """The texts of each row as `remove_duplicates` compares them; None for an empty row."""
    keys = [tuple(clean_text(part, "NFKC") for part in table.parts(row)) for row in range(len(table))]
    return [key if any(key) else None for key in keys]
