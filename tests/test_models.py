"""The transformer encoder and classifier: against float64 NumPy sequence by sequence, packed against padded, files."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest

import engine
import reference
from engine import nn, optim
from engine.models import TransformerClassifier, TransformerConfig, TransformerEncoderModel
from engine.serialization import load_file, save_file
from engine.text.packed import PackedBatch

CONFIG = TransformerConfig(
    vocab_size=23, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20,
    max_position_embeddings=9, num_labels=4, pad_token_id=None, initializer_range=0.3,
)  # fmt: skip
VARIANTS = {
    "post-LN": CONFIG,
    "pre-LN": replace(CONFIG, norm_first=True),
    "types": replace(CONFIG, type_vocab_size=2, pooler=True),
    "mean": replace(CONFIG, pooling="mean"),
    "max": replace(CONFIG, pooling="max", layer_norm_eps=1e-3),
}
SEQUENCES = [[3, 1, 4, 1, 5], [9], [2, 6, 5, 3, 5, 8, 9, 7, 22], [0, 21]]
TYPES = [[0, 0, 1, 1, 1], [1], [0] * 9, [0, 1]]
LABELS = [1, 0, 3, 2]


COPIES = {"cpu": 1, "cuda": 6}  # of the sequences: more than a tile


def model(config: TransformerConfig, kind=TransformerClassifier, seed: int = 0, device: str = "cpu"):
    """In float64 (on a CUDA device float32) and evaluation mode, every parameter away from 0 and 1."""
    engine.manual_seed(seed)
    m = kind(config).to(device, engine.float64 if device == "cpu" else engine.float32).eval()
    rng = np.random.default_rng(seed)
    with engine.no_grad():
        for p in m.parameters():
            p.copy_(p + engine.tensor(rng.uniform(-0.2, 0.2, p.shape), dtype=p.dtype, device=device))
    return m


def arrays(m: nn.Module) -> dict[str, np.ndarray]:
    return {name: t.cpu().numpy().astype(np.float64) for name, t in m.state_dict().items()}


def padded(sequences, left: bool = False, extra: int = 1):
    width = max(map(len, sequences)) + extra
    ids, mask = np.full((len(sequences), width), 7), np.zeros((len(sequences), width), np.int64)
    for i, s in enumerate(sequences):
        at = slice(width - len(s), width) if left else slice(0, len(s))
        ids[i, at], mask[i, at] = s, 1
    return engine.from_numpy(ids), engine.from_numpy(mask)


@pytest.mark.parametrize("name", VARIANTS)
def test_forward_against_numpy(name, device):
    c = VARIANTS[name]
    close = {"rtol": 1e-10, "atol": 1e-11} if device == "cpu" else {"rtol": 1e-4, "atol": 2e-5}
    m = model(c, device=device)
    sequences = SEQUENCES * COPIES[device]
    types = TYPES * COPIES[device] if c.type_vocab_size else None
    batch = PackedBatch.from_sequences(sequences, token_type_ids=types).to(device)
    np.testing.assert_allclose(
        m(batch).detach().cpu().numpy(), reference.classify(arrays(m), sequences, c, types), **close
    )
    encoder = model(c, TransformerEncoderModel, device=device)
    hidden = encoder(batch)
    assert hidden.shape == (17 * COPIES[device], 12)
    wanted = [reference.bert(arrays(encoder), s, c, types and types[i]) for i, s in enumerate(sequences)]
    np.testing.assert_allclose(hidden.detach().cpu().numpy(), np.concatenate(wanted), **close)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_on_cuda_as_on_the_cpu(name, cuda):
    """Those of the CPU are compared with NumPy's below."""
    c = VARIANTS[name]
    found = []
    for device in ("cpu", cuda):
        m = model(c).float().to(device)
        batch = PackedBatch.from_sequences(SEQUENCES * COPIES[cuda], labels=LABELS * COPIES[cuda]).to(device)
        nn.functional.cross_entropy(m(batch), batch.labels).backward()
        found.append({n: p.grad.cpu().numpy() for n, p in m.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for key, wanted in found[0].items():
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(found[1][key], wanted, rtol=1e-3, atol=2e-5 * scale, err_msg=key)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_against_numpy(name):
    """The loss's slope along random directions of all parameters, by central differences of the NumPy model."""
    c = VARIANTS[name]
    m = model(c)
    loss = nn.functional.cross_entropy(m(PackedBatch.from_sequences(SEQUENCES)), engine.tensor(LABELS))
    p = arrays(m)
    assert loss.item() == pytest.approx(reference.cross_entropy(reference.classify(p, SEQUENCES, c), LABELS), rel=1e-12)
    loss.backward()
    # Gradients under the published names: they are a state like any other.
    gradients = copy.deepcopy(m)
    with engine.no_grad():
        for q, g in zip(gradients.parameters(), m.parameters()):
            q.copy_(g.grad)
    g = arrays(gradients)
    rng = np.random.default_rng(1)
    for key in p:
        direction = rng.choice([-1.0, 1.0], p[key].shape)

        def at(h, key=key, direction=direction):
            moved = {**p, key: p[key] + h * direction}
            return reference.cross_entropy(reference.classify(moved, SEQUENCES, c), LABELS)

        h = 1e-5
        slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
        assert float((g[key] * direction).sum()) == pytest.approx(slope, rel=1e-6, abs=1e-8), key


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_rectangle_is_the_packed_batch(name, left):
    c = VARIANTS[name]
    extra = 0 if left else 1  # on the left, it would be a position more than the table has
    ids, mask = padded(SEQUENCES, left, extra)
    types = None
    if c.type_vocab_size:
        types = engine.from_numpy(np.where(mask.numpy(), padded(TYPES, left, extra)[0].numpy(), 0))
    batch = PackedBatch.from_padded(ids, mask, token_type_ids=types)
    if left:  # a position is a column of the rectangle
        batch.position_ids = engine.from_numpy(mask.numpy().nonzero()[1])
    m = model(c)
    for each in (mask, mask.to(engine.bool), mask.float()):
        assert m(ids, each, types).tolist() == m(batch).tolist()
    encoder = model(c, TransformerEncoderModel)
    out = encoder(ids, mask, token_type_ids=types)
    assert out.shape == (*ids.shape, 12)
    real = mask.numpy() == 1
    assert out.detach().numpy()[real].tolist() == encoder(batch).tolist() and not out.detach().numpy()[~real].any()
    # The gradient goes through the door both ways.
    weights = np.random.default_rng(2).standard_normal(out.shape)
    (out * engine.tensor(weights)).sum().backward()
    found = [p.grad.numpy().copy() for p in encoder.parameters() if p.grad is not None]
    encoder.zero_grad()
    (encoder(batch) * engine.tensor(weights[real])).sum().backward()
    for a, p in zip(found, [p for p in encoder.parameters() if p.grad is not None]):
        np.testing.assert_allclose(a, p.grad.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("changes", [{}, {"position_offset": 3, "pad_token_id": 2, "max_position_embeddings": 12}])
def test_positions_of_a_rectangle(changes, device):
    """Columns; or, if the table has rows before the first position, the ids so far that are not the padding token's."""
    c = replace(CONFIG, **changes)
    m = model(c, TransformerEncoderModel).float().to(device)
    ids, mask = np.array([[2, 5, 2, 7, 1], [3, 4, 2, 2, 6]]), np.array([[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]])
    rows = [[1, 3, 4], [0, 2, 4]] if not changes else [[3, 4, 5], [3, 2, 5]]
    batch = PackedBatch.from_sequences([[5, 7, 1], [3, 2, 6]]).to(device)
    batch.position_ids = engine.tensor(np.array(rows).reshape(-1) - c.position_offset).to(device)
    found = m(engine.tensor(ids).to(device), engine.tensor(mask).to(device)).detach().cpu().numpy()
    np.testing.assert_array_equal(found[mask == 1], m(batch).detach().cpu().numpy())


def test_without_padding():
    m = model(CONFIG)
    ids = engine.tensor([[1, 2, 3], [4, 5, 6]])
    assert (
        m(ids).tolist()
        == m(ids, engine.ones_like(ids)).tolist()
        == m(PackedBatch.from_sequences(ids.tolist())).tolist()
    )


def test_the_textbook_loop():
    """The loop as it stands in every tutorial; only the imports differ."""
    engine.manual_seed(0)
    config = TransformerConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, intermediate_size=64)
    model = TransformerEncoderModel(config)
    classifier = nn.Linear(32, 3)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.AdamW([*model.parameters(), *classifier.parameters()], lr=3e-3)
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(60):
        lengths = rng.integers(2, 9, 16)
        input_ids = engine.tensor(rng.integers(3, 50, (16, 8)))
        labels = engine.tensor(rng.integers(0, 3, 16))
        input_ids[:, 0] = labels
        attention_mask = engine.tensor(np.arange(8) < lengths[:, None])

        outputs = model(input_ids, attention_mask)
        logits = classifier(outputs[:, 0, :])
        loss = criterion(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.2 < np.mean(losses[:5])


def test_a_tiny_classifier_learns_its_data_by_heart():
    engine.manual_seed(1)
    rng = np.random.default_rng(1)
    config = TransformerConfig(vocab_size=40, hidden_size=32, intermediate_size=64, num_labels=5, pooling="mean")
    sequences = [rng.integers(1, 40, rng.integers(1, 20)).tolist() for _ in range(40)]
    labels = rng.integers(0, 5, 40).tolist()
    m = TransformerClassifier(config)
    decay = [p for n, p in m.named_parameters() if not n.endswith("bias") and "LayerNorm" not in n]
    plain = [p for n, p in m.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
    optimizer = optim.AdamW([{"params": decay}, {"params": plain, "weight_decay": 0.0}], lr=2e-3)
    schedule = optim.get_linear_schedule_with_warmup(optimizer, 5, 80)
    batch = PackedBatch.from_sequences(sequences, labels=labels)
    for _ in range(80):
        loss = nn.functional.cross_entropy(m(batch), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(m.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    m.eval()
    with engine.no_grad():
        assert m(batch).argmax(-1).tolist() == labels


def test_training_and_evaluation(device):
    engine.manual_seed(0)
    m = TransformerClassifier(CONFIG).to(device)
    batch = PackedBatch.from_sequences(SEQUENCES * COPIES[device]).to(device)
    assert m(batch).tolist() != m(batch).tolist()
    m.eval()
    assert m(batch).tolist() == m(batch).tolist()
    assert copy.deepcopy(m)(batch).tolist() == m(batch).tolist()

    def trained():
        engine.manual_seed(3)
        m = TransformerClassifier(CONFIG).to(device)
        optimizer = optim.AdamW(m.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            m(batch).sum().backward()
            optimizer.step()
        return [p.tolist() for p in m.parameters()]

    assert trained() == trained()


def test_published_names():
    names = list(
        TransformerClassifier(replace(CONFIG, num_hidden_layers=1, type_vocab_size=2, pooler=True)).state_dict()
    )
    assert sorted(names) == sorted(
        ["bert.embeddings.word_embeddings.weight", "bert.embeddings.position_embeddings.weight"]
        + ["bert.embeddings.token_type_embeddings.weight"]
        + [
            f"bert.{layer}.{kind}"
            for layer in (
                "embeddings.LayerNorm", "encoder.layer.0.attention.self.query", "encoder.layer.0.attention.self.key",
                "encoder.layer.0.attention.self.value", "encoder.layer.0.attention.output.dense",
                "encoder.layer.0.attention.output.LayerNorm", "encoder.layer.0.intermediate.dense",
                "encoder.layer.0.output.dense", "encoder.layer.0.output.LayerNorm", "pooler.dense",
            )
            for kind in ("weight", "bias")
        ]
        + ["classifier.weight", "classifier.bias"]
    )  # fmt: skip


def test_state_dict_of_the_joined_projection(device):
    a, b = model(CONFIG, device=device), model(CONFIG, seed=1, device=device)
    batch = PackedBatch.from_sequences(SEQUENCES * COPIES[device]).to(device)
    assert b.load_state_dict(a.state_dict()) == ([], [])
    assert a(batch).tolist() == b(batch).tolist()
    state = a.state_dict()
    del state["bert.encoder.layer.1.attention.self.key.bias"]
    state["bert.encoder.layer.0.attention.self.value.weight"] = engine.zeros(3, 3)
    with pytest.raises(ValueError) as error:
        b.load_state_dict(state)
    assert "missing: bert.encoder.layer.1.attention.self.key.bias\n" in str(error.value)
    assert "mis-shaped: bert.encoder.layer.0.attention.self.value.weight: expected shape (12, 12), got (3, 3)" in str(
        error.value
    )


def test_save_and_load(tmp_path, device):
    config = replace(CONFIG, id2label={0: "zero", 1: "één", 2: "two", 3: "three"})
    m = model(config, device=device).float()
    m.save_pretrained(tmp_path / "a" / "b")
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == ["config.json", "model.safetensors"]
    other = TransformerClassifier.from_pretrained(tmp_path / "a" / "b").to(device)
    batch = PackedBatch.from_sequences(SEQUENCES * COPIES[device]).to(device)
    assert other.config == config and not other.training and other(batch).tolist() == m(batch).tolist()
    m.save_pretrained(tmp_path / "a" / "b")  # in place of the old one


def test_damaged_files(tmp_path):
    def attempt(error, message):
        with pytest.raises(error, match=message):
            TransformerClassifier.from_pretrained(tmp_path)

    attempt(FileNotFoundError, "an existing file, got .*config.json")
    model(CONFIG).save_pretrained(tmp_path)
    path, weights = tmp_path / "config.json", tmp_path / "model.safetensors"
    good, whole = path.read_text(), weights.read_bytes()
    for text, message in [
        ("{", "expected JSON"),
        ("[]", "expected a JSON object"),
        ("{}", "vocab_size: expected a number"),
        (json.dumps({**json.loads(good), "hidden_size": "12"}), "hidden_size: expected an integer"),
        (json.dumps({**json.loads(good), "vocab_size": 2**30}), r"expected weights for the \d+ parameters"),
        (json.dumps({**json.loads(good), "num_hidden_layers": 1}), "unexpected: bert.encoder.layer.1"),
        (
            json.dumps({**json.loads(good), "num_labels": 7}),
            r"mis-shaped: classifier.weight: expected shape \(7, 12\), got \(4, 12\)",
        ),
    ]:
        path.write_text(text)
        attempt(ValueError, message)
    path.write_text(good)
    weights.write_bytes(whole[:-1])
    attempt(ValueError, "safetensors")
    weights.unlink()
    attempt(FileNotFoundError, "model.safetensors")
    save_file({k: t.to(engine.bfloat16) for k, t in model(CONFIG).state_dict().items()}, weights)
    assert load_file(weights)["classifier.bias"].dtype is engine.bfloat16
    assert TransformerClassifier.from_pretrained(tmp_path).classifier.bias.dtype is engine.float32


def test_mistakes():
    m = TransformerClassifier(CONFIG)
    for wrong, error, message in [
        (lambda: m(engine.tensor([[23]])), IndexError, "input"),
        (lambda: m(engine.ones(1, 10, dtype=engine.int64)), ValueError, "at most 9 tokens a sequence .*, got 10"),
        (lambda: m(engine.tensor([1, 2])), ValueError, r"expected shape \(batch, length\), got \(2,\)"),
        (lambda: m([[1]]), TypeError, "expected a Tensor or a packed batch, got list"),
        (
            lambda: m(engine.tensor([[1, 2]]), engine.tensor([[1]])),
            ValueError,
            r"attention_mask: expected shape \(1, 2\)",
        ),
        (
            lambda: m(engine.tensor([[1, 2]]), engine.tensor([[1, 3]])),
            ValueError,
            r"expected 0 \(padding\) and 1, got 3",
        ),
        (
            lambda: m(PackedBatch.from_sequences([[1]]), engine.tensor([[1]])),
            ValueError,
            "attention_mask: expected None for a packed batch",
        ),
        (lambda: TransformerClassifier({}), TypeError, "expected a TransformerConfig, got dict"),
        (lambda: replace(CONFIG, hidden_size=13), ValueError, "multiple of the number of attention heads"),
        (lambda: replace(CONFIG, hidden_act="swish"), ValueError, "hidden_act: expected one of gelu"),
        (lambda: replace(CONFIG, pooling="last"), ValueError, "pooling: expected one of first, mean, max"),
        (lambda: replace(CONFIG, hidden_dropout_prob=1.5), ValueError, "hidden_dropout_prob"),
        (lambda: replace(CONFIG, vocab_size=0), ValueError, "vocab_size"),
        (lambda: replace(CONFIG, num_labels=True), TypeError, "num_labels"),
        (lambda: replace(CONFIG, pad_token_id=99), ValueError, "pad_token_id"),
    ]:
        with pytest.raises(error, match=message):
            wrong()


def test_config_from_a_dict():
    c = TransformerConfig.from_dict({"vocab_size": 5, "model_type": "bert", "id2label": {"0": "a", "1": "b", "2": "c"}})
    assert c.num_labels == 3 and c.id2label == {0: "a", 1: "b", 2: "c"}
    assert TransformerConfig.from_dict(json.loads(json.dumps(c.to_dict()))) == c


@pytest.mark.parametrize("act", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "tanh"])
def test_activations(act):
    m = model(replace(CONFIG, hidden_act=act))
    assert m(PackedBatch.from_sequences(SEQUENCES)).shape == (4, 4)


@pytest.mark.parametrize("name", ["post-LN", "pre-LN", "types"])
@pytest.mark.parametrize("sequences", [SEQUENCES, [[4], [2, 3]]], ids=["ragged", "short"])
def test_only_what_pooling_reads_is_computed_of_the_last_layer(name, sequences, device):
    m = model(VARIANTS[name], device=device)
    sequences = sequences * (1 if device == "cpu" else 35)
    close = {"rtol": 1e-10, "atol": 1e-11} if device == "cpu" else {"rtol": 1e-3, "atol": 2e-4}
    batch = PackedBatch.from_sequences(sequences).to(device)
    weights = engine.tensor(np.random.default_rng(1).standard_normal((len(sequences), 4))).to(
        device, m.classifier.weight.dtype
    )
    found = {}
    for compute_unread in (True, False):
        m.bert.compute_unread = compute_unread
        m.zero_grad()
        logits = m(batch)
        (logits * weights).sum().backward()
        found[compute_unread] = {n: p.grad.cpu().numpy().copy() for n, p in m.named_parameters()} | {
            "": logits.detach().cpu().numpy()
        }
    for key, full in found[True].items():
        np.testing.assert_allclose(found[False][key], full, **close, err_msg=key)


@pytest.mark.parametrize("name", ["post-LN", "pre-LN"])
@pytest.mark.parametrize("compute_unread", [True, False])
def test_a_sequence_without_a_first_token_is_refused(name, compute_unread):
    m = model(VARIANTS[name])
    m.bert.compute_unread = compute_unread
    with pytest.raises(ValueError, match="no empty sequence"):
        m(PackedBatch.from_sequences([[5, 6], [], [7]]))


def test_what_is_not_read_is_not_computed(monkeypatch):
    m = model(CONFIG)
    rows = []
    linear_gelu = nn.functional.linear_gelu
    monkeypatch.setattr(nn.functional, "linear_gelu", lambda x, *a: rows.append(x.shape[0]) or linear_gelu(x, *a))
    m(PackedBatch.from_sequences(SEQUENCES))
    assert rows == [17, 4]
    m.bert.compute_unread = True
    m(PackedBatch.from_sequences(SEQUENCES))
    assert rows == [17, 4, 17, 17]
