"""Reading text tables: formats, columns, encodings, and errors that name the place."""

from __future__ import annotations

import csv
import io
import json
import sys
import threading
from pathlib import Path

import pytest

from engine.text import read_table, split_labels


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_csv_reads_texts_labels_columns_and_lines(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "a.csv", 'text,category\nhello,greet\n"a, ""b""",quote\n'))
    assert table.texts == ["hello", 'a, "b"']
    assert table.labels == ["greet", "quote"]
    assert (table.text_column, table.label_column) == ("text", "category")
    assert table.lines == [2, 3]
    assert table.source == str(tmp_path / "a.csv")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last_end", [True, False])
def test_line_ends_and_newlines_inside_quotes(tmp_path: Path, end: str, last_end: bool) -> None:
    content = end.join(["text,label", f'"one{end}two",a', "", "three,b"]) + (end if last_end else "")
    table = read_table(write(tmp_path / "a.csv", content))
    assert table.texts == [f"one{end}two", "three"]
    assert table.lines == [2, 5]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.txt"])
def test_byte_order_marks(tmp_path: Path, encoding: str, name: str) -> None:
    rows = {
        "a.csv": "text,label\n我的卡,é\n",
        "a.tsv": "text\tlabel\n我的卡\té\n",
        "a.jsonl": '{"text": "我的卡", "label": "é"}\n',
        "a.txt": "我的卡\n",
    }
    table = read_table(write(tmp_path / name, rows[name].encode(encoding)))
    assert table.texts == ["我的卡"]
    assert table.labels == (None if name == "a.txt" else ["é"])


def test_other_encoding_on_request(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\n我的卡,卡\n".encode("gb18030"))
    assert read_table(path, encoding="gb18030").texts == ["我的卡"]
    with pytest.raises(ValueError, match=r"line 2 of .*a\.csv, got byte 0x"):
        read_table(path)
    with pytest.raises(ValueError, match="known encoding, got 'klingon'"):
        read_table(path, encoding="klingon")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_wrong_encoding_names_the_line(tmp_path: Path, mark: bytes, end: bytes) -> None:
    path = write(tmp_path / "a.csv", mark + end.join([b"text,label", "é,a".encode(), b"caf\xe9,b"]))
    with pytest.raises(ValueError, match=r"\[read_table\] path: expected UTF-8 in line 3 of .*a\.csv, got byte 0xe9"):
        read_table(path)


def test_wrong_encoding_behind_a_mark_that_the_codec_eats(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbftext,label\n\xe9,b\n")
    for encoding in (None, "utf-8-sig"):
        with pytest.raises(ValueError, match=r"UTF-8 in line 2 of .*, got byte 0xe9"):
            read_table(path, encoding=encoding)


def test_truncated_utf16_names_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\na,b\n".encode("utf-16") + b"x")
    with pytest.raises(ValueError, match="line 3"):
        read_table(path)


def test_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"line 2 .* NUL"):
        read_table(write(tmp_path / "a.csv", "text,label\na\0,b\n"))


@pytest.mark.parametrize(
    ("header", "text", "label"),
    [
        ("sentence,label", "sentence", "label"),
        ("id,Text,LABEL", "Text", "LABEL"),
        ("intent,anything", "anything", "intent"),
        ("label,text,sentence", "text", "label"),
        ("文本,标签", "文本", "标签"),
        ("text,other", "text", None),
        (" text , label ", "text", "label"),
    ],
)
def test_columns_are_found_by_name(tmp_path: Path, header: str, text: str, label: str | None) -> None:
    row = ",".join("x" for _ in header.split(","))
    table = read_table(write(tmp_path / "a.csv", f"{header}\n{row}\n"))
    assert (table.text_column, table.label_column) == (text, label)


def test_columns_by_argument(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,b,text\n1,2,3\n")
    table = read_table(path, text_column="b", label_column="a")
    assert (table.texts, table.labels) == (["2"], ["1"])
    assert read_table(path, label_column="b").texts == ["3"]
    with pytest.raises(
        ValueError, match=r"\[read_table\] text_column: expected one of the columns.*'a', 'b', 'text'.*'q'"
    ):
        read_table(path, text_column="q")
    with pytest.raises(ValueError, match=r"\[read_table\] label_column: .*'a', 'b', 'text'.*got 'q'"):
        read_table(path, label_column="q")
    with pytest.raises(ValueError, match="a column other than the text's"):
        read_table(path, text_column="a", label_column="a")


def test_unrecognised_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"text_column: expected a column such as 'text'.*got 'foo', 'bar' \(.*columns="
    ):
        read_table(write(tmp_path / "a.csv", "foo,bar\n1,2\n"))
    with pytest.raises(ValueError, match=r"one column 'text' .* got 2"):
        read_table(write(tmp_path / "b.csv", "text,text\n1,2\n"))


def test_tsv_without_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'ham\t"Hi, you\nspam\tWin "now"!\n')
    table = read_table(path, columns=("label", "text"))
    assert table.texts == ['"Hi, you', 'Win "now"!']
    assert table.labels == ["ham", "spam"]
    assert table.lines == [1, 2]
    with pytest.raises(ValueError, match="got 'ham', "):
        read_table(path)
    with pytest.raises(TypeError, match="columns"):
        read_table(path, columns="label")


def test_columns_repeated_by_the_first_row_are_a_header(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "a.tsv", "label\ttext\nham\thi\n"), columns=["label", "text"])
    assert table.texts == ["hi"]


def test_tsv_quotes_on_request(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"one\ttwo"\ta\n')
    assert read_table(path, quoting=True).texts == ["one\ttwo"]
    with pytest.raises(ValueError, match=r"2 columns in line 2 of .*, got 3"):
        read_table(path)


def test_tsv_keeps_unicode_line_separators_in_a_field(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "a.tsv", "text\tlabel\none\u2028two\x0bthree\ta\n"))
    assert table.texts == ["one\u2028two\x0bthree"]


def test_semicolons(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text;label\na, b;c\n")
    assert read_table(path).texts == ["a, b"]
    assert read_table(write(tmp_path / "b.csv", "a; b\n"), columns=["text"]).texts == ["a; b"]
    assert read_table(write(tmp_path / "c.csv", "text|label\na|b\n"), delimiter="|").labels == ["b"]
    with pytest.raises(ValueError, match="delimiter: expected one character"):
        read_table(path, delimiter="||")


@pytest.mark.parametrize(("row", "got"), [("one", 1), ("one,a,b", 3), ('"x\ny",a,b', 3)])
def test_ragged_rows_name_the_line(tmp_path: Path, row: str, got: int) -> None:
    with pytest.raises(ValueError, match=rf"\[read_table\] path: expected 2 columns in line 4 of .*a\.csv, got {got}"):
        read_table(write(tmp_path / "a.csv", f"text,label\nx,y\n\n{row}\n"))


def test_unclosed_quote_names_the_line_it_begins_in(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"field that begins with a quote in line 3 of|quote that ends a field in line 3 of"
    ):
        read_table(write(tmp_path / "a.csv", 'text,label\na,b\n"c,d\ne,f\n'))


def test_a_field_longer_than_the_csv_modules_limit(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    long = "word " * 40_000
    assert read_table(write(tmp_path / "a.csv", f"text,label\n{long},a\n")).texts == [long]
    assert csv.field_size_limit() == before


def test_empty_texts_stay_and_empty_labels_are_errors(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n,a\n"",b\n')
    assert read_table(path).texts == ["", ""]
    assert read_table(write(tmp_path / "b.csv", 'text\na\n""\n')).texts == ["a", ""]
    path = write(tmp_path / "c.csv", "text,label\na,b\nc, \n")
    with pytest.raises(ValueError, match=r"a label in line 3 of .*, got an empty field"):
        read_table(path)
    assert read_table(path, read_labels=False).labels is None


def test_texts_only_still_knows_which_column_the_label_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "label,words\n,hi\n")
    table = read_table(path, read_labels=False)
    assert (table.texts, table.labels, table.label_column) == (["hi"], None, None)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.txt"])
@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
def test_empty_files(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(ValueError, match=rf"\[read_table\] path: .*the empty file .*{name}"):
        read_table(write(tmp_path / name, content))


def test_header_alone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one row below the header"):
        read_table(write(tmp_path / "a.csv", "text,label\n\n"))


def test_bad_paths(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"\[read_table\] path: expected an existing file, got .*none\.csv"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(IsADirectoryError, match="folder"):
        read_table(tmp_path)
    with pytest.raises(TypeError, match="path or a stream, got int"):
        read_table(3)  # type: ignore[arg-type]


def test_formats(tmp_path: Path) -> None:
    path = write(tmp_path / "a.data", "text,label\na,b\n")
    with pytest.raises(ValueError, match=r"path: expected a file that ends in \.csv, .*, got .*a\.data"):
        read_table(path)
    with pytest.raises(ValueError, match=r"format: .* got 'xml'"):
        read_table(path, format="xml")  # type: ignore[arg-type]
    assert read_table(path, format="csv").labels == ["b"]
    assert read_table(write(tmp_path / "A.CSV", "text,label\na,b\n")).labels == ["b"]


def test_streams() -> None:
    assert read_table(io.BytesIO(b"\xef\xbb\xbftext\na\n"), format="csv").texts == ["a"]
    assert read_table(io.StringIO("one\n\ntwo\n"), format="txt").lines == [1, 3]
    with pytest.raises(ValueError, match="line 2 of the stream"):
        read_table(io.StringIO("text,label\na\n"), format="csv")


def test_plain_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "one, two\r\n\r\n三\r\n")
    table = read_table(path)
    assert (table.texts, table.labels, table.lines) == (["one, two", "三"], None, [1, 3])
    with pytest.raises(ValueError, match="text_column"):
        read_table(path, text_column="text")


def test_jsonl(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "text": "a\u2028b", "label": "x"},
        {"label": 3, "text": ""},
        {"label": "true", "text": "我\n的"},
        {"text": "d", "label": 1.5},
        {"text": "e", "label": 10**400},
    ]
    content = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    table = read_table(write(tmp_path / "a.jsonl", content))
    assert table.texts == ["a\u2028b", "", "我\n的", "d", "e"]
    assert table.labels == ["x", "3", "true", "1.5", "1" + "0" * 400]
    assert table.lines == [1, 3, 5, 7, 9]


def test_jsonl_finds_labels_that_begin_later(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the key 'label' in line 1 of .*, got 'text'"):
        read_table(write(tmp_path / "a.jsonl", '{"text": "a"}\n{"text": "b", "label": "x"}\n'))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"text": "a", "label": ', "invalid JSON"),
        ('["a", "b"]', "a JSON object in line 2 of .*, got an array"),
        ('"a"', "a JSON object in line 2 of .*, got a string"),
        ('{"label": "x"}', "the key 'text' in line 2 of .*, got 'label'"),
        ('{"text": "a"}', "the key 'label' in line 2"),
        ('{"text": null, "label": "x"}', "a string at 'text' in line 2 of .*, got null"),
        ('{"text": 5, "label": "x"}', "a string at 'text' in line 2 of .*, got a number"),
        ('{"text": "a", "label": null}', "a label in line 2 of .*, got an empty field"),
        (
            '{"text": "a", "label": NaN}',
            "a string or number at 'label' in line 2 of .*, got a number that is not finite",
        ),
        ('{"text": "a", "label": 1e999}', "a string or number at 'label' in line 2"),
        ('{"text": "a", "label": ""}', "a label in line 2"),
        ('{"text": "\\ud800", "label": "x"}', "half of a surrogate pair"),
        ("[" * 100_000, "invalid JSON"),
        ("9" * 5_000, "line 2"),
    ],
)
def test_jsonl_errors_name_the_line(tmp_path: Path, row: str, message: str) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a", "label": "x"}\n' + row + "\n")
    with pytest.raises(ValueError, match=message) as caught:
        read_table(path)
    assert "line 2" in str(caught.value)
    assert str(caught.value).startswith("[read_table] path: expected ")


def test_long_fields_from_several_threads(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\n" + ("x" * 140_000 + ",a\n") * 20)
    failures: list[BaseException] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work() -> None:
        try:
            for _ in range(5):
                read_table(path)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert not failures


def test_empty_lines_are_kept_where_rows_must_match_lines(tmp_path: Path) -> None:
    files = {
        "a.txt": ("\na\n \nb\n\n", ["", "a", " ", "b", ""], [1, 2, 3, 4, 5]),
        "a.csv": ("\ntext,n\na,1\n\nb,2\n\n", ["a", "", "b", ""], [3, 4, 5, 6]),
        "b.csv": ('text\na\n\n""\nb\n', ["a", "", "", "b"], [2, 3, 4, 5]),
        "a.tsv": ("text\tn\n\na\t1\n\n", ["", "a", ""], [2, 3, 4]),
        "a.jsonl": ('{"text": "a"}\n\n{"text": "b"}\n', ["a", "", "b"], [1, 2, 3]),
    }
    for name, (content, texts, lines) in files.items():
        path = tmp_path / name
        path.write_text(content)
        table = read_table(path, read_labels=False, skip_empty_lines=False)
        assert (table.texts, list(table.lines)) == (texts, lines), name
        skipped = read_table(path, read_labels=False).texts
        assert skipped == (["a", "", "b"] if name == "b.csv" else [text for text in texts if text.strip()]), name
    with pytest.raises(ValueError, match="skip_empty_lines: expected True, because labels are read"):
        read_table(tmp_path / "a.csv", skip_empty_lines=False)


# --- second texts, further columns, several labels ---

WIDE = "id,premise,hypothesis,label,city\n1,a,b,yes,巴黎\n2,c,,no,\n"


@pytest.mark.parametrize("end", [".csv", ".tsv", ".jsonl"])
def test_pairs_and_extra_columns(tmp_path: Path, end: str) -> None:
    rows = [line.split(",") for line in WIDE.split()]
    if end == ".jsonl":
        content = "\n\n".join(json.dumps(dict(zip(rows[0], row))) for row in rows[1:])
    else:
        content = WIDE.replace(",", "\t") if end == ".tsv" else WIDE
    path = write(tmp_path / f"a{end}", content)
    extra = ["city", "id", "city", "label"]
    table = read_table(path, "premise", "label", pair_column="hypothesis", extra_columns=extra)
    assert (table.texts, table.pairs, table.labels) == (["a", "c"], ["b", ""], ["yes", "no"])
    assert table.columns == {"city": ["巴黎", ""], "id": ["1", "2"], "label": ["yes", "no"]}
    assert (table.text_column, table.pair_column, table.label_column) == ("premise", "hypothesis", "label")
    assert read_table(path, "premise", "label").pairs is None and read_table(path, "premise").columns == {}
    # With all others named, the text is what is left.
    table = read_table(path, pair_column="hypothesis", extra_columns=("city", "id"))
    assert table.text_column == "premise"
    table = read_table(path, "premise", pair_column="hypothesis", read_labels=False)
    assert (table.labels, table.pairs) == (None, ["b", ""])


def test_extra_columns_are_taken_neither_for_the_text_nor_for_the_label(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,title,label,category\na,b,c,d\n")
    table = read_table(path, extra_columns=["text", "label"])
    assert (table.text_column, table.label_column) == ("title", "category")
    table = read_table(path, "text", "label", extra_columns=["text", "label"])
    assert (table.texts, table.labels, table.columns) == (["a"], ["c"], {"text": ["a"], "label": ["c"]})
    assert read_table(path, pair_column="text").text_column == "title"


def test_wrong_pair_and_extra_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label,n,n\na,b,1,2\n")
    with pytest.raises(
        ValueError, match=r"\[read_table\] pair_column: expected one of the columns .*'text', .* got 'x'"
    ):
        read_table(path, pair_column="x")
    with pytest.raises(ValueError, match=r"extra_columns: expected one of the columns .* got 'y'"):
        read_table(path, extra_columns=["label", "y"])
    for name in ("text", "label"):
        with pytest.raises(ValueError, match=r"pair_column: expected a column other than the text's and the label's"):
            read_table(path, "text", "label", pair_column=name)
    with pytest.raises(ValueError, match=r"one column 'n' .* got 2"):
        read_table(path, extra_columns=["n"])
    with pytest.raises(TypeError, match="extra_columns: expected a list of names, got one string"):
        read_table(path, extra_columns="text")
    plain = write(tmp_path / "a.txt", "one\n")
    with pytest.raises(ValueError, match="pair_column: expected None, because plain lines have no columns"):
        read_table(plain, pair_column="x")
    with pytest.raises(
        ValueError, match="extra_columns: expected no names, because plain lines have no columns, got 'x'"
    ):
        read_table(plain, extra_columns=["x"])


def test_values_of_extra_columns_in_json(tmp_path: Path) -> None:
    values = ["a", "", 3, 2.5, True, False, None, "我"]
    content = "\n".join(json.dumps({"text": "t", "group": value}) for value in values)
    table = read_table(write(tmp_path / "a.jsonl", content), extra_columns=["group"])
    assert table.columns["group"] == ["a", "", "3", "2.5", "true", "false", "", "我"]
    for wrong, got in (("[1]", "an array"), ("{}", "an object"), ("NaN", "a number that is not finite")):
        path = write(tmp_path / "b.jsonl", '{"text": "t", "group": 1}\n{"text": "t", "group": ' + wrong + "}\n")
        with pytest.raises(
            ValueError, match=rf"a string, number, boolean or null at 'group' in line 2 of .*, got {got}"
        ):
            read_table(path, extra_columns=["group"])
    path = write(tmp_path / "c.jsonl", '{"text": "t", "group": 1}\n{"text": "t"}\n')
    with pytest.raises(ValueError, match=r"the key 'group' in line 2 of .*, got 'text'"):
        read_table(path, extra_columns=["group"])
    path = write(tmp_path / "d.jsonl", '{"text": "t", "pair": 3}\n')
    with pytest.raises(ValueError, match=r"a string at 'pair' in line 1 of .*, got a number"):
        read_table(path, pair_column="pair")


def test_empty_lines_keep_their_place_in_pairs_and_columns(tmp_path: Path) -> None:
    for path in (
        write(tmp_path / "a.csv", "text,pair,n\na,b,1\n\nc,d,2\n"),
        write(tmp_path / "a.jsonl", '{"text":"a","pair":"b","n":1}\n\n{"text":"c","pair":"d","n":2}\n'),
    ):
        table = read_table(path, pair_column="pair", extra_columns=["n"], read_labels=False, skip_empty_lines=False)
        assert (table.texts, table.pairs, table.columns["n"]) == (["a", "", "c"], ["b", "", "d"], ["1", "", "2"])


def test_several_labels(tmp_path: Path) -> None:
    values = [["x", " y "], "z", [3, "我"], [], ["x"]]
    path = write(tmp_path / "a.jsonl", "\n".join(json.dumps({"text": "t", "labels": value}) for value in values))
    table = read_table(path, empty_labels=True)
    assert table.labels == ["x|y", "z", "3|我", "", "x"]
    assert split_labels(table.labels) == [("x", "y"), ("z",), ("3", "我"), (), ("x",)]
    assert read_table(path, empty_labels=True, label_separator="; ").labels[0] == "x; y"
    with pytest.raises(ValueError, match=r"a label in line 4 of .*, got an empty field"):
        read_table(path)
    with pytest.raises(ValueError, match="label_separator: expected at least one character"):
        read_table(path, label_separator="")
    path = write(tmp_path / "a.csv", "text,labels\na,x|y\nb, \n")
    assert read_table(path, empty_labels=True).labels == ["x|y", ""]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ('["a|b"]', r"labels without the separator '\|' in line 2 of .*, got 'a\|b' \(pass another label_separator="),
        ('["a", ""]', r"non-empty labels in the array at 'label' in line 2 of .*, got an empty string"),
        ('["a", ["b"]]', "a string or number at 'label' in line 2 of .*, got an array"),
        ('["a", null]', "a string or number at 'label' in line 2 of .*, got null"),
        ('["a", true]', "a string or number at 'label' in line 2 of .*, got a boolean"),
        ('{"a": 1}', "a string or number at 'label' in line 2 of .*, got an object"),
    ],
)
def test_wrong_labels_in_arrays(tmp_path: Path, label: str, message: str) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "t", "label": ["a"]}\n{"text": "t", "label": ' + label + "}\n")
    with pytest.raises(ValueError, match=message):
        read_table(path, empty_labels=True)
    assert read_table(path, read_labels=False).texts == ["t", "t"]
