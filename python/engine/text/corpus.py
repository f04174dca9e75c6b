"""Raw text for pretraining: files of any size, streamed, shuffled, tokenized ahead and packed into batches.

Nothing is held but the texts of one stretch of the files (`shuffle_characters`), whose order is random; the stretches
stand on their own, so that a place in the corpus is a place in a file and a number of batches after it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import IO, Any, Literal, NamedTuple

import numpy as np

from engine.data._arrays import integer
from engine.data._random import check_seed, permutation
from engine.data.prefetch import Prefetcher
from engine.random_purposes import Purpose
from engine.text.packed import PackedBatch
from engine.text.table import clean_text
from engine.text.tokenizer import Tokenizer

__all__ = ["TextCorpus", "read_documents", "read_texts"]

Document = Literal["block", "line", "file"]
Packing = Literal["full", "document"]
DecodeErrors = Literal["strict", "replace"]

_FILES, _TEXTS = Purpose.CORPUS_FILES, Purpose.CORPUS_TEXTS
_LONGEST = 2**20  # characters of a document, after which the next line begins another
_CHUNK = 2**18  # characters tokenized at once
_STRETCHES = 2**24  # in an epoch, at most: their numbers share a random stream's number with the epoch's
_JSON = (".jsonl", ".ndjson")


class _Place(NamedTuple):
    """Before which document: the file's number in the order of the epoch, bytes and lines of it that were read."""

    file: int = 0
    offset: int = 0
    line: int = 0


class _Document(NamedTuple):
    text: str
    offset: int  # behind it
    line: int


def read_documents(
    path: str | os.PathLike[str],
    document: Document = "block",
    *,
    text_key: str = "text",
    errors: DecodeErrors = "strict",
    offset: int = 0,
    line: int = 0,
) -> Iterator[_Document]:
    """The documents of a file in its order, as (text, bytes read, lines read), holding no more than a document or a line.

    A document longer than a million characters goes on as the next one, at the end of a line.

    Args:
        path: UTF-8 text, or JSON Lines by its name (.jsonl, .ndjson); compressed if the name ends with .gz.
        document: in text, lines up to an empty one ("block"), each "line", or the "file". JSON Lines: one a line in any case.
        text_key: JSON Lines: the key of the text in each object.
        errors: bytes that are not UTF-8 are refused ("strict") or become U+FFFD ("replace").
        offset, line: as an earlier document gave them, to go on behind it.

    Raises:
        ValueError: on damaged lines, with file and line.
    """
    name = os.fspath(path)
    parts: list[str] = []
    length = 0
    is_json = name.lower().removesuffix(".gz").endswith(_JSON)
    with _open(name) as stream:
        for raw in _lines(stream, offset, name):
            line += 1
            text = _decoded(raw.removeprefix(b"\xef\xbb\xbf") if offset == 0 else raw, name, line, errors)
            offset += len(raw)
            if is_json:
                if text.strip():
                    yield _Document(_json_text(text, text_key, name, line), offset, line)
                continue
            parts.append(text)
            length += len(text)
            if document == "line" or length >= _LONGEST or (document == "block" and not text.strip()):
                yield _Document("".join(parts), offset, line)
                parts, length = [], 0
        if parts:
            yield _Document("".join(parts), offset, line)


def _open(name: str) -> IO[bytes]:
    return gzip.open(name, "rb") if name.lower().endswith(".gz") else open(name, "rb")  # type: ignore[return-value]


def _lines(stream: IO[bytes], offset: int, name: str) -> Iterator[bytes]:
    try:
        stream.seek(offset)
        yield from stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"[read_documents] path: expected a whole gzip file, got {name} ({error})") from None


def _decoded(raw: bytes, name: str, line: int, errors: str) -> str:
    try:
        return raw.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"[read_documents] path: expected UTF-8 in line {line} of {name}, got byte 0x{raw[error.start]:02x} "
            f"({error.reason}); errors= may have such bytes replaced"
        ) from None


def _json_text(row: str, key: str, name: str, line: int) -> str:
    try:
        value = json.loads(row)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"[read_documents] path: expected JSON in line {line} of {name}, got {error}") from None
    text = value.get(key) if isinstance(value, dict) else None
    if not isinstance(text, str):
        got = f"keys {', '.join(map(repr, value))}" if isinstance(value, dict) else type(value).__name__
        if isinstance(value, dict) and key in value:
            got = f"{type(value[key]).__name__} there"
        raise ValueError(
            f"[read_documents] path: expected an object with text under {key!r} in line {line} of {name}, got {got}"
        )
    return text


def read_texts(
    paths: Iterable[str | os.PathLike[str]],
    document: Document = "block",
    *,
    text_key: str = "text",
    errors: DecodeErrors = "strict",
    part: tuple[float, float] = (0.0, 1.0),
) -> Iterator[str]:
    """The documents of files in their order, cleaned, blank ones left out: what a `TextCorpus` makes tokens of, such as to train
    the tokenizer. Arguments and errors as there."""
    for path in _existing("read_texts", paths):
        for found in read_documents(path, document, text_key=text_key, errors=errors):
            text = clean_text(found.text)
            if text and _is_in(text, part):
                yield text


def _is_in(text: str, part: tuple[float, float]) -> bool:
    """Whether a text hashes into that part of [0, 1)."""
    if part == (0.0, 1.0):
        return True
    digest = hashlib.blake2b(text.encode(), digest_size=6).digest()
    return part[0] <= int.from_bytes(digest, "big") / 2**48 < part[1]


class TextCorpus:
    """Raw text files as batches of token sequences, for masked language modelling.

        >>> corpus = TextCorpus(["wiki.txt", "news.jsonl.gz"], tokenizer, max_length=128, max_tokens=8192)
        >>> for batch in corpus:  # an epoch; the next loop is the next one, in another order
        ...     loss = model.loss(masking(batch, step))

    The order is decided by `seed` and the epoch: that of the files, and within each stretch of `shuffle_characters` that of
    its documents; so a file sorted by topic should be shuffled once on disk, or the stretch be as long as the file. Texts are
    cleaned (`clean_text`), read and tokenized in a thread of their own, ahead of the batches asked for. Special tokens stand
    around each sequence and between documents; `special_ids` are their ids, which masking leaves alone.

    Args:
        paths: files, as in `read_documents`.
        tokenizer: one with tokens for the beginning and the end of a sequence ([CLS] and [SEP]).
        max_length: the most tokens in a sequence, special ones included.
        packing: "full" joins documents, a separator between two, and cuts them where a sequence is full (RoBERTa's
            FULL-SENTENCES, Liu et al. 2019, but cut at tokens): all sequences are long, which suits long text.
            "document" begins a sequence with each document and cuts only those that are too long: for short texts such as the
            questions that are to be classified afterwards, which then look as they will. Neither wastes a cell.
        batch_size: the most sequences in a batch; None: 32, or no limit where `max_tokens` is given.
        max_tokens: the most tokens in a batch.
        document, text_key, errors: as in `read_documents`.
        shuffle: False keeps the order of paths and files.
        seed: of the orders.
        part: of the documents those whose text hashes into [low, high) of [0, 1): equal texts are in the same part, so
            (0, 0.95) and (0.95, 1) share none.
        shuffle_characters: how much text is held, and shuffled, at a time.
        prefetch: batches made ahead by the thread; 0: none, they are made when asked for.

    Raises:
        FileNotFoundError, IsADirectoryError: for a path that is no file.
        ValueError: on settings out of range, a tokenizer without such tokens, damaged files and an epoch without a token.
        TypeError: if paths is one string, or a number is none.
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        tokenizer: Tokenizer,
        max_length: int = 128,
        *,
        packing: Packing = "full",
        batch_size: int | None = None,
        max_tokens: int | None = None,
        document: Document = "block",
        text_key: str = "text",
        errors: DecodeErrors = "strict",
        shuffle: bool = True,
        seed: int = 0,
        part: tuple[float, float] = (0.0, 1.0),
        shuffle_characters: int = 2**24,
        prefetch: int = 4,
    ) -> None:
        op = "TextCorpus"
        self.paths = _existing(op, paths)
        self.tokenizer = tokenizer
        self.max_length = integer(op, "max_length", max_length)
        self.batch_size = 32 if batch_size is None and max_tokens is None else batch_size
        self.max_tokens = max_tokens
        self.packing, self.document, self.text_key, self.errors = packing, document, text_key, errors
        self.shuffle, self.seed, self.part = shuffle, check_seed(op, seed), (float(part[0]), float(part[1]))
        self.shuffle_characters = integer(op, "shuffle_characters", shuffle_characters)
        self.prefetch = integer(op, "prefetch", prefetch)
        for name, right, expected in (
            ("packing", packing in ("full", "document"), "'full' or 'document'"),
            ("document", document in ("block", "line", "file"), "'block', 'line' or 'file'"),
            ("errors", errors in ("strict", "replace"), "'strict' or 'replace'"),
            ("max_length", self.max_length >= 3, "at least 3"),
            ("batch_size", batch_size is None or integer(op, "batch_size", batch_size) >= 1, "None or at least 1"),
            ("max_tokens", max_tokens is None or integer(op, "max_tokens", max_tokens) >= self.max_length,
             f"None or at least max_length ({max_length})"),
            ("part", 0 <= self.part[0] < self.part[1] <= 1, "two rising numbers in [0, 1]"),
            ("shuffle_characters", self.shuffle_characters >= 1, "at least 1"),
            ("prefetch", self.prefetch >= 0, "at least 0"),
        ):  # fmt: skip
            if not right:
                raise ValueError(f"[{op}] {name}: expected {expected}, got {getattr(self, name)!r}")
        if tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
            raise ValueError(
                f"[{op}] tokenizer: expected tokens for the beginning and the end of a sequence, got {tokenizer}"
            )
        self._ends = (tokenizer.cls_token_id, tokenizer.sep_token_id)
        self._epoch = 0
        self._state: dict[str, Any] = {}
        self._fresh = True  # no iterator has begun this epoch (or this resumed rest of it)
        self._current: object = None
        self._begin(0)

    @property
    def special_ids(self) -> tuple[int, ...]:
        """Ids of the tokenizer's special tokens, rising."""
        ids = [getattr(self.tokenizer, f"{role}_token_id") for role in self.tokenizer.special_tokens]
        return tuple(sorted(set(ids)))

    @property
    def epoch(self) -> int:
        """The epoch under way, or about to begin."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Name the epoch that the next `iter` runs. After `load_state_dict`, naming the same epoch keeps the place."""
        if not 0 <= integer("TextCorpus.set_epoch", "epoch", epoch) < 2**39:
            raise ValueError(f"[TextCorpus.set_epoch] epoch: expected a number in [0, 2^39), got {epoch}")
        if not (self._fresh and epoch == self._epoch):
            self._begin(epoch)

    def _begin(self, epoch: int, place: _Place | None = None, stretch: int = 0, batches: int = 0) -> None:
        self._epoch, self._fresh, self._current = epoch, True, None
        self._state = {"place": list(place or _Place()), "stretch": stretch, "batches": batches}

    def __iter__(self) -> Iterator[PackedBatch]:
        if not self._fresh:
            self._begin(self._epoch + 1)
        self._fresh = False
        self._current = token = object()
        return self._iterate(token, self._epoch, self._state)

    def _iterate(self, token: object, epoch: int, state: Mapping[str, Any]) -> Iterator[PackedBatch]:
        place, stretch, done = _Place(*state["place"]), state["stretch"], state["batches"]
        empty = place == _Place() and not done
        made = self._stream(epoch, place, stretch, done)
        source: Any = Prefetcher(made, self.prefetch) if self.prefetch else made
        with closing(source):
            for batch, after in source:
                empty = False
                if self._current is token:
                    self._state = after
                yield batch
        if empty:
            raise ValueError(f"[TextCorpus] paths: expected at least one text, got none in {', '.join(self.paths)}")
        if self._current is token:
            self._begin(epoch + 1)

    # --- from files to batches ---------------------------------------------------------------------------------------

    def _stream(
        self, epoch: int, place: _Place, number: int, done: int
    ) -> Iterator[tuple[PackedBatch, dict[str, Any]]]:
        """Batches from a place on, and the state after each."""
        n = len(self.paths)
        files = permutation(n, self.seed, epoch, purpose=_FILES) if self.shuffle else np.arange(n)
        for texts, after in self._stretches(files, place):
            if self.shuffle:
                order = permutation(len(texts), self.seed, epoch * _STRETCHES + number % _STRETCHES, purpose=_TEXTS)
                texts = [texts[row] for row in order]
            for count, batch in enumerate(self._batches(self._sequences(texts)), start=1):
                if count > done:
                    lengths = np.array([len(ids) for ids in batch])
                    packed = PackedBatch.from_flat(np.concatenate(batch), lengths)
                    yield packed, {"place": list(place), "stretch": number, "batches": count}
            place, number, done = after, number + 1, 0

    def _stretches(self, files: Sequence[int] | np.ndarray, place: _Place) -> Iterator[tuple[list[str], _Place]]:
        """Texts of this part of the corpus, about `shuffle_characters` at a time, and the place behind them."""
        texts: list[str] = []
        characters = 0
        for file in range(place.file, len(files)):
            begin = place if file == place.file else _Place()
            documents = read_documents(
                self.paths[files[file]], self.document, text_key=self.text_key, errors=self.errors,
                offset=begin.offset, line=begin.line,
            )  # fmt: skip
            with closing(documents):  # type: ignore[type-var]
                for document in documents:
                    text = clean_text(document.text)
                    if not text or not _is_in(text, self.part):
                        continue
                    texts.append(text)
                    characters += len(text)
                    if characters >= self.shuffle_characters:
                        yield texts, _Place(file, document.offset, document.line)
                        texts, characters = [], 0
        if texts:
            yield texts, _Place(len(files))

    def _tokens(self, texts: list[str]) -> Iterator[list[int]]:
        """The ids of each text, without special tokens around it."""
        encode: Any = self.tokenizer.backend
        encode = getattr(encode, "encode_batch_fast", encode.encode_batch)
        start = characters = 0
        for row, text in enumerate(texts, start=1):
            characters += len(text)
            if characters >= _CHUNK or row == len(texts):
                for encoding in encode(texts[start:row], add_special_tokens=False):
                    yield encoding.ids
                start, characters = row, 0

    def _sequences(self, texts: list[str]) -> Iterator[np.ndarray]:
        """Sequences of at most `max_length` ids, special ones included."""
        first, last = self._ends
        room = self.max_length - 2

        def wrapped(ids: list[int]) -> np.ndarray:
            return np.array([first, *ids, last], np.int64)

        if self.packing == "document":
            for ids in self._tokens(texts):
                for begin in range(0, len(ids), room):
                    yield wrapped(ids[begin : begin + room])
            return
        held: list[int] = []
        for ids in self._tokens(texts):
            if not ids:
                continue
            if held and len(held) == room - 1:  # room for a separator, but for nothing behind it
                yield wrapped(held)
                held = []
            held = [*held, last, *ids] if held else ids
            whole = len(held) - len(held) % room
            for begin in range(0, whole, room):
                yield wrapped(held[begin : begin + room])
            held = held[whole:]
        if held:
            yield wrapped(held)

    def _batches(self, sequences: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
        batch: list[np.ndarray] = []
        tokens = 0
        for ids in sequences:
            full = len(batch) == self.batch_size or (
                self.max_tokens is not None and tokens + len(ids) > self.max_tokens
            )
            if full:
                yield batch
                batch, tokens = [], 0
            batch.append(ids)
            tokens += len(ids)
        if batch:
            yield batch

    # --- resuming ----------------------------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        names = ("max_length", "packing", "batch_size", "max_tokens", "document", "text_key", "errors", "shuffle",
                 "seed", "shuffle_characters")  # fmt: skip
        return {**{name: getattr(self, name) for name in names}, "part": list(self.part), "files": len(self.paths)}

    def state_dict(self) -> dict[str, Any]:
        """Where the corpus stands: the epoch, the place in the files and the batches handed out since; fits JSON.

        Taken inside the loop, the batch in hand counts as done.
        """
        return {"epoch": self._epoch, **self._state, "settings": self._settings()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken: the next `iter` gives the batches that were left of that epoch.

        Files must be as they were. Raises ValueError if the state is of a corpus with other settings, or none.
        """
        op = "TextCorpus.load_state_dict"
        missing = [key for key in ("epoch", "place", "stretch", "batches", "settings") if key not in state]
        if missing:
            raise ValueError(f"[{op}] state: expected the state of a TextCorpus, got none of {missing}")
        for name, value in self._settings().items():
            if state["settings"].get(name) != value:
                raise ValueError(f"[{op}] {name}: expected {value!r}, got {state['settings'].get(name)!r}")
        self._begin(
            int(state["epoch"]), _Place(*map(int, state["place"])), int(state["stretch"]), int(state["batches"])
        )


def _existing(op: str, paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError(f"[{op}] paths: expected a list of files, got one {type(paths).__name__}")
    names = [os.fspath(path) for path in paths]
    if not names:
        raise ValueError(f"[{op}] paths: expected at least one file, got none")
    for name in names:
        if os.path.isdir(name):
            raise IsADirectoryError(f"[{op}] paths: expected files, got the folder {name}")
        if not os.path.exists(name):
            raise FileNotFoundError(f"[{op}] paths: expected an existing file, got {name}")
    return names
