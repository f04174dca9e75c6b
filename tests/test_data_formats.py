"""Files as people have them: dialects of CSV, JSON arrays, compressed files, Parquet, Arrow, Excel, folders, fastText."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.text import TextTable, read_documents, read_table, write_table
from engine.text.table_write import write_columns

ROWS = [("my card is late", "card"), ('he said "no", twice', "money"), ("我的卡", "card")]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_csv(delimiter: str = ",") -> str:
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, lineterminator="\n").writerows([("text", "label"), *ROWS])
    return stream.getvalue()


def check(table: TextTable) -> TextTable:
    assert (table.texts, table.labels) == ([text for text, _ in ROWS], [label for _, label in ROWS])
    return table


# --- dialects of CSV ---


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("named", ["", "sep=", '"sep='])
def test_delimiters_are_recognised(tmp_path: Path, delimiter: str, named: str) -> None:
    first = f"{named}{delimiter}{chr(34) if named[:1] == chr(34) else ''}\n" if named else ""
    table = check(read_table(write(tmp_path / "a.csv", first + as_csv(delimiter))))
    assert table.lines == ([3, 4, 5] if named else [2, 3, 4])


def test_a_delimiter_that_gives_known_names_fits_best(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "a.csv", "id, old;text;label\n1;a, b;x\n"))
    assert (table.texts, table.labels) == (["a, b"], ["x"])
    table = read_table(write(tmp_path / "b.csv", "id, old;words;kind\n1;a, b;x\n"), "words", "kind")
    assert (table.texts, table.labels) == (["a, b"], ["x"])
    # TSV by name, commas inside.
    check(read_table(write(tmp_path / "c.tsv", as_csv()), quoting=True))


def test_a_wrong_delimiter_is_hinted_at(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label;n\na,b;c,d\n")
    with pytest.raises(
        ValueError, match=r"2 columns in line 2 of .*, got 3 \(if fields are separated by ';', use delimiter="
    ):
        read_table(path)


def test_files_without_a_header(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "a.csv", "card;my card, please\nmoney;no\n"), columns=["label", "text"])
    assert (table.texts, table.labels, table.lines) == (["my card, please", "no"], ["card", "money"], [1, 2])
    with pytest.raises(ValueError, match=r"text_column: .* got 'card', 'my card, please' \(.*columns="):
        read_table(tmp_path / "a.csv", delimiter=";")


def test_quotes_that_are_characters(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"never closed,a\n5" pipe,b\n')
    assert read_table(path, quoting=False).texts == ['"never closed', '5" pipe']
    with pytest.raises(
        ValueError,
        match=r"after the quote that ends a field in line 2 of .*if quotes are ordinary characters in this file, use quoting=False",
    ):
        read_table(path)
    path = write(tmp_path / "b.csv", 'text,label\na,b\n"never,c\nd,e\n')
    with pytest.raises(
        ValueError,
        match=r"a second quote for the field that begins with a quote in line 3 of .*, got none until the end",
    ):
        read_table(path)


def test_a_stray_quote_that_swallows_lines_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\nfirst,x\n"Hello,a\nfoo,b\nWorld",c\n')
    table = read_table(path)
    assert len(table) == 2
    assert any(
        "begins in line 3 of" in note and "stray quote" in note and "2 line ends" in note for note in table.notes
    )
    # In the last column.
    path = write(tmp_path / "b.csv", 'label,text\nx,"one\ny,two\nz,three"\n')
    assert "stray quote" in read_table(path).notes[0]
    # Paragraphs are no rows.
    path = write(tmp_path / "c.csv", 'text,label\n"Dear all,\n\nplease, read, this\nBye",c\n"one\ntwo",d\n')
    assert read_table(path).notes == ()
    # Nor is a sentence that ends in a line end, as one in examples/banking77 does.
    path = write(tmp_path / "d.csv", 'text,label\n"I have an account, but I want to move.\n.",c\n')
    assert read_table(path).notes == ()
    path = write(tmp_path / "e.csv", 'text,label\n"Hello,a\nWorld",c\n')
    assert "holds 1 line end, and" in read_table(path).notes[0]


def test_repeated_headers_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "\ufefftext,label\na,x\n\ufefftext,label\nb,y\ntext,label\ntext,z\n")
    table = read_table(path)
    assert (table.texts, table.lines) == (["a", "b", "text"], [2, 4, 6])
    assert len(table.notes) == 1 and "2 rows repeat the header" in table.notes[0] and "line 3 of" in table.notes[0]
    # Answers must match lines.
    assert len(read_table(path, read_labels=False, skip_empty_lines=False)) == 5
    table = read_table(write(tmp_path / "b.csv", "text\na\ntext\n"))
    assert table.texts == ["a", "text"] and table.notes == ()


def test_byte_order_marks_inside_of_files(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "a.jsonl", '{"text": "a"}\n\ufeff{"text": "b"}\n'))
    assert table.texts == ["a", "b"]
    assert [d.text for d in read_documents(write(tmp_path / "a.txt", "\ufeffa\n\ufeffb\n"), "line")] == ["a\n", "b\n"]


# --- JSON ---


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_of_objects(tmp_path: Path, indent: int | None) -> None:
    objects = [{"text": text, "label": label, "n": {"a": [1]}} for text, label in ROWS]
    table = check(read_table(write(tmp_path / "a.json", "\n " + json.dumps(objects, indent=indent) + "\n")))
    assert table.lines == ([2, 2, 2] if indent is None else [3, 12, 21])
    assert read_table(tmp_path / "a.json", extra_columns=None).columns["n"][0] == {"a": [1]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a"},\n{"text": 3}]', "a string at 'text' in line 2 of .*, got a number"),
        ('[{"text": "a"},\n3]', "a JSON object in line 2 of .*, got a number"),
        ('[{"text": "a"}\n{"text": "b"}]', "',' or ']' after a JSON object in line 2"),
        ('[{"text": "a"},\n{"text": ]', r"a JSON object in line 2 of .*, got invalid JSON"),
        ('[{"text": "a"},\n', "a JSON object in line 2"),
        ('[{"text": "a"}\n', "',' or ']' after a JSON object in line 2 of .*, got the end"),
        ('[{"text": "a"}]\n]', "nothing after the JSON array in line 2"),
        ("[]", "at least one object in line 1 of .*, got an empty array"),
        ('{"text":\n ["a"]}', r"an array of objects in line 1 of .*, got one object over several lines \(pandas"),
    ],
)
def test_wrong_arrays_name_the_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path / "a.json", content))


# --- compression ---


def zstd(data: bytes) -> bytes:
    compress = pytest.importorskip("zstandard").ZstdCompressor().compress
    return bytes(compress(data[:10]) + compress(data[10:]))  # two frames, as joined files have


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd,
}


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_files(tmp_path: Path, suffix: str) -> None:
    data = COMPRESS[suffix](as_csv().encode())
    check(read_table(write(tmp_path / f"a.csv{suffix}", data)))
    check(read_table(write(tmp_path / "b.csv", data)))  # by its first bytes
    check(read_table(io.BytesIO(data), format="csv"))
    with pytest.raises(ValueError, match=r"path: expected a whole \w+ file, got .*c\.csv"):
        read_table(write(tmp_path / f"c.csv{suffix}", data[: len(data) - 6]))
    with pytest.raises(ValueError, match=r"path: expected a whole \w+ file"):
        read_table(write(tmp_path / f"d.csv{suffix}", b"text,label\na,b\n"))


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_files_are_streamed_from_any_place(tmp_path: Path, suffix: str) -> None:
    lines = [f"line {i} 我\n" for i in range(5000)]
    path = write(tmp_path / f"a.txt{suffix}", COMPRESS[suffix]("".join(lines).encode()))
    documents = list(read_documents(path, "line"))
    assert [document.text for document in documents] == lines
    later = list(read_documents(path, "line", offset=documents[4000].offset, line=4001))
    assert later == documents[4001:]


def test_tables_are_documents(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", as_csv())
    found = list(read_documents(path))
    assert [document.text for document in found] == [text for text, _ in ROWS]
    assert list(read_documents(path, offset=1, line=3)) == found[1:]
    assert [d.text for d in read_documents(path, text_key="label")] == [label for _, label in ROWS]
    array = write(tmp_path / "a.json", json.dumps([{"text": text} for text, _ in ROWS]))
    assert [document.text for document in read_documents(array)] == [text for text, _ in ROWS]
    table = write_arrow(tmp_path / "a.parquet", arrow_table())
    assert [document.text for document in read_documents(table)] == [text for text, _ in ROWS]


# --- Parquet, Arrow, Excel ---


def arrow_table(**columns: Any) -> Any:
    pyarrow = pytest.importorskip("pyarrow")
    return pyarrow.table(columns or {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]})


def write_arrow(path: Path, table: Any) -> Path:
    import pyarrow
    import pyarrow.feather
    import pyarrow.parquet

    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
    elif path.suffix == ".feather":
        pyarrow.feather.write_feather(table, path)
    else:
        with pyarrow.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
    return path


@pytest.mark.parametrize("name", ["a.parquet", "a.feather", "a.arrow"])
def test_arrow_files(tmp_path: Path, name: str) -> None:
    path = write_arrow(tmp_path / name, arrow_table())
    table = check(read_table(path))
    assert table.where(2) == f"row 2 of {path}" and table.select([2, 0]).where(0) == f"row 2 of {path}"
    check(read_table(write(tmp_path / "b.csv", path.read_bytes())))  # by its first bytes
    table = read_table(
        write_arrow(tmp_path / name, arrow_table(text=["a", "b"], label=[3, 4], on=[True, None], n=[[1], [2]])),
        extra_columns=None,
    )
    assert (table.labels, table.columns) == (["3", "4"], {"on": [True, None], "n": [[1], [2]]})
    with pytest.raises(ValueError, match=r"a string at 'text' in row 1 of .*, got null"):
        read_table(write_arrow(tmp_path / name, arrow_table(text=["a", None])))
    for setting in ({"columns": ["text"]}, {"delimiter": ";"}, {"quoting": False}, {"encoding": "utf-8"}):
        with pytest.raises(ValueError, match=f"{next(iter(setting))}: expected None, because files of the format"):
            read_table(path, **setting)  # type: ignore[arg-type]


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    path = write_arrow(tmp_path / "a.parquet", arrow_table())
    with pytest.raises(ValueError, match=r"a whole Parquet or Arrow file, got .*b\.parquet"):
        read_table(write(tmp_path / "b.parquet", path.read_bytes()[:60]))


def test_folders_that_datasets_saves(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["card", "money"])}
    )
    data = datasets.Dataset.from_dict({"text": [text for text, _ in ROWS], "label": [0, 1, 0]}, features=features)
    data.save_to_disk(str(tmp_path / "saved"), num_shards=2)
    table = check(read_table(tmp_path / "saved"))
    assert "row 0 of" in table.where(2) and table.where(2).endswith("data-00001-of-00002.arrow")
    data.to_parquet(tmp_path / "a.parquet")
    check(read_table(tmp_path / "a.parquet"))
    splits = datasets.DatasetDict({"train": data, "test": data})
    splits.save_to_disk(str(tmp_path / "dict"))
    with pytest.raises(
        ValueError, match=r"path: expected one data set in .*, got several splits \(name one of them: .*dict/test"
    ):
        read_table(tmp_path / "dict")
    check(read_table(tmp_path / "dict" / "train"))
    unlabelled = datasets.Dataset.from_dict({"text": ["a"], "label": [-1]}, features=features)
    unlabelled.to_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"a class from 0 to 1 at 'label' in row 0 of .*, got -1"):
        read_table(tmp_path / "b.parquet")
    assert read_table(tmp_path / "b.parquet", read_labels=False).texts == ["a"]


def test_folders_of_parquet_files(tmp_path: Path) -> None:
    (tmp_path / "hub" / "data").mkdir(parents=True)
    write(tmp_path / "hub" / "README.md", "# data")
    for i in range(2):
        write_arrow(
            tmp_path / "hub" / "data" / f"train-0000{i}-of-00002.parquet", arrow_table(text=[str(i)], label=["x"])
        )
    table = read_table(tmp_path / "hub")
    assert table.texts == ["0", "1"] and table.where(1).endswith("train-00001-of-00002.parquet")
    write_arrow(tmp_path / "hub" / "data" / "test-00000-of-00001.parquet", arrow_table())
    with pytest.raises(ValueError, match="got several splits or data sets"):
        read_table(tmp_path / "hub")


def test_spreadsheets(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Empty"
    sheet, other = book.create_sheet("Data"), book.create_sheet("Other")
    for row in (("text", "label", "n"), *((*row, 1.0) for row in ROWS[:2]), (), (*ROWS[2], True)):
        sheet.append(row)
    other.append(["x"])
    book.save(tmp_path / "a.xlsx")
    table = check(read_table(tmp_path / "a.xlsx", extra_columns=["n"]))
    assert table.columns["n"] == ["1", "1", "TRUE"] and table.lines == [2, 3, 5]
    assert table.where(2) == f"row 5 of {tmp_path / 'a.xlsx'}"
    assert table.notes == (f"only the sheet 'Data' of {tmp_path / 'a.xlsx'} is read, not 'Other'",)
    assert read_table(tmp_path / "a.xlsx", columns=["text", "label", "n"]).texts == table.texts
    with pytest.raises(ValueError, match=r"an Excel file \(\.xlsx\), got .*b\.xlsx"):
        read_table(write(tmp_path / "b.xlsx", b"PK\x03\x04 nothing"))
    with pytest.raises(ValueError, match=r"save it as \.xlsx"):
        read_table(write(tmp_path / "b.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"))


# --- folders, fastText ---


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    write(tmp_path / "f" / "neg" / "1.txt", "bad\nfilm")
    write(tmp_path / "f" / "pos" / "53068", "good")
    write(tmp_path / "f" / "pos" / ".DS_Store", b"\x00")
    table = read_table(tmp_path / "f")
    assert (table.texts, table.labels) == (["bad\nfilm", "good"], ["neg", "pos"])
    assert table.where(1) == f"line 1 of {tmp_path / 'f' / 'pos' / '53068'}"
    write(tmp_path / "f" / "pos" / "caf\u00e9.txt", b"caf\xe9")
    with pytest.raises(
        ValueError, match=r"UTF-8 in line 1 of .*caf.*, got byte 0xe9 \(name its encoding with encoding="
    ):
        read_table(tmp_path / "f")
    assert read_table(tmp_path / "f", encoding="latin-1").texts[2] == "café"
    write(tmp_path / "f" / "pos" / "b.pdf", "x")
    with pytest.raises(ValueError, match=r"files of text \(\.txt\) in .*pos, got b\.pdf"):
        read_table(tmp_path / "f", encoding="latin-1")
    write(tmp_path / "g" / "train" / "pos" / "1.txt", "x")
    write(tmp_path / "g" / "test" / "pos" / "1.txt", "x")
    with pytest.raises(ValueError, match=r"got one for each split \(name one: .*g/test, .*g/train"):
        read_table(tmp_path / "g")


def test_fasttext(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "__label__card my card\n__label__money  no __label__card\n")
    table = read_table(path)
    assert (table.texts, table.labels) == (["my card", "no "], ["card", "money|card"])
    with pytest.raises(
        ValueError, match=r"one label in line 2 of .*, got the labels 'money', 'card' \(the task 'multilabel'"
    ):
        read_table(path, label_separator=None)
    assert read_table(write(tmp_path / "a.train", "__label__x a\n")).labels == ["x"]
    with pytest.raises(ValueError, match="a label in line 2"):
        read_table(write(tmp_path / "b.txt", "__label__x a\nb\n"))


# --- several labels ---


def labels_in(tmp_path: Path, *labels: str, separator: str | None = "|") -> list[str] | None:
    path = tmp_path / "several.csv"
    with open(path, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("text", "labels"), *(("t", label) for label in labels)])
    return read_table(path, label_separator=separator, empty_labels=separator is not None).labels


def test_lists_that_are_spelled_out(tmp_path: Path) -> None:
    assert labels_in(tmp_path, "['a', 'b']", '["c"]', "[]", "('a', 'c')") == ["a|b", "c", "", "a|c"]
    assert labels_in(tmp_path, "{'b', 'a'}", "[3, 4]") == ["a|b", "3|4"]
    assert labels_in(tmp_path, "[PAD]", "[CLS]") == ["[PAD]", "[CLS]"]
    with pytest.raises(ValueError, match=r"a list such as \['a', 'b'\] in line 3 of .*, got \"\['a' 'b'\]\""):
        labels_in(tmp_path, "['a']", "['a' 'b']")
    assert labels_in(tmp_path, "['a']", "['b']", separator=None) == ["a", "b"]
    with pytest.raises(ValueError, match=r"one label in line 3 of .*, got the labels 'a', 'b' \(the task 'multilabel'"):
        labels_in(tmp_path, "['a']", "['a', 'b']", separator=None)
    with pytest.raises(ValueError, match=r"labels without the separator '\|' in line 2"):
        labels_in(tmp_path, "['a|b']")


def test_lists_of_zeros_and_ones(tmp_path: Path) -> None:
    assert labels_in(tmp_path, "[0, 1, 0]", "[1, 0, 1]", "[0, 0, 0]") == ["1", "0|2", ""]
    assert labels_in(tmp_path, "[0. 1. 0.]", "[1. 0. 1.]") == ["1", "0|2"]
    assert labels_in(tmp_path, "[0 1]", "[1 0]", separator=None) == ["1", "0"]
    assert labels_in(tmp_path, "[0, 1]", "[2]") == ["0|1", "2"]
    path = write(tmp_path / "a.jsonl", '{"text": "a", "labels": [0.0, 1.0]}\n{"text": "b", "labels": [1, 1]}\n')
    table = read_table(path)
    assert table.labels == ["1", "0|1"] and "lists of 2 zeros and ones" in table.notes[0]


def test_columns_of_zeros_and_ones(tmp_path: Path) -> None:
    content = "id,comment_text,toxic,insult\n7,a,1,0\n8,b,1,1\n9,c,0,0\n"
    path = write(tmp_path / "a.csv", content)
    table = read_table(path, empty_labels=True)
    assert (table.texts, table.labels) == (["a", "b", "c"], ["toxic", "toxic|insult", ""])
    assert table.label_column == "toxic,insult" and "the columns toxic, insult of" in table.notes[0]
    named = read_table(path, label_column="insult, toxic", empty_labels=True)
    assert named.labels == ["toxic", "insult|toxic", ""] and named.notes == ()
    assert read_table(path, label_column=["toxic", "insult"], empty_labels=True).labels == table.labels
    with pytest.raises(ValueError, match=r"one label in line 3 of .*, got the labels 'toxic', 'insult'"):
        read_table(path, label_separator=None, empty_labels=True)
    with pytest.raises(ValueError, match=r"0 or 1 in the column 'id' in line 2 of .*, got '7'"):
        read_table(path, label_column="id,toxic", empty_labels=True)
    with pytest.raises(ValueError, match="label_column: expected one of the columns"):
        read_table(path, label_column="toxic,nothing")
    assert read_table(path, read_labels=False).labels is None
    one = write(tmp_path / "b.csv", "text,spam\na,1\nb,0\n")
    assert read_table(one).labels is None


def test_labels_are_cleaned_as_texts_are(tmp_path: Path) -> None:
    assert (
        labels_in(tmp_path, "caf\u00e9", "cafe\u0301", "\u200bcaf\u00e9\u2060", " caf\u00e9\ufeff") == ["caf\u00e9"] * 4
    )
    assert labels_in(tmp_path, "a  b\u200b|c", separator="|") == ["a  b|c"]
    assert labels_in(tmp_path, "a\tb", separator="\t") == ["a\tb"]
    with pytest.raises(ValueError, match=r"a label in line 3 of .*, got an empty field \(2 rows have none\)"):
        labels_in(tmp_path, "a", "\u200b", "", separator=None)


# --- writing ---


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    table = TextTable(['a, "b"', "我\nyou"], ["x", "y"], "question", "topic", columns={"n": ["1", ""]})
    write_table(table, tmp_path / name)
    again = read_table(tmp_path / name, extra_columns=None)
    texts = [text.replace("\n", " ") for text in table.texts] if name == "a.tsv" else table.texts
    assert (again.texts, again.labels, again.columns) == (texts, table.labels, table.columns)
    with pytest.raises(
        ValueError, match=r"\[write_table\] path: expected a name that ends in \.csv, \.tsv, \.jsonl, \.parquet"
    ):
        write_table(table, tmp_path / "a.xlsx")


def test_values_of_any_type_are_written(tmp_path: Path) -> None:
    values = {"n": [1, "two"], "m": [{"a": 1}, {"b": [2]}], "l": [["x", "y"], []], "f": [float("nan"), 0.5]}
    path = write(tmp_path / "a.jsonl", '{"text": "=a"}\n{"text": "b"}\n')
    table = read_table(path)
    full = TextTable(table.texts, columns=values)
    write_table(full, tmp_path / "b.jsonl")
    assert [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()] == [
        {"text": "=a", "n": 1, "m": {"a": 1}, "l": ["x", "y"], "f": None},
        {"text": "b", "n": "two", "m": {"b": [2]}, "l": [], "f": 0.5},
    ]
    write_table(full, tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text().splitlines()[1] == '=a,1,"{""a"": 1}","[""x"", ""y""]",NaN'
    write_columns("x", {"=h": ["\uff1da", "b"]}, tmp_path / "c.csv", spreadsheet_safe=True)
    assert (tmp_path / "c.csv").read_text().splitlines() == ["'=h", "'\uff1da", "b"]
    pytest.importorskip("pyarrow")
    write_table(full, tmp_path / "b.parquet")
    again = read_table(tmp_path / "b.parquet", extra_columns=None).columns
    assert (again["n"], again["m"], again["l"]) == (["1", '"two"'], ['{"a": 1}', '{"b": [2]}'], [["x", "y"], []])


# --- headers and labels as people have them ---


def test_a_header_may_have_the_named_columns_in_another_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "label,text\ncard,my card\nmoney,my money\n")
    table = read_table(path, columns=("text", "label"))
    assert (table.texts, table.labels, table.lines) == (["my card", "my money"], ["card", "money"], [2, 3])
    lone = write(tmp_path / "b.csv", "text\nmy card\n")
    with pytest.raises(
        ValueError, match=r"2 columns in line 1 .* got 1 \(the columns are those of columns= \(text,label\)"
    ):
        read_table(lone, columns=("text", "label"))


def test_columns_without_names_are_several(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label,,\nmy card,card,x,y\ntext,label,,\nmine,money,z,\n")
    table = read_table(path, extra_columns=None)
    assert (table.texts, table.labels) == (["my card", "mine"], ["card", "money"])
    assert list(table.columns.values()) == [["x", "z"], ["y", ""]]
    write_table(table, tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text() == "text,label,,\nmy card,card,x,y\nmine,money,z,\n"


def test_null_is_no_label_and_booleans_are_names(tmp_path: Path) -> None:
    rows = [{"text": "a", "labels": None}, {"text": "b", "labels": ["x", "y"]}]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert read_table(path, empty_labels=True).labels == ["", "x|y"]
    with pytest.raises(ValueError, match="a label in line 1 of"):
        read_table(path)
    path = write(tmp_path / "b.jsonl", '{"text": "a", "label": true}\n{"text": "b", "label": false}\n')
    assert read_table(path).labels == ["true", "false"]


def test_a_zip_archive_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.csv", as_csv())
    path = write(tmp_path / "a.csv.zip", stream.getvalue())
    with pytest.raises(ValueError, match=r"got a zip archive, .*a\.csv\.zip \(unpack it\)"):
        read_table(path)
