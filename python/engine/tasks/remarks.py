"""What a model cannot see of its texts, counted: texts that are cut, texts without a token, texts of unknown tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.errors import amount
from engine.text import TextDataset, Tokenizer, clean_text

__all__ = ["TextLosses"]


class TextLosses:
    """Counts of texts, and of what is lost of them between a table and its dataset.

    Attributes:
        texts: how many texts were counted.
        found: what was lost of them, by kind: how many, and the place of the first.
    """

    def __init__(self) -> None:
        self.texts = self.longest = self.words = 0
        self.found: dict[str, tuple[int, str]] = {}

    def add(self, table: Any, dataset: TextDataset, tokenizer: Tokenizer, max_length: int) -> None:
        """Counts the texts of a table, which were tokenized and cut to max_length tokens as `dataset`."""
        self.texts += len(table)
        unknown = tokenizer.unk_token_id
        special = [number for number in tokenizer.special_ids if number != unknown]
        known = dataset.lengths - dataset.count_of(special)
        self._count("empty", known == 0, table)
        if unknown is not None:
            self._count("unknown", (known > 0) & (dataset.count_of([unknown]) == known), table)
        self._add_cut(table, dataset, tokenizer, max_length)

    def _add_cut(self, table: Any, dataset: Any, tokenizer: Tokenizer, max_length: int) -> None:
        cut = np.zeros(len(table), np.bool_)
        if hasattr(dataset, "cut_words"):
            words = dataset.cut_words()
            cut, self.words = words > 0, self.words + int(words.sum())
        else:
            full = np.flatnonzero(dataset.lengths >= max_length)
            if full.size:
                parts = [[clean_text(part) for part in table.parts(row)] for row in full.tolist()]
                second = [part[1] for part in parts] if len(parts[0]) > 1 else None
                lengths = tokenizer.encode_flat([part[0] for part in parts], second)[1]
                cut[full] = lengths > max_length
                self.longest = max(self.longest, int(lengths.max()))
        self._count("cut", cut, table)

    def _count(self, kind: str, rows: np.ndarray, table: Any) -> None:
        if rows.any():
            count, place = self.found.get(kind, (0, table.where(int(rows.argmax()))))
            self.found[kind] = (count + int(rows.sum()), place)

    def sentences(self, max_length: int, what: str = "texts") -> list[str]:
        """What was lost, a sentence each. what: what the texts are called."""
        said = []
        for kind, (count, place) in self.found.items():
            share = f"{count:,} of {self.texts:,} {what} ({count / self.texts:.1%})"
            if kind == "empty":
                said.append(f"{share} are empty; the first is in {place}")
            elif kind == "unknown":
                said.append(f"{share} have only tokens that the vocabulary does not know; the first is in {place}")
            else:
                lost = f"the longest has {self.longest:,} tokens"
                if self.words:
                    lost = f"{amount(self.words, 'word')} {'gets' if self.words == 1 else 'get'} no tag"
                said.append(
                    f"{share} are longer than {max_length:,} tokens and were cut: {lost}; the first is in {place}"
                )
        return said
