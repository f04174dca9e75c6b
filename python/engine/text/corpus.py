"""Raw text for pretraining: files of any size, streamed, shuffled, tokenized ahead and packed into batches.

Only the texts of one stretch of the files (`shuffle_characters`) are held at a time; they are shuffled. No batch holds
texts of two stretches, so a place in the corpus is a place in a file and a number of batches after it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Literal, NamedTuple

import numpy as np

from engine.data._arrays import integer
from engine.data._random import check_seed, permutation
from engine.data.groups import groups
from engine.data.prefetch import Prefetcher
from engine.errors import BadValue
from engine.random_purposes import Purpose
from engine.text.cleaning import clean_text
from engine.text.documents import Document, existing_files, is_in_part, read_documents
from engine.text.files import DecodeErrors
from engine.text.packed import PackedBatch
from engine.text.tokenizer import Tokenizer

__all__ = ["TextCorpus"]

Packing = Literal["full", "document"]

_STRETCHES = 2**24  # at most in an epoch: the number of a random stream is made of the epoch's and the stretch's


class _Place(NamedTuple):
    """A place before a document: the file's number in the order of the epoch, and how many of its bytes and lines were read."""

    file: int = 0
    offset: int = 0
    line: int = 0


class TextCorpus:
    """Raw text files as batches of token sequences, for masked language modelling.

        >>> corpus = TextCorpus(["wiki.txt", "news.jsonl.gz"], tokenizer, max_length=128, max_tokens=8192)
        >>> for batch in corpus:  # one epoch; the next loop is the next epoch, in another order
        ...     loss = model.loss(masking(batch, step))

    `seed` and the epoch decide the order of the files, and the order of the documents within each stretch of
    `shuffle_characters`. A file that is sorted by topic should be shuffled once on disk, or the stretch should be as long as
    the file. A background thread reads, cleans (`clean_text`) and tokenizes the texts ahead of the loop. Special tokens stand
    around each sequence and between documents; `special_ids` are their ids, which masking leaves alone.

    Args:
        paths: files, as in `read_documents`.
        tokenizer: one with tokens for the beginning and the end of a sequence ([CLS] and [SEP]).
        max_length: the most tokens in a sequence, special ones included.
        packing: "full" joins documents with a separator between them and cuts them where a sequence is full (RoBERTa's
            FULL-SENTENCES, Liu et al. 2019, but cut at tokens). All sequences are long, which suits long texts.
            "document" begins a new sequence with each document and cuts only those that are too long. It suits short texts,
            such as questions that are to be classified afterwards, because sequences then look the same in both trainings.
        batch_size: the most sequences in a batch; None: 32, or no limit where `max_tokens` is given.
        max_tokens: the most tokens in a batch.
        document, text_key, errors: as in `read_documents`.
        shuffle: False keeps the order of paths and files.
        seed: decides the orders.
        part: only documents whose text hashes into [low, high) of [0, 1) are taken. Equal texts are in the same part, so
            (0, 0.95) and (0.95, 1) have no text in common.
        shuffle_characters: how many characters of text are held, and shuffled, at a time.
        prefetch: how many batches the thread makes ahead; 0: no thread, batches are made when they are asked for.

    Raises:
        FileNotFoundError: if a path does not exist; IsADirectoryError: if it is a folder.
        ValueError: on settings out of range, a tokenizer without such tokens, damaged files, or an epoch without a token.
        TypeError: if `paths` is one string, or a number is not an integer.
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
        self.paths = existing_files(op, paths)
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
            ("part", 0 <= self.part[0] < self.part[1] <= 1, "two numbers in [0, 1], the smaller one first"),
            ("shuffle_characters", self.shuffle_characters >= 1, "at least 1"),
            ("prefetch", self.prefetch >= 0, "at least 0"),
        ):  # fmt: skip
            if not right:
                raise BadValue(op, name, expected, repr(getattr(self, name)))
        if tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
            raise BadValue(op, "tokenizer", "one with tokens for the beginning and the end of a sequence", tokenizer)
        self._ends = (tokenizer.cls_token_id, tokenizer.sep_token_id)
        self._epoch = 0
        self._state: dict[str, Any] = {}
        self._fresh = True  # no iterator has begun this epoch (or its rest, after a resume)
        self._current: object = None
        self._begin(0)

    @property
    def special_ids(self) -> tuple[int, ...]:
        """The ids of the tokenizer's special tokens, ascending."""
        return self.tokenizer.special_ids

    @property
    def epoch(self) -> int:
        """The number of the current epoch, or of the next one where none is running."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the next `iter` runs. After `load_state_dict`, setting the same epoch keeps the place."""
        if not 0 <= integer("TextCorpus.set_epoch", "epoch", epoch) < 2**39:
            raise BadValue("TextCorpus.set_epoch", "epoch", "a number in [0, 2^39)", epoch)
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
            raise BadValue("TextCorpus", "paths", "at least one text", f"none in {', '.join(self.paths)}")
        if self._current is token:
            self._begin(epoch + 1)

    # --- from files to batches ---------------------------------------------------------------------------------------

    def _stream(
        self, epoch: int, place: _Place, number: int, done: int
    ) -> Iterator[tuple[PackedBatch, dict[str, Any]]]:
        """Batches from a place on, and the state after each."""
        n = len(self.paths)
        files = permutation(n, self.seed, epoch, purpose=Purpose.CORPUS_FILES) if self.shuffle else np.arange(n)
        for texts, after in self._stretches(files, place):
            if self.shuffle:
                order = permutation(
                    len(texts), self.seed, epoch * _STRETCHES + number % _STRETCHES, purpose=Purpose.CORPUS_TEXTS
                )
                texts = [texts[row] for row in order]
            batches = groups(self._sequences(texts), len, self.max_tokens, self.batch_size)
            for count, batch in enumerate(batches, start=1):
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
                    if not text or not is_in_part(text, self.part):
                        continue
                    texts.append(text)
                    characters += len(text)
                    if characters >= self.shuffle_characters:
                        yield texts, _Place(file, document.offset, document.line)
                        texts, characters = [], 0
        if texts:
            yield texts, _Place(len(files))

    def _sequences(self, texts: list[str]) -> Iterator[np.ndarray]:
        """Sequences of at most `max_length` ids, special ones included."""
        first, last = self._ends
        room = self.max_length - 2

        def wrapped(ids: list[int]) -> np.ndarray:
            return np.array([first, *ids, last], np.int64)

        if self.packing == "document":
            for ids in self.tokenizer.encode_bare(texts):
                for begin in range(0, len(ids), room):
                    yield wrapped(ids[begin : begin + room])
            return
        held: list[int] = []
        for ids in self.tokenizer.encode_bare(texts):
            if not ids:
                continue
            if held and len(held) == room - 1:  # room for a separator, but not for a token behind it
                yield wrapped(held)
                held = []
            held = [*held, last, *ids] if held else ids
            whole = len(held) - len(held) % room
            for begin in range(0, whole, room):
                yield wrapped(held[begin : begin + room])
            held = held[whole:]
        if held:
            yield wrapped(held)

    # --- resuming ----------------------------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        names = ("max_length", "packing", "batch_size", "max_tokens", "document", "text_key", "errors", "shuffle",
                 "seed", "shuffle_characters")  # fmt: skip
        return {**{name: getattr(self, name) for name in names}, "part": list(self.part), "files": len(self.paths)}

    def state_dict(self) -> dict[str, Any]:
        """The place of the corpus: the epoch, the place in the files and the number of batches given since; fits JSON.

        Inside a loop, the batch that the loop has just got counts as done.
        """
        return {"epoch": self._epoch, **self._state, "settings": self._settings()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken: the next `iter` gives the remaining batches of that epoch.

        The files must not have changed. Raises ValueError if the state is not that of a corpus with the same settings.
        """
        op = "TextCorpus.load_state_dict"
        missing = [key for key in ("epoch", "place", "stretch", "batches", "settings") if key not in state]
        if missing:
            raise BadValue(op, "state", "the state of a TextCorpus", f"one without {', '.join(missing)}")
        for name, value in self._settings().items():
            if state["settings"].get(name) != value:
                got = f"{state['settings'].get(name)!r} in the state"
                raise BadValue(op, name, f"{value!r} as in this corpus", got)
        self._begin(
            int(state["epoch"]), _Place(*map(int, state["place"])), int(state["stretch"]), int(state["batches"])
        )
