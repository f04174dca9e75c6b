"""The base of all tables, on a table of numbers of this file's own: select, split, places, tables below each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from engine.data import Table
from engine.text import TaggedTable, TextTable


@dataclass(frozen=True, eq=False)
class Readings(Table[Any]):
    """Rows of four numbers, with a grade each."""

    per_row = ("values", "grades")

    values: np.ndarray  # (n, 4)
    grades: list[int] | None = None

    def strata(self) -> list[int] | None:
        return self.grades


def readings(n: int = 10, seed: int = 0) -> Readings:
    rng = np.random.default_rng(seed)
    return Readings(rng.normal(size=(n, 4)), rng.integers(0, 3, n).tolist())


def test_rows_and_slices_of_numbers() -> None:
    table = readings()
    assert len(table) == 10 and table.where(3) == "row 3"
    values, grade = table[4]
    assert values.tolist() == table.values[4].tolist() and grade == table.grades[4]
    assert table[-1][0].tolist() == table.values[9].tolist()
    assert [grade for _, grade in table] == table.grades
    part = table[2:8:3]
    assert type(part) is Readings and part.values.tolist() == table.values[[2, 5]].tolist()
    assert table.select(np.array([7, 7, 0])).grades == [table.grades[7], table.grades[7], table.grades[0]]
    assert table.select([]).values.shape == (0, 4)
    assert Readings(table.values)[0][1] is None and Readings(table.values)[:2].grades is None
    with pytest.raises(IndexError, match=r"\[Readings.select\] rows: expected values in \[0, 10\), got -1"):
        table.select([-1])
    with pytest.raises(ValueError, match=r"\[Readings\] grades: expected 10 entries, one for each row, got 3"):
        Readings(table.values, [1, 2, 3])


def test_a_split_holds_out_each_class_in_proportion() -> None:
    table = readings(300)
    rest, held_out = table.split(0.2, seed=3)
    assert (len(rest), len(held_out)) == (240, 60)
    counts, whole = Counter(held_out.grades), Counter(table.grades)
    assert all(abs(counts[grade] - 0.2 * n) < 1 for grade, n in whole.items())
    taken = {tuple(row) for row in rest.values.tolist()} | {tuple(row) for row in held_out.values.tolist()}
    assert taken == {tuple(row) for row in table.values.tolist()}
    at_random = table.split(0.2, seed=3, stratify=False)[1]
    assert at_random.values.tolist() == Readings(table.values).split(0.2, seed=3)[1].values.tolist()
    for fraction in (0, 1, 0.001, float("nan")):
        with pytest.raises(ValueError, match=r"\[Readings.split\] fraction: expected"):
            table.split(fraction)


def test_all_kinds_of_tables_split_alike() -> None:
    names = [str(i) for i in range(40)]
    texts, tagged = TextTable(names), TaggedTable([[name] for name in names])
    held_out = texts.split(0.25, seed=5)[1].texts
    assert [words[0] for words, _ in tagged.split(0.25, seed=5)[1]] == held_out
    numbers = Readings(np.arange(40.0).reshape(-1, 1).repeat(4, 1))
    assert [str(int(row[0])) for row in numbers.split(0.25, seed=5)[1].values] == held_out


def test_tables_below_each_other() -> None:
    a, b = readings(3), readings(2, seed=1)
    both = Readings.concat([a, b])
    assert both.values.tolist() == [*a.values.tolist(), *b.values.tolist()] and both.grades == [*a.grades, *b.grades]
    assert Readings.concat([a]) is a
    assert Readings.concat([a, Readings(b.values)]).grades is None
    first = TextTable(
        ["a", "b"], ["x", "y"], "question", "topic", "a.csv", [2, 3], columns={"n": ["1", "2"], "m": ["", ""]}
    )
    second = TextTable(["c"], ["x"], source="b.csv", lines=[9], columns={"n": ["3"]})
    joined = TextTable.concat([first, second])
    assert (joined.texts, joined.labels, joined.columns) == (["a", "b", "c"], ["x", "y", "x"], {"n": ["1", "2", "3"]})
    assert (joined.text_column, joined.label_column) == ("question", "topic")
    # Lines of several files are not mixed up.
    assert joined.source == ["a.csv", "a.csv", "b.csv"] and joined.lines == [2, 3, 9]
    assert joined.where(2) == "line 9 of b.csv" and joined.select([2, 0]).where(1) == "line 2 of a.csv"
    assert TextTable.concat([joined, TextTable(["d"])]).where(2) == "row 2"
    tagged = TaggedTable.concat([TaggedTable([["a"]], [["O"]], ["i"]), TaggedTable([["b", "c"]], [["O", "B-x"]])])
    assert (tagged.words, tagged.tags, tagged.labels) == ([["a"], ["b", "c"]], [["O"], ["O", "B-x"]], None)
    with pytest.raises(ValueError, match=r"\[TextTable.concat\] tables: expected at least one table, got none"):
        TextTable.concat([])


def test_texts_for_a_tokenizer() -> None:
    assert TextTable(["a", "b"], pairs=["c", "d"]).tokenizer_texts() == ["a", "b", "c", "d"]
    assert TextTable(["a"]).tokenizer_texts() == ["a"]
    assert TaggedTable([["a", "b"], ["c"]]).tokenizer_texts() == ["a b", "c"]
