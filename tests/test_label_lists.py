"""Columns of several labels a text, in the spellings that people and libraries write."""

from __future__ import annotations

import re

import pytest

from engine.tasks import Classification, Columns, MultiLabel, Regression
from engine.text import read_table


def _labels(folder, cells, separator="|"):
    path = folder / "labels.csv"
    rows = "".join(f'text {row},"{cell}"\n' for row, cell in enumerate(cells))
    path.write_text("text,label\n" + rows)
    table = read_table(path, empty_labels=separator is not None, label_separator=separator)
    return table.labels


@pytest.mark.parametrize(
    "cells",
    [
        ["{'spam', 'work'}", "set()", "{'spam'}"],
        ["('spam', 'work')", "()", "('spam',)"],
        ["frozenset({'spam', 'work'})", "frozenset()", "frozenset({'spam'})"],
        ["[spam, work]", "[]", "[spam]"],
        ["{spam,work}", "{}", "{spam}"],
        ["['spam', 'work']", "", "['spam']"],
        ["[spam, work]", "", "[spam]"],
    ],
)
def test_lists_sets_and_tuples_are_recognised_also_empty_ones(tmp_path, cells):
    assert _labels(tmp_path, cells) == ["spam|work", "", "spam"]


@pytest.mark.parametrize("cell", ["{'spam', 'work'}", "('spam',)", "['work']"])
def test_a_list_beside_other_labels_is_refused_by_its_line(tmp_path, cell):
    with pytest.raises(ValueError, match=r"in each row.*line 3 of"):
        _labels(tmp_path, ["spam", cell])


@pytest.mark.parametrize("cell", ["{'spam', 'work'", "[spam, work]", "'spam, work'", "(spam, work)"])
def test_a_separator_never_cuts_a_list_into_labels(tmp_path, cell):
    cells = ["spam", cell]
    if cell.startswith("{"):
        cells[1] += "}"
    with pytest.raises(ValueError, match="in each row"):
        _labels(tmp_path, cells, ",")


def test_names_in_brackets_that_are_no_lists_stay_names(tmp_path):
    assert _labels(tmp_path, ["[NEG]", "[POS]"]) == ["[NEG]", "[POS]"]
    assert _labels(tmp_path, ["(a) b", "'em, all", "c"], None) == ["(a) b", "'em, all", "c"]
    assert _labels(tmp_path, ["(a),b (c)", "b (c)"], ",") == ["(a),b (c)", "b (c)"]


def test_lists_are_refused_where_a_text_has_one_label(tmp_path):
    with pytest.raises(ValueError, match="multilabel"):
        _labels(tmp_path, ["{'spam', 'work'}", "spam"], None)
    with pytest.raises(ValueError, match="one label"):
        _labels(tmp_path, ["[spam, work]", "[spam]"], None)


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["0 1 0", "1 0 1", "0 0 0"], ["1", "0|2", ""]),
        (["0,1,0", "1, 0, 1", "0,0,0"], ["1", "0|2", ""]),
        (["[False, True]", "[True, True]"], ["1", "0|1"]),
        (["array(['a', 'b'], dtype=object)", "array(['c'], dtype=object)"], ["a|b", "c"]),
        (["0 1", "spam"], ["0 1", "spam"]),
    ],
)
def test_zeros_and_ones_and_arrays_are_lists_in_every_spelling(tmp_path, cells, names):
    assert _labels(tmp_path, cells) == names


@pytest.mark.parametrize("cell", ["{'a': 1, 'b': 0}", "[['a', 'b']]", "[{'name': 'a'}]", "['a', None]"])
@pytest.mark.parametrize("separator", ["|", None])
def test_what_is_no_list_of_names_is_refused_although_no_row_has_one(tmp_path, cell, separator):
    with pytest.raises(ValueError, match=r"a list such as \['a', 'b'\] in line 2"):
        _labels(tmp_path, [cell, cell.replace("a", "c")], separator)


def _collected(folder, task, cells, **columns):
    path = folder / "labels.csv"
    path.write_text("text,label\n" + "".join(f'text {row},"{cell}"\n' for row, cell in enumerate(cells)))
    chosen = Columns(**columns)
    return task.collect([task.read(str(path), chosen)], chosen).names


@pytest.mark.parametrize(
    ("cells", "mark"),
    [
        (["a,x", "a,y", "b,z", "b,w"], ","),  # each combination occurs once, and few parts repeat
        (["a,b", "c,d", "e,f", "g", "h"], ","),
        (["a;b;c", "c;d", "e;f", "e;f"], ";"),
        (["a|b", "a|b", "c", "c"], "|"),
        (["a", "b", "a/b", "a/b"], "/"),
        (["a", "b", "a & b", "a & b"], "&"),
    ],
)
@pytest.mark.parametrize("task", [Classification, MultiLabel])
def test_combinations_are_no_classes_however_rare_they_are(tmp_path, cells, mark, task):
    if task is MultiLabel and mark == "|":
        assert _collected(tmp_path, task, cells) == ("a", "b", "c")
        return
    with pytest.raises(ValueError, match=re.escape(repr(mark))):
        _collected(tmp_path, task, cells)
    way_out = {"separator": "" if task is Classification else mark}
    assert _collected(tmp_path, task, cells, **way_out)


@pytest.mark.parametrize(
    "cells",
    [
        ["Yes, please", "No, thanks"],
        ["Food, pizza", "Food, pasta", "Travel, bus"] * 2,
        ["Health, fitness", "Health, food", "R&D", "R", "TCP/IP", "IP"] * 2,
    ],
)
def test_names_that_hold_commas_stay_names(tmp_path, cells):
    for task in (Classification, MultiLabel):
        assert _collected(tmp_path, task, cells) == tuple(sorted({*cells}))


def test_a_separator_that_is_used_makes_other_marks_part_of_names(tmp_path):
    cells = ["a, b|c", "d, e", "f, g", "h|k", "h/k", "k"]
    assert _collected(tmp_path, MultiLabel, cells) == ("a, b", "c", "d, e", "f, g", "h", "h/k", "k")


@pytest.mark.parametrize(
    ("header", "rows", "column"),
    [
        ("text,label", 'a,"[1.5, 2.0]"\nb,"[0.5, 1]"', None),
        ("text,label", "a,1.5|2\nb,0.5|1", None),
        ("text,label", 'a,"1.5, 2.0"\nb,"0.5, 1"', None),
        ("text,x,y", "a,1.5,2\nb,0.5,1", "x,y"),
    ],
)
def test_several_numbers_a_text_are_refused_with_the_way_out(tmp_path, header, rows, column):
    (tmp_path / "a.csv").write_text(f"{header}\n{rows}\n")
    with pytest.raises(ValueError, match=r"in line 2 .*train one model for each"):
        Regression(["value"]).targets(Regression.read(str(tmp_path / "a.csv"), Columns(label=column)))
