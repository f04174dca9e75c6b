"""Labels that are probably no classes, too few texts to hold some out, and headers that are read as data: they are named."""

from __future__ import annotations

import pytest

from engine.runs.textdata import TextData
from engine.tasks import TaskConfig
from engine.text import read_table
from engine.text.label_problems import no_classes


def _table(folder, rows, header="text,label"):
    path = folder / "a.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def test_labels_of_their_own_hint_at_swapped_columns(tmp_path):
    path = _table(tmp_path, [f"text {n},label {n}" for n in range(300)])
    with pytest.raises(ValueError, match=r"300 of 300 classes have a single row.*columns of texts and labels swapped"):
        TextData((path,)).read(TaskConfig("classification"))
    assert no_classes(300, [f"label {n}" for n in range(200)]) and not no_classes(300, ["a", "b"])


def test_too_few_texts_say_what_to_do(tmp_path):
    path = _table(tmp_path, ["a,x", "b,y"])
    with pytest.raises(ValueError, match=r"validation_fraction: .*add texts, or hold nothing out with 0"):
        TextData((path,)).read(TaskConfig("classification"))


def test_numbers_with_decimals_hint_at_regression(tmp_path):
    path = _table(tmp_path, [f"text {n},{n % 4}.5" for n in range(40)])
    parts = TextData((path,)).read(TaskConfig("classification"))
    said = parts.task.remarks(parts.tables["train"])
    assert any("'0.5' is a class; the task 'regression'" in each for each in said)
    assert not no_classes(40, ["1", "2", "3"]) and not no_classes(40, ["1.0", "2.0", "3.0"])


@pytest.mark.parametrize(
    ("header", "noted"), [("text,category", True), ("Question,x", True), ("a good text,spam", False)]
)
def test_a_header_that_is_read_as_data_is_named(tmp_path, header, noted):
    table = read_table(_table(tmp_path, ["b,x"], header), columns=("text", "label"))
    assert len(table) == 2
    assert [True for note in table.notes if "looks like a header" in note] == [True] * noted


def test_rows_without_a_label_are_named_with_the_way_out_and_left_out(tmp_path):
    path = _table(
        tmp_path, [f"text {n},{'' if n % 10 == 3 else 'nan' if n % 10 == 4 else 'ab'[n % 2]}" for n in range(50)]
    )
    with pytest.raises(ValueError, match=r"10 rows|\(5 rows have none\).*--clean missing_label.*'multilabel'"):
        TextData((path,)).read(TaskConfig("classification"))
    parts = TextData((path,), clean=("missing_label",)).read(TaskConfig("classification"))
    assert parts.task.labels.names == ("a", "b") and sum(map(len, parts.tables.values())) == 40
    assert parts.cleaning == {"missing_label": 10, "rows_removed": 10}
