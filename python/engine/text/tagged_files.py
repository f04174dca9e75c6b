"""Files of tagged sentences: CoNLL columns, JSON, tables, Parquet and Arrow, folders of parallel files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice, repeat
from typing import Any, Literal, NamedTuple

from engine.errors import Argument, FileMissing, amount, require
from engine.text.arrow_files import ArrowRows, arrow_files_in
from engine.text.cleaning import clean_text
from engine.text.files import JSON_LINES, TextFile, either, numbered_lines
from engine.text.formats import ENDINGS, OTHER_ENCODING, marked_format
from engine.text.json_files import json_records
from engine.text.label_columns import list_in
from engine.text.table_rows import DelimitedRows, delimiter_of
from engine.text.tagged_table import TaggedTable
from engine.text.tagged_words import column_named, has_one_word_rows, has_words, sentences_of

__all__ = ["has_word_rows", "read_tagged"]

TaggedFormat = Literal["conll", "jsonl", "folder", "tsv", "csv", "parquet"]

_WORDS, _LABELS = ("tokens", "words"), ("label", "intent")
_TAGS = ("tags", "labels", "ner_tags", "pos_tags", "chunk_tags")
# Of tables, where "labels" may be those of sentences.
_TABLE_TAGS = ("tags", "tag", "ner_tags", "ner", "pos_tags", "pos", "chunk_tags")
_TEXTS = ("text", "sentence", *_WORDS)  # columns of a TSV that hold words
_LIST = re.compile(r"\s*\[.*\]\s*", re.DOTALL)
_TAG_LIST = re.compile(
    r"""\s*"?[\[(](.*[,'"].*|[\d.\s]*)[\])]"?\s*""", re.DOTALL
)  # a tag may be in brackets, several are a list
_UNIVERSAL = re.compile(r"(#.*\n|\s*\n)*1(-\d+)?(\t[^\t\n]*){9}\r?\n")  # how a CoNLL-U file begins


class _Sentence(NamedTuple):
    line: int  # that it begins in
    words: list[str]
    tags: list[str] | None
    label: str | None


def read_tagged(
    path: str | os.PathLike[str],
    format: TaggedFormat | None = None,
    *,
    tag_column: str | None = None,
    encoding: str | None = None,
) -> TaggedTable:
    """Read tagged sentences, in UTF-8 unless a byte-order mark or `encoding` says otherwise.

    - 'conll': one word in each line, its tag in the last column, an empty line after each sentence. Columns are separated
      by tabs if the line of the first word has a tab, otherwise by spaces. If there is one column, it holds the words, and
      there are no tags. Lines that begin with `-DOCSTART-` are skipped. There are no comments: '#' may be a word. Files in
      CoNLL-U's ten columns are recognised: their comments are skipped, the word is the second column, the tag the fourth (UPOS).
    - 'jsonl': one object in each line, or an array of objects, with lists of strings at the keys 'tokens' (or 'words') and, for
      tags, 'tags' (or 'labels', 'ner_tags', 'pos_tags', 'chunk_tags'); a string at 'label' (or 'intent') is the sentence's label.
    - 'parquet': a Parquet, Arrow or Feather file, or a folder of them that `datasets` saved, with these columns.
    - 'folder': one sentence in each line of `seq.in`, its tags in `seq.out` and its label in `label`, if these files exist;
      words and tags are separated by spaces.
    - 'tsv', 'csv': one sentence in each line below a header, words in 'text' (or 'sentence', 'tokens', 'words'), tags in 'tags' (or
      'ner_tags', 'pos_tags', 'chunk_tags'), the
      sentence's label in 'label' (or 'intent'); words and tags are separated by spaces, or are lists such as ['a', 'b'], in the
      spelling of Python or JSON. Fields of CSV may be in quotes. Names of columns may be in any case. If there is a column 'word' or
      'token', each line has one word, with its tag in 'tag' (or a similar column), and a column such as 'Sentence #' or empty lines say
      where a sentence begins. So it is if 'words' or 'tokens' has one word in each row.

    Tags are cleaned with `clean_text`, so that two spellings of a character are one. Files may be compressed.

    Args:
        path: a file or a folder.
        format: None: by the contents and the extension. A file is 'tsv' if its first line is a header that names words and tags, and
            'conll' if nothing else says what it is.
        tag_column: the name of the column, or the key, of the tags; in 'conll' its number, from 1. None: as above.
        encoding: of text files; None: the encoding that the byte-order mark names, or UTF-8 without a mark.

    Raises:
        FileNotFoundError: if there is no such file, or no data in the folder.
        ImportError: if the format needs a library of the extra `files`.
        ValueError: if the format is unknown, there is no sentence, or words, tags and labels do not match; the error names
            file and line.
    """
    op = "read_tagged"
    known = (None, "conll", "jsonl", "folder", "tsv", "csv", "parquet")
    require(format in known, op, "format", ", ".join(map(repr, known[1:])), repr(format))
    tags = _TAGS if tag_column is None else (tag_column,)
    if format == "folder" or (format is None and os.path.isdir(path)):
        folder = os.fspath(path)
        files = None if format or os.path.exists(os.path.join(folder, "seq.in")) else arrow_files_in(op, folder)
        if files is not None:
            return _read_arrow([TextFile(op, each) for each in files], folder, tags)
        require(tag_column is None, op, "tag_column", "None, because seq.out holds the tags", repr(tag_column))
        table = _read_folder(op, folder, encoding)
    else:
        file = TextFile(op, path, hint=OTHER_ENCODING)
        if format == "parquet" or (format is None and marked_format(file) in ("parquet", "arrow")):
            return _read_arrow([file], file.name, tags)
        text = file.read(encoding)
        require(text.strip(), op, "path", "at least one sentence", f"none in {file.name}")
        if format is None:
            by_header = ENDINGS.get(file.extension) == "csv" or _begins_with_header(text, tags)
            usual: TaggedFormat = "csv" if ENDINGS.get(file.extension) == "csv" else "tsv"
            format = "jsonl" if file.extension in JSON_LINES else usual if by_header else "conll"
        notes: list[str] = []
        if format == "jsonl":
            records = json_records(file, text)
            notes += _other_tags(file.name, next((record for _, record in records if record), {}), tags)
            sentences = _from_records(((file, *record) for record in records), tags)
        elif format == "conll":
            sentences = _read_conll(file, text, tag_column)
        else:
            sentences = _read_table(file, text, format == "csv", _TABLE_TAGS if tag_column is None else tags, notes)
        if format == "conll" and tag_column is None and _UNIVERSAL.match(text):
            notes.append(f"the tags of {file.name} are those of CoNLL-U's fourth column (UPOS)")
        read = list(sentences)
        table = _table(file.name, read, file, file, tuple(notes))
    require(len(table), op, "path", "at least one sentence", f"none in {table.source}")
    return table


def has_word_rows(path: str | os.PathLike[str], encoding: str | None = None) -> bool:
    """Whether a file is CSV or TSV with a word in each row, by its name and its first line."""
    file = TextFile("read_tagged", path, hint=OTHER_ENCODING)
    form = ENDINGS.get(file.extension)
    if form not in ("csv", "tsv", "txt"):
        return False
    text = file.read(encoding)
    first = next((line for _, line in numbered_lines(text) if line.strip()), "")
    delimiter = delimiter_of(first, known=("word", "token", "words", "tokens"))
    if delimiter not in first or (form == "txt" and delimiter != "\t"):  # a line of text may begin with "Word, "
        return False
    header = [clean_text(name.strip('"')) for name in first.split(delimiter)]
    if has_words(header) or column_named(header, _WORDS) is None:
        return has_words(header)
    return has_one_word_rows(DelimitedRows(file, text, None, delimiter, form == "csv", skip_empty_lines=True))


def _table(
    source: str, sentences: list[_Sentence], tags_file: TextFile, label_file: TextFile, notes: tuple[str, ...] = ()
) -> TaggedTable:
    """The table of sentences, whose tags and labels it checks. Errors name the files that hold the tags and the labels."""
    for line, words, tags, label in sentences:
        if (tags is None) != (sentences[0].tags is None):
            raise tags_file.wrong(line, "tags in all sentences or in none", "none" if tags is None else "tags")
        if (label is None) != (sentences[0].label is None):
            raise label_file.wrong(
                line, "a label in all sentences or in none", "none" if label is None else repr(label)
            )
        if tags is not None and len(tags) != len(words):
            raise tags_file.wrong(line, f"{amount(len(words), 'tag')}, one for each word", str(len(tags)))
        if label == "":
            raise label_file.wrong(line, "a label", "an empty label")
    tags_of = [[*map(clean_text, sentence.tags)] for sentence in sentences if sentence.tags is not None]
    labels = [sentence.label for sentence in sentences if sentence.label is not None]
    lines = [sentence.line for sentence in sentences]
    return TaggedTable(
        [sentence.words for sentence in sentences], tags_of or None, labels or None, source, lines, notes
    )


def _cells(line: str) -> list[str]:
    """The words or tags of a line. Only ASCII spaces and tabs separate them: other white space may be part of a word."""
    return [cell for cell in line.replace("\t", " ").split(" ") if cell]


def _begins_with_header(text: str, tags: tuple[str, ...]) -> bool:
    names = [cell.strip() for _, line in islice(numbered_lines(text), 1) for cell in line.split("\t")]
    named = _TABLE_TAGS if tags == _TAGS else tags
    texts = column_named(names, _TEXTS) is not None or has_words(names)
    return texts and column_named(names, named) is not None


def _read_conll(file: TextFile, text: str, tag_column: str | None) -> Iterator[_Sentence]:
    universal = _UNIVERSAL.match(text) is not None
    word_at, tag_at = (1, 3) if universal else (0, -1)
    if tag_column is not None:
        right = tag_column.isdecimal() and int(tag_column) >= 1
        require(right, file.op, "tag_column", "the number of a column, from 1", repr(tag_column))
        tag_at = int(tag_column) - 1
    held: list[tuple[int, str, str]] = []  # the line, word and tag of each word in a sentence
    columns, tabs = 0, False
    for number, line in chain(numbered_lines(text), [(0, "")]):
        cells = _cells(line)
        if universal and cells and (line.startswith("#") or not cells[0].isdecimal()):
            continue  # a comment, or a token beside those that are counted
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
        if not columns:
            columns = len(cells)
            require(
                tag_at < columns, file.op, "tag_column", f"at most {columns}, the columns of {file.name}", tag_column
            )
        if len(cells) != columns:
            raise file.wrong(number, amount(columns, "column"), str(len(cells)))
        if not (cells[word_at] and cells[tag_at]):
            raise file.wrong(number, "a word and a tag" if columns > 1 else "a word", "an empty field")
        held.append((number, cells[word_at], cells[tag_at]))


def _read_arrow(files: list[TextFile], name: str, keys: tuple[str, ...]) -> TaggedTable:
    rows = ArrowRows(files, name)
    columns = {column: rows.as_they_are(column) for column in rows.header if column in (*_WORDS, *_LABELS, *keys)}
    sources = rows.source if isinstance(rows.source, list) else [rows.file.name] * len(rows.lines)
    named = {source: TextFile.named("read_tagged", source) for source in set(sources)}
    records = (
        (named[source], line, {column: values[row] for column, values in columns.items()})
        for row, (source, line) in enumerate(zip(sources, rows.lines))
    )
    notes = _other_tags(name, rows.header, keys)
    table = _table(name, list(_from_records(records, keys)), rows.file, rows.file, notes)
    require(len(table), "read_tagged", "path", "at least one sentence", f"none in {name}")
    return TaggedTable(table.words, table.tags, table.labels, rows.source, table.lines, table.notes)


def _other_tags(name: str, header: Iterable[str], keys: tuple[str, ...]) -> tuple[str, ...]:
    """Says which of several columns of tags is read."""
    there = [key for key in keys if key in header]
    return (f"the tags of {name} are those at {there[0]!r}, not at {either(there[1:])}",) if len(there) > 1 else ()


def _from_records(
    records: Iterable[tuple[TextFile, int, dict[str, Any] | None]], keys: tuple[str, ...]
) -> Iterator[_Sentence]:
    for file, number, record in records:
        if record is None:
            continue
        words = _strings(file, number, record, _WORDS)
        tags = _strings(file, number, record, keys, "tags") if any(key in record for key in keys) else None
        label = next((record[key] for key in _LABELS if key in record and key not in keys), None)
        if not (label is None or isinstance(label, str)):
            raise file.wrong(number, f"a string at {either(_LABELS)}", repr(label))
        yield _Sentence(number, words, tags, label)


def _strings(
    file: TextFile, line: int, record: dict[str, Any], keys: tuple[str, ...], kind: str = "words"
) -> list[str]:
    key, values = file.json_value(record, line, *keys)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        hint = ["tags that are numbers need their names"] if kind == "tags" and isinstance(values, list) else []
        raise file.wrong(line, f"a list of strings at {key!r}", repr(values)[:60], *hint)
    if kind == "tags" and not all(values):
        raise file.wrong(line, f"tags at {key!r}", "an empty string")
    return values


def _read_table(
    file: TextFile, text: str, quoting: bool, tags: tuple[str, ...], notes: list[str]
) -> Iterator[_Sentence]:
    """The sentences of CSV or TSV. notes: gets what was left out or guessed."""
    usual, known = "," if quoting else "\t", (*_TEXTS, *tags, "word", "token")
    rows = DelimitedRows(file, text, None, None, quoting, skip_empty_lines=True, usual=usual, known=known)
    notes += rows.notes
    if tags == _TABLE_TAGS:
        of_tags = tuple(column_named(rows.header, (key,)) or key for key in tags)
        notes += _other_tags(file.name, rows.header, of_tags)
    if has_words(rows.header) or has_one_word_rows(rows):
        for line, sentence, named in sentences_of(file, rows, None if tags == _TABLE_TAGS else tags[0]):
            yield _Sentence(line, sentence, named, None)
        return
    names = [column_named(rows.header, keys) for keys in (_TEXTS, tags, _LABELS)]
    there = ", ".join(map(repr, rows.header)) or "nothing"
    if names[0] is None or (names[1] is None and tags != _TABLE_TAGS):
        hint = ("name the column of the tags with ", Argument("tag_column"))
        raise file.wrong(1, f"a header with {either(_TEXTS)}, and {either(tags)} for tags", there, hint)
    words, tag_cells, labels = [None if name is None else rows.values(name) for name in names]
    tag_lists = any(_TAG_LIST.fullmatch(cell) for cell in tag_cells or ())
    word_lists = all(_LIST.fullmatch(cell) for cell in words or ())
    if word_lists and not tag_lists:  # a text may be in brackets
        word_lists = all(list_in(cell) is not None for cell in words or ())
    yield from _split(file, rows.lines, [words, tag_cells, labels], word_lists, tag_lists)


def _split(
    file: TextFile,
    lines: Iterable[int],
    columns: list[list[str] | None],
    word_lists: bool = False,
    tag_lists: bool = False,
) -> Iterator[_Sentence]:
    """Sentences from their lines and three columns of strings: words, tags and labels. word_lists, tag_lists: they spell lists."""
    for line, words, tags, label in zip(lines, *(column or repeat(None) for column in columns)):
        found = _listed(file, line, words, "words") if word_lists else _cells(words)
        named = tags and (_listed(file, line, tags, "tags") if tag_lists else _cells(tags))
        sentence = _Sentence(line, found, named, label and label.strip())
        if not sentence.words:
            raise file.wrong(line, "words", "none")
        yield sentence


def _listed(file: TextFile, line: int, cell: str, kind: str) -> list[str]:
    """The words or tags of a cell that spells a list."""
    found = list_in(cell)
    if found is None or not all(found):
        raise file.wrong(line, f"a list of {kind} such as ['a', 'b']", repr(cell)[:60])
    if kind == "tags" and any(re.fullmatch(r"[\d.]+", name) for name in found):
        raise file.wrong(line, "a list of strings as tags", repr(cell)[:60], "tags that are numbers need their names")
    return found


def _read_folder(op: str, folder: str, encoding: str | None) -> TaggedTable:
    paths = {name: os.path.join(folder, name) for name in ("seq.in", "seq.out", "label")}
    there = os.path.isfile(paths["seq.in"])
    require(there, op, "path", "a folder with the file seq.in", folder, error=FileMissing)
    files = {name: TextFile(op, path, hint=OTHER_ENCODING) for name, path in paths.items() if os.path.isfile(path)}
    texts = {name: file.read(encoding).rstrip(" \t\r\n") for name, file in files.items()}
    rows = {name: [line for _, line in numbered_lines(text)] for name, text in texts.items()}
    n = len(rows["seq.in"])
    for name, lines in rows.items():
        require(len(lines) == n, op, "path", f"{amount(n, 'line')} in {paths[name]}, as in seq.in", len(lines))
    file = files["seq.in"]
    sentences = list(_split(file, range(1, n + 1), [rows.get(name) for name in paths]))
    return _table(folder, sentences, files.get("seq.out", file), files.get("label", file))
