"""Masked language modelling: which tokens a model has to guess (Devlin et al. 2019, arXiv 1810.04805)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from engine.data._random import check_seed
from engine.ops.factory import from_numpy
from engine.ops.loss import IGNORE_INDEX
from engine.random_purposes import Purpose
from engine.text.packed import PackedBatch
from engine.text.tokenizer import Tokenizer

__all__ = ["MaskedLanguageModeling"]


class MaskedLanguageModeling:
    """Chooses tokens to guess: of these 80 % become [MASK], 10 % a random token, 10 % stay. A transform of a `Trainer`.

    What happens to a token is decided by (seed, step, its position in the batch) alone: another choice each time a text is seen
    (dynamic masking: Liu et al. 2019, arXiv 1907.11692), and the same in a resumed run.

    Args:
        mask_id: the id of [MASK].
        vocab_size: random tokens are ids below it.
        special_ids: ids that are never chosen and never drawn: [CLS], [SEP], [PAD], [MASK], ...
        p: the share of the other tokens to choose.
        seed: of the draws.
        continues: bool (vocab_size,), True at ids that go on with a word ("##ing"): whole words are chosen, then. None: tokens.

    Raises:
        ValueError: unless 0 < p <= 1, for ids out of range, and where no token is left to draw.
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
        if not 0 < p <= 1:
            raise ValueError(f"[{op}] p: expected a number in (0, 1], got {p}")
        special = sorted({int(mask_id), *map(int, special_ids)})
        if special[0] < 0 or special[-1] >= vocab_size:
            wrong = special[0] if special[0] < 0 else special[-1]
            raise ValueError(f"[{op}] special_ids: expected ids in [0, {vocab_size}), got {wrong}")
        if continues is not None and (continues.shape != (vocab_size,) or continues.dtype != np.bool_):
            raise ValueError(
                f"[{op}] continues: expected bool ({vocab_size},), got {continues.dtype} {continues.shape}"
            )
        self.mask_id, self.vocab_size, self.p, self.seed = int(mask_id), vocab_size, p, check_seed(op, seed)
        self._special = np.zeros(vocab_size, np.bool_)
        self._special[special] = True
        self._plain = np.flatnonzero(~self._special)
        if not self._plain.size:
            raise ValueError(f"[{op}] special_ids: expected an id in [0, {vocab_size}) that is not special, got none")
        self._continues = continues

    @classmethod
    def of(
        cls, tokenizer: Tokenizer, p: float = 0.15, seed: int = 0, whole_word: bool = False
    ) -> MaskedLanguageModeling:
        """Masking for a tokenizer's ids; whole_word: of WordPiece, whose "##" goes on with a word.

        Raises ValueError if it has no mask token, or whole words are wanted and no token begins with "##".
        """
        if tokenizer.mask_token_id is None:
            raise ValueError(f"[MaskedLanguageModeling] tokenizer: expected one with a mask token, got {tokenizer}")
        special = [
            i for role in ("pad", "unk", "cls", "sep") if (i := getattr(tokenizer, f"{role}_token_id")) is not None
        ]
        continues = None
        if whole_word:
            tokens = tokenizer.tokens(range(tokenizer.vocab_size))
            continues = np.array([token is not None and token.startswith("##") for token in tokens])
            if not continues.any():
                raise ValueError(
                    f"[MaskedLanguageModeling] whole_word: expected tokens that begin with '##', got none in {tokenizer}"
                )
        return cls(tokenizer.mask_token_id, tokenizer.vocab_size, special, p, seed, continues)

    def __call__(self, batch: PackedBatch, step: int) -> PackedBatch:
        """The batch with tokens hidden and labels (total_tokens,): the former id where one was chosen, -100 elsewhere.

        At least one token is chosen, unless all are special. The batch given stays as it is. Raises IndexError for an id that is
        not in the vocabulary.
        """
        ids = batch.input_ids.cpu().numpy()
        if ids.size and not 0 <= ids.min() <= ids.max() < self.vocab_size:
            wrong = ids.min() if ids.min() < 0 else ids.max()
            raise IndexError(f"[MaskedLanguageModeling] input_ids: expected ids in [0, {self.vocab_size}), got {wrong}")
        bits = np.random.Philox(key=np.array([self.seed, step], np.uint64), counter=[0, 0, 0, Purpose.MASKING])
        draws = (bits.random_raw(3 * ids.size) >> np.uint64(11)).reshape(-1, 3)  # three a position, of 53 bits
        free = ~self._special[ids]
        chance = draws[:, 0]
        if self._continues is not None:
            chance = chance[self._word_starts(batch, ids, free)]
        chosen = free & (chance < round(self.p * 2**53))
        if not chosen.any() and free.any():
            chosen = free & (chance == chance[free].min())
        action = draws[:, 1] / 2**53
        # The upper bits times the number of ids: no remainder, so no id is likelier than another by more than 2^-32.
        drawn = self._plain[(draws[:, 2] >> np.uint64(21)) * np.uint64(self._plain.size) >> np.uint64(32)]
        hidden = np.where(action < 0.8, self.mask_id, np.where(action < 0.9, drawn, ids))
        return replace(
            batch,
            input_ids=from_numpy(np.where(chosen, hidden, ids)).to(batch.device),
            labels=from_numpy(np.where(chosen, ids, np.int64(IGNORE_INDEX))).to(batch.device),
        )

    def _word_starts(self, batch: PackedBatch, ids: np.ndarray, free: np.ndarray) -> np.ndarray:
        """The position of the first token of each token's word."""
        assert self._continues is not None
        begins = ~self._continues[ids] | ~free
        begins[1:] |= ~free[:-1]
        starts = batch.cu_seqlens.cpu().numpy()[:-1]
        begins[starts[starts < ids.size]] = True
        return np.maximum.accumulate(np.where(begins, np.arange(ids.size), 0))
