"""Padding and masks in the transformer's layers: every way to say what is not seen, against PyTorch where it is installed, and against
the same layer without padding."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import nn
from test_nn_transformer import HEADS, D, both, compare, draw, filled

LENGTHS = np.array([3, 5, 1, 4])
BATCH, LONG = len(LENGTHS), int(LENGTHS.max())
X, MEMORY = draw(BATCH, LONG, D, seed=1), draw(BATCH, LONG, D, seed=2)
PLACES = np.arange(LONG)
RIGHT, LEFT = LENGTHS[:, None] <= PLACES, (LONG - LENGTHS)[:, None] > PLACES
BETWEEN = np.array([[0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 1, 1, 0], [0, 0, 1, 1, 1]], bool)
CAUSAL = np.triu(np.ones((LONG, LONG), bool), 1)
PADDING = {
    "right": RIGHT,
    "left": LEFT,
    "between": BETWEEN,
    "as -inf": np.where(BETWEEN, -np.inf, 0.0),
    "as weights": np.where(BETWEEN, -1e4, 0.25),  # rows cannot tell these
}


def given(to, **arguments):
    """Arrays as tensors of either library, masks of one kind (PyTorch warns of two)."""
    floats = any(isinstance(v, np.ndarray) and v.dtype == float for v in arguments.values())

    def carried(v):
        if not isinstance(v, np.ndarray):
            return v
        return to(np.where(v, -np.inf, 0.0) if floats and v.dtype == bool else v)

    return {name: carried(v) for name, v in arguments.items()}


def tensors(torch):
    return engine.tensor, lambda x: torch.from_numpy(np.ascontiguousarray(x))


@pytest.mark.parametrize("padding", PADDING)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ["layer", "stack", "attention", "attention to others"])
def test_every_row_is_computed_as_in_pytorch(kind, causal, padding):
    def make(n):
        if kind.startswith("attention"):
            return n.MultiheadAttention(D, HEADS, batch_first=True)
        layer = n.TransformerEncoderLayer(D, HEADS, 20, 0.0, batch_first=True)
        return layer if kind == "layer" else n.TransformerEncoder(layer, 2, n.LayerNorm(D), enable_nested_tensor=False)

    torch, mine, theirs = both(make)
    results = []
    for module, to in zip((mine, theirs), tensors(torch)):
        masks = given(to, pairs=CAUSAL if causal else None, padding=PADDING[padding])
        x, other = to(X), to(MEMORY)
        if kind.startswith("attention"):
            seen = x if kind == "attention" else other
            y, _ = module(x, seen, seen, masks["padding"], False, masks["pairs"], is_causal=causal)
        else:
            y = module(x, masks["pairs"], masks["padding"], is_causal=causal)
        results.append(y)
    compare(mine, theirs, *results)


@pytest.mark.parametrize("padding", PADDING)
@pytest.mark.parametrize("memory_causal", [False, True])
@pytest.mark.parametrize("kind", ["layer", "stack"])
def test_decoders_compute_every_row_as_in_pytorch(kind, memory_causal, padding):
    def make(n):
        layer = n.TransformerDecoderLayer(D, HEADS, 20, 0.0, batch_first=True)
        return layer if kind == "layer" else n.TransformerDecoder(layer, 2, n.LayerNorm(D))

    torch, mine, theirs = both(make)
    results = []
    for module, to in zip((mine, theirs), tensors(torch)):
        masks = given(
            to, tgt_mask=CAUSAL, memory_mask=CAUSAL if memory_causal else None, tgt_is_causal=True,
            memory_is_causal=memory_causal, tgt_key_padding_mask=PADDING[padding], memory_key_padding_mask=PADDING[padding],
        )  # fmt: skip
        results.append(module(to(X), to(MEMORY), **masks))
    compare(mine, theirs, *results)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")  # PyTorch's
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_the_whole_transformer_as_pytorch(batch_first, training):
    """The decoder sees the memory's padding here, as no memory_key_padding_mask says otherwise."""
    torch, mine, theirs = both(lambda n: n.Transformer(D, HEADS, 1, 1, 20, 0.0, batch_first=batch_first))
    results = []
    for module, to in zip((mine, theirs), tensors(torch)):
        module.train(training)
        x, tgt = (to(v if batch_first else v.swapaxes(0, 1).copy()) for v in (X, MEMORY))
        masks = given(to, src_key_padding_mask=RIGHT, tgt_key_padding_mask=LEFT, tgt_mask=CAUSAL)
        results.append(module(x, tgt, **masks))
    compare(mine, theirs, *results)


def test_a_sequence_of_padding_alone_sees_nothing():
    torch, mine, theirs = both(lambda n: n.TransformerEncoderLayer(D, HEADS, 20, 0.0, batch_first=True))
    padding = RIGHT.copy()
    padding[2] = True
    found = mine(engine.tensor(X), src_key_padding_mask=engine.tensor(padding))
    wanted = theirs(torch.from_numpy(X), src_key_padding_mask=torch.from_numpy(padding))
    compare(mine, theirs, found, wanted)


# ---- without PyTorch


@pytest.mark.parametrize("padding", ["right", "left", "between"])
def test_real_positions_are_as_without_padding(padding):
    layer = filled(nn.TransformerEncoderLayer(D, HEADS, 20, 0.0, batch_first=True))
    hidden = PADDING[padding]
    found = layer(engine.tensor(X), src_key_padding_mask=engine.tensor(hidden)).detach().numpy()
    for x, y, mask in zip(X, found, hidden):
        alone = layer(engine.tensor(x[~mask])).detach().numpy()
        np.testing.assert_allclose(y[~mask], alone, rtol=1e-10, atol=1e-11)
    assert found[hidden].all()


def test_a_stack_packs_unless_told_otherwise():
    layer = nn.TransformerEncoderLayer(D, HEADS, 20, 0.0, batch_first=True)
    packs = filled(nn.TransformerEncoder(layer, 2, nn.LayerNorm(D)))
    does_not = filled(nn.TransformerEncoder(layer, 2, nn.LayerNorm(D), enable_nested_tensor=False))
    x, padding = engine.tensor(X), engine.tensor(RIGHT)
    zeros, all_rows = packs(x, None, padding).detach().numpy(), does_not(x, None, padding).detach().numpy()
    np.testing.assert_allclose(zeros[~RIGHT], all_rows[~RIGHT], rtol=1e-10, atol=1e-11)
    assert not zeros[RIGHT].any() and all_rows[RIGHT].all()
    # One sequence is no batch, and weights are not a mask that packs.
    assert packs(x[0], None, padding[0]).detach().numpy()[RIGHT[0]].all()
    assert packs(x, None, engine.tensor(PADDING["as weights"])).detach().numpy()[BETWEEN].all()
    pairs = engine.tensor(np.eye(LONG, k=1).astype(bool))
    assert packs(x, pairs, padding).detach().numpy()[RIGHT].all()


@pytest.mark.parametrize("as_numbers", [False, True])
def test_causal_masks_are_found_out(as_numbers, monkeypatch):
    """A causal mask makes the causal kernel run: no mask over pairs reaches the attention."""
    mask = engine.tensor(np.where(CAUSAL, -np.inf, 0.0) if as_numbers else CAUSAL)
    layer = nn.TransformerDecoderLayer(D, HEADS, 20, 0.0, batch_first=True)
    decoder = filled(nn.TransformerDecoder(layer, 2))
    encoder = filled(nn.TransformerEncoder(nn.TransformerEncoderLayer(D, HEADS, 20, 0.0, batch_first=True), 2))
    x, memory = engine.tensor(X), engine.tensor(MEMORY)
    masked = [decoder(x, memory, mask, tgt_is_causal=False), encoder(x, mask, is_causal=False)]
    almost = mask.clone()
    almost[0, -1] = 0
    free = [decoder(x, memory, almost), encoder(x, almost)]
    monkeypatch.setattr(nn.MultiheadAttention, "_on_rectangles", None)
    found = [decoder(x, memory, mask), encoder(x, mask)]
    for y, wanted, other in zip(found, masked, free):
        np.testing.assert_allclose(y.detach().numpy(), wanted.detach().numpy(), rtol=1e-10, atol=1e-11)
        assert not np.allclose(y.detach().numpy(), other.detach().numpy())


def test_layers_of_the_caller_get_what_pytorch_gives_them():
    seen = []

    class Layer(nn.TransformerEncoderLayer):
        def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
            seen.append((src.shape, src_mask is None, src_key_padding_mask.shape, is_causal))
            return super().forward(src, src_mask, src_key_padding_mask, is_causal)

    layer = Layer(D, HEADS, 20, 0.0, batch_first=True)
    stack = filled(nn.TransformerEncoder(layer, 2))
    y = stack(engine.tensor(X), src_key_padding_mask=engine.tensor(RIGHT))
    assert seen == [((BATCH, LONG, D), True, (BATCH, LONG), False)] * 2 and y.detach().numpy().all()


def test_hooks_see_rectangles():
    seen = []
    stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(D, HEADS, 20, 0.0, batch_first=True), 2).double()
    x, padding = engine.tensor(X), engine.tensor(RIGHT)
    without = stack(x, src_key_padding_mask=padding).detach().numpy()
    stack.layers[0].self_attn.register_forward_hook(lambda module, args, output: seen.append(output[0].shape))
    stack.layers[1].register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    found = stack(x, src_key_padding_mask=padding).detach().numpy()
    np.testing.assert_allclose(found[~RIGHT], without[~RIGHT], rtol=1e-10, atol=1e-11)
    assert seen == [X.shape] * 2
