"""Raw text for pretraining: files of any size, streamed, shuffled, tokenized ahead and packed into batches.

Only one stretch of the files (`shuffle_characters`) is in memory at a time, and its texts are shuffled. No batch holds texts
of two stretches, so a place in the corpus is a place in a file and a number of batches after it.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, Literal, NamedTuple

import numpy as np

from engine.data._arrays import integer
from engine.data._random import check_seed, permutation
from engine.data.epochs import Epochs, Place
from engine.data.groups import groups
from engine.errors import BadValue, require
from engine.random_purposes import Purpose
from engine.text.cleaning import clean_text
from engine.text.documents import Document, existing_files, is_in_part, read_documents
from engine.text.files import DecodeErrors
from engine.text.packed import PackedBatch
from engine.text.tokenizer import Tokenizer

__all__ = ["TextCorpus"]

Packing = Literal["full", "document"]

_STRETCHES = 2**24  # the most in an epoch: epoch and stretch together number the random streams


class _FilePlace(NamedTuple):
    """A place before a document: the file's number in the epoch's order, and how many of its bytes and lines were read."""

    file: int = 0
    offset: int = 0
    line: int = 0


class TextCorpus(Epochs):
    """Raw text files as batches of token sequences, for masked language modelling.

        >>> corpus = TextCorpus(["wiki.txt", "news.jsonl.gz"], tokenizer, max_length=128, max_tokens=8192)
        >>> for batch in corpus:  # one epoch; the next loop is the next epoch, in another order
        ...     loss = model.loss(masking(batch, step))

    `seed` and the epoch decide the order of the files, and the order of the documents within each stretch of
    `shuffle_characters`. If a file is sorted by topic, shuffle it once on disk, or make the stretch as long as the file. A
    background thread reads, cleans (`clean_text`) and tokenizes the texts ahead of the loop. Special tokens are put around each
    sequence and between documents; `special_ids` are their ids, which masking leaves alone.

    Args:
        paths: files, as in `read_documents`.
        tokenizer: one with tokens for the beginning and the end of a sequence ([CLS] and [SEP]).
        max_length: the most tokens in a sequence, special ones included.
        packing: "full" joins documents with a separator between them and cuts them where a sequence is full (RoBERTa's
            FULL-SENTENCES, Liu et al. 2019, but cut at tokens). All sequences are long, which suits long texts.
            "document" begins a new sequence with each document and cuts only documents that are too long. It suits short
            texts, such as questions to classify later: sequences then look the same in pretraining and in fine-tuning.
        batch_size: the most sequences in a batch; None: 32, or no limit if `max_tokens` is given.
        max_tokens: the most tokens in a batch.
        document, text_key, errors: as in `read_documents`.
        shuffle: False keeps the order of `paths` and of the documents in each file.
        seed: decides the orders.
        part: (low, high): take only documents whose text has a hash in [low, high), which is within [0, 1). Equal texts are in
            the same part, so (0, 0.95) and (0.95, 1) have no text in common.
        shuffle_characters: how many characters of text are in memory, and are shuffled, at a time.
        prefetch: how many batches the thread makes ahead; 0: no thread, each batch is made when the loop asks for it.

    Raises:
        FileNotFoundError: if a path does not exist; IsADirectoryError: if it is a folder.
        ValueError: if a setting is out of range, the tokenizer lacks such tokens, a file is damaged, or an epoch has no token.
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
            ("batch_size", batch_size is None or integer(op, "batch_size", batch_size) >= 1, "at least 1"),
            ("max_tokens", max_tokens is None or integer(op, "max_tokens", max_tokens) >= self.max_length,
             f"at least max_length ({max_length})"),
            ("part", 0 <= self.part[0] < self.part[1] <= 1, "two numbers in [0, 1], the smaller one first"),
            ("shuffle_characters", self.shuffle_characters >= 1, "at least 1"),
            ("prefetch", self.prefetch >= 0, "at least 0"),
        ):  # fmt: skip
            require(right, op, name, expected, repr(getattr(self, name)))
        if tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
            raise BadValue(op, "tokenizer", "one with tokens for the beginning and the end of a sequence", tokenizer)
        self._ends = (tokenizer.cls_token_id, tokenizer.sep_token_id)
        self._begin(0)

    @property
    def special_ids(self) -> tuple[int, ...]:
        """The ids of the tokenizer's special tokens, ascending."""
        return self.tokenizer.special_ids

    # --- from files to batches ---------------------------------------------------------------------------------------

    def _batches_from(self, epoch: int, place: Place) -> Generator[tuple[PackedBatch, Place]]:
        at, stretch, done = _FilePlace(*place["place"]), place["stretch"], place["batches"]
        empty = place == self._start()
        n = len(self.paths)
        files = permutation(n, self.seed, epoch, purpose=Purpose.CORPUS_FILES) if self.shuffle else np.arange(n)
        for texts, after in self._stretches(files, at):
            if self.shuffle:
                stream = epoch * _STRETCHES + stretch % _STRETCHES
                order = permutation(len(texts), self.seed, stream, purpose=Purpose.CORPUS_TEXTS)
                texts = [texts[row] for row in order]
            batches = groups(self._sequences(texts), len, self.max_tokens, self.batch_size)
            for count, batch in enumerate(batches, start=1):
                empty = False
                if count > done:
                    packed = PackedBatch.from_flat(np.concatenate(batch), np.array([len(ids) for ids in batch]))
                    yield packed, {"place": list(at), "stretch": stretch, "batches": count}
            at, stretch, done = after, stretch + 1, 0
        if empty:
            raise BadValue("TextCorpus", "paths", "at least one text", f"none in {', '.join(self.paths)}")

    def _stretches(
        self, files: Sequence[int] | np.ndarray, place: _FilePlace
    ) -> Iterator[tuple[list[str], _FilePlace]]:
        """Texts of this part of the corpus, about `shuffle_characters` at a time, and the place after them."""
        texts: list[str] = []
        characters = 0
        for file in range(place.file, len(files)):
            begin = place if file == place.file else _FilePlace()
            documents = read_documents(
                self.paths[files[file]], self.document, text_key=self.text_key, errors=self.errors,
                offset=begin.offset, line=begin.line,
            )  # fmt: skip
            with closing(documents):  # type: ignore[type-var]
                for document in documents:
                    text = clean_text(document.text)
                    if text and is_in_part(text, self.part):
                        texts.append(text)
                        characters += len(text)
                    if characters >= self.shuffle_characters:
                        yield texts, _FilePlace(file, document.offset, document.line)
                        texts, characters = [], 0
        if texts:
            yield texts, _FilePlace(len(files))

    def _sequences(self, texts: list[str]) -> Iterator[np.ndarray]:
        """Sequences of at most `max_length` ids, special ones included."""
        first, last = self._ends
        room = self.max_length - 2
        for ids in self._pieces(texts, room, last):
            for begin in range(0, len(ids), room):
                yield np.array([first, *ids[begin : begin + room], last], np.int64)

    def _pieces(self, texts: list[str], room: int, separator: int) -> Iterator[list[int]]:
        """Ids to cut into sequences of `room`: those of each document, or of as many documents as fill whole sequences."""
        bare = self.tokenizer.encode_bare(texts)
        if self.packing == "document":
            yield from bare
            return
        held: list[int] = []
        for ids in filter(None, bare):
            if len(held) == room - 1:  # room for a separator, but not for a token after it
                yield held
                held = []
            held = [*held, separator, *ids] if held else ids
            whole = len(held) - len(held) % room
            yield held[:whole]
            held = held[whole:]
        yield held

    # --- resuming ----------------------------------------------------------------------------------------------------

    def _start(self) -> Place:
        return {"place": list(_FilePlace()), "stretch": 0, "batches": 0}

    def _settings(self) -> dict[str, Any]:
        names = ("max_length", "packing", "batch_size", "max_tokens", "document", "text_key", "errors", "shuffle",
                 "seed", "shuffle_characters")  # fmt: skip
        return {**{name: getattr(self, name) for name in names}, "part": list(self.part), "files": len(self.paths)}
