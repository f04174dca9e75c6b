"""Tables of tagged words: a word in each row, its tag beside it, and a column that says which sentence it is in.

The number of the sentence may be in each row, or only in the first row of the sentence (as in Kaggle's `ner_dataset.csv`). Without such
a column, empty rows separate sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from engine.errors import Argument
from engine.text.files import TextFile
from engine.text.table_rows import Rows

__all__ = [
    "SINGLE_WORDS",
    "SentenceRows",
    "TAG_COLUMNS",
    "WORD_COLUMNS",
    "cells_of",
    "column_named",
    "has_sentences",
    "sentences_of",
    "word_column_of",
]

SINGLE_WORDS = ("word", "token")
_PLURAL = ("words", "tokens")  # of one word in each row, too, if a column says which sentence each is in
WORD_COLUMNS = (*SINGLE_WORDS, *_PLURAL)
TAG_COLUMNS = (
    "tags",
    "tag",
    "ner_tags",
    "ner",
    "pos_tags",
    "pos",
    "chunk_tags",
    "ner_tag",
    "label",
    "labels",
    "pos_tag",
)
_SENTENCES = (
    "sentence",
    "sentenceid",
    "sentenceidx",
    "sentenceno",
    "sentencenumber",
    "sentenceindex",
    "sentid",
    "sent",
    "sentences",
    "sentids",
    "sentnum",
)
# These may also number the rows, so they count only where a value repeats.
_NUMBERS = ("docid", "documentid", "doc", "document", "textid", "exampleid", "sampleid", "guid", "id")

_LISTED = re.compile(r"\s*\[.+\]\s*")

SentenceRows = tuple[int, list[str], list[str] | None]
"""The line in which a sentence begins, its words and its tags."""


def column_named(header: Sequence[str], names: Sequence[str]) -> str | None:
    """The column with the first of the names that is there, in any case; None: there is none."""
    by_folded = {name.casefold(): name for name in reversed(header)}
    return next((by_folded[name.casefold()] for name in names if name.casefold() in by_folded), None)


def cells_of(line: str) -> list[str]:
    """The words or tags of a line. Only ASCII spaces and tabs separate them: other white space may be part of a word."""
    return [cell for cell in line.replace("\t", " ").split(" ") if cell]


def word_column_of(rows: Rows, given: str | None = None) -> str | None:
    """The column that has a word in each row; None: rows are sentences.

    given: the column of the words, or of the sentences. Otherwise it is one called "word" or "token", or one with a name for many
    words that has only one in each of several rows."""
    named = column_named(rows.header, SINGLE_WORDS)
    if given in (None, named) and named is not None:
        return named
    column = given or column_named(rows.header, _PLURAL)
    words = [] if column is None else rows.values(column)
    single = len(words) > 1 and all(len(word.split()) <= 1 and not _LISTED.fullmatch(word) for word in words)
    return column if single else None


def _sentence_column(rows: Rows) -> str | None:
    plain = {"".join(filter(str.isalnum, name.casefold())): name for name in reversed(rows.header)}
    named = [plain[name] for name in _SENTENCES if name in plain]
    numbered = [plain[name] for name in _NUMBERS if name in plain]
    return next(iter(named + [name for name in numbered if len({*rows.values(name)}) < len(rows.lines)]), None)


def has_sentences(rows: Rows) -> bool:
    """Whether a column or empty lines tell the sentences of words apart."""
    return _sentence_column(rows) is not None or any(line > before + 1 for before, line in pairwise(rows.lines))


def sentences_of(file: TextFile, rows: Rows, word_at: str, tag_at: str | None) -> Iterator[SentenceRows]:
    """The sentences of a table with a word in each row.

    word_at: the column of the words. tag_at: that of the tags; None: there are none.

    Raises:
        ValueError: if nothing tells sentences apart, or a row has a word or a tag, but not both.
    """
    number_at = _sentence_column(rows)
    words = rows.values(word_at)
    numbers = words if number_at is None else rows.values(number_at)
    tags = None if tag_at is None else rows.values(tag_at)
    held: list[tuple[int, str, str]] = []
    current, before, begun = "", rows.lines[0] if rows.lines else 0, 0

    def sentence() -> SentenceRows:
        return held[0][0], [word for _, word, _ in held], None if tags is None else [tag for _, _, tag in held]

    for row, line in enumerate(rows.lines):
        word, tag, number = words[row].strip(" \t"), "" if tags is None else tags[row].strip(), numbers[row].strip()
        if number_at is None:
            ends = line > before + 1 or not word
        else:
            ends = bool(number) and number != current
            current = number or current
        before = line
        if ends and held:
            yield sentence()
            held, begun = [], begun + 1
        if not word and not tag:
            continue
        if not word or (tags is not None and not tag):
            raise file.wrong(line, "a word and its tag", f"the word {word!r} and the tag {tag!r}")
        held.append((line, word, tag))
    if held:
        if number_at is None and not begun and len(held) > 1:
            needed = (
                "a column such as 'Sentence #', with a number for each sentence, or an empty line after each sentence"
            )
            naming = ("call that column so in the header, or, if there is no header, with ", Argument("columns"))
            raise file.wrong(held[0][0], "what tells sentences apart", "none", needed, naming)
        yield sentence()
