"""JSON files that hold all rows in one object are refused with the way out, on one line or on several."""

from __future__ import annotations

import json

import pytest

from engine.text import read_table, read_tagged


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    ("value", "got"),
    [
        (
            {"text": {"0": "a", "1": "b"}, "label": {"0": "x", "1": "y"}},
            "a list or an object for each column.*orient='records'",
        ),
        ({"text": ["a", "b"], "label": ["x", "y"]}, "a list or an object for each column.*orient='records'"),
        ({"data": [{"text": "a", "label": "x"}]}, "the rows in 'data'.*only the array that is in 'data'"),
        (
            {"columns": ["text"], "index": [0, 1], "data": [{"text": "a"}]},
            "the rows in 'data'.*only the array that is in 'data'",
        ),
    ],
)
def test_one_object_with_all_rows_is_refused(tmp_path, value, got, indent):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value, indent=indent))
    with pytest.raises(ValueError, match=rf"an array of objects in line 1 .*{got}"):
        read_table(path)


def test_a_single_row_is_read(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": ["x", "y"]}\n')
    assert read_table(path).labels == ["x|y"]
    path.write_text('{"words": ["a", "b"], "tags": ["O", "O"]}\n')
    assert read_tagged(path).words == [["a", "b"]]
