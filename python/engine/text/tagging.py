"""Tagged words: reading them from files, tokenizing them, and bringing what a model says of tokens back to the words."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Literal

import numpy as np

from engine.data._arrays import as_array, checked_indices, integer
from engine.data._random import SPLIT, check_seed, permutation
from engine.ops.loss import IGNORE_INDEX
from engine.tensor import Tensor
from engine.text.dataset import TextDataset
from engine.text.labels import Labels
from engine.text.tokenizer import Tokenizer

__all__ = ["TagDataset", "TaggedTable", "read_tagged", "tag_dataset"]

TaggedFormat = Literal["conll", "jsonl", "folder", "tsv"]

"""The class number of tokens that have no tag of their own; losses leave it out."""

_WORDS, _TAGS, _LABELS = ("tokens", "words"), ("tags", "labels"), ("label", "intent")
_TEXTS = ("text", "sentence", *_WORDS)  # columns of a table that hold words


@dataclass(frozen=True)
class TaggedTable:
    """Sentences as lists of words, with a tag a word, as read from one file or folder.

    Attributes:
        words: n lists of words.
        tags: n lists of tags, each as long as its words, or None.
        labels: n names, one a sentence (an intent, say), or None.
        source: the file's or folder's name, for messages, or None.
        lines: the line in which each sentence begins, counted from 1, for messages, or None.

    `len(table)` is n; `table[i]` is (words, tags or None); a slice gives a table.

    Raises:
        ValueError: if lists differ in length.
        TypeError: if a sentence is a string and not a list of words.
    """

    words: list[list[str]]
    tags: list[list[str]] | None = None
    labels: list[str] | None = None
    source: str | None = None
    lines: list[int] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("tags", "labels", "lines"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.words):
                raise ValueError(
                    f"[TaggedTable] {name}: expected {len(self.words)} entries, one a sentence, got {len(values)}"
                )
        for name, rows in (("words", self.words), ("tags", self.tags or [])):
            for row, cells in enumerate(rows):
                if isinstance(cells, str):
                    raise TypeError(f"[TaggedTable] {name}: expected lists of strings, got one string in row {row}")
        for row, (words, tags) in enumerate(zip(self.words, self.tags or [])):
            if len(words) != len(tags):
                raise ValueError(
                    f"[TaggedTable] tags: expected {len(words)}, one a word, got {len(tags)} in {self.where(row)}"
                )

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self.select(range(len(self))[index])
        return self.words[index], None if self.tags is None else self.tags[index]

    def __iter__(self) -> Iterator[tuple[list[str], list[str] | None]]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        kinds = "no tags" if self.tags is None else f"{len(set(chain.from_iterable(self.tags)))} tags"
        source = f", source={self.source!r}" if self.source else ""
        return f"TaggedTable({len(self)} sentences, {sum(map(len, self.words))} words, {kinds}{source})"

    def select(self, rows: Iterable[int] | np.ndarray) -> TaggedTable:
        """The table of the given rows, in the order given.

        Raises:
            IndexError: if a row is not in [0, n).
            TypeError: if one is no integer.
        """
        chosen = [integer("TaggedTable.select", "rows", row) for row in rows]
        for row in chosen:
            if not 0 <= row < len(self):
                raise IndexError(f"[TaggedTable.select] rows: expected values in [0, {len(self)}), got {row}")

        def pick(values: list[Any] | None) -> Any:
            return None if values is None else [values[row] for row in chosen]

        return replace(
            self, words=pick(self.words), tags=pick(self.tags), labels=pick(self.labels), lines=pick(self.lines)
        )

    def split(self, fraction: float, seed: int = 0) -> tuple[TaggedTable, TaggedTable]:
        """Hold out a part at random: (the rest, the held-out part), both in the table's order.

        Raises:
            ValueError: if `fraction` is not strictly between 0 and 1, or either part would be empty.
        """
        op = "TaggedTable.split"
        if not 0.0 < fraction < 1.0:
            raise ValueError(f"[{op}] fraction: expected a value strictly between 0 and 1, got {fraction}")
        order = permutation(len(self), check_seed(op, seed), purpose=SPLIT)
        wanted = int(np.floor(len(self) * fraction + 0.5))
        if not 0 < wanted < len(self):
            raise ValueError(
                f"[{op}] fraction: expected two parts of at least one sentence, got {wanted} of {len(self)} held out"
            )
        return self.select(np.sort(order[wanted:])), self.select(np.sort(order[:wanted]))

    def tag_labels(self) -> Labels:
        """The distinct tags, sorted, as `Labels`.

        Raises:
            ValueError: if the table has no tags.
        """
        if self.tags is None:
            raise ValueError("[TaggedTable.tag_labels] tags: expected a table with tags, got none")
        return Labels.from_labels(chain.from_iterable(self.tags))

    def where(self, row: int) -> str:
        """How to name a sentence in a message: its line and file where they are known."""
        place = f"row {row}" if self.lines is None else f"line {self.lines[row]}"
        return f"{place} of {self.source}" if self.source else place


# --- files -----------------------------------------------------------------------------------------------------------


def read_tagged(path: str | os.PathLike[str], format: TaggedFormat | None = None) -> TaggedTable:
    """Read tagged sentences, UTF-8 in each format.

    - 'conll': a word a line, its tag in the last column, an empty line after each sentence. Columns stand apart by tabs
      where the first word's line has one, otherwise by spaces; lines of one column are words without tags. Lines that
      begin with `-DOCSTART-` are skipped. There are no comments: '#' may be a word.
    - 'jsonl': an object a line, with lists of strings under 'tokens' (or 'words') and, for tags, 'tags' (or 'labels');
      a string under 'label' (or 'intent') is the sentence's label.
    - 'folder': a sentence a line in `seq.in`, its tags in `seq.out` and its label in `label`, where those are there;
      words and tags stand apart by spaces.
    - 'tsv': a sentence a line below a header, tabs between columns, no quoting: words in 'text' (or 'sentence', 'tokens',
      'words'), tags in 'tags', the sentence's label in 'label' (or 'intent'); words and tags stand apart by spaces.

    Args:
        path: a file or, for 'folder', a folder.
        format: None: 'folder' for a folder, 'jsonl' for .jsonl, .ndjson and .json, 'tsv' where the first line is such a
            header with words and tags, otherwise 'conll'.

    Raises:
        FileNotFoundError: if there is no such file, or no `seq.in` in the folder.
        ValueError: on an unknown format, a file without a sentence, or what does not fit together; names file and line.
    """
    name = os.fspath(path)
    guessed = format is None
    if format is None:
        ending = os.path.splitext(name)[1].lower()
        format = "folder" if os.path.isdir(name) else "jsonl" if ending in (".jsonl", ".ndjson", ".json") else "conll"
    if format not in ("conll", "jsonl", "folder", "tsv"):
        raise ValueError(f"[read_tagged] format: expected 'conll', 'jsonl', 'folder' or 'tsv', got {format!r}")
    if format == "folder":
        table = _read_folder(name)
    else:
        lines = _lines(name)
        if format == "conll" and guessed and _is_header(lines[:1]):
            format = "tsv"
        table = {"conll": _read_conll, "jsonl": _read_jsonl, "tsv": _read_tsv}[format](name, lines)
    if not len(table):
        raise ValueError(f"[read_tagged] path: expected at least one sentence, got none in {name}")
    return table


def _wrong(name: str, line: int, expected: str, got: str) -> ValueError:
    return ValueError(f"[read_tagged] path: expected {expected} in line {line} of {name}, got {got}")


def _lines(name: str) -> list[str]:
    """Lines without their ends; LF, CRLF and CR end one."""
    if not os.path.isfile(name):
        raise FileNotFoundError(f"[read_tagged] path: expected an existing file, got {name}")
    with open(name, "rb") as stream:
        data = stream.read()
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _wrong(name, line, "UTF-8", f"byte 0x{data[error.start]:02x} ({error.reason})") from None
    return [line.rstrip("\n") for line in io.StringIO(text, newline=None)]


def _cells(line: str) -> list[str]:
    """Split at ASCII spaces and tabs alone: other white space may be part of a word."""
    return [cell for cell in line.replace("\t", " ").split(" ") if cell]


def _is_header(lines: list[str]) -> bool:
    names = [cell.strip() for line in lines for cell in line.split("\t")]
    return "tags" in names and any(name in names for name in _TEXTS)


def _read_conll(name: str, rows: list[str]) -> TaggedTable:
    words: list[list[str]] = []
    tags: list[list[str]] = []
    lines: list[int] = []
    columns, tabs, inside = 0, False, False
    for number, line in enumerate(rows, start=1):
        cells = _cells(line)
        if not cells or cells[0] == "-DOCSTART-":
            inside = False
            continue
        if not columns:
            tabs = "\t" in line
        if tabs:
            cells = [cell.strip(" ") for cell in line.split("\t")]
        columns = columns or len(cells)
        if len(cells) != columns:
            raise _wrong(name, number, f"{columns} columns", str(len(cells)))
        if not (cells[0] and cells[-1]):
            raise _wrong(name, number, "a word and a tag" if columns > 1 else "a word", "an empty field")
        if not inside:
            words.append([])
            tags.append([])
            lines.append(number)
            inside = True
        words[-1].append(cells[0])
        tags[-1].append(cells[-1])
    return TaggedTable(words, tags if columns > 1 else None, source=name, lines=lines)


def _read_jsonl(name: str, rows: list[str]) -> TaggedTable:
    words: list[list[str]] = []
    tags: list[list[str]] = []
    labels: list[str] = []
    lines: list[int] = []
    for number, line in enumerate(rows, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _wrong(name, number, "a JSON object", f"invalid JSON ({error})") from None
        if not isinstance(record, dict):
            raise _wrong(name, number, "a JSON object", type(record).__name__)
        words.append(_strings(name, number, record, _WORDS))
        lines.append(number)
        if any(key in record for key in _TAGS):
            tags.append(_strings(name, number, record, _TAGS))
            if len(tags[-1]) != len(words[-1]):
                raise _wrong(name, number, f"{len(words[-1])} tags, one a word", str(len(tags[-1])))
        label = next((record[key] for key in _LABELS if key in record), None)
        if label is not None:
            if not isinstance(label, str):
                raise _wrong(name, number, f"a string at {' or '.join(map(repr, _LABELS))}", repr(label))
            labels.append(label)
        for values, what in ((tags, "tags"), (labels, "a label")):
            if values and len(values) != len(words):
                raise _wrong(name, number, f"{what} in every line or in none", "a line that differs from those before")
    return TaggedTable(words, tags or None, labels or None, source=name, lines=lines)


def _strings(name: str, line: int, record: dict[str, Any], keys: tuple[str, ...]) -> list[str]:
    key = next((key for key in keys if key in record), None)
    if key is None:
        raise _wrong(name, line, f"the key {' or '.join(map(repr, keys))}", ", ".join(map(repr, record)) or "no keys")
    values = record[key]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _wrong(name, line, f"a list of strings at {key!r}", repr(values)[:60])
    if key in _TAGS and not all(values):
        raise _wrong(name, line, f"tags at {key!r}", "an empty string")
    return values


def _read_tsv(name: str, rows: list[str]) -> TaggedTable:
    header = [cell.strip() for cell in rows[0].split("\t")] if rows else []
    places = [next((header.index(key) for key in keys if key in header), None) for keys in (_TEXTS, ("tags",), _LABELS)]
    text_at, tags_at, label_at = places
    if text_at is None:
        raise _wrong(
            name, 1, f"a header with {' or '.join(map(repr, _TEXTS))}", ", ".join(map(repr, header)) or "nothing"
        )
    words: list[list[str]] = []
    tags: list[list[str]] = []
    labels: list[str] = []
    lines: list[int] = []
    for number, row in enumerate(rows[1:], start=2):
        if not _cells(row):
            continue
        cells = row.split("\t")
        if len(cells) != len(header):
            raise _wrong(name, number, f"{len(header)} columns", str(len(cells)))
        words.append(_cells(cells[text_at]))
        lines.append(number)
        if not words[-1]:
            raise _wrong(name, number, "words", "an empty field")
        if tags_at is not None:
            tags.append(_cells(cells[tags_at]))
            if len(tags[-1]) != len(words[-1]):
                raise _wrong(name, number, f"{len(words[-1])} tags, one a word", str(len(tags[-1])))
        if label_at is not None:
            labels.append(cells[label_at].strip())
            if not labels[-1]:
                raise _wrong(name, number, "a label", "an empty field")
    return TaggedTable(
        words, tags if tags_at is not None else None, labels if label_at is not None else None, name, lines
    )


def _read_folder(name: str) -> TaggedTable:
    if not os.path.isfile(os.path.join(name, "seq.in")):
        raise FileNotFoundError(f"[read_tagged] path: expected a folder with the file seq.in, got {name}")

    def rows(file: str) -> list[str] | None:
        path = os.path.join(name, file)
        if not os.path.isfile(path):
            return None
        lines = _lines(path)
        while lines and not _cells(lines[-1]):
            lines.pop()
        return lines

    sentences, tagged, labels = rows("seq.in") or [], rows("seq.out"), rows("label")
    for file, others in (("seq.out", tagged), ("label", labels)):
        if others is not None and len(others) != len(sentences):
            path = os.path.join(name, file)
            raise ValueError(f"[read_tagged] path: expected {len(sentences)} lines in {path}, got {len(others)}")
    words = [_cells(line) for line in sentences]
    tags = None if tagged is None else [_cells(line) for line in tagged]
    for row, cells in enumerate(words):
        if not cells:
            raise _wrong(os.path.join(name, "seq.in"), row + 1, "words", "an empty line")
        if tags is not None and len(tags[row]) != len(cells):
            path = os.path.join(name, "seq.out")
            raise _wrong(path, row + 1, f"{len(cells)} tags, one a word", str(len(tags[row])))
    if labels is not None:
        labels = [label.strip() for label in labels]
        if "" in labels:
            raise _wrong(os.path.join(name, "label"), labels.index("") + 1, "a label", "an empty line")
    return TaggedTable(words, tags, labels, name, list(range(1, len(words) + 1)))


# --- tokens ----------------------------------------------------------------------------------------------------------


class TagDataset(TextDataset):
    """Sentences as tokens, with the tag of each word at its first token, and the way back to the words.

    Make one with `tag_dataset`. Batches are those of a `TextDataset` with `token_labels`.

    Args:
        sequences: token ids of each sentence.
        word_ids: the word that each token comes from, or None, of the same lengths.
        num_words: number of words of each sentence, those that have no token included.
        token_labels: as in `TextDataset`.

    Raises:
        TypeError, ValueError: as `TextDataset`; if a word id is not below the sentence's number of words.
    """

    def __init__(
        self,
        sequences: Sequence[Sequence[int]],
        word_ids: Sequence[Sequence[int | None]],
        num_words: Sequence[int],
        token_labels: Sequence[Sequence[int]] | None = None,
    ) -> None:
        super().__init__(sequences, token_labels=token_labels)
        op = "TagDataset"
        if len(word_ids) != len(self) or len(num_words) != len(self):
            got = f"{len(word_ids)} word_ids and {len(num_words)} num_words"
            raise ValueError(f"[{op}] word_ids: expected {len(self)}, one a sentence, got {got}")
        self.num_words = np.array(num_words, dtype=np.int64)
        flat = [-1 if word is None else word for words in word_ids for word in words]
        self._word_ids = np.array(flat, dtype=np.int32)
        lengths = self.lengths
        for row, (words, length) in enumerate(zip(word_ids, lengths.tolist(), strict=True)):
            if len(words) != length:
                raise ValueError(f"[{op}] word_ids: expected {length} in row {row}, got {len(words)}")
        limits = np.repeat(self.num_words, lengths)
        if (self._word_ids >= limits).any():
            token = int(np.argmax(self._word_ids >= limits))
            row = int(np.searchsorted(self._offsets, token, side="right")) - 1
            raise ValueError(
                f"[{op}] word_ids: expected values below {self.num_words[row]} in row {row}, got {self._word_ids[token]}"
            )

    @property
    def word_ids(self) -> np.ndarray:
        """The word in its sentence that each token comes from, int32 (total_tokens,); -1 for special tokens."""
        return self._word_ids

    @property
    def first_tokens(self) -> np.ndarray:
        """Whether each token is the first of a word, bool (total_tokens,)."""
        return _first_tokens(self._word_ids, self._offsets[:-1])

    def word_tags(
        self,
        predictions: Tensor | np.ndarray | Sequence[int],
        labels: Labels,
        indices: Sequence[int] | np.ndarray | None = None,
        outside: str = "O",
    ) -> list[list[str]]:
        """The tags of the words, from one class number a token: that at a word's first token counts.

        Args:
            predictions: integers, back to back as in batches: (total_tokens,) of the sentences meant.
            labels: the names of the class numbers.
            indices: the sentences that `predictions` are of, in their order; None: all.
            outside: the tag of words without a token (cut off, or nothing that the tokenizer keeps).

        Raises:
            ValueError: on another number of predictions.
            IndexError: if a number at a first token is not one of a label.
        """
        op = "TagDataset.word_tags"
        rows = np.arange(len(self)) if indices is None else checked_indices(op, indices, len(self))
        numbers = as_array(predictions)
        total = int(self.lengths[rows].sum())
        if numbers.shape != (total,):
            raise ValueError(f"[{op}] predictions: expected shape ({total},), one a token, got {numbers.shape}")
        if numbers.size and numbers.dtype.kind not in "iu":
            raise TypeError(f"[{op}] predictions: expected integers, got {numbers.dtype}")
        tags, start = [], 0
        for row in rows.tolist():
            words = self._word_ids[self._offsets[row] : self._offsets[row + 1]]
            first = np.flatnonzero(_first_tokens(words, np.zeros(1, dtype=np.int64)))
            sentence = [outside] * int(self.num_words[row])
            for word, name in zip(words[first].tolist(), labels.decode(numbers[start + first].tolist()), strict=True):
                sentence[word] = name
            tags.append(sentence)
            start += words.size
        return tags


def _first_tokens(words: np.ndarray, starts: np.ndarray) -> np.ndarray:
    first = np.ones(words.size, dtype=np.bool_)
    first[1:] = words[1:] != words[:-1]
    first[starts[starts < words.size]] = True
    return first & (words >= 0)


def tag_dataset(table: TaggedTable, tokenizer: Tokenizer, labels: Labels, max_length: int | None = None) -> TagDataset:
    """Tokenize tagged sentences, the tag of a word at its first token and -100 at all others.

    As usual since Devlin et al., "BERT" (2019), section 5.3. A table without tags gives a dataset without labels.

    Args:
        table: the sentences.
        tokenizer: what makes tokens of their words.
        labels: the tags by number.
        max_length: the most tokens a sentence may have, special ones included; words beyond are cut off.

    Raises:
        ValueError: on a tag that is not among `labels`; names it and its sentence. Otherwise as `Tokenizer.encode_words`.
    """
    numbers = {name: number for number, name in enumerate(labels.names)}
    for row, tags in enumerate(table.tags or ()):
        for tag in tags:
            if tag not in numbers:
                raise ValueError(
                    f"[tag_dataset] labels: expected one of {len(numbers)} known tags, got {tag!r} in {table.where(row)}"
                )
    ids, word_ids = tokenizer.encode_words(table.words, max_length)
    marks = None
    if table.tags is not None:
        marks = [
            [
                numbers[tags[word]] if word is not None and word != before else IGNORE_INDEX
                for before, word in zip((None, *words), words)
            ]
            for words, tags in zip(word_ids, table.tags, strict=True)
        ]
    return TagDataset(ids, word_ids, [len(words) for words in table.words], marks)
