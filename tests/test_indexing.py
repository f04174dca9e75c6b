"""Indexing beside the spec rows: assignment and versions, determinism, views that share memory, errors before writing."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import _core

RNG = np.random.default_rng(7)


def tensor(*shape, **options):
    return engine.tensor(RNG.standard_normal(shape), **options)


# ---------------------------------------------------------------- views


VIEWS = [
    lambda x: x[1],
    lambda x: x[:, 1:],
    lambda x: x[None, ..., 0],
    lambda x: x.reshape(6, 4),
    lambda x: x.view(-1),
    lambda x: x.permute(2, 0, 1),
    lambda x: x.T,
    lambda x: x.unsqueeze(0).squeeze(0),
    lambda x: x.expand(5, 2, 3, 4),
    lambda x: x.flatten(1),
    lambda x: x.split(2, 1)[1],
    lambda x: x.chunk(2, 2)[0],
    lambda x: x.unbind(1)[2],
    lambda x: x.narrow(0, 1, 1),
    lambda x: x.movedim(0, 2),
    lambda x: next(iter(x)),
]


@pytest.mark.parametrize("view", [*VIEWS, lambda x: x.contiguous()])
def test_views_share_memory(view):
    x = tensor(2, 3, 4)
    assert view(x)._data.shares_storage(x._data)
    leaf = tensor(2, 3, 4, requires_grad=True)
    y = view(leaf)
    if y is not leaf:
        with pytest.raises(RuntimeError, match="view"):
            y.zero_()


def test_copies_do_not():
    x = tensor(3, 4)
    for y in (x.T.reshape(12), x[[0, 1]], x[x.bool()], x.clone(), x.T.contiguous(), engine.cat([x]), engine.stack([x])):
        assert not y._data.shares_storage(x._data)


def test_part_backward_is_one_node():
    x = tensor(4, 6, requires_grad=True)
    a, b, c = x.split(2, 1)
    assert a.grad_fn is b.grad_fn is c.grad_fn
    rows = list(x)
    assert len(rows) == 4 and rows[0].grad_fn is rows[3].grad_fn
    rows[2].backward(engine.ones(6, dtype=engine.float64))
    assert x.grad.tolist() == [[0.0] * 6] * 2 + [[1.0] * 6] + [[0.0] * 6]


# ---------------------------------------------------------------- assignment


def test_assignment_writes_through_views(guards, device):
    array = np.arange(24.0).reshape(4, 6)
    if device == "cuda":
        array = np.arange(1300, dtype=np.float32).reshape(50, 26)
    x, expected = engine.tensor(array, device=device), array.copy()
    x.T[1:3][..., 0] = 7
    expected.T[1:3][..., 0] = 7
    x[1:][:, ::2][[0, 2, 0], [1, 1, 2]] = engine.tensor([1, 2, 3], device=device)  # index arrays into a strided view
    expected[1:][:, ::2][[0, 2, 0], [1, 1, 2]] = [1, 2, 3]
    x.T[expected.T > 20] = -1.0
    expected.T[expected.T > 20] = -1
    x[0, :6] = [1, 2, 3, 4, 5, 6]
    expected[0, :6] = [1, 2, 3, 4, 5, 6]
    x[2:4] = x[:2]  # the same storage
    expected[2:4] = expected[:2].copy()
    x[1:] = x[:-1]  # overlapping
    expected[1:] = expected[:-1].copy()
    x[3, 3] = np.float32(0.5)
    expected[3, 3] = 0.5
    assert np.array_equal(x.cpu().numpy(), expected)


def test_assignment_cuts_across_dimensions(guards):
    """Indexed dimensions whose strides do not join: the slow way through a copy."""
    array = np.arange(120.0).reshape(2, 3, 4, 5)
    x, expected = engine.tensor(array), array.copy()
    x.permute(0, 2, 1, 3)[:, [0, 3, 3], [2, 1, 1]] = -1.0
    expected.transpose(0, 2, 1, 3)[:, [0, 3, 3], [2, 1, 1]] = -1
    assert np.array_equal(x.numpy(), expected)


def test_last_of_equal_indices_wins(threads, place):
    n, dtype = (5000, np.float64) if place == "cpu" else (301, np.float32)
    index = RNG.integers(0, 10, n)
    values = RNG.standard_normal((n, 300)).astype(dtype)
    expected = np.zeros((10, 300))
    expected[index] = values
    for count in (1, 2, 3) if place == "cpu" else (1,):
        threads(count)
        x = engine.zeros(10, 300, dtype=getattr(engine, np.dtype(dtype).name), device=place)
        x[index] = engine.tensor(values, device=place)
        assert np.array_equal(x.cpu().numpy(), expected)


def test_assignment_converts():
    x = engine.zeros(3, dtype=engine.int64)
    x[0] = 2.7
    x[1:] = engine.tensor([1.5, -1.5])
    assert x.tolist() == [2, 1, -1]
    b = engine.zeros(3, dtype=engine.bool)
    b[engine.tensor([2])] = True
    assert b.tolist() == [False, False, True]
    with pytest.raises(ValueError, match=r"\[setitem\] value"):
        engine.zeros(3, dtype=engine.uint8)[0] = 256


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("write", [lambda x: x.mul_(2.0), lambda x: x.zero_(), lambda x: x.__setitem__(0, 5.0)])
def test_views_follow_an_in_place_operation_on_their_base(view, write):
    leaf = tensor(2, 3, 4, requires_grad=True)
    weight = engine.tensor(RNG.standard_normal(view(leaf).shape))
    gradients = []
    for late in (False, True):
        made = leaf * 1
        old = view(made)
        older = old[None]
        write(made)
        new = view(made) if late else old
        assert ((new * 2).detach() == 2 * view(made.detach())).all()
        if late:
            older = new[None]
        (new * weight + 1 - older).sum().backward()
        gradients.append(leaf.grad)
        leaf.grad = None
    assert np.allclose(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "step",
    [
        lambda x, p: x.add_(x * 0.5),
        lambda x, p: x.sub_(x, alpha=0.5),
        lambda x, p: x.add_(engine.nn.functional.linear(x, p)),
        lambda x, p: x.add_(engine.nn.functional.linear_gelu(x, p)),
        lambda x, p: x.add_(x @ p),
        lambda x, p: (p @ x).add_(x).mul_(2.0),
    ],
)
def test_operands_that_no_gradient_needs_may_be_overwritten(step):
    leaf, fixed = tensor(3, 3, requires_grad=True), tensor(3, 3)
    step(leaf * 1, fixed).sum().backward()
    assert leaf.grad is not None
    x = leaf * 1
    y = x * tensor(3, 3, requires_grad=True)  # this one's gradient reads x
    x.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an in-place operation"):
        y.sum().backward()


def test_parameters_may_change_before_a_backward_that_does_not_read_them():
    p = tensor(3, requires_grad=True)
    loss = (p * 2).sum()
    with engine.no_grad():
        p.sub_(1.0)
    loss.backward()
    assert p.grad.tolist() == [2.0] * 3
    layer = engine.nn.Linear(3, 2, dtype=engine.float64)
    loss = layer(tensor(4, 3)).sum()
    with engine.no_grad():
        layer.weight.mul_(0.5)
    loss.backward()
    assert layer.weight.grad is not None


def test_views_of_a_leaf_serve_several_backwards():
    p = tensor(3, 2, requires_grad=True)
    transposed = p.t()
    for _ in range(2):
        (tensor(4, 2) @ transposed).sum().backward()


def test_views_of_a_buffer_that_gained_a_history():
    value = engine.tensor([1.0, 2.0], requires_grad=True)
    buffer = engine.zeros(2, 2)
    old, part = buffer.view(4), buffer[1]
    part.mul_(3.0)  # neither has a history so far
    buffer[0] = value
    assert old.requires_grad
    part.add_(value)
    weight = engine.tensor([1.0, 10.0, 100.0, 1000.0], requires_grad=True)
    (old * weight).sum().backward()
    assert value.grad.tolist() == [101.0, 1010.0] and weight.grad.tolist() == [1.0, 2.0, 1.0, 2.0]


def test_views_taken_out_of_the_history_may_grow_old():
    leaf = tensor(4, requires_grad=True)
    made = leaf * 1
    with engine.no_grad():
        old = made.view(2, 2)
    copy = made.detach().view(2, 2)
    made.mul_(2.0)
    assert (old + 0).tolist() == (copy + 0).tolist() == made.view(2, 2).tolist()
    with engine.no_grad():
        view = leaf.view(2, 2)
        leaf.mul_(2.0)  # as an optimizer does
        assert (view * 1).tolist() == leaf.view(2, 2).tolist()


def test_assignment_and_autograd():
    leaf = tensor(3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"\[setitem\] self.*leaf"):
        leaf[0] = 1.0
    with engine.no_grad():
        leaf[0] = 1.0
    assert leaf.tolist()[0] == 1.0 and leaf.is_leaf
    made = leaf.clone()
    part = made[1:]
    part[0] = 1.0
    (made * part[0]).sum().backward()
    assert leaf.grad.tolist() == [1.0, 0.0, 1.0]
    with pytest.raises(RuntimeError, match="view of a leaf"):
        leaf[1:][0] = 1.0
    value = engine.tensor([5.0], requires_grad=True)
    buffer = engine.zeros(2, 3)
    whole = leaf * 1
    with engine.no_grad():
        cut_off = whole.view(1, 3)
    with pytest.raises(RuntimeError, match="under no_grad"):
        cut_off.mul_(value)
    for write, expected in (
        (lambda x: x[0].copy_(value), 3.0),
        (lambda x: x[0].add_(value), 3.0),
        (lambda x: x[0].mul_(value), 6.0),
        (lambda x: x[0].masked_fill_(engine.tensor([True, False, True]), value[0]), 2.0),
        (lambda x: x[0].scatter_add_(0, engine.tensor([1]), value), 1.0),
    ):
        other = engine.full((2, 3), 2.0)
        write(other)
        other.sum().backward()
        assert value.grad.tolist() == [expected], expected
        value.grad = None
    buffer[0, :1] = value
    assert buffer.requires_grad
    buffer.backward(engine.full((2, 3), 2.0))
    assert value.grad.tolist() == [2.0]


def test_overwritten_values_are_noticed():
    x = tensor(3, requires_grad=True)
    table = tensor(3, requires_grad=True).clone()
    y = engine.layer_norm(x + table, (3,), engine.ones(3, dtype=engine.float64), engine.zeros(3, dtype=engine.float64))
    z = x * table
    version = table._version
    table[1] = 0.0
    assert table._version > version
    y.backward(engine.ones(3, dtype=engine.float64))
    with pytest.raises(RuntimeError, match="in-place"):
        z.backward(engine.ones(3, dtype=engine.float64))


def test_overwritten_indices_are_noticed():
    x, index = tensor(4, requires_grad=True), engine.tensor([0, 2])
    y = x.index_select(0, index)
    index[0] = 1
    with pytest.raises(RuntimeError, match="in-place"):
        y.backward(engine.ones(2, dtype=engine.float64))


# ---------------------------------------------------------------- dtypes, determinism


@pytest.mark.parametrize(
    "name", ["float32", "float64", "int32", "int64", "uint8", "bool", "bfloat16", "float16", "int8", "int16"]
)
def test_every_dtype(name, isa, guards):
    dtype = getattr(engine, name)
    array = RNG.integers(0, 2 if name == "bool" else 100, (5, 7))
    x = engine.tensor(array, dtype=dtype)

    def same(found, expected):
        assert found.dtype is dtype
        assert np.array_equal(found.double().numpy(), expected)

    same(x[[4, 0, 4]], array[[4, 0, 4]])
    same(x[:, [6, 0]], array[:, [6, 0]])
    same(x[array > 0], array[array > 0])
    same(engine.cat([x, x], 1), np.concatenate([array, array], 1))
    same(engine.gather(x, 1, engine.tensor(array % 7)), np.take_along_axis(array, array % 7, 1))
    same(x.T.contiguous(), array.T)
    y = x.clone()
    y[[1, 3]] = x[[0, 0]]
    array[[1, 3]] = array[[0, 0]]
    same(y, array)
    assert engine.count_nonzero(y).item() == np.count_nonzero(array)
    assert np.array_equal(engine.nonzero(y).numpy(), np.argwhere(array))


def test_promotion_in_cat():
    a, b = engine.tensor([1, 2]), engine.tensor([0.5], requires_grad=True)
    y = engine.cat([a, b, engine.tensor([True])])
    assert y.dtype is engine.float32 and y.tolist() == [1.0, 2.0, 0.5, 1.0]
    y.backward(engine.tensor([1.0, 2.0, 3.0, 4.0]))
    assert b.grad.tolist() == [3.0]
    wide = engine.stack([engine.ones(1), engine.ones(1, dtype=engine.float64)])
    assert wide.dtype is engine.float64
    x = engine.ones(1, 2, requires_grad=True)
    engine.cat([engine.zeros(0), x]).backward(engine.ones(1, 2))
    assert x.grad.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("m, n, d", [(20000, 3, 33), (20000, 2, 1), (5000, 4000, 17), (65, 64, 128)])
def test_repeated_indices_add_up_alike(m, n, d, threads, isa):
    index = RNG.integers(0, n, m)
    index[: m // 2] = n - 1  # one long segment
    dy = RNG.standard_normal((m, d)).astype(np.float32)
    expected = np.zeros((n, d))
    np.add.at(expected, index, dy.astype(np.float64))
    found = []
    for count in (1, 2, 3):
        threads(count)
        x = engine.zeros(n, d, requires_grad=True)
        x[index].backward(engine.tensor(dy))
        found.append(x.grad.numpy().tobytes())
        assert np.allclose(x.grad.numpy(), expected, rtol=2e-5, atol=2e-4)
    assert len(set(found)) == 1


def test_same_bits_on_every_isa():
    from conftest import SUPPORTED_ISAS

    index, dy = RNG.integers(0, 5, 3000), RNG.standard_normal((3000, 37)).astype(np.float32)
    before, found = _core.get_cpu_isa(), set()
    for isa in SUPPORTED_ISAS:
        _core.set_cpu_isa(isa)
        x = engine.zeros(5, 37, requires_grad=True)
        x[index].backward(engine.tensor(dy))
        found.add(x.grad.numpy().tobytes())
    _core.set_cpu_isa(before)
    assert len(found) == 1


def test_scatter_add_in_place():
    x = engine.zeros(3, dtype=engine.int64)
    x.scatter_add_(0, engine.tensor([2, 2, 0]), engine.tensor([5, 6, 7, 8]))
    assert x.tolist() == [7, 0, 11]
    src = tensor(2, 5, requires_grad=True)
    y = engine.zeros(2, 3, dtype=engine.float64).scatter_add(1, engine.tensor([[0, 0], [1, 2]]), src)
    y.backward(engine.tensor([[1.0, 2, 3], [4, 5, 6]], dtype=engine.float64))
    assert src.grad.tolist() == [[1.0, 1.0, 0, 0, 0], [5.0, 6.0, 0, 0, 0]]


def test_zero_dimensions():
    x = engine.tensor(3.0, requires_grad=True)
    assert x[...].item() == 3 and x[None].shape == (1,)
    assert x[engine.tensor(True)].tolist() == [3.0] and x[False].shape == (0,)
    assert engine.gather(x, 0, engine.tensor(0)).shape == ()
    assert engine.nonzero(engine.tensor(5)).shape == (1, 0)
    assert [t.tolist() for t in engine.nonzero(engine.tensor([[0, 1], [1, 0]]), as_tuple=True)] == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda x: x[3], IndexError, "[index] index: expected a number in [-3, 3) along dimension 0, got 3"),
        (lambda x: x[0, -5], IndexError, "along dimension 1, got -5"),
        (lambda x: x[0, 0, 0], IndexError, "[index] index: expected at most 2 indices, got 3"),
        (lambda x: x[[0, 3]], IndexError, "[index] index: expected every index in [-3, 3) along dimension 0, got 3"),
        (lambda x: x[[0, 1], [0, -5]], IndexError, "along dimension 1, got -5"),
        (lambda x: x[[0, 1], [0, 1, 2]], ValueError, "index"),
        (lambda x: x[np.ones((2, 4), bool)], IndexError, "[index] index: expected a mask of shape (3, 4), got (2, 4)"),
        (lambda x: x[::-1], ValueError, "[index] index: expected a slice with a step > 0"),
        (lambda x: x["a"], TypeError, "[index] index"),
        (lambda x: x[1.0], TypeError, "[index] index"),
        (lambda x: x[[0.5]], TypeError, "[index] index"),
        (lambda x: x[[[0], [1, 2]]], TypeError, "[index] index"),
        (lambda x: x[engine.ones(3)], TypeError, "[index] index"),
        (lambda x: x[engine.ones(3, dtype=engine.int8)], TypeError, "int8"),
        (lambda x: x.index_select(0, engine.tensor([3])), IndexError, "index"),
        (lambda x: x.index_select(0, engine.tensor([-1])), IndexError, "index"),
        (lambda x: x.index_select(0, engine.tensor([[0]])), ValueError, "[index_select] index"),
        (lambda x: x.index_select(2, engine.tensor([0])), IndexError, "[index_select] dim"),
        (lambda x: x.gather(0, engine.tensor([[3]])), IndexError, "[gather] index"),
        (lambda x: x.gather(0, engine.tensor([0])), ValueError, "[gather] index"),
        (lambda x: x.gather(0, engine.zeros(1, 5, dtype=engine.int64)), ValueError, "[gather] index"),
        (lambda x: x.gather(0, engine.ones(1, 1)), TypeError, "[gather] index"),
        (lambda x: x.scatter_add(0, engine.tensor([[3]]), engine.ones(1, 1)), IndexError, "[scatter_add] index"),
        (lambda x: x.scatter_add(0, engine.tensor([[0, 0]]), engine.ones(1, 1)), ValueError, "[scatter_add] src"),
        (lambda x: x.scatter_add(0, engine.tensor([[0]]), engine.tensor([[1]])), TypeError, "[scatter_add] src"),
        (lambda x: x.masked_select(engine.ones(3, 4)), TypeError, "[masked_select] mask"),
        (lambda x: x.masked_select(engine.zeros(5, dtype=engine.bool)), ValueError, "[masked_select] mask"),
        (lambda x: x.view(5), ValueError, "shape"),
        (lambda x: x.T.view(12), ValueError, "view"),
        (lambda x: x.reshape(5, -1), ValueError, "shape"),
        (lambda x: x.permute(0, 0), ValueError, "[permute] dims"),
        (lambda x: x.transpose(0, 2), IndexError, "[transpose] dim"),
        (lambda x: x.expand(2, 4), ValueError, "[expand] shape"),
        (lambda x: x.split(0), ValueError, "[split] split_size_or_sections"),
        (lambda x: x.split([1, 1]), ValueError, "[split] split_size_or_sections"),
        (lambda x: x.chunk(0), ValueError, "[chunk] chunks"),
        (lambda x: x.narrow(0, 2, 2), ValueError, "[narrow] length"),
        (lambda x: x.flatten(1, 0), ValueError, "[flatten] end_dim"),
        (lambda x: x.unflatten(0, (2, 2)), ValueError, "[unflatten] sizes"),
        (lambda x: engine.cat([]), ValueError, "[cat] tensors"),
        (lambda x: engine.cat(x), TypeError, "[cat] tensors"),
        (lambda x: engine.cat([x, engine.ones(3, 3)]), ValueError, "[cat] tensors[1]"),
        (lambda x: engine.stack([x, engine.ones(3, 3)]), ValueError, "[stack] tensors[1]"),
        (lambda x: engine.cat([x, 3]), TypeError, "[cat] tensors[1]"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call(engine.zeros(3, 4))
    assert text in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "write, error",
    [
        (lambda x: x.__setitem__([0, 9], 1.0), IndexError),
        (lambda x: x.__setitem__(([0, 1], [0, 9]), 1.0), IndexError),
        (lambda x: x.__setitem__(9, 1.0), IndexError),
        (lambda x: x.__setitem__(0, engine.ones(3)), ValueError),
        (lambda x: x.__setitem__([0, 1], engine.ones(3, 4)), ValueError),
        (lambda x: x.__setitem__(0, "a"), TypeError),
        (lambda x: x.scatter_add_(0, engine.tensor([[0], [9]]), engine.ones(2, 1)), IndexError),
    ],
)
def test_nothing_is_written_before_an_error(write, error):
    x = engine.zeros(3, 4)
    version = x._version
    with pytest.raises(error):
        write(x)
    assert x._version == version and not x.numpy().any()


def test_kernels_check_their_own_arguments():
    """What Python has checked already is checked again where memory would be overrun."""
    K = _core.kernels
    x, ids = engine.zeros(2, 3, 4)._data, engine.tensor([0, 3])._data
    for call in (
        lambda: K.index_rows(x, ids),
        lambda: K.index_rows_backward(x.slice(1, 0, 2, 1), ids, 3),
        lambda: K.index_put(x, ids, x.slice(1, 0, 2, 1).clone()),
        lambda: K.put_rows(x.select(0, 0).slice(0, 0, 2, 1), ids, 3, 0.0),
        lambda: K.gather(x, 3, engine.zeros(1, 1, 1, dtype=engine.int64)._data),
    ):
        with pytest.raises(IndexError):
            call()
    mask = engine.tensor([True, False])._data
    for call in (
        lambda: K.nonzero_flat(mask, 2),
        lambda: K.nonzero(mask, 1, 2),
        lambda: K.put_rows(x.select(0, 0).slice(0, 0, 2, 1), engine.tensor([1, 1])._data, 3, 0.0),
        lambda: K.cat(x, [x, x]),
    ):
        with pytest.raises(ValueError):
            call()
