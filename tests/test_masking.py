"""Masked language modelling: what is hidden, how often, the same way each time; figures of hidden tokens."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine.models import BertForMaskedLM, TransformerConfig
from engine.tasks import evaluate_masked
from engine.text import MaskedLanguageModeling, PackedBatch

VOCABULARY, MASK, SPECIAL = 60, 4, (0, 2, 3, 4)


def batch_of(lengths=(500, 300, 700), seed=0):
    rng = np.random.default_rng(seed)
    return PackedBatch.from_sequences([[2, *rng.integers(5, VOCABULARY, n).tolist(), 3] for n in lengths])


def masking(**changes):
    return MaskedLanguageModeling(**{"mask_id": MASK, "vocab_size": VOCABULARY, "special_ids": SPECIAL, **changes})


def test_shares_of_what_happens():
    before = np.concatenate([batch_of(seed=i).input_ids.numpy() for i in range(20)])
    made = [masking(seed=3)(batch_of(seed=i), i) for i in range(20)]
    after = np.concatenate([batch.input_ids.numpy() for batch in made])
    labels = np.concatenate([batch.labels.numpy() for batch in made])
    chosen = labels != -100
    free = ~np.isin(before, SPECIAL)
    assert not chosen[~free].any() and (labels[chosen] == before[chosen]).all()
    assert (after[~chosen] == before[~chosen]).all()
    n, k = free.sum(), chosen.sum()
    for share, expected, of in (
        (k / n, 0.15, n),
        ((after[chosen] == MASK).mean(), 0.8, k),
        # A random token is the old one in one case of 56.
        ((after[chosen] == before[chosen]).mean(), 0.1 + 0.1 / 56, k),
    ):
        assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / of)
    drawn = after[chosen & (after != MASK) & (after != before)]
    assert not np.isin(drawn, SPECIAL).any()
    counts = np.bincount(drawn, minlength=VOCABULARY)[[1, *range(5, VOCABULARY)]]
    expected = drawn.size / 56
    chi = ((counts - expected) ** 2 / expected).sum()
    assert 20 < chi < 110  # 55 degrees of freedom: all ids, and no pattern


def test_decided_by_seed_step_and_position():
    batch = batch_of()
    kept = batch.input_ids.numpy().copy()
    one, same = masking(seed=1)(batch, 7), masking(seed=1)(batch, 7)
    assert np.array_equal(one.input_ids.numpy(), same.input_ids.numpy())
    assert np.array_equal(one.labels.numpy(), same.labels.numpy()) and one.labels.dtype is engine.int64
    assert np.array_equal(batch.input_ids.numpy(), kept) and batch.labels is None
    for other in (masking(seed=2)(batch, 7), masking(seed=1)(batch, 8)):
        assert not np.array_equal(one.labels.numpy(), other.labels.numpy())
    # A position's fate does not depend on what stands behind it.
    short = PackedBatch.from_sequences([kept[:400]])
    assert np.array_equal(masking(seed=1)(short, 7).labels.numpy(), one.labels.numpy()[:400])


def test_at_least_one_token_where_there_is_one():
    one = PackedBatch.from_sequences([[2, 9, 3], [2, 3]])
    for step in range(20):
        assert masking(p=1e-9)(one, step).labels.tolist() == [-100, 9, -100, -100, -100]
    none = masking()(PackedBatch.from_sequences([[2, 3], []]), 0)
    assert none.labels.tolist() == [-100, -100] and none.input_ids.tolist() == [2, 3]
    assert masking()(PackedBatch.from_sequences([]), 0).labels.shape == (0,)
    everything = masking(p=1)(batch_of(), 0).labels.numpy()
    assert (everything != -100).sum() == 1500


def test_whole_words():
    continues = np.zeros(VOCABULARY, np.bool_)
    continues[30:] = True
    words = masking(p=0.3, continues=continues)
    batch = batch_of((2000,))
    ids = batch.input_ids.numpy()
    chosen = words(batch, 0).labels.numpy() != -100
    for i in range(2, ids.size - 1):  # 1 follows [CLS]: it begins a word whatever it is
        if continues[ids[i]]:
            assert chosen[i] == chosen[i - 1]
    assert 0.22 < chosen[1:-1].mean() < 0.38
    # A sequence that begins with a continuation does not belong to the one before it.
    apart = [words(PackedBatch.from_sequences([[9], [40]]), step).labels.numpy() != -100 for step in range(60)]
    assert any(a != b for a, b in apart)


def test_of_a_tokenizer():
    pytest.importorskip("tokenizers")
    from engine.text import Tokenizer

    tokenizer = Tokenizer.train(["playing played player plays 猫"] * 3, 60, min_frequency=1)
    made = MaskedLanguageModeling.of(tokenizer, whole_word=True)
    batch = PackedBatch.from_sequences([tokenizer.encode("playing plays 猫"), tokenizer.encode("猫 unknown☃")])
    labels = MaskedLanguageModeling.of(tokenizer, p=1)(batch, 0).labels.numpy()
    special = [0, 1, 2, 3, 4]
    assert np.array_equal(labels == -100, np.isin(batch.input_ids.numpy(), special))
    assert made.mask_id == tokenizer.mask_token_id
    with pytest.raises(ValueError, match="whole_word: expected tokens that begin with '##'"):
        MaskedLanguageModeling.of(Tokenizer.train(["abc abc"], 300, "bpe"), whole_word=True)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"p": 0.0}, r"p: expected a number in \(0, 1\], got 0.0"),
        ({"p": 1.5}, "p: expected"),
        ({"special_ids": [60]}, r"special_ids: expected ids in \[0, 60\), got 60"),
        ({"mask_id": -1}, "got -1"),
        ({"special_ids": range(60)}, "at least one id that is not special, got all 60 ids"),
        ({"continues": np.zeros(3, np.bool_)}, r"continues: expected bool \(60,\)"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        masking(**changes)


def test_ids_out_of_range():
    with pytest.raises(IndexError, match=r"input_ids: expected ids in \[0, 60\), got 60"):
        masking()(PackedBatch.from_sequences([[2, 60, 3]]), 0)


def test_figures_of_hidden_tokens():
    engine.manual_seed(0)
    model = BertForMaskedLM(
        TransformerConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, intermediate_size=32,
                          max_position_embeddings=64, model_type="bert")
    ).eval()  # fmt: skip
    batches = [masking()(batch_of((40, 13), seed=i), i) for i in range(3)]
    nothing = masking()(PackedBatch.from_sequences([[2, 3]]), 0)
    figures = evaluate_masked(model, [*batches, nothing])
    logits = np.concatenate([model(batch).detach().numpy() for batch in batches]).astype(np.float64)
    labels = np.concatenate([batch.labels.numpy() for batch in batches])
    logits, labels = logits[labels != -100], labels[labels != -100]
    losses = np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(labels)), labels]
    assert figures["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert figures["perplexity"] == pytest.approx(np.exp(losses.mean()), rel=1e-5)
    assert figures["accuracy"] == pytest.approx((logits.argmax(-1) == labels).mean())
    with pytest.raises(ValueError, match="at least one token to guess"):
        evaluate_masked(model, [nothing])
    with pytest.raises(ValueError, match="expected labels"):
        evaluate_masked(model, [batch_of()])
