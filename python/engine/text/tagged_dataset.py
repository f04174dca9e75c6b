"""TagDataset: tagged sentences as tokens, and the way back from predictions for tokens to tags of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.data._arrays import as_array, checked_indices, flatten_like
from engine.errors import BadType, BadValue, require
from engine.ops.loss import IGNORE_INDEX
from engine.tensor import Tensor
from engine.text.dataset import TextDataset
from engine.text.labels import Labels
from engine.text.tagged_table import TaggedTable
from engine.text.tokenizer import Tokenizer

__all__ = ["TagDataset", "tag_dataset"]


class TagDataset(TextDataset):
    """Sentences as tokens, with the tag of each word at its first token, and the way back to the words.

    Make one with `tag_dataset`. Batches are those of a `TextDataset` with `token_labels`.

    Args:
        sequences: the token ids of each sentence.
        word_ids: for each token the number of its word in the sentence, or None for a special token; of the same lengths as
            `sequences`.
        num_words: the number of words in each sentence, words without a token included.
        token_labels: as in `TextDataset`.

    Attributes:
        word_ids: int32 (total_tokens,), the number of each token's word in its sentence; -1 for special tokens.
        num_words: int64 (n,), the number of words in each sentence.

    Raises:
        TypeError, ValueError: as `TextDataset`; ValueError if a word id is not below the sentence's number of words.
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
        numbers = [[-1 if word is None else word for word in words] for words in word_ids]
        flat = flatten_like(op, "word_ids", numbers, self.lengths, "sequences", signed=True)
        self.word_ids = flat.astype(np.int32)
        require(len(num_words) == len(self), op, "num_words", f"{len(self)}, one for each sentence", len(num_words))
        self.num_words = np.array(num_words, dtype=np.int64)
        wrong = np.flatnonzero(self.word_ids >= np.repeat(self.num_words, self.lengths))
        if wrong.size:
            row = int(np.searchsorted(self._offsets, wrong[0], side="right")) - 1
            expected = f"values below {self.num_words[row]} in row {row}"
            raise BadValue(op, "word_ids", expected, self.word_ids[wrong[0]])

    @property
    def first_tokens(self) -> np.ndarray:
        """Whether each token is the first of a word, bool (total_tokens,)."""
        words, starts = self.word_ids, self._offsets[:-1]
        first = np.ones(words.size, dtype=np.bool_)
        first[1:] = words[1:] != words[:-1]
        first[starts[starts < words.size]] = True
        return first & (words >= 0)

    def cut_words(self) -> np.ndarray:
        """How many words at the end of each sentence have no token, int64 (n,): they were cut off."""
        return np.array([
            words - 1 - self.word_ids[start:end].max(initial=-1)
            for words, start, end in zip(self.num_words, self._offsets[:-1], self._offsets[1:])
        ], np.int64)  # fmt: skip

    def word_tags(
        self,
        predictions: Tensor | np.ndarray | Sequence[int],
        labels: Labels,
        indices: Sequence[int] | np.ndarray | None = None,
        outside: str | None = None,
    ) -> list[list[Any]]:
        """The tags of the words, from one class number for each token. The number at a word's first token counts.

        Args:
            predictions: integers (total_tokens,) for the sentences in `indices`, back to back as in batches.
            labels: the names of the class numbers.
            indices: the sentences of the predictions, in the same order; None: all sentences.
            outside: the tag of words without a token (cut off, or dropped by the tokenizer), of which the model says nothing.

        Raises:
            ValueError: if there is not one prediction for each token.
            TypeError: if predictions are not integers.
            IndexError: if the number at a first token is not the number of a label.
        """
        op = "TagDataset.word_tags"
        rows = np.arange(len(self)) if indices is None else checked_indices(op, indices, len(self))
        numbers = as_array(predictions)
        total = int(self.lengths[rows].sum())
        right = numbers.shape == (total,)
        require(right, op, "predictions", f"shape ({total},), one for each token", numbers.shape)
        integers = not numbers.size or numbers.dtype.kind in "iu"
        require(integers, op, "predictions", "integers", numbers.dtype, error=BadType)
        is_first = self.first_tokens
        tags, start = [], 0
        for row in rows.tolist():
            at = slice(self._offsets[row], self._offsets[row + 1])
            words, first = self.word_ids[at], np.flatnonzero(is_first[at])
            sentence = [outside] * int(self.num_words[row])
            for word, name in zip(words[first].tolist(), labels.decode(numbers[start + first].tolist()), strict=True):
                sentence[word] = name
            tags.append(sentence)
            start += words.size
        return tags


def tag_dataset(table: TaggedTable, tokenizer: Tokenizer, labels: Labels, max_length: int | None = None) -> TagDataset:
    """Tokenize tagged sentences. The first token of a word gets the word's tag, all other tokens get -100.

    The method is that of Devlin et al., "BERT" (2019), section 5.3. A table without tags gives a dataset without labels.

    Args:
        table: the sentences.
        tokenizer: turns the words into tokens.
        labels: the tags by number.
        max_length: the most tokens of a sentence, special tokens included; the words after them are cut off.

    Raises:
        ValueError: if a tag is not among `labels`; the error names the tag and its sentence. Otherwise as
            `Tokenizer.encode_words`.
    """
    numbers = {name: number for number, name in enumerate(labels.names)}
    for row, tags in enumerate(table.tags or ()):
        for tag in tags:
            if tag not in numbers:
                got = f"{tag!r} in {table.where(row)}"
                raise BadValue("tag_dataset", "labels", f"one of {len(numbers)} known tags", got)
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
