"""Deletion, swap and masking of tokens in packed batches."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from engine.ops.factory import from_numpy
from engine.text import (
    Compose,
    PackedBatch,
    RandomDeletion,
    RandomSwap,
    TextDataset,
    TokenDropout,
    Tokenizer,
    TokenMasking,
    augmentation,
)

CLS, SEP, MASK = 2, 3, 4
KINDS = {
    "deletion": lambda p, seed=0: RandomDeletion(p, (CLS, SEP), seed),
    "swap": lambda p, seed=0: RandomSwap(p, (CLS, SEP), seed),
    "mask": lambda p, seed=0: TokenMasking(p, MASK, (CLS, SEP), seed),
}


def ragged(n: int = 200, pairs: bool = True) -> PackedBatch:
    """Texts (and pairs) of 0 to 8 tokens between special tokens; every real token of the batch is another one."""
    rng = np.random.default_rng(3)
    ids, types, free = [], [], 10
    for row in range(n):
        sequence, kinds = [CLS], [0]
        for part in range(2 if pairs and row % 2 else 1):
            length = int(rng.integers(0, 9))
            sequence += [*range(free, free + length), SEP]
            kinds += [part] * (length + 1)
            free += length
        ids.append(sequence)
        types.append(kinds)
    return PackedBatch.from_sequences(ids, labels=list(range(n)), token_type_ids=types)


def unpacked(batch: PackedBatch) -> list[list[tuple[int, int]]]:
    """(id, token type) of each token of each sequence."""
    starts = batch.cu_seqlens.tolist()
    types = [0] * batch.total_tokens if batch.token_type_ids is None else batch.token_type_ids.tolist()
    tokens = list(zip(batch.input_ids.tolist(), types, strict=True))
    return [tokens[a:b] for a, b in pairwise(starts)]


def parts(sequence: list[tuple[int, int]]) -> list[list[int]]:
    """The real tokens of a sequence between its special ones."""
    found: list[list[int]] = [[]]
    for token, _ in sequence:
        if token in (CLS, SEP):
            found.append([])
        else:
            found[-1].append(token)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", [0.05, 0.3, 1.0])
def test_special_tokens_stay_and_each_text_keeps_a_token(kind: str, p: float) -> None:
    batch = ragged()
    before = unpacked(batch)
    changed = KINDS[kind](p)(batch, 7)
    after = unpacked(changed)
    assert after != before == unpacked(batch)  # the batch given stays as it was
    for old, new in zip(before, after, strict=True):
        assert [t for t in new if t[0] in (CLS, SEP)] == [t for t in old if t[0] in (CLS, SEP)]
        for old_part, new_part in zip(parts(old), parts(new), strict=True):
            kept = [token for token in new_part if token != MASK]
            assert bool(kept) == bool(old_part)
            if kind == "swap":
                assert sorted(new_part) == sorted(old_part)
            else:
                assert kept == [token for token in old_part if token in kept]  # in their order
            assert kind == "deletion" or len(new_part) == len(old_part)
        assert {t: ty for t, ty in new if t >= 10}.items() <= {t: ty for t, ty in old if t >= 10}.items()
        assert p < 1 or kind == "swap" or all(sum(t >= 10 for t in part) <= 1 for part in parts(new))
    lengths = [len(sequence) for sequence in after]
    assert changed.cu_seqlens.tolist() == np.cumsum([0, *lengths]).tolist()
    assert changed.position_ids.tolist() == [i for length in lengths for i in range(length)]
    assert changed.max_seqlen == max(lengths)
    assert changed.labels.tolist() == list(range(200))
    assert changed.input_ids.dtype == changed.position_ids.dtype == batch.input_ids.dtype


@pytest.mark.parametrize("kind", KINDS)
def test_the_share_of_tokens(kind: str) -> None:
    rows = 400
    batch = TextDataset([[CLS, *range(10, 40), SEP]] * rows).gather(range(rows))
    changed = unpacked(KINDS[kind](0.2, seed=1)(batch, 0))
    assert len({tuple(sequence) for sequence in changed}) > rows * 0.9  # each row draws its own
    kept = np.array([[token in [t for t, _ in new] for token in range(10, 40)] for new in changed])
    if kind == "swap":
        moved = np.mean([[old != new for old, (new, _) in zip(range(10, 40), s[1:-1])] for s in changed])
        assert 0.29 < moved < 0.38  # a token stays if in no swap, as 0.8 * (1 - 0.2 / 29) ** 29 = 0.66 of them
    else:
        assert 0.185 < 1 - kept.mean() < 0.215  # 5 standard deviations
        assert np.ptp(kept.mean(axis=0)) < 0.13  # wherever it stands


def test_swaps_reach_every_other_place_equally() -> None:
    batch = TextDataset([[CLS, 10, 11, 12, 13, SEP]] * 4000).gather(range(4000))
    swap = RandomSwap(0.05, (CLS, SEP), seed=2)
    moved: Counter[tuple[int, int]] = Counter()
    for sequence in unpacked(swap(batch, 0)):
        differ = [(place, token) for place, (token, _) in enumerate(sequence[1:-1], 10) if place != token]
        if len(differ) == 2:
            moved[differ[0]] += 1
    assert set(moved) == {(10, 11), (10, 12), (10, 13), (11, 12), (11, 13), (12, 13)}
    assert max(moved.values()) < 1.5 * min(moved.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_of_seed_and_step(kind: str) -> None:
    batch = ragged()
    result = unpacked(KINDS[kind](0.3, seed=1)(batch, 5))
    assert unpacked(KINDS[kind](0.3, seed=1)(batch, 5)) == result
    assert unpacked(KINDS[kind](0.3, seed=1)(batch, 6)) != result
    assert unpacked(KINDS[kind](0.3, seed=2)(batch, 5)) != result
    assert KINDS[kind](0.0)(batch, 5) is batch


def test_draws_of_different_kinds_are_not_the_same() -> None:
    batch = ragged(pairs=False)
    masked = TokenMasking(0.3, MASK, (CLS, SEP))(batch, 0).input_ids.numpy() == MASK
    dropped = TokenDropout(0.3, MASK, (CLS, SEP))(batch, 0).input_ids.numpy() == MASK
    left = set(RandomDeletion(0.3, (CLS, SEP))(batch, 0).input_ids.tolist())
    deleted = np.array([token not in left for token in batch.input_ids.tolist()])
    real = batch.input_ids.numpy() >= 10
    for a, b in ((masked, dropped), (masked, deleted), (dropped, deleted)):
        assert abs(np.corrcoef(a[real], b[real])[0, 1]) < 0.2


def test_token_dropout_draws_what_it_always_drew() -> None:
    # A resumed run of an older version must go on in the same way.
    batch = TextDataset([list(range(10, 26))]).gather([0])
    bits = np.random.Philox(key=np.array([3, 9], np.uint64), counter=[0, 0, 0, 0x746F6B656E]).random_raw(16)
    expected = np.where(bits / 2**64 < 0.4, 1, np.arange(10, 26))
    assert TokenDropout(0.4, 1, seed=3)(batch, 9).input_ids.tolist() == expected.tolist()
    assert TokenDropout(1.0, 1)(batch, 0).input_ids.tolist() == [1] * 16


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "sequences", [[], [[]], [[CLS, SEP]], [[10]], [[], [10], [CLS, SEP], [10, 11], []], [[CLS, 10, SEP, 11, SEP]]]
)
def test_little_to_change(kind: str, sequences: list[list[int]]) -> None:
    batch = PackedBatch.from_sequences(sequences)
    changed = KINDS[kind](1.0)(batch, 0)
    old, new = ([[parts(s), len(s)] for s in unpacked(b)] for b in (batch, changed))
    assert len(new) == len(old)
    if not any(part for s in sequences for part in parts([(t, 0) for t in s]) if len(part) > 1):
        assert new == old
    assert changed.token_type_ids is None and changed.labels is None


def test_sequences_without_special_tokens_are_told_apart() -> None:
    batch = PackedBatch.from_sequences([[10, 11, 12]] * 300)
    deleted = RandomDeletion(1.0)(batch, 0)
    assert deleted.cu_seqlens.tolist() == list(range(301))
    left = Counter(deleted.input_ids.tolist())
    assert set(left) == {10, 11, 12} and min(left.values()) > 60  # any of them may stay
    swapped = RandomSwap(0.5)(batch, 0).input_ids.numpy().reshape(300, 3)
    assert (np.sort(swapped) == [10, 11, 12]).all() and (swapped != [10, 11, 12]).any()


def test_a_type_ends_a_stretch_where_no_token_does() -> None:
    batch = PackedBatch.from_sequences([[10, 11, 12, 13]] * 50, token_type_ids=[[0, 0, 1, 1]] * 50)
    swapped = RandomSwap(0.5)(batch, 0).input_ids.numpy().reshape(50, 4)
    assert (np.sort(swapped[:, :2]) == [10, 11]).all() and (np.sort(swapped[:, 2:]) == [12, 13]).all()
    assert (swapped != [10, 11, 12, 13]).any()
    deleted = RandomDeletion(1.0)(batch, 0)
    assert deleted.token_type_ids.tolist() == [0, 1] * 50


def test_labels_that_are_one_a_token() -> None:
    batch = PackedBatch.from_sequences([[CLS, 10, 11, 12, SEP], [CLS, 13, SEP]])
    batch.labels = from_numpy(np.arange(8))
    for kind in ("deletion", "swap"):
        with pytest.raises(
            ValueError, match=r"labels: expected one label for each sequence \(2\), got 8, one for each token"
        ):
            KINDS[kind](0.5)(batch, 0)
    # Labels of any shape that are one a sequence go along.
    scores = PackedBatch.from_sequences([[CLS, 10, 11, 12, SEP]] * 2, labels=np.ones((2, 3), np.float32))
    for change in KINDS.values():
        assert change(0.5)(scores, 0).labels.tolist() == [[1.0] * 3] * 2


def test_on_a_device(device: str) -> None:
    batch = ragged(20)
    for change in KINDS.values():
        changed = change(0.3)(batch.to(device), 3)
        assert str(changed.device).startswith(device) and str(changed.labels.device).startswith(device)
        assert unpacked(changed.cpu()) == unpacked(change(0.3)(batch, 3))


def test_compose_does_one_after_the_other() -> None:
    batch = ragged()
    steps = [make(0.2, seed=4) for make in KINDS.values()]
    expected = batch
    for change in steps:
        expected = change(expected, 11)
    assert unpacked(Compose(steps)(batch, 11)) == unpacked(expected)
    assert Compose([])(batch, 0) is batch
    assert Compose([lambda b, step: b.replace(labels=None)])(batch, 0).labels is None


@pytest.mark.parametrize("make", [RandomDeletion, RandomSwap, lambda p, **k: TokenMasking(p, MASK, **k)])
def test_wrong_shares_and_seeds(make) -> None:  # type: ignore[no-untyped-def]
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(
            ValueError, match=r"\[(RandomDeletion|RandomSwap|TokenMasking)\] p: expected a number in \[0"
        ):
            make(p)
    with pytest.raises(ValueError, match="seed: expected a value"):
        make(0.1, seed=-1)


# --- by name ---


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    pytest.importorskip("tokenizers")
    return Tokenizer.train(["my card was lost", "where is my card", "我的卡丢了"] * 5, 200)


def test_augmentation_by_name(tokenizer: Tokenizer) -> None:
    keep = (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id)
    ids, types = tokenizer.encode_pairs(["my card was lost"] * 30, ["我的卡丢了"] * 30)
    batch = PackedBatch.from_sequences(ids, token_type_ids=types)
    by_hand = Compose(
        [RandomDeletion(0.1, keep, 5), RandomSwap(0.05, keep, 5), TokenMasking(0.2, tokenizer.mask_token_id, keep, 5)]
    )
    expected = unpacked(by_hand(batch, 3))
    for settings in ("deletion=0.1,swap=0.05,mask=0.2", " mask = .2, swap=5e-2,deletion=0.1 "):
        assert unpacked(augmentation(settings, tokenizer, seed=5)(batch, 3)) == expected
    assert unpacked(augmentation("swap=0.05", tokenizer, 5)(batch, 3)) == unpacked(RandomSwap(0.05, keep, 5)(batch, 3))
    assert augmentation("mask=0,deletion=0", tokenizer)(batch, 3) is batch


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", r"expected deletion=, swap= or mask=, got ''"),
        ("deletion=0.1,", r"got ''"),
        ("delete=0.1", r"got 'delete=0.1'"),
        ("swap", r"expected a number in \[0, 1\] for swap, got ''"),
        ("swap=many", r"for swap, got 'many'"),
        ("swap=nan", r"for swap, got 'nan'"),
        ("swap=-0.1", r"for swap, got '-0.1'"),
        ("swap=1.5", r"for swap, got '1.5'"),
        ("swap=0.1,mask=0.1,swap=0.2", r"expected each name once, got 'swap' twice"),
    ],
)
def test_wrong_settings(tokenizer: Tokenizer, settings: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"\[augmentation\] settings: .*" + message):
        augmentation(settings, tokenizer)


def test_masking_needs_a_mask_token() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]")
    bare = Tokenizer(tokenizers.Tokenizer(model))
    with pytest.raises(ValueError, match="expected a tokenizer with a mask token for mask=, got one without"):
        augmentation("mask=0.1", bare)
    batch = PackedBatch.from_sequences([[1, 1, 0, 1]])
    assert augmentation("deletion=1", bare)(batch, 0).total_tokens == 1
