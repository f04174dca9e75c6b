"""Columns of several labels a text, in the spellings that people and libraries write."""

from __future__ import annotations

import pytest

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
