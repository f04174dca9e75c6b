"""Lists in files of predictions: what is written can be read as labels again."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from engine.tasks import MultiLabel
from engine.text import read_table
from engine.text.table_write import write_columns

LABELS = [["spam", "work"], [], ["spam"]]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("names", [LABELS, [["so so", "a,b"], [], ["so so"]]])
@pytest.mark.parametrize("separator", ["|", None])
def test_lists_of_labels_are_read_as_they_were(tmp_path, ending, names, separator):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"out.{ending}"
    columns = {"text": ["a", "b", "c"], "labels": names, "predicted_labels": [list(each) for each in names]}
    write_columns("test", columns, path, separator=separator)
    for column in ("labels", "predicted_labels"):
        table = read_table(path, "text", column, empty_labels=True, label_separator="|")
        assert table.labels == ["|".join(each) for each in names]


def test_entries_that_hold_the_separator_are_written_as_json(tmp_path):
    path = tmp_path / "out.csv"
    write_columns("test", {"text": ["a", "b"], "labels": [["x|y"], ["z"]]}, path, separator="|")
    assert read_table(path, "text", "labels", label_separator="#").labels == ["x|y", "z"]


def test_predicted_labels_are_a_list():
    task = MultiLabel(["a", "b"], ";")
    answer = {"labels": ["a", "b"], "probabilities": {"a": 0.9, "b": 0.8}}
    assert task.row(answer)["predicted_labels"] == ["a", "b"] and task.between == ";"
    assert task.cells(answer) == ["a;b", "0.9000;0.8000"]


def test_integers_that_parquet_cannot_hold_become_strings(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "out.parquet"
    write_columns("test", {"text": ["a", "b", "c"], "id": [2**70, 1, None]}, path)
    found = SimpleNamespace(**parquet.read_table(path).to_pydict())
    assert found.id == [str(2**70), "1", None] and json.loads(found.id[0]) == 2**70
