"""Tables of tagged words: a word in each row, its tag beside it, and a column that says which sentence it is in.

The number of the sentence may be in each row, or only in the first row of the sentence (as in Kaggle's `ner_dataset.csv`). Without such
a column, empty rows separate sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine.errors import Argument
from engine.text.files import TextFile
from engine.text.table_rows import Rows

__all__ = ["SentenceRows", "column_named", "has_one_word_rows", "has_words", "sentences_of"]

_WORDS = ("word", "token")
_PLURAL = ("words", "tokens")  # of one word in each row, too, if a column says which sentence each is in
_TAGS = ("tags", "tag", "ner_tags", "ner", "pos_tags", "pos", "chunk_tags", "ner_tag", "label", "labels", "pos_tag")
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


def has_words(header: Sequence[str]) -> bool:
    """Whether a table with these columns has a word in each row."""
    return column_named(header, _WORDS) is not None


def has_one_word_rows(rows: Rows) -> bool:
    """Whether a column with a name for many words has only one in each of several rows."""
    word_at = column_named(rows.header, _PLURAL)
    words = [] if word_at is None else rows.values(word_at)
    return len(words) > 1 and all(len(word.split()) <= 1 and not _LISTED.fullmatch(word) for word in words)


def _sentence_column(rows: Rows) -> str | None:
    plain = {"".join(filter(str.isalnum, name.casefold())): name for name in reversed(rows.header)}
    named = [plain[name] for name in _SENTENCES if name in plain]
    numbered = [plain[name] for name in _NUMBERS if name in plain]
    return next(iter(named + [name for name in numbered if len({*rows.values(name)}) < len(rows.lines)]), None)


def sentences_of(file: TextFile, rows: Rows, tag_column: str | None) -> Iterator[SentenceRows]:
    """The sentences of a table with a word in each row.

    tag_column: the column of the tags; None: one with a usual name, or no tags.

    Raises:
        ValueError: if the column is missing, nothing tells sentences apart, or a row has a word or a tag, but not both.
    """
    header = rows.header
    word_at, number_at = column_named(header, (*_WORDS, *_PLURAL)), _sentence_column(rows)
    tag_at = column_named(header, _TAGS if tag_column is None else (tag_column,))
    if tag_column is not None and tag_at is None:
        hint = ("name the column of the tags with ", Argument("tag_column"))
        raise file.wrong(1, f"a column {tag_column!r}", ", ".join(map(repr, header)), hint)
    words = rows.values(word_at or "")
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
            raise file.wrong(held[0][0], "what tells sentences apart", "none", needed)
        yield sentence()
