"""Attention maps against the layers' own outputs; integrated gradients against forward differences in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import engine
from engine.inference import attention_maps, attention_of, explain_examples, integrated_gradients
from engine.inference.explain import token_texts
from engine.metrics import worst_examples
from engine.models import (
    BertForSequenceClassification,
    BertForTokenClassification,
    TransformerClassifier,
    TransformerConfig,
)
from engine.report.html import render_report
from engine.text import PackedBatch, TextDataset

GOLDEN = Path(__file__).parent / "golden"
CONFIG = TransformerConfig(
    vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24,
    max_position_embeddings=16, num_labels=3, pooling="mean", initializer_range=0.4,
)  # fmt: skip
TEXTS = [[2, 9, 17, 5, 3], [2], [2, 30, 31, 32, 33, 34, 3]]


def toy(kind=TransformerClassifier, **changes):
    engine.manual_seed(1)
    return kind(TransformerConfig.from_dict({**CONFIG.to_dict(), **changes}))


def packed(texts=TEXTS):
    return PackedBatch.from_sequences(texts)


@pytest.mark.parametrize("changes", [{}, {"pooling": "first"}, {"norm_first": True, "pooling": "first"}])
def test_attention_gives_what_the_layers_give(changes):
    model, batch, seen = toy(**changes), packed(), []
    for layer in model.bert.encoder.layer:
        module = layer.attention.get_submodule("self")
        module.register_forward_hook(
            lambda m, args, out: seen.append((m.qkv(args[0]).detach().numpy(), out.detach().numpy()))
        )
    assert model.training
    maps = attention_maps(model, batch)
    assert model.training and [m.shape for m in maps] == [(2, 4, 5, 5), (2, 4, 1, 1), (2, 4, 7, 7)]
    for m in maps:
        assert m.dtype == np.float32
        np.testing.assert_allclose(m.sum(-1), 1, atol=1e-6)
    assert len(np.unique(maps[0].round(3))) > 20  # not all alike
    starts = batch.cu_seqlens.numpy()
    for i, (qkv, out) in enumerate(seen):
        value = qkv.reshape(-1, 3, 4, 4)[:, 2]
        mine = [np.einsum("hij,jhd->ihd", m[i], value[a:b]) for m, a, b in zip(maps, starts, starts[1:])]
        if len(out) == len(TEXTS):  # a last layer that computes first tokens alone
            mine = [y[:1] for y in mine]
        np.testing.assert_allclose(np.concatenate(mine).reshape(len(out), 16), out, atol=2e-6)
    before = len(seen)
    attention_maps(model, batch)
    assert len(seen) == 2 * before  # its own hooks are gone: no layer is seen twice


def test_attention_of_nothing_and_of_encoders():
    model = toy()
    assert [m.shape for m in attention_maps(model.bert, packed([[], [4]]))] == [(2, 4, 0, 0), (2, 4, 1, 1)]
    np.testing.assert_array_equal(attention_maps(model.bert, packed())[0], attention_maps(model, packed())[0])
    assert attention_maps(toy(num_hidden_layers=0), packed())[0].shape == (0, 4, 5, 5)


def test_attention_is_that_of_transformers():
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    folder = GOLDEN / "bert" / "sequence"
    peer = transformers.BertForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    mine = attention_maps(BertForSequenceClassification.from_pretrained(folder), packed())
    for text, m in zip(TEXTS, mine):
        with torch.no_grad():
            theirs = peer(torch.tensor([text]), output_attentions=True).attentions
        np.testing.assert_allclose(m, np.stack([a[0].numpy() for a in theirs]), atol=2e-6)


def test_layers_that_run_several_times_count_each_time():
    folder = GOLDEN / "albert" / "sequence"
    model = BertForSequenceClassification.from_pretrained(folder)
    (m,) = attention_maps(model, packed([[2, 5, 7, 3]]))
    assert len(m) == model.config.num_hidden_layers > len(model.bert.encoder.layer)
    assert not np.allclose(m[0], m[1])


def by_differences(model, text, target, begin_rows, points=200, step=1e-4):
    """Integrated gradients of a text by central differences of the model's output alone, and the two scores."""
    words = model.bert.embeddings.word_embeddings.weight.detach().numpy()
    end, batch = words[text], packed([text])

    def score(rows):
        with engine.no_grad():
            return float(model(batch, inputs_embeds=engine.from_numpy(np.ascontiguousarray(rows))).numpy()[0, target])

    values = np.zeros(len(text))
    for alpha in (np.arange(points) + 0.5) / points:
        at = begin_rows + alpha * (end - begin_rows)
        for j in range(len(text)):
            move = np.zeros_like(end)
            move[j] = step * (end[j] - begin_rows[j])
            values[j] += (score(at + move) - score(at - move)) / (2 * step * points)
    return values, score(end), score(begin_rows)


@pytest.mark.parametrize(("baseline", "pooling"), [("zero", "mean"), ("pad", "first"), (7, "mean")])
def test_integrated_gradients_are_those_of_differences(baseline, pooling):
    model = toy(pooling=pooling).double().eval()
    words = model.bert.embeddings.word_embeddings.weight.detach().numpy()
    words[0] = np.linspace(-1, 1, 16)  # a padding token that is not zero
    row = np.zeros(16) if baseline == "zero" else words[0 if baseline == "pad" else baseline]
    found = integrated_gradients(model, packed(), 1, steps=48, baseline=baseline, special_ids=[3])
    for text, part in zip((TEXTS[0], TEXTS[1]), found):
        begin = np.array([words[t] if t == 3 else row for t in text])
        values, score, low = by_differences(model, text, 1, begin)
        np.testing.assert_allclose(part.values, values, atol=2e-4 * np.abs(values).max() + 1e-9)
        assert part.score == pytest.approx(score) and part.baseline_score == pytest.approx(low)
        assert part.target == 1 and abs(part.delta) < 1e-3 * max(1, abs(score - low))
    assert found[0].values[-1] == 0 and np.abs(found[0].values[:-1]).min() > 0


def test_more_steps_are_more_complete_and_batches_change_nothing():
    model = toy()
    coarse, fine = (integrated_gradients(model, packed(), steps=n) for n in (2, 40))
    assert max(abs(p.delta) for p in fine) < 1e-3 < max(abs(p.delta) for p in coarse)
    logits = model.eval()(packed()).detach().numpy()
    assert [p.target for p in fine] == logits.argmax(1).tolist()
    np.testing.assert_allclose([p.score for p in fine], logits.max(1), rtol=1e-5)
    small = integrated_gradients(model, packed(), steps=40, max_tokens=1)
    alone = integrated_gradients(model, packed(TEXTS[2:]), steps=40)[0]
    for a, b in zip(fine, small):
        np.testing.assert_allclose(a.values, b.values, atol=1e-5)
    np.testing.assert_allclose(fine[2].values, alone.values, atol=1e-5)
    each = integrated_gradients(model, packed(), [0, 1, 2], steps=4)
    assert [p.target for p in each] == [0, 1, 2]


def test_the_model_is_left_as_it_was():
    model = toy()
    model.classifier.weight.requires_grad_(False)
    before = {name: (p.requires_grad, p.grad) for name, p in model.named_parameters()}
    weights = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    integrated_gradients(model, packed(), steps=2)
    assert model.training and before == {name: (p.requires_grad, p.grad) for name, p in model.named_parameters()}
    with pytest.raises(ValueError, match="target"):
        integrated_gradients(model, packed(), 3)
    assert model.training and before == {name: (p.requires_grad, p.grad) for name, p in model.named_parameters()}
    assert all(np.array_equal(weights[name], p.detach().numpy()) for name, p in model.named_parameters())


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "electra", "albert"])
def test_every_family_is_explained(family):
    model = BertForSequenceClassification.from_pretrained(GOLDEN / family / "sequence")
    batch = PackedBatch.from_sequences([[2, 5, 6, 7, 3], [2, 8, 3]])
    for part in integrated_gradients(model, batch, steps=1000):
        assert abs(part.delta) < 2e-3 * max(1.0, abs(part.score - part.baseline_score))
        assert np.abs(part.values).max() > 0


def test_token_types_count():
    model = toy(type_vocab_size=2)
    types = [[0, 0, 1, 1, 1], [0], [0] * 7]
    typed = integrated_gradients(model, PackedBatch.from_sequences(TEXTS, token_type_ids=types), 0, steps=8)
    plain = integrated_gradients(model, packed(), 0, steps=8)
    assert not np.allclose(typed[0].values, plain[0].values, atol=1e-4)
    np.testing.assert_allclose(typed[2].values, plain[2].values, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: attention_maps(engine.nn.Linear(2, 2), packed()), TypeError, "model: expected a transformer"),
        (lambda: attention_maps(toy(), engine.ones(2, 2)), TypeError, "batch: expected a PackedBatch, got Tensor"),
        (lambda: integrated_gradients(toy(), packed(), steps=0), ValueError, "steps: expected at least 1"),
        (
            lambda: integrated_gradients(toy(), packed(), baseline="mask"),
            ValueError,
            "baseline: expected 'pad', 'zero'",
        ),
        (lambda: integrated_gradients(toy(), packed(), baseline=40), ValueError, r"token id in \[0, 40\), got 40"),
        (lambda: integrated_gradients(toy(), packed(), baseline=None), TypeError, "baseline: expected"),
        (lambda: integrated_gradients(toy(pad_token_id=None), packed()), ValueError, "no padding token"),
        (
            lambda: integrated_gradients(toy(), packed(), [0, 1]),
            ValueError,
            "target: expected None, a class number, or 3",
        ),
        (lambda: integrated_gradients(toy(), packed(), -1), ValueError, r"target: expected class numbers in \[0, 3\)"),
        (lambda: integrated_gradients(toy(), packed(), 0.5), ValueError, "target"),
        (
            lambda: integrated_gradients(toy(BertForTokenClassification, model_type="bert"), packed()),
            ValueError,
            r"model: expected logits \(3, num_labels\), got \(13, 3\)",
        ),
    ],
)
def test_errors_name_the_argument(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_no_texts_have_no_explanations():
    assert integrated_gradients(toy(), packed([])) == [] and attention_maps(toy(), packed([])) == []


def test_from_texts_to_the_page(tmp_path):
    pytest.importorskip("tokenizers")
    from engine.text import Tokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "where", "is", "my", "card", "##s", "银", "行", "卡"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    tokenizer = Tokenizer.from_vocab(tmp_path / "vocab.txt")
    texts, labels = ["where is my cards", "银行卡", ""], ["a", "b", "c"]
    dataset = TextDataset.from_texts(texts, tokenizer, max_length=16)
    model = toy()
    logits = model.eval()(dataset.gather([0, 1, 2])).detach().numpy()
    worst = worst_examples(texts, np.array([0, 1, 2]), logits, labels)
    examples = explain_examples(worst, model, dataset, tokenizer, labels, steps=8)
    first = next(e for e in examples if e["index"] == 0)
    assert first["tokens"] == ["[CLS]", "where", "is", "my", "card", "##s", "[SEP]"]
    assert first["attributions"][0] == first["attributions"][-1] == 0 and first["attributions"][4] != 0
    assert first["text"] == texts[0] and abs(first["delta"]) < 0.1
    report = {"examples": examples, "attention": attention_of(model, dataset, tokenizer, 1)}
    page = render_report(report)
    assert page.count('class="token') == 7 + 5 + 2 and page.count("<image") == 2 and ">银</span>" in page
    assert explain_examples([], model, dataset, tokenizer, labels) == []


def test_byte_level_tokens_are_letters_again():
    pytest.importorskip("tokenizers")
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers

    from engine.text import Tokenizer

    pieces = ["<pad>", "Ġcaf", "Ã©", "éĵ¶", "Ġ", "éĵ", "a"]
    backend = Backend(models.BPE({piece: i for i, piece in enumerate(pieces)}, []))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = Tokenizer(backend, {"pad": "<pad>"})
    assert token_texts(tokenizer, range(7)) == ["<pad>", "Ġcaf", "é", "银", "Ġ", "\ufffd", "a"]
