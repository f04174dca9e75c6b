"""CoNLL files: a word in each line with its tag beside it, and an empty line after each sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine.errors import amount, require
from engine.text.files import TextFile, numbered_lines
from engine.text.table_columns import TakenColumns
from engine.text.tagged_table import Sentence
from engine.text.tagged_words import TAG_COLUMNS, WORD_COLUMNS, cells_of, column_named

__all__ = ["is_universal", "read_conll"]

_UNIVERSAL = re.compile(r"(#.*\n|[^\S\n]*\n)*1(-\d+)?(\t[^\t\n]*){9}\r?\n")  # how a CoNLL-U file begins


def is_universal(text: str) -> bool:
    """Whether a text has CoNLL-U's ten columns."""
    return _UNIVERSAL.match(text) is not None


def read_conll(
    file: TextFile, text: str, names: Sequence[str], word_column: str | None, tag_column: str | None, read_tags: bool
) -> tuple[Iterator[Sentence], TakenColumns]:
    """The sentences, as they are read, and the columns that they come from.

    Args:
        file, text: the file and its contents.
        names: of all columns; none: they have numbers, from 1.
        word_column, tag_column: the name or the number of a column; None: one of `names` that is usual; without names the first and the
            last (in CoNLL-U the second and the fourth).
        read_tags: False: there are no tags.

    Raises:
        ValueError: if there is no such column; while sentences are read, for a line with fewer or more columns, or an empty one.
    """
    universal = is_universal(text)
    begin = next((line for _, line in numbered_lines(text) if _has_word(line, universal)), "")
    tabs = "\t" in begin
    count = len(_split(begin, tabs))
    require(
        not names or len(names) == count,
        file.op,
        "columns",
        f"{amount(count, 'name')}, one for each column of {file.name}",
        ",".join(names),
    )

    def place(argument: str, column: str | None, usual: Sequence[str], otherwise: int) -> int:
        if column is None:
            found = column_named(names, usual)
            return otherwise if found is None else list(names).index(found)
        if column in names:
            return list(names).index(column)
        right = column.isdecimal() and int(column) >= 1
        expected = "the number of a column, from 1" + (f", or one of {', '.join(names)}" if names else "")
        require(right, file.op, argument, expected, repr(column))
        require(int(column) <= count, file.op, argument, f"at most {count}, the columns of {file.name}", column)
        return int(column) - 1

    word_at = place("word_column", word_column, WORD_COLUMNS, 1 if universal else 0)
    tag_at = None
    if read_tags and (count > 1 or tag_column is not None):
        tag_at = place("tag_column", tag_column, TAG_COLUMNS, 3 if universal else count - 1)
        require(tag_at != word_at, file.op, "tag_column", "a column other than the words'", _called(tag_at, names))
    taken = {what: _called(at, names) for what, at in (("words", word_at), ("tags", tag_at)) if at is not None}
    return _sentences(file, text, universal, tabs, count, word_at, tag_at), taken


def _called(column: int, names: Sequence[str]) -> str | int:
    return names[column] if names else column + 1


def _has_word(line: str, universal: bool) -> bool:
    """Whether a line has a word: no empty one, no comment, and no token beside those that are counted."""
    cells = cells_of(line)
    beside = universal and cells and (line.startswith("#") or not cells[0].isdecimal())
    return bool(cells) and not beside and cells[0] != "-DOCSTART-"


def _split(line: str, tabs: bool) -> list[str]:
    return [cell.strip(" ") for cell in line.split("\t")] if tabs else cells_of(line)


def _sentences(
    file: TextFile, text: str, universal: bool, tabs: bool, count: int, word_at: int, tag_at: int | None
) -> Iterator[Sentence]:
    held: list[tuple[int, str, str]] = []  # the line, word and tag of each word in a sentence

    def sentence() -> Sentence:
        lines, words, tags = zip(*held)
        return Sentence(lines[0], list(words), None if tag_at is None else list(tags), None)

    for number, line in numbered_lines(text):
        if not _has_word(line, universal):
            cells = cells_of(line)
            if held and (not cells or cells[0] == "-DOCSTART-"):
                yield sentence()
                held = []
            continue
        cells = _split(line, tabs)
        if len(cells) != count:
            raise file.wrong(number, amount(count, "column"), str(len(cells)))
        word, tag = cells[word_at], "" if tag_at is None else cells[tag_at]
        if not word or (tag_at is not None and not tag):
            raise file.wrong(number, "a word" if tag_at is None else "a word and a tag", "an empty field")
        held.append((number, word, tag))
    if held:
        yield sentence()
