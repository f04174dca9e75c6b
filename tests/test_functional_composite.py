"""Padding, distances, bags of embeddings and multi-head attention as a function: against NumPy, by differences, mistakes."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import nn, tensor
from engine.nn import functional as F

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


# ---------------------------------------------------------------- padding

NUMPY_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@pytest.mark.parametrize("mode", NUMPY_MODES)
@pytest.mark.parametrize("pads", [(1, 2), (0, 3), (2, 0, 1, 1), (3, 1, 0, 2)])
def test_pad(mode, pads):
    x = tensor(normal(2, 4, 5)).requires_grad_()
    widths = [(0, 0)] * (3 - len(pads) // 2) + [(pads[i], pads[i + 1]) for i in reversed(range(0, len(pads), 2))]
    y = F.pad(x, pads, mode)
    np.testing.assert_array_equal(y.tolist(), np.pad(x.detach().numpy(), widths, NUMPY_MODES[mode]))
    assert engine.autograd.gradcheck(lambda x: F.pad(x, pads, mode), (x,))


@pytest.mark.parametrize("mode", NUMPY_MODES)
@pytest.mark.parametrize("pads", [(-1, 2), (1, -2), (-1, -1), (2, -1, -2, 1)])
def test_pad_takes_away_as_pytorch(mode, pads):
    torch = pytest.importorskip("torch")
    x = normal(2, 4, 5)
    wanted = torch.nn.functional.pad(torch.tensor(x), pads, mode)
    assert F.pad(tensor(x), pads, mode).tolist() == wanted.tolist()
    assert engine.autograd.gradcheck(lambda x: F.pad(x, pads, mode), (tensor(x).requires_grad_(),))


def test_pad_of_other_dtypes_and_shapes():
    assert F.pad(tensor([1, 2]), (1, 1), value=7).tolist() == [7, 1, 2, 7]
    assert F.pad(tensor([True]), (0, 1)).tolist() == [True, False]
    assert F.pad(engine.zeros(0), (1, 1), value=2.0).tolist() == [2, 2]
    assert F.pad(engine.ones(3), (-3, 0)).shape == (0,)
    x = engine.ones(3)
    same = F.pad(x, ())
    assert same.tolist() == [1, 1, 1] and same.data_ptr() != x.data_ptr()
    assert F.pad(engine.ones(2, 3).t(), (1, 0)).tolist() == [[0, 1, 1]] * 3


# ---------------------------------------------------------------- distances


def test_normalize():
    x = tensor(normal(3, 4)).requires_grad_()
    a = x.detach().numpy()
    np.testing.assert_allclose(F.normalize(x).tolist(), a / np.linalg.norm(a, axis=1, keepdims=True))
    np.testing.assert_allclose(F.normalize(x, 1, 0).tolist(), a / np.abs(a).sum(0))
    assert engine.autograd.gradcheck(F.normalize, (x,)) and F.normalize(engine.zeros(2, 2)).tolist() == [[0, 0]] * 2


def test_cosine_similarity():
    a, b = tensor(normal(3, 4)).requires_grad_(), tensor(normal(4)).requires_grad_()
    x, y = a.detach().numpy(), b.detach().numpy()
    wanted = x @ y / np.linalg.norm(x, axis=1) / np.linalg.norm(y)
    np.testing.assert_allclose(F.cosine_similarity(a, b).tolist(), wanted)
    np.testing.assert_allclose(nn.CosineSimilarity(-1)(a, b).tolist(), wanted)
    assert engine.autograd.gradcheck(F.cosine_similarity, (a, b))
    assert F.cosine_similarity(engine.zeros(2, 3), engine.ones(2, 3)).tolist() == [0, 0]


def test_pairwise_distance():
    a, b = tensor(normal(3, 4)).requires_grad_(), tensor(normal(3, 4)).requires_grad_()
    wanted = (np.abs(a.detach().numpy() - b.detach().numpy() + 1e-6) ** 3).sum(1) ** (1 / 3)
    np.testing.assert_allclose(F.pairwise_distance(a, b, 3).tolist(), wanted)
    assert nn.PairwiseDistance(3, keepdim=True)(a, b).shape == (3, 1)
    assert engine.autograd.gradcheck(F.pairwise_distance, (a, b))


def test_bilinear():
    a, b, w, bias = (tensor(normal(*s)).requires_grad_() for s in [(2, 3, 4), (2, 3, 5), (6, 4, 5), (6,)])
    arrays = [t.detach().numpy() for t in (a, b, w, bias)]
    wanted = np.einsum("...i,kij,...j->...k", arrays[0], arrays[2], arrays[1]) + arrays[3]
    np.testing.assert_allclose(F.bilinear(a, b, w, bias).tolist(), wanted)
    assert engine.autograd.gradcheck(F.bilinear, (a, b, w, bias))
    layer = nn.Bilinear(4, 5, 6)
    assert layer(engine.ones(2, 4), engine.ones(2, 5)).shape == (2, 6)
    assert np.abs(layer.weight.detach().numpy()).max() <= 0.5 and list(layer.state_dict()) == ["weight", "bias"]
    assert F.bilinear(engine.ones(0, 4), engine.ones(0, 5), layer.weight.detach()).shape == (0, 6)


# ---------------------------------------------------------------- embeddings


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding_bag(mode, padding_idx):
    table = tensor(normal(6, 3)).requires_grad_()
    ids, starts = np.array([2, 5, 1, 2, 2, 0, 4]), [0, 3, 3, 5]
    bags = [ids[a:b] for a, b in zip(starts, [*starts[1:], len(ids)])]
    wanted = []
    for bag in bags:
        rows = table.detach().numpy()[[i for i in bag if padding_idx is None or i != padding_idx % 6]]
        wanted.append(getattr(np, mode)(rows, axis=0) if len(rows) else np.zeros(3))

    def call(table):
        return F.embedding_bag(tensor(ids), table, tensor(starts), mode=mode, padding_idx=padding_idx)

    np.testing.assert_allclose(call(table).tolist(), wanted)
    assert engine.autograd.gradcheck(call, (table,))
    ended = F.embedding_bag(
        tensor(ids), table, tensor([*starts, len(ids)]), mode=mode, padding_idx=padding_idx, include_last_offset=True
    )
    assert ended.tolist() == call(table).tolist()


def test_embedding_bag_of_a_rectangle():
    table, ids = tensor(normal(6, 3)).requires_grad_(), tensor([[1, 2], [5, 1]])
    factors = tensor(normal(2, 2)).requires_grad_()
    assert engine.autograd.gradcheck(
        lambda t, f: F.embedding_bag(ids, t, mode="sum", per_sample_weights=f), (table, factors)
    )
    wanted = (table.detach().numpy()[ids.numpy()] * factors.detach().numpy()[..., None]).sum(1)
    np.testing.assert_allclose(F.embedding_bag(ids, table, mode="sum", per_sample_weights=factors).tolist(), wanted)
    layer = nn.EmbeddingBag(6, 3, padding_idx=-1, mode="sum")
    assert layer.padding_idx == 5 and layer.weight[5].tolist() == [0, 0, 0]
    assert layer(tensor([[5, 5]])).tolist() == [[0, 0, 0]]
    assert nn.EmbeddingBag.from_pretrained(table.detach(), mode="max")(ids).shape == (2, 3)
    for mode in ("sum", "mean", "max"):
        assert (
            F.embedding_bag(tensor(np.zeros((0,), np.int64)), table, tensor([0, 0]), mode=mode).tolist()
            == [[0.0] * 3] * 2
        )


def test_rows_get_a_largest_norm():
    layer = nn.Embedding(3, 2, max_norm=1.0)
    with engine.no_grad():
        layer.weight.copy_(tensor([[3.0, 4.0], [0.3, 0.4], [30.0, 40.0]]))
    y = layer(tensor([[0, 1], [0, 0]]))
    np.testing.assert_allclose(y[0].tolist(), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-5)
    np.testing.assert_allclose(layer.weight.tolist(), [[0.6, 0.8], [0.3, 0.4], [30.0, 40.0]], rtol=1e-5)
    y.sum().backward()
    assert layer.weight.grad.tolist() == [[3, 3], [1, 1], [0, 0]]


def test_gradients_by_frequency():
    layer = nn.Embedding(4, 2, padding_idx=3, scale_grad_by_freq=True)
    layer(tensor([0, 0, 0, 1, 3])).sum().backward()
    assert layer.weight.grad.tolist() == [[1, 1], [1, 1], [0, 0], [0, 0]]
    bag = nn.EmbeddingBag(4, 2, mode="sum", scale_grad_by_freq=True)
    bag(tensor([[0, 0, 1]])).sum().backward()
    assert bag.weight.grad.tolist() == [[1, 1], [1, 1], [0, 0], [0, 0]]


def test_a_given_table():
    table = engine.ones(2, 3)
    layer = nn.Embedding(2, 3, _weight=table, _freeze=True)
    assert layer.weight.data_ptr() == table.data_ptr() and not layer.weight.requires_grad
    with pytest.raises(ValueError, match=r"\[Embedding\] _weight: expected shape \(3, 3\)"):
        nn.Embedding(3, 3, _weight=table)


# ---------------------------------------------------------------- attention


def test_grouped_heads():
    q, k, v = tensor(normal(2, 6, 3, 4)), tensor(normal(2, 2, 5, 4)), tensor(normal(2, 2, 5, 4))
    for t in (q, k, v):
        t.requires_grad_()
    y = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    full = [engine.stack([t] * 3, 2).flatten(1, 2) for t in (k, v)]
    np.testing.assert_allclose(y.tolist(), F.scaled_dot_product_attention(q, *full).tolist(), rtol=1e-12)
    assert engine.autograd.gradcheck(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True), (q, k, v)
    )
    with pytest.raises(ValueError, match="key: expected leading dimensions that broadcast"):
        F.scaled_dot_product_attention(q, k, v)
    with pytest.raises(ValueError, match="key: expected a number of heads that divides"):
        F.scaled_dot_product_attention(q[:, :5], k, v, enable_gqa=True)


def test_keys_are_broadcast_over_heads():
    q, k, v = (tensor(normal(*s)).requires_grad_() for s in [(2, 3, 4, 5), (2, 1, 6, 5), (6, 5)])
    wanted = F.scaled_dot_product_attention(q, k.expand(2, 3, 6, 5), v.expand(2, 3, 6, 5))
    assert F.scaled_dot_product_attention(q, k, v).tolist() == wanted.tolist()
    assert engine.autograd.gradcheck(F.scaled_dot_product_attention, (q, k, v))


@pytest.mark.parametrize("causal", [False, True])
def test_gradient_of_a_mask(causal):
    q, k, v, mask = (tensor(normal(*s)).requires_grad_() for s in [(2, 3, 4), (2, 5, 4), (2, 5, 4), (3, 5)])

    def call(q, k, v, mask):
        return F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)

    assert engine.autograd.gradcheck(call, (q, k, v, mask))
    np.testing.assert_allclose(call(q, k, v, mask).tolist(), call(q, k, v, mask.detach()).tolist(), rtol=1e-12)
    hidden = engine.full((3, 5), float("-inf"), dtype=engine.float64, requires_grad=True)
    y = call(q, k, v, hidden)
    assert not y.detach().numpy().any()
    y.sum().backward()
    assert not np.isnan(q.grad.numpy()).any()


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"add_bias_kv": True}, {"add_zero_attn": True}, {"kdim": 5, "vdim": 3, "add_bias_kv": True}]
)
def test_multihead_attention_as_pytorch(options, need_weights, batch_first):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=batch_first, dtype=torch.float64, **options)
    mine = nn.MultiheadAttention(8, 2, batch_first=batch_first, dtype=engine.float64, **options)
    state = theirs.state_dict()
    assert list(mine.state_dict()) == list(state)
    mine.load_state_dict({name: tensor(value.numpy()) for name, value in state.items()})
    q, k, v = normal(3, 3, 8), normal(3, 3, options.get("kdim", 8)), normal(3, 3, options.get("vdim", 8))
    padding = np.array([[False, False, True], [False] * 3, [False, True, True]])
    later = np.triu(np.ones((3, 3), bool), 1)
    seen = []
    for make, module in ((tensor, mine), (torch.tensor, theirs)):
        y, weights = module(
            make(q), make(k), make(v), key_padding_mask=make(padding), attn_mask=make(later), need_weights=need_weights
        )
        (y * y).sum().backward()
        seen.append([y, weights, *[p.grad for p in module.parameters()]])
    for found, wanted in zip(*seen):
        assert (found is None) == (wanted is None)
        if found is not None:
            np.testing.assert_allclose(found.tolist(), wanted.tolist(), rtol=1e-9, atol=1e-11)


def test_weights_are_given_unless_refused():
    m, x = nn.MultiheadAttention(4, 2), engine.ones(3, 1, 4)
    assert m(x, x, x)[1].shape == (1, 3, 3)
    assert m(x, x, x, average_attn_weights=False)[1].shape == (1, 2, 3, 3)
    assert m(x, x, x, need_weights=False)[1] is None
    packed, cu = engine.ones(3, 4), tensor([0, 3]).int()
    assert m(packed, cu_seqlens=cu)[1] is None


# ---------------------------------------------------------------- modules


def test_transformer_as_pytorch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    options = {"dropout": 0.0, "batch_first": True}
    theirs = torch.nn.Transformer(8, 2, 2, 2, 16, dtype=torch.float64, **options)
    mine = nn.Transformer(8, 2, 2, 2, 16, dtype=engine.float64, **options)
    state = theirs.state_dict()
    assert list(mine.state_dict()) == list(state)
    mine.load_state_dict({name: tensor(value.numpy()) for name, value in state.items()})
    src, tgt = normal(2, 5, 8), normal(2, 3, 8)
    padding = np.array([[False] * 5, [False, False, False, True, True]])
    outputs = []
    for make, module, library in ((tensor, mine, nn), (torch.tensor, theirs, torch.nn)):
        mask = library.Transformer.generate_square_subsequent_mask(3)
        y = module(
            make(src), make(tgt), tgt_mask=mask.double(),
            src_key_padding_mask=make(padding), memory_key_padding_mask=make(padding),
        )  # fmt: skip
        outputs.append(y.detach().numpy())
    np.testing.assert_allclose(*outputs, rtol=1e-9, atol=1e-11)


def test_transformer_mistakes_and_masks():
    inf = float("inf")
    mask = nn.Transformer.generate_square_subsequent_mask(2)
    assert mask.tolist() == [[0, -inf], [0, 0]] and mask.dtype is engine.float32
    m = nn.Transformer(4, 2, 1, 1, 8)
    assert m(engine.ones(3, 2, 4), engine.ones(5, 2, 4)).shape == (5, 2, 4)
    with pytest.raises(ValueError, match=r"\[Transformer\] tgt: expected as many sequences as src"):
        m(engine.ones(3, 2, 4), engine.ones(5, 3, 4))
    with pytest.raises(ValueError, match=r"\[Transformer\] src: expected 2 or 3 dimensions, the last of size 4"):
        m(engine.ones(3, 2, 5), engine.ones(5, 2, 4))


def test_unflatten():
    layer = nn.Unflatten(1, (2, -1))
    assert layer(engine.zeros(3, 6)).shape == (3, 2, 3) and repr(layer) == "Unflatten(dim=1, unflattened_size=(2, -1))"


def test_parameter_dict():
    d = nn.ParameterDict({"a": nn.Parameter(engine.ones(2)), "b": engine.zeros(3)})
    assert list(d) == ["a", "b"] == list(d.state_dict()) and isinstance(d["b"], nn.Parameter) and len(d) == 2
    d["c"] = engine.ones(1)
    d.update([("a", engine.zeros(1))])
    assert d["a"].shape == (1,) and "c" in d and d.get("x") is None and list(reversed(d)) == ["c", "b", "a"]
    assert d.pop("b").shape == (3,) and d.popitem()[0] == "c" and list(d.keys()) == ["a"]
    joined = d | {"z": engine.ones(4)}
    assert list(joined) == ["a", "z"] and list(d) == ["a"] and joined["a"] is d["a"]
    assert d.setdefault("q", engine.ones(2)).shape == (2,)
    d.clear()
    assert not list(d.parameters())
    with pytest.raises(KeyError):
        d["a"]


ONES = engine.ones(2, 3)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: F.bilinear(ONES, ONES, engine.ones(2, 4, 3)), ValueError, r"\[bilinear\] input1: expected a last dim"),
        (lambda: F.cosine_similarity(ONES, engine.ones(4)), ValueError, r"\[cosine_similarity\] x2: expected a shape"),
        (
            lambda: F.cosine_similarity(tensor([1]), tensor([1]), 0),
            TypeError,
            r"\[cosine_similarity\] x1: .* got int64",
        ),
        (lambda: F.embedding_bag(tensor([0]), ONES), ValueError, r"\[embedding_bag\] offsets: expected a Tensor"),
        (
            lambda: F.embedding_bag(tensor([0]), ONES, tensor([1])),
            ValueError,
            r"\[embedding_bag\] offsets: expected num",
        ),
        (lambda: F.embedding_bag(tensor([[0]]), ONES, tensor([0])), ValueError, r"offsets: expected None"),
        (lambda: F.embedding_bag(tensor([[0]]), ONES, mode="min"), ValueError, r"\[embedding_bag\] mode"),
        (
            lambda: F.embedding_bag(tensor([[0]]), ONES, per_sample_weights=engine.ones(1, 1)),
            ValueError,
            r"\[embedding_bag\] per_sample_weights: expected None unless mode='sum'",
        ),
        (lambda: F.normalize(tensor([1])), TypeError, r"\[normalize\] input: expected a floating-point dtype"),
        (lambda: F.pad(ONES, (1,)), ValueError, r"\[pad\] pad: expected an even number of entries, at most 4, got 1"),
        (lambda: F.pad(ONES, (1, 1), "mirror"), ValueError, r"\[pad\] mode: expected 'constant'"),
        (
            lambda: F.pad(ONES, (3, 0), "reflect"),
            ValueError,
            r"\[pad\] pad: expected widths <= 2 for a dimension of size 3",
        ),
        (lambda: F.pad(ONES, (4, 0), "circular"), ValueError, r"\[pad\] pad: expected widths <= 3"),
        (
            lambda: F.pad(ONES, (1, 0), "circular", 1.0),
            ValueError,
            r"\[pad\] value: expected None with mode='circular'",
        ),
        (lambda: F.pad(engine.ones(3), (1, 0), "reflect"), ValueError, r"\[pad\] pad: expected 1 to 3 pairs"),
        (lambda: F.pad(ONES, (-2, -2)), ValueError, r"\[pad\] pad: expected entries that leave at least 0"),
    ],
)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_softmaxes_take_the_old_third_argument():
    x = engine.tensor([[1, 2, 4]])
    for name in ("softmax", "log_softmax", "softmin"):
        function = getattr(F, name)
        expected = function(x.float(), -1)
        for got in (
            function(x.float(), -1, 3),
            function(x, -1, 5, engine.float32),
            function(x, -1, _stacklevel=3, dtype=engine.float32),
        ):
            assert got.dtype is engine.float32 and got.tolist() == expected.tolist()
    assert engine.softmax(x, -1, engine.float64).dtype is x.log_softmax(-1, engine.float64).dtype is engine.float64
    with pytest.warns(UserWarning, match="softmax without dim takes dimension 1") as caught:
        F.softmax(x.float())
    assert caught[0].filename == __file__
