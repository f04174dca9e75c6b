"""A part that is not plain is called: hooks, subclasses, replaced parts and overridden methods work as in PyTorch."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import engine
from engine import models, nn
from engine.nn.lora import LoRAConfig, add_lora
from engine.nn.plain import is_plain
from engine.text import PackedBatch

torch = pytest.importorskip("torch")

D, HEADS, BATCH, LONG = 8, 2, 3, 5
X = np.random.default_rng(0).standard_normal((BATCH, LONG, D)).astype(np.float32)
MEMORY = np.random.default_rng(1).standard_normal((BATCH, LONG + 1, D)).astype(np.float32)
PADDING = np.arange(LONG) >= np.array([[5], [3], [4]])


def pair(kind, activation, norm_first, p=0.0):
    """The same layer twice, engine's and PyTorch's."""
    layers = [
        getattr(T.nn, kind)(D, HEADS, 16, p, activation, batch_first=True, norm_first=norm_first)
        for T in (engine, torch)
    ]
    layers[0].load_state_dict({k: engine.tensor(v.numpy()) for k, v in layers[1].state_dict().items()})
    return layers


def outcome(layer, T, decoder):
    x = T.tensor(X).requires_grad_()
    args = [x, T.tensor(MEMORY)] if decoder else [x]
    name = "tgt_key_padding_mask" if decoder else "src_key_padding_mask"
    y = layer(*args, **{name: T.tensor(PADDING)})
    (y * y).sum().backward()
    return y.detach().numpy()


def check(change, kind, activation="gelu", norm_first=False):
    """What `change(layer, T, told)` does to a layer and tells is the same in engine and in PyTorch, and does something."""
    found = []
    for layer, T in zip(pair(kind, activation, norm_first), (engine, torch)):
        told = []
        plain = outcome(copy.deepcopy(layer), T, kind.endswith("DecoderLayer"))
        change(layer, T, told)
        y = outcome(layer, T, kind.endswith("DecoderLayer"))
        assert told or np.abs(y - plain).max() > 1e-3
        found.append((y, told))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=2e-4, atol=2e-5)
    assert found[0][1] == found[1][1]


def patched(layer, name, function):
    """Replaces the forward of one part by function(old, *args)."""
    part = getattr(layer, name)
    old = part.forward
    part.forward = lambda *args, **kwargs: function(old, *args, **kwargs)


def doubled(kind):
    class Doubled(kind):
        def forward(self, *args, **kwargs):
            return super().forward(*args, **kwargs) * 2

    return Doubled


def wrap(layer, T, told):
    layer.linear1 = T.nn.Sequential(layer.linear1, T.nn.Tanh())


def no_dropout(layer, T, told):
    layer.dropout1 = T.nn.Identity()
    layer.dropout2 = T.nn.Tanh()


def linear_subclass(layer, T, told):
    layer.linear1.__class__ = doubled(T.nn.Linear)


def norm_subclass(layer, T, told):
    layer.norm1.__class__ = doubled(T.nn.LayerNorm)


def dropout_subclass(layer, T, told):
    layer.dropout2.__class__ = doubled(T.nn.Dropout)


def patched_attention(layer, T, told):
    patched(layer, "self_attn", lambda old, *args, **kwargs: (old(*args, **kwargs)[0] * 2, None))


def patched_norm(layer, T, told):
    patched(layer, "norm2", lambda old, x: old(x) * 2)


def patched_linear(layer, T, told):
    patched(layer, "linear1", lambda old, x: old(x) * 2)


def hooks(layer, T, told):
    for name, part in layer.named_children():
        if name != "activation":
            part.register_forward_hook(
                lambda m, args, y, name=name: told.append((name, tuple((y[0] if isinstance(y, tuple) else y).shape)))
            )


def backward_hooks(layer, T, told):
    layer.norm1.register_full_backward_hook(lambda m, gx, gy: told.append(("norm1", tuple(gy[0].shape))))
    layer.linear1.register_full_backward_hook(lambda m, gx, gy: told.append(("linear1", tuple(gy[0].shape))))
    layer.dropout1.register_forward_pre_hook(lambda m, args: told.append(("dropout1", tuple(args[0].shape))))


def feed_forward_on_the_instance(layer, T, told):
    layer._ff_block = lambda x: layer.linear2(layer.linear1(x)) * 3


def attention_block(layer, T, told):
    class Own(type(layer)):
        def _sa_block(self, x, attn_mask, key_padding_mask, is_causal=False):
            told.append((attn_mask is None, str(key_padding_mask.dtype).rpartition(".")[2], is_causal))
            return super()._sa_block(x, attn_mask, key_padding_mask, is_causal) * 2

    layer.__class__ = Own


def feed_forward_block(layer, T, told):
    class Own(type(layer)):
        def _ff_block(self, x):
            return super()._ff_block(x) * 2

    layer.__class__ = Own


def wide_norm(layer, T, told):
    layer.norm1 = T.nn.LayerNorm((LONG, D))


CHANGES = [
    wrap, no_dropout, linear_subclass, norm_subclass, dropout_subclass, patched_attention, patched_norm, patched_linear, hooks,
    backward_hooks, feed_forward_on_the_instance, attention_block, feed_forward_block, wide_norm,
]  # fmt: skip


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("kind", ["TransformerEncoderLayer", "TransformerDecoderLayer"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_parts_of_the_callers_as_pytorch(change, kind, norm_first):
    check(change, kind, norm_first=norm_first)


def test_relu_too():
    for change in (wrap, hooks, linear_subclass):
        check(change, "TransformerEncoderLayer", "relu")


def test_attention_to_the_memory():
    def block(layer, T, told):
        class Own(type(layer)):
            def _mha_block(self, x, mem, attn_mask, key_padding_mask, is_causal=False):
                told.append((tuple(mem.shape), attn_mask is None, key_padding_mask is None, is_causal))
                return super()._mha_block(x, mem, attn_mask, key_padding_mask, is_causal) * 2

        layer.__class__ = Own

    check(block, "TransformerDecoderLayer")


def test_pytorchs_forward_written_out():
    def written_out(layer, T, told):
        class Own(type(layer)):
            def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
                x = self.norm1(src + self._sa_block(src, src_mask, src_key_padding_mask, is_causal=is_causal))
                return self.norm2(x + self._ff_block(x)) * 2

        layer.__class__ = Own

    check(written_out, "TransformerEncoderLayer")


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_by_modules_is_the_same_as_fused(norm_first, activation):
    """With dropout: the same elements are dropped."""
    layer, _ = pair("TransformerEncoderLayer", activation, norm_first, p=0.3)
    other = copy.deepcopy(layer)
    other._ff_block = lambda x: type(other)._ff_block(other, x)
    found = []
    for m in (layer, other):
        engine.manual_seed(3)
        found.append(outcome(m, engine, False))
    np.testing.assert_allclose(found[0], found[1], rtol=2e-4, atol=2e-5)


def test_packed_tokens():
    layer, _ = pair("TransformerEncoderLayer", "gelu", False)
    x, cu = engine.tensor(X.reshape(-1, D)), engine.tensor([0, 4, 15], dtype=engine.int32)
    wanted, told = layer(x, cu_seqlens=cu).detach().numpy(), []
    hooks(layer, engine, told)
    np.testing.assert_allclose(layer(x, cu_seqlens=cu).detach().numpy(), wanted, rtol=2e-4, atol=2e-5)
    assert {shape for _, shape in told} == {(BATCH * LONG, D), (BATCH * LONG, 16)} and len(told) == 8
    attention_block(layer, engine, told)
    with pytest.raises(ValueError, match=r"cu_seqlens: expected None, because _sa_block is overridden, got packed"):
        layer(x, cu_seqlens=cu)


def test_a_stack_asks_its_layers_and_its_norm():
    found = []
    for T in (engine, torch):
        torch.manual_seed(0)
        source = torch.nn.TransformerEncoderLayer(D, HEADS, 16, 0.0, batch_first=True)
        layer = T.nn.TransformerEncoderLayer(D, HEADS, 16, 0.0, batch_first=True)
        layer.load_state_dict({k: T.tensor(v.numpy()) for k, v in source.state_dict().items()})
        stack, told = T.nn.TransformerEncoder(layer, 2, T.nn.LayerNorm(D)), []
        stack.norm.register_forward_hook(lambda m, args, y, told=told: told.append(("norm", tuple(y.shape))))
        stack.layers[1].linear2.register_forward_hook(
            lambda m, args, y, told=told: told.append(("linear2", tuple(y.shape)))
        )
        patched(stack.layers[0], "norm1", lambda old, x: old(x) * 2)
        y = stack(T.tensor(X), src_key_padding_mask=T.tensor(PADDING))
        found.append((y.detach().numpy(), told))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=2e-4, atol=2e-5)
    assert found[0][1] == found[1][1] == [("linear2", X.shape), ("norm", X.shape)]


def test_a_class_whose_forward_is_replaced_is_not_plain(monkeypatch):
    assert is_plain(nn.Linear(1, 1), nn.Linear) and not is_plain(nn.Linear(1, 1), nn.LayerNorm)
    assert not is_plain(None) and not is_plain(nn.Tanh()) and not is_plain(doubled(nn.Linear)(1, 1))
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: x)
    assert not is_plain(nn.Linear(1, 1), nn.Linear)


def test_an_output_projection_of_the_callers():
    m, x = nn.MultiheadAttention(D, HEADS, batch_first=True), engine.tensor(X)
    free = [m(x, x, x, need_weights=weights)[0].detach().numpy() for weights in (True, False)]
    m.out_proj = nn.Sequential(m.out_proj, nn.ReLU())
    for weights, before in zip((True, False), free):
        y = m(x, x, x, need_weights=weights)[0].detach().numpy()
        np.testing.assert_allclose(y, np.maximum(before, 0), rtol=2e-4, atol=2e-5)


# ---- models


def tiny(**more):
    engine.manual_seed(0)
    config = models.TransformerConfig(
        vocab_size=20, hidden_size=D, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=16,
        max_position_embeddings=8, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=3,
        **more,
    )  # fmt: skip
    model = models.TransformerClassifier(config).eval()
    for p in model.parameters():
        nn.init.normal_(p.detach())
    return model


IDS = np.random.default_rng(2).integers(1, 20, (BATCH, LONG))


def logits(model):
    return model(engine.tensor(IDS)).detach().numpy()


PARTS = [
    "bert.embeddings.word_embeddings", "bert.embeddings.position_embeddings", "bert.embeddings.LayerNorm",
    "bert.encoder.layer.1.attention.self.qkv", "bert.encoder.layer.0.attention.output.dense",
    "bert.encoder.layer.0.attention.output.LayerNorm", "bert.encoder.layer.1.intermediate.dense",
    "bert.encoder.layer.1.output.LayerNorm", "bert.encoder.layer.0.output.dropout", "bert.encoder.layer.0.output.dense", "classifier",
]  # fmt: skip


@pytest.mark.parametrize("path", PARTS)
def test_hooks_and_replaced_parts_of_models(path):
    model, told = tiny(), []
    before = logits(model)
    handle = model.get_submodule(path).register_forward_hook(lambda m, args, y: told.append(y.shape))
    np.testing.assert_allclose(logits(model), before, rtol=1e-4, atol=1e-5)
    assert told
    handle.remove()
    model.set_submodule(path, nn.Sequential(model.get_submodule(path), nn.Tanh()))
    assert np.abs(logits(model) - before).max() > 1e-3
    model.set_submodule(path, model.get_submodule(path)[0])
    np.testing.assert_array_equal(logits(model), before)


@pytest.mark.parametrize("norm_first", [False, True])
def test_hooks_on_all_modules_of_a_model(norm_first):
    """Each module is called, the containers too, and nothing else changes: neither outputs, nor gradients, nor dropout."""
    model, told = tiny(norm_first=norm_first), []
    lists = {name for name, m in model.named_modules() if isinstance(m, nn.ModuleList)}

    def gradients():
        model.zero_grad()
        engine.manual_seed(1)
        y = model(engine.tensor(IDS))
        y.square().sum().backward()
        return [y.detach().numpy(), *(p.grad.numpy() for p in model.parameters() if p.grad is not None)]

    runs = []
    for p in (0.0, 0.5):
        for drop in (m for m in model.modules() if isinstance(m, nn.Dropout)):
            drop.p = p
        runs.append(gradients())
        handles = [
            m.register_forward_hook(lambda m, args, y, name=name: told.append(name))
            for name, m in model.named_modules()
        ]
        model.train(p > 0)
        y = gradients()
        for handle in handles:
            handle.remove()
        if not p:
            for one, other in zip(runs[-1], y):
                np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
        else:
            assert np.abs(runs[-1][0] - y[0]).max() > 1e-3
    assert {name for name, _ in model.named_modules()} - set(told) == lists


@pytest.mark.parametrize(
    "path", ["bert.encoder.layer.0.attention", "bert.encoder.layer.1.attention.output", "bert.encoder.layer.1.output"]
)
def test_a_container_of_a_model_can_be_replaced(path):
    class Halved(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, *args):
            return self.inner(*args) * 0.5

    model = tiny()
    before = logits(model)
    inner = model.get_submodule(path)
    model.set_submodule(path, Halved(inner))
    assert np.abs(logits(model) - before).max() > 1e-3
    model.set_submodule(path, inner)
    np.testing.assert_array_equal(logits(model), before)
    inner.forward = lambda *args: type(inner).forward(inner, *args) * 0.5
    assert np.abs(logits(model) - before).max() > 1e-3


HEADS_OF = [(f"BertFor{head}", "first") for head in ("SequenceClassification", "TokenClassification", "MaskedLM")]


@pytest.mark.parametrize(("kind", "pooling"), [*HEADS_OF, ("BertForSequenceClassification", "mean")])
def test_the_encoder_under_a_head_is_called(kind, pooling):
    """Hooks of the encoder see hidden states in the form of the input, and what they return is used."""
    engine.manual_seed(0)
    model = getattr(models, kind)(tiny(pooling=pooling).config).eval()
    mask = engine.tensor(np.arange(LONG) < np.array([[5], [3], [4]]), dtype=engine.int64)
    rectangle = (engine.tensor(IDS), mask)
    packed = (PackedBatch.from_sequences([IDS[i, : int(n)].tolist() for i, n in enumerate((5, 3, 4))]),)
    for args, shape in ((rectangle, (BATCH, LONG, D)), (packed, (12, D))):
        before, seen = model(*args).detach().numpy(), []
        handle = model.bert.register_forward_hook(lambda m, args, y, seen=seen: seen.append(y.shape))
        np.testing.assert_allclose(model(*args).detach().numpy(), before, rtol=1e-4, atol=1e-5)
        assert seen == [shape]
        handle.remove()
        handle = model.bert.register_forward_hook(lambda m, args, y: y * 0.5)
        assert np.abs(model(*args).detach().numpy() - before).max() > 1e-4
        handle.remove()
        np.testing.assert_array_equal(model(*args).detach().numpy(), before)

    class Other(models.TransformerEncoderModel):
        def forward(self, input_ids, attention_mask=None):
            x = self.inputs(input_ids, attention_mask)
            return x.leave(self.encode(x) * 0.5)

    other = Other(model.bert.config).eval()
    other.load_state_dict(model.bert.state_dict())
    before = model(*rectangle).detach().numpy()
    model.bert = other
    assert np.abs(model(*rectangle).detach().numpy() - before).max() > 1e-4


def test_adapters_drop_everywhere():
    """The dropout of adapters works in the projections before a GELU and in the last layer too."""
    model = tiny()
    names = ("query", "value", "intermediate.dense")
    add_lora(model, LoRAConfig(r=2, dropout=1.0, target_modules=names))
    before = logits(model)
    for name, p in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(p.detach())
    assert np.abs(logits(model) - before).max() > 1e-6
    np.testing.assert_allclose(logits(model.train()), before, rtol=1e-4, atol=1e-5)
