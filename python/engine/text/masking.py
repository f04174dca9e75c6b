"""Masked language modelling: which tokens the model must predict (Devlin et al. 2019, arXiv 1810.04805)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from engine.data._random import check_seed
from engine.errors import BadIndex, BadValue, require
from engine.ops.loss import IGNORE_INDEX
from engine.random_purposes import Purpose
from engine.text.packed import PackedBatch
from engine.text.tokenizer import Tokenizer

__all__ = ["MaskedLanguageModeling"]


class MaskedLanguageModeling:
    """Chooses tokens to predict: 80 % of them become [MASK], 10 % become a random token, 10 % stay. A transform of a `Trainer`.

    The choice depends only on the seed, the step and the position in the batch. So it differs each time the model sees a text
    (dynamic masking: Liu et al. 2019, arXiv 1907.11692), and a resumed run repeats it.

    Args:
        mask_id: the id of [MASK].
        vocab_size: random tokens are ids below it.
        special_ids: ids that are never chosen and never drawn, for example those of [CLS], [SEP] and [PAD].
        p: the share of the other tokens to choose.
        seed: decides the random choices.
        continues: bool (vocab_size,), True for ids that continue a word ("##ing"): whole words are chosen. None: single tokens
            are chosen.

    Raises:
        ValueError: unless 0 < p <= 1; if an id is out of range; if all ids are special; if `continues` has another dtype or
            shape.
    """

    def __init__(
        self,
        mask_id: int,
        vocab_size: int,
        special_ids: Iterable[int] = (),
        p: float = 0.15,
        seed: int = 0,
        continues: np.ndarray | None = None,
    ) -> None:
        op = "MaskedLanguageModeling"
        require(0 < p <= 1, op, "p", "a number in (0, 1]", p)
        special = sorted({int(mask_id), *map(int, special_ids)})
        wrong = special[0] if special[0] < 0 else special[-1]
        require(0 <= wrong < vocab_size, op, "special_ids", f"ids in [0, {vocab_size})", wrong)
        if continues is not None and (continues.shape != (vocab_size,) or continues.dtype != np.bool_):
            raise BadValue(op, "continues", f"bool ({vocab_size},)", f"{continues.dtype} {tuple(continues.shape)}")
        self.mask_id, self.vocab_size, self.p, self.seed = int(mask_id), vocab_size, p, check_seed(op, seed)
        self._special = np.zeros(vocab_size, np.bool_)
        self._special[special] = True
        self._plain = np.flatnonzero(~self._special)
        require(self._plain.size, op, "special_ids", "at least one id that is not special", f"all {vocab_size} ids")
        self._continues, self.whole_word = continues, continues is not None

    @classmethod
    def of(
        cls, tokenizer: Tokenizer, p: float = 0.15, seed: int = 0, whole_word: bool = False
    ) -> MaskedLanguageModeling:
        """Masking for a tokenizer's ids. whole_word: choose whole words; only for WordPiece, where "##" continues a word.

        Raises ValueError if the tokenizer has no mask token, or if `whole_word` is True and no token begins with "##".
        """
        op = "MaskedLanguageModeling"
        if tokenizer.mask_token_id is None:
            raise BadValue(op, "tokenizer", "one with a mask token", tokenizer)
        continues = None
        if whole_word:
            tokens = tokenizer.tokens(range(tokenizer.vocab_size))
            continues = np.array([token is not None and token.startswith("##") for token in tokens])
            require(continues.any(), op, "whole_word", "tokens that begin with '##'", f"none in {tokenizer}")
        return cls(tokenizer.mask_token_id, tokenizer.vocab_size, tokenizer.special_ids, p, seed, continues)

    def __call__(self, batch: PackedBatch, step: int) -> PackedBatch:
        """A copy of the batch with hidden tokens and with labels (total_tokens,): the original id of a chosen token, otherwise -100.

        At least one token is chosen, unless all are special. Raises IndexError if an id is not in the vocabulary.
        """
        ids = batch.input_ids.cpu().numpy()
        if ids.size and not 0 <= ids.min() <= ids.max() < self.vocab_size:
            wrong = ids.min() if ids.min() < 0 else ids.max()
            raise BadIndex("MaskedLanguageModeling", "input_ids", f"ids in [0, {self.vocab_size})", wrong)
        bits = np.random.Philox(key=np.array([self.seed, step], np.uint64), counter=[0, 0, 0, Purpose.MASKING])
        draws = (bits.random_raw(3 * ids.size) >> np.uint64(11)).reshape(-1, 3)  # three for each position, 53 bits each
        free = ~self._special[ids]
        chance = draws[:, 0]
        if self._continues is not None:
            chance = chance[self._word_starts(batch, ids, free)]
        chosen = free & (chance < round(self.p * 2**53))
        if not chosen.any() and free.any():
            chosen = free & (chance == chance[free].min())
        action = draws[:, 1] / 2**53
        # The upper 32 bits times the number of ids, divided by 2^32: probabilities of ids differ by less than 2^-32.
        drawn = self._plain[(draws[:, 2] >> np.uint64(21)) * np.uint64(self._plain.size) >> np.uint64(32)]
        hidden = np.where(action < 0.8, self.mask_id, np.where(action < 0.9, drawn, ids))
        return batch.replace(
            input_ids=np.where(chosen, hidden, ids), labels=np.where(chosen, ids, np.int64(IGNORE_INDEX))
        )

    def _word_starts(self, batch: PackedBatch, ids: np.ndarray, free: np.ndarray) -> np.ndarray:
        """The position of the first token of each token's word."""
        assert self._continues is not None
        begins = ~self._continues[ids] | ~free
        begins[1:] |= ~free[:-1]
        starts = batch.layout.offsets[:-1]
        begins[starts[starts < ids.size]] = True
        return np.maximum.accumulate(np.where(begins, np.arange(ids.size), 0))
