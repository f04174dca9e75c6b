"""Augmentation of packed batches in training.

The changes depend only on the seed, the step and the position in the batch, so a resumed run repeats them. Tokens in
`keep`, for example [CLS] and [SEP], stay in place and divide a sequence into stretches: a single text is one stretch, a
pair of texts is two. No token leaves its stretch, and deletion and masking keep at least one token of each stretch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from engine.data._random import check_seed
from engine.errors import BadValue, require
from engine.random_purposes import Purpose
from engine.text.packed import PackedBatch
from engine.text.tokenizer import Tokenizer

__all__ = ["Compose", "RandomDeletion", "RandomSwap", "TokenDropout", "TokenMasking", "augmentation"]

Transform = Callable[[PackedBatch, int], PackedBatch]


class _RandomTokens(ABC):
    """Changes each token with probability p."""

    purpose: Purpose  # separates these random numbers from others with the same seed
    spares_one = False  # whether at least one token of each stretch is not chosen
    moves_tokens = False

    def __init__(self, p: float, keep: Iterable[int] = (), seed: int = 0) -> None:
        name = type(self).__name__
        require(0 <= p <= 1, name, "p", "a number in [0, 1]", p)
        self.p, self.seed = p, check_seed(name, seed)
        self.keep = np.array(sorted(set(keep)), dtype=np.int64)

    def settings(self) -> dict[str, Any]:
        """What decides the changes, fit for JSON."""
        return {"name": type(self).__name__, "p": self.p, "keep": self.keep.tolist(), "seed": self.seed}

    def __call__(self, batch: PackedBatch, step: int) -> PackedBatch:
        """A changed copy of the batch."""
        if not self.p:
            return batch
        labels = batch.batch_size if batch.labels is None else batch.labels.shape[0]
        if self.moves_tokens and labels != batch.batch_size:
            expected, got = f"one label for each sequence ({batch.batch_size})", f"{labels}, one for each token"
            hint = "this transform moves tokens; TokenMasking does not"
            raise BadValue(type(self).__name__, "labels", expected, got, hint)
        return self._changed(batch, batch.host("input_ids"), step)

    @abstractmethod
    def _changed(self, batch: PackedBatch, ids: np.ndarray, step: int) -> PackedBatch: ...

    def _draws(self, n: int, step: int, stream: int = 0) -> np.ndarray:
        """Random numbers, uint64 (n,), uniform."""
        key = np.array([self.seed, step], np.uint64)
        return np.random.Philox(key=key, counter=[0, 0, stream, self.purpose]).random_raw(n)

    def _chosen(self, batch: PackedBatch, ids: np.ndarray, step: int) -> np.ndarray:
        """Which tokens are chosen, bool (total_tokens,). If `spares_one`, and all tokens of a stretch are chosen, the one with the
        largest random number is not."""
        draws = self._draws(ids.size, step)
        chosen = ((draws >> np.uint64(11)) < round(self.p * 2**53)) & ~np.isin(ids, self.keep)
        if self.spares_one:
            real, stretch = self._stretches(batch, ids)
            order = np.lexsort((draws[real], stretch))
            last = np.flatnonzero(np.diff(stretch, append=-1))  # the end of each stretch, in either order
            chosen[real[order[last]]] &= np.bincount(stretch[~chosen[real]], minlength=last.size) > 0
        return chosen

    def _stretches(self, batch: PackedBatch, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(the positions of the tokens outside `keep`, int64 (m,); the number of each one's stretch, ascending from 0)."""
        real = np.flatnonzero(~np.isin(ids, self.keep))
        starts = np.zeros(ids.size + 1, np.bool_)
        starts[batch.layout.offsets] = True
        # A stretch begins at the start of a sequence, after a token in `keep`, and where the token type changes.
        begins = starts[real] | (np.diff(real, prepend=-2) > 1)
        if batch.token_type_ids is not None:
            begins |= np.diff(batch.token_type_ids.cpu().numpy()[real], prepend=-1) != 0
        return real, np.cumsum(begins) - 1


class TokenDropout(_RandomTokens):
    """Replaces random tokens by one token, for example [UNK] or [MASK] (word dropout: Iyyer et al., 2015).

    The model learns not to depend on single words, and to handle unknown words. All tokens of a text may be replaced;
    `TokenMasking` keeps at least one.

    Args:
        p: the share of tokens to replace.
        token_id: the id that replaces them.
        keep: ids that are never replaced, for example those of [CLS] and [SEP].
        seed: decides the random choices.

    Raises:
        ValueError: unless 0 <= p <= 1.
    """

    purpose = Purpose.TOKEN_DROPOUT

    def __init__(self, p: float, token_id: int, keep: Iterable[int] = (), seed: int = 0) -> None:
        super().__init__(p, keep, seed)
        self.token_id = token_id

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "token_id": self.token_id}

    def _changed(self, batch: PackedBatch, ids: np.ndarray, step: int) -> PackedBatch:
        return batch.replace(input_ids=np.where(self._chosen(batch, ids, step), np.int64(self.token_id), ids))


class TokenMasking(TokenDropout):
    """Replaces random tokens by a mask, but keeps at least one token of a text (of each text of a pair).

    Arguments and errors as in `TokenDropout`. No token moves, so there may be a label for each token.
    """

    purpose = Purpose.MASKING
    spares_one = True

    def __init__(self, p: float, mask_id: int, keep: Iterable[int] = (), seed: int = 0) -> None:
        super().__init__(p, mask_id, keep, seed)


class RandomDeletion(_RandomTokens):
    """Deletes random tokens (Wei & Zou, "EDA", 2019, delete words), but never all tokens of a text.

    Args:
        p: the share of tokens to delete.
        keep: ids that are never deleted, for example those of [CLS] and [SEP].
        seed: decides the random choices.

    Raises:
        ValueError: unless 0 <= p <= 1; and by a call, if the batch has a label for each token.
    """

    purpose = Purpose.RANDOM_DELETION
    spares_one = moves_tokens = True

    def _changed(self, batch: PackedBatch, ids: np.ndarray, step: int) -> PackedBatch:
        stays = ~self._chosen(batch, ids, step)
        before = np.append(0, np.cumsum(stays))  # how many stay before each position
        lengths = np.diff(before[batch.layout.offsets])
        types = None if batch.token_type_ids is None else batch.token_type_ids.cpu().numpy()[stays]
        shorter = PackedBatch.from_flat(ids[stays], lengths, token_type_ids=types).to(batch.device)
        return shorter.replace(labels=batch.labels)


class RandomSwap(_RandomTokens):
    """Swaps random tokens with others of the same text (Wei & Zou, "EDA", 2019, swap words).

    Args:
        p: the share of tokens that begin a swap; about twice as many move.
        keep: ids that never move, for example those of [CLS] and [SEP].
        seed: decides the random choices.

    Raises:
        ValueError: unless 0 <= p <= 1; and by a call, if the batch has a label for each token.
    """

    purpose = Purpose.RANDOM_SWAP
    moves_tokens = True

    def _changed(self, batch: PackedBatch, ids: np.ndarray, step: int) -> PackedBatch:
        real, stretch = self._stretches(batch, ids)
        swaps = np.flatnonzero(self._chosen(batch, ids, step)[real])
        sizes = np.bincount(stretch)
        first = np.cumsum(sizes) - sizes
        # The partner is any other token of the stretch: 1 to size - 1 positions ahead, around its end to its beginning.
        of = stretch[swaps]
        others = (sizes[of] - 1).astype(np.uint64)
        draws = self._draws(ids.size, step, 1)[real[swaps]] >> np.uint64(32)
        ahead = (draws * others >> np.uint64(32)).astype(np.int64)
        partners = first[of] + (swaps - first[of] + 1 + ahead) % sizes[of]
        order = np.arange(real.size)
        for a, b in zip(swaps.tolist(), partners.tolist(), strict=True):
            order[a], order[b] = order[b], order[a]
        swapped = ids.copy()
        swapped[real] = ids[real[order]]
        return batch.replace(input_ids=swapped)


class Compose:
    """Several augmentations, one after the other.

    Args:
        transforms: functions of (batch, step) that return a batch.
    """

    def __init__(self, transforms: Iterable[Transform]) -> None:
        self.transforms = tuple(transforms)

    def settings(self) -> dict[str, Any]:
        """What decides the changes, fit for JSON."""
        return {"name": "Compose", "transforms": [transform_settings(each) for each in self.transforms]}

    def __call__(self, batch: PackedBatch, step: int) -> PackedBatch:
        """A changed copy of the batch."""
        for transform in self.transforms:
            batch = transform(batch, step)
        return batch


def transform_settings(transform: Any) -> Any:
    """What is known of a transform, fit for JSON: its `settings()`; without this method, the name of the function or of the class."""
    if transform is None:
        return None
    if hasattr(transform, "settings"):
        return transform.settings()
    return getattr(transform, "__qualname__", type(transform).__qualname__)


def augmentation(settings: str, tokenizer: Tokenizer, seed: int = 0) -> Compose:
    """Augmentations by name, for example "deletion=0.1,swap=0.05,mask=0.1".

    They are always applied in this order. Masking comes last, because deletion could remove the one token that masking keeps.

    Args:
        settings: names, each with its share of tokens in [0, 1].
        tokenizer: gives the mask token and the special tokens to keep: those for padding, for the beginning of a text and
            between texts.
        seed: decides the random choices.

    Raises:
        ValueError: if a name is unknown or occurs twice, a share is not a number in [0, 1], or 'mask' is given and the
            tokenizer has no mask token.
    """
    op, shares = "augmentation", dict[str, float]()
    for setting in settings.split(","):
        name, _, value = (part.strip() for part in setting.partition("="))
        known = name in ("deletion", "swap", "mask")
        require(known, op, "settings", "deletion=, swap= or mask=", repr(setting.strip()))
        require(name not in shares, op, "settings", "each name once", f"{name!r} twice")
        try:
            shares[name] = float(value)
        except ValueError:
            shares[name] = -1.0
        require(0 <= shares[name] <= 1, op, "settings", f"a number in [0, 1] for {name}", repr(value))
    special = (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id)
    keep = [number for number in special if number is not None]
    kinds: dict[str, type[_RandomTokens]] = {"deletion": RandomDeletion, "swap": RandomSwap}
    transforms: list[Transform] = [kind(shares[name], keep, seed) for name, kind in kinds.items() if name in shares]
    if "mask" in shares:
        if tokenizer.mask_token_id is None:
            raise BadValue(op, "settings", "a tokenizer with a mask token for mask=", "one without")
        transforms.append(TokenMasking(shares["mask"], tokenizer.mask_token_id, keep, seed))
    return Compose(transforms)
