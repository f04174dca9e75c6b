"""The one decoder of text files: what all readers have in common, whole files and streams."""

from __future__ import annotations

import codecs
import gzip
import io
from pathlib import Path

import pytest

from engine.text import Tokenizer, read_documents, read_table, read_tagged
from engine.text.files import TextFile, numbered_lines

ENDS = ["\n", "\r\n", "\r"]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def texts_of(path: Path, **options: object) -> list[str]:
    return [text for text, _, _ in read_documents(path, "line", **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_all_readers_end_lines_alike(tmp_path: Path, end: str, mark: str) -> None:
    lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a\u2028b\x0bc\x85d"]
    path = write(tmp_path / "a.txt", mark + end.join(lines) + end)
    assert read_table(path).texts == lines
    assert [words[0] for words, _ in read_tagged(write(tmp_path / "b.conll", mark + (end * 2).join(lines)))] == lines
    assert [text.rstrip("\r\n") for text in texts_of(path)] == lines
    pytest.importorskip("tokenizers")
    assert Tokenizer.from_vocab(path).tokens(range(5)) == lines


@pytest.mark.parametrize("end", ENDS)
def test_all_readers_name_the_line_of_a_wrong_byte(tmp_path: Path, end: str) -> None:
    content = end.encode().join([b"[PAD]", "é".encode(), b"caf\xe9", b"x"])
    path = write(tmp_path / "a.txt", content)
    place = r"expected UTF-8 in line 3 of .*a\.txt, got byte 0xe9 \("
    for read, hint in (
        (read_table, "name its encoding with encoding=, such as cp1252"),
        (read_tagged, "name its encoding with encoding=, such as cp1252"),
        (Tokenizer.from_vocab, "save the file as UTF-8"),
        (texts_of, "errors='replace'"),
    ):
        with pytest.raises(ValueError, match=place + hint):
            read(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.conll", "我 B-x\n卡 O\n".encode(encoding))
    assert read_tagged(path).words == [["我", "卡"]]
    # A stream is UTF-8: its places are counted in bytes.
    for errors in ("strict", "replace"):
        with pytest.raises(
            ValueError, match=f"expected UTF-8 in line 1 of .*, got the byte-order mark of {encoding.upper()}"
        ):
            texts_of(path, errors=errors)


def test_files_without_text_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", "a O\nb O\n".encode("utf-16-le"))
    for read in (read_table, read_tagged):
        with pytest.raises(
            ValueError,
            match=r"expected text in line 1 of .*, got a NUL character \(is the file binary\?; if it is UTF-16 without a byte-order mark, use encoding= utf-16-",
        ):
            read(path) if read is read_tagged else read_table(path, format="txt")


def test_what_is_not_a_file(tmp_path: Path) -> None:
    for read, op in ((read_table, "read_table"), (lambda path: list(read_documents(path)), "read_documents")):
        with pytest.raises(FileNotFoundError, match=rf"\[{op}\] path: expected an existing file, got .*none\.txt"):
            read(tmp_path / "none.txt")
        with pytest.raises(IsADirectoryError, match=rf"\[{op}\] path: expected a file.*, got the folder"):
            read(tmp_path)
    with pytest.raises(IsADirectoryError, match=r"\[read_tagged\] path: expected a file, got the folder"):
        read_tagged(tmp_path, "conll")
    with pytest.raises(TypeError, match=r"\[x\] path: expected a path or a stream, got float"):
        TextFile("x", 0.5)


def test_names_with_two_extensions(tmp_path: Path) -> None:
    for name, extension in (
        ("A.TXT.GZ", ".txt"),
        ("a.jsonl.gz", ".jsonl"),
        ("a.gz", ""),
        ("a.tar.txt", ".txt"),
        ("a", ""),
    ):
        assert TextFile("x", write(tmp_path / name, "")).extension == extension


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json", "A.JSON.gz"])
def test_json_lines_by_name(tmp_path: Path, name: str) -> None:
    content = b'{"text": "one"}\r\n\r\n{"text": "\xe7\x8c\xab"}'
    path = write(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)
    assert texts_of(path) == ["one", "猫"]
    if not name.endswith("gz"):
        assert read_table(path).texts == ["one", "猫"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"text": ', r"a JSON object in line 2 of .*, got invalid JSON \(Expecting value in column 10\)"),
        ("[1]", "a JSON object in line 2 of .*, got an array"),
        ("{}", "the key 'text' in line 2 of .*, got no keys"),
        ('{"body": "a", "n": 1}', "the key 'text' in line 2 of .*, got 'body', 'n'"),
        ('{"text": null}', "a string at 'text' in line 2 of .*, got null"),
    ],
)
def test_tables_and_streams_say_alike_what_is_wrong_in_json(tmp_path: Path, row: str, message: str) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n' + row + "\n")
    for read, op in ((read_table, "read_table"), (texts_of, "read_documents")):
        with pytest.raises(ValueError, match=rf"\[{op}\] path: expected {message}"):
            read(path)


def test_a_stream_counts_bytes_and_lines(tmp_path: Path) -> None:
    parts = [
        codecs.BOM_UTF8 + b"one\r\n",
        "fünf\n".encode(),
        b"\r",
        "猫\r".encode(),
        b"b\xffd\r\n",
        b"\xe7\x8c",
        b"\nend",
    ]
    content = b"".join(parts)
    for name in ("a.txt", "a.txt.gz"):
        path = write(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)
        found = list(TextFile("x", path).stream("replace"))
        assert [text for text, _, _ in found] == ["one\r\n", "fünf\n", "\r", "猫\r", "b\ufffdd\r\n", "\ufffd\n", "end"]
        assert [line for _, _, line in found] == [1, 2, 3, 4, 5, 6, 7]
        assert [offset for _, offset, _ in found] == [8, 14, 15, 19, 24, 27, 30] and len(content) == 30
        for i, (_, offset, line) in enumerate(found):
            assert list(TextFile("x", path).stream("replace", offset, line)) == found[i + 1 :]


def test_lines_longer_than_a_buffer_end_where_they_end(tmp_path: Path) -> None:
    lines = ["x" * 8191 + "\r\n", "y" * 100_000 + "\r", "猫" * 50_000 + "\n", "z"]
    found = list(TextFile("x", write(tmp_path / "a.txt", "".join(lines))).stream())
    assert [text for text, _, _ in found] == lines
    assert found[-1].offset == len("".join(lines).encode())


def test_streams_that_are_open() -> None:
    assert TextFile("x", io.BytesIO("é\n".encode("utf-16"))).read() == "é\n"
    assert TextFile("x", io.StringIO("\ufeffa")).read() == "a"
    assert list(numbered_lines("a\r\nb\rc\n\nd")) == [(1, "a"), (2, "b"), (3, "c"), (4, ""), (5, "d")]
