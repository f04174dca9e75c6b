"""TransformerDecoderLayer and TransformerDecoder: against PyTorch where it is installed, packed against rectangles, mistakes.
And the block that all layers are made of, against the same mathematics written out."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest

import engine
from engine import nn
from engine.layout import Layout
from engine.nn import functional as F
from engine.nn.block import Part, Residual, run_block, run_stack
from test_nn_transformer import HEADS, D, both, compare, draw, filled

TGT, MEMORY = [4, 1, 3], [2, 6, 5]
REAL, MEMORY_REAL = (np.arange(max(n)) < np.array(n)[:, None] for n in (TGT, MEMORY))
BATCH, LONG, MEMORY_LONG = len(TGT), max(TGT), max(MEMORY)
TARGET, REMEMBERED = draw(BATCH, LONG, D, seed=1), draw(BATCH, MEMORY_LONG, D, seed=2)
CAUSAL = np.triu(np.ones((LONG, LONG), bool), 1)


def turned(x: np.ndarray, batch_first: bool) -> np.ndarray:
    return x if batch_first else x.swapaxes(0, 1).copy()


def arguments(tensor, batch_first: bool, **masks):
    """tgt, memory and masks for either library."""
    given = {name: None if mask is None else tensor(mask) for name, mask in masks.items()}
    tgt, memory = (tensor(turned(x, batch_first)) for x in (TARGET, REMEMBERED))
    return (tgt, memory), given


PADDING = {"tgt_key_padding_mask": ~REAL, "memory_key_padding_mask": ~MEMORY_REAL}
MASKS = {
    "none": {},
    "padding": PADDING,
    "causal": {"tgt_mask": CAUSAL, **PADDING},
    "is causal": {"tgt_mask": CAUSAL, "tgt_is_causal": True, **PADDING},
    "float": {
        "tgt_mask": np.where(CAUSAL, -np.inf, draw(LONG, LONG, seed=3)),
        "memory_mask": draw(LONG, MEMORY_LONG, seed=4),
    },
    "per head": {"memory_mask": draw(BATCH * HEADS, LONG, MEMORY_LONG, seed=5), **PADDING},
    "bool memory": {"memory_mask": np.eye(LONG, MEMORY_LONG, 1).astype(bool)},
}


def flags(masks) -> tuple[dict, dict]:
    """The masks, and the arguments that are no masks."""
    plain = {name: value for name, value in masks.items() if isinstance(value, bool)}
    return {name: value for name, value in masks.items() if name not in plain}, plain


def for_torch(torch, masks):
    """PyTorch warns of masks of two kinds, and wants floating-point padding beside a floating-point mask."""
    kinds = {mask.dtype for mask in masks.values()}
    if len(kinds) > 1:
        masks = {name: np.where(mask, -np.inf, 0.0) if mask.dtype == bool else mask for name, mask in masks.items()}
    return lambda x: torch.from_numpy(np.ascontiguousarray(x)), masks


def with_gradients(mine, theirs, inputs, torch_inputs, found, wanted):
    for x in (*inputs, *torch_inputs):
        assert x.requires_grad
    compare(mine, theirs, found, wanted)
    for x, y in zip(inputs, torch_inputs):
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-9, atol=1e-11)


def run_both(torch, mine, theirs, batch_first: bool, masks) -> None:
    masks, plain = flags(masks)
    inputs, given = arguments(engine.tensor, batch_first, **masks)
    tensor, masks_of_torch = for_torch(torch, masks)
    torch_inputs, torch_given = arguments(tensor, batch_first, **masks_of_torch)
    for x in (*inputs, *torch_inputs):
        x.requires_grad_(True)
    found, wanted = mine(*inputs, **given, **plain), theirs(*torch_inputs, **torch_given, **plain)
    with_gradients(mine, theirs, inputs, torch_inputs, found, wanted)


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("norm_first", [False, True])
def test_layer_as_pytorch(norm_first, batch_first, masks):
    torch, mine, theirs = both(
        lambda n: n.TransformerDecoderLayer(
            D, HEADS, 20, dropout=0.0, activation="gelu", batch_first=batch_first, norm_first=norm_first
        )
    )
    run_both(torch, mine, theirs, batch_first, MASKS[masks])


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("batch_first, norm_first", [(True, False), (False, True)])
def test_decoder_as_pytorch(batch_first, norm_first, norm, masks):
    torch, mine, theirs = both(
        lambda n: n.TransformerDecoder(
            n.TransformerDecoderLayer(D, HEADS, 20, 0.0, batch_first=batch_first, norm_first=norm_first),
            3,
            n.LayerNorm(D) if norm else None,
        )
    )
    run_both(torch, mine, theirs, batch_first, MASKS[masks])


def test_without_biases_and_without_a_batch_as_pytorch():
    torch, mine, theirs = both(lambda n: n.TransformerDecoderLayer(D, HEADS, 20, 0.0, bias=False))
    found = mine(engine.tensor(TARGET[0]), engine.tensor(REMEMBERED[1]), tgt_is_causal=True)
    wanted = theirs(
        torch.from_numpy(TARGET[0]), torch.from_numpy(REMEMBERED[1]), torch.from_numpy(CAUSAL), tgt_is_causal=True
    )
    compare(mine, theirs, found, wanted)


def test_names_arguments_and_defaults_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    import inspect

    for name in ("TransformerDecoderLayer", "TransformerDecoder"):
        for method in ("__init__", "forward"):
            theirs, mine = (inspect.signature(getattr(getattr(m, name), method)).parameters for m in (torch.nn, nn))
            positional = [p.name for p in mine.values() if p.kind is not p.KEYWORD_ONLY]
            assert positional == list(theirs), (name, method)
            for parameter in theirs.values():
                if parameter.name != "activation":  # a function there, its name here
                    assert mine[parameter.name].default == parameter.default, (name, method, parameter.name)
    layer = nn.TransformerDecoderLayer(D, HEADS)
    assert layer.linear1.out_features == 2048 and layer.activation is F.relu


def layer_of(device: str, norm_first: bool, layers: int = 2) -> nn.TransformerDecoder:
    layer = nn.TransformerDecoderLayer(D, HEADS, 20, 0.0, batch_first=True, norm_first=norm_first)
    return filled(nn.TransformerDecoder(layer, layers, nn.LayerNorm(D)), device=device)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_packed_is_the_rectangle(norm_first, causal, device):
    m = layer_of(device, norm_first)
    dtype = m.layers[0].linear1.weight.dtype
    close = {"rtol": 1e-10, "atol": 1e-11} if device == "cpu" else {"atol": 2e-5}
    cu, memory_cu = (engine.Layout.from_lengths(n, device=device).cu_seqlens for n in (TGT, MEMORY))
    tgt, memory = (engine.tensor(x[real]).to(device, dtype) for x, real in ((TARGET, REAL), (REMEMBERED, MEMORY_REAL)))
    packed = m(tgt, memory, tgt_is_causal=causal, cu_seqlens=cu, memory_cu_seqlens=memory_cu)
    (packed * packed).sum().backward()
    gradients = {n: p.grad.cpu().numpy().copy() for n, p in m.named_parameters()}
    m.zero_grad()
    inputs, masks = arguments(engine.tensor, True, **PADDING)
    masks = {name: mask.to(device) for name, mask in masks.items()}
    rectangle = m(*(x.to(device, dtype) for x in inputs), **masks, tgt_is_causal=causal)
    assert rectangle.shape == TARGET.shape and rectangle.detach().cpu().numpy()[~REAL].all()  # computed at padding, too
    np.testing.assert_allclose(rectangle.detach().cpu().numpy()[REAL], packed.detach().cpu().numpy(), **close)
    (rectangle * rectangle * engine.tensor(REAL[..., None]).to(device, dtype)).sum().backward()
    for name, p in m.named_parameters():
        scale = max(1.0, float(np.abs(gradients[name]).max()))
        np.testing.assert_allclose(p.grad.cpu().numpy() / scale, gradients[name] / scale, err_msg=name, **close)


def test_a_causal_decoder_does_not_look_ahead():
    m = layer_of("cpu", True)
    tgt, memory = engine.tensor(TARGET), engine.tensor(REMEMBERED)
    before = m(tgt, memory, tgt_is_causal=True).detach().numpy()
    changed = TARGET.copy()
    changed[:, 2:] += 1
    after = m(engine.tensor(changed), memory, tgt_is_causal=True).detach().numpy()
    assert np.array_equal(before[:, :2], after[:, :2]) and (before[:, 2:] != after[:, 2:]).any(-1).all()
    free = m(engine.tensor(changed), memory).detach().numpy()
    assert (free[:, :2] != m(tgt, memory).detach().numpy()[:, :2]).any(-1).all()


def test_dropout_is_drawn_in_training_alone():
    engine.manual_seed(0)
    m = nn.TransformerDecoderLayer(D, HEADS, 20, dropout=0.3, batch_first=True)
    tgt, memory = engine.tensor(TARGET).float(), engine.tensor(REMEMBERED).float()
    assert m(tgt, memory).tolist() != m(tgt, memory).tolist()
    m.eval()
    assert m(tgt, memory).tolist() == m(tgt, memory).tolist() == copy.deepcopy(m)(tgt, memory).tolist()
    m.dropout2.train()  # a single one counts
    assert m(tgt, memory).tolist() != m(tgt, memory).tolist()


def test_mistakes():
    m = layer_of("cpu", False)
    tgt, memory = engine.tensor(TARGET), engine.tensor(REMEMBERED)
    packed, cu = engine.tensor(TARGET[REAL]), Layout.from_lengths(TGT).cu_seqlens
    for wrong, message in [
        (lambda: m(tgt[..., :5], memory), rf"\] tgt: expected shape \(batch, length, {D}\) or"),
        (lambda: m(tgt, memory[..., :5]), rf"\] memory: expected shape \(batch, length, {D}\) or"),
        (lambda: m(tgt, memory[:2]), "memory: expected 3 sequences, as many as in tgt, got 2"),
        (
            lambda: m(packed, packed, cu_seqlens=cu),
            "memory_cu_seqlens: expected a Tensor, because tgt and memory are both packed or neither, got None",
        ),
        (
            lambda: m(packed, packed, memory_cu_seqlens=cu),
            r"\] cu_seqlens: expected a Tensor, because tgt .*, got None",
        ),
        (
            lambda: m(packed, packed, tgt_key_padding_mask=engine.tensor(~REAL), cu_seqlens=cu, memory_cu_seqlens=cu),
            r"tgt_key_padding_mask: expected None together with cu_seqlens",
        ),
        (
            lambda: m(tgt, memory, memory_key_padding_mask=engine.tensor(~REAL)),
            r"memory_key_padding_mask: expected shape \(3, 6\), got \(3, 4\)",
        ),
        (lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(D, HEADS), 0), "num_layers: expected a number >= 1"),
        (lambda: nn.TransformerDecoderLayer(D, HEADS, activation="swish"), r"\[TransformerDecoderLayer\] activation"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()


# ---- the block


class RootMean(nn.Module):
    """A norm without a fused form."""

    def forward(self, x):
        return F.rms_norm(x, (D,))


@pytest.mark.parametrize("make", [lambda: nn.LayerNorm(D), RootMean], ids=["fused", "plain"])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("p", [0.0, 0.4])
def test_a_stack_of_blocks_is_the_same_written_out(norm_first, p, make):
    """Parts that look at nothing but their own row, so that the chosen rows are those of the whole."""
    engine.manual_seed(0)
    layers = [[(nn.Linear(D, D), make()) for _ in range(3)] for _ in range(3)]
    last, layout = make(), Layout.from_lengths([3, 1, 4])
    x = engine.tensor(draw(8, D)).float()

    def block(parts):
        def run(residual, layout, rows):
            def first(y, linear=parts[0][0]):
                return linear(y if rows is None else engine.take_rows(y, layout, rows))

            computes = (first, *(linear for linear, _ in parts[1:]))
            handed = [Part(compute, norm, p) for compute, (_, norm) in zip(computes, parts)]
            return run_block(residual, handed, norm_first, layout, rows)

        return run

    def written_out(x):
        for linear, norm in itertools.chain(*layers):
            if norm_first:
                x = x + F.dropout(linear(norm(x)), p)
            else:
                x = norm(x + F.dropout(linear(x), p))
        return last(x) if norm_first else x

    outcomes = []
    for call in (
        written_out,
        lambda x: run_stack(map(block, layers), x, layout, norm=last if norm_first else None),
        lambda x: run_stack(map(block, layers), x, layout, norm=last if norm_first else None, checkpointing=True),
    ):
        engine.manual_seed(7)
        for linear, _ in itertools.chain(*layers):
            linear.zero_grad()
        y = call(x)
        (y * y).sum().backward()
        outcomes.append([y.detach().numpy(), *(linear.weight.grad.numpy() for linear, _ in itertools.chain(*layers))])
    for found in outcomes[1:]:
        for a, b in zip(found, outcomes[0]):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
    for rows in (layout.first(), layout.choose([1, 2, 7])) if p == 0 else ():
        some = run_stack(map(block, layers), x, layout, rows, last if norm_first else None)
        wanted = engine.take_rows(engine.tensor(outcomes[0][0]), layout, rows)
        np.testing.assert_allclose(some.detach().numpy(), wanted.numpy(), rtol=2e-4, atol=2e-5)
        assert run_stack([], x, layout, rows).tolist() == engine.take_rows(x, layout, rows).tolist()


def test_what_is_left_to_add():
    x, y = engine.tensor(draw(2, D)), engine.tensor(draw(2, D, seed=1))
    assert Residual(x).sum() is x and Residual(x, y).sum().tolist() == (x + y).tolist()
