"""TagDataset: tagged sentences as tokens, and the way from what a model says of tokens back to the words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.data._arrays import as_array, checked_indices, flatten_like
from engine.errors import BadType, BadValue
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
        word_ids: for each token the number of its word in the sentence, or None for a special token; as many as
            `sequences`, of the same lengths.
        num_words: the number of words of each sentence, words without a token included.
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
        numbers = [[-1 if word is None else word for word in words] for words in word_ids]
        flat = flatten_like(op, "word_ids", numbers, self.lengths, "sequences", signed=True)
        self._word_ids = flat.astype(np.int32)
        if len(num_words) != len(self):
            raise BadValue(op, "num_words", f"{len(self)}, one for each sentence", len(num_words))
        self.num_words = np.array(num_words, dtype=np.int64)
        limits = np.repeat(self.num_words, self.lengths)
        if (self._word_ids >= limits).any():
            token = int(np.argmax(self._word_ids >= limits))
            row = int(np.searchsorted(self._offsets, token, side="right")) - 1
            raise BadValue(op, "word_ids", f"values below {self.num_words[row]} in row {row}", self._word_ids[token])

    @property
    def word_ids(self) -> np.ndarray:
        """The word in its sentence that each token comes from, int32 (total_tokens,); -1 for special tokens."""
        return self._word_ids

    @property
    def first_tokens(self) -> np.ndarray:
        """Whether each token is the first of a word, bool (total_tokens,)."""
        words, starts = self._word_ids, self._offsets[:-1]
        first = np.ones(words.size, dtype=np.bool_)
        first[1:] = words[1:] != words[:-1]
        first[starts[starts < words.size]] = True
        return first & (words >= 0)

    def word_tags(
        self,
        predictions: Tensor | np.ndarray | Sequence[int],
        labels: Labels,
        indices: Sequence[int] | np.ndarray | None = None,
        outside: str = "O",
    ) -> list[list[str]]:
        """The tags of the words, from one class number for each token. The number at a word's first token counts.

        Args:
            predictions: integers (total_tokens,) of the sentences in `indices`, back to back as in batches.
            labels: the names of the class numbers.
            indices: the sentences that `predictions` belong to, in the same order; None: all sentences.
            outside: the tag of words without a token (cut off, or dropped by the tokenizer).

        Raises:
            ValueError: if there is not one prediction for each token.
            TypeError: if predictions are not integers.
            IndexError: if the number at a first token is not the number of a label.
        """
        op = "TagDataset.word_tags"
        rows = np.arange(len(self)) if indices is None else checked_indices(op, indices, len(self))
        numbers = as_array(predictions)
        total = int(self.lengths[rows].sum())
        if numbers.shape != (total,):
            raise BadValue(op, "predictions", f"shape ({total},), one for each token", numbers.shape)
        if numbers.size and numbers.dtype.kind not in "iu":
            raise BadType(op, "predictions", "integers", numbers.dtype)
        is_first = self.first_tokens
        tags, start = [], 0
        for row in rows.tolist():
            at = slice(self._offsets[row], self._offsets[row + 1])
            words, first = self._word_ids[at], np.flatnonzero(is_first[at])
            sentence = [outside] * int(self.num_words[row])
            for word, name in zip(words[first].tolist(), labels.decode(numbers[start + first].tolist()), strict=True):
                sentence[word] = name
            tags.append(sentence)
            start += words.size
        return tags


def tag_dataset(table: TaggedTable, tokenizer: Tokenizer, labels: Labels, max_length: int | None = None) -> TagDataset:
    """Tokenize tagged sentences. The first token of a word gets the word's tag, all other tokens get -100.

    This is the way of Devlin et al., "BERT" (2019), section 5.3. A table without tags gives a dataset without labels.

    Args:
        table: the sentences.
        tokenizer: makes tokens of the words.
        labels: the tags by number.
        max_length: the most tokens of a sentence, special tokens included; the words behind them are cut off.

    Raises:
        ValueError: on a tag that is not among `labels` (names the tag and its sentence); otherwise as
            `Tokenizer.encode_words`.
    """
    numbers = {name: number for number, name in enumerate(labels.names)}
    for row, tags in enumerate(table.tags or ()):
        for tag in tags:
            if tag not in numbers:
                raise BadValue(
                    "tag_dataset", "labels", f"one of {len(numbers)} known tags", f"{tag!r} in {table.where(row)}"
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
