"""Files of tagged sentences: CoNLL columns, JSON Lines, folders of parallel files, and TSV."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import chain, islice, repeat
from typing import Any, Literal, NamedTuple

from engine.errors import FileMissing, require
from engine.text.files import JSON_LINES, TextFile, either, numbered_lines
from engine.text.table_rows import DelimitedRows
from engine.text.tagged_table import TaggedTable

__all__ = ["read_tagged"]

TaggedFormat = Literal["conll", "jsonl", "folder", "tsv"]

_WORDS, _TAGS, _LABELS = ("tokens", "words"), ("tags", "labels"), ("label", "intent")
_TEXTS = ("text", "sentence", *_WORDS)  # columns of a TSV that hold words


class _Sentence(NamedTuple):
    line: int  # that it begins in
    words: list[str]
    tags: list[str] | None
    label: str | None


def read_tagged(path: str | os.PathLike[str], format: TaggedFormat | None = None) -> TaggedTable:
    """Read tagged sentences, in UTF-8 unless a byte-order mark says otherwise.

    - 'conll': one word in each line, its tag in the last column, an empty line after each sentence. Columns are separated
      by tabs if the line of the first word has a tab, otherwise by spaces. If there is one column, it holds the words, and
      there are no tags. Lines that begin with `-DOCSTART-` are skipped. There are no comments: '#' may be a word.
    - 'jsonl': one object in each line, with lists of strings at the keys 'tokens' (or 'words') and, for tags, 'tags' (or
      'labels'); a string at 'label' (or 'intent') is the sentence's label.
    - 'folder': one sentence in each line of `seq.in`, its tags in `seq.out` and its label in `label`, if these files exist;
      words and tags are separated by spaces.
    - 'tsv': one sentence in each line below a header, tabs between columns, no quoting: words in 'text' (or 'sentence',
      'tokens', 'words'), tags in 'tags', the sentence's label in 'label' (or 'intent'); words and tags are separated by
      spaces.

    Args:
        path: a file or, for 'folder', a folder.
        format: None: 'folder' for a folder, 'jsonl' for .jsonl, .ndjson and .json, 'tsv' if the first line is a header
            that names words and tags, otherwise 'conll'.

    Raises:
        FileNotFoundError: if there is no such file, or no `seq.in` in the folder.
        ValueError: if the format is unknown, there is no sentence, or words, tags and labels do not match; the error names
            file and line.
    """
    op = "read_tagged"
    known = format in (None, "conll", "jsonl", "folder", "tsv")
    require(known, op, "format", "'conll', 'jsonl', 'folder' or 'tsv'", repr(format))
    if format == "folder" or (format is None and os.path.isdir(path)):
        table = _read_folder(op, os.fspath(path))
    else:
        file = TextFile(op, path)
        text = file.read()
        if format is None:
            format = "jsonl" if file.extension in JSON_LINES else "tsv" if _begins_with_header(text) else "conll"
        read = {"conll": _read_conll, "jsonl": _read_jsonl, "tsv": _read_tsv}[format]
        table = _table(file.name, list(read(file, text)), file, file)
    require(len(table), op, "path", "at least one sentence", f"none in {table.source}")
    return table


def _table(source: str, sentences: list[_Sentence], tags_file: TextFile, label_file: TextFile) -> TaggedTable:
    """The table of sentences, whose tags and labels it checks. Errors name the files that hold the tags and the labels."""
    for line, words, tags, label in sentences:
        if (tags is None) != (sentences[0].tags is None):
            raise tags_file.wrong(line, "tags in all sentences or in none", "none" if tags is None else "tags")
        if (label is None) != (sentences[0].label is None):
            raise label_file.wrong(
                line, "a label in all sentences or in none", "none" if label is None else repr(label)
            )
        if tags is not None and len(tags) != len(words):
            raise tags_file.wrong(line, f"{len(words)} tags, one for each word", str(len(tags)))
        if label == "":
            raise label_file.wrong(line, "a label", "an empty label")
    tags_of = [sentence.tags for sentence in sentences if sentence.tags is not None]
    labels = [sentence.label for sentence in sentences if sentence.label is not None]
    lines = [sentence.line for sentence in sentences]
    return TaggedTable([sentence.words for sentence in sentences], tags_of or None, labels or None, source, lines)


def _cells(line: str) -> list[str]:
    """The words or tags of a line. Only ASCII spaces and tabs separate them: other white space may be part of a word."""
    return [cell for cell in line.replace("\t", " ").split(" ") if cell]


def _begins_with_header(text: str) -> bool:
    names = [cell.strip() for _, line in islice(numbered_lines(text), 1) for cell in line.split("\t")]
    return "tags" in names and any(name in names for name in _TEXTS)


def _read_conll(file: TextFile, text: str) -> Iterator[_Sentence]:
    held: list[tuple[int, str, str]] = []  # the line, word and tag of each word in a sentence
    columns, tabs = 0, False
    for number, line in chain(numbered_lines(text), [(0, "")]):
        cells = _cells(line)
        if not cells or cells[0] == "-DOCSTART-":
            if held:
                lines, words, tags = zip(*held)
                yield _Sentence(lines[0], list(words), list(tags) if columns > 1 else None, None)
            held = []
            continue
        if not columns:
            tabs = "\t" in line
        if tabs:
            cells = [cell.strip(" ") for cell in line.split("\t")]
        columns = columns or len(cells)
        if len(cells) != columns:
            raise file.wrong(number, f"{columns} columns", str(len(cells)))
        if not (cells[0] and cells[-1]):
            raise file.wrong(number, "a word and a tag" if columns > 1 else "a word", "an empty field")
        held.append((number, cells[0], cells[-1]))


def _read_jsonl(file: TextFile, text: str) -> Iterator[_Sentence]:
    for number, line in numbered_lines(text):
        if not line.strip():
            continue
        record = file.json_object(line, number)
        words = _strings(file, number, record, _WORDS)
        tags = _strings(file, number, record, _TAGS) if any(key in record for key in _TAGS) else None
        label = next((record[key] for key in _LABELS if key in record), None)
        if not (label is None or isinstance(label, str)):
            raise file.wrong(number, f"a string at {either(_LABELS)}", repr(label))
        yield _Sentence(number, words, tags, label)


def _strings(file: TextFile, line: int, record: dict[str, Any], keys: tuple[str, ...]) -> list[str]:
    key, values = file.json_value(record, line, *keys)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise file.wrong(line, f"a list of strings at {key!r}", repr(values)[:60])
    if key in _TAGS and not all(values):
        raise file.wrong(line, f"tags at {key!r}", "an empty string")
    return values


def _read_tsv(file: TextFile, text: str) -> Iterator[_Sentence]:
    rows = DelimitedRows(file, text, None, "\t", quoting=False, skip_empty_lines=True)
    names = [next((key for key in keys if key in rows.header), None) for keys in (_TEXTS, ("tags",), _LABELS)]
    if names[0] is None:
        raise file.wrong(1, f"a header with {either(_TEXTS)}", ", ".join(map(repr, rows.header)) or "nothing")
    return _split(file, rows.lines, [None if name is None else rows.values(name) for name in names])


def _split(file: TextFile, lines: Iterable[int], columns: list[list[str] | None]) -> Iterator[_Sentence]:
    """Sentences from their lines and three columns of strings: words, tags and labels."""
    for line, words, tags, label in zip(lines, *(column or repeat(None) for column in columns)):
        sentence = _Sentence(line, _cells(words), tags and _cells(tags), label and label.strip())
        if not sentence.words:
            raise file.wrong(line, "words", "none")
        yield sentence


def _read_folder(op: str, folder: str) -> TaggedTable:
    paths = {name: os.path.join(folder, name) for name in ("seq.in", "seq.out", "label")}
    there = os.path.isfile(paths["seq.in"])
    require(there, op, "path", "a folder with the file seq.in", folder, error=FileMissing)
    files = {name: TextFile(op, path) for name, path in paths.items() if os.path.isfile(path)}
    texts = {name: file.read().rstrip(" \t\r\n") for name, file in files.items()}
    rows = {name: [line for _, line in numbered_lines(text)] for name, text in texts.items()}
    n = len(rows["seq.in"])
    for name, lines in rows.items():
        require(len(lines) == n, op, "path", f"{n} lines in {paths[name]}, as in seq.in", len(lines))
    file = files["seq.in"]
    sentences = list(_split(file, range(1, n + 1), [rows.get(name) for name in paths]))
    return _table(folder, sentences, files.get("seq.out", file), files.get("label", file))
