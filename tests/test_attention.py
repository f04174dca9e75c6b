"""Attention against plain float64 NumPy: ragged lengths, causal, masks, dropout by an independent Philox, every ISA."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import engine
from engine import _core
from engine.tensor import Tensor

TOLERANCE = {np.float32: 4e-6, np.float64: 1e-13}
GRADIENT_TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


def tensor(array: np.ndarray, device: str = "cpu") -> Tensor:
    return Tensor(_core.from_buffer(np.array(array))).to(device)


def dtypes(place: str) -> tuple:
    """float64 stays on the CPU."""
    return (np.float32, np.float64) if place == "cpu" else (np.float32,)


def cu_of(lengths) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


# ---------------------------------------------------------------- the oracle


def philox(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Philox4x32-10 (Salmon et al. 2011): counter (..., 4) -> (..., 4), in plain uint64 arithmetic."""
    c = counter.astype(np.uint64)
    k = [np.uint64(key[0]), np.uint64(key[1])]
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        a, b = c[..., 0] * np.uint64(0xD2511F53), c[..., 2] * np.uint64(0xCD9E8D57)
        c = np.stack([(b >> 32) ^ c[..., 1] ^ k[0], b & low, (a >> 32) ^ c[..., 3] ^ k[1], a & low], -1)
        k = [(k[0] + np.uint64(0x9E3779B9)) & low, (k[1] + np.uint64(0xBB67AE85)) & low]
    return c


def test_philox_of_the_tests():
    # Known answers of Random123 (kat_vectors).
    ones = 0xFFFFFFFF
    assert [hex(x) for x in philox(np.zeros(4), (0, 0))] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    assert [hex(x) for x in philox(np.full(4, ones), (ones, ones))] == [
        "0x408f276d",
        "0x41c83b0e",
        "0xa20bc7c6",
        "0x6d5451fd",
    ]


def dropout_factors(rows: int, columns: int, unit: int, p: float, seed: int, call: int) -> np.ndarray:
    row, column = np.mgrid[0:rows, 0:columns]
    group = column // 128 * 16 + column % 16
    counter = np.stack([group, row, np.full_like(row, call), np.full_like(row, unit)], -1)
    words = philox(counter, (seed & 0xFFFFFFFF, seed >> 32))
    half = column // 16 % 8
    word = np.take_along_axis(words, (half // 2)[..., None], -1)[..., 0]
    number = word >> (half % 2 * 16).astype(np.uint64) & np.uint64(0xFFFF)
    threshold = int(np.floor((1 - p) * 65536 + 0.5))
    return (number < threshold) * (65536 / threshold if threshold else 0.0)


def softmax(s: np.ndarray) -> np.ndarray:
    """Of rows; a row that is all -inf gives zeros."""
    top = s.max(-1, keepdims=True, initial=-np.inf)
    e = np.exp(s - np.where(np.isinf(top), 0, top))
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total)


def reference(q, k, v, dout, scale, causal=False, bias=None, factors=None):
    """One sequence and head: (L, d), (S, d), (S, e) -> out, dq, dk, dv."""
    s = scale * (q @ k.T)
    if bias is not None:
        s = s + bias
    if causal:
        s = np.where(np.tri(*s.shape, dtype=bool), s, -np.inf)
    p = softmax(s)
    m = np.ones_like(p) if factors is None else factors
    dp = (dout @ v.T) * m
    ds = scale * p * (dp - (dp * p).sum(-1, keepdims=True))
    return (p * m) @ v, ds @ k, ds.T @ q, (p * m).T @ dout


def packed_reference(q, k, v, dout, cu_q, cu_k, scale, causal=False, p=0.0, seed=0, call=0):
    out, dq, dk, dv = np.zeros(dout.shape), np.zeros(q.shape), np.zeros(k.shape), np.zeros(v.shape)
    heads = q.shape[1]
    for s, h in itertools.product(range(len(cu_q) - 1), range(heads)):
        rows, keys = slice(cu_q[s], cu_q[s + 1]), slice(cu_k[s], cu_k[s + 1])
        factors = None
        if p:
            factors = dropout_factors(cu_q[s + 1] - cu_q[s], cu_k[s + 1] - cu_k[s], s * heads + h, p, seed, call)
        out[rows, h], dq[rows, h], dk[keys, h], dv[keys, h] = reference(
            q[rows, h], k[keys, h], v[keys, h], dout[rows, h], scale, causal, None, factors
        )
    return out, dq, dk, dv


def test_the_formula_of_the_reference():
    """The gradients above against central differences."""
    rng = np.random.default_rng(0)
    q, k, v, dout = (rng.standard_normal(s) for s in [(3, 4), (5, 4), (5, 2), (3, 2)])
    factors = rng.choice([0.0, 2.0], (3, 5))
    bias = rng.standard_normal((3, 5))
    _, *gradients = reference(q, k, v, dout, 0.7, True, bias, factors)
    for number, gradient in enumerate(gradients):
        for index in np.ndindex(gradient.shape):
            values = []
            for step in (1e-5, -1e-5):
                moved = [a.copy() for a in (q, k, v)]
                moved[number][index] += step
                values.append((reference(*moved, dout, 0.7, True, bias, factors)[0] * dout).sum())
            assert abs((values[0] - values[1]) / 2e-5 - gradient[index]) < 1e-8


# ---------------------------------------------------------------- packed batches


def draws(rng, dtype, *shapes):
    return [rng.standard_normal(s).astype(np.float32).astype(dtype) for s in shapes]


def check(found: Tensor | None, wanted: np.ndarray, tolerance: float, what: str) -> None:
    assert found is not None and found.shape == wanted.shape, what
    error = np.abs(found.detach().cpu().numpy() - wanted) / (1 + np.abs(wanted))
    assert error.size == 0 or error.max() <= tolerance, f"{what}: off by {error.max():.3g}, allowed {tolerance:.3g}"


def run(q, k, v, dout, cu_q, cu_k, device="cpu", **options):
    """Forward and gradients of `attention`."""
    inputs = [tensor(x, device) for x in (q, k, v)]
    for x in inputs:
        x.requires_grad_()
    ks = None if cu_k is None else tensor(cu_k, device)
    out = engine.attention(*inputs, tensor(cu_q, device), cu_seqlens_k=ks, **options)
    out.backward(tensor(dout, device))
    return [out, *(x.grad for x in inputs)]


def compare(dtype, lengths_q, lengths_k, heads, d, e, seed=0, **options):
    rng = np.random.default_rng(seed)
    cu_q, cu_k = cu_of(lengths_q), cu_of(lengths_k)
    shapes = [(cu_q[-1], heads, d), (cu_k[-1], heads, d), (cu_k[-1], heads, e), (cu_q[-1], heads, e)]
    q, k, v, dout = draws(rng, dtype, *shapes)
    engine.manual_seed(1234567890123)
    found = run(q, k, v, dout, cu_q, None if lengths_q == lengths_k else cu_k, **options)
    wanted = packed_reference(
        *(x.astype(np.float64) for x in (q, k, v, dout)),
        cu_q,
        cu_k,
        options.get("scale") or max(d, 1) ** -0.5,
        options.get("is_causal", False),
        options.get("dropout_p", 0.0),
        1234567890123,
        0,
    )
    tolerance = GRADIENT_TOLERANCE[dtype]
    for what, f, w in zip(("out", "dq", "dk", "dv"), found, wanted):
        check(f, w, TOLERANCE[dtype] if what == "out" else tolerance, f"{what} {lengths_q} {lengths_k} {options}")


RAGGED = [
    [0],
    [1],
    [],
    [3, 0, 1, 2],
    [13, 7, 29, 17, 1, 0, 11],
    [47, 48, 49],
    [127, 128, 129],
    [33, 65, 97],
]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", RAGGED, ids=str)
def test_ragged_lengths(lengths, causal, place, guards):
    if place == "cuda" and sum(lengths) < 17:
        pytest.skip("less than a tile; the specs have such cases")
    for dtype in dtypes(place):
        compare(dtype, lengths, lengths, 2, 32, 32, is_causal=causal, device=place)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [511, 513, 601, 1030])
def test_long_sequences(length, causal, isa, guards):
    compare(np.float32, [length, 3], [length, 3], 1, 16, 16, is_causal=causal)


@pytest.mark.parametrize("causal", [False, True])
def test_long_sequences_cut_into_parts(causal, isa, guards):
    """A long sequence that is most of the work: its backward goes through sums of parts of dq."""
    compare(np.float32, [1600], [1600], 1, 7, 7, is_causal=causal, dropout_p=0.1)
    compare(np.float64, [20, 300], [50, 1300], 2, 4, 4, is_causal=causal)


@pytest.mark.parametrize("d, e", [(1, 1), (7, 7), (32, 32), (64, 64), (128, 128), (5, 33), (33, 5), (80, 96), (0, 4)])
def test_head_sizes(d, e, isa, guards):
    for dtype in (np.float32, np.float64):
        compare(dtype, [5, 50, 18], [5, 50, 18], 3, d, e, scale=0.3)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "lengths", [([5, 0, 7, 60], [9, 4, 0, 60]), ([130], [20]), ([20], [150]), ([1], [700])], ids=str
)
def test_queries_and_keys_of_different_lengths(lengths, causal, place, guards):
    for dtype in dtypes(place):
        compare(dtype, *lengths, 2, 24, 24, is_causal=causal, device=place)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", [[7, 20], [130, 17], [300], [550]], ids=str)
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout(lengths, p, causal, place, guards):
    for dtype in dtypes(place):
        compare(dtype, lengths, lengths, 2, 32, 32, is_causal=causal, dropout_p=p, device=place)


def test_dropout_of_everything_and_of_nothing(place):
    rng = np.random.default_rng(1)
    q, k, v, dout = draws(rng, np.float32, *[(90, 2, 8)] * 4)
    for x in run(q, k, v, dout, cu_of([90]), None, place, dropout_p=1.0):
        assert not x.detach().cpu().numpy().any()
    plain = run(q, k, v, dout, cu_of([90]), None, place)
    state = _core.random_state()
    for options in ({"dropout_p": 0.0}, {"dropout_p": 0.4, "training": False}):
        for a, b in zip(plain, run(q, k, v, dout, cu_of([90]), None, place, **options)):
            assert np.array_equal(a.detach().cpu().numpy(), b.detach().cpu().numpy())
    assert _core.random_state() == state


def test_negative_scale(isa):
    compare(np.float32, [40, 3], [40, 3], 1, 8, 8, scale=-0.5)


@pytest.mark.parametrize("p", [0.0, 0.2])
@pytest.mark.parametrize("causal", [False, True])
def test_fused_projection(p, causal, place, guards):
    rng = np.random.default_rng(3)
    cu = cu_of([5, 60, 0, 17])
    for dtype, d in itertools.product(dtypes(place), (32, 7)):
        (qkv, dout) = draws(rng, dtype, (82, 3, 2, d), (82, 2, d))
        x = tensor(qkv, place).requires_grad_()
        engine.manual_seed(5)
        out = engine.attention_qkv(x, tensor(cu, place), is_causal=causal, dropout_p=p)
        out.backward(tensor(dout, place))
        engine.manual_seed(5)
        apart = run(*(qkv[:, i] for i in range(3)), dout, cu, None, place, is_causal=causal, dropout_p=p)
        assert np.array_equal(out.detach().cpu().numpy(), apart[0].detach().cpu().numpy())
        for i in range(3):
            assert np.array_equal(x.grad.cpu().numpy()[:, i], apart[i + 1].cpu().numpy())


def test_slices_are_taken_as_they_are(isa, guards):
    rng = np.random.default_rng(4)
    (qkv,) = draws(rng, np.float32, (30, 3, 2, 16))
    whole = tensor(qkv)._data
    slices = [Tensor(whole.select(1, i)) for i in range(3)]
    cu = tensor(cu_of([11, 19]))
    found = engine.attention(*slices, cu).numpy()
    copies = engine.attention(*(tensor(qkv[:, i]) for i in range(3)), cu).numpy()
    assert np.array_equal(found, copies)


def test_same_bits_at_any_thread_count(isa, threads):
    rng = np.random.default_rng(6)
    lengths = [700, 3, 90, 17, 12, 9, 0, 33, 256, *[8] * 50]
    cu = cu_of(lengths)
    q, k, v, dout = draws(rng, np.float32, *[(cu[-1], 3, 32)] * 4)
    results = []
    for n in (1, 2, 3):
        threads(n)
        engine.manual_seed(7)
        results.append([x.detach().numpy().tobytes() for x in run(q, k, v, dout, cu, None, dropout_p=0.1)])
    assert results[0] == results[1] == results[2]


def test_a_sequence_alone_and_in_company(place):
    """The same bits wherever a sequence stands in a batch."""
    rng = np.random.default_rng(8)
    cu = cu_of([21, 70, 9])
    q, k, v, dout = draws(rng, np.float32, *[(100, 2, 32)] * 4)
    company = [x.detach().cpu().numpy()[21:91] for x in run(q, k, v, dout, cu, None, place)]
    alone = [x.detach().cpu().numpy() for x in run(*(x[21:91] for x in (q, k, v, dout)), cu_of([70]), None, place)]
    for a, b in zip(company, alone):
        assert np.array_equal(a, b)


# ---------------------------------------------------------------- rectangles


def rectangle_reference(q, k, v, dout, mask, causal=False, scale=None):
    lead = q.shape[:-2]
    bias = None
    if mask is not None:
        bias = np.where(mask, 0.0, -np.inf) if mask.dtype == bool else mask.astype(np.float64)
        bias = np.broadcast_to(bias, (*lead, q.shape[-2], k.shape[-2]))
    results = [np.zeros(dout.shape), np.zeros(q.shape), np.zeros(k.shape), np.zeros(v.shape)]
    for i in np.ndindex(*lead):
        parts = [x[i].astype(np.float64) for x in (q, k, v, dout)]
        one = reference(*parts, scale or q.shape[-1] ** -0.5, causal, None if bias is None else bias[i])
        for whole, part in zip(results, one):
            whole[i] = part
    return results


def compare_rectangle(dtype, lead, rows, keys, d, e, mask, order=None, device="cpu", **options):
    rng = np.random.default_rng(9)
    shapes = [(*lead, rows, d), (*lead, keys, d), (*lead, keys, e), (*lead, rows, e)]
    arrays = draws(rng, dtype, *shapes)

    def lay(x: np.ndarray) -> Tensor:
        if order is None:
            return tensor(x, device)
        inverse = np.argsort(order)
        return tensor(np.ascontiguousarray(x.transpose(order)), device).permute(*[int(i) for i in inverse])

    q, k, v, dout = (lay(x).detach() for x in arrays)
    for x in (q, k, v):
        x.requires_grad_()
    given = None if mask is None else tensor(mask if mask.dtype == bool else mask.astype(dtype), device)
    out = engine.scaled_dot_product_attention(q, k, v, given, **options)
    out.backward(dout)
    wanted = rectangle_reference(*arrays, mask, options.get("is_causal", False), options.get("scale"))
    for what, f, w in zip(("out", "dq", "dk", "dv"), (out, q.grad, k.grad, v.grad), wanted):
        check(f, w, TOLERANCE[dtype] if what == "out" else GRADIENT_TOLERANCE[dtype], what)


@pytest.mark.parametrize("order", [None, (0, 2, 1, 3), (2, 0, 1, 3), (3, 2, 1, 0)], ids=str)
def test_rectangles_in_any_layout(order, isa, guards):
    for dtype in (np.float32, np.float64):
        compare_rectangle(dtype, (2, 3), 19, 19, 16, 16, None, order)
        compare_rectangle(dtype, (2, 3), 5, 30, 16, 24, None, order, is_causal=True)


def test_empty_rectangles(isa, guards):
    for lead, rows, keys in [((0, 2), 3, 3), ((2, 0), 3, 4), ((2, 2), 0, 3), ((2, 2), 3, 0), ((0,), 3, 3)]:
        for mask in (None, np.ones((rows, keys), bool)):
            compare_rectangle(np.float32, lead, rows, keys, 8, 8, mask)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (2, 2, 3)], ids=str)
def test_leading_dimensions(lead, isa, guards):
    rng = np.random.default_rng(10)
    for mask in (None, rng.random((6, 9)) < 0.7, rng.standard_normal((*lead, 6, 9)).astype(np.float32)):
        compare_rectangle(np.float32, lead, 6, 9, 8, 8, mask)


def masks(rng, b, h, q, k):
    padding = np.arange(k) < np.array([k, 1, k // 2] * b)[:b, None, None, None]  # the usual mask of padded batches
    some = rng.random((b, h, q, k)) < 0.5
    some[0, 0, 0] = False  # a row that sees nothing
    nothing = np.zeros((b, 1, 1, k), bool)
    yield from (padding, some, nothing, some[:, :1], some[0], some[0, 0], some[:, :, :1], some[..., :1])
    numbers = rng.standard_normal((b, h, q, k)).astype(np.float32)
    yield from (numbers, numbers[:, :, :, :1], numbers[0, 0], np.where(some, numbers, -np.inf).astype(np.float32))


@pytest.mark.parametrize("number", range(12))
def test_masks(number, place, guards):
    for shape in [(2, 3, 7, 7), (1, 2, 50, 140), (3, 1, 20, 530)][place == "cuda" :]:
        mask = list(masks(np.random.default_rng(11), *shape))[number]
        b, h, q, k = shape
        for dtype, causal, order in itertools.product(dtypes(place), (False, True), (None, (0, 2, 1, 3))):
            compare_rectangle(dtype, (b, h), q, k, 12, 12, mask, order, place, is_causal=causal)


def test_masked_rows_give_zeros(isa):
    rng = np.random.default_rng(12)
    q, k, v = (tensor(x).requires_grad_() for x in draws(rng, np.float32, *[(1, 1, 4, 8)] * 3))
    out = engine.scaled_dot_product_attention(q, k, v, tensor(np.zeros((4, 4), bool)))
    out.backward(tensor(np.ones((1, 1, 4, 8), np.float32)))
    for x in (out.detach(), q.grad, k.grad, v.grad):
        assert not x.numpy().any()
    lse = _core.kernels.attention(
        *(x._data.view((4, 1, 8)) for x in (q, k, v)),
        *(tensor(cu_of([4]))._data,) * 2,
        tensor(np.zeros((1, 1, 4, 4), bool))._data,
        1.0,
        False,
        0.0,
        0,
        0,
    )[1]
    assert np.array_equal(np.asarray(lse), np.full((1, 4), -np.inf, np.float32))


def test_rectangle_dropout_is_that_of_the_packed_batch(place):
    rng = np.random.default_rng(13)
    x = draws(rng, np.float32, *[(2, 3, 23, 8)] * 3)
    engine.manual_seed(14)
    a = engine.scaled_dot_product_attention(*(tensor(t, place) for t in x), dropout_p=0.3).cpu().numpy()
    engine.manual_seed(14)
    lay = [tensor(t.transpose(0, 2, 1, 3).reshape(46, 3, 8), place) for t in x]
    b = engine.attention(*lay, tensor(cu_of([23, 23]), place), dropout_p=0.3).cpu().numpy()
    assert np.array_equal(a, b.reshape(2, 23, 3, 8).transpose(0, 2, 1, 3))


# ---------------------------------------------------------------- errors


def packed_arguments(device="cpu", dim=4):
    return [tensor(np.zeros((6, 2, dim), np.float32), device) for _ in range(3)]


@pytest.mark.parametrize(
    "cu, message",
    [
        ([1, 3, 6], "cu_seqlens: expected to start at 0, got 1"),
        ([0, 4, 3, 6], "cu_seqlens: expected numbers that never fall, got 3 after 4 at position 2"),
        ([0, 3, 5], "cu_seqlens: expected to end at the number of tokens 6, got 5"),
        ([0, 3, 7], "cu_seqlens: expected to end at the number of tokens 6, got 7"),
    ],
)
def test_wrong_cu_seqlens(cu, message, device):
    """On a device the error comes where the host next waits, and says less."""
    if device == "cuda":
        message = "cu_seqlens: expected numbers that rise from 0 to 6, got"
    dim = 4 if device == "cpu" else 96
    q, k, v = packed_arguments(device, dim)
    good, bad = (tensor(np.array(x, np.int32), device) for x in ([0] * (len(cu) - 1) + [6], cu))
    wait = engine.cuda.synchronize if device == "cuda" else lambda: None
    with pytest.raises(ValueError, match=f"\\[attention\\] {message}"):
        engine.attention(q, k, v, bad)
        wait()
    with pytest.raises(ValueError, match=f"\\[attention\\] {message.replace('cu_seqlens', 'cu_seqlens_k')}"):
        engine.attention(q, k, v, good, cu_seqlens_k=bad)
        wait()
    with pytest.raises(ValueError, match=f"\\[attention_qkv\\] {message}"):
        engine.attention_qkv(tensor(np.zeros((6, 3, 2, dim), np.float32), device), bad)
        wait()


@pytest.mark.parametrize("keys", [1, 2, 7, 8, 15, 16, 17, 33, 128, 513, 1100])
@pytest.mark.parametrize("where", ["query", "key", "mask"])
def test_nan_stays_nan(keys: int, where: str, place: str) -> None:
    if place == "cuda" and keys < 513:
        pytest.skip("less than a tile")
    rng = np.random.default_rng(keys)
    q, k, v, mask = (rng.standard_normal(shape, np.float32) for shape in [(3, 4), (keys, 4), (keys, 4), (3, keys)])
    {"query": q[1:2], "key": k, "mask": mask[1:2]}[where][:] = np.nan
    wanted = np.isnan(q @ k.T + mask).any(1)
    tensors = [tensor(x, place).requires_grad_() for x in (q, k, v)]
    out = engine.scaled_dot_product_attention(*tensors, tensor(mask, place))
    assert (np.isnan(out.detach().cpu().numpy()).any(1) == wanted).all()
    out.sum().backward()
    assert (np.isnan(tensors[0].grad.cpu().numpy()).any(1) == wanted).all()


def test_wrong_arguments():
    q, k, v = packed_arguments()
    cu = tensor(cu_of([6]))
    wide = tensor(np.zeros((6, 2, 5), np.float32))
    for call, error, message in [
        (lambda: engine.attention(q, wide, v, cu), ValueError, r"\[attention\] key: expected shape"),
        (lambda: engine.attention(q, k, tensor(np.zeros((5, 2, 4), np.float32)), cu), ValueError, r"\[attention\] value: expected shape"),
        (lambda: engine.attention(q, tensor(np.zeros((6, 3, 4), np.float32)), v, cu), ValueError, r"\[attention\] key"),
        (lambda: engine.attention(q, tensor(np.zeros((6, 2, 4))), v, cu), TypeError, r"\[attention\] key: expected float32, got float64"),
        (lambda: engine.attention(q, k, v, tensor(np.array([0, 6]))), TypeError, r"\[attention\] cu_seqlens: expected int32, got int64"),
        (lambda: engine.attention(q, k, v, cu, dropout_p=1.5), ValueError, r"\[attention\] dropout_p: expected a probability"),
        (lambda: engine.attention(q, k, v, None), TypeError, r"\[attention\] cu_seqlens: expected a Tensor, got NoneType"),
        (lambda: engine.attention_qkv(q, cu), ValueError, r"\[attention_qkv\] qkv: expected shape"),
        (lambda: engine.scaled_dot_product_attention(q, wide, v), ValueError, r"\[scaled_dot_product_attention\] key"),
        (lambda: engine.scaled_dot_product_attention(q, k, wide, dropout_p=-1), ValueError, r"\] dropout_p"),
        (lambda: engine.scaled_dot_product_attention(q, k, v, tensor(np.zeros((3, 3), bool))), ValueError, r"\] attn_mask: expected a shape"),
        (lambda: engine.scaled_dot_product_attention(q, k, v, tensor(np.zeros((2, 2), np.int32))), TypeError, r"\] attn_mask: expected bool"),
        (lambda: engine.scaled_dot_product_attention(q, k, engine.zeros(2)), ValueError, r"\] query: expected 2 to 7 dimensions"),
    ]:  # fmt: skip
        with pytest.raises(error, match=message):
            call()
