"""What a training says of its parts side by side: texts in two parts, texts with two labels, classes that a part lacks."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("tokenizers")

from cli_runs import SCRATCH, notes_of, read_json, write_rows
from engine.data.table import _held_out_rows
from engine.tasks import task_named
from engine.tasks.part_remarks import part_remarks
from engine.text import Labels, TextTable


def table(texts, labels, name="a.csv"):
    return TextTable(list(texts), list(labels), lines=list(range(2, len(texts) + 2)), source=name)


def said(train, names="ab", kind="classification", **parts):
    return part_remarks({"train": train, **parts}, task_named(kind)(Labels(list(names))))


def test_texts_of_two_parts_are_counted_after_cleaning():
    train = table(["one", "two", "three", "", "four"], "abaab")
    held_out = table(["zero", "  two ", "", "three"], "abab", "b.csv")
    test = table(["zero", "one", "five"], "abb", "c.csv")
    assert said(train, held_out=held_out, test=test) == [
        "2 of 4 held-out texts are also training texts, so the figures may be too good; the first is in line 3 of b.csv; --clean leak "
        '(clean=["leak"]) takes them out of the training',
        "1 of 3 test texts are also training texts, so the figures may be too good; the first is in line 3 of c.csv; --clean leak "
        '(clean=["leak"]) takes them out of the training',
        "1 of 3 test texts are also held-out texts, so the figures may be too good; the first is in line 2 of c.csv",
    ]
    assert said(train, held_out=table(["six", "seven"], "ab")) == []


def test_equal_texts_with_different_labels_are_counted():
    found = said(table(["one", "two", "ONE", "one ", "two", "", ""], "abbbbab"))
    assert found == [
        "1 training text has different labels in different rows; the first is in line 2 of a.csv and line 5 of a.csv; --clean "
        'label_conflict (clean=["label_conflict"]) takes them out'
    ]
    both = said(table(["one", "two", "one", "two"], "abba"))
    assert both[0].startswith("2 training texts have different labels in different rows; the first is in line 2")
    numbers = table(["one", "two", "one"], ["1.5", "2", "1.5"])
    assert said(numbers, ["value"], "regression") == []
    assert len(said(table(["one", "two", "one"], ["1.5", "2", "3"]), ["value"], "regression")) == 1
    assert (
        said(table(["one", "one"], ["a|b", "b|a"]), kind="multilabel") == []
    )  # the order of labels is none of their contents


def test_classes_without_a_text_in_a_part_are_named():
    train = table("uvwxyz", "abcabc")
    assert said(train, "abc", held_out=table("mn", "ab")) == [
        "one class has no held-out texts, so the figures say nothing of them: 'c'"
    ]
    many = [f"l{i}" for i in range(9)]
    found = said(table("123456789", many), many, test=table(["x"], ["l8"]))
    assert found == [
        "8 classes have no test texts, so the figures say nothing of them: 'l0', 'l1', 'l2', 'l3', 'l4' and 3 more"
    ]


def test_a_rare_class_holds_out_a_row_if_another_can_spare_one():
    classes = np.array(["ham"] * 297 + ["spam"] * 3, object)
    for seed in range(5):
        held_out = _held_out_rows(300, classes, 0.1, seed)
        assert held_out.sum() == 30 and held_out[297:].sum() == 1
    assert not _held_out_rows(300, np.array(["ham"] * 298 + ["spam"] * 2, object), 0.1, 0)[298:].any()
    few = np.repeat(np.arange(20).astype(object), 4)  # nobody holds out two
    assert _held_out_rows(80, few, 0.1, 0).sum() == 8


def test_a_training_says_it_in_the_terminal_and_in_the_report(tmp_path):
    rows = [(f"a text of number {i}", "ham") for i in range(40)] + [("a text of number 1", "spam"), ("buy", "spam")]
    data = write_rows(tmp_path / "data.csv", ("text", "label"), rows)
    other = write_rows(tmp_path / "other.csv", ("text", "label"), [("a text of number 3", "ham"), ("new", "ham")])
    lines = notes_of("train", data, "--validation", other, "-o", tmp_path / "run", *SCRATCH)
    notices = read_json(tmp_path / "run" / "report.json")["data"]["notices"]
    for words in (
        "1 training text has different labels",
        "1 of 2 held-out texts are also",
        "one class has no held-out",
    ):
        assert any(words in line for line in lines) and any(words in notice for notice in notices), (words, lines)
