"""Data that can be read in two ways: the note or the error says which, and the way out."""

from __future__ import annotations

import pytest

from engine.text import read_table
from engine.text.decimals import decimal_points


def test_points_that_may_be_of_thousands_are_noted():
    labels, note = decimal_points(["1.500", "2.750", "12"])
    assert labels == ["1.500", "2.750", "12"] and "'1.500' are read with a decimal point, not as '1500'" in (note or "")
    assert decimal_points(["1.500", "2.75"])[1] is None and decimal_points(["0.125", "0.250"])[1] is None


def test_a_column_that_is_there_twice_is_refused_with_the_way_out(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,text,label\na,b,x\n")
    with pytest.raises(ValueError, match=r"one column 'text'.*another name"):
        read_table(path)


def test_a_folder_of_parquet_and_csv_names_both(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"text": ["a"], "label": ["x"]}), tmp_path / "train.parquet")
    assert len(read_table(tmp_path)) == 1
    (tmp_path / "more.csv").write_text("text,label\nb,y\n")
    with pytest.raises(ValueError, match=r"several files of other formats.*train\.parquet.*more\.csv"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "way"),
    [
        ("a.conll", "Ann B-PER\n", "--task tagging reads CoNLL files"),
        ("a.csv", "text,label\na,\"['x' 'y']\"\nb,\"['x']\"\n", r"write array\.tolist\(\)"),
    ],
)
def test_files_of_other_tools_are_refused_with_the_way_out(tmp_path, name, text, way):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=way):
        read_table(tmp_path / name)
