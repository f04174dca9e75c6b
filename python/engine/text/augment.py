"""Augmentation of packed batches while training.

What happens to a batch is decided by (seed, step, position in the batch) alone, so a resumed run repeats it. Tokens in
`keep`, such as [CLS] and [SEP], stay where they are and divide a sequence into stretches: one in a single text, two in a
pair. Nothing crosses a stretch, and deletion and masking leave at least one token in each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from engine.data._random import check_seed
from engine.ops.factory import from_numpy
from engine.random_purposes import Purpose
from engine.text.packed import PackedBatch
from engine.text.tokenizer import Tokenizer

__all__ = ["Compose", "RandomDeletion", "RandomSwap", "TokenDropout", "TokenMasking", "augmentation"]

Transform = Callable[[PackedBatch, int], PackedBatch]


class _RandomTokens(ABC):
    """What happens to each token with probability p, by draws of its own."""

    purpose: Purpose  # sets these draws apart from others of the same seed

    def __init__(self, p: float, keep: Iterable[int] = (), seed: int = 0) -> None:
        name = type(self).__name__
        if not 0 <= p <= 1:
            raise ValueError(f"[{name}] p: expected a number in [0, 1], got {p}")
        self.p, self.seed = p, check_seed(name, seed)
        self.keep = np.array(sorted(set(keep)), dtype=np.int64)

    def __call__(self, batch: PackedBatch, step: int) -> PackedBatch:
        """The batch changed; the one given stays as it is."""
        return self._changed(batch, step) if self.p else batch

    @abstractmethod
    def _changed(self, batch: PackedBatch, step: int) -> PackedBatch: ...

    def _draws(self, n: int, step: int, stream: int = 0) -> np.ndarray:
        """uint64 (n,), uniform."""
        key = np.array([self.seed, step], np.uint64)
        return np.random.Philox(key=key, counter=[0, 0, stream, self.purpose]).random_raw(n)

    def _chosen(self, ids: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Which tokens it happens to, bool (total_tokens,)."""
        return ((draws >> np.uint64(11)) < round(self.p * 2**53)) & ~np.isin(ids, self.keep)

    def _stretches(self, batch: PackedBatch, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(places of the tokens that are not kept, int64 (m,); the number of the stretch of each, ascending from 0)."""
        real = np.flatnonzero(~np.isin(ids, self.keep))
        starts = np.zeros(ids.size + 1, np.bool_)
        starts[batch.cu_seqlens.cpu().numpy()] = True
        # A stretch begins where a sequence does, behind a kept token, and where the token type changes.
        begins = starts[real] | (np.diff(real, prepend=-2) > 1)
        if batch.token_type_ids is not None:
            begins |= np.diff(batch.token_type_ids.cpu().numpy()[real], prepend=-1) != 0
        return real, np.cumsum(begins) - 1

    def _chosen_but_one(self, batch: PackedBatch, ids: np.ndarray, step: int) -> np.ndarray:
        """As `_chosen`, but of a stretch of which all were chosen the token with the largest draw stays."""
        draws = self._draws(ids.size, step)
        chosen = self._chosen(ids, draws)
        real, stretch = self._stretches(batch, ids)
        order = np.lexsort((draws[real], stretch))
        last = np.flatnonzero(np.diff(stretch, append=-1))  # the end of each stretch, in either order
        chosen[real[order[last]]] &= np.bincount(stretch[~chosen[real]], minlength=last.size) > 0
        return chosen

    def _refuse_token_labels(self, batch: PackedBatch) -> None:
        if batch.labels is not None and batch.labels.shape[0] != batch.batch_size:
            raise ValueError(
                f"[{type(self).__name__}] labels: expected one a sequence ({batch.batch_size}), since tokens move, "
                f"got {batch.labels.shape[0]}, one a token; TokenMasking leaves tokens in place"
            )


class TokenDropout(_RandomTokens):
    """Hides random tokens behind one token, such as [UNK] or [MASK] (word dropout: Iyyer et al., 2015).

    The model learns not to lean on single words, and what an unknown word may mean. Every token may go, all of a text
    too; `TokenMasking` leaves one.

    Args:
        p: share of tokens to hide.
        token_id: what stands in their place.
        keep: ids that are never hidden, such as [CLS] and [SEP].
        seed: of the draws.

    Raises:
        ValueError: unless 0 <= p <= 1.
    """

    purpose = Purpose.TOKEN_DROPOUT

    def __init__(self, p: float, token_id: int, keep: Iterable[int] = (), seed: int = 0) -> None:
        super().__init__(p, keep, seed)
        self.token_id = token_id

    def _changed(self, batch: PackedBatch, step: int) -> PackedBatch:
        ids = batch.input_ids.cpu().numpy()
        hidden = self._hidden(batch, ids, step)
        return replace(batch, input_ids=from_numpy(np.where(hidden, np.int64(self.token_id), ids)).to(batch.device))

    def _hidden(self, batch: PackedBatch, ids: np.ndarray, step: int) -> np.ndarray:
        return self._chosen(ids, self._draws(ids.size, step))


class TokenMasking(TokenDropout):
    """Hides random tokens behind a mask, but at least one of a text (of each text of a pair) stays in sight.

    Arguments and errors as in `TokenDropout`. Tokens stay in place, so labels may be one a token.
    """

    purpose = Purpose.MASKING

    def __init__(self, p: float, mask_id: int, keep: Iterable[int] = (), seed: int = 0) -> None:
        super().__init__(p, mask_id, keep, seed)

    def _hidden(self, batch: PackedBatch, ids: np.ndarray, step: int) -> np.ndarray:
        return self._chosen_but_one(batch, ids, step)


class RandomDeletion(_RandomTokens):
    """Deletes random tokens (Wei & Zou, "EDA", 2019; there words, here tokens), but never all of a text.

    Args:
        p: share of tokens to delete.
        keep: ids that are never deleted, such as [CLS] and [SEP].
        seed: of the draws.

    Raises:
        ValueError: unless 0 <= p <= 1; when called, on labels that are one a token.
    """

    purpose = Purpose.RANDOM_DELETION

    def _changed(self, batch: PackedBatch, step: int) -> PackedBatch:
        self._refuse_token_labels(batch)
        ids, starts = batch.input_ids.cpu().numpy(), batch.cu_seqlens.cpu().numpy()
        stays = ~self._chosen_but_one(batch, ids, step)
        before = np.zeros(ids.size + 1, np.int64)
        np.cumsum(stays, out=before[1:])
        types = None if batch.token_type_ids is None else batch.token_type_ids.cpu().numpy()[stays]
        shorter = PackedBatch.from_flat(ids[stays], np.diff(before[starts]), token_type_ids=types).to(batch.device)
        return replace(shorter, labels=batch.labels)


class RandomSwap(_RandomTokens):
    """Swaps random tokens with others of the same text (Wei & Zou, "EDA", 2019; there words, here tokens).

    Args:
        p: share of tokens that begin a swap; about twice as many move.
        keep: ids that stay where they are, such as [CLS] and [SEP].
        seed: of the draws.

    Raises:
        ValueError: unless 0 <= p <= 1; when called, on labels that are one a token.
    """

    purpose = Purpose.RANDOM_SWAP

    def _changed(self, batch: PackedBatch, step: int) -> PackedBatch:
        self._refuse_token_labels(batch)
        ids = batch.input_ids.cpu().numpy()
        real, stretch = self._stretches(batch, ids)
        swaps = np.flatnonzero(self._chosen(ids, self._draws(ids.size, step))[real])
        sizes = np.bincount(stretch)
        first = np.cumsum(sizes) - sizes
        # Any other token of the stretch: 1 to size - 1 places on, around its end.
        of = stretch[swaps]
        others = (sizes[of] - 1).astype(np.uint64)
        ahead = ((self._draws(ids.size, step, 1)[real[swaps]] >> np.uint64(32)) * others >> np.uint64(32)).astype(
            np.int64
        )
        partners = first[of] + (swaps - first[of] + 1 + ahead) % sizes[of]
        order = np.arange(real.size)
        for a, b in zip(swaps.tolist(), partners.tolist(), strict=True):
            order[a], order[b] = order[b], order[a]
        swapped = ids.copy()
        swapped[real] = ids[real[order]]
        return replace(batch, input_ids=from_numpy(swapped).to(batch.device))


class Compose:
    """Several augmentations, one after the other.

    Args:
        transforms: each takes (batch, step) and gives a batch.
    """

    def __init__(self, transforms: Iterable[Transform]) -> None:
        self.transforms = tuple(transforms)

    def __call__(self, batch: PackedBatch, step: int) -> PackedBatch:
        """The batch changed; the one given stays as it is."""
        for transform in self.transforms:
            batch = transform(batch, step)
        return batch


def augmentation(settings: str, tokenizer: Tokenizer, seed: int = 0) -> Compose:
    """Augmentations by name, such as "deletion=0.1,swap=0.05,mask=0.1".

    They are done in this order, whatever order they are named in: masking comes last, so that the one token which it
    leaves in sight is not deleted after it.

    Args:
        settings: names, each with its share of tokens in [0, 1].
        tokenizer: knows the mask token, and the special tokens to keep: those that pad, begin and part texts.
        seed: of the draws.

    Raises:
        ValueError: on an unknown name, one given twice, a share that is no number in [0, 1], or 'mask' with a tokenizer
            that has no mask token.
    """
    shares: dict[str, float] = {}
    for setting in settings.split(","):
        name, _, value = (part.strip() for part in setting.partition("="))
        if name not in ("deletion", "swap", "mask"):
            raise ValueError(f"[augmentation] settings: expected deletion=, swap= or mask=, got {setting.strip()!r}")
        if name in shares:
            raise ValueError(f"[augmentation] settings: expected each name once, got {name!r} twice")
        try:
            shares[name] = float(value)
        except ValueError:
            shares[name] = -1.0
        if not 0 <= shares[name] <= 1:
            raise ValueError(f"[augmentation] settings: expected a number in [0, 1] for {name}, got {value!r}")
    special = (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id)
    keep = [number for number in special if number is not None]
    transforms: list[Transform] = []
    if "deletion" in shares:
        transforms.append(RandomDeletion(shares["deletion"], keep, seed))
    if "swap" in shares:
        transforms.append(RandomSwap(shares["swap"], keep, seed))
    if "mask" in shares:
        if tokenizer.mask_token_id is None:
            raise ValueError(
                "[augmentation] settings: expected a tokenizer with a mask token for mask=, got one without"
            )
        transforms.append(TokenMasking(shares["mask"], tokenizer.mask_token_id, keep, seed))
    return Compose(transforms)
