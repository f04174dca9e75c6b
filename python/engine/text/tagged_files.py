"""Files of tagged sentences: CoNLL columns, JSON, tables, Parquet and Arrow, folders of parallel files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, repeat
from typing import Any, Literal, NamedTuple

from engine.errors import Argument, BadType, FileMissing, amount, require
from engine.text.arrow_files import ArrowRows, arrow_files_in
from engine.text.cleaning import clean_text
from engine.text.conll_files import is_universal, read_conll
from engine.text.files import JSON_LINES, TextFile, either, numbered_lines
from engine.text.formats import ENDINGS, OTHER_ENCODING, marked_format, read_rows
from engine.text.json_files import json_records
from engine.text.label_columns import list_in
from engine.text.table_columns import TakenColumns
from engine.text.tagged_table import Sentence, TaggedTable
from engine.text.tagged_words import (
    SINGLE_WORDS,
    TAG_COLUMNS,
    WORD_COLUMNS,
    cells_of,
    column_named,
    has_sentences,
    sentences_of,
    word_column_of,
)

__all__ = ["has_word_rows", "read_tagged"]

TaggedFormat = Literal["conll", "jsonl", "folder", "tsv", "csv", "excel", "parquet"]

_WORDS, _LABELS = ("tokens", "words"), ("label", "intent")
_TAGS = ("tags", "labels", "ner_tags", "pos_tags", "chunk_tags")
# Of tables, where "labels" may be those of sentences.
_TABLE_TAGS = ("tags", "tag", "ner_tags", "ner", "pos_tags", "pos", "chunk_tags")
_TEXTS = ("text", "sentence", *_WORDS)  # columns of a table that hold words
_TABLES = ("csv", "tsv", "excel")
_LIST = re.compile(r"\s*\[.*\]\s*", re.DOTALL)
_TAG_LIST = re.compile(
    r"""\s*"?[\[(]([^,'"]*[,'"].*|[\d.\s]*)[\])]"?\s*""", re.DOTALL
)  # a tag may be in brackets, several are a list


def read_tagged(
    path: str | os.PathLike[str],
    format: TaggedFormat | None = None,
    *,
    word_column: str | None = None,
    tag_column: str | None = None,
    columns: Sequence[str] | None = None,
    delimiter: str | None = None,
    quoting: bool | None = None,
    read_tags: bool = True,
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
    - 'tsv', 'csv', 'excel': one sentence in each row below a header, words in 'text' (or 'sentence', 'tokens', 'words'), tags in 'tags'
      (or 'ner_tags', 'pos_tags', 'chunk_tags'), the sentence's label in 'label' (or 'intent'); words and tags are separated by spaces, or are lists such as ['a', 'b'], in the
      spelling of Python or JSON. Fields of CSV may be in quotes. Names of columns may be in any case. If there is a column 'word' or
      'token', each row has one word, with its tag in 'tag' (or a similar column), and a column such as 'Sentence #' or empty rows say
      where a sentence begins. So it is if 'words' or 'tokens' has one word in each row.

    Tags are cleaned with `clean_text`, so that two spellings of a character are one. Files may be compressed.

    Args:
        path: a file or a folder.
        format: None: by the contents and the extension. A file is 'tsv' if its first line is a header that names words and tags, and
            'conll' if nothing else says what it is.
        word_column, tag_column: the name of the column, or the key, of the words (or sentences) and of the tags; in 'conll' the number of
            the column, from 1, or one of `columns`. None: as above.
        columns: the names of the columns in order, for a table without a header, such as ("sentence", "word", "tag"), and for 'conll'.
        delimiter, quoting: of CSV and TSV, as in `read_table`.
        read_tags: False reads no tags, whether there are any or not.
        encoding: of text files; None: the encoding that the byte-order mark names, or UTF-8 without a mark.

    Raises:
        FileNotFoundError: if there is no such file, or no data in the folder.
        ImportError: if the format needs a library of the extra `files`.
        ValueError: if the format is unknown or does not use a setting, a column is missing, there is no sentence, or words, tags and
            labels do not match; the error names file and line.
        TypeError: if `columns` is one string.
    """
    op = "read_tagged"
    known = (None, "conll", "jsonl", "folder", "tsv", "csv", "excel", "parquet")
    require(format in known, op, "format", ", ".join(map(repr, known[1:])), repr(format))
    require(not isinstance(columns, str), op, "columns", "a list of names", "one string", error=BadType)
    asked = _Asked(word_column, tag_column, tuple(columns or ()), delimiter, quoting, read_tags, encoding)
    if format == "folder" or (format is None and os.path.isdir(path)):
        folder = os.fspath(path)
        files = None if format or os.path.exists(os.path.join(folder, "seq.in")) else arrow_files_in(op, folder)
        if files is not None:
            return _read_arrow([TextFile(op, each) for each in files], folder, asked)
        asked.refuse(op, "folder")
        for argument, column in (("word_column", word_column), ("tag_column", tag_column)):
            expected = "None, because seq.in holds the words and seq.out the tags"
            require(column is None, op, argument, expected, repr(column))
        table = _read_folder(op, folder, asked)
    else:
        file = TextFile(op, path, hint=OTHER_ENCODING)
        found = format or marked_format(file)
        if found in ("parquet", "arrow"):
            return _read_arrow([file], file.name, asked)
        text = "" if found == "excel" else file.read(encoding)
        require(text.strip() or found == "excel", op, "path", "at least one sentence", f"none in {file.name}")
        found = found or _form_of(file, text, asked)
        asked.refuse(op, found)
        notes: list[str] = []
        if found == "jsonl":
            records = json_records(file, text)
            first = next((record for _, record in records if record), {})
            notes += _other_tags(file.name, first, asked)
            taken = asked.taken(first)
            sentences = _from_records(((file, *record) for record in records), asked)
        elif found == "conll":
            sentences, taken = read_conll(file, text, asked.columns, word_column, tag_column, read_tags)
            if taken.get("tags") == 4 and tag_column is None and is_universal(text):
                notes.append(f"the tags of {file.name} are those of CoNLL-U's fourth column (UPOS)")
        else:
            sentences, taken = _read_table(file, found, asked, notes)
        table = _table(file.name, list(sentences), file, file, tuple(notes), taken)
    require(len(table), op, "path", "at least one sentence", f"none in {table.source}")
    return table


class _Asked(NamedTuple):
    """What the caller of `read_tagged` asks for."""

    word_column: str | None
    tag_column: str | None
    columns: tuple[str, ...]
    delimiter: str | None
    quoting: bool | None
    read_tags: bool
    encoding: str | None

    @property
    def words(self) -> tuple[str, ...]:
        """The keys that may hold the words."""
        return _WORDS if self.word_column is None else (self.word_column,)

    @property
    def tags(self) -> tuple[str, ...]:
        """The keys that may hold the tags."""
        return () if not self.read_tags else _TAGS if self.tag_column is None else (self.tag_column,)

    def taken(self, header: Iterable[str]) -> TakenColumns:
        """Those of the keys that are there."""
        there = {*header}
        found = {
            what: next((key for key in keys if key in there), None)
            for what, keys in (("words", self.words), ("tags", self.tags))
        }
        return {what: key for what, key in found.items() if key is not None}

    def refuse(self, op: str, format: str) -> None:
        """Raises ValueError for a setting that files of the format do not use."""
        for argument, value, formats in (
            ("columns", self.columns or None, (*_TABLES, "conll")), ("delimiter", self.delimiter, _TABLES[:2]),
            ("quoting", self.quoting, _TABLES[:2]), ("encoding", self.encoding, (*_TABLES[:2], "conll", "jsonl", "folder")),
        ):  # fmt: skip
            used = value is None or format in formats
            require(used, op, argument, f"None, because files of the format {format!r} do not use it", repr(value))


def _form_of(file: TextFile, text: str, asked: _Asked) -> TaggedFormat:
    """The format of a file of text, by its name and its first line."""
    if file.extension in JSON_LINES:
        return "jsonl"
    ending = ENDINGS.get(file.extension)
    if ending == "csv":
        return "csv"
    said = asked.delimiter is not None or asked.quoting is not None
    as_table = (said and ending in ("tsv", "txt")) or (asked.columns and ending == "tsv")
    return "tsv" if as_table or _begins_with_header(text, asked) else "conll"


def has_word_rows(
    path: str | os.PathLike[str], text_column: str | None, columns: Sequence[str] | None, **settings: Any
) -> bool:
    """Whether a file is CSV, TSV or Excel with a word in each row, by its name and its columns.

    text_column: the column of the words or texts, if it is known. Its texts may have one word each, so that something must tell
    sentences apart. columns, settings: those of `read_tagged` that say how the file is read."""
    file = TextFile("read_tagged", path, hint=OTHER_ENCODING)
    form = ENDINGS.get(file.extension)
    if form == "txt":  # a line of text may begin with "Word, "
        first = next((line for _, line in numbered_lines(file.read(settings["encoding"])) if line.strip()), "")
        form = "tsv" if column_named(first.split("\t"), SINGLE_WORDS) else None
    if form not in _TABLES:
        return False
    known = [name.casefold() for name in (*WORD_COLUMNS, text_column) if name]
    rows = read_rows(file, form, columns=columns, known=known, **settings)
    named = None if text_column is None else column_named(rows.header, (text_column,))
    return word_column_of(rows, named) is not None and (named is None or has_sentences(rows))


def _table(
    source: str,
    sentences: list[Sentence],
    tags_file: TextFile,
    label_file: TextFile,
    notes: tuple[str, ...],
    taken: TakenColumns,
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
        [sentence.words for sentence in sentences], tags_of or None, labels or None, source, lines, notes, taken=taken
    )


def _begins_with_header(text: str, asked: _Asked) -> bool:
    names = [cell.strip() for _, line in islice(numbered_lines(text), 1) for cell in line.split("\t")]
    texts = column_named(names, _TEXTS if asked.word_column is None else (asked.word_column,)) or column_named(
        names, SINGLE_WORDS
    )
    tags = _TABLE_TAGS if asked.tag_column is None else (asked.tag_column,)
    return texts is not None and column_named(names, tags) is not None


def _read_arrow(files: list[TextFile], name: str, asked: _Asked) -> TaggedTable:
    asked.refuse("read_tagged", "parquet")
    rows = ArrowRows(files, name)
    keys = (*asked.words, *asked.tags, *_LABELS)
    columns = {column: rows.as_they_are(column) for column in rows.header if column in keys}
    sources = rows.source if isinstance(rows.source, list) else [rows.file.name] * len(rows.lines)
    named = {source: TextFile.named("read_tagged", source) for source in set(sources)}
    records = (
        (named[source], line, {column: values[row] for column, values in columns.items()})
        for row, (source, line) in enumerate(zip(sources, rows.lines))
    )
    notes = _other_tags(name, rows.header, asked)
    table = _table(name, list(_from_records(records, asked)), rows.file, rows.file, notes, asked.taken(rows.header))
    require(len(table), "read_tagged", "path", "at least one sentence", f"none in {name}")
    return replace(table, source=rows.source)


def _other_tags(name: str, header: Iterable[str], asked: _Asked) -> tuple[str, ...]:
    """Says which of several columns of tags is read."""
    there = [key for key in asked.tags if key in header]
    return _said_of_tags(name, there)


def _said_of_tags(name: str, there: Sequence[str]) -> tuple[str, ...]:
    return (f"the tags of {name} are those at {there[0]!r}, not at {either(there[1:])}",) if len(there) > 1 else ()


def _from_records(records: Iterable[tuple[TextFile, int, dict[str, Any] | None]], asked: _Asked) -> Iterator[Sentence]:
    for file, number, record in records:
        if record is None:
            continue
        words = _strings(file, number, record, asked.words)
        keys = asked.tags
        tags = _strings(file, number, record, keys, "tags") if any(key in record for key in keys) else None
        label = next((record[key] for key in _LABELS if key in record and key not in keys), None)
        if not (label is None or isinstance(label, str)):
            raise file.wrong(number, f"a string at {either(_LABELS)}", repr(label))
        yield Sentence(number, words, tags, label)


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
    file: TextFile, format: Any, asked: _Asked, notes: list[str]
) -> tuple[Iterator[Sentence], TakenColumns]:
    """The sentences of CSV, TSV or Excel, and their columns. notes: gets what was left out or guessed."""
    known = [
        name.casefold() for name in (*_TEXTS, *_TABLE_TAGS, *WORD_COLUMNS, asked.word_column, asked.tag_column) if name
    ]
    rows = read_rows(
        file, format, columns=asked.columns or None, delimiter=asked.delimiter, quoting=asked.quoting, encoding=asked.encoding, known=known,
    )  # fmt: skip
    notes += rows.notes
    given = None if asked.word_column is None else column_named(rows.header, (asked.word_column,))
    if given is None and asked.word_column is not None:
        hint = ("name another with ", Argument("word_column"))
        raise file.wrong(1, f"a column {asked.word_column!r}", ", ".join(map(repr, rows.header)), hint)
    single = word_column_of(rows, given)
    text_at = single or given or column_named(rows.header, _TEXTS)
    usual: tuple[str, ...] = TAG_COLUMNS if single else _TABLE_TAGS
    tags = usual if asked.tag_column is None else (asked.tag_column,)
    there = [name for key in tags if (name := column_named(rows.header, (key,))) is not None] if asked.read_tags else []
    if text_at is None or (asked.tag_column is not None and asked.read_tags and not there):
        expected = f"a column {tags[0]!r}" if single else f"a header with {either(_TEXTS)}, and {either(tags)} for tags"
        hints = [("name the column of the tags with ", Argument("tag_column"))]
        if text_at is None:
            hints.append(("that of the words with ", Argument("word_column")))
            hints.append(("and all columns of a file without a header with ", Argument("columns")))
        raise file.wrong(1, expected, ", ".join(map(repr, rows.header)) or "nothing", *hints)
    notes += _said_of_tags(file.name, list(dict.fromkeys(there)))
    tag_at = there[0] if there else None
    require(tag_at != text_at, file.op, "tag_column", "a column other than the words'", repr(tag_at))
    taken = {"words": text_at} | ({} if tag_at is None else {"tags": tag_at})
    if single:
        found = sentences_of(file, rows, single, tag_at)
        return (Sentence(line, words, named, None) for line, words, named in found), taken
    label_at = column_named([name for name in rows.header if name != tag_at], _LABELS)
    words, tag_cells, labels = [None if name is None else rows.values(name) for name in (text_at, tag_at, label_at)]
    tag_lists = any(_TAG_LIST.fullmatch(cell) for cell in tag_cells or ())
    word_lists = all(_LIST.fullmatch(cell) for cell in words or ())
    if word_lists and not tag_lists:  # a text may be in brackets
        word_lists = all(list_in(cell) is not None for cell in words or ())
    return _split(file, rows.lines, [words, tag_cells, labels], word_lists, tag_lists), taken


def _split(
    file: TextFile,
    lines: Iterable[int],
    columns: list[list[str] | None],
    word_lists: bool = False,
    tag_lists: bool = False,
) -> Iterator[Sentence]:
    """Sentences from their lines and three columns of strings: words, tags and labels. word_lists, tag_lists: they spell lists."""
    for line, words, tags, label in zip(lines, *(column or repeat(None) for column in columns)):
        found = _listed(file, line, words, "words") if word_lists else cells_of(words)
        named = tags and (_listed(file, line, tags, "tags") if tag_lists else cells_of(tags))
        sentence = Sentence(line, found, named, label and label.strip())
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


def _read_folder(op: str, folder: str, asked: _Asked) -> TaggedTable:
    names = ("seq.in", "seq.out", "label") if asked.read_tags else ("seq.in", "", "label")
    paths = {name: os.path.join(folder, name) for name in names}
    there = os.path.isfile(paths["seq.in"])
    require(there, op, "path", "a folder with the file seq.in", folder, error=FileMissing)
    files = {name: TextFile(op, path, hint=OTHER_ENCODING) for name, path in paths.items() if os.path.isfile(path)}
    texts = {name: file.read(asked.encoding).rstrip(" \t\r\n") for name, file in files.items()}
    rows = {name: [line for _, line in numbered_lines(text)] for name, text in texts.items()}
    n = len(rows["seq.in"])
    for name, lines in rows.items():
        require(len(lines) == n, op, "path", f"{amount(n, 'line')} in {paths[name]}, as in seq.in", len(lines))
    file = files["seq.in"]
    sentences = list(_split(file, range(1, n + 1), [rows.get(name) for name in names]))
    taken = {what: name for what, name in (("words", "seq.in"), ("tags", "seq.out")) if name in files}
    return _table(folder, sentences, files.get("seq.out", file), files.get("label", file), (), taken)
