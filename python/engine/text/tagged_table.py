"""TaggedTable: sentences as words, with a tag for each word. `read_tagged` reads one from a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from engine.data.table import Source, Table
from engine.errors import BadType, BadValue, amount
from engine.text.labels import Labels
from engine.text.table_columns import TakenColumns

__all__ = ["Sentence", "TaggedTable"]


class Sentence(NamedTuple):
    """A sentence of a file: the line that it begins in, its words, their tags, and its label."""

    line: int
    words: list[str]
    tags: list[str] | None
    label: str | None


@dataclass(frozen=True)
class TaggedTable(Table[tuple[list[str], list[str] | None]]):
    """Sentences as lists of words, with a tag for each word, as read from one file or folder.

    Attributes:
        words: n lists of words.
        tags: n lists of tags, each as long as its words, or None.
        labels: n names, one for each sentence, such as its intent; or None.
        source: the file's or folder's name, or a list of the name of each sentence's file, for messages, or None.
        lines: the line in which each sentence begins, counted from 1, for messages, or None.
        notes: what reading has left out or guessed, a sentence each.
        columns: further columns by name, n values each.
        taken: the columns of the file that the words and the tags came from, by name, or by number from 1.

    `len(table)` is n; `table[i]` is (words, tags or None); a slice gives a table. `select`, `split` (at random), `where` and
    `concat` are those of `engine.data.Table`.

    Raises:
        ValueError: if lists differ in length.
        TypeError: if a sentence is a string instead of a list of words.
    """

    per_row = ("words", "tags", "labels", "lines", "columns")

    words: list[list[str]]
    tags: list[list[str]] | None = None
    labels: list[str] | None = None
    source: Source = None
    lines: list[int] | None = field(default=None, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False, compare=False)
    columns: dict[str, list[Any]] = field(default_factory=dict, repr=False)
    taken: TakenColumns = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, rows in (("words", self.words), ("tags", self.tags or [])):
            for row, cells in enumerate(rows):
                if isinstance(cells, str):
                    raise BadType("TaggedTable", name, "lists of strings", f"one string in row {row}")
        for row, (words, tags) in enumerate(zip(self.words, self.tags or [])):
            if len(words) != len(tags):
                got = f"{len(tags)} in {self.where(row)}"
                raise BadValue("TaggedTable", "tags", f"{len(words)}, one for each word", got)

    def __repr__(self) -> str:
        kinds = "no tags" if self.tags is None else f"{amount(len(set(chain.from_iterable(self.tags))), 'tag')}"
        source = f", source={self.source!r}" if isinstance(self.source, str) and self.source else ""
        return f"TaggedTable({amount(len(self), 'sentence')}, {amount(sum(map(len, self.words)), 'word')}, {kinds}{source})"

    def row(self, index: int) -> tuple[list[str], list[str] | None]:
        """(words, tags or None)."""
        return self.words[index], None if self.tags is None else self.tags[index]

    def tokenizer_texts(self) -> list[str]:
        """The sentences as texts, for a tokenizer to learn from."""
        return [" ".join(words) for words in self.words]

    def tag_labels(self) -> Labels:
        """The distinct tags, sorted, as `Labels`.

        Raises:
            ValueError: if the table has no tags.
        """
        if self.tags is None:
            raise BadValue("TaggedTable.tag_labels", "tags", "a table with tags", "a table without tags")
        return Labels.from_labels(chain.from_iterable(self.tags))
